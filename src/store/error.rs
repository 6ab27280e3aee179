//! What can go wrong with the store, who is at fault, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::Transaction;

/// Why the store cannot be opened, read or closed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a file in it cannot be used.
    #[error(
        "{path} cannot be used: {source}; give it to the user that runs backroom, on a disk that can be written"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A second daemon.
    #[error("another backroom uses the database in {path}; stop it first (systemctl stop backroom)")]
    InUse {
        /// Directory.
        path: PathBuf,
    },
    /// The file was written by a backroom of a later major schema.
    #[error(
        "the database in {path} belongs to a newer backroom (schema {found}, this one knows {known}); \
         install the newer version again, or put back the copy that its upgrade made in {path}/backups"
    )]
    Newer {
        /// Directory.
        path: PathBuf,
        /// Major schema found.
        found: u32,
        /// Major schema known.
        known: u32,
    },
    /// The file is a SQLite database of some other program.
    #[error("{path} is a database, but not backroom's; choose another directory")]
    Foreign {
        /// File.
        path: PathBuf,
    },
    /// SQLite says no.
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A large value that a row refers to is not there: damage that SQLite itself cannot see.
    #[error("a stored value is missing (shop {shop}, hash {hash}); run backroom doctor")]
    MissingBlob {
        /// Whose.
        shop: String,
        /// Its hash.
        hash: String,
    },
    /// The readers have more to do than they may queue.
    #[error("too many reads at once; ask again")]
    ReadersBusy,
    /// The store was closed, or its writer ended.
    #[error("the store is closed{}", .why.as_ref().map(|w| format!(": {w}")).unwrap_or_default())]
    Closed {
        /// Why, when not by intent.
        why: Option<String>,
    },
    /// Closed with transactions that could not be committed in time. They were never acknowledged.
    #[error("{count} transactions could not be committed before closing: {why}")]
    NotDrained {
        /// How many.
        count: usize,
        /// What held the writer up.
        why: String,
    },
}

impl StoreError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// Why a transaction was not taken. It is given back whole.
#[derive(Debug, thiserror::Error)]
pub enum QueueFull {
    /// The disk does not keep up, or stalls: refuse new work and say so.
    #[error("the writer's queue is full ({waiting} transactions wait)")]
    Full {
        /// How many wait.
        waiting: usize,
        /// What was not taken.
        transaction: Box<Transaction>,
    },
    /// The writer ended: exit and reload.
    #[error("the writer has ended: {why}")]
    Stopped {
        /// Why.
        why: String,
        /// What was not taken.
        transaction: Box<Transaction>,
    },
}

impl QueueFull {
    /// What was not taken.
    #[must_use]
    pub fn into_transaction(self) -> Transaction {
        match self {
            Self::Full { transaction, .. } | Self::Stopped { transaction, .. } => *transaction,
        }
    }
}

/// Something that opening found and did, that a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The database was damaged and was moved aside. What it still holds is not read back.
    Damaged {
        /// What SQLite said.
        what: String,
        /// Where it is now; nothing deletes it.
        moved_to: PathBuf,
    },
    /// A damaged database was replaced by this copy.
    Restored {
        /// Which copy.
        from: PathBuf,
    },
    /// A damaged database was replaced by an empty one: there was no good copy.
    StartedEmpty,
    /// The write-ahead log was damaged in the middle: commits after that point are lost. It was copied aside.
    LogDamaged {
        /// Commits that can be seen in the log and cannot be trusted.
        commits: u32,
        /// Where the copy is.
        copied_to: PathBuf,
    },
    /// A row could not be read and was left out.
    BadRow {
        /// Of which table.
        table: &'static str,
        /// Why.
        what: String,
    },
    /// The schema was brought up to date.
    Migrated {
        /// From.
        from: u32,
        /// To.
        to: u32,
        /// The copy made before.
        backup: PathBuf,
    },
    /// The file was written by a newer version whose schema this one can work with.
    NewerMinor {
        /// Migrations found.
        found: u32,
        /// Migrations known.
        known: u32,
    },
    /// The file is too large to be checked at every start: have [`super::Store::check`] do it.
    NotChecked {
        /// Size.
        bytes: u64,
    },
    /// The disk was full at start: the reserve was given up so that the database could be opened.
    ReserveGivenUp,
    /// There is no room for the reserve that lets work under way come to its end on a full disk.
    NoReserve {
        /// What the system says.
        what: String,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged { what, moved_to } => write!(
                f,
                "the database was damaged ({what}) and was moved to {}; nothing was read back from it",
                moved_to.display()
            ),
            Self::Restored { from } => write!(
                f,
                "the copy {} was put in its place: what came after it is missing, and what was to be sent then is now unknown",
                from.display()
            ),
            Self::StartedEmpty => {
                f.write_str("there was no good copy: the shop starts with an empty database")
            }
            Self::LogDamaged { commits, copied_to } => write!(
                f,
                "the write-ahead log was damaged: about {commits} commits are lost; the log was copied to {}",
                copied_to.display()
            ),
            Self::BadRow { table, what } => {
                write!(f, "a row of {table} could not be read and was left out: {what}")
            }
            Self::Migrated { from, to, backup } => {
                write!(f, "the schema went from {from} to {to}; the database before is {}", backup.display())
            }
            Self::NewerMinor { found, known } => write!(
                f,
                "the database was used by a newer backroom (schema step {found}, this one knows {known}); it can be used"
            ),
            Self::NotChecked { bytes } => {
                write!(f, "the database is large ({} MiB) and was not checked at start", bytes >> 20)
            }
            Self::ReserveGivenUp => {
                f.write_str("the disk is full: the reserve was given up to open the database")
            }
            Self::NoReserve { what } => write!(f, "no reserve could be set aside for a full disk: {what}"),
        }
    }
}
