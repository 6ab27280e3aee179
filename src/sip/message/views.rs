//! Header fields as values, read when somebody asks. `Ok(None)` and empty lists mean that the field is missing, an
//! error that it is there and cannot be read.

use std::str::FromStr;

use super::super::lex::{list, whole};
use super::{
    Auth, Contacts, Disposition, Event, Fault, Headers, Malformed, MediaType, Method, Name, NameAddr, RAck,
    Reason, Replaces, RetryAfter, SessionExpires, SubscriptionState, Warning, values,
};
use crate::types::Wall;

impl Headers {
    fn one<T: FromStr<Err = Malformed>>(&self, name: Name) -> Result<Option<T>, Fault> {
        self.get(&name).map(str::parse).transpose().map_err(|_| Fault::Header(name))
    }

    fn lists<T>(&self, name: &Name, read: impl Fn(&str) -> Option<Vec<T>>) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        for line in self.all(name) {
            all.extend(read(line).ok_or_else(|| Fault::Header(name.clone()))?);
        }
        Ok(all)
    }

    fn seconds(&self, name: Name) -> Result<Option<u32>, Fault> {
        let Some(text) = self.get(&name) else { return Ok(None) };
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::Header(name));
        }
        Ok(Some(text.parse().unwrap_or(u32::MAX)))
    }

    /// Contact.
    ///
    /// # Errors
    /// One that cannot be read, or `*` beside others.
    pub fn contacts(&self) -> Result<Contacts, Fault> {
        if self.all(&Name::Contact).any(|line| line == "*") {
            let alone = self.all(&Name::Contact).count() == 1;
            return if alone { Ok(Contacts::All) } else { Err(Fault::Header(Name::Contact)) };
        }
        // An empty Contact is as good as none.
        let read = |line: &str| if line.is_empty() { Some(Vec::new()) } else { NameAddr::read_list(line) };
        self.lists(&Name::Contact, read).map(Contacts::These)
    }

    /// Addresses in order: Route, Record-Route, Path, Service-Route, P-Asserted-Identity, P-Preferred-Identity,
    /// Remote-Party-ID, Diversion.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn routes(&self, name: &Name) -> Result<Vec<NameAddr>, Fault> {
        self.lists(name, NameAddr::read_list)
    }

    /// P-Asserted-Identity and its kin; the same as [`Headers::routes`] under the name that a reader expects.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn addresses(&self, name: &Name) -> Result<Vec<NameAddr>, Fault> {
        self.routes(name)
    }

    /// A single address: Refer-To, Referred-By, Reply-To.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn address(&self, name: Name) -> Result<Option<NameAddr>, Fault> {
        self.one(name)
    }

    /// Max-Forwards.
    ///
    /// # Errors
    /// Not a number up to 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, Fault> {
        let read = |text| whole(text, super::super::lex::Cursor::number);
        self.get(&Name::MaxForwards)
            .map(|text| read(text).ok_or(Fault::Header(Name::MaxForwards)))
            .transpose()
    }

    /// Option tags or event packages: Require, Proxy-Require, Supported, Unsupported, Allow-Events.
    ///
    /// # Errors
    /// One that is no token.
    pub fn tokens(&self, name: &Name) -> Result<Vec<String>, Fault> {
        self.lists(name, values::read_tokens)
    }

    /// Whether a list of option tags has this one; a list that cannot be read has none.
    #[must_use]
    pub fn lists_option(&self, name: &Name, option: &str) -> bool {
        self.tokens(name).is_ok_and(|tokens| tokens.iter().any(|t| t.eq_ignore_ascii_case(option)))
    }

    /// The option tags in Require that are not among `known`: what a 420 names in Unsupported.
    ///
    /// # Errors
    /// A tag that is no token.
    pub fn unknown_requirements(&self, known: &[&str]) -> Result<Vec<String>, Fault> {
        let mut required = self.tokens(&Name::Require)?;
        required.retain(|tag| !known.iter().any(|k| tag.eq_ignore_ascii_case(k)));
        Ok(required)
    }

    /// Allow.
    ///
    /// # Errors
    /// One that is no token.
    pub fn allow(&self) -> Result<Vec<Method>, Fault> {
        Ok(self.tokens(&Name::Allow)?.iter().filter_map(|t| Method::parse(t)).collect())
    }

    /// Content-Type.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn content_type(&self) -> Result<Option<MediaType>, Fault> {
        self.one(Name::ContentType)
    }

    /// Content-Disposition.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn content_disposition(&self) -> Result<Option<Disposition>, Fault> {
        self.one(Name::ContentDisposition)
    }

    /// Expires, in seconds; one too large is the largest.
    ///
    /// # Errors
    /// It is no number. A registrar takes that for 3600 (RFC 3261 §10.3).
    pub fn expires(&self) -> Result<Option<u32>, Fault> {
        self.seconds(Name::Expires)
    }

    /// Min-Expires, in seconds.
    ///
    /// # Errors
    /// It is no number.
    pub fn min_expires(&self) -> Result<Option<u32>, Fault> {
        self.seconds(Name::MinExpires)
    }

    /// Session-Expires.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, Fault> {
        self.one(Name::SessionExpires)
    }

    /// Min-SE, in seconds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn min_se(&self) -> Result<Option<u32>, Fault> {
        Ok(self.one::<SessionExpires>(Name::MinSe)?.map(|e| e.seconds))
    }

    /// RSeq, which is never 0.
    ///
    /// # Errors
    /// It is no number from 1 on.
    pub fn rseq(&self) -> Result<Option<u32>, Fault> {
        match self.seconds(Name::RSeq)? {
            Some(0) => Err(Fault::Header(Name::RSeq)),
            rseq => Ok(rseq),
        }
    }

    /// RAck.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn rack(&self) -> Result<Option<RAck>, Fault> {
        self.one(Name::RAck)
    }

    /// Replaces.
    ///
    /// # Errors
    /// It cannot be read, or stands twice (RFC 3891 §3).
    pub fn replaces(&self) -> Result<Option<Replaces>, Fault> {
        if self.all(&Name::Replaces).count() > 1 {
            return Err(Fault::Repeated(Name::Replaces));
        }
        self.one(Name::Replaces)
    }

    /// Event.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn event(&self) -> Result<Option<Event>, Fault> {
        self.one(Name::Event)
    }

    /// Subscription-State.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn subscription_state(&self) -> Result<Option<SubscriptionState>, Fault> {
        self.one(Name::SubscriptionState)
    }

    /// Privacy (RFC 3323 §4.2), in small letters.
    #[must_use]
    pub fn privacy(&self) -> Vec<String> {
        let lines = self.all(&Name::Privacy).flat_map(|l| l.split([';', ',']));
        lines.map(|v| v.trim().to_ascii_lowercase()).filter(|v| !v.is_empty()).collect()
    }

    /// Reason.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn reasons(&self) -> Result<Vec<Reason>, Fault> {
        self.lists(&Name::Reason, |line| list(line, Reason::read))
    }

    /// Retry-After.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn retry_after(&self) -> Result<Option<RetryAfter>, Fault> {
        self.one(Name::RetryAfter)
    }

    /// Warning.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn warnings(&self) -> Result<Vec<Warning>, Fault> {
        self.lists(&Name::Warning, |line| list(line, Warning::read))
    }

    /// Date.
    ///
    /// # Errors
    /// It cannot be read, or its zone is not GMT.
    pub fn date(&self) -> Result<Option<Wall>, Fault> {
        let Some(text) = self.get(&Name::Date) else { return Ok(None) };
        values::read_date(text).map(Some).ok_or(Fault::Header(Name::Date))
    }

    /// Challenges (WWW-Authenticate, Proxy-Authenticate) or credentials (Authorization, Proxy-Authorization) that
    /// can be read, in order; others are passed over.
    #[must_use]
    pub fn auth(&self, name: &Name) -> Vec<Auth> {
        self.all(name).filter_map(Auth::read_list).flatten().collect()
    }
}
