//! Messages that come in, go out and come back.

use super::*;
use crate::sip::wire::{Limits, Received, read_datagram};

pub(crate) const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
Via: SIP/2.0/UDP pc33.atlanta.example.com:5066;branch=z9hG4bK776asdhds;rport\r\n\
Via: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bKa, SIP / 2.0 / TLS-SCTP h ; branch = z9hG4bKb\r\n\
Max-Forwards: 70\r\n\
t: \"Bob \\\"B\\\" <x>\" <sip:bob.smith@biloxi.example.com>\r\n\
f: Alice <sip:alice@atlanta.example.com>;tag=1928301774\r\n\
Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n\
CSeq: 314159 INVITE\r\n\
Record-Route: <sip:p1;lr>,\r\n <sip:p2;lr>\r\n\
m: <sip:alice@pc33.atlanta.example.com;transport=tcp?X=%3Csip:x%3E>;q=0.5;expires=60, \"a,b\" <tel:+1-555;ext=3>\r\n\
X-Odd_Name: what, ever; it says\r\n\
c: application/sdp\r\n\
l: 4\r\n\r\nv=0\nrest that is ignored";

pub(crate) fn read(text: impl AsRef<[u8]>) -> Message {
    match read_datagram(text.as_ref(), &Limits::default()) {
        Received::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

fn request(text: impl AsRef<[u8]>) -> Request {
    match read(text) {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

#[test]
fn a_request_is_read_whole() {
    let r = request(INVITE);
    assert_eq!(r.method, Method::Invite);
    assert_eq!(r.uri.user().unwrap(), "bob");
    assert_eq!(r.head.via.branch(), Some("z9hG4bK776asdhds"));
    assert!(r.head.via.asks_rport());
    assert_eq!(r.head.via_below.len(), 2);
    assert_eq!(r.head.via_below[0].host.to_string(), "[2001:db8::1]");
    assert_eq!(r.head.via_below[1].transport, "TLS-SCTP");
    assert_eq!(r.head.via_below[1].branch(), Some("z9hG4bKb"));
    assert_eq!(r.head.to.display().unwrap(), "Bob \"B\" <x>");
    assert_eq!(r.head.from.tag(), Some("1928301774"));
    assert_eq!(r.head.cseq, CSeq::new(314_159, Method::Invite));
    assert_eq!(r.headers.routes(&Name::RecordRoute).unwrap().len(), 2);
    let Contacts::These(contacts) = r.headers.contacts().unwrap() else { panic!() };
    assert_eq!((contacts[0].q(), contacts[0].expires()), (500, Some(60)));
    assert_eq!(contacts[0].uri.sip().unwrap().header("x").unwrap(), "<sip:x>");
    assert_eq!(contacts[1].uri.user().unwrap(), "+1555");
    assert_eq!(r.headers.get(&Name::parse("x-odd_name")), Some("what, ever; it says"));
    assert!(r.headers.content_type().unwrap().unwrap().is("application/sdp"));
    assert_eq!(r.body, b"v=0\n");
}

#[test]
fn what_is_printed_is_read_the_same() {
    let r = read(INVITE);
    assert_eq!(read(r.to_bytes()), r);
}

#[test]
fn a_response_copies_what_identifies_the_request() {
    let r = request(INVITE);
    let ok = Response::to(&r, Status::OK, "abc").with_body("text/plain", "hi");
    assert_eq!(ok.head.to.tag(), Some("abc"));
    assert_eq!(ok.headers.routes(&Name::RecordRoute).unwrap().len(), 2);
    assert_eq!(read(ok.to_bytes()), ok.clone().into());
    assert_eq!(Response::to(&r, Status::TRYING, "abc").head.to.tag(), None);
    let ack = r.ack(&ok);
    assert_eq!((ack.head.via.clone(), ack.head.to.tag()), (r.head.via.clone(), Some("abc")));
    assert_eq!(ack.head.cseq, CSeq::new(314_159, Method::Ack));
    assert!(ack.head.via_below.is_empty());
    assert_eq!(r.cancel().head.cseq, CSeq::new(314_159, Method::Cancel));
}

#[test]
fn no_value_can_smuggle_a_line() {
    let mut r = request(INVITE);
    r.headers.push(Name::Subject, "a\r\nX-Evil: 1");
    r.head.from.set_tag("x\r\nX-Evil: 2");
    let text = String::from_utf8(r.to_bytes()).unwrap();
    assert!(!text.contains("\nX-Evil"), "{text}");
}

#[test]
fn credentials_stay_out_of_debug() {
    let r = request(INVITE).with(Name::Authorization, "Digest username=\"u\", response=\"secret\"");
    assert!(!format!("{r:?}").contains("secret"));
    assert!(!format!("{:?}", r.headers.auth(&Name::Authorization)).contains("secret"));
}
