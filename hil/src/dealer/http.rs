//! The contract's endpoints on the books, with the planned fault in their way; and the control endpoints.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Mode;
use super::books::{Books, Kind, Written};
use super::fault::{self, Fault, Plan};

const PORTAL: &str = "<!doctype html><html><head><title>Free Wi-Fi</title></head>\
    <body><form action=\"/accept\"><button>Accept and connect</button></form></body></html>";

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// Phone numbers on one page of the customer list.
const PAGE: usize = 5;

/// What all requests share.
pub(super) struct Sim {
    pub(super) books: Books,
    pub(super) plan: Plan,
    pub(super) met: u32,
    pub(super) requests: u64,
    token: Option<String>,
}

pub(super) type Shared = Arc<Mutex<Sim>>;

impl Sim {
    pub(super) fn new(books: Books, token: Option<String>) -> Self {
        Self { books, plan: Plan::default(), met: 0, requests: 0, token }
    }
}

/// A handler that died must not take the simulator with it.
pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, Sim> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/api/capabilities", get(capabilities))
        .route("/api/customers", get(list))
        .route("/api/customers/by-phone/{phone}", get(profile))
        .route("/api/customers/{id}/transactions", get(transactions))
        .route("/api/service-orders", post(service_order))
        .route("/api/parts-orders", post(parts_order))
        .fallback(async || error(StatusCode::NOT_FOUND, "no such endpoint"))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    include: String,
    #[serde(default)]
    cursor: usize,
}

async fn capabilities(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    read(&shared, &headers, |sim, _| {
        let (key, reference) = match sim.books.mode() {
            Mode::Idempotent => (true, false),
            Mode::Reference => (false, true),
            Mode::Bare => return None,
        };
        Some(object(json!({ "idempotency_key": key, "client_reference": reference })))
    })
    .await
}

async fn list(State(shared): State<Shared>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    read(&shared, &headers, |sim, _| {
        if sim.books.mode() == Mode::Bare {
            return None;
        }
        let all = sim.books.customers();
        let page: Vec<Value> =
            all.iter().skip(asked.cursor).take(PAGE).map(|one| json!({ "phone": one.phone })).collect();
        let next = asked.cursor + PAGE;
        let next = (next < all.len()).then(|| format!("/api/customers?fields=phone&cursor={next}"));
        Some(object(json!({ "customers": page, "next": next })))
    })
    .await
}

async fn profile(
    State(shared): State<Shared>,
    Path(phone): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    read(&shared, &headers, |sim, _| {
        sim.books.customer_by_phone(&phone).map(|customer| customer.profile(&asked.include))
    })
    .await
}

async fn transactions(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    read(&shared, &headers, |sim, _| sim.books.transactions(&id, &asked.include)).await
}

async fn service_order(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    write(&shared, &headers, Kind::Service, body).await
}

async fn parts_order(State(shared): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    write(&shared, &headers, Kind::Parts, body).await
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn error(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// The fault that this request meets.
fn meet(shared: &Shared, headers: &HeaderMap, write: bool) -> Fault {
    let mut guard = lock(shared);
    let sim = &mut *guard;
    sim.requests += 1;
    let fault = sim.plan.take(write, &mut sim.met);
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let allowed = sim.token.as_ref().is_none_or(|token| sent == Some(format!("Bearer {token}").as_str()));
    if allowed { fault } else { Fault::WrongToken }
}

async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
}

/// What a fault answers before anything is done; `None` when the request goes on to the books.
async fn refused_at_the_door(fault: Fault) -> Option<Response> {
    Some(match fault {
        Fault::Slow { seconds } => {
            pause(seconds).await;
            return None;
        }
        Fault::Silence => std::future::pending().await,
        Fault::Down | Fault::Unavailable => error(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance"),
        Fault::Error500 => error(StatusCode::INTERNAL_SERVER_ERROR, "database is locked"),
        Fault::Portal => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PORTAL).into_response(),
        Fault::Redirect => {
            (StatusCode::FOUND, [(header::LOCATION, "http://portal.example/login")], PORTAL).into_response()
        }
        Fault::Refuse => error(StatusCode::UNPROCESSABLE_ENTITY, "the shop does not take this"),
        Fault::WrongToken => error(StatusCode::UNAUTHORIZED, "bad token"),
        Fault::TooMany { retry_after } => {
            let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "slow down");
            answer.headers_mut().insert(header::RETRY_AFTER, retry_after.into());
            answer
        }
        Fault::None
        | Fault::CommitThenSilence
        | Fault::CommitThen500
        | Fault::CommitLate { .. }
        | Fault::MissingFields
        | Fault::WrongTypes
        | Fault::TenMegabytes
        | Fault::Truncated
        | Fault::Flapping => return None,
    })
}

/// A good answer, spoilt as the fault says.
async fn answered(fault: Fault, status: StatusCode, mut answer: Map<String, Value>) -> Response {
    match fault {
        Fault::CommitThenSilence => return std::future::pending().await,
        Fault::CommitThen500 => return error(StatusCode::INTERNAL_SERVER_ERROR, "something broke"),
        Fault::MissingFields => fault::without_required(&mut answer),
        Fault::WrongTypes => fault::with_wrong_types(&mut answer),
        Fault::TenMegabytes => return (status, JSON, fault::with_ten_megabytes(&answer)).into_response(),
        Fault::Truncated => {
            let text = Value::Object(answer).to_string();
            let half: String = text.chars().take(text.chars().count() / 2).collect();
            return (status, JSON, half).into_response();
        }
        Fault::None
        | Fault::Slow { .. }
        | Fault::CommitLate { .. }
        | Fault::Down
        | Fault::Unavailable
        | Fault::Error500
        | Fault::Silence
        | Fault::Portal
        | Fault::Redirect
        | Fault::Refuse
        | Fault::WrongToken
        | Fault::TooMany { .. }
        | Fault::Flapping => {}
    }
    (status, Json(answer)).into_response()
}

async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    look: impl FnOnce(&Sim, &HeaderMap) -> Option<Map<String, Value>>,
) -> Response {
    let fault = meet(shared, headers, false);
    if let Some(refused) = refused_at_the_door(fault).await {
        return refused;
    }
    if let Fault::CommitLate { seconds } = fault {
        pause(seconds).await;
    }
    let found = look(&lock(shared), headers);
    match found {
        Some(answer) => answered(fault, StatusCode::OK, answer).await,
        None => error(StatusCode::NOT_FOUND, "not found"),
    }
}

async fn write(shared: &Shared, headers: &HeaderMap, kind: Kind, body: Value) -> Response {
    let fault = meet(shared, headers, true);
    if let Some(refused) = refused_at_the_door(fault).await {
        return refused;
    }
    const KEY: HeaderName = HeaderName::from_static("idempotency-key");
    let key = headers.get(KEY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let written: io::Result<Written> = match fault {
        Fault::CommitLate { seconds } => {
            let shared = shared.clone();
            // A task of its own: this one ends when the client hangs up.
            let late = tokio::spawn(async move {
                pause(seconds).await;
                lock(&shared).books.write(kind, key, body)
            });
            late.await.unwrap_or_else(|why| Err(io::Error::other(why)))
        }
        _ => lock(shared).books.write(kind, key, body),
    };
    match written {
        Ok(Written::Created(answer)) => answered(fault, StatusCode::CREATED, answer).await,
        Ok(Written::Again(answer)) => answered(fault, StatusCode::OK, answer).await,
        Ok(Written::Refused(why)) => error(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}
