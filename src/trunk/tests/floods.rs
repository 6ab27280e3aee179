//! Floods, bans and what is left for everybody else.

use tokio::io::AsyncWriteExt;

use super::*;

/// Every address is a stranger's but 127.0.0.1.
fn strict() -> GateSettings {
    GateSettings { lan: Vec::new(), ..GateSettings::default() }
}

#[tokio::test]
async fn a_flood_of_one_source_is_limited_and_another_is_answered() {
    let limits = Limits { gate: strict(), ..Limits::default() };
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Udp)], limits, ..config() });
    let flooder = client("127.0.0.9", rig.at[0]).await;
    for n in 0..20_000 {
        flooder.send(faulty(n, Transport::Udp).as_bytes()).await.unwrap();
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let phone = client("127.0.0.1", rig.at[0]).await;
    phone.send(faulty(1, Transport::Udp).as_bytes()).await.unwrap();
    assert!(heard(&phone, PATIENCE).await.is_some());
    let counters = rig.stop().await;
    assert!(counters.limited > 10_000, "{counters:?}");
    assert!(counters.refused < 300, "{counters:?}");
}

#[tokio::test]
async fn a_source_that_guesses_is_banned_for_a_while() {
    let gate = GateSettings { ban: Duration::from_millis(500), ..strict() };
    let limits = Limits { gate, ..Limits::default() };
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Udp)], limits, ..config() });
    let scanner = client("127.0.0.9", rig.at[0]).await;
    for _ in 0..60 {
        scanner.send(b"\x80nonsense\r\n\r\n").await.unwrap();
    }
    scanner.send(faulty(0, Transport::Udp).as_bytes()).await.unwrap();
    assert_eq!(heard(&scanner, Duration::from_millis(200)).await, None);
    let neighbour = client("127.0.0.8", rig.at[0]).await;
    neighbour.send(faulty(0, Transport::Udp).as_bytes()).await.unwrap();
    assert!(heard(&neighbour, PATIENCE).await.is_some());
    let freed = async {
        loop {
            scanner.send(faulty(1, Transport::Udp).as_bytes()).await.unwrap();
            if heard(&scanner, Duration::from_millis(100)).await.is_some() {
                return;
            }
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
    let counters = rig.stop().await;
    assert_eq!(counters.bans, 1);
    assert!(counters.banned >= 20, "{counters:?}");
}

#[tokio::test]
async fn a_stranger_has_few_connections_and_a_ban_closes_them() {
    let limits = Limits { gate: strict(), per_source: 4, ..Limits::default() };
    let rig = start(TrunkConfig { listeners: vec![listener(Transport::Tcp)], limits, ..config() });
    let dial = || async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        socket.connect(rig.at[0]).await.unwrap()
    };
    let mut first = dial().await;
    first.write_all(faulty(1, Transport::Tcp).as_bytes()).await.unwrap();
    read_until(&mut first, "\r\n\r\n", 1).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(dial().await);
    }
    until_closed(&mut dial().await).await;
    drop(others);
    // Each of these is a message that cannot be read, on a connection of its own.
    for _ in 0..60 {
        let mut bad = dial().await;
        // It may be closed before all of it is written.
        drop(bad.write_all(b"\x80nonsense\r\n\r\n").await);
        until_closed(&mut bad).await;
    }
    until_closed(&mut first).await;
    let counters = rig.stop().await;
    assert_eq!(counters.bans, 1, "{counters:?}");
    assert!(counters.accept_refused >= 10, "{counters:?}");
}

#[test]
#[ignore = "measures; run with --release --ignored --nocapture"]
fn what_a_scanner_costs() {
    use rustix::time::{ClockId, clock_gettime};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Strangers: limited at first, then banned; and one that is let in and challenged.
    for (name, from, payload) in [
        ("limited", "127.0.0.9", faulty(1, Transport::Udp)),
        ("banned", "127.0.0.9", "\u{1}nonsense\r\n\r\n".to_owned()),
        ("let in", "127.0.0.1", faulty(1, Transport::Udp)),
    ] {
        let gate = GateSettings { lan: Vec::new(), ..GateSettings::default() };
        let limits = Limits { gate, ..Limits::default() };
        let (cost, counters) = runtime.block_on(async {
            let rig = start(TrunkConfig { listeners: vec![listener(Transport::Udp)], limits, ..config() });
            let at = rig.at[0];
            let flood = std::thread::spawn(move || {
                let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
                for _ in 0..300_000 {
                    // A full buffer is part of the flood.
                    drop(socket.send_to(payload.as_bytes(), at));
                }
            });
            let cpu = || {
                let spent = clock_gettime(ClockId::ThreadCPUTime);
                spent.tv_sec * 1_000_000_000 + spent.tv_nsec
            };
            let before = cpu();
            while !flood.is_finished() {
                timeout(Duration::from_millis(10), std::future::pending::<()>()).await.unwrap_err();
            }
            (cpu() - before, rig.stop().await)
        });
        let each = cost / i64::try_from(counters.received.max(1)).unwrap();
        println!("{name}: {each} ns of CPU for each of {} datagrams; {counters:?}", counters.received);
    }
}
