//! A dealer's API on loopback, with a believable shop, three ways of treating an order that comes twice, and every
//! fault that `backroom` must live with. The contract is `src/dealer/openapi.yaml` of the daemon; it is written a
//! second time here, so that a mistake in one does not hide in the other.
//!
//! As a library: [`Dealer::start`]. As a program: `hil dealer`, with `POST /_sim/fault`, `GET /_sim/orders` and
//! `POST /_sim/reset` on a port of its own, which answers also while the dealer is down.
//!
//! The server is `serve`'s: stopping it cuts every connection, and a test's paused clock does not pause the dealer.

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
use std::sync::{Arc, Mutex};

use clap::ValueEnum;

use crate::serve::{self, Server};

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
    server: Server,
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
        let socket = serve::bind(options.listen)?;
        let server = Server::start("dealer", socket, move |listener| {
            let app = app.clone();
            // Err: never; it goes on until it is dropped.
            async move { drop(axum::serve(listener, app).await) }
        })?;
        Ok(Self { shared, server })
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
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
        self.server.stop()
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// The port could not be taken again.
    pub fn resume(&self) -> io::Result<()> {
        self.server.resume()
    }
}
