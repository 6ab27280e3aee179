//! Faults on the machine: those that wait for a command, and those that act at once.

use super::api::{Fault, Request};
use super::machine::{Machine, Moment, Power, Timer};
use super::pdu::from_hex;
use serde_json::json;

/// Faults that hit one command line.
#[derive(Debug, Default)]
pub(super) struct Hits {
    pub(super) no_answer: bool,
    pub(super) lost: bool,
    pub(super) half: bool,
    pub(super) delay_ms: u64,
    pub(super) error: Option<String>,
    pub(super) between: Vec<String>,
    pub(super) before: Vec<u8>,
}

impl Machine {
    /// Marks what hits the command `text`, and counts it.
    pub(super) fn take_faults(&mut self, text: &str, hits: &mut Hits) {
        for fault in &mut self.faults {
            let (matching, times) = match fault {
                Fault::NoAnswer { matching, times }
                | Fault::LostAnswer { matching, times }
                | Fault::Delay { matching, times, .. }
                | Fault::HalfLine { matching, times }
                | Fault::Error { matching, times, .. }
                | Fault::UrcBetween { matching, times, .. }
                | Fault::GarbageBefore { matching, times, .. } => (matching, times),
                _ => continue,
            };
            let starts = text.get(..matching.len()).is_some_and(|head| head.eq_ignore_ascii_case(matching));
            if *times == 0 || !starts {
                continue;
            }
            *times -= 1;
            match fault {
                Fault::NoAnswer { .. } => hits.no_answer = true,
                Fault::LostAnswer { .. } => hits.lost = true,
                Fault::Delay { ms, .. } => hits.delay_ms += *ms,
                Fault::HalfLine { .. } => hits.half = true,
                Fault::Error { error, .. } => hits.error = Some(error.clone()),
                Fault::UrcBetween { lines, .. } => hits.between.extend(lines.iter().cloned()),
                Fault::GarbageBefore { hex, .. } => {
                    hits.before.extend(from_hex(hex).unwrap_or_default());
                }
                _ => {}
            }
        }
        self.faults.retain(|fault| !fault.is_spent());
    }

    /// A request that only changes something.
    pub(super) fn obey(&mut self, request: Request, now: Moment) {
        self.now = now;
        match request {
            Request::Urc { line } => self.urc(&line),
            Request::Fault(fault) => {
                self.log(json!({"dir": "fault", "event": "set", "fault": fault}));
                self.fault(fault);
            }
            Request::Unplug { return_after_ms, link } => self.unplug(return_after_ms, link),
            Request::Replug { link } => self.plug(link),
            Request::Ring { from } => self.incoming_call(from),
            Request::HangUp => self.far_end_hangs_up(),
            Request::Deliver(_) | Request::DeliverPdu { .. } | Request::Submitted { .. } | Request::State => {
            }
        }
        self.settle();
    }

    /// Makes something go wrong.
    pub(super) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::NoAnswer { .. }
            | Fault::LostAnswer { .. }
            | Fault::Delay { .. }
            | Fault::HalfLine { .. }
            | Fault::Error { .. }
            | Fault::NoPrompt { .. }
            | Fault::UrcBetween { .. }
            | Fault::GarbageBefore { .. } => self.faults.push(fault),
            Fault::Garbage { hex } => self.tx.extend(from_hex(&hex).unwrap_or_default()),
            Fault::UrcFlood { line, count, gap_ms } if count > 0 => {
                self.after(0, Timer::Flood { line, left: count, gap_ms });
            }
            Fault::UrcFlood { .. } => {}
            Fault::StorageFull { on } => self.storage_full = on,
            Fault::SimBusy { ms } => {
                self.sim.busy_until = self.now.ms + ms;
                self.after(ms, Timer::SimReady);
            }
            Fault::SimAbsent { on } => self.sim.absent = on,
            Fault::SimLock { puk } => self.sim.lock(puk),
            Fault::Hang { ms, hard } => {
                if self.power == Power::On {
                    self.power = Power::Hung { hard };
                    self.line.clear();
                    self.data = None;
                    if let Some(ms) = ms {
                        self.after(ms, Timer::Recover);
                    }
                }
            }
            Fault::SlowPrompt { ms } => self.prompt_ms = ms,
            Fault::IgnoreCfun { on } => self.ignore_cfun = on,
            Fault::Reboot { drop_port_ms: Some(ms) } => self.unplug(Some(ms), None),
            Fault::Reboot { drop_port_ms: None } if self.power != Power::Unplugged => self.reset(),
            Fault::Reboot { .. } => {}
            Fault::SplitWrites { bytes, gap_ms } => self.split = (bytes, gap_ms),
            Fault::MergeWrites { ms } => self.merge_ms = ms,
            Fault::Registration { stat } => self.network.coverage = stat,
            Fault::Signal { rssi } => self.rssi = rssi,
            Fault::Reports { plan } => self.network.reports = plan,
            Fault::EmergencyCalls { on } => self.emergency_calls = on,
            Fault::Clear => self.clear_faults(),
        }
    }

    fn clear_faults(&mut self) {
        self.faults.clear();
        self.storage_full = false;
        self.sim.busy_until = 0;
        self.sim.absent = false;
        self.ignore_cfun = false;
        self.prompt_ms = 0;
        self.emergency_calls = false;
        self.split = (0, 0);
        self.merge_ms = 0;
        self.network.coverage = 1;
        self.network.reports = self.options.reports;
        self.rssi = 20;
        self.timers.retain(|_, timer| !matches!(timer, Timer::Flood { .. }));
        if matches!(self.power, Power::Hung { .. }) {
            self.power = Power::On;
        }
    }

    /// What stands in place of a prompt, if a fault keeps it away.
    pub(super) fn take_no_prompt(&mut self) -> Option<String> {
        let refused = self.faults.iter_mut().find_map(|fault| match fault {
            Fault::NoPrompt { times, error } if *times > 0 => {
                *times -= 1;
                Some(error.clone())
            }
            _ => None,
        });
        self.faults.retain(|fault| !fault.is_spent());
        refused
    }
}

impl Fault {
    fn is_spent(&self) -> bool {
        match self {
            Fault::NoAnswer { times, .. }
            | Fault::LostAnswer { times, .. }
            | Fault::Delay { times, .. }
            | Fault::HalfLine { times, .. }
            | Fault::Error { times, .. }
            | Fault::NoPrompt { times, .. }
            | Fault::UrcBetween { times, .. }
            | Fault::GarbageBefore { times, .. } => *times == 0,
            _ => false,
        }
    }
}
