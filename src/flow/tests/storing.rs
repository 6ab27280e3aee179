//! The serialised form: what a box wrote must be read by the next release.

use super::*;
use crate::flow::{Awaiting, Ended};

/// Written by version 1; never changed. Waits for a reply, with a value of the context stored once for two places.
const VERSION_1: &str = r#"{"version":1,"sid":"FN1","flow":"Test","flow_sid":"FW9","revision":3,
    "started":1795168800000,"started_sure":true,"steps":4,"streak":1,"last_id":2,
    "phase":{"waiting":{"widget":"ask","wait":{"reply":{"prompt":"SM7","stage":{"accepted":{"timer":2}},"timeout_ms":900000}}}},
    "context":{"trigger":{"message":{"From":"+12065550101"},"execution":{"Sid":"FN1"}},
        "contact":{"channel":{"address":"+12065550101"}},
        "flow":{"sid":"FN1","flow_sid":"FW9","channel":{"address":"+12065550100"},"data":{},
            "variables":{"customerProfile":{"$big":0}}},
        "widgets":{"get":{"status_code":200,"parsed":{"$big":0},"body":{"$big_text":0}},"ask":{}}},
    "big":[{"name":"Ann"}]}"#;

#[test]
fn an_execution_of_version_1_goes_on_where_it_waited() {
    let mut bench = Bench::new(&flow(json!([
        ask("ask", "?", json!({"incomingMessage": "tell", "timeout": "tell"})),
        send("tell", "{{flow.variables.customerProfile.name}} {{widgets.get.body}}", Value::Null),
    ])));
    bench.execution = serde_json::from_str(VERSION_1).unwrap();
    assert_eq!(
        bench.execution.awaiting(),
        Awaiting::Reply { prompt: MessageId("SM7".into()), widget: "ask".into() }
    );
    assert_eq!(bench.execution.revision(), 3);
    let told = bench.reply("1");
    assert_eq!(texts(&told), [r#"Ann {"name":"Ann"}"#]);
    assert_eq!(told.effects[0], Effect::CancelTimer { id: 2 });
    assert_eq!(told.steps[0].number, 5);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_reason() {
    let why = |from: &str, to: &str| {
        serde_json::from_str::<Execution>(&VERSION_1.replace(from, to)).unwrap_err().to_string()
    };
    assert!(why("\"version\":1", "\"version\":2").contains("execution of version 2"));
    assert!(why("\"parsed\":{\"$big\":0}", "\"parsed\":{\"$big\":9}").contains("big value 9"));
}

#[test]
fn the_form_is_the_one_that_is_documented() {
    let mut bench = Bench::new(&flow(json!([ask("ask", "Hi?", json!({"incomingMessage": null}))])));
    let asked = bench.start("hello");
    bench.accept(&asked);
    let stored: Value = serde_json::from_str(&serde_json::to_string(&bench.execution).unwrap()).unwrap();
    let keys: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "version",
            "sid",
            "flow",
            "flow_sid",
            "revision",
            "started",
            "started_sure",
            "steps",
            "streak",
            "last_id",
            "phase",
            "context"
        ]
    );
    let id = prompt(&asked).to_string();
    assert_eq!(
        stored["phase"],
        json!({"waiting": {"widget": "ask", "wait": {"reply": {
            "prompt": id, "stage": {"accepted": {"timer": 1}}, "timeout_ms": 900_000}}}})
    );
    bench.input(Input::Stop("MENU".into()));
    let stored: Value = serde_json::to_value(&bench.execution).unwrap();
    assert_eq!(stored["phase"], json!({"ended": {"stopped": "MENU"}}));
    assert_eq!(bench.execution.ended(), Some(&Ended::Stopped("MENU".into())));
}

#[test]
fn a_context_that_looks_like_a_reference_comes_back_as_it_was() {
    let mut bench = Bench::new(&flow(json!([
        set(
            "s",
            json!([
                {"key": "a", "value": "{\"$big\": 0}", "parse_as_json": true},
                {"key": "b", "value": "{\"$big_text\": 1}", "parse_as_json": true},
            ]),
            json!("ask")
        ),
        ask("ask", "?", json!({"incomingMessage": null})),
    ])));
    bench.start("hi");
    let stored = serde_json::to_string(&bench.execution).unwrap();
    let restored: Execution = serde_json::from_str(&stored).unwrap();
    assert_eq!(restored, bench.execution);
}

#[test]
fn json_of_a_depth_that_could_not_be_read_again_stays_text() {
    let flow = flow(json!([
        set(
            "s",
            json!([{"key": "a", "value": "{{trigger.message.Body}}", "parse_as_json": true}]),
            json!("ask")
        ),
        ask("ask", "?", json!({"incomingMessage": null})),
    ]));
    for depth in [64, 65, 120] {
        let mut bench = Bench::new(&flow);
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let outcome = bench.start(&body);
        assert_eq!(outcome.steps[1].note.is_some(), depth > 64, "{depth}");
        assert_eq!(bench.at("/flow/variables/a").is_string(), depth > 64);
        let stored = serde_json::to_string(&bench.execution).unwrap();
        assert_eq!(serde_json::from_str::<Execution>(&stored).unwrap(), bench.execution);
    }
}
