//! Keys over a line that loses, repeats and reorders.

use super::*;
use proptest::prelude::*;

const RATE: u32 = 8000;

fn digit(c: char) -> Event {
    Event::Key(Dtmf::try_from(c).unwrap())
}

/// All packets of one press, 20 ms apart.
fn press(event: Event, timestamp: u32, rate: u32, millis: u32) -> Vec<EventPacket> {
    let mut sender = EventSender::new(event, 10, timestamp, rate, Some(millis));
    std::iter::from_fn(|| sender.next_packet(rate / 50)).collect()
}

struct Ear {
    receiver: EventReceiver,
    now: Micros,
    heard: Vec<EventChange>,
}

impl Ear {
    fn new(rate: u32) -> Self {
        Self { receiver: EventReceiver::new(rate), now: Micros(1), heard: Vec::new() }
    }

    fn hear(&mut self, packet: &EventPacket) {
        let header =
            Header { marker: packet.marker, timestamp: packet.timestamp, ssrc: 7, ..Header::default() };
        self.heard.extend(self.receiver.receive(&header, &packet.payload, self.now).unwrap());
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.plus(millis * 1000);
        self.heard.extend(self.receiver.poll(self.now));
    }

    fn digits(&self) -> String {
        let pressed = self.heard.iter().filter_map(|change| match change {
            EventChange::Pressed { event: Event::Key(digit), .. } => Some(digit.as_char()),
            EventChange::Pressed { event: Event::Flash, .. } => Some('!'),
            EventChange::Released { .. } => None,
        });
        pressed.collect()
    }
}

#[test]
fn a_press_is_a_marker_updates_and_three_ends_on_one_timestamp() {
    let packets = press(digit('5'), 1000, RATE, 100);
    let seen: Vec<_> = packets.iter().map(|p| (p.marker, p.timestamp, p.payload)).collect();
    assert_eq!(
        seen,
        [
            (true, 1000, [5, 10, 0, 160]),
            (false, 1000, [5, 10, 1, 64]),
            (false, 1000, [5, 10, 1, 224]),
            (false, 1000, [5, 10, 2, 128]),
            (false, 1000, [5, 0x8a, 3, 32]),
            (false, 1000, [5, 0x8a, 3, 32]),
            (false, 1000, [5, 0x8a, 3, 32]),
        ]
    );
}

#[test]
fn durations_count_in_the_clock_of_the_payload_type() {
    let last = |rate| EventPayload::parse(&press(digit('1'), 0, rate, 100).last().unwrap().payload).unwrap();
    assert_eq!((last(8000).duration, last(16_000).duration, last(48_000).duration), (800, 1600, 4800));
    assert_eq!(last(48_000).rescaled(48_000, 8000), last(8000));
    assert_eq!(last(8000).rescaled(8000, 16_000), last(16_000));
    let held = EventPayload { duration: 60_000, ..last(8000) };
    assert_eq!(held.rescaled(8000, 48_000).duration, u16::MAX);
}

#[test]
fn a_key_is_heard_once_however_often_its_packets_come() {
    let mut ear = Ear::new(RATE);
    for packet in press(digit('#'), 5000, RATE, 80) {
        (0..3).for_each(|_| ear.hear(&packet));
    }
    let released = EventChange::Released { event: digit('#'), millis: 80, end_lost: false };
    assert_eq!(ear.heard, [EventChange::Pressed { event: digit('#'), volume: 10 }, released]);
}

#[test]
fn a_lost_end_is_concluded_from_silence_or_from_the_next_key() {
    let mut ear = Ear::new(RATE);
    let packets = press(digit('1'), 0, RATE, 100);
    packets[..3].iter().for_each(|p| ear.hear(p));
    ear.wait(150);
    assert_eq!(ear.heard.len(), 1, "two lost updates are no end");
    ear.wait(60);
    let end = EventChange::Released { event: digit('1'), millis: 60, end_lost: true };
    assert_eq!(ear.heard.last(), Some(&end));
    packets.iter().for_each(|p| ear.hear(p));
    assert_eq!(ear.digits(), "1", "what comes later than that is still the same key");
    ear.hear(&press(digit('1'), 4000, RATE, 100)[0]);
    ear.hear(&press(digit('2'), 8000, RATE, 100)[0]);
    assert_eq!(ear.digits(), "112");
}

#[test]
fn the_last_packet_alone_is_a_whole_key() {
    let mut ear = Ear::new(RATE);
    ear.hear(press(digit('9'), 0, RATE, 100).last().unwrap());
    assert_eq!((ear.digits().as_str(), ear.heard.len()), ("9", 2));
}

#[test]
fn a_key_held_for_half_a_minute_is_one_key_in_segments() {
    for rate in [8000, 48_000] {
        let packets = press(digit('7'), u32::MAX - 5000, rate, 30_000);
        assert_eq!(packets.iter().filter(|p| p.marker).count(), 1);
        assert_eq!(packets.iter().filter(|p| p.payload[1] & 0x80 != 0).count(), 3);
        let mut ear = Ear::new(rate);
        packets.iter().for_each(|p| ear.hear(p));
        let released = EventChange::Released { event: digit('7'), millis: 30_000, end_lost: false };
        assert_eq!(ear.heard[1..], [released]);
    }
}

#[test]
fn a_key_that_is_held_ends_when_it_is_released() {
    let mut sender = EventSender::new(Event::Flash, 0, 0, RATE, None);
    assert!((0..100).all(|_| sender.next_packet(160).is_some_and(|p| p.payload[1] & 0x80 == 0)));
    sender.release();
    let ends: Vec<_> = std::iter::from_fn(|| sender.next_packet(160)).map(|p| p.payload).collect();
    assert_eq!(ends, [[16, 0x80, 0x3f, 0x20]; 3]);
}

#[test]
fn what_is_no_key_is_refused() {
    let mut receiver = EventReceiver::new(RATE);
    let refuse = |r: &mut EventReceiver, bytes: &[u8]| {
        r.receive(&Header::default(), bytes, Micros(0)).map(Iterator::count).unwrap_err()
    };
    assert_eq!(refuse(&mut receiver, &[1, 0, 0]), EventError::Short);
    assert_eq!(refuse(&mut receiver, &[32, 0, 0, 1]), EventError::Unknown(32));
    assert_eq!(receiver.held(), None);
}

proptest! {
    #[test]
    fn digits_survive_five_percent_loss(
        keys in prop::collection::vec(0u8..16, 1..30), seed in any::<u64>(), start in any::<u32>(), rate in 0usize..3,
    ) {
        let rate = [8000, 16_000, 48_000][rate];
        let mut ear = Ear::new(rate);
        let mut state = seed | 1;
        let mut timestamp = start;
        let (mut expected, mut late) = (String::new(), None);
        for key in keys {
            let event = Event::from_code(key).unwrap();
            expected.push(Dtmf::from_code(key).unwrap().as_char());
            let packets = press(event, timestamp, rate, 80);
            let before = ear.heard.len();
            for (n, packet) in packets.iter().enumerate() {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ear.wait(20);
                // That all packets of a key are lost happens once in 64 million keys.
                let only = n + 1 == packets.len() && ear.heard.len() == before;
                match state % 100 {
                    0..=4 if !only => continue,
                    5..=9 if !only => late = Some(*packet),
                    10..=14 => (0..2).for_each(|_| ear.hear(packet)),
                    _ => ear.hear(packet),
                }
                if state % 7 == 0 && let Some(packet) = late.take() { ear.hear(&packet); }
            }
            ear.wait(60);
            timestamp = timestamp.wrapping_add(rate / 5);
        }
        ear.wait(300);
        prop_assert_eq!(ear.digits(), expected);
        let released = ear.heard.iter().filter(|c| matches!(c, EventChange::Released { .. })).count();
        prop_assert_eq!(released * 2, ear.heard.len());
    }

    #[test]
    fn any_payload_is_an_event_or_an_error(packets in prop::collection::vec((any::<u32>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..9)), 0..40)) {
        let mut receiver = EventReceiver::new(RATE);
        let mut balance = 0i32;
        for (timestamp, marker, bytes) in packets {
            let header = Header { marker, timestamp, ..Header::default() };
            for change in receiver.receive(&header, &bytes, Micros(0)).into_iter().flatten() {
                balance += match change { EventChange::Pressed { .. } => 1, EventChange::Released { .. } => -1 };
            }
            prop_assert_eq!(balance, i32::from(receiver.held().is_some()));
        }
    }
}
