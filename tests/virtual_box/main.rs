//! The virtual box: whole conversations through the real loop, core and store, on simulated edges and a simulated
//! clock. One binary, so that it links once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness that cannot go on fails its test")]

mod blocked;
mod calls;
mod cloud;
mod consent;
mod consents_told;
mod conversations;
mod dealer_sim;
mod enclosing;
mod events;
mod harness;
mod hostile;
mod properties;
mod stories;
mod upstream;
mod upstream_sim;
mod webhooks;
