//! What holds for any definition and any order of inputs.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::flow::{Ended, HttpAnswer, OrderAnswer, lint};
use crate::types::OrderId;

const STATES: usize = 6;

/// A widget whose transitions lead to `s0` … `s5`, or end.
fn a_state(at: usize) -> impl Strategy<Value = Value> {
    let next = || prop_oneof![3 => (0..STATES).prop_map(|n| json!(format!("s{n}"))), 1 => Just(Value::Null)];
    let texts = prop_oneof![
        Just("hello {{contact.channel.address}}"),
        Just("{{flow.variables.v}} {{widgets.s1.inbound.Body}} {{widgets.s2.parsed.success}}"),
        Just("{{nothing}}"),
    ];
    (0..9_u8, next(), next(), next(), texts).prop_map(move |(kind, a, b, c, body)| {
        let name = format!("s{at}");
        match kind {
            0 => send(&name, body, a),
            1 | 2 => ask(&name, body, json!({"incomingMessage": a, "timeout": b, "deliveryFailure": c})),
            3 => json!({
                "name": name, "type": "split-based-on", "properties": {"input": body},
                "transitions": [{"event": "noMatch", "next": a}, {"event": "match", "next": b, "conditions": [
                    {"type": "equal_to", "arguments": ["{{widgets.s1.inbound.Body}}"], "value": "1"}]}],
            }),
            4 => set(
                &name,
                json!([{"key": "v", "value": body}, {"key": "j", "value": "[1,2]", "parse_as_json": true}]),
                a,
            ),
            5 => state(
                &name,
                "make-http-request",
                json!({"success": a, "failed": b}),
                json!({"method": "GET", "url": "http://x"}),
            ),
            6 => function(
                &name,
                "createPartsOrderAsync",
                json!({
                    "customerId": "C1", "partNumber": "P1", "quantity": "2",
                }),
                json!({"success": a, "fail": b}),
            ),
            7 => function(
                &name,
                "triggerFlowWithContext",
                json!({"targetFlow": "Order_Parts"}),
                json!({"success": a, "fail": b}),
            ),
            _ => {
                state(&name, "run-subflow", json!({"completed": a, "failed": b}), json!({"flow_sid": "FW01"}))
            }
        }
    })
}

fn a_flow() -> impl Strategy<Value = Value> {
    let states: Vec<_> = (0..STATES).map(a_state).collect();
    states.prop_map(|states| flow(Value::Array(states)))
}

/// An input before its ids are known.
#[derive(Clone, Debug)]
enum Happening {
    Reply(&'static str),
    Handed,
    Accepted,
    Refused,
    Fired(bool),
    Http(u16, bool),
    Order(u8),
    Subflow(bool),
    Start,
    Stop,
}

fn a_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => prop_oneof![Just("1"), Just("2"), Just("  ")].prop_map(Happening::Reply),
        4 => Just(Happening::Handed),
        6 => Just(Happening::Accepted),
        1 => Just(Happening::Refused),
        2 => any::<bool>().prop_map(Happening::Fired),
        4 => (prop_oneof![Just(200_u16), Just(404)], any::<bool>()).prop_map(|(s, big)| Happening::Http(s, big)),
        3 => (0..3_u8).prop_map(Happening::Order),
        3 => any::<bool>().prop_map(Happening::Subflow),
        1 => Just(Happening::Start),
        1 => Just(Happening::Stop),
    ]
}

/// The ids that were given out last.
#[derive(Default)]
struct Ids {
    prompt: Option<MessageId>,
    timer: u64,
    http: u64,
    order: Option<OrderId>,
    subflow: Option<ExecutionSid>,
}

impl Ids {
    fn note(&mut self, outcome: &Outcome) {
        for effect in &outcome.effects {
            match effect {
                Effect::Send { id, prompt: true, .. } => self.prompt = Some(id.clone()),
                Effect::SetTimer { id, .. } => self.timer = *id,
                Effect::Http { id, .. } => self.http = *id,
                Effect::PlaceOrder { id, .. } => self.order = Some(id.clone()),
                Effect::StartSubflow { sid, .. } => self.subflow = Some(sid.clone()),
                Effect::Send { prompt: false, .. }
                | Effect::CancelTimer { .. }
                | Effect::StartFlow { .. }
                | Effect::HandToPeople { .. }
                | Effect::Ended(_) => {}
            }
        }
    }

    fn input(&self, happening: &Happening) -> Input {
        let prompt = || self.prompt.clone().unwrap_or_else(|| MessageId("SM".into()));
        match happening {
            Happening::Reply(body) => Input::Reply(text(body)),
            Happening::Handed => Input::PromptHanded(prompt()),
            Happening::Accepted => Input::PromptAccepted(prompt()),
            Happening::Refused => Input::PromptFailed(prompt(), "refused".into()),
            Happening::Fired(current) => Input::TimerFired(if *current { self.timer } else { 999 }),
            Happening::Http(status, big) => {
                let filler = if *big { "x".repeat(3000) } else { String::new() };
                let body = json!({"success": true, "$big": 7, "filler": filler}).to_string();
                Input::HttpDone(
                    self.http,
                    HttpAnswer::Answered {
                        status: *status,
                        content_type: "application/json".into(),
                        body,
                        age: Some(Duration::from_secs(90)),
                        stale: *big,
                    },
                )
            }
            Happening::Order(kind) => {
                let answer = match kind {
                    0 => OrderAnswer::Confirmed(object(json!({"order_id": "PO1", "total": 12.5}))),
                    1 => OrderAnswer::Refused("no".into()),
                    _ => OrderAnswer::Pending,
                };
                Input::OrderDone(self.order.clone().unwrap_or_else(|| OrderId("OR".into())), answer)
            }
            Happening::Subflow(well) => {
                let ended = if *well { Ended::Completed } else { Ended::Stopped("MENU".into()) };
                let sid = self.subflow.clone().unwrap_or_else(|| ExecutionSid("FN".into()));
                // A variable that looks like a reference of the stored form.
                Input::SubflowDone(sid, ended, object(json!({"a": {"$big": 0}, "b": {"$big_text": 3}})))
            }
            Happening::Start => Input::Start(Trigger::Message(text("again"))),
            Happening::Stop => Input::Stop("stop".into()),
        }
    }
}

fn restored(execution: &Execution) -> Execution {
    let stored = serde_json::to_string(execution).unwrap();
    serde_json::from_str(&stored).unwrap()
}

/// `json` with the `nth` value below it (in depth-first order) replaced.
fn with_replaced(json: &mut Value, nth: &mut usize, by: &Value) -> bool {
    if *nth == 0 {
        *json = by.clone();
        return true;
    }
    *nth -= 1;
    match json {
        Value::Array(items) => items.iter_mut().any(|item| with_replaced(item, nth, by)),
        Value::Object(map) => map.values_mut().any(|item| with_replaced(item, nth, by)),
        _ => false,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zT{}%| .(]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(states|name|type|transitions|properties|event|[a-z])", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_execution_restored_after_every_input_does_what_an_unbroken_one_does(
        json in a_flow(),
        happenings in prop::collection::vec(a_happening(), 1..30),
        reachable in any::<bool>(),
    ) {
        let mut bench = Bench::new(&json);
        bench.env.dealer_reachable = reachable;
        let mut broken = restored(&bench.execution);
        let mut ids = Ids::default();
        let mut ends = 0;
        let first = std::iter::once(Input::Start(Trigger::Message(text("hi"))));
        let mut rest = happenings.iter();
        let mut next = first.collect::<Vec<_>>().pop();
        while let Some(input) = next.take() {
            bench.now.wall.0 += 1000;
            let was_over = bench.execution.is_ended();
            let outcome = bench.input(input.clone());
            let again = broken.handle(&bench.def, input, bench.now, &bench.env);
            prop_assert_eq!(&outcome, &again);
            broken = restored(&broken);
            prop_assert_eq!(&bench.execution, &broken);
            prop_assert_eq!(bench.execution.awaiting(), broken.awaiting());
            prop_assert!(!was_over || outcome == Outcome::default());
            ends += outcome.effects.iter().filter(|e| matches!(e, Effect::Ended(_))).count();
            prop_assert_eq!(ends == 1, bench.execution.is_ended());
            ids.note(&outcome);
            next = rest.next().map(|happening| ids.input(happening));
        }
        let last = bench.input(Input::Stop("the end".into()));
        ends += last.effects.iter().filter(|e| matches!(e, Effect::Ended(_))).count();
        prop_assert_eq!(ends, 1);
    }

    #[test]
    fn ids_of_effects_are_never_given_twice(
        json in a_flow(),
        happenings in prop::collection::vec(a_happening(), 1..30),
    ) {
        let mut bench = Bench::new(&json);
        let mut ids = Ids::default();
        let mut seen = std::collections::BTreeSet::new();
        let mut outcome = bench.start("hi");
        for happening in &happenings {
            for effect in &outcome.effects {
                let id = match effect {
                    Effect::Send { id, .. } => id.to_string(),
                    Effect::PlaceOrder { id, .. } => id.to_string(),
                    Effect::StartFlow { sid, .. } | Effect::StartSubflow { sid, .. } => sid.to_string(),
                    Effect::SetTimer { id, .. } | Effect::Http { id, .. } => id.to_string(),
                    Effect::CancelTimer { .. } | Effect::HandToPeople { .. } | Effect::Ended(_) => continue,
                };
                prop_assert!(seen.insert(id));
            }
            ids.note(&outcome);
            outcome = bench.input(ids.input(happening));
        }
    }

    #[test]
    fn no_json_makes_the_parser_panic(json in any_json()) {
        let found = problems(&json);
        prop_assert!(found.iter().all(|p| p.path.starts_with('#') && !p.message.is_empty()));
    }

    #[test]
    fn no_fault_in_a_sound_flow_makes_the_parser_panic(
        mut json in a_flow(),
        mut nth in 0..200_usize,
        by in any_json(),
    ) {
        with_replaced(&mut json, &mut nth, &by);
        if let Ok((def, _)) = Definition::parse(&json) {
            let now = Now::at(0, WALL);
            let mut execution = Execution::new(ExecutionSid("FN1".into()), "Test", "FW9", 1, now);
            execution.handle(&def, Input::Start(Trigger::Message(text("hi"))), now, &env());
        }
    }

    #[test]
    fn no_text_makes_the_linter_panic(text in "\\PC{0,60}") {
        prop_assert!(lint(&text).len() <= 20);
    }
}
