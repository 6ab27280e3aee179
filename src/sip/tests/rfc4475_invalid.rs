//! Messages of the kinds in RFC 4475 §3.1.2 and those of §3.3 that a server refuses in form: each gets the code that
//! the document asks for, or is dropped where nothing can be answered.

use super::super::message::{Fault, Name};
use super::*;

const OPTIONS: &str = "OPTIONS sip:user@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw
Max-Forwards: 70
From: <sip:caller@example.net>;tag=323
To: <sip:user@example.com>
Call-ID: c@example.net
CSeq: 8 OPTIONS
Contact: <sip:caller@host5.example.net>
Content-Length: 0";

/// The message with one text in place of another must be refused.
fn with(old: &str, new: &str, code: u16) -> Refused {
    assert!(OPTIONS.contains(old), "{old}");
    refused(&lines(&OPTIONS.replacen(old, new, 1)), code)
}

fn dropped(text: &str) -> Fault {
    match datagram(&lines(text)) {
        Received::Dropped(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// 3.1.2.1: separators without anything between.
#[test]
fn extraneous_separators_are_400() {
    let r = with("15;branch=z9hG4bKkdjuw", "15;branch=z9hG4bKkdjuw;;,;,,", 400);
    assert_eq!(r.fault, Fault::Header(Name::Via));
    assert_eq!(r.via.branch(), Some("z9hG4bKkdjuw"), "enough of the Via is read to answer");
    with("<sip:caller@host5.example.net>", "\"Joe\" <sip:joe@example.org>;;;;", 400);
}

/// 3.1.2.2, 3.1.2.3: lengths that are larger than what came, or negative.
#[test]
fn wrong_content_lengths_are_400() {
    assert_eq!(with("Length: 0", "Length: 9999", 400).fault, Fault::BodyShort);
    assert_eq!(with("Length: 0", "Length: -999", 400).fault, Fault::Header(Name::ContentLength));
    with("Length: 0", "Length: 1e3", 400);
    with("Length: 0", "Length: 99999999999999999999999", 400);
}

/// 3.1.2.4: numbers beyond their range.
#[test]
fn overlarge_numbers_are_400_where_they_count() {
    with("CSeq: 8", "CSeq: 36893488147419103232", 400);
    with("CSeq: 8", "CSeq: 2147483648", 400);
    with("Max-Forwards: 70", "Max-Forwards: 300", 400);
    let expires = OPTIONS.replace("CSeq", "Expires: 10000000000\nCSeq");
    let Message::Request(r) = valid(&lines(&expires)) else { panic!() };
    assert_eq!(r.headers.expires().unwrap(), Some(u32::MAX));
}

/// 3.1.2.5: the same in a response, which is dropped.
#[test]
fn overlarge_numbers_in_a_response_drop_it() {
    let text = OPTIONS.replace("OPTIONS sip:user@example.com SIP/2.0", "SIP/2.0 503 Service Unavailable");
    assert_eq!(dropped(&text.replace("CSeq: 8", "CSeq: 9292394834772304023312")), Fault::Header(Name::CSeq));
    let Message::Response(r) =
        valid(&lines(&text.replace("Contact", "Retry-After: 949302838503028349304023988\nContact")))
    else {
        panic!()
    };
    assert!(r.headers.retry_after().is_err());
}

/// 3.1.2.6: a quoted string that does not end.
#[test]
fn an_open_quote_is_400() {
    let r = with("<sip:user@example.com>", "\"Mr. J. User <sip:j.user@example.com>", 400);
    assert_eq!(r.fault, Fault::Header(Name::To));
    let answer = String::from_utf8(r.response("t")).unwrap();
    assert!(answer.contains("\r\nTo: \"Mr. J. User <sip:j.user@example.com>\r\n"), "{answer}");
}

/// 3.1.2.7 to 3.1.2.11: request lines.
#[test]
fn broken_request_lines_are_400() {
    with("sip:user@example.com SIP", "<sip:user@example.com> SIP", 400);
    with("sip:user@example.com SIP", "sip:user@example.com; lr SIP", 400);
    with("sip:user@example.com SIP", " sip:user@example.com  SIP", 400);
    with("example.com SIP/2.0", "example.com SIP/2.0  ", 400);
    with("sip:user@example.com SIP", "sip:user@example.com?Route=%3Csip:example.com%3E SIP", 400);
    with("sip:user@example.com SIP", "sip:user@example.com:99999 SIP", 400);
    with("sip:user@example.com SIP", "sip:us%er@example.com SIP", 400);
}

/// 3.1.2.12: dates are GMT.
#[test]
fn a_date_of_another_zone_is_400() {
    let r = with("CSeq", "Date: Fri, 01 Jan 2010 16:00:00 EST\nCSeq", 400);
    assert_eq!(r.fault, Fault::Header(Name::Date));
    let good = OPTIONS.replace("CSeq", "Date: Fri, 01 Jan 2010 16:00:00 GMT\nCSeq");
    let Message::Request(r) = valid(&lines(&good)) else { panic!() };
    assert_eq!(r.headers.date().unwrap().unwrap().rfc3339(), "2010-01-01T16:00:00.000Z");
}

/// 3.1.2.13 to 3.1.2.15: addresses.
#[test]
fn broken_addresses_are_400() {
    with("<sip:caller@host5.example.net>", "sip:user@example.com?Route=%3Csip:sip.example.com%3E", 400);
    with("To: <sip:user@example.com>", "To: \"Watson, Thomas\" < t.watson@example.org >", 400);
    with("To: <sip:user@example.com>", "To: \"Watson, Thomas\" < sip:t.watson@example.org >", 400);
    with("From: <sip:caller@example.net>", "From: Bell, Alexander <sip:a.g.bell@example.com>", 400);
    with("From: <sip:caller@example.net>", "From: <sip:caller@example.net", 400);
}

/// 3.1.2.16: another version of SIP.
#[test]
fn another_version_is_505() {
    with("SIP/2.0\nVia: SIP/2.0", "SIP/7.0\nVia: SIP/2.0", 505);
}

/// 3.1.2.17, 3.1.2.18: a CSeq of another method.
#[test]
fn a_cseq_of_another_method_is_400() {
    assert_eq!(with("8 OPTIONS", "8 INVITE", 400).fault, Fault::CSeqMethod);
    let text = OPTIONS.replace("OPTIONS sip", "NEWMETHOD sip");
    refused(&lines(&text), 400);
}

/// 3.1.2.19: a status code of many digits.
#[test]
fn an_overlarge_status_code_is_dropped() {
    for line in ["SIP/2.0 4294967301 better", "SIP/2.0 99 low", "SIP/2.0 700 high", "SIP/2.0 2e2 odd"] {
        assert_eq!(dropped(&OPTIONS.replace("OPTIONS sip:user@example.com SIP/2.0", line)), Fault::StartLine);
    }
}

/// 3.3.1: mandatory fields that are missing.
#[test]
fn missing_fields_are_400_if_a_via_says_where_to_answer() {
    for line in [
        "From: <sip:caller@example.net>;tag=323\n",
        "To: <sip:user@example.com>\n",
        "Call-ID: c@example.net\n",
        "CSeq: 8 OPTIONS\n",
    ] {
        assert!(matches!(with(line, "", 400).fault, Fault::Missing(_)), "{line}");
    }
    let text = OPTIONS.replace("Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw\n", "");
    assert_eq!(dropped(&text), Fault::Missing(Name::Via));
}

/// 3.3.2 and 3.3.3: schemes in the Request-URI.
#[test]
fn an_unknown_scheme_is_416() {
    with("sip:user@example.com SIP", "nobodyKnowsThisScheme:totallyopaquecontent SIP", 416);
    with("sip:user@example.com SIP", "soap.beep://192.0.2.103:3002 SIP", 416);
    for uri in ["tel:+12015550123", "urn:service:sos", "sips:user@example.com"] {
        valid(&lines(&OPTIONS.replacen("sip:user@example.com", uri, 1)));
    }
}

/// 3.3.8, 3.3.9: fields that may stand once.
#[test]
fn doubled_fields_are_400() {
    for (line, name) in [
        ("From: <sip:x@example.net>;tag=1", Name::From),
        ("To: <sip:x@example.net>", Name::To),
        ("i: other@example.net", Name::CallId),
        ("CSeq: 9 OPTIONS", Name::CSeq),
        ("Max-Forwards: 5", Name::MaxForwards),
        ("l: 1", Name::ContentLength),
    ] {
        assert_eq!(with("Contact", &format!("{line}\nContact"), 400).fault, Fault::Repeated(name));
    }
    valid(&lines(&OPTIONS.replace("Contact", "Content-Length: 0\nContact")));
}

#[test]
fn a_line_that_is_no_header_is_400() {
    for line in ["this is no header", ": nameless", "two words: x"] {
        assert_eq!(with("Contact", &format!("{line}\nContact"), 400).fault, Fault::HeaderLine, "{line}");
    }
}

#[test]
fn what_is_too_large_has_codes_of_its_own() {
    let long = "x".repeat(9000);
    with("sip:user@example.com SIP", &format!("sip:{long}@example.com SIP"), 414);
    with("Contact", &format!("X: {}\nContact", long.repeat(4)), 513);
    with("Contact", &"X: y\n".repeat(300), 513);
}

#[test]
fn an_ack_is_never_answered() {
    let text =
        OPTIONS.replace("OPTIONS", "ACK").replace("To: <sip:user@example.com>", "To: <sip:user@example.com");
    assert_eq!(dropped(&text), Fault::Header(Name::To));
}

#[test]
fn a_refusal_repeats_what_the_sender_matches_by() {
    let mut r = with("Max-Forwards: 70", "Max-Forwards: many", 400);
    r.via.note_source("198.51.100.9:5066".parse().unwrap());
    assert_eq!(r.via.reply_to().0.to_string(), "198.51.100.9");
    assert_eq!(
        String::from_utf8(r.response("tt")).unwrap(),
        "SIP/2.0 400 Bad Request: malformed Max-Forwards\r\n\
         Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw;received=198.51.100.9\r\n\
         From: <sip:caller@example.net>;tag=323\r\nTo: <sip:user@example.com>;tag=tt\r\n\
         Call-ID: c@example.net\r\nCSeq: 8 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn noise_is_dropped() {
    for text in ["GET / HTTP/1.1", "hello", "INVITE sip:a@b HTTP/1.1", "\u{16}\u{3}\u{1}"] {
        assert_eq!(dropped(text), Fault::StartLine, "{text}");
    }
    assert_eq!(datagram(b"\r\n\r\n"), Received::Ping);
    assert_eq!(datagram(b"\0\0\0\0"), Received::Ping);
    assert_eq!(datagram(b""), Received::Ping);
}
