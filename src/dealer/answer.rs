//! The judgement whether an answer is one. Pure: what came over the wire in, a result out.
//!
//! For an order the question is whether the dealer may have written it. Only what cannot have reached his books is
//! "not sent"; whatever could have is "unknown", also when it looks like a refusal by somebody on the way.

use serde_json::Value;

use super::FetchResult;
use super::contract::{self, Read};
use crate::types::{LookUpResult, OrderId, OrderKind, PlaceResult};

/// Characters of a dealer's refusal that are kept.
const MESSAGE_MOST: usize = 500;

/// An answer as it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    pub(super) status: u16,
    /// Media type, lower case, no parameters; empty when there was none.
    pub(super) content_type: String,
    /// Seconds.
    pub(super) retry_after: Option<u32>,
    /// Where a redirection points, whole.
    pub(super) redirect: Option<Redirect>,
    pub(super) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// To the dealer's own host.
    Same,
    /// To another host: a captive portal or a login page.
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Whole(Vec<u8>),
    /// Larger than the setting; not read to its end.
    TooLarge,
    /// The connection or the time ended in the middle.
    Broken(String),
}

/// What is asked for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Profile,
    Transactions,
    Other,
}

impl Resource {
    pub(super) fn of(path: &str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or("");
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            ["api", "customers", "by-phone", _] => Self::Profile,
            ["api", "customers", _, "transactions"] => Self::Transactions,
            _ => Self::Other,
        }
    }
}

impl Raw {
    fn is_json(&self) -> bool {
        let kind = self.content_type.as_str();
        kind == "application/json" || kind == "text/json" || kind.ends_with("+json") || kind.is_empty()
    }

    fn bytes(&self) -> &[u8] {
        match &self.body {
            // Some servers begin their JSON with a byte order mark.
            Body::Whole(bytes) => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
            Body::TooLarge | Body::Broken(_) => &[],
        }
    }

    /// Whole and JSON, or why not.
    fn json(&self) -> Result<Value, String> {
        match &self.body {
            Body::TooLarge => return Err("the answer is too large".to_owned()),
            Body::Broken(why) => return Err(format!("the answer broke off: {why}")),
            Body::Whole(_) => {}
        }
        if !self.is_json() {
            return Err(format!("the answer is {}, not JSON: a captive portal?", self.content_type));
        }
        serde_json::from_slice(self.bytes()).map_err(|why| format!("the answer is not JSON: {why}"))
    }

    /// Says in words why this status is no answer; `None` for 2xx, 404 and the other 4xx that are.
    fn not_an_answer(&self) -> Option<String> {
        Some(match self.status {
            401 | 403 => {
                format!("the dealer refuses the token ({}): check it in the configuration", self.status)
            }
            407 | 511 => format!("the network wants somebody to sign in ({})", self.status),
            408 | 421 | 425 | 426 | 429 => format!("the dealer puts it off ({})", self.status),
            200..=299 | 400..=499 => return None,
            300..=399 if self.redirect == Some(Redirect::Other) => {
                format!("redirected to another host ({}): a captive portal?", self.status)
            }
            300..=399 => format!("redirected ({}): check the dealer's URL", self.status),
            status => format!("the dealer answers {status}"),
        })
    }
}

/// Judges the answer to a GET; the second is how much was left out of it.
pub(super) fn fetched(resource: Resource, raw: &Raw) -> (FetchResult, u32) {
    let nonsense = |why: String| (FetchResult::Nonsense { why }, 0);
    if let Body::Broken(why) = &raw.body {
        return (FetchResult::Unreachable { why: format!("the answer broke off: {why}") }, 0);
    }
    if let Some(why) = raw.not_an_answer() {
        return nonsense(why);
    }
    let answered =
        |status, body| FetchResult::Answered { status, content_type: "application/json".to_owned(), body };
    if raw.status == 404 && matches!(raw.body, Body::Whole(_)) && raw.bytes().trim_ascii().is_empty() {
        return (answered(404, String::new()), 0);
    }
    let value = match raw.json() {
        Ok(value) => value,
        Err(why) => return nonsense(why),
    };
    if raw.status >= 400 {
        return (answered(raw.status, value.to_string()), 0);
    }
    let read = match resource {
        Resource::Profile => contract::profile(value).and_then(text),
        Resource::Transactions => contract::transactions(value).and_then(text),
        Resource::Other => Ok(Read { value: value.to_string(), dropped: 0 }),
    };
    match read {
        Ok(Read { value, dropped }) => (answered(200, value), dropped),
        Err(why) => nonsense(why),
    }
}

fn text<T: serde::Serialize>(read: Read<T>) -> Result<Read<String>, String> {
    let value = serde_json::to_string(&read.value).map_err(|why| why.to_string())?;
    Ok(Read { value, dropped: read.dropped })
}

/// Judges the answer to a POST of an order.
pub(super) fn placed(raw: &Raw) -> PlaceResult {
    let not_sent = |why: String| PlaceResult::NotSent { why, retry_after: raw.retry_after };
    let unknown = |why: String| PlaceResult::Unknown { why };
    match raw.status {
        200..=299 => match raw.json().map(|value| value.as_object().and_then(contract::order_answer)) {
            Ok(Some(answer)) => PlaceResult::Confirmed(answer),
            Ok(None) => unknown(format!("the dealer answers {} without an order_id", raw.status)),
            Err(why) => unknown(why),
        },
        // Before the dealer's books: token, proxy, network, or not now.
        401 | 403 | 407 | 421 | 425 | 426 | 429 | 511 => {
            not_sent(raw.not_an_answer().unwrap_or_else(|| format!("the dealer answers {}", raw.status)))
        }
        // A gateway says it also of a dealer who was too slow for it.
        408 => unknown("the dealer answers 408".to_owned()),
        // Nobody who has this API answers so: the URL leads somewhere else.
        404 | 405 if !raw.is_json() => {
            not_sent(format!("{} with {}: check the dealer's URL", raw.status, raw.content_type))
        }
        400..=499 => PlaceResult::Refused { status: raw.status, message: message(raw) },
        // "It moved": nothing was done (RFC 9110 §15.4).
        301 | 307 | 308 => not_sent(raw.not_an_answer().unwrap_or_default()),
        // A portal's login page is elsewhere; a dealer who has written an order may send to its page on his host.
        302 if raw.redirect == Some(Redirect::Other) => not_sent(raw.not_an_answer().unwrap_or_default()),
        status => unknown(raw.not_an_answer().unwrap_or_else(|| format!("the dealer answers {status}"))),
    }
}

/// What the dealer said against an order: a JSON `error`, `message` or `detail`, or plain text.
fn message(raw: &Raw) -> String {
    let said = match serde_json::from_slice::<Value>(raw.bytes()) {
        Ok(value) => ["error", "message", "detail", "title"]
            .iter()
            .find_map(|name| match value.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Object(inner) => inner.get("message")?.as_str().map(str::to_owned),
                _ => None,
            })
            .unwrap_or_else(|| value.to_string()),
        Err(_) if raw.content_type == "text/html" => String::new(),
        Err(_) => String::from_utf8_lossy(raw.bytes()).trim().to_owned(),
    };
    said.chars().filter(|c| !c.is_control()).take(MESSAGE_MOST).collect()
}

/// Judges the transactions in which an order was looked for.
pub(super) fn looked_up(kind: OrderKind, order: &OrderId, raw: &Raw) -> LookUpResult {
    if let Some(why) = raw.not_an_answer() {
        return LookUpResult::Unreachable { why };
    }
    match (raw.status, raw.json()) {
        (200..=299, Ok(value)) => contract::find_order(&value, kind, order),
        (200..=299, Err(why)) => LookUpResult::Unreachable { why },
        // Also a 404: the customer was there when he ordered.
        (status, _) => LookUpResult::Unreachable { why: format!("the dealer answers {status}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(status: u16, content_type: &str, body: &str) -> Raw {
        Raw {
            status,
            content_type: content_type.to_owned(),
            retry_after: None,
            redirect: None,
            body: Body::Whole(body.as_bytes().to_vec()),
        }
    }

    fn json(status: u16, body: &str) -> Raw {
        raw(status, "application/json", body)
    }

    fn kind(result: &PlaceResult) -> &'static str {
        match result {
            PlaceResult::Confirmed(_) => "confirmed",
            PlaceResult::Refused { .. } => "refused",
            PlaceResult::NotSent { .. } => "not sent",
            PlaceResult::Unknown { .. } => "unknown",
        }
    }

    #[test]
    fn each_answer_to_an_order_is_judged_by_whether_it_may_have_been_written() {
        let redirect = |status, to| Raw { redirect: Some(to), ..raw(status, "text/html", "moved") };
        let too_large = |status| Raw { body: Body::TooLarge, ..json(status, "") };
        let broken = |status| Raw { body: Body::Broken("reset".into()), ..json(status, "") };
        for (answer, wanted) in [
            (json(201, r#"{"order_id":"SO-1"}"#), "confirmed"),
            (json(200, "\u{feff}{\"order_id\":17}"), "confirmed"),
            (json(200, "{}"), "unknown"),
            (json(202, ""), "unknown"),
            (json(200, r#"{"order_id":"#), "unknown"),
            (raw(200, "text/html", "<html>"), "unknown"),
            (too_large(200), "unknown"),
            (broken(201), "unknown"),
            (json(400, r#"{"error":"no"}"#), "refused"),
            (json(404, "{}"), "refused"),
            (json(409, "{}"), "refused"),
            (json(422, ""), "refused"),
            (raw(422, "text/html", "<h1>no</h1>"), "refused"),
            (broken(422), "refused"),
            (raw(404, "text/html", "<h1>nginx</h1>"), "not sent"),
            (json(401, "{}"), "not sent"),
            (json(403, "{}"), "not sent"),
            (json(429, "{}"), "not sent"),
            (raw(511, "text/html", "sign in"), "not sent"),
            (json(408, "{}"), "unknown"),
            (json(500, "{}"), "unknown"),
            (json(503, "{}"), "unknown"),
            (redirect(302, Redirect::Other), "not sent"),
            (redirect(302, Redirect::Same), "unknown"),
            (redirect(303, Redirect::Other), "unknown"),
            (redirect(301, Redirect::Same), "not sent"),
            (redirect(308, Redirect::Other), "not sent"),
        ] {
            assert_eq!(kind(&placed(&answer)), wanted, "{answer:?}");
        }
    }

    #[test]
    fn a_refusal_carries_what_the_dealer_said_cut_to_500_characters() {
        let said = |answer: Raw| match placed(&answer) {
            PlaceResult::Refused { message, .. } => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(json(422, r#"{"error":"no such part"}"#)), "no such part");
        assert_eq!(said(json(422, r#"{"error":{"message":"no such part"}}"#)), "no such part");
        assert_eq!(said(raw(400, "text/plain", "no\nsuch part")), "nosuch part");
        assert_eq!(said(json(422, &format!(r#"{{"error":"{}"}}"#, "é".repeat(900)))).chars().count(), 500);
        assert_eq!(said(raw(400, "text/html", "<h1>no</h1>")), "");
    }

    #[test]
    fn retry_after_travels_with_what_was_not_sent() {
        let answer = Raw { retry_after: Some(7), ..json(429, "{}") };
        assert!(matches!(placed(&answer), PlaceResult::NotSent { retry_after: Some(7), .. }));
    }

    #[test]
    fn only_json_of_the_expected_shape_is_an_answer_to_a_fetch() {
        let fetched = |answer: &Raw| match fetched(Resource::Profile, answer).0 {
            FetchResult::Answered { status, .. } => format!("answered {status}"),
            FetchResult::Nonsense { .. } => "nonsense".to_owned(),
            FetchResult::Unreachable { .. } => "unreachable".to_owned(),
        };
        for (answer, wanted) in [
            (json(200, r#"{"customer_id":"C-1"}"#), "answered 200"),
            (raw(203, "application/hal+json", r#"{"customer_id":"C-1"}"#), "answered 200"),
            (raw(200, "", r#"{"customer_id":"C-1"}"#), "answered 200"),
            (raw(200, "text/plain", r#"{"customer_id":"C-1"}"#), "nonsense"),
            (json(200, "<html>"), "nonsense"),
            (json(200, "null"), "nonsense"),
            (json(200, r#"{"name":"Dana"}"#), "nonsense"),
            (json(200, &"[".repeat(100_000)), "nonsense"),
            (json(404, ""), "answered 404"),
            (raw(404, "text/html", " \n"), "answered 404"),
            (json(404, r#"{"error":"nobody"}"#), "answered 404"),
            (raw(404, "text/html", "<h1>nginx</h1>"), "nonsense"),
            (json(400, r#"{"error":"bad phone"}"#), "answered 400"),
            (json(401, "{}"), "nonsense"),
            (json(302, ""), "nonsense"),
            (json(503, "{}"), "nonsense"),
            (Raw { body: Body::TooLarge, ..json(200, "") }, "nonsense"),
            (Raw { body: Body::Broken("time-out".into()), ..json(200, "") }, "unreachable"),
        ] {
            assert_eq!(fetched(&answer), wanted, "{answer:?}");
        }
    }

    #[test]
    fn the_path_says_what_is_expected() {
        assert_eq!(Resource::of("/api/customers/by-phone/%2B12065550101?include=parts"), Resource::Profile);
        assert_eq!(Resource::of("/api/customers/C-1/transactions"), Resource::Transactions);
        assert_eq!(Resource::of("/api/customers?fields=phone"), Resource::Other);
    }
}
