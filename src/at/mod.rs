//! The modem engine, pure: lines in, commands out.

pub mod pdu;
