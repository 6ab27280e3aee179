//! `hil`: each subcommand is one simulator; this file only dispatches.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "hil", version, about = "Simulators and an emulated modem for Backroom")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// An SMS modem on a pseudo-terminal, with faults on request
    Modem(hil::modem::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Modem(args) => hil::modem::run(args).await,
    }
}
