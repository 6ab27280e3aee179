//! Ids. All are newtypes over text, so that one cannot be handed in another's place, and all are derived from
//! what they belong to (a crash and a replay make the same id again), never drawn at random inside a core.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id! {
    /// A shop as the configuration names it: `main`.
    ShopId
}
id! {
    /// A line as the configuration names it: `sim1`.
    LineId
}
id! {
    /// `CH` and 32 hex digits: shop and person, across lines and channels.
    ConversationId
}
id! {
    /// `SM` and 32 hex digits, as Twilio's MessageSid.
    MessageId
}
id! {
    /// `FN` and 32 hex digits, as Studio's Execution SID.
    ExecutionSid
}
id! {
    /// `OR` and 32 hex digits; travels to the dealer as Idempotency-Key and `client_reference`.
    OrderId
}
id! {
    /// `CA` and 32 hex digits, as Twilio's CallSid.
    CallId
}
id! {
    /// One side of a call: `LG` and 32 hex digits when call control dials it, the edge's own text when it is offered.
    LegId
}
id! {
    /// A phone of the shop as the settings name it: `desk-front`.
    DeviceId
}
id! {
    /// A recorded or spoken prompt: `nobody`, `hold-music`.
    PromptId
}

/// One PDU of a message: the unit that a modem sends, reports on and may lose. `SM…/2` is the second part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartId {
    /// The message that it is a part of.
    pub message: MessageId,
    /// From 1, as in the concatenation header (3GPP TS 23.040 §9.2.3.24.1).
    pub number: u8,
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.message, self.number)
    }
}

/// 128 random bits drawn by the shell for each event; every id that the event gives rise to is derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u128);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// `prefix` and 32 hex digits of SHA-256 over the parts, each closed by a zero byte: the same parts always make
/// the same sid.
#[must_use]
pub fn derive_sid(prefix: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let mut sid = String::with_capacity(prefix.len() + 32);
    sid.push_str(prefix);
    for byte in digest.iter().take(16) {
        sid.push_str(&format!("{byte:02x}"));
    }
    sid
}
