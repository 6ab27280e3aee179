//! Delivers the box's own events to the endpoints that the technician configured: signed as Standard Webhooks has it,
//! each with its id as idempotency key. What is to be delivered, when and how often is `outbox`'s to decide.
//!
//! A command is one try, and has exactly one event. No redirection is followed and no proxy is used; a name that leads
//! to an address inside a network is refused (`guard`), an address that the technician wrote himself is not.

mod client;
mod guard;
mod lane;
mod sign;
#[cfg(test)]
mod tests;

pub use lane::run;
pub use sign::signature;

use std::fmt;

use crate::types::{EventAnswer, ShopId, Wall};

/// Deliver one event, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookCommand {
    /// Whose.
    pub shop: ShopId,
    /// The endpoint as the configuration names it.
    pub endpoint: String,
    /// The event's id: `webhook-id` and `Idempotency-Key`.
    pub id: String,
    /// When, for the signature.
    pub at: Wall,
    /// JSON text.
    pub body: String,
    /// A person waits for the answer: it has less time.
    pub test: bool,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Whose.
    pub shop: ShopId,
    /// As asked.
    pub endpoint: String,
    /// As asked.
    pub id: String,
    /// How it went.
    pub answer: EventAnswer,
}

/// How one endpoint is reached.
#[derive(Clone)]
pub struct WebhookConfig {
    /// Whose.
    pub shop: ShopId,
    /// As the configuration names it.
    pub id: String,
    /// Checked by the configuration's reader.
    pub url: String,
    /// What signs; never printed.
    pub key: Vec<u8>,
}

/// Without the key, and without what may be hidden in the URL.
impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("shop", &self.shop)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
