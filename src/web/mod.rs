//! Pages and HTTP of this box. Today there is one page, the demonstration's, in builds that have it; the box itself
//! listens on no port.

#[cfg(feature = "demo")]
pub mod demo;
