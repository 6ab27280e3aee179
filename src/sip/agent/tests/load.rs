//! Many calls in a row: what lingers behind each is bounded by time, and then gone. What they cost is measured
//! elsewhere (`scripts/bench calls`).

use super::world::*;
use crate::types::*;

/// One second's.
const CALLS: u64 = 800;

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
    for node in 0..w.nodes.len() {
        w.events(node);
    }
}

#[test]
fn calls_at_800_a_second_leave_nothing_behind() {
    let mut w = World::shop();
    w.keep_log = false;
    w.weather = Box::new(|now| vec![now]);
    for n in 0..CALLS {
        call(&mut w, n);
        // 1.25 ms apart.
        w.run(if n % 4 == 0 { 2 } else { 1 });
    }
    let held = w.nodes[0].agent.holdings();
    let each_way = usize::try_from(CALLS).unwrap() * 2;
    assert_eq!((held.legs, held.dialogs, held.timers), (0, 0, 0), "no call is up: {held:?}");
    let (clients, servers) = held.transactions;
    assert!(clients.min(servers) >= each_way, "INVITE and BYE linger for 32 s: {held:?}");
    w.assert_clean();
}
