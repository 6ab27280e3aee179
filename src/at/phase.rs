//! What the engine is busy with: one variant for each state, which owns that state's data.

use std::collections::VecDeque;

use super::bringup::BringUp;
use super::command::Look;
use crate::types::Mono;

/// See the head of this file.
#[derive(Debug)]
pub(super) enum Phase {
    /// No port is open; `said` when a person was told.
    Closed {
        since: Mono,
        said: bool,
    },
    BringUp(BringUp),
    Ready(Ready),
    /// An answer did not come: is anybody there? `missed` probes had no answer either.
    Probing {
        missed: u8,
        ready: Ready,
    },
    /// A rung of the ladder is to be climbed, later.
    Resting {
        until: Mono,
        rung: Rung,
    },
    /// `AT+CFUN=1,1` is written; the modem starts anew.
    Resetting {
        until: Mono,
    },
    /// No more work is taken; a send that was handed over may still end.
    Stopping {
        until: Mono,
    },
    Stopped,
}

/// The state of a working line.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) look_at: Mono,
    pub(super) sweep_at: Mono,
    pub(super) looks: VecDeque<Look>,
    /// Commands for received texts since the last send.
    pub(super) inbound: u32,
    /// [`LineEvent::Swept`](crate::types::LineEvent::Swept) was said.
    pub(super) swept: bool,
    /// Answers missed in a row; the modem may answer probes and nothing else.
    pub(super) missed: u8,
    /// Until then received texts are left alone: the store is busy.
    pub(super) rest: Option<Mono>,
}

/// What is done about a modem that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// The shell closes the port and looks for it again.
    Reopen,
    /// `AT+CFUN=1,1`.
    Reset,
}
