//! The network in which customers and the box meet: the emulated modem's, or the simulated Twilio.

use super::Error;
use super::evidence::{Entry, What, read_log};
use crate::modem::{self, Modem, Submitted};
use crate::twilio::{Inbound, Twilio};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// The box's line, from the other side.
#[derive(Clone, Copy)]
pub enum Network<'a> {
    /// A modem, and the log that it writes.
    Modem(&'a Modem, &'a Path),
    /// A number at Twilio.
    Twilio(&'a Twilio),
}

impl<'a> Network<'a> {
    /// A customer texts the shop.
    pub(super) async fn deliver(&self, from: &str, text: &str) -> Result<(), Error> {
        match self {
            Network::Modem(modem, _) => modem.deliver(from, text).await?,
            Network::Twilio(twilio) => {
                let (from, body) = (from.to_owned(), text.to_owned());
                drop(twilio.receive(Inbound { from, body, ..Inbound::default() }));
            }
        }
        Ok(())
    }

    /// What the box sends from now on.
    pub(super) fn listen(&self) -> Heard<'a> {
        match self {
            Network::Modem(modem, _) => Heard::Modem(modem.submitted()),
            Network::Twilio(twilio) => Heard::Twilio(twilio, 0, VecDeque::new()),
        }
    }

    /// Whole texts that it took, in order.
    pub(super) async fn submitted(&self) -> Result<Vec<Submitted>, Error> {
        match self {
            Network::Modem(modem, _) => Ok(modem.submitted_since(0).await?),
            Network::Twilio(twilio) => Ok(taken(twilio, 0)),
        }
    }

    /// What came and went, in order.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Error> {
        match self {
            Network::Modem(_, log) => read_log(log),
            Network::Twilio(twilio) => Ok(twilio.messages().iter().filter_map(entry).collect()),
        }
    }

    pub(super) fn is_upstream(&self) -> bool {
        matches!(self, Network::Twilio(_))
    }
}

/// The box's texts, one after the other.
pub(super) enum Heard<'a> {
    Modem(broadcast::Receiver<Submitted>),
    /// How many were told, and those that are to be.
    Twilio(&'a Twilio, usize, VecDeque<Submitted>),
}

impl Heard<'_> {
    /// The next text. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Submitted, Error> {
        match self {
            Heard::Modem(texts) => match texts.recv().await {
                Ok(text) => Ok(text),
                Err(RecvError::Lagged(missed)) => {
                    Err(Error::Box(format!("the scenario missed {missed} texts")))
                }
                Err(RecvError::Closed) => Err(modem::Error::Stopped.into()),
            },
            Heard::Twilio(twilio, seen, waiting) => loop {
                if let Some(text) = waiting.pop_front() {
                    return Ok(text);
                }
                let known = *seen;
                // False after an hour without a text: it is looked again.
                let _came = twilio.until(Duration::from_secs(3600), |t| t.sent_after(known) > 0).await;
                waiting.extend(taken(twilio, known));
                *seen += waiting.len();
            },
        }
    }
}

fn taken(twilio: &Twilio, skip: usize) -> Vec<Submitted> {
    let texts = twilio.outbound().into_iter().skip(skip).zip(1u64..);
    let one = |(text, seq): (crate::twilio::Text, u64)| Submitted {
        seq,
        to: text.to,
        parts: 1,
        bytes: text.body.len(),
        text: text.body,
        t_ms: 0,
    };
    texts.map(one).collect()
}

fn entry(message: &Value) -> Option<Entry> {
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let what = match text("direction").as_str() {
        "inbound" => What::Arrived { from: text("from") },
        "outbound-api" => What::Submitted { to: text("to"), text: text("body"), part: None, total: None },
        _ => return None,
    };
    Some(Entry { t_ms: 0.0, what })
}
