//! One order on its way to the dealer.

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
    /// The outcome of a post is not known: to be looked for, not before.
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
    /// Tries in a row that reached nobody: drives the back-off.
    pub failures: u32,
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

impl Order {
    /// One step.
    pub fn handle(&mut self, _input: OrderInput, _now: Now, _policy: &OrderPolicy) -> Option<OrderAction> {
        unimplemented!()
    }

    /// When [`OrderInput::Due`] is wanted.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        unimplemented!()
    }
}
