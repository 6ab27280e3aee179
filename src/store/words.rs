//! The words that stand for our enums in the database, in JSON and in the log: a table each, both ways.

use super::{Direction, EventOutState, MediaState, MessageStatus, PartState, ReceivedKind};

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

words!(Direction { In = "in", Out = "out" });

words!(MessageStatus {
    Received = "received",
    Queued = "queued",
    Sending = "sending",
    Sent = "sent",
    Delivered = "delivered",
    Undelivered = "undelivered",
    Failed = "failed",
    Unknown = "unknown",
});

words!(PartState {
    Queued = "queued",
    Handed = "handed",
    Sent = "sent",
    Delivered = "delivered",
    Failed = "failed",
    Unknown = "unknown",
});

words!(MediaState { Wanted = "wanted", Kept = "kept", Gone = "gone", Linked = "linked" });

words!(EventOutState { Waiting = "waiting", Delivered = "delivered", Dead = "dead" });

words!(ReceivedKind { Text = "text", Part = "part", Report = "report", Broken = "broken" });
