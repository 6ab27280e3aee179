//! JSON lines: the control sockets of the simulators, and the scenario files that they play.
//!
//! A control socket takes JSON lines, and answers each with one JSON line, in order. Beside what its owner knows it
//! takes `{"cmd":"subscribe"}`, after which all news are lines of their own.
//!
//! Absent: what requests, news and steps there are; each simulator says that itself.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

/// The owner of a control socket; a clone is another handle to it.
pub(crate) trait Answers: Clone + Send + Sync + 'static {
    type News: Clone + Serialize + Send;

    /// What subscribers are told from now on.
    fn news(&self) -> broadcast::Receiver<Self::News>;

    /// Does what is asked, and says what came of it.
    fn answer(&self, request: Value) -> impl Future<Output = Value> + Send;
}

/// The answer to what was not done.
pub(crate) fn failed(why: impl ToString) -> Value {
    json!({"ok": false, "error": why.to_string()})
}

/// Listens on `path`, replacing a socket that an earlier run left there.
///
/// # Errors
/// The path cannot be had.
pub(crate) fn serve(path: &Path, owner: impl Answers) -> io::Result<JoinHandle<()>> {
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

async fn converse(stream: UnixStream, owner: impl Answers) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(request) if request["cmd"] == "subscribe" => return tell(&mut write, &owner).await,
            Ok(request) => owner.answer(request).await,
            Err(problem) => failed(problem),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn tell(write: &mut OwnedWriteHalf, owner: &impl Answers) -> io::Result<()> {
    let mut news = owner.news();
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

/// All steps of a scenario file, without empty lines and lines that begin with `#`.
///
/// # Errors
/// The file cannot be read, or its first line that is no step.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, String> {
    parse(&std::fs::read_to_string(path).map_err(|e| e.to_string())?)
}

/// The same of its text.
///
/// # Errors
/// The first line that is no step.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    text.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| serde_json::from_str(line).map_err(|e| format!("line {number}: {e}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named() {
        let steps = parse::<Vec<u8>>("# fine\n\n[1]\n{}\n");
        assert!(steps.as_ref().is_err_and(|problem| problem.starts_with("line 4:")), "{steps:?}");
        assert_eq!(parse("# fine\n\n [1] \n"), Ok(vec![[1]]));
    }
}
