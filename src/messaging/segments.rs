//! What a text costs: its encoding and how many segments it is billed as, equal to Twilio's message segment
//! calculator; and which characters make it dear, with what to write instead. Owns no PDU: the modem's own
//! encoder cuts between characters, not between graphemes, and may need a part less than is billed here.

use super::graphemes::graphemes;
use crate::types::gsm7;

/// The alphabet that a text travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 160 septets alone, 153 a segment.
    Gsm7,
    /// 70 UTF-16 units alone, 67 a segment.
    Ucs2,
}

impl Encoding {
    /// `GSM-7` or `UCS-2`, as Twilio writes them.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }
}

/// What a text costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The calculator's `encodingName`.
    pub encoding: Encoding,
    /// The calculator's `segmentsCount`: 1 for an empty text.
    pub segments: usize,
    /// Encoded code units, headers not counted: septets (2 for a character of the extension table) or UTF-16
    /// units. It is the calculator's `messageSize` divided by 7 or 16 bits; its `numberOfCharacters` is the same
    /// for GSM-7, and counts graphemes for UCS-2.
    pub units: usize,
}

/// 140 octets.
const SEGMENT_BITS: usize = 1120;
/// The header that joins segments: 6 octets in each.
const HEADER_BITS: usize = 48;

/// Counts as Twilio's calculator does with its `auto` encoding. A character of the extension table is never split
/// over two segments, nor is a grapheme, so an emoji family that does not fit begins the next segment.
///
/// Source: <https://github.com/TwilioDevEd/message-segment-calculator> 1.3.0, behaviour measured.
#[must_use]
pub fn segments(text: &str) -> Segments {
    let septets: Option<Vec<usize>> =
        text.chars().map(|c| gsm7::encode(c).map(gsm7::Septets::count)).collect();
    let (encoding, unit_bits, units) = match septets {
        Some(septets) => (Encoding::Gsm7, 7, septets),
        None => (Encoding::Ucs2, 16, graphemes(text).map(|g| g.encode_utf16().count()).collect()),
    };
    let bits = units.iter().map(|count| count * unit_bits);
    Segments { encoding, segments: fill(bits), units: units.iter().sum() }
}

/// The calculator fills a segment without a header first. Only when something does not fit does the first segment
/// get its header, and what that pushes out begins the second, in front of what did not fit, without being
/// measured again. So what is too big for a segment stays whole in one that is too full.
fn fill(pieces: impl Iterator<Item = usize>) -> usize {
    let mut first = Vec::new();
    let (mut count, mut used) = (1, 0);
    for piece in pieces {
        if used + piece > SEGMENT_BITS {
            count += 1;
            used = HEADER_BITS;
            if count == 2 {
                let mut kept = HEADER_BITS + first.iter().sum::<usize>();
                while kept > SEGMENT_BITS
                    && let Some(moved) = first.pop()
                {
                    kept -= moved;
                    used += moved;
                }
            }
        }
        if count == 1 {
            first.push(piece);
        }
        used += piece;
    }
    count
}

/// A character that GSM-7 does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Which.
    pub character: char,
    /// How often it occurs.
    pub count: usize,
    /// What says the same in GSM-7; may be empty. `None`: nothing does, leave it out or pay for it.
    pub instead: Option<&'static str>,
}

/// How to make a text cheaper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What the text costs as it is.
    pub now: Segments,
    /// The characters that force UCS-2, in order of their first place; empty when nothing does.
    pub offenders: Vec<Offender>,
    /// The text with every replacement made.
    pub rewritten: String,
    /// What that would cost.
    pub then: Segments,
}

/// Says which characters force a text into UCS-2, and what to write instead.
#[must_use]
pub fn advice(text: &str) -> Advice {
    let mut offenders: Vec<Offender> = Vec::new();
    let mut rewritten = String::with_capacity(text.len());
    for character in text.chars() {
        if gsm7::encode(character).is_some() {
            rewritten.push(character);
            continue;
        }
        let instead = instead(character);
        match instead {
            Some(instead) => rewritten.push_str(instead),
            None => rewritten.push(character),
        }
        match offenders.iter_mut().find(|offender| offender.character == character) {
            Some(offender) => offender.count += 1,
            None => offenders.push(Offender { character, count: 1, instead }),
        }
    }
    let then = segments(&rewritten);
    Advice { now: segments(text), offenders, rewritten, then }
}

/// What says the same, or nearly, in GSM-7.
fn instead(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '‚' | '‛' | '′' | '´' | '`' | 'ʼ' | 'ʹ' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => "\"",
        '‹' => "<",
        '›' => ">",
        '‐' | '\u{2011}' | '‒' | '–' | '—' | '―' | '−' | '•' | '·' | '‣' | '◦' => "-",
        '…' => "...",
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "\n",
        // Joiners, marks and controls that nobody sees. The joiner of emoji stays with its emoji.
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{ad}' => "",
        '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}' => "",
        '©' => "(c)",
        '®' => "(R)",
        '™' => "(TM)",
        '×' => "x",
        '÷' | '⁄' => "/",
        '±' => "+/-",
        '°' => " deg",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        '¹' => "1",
        '²' => "2",
        '³' => "3",
        '≤' => "<=",
        '≥' => ">=",
        '→' => "->",
        '←' => "<-",
        '№' => "No.",
        '¢' => "c",
        'á' | 'â' | 'ã' | 'ā' | 'ă' | 'ą' | 'ª' => "a",
        'Á' | 'À' | 'Â' | 'Ã' | 'Ā' | 'Ă' | 'Ą' => "A",
        'ç' | 'ć' | 'č' => "c",
        'Ć' | 'Č' => "C",
        'ď' | 'đ' => "d",
        'Ď' | 'Đ' => "D",
        'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'È' | 'Ê' | 'Ë' | 'Ē' | 'Ė' | 'Ę' | 'Ě' => "E",
        'ğ' => "g",
        'Ğ' => "G",
        'í' | 'î' | 'ï' | 'ī' | 'ı' => "i",
        'Ì' | 'Í' | 'Î' | 'Ï' | 'Ī' | 'İ' => "I",
        'ł' => "l",
        'Ł' => "L",
        'ń' | 'ň' => "n",
        'Ń' | 'Ň' => "N",
        'ó' | 'ô' | 'õ' | 'ō' | 'ő' | 'º' => "o",
        'Ó' | 'Ò' | 'Ô' | 'Õ' | 'Ō' | 'Ő' => "O",
        'œ' => "oe",
        'Œ' => "OE",
        'ř' => "r",
        'Ř' => "R",
        'ś' | 'ş' | 'š' | 'ș' => "s",
        'Ś' | 'Ş' | 'Š' | 'Ș' => "S",
        'ť' | 'ț' => "t",
        'Ť' | 'Ț' => "T",
        'ú' | 'û' | 'ū' | 'ů' | 'ű' => "u",
        'Ù' | 'Ú' | 'Û' | 'Ū' | 'Ů' | 'Ű' => "U",
        'ý' | 'ÿ' => "y",
        'Ý' | 'Ÿ' => "Y",
        'ź' | 'ż' | 'ž' => "z",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ẞ' => "SS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoding, segments, units.
    fn count(text: &str) -> (&'static str, usize, usize) {
        let counted = segments(text);
        (counted.encoding.as_str(), counted.segments, counted.units)
    }

    #[test]
    fn gsm_7_holds_160_alone_and_153_a_segment() {
        assert_eq!(count(""), ("GSM-7", 1, 0));
        assert_eq!(count(&"a".repeat(160)), ("GSM-7", 1, 160));
        assert_eq!(count(&"a".repeat(161)), ("GSM-7", 2, 161));
        assert_eq!(count(&"a".repeat(306)), ("GSM-7", 2, 306));
        assert_eq!(count(&"a".repeat(307)), ("GSM-7", 3, 307));
        assert_eq!(count("a\r\nb"), ("GSM-7", 1, 4));
    }

    #[test]
    fn characters_of_the_extension_table_count_twice_and_stay_whole() {
        assert_eq!(count(&"{".repeat(80)), ("GSM-7", 1, 160));
        // 76 in a segment: 152 of 153.
        assert_eq!(count(&"{".repeat(152)), ("GSM-7", 2, 304));
        assert_eq!(count(&"{".repeat(153)), ("GSM-7", 3, 306));
    }

    #[test]
    fn ucs_2_holds_70_alone_and_67_a_segment() {
        assert_eq!(count("ç"), ("UCS-2", 1, 1));
        assert_eq!(count(&"ж".repeat(70)), ("UCS-2", 1, 70));
        assert_eq!(count(&"ж".repeat(71)), ("UCS-2", 2, 71));
        assert_eq!(count(&"ж".repeat(134)), ("UCS-2", 2, 134));
        assert_eq!(count(&"ж".repeat(135)), ("UCS-2", 3, 135));
        assert_eq!(count("a|😀"), ("UCS-2", 1, 4));
    }

    #[test]
    fn graphemes_are_not_split() {
        // Numbers of the calculator itself.
        assert_eq!(count(&"👨‍👩‍👧‍👦".repeat(20)), ("UCS-2", 4, 220));
        assert_eq!(count(&"🇺🇸".repeat(40)), ("UCS-2", 3, 160));
        assert_eq!(count(&"e\u{301}".repeat(68)), ("UCS-2", 3, 136));
        // One that no segment can hold.
        assert_eq!(count(&format!("e{}", "\u{301}".repeat(100))), ("UCS-2", 2, 101));
    }

    #[test]
    fn advice_names_what_is_dear_and_what_to_write_instead() {
        let advised = advice("It’s “ready” – today… 😀’");
        assert_eq!(advised.rewritten, "It's \"ready\" - today... 😀'");
        assert_eq!(advised.offenders[0], Offender { character: '’', count: 2, instead: Some("'") });
        assert_eq!(advised.offenders.last().map(|o| (o.character, o.instead)), Some(('😀', None)));
        assert_eq!(advised.then.encoding, Encoding::Ucs2);

        let dear = advice(&format!("{}’", "a".repeat(100)));
        assert_eq!((dear.now.segments, dear.then.segments), (2, 1));
        assert!(advice("plain").offenders.is_empty());
    }

    #[test]
    fn every_replacement_is_itself_gsm_7() {
        for c in ('\0'..='\u{3000}').chain(['\u{feff}']).filter(|&c| gsm7::encode(c).is_none()) {
            assert!(instead(c).is_none_or(gsm7::fits), "{c:?}");
        }
    }
}
