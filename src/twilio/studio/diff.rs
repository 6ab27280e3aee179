//! What is different between two flow definitions, for people: widgets added, removed and changed, with the path of
//! each change. Widgets are the same when their names are; their order means nothing and is not told.

use std::collections::BTreeMap;

use serde_json::Value;

/// Longest value that is shown whole, in characters.
const SHOWN: usize = 120;

/// A line a difference, from `old` to `new`: `+` added, `-` removed, `~` changed. Empty when they do the same.
///
/// `~ greeting/properties/say: "Hello" -> "Good day"`; a widget's place on the canvas is left out.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let top = |flow: &Value| {
        let mut top = flow.as_object().cloned().unwrap_or_default();
        top.remove("states");
        Value::Object(top)
    };
    compare("", &top(old), &top(new), &mut lines);
    let (before, after) = (states(old), states(new));
    for (name, state) in &before {
        match after.get(name) {
            Some(now) => compare(name, state, now, &mut lines),
            None => lines.push(format!("- {name} ({})", kind(state))),
        }
    }
    for (name, state) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        lines.push(format!("+ {name} ({})", kind(state)));
        lines.extend(onward(state).map(|line| format!("+ {name}/{line}")));
    }
    lines
}

fn states(flow: &Value) -> BTreeMap<String, Value> {
    let all = flow.get("states").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|state| Some((state.get("name")?.as_str()?.to_owned(), state.clone()))).collect()
}

fn kind(state: &Value) -> &str {
    state.get("type").and_then(Value::as_str).unwrap_or("?")
}

/// Where a new widget leads.
fn onward(state: &Value) -> impl Iterator<Item = String> + '_ {
    let all = state.get("transitions").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|one| {
        let next = one.get("next")?.as_str().filter(|next| !next.is_empty())?;
        Some(format!("{} leads to {next}", one.get("event")?.as_str()?))
    })
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, was) in old {
                match (key.as_str(), new.get(key)) {
                    ("offset", _) => {}
                    (_, Some(now)) => compare(&below(key), was, now, lines),
                    (_, None) if was.is_null() => {}
                    (_, None) => lines.push(format!("- {}: {}", below(key), shown(was))),
                }
            }
            let added = new
                .iter()
                .filter(|(key, now)| !old.contains_key(*key) && key.as_str() != "offset" && !now.is_null());
            lines.extend(added.map(|(key, now)| format!("+ {}: {}", below(key), shown(now))));
        }
        (Value::Array(old), Value::Array(new)) => {
            for at in 0..old.len().max(new.len()) {
                let place = below(&label(at, old.get(at).or_else(|| new.get(at))));
                match (old.get(at), new.get(at)) {
                    (Some(was), Some(now)) => compare(&place, was, now, lines),
                    (Some(was), None) => lines.push(format!("- {place}: {}", shown(was))),
                    (None, Some(now)) => lines.push(format!("+ {place}: {}", shown(now))),
                    (None, None) => {}
                }
            }
        }
        (old, new) if same(old, new) => {}
        (old, new) => lines.push(format!("~ {path}: {} -> {}", shown(old), shown(new))),
    }
}

/// Studio writes `20` and `"20"`, `true` and `"true"` for the same.
fn same(old: &Value, new: &Value) -> bool {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    old == new || plain(old) == plain(new)
}

/// A transition says its event, where there is one: `transitions/1 (match)`.
fn label(at: usize, value: Option<&Value>) -> String {
    match value.and_then(|value| value.get("event")).and_then(Value::as_str) {
        Some(event) => format!("{at} ({event})"),
        None => at.to_string(),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let cut: String = text.chars().take(SHOWN).collect();
    format!("{cut}... ({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flow(say: &str, timeout: Value) -> Value {
        json!({
            "description": "d",
            "initial_state": "Trigger",
            "states": [
                {"name": "Trigger", "type": "trigger", "transitions": [{"event": "incomingCall", "next": "hello"}],
                 "properties": {"offset": {"x": 0, "y": 0}}},
                {"name": "hello", "type": "say-play", "transitions": [{"event": "audioComplete"}],
                 "properties": {"say": say, "loop": timeout}},
            ],
        })
    }

    #[test]
    fn what_does_the_same_has_no_differences() {
        let mut moved = flow("Hi", json!("1"));
        moved["states"][0]["properties"]["offset"]["x"] = json!(300);
        moved["states"].as_array_mut().unwrap().reverse();
        assert_eq!(diff(&flow("Hi", json!(1)), &moved), [""; 0]);
    }

    #[test]
    fn widgets_that_came_went_and_changed_are_named_with_their_paths() {
        let old = flow("Hi", json!(1));
        let mut new = flow("Good day", json!(1));
        new["states"][0]["name"] = json!("Start");
        new["initial_state"] = json!("Start");
        new["states"][1]["transitions"][0]["next"] = json!("Start");
        assert_eq!(
            diff(&old, &new),
            [
                "~ initial_state: \"Trigger\" -> \"Start\"",
                "- Trigger (trigger)",
                "+ hello/transitions/0 (audioComplete)/next: \"Start\"",
                "~ hello/properties/say: \"Hi\" -> \"Good day\"",
                "+ Start (trigger)",
                "+ Start/incomingCall leads to hello",
            ]
        );
    }

    #[test]
    fn long_texts_are_cut_and_what_is_no_flow_is_no_panic() {
        let long = "a".repeat(500);
        let lines = diff(&flow("Hi", json!(1)), &flow(&long, json!(1)));
        assert!(lines[0].ends_with("... (502 characters)"), "{lines:?}");
        assert_eq!(diff(&json!([1]), &json!("x")), [""; 0]);
        assert_eq!(diff(&json!({"states": 5}), &json!({"states": [{}, {"name": 3}]})), [""; 0]);
    }
}
