//! SIP (RFC 3261), pure: messages, transactions, dialogs, registrar. Bytes and time in, messages and events out.
//!
//! Start at [`message`] for what a message is, [`wire`] for how bytes become one, [`uri`] for addresses, [`sdp`] for
//! what is agreed about media, [`digest`] for who may, [`transaction`] for what is sent again, [`agent`] for calls,
//! phones and trunks. Knows no socket, clock or chance: time, tags, branches and nonces are inputs.

pub mod agent;
pub mod digest;
mod lex;
pub mod message;
pub mod sdp;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod uri;
pub mod wire;
