//! The deliveries of one endpoint that are in memory, in the order in which they are due: a step costs what is due, not
//! what waits. Each is changed in here only, so that the order is always right.

use std::collections::{BTreeMap, BTreeSet};

use crate::outbox::{EventAction, EventDelivery, EventInput};
use crate::store::EventOutRow;
use crate::types::{EventId, Mono, Now};

/// One of them, and its row.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) row: EventOutRow,
    pub(super) delivery: EventDelivery,
    /// Its row is in the transaction of this event.
    pub(super) added: Option<EventId>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    held: BTreeMap<String, Held>,
    /// Those that wait: when each is due, its number, its id.
    waiting: BTreeSet<(Mono, u64, String)>,
    /// Those that are under way: when nobody will answer any more.
    handed: BTreeSet<(Mono, u64, String)>,
}

impl AtHand {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.held.contains_key(id)
    }

    pub(super) fn under_way(&self) -> usize {
        self.handed.len()
    }

    /// The next that is to be handed over, once that is due: the first by time, then by number.
    pub(super) fn next(&self) -> Option<(Mono, &str)> {
        self.waiting.first().map(|(at, _, id)| (*at, id.as_str()))
    }

    /// When the first of those under way is lost.
    pub(super) fn next_lost(&self) -> Option<Mono> {
        self.handed.first().map(|(at, ..)| *at)
    }

    /// Those under way that nobody answered for.
    pub(super) fn lost(&self, now: Mono) -> Vec<String> {
        self.handed.iter().take_while(|(at, ..)| *at <= now).map(|(.., id)| id.clone()).collect()
    }

    pub(super) fn insert(&mut self, one: Held) {
        let id = one.row.id.clone();
        self.remove(&id);
        self.order(&one);
        self.held.insert(id, one);
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(one) = self.held.remove(id) {
            self.disorder(&one);
        }
    }

    /// One step of a delivery; `then` sees it afterwards. `None`: it is not at hand.
    pub(super) fn handle<R>(
        &mut self,
        id: &str,
        input: EventInput,
        now: Now,
        then: impl FnOnce(&mut Held, Option<EventAction>) -> R,
    ) -> Option<R> {
        let (id, mut one) = self.held.remove_entry(id)?;
        self.disorder(&one);
        let action = one.delivery.handle(input, now);
        let result = then(&mut one, action);
        self.order(&one);
        self.held.insert(id, one);
        Some(result)
    }

    /// The endpoint is back: all that wait are due soon.
    pub(super) fn reached(&mut self, now: Now) {
        for one in self.held.values_mut() {
            one.delivery.handle(EventInput::Reached, now);
        }
        let all = std::mem::take(&mut self.held);
        (self.waiting, self.handed) = (BTreeSet::new(), BTreeSet::new());
        for one in all.values() {
            self.order(one);
        }
        self.held = all;
    }

    fn order(&mut self, one: &Held) {
        if let Some(key) = key(one) {
            let place = if one.delivery.is_handed() { &mut self.handed } else { &mut self.waiting };
            place.insert(key);
        }
    }

    fn disorder(&mut self, one: &Held) {
        if let Some(key) = key(one) {
            let place = if one.delivery.is_handed() { &mut self.handed } else { &mut self.waiting };
            place.remove(&key);
        }
    }
}

fn key(one: &Held) -> Option<(Mono, u64, String)> {
    Some((one.delivery.due()?, one.row.seq, one.row.id.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::EventOutState;
    use crate::types::{EventAnswer, ShopId, Wall};

    fn held(seq: u64, now: Now) -> Held {
        let id = format!("EV{:02}", seq % 20);
        let row = EventOutRow {
            shop: ShopId::from("main"),
            id: id.clone(),
            endpoint: "till".to_owned(),
            kind: "message.received".to_owned(),
            body: String::new(),
            state: EventOutState::Waiting,
            attempts: 0,
            note: None,
            seq,
            since: None,
            created: Wall(0),
            updated: Wall(0),
        };
        Held { row, delivery: EventDelivery::new(id, now), added: None }
    }

    proptest! {
        /// Whatever happens to whichever: the order says what looking at each of them would say.
        #[test]
        fn the_order_is_that_of_all_that_are_at_hand(
            steps in prop::collection::vec((0..20_u64, 0..7_u8, 0..90_000_u64), 0..200),
        ) {
            let mut all = AtHand::default();
            let mut now = Now::at(1_000, 1_795_161_600_000);
            for (seq, (which, what, pause)) in (1..).zip(steps) {
                now.mono = Mono(now.mono.0 + pause);
                let id = format!("EV{which:02}");
                let answer = |status| EventInput::Answered(EventAnswer::Answered {
                    status, retry_after: None, said: String::new(),
                });
                match what {
                    0 => all.insert(held(seq, now)),
                    1 => all.remove(&id),
                    2 => all.reached(now),
                    3 => drop(all.handle(&id, answer(500), now, |_, _| ())),
                    4 => drop(all.handle(&id, EventInput::Replay, now, |_, _| ())),
                    5 => drop(all.handle(&id, answer(200), now, |_, _| ())),
                    _ => drop(all.handle(&id, EventInput::Due, now, |_, _| ())),
                }
                let of = |handed: bool| {
                    let those = all.held.values().filter(move |h| h.delivery.is_handed() == handed);
                    those.filter_map(key).collect::<BTreeSet<_>>()
                };
                prop_assert_eq!(&of(false), &all.waiting);
                prop_assert_eq!(&of(true), &all.handed);
                let lost = all.lost(now.mono);
                prop_assert!(lost.iter().all(|id| all.held[id].delivery.due() <= Some(now.mono)));
            }
        }
    }
}
