//! Header fields as they came: names in any case and in their compact forms, values unfolded and otherwise untouched,
//! all in order. What a value means is in `views`.

use std::fmt;
use std::hash::{Hash, Hasher};

macro_rules! names {
    ($($name:ident = $text:literal $(/ $compact:literal)?,)*) => {
        /// The name of a header field; compared without regard to case, compact and long form are one.
        #[derive(Clone, Debug)]
        pub enum Name {
            $(#[doc = $text] $name,)*
            /// Any other, as written.
            Other(Box<str>),
        }

        impl Name {
            /// Reads a name, long or compact.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($text) $(|| text.eq_ignore_ascii_case($compact))? {
                    return Self::$name;
                })*
                Self::Other(text.into())
            }

            /// The long form in its usual spelling.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

names! {
    Via = "Via" / "v",
    From = "From" / "f",
    To = "To" / "t",
    CallId = "Call-ID" / "i",
    CSeq = "CSeq",
    MaxForwards = "Max-Forwards",
    Contact = "Contact" / "m",
    Route = "Route",
    RecordRoute = "Record-Route",
    ContentLength = "Content-Length" / "l",
    ContentType = "Content-Type" / "c",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding" / "e",
    ContentLanguage = "Content-Language",
    ContentId = "Content-ID",
    Accept = "Accept",
    AcceptContact = "Accept-Contact" / "a",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    Allow = "Allow",
    AllowEvents = "Allow-Events" / "u",
    Authorization = "Authorization",
    AuthenticationInfo = "Authentication-Info",
    CallInfo = "Call-Info",
    Date = "Date",
    Diversion = "Diversion",
    ErrorInfo = "Error-Info",
    Event = "Event" / "o",
    Expires = "Expires",
    HistoryInfo = "History-Info",
    Identity = "Identity" / "y",
    InReplyTo = "In-Reply-To",
    Join = "Join",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    MinSe = "Min-SE",
    Organization = "Organization",
    PAccessNetworkInfo = "P-Access-Network-Info",
    PAssertedIdentity = "P-Asserted-Identity",
    PPreferredIdentity = "P-Preferred-Identity",
    Path = "Path",
    Priority = "Priority",
    Privacy = "Privacy",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RAck = "RAck",
    RSeq = "RSeq",
    Reason = "Reason",
    ReferSub = "Refer-Sub",
    ReferTo = "Refer-To" / "r",
    ReferredBy = "Referred-By" / "b",
    RejectContact = "Reject-Contact" / "j",
    RemotePartyId = "Remote-Party-ID",
    Replaces = "Replaces",
    ReplyTo = "Reply-To",
    RequestDisposition = "Request-Disposition" / "d",
    Require = "Require",
    RetryAfter = "Retry-After",
    Server = "Server",
    ServiceRoute = "Service-Route",
    SessionExpires = "Session-Expires" / "x",
    SipEtag = "SIP-ETag",
    SipIfMatch = "SIP-If-Match",
    Subject = "Subject" / "s",
    SubscriptionState = "Subscription-State",
    Supported = "Supported" / "k",
    TargetDialog = "Target-Dialog",
    Timestamp = "Timestamp",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Self::Other(text) = self {
            text.to_ascii_lowercase().hash(state);
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One header field. Its `Debug` keeps credentials to itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub name: Name,
    /// As written, where that is not the usual spelling.
    spelled: Option<Box<str>>,
    value: String,
    /// The value's bytes, where they are not UTF-8.
    raw: Option<Box<[u8]>>,
}

impl Header {
    /// A header of our own. Line ends and NUL in the value become blanks; blanks around it go.
    #[must_use]
    pub fn new(name: Name, value: &str) -> Self {
        let value = value.trim().replace(['\r', '\n', '\0'], " ");
        Self { name, spelled: None, value, raw: None }
    }

    /// A header from the wire: `value` is unfolded and trimmed.
    pub(in crate::sip) fn read(spelled: &str, value: &[u8]) -> Self {
        let name = Name::parse(spelled);
        let kept = (name.as_str() != spelled).then(|| spelled.into());
        match std::str::from_utf8(value) {
            Ok(text) => Self { name, spelled: kept, value: text.to_owned(), raw: None },
            Err(_) => Self {
                name,
                spelled: kept,
                value: String::from_utf8_lossy(value).into_owned(),
                raw: Some(value.into()),
            },
        }
    }

    /// The value, unfolded. Bytes that are not UTF-8 show as replacement characters.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The name as it came or goes.
    #[must_use]
    pub fn spelled(&self) -> &str {
        self.spelled.as_deref().unwrap_or(self.name.as_str())
    }

    /// The value as it came or goes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.value.as_bytes())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Name::Authorization | Name::ProxyAuthorization => write!(f, "{}: (kept back)", self.name),
            _ => write!(f, "{}: {:?}", self.spelled(), self.value),
        }
    }
}

/// Header fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of that name, in order, one a line.
    pub fn all<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.clone();
        self.0.iter().filter(move |h| h.name == name).map(Header::value)
    }

    /// Whether there is one of that name.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        self.0.iter().any(|h| h.name == *name)
    }

    /// Adds one at the end.
    pub fn push(&mut self, name: Name, value: &str) {
        self.0.push(Header::new(name, value));
    }

    /// Adds one at the end, as it came.
    pub fn push_header(&mut self, header: Header) {
        self.0.push(header);
    }

    /// Replaces all of that name by one, where the first stood or at the end.
    pub fn set(&mut self, name: Name, value: &str) {
        let header = Header::new(name, value);
        match self.0.iter().position(|h| h.name == header.name) {
            None => self.0.push(header),
            Some(at) => {
                let mut first = true;
                self.0.retain(|h| h.name != header.name || std::mem::take(&mut first));
                if let Some(place) = self.0.get_mut(at) {
                    *place = header;
                }
            }
        }
    }

    /// Takes all of that name away.
    pub fn remove(&mut self, name: &Name) {
        self.0.retain(|h| h.name != *name);
    }

    /// How many lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}
