//! Two legs that hear each other without anything being decoded.

use super::*;

#[test]
fn two_joined_phones_hear_each_other_and_nobody_before_or_after() {
    let mut rig = Rig::new(20_000);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    a.say(1);
    b.hears_nothing();
    rig.join(&a, &b);
    a.say(2);
    b.say(3);
    assert_eq!(b.hear().payload, [2; 160]);
    assert_eq!(a.hear().payload, [3; 160]);
    rig.part(&b, &a);
    a.say(4);
    b.hears_nothing();
}

#[test]
fn what_is_heard_is_one_stream_over_hold_and_a_transfer() {
    let mut rig = Rig::new(20_100);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    let mut c = rig.phone("c", |_| {});
    c.next = Header { sequence: 40_000, timestamp: 123_456_789, ssrc: 99, ..c.next };
    rig.join(&a, &b);
    let mut heard = Vec::new();
    for n in 0..5 {
        a.say(n);
        heard.push(b.hear());
    }
    rig.part(&a, &b);
    rig.join(&c, &b);
    for n in 5..10 {
        c.say(n);
        heard.push(b.hear());
    }
    rig.join(&a, &b);
    for n in 10..15 {
        a.say(n);
        heard.push(b.hear());
    }
    let payloads: Vec<u8> = heard.iter().map(|got| got.payload[0]).collect();
    assert_eq!(payloads, (0..15).collect::<Vec<u8>>());
    for pair in heard.windows(2) {
        let [before, after] = [pair[0].header, pair[1].header];
        assert_eq!(after.ssrc, before.ssrc);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((160..4000).contains(&step), "{step}");
    }
    let markers: Vec<usize> = (0..15).filter(|n| heard[*n].header.marker).collect();
    assert_eq!(markers, [0, 5, 10]);
    b.say(1);
    assert_eq!(a.hear().payload, [1; 160]);
}

#[test]
fn payload_types_are_those_that_each_leg_agreed() {
    let mut rig = Rig::new(20_200);
    let mut a = rig.phone("a", |s| s.telephone_event = event(96));
    let b = rig.phone("b", |s| {
        s.audio = vec![format(AudioCodec::G722), AudioFormat { send: 110, ..format(AudioCodec::Pcmu) }];
        s.telephone_event = Some(OtherFormat { send: 101, receive: 101, clock: 16_000 });
    });
    rig.join(&a, &b);
    a.say(9);
    let got = b.hear();
    assert_eq!((got.header.payload_type, got.payload), (110, vec![9; 160]));
    a.press('5');
    let events: Vec<Got> = (0..6).map(|_| b.hear()).collect();
    assert!(events.iter().all(|e| e.header.payload_type == 101 && e.payload[0] == 5), "{events:?}");
    assert_eq!(events[5].payload, [5, 0x8a, 5, 0], "640 ticks are 1280 on a clock twice as fast");
    assert_eq!(events.iter().filter(|e| e.header.marker).count(), 1);
    rig.heard("a", '5', true);
    rig.no_report();
}

#[test]
fn a_closed_leg_tells_what_was_measured() {
    let mut rig = Rig::new(20_300);
    let (mut a, b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    for n in 0..10 {
        if n == 4 {
            a.next.sequence += 2;
        }
        a.say(n);
        b.hear();
    }
    let facts = rig.media.close(&a.leg).unwrap();
    assert_eq!((facts.codec.as_str(), facts.received, facts.sent, facts.lost), ("PCMU", 10, 0, 2));
    assert_eq!(rig.media.close(&a.leg), None);
    let facts = rig.media.close(&b.leg).unwrap();
    assert_eq!((facts.received, facts.sent), (0, 10));
    let unheard = LegId::from("unheard");
    rig.media.open(&unheard, LOCAL, false).unwrap();
    assert_eq!(rig.media.close(&unheard), None, "nothing was agreed");
}

#[test]
fn a_key_pressed_for_a_leg_is_an_event_and_sound_goes_on_behind_it() {
    let mut rig = Rig::new(20_400);
    let (mut a, b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    a.say(1);
    let before = b.hear();
    rig.media.press(&b.leg, key('#'));
    let events: Vec<Got> = (0..7).map(|_| b.hear()).collect();
    assert!(events.iter().all(|e| e.header.payload_type == 101 && e.payload[0] == 11), "{events:?}");
    assert_eq!(events[6].payload, [11, 0x8a, 3, 32], "800 ticks are 100 ms");
    assert_eq!(events.iter().filter(|e| e.payload[1] & 0x80 != 0).count(), 3);
    until("the sound comes back", || {
        a.say(2);
        b.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut bytes = [0; 2000];
        b.socket.recv_from(&mut bytes).is_ok()
    });
    assert_eq!(events[0].header.sequence, before.header.sequence.wrapping_add(1));
}
