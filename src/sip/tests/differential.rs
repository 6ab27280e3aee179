//! rsip as an oracle: messages that it can read mean the same to it. Left out is what it is known to misread: users
//! with dots, blanks around separators, several values in a line, quoted parameters, IPv6, unknown methods.

use proptest::prelude::*;
use rsip::message::HeadersExt;
use rsip::prelude::{ToTypedHeader, UntypedHeader};

use super::super::message::Name;
use super::*;

fn message() -> impl Strategy<Value = String> {
    let host = "[a-z]{1,6}\\.example\\.(com|net)|192\\.0\\.2\\.[1-9]";
    let word = "[a-z0-9]{1,8}";
    (
        prop_oneof![
            Just("INVITE"), Just("ACK"), Just("BYE"), Just("CANCEL"), Just("REGISTER"), Just("OPTIONS"), Just("INFO"),
            Just("UPDATE"), Just("REFER"), Just("NOTIFY"), Just("SUBSCRIBE"), Just("MESSAGE"), Just("PRACK"),
        ],
        proptest::collection::vec((prop_oneof![Just("UDP"), Just("TCP"), Just("TLS")], host, 1_u16..9999, word), 1..4),
        (word, host, word),
        (word, host, proptest::option::of(word)),
        (word, 1_u32..99_999, 0_u8..80),
        (proptest::option::of(prop_oneof![Just(100_u16), Just(180), Just(200), Just(404), Just(486), Just(603)]), "[a-z0-9 ]{0,20}"),
    )
        .prop_map(|(method, vias, from, to, (call_id, cseq, hops), (status, body))| {
            let mut text = match status {
                Some(code) => format!("SIP/2.0 {code} Whatever\r\n"),
                None => format!("{method} sip:{}@{} SIP/2.0\r\n", to.0, to.1),
            };
            for (transport, host, port, branch) in vias {
                text += &format!("Via: SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{branch}\r\n");
            }
            let tag = to.2.map_or(String::new(), |t| format!(";tag={t}"));
            text + &format!(
                "Max-Forwards: {hops}\r\nFrom: <sip:{}@{}>;tag={}\r\nTo: <sip:{}@{}>{tag}\r\nCall-ID: {call_id}\r\n\
                 CSeq: {cseq} {method}\r\nContact: <sip:{}@{}>\r\nX-Thing: a thing\r\nContent-Length: {}\r\n\r\n{body}",
                from.0, from.1, from.2, to.0, to.1, from.0, from.1, body.len()
            )
        })
}

/// What both must agree on, from either.
#[derive(Debug, PartialEq)]
struct Opinion {
    start: String,
    vias: Vec<String>,
    from: (String, Option<String>),
    to: (String, Option<String>),
    call_id: String,
    cseq: (u32, String),
    hops: u32,
    contact: String,
    body: Vec<u8>,
}

fn ours(message: &Message) -> Opinion {
    let start = match message {
        Message::Request(r) => format!("{} {}", r.method, r.uri),
        Message::Response(r) => r.status.to_string(),
    };
    let head = message.head();
    let via = |v: &super::super::message::Via| {
        format!("{} {}:{} {}", v.transport, v.host, v.port.unwrap(), v.branch().unwrap())
    };
    let party = |p: &super::super::message::NameAddr| (p.uri.to_string(), p.tag().map(str::to_owned));
    Opinion {
        start,
        vias: std::iter::once(&head.via).chain(&head.via_below).map(via).collect(),
        from: party(&head.from),
        to: party(&head.to),
        call_id: head.call_id.clone(),
        cseq: (head.cseq.number, head.cseq.method.to_string()),
        hops: message.headers().max_forwards().unwrap().unwrap().into(),
        contact: message.headers().contacts().unwrap().first().unwrap().uri.to_string(),
        body: message.body().to_vec(),
    }
}

fn theirs(bytes: &[u8]) -> Opinion {
    let message = rsip::SipMessage::try_from(bytes).unwrap();
    let start = match &message {
        rsip::SipMessage::Request(r) => format!("{} {}", r.method, r.uri),
        rsip::SipMessage::Response(r) => r.status_code.code().to_string(),
    };
    let headers: &rsip::Headers = match &message {
        rsip::SipMessage::Request(r) => &r.headers,
        rsip::SipMessage::Response(r) => &r.headers,
    };
    let vias = headers.iter().filter_map(|h| match h {
        rsip::Header::Via(via) => Some(via.clone().into_typed().unwrap()),
        _ => None,
    });
    let vias = vias
        .map(|v| {
            let branch = v.branch().unwrap().to_string();
            format!("{} {} {}", v.transport, v.uri.host_with_port, branch)
        })
        .collect();
    let from = message.from_header().unwrap().typed().unwrap();
    let to = message.to_header().unwrap().typed().unwrap();
    let cseq = message.cseq_header().unwrap().typed().unwrap();
    let body = match &message {
        rsip::SipMessage::Request(r) => r.body.clone(),
        rsip::SipMessage::Response(r) => r.body.clone(),
    };
    Opinion {
        start,
        vias,
        from: (from.uri.to_string(), from.tag().map(|t| t.to_string())),
        to: (to.uri.to_string(), to.tag().map(|t| t.to_string())),
        call_id: message.call_id_header().unwrap().value().to_owned(),
        cseq: (cseq.seq, cseq.method.to_string()),
        hops: message.max_forwards_header().unwrap().num().unwrap(),
        contact: message.contact_header().unwrap().typed().unwrap().uri.to_string(),
        body,
    }
}

proptest! {
    #[test]
    fn rsip_understands_what_came_and_what_we_print_as_we_do(text in message()) {
        let read = valid(text.as_bytes());
        prop_assert_eq!(&ours(&read), &theirs(text.as_bytes()));
        prop_assert_eq!(&ours(&read), &theirs(&read.to_bytes()));
        prop_assert_eq!(read.headers().get(&Name::parse("X-Thing")), Some("a thing"));
    }
}
