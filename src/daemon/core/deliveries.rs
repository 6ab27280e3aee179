//! Where texts that an upstream has stand there. A status goes forward only, whatever the order in which callbacks and
//! polling tell it. One that overtakes the answer to its own post is kept for a while, and applied once the text is known.
//! It is not kept on the disk: after a restart it is asked for.

use std::collections::VecDeque;
use std::time::Duration;

use super::Cx;
use super::shop::Shop;
use super::timers::TimerKey;
use crate::store::{MessageStatus, Op, PartState};
use crate::types::{Delivery, LineId, MessageId, Mono, PostStatus};

/// A text that was sent and of which nothing more is heard for this long counts as sent.
pub(super) const TOLD: Duration = Duration::from_secs(3600);

/// A text that the upstream queued and of which nothing more is heard: longer than its own queues are.
const QUEUED_THERE: Duration = Duration::from_secs(6 * 3600);

/// How long a status of a text that nobody knows is kept: a post may be without its answer for so long.
const EARLY_FOR: Duration = Duration::from_secs(600);

/// How many are kept; the oldest go. More than can overtake: few posts are under way at a time.
const EARLY_MOST: usize = 256;

/// Statuses of texts that nobody knows yet, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<(Mono, LineId, PostStatus)>);

impl Early {
    /// How many were given up for it.
    fn keep(&mut self, now: Mono, line: LineId, told: PostStatus) -> usize {
        let before = self.0.len();
        self.0.retain(|(at, ..)| now.since(*at) < EARLY_FOR);
        while self.0.len() >= EARLY_MOST {
            self.0.pop_front();
        }
        let gone = before - self.0.len();
        self.0.push_back((now, line, told));
        gone
    }

    /// All of one text, in the order in which they came.
    fn take(&mut self, now: Mono, sid: &str) -> Vec<(LineId, PostStatus)> {
        let all = std::mem::take(&mut self.0).into_iter().filter(|(at, ..)| now.since(*at) < EARLY_FOR);
        let (its, others): (Vec<_>, Vec<_>) = all.partition(|(.., told)| told.sid == sid);
        self.0 = others.into();
        its.into_iter().map(|(_, line, told)| (line, told)).collect()
    }
}

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
            if self.sids.has(&told.sid) {
                return self.count("statuses_late");
            }
            self.count("statuses_early");
            let gone = self.early.keep(cx.now.mono, line.clone(), told);
            *self.counters.entry("statuses_of_nothing").or_default() += gone as u64;
            return;
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

    /// A text's id at the upstream is known from now on: what was told of it before.
    pub(super) fn early_statuses(&mut self, cx: &mut Cx<'_>, sid: &str) {
        for (line, told) in self.early.take(cx.now.mono, sid) {
            self.upstream_status(cx, &line, told);
        }
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
        // It may also have been given up, or wait to be sent again.
        if forward || matches!(out.row.status, MessageStatus::Unknown | MessageStatus::Queued) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_that_came_early_are_kept_for_ten_minutes_and_not_without_a_bound() {
        let mut early = Early::default();
        let told =
            |sid: usize, status| PostStatus { sid: format!("SM{sid}"), status, error: None, price: None };
        let line = || LineId::from("twilio");
        let mut gone = 0;
        for sid in 0..EARLY_MOST {
            gone += early.keep(Mono(1_000), line(), told(sid, Delivery::Sent));
        }
        gone += early.keep(Mono(2_000), line(), told(7, Delivery::Delivered));
        assert_eq!((gone, early.0.len()), (1, EARLY_MOST));
        assert_eq!(early.take(Mono(3_000), "SM0"), [], "the oldest went");
        let seventh: Vec<Delivery> =
            early.take(Mono(3_000), "SM7").into_iter().map(|(_, t)| t.status).collect();
        assert_eq!(seventh, [Delivery::Sent, Delivery::Delivered]);
        assert_eq!(early.take(Mono(3_000), "SM7"), [], "each is applied once");
        assert_eq!(early.take(Mono(601_000), "SM9"), [], "nobody's post takes so long");
    }
}
