//! Scenarios of a line.
