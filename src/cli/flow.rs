//! `backroom flow lint`: every problem of a Studio export, for people or as JSON lines. Reads no file and prints
//! nothing itself.

use serde_json::json;

use crate::daemon::core::collisions;
use crate::flow::{Definition, Problem, Severity, lint};

/// Every problem of a Studio export, also the words that its questions do not have for themselves.
#[must_use]
pub(super) fn problems(text: &str) -> Vec<Problem> {
    let mut problems = lint(text);
    let json = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    if let Ok(Ok((definition, _))) = json.map(|json| Definition::parse(&json)) {
        problems.extend(collisions(&definition));
    }
    problems
}

/// The report of one file, and whether it can be published (warnings allowed).
///
/// For people: a line a problem, `NAME: error #/states/3/properties/body: is missing but required`, and a last line
/// that counts them. With `json` one line: `{"file", "valid", "problems": [{"path", "message", "severity"}]}`. Both
/// end with a newline.
#[must_use]
pub fn lint_report(file_name: &str, text: &str, json: bool) -> (String, bool) {
    let problems = problems(text);
    let count = |severity: Severity| problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let valid = errors == 0;
    if json {
        let report = json!({"file": file_name, "valid": valid, "problems": problems});
        return (format!("{report}\n"), valid);
    }
    let mut report = String::new();
    for problem in &problems {
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        report.push_str(&format!("{file_name}: {word} {}: {}\n", problem.path, problem.message));
    }
    let verdict = if valid { "ok" } else { "cannot be published" };
    let counted = match (errors, warnings) {
        (0, 0) => String::new(),
        _ => format!(" ({}, {})", counted(errors, "error"), counted(warnings, "warning")),
    };
    report.push_str(&format!("{file_name}: {verdict}{counted}\n"));
    (report, valid)
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: &str =
        r#"{"states": [{"name": "T", "type": "trigger", "transitions": []}], "initial_state": "T"}"#;

    #[test]
    fn a_sound_flow_is_ok() {
        assert_eq!(lint_report("a.json", ENDS, false), ("a.json: ok\n".to_owned(), true));
        let (line, ok) = lint_report("a.json", ENDS, true);
        assert_eq!(line, "{\"file\":\"a.json\",\"valid\":true,\"problems\":[]}\n");
        assert!(ok);
    }

    #[test]
    fn a_question_that_offers_a_word_of_consent_is_a_warning_in_both_forms() {
        let text = serde_json::json!({
            "description": "", "initial_state": "Trigger", "flags": {},
            "states": [
                { "name": "Trigger", "type": "trigger", "properties": {}, "transitions": [
                    { "event": "incomingMessage", "next": "book" }, { "event": "incomingCall" },
                    { "event": "incomingConversationMessage" }, { "event": "incomingRequest" },
                    { "event": "incomingParent" } ] },
                { "name": "book", "type": "send-and-wait-for-reply",
                  "properties": { "body": "Reply CANCEL to cancel", "from": "{{flow.channel.address}}", "timeout": "900" },
                  "transitions": [ { "event": "incomingMessage" }, { "event": "timeout" },
                    { "event": "deliveryFailure" } ] },
            ],
        });
        let (report, ok) = lint_report("f.json", &text.to_string(), false);
        assert!(ok, "it can be published: {report}");
        assert!(
            report.contains("f.json: warning #/states/1/properties/body: the answer CANCEL to \"book\""),
            "{report}"
        );
        let (line, _) = lint_report("f.json", &text.to_string(), true);
        let report: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(report["problems"][0]["severity"], "warning");
        assert!(report["problems"][0]["message"].as_str().unwrap().contains("CANCEL"), "{report}");
    }

    #[test]
    fn a_text_that_is_no_json_is_reported_with_its_place() {
        let (report, ok) = lint_report("b.json", "{\"states\": [\n  oops", false);
        assert!(!ok);
        assert!(report.contains("error #: this is no JSON: expected value at line 2 column 3"), "{report}");
        assert!(report.ends_with("b.json: cannot be published (1 error, 0 warnings)\n"));
    }

    #[test]
    fn json_has_each_problem_with_its_path() {
        let (line, ok) = lint_report("c.json", r#"{"states": [], "initial_state": 5}"#, true);
        let report: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(!ok);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(report["problems"][1]["path"], "#/initial_state");
        assert_eq!(report["problems"][1]["severity"], "error");
    }
}
