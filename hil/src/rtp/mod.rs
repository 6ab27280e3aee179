//! Sound as the far sides of the box send and hear it: RTP, G.711, telephone-event, SRTP, and an ear that says which
//! frequencies are in it. Written apart from the box's own.
//!
//! Absent: RTCP, codecs beyond G.711, concealment of loss (an ear wants to hear that something is missing).

pub mod ear;
pub mod event;
pub mod g711;
pub mod packet;
pub mod sound;
pub mod srtp;
pub mod tone;

pub use event::Key;
pub use g711::Law;
pub use packet::Packet;
pub use sound::{Heard, How, KeyHeard, Remote, Sound};
