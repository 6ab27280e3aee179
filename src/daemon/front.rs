//! What stands before the box for the outside (HTTP): it asks as the control socket does, and reads the store. The
//! daemon knows no web; whoever starts both puts them together.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::core::Command;
use super::turns::Request;
use crate::store::Store;

/// Goes on until the box stops.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that serves the outside while the box runs.
pub struct Front {
    /// Its name among the edges of the status.
    pub name: &'static str,
    /// Serves until [`Handle::stopping`] is ready, and ends soon after.
    pub serve: Box<dyn FnOnce(Handle) -> Serving + Send>,
    /// What it counts.
    pub counters: Box<dyn Fn() -> Value + Send>,
}

/// The box, as its front has it.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    store: Store,
    stopped: watch::Receiver<bool>,
}

/// Why something was not done. It may be asked again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The box says why.
    #[error("{0}")]
    Refused(String),
    /// The box is going down: what was asked may or may not be done.
    #[error("the box is stopping")]
    Stopping,
}

impl Handle {
    /// Puts one together; `stopped` turns true when the loop has ended.
    #[must_use]
    pub fn new(requests: mpsc::Sender<Request>, store: Store, stopped: watch::Receiver<bool>) -> Self {
        Self { requests, store, stopped }
    }

    /// Asks; the answer comes after the commit, and not before what it may be about is committed.
    ///
    /// # Errors
    /// [`NotDone`].
    pub async fn ask(&self, command: Command) -> Result<Value, NotDone> {
        let (answer, reply) = oneshot::channel();
        let asked = async {
            self.requests.send(Request { command, answer }).await.map_err(|_| NotDone::Stopping)?;
            reply.await.map_err(|_| NotDone::Stopping)?.map_err(NotDone::Refused)
        };
        tokio::select! {
            biased;
            answer = asked => answer,
            // What was committed last has been answered by then.
            () = self.stopping() => Err(NotDone::Stopping),
        }
    }

    /// To read from.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Ready when the box takes nothing more.
    pub async fn stopping(&self) {
        let mut stopped = self.stopped.clone();
        // Err: whoever could say so is gone.
        let _gone = stopped.wait_for(|stop| *stop).await;
    }
}

/// The edges' counters, with those of one more.
pub(super) fn with_counters(
    edges: Box<dyn Fn() -> Value + Send>,
    name: &'static str,
    more: Box<dyn Fn() -> Value + Send>,
) -> Box<dyn Fn() -> Value + Send> {
    Box::new(move || {
        let mut all = match edges() {
            Value::Object(all) => all,
            // A box without calls counts none.
            _ => serde_json::Map::new(),
        };
        all.insert(name.to_owned(), more());
        Value::Object(all)
    })
}
