//! The door of what listens to the Internet through a tunnel: so many connections and no more, and each has so long
//! for its request, so that a peer that sends an octet now and then holds nothing up (slowloris).
//!
//! Deliberately absent: what is asked and answered, and who it is that asks.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// For the lengths of chunks, beyond the body. A body over its limit is refused by who reads it, in words.
const CHUNKING: usize = 64 << 10;

/// What a connection is granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at a time; those beyond wait in the system's queue.
    pub(super) connections: usize,
    /// From a request's first octet to the first of its answer.
    pub(super) request: Duration,
    /// Without a request.
    pub(super) idle: Duration,
    /// Octets of a request's head.
    pub(super) head: usize,
    /// Octets of its body.
    pub(super) body: usize,
}

/// Who is at the other end of a connection: a tunnel or a proxy, as a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// The listener.
pub(super) struct Door {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    bounds: Bounds,
}

impl Door {
    pub(super) fn new(listener: TcpListener, bounds: Bounds) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(bounds.connections)), bounds }
    }
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        // Err: closed, which nobody does.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection is gone already");
        }
        let until = Box::pin(tokio::time::sleep(self.bounds.idle));
        (Wire { stream, until, so_far: Reading::default(), bounds: self.bounds, _slot: slot }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What was read of the request that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    octets: usize,
    /// How much of the empty line that ends a head came last; 4: the head is over.
    end: usize,
}

impl Reading {
    /// False: the head or the body is too long. A head whose lines end otherwise than RFC 9112 §2.1 says never ends
    /// here, so that its body counts as head.
    fn takes(&mut self, octets: &[u8], bounds: &Bounds) -> bool {
        const END: &[u8; 4] = b"\r\n\r\n";
        for octet in octets.iter().take_while(|_| self.octets <= bounds.head) {
            if self.end == END.len() {
                break;
            }
            let wanted = END.get(self.end);
            self.end = match (wanted == Some(octet), octet) {
                (true, _) => self.end + 1,
                (false, b'\r') => 1,
                (false, _) => 0,
            };
        }
        self.octets = self.octets.saturating_add(octets.len());
        let body = if self.end == END.len() { bounds.body.saturating_add(CHUNKING) } else { 0 };
        self.octets <= bounds.head.saturating_add(body)
    }
}

/// One connection.
pub(super) struct Wire {
    stream: TcpStream,
    so_far: Reading,
    until: Pin<Box<Sleep>>,
    bounds: Bounds,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Wire {
    fn in_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.until.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn read(&mut self, octets: &[u8]) -> io::Result<()> {
        if !octets.is_empty() && self.so_far.octets == 0 {
            self.until.as_mut().reset(Instant::now() + self.bounds.request);
        }
        if self.so_far.takes(octets, &self.bounds) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => Poll::Ready(self.read(buf.filled().get(before..).unwrap_or_default())),
            other => other,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(_)) = &written {
            self.so_far = Reading::default();
            let idle = Instant::now() + self.bounds.idle;
            self.until.as_mut().reset(idle);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { connections: 1, request: Duration::ZERO, idle: Duration::ZERO, head: 100, body: 1000 };

    /// How much is taken of an endless repetition that comes so many octets at a time.
    fn taken(begin: &[u8], then: &[u8], at_a_time: usize) -> usize {
        let (mut reading, mut taken) = (Reading::default(), 0);
        let endless: Vec<u8> = begin.iter().chain(then.iter().cycle().take(100_000)).copied().collect();
        for some in endless.chunks(at_a_time) {
            if !reading.takes(some, &BOUNDS) {
                break;
            }
            taken += some.len();
        }
        taken
    }

    #[test]
    fn a_head_has_a_bound_and_a_body_has_another() {
        for at_a_time in [1, 2, 3, 4, 50] {
            assert_eq!(taken(b"", b"X: y\r\n", at_a_time) / at_a_time, 100 / at_a_time);
            assert_eq!(taken(b"", b"\n", at_a_time) / at_a_time, 100 / at_a_time);
            let with_body = taken(b"POST / HTTP/1.1\r\nX: \r\r\n\r\n", b"x", at_a_time);
            assert!((1100 + CHUNKING - at_a_time..=1100 + CHUNKING).contains(&with_body), "{with_body}");
        }
    }
}
