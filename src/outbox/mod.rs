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
