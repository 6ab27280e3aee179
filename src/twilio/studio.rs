//! Studio flows in the cloud: listed, fetched, checked, and pushed with an optimistic lock on their revision. What a
//! flow means is the `flow` room's; how two differ is `studio/diff.rs`.

mod diff;
mod pulled;

pub use diff::diff;
pub use pulled::{Pulled, PulledFlow};

use serde_json::Value;

use super::desk::{Desk, DeskError, text};

/// A flow in the cloud, without its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `FW...`
    pub sid: String,
    /// Its friendly name.
    pub name: String,
    /// `draft` or `published`.
    pub status: String,
    /// The newest one.
    pub revision: u32,
    /// What was said of that revision.
    pub message: String,
    /// When it was changed, as Twilio writes it.
    pub updated: String,
}

impl Head {
    fn of(flow: &Value) -> Option<Self> {
        let sid = text(flow, "sid");
        let revision = flow.get("revision").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())?;
        (!sid.is_empty()).then(|| Self {
            sid: sid.to_owned(),
            name: text(flow, "friendly_name").to_owned(),
            status: text(flow, "status").to_owned(),
            revision,
            message: text(flow, "commit_message").to_owned(),
            updated: text(flow, "date_updated").to_owned(),
        })
    }
}

/// A flow in the cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudFlow {
    /// What it is.
    pub head: Head,
    /// Studio v2.
    pub definition: Value,
}

/// Why a flow was not fetched or pushed.
#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    /// The account refused, or did not answer.
    #[error("{0}")]
    Desk(#[from] DeskError),
    /// Nobody has that name.
    #[error("there is no flow {name} in the cloud; there are: {}", .there.join(", "))]
    NoSuch {
        /// Asked for.
        name: String,
        /// Names.
        there: Vec<String>,
    },
    /// Several have.
    #[error("there are several flows named {name} in the cloud: say which by its sid ({})", .sids.join(", "))]
    Several {
        /// Asked for.
        name: String,
        /// Whose.
        sids: Vec<String>,
    },
    /// The answer is no flow.
    #[error("the cloud's answer is no flow")]
    Nonsense,
    /// Studio does not take the definition.
    #[error("Studio does not take the flow:\n{}", .0.join("\n"))]
    Invalid(Vec<String>),
    /// Somebody changed the flow in the cloud since.
    #[error(
        "the cloud has revision {there} ({status}) of {name}, and {}: pull or diff it first, or push with --force",
        pulled_words(*.pulled)
    )]
    Moved {
        /// Which.
        name: String,
        /// The cloud's.
        there: u32,
        /// `draft` or `published`.
        status: String,
        /// The one that was pulled or pushed last.
        pulled: Option<u32>,
    },
}

fn pulled_words(pulled: Option<u32>) -> String {
    pulled.map_or_else(|| "it was never pulled".to_owned(), |n| format!("revision {n} was pulled last"))
}

/// All flows of the account.
///
/// # Errors
/// The account does not answer, or will not.
pub async fn list(desk: &Desk) -> Result<Vec<Head>, DeskError> {
    Ok(desk.studio_list("/v2/Flows", "flows").await?.iter().filter_map(Head::of).collect())
}

/// The one of a name or a sid; `None` when there is none.
///
/// # Errors
/// Several have the name; the account does not answer.
pub async fn find(desk: &Desk, name: &str) -> Result<Option<Head>, StudioError> {
    one(list(desk).await?, name)
}

fn one(all: Vec<Head>, name: &str) -> Result<Option<Head>, StudioError> {
    let mut found: Vec<Head> = all.into_iter().filter(|head| head.sid == name || head.name == name).collect();
    if found.len() > 1 {
        let sids = found.into_iter().map(|head| head.sid).collect();
        return Err(StudioError::Several { name: name.to_owned(), sids });
    }
    Ok(found.pop())
}

/// The newest revision of the flow of a name or a sid.
///
/// # Errors
/// [`StudioError::NoSuch`] with the names that there are.
pub async fn fetch(desk: &Desk, name: &str) -> Result<CloudFlow, StudioError> {
    let all = list(desk).await?;
    let there = all.iter().map(|head| head.name.clone()).collect();
    let Some(head) = one(all, name)? else {
        return Err(StudioError::NoSuch { name: name.to_owned(), there });
    };
    let flow = desk.studio_get(&format!("/v2/Flows/{}", head.sid)).await?;
    let definition = flow.get("definition").filter(|one| one.is_object()).cloned();
    let definition = definition.ok_or(StudioError::Nonsense)?;
    Ok(CloudFlow { head: Head::of(&flow).ok_or(StudioError::Nonsense)?, definition })
}

/// What Studio has against a definition; empty when it takes it.
///
/// # Errors
/// The account does not answer, or refuses for another reason.
pub async fn validate(desk: &Desk, name: &str, definition: &str) -> Result<Vec<String>, DeskError> {
    let form = [("FriendlyName", name), ("Status", "published"), ("Definition", definition)];
    match desk.studio_post("/v2/Flows/Validate", &form).await {
        Ok(answer) if answer.get("valid").and_then(Value::as_bool) == Some(false) => Ok(problems(&answer)),
        Ok(_) => Ok(Vec::new()),
        Err(DeskError::Refused { status: 400 | 422, message, .. }) => Ok(vec![message]),
        Err(error) => Err(error),
    }
}

/// `#/states/3/properties/to: is missing`, a line each.
fn problems(answer: &Value) -> Vec<String> {
    let errors = answer.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", text(error, "property_path"), text(error, "message")))
        .collect();
    if lines.is_empty() {
        lines.push("it is not valid, and it does not say why".to_owned());
    }
    lines
}

/// What is pushed.
#[derive(Clone, Debug)]
pub struct Push<'a> {
    /// The flow's friendly name, or its sid.
    pub name: &'a str,
    /// Studio v2, checked by the caller.
    pub definition: &'a Value,
    /// Commit message.
    pub message: &'a str,
    /// Live at once; else it becomes the draft.
    pub publish: bool,
    /// The cloud's flow and revision that were pulled or pushed last.
    pub pulled: Option<(&'a str, u32)>,
    /// Overwrites whatever the cloud has.
    pub force: bool,
}

/// Makes the definition the flow's newest revision, or makes the flow, after Studio has checked it.
///
/// Two pushes at the same moment may still meet: Studio has no conditional write. The later revision then holds both
/// in its history.
///
/// # Errors
/// [`StudioError::Moved`] when the cloud has a revision that was not pulled; nothing was changed then.
pub async fn push(desk: &Desk, push: &Push<'_>) -> Result<Head, StudioError> {
    let there = find(desk, push.name).await?;
    let moved = |head: &&Head| !push.force && push.pulled != Some((head.sid.as_str(), head.revision));
    if let Some(head) = there.as_ref().filter(moved) {
        return Err(StudioError::Moved {
            name: head.name.clone(),
            there: head.revision,
            status: head.status.clone(),
            pulled: push.pulled.filter(|(sid, _)| *sid == head.sid).map(|(_, revision)| revision),
        });
    }
    let definition = push.definition.to_string();
    let friendly = there.as_ref().map_or(push.name, |head| head.name.as_str());
    let problems = validate(desk, friendly, &definition).await?;
    if !problems.is_empty() {
        return Err(StudioError::Invalid(problems));
    }
    let status = if push.publish { "published" } else { "draft" };
    let form = [
        ("FriendlyName", friendly),
        ("Status", status),
        ("Definition", definition.as_str()),
        ("CommitMessage", push.message),
    ];
    let path =
        there.as_ref().map_or_else(|| "/v2/Flows".to_owned(), |head| format!("/v2/Flows/{}", head.sid));
    let flow = desk.studio_post(&path, &form).await?;
    Head::of(&flow).ok_or(StudioError::Nonsense)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sid: &str, name: &str) -> Head {
        Head {
            sid: sid.to_owned(),
            name: name.to_owned(),
            status: "published".to_owned(),
            revision: 1,
            message: String::new(),
            updated: String::new(),
        }
    }

    #[test]
    fn two_flows_of_one_name_are_told_apart_by_their_sids() {
        let all = vec![head("FW1", "Menu"), head("FW2", "Menu"), head("FW3", "Parts")];
        assert!(
            matches!(one(all.clone(), "Menu"), Err(StudioError::Several { sids, .. }) if sids == ["FW1", "FW2"])
        );
        assert_eq!(one(all.clone(), "FW2").unwrap().unwrap().sid, "FW2");
        assert_eq!(one(all, "Nothing").unwrap(), None);
    }

    #[test]
    fn what_studio_has_against_a_flow_is_a_line_each() {
        let answer = serde_json::json!({"errors": [{"property_path": "#/states/1/properties/to", "message": "is missing"}]});
        assert_eq!(problems(&answer), ["#/states/1/properties/to: is missing"]);
    }
}
