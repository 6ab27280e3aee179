//! Runs the fuzz targets of `tests/fuzz` for a given time each and prints a table: `fuzz [--seconds N] [--seed N]
//! [--keep DIRECTORY] [TARGET...]`. An input that fails is written out, one that never ends stops the run.
//! `scripts/prove fuzz` builds it with overflow checks and debug assertions.

#[path = "../tests/fuzz/calls.rs"]
mod calls;
#[path = "../tests/fuzz/engine.rs"]
mod engine;
#[path = "../tests/fuzz/samples.rs"]
mod samples;
#[path = "../tests/fuzz/signalling.rs"]
mod signalling;
#[path = "../tests/fuzz/sound.rs"]
mod sound;
#[path = "../tests/fuzz/upstream.rs"]
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use engine::{Budget, CURRENT, Report, Target, fuzz};

/// An input that takes longer never ends.
const HANG: Duration = Duration::from_secs(30);

struct Wanted {
    seconds: u64,
    seed: u64,
    keep: PathBuf,
    targets: Vec<String>,
}

fn wanted() -> Option<Wanted> {
    let mut wanted =
        Wanted { seconds: 60, seed: 1, keep: PathBuf::from("target/prove/fuzz"), targets: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => wanted.seconds = arguments.next()?.parse().ok()?,
            "--seed" => wanted.seed = arguments.next()?.parse().ok()?,
            "--keep" => wanted.keep = arguments.next()?.into(),
            name if name.starts_with('-') => return None,
            name => wanted.targets.push(name.to_owned()),
        }
    }
    Some(wanted)
}

fn all() -> Vec<Target> {
    let signalling = signalling::TARGETS.into_iter().chain(sound::TARGETS);
    signalling.chain(calls::TARGETS).chain(upstream::TARGETS).collect()
}

/// Ends the process when one input does not end.
fn watch(keep: PathBuf) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel();
    std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let current = CURRENT.lock().ok().and_then(|c| c.clone());
            if let Some((since, input)) = current
                && since.elapsed() > HANG
            {
                let path = keep.join("hang");
                let written = std::fs::create_dir_all(&keep).and_then(|()| std::fs::write(&path, input));
                println!("an input does not end; {} {written:?}", path.display());
                std::process::exit(1);
            }
        }
    });
    stop
}

fn show(target: &Target, report: &Report, keep: &std::path::Path) {
    println!(
        "{:<16} {:>12} {:>10} {:>9.1} {:>9}",
        target.name,
        report.executions,
        report.behaviours,
        report.slowest.as_secs_f64() * 1000.0,
        report.failed
    );
    for (n, failure) in report.failures.iter().enumerate() {
        let path = keep.join(format!("{}-{n}", target.name));
        let written = std::fs::create_dir_all(keep).and_then(|()| std::fs::write(&path, &failure.input));
        println!("  {} ({}: {written:?})", failure.what, path.display());
    }
}

fn main() -> ExitCode {
    let Some(wanted) = wanted() else {
        println!("fuzz [--seconds N] [--seed N] [--keep DIRECTORY] [TARGET...]");
        return ExitCode::from(2);
    };
    let targets: Vec<Target> = all()
        .into_iter()
        .filter(|t| wanted.targets.is_empty() || wanted.targets.iter().any(|w| w == t.name))
        .collect();
    if targets.is_empty() {
        println!("targets: {}", all().iter().map(|t| t.name).collect::<Vec<_>>().join(" "));
        return ExitCode::from(2);
    }
    // Panics are what is looked for; the table tells of them.
    std::panic::set_hook(Box::new(|_| ()));
    let watch = watch(wanted.keep.clone());
    println!("seed {}, {} s each, corpus and novelty by behaviour", wanted.seed, wanted.seconds);
    println!(
        "{:<16} {:>12} {:>10} {:>9} {:>9}",
        "target", "executions", "behaviours", "slowest/ms", "failures"
    );
    let mut failed = 0;
    for target in &targets {
        let report = fuzz(target, wanted.seed, Budget::Time(Duration::from_secs(wanted.seconds)));
        show(target, &report, &wanted.keep);
        failed += report.failed;
    }
    drop(watch);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
