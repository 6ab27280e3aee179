//! Addresses: URIs and what stands around them in From, To, Contact and Route (RFC 3261 §19.1, §20.10).

use crate::percent;
use std::fmt;

/// Parameters in order: `;lr;transport=tcp`.
pub type Params = Vec<(String, Option<String>)>;

/// A URI in parts. What is no `sip:`, `sips:` or `tel:` keeps all behind the scheme in `host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    pub scheme: String,
    /// User with its password, as written; the number of a `tel:`.
    pub user: Option<String>,
    /// Host as written, IPv6 in its brackets.
    pub host: String,
    pub port: Option<u16>,
    pub params: Params,
    /// Headers, `a=b&c=d`, as written.
    pub headers: String,
}

impl Uri {
    /// `sip:user@host`; `host` may hold a port.
    #[must_use]
    pub fn sip(user: &str, host: &str) -> Uri {
        let text = if user.is_empty() { format!("sip:{host}") } else { format!("sip:{user}@{host}") };
        Uri::read(&text).unwrap_or_default()
    }

    /// `None`: no scheme, or a port that is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Uri> {
        let (scheme, rest) = text.trim().split_once(':')?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return None;
        }
        if scheme == "tel" {
            let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
            let user = Some(number.to_owned());
            return Some(Uri { scheme, user, params: read_params(params), ..Uri::default() });
        }
        if !matches!(scheme.as_str(), "sip" | "sips") {
            return Some(Uri { scheme, host: rest.to_owned(), ..Uri::default() });
        }
        // A user part may hold `;`, `?` and `:`, so the last `@` before the host decides first.
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, rest),
        };
        let (place, headers) = place.split_once('?').unwrap_or((place, ""));
        let (place, params) = place.split_once(';').unwrap_or((place, ""));
        let (host, port) = read_host(place)?;
        Some(Uri { scheme, user, host, port, params: read_params(params), headers: headers.to_owned() })
    }

    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }

    /// User without a password, escapes undone: what was dialled.
    #[must_use]
    pub fn number(&self) -> String {
        let user = self.user.as_deref().unwrap_or_default();
        unescape(user.split([':', ';']).next().unwrap_or_default())
    }

    /// One header of the URI, escapes undone: the `Replaces` of a Refer-To.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let all = self.headers.split('&').filter_map(|pair| pair.split_once('='));
        all.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| unescape(value)).next()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        match &self.user {
            Some(user) if self.scheme == "tel" => write!(f, "{user}")?,
            Some(user) => write!(f, "{user}@")?,
            None => {}
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write_params(f, &self.params)?;
        if !self.headers.is_empty() {
            write!(f, "?{}", self.headers)?;
        }
        Ok(())
    }
}

/// `"Jane" <sip:jane@shop>;tag=1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameAddr {
    pub name: Option<String>,
    pub uri: Uri,
    pub params: Params,
}

impl NameAddr {
    #[must_use]
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr { uri, ..NameAddr::default() }
    }

    /// With or without brackets; without them, parameters are the header's (RFC 3261 §20).
    #[must_use]
    pub fn read(text: &str) -> Option<NameAddr> {
        let text = text.trim();
        let quoted = if text.starts_with('"') { closing_quote(text)? + 1 } else { 0 };
        let Some(open) = text.get(quoted..)?.find('<').map(|at| at + quoted) else {
            let (uri, params) = text.split_once(';').unwrap_or((text, ""));
            return Some(NameAddr { name: None, uri: Uri::read(uri)?, params: read_params(params) });
        };
        let close = text.get(open..)?.find('>')? + open;
        let name = text.get(..open)?.trim();
        let name = match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
            Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
            None => name.to_owned(),
        };
        let params = text.get(close + 1..)?.trim_start().trim_start_matches(';');
        Some(NameAddr {
            name: (!name.is_empty()).then_some(name),
            uri: Uri::read(text.get(open + 1..close)?)?,
            params: read_params(params),
        })
    }

    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        param(&self.params, "tag")
    }

    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }

    /// The same with this tag.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> NameAddr {
        self.params.retain(|(name, _)| !name.eq_ignore_ascii_case("tag"));
        self.params.push(("tag".into(), Some(tag.into())));
        self
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "\"{}\" ", name.replace('\\', "\\\\").replace('"', "\\\""))?;
        }
        write!(f, "<{}>", self.uri)?;
        write_params(f, &self.params)
    }
}

/// The value of a parameter; empty for one without a value.
#[must_use]
pub fn param<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_deref().unwrap_or_default())
}

/// `a;b=c` without the first `;`.
#[must_use]
pub fn read_params(text: &str) -> Params {
    let parts = split_outside(text, ';').into_iter().map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| match part.split_once('=') {
        Some((key, value)) => (key.trim().to_owned(), Some(value.trim().trim_matches('"').to_owned())),
        None => (part.to_owned(), None),
    };
    parts.map(pair).collect()
}

fn write_params(f: &mut fmt::Formatter<'_>, params: &Params) -> fmt::Result {
    for (name, value) in params {
        match value {
            Some(value) => write!(f, ";{name}={value}")?,
            None => write!(f, ";{name}")?,
        }
    }
    Ok(())
}

fn read_host(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim();
    let after_literal = text.rfind(']').map_or(0, |at| at + 1);
    match text.get(after_literal..)?.rsplit_once(':') {
        Some((_, port)) => {
            let host = text.strip_suffix(port)?.strip_suffix(':')?;
            Some((host.to_owned(), Some(port.parse().ok()?)))
        }
        None => Some((text.to_owned(), None)),
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Pieces between `separator`, but not where it stands in quotes or in angle brackets.
#[must_use]
pub fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut quoted, mut escaped, mut inside) = (Vec::new(), 0, false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            c if c == separator && !quoted && !inside => {
                pieces.push(text.get(start..at).unwrap_or_default());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

/// `%XX` undone; what is no escape stays.
#[must_use]
pub fn unescape(text: &str) -> String {
    percent::decode(text.as_bytes())
}

/// What a URI's header may hold, `%XX` for the rest.
#[must_use]
pub fn escape(text: &str) -> String {
    percent::encode(text, b"-_.!~*'()")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_written_as_it_was_read() {
        for text in [
            "sip:alice.smith@127.0.0.1:5070;transport=tcp;lr?Replaces=a%40b",
            "sip:[::1]:5060",
            "sip:+1206;phone-context=x@host",
            "tel:+12065550101;phone-context=+1",
            "urn:service:sos",
        ] {
            assert_eq!(Uri::read(text).unwrap().to_string(), text);
        }
        assert_eq!(Uri::read("sip:a@h:99999"), None);
        assert_eq!(Uri::read("nonsense"), None);
        assert_eq!(Uri::read("sip:%2b1:pw@h").unwrap().number(), "+1");
        assert_eq!(
            Uri::read("sip:a@h?Replaces=x%3Bto-tag%3Dy").unwrap().header("replaces").unwrap(),
            "x;to-tag=y"
        );
    }

    #[test]
    fn a_name_may_hold_what_looks_like_an_address() {
        let address = NameAddr::read("\"J \\\"<sip:x@y>\\\"\" <sip:j@h;a=1>;tag=7").unwrap();
        assert_eq!((address.name.as_deref(), address.tag()), (Some("J \"<sip:x@y>\""), Some("7")));
        assert_eq!(NameAddr::read(&address.to_string()).unwrap(), address);
        assert_eq!(NameAddr::read("sip:j@h;tag=7").unwrap().tag(), Some("7"));
        assert_eq!(NameAddr::read("\"open <sip:j@h>"), None);
    }
}
