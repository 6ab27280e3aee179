//! What lines report: PDUs received, reports, slots freed, ups and downs. A PDU is committed before its slot is
//! freed; a slot that still holds a committed PDU (the box stopped in between) is freed and not read twice.

use std::time::Duration;

use serde_json::{Map, Value};

use super::lines::in_network;
use super::shop::{Shop, Talk};
use super::timers::TimerKey;
use super::upstream::parameters;
use super::{Cx, Effect};
use crate::at::pdu::{self, Direction as Way, Pdu};
use crate::messaging::ledger::Purpose;
use crate::store::{
    Carriage, ConcatKey, ConversationRow, Direction, MessageRow, MessageStatus, Op, ReceivedKind,
    ReceivedRow, Snapshot, Source,
};
use crate::types::{
    Address, ConversationId, LineCommand, LineEvent, LineId, LineState, Mem, MessageId, PhoneNumber,
    Registration, Slot, UpstreamText, Wall, derive_sid,
};

/// A whole text, however it came.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) id: MessageId,
    pub(super) line: LineId,
    pub(super) from: Address,
    pub(super) body: String,
    pub(super) sent_at: Option<Wall>,
    /// Parts that never came, or data that is no text.
    pub(super) note: Option<String>,
    /// As an upstream told it.
    pub(super) upstream: Option<Box<UpstreamText>>,
}

impl Text {
    /// What the upstream took it for: `STOP`, `START` or `HELP` (Twilio: `OptOutType`).
    pub(super) fn opt_out(&self) -> Option<&str> {
        let parameters = &self.upstream.as_ref()?.parameters;
        parameters.get("OptOutType").and_then(Value::as_str).filter(|word| !word.is_empty())
    }
}

impl Shop {
    pub(super) fn load_received(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let id = self.id.clone();
        for row in snapshot.received_unfreed.iter().filter(|r| r.shop == id) {
            if let Some(line) = self.lines.get_mut(&row.line) {
                line.unfreed.insert((row.identity.clone(), row.slot), row.clone());
            }
        }
        for row in snapshot.parts_waiting.iter().filter(|r| r.shop == id) {
            if let Some(key) = &row.concat {
                self.keep_part(cx, key.clone(), row.clone());
            }
        }
    }

    pub(super) fn line_event(&mut self, cx: &mut Cx<'_>, id: &LineId, event: LineEvent) {
        match event {
            LineEvent::Up { identity, sim, number } => self.line_up(cx, id, identity, sim, number),
            LineEvent::Down { why } => self.line_down(cx, id, why),
            LineEvent::State(state) => {
                // An upstream's edge raises the alarm itself, once for as long as it is refused.
                let line = self.lines.get(id).filter(|line| !line.takes_whole());
                let known = line.and_then(|line| line.state.needs.as_ref());
                let needs = state.needs.as_ref().filter(|needs| line.is_some() && known != Some(*needs));
                if let Some(needs) = needs {
                    cx.alarm(format!("line {id}: {needs}"));
                }
                self.line_state(cx, id, state);
            }
            LineEvent::Swept => self.swept(cx, id),
            LineEvent::Received { slot, pdu } => self.received(cx, id, slot, pdu),
            LineEvent::Unreadable { slot, raw } => {
                let row = self.received_row(cx, id, slot, raw, ReceivedKind::Broken);
                self.broken(cx, id, slot, row, "it is not a PDU");
            }
            LineEvent::Text(text) => self.upstream_text(cx, id, *text),
            LineEvent::Cursor(at) => self.upstream_cursor(cx, id, at),
            LineEvent::Posted { message, attempt, result } => self.posted(cx, id, &message, attempt, result),
            LineEvent::Found { message, found } => self.found(cx, id, &message, found),
            LineEvent::Status(status) => self.upstream_status(cx, id, status),
            LineEvent::Media { message, number, result } => {
                self.media_answered(cx, &message, number, result);
            }
            LineEvent::Prompted { part, attempt } => self.prompted(cx, id, &part, attempt),
            LineEvent::SendDone { part, result } => self.send_done(cx, id, &part, result),
            LineEvent::Freed { slot } => {
                let Some(line) = self.lines.get_mut(id) else { return };
                let identity = identity_of(line.sim.as_deref(), &line.identity, slot);
                if let Some(mut row) = line.unfreed.remove(&(identity, slot)) {
                    row.freed = true;
                    cx.put(Op::PutReceived(row));
                }
            }
        }
    }

    /// Without a network the shop is as deaf as without a modem: what customers write meanwhile comes late.
    fn line_state(&mut self, cx: &mut Cx<'_>, id: &LineId, state: LineState) {
        let grace = cx.now.mono + self.settings.seconds("sms.grace");
        let failover = cx.now.mono + self.settings.seconds("sms.failover");
        let Some(line) = self.lines.get_mut(id) else { return };
        let was_in = in_network(&line.state);
        line.state = state;
        line.note_health(cx.now);
        match (was_in, in_network(&line.state)) {
            (true, false) => {
                line.lost_network = line.hears_since.take().is_some() || line.lost_network;
                cx.timers.set_earliest(TimerKey::Failover(self.id.clone(), id.clone()), failover);
            }
            (false, true) => {
                cx.timers.cancel(&TimerKey::Failover(self.id.clone(), id.clone()));
                if std::mem::take(&mut line.lost_network) && line.up {
                    line.hears_since = Some(cx.now.mono);
                    cx.timers.set(TimerKey::Grace(self.id.clone()), grace);
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    fn line_up(
        &mut self,
        cx: &mut Cx<'_>,
        id: &LineId,
        identity: String,
        sim: Option<String>,
        number: Option<PhoneNumber>,
    ) {
        let Some(line) = self.lines.get_mut(id) else { return };
        line.up = true;
        line.hears_since = None;
        line.lost_network = false;
        line.reported.clear();
        line.end_pause();
        line.identity = identity;
        line.sim = sim;
        line.number = number.or(line.number.take());
        line.why_down = None;
        line.note_health(cx.now);
        cx.timers.cancel(&TimerKey::Pause(self.id.clone(), id.clone()));
        if line.can_send() {
            cx.timers.cancel(&TimerKey::Failover(self.id.clone(), id.clone()));
        }
    }

    fn line_down(&mut self, cx: &mut Cx<'_>, id: &LineId, why: String) {
        let failover = cx.now.mono + self.settings.seconds("sms.failover");
        let Some(line) = self.lines.get_mut(id) else { return };
        // What an upstream's line needs has been said, and that it is down follows from it.
        let said = line.takes_whole() && line.state.needs.is_some();
        if (line.up || line.why_down.is_none()) && !self.stopping && !said {
            cx.step.alarms.push(format!("line {id} is down: {why}"));
        }
        line.up = false;
        line.hears_since = None;
        line.lost_network = false;
        line.state.registration = Registration::Unknown;
        line.why_down = Some(why);
        line.note_health(cx.now);
        cx.timers.set_earliest(TimerKey::Failover(self.id.clone(), id.clone()), failover);
    }

    /// Everything that lay in the modem has been reported: waits that this line's silence held back may end once
    /// the network had time to deliver what it kept.
    fn swept(&mut self, cx: &mut Cx<'_>, id: &LineId) {
        let grace = self.settings.seconds("sms.grace");
        let Some(line) = self.lines.get_mut(id) else { return };
        match in_network(&line.state) {
            true => line.hears_since = Some(cx.now.mono),
            // Swept, and what the network keeps is still to come.
            false => line.lost_network = true,
        }
        // What the modem did not report any more was freed before the answer reached us.
        let identity = line.identity.clone();
        let sim = line.sim.clone();
        let gone: Vec<_> = line
            .unfreed
            .iter()
            .filter(|((known, slot), row)| {
                *known == identity_of(sim.as_deref(), &identity, *slot)
                    && slot.mem != Mem::Direct
                    && row.wall + Duration::from_secs(1) < cx.now.wall
            })
            .filter(|(_, row)| !line.reported.contains(&row.slot))
            .map(|(key, _)| key.clone())
            .collect();
        line.reported.clear();
        for key in gone {
            if let Some(mut row) = line.unfreed.remove(&key) {
                row.freed = true;
                cx.step.transaction.ops.push(Op::PutReceived(row));
            }
        }
        cx.timers.set(TimerKey::Grace(self.id.clone()), cx.now.mono + grace);
    }

    fn received_row(
        &mut self,
        cx: &mut Cx<'_>,
        line: &LineId,
        slot: Option<Slot>,
        raw: String,
        kind: ReceivedKind,
    ) -> ReceivedRow {
        let slot = slot.unwrap_or(Slot { mem: Mem::Direct, index: u16::MAX });
        let identity = self
            .lines
            .get(line)
            .map_or_else(String::new, |l| identity_of(l.sim.as_deref(), &l.identity, slot));
        ReceivedRow {
            shop: self.id.clone(),
            id: cx.sid("RX"),
            line: line.clone(),
            identity,
            slot,
            raw,
            kind,
            message: None,
            concat: None,
            freed: false,
            note: None,
            wall: cx.now.wall,
        }
    }

    fn received(&mut self, cx: &mut Cx<'_>, line_id: &LineId, slot: Slot, raw: String) {
        let free = Effect::Line(line_id.clone(), LineCommand::Free { slot });
        let mut row = self.received_row(cx, line_id, Some(slot), raw, ReceivedKind::Text);
        if let Some(line) = self.lines.get_mut(line_id) {
            line.reported.insert(slot);
            let key = (row.identity.clone(), slot);
            let same = |r: &ReceivedRow| r.raw == row.raw;
            let direct_again = slot.mem == Mem::Direct
                && line.unfreed.values().any(|r| r.slot.mem == Mem::Direct && same(r));
            // Also when the SIM did not tell its name this time, and the slot goes by the modem's.
            let other_name =
                line.unfreed.iter().find(|((_, s), r)| *s == slot && same(r)).map(|(k, _)| k.clone());
            if let Some(old) = other_name.filter(|old| *old != key && !line.unfreed.contains_key(&key))
                && let Some(mut known) = line.unfreed.remove(&old)
            {
                known.identity.clone_from(&row.identity);
                line.unfreed.insert(key.clone(), known);
            }
            if direct_again || line.unfreed.get(&key).is_some_and(same) {
                // Committed before; only the modem does not know yet.
                self.count("texts_seen_again");
                cx.after(free);
                return;
            }
            if let Some(mut old) = line.unfreed.remove(&key) {
                old.freed = true;
                cx.put(Op::PutReceived(old));
            }
        }
        let country = self.settings.text("shop.calling_code").to_owned();
        match pdu::decode(&row.raw, Way::FromSc, Some(&country)) {
            Ok(Pdu::Deliver(deliver)) => self.delivered(cx, line_id, row, deliver),
            Ok(Pdu::StatusReport(report)) => {
                row.kind = ReceivedKind::Report;
                self.keep_row(cx, line_id, row);
                self.reported(cx, line_id, &report);
            }
            Ok(Pdu::Submit(_)) => {
                row.kind = ReceivedKind::Broken;
                self.broken(cx, line_id, Some(slot), row, "it is a text of our own");
                return;
            }
            Err(error) => {
                row.kind = ReceivedKind::Broken;
                self.broken(cx, line_id, Some(slot), row, &error.to_string());
                return;
            }
        }
        cx.after(free);
    }

    /// Kept raw, reported, and only then freed.
    fn broken(
        &mut self,
        cx: &mut Cx<'_>,
        line: &LineId,
        slot: Option<Slot>,
        mut row: ReceivedRow,
        why: &str,
    ) {
        row.note = Some(why.to_owned());
        self.count("pdus_broken");
        cx.alarm(format!("line {line}: a PDU cannot be read and is kept as {}: {why}", row.id));
        match slot {
            Some(slot) => {
                self.keep_row(cx, line, row);
                cx.after(Effect::Line(line.clone(), LineCommand::Free { slot }));
            }
            None => {
                row.freed = true;
                cx.put(Op::PutReceived(row));
            }
        }
    }

    fn keep_row(&mut self, cx: &mut Cx<'_>, line: &LineId, row: ReceivedRow) {
        if let Some(line) = self.lines.get_mut(line) {
            line.unfreed.insert((row.identity.clone(), row.slot), row.clone());
        }
        cx.put(Op::PutReceived(row));
    }

    fn delivered(&mut self, cx: &mut Cx<'_>, line: &LineId, mut row: ReceivedRow, deliver: pdu::Deliver) {
        let sent_at = deliver.timestamp.map(|t| t.utc);
        let concat = deliver.concat.filter(|c| c.total > 1);
        if let Some(c) = concat {
            let key = ConcatKey {
                peer: deliver.from.as_str().to_owned(),
                reference: c.reference,
                wide: c.wide,
                total: c.total,
                number: c.part,
            };
            row.kind = ReceivedKind::Part;
            row.concat = Some(key.clone());
            self.keep_row(cx, line, row.clone());
            self.keep_part(cx, key, row);
            return;
        }
        let text = deliver.ports.is_none() && !matches!(deliver.data, pdu::UserData::Data { .. });
        let id = cx.message_id();
        row.message = Some(id.clone());
        self.keep_row(cx, line, row);
        let note = (!text).then(|| "data for a program: stored and not answered".to_owned());
        let body = deliver.text();
        self.text_in(
            cx,
            Text { id, line: line.clone(), from: deliver.from, body, sent_at, note, upstream: None },
        );
    }

    /// Puts a part to its fellows; the last one makes the text.
    fn keep_part(&mut self, cx: &mut Cx<'_>, key: ConcatKey, row: ReceivedRow) {
        let number = key.number;
        let whole = ConcatKey { number: 0, ..key };
        let known = self.parts.get(&whole).and_then(|parts| parts.get(&number)).filter(|k| k.id != row.id);
        match known.map(|known| (known.raw == row.raw, known.id.clone())) {
            // The network brought it twice. Left as a part that waits, it would be a text of its own one day.
            Some((true, id)) => return self.not_a_part(cx, row, format!("a repetition of {id}")),
            // The sender's references went round: the rest of the text before does not come.
            Some((false, _)) => self.join_parts(cx, &whole),
            None => {}
        }
        let parts = self.parts.entry(whole.clone()).or_default();
        parts.insert(number, row);
        let complete = parts.len() >= usize::from(whole.total);
        let timer = TimerKey::Concat(self.id.clone(), whole.clone());
        if complete {
            cx.timers.cancel(&timer);
            self.join_parts(cx, &whole);
        } else {
            cx.timers.set(timer, cx.now.mono + self.settings.seconds("sms.concat_wait"));
        }
    }

    fn not_a_part(&mut self, cx: &mut Cx<'_>, mut row: ReceivedRow, note: String) {
        row.kind = ReceivedKind::Text;
        row.note = Some(note);
        self.count("parts_seen_again");
        if let Some(kept) = self
            .lines
            .get_mut(&row.line)
            .and_then(|l| l.unfreed.get_mut(&(row.identity.clone(), row.slot)))
            .filter(|kept| kept.id == row.id)
        {
            *kept = row.clone();
        }
        cx.put(Op::PutReceived(row));
    }

    /// The rest does not come: what is there is a text all the same.
    pub(super) fn concat_ended(&mut self, cx: &mut Cx<'_>, key: &ConcatKey) {
        self.join_parts(cx, key);
    }

    fn join_parts(&mut self, cx: &mut Cx<'_>, key: &ConcatKey) {
        let Some(rows) = self.parts.remove(key) else { return };
        let Some(first) = rows.values().next().cloned() else { return };
        let country = self.settings.text("shop.calling_code").to_owned();
        let mut from = None;
        let mut sent_at = None;
        let mut data = Vec::new();
        for row in rows.values() {
            if let Ok(Pdu::Deliver(deliver)) = pdu::decode(&row.raw, Way::FromSc, Some(&country)) {
                sent_at = sent_at.or(deliver.timestamp.map(|t| t.utc));
                from = Some(deliver.from);
                data.push(deliver.data);
            }
        }
        let Some(from) = from else { return };
        let id = MessageId(derive_sid("SM", &[&first.id, "joined"]));
        for mut row in rows.into_values() {
            row.message = Some(id.clone());
            // A line that is not in the configuration any more has no slots to free.
            let line = self.lines.get_mut(&row.line);
            let kept = line.and_then(|l| l.unfreed.get_mut(&(row.identity.clone(), row.slot)));
            if let Some(kept) = kept.filter(|k| k.id == row.id) {
                kept.message = Some(id.clone());
            } else {
                row.freed = true;
            }
            cx.step.transaction.ops.push(Op::PutReceived(row));
        }
        let missing = usize::from(key.total).saturating_sub(data.len());
        let note = (missing > 0).then(|| format!("{missing} of {} parts never came", key.total));
        let body = pdu::join(&data.iter().collect::<Vec<_>>());
        self.text_in(cx, Text { id, line: first.line, from, body, sent_at, note, upstream: None });
    }

    /// The conversation with a person, begun when there is none.
    pub(super) fn talk(&mut self, cx: &mut Cx<'_>, person: &str) -> &mut Talk {
        if !self.people.contains_key(person) {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            cx.dirty_people.insert(person.to_owned());
            let id = ConversationId(derive_sid("CH", &[self.id.as_str(), person]));
            self.people.insert(person.to_owned(), Talk { id, ticket, state: Default::default() });
        }
        let id = &self.id;
        self.people.entry(person.to_owned()).or_insert_with(|| Talk {
            id: ConversationId(derive_sid("CH", &[id.as_str(), person])),
            ticket: 0,
            state: Default::default(),
        })
    }

    pub(super) fn flush_person(&mut self, cx: &mut Cx<'_>, person: &str) {
        let Some(talk) = self.people.get(person) else { return };
        let state = match serde_json::to_value(&talk.state) {
            Ok(state) => state,
            Err(error) => {
                cx.alarm(format!("conversation {} cannot be written: {error}", talk.id));
                return;
            }
        };
        cx.put(Op::PutConversation(ConversationRow {
            shop: self.id.clone(),
            id: talk.id.clone(),
            person: person.to_owned(),
            state,
            ticket: talk.ticket,
            active: !talk.state.is_idle(),
            updated: cx.now.wall,
        }));
    }

    /// Stores a text; the note says why it is not answered, when it is not.
    pub(super) fn store_text(&mut self, cx: &mut Cx<'_>, text: &Text, note: Option<String>) {
        let person = text.from.as_str().to_owned();
        let conversation = self.talk(cx, &person).id.clone();
        cx.put(Op::PutMessage(MessageRow {
            shop: self.id.clone(),
            id: text.id.clone(),
            conversation,
            direction: Direction::In,
            line: Some(text.line.clone()),
            peer: person,
            body: text.body.clone(),
            status: MessageStatus::Received,
            purpose: Purpose::Reply,
            not_before: None,
            carriage: text.upstream.as_ref().map_or_else(Carriage::default, |told| Carriage {
                channel: told.channel,
                sid: Some(told.sid.clone()),
                media: u8::try_from(told.media.len()).unwrap_or(u8::MAX),
                ..Carriage::default()
            }),
            source: Source::Person,
            note,
            created: cx.now.wall,
            wall_sure: cx.now.wall_sure,
            updated: cx.now.wall,
            sent_at: text.sent_at,
        }));
    }

    /// What a webhook of Twilio's would say of a text.
    pub(super) fn webhook(&self, text: &Text) -> Map<String, Value> {
        let told = text.upstream.as_deref();
        let mut map = told.map_or_else(Map::new, parameters);
        let sid = told.map_or(text.id.as_str(), |told| told.sid.as_str());
        let files = told.map_or(0, |told| told.media.len()).to_string();
        let to = self.lines.get(&text.line).and_then(|l| l.number.as_ref().map(ToString::to_string));
        let mut put = |key: &str, value: &str| {
            map.insert(key.to_owned(), Value::from(value));
        };
        put("MessageSid", sid);
        put("SmsMessageSid", sid);
        put("SmsSid", sid);
        put("SmsStatus", "received");
        put("From", text.from.as_str());
        put("To", &to.unwrap_or_else(|| self.own_number()));
        put("Body", &text.body);
        put("NumMedia", &files);
        put("NumSegments", &crate::messaging::segments(&text.body).segments.to_string());
        put("ApiVersion", "2010-04-01");
        map
    }
}

/// What holds a slot: a SIM's slots go with the SIM, others stay with the modem.
fn identity_of(sim: Option<&str>, imei: &str, slot: Slot) -> String {
    match (slot.mem, sim) {
        (Mem::SM, Some(sim)) => format!("sim:{sim}"),
        (Mem::SM | Mem::ME | Mem::MT | Mem::SR | Mem::Direct, _) => format!("imei:{imei}"),
    }
}
