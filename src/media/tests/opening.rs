//! Ports and descriptors: given, given back, never leaked.

use super::*;
use crate::types::MediaRefused;

/// UDP sockets of the loopback whose port lies in the range.
fn sockets_in(ports: std::ops::RangeInclusive<u16>) -> usize {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let port = |line: &str| {
        let local = line.split_whitespace().nth(1)?;
        u16::from_str_radix(local.split_once(':')?.1, 16).ok()
    };
    table.lines().skip(1).filter_map(port).filter(|p| ports.contains(p)).count()
}

fn config(first: u16, pairs: u16, drain: Duration) -> MediaConfig {
    MediaConfig { ports: first..=first + 2 * pairs - 1, drain, ..MediaConfig::default() }
}

#[test]
fn a_leg_is_given_an_even_port_on_its_address_and_keeps_it() {
    let rig = Rig::new(24_100);
    let leg = LegId::from("a");
    let first = rig.media.open(&leg, LOCAL, false).unwrap();
    assert_eq!((first.rtp.ip(), first.rtp.port() % 2), (LOCAL, 0));
    assert!((24_100..24_200).contains(&first.rtp.port()) && first.crypto.is_empty());
    assert_eq!(rig.media.open(&leg, LOCAL, false).unwrap(), first);
    let keyed = rig.media.open(&leg, LOCAL, true).unwrap();
    assert_eq!((keyed.rtp, keyed.crypto.len()), (first.rtp, 2));
    assert_eq!(rig.media.open(&leg, LOCAL, true).unwrap(), keyed);
}

#[test]
fn the_wildcard_and_addresses_of_others_are_refused() {
    let rig = Rig::new(24_200);
    let leg = LegId::from("a");
    for address in ["0.0.0.0", "::", "192.0.2.1"] {
        let refused = rig.media.open(&leg, address.parse().unwrap(), false).unwrap_err();
        assert_eq!(refused, MediaRefused::Address, "{address}");
    }
    assert_eq!(rig.media.counters().unused, 50);
}

#[test]
fn when_all_ports_are_taken_a_leg_is_refused_until_one_has_drained() {
    let rig = Rig::with(config(24_300, 2, Duration::from_millis(1000)));
    let legs = ["a", "b", "c"].map(LegId::from);
    let first = rig.media.open(&legs[0], LOCAL, false).unwrap();
    rig.media.open(&legs[1], LOCAL, false).unwrap();
    assert_eq!(rig.media.open(&legs[2], LOCAL, false), Err(MediaRefused::NoPort));
    let closed = Instant::now();
    rig.media.close(&legs[0]);
    assert_eq!(rig.media.open(&legs[2], LOCAL, false), Err(MediaRefused::NoPort), "it drains");
    let mut again = None;
    until("it has drained", || {
        again = rig.media.open(&legs[2], LOCAL, false).ok();
        again.is_some()
    });
    assert!(closed.elapsed() >= Duration::from_millis(1000));
    assert_eq!(again.unwrap().rtp, first.rtp);
}

#[test]
fn ports_of_others_are_passed_over() {
    let rig = Rig::with(config(24_400, 3, Duration::ZERO));
    let _rtp = UdpSocket::bind((LOCAL, 24_400)).unwrap();
    let _rtcp = UdpSocket::bind((LOCAL, 24_403)).unwrap();
    let opened = rig.media.open(&LegId::from("a"), LOCAL, false).unwrap();
    assert_eq!(opened.rtp.port(), 24_404);
    assert_eq!(rig.media.open(&LegId::from("b"), LOCAL, false), Err(MediaRefused::NoPort));
}

#[test]
fn no_more_legs_are_opened_than_the_box_carries() {
    let rig = Rig::with(MediaConfig { legs: 1, ..config(24_500, 5, Duration::ZERO) });
    rig.media.open(&LegId::from("a"), LOCAL, false).unwrap();
    assert_eq!(rig.media.open(&LegId::from("b"), LOCAL, false), Err(MediaRefused::Full));
}

#[test]
fn a_range_without_ports_is_refused_at_the_start() {
    let (sender, _reports) = mpsc::channel(1);
    let started = Media::start(MediaConfig { ports: 9..=9, ..MediaConfig::default() }, sender);
    assert!(started.unwrap_err().to_string().contains("[media] ports"));
}

#[test]
fn on_another_address_a_leg_has_new_ports_and_its_sound_goes_on() {
    let mut rig = Rig::new(24_600);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    a.say(1);
    b.hear();
    b.say(1);
    let before = a.hear();
    let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5));
    let moved = rig.media.open(&a.leg, elsewhere, false).unwrap();
    assert_eq!(moved.rtp.ip(), elsewhere);
    a.local = moved;
    b.say(2);
    let mut bytes = [0; 2000];
    let (len, from) = a.socket.recv_from(&mut bytes).unwrap();
    let after = Packet::parse(&bytes[..len]).unwrap().header;
    assert_eq!(from, a.local.rtp);
    assert_eq!((after.ssrc, after.sequence), (before.header.ssrc, before.header.sequence.wrapping_add(1)));
    a.say(3);
    assert_eq!(b.hear().payload, [3; 160]);
    until("the old ports are let go", || sockets_in(24_600..=24_699) == 4);
}

#[test]
fn twenty_four_thousand_legs_leave_no_socket_no_port_and_no_memory() {
    let rig = Rig::with(config(24_700, 50, Duration::ZERO));
    let stream = Phone::new("x", LocalMedia { rtp: SocketAddr::new(LOCAL, 1), crypto: Vec::new() }).stream;
    let memory = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4
    };
    let mut before = 0;
    for n in 0..12_000 {
        if n == 2_000 {
            before = memory();
        }
        let legs = [LegId(format!("a{n}")), LegId(format!("b{n}"))];
        for leg in &legs {
            until("a port is free", || rig.media.open(leg, LOCAL, false).is_ok());
            rig.media.set(leg, stream.clone());
        }
        let [a, b] = &legs;
        rig.media.command(MediaCommand::Join(a.clone(), b.clone()));
        for leg in &legs {
            assert!(rig.media.close(leg).is_some());
        }
    }
    let grown = memory().saturating_sub(before);
    // Other tests may share the process; a leg that is kept would be seen: each has 2 kB and more.
    assert!(grown < 20_000, "{grown} kB");
    let counters = rig.media.counters();
    assert_eq!((counters.open, counters.unused), (0, 50));
    until("every socket is closed", || sockets_in(24_700..=24_799) == 0);
    rig.media.stop();
    assert_eq!(rig.media.open(&LegId::from("late"), LOCAL, false), Err(MediaRefused::Full));
}

#[test]
fn a_call_for_help_has_ports_when_others_have_none() {
    let rig = Rig::with(MediaConfig { for_help: 2, ..config(24_900, 4, Duration::from_secs(60)) });
    let legs = ["a", "b", "c", "d", "e"].map(LegId::from);
    for leg in &legs[..2] {
        rig.media.open(leg, LOCAL, false).unwrap();
    }
    assert_eq!(rig.media.open(&legs[2], LOCAL, false), Err(MediaRefused::NoPort));
    // What drains is not what is kept.
    rig.media.close(&legs[0]);
    assert_eq!(rig.media.open(&legs[2], LOCAL, false), Err(MediaRefused::NoPort));
    for leg in &legs[3..] {
        rig.media.open_for_help(leg, LOCAL, false).unwrap();
    }
    assert_eq!(rig.media.open_for_help(&legs[2], LOCAL, false), Err(MediaRefused::NoPort));
}
