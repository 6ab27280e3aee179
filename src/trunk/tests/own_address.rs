//! Our own address changes under a trunk.

use std::process::Command;

use super::super::local::Locals;
use super::super::local::tests::Machine;
use super::ways_out::{Driven, driven, trunk};
use super::*;
use crate::sip::transaction::Hop;

/// A registrar that says yes; what stood in the Via of the REGISTER.
async fn registered_from(registrar: &UdpSocket) -> String {
    let mut bytes = [0; 65_536];
    loop {
        let (length, from) = registrar.recv_from(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if !text.starts_with("REGISTER") {
            continue;
        }
        let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_owned();
        let (via, contact) = (line("Via: "), line("Contact: "));
        let answer = format!(
            "SIP/2.0 200 OK\r\n{via}\r\n{}\r\n{};tag=r\r\n{}\r\n{}\r\n{contact};expires=3600\r\n\
             Content-Length: 0\r\n\r\n",
            line("From: "),
            line("To: "),
            line("Call-ID: "),
            line("CSeq: ")
        );
        registrar.send_to(answer.as_bytes(), from).await.unwrap();
        return via.trim_start_matches("Via: SIP/2.0/UDP ").split(';').next().unwrap().to_owned();
    }
}

#[tokio::test]
async fn a_trunk_hears_of_a_new_address_within_five_seconds() {
    let registrar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = registrar.local_addr().unwrap().port();
    let mut line = trunk("127.0.0.1", Some(port), Transport::Udp, None);
    line.setup.register = true;
    let wildcard = Listener { addr: "0.0.0.0:0".parse().unwrap(), transport: Transport::Udp };
    let mut edge = driven(TrunkConfig { trunks: vec![line], listeners: vec![wildcard], ..config() });
    let machine = Machine::default();
    machine.set(127, Some("192.0.2.1"));
    let any = Listener { addr: "0.0.0.0:5060".parse().unwrap(), transport: Transport::Udp };
    edge.running.edge.locals = Locals::new(vec![any], Box::new(machine.clone()));
    assert_eq!(edge.while_running(registered_from(&registrar)).await, "192.0.2.1:5060");
    machine.set(127, Some("198.51.100.7"));
    let changed = Instant::now();
    assert_eq!(edge.while_running(registered_from(&registrar)).await, "198.51.100.7:5060");
    assert!(changed.elapsed() < Duration::from_secs(5), "{:?}", changed.elapsed());
}

#[tokio::test]
async fn a_change_of_our_address_gives_the_trunk_new_routes() {
    let (machine, trunks) = (Machine::default(), vec![trunk("203.0.113.9", None, Transport::Udp, None)]);
    let wildcard = Listener { addr: "0.0.0.0:0".parse().unwrap(), transport: Transport::Udp };
    let mut edge = driven(TrunkConfig { trunks, listeners: vec![wildcard], ..config() });
    while edge.hops().is_empty() {
        assert_eq!(edge.running.turn(&edge.clock).await, Ok(true));
    }
    let any = Listener { addr: "0.0.0.0:5060".parse().unwrap(), transport: Transport::Udp };
    let mut locals = Locals::new(vec![any], Box::new(machine.clone()));
    let lines = &mut edge.running.edge.lines;
    let mut told = |noted: bool| {
        locals.check(&[[203, 0, 113, 9].into()], noted);
        let news = lines.news(&mut locals).into_iter().flat_map(|(_, routes)| routes);
        news.map(|route| route.local.to_string()).collect::<Vec<_>>()
    };
    machine.set(203, Some("192.0.2.1"));
    assert_eq!(told(false), ["192.0.2.1:5060"]);
    assert_eq!(told(true), [""; 0]);
    // A cable that is out is no change; another address is, and then the old one again.
    machine.set(203, None);
    assert_eq!(told(true), [""; 0]);
    machine.set(203, Some("198.51.100.7"));
    assert_eq!(told(false), ["198.51.100.7:5060"]);
    machine.set(203, Some("192.0.2.1"));
    assert_eq!(told(true), ["192.0.2.1:5060"]);
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(done.success(), "ip {arguments}");
}

#[tokio::test]
#[ignore = "changes addresses: run by `scripts/prove address`, as root in a network namespace of its own"]
async fn the_kernels_own_change_of_address_is_noticed_within_five_seconds() {
    ip("link add here type veth peer name there");
    ip("link set here up");
    ip("link set there up");
    ip("addr add 192.0.2.1/24 dev here");
    let wildcard = Listener { addr: "0.0.0.0:0".parse().unwrap(), transport: Transport::Udp };
    let trunks = vec![trunk("192.0.2.100", None, Transport::Udp, None)];
    let mut edge = driven(TrunkConfig { trunks, listeners: vec![wildcard], ..config() });
    let phone = Hop { addr: "192.0.2.50:5060".parse().unwrap(), transport: Transport::Udp };
    let local = |edge: &mut Driven| edge.running.edge.locals.towards(phone).map(|a| a.ip());
    assert_eq!(local(&mut edge), Some([192, 0, 2, 1].into()));
    for last in [7, 8] {
        ip("addr flush dev here");
        ip(&format!("addr add 192.0.2.{last}/24 dev here"));
        let changed = Instant::now();
        let before = edge.counters().address_changes;
        edge.until(|c| c.address_changes > before).await;
        println!("noticed after {:?}", changed.elapsed());
        assert!(changed.elapsed() < Duration::from_secs(5));
        assert_eq!(local(&mut edge), Some([192, 0, 2, last].into()));
    }
}
