//! Our own address towards a neighbour: what the kernel would put on a packet to it. Found by connecting a UDP
//! socket, which sends nothing; remembered until a change is noticed. An unspecified listening address never leaves
//! this file.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::{BTreeMap, HashMap};
use std::net::UdpSocket;

use crate::sip::transaction::{Hop, Transport};

use super::config::Listener;

/// Asks for the address towards another; `None` when there is no way to it.
pub(super) type Probe = Box<dyn Fn(IpAddr) -> Option<IpAddr> + Send>;

/// How many neighbours are remembered.
const REMEMBERED: usize = 4096;

/// The kernel's answer.
pub(super) fn ask_kernel(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match far {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 5060)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// Local addresses by neighbour.
pub(super) struct Locals {
    listeners: Vec<Listener>,
    probe: Probe,
    known: HashMap<IpAddr, IpAddr>,
    /// Each address of ours in use, and a neighbour that shows whether it still is.
    used: BTreeMap<IpAddr, IpAddr>,
}

impl Locals {
    /// `listeners` as they are bound.
    pub(super) fn new(listeners: Vec<Listener>, probe: Probe) -> Self {
        Self { listeners, probe, known: HashMap::new(), used: BTreeMap::new() }
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
        let local = (self.probe)(far)?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(far, local);
        self.used.entry(local).or_insert(far);
        Some(local)
    }

    /// Which of our addresses became another since they were looked at. Afterwards all are asked for anew. An
    /// address that is only gone stays until there is another: an unplugged cable ends no call.
    pub(super) fn changes(&mut self) -> Vec<(IpAddr, IpAddr)> {
        let fixed = |ip: &IpAddr| self.listeners.iter().any(|l| l.addr.ip() == *ip);
        let mut changed = Vec::new();
        for (old, sample) in &self.used {
            if let Some(new) = (self.probe)(*sample)
                && new != *old
                && !fixed(old)
            {
                changed.push((*old, new));
            }
        }
        if !changed.is_empty() {
            self.known.clear();
        }
        for (old, new) in &changed {
            if let Some(sample) = self.used.remove(old) {
                self.used.insert(*new, sample);
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
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn hop(text: &str) -> Hop {
        Hop { addr: text.parse().unwrap(), transport: Transport::Udp }
    }

    fn udp(text: &str) -> Listener {
        Listener { addr: text.parse().unwrap(), transport: Transport::Udp }
    }

    #[test]
    fn an_unspecified_listener_is_named_by_the_address_that_packets_carry() {
        let mut locals = Locals::new(vec![udp("0.0.0.0:5070")], Box::new(ask_kernel));
        assert_eq!(locals.towards(hop("127.0.0.1:5060")), Some("127.0.0.1:5070".parse().unwrap()));
        assert_eq!(locals.towards(hop("[::1]:5060")), None);
    }

    #[test]
    fn the_listener_of_the_right_network_is_chosen() {
        let probe = |far: IpAddr| {
            Some(if far == IpAddr::from([10, 0, 0, 9]) { [10, 0, 0, 1] } else { [192, 0, 2, 1] }.into())
        };
        let mut locals = Locals::new(vec![udp("192.0.2.1:5060"), udp("10.0.0.1:5062")], Box::new(probe));
        assert_eq!(locals.towards(hop("10.0.0.9:5060")), Some("10.0.0.1:5062".parse().unwrap()));
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), Some("192.0.2.1:5060".parse().unwrap()));
    }

    #[test]
    fn a_new_address_is_told_once_and_a_lost_one_is_kept() {
        let ours: Arc<Mutex<Option<IpAddr>>> = Arc::new(Mutex::new(Some([192, 0, 2, 1].into())));
        let seen = Arc::clone(&ours);
        let mut locals = Locals::new(vec![udp("0.0.0.0:5060")], Box::new(move |_| *seen.lock().unwrap()));
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), Some("192.0.2.1:5060".parse().unwrap()));
        *ours.lock().unwrap() = None;
        assert_eq!(locals.changes(), []);
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), Some("192.0.2.1:5060".parse().unwrap()));
        *ours.lock().unwrap() = Some([192, 0, 2, 77].into());
        assert_eq!(locals.changes(), [([192, 0, 2, 1].into(), [192, 0, 2, 77].into())]);
        assert_eq!(locals.changes(), []);
        assert_eq!(locals.towards(hop("203.0.113.9:5060")), Some("192.0.2.77:5060".parse().unwrap()));
    }
}
