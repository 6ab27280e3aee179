//! What outgoing calls of a day have used, against what the plan allows. A call holds its next minute before it talks
//! it, so that many calls at once cannot go over together what each alone would not.
//!
//! Deliberately absent: when a day begins (an input says so), emergency calls (they are never counted).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::{Cap, Caps};
use crate::types::Cents;

/// What a leg has cost so far, by the plan's rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Who is counted: `ext:101`, `device:…`, `line:…`, `flow:…`.
    pub user: String,
    /// What was dialled.
    pub to: crate::types::Dialled,
    /// Minutes begun, the one that is held included.
    pub minutes: u32,
    /// For all of it.
    pub spend: Cents,
}

/// What a line asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) per_minute: Cents,
    pub(super) per_call: Cents,
}

/// An outgoing leg's account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meter {
    pub(super) charge: Charge,
    rate: Rate,
    day: u64,
}

/// How an outgoing leg came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// Rang; counts as a call, costs nothing.
    Unanswered,
    /// The line did not take it.
    NotCarried,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u32,
    pub(super) minutes: u32,
    pub(super) spend: Cents,
}

impl Tally {
    fn plus(self, calls: u32, minutes: u32, spend: Cents) -> Self {
        Self {
            calls: self.calls.saturating_add(calls),
            minutes: self.minutes.saturating_add(minutes),
            spend: Cents(self.spend.0.saturating_add(spend.0)),
        }
    }

    fn less(self, calls: u32, minutes: u32, spend: Cents) -> Self {
        Self {
            calls: self.calls.saturating_sub(calls),
            minutes: self.minutes.saturating_sub(minutes),
            spend: Cents(self.spend.0.saturating_sub(spend.0).max(0)),
        }
    }

    pub(super) fn within(self, cap: &Cap) -> bool {
        self.calls <= cap.calls && self.minutes <= cap.minutes && self.spend <= cap.spend
    }
}

/// The day's counts and the outgoing calls of the moment.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    day: u64,
    pub(super) shop: Tally,
    pub(super) users: BTreeMap<String, Tally>,
    pub(super) destinations: BTreeMap<String, Tally>,
    open: u32,
    open_by_user: BTreeMap<String, u32>,
}

impl Ledger {
    /// Takes one call and its first minute; `None` when a cap would be passed.
    pub(super) fn admit(&mut self, caps: &Caps, user: &str, to: &str, rate: Rate) -> Option<Meter> {
        let mine = self.open_by_user.get(user).copied().unwrap_or(0);
        if self.open >= u32::from(caps.concurrent) || mine >= u32::from(caps.concurrent_user) {
            return None;
        }
        let spend = Cents(rate.per_call.0.saturating_add(rate.per_minute.0));
        if !self.take(caps, user, to, (1, 1, spend)) {
            return None;
        }
        self.open += 1;
        self.open_by_user.insert(user.to_owned(), mine + 1);
        let charge = Charge { user: user.to_owned(), to: to.into(), minutes: 1, spend };
        Some(Meter { charge, rate, day: self.day })
    }

    /// Takes the next minute of a call; false when a cap would be passed.
    pub(super) fn minute(&mut self, caps: &Caps, meter: &mut Meter) -> bool {
        let spend = meter.rate.per_minute;
        if !self.take(caps, &meter.charge.user, meter.charge.to.as_str(), (0, 1, spend)) {
            return false;
        }
        meter.charge.minutes = meter.charge.minutes.saturating_add(1);
        meter.charge.spend = Cents(meter.charge.spend.0.saturating_add(spend.0));
        // From now on a day that has passed is none of its business.
        meter.day = self.day;
        true
    }

    /// Closes an account; what was held and not used goes back. Returns what is to be paid.
    pub(super) fn settle(&mut self, meter: Meter, outcome: Outcome) -> Charge {
        let Meter { mut charge, day, .. } = meter;
        self.open = self.open.saturating_sub(1);
        if let Some(mine) = self.open_by_user.get_mut(&charge.user) {
            *mine = mine.saturating_sub(1);
            if *mine == 0 {
                self.open_by_user.remove(&charge.user);
            }
        }
        let back = match outcome {
            Outcome::Answered => return charge,
            Outcome::Unanswered => (0, charge.minutes, charge.spend),
            Outcome::NotCarried => (1, charge.minutes, charge.spend),
        };
        if day == self.day {
            self.give_back(&charge, back);
        }
        charge.minutes = 0;
        charge.spend = Cents(0);
        charge
    }

    /// Counts what a call of this day used before the daemon was started.
    pub(super) fn restore(&mut self, charge: &Charge) {
        let by = (1, charge.minutes, charge.spend);
        self.shop = self.shop.plus(by.0, by.1, by.2);
        let user = self.users.entry(charge.user.clone()).or_default();
        *user = user.plus(by.0, by.1, by.2);
        let to = self.destinations.entry(charge.to.as_str().to_owned()).or_default();
        *to = to.plus(by.0, by.1, by.2);
    }

    pub(super) fn new_day(&mut self) {
        self.day += 1;
        self.shop = Tally::default();
        self.users.clear();
        self.destinations.clear();
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    fn take(&mut self, caps: &Caps, user: &str, to: &str, by: (u32, u32, Cents)) -> bool {
        let of = |map: &BTreeMap<String, Tally>, key: &str| {
            map.get(key).copied().unwrap_or_default().plus(by.0, by.1, by.2)
        };
        let shop = self.shop.plus(by.0, by.1, by.2);
        let users = of(&self.users, user);
        let destinations = of(&self.destinations, to);
        let fits =
            shop.within(&caps.shop) && users.within(&caps.user) && destinations.within(&caps.destination);
        if fits {
            self.shop = shop;
            self.users.insert(user.to_owned(), users);
            self.destinations.insert(to.to_owned(), destinations);
        }
        fits
    }

    fn give_back(&mut self, charge: &Charge, by: (u32, u32, Cents)) {
        self.shop = self.shop.less(by.0, by.1, by.2);
        if let Some(user) = self.users.get_mut(&charge.user) {
            *user = user.less(by.0, by.1, by.2);
        }
        if let Some(to) = self.destinations.get_mut(charge.to.as_str()) {
            *to = to.less(by.0, by.1, by.2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_minute: Cents(10), per_call: Cents(5) };

    fn caps(calls: u32, minutes: u32, spend: i64) -> Caps {
        let cap = Cap { calls, minutes, spend: Cents(spend) };
        Caps { shop: cap, user: cap, destination: cap, concurrent: 10, concurrent_user: 10 }
    }

    #[test]
    fn the_minute_that_would_pass_a_cap_is_not_given() {
        let mut ledger = Ledger::default();
        let caps = caps(10, 10, 30);
        let mut meter = ledger.admit(&caps, "ext:101", "+12065550101", RATE).unwrap();
        assert!(ledger.minute(&caps, &mut meter));
        assert!(!ledger.minute(&caps, &mut meter), "35 is more than 30");
        assert_eq!(ledger.settle(meter, Outcome::Answered).spend, Cents(25));
        assert_eq!(ledger.shop, Tally { calls: 1, minutes: 2, spend: Cents(25) });
    }

    #[test]
    fn a_call_that_was_not_answered_costs_nothing_and_counts() {
        let mut ledger = Ledger::default();
        let meter = ledger.admit(&caps(1, 10, 100), "u", "t", RATE).unwrap();
        assert!(ledger.settle(meter, Outcome::Unanswered).spend == Cents(0));
        assert_eq!(ledger.shop, Tally { calls: 1, minutes: 0, spend: Cents(0) });
        assert!(ledger.admit(&caps(1, 10, 100), "u", "t", RATE).is_none());
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn what_was_held_yesterday_is_not_given_back_to_today() {
        let mut ledger = Ledger::default();
        let caps = caps(10, 10, 100);
        let old = ledger.admit(&caps, "u", "t", RATE).unwrap();
        ledger.new_day();
        let today = ledger.admit(&caps, "u", "t", RATE).unwrap();
        ledger.settle(old, Outcome::NotCarried);
        assert_eq!(ledger.shop.minutes, 1);
        ledger.settle(today, Outcome::Answered);
        assert_eq!(ledger.shop, Tally { calls: 1, minutes: 1, spend: Cents(15) });
    }
}
