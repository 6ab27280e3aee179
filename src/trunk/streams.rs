//! All TCP and TLS connections: found by their far end and used both ways (RFC 5923's spirit, RFC 5626's flows), made
//! when there is none, counted by source, closed when they are idle, too many, or their peer does not read.

use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::sip::agent::Route;
use crate::sip::transaction::{Hop, Transport};
use crate::sip::wire::Opener;
use crate::types::Mono;

use super::config::Limits;
use super::gate::Class;
use super::stream::{Arrival, Bounds, Carrier, ConnId, Down, Pipes, carry, tune};
use super::tls::Expected;

/// What arrives from all connections and was not yet looked at: more waits in the connections, and then at the peers.
const ARRIVALS: usize = 64;

/// One connection.
pub(super) struct Conn {
    pub(super) route: Route,
    pub(super) opener: Opener,
    pub(super) class: Class,
    /// When the last message came, or it was made.
    pub(super) last: Mono,
    out: mpsc::Sender<Vec<u8>>,
    task: tokio::task::AbortHandle,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    Yes,
    /// There is no connection; the message back.
    NoConnection(Vec<u8>),
    /// The peer takes nothing any more: the connection is closed.
    Slow,
}

/// The table.
pub(super) struct Streams {
    conns: HashMap<ConnId, Conn>,
    by_hop: HashMap<Hop, ConnId>,
    tasks: JoinSet<()>,
    up: mpsc::Sender<Arrival>,
    next: u64,
    limits: Limits,
}

impl Streams {
    /// An empty one, and where arrivals come.
    pub(super) fn new(limits: Limits) -> (Self, mpsc::Receiver<Arrival>) {
        let (up, arrivals) = mpsc::channel(ARRIVALS);
        let (conns, by_hop, tasks) = (HashMap::new(), HashMap::new(), JoinSet::new());
        (Self { conns, by_hop, tasks, up, next: 0, limits }, arrivals)
    }

    /// A connection that is there.
    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&id)
    }

    /// Whether there is none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// Whether one more of this source is too many.
    pub(super) fn is_full_for(&self, ip: IpAddr, class: Class) -> bool {
        let of_source = || self.conns.values().filter(|c| c.route.hop.addr.ip() == ip).count();
        let strangers = || self.conns.values().filter(|c| c.class <= Class::Lan).count();
        match class {
            Class::Trusted | Class::Trunk => self.conns.len() >= self.limits.connections,
            Class::Phone => {
                self.conns.len() >= self.limits.connections || of_source() >= self.limits.per_source * 4
            }
            Class::Lan | Class::Stranger => {
                strangers() >= self.limits.connections / 2 || of_source() >= self.limits.per_source
            }
        }
    }

    /// Takes an accepted connection.
    pub(super) fn accept(
        &mut self,
        (stream, tls): (TcpStream, Option<TlsAcceptor>),
        route: Route,
        class: Class,
        now: Mono,
    ) {
        if let Err(why) = tune(&stream) {
            tracing::debug!(%why, "an accepted connection broke at once");
            return;
        }
        self.spawn(Carrier::Accepted(stream, tls), (route, Opener::Them, class), now);
    }

    /// Makes a connection; what is sent meanwhile waits for it. Over TLS only to whom we know by name.
    pub(super) fn connect(
        &mut self,
        route: Route,
        from: Option<SocketAddr>,
        expected: Option<Expected>,
        now: Mono,
    ) -> bool {
        if self.conns.len() >= self.limits.connections {
            return false;
        }
        let tls = match (route.hop.transport, expected) {
            (Transport::Udp, _) | (Transport::Tls, None) => return false,
            (Transport::Tcp, _) => None,
            (Transport::Tls, Some(expected)) => Some(Box::new(expected)),
        };
        let carrier = Carrier::ToMake { to: route.hop.addr, from, tls };
        // Whom we connect to is no stranger.
        self.spawn(carrier, (route, Opener::Us, Class::Trunk), now);
        true
    }

    fn spawn(&mut self, carrier: Carrier, (route, opener, class): (Route, Opener, Class), now: Mono) {
        self.next += 1;
        let id = ConnId(self.next);
        let (out, behind) = mpsc::channel(self.limits.queue);
        let pipes = Pipes { out: behind, up: self.up.clone() };
        let task = self.tasks.spawn(carry(id, carrier, pipes, Bounds::of(&self.limits)));
        // The newest of two connections with the same far end is the one that lives.
        self.by_hop.insert(route.hop, id);
        self.conns.insert(id, Conn { route, opener, class, last: now, out, task });
    }

    /// Puts a message into a connection's queue.
    pub(super) fn send(&mut self, hop: Hop, bytes: Vec<u8>) -> Queued {
        let Some(id) = self.by_hop.get(&hop).copied() else { return Queued::NoConnection(bytes) };
        self.send_on(id, bytes)
    }

    /// The same when the connection is known.
    pub(super) fn send_on(&mut self, id: ConnId, bytes: Vec<u8>) -> Queued {
        let Some(conn) = self.conns.get(&id) else { return Queued::NoConnection(bytes) };
        match conn.out.try_send(bytes) {
            Ok(()) => Queued::Yes,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.kill(id);
                Queued::Slow
            }
            // It is over and has not been heard of yet.
            Err(mpsc::error::TrySendError::Closed(bytes)) => {
                self.forget(id);
                Queued::NoConnection(bytes)
            }
        }
    }

    /// Lets it send what is queued, then closes it.
    pub(super) fn finish(&mut self, id: ConnId) {
        self.forget(id);
    }

    /// Closes it as it is; where it led.
    pub(super) fn kill(&mut self, id: ConnId) -> Option<Route> {
        let conn = self.forget(id)?;
        conn.task.abort();
        Some(conn.route)
    }

    /// Takes it out of the table.
    pub(super) fn forget(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.conns.remove(&id)?;
        if self.by_hop.get(&conn.route.hop) == Some(&id) {
            self.by_hop.remove(&conn.route.hop);
        }
        Some(conn)
    }

    /// Those of a source.
    pub(super) fn of(&self, ip: IpAddr) -> Vec<ConnId> {
        let theirs = self.conns.iter().filter(|(_, c)| c.route.hop.addr.ip() == ip);
        theirs.map(|(id, _)| *id).collect()
    }

    /// Looks at what everybody is now, closes who is idle for too long, and says where these led.
    pub(super) fn sweep(&mut self, class: impl Fn(IpAddr) -> Class, now: Mono) -> Vec<Route> {
        while self.tasks.try_join_next().is_some() {}
        let mut idle = Vec::new();
        for (id, conn) in &mut self.conns {
            if conn.opener == Opener::Them {
                conn.class = class(conn.route.hop.addr.ip());
            }
            let stranger = conn.class <= Class::Lan;
            let most = if stranger { self.limits.stranger_idle } else { self.limits.idle };
            if now.since(conn.last) > most {
                idle.push(*id);
            }
        }
        idle.into_iter().filter_map(|id| Some(self.forget(id)?.route)).collect()
    }

    /// Lets all of them send what is queued; returns when they have.
    pub(super) async fn finish_all(&mut self) {
        self.conns.clear();
        self.by_hop.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Whether the peer closed it, or something that a transaction must hear of.
    pub(super) fn is_failure(down: Down) -> bool {
        match down {
            Down::Peer | Down::NotMade | Down::NotSip | Down::Slow => true,
            Down::Us => false,
        }
    }
}
