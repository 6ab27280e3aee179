//! (room)

pub mod pdu;
pub mod segments;
