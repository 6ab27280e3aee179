//! What the edge does with what comes: lets it in or not, hands it to the SIP element, carries out what that says, in
//! its order. Waiting for what comes is [`super::run`]'s.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::sip::agent::{Agent, Binding, Output, Route};
use crate::sip::message::{Message, Refused};
use crate::sip::transaction::{Hop, Transmit, Transport};
use crate::sip::wire::{PONG, Received, read_datagram};
use crate::types::{DeviceId, LegEvent, MediaPorts, Mono, Now};

use super::config::{Limits, TrunkLine};
use super::counters::Counters;
use super::events::Events;
use super::gate::{Ban, Class, Gate, Verdict};
use super::lines::{Lines, Looked};
use super::local::Locals;
use super::stream::{Arrival, ConnId, Down};
use super::streams::{Queued, Streams};
use super::tls::{Connectors, Expected};
use super::udp::{Ports, Sent};
use super::{TrunkCommand, TrunkEvent, trace};

/// Datagrams of one socket, connections' reads, commands, that are dealt with before others have their turn.
pub(super) const BUDGET: usize = 64;

/// Everything but what is waited on.
pub(super) struct Edge {
    pub(super) agent: Agent,
    pub(super) now: Now,
    pub(super) media: Arc<dyn MediaPorts>,
    pub(super) events: Events,
    pub(super) ports: Ports,
    pub(super) streams: Streams,
    pub(super) locals: Locals,
    pub(super) lines: Lines,
    pub(super) gate: Gate,
    pub(super) connectors: Connectors,
    pub(super) phones: BTreeMap<DeviceId, Vec<IpAddr>>,
    pub(super) limits: Limits,
    pub(super) counters: Counters,
    pub(super) published: watch::Sender<Counters>,
    pub(super) buffer: Vec<u8>,
}

impl Edge {
    /// Reads every UDP socket, each up to the budget; whether there may be more.
    pub(super) fn receive(&mut self) -> bool {
        let mut more = false;
        let mut buffer = std::mem::take(&mut self.buffer);
        for port in 0..self.ports.ports.len() {
            let mut left = BUDGET;
            while left > 0
                && !self.events.is_blocked()
                && let Some((length, from)) = self.ports.receive(port, &mut buffer)
            {
                left -= 1;
                self.datagram(port, from, buffer.get(..length).unwrap_or_default());
            }
            more |= left == 0;
        }
        self.buffer = buffer;
        more
    }

    fn datagram(&mut self, port: usize, from: SocketAddr, bytes: &[u8]) {
        self.counters.received += 1;
        if !self.lets_in(from.ip(), bytes.len()) {
            return;
        }
        trace::wire("from", from, Transport::Udp, bytes);
        let received = read_datagram(bytes, &self.limits.wire);
        let hop = Hop { addr: from, transport: Transport::Udp };
        self.ports.note(port, from);
        let listener = self.ports.ports.get(port).map_or(0, |p| p.listener);
        match received {
            Received::Message(message) => {
                // Without a way back there is nobody to answer.
                let Some(local) = self.locals.on(listener, from.ip()) else { return };
                self.message(*message, Route { hop, local });
            }
            Received::Refused(refused) => {
                let Some(local) = self.locals.on(listener, from.ip()) else { return };
                self.refused(*refused, Route { hop, local });
            }
            Received::Dropped(fault) => self.garbage(from.ip(), &fault),
            Received::Ping | Received::Pong => self.counters.pings += 1,
        }
    }

    /// Whether a message, or a connection, may come in.
    fn lets_in(&mut self, ip: IpAddr, bytes: usize) -> bool {
        match self.gate.admit(ip, bytes, self.now.mono) {
            Verdict::Pass => return true,
            Verdict::Limited => self.counters.limited += 1,
            Verdict::Banned => self.counters.banned += 1,
        }
        false
    }

    fn garbage(&mut self, ip: IpAddr, fault: &crate::sip::message::Fault) {
        self.counters.garbage += 1;
        tracing::debug!(%fault, "what came is not SIP");
        if let Some(ban) = self.gate.garbage(ip, self.now.mono) {
            self.banned(ip, ban);
        }
    }

    fn banned(&mut self, ip: IpAddr, ban: Ban) {
        self.counters.bans += 1;
        tracing::info!(source = %ip, seconds = ban.lasts.as_secs(), "a source that guesses is banned");
        for id in self.streams.of(ip) {
            self.cut(id);
        }
    }

    fn message(&mut self, message: Message, from: Route) {
        self.counters.messages += 1;
        self.agent.handle_message(message, from, self.now);
        self.carry_out();
    }

    fn refused(&mut self, refused: Refused, from: Route) {
        self.counters.refused += 1;
        self.agent.handle_refused(refused, from, self.now);
        self.carry_out();
    }

    /// A connection that a listener accepted.
    pub(super) fn accepted(
        &mut self,
        listener: usize,
        tls: Option<TlsAcceptor>,
        stream: TcpStream,
        from: SocketAddr,
    ) {
        let class = self.gate.class(from.ip());
        if !self.lets_in(from.ip(), 0) || self.streams.is_full_for(from.ip(), class) {
            self.counters.accept_refused += 1;
            return;
        }
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
        let own = stream.local_addr().ok().map(|own| own.ip());
        let bound = self.locals.on(listener, from.ip());
        let Some((ip, bound)) = own.zip(bound) else { return };
        let local = SocketAddr::new(ip, bound.port());
        let route = Route { hop: Hop { addr: from, transport }, local };
        self.counters.accepted += 1;
        self.streams.accept((stream, tls), route, class, self.now.mono);
    }

    /// What a connection says.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Up(id, own) => {
                self.counters.connected += 1;
                if let Some(conn) = self.streams.get_mut(id) {
                    conn.route.local.set_ip(own.ip());
                }
            }
            Arrival::Down(id, down) => self.down(id, down),
            Arrival::Received(id, chunk) => {
                let count = chunk.items.len().max(1);
                for item in chunk.items {
                    self.item(id, item, chunk.bytes / count);
                }
                if chunk.last {
                    self.streams.finish(id);
                }
            }
        }
    }

    fn down(&mut self, id: ConnId, down: Down) {
        match down {
            Down::NotMade => self.counters.connect_failed += 1,
            Down::Slow => self.counters.slow_peers += 1,
            Down::NotSip => self.counters.idle_closed += 1,
            Down::Peer | Down::Us => {}
        }
        if let Some(conn) = self.streams.forget(id)
            && Streams::is_failure(down)
        {
            self.lost(conn.route);
        }
    }

    fn item(&mut self, id: ConnId, item: Received, bytes: usize) {
        let Some(conn) = self.streams.get_mut(id) else { return };
        let (route, class) = (conn.route, conn.class);
        self.counters.received += 1;
        // Whoever is known is held back by the queue; a message lost on a stream would never come again.
        if class <= Class::Lan && !self.lets_in(route.hop.addr.ip(), bytes) {
            return self.cut(id);
        }
        let Some(conn) = self.streams.get_mut(id) else { return };
        match item {
            Received::Message(message) => {
                conn.last = self.now.mono;
                trace::message("from", route.hop, &message);
                self.message(*message, route);
            }
            Received::Refused(refused) => self.refused(*refused, route),
            Received::Dropped(fault) => self.garbage(route.hop.addr.ip(), &fault),
            Received::Ping => {
                self.counters.pings += 1;
                self.reply(id, route, PONG.to_vec());
            }
            Received::Pong => self.counters.pings += 1,
        }
    }

    /// Answers on a connection without the SIP element.
    fn reply(&mut self, id: ConnId, route: Route, bytes: Vec<u8>) {
        match self.streams.send_on(id, bytes) {
            Queued::Yes => self.counters.sent += 1,
            Queued::NoConnection(_) => {}
            Queued::Slow => {
                self.counters.slow_peers += 1;
                self.lost(route);
            }
        }
    }

    /// Closes a connection as it is.
    fn cut(&mut self, id: ConnId) {
        if let Some(route) = self.streams.kill(id) {
            self.lost(route);
        }
    }

    /// Nothing goes along this way any more.
    fn lost(&mut self, route: Route) {
        self.agent.handle_transport_error(route, self.now);
        self.carry_out();
    }

    /// What the loop says.
    pub(super) fn command(&mut self, command: TrunkCommand) {
        match command {
            TrunkCommand::Leg(leg, command) => self.agent.handle_command(&leg, command, self.now),
            TrunkCommand::Devices(devices) => {
                let gone = |id: &DeviceId| !devices.iter().any(|d| d.id == *id);
                let gone: Vec<_> = self.phones.keys().filter(|id| gone(id)).cloned().collect();
                for id in gone {
                    self.phone_is_at(&id, Vec::new());
                }
                self.agent.handle_devices(devices, self.now);
            }
            TrunkCommand::Trunks(trunks) => self.set_trunks(trunks),
        }
        self.carry_out();
    }

    /// The trunks are now these.
    pub(super) fn set_trunks(&mut self, trunks: Vec<TrunkLine>) {
        for trunk in &trunks {
            if trunk.reach.transport == Some(Transport::Tls)
                && let Err(why) = self.connectors.expect(&trunk.reach)
            {
                let line = &trunk.setup.line;
                self.events
                    .push(TrunkEvent::Alarm(format!("trunk {line} cannot be reached over TLS: {why}")));
            }
        }
        let setups = trunks.iter().map(|t| t.setup.clone()).collect();
        self.lines.set(trunks, self.now.mono);
        self.agent.handle_trunks(setups, self.now);
        self.lines.look(self.now.mono);
        self.know_trunks();
        self.tell_routes();
    }

    /// A look-up came back.
    pub(super) fn looked(&mut self, looked: Looked) {
        let outcome = self.lines.found(looked, self.now.mono);
        self.counters.dns_failed += u64::from(outcome.failed);
        self.counters.dns_stale += u64::from(outcome.stale);
        self.know_trunks();
        self.tell_routes();
    }

    fn tell_routes(&mut self) {
        for (line, routes) in self.lines.news(&mut self.locals) {
            self.agent.handle_routes(&line, routes, self.now);
        }
        self.carry_out();
    }

    /// Whoever is a trunk now is let in as one, before anything is sent there.
    fn know_trunks(&mut self) {
        let networks = self.lines.networks();
        self.gate.set_trunks(self.lines.addresses().map(|addr| addr.ip()), networks);
    }

    /// Timers that have run out: the SIP element's and those of look-ups.
    pub(super) fn timeout(&mut self) {
        if self.agent.poll_timeout().is_some_and(|(at, _)| at <= self.now.mono) {
            self.agent.handle_timeout(self.now);
            self.carry_out();
        }
        if self.lines.due().is_some_and(|at| at <= self.now.mono) {
            self.lines.look(self.now.mono);
        }
    }

    /// When [`Edge::timeout`] is wanted.
    pub(super) fn next_timeout(&self) -> Option<Mono> {
        let agent = self.agent.poll_timeout().map(|(at, _)| at);
        [agent, self.lines.due()].into_iter().flatten().min()
    }

    /// Whether our own address is still what it was. `noted`: the kernel says that something changed.
    pub(super) fn check_addresses(&mut self, noted: bool) {
        let trunks: Vec<IpAddr> = self.lines.addresses().map(|addr| addr.ip()).collect();
        let changes = self.locals.check(&trunks, noted);
        self.counters.address_changes += changes.len() as u64;
        // Trunks whose way changed; also one that had none before.
        self.tell_routes();
        for (old, new) in changes {
            tracing::info!("this machine's address changed: calls of phones are told");
            self.agent.handle_address(old, new, self.now);
            self.carry_out();
        }
    }

    /// Now and then: who is idle, who is forgotten, what was counted.
    pub(super) fn tidy(&mut self) {
        let gate = &self.gate;
        let idle = self.streams.sweep(|ip| gate.class(ip), self.now.mono);
        self.counters.idle_closed += idle.len() as u64;
        for route in idle {
            self.lost(route);
        }
        self.gate.sweep(self.now.mono);
        self.publish();
    }

    /// Shows what was counted.
    pub(super) fn publish(&self) {
        self.published.send_if_modified(|shown| {
            let news = *shown != self.counters;
            *shown = self.counters;
            news
        });
    }

    /// Does what the SIP element says, in its order.
    pub(super) fn carry_out(&mut self) {
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Leg(leg, event) => self.events.push(TrunkEvent::Leg(leg, event)),
                Output::OpenMedia { leg, local, secure, help } => {
                    let opened = match help {
                        true => self.media.open_for_help(&leg, local, secure),
                        false => self.media.open(&leg, local, secure),
                    };
                    self.agent.handle_media_opened(&leg, opened, self.now);
                }
                Output::SetMedia(leg, stream) => self.media.set(&leg, *stream),
                Output::Press(leg, key) => self.media.press(&leg, key),
                Output::CloseMedia(leg) => {
                    if let Some(facts) = self.media.close(&leg) {
                        self.events.push(TrunkEvent::Leg(leg, LegEvent::Media(facts)));
                    }
                }
                Output::Line { line, up, why } => self.events.push(TrunkEvent::Line { line, up, why }),
                Output::Resolve(line) => self.lines.ask(&line, self.now.mono),
                Output::Bindings(device, bindings) => {
                    self.phone_is_at(&device, bindings.iter().map(place).collect());
                    self.events.push(TrunkEvent::Bindings(device, bindings));
                }
                Output::Offence { source, what } => {
                    if let Some(ban) = self.gate.offence(source, what, self.now.mono) {
                        self.banned(source, ban);
                    }
                }
                Output::Alarm(words) => self.events.push(TrunkEvent::Alarm(words)),
            }
        }
    }

    /// A phone's contacts are now at these addresses.
    pub(super) fn phone_is_at(&mut self, device: &DeviceId, mut places: Vec<IpAddr>) {
        places.sort_unstable();
        if self.phones.get(device).map_or(places.is_empty(), |known| *known == places) {
            return;
        }
        let before = if places.is_empty() {
            self.phones.remove(device)
        } else {
            self.phones.insert(device.clone(), places.clone())
        };
        self.gate.phone_moved(&before.unwrap_or_default(), &places);
    }

    /// Sends one message.
    pub(super) fn transmit(&mut self, Transmit { to, bytes }: Transmit) {
        trace::wire("to", to.addr, to.transport, &bytes);
        let failed = match to.transport {
            Transport::Udp => {
                let port = self.ports.towards(to.addr, self.locals.listener(to));
                match port.map_or(Sent::Failed, |port| self.ports.send(port, to.addr, bytes)) {
                    Sent::Gone => false,
                    Sent::Waits(dropped) => {
                        self.counters.send_failed += dropped;
                        false
                    }
                    Sent::Failed => true,
                }
            }
            Transport::Tcp | Transport::Tls => !self.send_on_stream(to, bytes),
        };
        if failed {
            self.counters.send_failed += 1;
            if let Some(route) = self.route(to) {
                self.agent.handle_transport_error(route, self.now);
            }
        } else {
            self.counters.sent += 1;
        }
    }

    fn send_on_stream(&mut self, to: Hop, bytes: Vec<u8>) -> bool {
        let bytes = match self.streams.send(to, bytes) {
            Queued::Yes => return true,
            Queued::Slow => {
                self.counters.slow_peers += 1;
                return false;
            }
            Queued::NoConnection(bytes) => bytes,
        };
        let Some(route) = self.route(to) else { return false };
        let from = self.locals.fixed(to).map(|ip| SocketAddr::new(ip, 0));
        let expected = self.expected(to);
        self.streams.connect(route, from, expected, self.now.mono)
            && matches!(self.streams.send(to, bytes), Queued::Yes)
    }

    /// Whose certificate a TLS connection to there must find.
    fn expected(&mut self, to: Hop) -> Option<Expected> {
        let reach = self.lines.reach_of(to).filter(|_| to.transport == Transport::Tls)?;
        match self.connectors.expect(reach) {
            Ok(expected) => Some(expected),
            Err(why) => {
                tracing::warn!(%why, "a trunk's certificate could not be checked, so it is not spoken to");
                None
            }
        }
    }

    /// Our way to a neighbour; also when it is gone, so that what was sent along it is known.
    fn route(&mut self, to: Hop) -> Option<Route> {
        let local = self.locals.towards(to).or_else(|| self.locals.nowhere(to))?;
        Some(Route { hop: to, local })
    }
}

/// Where a contact is.
fn place(binding: &Binding) -> IpAddr {
    binding.route.hop.addr.ip()
}
