//! (room)

pub mod liquid;
