//! How a simulator ends as a program: when it is asked to, and with what word and exit code.

use serde_json::json;
use std::io;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, from the moment it is made on.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// # Errors
    /// The signals cannot be had.
    pub(crate) fn new() -> io::Result<Stop> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when either has come.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The reason goes where a shell user and a test harness both look: the last line of output.
pub(crate) fn ended(result: Result<(), impl ToString>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", json!({"ready": false, "error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}
