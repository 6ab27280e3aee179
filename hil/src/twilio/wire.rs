//! The door of the REST API: connections that can be cut in the place of an answer or within it, as a carrier's NAT does
//! it, and that can be slow.
//! Owns the listener and its streams; what is asked and answered is absent (`rest`).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// One connection, as the request's handler sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire(Arc<Mutex<Way>>);

/// How what is written leaves.
#[derive(Clone, Copy, Debug, Default)]
enum Way {
    #[default]
    Whole,
    Cut,
    /// The head and so many bytes of the body, then nothing.
    CutAfter(usize),
    /// So many bytes, then this pause, again and again.
    Trickle(usize, Duration),
}

impl Wire {
    /// Nothing that is written from now on leaves: the client sees the connection end without an answer.
    pub(super) fn cut(&self) {
        self.set(Way::Cut);
    }

    /// The answer's head leaves and so many bytes of its body; then the connection ends.
    pub(super) fn cut_after(&self, bytes: usize) {
        self.set(Way::CutAfter(bytes));
    }

    /// The answer leaves in pieces with a pause before each.
    pub(super) fn trickle(&self, bytes: usize, pause: Duration) {
        self.set(Way::Trickle(bytes.max(1), pause));
    }

    fn set(&self, way: Way) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }

    fn way(&self) -> Way {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Door>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

pub(super) struct Door(pub(super) TcpListener);

impl Listener for Door {
    type Io = Line;
    type Addr = Wire;

    async fn accept(&mut self) -> (Line, Wire) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        // Err: the connection is gone already, which the next read says.
        drop(stream.set_nodelay(true));
        let wire = Wire::default();
        (Line { stream, wire: wire.clone(), pause: None }, wire)
    }

    fn local_addr(&self) -> io::Result<Wire> {
        Ok(Wire::default())
    }
}

pub(super) struct Line {
    stream: TcpStream,
    wire: Wire,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Line {
    fn whole(&self) -> io::Result<()> {
        match self.wire.way() {
            Way::Cut => Err(io::ErrorKind::ConnectionReset.into()),
            Way::Whole | Way::CutAfter(_) | Way::Trickle(..) => Ok(()),
        }
    }

    fn rest(&mut self, cx: &mut Context<'_>, pause: Duration) -> Poll<()> {
        let sleep = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        let done = sleep.as_mut().poll(cx);
        if done.is_ready() {
            self.pause = None;
        }
        done
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.wire.way() {
            Way::Whole => Pin::new(&mut self.stream).poll_write(cx, buf),
            Way::Cut => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Way::CutAfter(bytes) => {
                let head = buf.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
                let most = buf.len().min(head + bytes);
                let wrote =
                    ready!(Pin::new(&mut self.stream).poll_write(cx, buf.get(..most).unwrap_or(buf)))?;
                self.wire.set(if wrote == most { Way::Cut } else { Way::CutAfter(most - wrote) });
                Poll::Ready(Ok(wrote))
            }
            Way::Trickle(bytes, pause) => {
                ready!(self.rest(cx, pause));
                let most = buf.len().min(bytes);
                Pin::new(&mut self.stream).poll_write(cx, buf.get(..most).unwrap_or(buf))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
