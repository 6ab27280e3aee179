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
    /// Measures calls: a plain relay, and calls whose sound carries its send time
    Bench(hil::bench::Args),
    /// A dealer's API with a believable shop, with faults on request
    Dealer(hil::dealer::Args),
    /// An SMS modem on a pseudo-terminal, with faults on request
    Modem(hil::modem::Args),
    /// Customers who text with a box whose disk is full
    FullDisk(hil::text::disk::Args),
    /// SIPp's scenarios against boxes of their own
    Sipp(hil::sipp::Args),
    /// Customers who text with a box that is killed again and again
    Text(hil::text::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Bench(args) => hil::bench::run(args),
        Command::Dealer(args) => hil::dealer::run(args).await,
        Command::FullDisk(args) => hil::text::disk::run(args).await,
        Command::Modem(args) => hil::modem::run(args).await,
        Command::Sipp(args) => hil::sipp::run(args).await,
        Command::Text(args) => hil::text::run(args).await,
    }
}
