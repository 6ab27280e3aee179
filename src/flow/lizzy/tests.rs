//! The shipped flows as conversations: `customer` texts, the shop `says`.

mod driver;
mod fixture;
mod invoice;
mod menu;
mod parts;
mod service;
mod status;
mod troubleshoot;
mod walk;

use std::collections::BTreeSet;

use serde_json::Value;

use super::FLOWS;
use crate::flow::{Definition, Severity, lint};
use driver::{Taken, Talk};

/// Makes a test of each conversation, and a list of all for the coverage check.
macro_rules! conversations {
    ($($name:ident),+ $(,)?) => {
        pub(super) const ALL: &[fn(&mut super::driver::Talk)] = &[$($name),+];
        mod each {
            $(#[test]
            fn $name() {
                super::$name(&mut super::super::driver::Talk::new());
            })+
        }
    };
}
use conversations;

#[test]
fn every_flow_is_valid_and_every_warning_explained() {
    for (name, json) in FLOWS {
        for problem in lint(json) {
            assert_eq!(problem.severity, Severity::Warning, "{name}: {problem:?}");
            // A prompt that cannot be delivered has nobody to go on with; the outbox lists it for the staff.
            let explained = problem.message.contains("\"deliveryFailure\" unhandled");
            assert!(explained, "{name}: {problem:?}");
        }
    }
}

#[test]
fn flows_are_files_that_studio_shows_well() {
    for (name, text) in FLOWS {
        let json: Value = serde_json::from_str(text).unwrap();
        let pretty = serde_json::to_string_pretty(&json).unwrap() + "\n";
        assert_eq!(*text, pretty, "{name} is not pretty-printed in its own order");
        let states = json["states"].as_array().unwrap();
        let places: BTreeSet<String> =
            states.iter().map(|state| state["properties"]["offset"].to_string()).collect();
        assert_eq!(places.len(), states.len(), "{name}: widgets lie on each other");
    }
}

/// The phrase that only a real Studio variable would answer: nothing of the guide's own dialect is left.
#[test]
fn templates_are_liquid_as_studio_knows_it() {
    for (name, text) in FLOWS {
        for dialect in ["slice(", "loop.index}}.", "trigger.execution", "| json "] {
            let found = text.replace("forloop.index", "").contains(dialect);
            assert!(!found, "{name} says {dialect}");
        }
    }
}

#[test]
fn every_way_through_every_flow_is_taken_by_a_conversation() {
    let mut taken = Taken::new();
    let all = [menu::ALL, troubleshoot::ALL, service::ALL, status::ALL, parts::ALL, invoice::ALL]
        .into_iter()
        .flatten();
    for conversation in all {
        let mut talk = Talk::new();
        conversation(&mut talk);
        taken.append(&mut talk.taken);
    }
    let mut missed = Vec::new();
    for (flow, json) in FLOWS {
        let json: Value = serde_json::from_str(json).unwrap();
        Definition::parse(&json).unwrap();
        for state in json["states"].as_array().unwrap() {
            for way in state["transitions"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (from, kind) = (text(&state["name"]), text(&state["type"]));
                let (event, to) = (text(&way["event"]), text(&way["next"]));
                let way = ((*flow).to_owned(), event.clone(), from, to);
                if !taken.contains(&way) && excused(&kind, &way).is_none() {
                    missed.push(way);
                }
            }
        }
    }
    assert!(missed.is_empty(), "no conversation goes this way:\n{missed:#?}");
}

/// Why a transition need not be taken by a conversation.
fn excused(kind: &str, way: &(String, String, String, String)) -> Option<&'static str> {
    let (flow, event, from, to) = way;
    match (flow.as_str(), from.as_str(), to.as_str()) {
        ("Schedule_Service", "order_taken", "order_failed") => {
            return Some("the box's function always submits; a shop's own may answer otherwise");
        }
        ("Unknown_Customer", "call_shop", "") => {
            return Some("reached only when handing over to people fails");
        }
        _ => {}
    }
    match (kind, event.as_str()) {
        ("trigger", "incomingCall" | "incomingConversationMessage" | "incomingParent") => {
            Some("the shipped flows are for texts and start no subflow")
        }
        ("trigger", "incomingMessage") => {
            Some("a text starts Main_Menu; the box may bind another flow to a number")
        }
        ("send-message", "failed") => Some("the box takes a message by committing it"),
        ("send-and-wait-for-reply", "deliveryFailure") => {
            Some("the execution ends: nobody is there to go on with")
        }
        ("run-function", "fail") => Some("native functions fail only on flows that are not published"),
        _ => None,
    }
}
