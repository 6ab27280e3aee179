//! `validateDate`: a day within the next three months, as a person types it or as a menu computes it.

use jiff::civil::{Date, Weekday};
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::Call;

/// Before 2026 a clock that nobody vouches for has certainly never been set. Milliseconds.
const NEVER_SET: i64 = 1_767_225_600_000;
/// The guide: "within 3 months".
const MONTHS: i64 = 3;

/// Input `input` (or `text`, `date`); `{valid, date: YYYY-MM-DD, display: "Dec 25, 2026", message}`.
///
/// A box whose clock was never set knows no today: it then takes any real calendar date, says `unsure`, and asks
/// for one where it would have to reckon (`tomorrow`).
pub(super) fn call(call: &Call<'_>) -> Value {
    let today = (call.now.wall_sure || call.now.wall.0 >= NEVER_SET)
        .then(|| Timestamp::from_millisecond(call.now.wall.0).ok())
        .flatten()
        .map(|now| now.to_zoned(call.env.zone.clone()).date());
    let checked = read(call.first_of(&["input", "text", "date"]), today)
        .and_then(|date| within(date, today).map(|()| date));
    match checked {
        Ok(date) => {
            let mut value = json!({
                "valid": true,
                "date": date.to_string(),
                "display": date.strftime("%b %-d, %Y").to_string(),
                "message": "",
            });
            if let (None, Some(map)) = (today, value.as_object_mut()) {
                map.insert("unsure".into(), Value::Bool(true));
            }
            value
        }
        Err(message) => json!({"valid": false, "message": message}),
    }
}

fn within(date: Date, today: Option<Date>) -> Result<(), String> {
    let Some(today) = today else { return Ok(()) };
    let last = today.checked_add(Span::new().months(MONTHS)).unwrap_or(Date::MAX);
    if date < today {
        return Err(
            "That date is in the past. Please enter a date within the next 3 months (MM/DD/YYYY).".into()
        );
    }
    if date > last {
        let last = last.strftime("%m/%d/%Y");
        return Err(format!("That date is too far away. Please enter a date up to {last}."));
    }
    Ok(())
}

fn read(text: &str, today: Option<Date>) -> Result<Date, String> {
    let text = text.trim().trim_end_matches(['.', '!']).to_lowercase();
    let unreadable = || "Please enter the date as MM/DD/YYYY, for example 12/25/2026.".to_owned();
    if let Some(numbers) = numbers(&text) {
        return from_numbers(&numbers, text.contains('.'), today).ok_or_else(|| not_in_calendar(&text));
    }
    if let Some(relative) = relative(&text) {
        let today = today.ok_or_else(unreadable)?;
        return relative.from(today).ok_or_else(unreadable);
    }
    let (month, day, year) = month_name(&text).ok_or_else(unreadable)?;
    dated(year, month, day, today).ok_or_else(|| not_in_calendar(&text))
}

fn not_in_calendar(text: &str) -> String {
    let text: String = text.chars().take(20).collect();
    format!("{text} is not a date in the calendar. Please enter the date as MM/DD/YYYY.")
}

/// Days from now, or the next such weekday after today.
enum Relative {
    Days(i64),
    On(Weekday),
}

impl Relative {
    fn from(&self, today: Date) -> Option<Date> {
        match self {
            Self::Days(days) => today.checked_add(Span::new().try_days(*days).ok()?).ok(),
            Self::On(weekday) => today.nth_weekday(1, *weekday).ok(),
        }
    }
}

/// `today`, `tomorrow`, `in 2 days`, `in a week`, `next week`, `friday`, `next friday`.
fn relative(text: &str) -> Option<Relative> {
    let days = match text {
        "today" | "now" => 0,
        "tomorrow" | "tmrw" | "tomorow" => 1,
        "day after tomorrow" | "the day after tomorrow" => 2,
        "next week" => 7,
        _ => {
            let bare = ["next ", "this ", "on "].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
            if let Some(weekday) = weekday(bare) {
                return Some(Relative::On(weekday));
            }
            return counted(text.strip_prefix("in ").unwrap_or(text)).map(Relative::Days);
        }
    };
    Some(Relative::Days(days))
}

/// `2 days`, `a week`.
fn counted(text: &str) -> Option<i64> {
    let (count, unit) = text.split_once(' ')?;
    let count: i64 = match count {
        "a" | "an" | "one" => 1,
        "two" => 2,
        "three" => 3,
        digits => digits.parse().ok().filter(|n| (0..1000).contains(n))?,
    };
    match unit.trim() {
        "day" | "days" => Some(count),
        "week" | "weeks" => count.checked_mul(7),
        _ => None,
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    let all = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    all.iter().find(|(name, _)| abbreviates(text, name)).map(|(_, day)| *day)
}

/// At least three letters of a name: `fri`, `thurs`, `sept`.
fn abbreviates(text: &str, name: &str) -> bool {
    text.len() >= 3 && name.starts_with(text)
}

/// The numbers of a text that is only digits and one kind of separator: `12/25/2026`, `2026-12-25`, `12/25`.
fn numbers(text: &str) -> Option<Vec<(usize, i16)>> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    if !"/-.".contains(separator) {
        return None;
    }
    let parts: Option<Vec<(usize, i16)>> = text
        .split(separator)
        .map(str::trim)
        .map(|part| {
            part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit())).map(|n| (part.len(), n))
        })
        .collect();
    parts.filter(|parts| parts.len() == 2 || parts.len() == 3)
}

/// American order, unless the year comes first; 25.12.2026 with dots is day first when it can only be that.
fn from_numbers(parts: &[(usize, i16)], dots: bool, today: Option<Date>) -> Option<Date> {
    match *parts {
        [(4, year), (_, month), (_, day)] => dated(Some(year), month, day, today),
        [(_, month), (_, day), (digits, year)] => {
            let year = match digits {
                4 => year,
                2 => 2000 + year,
                _ => return None,
            };
            let american = dated(Some(year), month, day, today);
            if dots { american.or_else(|| dated(Some(year), day, month, today)) } else { american }
        }
        [(_, month), (_, day)] => dated(None, month, day, today),
        _ => None,
    }
}

/// Without a year: the next such day, which may be next year's.
fn dated(year: Option<i16>, month: i16, day: i16, today: Option<Date>) -> Option<Date> {
    let month = i8::try_from(month).ok()?;
    let day = i8::try_from(day).ok()?;
    if let Some(year) = year {
        return Date::new(year, month, day).ok();
    }
    let today = today?;
    let this_year = Date::new(today.year(), month, day).ok();
    this_year.filter(|date| *date >= today).or_else(|| Date::new(today.year() + 1, month, day).ok())
}

/// `dec 25`, `december 25th, 2026`, `25 dec 2026`: month, day, year.
fn month_name(text: &str) -> Option<(i16, i16, Option<i16>)> {
    const MONTHS: &[&str] = &[
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
    let mut month = None;
    let mut numbers = Vec::new();
    for word in text.split([' ', ',', '.']).filter(|word| !word.is_empty() && *word != "of" && *word != "the")
    {
        if let Some(at) = MONTHS.iter().position(|name| abbreviates(word, name)) {
            if month.replace(i16::try_from(at + 1).ok()?).is_some() {
                return None;
            }
        } else if weekday(word).is_none() {
            let digits =
                ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            numbers.push(digits.parse::<i16>().ok().filter(|n| *n > 0)?);
        }
    }
    match *numbers.as_slice() {
        [day] => Some((month?, day, None)),
        [day, year] if year >= 1000 => Some((month?, day, Some(year))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Friday.
    const TODAY: Date = jiff::civil::date(2026, 11, 20);

    fn valid(text: &str) -> Result<String, String> {
        let today = Some(TODAY);
        read(text, today).and_then(|date| within(date, today).map(|()| date.to_string()))
    }

    #[test]
    fn dates_are_read_as_people_type_them() {
        for text in [
            "12/25/2026",
            "12/25/26",
            "12/25",
            "12-25-2026",
            "12.25.2026",
            "25.12.2026",
            "2026-12-25",
            "Dec 25",
            "december 25th, 2026",
            "25 Dec 2026",
            "Fri, Dec 25.",
        ] {
            assert_eq!(valid(text).as_deref(), Ok("2026-12-25"), "{text}");
        }
        assert_eq!(valid("1/5").as_deref(), Ok("2027-01-05"));
    }

    #[test]
    fn menu_choices_are_computed() {
        assert_eq!(valid("today").as_deref(), Ok("2026-11-20"));
        assert_eq!(valid("Tomorrow").as_deref(), Ok("2026-11-21"));
        assert_eq!(valid("in 2 days").as_deref(), Ok("2026-11-22"));
        assert_eq!(valid("In 3 days").as_deref(), Ok("2026-11-23"));
        assert_eq!(valid("next week").as_deref(), Ok("2026-11-27"));
        assert_eq!(valid("friday").as_deref(), Ok("2026-11-27"));
        assert_eq!(valid("next mon").as_deref(), Ok("2026-11-23"));
    }

    #[test]
    fn what_is_no_day_within_three_months_is_refused_with_its_reason() {
        assert!(valid("11/19/2026").unwrap_err().contains("past"));
        assert!(valid("02/20/2027").is_ok());
        assert!(valid("02/21/2027").unwrap_err().contains("02/20/2027"));
        assert!(valid("02/30/2027").unwrap_err().contains("calendar"));
        assert!(valid("13/45/2026").unwrap_err().contains("calendar"));
        for text in ["soon", "", "12/25/2026/1", "ü", "in many days", "99999999999 days", "1/2/3"] {
            assert!(valid(text).is_err(), "{text}");
        }
    }

    #[test]
    fn without_a_clock_a_written_date_is_taken_and_a_reckoned_one_is_not() {
        assert!(read("12/25/2026", None).is_ok());
        assert!(read("tomorrow", None).is_err());
        assert!(read("12/25", None).is_err());
    }
}
