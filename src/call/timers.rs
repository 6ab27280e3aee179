//! One queue of all timers of calls, each with the name of what it is for.

use crate::types::{CallId, Deadlines, LegId, Mono};

/// What a call waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// What rings has rung enough.
    Ring,
    /// A line says nothing about a call that it was given.
    Silence(LegId),
    /// All lines were tried for an emergency call: once more round.
    Round,
    /// A sentence that never ends.
    Prompt,
    /// The minute that was paid for is over.
    Minute(LegId),
    /// No call lasts so long.
    Longest,
}

impl Timer {
    fn name(&self) -> &'static str {
        match self {
            Self::Ring => "nobody answers",
            Self::Silence(_) => "a line says nothing",
            Self::Round => "an emergency call's next round",
            Self::Prompt => "a sentence to its end",
            Self::Minute(_) => "the next minute of an outgoing call",
            Self::Longest => "the longest a call may last",
        }
    }
}

type Key = (CallId, Timer);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Timers(Deadlines<Key>);

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, call: &CallId, timer: Timer, deadline: Mono) {
        self.0.set((call.clone(), timer), deadline);
    }

    pub(super) fn cancel(&mut self, call: &CallId, timer: &Timer) -> Option<Mono> {
        self.0.cancel(&(call.clone(), timer.clone()))
    }

    /// Takes all timers of a call that has ended.
    pub(super) fn forget(&mut self, call: &CallId) {
        let first = (call.clone(), Timer::Ring);
        let of_call: Vec<Key> = self.0.range(first..).take_while(|k| k.0 == *call).cloned().collect();
        for key in of_call {
            self.0.cancel(&key);
        }
    }

    pub(super) fn take_due(&mut self, now: Mono) -> Option<Key> {
        self.0.take_due(now)
    }

    pub(super) fn next(&self) -> Option<(Mono, &'static str)> {
        self.0.next().map(|(deadline, (_, timer))| (deadline, timer.name()))
    }

    /// The legs that timers wait for.
    #[cfg(test)]
    pub(super) fn legs(&self) -> impl Iterator<Item = &LegId> {
        self.0.keys().filter_map(|(_, timer)| match timer {
            Timer::Silence(leg) | Timer::Minute(leg) => Some(leg),
            Timer::Ring | Timer::Round | Timer::Prompt | Timer::Longest => None,
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_timers_of_a_call_are_forgotten_and_no_others() {
        let mut timers = Timers::default();
        let (a, b) = (CallId::from("CAa"), CallId::from("CAb"));
        for call in [&a, &b] {
            for timer in [Timer::Ring, Timer::Minute(LegId::from("1")), Timer::Longest] {
                timers.set(call, timer, Mono(5));
            }
        }
        timers.set(&a, Timer::Ring, Mono(9));
        timers.forget(&a);
        assert_eq!(timers.len(), 3);
        timers.forget(&b);
        assert_eq!(timers.next(), None);
    }
}
