//! A mark on disk that a SIM's PIN was entered and not yet seen to be taken. It outlives a crash, so that a wrong
//! PIN is not entered a second time by the next start. Holds one byte of the PIN's hash: enough to see that
//! somebody has corrected the PIN, too little to learn it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::at::Pin;

/// See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct PinMemory {
    file: Option<PathBuf>,
    mark: String,
}

impl PinMemory {
    pub(super) fn new(file: Option<PathBuf>, pin: &Pin) -> Self {
        let digest = Sha256::digest(pin.expose().as_bytes());
        let byte = digest.first().copied().unwrap_or_default();
        Self { file, mark: format!("{byte:02x}\n") }
    }

    /// True when this PIN was entered before and not seen to be taken.
    pub(super) fn is_tried(&self) -> bool {
        let read = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        read.is_some_and(|text| text == self.mark)
    }

    /// Remembers, on disk when this returns.
    ///
    /// # Errors
    /// The file or its directory cannot be written.
    pub(super) fn remember(&self) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(self.mark.as_bytes())?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// The SIM took it.
    ///
    /// # Errors
    /// The file is there and cannot be removed.
    pub(super) fn forget(&self) -> io::Result<()> {
        match self.file.as_ref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_is_remembered_until_it_is_taken_or_the_pin_is_corrected() {
        let dir = tempfile::tempdir().unwrap();
        let memory = |pin: &str| PinMemory::new(Some(dir.path().join("pin")), &Pin::parse(pin).unwrap());
        assert!(!memory("1234").is_tried());
        memory("1234").remember().unwrap();
        assert!(memory("1234").is_tried());
        assert!(!memory("1235").is_tried());
        memory("1234").forget().unwrap();
        memory("1234").forget().unwrap();
        assert!(!memory("1234").is_tried());
    }
}
