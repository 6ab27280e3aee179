//! Parameters of a webhook: `application/x-www-form-urlencoded` in a body or a query, or a flat JSON object. Octets
//! stay as they were sent, since the signature is over them; what is no UTF-8 is read lossily and said.
//!
//! Deliberately absent: what the parameters mean (`webhook`).

use std::borrow::Cow;

use serde_json::Value;

/// Most parameters that are read: Twilio sends about thirty, ten files make twenty more.
const MOST: usize = 1000;

/// One parameter, percent codes resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// Name.
    pub name: Vec<u8>,
    /// Value; may be empty.
    pub value: Vec<u8>,
}

/// Parameters in the order sent; a name may be there several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

/// Why parameters cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFields {
    /// More than 1000.
    #[error("there are too many parameters")]
    TooMany,
    /// JSON that is none, or no object of texts, numbers and truths.
    #[error("the body is not a flat JSON object")]
    NotFlatJson,
}

impl Fields {
    /// Reads a form. What is no percent code stays as it is.
    ///
    /// # Errors
    /// [`BadFields::TooMany`].
    pub fn from_form(text: &[u8]) -> Result<Self, BadFields> {
        let mut fields = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if fields.len() == MOST {
                return Err(BadFields::TooMany);
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            fields.push(Field { name, value: decode(halves.next().unwrap_or_default()) });
        }
        Ok(Self(fields))
    }

    /// Reads a JSON object whose values are texts, numbers, truths or null (empty).
    ///
    /// # Errors
    /// [`BadFields`].
    pub fn from_json(text: &[u8]) -> Result<Self, BadFields> {
        let Ok(Value::Object(object)) = serde_json::from_slice(text) else {
            return Err(BadFields::NotFlatJson);
        };
        if object.len() > MOST {
            return Err(BadFields::TooMany);
        }
        let field = |(name, value): (String, Value)| {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null => String::new(),
                Value::Array(_) | Value::Object(_) => return Err(BadFields::NotFlatJson),
            };
            Ok(Field { name: name.into_bytes(), value: value.into_bytes() })
        };
        object.into_iter().map(field).collect::<Result<_, _>>().map(Self)
    }

    /// All, as sent.
    #[must_use]
    pub fn all(&self) -> &[Field] {
        &self.0
    }

    /// The first value of that name; U+FFFD stands for what is no UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let field = self.0.iter().find(|field| field.name == name.as_bytes())?;
        Some(String::from_utf8_lossy(&field.value))
    }

    /// As [`Fields::get`]; an empty value is none.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// With U+FFFD in place of what is no UTF-8. `None`: all of it is UTF-8.
    #[must_use]
    pub fn mended(&self) -> Option<Self> {
        let whole = |field: &Field| {
            std::str::from_utf8(&field.name).is_ok() && std::str::from_utf8(&field.value).is_ok()
        };
        if self.0.iter().all(whole) {
            return None;
        }
        let mend = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned().into_bytes();
        Some(Self(self.0.iter().map(|f| Field { name: mend(&f.name), value: mend(&f.value) }).collect()))
    }
}

/// `+` is a space; `%` with two hexadecimal digits an octet, and itself otherwise.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, next) = match (first, after) {
            (b'+', _) => (b' ', after),
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => (b'%', after),
            },
            (other, _) => (*other, after),
        };
        out.push(byte);
        rest = next;
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let text_of = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let fields = Fields::from_form(text.as_bytes()).unwrap();
        fields.all().iter().map(|f| (text_of(&f.name), text_of(&f.value))).collect()
    }

    #[test]
    fn a_form_keeps_order_repetition_and_emptiness() {
        let all = read("b=1&a=x+y%26%3D&b=2&ToCity=&bare&&=v");
        let want = [("b", "1"), ("a", "x y&="), ("b", "2"), ("ToCity", ""), ("bare", ""), ("", "v")];
        assert_eq!(all, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_no_percent_code_stays() {
        assert_eq!(read("a=%&b=%4&c=%zz&d=100%25%")[3].1, "100%%");
        assert_eq!(read("a=%&b=%4&c=%zz")[..], read("a=%25&b=%254&c=%25zz")[..]);
    }

    #[test]
    fn what_is_no_utf_8_is_mended_and_the_octets_stay() {
        let fields = Fields::from_form(b"Body=caf%E9&From=x").unwrap();
        assert_eq!(fields.all()[0].value, b"caf\xe9");
        assert_eq!(fields.get("Body").unwrap(), "caf\u{fffd}");
        assert_eq!(fields.mended().unwrap().all()[0].value, "caf\u{fffd}".as_bytes());
        assert_eq!(Fields::from_form("Body=café".as_bytes()).unwrap().mended(), None);
    }

    #[test]
    fn json_is_read_when_it_is_flat() {
        let fields = Fields::from_json(br#"{"MessageSid":"SM1","NumMedia":0,"Read":true,"X":null}"#).unwrap();
        assert_eq!(fields.get("NumMedia").unwrap(), "0");
        assert_eq!((fields.get("X").unwrap(), fields.filled("X")), ("".into(), None));
        for bad in ["", "[]", "{", r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, "\"text\""] {
            assert_eq!(Fields::from_json(bad.as_bytes()), Err(BadFields::NotFlatJson), "{bad}");
        }
    }

    #[test]
    fn there_is_a_bound() {
        assert_eq!(Fields::from_form(&b"a&".repeat(1001)), Err(BadFields::TooMany));
        assert!(Fields::from_form(&b"a&".repeat(1000)).is_ok());
    }
}
