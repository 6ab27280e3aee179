//! What happened in a step, read off its rows: whatever is stored is told, by whichever way it came about. Only a
//! line's ups and downs have no row and are compared.
//!
//! Each thing is told once a life: a row that is written again says nothing new. The ids follow from what happened,
//! so that a batch that is retried, or a row that is met again after a restart, makes the same event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::Cx;
use super::shop::Shop;
use crate::call::{CallRecord, Stamp};
use crate::store::{ConsentEntryRow, Direction, ExecutionRow, MessageRow, MessageStatus, Op, OrderRow};
use crate::types::{EndCause, LineId, Mono, derive_sid};

/// So many things that were told are remembered in memory.
const TOLD_MOST: usize = 8192;

/// A line that goes up and down is told of when it has stood so for this long.
const LINE_SETTLES: Duration = Duration::from_secs(10);

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Happened {
    /// `message.received`.
    pub(super) kind: &'static str,
    /// The same for the same thing, whoever is told.
    pub(super) key: String,
    /// What is told of it.
    pub(super) data: Value,
    /// What is told only where bodies are wanted: name and value.
    pub(super) body: Option<(&'static str, String)>,
}

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Told {
    keys: BTreeSet<String>,
    order: VecDeque<String>,
    lines: BTreeMap<LineId, Standing>,
}

/// Whether a line is up: now, since when, and as it was told last.
#[derive(Debug)]
struct Standing {
    up: bool,
    since: Mono,
    told: Option<bool>,
}

impl Told {
    fn is_new(&mut self, key: &str) -> bool {
        if !self.keys.insert(key.to_owned()) {
            return false;
        }
        self.order.push_back(key.to_owned());
        if self.order.len() > TOLD_MOST
            && let Some(old) = self.order.pop_front()
        {
            self.keys.remove(&old);
        }
        true
    }

    /// When a line will have stood so for long enough.
    pub(super) fn lines_settle(&self) -> Option<Mono> {
        let open = self.lines.values().filter(|s| s.told != Some(s.up));
        open.map(|s| s.since + LINE_SETTLES).min()
    }
}

impl Shop {
    /// What the rows of this step, from `from` on, tell, and the lines.
    pub(super) fn happened(&mut self, cx: &Cx<'_>, from: usize) -> Vec<Happened> {
        let ops = cx.step.transaction.ops.get(from..).unwrap_or_default();
        let mut all = Vec::new();
        for op in ops {
            match op {
                Op::PutMessage(row) => all.extend(message(row)),
                Op::AddConsentEntry(row) => all.push(consent_entry(row)),
                Op::PutCall(record) => all.extend(call(record)),
                Op::PutOrder(row) => all.extend(order(row)),
                Op::PutExecution(row) => all.extend(flow(row)),
                _ => {}
            }
        }
        all.extend(self.lines_happened(cx));
        all.retain(|one| self.events.told.is_new(&one.key));
        all
    }

    fn lines_happened(&mut self, cx: &Cx<'_>) -> Vec<Happened> {
        let texts = self.lines.iter().filter(|(_, l)| l.up || l.why_down.is_some());
        let texts = texts.map(|(id, l)| {
            let why = l.state.needs.clone().or_else(|| l.why_down.clone().filter(|_| !l.up));
            (id.clone(), l.can_send(), "texts", why)
        });
        let calls = self.trunk_standings().filter(|(_, up, why)| *up || !why.is_empty());
        let calls = calls.map(|(id, up, why)| (id.clone(), up, "calls", Some(why.to_owned())));
        let settled = |id: &LineId, up: bool| {
            self.events.told.lines.get(id).is_some_and(|s| s.up == up && s.told == Some(up))
        };
        let open: Vec<_> = texts.chain(calls).filter(|(id, up, ..)| !settled(id, *up)).collect();
        let mut told = Vec::new();
        for (id, up, carries, why) in open {
            let fresh = Standing { up, since: cx.now.mono, told: None };
            let standing = self.events.told.lines.entry(id.clone()).or_insert(fresh);
            if standing.up != up {
                (standing.up, standing.since) = (up, cx.now.mono);
            }
            if standing.told == Some(up) || cx.now.mono < standing.since + LINE_SETTLES {
                continue;
            }
            standing.told = Some(up);
            let kind = if up { "line.up" } else { "line.down" };
            let key = derive_sid("", &[kind, id.as_str(), &cx.event.to_string()]);
            told.push(Happened {
                kind,
                key,
                data: json!({ "line": id, "carries": carries, "up": up, "why": why }),
                body: None,
            });
        }
        told
    }
}

fn happened(kind: &'static str, of: &[&str], data: Value) -> Happened {
    let parts: Vec<&str> = std::iter::once(kind).chain(of.iter().copied()).collect();
    Happened { kind, key: derive_sid("", &parts), data, body: None }
}

fn message(row: &MessageRow) -> Option<Happened> {
    // Sent again by staff, a text may come into doubt again; the others are reached once.
    let (kind, again) = match (row.direction, row.status) {
        (Direction::In, MessageStatus::Received) => ("message.received", None),
        (Direction::Out, MessageStatus::Sent) => ("message.sent", None),
        (Direction::Out, MessageStatus::Delivered) => ("message.delivered", None),
        (Direction::Out, MessageStatus::Undelivered | MessageStatus::Failed) => ("message.failed", None),
        (Direction::Out, MessageStatus::Unknown) => ("message.unknown", Some(row.updated.0.to_string())),
        (Direction::In | Direction::Out, _) => return None,
    };
    let again = again.unwrap_or_default();
    let data = json!({
        "message": row.id,
        "conversation": row.conversation,
        "direction": row.direction.as_str(),
        "channel": row.carriage.channel.as_str(),
        "line": row.line,
        "person": row.peer,
        "status": row.status.as_str(),
        "source": row.source.as_str(),
        "note": row.note,
        "upstream": row.carriage.sid,
        "error": row.carriage.error,
        "media": row.carriage.media,
    });
    let body = Some(("body", row.body.clone()));
    Some(Happened { body, ..happened(kind, &[row.id.as_str(), &again], data) })
}

fn consent_entry(row: &ConsentEntryRow) -> Happened {
    let said = &row.entry.statement;
    let data = json!({
        "person": said.subject,
        "act": said.act,
        "scope": said.scope,
        "origin": said.origin,
        "proof": said.proof,
        "at": said.at.rfc3339(),
        "number": row.entry.seq,
        "link": row.entry.link.to_string(),
    });
    let of = [row.entry.seq.to_string(), row.entry.link.to_string()];
    let body = Some(("words", said.words.clone()));
    Happened { body, ..happened("consent.changed", &[&of[0], &of[1]], data) }
}

/// The row of a call that ends as it begins says both. One that a crash ended began in another run.
fn call(record: &CallRecord) -> Vec<Happened> {
    let at = |stamp: &Stamp| stamp.wall.rfc3339();
    let mut data = json!({
        "call": record.id,
        "direction": record.direction,
        "from": record.from,
        "via": record.via,
        "to": record.to,
        "line": record.line,
        "emergency": record.emergency.is_some(),
        "started": at(&record.started),
        "answered": record.answered.as_ref().map(at),
    });
    let started = happened("call.started", &[record.id.as_str()], data.clone());
    let Some((ended, cause)) = &record.ended else { return vec![started] };
    data["ended"] = at(ended).into();
    data["cause"] = cause.as_str().into();
    data["ring_seconds"] = record.ring.as_secs().into();
    data["talk_seconds"] = record.talk.as_secs().into();
    let ended = happened("call.ended", &[record.id.as_str()], data);
    match cause {
        EndCause::Crash => vec![ended],
        _ => vec![started, ended],
    }
}

fn order(row: &OrderRow) -> Option<Happened> {
    let (kind, again) = match row.state.as_str() {
        "confirmed" => ("order.confirmed", String::new()),
        "refused" => ("order.refused", String::new()),
        "unknown" => ("order.unknown", row.updated.0.to_string()),
        _ => return None,
    };
    let data = json!({
        "order": row.id,
        "kind": row.kind.as_str(),
        "conversation": row.conversation,
        "execution": row.execution,
        "customer": row.order.get("customer_id"),
        "outcome": row.order.pointer(&format!("/state/{}", row.state)),
    });
    Some(happened(kind, &[row.id.as_str(), &again], data))
}

fn flow(row: &ExecutionRow) -> Option<Happened> {
    let how = row.ended.as_ref()?;
    let data = json!({
        "execution": row.sid,
        "flow": row.flow,
        "revision": row.revision,
        "conversation": row.conversation,
        "how": how,
        "created": row.created.rfc3339(),
    });
    Some(happened("flow.ended", &[row.sid.as_str()], data))
}
