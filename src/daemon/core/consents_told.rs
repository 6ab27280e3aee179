//! Blocks on their way from the box to upstreams: a STOP that came another way (by the SIM, by a call, by WhatsApp, from
//! staff) must also stop other software that sends by the same number there, and a START heard elsewhere lifts the block
//! there. The queue of each line is a [`Telling`]; here it meets the ledger, the disk, the timers and the line.
//!
//! How far each line was told is a row; it moves with the commit of the answer. A line is told only while it is up and all
//! that people wrote to it is in: what they wrote there last counts. While the ledger does not verify, no release
//! leaves the box.
//!
//! Deliberately absent: what the upstream's requests look like (`twilio::consents`), and other channels than SMS: no
//! upstream keeps a list for those that can be told.

use std::collections::BTreeMap;

use serde_json::Value;

use super::consent::Consent;
use super::inbound::Text;
use super::shop::Shop;
use super::telling::{Telling, proof_of_hold};
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::messaging::ledger::{Act, Origin, Scope, Statement};
use crate::store::{ConsentsToldRow, Op, Snapshot};
use crate::types::{Channel, ConsentsAnswer, LineCommand, LineId, PhoneNumber};

/// An answer that never came: the edge has died.
const LOST: std::time::Duration = std::time::Duration::from_secs(600);

/// What an upstream that keeps a list takes for STOP and START whatever its settings are; in doubt it is told again.
const UNDERSTOOD: [(&str, bool); 5] =
    [("stop", true), ("stopall", true), ("unsubscribe", true), ("start", false), ("unstop", false)];

/// What each upstream of a shop is still to be told.
pub(super) type Tellings = BTreeMap<LineId, Telling>;

impl Shop {
    /// Before the ledger is read, which ends at `newest`.
    pub(super) fn load_tellings(&mut self, snapshot: &Snapshot, newest: u64) {
        for setup in &self.setup.lines {
            let Some(sender) = setup.consents_as.clone() else { continue };
            let rows = &snapshot.consents_told;
            let row = rows.iter().find(|r| r.shop == self.id && r.line == setup.id && r.sender == sender);
            // A restored ledger may be shorter, and go on with other entries: then it begins anew.
            let known = row.filter(|row| row.entry <= newest).map(|row| (row.entry, row.began));
            let (told_to, began) = known.unwrap_or((0, newest));
            let mut telling = Telling::new(setup.id.clone(), sender, setup.number.clone(), told_to, began);
            telling.stored = known.map(|_| told_to);
            self.consent.tellings.insert(setup.id.clone(), telling);
        }
    }

    /// The person's own text: whether the upstream that it came by has understood it, and needs not be told.
    fn understood_there(&self, text: &Text, stop: bool) -> bool {
        let sms = text.upstream.as_ref().is_some_and(|told| told.channel == Channel::Sms);
        if !sms || !self.consent.tellings.contains_key(&text.line) {
            return false;
        }
        match text.opt_out() {
            Some(word) => word == if stop { "STOP" } else { "START" },
            None => {
                let word = text.body.trim();
                self.settings.switch("consent.upstream_answers")
                    && UNDERSTOOD.iter().any(|(one, stops)| *stops == stop && word.eq_ignore_ascii_case(one))
            }
        }
    }

    /// A STOP or a START was entered that this text says.
    pub(super) fn heard_there(&mut self, text: &Text, subject: &PhoneNumber, stop: bool) {
        if self.understood_there(text, stop)
            && let Some(telling) = self.consent.tellings.get_mut(&text.line)
        {
            telling.heard_there(subject, stop);
        }
    }

    /// The number that a START by this text is about: there it lifts the block by itself.
    pub(super) fn started_there(&self, text: &Text) -> Option<PhoneNumber> {
        let sms = text.upstream.as_ref().is_none_or(|told| told.channel == Channel::Sms);
        // Who cannot be told from here is not waited for: a text that they refuse all the same blocks again.
        let lifts_itself = self.consent.tellings.get(&text.line).is_none_or(|telling| !telling.lifts())
            || self.understood_there(text, false);
        let line = self.lines.get(&text.line).filter(|_| sms && lifts_itself)?;
        line.number.clone()
    }

    /// The numbers at which an upstream refuses texts to this person until it has been told of the START that was just
    /// entered.
    pub(super) fn still_refused(&self, subject: &PhoneNumber, but: Option<&PhoneNumber>) -> Vec<PhoneNumber> {
        let refuses = |telling: &&Telling| telling.is_to_be_lifted(subject);
        let numbers = self.consent.tellings.values().filter(refuses).filter_map(|t| t.number.clone());
        numbers.filter(|number| Some(number) != but).collect()
    }

    /// The block at an upstream's number stays until it is lifted there, whatever entry `lifted` has lifted here.
    pub(super) fn hold_there(
        &mut self,
        cx: &mut Cx<'_>,
        subject: &PhoneNumber,
        number: PhoneNumber,
        lifted: u64,
    ) {
        let (words, proof) = (String::new(), proof_of_hold(lifted));
        let statement = self.statement(cx.now, subject.clone(), Act::Block, words, Origin::Upstream, proof);
        self.enter(cx, Statement { scope: Scope::Number(number), ..statement });
    }

    /// Whether a hold at this number ends by itself, once the upstream has been told.
    pub(super) fn is_lifted_from_here(&self, number: &PhoneNumber) -> bool {
        self.consent.tellings.values().any(|t| t.number.as_ref() == Some(number) && t.lifts())
    }

    /// At the end of every step: what was told is put down, and what may leave does.
    pub(super) fn tell_consents(&mut self, cx: &mut Cx<'_>) {
        let Consent { tellings, people, broken, .. } = &mut self.consent;
        for (id, telling) in tellings {
            let mark = telling.mark();
            if telling.stored != Some(mark) {
                telling.stored = Some(mark);
                cx.put(Op::PutConsentsTold(ConsentsToldRow {
                    shop: self.id.clone(),
                    line: id.clone(),
                    sender: telling.sender.clone(),
                    entry: mark,
                    began: telling.began,
                }));
            }
            let hears = self.lines.get(id).is_some_and(|line| line.up && line.hears_since.is_some());
            let timer = TimerKey::Consents(self.id.clone(), id.clone());
            if self.stopping || !hears || cx.timers.is_set(&timer) {
                continue;
            }
            // Blocks of the number itself are the upstream's own, which it is to lift.
            let may_text = |person: &PhoneNumber| {
                people.get(person).is_none_or(|standing| {
                    !standing
                        .blocked_scopes()
                        .any(|scope| *scope == Scope::Shop || *scope == Scope::Line(id.clone()))
                })
            };
            let Some((batch, items)) = telling.batch(broken.is_none().then_some(may_text)) else { continue };
            cx.timers.set(timer, cx.now.mono + LOST);
            cx.after(Effect::Line(id.clone(), LineCommand::Consents { batch, items }));
        }
    }

    /// What became of what an upstream was told.
    pub(super) fn consents_answered(
        &mut self,
        cx: &mut Cx<'_>,
        id: &LineId,
        batch: u64,
        answer: ConsentsAnswer,
    ) {
        let Some(telling) = self.consent.tellings.get_mut(id) else { return };
        let Some(outcome) = telling.answered(batch, answer) else {
            return self.count("answers_to_no_question");
        };
        let number = telling.number.clone();
        cx.timers.set(TimerKey::Consents(self.id.clone(), id.clone()), cx.now.mono + outcome.pause);
        if let Some(alarm) = outcome.alarm {
            cx.alarm(alarm);
        }
        let Some(number) = number else { return };
        for (subject, entry) in outcome.lifted {
            let proof = format!("line {id}: entry {entry} was taken there");
            let (words, act) = (String::new(), Act::Unblock);
            let statement = self.statement(cx.now, subject, act, words, Origin::Upstream, proof);
            self.enter(cx, Statement { scope: Scope::Number(number.clone()), ..statement });
        }
    }

    /// A line may be told again, or its edge has died.
    pub(super) fn consents_due(&mut self, cx: &mut Cx<'_>, id: &LineId) {
        let Some(telling) = self.consent.tellings.get(id).filter(|t| t.is_under_way()) else { return };
        let (batch, why) = (telling.under_way(), "no answer came".to_owned());
        self.consents_answered(cx, id, batch, ConsentsAnswer::Later { why, pause: None });
    }

    /// What `backroom doctor` shows of a line's consent.
    pub(super) fn telling_status(&self, id: &LineId) -> Option<Value> {
        self.consent.tellings.get(id).map(Telling::status)
    }
}
