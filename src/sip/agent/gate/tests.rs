//! Odd requests at the gate, and what each is told.

use super::*;
use crate::sip::message::Message;
use crate::sip::transaction::Transport;
use crate::sip::wire::{Limits, Received, read_datagram};

const INVITE: &str = "INVITE sip:100@192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKaa
Max-Forwards: 70
From: <sip:x@198.51.100.7>;tag=ft
To: <sip:100@192.0.2.1>
Call-ID: c1
CSeq: 1 INVITE
Contact: <sip:x@198.51.100.7>
Content-Type: application/sdp
Content-Length: 4

v=0
";

fn received(text: &str) -> Received {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let head: String = head.lines().map(|l| format!("{l}\r\n")).collect();
    read_datagram(format!("{head}\r\n{body}").as_bytes(), &Limits::default())
}

fn request(text: &str) -> Request {
    match received(text) {
        Received::Message(message) => match *message {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        },
        other => panic!("{other:?}"),
    }
}

fn from() -> Route {
    let hop = Hop { addr: "198.51.100.7:5060".parse().unwrap(), transport: Transport::Udp };
    Route { hop, local: "192.0.2.1:5060".parse().unwrap() }
}

fn admit(text: &str) -> Result<(), Box<Turned>> {
    Gate::new([1; 32]).admit(&request(text), from(), "tt", Now::at(0, 0))
}

/// The INVITE with one text in place of another gets this code; its response is given back.
fn with(old: &str, new: &str, code: u16) -> Response {
    assert!(INVITE.contains(old), "{old}");
    let turned = admit(&INVITE.replace(old, new)).unwrap_err();
    assert_eq!(turned.response.status.code(), code, "{}", turned.response.reason);
    assert_eq!(turned.response.head.to.tag(), Some("tt"));
    turned.response
}

/// The INVITE as another request without a body, with more lines.
fn other(method: &str, lines: &str) -> String {
    let text = INVITE.replace("INVITE", method).replace("Content-Type: application/sdp\n", lines);
    text.replace("Content-Length: 4", "Content-Length: 0").replace("v=0\n", "")
}

#[test]
fn a_sane_request_passes() {
    admit(INVITE).unwrap();
    for method in ["BYE", "OPTIONS", "REGISTER", "UPDATE", "INFO"] {
        admit(&other(method, "")).unwrap();
    }
    admit(&other("REFER", "Refer-To: <sip:102@192.0.2.1>\n")).unwrap();
    admit(&other("PRACK", "RAck: 1 1 INVITE\n")).unwrap();
    admit(&other("NOTIFY", "Event: refer\n")).unwrap();
    for (old, new) in [
        ("Max-Forwards: 70\n", ""),
        ("sip:100@192.0.2.1 SIP", "tel:+12065550101 SIP"),
        ("CSeq", "Require: timer, 100REL\nCSeq"),
        ("CSeq", "Accept: text/html, application/*;q=0.1\nCSeq"),
        ("CSeq", "Content-Encoding: identity\nCSeq"),
        ("application/sdp", "APPLICATION/Sdp;charset=x"),
        ("application/sdp", "text/unknown\nContent-Disposition: session;handling=optional"),
    ] {
        admit(&INVITE.replace(old, new)).unwrap();
    }
}

#[test]
fn methods_that_are_not_served_are_405_or_501() {
    for (method, code) in [("SUBSCRIBE", 405), ("PUBLISH", 405), ("FOO", 501), ("invite", 501)] {
        let turned = admit(&other(method, "")).unwrap_err();
        assert_eq!(turned.response.status.code(), code);
        assert_eq!(turned.response.headers.get(&Name::Allow), Some(ALLOW_PHONES));
        assert_eq!(turned.offence.is_some(), code == 501);
    }
}

#[test]
fn what_would_be_passed_on_needs_a_hop() {
    with("Forwards: 70", "Forwards: 0", 483);
    let text = other("MESSAGE", "");
    admit(&text).unwrap();
    let turned = admit(&text.replace("Forwards: 70", "Forwards: 0")).unwrap_err();
    assert_eq!(turned.response.status, Status::TOO_MANY_HOPS);
    for method in ["OPTIONS", "REGISTER", "BYE"] {
        admit(&other(method, "").replace("Forwards: 70", "Forwards: 0")).unwrap();
    }
    admit(&INVITE.replace("Forwards: 70", "Forwards: 0").replace("192.0.2.1>", "192.0.2.1>;tag=in")).unwrap();
}

#[test]
fn unknown_extensions_are_420_and_named() {
    let response = with("CSeq", "Require: foo, timer\nRequire: bar\nProxy-Require: baz\nCSeq", 420);
    assert_eq!(response.headers.get(&Name::Unsupported), Some("foo, bar"));
    let response = with("CSeq", "Proxy-Require: baz\nCSeq", 420);
    assert_eq!(response.headers.get(&Name::Unsupported), Some("baz"));
    with("CSeq", "Require: two words\nCSeq", 400);
}

#[test]
fn bodies_that_nobody_reads_are_415() {
    let response = with("application/sdp", "application/unknown", 415);
    assert_eq!(response.headers.get(&Name::Accept), Some("application/sdp"));
    let response = with("CSeq", "Content-Encoding: gzip\nCSeq", 415);
    assert_eq!(response.headers.get(&Name::AcceptEncoding), Some("identity"));
    with("Content-Type: application/sdp\n", "", 400);
    with("application/sdp", "sdp", 400);
    let bye = INVITE.replace("INVITE", "BYE").replace("application/sdp", "x/y");
    admit(&bye).unwrap();
    let info = admit(&INVITE.replace("INVITE", "INFO")).unwrap_err();
    assert_eq!(info.response.headers.get(&Name::Accept), Some("application/dtmf-relay, application/dtmf"));
}

#[test]
fn who_takes_no_sdp_is_406() {
    for line in ["text/plain", "", "application/sdp;q=0", "application/sdp ; q = 0.00"] {
        let response = with("CSeq", &format!("Accept: {line}\nCSeq"), 406);
        assert_eq!(response.headers.get(&Name::Accept), Some("application/sdp"));
    }
    assert_eq!(admit(&other("OPTIONS", "Accept: text/x\n")).unwrap_err().response.status.code(), 406);
    admit(&other("REGISTER", "Accept: text/x\n")).unwrap();
}

#[test]
fn fields_that_a_method_needs_are_400_without() {
    with("Contact: <sip:x@198.51.100.7>\n", "", 400);
    with("<sip:x@198.51.100.7>\nContent", "<sip:x@198.51.100.7>, <sip:y@198.51.100.7>\nContent", 400);
    with("Contact: <sip:x@198.51.100.7>", "Contact: *", 400);
    with("Contact: <sip:x@198.51.100.7>", "Contact: <mailto:x@198.51.100.7>", 400);
    admit(&INVITE.replace("Contact: <sip:x@198.51.100.7>\n", "").replace("z9hG4bKaa", "old")).unwrap();
    for (method, lines) in [
        ("PRACK", ""),
        ("PRACK", "RAck: x\n"),
        ("REFER", ""),
        ("REFER", "Refer-To: <sip:a@b>\nRefer-To: <sip:c@d>\n"),
        ("NOTIFY", ""),
        ("BYE", "Session-Expires: soon\n"),
        ("BYE", "Replaces: a;to-tag=1;from-tag=2\n"),
    ] {
        assert_eq!(admit(&other(method, lines)).unwrap_err().response.status.code(), 400, "{method} {lines}");
    }
}

#[test]
fn one_replaces_and_no_join_beside_it() {
    let one = "Replaces: a;to-tag=1;from-tag=2\n";
    admit(&INVITE.replace("CSeq", &format!("{one}CSeq"))).unwrap();
    with("CSeq", &format!("{one}{one}CSeq"), 400);
    with("CSeq", &format!("{one}Join: b;to-tag=1;from-tag=2\nCSeq"), 400);
    with("CSeq", "Replaces: a;to-tag=1\nCSeq", 400);
}

#[test]
fn our_own_request_that_comes_back_is_482() {
    let own = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours\nMax-Forwards: 69";
    with("Max-Forwards: 70", own, 482);
    admit(&INVITE.replace("Max-Forwards: 70", &own.replace("192.0.2.1", "192.0.2.1:5070"))).unwrap();
}

#[test]
fn the_same_request_by_another_way_is_482_for_a_while() {
    let mut gate = Gate::new([1; 32]);
    let by = |branch: &str| request(&INVITE.replace("z9hG4bKaa", branch));
    let mut code = |request: &Request, second: u64| {
        let answer = gate.admit(request, from(), "t", Now::at(second * 1000, 0));
        answer.map_err(|t| t.response.status.code())
    };
    assert_eq!(code(&by("z9hG4bKaa"), 0), Ok(()));
    assert_eq!(code(&by("z9hG4bKbb"), 1), Err(482));
    assert_eq!(code(&by("z9hG4bKaa"), 2), Ok(()));
    let next = request(&INVITE.replace("CSeq: 1", "CSeq: 2").replace("z9hG4bKaa", "z9hG4bKcc"));
    assert_eq!(code(&next, 2), Ok(()));
    let inside = request(&INVITE.replace("192.0.2.1>", "192.0.2.1>;tag=x").replace("z9hG4bKaa", "z9hG4bKdd"));
    assert_eq!(code(&inside, 2), Ok(()));
    let health = |branch: &str| request(&other("OPTIONS", "").replace("z9hG4bKaa", branch));
    assert_eq!(code(&health("z9hG4bKaa"), 3), Ok(()));
    assert_eq!(code(&health("z9hG4bKbb"), 3), Ok(()));
    assert_eq!(code(&by("z9hG4bKee"), 33), Ok(()), "long over");
    gate.challenged(&by("z9hG4bKee"));
    let again = gate.admit(&by("z9hG4bKff"), from(), "t", Now::at(33_000, 0));
    assert!(again.is_ok(), "a phone that answers a challenge under the same CSeq");
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut gate = Gate::new([1; 32]);
    let mut one = request(INVITE);
    for n in 0..40_000 {
        one.head.call_id = format!("c{n}");
        gate.admit(&one, from(), "t", Now::at(n / 100, 0)).unwrap();
        assert!(gate.first.len() <= REMEMBERED && gate.order.len() <= REMEMBERED);
    }
    one.head.call_id = "last".to_owned();
    gate.admit(&one, from(), "t", Now::at(100_000, 0)).unwrap();
    assert_eq!((gate.first.len(), gate.order.len()), (1, 1));
    assert!(gate.order.capacity() <= 128 && gate.first.capacity() <= 128);
    gate.forget(Mono(131_999));
    assert_eq!(gate.first.len(), 1, "it may still come another way");
    gate.forget(Mono(132_000));
    assert_eq!((gate.first.len(), gate.order.len()), (0, 0), "nobody has to ask again");
}

#[test]
fn a_cancel_counts_only_from_where_its_invite_came() {
    let mut gate = Gate::new([1; 32]);
    let invite = request(INVITE);
    gate.admit(&invite, from(), "t", Now::at(0, 0)).unwrap();
    let cancel = invite.cancel();
    assert!(gate.admits_cancel(&cancel, from().hop));
    let stranger = Hop { addr: "203.0.113.9:5060".parse().unwrap(), transport: Transport::Udp };
    assert!(!gate.admits_cancel(&cancel, stranger));
    let mut unknown = cancel;
    unknown.head.call_id = "c2".to_owned();
    assert!(gate.admits_cancel(&unknown, stranger), "the transactions say 481");
}

#[test]
fn what_the_door_refused_is_answered_where_it_came_from() {
    let Received::Refused(refused) = received(&INVITE.replace("Forwards: 70", "Forwards: 300")) else {
        panic!("not refused")
    };
    let hop = Hop { addr: "203.0.113.9:1027".parse().unwrap(), transport: Transport::Udp };
    let sent = refusal((*refused).clone(), hop, &[1; 32]);
    assert_eq!(sent.to.addr, "203.0.113.9:5060".parse().unwrap());
    let text = String::from_utf8(sent.bytes.clone()).unwrap();
    assert!(text.starts_with("SIP/2.0 400 ") && text.contains(";received=203.0.113.9"), "{text}");
    assert_eq!(refusal((*refused).clone(), hop, &[1; 32]), sent, "the same tag again");
    let stream = Hop { transport: Transport::Tcp, ..hop };
    assert_eq!(refusal(*refused, stream, &[1; 32]).to, stream);
}
