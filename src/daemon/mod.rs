//! The daemon: one loop that never waits for the disk, start and shutdown in order, supervision of the edges, health.

mod calls;
pub mod calls_setup;
pub mod clock;
pub mod control;
pub mod core;
mod front;
mod heap;
mod memory;
mod run;
mod supervise;
mod telephony;
mod turns;
mod voicemail;

pub use calls::{CallEnds, TrunkLife};
pub use front::{Front, Handle, NotDone, Serving};
pub use run::{RunError, modem_config, run};
pub use turns::{Ends, LoopCounters, Request, Stopped, Turns};
