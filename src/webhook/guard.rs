//! Where a name may lead: to the public network, and `localhost` to this machine. A name in somebody else's hands that
//! suddenly leads to a router or a till inside the shop's network gets nothing. Addresses that the technician wrote
//! himself do not come by here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up and keeps what they may lead to.
pub(super) struct Guard;

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let kept = permitted(&host, found)?;
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The addresses that this name may lead to.
///
/// # Errors
/// There is none among them.
fn permitted(host: &str, found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    let local = host.trim_end_matches('.').eq_ignore_ascii_case("localhost");
    let may = |ip: IpAddr| if local { ip.is_loopback() } else { is_public(ip) };
    let kept: Vec<SocketAddr> = found.into_iter().filter(|at| may(at.ip())).collect();
    if kept.is_empty() {
        let why =
            "its name leads to no public address; to reach a machine inside, write its address in `url`";
        return Err(io::Error::other(why));
    }
    Ok(kept)
}

/// Not in the registries of special addresses (RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || matches!((a, b, c), (0 | 240..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let tail = |from: usize| {
        let octets = ip.octets();
        let at = |i: usize| octets.get(from + i).copied().unwrap_or(0);
        Ipv4Addr::new(at(0), at(1), at(2), at(3))
    };
    match (first, second) {
        // An IPv4 address in other clothes: mapped, translated, 6to4.
        (0, _) => ip.to_ipv4_mapped().is_some_and(is_public_v4),
        (0x64, 0xff9b) => is_public_v4(tail(12)),
        (0x2002, _) => is_public_v4(tail(2)),
        // Teredo, documentation.
        (0x2001, 0 | 0xdb8) => false,
        // Only 2000::/3 is given out.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_public_addresses_alone() {
        for (text, public) in [
            ("93.184.216.34", true),
            ("8.8.8.8", true),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("2002:a00:1::", false),
            ("2001:db8::1", false),
        ] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(is_public(ip), public, "{text}");
        }
    }

    #[test]
    fn localhost_leads_to_this_machine_and_nowhere_else() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        assert_eq!(permitted("localhost", vec![at("127.0.0.1"), at("8.8.8.8")]).unwrap(), [at("127.0.0.1")]);
        let both = permitted("crm.example", vec![at("10.1.1.1"), at("8.8.8.8")]).unwrap();
        assert_eq!(both, [at("8.8.8.8")]);
        permitted("crm.example", vec![at("127.0.0.1"), at("10.1.1.1")]).unwrap_err();
    }
}
