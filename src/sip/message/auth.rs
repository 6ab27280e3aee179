//! The shape that challenges and credentials share (RFC 3261 §25.1, RFC 7616): a scheme and its parameters. What
//! Digest makes of them is [`super::super::digest`].

use std::fmt;
use std::str::FromStr;

use super::super::lex::{Cursor, Param, Params, is_token_text, quote, whole};
use super::Malformed;

/// One challenge, or one set of credentials. Its `Debug` shows the scheme alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// `Digest`, or another; compared without regard to case.
    pub scheme: String,
    /// `name=value`, in order, as written.
    pub params: Params,
    /// What stands in the place of parameters in other schemes (`Basic dXNlcg==`).
    pub token68: Option<String>,
}

impl Auth {
    /// `Digest` without parameters.
    #[must_use]
    pub fn digest() -> Self {
        Self { scheme: "Digest".to_owned(), params: Params::default(), token68: None }
    }

    /// Whether the scheme is Digest.
    #[must_use]
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }

    /// With a parameter in quotes.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Self {
        self.params.0.push(Param { name: name.to_owned(), value: Some(quote(value)) });
        self
    }

    /// With a parameter without quotes, which `value` must not need; it gets them if it does.
    #[must_use]
    pub fn plain(mut self, name: &str, value: &str) -> Self {
        let value = if is_token_text(value) { value.to_owned() } else { quote(value) };
        self.params.0.push(Param { name: name.to_owned(), value: Some(value) });
        self
    }

    /// A parameter without quotes and backslashes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.params.text(name)
    }

    /// All of one line: some servers put several challenges into one.
    pub(super) fn read_list(text: &str) -> Option<Vec<Self>> {
        whole(text, |cursor| {
            let mut all = vec![Self::read(cursor)?];
            while cursor.comma() {
                all.push(Self::read(cursor)?);
            }
            Some(all)
        })
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let scheme = cursor.token()?.to_owned();
        cursor.lws();
        let mut auth = Self { scheme, params: Params::default(), token68: None };
        let mut ahead = cursor.clone();
        match read_param(&mut ahead) {
            Some(param) => {
                auth.params.0.push(param);
                *cursor = ahead;
            }
            None => {
                let text = cursor.take_while(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
                auth.token68 = (!text.is_empty()).then(|| text.to_owned());
                return Some(auth);
            }
        }
        loop {
            let mut ahead = cursor.clone();
            if !ahead.comma() {
                return Some(auth);
            }
            let Some(param) = read_param(&mut ahead) else { return Some(auth) };
            auth.params.0.push(param);
            *cursor = ahead;
        }
    }
}

/// `name = value`; `None` for a token that is the next scheme.
fn read_param(cursor: &mut Cursor<'_>) -> Option<Param> {
    let name = cursor.token()?.to_owned();
    if !cursor.separator(b'=') {
        return None;
    }
    let value = cursor.value()?.to_owned();
    // `dXNlcg==` is no parameter.
    let blank = value.is_empty() && cursor.peek().is_none();
    (!blank && !value.starts_with('=')).then_some(Param { name, value: Some(value) })
}

impl FromStr for Auth {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        whole(text, Self::read).ok_or(Malformed)
    }
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        if let Some(text) = &self.token68 {
            write!(f, " {text}")?;
        }
        for (n, param) in self.params.0.iter().enumerate() {
            let value = param.value.as_deref().unwrap_or_default();
            write!(f, "{}{}={value}", if n == 0 { " " } else { ", " }, param.name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (kept back)", self.scheme)
    }
}
