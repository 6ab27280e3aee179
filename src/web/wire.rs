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

/// What a connection is granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at a time; those beyond wait in the system's queue.
    pub(super) connections: usize,
    /// From a request's first octet to the first of its answer.
    pub(super) request: Duration,
    /// Without a request.
    pub(super) idle: Duration,
    /// Octets of a request, with its head.
    pub(super) octets: usize,
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
        (Wire { stream, until, octets: 0, bounds: self.bounds, _slot: slot }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// Read so far of the request that is under way.
    octets: usize,
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

    fn read(&mut self, octets: usize) -> io::Result<()> {
        if octets > 0 && self.octets == 0 {
            self.until.as_mut().reset(Instant::now() + self.bounds.request);
        }
        self.octets = self.octets.saturating_add(octets);
        if self.octets > self.bounds.octets {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
        }
        Ok(())
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
            Poll::Ready(Ok(())) => Poll::Ready(self.read(buf.filled().len() - before)),
            other => other,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(_)) = &written {
            self.octets = 0;
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
