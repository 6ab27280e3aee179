//! Files in the storage directory that only their owner reads, beside the database: what the box made at the account,
//! which flows it has seen, voicemail. Knows no Twilio.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads what was kept as JSON; an empty one where there is no file.
///
/// # Errors
/// It cannot be read, or is not one.
pub(super) fn load<T: Default + DeserializeOwned>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

/// Writes it as JSON so that after a power cut there is the old one or the new one, whole.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn save<T: Serialize>(path: &Path, kept: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(kept).map_err(io::Error::other)?;
    write_private(path, text.as_bytes())
}

/// Writes a file that only its owner reads, whole or not at all, and gives it to the owner of its directory: who runs
/// the daemon.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
