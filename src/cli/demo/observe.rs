//! What the box is doing, read from its database beside it. Changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::stage::{SHOP, Trouble};
use crate::cache;
use crate::store::{Direction, ExecutionRow, MessageFilter, MessageStatus, Reader, StoreError};
use crate::types::{ShopId, Wall};
use crate::web::demo::{Order, Step};

/// Texts, orders and steps that are looked at, at most.
const MANY: u32 = 100_000;
/// Conversations that are looked at, the newest.
const CONVERSATIONS: u32 = 50;
/// Steps that are shown.
const STEPS: usize = 20;

/// What the box has and owes: no less after a power cut than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    received: usize,
    sent: usize,
    orders: usize,
    conversations: usize,
}

impl Owed {
    /// What was under way may have gone on since; nothing may be missing.
    pub(super) fn has_all_of(&self, before: &Self) -> bool {
        self.received >= before.received
            && self.sent >= before.sent
            && self.orders >= before.orders
            && self.conversations >= before.conversations
    }
}

impl fmt::Display for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, sent, orders, conversations } = self;
        let of = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (received, sent) = (of(*received, "text"), of(*sent, "text"));
        let (orders, conversations) = (of(*orders, "order"), of(*conversations, "conversation"));
        write!(f, "{received} in, {sent} out, {orders} and {conversations} under way")
    }
}

/// Reads the database of a running box.
pub(super) struct Observer {
    reader: Reader,
    shop: ShopId,
    steps: BTreeMap<String, (Wall, Vec<Step>)>,
}

fn words(error: StoreError) -> Trouble {
    error.to_string()
}

impl Observer {
    /// # Errors
    /// There is no database.
    pub(super) fn open(storage: &Path) -> Result<Self, Trouble> {
        let reader = Reader::open(storage).map_err(words)?;
        Ok(Self { reader, shop: ShopId(SHOP.to_owned()), steps: BTreeMap::new() })
    }

    fn kept(&self, path: &str) -> Result<Option<Value>, Trouble> {
        let key = cache::cache_key(&cache::widened(path));
        let row = self.reader.cached(&self.shop, &key).map_err(words)?;
        Ok(row.and_then(|r| serde_json::from_str(&r.body).ok()))
    }

    fn profile(&self, phone: &str) -> Result<Option<Value>, Trouble> {
        self.kept(&format!("/api/customers/by-phone/{phone}"))
    }

    /// Whether profile and transactions of all of them are kept.
    pub(super) fn is_fetched(&self, phones: &[&str]) -> Result<bool, Trouble> {
        for phone in phones {
            let Some(profile) = self.profile(phone)? else { return Ok(false) };
            let id = profile.get("customer_id").and_then(Value::as_str).unwrap_or_default();
            if self.kept(&format!("/api/customers/{id}/transactions"))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A customer's machines, as the box knows them.
    pub(super) fn owns(&self, phone: &str) -> Result<Vec<String>, Trouble> {
        let profile = self.profile(phone)?;
        let machines = profile.as_ref().and_then(|p| p.get("equipment")?.as_array());
        let name = |one: &Value| {
            let part = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("{} {}", part("make"), part("model"))
        };
        Ok(machines.map(|all| all.iter().map(name).collect()).unwrap_or_default())
    }

    /// Texts of this person that are committed.
    pub(super) fn heard_from(&self, person: &str) -> Result<usize, Trouble> {
        let filter = MessageFilter {
            person: Some(person.to_owned()),
            direction: Some(Direction::In),
            limit: MANY,
            ..MessageFilter::default()
        };
        Ok(self.reader.messages(&self.shop, &filter).map_err(words)?.len())
    }

    /// Nothing is on its way: every text is out, every flow waits for a person, and, with a dealer who answers, every
    /// order is settled.
    pub(super) fn is_quiet(&self, dealer_on: bool) -> Result<bool, Trouble> {
        for status in [MessageStatus::Queued, MessageStatus::Sending] {
            let filter = MessageFilter { status: Some(status), limit: 1, ..MessageFilter::default() };
            if !self.reader.messages(&self.shop, &filter).map_err(words)?.is_empty() {
                return Ok(false);
            }
        }
        if dealer_on && self.reader.orders(&self.shop, None, MANY).map_err(words)?.iter().any(|o| !o.settled)
        {
            return Ok(false);
        }
        Ok(!self.executions()?.iter().any(works))
    }

    fn executions(&self) -> Result<Vec<ExecutionRow>, Trouble> {
        let mut all = Vec::new();
        for conversation in self.reader.conversations(&self.shop, CONVERSATIONS).map_err(words)? {
            if conversation.active {
                let runs = self.reader.executions(&self.shop, &conversation.id, 8).map_err(words)?;
                all.extend(runs.into_iter().filter(|e| e.ended.is_none()));
            }
        }
        Ok(all)
    }

    /// What must be the same after a power cut.
    pub(super) fn owed(&self) -> Result<Owed, Trouble> {
        let count = |direction| {
            let filter =
                MessageFilter { direction: Some(direction), limit: MANY, ..MessageFilter::default() };
            self.reader.messages(&self.shop, &filter).map(|rows| rows.len()).map_err(words)
        };
        let conversations = self.reader.conversations(&self.shop, MANY).map_err(words)?;
        Ok(Owed {
            received: count(Direction::In)?,
            sent: count(Direction::Out)?,
            orders: self.reader.orders(&self.shop, None, MANY).map_err(words)?.len(),
            conversations: conversations.iter().filter(|c| c.active).count(),
        })
    }

    /// Orders, newest first.
    pub(super) fn orders(&self) -> Result<Vec<Order>, Trouble> {
        let rows = self.reader.orders(&self.shop, None, 20).map_err(words)?;
        Ok(rows
            .iter()
            .map(|row| Order {
                id: row.id.to_string(),
                kind: row.kind.as_str().to_owned(),
                state: row.state.clone(),
                settled: row.settled,
            })
            .collect())
    }

    /// The last steps of each person's flows, newest first.
    pub(super) fn steps(&mut self) -> Result<BTreeMap<String, Vec<Step>>, Trouble> {
        for conversation in self.reader.conversations(&self.shop, CONVERSATIONS).map_err(words)? {
            let known = self.steps.get(&conversation.person);
            if !conversation.active && known.is_some_and(|(updated, _)| *updated == conversation.updated) {
                continue;
            }
            let mut steps = Vec::new();
            for run in self.reader.executions(&self.shop, &conversation.id, 4).map_err(words)? {
                let rows = self.reader.steps(&self.shop, &run.sid).map_err(words)?;
                steps.extend(rows.into_iter().map(|row| {
                    let step = Step { flow: run.flow.clone(), from: row.from, event: row.event, to: row.to };
                    (row.wall, row.number, step)
                }));
            }
            // Newest first; within a moment, the later number of a run.
            steps.sort_by_key(|(wall, number, _)| std::cmp::Reverse((*wall, *number)));
            let steps = steps.into_iter().take(STEPS).map(|(_, _, step)| step).collect();
            self.steps.insert(conversation.person, (conversation.updated, steps));
        }
        Ok(self.steps.iter().map(|(person, (_, steps))| (person.clone(), steps.clone())).collect())
    }
}

/// Whether the next move of this run is the box's: it waits for an answer over HTTP, for an order, or for its
/// question to reach the line.
fn works(run: &ExecutionRow) -> bool {
    let phase = run.state.get("phase");
    if phase.and_then(Value::as_str) == Some("fresh") {
        return true;
    }
    let wait = phase.and_then(|p| p.get("waiting")?.get("wait"));
    let stage = wait.and_then(|w| w.get("reply")?.get("stage"));
    wait.is_some_and(|w| w.get("http").is_some() || w.get("order").is_some())
        || stage.and_then(Value::as_str).is_some_and(|s| s == "queued" || s == "handed")
}
