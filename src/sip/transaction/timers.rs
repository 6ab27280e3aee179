//! The timers of RFC 3261 §17 (its table 4) and RFC 6026, how long each runs, and the one queue in which all of them
//! stand. A timer belongs to a transaction and goes with it.

use std::time::Duration;

use super::{ClientId, ServerId, Transport};
use crate::types::{Deadlines, Mono};

/// How long to wait and how much to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// T1, a guess at the round trip (§17.1.1.1).
    pub t1: Duration,
    /// T2, the longest between two retransmissions (§17.1.2.2).
    pub t2: Duration,
    /// T4, how long a message may stay in the network (§17.1.2.2).
    pub t4: Duration,
    /// How long a server INVITE transaction waits for its user before it sends 100 by itself (§17.2.1).
    pub trying: Duration,
    /// Timer C: how long an INVITE may ring without a further provisional response before it is cancelled
    /// (§16.6 item 11, more than three minutes).
    pub ringing: Duration,
    /// Client transactions at a time. CANCELs come on top, one an INVITE.
    pub clients: usize,
    /// Server transactions at a time.
    pub servers: usize,
    /// Server transactions beyond those for requests inside a dialog, so that a call can end on a full table.
    pub reserve: usize,
    /// What a refused caller is told to wait.
    pub retry_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            trying: Duration::from_millis(200),
            ringing: Duration::from_secs(181),
            // 800 calls a second leave an INVITE and a BYE behind for 32 s each.
            clients: 65_536,
            servers: 65_536,
            reserve: 4_096,
            retry_after: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// 64*T1, after which a side is given up.
    #[must_use]
    pub fn give_up(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// The wait that absorbs retransmissions; streams have none.
    pub(super) fn linger(over: Transport, unreliable: Duration) -> Duration {
        if over.is_reliable() { Duration::ZERO } else { unreliable }
    }

    /// The wait after `last` where it doubles up to T2.
    pub(super) fn next_wait(&self, last: Duration) -> Duration {
        last.saturating_mul(2).min(self.t2)
    }
}

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// INVITE again, §17.1.1.2.
    A,
    /// INVITE unanswered, §17.1.1.2.
    B,
    /// INVITE rings for too long, §16.6.
    C,
    /// Responses to INVITE are still absorbed, §17.1.1.2.
    D,
    /// Request again, §17.1.2.2.
    E,
    /// Request unanswered, §17.1.2.2.
    F,
    /// Final response to INVITE again, §17.2.1.
    G,
    /// ACK missing, §17.2.1.
    H,
    /// ACKs are still absorbed, §17.2.1.
    I,
    /// Requests are still absorbed, §17.2.2.
    J,
    /// Responses are still absorbed, §17.1.2.2.
    K,
    /// Accepted INVITEs are still absorbed, RFC 6026 §8.
    L,
    /// Further 2xx are still taken, RFC 6026 §8.
    M,
    /// The user said nothing: 100, §17.2.1.
    Trying,
    /// A cancelled INVITE brings no final response, §9.1.
    Cancel,
    /// The user did not answer before the client gave up, RFC 4320 §4.2.
    Unanswered,
}

impl Timer {
    /// For whoever asks what is waited for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A => "timer A: INVITE again",
            Self::B => "timer B: INVITE unanswered",
            Self::C => "timer C: INVITE rings for too long",
            Self::D => "timer D: absorbs responses to INVITE",
            Self::E => "timer E: request again",
            Self::F => "timer F: request unanswered",
            Self::G => "timer G: response to INVITE again",
            Self::H => "timer H: ACK missing",
            Self::I => "timer I: absorbs ACKs",
            Self::J => "timer J: absorbs requests",
            Self::K => "timer K: absorbs responses",
            Self::L => "timer L: absorbs accepted INVITEs",
            Self::M => "timer M: takes further 2xx",
            Self::Trying => "100 Trying is due",
            Self::Cancel => "cancelled INVITE without final response",
            Self::Unanswered => "request that the user did not answer",
        }
    }
}

/// Whose timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(ClientId),
    Server(ServerId),
}

/// All timers that run.
#[derive(Debug, Default)]
pub(super) struct Timers(Deadlines<(Owner, Timer)>);

impl Timers {
    /// Starts a timer, anew if it runs.
    pub(super) fn start(&mut self, owner: Owner, timer: Timer, at: Mono) {
        self.0.set((owner, timer), at);
    }

    /// Stops every timer of a transaction.
    pub(super) fn stop(&mut self, owner: Owner) {
        let running: Vec<_> = self.0.range((owner, Timer::A)..=(owner, Timer::Unanswered)).copied().collect();
        for timer in running {
            self.0.cancel(&timer);
        }
    }

    /// Takes the next one that has run out.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(Owner, Timer)> {
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
