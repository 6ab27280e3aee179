//! The control socket of phone and trunk: JSON lines in, one JSON line out for each, in order.
//!
//! Beside the requests it takes `{"cmd":"subscribe"}`, after which all news are lines of their own.

use super::desk::{Obeys, obey};
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

/// Listens on `path`, replacing a socket that an earlier run left there.
///
/// # Errors
/// The path cannot be had.
pub fn serve<O: Obeys>(path: &Path, owner: Arc<O>) -> io::Result<JoinHandle<()>> {
    use std::os::unix::fs::FileTypeExt as _;
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    Ok(tokio::spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            // A client that goes away in the middle of an answer ends its own task, nothing else.
            clients.spawn(converse(stream, owner.clone()));
            while clients.try_join_next().is_some() {}
        }
    }))
}

async fn converse<O: Obeys>(stream: UnixStream, owner: Arc<O>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(request) if request["cmd"] == "subscribe" => return tell(&mut write, &*owner).await,
            Ok(request) => obey(&owner, request).await,
            Err(problem) => json!({"ok": false, "error": problem.to_string()}),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn tell<O: Obeys>(write: &mut OwnedWriteHalf, owner: &O) -> io::Result<()> {
    let mut news = owner.desk().news();
    write.write_all(b"{\"ok\":true}\n").await?;
    loop {
        let line = match news.recv().await {
            Ok(one) => json!(one),
            Err(RecvError::Lagged(missed)) => json!({"missed": missed}),
            Err(RecvError::Closed) => return Ok(()),
        };
        write.write_all(format!("{line}\n").as_bytes()).await?;
    }
}
