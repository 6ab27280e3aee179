//! Voicemail that callers left in the cloud: looked for on every line of kind `twilio` that is set up for calls, also
//! when that is done while the daemon runs, and told to the staff once each. The audit row and the texts are one commit,
//! so a crash in between tells nobody twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::{Clock, SystemClock};
use super::core::{Command, VOICEMAIL};
use super::turns::Request;
use crate::config::{Config, UpstreamLine};
use crate::store::Reader;
use crate::twilio::desk::Desk;
use crate::twilio::recordings::{self, Keep, Voicemail};
use crate::twilio::setup::Record;
use crate::types::{LineId, ShopId};

/// Newest audit rows that are looked through for one that was told before a crash.
const AUDIT: u32 = 1000;

/// How often is looked whether a line is set up by now.
const SET_UP_YET: Duration = Duration::from_secs(20);

/// Spawns a task for each line: it may be set up at any time.
pub(super) fn spawn(
    config: &Config,
    clock: &Arc<SystemClock>,
    requests: &mpsc::Sender<Request>,
    stopped: &watch::Receiver<bool>,
    edges: &mut tokio::task::JoinSet<()>,
) {
    for line in &config.upstreams {
        let line = line.clone();
        let (shop, storage) = (line.shop.clone(), config.storage.path.clone());
        let teller =
            Teller { shop: shop.clone(), line: line.id.clone(), storage, requests: requests.clone() };
        let (clock, mut stopped) = (clock.clone(), stopped.clone());
        edges.spawn(async move {
            let Some((desk, keep)) = until_set_up(&teller.storage, &line, &mut stopped).await else { return };
            let tell = |voicemail| teller.tell(voicemail);
            let alarmed = || teller.line_is_alarmed();
            recordings::run(desk, keep, shop, || clock.now().wall, tell, alarmed, stopped).await;
        });
    }
}

/// Waits until the line is set up. `None`: the box stops, or voicemail can never be looked for.
async fn until_set_up(
    storage: &Path,
    line: &UpstreamLine,
    stopped: &mut watch::Receiver<bool>,
) -> Option<(Desk, Keep)> {
    let mut said = false;
    loop {
        match watched(storage, line) {
            Ok(Some(found)) => return Some(found),
            Ok(None) => {}
            Err(why) if said => tracing::debug!(line = %line.id, why, "voicemail is not looked for"),
            Err(why) => {
                said = true;
                tracing::error!(line = %line.id, why, "voicemail is not looked for");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(SET_UP_YET) => {}
            // Err: whoever could say so is gone.
            _ = stopped.wait_for(|stop| *stop) => return None,
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
    line: LineId,
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
            line: LineId(voicemail.line.clone()),
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

    /// True when the line itself says that a person is needed.
    async fn line_is_alarmed(&self) -> bool {
        let (answer, reply) = oneshot::channel();
        if self.requests.send(Request { command: Command::Status, answer }).await.is_err() {
            return false;
        }
        let Ok(Ok(status)) = reply.await else { return false };
        let needs = format!("/shops/{}/lines/{}/needs", self.shop, self.line);
        status.pointer(&needs).is_some_and(|needs| !needs.is_null())
    }

    fn was_told(&self, sid: &str) -> Result<bool, String> {
        let reader = Reader::open(&self.storage).map_err(|e| e.to_string())?;
        let rows = reader.audit(&self.shop, AUDIT).map_err(|e| e.to_string())?;
        let of =
            |detail: &serde_json::Value| detail.get("recording").and_then(|one| one.as_str()) == Some(sid);
        Ok(rows.iter().any(|row| row.what == VOICEMAIL && of(&row.detail)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn line() -> UpstreamLine {
        UpstreamLine {
            auth_token: Some(Secret::new("simulated")),
            ..UpstreamLine::simulated("http://127.0.0.1:1", "+12065550199")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_set_up_while_the_daemon_runs_needs_no_restart_for_its_voicemail() {
        let (storage, line) = (tempfile::tempdir().unwrap(), line());
        let (stop, mut stopped) = watch::channel(false);
        let begun = tokio::time::Instant::now();
        let file = Record::path(storage.path(), line.id.as_str());
        let setting_up = async {
            tokio::time::advance(Duration::from_secs(95)).await;
            // The number is what the set-up changes last.
            Record { account: line.account.clone(), ..Record::default() }.save(&file).unwrap();
            tokio::time::advance(Duration::from_secs(95)).await;
            let number = serde_json::from_value(serde_json::json!({ "sid": "PN1", "fields": {} })).unwrap();
            Record { number, ..Record::default() }.save(&file).unwrap();
        };
        let (found, ()) = tokio::join!(until_set_up(storage.path(), &line, &mut stopped), setting_up);
        assert!(found.is_some());
        let took = begun.elapsed();
        assert!((190..=230).contains(&took.as_secs()), "{took:?}");
        // And one that never is ends with the daemon.
        let other = UpstreamLine { id: LineId::from("other"), ..line.clone() };
        stop.send_replace(true);
        assert!(until_set_up(storage.path(), &other, &mut stopped).await.is_none());
    }
}
