//! What is said of definitions, sound and broken.

use super::*;
use crate::flow::{Severity, lint};

fn paths(problems: &[Problem], severity: Severity) -> Vec<&str> {
    problems.iter().filter(|p| p.severity == severity).map(|p| p.path.as_str()).collect()
}

/// `severity path: message`
fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
}

#[test]
fn ten_faults_give_ten_messages_with_their_paths_in_the_order_of_the_file() {
    let broken = json!({
        "initial_state": "Trigger",
        "states": [
            {"name": "Trigger", "type": "trigger", "transitions": [{"event": "incomingMessage", "next": "ask"}]},
            {"name": "ask", "type": "send-and-wait-for-reply",
             "properties": {"from": "{{flow.channel.address}}", "body": true, "timeout": "soon"},
             "transitions": [
                {"event": "incomingMessage", "next": "split"},
                {"event": "timeout", "next": "nowhere"},
                {"event": "deliveryFailure", "next": "split"}]},
            {"name": "split", "type": "split-based-on", "properties": {"input": "x"},
             "transitions": [
                {"event": "noMatch", "next": "ask"},
                {"event": "match", "next": "tell", "conditions": [
                    {"type": "sounds_like", "arguments": ["x"], "value": "1"}]},
                {"event": "match", "next": "tell", "conditions": [
                    {"type": "regex", "arguments": ["x"], "value": "("}]}]},
            {"name": "tell", "type": "send-message", "properties": {"from": "a", "to": "b"},
             "transitions": [{"event": "delivered"}]},
            {"name": "tell", "type": "set-variables", "properties": {"variables": [{"value": "1"}]}},
            {"name": "fetch", "type": "http-request", "properties": {}, "transitions": []},
        ],
    });
    let found = problems(&broken);
    assert_eq!(
        paths(&found, Severity::Error),
        [
            "#/states/1/properties/body",
            "#/states/1/properties/timeout",
            "#/states/1/transitions/1/next",
            "#/states/2/transitions/1/conditions/0/type",
            "#/states/2/transitions/2/conditions/0/value",
            "#/states/3/properties/body",
            "#/states/3/transitions/0/event",
            "#/states/4/properties/variables/0/key",
            "#/states/4/name",
            "#/states/5/type",
        ],
        "{:#?}",
        lines(&found)
    );
    assert!(lines(&found).contains(&"#/states/1/properties/body: boolean found, string expected".to_owned()));
    assert!(lines(&found).contains(&"#/states/3/properties/body: is missing but required".to_owned()));
}

#[test]
fn a_flow_has_one_trigger_and_begins_there() {
    let none = json!({"initial_state": "a", "states": [send("a", "x", Value::Null)]});
    assert_eq!(paths(&problems(&none), Severity::Error), ["#/states", "#/initial_state"]);

    let mut two = flow(json!([send("a", "x", Value::Null)]));
    two["states"].as_array_mut().unwrap().push(json!({"name": "T2", "type": "trigger", "transitions": []}));
    assert_eq!(paths(&problems(&two), Severity::Error), ["#/states/2/type"]);

    let mut elsewhere = flow(json!([send("a", "x", Value::Null)]));
    elsewhere["initial_state"] = json!("a");
    assert_eq!(paths(&problems(&elsewhere), Severity::Error), ["#/initial_state"]);
    elsewhere["initial_state"] = json!("nobody");
    assert_eq!(paths(&problems(&elsewhere), Severity::Error), ["#/initial_state"]);
}

#[test]
fn dead_widgets_and_uncaught_failures_are_warnings() {
    let json = flow(json!([
        ask("ask", "?", json!({"incomingMessage": "tell", "timeout": null})),
        send("tell", "x", Value::Null),
        send("dead", "x", json!("tell")),
    ]));
    let (_, warnings) = Definition::parse(&json).unwrap();
    assert!(warnings.iter().all(|w| w.severity == Severity::Warning));
    assert_eq!(
        lines(&warnings),
        [
            "#/states/1/transitions: \"ask\" leaves \"timeout\" unhandled: the execution ends there silently",
            "#/states/3: nothing leads to \"dead\"",
            "#/states/3/transitions: \"dead\" leaves \"failed\" unhandled: the execution ends there silently",
        ]
    );
}

#[test]
fn real_exports_may_write_numbers_and_flags_either_way_and_carry_more_keys() {
    let mut json = flow(json!([ask("ask", "?", json!({"incomingMessage": null}))]));
    json["states"][1]["properties"]["timeout"] = json!(900);
    json["states"][1]["properties"]["offset"] = json!({"x": 1, "y": 2});
    json["states"][1]["properties"]["service"] = Value::Null;
    json["states"][1]["transitions"][0]["name"] = json!("what hand-written files carry");
    json["states"][1]["properties"]["limits"] = json!([1]);
    assert_eq!(lines(&problems(&json)), Vec::<String>::new());
}

#[test]
fn every_widget_type_of_studio_is_known() {
    for kind in [
        "say-play",
        "gather-input-on-call",
        "connect-call-to",
        "record-voicemail",
        "record-call",
        "make-outgoing-call-v1",
        "make-outgoing-call-v2",
        "enqueue-call",
        "send-to-flex",
        "fork-stream",
        "capture-payments",
        "add-twiml-redirect",
        "connect-virtual-agent",
        "connect-virtual-agent-v2",
        "send-to-auto-pilot",
        "start-conversation",
        "resume-conversation",
        "run-conversation-relay",
    ] {
        let properties = json!({
            "url": "https://x", "noun": "number", "stream_action": "start", "connector": "c", "connector_name": "c",
        });
        let json = flow(json!([state("a", kind, json!({}), properties)]));
        assert!(Definition::parse(&json).is_ok(), "{kind}: {:?}", problems(&json));
    }
}

#[test]
fn the_first_export_format_and_a_wrapped_flow_are_refused_with_what_to_do() {
    let v1 = json!({"states": [
        {"type": "InitialState", "name": "Trigger", "sid": "FF01", "transitions": [
            {"event": "incomingMessage", "next": "FF02"}], "properties": {}},
        {"type": "MessagePrompt", "name": "ask", "sid": "FF02", "transitions": [], "properties": {}},
    ]});
    let found = problems(&v1);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("v1") && found[0].message.contains("export it again"));

    let wrapped = json!({"sid": "FW1", "definition": flow(json!([send("a", "x", Value::Null)]))});
    assert!(problems(&wrapped)[0].message.contains("`definition`"));
}

#[test]
fn a_text_that_is_no_json_is_one_problem_with_line_and_column() {
    let found = lint("{\n  \"states\": [,]\n}");
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("line 2 column 14"), "{}", found[0].message);
    assert_eq!(lint("\u{feff}[]").len(), 1);
    assert!(lint("[]")[0].message.contains("object expected"));
}

#[test]
fn flows_that_nobody_published_are_named_before_a_customer_finds_out() {
    let json = flow(json!([
        state(
            "sub",
            "run-subflow",
            json!({"completed": "go", "failed": "go"}),
            json!({"flow_sid": "Nowhere"})
        ),
        function(
            "go",
            "triggerFlowWithContext.js",
            json!({"customerPhone": "x", "targetFlow": "Nobody"}),
            json!({"success": "well", "fail": null})
        ),
        function(
            "well",
            "triggerFlowWithContext",
            json!({"targetFlow": "Order_Parts"}),
            json!({"success": null})
        ),
        function("any", "triggerFlowWithContext", json!({"targetFlow": "{{flow.variables.t}}"}), json!({})),
    ]));
    let found = parse(&json).unknown_flows(&env().flows);
    assert_eq!(
        lines(&found),
        [
            "#/states/1/properties/flow_sid: no published flow is named \"Nowhere\"",
            "#/states/2/properties/parameters/1/value: no published flow is named \"Nobody\"",
        ]
    );
}

#[test]
fn liquid_is_checked_where_it_stands() {
    let mut json = flow(json!([
        set("s", json!([{"key": "a", "value": "{% if x %}never closed"}]), json!("t")),
        send("t", "{% for i in (1..40) %}{{i}}{% endfor %}", Value::Null),
    ]));
    json["states"][2]["properties"]["to"] = json!("{{contact.channel.address | shorten}}");
    let found = problems(&json);
    assert_eq!(paths(&found, Severity::Error), ["#/states/1/properties/variables/0/value"]);
    assert_eq!(
        paths(&found, Severity::Warning),
        ["#/states/2/properties/to", "#/states/2/properties/body"],
        "{:#?}",
        lines(&found)
    );
}

#[test]
fn a_widget_that_liquid_names_and_nobody_has_is_a_warning() {
    let json = flow(json!([
        ask(
            "ask",
            "{{ widgets.ask.inbound.Body }} {% if widgets.aks.inbound.Body == \"1\" %}!{% endif %}",
            json!({"incomingMessage": "say it", "timeout": "say it"})
        ),
        send("say it", "my widgets.nobody are {{my_widgets.x}} and {{flow.variables.x}}", Value::Null),
    ]));
    let (_, warnings) = Definition::parse(&json).unwrap();
    assert_eq!(
        lines(&warnings),
        [
            "#/states/1/properties/body: Liquid names the widget \"aks\", and there is none",
            "#/states/2/name: \"say it\" cannot be named in Liquid; use letters, digits, _ and -",
        ]
    );
}

#[test]
fn what_is_odd_in_a_widget_that_the_box_does_not_carry_out_is_no_reason_to_refuse_it() {
    let json = flow(json!([state("call", "say-play", json!({"hangup": null}), json!({"say": true}))]));
    let (_, warnings) = Definition::parse(&json).unwrap();
    assert_eq!(
        paths(&warnings, Severity::Warning),
        ["#/states/1/properties/say", "#/states/1/transitions/0/event"]
    );
}
