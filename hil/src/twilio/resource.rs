//! Messages, calls, recordings and usage of the 2010 API, over the account's state.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::asked::{Asked, good, no_content};
use super::call::CallStatus;
use super::form;
use super::list::{Between, Wanted, framed, page};
use super::message::{Refusal, Status, refused};
use super::sim::Sim;

pub(super) fn file(sim: &Sim, sid: &str, media: &str) -> Option<Response> {
    let found = sim.message(sid)?.media.iter().find(|one| one.sid == media)?;
    let kind = HeaderValue::from_str(&found.content_type).ok()?;
    let mut response = Body::from(found.bytes.clone()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Some(response)
}

pub(super) fn wav(sim: &Sim, name: &str) -> Option<Response> {
    let sid = name.strip_suffix(".wav").unwrap_or(name);
    let found = sim.recordings.iter().find(|one| one.sid == sid && !one.deleted)?;
    Some(([(header::CONTENT_TYPE, "audio/x-wav")], found.wav.clone()).into_response())
}

pub(super) fn messages(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    match (asked.method.as_str(), rest) {
        ("POST", []) => Ok(good(201, &sim.create_message(&asked.form)?.json(&account))),
        ("GET", []) => list_messages(sim, asked),
        (_, [sid, below @ ..]) => {
            let message = sim.message(sid).ok_or_else(|| asked.missing())?;
            match (asked.method.as_str(), below) {
                ("GET", []) => Ok(good(200, &message.json(&account))),
                ("POST", []) => update_message(sim, asked, sid),
                ("DELETE", []) => {
                    if message.status.next(Status::Delivered).is_some() && message.status != Status::Sent {
                        return Err(Refusal {
                            status: 409,
                            code: 20009,
                            message: "Cannot delete message before delivery is complete".to_owned(),
                        });
                    }
                    if let Some(message) = sim.message_mut(sid) {
                        message.deleted = true;
                    }
                    Ok(no_content())
                }
                ("GET", ["Media"]) => {
                    let all: Vec<_> = message.media.iter().map(|one| (one.sid.as_str(), one)).collect();
                    let shown = |at: usize| all.get(at).map(|(_, one)| message.media_json(one, &account));
                    let sids: Vec<&str> = all.iter().map(|(sid, _)| *sid).collect();
                    page(asked, "media_list", &sids, 0, shown).map(|page| good(200, &page))
                }
                ("GET", ["Media", sid]) => {
                    let media = message.media.iter().find(|one| one.sid == *sid);
                    media
                        .map(|one| good(200, &message.media_json(one, &account)))
                        .ok_or_else(|| asked.missing())
                }
                ("DELETE", ["Media", sid]) => {
                    let known = message.media.iter().any(|one| one.sid == *sid);
                    if let Some(message) = sim.message_mut(rest[0]) {
                        message.media.retain(|one| one.sid != *sid);
                    }
                    known.then(no_content).ok_or_else(|| asked.missing())
                }
                _ => Err(asked.missing()),
            }
        }
        _ => Err(asked.missing()),
    }
}

/// Only two updates exist: an empty body (redaction) and a scheduled message taken back.
fn update_message(sim: &mut Sim, asked: &Asked, sid: &str) -> Result<Response, Refusal> {
    let (now, account) = (sim.now(), sim.options.account.clone());
    let message = sim.message_mut(sid).ok_or_else(|| asked.missing())?;
    match (form::get(&asked.form, "Body"), form::get(&asked.form, "Status")) {
        (_, Some("canceled")) if message.status == Status::Scheduled => message.status = Status::Canceled,
        (_, Some(_)) => return Err(refused(30409, "Message cannot be canceled")),
        (Some(""), None) => message.body.clear(),
        (Some(_), None) => return Err(refused(20001, "Body can only be updated to an empty string")),
        (None, None) => {}
    }
    message.updated = now;
    Ok(good(200, &message.json(&account)))
}

fn list_messages(sim: &Sim, asked: &Asked) -> Result<Response, Refusal> {
    let wanted = Wanted::of(asked)?;
    let shown = sim.list_messages(&wanted, &asked.query)?;
    Ok(good(200, &framed(asked, &wanted, "messages", shown)))
}

pub(super) fn calls(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    match (asked.method.as_str(), rest) {
        ("POST", []) => Ok(good(201, &sim.create_call(&asked.form)?.json(&account))),
        ("GET", []) => {
            let query = &asked.query;
            let field = |name| form::get(query, name);
            let start = Between::of(query, "StartTime", sim.settings.days_only)?;
            let kept = sim.calls.iter().rev().filter(|call| {
                !call.deleted
                    && field("To").is_none_or(|to| call.to == to)
                    && field("From").is_none_or(|from| call.from == from)
                    && field("Status").is_none_or(|status| call.status.as_str() == status)
                    && start.holds(call.start.unwrap_or(call.created))
            });
            let found: Vec<_> = kept.collect();
            let sids: Vec<&str> = found.iter().map(|one| one.sid.as_str()).collect();
            let shown = |at: usize| found.get(at).map(|one| one.json(&account));
            page(asked, "calls", &sids, sim.settings.page_overlap, shown).map(|page| good(200, &page))
        }
        (_, [sid]) => {
            let call = sim.call_mut(sid).ok_or_else(|| asked.missing())?;
            match asked.method.as_str() {
                "GET" => {}
                "DELETE" if call.status.is_end() => {
                    call.deleted = true;
                    return Ok(no_content());
                }
                "POST" if call.status.is_end() => {
                    return Err(refused(21220, "Call is not in-progress. Cannot redirect."));
                }
                "POST" => {
                    let wanted = match form::get(&asked.form, "Status") {
                        Some("canceled") => Some(CallStatus::Canceled),
                        Some("completed") => Some(CallStatus::Completed),
                        Some(_) => return Err(refused(21218, "Invalid Status")),
                        None => None,
                    };
                    if let Some(status) = wanted {
                        sim.set_call_status(sid, status);
                    }
                }
                _ => {
                    return Err(Refusal {
                        status: 409,
                        code: 20009,
                        message: "The call has not ended".to_owned(),
                    });
                }
            }
            sim.call_mut(sid).map(|call| good(200, &call.json(&account))).ok_or_else(|| asked.missing())
        }
        ("GET", [sid, "Recordings"]) => list_recordings(sim, asked, Some(sid)),
        _ => Err(asked.missing()),
    }
}

pub(super) fn recordings(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    match (asked.method.as_str(), rest) {
        ("GET", []) => list_recordings(sim, asked, form::get(&asked.query, "CallSid")),
        (method @ ("GET" | "DELETE"), [sid]) => {
            let mut all = sim.recordings.iter_mut();
            let found = all.find(|one| one.sid == *sid && !one.deleted).ok_or_else(|| asked.missing())?;
            if method == "GET" {
                return Ok(good(200, &found.json(&account)));
            }
            found.deleted = true;
            Ok(no_content())
        }
        _ => Err(asked.missing()),
    }
}

fn list_recordings(sim: &Sim, asked: &Asked, call: Option<&str>) -> Result<Response, Refusal> {
    let created = Between::of(&asked.query, "DateCreated", sim.settings.days_only)?;
    let kept =
        sim.recordings.iter().rev().filter(|one| {
            !one.deleted && call.is_none_or(|call| one.call == call) && created.holds(one.created)
        });
    let found: Vec<_> = kept.collect();
    let sids: Vec<&str> = found.iter().map(|one| one.sid.as_str()).collect();
    let shown = |at: usize| found.get(at).map(|one| one.json(&sim.options.account));
    page(asked, "recordings", &sids, sim.settings.page_overlap, shown).map(|page| good(200, &page))
}

/// How far back a usage record reaches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    AllTime,
    ThisMonth,
    Today,
}

impl Span {
    fn start(self, today: Date) -> Date {
        match self {
            Self::AllTime => Date::MIN,
            Self::ThisMonth => today.first_of_month(),
            Self::Today => today,
        }
    }
}

/// Counts of what the simulator saw and, of messages, what they cost.
pub(super) fn usage(sim: &Sim, asked: &Asked, span: Span) -> Value {
    let account = &sim.options.account;
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let today = day(sim.now());
    let since = span.start(today);
    let within = |at: Timestamp| day(at) >= since;
    let record = |(category, count, unit, price): (&str, usize, &str, f64)| {
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "as_of": sim.now().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            "category": category,
            "count": count.to_string(),
            "count_unit": unit,
            "description": category,
            "end_date": today.to_string(),
            "price": format!("{price:.5}"),
            "price_unit": "usd",
            "start_date": since.max(jiff::civil::date(2008, 1, 1)).to_string(),
            "subresource_uris": {},
            "uri": format!("{}?Category={category}", asked.path),
            "usage": count.to_string(),
            "usage_unit": unit,
        })
    };
    let texts = |category: &'static str, inbound: Option<bool>| {
        let (mut count, mut price) = (0, 0.0);
        for one in sim.messages.iter().filter(|one| within(one.created)) {
            if inbound.is_none_or(|inbound| (one.direction == "inbound") == inbound) {
                count += 1;
                price += one.price().unwrap_or_default();
            }
        }
        (category, count, "messages", price)
    };
    let calls = sim.calls.iter().filter(|one| within(one.created)).count();
    let recordings = sim.recordings.iter().filter(|one| within(one.created)).count();
    let all = [
        texts("sms", None),
        texts("sms-inbound", Some(true)),
        texts("sms-outbound", Some(false)),
        ("calls", calls, "calls", 0.0),
        ("recordings", recordings, "recordings", 0.0),
    ];
    let wanted = form::get(&asked.query, "Category");
    let kept = all.into_iter().filter(|(category, ..)| wanted.is_none_or(|wanted| wanted == *category));
    let records: Vec<Value> = kept.map(record).collect();
    json!({
        "usage_records": records,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": records.len().saturating_sub(1),
        "first_page_uri": asked.path,
        "next_page_uri": null,
        "previous_page_uri": null,
        "uri": asked.path,
    })
}
