//! `backroom calls`: which calls there were and are, and how each ended. Reading goes to the database, which has every
//! call from its first ring; ending one goes through the daemon.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::texts::{choose_shop, reader, tell};
use crate::call::{CallRecord, Direction};
use crate::config::Config;
use crate::daemon::control::Ask;
use crate::store::CallFilter;
use crate::types::{EndCause, Via};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Calls {
    /// At most this many, the newest
    #[arg(long, default_value_t = 20)]
    last: u32,
    /// Only those that go on
    #[arg(long)]
    open: bool,
    /// Only with this outside number
    #[arg(long)]
    with: Option<String>,
    /// Whole records, a JSON object a line
    #[arg(long)]
    json: bool,
    /// Which shop, when there are several
    #[arg(long)]
    shop: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// End a call
    Hangup {
        /// CA…
        id: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
}

pub(super) fn run(config: &Config, calls: Calls) -> Result<(), String> {
    if let Some(Command::Hangup { id, shop }) = calls.command {
        let shop = choose_shop(config, shop.as_deref())?.id.to_string();
        return tell(config, &Ask::HangUp { shop, call: id });
    }
    let shop = choose_shop(config, calls.shop.as_deref())?;
    let filter =
        CallFilter { number: calls.with, open: calls.open, limit: calls.last, ..CallFilter::default() };
    let mut records = reader(config)?.calls(&shop.id, &filter).map_err(|e| e.to_string())?;
    records.reverse();
    for record in records {
        if calls.json {
            println!("{}", serde_json::to_string(&record).map_err(|e| e.to_string())?);
        } else {
            println!("{}", line(&record));
        }
    }
    Ok(())
}

/// One call as a person reads it.
fn line(record: &CallRecord) -> String {
    let direction = match record.direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
        Direction::Internal => "inside",
    };
    let from = match (&record.from.address, &record.via) {
        (Some(address), _) => address.as_str().to_owned(),
        (None, Via::Device(device)) => device.to_string(),
        (None, Via::Line(_)) => "unknown".to_owned(),
    };
    let length = match (record.ended.is_some(), record.answered.is_some()) {
        (false, _) => "goes on".to_owned(),
        (true, true) => format!("talked {}", minutes(record.talk)),
        (true, false) => format!("rang {}", minutes(record.ring)),
    };
    let cause = record.ended.map_or("", |(_, cause)| words(cause));
    let by = record.line.as_ref().map_or(String::new(), |line| format!(" by {line}"));
    let help = if record.emergency.is_some() { " EMERGENCY" } else { "" };
    let sure = if record.started.sure { "" } else { "?" };
    format!(
        "{}{sure}  {direction:<6}  {from} -> {}{by}{help}  {length}  {cause}  {}",
        record.started.wall.rfc3339(),
        record.to.as_str(),
        record.id
    )
}

fn minutes(length: Duration) -> String {
    format!("{}:{:02}", length.as_secs() / 60, length.as_secs() % 60)
}

/// How a call ended, for people.
fn words(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Hangup => "hung up",
        EndCause::Transferred => "handed on",
        EndCause::Elsewhere => "answered elsewhere",
        EndCause::Cancelled => "caller gave up",
        EndCause::BadNumber => "no such number",
        EndCause::Busy => "busy",
        EndCause::NoAnswer => "no answer",
        EndCause::Declined => "declined",
        EndCause::Unreachable => "phone not there",
        EndCause::Nobody => "nobody took it",
        EndCause::Rejected => "refused by the network",
        EndCause::Unavailable => "the network could not",
        EndCause::LineDown => "line down",
        EndCause::LineBusy => "line busy",
        EndCause::MediaLost => "no sound",
        EndCause::NoCodec => "no sound in common",
        EndCause::Barred => "not allowed",
        EndCause::Capped => "cap reached",
        EndCause::Cleared => "cleared for an emergency",
        EndCause::TooLong => "too long",
        EndCause::Stopped => "ended by the box",
        EndCause::Crash => "cut off by a crash",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Stamp;
    use crate::types::{Address, CallId, Identity, PhoneNumber, ShopId, Wall};

    #[test]
    fn a_call_is_one_line_that_a_person_can_read() {
        let at = |wall| Stamp { wall: Wall(wall), sure: true };
        let record = CallRecord {
            id: CallId::from("CA1"),
            shop: ShopId::from("main"),
            direction: Direction::Inbound,
            from: Identity {
                address: PhoneNumber::parse("+12065550142", None).ok().map(Address::Phone),
                ..Identity::default()
            },
            via: Via::Line("trunk".into()),
            to: "+12065550100".into(),
            line: Some("trunk".into()),
            flow: None,
            started: at(1_795_197_600_000),
            answered: Some(at(1_795_197_605_000)),
            ended: Some((at(1_795_197_688_000), EndCause::Hangup)),
            ring: Duration::from_secs(5),
            talk: Duration::from_secs(83),
            emergency: None,
            transfers: Vec::new(),
            legs: Vec::new(),
            legs_left_out: 0,
        };
        assert_eq!(
            line(&record),
            "2026-11-20T18:00:00.000Z  in      +12065550142 -> +12065550100 by trunk  talked 1:23  hung up  CA1"
        );
        let open = CallRecord { ended: None, ..record };
        assert!(line(&open).contains("goes on"), "{}", line(&open));
    }
}
