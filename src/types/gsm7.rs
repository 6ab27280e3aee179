//! The GSM 7 bit default alphabet and its extension table (3GPP TS 23.038 §6.2.1): which characters it has and
//! what they cost. Both the PDU codec and the segment count read it here, so that they cannot disagree. Owns no
//! packing (the PDU codec's) and no national tables (decoded only, the PDU codec's too).

/// The escape to the extension table: never a character by itself.
pub const ESCAPE: u8 = 0x1B;

/// Septet to character. Position 0x1B is [`ESCAPE`]; it stands here as a space, which is what §6.2.1 shows for it.
pub const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// Septet after [`ESCAPE`] to character (§6.2.1.1).
pub const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// How the alphabet writes one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Septets {
    /// One septet.
    One(u8),
    /// [`ESCAPE`] and this septet: two, which stay together.
    Escaped(u8),
}

impl Septets {
    /// 1 or 2.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Escaped(_) => 2,
        }
    }
}

/// How the alphabet writes `c`, or `None` when it cannot.
#[must_use]
pub fn encode(c: char) -> Option<Septets> {
    // Most of a text: letters and digits stand where ASCII has them.
    if c.is_ascii_alphanumeric() {
        return u8::try_from(c).ok().map(Septets::One);
    }
    if let Some(&(septet, _)) = EXTENSION.iter().find(|(_, e)| *e == c) {
        return Some(Septets::Escaped(septet));
    }
    (0..=0x7F_u8)
        .zip(DEFAULT)
        .find(|&(septet, d)| d == c && septet != ESCAPE)
        .map(|(septet, _)| Septets::One(septet))
}

/// The character of the extension table, or `None` where it has none.
#[must_use]
pub fn extension(septet: u8) -> Option<char> {
    EXTENSION.iter().find(|(s, _)| *s == septet).map(|&(_, c)| c)
}

/// True when every character of `text` is in the alphabet or its extension table.
#[must_use]
pub fn fits(text: &str) -> bool {
    text.chars().all(|c| encode(c).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_septet_but_the_escape_is_one_character_and_back() {
        for septet in (0..128_u8).filter(|&s| s != ESCAPE) {
            assert_eq!(encode(DEFAULT[usize::from(septet)]), Some(Septets::One(septet)), "{septet:#x}");
        }
        for (septet, c) in EXTENSION {
            assert_eq!(encode(c), Some(Septets::Escaped(septet)));
            assert_eq!(extension(septet), Some(c));
        }
    }

    #[test]
    fn look_alikes_are_not_in_the_alphabet() {
        // Small c with cedilla, backtick, curly quotes, tab and NUL are the usual surprises.
        for c in ['ç', '`', '\u{2019}', '\t', '\0', '\u{1b}', 'Á'] {
            assert_eq!(encode(c), None, "{c:?}");
        }
        assert_eq!(encode('Ç'), Some(Septets::One(0x09)));
        assert_eq!(encode(' '), Some(Septets::One(0x20)));
    }
}
