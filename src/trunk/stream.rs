//! One TCP or TLS connection, as a task of its own: bytes to messages upward, bytes downward, both through bounded
//! queues, neither way waiting for the other. It ends when the peer does, at the first byte that is not SIP, for half
//! a message, for bytes that make none, and when the peer does not read.

use core::net::SocketAddr;
use std::future::pending;
use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::sip::wire::{self, Opener, Received, StreamReader};

use super::config::Limits;
use super::tls::Expected;

/// Tells connections apart, also those of one peer one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnId(pub(super) u64);

/// What a connection says.
pub(super) enum Arrival {
    /// Ours is made; our end of it.
    Up(ConnId, SocketAddr),
    /// This came.
    Received(ConnId, Chunk),
    /// It is over.
    Down(ConnId, Down),
}

/// What a read came to.
pub(super) struct Chunk {
    pub(super) items: Vec<Received>,
    pub(super) bytes: usize,
    /// No more can be read: to be closed when what was read is answered.
    pub(super) last: bool,
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// The peer closed it, or the network did.
    Peer,
    /// It could not be made, or the peer is not who it should be.
    NotMade,
    /// What comes is not SIP, or half of it and no more.
    NotSip,
    /// The peer does not read.
    Slow,
    /// We closed it.
    Us,
}

/// What carries the bytes.
pub(super) enum Carrier {
    /// Accepted.
    Accepted(TcpStream, Option<TlsAcceptor>),
    /// To be made, from this address if the listener has one of its own.
    ToMake { to: SocketAddr, from: Option<SocketAddr>, tls: Option<Box<Expected>> },
}

/// The edge's side of a connection's queues.
pub(super) struct Pipes {
    pub(super) out: mpsc::Receiver<Vec<u8>>,
    pub(super) up: mpsc::Sender<Arrival>,
}

/// Bounds of one connection.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    wire: wire::Limits,
    connect: Duration,
    message: Duration,
    write: Duration,
    garbage: usize,
}

impl Bounds {
    pub(super) fn of(limits: &Limits) -> Self {
        let Limits { wire, connect, message, write, garbage, .. } = *limits;
        Self { wire, connect, message, write, garbage }
    }
}

/// Bytes read at a time, and gathered for one write.
const CHUNK: usize = 4096;

/// Makes the connection, carries it, and says how it ended.
pub(super) async fn carry(id: ConnId, carrier: Carrier, pipes: Pipes, bounds: Bounds) {
    let up = pipes.up.clone();
    let down = match make(id, carrier, &pipes, bounds).await {
        Some(Made::Plain(stream, opener)) => serve(stream, opener, id, pipes, bounds).await,
        Some(Made::Tls(stream, opener)) => serve(*stream, opener, id, pipes, bounds).await,
        None => Down::NotMade,
    };
    // Without the edge there is nobody to tell.
    drop(up.send(Arrival::Down(id, down)).await);
}

enum Made {
    Plain(TcpStream, Opener),
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>, Opener),
}

async fn make(id: ConnId, carrier: Carrier, pipes: &Pipes, bounds: Bounds) -> Option<Made> {
    match carrier {
        Carrier::Accepted(stream, None) => Some(Made::Plain(stream, Opener::Them)),
        Carrier::Accepted(stream, Some(acceptor)) => {
            let stream = quiet(timeout(bounds.connect, acceptor.accept(stream)).await, "TLS with a peer")?;
            Some(Made::Tls(Box::new(stream.into()), Opener::Them))
        }
        Carrier::ToMake { to, from, tls } => {
            let stream = quiet(timeout(bounds.connect, connect(to, from)).await, "a connection")?;
            let local = stream.local_addr().ok()?;
            let made = match tls {
                None => Made::Plain(stream, Opener::Us),
                Some(expected) => {
                    let shaking = expected.connector.connect(expected.name, stream);
                    let stream = quiet(timeout(bounds.connect, shaking).await, "TLS with a trunk")?;
                    Made::Tls(Box::new(stream.into()), Opener::Us)
                }
            };
            pipes.up.send(Arrival::Up(id, local)).await.ok()?;
            Some(made)
        }
    }
}

fn quiet<T>(made: Result<io::Result<T>, tokio::time::error::Elapsed>, what: &str) -> Option<T> {
    match made {
        Ok(Ok(made)) => Some(made),
        Ok(Err(why)) => {
            tracing::debug!(%why, "{what} could not be made");
            None
        }
        Err(_) => {
            tracing::debug!("{what} was not made in time");
            None
        }
    }
}

async fn connect(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(from)?;
    }
    let stream = socket.connect(to).await?;
    tune(&stream)?;
    Ok(stream)
}

/// Small messages leave at once; a peer that vanished is noticed within a minute and a half of silence, or twenty
/// seconds of unanswered data.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(45))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, 20_000)?;
    Ok(())
}

/// Where the reading half is.
struct Reading {
    wire: StreamReader,
    /// Read and not yet taken by the edge.
    waiting: Option<Chunk>,
    /// Bytes since the last message.
    loose: usize,
    /// By when a message must be whole.
    by: Option<Instant>,
}

impl Reading {
    /// Takes what came; `false` when it is too much of nothing.
    fn feed(&mut self, bytes: &[u8], bounds: &Bounds) -> bool {
        let items = self.wire.feed(bytes);
        if items.is_empty() {
            self.loose += bytes.len();
            self.by.get_or_insert(Instant::now() + bounds.message);
        } else {
            let last = self.wire.is_closed();
            self.loose = 0;
            self.by = last.then(|| Instant::now() + bounds.message);
            self.waiting = Some(Chunk { items, bytes: bytes.len(), last });
        }
        self.loose <= bounds.garbage
    }
}

async fn serve<S>(stream: S, opener: Opener, id: ConnId, mut pipes: Pipes, bounds: Bounds) -> Down
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let first = (opener == Opener::Them).then(|| Instant::now() + bounds.message);
    let wire = StreamReader::new(opener, bounds.wire);
    let mut reading = Reading { wire, waiting: None, loose: 0, by: first };
    let mut chunk = [0; CHUNK];
    let mut out = Outgoing::default();
    loop {
        let deadline = [reading.by, out.by].into_iter().flatten().min();
        tokio::select! {
            biased;
            permit = pipes.up.reserve(), if reading.waiting.is_some() => {
                let (Ok(permit), Some(chunk)) = (permit, reading.waiting.take()) else { return Down::Us };
                permit.send(Arrival::Received(id, chunk));
            }
            more = pipes.out.recv(), if out.is_done() => match more {
                Some(bytes) => out.add(bytes, &mut pipes.out, bounds.write),
                None => {
                    // The peer may be gone already.
                    drop(timeout(bounds.write, writer.shutdown()).await);
                    return Down::Us;
                }
            },
            pushed = push(&mut writer, out.rest()), if !out.is_done() => match pushed {
                Ok(Pushed::Written(0)) | Err(_) => return Down::Peer,
                Ok(Pushed::Written(count)) => out.written(count, bounds.write),
                Ok(Pushed::Flushed) => out.flushed(),
            },
            count = reader.read(&mut chunk), if reading.waiting.is_none() && !reading.wire.is_closed() => {
                let count = match count {
                    Ok(0) | Err(_) => return Down::Peer,
                    Ok(count) => count,
                };
                if !reading.feed(chunk.get(..count).unwrap_or_default(), &bounds) {
                    return Down::NotSip;
                }
            }
            () = at(deadline) => {
                return if out.by.is_some_and(|by| by <= Instant::now()) { Down::Slow } else { Down::NotSip };
            }
        }
    }
}

enum Pushed {
    Written(usize),
    Flushed,
}

/// Writes some of it, or when there is nothing left makes sure that it leaves.
async fn push(writer: &mut (impl AsyncWrite + Unpin), rest: &[u8]) -> io::Result<Pushed> {
    if rest.is_empty() {
        writer.flush().await.map(|()| Pushed::Flushed)
    } else {
        writer.write(rest).await.map(Pushed::Written)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// What is being written.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    at: usize,
    flushing: bool,
    /// By when the peer must take some of it.
    by: Option<Instant>,
}

impl Outgoing {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn is_done(&self) -> bool {
        self.rest().is_empty() && !self.flushing
    }

    fn add(&mut self, bytes: Vec<u8>, more: &mut mpsc::Receiver<Vec<u8>>, patience: Duration) {
        (self.bytes, self.at) = (bytes, 0);
        while self.bytes.len() < CHUNK
            && let Ok(next) = more.try_recv()
        {
            self.bytes.extend(next);
        }
        self.by = Some(Instant::now() + patience);
    }

    fn written(&mut self, count: usize, patience: Duration) {
        self.at += count;
        self.by = Some(Instant::now() + patience);
        if self.rest().is_empty() {
            (self.bytes, self.at) = (Vec::new(), 0);
            self.flushing = true;
        }
    }

    fn flushed(&mut self) {
        self.flushing = false;
        self.by = None;
    }
}
