//! Agents on one simulated network and clock. A phone is an agent too: the box is its trunk.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::sip::agent::*;
use crate::sip::digest::{Login, ServerSettings};
use crate::sip::message::Message;
use crate::sip::sdp::{Capabilities, TargetPolicy};
use crate::sip::transaction::{Hop, Settings, Transport};
use crate::sip::wire::{Limits, Received, read_datagram};
use crate::types::*;

/// 100.64.0.x is everybody; port 5060.
pub(super) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node + 1).unwrap()], 5060))
}

pub(super) fn hop(node: usize) -> Hop {
    Hop { addr: address(node), transport: Transport::Udp }
}

/// The way from one node to another.
pub(super) fn route(from: usize, to: usize) -> Route {
    Route { hop: hop(to), local: address(from) }
}

pub(super) fn settings() -> AgentSettings {
    AgentSettings {
        timers: Settings::default(),
        digest: ServerSettings::default(),
        capabilities: Capabilities::default(),
        phone_media: TargetPolicy::default(),
        register_least: Duration::from_secs(60),
        register_most: Duration::from_secs(3600),
        contacts: 4,
        session_expires: Duration::from_secs(1800),
        legs: 64,
        product: "Backroom".to_owned(),
        emergency_numbers: vec!["911".to_owned()],
        lan: vec!["10.0.0.0/24".parse().unwrap()],
    }
}

pub(super) fn login(user: &str) -> Login {
    Login { username: user.to_owned(), password: format!("secret of {user}") }
}

pub(super) fn device(id: &str) -> DeviceSetup {
    DeviceSetup {
        id: id.into(),
        login: login(id),
        shop: "main".into(),
        extension: None,
        name: Some(id.to_uppercase()),
        secure: false,
    }
}

pub(super) fn trunk(line: &str, domain: usize) -> TrunkSetup {
    TrunkSetup {
        line: line.into(),
        domain: address(domain).ip().to_string(),
        login: None,
        register: false,
        user: None,
        expires: Duration::from_secs(600),
        networks: Vec::new(),
        media: TargetPolicy::default(),
        number: None,
        identity: IdentityStyle::Asserted,
        options_every: Duration::ZERO,
        secure: false,
        nat: false,
        capabilities: None,
    }
}

pub(super) struct Node {
    pub(super) agent: Agent,
    pub(super) ip: IpAddr,
    /// Open ports by leg.
    pub(super) open: BTreeMap<LegId, u16>,
    pub(super) media: BTreeMap<LegId, MediaStream>,
    pub(super) pressed: Vec<(LegId, Dtmf)>,
    /// What legs said, not yet looked at.
    pub(super) events: Vec<(LegId, LegEvent)>,
    pub(super) others: Vec<Output>,
    ports: u16,
    ends: BTreeMap<LegId, usize>,
    known: BTreeSet<LegId>,
}

/// What happens to a datagram: the moments at which it arrives.
pub(super) type Weather = Box<dyn FnMut(u64) -> Vec<u64>>;

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) now: u64,
    flying: BTreeMap<(u64, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    count: u64,
    pub(super) weather: Weather,
    /// Everything that was sent: from, to, text.
    pub(super) log: Vec<(u64, SocketAddr, SocketAddr, String)>,
    pub(super) keep_log: bool,
    /// Print what is sent, to find out how a seed failed (`BACKROOM_LOG`).
    tells: bool,
    /// Messages to this node are lost.
    pub(super) dead: BTreeSet<SocketAddr>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            now: 0,
            flying: BTreeMap::new(),
            count: 0,
            weather: Box::new(|now| vec![now + 10]),
            log: Vec::new(),
            keep_log: true,
            tells: std::env::var("BACKROOM_LOG").is_ok(),
            dead: BTreeSet::new(),
        }
    }

    pub(super) fn node(&mut self, settings: AgentSettings) -> usize {
        let n = self.nodes.len();
        let mut seed = [7; 32];
        seed[0] = u8::try_from(n).unwrap();
        seed[1] = u8::try_from(self.count % 251).unwrap();
        self.nodes.push(Node {
            agent: Agent::new(settings, seed),
            ip: address(n).ip(),
            open: BTreeMap::new(),
            media: BTreeMap::new(),
            pressed: Vec::new(),
            events: Vec::new(),
            others: Vec::new(),
            ports: 20_000,
            ends: BTreeMap::new(),
            known: BTreeSet::new(),
        });
        n
    }

    pub(super) fn at(&self) -> Now {
        Now::at(self.now, 1_800_000_000_000 + i64::try_from(self.now).unwrap())
    }

    /// A box with two phones, `desk` and `office`, and a trunk `t` to a provider: nodes 0, 1, 2, 3.
    pub(super) fn shop() -> Self {
        let mut world = Self::new();
        for _ in 0..4 {
            world.node(settings());
        }
        world.furnish();
        world
    }

    pub(super) fn furnish(&mut self) {
        let now = self.at();
        self.nodes[0].agent.handle_devices(vec![device("desk"), device("office")], now);
        self.nodes[0].agent.handle_trunks(vec![trunk("t", 3)], now);
        self.nodes[0].agent.handle_routes(&"t".into(), vec![route(0, 3)], now);
        for (n, user) in [(1, "desk"), (2, "office")] {
            let setup = TrunkSetup { login: Some(login(user)), register: true, ..trunk("box", 0) };
            self.nodes[n].agent.handle_trunks(vec![setup], now);
            self.nodes[n].agent.handle_routes(&"box".into(), vec![route(n, 0)], now);
        }
        self.nodes[3].agent.handle_trunks(vec![trunk("shop", 0)], now);
        self.nodes[3].agent.handle_routes(&"shop".into(), vec![route(3, 0)], now);
        self.run(500);
        self.nodes.iter_mut().for_each(|n| n.others.clear());
    }

    pub(super) fn command(&mut self, node: usize, leg: &LegId, command: LegCommand) {
        let now = self.at();
        if self.tells {
            println!("{} node {node}: {leg} is told {command:?}", self.now);
        }
        self.nodes[node].agent.handle_command(leg, command, now);
        self.drain(node);
    }

    pub(super) fn dial(&mut self, node: usize, leg: &str, via: Via, target: &str) -> LegId {
        let identity = Identity {
            address: Some(Address::Phone(PhoneNumber::parse("+12065550100", None).unwrap())),
            display: Some("The Shop".to_owned()),
            private: false,
        };
        let leg = LegId::from(leg);
        let command =
            LegCommand::Dial { via, target: target.into(), identity, ring_for: None, emergency: false };
        self.command(node, &leg, command);
        leg
    }

    /// Takes what a node's legs said.
    pub(super) fn events(&mut self, node: usize) -> Vec<(LegId, LegEvent)> {
        std::mem::take(&mut self.nodes[node].events)
    }

    /// The one offer that a node's call control hears next.
    pub(super) fn offered(&mut self, node: usize) -> (LegId, Offer) {
        let mut events = self.events(node);
        match events.remove(0) {
            (leg, LegEvent::Offered(offer)) => {
                assert!(events.is_empty(), "{events:?}");
                (leg, offer)
            }
            other => panic!("{other:?} {events:?}"),
        }
    }

    pub(super) fn drain(&mut self, n: usize) {
        let now = self.at();
        while let Some(output) = self.nodes[n].agent.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.send(address_of(&self.nodes[n]), transmit.to, transmit.bytes)
                }
                Output::Leg(leg, event) => {
                    if self.tells {
                        println!("{} node {n}: {leg} {event:?}", self.now);
                    }
                    self.nodes[n].hear(leg, event);
                }
                Output::OpenMedia { leg, local, secure, help: _ } => {
                    let node = &mut self.nodes[n];
                    node.ports = 20_000 + (node.ports - 19_998) % 40_000;
                    let port = *node.open.entry(leg.clone()).or_insert(node.ports);
                    let crypto = if secure { keys() } else { Vec::new() };
                    let opened = LocalMedia { rtp: SocketAddr::new(local, port), crypto };
                    node.agent.handle_media_opened(&leg, Ok(opened), now);
                }
                Output::SetMedia(leg, stream) => {
                    assert!(self.nodes[n].open.contains_key(&leg), "media of {leg} is not open");
                    assert!(!stream.audio.is_empty());
                    self.nodes[n].media.insert(leg, *stream);
                }
                Output::Press(leg, key) => self.nodes[n].pressed.push((leg, key)),
                Output::CloseMedia(leg) => {
                    assert!(self.nodes[n].open.remove(&leg).is_some(), "media of {leg} is not open");
                }
                other => self.nodes[n].others.push(other),
            }
        }
    }

    fn send(&mut self, from: SocketAddr, to: Hop, bytes: Vec<u8>) {
        if self.tells {
            let text = String::from_utf8_lossy(&bytes);
            let find = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_owned();
            let first = text.lines().next().unwrap_or_default();
            println!("{} {from} {} {first} | {} | {}", self.now, to.addr, find("Call-ID"), find("CSeq"));
        }
        if self.keep_log {
            self.log.push((self.now, from, to.addr, String::from_utf8_lossy(&bytes).into_owned()));
        }
        if self.dead.contains(&to.addr) {
            return;
        }
        for at in (self.weather)(self.now) {
            self.count += 1;
            self.flying.insert((at, self.count), (from, to.addr, bytes.clone()));
        }
    }

    /// Puts bytes on the wire as if they came from there.
    pub(super) fn inject(&mut self, from: SocketAddr, to: usize, bytes: &[u8]) {
        self.count += 1;
        self.flying.insert((self.now, self.count), (from, address(to), bytes.to_vec()));
        self.run(0);
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<u64> {
        let timers = self.nodes.iter().filter_map(|n| n.agent.poll_timeout().map(|(at, _)| at.0));
        timers.chain(self.flying.first_key_value().map(|((at, _), _)| *at)).min()
    }

    /// Lets everything happen that is due up to `for_ms` from now.
    pub(super) fn run(&mut self, for_ms: u64) {
        let until = self.now + for_ms;
        (0..self.nodes.len()).for_each(|n| self.drain(n));
        let mut still = 0;
        while let Some(next) = self.next().filter(|next| *next <= until) {
            still = if next <= self.now { still + 1 } else { 0 };
            assert!(
                still < 10_000,
                "time stands still: {:?}",
                self.nodes.iter().map(|n| &n.agent).collect::<Vec<_>>()
            );
            self.now = self.now.max(next);
            self.arrive();
            let now = self.at();
            for n in 0..self.nodes.len() {
                if self.nodes[n].agent.poll_timeout().is_some_and(|(at, _)| at.0 <= self.now) {
                    self.nodes[n].agent.handle_timeout(now);
                    self.drain(n);
                }
            }
        }
        self.now = until;
    }

    fn arrive(&mut self) {
        while let Some(((at, _), _)) = self.flying.first_key_value() {
            if *at > self.now {
                return;
            }
            let Some((_, (from, to, bytes))) = self.flying.pop_first() else { return };
            let Some(n) = self.nodes.iter().position(|node| address_of(node) == to) else { continue };
            let from = Route { hop: Hop { addr: from, transport: Transport::Udp }, local: to };
            let now = self.at();
            match read_datagram(&bytes, &Limits::default()) {
                Received::Message(message) => self.nodes[n].agent.handle_message(*message, from, now),
                Received::Refused(refused) => self.nodes[n].agent.handle_refused(*refused, from, now),
                Received::Dropped(_) | Received::Ping | Received::Pong => {}
            }
            self.drain(n);
        }
    }

    /// First lines of what was sent between two nodes, in order, since the log was last cleared.
    pub(super) fn ladder(&self, a: usize, b: usize) -> Vec<String> {
        let (a, b) = (address(a), address(b));
        let between =
            self.log.iter().filter(|(_, from, to, _)| (*from, *to) == (a, b) || (*from, *to) == (b, a));
        between
            .map(|(_, from, _, text)| {
                let first = text.lines().next().unwrap_or_default();
                let what = first.strip_prefix("SIP/2.0 ").unwrap_or(first);
                let word: String = what.split(' ').next().unwrap_or_default().to_owned();
                if *from == a { format!("> {word}") } else { format!("< {word}") }
            })
            .collect()
    }

    /// The whole of the messages from one node to another that begin so.
    pub(super) fn sent(&self, from: usize, to: usize, start: &str) -> Vec<String> {
        let (from, to) = (address(from), address(to));
        let all = self.log.iter().filter(|(_, f, t, text)| (*f, *t) == (from, to) && text.starts_with(start));
        all.map(|(.., text)| text.clone()).collect()
    }

    /// Nothing of any call is left anywhere, and every leg had one end.
    pub(super) fn assert_clean(&mut self) {
        self.run(200_000);
        let now = self.at();
        for (n, node) in self.nodes.iter_mut().enumerate() {
            let held = node.agent.holdings();
            assert_eq!(
                (held.legs, held.dialogs, held.timers, held.tags),
                (0, 0, 0, 0),
                "node {n}: {:?}",
                node.agent
            );
            // Registrations go on by themselves.
            node.agent.stop(now);
        }
        self.run(100_000);
        for (n, node) in self.nodes.iter().enumerate() {
            assert!(node.agent.is_idle(), "node {n}: {:?}", node.agent);
            assert!(node.open.is_empty(), "node {n}: {:?}", node.open);
            for leg in &node.known {
                assert_eq!(node.ends.get(leg), Some(&1), "node {n}: ends of {leg}");
            }
        }
    }
}

impl Node {
    fn hear(&mut self, leg: LegId, event: LegEvent) {
        assert!(!self.ends.contains_key(&leg), "{leg} said {event:?} after its end");
        if matches!(event, LegEvent::Ended { .. } | LegEvent::Refused { .. }) {
            *self.ends.entry(leg.clone()).or_default() += 1;
        }
        self.known.insert(leg.clone());
        self.events.push((leg, event));
    }
}

fn address_of(node: &Node) -> SocketAddr {
    SocketAddr::new(node.ip, 5060)
}

fn keys() -> Vec<CryptoLine> {
    vec![CryptoLine("1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj".to_owned())]
}

/// What follows a header's name in a message.
pub(super) fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A message as it would be read.
pub(super) fn read(text: &str) -> Message {
    match read_datagram(text.as_bytes(), &Limits::default()) {
        Received::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}
