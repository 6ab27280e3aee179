//! What the edge is set up with: where it listens, whom it serves, how trunks are reached, how much it takes. The
//! technician's file is `config`'s; the daemon makes this of it.

use core::net::SocketAddr;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::sip::agent::{AgentSettings, Binding, DeviceSetup, TrunkSetup};
use crate::sip::transaction::Transport;
use crate::sip::wire;
use crate::types::DeviceId;

use super::gate::GateSettings;

/// Everything that the edge starts with.
#[derive(Clone)]
pub struct TrunkConfig {
    /// How the SIP element behaves.
    pub agent: AgentSettings,
    /// Secret and never the same again, also not in another boot: see [`crate::sip::agent::Agent::new`].
    pub seed: [u8; 32],
    /// Where it listens. A trunk is spoken to from a UDP listener of its address family, and over TCP and TLS also
    /// without any.
    pub listeners: Vec<Listener>,
    /// Needed for a TLS listener.
    pub tls: Option<TlsFiles>,
    /// The phones.
    pub devices: Vec<DeviceSetup>,
    /// The trunks.
    pub trunks: Vec<TrunkLine>,
    /// What was kept of the phones' contacts.
    pub bindings: Vec<(DeviceId, Vec<Binding>)>,
    /// How much it takes.
    pub limits: Limits,
    /// Where names are looked up.
    pub dns: DnsSettings,
}

/// Without the seed.
impl fmt::Debug for TrunkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrunkConfig")
            .field("listeners", &self.listeners)
            .field("devices", &self.devices.len())
            .field("trunks", &self.trunks)
            .finish_non_exhaustive()
    }
}

/// One address to listen on. An unspecified address (`0.0.0.0`, `[::]`) is every address of that family; a `[::]`
/// takes no IPv4, so that both can stand side by side. Behind a changing address only the unspecified one goes on
/// working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub addr: SocketAddr,
    /// For what.
    pub transport: Transport,
}

/// What a TLS listener shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: its certificate first, then those that lead to a root.
    pub certificate: PathBuf,
    /// PEM: the certificate's key (PKCS#8, SEC1 or PKCS#1), not encrypted.
    pub key: PathBuf,
}

/// A trunk and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkLine {
    /// What the SIP element knows of it.
    pub setup: TrunkSetup,
    /// Where it is.
    pub reach: Reach,
}

/// Where a trunk is. What is left open is looked up (RFC 3263): without a port by SRV, without a transport by NAPTR.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reach {
    /// A domain, a host or an address (IPv6 without brackets): the provider's domain, or an outbound proxy. Over TLS
    /// the certificate must be for this name (RFC 5922 §4: never for a name that only DNS told).
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// How.
    pub transport: Option<Transport>,
    /// Over TLS only these authorities are believed (PEM); without it those of the system.
    pub ca: Option<PathBuf>,
}

/// Bounds. The defaults fit a shop; [`GateSettings`] has the rates.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Who may send how much.
    pub gate: GateSettings,
    /// How large a message may be.
    pub wire: wire::Limits,
    /// Connections in all; strangers get half of them.
    pub connections: usize,
    /// Connections of one source that is neither trunk nor trusted.
    pub per_source: usize,
    /// Messages that wait for one connection to take them; when one more comes its peer is taken for dead.
    pub queue: usize,
    /// Connecting, and the TLS handshake, each.
    pub connect: Duration,
    /// From the first byte of a message to its last, and from accepting a connection to its first message.
    pub message: Duration,
    /// How long a peer may take nothing of what is written.
    pub write: Duration,
    /// A stranger's connection without a message is closed after this.
    pub stranger_idle: Duration,
    /// Anybody's.
    pub idle: Duration,
    /// Bytes in a row that make no message.
    pub garbage: usize,
    /// Receive buffer of a UDP socket, in bytes; the kernel's `net.core.rmem_max` bounds it for who is not root.
    pub receive_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gate: GateSettings::default(),
            wire: wire::Limits::default(),
            connections: 1024,
            per_source: 16,
            queue: 256,
            connect: Duration::from_secs(5),
            message: Duration::from_secs(15),
            write: Duration::from_secs(10),
            stranger_idle: Duration::from_secs(60),
            idle: Duration::from_secs(2 * 3600),
            garbage: 128 * 1024,
            receive_buffer: 4 * 1024 * 1024,
        }
    }
}

/// Where names are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// These and no others; without it those of `/etc/resolv.conf`, read at every look-up.
    pub servers: Option<Vec<SocketAddr>>,
    /// A file that keeps the last good answers over a restart.
    pub kept: Option<PathBuf>,
}
