//! The consent ledger: everything that anybody said about being texted, append-only and chained by hash, and the
//! standing that follows from it.
//!
//! Rules, in full:
//! - A block at the shop covers every line and number; a block at a line or a number covers that one. A release lifts
//!   blocks of its own scope, a release at the shop all of them. A narrower release never lifts a wider block.
//! - Every block takes back every consent to marketing (47 CFR 64.1200(a)(10)): START lifts the block and no more.
//! - Marketing needs consent that stands; informational texts and replies need that it was not taken back.
//! - A free wording pauses marketing until staff has read it. Only staff ends a pause, or a new consent does.
//! - Only what [`Exempt`] lists reaches a blocked person.
//! - Every entry is kept seven years and as long as anything rests on it. While the clock is not sure, none goes.
//!
//! Deliberately absent: storage, and who may append. A chain alone does not show that its end was cut off: hold the
//! last [`Head`] elsewhere and hand it to [`verify`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::types::{LineId, Now, PhoneNumber, ShopId, Wall};

/// Seven years of 365.25 days, in milliseconds.
pub const KEPT_MS: i64 = 7 * 31_557_600_000;

/// Changes when the canonical encoding does.
const FORM: &str = "backroom consent 1";

/// SHA-256 of an entry and of all before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(pub [u8; 32]);

impl TryFrom<String> for Link {
    type Error = LinkError;
    fn try_from(text: String) -> Result<Self, LinkError> {
        text.parse()
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.to_string()
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link is 64 hex digits")]
pub struct LinkError;

impl std::str::FromStr for Link {
    type Err = LinkError;
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(LinkError);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or(LinkError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| LinkError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How far a statement reaches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scope", content = "of", rename_all = "snake_case")]
pub enum Scope {
    /// One of the shop's numbers: as far as an upstream's own block reaches (Twilio 21610).
    Number(PhoneNumber),
    /// One line, whatever number it has.
    Line(LineId),
    /// All that the shop sends.
    Shop,
}

/// What a consent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Offers: prior express written consent.
    Marketing,
    /// Orders, appointments: prior express consent.
    Informational,
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "act", content = "topic", rename_all = "snake_case")]
pub enum Act {
    /// Send nothing more.
    Block,
    /// Send again.
    Unblock,
    /// Texts of this kind are welcome.
    Consent(Topic),
    /// Texts of this kind are not welcome any more.
    Withdrawal(Topic),
    /// A free wording waits for a person: no marketing until then.
    Pause,
    /// A person read it, and it was no revocation.
    Resume,
}

/// Where it was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The person's own text.
    Text,
    /// The person's own voice.
    Voice,
    /// A form or paper that the person filled in.
    Form,
    /// Staff, for the person.
    Staff,
    /// The upstream refused a text (Twilio 21610) or reported an opt-out.
    Upstream,
    /// A list that the owner brought.
    Import,
}

/// One statement, before it is chained.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Who is or is not to be texted.
    pub subject: PhoneNumber,
    /// How far it reaches.
    pub scope: Scope,
    /// What was said.
    pub act: Act,
    /// The exact words.
    pub words: String,
    /// Where it was learned.
    pub origin: Origin,
    /// What shows it: a message's, call's or form's id, who on the staff, a file and its row.
    pub proof: String,
    /// When.
    pub at: Wall,
    /// Whether that clock was sure.
    pub sure: bool,
}

/// `Debug` shows no words and no whole number: it is what logs print.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("subject", &self.subject)
            .field("scope", &self.scope)
            .field("act", &self.act)
            .field("origin", &self.origin)
            .field("at", &self.at.rfc3339())
            .field("sure", &self.sure)
            .finish_non_exhaustive()
    }
}

/// A statement in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps, within one shop.
    pub seq: u64,
    /// The link of the entry before.
    pub before: Link,
    /// This entry's.
    pub link: Link,
    /// What was said.
    pub statement: Statement,
}

/// Where a chain stands: before its first entry that is kept, or behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last entry up to here; 0 at the beginning.
    pub seq: u64,
    /// Its link.
    pub link: Link,
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing, doubled or moved.
    #[error("consent entry {found} stands where {expected} should: restore the ledger from the last backup")]
    Order {
        /// The number that should be there.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// The entry does not follow from the one before it.
    #[error(
        "consent entry {seq} does not follow from the one before: restore the ledger from the last backup"
    )]
    Before {
        /// Which.
        seq: u64,
    },
    /// The entry is not what was written.
    #[error("consent entry {seq} was changed after it was written: restore the ledger from the last backup")]
    Changed {
        /// Which.
        seq: u64,
    },
    /// The end was cut off, or is another one.
    #[error("the consent ledger ends at {found}, and {expected} is known: restore it from the last backup")]
    End {
        /// The last number known.
        expected: u64,
        /// The last number there.
        found: u64,
    },
}

impl Head {
    /// The beginning of a shop's ledger: one shop's entries never fit into another's.
    #[must_use]
    pub fn beginning(shop: &ShopId) -> Self {
        let mut hash = Sha256::new();
        field(&mut hash, FORM.as_bytes());
        field(&mut hash, shop.as_str().as_bytes());
        Self { seq: 0, link: Link(hash.finalize().into()) }
    }

    /// Chains the next statement.
    #[must_use]
    pub fn append(&self, statement: Statement) -> Entry {
        let seq = self.seq.saturating_add(1);
        let link = link(seq, &self.link, &statement);
        Entry { seq, before: self.link, link, statement }
    }
}

impl Entry {
    /// Where the chain stands behind this entry.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, link: self.link }
    }
}

/// Each field behind its length, so that no two statements have one encoding.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn link(seq: u64, before: &Link, s: &Statement) -> Link {
    let (scope, of) = match &s.scope {
        Scope::Number(number) => ("number", number.as_str()),
        Scope::Line(line) => ("line", line.as_str()),
        Scope::Shop => ("shop", ""),
    };
    let act = match s.act {
        Act::Block => "block",
        Act::Unblock => "unblock",
        Act::Consent(Topic::Marketing) => "consent marketing",
        Act::Consent(Topic::Informational) => "consent informational",
        Act::Withdrawal(Topic::Marketing) => "withdrawal marketing",
        Act::Withdrawal(Topic::Informational) => "withdrawal informational",
        Act::Pause => "pause",
        Act::Resume => "resume",
    };
    let origin = match s.origin {
        Origin::Text => "text",
        Origin::Voice => "voice",
        Origin::Form => "form",
        Origin::Staff => "staff",
        Origin::Upstream => "upstream",
        Origin::Import => "import",
    };
    let mut hash = Sha256::new();
    field(&mut hash, FORM.as_bytes());
    field(&mut hash, &before.0);
    field(&mut hash, &seq.to_be_bytes());
    for text in [s.subject.as_str(), scope, of, act, &s.words, origin, &s.proof] {
        field(&mut hash, text.as_bytes());
    }
    field(&mut hash, &s.at.0.to_be_bytes());
    field(&mut hash, &[u8::from(s.sure)]);
    Link(hash.finalize().into())
}

/// Follows the chain from `from` and gives where it ends. `known` is the last head that is held elsewhere; the
/// ledger may have grown since.
///
/// # Errors
/// The first broken link.
pub fn verify(from: Head, entries: &[Entry], known: Option<Head>) -> Result<Head, Broken> {
    let mut head = from;
    let mut seen = known.is_none_or(|k| k == from);
    for entry in entries {
        let expected = head.seq.saturating_add(1);
        if entry.seq != expected {
            return Err(Broken::Order { expected, found: entry.seq });
        }
        if entry.before != head.link {
            return Err(Broken::Before { seq: entry.seq });
        }
        if entry.link != link(entry.seq, &entry.before, &entry.statement) {
            return Err(Broken::Changed { seq: entry.seq });
        }
        head = entry.head();
        seen |= known == Some(head);
    }
    match known {
        Some(known) if !seen => Err(Broken::End { expected: known.seq, found: head.seq }),
        Some(_) | None => Ok(head),
    }
}

/// Why a text is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The answer to what the person wrote.
    Reply,
    /// About an order or an appointment of the person's.
    Informational,
    /// An offer.
    Marketing,
    /// What reaches blocked people too.
    Exempt(Exempt),
}

/// The whole list of what reaches a blocked person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exempt {
    /// Life and safety (47 CFR 64.1200(f)(4): "emergency purposes"): a recall of brakes.
    Emergency,
    /// A law demands that the shop sends it.
    Law,
    /// The one confirmation of STOP or START (47 CFR 64.1200(a)(12)).
    Confirmation,
}

/// Why a text may not be sent. The number is that of the entry that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The person said STOP, or an upstream says so.
    #[error("blocked by consent entry {0}")]
    Blocked(u64),
    /// Texts of this kind were declined.
    #[error("declined by consent entry {0}")]
    Withdrawn(u64),
    /// A request in free words waits for a person.
    #[error("consent entry {0} waits for a person to read it")]
    Paused(u64),
    /// Nobody ever agreed to offers.
    #[error("no consent to marketing")]
    NoConsent,
}

/// What one person's entries come to. Numbers are those of the entries that it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    blocks: BTreeMap<Scope, u64>,
    given: BTreeMap<(Topic, Scope), u64>,
    withdrawn: BTreeMap<(Topic, Scope), u64>,
    paused: Option<u64>,
}

impl Standing {
    /// Folds the entries of one person, oldest first. Entries about others are passed over.
    #[must_use]
    pub fn of<'a>(subject: &PhoneNumber, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut standing = Self::default();
        for entry in entries.into_iter().filter(|e| e.statement.subject == *subject) {
            standing.apply(entry);
        }
        standing
    }

    /// Takes the next entry of this person in.
    pub fn apply(&mut self, entry: &Entry) {
        let (seq, s) = (entry.seq, &entry.statement);
        let within = |other: &Scope| s.scope == Scope::Shop || *other == s.scope;
        match s.act {
            Act::Block => {
                self.blocks.insert(s.scope.clone(), seq);
                self.given.retain(|(topic, _), _| *topic != Topic::Marketing);
            }
            Act::Unblock => self.blocks.retain(|scope, _| !within(scope)),
            Act::Consent(topic) => {
                self.withdrawn.retain(|(t, scope), _| *t != topic || !within(scope));
                self.given.insert((topic, s.scope.clone()), seq);
                if topic == Topic::Marketing {
                    self.paused = None;
                }
            }
            Act::Withdrawal(topic) => {
                self.given.retain(|(t, scope), _| *t != topic || !within(scope));
                self.withdrawn.insert((topic, s.scope.clone()), seq);
            }
            Act::Pause => self.paused = Some(seq),
            Act::Resume if s.origin == Origin::Staff => self.paused = None,
            Act::Resume => {}
        }
    }

    /// Whether a text may go from `number` by `line`.
    ///
    /// # Errors
    /// The reason why not, with the entry that says so.
    pub fn may_send(
        &self,
        purpose: Purpose,
        line: &LineId,
        number: Option<&PhoneNumber>,
    ) -> Result<(), Refusal> {
        let topic = match purpose {
            Purpose::Exempt(_) => return Ok(()),
            Purpose::Reply => None,
            Purpose::Informational => Some(Topic::Informational),
            Purpose::Marketing => Some(Topic::Marketing),
        };
        let covers = |scope: &Scope| covers(scope, line, number);
        if let Some((_, seq)) = self.blocks.iter().find(|(scope, _)| covers(scope)) {
            return Err(Refusal::Blocked(*seq));
        }
        let Some(topic) = topic else { return Ok(()) };
        if let Some((_, seq)) = self.withdrawn.iter().find(|((t, scope), _)| *t == topic && covers(scope)) {
            return Err(Refusal::Withdrawn(*seq));
        }
        if topic == Topic::Informational {
            return Ok(());
        }
        if let Some(seq) = self.paused {
            return Err(Refusal::Paused(seq));
        }
        let agreed = |scope: &Scope| match scope {
            Scope::Shop => true,
            Scope::Line(l) => l == line,
            Scope::Number(n) => number == Some(n),
        };
        let given = self.given.keys().any(|(t, scope)| *t == topic && agreed(scope));
        if given { Ok(()) } else { Err(Refusal::NoConsent) }
    }

    /// True when the person is blocked for all that the shop sends: then YES means START.
    #[must_use]
    pub fn is_blocked_everywhere(&self) -> bool {
        self.blocks.contains_key(&Scope::Shop)
    }

    /// True when a block is of this very line or number, whatever else is blocked.
    #[must_use]
    pub fn is_blocked_there(&self, line: &LineId, number: Option<&PhoneNumber>) -> bool {
        self.blocks.keys().any(|scope| *scope != Scope::Shop && covers(scope, line, number))
    }

    /// The same without what was said to those numbers: for a line of which it is known that it has none of them.
    #[must_use]
    pub fn without(&self, numbers: impl Fn(&PhoneNumber) -> bool) -> Self {
        let other = |scope: &Scope| matches!(scope, Scope::Number(number) if numbers(number));
        let mut rest = self.clone();
        rest.blocks.retain(|scope, _| !other(scope));
        rest.withdrawn.retain(|(_, scope), _| !other(scope));
        rest
    }

    /// How far each block reaches.
    pub fn blocked_scopes(&self) -> impl Iterator<Item = &Scope> {
        self.blocks.keys()
    }

    /// The entry whose words wait for a person to read them.
    #[must_use]
    pub fn paused(&self) -> Option<u64> {
        self.paused
    }

    /// True while a consent to marketing stands, as far as it may reach.
    #[must_use]
    pub fn has_marketing(&self) -> bool {
        self.given.keys().any(|(topic, _)| *topic == Topic::Marketing)
    }

    /// True when something follows from this entry still.
    #[must_use]
    pub fn rests_on(&self, seq: u64) -> bool {
        self.paused == Some(seq)
            || self
                .blocks
                .values()
                .chain(self.given.values())
                .chain(self.withdrawn.values())
                .any(|s| *s == seq)
    }
}

fn covers(scope: &Scope, line: &LineId, number: Option<&PhoneNumber>) -> bool {
    match scope {
        Scope::Shop => true,
        Scope::Line(l) => l == line,
        // A line that does not know its number may be any number.
        Scope::Number(n) => number.is_none_or(|own| own == n),
    }
}

/// Whether what was written at `at` is seven years old. Never while the clock is not sure.
#[must_use]
pub fn is_expired(at: Wall, now: Now) -> bool {
    now.wall_sure && now.wall.0.saturating_sub(at.0) >= KEPT_MS
}

/// How many entries from the front may go: all of a person's are over seven years old, and nothing rests on this
/// one. The front alone, so that what stays is one chain from the head of the last that went.
#[must_use]
pub fn expired(entries: &[Entry], now: Now) -> usize {
    if !now.wall_sure {
        return 0;
    }
    let mut standings: BTreeMap<&PhoneNumber, Standing> = BTreeMap::new();
    for entry in entries {
        standings.entry(&entry.statement.subject).or_default().apply(entry);
    }
    // Written while the clock was not sure: as old as the next entry that was sure, at most.
    let mut young: BTreeSet<&PhoneNumber> = BTreeSet::new();
    let mut sure = now.wall;
    for entry in entries.iter().rev() {
        if entry.statement.sure {
            sure = entry.statement.at;
        }
        if !is_expired(sure, now) {
            young.insert(&entry.statement.subject);
        }
    }
    let may_go = |entry: &&Entry| {
        let subject = &entry.statement.subject;
        !young.contains(subject) && standings.get(subject).is_some_and(|s| !s.rests_on(entry.seq))
    };
    entries.iter().take_while(may_go).count()
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
