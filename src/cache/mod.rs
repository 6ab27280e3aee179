//! The dealer's answers, kept for when he cannot be reached: how old is fresh, when a request is answered from
//! the cache, and with which age. Pure: one [`Lookup`] for each request of a flow.
//!
//! A request is fetched, whatever is kept, unless that is younger than half of fresh. The flow waits for the
//! fetch only when nothing fresh is kept, and then no longer than [`Policy::slow`] when something old is.
//! An answer that comes too late for the flow is still kept. What cannot be the dealer's answer (the edge says
//! so) never replaces one that was.
//!
//! Deliberately absent: HTTP and its judgement (`dealer`), rows (`store`), who waits for which look-up (`daemon`).

mod key;

pub use key::{cache_key, widened};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{BootId, Mono, Now, Wall};

/// One kept answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Always 200 or 404 (the dealer knows nobody by that number).
    pub status: u16,
    /// JSON text.
    pub body: String,
    /// When it was fetched.
    pub wall: Wall,
    /// Whether the wall clock was sure then; without that the answer has no age in another boot.
    #[serde(default)]
    pub wall_sure: bool,
    /// The same, in the boot in which it was.
    pub mono: Mono,
    /// That boot.
    pub boot: BootId,
}

/// The owner's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Younger is served at once, default 300 s for a profile, 30 s for transactions.
    pub fresh: Duration,
    /// As [`Policy::fresh`], for a 404: default 60 s, or who becomes a customer at the counter is not known to
    /// his phone. Never longer than `fresh`.
    pub fresh_missing: Duration,
    /// After this long without an answer a kept one is served, default 2 s.
    pub slow: Duration,
    /// With nothing kept, how long to wait for the dealer, default 10 s (Studio's limit for a request).
    pub patience: Duration,
}

impl Policy {
    /// The defaults with this freshness.
    #[must_use]
    pub fn with_fresh(fresh: Duration) -> Self {
        Self {
            fresh,
            fresh_missing: Duration::from_secs(60),
            slow: Duration::from_secs(2),
            patience: Duration::from_secs(10),
        }
    }

    fn fresh_for(&self, status: u16) -> Duration {
        if status == 404 { self.fresh_missing.min(self.fresh) } else { self.fresh }
    }
}

/// Age of a kept answer: exact within one boot; by wall clock otherwise, never negative; `None` when the clock
/// is not sure (now or when it was kept) and the boot is another, or when the answer would be from the future.
#[must_use]
pub fn age(kept: &Kept, now: Now, boot: &BootId) -> Option<Duration> {
    if kept.boot == *boot {
        return Some(now.mono.since(kept.mono));
    }
    (now.wall_sure && kept.wall_sure && kept.wall <= now.wall).then(|| now.wall.since(kept.wall))
}

/// What a look-up wants or answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch from the dealer.
    Fetch,
    /// Wake the look-up ([`Lookup::handle_timeout`]) after this long.
    Wake(Duration),
    /// Answer the flow.
    Answer(Answer),
    /// Keep this answer (and forget the old one).
    Keep(Kept),
    /// The look-up is over; forget it, and its wake-up.
    Done,
}

/// What the flow gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// From the dealer or the cache.
    Served {
        /// 200 or 404, or what the dealer said.
        status: u16,
        /// JSON text.
        body: String,
        /// `None` when just fetched, or (`stale`) when no clock can tell.
        age: Option<Duration>,
        /// True when the dealer could not confirm it.
        stale: bool,
    },
    /// Nothing kept and nothing to be had.
    Nothing {
        /// For the step log.
        why: String,
    },
}

/// How the fetch went, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The dealer answered, believably. 200 and 404 are kept, others only handed on.
    Answered {
        /// HTTP status.
        status: u16,
        /// JSON text.
        body: String,
    },
    /// Nobody answered, or what was answered cannot be the dealer's.
    Unusable {
        /// For the step log.
        why: String,
    },
}

/// One request of a flow, from the question to the answer and on to the late answer that is only kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    boot: BootId,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Fetching; the flow waits, until then.
    Waiting { kept: Option<Kept>, until: Mono },
    /// Fetching; the flow has its answer.
    Answered,
    /// Nothing is under way.
    Over,
}

impl Lookup {
    /// A flow asks.
    #[must_use]
    pub fn start(kept: Option<Kept>, now: Now, boot: &BootId, policy: &Policy) -> (Self, Vec<Action>) {
        let age = kept.as_ref().and_then(|kept| age(kept, now, boot));
        let (state, actions) = match (kept, age) {
            (Some(kept), Some(age)) if age < policy.fresh_for(kept.status) => {
                let young = age < policy.fresh_for(kept.status) / 2;
                let answer = Action::Answer(served(kept, Some(age), false));
                match young {
                    true => (State::Over, vec![answer, Action::Done]),
                    false => (State::Answered, vec![answer, Action::Fetch]),
                }
            }
            (kept, _) => {
                let wait = if kept.is_some() { policy.slow } else { policy.patience };
                (State::Waiting { kept, until: now.mono + wait }, vec![Action::Fetch, Action::Wake(wait)])
            }
        };
        (Self { boot: boot.clone(), state }, actions)
    }

    /// The fetch came to an end.
    pub fn handle_fetched(&mut self, result: Fetched, now: Now) -> Vec<Action> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let mut actions = Vec::with_capacity(3);
        if let (
            Fetched::Answered { status: status @ (200 | 404), body },
            State::Waiting { .. } | State::Answered,
        ) = (&result, &state)
        {
            actions.push(Action::Keep(Kept {
                status: *status,
                body: body.clone(),
                wall: now.wall,
                wall_sure: now.wall_sure,
                mono: now.mono,
                boot: self.boot.clone(),
            }));
        }
        match (state, result) {
            (State::Over, _) => return Vec::new(),
            (State::Answered, _) => {}
            (State::Waiting { kept: Some(kept), .. }, Fetched::Answered { status, .. })
                if !matches!(status, 200 | 404) =>
            {
                actions.push(Action::Answer(self.stale(kept, now)));
            }
            (State::Waiting { .. }, Fetched::Answered { status, body }) => {
                actions.push(Action::Answer(Answer::Served { status, body, age: None, stale: false }));
            }
            (State::Waiting { kept: Some(kept), .. }, Fetched::Unusable { .. }) => {
                actions.push(Action::Answer(self.stale(kept, now)));
            }
            (State::Waiting { kept: None, .. }, Fetched::Unusable { why }) => {
                actions.push(Action::Answer(Answer::Nothing { why }));
            }
        }
        actions.push(Action::Done);
        actions
    }

    /// The wake-up that [`Action::Wake`] asked for. A look-up that has answered already has nothing to say.
    pub fn handle_timeout(&mut self, now: Now) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Answered) {
            State::Waiting { kept, until } if now.mono < until => {
                self.state = State::Waiting { kept, until };
                vec![Action::Wake(until.since(now.mono))]
            }
            State::Waiting { kept: Some(kept), .. } => vec![Action::Answer(self.stale(kept, now))],
            State::Waiting { kept: None, .. } => {
                let why = "the dealer did not answer in time, and nothing is kept".to_owned();
                vec![Action::Answer(Answer::Nothing { why })]
            }
            state @ (State::Answered | State::Over) => {
                self.state = state;
                Vec::new()
            }
        }
    }

    fn stale(&self, kept: Kept, now: Now) -> Answer {
        let age = age(&kept, now, &self.boot);
        served(kept, age, true)
    }
}

fn served(kept: Kept, age: Option<Duration>, stale: bool) -> Answer {
    Answer::Served { status: kept.status, body: kept.body, age, stale }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1000;

    fn boot() -> BootId {
        BootId("this".into())
    }

    fn policy() -> Policy {
        Policy::with_fresh(Duration::from_secs(300))
    }

    fn at(seconds: u64) -> Now {
        Now::at(seconds * SECOND, 1_700_000_000_000 + i64::try_from(seconds * SECOND).unwrap())
    }

    fn kept(seconds: u64) -> Kept {
        let now = at(seconds);
        Kept {
            status: 200,
            body: "old".into(),
            wall: now.wall,
            wall_sure: true,
            mono: now.mono,
            boot: boot(),
        }
    }

    fn good() -> Fetched {
        Fetched::Answered { status: 200, body: "new".into() }
    }

    fn bad() -> Fetched {
        Fetched::Unusable { why: "HTML".into() }
    }

    fn old(age: u64, stale: bool) -> Action {
        let age = Some(Duration::from_secs(age));
        Action::Answer(Answer::Served { status: 200, body: "old".into(), age, stale })
    }

    fn new() -> Action {
        Action::Answer(Answer::Served { status: 200, body: "new".into(), age: None, stale: false })
    }

    fn keep(seconds: u64) -> Action {
        Action::Keep(Kept { body: "new".into(), ..kept(seconds) })
    }

    #[test]
    fn a_young_answer_is_served_at_once_and_nobody_is_asked() {
        let (mut lookup, actions) = Lookup::start(Some(kept(0)), at(149), &boot(), &policy());
        assert_eq!(actions, [old(149, false), Action::Done]);
        assert_eq!(lookup.handle_fetched(good(), at(150)), []);
        assert_eq!(lookup.handle_timeout(at(150)), []);
    }

    #[test]
    fn past_half_of_fresh_it_is_served_at_once_and_revalidated_in_the_background() {
        let (mut lookup, actions) = Lookup::start(Some(kept(0)), at(150), &boot(), &policy());
        assert_eq!(actions, [old(150, false), Action::Fetch]);
        let mut failing = lookup.clone();
        assert_eq!(failing.handle_fetched(bad(), at(151)), [Action::Done]);
        assert_eq!(lookup.handle_fetched(good(), at(151)), [keep(151), Action::Done]);
    }

    #[test]
    fn an_old_answer_is_replaced_when_the_dealer_is_quick() {
        let (mut lookup, actions) = Lookup::start(Some(kept(0)), at(300), &boot(), &policy());
        assert_eq!(actions, [Action::Fetch, Action::Wake(Duration::from_secs(2))]);
        assert_eq!(lookup.handle_fetched(good(), at(301)), [keep(301), new(), Action::Done]);
        assert_eq!(lookup.handle_timeout(at(302)), []);
    }

    #[test]
    fn a_slow_dealer_is_not_waited_for_and_his_late_answer_is_kept_and_nothing_more() {
        let (mut lookup, _) = Lookup::start(Some(kept(0)), at(300), &boot(), &policy());
        assert_eq!(lookup.handle_timeout(at(301)), [Action::Wake(Duration::from_secs(1))]);
        assert_eq!(lookup.handle_timeout(at(302)), [old(302, true)]);
        assert_eq!(lookup.handle_timeout(at(302)), []);
        assert_eq!(lookup.handle_fetched(good(), at(320)), [keep(320), Action::Done]);
    }

    #[test]
    fn nonsense_is_never_kept_and_the_old_answer_is_served_at_once() {
        let (mut lookup, _) = Lookup::start(Some(kept(0)), at(400), &boot(), &policy());
        assert_eq!(lookup.handle_fetched(bad(), at(401)), [old(401, true), Action::Done]);
        let (mut lookup, _) = Lookup::start(Some(kept(0)), at(400), &boot(), &policy());
        let teapot = Fetched::Answered { status: 418, body: "{}".into() };
        assert_eq!(lookup.handle_fetched(teapot, at(401)), [old(401, true), Action::Done]);
    }

    #[test]
    fn with_nothing_kept_the_flow_waits_as_long_as_its_patience() {
        let (mut lookup, actions) = Lookup::start(None, at(0), &boot(), &policy());
        assert_eq!(actions, [Action::Fetch, Action::Wake(Duration::from_secs(10))]);
        let mut failing = lookup.clone();
        let nothing = Action::Answer(Answer::Nothing { why: "HTML".into() });
        assert_eq!(failing.handle_fetched(bad(), at(1)), [nothing, Action::Done]);
        assert!(matches!(lookup.handle_timeout(at(10))[..], [Action::Answer(Answer::Nothing { .. })]));
        assert_eq!(lookup.handle_fetched(good(), at(12)), [keep(12), Action::Done]);
    }

    #[test]
    fn an_unknown_customer_is_an_answer_that_is_kept_for_a_short_time() {
        let (mut lookup, _) = Lookup::start(None, at(0), &boot(), &policy());
        let actions = lookup.handle_fetched(Fetched::Answered { status: 404, body: String::new() }, at(0));
        let Some(Action::Keep(missing)) = actions.first() else { panic!("{actions:?}") };
        assert_eq!(missing.status, 404);
        let (_, young) = Lookup::start(Some(missing.clone()), at(29), &boot(), &policy());
        assert_eq!(young.last(), Some(&Action::Done));
        let (_, later) = Lookup::start(Some(missing.clone()), at(60), &boot(), &policy());
        assert_eq!(later.first(), Some(&Action::Fetch));
    }

    #[test]
    fn an_answer_of_another_boot_has_an_age_only_by_clocks_that_were_sure() {
        let other = BootId("other".into());
        assert_eq!(age(&kept(100), at(160), &other), Some(Duration::from_secs(60)));
        let unsure = Now { wall_sure: false, ..at(160) };
        assert_eq!(age(&kept(100), unsure, &other), None);
        assert_eq!(age(&kept(100), unsure, &boot()), Some(Duration::from_secs(60)));
        assert_eq!(age(&Kept { wall_sure: false, ..kept(100) }, at(160), &other), None);
        assert_eq!(age(&kept(200), at(160), &other), None, "from the future");
        let (_, actions) = Lookup::start(Some(kept(159)), unsure, &other, &policy());
        assert_eq!(actions[0], Action::Fetch, "what has no age is not fresh");
    }

    #[derive(Clone, Debug)]
    enum Happens {
        Fetched(Fetched),
        Timeout,
    }

    proptest! {
        #[test]
        fn whatever_happens_the_flow_is_answered_exactly_once(
            kept_at in prop::option::of(0..1000_u64),
            then in prop::collection::vec((prop_oneof![
                Just(Happens::Fetched(good())),
                Just(Happens::Fetched(bad())),
                Just(Happens::Fetched(Fetched::Answered { status: 404, body: String::new() })),
                Just(Happens::Timeout),
            ], 0..5_u64), 0..6),
        ) {
            let mut clock = 1000;
            let (mut lookup, mut all) =
                Lookup::start(kept_at.map(kept), at(clock), &boot(), &policy());
            for (what, later) in then {
                clock += later;
                all.extend(match what {
                    Happens::Fetched(result) => lookup.handle_fetched(result, at(clock)),
                    Happens::Timeout => lookup.handle_timeout(at(clock)),
                });
            }
            all.extend(lookup.handle_timeout(at(clock + 10)));
            let count = |wanted: fn(&Action) -> bool| all.iter().filter(|a| wanted(a)).count();
            prop_assert_eq!(count(|a| matches!(a, Action::Answer(_))), 1);
            prop_assert!(count(|a| matches!(a, Action::Fetch)) <= 1);
            prop_assert!(count(|a| matches!(a, Action::Keep(_))) <= 1);
            prop_assert!(count(|a| matches!(a, Action::Done)) <= 1);
        }
    }
}
