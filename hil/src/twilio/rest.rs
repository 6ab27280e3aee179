//! The door of the REST APIs: who may come in, which resource is asked, and the planned fault in its way. The resources
//! themselves are in `resource`, `number`, `sip`, `studio`, `service` and `consents`. Deliberately absent: subaccounts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::rustls::ClientConfig;

use super::asked::{Asked, Product, good, json_error};
use super::consents::consents;
use super::content::contents;
use super::fault::{self, Fault, Met};
use super::message::{Refusal, refused};
use super::number::{bought_in_a_test, numbers};
use super::resource::{Span, calls, file, messages, recordings, usage, wav};
use super::service::services;
use super::sim::Sim;
use super::sip::sip;
use super::studio::flows;
use super::wire::Wire;
use crate::rtp::srtp::to_base64;

/// What the requests, the control and the loop share.
#[derive(Clone)]
pub(super) struct Shared {
    sim: Arc<Mutex<Sim>>,
    /// Something may be due earlier than the loop thinks.
    pub(super) wake: Arc<Notify>,
    /// Something was done that a test may wait for.
    pub(super) changed: Arc<Notify>,
    /// Webhooks leave over so many connections at once.
    pub(super) gate: Arc<Semaphore>,
    /// Whom https webhooks trust.
    pub(super) tls: Arc<ClientConfig>,
}

/// Connections that webhooks take at most.
const WEBHOOKS_AT_ONCE: usize = 100;

impl Shared {
    pub(super) fn new(sim: Sim, tls: Arc<ClientConfig>) -> Self {
        Self {
            sim: Arc::new(Mutex::new(sim)),
            wake: Arc::default(),
            changed: Arc::default(),
            gate: Arc::new(Semaphore::new(WEBHOOKS_AT_ONCE)),
            tls,
        }
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
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let asked = Asked::of(&parts.method, host, path, query, &body);
    let write = asked.method != Method::GET;
    let (fault, at_once, _in_flight) = {
        let mut sim = shared.lock();
        sim.in_flight += 1;
        let at_once = sim.in_flight;
        sim.stats.requests += 1;
        sim.stats.most_at_once = sim.stats.most_at_once.max(at_once);
        *sim.stats.by_resource.entry(asked.resource()).or_default() += 1;
        *sim.stats.by_path.entry(asked.pattern()).or_default() += 1;
        let crowded = sim.settings.max_concurrent.is_some_and(|most| at_once > most);
        let target = format!("{path}?{query}");
        let met = Met { write, target: &target, values: [&asked.form, &asked.query] };
        let fault =
            if crowded { Fault::TooMany { retry_after: 1 } } else { fault::take(&mut sim.plans, &met) };
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
    drop(sim);
    shared.changed.notify_waiters();
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
        Fault::Suspended => refusal(403, 20005, "Account not active"),
        Fault::Status { status, code } => refusal(status, code, "A planned fault"),
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
        | Fault::Truncated
        | Fault::CutBody
        | Fault::SlowBody { .. } => None,
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
        Fault::CutBody | Fault::SlowBody { .. } => {
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            if let Fault::SlowBody { seconds } = fault {
                // A head is some 300 bytes; ten pieces in all.
                let pause = Duration::try_from_secs_f64(seconds / 10.0).unwrap_or_default();
                wire.trickle((body.len() + 300) / 10, pause);
            } else {
                wire.cut_after(body.len() / 2);
            }
            Response::from_parts(parts, body.into())
        }
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
        | Fault::Suspended
        | Fault::Status { .. }
        | Fault::Portal => response,
    }
}

fn unauthorized() -> Refusal {
    Refusal { status: 401, code: 20003, message: "Authenticate".to_owned() }
}

fn perform(sim: &mut Sim, asked: &Asked, credentials: Option<&str>) -> Result<Response, Refusal> {
    let opens = |(user, password): &(String, String)| {
        let expected = format!("Basic {}", to_base64(format!("{user}:{password}").as_bytes()));
        credentials == Some(expected.as_str())
    };
    if sim.options.test_account.as_ref().is_some_and(opens) {
        return perform_test(sim, asked);
    }
    let account = (sim.options.account.clone(), sim.options.auth_token.clone());
    if !opens(&account) && !sim.options.api_key.as_ref().is_some_and(opens) {
        return Err(unauthorized());
    }
    match asked.product {
        Some(Product::Api) => perform_2010(sim, asked),
        Some(Product::Studio) => flows(sim, asked),
        Some(Product::Messaging) => services(sim, asked),
        Some(Product::Accounts) => consents(sim, asked),
        Some(Product::Content) => contents(sim, asked),
        None => Err(asked.missing()),
    }
}

fn perform_2010(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    let [account, resource @ ..] = &segments[..] else { return Err(asked.missing()) };
    if *account != sim.options.account {
        return Err(asked.missing());
    }
    let span = |name: &str| match name {
        "ThisMonth" => Some(Span::ThisMonth),
        "Today" => Some(Span::Today),
        "AllTime" => Some(Span::AllTime),
        _ => None,
    };
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
        ["SIP", rest @ ..] => sip(sim, asked, rest),
        ["Usage", "Records"] => Ok(good(200, &usage(sim, asked, Span::AllTime))),
        ["Usage", "Records", name] => {
            span(name).map(|span| good(200, &usage(sim, asked, span))).ok_or_else(|| asked.missing())
        }
        [] => Ok(good(200, &account_json(sim))),
        _ => Err(asked.missing()),
    }
}

/// Test credentials: magic numbers only, three things to create, and nothing is kept or sent.
fn perform_test(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    let account = sim.options.test_account.as_ref().map(|(account, _)| account.clone()).unwrap_or_default();
    let resource = match &segments[..] {
        [owner, resource] if *owner == account && asked.method == Method::POST && asked.json => *resource,
        _ => "",
    };
    match resource {
        "Messages" => {
            let message = sim.draft_message(&asked.form, true)?;
            Ok(good(201, &message.json(&account)))
        }
        "Calls" => {
            let call = sim.draft_call(&asked.form, true)?;
            Ok(good(201, &call.json(&account)))
        }
        "IncomingPhoneNumbers" => {
            let sid = sim.sid("PN");
            bought_in_a_test(sim, asked, sid)
        }
        _ => Err(Refusal {
            status: 403,
            ..refused(20008, "Resource not accessible with Test Account Credentials")
        }),
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
