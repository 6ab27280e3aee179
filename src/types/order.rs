//! Orders as the dealer's contract knows them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which endpoint an order goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// `POST /api/service-orders`.
    Service,
    /// `POST /api/parts-orders`.
    Parts,
}

impl OrderKind {
    /// As stored and logged: `service`, `parts`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Parts => "parts",
        }
    }
}

/// How a POST of an order went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceResult {
    /// 2xx with an order id.
    Confirmed(Map<String, Value>),
    /// 4xx: the dealer will not have it. Never sent again.
    Refused {
        /// HTTP status.
        status: u16,
        /// What the dealer said, cut to 500 characters.
        message: String,
    },
    /// It certainly did not arrive (no connection, 429): safe to send again, not before `retry_after` seconds.
    NotSent {
        /// For the log.
        why: String,
        /// `Retry-After` in seconds.
        retry_after: Option<u32>,
    },
    /// It may have arrived: time-out after sending, connection lost, 5xx, 2xx nonsense.
    Unknown {
        /// For the log and the staff.
        why: String,
    },
}

/// How a look-up of an order by `client_reference` went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookUpResult {
    /// There it is.
    Found(Map<String, Value>),
    /// The dealer shows references on his orders, and this one is not among them.
    Absent,
    /// The dealer's orders carry no references: nothing can be learnt.
    NotSupported,
    /// No usable answer: ask again later.
    Unreachable {
        /// For the log.
        why: String,
    },
}

/// What a dealer supports beyond the bare contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The same `Idempotency-Key` twice makes one order.
    pub idempotency_key: bool,
    /// Orders in the transactions carry `client_reference`.
    pub client_reference: bool,
}
