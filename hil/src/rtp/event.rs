//! Keys: as telephone-event (RFC 4733), as INFO bodies, and as pairs of tones (ITU-T Q.23).

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of `0`-`9`, `*`, `#`, `A`-`D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "char", into = "char")]
pub struct Key(char);

const KEYS: &str = "0123456789*#ABCD";
const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const PAD: [&str; 4] = ["123A", "456B", "789C", "*0#D"];

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no key of a telephone")]
pub struct NoKey(char);

impl TryFrom<char> for Key {
    type Error = NoKey;

    fn try_from(c: char) -> Result<Key, NoKey> {
        let upper = c.to_ascii_uppercase();
        if KEYS.contains(upper) { Ok(Key(upper)) } else { Err(NoKey(c)) }
    }
}

impl From<Key> for char {
    fn from(key: Key) -> char {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Key {
    /// The event code, RFC 4733 table 3.
    #[must_use]
    pub fn code(self) -> u8 {
        KEYS.find(self.0).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
    }

    #[must_use]
    pub fn of_code(code: u8) -> Option<Key> {
        KEYS.chars().nth(code.into()).map(Key)
    }

    /// Its two frequencies, in Hz.
    #[must_use]
    pub fn tones(self) -> [f32; 2] {
        let place = PAD.iter().zip(LOW).find_map(|(row, low)| Some((low, row.find(self.0)?)));
        let (low, column) = place.unwrap_or((0.0, 0));
        [low, HIGH.get(column).copied().unwrap_or_default()]
    }

    /// The key whose tones are among these levels of [`Key::frequencies`], if they stand out.
    #[must_use]
    pub fn of_levels(levels: &[f32; 8], all: f32) -> Option<Key> {
        let (low, high) = levels.split_at(4);
        let loudest = |group: &[f32]| {
            let found = group.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
            Some((found.0, *found.1))
        };
        let ((row, a), (column, b)) = (loudest(low)?, loudest(high)?);
        let pair = a * a / 2.0 + b * b / 2.0;
        let stands_out = a > 400.0 && b > 400.0 && a < 4.0 * b && b < 4.0 * a && pair > 0.75 * all;
        if !stands_out {
            return None;
        }
        PAD.get(row)?.chars().nth(column).map(Key)
    }

    /// The eight frequencies of all keys, in Hz.
    #[must_use]
    pub fn frequencies() -> [f32; 8] {
        let [a, b, c, d] = LOW;
        let [e, f, g, h] = HIGH;
        [a, b, c, d, e, f, g, h]
    }
}

/// The payload of a telephone-event packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub code: u8,
    pub end: bool,
    /// In samples.
    pub duration: u16,
}

impl Event {
    #[must_use]
    pub fn write(self) -> Vec<u8> {
        let [high, low] = self.duration.to_be_bytes();
        vec![self.code, u8::from(self.end) << 7 | 10, high, low]
    }

    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Event> {
        let &[code, flags, high, low, ..] = payload else { return None };
        Some(Event { code, end: flags & 0x80 != 0, duration: u16::from_be_bytes([high, low]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_codes_and_tones() {
        for (key, code, tones) in [
            ('1', 1, [697.0, 1209.0]),
            ('0', 0, [941.0, 1336.0]),
            ('#', 11, [941.0, 1477.0]),
            ('d', 15, [941.0, 1633.0]),
        ] {
            let key = Key::try_from(key).unwrap();
            assert_eq!((key.code(), key.tones(), Key::of_code(code)), (code, tones, Some(key)));
        }
        assert!(Key::try_from('x').is_err());
        assert_eq!(Key::of_code(16), None);
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let event = Event { code: 11, end: true, duration: 800 };
        assert_eq!(Event::read(&event.write()), Some(event));
        assert_eq!(Event::read(&[1, 2, 3]), None);
    }
}
