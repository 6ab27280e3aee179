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

/// A setting about one capability of a dealer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// What the dealer says or shows; not supported until he does.
    #[default]
    Auto,
    /// Supported, whatever the dealer says.
    Yes,
    /// Not to be relied on, whatever the dealer says.
    No,
}

impl Support {
    fn merged(self, seen: bool) -> bool {
        match self {
            Self::Auto => seen,
            Self::Yes => true,
            Self::No => false,
        }
    }
}

impl Capabilities {
    /// What is relied on: the settings, and where they say `auto` what the dealer said when he was probed.
    /// `reference_shown` is true once an order in somebody's transactions came back with one of our references;
    /// an order's mere absence shows nothing, so nothing shown ever switches a capability off. That a dealer
    /// honours `Idempotency-Key` cannot be seen from outside: only he or the setting can say so.
    #[must_use]
    pub fn merged(
        idempotency_key: Support,
        client_reference: Support,
        probed: Option<Self>,
        reference_shown: bool,
    ) -> Self {
        let said = probed.unwrap_or_default();
        Self {
            idempotency_key: idempotency_key.merged(said.idempotency_key),
            client_reference: client_reference.merged(said.client_reference || reference_shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_outweighs_what_the_dealer_says_and_silence_is_no_support() {
        let keyed = Capabilities { idempotency_key: true, client_reference: false };
        let said = Some(keyed);
        let both = |i, r, said, shown| Capabilities::merged(i, r, said, shown);
        assert_eq!(both(Support::Auto, Support::Auto, None, false), Capabilities::default());
        assert_eq!(both(Support::Auto, Support::Auto, said, false), keyed);
        assert_eq!(
            both(Support::No, Support::Yes, said, false),
            Capabilities { idempotency_key: false, client_reference: true }
        );
        assert!(both(Support::Auto, Support::Auto, None, true).client_reference);
        assert!(!both(Support::Auto, Support::No, None, true).client_reference);
        assert!(!both(Support::Auto, Support::Auto, None, true).idempotency_key);
    }
}
