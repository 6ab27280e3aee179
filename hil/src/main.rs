//! `hil`: each subcommand is one simulator; this file only dispatches.

#![forbid(unsafe_code)]

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
    /// One SIP call from a shell: calls, waits for a tone, hangs up
    Call(hil::phone::CallArgs),
    /// A dealer's API with a believable shop, with faults on request
    Dealer(hil::dealer::Args),
    /// An SMS modem on a pseudo-terminal, with faults on request
    Modem(hil::modem::Args),
    /// Customers who text with a box whose disk is full
    FullDisk(hil::text::disk::Args),
    /// A SIP phone that plays tones and says what it hears
    Phone(hil::phone::Args),
    /// SIPp's scenarios against boxes of their own
    Sipp(hil::sipp::Args),
    /// Customers who text with a box that is killed again and again
    Text(hil::text::Args),
    /// A provider's end of a SIP trunk, with faults on request
    Trunk(hil::trunk::Args),
    /// Twilio: REST API, Studio, SIP domains and signed webhooks, with faults on request
    Twilio(hil::twilio::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Bench(args) => hil::bench::run(args),
        Command::Call(args) => hil::phone::run_call(args).await,
        Command::Dealer(args) => hil::dealer::run(args).await,
        Command::FullDisk(args) => hil::text::disk::run(args).await,
        Command::Modem(args) => hil::modem::run(args).await,
        Command::Phone(args) => hil::phone::run(args).await,
        Command::Sipp(args) => hil::sipp::run(args).await,
        Command::Text(args) => hil::text::run(args).await,
        Command::Trunk(args) => hil::trunk::run(args).await,
        Command::Twilio(args) => hil::twilio::run(args).await,
    }
}
