//! Scenarios: an engine on one end, a scripted modem on the other, one virtual clock.

mod bench;
mod bringup;
mod properties;
mod receiving;
mod recovery;
mod sending;
