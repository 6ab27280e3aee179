//! The `date` filter's two halves: `read` understands dates as people and programs write them, `format` is
//! Ruby's `strftime`. No clock is read: `now` is handed in.

mod format;
mod read;

use jiff::Zoned;
use jiff::tz::TimeZone;

pub(super) use format::format;
pub(super) use read::read;

/// Seconds since 1970.
pub(super) fn from_epoch(seconds: i128, zone: &TimeZone) -> Option<Zoned> {
    let seconds = i64::try_from(seconds).ok()?;
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_zoned(zone.clone()))
}
