//! What a box made and changed at its account: a file in the storage directory, readable by its owner only, written
//! before every step that it is about. Knows no Twilio.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Wanted;
use crate::types::Wall;

/// What a box makes at the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// `SIP/CredentialLists`, `CL...`
    CredentialList,
    /// In it, `CR...`
    Credential,
    /// Studio `v2/Flows`, `FW...`
    Flow,
    /// `SIP/Domains`, `SD...`
    Domain,
    /// At the domain, `Auth/Registrations/CredentialListMappings`.
    Registrations,
    /// At the domain, `Auth/Calls/CredentialListMappings`.
    Calls,
}

impl Thing {
    /// In the order in which they are made: each only needs those before it.
    pub const ALL: [Self; 6] =
        [Self::CredentialList, Self::Credential, Self::Flow, Self::Domain, Self::Registrations, Self::Calls];

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::CredentialList => "credential list",
            Self::Credential => "credential",
            Self::Flow => "Studio flow",
            Self::Domain => "SIP domain",
            Self::Registrations => "credential list of registrations",
            Self::Calls => "credential list of calls",
        }
    }
}

/// One thing of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// What.
    pub what: Thing,
    /// Its name at the account.
    pub name: String,
    /// Its sid; `None` from the moment it was asked for until the answer.
    pub sid: Option<String>,
}

/// One setting of the number that the box changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Before.
    pub was: String,
    /// By the box.
    pub set: String,
}

/// The number's settings that the box changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberChange {
    /// `PN...`
    pub sid: String,
    /// By the names of Twilio's requests.
    pub fields: BTreeMap<String, Change>,
}

/// What the box made and changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `AC...`; empty while nothing was done.
    pub account: String,
    /// Of list and flow.
    pub name: String,
    /// Of the SIP domain.
    pub domain: String,
    /// The number, E.164.
    pub phone: String,
    /// When it was begun, RFC 3339, by this box's clock; voicemail is looked for from then on.
    pub begun: String,
    /// The oldest first.
    pub made: Vec<Made>,
    /// Of the number.
    pub number: Option<NumberChange>,
}

impl Record {
    /// Where it lies for a line.
    #[must_use]
    pub fn path(storage: &Path, line: &str) -> PathBuf {
        storage.join(format!("twilio-setup-{line}.json"))
    }

    /// Reads it; an empty one where there is no file.
    ///
    /// # Errors
    /// It cannot be read, or is not one.
    pub fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes it so that after a power cut there is the old one or the new one, whole.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        write_private(path, text.as_bytes())
    }

    /// When the set-up was begun, if it was.
    #[must_use]
    pub fn begun_at(&self) -> Option<Wall> {
        let at: jiff::Timestamp = self.begun.parse().ok()?;
        Some(Wall(at.as_millisecond()))
    }

    /// True when there is nothing left to undo.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.made.is_empty() && self.number.is_none()
    }

    /// Of a thing of ours, once it is known.
    #[must_use]
    pub fn sid(&self, what: Thing) -> Option<&str> {
        self.made.iter().find(|made| made.what == what)?.sid.as_deref()
    }

    pub(super) fn is_of_another(&self, wanted: &Wanted) -> bool {
        !self.is_empty()
            && (self.account != wanted.account
                || self.name != wanted.name
                || self.domain != wanted.domain
                || self.phone != wanted.number.as_str())
    }

    /// A thing is asked for.
    pub(super) fn begin(&mut self, what: Thing, name: &str) {
        self.made.retain(|made| made.what != what);
        self.made.push(Made { what, name: name.to_owned(), sid: None });
        // Removing goes backwards, also when a thing in the middle was made anew.
        self.made.sort_by_key(|made| Thing::ALL.iter().position(|thing| *thing == made.what));
    }

    /// A thing is there.
    pub(super) fn done(&mut self, what: Thing, sid: &str) {
        for made in self.made.iter_mut().filter(|made| made.what == what) {
            made.sid = Some(sid.to_owned());
        }
    }
}

/// Writes a file that only its owner reads, whole or not at all, and gives it to the owner of its directory: who runs
/// the daemon.
///
/// # Errors
/// The directory cannot be written.
pub(in crate::twilio) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    // One of an older run may have other rights.
    match fs::remove_file(&new) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    let owner = fs::metadata(directory)?;
    if file.metadata()?.uid() != owner.uid() {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(directory)?.sync_all()
}
