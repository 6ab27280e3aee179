//! The virtual box: whole conversations through the real loop, core and store, on simulated edges and a simulated
//! clock. One binary, so that it links once.

mod conversations;
mod harness;
mod properties;
