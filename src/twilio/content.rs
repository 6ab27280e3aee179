//! Content templates of the account (Content v1), looked at: whether what the configuration says of each is so, and whether
//! WhatsApp has approved it. Deliberately absent: making templates and handing them in, which is done where the words are
//! written, in Twilio's console.

use std::collections::BTreeSet;

use serde_json::Value;

use super::desk::{Desk, DeskError, text};
use crate::config::TemplateConfig;

/// What the account says of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What it is called there.
    pub name: String,
    /// `en`.
    pub language: String,
    /// Numbers or names of its variables.
    pub variables: BTreeSet<String>,
    /// WhatsApp's: `approved`, `pending`, `received`, `rejected`, `paused`, `disabled`, `unsubmitted`.
    pub status: String,
    /// WhatsApp's: `utility`, `marketing`, `authentication`; empty while it was not handed in.
    pub category: String,
    /// Why it was rejected.
    pub rejection: String,
}

/// Asks for one; `None`: the account has none with this SID.
///
/// # Errors
/// [`DeskError`].
pub async fn look(desk: &Desk, sid: &str) -> Result<Option<Content>, DeskError> {
    let path = format!("/v1/Content/{sid}");
    let content = match desk.content(&path).await {
        Ok(content) => content,
        Err(DeskError::Refused { status: 404, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let approval = match desk.content(&format!("{path}/ApprovalRequests")).await {
        Ok(approval) => approval,
        Err(DeskError::Refused { status: 404, .. }) => Value::Null,
        Err(error) => return Err(error),
    };
    let whatsapp = approval.get("whatsapp").unwrap_or(&Value::Null);
    let variables = content.get("variables").and_then(Value::as_object);
    let status = Some(text(whatsapp, "status")).filter(|status| !status.is_empty());
    Ok(Some(Content {
        name: text(&content, "friendly_name").to_owned(),
        language: text(&content, "language").to_owned(),
        variables: variables.into_iter().flat_map(|all| all.keys().cloned()).collect(),
        status: status.unwrap_or("unsubmitted").to_ascii_lowercase(),
        category: text(whatsapp, "category").to_ascii_lowercase(),
        rejection: text(whatsapp, "rejection_reason").to_owned(),
    }))
}

/// What a person should know before a text goes by this template; empty when all is well.
#[must_use]
pub fn problems(template: &TemplateConfig, there: Option<&Content>) -> Vec<String> {
    let Some(there) = there else {
        return vec![format!("the account has no template {}", template.sid)];
    };
    let mut problems = Vec::new();
    match there.status.as_str() {
        "approved" => {}
        "rejected" => problems.push(match there.rejection.as_str() {
            "" => "WhatsApp rejected it".to_owned(),
            why => format!("WhatsApp rejected it: {why}"),
        }),
        "unsubmitted" => problems.push("it was not handed in to WhatsApp for approval".to_owned()),
        other => problems.push(format!("WhatsApp has not approved it: it is {other}")),
    }
    if let Some(language) = template.language.as_ref().filter(|language| **language != there.language) {
        problems.push(format!("its language there is {}, not {language}", there.language));
    }
    let purpose = template.purpose.as_str();
    if !there.category.is_empty() && there.category != purpose {
        problems.push(format!("its category there is {}, not {purpose}", there.category));
    }
    let named: BTreeSet<String> = (1..=template.variables.len()).map(|number| number.to_string()).collect();
    if there.variables != named {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let (theirs, ours) = (list(&there.variables), list(&named));
        problems.push(format!("its variables there are [{theirs}]; the file names [{ours}]"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TemplatePurpose;

    fn template() -> TemplateConfig {
        TemplateConfig {
            id: "ready".into(),
            shop: "main".into(),
            sid: "HX1".into(),
            language: Some("en".into()),
            variables: vec!["name".into(), "order".into()],
            purpose: TemplatePurpose::Utility,
        }
    }

    fn approved() -> Content {
        Content {
            name: "ready".into(),
            language: "en".into(),
            variables: ["1", "2"].map(str::to_owned).into(),
            status: "approved".into(),
            category: "utility".into(),
            rejection: String::new(),
        }
    }

    #[test]
    fn a_template_as_the_file_says_and_approved_has_no_problem() {
        assert_eq!(problems(&template(), Some(&approved())), [""; 0]);
        let any_language = TemplateConfig { language: None, ..template() };
        assert_eq!(problems(&any_language, Some(&Content { language: "es".into(), ..approved() })), [""; 0]);
    }

    #[test]
    fn everything_that_is_otherwise_is_said() {
        let other = Content {
            language: "es".into(),
            variables: ["1"].map(str::to_owned).into(),
            status: "rejected".into(),
            category: "marketing".into(),
            rejection: "promotional".into(),
            ..approved()
        };
        let all = problems(&template(), Some(&other));
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(all[0], "WhatsApp rejected it: promotional");
        let new = Content { status: "unsubmitted".into(), category: String::new(), ..approved() };
        assert_eq!(problems(&template(), Some(&new)).len(), 1);
        assert_eq!(problems(&template(), None), ["the account has no template HX1"]);
    }
}
