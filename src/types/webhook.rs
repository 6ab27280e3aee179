//! What passes between the daemon and the edge that tells others of the box's own events.

use serde::{Deserialize, Serialize};

/// What an endpoint made of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventAnswer {
    /// It answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// Asked for pause, seconds.
        retry_after: Option<u32>,
        /// The beginning of what it said, without control characters; for people.
        said: String,
    },
    /// Nobody answered in time, or the connection broke. It may have it.
    NoAnswer {
        /// In words.
        why: String,
    },
    /// The request did not leave.
    NotTried {
        /// In words.
        why: String,
    },
}
