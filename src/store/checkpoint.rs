//! Carries the write-ahead log over into the database beside the writer, on a thread and connection of its own, so
//! that no commit waits for it: a passive checkpoint hinders nobody. When the writer is never idle it cannot catch
//! up, and the writer's own checkpoint at [`BACKSTOP_PAGES`] bounds the log.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::StoreError;

/// 16 MiB of log: read back in well under a second at the next start.
pub(super) const BACKSTOP_PAGES: u32 = 4000;
/// About 1,000 pages of log.
const OPERATIONS: usize = 400;

#[derive(Default)]
struct Due {
    operations: usize,
    closed: bool,
}

/// Counts what is committed and wakes the thread when it is worth it.
#[derive(Default)]
pub(super) struct Signal(Mutex<Due>, Condvar);

impl Signal {
    fn lock(&self) -> MutexGuard<'_, Due> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self, operations: usize) {
        let mut due = self.lock();
        due.operations = due.operations.saturating_add(operations);
        if due.operations >= OPERATIONS {
            self.1.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.1.notify_one();
    }

    /// False when closed.
    fn wait(&self) -> bool {
        let mut due = self
            .1
            .wait_while(self.lock(), |due| !due.closed && due.operations < OPERATIONS)
            .unwrap_or_else(PoisonError::into_inner);
        due.operations = 0;
        !due.closed
    }
}

pub(super) fn start(directory: &Path, signal: Arc<Signal>) -> Result<JoinHandle<()>, StoreError> {
    let conn = super::open::connect_checkpointer(directory)?;
    std::thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || run(&conn, &signal))
        .map_err(StoreError::file(directory))
}

fn run(conn: &Connection, signal: &Signal) {
    while signal.wait() {
        // A disk that refuses holds up the writer too, and that is where it is reported.
        if let Err(error) = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::debug!(%error, "carrying the log over");
        }
    }
}
