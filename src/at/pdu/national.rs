//! National language tables for decoding (3GPP TS 23.038 §6.2.1.2.4 and annex A): a locking table stands in for
//! the default alphabet, a single shift table for its extension. Never written: a text that the default alphabet
//! cannot hold goes out as UCS-2, which every phone reads.

use serde::{Deserialize, Serialize};

use super::indic;
use crate::types::gsm7;

/// Septet to character; the escape's place is never looked up.
pub(super) type Table = [char; 128];

/// Septet after an escape, and its character.
type Shift = [(u8, char)];

/// A language that has tables here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum National {
    /// The default alphabet, or its extension.
    #[default]
    Default,
    /// 1.
    Turkish,
    /// 2: has a single shift table only.
    Spanish,
    /// 3.
    Portuguese,
    /// 4.
    Bengali,
    /// 5.
    Gujarati,
    /// 6.
    Hindi,
    /// 7.
    Kannada,
    /// 8.
    Malayalam,
    /// 9.
    Oriya,
    /// 10.
    Punjabi,
    /// 11.
    Tamil,
    /// 12.
    Telugu,
    /// 13.
    Urdu,
}

impl National {
    /// The language of a locking shift; `None` when there is no such table here.
    pub(super) fn locking(language: u8) -> Option<Self> {
        Self::single(language).filter(|language| *language != Self::Spanish)
    }

    /// The language of a single shift; `None` when there is no such table here.
    pub(super) fn single(language: u8) -> Option<Self> {
        Some(match language {
            0 => Self::Default,
            1 => Self::Turkish,
            2 => Self::Spanish,
            3 => Self::Portuguese,
            4 => Self::Bengali,
            5 => Self::Gujarati,
            6 => Self::Hindi,
            7 => Self::Kannada,
            8 => Self::Malayalam,
            9 => Self::Oriya,
            10 => Self::Punjabi,
            11 => Self::Tamil,
            12 => Self::Telugu,
            13 => Self::Urdu,
            _ => return None,
        })
    }
}

pub(super) fn locking(language: National) -> &'static Table {
    match language {
        National::Default | National::Spanish => &gsm7::DEFAULT,
        National::Turkish => &TURKISH,
        National::Portuguese => &PORTUGUESE,
        National::Bengali => &indic::BENGALI,
        National::Gujarati => &indic::GUJARATI,
        National::Hindi => &indic::HINDI,
        National::Kannada => &indic::KANNADA,
        National::Malayalam => &indic::MALAYALAM,
        National::Oriya => &indic::ORIYA,
        National::Punjabi => &indic::PUNJABI,
        National::Tamil => &indic::TAMIL,
        National::Telugu => &indic::TELUGU,
        National::Urdu => &indic::URDU,
    }
}

/// The character after an escape, or `None` where the table has none.
pub(super) fn single(language: National, septet: u8) -> Option<char> {
    let (own, shared): (&Shift, &Shift) = match language {
        National::Default => (&[], &[]),
        National::Turkish => (&TURKISH_SHIFT, &[]),
        National::Spanish => (&SPANISH_SHIFT, &[]),
        National::Portuguese => (&PORTUGUESE_SHIFT, &[]),
        National::Bengali => (&indic::BENGALI_SHIFT, &indic::SHIFT),
        National::Gujarati => (&indic::GUJARATI_SHIFT, &indic::SHIFT),
        National::Hindi => (&indic::HINDI_SHIFT, &indic::SHIFT),
        National::Kannada => (&indic::KANNADA_SHIFT, &indic::SHIFT),
        National::Malayalam => (&indic::MALAYALAM_SHIFT, &indic::SHIFT),
        National::Oriya => (&indic::ORIYA_SHIFT, &indic::SHIFT),
        National::Punjabi => (&indic::PUNJABI_SHIFT, &indic::SHIFT),
        National::Tamil => (&indic::TAMIL_SHIFT, &indic::SHIFT),
        National::Telugu => (&indic::TELUGU_SHIFT, &indic::SHIFT),
        National::Urdu => (&indic::URDU_SHIFT, &indic::SHIFT),
    };
    // All of them have the default extension besides.
    let found = own.iter().chain(shared).find(|(s, _)| *s == septet).map(|&(_, c)| c);
    found.or_else(|| gsm7::extension(septet))
}

/// A.3.1.
const TURKISH: Table = with(&[
    (0x04, '€'),
    (0x07, 'ı'),
    (0x0B, 'Ğ'),
    (0x0C, 'ğ'),
    (0x1C, 'Ş'),
    (0x1D, 'ş'),
    (0x40, 'İ'),
    (0x60, 'ç'),
]);

/// A.3.3.
const PORTUGUESE: Table = with(&[
    (0x04, 'ê'),
    (0x06, 'ú'),
    (0x07, 'í'),
    (0x08, 'ó'),
    (0x09, 'ç'),
    (0x0B, 'Ô'),
    (0x0C, 'ô'),
    (0x0E, 'Á'),
    (0x0F, 'á'),
    (0x12, 'ª'),
    (0x13, 'Ç'),
    (0x14, 'À'),
    (0x15, '∞'),
    (0x16, '^'),
    (0x17, '\\'),
    (0x18, '€'),
    (0x19, 'Ó'),
    (0x1A, '|'),
    (0x1C, 'Â'),
    (0x1D, 'â'),
    (0x1E, 'Ê'),
    (0x24, 'º'),
    (0x40, 'Í'),
    (0x5B, 'Ã'),
    (0x5C, 'Õ'),
    (0x5D, 'Ú'),
    (0x60, '~'),
    (0x7B, 'ã'),
    (0x7C, 'õ'),
    (0x7D, '`'),
]);

/// A.2.1, beyond the default extension.
const TURKISH_SHIFT: [(u8, char); 7] =
    [(0x47, 'Ğ'), (0x49, 'İ'), (0x53, 'Ş'), (0x63, 'ç'), (0x67, 'ğ'), (0x69, 'ı'), (0x73, 'ş')];

/// A.2.2, beyond the default extension.
const SPANISH_SHIFT: [(u8, char); 9] = [
    (0x09, 'ç'),
    (0x41, 'Á'),
    (0x49, 'Í'),
    (0x4F, 'Ó'),
    (0x55, 'Ú'),
    (0x61, 'á'),
    (0x69, 'í'),
    (0x6F, 'ó'),
    (0x75, 'ú'),
];

/// A.2.3, beyond the default extension.
const PORTUGUESE_SHIFT: [(u8, char); 27] = [
    (0x05, 'ê'),
    (0x09, 'ç'),
    (0x0B, 'Ô'),
    (0x0C, 'ô'),
    (0x0E, 'Á'),
    (0x0F, 'á'),
    (0x12, 'Φ'),
    (0x13, 'Γ'),
    (0x15, 'Ω'),
    (0x16, 'Π'),
    (0x17, 'Ψ'),
    (0x18, 'Σ'),
    (0x19, 'Θ'),
    (0x1F, 'Ê'),
    (0x41, 'À'),
    (0x49, 'Í'),
    (0x4F, 'Ó'),
    (0x55, 'Ú'),
    (0x5B, 'Ã'),
    (0x5C, 'Õ'),
    (0x61, 'Â'),
    (0x69, 'í'),
    (0x6F, 'ó'),
    (0x75, 'ú'),
    (0x7B, 'ã'),
    (0x7C, 'õ'),
    (0x7F, 'â'),
];

/// The default alphabet with these places taken.
const fn with(places: &[(u8, char)]) -> Table {
    let mut table = gsm7::DEFAULT;
    let mut n = 0;
    while n < places.len() {
        table[places[n].0 as usize] = places[n].1;
        n += 1;
    }
    table
}
