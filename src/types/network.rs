//! Where an address lies: in a block of them, `192.0.2.0/24`, or on this machine. What follows from that is decided
//! elsewhere; names are not looked up.

use core::net::{IpAddr, SocketAddr};
use std::fmt;
use std::str::FromStr;

/// An address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, a slash and the number of leading bits, as 192.168.1.0/24")]
pub struct NetworkError;

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl Network {
    /// The block of `prefix` leading bits around `address`; all bits when there are more than the address has.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix: prefix.min(bits(address)) }
    }

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

impl FromStr for Network {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.trim().parse().map_err(|_| NetworkError)?;
        let most = bits(address);
        let prefix = prefix.map_or(Ok(most), |p| p.trim().parse()).map_err(|_| NetworkError)?;
        if prefix > most { Err(NetworkError) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whether the host of a URL is this machine itself: `localhost`, 127.0.0.0/8 or `::1`, bare or with brackets and a
/// port. A name that only begins or ends so is another's.
#[must_use]
pub fn is_this_machine(authority: &str) -> bool {
    let bracketed = || authority.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || authority.parse().ok().map(|at: SocketAddr| at.ip());
    if let Some(ip) = authority.parse().ok().or_else(with_port).or_else(bracketed) {
        return ip.is_loopback();
    }
    let port = |(_, port): &(&str, &str)| port.parse::<u16>().is_ok();
    let host = authority.rsplit_once(':').filter(port).map_or(authority, |(host, _)| host);
    host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_named_by_its_own_addresses_and_by_localhost() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.255.255.254",
            "::1",
            "[::1]",
            "[::1]:8443",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn what_only_looks_like_this_machine_is_another() {
        for host in [
            "",
            ":80",
            "127.evil.example",
            "127.0.0.1.evil.example:80",
            "localhost.evil.example",
            "localhost:evil",
            "localhost:80:80",
            "evil-localhost",
            "127.0.0.1@evil.example",
            "localhost@evil.example:80",
            "0.0.0.0",
            "10.0.0.1",
            "128.0.0.1:80",
            "::",
            "[::2]:80",
            "[127.0.0.1]",
            "[::1",
            "[::1]evil.example",
            "[::1]:evil",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
