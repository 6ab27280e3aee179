//! The loop's ends towards the edges that carry calls, and what of calls waits for a disk that is held up: calls go on
//! then, so the newest state of each record is kept here, once, however often it changes.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::call::CallRecord;
use crate::media::MediaReport;
use crate::sip::agent::Binding;
use crate::store::{BindingsRow, Op, Transaction};
use crate::trunk::{TrunkCommand, TrunkEvent};
use crate::types::{CallId, DeviceId, MediaCommand, ShopId};

/// Operations that are committed together when the disk goes on.
const CHUNK: usize = 64;

/// The edge that signals is started again when it dies; each life has its own way in.
#[derive(Debug)]
pub enum TrunkLife {
    /// It takes commands here.
    Began(mpsc::Sender<TrunkCommand>),
    /// Its legs are gone. Who starts it again is told where phones are registered.
    Died(oneshot::Sender<Vec<(DeviceId, Vec<Binding>)>>),
}

/// The loop's ends towards the edges that carry calls.
pub struct CallEnds {
    /// From the edge that signals.
    pub trunk_events: mpsc::Receiver<TrunkEvent>,
    /// When it begins and dies.
    pub trunk_lives: mpsc::Receiver<TrunkLife>,
    /// From the media edge.
    pub media_reports: mpsc::Receiver<MediaReport>,
    /// To the media edge; never blocks.
    pub media: Box<dyn FnMut(MediaCommand) + Send>,
    /// What both edges have counted.
    pub counters: Box<dyn Fn() -> Value + Send>,
}

impl CallEnds {
    /// A box without calls.
    #[must_use]
    pub fn none() -> Self {
        Self {
            trunk_events: mpsc::channel(1).1,
            trunk_lives: mpsc::channel(1).1,
            media_reports: mpsc::channel(1).1,
            media: Box::new(|_| {}),
            counters: Box::new(|| Value::Null),
        }
    }
}

/// What the loop has for the edge that signals. A hangup is never lost for a full queue: what finds no room waits here,
/// bounded by the legs that there are.
#[derive(Debug, Default)]
pub(super) struct TrunkWay {
    pub(super) sender: Option<mpsc::Sender<TrunkCommand>>,
    waiting: VecDeque<TrunkCommand>,
}

impl TrunkWay {
    pub(super) fn send(&mut self, command: TrunkCommand) {
        // Nobody is there: its legs have ended, and a new life knows none of them.
        if self.sender.is_some() {
            self.waiting.push_back(command);
            self.push();
        }
    }

    pub(super) fn push(&mut self) {
        let Some(sender) = &self.sender else { return self.waiting.clear() };
        while let Some(command) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(command)) = sender.try_send(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }

    pub(super) fn began(&mut self, sender: mpsc::Sender<TrunkCommand>) {
        self.waiting.clear();
        self.sender = Some(sender);
    }

    pub(super) fn died(&mut self) {
        self.waiting.clear();
        self.sender = None;
    }

    /// Ready when what waits may go on; never, when nothing waits.
    pub(super) async fn room(&self) {
        match &self.sender {
            // Closed: its death is told by another way.
            Some(sender) if !self.waiting.is_empty() => match sender.reserve().await {
                Ok(_permit) => {}
                Err(_) => std::future::pending().await,
            },
            Some(_) | None => std::future::pending().await,
        }
    }
}

/// Rows of calls and phones that wait for the disk: only the newest of each.
#[derive(Debug, Default)]
pub(super) struct Late {
    calls: BTreeMap<CallId, Box<CallRecord>>,
    bindings: BTreeMap<(ShopId, DeviceId), BindingsRow>,
}

impl Late {
    pub(super) fn len(&self) -> usize {
        self.calls.len() + self.bindings.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the rows of a transaction that has no others; gives any other back.
    pub(super) fn take(&mut self, transaction: Transaction) -> Option<Transaction> {
        let newest_counts = |op: &Op| matches!(op, Op::PutCall(_) | Op::PutBindings(_));
        if !transaction.ops.iter().all(newest_counts) {
            self.overtaken(&transaction);
            return Some(transaction);
        }
        for op in transaction.ops {
            match op {
                Op::PutCall(record) => {
                    self.calls.insert(record.id.clone(), record);
                }
                Op::PutBindings(row) => {
                    self.bindings.insert((row.shop.clone(), row.device.clone()), row);
                }
                _ => {}
            }
        }
        None
    }

    /// What waits here is written after `transaction`: it must not be older.
    pub(super) fn overtaken(&mut self, transaction: &Transaction) {
        for op in &transaction.ops {
            if let Op::PutCall(record) = op {
                self.calls.remove(&record.id);
            }
        }
    }

    /// The next rows to be written.
    pub(super) fn chunk(&mut self) -> Option<Transaction> {
        let mut ops = Vec::new();
        while ops.len() < CHUNK {
            let op = match self.calls.pop_first() {
                Some((_, record)) => Op::PutCall(record),
                None => match self.bindings.pop_first() {
                    Some((_, row)) => Op::PutBindings(row),
                    None => break,
                },
            };
            ops.push(op);
        }
        (!ops.is_empty()).then_some(Transaction { ops })
    }
}
