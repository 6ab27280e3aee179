//! The room as a whole: messages of the kinds that RFC 4475 and RFC 5118 describe, streams, random bytes, and rsip's
//! opinion.

mod differential;
mod properties;
mod rfc4475_invalid;
mod rfc4475_valid;
mod rfc5118;
mod stream;

use super::message::{Message, Refused, Request};
use super::wire::{Limits, Received, read_datagram};

/// Lines to a message: each gets its CRLF, and an empty one ends the head.
fn lines(text: &str) -> Vec<u8> {
    let head: String =
        text.trim_start().lines().map(|l| format!("{}\r\n", l.trim_start_matches('|'))).collect();
    format!("{head}\r\n").into_bytes()
}

fn datagram(bytes: &[u8]) -> Received {
    read_datagram(bytes, &Limits::default())
}

/// A message that must be read, and be the same after printing.
fn valid(bytes: &[u8]) -> Message {
    match datagram(bytes) {
        Received::Message(message) => {
            assert_eq!(datagram(&message.to_bytes()), Received::Message(message.clone()));
            *message
        }
        other => panic!("{other:?} for {}", String::from_utf8_lossy(bytes)),
    }
}

fn valid_request(text: &str) -> Request {
    match valid(&lines(text)) {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

/// A request that must be refused, and whose answer must be readable and carry the code.
fn refused(bytes: &[u8], code: u16) -> Refused {
    let refused = match datagram(bytes) {
        Received::Refused(refused) => *refused,
        other => panic!("{other:?} for {}", String::from_utf8_lossy(bytes)),
    };
    assert_eq!(refused.fault.status().code(), code, "{}", refused.fault);
    let answer = String::from_utf8(refused.response("totag")).unwrap();
    assert!(answer.starts_with(&format!("SIP/2.0 {code} ")), "{answer}");
    assert!(answer.ends_with("\r\n\r\n") && answer.contains("\r\nVia: SIP/2.0/"), "{answer}");
    refused
}
