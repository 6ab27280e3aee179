//! The GSM 7-bit default alphabet with its extension table (3GPP TS 23.038 §6.2.1), and septet packing.
//!
//! Absent: national language tables. A text that uses them is logged as the default alphabet reads it.

/// Index is the septet. 0x1B is the escape to the extension table and never a character of its own.
const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{0c}'),
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

pub(super) const ESCAPE: u8 = 0x1B;

/// Septets of one character: one, two with the escape, or `None` if the alphabet lacks it.
pub(super) fn septets_of(c: char) -> Option<Vec<u8>> {
    if c != '\u{1b}'
        && let Some(at) = DEFAULT.chars().position(|d| d == c)
    {
        return u8::try_from(at).ok().map(|s| vec![s]);
    }
    EXTENSION.iter().find(|(_, e)| *e == c).map(|(s, _)| vec![ESCAPE, *s])
}

/// All of `text` as septets, or `None` if a character is outside the alphabet.
pub(super) fn encode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        out.extend(septets_of(c)?);
    }
    Some(out)
}

/// Septets to text. An unknown extension is shown as the plain character, as §6.2.1.1 note 1 asks.
pub(super) fn decode(septets: &[u8]) -> String {
    let plain = |s: u8| DEFAULT.chars().nth(usize::from(s & 0x7F)).unwrap_or('?');
    let mut out = String::new();
    let mut escaped = false;
    for &s in septets {
        if escaped {
            escaped = false;
            match EXTENSION.iter().find(|(e, _)| *e == s) {
                Some((_, c)) => out.push(*c),
                None => out.push(plain(s)),
            }
        } else if s == ESCAPE {
            escaped = true;
        } else {
            out.push(plain(s));
        }
    }
    out
}

/// Packs septets after `fill` zero bits (the padding behind a user data header, 23.040 §9.2.3.24).
pub(super) fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let bits = fill + septets.len() * 7;
    let mut out = vec![0u8; bits.div_ceil(8)];
    for (i, s) in septets.iter().enumerate() {
        let at = fill + i * 7;
        let wide = u16::from(s & 0x7F) << (at % 8);
        let [low, high] = wide.to_le_bytes();
        if let Some(o) = out.get_mut(at / 8) {
            *o |= low;
        }
        if high != 0
            && let Some(o) = out.get_mut(at / 8 + 1)
        {
            *o |= high;
        }
    }
    out
}

/// Reads `count` septets that start `skip_bits` into `octets`; fewer if the octets end early.
pub(super) fn unpack(octets: &[u8], skip_bits: usize, count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(count);
    for i in 0..count {
        let at = skip_bits + i * 7;
        if at + 7 > octets.len() * 8 {
            break;
        }
        let low = octets.get(at / 8).copied().unwrap_or(0);
        let high = octets.get(at / 8 + 1).copied().unwrap_or(0);
        let wide = u16::from_le_bytes([low, high]) >> (at % 8);
        out.push((wide & 0x7F).to_le_bytes()[0]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_the_classic_vector() {
        let septets = encode("hellohello").unwrap();
        assert_eq!(pack(&septets, 0), [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        assert_eq!(decode(&unpack(&pack(&septets, 0), 0, 10)), "hellohello");
    }

    #[test]
    fn every_character_survives_any_fill() {
        let all: String =
            DEFAULT.chars().filter(|c| *c != '\u{1b}').chain(EXTENSION.iter().map(|e| e.1)).collect();
        let septets = encode(&all).unwrap();
        for fill in 0..7 {
            let back = unpack(&pack(&septets, fill), fill, septets.len());
            assert_eq!(decode(&back), all, "fill {fill}");
        }
    }

    #[test]
    fn refuses_what_the_alphabet_lacks() {
        assert_eq!(encode("naïve"), None);
        assert_eq!(encode("\u{1b}"), None);
    }
}
