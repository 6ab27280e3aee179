//! `make-http-request`. Studio caps a body at 64 kB and then fails; here it is 4 MB, because a customer's profile
//! with its parts is larger than Studio allows. What Studio has not: `status_code` on `failed` when there was an
//! answer, and `stale`, `age_seconds` and `age` when the answer came from the box's cache.

use std::time::Duration;

use serde_json::Value;

use crate::flow::context;
use crate::flow::definition::{HttpRequest, State, StateKind};
use crate::flow::execution::Wait;
use crate::flow::run::{Run, Turn};
use crate::flow::{Effect, HttpAnswer, Input};

/// Largest body that a flow sees. Bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn enter(run: &mut Run<'_>, state: &State, request: &HttpRequest) -> Turn {
    let mut url = run.render(&request.url).trim().to_owned();
    let mut body = run.render(&request.body);
    let pairs = run.render_pairs(&request.parameters);
    let mut content_type = request.content_type.clone();
    run.clear_outputs(state.name());
    if url.is_empty() {
        run.note("the URL is empty after rendering");
        return Turn::Leave("failed");
    }
    let post = request.method == "POST";
    let form = form(&pairs);
    if !post {
        if !form.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&form);
        }
        body.clear();
    } else if body.is_empty() && !form.is_empty() {
        // Parameters travel as a form whatever the content type says; a JSON body is written as `body`.
        FORM.clone_into(&mut content_type);
        body = form;
    }
    if body.is_empty() {
        content_type.clear();
    }
    let id = run.next_id();
    let method = if post { "POST" } else { "GET" }.to_owned();
    run.effect(Effect::Http { id, method, url, content_type, body });
    Turn::Wait(Wait::Http(id))
}

pub(super) fn resume(run: &mut Run<'_>, state: &State, id: u64, input: Input) -> Option<Turn> {
    if input == Input::Restarted {
        return Some(again(run, state));
    }
    let Input::HttpDone(done, answer) = input else { return None };
    if done != id {
        return None;
    }
    Some(match answer {
        HttpAnswer::Failed { why } => {
            run.note(why);
            Turn::Leave("failed")
        }
        HttpAnswer::Answered { body, .. } if body.len() > MAX_BODY => {
            run.note(format!("the answer is larger than 4 MB ({} bytes)", body.len()));
            Turn::Leave("failed")
        }
        HttpAnswer::Answered { status, content_type, body, age, stale } => {
            outputs(run, state.name(), status, content_type, body);
            run.set(&["widgets", state.name(), "stale"], Value::Bool(stale));
            if let Some(age) = age {
                run.set(&["widgets", state.name(), "age_seconds"], Value::from(age.as_secs()));
                run.set(&["widgets", state.name(), "age"], Value::from(in_words(age)));
            }
            if (200..300).contains(&status) {
                Turn::Leave("success")
            } else {
                run.note(format!("answered with status {status}"));
                Turn::Leave("failed")
            }
        }
    })
}

/// The box went down while the request was under way: a GET is made again, a POST may have been carried out.
fn again(run: &mut Run<'_>, state: &State) -> Turn {
    match state.kind() {
        StateKind::HttpRequest(request) if request.method != "POST" => enter(run, state, request),
        _ => {
            run.note("the box went down while the request was under way");
            Turn::Leave("failed")
        }
    }
}

/// `status_code`, `content_type`, `parsed` (JSON only) and `body`, as `make-http-request` and `run-function` have
/// them.
pub(super) fn outputs(run: &mut Run<'_>, name: &str, status: u16, content_type: String, body: String) {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    run.set(&["widgets", name, "status_code"], Value::from(status));
    run.set(&["widgets", name, "content_type"], Value::from(content_type));
    let json = media == "application/json" || media.ends_with("+json");
    match json.then(|| context::json(&body)) {
        Some(Ok(parsed)) => {
            run.set(&["widgets", name, "parsed"], parsed);
            let elsewhere = format!("widgets.{name}.parsed");
            run.set_same(&["widgets", name, "body"], Value::String(body), &elsewhere);
        }
        Some(Err(fault)) => {
            run.note(format!("the answer says that it is JSON and cannot be taken as such: {fault}"));
            run.set(&["widgets", name, "body"], Value::String(body));
        }
        None => run.set(&["widgets", name, "body"], Value::String(body)),
    }
}

/// `a=1&b=x%20y`
fn form(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", percent(key), percent(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An age for people, rounded down: `less than a minute`, `1 minute`, `3 hours`, `2 days`.
fn in_words(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    let (count, unit) = match minutes {
        0 => return "less than a minute".to_owned(),
        1..=59 => (minutes, "minute"),
        60..=2879 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_words() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(59), "less than a minute");
        assert_eq!(words(60), "1 minute");
        assert_eq!(words(3 * 3600 + 100), "3 hours");
        assert_eq!(words(47 * 3600), "47 hours");
        assert_eq!(words(48 * 3600), "2 days");
    }

    #[test]
    fn parameters_are_percent_encoded() {
        let pairs = [("To".to_owned(), "+1 206".to_owned()), ("q".to_owned(), "a&b=ü".to_owned())];
        assert_eq!(form(&pairs), "To=%2B1%20206&q=a%26b%3D%C3%BC");
    }
}
