//! The modem itself as a machine without clock or socket: bytes, requests and due timers in; writes, log
//! entries and texts for the network out. This file owns the line discipline, answers, unsolicited lines,
//! timers and faults; the commands live in `general.rs` and `sms.rs`, the radio side in `network.rs`.
//!
//! Absent: audio and a second port.

use super::api::{Counters, Fault, Latency, Options, Submitted};
use super::command::{self, Command};
use super::fault::Hits;
use super::network::Network;
use super::settings::Settings;
use super::sim::Sim;
use super::sms::Data;
use super::storage::{Mem, Memory};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// The time of an input: milliseconds since the start, and the wall clock for service centre timestamps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) ms: u64,
    pub(super) wall: Timestamp,
}

#[derive(Debug)]
pub(super) enum Output {
    Write(Vec<u8>),
    /// An entry of the log, without its time.
    Log(Value),
    Submitted(Submitted),
    Unplug,
    Plug(Option<PathBuf>),
}

#[derive(Debug)]
pub(super) enum Timer {
    /// A piece of output that a fault holds back.
    Write(Vec<u8>),
    /// The answer to the command that keeps the modem busy.
    Answer(Vec<u8>),
    Merge,
    Reset,
    Booted,
    Recover,
    SimReady,
    Plug(Option<PathBuf>),
    Flood {
        line: String,
        left: u32,
        gap_ms: u64,
    },
    Urc(String),
    Ring,
    Network(super::network::Due),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    On,
    Booting,
    /// `hard`: only the plug helps.
    Hung {
        hard: bool,
    },
    Unplugged,
}

/// A final result other than a plain OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Error,
    /// 27.007 §9.2
    Cme(u16),
    /// 27.005 §3.2.5
    Cms(u16),
    NoCarrier,
}

/// What a command came to.
pub(super) enum Reply {
    Ok,
    /// Information text, then on with the line.
    Info(Vec<String>),
    Fail(Failure),
    /// `> `, and what is typed goes there.
    Prompt(Data),
}

impl Reply {
    pub(super) fn line(text: impl Into<String>) -> Reply {
        Reply::Info(vec![text.into()])
    }
}

#[derive(Default)]
pub(super) struct Call {
    pub(super) number: String,
    pub(super) incoming: bool,
    pub(super) active: bool,
}

/// Bytes typed ahead of a busy modem before it drops them.
const INPUT_MAX: usize = 64 * 1024;

/// Longest command line and longest typed message, in bytes; what is beyond is dropped.
const LINE_MAX: usize = 4096;

pub(super) struct Machine {
    pub(super) options: Options,
    pub(super) zone: TimeZone,
    pub(super) now: Moment,
    pub(super) settings: Settings,
    /// The profile of `AT&W`.
    pub(super) profile: Settings,
    pub(super) sim: Sim,
    pub(super) power: Power,
    pub(super) cfun: u8,
    pub(super) memories: [Memory; 3],
    pub(super) network: Network,
    pub(super) counters: Counters,
    pub(super) call: Option<Call>,
    /// What +CREG told last, to tell changes.
    pub(super) told_registration: u8,
    pub(super) storage_full: bool,
    pub(super) ignore_cfun: bool,
    /// From +CMGS to its prompt.
    pub(super) prompt_ms: u64,
    pub(super) emergency_calls: bool,
    pub(super) rssi: u8,
    pub(super) faults: Vec<Fault>,
    pub(super) line: Vec<u8>,
    last_body: String,
    pub(super) data: Option<(Data, Hits)>,
    busy: bool,
    input: VecDeque<u8>,
    held_urcs: VecDeque<String>,
    /// Indications that +CNMI mode 0 keeps in the modem.
    pub(super) buffered: VecDeque<String>,
    pub(super) tx: Vec<u8>,
    tx_free_at: u64,
    pub(super) split: (usize, u64),
    pub(super) merge_ms: u64,
    merge: Vec<u8>,
    pub(super) timers: BTreeMap<(u64, u64), Timer>,
    timer_count: u64,
    outputs: VecDeque<Output>,
}

impl Machine {
    pub(super) fn new(options: Options, zone: TimeZone, now: Moment) -> Machine {
        let memories = options.capacity.map(|slots| Memory::new(slots, options.first_index));
        let sim = Sim::new(options.pin.clone(), options.puk.clone());
        let network = Network::new(options.reports);
        let told_registration = if sim.trouble(0).is_none() { network.coverage } else { 0 };
        Machine {
            zone,
            now,
            settings: Settings::default(),
            profile: Settings::default(),
            sim,
            power: Power::On,
            cfun: 1,
            memories,
            network,
            counters: Counters::default(),
            call: None,
            told_registration,
            storage_full: false,
            ignore_cfun: false,
            prompt_ms: 0,
            emergency_calls: false,
            rssi: 20,
            faults: Vec::new(),
            line: Vec::new(),
            last_body: String::new(),
            data: None,
            busy: false,
            input: VecDeque::new(),
            held_urcs: VecDeque::new(),
            buffered: VecDeque::new(),
            tx: Vec::new(),
            tx_free_at: 0,
            split: (0, 0),
            merge_ms: 0,
            merge: Vec::new(),
            timers: BTreeMap::new(),
            timer_count: 0,
            outputs: VecDeque::new(),
            options,
        }
    }

    /// Bytes from the client.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8], now: Moment) {
        self.now = now;
        match self.power {
            Power::On | Power::Hung { .. } => {
                let room = INPUT_MAX.saturating_sub(self.input.len());
                self.input.extend(bytes.iter().take(room));
            }
            Power::Booting | Power::Unplugged => {}
        }
        self.settle();
    }

    /// Runs whatever is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Moment) {
        self.now = now;
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now.ms {
                break;
            }
            let timer = entry.remove();
            self.fire(timer);
            self.settle();
        }
    }

    /// When `handle_timeout` is wanted, in milliseconds since the start.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.timers.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn after(&mut self, ms: u64, timer: Timer) {
        self.timer_count += 1;
        self.timers.insert((self.now.ms + ms, self.timer_count), timer);
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn log(&mut self, entry: Value) {
        self.outputs.push_back(Output::Log(entry));
    }

    pub(super) fn memory(&mut self, mem: Mem) -> &mut Memory {
        let [sm, me, sr] = &mut self.memories;
        match mem {
            Mem::Sm => sm,
            Mem::Me => me,
            Mem::Sr => sr,
        }
    }

    /// Everything that follows from an input: reads on, gives the network its turn, lets output out.
    pub(super) fn settle(&mut self) {
        loop {
            while !self.busy && matches!(self.power, Power::On | Power::Hung { .. }) {
                let Some(byte) = self.input.pop_front() else { break };
                self.feed(byte);
            }
            self.tell_registration();
            if !self.pump_network() {
                break;
            }
        }
        self.release_urcs();
        self.flush();
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Write(bytes) => self.output(Output::Write(bytes)),
            Timer::Answer(bytes) => {
                self.busy = false;
                self.tx.extend(bytes);
            }
            Timer::Merge => {
                let bytes = std::mem::take(&mut self.merge);
                self.output(Output::Write(bytes));
            }
            Timer::Reset => match self.options.reset_drops_port_ms {
                Some(ms) => self.unplug(Some(ms), None),
                None => self.reset(),
            },
            Timer::Booted => self.booted(),
            Timer::Recover => {
                if matches!(self.power, Power::Hung { .. }) {
                    self.power = Power::On;
                }
            }
            Timer::SimReady => {
                if self.power == Power::On && self.sim.trouble(self.now.ms).is_none() {
                    self.urc("+CPIN: READY");
                }
            }
            Timer::Plug(link) => self.plug(link),
            Timer::Flood { line, left, gap_ms } => {
                self.urc(&line);
                if left > 1 {
                    self.after(gap_ms, Timer::Flood { line, left: left - 1, gap_ms });
                }
            }
            Timer::Urc(line) => self.urc(&line),
            Timer::Ring => self.ring(),
            Timer::Network(due) => self.network_due(due),
        }
    }

    fn feed(&mut self, byte: u8) {
        if let Power::Hung { hard } = self.power {
            self.feed_hung(byte, hard);
            return;
        }
        if self.settings.echo {
            self.tx.push(byte);
        }
        if self.data.is_some() {
            self.feed_data(byte);
            return;
        }
        match byte {
            b'\r' => {
                let line = std::mem::take(&mut self.line);
                self.command_line(&line);
            }
            b'\n' => {}
            0x08 => drop(self.line.pop()),
            b'/' if self.line.eq_ignore_ascii_case(b"A") => {
                self.line.clear();
                self.run(&self.last_body.clone());
            }
            byte if self.line.len() < LINE_MAX => self.line.push(byte),
            _ => {}
        }
    }

    /// A hung modem does not even echo; a reset command may still reach it.
    fn feed_hung(&mut self, byte: u8, hard: bool) {
        if byte != b'\r' {
            if self.line.len() < LINE_MAX {
                self.line.push(byte);
            }
            return;
        }
        let line = std::mem::take(&mut self.line).to_ascii_uppercase();
        let resets = [&b"+CFUN=1,1"[..], b"+CRESET", b"^RESET"];
        if !hard && resets.iter().any(|r| line.windows(r.len()).any(|w| w == *r)) {
            self.reset();
        }
    }

    fn feed_data(&mut self, byte: u8) {
        let Some((data, _)) = &mut self.data else { return };
        match byte {
            0x1A => {
                if let Some((data, hits)) = self.data.take() {
                    self.finish_data(data, hits);
                }
            }
            0x1B => {
                if let Some((_, hits)) = self.data.take() {
                    self.log(json!({"dir": "net", "event": "cancelled"}));
                    self.respond(&[], None, hits, 0);
                }
            }
            0x08 => drop(data.typed.pop()),
            b'\r' if data.is_text() => {
                data.typed.push(b'\n');
                self.tx.extend(b"\r\n> ");
            }
            byte if data.typed.len() < LINE_MAX => data.typed.push(byte),
            _ => {}
        }
    }

    /// A line is obeyed from its first `AT` on; without one it is noise and nothing is said (V.250 §5.2.1).
    fn command_line(&mut self, line: &[u8]) {
        let Some(at) = line.windows(2).position(|w| w.eq_ignore_ascii_case(b"AT")) else { return };
        let body: String = line.iter().skip(at + 2).map(|b| char::from(*b)).collect();
        self.last_body.clone_from(&body);
        self.run(&body);
    }

    fn run(&mut self, body: &str) {
        let Some(commands) = command::parse(body) else {
            self.respond(&[], Some(self.words(Failure::Error)), Hits::default(), 0);
            return;
        };
        let mut hits = Hits::default();
        let mut info = Vec::new();
        let mut latency = 0;
        for command in commands {
            self.counters.commands += 1;
            self.take_faults(&command.text, &mut hits);
            latency += self.latency_of(&command.name);
            let prompts = matches!(command.name.as_str(), "+CMGS" | "+CMGW");
            if hits.no_answer && !prompts {
                self.log(json!({"dir": "fault", "event": "unanswered", "command": command.text}));
                return;
            }
            if let Some(error) = hits.error.take_if(|_| !prompts) {
                self.respond(&info, Some(error), hits, latency);
                return;
            }
            match self.execute(&command) {
                Reply::Ok => {}
                Reply::Info(lines) => info.extend(lines),
                Reply::Fail(failure) => {
                    let words = self.words(failure);
                    self.respond(&info, Some(words), hits, latency);
                    return;
                }
                Reply::Prompt(data) => {
                    self.prompt(data, hits);
                    return;
                }
            }
        }
        self.respond(&info, None, hits, latency);
    }

    fn execute(&mut self, command: &Command) -> Reply {
        match self.sms_command(command) {
            Some(reply) => reply,
            None => self.general_command(command).unwrap_or(Reply::Fail(Failure::Error)),
        }
    }

    fn prompt(&mut self, data: Data, hits: Hits) {
        let refused = self.take_no_prompt();
        match refused {
            None => {
                if self.prompt_ms == 0 {
                    self.tx.extend(b"\r\n> ");
                } else {
                    self.busy = true;
                    self.after(self.prompt_ms, Timer::Answer(b"\r\n> ".to_vec()));
                }
                self.data = Some((data, hits));
            }
            Some(error) if error.is_empty() => self.log(json!({"dir": "fault", "event": "no_prompt"})),
            Some(error) => self.respond(&[], Some(error), hits, 0),
        }
    }

    /// The typed message is complete. Faults that keep it from the network act here.
    fn finish_data(&mut self, data: Data, mut hits: Hits) {
        if hits.no_answer {
            self.log(json!({"dir": "fault", "event": "not_sent_unanswered"}));
            return;
        }
        let latency = self.latency_of("\u{1a}");
        if let Some(error) = hits.error.take() {
            self.refuse_data(&data, &error);
            self.respond(&[], Some(error), hits, latency);
            return;
        }
        match self.take_data(data) {
            Reply::Info(lines) => self.respond(&lines, None, hits, latency),
            Reply::Ok | Reply::Prompt(_) => self.respond(&[], None, hits, latency),
            Reply::Fail(failure) => {
                let words = self.words(failure);
                self.respond(&[], Some(words), hits, latency);
            }
        }
    }

    /// Information text and final result; `failure` absent means OK.
    fn respond(&mut self, info: &[String], failure: Option<String>, hits: Hits, latency_ms: u64) {
        let mut bytes = hits.before;
        if !info.is_empty() {
            bytes.extend(latin1(&format!("\r\n{}\r\n", info.join("\r\n"))));
        }
        for line in &hits.between {
            bytes.extend(latin1(&format!("\r\n{line}\r\n")));
        }
        let result = failure.unwrap_or_else(|| "OK".into());
        if self.settings.quiet {
            // Q1: no result codes at all (V.250 §6.2.5).
        } else if self.settings.verbose {
            bytes.extend(latin1(&format!("\r\n{result}\r\n")));
        } else {
            let code = match result.as_str() {
                "OK" => "0",
                "NO CARRIER" => "3",
                "ERROR" => "4",
                other => other,
            };
            bytes.extend(latin1(&format!("{code}\r")));
        }
        if hits.lost {
            self.log(json!({"dir": "fault", "event": "answer_lost"}));
            return;
        }
        if hits.half {
            bytes.truncate(bytes.len() / 2);
        }
        let delay = hits.delay_ms + latency_ms;
        if delay == 0 {
            self.tx.extend(bytes);
        } else {
            self.busy = true;
            self.after(delay, Timer::Answer(bytes));
        }
    }

    fn words(&self, failure: Failure) -> String {
        match failure {
            Failure::Error => "ERROR".into(),
            Failure::NoCarrier => "NO CARRIER".into(),
            Failure::Cme(code) => match self.settings.cmee {
                0 => "ERROR".into(),
                1 => format!("+CME ERROR: {code}"),
                _ => format!("+CME ERROR: {}", super::general::cme_text(code)),
            },
            Failure::Cms(code) => match self.settings.cmee {
                0 | 1 => format!("+CMS ERROR: {code}"),
                _ => format!("+CMS ERROR: {}", super::sms::cms_text(code)),
            },
        }
    }

    fn latency_of(&self, name: &str) -> u64 {
        match (self.options.latency, name) {
            (Latency::Instant, _) => 0,
            (Latency::Realistic, "\u{1a}" | "+CMSS") => 2_500,
            (Latency::Realistic, "+CFUN" | "+COPS") => 3_000,
            (Latency::Realistic, "+CMGL") => 150,
            (Latency::Realistic, _) => 15,
        }
    }

    /// An unsolicited line. It waits while a command is in progress: "between" is a fault of its own.
    pub(super) fn urc(&mut self, line: &str) {
        if self.power == Power::On {
            self.held_urcs.push_back(line.to_owned());
        }
    }

    fn release_urcs(&mut self) {
        if self.busy || self.data.is_some() {
            return;
        }
        while let Some(line) = self.held_urcs.pop_front() {
            self.tx.extend(latin1(&format!("\r\n{line}\r\n")));
        }
    }

    fn flush(&mut self) {
        if self.tx.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.tx);
        if self.merge_ms > 0 {
            if self.merge.is_empty() {
                self.after(self.merge_ms, Timer::Merge);
            }
            self.merge.extend(bytes);
            return;
        }
        let (size, gap) = self.split;
        if size == 0 && self.tx_free_at <= self.now.ms {
            self.output(Output::Write(bytes));
            return;
        }
        let mut due = self.tx_free_at.max(self.now.ms);
        for piece in bytes.chunks(if size == 0 { bytes.len() } else { size }) {
            if due <= self.now.ms {
                self.output(Output::Write(piece.to_vec()));
            } else {
                self.after(due - self.now.ms, Timer::Write(piece.to_vec()));
            }
            due += gap;
        }
        self.tx_free_at = due;
    }

    /// Power goes or a reset begins: what was volatile is gone, what the network keeps stays.
    fn go_down(&mut self) {
        if !self.options.keep_settings {
            self.settings = self.profile.clone();
        }
        self.timers.retain(|_, timer| {
            matches!(
                timer,
                Timer::Plug(_)
                    | Timer::Network(super::network::Due::Arrive(_) | super::network::Due::Report { .. })
            )
        });
        self.line.clear();
        self.input.clear();
        self.data = None;
        self.busy = false;
        self.held_urcs.clear();
        self.buffered.clear();
        self.tx.clear();
        self.merge.clear();
        self.tx_free_at = 0;
        self.call = None;
        self.cfun = 1;
        self.told_registration = 0;
        self.network_down();
    }

    pub(super) fn reset(&mut self) {
        self.flush();
        self.go_down();
        self.power = Power::Booting;
        self.counters.resets += 1;
        self.log(json!({"dir": "port", "event": "reset"}));
        self.after(self.options.boot_ms, Timer::Booted);
    }

    fn booted(&mut self) {
        self.power = Power::On;
        self.sim.power_up();
        self.urc("RDY");
        match self.sim.status(self.now.ms) {
            Ok(status) => self.urc(&format!("+CPIN: {status}")),
            Err(_) => self.urc("+CPIN: NOT READY"),
        }
        if self.sim.trouble(self.now.ms).is_none() {
            self.urc("SMS DONE");
            self.urc("PB DONE");
        }
    }

    pub(super) fn unplug(&mut self, return_after_ms: Option<u64>, link: Option<PathBuf>) {
        self.flush();
        self.go_down();
        self.power = Power::Unplugged;
        self.timers.retain(|_, timer| !matches!(timer, Timer::Plug(_)));
        self.output(Output::Unplug);
        if let Some(ms) = return_after_ms {
            self.after(ms, Timer::Plug(link));
        }
    }

    pub(super) fn plug(&mut self, link: Option<PathBuf>) {
        if self.power == Power::Unplugged {
            self.power = Power::Booting;
            self.output(Output::Plug(link));
            self.after(self.options.boot_ms, Timer::Booted);
        }
    }
}

/// A string whose characters are bytes, as the serial line carries them.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}
