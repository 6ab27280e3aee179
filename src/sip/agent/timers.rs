//! What a leg waits for, in one queue. A timer belongs to a leg and goes with it.

use std::collections::{BTreeMap, BTreeSet};

use super::shared::Key;
use crate::types::Mono;

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Our 2xx to an INVITE again, RFC 3261 §13.3.1.4.
    Again,
    /// No ACK came for it, RFC 3261 §13.3.1.4.
    NoAck,
    /// Our reliable provisional response again, RFC 3262 §3.
    Reliable,
    /// No PRACK came for it, RFC 3262 §3.
    NoPrack,
    /// It rings still: say so once a minute, RFC 3261 §13.3.1.1.
    Ringing,
    /// Their INVITE has expired, RFC 3261 §13.3.1.
    Lapse,
    /// The next address of the trunk, when this one says nothing.
    NextRoute,
    /// A request that met another's, RFC 3261 §14.1.
    Retry,
    /// The session wants refreshing, RFC 4028 §10.
    Refresh,
    /// Nobody refreshed the session, RFC 4028 §10.
    Expire,
}

impl Timer {
    const LAST: Self = Self::Expire;

    /// For whoever asks what is waited for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Again => "2xx to INVITE again",
            Self::NoAck => "2xx without ACK",
            Self::Reliable => "reliable provisional response again",
            Self::NoPrack => "reliable provisional response without PRACK",
            Self::Ringing => "180 once a minute",
            Self::Lapse => "INVITE that expires",
            Self::NextRoute => "trunk address that says nothing",
            Self::Retry => "request after glare",
            Self::Refresh => "session refresh",
            Self::Expire => "session expiry",
        }
    }
}

/// All timers that run.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Mono, Key, Timer)>,
    armed: BTreeMap<(Key, Timer), Mono>,
}

impl Timers {
    /// Starts a timer, anew if it runs.
    pub(super) fn start(&mut self, key: Key, timer: Timer, at: Mono) {
        if let Some(before) = self.armed.insert((key, timer), at) {
            self.queue.remove(&(before, key, timer));
        }
        self.queue.insert((at, key, timer));
    }

    /// Stops one.
    pub(super) fn stop(&mut self, key: Key, timer: Timer) {
        if let Some(at) = self.armed.remove(&(key, timer)) {
            self.queue.remove(&(at, key, timer));
        }
    }

    /// Stops every timer of a leg.
    pub(super) fn stop_all(&mut self, key: Key) {
        self.stop_all_but(key, &[]);
    }

    /// Stops every timer of a leg but these.
    pub(super) fn stop_all_but(&mut self, key: Key, kept: &[Timer]) {
        let whose = (key, Timer::Again)..=(key, Timer::LAST);
        let running: Vec<Timer> = self.armed.range(whose).map(|((_, timer), _)| *timer).collect();
        running.into_iter().filter(|t| !kept.contains(t)).for_each(|t| self.stop(key, t));
    }

    /// Whether it runs.
    pub(super) fn runs(&self, key: Key, timer: Timer) -> bool {
        self.armed.contains_key(&(key, timer))
    }

    /// Takes the next one that has run out.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(Key, Timer)> {
        let (at, key, timer) = *self.queue.first().filter(|(at, ..)| *at <= now)?;
        self.queue.remove(&(at, key, timer));
        self.armed.remove(&(key, timer));
        Some((key, timer))
    }

    /// The next to run out.
    pub(super) fn next(&self) -> Option<(Mono, Timer)> {
        self.queue.first().map(|(at, _, timer)| (*at, *timer))
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
