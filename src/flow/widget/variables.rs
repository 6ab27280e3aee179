//! `set-variables`: `flow.variables.KEY` and `widgets.NAME.KEY`.

use serde_json::Value;

use crate::flow::context;
use crate::flow::definition::{State, Variable};
use crate::flow::run::{Run, Turn};

pub(super) fn enter(run: &mut Run<'_>, state: &State, variables: &[Variable]) -> Turn {
    run.clear_outputs(state.name());
    for variable in variables {
        let text = run.render(&variable.value);
        let value = match variable {
            Variable { parse_as_json: true, key, .. } => parsed(run, key, text),
            Variable { keep_text: true, .. } => Value::String(text),
            Variable { .. } => cast(text),
        };
        let path = format!("flow.variables.{}", variable.key);
        run.set(&["flow", "variables", &variable.key], value.clone());
        run.set_same(&["widgets", state.name(), &variable.key], value, &path);
    }
    Turn::Leave("next")
}

fn parsed(run: &mut Run<'_>, key: &str, text: String) -> Value {
    if text.trim().is_empty() {
        return Value::String(String::new());
    }
    match context::json(&text) {
        // "null becomes empty string"
        Ok(Value::Null) => Value::String(String::new()),
        Ok(value) => value,
        Err(fault) => {
            run.note(format!("{key} is no JSON and stays text: {fault}"));
            Value::String(text)
        }
    }
}

/// A number when the text is one, written as JSON writes it: `02134`, `+1206…`, `129.90` and what is longer than a
/// number holds exactly stay text, and so does a number in quotation marks, without them.
fn cast(text: String) -> Value {
    let bare = text.trim();
    if let Some(inner) = bare.strip_prefix('"').and_then(|t| t.strip_suffix('"'))
        && number(inner).is_some()
    {
        return Value::from(inner);
    }
    number(bare).unwrap_or(Value::String(text))
}

fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if text.len() > 15 || !(first.is_ascii_digit() || first == b'-') {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    // `1e5` and `129.90` would be shown differently from how they were written.
    let Value::Number(number) = &value else { return None };
    let shown = number.to_string();
    (shown == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_a_number_shows_again_becomes_one() {
        for (text, value) in [
            ("5", json!(5)),
            (" 12 ", json!(12)),
            ("-3", json!(-3)),
            ("2.5", json!(2.5)),
            ("\"5\"", json!("5")),
            ("02134", json!("02134")),
            ("+12065550101", json!("+12065550101")),
            ("129.90", json!("129.90")),
            ("1e5", json!("1e5")),
            ("12345678901234567890", json!("12345678901234567890")),
            ("true", json!("true")),
            ("\"quoted\"", json!("\"quoted\"")),
            ("", json!("")),
        ] {
            assert_eq!(cast(text.to_owned()), value, "{text}");
        }
    }
}
