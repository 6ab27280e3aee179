//! Where media may be sent. A description that points elsewhere would make this box a reflector, so its target is
//! checked against who signalled it and against networks that the technician knows.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::types::Network;

/// Where one line's media may go, beyond the address that signalled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPolicy {
    /// These too: a trunk's media gateways, the phones' LAN.
    pub networks: Vec<Network>,
}

/// Why media may not go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefused {
    /// Multicast, broadcast, or an address that stands for none.
    #[error("the media address is not one host's")]
    NotAHost,
    /// A port below 1024: somebody else's service.
    #[error("the media port belongs to another service")]
    Port,
    /// Neither the signalling's address nor in a known network.
    #[error("the media address is neither the signalling's nor in an allowed network")]
    Elsewhere,
}

impl TargetPolicy {
    /// Whether media may go to `target`, which was signalled from `source`.
    ///
    /// # Errors
    /// [`TargetRefused`].
    pub fn check(&self, target: SocketAddr, source: IpAddr) -> Result<(), TargetRefused> {
        let ip = target.ip().to_canonical();
        let one = !ip.is_multicast()
            && !ip.is_unspecified()
            && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
            && ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        if !one {
            return Err(TargetRefused::NotAHost);
        }
        if target.port() < 1024 {
            return Err(TargetRefused::Port);
        }
        let known = ip == source.to_canonical() || self.networks.iter().any(|n| n.contains(ip));
        if known { Ok(()) } else { Err(TargetRefused::Elsewhere) }
    }
}
