//! The dial plan: all of its problems at once, and what it makes of what is dialled.

use super::*;
use crate::call::PlanProblem;

#[test]
fn all_problems_of_a_plan_are_named_at_once() {
    let plan: DialPlan = serde_json::from_value(json!({
        "country": "US",
        "location": " ",
        "lines": [{"id": "trunk", "channels": 0}, {"id": "trunk", "channels": 1}],
        "extensions": [
            {"number": "911", "devices": ["a"]},
            {"number": "9911", "devices": []},
            {"number": "front", "devices": ["b"], "otherwise": {"extension": "77"}},
            {"number": "101", "devices": ["c"], "otherwise": {"group": "loop"}},
        ],
        "groups": [{"name": "loop", "members": [], "otherwise": {"extension": "101"}}],
        "inbound": [{"line": "nowhere", "open": {"group": "none"}}],
        "outbound": [{"prefix": "44", "lines": [{"line": "gone", "per_minute": -1}]}],
        "allow": {"international": ["011"]},
    }))
    .unwrap();
    let problems = Plan::check(plan).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for wanted in [
        "location: say where help is to come: street, number, floor",
        "lines: \"trunk\" is there twice",
        "lines.trunk.channels: 0 is not between 1 and 1000",
        "lines.trunk: no inbound rule takes its calls",
        "extensions.911: 911 is how people call for help; choose another number",
        "extensions.9911: 9911 is how people call for help; choose another number",
        "extensions.9911.devices: nothing is listed",
        "extensions.front: \"front\" cannot be dialled; use digits, * and #",
        "extensions.front.otherwise: there is no extension \"77\"",
        "groups.loop.members: nothing is listed",
        "inbound.0.open: there is no group \"none\"",
        "inbound.0.line: there is no line \"nowhere\"",
        "outbound.\"44\": \"44\" is no prefix; write a plus and digits, as +44",
        "outbound.\"44\".lines: there is no line \"gone\"",
        "outbound.\"44\".lines.gone: cannot be negative",
        "allow.international: \"011\" is no prefix; write a plus and digits, as +44",
        "extensions.101.otherwise: leads in a circle; nobody would ever hear that nobody is there",
    ] {
        assert!(text.iter().any(|t| t == wanted), "{wanted}\nis missing from\n{}", text.join("\n"));
    }
}

#[test]
fn a_country_without_data_is_a_problem_and_not_a_guess() {
    let mut plan = data();
    plan.country = "ZZ".into();
    assert_eq!(Plan::check(plan).unwrap_err(), [PlanProblem::Country("ZZ".into())]);
}

#[test]
fn a_plan_survives_being_written_and_read() {
    let text = serde_json::to_string(&data()).unwrap();
    assert_eq!(serde_json::from_str::<DialPlan>(&text).unwrap(), data());
    assert!(serde_json::from_str::<DialPlan>(&text.replace("\"location\"", "\"locatoin\"")).is_err());
}

#[test]
fn numbers_do_not_show_in_what_logs_print() {
    let mut desk = Desk::new();
    desk.phone("shop", "2065550111");
    let printed = format!("{:?}", desk.log);
    assert!(!printed.contains("2065550111"), "{printed}");
}
