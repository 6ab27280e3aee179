//! Targets of the SIP room: messages in datagrams and streams, addresses, descriptions, digest.

use backroom::sip::digest::{Client, Login, Server, ServerSettings, Verdict};
use backroom::sip::message::{Auth, Contacts, Fault, Message, Method, Name, NameAddr, Via};
use backroom::sip::sdp::{
    Capabilities, Connection, Crypto, Description, Direction, Local, Origin, TargetPolicy, agree, answer,
    offer, refuse_all,
};
use backroom::sip::uri::{Uri, escape_header, unescape};
use backroom::sip::wire::{Limits, Opener, Received, StreamReader, read_datagram};
use backroom::types::{Mono, Network};

use crate::engine::{Target, consider, hash_of};
use crate::samples;

/// All of them.
pub(crate) const TARGETS: [Target; 5] = [
    Target { name: "sip-datagram", seeds: samples::messages, words: samples::SIP_WORDS, run: datagram },
    Target { name: "sip-stream", seeds: samples::streams, words: samples::SIP_WORDS, run: stream },
    Target { name: "uri", seeds: samples::addresses, words: samples::ADDRESS_WORDS, run: address },
    Target { name: "sdp", seeds: samples::descriptions, words: samples::SDP_WORDS, run: description },
    Target { name: "digest", seeds: samples::credentials, words: samples::DIGEST_WORDS, run: digest },
];

/// Every view of a message, so that none escapes.
fn look(message: &Message) -> u64 {
    let h = message.headers();
    let contacts = h.contacts();
    let views = [
        contacts.is_ok(),
        h.allow().is_ok(),
        h.content_type().is_ok(),
        h.content_disposition().is_ok(),
        h.session_expires().is_ok(),
        h.min_se().is_ok(),
        h.rack().is_ok(),
        h.replaces().is_ok(),
        h.event().is_ok(),
        h.subscription_state().is_ok(),
        h.reasons().is_ok(),
        h.retry_after().is_ok(),
        h.warnings().is_ok(),
        h.expires().is_ok(),
        h.min_expires().is_ok(),
        h.rseq().is_ok(),
        h.date().is_ok(),
        h.max_forwards().is_ok(),
        h.unknown_requirements(&["100rel"]).is_ok(),
        h.privacy().is_empty(),
    ];
    for header in h {
        consider((h.routes(&header.name), h.tokens(&header.name), h.auth(&header.name)));
        consider(h.address(header.name.clone()));
    }
    if let Ok(Contacts::These(contacts)) = contacts {
        let seen: Vec<_> = contacts.iter().map(|c| (c.expires(), c.q(), c.display())).collect();
        consider(seen);
    }
    let head = message.head();
    consider((head.via.reply_to(), head.via.maddr(), head.via.ttl(), head.via.received()));
    consider((head.from.display(), head.to.uri.user(), head.to.uri.scheme()));
    consider(Description::parse(message.body()));
    hash_of(&(views, h.len().min(4), head.via_below.len().min(2)))
}

/// How a fault counts: by its kind, not by its details.
fn kind(fault: &Fault) -> u64 {
    hash_of(&format!("{fault:?}").chars().take(24).collect::<String>())
}

fn datagram(bytes: &[u8]) -> u64 {
    let limits = Limits::default();
    let small = Limits { head: 600, headers: 8, uri: 40, body: 100 };
    consider(read_datagram(bytes, &small));
    match read_datagram(bytes, &limits) {
        Received::Message(message) => {
            let printed = message.to_bytes();
            let again = read_datagram(&printed, &limits);
            assert_eq!(again, Received::Message(message.clone()), "what is printed is read the same");
            let mut seen = look(&message);
            if let Message::Request(request) = *message {
                seen ^= hash_of(&request.method.as_str().len());
                consider(request.cancel().to_bytes());
            }
            seen
        }
        Received::Refused(mut refused) => {
            refused.via.note_source(([192, 0, 2, 1], 5060).into());
            let text = String::from_utf8_lossy(&refused.response("tag")).into_owned();
            assert!(text.starts_with("SIP/2.0 ") && text.ends_with("\r\n\r\n"), "an answer is whole");
            assert!(text.matches("\r\n\r\n").count() == 1, "an answer holds one message");
            1 ^ kind(&refused.fault)
        }
        Received::Dropped(fault) => 2 ^ kind(&fault),
        Received::Ping => 3,
        Received::Pong => 4,
    }
}

fn stream(bytes: &[u8]) -> u64 {
    let limits = Limits { head: 4000, ..Limits::default() };
    let mut seen = 0;
    for opener in [Opener::Them, Opener::Us] {
        let mut whole = StreamReader::new(opener, limits);
        let at_once = whole.feed(bytes);
        let mut parted = StreamReader::new(opener, limits);
        let step = 1 + bytes.first().map_or(0, |b| usize::from(*b) % 60);
        let pieces: Vec<_> = bytes.chunks(step).flat_map(|piece| parted.feed(piece)).collect();
        assert_eq!(at_once, pieces, "any way of parting a stream gives the same");
        assert_eq!(whole.is_closed(), parted.is_closed());
        let kinds: Vec<u64> = at_once
            .iter()
            .map(|item| match item {
                Received::Message(message) => 10 + u64::from(message.body().is_empty()),
                Received::Refused(refused) => kind(&refused.fault),
                Received::Dropped(fault) => kind(fault),
                Received::Ping => 1,
                Received::Pong => 2,
            })
            .collect();
        seen ^= hash_of(&(kinds, whole.is_closed()));
    }
    seen
}

fn address(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let uri = text.parse::<Uri>();
    if let Ok(uri) = &uri {
        assert!(uri.same_as(uri), "an address is the same as itself");
        assert_eq!(uri.to_string().parse::<Uri>().as_ref(), Ok(uri), "what is printed is read the same");
        consider((uri.user(), uri.scheme()));
        if let Some(sip) = uri.sip() {
            consider((sip.header("Replaces"), sip.is_loose()));
        }
    }
    let name = text.parse::<NameAddr>();
    if let Ok(name) = &name {
        assert_eq!(
            name.to_string().parse::<NameAddr>().as_ref(),
            Ok(name),
            "what is printed is read the same"
        );
        consider((name.display(), name.expires(), name.q()));
    }
    let via = text.parse::<Via>();
    if let Ok(via) = &via {
        assert_eq!(via.to_string().parse::<Via>().as_ref(), Ok(via), "what is printed is read the same");
        let mut noted = via.clone();
        noted.note_source(([192, 0, 2, 1], 5060).into());
        consider(noted.reply_to());
    }
    assert_eq!(unescape(&escape_header(&text)), text, "what is escaped comes back");
    consider(text.parse::<Network>());
    let shape = uri.as_ref().ok().and_then(Uri::sip).map(|u| {
        (
            u.user.is_some(),
            u.password.is_some(),
            u.port.is_some(),
            u.host.ip().is_some(),
            u.params.0.len().min(3),
        )
    });
    let parts = name.as_ref().ok().map(|n| (n.display().is_some(), n.params.0.len().min(3), n.q() == 1000));
    hash_of(&(format!("{:?}", uri.as_ref().err()), shape, parts, via.is_ok(), name.is_ok()))
}

fn local(crypto: bool) -> Local {
    let key = "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    Local {
        origin: Origin::new(1, 1, [192, 0, 2, 1].into()),
        address: [192, 0, 2, 1].into(),
        port: 4000,
        direction: Direction::SendRecv,
        crypto: if crypto { key.parse::<Crypto>().into_iter().collect() } else { Vec::new() },
    }
}

fn description(bytes: &[u8]) -> u64 {
    let Ok(description) = Description::parse(bytes) else {
        return hash_of(&format!("{:?}", Description::parse(bytes).err()));
    };
    let printed = description.to_bytes();
    let again = Description::parse(&printed);
    assert_eq!(
        again.as_ref().map(Description::to_bytes),
        Ok(printed),
        "what is printed prints the same again"
    );
    let capabilities = Capabilities::default();
    let policy = TargetPolicy::default();
    let mut seen = vec![description.is_hold()];
    for media in &description.media {
        consider((media.codecs(), media.ptime(), media.crypto(), description.rtcp_target(media)));
        let target = description.target(media);
        seen.push(target.is_some_and(|t| policy.check(t, [192, 0, 2, 1].into()).is_ok()));
        for line in media.crypto() {
            consider(backroom::rtp::sdes::Crypto::parse(&line.to_string()));
        }
    }
    for secure in [false, true] {
        let ours = offer(&local(secure), &capabilities);
        seen.push(agree(&ours, &description).is_ok());
        let answered = answer(&description, &local(secure), &capabilities);
        seen.push(answered.is_ok());
        if let Ok((answer, agreed)) = answered {
            assert_eq!(answer.media.len(), description.media.len(), "each section has its answer");
            assert!(!agreed.audio.is_empty(), "there is audio in what is agreed");
            assert!(Description::parse(&answer.to_bytes()).is_ok(), "our answer can be read");
        }
    }
    let refused = refuse_all(&description, &local(false));
    assert!(refused.media.iter().all(|m| m.port == 0), "all are refused");
    consider("IN IP4 0.0.0.0".parse::<Connection>());
    hash_of(&(seen, description.media.len().min(3)))
}

fn digest(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let Ok(auth) = text.parse::<Auth>() else { return 0 };
    assert_eq!(auth.to_string().parse::<Auth>().as_ref(), Ok(&auth), "what is printed is read the same");
    let method = Method::Register;
    let login = Login { username: "101".to_owned(), password: "secret".to_owned() };
    let Ok(uri) = "sip:shop.example".parse::<Uri>() else { return 0 };
    let mut server = Server::new(ServerSettings::default(), [1; 32]);
    consider(server.challenge(false, Mono(0)));
    let verdict = server.verify(&auth, &method, &uri, Some("secret"), Mono(1));
    assert_eq!(verdict, Verdict::Refused, "nobody knows the password here");
    assert_eq!(server.verify(&auth, &method, &uri, None, Mono(1)), Verdict::Refused);
    let mut client = Client::new(std::slice::from_ref(&auth));
    let answered = client.as_mut().map(|client| {
        let first = client.authorize(&login, &method, &uri, "cnonce");
        let printed = first.to_string();
        assert_eq!(printed.parse::<Auth>().as_ref(), Ok(&first), "our credentials can be read");
        assert!(!printed.contains(['\r', '\n', '\0']), "nothing breaks out of the header");
        client.is_stale()
    });
    let mut message = backroom::sip::message::Headers::default();
    message.push(Name::Authorization, &text);
    let several = message.auth(&Name::Authorization).len();
    hash_of(&(answered, several.min(3), auth.params.0.len().min(6), auth.is_digest(), auth.token68.is_some()))
}
