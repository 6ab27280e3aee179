//! Where texts that an upstream has stand there. A status goes forward only, whatever the order in which callbacks and
//! polling tell it.

use std::time::Duration;

use super::Cx;
use super::shop::Shop;
use super::timers::TimerKey;
use crate::store::{MessageStatus, Op, PartState};
use crate::types::{Delivery, LineId, MessageId, PostStatus};

/// A text that was sent and of which nothing more is heard for this long counts as sent.
pub(super) const TOLD: Duration = Duration::from_secs(3600);

/// A text that the upstream queued and of which nothing more is heard: longer than its own queues are.
const QUEUED_THERE: Duration = Duration::from_secs(6 * 3600);

/// How far a status is on its way. None follows an outcome.
fn rank(status: MessageStatus) -> u8 {
    match status {
        MessageStatus::Queued | MessageStatus::Sending | MessageStatus::Unknown => 0,
        MessageStatus::Sent => 1,
        MessageStatus::Delivered
        | MessageStatus::Undelivered
        | MessageStatus::Failed
        | MessageStatus::Received => 2,
    }
}

impl Shop {
    /// The upstream says where a text stands.
    pub(super) fn upstream_status(&mut self, cx: &mut Cx<'_>, line: &LineId, told: PostStatus) {
        let Some(id) = self.by_sid.get(&told.sid).cloned() else {
            let known = self.sids.has(&told.sid);
            return self.count(if known { "statuses_late" } else { "statuses_of_nothing" });
        };
        let Some(out) = self.outgoing.get(&id) else { return };
        let news = rank(out.row.status) < rank(outcome(told.status));
        let price = told.price.filter(|price| out.row.carriage.price.as_ref() != Some(price));
        if !news && price.is_none() {
            return self.count("statuses_repeated");
        }
        if news && let Some(code) = told.error {
            self.upstream_refused(cx, line, &id, code);
        }
        self.delivered_so_far(cx, &id, told.status, told.error, price);
    }

    /// Takes over where a text stands, if that is forward, and what it cost.
    pub(super) fn delivered_so_far(
        &mut self,
        cx: &mut Cx<'_>,
        id: &MessageId,
        status: Delivery,
        error: Option<u32>,
        price: Option<(i64, String)>,
    ) {
        let Some(out) = self.outgoing.get_mut(id) else { return };
        let next = outcome(status);
        let forward = rank(out.row.status) < rank(next);
        out.row.carriage.price = price.or_else(|| out.row.carriage.price.take());
        if forward || out.row.status == MessageStatus::Unknown {
            out.row.status = next;
        }
        if forward {
            out.row.carriage.error = error.or(out.row.carriage.error);
            let failed = matches!(status, Delivery::Undelivered | Delivery::Failed);
            if failed {
                let code = error.map_or_else(String::new, |code| format!(": error {code}"));
                out.row.note = Some(format!("the upstream could not deliver it{code}"));
            }
            if let Some(part) = out.parts.first_mut() {
                let state = match status {
                    Delivery::Queued | Delivery::Sent => PartState::Sent,
                    Delivery::Delivered => PartState::Delivered,
                    Delivery::Undelivered | Delivery::Failed => PartState::Failed,
                };
                if part.state != state {
                    part.state = state;
                    part.updated = cx.now.wall;
                    cx.put(Op::PutPart(part.clone()));
                }
            }
        }
        out.row.updated = cx.now.wall;
        cx.put(Op::PutMessage(out.row.clone()));
        let timer = TimerKey::Told(self.id.clone(), id.clone());
        match out.row.status {
            MessageStatus::Sent => cx.timers.set(timer, cx.now.mono + TOLD),
            MessageStatus::Delivered | MessageStatus::Undelivered | MessageStatus::Failed => {
                cx.timers.cancel(&timer);
                self.forget_post(id);
            }
            MessageStatus::Sending
            | MessageStatus::Queued
            | MessageStatus::Unknown
            | MessageStatus::Received => cx.timers.set(timer, cx.now.mono + QUEUED_THERE),
        }
    }

    /// Nothing was heard of a text for long: it counts as sent.
    pub(super) fn told_enough(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        if let Some(out) = self.outgoing.get_mut(id)
            && out.row.status == MessageStatus::Sending
        {
            out.row.status = MessageStatus::Sent;
            out.row.note = Some("the upstream took it, and told nothing more".to_owned());
            out.row.updated = cx.now.wall;
            cx.put(Op::PutMessage(out.row.clone()));
        }
        self.forget_post(id);
    }

    fn forget_post(&mut self, id: &MessageId) {
        if let Some(sid) = self.outgoing.remove(id).and_then(|out| out.row.carriage.sid) {
            self.by_sid.remove(&sid);
        }
    }
}

/// As messages have it. What the upstream has and has not sent on is on its way.
fn outcome(status: Delivery) -> MessageStatus {
    match status {
        Delivery::Queued => MessageStatus::Sending,
        Delivery::Sent => MessageStatus::Sent,
        Delivery::Delivered => MessageStatus::Delivered,
        Delivery::Undelivered => MessageStatus::Undelivered,
        Delivery::Failed => MessageStatus::Failed,
    }
}
