//! Offers and the hours in which they may leave: a text for marketing gets the time before which it must not
//! (`not_before`), is looked at again then, consent too, and once more when its line has room for it.
//!
//! - A place that nobody knows, laws that exclude each other, a clock that is not set: the text waits, and its note
//!   says what for. Nothing that was begun is cut in half: parts of a text that has begun to leave follow.
//! - The person's place is the area code's and the one that the owner set (`marketing.places`): both hold.
//!
//! Deliberately absent: the hours themselves (`messaging::quiet`), consent (`consent`).

use serde_json::Value;

use super::Cx;
use super::shop::Shop;
use super::timers::TimerKey;
use crate::messaging::ledger::Purpose;
use crate::messaging::nanp::{AREAS, PLACES};
use crate::messaging::quiet::{Allowed, Policy, Recipient, next_allowed};
use crate::store::{MessageRow, Op};
use crate::types::{MessageId, Now, PhoneNumber, Wall};

/// How long what nobody can tell a time for waits until it is looked at again.
const LOOK_AGAIN_MS: i64 = 3_600_000;

impl Shop {
    /// An offer's next hour; everything else may go now.
    fn hour_of(&self, row: &MessageRow, now: Now) -> Allowed {
        if row.purpose != Purpose::Marketing {
            return Allowed::Now;
        }
        // Short codes have no hours; consent has refused them before.
        let Ok(number) = PhoneNumber::parse(&row.peer, None) else { return Allowed::PlaceUnknown };
        let known = self.settings.get("marketing.places").get(number.as_str());
        let part = |key: &str| known.and_then(|k| k.get(key)).and_then(Value::as_str);
        let to = Recipient { number: &number, zone: part("zone"), place: part("place") };
        let hours = window(self.settings.text("marketing.hours")).unwrap_or(Policy::default().hours);
        let holidays = self.settings.text("holidays").split(',');
        let holidays = holidays.filter_map(|date| date.trim().parse().ok()).collect();
        next_allowed(now, to, row.purpose, &Policy { hours, holidays })
    }

    /// Whether a text may not leave at this hour.
    pub(super) fn out_of_hours(&self, id: &MessageId, now: Now) -> bool {
        let Some(out) = self.outgoing.get(id) else { return false };
        out.is_untouched() && self.hour_of(&out.row, now) != Allowed::Now
    }

    /// Puts down before which time an offer must not leave, and why.
    pub(super) fn keep_hours(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        let later = Wall(cx.now.wall.0.saturating_add(LOOK_AGAIN_MS));
        let (at, note) = match self.hour_of(&out.row, cx.now) {
            Allowed::Now => return,
            Allowed::At(at) => (at, "waits for the hours in which offers may be sent there"),
            Allowed::ClockUnsure => (cx.now.wall, "waits until the clock is set"),
            Allowed::PlaceUnknown => {
                (later, "waits: where this person lives is not known; say so in marketing.places")
            }
            Allowed::Never => (later, "waits: no hour is allowed in all the places where this person may be"),
        };
        self.count("offers_that_waited");
        let Some(out) = self.outgoing.get_mut(id) else { return };
        if out.row.not_before != Some(at) || out.row.note.as_deref() != Some(note) {
            out.row.not_before = Some(at);
            out.row.note = Some(note.to_owned());
            out.row.updated = cx.now.wall;
            cx.put(Op::PutMessage(out.row.clone()));
        }
    }

    /// The owner changed hours or places: what waits is looked at at once.
    pub(super) fn look_at_offers(&mut self, cx: &mut Cx<'_>) {
        let waiting = self.outgoing.values_mut().filter(|o| o.row.not_before.is_some());
        let mut waiting: Vec<MessageId> = waiting
            .filter(|o| o.row.purpose == Purpose::Marketing)
            .map(|o| {
                o.row.not_before = Some(cx.now.wall);
                o.row.id.clone()
            })
            .collect();
        waiting.sort();
        for id in waiting {
            cx.timers.set(TimerKey::NotBefore(self.id.clone(), id), cx.now.mono);
        }
    }
}

/// `9-20`: whole hours, the end excluded.
fn window(text: &str) -> Option<(i8, i8)> {
    let (from, to) = text.split_once('-')?;
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

/// What is wrong with `marketing.places`.
pub(super) fn places_wrong(places: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, known) in places.as_object().into_iter().flatten() {
        if PhoneNumber::parse(number, None).map(|n| n.to_string()).as_deref() != Ok(number) {
            wrong.push(format!("`marketing.places`: {number:?} is no number; write it as +12065550101"));
        }
        let Some(known) = known.as_object() else {
            wrong.push(format!("`marketing.places`: {number} takes {{\"zone\": ..., \"place\": ...}}"));
            continue;
        };
        for (key, value) in known {
            let fine = match (key.as_str(), value.as_str()) {
                ("zone", Some(zone)) => jiff::tz::TimeZone::get(zone).is_ok(),
                ("place", Some(place)) => {
                    AREAS.iter().any(|a| a.place == place) || PLACES.iter().any(|p| p.name == place)
                }
                _ => false,
            };
            if !fine {
                wrong.push(format!(
                    "`marketing.places`: {number}: {key} {value} is neither a zone (America/Denver) nor a place (CO)"
                ));
            }
        }
    }
    wrong
}
