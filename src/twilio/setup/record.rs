//! What a box made and changed at its account: a file in the storage directory, readable by its owner only, written
//! before every step that it is about. Knows no Twilio.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Wanted;
use crate::twilio::private;
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
        private::load(path)
    }

    /// Writes it so that after a power cut there is the old one or the new one, whole.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        private::save(path, self)
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
