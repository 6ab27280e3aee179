//! One pseudo-terminal that behaves like a USB modem's tty: it knows whether a client has it open, drops what
//! is written while nobody listens, and goes away with EIO for the client when it is unplugged.
//!
//! The master alone is kept open. A read of it that fails with EIO then says that no client is left, and an
//! inotify watch on the slave says when one comes; neither needs a poll in intervals.

use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use tokio::io::unix::AsyncFd;

/// What a client may leave unread before the modem drops output, in bytes: a modem's own buffer.
const PENDING_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) enum Event {
    Opened,
    Closed,
    Bytes(Vec<u8>),
}

/// The port. Dropping it is pulling the plug: the client's next read gives EIO or end of file.
pub(super) struct Port {
    /// `None` only while it is registered anew with the reactor.
    master: Option<AsyncFd<OwnedFd>>,
    watch: AsyncFd<OwnedFd>,
    device: PathBuf,
    link: Option<PathBuf>,
    open: bool,
    events: VecDeque<Event>,
    pending: Vec<u8>,
}

impl Port {
    /// Opens a PTY in raw mode and points `link` at it. A stale link is replaced; any other file is not.
    ///
    /// # Errors
    /// No PTY or inotify instance to be had, or the link cannot be made.
    pub(super) fn new(link: Option<PathBuf>) -> io::Result<Port> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let device = PathBuf::from(OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes()));
        rustix::io::ioctl_fionbio(&master, true)?;
        // Opening and closing the slave once makes the master report "nobody there" from the start.
        make_raw(&device)?;
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&watch, &device, inotify::WatchFlags::OPEN)?;
        if let Some(link) = &link {
            point(link, &device)?;
        }
        Ok(Port {
            master: Some(registered(master)?),
            watch: registered(watch)?,
            device,
            link,
            open: false,
            events: VecDeque::new(),
            pending: Vec::new(),
        })
    }

    /// The name that clients open.
    pub(super) fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.device)
    }

    /// The next thing that happens on the port. Cancel-safe.
    ///
    /// # Errors
    /// The reactor or the descriptors failed: the port is of no more use.
    pub(super) async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if self.open {
                self.wait_for_bytes().await?;
            } else {
                self.watch.readable().await?.clear_ready();
                self.drain_watch()?;
                self.look()?;
            }
        }
    }

    async fn wait_for_bytes(&mut self) -> io::Result<()> {
        let Some(master) = &self.master else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut nobody = false;
        tokio::select! {
            ready = master.readable() => {
                let mut ready = ready?;
                match read_all(master.get_ref(), &mut self.events)? {
                    Reading::WouldBlock => ready.clear_ready(),
                    Reading::NobodyThere => nobody = true,
                }
            }
            ready = master.writable(), if !self.pending.is_empty() => {
                let mut ready = ready?;
                if !flush(master.get_ref(), &mut self.pending)? {
                    ready.clear_ready();
                }
            }
        }
        if nobody { self.closed() } else { Ok(()) }
    }

    fn drain_watch(&mut self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(self.watch.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Finds out whether a client is there now, and keeps what it has already written.
    fn look(&mut self) -> io::Result<()> {
        let Some(master) = &self.master else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut seen = VecDeque::new();
        let reading = read_all(master.get_ref(), &mut seen)?;
        match (self.open, reading) {
            (false, Reading::NobodyThere) if seen.is_empty() => {}
            (false, _) => {
                self.open = true;
                self.events.push_back(Event::Opened);
                self.events.append(&mut seen);
                if reading == Reading::NobodyThere {
                    self.closed()?;
                } else {
                    self.register_anew()?;
                }
            }
            (true, reading) => {
                self.events.append(&mut seen);
                if reading == Reading::NobodyThere {
                    self.closed()?;
                }
            }
        }
        Ok(())
    }

    /// tokio keeps "hung up" for good once it has seen it; a client that comes back needs a new registration.
    fn register_anew(&mut self) -> io::Result<()> {
        if let Some(master) = self.master.take() {
            self.master = Some(registered(master.into_inner())?);
        }
        Ok(())
    }

    fn closed(&mut self) -> io::Result<()> {
        self.open = false;
        self.pending.clear();
        self.events.push_back(Event::Closed);
        // A tty driver resets its settings and forgets unread input on the last close; a PTY does neither.
        make_raw(&self.device)
    }

    /// Hands bytes to the client. `false` if nobody has the port open: they are lost, as on a real tty.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        if !self.open && self.look().is_err() {
            return false;
        }
        if !self.open || self.pending.len() + bytes.len() > PENDING_MAX {
            return false;
        }
        self.pending.extend_from_slice(bytes);
        match &self.master {
            Some(master) => flush(master.get_ref(), &mut self.pending).is_ok(),
            None => false,
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(link) = &self.link
            && std::fs::read_link(link).is_ok_and(|to| to == self.device)
        {
            // The link may be gone already; there is nobody to tell.
            drop(std::fs::remove_file(link));
        }
    }
}

/// The one place where a descriptor meets the reactor.
#[expect(
    deprecated,
    reason = "its successor is `unsafe`, which this workspace forbids; what it asks for (the descriptor stays the \
              same and open while registered) an `OwnedFd` that nobody else holds gives"
)]
fn registered(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    WouldBlock,
    NobodyThere,
}

fn read_all(master: &OwnedFd, into: &mut VecDeque<Event>) -> io::Result<Reading> {
    let mut buffer = [0u8; 4096];
    loop {
        match rustix::io::read(master, &mut buffer) {
            Ok(0) | Err(Errno::IO) => return Ok(Reading::NobodyThere),
            Ok(n) => into.push_back(Event::Bytes(buffer.get(..n).unwrap_or(&[]).to_vec())),
            Err(Errno::AGAIN) => return Ok(Reading::WouldBlock),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// `Ok(true)` if all went out.
fn flush(master: &OwnedFd, pending: &mut Vec<u8>) -> io::Result<bool> {
    while !pending.is_empty() {
        match rustix::io::write(master, pending) {
            Ok(n) => drop(pending.drain(..n)),
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            // Nobody reads it any more; the read side will say so.
            Err(Errno::IO) => pending.clear(),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}

fn make_raw(device: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let slave = open(device, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    tcflush(&slave, QueueSelector::IFlush)?;
    let mut settings = tcgetattr(&slave)?;
    settings.make_raw();
    Ok(tcsetattr(&slave, OptionalActions::Now, &settings)?)
}

fn point(link: &Path, device: &Path) -> io::Result<()> {
    if let Some(folder) = link.parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::symlink_metadata(link) {
        Ok(meta) if meta.file_type().is_symlink() => std::fs::remove_file(link)?,
        Ok(_) => {
            let problem = format!("{} is there and is no link", link.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        Err(_) => {}
    }
    std::os::unix::fs::symlink(device, link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(5), what).await.expect("within 5 s")
    }

    fn open(path: &Path) -> std::fs::File {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Never as controlling terminal: its hang-up would end the test run.
        let flags = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        std::fs::File::options().read(true).write(true).custom_flags(flags).open(path).unwrap()
    }

    #[tokio::test]
    async fn a_client_comes_goes_and_comes_back() {
        let mut port = Port::new(None).unwrap();
        assert!(!port.write(b"lost"), "nobody listens yet");
        for _ in 0..3 {
            let mut client = open(port.path());
            client.write_all(b"AT\r").unwrap();
            assert!(matches!(soon(port.next()).await.unwrap(), Event::Opened));
            assert!(matches!(soon(port.next()).await.unwrap(), Event::Bytes(b) if b == b"AT\r"));
            assert!(port.write(b"OK"));
            let mut answer = [0; 2];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"OK", "and nothing stale before it");
            assert!(port.write(b"never read"));
            drop(client);
            assert!(matches!(soon(port.next()).await.unwrap(), Event::Closed));
        }
    }

    #[tokio::test]
    async fn a_client_that_has_just_opened_misses_nothing() {
        let mut port = Port::new(None).unwrap();
        let mut client = open(port.path());
        assert!(port.write(b"RING"), "the open is seen before the write is judged");
        let mut got = [0; 4];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"RING");
    }

    #[tokio::test]
    async fn unplugging_ends_the_clients_read_and_takes_the_name_away() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("modem0");
        let mut port = Port::new(Some(link.clone())).unwrap();
        let mut client = open(&link);
        assert!(matches!(soon(port.next()).await.unwrap(), Event::Opened));
        drop(port);
        let mut buffer = [0; 8];
        let read = client.read(&mut buffer);
        assert!(
            matches!(&read, Ok(0)) || read.as_ref().is_err_and(|e| e.raw_os_error() == Some(5)),
            "{read:?}"
        );
        assert_eq!(client.write(b"AT\r").unwrap_err().raw_os_error(), Some(5), "EIO");
        assert!(std::fs::symlink_metadata(&link).is_err());
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("modem0");
        std::fs::write(&link, "mine").unwrap();
        assert!(Port::new(Some(link.clone())).is_err());
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "mine");
    }
}
