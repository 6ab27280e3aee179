//! Sound on sockets: RTP ports, relays, prompts. Owns every join; has a thread of its own, so that no call control
//! and no disk delays a packet. Implements [`crate::types::MediaPorts`] for who signals, and takes
//! [`crate::types::MediaCommand`] from the loop.
//!
//! `handle` is what others call; `orders` is how it talks to the thread, `worker`. A packet is received by a leg's
//! `line`, believed and counted by its `ear`, put by `leg` on the way that `plan` found, and leaves through the other
//! leg's `mouth`. Between legs with a codec in common nothing is decoded, copied, locked or allocated: receive,
//! patch twelve bytes, send. `sources` makes what the box itself says. Deliberately absent: SDP, who may hear whom,
//! conferences and recordings.

mod ear;
mod facts;
mod handle;
mod leg;
mod line;
mod mouth;
mod orders;
mod plan;
mod ports;
mod prompt;
mod report;
mod sources;
mod worker;

pub use facts::MediaCounters;
pub use handle::{Media, MediaConfig, MediaError};
pub use prompt::{Prompt, PromptError};

pub use crate::rtp::tones::Region;

pub mod sentences;

use crate::types::{LegEvent, LegId, MediaEvent};

#[cfg(test)]
mod tests;

/// What the edge reports to the loop.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaReport {
    /// Of a leg: a key that was pressed, silence.
    Leg(LegId, LegEvent),
    /// Of a prompt.
    Media(MediaEvent),
}
