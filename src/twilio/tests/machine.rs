//! The machine of a line in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::post;
use super::world::{Faults, World};
use crate::types::{Delivery, LineCommand, LineEvent, MessageId, PostResult, PostsFound, Registration, Wall};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn send(world: &mut World, message: &str, to: &str, body: &str) {
    world.tell(LineCommand::Post(Box::new(post(message, to, body))));
}

fn result(world: &World, message: &str) -> PostResult {
    world.results[&(MessageId::from(message), 1)].clone()
}

fn kinds(world: &World) -> Vec<&'static str> {
    world
        .heard
        .iter()
        .map(|(_, event)| match event {
            LineEvent::Up { .. } => "up",
            LineEvent::Down { .. } => "down",
            LineEvent::State(_) => "state",
            LineEvent::Text(_) => "text",
            LineEvent::Cursor(_) => "cursor",
            LineEvent::Swept => "swept",
            LineEvent::Posted { .. } => "posted",
            LineEvent::Found { .. } => "found",
            LineEvent::Status(_) => "status",
            _ => "other",
        })
        .collect()
}

#[test]
fn a_line_comes_up_tells_what_came_in_and_says_when_that_was_all() {
    let mut world = World::new(1);
    world.receive("before the first day's start", false, 0);
    world.run(10 * SECOND);
    assert_eq!(kinds(&world), ["up", "state", "text", "cursor", "swept"]);
    world.receive("later", true, 0);
    world.run(40 * SECOND);
    assert_eq!(kinds(&world)[5..], ["text", "cursor"]);
    let Some(LineEvent::Text(text)) = world.heard.get(5).map(|(_, event)| event) else { unreachable!() };
    assert_eq!((text.body.as_str(), text.media.len()), ("later", 1));
}

#[test]
fn it_asks_often_while_somebody_writes_and_seldom_otherwise() {
    let mut world = World::new(2);
    world.run(10 * MINUTE);
    let idle = world.requests;
    assert!((18..=24).contains(&idle), "{idle} in ten idle minutes");
    send(&mut world, "SM1", "+12065550142", "are you there");
    world.run(5 * MINUTE);
    let busy = world.requests - idle;
    assert!((50..=65).contains(&busy), "{busy} in five busy minutes");
    world.run(10 * MINUTE);
    assert!(world.requests - idle - busy <= 26);
}

#[test]
fn without_a_change_the_cursor_is_not_written_every_few_seconds() {
    let mut world = World::new(3);
    world.run(60 * MINUTE);
    let cursors = kinds(&world).iter().filter(|kind| **kind == "cursor").count();
    assert!((11..=14).contains(&cursors), "{cursors} in an hour");
}

#[test]
fn what_shows_hours_late_is_told_by_the_look_at_the_whole_day() {
    let mut world = World::new(11);
    world.run(20 * 60 * MINUTE);
    world.receive("late", false, 2 * 3_600_000);
    world.receive("in time", false, 0);
    world.run(3 * 60 * MINUTE);
    assert_eq!(world.told, [world.inbound()[1].clone()]);
    world.run(2 * 60 * MINUTE);
    let late = world.inbound()[0].clone();
    assert_eq!(world.told.iter().filter(|sid| **sid == late).count(), 1);
}

#[test]
fn what_shows_hours_late_is_told_though_the_line_comes_and_goes_and_the_box_is_started_every_day() {
    for restarts in [false, true] {
        let mut world = World::new(12);
        for day in 0..3 {
            world.run(12 * 60 * MINUTE);
            if day == 1 {
                world.receive("late", false, 2 * 3_600_000);
            }
            world.run(6 * 60 * MINUTE);
            match restarts {
                true => world.restart(day),
                false => world.network = false,
            }
            world.run(MINUTE);
            world.network = true;
            world.run(6 * 60 * MINUTE);
        }
        assert_eq!(world.told, [world.inbound()[0].clone()], "{restarts}");
    }
}

#[test]
fn four_thousand_texts_at_eighty_a_second_are_told_within_seconds_by_lists_alone() {
    for seed in 20..24 {
        let mut world = World::new(seed);
        world.run(MINUTE);
        world.receive("somebody writes: it is asked often", false, 0);
        world.run(40 * SECOND);
        world.heard.clear();
        world.faults = Faults { crowded: 5, broken: 8, lost: 2 };
        let before = world.requests;
        for n in 0..4_000 {
            let lag = 1 + world.chance(8_000);
            world.receive(&format!("text {n}"), n % 500 == 0, lag);
            world.run(Duration::from_millis(12 + n % 2));
        }
        world.run(20 * SECOND);
        let late = world.lateness();
        let (most, sum) = (*late.iter().max().unwrap(), late.iter().sum::<u64>());
        let mean = sum / u64::try_from(late.len()).unwrap();
        assert_eq!(late.len(), 4_000, "seed {seed}: each once");
        let requests = world.requests - before;
        let told = format!("seed {seed}: {most} ms at most, {mean} ms on average, {requests} requests");
        assert!(most < 20_000 && mean < 6_000 && requests < 250, "{told}");
        assert!(!kinds(&world).contains(&"down"), "{told}");
    }
}

#[test]
fn what_shows_later_than_a_busy_box_looks_back_is_told_within_two_minutes() {
    let mut world = World::new(25);
    world.run(MINUTE);
    let mut late = Vec::new();
    for n in 0..3_000 {
        if n % 300 == 150 {
            late.push(world.kept.len());
            world.receive("late", false, 100_000);
        }
        world.receive(&format!("text {n}"), false, 1);
        world.run(Duration::from_millis(60));
    }
    world.run(4 * MINUTE);
    let sids = world.inbound();
    for at in late {
        assert_eq!(world.told.iter().filter(|sid| **sid == sids[at]).count(), 1, "text {at}");
    }
    assert!(world.lateness().iter().all(|late| *late < 2 * 60_000), "{:?}", world.lateness().iter().max());
}

#[test]
fn wrong_credentials_are_one_alarm_and_no_storm() {
    let mut world = World::new(4);
    world.credentials = false;
    world.restart(4);
    world.run(60 * MINUTE);
    assert!((4..=14).contains(&world.requests), "{} requests in an hour", world.requests);
    assert_eq!(kinds(&world), ["state", "down"]);
    let (_, LineEvent::State(state)) = &world.heard[0] else { unreachable!() };
    assert_eq!(state.registration, Registration::Denied);
    assert!(state.needs.as_ref().unwrap().contains("refuses the credentials: 401 / 20003"), "{state:?}");
    world.credentials = true;
    world.run(16 * MINUTE);
    assert_eq!(kinds(&world)[2..6], ["up", "state", "cursor", "swept"]);
}

#[test]
fn a_network_that_is_cut_while_texts_wait_takes_the_line_down_within_ten_seconds() {
    let mut world = World::new(5);
    world.run(MINUTE);
    world.network = false;
    let cut = world.now;
    send(&mut world, "SM1", "+12065550142", "one");
    send(&mut world, "SM2", "+12065550143", "two");
    world.run(10 * SECOND);
    for message in ["SM1", "SM2"] {
        assert!(matches!(result(&world, message), PostResult::NotTried { .. }));
    }
    assert_eq!(kinds(&world).last(), Some(&"down"));
    assert!(world.heard.last().unwrap().0 - cut <= 10_000);
    world.network = true;
    world.receive("meanwhile", false, 0);
    world.run(30 * SECOND);
    let since: Vec<_> = kinds(&world).into_iter().skip_while(|kind| *kind != "down").collect();
    assert_eq!(since, ["down", "up", "state", "text", "cursor", "swept"]);
}

#[test]
fn a_network_that_is_cut_in_a_quiet_hour_is_noticed_too() {
    let mut world = World::new(6);
    world.run(MINUTE);
    world.network = false;
    world.run(50 * SECOND);
    assert_eq!(kinds(&world).last(), Some(&"down"));
    let before = world.requests;
    world.run(10 * MINUTE);
    assert!((35..80).contains(&(world.requests - before)), "{}", world.requests - before);
    assert_eq!(kinds(&world).iter().filter(|kind| **kind == "down").count(), 1);
}

#[test]
fn a_text_in_doubt_is_found_by_its_words_whatever_the_box_thinks_of_the_time() {
    let mut world = World::new(7);
    world.run(MINUTE);
    world.faults.lost = 100;
    let (since, mut sure) = (world.wall(), Vec::new());
    for n in 0..8 {
        let (message, to) = (format!("SM{n}"), format!("+1206555020{n}"));
        send(&mut world, &message, &to, "ready for pick-up");
    }
    world.run(40 * SECOND);
    world.faults = Faults::default();
    world.run(MINUTE);
    for n in 0..8 {
        let (message, to) = (format!("SM{n}"), format!("+1206555020{n}"));
        assert!(matches!(result(&world, &message), PostResult::Unknown { .. } | PostResult::NotTried { .. }));
        let post = Box::new(post(&message, &to, "ready for pick-up"));
        world.tell(LineCommand::Find { message: MessageId(message), post, since });
    }
    world.run(MINUTE);
    for (_, event) in &world.heard {
        if let LineEvent::Found { found: PostsFound::These(found), .. } = event {
            sure.push(found.len());
        }
    }
    assert_eq!(sure.len(), 8);
    assert_eq!(sure.iter().sum::<usize>(), world.sent("ready for pick-up"));
    let other = Box::new(post("SM0", "+12065550200", "ready for pick-up tomorrow"));
    world.tell(LineCommand::Find { message: MessageId::from("SM0"), post: other, since: Wall(0) });
    world.run(SECOND);
    let (_, last) = world.heard.last().unwrap();
    assert!(matches!(last, LineEvent::Found { found: PostsFound::These(found), .. } if found.is_empty()));
}

#[test]
fn a_text_in_doubt_behind_more_texts_than_are_looked_through_is_not_said_to_be_absent() {
    let mut world = World::new(13);
    world.run(10 * SECOND);
    let to = "+12065550142";
    for n in 0..510 {
        send(&mut world, &format!("SM{n}"), to, &format!("news {n}"));
    }
    world.run(10 * MINUTE);
    assert_eq!(world.sent("news 509"), 1);
    for (body, sure) in [("news 0", None), ("news 505", Some(1)), ("never sent", None)] {
        let post = Box::new(post("SM0", to, body));
        world.tell(LineCommand::Find { message: MessageId::from("SM0"), post, since: Wall(0) });
        world.run(20 * SECOND);
        let found = world.heard.iter().rev().find_map(|(_, event)| match event {
            LineEvent::Found { found: PostsFound::These(found), .. } => Some(Some(found.len())),
            LineEvent::Found { found: PostsFound::Unreachable { .. }, .. } => Some(None),
            _ => None,
        });
        assert_eq!(found, Some(sure), "{body}");
    }
}

#[test]
fn texts_that_left_are_followed_to_their_end() {
    let mut world = World::new(8);
    world.run(10 * SECOND);
    let since = world.wall();
    for n in 0..40 {
        send(&mut world, &format!("SM{n}"), &format!("+120655502{n:02}"), "your order is ready");
    }
    world.run(5 * SECOND);
    let sids: Vec<String> = world
        .results
        .values()
        .map(|result| match result {
            PostResult::Accepted { sid, .. } => sid.clone(),
            other => unreachable!("{other:?}"),
        })
        .collect();
    for sid in &sids {
        world.tell(LineCommand::Track { sid: sid.clone(), since });
    }
    let before = world.requests;
    world.run(3 * MINUTE);
    let mut ends = BTreeSet::new();
    for (_, event) in &world.heard {
        if let LineEvent::Status(status) = event
            && status.status == Delivery::Delivered
        {
            assert!(ends.insert(status.sid.clone()), "{} ended twice", status.sid);
        }
    }
    assert_eq!(ends, sids.into_iter().collect());
    assert!(world.requests - before < 50, "{} requests for forty texts", world.requests - before);
}

#[test]
fn at_the_end_everything_is_answered_and_then_it_is_down() {
    let mut world = World::new(9);
    world.run(10 * SECOND);
    world.faults.lost = 100;
    for n in 0..12 {
        send(&mut world, &format!("SM{n}"), &format!("+120655502{n:02}"), "x");
    }
    let post = Box::new(post("SM99", "+12065550142", "x"));
    world.tell(LineCommand::Find { message: MessageId::from("SM99"), post, since: Wall(0) });
    world.shut_down();
    world.run(SECOND);
    assert!(world.stopped());
    assert!(world.owed.is_empty() && world.finds_owed.is_empty());
    assert!(matches!(result(&world, "SM0"), PostResult::Unknown { .. }));
    assert!(matches!(result(&world, "SM11"), PostResult::NotTried { .. }));
    assert_eq!(kinds(&world).last(), Some(&"down"));
}

#[test]
fn a_pause_that_the_upstream_asks_for_is_kept_and_the_texts_leave_after_it() {
    let mut world = World::new(10);
    world.run(10 * SECOND);
    world.faults.crowded = 100;
    send(&mut world, "SM1", "+12065550142", "one");
    world.run(SECOND);
    assert!(matches!(result(&world, "SM1"), PostResult::Rejected { temporary: true, .. }));
    let before = world.requests;
    world.run(800 * Duration::from_millis(1));
    assert!(world.requests - before <= 1, "nobody hurries an upstream that is crowded");
    world.faults = Faults::default();
    send(&mut world, "SM2", "+12065550142", "two");
    world.run(10 * SECOND);
    assert!(matches!(result(&world, "SM2"), PostResult::Accepted { .. }));
    assert!(!kinds(&world).contains(&"down"), "a crowd is no outage");
}

/// Everything at once: faults, cuts, restarts, late entries. Whatever happens, each text in is told, each post is
/// answered once, what was accepted is there once, and what was refused is not.
#[test]
fn nothing_is_lost_and_nothing_is_promised_that_is_not_so() {
    for seed in 0..150 {
        let mut world = World::new(seed);
        world.faults = Faults { crowded: 8, broken: 8, lost: 12 };
        let mut bodies = Vec::new();
        for step in 0..120 {
            for n in 0..world.chance(5) {
                let (media, lag) = (world.chance(6) == 0, world.chance(4) / 3 * world.chance(400_000));
                world.receive(&format!("in {step}/{n}"), media, lag);
            }
            if world.chance(2) == 0 {
                let body = format!("out {step}");
                let to = format!("+120655502{:02}", world.chance(5));
                let message = format!("SM{seed}-{step}");
                send(&mut world, &message, &to, &body);
                if world.chance(4) == 0 {
                    let post = Box::new(post(&message, &to, &body));
                    let since = world.wall();
                    world.tell(LineCommand::Find { message: MessageId::from(message.as_str()), post, since });
                }
                bodies.push((message, body));
            }
            world.network = world.chance(12) != 0 && (world.network || world.chance(3) == 0);
            if world.chance(40) == 0 {
                world.restart(seed * 1000 + step);
            }
            let pause = Duration::from_millis(world.chance(20_000));
            world.run(pause);
        }
        (world.faults, world.network) = (Faults::default(), true);
        world.run(20 * MINUTE);
        assert!(world.owed.is_empty() && world.finds_owed.is_empty(), "seed {seed}: {:?}", world.owed);
        let told: BTreeSet<&String> = world.told.iter().collect();
        for sid in world.inbound() {
            assert!(told.contains(&sid), "seed {seed}: {sid} was never told");
        }
        for (message, body) in bodies {
            let Some(result) = world.results.get(&(MessageId(message), 1)) else { continue };
            let copies = world.sent(&body);
            match result {
                PostResult::Accepted { .. } => assert_eq!(copies, 1, "seed {seed}: {body}"),
                PostResult::Rejected { .. } | PostResult::NotTried { .. } => {
                    assert_eq!(copies, 0, "seed {seed}: {body} {result:?}");
                }
                PostResult::Unknown { .. } => assert!(copies <= 1, "seed {seed}: {body}"),
            }
        }
    }
}
