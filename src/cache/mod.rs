//! The dealer's answers, kept for when he cannot be reached: how old is fresh, when a request is answered from
//! the cache, and with which age. Pure: one [`Lookup`] for each request of a flow.

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
    /// After this long without an answer a kept one is served, default 2 s.
    pub slow: Duration,
    /// With nothing kept, how long to wait for the dealer, default 10 s (Studio's limit for a request).
    pub patience: Duration,
}

/// Age of a kept answer: exact within one boot; by wall clock otherwise, never negative; `None` when the clock
/// is not sure and the boot is another.
#[must_use]
pub fn age(_kept: &Kept, _now: Now, _boot: &BootId) -> Option<Duration> {
    unimplemented!()
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
    /// The look-up is over; forget it.
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
        /// `None` when just fetched.
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

/// One request of a flow, from the question to the answer and on to the late answer that is only kept.
#[derive(Clone, Debug)]
pub struct Lookup {}
