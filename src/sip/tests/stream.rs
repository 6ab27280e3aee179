//! Streams: any pieces, keep-alives, bounds, and what is not SIP.

use proptest::prelude::*;

use super::super::message::Fault;
use super::super::wire::{Opener, StreamReader};
use super::*;

fn message(n: usize, body: &str) -> String {
    format!(
        "MESSAGE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK{n}\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:b@b>\r\nCall-ID: c{n}\r\nCSeq: {n} MESSAGE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn read(opener: Opener, pieces: &[&[u8]]) -> (Vec<Received>, bool) {
    let mut reader = StreamReader::new(opener, Limits::default());
    let received = pieces.iter().flat_map(|p| reader.feed(p)).collect();
    (received, reader.is_closed())
}

fn numbers(received: &[Received]) -> Vec<u32> {
    let number = |r: &Received| match r {
        Received::Message(m) => m.head().cseq.number,
        other => panic!("{other:?}"),
    };
    received.iter().map(number).collect()
}

#[test]
fn messages_follow_each_other() {
    let bytes = message(1, "hi\r\n\r\n") + &message(2, "") + "\r\n" + &message(3, "x");
    let (received, closed) = read(Opener::Them, &[bytes.as_bytes()]);
    assert_eq!(numbers(&received), [1, 2, 3]);
    assert!(!closed);
}

#[test]
fn pings_and_pongs_are_told_apart_by_who_opened() {
    assert_eq!(read(Opener::Them, &[b"\r\n", b"\r", b"\n"]).0, [Received::Ping]);
    assert_eq!(read(Opener::Us, &[b"\r", b"\n"]).0, [Received::Pong]);
    assert_eq!(read(Opener::Them, &[b"\r\n\r"]), (vec![], false));
}

#[test]
fn what_is_not_sip_closes_at_once() {
    let (received, closed) = read(Opener::Them, &[b"\x16\x03\x01", message(1, "").as_bytes()]);
    assert_eq!((received, closed), (vec![Received::Dropped(Fault::StartLine)], true));
    let (received, closed) = read(Opener::Them, &[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]);
    assert_eq!((received, closed), (vec![Received::Dropped(Fault::StartLine)], true));
}

#[test]
fn a_fault_that_leaves_the_framing_whole_costs_one_message() {
    let bad = message(1, "hi").replace("To: <sip:b@b>", "To: <sip:b@b");
    let (received, closed) = read(Opener::Them, &[bad.as_bytes(), message(2, "").as_bytes()]);
    assert!(matches!(&received[..], [Received::Refused(_), Received::Message(_)]), "{received:?}");
    assert!(!closed);
}

#[test]
fn a_length_that_cannot_be_known_is_answered_and_closes() {
    for length in ["Content-Length: x", "Content-Length: 2\r\nContent-Length: 3", "Content-Length: 99999999"]
    {
        let bad = message(1, "hi").replace("Content-Length: 2", length);
        let (received, closed) = read(Opener::Them, &[bad.as_bytes(), message(2, "").as_bytes()]);
        assert!(matches!(&received[..], [Received::Refused(_)]), "{received:?}");
        assert!(closed);
    }
}

#[test]
fn a_head_without_end_is_bounded() {
    let endless = message(1, "").replace("\r\n\r\n", &format!("\r\n{}", "X: y\r\n".repeat(10_000)));
    for size in [1, 4096, 100_000] {
        let pieces: Vec<&[u8]> = endless.as_bytes().chunks(size).collect();
        let (received, closed) = read(Opener::Them, &pieces);
        assert!(
            matches!(&received[..], [Received::Refused(r)] if r.fault == Fault::TooLarge),
            "{received:?}"
        );
        assert!(closed);
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (1_usize..99, "[ -~\r\n]{0,40}").prop_map(|(n, body)| message(n, &body).into_bytes()),
        2 => "\r|\n|\r\n|\r\n\r\n".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => Just(message(5, "hi").replace("To:", "Tu:").into_bytes()),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        bytes in stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ours in any::<bool>(),
    ) {
        let opener = if ours { Opener::Us } else { Opener::Them };
        let mut places: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        places.push(bytes.len());
        places.sort_unstable();
        let mut from = 0;
        let mut pieces = Vec::new();
        for to in places {
            pieces.push(&bytes[from..to]);
            from = to;
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let whole = read(opener, &[&bytes]);
        prop_assert_eq!(&read(opener, &pieces), &whole);
        prop_assert_eq!(&read(opener, &single), &whole);
    }
}
