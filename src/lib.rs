//! # Backroom
//!
//! A box in a shop's back room that answers the shop's phone and texts, and goes on answering when the
//! Internet does not.
//!
//! ## One idea: event, core, commit, effects
//! An edge turns bytes into an event with its time. The daemon's one loop hands it to a core that has no
//! clock, no socket and no SQL; the core answers with the new state and a list of effects. State and durable
//! effects are committed in one transaction. Only then do durable effects leave. Nothing flows back except as
//! a new event.
//!
//! ## The map
//! `tests/tidy.rs` reads this table and every `use crate::` edge, and fails when they disagree. If the edge is
//! right, change the table in the same commit: it is a map that is kept true, not a wall.
//!
//! | room | kind | may import |
//! |---|---|---|
//! | types | core | |
//! | config | base | types |
//! | telemetry | base | types |
//! | http | base | types |
//! | at | core | types |
//! | liquid | core | types |
//! | flow | core | types liquid |
//! | messaging | core | types |
//! | outbox | core | types |
//! | cache | core | types |
//! | sip | core | types |
//! | rtp | core | types |
//! | call | core | types |
//! | store | edge | types at flow messaging outbox cache call |
//! | modem | edge | types config telemetry at |
//! | trunk | edge | types config telemetry sip |
//! | media | edge | types config telemetry rtp |
//! | dealer | edge | types config telemetry http |
//! | twilio | edge | types config telemetry http |
//! | webhook | edge | types config telemetry http |
//! | daemon | shell | types config telemetry at liquid flow messaging outbox cache sip call store modem trunk media dealer twilio webhook |
//! | web | edge | types config telemetry twilio store daemon |
//! | cli | shell | types config telemetry at liquid flow messaging outbox cache sip rtp call store modem trunk media dealer twilio webhook daemon web |
//!
//! Kinds: a **core** knows no tokio, socket, SQL, wall clock or randomness; ids and seeds are inputs. A **base**
//! is read by all. An **edge** turns the outside world into events. A **shell** composes.

pub mod at;
pub mod cache;
pub mod call;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dealer;
pub mod flow;
mod http;
pub mod liquid;
pub mod media;
pub mod messaging;
pub mod modem;
pub mod outbox;
pub mod rtp;
pub mod sip;
pub mod store;
pub mod telemetry;
pub mod trunk;
pub mod twilio;
pub mod types;
pub mod web;
pub mod webhook;
