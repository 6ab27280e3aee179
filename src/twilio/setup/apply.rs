//! Takes the steps of a plan at the account, one after the other, each in the record first.

use std::io;
use std::path::Path;

use super::record::{Change, NumberChange};
use super::{Made, Plan, Record, Step, Thing, USER, UndoStep, Wanted, flow};
use crate::config::Secret;
use crate::twilio::desk::{Desk, DeskError, text};
use crate::twilio::studio;

/// Why a step was not taken. Those before it were, and the record has them: run it again.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The account refused, or did not answer.
    #[error("{step}: {source}")]
    Step {
        /// In the plan's words.
        step: String,
        /// What the account said.
        source: DeskError,
    },
    /// Our flow is not good enough for Studio.
    #[error("Studio does not take the flow: {}", .0.join("; "))]
    Flow(Vec<String>),
    /// The record cannot be written: then nothing is changed at the account.
    #[error("the record of the setup cannot be written: {0}")]
    Record(#[from] io::Error),
    /// The account's answer lacks what the next step needs.
    #[error("{step}: the answer has no {what}")]
    Lacks {
        /// In the plan's words.
        step: String,
        /// What.
        what: &'static str,
    },
}

/// Takes all steps. `tell` hears of each before it is taken; `password` is the box's at the domain.
///
/// # Errors
/// [`SetupError`] at the first step that fails.
pub async fn apply(
    desk: &Desk,
    wanted: &Wanted,
    plan: &Plan,
    record: &mut Record,
    path: &Path,
    password: &Secret,
    mut tell: impl FnMut(&str),
) -> Result<(), SetupError> {
    for step in &plan.steps {
        let words = step.words(wanted);
        tell(&words);
        let taker = Taker { desk, wanted, path, words };
        match step {
            Step::Make(thing) => taker.make(*thing, record, password).await?,
            Step::NewPassword => {
                let list = taker.sid(record, Thing::CredentialList)?;
                let credential = taker.sid(record, Thing::Credential)?;
                let path = format!("/SIP/CredentialLists/{list}/Credentials/{credential}.json");
                taker.post(&path, &[("Password", password.expose())]).await?;
            }
            Step::PointDomain { .. } => {
                let url = taker.webhook(record).await?;
                let domain = taker.sid(record, Thing::Domain)?;
                let form = [("VoiceUrl", url.as_str()), ("VoiceMethod", "POST")];
                taker.post(&format!("/SIP/Domains/{domain}.json"), &form).await?;
            }
            Step::SetNumber { sid, fields, was } => {
                let url = if fields.values().any(Option::is_none) {
                    taker.webhook(record).await?
                } else {
                    String::new()
                };
                let form: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(field, value)| (field.as_str(), value.as_deref().unwrap_or(&url)))
                    .collect();
                let change = record.number.get_or_insert_with(NumberChange::default);
                change.sid.clone_from(sid);
                for (field, set) in &form {
                    let now = was.get(*field).cloned().unwrap_or_default();
                    // What stands there from an earlier run of ours is not what was there before us.
                    let was = match change.fields.get(*field) {
                        Some(change) if change.set == now => change.was.clone(),
                        Some(_) | None => now,
                    };
                    change.fields.insert((*field).to_owned(), Change { was, set: (*set).to_owned() });
                }
                record.save(path)?;
                taker.post(&format!("/IncomingPhoneNumbers/{sid}.json"), &form).await?;
            }
        }
    }
    Ok(())
}

struct Taker<'a> {
    desk: &'a Desk,
    wanted: &'a Wanted,
    path: &'a Path,
    words: String,
}

impl Taker<'_> {
    fn failed(&self, source: DeskError) -> SetupError {
        SetupError::Step { step: self.words.clone(), source }
    }

    fn lacks(&self, what: &'static str) -> SetupError {
        SetupError::Lacks { step: self.words.clone(), what }
    }

    fn sid(&self, record: &Record, thing: Thing) -> Result<String, SetupError> {
        record.sid(thing).map(str::to_owned).ok_or_else(|| self.lacks("sid"))
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<serde_json::Value, SetupError> {
        self.desk.post(path, form).await.map_err(|e| self.failed(e))
    }

    /// The flow's, asked for: Twilio says where it is.
    async fn webhook(&self, record: &Record) -> Result<String, SetupError> {
        let flow = self.sid(record, Thing::Flow)?;
        let flow = self.desk.studio_get(&format!("/v2/Flows/{flow}")).await.map_err(|e| self.failed(e))?;
        match text(&flow, "webhook_url") {
            "" => Err(self.lacks("webhook_url")),
            url => Ok(url.to_owned()),
        }
    }

    async fn make(&self, thing: Thing, record: &mut Record, password: &Secret) -> Result<(), SetupError> {
        let Wanted { name, domain, .. } = self.wanted;
        // Asked for and checked before anything is written down: a flow that is refused was never begun.
        let definition = match thing {
            Thing::Flow => Some(self.definition().await?),
            _ => None,
        };
        let (path, form): (String, Vec<(&str, String)>) = match thing {
            Thing::CredentialList => {
                ("/SIP/CredentialLists.json".to_owned(), vec![("FriendlyName", name.clone())])
            }
            Thing::Credential => {
                let list = self.sid(record, Thing::CredentialList)?;
                let form = vec![("Username", USER.to_owned()), ("Password", password.expose().to_owned())];
                (format!("/SIP/CredentialLists/{list}/Credentials.json"), form)
            }
            Thing::Flow => {
                let form = vec![
                    ("FriendlyName", name.clone()),
                    ("Status", "published".to_owned()),
                    ("CommitMessage", "Made by Backroom".to_owned()),
                    ("Definition", definition.unwrap_or_default()),
                ];
                ("/v2/Flows".to_owned(), form)
            }
            Thing::Domain => {
                let form = vec![
                    ("DomainName", domain.clone()),
                    ("FriendlyName", name.clone()),
                    ("SipRegistration", "true".to_owned()),
                    ("Secure", "true".to_owned()),
                    ("VoiceUrl", self.webhook(record).await?),
                    ("VoiceMethod", "POST".to_owned()),
                ];
                ("/SIP/Domains.json".to_owned(), form)
            }
            Thing::Registrations | Thing::Calls => {
                let kind = if thing == Thing::Calls { "Calls" } else { "Registrations" };
                let at = self.sid(record, Thing::Domain)?;
                let list = self.sid(record, Thing::CredentialList)?;
                let path = format!("/SIP/Domains/{at}/Auth/{kind}/CredentialListMappings.json");
                (path, vec![("CredentialListSid", list)])
            }
        };
        let named = match thing {
            Thing::Credential => USER,
            Thing::Domain => domain,
            Thing::CredentialList | Thing::Flow | Thing::Registrations | Thing::Calls => name,
        };
        if record.account.is_empty() {
            record.account.clone_from(&self.wanted.account);
            record.name.clone_from(name);
            record.domain.clone_from(domain);
            record.phone = self.wanted.number.as_str().to_owned();
        }
        record.begin(thing, named);
        record.save(self.path)?;
        let form: Vec<(&str, &str)> = form.iter().map(|(field, value)| (*field, value.as_str())).collect();
        let answer = match thing {
            Thing::Flow => self.desk.studio_post(&path, &form).await,
            _ => self.desk.post(&path, &form).await,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // What certainly was not made is not ours when somebody else makes it.
                if !error.may_be_done() {
                    record.made.retain(|made| made.what != thing);
                    record.save(self.path)?;
                }
                return Err(self.failed(error));
            }
        };
        match text(&answer, "sid") {
            "" => Err(self.lacks("sid")),
            sid => {
                record.done(thing, sid);
                Ok(record.save(self.path)?)
            }
        }
    }

    /// The flow, once Studio says that it is a good one.
    async fn definition(&self) -> Result<String, SetupError> {
        let definition = flow::definition(self.wanted).to_string();
        let problems =
            studio::validate(self.desk, &self.wanted.name, &definition).await.map_err(|e| self.failed(e))?;
        if problems.is_empty() { Ok(definition) } else { Err(SetupError::Flow(problems)) }
    }
}

/// Gives everything back, step by step; what is done is struck from the record, and an empty record's file removed.
///
/// # Errors
/// [`SetupError`] at the first step that fails: run it again.
pub async fn apply_undo(
    desk: &Desk,
    steps: &[UndoStep],
    record: &mut Record,
    path: &Path,
    mut tell: impl FnMut(&str),
) -> Result<(), SetupError> {
    for step in steps {
        let words = step.words(record);
        tell(&words);
        let failed = |source| SetupError::Step { step: words.clone(), source };
        match step {
            UndoStep::RestoreNumber { sid, fields } => {
                let form: Vec<(&str, &str)> =
                    fields.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect();
                desk.post(&format!("/IncomingPhoneNumbers/{sid}.json"), &form).await.map_err(failed)?;
                record.number = None;
            }
            UndoStep::Remove(made) => {
                remove(desk, made, record).await.map_err(failed)?;
                record.made.retain(|one| one != made);
            }
        }
        record.save(path)?;
    }
    // What is not at the account any more, nobody can take away.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => *record = Record::default(),
    }
    Ok(())
}

async fn remove(desk: &Desk, made: &Made, record: &Record) -> Result<(), DeskError> {
    let sid = made.sid.as_deref().unwrap_or_default();
    let within = |thing: Thing| record.sid(thing).unwrap_or_default().to_owned();
    let path = match made.what {
        Thing::Flow => return desk.studio_delete(&format!("/v2/Flows/{sid}")).await,
        Thing::CredentialList => format!("/SIP/CredentialLists/{sid}.json"),
        Thing::Credential => {
            format!("/SIP/CredentialLists/{}/Credentials/{sid}.json", within(Thing::CredentialList))
        }
        Thing::Domain => format!("/SIP/Domains/{sid}.json"),
        Thing::Registrations => format!(
            "/SIP/Domains/{}/Auth/Registrations/CredentialListMappings/{sid}.json",
            within(Thing::Domain)
        ),
        Thing::Calls => {
            format!("/SIP/Domains/{}/Auth/Calls/CredentialListMappings/{sid}.json", within(Thing::Domain))
        }
    };
    desk.delete(&path).await
}
