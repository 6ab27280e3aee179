//! `name-addr / addr-spec` with header parameters: From, To, Contact, Route and their kin (RFC 3261 §20.10).

use std::fmt;
use std::str::FromStr;

use super::super::lex::{Cursor, Params, is_token_text, list, quote, unquote, whole};
use super::super::uri::Uri;
use super::Malformed;

/// An address with its display name and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// As written, with quotes if it had them; see [`NameAddr::display`].
    display: Option<String>,
    /// Who or where.
    pub uri: Uri,
    /// Parameters of the header, not of the URI.
    pub params: Params,
}

impl NameAddr {
    /// `<uri>`.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    /// With a display name, quoted.
    #[must_use]
    pub fn with_display(mut self, display: &str) -> Self {
        self.display = (!display.is_empty()).then(|| quote(display));
        self
    }

    /// With a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set(name, value);
        self
    }

    /// The display name without quotes and backslashes; `None` when there is none or it is empty.
    #[must_use]
    pub fn display(&self) -> Option<String> {
        self.display.as_deref().map(unquote).filter(|d| !d.is_empty())
    }

    /// The tag of a From or To; `None` also when it is empty.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|t| !t.is_empty())
    }

    /// Sets the tag of a From or To.
    pub fn set_tag(&mut self, tag: &str) {
        self.params.set("tag", Some(tag));
    }

    /// A Contact's `expires`, in seconds. A value that is no number counts as 3600 (RFC 3261 §10.3), one too large
    /// as the largest.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        let text = self.params.get("expires")?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        Some(if digits { text.parse().unwrap_or(u32::MAX) } else { 3600 })
    }

    /// A Contact's `q` in thousandths; 1000 when it is missing or unreadable.
    #[must_use]
    pub fn q(&self) -> u16 {
        let Some(text) = self.params.get("q") else { return 1000 };
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let thousandths =
            part.bytes().chain(*b"000").take(3).try_fold(0_u16, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0'))
            });
        match (whole, thousandths) {
            ("0" | "", Some(n)) => n,
            _ => 1000,
        }
    }

    /// One element where the cursor stands.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.lws();
        let display = if cursor.peek() == Some(b'"') {
            let quoted = cursor.quoted()?;
            cursor.lws();
            Some(quoted)
        } else {
            let before = cursor.clone().take_while(|b| b != b'<' && b != b',' && b != b';' && b != b':');
            if cursor.rest().as_bytes().get(before.len()) == Some(&b'<') {
                cursor.take_until(b'<').map(str::trim_end).filter(|d| !d.is_empty())
            } else {
                None
            }
        };
        if cursor.eat(b'<') {
            if display.is_some_and(|d| !d.starts_with('"') && !is_display(d)) {
                return None;
            }
            let uri = cursor.take_until(b'>')?.parse().ok()?;
            cursor.eat(b'>');
            return Some(Self { display: display.map(str::to_owned), uri, params: cursor.params()? });
        }
        if display.is_some() {
            return None;
        }
        // Without brackets a `;` begins the header's parameters, and `?` and `,` may not be in the URI (§20.10).
        let text = cursor.take_while(|b| !b.is_ascii_control() && !b" ;,<>\"".contains(&b));
        if text.contains('?') {
            return None;
        }
        Some(Self { display: None, uri: text.parse().ok()?, params: cursor.params()? })
    }

    /// Every element of a comma-separated list.
    pub(super) fn read_list(text: &str) -> Option<Vec<Self>> {
        list(text, Self::read)
    }
}

/// `*(token LWS)`; letters beyond ASCII are let pass, since phones send them.
fn is_display(text: &str) -> bool {
    text.split([' ', '\t']).all(|word| {
        let ascii: String = word.chars().filter(char::is_ascii).collect();
        ascii.is_empty() || is_token_text(&ascii)
    })
}

impl FromStr for NameAddr {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        whole(text, Self::read).ok_or(Malformed)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{display} ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// The values of Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// `*`: all bindings (RFC 3261 §10.2.2).
    All,
    /// In order, all lines together; may be empty.
    These(Vec<NameAddr>),
}

impl Contacts {
    /// The first, which is the remote target in a dialog.
    #[must_use]
    pub fn first(&self) -> Option<&NameAddr> {
        match self {
            Self::All => None,
            Self::These(contacts) => contacts.first(),
        }
    }
}
