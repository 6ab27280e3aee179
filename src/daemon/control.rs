//! The control socket: `control.sock` beside the database, for this machine's commands. JSON lines, one answer a
//! line: `{"do":"send","shop":"main","to":"+1206…","body":"…"}` gives `{"ok":…}` or `{"error":"…"}`. Who may open
//! the socket (its owner) may ask.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

use super::core::{Command, ConsentAsk, Enclosure, NewFlow};
use super::turns::Request;
use crate::messaging::ledger::Purpose;
use crate::types::{CallId, MessageId, OrderId, ShopId, Wall};

/// Longest request line, in bytes: files of 5 MB in base64 and the rest.
const LONGEST: u64 = 8 << 20;
/// Without files; longer ones are read [`LONG_MOST`] at a time.
const SHORT: u64 = 64 << 10;
const LONG_MOST: usize = 4;
/// Until a long one must be in.
const PATIENCE: Duration = Duration::from_secs(10);
const TOO_LONG: &str = "not a request: it is longer than 8 MiB";

/// The wire form of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Text somebody.
    Send {
        /// By which shop.
        shop: String,
        /// Whom.
        to: String,
        /// What.
        body: String,
    },
    /// Text somebody for a purpose: `marketing`, `informational`, or what reaches people who said STOP.
    SendFor {
        /// By which shop.
        shop: String,
        /// Whom.
        to: String,
        /// What.
        body: String,
        /// What for.
        purpose: Purpose,
        /// Which law or emergency, for what reaches people who said STOP.
        #[serde(default)]
        why: String,
        /// Who, for the audit log.
        by: String,
        /// Files, or a template in place of words.
        #[serde(default)]
        with: Box<Enclosure>,
    },
    /// Enter what people said about being texted.
    Consent {
        /// Whose.
        shop: String,
        /// What.
        ask: ConsentAsk,
        /// Who, for the audit log.
        by: String,
    },
    /// Send a text in doubt once more.
    Resend {
        /// Whose.
        shop: String,
        /// SM…
        message: String,
    },
    /// Send an order in doubt once more.
    ResendOrder {
        /// Whose.
        shop: String,
        /// OR…
        order: String,
    },
    /// Change settings, all or none.
    Set {
        /// Whose.
        shop: String,
        /// Key and value; null brings the default back.
        values: Map<String, Value>,
        /// Who, for the audit log.
        by: String,
    },
    /// End a call.
    HangUp {
        /// Whose.
        shop: String,
        /// CA…
        call: String,
    },
    /// Store a revision of a flow.
    PutFlow {
        /// Whose.
        shop: String,
        /// Friendly name.
        name: String,
        /// FW…, ours.
        sid: String,
        /// Its number, one above the newest; or the newest, to publish it.
        revision: u32,
        /// Studio JSON.
        definition: String,
        /// New conversations run it from now on.
        publish: bool,
        /// Who.
        by: String,
    },
    /// Deliver an event once more.
    ReplayEvent {
        /// Whose.
        shop: String,
        /// EV…
        event: String,
    },
    /// Deliver dead events once more.
    ReplayDead {
        /// Whose.
        shop: String,
        /// Not what happened before; milliseconds since 1970.
        since: Option<i64>,
    },
    /// Send a `test.ping` to an endpoint.
    TestEndpoint {
        /// Whose.
        shop: String,
        /// As the configuration names it.
        endpoint: String,
    },
    /// How things stand.
    Status,
}

impl From<Ask> for Command {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Send { shop, to, body } => Self::Send { shop: ShopId(shop), to, body },
            Ask::SendFor { shop, to, body, purpose, why, by, with } => {
                Self::SendFor { shop: ShopId(shop), to, body, purpose, why, by, with }
            }
            Ask::Consent { shop, ask, by } => Self::Consent { shop: ShopId(shop), ask, by },
            Ask::Resend { shop, message } => Self::Resend { shop: ShopId(shop), message: MessageId(message) },
            Ask::ResendOrder { shop, order } => {
                Self::ResendOrder { shop: ShopId(shop), order: OrderId(order) }
            }
            Ask::Set { shop, values, by } => Self::Set { shop: ShopId(shop), values, by },
            Ask::HangUp { shop, call } => Self::HangUp { shop: ShopId(shop), call: CallId(call) },
            Ask::PutFlow { shop, name, sid, revision, definition, publish, by } => {
                let flow = NewFlow { name, sid, revision, definition, publish, by };
                Self::PutFlow { shop: ShopId(shop), flow }
            }
            Ask::ReplayEvent { shop, event } => Self::ReplayEvent { shop: ShopId(shop), event },
            Ask::ReplayDead { shop, since } => {
                Self::ReplayDead { shop: ShopId(shop), since: since.map(Wall) }
            }
            Ask::TestEndpoint { shop, endpoint } => Self::TestEndpoint { shop: ShopId(shop), endpoint },
            Ask::Status => Self::Status,
        }
    }
}

/// Where the socket of a storage directory is.
#[must_use]
pub fn socket(storage: &Path) -> PathBuf {
    storage.join("control.sock")
}

/// Opens the socket; one that a dead daemon left behind is replaced (the store's lock says that it is dead).
///
/// # Errors
/// The directory cannot be written.
pub(super) fn listen(storage: &Path) -> io::Result<UnixListener> {
    let path = socket(storage);
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket for as long as the loop listens.
pub(super) async fn serve(listener: UnixListener, requests: mpsc::Sender<Request>) {
    let long = Arc::new(Semaphore::new(LONG_MOST));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (requests, long) = (requests.clone(), Arc::clone(&long));
                tokio::spawn(async move {
                    if let Err(error) = talk(stream, requests, long).await {
                        tracing::debug!(%error, "a control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn talk(stream: UnixStream, requests: mpsc::Sender<Request>, long: Arc<Semaphore>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(SHORT));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        // It holds on to its place until it is answered.
        let _place = rest(&mut lines, &mut line, &long).await?;
        // What is behind one that was cut off is no request of its own.
        let whole = line.ends_with(b"\n") || lines.get_ref().limit() > 0;
        let answer = if whole { answer(&line, &requests).await } else { Err(TOO_LONG.to_owned()) };
        let answer = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
        if !whole {
            return Ok(());
        }
        line = Vec::new();
        lines.get_mut().set_limit(SHORT);
    }
    Ok(())
}

/// Reads on where a request is a long one: a few at a time, and who is slow is not waited for.
async fn rest<'a>(
    lines: &mut BufReader<Take<OwnedReadHalf>>,
    line: &mut Vec<u8>,
    long: &'a Semaphore,
) -> io::Result<Option<SemaphorePermit<'a>>> {
    if line.ends_with(b"\n") || lines.get_ref().limit() > 0 {
        return Ok(None);
    }
    let place = long.acquire().await.map_err(io::Error::other)?;
    lines.get_mut().set_limit(LONGEST - SHORT);
    tokio::time::timeout(PATIENCE, lines.read_until(b'\n', line)).await.map_err(io::Error::other)??;
    Ok(Some(place))
}

async fn answer(line: &[u8], requests: &mpsc::Sender<Request>) -> Result<Value, String> {
    let ask: Ask = serde_json::from_slice(line).map_err(|e| format!("not a request: {e}"))?;
    let (answer, reply) = oneshot::channel();
    let request = Request { command: ask.into(), answer };
    requests.send(request).await.map_err(|_| "the box is stopping".to_owned())?;
    reply.await.map_err(|_| "the box is stopping".to_owned())?
}

/// Asks the daemon that runs on this storage directory. `Ok(None)`: none runs.
///
/// # Errors
/// What the daemon says, or that it does not answer.
pub fn ask(storage: &Path, ask: &Ask) -> Result<Option<Value>, String> {
    use std::io::{BufRead, Write};
    let Ok(mut stream) = std::os::unix::net::UnixStream::connect(socket(storage)) else { return Ok(None) };
    let patience = Some(PATIENCE);
    let io = |e: io::Error| format!("the running backroom does not answer: {e}");
    stream.set_read_timeout(patience).map_err(io)?;
    let line = serde_json::to_string(ask).map_err(|e| e.to_string())?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(io)?;
    let mut reply = String::new();
    io::BufReader::new(stream).read_line(&mut reply).map_err(io)?;
    let reply: Value =
        serde_json::from_str(&reply).map_err(|e| format!("the running backroom answered: {e}"))?;
    match (reply.get("ok"), reply.get("error").and_then(Value::as_str)) {
        (Some(value), _) => Ok(Some(value.clone())),
        (None, Some(error)) => Err(error.to_owned()),
        (None, None) => Err("the running backroom answered nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is answered to these bytes, and how many requests the loop saw.
    async fn told(bytes: Vec<u8>) -> (String, usize) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (requests, mut taken) = mpsc::channel::<Request>(8);
        let long = Arc::new(Semaphore::new(1));
        let talk = tokio::spawn(talk(ours, requests, long));
        let (mut read, mut write) = theirs.into_split();
        let writing = tokio::spawn(async move {
            // It may hang up before it has read all.
            let written = write.write_all(&bytes).await;
            drop(write);
            written.is_ok()
        });
        let mut seen = 0;
        while let Some(request) = taken.recv().await {
            seen += 1;
            request.answer.send(Ok(json!("fine"))).unwrap();
        }
        let ended = talk.await.unwrap();
        let mut said = String::new();
        // What nobody read resets the connection.
        let read = read.read_to_string(&mut said).await.is_ok();
        assert!(ended.is_ok() && (writing.await.unwrap() || !read || said.contains(TOO_LONG)));
        (said, seen)
    }

    #[tokio::test]
    async fn what_stands_behind_a_request_that_is_too_long_is_none() {
        let status = b"{\"do\":\"status\"}\n";
        let largest = usize::try_from(LONGEST).unwrap();
        let (said, seen) = told([vec![b'x'; largest].as_slice(), status].concat()).await;
        assert_eq!((said.contains("fine"), seen), (false, 0), "{said}");
        let padded = [vec![b' '; largest - status.len()].as_slice(), status, status].concat();
        assert_eq!(told(padded).await, ("{\"ok\":\"fine\"}\n".repeat(2), 2));
    }

    #[tokio::test]
    async fn a_long_request_is_one_wherever_it_is_cut_and_a_last_one_needs_no_end() {
        for before in 0..4 {
            let name = format!("{}{}", "a".repeat(before), "\u{20ac}".repeat(40_000));
            let ask = format!("{{\"do\":\"test_endpoint\",\"shop\":\"main\",\"endpoint\":\"{name}\"}}");
            assert_eq!(told(ask.into_bytes()).await, ("{\"ok\":\"fine\"}\n".to_owned(), 1));
        }
        let (said, seen) = told(b"\xff\n{\"do\":\"status\"}".to_vec()).await;
        assert!(said.starts_with("{\"error\":\"not a request") && seen == 1, "{said}");
    }
}
