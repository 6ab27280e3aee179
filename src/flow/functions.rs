//! The natively built functions.
