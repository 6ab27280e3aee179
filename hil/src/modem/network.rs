//! The radio side: keeps what is on its way to the box until the modem took it, takes what the box sends,
//! and makes status reports. Nothing is lost here: a message that finds no room or no registration waits.

use super::api::{Delivery, Reports, Submitted};
use super::machine::{Machine, Moment, Output, Power, Timer};
use super::pdu::{self, Outgoing, Submit};
use super::storage::{Mem, Stat, Stored};
use jiff::{Timestamp, Zoned};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};

/// Indications kept for +CNMI mode 0 before the oldest goes.
const BUFFER_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Inbound {
    id: u64,
    pdu: String,
    report: bool,
    class: Option<u8>,
}

/// In order of arrival. Counts its reports, so that thousands of texts that wait for room cost nothing.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Inbound>,
    reports: usize,
}

impl Waiting {
    fn push_back(&mut self, inbound: Inbound) {
        self.reports += usize::from(inbound.report);
        self.queue.push_back(inbound);
    }

    fn push_front(&mut self, inbound: Inbound) {
        self.reports += usize::from(inbound.report);
        self.queue.push_front(inbound);
    }

    fn remove(&mut self, at: usize) -> Option<Inbound> {
        let inbound = self.queue.remove(at)?;
        self.reports -= usize::from(inbound.report);
        Some(inbound)
    }
}

#[derive(Debug)]
pub(super) enum Due {
    Arrive(Inbound),
    Report {
        mr: u8,
        destination: Vec<u8>,
        sent: Timestamp,
        status: u8,
    },
    /// +CNMA did not come for the message with this id.
    AckTimeout(u64),
    Retry,
}

/// One part of a concatenated text that the box sent.
#[derive(Debug)]
struct Part {
    text: String,
    octets: usize,
}

#[derive(Debug)]
pub(super) struct Network {
    /// What +CREG tells while the modem is on the air.
    pub(super) coverage: u8,
    pub(super) reports: Reports,
    waiting: Waiting,
    awaiting: Option<Inbound>,
    /// No attempt before this time, in milliseconds since the start.
    hold_until: u64,
    arrival_free_at: u64,
    next_id: u64,
    next_reference: u16,
    next_mr: u8,
    seq: u64,
    /// By destination, reference and total.
    partial: BTreeMap<(String, u16, u8), BTreeMap<u8, Part>>,
    submitted: Vec<Submitted>,
    held_reports: Vec<Due>,
}

impl Network {
    pub(super) fn new(reports: Reports) -> Network {
        Network {
            coverage: 1,
            reports,
            waiting: Waiting::default(),
            awaiting: None,
            hold_until: 0,
            arrival_free_at: 0,
            next_id: 1,
            next_reference: 1,
            next_mr: 0,
            seq: 0,
            partial: BTreeMap::new(),
            submitted: Vec::new(),
            held_reports: Vec::new(),
        }
    }

    pub(super) fn submitted_since(&self, since: u64) -> Vec<Submitted> {
        self.submitted.iter().filter(|s| s.seq > since).cloned().collect()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.queue.len()
    }

    pub(super) fn is_awaiting_ack(&self) -> bool {
        self.awaiting.is_some()
    }

    pub(super) fn partial(&self) -> Vec<(u16, u8, Vec<u8>)> {
        self.partial
            .iter()
            .map(|((_, reference, total), parts)| (*reference, *total, parts.keys().copied().collect()))
            .collect()
    }
}

/// What the modem does with a message that the network has for it (27.005 §3.4.1).
enum Route {
    Store {
        mem: Mem,
        tell: bool,
    },
    Direct,
    /// +CNMI's ds=0: acknowledged and forgotten.
    Forget,
    /// Stays with the network.
    Wait,
}

impl Machine {
    /// +CREG's `<stat>`.
    pub(super) fn registration(&self) -> u8 {
        if self.power == Power::On && self.cfun == 1 && self.sim.trouble(self.now.ms).is_none() {
            self.network.coverage
        } else {
            0
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        matches!(self.registration(), 1 | 5)
    }

    fn zoned(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// A text for the box.
    ///
    /// # Errors
    /// The time cannot be read, or a part is asked for that the text does not have.
    pub(super) fn deliver(&mut self, delivery: &Delivery, now: Moment) -> Result<usize, String> {
        self.now = now;
        let at = match &delivery.at {
            Some(text) => text.parse::<Timestamp>().map_err(|e| e.to_string())?,
            None => now.wall,
        };
        let reference = delivery.reference.unwrap_or(self.network.next_reference);
        let pdus = pdu::deliver(&Outgoing {
            smsc: &self.options.identity.service_centre,
            from: &delivery.from,
            text: &delivery.text,
            coding: delivery.coding,
            class: delivery.class,
            reference,
            wide: delivery.wide,
            at: &self.zoned(at),
        });
        if pdus.len() > usize::from(u8::MAX) {
            return Err("more than 255 parts".into());
        }
        let order = delivery.parts.clone().unwrap_or_else(|| (1..=pdus.len()).collect());
        let chosen: Option<Vec<&String>> = order.iter().map(|n| pdus.get(n.checked_sub(1)?)).collect();
        let chosen = chosen.ok_or_else(|| format!("the text has {} parts", pdus.len()))?;
        if delivery.reference.is_none() && pdus.len() > 1 {
            self.network.next_reference = self.network.next_reference % 0xFE + 1;
        }
        for pdu in &chosen {
            let id = self.arrive((*pdu).clone(), false, delivery.class);
            self.log(json!({"dir": "net", "event": "arrived", "id": id, "from": delivery.from,
                "text": delivery.text, "parts": chosen.len()}));
        }
        self.settle();
        Ok(chosen.len())
    }

    pub(super) fn deliver_pdu(&mut self, pdu: String, now: Moment) {
        self.now = now;
        let id = self.arrive(pdu, false, None);
        self.log(json!({"dir": "net", "event": "arrived", "id": id, "raw": true}));
        self.settle();
    }

    fn arrive(&mut self, pdu: String, report: bool, class: Option<u8>) -> u64 {
        let id = self.network.next_id;
        self.network.next_id += 1;
        let inbound = Inbound { id, pdu, report, class };
        match self.options.latency {
            super::api::Latency::Instant => self.network.waiting.push_back(inbound),
            super::api::Latency::Realistic => {
                let due = self.network.arrival_free_at.max(self.now.ms) + 800;
                self.network.arrival_free_at = due;
                self.after(due - self.now.ms, Timer::Network(Due::Arrive(inbound)));
            }
        }
        id
    }

    pub(super) fn network_due(&mut self, due: Due) {
        match due {
            Due::Arrive(inbound) => self.network.waiting.push_back(inbound),
            Due::Report { mr, destination, sent, status } => {
                let (sent, done) = (self.zoned(sent), self.zoned(self.now.wall));
                let smsc = self.options.identity.service_centre.clone();
                let pdu = pdu::status_report(&smsc, mr, &destination, &sent, &done, status);
                let id = self.arrive(pdu, true, None);
                self.log(json!({"dir": "net", "event": "report", "id": id, "mr": mr, "status": status}));
            }
            Due::AckTimeout(id) => {
                if let Some(inbound) = self.network.awaiting.take_if(|a| a.id == id) {
                    self.log(json!({"dir": "net", "event": "ack_timeout", "id": id}));
                    // 27.005 §3.4.4: without an acknowledgement in time, routing to the TE is switched off.
                    let [_, mt, _, ds, _] = &mut self.settings.cnmi;
                    (*mt, *ds) = (0, 0);
                    self.put_back(inbound);
                }
            }
            Due::Retry => {}
        }
    }

    fn put_back(&mut self, inbound: Inbound) {
        self.network.waiting.push_front(inbound);
        let pause = self.options.redeliver_ms;
        self.network.hold_until = self.now.ms + pause;
        self.after(pause, Timer::Network(Due::Retry));
    }

    /// The modem went away in the middle of a delivery: the network keeps the message.
    pub(super) fn network_down(&mut self) {
        if let Some(inbound) = self.network.awaiting.take() {
            self.network.waiting.push_front(inbound);
        }
        self.network.hold_until = 0;
    }

    /// +CNMA: `true` if a message waited for it. A refusal brings it back after a pause.
    pub(super) fn acknowledge(&mut self, accept: bool) -> bool {
        let Some(inbound) = self.network.awaiting.take() else { return false };
        if accept {
            self.counters.delivered += 1;
            self.log(json!({"dir": "net", "event": "acknowledged", "id": inbound.id}));
        } else {
            self.log(json!({"dir": "net", "event": "ack_refused", "id": inbound.id}));
            self.put_back(inbound);
        }
        true
    }

    /// Hands over what can be handed over; `true` if anything moved.
    pub(super) fn pump_network(&mut self) -> bool {
        let mut moved = false;
        while self.is_registered()
            && self.network.awaiting.is_none()
            && self.network.hold_until <= self.now.ms
            && let Some((at, route)) = self.next_route()
            && let Some(inbound) = self.network.waiting.remove(at)
        {
            self.hand_over(inbound, &route);
            moved = true;
        }
        moved
    }

    /// The first message that finds its way. Reports overtake texts that wait for room.
    fn next_route(&self) -> Option<(usize, Route)> {
        let mut full = false;
        for (at, inbound) in self.network.waiting.queue.iter().enumerate() {
            if full && self.network.waiting.reports == 0 {
                return None;
            }
            if full && !inbound.report {
                continue;
            }
            match self.route(inbound) {
                Route::Wait => full |= !inbound.report,
                route => return Some((at, route)),
            }
        }
        None
    }

    fn route(&self, inbound: &Inbound) -> Route {
        let [_, mt, _, ds, _] = self.settings.cnmi;
        let store =
            |mem: Mem, tell| if self.has_room(mem) { Route::Store { mem, tell } } else { Route::Wait };
        let [_, _, receive] = self.settings.cpms;
        if inbound.report {
            return match ds {
                0 => Route::Forget,
                1 => Route::Direct,
                _ => store(Mem::Sr, true),
            };
        }
        match (mt, inbound.class) {
            (0, _) => store(receive, false),
            (2, Some(2)) => store(Mem::Sm, true),
            (2, _) | (3, Some(3)) => Route::Direct,
            _ => store(receive, true),
        }
    }

    fn has_room(&self, mem: Mem) -> bool {
        let [sm, me, sr] = &self.memories;
        let memory = match mem {
            Mem::Sm => sm,
            Mem::Me => me,
            Mem::Sr => sr,
        };
        !self.storage_full && memory.used() < memory.capacity()
    }

    fn hand_over(&mut self, inbound: Inbound, route: &Route) {
        let id = inbound.id;
        match *route {
            Route::Wait => self.network.waiting.push_front(inbound),
            Route::Forget => {
                self.log(json!({"dir": "net", "event": "delivered", "id": id, "how": "discarded"}));
            }
            Route::Store { mem, tell } => {
                let stored = Stored { stat: Stat::Unread, pdu: inbound.pdu.clone() };
                let Some(index) = self.memory(mem).put(stored) else {
                    self.network.waiting.push_front(inbound);
                    return;
                };
                self.counters.delivered += 1;
                self.log(json!({"dir": "net", "event": "delivered", "id": id, "how": "stored",
                    "mem": mem.name(), "index": index, "report": inbound.report}));
                if tell {
                    let name = if inbound.report { "+CDSI" } else { "+CMTI" };
                    self.indicate(format!("{name}: \"{}\",{index}", mem.name()));
                }
            }
            Route::Direct => {
                self.log(json!({"dir": "net", "event": "delivered", "id": id, "how": "direct",
                    "report": inbound.report}));
                let line = self.direct_line(&inbound.pdu, inbound.report);
                self.indicate(line);
                if self.settings.csms == 1 {
                    self.network.awaiting = Some(inbound);
                    self.after(self.options.ack_timeout_ms, Timer::Network(Due::AckTimeout(id)));
                } else {
                    self.counters.delivered += 1;
                }
            }
        }
    }

    /// +CNMI mode 0 keeps indications in the modem; all others send them on.
    fn indicate(&mut self, line: String) {
        let [mode, ..] = self.settings.cnmi;
        if mode != 0 {
            self.urc(&line);
            return;
        }
        if self.buffered.len() == BUFFER_MAX {
            self.buffered.pop_front();
        }
        self.buffered.push_back(line);
    }

    /// Takes a message that the box sends; its reference is TP-MR.
    pub(super) fn submit(&mut self, submit: Submit) -> u8 {
        let mr = self.network.next_mr;
        self.network.next_mr = mr.wrapping_add(1);
        self.counters.submitted += 1;
        self.log_submit(&submit, true, None, Some(mr));
        if submit.wants_report {
            self.plan_report(mr, submit.destination.clone());
        }
        self.join(submit);
        mr
    }

    /// Logs a message that the box sent; `error` says why it was refused.
    pub(super) fn log_submit(
        &mut self,
        submit: &Submit,
        accepted: bool,
        error: Option<&str>,
        mr: Option<u8>,
    ) {
        if !accepted {
            self.counters.refused += 1;
        }
        let concat = submit.concat;
        self.log(json!({"dir": "net", "event": "submitted", "to": submit.to, "text": submit.text,
            "ref": concat.map(|c| c.reference), "part": concat.map(|c| c.part),
            "total": concat.map(|c| c.total), "bytes": submit.octets, "dcs": submit.coding,
            "report": submit.wants_report, "mr": mr, "accepted": accepted, "error": error}));
    }

    fn plan_report(&mut self, mr: u8, destination: Vec<u8>) {
        let sent = self.now.wall;
        let report = |status| Due::Report { mr, destination, sent, status };
        match self.network.reports {
            Reports::Never => {}
            Reports::After { ms, status } => self.after(ms, Timer::Network(report(status))),
            Reports::Reversed { count } => {
                let due = report(0);
                self.network.held_reports.push(due);
                if self.network.held_reports.len() >= count {
                    while let Some(due) = self.network.held_reports.pop() {
                        self.after(0, Timer::Network(due));
                    }
                }
            }
        }
    }

    fn join(&mut self, submit: Submit) {
        let Some(concat) = submit.concat else {
            self.tell_submitted(submit.to, submit.text, 1, submit.octets);
            return;
        };
        let key = (submit.to.clone(), concat.reference, concat.total);
        let parts = self.network.partial.entry(key.clone()).or_default();
        parts.insert(concat.part, Part { text: submit.text, octets: submit.octets });
        if (1..=concat.total).all(|n| parts.contains_key(&n))
            && let Some(parts) = self.network.partial.remove(&key)
        {
            let bytes = parts.values().map(|part| part.octets).sum();
            let count = parts.len();
            let text = parts.into_values().map(|part| part.text).collect();
            self.tell_submitted(submit.to, text, count, bytes);
        }
    }

    fn tell_submitted(&mut self, to: String, text: String, parts: usize, bytes: usize) {
        self.network.seq += 1;
        let t_ms = u64::try_from(self.now.wall.as_millisecond()).unwrap_or(0);
        let told = Submitted { seq: self.network.seq, to, text, parts, bytes, t_ms };
        self.network.submitted.push(told.clone());
        self.output(Output::Submitted(told));
    }
}
