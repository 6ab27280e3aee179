//! Widgets, a file each.
