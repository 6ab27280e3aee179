//! The control socket: JSON lines in, one JSON line out for each, in order.
//!
//! Beside every [`Request`] it takes `{"cmd":"wait_submitted","since":N,"count":N,"timeout_ms":N}` and
//! `{"cmd":"subscribe"}`, after which each text that the box sends is a line of its own.

use super::{Answer, Handle, Request, Submitted};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
enum Extra {
    WaitSubmitted {
        #[serde(default)]
        since: u64,
        #[serde(default = "one")]
        count: usize,
        #[serde(default = "ten_seconds")]
        timeout_ms: u64,
    },
    Subscribe,
}

fn one() -> usize {
    1
}

fn ten_seconds() -> u64 {
    10_000
}

/// Listens on `path`, replacing a socket that an earlier run left there.
pub(super) fn serve(path: &Path, handle: Handle) -> io::Result<JoinHandle<()>> {
    use std::os::unix::fs::FileTypeExt as _;
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    Ok(tokio::spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            // A client that goes away in the middle of an answer ends its own task, nothing else.
            clients.spawn(converse(stream, handle.clone()));
            while clients.try_join_next().is_some() {}
        }
    }))
}

async fn converse(stream: UnixStream, handle: Handle) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str(&line) {
            Ok(Extra::Subscribe) => return stream_submitted(&mut write, &handle).await,
            Ok(Extra::WaitSubmitted { since, count, timeout_ms }) => {
                let timeout = Duration::from_millis(timeout_ms);
                handle.wait_submitted(since, count, timeout).await.map(|texts| texts_json(&texts))
            }
            Err(_) => match serde_json::from_str::<Request>(&line) {
                Ok(request) => handle.request(request).await.map(answer_json),
                Err(problem) => Ok(json!({"ok": false, "error": problem.to_string()})),
            },
        };
        let answer = answer.unwrap_or_else(|e| json!({"ok": false, "error": e.to_string()}));
        write.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn stream_submitted(write: &mut OwnedWriteHalf, handle: &Handle) -> io::Result<()> {
    let mut news = handle.submitted();
    write.write_all(b"{\"ok\":true}\n").await?;
    loop {
        let line = match news.recv().await {
            Ok(text) => json!(text),
            Err(RecvError::Lagged(missed)) => json!({"missed": missed}),
            Err(RecvError::Closed) => return Ok(()),
        };
        write.write_all(format!("{line}\n").as_bytes()).await?;
    }
}

fn texts_json(texts: &[Submitted]) -> Value {
    json!({"ok": true, "submitted": texts})
}

fn answer_json(answer: Answer) -> Value {
    match answer {
        Answer::Done => json!({"ok": true}),
        Answer::Delivered(parts) => json!({"ok": true, "parts": parts}),
        Answer::Submitted(texts) => texts_json(&texts),
        Answer::State(state) => json!({"ok": true, "state": state}),
    }
}
