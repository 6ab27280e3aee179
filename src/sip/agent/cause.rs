//! Why calls end, in the words of both sides: status codes (RFC 3261 §21) and Reason (RFC 3326) with Q.850 causes, to
//! [`EndCause`] and back. One table each way.

use std::time::Duration;

use crate::sip::message::{Headers, Name, Reason, Status};
use crate::types::{EndCause, Via};

/// What a final response to an INVITE of ours, other than 2xx, says. A Reason with a Q.850 cause is closer to the
/// network that knows.
pub(super) fn refused(status: Status, headers: &Headers, via: &Via) -> EndCause {
    let heard = q850(headers).and_then(|cause| of_q850(cause, via));
    heard.unwrap_or_else(|| of_status(status, via))
}

/// What a BYE says.
pub(super) fn ended(headers: &Headers, via: &Via) -> EndCause {
    // Who talked and hung up has no other cause, unless the network between failed.
    match q850(headers).and_then(|cause| of_q850(cause, via)) {
        Some(cause @ (EndCause::Unavailable | EndCause::LineDown)) => cause,
        Some(_) | None => EndCause::Hangup,
    }
}

/// What a CANCEL says: `SIP;cause=200` is how a forking proxy says that somebody else answered.
pub(super) fn cancelled(headers: &Headers) -> EndCause {
    let reasons = headers.reasons().unwrap_or_default();
    let elsewhere = reasons.iter().any(|r| r.protocol.eq_ignore_ascii_case("SIP") && r.cause == Some(200));
    if elsewhere { EndCause::Elsewhere } else { EndCause::Cancelled }
}

/// Retry-After, where it is given.
pub(super) fn retry_after(headers: &Headers) -> Option<Duration> {
    headers.retry_after().ok().flatten().map(|r| r.after)
}

fn q850(headers: &Headers) -> Option<u16> {
    if !headers.has(&Name::Reason) {
        return None;
    }
    let reasons = headers.reasons().unwrap_or_default();
    reasons.iter().find(|r| r.protocol.eq_ignore_ascii_case("Q.850")).and_then(|r| r.cause)
}

fn of_status(status: Status, via: &Via) -> EndCause {
    let phone = matches!(via, Via::Device(_));
    match status.code() {
        // A phone that does not know its own name is not there.
        404 | 410 | 484 | 485 | 604 if phone => EndCause::Unreachable,
        404 | 410 | 414 | 416 | 484 | 485 | 604 => EndCause::BadNumber,
        300..=399 | 430 | 480 => EndCause::Unreachable,
        408 | 487 => EndCause::NoAnswer,
        486 | 600 => EndCause::Busy,
        603 | 607 | 608 => EndCause::Declined,
        406 | 415 | 488 | 580 | 606 => EndCause::NoCodec,
        500..=599 => EndCause::Unavailable,
        _ => EndCause::Rejected,
    }
}

/// ITU-T Q.850 table 1, as far as it says more than the status would; `None` for causes that say nothing.
fn of_q850(cause: u16, via: &Via) -> Option<EndCause> {
    Some(match cause {
        1 | 3 | 22 | 28 if matches!(via, Via::Device(_)) => EndCause::Unreachable,
        1 | 2 | 3 | 22 | 28 => EndCause::BadNumber,
        17 => EndCause::Busy,
        18 | 19 => EndCause::NoAnswer,
        20 | 27 => EndCause::Unreachable,
        21 => EndCause::Declined,
        34 | 38 | 41 | 42 | 44 | 47 | 102 => EndCause::Unavailable,
        50 | 52 | 54 | 55 | 57 | 87 => EndCause::Rejected,
        58 | 65 | 70 | 79 | 88 => EndCause::NoCodec,
        _ => return None,
    })
}

/// The refusal of an offered call, and the Reason of its CANCEL or BYE.
pub(super) fn refusal(cause: EndCause) -> (Status, Reason) {
    let (status, q850) = table(cause);
    (Status::new(status).unwrap_or(Status::SERVER_ERROR), reason(q850))
}

/// The Reason of our CANCEL.
pub(super) fn cancel_reason(cause: EndCause) -> Reason {
    match cause {
        EndCause::Elsewhere => Reason {
            protocol: "SIP".to_owned(),
            cause: Some(200),
            text: Some("Call completed elsewhere".to_owned()),
        },
        other => refusal(other).1,
    }
}

fn reason(q850: u16) -> Reason {
    Reason { protocol: "Q.850".to_owned(), cause: Some(q850), text: None }
}

fn table(cause: EndCause) -> (u16, u16) {
    match cause {
        EndCause::Hangup | EndCause::Transferred => (480, 16),
        EndCause::Elsewhere => (480, 26),
        EndCause::Cancelled => (487, 31),
        EndCause::BadNumber => (404, 1),
        EndCause::Busy => (486, 17),
        EndCause::NoAnswer => (480, 19),
        EndCause::Declined => (603, 21),
        EndCause::Unreachable => (480, 20),
        EndCause::Nobody => (480, 18),
        EndCause::Rejected | EndCause::Barred => (403, 55),
        EndCause::Capped => (403, 50),
        EndCause::Unavailable => (503, 41),
        EndCause::LineDown => (503, 38),
        EndCause::LineBusy => (503, 34),
        EndCause::MediaLost => (480, 31),
        EndCause::NoCodec => (488, 88),
        EndCause::Cleared | EndCause::Stopped => (503, 31),
        EndCause::TooLong => (480, 31),
        EndCause::Crash => (500, 41),
    }
}

/// What a silent or broken neighbour is called.
pub(super) fn lost(via: &Via) -> EndCause {
    match via {
        Via::Line(_) => EndCause::LineDown,
        Via::Device(_) => EndCause::Unreachable,
    }
}

/// The status line of a transfer that did not come about, for `message/sipfrag` (RFC 3515 §2.4.5).
pub(super) fn fragment(cause: EndCause) -> String {
    let (status, _) = refusal(cause);
    format!("SIP/2.0 {status} {}\r\n", status.reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Via {
        Via::Line("t".into())
    }

    #[test]
    fn a_refusal_that_comes_back_means_what_it_meant() {
        let lossy = [
            EndCause::Hangup,
            EndCause::Transferred,
            EndCause::Elsewhere,
            EndCause::Cancelled,
            EndCause::Nobody,
            EndCause::Barred,
            EndCause::Capped,
            EndCause::LineDown,
            EndCause::LineBusy,
            EndCause::MediaLost,
            EndCause::Cleared,
            EndCause::Stopped,
            EndCause::TooLong,
            EndCause::Crash,
        ];
        for cause in EndCause::ALL.into_iter().filter(|c| !lossy.contains(c)) {
            let (status, reason) = refusal(cause);
            let mut headers = Headers::default();
            headers.push(Name::Reason, &reason.to_string());
            assert_eq!(refused(status, &headers, &line()), cause, "{status} {reason}");
        }
    }

    #[test]
    fn the_cause_of_the_network_is_closer_than_the_status() {
        let mut headers = Headers::default();
        headers.push(Name::Reason, "SIP;cause=503, Q.850;cause=17;text=\"User busy\"");
        assert_eq!(refused(Status::SERVICE_UNAVAILABLE, &headers, &line()), EndCause::Busy);
        assert_eq!(ended(&headers, &line()), EndCause::Hangup);
    }

    #[test]
    fn a_call_that_was_answered_elsewhere_was_not_given_up() {
        let mut headers = Headers::default();
        assert_eq!(cancelled(&headers), EndCause::Cancelled);
        headers.push(Name::Reason, &cancel_reason(EndCause::Elsewhere).to_string());
        assert_eq!(cancelled(&headers), EndCause::Elsewhere);
    }
}
