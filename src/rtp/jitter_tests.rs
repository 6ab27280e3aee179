//! The jitter buffer on a simulated network.

use super::*;
use crate::rtp::packet::Header;
use proptest::prelude::*;

fn config() -> JitterConfig {
    JitterConfig::default()
}

/// Packet number `n` of 20 ms, whose payload says so.
fn push(buffer: &mut JitterBuffer, n: u32, now: Micros) -> Pushed {
    let mut payload = [0; 160];
    payload[..4].copy_from_slice(&n.to_be_bytes());
    let sequence = u16::try_from((n + 65_500) % 65_536).unwrap();
    let header = Header {
        sequence,
        timestamp: n.wrapping_mul(160).wrapping_sub(3000),
        ssrc: 5,
        marker: n == 0,
        payload_type: 0,
    };
    let mut bytes = [0; 200];
    let len = header.write(&payload, &mut bytes).unwrap();
    buffer.push(&Packet::parse(&bytes[..len]).unwrap(), now)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Packet(u32),
    Lost(u32),
    Gap(u32),
    Wait,
    Idle,
}

/// 20 ms of hearing.
fn pull(buffer: &mut JitterBuffer, now: Micros) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut due = 160u32;
    while due > 0 {
        let next = match buffer.next(now) {
            Next::Packet { payload, .. } => {
                Heard::Packet(payload.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b)))
            }
            Next::Lost(ticks) => Heard::Lost(ticks),
            Next::Gap(ticks) => Heard::Gap(ticks),
            Next::Wait => Heard::Wait,
            Next::Idle => Heard::Idle,
        };
        heard.push(next);
        match next {
            Heard::Packet(_) => buffer.played(160),
            Heard::Wait => buffer.waited(160),
            Heard::Lost(_) | Heard::Gap(_) | Heard::Idle => {}
        }
        due = match next {
            Heard::Lost(ticks) | Heard::Gap(ticks) => due.saturating_sub(ticks),
            Heard::Packet(_) | Heard::Wait | Heard::Idle => 0,
        };
    }
    heard
}

fn at(millis: u64) -> Micros {
    Micros(5_000_000 + millis * 1000)
}

/// Plays what arrives as (milliseconds, number) at a tick every 20 ms.
fn play(arrivals: &[(u64, u32)], until: u64) -> (Vec<Heard>, JitterBuffer) {
    let mut buffer = JitterBuffer::new(config());
    let mut heard = Vec::new();
    let mut rest = arrivals;
    for tick in (0..until).step_by(20) {
        while let [(when, n), later @ ..] = rest
            && *when <= tick
        {
            push(&mut buffer, *n, at(*when));
            rest = later;
        }
        heard.extend(pull(&mut buffer, at(tick)));
    }
    (heard, buffer)
}

fn packets(heard: &[Heard]) -> Vec<u32> {
    heard.iter().filter_map(|h| if let Heard::Packet(n) = h { Some(*n) } else { None }).collect()
}

#[test]
fn an_even_stream_comes_out_even_and_soon() {
    let arrivals: Vec<_> = (0..100).map(|n| (u64::from(n) * 20 + 3, n)).collect();
    let (heard, buffer) = play(&arrivals, 2000);
    assert_eq!(heard[..4], [Heard::Idle, Heard::Idle, Heard::Packet(0), Heard::Packet(1)]);
    assert_eq!(packets(&heard), (0..98).collect::<Vec<_>>());
    assert_eq!((buffer.counts().lost, buffer.counts().late, buffer.target()), (0, 0, 20_000));
}

#[test]
fn reordered_and_repeated_packets_come_out_once_and_in_order() {
    let arrivals = [(0, 0), (0, 1), (21, 3), (22, 2), (23, 2), (60, 5), (61, 4), (100, 6)];
    let (heard, buffer) = play(&arrivals, 200);
    assert_eq!(packets(&heard), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(buffer.counts().duplicate, 1);
}

#[test]
fn a_lost_packet_is_a_gap_of_its_length_and_late_ones_are_dropped() {
    let mut arrivals: Vec<_> = (0..10).filter(|n| *n != 4).map(|n| (u64::from(n) * 20, n)).collect();
    arrivals.push((190, 4));
    let (heard, buffer) = play(&arrivals, 240);
    assert!(heard.contains(&Heard::Lost(160)) || heard.contains(&Heard::Wait), "{heard:?}");
    assert_eq!(packets(&heard), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!((buffer.counts().lost, buffer.counts().late), (1, 1));
}

#[test]
fn the_delay_grows_with_the_network_and_shrinks_again() {
    let jittery = |n: u32| u64::from(n) * 20 + u64::from(n.wrapping_mul(2_654_435_761) >> 26);
    let mut arrivals: Vec<_> = (0..500).map(|n| (jittery(n), n)).collect();
    arrivals.sort_unstable();
    let (heard, buffer) = play(&arrivals, 10_000);
    assert!((50_000..=75_000).contains(&buffer.target()), "{}", buffer.target());
    let lost = 500 - packets(&heard).len();
    assert!(lost < 15, "{lost} packets did not come in time");
    let mut buffer = buffer;
    for n in 500..3000 {
        push(&mut buffer, n, at(u64::from(n) * 20));
        pull(&mut buffer, at(u64::from(n) * 20));
    }
    assert_eq!(buffer.target(), 20_000);
    assert!(buffer.excess() > 0, "what was needed before is too much now");
}

#[test]
fn after_a_pause_the_next_talk_spurt_begins_with_its_delay() {
    let mut arrivals: Vec<_> = (0..10).map(|n| (u64::from(n) * 20, n)).collect();
    arrivals.extend((100..110).map(|n| (u64::from(n) * 20, n)));
    let (heard, buffer) = play(&arrivals, 2400);
    assert_eq!(packets(&heard).len(), 20);
    assert_eq!(buffer.counts().lost, 0);
    let waits = heard.iter().filter(|h| **h == Heard::Wait).count();
    assert!(waits <= 22, "each silence is silence after 200 ms: {waits}");
}

#[test]
fn a_key_in_the_stream_is_no_loss() {
    let mut buffer = JitterBuffer::new(config());
    for n in 0..20 {
        if (5..10).contains(&n) {
            let sequence = u16::try_from((n + 65_500) % 65_536).unwrap();
            let header = Header { sequence, ssrc: 5, payload_type: 101, ..Header::default() };
            let mut bytes = [0; 20];
            header.write(&[1, 0, 0, 0], &mut bytes).unwrap();
            buffer.skip(&Packet::parse(&bytes[..16]).unwrap(), at(u64::from(n) * 20));
        } else {
            push(&mut buffer, n, at(u64::from(n) * 20));
        }
        pull(&mut buffer, at(u64::from(n) * 20));
    }
    assert_eq!((buffer.counts().lost, buffer.counts().late), (0, 0));
    assert!(buffer.counts().played >= 13);
}

#[test]
fn a_stray_changes_nothing_and_a_new_stream_is_followed() {
    let mut buffer = JitterBuffer::new(config());
    for n in 0..5 {
        push(&mut buffer, n, at(u64::from(n) * 20));
        pull(&mut buffer, at(u64::from(n) * 20));
    }
    assert_eq!(push(&mut buffer, 40_000, at(100)), Pushed::Stray);
    assert_eq!(push(&mut buffer, 5, at(100)), Pushed::Stored);
    let before = buffer.held();
    assert!(before > 0);
    assert_eq!(push(&mut buffer, 50_000, at(110)), Pushed::Stray);
    assert_eq!(push(&mut buffer, 50_001, at(130)), Pushed::Stored);
    assert_eq!(buffer.held(), 1);
}

#[test]
fn clocks_that_drift_apart_are_followed() {
    for (sender, name) in [(20_010u64, "slow"), (19_990, "fast")] {
        let mut buffer = JitterBuffer::new(config());
        let mut cut = 0u32;
        let mut most = 0;
        let mut next = 0u32;
        for tick in 0..30_000u64 {
            let now = Micros(tick * 20_000);
            while u64::from(next) * sender <= now.0 {
                push(&mut buffer, next, now);
                next += 1;
            }
            pull(&mut buffer, now);
            if buffer.excess() > 0 {
                cut += 1;
                if let Next::Packet { .. } = buffer.next(now) {
                    buffer.played(160);
                }
            }
            most = most.max(buffer.held());
        }
        let counts = buffer.counts();
        assert!(most <= 6, "{name}: {most} packets waited");
        assert!(cut < 30 && counts.lost + counts.late < 30, "{name}: {cut} cut, {counts:?}");
    }
}

proptest! {
    #[test]
    fn whatever_the_network_does_packets_come_in_order_and_stay_bounded(
        fates in prop::collection::vec((0u8..100, 0u64..400, any::<bool>()), 1..300), loss in 0u8..60, spread in 1u64..400,
    ) {
        let mut arrivals = Vec::new();
        for (n, (fate, delay, twice)) in (0u32..).zip(fates) {
            if fate >= loss {
                arrivals.push((u64::from(n) * 20 + delay % spread, n));
                if twice { arrivals.push((u64::from(n) * 20 + delay, n)); }
            }
        }
        arrivals.sort_unstable();
        let until = arrivals.last().map_or(0, |a| a.0) + 600;
        let (heard, buffer) = play(&arrivals, until);
        let packets = packets(&heard);
        prop_assert!(packets.windows(2).all(|p| p[0] < p[1]), "{packets:?}");
        prop_assert!(buffer.held() <= PLACES);
        prop_assert_eq!(u64::try_from(packets.len()).unwrap(), buffer.counts().played);
        prop_assert_eq!(buffer.held(), 0, "all that waits is played in the end");
    }

    #[test]
    fn any_headers_leave_it_bounded(packets in prop::collection::vec((any::<u16>(), any::<u32>(), 0u32..3, 0u64..100, any::<bool>()), 1..300)) {
        let mut buffer = JitterBuffer::new(config());
        let mut now = Micros(0);
        for (sequence, timestamp, ssrc, wait, silent) in packets {
            now = now.plus(wait * 1000);
            let header = Header { sequence, timestamp, ssrc, ..Header::default() };
            let bytes = header.to_bytes();
            let packet = Packet::parse(&bytes).unwrap();
            if silent { buffer.skip(&packet, now); } else { buffer.push(&packet, now); }
            prop_assert!(buffer.held() <= PLACES);
            pull(&mut buffer, now);
        }
    }
}
