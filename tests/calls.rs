//! Calls with the daemon as people have it: a process of its own between telephones and providers that play tones
//! and say what they hear. What is asserted is what people hear and what the records say afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

#[path = "calls/emergency.rs"]
mod emergency;
#[path = "calls/endings.rs"]
mod endings;
#[path = "calls/lines.rs"]
mod lines;
#[path = "calls/odd.rs"]
mod odd;
#[path = "calls/shop.rs"]
mod shop;
#[path = "calls/talk.rs"]
mod talk;
#[path = "calls/transfer.rs"]
mod transfer;
