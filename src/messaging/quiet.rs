//! Quiet hours by the recipient's place: when an offer may go.
//!
//! Rules, in full:
//! - Marketing waits; replies, informational and exempt texts do not.
//! - A number's place is its area code's and the one that the shop knows of the person: phones move, so both count.
//!   Where there are several zones or laws, an offer goes only when all of them allow it.
//! - A number of the plan without a known place may be anywhere in the fifty states, under any of their laws.
//!   A number of another country has no hours until its zone is known.
//! - The window is the narrowest of federal law, the place's law and the shop's own ([`Policy`]).
//! - No offers on federal holidays, on the days that they are observed, or on the shop's own.
//! - While the clock is not sure no offer goes.
//!
//! Deliberately absent: a clock, and consent.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::ledger::Purpose;
use super::nanp::{ANYWHERE, FEDERAL, Hours, PLACES, area_of, hours_of};
use crate::types::{Now, PhoneNumber, Wall};

/// Places and days that are looked at before an offer is given up: two weeks of openings in every zone.
const STEPS: usize = 256;
const DAYS: i32 = 14;

/// The shop's own rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Hours of any day, the end excluded. The law is applied besides.
    pub hours: Hours,
    /// Days of the shop's own without offers.
    pub holidays: BTreeSet<Date>,
}

impl Default for Policy {
    /// 9 to 20 h: inside what nearly every state allows.
    fn default() -> Self {
        Self { hours: (9, 20), holidays: BTreeSet::new() }
    }
}

/// Who is to be texted.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The number.
    pub number: &'a PhoneNumber,
    /// The zone that the shop knows the person to live in: `America/Denver`.
    pub zone: Option<&'a str>,
    /// The state or province that the shop knows: `CO`.
    pub place: Option<&'a str>,
}

/// When a text may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Now.
    Now,
    /// Then, and not before.
    At(Wall),
    /// When the clock is set.
    ClockUnsure,
    /// Where the person is, is not known.
    PlaceUnknown,
    /// Places that exclude each other: never within two weeks.
    Never,
}

/// One law in one zone.
struct Rule {
    zone: TimeZone,
    hours: Vec<[Hours; 3]>,
}

/// When a text for this purpose may go.
#[must_use]
pub fn next_allowed(now: Now, to: Recipient<'_>, purpose: Purpose, policy: &Policy) -> Allowed {
    match purpose {
        Purpose::Reply | Purpose::Informational | Purpose::Exempt(_) => return Allowed::Now,
        Purpose::Marketing => {}
    }
    if !now.wall_sure {
        return Allowed::ClockUnsure;
    }
    let (Some(rules), Ok(start)) = (rules(to, policy), Timestamp::from_millisecond(now.wall.0)) else {
        return Allowed::PlaceUnknown;
    };
    let mut at = start;
    let mut agreed = 0;
    for rule in rules.iter().cycle().take(STEPS) {
        match rule.opening(at, policy) {
            Some(opening) if opening == at => agreed += 1,
            Some(opening) => (at, agreed) = (opening, 1),
            None => return Allowed::Never,
        }
        if agreed >= rules.len() {
            let then = Wall(at.as_millisecond());
            return if at == start { Allowed::Now } else { Allowed::At(then) };
        }
    }
    Allowed::Never
}

/// Every zone that the person may be in, with every law that may hold there.
fn rules(to: Recipient<'_>, policy: &Policy) -> Option<Vec<Rule>> {
    let digits = to.number.digits();
    let code = digits.strip_prefix('1').filter(|rest| rest.len() == 10).and_then(|rest| rest.get(..3));
    let mut zones: BTreeSet<&str> = to.zone.into_iter().collect();
    let mut laws = vec![FEDERAL, [policy.hours; 3]];
    laws.extend(to.place.map(hours_of));
    if let Some(code) = code {
        match code.parse().ok().and_then(area_of) {
            Some(area) => {
                zones.extend(area.zones);
                laws.push(hours_of(area.place));
            }
            None if to.zone.is_some() && to.place.is_some() => {}
            None => {
                zones.extend(ANYWHERE.iter().filter(|_| to.zone.is_none()));
                laws.extend(PLACES.iter().map(|p| p.hours).filter(|_| to.place.is_none()));
            }
        }
    }
    let mut rules = Vec::with_capacity(zones.len());
    for zone in zones {
        // A zone that does not exist says nothing of where the person is.
        rules.push(Rule { zone: TimeZone::get(zone).ok()?, hours: laws.clone() });
    }
    (!rules.is_empty()).then_some(rules)
}

impl Rule {
    /// `at` itself when it is allowed, or when this rule opens next.
    fn opening(&self, at: Timestamp, policy: &Policy) -> Option<Timestamp> {
        let today = at.to_zoned(self.zone.clone()).date();
        for day in 0..=DAYS {
            let date = today.checked_add(day.days()).ok()?;
            let (from, to) = self.window(date, policy);
            if from >= to {
                continue;
            }
            let (opens, closes) = (self.instant(date, from)?, self.instant(date, to)?);
            if at < closes {
                return Some(at.max(opens));
            }
        }
        None
    }

    fn window(&self, date: Date, policy: &Policy) -> Hours {
        if policy.holidays.contains(&date) || is_holiday(date) {
            return (0, 0);
        }
        let day = match date.weekday() {
            Weekday::Sunday => 2,
            Weekday::Saturday => 1,
            Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => {
                0
            }
        };
        let hours = self.hours.iter().filter_map(|law| law.get(day));
        hours.fold((0, 24), |(from, to), (f, t)| (from.max(*f), to.min(*t)))
    }

    fn instant(&self, date: Date, hour: i8) -> Option<Timestamp> {
        let (date, hour) = if hour == 24 { (date.tomorrow().ok()?, 0) } else { (date, hour) };
        let time = jiff::civil::Time::new(hour, 0, 0, 0).ok()?;
        Some(date.to_datetime(time).to_zoned(self.zone.clone()).ok()?.timestamp())
    }
}

/// A federal holiday (5 USC 6103(a)), or the weekday on which one at a weekend is observed.
#[must_use]
pub fn is_holiday(date: Date) -> bool {
    let neighbour = match date.weekday() {
        Weekday::Friday => date.tomorrow().ok(),
        Weekday::Monday => date.yesterday().ok(),
        Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Saturday | Weekday::Sunday => {
            None
        }
    };
    on_its_day(date) || neighbour.is_some_and(is_fixed)
}

fn is_fixed(date: Date) -> bool {
    matches!((date.month(), date.day()), (1, 1) | (6, 19) | (7, 4) | (11, 11) | (12, 25))
}

fn on_its_day(date: Date) -> bool {
    let nth = (date.day() - 1) / 7 + 1;
    let floating = match (date.month(), date.weekday()) {
        (1 | 2, Weekday::Monday) => nth == 3,
        (5, Weekday::Monday) => date.day() > 24,
        (9, Weekday::Monday) => nth == 1,
        (10, Weekday::Monday) => nth == 2,
        (11, Weekday::Thursday) => nth == 4,
        _ => false,
    };
    floating || is_fixed(date)
}

#[cfg(test)]
#[path = "quiet_tests.rs"]
mod tests;
