//! The lexical rules that all SIP header fields share (RFC 3261 §25.1): LWS, token, quoted string, comment, generic
//! parameters. Works on unfolded text; every step is bounded by the text, none recurses.

use std::fmt;

/// A place in a text, moving forward only.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Takes `byte`, which is ASCII, if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            self.at += 1;
        }
        next
    }

    /// Takes `separator` with the blanks that RFC 3261 allows around every separator (`SLASH`, `SEMI`, `EQUAL`...).
    pub(super) fn separator(&mut self, separator: u8) -> bool {
        let mut ahead = self.clone();
        ahead.lws();
        if !ahead.eat(separator) {
            return false;
        }
        ahead.lws();
        self.at = ahead.at;
        true
    }

    /// Skips blanks and what is left of folded lines.
    pub(super) fn lws(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Takes while `wanted`, which must answer the same for every byte above 0x7f.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.text.get(from..self.at).unwrap_or("")
    }

    /// Takes up to `end`, which is ASCII and stays; `None` when it does not come.
    pub(super) fn take_until(&mut self, end: u8) -> Option<&'a str> {
        let taken = self.rest();
        let length = taken.bytes().position(|b| b == end)?;
        self.at += length;
        taken.get(..length)
    }

    pub(super) fn token(&mut self) -> Option<&'a str> {
        let token = self.take_while(is_token);
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string with its quotes as they stand; `None` and no step when it is not closed.
    pub(super) fn quoted(&mut self) -> Option<&'a str> {
        let from = self.at;
        let mut bytes = self.rest().bytes().enumerate();
        if bytes.next().map(|(_, b)| b) != Some(b'"') {
            return None;
        }
        while let Some((n, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.at = from + n + 1;
                    return self.text.get(from..self.at);
                }
                b'\\' => {
                    bytes.next();
                }
                _ => {}
            }
        }
        None
    }

    /// A comment, comments inside it included, without its outer parentheses.
    pub(super) fn comment(&mut self) -> Option<&'a str> {
        let from = self.at;
        let mut depth = 0_usize;
        let mut bytes = self.rest().bytes().enumerate();
        while let Some((n, byte)) = bytes.next() {
            match byte {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b'\\' => {
                    bytes.next();
                }
                _ => {}
            }
            if depth == 0 {
                if n == 0 {
                    return None;
                }
                self.at = from + n + 1;
                return self.text.get(from + 1..from + n);
            }
        }
        None
    }

    /// A decimal number; `None` when there is no digit or it does not fit.
    pub(super) fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        self.take_while(|b| b.is_ascii_digit()).parse().ok()
    }

    /// `*( ; name [ = value ] )`. A value is a token, a host with or without brackets, or a quoted string.
    pub(super) fn params(&mut self) -> Option<Params> {
        let mut params = Params::default();
        while self.separator(b';') {
            let name = self.token()?;
            let value = if self.separator(b'=') { Some(self.value()?) } else { None };
            params.0.push(Param { name: name.to_owned(), value: value.map(str::to_owned) });
        }
        self.lws();
        Some(params)
    }

    /// A parameter's value as it stands; empty is let pass (`;tag=` is seen in the field).
    pub(super) fn value(&mut self) -> Option<&'a str> {
        if self.peek() == Some(b'"') { self.quoted() } else { Some(self.take_while(is_value)) }
    }

    /// Whether another element of a comma-separated list follows; the comma is taken.
    pub(super) fn comma(&mut self) -> bool {
        self.separator(b',')
    }
}

/// RFC 3261 §25.1 `token`.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Whether `text` is a token, so that it needs no quotes.
pub(super) fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

fn is_value(byte: u8) -> bool {
    !byte.is_ascii_control() && !b" ;,\"()<>".contains(&byte)
}

/// All elements of a comma-separated list; `None` when one cannot be read or something is left over. Empty elements
/// are errors.
pub(super) fn list<'a, T>(
    text: &'a str,
    mut element: impl FnMut(&mut Cursor<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut cursor = Cursor::new(text);
    let mut elements = Vec::new();
    loop {
        cursor.lws();
        elements.push(element(&mut cursor)?);
        if !cursor.comma() {
            cursor.lws();
            return cursor.at_end().then_some(elements);
        }
    }
}

/// A whole text that is one element.
pub(super) fn whole<'a, T>(text: &'a str, element: impl FnOnce(&mut Cursor<'a>) -> Option<T>) -> Option<T> {
    let mut cursor = Cursor::new(text);
    cursor.lws();
    let value = element(&mut cursor)?;
    cursor.lws();
    cursor.at_end().then_some(value)
}

/// The text that a quoted string stands for; anything else as it is.
pub(super) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\\' { plain.extend(chars.next()) } else { plain.push(c) }
    }
    plain
}

/// `text` as a quoted string. Line ends and NUL, which no quoted string may hold, become blanks.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\r' | '\n' | '\0' => quoted.push(' '),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One parameter, as written: a quoted value keeps its quotes, an escaped one its escapes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// As written; compared without regard to case.
    pub name: String,
    /// `None` for a flag (`;lr`).
    pub value: Option<String>,
}

/// Parameters in the order in which they came. Names are compared without regard to case; the first of a name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Params(pub Vec<Param>);

impl Params {
    /// Whether the parameter is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value as written. `None` when the parameter is missing or has no value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)?.value.as_deref()
    }

    /// The value without quotes and backslashes.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(unquote)
    }

    /// Sets the parameter where it stands, or puts it at the end. The value is quoted if it is not a token or a host.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(|v| if v.bytes().all(is_value) { v.to_owned() } else { quote(v) });
        match self.0.iter_mut().find(|p| p.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: name.to_owned(), value }),
        }
    }

    /// Takes every parameter of that name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|p| !p.name.eq_ignore_ascii_case(name));
    }

    fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Param { name, value } in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}
