//! Our own address towards a neighbour: what the kernel would put on a packet to it. Found by connecting a UDP
//! socket, which sends nothing; remembered until a change is noticed. An unspecified listening address never leaves
//! this file.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::{BTreeMap, HashMap};
use std::net::UdpSocket;

use crate::sip::transaction::{Hop, Transport};

use super::config::Listener;

/// Who knows the machine's addresses.
pub(super) trait Addresses: Send {
    /// What a packet to there would carry; `None` when there is no way.
    fn towards(&self, far: IpAddr) -> Option<IpAddr>;
    /// Whether it is this machine's.
    fn is_ours(&self, ip: IpAddr) -> bool;
}

/// The kernel does.
pub(super) struct Kernel;

impl Addresses for Kernel {
    fn towards(&self, far: IpAddr) -> Option<IpAddr> {
        let any: IpAddr = match far {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((far, 5060)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified()).then_some(ip)
    }

    fn is_ours(&self, ip: IpAddr) -> bool {
        UdpSocket::bind((ip, 0)).is_ok()
    }
}

/// How many neighbours are remembered.
const REMEMBERED: usize = 4096;

/// Local addresses by neighbour.
pub(super) struct Locals {
    listeners: Vec<Listener>,
    addresses: Box<dyn Addresses>,
    known: HashMap<IpAddr, IpAddr>,
    /// Each address of ours that was told to somebody, and one of those.
    told: BTreeMap<IpAddr, IpAddr>,
}

impl Locals {
    /// `listeners` as they are bound.
    pub(super) fn new(listeners: Vec<Listener>, addresses: Box<dyn Addresses>) -> Self {
        Self { listeners, addresses, known: HashMap::new(), told: BTreeMap::new() }
    }

    /// The listener whose port stands for us towards this neighbour, for UDP the one that is sent from.
    pub(super) fn listener(&self, hop: Hop) -> Option<usize> {
        let fits = |l: &Listener| l.transport == hop.transport && l.addr.is_ipv4() == hop.addr.is_ipv4();
        let local = self.known.get(&hop.addr.ip());
        let exact = |l: &Listener| fits(l) && (l.addr.ip().is_unspecified() || local == Some(&l.addr.ip()));
        self.listeners.iter().position(exact).or_else(|| self.listeners.iter().position(fits))
    }

    /// Our end towards a neighbour. `None` without a way there, or without a socket to speak UDP from.
    pub(super) fn towards(&mut self, hop: Hop) -> Option<SocketAddr> {
        let ip = self.ip(hop.addr.ip());
        match self.listener(hop) {
            Some(index) => self.on(index, hop.addr.ip()),
            None if hop.transport == Transport::Udp => None,
            None => Some(SocketAddr::new(ip?, default_port(hop.transport))),
        }
    }

    /// Our end when this listener is spoken from.
    pub(super) fn on(&mut self, listener: usize, far: IpAddr) -> Option<SocketAddr> {
        let bound = self.listeners.get(listener)?.addr;
        if !bound.ip().is_unspecified() {
            return Some(bound);
        }
        Some(SocketAddr::new(self.ip(far)?, bound.port()))
    }

    /// The listener's own address, if it has one: connections of ours come from there too.
    pub(super) fn fixed(&self, hop: Hop) -> Option<IpAddr> {
        let bound = self.listeners.get(self.listener(hop)?)?.addr.ip();
        (!bound.is_unspecified()).then_some(bound)
    }

    /// What stands for our end when there is no way to a neighbour any more.
    pub(super) fn nowhere(&self, hop: Hop) -> Option<SocketAddr> {
        Some(self.listeners.get(self.listener(hop)?)?.addr)
    }

    fn ip(&mut self, far: IpAddr) -> Option<IpAddr> {
        if let Some(known) = self.known.get(&far) {
            return Some(*known);
        }
        let local = self.addresses.towards(far)?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(far, local);
        self.told.entry(local).or_insert(far);
        Some(local)
    }

    /// Looks again: at the way to each trunk, at the addresses that neighbours were told, and when the kernel noted a
    /// change, at everything. Says which of our addresses are no longer ours and what stands in their place. One that
    /// is gone without another stays: an unplugged cable ends no call.
    pub(super) fn check(&mut self, trunks: &[IpAddr], noted: bool) -> Vec<(IpAddr, IpAddr)> {
        if noted {
            let addresses = &self.addresses;
            self.known.retain(|far, local| addresses.towards(*far).is_none_or(|now| now == *local));
        }
        for trunk in trunks {
            if let Some(now) = self.addresses.towards(*trunk) {
                self.known.insert(*trunk, now);
            }
        }
        let fixed = |ip: &IpAddr| self.listeners.iter().any(|l| l.addr.ip() == *ip);
        let mut changed = Vec::new();
        for (old, sample) in &self.told {
            if let Some(new) = self.addresses.towards(*sample).filter(|new| new != old)
                && !fixed(old)
                && !self.addresses.is_ours(*old)
            {
                changed.push((*old, new));
            }
        }
        if !changed.is_empty() {
            self.known.clear();
        }
        for (old, new) in &changed {
            if let Some(sample) = self.told.remove(old) {
                self.told.entry(*new).or_insert(sample);
            }
        }
        changed
    }
}

/// RFC 3261 §19.1.2.
pub(super) fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A machine whose addresses a test says: towards whom which, by the first octet.
    #[derive(Clone, Default)]
    pub(crate) struct Machine(Arc<Mutex<BTreeMap<u8, IpAddr>>>);

    impl Machine {
        /// From now on this stands on packets to `net`.0.0.0/8; `None` takes the way away.
        pub(crate) fn set(&self, net: u8, local: Option<&str>) {
            let mut ways = self.0.lock().unwrap();
            match local {
                Some(local) => ways.insert(net, local.parse().unwrap()),
                None => ways.remove(&net),
            };
        }
    }

    impl Addresses for Machine {
        fn towards(&self, far: IpAddr) -> Option<IpAddr> {
            let IpAddr::V4(far) = far else { return None };
            self.0.lock().unwrap().get(&far.octets()[0]).copied()
        }
        fn is_ours(&self, ip: IpAddr) -> bool {
            self.0.lock().unwrap().values().any(|own| *own == ip)
        }
    }

    fn hop(text: &str) -> Hop {
        Hop { addr: text.parse().unwrap(), transport: Transport::Udp }
    }

    fn udp(text: &str) -> Listener {
        Listener { addr: text.parse().unwrap(), transport: Transport::Udp }
    }

    fn at(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_unspecified_listener_is_named_by_the_address_that_packets_carry() {
        let mut locals = Locals::new(vec![udp("0.0.0.0:5070")], Box::new(Kernel));
        assert_eq!(locals.towards(hop("127.0.0.1:5060")), at("127.0.0.1:5070"));
        assert_eq!(locals.towards(hop("[::1]:5060")), None);
        assert!(Kernel.is_ours([127, 0, 0, 1].into()) && !Kernel.is_ours([192, 0, 2, 1].into()));
    }

    #[test]
    fn the_listener_of_the_right_network_is_chosen() {
        let machine = Machine::default();
        machine.set(10, Some("10.0.0.1"));
        machine.set(203, Some("192.0.2.1"));
        let listeners = vec![udp("192.0.2.1:5060"), udp("10.0.0.1:5062")];
        let mut locals = Locals::new(listeners, Box::new(machine));
        assert_eq!(locals.towards(hop("10.0.0.9:5060")), at("10.0.0.1:5062"));
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), at("192.0.2.1:5060"));
    }

    #[test]
    fn a_new_address_is_told_once_and_a_lost_one_is_kept() {
        let machine = Machine::default();
        machine.set(203, Some("192.0.2.1"));
        let mut locals = Locals::new(vec![udp("0.0.0.0:5060")], Box::new(machine.clone()));
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), at("192.0.2.1:5060"));
        machine.set(203, None);
        assert_eq!(locals.check(&[], true), []);
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), at("192.0.2.1:5060"));
        machine.set(203, Some("192.0.2.77"));
        assert_eq!(locals.check(&[], true), [([192, 0, 2, 1].into(), [192, 0, 2, 77].into())]);
        assert_eq!(locals.check(&[], true), []);
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), at("192.0.2.77:5060"));
    }

    #[test]
    fn a_trunk_that_is_reached_another_way_moves_no_phone() {
        let machine = Machine::default();
        machine.set(10, Some("10.0.0.1"));
        machine.set(203, Some("10.0.0.1"));
        machine.set(100, Some("100.64.0.1"));
        let mut locals = Locals::new(vec![udp("0.0.0.0:5060")], Box::new(machine.clone()));
        let trunk = hop("203.0.113.9:5060");
        assert_eq!(locals.towards(trunk), at("10.0.0.1:5060"));
        assert_eq!(locals.towards(hop("10.0.0.9:5060")), at("10.0.0.1:5060"));
        machine.set(203, Some("100.64.0.1"));
        assert_eq!(locals.check(&[trunk.addr.ip()], false), []);
        assert_eq!(locals.towards(trunk), at("100.64.0.1:5060"));
        assert_eq!(locals.towards(hop("10.0.0.9:5060")), at("10.0.0.1:5060"));
    }
}
