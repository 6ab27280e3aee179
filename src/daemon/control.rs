//! The control socket: `control.sock` beside the database, for this machine's commands. JSON lines, one answer a
//! line: `{"do":"send","shop":"main","to":"+1206…","body":"…"}` gives `{"ok":…}` or `{"error":"…"}`. Who may open
//! the socket (its owner) may ask.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::core::{Command, ConsentAsk, Enclosure, NewFlow};
use super::turns::Request;
use crate::messaging::ledger::Purpose;
use crate::types::{CallId, MessageId, OrderId, ShopId, Wall};

/// Longest request line, in bytes: files of 5 MB in base64 and the rest.
const LONGEST: u64 = 8 << 20;
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
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let requests = requests.clone();
                tokio::spawn(async move {
                    if let Err(error) = talk(stream, requests).await {
                        tracing::debug!(%error, "a control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn talk(stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST));
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        // The rest of what was cut off is no request of its own.
        let whole = line.ends_with('\n') || lines.get_ref().limit() > 0;
        let answer = if whole { answer(&line, &requests).await } else { Err(TOO_LONG.to_owned()) };
        let answer = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
        if !whole {
            return Ok(());
        }
        line.clear();
        lines.get_mut().set_limit(LONGEST);
    }
    Ok(())
}

async fn answer(line: &str, requests: &mpsc::Sender<Request>) -> Result<Value, String> {
    let ask: Ask = serde_json::from_str(line).map_err(|e| format!("not a request: {e}"))?;
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
    let patience = Some(std::time::Duration::from_secs(10));
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
