//! What must leave exactly once: attempts, back-off, `unknown`, settlement by report or look-up. Pure: decides,
//! never sends.

mod event;
mod order;
mod post;

pub use event::{
    ASKED_PAUSE_MOST, DAY, EventAction, EventDelivery, EventInput, EventState, FIRST_PAUSE, HANDED_MOST,
    MOST_PAUSE, REFUSALS_MOST,
};
pub use order::{
    CONFLICTS_MOST, LOST, Order, OrderAction, OrderInput, OrderPolicy, OrderState, RETRY_AFTER_MOST,
};
pub use post::{Look, Pause, PostAction, PostInput, PostPolicy, PostState, Posting};

/// Spreads pauses by what fails and how often it did, so that a replay pauses as long. FNV-1a, 32 bits.
fn hash(id: &str, number: u32) -> u32 {
    let bytes = id.bytes().chain(number.to_le_bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
