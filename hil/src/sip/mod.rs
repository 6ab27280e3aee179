//! SIP as the far sides of the box speak it: messages, addresses, digest, SDP, transports and transactions.
//!
//! Written apart from the box's own SIP, from the RFCs: a mistake must not hide by being made twice. Text stays
//! text here (a header is a name and a value), because a simulator must also be able to say what is wrong.
//!
//! Absent: TLS, DNS, strict routing (RFC 2543).

pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod message;
pub mod network;
pub mod sdp;
mod transport;
pub mod uri;

pub use dialog::Dialog;
pub use endpoint::{Arrived, Endpoint, Heard, Responses, Served, Timers};
pub use message::{Malformed, Message, Start};
pub use network::{Network, Path};
pub use sdp::Sdp;
pub use transport::{Peer, Protocol};
pub use uri::{NameAddr, Uri};

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A task that died must not take the simulator with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that differs from run to run and from call to call; good enough for simulators, no secret.
pub(crate) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A word for branches, tags and Call-IDs.
pub(crate) fn token() -> String {
    format!("{:016x}", chance())
}

/// What a status is called, RFC 3261 §21.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        _ => "Unnamed",
    }
}
