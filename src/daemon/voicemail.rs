//! Voicemail that callers left in the cloud: looked for on every line of kind `twilio` that was set up for calls, and
//! told to the staff once each. The audit row and the texts are one commit, so a crash in between tells nobody twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::{Clock, SystemClock};
use super::core::{Command, VOICEMAIL};
use super::turns::Request;
use crate::config::{Config, UpstreamLine};
use crate::store::Reader;
use crate::twilio::desk::Desk;
use crate::twilio::recordings::{self, Keep, Voicemail};
use crate::twilio::setup::Record;
use crate::types::ShopId;

/// Newest audit rows that are looked through for one that was told before a crash.
const AUDIT: u32 = 1000;

/// Spawns a task for each line that was set up.
pub(super) fn spawn(
    config: &Config,
    clock: &Arc<SystemClock>,
    requests: &mpsc::Sender<Request>,
    stopped: &watch::Receiver<bool>,
    edges: &mut tokio::task::JoinSet<()>,
) {
    for line in &config.upstreams {
        match watched(&config.storage.path, line) {
            Ok(Some((desk, keep))) => {
                let teller = Teller {
                    shop: line.shop.clone(),
                    storage: config.storage.path.clone(),
                    requests: requests.clone(),
                };
                let (clock, shop, stopped) = (clock.clone(), line.shop.clone(), stopped.clone());
                edges.spawn(async move {
                    let tell = |voicemail| teller.tell(voicemail);
                    recordings::run(desk, keep, shop, || clock.now().wall, tell, stopped).await;
                });
            }
            Ok(None) => {}
            Err(why) => tracing::error!(line = %line.id, why, "voicemail is not looked for"),
        }
    }
}

/// `None` for a line whose calls do not go through the cloud's flow.
fn watched(storage: &Path, line: &UpstreamLine) -> Result<Option<(Desk, Keep)>, String> {
    let record = Record::load(&Record::path(storage, line.id.as_str())).map_err(|e| e.to_string())?;
    if record.number.is_none() {
        return Ok(None);
    }
    let keep = Keep::new(storage, line.id.clone(), line.number.clone(), record.begun_at());
    Ok(Some((Desk::new(line)?, keep)))
}

struct Teller {
    shop: ShopId,
    storage: PathBuf,
    requests: mpsc::Sender<Request>,
}

impl Teller {
    /// True when the staff were told, now or before.
    async fn tell(&self, voicemail: Voicemail) -> bool {
        match self.was_told(&voicemail.sid) {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(shop = %self.shop, %error, "the audit log cannot be read: voicemail is told later");
                return false;
            }
        }
        let command = Command::Voicemail {
            shop: self.shop.clone(),
            line: crate::types::LineId(voicemail.line.clone()),
            body: recordings::words(&voicemail),
            detail: serde_json::json!({
                "recording": voicemail.sid,
                "call": voicemail.call,
                "from": voicemail.from,
                "seconds": voicemail.seconds,
                "left": voicemail.left,
                "file": voicemail.file,
            }),
        };
        let (answer, reply) = oneshot::channel();
        if self.requests.send(Request { command, answer }).await.is_err() {
            return false;
        }
        match reply.await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(shop = %self.shop, error, "the staff cannot be told of a voicemail");
                false
            }
            // The box is stopping.
            Err(_) => false,
        }
    }

    fn was_told(&self, sid: &str) -> Result<bool, String> {
        let reader = Reader::open(&self.storage).map_err(|e| e.to_string())?;
        let rows = reader.audit(&self.shop, AUDIT).map_err(|e| e.to_string())?;
        let of =
            |detail: &serde_json::Value| detail.get("recording").and_then(|one| one.as_str()) == Some(sid);
        Ok(rows.iter().any(|row| row.what == VOICEMAIL && of(&row.detail)))
    }
}
