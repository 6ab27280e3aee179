//! Dates as text: ISO 8601 dates and date-times, RFC 2822, `March 14, 2016`, `14 Mar 2016 3:30 pm`,
//! `3/14/2016` (month first, as the shops write it), seconds since 1970, `now`, `today`. A date without an
//! offset is in the given zone; one with an offset is the same moment shown in the given zone.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::types::Wall;

/// Longer texts are no dates.
const MAX_LENGTH: usize = 64;

/// The moment that `text` names, in `zone`; `None` when it names none.
pub(crate) fn read(text: &str, zone: &TimeZone, now: Wall) -> Option<Zoned> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    let now = Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone.clone());
    if text.eq_ignore_ascii_case("now") || text.eq_ignore_ascii_case("today") {
        return Some(now);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return super::from_epoch(text.parse().ok()?, zone);
    }
    let mut parts = Parts::default();
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        parts.word(word)?;
    }
    parts.moment(zone, &now)
}

/// What was found so far.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<Time>,
    offset: Option<Offset>,
    /// A month was named or the date came whole: numbers alone are no date.
    is_sure: bool,
}

impl Parts {
    /// Takes one word; `None` when it does not belong into a date.
    fn word(&mut self, word: &str) -> Option<()> {
        let bare = word.trim_end_matches('.');
        if let Some((date, time)) = word.split_once(['T', 't'])
            && date.ends_with(|c: char| c.is_ascii_digit())
            && time.starts_with(|c: char| c.is_ascii_digit())
        {
            self.whole_date(date)?;
            return self.clock(time);
        }
        if let Some(month) = month(bare) {
            self.is_sure = true;
            return set(&mut self.month, month);
        }
        if is_weekday(bare) || bare.eq_ignore_ascii_case("at") {
            return Some(());
        }
        if bare.eq_ignore_ascii_case("am") || bare.eq_ignore_ascii_case("pm") {
            let time = self.time?;
            self.time = Some(half_day(time, bare)?);
            return Some(());
        }
        if self.time.is_some()
            && let Some(offset) = offset(word)
        {
            return set(&mut self.offset, offset);
        }
        if word.contains(':') || ends_in_half_day(word) {
            return self.clock(word);
        }
        if word.contains(['-', '/']) {
            return self.whole_date(word);
        }
        self.number(word)
    }

    /// `14`, `14th`, `2016`.
    fn number(&mut self, word: &str) -> Option<()> {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = word.split_at_checked(digits)?;
        let is_ordinal = ["st", "nd", "rd", "th"].iter().any(|s| suffix.eq_ignore_ascii_case(s));
        match digits {
            1 | 2 if suffix.is_empty() || is_ordinal => set(&mut self.day, number.parse().ok()?),
            4 if suffix.is_empty() => set(&mut self.year, number.parse().ok()?),
            _ => None,
        }
    }

    /// `2016-03-14`, `2016/3/14`, `3/14/2016`, `14-Mar-2016`.
    fn whole_date(&mut self, word: &str) -> Option<()> {
        let mut fields = word.split(['-', '/']);
        let (a, b, c) = (fields.next()?, fields.next()?, fields.next());
        if fields.next().is_some() {
            return None;
        }
        let (year, month_text, day) = match c {
            Some(c) if a.len() == 4 => (Some(a), b, c),
            Some(c) if month(b).is_some() => (Some(c), b, a),
            Some(c) if word.contains('/') => (Some(c), a, b),
            None if word.contains('/') => (None, a, b),
            Some(_) | None => return None,
        };
        self.is_sure = true;
        if let Some(year) = year {
            set(&mut self.year, full_year(year)?)?;
        }
        set(&mut self.month, month(month_text).or_else(|| month_text.parse().ok())?)?;
        set(&mut self.day, day.parse().ok()?)
    }

    /// `10:00`, `10:00:00.123`, `3:30pm`, with an offset behind it.
    fn clock(&mut self, word: &str) -> Option<()> {
        let end = word.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(word.len());
        let (clock, tail) = word.split_at_checked(end)?;
        let mut fields = clock.split(':');
        let hour = fields.next()?.parse().ok()?;
        let minute = fields.next().map_or(Some(0), |text| text.parse().ok())?;
        let (second, fraction) =
            fields.next().map_or(("0", ""), |text| text.split_once('.').unwrap_or((text, "")));
        if fields.next().is_some() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        // A leap second is the last ordinary one.
        let second = second.parse::<i8>().ok()?.min(59);
        let time = Time::new(hour, minute, second, nanos).ok()?;
        if tail.is_empty() {
            return set(&mut self.time, time);
        }
        if tail.eq_ignore_ascii_case("am") || tail.eq_ignore_ascii_case("pm") {
            return set(&mut self.time, half_day(time, tail)?);
        }
        set(&mut self.time, time)?;
        set(&mut self.offset, offset(tail)?)
    }

    /// A time alone is today's; a date without a year is this year's.
    fn moment(&self, zone: &TimeZone, now: &Zoned) -> Option<Zoned> {
        let date = match (self.month, self.day) {
            (Some(month), Some(day)) if self.is_sure => {
                Date::new(self.year.unwrap_or_else(|| now.year()), month, day).ok()?
            }
            (Some(month), None) if self.is_sure => Date::new(self.year?, month, 1).ok()?,
            (None, None) if self.year.is_none() && self.time.is_some() => now.date(),
            _ => return None,
        };
        let civil: DateTime = date.to_datetime(self.time.unwrap_or_else(Time::midnight));
        match self.offset {
            Some(offset) => Some(offset.to_timestamp(civil).ok()?.to_zoned(zone.clone())),
            None => civil.to_zoned(zone.clone()).ok(),
        }
    }
}

/// Sets what was not set; twice is no date.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A name or its first letters, at least three of them.
fn is_name(word: &str, name: &str) -> bool {
    word.len() >= 3 && name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn month(word: &str) -> Option<i8> {
    let index = MONTHS.iter().position(|name| is_name(word, name))?;
    i8::try_from(index + 1).ok()
}

fn is_weekday(word: &str) -> bool {
    WEEKDAYS.iter().any(|name| is_name(word, name))
}

fn full_year(text: &str) -> Option<i16> {
    let year: i16 = text.parse().ok()?;
    match text.len() {
        4 => Some(year),
        2 => Some(if year < 69 { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

fn ends_in_half_day(word: &str) -> bool {
    let tail = word.trim_start_matches(|c: char| c.is_ascii_digit());
    tail.len() < word.len() && (tail.eq_ignore_ascii_case("am") || tail.eq_ignore_ascii_case("pm"))
}

fn half_day(time: Time, half: &str) -> Option<Time> {
    let hour = match (time.hour(), half.eq_ignore_ascii_case("pm")) {
        (12, false) => 0,
        (hour @ 1..=11, true) => hour + 12,
        (hour @ 1..=12, _) => hour,
        _ => return None,
    };
    Time::new(hour, time.minute(), time.second(), time.subsec_nanosecond()).ok()
}

/// `Z`, `UTC`, `GMT`, `+0200`, `-08:00`, the American zones of RFC 2822 §4.3.
fn offset(word: &str) -> Option<Offset> {
    let hours = |hours| Offset::from_seconds(hours * 3600).ok();
    match word.to_ascii_uppercase().as_str() {
        "Z" | "UTC" | "GMT" => return hours(0),
        "EDT" => return hours(-4),
        "EST" | "CDT" => return hours(-5),
        "CST" | "MDT" => return hours(-6),
        "MST" | "PDT" => return hours(-7),
        "PST" => return hours(-8),
        _ => {}
    }
    let sign = if word.starts_with('-') { -1 } else { 1 };
    let digits = word.strip_prefix(['+', '-'])?.replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..4).map_or(Some(0), |text| text.parse().ok())?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}
