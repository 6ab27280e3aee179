//! Readers: a few threads, each with its own read-only connection, fed by a bounded queue. What a reader sees is
//! one consistent, committed state.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Check, StoreError};
use crate::types::ShopId;

/// A connection that can only read. Its methods are in `read/`.
pub struct Reader {
    pub(super) conn: Connection,
}

impl Reader {
    /// Reads the database in `directory` beside a running daemon, or without one: for tools.
    ///
    /// # Errors
    /// There is none, it is another program's or a newer version's, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let conn = super::open::connect_reader(directory)?;
        super::open::refuse_newer(&conn, directory)?;
        Ok(Self { conn })
    }

    /// Looks at every page. `Ok(Err(what))` names the first fault.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn check(&self, check: Check) -> Result<Result<(), String>, StoreError> {
        Ok(super::open::check_connection(&self.conn, check)?)
    }

    /// Shops that have anything stored.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn shops(&self) -> Result<Vec<ShopId>, StoreError> {
        let mut query = self.conn.prepare_cached(super::load::SHOPS)?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything that `work` reads is of one moment.
    pub(super) fn at_one_moment<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.conn.unchecked_transaction()?;
        let result = work(self);
        transaction.finish()?;
        result
    }
}

type Job = Box<dyn FnOnce(&Reader) + Send>;

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

pub(super) struct Pool {
    jobs: Arc<(Mutex<Jobs>, Condvar)>,
    bound: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

fn lock(jobs: &(Mutex<Jobs>, Condvar)) -> MutexGuard<'_, Jobs> {
    jobs.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn start(directory: &Path, count: usize, bound: usize) -> Result<Self, StoreError> {
        let jobs = Arc::new((Mutex::new(Jobs::default()), Condvar::new()));
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let reader = Reader { conn: super::open::connect_reader(directory)? };
            let jobs = Arc::clone(&jobs);
            let thread = std::thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || serve(&reader, &jobs))
                .map_err(StoreError::file(directory))?;
            threads.push(thread);
        }
        Ok(Self { jobs, bound: bound.max(1), threads: Mutex::new(threads) })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue(Box::new(move |reader| {
            let result = reader.at_one_moment(work);
            if answer.send(result).is_err() {
                tracing::debug!("nobody waits for this read any more");
            }
        }))?;
        answered
            .await
            .map_err(|_| StoreError::Closed { why: Some("the read was not finished".to_owned()) })?
    }

    fn queue(&self, job: Job) -> Result<(), StoreError> {
        let mut jobs = lock(&self.jobs);
        if jobs.closed {
            return Err(StoreError::Closed { why: None });
        }
        if jobs.waiting.len() >= self.bound {
            return Err(StoreError::ReadersBusy);
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.jobs.1.notify_one();
        Ok(())
    }

    /// Finishes what is queued and ends the threads.
    pub(super) fn close(&self) {
        lock(&self.jobs).closed = true;
        self.jobs.1.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader's thread had panicked");
            }
        }
    }
}

fn serve(reader: &Reader, jobs: &(Mutex<Jobs>, Condvar)) {
    loop {
        let mut queue = lock(jobs);
        let job = loop {
            if let Some(job) = queue.waiting.pop_front() {
                break job;
            }
            if queue.closed {
                return;
            }
            queue = jobs.1.wait(queue).unwrap_or_else(PoisonError::into_inner);
        };
        drop(queue);
        // A read that panics is a bug of that read; the others must still be answered.
        if catch_unwind(AssertUnwindSafe(|| job(reader))).is_err() {
            tracing::error!("a read panicked");
        }
    }
}
