//! SIPp's scenarios against the daemon as people have it, a box for each, over UDP, TCP and TLS. `scripts/setup`
//! installs SIPp; without it this says so and proves nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]
#![allow(clippy::print_stderr, reason = "what was not tried must be seen")]

use std::path::PathBuf;

use hil::sipp::{Way, matrix, missing, play_all};

/// Boxes at a time: most of a case is waiting.
const JOBS: usize = 16;

#[tokio::test]
async fn every_sipp_scenario_passes_over_udp_tcp_and_tls() {
    let lacking = missing();
    if !lacking.is_empty() {
        eprintln!("NOT TRIED: {} not installed; scripts/setup installs it", lacking.join(", "));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let all = matrix("", &Way::ALL);
    let wanted = all.len();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_backroom"));
    let outcomes = play_all(all, program, dir.path().to_owned(), JOBS).await;
    let wrong: Vec<String> = outcomes
        .iter()
        .filter_map(|o| Some(format!("{} over {}: {}", o.case, o.way.as_str(), o.wrong.as_ref()?)))
        .collect();
    if !wrong.is_empty() {
        // Its messages and logs are wanted now.
        let kept = dir.keep();
        panic!("{} of {wanted} failed, see {}:\n{}", wrong.len(), kept.display(), wrong.join("\n"));
    }
    assert_eq!(outcomes.len(), wanted);
}
