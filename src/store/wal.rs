//! A look at the write-ahead log before SQLite reads it. SQLite takes a log up to the first frame that is not in
//! order and says nothing about the rest: right after a power cut, when only the last commit can be torn, and wrong
//! when the disk has spoilt a commit that was acknowledged. The two can be told apart: a commit is written only
//! after the one before it was synced, so that more than one commit behind a bad frame means damage.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>, §4.1 and §4.2.

use std::fs;
use std::io;
use std::path::Path;

use super::StoreError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// How many commits lie behind the first frame that is not in order, when that cannot be the end of the log;
/// `None` for a sound, torn, empty or absent log.
pub(super) fn damaged_commits(log: &Path) -> Result<Option<u32>, StoreError> {
    match fs::read(log) {
        Ok(bytes) => Ok(commits_behind_fault(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::File { path: log.to_owned(), source }),
    }
}

fn commits_behind_fault(bytes: &[u8]) -> Option<u32> {
    let (header, frames) = bytes.split_at_checked(HEADER)?;
    let page = usize::try_from(word(header, 8)?).ok()?;
    let little_endian = match word(header, 0)? {
        0x377f_0682 => true,
        0x377f_0683 => false,
        // Not a log, or spoilt at its very beginning: a header is synced before the first commit.
        _ => return suspicious(count_commits_of_any_salt(frames)),
    };
    let salts = header.get(16..24)?;
    let mut sum = checksum((0, 0), header.get(..24)?, little_endian)?;
    if (word(header, 24)?, word(header, 28)?) != sum || !page.is_power_of_two() || page < 512 {
        return suspicious(count_commits_of_any_salt(frames));
    }
    let mut frames = frames.chunks_exact(FRAME_HEADER + page);
    for frame in frames.by_ref() {
        let expected = checksum(sum, frame.get(..8)?, little_endian)
            .and_then(|s| checksum(s, frame.get(FRAME_HEADER..)?, little_endian))?;
        let in_order = frame.get(8..16)? == salts && (word(frame, 16)?, word(frame, 20)?) == expected;
        if !in_order {
            let here = u32::from(is_commit(frame, salts));
            let behind = frames.filter(|f| is_commit(f, salts)).count();
            return suspicious(here.saturating_add(u32::try_from(behind).unwrap_or(u32::MAX)));
        }
        sum = expected;
    }
    None
}

/// One commit may be torn by a power cut. Frames of an older use of the log carry other salts and do not count.
fn suspicious(commits: u32) -> Option<u32> {
    (commits > 1).then_some(commits)
}

fn is_commit(frame: &[u8], salts: &[u8]) -> bool {
    word(frame, 4).is_some_and(|size| size > 0) && frame.get(8..16) == Some(salts)
}

/// With a bad header the salts are those of the first frame.
fn count_commits_of_any_salt(frames: &[u8]) -> u32 {
    let page = usize::try_from(super::open::PAGE_BYTES).unwrap_or(4096);
    let Some(salts) = frames.get(8..16) else { return 0 };
    let commits = frames.chunks_exact(FRAME_HEADER + page).filter(|f| is_commit(f, salts)).count();
    u32::try_from(commits).unwrap_or(u32::MAX)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// §4.2: over pairs of words.
fn checksum(start: (u32, u32), bytes: &[u8], little_endian: bool) -> Option<(u32, u32)> {
    let read = if little_endian { u32::from_le_bytes } else { u32::from_be_bytes };
    let mut sum = start;
    for pair in bytes.chunks_exact(8) {
        let (first, second) = pair.split_at_checked(4)?;
        sum.0 = sum.0.wrapping_add(read(first.try_into().ok()?)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(read(second.try_into().ok()?)).wrapping_add(sum.0);
    }
    Some(sum)
}
