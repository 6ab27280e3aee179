//! One of the sixteen keys of a telephone. Owns its letters and its number in RFC 4733; how a digit sounds and how
//! it travels stands in `rtp`.

use std::fmt;

/// A key: `0` to `9`, `*`, `#`, `A` to `D`. RFC 4733 §3.2, table 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digit(u8);

const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl Digit {
    /// All keys in the order of their event codes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16).map(Self)
    }

    /// The key of an event code, if it is 0 to 15.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The key with this letter, in either case.
    #[must_use]
    pub fn from_char(c: char) -> Option<Self> {
        let at = KEYS.iter().position(|k| *k == c.to_ascii_uppercase())?;
        u8::try_from(at).ok().map(Self)
    }

    /// The event code of RFC 4733: 0 to 15.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// The key as it is printed on a telephone.
    #[must_use]
    pub fn as_char(self) -> char {
        KEYS.get(usize::from(self.0)).copied().unwrap_or('?')
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_letter_and_one_code() {
        let letters: String = Digit::all().map(Digit::as_char).collect();
        assert_eq!(letters, "0123456789*#ABCD");
        for digit in Digit::all() {
            assert_eq!(Digit::from_char(digit.as_char()), Some(digit));
            assert_eq!(Digit::from_code(digit.code()), Some(digit));
        }
        assert_eq!(Digit::from_char('b'), Digit::from_code(13));
        assert_eq!((Digit::from_char('E'), Digit::from_code(16)), (None, None));
    }
}
