//! (room)

pub mod pdu;
pub mod segments;
pub mod liquid;
