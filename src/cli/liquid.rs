//! `backroom liquid render`: one line of JSON in, one line of JSON out. Owns the shape of the two lines; the
//! command around it reads and prints.

use serde_json::{Map, Value, json};

use crate::liquid::{Dialect, Mode, Options, Partials, RenderContext, Template};
use crate::types::Wall;

/// Answers `{"template", "data"}` with `{"result"}` or `{"error"}`, as one line without its end.
///
/// Optional keys: `partials` (or `templates`), a map of name to source for `render` and `include`; `mode`,
/// `strict` (the default: what is wrong is an error) or `lax` (as customers' texts are rendered; the answer then
/// also has `notes`); `seed`, true for the seed dialect; `zone`, an IANA name, else UTC; `now`, milliseconds
/// since 1970, else the clock's.
#[must_use]
pub fn answer(line: &str) -> String {
    let answer =
        parsed(line).and_then(|request| render(&request)).unwrap_or_else(|error| json!({ "error": error }));
    answer.to_string()
}

fn parsed(line: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(request)) => Ok(request),
        Ok(_) => Err("the line is not a JSON object".to_owned()),
        Err(error) => Err(format!("the line is not JSON: {error}")),
    }
}

fn render(request: &Map<String, Value>) -> Result<Value, String> {
    let Some(source) = request.get("template").and_then(Value::as_str) else {
        return Err("`template` is missing or not a text".to_owned());
    };
    let mode = match request.get("mode").map(Value::as_str) {
        None | Some(Some("strict")) => Mode::Strict,
        Some(Some("lax")) => Mode::Lax,
        Some(_) => return Err("`mode` is `strict` or `lax`".to_owned()),
    };
    let seed = request.get("seed").and_then(Value::as_bool).unwrap_or(false);
    let options = Options { mode, dialect: Dialect { seed } };
    let sources = request.get("partials").or_else(|| request.get("templates")).and_then(Value::as_object);
    let sources =
        sources.into_iter().flatten().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)));
    let partials = Partials::parse(sources, &options);
    let nothing = Value::Null;
    let globals = request.get("data").unwrap_or(&nothing);
    let context = RenderContext {
        partials: Some(&partials),
        ..RenderContext::new(globals, zone(request)?, now(request)?)
    };
    let template = Template::parse(source, &options).map_err(|error| error.to_string())?;
    match mode {
        Mode::Strict => {
            template.render(&context).map(|text| json!({ "result": text })).map_err(|error| error.to_string())
        }
        Mode::Lax => {
            let rendered = template.render_anyway(&context);
            let notes: Vec<Value> = rendered
                .notes
                .iter()
                .map(|note| json!({ "line": note.line, "message": note.message, "rewrite": note.rewrite }))
                .collect();
            Ok(json!({ "result": rendered.text, "notes": notes }))
        }
    }
}

fn zone(request: &Map<String, Value>) -> Result<jiff::tz::TimeZone, String> {
    match request.get("zone") {
        None => Ok(jiff::tz::TimeZone::UTC),
        Some(name) => {
            let name = name.as_str().unwrap_or("");
            jiff::tz::TimeZone::get(name).map_err(|_| format!("`{name}` is not a time zone"))
        }
    }
}

fn now(request: &Map<String, Value>) -> Result<Wall, String> {
    match request.get("now") {
        None => Ok(Wall(jiff::Timestamp::now().as_millisecond())),
        Some(now) => now.as_i64().map(Wall).ok_or_else(|| "`now` is milliseconds since 1970".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn a_line_is_answered_with_its_result() {
        assert_eq!(
            answer(r#"{"template":"Hi {{ a }}{{ b }}","data":{"a":"é\n"}}"#),
            r#"{"result":"Hi é\n"}"#
        );
        assert_eq!(answer(r#"{"template":"{{ 0 | date: '%F' }}"}"#), r#"{"result":"1970-01-01"}"#);
        assert_eq!(
            answer(r#"{"template":"{{ 'now' | date: '%F %H' }}","now":0,"zone":"America/Denver"}"#),
            r#"{"result":"1969-12-31 17"}"#
        );
    }

    #[test]
    fn partials_and_templates_are_the_same_key() {
        for key in ["partials", "templates"] {
            let line =
                format!(r#"{{"template":"{{% render 'p', x: 1 %}}","{key}":{{"p":"[{{{{ x }}}}]"}}}}"#);
            assert_eq!(answer(&line), r#"{"result":"[1]"}"#);
        }
    }

    #[test]
    fn what_is_wrong_is_an_error_unless_lax_is_asked_for() {
        for template in
            ["{{ a b }}", "{% if %}", "{% nope %}", "{{ 1 | divided_by: 0 }}", "{% include 'gone' %}"]
        {
            let answer = answer(&format!(r#"{{"template":"{template}","data":{{}}}}"#));
            assert!(answer.starts_with(r#"{"error":"line 1: "#), "{template}: {answer}");
        }
        assert_eq!(
            answer(r#"{"template":"a{% nope %}","mode":"lax"}"#),
            r#"{"result":"a","notes":[{"line":1,"message":"`nope` is not a tag","rewrite":null}]}"#
        );
        assert_eq!(
            answer(r#"{"template":"{{ 'abc' | slice(0, 2) }}","mode":"lax","seed":true}"#),
            r#"{"result":"ab","notes":[]}"#
        );
    }

    #[test]
    fn a_line_that_is_no_request_is_an_error() {
        for line in [
            "",
            "[]",
            "{",
            r#"{"data":{}}"#,
            r#"{"template":1}"#,
            r#"{"template":"","zone":"Mars"}"#,
            "\u{0}",
        ] {
            assert!(answer(line).starts_with(r#"{"error":"#), "{line}");
        }
    }
}
