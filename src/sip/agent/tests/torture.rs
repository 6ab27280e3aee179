//! Messages of the kinds that RFC 4475 (§3.1 to §3.4) and RFC 5118 describe, through the wire's door and the whole
//! agent, and what each is answered. Where a challenge stands in the order of things: behind all that depends on the
//! request alone (form 400, version 505, scheme 416, method 501 and 405, extensions 420, bodies 415, Accept 406, hops
//! 483, loops 482; OPTIONS is answered to everybody), before all that depends on this box: INVITE and REGISTER of a
//! stranger get 401, whoever they ask for. A provider, known by its address, is never challenged; a REGISTER always.

use core::net::SocketAddr;

use super::world::*;
use crate::sip::agent::*;
use crate::sip::digest::Client;
use crate::sip::message::{Message, Method, Name};
use crate::types::*;

const PROVIDER: &str = "10.0.0.4:5060";
const STRANGER: &str = "203.0.113.66:5060";

/// Codes of final answers.
fn codes(w: &World, from: SocketAddr) -> Vec<u16> {
    let answers = w.log.iter().filter(|(_, f, t, _)| *f == address(0) && t.ip() == from.ip());
    let code = |text: &str| text.strip_prefix("SIP/2.0 ").map(|rest| rest[..3].parse::<u16>().unwrap());
    answers.filter_map(|(.., text)| code(text)).filter(|code| *code >= 200).collect()
}

/// A message as it goes over the wire: lines get their CRLF, `LENGTH` the body's, `@HERE` the sender's address.
fn wire(text: &str, from: SocketAddr) -> Vec<u8> {
    let text = text.trim_start().replace("@HERE", &from.ip().to_string());
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let body: String = body.lines().map(|l| format!("{l}\r\n")).collect();
    let head: String =
        head.lines().map(|l| format!("{}\r\n", l.replace("LENGTH", &body.len().to_string()))).collect();
    format!("{head}\r\n{body}").into_bytes()
}

/// What a fresh box answers, and what calls it offers.
fn told(text: &str, from: &str) -> (Vec<u16>, usize, World) {
    let from: SocketAddr = from.parse().unwrap();
    let mut w = World::shop();
    w.log.clear();
    w.dead.insert(address(3));
    w.inject(from, 0, &wire(text, from));
    w.run(20);
    let offers = w.events(0).iter().filter(|(_, e)| matches!(e, LegEvent::Offered(_))).count();
    (codes(&w, from), offers, w)
}

/// The same answer to everybody.
fn answered(text: &str, code: u16) -> String {
    for from in [PROVIDER, STRANGER] {
        let (codes, offers, _) = told(text, from);
        assert_eq!((codes, offers), (vec![code], 0), "from {from}: {text}");
    }
    let (_, _, w) = told(text, STRANGER);
    w.log[0].3.clone()
}

fn dropped(text: &str) {
    for from in [PROVIDER, STRANGER] {
        let (codes, offers, w) = told(text, from);
        assert_eq!((codes, offers), (Vec::new(), 0), "{text}");
        assert!(w.log.is_empty(), "{:?}", w.log);
    }
}

/// A good INVITE: the provider's becomes a call, a stranger's is challenged.
fn invites(text: &str) {
    let (codes, offers, _) = told(text, PROVIDER);
    assert_eq!((codes, offers), (Vec::new(), 1), "{text}");
    challenged(text, STRANGER);
}

fn challenged(text: &str, from: &str) {
    let (codes, offers, w) = told(text, from);
    assert_eq!((codes, offers), (vec![401], 0), "{text}");
    assert!(w.log[0].3.contains("\r\nWWW-Authenticate: Digest "), "{}", w.log[0].3);
}

const SDP: &str = "Content-Type: application/sdp
Content-Length: LENGTH

v=0
o=mhandley 29739 7272939 IN IP4 @HERE
s=-
c=IN IP4 @HERE
t=0 0
m=audio 49217 RTP/AVP 0 101
a=rtpmap:101 telephone-event/8000";

fn invite(lines: &str) -> String {
    format!(
        "INVITE sip:vivekg@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP @HERE:5060;branch=z9hG4bK-t{}
Max-Forwards: 70
From: <sip:caller@example.net>;tag=98asjd8
To: <sip:vivekg@10.0.0.1>
Call-ID: torture@example.net
CSeq: 9 INVITE
Contact: <sip:caller@@HERE>
{lines}{SDP}",
        lines.len()
    )
}

fn options(old: &str, new: &str) -> String {
    let good = "OPTIONS sip:user@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP @HERE:5060;branch=z9hG4bKkdjuw
Max-Forwards: 70
From: <sip:caller@example.net>;tag=323
To: <sip:user@10.0.0.1>
Call-ID: c@example.net
CSeq: 8 OPTIONS
Contact: <sip:caller@host5.example.net>
Content-Length: 0
";
    assert!(good.contains(old), "{old}");
    good.replacen(old, new, 1)
}

fn register(contact: &str) -> String {
    format!(
        "REGISTER sip:10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP @HERE:5060;branch=z9hG4bKreg
Max-Forwards: 70
From: <sip:desk@10.0.0.1>;tag=838293
To: <sip:desk@10.0.0.1>
Call-ID: reg@example.net
CSeq: 79 REGISTER
Contact: {contact}
Content-Length: 0
"
    )
}

/// 3.1.1.1: blanks and folds wherever they may be, unknown fields, compact names.
#[test]
fn tortuous_white_space() {
    invites(&format!(
        "INVITE sip:vivekg@10.0.0.1;unknownparam SIP/2.0
TO :
 sip:vivekg@10.0.0.1 ;   tag    = 
From   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    @HERE:5060;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:\"Quoted string \\\"\\\"\" <sip:jdrosen@@HERE> ; newparam =
      newvalue ;
  secondparam ; q = 0.33
{SDP}"
    ));
}

/// 3.1.1.2 and 3.1.1.5: methods of odd characters are methods; an escape in one is none.
#[test]
fn unusual_methods() {
    for method in ["!interesting-Method0123456789_*+`.%indeed'~", "RE%47IST%45R", "NEWMETHOD", "invite"] {
        let text =
            options("OPTIONS sip", &format!("{method} sip")).replace("8 OPTIONS", &format!("8 {method}"));
        let answer = answered(&text, 501);
        assert!(answer.contains("\r\nAllow: INVITE, ACK"), "{answer}");
    }
    for method in ["SUBSCRIBE", "PUBLISH"] {
        let text =
            options("OPTIONS sip", &format!("{method} sip")).replace("8 OPTIONS", &format!("8 {method}"));
        assert!(answered(&text, 405).contains("\r\nAllow: INVITE, ACK"));
    }
}

/// 3.1.1.3, 3.1.1.4, 3.1.1.6, 3.1.1.9: escapes, nulls and semicolons in users; no blank before `<`.
#[test]
fn unusual_addresses() {
    invites(&invite("").replace("sip:vivekg@10.0.0.1 SIP", "sip:sips%3Auser%40example.com@10.0.0.1 SIP"));
    let null = "sip:null-%00-null@10.0.0.1";
    challenged(&register("<sip:%00@host5.example.com>").replace("sip:desk@10.0.0.1", null), STRANGER);
    answered(&options("<sip:caller@example.net>", "caller<sip:caller@example.com>"), 200);
    answered(&options("sip:user@10", "sip:user;par=u%40example.net@10"), 200);
}

/// 3.1.1.7: long values.
#[test]
fn long_values() {
    let long = "longvalue".repeat(30);
    let lines = format!(
        "Unknown-{long}: {long}
Record-Route: <sip:{long}@example.com;lr>
Record-Route: <sip:p1.example.com;{long}={long};lr>
"
    );
    let text = invite(&lines).replace("caller@example.net", &format!("{long}@{long}.example"));
    invites(&text.replace("torture@", &long).replace("branch=z9hG4bK-t", &format!("branch=z9hG4bK-{long}")));
}

/// 3.1.1.8: what is behind the body is nobody's.
#[test]
fn two_requests_in_one_datagram() {
    let (first, second) = (register("<sip:j@host>"), invite(""));
    let from: SocketAddr = STRANGER.parse().unwrap();
    let mut w = World::shop();
    w.log.clear();
    w.inject(from, 0, &[wire(&first, from), wire(&second, from)].concat());
    assert_eq!(codes(&w, from), [401]);
    assert!(w.log[0].3.contains("CSeq: 79 REGISTER"));
}

/// 3.1.1.10: transports that nobody knows, below our own.
#[test]
fn varied_transports() {
    let vias = "\nVia: SIP/2.0/SCTP t2.example.com;branch=z9hG4bK2\nVia: SIP/2.0/TLS t3.example.com;branch=z9hG4bK3\n\
                Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bK4\nMax-Forwards";
    let answer = answered(&options("\nMax-Forwards", vias), 200);
    assert_eq!(answer.matches("\r\nVia: ").count(), 4);
    answered(&options("SIP/2.0/UDP @HERE", "SIP/2.0/UNKNOWN @HERE"), 200);
}

/// 3.1.1.11: a body in several parts, bytes that are no text among them.
#[test]
fn multipart_message() {
    let from: SocketAddr = PROVIDER.parse().unwrap();
    let mut w = World::shop();
    w.log.clear();
    let mut bytes = wire(
        &invite("")
            .replace("INVITE", "MESSAGE")
            .replace("application/sdp", "multipart/mixed;boundary=7a9cbec02ceef655"),
        from,
    );
    let at = bytes.len() - 20;
    bytes[at..at + 5].copy_from_slice(&[0x30, 0x82, 0x01, 0xff, 0x00]);
    w.inject(from, 0, &bytes);
    assert_eq!(codes(&w, from), [405]);
}

/// 3.1.1.12, 3.1.1.13, 3.1.2.5, 3.1.2.19, 3.3.8: responses to nothing, good or bad.
#[test]
fn stray_responses() {
    for status in [
        "200 = 2**3 * 5**2 \u{43d}\u{43e}",
        "100 ",
        "503 Service Unavailable",
        "4294967301 better not break the receiver",
        "200 OK",
    ] {
        let text = options("OPTIONS sip:user@10.0.0.1 SIP/2.0", &format!("SIP/2.0 {status}"));
        dropped(&text);
        dropped(&text.replace("CSeq: 8 OPTIONS", "CSeq: 9292394834772304023312 OPTIONS"));
        dropped(&text.replace("@HERE:5060", "10.0.0.1;branch=z9hG4bKa, SIP/2.0/UDP 255.255.255.255"));
    }
}

/// 3.1.2.1 to 3.1.2.15: what is not well formed is 400, whoever asks.
#[test]
fn malformed_requests() {
    for (old, new) in [
        (";branch=z9hG4bKkdjuw", ";branch=z9hG4bKkdjuw;;,;,,"),
        ("<sip:caller@host5.example.net>", "\"Joe\" <sip:joe@example.org>;;;;"),
        ("Length: 0", "Length: 9999"),
        ("Length: 0", "Length: -999"),
        ("CSeq: 8", "CSeq: 36893488147419103232"),
        ("Forwards: 70", "Forwards: 300"),
        ("<sip:user@10.0.0.1>", "\"Mr. J. User <sip:j.user@example.com>"),
        ("sip:user@10.0.0.1 SIP", "<sip:user@10.0.0.1> SIP"),
        ("sip:user@10.0.0.1 SIP", "sip:user@10.0.0.1; lr SIP"),
        ("OPTIONS sip:user@10.0.0.1 SIP", "OPTIONS  sip:user@10.0.0.1  SIP"),
        ("SIP/2.0\n", "SIP/2.0  \n"),
        ("sip:user@10.0.0.1 SIP", "sip:user@10.0.0.1?Route=%3Csip:example.com%3E SIP"),
        ("CSeq", "Date: Fri, 01 Jan 2010 16:00:00 EST\nCSeq"),
        (
            "Contact: <sip:caller@host5.example.net>",
            "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        ),
        ("To: <sip:user@10.0.0.1>", "To: \"Watson, Thomas\" < sip:t.watson@example.org >"),
        ("From: <sip:caller@example.net>", "From: Bell, Alexander <sip:a.g.bell@example.com>"),
        ("8 OPTIONS", "8 INVITE"),
        ("OPTIONS sip", "NEWMETHOD sip"),
        ("Call-ID: c@example.net\n", ""),
        ("From: <sip:caller@example.net>;tag=323\n", ""),
        ("To: <sip:user@10.0.0.1>\n", ""),
        ("CSeq: 8 OPTIONS\n", ""),
        ("CSeq", "CSeq: 9 OPTIONS\nCSeq"),
        ("Contact", "Content-Length: 5\nContact"),
        ("Contact", "From: <sip:other@example.net>;tag=3\nContact"),
        ("Contact", "Max-Forwards: 5\nContact"),
    ] {
        let text = options(old, new);
        let answer = answered(&text, 400);
        assert!(answer.starts_with("SIP/2.0 400 Bad Request: ") && answer.contains(";tag="), "{answer}");
    }
    for contact in ["<sip:joe@host", "sip:a@b?x=y", "\"x <sip:a@b>"] {
        answered(&register(contact), 400);
    }
}

/// 3.1.2.16: another version.
#[test]
fn unknown_version() {
    answered(&options("SIP/2.0\nVia", "SIP/7.0\nVia"), 505);
}

/// 3.2.1: a branch that is nothing but the cookie is an old one: the same request again is the same, another is not.
#[test]
fn branch_without_anything_behind_the_cookie() {
    let text = options("z9hG4bKkdjuw", "z9hG4bK");
    answered(&text, 200);
    let from: SocketAddr = STRANGER.parse().unwrap();
    let mut w = World::shop();
    w.log.clear();
    for text in [&text, &text, &text.replace("Call-ID: c", "Call-ID: d")] {
        w.inject(from, 0, &wire(text, from));
    }
    assert_eq!(codes(&w, from), [200, 200, 200], "the second is the first's answer again");
    let tags: Vec<_> = w.log.iter().map(|(.., text)| header(text, "To").unwrap().to_owned()).collect();
    assert!(tags[0] == tags[1] && tags[1] != tags[2], "{tags:?}");
}

/// 3.3.2 to 3.3.4: schemes. In To and Contact of a REGISTER an unknown one waits behind the challenge.
#[test]
fn unknown_schemes() {
    for uri in ["nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002"] {
        answered(&options("sip:user@10.0.0.1 SIP", &format!("{uri} SIP")), 416);
    }
    let odd = register("<name:John_Smith>").replace("To: <sip:desk@10.0.0.1>", "To: isbn:2983792873");
    challenged(&odd.replace("From: <sip:desk@10.0.0.1>", "From: <http://www.example.com>"), STRANGER);
    invites(&invite("").replace("sip:vivekg@10.0.0.1 SIP", "tel:+12065550101 SIP"));
}

/// 3.3.5: Require before Proxy-Require.
#[test]
fn unknown_extensions() {
    let lines = "Require: nothingSupportsThis, nothingSupportsThisEither\n\
                 Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\nCSeq";
    let answer = answered(&options("CSeq", lines), 420);
    let named = "\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n";
    assert!(answer.contains(named), "{answer}");
    answered(&invite("Proxy-Require: noProxiesSupportThis\n"), 420);
}

/// 3.3.6 and RFC 3261 §8.2.3: bodies.
#[test]
fn unknown_bodies() {
    let answer = answered(&invite("").replace("application/sdp", "application/unknownformat"), 415);
    assert!(answer.contains("\r\nAccept: application/sdp\r\n"), "{answer}");
    answered(&invite("Content-Encoding: gzip\n"), 415);
    answered(&invite("").replace("Content-Type: application/sdp\n", ""), 400);
    let optional = "application/unknownformat\nContent-Disposition: render;handling=optional";
    invites(&invite("").replace("application/sdp", optional));
}

/// 3.3.7: credentials of a scheme that nobody knows are none.
#[test]
fn unknown_authorization() {
    let text = register("<sip:j@host>")
        .replace("Content", "Authorization: NoOneKnowsThisScheme opaque-data=here\nContent");
    challenged(&text, STRANGER);
    challenged(&text, PROVIDER);
}

/// 3.3.11 and RFC 7332: OPTIONS ends here; a call would go on.
#[test]
fn no_hops_left() {
    answered(&options("Forwards: 70", "Forwards: 0"), 200);
    answered(&invite("").replace("Forwards: 70", "Forwards: 0"), 483);
}

/// 3.3.12 to 3.3.14: what a registered contact may have, once the phone has said who it is.
#[test]
fn odd_contacts_of_a_registered_phone() {
    for (contact, kept) in [
        ("<sip:+19725552222@10.0.0.2;unknownparam>", "<sip:+19725552222@10.0.0.2;unknownparam>"),
        ("sip:+19725552222@10.0.0.2;unknownparam", "<sip:+19725552222@10.0.0.2>"),
        ("<sip:user@10.0.0.2?Route=%3Csip:sip.example.com%3E>", "<sip:user@10.0.0.2>"),
        ("<sip:a@[2001:db8::1]:5061>", "<sip:a@[2001:db8::1]:5061>"),
    ] {
        let answer = authenticated(&register(contact));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        assert!(answer.contains(&format!("\r\nContact: {kept};expires=3600")), "{answer}");
    }
    assert!(authenticated(&register("<name:John_Smith>")).starts_with("SIP/2.0 400 "));
    let other = register("<sip:a@10.0.0.2>").replace("To: <sip:desk", "To: <sip:office");
    assert!(authenticated(&other).starts_with("SIP/2.0 403 "));
}

/// The answer to a REGISTER with the right password.
fn authenticated(text: &str) -> String {
    let from: SocketAddr = "10.0.0.2:5070".parse().unwrap();
    let mut w = World::shop();
    w.log.clear();
    w.inject(from, 0, &wire(&text.replace(":5060;branch", ":5070;branch"), from));
    let Message::Response(challenge) = read(&w.log[0].3) else { panic!("no response") };
    let asked = challenge.headers.auth(&Name::WwwAuthenticate);
    let mut client = Client::new(&asked).unwrap();
    let uri = "sip:10.0.0.1".parse().unwrap();
    let method = Method::Register;
    let credentials = client.authorize(&login("desk"), &method, &uri, "c").to_string();
    let again = text
        .replace(":5060;branch=z9hG4bKreg", ":5070;branch=z9hG4bKreg2")
        .replace("CSeq: 79", "CSeq: 80")
        .replace("Content", &format!("Authorization: {credentials}\nContent"));
    w.log.clear();
    w.inject(from, 0, &wire(&again, from));
    w.log[0].3.clone()
}

/// 3.3.15: nobody who calls is told in a language that this box does not speak.
#[test]
fn unacceptable_accept() {
    let answer = answered(&invite("Accept: text/nobodyKnowsThis\n"), 406);
    assert!(answer.contains("\r\nAccept: application/sdp\r\n"));
}

/// 3.4.1: as RFC 2543 had it: no branch, no tag, no Max-Forwards, no Contact, no length.
#[test]
fn an_old_invite() {
    invites(&format!(
        "INVITE sip:UserB@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP @HERE
From: <sip:+13035551111@@HERE;user=phone>
Record-Route: <sip:UserB@example.com;maddr=@HERE>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE
{}",
        SDP.replace("Content-Length: LENGTH\n", "")
    ));
}

/// RFC 3261 §8.2.2.2, §16.3: the same request twice by different ways, and our own that comes back.
#[test]
fn merged_and_looped_requests() {
    let from: SocketAddr = PROVIDER.parse().unwrap();
    let mut w = World::shop();
    w.dead.insert(address(3));
    w.log.clear();
    let text = invite("");
    w.inject(from, 0, &wire(&text, from));
    w.inject(from, 0, &wire(&text.replace("z9hG4bK-t", "z9hG4bK-other"), from));
    assert_eq!(codes(&w, from), [482]);
    assert_eq!(w.offered(0).1.via, Via::Line("t".into()));
    let own = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKours\n";
    answered(&invite(own), 482);
}

/// What belongs to no dialog is 481, and an ACK is nothing.
#[test]
fn requests_inside_nothing() {
    for method in ["BYE", "INFO", "UPDATE", "CANCEL"] {
        let text =
            options("OPTIONS sip", &format!("{method} sip")).replace("8 OPTIONS", &format!("8 {method}"));
        answered(&text, 481);
        let inside = text.replace("To: <sip:user@10.0.0.1>", "To: <sip:user@10.0.0.1>;tag=gone");
        answered(&inside, 481);
    }
    let prack = options("OPTIONS sip", "PRACK sip").replace("8 OPTIONS", "8 PRACK\nRAck: 1 1 INVITE");
    answered(&prack, 481);
    dropped(&options("OPTIONS sip", "ACK sip").replace("8 OPTIONS", "8 ACK"));
    let reinvite = invite("").replace("To: <sip:vivekg@10.0.0.1>", "To: <sip:vivekg@10.0.0.1>;tag=gone");
    answered(&reinvite, 481);
}

/// RFC 3891 §3, RFC 3911 §4, RFC 3515 §2.4.2.
#[test]
fn fields_that_exclude_each_other() {
    let one = "Replaces: a@b;to-tag=1;from-tag=2\n";
    answered(&invite(&one.repeat(2)), 400);
    answered(&invite(&format!("{one}Join: a@b;to-tag=1;from-tag=2\n")), 400);
    answered(&invite("Contact: <sip:other@10.0.0.9>\n"), 400);
    answered(&invite("").replace("Contact: <sip:caller@@HERE>\n", ""), 400);
}

/// §9.2: nobody else ends a call that is not answered.
#[test]
fn a_cancel_from_elsewhere_is_ignored() {
    let from: SocketAddr = PROVIDER.parse().unwrap();
    let mut w = World::shop();
    w.dead.insert(address(3));
    let text = invite("");
    w.inject(from, 0, &wire(&text, from));
    w.offered(0);
    let (head, _) = text.split_once("Content-Type").unwrap();
    let cancel = format!("{}Content-Length: 0\n", head.replace("INVITE", "CANCEL"));
    let bytes = wire(&cancel, from);
    w.log.clear();
    w.inject(STRANGER.parse().unwrap(), 0, &bytes);
    assert!(w.log.is_empty() && w.events(0).is_empty());
    w.inject(from, 0, &bytes);
    assert_eq!(codes(&w, from), [200, 487]);
    assert!(matches!(w.events(0).as_slice(), [(_, LegEvent::Ended { .. })]));
}

/// RFC 5118 §4.1 to §4.5, §4.7, §4.10: IPv6 in every place.
#[test]
fn ipv6_references() {
    let v6 =
        |uri: &str| register("\"Caller\" <sip:caller@[2001:db8::1]>").replace("REGISTER sip:10.0.0.1", uri);
    for uri in [
        "sip:[2001:db8::10]",
        "sip:[2001:db8::10]:5070",
        "sip:[2001:db8::10:5070]",
        "sip:[2001:db8:::192.0.2.1]",
    ] {
        challenged(&v6(&format!("REGISTER {uri}")), STRANGER);
    }
    answered(&v6("REGISTER sip:2001:db8::10"), 400);
    for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let below = format!(
            "\nVia: SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKas3-111\nMax-Forwards"
        );
        let bye = options("\nMax-Forwards", &below).replace("OPTIONS", "BYE");
        let answer = answered(&bye, 481);
        assert!(answer.contains(&format!("received={received}")), "{answer}");
    }
}

/// RFC 5118 §4.6, §4.8, §4.9: IPv6 in descriptions. Media goes to nobody but who signals, so an address of the other
/// family is refused with 488.
#[test]
fn ipv6_in_descriptions() {
    for address in ["IP6 2001:db8::20", "IP6 ::ffff:192.0.2.10"] {
        let text = invite("").replace("c=IN IP4 @HERE", &format!("c=IN {address}"));
        challenged(&text, STRANGER);
        let (codes, _, _) = told(&text, PROVIDER);
        assert_eq!(codes, [488], "{address}");
    }
    invites(&invite("").replace("c=IN IP4 @HERE", "c=IN IP6 ::ffff:@HERE"));
    invites(
        &invite("")
            .replace("o=mhandley 29739 7272939 IN IP4 @HERE", "o=bob 280744730 28977631 IN IP6 2001:db8::21"),
    );
}

/// What differs by chance or by the question: nonce, tag of the To, the user.
fn masked(answer: &str, user: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in answer.lines() {
        let cut = |line: &str, from: &str, to: char| -> String {
            let Some((before, rest)) = line.split_once(from) else { return line.to_owned() };
            let after = rest.find(to).map_or("", |at| &rest[at..]);
            format!("{before}{from}{after}")
        };
        let line = if line.starts_with("To: ") { cut(line, ";tag=", ';') } else { line.to_owned() };
        lines.push(cut(&line, "nonce=\"", '"').replace(&format!("sip:{user}@"), "sip:USER@"));
    }
    lines.join("\n")
}

/// Thousands of guesses from one source: the answers for users that exist and for others are the same bytes, a call
/// goes on, nothing stays.
#[test]
fn scanners_learn_nothing_and_disturb_no_call() {
    let mut w = World::shop();
    w.keep_log = false;
    let far = w.dial(3, "far", Via::Line("shop".into()), "+12065550199");
    w.run(100);
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(100);
    w.events(0);
    w.keep_log = true;
    let from: SocketAddr = STRANGER.parse().unwrap();
    let ask = |w: &mut World, user: &str, n: usize, kind: usize| {
        let text = match kind {
            0 => {
                options("sip:user@", &format!("sip:{user}@")).replace("<sip:user@", &format!("<sip:{user}@"))
            }
            1 => register("<sip:x@203.0.113.66>").replace("sip:desk@", &format!("sip:{user}@")),
            2 => invite("").replace("sip:vivekg@", &format!("sip:{user}@")),
            _ => {
                let credentials = format!(
                    "Authorization: Digest username=\"{user}\", realm=\"backroom\", nonce=\"00\", \
                     uri=\"sip:10.0.0.1\", response=\"{:032x}\"\nContent",
                    n / 2
                );
                let text = register("<sip:x@203.0.113.66>").replace("sip:desk@", &format!("sip:{user}@"));
                text.replace("Content", &credentials)
            }
        };
        // Each pair of guesses differs in nothing but the user.
        let text =
            text.replace("z9hG4bK", &format!("z9hG4bK{n}x")).replace("Call-ID: ", &format!("Call-ID: {n}x"));
        let pair = n / 2;
        w.log.clear();
        w.inject(from, 0, &wire(&text, from));
        assert_eq!(w.log.len(), 1, "{text}");
        let answer = w.log[0].3.replace(&format!("z9hG4bK{n}x"), &format!("z9hG4bK{pair}y"));
        masked(&answer.replace(&format!("Call-ID: {n}x"), &format!("Call-ID: {pair}y")), user)
    };
    let mut n = 0;
    for round in 0..500 {
        for kind in 0..4 {
            let there = ask(&mut w, if round % 2 == 0 { "desk" } else { "office" }, n, kind);
            let not_there = ask(&mut w, &format!("u{round}"), n + 1, kind);
            assert_eq!(there, not_there);
            n += 2;
        }
    }
    assert!(w.events(0).is_empty(), "nothing reaches call control");
    let offences = w.nodes[0].others.iter().filter(|o| matches!(o, Output::Offence { .. })).count();
    assert!(offences > 1000, "the edge is told: {offences}");
    w.command(3, &far, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(50);
    assert!(matches!(w.events(0).as_slice(), [(_, LegEvent::Ended { cause: EndCause::Hangup })]));
    w.assert_clean();
}
