//! Takes the sockets, certificates and files that the edge runs on. Apart from running it, so that the daemon fails
//! at its start, with words that say what to do.

use core::net::SocketAddr;
use std::io;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::sip::transaction::Transport;

use super::config::{Listener, TrunkConfig};
use super::counters::Counters;
use super::dns::Kept;
use super::tls::{Connectors, Shown, TlsError};

/// Why the edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error(
        "SIP cannot listen on {transport} {addr}: another program has this port (another PBX? a second backroom?); \
         stop it or choose another port"
    )]
    InUse {
        /// Where.
        addr: SocketAddr,
        /// For what.
        transport: &'static str,
    },
    /// The address is nobody's here.
    #[error(
        "SIP cannot listen on {transport} {addr}: this machine does not have the address; 0.0.0.0 or [::] listens on all"
    )]
    NotOurs {
        /// Where.
        addr: SocketAddr,
        /// For what.
        transport: &'static str,
    },
    /// Ports below 1024 need a right.
    #[error(
        "SIP cannot listen on {transport} {addr}: not permitted; use a port from 1024 on, or run as a service"
    )]
    Denied {
        /// Where.
        addr: SocketAddr,
        /// For what.
        transport: &'static str,
    },
    /// Anything else.
    #[error("SIP cannot listen on {transport} {addr}: {why}")]
    Socket {
        /// Where.
        addr: SocketAddr,
        /// For what.
        transport: &'static str,
        /// What the system says.
        why: io::Error,
    },
    /// Certificates.
    #[error("SIP over TLS: {0}")]
    Tls(#[from] TlsError),
}

/// A listening TCP socket.
pub(super) struct Acceptor {
    pub(super) socket: TcpListener,
    /// Its place among the listeners.
    pub(super) listener: usize,
    pub(super) tls: Option<TlsAcceptor>,
}

/// The edge, ready to run: what comes meanwhile waits in the kernel.
pub struct Bound {
    pub(super) config: TrunkConfig,
    /// As the kernel has them, in the order of the configuration.
    pub(super) listeners: Vec<Listener>,
    /// With its place among the listeners.
    pub(super) udp: Vec<(usize, UdpSocket)>,
    pub(super) acceptors: Vec<Acceptor>,
    pub(super) shown: Option<Shown>,
    pub(super) connectors: Connectors,
    pub(super) kept: Kept,
    pub(super) counters: watch::Sender<Counters>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Bound {
    /// Where it listens, in the order of the configuration; a port 0 has become one.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// What is counted, as of the last two seconds.
    #[must_use]
    pub fn counters(&self) -> watch::Receiver<Counters> {
        self.counters.subscribe()
    }
}

/// Takes everything that the edge needs. To be called inside the runtime that will run it.
///
/// # Errors
/// [`BindError`], for the operator.
pub fn bind(config: TrunkConfig) -> Result<Bound, BindError> {
    let mut bound = Bound {
        listeners: Vec::new(),
        udp: Vec::new(),
        acceptors: Vec::new(),
        shown: None,
        connectors: Connectors::default(),
        kept: Kept::open(config.dns.kept.clone()),
        counters: watch::Sender::new(Counters::default()),
        config,
    };
    for trunk in &bound.config.trunks {
        // Also without a written transport: NAPTR may say TLS. Then the system's roots are loaded when it does.
        if trunk.reach.transport == Some(Transport::Tls) || trunk.reach.ca.is_some() {
            bound.connectors.expect(&trunk.reach)?;
        }
    }
    if bound.config.listeners.iter().any(|l| l.transport == Transport::Tls) {
        bound.shown = Some(Shown::open(bound.config.tls.clone())?);
    }
    let tls = bound.shown.as_ref().map(Shown::acceptor);
    for (index, listener) in bound.config.listeners.clone().into_iter().enumerate() {
        let fault = |why| fault(listener, why);
        let addr = match listener.transport {
            Transport::Udp => {
                let socket = udp_socket(listener.addr, bound.config.limits.receive_buffer).map_err(fault)?;
                let addr = socket.local_addr().map_err(fault)?;
                bound.udp.push((index, socket));
                addr
            }
            Transport::Tcp | Transport::Tls => {
                let socket = tcp_socket(listener.addr).map_err(fault)?;
                let addr = socket.local_addr().map_err(fault)?;
                let tls = tls.clone().filter(|_| listener.transport == Transport::Tls);
                bound.acceptors.push(Acceptor { socket, listener: index, tls });
                addr
            }
        };
        bound.listeners.push(Listener { addr, ..listener });
    }
    Ok(bound)
}

fn fault(listener: Listener, why: io::Error) -> BindError {
    let (addr, transport) = (listener.addr, listener.transport.as_str());
    match why.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr, transport },
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs { addr, transport },
        io::ErrorKind::PermissionDenied => BindError::Denied { addr, transport },
        _ => BindError::Socket { addr, transport, why },
    }
}

fn socket(addr: SocketAddr, kind: SocketType) -> io::Result<rustix::fd::OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    if addr.is_ipv6() {
        // Else `[::]` would take IPv4 too, and a `0.0.0.0` beside it could not be bound.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

fn udp_socket(addr: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = socket(addr, SocketType::DGRAM)?;
    // Beyond the system's limit only with CAP_NET_ADMIN; up to it for everybody.
    if sockopt::set_socket_recv_buffer_size_force(&socket, receive_buffer).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, receive_buffer)?;
    }
    let (has, wanted) = (sockopt::socket_recv_buffer_size(&socket)?, receive_buffer);
    if has < wanted {
        tracing::info!(has, wanted, "a burst may overflow the UDP receive buffer: raise net.core.rmem_max");
    }
    rustix::net::bind(&socket, &addr)?;
    UdpSocket::from_std(socket.into())
}

fn tcp_socket(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(addr, SocketType::STREAM)?;
    // After a restart connections of the old process may still linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &addr)?;
    rustix::net::listen(&socket, 128)?;
    TcpListener::from_std(socket.into())
}
