//! One queue of all timers, each with the name of what it is for.

use crate::store::ConcatKey;
use crate::types::{Deadlines, ExecutionSid, LineId, MessageId, Mono, OrderId, ShopId};

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// A wait of an execution: [`crate::flow::Effect::SetTimer`]. The only kind that has a row.
    Run(ShopId, ExecutionSid, u64),
    /// A look-up at the dealer is slow, or has waited enough.
    Lookup(ShopId, u64),
    /// An order is to be tried again.
    Order(ShopId, OrderId),
    /// A flow has waited enough for an order's outcome.
    OrderWait(ShopId, OrderId),
    /// The missing parts of a text do not come.
    Concat(ShopId, ConcatKey),
    /// A line may be tried again after a temporary refusal.
    Pause(ShopId, LineId),
    /// A line has been down so long that another takes its texts.
    Failover(ShopId, LineId),
    /// A line's pace, or a person's, has room again.
    Pump(ShopId, LineId),
    /// A text at an upstream is to be looked for, or its post was never answered.
    Post(ShopId, MessageId),
    /// Nothing more is heard of a text that the upstream has.
    Told(ShopId, MessageId),
    /// A text may leave from now on.
    NotBefore(ShopId, MessageId),
    /// A file of a text is to be fetched (again).
    Media(ShopId, MessageId, u8),
    /// What is known of who texts how fast can be forgotten.
    Rates(ShopId),
    /// Waits that were held back for late texts may end.
    Grace(ShopId),
    /// Ask the dealer how he is, and fetch what gets old.
    Prefetch(ShopId),
    /// A hand-over to people has been silent for long.
    Relay(ShopId, String),
    /// Business hours begin or end, and days, for calls.
    CallClock(ShopId),
    /// Events of the box's own are to be delivered.
    Events(ShopId),
    /// Consent entries may be old enough to go.
    ConsentAge(ShopId),
    /// An upstream may be told (again) who wants texts.
    Consents(ShopId, LineId),
}

impl TimerKey {
    pub(super) fn shop(&self) -> &ShopId {
        match self {
            Self::Run(shop, ..)
            | Self::Lookup(shop, _)
            | Self::Order(shop, _)
            | Self::OrderWait(shop, _)
            | Self::Concat(shop, _)
            | Self::Pause(shop, _)
            | Self::Failover(shop, _)
            | Self::Pump(shop, _)
            | Self::Post(shop, _)
            | Self::Told(shop, _)
            | Self::NotBefore(shop, _)
            | Self::Media(shop, ..)
            | Self::Rates(shop)
            | Self::Grace(shop)
            | Self::Prefetch(shop)
            | Self::Relay(shop, _)
            | Self::CallClock(shop)
            | Self::Events(shop)
            | Self::Consents(shop, _)
            | Self::ConsentAge(shop) => shop,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Run(..) => "a wait of an execution",
            Self::Lookup(..) => "a look-up at the dealer",
            Self::Order(..) => "an order's next try",
            Self::OrderWait(..) => "an order's outcome",
            Self::Concat(..) => "missing parts of a text",
            Self::Pause(..) => "a line's pause",
            Self::Failover(..) => "a line that is down",
            Self::Pump(..) => "a line's pace",
            Self::Post(..) => "a text in doubt",
            Self::Told(..) => "a text that nothing is heard of",
            Self::NotBefore(..) => "a text's quiet hours",
            Self::Media(..) => "a file of a text",
            Self::Rates(_) => "rates: silence",
            Self::Grace(_) => "late texts after an outage",
            Self::Prefetch(_) => "fetching known customers",
            Self::Relay(..) => "a silent hand-over",
            Self::CallClock(_) => "the hours of calls",
            Self::Events(_) => "events to be delivered",
            Self::ConsentAge(_) => "old consent entries",
            Self::Consents(..) => "consent to be told",
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Timers(Deadlines<TimerKey>);

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, key: TimerKey, deadline: Mono) {
        self.0.set(key, deadline);
    }

    /// Sets a timer that may be set already: the earlier deadline stays.
    pub(super) fn set_earliest(&mut self, key: TimerKey, deadline: Mono) {
        self.0.set_earliest(key, deadline);
    }

    /// Sets a timer that may be set already: the later deadline stays.
    pub(super) fn set_latest(&mut self, key: TimerKey, deadline: Mono) {
        if self.0.get(&key).is_none_or(|old| deadline > old) {
            self.set(key, deadline);
        }
    }

    pub(super) fn is_set(&self, key: &TimerKey) -> bool {
        self.0.get(key).is_some()
    }

    pub(super) fn cancel(&mut self, key: &TimerKey) {
        self.0.cancel(key);
    }

    pub(super) fn take_due(&mut self, now: Mono, most: usize) -> Vec<TimerKey> {
        std::iter::from_fn(|| self.0.take_due(now)).take(most).collect()
    }

    pub(super) fn next(&self) -> Option<(Mono, &'static str)> {
        self.0.next().map(|(deadline, key)| (deadline, key.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_fires_once_at_its_new_time() {
        let mut timers = Timers::default();
        let key = TimerKey::Grace(ShopId::from("a"));
        timers.set(key.clone(), Mono(10));
        timers.set(key.clone(), Mono(20));
        timers.set_earliest(key.clone(), Mono(30));
        assert!(timers.take_due(Mono(15), 9).is_empty());
        assert_eq!(timers.take_due(Mono(25), 9), vec![key.clone()]);
        assert_eq!(timers.next(), None);
    }
}
