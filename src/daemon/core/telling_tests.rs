//! The queue of one upstream against a ledger: what is told, once each, in which order, and what an answer changes.

use super::*;
use crate::messaging::ledger::{Head, Topic};
use crate::types::ShopId;

const OURS: &str = "+12065550111";

/// A ledger, what follows from it, and the queue that is fed with it.
struct Bench {
    head: Head,
    entries: Vec<Entry>,
    people: BTreeMap<PhoneNumber, Standing>,
    telling: Telling,
}

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text, None).unwrap()
}

fn person(n: u32) -> PhoneNumber {
    number(&format!("+1206555{:04}", 1000 + n))
}

fn telling(ours: &str, told_to: u64) -> Telling {
    Telling::new(LineId::from("twilio"), ours.to_owned(), Some(number(ours)), told_to, 0)
}

fn at_number() -> Scope {
    Scope::Number(number(OURS))
}

impl Bench {
    fn new() -> Self {
        Self::of(OURS)
    }

    fn of(ours: &str) -> Self {
        Self {
            head: Head::beginning(&ShopId::from("main")),
            entries: Vec::new(),
            people: BTreeMap::new(),
            telling: telling(ours, 0),
        }
    }

    fn say(&mut self, who: &PhoneNumber, act: Act, scope: Scope, origin: Origin, proof: &str) -> u64 {
        let entry = self.head.append(Statement {
            subject: who.clone(),
            scope,
            act,
            words: String::new(),
            origin,
            proof: proof.to_owned(),
            at: Wall(1_795_161_600_000),
            sure: true,
        });
        self.head = entry.head();
        let standing = self.people.entry(who.clone()).or_default();
        standing.apply(&entry);
        self.telling.entered(&entry, standing);
        self.entries.push(entry);
        self.head.seq
    }

    fn stop(&mut self, who: &PhoneNumber) -> u64 {
        self.say(who, Act::Block, Scope::Shop, Origin::Text, "SM1")
    }

    fn start(&mut self, who: &PhoneNumber) -> u64 {
        let entry = self.say(who, Act::Unblock, Scope::Shop, Origin::Text, "SM2");
        if self.telling.is_to_be_lifted(who) {
            self.say(who, Act::Block, at_number(), Origin::Upstream, &proof_of_hold(entry));
        }
        entry
    }

    /// Twilio 21610.
    fn refused(&mut self, who: &PhoneNumber) -> u64 {
        self.say(who, Act::Block, at_number(), Origin::Upstream, "line twilio, error 21610")
    }

    fn batch(&mut self) -> (u64, Vec<(PhoneNumber, bool)>) {
        let people = self.people.clone();
        let may_text = |who: &PhoneNumber| !people[who].is_blocked_everywhere();
        let (batch, items) = self.telling.batch(Some(may_text)).unwrap_or_default();
        (batch, items.into_iter().map(|item| (item.person, item.welcome)).collect())
    }

    /// Hands over what there is, and it is taken.
    fn tell(&mut self) -> Vec<(PhoneNumber, bool)> {
        let (batch, items) = self.batch();
        if !items.is_empty() {
            self.answer(batch, ConsentsAnswer::Taken(Vec::new()));
        }
        items
    }

    fn answer(&mut self, batch: u64, answer: ConsentsAnswer) -> Outcome {
        let outcome = self.telling.answered(batch, answer).unwrap();
        for (who, entry) in &outcome.lifted {
            let proof = format!("entry {entry} was taken there");
            self.say(who, Act::Unblock, at_number(), Origin::Upstream, &proof);
        }
        outcome
    }

    /// The box starts again, with what was committed.
    fn restart(&mut self) {
        self.restart_from(self.telling.mark());
    }

    fn restart_from(&mut self, mark: u64) {
        self.telling = telling(self.telling.number.clone().unwrap().as_str(), mark);
        let mut people: BTreeMap<PhoneNumber, Standing> = BTreeMap::new();
        for entry in &self.entries {
            let standing = people.entry(entry.statement.subject.clone()).or_default();
            standing.apply(entry);
            self.telling.entered(entry, standing);
        }
    }
}

fn later() -> ConsentsAnswer {
    ConsentsAnswer::Later { why: "no answer".to_owned(), pause: None }
}

fn refusing(entry: u64, again: bool) -> ConsentsAnswer {
    ConsentsAnswer::Taken(vec![ConsentRefused { entry, why: "30646 INVALID".to_owned(), again }])
}

#[test]
fn of_each_person_the_last_word_is_told_once() {
    let mut b = Bench::new();
    let (anna, ben) = (person(1), person(2));
    b.stop(&anna);
    b.stop(&ben);
    b.start(&anna);
    b.say(&ben, Act::Withdrawal(Topic::Marketing), Scope::Shop, Origin::Text, "SM3");
    assert_eq!(b.tell(), [(ben, false), (anna.clone(), true)]);
    assert_eq!(b.telling.mark(), b.head.seq);
    assert_eq!(b.tell(), []);
    b.stop(&anna);
    assert_eq!(b.tell(), [(anna, false)]);
}

#[test]
fn the_mark_is_before_the_first_that_waits_and_a_restart_goes_on_behind_it() {
    let mut b = Bench::new();
    for n in 0..60 {
        b.stop(&person(n));
    }
    assert_eq!(b.telling.mark(), 0);
    assert_eq!(b.tell().len(), 25);
    assert_eq!(b.telling.mark(), 25);
    let (_, second) = b.batch();
    assert_eq!(second[0].0, person(25));
    assert_eq!(b.telling.mark(), 25, "no answer yet");
    b.restart();
    assert_eq!(b.tell(), second, "the same again");
    assert_eq!(b.tell().len(), 10);
    b.restart();
    assert_eq!((b.telling.mark(), b.tell()), (60, Vec::new()));
}

#[test]
fn what_the_upstream_said_itself_is_not_told_back() {
    let mut b = Bench::new();
    let anna = person(1);
    b.refused(&anna);
    assert_eq!((b.tell(), b.telling.mark()), (Vec::new(), 1));
    b.stop(&anna);
    b.telling.heard_there(&anna, true);
    assert_eq!((b.tell(), b.telling.mark()), (Vec::new(), 2));
    b.start(&anna);
    b.telling.heard_there(&anna, false);
    assert_eq!(b.tell(), []);
}

#[test]
fn what_was_heard_there_is_told_all_the_same_when_the_opposite_was_handed_over_before() {
    let mut b = Bench::new();
    let anna = person(1);
    b.start(&anna);
    let (batch, items) = b.batch();
    assert_eq!(items, [(anna.clone(), true)]);
    // Their STOP there may be older or newer than ours there.
    b.stop(&anna);
    b.telling.heard_there(&anna, true);
    b.answer(batch, later());
    assert_eq!(b.tell(), [(anna.clone(), false)]);
    b.restart();
    b.start(&anna);
    b.telling.heard_there(&anna, false);
    assert_eq!(b.tell(), [(anna, true)]);
}

#[test]
fn a_start_elsewhere_leaves_a_hold_until_it_is_taken_there() {
    let mut b = Bench::new();
    let anna = person(1);
    b.refused(&anna);
    b.start(&anna);
    let standing = |b: &Bench| b.people[&anna].blocked_scopes().cloned().collect::<Vec<_>>();
    assert_eq!(standing(&b), [at_number()]);
    b.restart();
    let (batch, items) = b.batch();
    assert_eq!(items, [(anna.clone(), true)]);
    b.answer(batch, later());
    assert_eq!(standing(&b), [at_number()], "nobody knows whether it was taken");
    assert_eq!(b.tell(), [(anna.clone(), true)]);
    assert_eq!(standing(&b), []);
    // A text is refused all the same: that is news, and no reason to lift it again, also not after the cursor is lost.
    b.refused(&anna);
    assert_eq!(b.tell(), []);
    b.restart_from(0);
    assert_eq!(b.tell(), []);
}

#[test]
fn the_block_that_was_told_is_held_until_it_is_lifted_and_one_that_never_was_is_not() {
    let mut b = Bench::new();
    let anna = person(1);
    b.stop(&anna);
    b.start(&anna);
    assert_eq!(b.people[&anna].blocked_scopes().count(), 0, "nothing was told yet");
    b.stop(&anna);
    b.tell();
    b.start(&anna);
    assert_eq!(b.people[&anna].blocked_scopes().count(), 1);
    b.tell();
    assert_eq!(b.people[&anna].blocked_scopes().count(), 0);
}

#[test]
fn a_toll_free_number_keeps_its_hold() {
    let ours = "+18005550111";
    let mut b = Bench::of(ours);
    let anna = person(1);
    let scope = Scope::Number(number(ours));
    b.say(&anna, Act::Block, scope.clone(), Origin::Upstream, "21610");
    let lifted = b.say(&anna, Act::Unblock, Scope::Shop, Origin::Text, "SM1");
    b.say(&anna, Act::Block, scope, Origin::Upstream, &proof_of_hold(lifted));
    assert!(!b.telling.lifts());
    assert_eq!(b.tell(), [(anna.clone(), true)]);
    assert_eq!(b.people[&anna].blocked_scopes().count(), 1);
}

#[test]
fn no_release_leaves_while_nobody_can_say_whether_it_may_or_while_something_else_blocks() {
    let mut b = Bench::new();
    let (anna, ben, line) = (person(1), person(2), Scope::Line(LineId::from("twilio")));
    b.start(&anna);
    b.stop(&ben);
    let nobody: Option<fn(&PhoneNumber) -> bool> = None;
    let (batch, items) = b.telling.batch(nobody).unwrap();
    assert_eq!(items.len(), 1);
    assert!(!items[0].welcome);
    b.answer(batch, ConsentsAnswer::Taken(Vec::new()));
    assert_eq!(b.telling.mark(), 0, "hers waits");
    assert_eq!(b.tell(), [(anna.clone(), true)]);
    b.stop(&anna);
    b.say(&anna, Act::Block, line.clone(), Origin::Voice, "call");
    b.say(&anna, Act::Unblock, line, Origin::Voice, "call");
    assert_eq!(b.tell(), [(anna.clone(), false)], "the shop's own block stands");
    b.say(&anna, Act::Block, Scope::Line(LineId::from("sim1")), Origin::Voice, "call");
    assert_eq!(b.tell(), [], "another line's");
}

#[test]
fn pauses_grow_the_upstreams_own_is_kept_and_an_account_without_access_is_said_once() {
    let mut b = Bench::new();
    b.stop(&person(1));
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let (batch, _) = b.batch();
        pauses.push(b.answer(batch, later()).pause.as_secs());
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
    b.tell();
    b.stop(&person(2));
    let (batch, _) = b.batch();
    let asked = ConsentsAnswer::Later { why: "429".to_owned(), pause: Some(77) };
    assert_eq!(b.answer(batch, asked).pause.as_secs(), 77);
    b.tell();
    b.stop(&person(3));
    let mut alarms = 0;
    for _ in 0..3 {
        let (batch, _) = b.batch();
        let outcome = b.answer(batch, ConsentsAnswer::Closed { why: "403".to_owned() });
        assert_eq!(outcome.pause, CLOSED);
        alarms += usize::from(outcome.alarm.is_some());
    }
    assert_eq!((alarms, b.telling.lifts(), b.telling.mark()), (1, false, 2));
    b.start(&person(3));
    assert_eq!(b.people[&person(3)].blocked_scopes().count(), 0, "nothing was taken there");
    assert_eq!(b.tell(), [(person(3), true)]);
    assert_eq!(b.telling.status()["no_access"], Value::Null);
}

#[test]
fn one_that_is_refused_is_counted_and_left_and_one_that_failed_there_is_told_again_a_few_times() {
    let mut b = Bench::new();
    let (bad, good) = (b.stop(&person(1)), b.stop(&person(2)));
    assert_eq!((bad, good), (1, 2));
    let (batch, _) = b.batch();
    assert!(b.answer(batch, refusing(bad, false)).alarm.is_some());
    assert_eq!((b.telling.mark(), b.tell()), (2, Vec::new()));
    let failing = b.stop(&person(3));
    for _ in 0..TRIES {
        assert_eq!(b.telling.mark(), 2);
        let (batch, items) = b.batch();
        assert_eq!(items.len(), 1);
        assert!(b.answer(batch, refusing(failing, true)).alarm.is_none(), "it was said before");
    }
    assert_eq!((b.telling.mark(), b.tell()), (3, Vec::new()));
    assert_eq!(
        (b.telling.status()["refused"].clone(), b.telling.status()["told"].clone()),
        (json!(2), json!(1))
    );
}

#[test]
fn a_batch_that_is_turned_down_is_told_one_by_one() {
    let mut b = Bench::new();
    let poison = person(2);
    for n in 0..4 {
        b.stop(&person(n));
    }
    let (mut told, mut requests) = (Vec::new(), 0);
    while b.telling.mark() < 4 {
        requests += 1;
        let (batch, items) = b.batch();
        if items.iter().any(|(who, _)| *who == poison) {
            b.answer(batch, ConsentsAnswer::Refused { why: "400".to_owned() });
        } else {
            told.extend(items);
            b.answer(batch, ConsentsAnswer::Taken(Vec::new()));
        }
    }
    assert_eq!(told.len(), 3);
    assert_eq!(requests, 5, "the batch, and each alone");
    b.stop(&person(7));
    b.stop(&person(8));
    assert_eq!(b.tell().len(), 2, "together again");
}

#[test]
fn a_word_that_comes_while_the_one_before_is_under_way_is_told_after_it() {
    let mut b = Bench::new();
    let anna = person(1);
    b.stop(&anna);
    let (batch, _) = b.batch();
    b.start(&anna);
    assert_eq!(b.batch().1, [], "one at a time");
    b.answer(batch, ConsentsAnswer::Taken(Vec::new()));
    assert_eq!(b.tell(), [(anna.clone(), true)]);
    assert_eq!(b.people[&anna].blocked_scopes().count(), 0);
    assert_eq!(b.telling.answered(batch, later()), None, "an answer to no question");
}

#[test]
fn of_the_time_before_blocks_are_told_and_releases_are_not() {
    let mut b = Bench::new();
    let (anna, ben, carl) = (person(1), person(2), person(3));
    b.stop(&anna);
    b.stop(&ben);
    b.start(&ben);
    b.start(&carl);
    // The last of them was written down by a version before, and enters only now.
    b.telling = Telling::new(LineId::from("twilio"), OURS.to_owned(), Some(number(OURS)), 0, b.head.seq - 1);
    let mut people: BTreeMap<PhoneNumber, Standing> = BTreeMap::new();
    for entry in &b.entries {
        let standing = people.entry(entry.statement.subject.clone()).or_default();
        standing.apply(entry);
        b.telling.entered(entry, standing);
    }
    b.telling.begin_behind(b.head.seq);
    assert_eq!(b.tell(), [(anna.clone(), false)]);
    b.start(&anna);
    b.start(&carl);
    assert_eq!(b.tell(), [(anna, true), (carl, true)]);
}

#[test]
fn each_block_that_stays_because_a_release_is_refused_for_good_is_told_of() {
    let mut b = Bench::new();
    for (who, stays) in [(person(1), true), (person(2), true), (person(3), false)] {
        b.stop(&who);
        b.tell();
        let entry =
            if stays { b.start(&who) } else { b.say(&who, Act::Block, Scope::Shop, Origin::Voice, "") };
        let (batch, items) = b.batch();
        assert_eq!(items, [(who, stays)]);
        let alarm = b.answer(batch, refusing(entry, false)).alarm.unwrap();
        let told = format!("(consent entry {entry}): they hear nothing by this number until they text START");
        assert_eq!(alarm.contains(&told), stays, "{alarm}");
    }
}
