//! What a leg waits for, in one queue. A timer belongs to a leg and goes with it.

use super::shared::Key;
use crate::types::{Deadlines, Mono};

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
pub(super) struct Timers(Deadlines<(Key, Timer)>);

impl Timers {
    /// Starts a timer, anew if it runs.
    pub(super) fn start(&mut self, key: Key, timer: Timer, at: Mono) {
        self.0.set((key, timer), at);
    }

    /// Stops one.
    pub(super) fn stop(&mut self, key: Key, timer: Timer) {
        self.0.cancel(&(key, timer));
    }

    /// Stops every timer of a leg.
    pub(super) fn stop_all(&mut self, key: Key) {
        self.stop_all_but(key, &[]);
    }

    /// Stops every timer of a leg but these.
    pub(super) fn stop_all_but(&mut self, key: Key, kept: &[Timer]) {
        let whose = (key, Timer::Again)..=(key, Timer::LAST);
        let running: Vec<Timer> = self.0.range(whose).map(|(_, timer)| *timer).collect();
        running.into_iter().filter(|t| !kept.contains(t)).for_each(|t| self.stop(key, t));
    }

    /// Whether it runs.
    pub(super) fn runs(&self, key: Key, timer: Timer) -> bool {
        self.0.get(&(key, timer)).is_some()
    }

    /// Takes the next one that has run out.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(Key, Timer)> {
        self.0.take_due(now)
    }

    /// The next to run out.
    pub(super) fn next(&self) -> Option<(Mono, Timer)> {
        self.0.next().map(|(at, (_, timer))| (at, *timer))
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
