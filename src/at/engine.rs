//! The engine's verbs and the way of a line through it. What it does when it is up stands in `ready`, how it gets
//! there in `bringup`, how it goes down in `ladder`.

use std::collections::VecDeque;

use super::bringup::{Modem, PinState, Step};
use super::command::{Command, Flight, Look, Outgoing, SendStage};
use super::digest::{Digester, Token};
use super::inbox::Inbox;
use super::phase::Phase;
use super::reply::{self, Final, Urc};
use super::settings::{Settings, SimPin};
use crate::types::{
    ConsentsAnswer, LineCommand, LineEvent, LineState, MediaResult, Mem, Mono, PartId, PostResult,
    PostsFound, SendResult, Slot,
};

/// Texts that may wait to be sent; the daemon hands over one at a time.
const SENDS_MAX: usize = 16;
/// Lines of an answer that are kept; the answers that matter have one or two.
const INFO_MAX: usize = 16;
/// Headers whose PDU has not come; more than two at once is noise.
const HEADERS_MAX: usize = 8;

/// What the engine tells its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// For the daemon.
    Line(LineEvent),
    /// Close the port, look for the modem, open it and call [`Engine::handle_opened`].
    Reopen {
        /// For the log.
        why: String,
    },
    /// The SIM's PIN is about to be entered: to be remembered on disk before anything more is written to the port.
    PinTry,
    /// The SIM took its PIN: the memory of the try may go.
    PinAccepted,
    /// The answer to [`Engine::handle_shutdown`]: nothing is under way, the port may be closed.
    Stopped,
}

/// Things that are survived, and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control characters, NUL and leading high bytes.
    pub garbage_bytes: u64,
    /// Lines longer than 8 KiB.
    pub overlong_lines: u64,
    /// Lines that mean nothing here: vendors' own URCs among them.
    pub unknown_lines: u64,
    /// Final results that no command waited for.
    pub stray_results: u64,
    /// Announcements of messages that were reported already.
    pub repeated_announcements: u64,
    /// Announced slots that held nothing.
    pub empty_slots: u64,
    /// PDUs that were damaged on the way and asked for again.
    pub damaged_pdus: u64,
    /// Commands whose answer did not come in time.
    pub missed_answers: u64,
    /// `AT+CFUN=1,1`.
    pub resets: u64,
    /// Spontaneous restarts of the modem.
    pub restarts: u64,
    /// [`LineCommand::Free`] for a slot that was not reported in this connection.
    pub unknown_frees: u64,
    /// Messages that the modem refused to delete or acknowledge.
    pub refused_frees: u64,
}

/// A header that was read; its PDU is the next line that looks like one.
#[derive(Clone, Copy, Debug)]
struct Header {
    slot: Slot,
    length: Option<usize>,
    /// A message of our own that lies there (`stat` 2 or 3) is not reported.
    ours: bool,
}

/// Which way the last report to the daemon pointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Unsaid,
    Up,
    Down,
}

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    /// Ends the PDU: from here on it may have left.
    CtrlZ,
}

/// One modem with one SIM. Bytes and time in, bytes and events out; never reads a clock.
///
/// The shell calls `handle_opened` with an open port, feeds what it reads, writes all of `poll_transmit`, delivers
/// all of `poll_event`, and calls `handle_timeout` when `poll_timeout` says so.
#[derive(Debug)]
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) pin: PinState,
    pub(super) digester: Digester,
    pub(super) phase: Phase,
    pub(super) modem: Modem,
    pub(super) inbox: Inbox,
    pub(super) sends: VecDeque<Outgoing>,
    pub(super) flight: Option<Flight>,
    pub(super) headers: Headers,
    pub(super) link: Link,
    /// Rungs climbed since the line was last up.
    pub(super) failures: u32,
    /// Prompts so far: tells a late word about one from a word about the next.
    attempts: u32,
    pub(super) counters: Counters,
    state: LineState,
    published: LineState,
    direct: u16,
    transmit: VecDeque<Chunk>,
    events: VecDeque<Event>,
}

/// Headers whose PDU has not come, the latest last.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<Header>);

impl Headers {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Engine {
    /// An engine without a port. `pin` is entered when the SIM wants it, once.
    #[must_use]
    pub fn new(settings: Settings, pin: Option<SimPin>) -> Self {
        let pin = match pin {
            None => PinState::None,
            Some(SimPin { already_tried: true, .. }) => PinState::Spent,
            Some(SimPin { pin, already_tried: false }) => PinState::Fresh(pin),
        };
        Self {
            settings,
            pin,
            digester: Digester::default(),
            phase: Phase::Closed { since: Mono::default(), said: false },
            modem: Modem::default(),
            inbox: Inbox::default(),
            sends: VecDeque::new(),
            flight: None,
            headers: Headers::default(),
            link: Link::Unsaid,
            failures: 0,
            attempts: 0,
            counters: Counters::default(),
            state: LineState::default(),
            published: LineState::default(),
            direct: 0,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A port was opened: the modem's state is unknown.
    pub fn handle_opened(&mut self, now: Mono) {
        if !matches!(self.phase, Phase::Stopping { .. } | Phase::Stopped) {
            match self.phase {
                Phase::Closed { said: true, .. } => self.needs(None),
                Phase::Closed { said: false, .. } => {}
                _ => self.go_down("the port was opened anew"),
            }
            self.start_bring_up(now);
            self.pump(now);
        }
    }

    /// The port is gone (EIO, end of file) or was not found; may be said again and again.
    pub fn handle_closed(&mut self, why: &str, now: Mono) {
        match self.phase {
            Phase::Stopping { .. } => self.stop(),
            Phase::Stopped => {}
            Phase::Closed { since, said } => {
                self.go_down(why);
                if !said && now.since(since) >= self.settings.missing {
                    self.phase = Phase::Closed { since, said: true };
                    self.needs(Some(format!("The modem is not there ({why}): plug it in.")));
                }
            }
            _ => {
                self.go_down(why);
                self.phase = Phase::Closed { since: now, said: false };
            }
        }
        self.pump(now);
    }

    /// Bytes from the port, split anyhow.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Mono) {
        for &byte in bytes {
            match self.digester.feed(byte, self.awaits_prompt()) {
                None => continue,
                Some(Token::Line(line)) => self.on_line(&line, now),
                Some(Token::Prompt) => self.on_prompt(now),
            }
            self.pump(now);
        }
    }

    /// A command of the daemon. Every [`LineCommand::Send`] is answered by exactly one [`LineEvent::SendDone`].
    pub fn handle_command(&mut self, command: LineCommand, now: Mono) {
        match command {
            LineCommand::Send { part, pdu, .. } if !reply::is_hex(&pdu) => {
                let result = SendResult::Rejected { code: "the PDU is not hex".to_owned(), temporary: false };
                self.line(LineEvent::SendDone { part, result });
            }
            LineCommand::Send { part, pdu, length } => {
                let why = match self.phase {
                    Phase::Ready(_) | Phase::Probing { .. } if self.sends.len() >= SENDS_MAX => {
                        "too many texts wait"
                    }
                    Phase::Ready(_) | Phase::Probing { .. } => {
                        self.sends.push_back(Outgoing { part, pdu, length });
                        return self.pump(now);
                    }
                    Phase::Stopping { .. } | Phase::Stopped => "shutting down",
                    Phase::Closed { .. }
                    | Phase::BringUp(_)
                    | Phase::Resting { .. }
                    | Phase::Resetting { .. } => "the line is not up",
                };
                self.line(LineEvent::SendDone { part, result: SendResult::NotTried { why: why.to_owned() } });
            }
            // Whole texts are other lines' business: nobody asks a modem twice.
            LineCommand::Post(post) => {
                let result = PostResult::NotTried { why: "a modem takes PDUs".to_owned() };
                self.line(LineEvent::Posted { message: post.message, attempt: post.attempt, result });
            }
            LineCommand::Find { message, .. } => {
                let found = PostsFound::Unreachable { why: "a modem keeps no list".to_owned() };
                self.line(LineEvent::Found { message, found });
            }
            LineCommand::Fetch { message, number, .. } => {
                let result = MediaResult::Gone { why: "a modem fetches nothing".to_owned() };
                self.line(LineEvent::Media { message, number, result });
            }
            LineCommand::Consents { batch, .. } => {
                let answer = ConsentsAnswer::Closed { why: "a network keeps no list".to_owned() };
                self.line(LineEvent::Consents { batch, answer });
            }
            LineCommand::Resume(_) | LineCommand::Track { .. } => {}
            LineCommand::Proceed { part, attempt, go } => self.proceed(&part, attempt, go, now),
            LineCommand::Free { slot } => {
                if !self.inbox.free(slot) {
                    self.counters.unknown_frees += 1;
                }
                self.pump(now);
            }
        }
    }

    /// The time that [`Engine::poll_timeout`] named has come (or not quite: nothing happens then).
    pub fn handle_timeout(&mut self, now: Mono) {
        if self.flight.as_ref().is_some_and(|flight| flight.deadline <= now)
            && let Some(flight) = self.flight.take()
        {
            self.missed(flight, now);
        }
        self.phase_timeout(now);
        self.pump(now);
    }

    /// Bytes to write to the port, in order; the shell writes them all before it reads again.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        Some(match self.transmit.pop_front()? {
            Chunk::Bytes(bytes) => bytes,
            Chunk::CtrlZ => vec![0x1a],
        })
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Engine::handle_timeout`] wants to be called, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let flight = self.flight.as_ref().map(|flight| (flight.deadline, "the answer to a command"));
        let phase = match &self.phase {
            Phase::Closed { .. } | Phase::Stopped | Phase::Probing { .. } => None,
            Phase::BringUp(up) => up.wait.map(|at| (at, "the next step of bring-up")),
            Phase::Ready(ready) if ready.look_at <= ready.sweep_at => {
                Some((ready.look_at, "a look at the signal"))
            }
            Phase::Ready(ready) => Some((ready.sweep_at, "a sweep of the message store")),
            Phase::Resting { until, .. } => Some((*until, "the next rung of the recovery ladder")),
            Phase::Resetting { until } => Some((*until, "the modem's start after a reset")),
            Phase::Stopping { until } => Some((*until, "the last send before shutdown")),
        };
        let rest = match &self.phase {
            Phase::Ready(ready) => ready.rest.map(|at| (at, "another try at a busy message store")),
            _ => None,
        };
        flight.into_iter().chain(phase).chain(rest).min_by_key(|(at, _)| *at)
    }

    /// What was survived so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            garbage_bytes: self.digester.garbage,
            overlong_lines: self.digester.overlong,
            repeated_announcements: self.inbox.repeated,
            ..self.counters
        }
    }

    /// True between [`LineEvent::Up`] and [`LineEvent::Down`].
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    // ---- out ----

    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn line(&mut self, event: LineEvent) {
        match &event {
            LineEvent::Up { .. } => self.link = Link::Up,
            LineEvent::Down { .. } => self.link = Link::Down,
            _ => {}
        }
        self.event(Event::Line(event));
    }

    pub(super) fn write(&mut self, bytes: Vec<u8>) {
        self.transmit.push_back(Chunk::Bytes(bytes));
    }

    /// Forgets what was not handed to the shell yet. True when the end of a PDU was among it.
    pub(super) fn unwrite(&mut self) -> bool {
        let unsent = self.transmit.iter().any(|chunk| matches!(chunk, Chunk::CtrlZ));
        self.transmit.clear();
        unsent
    }

    pub(super) fn issue(&mut self, command: Command, text: String, now: Mono) {
        let deadline = now + command.patience(&self.settings);
        self.write(format!("{text}\r").into_bytes());
        self.flight = Some(Flight { command, deadline, text, info: Vec::new() });
    }

    /// Says what the console shows, when it changed.
    pub(super) fn publish(&mut self) {
        if self.state != self.published {
            self.published = self.state.clone();
            self.line(LineEvent::State(self.state.clone()));
        }
    }

    pub(super) fn needs(&mut self, what: Option<String>) {
        self.state.needs = what;
        self.publish();
    }

    /// What is known of the network is no longer true.
    pub(super) fn forget_network(&mut self) {
        self.state = LineState { needs: self.state.needs.take(), ..LineState::default() };
        self.publish();
    }

    // ---- in ----

    fn awaits_prompt(&self) -> bool {
        matches!(&self.flight, Some(Flight { command: Command::Send { stage: SendStage::Prompt, .. }, .. }))
    }

    fn on_prompt(&mut self, now: Mono) {
        let Some(Flight { command: Command::Send { text, stage }, deadline, .. }) = &mut self.flight else {
            return;
        };
        self.attempts = self.attempts.wrapping_add(1);
        let attempt = self.attempts;
        *stage = SendStage::Prompted { attempt };
        *deadline = now + self.settings.prompt;
        let part = text.part.clone();
        self.line(LineEvent::Prompted { part, attempt });
    }

    /// The daemon has written down that the PDU leaves, or does not want it to.
    fn proceed(&mut self, part: &PartId, attempt: u32, go: bool, now: Mono) {
        let Some(Flight { command: Command::Send { text, stage }, deadline, .. }) = &mut self.flight else {
            return;
        };
        // Too late, or for a try that was given up: this one is not the one that is on record.
        if text.part != *part || *stage != (SendStage::Prompted { attempt }) {
            return;
        }
        if go {
            *stage = SendStage::Handed { reference: None };
            *deadline = now + self.settings.submit;
            let pdu = text.pdu.clone().into_bytes();
            self.write(pdu);
            self.transmit.push_back(Chunk::CtrlZ);
        } else {
            let part = part.clone();
            self.flight = None;
            let result = SendResult::NotTried { why: "it is not wanted any more".to_owned() };
            self.line(LineEvent::SendDone { part, result });
            // ESC ends the prompt, and what is said to that must not answer the next command.
            self.probe(now);
        }
        self.pump(now);
    }

    fn on_line(&mut self, line: &str, now: Mono) {
        if self.is_echo(line) {
            return;
        }
        let terse =
            matches!(&self.flight, Some(Flight { command: Command::BringUp(step), .. }) if step.is_terse());
        let urc = Urc::parse(line);
        if !self.headers.0.is_empty() {
            if reply::is_hex(line) {
                return self.on_pdu(line);
            }
            // A header, a URC or a final result instead of the PDU is not the PDU.
            if urc.is_none() && Final::parse(line, false).is_none() && !reply::looks_unsolicited(line) {
                return self.on_damaged_pdu(line);
            }
        }
        if let Some(result) = Final::parse(line, terse) {
            return self.on_final(result, now);
        }
        let network = self.on_network(line);
        if self.on_message_header(line) || self.on_info(line) {
            return;
        }
        match urc {
            Some(urc) => self.on_urc(urc, now),
            None if network => {}
            None if line.starts_with("+CPIN:") => self.on_sim_gone(line, now),
            None => self.counters.unknown_lines += 1,
        }
    }

    fn is_echo(&self, line: &str) -> bool {
        match &self.flight {
            Some(Flight { command: Command::Send { text, stage: SendStage::Handed { .. } }, .. }) => {
                line == text.pdu
            }
            // The first AT may stand behind what somebody else had begun to type.
            Some(flight) => !flight.text.is_empty() && line.ends_with(&flight.text),
            None => false,
        }
    }

    /// Lines whose meaning is the same as an answer and unasked.
    fn on_network(&mut self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("+CREG:") {
            if let Some(registration) = reply::registration(rest) {
                self.state.registration = registration;
            }
        } else if let Some(rest) = line.strip_prefix("+CSQ:") {
            if let Some(dbm) = reply::signal_dbm(rest) {
                self.state.signal_dbm = dbm;
            }
        } else if let Some(rest) = line.strip_prefix("+COPS:") {
            let name = reply::fields(rest).get(2).map(|field| field.text().to_owned());
            self.state.operator = name.filter(|name| !name.is_empty());
        } else {
            return false;
        }
        self.publish();
        true
    }

    /// `+CMGR:` and `+CMGL:` of the command that asked.
    fn on_message_header(&mut self, line: &str) -> bool {
        let (slot, rest, stat_at) = match &mut self.flight {
            Some(Flight { command: Command::Read { slot, found }, .. }) => {
                let Some(rest) = line.strip_prefix("+CMGR:") else { return false };
                *found = true;
                (*slot, rest, 0)
            }
            Some(Flight { command: Command::List(mem), .. }) => {
                let Some(rest) = line.strip_prefix("+CMGL:") else { return false };
                let Some(index) = reply::fields(rest).first().and_then(reply::Field::number) else {
                    self.counters.damaged_pdus += 1;
                    return true;
                };
                (Slot { mem: *mem, index }, rest, 1)
            }
            _ => return false,
        };
        let fields = reply::fields(rest);
        let length: Option<usize> = fields.last().and_then(reply::Field::number);
        if length == Some(0) {
            // `+CMGR: 0,,0`: some modems' way to say that the slot is empty.
            if matches!(&self.flight, Some(Flight { command: Command::Read { .. }, .. })) {
                self.found_nothing(slot);
            }
            return true;
        }
        let ours = fields
            .get(stat_at)
            .and_then(reply::Field::number::<u8>)
            .is_some_and(|stat| stat == 2 || stat == 3);
        self.push_header(Header { slot, length, ours });
        true
    }

    fn push_header(&mut self, header: Header) {
        if self.headers.0.len() >= HEADERS_MAX {
            self.headers.0.remove(0);
            self.counters.damaged_pdus += 1;
        }
        self.headers.0.push(header);
    }

    /// A PDU belongs to the header whose length it has; the latest of them, since a modem writes an unsolicited
    /// header and its PDU in one go, also between another header and its PDU.
    fn on_pdu(&mut self, pdu: &str) {
        let headers = &mut self.headers.0;
        let fits = |header: &Header| header.length.is_none_or(|length| reply::has_length(pdu, length));
        let at = headers.iter().rposition(fits);
        let whole = at.is_some();
        let Some(header) = (match at {
            Some(at) => Some(headers.remove(at)),
            None => headers.pop(),
        }) else {
            return;
        };
        if header.ours {
            self.inbox.settle(header.slot);
        } else if whole {
            self.received(header.slot, pdu);
        } else {
            self.counters.damaged_pdus += 1;
            // After two more looks it is what the modem has: the decoder judges.
            if !self.inbox.retry(header.slot) {
                self.received(header.slot, pdu);
            }
        }
    }

    fn received(&mut self, slot: Slot, pdu: &str) {
        if self.inbox.is_another(slot, pdu) {
            self.freed(slot);
        }
        if self.inbox.hold(slot, pdu) {
            self.line(LineEvent::Received { slot, pdu: pdu.to_owned() });
        }
    }

    fn on_damaged_pdu(&mut self, raw: &str) {
        let Some(header) = self.headers.0.pop() else { return };
        self.counters.damaged_pdus += 1;
        if header.ours {
            self.inbox.settle(header.slot);
        } else if !self.inbox.retry(header.slot) && self.inbox.hold(header.slot, raw) {
            self.line(LineEvent::Unreadable { slot: Some(header.slot), raw: raw.to_owned() });
        }
    }

    fn on_info(&mut self, line: &str) -> bool {
        let Some(flight) = &mut self.flight else { return false };
        match flight.command.prefix() {
            None => return false,
            // Bare text; what begins as an answer of its own kind is taken too (`+CGSN: …`, `+CCID: …`).
            Some("") if line.starts_with('^') || Urc::parse(line).is_some() => return false,
            Some(prefix) if !line.starts_with(prefix) => return false,
            Some(_) => {}
        }
        if let Command::Send { stage, .. } = &mut flight.command {
            let reference = line.split_once(':').and_then(|(_, rest)| reply::fields(rest).first()?.number());
            return match stage {
                // An answer that comes before the prompt is that of a send that was given up.
                SendStage::Prompt | SendStage::Prompted { .. } => false,
                SendStage::Handed { reference: heard } => {
                    *heard = reference.or(*heard);
                    true
                }
            };
        }
        if flight.info.len() < INFO_MAX {
            flight.info.push(line.to_owned());
        }
        true
    }

    fn on_urc(&mut self, urc: Urc, now: Mono) {
        match urc {
            Urc::Stored(slot) => self.inbox.announce(slot),
            Urc::Direct { length } => {
                self.direct = self.direct.wrapping_add(1);
                let slot = Slot { mem: Mem::Direct, index: self.direct };
                self.push_header(Header { slot, length, ours: false });
            }
            Urc::Started => self.restarted(now),
            Urc::SomethingReady => match &mut self.phase {
                // Not at once: a modem that says so after every question would be asked without end.
                Phase::BringUp(up) if up.step == Step::SimAsk => {
                    up.wait = up.wait.map(|at| at.min(now + self.settings.busy_retry));
                }
                _ => self.suspect(self.suspicion()),
            },
            Urc::LookEverywhere => {
                self.modem.stores.all().into_iter().for_each(|mem| self.inbox.want_sweep(mem))
            }
        }
    }

    fn suspect(&mut self, look: Option<Look>) {
        if let (Phase::Ready(ready) | Phase::Probing { ready, .. }, Some(look)) = (&mut self.phase, look)
            && !ready.looks.contains(&look)
        {
            ready.looks.push_back(look);
        }
    }

    fn on_final(&mut self, result: Final, now: Mono) {
        let takes = self.flight.as_ref().is_some_and(|flight| match &flight.command {
            // A modem that does not know the question says so; a bare OK is the late answer to another command.
            Command::BringUp(Step::Sync) => {
                !flight.info.is_empty() || (result != Final::Ok && self.sync_is_generous())
            }
            Command::Probe => !flight.info.is_empty() || (result != Final::Ok && self.probe_is_generous()),
            // This one has had no prompt.
            Command::Send { stage: SendStage::Prompt | SendStage::Prompted { .. }, .. } => {
                result != Final::Ok
            }
            command => result != Final::Ok || !flight.info.is_empty() || !command.must_tell(),
        });
        if !takes {
            self.counters.stray_results += 1;
            self.sweep_soon(now);
            return;
        }
        let Some(flight) = self.flight.take() else { return };
        // A header of this answer has lost its PDU.
        let lost: Vec<Slot> =
            self.headers.0.iter().map(|h| h.slot).filter(|slot| slot.mem != Mem::Direct).collect();
        self.headers.0.retain(|header| header.slot.mem == Mem::Direct);
        let is_cut = !lost.is_empty();
        for slot in lost {
            self.counters.damaged_pdus += 1;
            if !self.inbox.retry(slot) && self.inbox.hold(slot, "") {
                self.line(LineEvent::Unreadable { slot: Some(slot), raw: String::new() });
            }
        }
        match flight.command {
            Command::BringUp(step) => self.bring_up_answer(step, &flight.info, result, now),
            Command::Probe => self.probe_answered(),
            command => self.ready_answer(command, &flight.info, result, now),
        }
        if is_cut {
            // The rest of it may still come, and is no answer to what is asked next.
            self.probe(now);
        }
    }
}
