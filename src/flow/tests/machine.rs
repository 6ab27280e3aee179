//! What executions do with what happens to them.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::flow::{Awaiting, Ended};

fn menu() -> Value {
    let choice = |value: &str, next: &str| {
        json!({"event": "match", "next": next, "conditions": [{
            "friendly_name": value, "type": "equal_to", "value": value,
            "arguments": ["{{widgets.ask.inbound.Body}}"],
        }]})
    };
    flow(json!([
        ask("ask", "Hello {{contact.channel.address}}: 1 or 2?", json!({
            "incomingMessage": "route", "timeout": "bye", "deliveryFailure": null,
        })),
        {
            "name": "route", "type": "split-based-on",
            "properties": {"input": "{{widgets.ask.inbound.Body}}"},
            "transitions": [
                {"event": "noMatch", "next": "again"},
                choice("1", "one"), choice("2", "two"),
            ],
        },
        send("one", "You chose {{flow.variables.choice}}one.", Value::Null),
        set("two", json!([{"key": "choice", "value": "{{widgets.ask.inbound.Body}}"}]), json!("told")),
        send("told", "You chose {{flow.variables.choice}}.", Value::Null),
        send("again", "Sorry?", json!("ask")),
        send("bye", "Goodbye.", Value::Null),
    ]))
}

#[test]
fn a_menu_is_asked_answered_and_ended() {
    let mut bench = Bench::new(&menu());
    let asked = bench.start("hi");
    assert_eq!(texts(&asked), ["Hello +12065550101: 1 or 2?"]);
    assert_eq!(trail(&asked), ["incomingMessage Trigger>ask"]);
    let id = prompt(&asked);
    assert_eq!(bench.execution.awaiting(), Awaiting::Handing(id.clone()));

    bench.input(Input::PromptHanded(id.clone()));
    assert_eq!(bench.execution.awaiting(), Awaiting::Reply { prompt: id.clone(), widget: "ask".into() });
    let accepted = bench.input(Input::PromptAccepted(id));
    assert_eq!(accepted.effects, [Effect::SetTimer { id: 1, after: Duration::from_secs(900) }]);

    let told = bench.reply(" 2 ");
    assert_eq!(texts(&told), ["You chose 2."]);
    assert_eq!(told.effects.first(), Some(&Effect::CancelTimer { id: 1 }));
    assert_eq!(told.effects.last(), Some(&Effect::Ended(Ended::Completed)));
    assert_eq!(trail(&told), ["incomingMessage ask>route", "match route>two", "next two>told", "sent told>"]);
    assert_eq!(bench.execution.awaiting(), Awaiting::Ended);
    assert_eq!(bench.at("/widgets/ask/inbound/Body"), json!(" 2 "));
}
