//! `backroom webhooks`: what was told of the box's own events, what waits, what was given up, and whether an endpoint
//! listens. Reading goes to the database; replaying and testing go through the daemon.

use clap::Subcommand;
use serde_json::{Value, json};

use super::texts::{choose_shop, reader, tell};
use crate::config::Config;
use crate::daemon::control::{self, Ask};
use crate::store::{EventOutRow, EventOutState};

#[derive(Debug, Subcommand)]
pub(super) enum Webhooks {
    /// Events to endpoints, newest last, a JSON object a line
    List {
        /// Only those that were given up.
        #[arg(long)]
        dead: bool,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// One event, with its body
    Show {
        /// EV…
        id: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Deliver an event once more, or all that were given up: under the same ids
    Replay {
        /// EV…
        #[arg(required_unless_present = "dead", conflicts_with = "dead")]
        id: Option<String>,
        /// All that were given up: the newest 1000.
        #[arg(long)]
        dead: bool,
        /// Only what happened since then: 2026-11-20T08:00:00Z.
        #[arg(long, requires = "dead")]
        since: Option<String>,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Send a `test.ping` to an endpoint and say what came back
    Test {
        /// As the configuration names it.
        endpoint: String,
    },
}

pub(super) fn run(config: &Config, command: Webhooks) -> Result<(), String> {
    match command {
        Webhooks::List { dead, limit, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let state = dead.then_some(EventOutState::Dead);
            let rows = reader(config)?.events_out(&shop.id, state, None, limit).map_err(|e| e.to_string())?;
            for row in rows.iter().rev() {
                println!("{}", event(row));
            }
            Ok(())
        }
        Webhooks::Show { id, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let row = reader(config)?.event_out(&shop.id, &id).map_err(|e| e.to_string())?;
            let row = row.ok_or_else(|| format!("there is no event {id}"))?;
            let mut shown = event(&row);
            shown["body"] = serde_json::from_str(&row.body).unwrap_or(Value::Null);
            println!("{shown}");
            Ok(())
        }
        Webhooks::Replay { id, since, shop, .. } => {
            let shop = choose_shop(config, shop.as_deref())?.id.to_string();
            match id {
                Some(event) => tell(config, &Ask::ReplayEvent { shop, event }),
                None => {
                    tell(config, &Ask::ReplayDead { shop, since: since.as_deref().map(moment).transpose()? })
                }
            }
        }
        Webhooks::Test { endpoint } => test(config, endpoint),
    }
}

fn moment(text: &str) -> Result<i64, String> {
    let read = text.parse::<jiff::Timestamp>();
    read.map(jiff::Timestamp::as_millisecond).map_err(|why| format!("--since: {text:?} is no time: {why}"))
}

fn test(config: &Config, endpoint: String) -> Result<(), String> {
    let known = config.endpoints.iter().find(|e| e.id == endpoint);
    let Some(known) = known else {
        let ids: Vec<&str> = config.endpoints.iter().map(|e| e.id.as_str()).collect();
        return Err(format!("there is no webhook {endpoint}; there are: {}", ids.join(", ")));
    };
    let ask = Ask::TestEndpoint { shop: known.shop.to_string(), endpoint };
    let Some(answer) = control::ask(&config.storage.path, &ask)? else {
        return tell(config, &ask);
    };
    println!("{answer}");
    match answer.pointer("/answer/answered/status").and_then(Value::as_u64) {
        Some(200..=299) => Ok(()),
        Some(status) => {
            Err(format!("the endpoint answered {status}: events to it would not count as delivered"))
        }
        None => Err("the endpoint did not answer".to_owned()),
    }
}

fn event(row: &EventOutRow) -> Value {
    json!({
        "id": row.id,
        "endpoint": row.endpoint,
        "type": row.kind,
        "state": row.state.as_str(),
        "sequence": row.seq,
        "attempts": row.attempts,
        "note": row.note,
        "created": row.created.rfc3339(),
        "updated": row.updated.rfc3339(),
    })
}
