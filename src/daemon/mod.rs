//! The daemon: one loop that never waits for the disk, start and shutdown in order, supervision of the edges, health.

pub mod clock;
pub mod core;
mod turns;

pub use turns::{Ends, LoopCounters, Request, Stopped, Turns};
