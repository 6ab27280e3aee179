//! Deliveries against modelled endpoints: any answer, any restart; never lost, never more than the policy.

use proptest::prelude::*;

use super::*;

const BEGIN: i64 = 1_795_197_600_000;

fn at(ms: u64) -> Now {
    Now::at(ms, BEGIN + i64::try_from(ms).unwrap())
}

fn answered(status: u16) -> EventInput {
    EventInput::Answered(EventAnswer::Answered { status, retry_after: None, said: String::new() })
}

fn asked(status: u16, seconds: u32) -> EventInput {
    EventInput::Answered(EventAnswer::Answered { status, retry_after: Some(seconds), said: String::new() })
}

fn no_answer() -> EventInput {
    EventInput::Answered(EventAnswer::NoAnswer { why: "time-out".into() })
}

fn handed(id: &str) -> EventDelivery {
    let mut event = EventDelivery::new(id.into(), at(0));
    assert_eq!(event.handle(EventInput::Due, at(0)), Some(EventAction::Post));
    event
}

/// Tries until it is settled; gives the tries and when it ended.
fn until_settled(event: &mut EventDelivery, answer: &EventInput) -> (u32, u64) {
    for tries in 1..10_000 {
        let due = event.due().unwrap();
        assert_eq!(event.handle(EventInput::Due, at(due.0)), Some(EventAction::Post));
        if event.handle(answer.clone(), at(due.0)) == Some(EventAction::Settled) {
            return (tries, due.0);
        }
    }
    panic!("it never ends");
}

#[test]
fn any_2xx_is_delivery_also_when_it_is_heard_late() {
    for status in [200, 202, 204, 299] {
        let mut event = handed("EV1");
        assert_eq!(event.handle(answered(status), at(5)), Some(EventAction::Settled));
        assert_eq!((event.state, event.note), (EventState::Delivered, None));
    }
    let mut late = handed("EV1");
    late.handle(no_answer(), at(10_000));
    assert_eq!(late.handle(answered(200), at(10_001)), Some(EventAction::Settled));
    assert_eq!(late.handle(answered(200), at(10_002)), None);
    assert_eq!(late.due(), None);
}

#[test]
fn gone_is_dead_at_once_and_refused_is_dead_after_eight_tries_in_five_to_eleven_minutes() {
    let mut gone = handed("EV1");
    assert_eq!(gone.handle(answered(410), at(0)), Some(EventAction::Settled));
    assert_eq!(gone.state, EventState::Dead);
    for status in [301, 400, 401, 404, 422] {
        for id in ["EV1", "EV2", "EV3"] {
            let mut event = EventDelivery::new(id.into(), at(0));
            let (tries, ended) = until_settled(&mut event, &answered(status));
            assert_eq!((tries, event.state.clone()), (REFUSALS_MOST, EventState::Dead), "{status}");
            assert!((300_000..660_000).contains(&ended), "{status}: {ended}");
        }
    }
}

#[test]
fn what_may_pass_is_tried_for_a_day_and_with_few_tries() {
    for answer in [answered(408), answered(425), answered(429), answered(500), answered(503), no_answer()] {
        let mut event = EventDelivery::new("EV7".into(), at(0));
        let (tries, ended) = until_settled(&mut event, &answer);
        assert!((24..70).contains(&tries), "{answer:?}: {tries}");
        assert_eq!(ended, 24 * 3_600_000, "the last try is at the day's end");
        assert_eq!(event.state, EventState::Dead);
        assert!(event.note.unwrap().starts_with("not taken for 24 hours"));
    }
}

#[test]
fn a_pause_that_the_endpoint_asked_for_is_kept_also_when_others_get_through() {
    let mut event = handed("EV1");
    event.handle(asked(429, 300), at(0));
    assert_eq!(event.due(), Some(Mono(300_000)));
    event.handle(EventInput::Reached, at(10));
    assert_eq!(event.due(), Some(Mono(300_000)));
    let mut week = handed("EV1");
    week.handle(asked(503, 604_800), at(0));
    assert_eq!(week.due(), Some(Mono(3_600_000)));
    let mut elsewhere = handed("EV1");
    elsewhere.handle(asked(500, 300), at(0));
    assert!(elsewhere.due().unwrap() <= Mono(5_000), "only 429 and 503 ask for pauses");
}

#[test]
fn an_endpoint_that_is_back_gets_what_waits_within_ten_seconds() {
    let mut event = handed("EV1");
    for _ in 0..12 {
        event.handle(no_answer(), at(0));
        event.state = EventState::Handed { since: Mono(0) };
        event.attempts += 1;
    }
    event.handle(no_answer(), at(0));
    assert!(event.due().unwrap() > Mono(1_000_000));
    event.handle(EventInput::Reached, at(50));
    assert!(event.due().unwrap() <= Mono(10_050));
}

#[test]
fn refusals_do_not_count_while_the_clock_is_not_sure() {
    let unsure = |ms| Now { wall_sure: false, ..at(ms) };
    let mut event = EventDelivery::new("EV1".into(), unsure(0));
    assert_eq!(event.since, None);
    for _ in 0..30 {
        let due = event.due().unwrap().0;
        event.handle(EventInput::Due, unsure(due));
        assert_eq!(event.handle(answered(400), unsure(due)), Some(EventAction::Later));
    }
}

#[test]
fn one_that_was_older_than_a_day_when_the_box_came_back_is_tried_once_more() {
    let long_ago = Some(Wall(BEGIN - 3 * 86_400_000));
    let mut event = EventDelivery::loaded("EV1".into(), 9, long_ago, Duration::from_secs(30), at(0));
    let due = event.due().unwrap();
    assert!(due <= Mono(30_000));
    assert_eq!(event.handle(EventInput::Due, at(due.0)), Some(EventAction::Post));
    assert_eq!(event.handle(no_answer(), at(due.0)), Some(EventAction::Settled));
    let mut unknown_age = EventDelivery::loaded("EV1".into(), 9, None, Duration::ZERO, at(0));
    unknown_age.handle(EventInput::Due, at(0));
    assert_eq!(unknown_age.handle(no_answer(), at(0)), Some(EventAction::Later));
}

#[test]
fn a_replay_begins_a_new_day_under_the_same_id() {
    let mut event = handed("EV1");
    assert_eq!(event.handle(EventInput::Replay, at(5)), None, "it is under way");
    event.handle(answered(410), at(5));
    assert_eq!(event.handle(EventInput::Replay, at(90_000_000)), Some(EventAction::Later));
    assert_eq!((event.id.as_str(), event.attempts, event.due()), ("EV1", 0, Some(Mono(90_000_000))));
    event.handle(EventInput::Due, at(90_000_000));
    assert_eq!(event.handle(no_answer(), at(90_000_000)), Some(EventAction::Later));
}

#[test]
fn those_that_failed_together_do_not_come_back_together() {
    let dues: std::collections::BTreeSet<_> = (0..50)
        .map(|n| {
            let mut event = handed(&format!("EV{n}"));
            event.handle(no_answer(), at(0));
            event.due()
        })
        .collect();
    assert!(dues.len() > 40, "{}", dues.len());
}

#[derive(Clone, Debug)]
enum Happens {
    Answer(u16, Option<u32>),
    Silence,
    NotTried,
    Lost,
    Reached,
    Restart,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (prop_oneof![Just(500), Just(503), Just(429), Just(404), Just(302), Just(408)], prop::option::of(0..9_000_u32))
            .prop_map(|(status, pause)| Happens::Answer(status, pause)),
        3 => Just(Happens::Silence),
        1 => Just(Happens::NotTried),
        1 => Just(Happens::Lost),
        1 => Just(Happens::Reached),
        1 => Just(Happens::Restart),
        1 => Just(Happens::Answer(200, None)),
        1 => Just(Happens::Answer(410, None)),
    ]
}

proptest! {
    #[test]
    fn it_is_delivered_dead_by_the_policy_or_due_within_the_longest_pause(
        id in "EV[0-9a-f]{8}",
        story in prop::collection::vec(happens(), 1..120),
    ) {
        let mut event = EventDelivery::new(id, at(0));
        let (mut now, mut refusals) = (0_u64, 0_u32);
        for step in story {
            let due = event.due().unwrap().0;
            prop_assert!(due <= now + 3_600_000, "nothing waits longer");
            now = now.max(due);
            if due > 0 {
                prop_assert_eq!(event.handle(EventInput::Due, at(due - 1)), None);
            }
            prop_assert_eq!(event.handle(EventInput::Due, at(now)), Some(EventAction::Post));
            let input = match step {
                Happens::Answer(status, retry_after) => {
                    refusals = if matches!(status, 404 | 302) { refusals + 1 } else { 0 };
                    EventInput::Answered(EventAnswer::Answered { status, retry_after, said: String::new() })
                }
                Happens::Silence => { refusals = 0; no_answer() }
                Happens::NotTried => EventInput::Answered(EventAnswer::NotTried { why: "stopping".into() }),
                Happens::Lost => { now += 120_000; EventInput::Due }
                Happens::Reached => EventInput::Reached,
                Happens::Restart => {
                    let (attempts, since) = (event.attempts, event.since);
                    event = EventDelivery::loaded(event.id, attempts, since, Duration::from_secs(30), at(now));
                    refusals = 0;
                    continue;
                }
            };
            let lost = matches!(input, EventInput::Due);
            let reached = matches!(input, EventInput::Reached);
            let ok = matches!(&input, EventInput::Answered(EventAnswer::Answered { status: 200, .. }));
            let gone = matches!(&input, EventInput::Answered(EventAnswer::Answered { status: 410, .. }));
            let not_tried = matches!(&input, EventInput::Answered(EventAnswer::NotTried { .. }));
            let action = event.handle(input, at(now));
            if reached {
                event.handle(no_answer(), at(now));
                refusals = 0;
            }
            let old = now >= 24 * 3_600_000;
            match event.state {
                EventState::Delivered => { prop_assert!(ok); return Ok(()); }
                EventState::Dead => {
                    let by_age = old && !ok && !not_tried;
                    prop_assert!(gone || refusals >= REFUSALS_MOST || by_age, "{event:?}");
                    return Ok(());
                }
                EventState::Waiting { .. } => {
                    prop_assert!(!ok && !gone && (not_tried || !old));
                    prop_assert!(not_tried || reached || lost || action == Some(EventAction::Later));
                }
                EventState::Handed { .. } => prop_assert!(false, "nobody has it"),
            }
        }
    }
}
