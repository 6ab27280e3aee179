//! What the loop is told, through its bounded queue. When that is full, what is to be told waits here in order and
//! nothing more is read from the network until the loop has room; commands are still taken, so that a loop which
//! waits to hand one over never waits for itself. Nothing is lost: an end that nobody hears of is a call that never ends.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::types::{LegEvent, LegId, Via};

use super::TrunkEvent;

/// The way to the loop.
pub(super) struct Events {
    to: mpsc::Sender<TrunkEvent>,
    waiting: VecDeque<TrunkEvent>,
}

impl Events {
    pub(super) fn new(to: mpsc::Sender<TrunkEvent>) -> Self {
        Self { to, waiting: VecDeque::new() }
    }

    /// Tells the loop, at once or when it has room.
    pub(super) fn push(&mut self, event: TrunkEvent) {
        log(&event);
        self.waiting.push_back(event);
        self.flush();
    }

    /// Hands over what there is room for.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let Ok(permit) = self.to.try_reserve() else { return };
            if let Some(event) = self.waiting.pop_front() {
                permit.send(event);
            }
        }
    }

    /// Whether anything waits.
    pub(super) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// One line for each change that somebody looks for afterwards. No numbers, no names of people.
fn log(event: &TrunkEvent) {
    match event {
        TrunkEvent::Leg(leg, event) => log_leg(leg, event),
        TrunkEvent::Line { line, up: true, why } => tracing::info!(%line, why, "trunk takes calls"),
        TrunkEvent::Line { line, up: false, why } => tracing::warn!(%line, why, "trunk takes no calls"),
        TrunkEvent::Bindings(device, bindings) => {
            tracing::debug!(%device, contacts = bindings.len(), "phone's contacts");
        }
        TrunkEvent::Alarm(words) => tracing::warn!("{words}"),
    }
}

fn log_leg(leg: &LegId, event: &LegEvent) {
    match event {
        LegEvent::Offered(offer) => match &offer.via {
            Via::Line(line) => tracing::info!(%leg, %line, "leg offered"),
            Via::Device(device) => tracing::info!(%leg, %device, "leg offered"),
        },
        LegEvent::Answered => tracing::info!(%leg, "leg answered"),
        LegEvent::Ended { cause } => tracing::info!(%leg, ?cause, "leg ended"),
        LegEvent::Refused { cause, .. } => tracing::info!(%leg, ?cause, "leg refused"),
        LegEvent::Progress(_)
        | LegEvent::Dtmf { .. }
        | LegEvent::HoldRequested
        | LegEvent::Resumed
        | LegEvent::TransferAsked(_)
        | LegEvent::MediaSilent
        | LegEvent::Media(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_waits_in_order_and_is_never_lost() {
        let (to, mut from) = mpsc::channel(2);
        let mut events = Events::new(to);
        let event = |n: usize| TrunkEvent::Alarm(n.to_string());
        (0..7).for_each(|n| events.push(event(n)));
        assert!(events.is_blocked());
        let mut heard = Vec::new();
        while let Ok(next) = from.try_recv() {
            heard.push(next);
            events.flush();
        }
        assert_eq!(heard, (0..7).map(event).collect::<Vec<_>>());
        assert!(!events.is_blocked());
    }
}
