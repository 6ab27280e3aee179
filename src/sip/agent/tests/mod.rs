//! The agent on a simulated clock and network.

mod calls;
mod torture;
mod world;
