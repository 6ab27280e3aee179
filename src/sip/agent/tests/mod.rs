//! The agent on a simulated clock and network.

mod calls;
mod dialled;
mod hostile;
mod lines;
mod load;
mod offered;
mod page;
mod script;
mod storm;
mod talking;
mod torture;
mod world;
