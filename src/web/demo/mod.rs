//! The demonstration's page: a phone to text the shop with, and beside it what the box does. Served on loopback only,
//! to this machine's browser only: foreign `Host` headers (DNS rebinding) and posts of other origins are refused.
//!
//! What is shown comes in as a [`View`], what is done goes out as a [`Deed`]: the page knows nothing of modems and
//! dealers. It looks for no account: whoever can reach this machine's loopback can type here.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// How long a browser waits for news before it is told that there are none.
const NO_NEWS: Duration = Duration::from_secs(20);
/// Longest body of a post, in bytes.
const LONGEST: usize = 64 * 1024;
/// One page, three files, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Everything that the page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// As customers read it.
    pub shop: String,
    /// The number that customers text.
    pub number: String,
    /// Whom one can be.
    pub people: Vec<Person>,
    /// Texts and remarks, oldest first.
    pub texts: Vec<Text>,
    /// Whether the dealer's system is switched on.
    pub dealer_on: bool,
    /// What the box thinks of that; `None` while it does not run.
    pub dealer_reached: Option<bool>,
    /// The box runs.
    pub box_on: bool,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Texts that wait for a line.
    pub queued: u64,
    /// Newest first.
    pub orders: Vec<Order>,
    /// Each person's last steps, newest first.
    pub steps: BTreeMap<String, Vec<Step>>,
}

/// Somebody to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// E.164.
    pub phone: String,
    /// Name.
    pub name: String,
    /// Machines.
    pub owns: Vec<String>,
    /// Answers customers instead of asking.
    pub staff: bool,
}

/// A text, or a remark when `person` is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Text {
    /// Whom it is with, E.164.
    pub person: String,
    /// The shop wrote it.
    pub from_shop: bool,
    /// Words.
    pub body: String,
    /// Time of day, to the second.
    pub at: String,
}

/// A modem.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// `sim1`.
    pub id: String,
    /// Texts can be sent by it.
    pub up: bool,
    /// The network's name.
    pub operator: String,
}

/// An order to the dealer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    /// OR…
    pub id: String,
    /// `service`, `parts`.
    pub kind: String,
    /// `queued`, `confirmed`, …
    pub state: String,
    /// Nothing more will come of it.
    pub settled: bool,
}

/// A step of a flow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Which flow.
    pub flow: String,
    /// Widget that was left.
    pub from: String,
    /// Why.
    pub event: String,
    /// Widget that was entered.
    pub to: String,
}

/// What somebody did on the page.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// Texted the shop.
    Text {
        /// E.164.
        from: String,
        /// Words.
        body: String,
    },
    /// Switched the dealer's system.
    Dealer {
        /// On or off.
        on: bool,
    },
    /// Pulled the box's power.
    // Braces: an extra field beside a unit variant would pass unseen.
    Cut {},
}

/// How a deed went.
pub type Done = oneshot::Sender<Result<(), String>>;

/// What the page is connected to.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is shown. When the sender goes, the page says that the demonstration is over.
    pub views: watch::Receiver<Arc<View>>,
    /// Where deeds go.
    pub deeds: mpsc::Sender<(Deed, Done)>,
}

/// Serves the page until it is dropped.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, page: Page) -> io::Result<()> {
    axum::serve(listener, router(page)).await
}

#[derive(Clone)]
struct Shared {
    page: Page,
    /// Ids of events of another run mean nothing in this one.
    run: String,
}

fn router(page: Page) -> Router {
    let run = format!("{:x}", std::process::id());
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/events", get(events))
        .route("/deeds", post(deed))
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(from_fn(only_from_here))
        .with_state(Shared { page, run })
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// Refuses what does not come from a page of this server.
async fn only_from_here(request: Request, next: Next) -> Response {
    if let Err(why) = is_from_here(request.headers(), request.method() == axum::http::Method::GET) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}

fn is_from_here(headers: &HeaderMap, reads: bool) -> Result<(), &'static str> {
    let one = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let host = one(HOST).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    if !["127.0.0.1", "localhost", "[::1]"].contains(&name) {
        return Err("open this page by its address on this machine, 127.0.0.1\n");
    }
    let origin_is_ours = one(ORIGIN).is_none_or(|o| o.strip_prefix("http://") == Some(host));
    let site = one(HeaderName::from_static("sec-fetch-site"));
    let site_is_ours = site.is_none_or(|s| s == "same-origin" || s == "none");
    if reads || (origin_is_ours && site_is_ours) {
        return Ok(());
    }
    Err("another page may not write here\n")
}

/// Server-sent events, one an answer: the browser asks again at once and says what it has seen (`Last-Event-ID`), so
/// that a page that slept or lost the server is whole again with one event.
async fn events(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let seen = headers.get("last-event-id").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let id = |view: &View| format!("{}-{:x}", shared.run, fingerprint(view));
    let mut views = shared.page.views.clone();
    let news = tokio::time::timeout(NO_NEWS, views.wait_for(|view| id(view) != seen)).await;
    let text = match news {
        Ok(Ok(view)) => match serde_json::to_string(view.as_ref()) {
            Ok(json) => format!("retry: 30\nid: {}\ndata: {json}\n\n", id(&view)),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
        // 204 tells a browser to stop asking (HTML standard, §9.2.3).
        Ok(Err(_)) => return StatusCode::NO_CONTENT.into_response(),
        Err(_) => "retry: 30\n: nothing new\n\n".to_owned(),
    };
    ([(CONTENT_TYPE, "text/event-stream")], text).into_response()
}

/// Two views that differ in what is shown have, in all likelihood, two fingerprints.
fn fingerprint(view: &View) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(serde_json::to_string(view).unwrap_or_default().as_bytes());
    hasher.finish()
}

async fn deed(State(shared): State<Shared>, Json(deed): Json<Deed>) -> Response {
    let (done, outcome) = oneshot::channel();
    let over = || (StatusCode::SERVICE_UNAVAILABLE, "the demonstration is over\n").into_response();
    if shared.page.deeds.send((deed, done)).await.is_err() {
        return over();
    }
    match outcome.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(why)) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
        Err(_) => over(),
    }
}
