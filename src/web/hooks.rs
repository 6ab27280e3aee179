//! Webhooks of an upstream: `/twilio/{line}/message` and `/twilio/{line}/status`. A text is answered when it is durable,
//! and an error when it cannot be: then the upstream keeps it, and polling finds it. Answers hold no TwiML: what the
//! shop replies leaves through the outbox.
//!
//! Beside them the upstream fetches the files of texts here (`files`).
//!
//! Who may post is who can sign with the line's token; nothing else of a request is believed, `X-Forwarded-*` least of
//! all. A line without `auth_token` and `public_url` has no webhooks. Deliberately absent: TLS (a tunnel or a proxy
//! stands in front), and what a signature or a parameter is (`twilio`).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::files::{Files, Wanted};
use super::wire::{Bounds, Door, Peer};
use crate::config::{Config, Secret};
use crate::daemon::core::Command;
use crate::daemon::{Front, Handle};
use crate::twilio::fields::{BadFields, Fields};
use crate::twilio::signature::{self, Payload, is_genuine};
use crate::twilio::webhook;
use crate::types::{LineEvent, LineId, ShopId, Wall};

/// After the box began to stop, for answers under way.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// Between two tries to listen.
const AGAIN: Duration = Duration::from_secs(5);
/// What is wrong with requests is told in the journal so often at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Asked of who is sent away for now, seconds.
const LATER: &str = "30";
/// What is granted at the door and behind it.
#[derive(Clone, Copy, Debug)]
struct Limits {
    door: Bounds,
    /// Requests at a time whose parameters are read and checked; one more hears 503. Genuine ones that wait for a slow
    /// disk are not among them: connections are their bound.
    readings: usize,
    /// For a body, once its head is there.
    body: Duration,
    /// For the box to have it on disk.
    commit: Duration,
}

impl Limits {
    /// Twilio waits 15 s in all, and keeps connections for a while.
    fn new(max_body: usize) -> Self {
        let (request, idle) = (Duration::from_secs(15), Duration::from_secs(60));
        let door = Bounds { connections: 512, request, idle, head: 32 << 10, body: max_body };
        Self { door, readings: 64, body: Duration::from_secs(5), commit: Duration::from_secs(8) }
    }
}

const TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";

/// What became of requests since the start.
#[derive(Debug, Default)]
struct Counters {
    /// Said something new, and are durable.
    accepted: AtomicU64,
    /// Genuine, and nothing new: told before, or of a text that nobody knows.
    repeated: AtomicU64,
    /// Genuine, of a state that is not known: they change nothing.
    ignored: AtomicU64,
    /// Signed wrongly or not at all.
    forged: AtomicU64,
    /// Too large, of another type, without an id, to no line's address.
    refused: AtomicU64,
    /// Sent away for now.
    unavailable: AtomicU64,
}

impl Counters {
    fn json(&self) -> Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "accepted": count(&self.accepted),
            "repeated": count(&self.repeated),
            "ignored": count(&self.ignored),
            "forged": count(&self.forged),
            "refused": count(&self.refused),
            "unavailable": count(&self.unavailable),
        })
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A line that has webhooks.
struct Hook {
    line: LineId,
    shop: ShopId,
    token: Secret,
    /// Without a slash at the end.
    public_url: String,
}

/// All that handlers share.
struct Shared {
    hooks: BTreeMap<String, Hook>,
    limits: Limits,
    slots: Semaphore,
    counters: Arc<Counters>,
    files: Arc<Files>,
    forgeries: Complaint,
    oddities: Complaint,
}

/// Something that is said once a minute, however often it happens.
#[derive(Debug, Default)]
struct Complaint(Mutex<(Option<Instant>, u64)>);

impl Complaint {
    /// `Some(n)`: it is to be said now, and happened n times more since it was said last.
    fn due(&self) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.0.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            said.1 += 1;
            return None;
        }
        Some(std::mem::replace(&mut *said, (Some(Instant::now()), 0)).1)
    }
}

/// What serves the webhooks of the configuration's lines. `None`: nothing is to listen.
#[must_use]
pub fn front(config: &Config) -> Option<Front> {
    for line in config.upstreams.iter().filter(|line| line.public_url.is_some()) {
        let id = &line.id;
        if config.web.listen.is_none() {
            tracing::warn!(line = %id, "it has a `public_url`, and [web] does not listen: webhooks go nowhere");
        }
        if line.auth_token.is_none() {
            tracing::warn!(line = %id, "it has a `public_url`, and no `auth_token_file`: its webhooks are refused");
        }
    }
    let listen = config.web.listen?;
    let shared = Arc::new(Shared::new(config, Limits::new(config.web.max_body)));
    if shared.hooks.is_empty() {
        tracing::warn!("[web] listens, and no line has a `public_url` and an `auth_token_file`");
    }
    if listen.ip().is_unspecified() {
        tracing::warn!(%listen, "[web] listens on every address in plain HTTP: keep the Internet away from it");
    }
    let (counters, files) = (Arc::clone(&shared.counters), Arc::clone(&shared.files));
    Some(Front {
        name: "web",
        serve: Box::new(move |handle| {
            Box::pin(async move {
                if let Some(listener) = open(listen, &handle).await {
                    serve(listener, shared, handle).await;
                }
            })
        }),
        counters: Box::new(move || {
            let mut all = counters.json();
            files.count_into(&mut all);
            all
        }),
    })
}

/// A port that is taken may be free later; texts come by polling meanwhile.
async fn open(listen: SocketAddr, handle: &Handle) -> Option<TcpListener> {
    let mut said = false;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => {
                tracing::info!(%listen, "webhooks are taken");
                return Some(listener);
            }
            Err(error) if !said => {
                tracing::error!(%listen, %error, "no webhooks are taken: [web] cannot listen");
                said = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = handle.stopping() => return None,
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, handle: Handle) {
    let bounds = shared.limits.door;
    let app = router(shared, handle.clone()).into_make_service_with_connect_info::<Peer>();
    let ending = handle.clone();
    let served = axum::serve(Door::new(listener, bounds), app)
        .with_graceful_shutdown(async move { ending.stopping().await });
    let late = async {
        handle.stopping().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        ended = async { served.await } => {
            if let Err(error) = ended {
                tracing::error!(%error, "webhooks have ended");
            }
        }
        () = late => tracing::debug!("a webhook was not answered in time"),
    }
}

type Here = State<(Arc<Shared>, Handle)>;

fn router(shared: Arc<Shared>, handle: Handle) -> Router {
    let limit = DefaultBodyLimit::max(shared.limits.door.body);
    Router::new()
        .route("/twilio/{line}/message", any(message))
        .route("/twilio/{line}/status", any(status))
        .route("/twilio/{line}/file/{message}/{number}/{until}/{seal}", any(file))
        .fallback(nowhere)
        .layer(limit)
        .with_state((shared, handle))
}

/// Why a request is sent away.
#[derive(Debug)]
enum Refusal {
    NoSuchPlace,
    Method,
    Type,
    TooLarge,
    /// The body did not come, in time or at all.
    NoBody,
    Forged,
    Malformed(String),
    Unavailable(String),
}

impl Refusal {
    fn answer(self, counters: &Counters) -> Response {
        add(match &self {
            Self::Forged => &counters.forged,
            Self::Unavailable(_) => &counters.unavailable,
            Self::NoSuchPlace
            | Self::Method
            | Self::Type
            | Self::TooLarge
            | Self::NoBody
            | Self::Malformed(_) => &counters.refused,
        });
        let (code, why) = match self {
            Self::NoSuchPlace => (StatusCode::NOT_FOUND, "there is nothing here".to_owned()),
            Self::Method => {
                let why = "GET and POST are taken";
                return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, POST")], why).into_response();
            }
            Self::Type => {
                let why = "application/x-www-form-urlencoded is taken, and application/json".to_owned();
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large".to_owned()),
            Self::NoBody => (StatusCode::REQUEST_TIMEOUT, "the body did not come".to_owned()),
            Self::Forged => (StatusCode::FORBIDDEN, "the signature is wrong".to_owned()),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, why),
            Self::Unavailable(why) => {
                return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, LATER)], why).into_response();
            }
        };
        (code, why).into_response()
    }
}

async fn nowhere(State((shared, _)): Here) -> Response {
    Refusal::NoSuchPlace.answer(&shared.counters)
}

async fn message(
    State((shared, handle)): Here,
    peer: ConnectInfo<Peer>,
    Path(line): Path<String>,
    request: Request,
) -> Response {
    match shared.message(&handle, peer.0, &line, request).await {
        Ok(()) => ([(CONTENT_TYPE, "text/xml")], TWIML).into_response(),
        Err(refusal) => refusal.answer(&shared.counters),
    }
}

async fn status(
    State((shared, handle)): Here,
    peer: ConnectInfo<Peer>,
    Path(line): Path<String>,
    request: Request,
) -> Response {
    match shared.status(&handle, peer.0, &line, request).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.answer(&shared.counters),
    }
}

async fn file(
    State((shared, handle)): Here,
    Path(parts): Path<(String, String, String, String, String)>,
    method: Method,
) -> Response {
    let (line, message, number, until, seal) = &parts;
    let now = Wall(jiff::Timestamp::now().as_millisecond());
    shared.files.answer(handle.store(), &method, &Wanted { line, message, number, until, seal }, now).await
}

impl Shared {
    fn new(config: &Config, limits: Limits) -> Self {
        let hooks = config.upstreams.iter().filter_map(|line| {
            let (token, public_url) = (line.auth_token.clone()?, line.public_url.clone()?);
            let hook = Hook { line: line.id.clone(), shop: line.shop.clone(), token, public_url };
            Some((line.id.to_string(), hook))
        });
        Self {
            hooks: hooks.collect(),
            limits,
            slots: Semaphore::new(limits.readings),
            counters: Arc::default(),
            files: Arc::new(Files::new(config)),
            forgeries: Complaint::default(),
            oddities: Complaint::default(),
        }
    }

    async fn message(
        &self,
        handle: &Handle,
        peer: Peer,
        line: &str,
        request: Request,
    ) -> Result<(), Refusal> {
        let hook = self.hooks.get(line).ok_or(Refusal::NoSuchPlace)?;
        let fields = self.genuine(hook, peer, request).await?;
        let text = webhook::text(&fields).map_err(|error| self.odd(hook, error.to_string()))?;
        // The core remembers the last days; what is older is known to the store alone.
        let (shop, sid) = (hook.shop.clone(), text.sid.clone());
        let known = handle.store().read(move |reader| reader.message_by_sid(&shop, &sid)).await;
        match known {
            Ok(Some(_)) => add(&self.counters.repeated),
            Ok(None) => self.tell(handle, hook, LineEvent::Text(Box::new(text))).await?,
            Err(error) => return Err(Refusal::Unavailable(error.to_string())),
        }
        Ok(())
    }

    async fn status(&self, handle: &Handle, peer: Peer, line: &str, request: Request) -> Result<(), Refusal> {
        let hook = self.hooks.get(line).ok_or(Refusal::NoSuchPlace)?;
        let fields = self.genuine(hook, peer, request).await?;
        match webhook::status(&fields).map_err(|error| self.odd(hook, error.to_string()))? {
            Some(status) => self.tell(handle, hook, LineEvent::Status(status)).await?,
            None => add(&self.counters.ignored),
        }
        Ok(())
    }

    /// Hands it to the box and waits until it is durable.
    async fn tell(&self, handle: &Handle, hook: &Hook, event: LineEvent) -> Result<(), Refusal> {
        let command = Command::Upstream { line: hook.line.clone(), event: Box::new(event) };
        let answer = match tokio::time::timeout(self.limits.commit, handle.ask(command)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Err(Refusal::Unavailable(why.to_string())),
            Err(_) => return Err(Refusal::Unavailable("the disk takes too long".to_owned())),
        };
        let new = answer.get("new").and_then(Value::as_bool).unwrap_or(true);
        add(if new { &self.counters.accepted } else { &self.counters.repeated });
        Ok(())
    }

    /// The request's parameters, when the line's token signed them.
    async fn genuine(&self, hook: &Hook, Peer(peer): Peer, request: Request) -> Result<Fields, Refusal> {
        let busy = |_| Refusal::Unavailable("too many requests at a time".to_owned());
        let _slot = self.slots.try_acquire().map_err(busy)?;
        let bad = |error: BadFields| Refusal::Malformed(error.to_string());
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let path = uri.path_and_query().map_or(uri.path(), |whole| whole.as_str());
        let url = format!("{}{path}", hook.public_url);
        let token = hook.token.expose();
        let signature = signature_of(&headers);
        let (fields, genuine) = match *request.method() {
            Method::GET => {
                let fields = Fields::from_form(uri.query().unwrap_or_default().as_bytes()).map_err(bad)?;
                (fields, is_genuine(token, &url, Payload::None, signature))
            }
            Method::POST => {
                let kind = Kind::of(&headers).ok_or(Refusal::Type)?;
                let body = self.body(request).await?;
                match kind {
                    Kind::Form => {
                        let fields = Fields::from_form(&body).map_err(bad)?;
                        let genuine = is_genuine(token, &url, Payload::Form(&fields), signature);
                        (fields, genuine)
                    }
                    Kind::Json => {
                        if !is_genuine(token, &url, Payload::Body(&body), signature) {
                            return Err(self.forged(hook, peer));
                        }
                        (Fields::from_json(&body).map_err(bad)?, true)
                    }
                }
            }
            _ => return Err(Refusal::Method),
        };
        if genuine { Ok(fields) } else { Err(self.forged(hook, peer)) }
    }

    async fn body(&self, request: Request) -> Result<Bytes, Refusal> {
        let told = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if told.and_then(|told| told.parse::<usize>().ok()).is_some_and(|told| told > self.limits.door.body) {
            return Err(Refusal::TooLarge);
        }
        match tokio::time::timeout(self.limits.body, Bytes::from_request(request, &())).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(why)) if why.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::TooLarge),
            Ok(Err(_)) | Err(_) => Err(Refusal::NoBody),
        }
    }

    fn forged(&self, hook: &Hook, peer: SocketAddr) -> Refusal {
        if let Some(more) = self.forgeries.due() {
            tracing::warn!(
                line = %hook.line, from = %peer, more,
                "a webhook was not signed with this line's token for its `public_url`: refused"
            );
        }
        Refusal::Forged
    }

    /// Signed, and yet not to be understood: the upstream has changed, or something on the way.
    fn odd(&self, hook: &Hook, why: String) -> Refusal {
        if let Some(more) = self.oddities.due() {
            tracing::warn!(line = %hook.line, %why, more, "a genuine webhook cannot be read");
        }
        Refusal::Malformed(why)
    }
}

/// How parameters are written.
enum Kind {
    Form,
    Json,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Some(Self::Form);
        }
        kind.eq_ignore_ascii_case("application/json").then_some(Self::Json)
    }
}

/// The one signature. Several are none: who would choose?
fn signature_of(headers: &HeaderMap) -> &[u8] {
    let mut all = headers.get_all(HeaderName::from_static(signature::HEADER)).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => one.as_bytes(),
        _ => &[],
    }
}
