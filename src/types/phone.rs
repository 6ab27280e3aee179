//! Who a text is from or to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number in E.164 form with its plus: `+12065550101`. Can be built only from a valid one.
/// (ITU-T E.164: at most 15 digits; at least 7 here, shorter ones are short codes.)
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

/// Why a text is not a phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhoneNumberError {
    /// Nothing was left after punctuation was taken off.
    #[error("the number is empty")]
    Empty,
    /// A character that no phone number has.
    #[error("{0:?} is not part of a phone number; write it as +12065550101")]
    BadCharacter(char),
    /// Shorter than 7 or longer than 15 digits.
    #[error("a phone number has 7 to 15 digits, this one has {0}; write it as +12065550101")]
    BadLength(usize),
    /// No plus, and no country to complete it with.
    #[error("the number lacks its country code; write it as +12065550101")]
    NoCountry,
}

impl PhoneNumber {
    /// Reads a number as people write it: `+1 206 555-0101`, `(206) 555-0101`, `0049…`. `country` is the calling
    /// code that completes a national number (`1` for North America; a leading 0 is dropped for others).
    ///
    /// # Errors
    /// [`PhoneNumberError`] says what is wrong and how to write it.
    pub fn parse(text: &str, country: Option<&str>) -> Result<Self, PhoneNumberError> {
        let mut plus = false;
        let mut digits = String::with_capacity(16);
        for (at, c) in text.trim().char_indices() {
            match c {
                '+' if at == 0 => plus = true,
                '0'..='9' => digits.push(c),
                ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2011}' => {}
                other => return Err(PhoneNumberError::BadCharacter(other)),
            }
        }
        if digits.is_empty() {
            return Err(PhoneNumberError::Empty);
        }
        if !plus {
            if let Some(rest) = digits.strip_prefix("00") {
                digits = rest.to_owned();
            } else if let Some(rest) = digits.strip_prefix("011").filter(|_| country == Some("1")) {
                digits = rest.to_owned();
            } else {
                match country {
                    Some("1") if digits.len() == 11 && digits.starts_with('1') => {}
                    Some("1") if digits.len() == 10 => digits.insert(0, '1'),
                    Some("1") => return Err(PhoneNumberError::BadLength(digits.len())),
                    Some(code) => {
                        let national = digits.strip_prefix('0').unwrap_or(&digits);
                        digits = format!("{code}{national}");
                    }
                    None => return Err(PhoneNumberError::NoCountry),
                }
            }
        }
        if !(7..=15).contains(&digits.len()) {
            return Err(PhoneNumberError::BadLength(digits.len()));
        }
        Ok(Self(format!("+{digits}")))
    }

    /// With its plus.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its plus.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = PhoneNumberError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text, None)
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `Debug` never shows a whole number: it is what logs print.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Redacted(&self.0))
    }
}

/// The far side of a text (TP-OA or TP-DA, 3GPP TS 23.040 §9.1.2.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Address {
    /// A full number: can be answered.
    Phone(PhoneNumber),
    /// A short code or a national number that could not be completed: digits, `*`, `#`, a-c. Can be answered.
    Short(String),
    /// An alphanumeric sender (`BANK-INFO`): cannot be answered.
    Alpha(String),
}

impl Address {
    /// What a person reads: the number with its plus, the digits, or the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(number) => number.as_str(),
            Self::Short(text) | Self::Alpha(text) => text,
        }
    }

    /// False for alphanumeric senders.
    #[must_use]
    pub fn can_be_answered(&self) -> bool {
        !matches!(self, Self::Alpha(_))
    }
}

/// Shows the first two and last two characters of personal data: `+1…01`. For logs.
pub struct Redacted<'a>(pub &'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.chars().count();
        if count < 6 {
            return f.write_str("…");
        }
        let head: String = self.0.chars().take(2).collect();
        let tail: String = self.0.chars().skip(count - 2).collect();
        write!(f, "{head}…{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_as_people_write_them() {
        let us = |t: &str| PhoneNumber::parse(t, Some("1")).map(|n| n.to_string());
        assert_eq!(us("(206) 555-0101").as_deref(), Ok("+12065550101"));
        assert_eq!(us("1 206 555 0101").as_deref(), Ok("+12065550101"));
        assert_eq!(us("+49 30 123456").as_deref(), Ok("+4930123456"));
        assert_eq!(us("011 49 30 123456").as_deref(), Ok("+4930123456"));
        assert_eq!(
            PhoneNumber::parse("030 123456", Some("49")).map(|n| n.to_string()).as_deref(),
            Ok("+4930123456")
        );
        assert_eq!(us("555-0101"), Err(PhoneNumberError::BadLength(7)));
        assert_eq!(us("BANK"), Err(PhoneNumberError::BadCharacter('B')));
        assert_eq!(PhoneNumber::parse("2065550101", None), Err(PhoneNumberError::NoCountry));
    }

    #[test]
    fn a_number_is_never_whole_in_debug() {
        let number = PhoneNumber::parse("+12065550101", None).unwrap();
        assert_eq!(format!("{number:?}"), "+1…01");
        assert!(!format!("{:?}", Address::Phone(number)).contains("5550"));
    }
}
