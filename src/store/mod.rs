//! SQLite, and the only room that knows SQL. One writer thread commits batches in strict order with
//! `synchronous=FULL`; a pool of readers serves views. Rows are own, versioned types (`rows`), converted by
//! hand from what the cores hold. Every shop-owned row and query carries `shop_id`.
//!
//! [`open`] hands over a [`Store`] and the [`Snapshot`] of all that is unfinished. [`Store::submit`] takes a
//! [`Transaction`] without waiting and gives its [`Ticket`]; [`Store::watch`] tells when it is durable, when the
//! disk holds the writer up, and when the writer has ended and the daemon must exit and reload. [`Store::read`]
//! runs a query of [`Reader`] away from the loop.
//!
//! Deliberately absent: deletion by age and collection of large values that nothing refers to (retention's work,
//! which must know whether the clock is sure), encryption at rest, reading back from a damaged file.

mod apply;
mod backup;
mod blob;
mod calls;
mod checkpoint;
mod codec;
mod disk;
mod error;
mod ledger_copy;
mod load;
mod open;
mod read;
mod reader;
mod rows;
mod schema;
mod upstream;
mod wal;
mod words;
mod writer;

#[cfg(test)]
mod tests;

pub use calls::CallFilter;
pub use disk::DiskState;
pub use error::{Notice, QueueFull, StoreError};
pub use load::{EVENTS_AT_HAND, REPORT_WAIT, Snapshot};
pub use read::{MessageFilter, StatusCount};
pub use reader::Reader;
pub use rows::*;
pub use upstream::SIDS_KEPT;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::call::CallRecord;
use crate::types::{BootId, MessageId, Now, ShopId, Wall};
use disk::Disk;
use reader::Pool;
use writer::{Shared, Writer};

/// The database's name in its directory.
pub const FILE: &str = "backroom.db";

/// Everything that one event changes, committed together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// In order.
    pub ops: Vec<Op>,
}

/// Position of a transaction in the order of commits, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Insert or replace by (shop, id). A status that the network reported is not taken back: see `apply`.
    PutMessage(MessageRow),
    /// Insert or replace by (shop, message, number). Its message must be in the same or an earlier transaction.
    PutPart(PartRow),
    /// Drop the parts of a message beyond this number: it was written anew, for a line that takes it in fewer.
    DropParts(ShopId, MessageId, u8),
    /// Insert or replace by (line, identity, slot) while unfreed.
    PutReceived(ReceivedRow),
    /// Insert or replace by (shop, id). A second id for the same person can never be committed.
    PutConversation(ConversationRow),
    /// Insert or replace by (shop, sid). Values over 1 KiB inside the JSON are kept once, by hash.
    PutExecution(ExecutionRow),
    /// Insert by (shop, execution, number); the same again is ignored. Its execution must be in the same or an
    /// earlier transaction.
    AddStep(StepRow),
    /// Insert or replace by (shop, id).
    PutTimer(TimerRow),
    /// By (shop, id).
    DeleteTimer(ShopId, String),
    /// Insert or replace by (shop, id).
    PutOrder(OrderRow),
    /// Insert or replace by (shop, key).
    PutCached(CachedRow),
    /// Delete by (shop, key prefix).
    DropCached(ShopId, String),
    /// Append to the log that consent had before its ledger, and set the block state of (shop, person). The daemon puts
    /// none any more; what an older file has of them goes into the ledger when it is opened (`consent_before`).
    AddConsent(ConsentRow),
    /// Append to the shop's consent ledger; the same entry again is ignored, another one in its place is an error.
    AddConsentEntry(ConsentEntryRow),
    /// Drop the shop's consent entries that are over seven years old at this time, when it is sure: see
    /// [`crate::messaging::ledger::expired`].
    ExpireConsent(ShopId, Now),
    /// The shop's ledger as it stands is the one that holds, although the copy beside the database says otherwise.
    AcceptConsent(ShopId),
    /// Insert or replace by (shop, line); never goes back.
    PutCursor(CursorRow),
    /// Insert or replace by (shop, message, number).
    PutMedia(MediaRow),
    /// Insert by (shop, id); one that is there already stays as it is.
    AddEventOut(EventOutRow),
    /// Insert or replace by (shop, id).
    PutEventOut(EventOutRow),
    /// Drop a shop's events that were delivered before the first time, and dead ones that are older than the second:
    /// the oldest 1000 each. The newest of each endpoint stays, so that numbers go on.
    DropEventsOut(ShopId, Wall, Wall),
    /// Insert or replace by (shop, key); the audit row beside it is made from it. The value that it has already
    /// changes nothing.
    PutSetting(SettingRow),
    /// Insert by (shop, name, revision); sets the published revision when asked. A revision that exists keeps its
    /// definition.
    PutFlow(FlowRow),
    /// Append to the audit log.
    AddAudit(AuditRow),
    /// Insert or replace by (shop, id). The last one of a call that is over is not taken back: see `calls`.
    PutCall(Box<CallRecord>),
    /// Insert or replace by (shop, device); a phone without contacts has no row.
    PutBindings(BindingsRow),
    /// The time, for the row of this run: the newest sure one is the clock's floor after the next start. Wanted
    /// once a minute and before closing.
    Tick(Now),
}

/// How closely a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Not at all.
    None,
    /// Every page, not every index against its table.
    Quick,
    /// Everything.
    Full,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory; the database is `backroom.db` in it.
    pub path: PathBuf,
    /// The kernel's boot id.
    pub boot: BootId,
    /// Transactions that may wait for the writer, default 1,024.
    pub queue: usize,
    /// Transactions that are committed together at most, default 64.
    pub batch: usize,
    /// Reader threads, default 2.
    pub readers: usize,
    /// Reads that may wait, default 256.
    pub read_queue: usize,
    /// First pause after a failed commit, default 50 ms; doubles.
    pub retry_first: Duration,
    /// Longest pause, default 5 s.
    pub retry_most: Duration,
    /// How long a lock of another program is waited for inside one try, default 2 s.
    pub busy: Duration,
    /// How long closing waits for a disk that holds the writer up, default 1 s.
    pub close_patience: Duration,
    /// Size of the file that is given up on a full disk, default 8 MiB; 0 for none.
    pub reserve: u64,
    /// [`DiskState::low`] is true below, default 32 MiB.
    pub low_water: u64,
    /// Bound of the database's file in bytes, default none; see [`Store::set_max_bytes`].
    pub max_bytes: Option<u64>,
    /// Check at start, default [`Check::Quick`].
    pub check: Check,
    /// Largest file that is checked at start, default 64 MiB: under two seconds from a slow card. A larger one is
    /// reported as [`Notice::NotChecked`].
    pub check_up_to: u64,
    /// Copies kept in `backups/`, default 3.
    pub backups_kept: usize,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new(path: &Path, boot: BootId) -> Self {
        Self {
            path: path.to_owned(),
            boot,
            queue: 1024,
            batch: 64,
            readers: 2,
            read_queue: 256,
            retry_first: Duration::from_millis(50),
            retry_most: Duration::from_secs(5),
            busy: Duration::from_secs(2),
            close_patience: Duration::from_secs(1),
            reserve: 8 << 20,
            low_water: 32 << 20,
            max_bytes: None,
            check: Check::Quick,
            check_up_to: 64 << 20,
            backups_kept: 3,
        }
    }
}

/// How far the writer is and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterState {
    /// Every transaction up to this one is durable.
    pub committed: Ticket,
    /// What holds the writer up, in words; it goes on trying.
    pub stalled: Option<String>,
    /// Why the writer ended: nothing is committed any more, exit and reload.
    pub fatal: Option<String>,
}

/// A handle on the open database. The last one to go closes it, as [`Store::close`] does.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    pool: Pool,
    writer: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
    checkpoint: Arc<checkpoint::Signal>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
    options: Options,
    boot_number: i64,
    /// Held as long as the store is open.
    _lock: File,
}

/// Opens the database, or makes one. Blocks for as long as checking and loading take.
///
/// # Errors
/// Another daemon uses it, it belongs to a newer version or another program, or the disk refuses.
pub fn open(options: &Options, now: Now) -> Result<(Store, Snapshot, Vec<Notice>), StoreError> {
    let mut opened = open::open(options, now)?;
    let disk = Disk::new(&options.path, options.reserve, options.low_water, options.max_bytes);
    if let Err(error) = disk.set_aside() {
        opened.notices.push(Notice::NoReserve { what: error.to_string() });
    }
    let shared = Arc::new(Shared::new(options.queue, disk));
    let pool = Pool::start(&options.path, options.readers, options.read_queue)?;
    let signal = Arc::new(checkpoint::Signal::default());
    let checkpointer = checkpoint::start(&options.path, Arc::clone(&signal))?;
    let writer = Writer {
        checkpoint: Arc::clone(&signal),
        shared: Arc::clone(&shared),
        conn: opened.conn,
        boot_number: opened.boot_number,
        batch: options.batch,
        retry_first: options.retry_first,
        retry_most: options.retry_most,
        suspect: open::suspect_mark(&options.path),
        applier: apply::Applier::new(opened.ledger_copy),
        committed: 0,
    };
    let thread = std::thread::Builder::new()
        .name("store-write".to_owned())
        .spawn(move || writer.run())
        .map_err(StoreError::file(&options.path))?;
    let inner = Inner {
        shared,
        pool,
        writer: Mutex::new(Some(thread)),
        checkpoint: signal,
        checkpointer: Mutex::new(Some(checkpointer)),
        options: options.clone(),
        boot_number: opened.boot_number,
        _lock: opened.lock,
    };
    Ok((Store { inner: Arc::new(inner) }, opened.snapshot, opened.notices))
}

impl Store {
    /// Queues a transaction; never blocks. Transactions are committed in the order of their tickets.
    ///
    /// # Errors
    /// The queue is full, or the writer has ended; the transaction is given back.
    pub fn submit(&self, transaction: Transaction) -> Result<Ticket, QueueFull> {
        self.inner.shared.submit(transaction)
    }

    /// How many transactions the queue takes now: an edge asks before it accepts work.
    #[must_use]
    pub fn room(&self) -> usize {
        self.inner.shared.room()
    }

    /// The writer's state, now and whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<WriterState> {
        self.inner.shared.state.subscribe()
    }

    /// Somebody waits for what was submitted. Without this, transactions that hold only records of calls and contacts of
    /// phones wait up to 20 ms for others to be committed with.
    pub fn hurry(&self) {
        self.inner.shared.hurry();
    }

    /// Waits until `ticket` is durable.
    ///
    /// # Errors
    /// The writer ended before.
    pub async fn committed(&self, ticket: Ticket) -> Result<(), StoreError> {
        self.hurry();
        let mut watch = self.watch();
        let state = watch
            .wait_for(|s| s.committed >= ticket || s.fatal.is_some())
            .await
            .map_err(|_| StoreError::Closed { why: None })?;
        if state.committed >= ticket {
            return Ok(());
        }
        Err(StoreError::Closed { why: state.fatal.clone() })
    }

    /// Room on the disk, as of at most two seconds ago: costs nothing.
    #[must_use]
    pub fn disk_state(&self) -> DiskState {
        self.inner.shared.disk.state()
    }

    /// Bounds the database's file from the next commit on, so that it leaves room for other things on the disk. A
    /// database that reaches the bound behaves as on a full disk.
    pub fn set_max_bytes(&self, max: Option<u64>) {
        self.inner.shared.disk.set_max_bytes(max);
    }

    /// Runs a query on one of the readers' threads. It sees what was committed when it begins. The query must not
    /// hold a [`Store`]: the last handle waits for the readers when it goes.
    ///
    /// # Errors
    /// The query's, or too many are waiting, or the store is closed.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.pool.run(query).await
    }

    /// As [`Store::read`], after everything that was submitted before this call is committed.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_after_writes<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.committed(self.inner.shared.submitted()).await?;
        self.read(query).await
    }

    /// The conversation with `person`, if there ever was one, as of everything submitted before.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn conversation(
        &self,
        shop: &ShopId,
        person: &str,
    ) -> Result<Option<ConversationRow>, StoreError> {
        let (shop, person) = (shop.clone(), person.to_owned());
        self.read_after_writes(move |reader| reader.conversation(&shop, &person)).await
    }

    /// The kept answer of the dealer, as of everything submitted before.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn cached(&self, shop: &ShopId, key: &str) -> Result<Option<CachedRow>, StoreError> {
        let (shop, key) = (shop.clone(), key.to_owned());
        self.read_after_writes(move |reader| reader.cached(&shop, &key)).await
    }

    /// The first [`EVENTS_AT_HAND`] events that wait, of one endpoint, as of everything submitted before.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn events_waiting(
        &self,
        shop: &ShopId,
        endpoint: &str,
    ) -> Result<Vec<EventOutRow>, StoreError> {
        let (shop, endpoint) = (shop.clone(), endpoint.to_owned());
        self.read_after_writes(move |reader| reader.events_waiting(&shop, &endpoint, EVENTS_AT_HAND)).await
    }

    /// One outgoing event, as of everything submitted before.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn event_out(&self, shop: &ShopId, id: &str) -> Result<Option<EventOutRow>, StoreError> {
        let (shop, id) = (shop.clone(), id.to_owned());
        self.read_after_writes(move |reader| reader.event_out(&shop, &id)).await
    }

    /// The newest 1000 outgoing events that were given up, none that happened before `since`.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn events_dead(
        &self,
        shop: &ShopId,
        since: Option<Wall>,
    ) -> Result<Vec<EventOutRow>, StoreError> {
        let shop = shop.clone();
        self.read_after_writes(move |reader| {
            let mut rows = reader.events_out(&shop, Some(EventOutState::Dead), None, 1000)?;
            rows.retain(|row| since.is_none_or(|since| row.created >= since));
            Ok(rows)
        })
        .await
    }

    /// The snapshot again, as of everything submitted before.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn load(&self, now: Now) -> Result<(Snapshot, Vec<Notice>), StoreError> {
        let boot_number = self.inner.boot_number;
        self.read_after_writes(move |reader| {
            let mut notices = Vec::new();
            let snapshot = load::snapshot(&reader.conn, boot_number, now, &mut notices)?;
            Ok((snapshot, notices))
        })
        .await
    }

    /// Looks at every page of the database, away from the loop. `Ok(Err(what))` names the first fault; the next
    /// start then looks at everything and puts a damaged file aside, whatever its size.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn check(&self, check: Check) -> Result<Result<(), String>, StoreError> {
        let suspect = open::suspect_mark(&self.inner.options.path);
        self.read(move |reader| {
            let verdict = reader.check(check)?;
            if let Err(what) = &verdict {
                std::fs::write(&suspect, what).map_err(StoreError::file(&suspect))?;
            }
            Ok(verdict)
        })
        .await
    }

    /// Makes a whole copy in `backups/`, away from the loop, and answers with its path.
    ///
    /// # Errors
    /// As [`Store::read`], and when the disk has no room for it.
    pub async fn backup(&self, wall: Wall) -> Result<PathBuf, StoreError> {
        let directory = self.inner.options.path.clone();
        let keep = self.inner.options.backups_kept;
        self.read(move |_| {
            // Its own connection: copying is not possible inside the reader's transaction.
            backup::make(&open::connect_copier(&directory)?, &directory, wall, keep)
        })
        .await
    }

    /// Takes nothing more, commits what is queued, checkpoints, and ends the threads. Blocks until then, at most
    /// [`Options::close_patience`] when the disk holds the writer up. Other handles are of no use after it.
    ///
    /// # Errors
    /// What could not be committed in time, or how the writer had ended before.
    pub fn close(self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

impl Inner {
    fn close(&self) -> Result<(), StoreError> {
        self.shared.begin_close(self.options.close_patience);
        self.pool.close();
        self.checkpoint.close();
        let checkpointer = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if checkpointer.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpoint's thread had panicked");
        }
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(StoreError::Closed { why: Some("the writer's thread panicked".to_owned()) }),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "closing the store");
        }
    }
}
