//! What must leave exactly once: attempts, back-off, `unknown`, settlement by report or look-up. Pure: decides,
//! never sends.

mod order;

pub use order::{
    CONFLICTS_MOST, LOST, Order, OrderAction, OrderInput, OrderPolicy, OrderState, RETRY_AFTER_MOST,
};
