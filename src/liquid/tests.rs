//! Behaviour that the flows rely on.
