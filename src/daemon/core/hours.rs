//! The answer outside business hours. Flows answer at any hour; this is for who would have to wait for a person: whoever
//! asks for people, or writes while people have the conversation. With `hours.reply_menu` it also goes before the menu.
//!
//! - Once per person until the shop opens, by whichever way and across restarts: two robots cannot make it repeat.
//! - Not when a member of staff has answered since the shop closed: they are there.
//! - Never to staff, to who said STOP, to automatic senders; not while the clock is not sure.

use std::time::Duration;

use super::Cx;
use super::shop::Shop;
use crate::store::Source;
use crate::types::Wall;

/// Within it a weekday's name is enough.
const A_WEEK: Duration = Duration::from_secs(6 * 86_400);
/// A shop that never opens is closed until then.
const FOR_EVER: Wall = Wall(i64::MAX);

impl Shop {
    /// A person writes who would have to be answered by people.
    pub(super) fn say_closed(&mut self, cx: &mut Cx<'_>, person: &str) {
        let text = self.settings.text("hours.reply").to_owned();
        if text.trim().is_empty() || self.is_staff(person) {
            return;
        }
        let opens = match self.closed_until(cx) {
            Some(opens) if self.talk(cx, person).state.closed_until != Some(opens.0) => opens,
            Some(_) | None => return,
        };
        self.closed_known(cx, person);
        let body = text.replace("{shop}", self.settings.text("shop.name")).replace("{opens}", &opens.1);
        self.say(cx, person, body, Source::Box);
    }

    /// The person need not be told until the shop opens: they were, or somebody answers all the same.
    pub(super) fn closed_known(&mut self, cx: &mut Cx<'_>, person: &str) {
        let Some((until, _)) = self.closed_until(cx) else { return };
        let state = &mut self.talk(cx, person).state;
        if state.closed_until != Some(until) {
            state.closed_until = Some(until);
            cx.dirty_people.insert(person.to_owned());
        }
    }

    /// While the shop is closed: when it opens, and in words.
    fn closed_until(&self, cx: &Cx<'_>) -> Option<(Wall, String)> {
        if !cx.now.wall_sure || self.settings.is_open(cx.now.wall) {
            return None;
        }
        let Some(opens) = self.settings.opens_after(cx.now.wall) else {
            return Some((FOR_EVER, "soon".to_owned()));
        };
        let until = Wall(opens.timestamp().as_millisecond());
        // Another Monday than the next one.
        let far = until.since(cx.now.wall) > A_WEEK;
        let words = opens.strftime(if far { "%A, %B %-d at %-I:%M %p" } else { "%A at %-I:%M %p" });
        Some((until, words.to_string()))
    }
}
