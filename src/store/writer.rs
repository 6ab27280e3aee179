//! The writer: one thread that takes what is queued, up to a batch, and commits it as one SQLite transaction.
//!
//! Commits are strictly ordered. A batch that fails for a reason that may pass (full disk, I/O error, a lock) is
//! tried again unchanged, and nothing later commits before it. A batch that can never succeed (a constraint, a
//! damaged file) ends the writer: the daemon exits and reloads from disk.
//!
//! Trying again after a failed fsync is sound here: SQLite in WAL mode writes every frame of the transaction anew
//! at the same place, and a failed checkpoint is done over from the log.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use super::apply::Applier;
use super::checkpoint;
use super::disk::Disk;
use super::{Op, QueueFull, StoreError, Ticket, Transaction, WriterState};
use crate::types::{CallId, ShopId};

/// How long what nobody waits for may wait for company: a commit costs much the same for one row and for sixty.
const LINGER: Duration = Duration::from_millis(20);
/// How often the free space is measured when nothing else happens.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// What the handles and the writer's thread share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    bound: usize,
    pub(super) state: watch::Sender<WriterState>,
    pub(super) disk: Disk,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Transaction>,
    submitted: u64,
    /// Somebody waits for what is in it.
    hurry: bool,
    /// When the first of what nobody waits for came in.
    since: Option<Instant>,
    /// No more is taken; what waits must be committed by then.
    closing: Option<Instant>,
    /// The writer has ended.
    stopped: Option<String>,
}

impl Shared {
    pub(super) fn new(bound: usize, disk: Disk) -> Self {
        let state = watch::Sender::new(WriterState::default());
        Self { queue: Mutex::default(), wake: Condvar::new(), bound: bound.max(1), state, disk }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, transaction: Transaction) -> Result<Ticket, QueueFull> {
        let mut queue = self.lock();
        let closing = queue.closing.map(|_| "the store is being closed");
        if let Some(why) = queue.stopped.as_deref().or(closing) {
            return Err(QueueFull::Stopped { why: why.to_owned(), transaction: Box::new(transaction) });
        }
        if queue.waiting.len() >= self.bound {
            let waiting = queue.waiting.len();
            return Err(QueueFull::Full { waiting, transaction: Box::new(transaction) });
        }
        let (alone, hurry) = (queue.waiting.is_empty(), !is_patient(&transaction));
        queue.waiting.push_back(transaction);
        queue.submitted += 1;
        queue.hurry |= hurry;
        if alone {
            queue.since = Some(Instant::now());
        }
        let ticket = Ticket(queue.submitted);
        drop(queue);
        // Who lingers wakes by himself.
        if alone || hurry {
            self.wake.notify_one();
        }
        Ok(ticket)
    }

    /// Somebody waits for what was submitted.
    pub(super) fn hurry(&self) {
        let mut queue = self.lock();
        queue.hurry |= !queue.waiting.is_empty();
        drop(queue);
        self.wake.notify_one();
    }

    pub(super) fn room(&self) -> usize {
        let queue = self.lock();
        if queue.stopped.is_some() || queue.closing.is_some() {
            return 0;
        }
        self.bound.saturating_sub(queue.waiting.len())
    }

    pub(super) fn submitted(&self) -> Ticket {
        Ticket(self.lock().submitted)
    }

    pub(super) fn begin_close(&self, patience: Duration) {
        let mut queue = self.lock();
        if queue.closing.is_none() {
            queue.closing = Some(Instant::now() + patience);
        }
        drop(queue);
        self.wake.notify_all();
    }

    fn stop(&self, why: &str) -> usize {
        let mut queue = self.lock();
        queue.stopped.get_or_insert_with(|| why.to_owned());
        let left = queue.waiting.len();
        queue.waiting.clear();
        left
    }
}

/// If the thread ends in any way that it did not announce, nobody may believe that it still commits.
struct Announce(Arc<Shared>);

impl Drop for Announce {
    fn drop(&mut self) {
        let why = "the writer ended unexpectedly";
        if self.0.lock().stopped.is_none() {
            self.0.stop(why);
            self.0.state.send_modify(|s| s.fatal = Some(why.to_owned()));
        }
    }
}

enum Failure {
    /// May pass.
    Passing { why: String, full: bool },
    /// Will not.
    Fatal { why: String, damaged: bool },
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) conn: Connection,
    pub(super) checkpoint: Arc<checkpoint::Signal>,
    pub(super) boot_number: i64,
    pub(super) batch: usize,
    pub(super) retry_first: Duration,
    pub(super) retry_most: Duration,
    /// Left behind when the file turns out to be damaged: the next start looks closely.
    pub(super) suspect: PathBuf,
    pub(super) applier: Applier,
    pub(super) committed: u64,
}

impl Writer {
    /// Runs until the store is closed or a batch can never succeed.
    pub(super) fn run(mut self) -> Result<(), StoreError> {
        let _announce = Announce(Arc::clone(&self.shared));
        while let Some(batch) = self.next_batch() {
            self.commit_at_last(&batch)?;
        }
        self.finish();
        Ok(())
    }

    /// Waits for work. `None` when the store is closing and all is done.
    fn next_batch(&self) -> Option<Vec<Transaction>> {
        let mut queue = self.shared.lock();
        loop {
            let now = Instant::now();
            let left = queue.since.map_or(Duration::ZERO, |s| (s + LINGER).saturating_duration_since(now));
            let full = queue.waiting.len() >= self.batch;
            if !queue.waiting.is_empty() {
                if queue.hurry || full || queue.closing.is_some() || left.is_zero() {
                    return Some(self.take_batch(&mut queue, now));
                }
                queue = self.shared.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if queue.closing.is_some() {
                return None;
            }
            let (woken, timeout) =
                self.shared.wake.wait_timeout(queue, MEASURE_EVERY).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() && queue.waiting.is_empty() {
                drop(queue);
                self.look_after_disk();
                queue = self.shared.lock();
            }
        }
    }

    fn take_batch(&self, queue: &mut Queue, now: Instant) -> Vec<Transaction> {
        let count = queue.waiting.len().min(self.batch.max(1));
        let batch = queue.waiting.drain(..count).collect();
        let left = !queue.waiting.is_empty();
        queue.hurry &= left;
        queue.since = left.then_some(now);
        batch
    }

    fn look_after_disk(&self) {
        self.shared.disk.measure();
        if !self.shared.disk.state().reserve
            && let Err(error) = self.shared.disk.set_aside()
        {
            tracing::debug!(%error, "no reserve yet");
        }
    }

    /// Tries until the batch is committed, cannot be, or the store is closing and out of patience.
    fn commit_at_last(&mut self, batch: &[Transaction]) -> Result<(), StoreError> {
        let mut pause = self.retry_first;
        loop {
            let failure = match self.commit(batch) {
                Ok(()) => {
                    self.applier.committed();
                    self.checkpoint.committed(batch.iter().map(|t| t.ops.len()).sum());
                    self.announce_commit(batch.len());
                    return Ok(());
                }
                Err(error) => {
                    self.applier.forget();
                    self.roll_back();
                    classify(&error)
                }
            };
            match failure {
                Failure::Fatal { why, damaged } => return Err(self.give_up(why, damaged)),
                Failure::Passing { why, full } => {
                    let made_room = full && self.shared.disk.give_up();
                    self.shared.disk.measure();
                    self.announce_stall(&why);
                    if made_room {
                        tracing::warn!("the reserve was given up so that work under way can end");
                        continue;
                    }
                    if !self.wait_before_retry(pause) {
                        let count = self.shared.stop(&why) + batch.len();
                        self.shared.state.send_modify(|s| s.fatal = Some(why.clone()));
                        return Err(StoreError::NotDrained { count, why });
                    }
                    pause = (pause * 2).min(self.retry_most);
                }
            }
        }
    }

    fn announce_commit(&mut self, count: usize) {
        self.committed += count as u64;
        let committed = Ticket(self.committed);
        self.shared.state.send_modify(|s| {
            if s.stalled.take().is_some() {
                tracing::info!("commits go on");
            }
            s.committed = committed;
        });
    }

    fn announce_stall(&self, why: &str) {
        if self.shared.state.borrow().stalled.as_deref() != Some(why) {
            tracing::warn!(%why, "commits are held up");
        }
        self.shared.state.send_modify(|s| s.stalled = Some(why.to_owned()));
    }

    /// False when the store is closing and its patience is over.
    fn wait_before_retry(&self, pause: Duration) -> bool {
        let queue = self.shared.lock();
        let (queue, _) = self
            .shared
            .wake
            .wait_timeout_while(queue, pause, |q| q.closing.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let Some(until) = queue.closing else { return true };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // While closing, nothing wakes us any more: an ordinary short pause.
        drop(queue);
        std::thread::sleep(left.min(self.retry_first));
        true
    }

    fn commit(&mut self, batch: &[Transaction]) -> rusqlite::Result<()> {
        self.set_bound()?;
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let ops: Vec<&Op> = batch.iter().flat_map(|t| &t.ops).collect();
        let overtaken = overtaken(&ops);
        for (op, overtaken) in ops.into_iter().zip(overtaken) {
            if !overtaken {
                self.applier.apply(&self.conn, op)?;
            }
        }
        self.applier.keep_clock(&self.conn, self.boot_number)?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// A bound below the present size only stops further growth.
    fn set_bound(&self) -> rusqlite::Result<()> {
        let pages = match self.shared.disk.max_bytes() {
            Some(bytes) => bytes / super::open::PAGE_BYTES,
            None => u64::from(u32::MAX) - 1,
        };
        let mut pragma = self.conn.prepare_cached(&format!("PRAGMA max_page_count = {}", pages.max(1)))?;
        pragma.query_row([], |_| Ok(()))
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "rolling back");
        }
    }

    fn give_up(&self, why: String, damaged: bool) -> StoreError {
        tracing::error!(%why, "the writer ends");
        if damaged && let Err(error) = fs::write(&self.suspect, &why) {
            tracing::warn!(%error, "marking the database for a close look");
        }
        self.shared.stop(&why);
        self.shared.state.send_modify(|s| s.fatal = Some(why.clone()));
        StoreError::Closed { why: Some(why) }
    }

    /// Everything is committed: says so in the boot row and leaves no log behind. Where the disk refuses that,
    /// nothing is lost: the next start takes this run for one that crashed.
    fn finish(self) {
        let mark = self.conn.execute("UPDATE boot SET clean = 1 WHERE number = ?1", [self.boot_number]);
        let log = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.shared.stop("the store is closed");
        let closed = self.conn.close().map_err(|(_, error)| error);
        if let Err(error) = mark.map(|_| ()).and(log).and(closed) {
            tracing::warn!(%error, "the store was closed, but not tidily");
        }
    }
}

/// Nothing leaves the box on the strength of these rows.
fn is_patient(transaction: &Transaction) -> bool {
    transaction.ops.iter().all(|op| matches!(op, Op::PutCall(_) | Op::PutBindings(_)))
}

/// A call's record is written whole each time: of several in one commit the last is enough.
fn overtaken(ops: &[&Op]) -> Vec<bool> {
    let mut later: HashMap<(&ShopId, &CallId), bool> = HashMap::new();
    let mut overtaken = vec![false; ops.len()];
    for (op, overtaken) in ops.iter().zip(&mut overtaken).rev() {
        if let Op::PutCall(record) = op {
            let ended = record.ended.is_some();
            match later.entry((&record.shop, &record.id)) {
                // A call that has ended does not go on again.
                Entry::Occupied(later) => *overtaken = *later.get() || !ended,
                Entry::Vacant(none) => {
                    none.insert(ended);
                }
            }
        }
    }
    overtaken
}

fn classify(error: &rusqlite::Error) -> Failure {
    let passing = |why: &str| Failure::Passing { why: format!("{why} ({error})"), full: false };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Failure::Passing { why: format!("the disk is full ({error})"), full: true }
        }
        Some(ErrorCode::SystemIoFailure) => passing("the disk reports errors"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            passing("another program holds the database")
        }
        Some(ErrorCode::ReadOnly) => passing("the disk or the file cannot be written"),
        Some(ErrorCode::CannotOpen) => passing("the database's files cannot be opened"),
        Some(ErrorCode::OutOfMemory) => passing("there is not enough memory"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Failure::Fatal { why: format!("the database is damaged ({error})"), damaged: true }
        }
        _ => Failure::Fatal { why: format!("a transaction is refused ({error})"), damaged: false },
    }
}
