//! The shop's consent: the ledger in memory, and the one gate that every text passes last.
//!
//! Rules beside those of [`crate::messaging::ledger`]:
//! - [`Shop::refused`] is asked when a text is put down, when its turn comes, and when the line asks for it. Nothing
//!   leaves by another way, staff's texts included; who wanted it sent is told why it was not.
//! - STOP by a text is about the shop; an upstream's refusal (Twilio 21610) is about the number that it is for. START
//!   lifts all but what other upstreams than the one that brought it still hold. Those that can be told lift theirs when
//!   they are ([`super::consents_told`]); for the others there is no way but START to that number, and the person is
//!   told so.
//! - The box's own gate comes first and needs no block at Twilio. One is set there all the same, since Twilio has a way
//!   for it (its Consent Management API): the number is not the box's alone, and other software that sends by it, a
//!   campaign tool or an old Studio flow, asks Twilio and not the box.
//! - Where an upstream answers STOP, START and HELP itself (Twilio does on its numbers, `OptOutType` says so on the rest)
//!   the box enters what was said and adds nothing.
//! - A text that is for no whole number (a short code, seven digits, a number with something before it) goes to nobody
//!   whose number has the same last seven digits.
//! - The confirmation of STOP leaves within five minutes or never; a restart in between ends it.
//! - A ledger that does not verify stops all marketing until its owner has accepted or restored it. What it still says
//!   of blocks holds, and so does what its copy says of them, and what the version before kept in table `block`.
//! - An upstream is read now and then: a START that it took before the last STOP was said lifts nothing, as if the box had
//!   heard both at once. Who wrote START to one number and then STOP to another stays blocked.
//! - Each text says STOP or START once: a START is entered also when there was nothing to lift, so that a webhook that
//!   somebody kept and sends again after a STOP is known for what it is.
//!
//! Deliberately absent: what the words are (`messaging::keywords`), when offers go (`offers`), commands
//! (`consent_commands`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use super::Cx;
use super::consents_told::Tellings;
use super::enclosing::Wants;
use super::inbound::Text;
use super::lines::Line;
use super::shop::{Shop, readable};
use super::timers::TimerKey;
use crate::messaging::keywords::{self, Heard, Request};
use crate::messaging::ledger::{
    self, Act, Broken, Entry, Exempt, Head, Origin, Purpose, Refusal, Scope, Standing, Statement,
};
use crate::messaging::{StaffText, parse_staff_text, start_text, stop_text};
use crate::store::{AuditRow, ConsentEntryRow, MessageRow, Op, Snapshot, Source};
use crate::types::{Channel, LineId, MessageId, Mono, Now, PhoneNumber, ShopId, Wall};

/// How often entries are looked at for their age; the first time, after an hour.
const AGE_EVERY: std::time::Duration = std::time::Duration::from_secs(86_400);
const AGE_FIRST: std::time::Duration = std::time::Duration::from_secs(3_600);
const DAMAGED: &str = "not sent: the consent ledger is damaged, and no marketing leaves until it is not";
/// Shorter ones are short codes: they end nobody's number.
const WHOLE: usize = 7;

/// Who speaks, and what for.
#[derive(Clone, Debug)]
pub(super) struct Why {
    pub(super) source: Source,
    pub(super) purpose: Purpose,
}

impl Why {
    /// The answer to what the person wrote.
    pub(super) fn reply(source: Source) -> Self {
        Self { source, purpose: Purpose::Reply }
    }
}

/// The purpose that a source has unless it says otherwise; never less strict than it may be.
impl From<Source> for Why {
    fn from(source: Source) -> Self {
        let purpose = match &source {
            Source::Person | Source::Staff => Purpose::Reply,
            Source::Flow(_) | Source::Box | Source::Program => Purpose::Informational,
            Source::Campaign(_) => Purpose::Marketing,
            Source::Consent => Purpose::Exempt(Exempt::Confirmation),
        };
        Self { source, purpose }
    }
}

/// A STOP of this boot, and the text that confirms it.
#[derive(Debug)]
struct Stop {
    at: Mono,
    confirmation: Option<MessageId>,
}

/// Words that wait for staff.
#[derive(Clone, Debug)]
struct Asked {
    words: String,
    proof: String,
    /// When they came, unless that was before this run.
    at: Option<Mono>,
}

/// What the shop knows of consent.
#[derive(Debug)]
pub(super) struct Consent {
    pub(super) head: Head,
    pub(super) people: BTreeMap<PhoneNumber, Standing>,
    pub(super) broken: Option<Broken>,
    /// The newest thing that each person said against texts.
    against: HashMap<PhoneNumber, Wall>,
    /// When each person last said STOP: where an upstream said when, by its clock.
    stopped: HashMap<PhoneNumber, Wall>,
    pub(super) tellings: Tellings,
    stops: BTreeMap<PhoneNumber, Stop>,
    asked: BTreeMap<PhoneNumber, Asked>,
    /// The texts that said STOP or START: who brings one of them again, years later, has said nothing.
    texts: HashSet<String>,
    /// The clock when ages were last looked at, if it was sure.
    aged: Option<(Mono, Wall)>,
}

impl Consent {
    pub(super) fn new(shop: &ShopId) -> Self {
        Self {
            head: Head::beginning(shop),
            people: BTreeMap::new(),
            broken: None,
            against: HashMap::new(),
            stopped: HashMap::new(),
            tellings: Tellings::new(),
            stops: BTreeMap::new(),
            asked: BTreeMap::new(),
            texts: HashSet::new(),
            aged: None,
        }
    }

    fn take(&mut self, entry: &Entry) {
        let s = &entry.statement;
        self.head = entry.head();
        let standing = self.people.entry(s.subject.clone()).or_default();
        standing.apply(entry);
        self.tellings.values_mut().for_each(|telling| telling.entered(entry, standing));
        if s.origin == Origin::Text && matches!(s.act, Act::Block | Act::Unblock) {
            self.texts.insert(s.proof.clone());
        }
        if s.act == Act::Block && s.origin != Origin::Upstream && s.sure {
            self.said_stop(&s.subject, s.at);
        }
        match s.act {
            Act::Block | Act::Withdrawal(_) | Act::Pause => {
                let newest = self.against.entry(s.subject.clone()).or_insert(s.at);
                *newest = s.at.max(*newest);
            }
            Act::Unblock | Act::Consent(_) | Act::Resume => {}
        }
        match s.act {
            Act::Pause => {
                let asked = Asked { words: s.words.clone(), proof: s.proof.clone(), at: None };
                self.asked.insert(s.subject.clone(), asked);
            }
            _ if self.people.get(&s.subject).is_none_or(|p| p.paused().is_none()) => {
                self.asked.remove(&s.subject);
            }
            Act::Block | Act::Unblock | Act::Consent(_) | Act::Withdrawal(_) | Act::Resume => {}
        }
    }

    /// Whether this text was taken for STOP or START before.
    pub(super) fn knows(&self, text: &MessageId) -> bool {
        self.texts.contains(text.as_str())
    }

    fn said_stop(&mut self, subject: &PhoneNumber, at: Wall) {
        let newest = self.stopped.entry(subject.clone()).or_insert(at);
        *newest = at.max(*newest);
    }

    /// Whether the upstream took this text before the person said STOP another way. It tells whole seconds.
    pub(super) fn is_outdated(&self, text: &Text, person: &str) -> bool {
        let sent = text.upstream.as_ref().and_then(|told| told.sent);
        let Ok(subject) = PhoneNumber::parse(person, None) else { return false };
        let stopped = self.stopped.get(&subject);
        sent.zip(stopped).is_some_and(|(sent, at)| sent.0.div_euclid(1000) < at.0.div_euclid(1000))
    }

    /// When this person last said anything against texts.
    pub(super) fn against(&self, subject: &PhoneNumber) -> Option<Wall> {
        self.against.get(subject).copied()
    }
}

impl Shop {
    /// Takes the ledger over and makes it whole: from the copy beside the database, from the version before.
    pub(super) fn load_consent(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let own = self.id.clone();
        let entries: Vec<Entry> =
            snapshot.consent.iter().filter(|r| r.shop == own).map(|r| r.entry.clone()).collect();
        let kept = snapshot.consent_kept.get(&own);
        let first = entries.first().filter(|e| e.seq > 1).map(|e| Head { seq: e.seq - 1, link: e.before });
        let from = kept.map(|k| k.from).or(first).unwrap_or_else(|| Head::beginning(&own));
        let missing = kept.map(|k| k.missing.clone()).unwrap_or_default();
        let whole: Vec<Entry> = entries.iter().chain(&missing).cloned().collect();
        self.load_tellings(snapshot, whole.last().map_or(0, |e| e.seq));
        for entry in &whole {
            self.consent.take(entry);
        }
        match ledger::verify(from, &whole, kept.map(|k| k.last)) {
            Ok(_) => {
                for entry in missing {
                    cx.put(Op::AddConsentEntry(ConsentEntryRow { shop: own.clone(), entry }));
                    self.count("consent_entries_restored");
                }
            }
            Err(broken) => {
                // What cannot be put into its place was said all the same; the chain goes on behind what is there.
                self.consent.head = entries.last().map_or_else(|| Head::beginning(&own), Entry::head);
                cx.alarm(format!(
                    "shop {own}: {broken}. No marketing leaves until then; if the ledger as it is now is the right \
                     one, `backroom consent verify --accept` says so"
                ));
                self.consent.broken = Some(broken);
                self.enter_what_the_copy_says(cx, kept.map(|k| k.blocks.as_slice()).unwrap_or_default());
            }
        }
        self.enter_what_was_said_before(cx, snapshot);
        let newest = self.consent.head.seq;
        self.consent.tellings.values_mut().for_each(|telling| telling.begin_behind(newest));
        self.consent.aged = cx.now.wall_sure.then_some((cx.now.mono, cx.now.wall));
        cx.timers.set(TimerKey::ConsentAge(own), cx.now.mono + AGE_FIRST);
    }

    /// Database and copy contradict each other: whoever is blocked by one of them is blocked.
    fn enter_what_the_copy_says(&mut self, cx: &mut Cx<'_>, blocks: &[Entry]) {
        for Entry { seq, statement: said, .. } in blocks {
            let known = |s: &Standing| s.blocked_scopes().any(|scope| *scope == said.scope);
            if self.consent.people.get(&said.subject).is_some_and(known) {
                continue;
            }
            let (subject, words, act) = (said.subject.clone(), said.words.clone(), Act::Block);
            let proof = format!("entry {seq} of the ledger's copy, which the database contradicts");
            let statement = self.statement(cx.now, subject, act, words, Origin::Import, proof);
            self.enter(cx, Statement { scope: said.scope.clone(), ..statement });
        }
    }

    /// Versions without a ledger wrote a log, and a table of who is blocked.
    fn enter_what_was_said_before(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let own = self.id.clone();
        for row in snapshot.consent_before.iter().filter(|r| r.shop == own) {
            let Ok(subject) = PhoneNumber::parse(&row.person, None) else { continue };
            // It was in the ledger, and went with its age.
            if self.consent.head.seq > 0 && ledger::is_expired(row.wall, cx.now) {
                continue;
            }
            let act = if row.blocked { Act::Block } else { Act::Unblock };
            self.enter(
                cx,
                Statement {
                    subject,
                    scope: Scope::Shop,
                    act,
                    words: row.words.clone(),
                    origin: Origin::Text,
                    proof: row.message.to_string(),
                    at: row.wall,
                    sure: row.wall_sure,
                },
            );
        }
        for (_, person) in snapshot.blocks.iter().filter(|(shop, _)| *shop == own) {
            let Ok(subject) = PhoneNumber::parse(person, None) else { continue };
            let known = |s: &Standing| s.blocked_scopes().any(|scope| !matches!(scope, Scope::Number(_)));
            if self.consent.people.get(&subject).is_some_and(known) {
                continue;
            }
            let proof = "the list of blocked people, which the ledger does not explain".to_owned();
            let (words, act) = (String::new(), Act::Block);
            self.enter(cx, self.statement(cx.now, subject, act, words, Origin::Import, proof));
        }
    }

    /// About the shop as a whole, now.
    pub(super) fn statement(
        &self,
        now: Now,
        subject: PhoneNumber,
        act: Act,
        words: String,
        origin: Origin,
        proof: String,
    ) -> Statement {
        Statement {
            subject,
            scope: Scope::Shop,
            act,
            words,
            origin,
            proof,
            at: now.wall,
            sure: now.wall_sure,
        }
    }

    /// Chains a statement: it holds from now on, and is committed with this step.
    pub(super) fn enter(&mut self, cx: &mut Cx<'_>, statement: Statement) -> u64 {
        let entry = self.consent.head.append(statement);
        self.consent.take(&entry);
        self.count("consent_entries");
        let seq = entry.seq;
        cx.put(Op::AddConsentEntry(ConsentEntryRow { shop: self.id.clone(), entry }));
        seq
    }

    pub(super) fn standing(&self, person: &str) -> Option<&Standing> {
        let number = PhoneNumber::parse(person, None).ok()?;
        self.consent.people.get(&number)
    }

    /// For everything that the shop sends.
    pub(super) fn is_blocked(&self, person: &str) -> bool {
        self.standing(person).is_some_and(Standing::is_blocked_everywhere)
    }

    fn has_marketing(&self, person: &str) -> bool {
        self.standing(person).is_some_and(Standing::has_marketing)
    }

    /// For this line alone, as far as anybody knows: another one may still be used. Who is blocked everywhere is sent
    /// what nothing stops, and not where an upstream would refuse it while there is another way.
    pub(super) fn is_blocked_there(&self, person: &str, line: &Line) -> bool {
        let Some(standing) = self.standing(person) else { return false };
        let there =
            |line: &Line| self.by(standing, line).is_blocked_there(&line.setup.id, line.number.as_ref());
        let elsewhere = |other: &Line| other.setup.channel == Channel::Sms && !there(other);
        there(line) && (!standing.is_blocked_everywhere() || self.lines.values().any(elsewhere))
    }

    /// What a person said as far as it is about this line. A SIM often does not tell its number: it may be any but those
    /// that the shop has at upstreams, so what is refused there does not stop the SIM.
    fn by<'a>(&self, standing: &'a Standing, line: &Line) -> Cow<'a, Standing> {
        if line.number.is_some() {
            return Cow::Borrowed(standing);
        }
        let upstream = |l: &&Line| l.takes_whole() && l.setup.channel == Channel::Sms;
        let theirs: Vec<&PhoneNumber> =
            self.lines.values().filter(upstream).filter_map(|l| l.number.as_ref()).collect();
        Cow::Owned(standing.without(|number| theirs.contains(&number)))
    }

    /// The one gate: why this text may not leave by this line now.
    pub(super) fn refused(&self, row: &MessageRow, line: &LineId, now: Now) -> Option<String> {
        let Ok(number) = PhoneNumber::parse(&row.peer, None) else { return self.refused_tail(row) };
        if row.purpose == Purpose::Marketing && self.consent.broken.is_some() {
            return Some(DAMAGED.to_owned());
        }
        let own = self.lines.get(line).and_then(|l| l.number.as_ref());
        let nothing = Standing::default();
        let standing = self.consent.people.get(&number).unwrap_or(&nothing);
        let standing = self.lines.get(line).map_or(Cow::Borrowed(standing), |line| self.by(standing, line));
        if let Err(refusal) = standing.may_send(row.purpose, line, own) {
            return Some(words_of(refusal));
        }
        let confirms_stop = row.purpose == Purpose::Exempt(Exempt::Confirmation)
            && standing.may_send(Purpose::Reply, line, own).is_err();
        if confirms_stop {
            if standing.is_blocked_there(line, own) {
                return Some("not sent: they said STOP to this number, which confirmed it".into());
            }
            let stop = self.consent.stops.get(&number);
            let stop = stop.filter(|s| s.confirmation.as_ref() == Some(&row.id));
            if !keywords::may_confirm(stop.map(|s| s.at), false, now.mono) {
                return Some("not sent: five minutes after STOP no confirmation goes any more".into());
            }
        }
        None
    }

    /// An address that a network may complete to the number of somebody who is blocked.
    fn refused_tail(&self, row: &MessageRow) -> Option<String> {
        if matches!(row.purpose, Purpose::Exempt(_)) {
            return None;
        }
        let digits: String = row.peer.chars().filter(char::is_ascii_digit).collect();
        // What stands before may be the dialling of a network: *67, an exit code.
        let tail = digits.len().checked_sub(WHOLE).and_then(|from| digits.get(from..));
        let blocked = |(number, standing): (&PhoneNumber, &Standing)| {
            tail.is_some_and(|tail| number.digits().ends_with(tail))
                && standing.blocked_scopes().next().is_some()
        };
        let meant = self.consent.people.iter().any(blocked);
        match (meant, row.purpose) {
            (true, _) => Some(words_of(Refusal::Blocked(0))),
            (false, Purpose::Marketing) => Some(words_of(Refusal::NoConsent)),
            (false, Purpose::Reply | Purpose::Informational | Purpose::Exempt(_)) => None,
        }
    }

    /// Why nothing may be said to this person by the line that it would go by.
    pub(super) fn refused_to(
        &self,
        now: Now,
        person: &str,
        purpose: Purpose,
        wants: Wants,
    ) -> Option<String> {
        if purpose == Purpose::Marketing && self.consent.broken.is_some() {
            return Some(DAMAGED.to_owned());
        }
        let line = match self.choose_line(now, person, wants) {
            Ok(choice) => choice.line,
            // That comes first, whatever else is in the way.
            Err(_) if self.is_blocked(person) && !matches!(purpose, Purpose::Exempt(_)) => {
                return Some(words_of(Refusal::Blocked(0)));
            }
            Err(why) => return Some(format!("not sent: {why}")),
        };
        let number = PhoneNumber::parse(person, None).ok()?;
        let own = self.lines.get(&line)?;
        let nothing = Standing::default();
        let standing = self.by(self.consent.people.get(&number).unwrap_or(&nothing), own);
        standing.may_send(purpose, &line, own.number.as_ref()).err().map(words_of)
    }

    /// What the text that came in asks for, as its upstream understood it where that said so.
    pub(super) fn request_of(&self, text: &Text, person: &str) -> Request {
        match text.opt_out() {
            Some("STOP") => return Request::Stop,
            Some("START") => return Request::Start,
            Some("HELP") => return Request::Help,
            Some(_) | None => {}
        }
        let offered = self.offered(person);
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        keywords::read(&text.body, Heard { blocked: self.is_blocked(person), offered: &offered })
    }

    /// The words that the question in front offers; none while it is not with the line.
    fn offered(&self, person: &str) -> Vec<String> {
        let question = || {
            let widget = self.widget_in_front(person)?;
            let run = self.runs.get(self.people.get(person)?.state.front()?)?;
            Some(run.words_offered(&widget))
        };
        question().unwrap_or_default()
    }

    /// Whether the upstream answers STOP, START and HELP on this line itself.
    pub(super) fn upstream_answers(&self, text: &Text) -> bool {
        text.opt_out().is_some()
            || (text.upstream.as_ref().is_some_and(|told| told.channel == Channel::Sms)
                && self.settings.switch("consent.upstream_answers"))
    }

    /// STOP: by the person's own text.
    pub(super) fn stop(&mut self, cx: &mut Cx<'_>, text: &Text, person: &str) {
        self.store_text(cx, text, text.note.clone());
        let Ok(subject) = PhoneNumber::parse(person, None) else { return };
        let standing = self.consent.people.get(&subject).cloned().unwrap_or_default();
        let already = standing.is_blocked_everywhere();
        let before = self.consent.stopped.get(&subject).copied();
        let sent = text.upstream.as_ref().and_then(|told| told.sent);
        let said = sent.or(cx.now.wall_sure.then_some(cx.now.wall));
        if already && !standing.has_marketing() {
            if let Some(said) = said {
                self.consent.said_stop(&subject, said);
            }
            return;
        }
        let (act, proof) = (Act::Block, text.id.to_string());
        let statement = self.statement(cx.now, subject.clone(), act, text.body.clone(), Origin::Text, proof);
        self.block(cx, statement, Some(cx.now.mono), already || self.upstream_answers(text));
        // What was entered is when it came.
        if let Some(said) = said.max(before) {
            self.consent.stopped.insert(subject.clone(), said);
        }
        self.heard_there(text, &subject, true);
    }

    /// Enters a block, ends what goes on, drops what waits; one confirmation, unless `quietly`. `said` is when it was
    /// asked for, if that is known.
    pub(super) fn block(&mut self, cx: &mut Cx<'_>, statement: Statement, said: Option<Mono>, quietly: bool) {
        let subject = statement.subject.clone();
        let person = subject.as_str().to_owned();
        let everywhere = statement.scope == Scope::Shop;
        self.enter(cx, statement);
        if everywhere {
            self.people_ended(cx, &person, "said STOP");
            self.stop_all(cx, &person, "the person said STOP");
            if let Some(talk) = self.people.get_mut(&person) {
                talk.state.waiting.clear();
            }
        }
        self.drop_refused(cx, &person);
        if everywhere && self.is_staff(&person) {
            cx.alarm(format!(
                "shop {}: a member of staff ({subject:?}) said STOP: no notices go there until START comes from there",
                self.id
            ));
        }
        self.consent.stops.retain(|_, stop| keywords::may_confirm(Some(stop.at), false, cx.now.mono));
        let Some(at) = said.filter(|at| keywords::may_confirm(Some(*at), quietly, cx.now.mono)) else {
            return;
        };
        if !everywhere {
            return;
        }
        let confirmation = cx.message_id();
        let stop = Stop { at, confirmation: Some(confirmation.clone()) };
        self.consent.stops.insert(subject, stop);
        let body = stop_text(self.settings.text("shop.name"));
        self.send_text(cx, confirmation, &person, body, Source::Consent, None);
    }

    /// START: lifts what can be lifted from here.
    pub(super) fn start(&mut self, cx: &mut Cx<'_>, text: &Text, person: &str) {
        self.store_text(cx, text, text.note.clone());
        let Ok(subject) = PhoneNumber::parse(person, None) else { return };
        let own = self.started_there(text);
        let mut held: BTreeSet<PhoneNumber> = self
            .consent
            .people
            .get(&subject)
            .into_iter()
            .flat_map(Standing::blocked_scopes)
            .filter_map(|scope| match scope {
                Scope::Number(number) if Some(number) != own.as_ref() => Some(number.clone()),
                Scope::Number(_) | Scope::Line(_) | Scope::Shop => None,
            })
            .collect();
        let Some(lifted) = self.enter_start(cx, text, person) else { return };
        held.extend(self.still_refused(&subject, own.as_ref()));
        for number in &held {
            self.hold_there(cx, &subject, number.clone(), lifted);
        }
        self.consent.stops.remove(&subject);
        if self.upstream_answers(text) {
            return;
        }
        let mut body = start_text(self.settings.text("shop.name"));
        for number in held.iter().filter(|number| !self.is_lifted_from_here(number)) {
            let number = readable(number.as_str());
            body.push_str(&format!(" For texts from {number} too, text START to that number."));
        }
        self.say(cx, person, body, Source::Consent);
    }

    /// What a START says by itself; its number in the ledger.
    pub(super) fn enter_start(&mut self, cx: &mut Cx<'_>, text: &Text, person: &str) -> Option<u64> {
        let subject = PhoneNumber::parse(person, None).ok()?;
        let (words, proof) = (text.body.clone(), text.id.to_string());
        let statement = self.statement(cx.now, subject.clone(), Act::Unblock, words, Origin::Text, proof);
        let entry = self.enter(cx, statement);
        self.heard_there(text, &subject, false);
        Some(entry)
    }

    /// The upstream will not carry texts to this person: somebody said STOP there.
    pub(super) fn upstream_blocked(&mut self, cx: &mut Cx<'_>, line: &LineId, person: &str, code: u32) {
        let Ok(subject) = PhoneNumber::parse(person, None) else { return };
        let number = self.lines.get(line).and_then(|l| l.number.clone());
        let scope = number.map_or_else(|| Scope::Line(line.clone()), Scope::Number);
        let known = |s: &Standing| s.blocked_scopes().any(|known| *known == scope);
        if self.consent.people.get(&subject).is_some_and(known) {
            return;
        }
        self.count("opted_out_at_upstream");
        let proof = format!("line {line}, error {code}");
        let statement = self.statement(cx.now, subject, Act::Block, String::new(), Origin::Upstream, proof);
        self.block(cx, Statement { scope, ..statement }, None, true);
    }

    /// Perhaps a revocation in free words: marketing pauses, and staff decide. The text goes its way all the same: what
    /// should not have been caught costs them a glance, and the person nothing.
    pub(super) fn perhaps_stop(&mut self, cx: &mut Cx<'_>, text: &Text, person: &str) {
        let Ok(subject) = PhoneNumber::parse(person, None) else { return };
        let paused = self.consent.people.get(&subject).is_some_and(|s| s.paused().is_some());
        if !paused {
            let proof = text.id.to_string();
            let statement =
                self.statement(cx.now, subject.clone(), Act::Pause, text.body.clone(), Origin::Text, proof);
            self.enter(cx, statement);
        }
        let (words, proof) = (text.body.clone(), text.id.to_string());
        self.consent.asked.insert(subject, Asked { words, proof, at: Some(cx.now.mono) });
        let ticket = self.talk(cx, person).ticket;
        if self.staff().is_empty() {
            cx.alarm(format!(
                "shop {}: customer #{ticket} may want no more texts; read it (backroom consent list --paused) and \
                 decide: backroom consent block, or backroom consent resume",
                self.id
            ));
        }
        let body = format!(
            "#{ticket} {person} may want no more texts: \"{}\". Answer #{ticket} STOP to send them nothing more, or \
             #{ticket} OK if they meant something else.",
            text.body.trim()
        );
        self.tell_staff(cx, &body);
    }

    /// Staff decide about words that wait, or answer somebody who is blocked. False when it is neither.
    pub(super) fn staff_on_consent(&mut self, cx: &mut Cx<'_>, text: &Text) -> bool {
        let staff = text.from.as_str().to_owned();
        let (ticket, words) = match parse_staff_text(&text.body) {
            StaffText::Answer { ticket, words } => (ticket, words),
            StaffText::Done { .. } | StaffText::DoneOnly | StaffText::Bare(_) => return false,
        };
        let Some(person) = self.people.iter().find(|(_, t)| t.ticket == ticket).map(|(p, _)| p.clone())
        else {
            return false;
        };
        let Ok(subject) = PhoneNumber::parse(&person, None) else { return false };
        let asked = self.consent.asked.get(&subject).cloned();
        let proof = format!("{} of staff {staff}", text.id);
        let say = match keywords::read(&words, Heard::default()) {
            Request::Stop
                if (!self.is_blocked(&person) || self.has_marketing(&person))
                    && (asked.is_some() || !is_cancel(&words)) =>
            {
                self.store_text(cx, text, Some("from staff".into()));
                let (said, words, proof) = match asked {
                    Some(asked) => (asked.at, asked.words, format!("{}; {proof}", asked.proof)),
                    None => (None, words, proof),
                };
                let statement = self.statement(cx.now, subject, Act::Block, words, Origin::Staff, proof);
                self.block(cx, statement, said, false);
                format!("#{ticket} is sent nothing more.")
            }
            _ if asked.is_some() && is_ok(&words) => {
                self.store_text(cx, text, Some("from staff".into()));
                let statement = self.statement(cx.now, subject, Act::Resume, words, Origin::Staff, proof);
                self.enter(cx, statement);
                format!("#{ticket} goes on as before.")
            }
            _ => match self.refused_to(cx.now, &person, Purpose::Reply, Wants::default()) {
                Some(why) => {
                    self.store_text(cx, text, Some("from staff".into()));
                    format!("#{ticket}: {why}")
                }
                None => return false,
            },
        };
        self.say(cx, &staff, say, Source::Box);
        true
    }

    /// Forgets what waits to be sent to a person and may not leave any more.
    pub(super) fn drop_refused(&mut self, cx: &mut Cx<'_>, person: &str) {
        let refused = |shop: &Self, row: &MessageRow| {
            let line = row.line.clone().or_else(|| shop.line_for(cx.now, person))?;
            shop.refused(row, &line, cx.now)
        };
        let mut waiting: Vec<(MessageId, String)> = self
            .outgoing
            .values()
            .filter(|o| o.row.peer == person && o.is_untouched())
            .filter_map(|o| Some((o.row.id.clone(), refused(self, &o.row)?)))
            .collect();
        waiting.sort();
        for (id, why) in waiting {
            self.fail_message(cx, &id, &why);
        }
    }

    /// What reaches blocked people is written down, whoever it goes to.
    pub(super) fn audit_exempt(&self, cx: &mut Cx<'_>, row: &MessageRow, who: &str, why: &str) {
        cx.put(Op::AddAudit(AuditRow {
            shop: self.id.clone(),
            who: who.to_owned(),
            what: "a text that consent does not stop".to_owned(),
            detail: json!({ "message": row.id, "to": row.peer, "purpose": row.purpose, "why": why }),
            wall: cx.now.wall,
        }));
    }

    /// Once a day: what is over seven years old goes, unless the clock is not sure or has jumped since yesterday.
    pub(super) fn consent_age(&mut self, cx: &mut Cx<'_>) {
        cx.timers.set(TimerKey::ConsentAge(self.id.clone()), cx.now.mono + AGE_EVERY);
        let before =
            std::mem::replace(&mut self.consent.aged, cx.now.wall_sure.then_some((cx.now.mono, cx.now.wall)));
        let Some((mono, wall)) = before.filter(|_| cx.now.wall_sure) else { return };
        let (passed, shown) = (cx.now.mono.since(mono), cx.now.wall.since(wall));
        if passed.abs_diff(shown) < AGE_FIRST && self.consent.broken.is_none() {
            cx.put(Op::ExpireConsent(self.id.clone(), cx.now));
        }
    }

    pub(super) fn consent_status(&self) -> Value {
        let people = &self.consent.people;
        let silent: Vec<String> = self
            .settings
            .phones("staff")
            .iter()
            .filter(|n| people.get(n).is_some_and(|s| s.blocked_scopes().next().is_some()))
            .map(|n| format!("{n:?}"))
            .collect();
        json!({
            "entries": self.consent.head.seq,
            "blocked": people.values().filter(|s| s.blocked_scopes().next().is_some()).count(),
            "paused": people.values().filter(|s| s.paused().is_some()).count(),
            "broken": self.consent.broken.map(|b| b.to_string()),
            "staff_who_said_stop": silent,
        })
    }
}

fn words_of(refusal: Refusal) -> String {
    match refusal {
        Refusal::Blocked(_) => "not sent: this person said STOP".to_owned(),
        Refusal::Withdrawn(_) => "not sent: this person wants no texts of this kind".to_owned(),
        Refusal::Paused(_) => {
            "not sent: this person may have said STOP in other words, and nobody has read it yet".to_owned()
        }
        Refusal::NoConsent => "not sent: this person never agreed to marketing".to_owned(),
    }
}

/// What staff may mean for an appointment; of a customer it is STOP.
fn is_cancel(words: &str) -> bool {
    words.trim_end_matches(['.', '!']).eq_ignore_ascii_case("cancel")
}

fn is_ok(words: &str) -> bool {
    matches!(words.trim().trim_end_matches(['.', '!']).to_lowercase().as_str(), "ok" | "okay" | "go on")
}
