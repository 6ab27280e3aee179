//! Sound on sockets: RTP ports, relays, prompts. Owns every join; has threads of its own, so that no call control
//! and no disk delays a packet. Implements [`crate::types::MediaPorts`] for who signals, and takes
//! [`crate::types::MediaCommand`] from the loop.

pub mod sentences;

use crate::types::{LegEvent, LegId, MediaEvent};

/// What the edge reports to the loop.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaReport {
    /// Of a leg: a key that was pressed, silence.
    Leg(LegId, LegEvent),
    /// Of a prompt.
    Media(MediaEvent),
}
