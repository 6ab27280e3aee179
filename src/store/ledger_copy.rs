//! The copy of the consent ledgers beside the database: a JSON object `{"shop", "entry"}` a line, appended after each
//! commit. A chain does not show that its end was cut off, and a database that was restored from a backup has lost
//! what people said since: what stands here is taken over then ([`super::Snapshot::consent_kept`]).
//!
//! Rules, in full:
//! - Only an entry that follows from the last one here is appended. Where database and copy went different ways, the
//!   copy stays as it is until somebody accepted the database's ([`super::Op::AcceptConsent`]).
//! - A copy that is behind (the box stopped between commit and append) catches up at the next start; one that is not
//!   there is written from the database. A last line that was cut off is no line.
//! - A disk that refuses the copy holds nobody up: it is said, and tried again with the next entry.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConsentEntryRow, ConsentKept};
use crate::messaging::ledger::{Act, Entry, Head, Standing, is_expired, verify};
use crate::types::{Now, PhoneNumber, ShopId};

/// Its name beside the database.
const FILE: &str = "consent-ledger.jsonl";

#[derive(Serialize, Deserialize)]
struct Line {
    shop: ShopId,
    entry: Entry,
}

/// What the writer knows of it.
#[derive(Default)]
pub(super) struct LedgerCopy {
    path: PathBuf,
    last: BTreeMap<ShopId, Head>,
    /// To be appended when the transaction is committed.
    waiting: Vec<ConsentEntryRow>,
    /// To be written anew then: what the database has now.
    anew: Option<Vec<ConsentEntryRow>>,
}

impl LedgerCopy {
    /// Reads the copy, compares it with what the database has, and lets it catch up.
    pub(super) fn open(
        directory: &Path,
        stored: &[ConsentEntryRow],
        now: Now,
    ) -> (Self, BTreeMap<ShopId, ConsentKept>) {
        let path = directory.join(FILE);
        let lines = match read(&path) {
            Ok(lines) => lines,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the copy of the consent ledger cannot be read");
                }
                Vec::new()
            }
        };
        let mut kept: BTreeMap<ShopId, ConsentKept> = BTreeMap::new();
        for Line { shop, entry } in lines {
            match kept.get_mut(&shop) {
                Some(known)
                    if entry.before == known.last.link && entry.seq == known.last.seq.saturating_add(1) =>
                {
                    known.last = entry.head();
                    known.missing.push(entry);
                }
                Some(_) => tracing::warn!(%shop, seq = entry.seq, "the copy of the consent ledger has a gap"),
                None => {
                    let from = Head { seq: entry.seq.saturating_sub(1), link: entry.before };
                    let (last, missing, blocks) = (entry.head(), vec![entry], Vec::new());
                    let known = ConsentKept { from, last, missing, blocks };
                    kept.insert(shop, known);
                }
            }
        }
        for (shop, known) in &mut kept {
            known.blocks = blocks(known.from, &known.missing);
            if let Some(first) = stored.iter().find(|r| r.shop == *shop).map(|r| &r.entry) {
                known.from = begins(known, first, now).unwrap_or(known.from);
            }
            let last = stored.iter().rev().find(|r| r.shop == *shop).map_or(0, |r| r.entry.seq);
            known.missing.retain(|entry| entry.seq > last);
        }
        let last = kept.iter().map(|(shop, known)| (shop.clone(), known.last)).collect();
        let mut copy = Self { path, last, ..Self::default() };
        for row in stored {
            copy.added(row);
        }
        copy.committed();
        (copy, kept)
    }

    /// An entry is in the transaction.
    pub(super) fn added(&mut self, row: &ConsentEntryRow) {
        let newest = self.waiting.iter().rev().find(|w| w.shop == row.shop).map(|w| w.entry.head());
        let follows = match newest.or_else(|| self.last.get(&row.shop).copied()) {
            Some(head) => row.entry.before == head.link && row.entry.seq == head.seq.saturating_add(1),
            None => true,
        };
        if follows {
            self.waiting.push(row.clone());
        }
    }

    /// The ledgers are others now: entries too old went, or the owner accepted what is there.
    pub(super) fn rewritten(&mut self, rows: Vec<ConsentEntryRow>) {
        self.waiting.clear();
        self.anew = Some(rows);
    }

    /// After a rollback.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.anew = None;
    }

    /// The transaction is durable.
    pub(super) fn committed(&mut self) {
        if self.waiting.is_empty() && self.anew.is_none() {
            return;
        }
        let done = match self.anew.take() {
            Some(rows) => {
                self.last.clear();
                self.waiting = rows;
                self.write_anew()
            }
            None => self.append(),
        };
        match done {
            Ok(()) => {
                for row in std::mem::take(&mut self.waiting) {
                    self.last.insert(row.shop, row.entry.head());
                }
            }
            // What waits is tried again with the next entry.
            Err(error) => tracing::warn!(%error, "the copy of the consent ledger cannot be written"),
        }
    }

    fn append(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(&text(&self.waiting)?).and_then(|()| file.sync_all());
        if written.is_err() {
            // Half a line would spoil the next one.
            file.set_len(before)?;
        }
        written
    }

    fn write_anew(&self) -> io::Result<()> {
        let draft = self.path.with_extension("draft");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&text(&self.waiting)?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

/// The blocks that nothing lifted since, unless somebody changed the copy.
fn blocks(from: Head, entries: &[Entry]) -> Vec<Entry> {
    if verify(from, entries, None).is_err() {
        return Vec::new();
    }
    let mut standings: BTreeMap<&PhoneNumber, Standing> = BTreeMap::new();
    for entry in entries {
        standings.entry(&entry.statement.subject).or_default().apply(entry);
    }
    let blocks = entries.iter().filter(|e| e.statement.act == Act::Block);
    let stands = |e: &&Entry| standings.get(&e.statement.subject).is_some_and(|s| s.rests_on(e.seq));
    blocks.filter(stands).cloned().collect()
}

/// The database dropped what was too old, and the box stopped before the copy did: they begin where the database does.
fn begins(known: &ConsentKept, first: &Entry, now: Now) -> Option<Head> {
    let (gone, at) =
        known.missing.split_at(known.missing.iter().position(|e| e.head().link == first.before)? + 1);
    let follows = at.first().is_some_and(|e| e.link == first.link);
    let old = gone.iter().all(|e| !now.wall_sure || !e.statement.sure || is_expired(e.statement.at, now));
    (follows && old).then(|| Head { seq: first.seq.saturating_sub(1), link: first.before })
}

fn text(rows: &[ConsentEntryRow]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        let line = Line { shop: row.shop.clone(), entry: row.entry.clone() };
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Up to the first line that is none.
fn read(path: &Path) -> io::Result<Vec<Line>> {
    let text = fs::read(path)?;
    let lines = text.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n"));
    let mut read = Vec::new();
    for line in lines {
        match serde_json::from_slice(line) {
            Ok(line) => read.push(line),
            Err(error) => {
                tracing::warn!(%error, "the copy of the consent ledger is damaged from here on");
                break;
            }
        }
    }
    if let Some(whole) = text.iter().rposition(|b| *b == b'\n').map(|at| at + 1).or(Some(0))
        && whole < text.len()
    {
        // A line that was cut off: the next one begins after the last whole one.
        OpenOptions::new().write(true).open(path)?.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
    }
    Ok(read)
}
