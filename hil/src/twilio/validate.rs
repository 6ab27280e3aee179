//! Whether a Studio definition is one, as far as its structure says: states, transitions, the events of each widget, the
//! properties it cannot do without and their JSON types. Tables of the simulator's own, from Twilio's published
//! schemas. Deliberately absent: Liquid, the widgets' optional properties, and whether a phone number exists.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

/// One thing that is wrong, as Twilio's `details.errors` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// `#/states/3/properties/timeout`.
    pub(super) property_path: String,
    pub(super) message: String,
}

/// Twilio's limit of widgets in a flow.
const MOST_STATES: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Whole,
    Flag,
    List,
    /// Real exports write it both ways.
    TextOrWhole,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Whole => value.is_u64(),
            Self::Flag => value.is_boolean(),
            Self::List => value.is_array(),
            Self::TextOrWhole => value.is_string() || value.is_u64(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Whole => "integer",
            Self::Flag => "boolean",
            Self::List => "array",
            Self::TextOrWhole => "string or integer",
        }
    }
}

/// A type of widget: its events, its required properties, and the types of those that people get wrong.
struct Widget {
    events: &'static [&'static str],
    required: &'static [&'static str],
    kinds: &'static [(&'static str, Kind)],
}

const OUTGOING_CALL: Widget = Widget {
    events: &["answered", "busy", "noAnswer", "failed", "answeredByMachine", "hangup"],
    required: &["from", "to"],
    kinds: &[("timeout", Kind::Whole), ("record", Kind::Flag), ("detect_answering_machine", Kind::Flag)],
};

fn widget(name: &str) -> Option<Widget> {
    let new = |events, required, kinds| Widget { events, required, kinds };
    Some(match name {
        "trigger" => new(
            &[
                "incomingMessage",
                "incomingCall",
                "incomingConversationMessage",
                "incomingRequest",
                "incomingParent",
            ],
            &[],
            &[],
        ),
        "send-message" => new(&["sent", "failed"], &[], &[("body", Kind::Text), ("to", Kind::Text)]),
        "send-and-wait-for-reply" => new(
            &["incomingMessage", "timeout", "deliveryFailure"],
            &["timeout"],
            &[("body", Kind::Text), ("timeout", Kind::TextOrWhole)],
        ),
        "split-based-on" => new(&["match", "noMatch"], &["input"], &[("input", Kind::Text)]),
        "set-variables" => new(&["next"], &["variables"], &[("variables", Kind::List)]),
        "make-http-request" => new(
            &["success", "failed"],
            &["method", "url"],
            &[("method", Kind::Text), ("url", Kind::Text), ("add_twilio_auth", Kind::Flag)],
        ),
        "run-function" => {
            new(&["success", "fail"], &["url"], &[("url", Kind::Text), ("parameters", Kind::List)])
        }
        "run-subflow" => new(
            &["completed", "failed"],
            &["flow_sid", "flow_revision"],
            &[("flow_sid", Kind::Text), ("parameters", Kind::List)],
        ),
        "say-play" => new(
            &["audioComplete"],
            &[],
            &[("say", Kind::Text), ("play", Kind::Text), ("loop", Kind::Whole), ("voice", Kind::Text)],
        ),
        "gather-input-on-call" => new(
            &["keypress", "speech", "timeout"],
            &[],
            &[("timeout", Kind::Whole), ("number_of_digits", Kind::Whole), ("stop_gather", Kind::Flag)],
        ),
        "connect-call-to" => new(
            &["callCompleted", "hangup"],
            &["noun"],
            &[("noun", Kind::Text), ("to", Kind::Text), ("timeout", Kind::Whole), ("record", Kind::Flag)],
        ),
        "record-voicemail" => new(
            &["recordingComplete", "noAudio", "hangup"],
            &[],
            &[
                ("timeout", Kind::Whole),
                ("max_length", Kind::Whole),
                ("transcribe", Kind::Flag),
                ("play_beep", Kind::Text),
            ],
        ),
        "record-call" => new(&["success", "failed"], &["record_call"], &[("record_call", Kind::Flag)]),
        "make-outgoing-call-v1" | "make-outgoing-call-v2" => OUTGOING_CALL,
        "enqueue-call" => new(&["callComplete", "failedToEnqueue", "callFailure"], &[], &[]),
        "send-to-flex" => new(
            &["callComplete", "failedToEnqueue", "callFailure", "composerStarted"],
            &["workflow", "channel"],
            &[],
        ),
        "fork-stream" => new(&["next"], &["stream_action"], &[]),
        "capture-payments" => new(
            &["success", "maxFailedAttempts", "providerError", "payInterrupted", "hangup", "validationError"],
            &["payment_connector"],
            &[],
        ),
        "add-twiml-redirect" => {
            new(&["return", "timeout", "fail"], &["url"], &[("url", Kind::Text), ("timeout", Kind::Text)])
        }
        "connect-virtual-agent" => new(&["return", "hangup"], &["connector"], &[]),
        "connect-virtual-agent-v2" => new(
            &["completed", "live-agent-handoff", "hangup", "failed", "paused", "timeout"],
            &["connector_name"],
            &[],
        ),
        "send-to-auto-pilot" => new(&["sessionEnded", "failure", "timeout"], &[], &[]),
        "start-conversation" => new(&["created", "failed"], &[], &[]),
        "resume-conversation" => new(&["resumed", "failed"], &[], &[]),
        "run-conversation-relay" => new(&["success", "failed"], &["url"], &[]),
        _ => return None,
    })
}

const OPERATORS: [&str; 17] = [
    "equal_to",
    "not_equal_to",
    "matches_any_of",
    "does_not_match_any_of",
    "is_blank",
    "is_not_blank",
    "regex",
    "contains",
    "does_not_contain",
    "starts_with",
    "does_not_start_with",
    "less_than",
    "greater_than",
    "is_before_date",
    "is_after_date",
    "is_before_time",
    "is_after_time",
];

const NOUNS: [&str; 5] = ["number", "number-multi", "client", "sip", "conference"];

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[derive(Default)]
struct Found(Vec<Fault>);

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { property_path: path.into(), message: message.into() });
    }

    fn wrong_type(&mut self, path: impl Into<String>, value: &Value, expected: &str) {
        self.add(path, format!("{} found, {expected} expected", json_type(value)));
    }

    /// A text that is there and is not empty.
    fn text<'a>(&mut self, of: &'a Map<String, Value>, path: &str, key: &str) -> Option<&'a str> {
        match of.get(key) {
            None => self.add(path, format!("required property '{key}' not found")),
            Some(Value::String(text)) if text.is_empty() => {
                self.add(format!("{path}/{key}"), "must be at least 1 characters long");
            }
            Some(Value::String(text)) => return Some(text),
            Some(other) => self.wrong_type(format!("{path}/{key}"), other, "string"),
        }
        None
    }
}

/// All that is wrong with a definition; nothing when it is one.
pub(super) fn faults(definition: &Value) -> Vec<Fault> {
    let mut found = Found::default();
    let Some(top) = definition.as_object() else {
        found.wrong_type("#", definition, "object");
        return found.0;
    };
    if let Some(description) = top.get("description").filter(|value| !value.is_string()) {
        found.wrong_type("#/description", description, "string");
    }
    if let Some(flags) = top.get("flags") {
        match flags.get("allow_concurrent_calls") {
            None => found.add("#/flags", "required property 'allow_concurrent_calls' not found"),
            Some(Value::Bool(_)) => {}
            Some(other) => found.wrong_type("#/flags/allow_concurrent_calls", other, "boolean"),
        }
    }
    let initial = found.text(top, "#", "initial_state");
    let states = match top.get("states") {
        None => {
            found.add("#", "required property 'states' not found");
            return found.0;
        }
        Some(Value::Array(states)) => states,
        Some(other) => {
            found.wrong_type("#/states", other, "array");
            return found.0;
        }
    };
    if states.is_empty() || states.len() > MOST_STATES {
        found.add("#/states", format!("must have between 1 and {MOST_STATES} items"));
    }
    let names: BTreeSet<&str> = states.iter().filter_map(|state| state.get("name")?.as_str()).collect();
    if let Some(initial) = initial.filter(|initial| !names.contains(initial)) {
        found.add("#/initial_state", format!("references the undefined state '{initial}'"));
    }
    let triggers = states.iter().filter(|state| state.get("type").is_some_and(|kind| kind == "trigger"));
    if triggers.count() != 1 {
        found.add("#/states", "must have exactly one state of type 'trigger'");
    }
    let mut seen = BTreeSet::new();
    for (at, state) in states.iter().enumerate() {
        check_state(&mut found, &format!("#/states/{at}"), state, &names);
        if let Some(name) = state.get("name").and_then(Value::as_str).filter(|name| !seen.insert(*name)) {
            found.add(format!("#/states/{at}/name"), format!("'{name}' is not unique"));
        }
    }
    found.0
}

fn check_state(found: &mut Found, path: &str, state: &Value, names: &BTreeSet<&str>) {
    let Some(state) = state.as_object() else { return found.wrong_type(path, state, "object") };
    found.text(state, path, "name");
    let kind = found.text(state, path, "type");
    let known = kind.and_then(widget);
    if let Some(kind) = kind.filter(|_| known.is_none()) {
        found.add(format!("{path}/type"), format!("'{kind}' is not a type of widget"));
    }
    match (state.get("properties"), &known) {
        (None, _) => found.add(path, "required property 'properties' not found"),
        (Some(Value::Object(properties)), Some(known)) => {
            check_properties(
                found,
                &format!("{path}/properties"),
                kind.unwrap_or_default(),
                properties,
                known,
            );
        }
        (Some(Value::Object(_)), None) => {}
        (Some(other), _) => found.wrong_type(format!("{path}/properties"), other, "object"),
    }
    match state.get("transitions") {
        None => found.add(path, "required property 'transitions' not found"),
        Some(Value::Array(all)) => {
            for (at, transition) in all.iter().enumerate() {
                let path = format!("{path}/transitions/{at}");
                check_transition(found, &path, transition, names, known.as_ref());
            }
        }
        Some(other) => found.wrong_type(format!("{path}/transitions"), other, "array"),
    }
}

fn check_properties(
    found: &mut Found,
    path: &str,
    kind: &str,
    properties: &Map<String, Value>,
    known: &Widget,
) {
    for required in known.required {
        if !properties.contains_key(*required) {
            found.add(path, format!("required property '{required}' not found"));
        }
    }
    for (key, kind) in known.kinds {
        // An export writes null for what was never filled in.
        if let Some(value) = properties.get(*key).filter(|value| !value.is_null() && !kind.fits(value)) {
            found.wrong_type(format!("{path}/{key}"), value, kind.name());
        }
    }
    let text = |key: &str| properties.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match kind {
        "connect-call-to" => {
            if let Some(noun) = text("noun").filter(|noun| !NOUNS.contains(noun)) {
                found.add(format!("{path}/noun"), format!("'{noun}' is not one of {}", NOUNS.join(", ")));
            }
            if text("to").or_else(|| text("sip_endpoint")).is_none() {
                found.add(path, "required property 'to' not found");
            }
        }
        "send-message" | "send-and-wait-for-reply"
            if text("body").or_else(|| text("content_sid")).is_none() =>
        {
            found.add(path, "required property 'body' not found");
        }
        "say-play" if text("say").or_else(|| text("play")).or_else(|| text("digits")).is_none() => {
            found.add(path, "required property 'say' not found");
        }
        "make-http-request" => {
            if let Some(method) = text("method").filter(|method| !matches!(*method, "GET" | "POST")) {
                found.add(format!("{path}/method"), format!("'{method}' is not one of GET, POST"));
            }
        }
        _ => {}
    }
}

fn check_transition(
    found: &mut Found,
    path: &str,
    transition: &Value,
    names: &BTreeSet<&str>,
    known: Option<&Widget>,
) {
    let Some(transition) = transition.as_object() else {
        return found.wrong_type(path, transition, "object");
    };
    let event = found.text(transition, path, "event");
    if let (Some(event), Some(known)) = (event, known)
        && !known.events.contains(&event)
    {
        found.add(format!("{path}/event"), format!("'{event}' is not an event of this widget"));
    }
    match transition.get("next") {
        // An empty one ends the branch.
        None | Some(Value::Null) => {}
        Some(Value::String(next)) if next.is_empty() || names.contains(next.as_str()) => {}
        Some(Value::String(next)) => {
            found.add(format!("{path}/next"), format!("references the undefined state '{next}'"));
        }
        Some(other) => found.wrong_type(format!("{path}/next"), other, "string"),
    }
    if event == Some("match") {
        match transition.get("conditions").and_then(Value::as_array).map(Vec::as_slice) {
            None | Some([]) => found.add(path, "required property 'conditions' not found"),
            Some(all) => {
                for (at, condition) in all.iter().enumerate() {
                    check_condition(found, &format!("{path}/conditions/{at}"), condition);
                }
            }
        }
    }
}

fn check_condition(found: &mut Found, path: &str, condition: &Value) {
    let Some(condition) = condition.as_object() else { return found.wrong_type(path, condition, "object") };
    if let Some(operator) = found.text(condition, path, "type").filter(|one| !OPERATORS.contains(one)) {
        found.add(format!("{path}/type"), format!("'{operator}' is not an operator"));
    }
    match condition.get("arguments") {
        Some(Value::Array(arguments)) if arguments.iter().all(Value::is_string) => {}
        Some(other) => found.wrong_type(format!("{path}/arguments"), other, "array of strings"),
        None => found.add(path, "required property 'arguments' not found"),
    }
    if let Some(value) = condition.get("value").filter(|value| !value.is_string()) {
        found.wrong_type(format!("{path}/value"), value, "string");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flow() -> Value {
        json!({
            "description": "Rings the box",
            "flags": { "allow_concurrent_calls": true },
            "initial_state": "Trigger",
            "states": [
                { "name": "Trigger", "type": "trigger", "properties": { "offset": { "x": 0, "y": 0 } },
                  "transitions": [{ "event": "incomingMessage" }, { "event": "incomingCall", "next": "ring" }] },
                { "name": "ring", "type": "connect-call-to",
                  "properties": { "noun": "sip", "to": "sip:box@shop-1.sip.twilio.com", "timeout": 20 },
                  "transitions": [{ "event": "callCompleted", "next": "" }, { "event": "hangup" }] },
            ],
        })
    }

    fn paths(definition: &Value) -> Vec<String> {
        faults(definition).into_iter().map(|fault| fault.property_path).collect()
    }

    #[test]
    fn a_sound_definition_has_no_faults() {
        assert_eq!(faults(&flow()), []);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let mut bad = flow();
        *bad.pointer_mut("/initial_state").unwrap() = json!("Start");
        *bad.pointer_mut("/flags").unwrap() = json!({});
        *bad.pointer_mut("/states/1/properties/timeout").unwrap() = json!("20");
        *bad.pointer_mut("/states/1/properties/noun").unwrap() = json!("modem");
        *bad.pointer_mut("/states/1/transitions/0/next").unwrap() = json!("nowhere");
        *bad.pointer_mut("/states/1/transitions/1/event").unwrap() = json!("pressed");
        let expected = [
            "#/flags",
            "#/initial_state",
            "#/states/1/properties/timeout",
            "#/states/1/properties/noun",
            "#/states/1/transitions/0/next",
            "#/states/1/transitions/1/event",
        ];
        assert_eq!(paths(&bad), expected);
        assert_eq!(faults(&bad)[2].message, "string found, integer expected");
    }

    #[test]
    fn names_are_unique_there_is_one_trigger_and_a_match_has_a_condition() {
        let mut bad = flow();
        let copy = bad.pointer("/states/0").unwrap().clone();
        bad.pointer_mut("/states").unwrap().as_array_mut().unwrap().push(copy);
        assert_eq!(paths(&bad), ["#/states", "#/states/2/name"]);
        let split = json!({ "name": "s", "type": "split-based-on", "properties": { "input": "x" },
            "transitions": [{ "event": "match", "next": "ring",
                "conditions": [{ "type": "sounds_like", "arguments": [1], "value": "a" }] }, { "event": "match" }] });
        *bad.pointer_mut("/states/2").unwrap() = split;
        let conditions = "#/states/2/transitions/0/conditions/0";
        let expected = [format!("{conditions}/type"), format!("{conditions}/arguments")];
        assert_eq!(paths(&bad), [&expected[..], &["#/states/2/transitions/1".to_owned()]].concat());
        assert_eq!(paths(&json!([])), ["#"]);
        assert_eq!(paths(&json!({ "initial_state": "", "states": 1 })), ["#/initial_state", "#/states"]);
    }
}
