//! How much room is left, and the reserve: a file that is given up when the disk is full, so that work under way
//! can still be committed. Measured by the writer's thread; everybody else reads two numbers.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Room on the disk of the database, as of at most two seconds ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskState {
    /// Bytes that the database may still take.
    pub free: u64,
    /// True below [`super::Options::low_water`]: refuse new work, finish what is under way.
    pub low: bool,
    /// False after the reserve was given up, until there is room for it again.
    pub reserve: bool,
}

const RESERVE: &str = "reserve";

pub(super) struct Disk {
    directory: PathBuf,
    reserve_bytes: u64,
    low_water: u64,
    /// 0: as large as the disk lets it.
    max_bytes: AtomicU64,
    free: AtomicU64,
    reserve: AtomicBool,
}

impl Disk {
    pub(super) fn new(directory: &Path, reserve_bytes: u64, low_water: u64, max_bytes: Option<u64>) -> Self {
        let disk = Self {
            directory: directory.to_owned(),
            reserve_bytes,
            low_water,
            max_bytes: AtomicU64::new(max_bytes.unwrap_or(0)),
            free: AtomicU64::new(0),
            reserve: AtomicBool::new(false),
        };
        disk.measure();
        disk
    }

    pub(super) fn state(&self) -> DiskState {
        let free = self.free.load(Ordering::Relaxed);
        DiskState { free, low: free < self.low_water, reserve: self.reserve.load(Ordering::Relaxed) }
    }

    pub(super) fn max_bytes(&self) -> Option<u64> {
        Some(self.max_bytes.load(Ordering::Relaxed)).filter(|max| *max > 0)
    }

    pub(super) fn set_max_bytes(&self, max: Option<u64>) {
        self.max_bytes.store(max.unwrap_or(0), Ordering::Relaxed);
    }

    /// Asks the file system. A disk that does not answer has no room.
    pub(super) fn measure(&self) {
        let on_disk =
            rustix::fs::statvfs(&self.directory).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
        let below_bound = self.max_bytes().map_or(u64::MAX, |max| {
            let taken = fs::metadata(self.directory.join(super::FILE)).map_or(0, |m| m.len());
            max.saturating_sub(taken)
        });
        self.free.store(on_disk.min(below_bound), Ordering::Relaxed);
    }

    /// Sets the reserve aside, unless it is there, not wanted, or there is no room to spare.
    pub(super) fn set_aside(&self) -> io::Result<()> {
        let path = self.reserve_path();
        if self.reserve_bytes == 0 || fs::metadata(&path).is_ok_and(|m| m.len() >= self.reserve_bytes) {
            self.reserve.store(self.reserve_bytes > 0, Ordering::Relaxed);
            return Ok(());
        }
        self.measure();
        if self.state().free < self.low_water.saturating_add(self.reserve_bytes) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "not enough room"));
        }
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        // Written, not only sized: a sparse file reserves nothing.
        let chunk = [0u8; 64 * 1024];
        let mut left = self.reserve_bytes;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            file.write_all(chunk.get(..count).unwrap_or(&chunk))?;
            left = left.saturating_sub(chunk.len() as u64);
        }
        file.sync_all()?;
        self.reserve.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the reserve up. True when there was one.
    pub(super) fn give_up(&self) -> bool {
        let had = give_up_reserve(&self.directory);
        self.reserve.store(false, Ordering::Relaxed);
        self.measure();
        had
    }

    fn reserve_path(&self) -> PathBuf {
        self.directory.join(RESERVE)
    }
}

/// True when there was one.
pub(super) fn give_up_reserve(directory: &Path) -> bool {
    fs::remove_file(directory.join(RESERVE)).is_ok()
}
