//! TP-SCTS, TP-DT and absolute TP-VP: seven octets of local time and its offset (3GPP TS 23.040 §9.2.3.11).

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::types::Wall;

/// When the service centre got a message, with the offset that it wrote the time in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// The instant.
    pub utc: Wall,
    /// Local time minus UTC, in quarters of an hour: -32 is eight hours west.
    pub quarters: i8,
}

impl Timestamp {
    /// Reads the seven octets; `None` when they are not a time (not decimal digits, a 13th month).
    pub(super) fn read(octets: [u8; 7]) -> Option<Self> {
        let [year, month, day, hour, minute, second, zone] = octets;
        let year = i16::from(digits(year)?);
        // Texting began in 1992: the nineties are the last century.
        let year = if year >= 90 { 1900 + year } else { 2000 + year };
        let civil = DateTime::new(
            year,
            digits(month)?,
            digits(day)?,
            digits(hour)?,
            digits(minute)?,
            digits(second)?,
            0,
        )
        .ok()?;
        // Bit 3 of the tens digit is the sign.
        let quarters = digits(zone & !0x08)?;
        let quarters = if zone & 0x08 == 0 { quarters } else { -quarters };
        let utc = offset(quarters)?.to_timestamp(civil).ok()?;
        Some(Self { utc: Wall(utc.as_millisecond()), quarters })
    }

    /// The seven octets; `None` for an instant outside 1990 to 2089, or an offset that two digits cannot hold.
    pub(super) fn octets(self) -> Option<[u8; 7]> {
        let local = self.civil()?;
        if !(1990..2090).contains(&local.year()) || self.quarters.unsigned_abs() > 79 {
            return None;
        }
        let two = |n: i8| {
            let n = n.unsigned_abs();
            (n / 10) | ((n % 10) << 4)
        };
        let year = i8::try_from(local.year() % 100).ok()?;
        let zone = two(self.quarters) | if self.quarters < 0 { 0x08 } else { 0 };
        Some([
            two(year),
            two(local.month()),
            two(local.day()),
            two(local.hour()),
            two(local.minute()),
            two(local.second()),
            zone,
        ])
    }

    fn civil(self) -> Option<DateTime> {
        Some(offset(self.quarters)?.to_datetime(jiff::Timestamp::from_millisecond(self.utc.0).ok()?))
    }
}

/// ISO 8601 with the offset as sent: `2026-11-20T10:11:12-08:00`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(local) = self.civil() else {
            return fmt::Display::fmt(&self.utc, f);
        };
        let sign = if self.quarters < 0 { '-' } else { '+' };
        let quarters = self.quarters.unsigned_abs();
        write!(f, "{local:.0}{sign}{:02}:{:02}", quarters / 4, quarters % 4 * 15)
    }
}

fn offset(quarters: i8) -> Option<Offset> {
    Offset::from_seconds(i32::from(quarters) * 15 * 60).ok()
}

/// Two decimal digits, the tens in the low half.
fn digits(octet: u8) -> Option<i8> {
    let (tens, units) = (octet & 0x0F, octet >> 4);
    (tens <= 9 && units <= 9).then(|| i8::try_from(tens * 10 + units).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_in_signed_quarters_of_an_hour() {
        let west = Timestamp::read([0x62, 0x11, 0x02, 0x01, 0x11, 0x21, 0x2B]).unwrap();
        assert_eq!(west.to_string(), "2026-11-20T10:11:12-08:00");
        assert_eq!(west.utc.rfc3339(), "2026-11-20T18:11:12.000Z");
        let nepal = Timestamp::read([0x62, 0x11, 0x02, 0x01, 0x11, 0x21, 0x32]).unwrap();
        assert_eq!(nepal.to_string(), "2026-11-20T10:11:12+05:45");
        let utc = Timestamp::read([0x62, 0x11, 0x02, 0x01, 0x11, 0x21, 0x00]).unwrap();
        assert_eq!(utc.to_string(), "2026-11-20T10:11:12+00:00");
        for t in [west, nepal, utc] {
            assert_eq!(Timestamp::read(t.octets().unwrap()), Some(t));
        }
    }

    #[test]
    fn what_is_not_a_time_is_none() {
        assert_eq!(Timestamp::read([0; 7]), None);
        assert_eq!(Timestamp::read([0xFF; 7]), None);
        assert_eq!(Timestamp::read([0x62, 0x31, 0x02, 0x01, 0x11, 0x21, 0x00]), None, "month 13");
        assert_eq!(Timestamp::read([0x62, 0x20, 0x03, 0x01, 0x11, 0x21, 0x00]), None, "30 February");
        assert_eq!(Timestamp::read([0x62, 0x11, 0x02, 0x42, 0x11, 0x21, 0x00]), None, "hour 24");
        assert_eq!(Timestamp::read([0x62, 0x11, 0x02, 0x01, 0x11, 0xA1, 0x00]), None, "not decimal");
    }
}
