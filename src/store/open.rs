//! Opening: directory, lock, check, repair by putting things aside, migration, and the row of this run.
//!
//! A damaged file is moved aside with its log, never deleted, and the newest good copy takes its place. Reading
//! back what a damaged file still holds is deliberately absent: it is a person's work, and the file is kept.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::ledger_copy::LedgerCopy;
use super::{
    Check, FILE, Notice, Options, Snapshot, StoreError, backup, checkpoint, disk, load, schema, wal,
};
use crate::types::{Now, Wall};

/// SQLite's default; said here because the size bound counts in it.
pub(super) const PAGE_BYTES: u64 = 4096;

/// A database ready for its writer.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: File,
    pub(super) boot_number: i64,
    pub(super) snapshot: Snapshot,
    pub(super) notices: Vec<Notice>,
    pub(super) ledger_copy: LedgerCopy,
}

pub(super) fn open(options: &Options, now: Now) -> Result<Opened, StoreError> {
    let directory = options.path.as_path();
    make_directory(directory)?;
    let lock = take_lock(directory)?;
    let path = directory.join(FILE);
    let mut notices = Vec::new();
    let mut restored = false;
    keep_damaged_log(directory, now.wall, &mut notices)?;
    if fs::metadata(&path).is_ok_and(|m| m.len() > 0)
        && let Err(what) = examine(options, &path, &mut notices)?
    {
        restored = replace(directory, &what, now.wall, &mut notices)?;
    }
    make_file(&path)?;
    let (conn, boot_number, mut snapshot) = match begin(options, &path, restored, now, &mut notices) {
        // A bit of a table's own definition fell over: every page is in order, and no query fits any more. Or of an
        // index, which the quick check does not hold against its table.
        Err(StoreError::Sqlite(error)) if !restored && (names_nothing(&error) || is_damage(&error)) => {
            restored = replace(directory, &error.to_string(), now.wall, &mut notices)?;
            make_file(&path)?;
            begin(options, &path, restored, now, &mut notices)?
        }
        other => other?,
    };
    snapshot.restored = restored;
    let (ledger_copy, kept) = LedgerCopy::open(directory, &snapshot.consent, now);
    snapshot.consent_kept = kept;
    Ok(Opened { conn, lock, boot_number, snapshot, notices, ledger_copy })
}

/// Makes the database ready and reads what is unfinished in it.
fn begin(
    options: &Options,
    path: &Path,
    restored: bool,
    now: Now,
    notices: &mut Vec<Notice>,
) -> Result<(Connection, i64, Snapshot), StoreError> {
    let ready = match make_ready(options, path, restored, now, notices) {
        // Opening writes too: on a full disk the reserve makes room for it.
        Err(StoreError::Sqlite(error)) if is_out_of_room(&error) && disk::give_up_reserve(&options.path) => {
            notices.push(Notice::ReserveGivenUp);
            make_ready(options, path, restored, now, notices)
        }
        other => other,
    };
    let (conn, boot_number) = ready?;
    let snapshot = load::snapshot(&conn, boot_number, now, notices)?;
    Ok((conn, boot_number, snapshot))
}

/// A table or a column that every released version has is not there.
fn names_nothing(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    text.contains("no such column") || text.contains("no such table")
}

/// Connects, migrates, and writes the row of this run.
fn make_ready(
    options: &Options,
    path: &Path,
    restored: bool,
    now: Now,
    notices: &mut Vec<Notice>,
) -> Result<(Connection, i64), StoreError> {
    let directory = options.path.as_path();
    let mut conn = connect_writer(options, path)?;
    refuse_newer(&conn, directory)?;
    notices.extend(schema::upgrade(&mut conn, directory, now.wall, options.backups_kept)?);
    if restored {
        doubt_what_was_under_way(&conn)?;
    }
    let boot_number = begin_run(&conn, options, now)?;
    Ok((conn, boot_number))
}

/// An I/O error included: that is how SQLite calls an index file (`-shm`) for which there is no room.
fn is_out_of_room(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

/// A directory that is there already keeps its mode: it may be shared. The files in it are 0600.
fn make_directory(directory: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(StoreError::file(directory))
}

fn take_lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::File { path, source }),
    }
}

/// SQLite gives its log and index files the mode of the database.
fn make_file(path: &Path) -> Result<(), StoreError> {
    let there = path.exists();
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::file(path))?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(StoreError::file(path))?;
    if !there {
        file.sync_all().map_err(StoreError::file(path))?;
        sync_parent(path)?;
    }
    Ok(())
}

/// A new name is durable only when its directory is.
pub(super) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    File::open(parent).and_then(|d| d.sync_all()).map_err(StoreError::file(parent))
}

fn connect_writer(options: &Options, path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(options.busy)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(
        // auto_vacuum comes first: it can only be chosen before the first table.
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 16777216;
         PRAGMA cache_size = -1024;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
    )?;
    conn.pragma_update(None, "wal_autocheckpoint", checkpoint::BACKSTOP_PAGES)?;
    Ok(conn)
}

/// Writes nothing of its own.
pub(super) fn connect_checkpointer(directory: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(directory.join(FILE), flags)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -256;")?;
    Ok(conn)
}

/// Reads only, and may copy the whole (which `query_only` forbids).
pub(super) fn connect_copier(directory: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path = directory.join(FILE);
    if let Err(source) = fs::metadata(&path) {
        return Err(StoreError::File { path, source });
    }
    let conn = Connection::open_with_flags(&path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(conn)
}

pub(super) fn connect_reader(directory: &Path) -> Result<Connection, StoreError> {
    let conn = connect_copier(directory)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(
        "PRAGMA query_only = ON; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )?;
    Ok(conn)
}

pub(super) fn refuse_newer(conn: &Connection, directory: &Path) -> Result<(), StoreError> {
    let found = schema::found(conn, &directory.join(FILE))?;
    let known = schema::known();
    if found.major > known.major {
        let path = directory.to_owned();
        return Err(StoreError::Newer { path, found: found.major, known: known.major });
    }
    Ok(())
}

/// `Ok(Err(what))` when the file is damaged.
fn examine(
    options: &Options,
    path: &Path,
    notices: &mut Vec<Notice>,
) -> Result<Result<(), String>, StoreError> {
    let bytes = fs::metadata(path).map_err(StoreError::file(path))?.len();
    let suspect = suspect_mark(&options.path);
    let mut check = if suspect.exists() { Check::Full } else { options.check };
    if check == Check::Quick && bytes > options.check_up_to {
        notices.push(Notice::NotChecked { bytes });
        check = Check::None;
    }
    let verdict = match check_file(path, check) {
        Ok(verdict) => verdict,
        Err(StoreError::Sqlite(error)) if is_damage(&error) => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    if suspect.exists() {
        fs::remove_file(&suspect).map_err(StoreError::file(&suspect))?;
    }
    Ok(verdict)
}

/// The writer leaves it when SQLite called the file damaged.
pub(super) fn suspect_mark(directory: &Path) -> PathBuf {
    directory.join("suspect")
}

/// Opens the file as a writer would (its log is played back) and looks at every page.
pub(super) fn check_file(path: &Path, check: Check) -> Result<Result<(), String>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    let found = check_connection(&conn, check)?;
    if found.is_ok() {
        schema::found(&conn, path)?;
    }
    Ok(found)
}

pub(super) fn check_connection(conn: &Connection, check: Check) -> rusqlite::Result<Result<(), String>> {
    let sql = match check {
        Check::None => return Ok(Ok(())),
        Check::Quick => "PRAGMA quick_check(1)",
        Check::Full => "PRAGMA integrity_check(1)",
    };
    let verdict: String = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(if verdict == "ok" { Ok(()) } else { Err(verdict) })
}

/// `no such table` included: our mark is on the file and what every version has is not in it.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        Some(ErrorCode::Unknown) => error.to_string().contains("no such table"),
        _ => false,
    }
}

/// Moves the damaged file aside and puts the newest good copy in its place. True when there was one.
fn replace(directory: &Path, what: &str, wall: Wall, notices: &mut Vec<Notice>) -> Result<bool, StoreError> {
    let path = directory.join(FILE);
    let moved_to = free_name(directory, &format!("{FILE}.damaged-{}", stamp(wall)));
    // The log goes first: a database without its log is still a database, the other way round it is not.
    for suffix in ["-wal", "-shm", ""] {
        let from = with_suffix(&path, suffix);
        let to = with_suffix(&moved_to, suffix);
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::File { path: from, source }),
        }
    }
    sync_parent(&path)?;
    notices.push(Notice::Damaged { what: what.to_owned(), moved_to });
    match backup::restore_newest(directory)? {
        Some(from) => {
            notices.push(Notice::Restored { from });
            Ok(true)
        }
        None => {
            notices.push(Notice::StartedEmpty);
            Ok(false)
        }
    }
}

/// SQLite forgets what lies behind a bad frame as soon as it opens the log: a copy is taken before.
fn keep_damaged_log(directory: &Path, wall: Wall, notices: &mut Vec<Notice>) -> Result<(), StoreError> {
    let log = with_suffix(&directory.join(FILE), "-wal");
    if let Some(commits) = wal::damaged_commits(&log)? {
        let copied_to = free_name(directory, &format!("{FILE}-wal.damaged-{}", stamp(wall)));
        fs::copy(&log, &copied_to).map_err(StoreError::file(&copied_to))?;
        File::open(&copied_to).and_then(|f| f.sync_all()).map_err(StoreError::file(&copied_to))?;
        sync_parent(&copied_to)?;
        notices.push(Notice::LogDamaged { commits, copied_to });
    }
    Ok(())
}

/// What a copy says is to be sent may have been sent since: nothing leaves twice because a disk was bad.
fn doubt_what_was_under_way(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch(
        "BEGIN IMMEDIATE;
         UPDATE part SET state = 'unknown', note = 'the database was restored from a copy'
             WHERE state IN ('queued', 'handed');
         UPDATE message SET status = 'unknown', note = 'the database was restored from a copy'
             WHERE status IN ('queued', 'sending');
         COMMIT;",
    )?;
    Ok(())
}

/// The row of this run. `clean` stays 0 until the store is closed in order.
fn begin_run(conn: &Connection, options: &Options, now: Now) -> Result<i64, StoreError> {
    conn.execute(
        "INSERT INTO boot (boot, version, started_mono, started_wall, wall_sure, last_mono, last_wall, clean)
         VALUES (?1, ?2, ?3, ?4, ?5, ?3, CASE WHEN ?5 THEN ?4 END, 0)",
        params![options.boot, env!("CARGO_PKG_VERSION"), now.mono, now.wall, now.wall_sure],
    )?;
    Ok(conn.last_insert_rowid())
}

/// `20261120T101500Z`.
pub(super) fn stamp(wall: Wall) -> String {
    jiff::Timestamp::from_millisecond(wall.0)
        .map_or_else(|_| wall.0.to_string(), |t| t.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// `name`, or `name-2`, … when the clock stood still.
pub(super) fn free_name(directory: &Path, name: &str) -> PathBuf {
    let mut path = directory.join(name);
    let mut number = 2u32;
    while path.exists() || with_suffix(&path, "-wal").exists() {
        path = directory.join(format!("{name}-{number}"));
        number += 1;
    }
    path
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
