//! How fast the box texts: pace per line, pace and window per person, and the end of talks between two robots.
//!
//! Rules, in full:
//! - A text goes when its line's bucket, the person's bucket and the person's window (15 in 30 s) all have room. A
//!   refusal takes nothing and says when to ask again.
//! - An exchange is a text that follows one of ours. When it says what one of the last two said (numbers in longer
//!   texts aside), it is a repeat. Repeats at machine pace, or very many at any pace, are two robots: the box
//!   answers that person no more by itself, and staff are told once.
//! - It answers again when staff release the person, or after half an hour of silence. Short answers to menus ("1")
//!   count at machine pace alone: people type them often, not within seconds of every question.
//!
//! Deliberately absent: consent words (they are heard before this, in a loop too), texts that staff write, and what
//! is to survive a restart (a stopped loop has to repeat itself again).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::types::{LineId, Mono, PhoneNumber};

/// A bucket: so many at once, then one an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Texts at once; 0 counts as 1.
    pub burst: u32,
    /// Time in which one more may go.
    pub every: Duration,
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of each line that has a pace of its own.
    pub line: Pace,
    /// To each person.
    pub person: Pace,
    /// Texts to one person in [`Limits::window`]; 0 counts as 1.
    pub replies: usize,
    /// The window.
    pub window: Duration,
    /// A text that comes this soon after ours is at machine pace.
    pub machine: Duration,
    /// Repeats at machine pace that make a loop.
    pub quick: u32,
    /// Repeats at any pace that make a loop.
    pub slow: u32,
    /// Silence that ends one.
    pub silence: Duration,
}

impl Default for Limits {
    /// One a second on a line (a long code's pace), 15 replies in 30 s, a loop after 5 quick or 20 slow repeats.
    fn default() -> Self {
        Self {
            line: Pace { burst: 10, every: Duration::from_secs(1) },
            person: Pace { burst: 15, every: Duration::from_secs(2) },
            replies: 15,
            window: Duration::from_secs(30),
            machine: Duration::from_secs(3),
            quick: 5,
            slow: 20,
            silence: Duration::from_secs(1800),
        }
    }
}

/// Whether a text may go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It goes, and is counted.
    Go,
    /// Ask again then.
    Wait(Mono),
    /// Two robots are talking: it is not to be sent.
    Looping,
}

/// What a text that came in means for the talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A talk like others.
    Talk,
    /// It has just become a loop: tell staff.
    LoopFound,
    /// It is one still: store the text, answer nothing.
    Looping,
}

/// What is known of one person.
#[derive(Clone, Debug, Default)]
struct Talk {
    /// When the bucket is full again.
    full: Mono,
    /// When the last texts went, oldest first.
    sent: VecDeque<Mono>,
    /// The last two texts heard, without what varies.
    said: VecDeque<String>,
    /// A text of ours went since the last one heard.
    answered: Option<Mono>,
    quick: u32,
    slow: u32,
    /// Two robots; when the other was last heard.
    looping: Option<Mono>,
    /// When anything last happened.
    last: Mono,
}

/// The pace of everything that is sent, and all talks that are young enough to matter.
#[derive(Clone, Debug)]
pub struct Rates {
    limits: Limits,
    lines: BTreeMap<LineId, Mono>,
    people: BTreeMap<PhoneNumber, Talk>,
}

impl Pace {
    /// When the next may go, given when the bucket is full again (GCRA, ITU-T I.371 annex A).
    fn next(self, full: Mono, now: Mono) -> Mono {
        let slack = self.every.saturating_mul(self.burst.max(1) - 1);
        let slack = u64::try_from(slack.as_millis()).unwrap_or(u64::MAX);
        Mono(full.0.saturating_sub(slack)).max(now)
    }

    fn take(self, full: Mono, now: Mono) -> Mono {
        full.max(now) + self.every
    }
}

impl Rates {
    /// Nothing sent yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, lines: BTreeMap::new(), people: BTreeMap::new() }
    }

    /// Other limits from now on; what was counted stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// When this line's own pace has room.
    #[must_use]
    pub fn line_at(&self, line: &LineId, now: Mono) -> Mono {
        self.limits.line.next(self.lines.get(line).copied().unwrap_or_default(), now)
    }

    /// A text goes by this line that is asked of nobody: staff's, or about consent.
    pub fn take_line(&mut self, line: &LineId, now: Mono) {
        let full = self.lines.get(line).copied().unwrap_or_default();
        self.lines.insert(line.clone(), self.limits.line.take(full, now));
    }

    /// Asks for one text of the box's own to `person` by `line`; counted when it may go. `None`: a line without a pace
    /// of its own, as a modem is.
    pub fn ask(&mut self, line: Option<&LineId>, person: &PhoneNumber, now: Mono) -> Grant {
        let limits = self.limits;
        let talk = self.people.entry(person.clone()).or_default();
        if talk.looping.is_some_and(|heard| now.since(heard) < limits.silence) {
            return Grant::Looping;
        }
        let full = line.map(|line| self.lines.get(line).copied().unwrap_or_default());
        let room = match talk.sent.front() {
            Some(oldest) if talk.sent.len() >= limits.replies.max(1) => *oldest + limits.window,
            Some(_) | None => now,
        };
        let line_at = full.map_or(now, |full| limits.line.next(full, now));
        let at = line_at.max(limits.person.next(talk.full, now)).max(room);
        if at > now {
            return Grant::Wait(at);
        }
        if let (Some(line), Some(full)) = (line, full) {
            self.lines.insert(line.clone(), limits.line.take(full, now));
        }
        talk.full = limits.person.take(talk.full, now);
        talk.sent.push_back(now);
        while talk.sent.len() > limits.replies.max(1) {
            talk.sent.pop_front();
        }
        talk.answered = Some(now);
        talk.last = now;
        Grant::Go
    }

    /// A text came in.
    pub fn handle_inbound(&mut self, person: &PhoneNumber, body: &str, now: Mono) -> Heard {
        let limits = self.limits;
        let talk = self.people.entry(person.clone()).or_default();
        talk.last = now;
        if let Some(heard) = talk.looping {
            if now.since(heard) < limits.silence {
                talk.looping = Some(now);
                return Heard::Looping;
            }
            talk.forget_loop();
        }
        let text = constant(body);
        let repeated = talk.said.contains(&text);
        let short = text.chars().count() <= SHORT;
        talk.said.push_back(text);
        if talk.said.len() > 2 {
            talk.said.pop_front();
        }
        // Several texts in a row are one person's haste, not an exchange.
        let Some(ours) = talk.answered.take() else { return Heard::Talk };
        let at_machine_pace = now.since(ours) <= limits.machine;
        talk.quick = if repeated && at_machine_pace { talk.quick + 1 } else { 0 };
        talk.slow = match (repeated, short) {
            (true, false) => talk.slow + 1,
            (true, true) => talk.slow,
            (false, _) => 0,
        };
        if talk.quick < limits.quick && talk.slow < limits.slow {
            return Heard::Talk;
        }
        talk.looping = Some(now);
        Heard::LoopFound
    }

    /// Staff say that it is no robot, or no loop any more.
    pub fn release(&mut self, person: &PhoneNumber) {
        if let Some(talk) = self.people.get_mut(person) {
            talk.forget_loop();
        }
    }

    /// When something can be forgotten, and what: `"rates: silence"`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let oldest = self.people.values().map(|t| self.forgotten_at(t)).min();
        oldest.map(|at| (at, "rates: silence"))
    }

    /// Forgets people who were silent, and lines that are idle.
    pub fn handle_timeout(&mut self, now: Mono) {
        let Self { limits, lines, people } = self;
        people.retain(|_, t| forgotten_at(limits, t) > now);
        lines.retain(|_, full| *full > now);
    }

    fn forgotten_at(&self, talk: &Talk) -> Mono {
        forgotten_at(&self.limits, talk)
    }
}

fn forgotten_at(limits: &Limits, talk: &Talk) -> Mono {
    (talk.last + limits.silence.max(limits.window)).max(talk.full)
}

impl Talk {
    fn forget_loop(&mut self) {
        self.looping = None;
        self.quick = 0;
        self.slow = 0;
        self.said.clear();
        self.answered = None;
    }
}

/// Answers to menus are this short.
const SHORT: usize = 12;

/// A text without what a robot varies: case, space, and the numbers in longer texts ("Ticket 4711 received").
fn constant(body: &str) -> String {
    let text = body.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if text.chars().count() <= SHORT {
        return text;
    }
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_numeric() && kept.ends_with('#') => {}
            c if c.is_numeric() => kept.push('#'),
            c => kept.push(c),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(n: u8) -> PhoneNumber {
        PhoneNumber::parse(&format!("+1206555{n:04}"), None).unwrap()
    }

    fn line() -> LineId {
        LineId::from("sim1")
    }

    /// A robot that answers every text of ours with the next of `texts`, `after` so many ms.
    fn robot(texts: &[&str], after: u64, turns: usize) -> Option<usize> {
        let mut rates = Rates::new(Limits::default());
        let mut now = Mono(1000);
        for turn in 0..turns {
            let Grant::Go = rates.ask(Some(&line()), &person(1), now) else { panic!("turn {turn}") };
            now = Mono(now.0 + after);
            let heard = rates.handle_inbound(&person(1), texts[turn % texts.len()], now);
            if heard == Heard::LoopFound {
                assert_eq!(rates.ask(Some(&line()), &person(1), now), Grant::Looping);
                assert_eq!(rates.handle_inbound(&person(1), "again", now), Heard::Looping, "told once");
                return Some(turn + 1);
            }
            assert_eq!(heard, Heard::Talk);
        }
        None
    }

    #[test]
    fn two_robots_stop_after_five_repeats() {
        assert_eq!(robot(&["We are closed."], 2500, 30), Some(6));
        assert_eq!(robot(&["We are closed.", "Thank you for your text."], 2500, 30), Some(7));
        assert_eq!(
            robot(&["Ticket 1 received", "Ticket 22 received", "Ticket 333 received"], 2500, 30),
            Some(6)
        );
        assert_eq!(robot(&["1"], 2500, 30), Some(6));
    }

    #[test]
    fn slow_robots_stop_too_and_people_in_menus_do_not() {
        assert_eq!(robot(&["I am driving and will answer later."], 20_000, 60), Some(21));
        assert_eq!(robot(&["1"], 6000, 100), None);
        assert_eq!(robot(&["1", "2", "98 civic", "yes"], 2500, 100), None);
    }

    #[test]
    fn many_texts_before_an_answer_are_haste() {
        let mut rates = Rates::new(Limits::default());
        for n in 0..50 {
            assert_eq!(rates.handle_inbound(&person(1), "hello is anybody there", Mono(n)), Heard::Talk);
        }
    }

    #[test]
    fn staff_or_silence_end_a_loop() {
        let looped = || {
            let mut rates = Rates::new(Limits::default());
            for n in 0..6 {
                assert_eq!(rates.ask(Some(&line()), &person(1), Mono(n * 2000)), Grant::Go);
                rates.handle_inbound(&person(1), "We are closed.", Mono(n * 2000 + 1));
            }
            assert_eq!(rates.ask(Some(&line()), &person(1), Mono(20_000)), Grant::Looping);
            rates
        };
        let mut rates = looped();
        rates.release(&person(1));
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(20_000)), Grant::Go);
        let mut rates = looped();
        assert_eq!(rates.handle_inbound(&person(1), "We are closed.", Mono(1_000_000)), Heard::Looping);
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(2_799_999)), Grant::Looping);
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(2_800_000)), Grant::Go);
        assert_eq!(rates.handle_inbound(&person(1), "hello", Mono(2_800_001)), Heard::Talk);
    }

    #[test]
    fn fifteen_replies_in_thirty_seconds_and_no_more() {
        let person_pace = Pace { burst: 100, every: Duration::from_millis(1) };
        let limits = Limits { line: person_pace, person: person_pace, ..Limits::default() };
        let mut rates = Rates::new(limits);
        for n in 0..15 {
            assert_eq!(rates.ask(Some(&line()), &person(1), Mono(1000 + n)), Grant::Go);
        }
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(1100)), Grant::Wait(Mono(31_000)));
        assert_eq!(rates.ask(Some(&line()), &person(2), Mono(1100)), Grant::Go, "others do not wait");
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(31_000)), Grant::Go);
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(31_000)), Grant::Wait(Mono(31_001)));
    }

    #[test]
    fn a_full_line_makes_everybody_wait_and_another_line_nobody() {
        let mut rates = Rates::new(Limits::default());
        for n in 0..10 {
            assert_eq!(rates.ask(Some(&line()), &person(n), Mono(0)), Grant::Go);
        }
        assert_eq!(rates.ask(Some(&line()), &person(11), Mono(0)), Grant::Wait(Mono(1000)));
        assert_eq!(rates.ask(Some(&LineId::from("twilio")), &person(11), Mono(0)), Grant::Go);
    }

    #[test]
    fn silence_is_forgotten() {
        let mut rates = Rates::new(Limits::default());
        assert_eq!(rates.poll_timeout(), None);
        assert_eq!(rates.ask(Some(&line()), &person(1), Mono(0)), Grant::Go);
        let (at, _) = rates.poll_timeout().unwrap();
        rates.handle_timeout(Mono(at.0 - 1));
        assert!(rates.poll_timeout().is_some());
        rates.handle_timeout(at);
        assert_eq!(rates.poll_timeout(), None);
        assert!(rates.lines.is_empty());
    }

    proptest! {
        #[test]
        fn no_order_of_asking_breaks_a_limit_and_who_waits_gets_through(
            asks in prop::collection::vec((0..3_u8, 0..3000_u64), 1..200),
        ) {
            let limits = Limits::default();
            let mut rates = Rates::new(limits);
            let mut now = Mono(0);
            let mut sent: Vec<(u8, u64)> = Vec::new();
            for (who, wait) in asks {
                now = Mono(now.0 + wait);
                match rates.ask(Some(&line()), &person(who), now) {
                    Grant::Go => sent.push((who, now.0)),
                    Grant::Wait(at) => {
                        prop_assert!(at > now);
                        let mut later = rates.clone();
                        prop_assert_eq!(later.ask(Some(&line()), &person(who), at), Grant::Go);
                    }
                    Grant::Looping => prop_assert!(false, "nobody answered"),
                }
            }
            for (who, at) in &sent {
                let window = |t: &u64| *t >= *at && *t < at + 30_000;
                let same = sent.iter().filter(|(w, t)| w == who && window(t)).count();
                prop_assert!(same <= 15, "{} to one person in 30 s", same);
                let all = sent.iter().filter(|(_, t)| window(t)).count();
                prop_assert!(all <= 10 + 30, "{} on one line in 30 s", all);
            }
        }

        #[test]
        fn no_text_panics(body in ".{0,60}") {
            let once = constant(&body);
            prop_assert_eq!(constant(&once.clone()).is_empty(), once.is_empty());
        }
    }
}
