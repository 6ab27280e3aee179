//! The edge's one task: waits for whatever comes first, gives every kind of it a bounded turn, begins again.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use crate::sip::agent::Agent;
use crate::types::{Mono, Now};

use super::addresses::AddressWatch;
use super::bind::{Acceptor, Bound};
use super::dns::Resolver;
use super::edge::{BUDGET, Edge};
use super::events::Events;
use super::gate::Gate;
use super::lines::{Lines, Looked};
use super::local::{Kernel, Locals};
use super::stream::Arrival;
use super::streams::Streams;
use super::tls::Shown;
use super::udp::{Ports, poll_ready};
use super::{Ends, TrunkCommand, TrunkError, TrunkEvent};

/// How long the last messages may take to leave.
const FAREWELL: Duration = Duration::from_millis(300);
/// Longest sleep: the clock of timers counts suspend and the runtime's does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The machine's address is checked so often even if nobody says that it changed.
const CHECK: Duration = Duration::from_secs(2);
/// And not more often than this, however much changes.
const CHECK_PAUSE: Duration = Duration::from_millis(200);

/// What is waited on.
struct Inputs {
    commands: mpsc::Receiver<TrunkCommand>,
    stop: watch::Receiver<bool>,
    room: mpsc::Sender<TrunkEvent>,
    sockets: Vec<Arc<UdpSocket>>,
    acceptors: Vec<Acceptor>,
    shown: Option<Shown>,
    arrivals: mpsc::Receiver<Arrival>,
    looked: mpsc::Receiver<Looked>,
    addresses: AddressWatch,
    tick: tokio::time::Interval,
}

/// What came.
enum Woke {
    Stop,
    /// The loop is gone.
    Alone,
    /// The loop has room again.
    Room,
    Command(TrunkCommand),
    Arrived(Arrival),
    Accepted(usize, TcpStream, core::net::SocketAddr),
    Sockets,
    Looked(Looked),
    Addresses,
    Tick,
    Timeout,
}

/// What is wanted besides what is always waited for.
struct Wants {
    blocked: bool,
    writing: bool,
    /// Something is left to be done at once.
    busy: bool,
    at: Option<Instant>,
}

/// Runs the edge until it is told to stop. `clock` is read once for each turn.
///
/// # Errors
/// [`TrunkError::LoopGone`] when nobody takes events any more.
pub async fn run(
    bound: Bound,
    ends: Ends,
    clock: impl Fn() -> Now + Send + 'static,
) -> Result<(), TrunkError> {
    let mut running = Running::new(bound, ends, clock());
    while running.turn(&clock).await? {}
    running.farewell().await;
    Ok(())
}

/// The edge and what it waits for.
pub(super) struct Running {
    pub(super) edge: Edge,
    inputs: Inputs,
    /// When our own address was looked at.
    checked: Instant,
    /// It may have changed since.
    noted: bool,
    /// Something was left undone, for others to have their turn.
    busy: bool,
}

impl Running {
    pub(super) fn new(bound: Bound, ends: Ends, now: Now) -> Self {
        let (edge, inputs) = assemble(bound, ends, now);
        Self { edge, inputs, checked: Instant::now(), noted: false, busy: false }
    }

    /// Waits for something and does all that there is; false when it is time to stop.
    pub(super) async fn turn(&mut self, clock: &impl Fn() -> Now) -> Result<bool, TrunkError> {
        let edge = &mut self.edge;
        let wants = Wants {
            blocked: edge.events.is_blocked(),
            writing: edge.ports.is_waiting(),
            busy: self.busy,
            at: edge.next_timeout().map(|at| instant(at, edge.now)),
        };
        let woke = self.inputs.wait(&wants).await;
        edge.now = clock();
        match woke {
            Woke::Stop => return Ok(false),
            Woke::Alone => return Err(TrunkError::LoopGone),
            Woke::Room | Woke::Sockets | Woke::Timeout => {}
            Woke::Command(command) => edge.command(command),
            Woke::Arrived(arrival) => edge.arrived(arrival),
            Woke::Accepted(acceptor, stream, from) => self.inputs.accept(edge, acceptor, stream, from),
            Woke::Looked(looked) => edge.looked(looked),
            Woke::Addresses if self.checked.elapsed() < CHECK_PAUSE => self.noted = true,
            Woke::Addresses => {
                self.checked = Instant::now();
                edge.check_addresses(true);
            }
            Woke::Tick => {
                self.checked = Instant::now();
                edge.check_addresses(std::mem::take(&mut self.noted));
                edge.tidy();
                self.inputs.renew_certificate();
            }
        }
        self.busy = self.inputs.turn(edge);
        if self.busy {
            // The daemon's loop lives on the same thread.
            tokio::task::yield_now().await;
        }
        Ok(true)
    }

    /// Ends calls and registrations, and lets what says so leave.
    async fn farewell(self) {
        let mut edge = self.edge;
        edge.agent.stop(edge.now);
        edge.carry_out();
        let by = Instant::now() + FAREWELL;
        let sent = async {
            edge.streams.finish_all().await;
            while edge.ports.is_waiting() {
                for socket in &self.inputs.sockets {
                    // What cannot be written now is given up with the rest.
                    drop(socket.writable().await);
                }
                edge.ports.flush();
            }
            // Its end is what a call's record is written from. Without the loop there is no record either.
            while edge.events.is_blocked()
                && let Ok(permit) = self.inputs.room.reserve().await
            {
                drop(permit);
                edge.events.flush();
            }
        };
        if timeout_at(by, sent).await.is_err() {
            tracing::debug!("not everything left in time");
        }
        edge.publish();
    }
}

fn assemble(bound: Bound, ends: Ends, now: Now) -> (Edge, Inputs) {
    let Bound { config, listeners, udp, acceptors, shown, connectors, kept, counters } = bound;
    let ports = Ports::new(udp);
    let (streams, arrivals) = Streams::new(config.limits.clone());
    let seed = config.seed.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let (lines, looked) = Lines::new(Resolver::new(config.dns.servers), kept, seed);
    let mut tick = interval(CHECK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let inputs = Inputs {
        commands: ends.commands,
        stop: ends.stop,
        room: ends.events.clone(),
        sockets: ports.ports.iter().map(|p| Arc::clone(&p.socket)).collect(),
        acceptors,
        shown,
        arrivals,
        looked,
        addresses: AddressWatch::open(),
        tick,
    };
    let mut edge = Edge {
        agent: Agent::new(config.agent, config.seed),
        now,
        media: ends.media,
        events: Events::new(ends.events),
        ports,
        streams,
        locals: Locals::new(listeners, Box::new(Kernel)),
        lines,
        gate: Gate::new(config.limits.gate.clone(), now.mono),
        connectors,
        phones: std::collections::BTreeMap::new(),
        limits: config.limits,
        counters: super::Counters::default(),
        published: counters,
        buffer: vec![0; 65_536],
    };
    edge.agent.handle_devices(config.devices, now);
    for (device, bindings) in config.bindings {
        edge.phone_is_at(&device, bindings.iter().map(|b| b.route.hop.addr.ip()).collect());
        edge.agent.restore(&device, bindings, now);
    }
    edge.set_trunks(config.trunks);
    (edge, inputs)
}

impl Inputs {
    async fn wait(&mut self, wants: &Wants) -> Woke {
        let at = wants.at.unwrap_or_else(|| Instant::now() + LONGEST_SLEEP);
        let (sockets, acceptors) = (&self.sockets, &self.acceptors);
        // In no order, so that a flood on one of them starves none.
        tokio::select! {
            stopped = self.stop.wait_for(|stop| *stop) => {
                // Whoever could say so is gone: as good as said.
                drop(stopped);
                Woke::Stop
            }
            () = std::future::ready(()), if wants.busy => Woke::Timeout,
            room = self.room.reserve(), if wants.blocked => match room {
                Ok(permit) => {
                    drop(permit);
                    Woke::Room
                }
                Err(_) => Woke::Alone,
            },
            command = self.commands.recv() => command.map_or(Woke::Alone, Woke::Command),
            arrival = self.arrivals.recv(), if !wants.blocked => arrival.map_or(Woke::Alone, Woke::Arrived),
            () = poll_fn(|cx| poll_ready(sockets, wants.writing, cx)), if !wants.blocked => Woke::Sockets,
            (acceptor, stream, from) = poll_fn(|cx| poll_accept(acceptors, cx)), if !wants.blocked => {
                Woke::Accepted(acceptor, stream, from)
            }
            () = sleep_until(at) => Woke::Timeout,
            looked = self.looked.recv() => looked.map_or(Woke::Alone, Woke::Looked),
            () = self.addresses.changed() => Woke::Addresses,
            _ = self.tick.tick() => Woke::Tick,
        }
    }

    /// A bounded turn for everything that may have come meanwhile; whether something is left.
    fn turn(&mut self, edge: &mut Edge) -> bool {
        edge.events.flush();
        edge.timeout();
        let mut more = false;
        let mut left = BUDGET;
        while left > 0
            && let Ok(command) = self.commands.try_recv()
        {
            left -= 1;
            edge.command(command);
        }
        more |= left == 0;
        if !edge.events.is_blocked() {
            more |= edge.receive();
        }
        let mut left = BUDGET;
        while left > 0
            && !edge.events.is_blocked()
            && let Ok(arrival) = self.arrivals.try_recv()
        {
            left -= 1;
            edge.arrived(arrival);
        }
        edge.ports.flush();
        more | (left == 0)
    }

    /// Shows another certificate when its files are others now.
    fn renew_certificate(&mut self) {
        let Some(shown) = &mut self.shown else { return };
        if let Some(fresh) = shown.changed() {
            for acceptor in self.acceptors.iter_mut().filter(|a| a.tls.is_some()) {
                acceptor.tls = Some(fresh.clone());
            }
        }
    }

    fn accept(&self, edge: &mut Edge, acceptor: usize, stream: TcpStream, from: core::net::SocketAddr) {
        if let Some(acceptor) = self.acceptors.get(acceptor) {
            edge.accepted(acceptor.listener, acceptor.tls.clone(), stream, from);
        }
    }
}

fn poll_accept(
    acceptors: &[Acceptor],
    cx: &mut Context<'_>,
) -> Poll<(usize, TcpStream, core::net::SocketAddr)> {
    for (index, acceptor) in acceptors.iter().enumerate() {
        loop {
            match acceptor.socket.poll_accept(cx) {
                Poll::Ready(Ok((stream, from))) => return Poll::Ready((index, stream, from)),
                // The peer is gone already.
                Poll::Ready(Err(why)) if why.kind() == io::ErrorKind::ConnectionAborted => {}
                // There are no descriptors: the tick comes by again.
                Poll::Ready(Err(why)) => {
                    tracing::warn!(%why, "a connection could not be accepted");
                    break;
                }
                Poll::Pending => break,
            }
        }
    }
    Poll::Pending
}

fn instant(at: Mono, now: Now) -> Instant {
    // A millisecond later rather than earlier: timers have whole ones.
    Instant::now() + at.since(now.mono).min(LONGEST_SLEEP)
}
