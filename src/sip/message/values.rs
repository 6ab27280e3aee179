//! What the values of single header fields are, each with its grammar and its print. A field that is only text
//! (User-Agent, Server, Subject) has no type here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::super::lex::{Cursor, Params, is_token_text, quote, unquote, whole};
use super::{Malformed, Method};
use crate::types::Wall;

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31 (§8.1.1.5).
    pub number: u32,
    /// The request's, also in responses.
    pub method: Method,
}

impl FromStr for CSeq {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let read = |cursor: &mut Cursor<'_>| {
            let number = cursor.number::<u32>().filter(|n| *n < 1 << 31)?;
            blank(cursor)?;
            Some(Self { number, method: Method::parse(cursor.token()?)? })
        };
        whole(text, read).ok_or(Malformed)
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

fn blank(cursor: &mut Cursor<'_>) -> Option<()> {
    let before = cursor.rest().len();
    cursor.lws();
    (cursor.rest().len() < before).then_some(())
}

/// RAck (RFC 3262 §7.2): which reliable provisional response a PRACK acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The response's RSeq.
    pub rseq: u32,
    /// The response's CSeq.
    pub cseq: CSeq,
}

impl FromStr for RAck {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        let (rseq, cseq) = text.split_once([' ', '\t']).ok_or(Malformed)?;
        let rseq = whole(rseq, Cursor::number).ok_or(Malformed)?;
        Ok(Self { rseq, cseq: cseq.parse()? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// Content-Type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `application`.
    pub kind: String,
    /// `sdp`.
    pub subtype: String,
    /// `boundary` and others.
    pub params: Params,
}

impl MediaType {
    /// Whether it is this one, without regard to case and parameters: `is("application/sdp")`.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        text.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }
}

impl FromStr for MediaType {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let read = |cursor: &mut Cursor<'_>| {
            let kind = cursor.token()?.to_owned();
            if !cursor.separator(b'/') {
                return None;
            }
            Some(Self { kind, subtype: cursor.token()?.to_owned(), params: cursor.params()? })
        };
        whole(text, read).ok_or(Malformed)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.kind, self.subtype, self.params)
    }
}

macro_rules! word_with_params {
    ($(#[$doc:meta])* $type:ident, $(#[$field:meta])* $word:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type {
            $(#[$field])*
            pub $word: String,
            /// All parameters.
            pub params: Params,
        }

        impl FromStr for $type {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                let read = |cursor: &mut Cursor<'_>| {
                    Some(Self { $word: cursor.token()?.to_owned(), params: cursor.params()? })
                };
                whole(text, read).ok_or(Malformed)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", self.$word, self.params)
            }
        }
    };
}

word_with_params! {
    /// Content-Disposition (RFC 3261 §20.11).
    Disposition,
    /// `session`, `early-session`, `render`...
    kind
}

word_with_params! {
    /// Event (RFC 6665 §8.2.1).
    Event,
    /// `refer`, `message-summary`, `presence`...
    package
}

word_with_params! {
    /// Subscription-State (RFC 6665 §8.2.3).
    SubscriptionState,
    /// `active`, `pending` or `terminated`.
    state
}

impl Disposition {
    /// Whether a body that is not understood must be refused (`handling`, required unless said otherwise).
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.params.get("handling").is_some_and(|h| h.eq_ignore_ascii_case("optional"))
    }
}

impl Event {
    /// `id`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.params.get("id")
    }
}

impl SubscriptionState {
    /// Whether it is the last.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case("terminated")
    }

    /// How long it still holds.
    #[must_use]
    pub fn expires(&self) -> Option<Duration> {
        self.params.get("expires")?.parse().ok().map(Duration::from_secs)
    }
}

/// Who refreshes (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The one who sent the request.
    Uac,
    /// The one who answered it.
    Uas,
}

/// Session-Expires and Min-SE (RFC 4028 §4, §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// In seconds.
    pub seconds: u32,
    /// Nothing, if it was not said or is neither.
    pub refresher: Option<Refresher>,
}

impl FromStr for SessionExpires {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let read = |cursor: &mut Cursor<'_>| {
            let seconds = cursor.number()?;
            let refresher = match cursor.params()?.get("refresher")?.to_ascii_lowercase().as_str() {
                "uac" => Some(Refresher::Uac),
                "uas" => Some(Refresher::Uas),
                _ => None,
            };
            Some(Self { seconds, refresher })
        };
        let bare = |cursor: &mut Cursor<'_>| {
            let seconds = cursor.number()?;
            cursor.params()?;
            Some(Self { seconds, refresher: None })
        };
        whole(text, read).or_else(|| whole(text, bare)).ok_or(Malformed)
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// Replaces (RFC 3891 §6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID of the dialog that is replaced.
    pub call_id: String,
    /// The local tag, as the receiver sees it.
    pub to_tag: String,
    /// The remote tag, as the receiver sees it.
    pub from_tag: String,
    /// Only while it is early.
    pub early_only: bool,
}

impl FromStr for Replaces {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let read = |cursor: &mut Cursor<'_>| {
            let call_id = cursor.take_while(|b| !b.is_ascii_control() && b != b' ' && b != b';');
            let params = cursor.params()?;
            let tag = |name| params.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
            Some(Self {
                call_id: (!call_id.is_empty()).then(|| call_id.to_owned())?,
                to_tag: tag("to-tag")?,
                from_tag: tag("from-tag")?,
                early_only: params.has("early-only"),
            })
        };
        whole(text, read).ok_or(Malformed)
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

/// One value of Reason (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850`...
    pub protocol: String,
    /// `cause`.
    pub cause: Option<u16>,
    /// `text`, without quotes.
    pub text: Option<String>,
}

impl Reason {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let protocol = cursor.token()?.to_owned();
        let params = cursor.params()?;
        let cause = params.get("cause").and_then(|c| c.parse().ok());
        Some(Self { protocol, cause, text: params.text("text") })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        match &self.text {
            Some(text) => write!(f, ";text={}", quote(text)),
            None => Ok(()),
        }
    }
}

/// Retry-After (RFC 3261 §20.33), its comment left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// When to try again.
    pub after: Duration,
    /// How long it will then be reachable.
    pub duration: Option<Duration>,
}

impl FromStr for RetryAfter {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let read = |cursor: &mut Cursor<'_>| {
            let after = Duration::from_secs(cursor.number::<u32>()?.into());
            cursor.lws();
            if cursor.peek() == Some(b'(') {
                cursor.comment()?;
            }
            let duration = cursor.params()?.get("duration").and_then(|d| d.parse::<u32>().ok());
            Some(Self { after, duration: duration.map(|d| Duration::from_secs(d.into())) })
        };
        whole(text, read).ok_or(Malformed)
    }
}

/// One value of Warning (RFC 3261 §20.43).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Three digits.
    pub code: u16,
    /// Who warns: a host or a pseudonym.
    pub agent: String,
    /// Without quotes.
    pub text: String,
}

impl Warning {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let code = cursor.number()?;
        blank(cursor)?;
        let agent = cursor.take_while(|b| !b.is_ascii_control() && b != b' ' && b != b',' && b != b'"');
        blank(cursor)?;
        let text = unquote(cursor.quoted()?);
        (!agent.is_empty()).then(|| Self { code, agent: agent.to_owned(), text })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agent = if self.agent.contains([' ', ',', '"']) { "-" } else { &self.agent };
        write!(f, "{:03} {agent} {}", self.code, quote(&self.text))
    }
}

/// A list of tokens, as in Require, Supported and Allow-Events; an empty value is an empty list.
pub(super) fn read_tokens(text: &str) -> Option<Vec<String>> {
    let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
    words.map(|w| is_token_text(w).then(|| w.to_owned())).collect()
}

/// `Sat, 13 Nov 2010 23:29:00 GMT` (RFC 3261 §20.17): GMT alone.
pub(super) fn read_date(text: &str) -> Option<Wall> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(',')?;
    let mut words = rest.split_ascii_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))?;
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<i8>);
    let mut next = || clock.next()?.ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    if words.next() != Some("GMT") || words.next().is_some() {
        return None;
    }
    let month = i8::try_from(month + 1).ok()?;
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(Wall(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}
