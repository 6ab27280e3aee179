//! The shipped flows, as Studio JSON.

/// Friendly name and Studio JSON of each shipped flow.
pub const FLOWS: &[(&str, &str)] = &[];
