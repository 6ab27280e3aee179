//! `hil twilio`: Twilio as a program, and its control endpoints.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bulk, Content, Forged, Inbound, Number, Options, Plan, Service, Settings, Status, Twilio};

/// `hil twilio`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the REST API listens
    #[arg(long, default_value = "127.0.0.1:8091")]
    listen: SocketAddr,
    /// Where the control endpoints (/_sim/…) listen, also while the API is down
    #[arg(long, default_value = "127.0.0.1:8092")]
    control: SocketAddr,
    /// The account's SID
    #[arg(long, default_value = "AC00000000000000000000000000000001")]
    account: String,
    /// Its token, which also signs webhooks
    #[arg(long, default_value = "simulated-auth-token")]
    auth_token: String,
    /// An API key that is let in too: SK…:SECRET
    #[arg(long, value_parser = key)]
    api_key: Option<(String, String)>,
    /// Test credentials, which take magic numbers and send nothing: AC…:TOKEN
    #[arg(long, value_parser = key)]
    test_account: Option<(String, String)>,
    /// PEM file of the authority that https webhooks trust
    #[arg(long)]
    webhook_ca: Option<PathBuf>,
    /// One of the account's numbers; may be repeated
    #[arg(long, default_value = "+12065550199")]
    number: Vec<String>,
    /// Another seed makes other SIDs
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn key(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once(':').ok_or("SID:SECRET is wanted")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// Runs until SIGINT or SIGTERM. Prints one JSON line when it listens: `{"url":…,"control":…}`.
pub async fn run(args: Args) -> ExitCode {
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Whoever started it reads standard error; if that is gone, nobody does.
            drop(writeln!(io::stderr(), "hil twilio: {why}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> io::Result<()> {
    let control = tokio::net::TcpListener::bind(args.control).await?;
    let twilio = Twilio::start(Options {
        listen: args.listen,
        account: args.account,
        auth_token: args.auth_token,
        api_key: args.api_key,
        test_account: args.test_account,
        webhook_ca: args.webhook_ca.map(std::fs::read_to_string).transpose()?,
        numbers: args.number,
        seed: args.seed,
        url: String::new(),
    })?;
    let line = json!({ "url": twilio.url(), "control": format!("http://{}", control.local_addr()?) });
    writeln!(io::stdout(), "{line}")?;
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        served = axum::serve(control, router(Arc::new(twilio))) => served,
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

type Sim = State<Arc<Twilio>>;

fn router(twilio: Arc<Twilio>) -> Router {
    Router::new()
        .route("/_sim/faults", post(faults))
        .route("/_sim/settings", get(settings).post(set))
        .route("/_sim/numbers", post(number))
        .route("/_sim/inbound", post(inbound))
        .route("/_sim/bulk", post(bulk))
        .route("/_sim/replay", post(replay))
        .route("/_sim/forged", post(forged))
        .route("/_sim/services", post(service))
        .route("/_sim/templates", post(template))
        .route("/_sim/outbound", get(async |State(twilio): Sim| Json(twilio.outbound())))
        .route("/_sim/replies", get(async |State(twilio): Sim| Json(twilio.replies())))
        .route("/_sim/sends", get(sends))
        .route("/_sim/recordings", post(recording))
        .route("/_sim/webhook", post(webhook))
        .route("/_sim/blocks", get(blocks).post(block))
        .route("/_sim/consents", get(async |State(twilio): Sim| Json(twilio.consents())))
        .route("/_sim/messages", get(messages))
        .route("/_sim/messages/{sid}", post(message))
        .route("/_sim/sip", get(async |State(twilio): Sim| Json(twilio.sip_users())))
        .route("/_sim/deliveries", get(async |State(twilio): Sim| Json(twilio.deliveries())))
        .route("/_sim/stats", get(async |State(twilio): Sim| Json(twilio.stats())))
        .route("/_sim/down", post(async |State(twilio): Sim| done(twilio.stop_listening())))
        .route("/_sim/up", post(async |State(twilio): Sim| done(twilio.resume())))
        .route("/_sim/reset", post(reset))
        .with_state(twilio)
}

async fn faults(State(twilio): Sim, Json(plans): Json<Vec<Plan>>) -> StatusCode {
    twilio.set_faults(&plans);
    StatusCode::NO_CONTENT
}

async fn settings(State(twilio): Sim) -> Json<Settings> {
    Json(twilio.settings())
}

async fn set(State(twilio): Sim, Json(settings): Json<Settings>) -> StatusCode {
    twilio.set(settings);
    StatusCode::NO_CONTENT
}

async fn number(State(twilio): Sim, Json(number): Json<Number>) -> Json<Number> {
    Json(twilio.set_number(number))
}

async fn inbound(State(twilio): Sim, Json(all): Json<Vec<Inbound>>) -> Json<Vec<String>> {
    Json(all.into_iter().map(|one| twilio.receive(one)).collect())
}

async fn bulk(State(twilio): Sim, Json(bulk): Json<Bulk>) -> StatusCode {
    twilio.receive_bulk(bulk);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Which {
    sid: String,
}

async fn replay(State(twilio): Sim, Json(which): Json<Which>) -> Json<usize> {
    Json(twilio.replay(&which.sid))
}

async fn forged(State(twilio): Sim, Json(all): Json<Vec<Forged>>) -> Json<Vec<String>> {
    Json(all.into_iter().map(|one| twilio.forge(one)).collect())
}

async fn service(State(twilio): Sim, Json(service): Json<Service>) -> Json<Service> {
    Json(twilio.set_service(service))
}

async fn template(State(twilio): Sim, Json(content): Json<Content>) -> Json<String> {
    Json(twilio.set_content(content).sid)
}

async fn sends(State(twilio): Sim) -> Json<Vec<Value>> {
    let all = twilio.sends().into_iter();
    let entry = |((to, body), count)| json!({ "to": to, "body": body, "count": count });
    Json(all.map(entry).collect())
}

#[derive(Deserialize)]
struct Voicemail {
    call_sid: String,
    seconds: u32,
}

async fn recording(State(twilio): Sim, Json(voicemail): Json<Voicemail>) -> Json<String> {
    Json(twilio.record(&voicemail.call_sid, voicemail.seconds))
}

#[derive(Deserialize)]
struct Posted {
    url: String,
    json: Value,
}

async fn webhook(State(twilio): Sim, Json(posted): Json<Posted>) -> StatusCode {
    twilio.post_json(&posted.url, &posted.json);
    StatusCode::NO_CONTENT
}

async fn blocks(State(twilio): Sim) -> Json<Vec<(String, String)>> {
    Json(twilio.blocked())
}

#[derive(Deserialize)]
struct Block {
    ours: String,
    theirs: String,
    blocked: bool,
}

async fn block(State(twilio): Sim, Json(block): Json<Block>) -> StatusCode {
    twilio.set_blocked(&block.ours, &block.theirs, block.blocked);
    StatusCode::NO_CONTENT
}

async fn messages(State(twilio): Sim) -> Json<Vec<Value>> {
    Json(twilio.messages())
}

#[derive(Deserialize)]
struct Moved {
    status: Status,
    #[serde(default)]
    error_code: Option<u32>,
}

async fn message(State(twilio): Sim, Path(sid): Path<String>, Json(moved): Json<Moved>) -> StatusCode {
    let known = twilio.set_status(&sid, moved.status, moved.error_code);
    if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn reset(State(twilio): Sim) -> StatusCode {
    twilio.reset();
    StatusCode::NO_CONTENT
}

fn done(result: io::Result<()>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => {
            (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": why.to_string() }))).into_response()
        }
    }
}
