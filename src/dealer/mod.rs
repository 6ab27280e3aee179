//! The dealer's API, as an edge: commands in, events out. Owns HTTP, TLS, time-outs and the judgement whether an
//! answer is one (a captive portal's 200 HTML is not a profile). Knows no cache, no retry and no order's
//! history: `cache` and `outbox` decide, the daemon asks. The contract is `openapi.yaml` beside this file.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::types::{OrderId, OrderKind, ShopId};

/// What the daemon asks of the edge. Every command has exactly one event.
#[derive(Clone, Debug, PartialEq)]
pub enum DealerCommand {
    /// GET below the dealer's base URL, with the bearer token.
    Fetch {
        /// Whose dealer.
        shop: ShopId,
        /// Given back in the event.
        id: u64,
        /// `/api/customers/by-phone/%2B12065550101?include=…`.
        path: String,
    },
    /// GET or POST to anybody else (a flow's `make-http-request`): no token.
    Request {
        /// Whose flow.
        shop: ShopId,
        /// Given back in the event.
        id: u64,
        /// `GET` or `POST`.
        method: String,
        /// Whole.
        url: String,
        /// Empty when there is no body.
        content_type: String,
        /// Text.
        body: String,
    },
    /// POST an order, with its id as `Idempotency-Key` and `client_reference`.
    Place {
        /// Whose dealer.
        shop: ShopId,
        /// Which.
        order: OrderId,
        /// Endpoint.
        kind: OrderKind,
        /// Without `client_reference`.
        body: Map<String, Value>,
    },
    /// Look for an order in the customer's transactions by its `client_reference`.
    LookUp {
        /// Whose dealer.
        shop: ShopId,
        /// Which.
        order: OrderId,
        /// Endpoint.
        kind: OrderKind,
        /// Whose transactions.
        customer_id: String,
    },
    /// Learn what the dealer supports and who the customers are, where he tells.
    Probe {
        /// Whose dealer.
        shop: ShopId,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum DealerEvent {
    /// Of [`DealerCommand::Fetch`] and [`DealerCommand::Request`].
    Fetched {
        /// Whose.
        shop: ShopId,
        /// As asked.
        id: u64,
        /// How it went.
        result: FetchResult,
    },
    /// Of [`DealerCommand::Place`].
    Placed {
        /// Whose.
        shop: ShopId,
        /// Which.
        order: OrderId,
        /// How it went.
        result: crate::types::PlaceResult,
    },
    /// Of [`DealerCommand::LookUp`].
    LookedUp {
        /// Whose.
        shop: ShopId,
        /// Which.
        order: OrderId,
        /// How it went.
        result: crate::types::LookUpResult,
    },
    /// Of [`DealerCommand::Probe`].
    Probed {
        /// Whose.
        shop: ShopId,
        /// True when anybody believable answered.
        reached: bool,
        /// `None`: the dealer does not say.
        capabilities: Option<crate::types::Capabilities>,
        /// Phone numbers of the customers, where the dealer lists them.
        customers: Vec<String>,
    },
}

/// How a GET went.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchResult {
    /// A believable answer of any status: for a dealer's URL JSON of the expected shape (2xx) or a JSON or empty
    /// 404; for others anything.
    Answered {
        /// HTTP status.
        status: u16,
        /// Media type, lower case, no parameters.
        content_type: String,
        /// Text.
        body: String,
    },
    /// The dealer answered what cannot be one of his answers: HTML, wrong types, too large, 5xx, bad token.
    Nonsense {
        /// For the log and `doctor`.
        why: String,
    },
    /// Nobody answered in time.
    Unreachable {
        /// For the log and `doctor`.
        why: String,
    },
}

/// How the edge talks to one shop's dealer.
#[derive(Clone)]
pub struct DealerConfig {
    /// Whose.
    pub shop: ShopId,
    /// `https://api.lizzy.example`, no slash at the end.
    pub url: String,
    /// Bearer token; never printed.
    pub token: String,
    /// Connect, default 5 s.
    pub connect: Duration,
    /// Whole answer of a GET, default 30 s (the customer is answered from the cache long before).
    pub total: Duration,
    /// Whole answer of a POST, default 30 s.
    pub order: Duration,
    /// Largest answer that is read, default 4 MiB.
    pub max_body: usize,
}
