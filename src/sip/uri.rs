//! Addresses: SIP and SIPS URIs in full, tel URIs with their parameters, every other scheme opaque (RFC 3261 §19,
//! RFC 3966). Text is kept as written, escapes included, so that what is printed is what came; decoding happens where
//! somebody looks. Resolving a host is left to the edge.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use super::lex::Cursor;
pub use super::lex::{Param, Params};

/// Why a text is no URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No `scheme:` in front.
    #[error("a URI begins with its scheme and a colon")]
    Scheme,
    /// A blank, control character, quote or angle bracket.
    #[error("a URI holds no blank, quote, bracket or control character")]
    Character,
    /// `%` without two hexadecimal digits behind.
    #[error("an escape is a percent sign and two hexadecimal digits")]
    Escape,
    /// Empty, or not a name, an IPv4 address or an IPv6 address in brackets.
    #[error("the host is no name and no address; IPv6 stands in brackets")]
    Host,
    /// Not a number up to 65535.
    #[error("the port is a number up to 65535")]
    Port,
    /// A tel URI without a number.
    #[error("a tel URI has a number")]
    Number,
    /// A parameter or header without a name.
    #[error("a parameter or header of a URI has a name")]
    Parameter,
}

/// Any URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` and `sips:`.
    Sip(SipUri),
    /// `tel:`, RFC 3966.
    Tel(TelUri),
    /// Anything else, for instance `urn:service:sos`.
    Other(OtherUri),
}

/// `sip:user:password@host:port;parameters?headers`, RFC 3261 §19.1.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SipUri {
    /// `sips:` rather than `sip:`.
    pub secure: bool,
    /// Escaped as written; see [`SipUri::user`].
    pub user: Option<String>,
    /// Escaped as written. Kept for comparison and printing, used for nothing.
    pub password: Option<String>,
    /// Where.
    pub host: Host,
    /// `None` when it is not written, which is not the same as the default port (§19.1.4).
    pub port: Option<u16>,
    /// `;transport=tcp;lr`, escaped as written.
    pub params: Params,
    /// `?Subject=a&Route=b`, names and values escaped as written.
    pub headers: Vec<(String, String)>,
}

/// `tel:+1-201-555-0123;phone-context=...`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TelUri {
    /// With its visual separators.
    pub number: String,
    /// `;ext=`, `;isub=`, `;phone-context=` and others.
    pub params: Params,
}

/// A scheme that is not ours to read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherUri {
    /// As written.
    pub scheme: String,
    /// Everything behind the first colon.
    pub rest: String,
}

/// A host of a URI or of a Via.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// As written; compared without regard to case.
    Name(String),
    /// An address; IPv6 is printed in brackets (RFC 5118).
    Ip(IpAddr),
}

impl Host {
    /// Reads a host, IPv6 in brackets.
    ///
    /// # Errors
    /// [`UriError::Host`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(UriError::Host)?;
            return ipv6(inner).map(|ip| Self::Ip(IpAddr::V6(ip))).ok_or(UriError::Host);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(IpAddr::V4(ip)));
        }
        let named =
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if named { Ok(Self::Name(text.to_owned())) } else { Err(UriError::Host) }
    }

    /// The address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::Ip(ip) => Some(*ip),
        }
    }

    /// RFC 3261 §19.1.4: names without regard to case, addresses by value.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        }
    }
}

/// The grammar of RFC 3261 lets three colons through where an IPv4 address follows (RFC 5118 §4.10).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| text.replacen(":::", "::", 1).parse().ok())
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// `host [ : port ]`, with blanks allowed around the colon as a Via allows them.
pub(super) fn host_port(cursor: &mut Cursor<'_>) -> Result<(Host, Option<u16>), UriError> {
    let bracketed = cursor.peek() == Some(b'[');
    let host = if bracketed {
        let text = cursor.rest();
        let inner = cursor.take_until(b']').ok_or(UriError::Host)?;
        cursor.eat(b']');
        text.get(..inner.len() + 1).ok_or(UriError::Host)?
    } else {
        cursor.take_while(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let host = Host::parse(host)?;
    let port = if cursor.separator(b':') { Some(cursor.number().ok_or(UriError::Port)?) } else { None };
    Ok((host, port))
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.bytes().any(|b| b.is_ascii_control() || b" <>\"".contains(&b)) {
            return Err(UriError::Character);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let legal = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !legal || !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || rest.is_empty() {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case("sip") {
            return sip(false, rest).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case("sips") {
            return sip(true, rest).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case("tel") {
            return tel(rest).map(Self::Tel);
        }
        Ok(Self::Other(OtherUri { scheme: scheme.to_owned(), rest: rest.to_owned() }))
    }
}

fn sip(secure: bool, text: &str) -> Result<SipUri, UriError> {
    if !escapes_are_whole(text) {
        return Err(UriError::Escape);
    }
    // An `@` is escaped everywhere but behind the userinfo, which itself may hold `;`, `?` and `/`.
    let (userinfo, rest) = text.split_once('@').map_or((None, text), |(u, r)| (Some(u), r));
    let (user, password) = match userinfo {
        None => (None, None),
        Some("") => return Err(UriError::Host),
        Some(info) => info
            .split_once(':')
            .map_or((Some(info.to_owned()), None), |(u, p)| (Some(u.to_owned()), Some(p.to_owned()))),
    };
    let (rest, headers) = rest.split_once('?').map_or((rest, None), |(r, h)| (r, Some(h)));
    let (address, params) = rest.split_once(';').map_or((rest, ""), |(a, p)| (a, p));
    let mut cursor = Cursor::new(address);
    let (host, port) = host_port(&mut cursor)?;
    if !cursor.at_end() {
        return Err(UriError::Host);
    }
    let headers = match headers {
        None => Vec::new(),
        Some(headers) => headers.split('&').map(header).collect::<Result<_, _>>()?,
    };
    Ok(SipUri { secure, user, password, host, port, params: params_of(params)?, headers })
}

fn tel(text: &str) -> Result<TelUri, UriError> {
    let (number, params) = text.split_once(';').map_or((text, ""), |(n, p)| (n, p));
    if number.is_empty() {
        return Err(UriError::Number);
    }
    Ok(TelUri { number: number.to_owned(), params: params_of(params)? })
}

fn params_of(text: &str) -> Result<Params, UriError> {
    let params = text.split(';').filter(|p| !p.is_empty()).map(|param| {
        let (name, value) = param.split_once('=').map_or((param, None), |(n, v)| (n, Some(v)));
        if name.is_empty() {
            return Err(UriError::Parameter);
        }
        Ok(Param { name: name.to_owned(), value: value.map(str::to_owned) })
    });
    Ok(Params(params.collect::<Result<_, _>>()?))
}

fn header(text: &str) -> Result<(String, String), UriError> {
    let (name, value) = text.split_once('=').ok_or(UriError::Parameter)?;
    if name.is_empty() { Err(UriError::Parameter) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|behind| {
        let mut digits = behind.bytes().take(2);
        [digits.next(), digits.next()].iter().all(|d| d.is_some_and(|d| d.is_ascii_hexdigit()))
    })
}

/// What an escaped text stands for. Bytes that are no UTF-8 become replacement characters.
#[must_use]
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, escaped(bytes, at)) {
            (b'%', Some(value)) => {
                plain.push(value);
                at += 3;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// `text` with everything escaped that is neither unreserved nor in `also`.
fn escape(text: &str, also: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) || also.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Escaped as a header of a URI: `Replaces` in a Refer-To (RFC 3891 §6).
#[must_use]
pub fn escape_header(text: &str) -> String {
    escape(text, b"[]/?:+$")
}

/// A form that is equal for what RFC 3261 §19.1.4 calls equivalent: an escape of a character that is not reserved is
/// that character.
fn normal(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut normal = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, escaped(bytes, at)) {
            (b'%', Some(value)) if b";/?:@&=+$,%".contains(&value) => {
                normal.extend(format!("%{value:02X}").bytes());
                at += 3;
            }
            (b'%', Some(value)) => {
                normal.push(value);
                at += 3;
            }
            _ => {
                normal.push(byte);
                at += 1;
            }
        }
    }
    normal
}

impl SipUri {
    /// `sip:user@host`, the user escaped as needed.
    #[must_use]
    pub fn new(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        Self {
            secure: false,
            user: user.filter(|u| !u.is_empty()).map(|u| escape(u, b"&=+$,;?/")),
            password: None,
            host,
            port,
            params: Params::default(),
            headers: Vec::new(),
        }
    }

    /// The user without escapes.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.user.as_deref().map(unescape)
    }

    /// Adds a parameter, its value escaped as needed.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let value = value.map(|v| escape(v, b"[]/:&+$"));
        self.params.remove(name);
        self.params.0.push(Param { name: name.to_owned(), value });
        self
    }

    /// A loose router (RFC 3261 §16.12).
    #[must_use]
    pub fn is_loose(&self) -> bool {
        self.params.has("lr")
    }

    /// A header of the URI, without escapes.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(n, _)| unescape(n).eq_ignore_ascii_case(name))?;
        Some(unescape(&found.1))
    }

    /// RFC 3261 §19.1.4.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let part =
            |a: &Option<String>, b: &Option<String>| a.as_deref().map(normal) == b.as_deref().map(normal);
        self.secure == other.secure
            && part(&self.user, &other.user)
            && part(&self.password, &other.password)
            && self.host.same_as(&other.host)
            && self.port == other.port
            && params_agree(&self.params, &other.params)
            && params_agree(&other.params, &self.params)
            && headers_agree(&self.headers, &other.headers)
    }
}

/// These count also when only one side has them.
const SIGNIFICANT: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// More parameters than anybody means are compared as written: pair by pair, they would keep us busy for long.
const MOST_PARAMS: usize = 64;

fn is_crowd(a: &Params, b: &Params) -> bool {
    a.0.len().max(b.0.len()) > MOST_PARAMS
}

fn params_agree(a: &Params, b: &Params) -> bool {
    if is_crowd(a, b) {
        return a == b;
    }
    firsts(a).all(|param| {
        if !b.has(&param.name) {
            return !SIGNIFICANT.iter().any(|s| param.name.eq_ignore_ascii_case(s));
        }
        match (param.value.as_deref(), b.get(&param.name)) {
            (Some(x), Some(y)) => normal(x).eq_ignore_ascii_case(&normal(y)),
            (x, y) => x == y,
        }
    })
}

/// The parameters that count: the first of each name.
fn firsts(params: &Params) -> impl Iterator<Item = &Param> {
    let all = &params.0;
    all.iter().enumerate().filter_map(|(n, param)| {
        let earlier = all.iter().take(n).any(|p| p.name.eq_ignore_ascii_case(&param.name));
        (!earlier).then_some(param)
    })
}

fn headers_agree(a: &[(String, String)], b: &[(String, String)]) -> bool {
    let sorted = |headers: &[(String, String)]| {
        let mut all: Vec<_> =
            headers.iter().map(|(n, v)| (normal(n).to_ascii_lowercase(), normal(v))).collect();
        all.sort();
        all
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

impl TelUri {
    /// Digits, `+` and DTMF letters without the visual separators of RFC 3966 §3.
    #[must_use]
    pub fn digits(&self) -> String {
        self.number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect()
    }
}

impl Uri {
    /// RFC 3261 §19.1.4 for SIP, RFC 3966 §4 for tel; other schemes as written but for the scheme's case.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sip(a), Self::Sip(b)) => a.same_as(b),
            (Self::Tel(a), Self::Tel(b)) => {
                let within = |a: &Params, b: &Params| {
                    if is_crowd(a, b) {
                        return a == b;
                    }
                    firsts(a).all(|p| match (b.has(&p.name), p.value.as_deref(), b.get(&p.name)) {
                        (true, Some(x), Some(y)) => x.eq_ignore_ascii_case(y),
                        (there, x, y) => there && x == y,
                    })
                };
                a.digits().eq_ignore_ascii_case(&b.digits())
                    && within(&a.params, &b.params)
                    && within(&b.params, &a.params)
            }
            (Self::Other(a), Self::Other(b)) => a.scheme.eq_ignore_ascii_case(&b.scheme) && a.rest == b.rest,
            (Self::Sip(_) | Self::Tel(_) | Self::Other(_), _) => false,
        }
    }

    /// The SIP URI, if it is one.
    #[must_use]
    pub fn sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Tel(_) | Self::Other(_) => None,
        }
    }

    /// Who is meant, without escapes: the user of a SIP URI, the digits of a tel URI.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Sip(uri) => uri.user(),
            Self::Tel(uri) => Some(uri.digits()),
            Self::Other(_) => None,
        }
    }

    /// In small letters.
    #[must_use]
    pub fn scheme(&self) -> String {
        match self {
            Self::Sip(uri) => if uri.secure { "sips" } else { "sip" }.to_owned(),
            Self::Tel(_) => "tel".to_owned(),
            Self::Other(uri) => uri.scheme.to_ascii_lowercase(),
        }
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Self::Sip(uri)
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)?;
        for (n, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if n == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(f),
            Self::Tel(uri) => write!(f, "tel:{}{}", uri.number, uri.params),
            Self::Other(uri) => write!(f, "{}:{}", uri.scheme, uri.rest),
        }
    }
}
