//! The dealer's API, as an edge: commands in, events out. Owns HTTP, TLS, time-outs and the judgement whether an
//! answer is one (a captive portal's 200 HTML is not a profile). Knows no cache, no retry and no order's
//! history: `cache` and `outbox` decide, the daemon asks. The contract is `openapi.yaml` beside this file.
//!
//! [`run`] is the whole edge. Each shop has lanes of its own, so that one shop's dead dealer does not hold up
//! another's; what finds its lane's queue full is refused at once rather than kept.

mod answer;
mod client;
mod contract;
mod lane;
#[cfg(test)]
mod tests;

pub use contract::shows_references;
pub use lane::run;

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value};

use crate::types::{OrderId, OrderKind, PhoneNumber, ShopId, is_this_machine};

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
        /// False when he did not answer: what was known before stays known.
        reached: bool,
        /// `None`: the dealer does not say.
        capabilities: Option<crate::types::Capabilities>,
        /// Phone numbers of the customers as the dealer writes them, where he lists them.
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
    /// True when `http://` is allowed for a host that is not this machine: token and customers then travel in
    /// the clear.
    pub plain_http: bool,
    /// `http://proxy.example:3128`. The environment's proxies are never used.
    pub proxy: Option<String>,
    /// Connect, default 5 s.
    pub connect: Duration,
    /// Whole answer of a GET, default 30 s (the customer is answered from the cache long before).
    pub total: Duration,
    /// Whole answer of a POST, default 30 s. Keep it far below the outbox's `LOST`, 600 s.
    pub order: Duration,
    /// Largest answer that is read in bytes, default 4 MiB.
    pub max_body: usize,
    /// GETs at a time, default 8.
    pub reads: usize,
    /// POSTs at a time, default 2.
    pub writes: usize,
}

/// Without the token, and without what may be hidden in the proxy's address.
impl fmt::Debug for DealerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DealerConfig")
            .field("shop", &self.shop)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl DealerConfig {
    /// The defaults for this dealer.
    #[must_use]
    pub fn new(shop: ShopId, url: String, token: String) -> Self {
        Self {
            shop,
            url,
            token,
            plain_http: false,
            proxy: None,
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            order: Duration::from_secs(30),
            max_body: 4 * 1024 * 1024,
            reads: 8,
            writes: 2,
        }
    }

    /// The base URL, read.
    ///
    /// # Errors
    /// What is wrong with it and what to write, for `backroom check`.
    pub fn check(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url).map_err(|why| format!("the dealer's URL cannot be read: {why}"))?;
        let Some(host) = url.host_str() else {
            return Err("the dealer's URL has no host".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the dealer's URL has a user in it; the token has its own setting".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() || self.url.ends_with('/') {
            return Err("the dealer's URL must end before the slash of /api".to_owned());
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_this_machine(host) || self.plain_http => Ok(url),
            "http" => {
                Err("the dealer's URL is http: the token would travel in the clear; write https, or set \
                           plain_http = true"
                    .to_owned())
            }
            other => Err(format!("the dealer's URL begins with {other}:, not https:")),
        }
    }
}

/// Where a customer's profile is, with all that the contract can include.
#[must_use]
pub fn profile_path(phone: &PhoneNumber) -> String {
    let phone = segment(phone.as_str());
    format!("/api/customers/by-phone/{phone}?include=equipment,addresses,resources,parts")
}

/// Where a customer's transactions are. `include`: `service_orders,parts_orders,invoices` or some of them.
#[must_use]
pub fn transactions_path(customer_id: &str, include: &str) -> String {
    format!("/api/customers/{}/transactions?include={include}", segment(customer_id))
}

/// One segment of a path: all but unreserved characters escaped (RFC 3986 §2.3).
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte))
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
