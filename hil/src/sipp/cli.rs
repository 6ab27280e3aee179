//! `hil sipp`: plays the cases and prints a table.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::machine::{Outcome, missing, play};
use super::{CASES, Case, Way};

/// `hil sipp`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The `backroom` program
    #[arg(long)]
    backroom: PathBuf,
    /// Where each case leaves its messages and logs
    #[arg(long)]
    dir: PathBuf,
    /// Only cases that have this in their name
    #[arg(long, default_value = "")]
    only: String,
    /// Only over this
    #[arg(long)]
    way: Vec<Way>,
    /// Cases at a time
    #[arg(long, default_value_t = 12)]
    jobs: usize,
}

/// The cases in each way they can go, the longest first.
#[must_use]
pub fn matrix(only: &str, ways: &[Way]) -> Vec<(&'static Case, Way)> {
    let mut all: Vec<(&'static Case, Way)> = CASES
        .iter()
        .filter(|case| case.name.contains(only))
        .flat_map(|case| ways.iter().map(move |way| (case, *way)))
        // A connection loses nothing.
        .filter(|(case, way)| case.loss == 0 || *way == Way::Udp)
        .collect();
    all.sort_by_key(|(case, _)| std::cmp::Reverse(case.within));
    all
}

/// Plays `all`, so many at a time.
pub async fn play_all(
    all: Vec<(&'static Case, Way)>,
    program: PathBuf,
    dir: PathBuf,
    jobs: usize,
) -> Vec<Outcome> {
    let gate = Arc::new(Semaphore::new(jobs.max(1)));
    let mut playing = JoinSet::new();
    for (ordinal, (case, way)) in (1..=250_u8).zip(all) {
        let (gate, program, dir) = (Arc::clone(&gate), program.clone(), dir.clone());
        playing.spawn(async move {
            // Never closed: the permit is always given.
            let _permit = gate.acquire().await;
            play(case, way, &program, &dir, ordinal).await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = playing.join_next().await {
        // A case that panicked is missing from the table, and the count tells.
        outcomes.extend(done.ok());
    }
    outcomes.sort_by_key(|outcome| (CASES.iter().position(|c| c.name == outcome.case), outcome.way));
    outcomes
}

/// Plays them and prints the table.
pub async fn run(args: Args) -> ExitCode {
    let lacking = missing();
    if !lacking.is_empty() {
        println!("not installed: {}", lacking.join(", "));
        return ExitCode::FAILURE;
    }
    let ways = if args.way.is_empty() { Way::ALL.to_vec() } else { args.way };
    let all = matrix(&args.only, &ways);
    let wanted = all.len();
    let outcomes = play_all(all, args.backroom, args.dir, args.jobs).await;
    let mut table: BTreeMap<usize, BTreeMap<Way, String>> = BTreeMap::new();
    for outcome in &outcomes {
        let row = CASES.iter().position(|c| c.name == outcome.case).unwrap_or_default();
        let word = if outcome.wrong.is_some() { "FAILED" } else { "passed" };
        let text = format!("{word} {:.1} s", outcome.took.as_secs_f64());
        table.entry(row).or_default().insert(outcome.way, text);
    }
    println!("{:<26} {:<16} {:<16} {:<16}", "SIPp scenario", "UDP", "TCP", "TLS (stunnel)");
    for (row, cells) in &table {
        let name = CASES.get(*row).map_or("", |c| c.name);
        let cell = |way: Way| cells.get(&way).map_or("-", String::as_str);
        println!("{name:<26} {:<16} {:<16} {:<16}", cell(Way::Udp), cell(Way::Tcp), cell(Way::Tls));
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|o| o.wrong.is_some()).collect();
    for outcome in &failed {
        println!(
            "\n{} over {}: {}",
            outcome.case,
            outcome.way.as_str(),
            outcome.wrong.as_deref().unwrap_or("")
        );
    }
    println!("\n{} of {wanted} passed", outcomes.len() - failed.len());
    if failed.is_empty() && outcomes.len() == wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
