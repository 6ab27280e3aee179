//! Files of texts that the upstream fetches: `GET /twilio/{line}/file/{message}/{number}/{until}/{seal}`, as
//! `twilio::files` writes it. Who has an address that this box sealed for this file, and in time, gets the file; everybody
//! else hears 404, whatever was wrong. No directory, no list, nothing that came in from outside: only what the box itself
//! sends.
//!
//! Deliberately absent: ranges and caching; a text's file is fetched once or twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::config::{Config, UpstreamLine};
use crate::store::{Direction, MediaRow, MediaState, Store};
use crate::twilio::files::{FileRef, is_good};
use crate::types::file::safe_name;
use crate::types::{MessageId, Wall};

/// Files that are read from the database at a time.
const READINGS: usize = 4;
/// Asked of who is sent away for now, seconds.
const LATER: &str = "5";

/// What is asked for, as the path has it.
pub(super) struct Wanted<'a> {
    pub(super) line: &'a str,
    pub(super) message: &'a str,
    pub(super) number: &'a str,
    pub(super) until: &'a str,
    pub(super) seal: &'a str,
}

#[derive(Debug, Default)]
struct Counters {
    served: AtomicU64,
    /// Not sealed, not in time, not there.
    refused: AtomicU64,
    /// Sent away for now.
    unavailable: AtomicU64,
}

/// The lines whose upstream may fetch files here.
pub(super) struct Files {
    lines: BTreeMap<String, UpstreamLine>,
    readings: Semaphore,
    counters: Counters,
}

impl Files {
    pub(super) fn new(config: &Config) -> Self {
        let lines = config.upstreams.iter().filter(|line| line.public_url.is_some());
        Self {
            lines: lines.map(|line| (line.id.to_string(), line.clone())).collect(),
            readings: Semaphore::new(READINGS),
            counters: Counters::default(),
        }
    }

    /// Adds what was counted.
    pub(super) fn count_into(&self, all: &mut Value) {
        let Counters { served, refused, unavailable } = &self.counters;
        for (name, counter) in
            [("files_served", served), ("files_refused", refused), ("files_unavailable", unavailable)]
        {
            all[name] = counter.load(Ordering::Relaxed).into();
        }
    }

    pub(super) async fn answer(
        &self,
        store: &Store,
        method: &Method,
        wanted: &Wanted<'_>,
        now: Wall,
    ) -> Response {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let answer = self.find(store, method, wanted, now).await;
        add(match answer.status() {
            StatusCode::OK => &self.counters.served,
            StatusCode::SERVICE_UNAVAILABLE => &self.counters.unavailable,
            _ => &self.counters.refused,
        });
        answer
    }

    async fn find(&self, store: &Store, method: &Method, wanted: &Wanted<'_>, now: Wall) -> Response {
        // An upstream may look at kind and size first. What is said of the file goes without it then.
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], "GET is taken").into_response();
        }
        let file = self.sealed(wanted, now);
        let Some((line, file)) = file else { return nothing() };
        let Ok(_reading) = self.readings.try_acquire() else { return later() };
        let shop = line.shop.clone();
        let read = store.read(move |reader| {
            let outgoing = reader.message(&shop, &file.message)?;
            if outgoing.is_none_or(|(row, _)| row.direction != Direction::Out) {
                return Ok(None);
            }
            let rows = reader.media(&shop, &file.message)?;
            let kept = |row: &MediaRow| row.number == file.number && row.state == MediaState::Kept;
            let Some(row) = rows.into_iter().find(kept) else { return Ok(None) };
            let bytes = reader.media_bytes(&shop, &file.message, file.number)?;
            Ok(bytes.map(|bytes| (row, bytes)))
        });
        match read.await {
            Ok(Some((row, bytes))) => whole(&row, bytes),
            Ok(None) => nothing(),
            Err(error) => {
                tracing::warn!(line = %line.id, %error, "a file that the upstream asks for cannot be read");
                later()
            }
        }
    }

    fn sealed(&self, wanted: &Wanted<'_>, now: Wall) -> Option<(&UpstreamLine, FileRef)> {
        let line = self.lines.get(wanted.line)?;
        let number = wanted.number.parse::<u8>().ok().filter(|number| number.to_string() == wanted.number)?;
        let file = FileRef { message: MessageId::from(wanted.message), number };
        is_good(line, &file, wanted.until, wanted.seal, now).then_some((line, file))
    }
}

fn whole(row: &MediaRow, bytes: Vec<u8>) -> Response {
    // Both are ASCII without quotes: the one is a word of ours, the other was made safe.
    let name = match safe_name(&row.url, &row.content_type) {
        name if name.is_empty() => String::new(),
        name => format!("; filename=\"{name}\""),
    };
    let headers = [
        (CONTENT_TYPE, row.content_type.clone()),
        (CONTENT_DISPOSITION, format!("inline{name}")),
        (CACHE_CONTROL, "private, no-store".to_owned()),
        (HeaderName::from_static("x-content-type-options"), "nosniff".to_owned()),
    ];
    (headers, bytes).into_response()
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "there is nothing here").into_response()
}

fn later() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, LATER)], "later").into_response()
}
