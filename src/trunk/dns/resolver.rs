//! Asks name servers: each in turn, twice, over UDP and over TCP when an answer does not fit. The machine's own
//! `/etc/hosts` is asked first.

use core::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::codec::{Kind, Record, Said, answer, question};

/// How long a server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Times that each server is asked.
const ROUNDS: usize = 2;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DnsError {
    /// No server answered: the network or DNS is down.
    #[error("no name server answers for {0}: check the network and /etc/resolv.conf")]
    Silent(String),
    /// There is no such name.
    #[error("{0} has no address: check how the trunk's host is written")]
    Nothing(String),
    /// The name cannot be one.
    #[error("{0} cannot be a host name")]
    BadName(String),
    /// No source of randomness for ids.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// A stub resolver.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    servers: Option<Vec<SocketAddr>>,
    hosts: PathBuf,
    patience: Duration,
}

/// Records, and for how many seconds they are good.
pub(super) type Found = (Vec<Record>, u32);

impl Resolver {
    /// Asks these servers, or those of `/etc/resolv.conf`.
    pub(crate) fn new(servers: Option<Vec<SocketAddr>>) -> Self {
        Self { servers, hosts: PathBuf::from("/etc/hosts"), patience: PATIENCE }
    }

    /// With another hosts file and less patience.
    #[cfg(test)]
    pub(crate) fn for_test(servers: Vec<SocketAddr>, hosts: PathBuf) -> Self {
        Self { servers: Some(servers), hosts, patience: Duration::from_millis(300) }
    }

    /// All records of a kind; none when there are none.
    pub(super) async fn ask(&self, name: &str, kind: Kind) -> Result<Found, DnsError> {
        let servers = match &self.servers {
            Some(servers) => servers.clone(),
            None => system_servers().await,
        };
        for _ in 0..ROUNDS {
            for server in &servers {
                let id = random_id()?;
                let asked = question(id, name, kind).ok_or_else(|| DnsError::BadName(name.to_owned()))?;
                if let Some(found) = self.ask_server(*server, &asked, name, kind).await {
                    return Ok(found);
                }
            }
        }
        Err(DnsError::Silent(name.to_owned()))
    }

    /// What `/etc/hosts` says.
    pub(super) async fn hosts(&self, name: &str) -> Vec<IpAddr> {
        let text = tokio::fs::read_to_string(&self.hosts).await.unwrap_or_default();
        in_hosts(&text, name)
    }

    async fn ask_server(&self, server: SocketAddr, asked: &[u8], name: &str, kind: Kind) -> Option<Found> {
        let said = timeout(self.patience, over_udp(server, asked, name, kind)).await.ok()??;
        let said = match said {
            Said::Truncated => timeout(self.patience, over_tcp(server, asked, name, kind)).await.ok()??,
            other => other,
        };
        match said {
            Said::Records(records, ttl) => Some((records, ttl)),
            Said::Truncated => None,
            Said::CannotSay(code) => {
                tracing::debug!(code, "a name server cannot say");
                None
            }
        }
    }
}

async fn over_udp(server: SocketAddr, asked: &[u8], name: &str, kind: Kind) -> Option<Said> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(asked).await.ok()?;
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes).await.ok()?;
        // What answers another question may be a forger's: the right answer may still come.
        if let Ok(said) = answer(bytes.get(..length)?, asked, name, kind) {
            return Some(said);
        }
    }
}

async fn over_tcp(server: SocketAddr, asked: &[u8], name: &str, kind: Kind) -> Option<Said> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    let mut framed = u16::try_from(asked.len()).ok()?.to_be_bytes().to_vec();
    framed.extend(asked);
    stream.write_all(&framed).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.ok()?;
    answer(&bytes, asked, name, kind).ok()
}

fn random_id() -> Result<u16, DnsError> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|_| DnsError::NoRandom)?;
    Ok(u16::from_be_bytes(id))
}

async fn system_servers() -> Vec<SocketAddr> {
    let text = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    in_resolv_conf(&text)
}

/// The first three, as the C library has it; this machine when there are none.
fn in_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next().filter(|w| *w == "nameserver").and(words.next())?;
        // A zone (`fe80::1%eth0`) needs the interface's number, which only the C library knows.
        ip.parse::<IpAddr>().ok()
    });
    let servers: Vec<_> = servers.take(3).map(|ip| SocketAddr::new(ip, 53)).collect();
    if servers.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], 53))] } else { servers }
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let named = lines.filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_files_are_read_as_they_are_written() {
        let text = "# made by hand\nsearch a.example\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n\
                    nameserver 2001:db8::53\nnameserver x\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let servers: Vec<String> = in_resolv_conf(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::53]:53", "192.0.2.2:53"]);
        assert_eq!(in_resolv_conf(""), [SocketAddr::from(([127, 0, 0, 1], 53))]);
        let hosts = "127.0.0.1 localhost\n192.0.2.9 pbx.shop pbx # the old one\n#192.0.2.8 pbx\n";
        assert_eq!(in_hosts(hosts, "PBX"), [IpAddr::from([192, 0, 2, 9])]);
        assert!(in_hosts(hosts, "old").is_empty());
    }
}
