//! (room)

pub mod flow;
