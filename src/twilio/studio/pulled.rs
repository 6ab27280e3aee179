//! Which revision of the cloud's flows this box has seen last: what a push is compared with.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::twilio::private;

/// The flows of one shop, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// By friendly name.
    pub flows: BTreeMap<String, PulledFlow>,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledFlow {
    /// `FW...` of the cloud.
    pub sid: String,
    /// The cloud's revision that was pulled or pushed last.
    pub revision: u32,
}

impl Pulled {
    /// Where it lies for a shop.
    #[must_use]
    pub fn path(storage: &Path, shop: &str) -> PathBuf {
        storage.join(format!("twilio-flows-{shop}.json"))
    }

    /// Reads it; an empty one where there is no file.
    ///
    /// # Errors
    /// It cannot be read, or is not one.
    pub fn load(path: &Path) -> io::Result<Self> {
        private::load(path)
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        private::save(path, self)
    }

    /// The revision seen last of a flow, when it is still the same flow.
    #[must_use]
    pub fn revision(&self, name: &str, sid: &str) -> Option<u32> {
        self.flows.get(name).filter(|flow| flow.sid == sid).map(|flow| flow.revision)
    }
}
