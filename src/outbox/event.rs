//! One event of the box's own on its way to one endpoint, so that the endpoint gets it at least once.
//!
//! - 2xx: it has it. Anything else is no answer to rely on.
//! - 408, 425, 429, 5xx, a time-out, a broken connection: tried again for [`DAY`] with pauses that double from
//!   [`FIRST_PAUSE`] to [`MOST_PAUSE`], the last try at the day's end. 429 and 503 may ask for a longer pause.
//! - Other 4xx, and 3xx (a redirection is not followed: it may lead inside the shop's network): the endpoint will not
//!   have it as it is, yet a server that is being deployed says so too, for minutes. [`REFUSALS_MOST`] times, which
//!   takes five to eleven minutes, and then it is dead. While the clock is not sure such an answer may be about our
//!   time stamp and does not count.
//! - 410: the endpoint is gone, by its own word: dead at once.
//! - Dead events stay listed until a person replays them: the same event, under the same id.
//!
//! Deliveries to one endpoint are not ordered among themselves: each says its number in the endpoint's sequence.
//!
//! Deliberately absent: HTTP and signatures (`webhook`), how many go out at once, rows.

use std::time::Duration;

use crate::types::{EventAnswer, Mono, Now, Wall};

/// Tried for so long.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// Pause after the first failure.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause of our own.
pub const MOST_PAUSE: Duration = Duration::from_secs(3600);
/// Refusals in a row until it is dead.
pub const REFUSALS_MOST: u32 = 8;
/// `Retry-After` is honoured up to this.
pub const ASKED_PAUSE_MOST: Duration = Duration::from_secs(3600);
/// A handed event that the edge never answered for is tried again after this: its own time-outs are far shorter.
pub const HANDED_MOST: Duration = Duration::from_secs(120);
/// When an endpoint is back, what waits for its next try goes out within this.
const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventState {
    /// To be sent, not before.
    Waiting {
        /// In this boot.
        not_before: Mono,
    },
    /// With the edge.
    Handed {
        /// In this boot.
        since: Mono,
    },
    /// The endpoint has it.
    Delivered,
    /// Given up.
    Dead,
}

/// One event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDelivery {
    /// The event's id at this endpoint.
    pub id: String,
    /// Where it stands.
    pub state: EventState,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last try failed, or why it is dead.
    pub note: Option<String>,
    /// When its day began, by a sure clock.
    pub since: Option<Wall>,
    /// When its day began, or when it was loaded, in this boot.
    seen: Mono,
    /// Refused so often in a row, in this run.
    refusals: u32,
    /// Before this nothing hurries it.
    hold_until: Mono,
}

/// What happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventInput {
    /// Its time has come ([`EventDelivery::due`]).
    Due,
    /// The edge says how the try went.
    Answered(EventAnswer),
    /// The endpoint took another one after it did not.
    Reached,
    /// A person says: deliver it (again).
    Replay,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAction {
    /// Hand it to the edge.
    Post,
    /// It was tried in vain, and waits.
    Later,
    /// It came to an end: delivered or dead.
    Settled,
}

impl EventDelivery {
    /// A new one, due at once.
    #[must_use]
    pub fn new(id: String, now: Now) -> Self {
        Self {
            id,
            state: EventState::Waiting { not_before: now.mono },
            attempts: 0,
            note: None,
            since: now.wall_sure.then_some(now.wall),
            seen: now.mono,
            refusals: 0,
            hold_until: Mono(0),
        }
    }

    /// One from before this run: due within `spread`, all of a restart not at once. `since`: when its day began.
    #[must_use]
    pub fn loaded(id: String, attempts: u32, since: Option<Wall>, spread: Duration, now: Now) -> Self {
        let not_before = now.mono + share(&id, 0, spread);
        Self { state: EventState::Waiting { not_before }, attempts, since, ..Self::new(id, now) }
    }

    /// When [`EventInput::Due`] is wanted; `None` at the end.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        match self.state {
            EventState::Waiting { not_before } => Some(not_before),
            EventState::Handed { since } => Some(since + HANDED_MOST),
            EventState::Delivered | EventState::Dead => None,
        }
    }

    /// True while the edge has it.
    #[must_use]
    pub fn is_handed(&self) -> bool {
        matches!(self.state, EventState::Handed { .. })
    }

    /// One step. An input that does not fit the state (a late answer, an early timer) changes nothing.
    pub fn handle(&mut self, input: EventInput, now: Now) -> Option<EventAction> {
        match input {
            EventInput::Due => self.handle_due(now),
            EventInput::Answered(answer) => self.handle_answer(answer, now),
            EventInput::Reached => {
                if let EventState::Waiting { not_before } = &mut self.state {
                    let soon = now.mono + share(&self.id, self.attempts, REACHED_WITHIN);
                    *not_before = soon.max(self.hold_until).min(*not_before);
                }
                None
            }
            EventInput::Replay => {
                if self.is_handed() {
                    return None;
                }
                *self = Self::new(std::mem::take(&mut self.id), now);
                Some(EventAction::Later)
            }
        }
    }

    fn handle_due(&mut self, now: Now) -> Option<EventAction> {
        if self.due().is_none_or(|due| now.mono < due) {
            return None;
        }
        if self.is_handed() {
            return Some(self.failed("the try was never answered for".to_owned(), None, now));
        }
        self.state = EventState::Handed { since: now.mono };
        self.attempts = self.attempts.saturating_add(1);
        Some(EventAction::Post)
    }

    fn handle_answer(&mut self, answer: EventAnswer, now: Now) -> Option<EventAction> {
        let handed = self.is_handed();
        match answer {
            // True whenever it is heard, also late.
            EventAnswer::Answered { status: 200..=299, .. } if self.due().is_some() => {
                self.state = EventState::Delivered;
                self.note = None;
                Some(EventAction::Settled)
            }
            EventAnswer::Answered { status, retry_after, said } if handed => {
                let why = if said.is_empty() {
                    format!("answered {status}")
                } else {
                    format!("answered {status}: {said}")
                };
                Some(self.refused(status, retry_after, why, now))
            }
            EventAnswer::NoAnswer { why } if handed => {
                self.refusals = 0;
                Some(self.failed(why, None, now))
            }
            EventAnswer::NotTried { why } if handed => {
                self.attempts = self.attempts.saturating_sub(1);
                self.note = Some(why);
                self.state = EventState::Waiting { not_before: now.mono + FIRST_PAUSE };
                None
            }
            EventAnswer::Answered { .. } | EventAnswer::NoAnswer { .. } | EventAnswer::NotTried { .. } => {
                None
            }
        }
    }

    fn refused(&mut self, status: u16, retry_after: Option<u32>, why: String, now: Now) -> EventAction {
        match status {
            410 => self.dead(format!("the endpoint says that it is gone: {why}")),
            408 | 425 | 429 | 500.. => {
                self.refusals = 0;
                let asked = retry_after.filter(|_| matches!(status, 429 | 503));
                self.failed(why, asked.map(|s| Duration::from_secs(u64::from(s))), now)
            }
            _ => {
                self.refusals += u32::from(now.wall_sure);
                if self.refusals >= REFUSALS_MOST {
                    return self.dead(format!("refused {REFUSALS_MOST} times: {why}"));
                }
                self.failed(why, None, now)
            }
        }
    }

    fn failed(&mut self, why: String, asked: Option<Duration>, now: Now) -> EventAction {
        let left = DAY.saturating_sub(self.age(now));
        if left.is_zero() {
            return self.dead(format!("not taken for 24 hours: {why}"));
        }
        self.note = Some(why);
        self.hold_until = now.mono + asked.unwrap_or_default().min(ASKED_PAUSE_MOST);
        let not_before = self.hold_until.max(now.mono + self.pause().min(left));
        self.state = EventState::Waiting { not_before };
        EventAction::Later
    }

    fn dead(&mut self, why: String) -> EventAction {
        self.note = Some(why);
        self.state = EventState::Dead;
        EventAction::Settled
    }

    /// By the boot's clock, and by the wall's where it was sure then and is now: what is not known makes nothing old.
    fn age(&self, now: Now) -> Duration {
        let seen = now.mono.since(self.seen);
        let wall = self.since.filter(|_| now.wall_sure).map(|since| now.wall.since(since));
        seen.max(wall.unwrap_or_default())
    }

    /// Doubles with each try up to the longest, then cut by up to half, so that events that failed together do not
    /// come back together.
    fn pause(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(20);
        let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(MOST_PAUSE);
        whole / 2 + share(&self.id, self.attempts, whole / 2)
    }
}

/// A share of `whole`, from nothing to all of it, that follows from id and number.
fn share(id: &str, number: u32, whole: Duration) -> Duration {
    whole.saturating_mul(super::hash(id, number) % 1025) / 1024
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
