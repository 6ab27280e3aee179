//! Serial ports: which names to look at, who of ours has which, opening one. Knows nothing of AT.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_serial::SerialStream;

/// Names that modems have on Linux; a `*` in the last component stands for anything.
pub const CANDIDATES: [&str; 3] = ["/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*"];

/// Which ports and modems the lines of this process use, so that no line takes another's; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ports(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    claimed: Mutex<BTreeSet<String>>,
    prober: tokio::sync::Mutex<()>,
}

/// Something that one line has for itself until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    ports: Ports,
    what: String,
}

impl Ports {
    /// Nothing in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a port's real name or a modem's IMEI; `None` when another line has it.
    pub(super) fn claim(&self, what: impl Into<String>) -> Option<Claim> {
        let what = what.into();
        self.claimed().insert(what.clone()).then(|| Claim { ports: self.clone(), what })
    }

    /// Waits until nobody else probes.
    pub(super) async fn probing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.prober.lock().await
    }

    fn claimed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A set is whole after any panic.
        self.0.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.ports.claimed().remove(&self.what);
    }
}

/// A port that is open, and the claim to it.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub(super) stream: SerialStream,
    pub(super) path: PathBuf,
    claims: Vec<Claim>,
}

impl OpenPort {
    /// True when this was claimed together with the port.
    pub(super) fn holds(&self, what: &str) -> bool {
        self.claims.iter().any(|claim| claim.what == what)
    }

    /// Keeps a further claim as long as the port is open.
    pub(super) fn keep(&mut self, claim: Claim) {
        self.claims.push(claim);
    }
}

/// Opens a port under a name that may be a link; the device behind it must not be another line's.
pub(super) fn open(path: &Path, baud: u32, ports: &Ports) -> io::Result<OpenPort> {
    let device = fs::canonicalize(path)?;
    let name = device.to_string_lossy().into_owned();
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another line uses this port");
    let claim = ports.claim(name.clone()).ok_or_else(busy)?;
    // A pseudo-terminal keeps its exclusive mark after the last close, and then nobody but root opens it again.
    let exclusive = !device.starts_with("/dev/pts");
    let stream = SerialStream::open(&tokio_serial::new(name, baud).exclusive(exclusive))?;
    Ok(OpenPort { stream, path: path.to_owned(), claims: vec![claim] })
}

/// Every existing device that the patterns name, once each, the newest first: a modem that has just come back is
/// found before the ports that have been silent all day.
pub(super) fn candidates(patterns: &[String]) -> Vec<PathBuf> {
    let mut found: Vec<(i64, PathBuf)> = Vec::new();
    let mut seen = BTreeSet::new();
    for path in patterns.iter().flat_map(|pattern| expand(pattern)) {
        let (Ok(device), Ok(meta)) = (fs::canonicalize(&path), fs::metadata(&path)) else { continue };
        if seen.insert(device) {
            found.push((meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec()), path));
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().map(|(_, path)| path).collect()
}

fn expand(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Some((head, tail)) = name.split_once('*') else { return vec![path.to_owned()] };
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let fits =
        |name: &str| name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
    let mut names: Vec<_> =
        entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(fits)).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    names.into_iter().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_one_line_is_not_given_to_another_until_it_is_let_go() {
        let ports = Ports::new();
        let claim = ports.claim("/dev/ttyUSB0");
        assert!(claim.is_some());
        assert!(ports.clone().claim("/dev/ttyUSB0").is_none());
        drop(claim);
        assert!(ports.claim("/dev/ttyUSB0").is_some());
    }

    #[test]
    fn patterns_name_each_device_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ttyUSB0", "ttyUSB1", "ttyS0"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("ttyUSB1"), dir.path().join("modem0")).unwrap();
        let pattern = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let mut found =
            candidates(&[pattern("modem0"), pattern("ttyUSB*"), pattern("none*"), pattern("gone")]);
        found.sort();
        assert_eq!(found, [dir.path().join("modem0"), dir.path().join("ttyUSB0")]);
    }
}
