//! A dealer's API on loopback, with a believable shop, three ways of treating an order that comes twice, and every
//! fault that `backroom` must live with. The contract is `src/dealer/openapi.yaml` of the daemon; it is written a
//! second time here, so that a mistake in one does not hide in the other.
//!
//! As a library: [`Dealer::start`]. As a program: `hil dealer`, with `POST /_sim/fault`, `GET /_sim/orders` and
//! `POST /_sim/reset` on a port of its own, which answers also while the dealer is down.
//!
//! The server has a thread and a runtime of its own: stopping it cuts every connection, as a dead machine does,
//! and a test's paused clock does not pause the dealer.

mod books;
mod cli;
mod fault;
mod http;
mod shop;

pub use books::{Kind, Order};
pub use cli::{Args, run};
pub use fault::{Fault, On, Plan};
pub use shop::{Customer, Machine, NAME};

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use axum::Router;
use clap::ValueEnum;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use books::Books;
use http::{Shared, Sim, lock};

/// What the dealer does to keep an order from being written twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Honours `Idempotency-Key`; shows no references.
    Idempotent,
    /// Shows `client_reference` on his orders; does not look at the key.
    #[default]
    Reference,
    /// Neither, and no optional endpoint.
    Bare,
}

/// How to start a dealer.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What he supports.
    pub mode: Mode,
    /// The bearer token that he wants; without one he lets everybody in.
    pub token: Option<String>,
    /// Where posted orders outlive him.
    pub state: Option<PathBuf>,
    /// Where every order is logged as a JSON line.
    pub log: Option<PathBuf>,
    /// The day that the shop's dates are counted from; today when `None`.
    pub today: Option<jiff::civil::Date>,
    /// Customers beside the shop's dozen, numbered from +12065550113.
    pub more_customers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            mode: Mode::default(),
            token: None,
            state: None,
            log: None,
            today: None,
            more_customers: 0,
        }
    }
}

/// A running dealer. Dropping it cuts every connection.
pub struct Dealer {
    shared: Shared,
    app: Router,
    addr: SocketAddr,
    listening: Mutex<Listening>,
}

enum Listening {
    Yes(Server),
    /// The port is still held, so that nobody else gets it: connections are refused.
    No(TcpSocket),
    /// The port could not be held after a stop; the next resume binds it again.
    Lost,
}

struct Server {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Dealer {
    /// Opens the books and listens.
    ///
    /// # Errors
    /// The port is taken, or the state file cannot be read.
    #[expect(clippy::unused_async, reason = "callers await it, as they will when it does wait")]
    pub async fn start(options: Options) -> io::Result<Self> {
        let today = options.today.unwrap_or_else(|| jiff::Zoned::now().date());
        let books = Books::open(options.mode, today, options.more_customers, options.state, options.log)?;
        let shared: Shared = Arc::new(Mutex::new(Sim::new(books, options.token)));
        let app = http::router(shared.clone());
        let socket = bind(options.listen)?;
        let addr = socket.local_addr()?;
        let server = Server::start(socket, app.clone())?;
        Ok(Self { shared, app, addr, listening: Mutex::new(Listening::Yes(server)) })
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What goes wrong from now on: `dealer.set_fault(Fault::Portal)`, or a [`Plan`] that says for whom and how
    /// often. [`Fault::Down`] stops listening, any other starts again.
    ///
    /// # Errors
    /// The port could not be taken again.
    pub fn set_fault(&self, plan: impl Into<Plan>) -> io::Result<()> {
        let plan = plan.into();
        {
            let mut sim = lock(&self.shared);
            sim.plan = plan;
            sim.met = 0;
        }
        if plan.fault == Fault::Down { self.stop_listening() } else { self.resume() }
    }

    /// Every order that was written, in order: "exactly one exists".
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        lock(&self.shared).books.orders().to_vec()
    }

    /// Requests that reached the dealer, with whatever fault.
    #[must_use]
    pub fn requests(&self) -> u64 {
        lock(&self.shared).requests
    }

    /// The customers: id, name and phone number, for a demo's texts.
    #[must_use]
    pub fn customers(&self) -> Vec<Customer> {
        lock(&self.shared).books.customers().to_vec()
    }

    /// Forgets posted orders and faults.
    ///
    /// # Errors
    /// The state file could not be written.
    pub fn reset(&self) -> io::Result<()> {
        lock(&self.shared).books.reset()?;
        self.set_fault(Fault::None)
    }

    /// Cuts every connection and refuses new ones. The port stays his.
    ///
    /// # Errors
    /// The server's thread had died.
    pub fn stop_listening(&self) -> io::Result<()> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        *listening = match std::mem::replace(&mut *listening, Listening::Lost) {
            Listening::Yes(server) => {
                server.stop()?;
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
    pub fn resume(&self) -> io::Result<()> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = match std::mem::replace(&mut *listening, Listening::Lost) {
            Listening::Yes(server) => {
                *listening = Listening::Yes(server);
                return Ok(());
            }
            Listening::No(socket) => socket,
            Listening::Lost => bind(self.addr)?,
        };
        *listening = Listening::Yes(Server::start(socket, self.app.clone())?);
        Ok(())
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // What was cut a moment ago may still hold the port in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

impl Server {
    /// Returns when it listens.
    fn start(socket: TcpSocket, app: Router) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, listens) = mpsc::channel();
        let thread = thread::Builder::new().name("dealer".to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener = match socket.listen(1024) {
                    Ok(listener) => listener,
                    Err(why) => return drop(ready.send(Err(why))),
                };
                drop(ready.send(Ok(())));
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
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
    fn stop(self) -> io::Result<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other("the dealer's thread panicked"))
    }
}
