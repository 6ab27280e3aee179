//! Connections of ours, and where trunks are while DNS is there, silent, and after a restart.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::run::Running;
use super::super::tls::Shown;
use super::names::Zone;
use super::*;
use crate::sip::transaction::{Hop, Transmit};

pub(super) struct Driven {
    pub(super) running: Running,
    pub(super) clock: Box<dyn Fn() -> Now>,
    pub(super) ends: (mpsc::Receiver<TrunkEvent>, mpsc::Sender<TrunkCommand>, watch::Sender<bool>),
}

/// An edge whose turns a test takes.
pub(super) fn driven(config: TrunkConfig) -> Driven {
    let bound = bind(config).unwrap();
    let (command, commands) = mpsc::channel(64);
    let (event, events) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let ends = Ends { commands, events: event, stop: stopped, media: Arc::new(Silence) };
    let clock = Box::new(clock());
    let running = Running::new(bound, ends, clock());
    Driven { running, clock, ends: (events, command, stop) }
}

impl Driven {
    pub(super) fn counters(&self) -> Counters {
        self.running.edge.counters
    }

    fn send(&mut self, to: SocketAddr, transport: Transport, text: &str) {
        let to = Hop { addr: to, transport };
        self.running.edge.transmit(Transmit { to, bytes: text.as_bytes().to_vec() });
    }

    /// Takes turns beside something else.
    pub(super) async fn while_running<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(timeout(PATIENCE, other));
        loop {
            tokio::select! {
                done = &mut other => return done.unwrap(),
                turned = self.running.turn(&self.clock) => assert_eq!(turned, Ok(true)),
            }
        }
    }

    /// Takes turns until the counters say so.
    pub(super) async fn until(&mut self, there: impl Fn(&Counters) -> bool) {
        let turns = async {
            while !there(&self.running.edge.counters) {
                assert_eq!(self.running.turn(&self.clock).await, Ok(true));
            }
        };
        timeout(PATIENCE, turns).await.unwrap();
    }

    pub(super) fn hops(&self) -> Vec<SocketAddr> {
        self.running.edge.lines.addresses().collect()
    }
}

pub(super) fn trunk(
    host: &str,
    port: Option<u16>,
    transport: Transport,
    ca: Option<std::path::PathBuf>,
) -> TrunkLine {
    let reach = Reach { host: host.to_owned(), port, transport: Some(transport), ca };
    TrunkLine { setup: trunk_setup("sip"), reach }
}

#[tokio::test]
async fn a_connection_of_ours_is_used_again_and_both_ways() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = peer.local_addr().unwrap();
    let mut edge = driven(config());
    edge.send(at, Transport::Tcp, "OPTIONS first\r\n");
    edge.send(at, Transport::Tcp, "OPTIONS second\r\n");
    let (mut stream, _) = edge.while_running(peer.accept()).await.unwrap();
    assert!(edge.while_running(read_until(&mut stream, "\r\n", 2)).await.contains("second"));
    stream.write_all(faulty(1, Transport::Tcp).as_bytes()).await.unwrap();
    let answer = edge.while_running(read_until(&mut stream, "\r\n\r\n", 1)).await;
    assert!(answer.starts_with("SIP/2.0 400"), "{answer}");
    edge.send(at, Transport::Tcp, "OPTIONS third\r\n");
    assert!(edge.while_running(read_until(&mut stream, "\r\n", 1)).await.contains("third"));
    assert_eq!((edge.counters().connected, edge.counters().connect_failed), (1, 0));
    // When the peer closes it, the next message makes a new one.
    drop(stream);
    while !edge.running.edge.streams.is_empty() {
        assert_eq!(edge.running.turn(&edge.clock).await, Ok(true));
    }
    edge.send(at, Transport::Tcp, "OPTIONS fourth\r\n");
    let (mut stream, _) = edge.while_running(peer.accept()).await.unwrap();
    assert!(edge.while_running(read_until(&mut stream, "\r\n", 1)).await.contains("fourth"));
    edge.until(|c| c.connected == 2).await;
}

#[tokio::test]
async fn nobody_there_is_counted_and_told() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut edge = driven(config());
    edge.send(gone, Transport::Tcp, "OPTIONS nobody\r\n");
    edge.until(|c| c.connect_failed == 1).await;
    edge.send("127.0.0.1:9".parse().unwrap(), Transport::Udp, "without a UDP listener");
    assert_eq!(edge.counters().send_failed, 1);
}

/// A TCP peer; the edge knows it as `sip.provider.example`.
async fn tls_trunk(ca: std::path::PathBuf) -> (TcpListener, Driven) {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = peer.local_addr().unwrap();
    let zone = Zone::default();
    zone.a("sip.provider.example", [127, 0, 0, 1]);
    let dns = DnsSettings { servers: Some(vec![zone.serve().await]), kept: None };
    let trunks = vec![trunk("sip.provider.example", Some(at.port()), Transport::Tls, Some(ca))];
    let mut edge = driven(TrunkConfig { trunks, dns, ..config() });
    while edge.hops().is_empty() {
        assert_eq!(edge.running.turn(&edge.clock).await, Ok(true));
    }
    assert_eq!(edge.hops(), [at]);
    (peer, edge)
}

#[tokio::test]
async fn a_trunk_over_tls_must_be_who_the_technician_wrote() {
    let pki = Pki::for_name("sip.provider.example");
    let (peer, mut edge) = tls_trunk(pki.ca()).await;
    let at = peer.local_addr().unwrap();
    edge.send(at, Transport::Tls, "REGISTER secret\r\n");
    let tls = Shown::open(Some(pki.files.clone())).unwrap().acceptor();
    let shaken = async { tls.accept(peer.accept().await.unwrap().0).await.unwrap() };
    let mut stream = edge.while_running(shaken).await;
    assert!(edge.while_running(read_until(&mut stream, "\r\n", 1)).await.contains("secret"));

    // Another's certificate of the same authority, and the right name of another authority.
    let other = Pki::for_name("sip.other.example");
    let forged = Pki::for_name("sip.provider.example");
    for (shown, believed) in [(&other, other.ca()), (&forged, pki.ca())] {
        let (peer, mut edge) = tls_trunk(believed).await;
        edge.send(peer.local_addr().unwrap(), Transport::Tls, "REGISTER secret\r\n");
        let tls = Shown::open(Some(shown.files.clone())).unwrap().acceptor();
        let shaken = async { tls.accept(peer.accept().await.unwrap().0).await };
        let failed = edge.while_running(shaken).await;
        assert!(failed.is_err());
        edge.until(|c| c.connect_failed == 1).await;
        // No second try without the check.
        assert!(edge.while_running(timeout(Duration::from_millis(200), peer.accept())).await.is_err());
    }
}

#[tokio::test]
async fn an_address_that_no_trunk_has_is_not_spoken_to_over_tls() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut edge = driven(config());
    edge.send(peer.local_addr().unwrap(), Transport::Tls, "OPTIONS\r\n");
    assert_eq!(edge.counters().send_failed, 1);
    assert!(edge.while_running(timeout(Duration::from_millis(200), peer.accept())).await.is_err());
}

#[tokio::test]
async fn what_dns_said_last_is_good_while_it_is_silent_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("trunks.json");
    let zone = Zone::default();
    zone.srv("_sip._udp.sip.example", 1, 5070, "a.sip.example");
    zone.a("a.sip.example", [127, 0, 0, 5]);
    let server = zone.serve().await;
    let config = || TrunkConfig {
        listeners: vec![listener(Transport::Udp)],
        trunks: vec![trunk("sip.example", None, Transport::Udp, None)],
        dns: DnsSettings { servers: Some(vec![server]), kept: Some(kept.clone()) },
        ..config()
    };
    let there: Vec<SocketAddr> = vec!["127.0.0.5:5070".parse().unwrap()];
    let mut edge = driven(config());
    while edge.hops().is_empty() {
        assert_eq!(edge.running.turn(&edge.clock).await, Ok(true));
    }
    assert_eq!(edge.hops(), there);
    zone.fail(2);
    let line = LineId::from("sip");
    edge.running.edge.lines.ask(&line, crate::types::Mono(0));
    edge.running.edge.lines.look(crate::types::Mono(u64::MAX));
    edge.until(|c| c.dns_failed == 1).await;
    assert_eq!((edge.hops(), edge.counters().dns_stale), (there.clone(), 1));
    let mut edge = driven(config());
    edge.until(|c| c.dns_stale == 1).await;
    assert_eq!(edge.hops(), there);
    zone.fail(0);
    zone.clear();
    zone.srv("_sip._udp.sip.example", 1, 5080, "b.sip.example");
    zone.a("b.sip.example", [127, 0, 0, 6]);
    edge.running.edge.lines.look(crate::types::Mono(u64::MAX));
    while edge.hops() == there {
        assert_eq!(edge.running.turn(&edge.clock).await, Ok(true));
    }
    assert_eq!(edge.hops(), ["127.0.0.6:5080".parse::<SocketAddr>().unwrap()]);
    drop(edge.ends);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_spoilt_one_is_not() {
    let pki = Pki::for_name("box.shop.example");
    let mut shown = Shown::open(Some(pki.files.clone())).unwrap();
    assert!(shown.changed().is_none());
    let later = |path: &std::path::Path, seconds| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(seconds)).unwrap();
    };
    later(&pki.files.certificate, 10);
    assert!(shown.changed().is_some());
    std::fs::write(&pki.files.key, "spoilt").unwrap();
    later(&pki.files.key, 20);
    assert!(shown.changed().is_none());
}
