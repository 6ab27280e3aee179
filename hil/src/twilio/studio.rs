//! Studio v2: flows, their revisions, and their validation. Deliberately absent: executions (the simulator runs no flow and
//! says so with 501) and test users.

use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::asked::{Asked, good, json_error_with, no_content};
use super::list::page_with_meta;
use super::message::{Refusal, iso8601, refused};
use super::sim::Sim;
use super::validate::{Fault, faults};

/// One flow with all that it ever was.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    sid: String,
    created: Timestamp,
    /// Oldest first; never empty. Their numbers begin at 1.
    revisions: Vec<Revision>,
}

#[derive(Clone, Debug)]
struct Revision {
    friendly_name: String,
    published: bool,
    definition: Value,
    commit_message: Option<String>,
    created: Timestamp,
}

/// What a POST says of a flow; an update takes the rest from the last revision.
struct Posted {
    published: bool,
    friendly_name: Option<String>,
    definition: Option<Value>,
    commit_message: Option<String>,
}

/// Either may end a request early: a refusal, or an answer that carries details.
enum Ended {
    Refused(Refusal),
    Invalid(Vec<Fault>),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Posted {
    fn of(asked: &Asked) -> Result<Self, Ended> {
        let published = match asked.required("Status")? {
            "published" => true,
            "draft" => false,
            other => return Err(refused(20001, format!("Status is draft or published, not {other}")).into()),
        };
        let read = |text: &str| {
            let definition: Value = serde_json::from_str(text)
                .map_err(|why| vec![Fault { property_path: "#".to_owned(), message: why.to_string() }])?;
            let faults = faults(&definition);
            if faults.is_empty() { Ok(definition) } else { Err(faults) }
        };
        Ok(Self {
            published,
            friendly_name: asked.field("FriendlyName").map(str::to_owned),
            definition: asked.field("Definition").map(read).transpose().map_err(Ended::Invalid)?,
            commit_message: asked.field("CommitMessage").map(str::to_owned),
        })
    }
}

impl Flow {
    fn last(&self) -> Option<(usize, &Revision)> {
        self.revisions.iter().enumerate().next_back().map(|(at, one)| (at + 1, one))
    }

    /// By number, `LatestPublished` or `LatestDraft`.
    fn revision(&self, name: &str) -> Option<(usize, &Revision)> {
        let mut numbered = self.revisions.iter().enumerate().map(|(at, one)| (at + 1, one));
        match name {
            "LatestPublished" => numbered.rfind(|(_, one)| one.published),
            "LatestDraft" => numbered.rfind(|(_, one)| !one.published),
            number => {
                let wanted = number.parse::<usize>().ok()?;
                numbered.find(|(number, _)| *number == wanted)
            }
        }
    }

    /// A revision as the flow's own resource, or as one of its revisions.
    fn json(&self, account: &str, base: &str, (number, one): (usize, &Revision), own: bool) -> Value {
        let url = format!("{base}/v2/Flows/{}", self.sid);
        let mut body = json!({
            "sid": self.sid,
            "account_sid": account,
            "author_sid": null,
            "friendly_name": one.friendly_name,
            "definition": one.definition,
            "status": if one.published { "published" } else { "draft" },
            "revision": number,
            "commit_message": one.commit_message,
            "valid": true,
            "errors": [],
            "date_created": iso8601(if own { self.created } else { one.created }),
            "date_updated": if own || number < self.revisions.len() { Value::from(iso8601(one.created)) } else { Value::Null },
            "url": if own { url.clone() } else { format!("{url}/Revisions/{number}") },
        });
        if let Some(object) = body.as_object_mut().filter(|_| own) {
            let webhook = format!("https://webhooks.twilio.com/v1/Accounts/{account}/Flows/{}", self.sid);
            object.insert("warnings".to_owned(), json!([]));
            object.insert("webhook_url".to_owned(), webhook.into());
            let links = json!({
                "executions": format!("{url}/Executions"),
                "revisions": format!("{url}/Revisions"),
                "test_users": format!("{url}/TestUsers"),
            });
            object.insert("links".to_owned(), links);
        }
        body
    }
}

/// `/v2/Flows…`.
pub(super) fn flows(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    let done = match (asked.method.as_str(), &segments[..]) {
        ("POST", []) => create(sim, asked),
        ("GET", []) => Ok(list(sim, asked)?),
        ("POST", ["Validate"]) => validate(asked),
        ("POST", [sid]) => update(sim, asked, sid),
        (method, [sid, rest @ ..]) => Ok(one(sim, asked, method, sid, rest)?),
        _ => Err(asked.missing().into()),
    };
    match done {
        Ok(response) => Ok(response),
        Err(Ended::Refused(refusal)) => Err(refusal),
        Err(Ended::Invalid(faults)) => {
            let message = "Flow definition validation failed".to_owned();
            let refusal = Refusal { status: 400, code: 81022, message };
            Ok(json_error_with(&refusal, Some(json!({ "errors": faults }))))
        }
    }
}

fn validate(asked: &Asked) -> Result<Response, Ended> {
    asked.required("FriendlyName")?;
    asked.required("Definition")?;
    Posted::of(asked)?;
    Ok(good(200, &json!({ "valid": true })))
}

fn create(sim: &mut Sim, asked: &Asked) -> Result<Response, Ended> {
    let friendly_name = asked.required("FriendlyName")?.to_owned();
    asked.required("Definition")?;
    let posted = Posted::of(asked)?;
    let (sid, created) = (sim.sid("FW"), sim.now());
    let revision = Revision {
        friendly_name,
        published: posted.published,
        definition: posted.definition.unwrap_or_default(),
        commit_message: posted.commit_message,
        created,
    };
    let flow = Flow { sid, created, revisions: vec![revision] };
    let body = flow.last().map(|last| flow.json(&sim.options.account, &asked.base, last, true));
    sim.flows.push(flow);
    body.map(|body| good(201, &body)).ok_or_else(|| asked.missing().into())
}

/// The whole definition is replaced, or stays as it was; either way there is a new revision.
fn update(sim: &mut Sim, asked: &Asked, sid: &str) -> Result<Response, Ended> {
    let (account, created) = (sim.options.account.clone(), sim.now());
    let flow = sim.flows.iter_mut().find(|one| one.sid == sid).ok_or_else(|| asked.missing())?;
    let posted = Posted::of(asked)?;
    let (_, last) = flow.last().ok_or_else(|| asked.missing())?;
    let revision = Revision {
        friendly_name: posted.friendly_name.unwrap_or_else(|| last.friendly_name.clone()),
        published: posted.published,
        definition: posted.definition.unwrap_or_else(|| last.definition.clone()),
        commit_message: posted.commit_message,
        created,
    };
    flow.revisions.push(revision);
    let body = flow.last().map(|last| flow.json(&account, &asked.base, last, true));
    body.map(|body| good(200, &body)).ok_or_else(|| asked.missing().into())
}

/// Newest first; the definitions are told one by one only.
fn list(sim: &Sim, asked: &Asked) -> Result<Response, Refusal> {
    let all: Vec<&Flow> = sim.flows.iter().rev().collect();
    let sids: Vec<&str> = all.iter().map(|flow| flow.sid.as_str()).collect();
    let shown = |at: usize| {
        let flow = all.get(at)?;
        let mut body = flow.json(&sim.options.account, &asked.base, flow.last()?, true);
        if let Some(object) = body.as_object_mut() {
            object.insert("definition".to_owned(), Value::Null);
        }
        Some(body)
    };
    page_with_meta(asked, "flows", &sids, shown).map(|page| good(200, &page))
}

fn one(sim: &mut Sim, asked: &Asked, method: &str, sid: &str, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    let at = sim.flows.iter().position(|one| one.sid == sid).ok_or_else(|| asked.missing())?;
    let flow = sim.flows.get(at).ok_or_else(|| asked.missing())?;
    let json = |revision, own| flow.json(&account, &asked.base, revision, own);
    match (method, rest) {
        ("GET", []) => flow.last().map(|last| good(200, &json(last, true))).ok_or_else(|| asked.missing()),
        ("DELETE", []) => {
            drop(sim.flows.remove(at));
            Ok(no_content())
        }
        ("GET", ["Revisions"]) => {
            let numbers: Vec<String> =
                (1..=flow.revisions.len()).rev().map(|number| number.to_string()).collect();
            let names: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let shown = |at: usize| Some(json(flow.revision(names.get(at)?)?, false));
            page_with_meta(asked, "revisions", &names, shown).map(|page| good(200, &page))
        }
        ("GET", ["Revisions", name]) => {
            let found = flow.revision(name).map(|revision| good(200, &json(revision, false)));
            found.ok_or_else(|| asked.missing())
        }
        ("GET", ["Executions"]) => {
            page_with_meta(asked, "executions", &[], |_| None).map(|page| good(200, &page))
        }
        ("POST", ["Executions"]) => Err(Refusal {
            status: 501,
            code: 20501,
            message: "The simulator keeps flows and runs none: no execution was made".to_owned(),
        }),
        _ => Err(asked.missing()),
    }
}
