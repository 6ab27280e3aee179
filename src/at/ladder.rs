//! The way down and back: missed answers, the recovery ladder, restarts, shutdown. Whatever ends a line ends what
//! was under way first, each send with its own honest answer.
//!
//! The ladder (facts from the field: modems hang and the daemon goes on running; reopening helps against a lost USB
//! device, `AT+CFUN=1,1` against a hung firmware, and resetting too eagerly makes it worse): ESC and a probe three
//! times; then the port is closed and looked for again; then the modem is reset; then both in turn with growing
//! pauses.

use std::time::Duration;

use super::command::{Command, Flight, SendStage};
use super::engine::{Engine, Event, Link};
use super::phase::{Phase, Rung};
use crate::types::{LineEvent, Mono, SendResult};

/// Answers that may be missed before the next rung is climbed.
const MISSES: u8 = 3;
/// Rungs after which a person is asked to pull the plug.
const RUNGS_BEFORE_HELP: u32 = 4;
/// A power of two that no pause of the ladder exceeds by then.
const DOUBLINGS_MAX: u32 = 16;

const ESC: u8 = 0x1b;

impl Engine {
    /// Ends the work of this line: no new command is written, a send that was handed over gets a last chance. Ends
    /// with [`Event::Stopped`].
    pub fn handle_shutdown(&mut self, now: Mono) {
        match &self.flight {
            Some(Flight { command: Command::Send { stage: SendStage::Handed { .. }, .. }, .. }) => {
                self.refuse_waiting("shutting down");
                self.phase = Phase::Stopping { until: now + self.settings.shutdown };
            }
            Some(Flight {
                command: Command::Send { stage: SendStage::Prompt | SendStage::Prompted { .. }, .. },
                ..
            }) => {
                self.stop();
                // The prompt may be on its way: it is not left open for whoever comes next.
                self.write(vec![ESC]);
            }
            _ => self.stop(),
        }
    }

    pub(super) fn stop(&mut self) {
        if !matches!(self.phase, Phase::Stopped) {
            self.go_down("shutting down");
            self.phase = Phase::Stopped;
            self.event(Event::Stopped);
        }
    }

    /// A phase's own time has come.
    pub(super) fn phase_timeout(&mut self, now: Mono) {
        match &self.phase {
            Phase::BringUp(up) if up.wait.is_some_and(|at| at <= now) => self.end_wait(),
            Phase::Ready(_) => self.ready_timeout(now),
            Phase::Resting { until, rung } if *until <= now => {
                let rung = *rung;
                self.climb(rung, now);
            }
            Phase::Resetting { until } if *until <= now => self.start_bring_up(now),
            Phase::Stopping { until } if *until <= now => self.stop(),
            Phase::BringUp(_)
            | Phase::Resting { .. }
            | Phase::Resetting { .. }
            | Phase::Stopping { .. }
            | Phase::Probing { .. }
            | Phase::Closed { .. }
            | Phase::Stopped => {}
        }
    }

    /// A command was not answered in time.
    pub(super) fn missed(&mut self, flight: Flight, now: Mono) {
        self.counters.missed_answers += 1;
        self.headers.clear();
        match flight.command {
            Command::BringUp(step) => return self.bring_up_missed(step, now),
            Command::Probe => {
                if let Phase::Probing { missed, .. } = &mut self.phase {
                    *missed += 1;
                    if *missed >= MISSES {
                        self.give_up("the modem does not answer", now);
                    }
                }
                return;
            }
            Command::Send { text, stage } => {
                let unsent = self.unwrite();
                let result = lost(stage, unsent, "the modem did not answer in time");
                self.line(LineEvent::SendDone { part: text.part, result });
            }
            Command::Select(_) => self.modem.stores.selected(None),
            Command::List(mem) => self.inbox.list_failed(mem, false),
            Command::Read { slot, .. } => {
                self.inbox.retry(slot);
            }
            Command::Delete(slot) | Command::Ack(slot) => self.inbox.keep_wanting(slot),
            Command::Look(_) => {}
        }
        self.probe(now);
    }

    pub(super) fn probe(&mut self, now: Mono) {
        let Phase::Ready(ready) = &mut self.phase else { return };
        ready.missed += 1;
        if ready.missed >= MISSES {
            return self.give_up("the modem answers nothing but AT", now);
        }
        let ready = ready.clone();
        self.phase = Phase::Probing { missed: 0, ready };
        self.write(vec![ESC]);
    }

    /// Somebody is there after all.
    pub(super) fn probe_answered(&mut self) {
        if let Phase::Probing { ready, .. } = &self.phase {
            self.phase = Phase::Ready(ready.clone());
        }
    }

    /// A modem may not know `+CMEE?`: the last probe is content with any answer.
    pub(super) fn probe_is_generous(&self) -> bool {
        matches!(self.phase, Phase::Probing { missed, .. } if missed + 1 >= MISSES)
    }

    /// The line is down, and the next rung of the ladder is due.
    pub(super) fn give_up(&mut self, why: &str, now: Mono) {
        self.go_down(why);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= RUNGS_BEFORE_HELP {
            self.needs(Some("The modem does not answer: unplug it and plug it in again.".to_owned()));
        }
        let rung = if self.failures % 2 == 1 { Rung::Reopen } else { Rung::Reset };
        match self.failures.checked_sub(3) {
            None => self.climb(rung, now),
            Some(doublings) => {
                let pause = self.settings.backoff.saturating_mul(1 << doublings.min(DOUBLINGS_MAX));
                let until = now + pause.min(self.settings.backoff_max);
                self.phase = Phase::Resting { until, rung };
            }
        }
    }

    fn climb(&mut self, rung: Rung, now: Mono) {
        match rung {
            Rung::Reopen => {
                self.phase = Phase::Closed { since: now, said: false };
                self.event(Event::Reopen { why: "the modem does not answer".to_owned() });
            }
            Rung::Reset => {
                self.counters.resets += 1;
                self.write(vec![ESC]);
                self.write(b"AT+CFUN=1,1\r".to_vec());
                self.phase = Phase::Resetting { until: now + self.settings.reset };
            }
        }
    }

    /// The modem says, or shows, that it has started anew: its settings are gone.
    pub(super) fn restarted(&mut self, now: Mono) {
        match self.phase {
            Phase::Ready(_) | Phase::Probing { .. } => {
                self.counters.restarts += 1;
                self.go_down("the modem started anew by itself");
                self.start_bring_up(now);
            }
            Phase::BringUp(_) => {
                self.go_down("the modem started anew by itself");
                self.start_bring_up(now);
            }
            Phase::Resetting { .. } => self.phase = Phase::Resetting { until: now + Duration::from_secs(1) },
            Phase::Closed { .. } | Phase::Resting { .. } | Phase::Stopping { .. } | Phase::Stopped => {}
        }
    }

    /// `+CPIN: …` unasked, and not READY: the SIM was taken out, or the modem lost it.
    pub(super) fn on_sim_gone(&mut self, line: &str, now: Mono) {
        if matches!(self.phase, Phase::Ready(_) | Phase::Probing { .. }) {
            self.go_down(&format!("the SIM is not ready ({line})"));
            self.start_bring_up(now);
        }
    }

    /// Answers what was under way, forgets what lies in the modem, and says [`LineEvent::Down`], once.
    pub(super) fn go_down(&mut self, why: &str) {
        let unsent = self.unwrite();
        if let Some(Flight { command: Command::Send { text, stage }, .. }) = self.flight.take() {
            self.line(LineEvent::SendDone { part: text.part, result: lost(stage, unsent, why) });
        }
        self.refuse_waiting(why);
        self.headers.clear();
        self.inbox.clear();
        self.forget_network();
        if self.link != Link::Down {
            self.line(LineEvent::Down { why: why.to_owned() });
        }
    }

    fn refuse_waiting(&mut self, why: &str) {
        while let Some(text) = self.sends.pop_front() {
            let result = SendResult::NotTried { why: why.to_owned() };
            self.line(LineEvent::SendDone { part: text.part, result });
        }
    }
}

/// What became of a send whose answer will not come; `unsent` when the end of its PDU was not even handed to the
/// shell.
fn lost(stage: SendStage, unsent: bool, why: &str) -> SendResult {
    match stage {
        SendStage::Handed { reference: Some(reference) } => SendResult::Accepted { reference },
        SendStage::Handed { reference: None } if !unsent => SendResult::Unknown { why: why.to_owned() },
        SendStage::Handed { .. } | SendStage::Prompt | SendStage::Prompted { .. } => {
            SendResult::NotTried { why: why.to_owned() }
        }
    }
}
