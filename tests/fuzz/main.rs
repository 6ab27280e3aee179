//! A short and always equal run of every fuzz target. `scripts/prove fuzz` runs the same targets for as long as one
//! likes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

mod calls;
mod engine;
mod samples;
mod signalling;
mod sound;
mod upstream;

use engine::{Budget, Target, fuzz};

fn survives(targets: &[Target], name: &str, executions: u64) {
    let target = targets.iter().find(|t| t.name == name).unwrap();
    let report = fuzz(target, 1, Budget::Executions(executions));
    let failures: Vec<_> = report
        .failures
        .iter()
        .map(|f| format!("{}: {:?}", f.what, String::from_utf8_lossy(&f.input)))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!((report.executions, report.failed), (executions, 0));
    assert!(report.behaviours >= 5, "the target looks at something: {}", report.behaviours);
}

#[test]
fn datagrams_of_any_bytes() {
    survives(&signalling::TARGETS, "sip-datagram", 3000);
}

#[test]
fn streams_of_any_bytes() {
    survives(&signalling::TARGETS, "sip-stream", 1000);
}

#[test]
fn addresses_of_any_bytes() {
    survives(&signalling::TARGETS, "uri", 10_000);
}

#[test]
fn descriptions_of_any_bytes() {
    survives(&signalling::TARGETS, "sdp", 5000);
}

#[test]
fn credentials_of_any_bytes() {
    survives(&signalling::TARGETS, "digest", 3000);
}

#[test]
fn packets_of_any_bytes() {
    survives(&sound::TARGETS, "rtp", 2000);
}

#[test]
fn reports_of_any_bytes() {
    survives(&sound::TARGETS, "rtcp", 10_000);
}

#[test]
fn keys_of_any_bytes() {
    survives(&sound::TARGETS, "telephone-event", 10_000);
}

#[test]
fn calls_in_any_state() {
    survives(&calls::TARGETS, "agent", 300);
}

#[test]
fn webhooks_of_any_bytes() {
    survives(&upstream::TARGETS, "webhook-form", 10_000);
}

#[test]
fn signatures_of_any_bytes() {
    survives(&upstream::TARGETS, "webhook-signature", 5000);
}

/// The harness itself: it finds what it is for.
#[test]
fn a_panic_is_found_and_its_input_kept() {
    fn fragile(bytes: &[u8]) -> u64 {
        assert!(!bytes.windows(2).any(|w| w == b"%0"), "an escape of a null");
        u64::from(bytes.contains(&b'%'))
    }
    let target =
        Target { name: "fragile", seeds: || vec![b"abc".to_vec()], words: &["%", "0"], run: fragile };
    let report = fuzz(&target, 1, Budget::Executions(2000));
    assert!(report.failed > 0);
    assert!(report.failures[0].input.windows(2).any(|w| w == b"%0"));
    assert!(report.failures[0].what.contains("an escape of a null"));
}
