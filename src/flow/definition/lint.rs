//! Every problem of a text that should be a flow definition.

use serde_json::Value;

use super::{Definition, Problem, Severity};

/// Every problem of a text that should be a flow definition: text that is no JSON has one, with line and column.
#[must_use]
pub fn lint(json_text: &str) -> Vec<Problem> {
    // A byte order mark is what a Windows editor leaves behind, not a fault of the flow.
    let text = json_text.strip_prefix('\u{feff}').unwrap_or(json_text);
    match serde_json::from_str::<Value>(text) {
        Ok(json) => match Definition::parse(&json) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        },
        Err(fault) => vec![Problem {
            path: "#".into(),
            message: format!("this is no JSON: {fault}"),
            severity: Severity::Error,
        }],
    }
}
