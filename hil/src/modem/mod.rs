//! `hil modem`: an SMS modem on a pseudo-terminal, with a network behind it and faults on request.
//!
//! ```text
//!  client ── PTY ── port ──┐                        ┌── log (JSON lines)
//!                          ├── actor ── machine ────┤
//!  control, scenario ──────┘   (this file)          └── submitted texts
//! ```
//!
//! [`Modem::start`] runs one in this process; the command `hil modem` is the same thing with a control socket.
//! The machine has no clock and no socket; this file gives it both.
//!
//! ```no_run
//! # async fn example() -> Result<(), hil::modem::Error> {
//! use hil::modem::{Fault, Modem, Options};
//! let modem = Modem::start(Options::default()).await?;
//! // A client opens modem.path() and speaks AT. A customer texts, the network loses the next answer:
//! modem.deliver("+12065550101", "MENU").await?;
//! modem.fault(Fault::LostAnswer { matching: "+CMGS".into(), times: 1 }).await?;
//! let text = modem.submitted().recv().await;
//! # Ok(()) }
//! ```
//!
//! What a real modem loses is lost here too: an unsolicited line while nobody has the port open (with +CNMI
//! mt=2 and without +CSMS: 1 that is a text), and settings at a reset. What a network keeps is kept.
//!
//! Absent: audio, a second port, power over USB.

mod api;
mod command;
mod control;
mod fault;
mod general;
mod gsm7;
mod log;
mod machine;
mod network;
mod pdu;
mod port;
mod run;
mod scenario;
mod settings;
mod sim;
mod sms;
mod storage;
#[cfg(test)]
mod tests;

pub use api::{
    Counters, Delivery, Fault, Identity, Latency, MemoryState, Options, Reports, Request, State, Submitted,
};
pub use pdu::{Coding, Concat, PduError, Submit};
pub use run::{Args, run};

use crate::lines;
use log::Log;
use machine::{Machine, Moment, Output, Power};
use port::{Event, Port};
use serde_json::json;
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;
use storage::Mem;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Submitted texts that a slow subscriber may be behind before it misses some.
const SUBMITTED_BACKLOG: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the modem's port: {0}")]
    Port(#[source] io::Error),
    #[error("the log {0}: {1}")]
    Log(PathBuf, #[source] io::Error),
    #[error("the control socket {0}: {1}")]
    Control(PathBuf, #[source] io::Error),
    #[error("the scenario {0}: {1}")]
    Scenario(PathBuf, String),
    #[error("time zone {0} is not known")]
    TimeZone(String),
    #[error("{0}")]
    Refused(String),
    #[error("the modem has stopped")]
    Stopped,
}

/// A running modem. Dropping it pulls the plug, removes its link and its control socket.
pub struct Modem {
    handle: Handle,
    actor: JoinHandle<Result<(), Error>>,
    helpers: Vec<JoinHandle<()>>,
    control: Option<PathBuf>,
}

/// What can be done to a running modem; cheap to clone. `Modem` derefs to it.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<(Request, oneshot::Sender<Result<Answer, String>>)>,
    submitted: broadcast::Sender<Submitted>,
    path: watch::Receiver<PathBuf>,
}

/// What a [`Request`] is answered with.
pub(crate) enum Answer {
    Done,
    Delivered(usize),
    Submitted(Vec<Submitted>),
    State(Box<State>),
}

impl Modem {
    /// Starts a modem on the current tokio runtime. It is powered, and registered unless a PIN locks it.
    ///
    /// # Errors
    /// The port, the log, the control socket or the scenario cannot be had.
    #[expect(clippy::unused_async, reason = "must run inside a runtime, and callers await it")]
    pub async fn start(options: Options) -> Result<Modem, Error> {
        let zone = jiff::tz::TimeZone::get(&options.time_zone)
            .map_err(|_| Error::TimeZone(options.time_zone.clone()))?;
        let started = Instant::now();
        let log_path = options.log.clone();
        let log = Log::open(log_path.as_deref(), started.into_std())
            .map_err(|e| Error::Log(log_path.clone().unwrap_or_default(), e))?;
        let steps = match &options.scenario {
            Some(path) => lines::read(path).map_err(|problem| Error::Scenario(path.clone(), problem))?,
            None => Vec::new(),
        };
        let port = Port::new(options.link.clone()).map_err(Error::Port)?;
        let (path_told, path) = watch::channel(port.path().to_owned());
        let (requests, inbox) = mpsc::channel(256);
        let (submitted, _) = broadcast::channel(SUBMITTED_BACKLOG);
        let handle = Handle { requests, submitted: submitted.clone(), path };
        let control = options.control.clone();
        let mut helpers = Vec::new();
        if let Some(path) = &control {
            helpers.push(
                lines::serve(path, handle.clone()).map_err(|error| Error::Control(path.clone(), error))?,
            );
        }
        helpers.extend(scenario::play(steps, &handle));
        let link = options.link.clone();
        let machine = Machine::new(options, zone, moment(started));
        let actor =
            Actor { machine, port: Some(port), link, log, log_path, started, inbox, submitted, path_told };
        Ok(Modem { handle, actor: tokio::spawn(actor.drive()), helpers, control })
    }

    /// Waits until the modem stops by itself, which only a failing port or log makes it do.
    ///
    /// # Errors
    /// Why it stopped.
    pub async fn stopped(&mut self) -> Result<(), Error> {
        (&mut self.actor).await.unwrap_or(Err(Error::Stopped))
    }
}

impl Deref for Modem {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        self.actor.abort();
        self.helpers.iter().for_each(JoinHandle::abort);
        if let Some(path) = &self.control {
            // A socket that is gone already needs no removal.
            drop(std::fs::remove_file(path));
        }
    }
}

impl Handle {
    /// The name that a client opens now: the link if there is one. Changes with `unplug`.
    pub fn path(&self) -> PathBuf {
        self.path.borrow().clone()
    }

    /// Carries out any request.
    pub(crate) async fn request(&self, request: Request) -> Result<Answer, Error> {
        let (answer, answered) = oneshot::channel();
        self.requests.send((request, answer)).await.map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?.map_err(Error::Refused)
    }

    async fn done(&self, request: Request) -> Result<(), Error> {
        self.request(request).await.map(|_| ())
    }

    /// A text for the box; queued in the network until the modem can take it.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn deliver(&self, from: &str, text: &str) -> Result<(), Error> {
        self.deliver_with(Delivery::new(from, text)).await
    }

    /// The same with every choice.
    ///
    /// # Errors
    /// The modem has stopped, or the delivery asks for parts or a time that do not exist.
    pub async fn deliver_with(&self, delivery: Delivery) -> Result<(), Error> {
        self.done(Request::Deliver(delivery)).await
    }

    /// A raw PDU in hexadecimal, service centre address first. Nothing is checked.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn deliver_pdu(&self, pdu: &str) -> Result<(), Error> {
        self.done(Request::DeliverPdu { pdu: pdu.to_owned() }).await
    }

    /// An unsolicited line.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn urc(&self, line: &str) -> Result<(), Error> {
        self.done(Request::Urc { line: line.to_owned() }).await
    }

    /// Makes something go wrong.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn fault(&self, fault: Fault) -> Result<(), Error> {
        self.done(Request::Fault(fault)).await
    }

    /// Takes the port away; back after `return_after`, under another name if `link` is given.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn unplug(&self, return_after: Option<Duration>, link: Option<PathBuf>) -> Result<(), Error> {
        let return_after_ms = return_after.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        self.done(Request::Unplug { return_after_ms, link }).await
    }

    /// Brings an unplugged port back now.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn replug(&self, link: Option<PathBuf>) -> Result<(), Error> {
        self.done(Request::Replug { link }).await
    }

    /// Every text that the box sends from now on, in order; a concatenated one once, when it is complete.
    pub fn submitted(&self) -> broadcast::Receiver<Submitted> {
        self.submitted.subscribe()
    }

    /// The texts with a sequence number above `since`.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn submitted_since(&self, since: u64) -> Result<Vec<Submitted>, Error> {
        match self.request(Request::Submitted { since }).await? {
            Answer::Submitted(texts) => Ok(texts),
            Answer::Done | Answer::Delivered(_) | Answer::State(_) => Ok(Vec::new()),
        }
    }

    /// The texts above `since`, as soon as there are `count` of them or `timeout` has passed.
    ///
    /// # Errors
    /// The modem has stopped.
    pub async fn wait_submitted(
        &self,
        since: u64,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<Submitted>, Error> {
        let deadline = Instant::now() + timeout;
        let mut news = self.submitted();
        loop {
            let texts = self.submitted_since(since).await?;
            if texts.len() >= count {
                return Ok(texts);
            }
            match tokio::time::timeout_at(deadline, news.recv()).await {
                Err(_) => return Ok(texts),
                Ok(Err(broadcast::error::RecvError::Closed)) => return Err(Error::Stopped),
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
            }
        }
    }

    /// # Errors
    /// The modem has stopped.
    pub async fn state(&self) -> Result<State, Error> {
        match self.request(Request::State).await? {
            Answer::State(state) => Ok(*state),
            Answer::Done | Answer::Delivered(_) | Answer::Submitted(_) => Err(Error::Stopped),
        }
    }
}

fn moment(started: Instant) -> Moment {
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Moment { ms, wall: jiff::Timestamp::now() }
}

/// Gives the machine its clock, its port and its log.
struct Actor {
    machine: Machine,
    /// `None` while unplugged.
    port: Option<Port>,
    link: Option<PathBuf>,
    log: Log,
    log_path: Option<PathBuf>,
    started: Instant,
    inbox: mpsc::Receiver<(Request, oneshot::Sender<Result<Answer, String>>)>,
    submitted: broadcast::Sender<Submitted>,
    path_told: watch::Sender<PathBuf>,
}

enum Input {
    Port(io::Result<Event>),
    Request(Request, oneshot::Sender<Result<Answer, String>>),
    Due,
    NobodyLeft,
}

impl Actor {
    async fn drive(mut self) -> Result<(), Error> {
        loop {
            self.act()?;
            match self.wait().await {
                Input::Port(Ok(Event::Bytes(bytes))) => {
                    self.logged(|log| log.bytes("rx", &bytes, false))?;
                    self.machine.handle_bytes(&bytes, moment(self.started));
                }
                Input::Port(Ok(Event::Opened)) => {
                    self.logged(|log| log.entry(json!({"dir": "port", "event": "opened"})))?;
                }
                Input::Port(Ok(Event::Closed)) => {
                    // The modem does not learn of it: what was half typed stays, a prompt stays open.
                    self.logged(|log| log.entry(json!({"dir": "port", "event": "closed"})))?;
                }
                Input::Port(Err(error)) => return Err(Error::Port(error)),
                Input::Request(request, answer) => {
                    let result = self.obey(request);
                    self.act()?;
                    // Whoever asked may be gone; what was asked for is done all the same.
                    drop(answer.send(result));
                }
                Input::Due => self.machine.handle_timeout(moment(self.started)),
                Input::NobodyLeft => return Ok(()),
            }
        }
    }

    async fn wait(&mut self) -> Input {
        let due = self.machine.poll_timeout().map(|ms| self.started + Duration::from_millis(ms));
        tokio::select! {
            event = async { match &mut self.port {
                Some(port) => port.next().await,
                None => std::future::pending().await,
            }} => Input::Port(event),
            request = self.inbox.recv() => match request {
                Some((request, answer)) => Input::Request(request, answer),
                None => Input::NobodyLeft,
            },
            () = async { match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }} => Input::Due,
        }
    }

    fn logged(&mut self, write: impl FnOnce(&mut Log) -> io::Result<()>) -> Result<(), Error> {
        write(&mut self.log).map_err(|e| Error::Log(self.log_path.clone().unwrap_or_default(), e))
    }

    /// Does what the machine wants done.
    fn act(&mut self) -> Result<(), Error> {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Write(bytes) => {
                    let heard = self.port.as_mut().is_some_and(|port| port.write(&bytes));
                    self.logged(|log| log.bytes("tx", &bytes, !heard))?;
                }
                Output::Log(entry) => self.logged(|log| log.entry(entry))?,
                // Nobody may be subscribed; `submitted_since` has them all.
                Output::Submitted(text) => drop(self.submitted.send(text)),
                Output::Unplug => {
                    self.port = None;
                    self.logged(|log| log.entry(json!({"dir": "port", "event": "unplugged"})))?;
                }
                Output::Plug(link) => {
                    self.link = link.or(self.link.take());
                    let port = Port::new(self.link.clone()).map_err(Error::Port)?;
                    let path = port.path().to_owned();
                    let shown = path.display().to_string();
                    self.logged(|log| log.entry(json!({"dir": "port", "event": "plugged", "as": shown})))?;
                    self.path_told.send_replace(path);
                    self.port = Some(port);
                }
            }
        }
        Ok(())
    }

    fn obey(&mut self, request: Request) -> Result<Answer, String> {
        let now = moment(self.started);
        let machine = &mut self.machine;
        match request {
            Request::Deliver(delivery) => return machine.deliver(&delivery, now).map(Answer::Delivered),
            Request::DeliverPdu { pdu } => machine.deliver_pdu(pdu, now),
            Request::Submitted { since } => {
                return Ok(Answer::Submitted(machine.network.submitted_since(since)));
            }
            Request::State => return Ok(Answer::State(Box::new(self.state()))),
            other => machine.obey(other, now),
        }
        Ok(Answer::Done)
    }

    fn state(&mut self) -> State {
        let path = self.path_told.borrow().clone();
        let machine = &mut self.machine;
        let memories = Mem::ALL
            .into_iter()
            .map(|mem| {
                let memory = machine.memory(mem);
                let capacity = memory.capacity();
                let messages = memory.iter_mut().map(|(i, s)| (i, s.stat.name(), s.pdu.clone())).collect();
                MemoryState { name: mem.name(), capacity, messages }
            })
            .collect();
        State {
            port: path,
            plugged: machine.power != Power::Unplugged,
            ready: machine.power == Power::On,
            registration: machine.registration(),
            memories,
            waiting: machine.network.waiting(),
            awaiting_ack: machine.network.is_awaiting_ack(),
            counters: machine.counters.clone(),
            cmgf: machine.settings.cmgf,
            cnmi: machine.settings.cnmi,
            csms: machine.settings.csms,
            echo: machine.settings.echo,
            cfun: machine.cfun,
            sim: machine.sim.status(machine.now.ms).map_or_else(|_| "NOT READY".into(), str::to_owned),
            pin_tries: machine.sim.pin_tries,
            partial: machine.network.partial(),
        }
    }
}
