//! Scenarios of the machine: inputs in, effects and steps out.

mod calls;
mod machine;
mod parsing;
mod properties;
mod storing;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Definition, Effect, Env, Execution, Input, Limits, Outcome, Problem, Trigger};
use crate::types::{ExecutionSid, MessageId, Now};

/// 2026-11-20T10:00:00Z, a Friday. Milliseconds.
pub(super) const WALL: i64 = 1_795_168_800_000;
pub(super) const PERSON: &str = "+12065550101";
pub(super) const SHOP: &str = "+12065550100";

pub(super) fn env() -> Env {
    let mut vars = Map::new();
    vars.insert("SHOP_NAME".into(), json!("Green Acres"));
    vars.insert("LIZZY_API_URL".into(), json!("http://dealer.test"));
    Env {
        vars,
        zone: jiff::tz::TimeZone::get("America/Los_Angeles").unwrap(),
        dealer_reachable: true,
        people: true,
        order_wait: Duration::from_secs(5),
        flows: BTreeMap::from([
            ("Schedule_Service".to_owned(), "FW01".to_owned()),
            ("Order_Parts".to_owned(), "FW02".to_owned()),
        ]),
        limits: Limits::default(),
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// A flow whose trigger leads to the first of `states` on every event.
pub(super) fn flow(states: Value) -> Value {
    let states = states.as_array().unwrap();
    let first = states.first().and_then(|s| s.get("name")).cloned().unwrap();
    let mut all = vec![json!({
        "name": "Trigger",
        "type": "trigger",
        "transitions": [
            {"event": "incomingMessage", "next": first},
            {"event": "incomingRequest", "next": first},
            {"event": "incomingParent", "next": first},
            {"event": "incomingCall"},
        ],
        "properties": {"offset": {"x": 0, "y": 0}},
    })];
    all.extend(states.iter().cloned());
    json!({"description": "A test", "states": all, "initial_state": "Trigger", "flags": {"allow_concurrent_calls": true}})
}

/// A state whose transitions are given as `event: next`; a null `next` ends.
pub(super) fn state(name: &str, kind: &str, transitions: Value, properties: Value) -> Value {
    let transitions: Vec<Value> =
        object(transitions).into_iter().map(|(event, next)| json!({"event": event, "next": next})).collect();
    json!({"name": name, "type": kind, "transitions": transitions, "properties": properties})
}

pub(super) fn send(name: &str, body: &str, next: Value) -> Value {
    let properties = json!({
        "from": "{{flow.channel.address}}",
        "to": "{{contact.channel.address}}",
        "body": body,
    });
    state(name, "send-message", json!({"sent": next, "failed": null}), properties)
}

pub(super) fn ask(name: &str, body: &str, transitions: Value) -> Value {
    let properties = json!({"from": "{{flow.channel.address}}", "body": body, "timeout": "900"});
    state(name, "send-and-wait-for-reply", transitions, properties)
}

pub(super) fn set(name: &str, variables: Value, next: Value) -> Value {
    state(name, "set-variables", json!({"next": next}), json!({"variables": variables}))
}

pub(super) fn function(name: &str, function: &str, parameters: Value, transitions: Value) -> Value {
    let parameters: Vec<Value> =
        object(parameters).into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let properties = json!({"url": format!("https://box.local/{function}"), "parameters": parameters});
    state(name, "run-function", transitions, properties)
}

pub(super) fn parse(json: &Value) -> Definition {
    Definition::parse(json).map(|(definition, _)| definition).unwrap()
}

pub(super) fn problems(json: &Value) -> Vec<Problem> {
    match Definition::parse(json) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

pub(super) fn text(body: &str) -> Map<String, Value> {
    object(json!({"From": PERSON, "To": SHOP, "Body": body, "MessageSid": "SM00"}))
}

/// An execution with its definition and surroundings, so that a scenario reads as what happens.
pub(super) struct Bench {
    pub(super) def: Definition,
    pub(super) env: Env,
    pub(super) now: Now,
    pub(super) execution: Execution,
}

impl Bench {
    pub(super) fn new(json: &Value) -> Self {
        let now = Now::at(1_000_000, WALL);
        let execution = Execution::new(ExecutionSid("FN1".into()), "Test", "FW9", 1, now);
        Self { def: parse(json), env: env(), now, execution }
    }

    pub(super) fn input(&mut self, input: Input) -> Outcome {
        self.execution.handle(&self.def, input, self.now, &self.env)
    }

    pub(super) fn start(&mut self, body: &str) -> Outcome {
        self.input(Input::Start(Trigger::Message(text(body))))
    }

    pub(super) fn reply(&mut self, body: &str) -> Outcome {
        self.input(Input::Reply(text(body)))
    }

    /// The line takes the prompt of an outcome.
    pub(super) fn accept(&mut self, outcome: &Outcome) -> Outcome {
        let id = prompt(outcome);
        let mut all = self.input(Input::PromptHanded(id.clone()));
        let more = self.input(Input::PromptAccepted(id));
        all.effects.extend(more.effects);
        all.steps.extend(more.steps);
        all
    }

    pub(super) fn at(&self, pointer: &str) -> Value {
        self.execution.context().pointer(pointer).cloned().unwrap_or_default()
    }
}

pub(super) fn prompt(outcome: &Outcome) -> MessageId {
    outcome
        .effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Send { id, prompt: true, .. } => Some(id.clone()),
            _ => None,
        })
        .unwrap()
}

/// What was texted.
pub(super) fn texts(outcome: &Outcome) -> Vec<&str> {
    outcome
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { body, .. } => Some(body.as_str()),
            _ => None,
        })
        .collect()
}

/// `event from>to`, a step each.
pub(super) fn trail(outcome: &Outcome) -> Vec<String> {
    outcome.steps.iter().map(|s| format!("{} {}>{}", s.event, s.from, s.to)).collect()
}
