//! Messages of the kinds in RFC 4475 §3.1.1 and the well-formed ones of §3.2 to §3.4: each is read whole. What the
//! layers above decide about them (420, 415, 401, 406, 483) is theirs.

use super::super::message::{Contacts, MediaType, Method, Name};
use super::super::uri::Uri;
use super::*;

/// 3.1.1.1: everything at once.
#[test]
fn a_short_tortuous_invite() {
    let r = valid_request(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
| sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>
|  ;
|  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 0
cseq: 0009
|  INVITE
Via  : SIP  /   2.0
| /UDP
|    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
| continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
| <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
|  branch  =   z9hG4bK9ikj8  ,
| SIP  /    2.0   / UDP  192.168.255.111   ; branch=
| z9hG4bK30239
m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =
|      newvalue ;
|  secondparam ; q = 0.33",
    );
    assert_eq!(r.head.to.tag(), Some("1918181833n"));
    assert_eq!(r.head.from.display().unwrap(), "J Rosenberg \\\"");
    assert_eq!(r.head.from.tag(), Some("98asjd8"));
    assert_eq!(r.headers.max_forwards().unwrap(), Some(68));
    assert_eq!((r.head.cseq.number, &r.head.cseq.method), (9, &Method::Invite));
    assert_eq!(r.head.via.branch(), Some("390skdjuw"));
    assert!(!r.head.via.has_magic_branch());
    let below: Vec<_> =
        r.head.via_below.iter().map(|v| (v.transport.as_str(), v.branch().unwrap())).collect();
    assert_eq!(below, [("TCP", "z9hG4bK9ikj8"), ("UDP", "z9hG4bK30239")]);
    assert_eq!(r.headers.get(&Name::Subject), Some(""));
    assert_eq!(
        r.headers.get(&Name::parse("newfangledheader")),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(r.headers.get(&Name::parse("UnknownHeaderWithUnusualValue")), Some(";;,,;;,;"));
    let route = r.headers.routes(&Name::Route).unwrap().remove(0);
    assert!(route.uri.sip().unwrap().is_loose());
    let contacts = r.headers.contacts().unwrap();
    let contact = contacts.first().unwrap();
    assert_eq!(contact.display().unwrap(), "Quoted string \"\"");
    assert_eq!((contact.params.get("newparam"), contact.q()), (Some("newvalue"), 330));
    assert!(contact.params.has("secondparam"));
}

/// 3.1.1.2: every character that may stand where it stands.
#[test]
fn a_wide_range_of_valid_characters() {
    let user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*";
    let r = valid_request(&format!(
        "!interesting-Method0123456789_*+`.%indeed'~ sip:{user}:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)\
         @example.com SIP/2.0
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
To: \"BEL:\\\u{7} NUL:\\\u{1} DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u{43f}\u{440}\u{438}\";tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}}{{
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~: \u{fffe}\u{5927}\u{505c}\u{96fb}
Content-Length: 0"
    ));
    assert_eq!(r.method.as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    let uri = r.uri.sip().unwrap();
    assert_eq!(uri.user.as_deref(), Some(user));
    assert_eq!(uri.password.as_deref(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(r.head.from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(r.head.from.display().unwrap(), "token1~` token2'+_ token3*%!.-");
    assert_eq!(r.head.to.display().unwrap(), "BEL:\u{7} NUL:\u{1} DEL:\u{7f}");
}

const REST: &str = "Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
Max-Forwards: 70
From: <sip:a@example.com>;tag=938
To: <sip:b@example.com>
Call-ID: x@example.net
CSeq: 14398234 OPTIONS
Contact: <sip:c@host5.example.net>
Content-Length: 0";

/// 3.1.1.3 and 3.1.1.4: an escape hides no structure and is kept.
#[test]
fn escapes_and_escaped_nul_stay_inside_their_part() {
    let text = REST.replace("OPTIONS", "INVITE").replace("sip:a@", "sip:I%20have%20spaces@");
    let r = valid_request(&format!("INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0\n{text}"));
    assert_eq!(r.uri.user().unwrap(), "sips:user@example.com");
    assert_eq!(r.uri.sip().unwrap().host.to_string(), "example.net");
    assert_eq!(r.head.from.uri.user().unwrap(), "I have spaces");
    assert_eq!(r.head.from.uri.sip().unwrap().user.as_deref(), Some("I%20have%20spaces"));
    let nul = REST.replace("OPTIONS", "REGISTER").replace("sip:b@", "sip:null-%00-null@").replace(
        "<sip:c@host5.example.net>",
        "<sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>",
    );
    let r = valid_request(&format!("REGISTER sip:example.com SIP/2.0\n{nul}"));
    assert_eq!(r.head.to.uri.user().unwrap(), "null-\0-null");
    let Contacts::These(contacts) = r.headers.contacts().unwrap() else { panic!() };
    assert!(!contacts[0].uri.same_as(&contacts[1].uri));
}

/// 3.1.1.5: a percent sign in a method is no escape.
#[test]
fn a_percent_sign_in_a_token_is_itself() {
    let r = valid_request(&format!(
        "RE%47IST%45R sip:registrar.example.com SIP/2.0\n{}",
        REST.replace("OPTIONS", "RE%47IST%45R").replace("<sip:c@", "\"%Z%45\" <sip:c@")
    ));
    assert_eq!(r.method, Method::Other("RE%47IST%45R".into()));
    assert_eq!(r.headers.contacts().unwrap().first().unwrap().display().unwrap(), "%Z%45");
}

/// 3.1.1.6: nothing between a display name and `<`.
#[test]
fn a_display_name_may_touch_its_bracket() {
    let r = valid_request(&format!(
        "OPTIONS sip:user@example.com SIP/2.0\n{}",
        REST.replace("From: <sip:a@", "From: caller<sip:a@")
    ));
    assert_eq!(r.head.from.display().unwrap(), "caller");
}

/// 3.1.1.7: long values everywhere.
#[test]
fn long_values_are_read() {
    let long = "long".repeat(100);
    let vias: String =
        (0..34).map(|n| format!("Via: SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bK{n}{long}\n")).collect();
    let text = REST.replacen("Via:", &format!("{vias}Via:"), 1).replace("sip:b@", &format!("sip:{long}@"));
    let r =
        valid_request(&format!("OPTIONS sip:user@example.com;p={long} SIP/2.0\nX-{long}: {long}\n{text}"));
    assert_eq!(r.head.via_below.len(), 34);
    assert_eq!(r.head.to.uri.user().unwrap(), long);
}

/// 3.1.1.8: what follows the body in a datagram is nothing.
#[test]
fn a_second_request_in_a_datagram_is_ignored() {
    let mut both =
        lines(&format!("REGISTER sip:example.com SIP/2.0\n{}", REST.replace("OPTIONS", "REGISTER")));
    both.splice(0..0, *b"\r\n\r\n");
    both.extend(lines(&format!("INVITE sip:joe@example.com SIP/2.0\n{}", REST.replace("OPTIONS", "INVITE"))));
    let Message::Request(r) = valid(&both) else { panic!() };
    assert_eq!((r.method, r.body.len()), (Method::Register, 0));
}

/// 3.1.1.9: semicolons in the user part.
#[test]
fn a_semicolon_in_the_user_is_no_parameter() {
    let r = valid_request(&format!("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0\n{}", REST));
    assert_eq!(r.uri.user().unwrap(), "user;par=u@example.net");
    assert!(r.uri.sip().unwrap().params.0.is_empty());
}

/// 3.1.1.10: transports nobody knows.
#[test]
fn any_transport_is_read() {
    let vias = "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee";
    let text = REST.replace("Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw", vias);
    let r = valid_request(&format!("OPTIONS sip:user@example.com SIP/2.0\n{text}"));
    assert_eq!(r.head.via_below[2].transport, "UNKNOWN");
    assert_eq!(r.head.via_below[2].branch(), Some("z9hG4bKasd0f3en"));
}

/// 3.1.1.11: a body of several parts, one of them binary.
#[test]
fn a_binary_body_is_kept() {
    let part: Vec<u8> = (0..=255).collect();
    let mut body = b"--7a9\r\nContent-Type: text/plain\r\n\r\nHi\r\n--7a9\r\n\r\n".to_vec();
    body.extend(&part);
    body.extend(b"\r\n--7a9--");
    let head = REST
        .replace("OPTIONS", "MESSAGE")
        .replace("Content-Length: 0", &format!("Content-Length: {}", body.len()))
        .replace("Contact:", "Content-Type: multipart/mixed;boundary=\"7a9\"\nContact:");
    let mut bytes = lines(&format!("MESSAGE sip:kumiko@example.org SIP/2.0\n{head}"));
    bytes.extend(&body);
    let Message::Request(r) = valid(&bytes) else { panic!() };
    assert_eq!(r.body, body);
    let kind: MediaType = r.headers.content_type().unwrap().unwrap();
    assert!(kind.is("multipart/mixed") && kind.params.text("boundary").unwrap() == "7a9");
}

/// 3.1.1.12 and 3.1.1.13: reason phrases in any script, and none.
#[test]
fn reason_phrases_are_free() {
    let text = REST.replace("OPTIONS", "INVITE");
    for (line, reason) in [
        (
            "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}",
            "= 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}",
        ),
        ("SIP/2.0 200 ", ""),
        ("SIP/2.0 200", ""),
    ] {
        let Message::Response(r) = valid(&lines(&format!("{line}\n{text}"))) else { panic!() };
        assert_eq!((r.status.code(), r.reason.as_str()), (200, reason));
    }
}

/// 3.2.1: a branch that is the cookie alone identifies nothing.
#[test]
fn a_branch_without_identifier_is_read_as_old() {
    let r = valid_request(&format!(
        "OPTIONS sip:user@example.com SIP/2.0\n{}",
        REST.replace("z9hG4bKkdjuw", "z9hG4bK")
    ));
    assert_eq!(r.head.via.branch(), Some("z9hG4bK"));
    assert!(!r.head.via.has_magic_branch());
}

/// 3.3.5: unknown option tags; the answer names them.
#[test]
fn unknown_requirements_are_named() {
    let r = valid_request(&format!(
        "OPTIONS sip:user@example.com SIP/2.0\nRequire: nothingSupportsThis, 100rel\n\
         Require: nothingSupportsThisEither\nProxy-Require: noProxiesSupportThis\n{REST}"
    ));
    assert_eq!(
        r.headers.unknown_requirements(&["100rel"]).unwrap(),
        ["nothingSupportsThis", "nothingSupportsThisEither"]
    );
    assert_eq!(r.headers.tokens(&Name::ProxyRequire).unwrap(), ["noProxiesSupportThis"]);
}

/// 3.3.6, 3.3.7, 3.3.13, 3.3.14: media types, schemes of credentials and hop counts that the layers above judge.
#[test]
fn what_is_only_unwelcome_is_read() {
    let r = valid_request(&format!(
        "OPTIONS sip:user@example.com SIP/2.0\nAuthorization: NoOneKnowsThisScheme opaque-data=here\n\
         Authorization: Basic dXNlcjpwdw==\nAccept: text/nobodyKnowsThis\nContent-Type: application/unknownformat\n{}",
        REST.replace("Max-Forwards: 70", "Max-Forwards: 0")
    ));
    assert_eq!(r.headers.max_forwards().unwrap(), Some(0));
    let auth = r.headers.auth(&Name::Authorization);
    assert_eq!(auth[0].get("opaque-data").unwrap(), "here");
    assert_eq!(auth[1].token68.as_deref(), Some("dXNlcjpwdw=="));
    assert!(!r.headers.content_type().unwrap().unwrap().is("application/sdp"));
}

/// 3.3.3 and 3.3.4: schemes that we do not know in From, To and Contact do not stop a request.
#[test]
fn unknown_schemes_outside_the_request_uri_are_kept() {
    let r = valid_request(&format!(
        "OPTIONS sip:user@example.com SIP/2.0\n{}",
        REST.replace("<sip:a@example.com>", "<http://www.example.com>")
            .replace("To: <sip:b@example.com>", "To: isbn:2983792873")
            .replace("<sip:c@host5.example.net>", "<name:John_Smith>")
    ));
    assert_eq!(r.head.from.uri.scheme(), "http");
    assert_eq!(r.head.to.uri.to_string(), "isbn:2983792873");
    assert!(matches!(r.headers.contacts().unwrap().first().unwrap().uri, Uri::Other(_)));
}

/// 3.3.11 and 3.3.12: parameters of the Contact and of its URI are apart.
#[test]
fn contact_parameters_are_not_uri_parameters() {
    for (contact, of_header, of_uri) in [
        ("sip:+19725552222@gw1.example.net;unknownparam", true, false),
        ("<sip:+19725552222@gw1.example.net;unknownparam>", false, true),
    ] {
        let text = REST.replace("OPTIONS", "REGISTER").replace("<sip:c@host5.example.net>", contact);
        let r = valid_request(&format!("REGISTER sip:example.com SIP/2.0\n{text}"));
        let contacts = r.headers.contacts().unwrap();
        let contact = contacts.first().unwrap();
        assert_eq!(contact.params.has("unknownparam"), of_header);
        assert_eq!(contact.uri.sip().unwrap().params.has("unknownparam"), of_uri);
    }
}

/// 3.3.15: headers of a Contact's URI survive, quoted as they were.
#[test]
fn uri_headers_of_a_contact_are_kept() {
    let text = REST.replace("host5.example.net>", "host5.example.net?Route=%3Csip:sip.example.com%3E>");
    let r = valid_request(&format!("OPTIONS sip:example.com SIP/2.0\n{text}"));
    let contacts = r.headers.contacts().unwrap();
    let uri = contacts.first().unwrap().uri.sip().unwrap().clone();
    assert_eq!(uri.header("route").unwrap(), "<sip:sip.example.com>");
    assert_eq!(uri.to_string(), "sip:c@host5.example.net?Route=%3Csip:sip.example.com%3E");
}

/// 3.4.1: an INVITE of RFC 2543: no branch, no tag, no Max-Forwards.
#[test]
fn an_invite_of_the_old_rfc_is_read() {
    let r = valid_request(
        "INVITE sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com (a gateway (old))
From: <sip:+13035551111@ift.client.example.net;user=phone>
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE",
    );
    assert_eq!((r.head.via.branch(), r.head.from.tag()), (None, None));
    assert_eq!(r.headers.max_forwards().unwrap(), None);
    assert_eq!(r.head.to.params.get("user"), Some("phone"));
}
