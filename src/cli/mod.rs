//! (room)

pub mod flow;
pub mod liquid;
pub mod pdu;
pub mod segments;
