//! Simulators for Backroom: the far sides that a shop's box talks to, on loopback and without hardware.
//!
//! Nothing here depends on `backroom`: AT, PDU, SIP, RTP and HTTP are spoken by codecs of its own, so that a mistake
//! cannot hide by being made twice.

#![forbid(unsafe_code)]

pub mod bench;
pub mod beside;
pub mod dealer;
pub mod emergency;
mod lines;
pub mod modem;
mod percent;
pub mod phone;
mod program;
pub mod rtp;
mod serve;
pub mod sip;
pub mod sipp;
pub mod text;
pub mod trunk;
pub mod twilio;
pub mod ua;
