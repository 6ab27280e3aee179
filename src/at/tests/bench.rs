//! The scripted modem. It answers the commands of a bring-up as a small modem would; a scenario overrides what it
//! is about.

use std::collections::BTreeMap;

use crate::at::{Engine, Event, Settings, SimPin};
use crate::types::{LineCommand, LineEvent, MessageId, Mono, PartId, SendResult, Slot};

/// A DELIVER of 20 octets without its SMSC address.
pub(super) const PDU_A: &str = "00040B911234567890F00000621120010203000141";
/// Another one of the same length.
pub(super) const PDU_B: &str = "00040B911234567890F00000621120010203000142";

type Answer = Box<dyn FnMut(&str) -> Option<String>>;
type Spoil = Box<dyn FnMut(&str, String) -> String>;

/// See the head of this file.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) now: Mono,
    /// Every command line and PDU that the engine wrote, in order.
    pub(super) written: Vec<String>,
    pub(super) events: Vec<Event>,
    /// What lies in the modem: memory, index, header's stat, PDU.
    pub(super) store: BTreeMap<(String, u16), String>,
    memory: String,
    overrides: Vec<(String, Answer)>,
    buffer: Vec<u8>,
    /// False: the modem is dead.
    pub(super) alive: bool,
    /// Answers go in pieces of this many bytes.
    pub(super) piece: usize,
    /// What becomes of an answer on its way.
    pub(super) spoil: Option<Spoil>,
}

pub(super) fn part(number: u8) -> PartId {
    PartId { message: MessageId("SM1".into()), number }
}

pub(super) fn send(number: u8) -> LineCommand {
    LineCommand::Send { part: part(number), pdu: "0011000B911234567890F00000AA0141".into(), length: 15 }
}

/// The longest that any timer of the default settings runs.
pub(super) fn ready(pin: Option<SimPin>) -> Bench {
    let mut bench = Bench::new(Settings::default(), pin);
    bench.open();
    bench
}

impl Bench {
    pub(super) fn new(settings: Settings, pin: Option<SimPin>) -> Self {
        Self {
            engine: Engine::new(settings, pin),
            now: Mono(1000),
            written: Vec::new(),
            events: Vec::new(),
            store: BTreeMap::new(),
            memory: "SM".into(),
            overrides: Vec::new(),
            buffer: Vec::new(),
            alive: true,
            piece: usize::MAX,
            spoil: None,
        }
    }

    /// Opens the port and lets the bring-up run as long as nothing but its own short waits stands in the way.
    pub(super) fn open(&mut self) {
        self.engine.handle_opened(self.now);
        self.run();
        self.wait(200);
    }

    /// Answers commands that begin with `prefix` differently, until the closure says `None`.
    pub(super) fn on(&mut self, prefix: &str, answer: impl FnMut(&str) -> Option<String> + 'static) {
        self.overrides.insert(0, (prefix.to_owned(), Box::new(answer)));
    }

    /// The same, always with this text.
    pub(super) fn says(&mut self, prefix: &str, text: &'static str) {
        self.on(prefix, move |_| Some(text.to_owned()));
    }

    /// Unsolicited bytes from the modem.
    pub(super) fn hear(&mut self, text: &str) {
        self.feed(text.as_bytes());
        self.run();
    }

    pub(super) fn tell(&mut self, command: LineCommand) {
        self.engine.handle_command(command, self.now);
        self.run();
    }

    /// Lets time pass, stopping at every timer of the engine.
    pub(super) fn wait(&mut self, ms: u64) {
        let end = Mono(self.now.0 + ms);
        loop {
            match self.engine.poll_timeout() {
                Some((at, _)) if at <= end => {
                    self.now = at.max(self.now);
                    self.engine.handle_timeout(self.now);
                    self.run();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    pub(super) fn line_events(&self) -> Vec<LineEvent> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Line(event) => Some(event.clone()),
                _ => None,
            })
            .collect()
    }

    /// Events of a line without `State`, and forgets them.
    pub(super) fn take(&mut self) -> Vec<LineEvent> {
        let events = self.line_events();
        self.events.clear();
        events.into_iter().filter(|event| !matches!(event, LineEvent::State(_))).collect()
    }

    /// Results of sends, and forgets all events.
    pub(super) fn results(&mut self) -> Vec<SendResult> {
        let done = self.take().into_iter();
        done.filter_map(|event| match event {
            LineEvent::SendDone { result, .. } => Some(result),
            _ => None,
        })
        .collect()
    }

    pub(super) fn needs(&self) -> Option<String> {
        let states = self.line_events().into_iter().rev();
        states
            .filter_map(|event| match event {
                LineEvent::State(state) => Some(state.needs),
                _ => None,
            })
            .next()
            .flatten()
    }

    pub(super) fn count(&self, command: &str) -> usize {
        self.written.iter().filter(|line| *line == command).count()
    }

    pub(super) fn put(&mut self, memory: &str, index: u16, pdu: &str) {
        self.store.insert((memory.to_owned(), index), pdu.to_owned());
    }

    pub(super) fn received(slot: Slot, pdu: &str) -> LineEvent {
        LineEvent::Received { slot, pdu: pdu.into() }
    }

    /// Answers the prompt that the engine told of last.
    pub(super) fn proceed(&mut self, go: bool) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Line(LineEvent::Prompted { part, attempt }) => {
                    self.engine.handle_command(LineCommand::Proceed { part, attempt, go }, self.now);
                }
                event => self.events.push(event),
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece.min(bytes.len().max(1))) {
            self.engine.handle_bytes(piece, self.now);
        }
    }

    /// Carries bytes both ways until neither has anything to say.
    pub(super) fn run(&mut self) {
        loop {
            while let Some(event) = self.engine.poll_event() {
                match event {
                    Event::Line(LineEvent::Prompted { part, attempt }) => {
                        let go = LineCommand::Proceed { part, attempt, go: true };
                        self.engine.handle_command(go, self.now);
                    }
                    event => self.events.push(event),
                }
            }
            let Some(bytes) = self.engine.poll_transmit() else { break };
            self.buffer.extend_from_slice(&bytes);
            while let Some(end) = self.buffer.iter().position(|b| matches!(b, b'\r' | 0x1a | 0x1b)) {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = match line.last() {
                    Some(0x1b) => "ESC".to_owned(),
                    Some(0x1a) => format!("{}^Z", String::from_utf8_lossy(&line[..line.len() - 1])),
                    _ => String::from_utf8_lossy(&line[..line.len() - 1]).into_owned(),
                };
                self.written.push(line.clone());
                if let Some(mut answer) = self.answer(&line).filter(|_| self.alive) {
                    if let Some(spoil) = &mut self.spoil {
                        answer = spoil(&line, answer);
                    }
                    self.feed(answer.as_bytes());
                }
            }
        }
    }

    fn answer(&mut self, line: &str) -> Option<String> {
        for (prefix, answer) in &mut self.overrides {
            if line.starts_with(prefix.as_str())
                && let Some(answer) = answer(line)
            {
                return Some(answer);
            }
        }
        Some(match line {
            "ESC" => return None,
            "AT+CMEE?" => "\r\n+CMEE: 1\r\n\r\nOK\r\n".into(),
            "AT+CGSN" => "\r\n490154203237518\r\n\r\nOK\r\n".into(),
            "AT+CGMI" => "\r\nQuectel\r\n\r\nOK\r\n".into(),
            "AT+CGMM" => "\r\nEC25\r\n\r\nOK\r\n".into(),
            "AT+CFUN?" => "\r\n+CFUN: 1\r\n\r\nOK\r\n".into(),
            "AT+CPIN?" => "\r\n+CPIN: READY\r\n\r\nOK\r\n".into(),
            "AT+CREG?" => "\r\n+CREG: 1,1\r\n\r\nOK\r\n".into(),
            "AT+CSQ" => "\r\n+CSQ: 20,99\r\n\r\nOK\r\n".into(),
            "AT+COPS?" => "\r\n+COPS: 0,0,\"Net\",7\r\n\r\nOK\r\n".into(),
            "AT+CSMS=1" => "\r\n+CSMS: 1,1,1\r\n\r\nOK\r\n".into(),
            "AT+CPMS=?" => "\r\n+CPMS: (\"SM\",\"ME\"),(\"SM\",\"ME\"),(\"SM\",\"ME\")\r\n\r\nOK\r\n".into(),
            "AT+CNMI=?" => "\r\n+CNMI: (0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)\r\n\r\nOK\r\n".into(),
            "AT+CNMI?" => "\r\n+CNMI: 2,1,0,2,0\r\n\r\nOK\r\n".into(),
            "AT+CNUM" => "\r\n+CNUM: ,\"+12065550100\",145\r\n\r\nOK\r\n".into(),
            "AT+CCID" => "\r\n+CCID: 8944110065400000001F\r\n\r\nOK\r\n".into(),
            "AT+CMGL=4" => self.list(),
            _ if line.starts_with("AT+CPMS=") => {
                self.memory = line.split('"').nth(1).unwrap_or("SM").to_owned();
                let size = if self.memory == "ME" { 99 } else { 30 };
                format!("\r\n+CPMS: 0,{size},0,{size},0,{size}\r\n\r\nOK\r\n")
            }
            _ if line.starts_with("AT+CMGR=") => {
                let key = (self.memory.clone(), line[8..].parse().unwrap());
                match self.store.get(&key) {
                    Some(pdu) => format!("\r\n+CMGR: 0,,{}\r\n{pdu}\r\n\r\nOK\r\n", pdu.len() / 2 - 1),
                    None => "\r\nOK\r\n".into(),
                }
            }
            _ if line.starts_with("AT+CMGD=") => {
                self.store.remove(&(self.memory.clone(), line[8..].parse().unwrap()));
                "\r\nOK\r\n".into()
            }
            _ if line.starts_with("AT+CMGS=") => "\r\n> ".into(),
            _ if line.ends_with("^Z") => "\r\n+CMGS: 7\r\n\r\nOK\r\n".into(),
            _ => "\r\nOK\r\n".into(),
        })
    }

    fn list(&self) -> String {
        let mut answer = String::new();
        for ((memory, index), pdu) in &self.store {
            if *memory == self.memory {
                answer.push_str(&format!("\r\n+CMGL: {index},1,,{}\r\n{pdu}", pdu.len() / 2 - 1));
            }
        }
        answer + "\r\n\r\nOK\r\n"
    }
}
