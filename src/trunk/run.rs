//! The edge's one task: waits for whatever comes first, gives every kind of it a bounded turn, begins again.

use std::future::poll_fn;
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
use super::local::{Locals, ask_kernel};
use super::stream::Arrival;
use super::streams::Streams;
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
    let (mut edge, mut inputs) = assemble(bound, ends, clock());
    let mut checked = Instant::now();
    let mut busy = false;
    loop {
        let wants = Wants {
            blocked: edge.events.is_blocked(),
            writing: edge.ports.is_waiting(),
            busy,
            at: edge.next_timeout().map(|at| instant(at, edge.now)),
        };
        let woke = inputs.wait(&wants).await;
        edge.now = clock();
        match woke {
            Woke::Stop => break,
            Woke::Alone => return Err(TrunkError::LoopGone),
            Woke::Room | Woke::Sockets | Woke::Timeout => {}
            Woke::Command(command) => edge.command(command),
            Woke::Arrived(arrival) => edge.arrived(arrival),
            Woke::Accepted(acceptor, stream, from) => inputs.accept(&mut edge, acceptor, stream, from),
            Woke::Looked(looked) => edge.looked(looked),
            Woke::Addresses if checked.elapsed() < CHECK_PAUSE => {}
            Woke::Addresses => {
                checked = Instant::now();
                edge.check_addresses();
            }
            Woke::Tick => {
                checked = Instant::now();
                edge.check_addresses();
                edge.tidy();
            }
        }
        busy = inputs.turn(&mut edge);
        if busy {
            // The daemon's loop lives on the same thread.
            tokio::task::yield_now().await;
        }
    }
    farewell(edge).await;
    Ok(())
}

fn assemble(bound: Bound, ends: Ends, now: Now) -> (Edge, Inputs) {
    let Bound { config, listeners, udp, acceptors, connectors, kept, counters } = bound;
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
        locals: Locals::new(listeners, Box::new(ask_kernel)),
        lines,
        gate: Gate::new(config.limits.gate.clone(), now.mono),
        connectors,
        phones: std::collections::BTreeMap::new(),
        limits: config.limits,
        tag_seed: config.seed,
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
        tokio::select! {
            biased;
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
        match acceptor.socket.poll_accept(cx) {
            Poll::Ready(Ok((stream, from))) => return Poll::Ready((index, stream, from)),
            // The peer is gone already, or there are no descriptors: the tick comes by again.
            Poll::Ready(Err(why)) => tracing::debug!(%why, "a connection could not be accepted"),
            Poll::Pending => {}
        }
    }
    Poll::Pending
}

fn instant(at: Mono, now: Now) -> Instant {
    // A millisecond later rather than earlier: timers have whole ones.
    Instant::now() + at.since(now.mono).min(LONGEST_SLEEP)
}

/// Ends calls and registrations, and lets what says so leave.
async fn farewell(mut edge: Edge) {
    edge.agent.stop(edge.now);
    edge.carry_out();
    let by = Instant::now() + FAREWELL;
    let sockets: Vec<_> = edge.ports.ports.iter().map(|p| Arc::clone(&p.socket)).collect();
    let sent = async {
        edge.streams.finish_all().await;
        while edge.ports.is_waiting() {
            for socket in &sockets {
                // What cannot be written now is given up with the rest.
                drop(socket.writable().await);
            }
            edge.ports.flush();
        }
    };
    if timeout_at(by, sent).await.is_err() {
        tracing::debug!("not everything left in time");
    }
    edge.events.flush();
    edge.publish();
}
