//! What calls cost: a UDP relay that does nothing else, as cheap as one can be written, and a generator whose packets
//! carry their send time, so that the very same traffic can run through the relay, the box or a foreign peer.
//!
//! Single-threaded and without tokio on purpose: a runtime between the clock and the socket would be measured too.
//! Absent: judging. `scripts/bench calls` runs these, alternates them and says what is missed.

mod delays;
mod process;
mod relay;
mod signal;
mod sip;
mod stream;

use std::process::ExitCode;

/// `hil bench …`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Relays UDP between pairs of ports: epoll, connected sockets, one packet at a time, no parsing
    Relay(relay::Args),
    /// Sends and receives PCMU on many calls at once and tells delay, loss and the processor time of the one between
    Rtp(stream::Args),
}

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{what}: {why}")]
    Io { what: String, why: std::io::Error },
    #[error("{what}: {why}")]
    Call { what: String, why: String },
}

impl Failed {
    fn io<E: Into<std::io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        |why| Self::Io { what: what.into(), why: why.into() }
    }

    fn call(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Call { what: what.into(), why: why.into() }
    }
}

/// Runs one of them to its end; figures are one line of JSON on standard output.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    let done = match args.command {
        Command::Relay(args) => relay::run(&args),
        Command::Rtp(args) => stream::run(&args).map(|figures| println!("{figures}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{}", serde_json::json!({ "error": why.to_string() }));
            ExitCode::FAILURE
        }
    }
}
