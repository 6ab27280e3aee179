//! A line that is up: what is done next, what an answer means. Received texts and sends take turns; looks at the
//! network and sweeps come when they are due.

use std::collections::VecDeque;

use super::command::{Command, Look, SendStage};
use super::engine::Engine;
use super::inbox::Work;
use super::phase::{Phase, Ready};
use super::refusal::Meaning;
use super::reply::Final;
use crate::types::{LineEvent, Mono, SendResult, Slot};

impl Engine {
    /// The bring-up is over: everything that lies in the modem is reported first.
    pub(super) fn start_ready(&mut self, now: Mono) {
        self.failures = 0;
        for (mem, size) in self.modem.stores.sizes() {
            self.inbox.set_size(mem, size);
        }
        self.sweep_all();
        self.phase = Phase::Ready(Ready {
            look_at: now + self.settings.poll,
            sweep_at: now + self.sweep_pause(),
            looks: VecDeque::new(),
            inbound: 0,
            swept: false,
            missed: 0,
            rest: None,
        });
    }

    fn sweep_pause(&self) -> std::time::Duration {
        match self.modem.indicates {
            Some(_) => self.settings.sweep,
            None => self.settings.sweep_without_indications,
        }
    }

    fn sweep_all(&mut self) {
        for mem in self.modem.stores.all() {
            self.inbox.want_sweep(mem);
        }
    }

    /// A result that nobody waited for: noise, or a late answer, has put answers to the wrong commands, and what was
    /// made of them may be wrong. Not at once: a modem that says everything twice would be swept without end.
    pub(super) fn sweep_soon(&mut self, now: Mono) {
        let at = now + self.settings.sweep_without_indications;
        if let Phase::Ready(ready) | Phase::Probing { ready, .. } = &mut self.phase {
            ready.sweep_at = ready.sweep_at.min(at);
        }
    }

    /// Looks and sweeps that are due.
    pub(super) fn ready_timeout(&mut self, now: Mono) {
        let pause = self.sweep_pause();
        let suspicion = self.suspicion();
        let Phase::Ready(ready) = &mut self.phase else { return };
        if ready.rest.is_some_and(|until| until <= now) {
            ready.rest = None;
        }
        if ready.look_at <= now {
            ready.look_at = now + self.settings.poll;
            for look in [Look::Signal, Look::Registration, Look::Operator] {
                if !ready.looks.contains(&look) {
                    ready.looks.push_back(look);
                }
            }
        }
        if ready.sweep_at <= now {
            ready.sweep_at = now + pause;
            // A modem that forgot its settings says nothing: this is where it is found out.
            if let Some(look) = suspicion.filter(|look| !ready.looks.contains(look)) {
                ready.looks.push_back(look);
            }
            self.sweep_all();
            self.inbox.revive_frees();
        }
    }

    /// Writes the next command, if there is anything to do and nothing is under way.
    pub(super) fn pump(&mut self, now: Mono) {
        while self.flight.is_none() {
            match &self.phase {
                Phase::BringUp(up) if up.wait.is_none() => self.bring_up_next(now),
                Phase::Probing { .. } => self.issue(Command::Probe, Command::Probe.text(), now),
                Phase::Ready(_) => {
                    let Some(command) = self.next_command() else { break };
                    let text = command.text();
                    self.issue(command, text, now);
                }
                Phase::BringUp(_)
                | Phase::Closed { .. }
                | Phase::Resting { .. }
                | Phase::Resetting { .. }
                | Phase::Stopping { .. }
                | Phase::Stopped => break,
            }
        }
    }

    fn next_command(&mut self) -> Option<Command> {
        let Phase::Ready(ready) = &mut self.phase else { return None };
        if let Some(look) = ready.looks.pop_front() {
            return Some(Command::Look(look));
        }
        let sends_turn = ready.inbound >= self.settings.inbound_turn && !self.sends.is_empty();
        if !sends_turn && ready.rest.is_none() {
            if let Some(command) = self.next_inbound() {
                return Some(command);
            }
            self.say_swept();
        }
        let Phase::Ready(ready) = &mut self.phase else { return None };
        ready.inbound = 0;
        let rested = ready.rest.is_none();
        if let Some(text) = self.sends.pop_front() {
            return Some(Command::Send { text, stage: SendStage::Prompt });
        }
        self.modem.stores.home().filter(|_| rested).map(Command::Select)
    }

    fn next_inbound(&mut self) -> Option<Command> {
        loop {
            let work = self.inbox.next(self.modem.stores.current())?;
            if let Work::Ack(slot) = work
                && !self.modem.acknowledges
            {
                // Nothing to acknowledge: the modem forgot it when it handed it over.
                self.freed(slot);
                continue;
            }
            if let Phase::Ready(ready) = &mut self.phase {
                ready.inbound = ready.inbound.saturating_add(1);
            }
            if let Some(mem) = work.mem()
                && self.modem.stores.must_select(mem)
            {
                self.inbox.put_back(work);
                return Some(Command::Select(mem));
            }
            return Some(match work {
                Work::Ack(slot) => Command::Ack(slot),
                Work::List(mem) => Command::List(mem),
                Work::Read(slot) => Command::Read { slot, found: false },
                Work::Delete(slot) => Command::Delete(slot),
            });
        }
    }

    fn say_swept(&mut self) {
        let is_swept = self.inbox.is_swept();
        if let Phase::Ready(ready) = &mut self.phase
            && is_swept
            && !ready.swept
        {
            ready.swept = true;
            self.line(LineEvent::Swept);
        }
    }

    pub(super) fn freed(&mut self, slot: Slot) {
        if self.inbox.freed(slot) {
            self.line(LineEvent::Freed { slot });
        }
    }

    /// The answer to a command of a line that is up is complete.
    pub(super) fn ready_answer(&mut self, command: Command, info: &[String], result: Final, now: Mono) {
        if let Phase::Ready(ready) = &mut self.phase {
            ready.missed = 0;
        }
        match (command, result) {
            (Command::Look(Look::Indications), Final::Ok) if !self.still_indicates(info) => {
                self.restarted(now)
            }
            (Command::Look(_), _) => {}
            (Command::Select(mem), Final::Ok) => self.modem.stores.selected(Some(mem)),
            (Command::Select(_), Final::Refused(refusal)) if refusal.is_busy() => self.rest(now),
            (Command::Select(mem), Final::Refused(_)) => {
                self.modem.stores.refused(mem);
                self.inbox.abandon(mem);
            }
            (Command::List(_), Final::Ok) => {}
            (Command::List(mem), Final::Refused(refusal)) if refusal.is_busy() => {
                self.inbox.put_back(Work::List(mem));
                self.rest(now);
            }
            (Command::List(mem), Final::Refused(_)) => {
                self.inbox.list_failed(mem, true);
                self.probe(now);
            }
            // Nothing there: that OK may have been noise, with the true answer still on its way. It must not be taken
            // for that of the next command, which would give this text another one's place.
            (Command::Read { slot, found: false }, Final::Ok) => {
                if !self.inbox.doubt(slot) {
                    self.found_nothing(slot);
                }
                self.probe(now);
            }
            (Command::Read { found: true, .. }, Final::Ok) => {}
            (Command::Read { slot, .. }, Final::Refused(refusal)) if refusal.is_busy() => {
                self.inbox.put_back(Work::Read(slot));
                self.rest(now);
            }
            (Command::Read { slot, .. }, Final::Refused(refusal)) if refusal.is_empty_slot() => {
                self.found_nothing(slot);
            }
            (Command::Read { slot, .. }, Final::Refused(_)) => {
                if !self.inbox.retry(slot) && !self.inbox.settle(slot) {
                    self.counters.empty_slots += 1;
                }
                // It may be the late refusal of another command: then the answer to this one is still on its way.
                self.probe(now);
            }
            (Command::Delete(slot) | Command::Ack(slot), Final::Ok) => self.freed(slot),
            (Command::Delete(slot), Final::Refused(refusal)) if refusal.is_empty_slot() => self.freed(slot),
            (Command::Delete(slot), Final::Refused(refusal)) if refusal.is_busy() => {
                self.inbox.put_back(Work::Delete(slot));
                self.rest(now);
            }
            (Command::Delete(slot), Final::Refused(_)) => {
                self.counters.refused_frees += 1;
                self.inbox.keep_wanting(slot);
            }
            (Command::Ack(slot), Final::Refused(_)) => {
                // CMS 340, no acknowledgement expected: too late. The network hands it over again, or it is done.
                self.counters.refused_frees += 1;
                self.freed(slot);
            }
            (Command::Send { text, stage }, result) => {
                let result = send_result(stage, &result);
                self.line(LineEvent::SendDone { part: text.part, result });
            }
            (Command::BringUp(_) | Command::Probe, _) => {}
        }
        if matches!(self.phase, Phase::Stopping { .. }) {
            self.stop();
        }
    }

    /// The store is busy with itself: sends go on, received texts wait a moment.
    fn rest(&mut self, now: Mono) {
        let until = now + self.settings.busy_retry;
        if let Phase::Ready(ready) = &mut self.phase {
            ready.rest = Some(until);
        }
    }

    pub(super) fn found_nothing(&mut self, slot: Slot) {
        let is_no_news = self.inbox.settle(slot) || self.inbox.is_doubted(slot);
        if self.inbox.is_doubted(slot) {
            self.freed(slot);
        }
        if !is_no_news {
            self.counters.empty_slots += 1;
        }
    }
}

/// What the end of a send's answer says of the text.
fn send_result(stage: SendStage, result: &Final) -> SendResult {
    match (stage, result) {
        (SendStage::Handed { reference: Some(reference) }, Final::Ok) => SendResult::Accepted { reference },
        (
            SendStage::Handed { reference: None } | SendStage::Prompt | SendStage::Prompted { .. },
            Final::Ok,
        ) => SendResult::Unknown { why: "the modem said OK without a reference".to_owned() },
        (_, Final::Refused(refusal)) => match refusal.meaning() {
            Meaning::Temporary => SendResult::Rejected { code: refusal.text(), temporary: true },
            Meaning::Permanent => SendResult::Rejected { code: refusal.text(), temporary: false },
            Meaning::Unknown => SendResult::Unknown { why: refusal.text() },
        },
    }
}
