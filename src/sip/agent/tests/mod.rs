//! The agent on a simulated clock and network.

mod calls;
mod lines;
mod storm;
mod torture;
mod world;
