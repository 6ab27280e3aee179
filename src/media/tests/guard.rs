//! Who is believed: strangers, learned ports, keys; and what is told of those who say nothing.

use super::*;
use crate::rtp::rtcp::{Builder, Compound, Ntp, ReportBlock, Rtcp, SenderInfo};
use crate::rtp::sdes::{Crypto, MasterKey, Suite};
use crate::rtp::srtp::{SrtpReceiver, SrtpSender};
use crate::types::{CryptoLine, SplitMix64};

fn elsewhere() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap()
}

#[test]
fn strangers_are_dropped_counted_and_disturb_nobody() {
    let mut rig = Rig::new(23_000);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    let stranger = elsewhere();
    let mut noise = Phone::new("noise", a.local.clone());
    for n in 0..50u8 {
        stranger.send_to(&noise.packet(0, &[n; 160]), a.local.rtp).unwrap();
    }
    until("they are counted", || rig.media.counters().strangers == 50);
    a.say(1);
    assert_eq!(b.hear().payload, [1; 160]);
    // Another port of the same host, after the first: the kernel keeps it out.
    for n in 0..50u8 {
        noise.send(0, &[n; 160]);
        stranger.send_to(&noise.packet(0, &[n; 160]), a.local.rtp).unwrap();
    }
    a.say(2);
    assert_eq!(b.hear().payload, [2; 160]);
    b.hears_nothing();
    b.say(3);
    assert_eq!(a.hear().payload, [3; 160], "sound still goes to the first");
}

#[test]
fn what_is_no_rtp_or_was_not_agreed_is_dropped_and_teaches_nothing() {
    let mut rig = Rig::new(23_100);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    let other = socket();
    let mut noise = Phone::new("noise", a.local.clone());
    other.send_to(b"OPTIONS sip:x SIP/2.0", a.local.rtp).unwrap();
    other.send_to(&[], a.local.rtp).unwrap();
    other.send_to(&[0x80, 0], a.local.rtp).unwrap();
    other.send_to(&noise.packet(34, &[1; 160]), a.local.rtp).unwrap();
    other.send_to(&[0x80; 1900], a.local.rtp).unwrap();
    until("they are counted", || {
        let counters = rig.media.counters();
        counters.unknown == 4 && counters.strangers == 1
    });
    b.say(1);
    assert_eq!(a.hear().payload, [1; 160]);
    a.say(2);
    assert_eq!(b.hear().payload, [2; 160]);
}

#[test]
fn sound_goes_to_the_port_that_it_comes_from_and_to_a_new_one_only_after_silence() {
    let mut rig = Rig::new(23_200);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    b.say(1);
    assert_eq!(a.hear().payload, [1; 160], "to the described port first");
    let nat = socket();
    let mut said = a.packet(0, &[2; 160]);
    nat.send_to(&said, a.local.rtp).unwrap();
    assert_eq!(b.hear().payload, [2; 160]);
    b.say(3);
    let mut bytes = [0; 2000];
    nat.recv_from(&mut bytes).unwrap();
    // The described port is now a stranger's until the other one has been silent.
    a.say(4);
    b.hears_nothing();
    let begin = Instant::now();
    until("the silence is over", || {
        said = a.packet(0, &[5; 160]);
        a.socket.send_to(&said, a.local.rtp).unwrap();
        b.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        b.socket.recv_from(&mut bytes).is_ok()
    });
    assert!(begin.elapsed() > Duration::from_millis(1500), "{:?}", begin.elapsed());
    b.say(6);
    assert_eq!(a.hear().payload, [6; 160]);
}

#[test]
fn a_new_description_moves_the_sound_and_stragglers_do_not_move_it_back() {
    let mut rig = Rig::new(23_300);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    a.say(1);
    b.hear();
    b.say(1);
    let before = a.hear();
    let moved = socket();
    let old = std::mem::replace(&mut a.socket, moved);
    a.stream.remote = Some(a.address());
    rig.media.set(&a.leg, a.stream.clone());
    let straggler = a.packet(0, &[9; 160]);
    old.send_to(&straggler, a.local.rtp).unwrap();
    b.hears_nothing();
    b.say(2);
    let after = a.hear();
    assert_eq!(after.header.sequence, before.header.sequence.wrapping_add(1));
    a.say(3);
    assert_eq!(b.hear().payload, [3; 160]);
}

#[test]
fn a_far_end_on_hold_is_sent_nothing_and_hears_one_stream_when_it_comes_back() {
    let mut rig = Rig::new(23_400);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    b.say(1);
    let before = a.hear();
    rig.media.set(&a.leg, MediaStream { sends: false, ..a.stream.clone() });
    b.say(2);
    a.hears_nothing();
    rig.media.set(&a.leg, MediaStream { receives: false, ..a.stream.clone() });
    b.say(3);
    let after = a.hear();
    assert_eq!(after.header.sequence, before.header.sequence.wrapping_add(1));
    a.say(4);
    b.hears_nothing();
}

/// What both ends of an encrypted leg hold.
struct Keys {
    ours: SrtpSender,
    theirs: SrtpReceiver,
}

fn secure(rig: &mut Rig, leg: &str) -> (Phone, Keys) {
    let mut phone = Phone::new(leg, rig.media.open(&LegId::from(leg), LOCAL, true).unwrap());
    let boxes = Crypto::parse(&phone.local.crypto[0].0).unwrap();
    let mut chance = SplitMix64::new(7);
    let material: Vec<u8> = (0..30).map(|_| chance.word().to_be_bytes()[0]).collect();
    let key = MasterKey::from_bytes(material.first_chunk().unwrap());
    let line = CryptoLine(Crypto { tag: 1, suite: Suite::Sha1Tag80, key: key.clone() }.to_value());
    phone.stream.srtp = Some((phone.local.crypto[0].clone(), line));
    rig.media.set(&phone.leg, phone.stream.clone());
    rig.settle();
    let keys = Keys {
        ours: SrtpSender::new(Suite::Sha1Tag80, &key),
        theirs: SrtpReceiver::new(boxes.suite, &boxes.key),
    };
    (phone, keys)
}

impl Keys {
    fn say(&mut self, phone: &mut Phone, byte: u8) -> Vec<u8> {
        let mut bytes = phone.packet(0, &[byte; 160]);
        phone.next.timestamp += 160;
        let len = bytes.len();
        bytes.resize(len + 10, 0);
        self.ours.protect(&mut bytes, len).unwrap();
        phone.socket.send_to(&bytes, phone.local.rtp).unwrap();
        bytes
    }

    fn hear(&mut self, phone: &Phone) -> Vec<u8> {
        let mut bytes = phone.datagram();
        let len = self.theirs.unprotect(&mut bytes).expect("it has our key's tag");
        Packet::parse(&bytes[..len]).unwrap().payload.to_vec()
    }
}

#[test]
fn encrypted_sound_is_relayed_to_plain_and_encrypted_legs_and_back() {
    let mut rig = Rig::new(23_500);
    let (mut a, mut keys) = secure(&mut rig, "a");
    let mut b = rig.phone("b", |_| {});
    let (mut c, mut others) = secure(&mut rig, "c");
    assert_eq!(a.local.crypto.len(), 2);
    assert_ne!(a.local.crypto, c.local.crypto);
    rig.join(&a, &b);
    keys.say(&mut a, 1);
    assert_eq!(b.hear().payload, [1; 160]);
    b.say(2);
    assert_eq!(keys.hear(&a), [2; 160]);
    // The same negotiated again keeps the counters of the keys.
    rig.media.set(&a.leg, a.stream.clone());
    b.say(3);
    assert_eq!(keys.hear(&a), [3; 160]);
    rig.part(&a, &b);
    rig.join(&a, &c);
    keys.say(&mut a, 4);
    assert_eq!(others.hear(&c), [4; 160]);
    others.say(&mut c, 5);
    assert_eq!(keys.hear(&a), [5; 160]);
}

#[test]
fn plain_changed_and_repeated_packets_are_dropped_where_keys_were_agreed() {
    let mut rig = Rig::new(23_600);
    let (mut a, mut keys) = secure(&mut rig, "a");
    let b = rig.phone("b", |_| {});
    rig.join(&a, &b);
    a.say(1);
    let sent = keys.say(&mut a, 2);
    assert_eq!(b.hear().payload, [2; 160]);
    a.socket.send_to(&sent, a.local.rtp).unwrap();
    let mut changed = keys.say(&mut a, 3);
    b.hear();
    changed[40] ^= 1;
    changed[3] = changed[3].wrapping_add(5);
    a.socket.send_to(&changed, a.local.rtp).unwrap();
    until("they are counted", || rig.media.counters().unauthentic == 3);
    b.hears_nothing();
    // Who holds the key may come from another port at any time.
    a.socket = socket();
    keys.say(&mut a, 4);
    assert_eq!(b.hear().payload, [4; 160]);
}

#[test]
fn a_leg_whose_keys_do_not_fit_says_and_believes_nothing() {
    let mut rig = Rig::new(23_700);
    let mut b = rig.phone("b", |_| {});
    let mut a = rig.phone("a", |s| {
        let broken = CryptoLine("1 AES_CM_128_HMAC_SHA1_80 inline:short".to_owned());
        s.srtp = Some((broken.clone(), broken));
    });
    rig.join(&a, &b);
    b.say(1);
    a.hears_nothing();
    a.say(2);
    b.hears_nothing();
    let counters = rig.media.counters();
    assert_eq!((counters.unauthentic, counters.unsent), (1, 1));
}

#[test]
fn silence_is_told_once_until_something_comes_again_and_not_on_hold() {
    let config =
        MediaConfig { ports: 23_800..=23_899, silence: Duration::from_millis(300), ..MediaConfig::default() };
    let mut rig = Rig::with(config);
    let mut a = rig.phone("a", |_| {});
    let _held = rig.phone("b", |s| s.receives = false);
    let silent = MediaReport::Leg(LegId::from("a"), LegEvent::MediaSilent);
    assert_eq!(rig.report(), silent);
    rig.no_report();
    a.say(1);
    assert_eq!(rig.report(), silent, "a second silence");
    // Reports are a sign of life.
    let begin = Instant::now();
    let mut bytes = [0; 64];
    let len = Builder::new(&mut bytes).receiver_report(5, &[]).unwrap().finish();
    let to = SocketAddr::new(LOCAL, a.local.rtp.port() + 1);
    while begin.elapsed() < Duration::from_millis(700) {
        a.reports.send_to(&bytes[..len], to).unwrap();
        assert!(rig.reports.try_recv().is_err());
        std::thread::yield_now();
    }
    assert_eq!(rig.report(), silent);
}

fn report(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 500];
    let (len, _) = socket.recv_from(&mut bytes).unwrap();
    bytes[..len].to_vec()
}

#[test]
fn both_directions_are_reported_and_the_round_trip_is_measured() {
    let mut rig = Rig::new(23_900);
    let (mut a, mut b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    let mut sent = Header::default();
    for n in 0..10 {
        if n == 5 {
            a.next.sequence += 1;
        }
        a.say(n);
        b.hear();
        b.say(n);
        sent = a.hear().header;
    }
    let to = SocketAddr::new(LOCAL, a.local.rtp.port() + 1);
    let told = report(&a.reports);
    let packets: Vec<Rtcp<'_>> = Compound::parse(&told).unwrap().packets().collect();
    let [Rtcp::SenderReport(info, blocks), Rtcp::Description(Some((ssrc, name)))] = packets[..] else {
        panic!("{packets:?}")
    };
    assert_eq!((info.ssrc, ssrc, info.packets, info.octets), (sent.ssrc, sent.ssrc, 10, 1600));
    assert_eq!(name.len(), 16);
    let block = blocks.iter().next().unwrap();
    assert_eq!((block.ssrc, block.lost, block.fraction_lost), (77, 1, 23));
    let ahead = info.timestamp.wrapping_sub(sent.timestamp);
    assert!((160..80_000).contains(&ahead), "{ahead}");
    let block = ReportBlock { ssrc, last_sender_report: info.ntp.middle(), ..ReportBlock::default() };
    let mut bytes = [0; 128];
    let info = SenderInfo { ssrc: 77, ntp: Ntp(9), ..SenderInfo::default() };
    let len = Builder::new(&mut bytes).sender_report(&info, &[block]).unwrap().finish();
    elsewhere().send_to(&bytes[..len], to).unwrap();
    a.reports.send_to(&bytes[..len], to).unwrap();
    let before = rig.media.counters().strangers;
    until("the report is heard", || rig.media.counters().strangers > before || before == 1);
    a.say(1);
    b.hear();
    let facts = rig.media.close(&a.leg).unwrap();
    let round_trip = facts.round_trip_ms.expect("a report was answered");
    assert!(round_trip < 5000, "{round_trip}");
    let goodbye = report(&a.reports);
    let packets: Vec<Rtcp<'_>> = Compound::parse(&goodbye).unwrap().packets().collect();
    assert!(matches!(packets[0], Rtcp::ReceiverReport(..)), "nothing was sent since: {packets:?}");
    assert!(matches!(packets[2], Rtcp::Goodbye(sources, _) if sources.iter().eq([ssrc])), "{packets:?}");
}

#[test]
fn reports_share_the_port_of_sound_where_that_was_agreed() {
    let mut rig = Rig::new(24_000);
    let (mut a, b) = (rig.phone("a", |s| s.rtcp_mux = true), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    a.say(1);
    b.hear();
    let told = a.datagram();
    let packets: Vec<Rtcp<'_>> = Compound::parse(&told).unwrap().packets().collect();
    assert!(matches!(packets[0], Rtcp::ReceiverReport(_, blocks) if blocks.iter().count() == 1));
    let mut bytes = [0; 64];
    let len = Builder::new(&mut bytes).receiver_report(77, &[]).unwrap().finish();
    a.socket.send_to(&bytes[..len], a.local.rtp).unwrap();
    a.say(2);
    assert_eq!(b.hear().payload, [2; 160]);
    assert_eq!(rig.media.counters().unknown, 0);
}
