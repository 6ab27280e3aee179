//! (room)

pub mod flow;
pub mod liquid;
