//! Messages of the kinds in RFC 5118: IPv6 in every place where it can stand.

use super::super::message::Name;
use super::super::sdp::Description;
use super::super::uri::Uri;
use super::*;

const REGISTER: &str = "REGISTER sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: \"Caller\" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0";

/// 4.1, 4.2: with brackets it is right, without it is 400.
#[test]
fn a_reference_has_brackets() {
    let r = valid_request(REGISTER);
    assert_eq!(r.uri.to_string(), "sip:[2001:db8::10]");
    assert_eq!(r.head.via.host.to_string(), "[2001:db8::9:1]");
    refused(&lines(&REGISTER.replacen("[2001:db8::10]", "2001:db8::10", 1)), 400);
}

/// 4.3, 4.4: a port is behind the bracket; digits inside belong to the address.
#[test]
fn a_port_stands_behind_the_bracket() {
    let port = |text: &str| {
        let r = valid_request(&REGISTER.replacen("[2001:db8::10]", text, 1));
        (r.uri.sip().unwrap().host.to_string(), r.uri.sip().unwrap().port)
    };
    assert_eq!(port("[2001:db8::10:5070]"), ("[2001:db8::10:5070]".to_owned(), None));
    assert_eq!(port("[2001:db8::10]:5070"), ("[2001:db8::10]".to_owned(), Some(5070)));
}

/// 4.5: received with and without brackets.
#[test]
fn received_may_have_brackets() {
    for text in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let r = valid_request(&REGISTER.replace(";branch", &format!(";received={text};branch")));
        assert_eq!(r.head.via.received().unwrap().to_string(), "2001:db8::9:255");
        assert_eq!(r.head.via.branch(), Some("z9hG4bKas3-111"));
    }
}

/// 4.6, 4.7: in SDP there are no brackets; in one message both families meet.
#[test]
fn sdp_has_addresses_of_both_families() {
    let sdp = "v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live\r\nc=IN IP6 2001:db8::20\r\n\
               t=3338481189 3370017201\r\nm=audio 6000 RTP/AVP 2\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP4 192.0.2.9\r\n";
    let d = Description::parse(sdp.as_bytes()).unwrap();
    assert_eq!(d.target(&d.media[0]).unwrap().to_string(), "[2001:db8::20]:6000");
    assert_eq!(d.target(&d.media[1]).unwrap().to_string(), "192.0.2.9:6024");
    assert_eq!(d.to_string(), sdp);
}

/// 4.8: several Vias and Contacts of both families.
#[test]
fn both_families_stand_in_one_message() {
    let r = valid_request(&REGISTER.replace(
        "Call-ID",
        "Via: SIP/2.0/UDP [2001:db8::9:1]:5060;received=192.0.2.4,SIP/2.0/TCP 192.0.2.1;maddr=[2001:db8::5]\nCall-ID",
    ));
    assert_eq!(r.head.via_below[0].received().unwrap().to_string(), "192.0.2.4");
    assert_eq!(r.head.via_below[1].maddr().unwrap().to_string(), "[2001:db8::5]");
}

/// 4.9: IPv4 in IPv6's clothes.
#[test]
fn mapped_addresses_are_read() {
    let r = valid_request(&REGISTER.replace("caller@[2001:db8::1]", "caller@[::ffff:192.0.2.2]:5061"));
    let uri: Uri = r.headers.contacts().unwrap().first().unwrap().uri.clone();
    assert_eq!(uri.to_string(), "sip:caller@[::ffff:192.0.2.2]:5061");
}

/// 4.10: three colons, which the grammar let through.
#[test]
fn three_colons_are_read_as_two() {
    let r = valid_request(&REGISTER.replacen("[2001:db8::10]", "user@[2001:db8:::192.0.2.1]", 1));
    assert_eq!(r.uri.sip().unwrap().host.to_string(), "[2001:db8::c000:201]");
}

#[test]
fn addresses_that_are_none_are_400() {
    for bad in ["[2001:db8::10", "2001:db8::10]", "[]", "[2001:db8::g]", "[192.0.2.1]", "[::1]x"] {
        refused(&lines(&REGISTER.replacen("[2001:db8::10]", bad, 1)), 400);
    }
    let lacking = REGISTER.replacen("Via: SIP/2.0/UDP [2001:db8::9:1]", "Via: SIP/2.0/UDP 2001:db8::9:1", 1);
    assert!(!matches!(datagram(&lines(&lacking)), Received::Message(_)));
    assert_eq!(
        valid_request(REGISTER).headers.get(&Name::Contact),
        Some("\"Caller\" <sip:caller@[2001:db8::1]>")
    );
}
