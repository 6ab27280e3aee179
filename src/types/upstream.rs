//! What passes between the daemon and a line that takes and brings texts whole (Twilio; compatible carriers), where a
//! modem takes PDUs. Names of states are Twilio's, as everything else here that a person sees.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Enclosed, MessageId, Wall};

/// The kind of address that a text is for. A person is one on all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Number to number.
    #[default]
    Sms,
    /// `whatsapp:+12065550142`: free text only within 24 hours of the person's last one, else a template.
    WhatsApp,
}

impl Channel {
    /// `sms` or `whatsapp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::WhatsApp => "whatsapp",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "sms" => Some(Self::Sms),
            "whatsapp" => Some(Self::WhatsApp),
            _ => None,
        }
    }
}

/// A picture or another file of a text, as the upstream names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaLink {
    /// Where it can be fetched with the line's credentials.
    pub url: String,
    /// MIME type as told: `image/jpeg`.
    pub content_type: String,
}

/// A text that is at the upstream. It may be told again, by polling, by a webhook, or by both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamText {
    /// The upstream's id, `SM` or `MM` and 32 hex digits: the only key.
    pub sid: String,
    /// Which kind of address.
    pub channel: Channel,
    /// Sender, without the channel's prefix: a number, a short code or a name.
    pub from: String,
    /// Recipient, without the channel's prefix: one of ours.
    pub to: String,
    /// Text.
    pub body: String,
    /// Files, in order.
    pub media: Vec<MediaLink>,
    /// When the upstream took it, by its clock.
    pub sent: Option<Wall>,
    /// What else was said of it (webhook parameters, also unknown ones), for the flow and the record.
    pub parameters: Map<String, Value>,
}

/// A text to be handed to the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Which.
    pub message: MessageId,
    /// Running number of the try: an answer to another one is not taken.
    pub attempt: u32,
    /// Which kind of address.
    pub channel: Channel,
    /// Recipient, without the channel's prefix.
    pub to: String,
    /// Text; for a template, what it comes to, for the record only.
    pub body: String,
    /// Files to send along, in order.
    pub media: Vec<Enclosed>,
    /// A template of the upstream's in place of the text: `HX...` and its variables.
    pub template: Option<(String, Map<String, Value>)>,
}

/// What became of a [`Post`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostResult {
    /// The upstream has it.
    Accepted {
        /// Its id there.
        sid: String,
        /// Where it stands.
        status: Delivery,
        /// The upstream's clock.
        at: Option<Wall>,
    },
    /// It will not have it; nothing was sent.
    Rejected {
        /// The upstream's error number (21610 ...), when it told one.
        code: Option<u32>,
        /// In words, without numbers of people.
        why: String,
        /// True when the same may be taken later (429, 5xx before it was taken, queue full).
        temporary: bool,
        /// Asked for pause, seconds.
        retry_after: Option<u32>,
    },
    /// It may or may not have it: to be looked for.
    Unknown {
        /// In words.
        why: String,
    },
    /// The request did not leave: sending it again is safe.
    NotTried {
        /// In words.
        why: String,
    },
}

/// One text found at the upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPost {
    /// Its id there.
    pub sid: String,
    /// Where it stands.
    pub status: Delivery,
    /// When the upstream made it, by its clock.
    pub created: Option<Wall>,
    /// Why it failed.
    pub error: Option<u32>,
}

/// What looking for a text in doubt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostsFound {
    /// All with this recipient, body and number of files since then, oldest first; whose each is, the daemon knows.
    These(Vec<FoundPost>),
    /// Nobody could be asked.
    Unreachable {
        /// In words.
        why: String,
    },
}

/// Where an outgoing text stands at the upstream (Twilio's `MessageStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// `accepted`, `queued`, `scheduled`, `sending`: taken and not gone yet.
    Queued,
    /// `sent`: the next carrier took it.
    Sent,
    /// `delivered`; `read` counts as this too.
    Delivered,
    /// `undelivered`.
    Undelivered,
    /// `failed`, `canceled`.
    Failed,
}

impl Delivery {
    /// Reads Twilio's word. `None`: a word that is not known, which changes nothing.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "accepted" | "queued" | "scheduled" | "sending" => Self::Queued,
            "sent" | "partially_delivered" => Self::Sent,
            "delivered" | "read" => Self::Delivered,
            "undelivered" => Self::Undelivered,
            "failed" | "canceled" => Self::Failed,
            _ => return None,
        })
    }

    /// True when nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Undelivered | Self::Failed)
    }
}

/// The upstream says where a text stands, by a callback or because it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostStatus {
    /// Its id there.
    pub sid: String,
    /// Where it stands.
    pub status: Delivery,
    /// Why it failed: the upstream's error number.
    pub error: Option<u32>,
    /// Cost as told, in millionths of the currency's unit, and the currency.
    pub price: Option<(i64, String)>,
}

/// What became of a file that was to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaResult {
    /// Here it is.
    Kept {
        /// MIME type as the server said.
        content_type: String,
        /// The file; bounded by the edge.
        bytes: Vec<u8>,
    },
    /// It cannot be had: gone, too large, refused.
    Gone {
        /// In words.
        why: String,
    },
    /// Not now.
    Later {
        /// In words.
        why: String,
    },
}
