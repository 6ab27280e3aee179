//! A shop's line as the core knows it: its state, its queue, its pauses, which one a text goes by, and what becomes of
//! the queue when it is down for long. What a line is told to send is `sending`'s and `posts`'.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::Cx;
use super::choice::{Candidate, Choice, Health, Known};
use super::enclosing::{Files, Wants};
use super::shop::Shop;
use super::timers::TimerKey;
use crate::at::pdu;
use crate::config::TemplateConfig;
use crate::store::{PartState, ReceivedRow};
use crate::types::{
    Channel, LineId, LineState, MessageId, Mono, Now, PartId, PhoneNumber, Registration, Slot, Wall,
};

/// How long after a person's last WhatsApp text free words may be sent to them (WhatsApp's customer service window).
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// How a line takes texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// One PDU after the other: a modem.
    Pdus,
    /// Whole: an upstream.
    Whole,
}

/// What the technician's file says of a line that carries texts.
#[derive(Clone, Debug)]
pub struct LineSetup {
    /// Its id.
    pub id: LineId,
    /// How it takes texts.
    pub takes: Takes,
    /// Which kind of address it reaches.
    pub channel: Channel,
    /// Lower first; among equals the cheaper one.
    pub priority: u16,
    /// Of one text, in thousandths of a cent.
    pub cost: u32,
    /// Ours on it, when the file says so.
    pub number: Option<PhoneNumber>,
    /// For which number or service of ours its upstream is told who wants texts; `None`: it is not.
    pub consents_as: Option<String>,
    /// Which files it carries.
    pub files: Files,
    /// What carries free words outside WhatsApp's window.
    pub outside: Option<TemplateConfig>,
}

impl LineSetup {
    /// A SIM in a modem, `priority` of them before it.
    #[must_use]
    pub fn modem(id: LineId, priority: u16) -> Self {
        Self {
            id,
            takes: Takes::Pdus,
            channel: Channel::Sms,
            priority,
            cost: 0,
            number: None,
            consents_as: None,
            files: Files::None,
            outside: None,
        }
    }
}

/// What waits at a line, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: VecDeque<(MessageId, String)>,
    people: HashMap<String, u32>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Message and person, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(MessageId, String)> {
        self.order.iter()
    }

    pub(super) fn get(&self, at: usize) -> Option<&(MessageId, String)> {
        self.order.get(at)
    }

    /// Whether anything waits for this person.
    pub(super) fn has_for(&self, person: &str) -> bool {
        self.people.contains_key(person)
    }

    pub(super) fn push_back(&mut self, id: MessageId, person: String) {
        *self.people.entry(person.clone()).or_default() += 1;
        self.order.push_back((id, person));
    }

    pub(super) fn push_front(&mut self, id: MessageId, person: String) {
        *self.people.entry(person.clone()).or_default() += 1;
        self.order.push_front((id, person));
    }

    pub(super) fn remove(&mut self, id: &MessageId) {
        let Some(at) = self.order.iter().position(|(m, _)| m == id) else { return };
        if let Some((_, person)) = self.order.remove(at)
            && let Some(count) = self.people.get_mut(&person)
        {
            *count -= 1;
            if *count == 0 {
                self.people.remove(&person);
            }
        }
    }

    /// A text that waits goes before all others.
    pub(super) fn bring_forward(&mut self, id: &MessageId) {
        if let Some(at) = self.order.iter().position(|(m, _)| m == id)
            && let Some(entry) = self.order.remove(at)
        {
            self.order.push_front(entry);
        }
    }

    /// This person's texts behind all others, in their order.
    fn step_back(&mut self, person: &str) {
        let (back, mut front): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.order).into_iter().partition(|(_, who)| who == person);
        front.extend(back);
        self.order = front;
    }
}

/// A line and what is on its way through it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) setup: LineSetup,
    pub(super) up: bool,
    /// Since when it cannot send.
    pub(super) down_since: Option<Mono>,
    /// Since when everything that was written to it reaches us: up and swept.
    pub(super) hears_since: Option<Mono>,
    /// Swept, and then without a network: it hears again when it is back in one.
    pub(super) lost_network: bool,
    pub(super) identity: String,
    pub(super) sim: Option<String>,
    pub(super) number: Option<PhoneNumber>,
    pub(super) state: LineState,
    pub(super) why_down: Option<String>,
    pub(super) queue: Queue,
    pub(super) in_flight: Option<PartId>,
    /// Whole texts that are with the upstream's edge, and whom each is for.
    pub(super) posts: BTreeMap<MessageId, String>,
    /// Whole texts in doubt, by person.
    pub(super) doubts: HashMap<String, Vec<MessageId>>,
    /// Up to when everything at the upstream is taken over, by its clock.
    pub(super) cursor: Option<Wall>,
    /// Reports that came while a text to the same person was with the modem: perhaps its own.
    pub(super) early_reports: Vec<pdu::StatusReport>,
    pub(super) paused: bool,
    pub(super) pauses: u32,
    /// Committed and not yet freed by the modem.
    pub(super) unfreed: HashMap<(String, Slot), ReceivedRow>,
    /// Slots that were reported since the line came up, until the sweep ends.
    pub(super) reported: HashSet<Slot>,
}

impl Line {
    pub(super) fn new(setup: LineSetup) -> Self {
        Self {
            number: setup.number.clone(),
            setup,
            up: false,
            down_since: None,
            hears_since: None,
            lost_network: false,
            identity: String::new(),
            sim: None,
            state: LineState::default(),
            why_down: None,
            queue: Queue::default(),
            in_flight: None,
            posts: BTreeMap::new(),
            doubts: HashMap::new(),
            cursor: None,
            early_reports: Vec::new(),
            paused: false,
            pauses: 0,
            unfreed: HashMap::new(),
            reported: HashSet::new(),
        }
    }

    /// Up, and as far as is known in a network.
    pub(super) fn can_send(&self) -> bool {
        self.up && in_network(&self.state)
    }

    pub(super) fn takes_whole(&self) -> bool {
        self.setup.takes == Takes::Whole
    }

    /// Up again: what was to be waited for is over.
    pub(super) fn end_pause(&mut self) {
        self.paused = false;
        self.pauses = 0;
    }

    /// After its state changed.
    pub(super) fn note_health(&mut self, now: Now) {
        match self.can_send() {
            true => self.down_since = None,
            false => self.down_since = self.down_since.or(Some(now.mono)),
        }
    }

    fn health(&self, now: Now) -> Health {
        match self.can_send() {
            true => Health::Up,
            false => Health::Down(now.mono.since(self.down_since.unwrap_or(now.mono))),
        }
    }

    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "takes": match self.setup.takes { Takes::Pdus => "pdus", Takes::Whole => "whole texts" },
            "channel": self.setup.channel.as_str(),
            "up": self.up,
            "registration": self.state.registration,
            "signal_dbm": self.state.signal_dbm,
            "operator": self.state.operator,
            "needs": self.state.needs,
            "why_down": self.why_down,
            "queued": self.queue.len(),
            "paused": self.paused,
        });
        if self.takes_whole() {
            status["under_way"] = self.posts.len().into();
            status["in_doubt"] = self.doubts.values().map(Vec::len).sum::<usize>().into();
            status["taken_over_to"] = self.cursor.map(Wall::rfc3339).into();
        }
        status
    }
}

/// Not knowing is not a no: some modems never tell.
pub(super) fn in_network(state: &LineState) -> bool {
    state.registration.is_registered() || state.registration == Registration::Unknown
}

impl Shop {
    /// How one of the lines stands for a text to a person.
    pub(super) fn candidate<'a>(
        &self,
        now: Now,
        person: &str,
        line: &'a Line,
        wants: Wants,
    ) -> Candidate<'a> {
        Candidate {
            id: &line.setup.id,
            channel: line.setup.channel,
            health: line.health(now),
            barred: self.barred(now, person, line, wants),
            wait: self.pace_wait(now, line),
            priority: line.setup.priority,
            cost: line.setup.cost,
        }
    }

    /// What a person knows of the shop's lines.
    pub(super) fn known(&self, person: &str) -> Known<'_> {
        let talk = self.people.get(person);
        let moved = talk.and_then(|t| t.state.moved.as_ref());
        let waits_there = |id: &&LineId| {
            self.lines
                .get(*id)
                .is_some_and(|l| l.queue.has_for(person) || l.posts.values().any(|p| p == person))
        };
        let goes_on = talk.is_some_and(|t| !t.state.is_idle());
        Known {
            line: talk.and_then(|t| t.state.line.as_ref()),
            moved: moved.filter(|id| goes_on || waits_there(id)),
            patience: self.settings.seconds("sms.failover"),
        }
    }

    /// Why this line must not carry a text to this person, when it must not.
    pub(super) fn barred(&self, now: Now, person: &str, line: &Line, wants: Wants) -> Option<String> {
        if self.is_blocked_there(person, line) {
            return Some("they said STOP to this number".to_owned());
        }
        self.cannot_carry(now, person, line, wants)
    }

    /// WhatsApp takes free words for this person.
    pub(super) fn window_open(&self, now: Now, person: &str) -> bool {
        let last = self.people.get(person).and_then(|t| t.state.whatsapp);
        last.is_some_and(|last| now.wall.since(last) < WINDOW)
    }

    /// The line that texts to a person go by.
    pub(super) fn line_for(&self, now: Now, person: &str) -> Option<LineId> {
        self.choose_line(now, person, Wants::default()).ok().map(|choice| choice.line)
    }

    /// Another line than the one that the person knows carries their text: it stays so while the conversation goes on.
    pub(super) fn note_move(&mut self, cx: &mut Cx<'_>, person: &str, choice: &Choice) {
        let Some(talk) = self.people.get_mut(person) else { return };
        let moved = choice.instead.then(|| choice.line.clone());
        if talk.state.moved != moved {
            talk.state.moved = moved;
            cx.dirty_people.insert(person.to_owned());
        }
    }

    /// It may be the network that refuses, or this text only: the others have their turn, this person's texts keep
    /// their order.
    pub(super) fn step_back(&mut self, line: &LineId, message: &MessageId) {
        let Some(peer) = self.outgoing.get(message).map(|o| o.row.peer.clone()) else { return };
        if let Some(line) = self.lines.get_mut(line) {
            line.queue.step_back(&peer);
        }
    }

    /// The line rests: for its own back-off, or longer when it was asked to.
    pub(super) fn pause(&mut self, cx: &mut Cx<'_>, id: &LineId, asked: Option<Duration>) {
        let first = self.settings.seconds("sms.retry_first");
        let most = self.settings.seconds("sms.retry_most");
        let Some(line) = self.lines.get_mut(id) else { return };
        let length = first.saturating_mul(1 << line.pauses.min(16)).min(most);
        // Several that were refused together are one refusal.
        if !line.paused {
            line.pauses += 1;
        }
        line.paused = true;
        let until = cx.now.mono + length.max(asked.unwrap_or_default());
        cx.timers.set_latest(TimerKey::Pause(self.id.clone(), id.clone()), until);
    }

    pub(super) fn pause_ended(&mut self, id: &LineId) {
        if let Some(line) = self.lines.get_mut(id) {
            line.paused = false;
        }
    }

    /// A line is gone for good for now: its texts of which nothing was handed over go by another of the shop's lines,
    /// in order.
    pub(super) fn failover(&mut self, cx: &mut Cx<'_>, id: &LineId) {
        let Some(line) = self.lines.get(id).filter(|l| !l.can_send()) else { return };
        // For as long as it is away: people whom only this line knew may be texted tomorrow.
        let again = cx.now.mono + self.settings.seconds("sms.failover").max(Duration::from_millis(100));
        cx.timers.set(TimerKey::Failover(self.id.clone(), id.clone()), again);
        let waiting: Vec<(MessageId, String)> = line.queue.iter().cloned().collect();
        let mut moved = 0;
        for (message, person) in waiting {
            let Some(out) = self.outgoing.get(&message) else { continue };
            if out.parts.iter().any(|p| p.state != PartState::Queued) {
                continue;
            }
            let Ok(choice) = self.choose_line(cx.now, &person, Wants::of(out)) else { continue };
            if choice.line == *id || !self.lines.get(&choice.line).is_some_and(Line::can_send) {
                continue;
            }
            moved += usize::from(self.move_text(cx, &message, &choice, format!("line {id} was down")));
        }
        if moved > 0 {
            cx.alarm(format!("line {id} is down: {moved} texts go by another"));
        }
        // Waits that this line's silence held back are the other line's now.
        self.release_held(cx);
    }

    /// A text that this line must not carry goes by another of the shop's. False: there is none.
    pub(super) fn goes_another_way(&mut self, cx: &mut Cx<'_>, id: &LineId, message: &MessageId) -> bool {
        let Some(out) = self.outgoing.get(message) else { return false };
        let person = out.row.peer.clone();
        match self.choose_line(cx.now, &person, Wants::of(out)) {
            Ok(choice) if choice.line != *id && self.refused(&out.row, &choice.line, cx.now).is_none() => {
                let note = choice.why.clone();
                self.move_text(cx, message, &choice, note)
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Takes a text of which nothing was handed over to another line. False: it cannot go by that one.
    fn move_text(&mut self, cx: &mut Cx<'_>, id: &MessageId, choice: &Choice, note: String) -> bool {
        let Some(out) = self.outgoing.get(id) else { return false };
        let (mut row, before, special) = (out.row.clone(), out.row.line.clone(), Wants::of(out).is_special());
        row.line = Some(choice.line.clone());
        row.carriage.choice = Some(choice.why.clone());
        row.carriage.channel = self.lines.get(&choice.line).map_or(Channel::Sms, |l| l.setup.channel);
        row.note = row.note.filter(|note| note == super::sending::AHEAD_OF_ALL).or(Some(note));
        let person = row.peer.clone();
        if !self.reform(cx, id, row) {
            return false;
        }
        if let Some(line) = before.and_then(|l| self.lines.get_mut(&l)) {
            line.queue.remove(id);
        }
        if !special {
            self.note_move(cx, &person, choice);
        }
        self.enqueue(cx, id);
        true
    }
}
