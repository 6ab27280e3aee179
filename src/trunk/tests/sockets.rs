//! Messages over UDP, TCP and TLS: in pieces, in heaps, and what is not SIP.

use tokio::io::AsyncWriteExt;

use super::super::tls::Connectors;
use super::*;
use crate::trunk::BindError;

#[tokio::test]
async fn answers_leave_from_the_socket_that_the_request_came_to() {
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Udp); 3], ..config() });
    for at in rig.at.clone() {
        // Connected: an answer from another port would not be heard.
        let phone = client("127.0.0.1", at).await;
        phone.send(faulty(1, Transport::Udp).as_bytes()).await.unwrap();
        let answer = heard(&phone, PATIENCE).await.unwrap();
        let port = phone.local_addr().unwrap().port();
        assert!(answer.starts_with("SIP/2.0 400 Bad Request: missing To"), "{answer}");
        assert!(answer.contains(&format!("rport={port}")), "{answer}");
    }
    let counters = rig.stop().await;
    assert_eq!((counters.received, counters.refused, counters.sent), (3, 3, 3));
}

#[tokio::test]
async fn a_stream_is_read_in_any_pieces_and_answered_in_order() {
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Tcp)], ..config() });
    let mut phone = tcp(rig.at[0]).await;
    phone.set_nodelay(true).unwrap();
    for byte in faulty(1, Transport::Tcp).bytes() {
        phone.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let heap: String = (2..=40).map(|n| faulty(n, Transport::Tcp)).collect();
    phone.write_all(heap.as_bytes()).await.unwrap();
    let answers = read_until(&mut phone, "Content-Length: 0\r\n\r\n", 40).await;
    let ids = answers.lines().filter_map(|l| l.strip_prefix("Call-ID: ")?.strip_suffix("@test"));
    assert!(ids.eq((1..=40).map(|n| n.to_string())), "{answers}");
    phone.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_until(&mut phone, "\r\n", 1).await, "\r\n");
    assert_eq!(rig.stop().await.pings, 1);
}

#[tokio::test]
async fn tls_carries_messages_for_who_checks_the_certificate() {
    let pki = Pki::for_name("box.shop.example");
    let listeners = vec![listener(Transport::Tls)];
    let rig = start(TrunkConfig { listeners, tls: Some(pki.files.clone()), ..config() });
    let reach = Reach { host: "box.shop.example".into(), port: None, transport: None, ca: Some(pki.ca()) };
    let expected = Connectors::default().expect(&reach).unwrap();
    let mut phone = expected.connector.connect(expected.name, tcp(rig.at[0]).await).await.unwrap();
    phone.write_all((faulty(1, Transport::Tls) + &faulty(2, Transport::Tls)).as_bytes()).await.unwrap();
    let answers = read_until(&mut phone, "Content-Length: 0\r\n\r\n", 2).await;
    assert_eq!(answers.matches("SIP/2.0 400").count(), 2, "{answers}");
    // Who speaks plainly there is shown out.
    let mut plain = tcp(rig.at[0]).await;
    plain.write_all(faulty(3, Transport::Tcp).as_bytes()).await.unwrap();
    until_closed(&mut plain).await;
    assert_eq!(rig.stop().await.refused, 2);
}

#[tokio::test]
async fn what_is_not_sip_ends_its_connection_and_no_other() {
    let limits = Limits { message: Duration::from_millis(300), garbage: 10_000, ..Limits::default() };
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Tcp)], limits, ..config() });
    let mut good = tcp(rig.at[0]).await;
    good.write_all(faulty(1, Transport::Tcp).as_bytes()).await.unwrap();
    read_until(&mut good, "\r\n\r\n", 1).await;
    let half = faulty(2, Transport::Tcp).split_at(100).0.to_owned();
    let endless = "\n".repeat(20_000);
    for bytes in
        ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}\u{1}", half.as_str(), endless.as_str(), ""]
    {
        let mut bad = tcp(rig.at[0]).await;
        bad.write_all(bytes.as_bytes()).await.unwrap();
        until_closed(&mut bad).await;
    }
    good.write_all(faulty(3, Transport::Tcp).as_bytes()).await.unwrap();
    assert!(read_until(&mut good, "\r\n\r\n", 1).await.starts_with("SIP/2.0 400"));
    rig.stop().await;
}

#[tokio::test]
async fn a_message_whose_end_is_unknown_is_answered_before_its_stream_is_closed() {
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Tcp)], ..config() });
    let mut phone = tcp(rig.at[0]).await;
    let message = faulty(1, Transport::Tcp).replace("Content-Length: 0", "Content-Length: 999999999");
    phone.write_all(message.as_bytes()).await.unwrap();
    let answer = read_until(&mut phone, "\u{0}", 1).await;
    assert!(answer.starts_with("SIP/2.0 513"), "{answer}");
    rig.stop().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_and_others_are_answered() {
    let limits = Limits { queue: 16, write: Duration::from_millis(500), ..Limits::default() };
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Tcp)], limits, ..config() });
    let mut deaf = tcp(rig.at[0]).await;
    let heap: String = (0..64).map(|n| faulty(n, Transport::Tcp)).collect();
    let flood = async {
        let mut sent = 0usize;
        while deaf.write_all(heap.as_bytes()).await.is_ok() {
            sent += heap.len();
        }
        sent
    };
    let sent = timeout(PATIENCE, flood).await.unwrap();
    assert!(sent > 0);
    let mut other = tcp(rig.at[0]).await;
    other.write_all(faulty(1, Transport::Tcp).as_bytes()).await.unwrap();
    assert!(read_until(&mut other, "\r\n\r\n", 1).await.starts_with("SIP/2.0 400"));
    assert_eq!(rig.stop().await.slow_peers, 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_what_to_do() {
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Udp)], ..config() });
    let taken = Listener { addr: rig.at[0], transport: Transport::Udp };
    let why = bind(TrunkConfig { listeners: vec![taken], ..config() }).unwrap_err();
    assert!(matches!(why, BindError::InUse { .. }), "{why}");
    let elsewhere = Listener { addr: "192.0.2.1:5060".parse().unwrap(), transport: Transport::Tcp };
    let why = bind(TrunkConfig { listeners: vec![elsewhere], ..config() }).unwrap_err();
    assert!(why.to_string().contains("does not have the address"), "{why}");
    let why = bind(TrunkConfig { listeners: vec![listener(Transport::Tls)], ..config() }).unwrap_err();
    assert!(why.to_string().contains("needs a certificate"), "{why}");
    rig.stop().await;
}

#[tokio::test]
async fn both_families_can_listen_on_one_port() {
    let four = Listener { addr: "0.0.0.0:0".parse().unwrap(), transport: Transport::Udp };
    let rig = start(TrunkConfig { listeners: vec![four], ..config() });
    let six = SocketAddr::new("::".parse().unwrap(), rig.at[0].port());
    let six = Listener { addr: six, transport: Transport::Udp };
    assert!(bind(TrunkConfig { listeners: vec![six], ..config() }).is_ok());
    rig.stop().await;
}

#[tokio::test]
async fn a_loop_that_is_gone_ends_the_edge() {
    let rig = start(config());
    drop(rig.commands);
    assert_eq!(timeout(PATIENCE, rig.running).await.unwrap().unwrap(), Err(TrunkError::LoopGone));
}
