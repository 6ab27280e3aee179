//! What the owner enters into the consent ledger through the control socket: for people who said it by voice, on
//! paper or in another program. Each needs its proof, and is in the audit log as well.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Cx;
use super::shop::Shop;
use crate::messaging::ledger::{Act, Origin, Scope, Statement, Topic};
use crate::store::{AuditRow, Op};
use crate::types::{LineId, PhoneNumber, Wall};

/// So many entries of a list at once; a longer list comes in several.
pub const IMPORT_MOST: usize = 1000;

/// One line of a list of what people said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Who.
    pub subject: PhoneNumber,
    /// What. A list lifts no block.
    pub act: Act,
    /// How far it reaches.
    pub scope: Scope,
    /// The exact words.
    pub words: String,
    /// What shows it.
    pub proof: String,
    /// When it was said.
    pub at: Wall,
}

/// One request about consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentAsk {
    /// Enter one statement.
    Enter {
        /// Who, as people write numbers.
        person: String,
        /// What they said.
        act: Act,
        /// Only for this line; for all that the shop sends when left out.
        line: Option<LineId>,
        /// The exact words.
        words: String,
        /// What shows it.
        proof: String,
        /// How it was learned.
        origin: Origin,
    },
    /// Enter a list, all of it or nothing.
    Import(Vec<Imported>),
    /// The ledger as it is now holds, although it does not verify.
    Accept {
        /// Why.
        why: String,
    },
}

impl Shop {
    pub(super) fn consent_command(
        &mut self,
        cx: &mut Cx<'_>,
        ask: ConsentAsk,
        by: &str,
    ) -> Result<Value, String> {
        match ask {
            ConsentAsk::Enter { person, act, line, words, proof, origin } => {
                let country = self.settings.text("shop.calling_code").to_owned();
                let subject = PhoneNumber::parse(&person, Some(&country)).map_err(|e| e.to_string())?;
                let scope = match line {
                    Some(line) if !self.lines.contains_key(&line) => {
                        return Err(format!("there is no line {line}"));
                    }
                    Some(line) => Scope::Line(line),
                    None => Scope::Shop,
                };
                if proof.trim().is_empty() {
                    return Err("an entry needs what shows it: --proof".to_owned());
                }
                // Staff alone end a pause: they have read what was said.
                let origin = if act == Act::Resume { Origin::Staff } else { origin };
                let proof = format!("{proof} (entered by {by})");
                let statement =
                    Statement { scope, ..self.statement(cx.now, subject, act, words, origin, proof) };
                self.audit_consent(cx, by, "consent entry", &statement);
                let entry = self.consent.head.seq + 1;
                match act {
                    Act::Block => self.block(cx, statement, None, true),
                    Act::Unblock | Act::Consent(_) | Act::Withdrawal(_) | Act::Pause | Act::Resume => {
                        let subject = statement.subject.clone();
                        self.enter(cx, statement);
                        if act == Act::Unblock {
                            for number in self.still_refused(&subject, None) {
                                self.hold_there(cx, &subject, number, entry);
                            }
                        }
                        self.drop_refused(cx, subject.as_str());
                    }
                }
                Ok(json!({ "entry": entry }))
            }
            ConsentAsk::Import(lines) => self.import(cx, lines, by),
            ConsentAsk::Accept { why } => {
                let Some(broken) = self.consent.broken.take() else {
                    return Err("the ledger verifies: there is nothing to accept".to_owned());
                };
                cx.put(Op::AcceptConsent(self.id.clone()));
                self.audit(
                    cx,
                    by,
                    "consent ledger accepted",
                    json!({ "what": broken.to_string(), "why": why }),
                );
                Ok(json!({ "entries": self.consent.head.seq }))
            }
        }
    }

    fn import(&mut self, cx: &mut Cx<'_>, lines: Vec<Imported>, by: &str) -> Result<Value, String> {
        if lines.len() > IMPORT_MOST {
            return Err(format!("{} entries at once; {IMPORT_MOST} are the most", lines.len()));
        }
        let mut wrong = Vec::new();
        for (number, line) in (1..).zip(&lines) {
            if let Some(why) = self.import_wrong(cx, line) {
                wrong.push(format!("entry {number}: {why}"));
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        let (mut entered, mut older) = (0, 0);
        for line in lines {
            // What they said since counts more than an old list.
            let yes = matches!(line.act, Act::Consent(_));
            if yes && self.consent.against(&line.subject).is_some_and(|since| since >= line.at) {
                older += 1;
                continue;
            }
            let person = line.subject.as_str().to_owned();
            let blocks = line.act == Act::Block;
            let statement = Statement {
                subject: line.subject,
                scope: line.scope,
                act: line.act,
                words: line.words,
                origin: Origin::Import,
                proof: line.proof,
                at: line.at,
                sure: true,
            };
            match blocks {
                true => self.block(cx, statement, None, true),
                false => {
                    self.enter(cx, statement);
                    self.drop_refused(cx, &person);
                }
            }
            entered += 1;
        }
        let detail = json!({ "entered": entered, "older_than_what_they_said_since": older });
        self.audit(cx, by, "consent import", detail.clone());
        Ok(detail)
    }

    fn import_wrong(&self, cx: &Cx<'_>, line: &Imported) -> Option<String> {
        if cx.now.wall_sure && line.at > cx.now.wall {
            return Some(format!("{} is still to come", line.at));
        }
        match (line.act, &line.scope) {
            (Act::Unblock | Act::Pause | Act::Resume, _) => {
                Some("a list takes block, consent and withdrawal; a block is lifted one by one".to_owned())
            }
            (_, Scope::Line(id)) if !self.lines.contains_key(id) => Some(format!("there is no line {id}")),
            (Act::Consent(Topic::Marketing), _) if line.proof.trim().is_empty() => {
                Some("consent to marketing needs its proof".to_owned())
            }
            (Act::Block | Act::Consent(_) | Act::Withdrawal(_), _) => None,
        }
    }

    fn audit_consent(&self, cx: &mut Cx<'_>, by: &str, what: &str, s: &Statement) {
        let detail = json!({ "subject": s.subject, "act": s.act, "scope": s.scope, "proof": s.proof });
        self.audit(cx, by, what, detail);
    }

    fn audit(&self, cx: &mut Cx<'_>, by: &str, what: &str, detail: Value) {
        let (who, what) = (by.to_owned(), what.to_owned());
        cx.put(Op::AddAudit(AuditRow { shop: self.id.clone(), who, what, detail, wall: cx.now.wall }));
    }
}
