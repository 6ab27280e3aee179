//! An HTTP server that can be stopped and started again on its port: the body of the dealer and of Twilio.
//!
//! It has a thread and a runtime of its own: stopping it cuts every connection, as a dead machine does, and a
//! test's paused clock does not pause it. Deliberately absent: what it answers, and faults.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;

/// Everything that one run does, on the server's thread.
type Work = dyn Fn(TcpListener) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync;

/// A server. Dropping it cuts every connection.
pub(crate) struct Server {
    addr: SocketAddr,
    name: &'static str,
    work: Arc<Work>,
    listening: Mutex<Listening>,
}

enum Listening {
    Yes(Run),
    /// The port is still held, so that nobody else gets it: connections are refused.
    No(TcpSocket),
    /// The port could not be held after a stop; the next resume binds it again.
    Lost,
}

/// A port that is held; port 0 takes a free one.
///
/// # Errors
/// It is taken.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // What was cut a moment ago may still hold the port in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

impl Server {
    /// Listens on a port that [`bind`] holds. `work` is called at every start; it goes on until it is stopped.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub(crate) fn start<F>(
        name: &'static str,
        socket: TcpSocket,
        work: impl Fn(TcpListener) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + 'static,
    {
        let work: Arc<Work> = Arc::new(move |listener| Box::pin(work(listener)));
        let addr = socket.local_addr()?;
        let run = Run::start(name, socket, work.clone())?;
        Ok(Self { addr, name, work, listening: Mutex::new(Listening::Yes(run)) })
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Cuts every connection and refuses new ones. The port stays held.
    ///
    /// # Errors
    /// The server's thread had died.
    pub(crate) fn stop(&self) -> io::Result<()> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        *listening = match std::mem::replace(&mut *listening, Listening::Lost) {
            Listening::Yes(run) => {
                run.stop(self.name)?;
                bind(self.addr).map_or(Listening::Lost, Listening::No)
            }
            stopped @ (Listening::No(_) | Listening::Lost) => stopped,
        };
        Ok(())
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// The port could not be taken again.
    pub(crate) fn resume(&self) -> io::Result<()> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = match std::mem::replace(&mut *listening, Listening::Lost) {
            Listening::Yes(run) => {
                *listening = Listening::Yes(run);
                return Ok(());
            }
            Listening::No(socket) => socket,
            Listening::Lost => bind(self.addr)?,
        };
        *listening = Listening::Yes(Run::start(self.name, socket, self.work.clone())?);
        Ok(())
    }
}

/// From one start to the next stop.
struct Run {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Run {
    /// Returns when it listens.
    fn start(name: &str, socket: TcpSocket, work: Arc<Work>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, listens) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener = match socket.listen(1024) {
                    Ok(listener) => listener,
                    Err(why) => return drop(ready.send(Err(why))),
                };
                drop(ready.send(Ok(())));
                tokio::select! {
                    () = work(listener) => {}
                    // A dropped handle stops it as well.
                    _ = stopped => {}
                }
            });
            // Dropping the runtime drops every connection.
        })?;
        listens.recv().map_err(io::Error::other)??;
        Ok(Self { stop, thread })
    }

    /// Returns when every connection is cut.
    fn stop(self, name: &str) -> io::Result<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other(format!("the thread \"{name}\" panicked")))
    }
}
