//! Where media may be sent. A description that points elsewhere would make this box a reflector, so its target is
//! checked against who signalled it and against networks that the technician knows.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An address block, `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, a slash and the number of leading bits")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.trim().parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |p| p.trim().parse()).map_err(|_| NetworkError)?;
        if prefix > most { Err(NetworkError) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    /// Whether the address lies in it. An IPv4 address in IPv6 clothes counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix));
                let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
                (net.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                (net.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

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
