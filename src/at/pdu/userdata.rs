//! TP-UD: septets packed into octets, the three kinds of content, and how parts become one text. Parts are joined
//! as septets and UTF-16 units, and only then read: senders split escapes and surrogate pairs over parts.

use serde::{Deserialize, Serialize};

use super::national::{self, Table};
use crate::types::gsm7;

pub use super::national::National;

/// The content of one part, not yet text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UserData {
    /// GSM 7 bit, unpacked.
    Gsm7 {
        /// One septet an element.
        septets: Vec<u8>,
        /// The alphabet that stands in for the default one (IE 0x25).
        locking: National,
        /// The extension table that stands in for the default one (IE 0x24).
        single: National,
    },
    /// UTF-16, most significant octet first. An odd number of octets happens: half a unit may be in the next part.
    Ucs2 {
        /// As sent.
        octets: Vec<u8>,
    },
    /// For an application, or compressed.
    Data {
        /// As sent.
        octets: Vec<u8>,
    },
}

impl UserData {
    /// The text of this part alone; see [`join`] for messages of several parts.
    #[must_use]
    pub fn text(&self) -> String {
        join(&[self])
    }

    /// True when nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Gsm7 { septets: content, .. }
            | Self::Ucs2 { octets: content }
            | Self::Data { octets: content } => content.is_empty(),
        }
    }
}

/// The text of a message from its parts, in order. Neighbours in the same alphabet are one run, so an escape or a
/// surrogate pair that lies over the boundary comes out whole. Octets of data are text when they are printable
/// (UTF-8, else Latin-1), and nothing otherwise. Never fails: what cannot be read is U+FFFD.
#[must_use]
pub fn join(parts: &[&UserData]) -> String {
    let mut text = String::new();
    for run in parts.chunk_by(|a, b| same_alphabet(a, b)) {
        match run.first() {
            Some(UserData::Gsm7 { locking, single, .. }) => {
                text.push_str(&septets_to_text(&contents(run).concat(), *locking, *single));
            }
            Some(UserData::Ucs2 { .. }) => text.push_str(&utf16_text(&contents(run))),
            Some(UserData::Data { .. }) => text.push_str(&data_text(&contents(run).concat())),
            None => {}
        }
    }
    text
}

fn same_alphabet(a: &UserData, b: &UserData) -> bool {
    match (a, b) {
        (UserData::Gsm7 { locking: la, single: sa, .. }, UserData::Gsm7 { locking: lb, single: sb, .. }) => {
            la == lb && sa == sb
        }
        (UserData::Ucs2 { .. }, UserData::Ucs2 { .. }) | (UserData::Data { .. }, UserData::Data { .. }) => {
            true
        }
        (UserData::Gsm7 { .. } | UserData::Ucs2 { .. } | UserData::Data { .. }, _) => false,
    }
}

fn contents<'a>(run: &[&'a UserData]) -> Vec<&'a [u8]> {
    run.iter()
        .map(|part| match part {
            UserData::Gsm7 { septets: content, .. }
            | UserData::Ucs2 { octets: content }
            | UserData::Data { octets: content } => content.as_slice(),
        })
        .collect()
}

/// A part with an odd octet at its end gives it to the next part if that is odd too (a 16 bit reference leaves 133
/// octets, and some senders fill them); otherwise the octet is stray and dropped.
fn utf16_text(parts: &[&[u8]]) -> String {
    let mut octets: Vec<u8> = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
    for part in parts {
        if octets.len() % 2 == 1 && part.len() % 2 == 0 {
            octets.pop();
        }
        octets.extend_from_slice(part);
    }
    let units = octets.chunks_exact(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0xFFFD,
    });
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn data_text(octets: &[u8]) -> String {
    let text = std::str::from_utf8(octets)
        .map_or_else(|_| octets.iter().map(|&octet| char::from(octet)).collect(), str::to_owned);
    if text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')) {
        text
    } else {
        String::new()
    }
}

/// Reads septets with the given tables. An escape before a septet that the extension table lacks is skipped
/// (3GPP TS 23.038 §6.2.1.1 note 1); a second escape is a space; one at the very end is dropped.
pub(super) fn septets_to_text(septets: &[u8], locking: National, single: National) -> String {
    let mut text = String::with_capacity(septets.len());
    let table = national::locking(locking);
    let mut septets = septets.iter().copied();
    while let Some(septet) = septets.next() {
        if septet != gsm7::ESCAPE {
            push(&mut text, table, septet);
            continue;
        }
        match septets.next() {
            None => {}
            Some(gsm7::ESCAPE) => text.push(' '),
            Some(septet) => match national::single(single, septet) {
                Some(c) => text.push(c),
                None => push(&mut text, table, septet),
            },
        }
    }
    text
}

fn push(text: &mut String, table: &Table, septet: u8) {
    text.push(table.get(usize::from(septet)).copied().unwrap_or(char::REPLACEMENT_CHARACTER));
}

/// Bits between a header of `octets` octets and the first septet, which begins at a septet boundary
/// (3GPP TS 23.040 §9.2.3.24).
pub(super) fn fill_bits(octets: usize) -> usize {
    (7 - octets * 8 % 7) % 7
}

/// Takes up to `count` septets out of octets, after `skip` bits; fewer when the octets end before.
pub(super) fn unpack(octets: &[u8], skip: usize, count: usize) -> Vec<u8> {
    let present = (octets.len() * 8).saturating_sub(skip) / 7;
    (0..count.min(present))
        .map(|n| {
            let bit = skip + n * 7;
            let at = |index: usize| u16::from(octets.get(index).copied().unwrap_or(0));
            let window = at(bit / 8) | at(bit / 8 + 1) << 8;
            // Seven bits fit.
            u8::try_from(window >> (bit % 8) & 0x7F).unwrap_or(0)
        })
        .collect()
}

/// Packs septets into octets, after `skip` zero bits.
pub(super) fn pack(septets: &[u8], skip: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity((skip + septets.len() * 7).div_ceil(8));
    let (mut bits, mut held) = (0_u32, skip);
    for &septet in septets {
        bits |= u32::from(septet & 0x7F) << held;
        held += 7;
        while held >= 8 {
            octets.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        octets.push(bits.to_le_bytes()[0]);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gsm(septets: &[u8]) -> UserData {
        UserData::Gsm7 { septets: septets.to_vec(), locking: National::Default, single: National::Default }
    }

    #[test]
    fn septets_pack_as_the_specification_shows() {
        assert_eq!(pack(b"hellohello", 0), [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        assert_eq!(unpack(&[0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37], 0, 10), b"hellohello");
        for skip in 0..7 {
            for length in 0..20 {
                let septets: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37) & 0x7F).collect();
                assert_eq!(unpack(&pack(&septets, skip), skip, septets.len()), septets);
            }
        }
    }

    #[test]
    fn an_escape_split_over_parts_is_one_character() {
        assert_eq!(join(&[&gsm(&[0x41, 0x1B]), &gsm(&[0x65, 0x42])]), "A€B");
        assert_eq!(gsm(&[0x41, 0x1B]).text(), "A");
    }

    #[test]
    fn an_escape_without_a_meaning_leaves_its_septet() {
        assert_eq!(gsm(&[0x1B, 0x41, 0x1B, 0x1B, 0x42]).text(), "A B");
    }

    #[test]
    fn a_surrogate_pair_split_over_parts_is_one_character() {
        let ucs2 = |octets: &[u8]| UserData::Ucs2 { octets: octets.to_vec() };
        let (a, b) = (ucs2(&[0, 0x41, 0xD8, 0x3D]), ucs2(&[0xDE, 0x00, 0, 0x42]));
        assert_eq!(join(&[&a, &b]), "A😀B");
        assert_eq!(a.text(), "A\u{FFFD}");
        // Split in the middle of a unit.
        assert_eq!(join(&[&ucs2(&[0, 0x41, 0xD8]), &ucs2(&[0x3D, 0xDE, 0x00])]), "A😀");
        // A stray octet at the end of a part does not shift the next one.
        assert_eq!(join(&[&ucs2(&[0, 0x41, 0xD8]), &ucs2(&[0, 0x42])]), "AB");
    }

    #[test]
    fn data_is_text_only_when_it_can_be_read() {
        let data = |octets: &[u8]| UserData::Data { octets: octets.to_vec() }.text();
        assert_eq!(data(b"Hello\n"), "Hello\n");
        assert_eq!(data("é".as_bytes()), "é");
        assert_eq!(data(&[b'c', 0xE9]), "cé");
        assert_eq!(data(&[0x06, 0x01, 0xAE]), "");
    }
}
