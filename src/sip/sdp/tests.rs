//! Descriptions read, printed, offered and answered.

use super::*;
use crate::types::Network;
use proptest::prelude::*;

const PHONE: &str = "v=0\r\no=- 20518 0 IN IP4 203.0.113.1\r\ns= \r\nt=0 0\r\nc=IN IP4 203.0.113.1\r\n\
b=AS:64\r\na=ice-lite\r\nm=audio 54400 RTP/AVP 96 8 0 97 13\r\na=rtpmap:96 opus/48000/2\r\n\
a=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\na=ptime:30\r\na=sendrecv\r\na=rtcp:54500\r\n\
m=video 51372 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n";

fn read(text: &str) -> Description {
    Description::parse(text.as_bytes()).unwrap()
}

fn local(version: u64) -> Local {
    let address = "192.0.2.7".parse().unwrap();
    let origin = Origin::new(7, version, address);
    Local { origin, address, port: 40_000, direction: Direction::SendRecv, crypto: Vec::new() }
}

fn crypto(tag: u32, key: &str) -> Crypto {
    let suite = "AES_CM_128_HMAC_SHA1_80".to_owned();
    Crypto { tag, suite, key: format!("inline:{key}"), parameters: None }
}

fn ours() -> Capabilities {
    Capabilities::default()
}

#[test]
fn an_offer_is_answered_with_its_own_payload_types_and_order() {
    let (answer, agreed) = answer(&read(PHONE), &local(1), &ours()).unwrap();
    assert_eq!(
        answer.to_string(),
        "v=0\r\no=- 7 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 8 0 97\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-16\r\na=ptime:20\r\na=sendrecv\r\n\
         m=video 0 RTP/AVP 31\r\n"
    );
    assert_eq!(agreed.remote.to_string(), "203.0.113.1:54400");
    assert_eq!(agreed.remote_rtcp.unwrap().to_string(), "203.0.113.1:54500");
    assert_eq!(agreed.audio[0].codec.encoding, Encoding::Pcma);
    assert_eq!(agreed.telephone_event.unwrap().receive, 97);
    assert_eq!((agreed.ptime, agreed.direction), (Some(30), Direction::SendRecv));
    assert!(!agreed.rtcp_mux && agreed.comfort_noise.is_none());
}

#[test]
fn our_offer_and_its_answer_agree_from_both_sides() {
    let offered = offer(&local(1), &ours());
    let far = Local { port: 50_000, ..local(1) };
    let mut few = ours();
    few.codecs.retain(|c| c.encoding != Encoding::Pcmu);
    let (answered, theirs) = answer(&offered, &far, &few).unwrap();
    let mine = agree(&offered, &answered).unwrap();
    assert_eq!((mine.remote.port(), theirs.remote.port()), (50_000, 40_000));
    assert_eq!(mine.audio, theirs.audio);
    assert_eq!(mine.telephone_event, theirs.telephone_event);
    assert!(mine.rtcp_mux && theirs.rtcp_mux);
    assert_eq!(read(&offered.to_string()), offered);
}

#[test]
fn an_answer_may_use_other_payload_types_than_the_offer() {
    let offered = offer(&local(1), &ours());
    let answered = read(
        "v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\nm=audio 9000 RTP/AVP 0 96\n\
         a=rtpmap:96 telephone-event/8000\n",
    );
    let dtmf = agree(&offered, &answered).unwrap().telephone_event.unwrap();
    assert_eq!((dtmf.codec.payload_type, dtmf.receive), (96, 101));
}

#[test]
fn every_form_of_hold_is_hold_and_answered_as_such() {
    let held = |text: &str| read(text);
    let cases = [
        (PHONE.replace("a=sendrecv", "a=sendonly"), Direction::RecvOnly),
        (PHONE.replace("a=sendrecv", "a=inactive"), Direction::Inactive),
        (PHONE.replace("a=ice-lite", "a=sendonly").replace("a=sendrecv\r\n", ""), Direction::RecvOnly),
        (PHONE.replace("c=IN IP4 203.0.113.1", "c=IN IP4 0.0.0.0"), Direction::RecvOnly),
    ];
    for (text, expected) in cases {
        let offered = held(&text);
        assert!(offered.is_hold(), "{text}");
        let (answered, agreed) = answer(&offered, &local(2), &ours()).unwrap();
        assert_eq!(agreed.direction, expected, "{text}");
        assert!(!agreed.direction.sends());
        assert!(answered.to_string().contains(&format!("a={}\r\n", expected.as_str())));
    }
    assert!(!read(PHONE).is_hold());
}

#[test]
fn holding_and_being_held_leave_nobody_sending() {
    let holding = Local { direction: Direction::SendOnly, ..local(2) };
    let offered = read(&PHONE.replace("a=sendrecv", "a=sendonly"));
    assert_eq!(answer(&offered, &holding, &ours()).unwrap().1.direction, Direction::Inactive);
    assert!(offer(&holding, &ours()).is_hold());
}

#[test]
fn a_further_offer_keeps_places_and_payload_types() {
    let video_first = PHONE.replace("m=audio", "m=video 7000 RTP/AVP 31\r\nm=audio");
    let taken = video_first.replace("0-15", "0-15\r\na=rtpmap:101 speex/8000").replace("97 13", "97 101");
    let (answered, agreed) = answer(&read(&taken), &local(1), &ours()).unwrap();
    let held = Local { direction: Direction::SendOnly, ..local(2) };
    let again = offer_again(&answered, &agreed, &held, &ours());
    let ports: Vec<u16> = again.media.iter().map(|m| m.port).collect();
    assert_eq!(ports, [0, 40_000, 0]);
    assert_eq!(again.media[1].formats, ["0", "8", "9", "97"]);
    assert!(again.is_hold());
    let mut busy = agreed.clone();
    busy.telephone_event = None;
    busy.audio[0].receive = 101;
    assert_eq!(offer_again(&answered, &busy, &held, &ours()).media[1].formats, ["0", "101", "9", "96"]);
}

#[test]
fn encrypted_offers_are_answered_encrypted_or_not_at_all() {
    let secure = PHONE.replacen("RTP/AVP", "RTP/SAVP", 1).replace(
        "a=ptime:30",
        "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:a\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:theirs",
    );
    let offered = read(&secure);
    assert_eq!(answer(&offered, &local(1), &ours()), Err(Disagreement::NothingInCommon));
    let keyed = Local { crypto: vec![crypto(1, "ours")], ..local(1) };
    let (answered, agreed) = answer(&offered, &keyed, &ours()).unwrap();
    assert_eq!(agreed.srtp, Some((crypto(2, "ours"), crypto(2, "theirs"))));
    assert_eq!(answered.media[0].protocol, "RTP/SAVP");
    assert!(answered.to_string().contains("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:ours\r\n"));
    assert!(!format!("{answered:?}{agreed:?}").contains("inline"), "keys stay out of Debug");

    let ask = offer(&keyed, &ours());
    let plain = answer(&read(PHONE), &local(1), &ours()).unwrap().0;
    let fallen_back = Description { media: vec![plain.media[0].clone()], ..plain };
    assert_eq!(agree(&ask, &fallen_back), Err(Disagreement::Answer));
}

#[test]
fn nothing_in_common_is_no_answer() {
    let g729 =
        "v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\nm=audio 9000 RTP/AVP 18\n";
    assert_eq!(answer(&read(g729), &local(1), &ours()), Err(Disagreement::NothingInCommon));
    let events_alone = g729.replace("18", "101") + "a=rtpmap:101 telephone-event/8000\n";
    assert_eq!(answer(&read(&events_alone), &local(1), &ours()), Err(Disagreement::NothingInCommon));
    let off = g729.replace("9000", "0").replace("18", "0");
    assert_eq!(answer(&read(&off), &local(1), &ours()), Err(Disagreement::NothingInCommon));
    assert_eq!(refuse_all(&read(PHONE), &local(1)).media.iter().filter(|m| m.port == 0).count(), 2);
}

#[test]
fn ipv6_is_read_and_written_without_brackets() {
    let text = PHONE.replace("IN IP4 203.0.113.1\r\nb", "IN IP6 2001:db8::20\r\nb");
    let (_, agreed) = answer(&read(&text), &local(1), &ours()).unwrap();
    assert_eq!(agreed.remote.to_string(), "[2001:db8::20]:54400");
    let six = Local { address: "2001:db8::7".parse().unwrap(), ..local(1) };
    assert!(offer(&six, &ours()).to_string().contains("c=IN IP6 2001:db8::7\r\n"));
}

#[test]
fn broken_descriptions_are_named() {
    for (text, error) in [
        ("", SdpError::Version),
        ("v=1\n", SdpError::Version),
        ("v=0\nnonsense\n", SdpError::Line),
        ("v=0\no=a b\n", SdpError::Origin),
        ("v=0\nc=IN IP5 x\n", SdpError::Connection),
        ("v=0\nm=audio x RTP/AVP 0\n", SdpError::Media),
        ("v=0\nm=audio 70000 RTP/AVP 0\n", SdpError::Media),
    ] {
        assert_eq!(Description::parse(text.as_bytes()), Err(error), "{text}");
    }
}

#[test]
fn media_go_where_the_signalling_is_or_where_the_technician_allows() {
    let policy = TargetPolicy { networks: vec!["198.51.100.0/24".parse().unwrap()] };
    let check = |target: &str| policy.check(target.parse().unwrap(), "203.0.113.1".parse().unwrap());
    assert_eq!(check("203.0.113.1:4000"), Ok(()));
    assert_eq!(check("[::ffff:203.0.113.1]:4000"), Ok(()));
    assert_eq!(check("198.51.100.77:4000"), Ok(()));
    assert_eq!(check("198.51.101.77:4000"), Err(TargetRefused::Elsewhere));
    assert_eq!(check("127.0.0.1:4000"), Err(TargetRefused::Elsewhere));
    assert_eq!(check("203.0.113.1:53"), Err(TargetRefused::Port));
    assert_eq!(check("239.0.0.1:4000"), Err(TargetRefused::NotAHost));
    assert_eq!(check("0.0.0.0:4000"), Err(TargetRefused::NotAHost));
    assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
    assert!("192.0.2.0/33".parse::<Network>().is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_printed_is_read_the_same(
        cuts in proptest::collection::vec((0_usize..PHONE.len(), any::<u8>()), 0..12),
        end in 0_usize..PHONE.len(),
    ) {
        let mut bytes = PHONE.as_bytes().to_vec();
        bytes.truncate(PHONE.len() - end / 4);
        for (at, byte) in cuts {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(description) = Description::parse(&bytes) {
            prop_assert_eq!(Description::parse(&description.to_bytes()).unwrap(), description.clone());
            drop(answer(&description, &local(1), &ours()));
            drop(agree(&offer(&local(1), &ours()), &description));
            prop_assert_eq!(description.is_hold(), description.is_hold());
        }
    }

    #[test]
    fn no_lines_panic(lines in proptest::collection::vec("[vosctamibz]=[ -~]{0,40}", 0..12)) {
        let text = format!("v=0\r\n{}", lines.join("\r\n"));
        if let Ok(description) = Description::parse(text.as_bytes()) {
            prop_assert_eq!(Description::parse(&description.to_bytes()).unwrap(), description.clone());
            drop(answer(&description, &local(1), &ours()));
        }
    }
}

#[test]
fn a_payload_type_that_is_listed_again_counts_once() {
    let many = "8 0 ".repeat(5000);
    let text = format!("v=0\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {many}128 0\r\n");
    let codecs = Description::parse(text.as_bytes()).unwrap().media[0].codecs();
    assert_eq!(codecs.iter().map(|c| c.payload_type).collect::<Vec<_>>(), [8, 0]);
}
