//! What a phone and a trunk's switch have in common: calls on an endpoint, with sound.
//!
//! ```text
//!  endpoint ── arrived ──> Agent ──┬── in a dialog ──> Call ── description ──> Sound (RTP)
//!                                  └── else ─────────> Event, to the phone or the trunk
//! ```
//! A [`Call`] is a handle: what it asks for is awaited with a limit, and nothing is polled. With its agent gone, it
//! is gone too, as a phone whose plug was pulled: nothing is said to the other end.
//!
//! Absent: early dialogs of more than one fork with sound at once, video, proxies.

mod agent;
mod call;
mod called;
mod caller;
pub mod desk;
pub mod scenario;
mod talk;
pub(crate) mod told;
mod within;

pub use agent::{Agent, Event, Settings};
pub use call::{By, Call, End, Phase, Quirks};
pub use called::Ring;
pub use caller::Outgoing;
pub use talk::Wrong;

use crate::rtp::sound::NotHeard;

/// Why something that was asked of a call, phone or trunk did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no {0} in time")]
    TimedOut(&'static str),
    #[error("{what} was answered {status} {reason}")]
    Refused { what: &'static str, status: u16, reason: String },
    #[error("the call has ended: {0:?}")]
    Ended(End),
    #[error("cannot {0} now")]
    NotNow(&'static str),
    #[error("the phone or trunk of this call is gone")]
    Gone,
    #[error(transparent)]
    NotHeard(#[from] NotHeard),
    #[error("the socket: {0}")]
    Socket(#[from] std::io::Error),
    #[error("{0} is an emergency number: simulators call none and take none unless a scenario says so")]
    Emergency(String),
}
