//! No bytes panic, and what is printed is read the same.

use proptest::prelude::*;

use super::super::message::{NameAddr, Via, tests::INVITE};
use super::super::uri::{Host, SipUri, Uri, UriError, unescape};
use super::*;

/// Every view of a message, so that none escapes the mutants.
fn look(message: &Message) {
    let h = message.headers();
    drop((h.contacts(), h.allow(), h.content_type(), h.content_disposition(), h.session_expires()));
    drop((
        h.rack(),
        h.replaces(),
        h.event(),
        h.subscription_state(),
        h.privacy(),
        h.reasons(),
        h.retry_after(),
    ));
    drop((h.warnings(), h.unknown_requirements(&[])));
    drop((h.expires(), h.min_expires(), h.min_se(), h.rseq(), h.date(), h.max_forwards()));
    for header in h {
        drop((h.routes(&header.name), h.tokens(&header.name), h.auth(&header.name)));
        drop(h.address(header.name.clone()));
    }
}

fn survives(bytes: &[u8]) {
    match datagram(bytes) {
        Received::Message(message) => {
            look(&message);
            assert_eq!(datagram(&message.to_bytes()), Received::Message(message));
        }
        Received::Refused(refused) => drop(refused.response("t")),
        Received::Dropped(_) | Received::Ping | Received::Pong => {}
    }
}

const RICH: &str = "Session-Expires: 90;refresher=uac\r\nMin-SE: 90\r\nReplaces: a@b;to-tag=1;from-tag=2;early-only\r\n\
Refer-To: <sip:a@b?Replaces=x%3Bto-tag%3D1>\r\nReason: Q.850;cause=16;text=\"Terminated, so\", SIP;cause=200\r\n\
Retry-After: 120 (I'm (very) busy);duration=60\r\nWarning: 307 isi.example \"x \\\" y\", 301 h:5 \"z\"\r\n\
RAck: 776656 1 INVITE\r\nRSeq: 7\r\nEvent: refer;id=1\r\nSubscription-State: active;expires=60\r\n\
Authorization: Digest username=\"a\\\"b\", realm=\"r, x\", nonce=n, uri=\"sip:x\", response=\"0\", nc=0000000a\r\n\
WWW-Authenticate: Digest realm=\"a\", nonce=\"b\", Digest realm=\"c\", nonce=\"d\", qop=\"auth,auth-int\"\r\n\
P-Asserted-Identity: \"A, B\" <sip:+1555@x>, <tel:+1555>\r\nPrivacy: id; critical\r\nAllow: INVITE, FOO\r\n\
Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nExpires: 60\r\nRequire: a, b\r\nContent-Disposition: session;handling=optional\r\n";

#[test]
fn the_views_read_what_they_should() {
    let text = INVITE.replace("c: application/sdp\r\n", &format!("c: application/sdp\r\n{RICH}"));
    let message = valid(text.as_bytes());
    look(&message);
    let h = message.headers();
    let name = super::super::message::Name::parse;
    assert_eq!(h.session_expires().unwrap().unwrap().to_string(), "90;refresher=uac");
    assert_eq!(h.min_se().unwrap(), Some(90));
    assert_eq!(h.replaces().unwrap().unwrap().to_string(), "a@b;to-tag=1;from-tag=2;early-only");
    let refer = h.address(name("Refer-To")).unwrap().unwrap();
    assert_eq!(refer.uri.sip().unwrap().header("Replaces").unwrap(), "x;to-tag=1");
    let reasons = h.reasons().unwrap();
    assert_eq!(reasons[0].to_string(), "Q.850;cause=16;text=\"Terminated, so\"");
    assert_eq!(reasons[1].cause, Some(200));
    let retry = h.retry_after().unwrap().unwrap();
    assert_eq!((retry.after.as_secs(), retry.duration.unwrap().as_secs()), (120, 60));
    let warnings = h.warnings().unwrap();
    assert_eq!((warnings[0].code, warnings[0].text.as_str(), warnings.len()), (307, "x \" y", 2));
    assert_eq!(h.rack().unwrap().unwrap().to_string(), "776656 1 INVITE");
    assert_eq!(h.rseq().unwrap(), Some(7));
    assert_eq!(h.event().unwrap().unwrap().id(), Some("1"));
    assert!(!h.subscription_state().unwrap().unwrap().is_terminated());
    let auth = h.auth(&name("authorization")).remove(0);
    assert_eq!((auth.get("username").unwrap(), auth.get("realm").unwrap()), ("a\"b".into(), "r, x".into()));
    let challenges = h.auth(&name("www-authenticate"));
    assert_eq!((challenges.len(), challenges[1].get("qop").unwrap()), (2, "auth,auth-int".into()));
    assert_eq!(h.addresses(&name("P-Asserted-Identity")).unwrap()[0].display().unwrap(), "A, B");
    assert_eq!(h.privacy(), ["id", "critical"]);
    assert_eq!(h.allow().unwrap().len(), 2);
    assert!(h.content_disposition().unwrap().unwrap().is_optional());
}

#[test]
fn addresses_are_compared_as_rfc_3261_19_1_4_says() {
    let same = |a: &str, b: &str| a.parse::<Uri>().unwrap().same_as(&b.parse().unwrap());
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:+12015550123;ext=5;ext=6", "tel:+12015550123;ext=5"),
        ("sip:a@h;x=1;X=2", "sip:a@h;x=1;x=3"),
    ] {
        assert!(same(a, b) && same(b, a), "{a} {b}");
    }
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;newparam=6"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a%3Ab@h", "sip:a:b@h"),
        ("sip:a@h", "sips:a@h"),
        ("tel:+12015550123", "tel:+12015550123;ext=5"),
    ] {
        assert!(!same(a, b) && !same(b, a), "{a} {b}");
    }
}

#[test]
fn a_user_is_escaped_as_it_must_be() {
    let uri =
        SipUri::new(Some("a b@c#:%"), "2001:db8::1".parse::<core::net::IpAddr>().unwrap().into(), Some(5061));
    assert_eq!(uri.to_string(), "sip:a%20b%40c%23%3A%25@[2001:db8::1]:5061");
    assert_eq!(uri.to_string().parse::<Uri>().unwrap().user().unwrap(), "a b@c#:%");
    assert_eq!(unescape("%zz%4"), "%zz%4");
    assert_eq!("tel:;ext=1".parse::<Uri>(), Err(UriError::Number));
}

#[test]
fn a_via_knows_where_a_response_goes() {
    let mut via: Via = "SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKx".parse().unwrap();
    via.note_source("192.0.2.1:9988".parse().unwrap());
    assert_eq!(via.to_string(), "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKx;received=192.0.2.1");
    assert_eq!((via.reply_to().0.to_string(), via.reply_to().1), ("192.0.2.1".to_owned(), Some(9988)));
    let mut forged: Via = "SIP/2.0/UDP 192.0.2.1;received=203.0.113.5".parse().unwrap();
    forged.note_source("192.0.2.1:5060".parse().unwrap());
    assert_eq!(forged.received(), None);
    let maddr: Via = "SIP/2.0/UDP a:5070;maddr=224.2.0.1;ttl=16".parse().unwrap();
    assert_eq!((maddr.reply_to().0.to_string(), maddr.ttl()), ("224.2.0.1".to_owned(), Some(16)));
}

fn uri() -> impl Strategy<Value = Uri> {
    let host = prop_oneof![
        "[a-z]{1,8}(\\.[a-z]{1,4})?".prop_map(Host::Name),
        any::<core::net::IpAddr>().prop_map(Host::Ip),
    ];
    (proptest::option::of("\\PC{1,12}"), host, proptest::option::of(any::<u16>()), "[a-z]{1,5}", "\\PC{0,6}")
        .prop_map(|(user, host, port, name, value)| {
            SipUri::new(user.as_deref(), host, port).with(&name, Some(&value)).into()
        })
}

proptest! {
    #[test]
    fn built_addresses_come_back(uri in uri(), display in "\\PC{0,20}", tag in "[a-z0-9]{1,9}", value in "\\PC{0,9}") {
        let address = NameAddr::new(uri).with_display(&display).with("tag", Some(&tag)).with("x", Some(&value));
        let back: NameAddr = address.to_string().parse().unwrap();
        prop_assert_eq!(back.display().unwrap_or_default(), display);
        prop_assert_eq!(back.params.text("x").unwrap(), value);
        prop_assert!(back.uri.same_as(&address.uri));
        prop_assert_eq!(back, address);
    }

    #[test]
    fn no_address_text_panics(text in "(\"\\PC{0,8}\"|\\PC{0,8})?<?(sips?|tel|urn)?:?[\\PC]{0,30}>?(;\\PC{0,8})?") {
        if let Ok(address) = text.parse::<NameAddr>() {
            prop_assert_eq!(address.to_string().parse::<NameAddr>().unwrap(), address);
        }
        if let Ok(uri) = text.parse::<Uri>() {
            prop_assert!(uri.same_as(&uri));
            prop_assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri);
        }
        if let Ok(via) = text.parse::<Via>() {
            prop_assert_eq!(via.to_string().parse::<Via>().unwrap(), via);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn no_mutant_panics_and_what_is_printed_is_read_the_same(
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0_u8..4, prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b';'),
                Just(b'<'), Just(b'>'), Just(b':'), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'%'), Just(b'[')]),
            0..10,
        ),
    ) {
        let mut bytes = INVITE.replace("c: application/sdp\r\n", &format!("c: application/sdp\r\n{RICH}")).into_bytes();
        for (at, what, byte) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                2 => bytes[at] = byte,
                _ => {
                    let end = bytes.len().min(at + usize::from(byte));
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        survives(&bytes);
    }
}
