//! Ruby's `strftime`: directives, the flags `-`, `0`, `^`, `#`, `_`, `:` and a width.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use jiff::Zoned;

/// Wider fields are not honoured: a width is no way to fill the memory.
const MAX_WIDTH: usize = 64;

/// Directives inside directives (`%c` has `%e` in it).
const MAX_DEPTH: usize = 2;

/// Prints `moment`; what is no directive is printed as it is. The result is cut near `room` bytes.
pub(crate) fn format(moment: &Zoned, format: &str, room: usize) -> String {
    let mut out = String::new();
    write(moment, format, room, 0, &mut out);
    out
}

/// What stands between `%` and the directive's letter.
#[derive(Clone, Copy, Default)]
struct Flags {
    pad: Option<char>,
    is_bare: bool,
    is_upper: bool,
    is_swapped: bool,
    colons: usize,
    width: Option<usize>,
}

fn write(moment: &Zoned, format: &str, room: usize, depth: usize, out: &mut String) {
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if out.len() > room {
            return;
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut verbatim = String::from("%");
        let flags = flags(&mut rest, &mut verbatim);
        let Some(letter) = rest.next() else {
            out.push_str(&verbatim);
            return;
        };
        verbatim.push(letter);
        match field(moment, letter, flags, depth) {
            Some(text) => out.push_str(&text),
            None => out.push_str(&verbatim),
        }
    }
}

fn flags(rest: &mut Peekable<Chars<'_>>, verbatim: &mut String) -> Flags {
    let mut flags = Flags::default();
    while let Some(&c) = rest.peek() {
        match c {
            '-' => flags.is_bare = true,
            '0' if flags.width.is_none() => flags.pad = Some('0'),
            '_' => flags.pad = Some(' '),
            '^' => flags.is_upper = true,
            '#' => flags.is_swapped = true,
            ':' => flags.colons += 1,
            _ => match c.to_digit(10).and_then(|digit| usize::try_from(digit).ok()) {
                Some(digit) => {
                    flags.width = Some((flags.width.unwrap_or(0) * 10 + digit).min(MAX_WIDTH));
                }
                None => return flags,
            },
        }
        verbatim.push(c);
        rest.next();
    }
    flags
}

fn field(moment: &Zoned, letter: char, flags: Flags, depth: usize) -> Option<String> {
    let number = |value: i64, width: usize, pad: char| Some(padded(value, width, pad, flags));
    let hour12 = i64::from((moment.hour() + 11) % 12 + 1);
    let week = |from_monday: bool| {
        let weekday = i64::from(if from_monday {
            moment.weekday().to_monday_zero_offset()
        } else {
            moment.weekday().to_sunday_zero_offset()
        });
        (i64::from(moment.day_of_year()) - 1 + 7 - weekday) / 7
    };
    let iso = moment.date().iso_week_date();
    match letter {
        'Y' => number(i64::from(moment.year()), 1, '0'),
        'C' => number(i64::from(moment.year()).div_euclid(100), 2, '0'),
        'y' => number(i64::from(moment.year()).rem_euclid(100), 2, '0'),
        'm' => number(i64::from(moment.month()), 2, '0'),
        'd' => number(i64::from(moment.day()), 2, '0'),
        'e' => number(i64::from(moment.day()), 2, ' '),
        'j' => number(i64::from(moment.day_of_year()), 3, '0'),
        'H' => number(i64::from(moment.hour()), 2, '0'),
        'k' => number(i64::from(moment.hour()), 2, ' '),
        'I' => number(hour12, 2, '0'),
        'l' => number(hour12, 2, ' '),
        'M' => number(i64::from(moment.minute()), 2, '0'),
        'S' => number(i64::from(moment.second()), 2, '0'),
        'L' => Some(fraction(moment, flags.width.unwrap_or(3))),
        'N' => Some(fraction(moment, flags.width.unwrap_or(9))),
        's' => number(moment.timestamp().as_second(), 1, '0'),
        'u' => number(i64::from(moment.weekday().to_monday_one_offset()), 1, '0'),
        'w' => number(i64::from(moment.weekday().to_sunday_zero_offset()), 1, '0'),
        'G' => number(i64::from(iso.year()), 1, '0'),
        'g' => number(i64::from(iso.year()).rem_euclid(100), 2, '0'),
        'V' => number(i64::from(iso.week()), 2, '0'),
        'U' => number(week(false), 2, '0'),
        'W' => number(week(true), 2, '0'),
        'A' => Some(words(weekday(moment), flags)),
        'a' => Some(words(weekday(moment).get(..3)?, flags)),
        'B' => Some(words(month(moment)?, flags)),
        'b' | 'h' => Some(words(month(moment)?.get(..3)?, flags)),
        'p' => Some(words(if moment.hour() < 12 { "AM" } else { "PM" }, flags)),
        'P' => Some(words(if moment.hour() < 12 { "am" } else { "pm" }, flags)),
        'z' => Some(offset(moment, flags.colons)),
        'Z' => {
            let zone = moment.time_zone().to_offset_info(moment.timestamp());
            Some(words(zone.abbreviation(), flags))
        }
        '%' => Some("%".to_owned()),
        'n' => Some("\n".to_owned()),
        't' => Some("\t".to_owned()),
        _ => composed(moment, letter, flags, depth),
    }
}

/// Directives that stand for several.
fn composed(moment: &Zoned, letter: char, flags: Flags, depth: usize) -> Option<String> {
    let format = match letter {
        'c' => "%a %b %e %H:%M:%S %Y",
        'D' | 'x' => "%m/%d/%y",
        'F' => "%Y-%m-%d",
        'R' => "%H:%M",
        'r' => "%I:%M:%S %p",
        'T' | 'X' => "%H:%M:%S",
        'v' => "%e-%^b-%Y",
        '+' => "%a %b %e %H:%M:%S %Z %Y",
        _ => return None,
    };
    if depth >= MAX_DEPTH {
        return None;
    }
    let mut out = String::new();
    write(moment, format, usize::MAX, depth + 1, &mut out);
    Some(words(&out, flags))
}

fn padded(value: i64, width: usize, pad: char, flags: Flags) -> String {
    if flags.is_bare {
        return value.to_string();
    }
    let width = flags.width.unwrap_or(width);
    match flags.pad.unwrap_or(pad) {
        '0' => format!("{value:0width$}"),
        _ => format!("{value:width$}"),
    }
}

fn words(text: &str, flags: Flags) -> String {
    let text = match (flags.is_upper, flags.is_swapped) {
        (true, _) => text.to_uppercase(),
        // Ruby swaps `%#p` down and everything else up.
        (false, true) if text == "AM" || text == "PM" => text.to_lowercase(),
        (false, true) => text.to_uppercase(),
        (false, false) => text.to_owned(),
    };
    let width = flags.width.unwrap_or(0);
    if flags.pad == Some('0') {
        let missing = width.saturating_sub(text.chars().count());
        return "0".repeat(missing) + &text;
    }
    format!("{text:>width$}")
}

fn fraction(moment: &Zoned, digits: usize) -> String {
    let nanos = format!("{:09}", moment.subsec_nanosecond());
    let mut text: String = nanos.chars().take(digits).collect();
    text.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
    text
}

/// `+0200`, `%:z` `+02:00`, `%::z` `+02:00:00`.
fn offset(moment: &Zoned, colons: usize) -> String {
    let seconds = moment.offset().seconds();
    let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let (hours, minutes) = (size / 3600, size / 60 % 60);
    let colon = if colons > 0 { ":" } else { "" };
    let mut text = format!("{sign}{hours:02}{colon}{minutes:02}");
    if colons > 1 {
        // Writing to a `String` cannot fail.
        write!(text, ":{:02}", size % 60).unwrap_or_default();
    }
    text
}

fn weekday(moment: &Zoned) -> &'static str {
    match moment.weekday() {
        jiff::civil::Weekday::Monday => "Monday",
        jiff::civil::Weekday::Tuesday => "Tuesday",
        jiff::civil::Weekday::Wednesday => "Wednesday",
        jiff::civil::Weekday::Thursday => "Thursday",
        jiff::civil::Weekday::Friday => "Friday",
        jiff::civil::Weekday::Saturday => "Saturday",
        jiff::civil::Weekday::Sunday => "Sunday",
    }
}

fn month(moment: &Zoned) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    usize::try_from(moment.month()).ok().and_then(|month| NAMES.get(month.checked_sub(1)?)).copied()
}
