//! A leg's two sockets and who is at the other end: whose packets are believed, where ours go. Owns binding, learning
//! the far end's port (symmetric RTP, RFC 4961) and connecting to it; what the packets say stands in `ear`.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass, set_socket_recv_buffer_size};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, connect_unspec, recv,
    recvfrom, send, sendto, socket_with,
};

use crate::rtp::Micros;
use crate::types::MediaRefused;

/// Expedited forwarding (RFC 3246) in the upper six bits: voice before downloads, where a router or Wi-Fi asks.
const EXPEDITED: u8 = 46 << 2;
/// What a socket holds: more than a second of sound, and no more than [`MOST_WAITING`] of the shortest datagrams, for
/// each of which the kernel counts at least 500 bytes (it holds twice what it is told).
const WAITING: usize = 64 * 1024;
const MOST_WAITING: u16 = 300;
/// After so long without a packet a NAT may have forgotten the far end: another port is believed again.
const FORGETS: u64 = 2_000_000;
/// After a new description, for so long the port that it replaces is not learned again from packets under way.
const LEFT_BEHIND: u64 = 2_000_000;

/// Two bound sockets; nothing is believed yet.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) rtp: OwnedFd,
    pub(super) rtcp: OwnedFd,
}

/// Why a pair of ports was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Somebody else has one of the ports: try another pair.
    Occupied,
    /// No pair will do.
    Refused(MediaRefused),
}

impl From<Errno> for OpenError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::ADDRINUSE | Errno::ACCESS => Self::Occupied,
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Self::Refused(MediaRefused::Full),
            _ => Self::Refused(MediaRefused::Address),
        }
    }
}

impl Sockets {
    /// Binds `port` and the one above on `local`, which is an address of this machine and never the wildcard.
    pub(super) fn open(local: IpAddr, port: u16) -> Result<Self, OpenError> {
        if local.is_unspecified() {
            return Err(OpenError::Refused(MediaRefused::Address));
        }
        let rtp = bound(SocketAddr::new(local, port))?;
        let rtcp = bound(SocketAddr::new(local, port.wrapping_add(1)))?;
        let marked = match local {
            IpAddr::V4(_) => set_ip_tos(&rtp, EXPEDITED),
            IpAddr::V6(_) => set_ipv6_tclass(&rtp, u32::from(EXPEDITED)),
        };
        if let Err(error) = marked {
            tracing::debug!(%error, "media: packets go out unmarked");
        }
        Ok(Self { rtp, rtcp })
    }
}

fn bound(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    set_socket_recv_buffer_size(&socket, WAITING)?;
    bind(&socket, &address)?;
    Ok(socket)
}

/// Where a datagram came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// From the far end as it is known.
    Known,
    /// From an address that is believed, at a port that may be learned.
    New(SocketAddr),
    /// From a stranger, or from a port that is none of the far end's any more.
    Stranger,
}

/// The RTP socket and its far end. What every packet needs stands first and together: with hundreds of calls each
/// cache line counts.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Line {
    heard: Micros,
    pub(super) socket: OwnedFd,
    /// Datagrams that may still wait in a connected socket since before it was.
    unsettled: u16,
    connected: bool,
    /// Another port may be learned.
    open: bool,
    /// Nobody but the holder of a key can speak: its port may change at any time.
    keyed: bool,
    /// As packets came.
    learned: Option<SocketAddr>,
    /// As it was described.
    described: Option<SocketAddr>,
    left_behind: Option<(SocketAddr, Micros)>,
    sources: Vec<IpAddr>,
}

impl Line {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            heard: Micros(0),
            socket,
            unsettled: 0,
            connected: false,
            open: true,
            keyed: false,
            learned: None,
            described: None,
            left_behind: None,
            sources: Vec::new(),
        }
    }

    /// The same far end on another socket of ours.
    pub(super) fn rebind(&mut self, socket: OwnedFd) {
        self.socket = socket;
        self.connected = false;
        self.open = true;
    }

    /// The far end was described, first or again.
    pub(super) fn describe(
        &mut self,
        remote: Option<SocketAddr>,
        sources: &[IpAddr],
        keyed: bool,
        now: Micros,
    ) {
        self.keyed = keyed;
        if self.sources != sources {
            self.sources.clear();
            self.sources.extend_from_slice(sources);
            if self.learned.is_some_and(|l| !self.believes(l.ip())) {
                self.forget(now);
            }
        }
        if self.described != remote {
            self.described = remote;
            if remote.is_some() && self.learned != remote {
                self.forget(now);
            }
        }
    }

    fn forget(&mut self, now: Micros) {
        self.left_behind = self.learned.map(|learned| (learned, now.plus(LEFT_BEHIND)));
        self.learned = None;
        self.open = true;
        self.disconnect();
    }

    /// Reads one datagram into `buffer`; none when there is none, or when the far end is not there.
    pub(super) fn receive(&mut self, buffer: &mut [u8], now: Micros) -> Option<(usize, Sender)> {
        if self.connected && self.unsettled == 0 {
            let (len, whole) = recv(&self.socket, &mut *buffer, RecvFlags::TRUNC).ok()?;
            self.heard = now;
            return Some((len, if whole > len { Sender::Stranger } else { Sender::Known }));
        }
        let (len, whole, from) = recvfrom(&self.socket, &mut *buffer, RecvFlags::TRUNC).ok()?;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok())?;
        self.unsettled = self.unsettled.saturating_sub(1);
        // What is longer than any packet of ours is no packet of ours.
        if whole > len {
            return Some((len, Sender::Stranger));
        }
        if self.learned == Some(from) {
            self.heard = now;
            return Some((len, Sender::Known));
        }
        let behind = self.left_behind.is_some_and(|(old, until)| old == from && now < until);
        let believed = (self.open || self.keyed) && self.believes(from.ip()) && !behind;
        Some((len, if believed { Sender::New(from) } else { Sender::Stranger }))
    }

    /// A packet from there was good: this is the far end.
    pub(super) fn learn(&mut self, from: SocketAddr, now: Micros) {
        self.disconnect();
        (self.learned, self.heard, self.open, self.left_behind) = (Some(from), now, false, None);
        // Over a connected socket the kernel keeps strangers out and the route is looked up once. With keys a new
        // port is believed at any time, which a connected socket would not hear.
        if !self.keyed {
            self.connected = connect(&self.socket, &from).is_ok();
            self.unsettled = MOST_WAITING;
        }
    }

    /// To be asked a few times a second.
    pub(super) fn sweep(&mut self, now: Micros) {
        if !self.open && now.since(self.heard) > FORGETS {
            self.open = true;
            self.disconnect();
        }
    }

    /// Sends to the far end; false when there is none or the system does not take it.
    pub(super) fn send(&self, datagram: &[u8]) -> bool {
        if self.connected {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            return match send(&self.socket, datagram, flags) {
                Ok(_) => true,
                // Tells of an earlier packet that nobody took; this one was not sent.
                Err(Errno::CONNREFUSED) => send(&self.socket, datagram, flags).is_ok(),
                Err(_) => false,
            };
        }
        self.far_end().is_some_and(|to| self.send_to(datagram, to))
    }

    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> bool {
        sendto(&self.socket, datagram, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &to).is_ok()
    }

    /// Where RTP goes.
    pub(super) fn far_end(&self) -> Option<SocketAddr> {
        // Nothing is sent to who wants nothing, wherever he sends from.
        self.described.map(|described| self.learned.unwrap_or(described))
    }

    pub(super) fn believes(&self, address: IpAddr) -> bool {
        self.sources.contains(&address)
    }

    fn disconnect(&mut self) {
        if std::mem::take(&mut self.connected) && connect_unspec(&self.socket).is_err() {
            // It cannot fail for a UDP socket of Linux; if it did, the far end stays who it is.
            self.connected = true;
        }
    }
}

/// The RTCP socket beside it; its far end is learned apart from that of RTP, as a NAT keeps them apart.
#[derive(Debug)]
pub(super) struct ReportLine {
    pub(super) socket: OwnedFd,
    pub(super) described: Option<SocketAddr>,
    learned: Option<SocketAddr>,
}

impl ReportLine {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, described: None, learned: None }
    }

    pub(super) fn describe(&mut self, remote: Option<SocketAddr>) {
        if self.described != remote {
            self.described = remote;
            self.learned = None;
        }
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let (len, whole, from) = recvfrom(&self.socket, &mut *buffer, RecvFlags::TRUNC).ok()?;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok())?;
        Some((if whole > len { 0 } else { len }, from))
    }

    pub(super) fn learn(&mut self, from: SocketAddr) {
        self.learned = Some(from);
    }

    pub(super) fn send(&self, datagram: &[u8]) -> bool {
        let Some(to) = self.described.map(|described| self.learned.unwrap_or(described)) else {
            return false;
        };
        sendto(&self.socket, datagram, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &to).is_ok()
    }
}
