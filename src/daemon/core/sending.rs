//! Texts on their way out. One PDU at a time is with a line. When the modem asks for it (the prompt of `+CMGS`), its
//! row says `handed` before it gets it, so that a crash leaves at most one part a line in doubt, and only one that was
//! cut off between prompt and answer. Consent is checked last, here, for every path.

use std::time::Duration;

use serde_json::{Value, json};

use super::consent::Why;
use super::lines::Line;
use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::at::pdu;
use crate::flow::Input;
use crate::messaging::ledger::{Exempt, Purpose};
use crate::store::{
    Carriage, Direction, MessageRow, MessageStatus, Op, PartRow, PartState, Snapshot, Source,
};
use crate::types::{
    Address, ExecutionSid, LineCommand, LineId, MessageId, PartId, PhoneNumber, SendResult, Wall,
};

/// The note of a text that nothing that waits goes before.
const AHEAD_OF_ALL: &str = "ahead of all others: somebody called for help";

/// A text that has not come to its end yet, or waits for its report.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) row: MessageRow,
    pub(super) parts: Vec<PartRow>,
    prompt: Option<ExecutionSid>,
}

impl Shop {
    pub(super) fn load_outgoing(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let shop = self.id.clone();
        for (row, parts) in snapshot.parts_open.iter().filter(|(r, _)| r.shop == shop) {
            let id = row.id.clone();
            let prompt = self.prompt_of(&id);
            let mut out = Outgoing { row: row.clone(), parts: parts.clone(), prompt };
            for part in &mut out.parts {
                if part.state == PartState::Handed {
                    part.state = PartState::Unknown;
                    part.note =
                        Some("the box stopped between handing it to the modem and hearing back".into());
                    part.updated = cx.now.wall;
                    cx.put(Op::PutPart(part.clone()));
                    cx.alarm(format!("text {} is unknown: the box stopped while it was being sent", part.id));
                }
            }
            self.outgoing.insert(id.clone(), out);
            self.remember_for_reports(&id);
            let waits =
                self.outgoing.get(&id).is_some_and(|o| o.parts.iter().any(|p| p.state == PartState::Queued));
            if waits {
                let line = row.line.clone().filter(|l| self.lines.contains_key(l));
                let line = line.or_else(|| self.line_for(&row.peer));
                if let Some(out) = self.outgoing.get_mut(&id) {
                    out.row.line = line;
                }
                self.enqueue(cx, &id);
            } else {
                self.message_settled(cx, &id);
            }
        }
    }

    /// The number that customers write to, for templates.
    pub(super) fn own_number(&self) -> String {
        let own = self.lines.values().find_map(|l| l.number.as_ref().map(ToString::to_string));
        own.unwrap_or_else(|| self.settings.text("shop.phone").to_owned())
    }

    /// The line that texts to a person go by: the one that they know while it can be used, else the first that can.
    pub(super) fn line_for(&self, person: &str) -> Option<LineId> {
        let known = self.people.get(person).and_then(|t| t.state.line.clone());
        let known = known.filter(|l| self.lines.contains_key(l));
        let usable = |id: &LineId| self.lines.get(id).is_some_and(Line::can_send);
        if let Some(line) = known.as_ref().filter(|l| usable(l)) {
            return Some(line.clone());
        }
        known.or_else(|| {
            self.setup.lines.iter().find(|l| usable(l)).or_else(|| self.setup.lines.first()).cloned()
        })
    }

    /// Texts a person by the box itself.
    pub(super) fn say(&mut self, cx: &mut Cx<'_>, person: &str, body: String, why: impl Into<Why>) {
        let id = cx.message_id();
        self.send_text(cx, id, person, body, why, None);
    }

    /// Texts a person ahead of everything that waits, also after a restart. When life is at stake, whatever they said.
    pub(super) fn say_first(&mut self, cx: &mut Cx<'_>, person: &str, body: String, life: bool) {
        let id = cx.message_id();
        let purpose = if life { Purpose::Exempt(Exempt::Emergency) } else { Purpose::Informational };
        self.send_text(cx, id.clone(), person, body, Why { source: Source::Box, purpose }, None);
        if let Some(out) = self.outgoing.get(&id).filter(|_| life) {
            self.audit_exempt(cx, &out.row, "the box", "somebody called for help");
        }
        let Some(out) = self.outgoing.get_mut(&id) else { return };
        out.row.note = Some(AHEAD_OF_ALL.to_owned());
        cx.put(Op::PutMessage(out.row.clone()));
        for line in self.lines.values_mut().filter(|l| l.queue.back() == Some(&id)) {
            line.queue.rotate_right(1);
        }
    }

    /// Puts a text into the outbox. `prompt`: the execution that waits on it.
    pub(super) fn send_text(
        &mut self,
        cx: &mut Cx<'_>,
        id: MessageId,
        to: &str,
        body: String,
        why: impl Into<Why>,
        prompt: Option<ExecutionSid>,
    ) {
        let Why { source, purpose } = why.into();
        if self.outgoing.contains_key(&id) {
            return;
        }
        // A flow's template may write a number in any way; consent and conversation know it in one.
        let number = PhoneNumber::parse(to, Some(self.settings.text("shop.calling_code")));
        let to = number.as_ref().map_or(to, PhoneNumber::as_str);
        let conversation = self.talk(cx, to).id.clone();
        let line = self.line_for(to);
        let mut row = MessageRow {
            shop: self.id.clone(),
            id: id.clone(),
            conversation,
            direction: Direction::Out,
            line: line.clone(),
            peer: to.to_owned(),
            body,
            status: MessageStatus::Queued,
            source,
            note: None,
            created: cx.now.wall,
            wall_sure: cx.now.wall_sure,
            updated: cx.now.wall,
            sent_at: None,
            purpose,
            not_before: None,
            carriage: Carriage::default(),
        };
        let parts = self.encode(&row);
        let refused = match (&parts, &line) {
            (Err(why), _) => Some(why.clone()),
            (Ok(_), None) => Some("the shop has no line".to_owned()),
            (Ok(_), Some(line)) => self.refused(&row, line, cx.now),
        };
        if let Some(why) = refused {
            row.status = MessageStatus::Failed;
            row.note = Some(why.clone());
            cx.put(Op::PutMessage(row));
            if let Some(sid) = prompt {
                self.prompt(cx, &sid, Input::PromptFailed(id, why));
            }
            return;
        }
        cx.put(Op::PutMessage(row.clone()));
        let parts = parts.unwrap_or_default();
        for part in &parts {
            cx.put(Op::PutPart(part.clone()));
        }
        self.outgoing.insert(id.clone(), Outgoing { row, parts, prompt });
        self.enqueue(cx, &id);
    }

    /// Puts a text into the queue of its line; one that is not to leave yet waits for its time.
    pub(super) fn enqueue(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        self.keep_hours(cx, id);
        let Some(out) = self.outgoing.get(id) else { return };
        if self.waits_for_its_time(cx, id, out.row.not_before) {
            return;
        }
        let first = out.row.note.as_deref() == Some(AHEAD_OF_ALL);
        let Some(line) = out.row.line.as_ref().and_then(|line| self.lines.get_mut(line)) else { return };
        match first {
            true => line.queue.push_front(id.clone()),
            false => line.queue.push_back(id.clone()),
        }
    }

    /// True when a text must not leave before a time to come; [`Shop::its_time`] looks again.
    fn waits_for_its_time(&self, cx: &mut Cx<'_>, id: &MessageId, not_before: Option<Wall>) -> bool {
        let Some(at) = not_before else { return false };
        if cx.now.wall_sure && at <= cx.now.wall {
            return false;
        }
        // A clock that is set, or set right, is noticed within the quarter of an hour.
        let wait = at.since(cx.now.wall).clamp(Duration::from_millis(1), Duration::from_secs(900));
        let wait = if cx.now.wall_sure { wait } else { Duration::from_secs(60) };
        cx.timers.set(TimerKey::NotBefore(self.id.clone(), id.clone()), cx.now.mono + wait);
        true
    }

    /// A text that waited for its time.
    pub(super) fn its_time(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        if self.waits_for_its_time(cx, id, out.row.not_before) {
            return;
        }
        self.enqueue(cx, id);
    }

    fn encode(&mut self, row: &MessageRow) -> Result<Vec<PartRow>, String> {
        let to = match PhoneNumber::parse(&row.peer, Some(self.settings.text("shop.calling_code"))) {
            Ok(number) => Address::Phone(number),
            Err(_) => Address::Short(row.peer.clone()),
        };
        self.concat_reference = self.concat_reference.wrapping_add(1);
        let options = pdu::SubmitOptions {
            reference: u16::from(self.concat_reference),
            report: self.settings.switch("sms.report"),
            ..pdu::SubmitOptions::default()
        };
        let encoded = pdu::submit(&to, &row.body, &options).map_err(|e| format!("cannot be sent: {e}"))?;
        let parts = (1u8..).zip(encoded).map(|(number, pdu)| PartRow {
            shop: self.id.clone(),
            id: PartId { message: row.id.clone(), number },
            pdu: pdu.hex,
            length: pdu.length,
            state: PartState::Queued,
            line: None,
            reference: None,
            attempts: 0,
            note: None,
            updated: row.updated,
        });
        Ok(parts.collect())
    }

    /// Gives every idle line its next PDU. True when something was handed over.
    pub(super) fn pump_lines(&mut self, cx: &mut Cx<'_>) -> bool {
        let ids: Vec<LineId> = self.lines.keys().cloned().collect();
        ids.iter().any(|line| self.pump_line(cx, line))
    }

    fn pump_line(&mut self, cx: &mut Cx<'_>, id: &LineId) -> bool {
        let Some(line) = self.lines.get_mut(id) else { return false };
        if self.stopping || !line.can_send() || line.paused || line.in_flight.is_some() {
            return false;
        }
        let Some(message) = line.queue.front().cloned() else { return false };
        if self.out_of_hours(&message, cx.now) {
            self.unqueue(&message);
            self.enqueue(cx, &message);
            return true;
        }
        let refused = self.outgoing.get(&message).and_then(|out| self.refused(&out.row, id, cx.now));
        if let Some(why) = refused {
            self.fail_message(cx, &message, &why);
            return true;
        }
        let Some(out) = self.outgoing.get_mut(&message) else {
            self.unqueue(&message);
            return true;
        };
        let Some(part) = out.parts.iter_mut().find(|p| p.state == PartState::Queued) else {
            self.unqueue(&message);
            self.message_settled(cx, &message);
            return true;
        };
        part.attempts += 1;
        let command = LineCommand::Send { part: part.id.clone(), pdu: part.pdu.clone(), length: part.length };
        let part_id = part.id.clone();
        cx.after(Effect::Line(id.clone(), command));
        if let Some(line) = self.lines.get_mut(id) {
            line.in_flight = Some(part_id);
        }
        true
    }

    /// The modem asks for the PDU: from the commit of this step on it may have left.
    pub(super) fn prompted(&mut self, cx: &mut Cx<'_>, line_id: &LineId, id: &PartId, attempt: u32) {
        let asked = self.lines.get(line_id).is_some_and(|l| l.in_flight.as_ref() == Some(id));
        let wanted = self
            .outgoing
            .get(&id.message)
            .is_some_and(|out| self.refused(&out.row, line_id, cx.now).is_none());
        let go = asked && wanted && !self.stopping && !self.out_of_hours(&id.message, cx.now);
        cx.after(Effect::Line(line_id.clone(), LineCommand::Proceed { part: id.clone(), attempt, go }));
        let Some(out) = self.outgoing.get_mut(&id.message).filter(|_| go) else { return };
        let Some(part) = out.parts.iter_mut().find(|p| p.id == *id) else { return };
        part.state = PartState::Handed;
        part.line = Some(line_id.clone());
        part.updated = cx.now.wall;
        cx.put(Op::PutPart(part.clone()));
        if out.row.status != MessageStatus::Sending || out.row.line.as_ref() != Some(line_id) {
            out.row.status = MessageStatus::Sending;
            out.row.line = Some(line_id.clone());
            out.row.updated = cx.now.wall;
            cx.put(Op::PutMessage(out.row.clone()));
        }
        let prompt = out.prompt.clone().filter(|_| id.number == 1);
        if let Some(sid) = prompt {
            self.prompt(cx, &sid, Input::PromptHanded(id.message.clone()));
        }
    }

    fn unqueue(&mut self, message: &MessageId) {
        for line in self.lines.values_mut() {
            line.queue.retain(|m| m != message);
        }
    }

    /// A line answered for a PDU. Reports that overtook the answer can be told apart now.
    pub(super) fn send_done(&mut self, cx: &mut Cx<'_>, line_id: &LineId, id: &PartId, result: SendResult) {
        self.part_answered(cx, line_id, id, result);
        let early = match self.lines.get_mut(line_id) {
            Some(line) if line.in_flight.is_none() => std::mem::take(&mut line.early_reports),
            Some(_) | None => Vec::new(),
        };
        for report in early {
            self.reported(cx, line_id, &report);
        }
    }

    fn part_answered(&mut self, cx: &mut Cx<'_>, line_id: &LineId, id: &PartId, result: SendResult) {
        let retries = self.settings.count("sms.retries");
        let Some(line) = self.lines.get_mut(line_id) else { return };
        if line.in_flight.as_ref() != Some(id) {
            self.count("answers_to_no_question");
            return;
        }
        line.in_flight = None;
        if matches!(result, SendResult::Accepted { .. }) {
            line.pauses = 0;
        }
        let Some(out) = self.outgoing.get_mut(&id.message) else { return };
        let Some(part) = out.parts.iter_mut().find(|p| p.id == *id) else { return };
        part.updated = cx.now.wall;
        let mut pause = false;
        let mut step_back = false;
        let mut failed = None;
        match result {
            SendResult::Accepted { reference } => {
                part.state = PartState::Sent;
                part.reference = Some(reference);
                part.note = None;
            }
            SendResult::Unknown { why } => {
                part.state = PartState::Unknown;
                part.note = Some(why);
                cx.step.alarms.push(format!("text {id} is unknown: no answer came from the modem"));
            }
            SendResult::NotTried { why } => {
                part.state = PartState::Queued;
                part.attempts = part.attempts.saturating_sub(1);
                part.note = Some(why);
                pause = true;
            }
            SendResult::Rejected { code, temporary } if temporary && part.attempts < retries => {
                part.state = PartState::Queued;
                part.note = Some(code);
                pause = true;
                step_back = true;
            }
            SendResult::Rejected { code, .. } => {
                part.state = PartState::Failed;
                part.note = Some(code.clone());
                failed = Some(format!("refused by the network: {code}"));
            }
        }
        cx.put(Op::PutPart(part.clone()));
        if step_back {
            self.step_back(line_id, &id.message);
        }
        if pause {
            self.pause(cx, line_id);
        } else if let Some(why) = failed {
            self.fail_message(cx, &id.message, &why);
        } else {
            self.remember_for_reports(&id.message);
            let done = self.outgoing.get(&id.message).is_some_and(|o| {
                !o.parts.iter().any(|p| matches!(p.state, PartState::Queued | PartState::Handed))
            });
            if done {
                self.unqueue(&id.message);
                self.message_settled(cx, &id.message);
            }
        }
    }

    /// The text will not be sent (any more): parts that were not are failed, and who waits on it is told.
    pub(super) fn fail_message(&mut self, cx: &mut Cx<'_>, id: &MessageId, why: &str) {
        self.unqueue(id);
        let Some(mut out) = self.outgoing.remove(id) else { return };
        for part in out.parts.iter_mut().filter(|p| p.state == PartState::Queued) {
            part.state = PartState::Failed;
            part.note = Some(why.to_owned());
            part.updated = cx.now.wall;
            cx.put(Op::PutPart(part.clone()));
        }
        out.row.status = MessageStatus::Failed;
        out.row.note = Some(why.to_owned());
        out.row.updated = cx.now.wall;
        cx.put(Op::PutMessage(out.row));
        if let Some(sid) = out.prompt {
            self.prompt(cx, &sid, Input::PromptFailed(id.clone(), why.to_owned()));
        }
    }

    /// No part is to be sent any more: the message's status follows from its parts.
    pub(super) fn message_settled(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(out) = self.outgoing.get_mut(id) else { return };
        let any = |state: PartState| out.parts.iter().any(|p| p.state == state);
        let status = if any(PartState::Unknown) {
            MessageStatus::Unknown
        } else if any(PartState::Failed) {
            MessageStatus::Undelivered
        } else if any(PartState::Sent) {
            MessageStatus::Sent
        } else {
            MessageStatus::Delivered
        };
        let note = out.parts.iter().find(|p| p.state == PartState::Unknown).and_then(|p| p.note.clone());
        if out.row.status != status {
            out.row.status = status;
            out.row.note = note;
            out.row.updated = cx.now.wall;
            cx.put(Op::PutMessage(out.row.clone()));
        }
        // Sent or in doubt, the question was asked: the wait begins.
        let prompt = out.prompt.take();
        // Without reports nothing more will be heard of a text that was sent.
        let over = match status {
            MessageStatus::Delivered | MessageStatus::Undelivered => true,
            MessageStatus::Sent => !self.settings.switch("sms.report"),
            MessageStatus::Received
            | MessageStatus::Queued
            | MessageStatus::Sending
            | MessageStatus::Failed
            | MessageStatus::Unknown => false,
        };
        if over {
            self.outgoing.remove(id);
        }
        if let Some(sid) = prompt {
            self.prompt(cx, &sid, Input::PromptAccepted(id.clone()));
        }
    }

    /// Staff say: send what is in doubt once more.
    pub(super) fn resend(&mut self, cx: &mut Cx<'_>, id: &MessageId) -> Result<Value, String> {
        let line = self.outgoing.get(id).and_then(|o| self.line_for(&o.row.peer));
        let refused = |row, line| self.refused(row, line, cx.now);
        if let (Some(out), Some(line)) = (self.outgoing.get(id), &line)
            && let Some(why) = refused(&out.row, line)
        {
            return Err(why);
        }
        let Some(out) = self.outgoing.get_mut(id) else { return Err(format!("{id} is not in doubt")) };
        let mut again = 0;
        for part in out.parts.iter_mut().filter(|p| p.state == PartState::Unknown) {
            part.state = PartState::Queued;
            part.note = Some("sent again by staff".into());
            part.updated = cx.now.wall;
            cx.put(Op::PutPart(part.clone()));
            again += 1;
        }
        if again == 0 {
            return Err(format!("{id} has no part in doubt"));
        }
        self.unknown_parts.retain(|(_, part)| part.message != *id);
        if let Some(line) = line.and_then(|l| self.lines.get_mut(&l)) {
            line.queue.push_back(id.clone());
        }
        Ok(json!({ "id": id, "parts": again }))
    }
}
