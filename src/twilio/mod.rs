//! Twilio, or a carrier that speaks as Twilio does, as the upstream of a number: the one room that knows its REST.
//! A line of this kind takes and brings texts whole ([`crate::types::LineCommand::Post`],
//! [`crate::types::LineEvent::Text`]). The box needs no public address: it polls; where there is one, webhooks come as
//! well, and the text's sid keeps the two from being told twice.

mod ask;
mod chance;
mod check;
mod client;
mod consents;
pub mod content;
pub mod desk;
mod driver;
pub mod fields;
pub mod files;
mod line;
mod posting;
mod private;
mod reading;
pub mod recordings;
mod rest;
pub mod setup;
pub mod signature;
pub mod studio;
mod sweep;
mod track;
pub mod usage;
pub mod webhook;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod tests;

pub use check::{Finding, check};
pub use client::{Answer, ApiError, Client, Download, DownloadError, Product, RequestError, base};
pub use consents::{Bulk, BulkItem};
pub use driver::run;
pub use rest::{Listing, Message, MessagePage, OwnedNumber, address, plain, post_result, status_url};
