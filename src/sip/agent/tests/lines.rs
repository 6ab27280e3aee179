//! Registrations seen from both sides: an agent that registers, and one that is the registrar.

use super::world::*;
use crate::sip::agent::*;
use crate::types::*;

fn registers(w: &World) -> Vec<String> {
    w.sent(1, 0, "REGISTER ")
}

fn contacts(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("Contact: ")).collect()
}

/// Whether the box can reach the desk phone.
fn is_reached(w: &mut World, leg: &str) -> bool {
    let leg = w.dial(0, leg, Via::Device("desk".into()), "101");
    w.run(100);
    let refused = w.events(0).iter().any(|(l, e)| *l == leg && matches!(e, LegEvent::Refused { .. }));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Cancelled });
    w.run(100);
    w.events(0);
    w.events(1);
    !refused
}

#[test]
fn a_trunk_with_another_setup_leaves_the_old_registration_and_makes_its_own() {
    let mut w = World::shop();
    w.log.clear();
    let now = w.at();
    let changed = TrunkSetup {
        login: Some(login("desk")),
        register: true,
        expires: core::time::Duration::from_secs(300),
        ..trunk("box", 0)
    };
    w.nodes[1].agent.handle_trunks(vec![changed], now);
    w.nodes[1].agent.handle_routes(&"box".into(), vec![route(1, 0)], now);
    w.run(500);
    let all = registers(&w);
    assert!(contacts(&all[0])[0].ends_with(";expires=0"), "{all:?}");
    let last = contacts(all.last().unwrap())[0];
    assert!(last.ends_with(";expires=300"), "{all:?}");
    let lines: Vec<bool> = w.nodes[1]
        .others
        .iter()
        .filter_map(|o| if let Output::Line { up, .. } = o { Some(*up) } else { None })
        .collect();
    assert_eq!(lines, [false, true]);
    assert!(is_reached(&mut w, "LG1"));
}

#[test]
fn who_stops_is_not_called_any_more() {
    let mut w = World::shop();
    assert!(is_reached(&mut w, "LG1"));
    let now = w.at();
    w.nodes[1].agent.stop(now);
    w.run(100);
    assert!(!is_reached(&mut w, "LG2"));
    w.run(100_000);
    assert!(w.nodes[1].agent.poll_timeout().is_none(), "nothing more is planned");
}

#[test]
fn a_registration_holds_for_hours_and_is_kept_seldom() {
    let mut w = World::shop();
    w.log.clear();
    w.run(4 * 3600 * 1000);
    let count = registers(&w).len();
    assert!((24..=40).contains(&count), "{count} in four hours of ten minutes each");
    let rows = w.nodes[0].others.iter().filter(|o| matches!(o, Output::Bindings(..))).count();
    assert!(rows <= 2 * count, "{rows} rows for {count} refreshes of two phones");
    assert!(is_reached(&mut w, "LG1"));
}

#[test]
fn a_provider_that_falls_silent_and_comes_back_is_registered_with_again() {
    let mut w = World::shop();
    w.dead.insert(address(0));
    w.run(1_200_000);
    let down = |w: &World, n: usize| {
        w.nodes[n]
            .others
            .iter()
            .rev()
            .find_map(|o| if let Output::Line { up, .. } = o { Some(!up) } else { None })
    };
    assert_eq!(down(&w, 1), Some(true));
    w.dead.clear();
    w.run(1_800_000);
    assert_eq!(down(&w, 1), Some(false));
    assert!(is_reached(&mut w, "LG1"));
}
