//! Trunks by name, against a name server of our own.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::dns::{DnsError, Located, Resolver, locate};
use super::*;

/// Answers by (name, type): records as they stand on the wire, or a code.
#[derive(Clone, Default)]
pub(super) struct Zone(Arc<Mutex<Records>>, Arc<Mutex<u8>>);

type Records = HashMap<(String, u16), Vec<Vec<u8>>>;

const A: u16 = 1;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

fn wire_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|l| !l.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

impl Zone {
    fn add(&self, name: &str, kind: u16, data: Vec<u8>) {
        self.0.lock().unwrap().entry((name.to_owned(), kind)).or_default().push(data);
    }

    pub(super) fn a(&self, name: &str, ip: [u8; 4]) {
        self.add(name, A, ip.to_vec());
    }

    pub(super) fn srv(&self, name: &str, priority: u16, port: u16, target: &str) {
        let head: Vec<u8> = [priority, 10, port].iter().flat_map(|n| n.to_be_bytes()).collect();
        self.add(name, SRV, [head, wire_name(target)].concat());
    }

    fn naptr(&self, name: &str, order: u16, service: &str, to: &str) {
        let mut data: Vec<u8> = [order, 1].iter().flat_map(|n| n.to_be_bytes()).collect();
        for text in ["s", service, ""] {
            data.push(u8::try_from(text.len()).unwrap());
            data.extend(text.bytes());
        }
        data.extend(wire_name(to));
        self.add(name, NAPTR, data);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// From now on every answer has this code.
    pub(super) fn fail(&self, code: u8) {
        *self.1.lock().unwrap() = code;
    }

    fn answer(&self, asked: &[u8], most: usize) -> Vec<u8> {
        let mut name = Vec::new();
        let mut at = 12;
        while asked[at] > 0 {
            let length = usize::from(asked[at]);
            name.push(String::from_utf8(asked[at + 1..at + 1 + length].to_vec()).unwrap());
            at += 1 + length;
        }
        let kind = u16::from_be_bytes([asked[at + 1], asked[at + 2]]);
        let records = self.0.lock().unwrap().get(&(name.join("."), kind)).cloned().unwrap_or_default();
        let mut bytes = asked.to_vec();
        bytes[2] = 0x81;
        bytes[3] = 0x80 | *self.1.lock().unwrap();
        bytes[7] = u8::try_from(records.len()).unwrap();
        for data in records {
            bytes.extend(b"\xc0\x0c");
            bytes.extend(kind.to_be_bytes());
            bytes.extend(b"\0\x01\0\0\0\x3c");
            bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(data);
        }
        if bytes.len() > most {
            bytes.truncate(asked.len());
            bytes[2] |= 2;
            bytes[7] = 0;
        }
        bytes
    }

    /// Serves on a port of this machine, UDP and TCP.
    pub(super) async fn serve(&self) -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(at).await.unwrap();
        let (zone, other) = (self.clone(), self.clone());
        tokio::spawn(async move {
            let mut bytes = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut bytes).await {
                // A forged answer comes first, and must not be believed.
                let mut forged = bytes[..length].to_vec();
                forged[0] ^= 1;
                forged[2] = 0x81;
                udp.send_to(&forged, from).await.unwrap();
                udp.send_to(&zone.answer(&bytes[..length], 512), from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = usize::from(stream.read_u16().await.unwrap());
                let mut asked = vec![0; length];
                stream.read_exact(&mut asked).await.unwrap();
                let answer = other.answer(&asked, 65_535);
                stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        at
    }
}

fn reach(host: &str, port: Option<u16>, transport: Option<Transport>) -> Reach {
    Reach { host: host.to_owned(), port, transport, ca: None }
}

async fn located(servers: &[SocketAddr], reach: &Reach) -> Result<Located, DnsError> {
    let resolver = Resolver::for_test(servers.to_vec(), "/nonexistent".into());
    locate(&resolver, reach, 1).await
}

fn hops(located: &Located) -> Vec<String> {
    located.hops.iter().map(|h| format!("{} {}", h.transport.as_str(), h.addr)).collect()
}

#[tokio::test]
async fn naptr_leads_to_srv_and_that_to_addresses() {
    let zone = Zone::default();
    zone.naptr("sip.example", 20, "SIP+D2U", "_sip._udp.sip.example");
    zone.naptr("sip.example", 10, "SIPS+D2T", "_sips._tcp.sip.example");
    zone.srv("_sips._tcp.sip.example", 1, 5061, "a.sip.example");
    zone.srv("_sip._udp.sip.example", 2, 5070, "b.sip.example");
    zone.srv("_sip._udp.sip.example", 1, 5060, "a.sip.example");
    zone.a("a.sip.example", [192, 0, 2, 1]);
    zone.a("b.sip.example", [192, 0, 2, 2]);
    let server = zone.serve().await;
    let found = located(&[server], &reach("sip.example", None, None)).await.unwrap();
    assert_eq!(hops(&found), ["TLS 192.0.2.1:5061", "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5070"]);
    assert_eq!(found.ttl, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn what_is_written_down_is_not_looked_up() {
    let found = located(&[], &reach("192.0.2.1", None, Some(Transport::Tls))).await.unwrap();
    assert_eq!((hops(&found), found.ttl), (vec!["TLS 192.0.2.1:5061".to_owned()], None));
    let found = located(&[], &reach("2001:db8::1", Some(5070), None)).await.unwrap();
    assert_eq!(hops(&found), ["UDP [2001:db8::1]:5070"]);
}

#[tokio::test]
async fn without_srv_the_host_itself_is_asked() {
    let zone = Zone::default();
    zone.a("sip.example", [192, 0, 2, 1]);
    let server = zone.serve().await;
    let found =
        |port, transport| async move { located(&[server], &reach("sip.example", port, transport)).await };
    assert_eq!(hops(&found(None, None).await.unwrap()), ["UDP 192.0.2.1:5060"]);
    assert_eq!(hops(&found(None, Some(Transport::Tls)).await.unwrap()), ["TLS 192.0.2.1:5061"]);
    assert_eq!(hops(&found(Some(5080), Some(Transport::Tcp)).await.unwrap()), ["TCP 192.0.2.1:5080"]);
    let nothing = located(&[server], &reach("nobody.example", None, None)).await;
    assert_eq!(nothing, Err(DnsError::Nothing("nobody.example".to_owned())));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
    let zone = Zone::default();
    for n in 0..40 {
        zone.a("sip.example", [192, 0, 2, n]);
    }
    let server = zone.serve().await;
    let found = located(&[server], &reach("sip.example", Some(5060), None)).await.unwrap();
    assert_eq!(found.hops.len(), 40);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_is_silent_or_cannot_say() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (broken, good) = (Zone::default(), Zone::default());
    broken.fail(2);
    good.a("sip.example", [192, 0, 2, 1]);
    let servers = [silent.local_addr().unwrap(), broken.serve().await, good.serve().await];
    let found = located(&servers, &reach("sip.example", Some(5060), None)).await.unwrap();
    assert_eq!(hops(&found), ["UDP 192.0.2.1:5060"]);
    let silent = located(&servers[..2], &reach("sip.example", Some(5060), None)).await;
    assert_eq!(silent, Err(DnsError::Silent("sip.example".to_owned())));
}

#[tokio::test]
async fn the_machines_hosts_file_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, "192.0.2.7 pbx.shop pbx\n").unwrap();
    let resolver = Resolver::for_test(Vec::new(), hosts);
    let found = locate(&resolver, &reach("pbx", Some(5060), None), 1).await.unwrap();
    assert_eq!(hops(&found), ["UDP 192.0.2.7:5060"]);
}
