//! Voice through Twilio for a box without a public address, as a plan: what exists at the account, what is wanted, and
//! the ordered steps between the two. Pure: the account is read and changed in `setup/apply.rs`.
//!
//! The box registers at a SIP domain (TLS, so that the way in is one that the box opened). The number's calls go to a
//! Studio flow in the cloud, which rings the box and takes a voicemail where the box does not answer; calls that the
//! box places through the domain leave by the same flow with the shop's number as caller.
//!
//! Planning again after a whole run plans nothing; after a broken one it plans what is left. What was there before a
//! step is in the [`Record`] before the step is taken, so that [`undo`] gives it back. A thing of the wanted name that
//! the record does not know is somebody else's and an [`Obstacle`]: nothing is taken over and nothing overwritten.
//!
//! Deliberately absent: buying numbers, and emergency addresses (a call to 911 by this line needs one at Twilio).

mod account;
mod apply;
pub mod flow;
mod record;

pub use account::look;
pub use apply::{SetupError, apply, apply_undo};
pub use record::{Made, Record, Thing};

use std::collections::BTreeMap;

use crate::config::Secret;
use crate::types::PhoneNumber;

/// What Twilio answers texts with before anybody set a URL: a demonstration that customers must not read.
const DEMO: &str = "https://demo.twilio.com/";
/// The name before the @ of the box's address.
pub const USER: &str = "box";

/// What is wanted at the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `AC...`
    pub account: String,
    /// Of the credential list and the flow: `box-main`.
    pub name: String,
    /// Of the SIP domain, whole: `shop-main-01ab34.sip.twilio.com`. Unique in the whole of Twilio.
    pub domain: String,
    /// Whose calls come to the box.
    pub number: PhoneNumber,
    /// What a caller hears before the tone.
    pub greeting: String,
    /// True while the password's file is on this box. Twilio does not tell a password again.
    pub password_kept: bool,
}

impl Wanted {
    /// The box's own address at the domain, as the flow dials it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("sip:{USER}@{}", self.domain)
    }
}

/// Letters, digits and dashes of an id: what a domain's name may have.
#[must_use]
pub fn label(id: &str) -> String {
    let kept = id.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let kept: String = kept.trim_matches('-').chars().take(40).collect();
    kept.trim_end_matches('-').to_owned()
}

/// The domain of a box: its id, and the end of the account's sid, since every name is taken once at Twilio.
#[must_use]
pub fn domain_name(id: &str, account: &str) -> String {
    let tail = account.get(account.len().saturating_sub(6)..).unwrap_or_default();
    format!("shop-{}-{}.sip.twilio.com", label(id), tail.to_ascii_lowercase())
}

/// A password as Twilio takes it: twelve characters at least, upper and lower case, a digit. 24 of 57, 139 bits.
///
/// # Errors
/// The system has no randomness.
pub fn password() -> Result<Secret, getrandom::Error> {
    const LETTERS: &[u8] = b"23456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
    loop {
        let mut bytes = [0u8; 64];
        getrandom::fill(&mut bytes)?;
        // 228 is the largest multiple of 57 in a byte: what lies above would favour the first ones.
        let fair = bytes.iter().filter(|byte| **byte < 228);
        let text: String = fair
            .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
            .map(|b| char::from(*b))
            .take(24)
            .collect();
        let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
        if text.len() == 24
            && has(char::is_ascii_digit)
            && has(char::is_ascii_lowercase)
            && has(char::is_ascii_uppercase)
        {
            return Ok(Secret::new(text));
        }
    }
}

/// Something with a sid and a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its sid.
    pub sid: String,
    /// Its name: friendly name, user name, or domain name.
    pub name: String,
    /// The URL that goes with it: a domain's `voice_url`, a flow's `webhook_url`; else empty.
    pub url: String,
}

/// What there is at the account, as far as it concerns the box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Credential lists.
    pub lists: Vec<Named>,
    /// Credentials in the list of ours.
    pub credentials: Vec<Named>,
    /// SIP domains.
    pub domains: Vec<Named>,
    /// Credential lists that may register at the domain of ours: the mapping's sid is the list's.
    pub registrations: Vec<Named>,
    /// Credential lists that may call through the domain of ours.
    pub calls: Vec<Named>,
    /// Studio flows.
    pub flows: Vec<Named>,
    /// The number's sid and what it is set to, by the names that Twilio's requests have (`VoiceUrl`).
    pub number: Option<Number>,
}

/// One of the account's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// `PN...`
    pub sid: String,
    /// What it is set to.
    pub fields: BTreeMap<String, String>,
}

impl Existing {
    fn of(&self, thing: Thing) -> &[Named] {
        match thing {
            Thing::CredentialList => &self.lists,
            Thing::Credential => &self.credentials,
            Thing::Flow => &self.flows,
            Thing::Domain => &self.domains,
            Thing::Registrations => &self.registrations,
            Thing::Calls => &self.calls,
        }
    }

    fn by_sid(&self, thing: Thing, sid: &str) -> Option<&Named> {
        self.of(thing).iter().find(|one| one.sid == sid)
    }
}

/// One step, taken in the order of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a thing.
    Make(Thing),
    /// The password's file is gone: the credential gets another one.
    NewPassword,
    /// The domain's calls go to the flow.
    PointDomain {
        /// Where they went.
        was: String,
    },
    /// The number is set.
    SetNumber {
        /// `PN...`
        sid: String,
        /// What it is set to; where a value is missing it is the flow's URL, known once the flow is there.
        fields: BTreeMap<String, Option<String>>,
        /// What the same fields are now.
        was: BTreeMap<String, String>,
    },
}

/// The steps, and what should be known beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Remarks for the person who reads the plan.
    pub notes: Vec<String>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Something of the name is there, and the box did not make it.
    #[error(
        "there is a {what} {name} ({sid}) already, and this box has no record of having made it: choose another name \
         with --name, or remove it at Twilio"
    )]
    Taken {
        /// In words.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its sid.
        sid: String,
    },
    /// The number is not the account's.
    #[error("{0} is not a number of this account")]
    NoSuchNumber(PhoneNumber),
    /// The record is of another setup.
    #[error("this line was set up as {was} before: undo that first (backroom twilio setup --undo)")]
    Otherwise {
        /// The domain of then.
        was: String,
    },
}

/// The steps from `existing` to `wanted`. `record` is brought up to date with what an earlier, broken run left.
///
/// # Errors
/// All obstacles; then nothing may be done.
pub fn plan(wanted: &Wanted, existing: &Existing, record: &mut Record) -> Result<Plan, Vec<Obstacle>> {
    if record.is_of_another(wanted) {
        return Err(vec![Obstacle::Otherwise { was: record.domain.clone() }]);
    }
    settle(existing, record);
    let mut plan = Plan::default();
    let mut obstacles = Vec::new();
    for thing in Thing::ALL {
        match standing(thing, wanted, existing, record) {
            Standing::Missing => plan.steps.push(Step::Make(thing)),
            Standing::Ours => {}
            Standing::Theirs(other) => obstacles.push(Obstacle::Taken {
                what: thing.words(),
                name: other.name.clone(),
                sid: other.sid.clone(),
            }),
        }
    }
    let flow = record.sid(Thing::Flow).and_then(|sid| existing.by_sid(Thing::Flow, sid));
    let domain = record.sid(Thing::Domain).and_then(|sid| existing.by_sid(Thing::Domain, sid));
    if let Some(domain) = domain.filter(|domain| flow.is_none_or(|flow| flow.url != domain.url)) {
        plan.steps.push(Step::PointDomain { was: domain.url.clone() });
    }
    let has_credential = !plan.steps.contains(&Step::Make(Thing::Credential));
    if has_credential && !wanted.password_kept {
        plan.steps.push(Step::NewPassword);
    }
    match &existing.number {
        Some(number) => number_step(number, flow, &mut plan),
        None => obstacles.push(Obstacle::NoSuchNumber(wanted.number.clone())),
    }
    if obstacles.is_empty() { Ok(plan) } else { Err(obstacles) }
}

enum Standing<'a> {
    Missing,
    Ours,
    Theirs(&'a Named),
}

fn standing<'a>(thing: Thing, wanted: &Wanted, existing: &'a Existing, record: &Record) -> Standing<'a> {
    if record.sid(thing).is_some_and(|sid| existing.by_sid(thing, sid).is_some()) {
        return Standing::Ours;
    }
    // Inside a list or a domain of somebody else there is nothing to be found by name: those are the obstacle.
    let name = match thing {
        Thing::CredentialList | Thing::Flow => &wanted.name,
        Thing::Domain => &wanted.domain,
        Thing::Credential | Thing::Registrations | Thing::Calls => return Standing::Missing,
    };
    match existing.of(thing).iter().find(|one| one.name.eq_ignore_ascii_case(name)) {
        Some(other) => Standing::Theirs(other),
        None => Standing::Missing,
    }
}

/// What was begun, and is there now under its name, is ours: when it was begun, nothing had that name.
fn settle(existing: &Existing, record: &mut Record) {
    for made in &mut record.made {
        if made.sid.is_none() {
            let found = existing.of(made.what).iter().find(|one| one.name.eq_ignore_ascii_case(&made.name));
            made.sid = found.map(|one| one.sid.clone());
        }
    }
}

fn number_step(number: &Number, flow: Option<&Named>, plan: &mut Plan) {
    let is = |field: &str| number.fields.get(field).map_or("", String::as_str);
    let mut fields: BTreeMap<String, Option<String>> = BTreeMap::new();
    if flow.is_none_or(|flow| is("VoiceUrl") != flow.url) {
        fields.insert("VoiceUrl".to_owned(), None);
    }
    let mut set = |field: &str, value: &str| fields.insert(field.to_owned(), Some(value.to_owned()));
    if is("VoiceMethod") != "POST" {
        set("VoiceMethod", "POST");
    }
    // Twilio asks an application or a trunk before it looks at the number's own URL.
    for field in ["VoiceApplicationSid", "TrunkSid"] {
        if !is(field).is_empty() {
            set(field, "");
        }
    }
    if is("SmsUrl").starts_with(DEMO) {
        set("SmsUrl", "");
    } else if !is("SmsUrl").is_empty() {
        plan.notes.push(format!(
            "texts to the number also go to {}: what answers there answers beside the box",
            is("SmsUrl")
        ));
    }
    if !fields.is_empty() {
        let was = fields.keys().map(|field| (field.clone(), is(field).to_owned())).collect();
        plan.steps.push(Step::SetNumber { sid: number.sid.clone(), fields, was });
    }
}

impl Step {
    /// What the step does, for the person who is asked.
    #[must_use]
    pub fn words(&self, wanted: &Wanted) -> String {
        let Wanted { name, domain, number, .. } = wanted;
        match self {
            Self::Make(Thing::CredentialList) => format!("create credential list {name}"),
            Self::Make(Thing::Credential) => {
                format!("create user {USER} in credential list {name}, with a password that is made here")
            }
            Self::Make(Thing::Flow) => {
                format!(
                    "create Studio flow {name}: rings the box, takes a voicemail where it does not answer"
                )
            }
            Self::Make(Thing::Domain) => format!("create SIP domain {domain}, secure, with registration"),
            Self::Make(Thing::Registrations) => format!("let credential list {name} register at {domain}"),
            Self::Make(Thing::Calls) => format!("let credential list {name} call through {domain}"),
            Self::NewPassword => format!("give user {USER} a new password: its file is not on this box"),
            Self::PointDomain { was } => {
                format!("point SIP domain {domain} at flow {name}; it was at {}", place(was))
            }
            Self::SetNumber { fields, was, .. } => {
                let mut words: Vec<String> = Vec::new();
                for (field, value) in fields {
                    let before = was.get(field).map_or("", String::as_str);
                    words.push(match (field.as_str(), value) {
                        ("VoiceUrl", _) => {
                            format!("point {number} voice at flow {name}; it was at {}", place(before))
                        }
                        ("SmsUrl", _) => "stop Twilio's demonstration from answering its texts".to_owned(),
                        (_, Some(value)) if value.is_empty() => format!("clear its {field} ({before})"),
                        (_, Some(value)) => format!("set its {field} to {value} (was {})", place(before)),
                        (_, None) => format!("set its {field}"),
                    });
                }
                words.sort_by_key(|words| !words.starts_with("point"));
                words.join("; ")
            }
        }
    }
}

fn place(url: &str) -> &str {
    if url.is_empty() { "nothing" } else { url }
}

/// One step of giving everything back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoStep {
    /// The number is set as it was.
    RestoreNumber {
        /// `PN...`
        sid: String,
        /// What it is set to.
        fields: BTreeMap<String, String>,
    },
    /// What the box made is removed.
    Remove(Made),
}

/// What gives everything back, the last first, and only what the box made or set; what somebody changed since is left
/// and named. `record` is brought up to date with what a broken run left.
#[must_use]
pub fn undo(existing: &Existing, record: &mut Record) -> (Vec<UndoStep>, Vec<String>) {
    settle(existing, record);
    let mut steps = Vec::new();
    let mut notes = Vec::new();
    if let Some(before) = &record.number {
        match existing.number.as_ref().filter(|number| number.sid == before.sid) {
            None => notes.push("the number is no longer the account's: its settings are left".to_owned()),
            Some(number) => {
                let is = |field: &str| number.fields.get(field).map_or("", String::as_str);
                let mut fields = BTreeMap::new();
                for (field, change) in &before.fields {
                    if is(field) == change.set {
                        if is(field) != change.was {
                            fields.insert(field.clone(), change.was.clone());
                        }
                    } else if is(field) != change.was {
                        notes.push(format!("the number's {field} was changed since: it is left"));
                    }
                }
                if !fields.is_empty() {
                    steps.push(UndoStep::RestoreNumber { sid: before.sid.clone(), fields });
                }
            }
        }
    }
    for made in record.made.iter().rev() {
        let there = made.sid.as_deref().and_then(|sid| existing.by_sid(made.what, sid));
        if there.is_some() {
            steps.push(UndoStep::Remove(made.clone()));
        }
    }
    (steps, notes)
}

impl UndoStep {
    /// What the step does.
    #[must_use]
    pub fn words(&self, record: &Record) -> String {
        match self {
            Self::RestoreNumber { fields, .. } => {
                let list: Vec<String> =
                    fields.iter().map(|(field, value)| format!("{field} {}", place(value))).collect();
                format!("set {} as it was: {}", record.phone, list.join(", "))
            }
            Self::Remove(made) => match made.what {
                Thing::Credential => format!("remove user {USER} from credential list {}", record.name),
                Thing::Registrations => format!("no longer let {} register at {}", made.name, record.domain),
                Thing::Calls => format!("no longer let {} call through {}", made.name, record.domain),
                Thing::CredentialList | Thing::Flow | Thing::Domain => {
                    format!("remove {} {}", made.what.words(), made.name)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
