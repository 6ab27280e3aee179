//! Which words a question offers as answers: so that who writes exactly such a word is heard as answering.
//!
//! A question offers a word when the author wrote it as something to reply with (`reply YES`, `"cancel"`), or when
//! the text that went out has it anyhow and the split behind the question looks for it. A word that only stands in
//! the text ("by the end of the day"), or that the text got from data alone, is not offered.

use serde_json::Value;

use super::template::Template;
use super::{Definition, Execution, StateKind};

/// So many widgets behind a question the split that reads its answer is looked for.
const BEHIND: usize = 4;

/// A word that a question offers, as far as the definition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered<'c> {
    /// As Twilio's FlowValidate: `#/states/3/properties/body`.
    pub path: String,
    /// The question's name.
    pub widget: String,
    /// As the candidates have it.
    pub word: &'c str,
    /// The split behind the question looks for it.
    pub sought: bool,
    /// The question's text has it, or may get it from Liquid.
    pub written: bool,
}

impl Definition {
    /// Those of `candidates` (lower case, words and phrases) that a question of this flow offers, or that the split behind
    /// it looks for: in the order of the file.
    #[must_use]
    pub fn words_offered<'c>(&self, candidates: &[&'c str]) -> Vec<Offered<'c>> {
        let mut offered = Vec::new();
        for (at, state) in self.states().iter().enumerate() {
            let StateKind::SendAndWait { body, .. } = state.kind() else { continue };
            let source = body.as_ref().map_or("", Template::source);
            let written = without_liquid(source);
            // What a content template says is not here.
            let open = body.is_none() || Template::is_dynamic(source);
            let behind = sought_behind(self, state.name());
            for word in candidates {
                let meant = has(&written, word, true);
                let sought = behind.iter().any(|sought| is_among(sought, word));
                if meant || sought {
                    offered.push(Offered {
                        path: format!("#/states/{at}/properties/body"),
                        widget: state.name().to_owned(),
                        word,
                        sought,
                        written: open || has(&written, word, false),
                    });
                }
            }
        }
        offered
    }
}

/// Whether a list (`1,cancel`) or a pattern (`(cancel|end)`) has `word` as one of its answers.
fn is_among(sought: &str, word: &str) -> bool {
    let bare = |answer: &str| answer.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    sought.split([',', '|']).any(|answer| bare(answer) == word)
}

impl Execution {
    /// Those of `candidates` (lower case) that the question of this widget offers, as it was asked last.
    #[must_use]
    pub fn words_offered<'c>(
        &self,
        definition: &Definition,
        widget: &str,
        candidates: &[&'c str],
    ) -> Vec<&'c str> {
        let asked = self.context().get("widgets").and_then(|w| w.get(widget));
        let asked = asked.and_then(|w| w.pointer("/outbound/Body")).and_then(Value::as_str).unwrap_or("");
        let written = match definition.state(widget).map(|s| s.kind()) {
            Some(StateKind::SendAndWait { body: Some(body), .. }) => without_liquid(body.source()),
            Some(_) | None => String::new(),
        };
        let behind = sought_behind(definition, widget);
        candidates
            .iter()
            .copied()
            .filter(|word| has(asked, word, false))
            .filter(|word| has(&written, word, true) || behind.iter().any(|sought| has(sought, word, false)))
            .collect()
    }
}

/// What the split behind a question looks for.
fn sought_behind<'d>(definition: &'d Definition, widget: &str) -> Vec<&'d str> {
    let mut next = definition.state(widget).and_then(|s| s.next("incomingMessage")).flatten();
    for _ in 0..BEHIND {
        let Some(state) = next.and_then(|name| definition.state(name)) else { break };
        if matches!(state.kind(), StateKind::Split) {
            let conditions = state.transitions().iter().flat_map(|t| &t.conditions);
            return conditions.map(super::Condition::operand).collect();
        }
        next = ["next", "success", "sent"].into_iter().find_map(|event| state.next(event)).flatten();
    }
    Vec::new()
}

/// Whether `text` has `word`; `meant`: in capitals or in quotation marks.
fn has(text: &str, word: &str, meant: bool) -> bool {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}');
    let mut before = None;
    let mut rest = text;
    while let Some(from) = rest.find(char::is_alphanumeric) {
        before = rest.get(..from).and_then(|gap| gap.chars().next_back()).or(before);
        rest = rest.get(from..).unwrap_or("");
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (token, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let quoted = before.is_some_and(is_quote) && after.chars().next().is_some_and(is_quote);
        let capitals = !token.chars().any(char::is_lowercase);
        if token.to_lowercase() == word && (!meant || quoted || capitals) {
            return true;
        }
        before = None;
        rest = after;
    }
    false
}

/// The author's own words.
fn without_liquid(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (plain, liquid) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(plain);
        text.push(' ');
        let close = if liquid.starts_with("{{") { "}}" } else { "%}" };
        rest = liquid.find(close).and_then(|end| liquid.get(end + close.len()..)).unwrap_or("");
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flow::lizzy;
    use crate::types::{ExecutionSid, Now};

    const CANDIDATES: &[&str] = &["yes", "cancel", "end"];

    /// A flow of one question; `sought` is what the split behind it looks for.
    fn flow(body: &str, sought: &str) -> Definition {
        let json = json!({
            "description": "", "initial_state": "Trigger", "flags": {},
            "states": [
                { "name": "Trigger", "type": "trigger", "properties": {}, "transitions": [
                    { "event": "incomingMessage", "next": "ask" }, { "event": "incomingCall" },
                    { "event": "incomingConversationMessage" }, { "event": "incomingRequest" },
                    { "event": "incomingParent" } ] },
                { "name": "ask", "type": "send-and-wait-for-reply",
                  "properties": { "body": body, "from": "{{flow.channel.address}}", "timeout": "900" },
                  "transitions": [ { "event": "incomingMessage", "next": "read" }, { "event": "timeout" },
                    { "event": "deliveryFailure" } ] },
                { "name": "read", "type": "split-based-on",
                  "properties": { "input": "{{widgets.ask.inbound.Body}}" },
                  "transitions": [ { "event": "noMatch" }, { "event": "match", "conditions": [ {
                    "friendly_name": "it", "arguments": ["{{widgets.ask.inbound.Body}}"],
                    "type": "matches_any_of", "value": sought } ] } ] },
            ],
        });
        Definition::parse(&json).unwrap().0
    }

    fn offered(body: &str, asked: &str, sought: &str) -> Vec<&'static str> {
        let definition = flow(body, sought);
        let mut execution = Execution::new(ExecutionSid::from("FN1"), "F", "FW1", 1, Now::at(0, 0));
        execution.context["widgets"] = json!({ "ask": { "outbound": { "Body": asked } } });
        execution.words_offered(&definition, "ask", CANDIDATES)
    }

    fn plainly(body: &str, sought: &str) -> Vec<&'static str> {
        offered(body, body, sought)
    }

    #[test]
    fn a_word_to_reply_with_is_offered_and_one_that_only_stands_there_is_not() {
        assert_eq!(plainly("Reply YES to confirm, CANCEL to cancel", "1"), ["yes", "cancel"]);
        assert_eq!(plainly("Say \u{201c}end\u{201d} when you are done", "1"), ["end"]);
        assert_eq!(plainly("Done by the end of the day. How many?", "1"), [""; 0]);
        assert_eq!(plainly("Type cancel to go back", "2,cancel"), ["cancel"]);
        assert_eq!(plainly("Type it in again", "2,cancel"), [""; 0], "the flow would, the question does not");
    }

    #[test]
    fn data_offers_nothing() {
        let body = "{{flow.variables.part}} CANCELLED? {% if x == \"END\" %}1. Yes{% endif %}";
        assert_eq!(offered(body, "END MILL? 1. Yes", "1"), [""; 0]);
        assert_eq!(offered("{{flow.variables.menu}}", "1. End", "1,end"), ["end"], "where the flow means it");
    }

    #[test]
    fn a_definition_says_which_words_its_questions_offer() {
        let found = |body: &str, sought: &str| -> Vec<(&'static str, bool, bool)> {
            let words = flow(body, sought).words_offered(&["yes", "cancel", "stop", "opt out"]);
            assert!(words.iter().all(|w| w.widget == "ask" && w.path == "#/states/1/properties/body"));
            words.into_iter().map(|w| (w.word, w.sought, w.written)).collect()
        };
        assert_eq!(found("Reply YES to confirm", "1"), [("yes", false, true)]);
        assert_eq!(found("Which one?", "1, Cancel"), [("cancel", true, false)], "nobody was told of it");
        assert_eq!(found("{{flow.variables.menu}}", "cancel"), [("cancel", true, true)]);
        assert_eq!(found("Go on or stop?", "(go on|stop)"), [("stop", true, true)]);
        assert_eq!(found("Say opt out", "Opt out"), [("opt out", true, false)]);
        assert_eq!(found("The bus stop is near. How many?", "stops,cancelled"), []);
    }

    #[test]
    fn no_shipped_flow_takes_a_stop_word_for_itself() {
        for (name, json) in lizzy::FLOWS {
            let definition = Definition::parse(&serde_json::from_str(json).unwrap()).unwrap().0;
            for state in definition.states() {
                let StateKind::SendAndWait { body: Some(body), .. } = state.kind() else { continue };
                let mut execution = Execution::new(ExecutionSid::from("FN1"), name, "FW1", 1, Now::at(0, 0));
                let body = without_liquid(body.source());
                execution.context["widgets"] = json!({ state.name(): { "outbound": { "Body": body } } });
                let words = execution.words_offered(&definition, state.name(), &["cancel", "end"]);
                assert_eq!(words, [""; 0], "{name} {}", state.name());
            }
        }
    }
}
