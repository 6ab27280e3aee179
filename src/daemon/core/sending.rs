//! Texts on their way out. One PDU at a time is with a line. When the modem asks for it (the prompt of `+CMGS`), its
//! row says `handed` before it gets it, so that a crash leaves at most one part a line in doubt, and only one that was
//! cut off between prompt and answer. Consent is checked last, here, for every path.

use std::time::Duration;

use serde_json::{Value, json};

use super::choice::Choice;
use super::consent::Why;
use super::enclosing::{Said, Wants, enclosed, words_with_links};
use super::lines::Line;
use super::pace::Next;
use super::posts::posting_of;
use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, gate};
use crate::at::pdu;
use crate::flow::Input;
use crate::messaging::ledger::{Exempt, Purpose};
use crate::outbox::Posting;
use crate::store::{
    Carriage, Direction, MessageRow, MessageStatus, Op, PartRow, PartState, Snapshot, Source,
};
use crate::types::{
    Address, Channel, Enclosed, ExecutionSid, LineId, MessageId, PartId, PhoneNumber, SendResult, Wall,
};

/// The note of a text that nothing that waits goes before.
pub(super) const AHEAD_OF_ALL: &str = "ahead of all others: somebody called for help";

/// A text that has not come to its end yet, or waits for its report.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) row: MessageRow,
    pub(super) parts: Vec<PartRow>,
    /// What goes with its words, in order.
    pub(super) files: Vec<Enclosed>,
    /// How its posting stands, for a line that takes texts whole.
    pub(super) posting: Option<Posting>,
    pub(super) prompt: Option<ExecutionSid>,
    /// Its pace was asked for and granted.
    pub(super) granted: bool,
}

impl Outgoing {
    /// Nothing of it has left, and nothing is about to.
    pub(super) fn is_untouched(&self) -> bool {
        self.parts.iter().all(|p| p.state == PartState::Queued)
    }
}

impl Shop {
    pub(super) fn load_outgoing(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let shop = self.id.clone();
        for (row, parts) in snapshot.parts_open.iter().filter(|(r, _)| r.shop == shop) {
            let prompt = self.prompt_of(&row.id);
            let posting = parts.first().and_then(posting_of);
            let files = enclosed(&snapshot.media_out, row);
            let mut out =
                Outgoing { row: row.clone(), parts: parts.clone(), files, posting, prompt, granted: false };
            if out.posting.is_some() {
                self.load_post(cx, out);
                continue;
            }
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
            let waits = out.parts.iter().any(|p| p.state == PartState::Queued);
            let id = row.id.clone();
            self.outgoing.insert(id.clone(), out);
            self.remember_for_reports(&id);
            match waits {
                true => self.queue_loaded(cx, &id),
                false => self.message_settled(cx, &id),
            }
        }
    }

    /// A text of the run before that waits: at its line, or at another when that one is not there any more.
    pub(super) fn queue_loaded(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        let mut row = out.row.clone();
        let line = row.line.as_ref().and_then(|line| self.lines.get(line));
        let fits = line.is_some_and(|line| line.takes_whole() == out.posting.is_some());
        if !fits {
            if line.is_none() {
                let choice = match self.choose_line(cx.now, &row.peer, Wants::of(out)) {
                    Ok(choice) => choice,
                    Err(why) => return self.fail_message(cx, id, &why),
                };
                row.line = Some(choice.line);
                row.carriage.choice = Some(choice.why);
            }
            if !self.reform(cx, id, row) {
                return;
            }
        }
        self.enqueue(cx, id);
    }

    /// The number that customers write to, for templates.
    pub(super) fn own_number(&self) -> String {
        let own = self.lines.values().find_map(|l| l.number.as_ref().map(ToString::to_string));
        own.unwrap_or_else(|| self.settings.text("shop.phone").to_owned())
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
        let person = out.row.peer.clone();
        if let Some(line) = out.row.line.clone().and_then(|line| self.lines.get_mut(&line)) {
            line.queue.remove(&id);
            line.queue.push_front(id, person);
        }
    }

    /// Puts a text into the outbox. `prompt`: the execution that waits on it.
    pub(super) fn send_text(
        &mut self,
        cx: &mut Cx<'_>,
        id: MessageId,
        to: &str,
        said: impl Into<Said>,
        why: impl Into<Why>,
        prompt: Option<ExecutionSid>,
    ) {
        let (mut said, Why { source, purpose }) = (said.into(), why.into());
        if self.outgoing.contains_key(&id) {
            return;
        }
        let purpose = self.purpose_by(said.template.as_ref(), purpose);
        // A flow's template may write a number in any way; consent and conversation know it in one.
        let number = PhoneNumber::parse(to, Some(self.settings.text("shop.calling_code")));
        let to = number.as_ref().map_or(to, PhoneNumber::as_str);
        let wants = Wants::of_said(&said, &source, purpose);
        let choice = self.choose_line(cx.now, to, wants);
        let files = std::mem::take(&mut said.files);
        let mut row = self.draft(cx, &id, to, said, Why { source, purpose });
        row.carriage.media = u8::try_from(files.len()).unwrap_or(u8::MAX);
        if let Ok(choice) = &choice {
            row.line = Some(choice.line.clone());
            row.carriage.choice = Some(choice.why.clone());
            row.carriage.channel = self.lines.get(&choice.line).map_or(Channel::Sms, |l| l.setup.channel);
        }
        let files = self.keep_files(cx, &row, files);
        let refused = match &choice {
            Err(why) => Err(why.clone()),
            Ok(choice) => self.refused(&row, &choice.line, cx.now).map_or(Ok(()), Err),
        };
        let formed = refused.and_then(|()| self.encode(&row, &files));
        let (parts, posting) = match formed {
            Ok(formed) => formed,
            Err(why) => {
                row.status = MessageStatus::Failed;
                row.note = Some(why.clone());
                cx.put(Op::PutMessage(row));
                if let Some(sid) = prompt {
                    self.prompt(cx, &sid, Input::PromptFailed(id, why));
                }
                return;
            }
        };
        cx.put(Op::PutMessage(row.clone()));
        for part in &parts {
            cx.put(Op::PutPart(part.clone()));
        }
        self.outgoing.insert(id.clone(), Outgoing { row, parts, files, posting, prompt, granted: false });
        // A detour for the sake of a file is none of the conversation's.
        if let Some(choice) = choice.as_ref().ok().filter(|_| !wants.is_special()) {
            self.note_move(cx, to, choice);
        }
        self.enqueue(cx, &id);
    }

    /// The row of a text that is about to be put down, without its line.
    fn draft(&mut self, cx: &mut Cx<'_>, id: &MessageId, to: &str, said: Said, why: Why) -> MessageRow {
        MessageRow {
            shop: self.id.clone(),
            id: id.clone(),
            conversation: self.talk(cx, to).id.clone(),
            direction: Direction::Out,
            line: None,
            peer: to.to_owned(),
            body: said.body,
            status: MessageStatus::Queued,
            source: why.source,
            note: None,
            created: cx.now.wall,
            wall_sure: cx.now.wall_sure,
            updated: cx.now.wall,
            sent_at: None,
            purpose: why.purpose,
            not_before: None,
            carriage: Carriage { template: said.template, ..Carriage::default() },
        }
    }

    /// Puts a text into the queue of its line; one that is not to leave yet waits for its time.
    pub(super) fn enqueue(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        self.keep_hours(cx, id);
        let Some(out) = self.outgoing.get(id) else { return };
        if self.waits_for_its_time(cx, id, out.row.not_before) {
            return;
        }
        let person = out.row.peer.clone();
        let first = out.row.note.as_deref() == Some(AHEAD_OF_ALL);
        let Some(line) = out.row.line.as_ref().and_then(|line| self.lines.get_mut(line)) else { return };
        match first {
            true => line.queue.push_front(id.clone(), person),
            false => line.queue.push_back(id.clone(), person),
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

    /// A text that waited for its time: the line may be another one by now.
    pub(super) fn its_time(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        if self.waits_for_its_time(cx, id, out.row.not_before) {
            return;
        }
        let mut row = out.row.clone();
        if let Ok(choice) = self.choose_line(cx.now, &row.peer, Wants::of(out))
            && row.line.as_ref() != Some(&choice.line)
        {
            row.line = Some(choice.line.clone());
            row.carriage.choice = Some(choice.why);
            row.carriage.channel = self.lines.get(&choice.line).map_or(Channel::Sms, |l| l.setup.channel);
            self.reform(cx, id, row);
        }
        self.enqueue(cx, id);
    }

    /// Writes a text of which nothing left anew, as the line of `row` takes it. False: it cannot be.
    pub(super) fn reform(&mut self, cx: &mut Cx<'_>, id: &MessageId, mut row: MessageRow) -> bool {
        row.updated = cx.now.wall;
        let Some(files) = self.outgoing.get(id).map(|out| out.files.clone()) else { return false };
        let formed = self.encode(&row, &files);
        let Some(out) = self.outgoing.get_mut(id).filter(|out| out.is_untouched()) else { return false };
        let Ok((mut parts, mut posting)) = formed else { return false };
        // The number of a try is never used again, and what was sent once more by itself is not a third time.
        if let (Some(new), Some(old), Some(part)) = (&mut posting, &out.posting, parts.first_mut()) {
            new.clone_from(old);
            part.pdu = json!(new).to_string();
            part.attempts = new.attempts;
        }
        cx.put(Op::PutMessage(row.clone()));
        for part in &parts {
            cx.put(Op::PutPart(part.clone()));
        }
        if parts.len() < out.parts.len() {
            let kept = u8::try_from(parts.len()).unwrap_or(u8::MAX);
            cx.put(Op::DropParts(self.id.clone(), id.clone(), kept));
        }
        out.row = row;
        out.parts = parts;
        out.posting = posting;
        true
    }

    /// A text as its line takes it.
    fn encode(
        &mut self,
        row: &MessageRow,
        files: &[Enclosed],
    ) -> Result<(Vec<PartRow>, Option<Posting>), String> {
        let whole = row.line.as_ref().and_then(|l| self.lines.get(l)).is_some_and(Line::takes_whole);
        let part = |number, pdu: String, length| PartRow {
            shop: row.shop.clone(),
            id: PartId { message: row.id.clone(), number },
            pdu,
            length,
            state: PartState::Queued,
            line: None,
            reference: None,
            attempts: 0,
            note: None,
            updated: row.updated,
        };
        let to = match PhoneNumber::parse(&row.peer, Some(self.settings.text("shop.calling_code"))) {
            Ok(number) => Address::Phone(number),
            Err(_) => Address::Short(row.peer.clone()),
        };
        if whole {
            // `whatsapp:`, `client:` and the like are another's to address: what they reach, consent does not know.
            if matches!(&to, Address::Short(code) if !code.bytes().all(|b| b.is_ascii_digit())) {
                return Err("cannot be sent: this is no number".to_owned());
            }
            let posting = Posting::default();
            return Ok((vec![part(1, json!(posting).to_string(), 0)], Some(posting)));
        }
        self.concat_reference = self.concat_reference.wrapping_add(1);
        let options = pdu::SubmitOptions {
            reference: u16::from(self.concat_reference),
            report: self.settings.switch("sms.report"),
            ..pdu::SubmitOptions::default()
        };
        let encoded = pdu::submit(&to, &words_with_links(row, files), &options)
            .map_err(|e| format!("cannot be sent: {e}"))?;
        Ok(((1u8..).zip(encoded).map(|(number, pdu)| part(number, pdu.hex, pdu.length)).collect(), None))
    }

    /// Gives every line what it has room for. True when something was handed over.
    pub(super) fn pump_lines(&mut self, cx: &mut Cx<'_>) -> bool {
        let ids: Vec<LineId> = self.lines.keys().cloned().collect();
        ids.iter().any(|line| match self.lines.get(line).is_some_and(Line::takes_whole) {
            true => self.pump_whole(cx, line),
            false => self.pump_line(cx, line),
        })
    }

    fn pump_line(&mut self, cx: &mut Cx<'_>, id: &LineId) -> bool {
        let Some(line) = self.lines.get_mut(id) else { return false };
        if self.stopping || !line.can_send() || line.paused || line.in_flight.is_some() {
            return false;
        }
        let (message, pass) = match self.next_text(cx, id) {
            Next::Nothing => return false,
            Next::Changed => return true,
            Next::Text(message, pass) => (message, pass),
        };
        let Some(out) = self.outgoing.get_mut(&message) else { return false };
        let Some(part) = out.parts.iter_mut().find(|p| p.state == PartState::Queued) else {
            self.unqueue(&message);
            self.message_settled(cx, &message);
            return true;
        };
        part.attempts += 1;
        let part_id = part.id.clone();
        pass.send(cx, part);
        if let Some(line) = self.lines.get_mut(id) {
            line.in_flight = Some(part_id);
        }
        true
    }

    /// The modem asks for the PDU: from the commit of this step on it may have left.
    pub(super) fn prompted(&mut self, cx: &mut Cx<'_>, line_id: &LineId, id: &PartId, attempt: u32) {
        let asked = self.lines.get(line_id).is_some_and(|l| l.in_flight.as_ref() == Some(id));
        // A modem that fell silent may ask for a text that another line took meanwhile.
        let here = |out: &&Outgoing| out.row.line.as_ref() == Some(line_id);
        let out = self.outgoing.get(&id.message).filter(here);
        let pass = out.and_then(|out| self.pass(&out.row, line_id, cx.now).ok());
        let in_time = asked && !self.stopping && !self.out_of_hours(&id.message, cx.now);
        let Some(pass) = pass.filter(|_| in_time) else { return gate::withhold(cx, line_id, id, attempt) };
        pass.proceed(cx, id, attempt);
        let Some(out) = self.outgoing.get_mut(&id.message) else { return };
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

    pub(super) fn unqueue(&mut self, message: &MessageId) {
        let line = self.outgoing.get(message).and_then(|out| out.row.line.clone());
        if let Some(line) = line.and_then(|line| self.lines.get_mut(&line)) {
            line.queue.remove(message);
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
        if out.row.line.as_ref() != Some(line_id) {
            return;
        }
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
            self.pause(cx, line_id, None);
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
        if let Some(out) = self.outgoing.get(id)
            && let Ok(Choice { line, .. }) = self.choose_line(cx.now, &out.row.peer, Wants::of(out))
            && let Some(why) = self.refused(&out.row, &line, cx.now)
        {
            return Err(why);
        }
        let Some(out) = self.outgoing.get_mut(id) else { return Err(format!("{id} is not in doubt")) };
        if out.posting.is_some() {
            return self.resend_post(cx, id);
        }
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
        self.go_by_a_line_that_lives(cx, id);
        self.enqueue(cx, id);
        Ok(json!({ "id": id, "parts": again }))
    }

    /// The line of a text that is sent again may be gone or down: another one takes it, if it is of the same kind or
    /// nothing of the text was sent.
    pub(super) fn go_by_a_line_that_lives(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        let mut row = out.row.clone();
        let Ok(choice) = self.choose_line(cx.now, &row.peer, Wants::of(out)) else { return };
        if row.line.as_ref() == Some(&choice.line) {
            return;
        }
        let whole = self.lines.get(&choice.line).is_some_and(Line::takes_whole);
        let same_kind = whole == out.posting.is_some();
        row.line = Some(choice.line.clone());
        row.carriage.choice = Some(choice.why);
        row.carriage.channel = self.lines.get(&choice.line).map_or(Channel::Sms, |l| l.setup.channel);
        if !self.reform(cx, id, row.clone())
            && same_kind
            && let Some(out) = self.outgoing.get_mut(id)
        {
            cx.put(Op::PutMessage(row.clone()));
            out.row = row;
        }
    }
}
