//! HTTP of this box: the webhooks of an upstream and the files that it fetches, where `[web] listen` says so, and in builds that have it the
//! demonstration's page. Without `[web] listen` the box listens on no HTTP port.

#[cfg(feature = "demo")]
pub mod demo;
mod files;
pub mod hooks;
mod wire;
