//! Posts against an upstream that may take a text late, lose answers and be away, on a box that may stop at any moment.

use proptest::prelude::*;

use super::*;

fn policy() -> PostPolicy {
    PostPolicy::default()
}

fn at(mono: u64) -> Now {
    Now::at(mono, 1_795_197_600_000)
}

fn lost() -> PostResult {
    PostResult::Unknown { why: "no answer".into() }
}

fn accepted(sid: &str) -> PostResult {
    PostResult::Accepted { sid: sid.into(), status: Delivery::Queued, at: None }
}

fn refused(temporary: bool, retry_after: Option<u32>) -> PostResult {
    PostResult::Rejected { code: Some(20429), why: "busy".into(), temporary, retry_after }
}

fn there(sid: &str) -> PostInput {
    PostInput::Looked(Look::Found { sid: sid.into(), status: Delivery::Sent, error: None })
}

/// One that was handed over at 1 s.
fn handed() -> Posting {
    let mut posting = Posting::default();
    assert_eq!(posting.handle(PostInput::Hand(Wall(7)), at(1_000), &policy()), Some(PostAction::Post));
    posting
}

/// One that is looked for at 11 s.
fn looking() -> Posting {
    let mut posting = handed();
    let doubt = posting.handle(PostInput::Posted(1, lost()), at(1_000), &policy());
    assert!(matches!(doubt, Some(PostAction::Doubt { .. })));
    assert_eq!(
        posting.handle(PostInput::Due, at(10_999), &policy()),
        None,
        "the upstream may still be writing"
    );
    assert_eq!(posting.handle(PostInput::Due, at(11_000), &policy()), Some(PostAction::Find));
    posting
}

#[test]
fn a_lost_answer_is_looked_for_and_what_is_found_is_not_sent_again() {
    let mut posting = looking();
    let action = posting.handle(there("SM9"), at(12_000), &policy());
    assert!(matches!(action, Some(PostAction::Accepted { sid, .. }) if sid == "SM9"));
    assert!(posting.is_settled());
    assert_eq!(posting.handle(PostInput::Restarted, at(1), &policy()), None);
}

#[test]
fn what_is_absent_twice_a_minute_apart_is_sent_once_more_and_never_a_third_time() {
    let mut posting = looking();
    assert_eq!(posting.handle(PostInput::Looked(Look::Absent), at(12_000), &policy()), None);
    assert_eq!(posting.due(), Some(Mono(72_000)));
    assert_eq!(posting.handle(PostInput::Due, at(72_000), &policy()), Some(PostAction::Find));
    let again = posting.handle(PostInput::Looked(Look::Absent), at(73_000), &policy());
    assert!(matches!(again, Some(PostAction::Queue { pause: Pause::None, .. })), "{again:?}");
    assert_eq!(posting.handle(PostInput::Hand(Wall(9)), at(74_000), &policy()), Some(PostAction::Post));
    assert_eq!((posting.attempts, posting.since), (2, Wall(7)), "the first try may still turn up");
    posting.handle(PostInput::Posted(2, lost()), at(75_000), &policy());
    for (due, answered) in [(85_000, 86_000), (146_000, 147_000)] {
        assert_eq!(posting.handle(PostInput::Due, at(due), &policy()), Some(PostAction::Find));
        let last = posting.handle(PostInput::Looked(Look::Absent), at(answered), &policy());
        assert_eq!(matches!(last, Some(PostAction::Unknown { .. })), due > 100_000, "{last:?}");
    }
    let staff = posting.handle(PostInput::Resend, at(200_000), &policy());
    assert!(matches!(staff, Some(PostAction::Queue { .. })));
}

#[test]
fn who_does_not_want_a_second_try_gets_a_doubt() {
    let policy = PostPolicy { resend: false, ..policy() };
    let mut posting = looking();
    posting.handle(PostInput::Looked(Look::Absent), at(12_000), &policy);
    posting.handle(PostInput::Due, at(72_000), &policy);
    let action = posting.handle(PostInput::Looked(Look::Absent), at(73_000), &policy);
    assert!(matches!(action, Some(PostAction::Unknown { .. })));
}

#[test]
fn an_upstream_that_cannot_be_asked_is_asked_for_a_day() {
    let mut posting = looking();
    let mut now = 12_000;
    let mut looks = 0;
    loop {
        looks += 1;
        match posting.handle(PostInput::Looked(Look::Unreachable), at(now), &policy()) {
            None => {}
            Some(PostAction::Unknown { .. }) => break,
            Some(other) => panic!("{other:?}"),
        }
        now = posting.due().unwrap().0;
        assert_eq!(posting.handle(PostInput::Due, at(now), &policy()), Some(PostAction::Find));
    }
    assert!((86_400_000..87_000_000).contains(&now), "{now}");
    assert!((280..320).contains(&looks), "{looks}");
}

#[test]
fn a_refusal_for_the_moment_waits_as_asked_and_not_for_a_week() {
    let mut posting = handed();
    let week = posting.handle(PostInput::Posted(1, refused(true, Some(604_800))), at(2_000), &policy());
    let Some(PostAction::Queue { pause: Pause::Asked(Some(asked)), .. }) = week else { panic!("{week:?}") };
    assert_eq!(asked, Duration::from_secs(3600));
    for attempt in 2..=20 {
        posting.handle(PostInput::Hand(Wall(7)), at(3_000), &policy());
        let action = posting.handle(PostInput::Posted(attempt, refused(true, None)), at(4_000), &policy());
        assert_eq!(matches!(action, Some(PostAction::Rejected { .. })), attempt == 20, "{attempt}");
    }
}

#[test]
fn an_answer_to_another_try_is_not_taken_but_an_acceptance_always_is() {
    let mut posting = handed();
    posting.handle(PostInput::Posted(1, refused(true, None)), at(2_000), &policy());
    posting.handle(PostInput::Hand(Wall(7)), at(3_000), &policy());
    assert_eq!(posting.handle(PostInput::Posted(1, refused(false, None)), at(4_000), &policy()), None);
    assert_eq!(posting.handle(PostInput::Posted(3, accepted("SM1")), at(4_000), &policy()), None);
    let late = posting.handle(PostInput::Posted(1, accepted("SM1")), at(5_000), &policy());
    assert!(matches!(late, Some(PostAction::Accepted { .. })));
    assert_eq!(posting.handle(PostInput::Posted(2, accepted("SM2")), at(6_000), &policy()), None);
}

#[test]
fn a_post_that_nobody_answers_is_looked_for() {
    let mut posting = handed();
    assert_eq!(posting.due(), Some(Mono(601_000)));
    let action = posting.handle(PostInput::Due, at(601_000), &policy());
    assert!(matches!(action, Some(PostAction::Doubt { .. })));
}

#[test]
fn a_box_that_is_killed_every_two_seconds_comes_to_an_end_with_it() {
    let mut posting = handed();
    // It stopped while the text was with the edge: in doubt since 2 s. No life is as long as `settle` or `spacing`.
    let doubt = posting.handle(PostInput::Restarted, at(2_000), &policy());
    assert!(matches!(doubt, Some(PostAction::Doubt { .. })));
    let mut looks = Vec::new();
    for born in (3_000..120_000).step_by(2_000) {
        assert_eq!(posting.handle(PostInput::Restarted, at(born), &policy()), None);
        let due = posting.due().unwrap().0.max(born);
        if due < born + 1_500 {
            assert_eq!(posting.handle(PostInput::Due, at(due), &policy()), Some(PostAction::Find));
            // Every other look is not answered before the next kill.
            looks.push(due);
            if looks.len().is_multiple_of(2) {
                let again = posting.handle(PostInput::Looked(Look::Absent), at(due + 100), &policy());
                if matches!(again, Some(PostAction::Queue { .. })) {
                    assert_eq!((posting.state, posting.resent), (PostState::Queued, 1));
                    let first = looks[1];
                    assert!((12_000..17_000).contains(&first), "settled, and asked again at once: {first}");
                    let last = looks.last().unwrap();
                    assert!((first + 60_000..first + 66_000).contains(last), "{looks:?}");
                    assert_eq!(looks.len(), 4, "a look that was answered is not made again: {looks:?}");
                    return;
                }
            }
        }
    }
    panic!("never settled: {posting:?}, {looks:?}");
}

#[test]
fn what_an_earlier_boot_found_out_stays_true_and_its_times_count_for_no_more_than_they_must() {
    let mut posting = looking();
    posting.handle(PostInput::Looked(Look::Absent), at(12_000), &policy());
    // Another boot, 4 s old: the look was before it.
    assert_eq!(posting.handle(PostInput::Restarted, at(4_000), &policy()), None);
    assert_eq!(posting.due(), Some(Mono(60_000)), "as if it had been made when this boot began");
    assert_eq!(posting.handle(PostInput::Due, at(60_000), &policy()), Some(PostAction::Find));
    let again = posting.handle(PostInput::Looked(Look::Absent), at(60_500), &policy());
    assert!(matches!(again, Some(PostAction::Queue { .. })), "{again:?}");
}

#[test]
fn a_text_that_was_handed_again_is_in_doubt_anew() {
    let mut posting = looking();
    posting.handle(PostInput::Looked(Look::Absent), at(12_000), &policy());
    posting.handle(PostInput::Due, at(72_000), &policy());
    posting.handle(PostInput::Looked(Look::Absent), at(73_000), &policy());
    posting.handle(PostInput::Hand(Wall(9)), at(74_000), &policy());
    let doubt = posting.handle(PostInput::Restarted, at(75_000), &policy());
    assert!(matches!(doubt, Some(PostAction::Doubt { .. })));
    assert_eq!((posting.due(), posting.first_absent), (Some(Mono(85_000)), None));
    assert_eq!(posting.handle(PostInput::Due, at(85_000), &policy()), Some(PostAction::Find));
    assert_eq!(posting.handle(PostInput::Looked(Look::Absent), at(85_500), &policy()), None);
    assert_eq!(posting.due(), Some(Mono(145_500)), "what was absent before it was handed again says nothing");
}

/// What the day brings for one request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    /// It arrived, this much later, and the answer did not.
    AnswerLost(u64),
    /// It never arrived, and nobody can tell.
    RequestLost,
    NotTried,
    Busy,
    No,
    /// The box stops before it leaves, or before the answer is written.
    CrashBefore,
    CrashAfter,
    /// And the machine starts anew, after so long.
    PowerCut(u64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Fine),
        3 => (0..70_000_u64).prop_map(Fate::AnswerLost),
        3 => Just(Fate::RequestLost),
        1 => Just(Fate::NotTried),
        1 => Just(Fate::Busy),
        1 => Just(Fate::No),
        2 => Just(Fate::CrashBefore),
        2 => Just(Fate::CrashAfter),
        1 => (0..200_000_u64).prop_map(Fate::PowerCut),
    ]
}

/// The upstream, the rows on the disk and the hours.
struct World {
    /// When each text became visible.
    texts: Vec<u64>,
    row: String,
    now: u64,
    /// When this boot began.
    booted: u64,
}

impl World {
    fn mono(&self) -> u64 {
        self.now - self.booted
    }

    fn posting(&self) -> Posting {
        serde_json::from_str(&self.row).unwrap()
    }

    fn step(&mut self, input: PostInput) -> Option<PostAction> {
        let mut posting = self.posting();
        let action = posting.handle(input, at(self.mono()), &policy());
        self.row = serde_json::to_string(&posting).unwrap();
        action
    }

    fn crash(&mut self) {
        self.now += 5_000;
        self.step(PostInput::Restarted);
    }

    fn power_cut(&mut self, away: u64) {
        self.now += away;
        self.booted = self.now;
        self.crash();
    }

    /// Carries out a post; the answer may bring another action, which is of no matter here.
    fn post(&mut self, fate: Fate) {
        let attempt = self.posting().attempts;
        let sid = |texts: &[u64]| format!("SM{}", texts.len());
        let answer = match fate {
            Fate::CrashBefore => return self.crash(),
            Fate::PowerCut(away) => return self.power_cut(away),
            Fate::CrashAfter => {
                self.texts.push(self.now);
                return self.crash();
            }
            Fate::Fine => {
                self.texts.push(self.now);
                accepted(&sid(&self.texts))
            }
            Fate::AnswerLost(after) => {
                self.texts.push(self.now + after);
                lost()
            }
            Fate::RequestLost => lost(),
            Fate::NotTried => PostResult::NotTried { why: "no network".into() },
            Fate::Busy => refused(true, Some(3)),
            Fate::No => refused(false, None),
        };
        self.now += 1_000;
        self.step(PostInput::Posted(attempt, answer));
    }

    fn find(&mut self, fate: Fate) {
        let look = match fate {
            Fate::CrashBefore | Fate::CrashAfter => return self.crash(),
            Fate::PowerCut(away) => return self.power_cut(away),
            Fate::RequestLost | Fate::NotTried | Fate::Busy => Look::Unreachable,
            Fate::Fine | Fate::AnswerLost(_) | Fate::No => {
                let at = self.texts.iter().position(|seen| *seen <= self.now);
                let found = |n: usize| Look::Found {
                    sid: format!("SM{}", n + 1),
                    status: Delivery::Sent,
                    error: None,
                };
                at.map_or(Look::Absent, found)
            }
        };
        self.now += 1_000;
        self.step(PostInput::Looked(look));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Whatever is lost and whenever the box stops: never two texts, an acceptance means one, a refusal none.
    #[test]
    fn never_twice_and_never_called_sent_when_it_is_not(fates in prop::collection::vec(fate(), 0..60)) {
        let row = serde_json::to_string(&Posting::default()).unwrap();
        let mut world = World { texts: Vec::new(), row, now: 1_000_000, booted: 0 };
        let mut fates = fates.into_iter();
        for _ in 0..5_000 {
            let posting = world.posting();
            // After the bad day everything goes well.
            let action = match (&posting.state, posting.due()) {
                _ if posting.is_settled() => break,
                (PostState::Queued, _) => world.step(PostInput::Hand(Wall(1))),
                (_, Some(due)) => {
                    world.now = world.now.max(world.booted + due.0);
                    world.step(PostInput::Due)
                }
                (_, None) => { prop_assert!(false, "stuck in {:?}", posting.state); None }
            };
            match action {
                Some(PostAction::Post) => world.post(fates.next().unwrap_or(Fate::Fine)),
                Some(PostAction::Find) => world.find(fates.next().unwrap_or(Fate::Fine)),
                Some(_) | None => {}
            }
            prop_assert!(world.texts.len() <= 1, "two texts: {:?}", world.texts);
        }
        let posting = world.posting();
        match posting.state {
            PostState::Accepted { sid } => {
                prop_assert_eq!(world.texts.len(), 1);
                prop_assert_eq!(sid, "SM1");
            }
            PostState::Rejected { .. } => prop_assert_eq!(world.texts.len(), 0),
            PostState::Unknown { .. } => prop_assert!(posting.resent > 0 || posting.misses > 0),
            other => prop_assert!(false, "it did not come to an end: {:?}", other),
        }
    }
}
