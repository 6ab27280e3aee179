//! Whole copies of the database in `backups/`: made before a migration and when asked for, numbered so that the
//! newest is known without a clock, and put back when the database is damaged.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open::{check_file, stamp, sync_parent};
use super::{Check, FILE, StoreError};
use crate::types::Wall;

fn folder(directory: &Path) -> PathBuf {
    directory.join("backups")
}

/// The copies, oldest first.
pub(super) fn list(directory: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let folder = folder(directory);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::File { path: folder, source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::file(&folder))?.path();
        if let Some(number) = number_of(&path) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// `backroom-000012-20261120T101500Z.db` is 12; what is not named so is not ours.
fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let (number, _) = name.strip_prefix("backroom-")?.strip_suffix(".db")?.split_once('-')?;
    number.parse().ok()
}

/// Makes a copy, complete and durable before it has its name, and removes the oldest over `keep`.
pub(super) fn make(
    conn: &Connection,
    directory: &Path,
    wall: Wall,
    keep: usize,
) -> Result<PathBuf, StoreError> {
    let folder = folder(directory);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(StoreError::file(&folder))?;
    let number = list(directory)?.last().map_or(1, |(number, _)| number + 1);
    let path = folder.join(format!("backroom-{number:06}-{}.db", stamp(wall)));
    let unfinished = folder.join("unfinished");
    remove_if_there(&unfinished)?;
    let target = unfinished.to_string_lossy().into_owned();
    if let Err(error) = conn.execute("VACUUM INTO ?1", [target]) {
        remove_if_there(&unfinished)?;
        return Err(error.into());
    }
    let file = File::open(&unfinished).map_err(StoreError::file(&unfinished))?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(StoreError::file(&unfinished))?;
    file.sync_all().map_err(StoreError::file(&unfinished))?;
    fs::rename(&unfinished, &path).map_err(StoreError::file(&path))?;
    sync_parent(&path)?;
    let copies = list(directory)?;
    for (_, old) in copies.iter().rev().skip(keep.max(1)) {
        remove_if_there(old)?;
    }
    Ok(path)
}

/// Puts the newest copy that is in order in the place of the database.
pub(super) fn restore_newest(directory: &Path) -> Result<Option<PathBuf>, StoreError> {
    let path = directory.join(FILE);
    for (_, copy) in list(directory)?.into_iter().rev() {
        let unfinished = directory.join(format!("{FILE}.restoring"));
        fs::copy(&copy, &unfinished).map_err(StoreError::file(&copy))?;
        if !matches!(check_file(&unfinished, Check::Full), Ok(Ok(()))) {
            remove_if_there(&unfinished)?;
            continue;
        }
        File::open(&unfinished).and_then(|f| f.sync_all()).map_err(StoreError::file(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(StoreError::file(&path))?;
        sync_parent(&path)?;
        return Ok(Some(copy));
    }
    Ok(None)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::File { path: path.to_owned(), source }),
    }
}
