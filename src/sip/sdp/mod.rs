//! Media descriptions: SDP (RFC 8866, RFC 4566) read tolerantly and printed in the order that the RFC asks for, and
//! the offer/answer model (RFC 3264) as functions from descriptions to descriptions. Attributes that nobody here
//! reads are kept. What arrives over RTP is not our business.

mod media;
mod negotiate;
mod policy;
#[cfg(test)]
mod tests;

pub use media::{Codec, Crypto, Direction, Encoding};
pub use negotiate::{
    Agreed, AgreedFormat, Capabilities, Disagreement, Local, agree, answer, offer, offer_again, refuse_all,
};
pub use policy::{TargetPolicy, TargetRefused};

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// Why a text is no description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It does not begin with `v=0`.
    #[error("a description begins with v=0")]
    Version,
    /// A line that is not a letter, `=` and a value.
    #[error("a line is a letter, an equals sign and a value")]
    Line,
    /// `o=`.
    #[error("the origin has six fields")]
    Origin,
    /// `c=`.
    #[error("the connection is IN, IP4 or IP6, and an address")]
    Connection,
    /// `m=`.
    #[error("media have a kind, a port, a protocol and formats")]
    Media,
}

/// `o=` (RFC 8866 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `-` when nobody is named.
    pub username: String,
    /// As written: some senders exceed 64 bits.
    pub id: String,
    /// As written; grows by one with each change.
    pub version: String,
    /// `IN IP4 192.0.2.1`, as written.
    pub address: String,
}

impl Origin {
    /// An origin of our own.
    #[must_use]
    pub fn new(id: u64, version: u64, address: IpAddr) -> Self {
        let address = Connection::new(address).to_string();
        Self { username: "-".to_owned(), id: id.to_string(), version: version.to_string(), address }
    }
}

/// `c=` (RFC 8866 §5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `IP6` rather than `IP4`.
    pub v6: bool,
    /// As written: an address, a name, either with `/ttl`.
    pub address: String,
}

impl Connection {
    /// A connection to one address.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self { v6: address.is_ipv6(), address: address.to_string() }
    }

    /// The address; `None` for a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.split('/').next()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl FromStr for Connection {
    type Err = SdpError;
    fn from_str(text: &str) -> Result<Self, SdpError> {
        let mut words = text.split_ascii_whitespace();
        let network = words.next().is_some_and(|n| n.eq_ignore_ascii_case("IN"));
        let v6 = match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("IP4") => false,
            Some("IP6") => true,
            Some(_) | None => return Err(SdpError::Connection),
        };
        match (words.next(), words.next()) {
            (Some(address), None) if network => Ok(Self { v6, address: address.to_owned() }),
            _ => Err(SdpError::Connection),
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IN {} {}", if self.v6 { "IP6" } else { "IP4" }, self.address)
    }
}

/// `a=name` or `a=name:value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Case counts.
    pub name: String,
    /// Behind the colon.
    pub value: Option<String>,
}

impl Attribute {
    /// `a=name`.
    #[must_use]
    pub fn flag(name: &str) -> Self {
        Self { name: name.to_owned(), value: None }
    }

    /// `a=name:value`.
    #[must_use]
    pub fn new(name: &str, value: impl ToString) -> Self {
        Self { name: name.to_owned(), value: Some(value.to_string()) }
    }
}

/// Keys stay out of it.
impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "crypto" => f.write_str("a=crypto:(kept back)"),
            _ => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "a={}:{value}", self.name),
            None => write!(f, "a={}", self.name),
        }
    }
}

/// A line that is only kept: `i= u= e= p= b= t= r= z= k=` and letters to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The letter.
    pub kind: char,
    /// Behind the equals sign.
    pub value: String,
}

impl Line {
    /// RFC 8866 §5: what stands before `c=` and what behind it.
    fn is_before_connection(&self) -> bool {
        matches!(self.kind, 'i' | 'u' | 'e' | 'p')
    }
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image`...
    pub kind: String,
    /// 0: refused or switched off.
    pub port: u16,
    /// Behind the port, `/2`.
    pub ports: Option<u16>,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl`...
    pub protocol: String,
    /// Payload types, or what else the protocol has.
    pub formats: Vec<String>,
    /// Its own `c=`.
    pub connection: Option<Connection>,
    /// Lines that are only kept.
    pub lines: Vec<Line>,
    /// `a=`, in order.
    pub attributes: Vec<Attribute>,
}

/// A whole description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `o=`.
    pub origin: Origin,
    /// `s=`.
    pub name: String,
    /// `c=` for all media that have none.
    pub connection: Option<Connection>,
    /// Lines that are only kept.
    pub lines: Vec<Line>,
    /// `a=` for all media.
    pub attributes: Vec<Attribute>,
    /// `m=`, in order.
    pub media: Vec<Media>,
}

impl Description {
    /// Reads a description. A missing `o=`, `s=` or `t=` is let pass.
    ///
    /// # Errors
    /// [`SdpError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split(['\n', '\r']).map(str::trim_end).filter(|l| !l.is_empty());
        if lines.next().map(|l| l.replace(' ', "")).as_deref() != Some("v=0") {
            return Err(SdpError::Version);
        }
        let address = "IN IP4 0.0.0.0".to_owned();
        let mut all = Self {
            origin: Origin { username: "-".into(), id: "0".into(), version: "0".into(), address },
            name: "-".to_owned(),
            connection: None,
            lines: Vec::new(),
            attributes: Vec::new(),
            media: Vec::new(),
        };
        for line in lines {
            let (kind, value) = line.split_once('=').ok_or(SdpError::Line)?;
            let mut letters = kind.trim().chars();
            let (Some(kind), None) = (letters.next(), letters.next()) else { return Err(SdpError::Line) };
            all.take(kind, value.trim())?;
        }
        all.lines.sort_by_key(|l| !l.is_before_connection());
        all.media.iter_mut().for_each(|m| m.lines.sort_by_key(|l| !l.is_before_connection()));
        Ok(all)
    }

    fn take(&mut self, kind: char, value: &str) -> Result<(), SdpError> {
        match (kind, self.media.last_mut()) {
            ('m', _) => self.media.push(value.parse()?),
            ('c', Some(media)) => media.connection = Some(value.parse()?),
            ('c', None) => self.connection = Some(value.parse()?),
            ('a', Some(media)) => media.attributes.extend(attribute(value)),
            ('a', None) => self.attributes.extend(attribute(value)),
            ('o', None) => self.origin = value.parse()?,
            ('s', None) => value.clone_into(&mut self.name),
            ('v', _) => return Err(SdpError::Version),
            ('o' | 's', Some(_)) => return Err(SdpError::Line),
            (kind, Some(media)) => media.lines.push(Line { kind, value: value.to_owned() }),
            (kind, None) => self.lines.push(Line { kind, value: value.to_owned() }),
        }
        Ok(())
    }

    /// As it goes into a body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

fn attribute(value: &str) -> Option<Attribute> {
    let (name, value) = value.split_once(':').map_or((value, None), |(n, v)| (n, Some(v)));
    let name = name.trim();
    let value = value.map(|v| v.trim().to_owned());
    (!name.is_empty()).then(|| Attribute { name: name.to_owned(), value })
}

impl FromStr for Origin {
    type Err = SdpError;
    fn from_str(text: &str) -> Result<Self, SdpError> {
        // Some senders put blanks into the user name; the last five fields are sure.
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [username @ .., id, version, network, kind, address] = words.as_slice() else {
            return Err(SdpError::Origin);
        };
        Ok(Self {
            username: if username.is_empty() { "-".to_owned() } else { username.join("_") },
            id: (*id).to_owned(),
            version: (*version).to_owned(),
            address: format!("{network} {kind} {address}"),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.username, self.id, self.version, self.address)
    }
}

impl FromStr for Media {
    type Err = SdpError;
    fn from_str(text: &str) -> Result<Self, SdpError> {
        let mut words = text.split_ascii_whitespace();
        let mut next = || words.next().ok_or(SdpError::Media);
        let (kind, port, protocol) = (next()?, next()?, next()?);
        let (port, ports) = port.split_once('/').map_or((port, None), |(p, n)| (p, Some(n)));
        let number = |text: &str| text.parse::<u16>().map_err(|_| SdpError::Media);
        Ok(Self {
            kind: kind.to_owned(),
            port: number(port)?,
            ports: ports.map(number).transpose()?,
            protocol: protocol.to_owned(),
            formats: words.map(str::to_owned).collect(),
            connection: None,
            lines: Vec::new(),
            attributes: Vec::new(),
        })
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(ports) = self.ports {
            write!(f, "/{ports}")?;
        }
        write!(f, " {}", self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        f.write_str("\r\n")?;
        write_middle(f, &self.lines, self.connection.as_ref())?;
        self.attributes.iter().try_for_each(|a| write!(f, "{a}\r\n"))
    }
}

fn write_middle(f: &mut fmt::Formatter<'_>, lines: &[Line], connection: Option<&Connection>) -> fmt::Result {
    let mut connection = connection;
    for Line { kind, value } in lines {
        if !(Line { kind: *kind, value: String::new() }).is_before_connection()
            && let Some(c) = connection.take()
        {
            write!(f, "c={c}\r\n")?;
        }
        write!(f, "{kind}={value}\r\n")?;
    }
    connection.map_or(Ok(()), |c| write!(f, "c={c}\r\n"))
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=0\r\no={}\r\ns={}\r\n", self.origin, self.name)?;
        write_middle(f, &self.lines, self.connection.as_ref())?;
        self.attributes.iter().try_for_each(|a| write!(f, "{a}\r\n"))?;
        self.media.iter().try_for_each(|m| m.fmt(f))
    }
}
