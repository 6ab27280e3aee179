//! (room)

pub mod pdu;
pub mod segments;
pub mod flow;
pub mod liquid;
