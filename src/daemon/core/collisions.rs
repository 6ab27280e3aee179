//! Words that a question of a flow offers and that are not the flow's alone: STOP, START and HELP never reach it, and
//! CANCEL, END and YES only while the question waits (`messaging::keywords` has the rule). What whoever publishes a
//! flow is told.
//!
//! Deliberately absent: refusing such a flow. Studio publishes it, and the box keeps to the rule either way.

use crate::flow::{Definition, Offered, Problem, Severity};
use crate::messaging::keywords::{self, Collision};

/// In a question's text alone they are the notice that carriers ask for: "Reply STOP to end, HELP for help".
const NOTICE: &[&str] = &["stop", "stopall", "unsubscribe", "help"];

/// A warning for each word that a question offers and does not have for itself, in the order of the file.
#[must_use]
pub fn collisions(definition: &Definition) -> Vec<Problem> {
    let taken: Vec<&str> = keywords::taken().collect();
    let offered = definition.words_offered(&taken);
    offered.iter().filter_map(told).collect()
}

fn told(offered: &Offered<'_>) -> Option<Problem> {
    let Offered { path, widget, word, sought, written } = offered;
    let what = match keywords::collision(word)? {
        Collision::Reserved if !sought && NOTICE.contains(word) => return None,
        Collision::Reserved => {
            "never reaches the flow: it is about consent and help, on every line; offer another word"
        }
        Collision::Upstream if !written => {
            "is STOP here, because the question does not offer it; write it into the question, or take another word"
        }
        Collision::Upstream => {
            "is the flow's while this question waits and STOP otherwise, and an upstream with the usual opt-out words \
             blocks who sends it; offer another word"
        }
        Collision::WhenBlocked => "is START for whoever said STOP, and the flow's for everybody else",
    };
    Some(Problem {
        path: path.clone(),
        message: format!("the answer {} to {widget:?} {what}", word.to_uppercase()),
        severity: Severity::Warning,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flow::lizzy;

    fn told(body: &str, sought: &str) -> Vec<String> {
        let json = json!({
            "description": "", "initial_state": "Trigger", "flags": {},
            "states": [
                { "name": "Trigger", "type": "trigger", "properties": {}, "transitions": [
                    { "event": "incomingMessage", "next": "book" }, { "event": "incomingCall" },
                    { "event": "incomingConversationMessage" }, { "event": "incomingRequest" },
                    { "event": "incomingParent" } ] },
                { "name": "book", "type": "send-and-wait-for-reply",
                  "properties": { "body": body, "from": "{{flow.channel.address}}", "timeout": "900" },
                  "transitions": [ { "event": "incomingMessage", "next": "read" }, { "event": "timeout" },
                    { "event": "deliveryFailure" } ] },
                { "name": "read", "type": "split-based-on",
                  "properties": { "input": "{{widgets.book.inbound.Body}}" },
                  "transitions": [ { "event": "noMatch" }, { "event": "match", "conditions": [ {
                    "friendly_name": "it", "arguments": ["{{widgets.book.inbound.Body}}"],
                    "type": "matches_any_of", "value": sought } ] } ] },
            ],
        });
        let definition = Definition::parse(&json).unwrap().0;
        let found = collisions(&definition);
        assert!(
            found.iter().all(|p| p.severity == Severity::Warning && p.path == "#/states/1/properties/body")
        );
        found.into_iter().map(|p| p.message.split([':', ';']).next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn each_word_is_told_with_its_question_and_what_becomes_of_it() {
        assert_eq!(
            told("Reply START to book or QUIT to leave", "start,quit,help,1"),
            [
                "the answer QUIT to \"book\" never reaches the flow",
                "the answer START to \"book\" never reaches the flow",
                "the answer HELP to \"book\" never reaches the flow",
            ]
        );
        let cancel = told("Reply CANCEL to cancel, YES to confirm", "cancel,yes");
        assert!(cancel[0].contains("CANCEL to \"book\" is the flow's while"), "{cancel:?}");
        assert!(cancel[1].contains("YES to \"book\" is START for whoever"), "{cancel:?}");
        let silent = told("When do you come?", "end");
        assert!(silent[0].starts_with("the answer END to \"book\" is STOP here"), "{silent:?}");
    }

    #[test]
    fn what_carriers_ask_for_and_plain_words_are_no_collision() {
        assert_eq!(told("How many? Reply STOP to end, HELP for help", "1,2"), [""; 0]);
        assert_eq!(told("By the end of the day, yes or no?", "1,2"), [""; 0]);
    }

    #[test]
    fn the_flows_that_come_with_the_box_share_yes_alone() {
        for (name, json) in lizzy::FLOWS {
            let definition = Definition::parse(&serde_json::from_str(json).unwrap()).unwrap().0;
            let found = collisions(&definition);
            assert!(found.iter().all(|p| p.message.starts_with("the answer YES to ")), "{name}: {found:#?}");
        }
    }
}
