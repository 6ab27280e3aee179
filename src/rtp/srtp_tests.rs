//! SRTP against the vectors of RFC 3711 and of libsrtp, and against whoever tampers, repeats and reorders.

use super::*;
use crate::rtp::packet::Header;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|d| u8::try_from(d[0] * 16 + d[1]).unwrap()).collect()
}

fn master() -> MasterKey {
    let material = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    MasterKey::from_bytes(material.as_slice().try_into().unwrap())
}

fn pair(suite: Suite) -> (SrtpSender, SrtpReceiver) {
    (SrtpSender::new(suite, &master()), SrtpReceiver::new(suite, &master()))
}

fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
    let header = Header { sequence, ssrc, timestamp: u32::from(sequence) * 160, ..Header::default() };
    let mut bytes = vec![0; 12 + 160];
    header.write(&[0x55; 160], &mut bytes).unwrap();
    bytes
}

fn protected(sender: &mut SrtpSender, sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut bytes = packet(sequence, ssrc);
    let len = bytes.len();
    bytes.resize(len + RTP_OVERHEAD, 0);
    let len = sender.protect(&mut bytes, len).unwrap();
    bytes.truncate(len);
    bytes
}

/// RFC 3711 B.3.
#[test]
fn keys_are_derived_as_the_rfc_derives_them() {
    let derived = |label, len| {
        let mut out = vec![0; len];
        derive(&master(), label, &mut out);
        out
    };
    assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        derived(1, 94),
        hex(
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"
        )
    );
}

/// RFC 3711 B.2.
#[test]
fn the_key_stream_is_that_of_the_rfc() {
    let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let keys = Keys { cipher: Aes128::new(&key.into()), salt, ..Keys::derive(&master(), 0) };
    let mut stream = [0; 48];
    keys.apply(0, 0, &mut stream);
    let expected =
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(stream.to_vec(), hex(expected));
}

/// The reference packets of libsrtp's own tests.
#[test]
fn packets_are_those_of_the_reference_implementation() {
    let (mut sender, mut receiver) = pair(Suite::Sha1Tag80);
    let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
    let mut bytes = plain.clone();
    bytes.resize(plain.len() + 10, 0);
    assert_eq!(sender.protect(&mut bytes, plain.len()), Ok(38));
    assert_eq!(bytes, hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"));
    assert_eq!(receiver.unprotect(&mut bytes), Ok(28));
    assert_eq!(bytes[..28], plain);

    let plain = hex("81c8000bcafebabe abababababababababababababababab");
    let mut bytes = plain.clone();
    bytes.resize(plain.len() + RTCP_OVERHEAD, 0);
    assert_eq!(sender.protect_rtcp(&mut bytes, plain.len()), Ok(38));
    assert_eq!(bytes, hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"));
    assert_eq!(receiver.unprotect_rtcp(&mut bytes), Ok(24));
    assert_eq!(bytes[..24], plain);
}

#[test]
fn what_was_changed_repeated_or_made_by_others_is_refused() {
    for suite in [Suite::Sha1Tag80, Suite::Sha1Tag32] {
        let (mut sender, mut receiver) = pair(suite);
        let good = protected(&mut sender, 1, 7);
        assert_eq!(good.len(), 172 + suite.tag_len());
        for at in [0, 1, 3, 12, 100, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(receiver.unprotect(&mut bad).is_err(), "byte {at}");
        }
        assert_eq!(receiver.unprotect(&mut packet(1, 7)), Err(SrtpError::Inauthentic), "never in the clear");
        assert_eq!(receiver.unprotect(&mut good.clone()), Ok(172));
        assert_eq!(receiver.unprotect(&mut good.clone()), Err(SrtpError::Replayed));
        let mut other = SrtpReceiver::new(suite, &MasterKey::from_bytes(&[1; 30]));
        assert_eq!(other.unprotect(&mut good.clone()), Err(SrtpError::Inauthentic));
    }
}

#[test]
fn no_two_packets_are_sent_under_one_index() {
    let (mut sender, _) = pair(Suite::Sha1Tag80);
    protected(&mut sender, 5, 7);
    let mut again = packet(5, 7);
    again.resize(182, 0);
    let before = again.clone();
    assert_eq!(sender.protect(&mut again, 172), Err(SrtpError::Replayed));
    assert_eq!(again, before);
    protected(&mut sender, 4, 7);
}

#[test]
fn packets_may_come_late_by_a_window_and_over_the_wrap() {
    let (mut sender, mut receiver) = pair(Suite::Sha1Tag80);
    let mut sent: Vec<Vec<u8>> =
        (65_300..=u16::MAX).chain(0..300).map(|sequence| protected(&mut sender, sequence, 7)).collect();
    let late = sent.remove(300);
    let too_late = sent.remove(100);
    for bytes in &sent[..400] {
        assert_eq!(receiver.unprotect(&mut bytes.clone()), Ok(172));
    }
    assert_eq!(receiver.unprotect(&mut late.clone()), Ok(172));
    assert_eq!(receiver.unprotect(&mut late.clone()), Err(SrtpError::Replayed));
    assert_eq!(receiver.unprotect(&mut too_late.clone()), Err(SrtpError::Replayed));
    assert_eq!(receiver.sources.get(7).rtp, Some(65_536 + 165));
}

#[test]
fn sources_do_not_disturb_each_other_and_strangers_push_none_out() {
    let (mut sender, mut receiver) = pair(Suite::Sha1Tag32);
    for sequence in 0..50 {
        for ssrc in [1, 2, 3] {
            let mut bytes = protected(&mut sender, sequence, ssrc);
            assert_eq!(receiver.unprotect(&mut bytes), Ok(172));
        }
        for stranger in 100..110 {
            assert!(receiver.unprotect(&mut packet(sequence, stranger)).is_err());
        }
    }
    assert_eq!(receiver.sources.get(1).rtp, Some(49));
    assert_eq!(receiver.sources.get(100).rtp, None);
}

#[test]
fn reports_are_counted_from_one_and_not_believed_twice() {
    let (mut sender, mut receiver) = pair(Suite::Sha1Tag32);
    for _ in 0..3 {
        let mut bytes = [0x80, 201, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4].to_vec();
        bytes.resize(12 + RTCP_OVERHEAD, 0);
        let len = sender.protect_rtcp(&mut bytes, 12).unwrap();
        assert_eq!(receiver.unprotect_rtcp(&mut bytes[..len].to_vec()), Ok(12));
        assert_eq!(receiver.unprotect_rtcp(&mut bytes[..len]), Err(SrtpError::Replayed));
    }
    assert_eq!(sender.protect_rtcp(&mut [0; 20], 12), Err(SrtpError::NoRoom));
    assert_eq!(sender.protect(&mut [0x80; 15], 12), Err(SrtpError::NoRoom));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_and_leave_no_trace(bytes in prop::collection::vec(any::<u8>(), 0..200), rtp in any::<bool>()) {
        let (_, mut receiver) = pair(Suite::Sha1Tag80);
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() && rtp { *first = *first & 0x3f | 0x80; }
        let before = bytes.clone();
        prop_assert!(receiver.unprotect(&mut bytes).is_err());
        prop_assert!(receiver.unprotect_rtcp(&mut bytes).is_err());
        prop_assert_eq!(bytes, before);
        prop_assert_eq!(receiver.sources.uses, 0);
    }

    #[test]
    fn in_any_order_each_packet_is_believed_once(order in prop::collection::vec(0usize..120, 1..300), start in any::<u16>()) {
        let (mut sender, mut receiver) = pair(Suite::Sha1Tag80);
        let sent: Vec<Vec<u8>> = (0..120).map(|n| protected(&mut sender, start.wrapping_add(n), 7)).collect();
        let mut first = sent[0].clone();
        prop_assert!(receiver.unprotect(&mut first).is_ok());
        let mut believed = std::collections::HashSet::from([0]);
        for at in order {
            prop_assert_eq!(receiver.unprotect(&mut sent[at].clone()).is_ok(), believed.insert(at));
        }
    }
}
