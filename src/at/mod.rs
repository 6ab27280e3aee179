//! The modem engine, pure: bytes and time in, bytes and events out. Owns the AT conversation of one modem with one
//! SIM: bring-up from an unknown state, receiving, sending, the SIM's PIN, registration, and the way back from a
//! hang. Hands PDUs over as hex; [`pdu`] reads them. Deliberately absent: ports, clocks, retries of a text (the
//! outbox decides), and any knowledge of what a text says.
//!
//! All cores have the same verbs: `handle_*(input, now)`, then `poll_transmit`, `poll_event`, `poll_timeout`.

pub mod pdu;

mod bringup;
mod command;
mod digest;
mod engine;
mod inbox;
mod ladder;
mod phase;
mod probe;
mod ready;
mod refusal;
mod reply;
mod settings;
mod stores;
#[cfg(test)]
mod tests;

pub use engine::{Counters, Engine, Event};
pub use probe::{Probe, Verdict};
pub use settings::{Pin, PinError, SettingError, Settings, SimPin};
