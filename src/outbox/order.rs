//! One order on its way to the dealer, so that he gets it once.
//!
//! A post whose outcome is not known is the hard case. Where the dealer honours `Idempotency-Key` the same key is
//! sent again; where his orders carry `client_reference` the order is looked for and posted again only when it is
//! not there; where he supports neither, the order is [`OrderState::Unknown`], which only staff can re-open.
//!
//! Deliberately absent: HTTP and its judgement (`dealer`), the texts that tell the customer (`flow`), rows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::types::{Capabilities, LookUpResult, Mono, Now, OrderId, OrderKind, PlaceResult};

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// To be posted, not before.
    Queued {
        /// In this boot.
        not_before: Mono,
    },
    /// Posted (the row said so first), no answer yet.
    Handed {
        /// In this boot.
        since: Mono,
    },
    /// The outcome of a post is not known: to be looked for (or sent again under its key), not before.
    LookUpDue {
        /// In this boot.
        not_before: Mono,
    },
    /// Being looked for.
    LookingUp {
        /// In this boot.
        since: Mono,
    },
    /// The dealer has it: his answer.
    Confirmed(Map<String, Value>),
    /// The dealer will not have it.
    Refused {
        /// HTTP status.
        status: u16,
        /// What he said.
        message: String,
    },
    /// Nobody can tell: for the staff; never sent again by itself.
    Unknown {
        /// Why.
        why: String,
    },
}

/// An order and all that is needed to bring it to an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Travels as Idempotency-Key and `client_reference`.
    pub id: OrderId,
    /// Endpoint.
    pub kind: OrderKind,
    /// Whose transactions to look in.
    pub customer_id: String,
    /// What is posted.
    pub body: Map<String, Value>,
    /// Where it stands.
    pub state: OrderState,
    /// Posts so far.
    pub attempts: u32,
    /// Tries in a row that got nowhere (nobody reached, or an outcome that is not known): drives the back-off.
    pub failures: u32,
    /// True while the outcome of some post is not known and no look-up has shown that it was lost.
    #[serde(default)]
    pub in_doubt: bool,
    /// Before this (in this boot) nothing hurries it: the dealer asked for a pause, or may still be writing.
    #[serde(default)]
    pub hold_until: Mono,
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderInput {
    /// Its time has come ([`Order::due`]).
    Due,
    /// The post was answered, or was not.
    Placed(PlaceResult),
    /// The look-up was.
    LookedUp(LookUpResult),
    /// The daemon started: what was under way is not any more, and times of another boot mean nothing.
    Restarted,
    /// The dealer answered somebody after he was away: what only waits for its next try need not wait longer.
    Reached,
    /// Staff say: send it (again), on their responsibility.
    Resend,
}

/// What is to be done now; the order's row is committed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderAction {
    /// Post it.
    Post,
    /// Look for it.
    LookUp,
    /// It came to an end: tell the execution or the customer, or the staff when unknown.
    Settled,
}

/// A handed post or look-up that nobody answered for this long is taken as unanswered: the edge's own time-outs
/// are far shorter, so it has died.
pub const LOST: Duration = Duration::from_secs(600);

/// `Retry-After` is honoured up to this: a proxy that says a week must not hold a customer's order.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(3600);

/// Posts under one `Idempotency-Key` that may be answered 409 (the first one is still being worked on) before
/// staff are asked.
pub const CONFLICTS_MOST: u32 = 8;

/// The owner's settings about orders, and what is known of the dealer.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderPolicy {
    /// What the dealer supports.
    pub capabilities: Capabilities,
    /// First pause after a failure, default 2 s; doubles.
    pub backoff_first: Duration,
    /// Longest pause, default 300 s.
    pub backoff_most: Duration,
    /// How long after an unknown outcome it is first looked for, default 5 s: a slow dealer may still be writing.
    pub settle: Duration,
}

impl Default for OrderPolicy {
    fn default() -> Self {
        Self {
            capabilities: Capabilities::default(),
            backoff_first: Duration::from_secs(2),
            backoff_most: Duration::from_secs(300),
            settle: Duration::from_secs(5),
        }
    }
}

impl Order {
    /// A new order, due at once.
    #[must_use]
    pub fn new(
        id: OrderId,
        kind: OrderKind,
        customer_id: String,
        body: Map<String, Value>,
        now: Now,
    ) -> Self {
        let state = OrderState::Queued { not_before: now.mono };
        Self {
            id,
            kind,
            customer_id,
            body,
            state,
            attempts: 0,
            failures: 0,
            in_doubt: false,
            hold_until: Mono(0),
        }
    }

    /// True when it came to an end; only [`OrderInput::Resend`] moves it then.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(
            self.state,
            OrderState::Confirmed(_) | OrderState::Refused { .. } | OrderState::Unknown { .. }
        )
    }

    /// One step. An input that does not fit the state (a late answer, an early timer) changes nothing.
    pub fn handle(&mut self, input: OrderInput, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        match input {
            OrderInput::Due => self.handle_due(now, policy),
            OrderInput::Placed(result) => self.handle_placed(result, now, policy),
            OrderInput::LookedUp(result) => self.handle_looked_up(result, now, policy),
            OrderInput::Restarted => self.handle_restarted(now, policy),
            OrderInput::Reached => self.handle_reached(now, policy),
            OrderInput::Resend => self.handle_resend(now),
        }
    }

    /// When [`OrderInput::Due`] is wanted; `None` when settled.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        match &self.state {
            OrderState::Queued { not_before } | OrderState::LookUpDue { not_before } => Some(*not_before),
            OrderState::Handed { since } | OrderState::LookingUp { since } => Some(*since + LOST),
            OrderState::Confirmed(_) | OrderState::Refused { .. } | OrderState::Unknown { .. } => None,
        }
    }

    fn handle_due(&mut self, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        if self.due().is_none_or(|due| now.mono < due) {
            return None;
        }
        match &self.state {
            OrderState::Queued { .. } => Some(self.post(now)),
            // What is known of the dealer may have changed since the look-up was planned.
            OrderState::LookUpDue { .. } if policy.capabilities.idempotency_key => Some(self.post(now)),
            OrderState::LookUpDue { .. } if policy.capabilities.client_reference => {
                self.state = OrderState::LookingUp { since: now.mono };
                Some(OrderAction::LookUp)
            }
            OrderState::LookUpDue { .. } => Some(
                self.settle_unknown("its outcome is not known, and the dealer cannot be asked".to_owned()),
            ),
            OrderState::Handed { .. } => self.outcome_unknown("the post was never answered", now, policy),
            OrderState::LookingUp { .. } => self.look_again(now, policy),
            OrderState::Confirmed(_) | OrderState::Refused { .. } | OrderState::Unknown { .. } => None,
        }
    }

    fn handle_placed(&mut self, result: PlaceResult, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        if self.is_settled() {
            return None;
        }
        let handed = matches!(self.state, OrderState::Handed { .. });
        match result {
            // True whenever it is heard, also late.
            PlaceResult::Confirmed(answer) => Some(self.settle(OrderState::Confirmed(answer))),
            PlaceResult::Refused { status: 409, .. }
                if handed && policy.capabilities.idempotency_key && self.attempts > 1 =>
            {
                if self.attempts >= CONFLICTS_MOST {
                    let why = format!("the dealer answers 409 to its key, {} times", self.attempts);
                    return Some(self.settle_unknown(why));
                }
                self.outcome_unknown("the dealer says 409 to a repeated key", now, policy)
            }
            PlaceResult::Refused { status, message } if handed => {
                Some(self.settle(OrderState::Refused { status, message }))
            }
            PlaceResult::NotSent { retry_after, .. } if handed => {
                self.failures = self.failures.saturating_add(1);
                let asked = retry_after.map(|s| Duration::from_secs(u64::from(s)).min(RETRY_AFTER_MOST));
                self.hold_until = self.hold_until.max(now.mono + asked.unwrap_or_default());
                let not_before = self.hold_until.max(now.mono + self.backoff(policy));
                self.state = if self.in_doubt {
                    OrderState::LookUpDue { not_before }
                } else {
                    OrderState::Queued { not_before }
                };
                None
            }
            PlaceResult::Unknown { why } if handed => self.outcome_unknown(&why, now, policy),
            PlaceResult::Refused { .. } | PlaceResult::NotSent { .. } | PlaceResult::Unknown { .. } => None,
        }
    }

    fn handle_looked_up(
        &mut self,
        result: LookUpResult,
        now: Now,
        policy: &OrderPolicy,
    ) -> Option<OrderAction> {
        if self.is_settled() {
            return None;
        }
        let asked = matches!(self.state, OrderState::LookingUp { .. });
        match result {
            LookUpResult::Found(answer) => Some(self.settle(OrderState::Confirmed(answer))),
            LookUpResult::Absent if asked => {
                self.in_doubt = false;
                Some(self.post(now))
            }
            LookUpResult::NotSupported if asked => {
                let why = "its outcome is not known, and the dealer's orders show no references".to_owned();
                Some(self.settle_unknown(why))
            }
            LookUpResult::Unreachable { .. } if asked => self.look_again(now, policy),
            LookUpResult::Absent | LookUpResult::NotSupported | LookUpResult::Unreachable { .. } => None,
        }
    }

    fn handle_restarted(&mut self, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        self.hold_until = Mono(0);
        match &self.state {
            OrderState::Queued { .. } => {
                self.state = OrderState::Queued { not_before: now.mono };
                None
            }
            OrderState::Handed { .. } => {
                self.outcome_unknown("the box went down while the post was under way", now, policy)
            }
            // A post from before may still be on its way through the dealer: he gets the whole pause again.
            OrderState::LookUpDue { .. } | OrderState::LookingUp { .. } => {
                self.hold_until = now.mono + policy.settle;
                self.state = OrderState::LookUpDue { not_before: self.hold_until };
                None
            }
            OrderState::Confirmed(_) | OrderState::Refused { .. } | OrderState::Unknown { .. } => None,
        }
    }

    fn handle_reached(&mut self, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        match &mut self.state {
            OrderState::Queued { not_before } | OrderState::LookUpDue { not_before } => {
                *not_before = self.hold_until.max(now.mono).min(*not_before);
                self.handle_due(now, policy)
            }
            OrderState::Handed { .. }
            | OrderState::LookingUp { .. }
            | OrderState::Confirmed(_)
            | OrderState::Refused { .. }
            | OrderState::Unknown { .. } => None,
        }
    }

    fn handle_resend(&mut self, now: Now) -> Option<OrderAction> {
        match &self.state {
            OrderState::Queued { .. }
            | OrderState::LookUpDue { .. }
            | OrderState::Refused { .. }
            | OrderState::Unknown { .. } => {
                self.in_doubt = false;
                Some(self.post(now))
            }
            // Under way, or with the dealer already.
            OrderState::Handed { .. } | OrderState::LookingUp { .. } | OrderState::Confirmed(_) => None,
        }
    }

    fn post(&mut self, now: Now) -> OrderAction {
        self.state = OrderState::Handed { since: now.mono };
        self.attempts = self.attempts.saturating_add(1);
        OrderAction::Post
    }

    fn outcome_unknown(&mut self, why: &str, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        self.failures = self.failures.saturating_add(1);
        self.in_doubt = true;
        match policy.capabilities {
            Capabilities { idempotency_key: true, .. } => {}
            Capabilities { client_reference: true, .. } => self.hold_until = now.mono + policy.settle,
            Capabilities { idempotency_key: false, client_reference: false } => {
                return Some(self.settle_unknown(why.to_owned()));
            }
        }
        let not_before = self.hold_until.max(now.mono + self.backoff(policy));
        self.state = OrderState::LookUpDue { not_before };
        None
    }

    fn look_again(&mut self, now: Now, policy: &OrderPolicy) -> Option<OrderAction> {
        self.failures = self.failures.saturating_add(1);
        self.state = OrderState::LookUpDue { not_before: now.mono + self.backoff(policy) };
        None
    }

    fn settle_unknown(&mut self, why: String) -> OrderAction {
        self.settle(OrderState::Unknown { why })
    }

    fn settle(&mut self, state: OrderState) -> OrderAction {
        self.state = state;
        OrderAction::Settled
    }

    /// Doubles with each failure up to the longest, then cut by up to half: orders that failed together do not
    /// come back together. The cut is a hash of id and failure, so that a replay pauses as long.
    fn backoff(&self, policy: &OrderPolicy) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(31);
        let whole = policy.backoff_first.saturating_mul(1 << doublings).min(policy.backoff_most);
        let hash = super::hash(self.id.as_str(), self.failures);
        // 512/1024 to 1024/1024 of the whole.
        whole.saturating_mul(512 + hash % 513) / 1024
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
