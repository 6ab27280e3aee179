//! Voicemail that callers left at Twilio while the box was off: found by polling, fetched, kept once.
//!
//! A recording is ours when it was made by a `Record` of a call to our number: an account has others. It is kept in
//! `voicemail/` of the storage directory as `RE....wav` and, when that is safe, `RE....json`; its sid is the only key.
//! The staff are told of each once; who tells them is the daemon's business, so it is handed in.
//!
//! Deliberately absent: deleting it at Twilio (the owner's own retention there decides), and transcription.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::desk::{Desk, DeskError, text};
use super::private::write_private;
use crate::http::moment;
use crate::types::{LineId, PhoneNumber, Redacted, ShopId, Wall};

/// How often is looked.
pub const EVERY: Duration = Duration::from_secs(300);
/// Longest pause while Twilio cannot be asked.
const LONGEST: Duration = Duration::from_secs(3600);
/// How far behind the last look each look begins: Twilio's lists are of days, and entries appear late.
const OVERLAP: Duration = Duration::from_secs(36 * 3600);
/// Without any earlier look and with no time of a set-up: how far back.
const FIRST: Duration = Duration::from_secs(7 * 86_400);
/// Largest recording that is kept: an hour at 8 kHz and 16 bits, as long as `Record` may go on.
const MOST: usize = 64 << 20;

/// One voicemail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voicemail {
    /// `RE...`: the only key.
    pub sid: String,
    /// `CA...`
    pub call: String,
    /// Who called, as Twilio has it: a number, or a word where it was withheld.
    pub from: String,
    /// The number that was called.
    pub to: String,
    /// By which line it was fetched.
    pub line: String,
    /// Length.
    pub seconds: u32,
    /// When it was left, by Twilio's clock.
    pub left: Option<String>,
    /// File name beside the record.
    pub file: String,
    /// The staff were told.
    #[serde(default)]
    pub told: bool,
}

/// Where voicemail lies in a storage directory.
#[must_use]
pub fn directory(storage: &Path) -> PathBuf {
    storage.join("voicemail")
}

/// All that are kept, the oldest first; records that cannot be read are left out.
///
/// # Errors
/// The directory cannot be read.
pub fn kept(storage: &Path) -> io::Result<Vec<Voicemail>> {
    let entries = match std::fs::read_dir(directory(storage)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !(name.starts_with("RE") && name.ends_with(".json")) {
            continue;
        }
        match serde_json::from_slice::<Voicemail>(&std::fs::read(&path)?) {
            Ok(voicemail) => all.push(voicemail),
            Err(error) => tracing::warn!(record = name, %error, "a voicemail's record cannot be read"),
        }
    }
    all.sort_by(|a, b| (&a.left, &a.sid).cmp(&(&b.left, &b.sid)));
    Ok(all)
}

/// Up to when was looked, and what was looked at since and is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Looked {
    at: Option<i64>,
    passed: BTreeSet<String>,
}

/// Where recordings are looked for and kept.
#[derive(Debug)]
pub struct Keep {
    storage: PathBuf,
    line: LineId,
    number: PhoneNumber,
    since: Option<Wall>,
}

/// Why a look came to nothing. What was fetched before is kept.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The account.
    #[error("{0}")]
    Desk(#[from] DeskError),
    /// The disk.
    #[error("voicemail cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

impl Keep {
    /// For a line and its number; the first look begins at `since`, when the line was set up.
    #[must_use]
    pub fn new(storage: &Path, line: LineId, number: PhoneNumber, since: Option<Wall>) -> Self {
        Self { storage: storage.to_owned(), line, number, since }
    }

    /// Looks for recordings since the last look, fetches what is new and gives it. `now` serves only where Twilio does
    /// not tell its own time.
    ///
    /// # Errors
    /// [`LookError`]; the next look begins where this one did.
    pub async fn look(&self, desk: &Desk, now: Wall) -> Result<Vec<Voicemail>, LookError> {
        make_directory(&directory(&self.storage))?;
        let before = self.looked();
        let last = before.at.map(Wall).or(self.since);
        let at = last.map_or_else(|| back(now, FIRST), |at| back(at, OVERLAP));
        // Days are understood by every version of the API.
        let day = at.rfc3339().get(..10).unwrap_or_default().to_owned();
        let (all, asked) = desk.list_at("/Recordings.json", &[("DateCreated>", &day)], "recordings").await?;
        let mut passed = BTreeSet::new();
        let mut fetched = Vec::new();
        let mut waiting = false;
        for recording in &all {
            let sid = text(recording, "sid");
            if !is_sid(sid) || self.path(sid, "json").exists() {
                continue;
            }
            if before.passed.contains(sid) || text(recording, "source") != "RecordVerb" {
                passed.insert(sid.to_owned());
                continue;
            }
            match text(recording, "status") {
                "completed" => {}
                "absent" | "deleted" | "failed" => {
                    passed.insert(sid.to_owned());
                    continue;
                }
                _ => {
                    waiting = true;
                    continue;
                }
            }
            match self.fetch(desk, recording).await? {
                Some(voicemail) => fetched.push(voicemail),
                None => {
                    passed.insert(sid.to_owned());
                }
            }
        }
        // What is still being written must not fall behind the next look.
        let at = if waiting { before.at } else { Some(asked.unwrap_or(now).0) };
        let looked = serde_json::to_vec(&Looked { at, passed }).map_err(io::Error::other)?;
        write_private(&self.looked_path(), &looked)?;
        fetched.reverse();
        Ok(fetched)
    }

    async fn fetch(&self, desk: &Desk, recording: &Value) -> Result<Option<Voicemail>, LookError> {
        let (sid, call) = (text(recording, "sid"), text(recording, "call_sid"));
        if !call.starts_with("CA") || !call.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let call = match desk.get(&format!("/Calls/{call}.json"), &[]).await {
            Ok(call) => call,
            Err(DeskError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if text(&call, "to") != self.number.as_str() {
            return Ok(None);
        }
        let bytes = match desk.file(&format!("/Recordings/{sid}.wav"), MOST).await {
            Ok(bytes) => bytes,
            Err(error @ (DeskError::TooLarge(_) | DeskError::Refused { status: 404 | 410, .. })) => {
                tracing::warn!(line = %self.line, recording = sid, %error, "a voicemail cannot be had");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if !bytes.starts_with(b"RIFF") {
            let why = "the recording is no WAV file".to_owned();
            return Err(DeskError::Lost(why).into());
        }
        let voicemail = Voicemail {
            sid: sid.to_owned(),
            call: text(&call, "sid").to_owned(),
            from: text(&call, "from").to_owned(),
            to: text(&call, "to").to_owned(),
            line: self.line.to_string(),
            seconds: text(recording, "duration").parse().unwrap_or(0),
            left: moment(text(recording, "date_created")).map(Wall::rfc3339),
            file: format!("{sid}.wav"),
            told: false,
        };
        write_private(&self.path(sid, "wav"), &bytes)?;
        self.save(&voicemail)?;
        Ok(Some(voicemail))
    }

    /// The staff were told of it.
    ///
    /// # Errors
    /// The disk.
    pub fn told(&self, voicemail: &Voicemail) -> io::Result<()> {
        self.save(&Voicemail { told: true, ..voicemail.clone() })
    }

    fn save(&self, voicemail: &Voicemail) -> io::Result<()> {
        let record = serde_json::to_vec_pretty(voicemail).map_err(io::Error::other)?;
        write_private(&self.path(&voicemail.sid, "json"), &record)
    }

    fn path(&self, sid: &str, kind: &str) -> PathBuf {
        directory(&self.storage).join(format!("{sid}.{kind}"))
    }

    fn looked_path(&self) -> PathBuf {
        directory(&self.storage).join(format!("looked-{}.json", self.line))
    }

    /// A file that cannot be read costs a longer look, no more.
    fn looked(&self) -> Looked {
        let read = std::fs::read(self.looked_path()).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

fn back(wall: Wall, by: Duration) -> Wall {
    Wall(wall.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

/// What becomes a file's name.
fn is_sid(text: &str) -> bool {
    text.len() == 34 && text.starts_with("RE") && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            let owner = std::fs::metadata(path.parent().unwrap_or_else(|| Path::new(".")))?;
            if std::fs::metadata(path)?.uid() != owner.uid() {
                std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// How the staff are told of a voicemail.
#[must_use]
pub fn words(voicemail: &Voicemail) -> String {
    format!("Voicemail from {}, {} s, kept as {}.", voicemail.from, voicemail.seconds, voicemail.file)
}

/// Looks at once and then every [`EVERY`] until `stopped`, and hands each voicemail of which the staff were not told to
/// `tell`, which says whether that is safe now (committed). Credentials that are refused are one alarm: the line's own,
/// whose are the same, and only where that does not stand (`alarmed`) this one's, when they are refused again.
pub async fn run<F, A, G, B>(
    desk: Desk,
    keep: Keep,
    shop: ShopId,
    now: impl Fn() -> Wall,
    tell: F,
    alarmed: G,
    mut stopped: watch::Receiver<bool>,
) where
    F: Fn(Voicemail) -> A,
    A: Future<Output = bool>,
    G: Fn() -> B,
    B: Future<Output = bool>,
{
    let mut pause = EVERY;
    let mut refusal = Refusal::default();
    loop {
        let round = async {
            let looked = keep.look(&desk, now()).await;
            tell_all(&keep, &tell).await;
            let credentials = matches!(&looked, Err(LookError::Desk(DeskError::Credentials { .. })));
            let stands = credentials && refusal.is_repeated() && alarmed().await;
            (looked, stands)
        };
        let (looked, stands) = tokio::select! {
            looked = round => looked,
            // Err: whoever could say so is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match looked {
            Ok(new) => {
                if refusal.is_over() {
                    tracing::info!(%shop, line = %keep.line, "Twilio takes our credentials again");
                }
                for one in &new {
                    let from = Redacted(&one.from);
                    tracing::info!(%shop, line = %keep.line, recording = %one.sid, %from, "a voicemail was fetched");
                }
                pause = EVERY;
            }
            Err(error) => {
                let credentials = matches!(error, LookError::Desk(DeskError::Credentials { .. }));
                if credentials && refusal.is_to_be_told(stands) {
                    tracing::error!(%shop, line = %keep.line, "voicemail cannot be looked for: {error}");
                } else {
                    tracing::debug!(%shop, line = %keep.line, %error, "voicemail cannot be looked for");
                }
                pause = (pause * 2).min(LONGEST);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// What was said of credentials that are refused.
#[derive(Default)]
struct Refusal {
    looks: u32,
    told: bool,
}

impl Refusal {
    /// The first may come before the line has found out for itself.
    fn is_repeated(&self) -> bool {
        self.looks > 0
    }

    /// Refused again; `stands`: the line itself says so.
    fn is_to_be_told(&mut self, stands: bool) -> bool {
        let tell = self.is_repeated() && !stands && !self.told;
        self.looks = self.looks.saturating_add(1);
        self.told |= tell;
        tell
    }

    /// Not refused any more. True when an alarm is to be taken back.
    fn is_over(&mut self) -> bool {
        std::mem::take(self).told
    }
}

async fn tell_all<F, A>(keep: &Keep, tell: &F)
where
    F: Fn(Voicemail) -> A,
    A: Future<Output = bool>,
{
    let all = match kept(&keep.storage) {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(line = %keep.line, %error, "the kept voicemail cannot be read");
            return;
        }
    };
    for one in all.iter().filter(|one| !one.told && one.line == keep.line.as_str()) {
        if tell(one.clone()).await
            && let Err(error) = keep.told(one)
        {
            tracing::warn!(line = %keep.line, %error, "a voicemail's record cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_are_the_lines_alarm_and_only_without_one_voicemails() {
        let mut refusal = Refusal::default();
        assert!(!refusal.is_to_be_told(false), "the line may find out in a moment");
        assert!(!refusal.is_to_be_told(true));
        assert!(!refusal.is_over(), "nothing was said");
        assert!(!refusal.is_to_be_told(false));
        assert!(refusal.is_to_be_told(false), "a key that may not read recordings");
        assert!(!refusal.is_to_be_told(false), "once");
        assert!(refusal.is_over());
    }
}
