//! What one upstream is still to be told of who wants texts from our number there. Fed with every entry of the consent
//! ledger, in order; gives what may be handed over now, and takes what became of it.
//!
//! - Of each person the last word counts, once. A block is told as soon as it is entered; a release only when nothing of
//!   the shop's own blocks the person here any more.
//! - What the upstream itself said (it refused a text, it lifted a block) is not told back to it. Nor is what it heard
//!   and understood itself, unless the opposite was handed over before: that may arrive after what the person wrote.
//! - A release that came another way leaves a hold: the block there stands in the ledger until the upstream has taken
//!   the release. So no text is handed to a number that would still refuse it, and a refusal is never older than what
//!   lifted it.
//! - Blocks are told from the beginning of the ledger, releases from when telling began: of the time before, the upstream
//!   may know a STOP to its number that nobody told the box.
//! - Where the far side keeps its own list whatever it is told (toll-free numbers in North America), the hold stays.
//!
//! Everything below [`Telling::mark`] is done: a restart goes on from there, and telling again is harmless.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use crate::messaging::ledger::{Act, Entry, Origin, Scope, Standing, Statement};
use crate::types::{
    CONSENTS_MOST, ConsentItem, ConsentRefused, ConsentSource, ConsentsAnswer, LineId, PhoneNumber, Wall,
};

/// Between two batches: an account may make 100 requests a minute.
const PACE: Duration = Duration::from_millis(1500);
/// First and longest pause after no answer, or one that asks to wait.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(900));
/// The longest that is kept when it is asked for.
const ASKED_MOST: u32 = 3600;
/// Until an account that may not tell is tried again.
const CLOSED: Duration = Duration::from_secs(86_400);
/// One that is to be told again is, so often.
const TRIES: u32 = 5;
/// How the proof of a hold ends; it begins with the entry that lifted all else.
const HOLD: &str = "lifts no block of an upstream's";
/// Toll-free in North America.
const TOLL_FREE: [&str; 7] = ["+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888"];

/// The proof of a block that stays at an upstream's number although entry `lifted` has lifted the others.
pub(super) fn proof_of_hold(lifted: u64) -> String {
    format!("entry {lifted} {HOLD}")
}

fn is_hold(statement: &Statement) -> bool {
    statement.proof.ends_with(HOLD)
}

/// The last word on a person that is still to be told.
#[derive(Clone, Debug)]
struct Wish {
    person: PhoneNumber,
    welcome: bool,
    source: ConsentSource,
    at: Option<Wall>,
    tries: u32,
}

/// What the upstream thinks of a person, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct There {
    blocked: bool,
    /// It was handed over by us, and may arrive late.
    ours: bool,
}

#[derive(Debug)]
struct Flight {
    batch: u64,
    /// Entry, and what was thought of the person there before.
    items: Vec<(u64, PhoneNumber, Option<There>)>,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Telling {
    line: LineId,
    /// For which number or service of ours.
    pub(super) sender: String,
    pub(super) number: Option<PhoneNumber>,
    /// The mark that was committed last, for this sender and this ledger.
    pub(super) stored: Option<u64>,
    told_to: u64,
    /// Where the ledger ended when telling began.
    pub(super) began: u64,
    newest: u64,
    waiting: BTreeMap<u64, Wish>,
    by_person: HashMap<PhoneNumber, u64>,
    there: HashMap<PhoneNumber, There>,
    held: BTreeSet<PhoneNumber>,
    flight: Option<Flight>,
    batches: u64,
    /// So many go one by one: something about one of them was refused.
    singly: usize,
    failures: u32,
    /// Why this account may not tell.
    closed: Option<String>,
    complained: bool,
    told: u64,
    lifted: u64,
    refused: u64,
}

/// What follows from an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whose holds are over, and by which entry.
    pub(super) lifted: Vec<(PhoneNumber, u64)>,
    /// Nothing is handed over for so long.
    pub(super) pause: Duration,
    /// For the journal.
    pub(super) alarm: Option<String>,
}

impl Telling {
    /// `told_to` is the mark that was committed for this sender; `began`, where the ledger ended when telling it began.
    pub(super) fn new(
        line: LineId,
        sender: String,
        number: Option<PhoneNumber>,
        told_to: u64,
        began: u64,
    ) -> Self {
        Self {
            line,
            sender,
            number,
            stored: None,
            told_to,
            began,
            newest: 0,
            waiting: BTreeMap::new(),
            by_person: HashMap::new(),
            there: HashMap::new(),
            held: BTreeSet::new(),
            flight: None,
            batches: 0,
            singly: 0,
            failures: 0,
            closed: None,
            complained: false,
            told: 0,
            lifted: 0,
            refused: 0,
        }
    }

    /// The first telling begins behind what is there, also behind what a version before wrote down.
    pub(super) fn begin_behind(&mut self, newest: u64) {
        if self.stored.is_some() {
            return;
        }
        self.began = newest;
        let early =
            |(entry, wish): (&u64, &Wish)| (wish.welcome && *entry <= newest).then(|| wish.person.clone());
        let early: Vec<PhoneNumber> = self.waiting.iter().filter_map(early).collect();
        early.iter().for_each(|person| self.forget(person));
    }

    /// The next entry of the ledger; `standing` is the person's with it.
    pub(super) fn entered(&mut self, entry: &Entry, standing: &Standing) {
        let s = &entry.statement;
        self.newest = entry.seq;
        if !self.concerns(&s.scope) {
            return;
        }
        let theirs = s.origin == Origin::Upstream && s.scope != Scope::Shop;
        let still_blocked = || standing.blocked_scopes().any(|scope| self.concerns(scope));
        match s.act {
            Act::Block if theirs && is_hold(s) => drop(self.held.insert(s.subject.clone())),
            Act::Block if theirs => {
                self.held.remove(&s.subject);
                self.there.insert(s.subject.clone(), There { blocked: true, ours: false });
                // Whatever it was told of this person, it says no since.
                if self.wish_of(&s.subject).is_some_and(|wish| wish.welcome) {
                    self.forget(&s.subject);
                }
            }
            Act::Unblock if theirs => drop(self.held.remove(&s.subject)),
            Act::Block => self.wish(entry, false),
            Act::Unblock if still_blocked() => {}
            Act::Unblock => {
                self.held.remove(&s.subject);
                self.wish(entry, true);
            }
            Act::Consent(_) | Act::Withdrawal(_) | Act::Pause | Act::Resume => {}
        }
    }

    fn concerns(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Shop => true,
            Scope::Line(line) => *line == self.line,
            Scope::Number(number) => self.number.as_ref() == Some(number),
        }
    }

    fn wish(&mut self, entry: &Entry, welcome: bool) {
        let s = &entry.statement;
        self.forget(&s.subject);
        if welcome && entry.seq <= self.began {
            self.there.remove(&s.subject);
            return;
        }
        if entry.seq <= self.told_to {
            self.there.insert(s.subject.clone(), There { blocked: !welcome, ours: true });
            return;
        }
        let wish = Wish {
            person: s.subject.clone(),
            welcome,
            source: source_of(s.origin),
            at: s.sure.then_some(s.at),
            tries: 0,
        };
        self.by_person.insert(wish.person.clone(), entry.seq);
        // A damaged ledger goes on with numbers that its copy has other entries for.
        if let Some(other) = self.waiting.insert(entry.seq, wish) {
            self.by_person.remove(&other.person);
        }
    }

    fn wish_of(&self, person: &PhoneNumber) -> Option<&Wish> {
        self.waiting.get(self.by_person.get(person)?)
    }

    fn forget(&mut self, person: &PhoneNumber) {
        if let Some(entry) = self.by_person.remove(person) {
            self.waiting.remove(&entry);
        }
    }

    /// The person's text came by this number, and the upstream has understood it: STOP, or START.
    pub(super) fn heard_there(&mut self, person: &PhoneNumber, stop: bool) {
        let opposite = There { blocked: !stop, ours: true };
        if self.there.get(person) == Some(&opposite) {
            return;
        }
        self.there.insert(person.clone(), There { blocked: stop, ours: false });
        if self.wish_of(person).is_some_and(|wish| wish.welcome != stop) {
            self.forget(person);
        }
    }

    /// As far as is known the upstream refuses texts to this person, and is still to be told that they are welcome.
    pub(super) fn is_to_be_lifted(&self, person: &PhoneNumber) -> bool {
        self.there.get(person).is_some_and(|there| there.blocked)
            && self.wish_of(person).is_some_and(|wish| wish.welcome)
    }

    /// Whether a release that is told there ends a hold.
    pub(super) fn lifts(&self) -> bool {
        let toll_free = |number: &PhoneNumber| TOLL_FREE.iter().any(|code| number.as_str().starts_with(code));
        self.closed.is_none() && !self.number.as_ref().is_some_and(toll_free)
    }

    /// What may be handed over now, and its number. `may_text`: nothing of the shop's own blocks this person by this
    /// line; `None` while nobody can say.
    pub(super) fn batch(
        &mut self,
        may_text: Option<impl Fn(&PhoneNumber) -> bool>,
    ) -> Option<(u64, Vec<ConsentItem>)> {
        if self.flight.is_some() {
            return None;
        }
        if let Some(may_text) = &may_text {
            let outdated = |wish: &&Wish| wish.welcome && !may_text(&wish.person);
            let outdated: Vec<PhoneNumber> =
                self.waiting.values().filter(outdated).map(|wish| wish.person.clone()).collect();
            outdated.iter().for_each(|person| self.forget(person));
        }
        let most = if self.singly > 0 { 1 } else { CONSENTS_MOST };
        let goes = |wish: &Wish| !wish.welcome || may_text.is_some();
        let items: Vec<ConsentItem> = self
            .waiting
            .iter()
            .filter(|(_, wish)| goes(wish))
            .take(most)
            .map(|(entry, wish)| ConsentItem {
                entry: *entry,
                person: wish.person.clone(),
                welcome: wish.welcome,
                source: wish.source,
                at: wish.at,
            })
            .collect();
        if items.is_empty() {
            return None;
        }
        self.batches += 1;
        let mut flight = Flight { batch: self.batches, items: Vec::new() };
        for item in &items {
            let now = There { blocked: !item.welcome, ours: true };
            let before = self.there.insert(item.person.clone(), now);
            flight.items.push((item.entry, item.person.clone(), before));
        }
        self.flight = Some(flight);
        Some((self.batches, items))
    }

    /// True while an answer is waited for.
    pub(super) fn is_under_way(&self) -> bool {
        self.flight.is_some()
    }

    /// The batch that is under way, for an answer in the place of one that never came.
    pub(super) fn under_way(&self) -> u64 {
        self.flight.as_ref().map_or(0, |flight| flight.batch)
    }

    /// What became of a batch. `None`: it is not the one that is under way.
    pub(super) fn answered(&mut self, batch: u64, answer: ConsentsAnswer) -> Option<Outcome> {
        let flight = self.flight.take_if(|flight| flight.batch == batch)?;
        Some(match answer {
            ConsentsAnswer::Taken(refused) => self.taken(flight, &refused),
            ConsentsAnswer::Refused { why } => self.turned_down(flight, why),
            ConsentsAnswer::Later { pause, .. } => self.later(pause),
            ConsentsAnswer::Closed { why } => self.shut(flight, why),
        })
    }

    fn taken(&mut self, flight: Flight, refused: &[ConsentRefused]) -> Outcome {
        self.closed = None;
        let lifts = self.lifts();
        let mut outcome = Outcome { pause: PACE, ..Outcome::default() };
        let mut again = false;
        self.singly = self.singly.saturating_sub(flight.items.len());
        for (entry, person, before) in flight.items {
            match refused.iter().find(|one| one.entry == entry) {
                Some(one) => {
                    if !one.again {
                        self.put_back(&person, before);
                    }
                    let Some(wish) = self.waiting.get_mut(&entry) else { continue };
                    wish.tries += 1;
                    if one.again && wish.tries < TRIES {
                        again = true;
                        continue;
                    }
                    let stays = self.given_up(entry, &person);
                    outcome.alarm = stays.or(outcome.alarm).or_else(|| self.complain(&one.why));
                }
                None => {
                    self.told += 1;
                    // Unless the person has said something else meanwhile.
                    let Some(wish) = self.waiting.get(&entry) else { continue };
                    if wish.welcome && lifts && self.held.contains(&person) {
                        self.lifted += 1;
                        outcome.lifted.push((person.clone(), entry));
                    }
                    self.forget(&person);
                }
            }
        }
        if again {
            outcome.pause = self.back_off();
        } else {
            self.failures = 0;
        }
        outcome
    }

    fn turned_down(&mut self, flight: Flight, why: String) -> Outcome {
        let alone = flight.items.len() == 1;
        self.singly = if alone { self.singly.saturating_sub(1) } else { flight.items.len() };
        let mut outcome = Outcome { pause: PACE, ..Outcome::default() };
        for (entry, person, before) in flight.items {
            self.put_back(&person, before);
            if alone && self.waiting.contains_key(&entry) {
                outcome.alarm = self.given_up(entry, &person).or_else(|| self.complain(&why));
            }
        }
        outcome
    }

    fn later(&mut self, asked: Option<u32>) -> Outcome {
        let asked = asked.map_or(Duration::ZERO, |s| Duration::from_secs(s.clamp(1, ASKED_MOST).into()));
        Outcome { pause: self.back_off().max(asked), ..Outcome::default() }
    }

    fn shut(&mut self, flight: Flight, why: String) -> Outcome {
        for (_, person, before) in flight.items {
            self.put_back(&person, before);
        }
        let alarm = self.closed.is_none().then(|| {
            format!(
                "line {}: {why}. Nothing is broken: the box itself sends nothing to who said STOP; other software that \
                 sends by the same number does not hear of it. Tried again once a day; `consent_sync = false` ends it",
                self.line
            )
        });
        self.closed = Some(why);
        Outcome { pause: CLOSED, alarm, ..Outcome::default() }
    }

    /// It was certainly not taken.
    fn put_back(&mut self, person: &PhoneNumber, before: Option<There>) {
        if self.there.get(person).is_none_or(|there| !there.ours) {
            return;
        }
        match before {
            Some(there) => self.there.insert(person.clone(), there),
            None => self.there.remove(person),
        };
    }

    /// It will not be told again. Whose block stays there by that nobody else would find out.
    fn given_up(&mut self, entry: u64, person: &PhoneNumber) -> Option<String> {
        let stays = self.held.contains(person) && self.wish_of(person).is_some_and(|wish| wish.welcome);
        self.forget(person);
        self.refused += 1;
        stays.then(|| {
            format!(
                "line {}: the upstream does not take that a person wants texts again (consent entry {entry}): they \
                 hear nothing by this number until they text START to it",
                self.line
            )
        })
    }

    /// Once: the status counts the rest.
    fn complain(&mut self, why: &str) -> Option<String> {
        if std::mem::replace(&mut self.complained, true) {
            return None;
        }
        Some(format!(
            "line {}: the upstream does not take what a person said about texts: {why}. The box itself keeps to it; \
             `backroom doctor` counts how many",
            self.line
        ))
    }

    fn back_off(&mut self) -> Duration {
        let (first, most) = PAUSES;
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(most);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// The last entry up to which nothing is to be told any more.
    pub(super) fn mark(&self) -> u64 {
        self.waiting.first_key_value().map_or(self.newest, |(entry, _)| entry.saturating_sub(1))
    }

    pub(super) fn status(&self) -> Value {
        json!({
            "told_to": self.mark(),
            "waiting": self.waiting.len(),
            "told": self.told,
            "lifted": self.lifted,
            "refused": self.refused,
            "failures": self.failures,
            "no_access": self.closed,
        })
    }
}

fn source_of(origin: Origin) -> ConsentSource {
    match origin {
        Origin::Text => ConsentSource::Text,
        Origin::Voice | Origin::Staff => ConsentSource::Offline,
        Origin::Form | Origin::Upstream | Origin::Import => ConsentSource::Other,
    }
}

#[cfg(test)]
#[path = "telling_tests.rs"]
mod tests;
