//! What executions do with what happens to them.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::flow::{Awaiting, Ended, HttpAnswer};

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

#[test]
fn the_wait_begins_when_the_line_accepted_the_prompt_and_ends_in_timeout() {
    let mut bench = Bench::new(&menu());
    let asked = bench.start("hi");
    assert_eq!(bench.input(Input::TimerFired(1)), Outcome::default());
    bench.accept(&asked);
    assert_eq!(bench.at("/widgets/ask/outbound/Status"), json!("sent"));
    assert_eq!(bench.input(Input::TimerFired(7)), Outcome::default(), "a timer of another wait");
    let bye = bench.input(Input::TimerFired(1));
    assert_eq!(texts(&bye), ["Goodbye."]);
    assert_eq!(bench.at("/widgets/ask/inbound"), Value::Null);
    assert_eq!(bench.input(Input::TimerFired(1)), Outcome::default());
}

#[test]
fn a_quick_reply_before_the_line_confirmed_is_an_answer_and_needs_no_timer() {
    let mut bench = Bench::new(&menu());
    let id = prompt(&bench.start("hi"));
    assert_eq!(bench.reply("1"), Outcome::default(), "early: the conversation keeps it");
    bench.input(Input::PromptHanded(id.clone()));
    let told = bench.reply("1");
    assert_eq!(texts(&told), ["You chose one."]);
    assert!(!told.effects.iter().any(|e| matches!(e, Effect::CancelTimer { .. })));
    assert_eq!(bench.input(Input::PromptAccepted(id)), Outcome::default());
}

#[test]
fn the_second_wait_hears_only_its_own_reports_and_timer() {
    let mut bench = Bench::new(&menu());
    let first = bench.start("hi");
    bench.accept(&first);
    let again = bench.reply("what?");
    assert_eq!(texts(&again), ["Sorry?", "Hello +12065550101: 1 or 2?"]);
    assert_ne!(prompt(&first), prompt(&again));
    assert_eq!(bench.input(Input::TimerFired(1)), Outcome::default());
    assert_eq!(bench.input(Input::PromptFailed(prompt(&first), "late".into())), Outcome::default());
    assert_eq!(bench.accept(&again).effects, [Effect::SetTimer { id: 2, after: Duration::from_secs(900) }]);
}

#[test]
fn a_prompt_that_cannot_be_sent_takes_delivery_failure_or_ends_with_a_note() {
    let mut bench = Bench::new(&menu());
    let asked = bench.start("hi");
    bench.accept(&asked);
    let failed = bench.input(Input::PromptFailed(prompt(&asked), "number does not exist".into()));
    assert_eq!(failed.effects, [Effect::CancelTimer { id: 1 }, Effect::Ended(Ended::Completed)]);
    assert_eq!(trail(&failed), ["deliveryFailure ask>"]);
    assert_eq!(failed.steps[0].note.as_deref(), Some("number does not exist"));

    let mut bare = Bench::new(&flow(json!([ask("ask", "?", json!({"incomingMessage": null}))])));
    let asked = bare.start("hi");
    let failed = bare.input(Input::PromptFailed(prompt(&asked), "refused".into()));
    assert_eq!(failed.steps[0].note.as_deref(), Some("refused; no transition for \"deliveryFailure\""));
}

#[test]
fn stop_ends_from_any_state_and_cancels_the_timer() {
    let mut bench = Bench::new(&menu());
    let asked = bench.start("hi");
    bench.accept(&asked);
    let stopped = bench.input(Input::Stop("MENU".into()));
    assert_eq!(
        stopped.effects,
        [Effect::CancelTimer { id: 1 }, Effect::Ended(Ended::Stopped("MENU".into()))]
    );
    assert_eq!(trail(&stopped), ["stopped ask>"]);
    assert_eq!(bench.input(Input::Stop("again".into())), Outcome::default());

    let mut fresh = Bench::new(&menu());
    assert_eq!(fresh.input(Input::Stop("x".into())).effects, [Effect::Ended(Ended::Stopped("x".into()))]);
    assert_eq!(fresh.start("hi"), Outcome::default());
}

#[test]
fn timeouts_may_be_fractions_numbers_liquid_or_blank() {
    for (timeout, expected) in [
        (json!("0.25"), Duration::from_millis(250)),
        (json!(120), Duration::from_secs(120)),
        (json!("{{env.SILENCE_SECONDS}}"), Duration::from_secs(900)),
        (json!("{{env.MISSING}}"), Duration::from_secs(3600)),
        (json!(""), Duration::from_secs(3600)),
    ] {
        let mut json = flow(json!([ask("ask", "?", json!({"incomingMessage": null}))]));
        json["states"][1]["properties"]["timeout"] = timeout.clone();
        let mut bench = Bench::new(&json);
        bench.env.vars.insert("SILENCE_SECONDS".into(), json!(900));
        let asked = bench.start("hi");
        assert_eq!(bench.accept(&asked).effects, [Effect::SetTimer { id: 1, after: expected }], "{timeout}");
    }
}

#[test]
fn an_empty_text_is_not_sent() {
    let mut bench = Bench::new(&flow(json!([send("a", "{{nothing.here}}", Value::Null)])));
    let outcome = bench.start("hi");
    assert_eq!(texts(&outcome), Vec::<&str>::new());
    assert_eq!(trail(&outcome)[1], "failed a>");
}

#[test]
fn a_text_to_somebody_else_says_whom() {
    let mut json = flow(json!([send("a", "Call {{contact.channel.address}}", Value::Null)]));
    json["states"][1]["properties"]["to"] = json!("+12065550199");
    let outcome = Bench::new(&json).start("hi");
    let Some(Effect::Send { to, .. }) = outcome.effects.first() else { panic!("{outcome:?}") };
    assert_eq!(to.as_deref(), Some("+12065550199"));
}

#[test]
fn a_picture_goes_with_its_text_or_alone_and_its_address_is_checked() {
    let sent = |body: &str, url: &str| {
        let mut json = flow(json!([send("a", body, Value::Null)]));
        json["states"][1]["properties"]["media_url"] = json!(url);
        let mut bench = Bench::new(&json);
        let outcome = bench.start("mower.jpg");
        let media = outcome.effects.iter().find_map(|effect| match effect {
            Effect::Send { body, media, .. } => Some((body.clone(), media.clone())),
            _ => None,
        });
        (media, bench.at("/widgets/a/outbound/NumMedia"), outcome.steps[1].note.clone())
    };
    let url = "https://shop.example/{{trigger.message.Body}}";
    let link = vec!["https://shop.example/mower.jpg".to_owned()];
    assert_eq!(sent("Look", url), (Some(("Look".to_owned(), link.clone())), json!("1"), None));
    assert_eq!(sent("", url).0, Some((String::new(), link)));
    let (text, count, note) = sent("Look", "{{trigger.message.Body}}");
    assert_eq!((text, count), (Some(("Look".to_owned(), Vec::new())), json!("0")));
    assert!(note.is_some_and(|note| note.contains("media_url is no address of a file")));
}

#[test]
fn a_content_template_goes_by_its_sid_with_variables_by_number() {
    let mut json = flow(json!([send("a", "", Value::Null)]));
    let properties = &mut json["states"][1]["properties"];
    properties["message_type"] = json!("content_template");
    properties["content_sid"] = json!("HX1");
    properties["content_variables"] = json!([{"key": "{{1}}", "value": "{{trigger.message.Body}}"}]);
    let outcome = Bench::new(&json).start("Jane");
    let Some(Effect::Send { body, template, .. }) = outcome.effects.first() else { panic!("{outcome:?}") };
    let variables = json!({"1": "Jane"}).as_object().cloned().unwrap();
    assert_eq!((body.as_str(), template), ("", &Some(("HX1".to_owned(), variables))));
    let mut json = json;
    json["states"][1]["properties"]["content_sid"] = json!(" ");
    assert!(problems(&json).iter().any(|p| p.message.contains("which content template")));
}

#[test]
fn a_loop_without_a_question_ends_at_studios_limits() {
    let spin = |nth: &str, next: &str| set(nth, json!([{"key": "x", "value": "1"}]), json!(next));
    let mut bench = Bench::new(&flow(json!([spin("a", "b"), spin("b", "a")])));
    let outcome = bench.start("hi");
    assert_eq!(outcome.steps.len(), 1000);
    let Some(Effect::Ended(Ended::Failed(why))) = outcome.effects.last() else { panic!() };
    assert!(why.starts_with("81000"), "{why}");

    let mut bench = Bench::new(&flow(json!([spin("a", "a")])));
    let outcome = bench.start("hi");
    assert_eq!(outcome.steps.len(), 11, "the trigger and ten times the widget");
    assert_eq!(outcome.steps[10].note.as_deref(), Some("the widget \"a\" ran 10 times in a row"));
    assert!(bench.execution.is_ended());
}

#[test]
fn an_execution_lives_30_days_by_a_sure_clock() {
    let mut bench = Bench::new(&menu());
    let asked = bench.start("hi");
    bench.accept(&asked);
    bench.now.wall.0 += 31 * 86_400_000;
    bench.now.wall_sure = false;
    assert_eq!(bench.input(Input::TimerFired(9)), Outcome::default(), "an unsure clock ends nobody");
    bench.now.wall_sure = true;
    let outcome = bench.reply("1");
    assert_eq!(
        outcome.effects,
        [Effect::CancelTimer { id: 1 }, Effect::Ended(Ended::Failed("older than 30 days".into()))]
    );
}

#[test]
fn widgets_of_calls_take_their_failure_event_or_end_with_a_note() {
    let json = flow(json!([
        state("flex", "send-to-flex", json!({"callComplete": null, "failedToEnqueue": "tell"}), json!({})),
        send("tell", "Please call us.", json!("say")),
        state("say", "say-play", json!({"audioComplete": null}), json!({"say": "hello"})),
    ]));
    let outcome = Bench::new(&json).start("hi");
    assert_eq!(texts(&outcome), ["Please call us."]);
    let note = "a say-play cannot be carried out on a text line of this box";
    assert!(outcome.steps[1].note.as_deref().unwrap().contains("send-to-flex"));
    assert_eq!(outcome.effects.last(), Some(&Effect::Ended(Ended::Failed(note.into()))));
}

#[test]
fn an_http_answer_fills_the_widget_and_its_age() {
    let fetch = state(
        "get",
        "make-http-request",
        json!({"success": "keep", "failed": "sorry"}),
        json!({
            "method": "GET",
            "url": "{{env.LIZZY_API_URL}}/api/customers/by-phone/{{contact.channel.address}}",
            "content_type": "application/json;charset=utf-8",
            "parameters": [{"key": "include", "value": "equipment,parts"}],
        }),
    );
    let json = flow(json!([
        fetch,
        set(
            "keep",
            json!([{"key": "p", "value": "{{widgets.get.parsed | to_json}}", "parse_as_json": true}]),
            json!("tell")
        ),
        send("tell", "{{flow.variables.p.name}}, {{widgets.get.age}} old", Value::Null),
        send("sorry", "Status {{widgets.get.status_code}}", Value::Null),
    ]));
    let mut bench = Bench::new(&json);
    let asked = bench.start("hi");
    let Some(Effect::Http { id, method, url, content_type, body }) = asked.effects.first() else { panic!() };
    assert_eq!((method.as_str(), content_type.as_str(), body.as_str()), ("GET", "", ""));
    assert_eq!(url, "http://dealer.test/api/customers/by-phone/+12065550101?include=equipment%2Cparts");
    assert_eq!(bench.execution.awaiting(), Awaiting::Outside);

    let large = json!({"name": "Ann", "equipment": "x".repeat(5000)});
    let answer = HttpAnswer::Answered {
        status: 200,
        content_type: "application/json".into(),
        body: large.to_string(),
        age: Some(Duration::from_secs(3 * 3600)),
        stale: true,
    };
    assert_eq!(bench.input(Input::HttpDone(*id + 1, answer.clone())), Outcome::default());
    let told = bench.input(Input::HttpDone(*id, answer));
    assert_eq!(texts(&told), ["Ann, 3 hours old"]);
    assert_eq!(bench.at("/widgets/get/stale"), json!(true));
    assert_eq!(bench.at("/widgets/get/age_seconds"), json!(10_800));
    let deltas = serde_json::to_string(&told.steps).unwrap();
    assert!(deltas.len() < 7_000, "the profile is said once: {} bytes", deltas.len());
    let stored = serde_json::to_string(&bench.execution).unwrap();
    assert!(stored.len() < 8_000, "the profile is stored once: {} bytes", stored.len());

    let mut bench = Bench::new(&json);
    bench.start("hi");
    let answer = HttpAnswer::Answered {
        status: 404,
        content_type: "text/html".into(),
        body: "<p>no</p>".into(),
        age: None,
        stale: false,
    };
    let told = bench.input(Input::HttpDone(1, answer));
    assert_eq!(texts(&told), ["Status 404"]);
    assert_eq!(bench.at("/widgets/get/parsed"), Value::Null);
    let told = {
        let mut bench = Bench::new(&json);
        bench.start("hi");
        bench.input(Input::HttpDone(1, HttpAnswer::Failed { why: "no route".into() }))
    };
    assert_eq!(texts(&told), ["Status"]);
    assert_eq!(told.steps[0].note.as_deref(), Some("no route"));
}

#[test]
fn a_request_posts_json_or_its_parameters_as_a_form() {
    let post = |properties: Value| {
        let json = flow(json!([state("p", "make-http-request", json!({"success": null}), properties)]));
        let outcome = Bench::new(&json).start("hi");
        match outcome.effects.into_iter().next() {
            Some(Effect::Http { content_type, body, method, .. }) => (method, content_type, body),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        post(json!({"method": "POST", "url": "http://x", "content_type": "application/json;charset=utf-8",
            "body": "{\"from\": \"{{contact.channel.address}}\"}"})),
        (
            "POST".to_owned(),
            "application/json;charset=utf-8".to_owned(),
            "{\"from\": \"+12065550101\"}".to_owned()
        )
    );
    let (_, content_type, body) = post(json!({
        "method": "POST", "url": "http://x", "content_type": "application/x-www-form-urlencoded;charset=utf-8",
        "parameters": [{"key": "a b", "value": "{{trigger.message.Body}}"}],
    }));
    assert_eq!((content_type.as_str(), body.as_str()), ("application/x-www-form-urlencoded", "a%20b=hi"));
}

#[test]
fn a_program_and_a_parent_start_flows_with_parameters() {
    let body = "{{trigger.request.parameters.Name}}|{{flow.data.Name}}|{{trigger.execution.Name}}|\
                {{trigger.parent.parameters.Name}}|{{contact.channel.address}}|{{flow.channel.address}}|{{flow.sid}}";
    let json = flow(json!([send("a", body, Value::Null)]));
    let parameters = object(json!({"Name": "Ann"}));
    let request = Trigger::Request { from: SHOP.into(), to: PERSON.into(), parameters: parameters.clone() };
    let outcome = Bench::new(&json).input(Input::Start(request));
    assert_eq!(texts(&outcome), ["Ann|Ann|Ann||+12065550101|+12065550100|FN1"]);
    let parent = Trigger::Parent {
        parameters,
        execution: ExecutionSid("FN0".into()),
        flow: "FW0".into(),
        from: SHOP.into(),
        to: PERSON.into(),
    };
    let outcome = Bench::new(&json).input(Input::Start(parent));
    assert_eq!(texts(&outcome), ["|||Ann|+12065550101|+12065550100|FN1"]);
    assert_eq!(trail(&outcome)[0], "incomingParent Trigger>a");
}

#[test]
fn a_subflow_gives_its_variables_back_flat() {
    let json = flow(json!([
        state(
            "sub",
            "run-subflow",
            json!({"completed": "ok", "failed": "no"}),
            json!({
                "flow_sid": "FW02", "flow_revision": "LatestPublished",
                "parameters": [{"key": "who", "value": "{{contact.channel.address}}"}],
            })
        ),
        send("ok", "Got {{widgets.sub.answer}}", Value::Null),
        send("no", "Failed", Value::Null),
    ]));
    let mut bench = Bench::new(&json);
    let outcome = bench.start("hi");
    let Some(Effect::StartSubflow { sid, flow, parameters }) = outcome.effects.first().cloned() else {
        panic!()
    };
    assert_eq!((flow.as_str(), &parameters["who"]), ("Order_Parts", &json!(PERSON)));
    let variables = object(json!({"answer": 42}));
    let wrong = Input::SubflowDone(ExecutionSid("FN7".into()), Ended::Completed, variables.clone());
    assert_eq!(bench.input(wrong), Outcome::default());
    let mut other = bench.execution.clone();
    let done = bench.input(Input::SubflowDone(sid.clone(), Ended::Completed, variables));
    assert_eq!(texts(&done), ["Got 42"]);
    let input = Input::SubflowDone(sid, Ended::Failed("x".into()), Map::new());
    assert_eq!(texts(&other.handle(&bench.def, input, bench.now, &bench.env)), ["Failed"]);

    bench = Bench::new(&json);
    bench.env.flows.clear();
    assert_eq!(texts(&bench.start("hi")), ["Failed"]);
}

#[test]
fn json_variables_are_values_and_what_is_no_json_stays_text() {
    let json = flow(json!([set(
        "s",
        json!([
            {"key": "list", "value": "[1, {\"a\": \"b\"}]", "parse_as_json": true},
            {"key": "bad", "value": "{oops", "parse_as_json": true},
            {"key": "none", "value": "null", "parse_as_json": true},
            {"key": "zip", "value": "98101", "type": "string"},
            {"key": "n", "value": "3"},
        ]),
        Value::Null
    ),]));
    let mut bench = Bench::new(&json);
    let outcome = bench.start("hi");
    let expected = json!({"list": [1, {"a": "b"}], "bad": "{oops", "none": "", "zip": "98101", "n": 3});
    assert_eq!(Value::Object(bench.execution.variables()), expected);
    assert_eq!(bench.at("/widgets/s"), expected);
    assert!(outcome.steps[1].note.as_deref().unwrap().starts_with("bad is no JSON"));
    assert_eq!(bench.at("/env"), Value::Null, "settings are not kept");
}

#[test]
fn a_revision_without_the_waiting_widget_ends_the_execution() {
    let mut bench = Bench::new(&menu());
    bench.start("hi");
    bench.def = parse(&flow(json!([send("a", "x", Value::Null)])));
    let outcome = bench.reply("1");
    assert_eq!(outcome.effects, [Effect::Ended(Ended::Failed("revision 1 has no widget \"ask\"".into()))]);
}

#[test]
fn a_text_of_more_than_1600_characters_is_cut_and_said_so() {
    let body = "{% for i in (1..900) %}ü {% endfor %}";
    let outcome = Bench::new(&flow(json!([send("a", body, Value::Null)]))).start("hi");
    assert_eq!(texts(&outcome)[0].chars().count(), 1600);
    assert!(outcome.steps[1].note.as_deref().unwrap().contains("1600"));
}
