//! The REST API of 2010-04-01 on the account's state, with the planned fault in its way. Deliberately absent:
//! subaccounts, Studio and the products with hosts of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::call::CallStatus;
use super::fault::{self, Fault};
use super::form::{self, Pairs};
use super::message::{Refusal, Status, refused};
use super::sim::{Number, Sim};
use super::wire::Wire;
use crate::rtp::srtp::to_base64;

/// What the requests, the control and the loop share.
#[derive(Clone)]
pub(super) struct Shared {
    sim: Arc<Mutex<Sim>>,
    /// Something may be due earlier than the loop thinks.
    pub(super) wake: Arc<Notify>,
}

impl Shared {
    pub(super) fn new(sim: Sim) -> Self {
        Self { sim: Arc::new(Mutex::new(sim)), wake: Arc::new(Notify::new()) }
    }

    /// A handler that died must not take the simulator with it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Sim> {
        self.sim.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

/// Counts a request for as long as it is worked on.
struct InFlight(Shared);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

async fn answer(
    State(shared): State<Shared>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let asked = Asked::of(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default(), &body);
    let write = asked.method != Method::GET;
    let (fault, at_once, _in_flight) = {
        let mut sim = shared.lock();
        sim.in_flight += 1;
        let at_once = sim.in_flight;
        sim.stats.requests += 1;
        sim.stats.most_at_once = sim.stats.most_at_once.max(at_once);
        *sim.stats.by_resource.entry(asked.resource()).or_default() += 1;
        let crowded = sim.settings.max_concurrent.is_some_and(|most| at_once > most);
        let fault =
            if crowded { Fault::TooMany { retry_after: 1 } } else { fault::take(&mut sim.plans, write) };
        (fault, at_once, InFlight(shared.clone()))
    };
    let credentials = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let mut response = match before(fault, &wire).await {
        Some(refused) => refused.unwrap_or_else(|refusal| asked.error(&refusal)),
        None => {
            let done = perform(&mut shared.lock(), &asked, credentials);
            shared.wake.notify_one();
            after(fault, &wire, done.unwrap_or_else(|refusal| asked.error(&refusal))).await
        }
    };
    let mut sim = shared.lock();
    *sim.stats.by_status.entry(response.status().as_u16()).or_default() += 1;
    let date = sim.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(header::DATE, date);
    }
    headers.insert("twilio-concurrent-requests", HeaderValue::from(at_once));
    response
}

async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
}

/// What a fault answers before anything is done; `None` when the request goes on.
async fn before(fault: Fault, wire: &Wire) -> Option<Result<Response, Refusal>> {
    let refusal =
        |status, code, message: &str| Some(Err(Refusal { status, code, message: message.to_owned() }));
    match fault {
        Fault::Slow { seconds } => {
            pause(seconds).await;
            None
        }
        Fault::TooMany { retry_after } => {
            let body = Refusal { status: 429, code: 20429, message: "Too Many Requests".to_owned() };
            let mut response = json_error(&body);
            response.headers_mut().insert(header::RETRY_AFTER, retry_after.into());
            Some(Ok(response))
        }
        Fault::Unavailable => refusal(503, 20503, "Service Unavailable"),
        Fault::Error500 => refusal(500, 20500, "Internal Server Error"),
        Fault::WrongCredentials => Some(Err(unauthorized())),
        Fault::LostRequest => {
            wire.cut();
            Some(Ok(StatusCode::NO_CONTENT.into_response()))
        }
        Fault::Silence => std::future::pending().await,
        Fault::Portal => {
            let page = "<!doctype html><title>Free Wi-Fi</title><form><button>Accept</button></form>";
            Some(Ok(([(header::CONTENT_TYPE, "text/html")], page).into_response()))
        }
        Fault::None
        | Fault::CommitThen500
        | Fault::LostAnswer
        | Fault::CommitThenSilence
        | Fault::Truncated => None,
    }
}

/// A good answer, spoilt as the fault says.
async fn after(fault: Fault, wire: &Wire, response: Response) -> Response {
    match fault {
        Fault::CommitThen500 => {
            json_error(&Refusal { status: 500, code: 20500, message: "Internal Server Error".to_owned() })
        }
        Fault::LostAnswer => {
            wire.cut();
            response
        }
        Fault::CommitThenSilence => std::future::pending().await,
        Fault::Truncated => {
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let mut half = body.slice(..body.len() / 2).into_response();
            *half.status_mut() = parts.status;
            half.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            half
        }
        Fault::None
        | Fault::Slow { .. }
        | Fault::TooMany { .. }
        | Fault::Unavailable
        | Fault::Error500
        | Fault::LostRequest
        | Fault::Silence
        | Fault::WrongCredentials
        | Fault::Portal => response,
    }
}

fn unauthorized() -> Refusal {
    Refusal { status: 401, code: 20003, message: "Authenticate".to_owned() }
}

fn json_error(refusal: &Refusal) -> Response {
    let body = json!({
        "code": refusal.code,
        "message": refusal.message,
        "more_info": format!("https://www.twilio.com/docs/errors/{}", refusal.code),
        "status": refusal.status,
    });
    good(refusal.status, &body)
}

fn good(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json;charset=utf-8")], body.to_string()).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A request, taken apart.
struct Asked {
    method: Method,
    path: String,
    /// Below `/2010-04-01/Accounts/`, the account first; without `.json`.
    segments: Vec<String>,
    json: bool,
    query: Pairs,
    form: Pairs,
}

impl Asked {
    fn of(method: &Method, path: &str, query: &str, body: &Bytes) -> Self {
        let below = path.strip_prefix("/2010-04-01/Accounts/").unwrap_or_default();
        let json = below.ends_with(".json");
        let below = below.strip_suffix(".json").unwrap_or(below);
        Self {
            method: method.clone(),
            path: path.to_owned(),
            segments: below.split('/').map(str::to_owned).collect(),
            json,
            query: form::parse(query.as_bytes()),
            form: form::parse(body),
        }
    }

    fn resource(&self) -> String {
        format!("{} {}", self.method, self.segments.get(1).map_or("Accounts", String::as_str))
    }

    /// Without `.json` the 2010 API speaks XML.
    fn error(&self, refusal: &Refusal) -> Response {
        if self.json {
            return json_error(refusal);
        }
        let Refusal { status, code, message } = refusal;
        let xml = format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><RestException><Code>{code}</Code>\
             <Message>{}</Message><MoreInfo>https://www.twilio.com/docs/errors/{code}</MoreInfo>\
             <Status>{status}</Status></RestException></TwilioResponse>",
            escaped(message)
        );
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
    }

    fn missing(&self) -> Refusal {
        let message = format!("The requested resource {} was not found", self.path);
        Refusal { status: 404, code: 20404, message }
    }
}

fn perform(sim: &mut Sim, asked: &Asked, credentials: Option<&str>) -> Result<Response, Refusal> {
    let allowed = [
        Some((&sim.options.account, &sim.options.auth_token)),
        sim.options.api_key.as_ref().map(|(sid, secret)| (sid, secret)),
    ]
    .into_iter()
    .flatten()
    .any(|(user, password)| {
        let expected = format!("Basic {}", to_base64(format!("{user}:{password}").as_bytes()));
        credentials == Some(expected.as_str())
    });
    if !allowed {
        return Err(unauthorized());
    }
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    let [account, resource @ ..] = &segments[..] else { return Err(asked.missing()) };
    if *account != sim.options.account {
        return Err(asked.missing());
    }
    match resource {
        ["Messages", sid, "Media", media] if !asked.json => {
            file(sim, sid, media).ok_or_else(|| asked.missing())
        }
        ["Recordings", name] if !asked.json && asked.method == Method::GET => {
            wav(sim, name).ok_or_else(|| asked.missing())
        }
        _ if !asked.json => Err(asked.missing()),
        ["Messages", rest @ ..] => messages(sim, asked, rest),
        ["Calls", rest @ ..] => calls(sim, asked, rest),
        ["Recordings", rest @ ..] => recordings(sim, asked, rest),
        ["IncomingPhoneNumbers", rest @ ..] => numbers(sim, asked, rest),
        ["Usage", "Records"] => Ok(good(200, &usage(sim, asked))),
        [] => Ok(good(200, &account_json(sim))),
        _ => Err(asked.missing()),
    }
}

fn account_json(sim: &Sim) -> Value {
    let account = &sim.options.account;
    json!({
        "sid": account,
        "owner_account_sid": account,
        "friendly_name": "Simulated account",
        "status": "active",
        "type": "Full",
        "uri": format!("/2010-04-01/Accounts/{account}.json"),
    })
}

fn file(sim: &Sim, sid: &str, media: &str) -> Option<Response> {
    let found = sim.message(sid)?.media.iter().find(|one| one.sid == media)?;
    let kind = HeaderValue::from_str(&found.content_type).ok()?;
    let mut response = Body::from(found.bytes.clone()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Some(response)
}

fn wav(sim: &Sim, name: &str) -> Option<Response> {
    let sid = name.strip_suffix(".wav").unwrap_or(name);
    let found = sim.recordings.iter().find(|one| one.sid == sid && !one.deleted)?;
    Some(([(header::CONTENT_TYPE, "audio/x-wav")], found.wav.clone()).into_response())
}

fn messages(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
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
                    Ok(StatusCode::NO_CONTENT.into_response())
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
                    known.then(|| StatusCode::NO_CONTENT.into_response()).ok_or_else(|| asked.missing())
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
    let (now, query) = (sim.now(), &asked.query);
    let (to, from) = (form::get(query, "To"), form::get(query, "From"));
    let sent = Between::of(query, "DateSent", sim.settings.days_only)?;
    let found: Vec<_> = sim
        .messages
        .iter()
        .rev()
        .filter(|one| !one.deleted && one.listed <= now)
        .filter(|one| to.is_none_or(|to| one.to == to))
        .filter(|one| from.is_none_or(|from| one.from.as_deref() == Some(from)))
        .filter(|one| sent.holds(one.sent.unwrap_or(one.created)))
        .collect();
    let sids: Vec<&str> = found.iter().map(|one| one.sid.as_str()).collect();
    let shown = |at: usize| found.get(at).map(|one| one.json(&sim.options.account));
    page(asked, "messages", &sids, sim.settings.page_overlap, shown).map(|page| good(200, &page))
}

fn calls(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
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
                    return Ok(StatusCode::NO_CONTENT.into_response());
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

fn recordings(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
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
            Ok(StatusCode::NO_CONTENT.into_response())
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

fn numbers(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    let json = |number: &Number| {
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "capabilities": { "voice": true, "sms": true, "mms": true, "fax": false },
            "friendly_name": number.number,
            "phone_number": number.number,
            "sid": number.sid,
            "sms_fallback_url": number.sms_fallback_url,
            "sms_method": "POST",
            "sms_url": number.sms_url,
            "status": "in-use",
            "uri": format!("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{}.json", number.sid),
            "voice_method": "POST",
            "voice_url": number.voice_url,
        })
    };
    match (asked.method.as_str(), rest) {
        ("GET", []) => {
            let wanted = form::get(&asked.query, "PhoneNumber");
            let kept = sim.numbers.iter().filter(|one| wanted.is_none_or(|wanted| one.number == wanted));
            let found: Vec<_> = kept.collect();
            let sids: Vec<&str> = found.iter().map(|one| one.sid.as_str()).collect();
            let shown = |at: usize| found.get(at).map(|one| json(one));
            page(asked, "incoming_phone_numbers", &sids, 0, shown).map(|page| good(200, &page))
        }
        (method @ ("GET" | "POST"), [sid]) => {
            let mut all = sim.numbers.iter_mut();
            let number = all.find(|one| one.sid == *sid).ok_or_else(|| asked.missing())?;
            let fields = [
                ("SmsUrl", &mut number.sms_url),
                ("SmsFallbackUrl", &mut number.sms_fallback_url),
                ("VoiceUrl", &mut number.voice_url),
            ];
            for (name, field) in fields.into_iter().filter(|_| method == "POST") {
                if let Some(value) = form::get(&asked.form, name) {
                    value.clone_into(field);
                }
            }
            Ok(good(200, &json(number)))
        }
        _ => Err(asked.missing()),
    }
}

/// Counts of what the simulator saw, not yet a price list: three categories.
fn usage(sim: &Sim, asked: &Asked) -> Value {
    let account = &sim.options.account;
    let today = sim.now().strftime("%Y-%m-%d").to_string();
    let outbound = sim.messages.iter().filter(|one| one.direction != "inbound").count();
    let record = |category: &str, count: usize, unit: &str| {
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "as_of": sim.now().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            "category": category,
            "count": count.to_string(),
            "count_unit": unit,
            "description": category,
            "end_date": today,
            "price": "0",
            "price_unit": "usd",
            "start_date": today,
            "subresource_uris": {},
            "uri": format!("/2010-04-01/Accounts/{account}/Usage/Records.json?Category={category}"),
            "usage": count.to_string(),
            "usage_unit": unit,
        })
    };
    let wanted = form::get(&asked.query, "Category");
    let all = [
        ("sms-outbound", outbound, "messages"),
        ("sms-inbound", sim.messages.len() - outbound, "messages"),
        ("calls", sim.calls.len(), "calls"),
    ];
    let kept = all.into_iter().filter(|(category, ..)| wanted.is_none_or(|wanted| wanted == *category));
    let records: Vec<Value> = kept.map(|(category, count, unit)| record(category, count, unit)).collect();
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

/// `Name>=`, `Name<=` and `Name=`: inclusive, of a day or of a point in time.
struct Between {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Between {
    fn of(query: &Pairs, name: &str, days_only: bool) -> Result<Self, Refusal> {
        let bound = |suffix: &str, end: bool| {
            let given = form::get(query, &format!("{name}{suffix}"));
            let read = |text| {
                moment(text, end, days_only).ok_or_else(|| refused(20001, format!("Invalid {name}: {text}")))
            };
            given.map(read).transpose()
        };
        // A date without comparison is the whole of its day.
        let (day, day_end) = (bound("", false)?, bound("", true)?);
        Ok(Self { from: bound(">", false)?.or(day), to: bound("<", true)?.or(day_end) })
    }

    fn holds(&self, at: Timestamp) -> bool {
        // Twilio keeps whole seconds.
        let second = at.as_second();
        self.from.is_none_or(|from| from.as_second() <= second)
            && self.to.is_none_or(|to| second <= to.as_second())
    }
}

/// A day's first or last second, or the very time when times are looked at.
fn moment(text: &str, end: bool, days_only: bool) -> Option<Timestamp> {
    let exact: Option<Timestamp> = text.parse().ok();
    if let Some(exact) = exact.filter(|_| !days_only) {
        return Some(exact);
    }
    let day: Date = exact.map(|at| at.to_zoned(TimeZone::UTC).date()).or_else(|| text.parse().ok())?;
    let time = if end { day.at(23, 59, 59, 0) } else { day.at(0, 0, 0, 0) };
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// One page of a list, newest first. `PageToken` (PA… onwards, PB… back) is the cursor and `Page` is decoration, so
/// that entries which come in meanwhile move nothing.
fn page(
    asked: &Asked,
    key: &str,
    sids: &[&str],
    overlap: usize,
    shown: impl Fn(usize) -> Option<Value>,
) -> Result<Value, Refusal> {
    let number = |name| form::get(&asked.query, name).map(str::parse::<usize>).transpose();
    let bad = |_| refused(20001, "Page and PageSize are numbers");
    let size = number("PageSize").map_err(bad)?.unwrap_or(50).clamp(1, 1000);
    let page = number("Page").map_err(bad)?.unwrap_or_default();
    let at = |sid: &str| sids.iter().position(|one| *one == sid);
    let first = match form::get(&asked.query, "PageToken") {
        None => 0,
        Some(token) => match (token.get(..2), token.get(2..).and_then(at)) {
            (Some("PA"), Some(last)) => (last + 1).saturating_sub(overlap.min(size - 1)),
            (Some("PB"), Some(next)) => next.saturating_sub(size),
            _ => return Err(refused(20001, "Invalid PageToken")),
        },
    };
    let entries: Vec<Value> = (first..sids.len().min(first + size)).filter_map(shown).collect();
    let end = first + entries.len();
    let uri = |page: usize, token: Option<String>| {
        let own = ["Page", "PageSize", "PageToken"];
        let mut query: Pairs =
            asked.query.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect();
        query.push(("PageSize".to_owned(), size.to_string()));
        query.push(("Page".to_owned(), page.to_string()));
        query.extend(token.map(|token| ("PageToken".to_owned(), token)));
        format!("{}?{}", asked.path, form::write(&query))
    };
    let next = (end < sids.len()).then(|| sids.get(end.saturating_sub(1))).flatten();
    let previous = (first > 0).then(|| sids.get(first)).flatten();
    let mut body = Map::new();
    body.insert(key.to_owned(), entries.into());
    body.insert("page".to_owned(), page.into());
    body.insert("page_size".to_owned(), size.into());
    body.insert("start".to_owned(), (page * size).into());
    body.insert("end".to_owned(), (page * size + (end - first).saturating_sub(1)).into());
    body.insert("uri".to_owned(), uri(page, form::get(&asked.query, "PageToken").map(str::to_owned)).into());
    body.insert("first_page_uri".to_owned(), uri(0, None).into());
    body.insert("next_page_uri".to_owned(), next.map(|sid| uri(page + 1, Some(format!("PA{sid}")))).into());
    let back = previous.map(|sid| uri(page.saturating_sub(1), Some(format!("PB{sid}"))));
    body.insert("previous_page_uri".to_owned(), back.into());
    Ok(body.into())
}
