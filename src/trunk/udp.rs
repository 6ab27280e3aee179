//! UDP sockets: read until there is no more or enough was read, write at once or as soon as the kernel takes it.
//! Deliberately absent: ICMP errors. Anybody may forge them, and the transactions' timers say the same a little later.

use core::net::SocketAddr;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::UdpSocket;

/// Datagrams that wait for the kernel, a socket. More push the oldest out, as a full network would.
const MOST_WAITING: usize = 1024;
/// Far ends whose socket is remembered, where there are several.
const REMEMBERED: usize = 16_384;

/// One socket.
pub(super) struct Port {
    pub(super) socket: Arc<UdpSocket>,
    /// Its place among the listeners.
    pub(super) listener: usize,
    is_ipv4: bool,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// All of them.
pub(super) struct Ports {
    pub(super) ports: Vec<Port>,
    /// Where a neighbour was heard last, when it could have been elsewhere: answers leave from there.
    heard: HashMap<SocketAddr, usize>,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Gone,
    /// The network is busy; of those that wait, this many were dropped.
    Waits(u64),
    /// There is no way there.
    Failed,
}

impl Ports {
    pub(super) fn new(sockets: Vec<(usize, UdpSocket)>) -> Self {
        let port = |(listener, socket): (usize, UdpSocket)| Port {
            is_ipv4: socket.local_addr().is_ok_and(|own| own.is_ipv4()),
            socket: Arc::new(socket),
            listener,
            waiting: VecDeque::new(),
        };
        Self { ports: sockets.into_iter().map(port).collect(), heard: HashMap::new() }
    }

    /// One datagram of this socket, if there is one.
    pub(super) fn receive(&mut self, port: usize, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let socket = &self.ports.get(port)?.socket;
        loop {
            match socket.try_recv_from(buffer) {
                Ok(received) => return Some(received),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Remembers where a neighbour was heard.
    pub(super) fn note(&mut self, port: usize, from: SocketAddr) {
        if self.ports.len() > 1 {
            if self.heard.len() >= REMEMBERED {
                self.heard.clear();
            }
            self.heard.insert(from, port);
            // Its other ports too, as long as nothing is heard from them.
            self.heard.insert(SocketAddr::new(from.ip(), 0), port);
        }
    }

    /// The socket on which a neighbour was heard, else the one of this listener.
    pub(super) fn towards(&self, to: SocketAddr, listener: Option<usize>) -> Option<usize> {
        let fits = |port: &usize| self.ports.get(*port).is_some_and(|p| p.is_ipv4 == to.is_ipv4());
        let other = SocketAddr::new(to.ip(), 0);
        if let Some(heard) = self.heard.get(&to).or_else(|| self.heard.get(&other)).copied().filter(fits) {
            return Some(heard);
        }
        let listener = listener?;
        self.ports.iter().position(|p| p.listener == listener)
    }

    /// Sends from this socket.
    pub(super) fn send(&mut self, port: usize, to: SocketAddr, bytes: Vec<u8>) -> Sent {
        let Some(port) = self.ports.get_mut(port) else { return Sent::Failed };
        if port.waiting.is_empty() {
            match port.socket.try_send_to(&bytes, to) {
                Ok(_) => return Sent::Gone,
                Err(why) if is_busy(&why) => {}
                Err(why) => {
                    tracing::debug!(%why, "a datagram cannot be sent");
                    return Sent::Failed;
                }
            }
        }
        port.waiting.push_back((to, bytes));
        let mut dropped = 0;
        while port.waiting.len() > MOST_WAITING {
            port.waiting.pop_front();
            dropped += 1;
        }
        Sent::Waits(dropped)
    }

    /// Whether anything waits for the kernel.
    pub(super) fn is_waiting(&self) -> bool {
        self.ports.iter().any(|p| !p.waiting.is_empty())
    }

    /// Sends what waits, as far as the kernel takes it.
    pub(super) fn flush(&mut self) {
        for port in &mut self.ports {
            while let Some((to, bytes)) = port.waiting.front() {
                if port.socket.try_send_to(bytes, *to).is_err_and(|why| is_busy(&why)) {
                    break;
                }
                port.waiting.pop_front();
            }
        }
    }
}

/// Sockets to wait on.
pub(super) fn poll_ready(sockets: &[Arc<UdpSocket>], writing: bool, cx: &mut Context<'_>) -> Poll<()> {
    let mut ready = false;
    for socket in sockets {
        ready |= socket.poll_recv_ready(cx).is_ready();
        ready |= writing && socket.poll_send_ready(cx).is_ready();
    }
    if ready { Poll::Ready(()) } else { Poll::Pending }
}

fn is_busy(why: &io::Error) -> bool {
    // ENOBUFS: the interface's queue is full.
    why.kind() == io::ErrorKind::WouldBlock
        || why.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}
