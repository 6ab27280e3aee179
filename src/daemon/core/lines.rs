//! A shop's line as the core knows it: its state, its queue, its pauses, and what becomes of the queue when it is
//! down for long. What a line is told to send is `sending`'s.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::Cx;
use super::shop::Shop;
use super::timers::TimerKey;
use crate::at::pdu;
use crate::store::Op;
use crate::types::{LineId, LineState, MessageId, Mono, PartId, PhoneNumber, Slot};

#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) up: bool,
    /// Since when everything that was written to it reaches us: up and swept.
    pub(super) hears_since: Option<Mono>,
    /// Swept, and then without a network: it hears again when it is back in one.
    pub(super) lost_network: bool,
    pub(super) identity: String,
    pub(super) sim: Option<String>,
    pub(super) number: Option<PhoneNumber>,
    pub(super) state: LineState,
    pub(super) why_down: Option<String>,
    pub(super) queue: VecDeque<MessageId>,
    pub(super) in_flight: Option<PartId>,
    /// Reports that came while a text to the same person was with the modem: perhaps its own.
    pub(super) early_reports: Vec<pdu::StatusReport>,
    pub(super) paused: bool,
    pub(super) pauses: u32,
    /// Committed and not yet freed by the modem.
    pub(super) unfreed: std::collections::HashMap<(String, Slot), crate::store::ReceivedRow>,
    /// Slots that were reported since the line came up, until the sweep ends.
    pub(super) reported: std::collections::HashSet<Slot>,
}

impl Line {
    /// Up, and as far as is known in a network.
    pub(super) fn can_send(&self) -> bool {
        self.up && in_network(&self.state)
    }

    /// Up again: what was to be waited for is over.
    pub(super) fn end_pause(&mut self) {
        self.paused = false;
        self.pauses = 0;
    }

    pub(super) fn status(&self) -> Value {
        json!({
            "up": self.up,
            "registration": self.state.registration,
            "signal_dbm": self.state.signal_dbm,
            "operator": self.state.operator,
            "needs": self.state.needs,
            "why_down": self.why_down,
            "queued": self.queue.len(),
            "paused": self.paused,
        })
    }
}

/// Not knowing is not a no: some modems never tell.
pub(super) fn in_network(state: &LineState) -> bool {
    state.registration.is_registered() || state.registration == crate::types::Registration::Unknown
}

impl Shop {
    /// It may be the network that refuses, or this text only: the others have their turn, this person's texts keep
    /// their order.
    pub(super) fn step_back(&mut self, line: &LineId, message: &MessageId) {
        let Some(peer) = self.outgoing.get(message).map(|o| o.row.peer.clone()) else { return };
        let Some(line) = self.lines.get_mut(line) else { return };
        let outgoing = &self.outgoing;
        let (back, mut front): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut line.queue)
            .into_iter()
            .partition(|m| outgoing.get(m).is_some_and(|o| o.row.peer == peer));
        front.extend(back);
        line.queue = front;
    }

    pub(super) fn pause(&mut self, cx: &mut Cx<'_>, id: &LineId) {
        let first = self.settings.seconds("sms.retry_first");
        let most = self.settings.seconds("sms.retry_most");
        let Some(line) = self.lines.get_mut(id) else { return };
        line.paused = true;
        let length = first.saturating_mul(1 << line.pauses.min(16)).min(most);
        line.pauses += 1;
        cx.timers.set(TimerKey::Pause(self.id.clone(), id.clone()), cx.now.mono + length);
    }

    pub(super) fn pause_ended(&mut self, id: &LineId) {
        if let Some(line) = self.lines.get_mut(id) {
            line.paused = false;
        }
    }

    /// A line is gone for good for now: its texts go by another of the shop's lines, in order.
    pub(super) fn failover(&mut self, cx: &mut Cx<'_>, id: &LineId) {
        if self.lines.get(id).is_none_or(Line::can_send) {
            return;
        }
        // For as long as it is away: people whom only this line knew may be texted tomorrow.
        let again = cx.now.mono + self.settings.seconds("sms.failover").max(Duration::from_millis(100));
        cx.timers.set(TimerKey::Failover(self.id.clone(), id.clone()), again);
        let usable = |l: &LineId| l != id && self.lines.get(l).is_some_and(Line::can_send);
        let Some(other) = self.setup.lines.iter().find(|l| usable(l)).cloned() else { return };
        let moved = self.lines.get_mut(id).map(|l| std::mem::take(&mut l.queue)).unwrap_or_default();
        if !moved.is_empty() {
            cx.alarm(format!("line {id} is down: {} texts go by line {other}", moved.len()));
        }
        for message in &moved {
            if let Some(out) = self.outgoing.get_mut(message) {
                out.row.line = Some(other.clone());
                out.row.note = Some(format!("line {id} was down"));
                cx.put(Op::PutMessage(out.row.clone()));
            }
        }
        if let Some(line) = self.lines.get_mut(&other) {
            line.queue.extend(moved);
        }
        let people: Vec<String> = self
            .people
            .iter()
            .filter(|(_, t)| t.state.line.as_ref() == Some(id) && !t.state.is_idle())
            .map(|(p, _)| p.clone())
            .collect();
        for person in people {
            if let Some(talk) = self.people.get_mut(&person) {
                talk.state.line = Some(other.clone());
            }
            cx.dirty_people.insert(person);
        }
        // Waits that this line's silence held back are the other line's now.
        self.release_held(cx);
    }
}
