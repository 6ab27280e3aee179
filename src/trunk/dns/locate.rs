//! Where a trunk is (RFC 3263 §4): transport, port and addresses, best first.

use core::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::codec::{Kind, Naptr, Record, Srv};
use super::resolver::{DnsError, Resolver};
use crate::sip::transaction::{Hop, Transport};
use crate::trunk::config::Reach;
use crate::trunk::local::default_port;

/// Addresses in the order in which they are to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Where.
    pub(crate) hops: Vec<Hop>,
    /// Good for so long; `None` for ever (an address that was written down).
    pub(crate) ttl: Option<Duration>,
}

/// Names that one trunk may have. More are not looked up.
const MOST_TARGETS: usize = 16;
/// No answer is asked for again sooner, whatever its TTL says.
const SHORTEST: u32 = 30;
/// Nor trusted for longer.
const LONGEST: u32 = 24 * 3600;

/// Looks a trunk up. `seed` chooses between records of the same priority by weight.
pub(crate) async fn locate(resolver: &Resolver, reach: &Reach, seed: u64) -> Result<Located, DnsError> {
    let host = reach.host.trim_end_matches('.');
    if let Ok(ip) = host.parse::<IpAddr>() {
        let transport = reach.transport.unwrap_or(Transport::Udp);
        let port = reach.port.unwrap_or_else(|| default_port(transport));
        return Ok(Located { hops: vec![Hop { addr: SocketAddr::new(ip, port), transport }], ttl: None });
    }
    let mut search = Search { resolver, seed, ttl: LONGEST, hops: Vec::new() };
    match (reach.port, reach.transport) {
        (Some(port), transport) => search.host(host, port, transport.unwrap_or(Transport::Udp)).await?,
        (None, Some(transport)) => search.service(host, transport).await?,
        (None, None) => search.domain(host).await?,
    }
    if search.hops.is_empty() {
        return Err(DnsError::Nothing(host.to_owned()));
    }
    let ttl = Duration::from_secs(search.ttl.max(SHORTEST).into());
    Ok(Located { hops: search.hops, ttl: Some(ttl) })
}

struct Search<'a> {
    resolver: &'a Resolver,
    seed: u64,
    ttl: u32,
    hops: Vec<Hop>,
}

impl Search<'_> {
    async fn ask(&mut self, name: &str, kind: Kind) -> Result<Vec<Record>, DnsError> {
        let (records, ttl) = self.resolver.ask(name, kind).await?;
        if !records.is_empty() {
            self.ttl = self.ttl.min(ttl);
        }
        Ok(records)
    }

    /// Neither port nor transport is known: NAPTR says which there are.
    async fn domain(&mut self, domain: &str) -> Result<(), DnsError> {
        for naptr in services(self.ask(domain, Kind::Naptr).await?) {
            let Some(transport) = transport_of(&naptr.service) else { continue };
            let records = self.ask(&naptr.replacement, Kind::Srv).await?;
            self.targets(records, transport).await?;
        }
        if !self.hops.is_empty() {
            return Ok(());
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            let records = self.ask(&srv_name(domain, transport), Kind::Srv).await?;
            self.targets(records, transport).await?;
        }
        if self.hops.is_empty() {
            self.host(domain, default_port(Transport::Udp), Transport::Udp).await?;
        }
        Ok(())
    }

    /// The transport is known: SRV says where.
    async fn service(&mut self, domain: &str, transport: Transport) -> Result<(), DnsError> {
        let records = self.ask(&srv_name(domain, transport), Kind::Srv).await?;
        if records.is_empty() {
            return self.host(domain, default_port(transport), transport).await;
        }
        self.targets(records, transport).await
    }

    async fn targets(&mut self, records: Vec<Record>, transport: Transport) -> Result<(), DnsError> {
        let mut failed = None;
        for srv in in_order(records, self.seed).iter().take(MOST_TARGETS) {
            // A target of "." says that there is no such service (RFC 2782).
            if srv.target.is_empty() {
                continue;
            }
            // One host that cannot be looked up is why there are others.
            if let Err(why) = self.host(&srv.target, srv.port, transport).await {
                failed = Some(why);
            }
        }
        match failed {
            Some(why) if self.hops.is_empty() => Err(why),
            Some(_) => {
                self.ttl = self.ttl.min(SHORTEST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Addresses of one host, IPv4 first: a shop's IPv6 is the likelier to be half there.
    async fn host(&mut self, host: &str, port: u16, transport: Transport) -> Result<(), DnsError> {
        let mut addresses = self.resolver.hosts(host).await;
        if addresses.is_empty() {
            for record in self.ask(host, Kind::A).await? {
                if let Record::A(ip) = record {
                    addresses.push(ip.into());
                }
            }
            // Servers exist that answer A and never AAAA.
            let six = self.ask(host, Kind::Aaaa).await;
            for record in if addresses.is_empty() { six? } else { six.unwrap_or_default() } {
                if let Record::Aaaa(ip) = record {
                    addresses.push(ip.into());
                }
            }
        } else {
            self.ttl = self.ttl.min(SHORTEST);
        }
        for ip in addresses {
            let hop = Hop { addr: SocketAddr::new(ip, port), transport };
            if !self.hops.contains(&hop) {
                self.hops.push(hop);
            }
        }
        Ok(())
    }
}

fn srv_name(domain: &str, transport: Transport) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{domain}"),
        Transport::Tcp => format!("_sip._tcp.{domain}"),
        Transport::Tls => format!("_sips._tcp.{domain}"),
    }
}

fn transport_of(service: &str) -> Option<Transport> {
    [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)]
        .into_iter()
        .find_map(|(name, transport)| service.eq_ignore_ascii_case(name).then_some(transport))
}

/// NAPTR records that lead to SRV, by order and preference.
fn services(records: Vec<Record>) -> Vec<Naptr> {
    let naptr = |record| match record {
        Record::Naptr(naptr) => Some(naptr),
        Record::A(_) | Record::Aaaa(_) | Record::Srv(_) => None,
    };
    let mut services: Vec<Naptr> = records.into_iter().filter_map(naptr).collect();
    services.retain(|n| n.flags.eq_ignore_ascii_case("s") && !n.replacement.is_empty());
    services.sort_by_key(|n| (n.order, n.preference));
    services.truncate(MOST_TARGETS);
    services
}

/// By priority; within one, drawn by weight (RFC 2782).
fn in_order(records: Vec<Record>, seed: u64) -> Vec<Srv> {
    let srv = |record| match record {
        Record::Srv(srv) => Some(srv),
        Record::A(_) | Record::Aaaa(_) | Record::Naptr(_) => None,
    };
    let mut left: Vec<Srv> = records.into_iter().filter_map(srv).collect();
    // Those without weight stand first, so that they have a chance.
    left.sort_by_key(|s| (s.priority, s.weight > 0, s.weight, s.target.clone(), s.port));
    let (mut ordered, mut draws) = (Vec::with_capacity(left.len()), seed);
    while let Some(priority) = left.first().map(|s| s.priority) {
        let group = left.iter().take_while(|s| s.priority == priority);
        let total: u64 = group.map(|s| u64::from(s.weight)).sum();
        draws = mixed(draws);
        let drawn = draws % (total + 1);
        let mut sum = 0;
        let chosen = left.iter().position(|s| {
            sum += u64::from(s.weight);
            sum >= drawn
        });
        ordered.push(left.remove(chosen.unwrap_or(0)));
    }
    ordered
}

/// The next of a row of numbers (splitmix64).
fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Record {
        Record::Srv(Srv { priority, weight, port: 5060, target: target.to_owned() })
    }

    fn order(records: &[Record], seed: u64) -> Vec<String> {
        in_order(records.to_vec(), seed).into_iter().map(|s| s.target).collect()
    }

    #[test]
    fn priority_decides_and_weight_shares_within_it() {
        let records = [srv(20, 100, "spare"), srv(10, 30, "small"), srv(10, 90, "large"), srv(10, 0, "none")];
        let orders: Vec<_> = (0..10_000).map(|n| order(&records, mixed(n))).collect();
        assert!(orders.iter().all(|o| o.len() == 4 && o[3] == "spare"));
        let first = |name: &str| orders.iter().filter(|o| o[0] == name).count();
        assert!((7_000..8_000).contains(&first("large")), "{}", first("large"));
        assert!((2_000..3_000).contains(&first("small")), "{}", first("small"));
        assert!((10..300).contains(&first("none")), "{}", first("none"));
        assert_eq!(order(&records, 7), order(&records, 7));
    }

    #[test]
    fn only_naptr_records_that_lead_to_sip_over_srv_count() {
        let naptr = |order, preference, flags: &str, service: &str, to: &str| {
            Record::Naptr(Naptr {
                order,
                preference,
                flags: flags.to_owned(),
                service: service.to_owned(),
                replacement: to.to_owned(),
            })
        };
        let records = vec![
            naptr(20, 1, "s", "SIP+D2U", "c"),
            naptr(10, 2, "S", "sip+d2t", "b"),
            naptr(10, 1, "s", "SIPS+D2T", "a"),
            naptr(1, 1, "u", "E2U+sip", ""),
        ];
        let found = services(records);
        assert_eq!(found.iter().map(|n| n.replacement.as_str()).collect::<String>(), "abc");
        let transports: Vec<_> = found.iter().filter_map(|n| transport_of(&n.service)).collect();
        assert_eq!(transports, [Transport::Tls, Transport::Tcp, Transport::Udp]);
    }
}
