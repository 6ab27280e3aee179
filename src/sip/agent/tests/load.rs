//! What calls cost: run by hand, as the figures depend on the machine and on how this was compiled
//! (`cargo test --release --lib agent::tests::load -- --ignored --nocapture`).

use std::time::Instant;

use super::world::*;
use crate::types::*;

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4
}

/// One call from the provider through the box to a phone: set up, answered, ended.
fn call(w: &mut World, n: u64) {
    let far = w.dial(3, &format!("F{n}"), Via::Line("shop".into()), "+12065550199");
    w.run(0);
    let (leg, _) = w.offered(0);
    let out = w.dial(0, &format!("L{n}"), Via::Device("desk".into()), "101");
    w.run(0);
    let (phone, _) = w.offered(1);
    w.command(1, &phone, LegCommand::Ring);
    w.run(0);
    w.command(0, &leg, LegCommand::Ring);
    w.command(1, &phone, LegCommand::Answer);
    w.run(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(0);
    w.command(3, &far, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(0);
    w.command(0, &out, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(0);
    (0..4).for_each(|node| w.nodes[node].forget());
}

#[test]
#[ignore = "a measurement, not a property"]
fn what_800_short_calls_a_second_cost_and_leave() {
    let mut w = World::shop();
    w.keep_log = false;
    w.weather = Box::new(|now| vec![now]);
    let (before, began) = (resident(), Instant::now());
    for n in 0..24_000 {
        call(&mut w, n);
        if n % 4 != 0 {
            w.run(1);
        } else {
            w.run(2);
        }
    }
    let spent = began.elapsed();
    println!("three agents, each side of each leg: {:?} a call", spent / 24_000);
    println!("after the last: {} KiB more, box holds {:?}", resident() - before, w.nodes[0].agent.holdings());
    w.run(120_000);
    println!(
        "two minutes later: {} KiB more, box holds {:?}",
        resident() - before,
        w.nodes[0].agent.holdings()
    );
    w.assert_clean();
}
