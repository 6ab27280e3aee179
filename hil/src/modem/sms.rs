//! Message commands of 27.005 in PDU and text mode, and the shape of their answers.

use super::command::{Command, Kind, number, parameters};
use super::gsm7;
use super::machine::{Failure, Machine, Reply};
use super::pdu::{self, Body, TextBody, TextSubmit, View, from_hex, to_hex, tpdu_length};
use super::settings::Charset;
use super::storage::{Mem, Stat, Stored};
use serde_json::json;

/// What is typed behind a prompt, and what becomes of it.
#[derive(Debug)]
pub(super) struct Data {
    purpose: Purpose,
    pub(super) typed: Vec<u8>,
}

#[derive(Debug)]
enum Purpose {
    SendPdu {
        length: usize,
    },
    WritePdu {
        length: usize,
        stat: Stat,
    },
    SendText {
        to: String,
    },
    WriteText {
        to: String,
        stat: Stat,
    },
    /// +CNMA with a TPDU for the acknowledgement.
    Acknowledge {
        accept: bool,
    },
}

impl Data {
    fn prompt(purpose: Purpose) -> Reply {
        Reply::Prompt(Data { purpose, typed: Vec::new() })
    }

    pub(super) fn is_text(&self) -> bool {
        match self.purpose {
            Purpose::SendText { .. } | Purpose::WriteText { .. } => true,
            Purpose::SendPdu { .. } | Purpose::WritePdu { .. } | Purpose::Acknowledge { .. } => false,
        }
    }
}

const INVALID_INDEX: Reply = Reply::Fail(Failure::Cms(321));
const INVALID_PDU: Reply = Reply::Fail(Failure::Cms(304));
const INVALID_TEXT: Reply = Reply::Fail(Failure::Cms(305));
const NOT_ALLOWED: Reply = Reply::Fail(Failure::Cms(302));
const MEMORY_FULL: Reply = Reply::Fail(Failure::Cms(322));
const NO_NETWORK: Reply = Reply::Fail(Failure::Cms(331));

/// Message service failure texts, 27.005 §3.2.5.
pub(super) fn cms_text(code: u16) -> String {
    let text = match code {
        300 => "ME failure",
        301 => "SMS service of ME reserved",
        302 => "operation not allowed",
        303 => "operation not supported",
        304 => "invalid PDU mode parameter",
        305 => "invalid text mode parameter",
        310 => "(U)SIM not inserted",
        311 => "(U)SIM PIN required",
        313 => "(U)SIM failure",
        314 => "(U)SIM busy",
        316 => "(U)SIM PUK required",
        320 => "memory failure",
        321 => "invalid memory index",
        322 => "memory full",
        330 => "SMSC address unknown",
        331 => "no network service",
        332 => "network timeout",
        340 => "no +CNMA acknowledgement expected",
        500 => "unknown error",
        other => return other.to_string(),
    };
    text.into()
}

impl Machine {
    /// A message command, or `None` if it is none.
    pub(super) fn sms_command(&mut self, command: &Command) -> Option<Reply> {
        let needs_sim = matches!(
            command.name.as_str(),
            "+CMGS" | "+CMGW" | "+CMSS" | "+CMGR" | "+CMGL" | "+CMGD" | "+CPMS" | "+CSCA" | "+CNMA"
        );
        if needs_sim
            && command.kind != Kind::Test
            && let Some(code) = self.sim.sms_trouble(self.now.ms)
        {
            return Some(Reply::Fail(Failure::Cms(code)));
        }
        let reply = match (command.name.as_str(), &command.kind) {
            ("+CMGF", Kind::Test) => Reply::line("+CMGF: (0,1)"),
            ("+CMGF", Kind::Read) => Reply::line(format!("+CMGF: {}", self.settings.cmgf)),
            ("+CMGF", Kind::Set(value)) => self.set_small(value, 1, |s, v| s.cmgf = v),
            ("+CSMS", Kind::Test) => Reply::line("+CSMS: (0,1)"),
            ("+CSMS", Kind::Read) => Reply::line(format!("+CSMS: {},1,1,1", self.settings.csms)),
            ("+CSMS", Kind::Set(value)) => match self.set_small(value, 1, |s, v| s.csms = v) {
                Reply::Ok => Reply::line("+CSMS: 1,1,1"),
                other => other,
            },
            ("+CMMS", Kind::Test) => Reply::line("+CMMS: (0-2)"),
            ("+CMMS", Kind::Read) => Reply::line(format!("+CMMS: {}", self.settings.cmms)),
            ("+CMMS", Kind::Set(value)) => self.set_small(value, 2, |s, v| s.cmms = v),
            ("+CSDH", Kind::Test) => Reply::line("+CSDH: (0,1)"),
            ("+CSDH", Kind::Read) => Reply::line(format!("+CSDH: {}", u8::from(self.settings.csdh))),
            ("+CSDH", Kind::Set(value)) => self.set_small(value, 1, |s, v| s.csdh = v == 1),
            ("+CSMP", kind) => self.text_parameters(kind),
            ("+CSCA", kind) => self.service_centre(kind),
            ("+CSCS", kind) => self.character_set(kind),
            ("+CPMS", kind) => self.preferred_storage(kind),
            ("+CNMI", kind) => self.indications(kind),
            ("+CNMA", kind) => self.acknowledgement(kind),
            ("+CMGL", kind) => self.list(kind),
            ("+CMGR", Kind::Set(value)) => self.read(value),
            ("+CMGD", kind) => self.delete(kind),
            ("+CMGS", Kind::Set(value)) => self.send(value),
            ("+CMGW", Kind::Set(value)) => self.write(value),
            ("+CMGW", Kind::Execute) => self.write(""),
            ("+CMSS", Kind::Set(value)) => self.send_stored(value),
            ("+CMGS" | "+CMGR" | "+CMGW" | "+CMSS" | "+CSAS" | "+CRES", Kind::Test) => Reply::Ok,
            ("+CSAS" | "+CRES", Kind::Execute | Kind::Set(_)) => Reply::Ok,
            ("+CSCB", Kind::Test) => Reply::line("+CSCB: (0,1)"),
            ("+CSCB", Kind::Read) => Reply::line("+CSCB: 0,\"\",\"\""),
            ("+CSCB", Kind::Set(_)) => Reply::Ok,
            _ => return None,
        };
        Some(reply)
    }

    fn text_parameters(&mut self, kind: &Kind) -> Reply {
        match kind {
            Kind::Test => Reply::line("+CSMP: (0-255),(0-255),(0-255),(0-255)"),
            Kind::Read => {
                let [fo, vp, pid, dcs] = self.settings.csmp;
                Reply::line(format!("+CSMP: {fo},{vp},{pid},{dcs}"))
            }
            Kind::Set(value) => {
                let given = parameters(value);
                let mut next = self.settings.csmp;
                for (i, slot) in next.iter_mut().enumerate() {
                    match number(&given, i, 255) {
                        Ok(Some(v)) => *slot = u8::try_from(v).unwrap_or(u8::MAX),
                        Ok(None) => {}
                        Err(()) => return INVALID_TEXT,
                    }
                }
                self.settings.csmp = next;
                Reply::Ok
            }
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn service_centre(&mut self, kind: &Kind) -> Reply {
        match kind {
            Kind::Read => {
                let number =
                    self.settings.service_centre.as_ref().unwrap_or(&self.options.identity.service_centre);
                let kind = if number.starts_with('+') { 145 } else { 129 };
                Reply::line(format!("+CSCA: \"{}\",{kind}", self.encode_host(number)))
            }
            Kind::Set(value) => {
                let number = parameters(value).into_iter().next().unwrap_or_default();
                let number = self.decode_host(number.as_bytes());
                if number.chars().skip_while(|c| *c == '+').any(|c| !c.is_ascii_digit()) {
                    return INVALID_TEXT;
                }
                self.settings.service_centre = Some(number).filter(|n| !n.is_empty());
                Reply::Ok
            }
            Kind::Test => Reply::Ok,
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn character_set(&mut self, kind: &Kind) -> Reply {
        match kind {
            Kind::Test => {
                let names = Charset::ALL.map(|c| format!("\"{}\"", c.name())).join(",");
                Reply::line(format!("+CSCS: ({names})"))
            }
            Kind::Read => Reply::line(format!("+CSCS: \"{}\"", self.settings.cscs.name())),
            Kind::Set(value) => {
                let name = parameters(value).into_iter().next().unwrap_or_default();
                match Charset::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(&name)) {
                    Some(charset) => {
                        self.settings.cscs = charset;
                        Reply::Ok
                    }
                    None => Reply::Fail(Failure::Cme(4)),
                }
            }
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn usage(&mut self, mem: Mem) -> (usize, usize) {
        let full = self.storage_full;
        let memory = self.memory(mem);
        (if full { memory.capacity() } else { memory.used() }, memory.capacity())
    }

    fn preferred_storage(&mut self, kind: &Kind) -> Reply {
        match kind {
            Kind::Test => Reply::line("+CPMS: (\"SM\",\"ME\",\"SR\"),(\"SM\",\"ME\"),(\"SM\",\"ME\")"),
            Kind::Read => {
                let shown = self.settings.cpms.map(|mem| {
                    let (used, total) = self.usage(mem);
                    format!("\"{}\",{used},{total}", mem.name())
                });
                Reply::line(format!("+CPMS: {}", shown.join(",")))
            }
            Kind::Set(value) => {
                let given = parameters(value);
                let mut next = self.settings.cpms;
                for (i, (slot, name)) in next.iter_mut().zip(&given).enumerate() {
                    if name.is_empty() {
                        continue;
                    }
                    match Mem::named(name) {
                        // Status reports cannot be written to by the box, nor texts received into SR.
                        Some(mem) if i == 0 || mem != Mem::Sr => *slot = mem,
                        _ => return NOT_ALLOWED,
                    }
                }
                self.settings.cpms = next;
                let shown = next.map(|mem| {
                    let (used, total) = self.usage(mem);
                    format!("{used},{total}")
                });
                Reply::line(format!("+CPMS: {}", shown.join(",")))
            }
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn indications(&mut self, kind: &Kind) -> Reply {
        match kind {
            Kind::Test => Reply::line("+CNMI: (0-3),(0-3),(0-3),(0-2),(0,1)"),
            Kind::Read => {
                let [mode, mt, bm, ds, bfr] = self.settings.cnmi;
                Reply::line(format!("+CNMI: {mode},{mt},{bm},{ds},{bfr}"))
            }
            Kind::Set(value) => {
                let given = parameters(value);
                let mut next = self.settings.cnmi;
                for (i, (slot, max)) in next.iter_mut().zip([3, 3, 3, 2, 1]).enumerate() {
                    match number(&given, i, max) {
                        Ok(Some(v)) => *slot = u8::try_from(v).unwrap_or(0),
                        Ok(None) => {}
                        Err(()) => return NOT_ALLOWED,
                    }
                }
                self.settings.cnmi = next;
                let [mode, _, _, _, bfr] = next;
                if mode != 0 {
                    let kept = std::mem::take(&mut self.buffered);
                    if bfr == 0 {
                        kept.iter().for_each(|line| self.urc(line));
                    }
                }
                Reply::Ok
            }
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn acknowledgement(&mut self, kind: &Kind) -> Reply {
        let expected = self.settings.csms == 1 && self.network.is_awaiting_ack();
        let none = Reply::Fail(Failure::Cms(340));
        match kind {
            Kind::Test => Reply::line("+CNMA: (0-2)"),
            Kind::Execute if expected => {
                self.acknowledge(true);
                Reply::Ok
            }
            Kind::Set(value) if expected => {
                let given = parameters(value);
                let (n, length) = match (number(&given, 0, 2), number(&given, 1, 255)) {
                    (Ok(n), Ok(length)) => (n.unwrap_or(0), length.unwrap_or(0)),
                    _ => return NOT_ALLOWED,
                };
                if self.settings.cmgf == 1 && n != 0 {
                    return NOT_ALLOWED;
                }
                if length > 0 {
                    return Data::prompt(Purpose::Acknowledge { accept: n != 2 });
                }
                self.acknowledge(n != 2);
                Reply::Ok
            }
            Kind::Execute | Kind::Set(_) => none,
            Kind::Read => Reply::Fail(Failure::Error),
        }
    }

    fn list(&mut self, kind: &Kind) -> Reply {
        let text_mode = self.settings.cmgf == 1;
        let value = match kind {
            Kind::Test if text_mode => {
                let names = Stat::ALL.map(|s| format!("\"{}\"", s.name())).join(",");
                return Reply::line(format!("+CMGL: ({names},\"ALL\")"));
            }
            Kind::Test => return Reply::line("+CMGL: (0-4)"),
            Kind::Execute => "",
            Kind::Set(value) => value.as_str(),
            Kind::Read => return Reply::Fail(Failure::Error),
        };
        let given = parameters(value);
        let asked = given.first().map_or("", String::as_str);
        let all = if text_mode { "ALL" } else { "4" };
        let wanted = if asked.eq_ignore_ascii_case(all) {
            None
        } else {
            let by_name = |s: &Stat| {
                if text_mode { s.name().eq_ignore_ascii_case(asked) } else { s.number().to_string() == asked }
            };
            match Stat::ALL.into_iter().find(by_name) {
                Some(stat) => Some(stat),
                None if asked.is_empty() => Some(Stat::Unread),
                None => return if text_mode { INVALID_TEXT } else { INVALID_PDU },
            }
        };
        // A second parameter 1 leaves unread messages unread (a vendor extension that several share).
        let keep = given.get(1).is_some_and(|v| v == "1");
        let [mem, ..] = self.settings.cpms;
        let mut found = Vec::new();
        for (index, stored) in self.memory(mem).iter_mut() {
            if wanted.is_none_or(|w| w == stored.stat) {
                found.push((index, stored.clone()));
                if stored.stat == Stat::Unread && !keep {
                    stored.stat = Stat::Read;
                }
            }
        }
        let mut lines = Vec::with_capacity(found.len() * 2);
        for (index, stored) in found {
            if text_mode {
                lines.extend(self.text_lines(&format!("+CMGL: {index},"), &stored, true));
            } else {
                let length = tpdu_length(&stored.pdu);
                lines.push(format!("+CMGL: {index},{},,{length}", stored.stat.number()));
                lines.push(stored.pdu);
            }
        }
        Reply::Info(lines)
    }

    fn read(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        let Ok(Some(index)) = number(&given, 0, u16::MAX) else { return INVALID_INDEX };
        let [mem, ..] = self.settings.cpms;
        let Some(stored) = self.memory(mem).get_mut(usize::from(index)) else { return INVALID_INDEX };
        let before = stored.clone();
        if stored.stat == Stat::Unread {
            stored.stat = Stat::Read;
        }
        if self.settings.cmgf == 1 {
            return Reply::Info(self.text_lines("+CMGR: ", &before, false));
        }
        let length = tpdu_length(&before.pdu);
        Reply::Info(vec![format!("+CMGR: {},,{length}", before.stat.number()), before.pdu])
    }

    fn delete(&mut self, kind: &Kind) -> Reply {
        let [mem, ..] = self.settings.cpms;
        let value = match kind {
            Kind::Test => {
                let used: Vec<String> =
                    self.memory(mem).iter_mut().map(|(index, _)| index.to_string()).collect();
                return Reply::line(format!("+CMGD: ({}),(0-4)", used.join(",")));
            }
            Kind::Set(value) => value,
            Kind::Execute | Kind::Read => return Reply::Fail(Failure::Error),
        };
        let given = parameters(value);
        let (Ok(index), Ok(flag)) = (number(&given, 0, u16::MAX), number(&given, 1, 4)) else {
            return INVALID_INDEX;
        };
        let flag = flag.unwrap_or(0);
        let gone: Vec<usize> = if flag == 0 {
            let Some(index) = index.map(usize::from) else { return INVALID_INDEX };
            match self.memory(mem).delete(index) {
                None => return INVALID_INDEX,
                Some(true) => vec![index],
                Some(false) => vec![],
            }
        } else {
            let hit = |stat: Stat| match stat {
                Stat::Read => true,
                Stat::Sent => flag >= 2,
                Stat::Unsent => flag >= 3,
                Stat::Unread => flag >= 4,
            };
            let gone: Vec<usize> =
                self.memory(mem).iter_mut().filter(|(_, s)| hit(s.stat)).map(|(i, _)| i).collect();
            for index in &gone {
                self.memory(mem).delete(*index);
            }
            gone
        };
        for index in gone {
            self.counters.deleted += 1;
            self.log(json!({"dir": "net", "event": "deleted", "mem": mem.name(), "index": index}));
        }
        Reply::Ok
    }

    fn send(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        if self.settings.cmgf == 1 {
            let to = self.decode_host(given.first().map_or("", String::as_str).as_bytes());
            return if to.is_empty() { INVALID_TEXT } else { Data::prompt(Purpose::SendText { to }) };
        }
        match number(&given, 0, 180) {
            Ok(Some(length)) if length >= 7 => Data::prompt(Purpose::SendPdu { length: usize::from(length) }),
            _ => INVALID_PDU,
        }
    }

    fn write(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        if self.settings.cmgf == 1 {
            let to = self.decode_host(given.first().map_or("", String::as_str).as_bytes());
            let stat = given.get(2).map_or("", String::as_str);
            let stat = Stat::ALL.into_iter().find(|s| s.name() == stat).unwrap_or(Stat::Unsent);
            return Data::prompt(Purpose::WriteText { to, stat });
        }
        match (number(&given, 0, 180), number(&given, 1, 3)) {
            (Ok(Some(length)), Ok(stat)) => {
                let stat = Stat::ALL
                    .into_iter()
                    .find(|s| Some(u16::from(s.number())) == stat)
                    .unwrap_or(Stat::Unsent);
                Data::prompt(Purpose::WritePdu { length: usize::from(length), stat })
            }
            _ => INVALID_PDU,
        }
    }

    fn send_stored(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        let Ok(Some(index)) = number(&given, 0, u16::MAX) else { return INVALID_INDEX };
        let [_, mem, _] = self.settings.cpms;
        let Some(stored) = self.memory(mem).get_mut(usize::from(index)) else { return INVALID_INDEX };
        let pdu = stored.pdu.clone();
        if matches!(stored.stat, Stat::Unread | Stat::Read) {
            return NOT_ALLOWED;
        }
        let reply = self.send_pdu(&pdu, "+CMSS");
        if matches!(reply, Reply::Info(_))
            && let Some(stored) = self.memory(mem).get_mut(usize::from(index))
        {
            stored.stat = Stat::Sent;
        }
        reply
    }

    /// A message was typed to its end.
    pub(super) fn take_data(&mut self, data: Data) -> Reply {
        match data.purpose {
            Purpose::SendPdu { length } => match typed_pdu(&data.typed, length) {
                Some(pdu) => self.send_pdu(&pdu, "+CMGS"),
                None => {
                    self.counters.refused += 1;
                    self.log(json!({"dir": "net", "event": "submitted", "accepted": false,
                        "error": "length", "text": null, "to": null}));
                    INVALID_PDU
                }
            },
            Purpose::WritePdu { length, stat } => match typed_pdu(&data.typed, length) {
                Some(pdu) => self.store(stat, pdu),
                None => INVALID_PDU,
            },
            Purpose::SendText { to } => match self.text_to_pdu(&to, &data.typed) {
                Some(pdu) => self.send_pdu(&pdu, "+CMGS"),
                None => INVALID_TEXT,
            },
            Purpose::WriteText { to, stat } => match self.text_to_pdu(&to, &data.typed) {
                Some(pdu) => self.store(stat, pdu),
                None => INVALID_TEXT,
            },
            Purpose::Acknowledge { accept } => {
                if self.acknowledge(accept) {
                    Reply::Ok
                } else {
                    Reply::Fail(Failure::Cms(340))
                }
            }
        }
    }

    /// A fault refuses a typed message: it is logged with what it said.
    pub(super) fn refuse_data(&mut self, data: &Data, error: &str) {
        let pdu = match &data.purpose {
            Purpose::SendPdu { length } => typed_pdu(&data.typed, *length),
            Purpose::SendText { to } => self.text_to_pdu(to, &data.typed),
            Purpose::WritePdu { .. } | Purpose::WriteText { .. } | Purpose::Acknowledge { .. } => None,
        };
        if let Some(octets) = pdu.and_then(|pdu| from_hex(&pdu))
            && let Ok(submit) = pdu::strip_smsc(&octets).and_then(pdu::read_submit)
        {
            self.log_submit(&submit, false, Some(error), None);
        }
    }

    fn store(&mut self, stat: Stat, pdu: String) -> Reply {
        let [_, mem, _] = self.settings.cpms;
        if self.storage_full {
            return MEMORY_FULL;
        }
        match self.memory(mem).put(Stored { stat, pdu }) {
            Some(index) => Reply::line(format!("+CMGW: {index}")),
            None => MEMORY_FULL,
        }
    }

    fn send_pdu(&mut self, pdu: &str, name: &str) -> Reply {
        let Some(octets) = from_hex(pdu) else { return INVALID_PDU };
        let submit = match pdu::strip_smsc(&octets).and_then(pdu::read_submit) {
            Ok(submit) => submit,
            Err(error) => {
                self.counters.refused += 1;
                self.log(json!({"dir": "net", "event": "submitted", "accepted": false,
                    "error": error.to_string(), "text": null, "to": null, "pdu": pdu}));
                return INVALID_PDU;
            }
        };
        if !self.is_registered() {
            self.log_submit(&submit, false, Some("no network service"), None);
            return NO_NETWORK;
        }
        let mr = self.submit(submit);
        Reply::line(format!("{name}: {mr}"))
    }

    fn text_to_pdu(&self, to: &str, typed: &[u8]) -> Option<String> {
        let [first, validity, protocol, coding] = self.settings.csmp;
        // With a header or another alphabet the text is octets in hexadecimal (27.005 §3.1 `<data>`).
        let as_octets = first & 0x40 != 0 || coding & 0x0C != 0 && coding < 0xC0;
        let octets;
        let text;
        let body = if as_octets {
            octets = from_hex(ascii(typed)?)?;
            TextBody::Octets(&octets)
        } else {
            text = self.decode_host(typed);
            TextBody::Text(&text)
        };
        pdu::text_submit(&TextSubmit { to, first, validity, protocol, coding, body })
    }

    /// +CMT or +CDS with the message behind it.
    pub(super) fn direct_line(&self, pdu: &str, report: bool) -> String {
        let length = tpdu_length(pdu);
        if self.settings.cmgf == 0 {
            return if report {
                format!("+CDS: {length}\r\n{pdu}")
            } else {
                format!("+CMT: ,{length}\r\n{pdu}")
            };
        }
        match pdu::view(pdu) {
            Some(View::Report { first, mr, to, kind, sent, done, status }) => {
                format!(
                    "+CDS: {first},{mr},\"{}\",{kind},\"{sent}\",\"{done}\",{status}",
                    self.encode_host(&to)
                )
            }
            Some(View::Deliver { first, from, kind, protocol, coding, timestamp, length, body }) => {
                let mut line = format!("+CMT: \"{}\",,\"{timestamp}\"", self.encode_host(&from));
                if self.settings.csdh {
                    let (smsc, smsc_kind) = self.smsc_shown();
                    line += &format!(",{kind},{first},{protocol},{coding},\"{smsc}\",{smsc_kind},{length}");
                }
                format!("{line}\r\n{}", self.body_shown(&body))
            }
            // What text mode cannot show, real modems show as a PDU.
            Some(View::Submit { .. }) | None => format!("+CMT: ,{length}\r\n{pdu}"),
        }
    }

    fn smsc_shown(&self) -> (String, u8) {
        (self.encode_host(&self.options.identity.service_centre), 145)
    }

    /// One message as +CMGR and +CMGL show it in text mode.
    fn text_lines(&self, head: &str, stored: &Stored, list: bool) -> Vec<String> {
        let stat = stored.stat.name();
        match pdu::view(&stored.pdu) {
            Some(View::Deliver { first, from, kind, protocol, coding, timestamp, length, body }) => {
                let mut line = format!("{head}\"{stat}\",\"{}\",,\"{timestamp}\"", self.encode_host(&from));
                if self.settings.csdh && list {
                    line += &format!(",{kind},{length}");
                } else if self.settings.csdh {
                    let (smsc, smsc_kind) = self.smsc_shown();
                    line += &format!(",{kind},{first},{protocol},{coding},\"{smsc}\",{smsc_kind},{length}");
                }
                vec![line, self.body_shown(&body)]
            }
            Some(View::Report { first, mr, to, kind, sent, done, status }) => {
                let to = self.encode_host(&to);
                vec![format!("{head}\"{stat}\",{first},{mr},\"{to}\",{kind},\"{sent}\",\"{done}\",{status}")]
            }
            Some(View::Submit { first, to, kind, protocol, coding, length, body }) => {
                let mut line = format!("{head}\"{stat}\",\"{}\",", self.encode_host(&to));
                if self.settings.csdh && list {
                    line += &format!(",,{kind},{length}");
                } else if self.settings.csdh {
                    let (smsc, smsc_kind) = self.smsc_shown();
                    line += &format!(",{kind},{first},{protocol},{coding},,\"{smsc}\",{smsc_kind},{length}");
                }
                vec![line, self.body_shown(&body)]
            }
            None => vec![format!("{head}\"{stat}\",\"\",,\"\""), stored.pdu.clone()],
        }
    }

    fn body_shown(&self, body: &Body) -> String {
        match body {
            Body::Text(text) => self.encode_host(text),
            Body::Hex(hex) => hex.clone(),
        }
    }

    /// Text in the character set of +CSCS; each character of the result is one byte on the line.
    pub(super) fn encode_host(&self, text: &str) -> String {
        match self.settings.cscs {
            Charset::Ira => text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
            Charset::Gsm => text.chars().flat_map(gsm7_or_mark).map(char::from).collect(),
            Charset::Ucs2 => text.encode_utf16().map(|u| format!("{u:04X}")).collect(),
            Charset::Hex => to_hex(&text.chars().flat_map(gsm7_or_mark).collect::<Vec<u8>>()),
        }
    }

    /// The reverse: bytes of the line to text.
    pub(super) fn decode_host(&self, bytes: &[u8]) -> String {
        let latin = || bytes.iter().map(|b| char::from(*b)).collect::<String>();
        match self.settings.cscs {
            Charset::Ira => latin(),
            Charset::Gsm => gsm7::decode(bytes),
            Charset::Ucs2 => match ascii(bytes).and_then(from_hex) {
                Some(octets) => {
                    let units: Vec<u16> = octets
                        .chunks(2)
                        .map(|p| p.iter().fold(0u16, |unit, octet| unit << 8 | u16::from(*octet)))
                        .collect();
                    String::from_utf16_lossy(&units)
                }
                // Clients send plain digits in UCS2 too; modems take them.
                None => latin(),
            },
            Charset::Hex => match ascii(bytes).and_then(from_hex) {
                Some(octets) => gsm7::decode(&octets),
                None => latin(),
            },
        }
    }
}

fn gsm7_or_mark(c: char) -> Vec<u8> {
    gsm7::septets_of(c).unwrap_or_else(|| vec![b'?'])
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(str::trim)
}

/// Hexadecimal as typed; `None` unless it is octets and the TPDU is as long as was said.
fn typed_pdu(typed: &[u8], length: usize) -> Option<String> {
    let text: String = typed
        .iter()
        .map(|b| char::from(*b))
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_uppercase();
    let octets = from_hex(&text)?;
    let tpdu = pdu::strip_smsc(&octets).ok()?;
    (tpdu.len() == length).then_some(text)
}
