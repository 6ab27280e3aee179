//! Keys: each told once, and heard at the other side once, whatever the two sides agreed.

use super::*;
use crate::rtp::dtmf::{KeyListener, KeyPlayer, KeySound};

/// A key as sound, with a pause behind it.
fn sound_out(phone: &mut Phone, to: Option<&Phone>, letter: char) -> Vec<Got> {
    let mut player = KeyPlayer::new(key(letter), -13.0, 120, 80, Rate::Narrow);
    let mut heard = Vec::new();
    for _ in 0..10 {
        let mut samples = [0; 160];
        player.fill(&mut samples);
        let mut payload = [0; 160];
        Encoder::new(plan::codec(AudioCodec::Pcmu)).encode(&samples, &mut payload);
        phone.send(0, &payload);
        phone.next.timestamp = phone.next.timestamp.wrapping_add(160);
        heard.extend(to.map(Phone::hear));
    }
    heard
}

fn keys_in(packets: &[Got]) -> String {
    let mut listener = KeyListener::new(Rate::Narrow);
    let mut decoder = Decoder::new(plan::codec(AudioCodec::Pcmu));
    let mut keys = String::new();
    for got in packets.iter().filter(|got| got.header.payload_type == 0) {
        let mut samples = [0; 960];
        let count = decoder.decode(&got.payload, &mut samples);
        listener.listen(&samples[..count], |sound| {
            if let KeySound::Begins(key) = sound {
                keys.push(key.as_char());
            }
        });
    }
    keys
}

/// The keys that events begin.
fn events_in(packets: &[Got]) -> String {
    let begun = packets.iter().filter(|got| got.header.payload_type == 101 && got.header.marker);
    begun.map(|got| Dtmf::from_code(got.payload[0]).unwrap().as_char()).collect()
}

#[test]
fn every_key_as_an_event_is_relayed_and_told_once() {
    let mut rig = Rig::new(22_000);
    let (mut a, b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    for dtmf in Dtmf::all() {
        a.press(dtmf.as_char());
        let packets: Vec<Got> = (0..6).map(|_| b.hear()).collect();
        assert_eq!(events_in(&packets), dtmf.as_char().to_string());
        rig.heard("a", dtmf.as_char(), true);
    }
    rig.no_report();
}

#[test]
fn an_event_for_a_side_without_events_is_told_and_pressed_there_as_a_tone() {
    let mut rig = Rig::new(22_100);
    let mut a = rig.phone("a", |_| {});
    let b = rig.phone("b", |s| s.telephone_event = None);
    rig.join(&a, &b);
    a.say(0xff);
    b.hear();
    a.press('7');
    rig.heard("a", '7', false);
    b.hears_nothing();
    rig.media.press(&b.leg, key('7'));
    let packets: Vec<Got> = (0..10).map(|_| b.hear()).collect();
    assert_eq!(keys_in(&packets), "7");
    until("speech is heard again", || {
        a.say(0xfe);
        b.hear().payload == [0xfe; 160]
    });
    rig.no_report();
}

#[test]
fn a_tone_between_sides_without_events_is_relayed_and_told_once() {
    let mut rig = Rig::new(22_200);
    let mut a = rig.phone("a", |s| s.telephone_event = None);
    let b = rig.phone("b", |s| s.telephone_event = None);
    rig.join(&a, &b);
    for letter in ['1', '#', 'D'] {
        let packets = sound_out(&mut a, Some(&b), letter);
        assert_eq!(keys_in(&packets), letter.to_string());
        rig.heard("a", letter, true);
    }
    rig.no_report();
}

#[test]
fn a_tone_for_a_side_with_events_is_told_and_not_heard_there() {
    let mut rig = Rig::new(22_300);
    let mut a = rig.phone("a", |s| s.telephone_event = None);
    let b = rig.phone("b", |_| {});
    rig.join(&a, &b);
    let mut packets = Vec::new();
    let mut voice = Voice::new(AudioCodec::Pcmu, &[440.0]);
    for _ in 0..10 {
        a.speak(&mut voice);
        packets.push(b.hear());
    }
    packets.extend(sound_out(&mut a, Some(&b), '5'));
    for _ in 0..10 {
        a.speak(&mut voice);
        packets.push(b.hear());
    }
    rig.heard("a", '5', false);
    assert_eq!(keys_in(&packets), "", "the tone is taken out");
    rig.media.press(&b.leg, key('5'));
    let mut packets = Vec::new();
    until("the event is over", || {
        a.speak(&mut voice);
        packets.push(b.hear());
        packets.iter().filter(|got| got.header.payload_type == 101 && got.payload[1] & 0x80 != 0).count() == 3
    });
    assert_eq!(events_in(&packets), "5");
    for pair in packets.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
    rig.no_report();
}

#[test]
fn events_between_sides_that_share_no_codec_are_sent_anew_once() {
    let mut rig = Rig::new(22_400);
    let mut a = rig.phone("a", |s| s.audio = vec![format(AudioCodec::G722)]);
    let b = rig.phone("b", |_| {});
    rig.join(&a, &b);
    let mut voice = Voice::new(AudioCodec::G722, &[440.0]);
    let mut packets = Vec::new();
    for _ in 0..10 {
        a.speak(&mut voice);
        packets.push(b.hear());
    }
    a.press('9');
    rig.heard("a", '9', true);
    until("the event is over", || {
        a.speak(&mut voice);
        packets.push(b.hear());
        packets.iter().filter(|got| got.header.payload_type == 101 && got.payload[1] & 0x80 != 0).count() == 3
    });
    assert_eq!(events_in(&packets), "9");
    for pair in packets.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
    rig.no_report();
}

#[test]
fn a_caller_in_a_menu_is_heard_as_event_and_as_tone() {
    let mut rig = Rig::new(22_500);
    let mut a = rig.phone("a", |_| {});
    let mut b = rig.phone("b", |s| s.telephone_event = None);
    a.press('3');
    rig.heard("a", '3', false);
    sound_out(&mut b, None, '4');
    rig.heard("b", '4', false);
    rig.no_report();
}

#[test]
fn keys_pressed_one_after_the_other_are_all_sent_in_their_order() {
    let mut rig = Rig::new(22_600);
    let a = rig.phone("a", |_| {});
    for letter in "159#".chars() {
        rig.media.press(&a.leg, key(letter));
    }
    let packets: Vec<Got> = (0..28).map(|_| a.hear()).collect();
    assert_eq!(events_in(&packets), "159#");
    let ends = packets.iter().filter(|got| got.payload[1] & 0x80 != 0).count();
    assert_eq!(ends, 12);
}

#[test]
fn a_flood_of_keys_is_cut_off() {
    let mut rig = Rig::new(22_700);
    let mut a = rig.phone("a", |_| {});
    for n in 0..100u32 {
        a.next.timestamp = n * 1000;
        a.send(101, &[1, 0x8a, 3, 32]);
    }
    until("the rest is counted", || rig.media.counters().keys_dropped >= 50);
    let mut told = 0;
    while rig.reports.try_recv().is_ok() {
        told += 1;
    }
    assert!((10..=50).contains(&told), "{told}");
}
