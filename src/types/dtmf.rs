//! One of the sixteen keys of a telephone (ITU-T Q.23; the letters are the fourth column). Owns its letters and its
//! number in RFC 4733; how a key sounds and how it travels stands in `rtp`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key: `0` to `9`, `*`, `#`, `A` to `D`, in the order of their event codes (RFC 4733 §3.2, table 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "char", into = "char")]
pub struct Dtmf(u8);

/// A character that no phone has a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key of a phone: 0-9, *, #, A-D")]
pub struct DtmfError(pub char);

const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl Dtmf {
    /// All keys in the order of their event codes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16).map(Self)
    }

    /// The key of an event code, if it is 0 to 15.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The event code of RFC 4733: 0 to 15.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// The key as it is printed on a telephone, letters in upper case.
    #[must_use]
    pub fn as_char(self) -> char {
        KEYS.get(usize::from(self.0)).copied().unwrap_or('?')
    }
}

impl TryFrom<char> for Dtmf {
    type Error = DtmfError;
    fn try_from(key: char) -> Result<Self, Self::Error> {
        let upper = key.to_ascii_uppercase();
        let at = KEYS.iter().position(|k| *k == upper).ok_or(DtmfError(key))?;
        u8::try_from(at).map(Self).map_err(|_| DtmfError(key))
    }
}

impl From<Dtmf> for char {
    fn from(key: Dtmf) -> Self {
        key.as_char()
    }
}

impl fmt::Display for Dtmf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_letter_and_one_code() {
        let letters: String = Dtmf::all().map(Dtmf::as_char).collect();
        assert_eq!(letters, "0123456789*#ABCD");
        for key in Dtmf::all() {
            assert_eq!(Dtmf::try_from(key.as_char()), Ok(key));
            assert_eq!(Dtmf::from_code(key.code()), Some(key));
        }
        assert_eq!(Dtmf::from_code(16), None);
    }

    #[test]
    fn keys_are_read_in_either_case_and_nothing_else_is_a_key() {
        assert_eq!(Dtmf::try_from('d').map(Dtmf::as_char), Ok('D'));
        assert_eq!(Dtmf::try_from('#').map(Dtmf::as_char), Ok('#'));
        assert_eq!(Dtmf::try_from('E'), Err(DtmfError('E')));
        assert_eq!(serde_json::to_string(&Dtmf::try_from('b').unwrap()).unwrap(), "\"B\"");
    }
}
