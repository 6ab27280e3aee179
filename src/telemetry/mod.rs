//! Tracing set-up: to the journal as plain lines (systemd adds the time), to a terminal with time. Personal data is
//! kept out above DEBUG by the types that carry it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `level` is a filter as `RUST_LOG` takes it; the variable wins. A second call changes nothing.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    // Err: somebody set it up before, as tests do.
    let _already = if journal {
        builder.without_time().with_ansi(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}
