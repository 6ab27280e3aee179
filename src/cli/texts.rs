//! `backroom sms` and `backroom orders`: what was said and ordered, and what is in doubt. Reading goes to the
//! database; sending goes through the daemon, so that consent and pace hold.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::files;
use crate::config::{Config, ShopConfig};
use crate::daemon::control::{self, Ask};
use crate::daemon::core::Enclosure;
use crate::messaging::ledger::{Exempt, Purpose};
use crate::store::{Direction, MessageFilter, MessageRow, OrderRow, PartRow, Reader};
use crate::types::{MessageId, Wall};

#[derive(Debug, Subcommand)]
pub(super) enum Sms {
    /// Texts, newest last, a JSON object a line
    List {
        /// Only with this number.
        #[arg(long)]
        with: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// One text with its parts, its line and why that one, as JSON
    Show {
        /// SM…, as `list` shows it.
        id: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Texts of which nobody knows whether they were sent
    Unknown {
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Send a text: TO and BODY, or --to and BODY; with files, or a template in place of words
    Send(Send),
    /// The files of a text, a JSON object a line
    Files {
        /// SM…, as `list` shows it.
        id: String,
        /// Write those that are kept into this directory.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Send a text in doubt once more
    Resend {
        /// SM…
        id: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// `{"text"}` in, `{"encoding","segments","units"}` out, a line each
    Segments,
}

/// A text that is to be sent.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// To this number, unless --to names it; then the text.
    first: Option<String>,
    /// The text.
    second: Option<String>,
    /// To this number; whatsapp:+1206… by WhatsApp.
    #[arg(long)]
    to: Option<String>,
    /// Send this file along: picture, sound, video, PDF, vCard. Up to ten, 5 MB together.
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Send the file at this public https address along.
    #[arg(long, value_name = "URL")]
    media_url: Vec<String>,
    /// A template in place of words: its name in the configuration, or HX and 32 digits.
    #[arg(long)]
    template: Option<String>,
    /// The template's variables as a JSON object, by name or number.
    #[arg(long, requires = "template", value_name = "JSON")]
    variables: Option<String>,
    /// What for: offers need consent and wait for the hours in which they may be sent.
    #[arg(long, default_value = "informational")]
    purpose: For,
    /// For emergency and law, which reach also people who said STOP: which one. Goes into the audit log.
    #[arg(long, required_if_eq_any = [("purpose", "emergency"), ("purpose", "law")], default_value = "")]
    why: String,
    /// Which shop, when there are several.
    #[arg(long)]
    shop: Option<String>,
}

impl Send {
    fn ask(self, shop: String) -> Result<Ask, String> {
        let (to, body) = match (self.to, self.first, self.second) {
            (Some(to), body, None) | (None, Some(to), body) => (to, body.unwrap_or_default()),
            (Some(_), _, Some(_)) => {
                return Err("the number is there twice: as --to and before the text".to_owned());
            }
            (None, None, _) => return Err("say to whom: a number, or --to".to_owned()),
        };
        let variables = match self.variables.as_deref().map(serde_json::from_str) {
            Some(Ok(variables)) => variables,
            Some(Err(error)) => {
                return Err(format!("--variables takes a JSON object as {{\"1\":\"Jane\"}}: {error}"));
            }
            None => Map::new(),
        };
        let with = Enclosure {
            files: files::read(&self.file)?,
            links: self.media_url,
            template: self.template,
            variables,
        };
        let by = format!("command line ({})", std::env::var("USER").unwrap_or_else(|_| "?".to_owned()));
        let (purpose, why, with) = (self.purpose.into(), self.why, Box::new(with));
        Ok(Ask::SendFor { shop, to, body, purpose, why, by, with })
    }
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum For {
    /// About an order or an appointment of the person's.
    Informational,
    /// An offer.
    Marketing,
    /// Life and safety: reaches everybody.
    Emergency,
    /// A law demands it: reaches everybody.
    Law,
}

impl From<For> for Purpose {
    fn from(what: For) -> Self {
        match what {
            For::Informational => Self::Informational,
            For::Marketing => Self::Marketing,
            For::Emergency => Self::Exempt(Exempt::Emergency),
            For::Law => Self::Exempt(Exempt::Law),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Orders {
    /// Orders, newest last, a JSON object a line
    List {
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Orders of which nobody knows whether the dealer has them
    Unknown {
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Send an order in doubt once more
    Resend {
        /// OR…
        id: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
}

pub(super) fn choose_shop<'a>(config: &'a Config, id: Option<&str>) -> Result<&'a ShopConfig, String> {
    let ids = || config.shops.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(", ");
    match (id, config.shops.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("say which shop: --shop with one of {}", ids())),
        (Some(id), shops) => shops
            .iter()
            .find(|s| s.id.as_str() == id)
            .ok_or_else(|| format!("there is no shop {id}; there are {}", ids())),
    }
}

pub(super) fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn reader(config: &Config) -> Result<Reader, String> {
    Reader::open(&config.storage.path).map_err(|e| e.to_string())
}

pub(super) fn sms(config: &Config, command: Sms) -> Result<(), String> {
    match command {
        Sms::List { with, limit, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let filter = MessageFilter { person: with, limit, ..MessageFilter::default() };
            let mut rows = reader(config)?.messages(&shop.id, &filter).map_err(|e| e.to_string())?;
            rows.sort_by_key(|r| r.created);
            for row in rows {
                println!("{}", message(&row, &[]));
            }
            Ok(())
        }
        Sms::Show { id, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let (reader, id) = (reader(config)?, MessageId(id));
            let found = reader.message(&shop.id, &id).map_err(|e| e.to_string())?;
            let (row, parts) = found.ok_or_else(|| format!("there is no text {id}"))?;
            let mut shown = message(&row, &parts);
            let files = files::listed(&reader, &shop.id, &id)?;
            if !files.is_empty() {
                shown["files"] = files.iter().map(files::Listed::json).collect();
            }
            println!("{shown}");
            Ok(())
        }
        Sms::Unknown { shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            for (row, parts) in reader(config)?.unknown_messages(&shop.id).map_err(|e| e.to_string())? {
                println!("{}", message(&row, &parts));
            }
            Ok(())
        }
        Sms::Send(send) => {
            let shop = choose_shop(config, send.shop.as_deref())?.id.to_string();
            tell(config, &send.ask(shop)?)
        }
        Sms::Files { id, out, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let (reader, id) = (reader(config)?, MessageId(id));
            if reader.message(&shop.id, &id).map_err(|e| e.to_string())?.is_none() {
                return Err(format!("there is no text {id}"));
            }
            files::show(&reader, &shop.id, &id, out.as_deref())
        }
        Sms::Resend { id, shop } => {
            let shop = choose_shop(config, shop.as_deref())?.id.to_string();
            tell(config, &Ask::Resend { shop, message: id })
        }
        Sms::Segments => Ok(()),
    }
}

pub(super) fn orders(config: &Config, command: Orders) -> Result<(), String> {
    match command {
        Orders::List { limit, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let mut rows = reader(config)?.orders(&shop.id, None, limit).map_err(|e| e.to_string())?;
            rows.sort_by_key(|r| r.created);
            for row in rows {
                println!("{}", order(&row));
            }
            Ok(())
        }
        Orders::Unknown { shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            for row in reader(config)?.unknown_orders(&shop.id).map_err(|e| e.to_string())? {
                println!("{}", order(&row));
            }
            Ok(())
        }
        Orders::Resend { id, shop } => {
            let shop = choose_shop(config, shop.as_deref())?.id.to_string();
            tell(config, &Ask::ResendOrder { shop, order: id })
        }
    }
}

/// Asks the running daemon and prints what it answers.
pub(super) fn tell(config: &Config, ask: &Ask) -> Result<(), String> {
    match control::ask(&config.storage.path, ask)? {
        Some(answer) => {
            println!("{answer}");
            Ok(())
        }
        None => {
            Err("backroom does not run on this machine; start it first (systemctl start backroom)".to_owned())
        }
    }
}

fn message(row: &MessageRow, parts: &[PartRow]) -> Value {
    let mut value = json!({
        "id": row.id,
        "direction": match row.direction { Direction::In => "in", Direction::Out => "out" },
        "line": row.line,
        "person": row.peer,
        "body": row.body,
        "status": row.status.as_str(),
        "source": row.source.as_str(),
        "channel": row.carriage.channel.as_str(),
        "choice": row.carriage.choice,
        "sid": row.carriage.sid,
        "error": row.carriage.error,
        "price": row.carriage.price.as_ref().map(|(amount, currency)| price(*amount, currency)),
        "media": row.carriage.media,
        "template": row.carriage.template.as_ref().map(|(sid, variables)| json!({ "sid": sid, "variables": variables })),
        "not_before": row.not_before.map(Wall::rfc3339),
        "note": row.note,
        "purpose": row.purpose,
        "not_before": row.not_before.map(Wall::rfc3339),
        "created": row.created.rfc3339(),
        "updated": row.updated.rfc3339(),
    });
    if !parts.is_empty() {
        let list = parts.iter().map(|p| {
            json!({ "number": p.id.number, "state": p.state.as_str(), "note": p.note, "attempts": p.attempts })
        });
        value["parts"] = Value::Array(list.collect());
    }
    value
}

/// Millionths as people write them: `-0.0083 USD`.
fn price(millionths: i64, currency: &str) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let (whole, rest) = (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs() % 1_000_000);
    let digits = format!("{rest:06}");
    let digits = digits.trim_end_matches('0');
    format!("{sign}{whole}.{digits:0<2} {currency}")
}

fn order(row: &OrderRow) -> Value {
    json!({
        "id": row.id,
        "kind": row.kind.as_str(),
        "state": row.state,
        "conversation": row.conversation,
        "order": row.order,
        "created": row.created.rfc3339(),
        "updated": row.updated.rfc3339(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_written_as_people_do() {
        assert_eq!(price(-8300, "USD"), "-0.0083 USD");
        assert_eq!(price(1_500_000, "EUR"), "1.50 EUR");
        assert_eq!(price(0, "USD"), "0.00 USD");
    }
}
