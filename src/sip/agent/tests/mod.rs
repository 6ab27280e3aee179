//! The agent on a simulated clock and network.

mod calls;
mod storm;
mod torture;
mod world;
