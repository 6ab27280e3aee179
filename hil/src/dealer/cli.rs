//! `hil dealer`: the dealer as a program, and its control endpoints.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::{Dealer, Mode, Options, Plan};

/// `hil dealer`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the API listens
    #[arg(long, default_value = "127.0.0.1:8089")]
    listen: SocketAddr,
    /// Where POST /_sim/fault, GET /_sim/orders and POST /_sim/reset listen, also while the API is down
    #[arg(long, default_value = "127.0.0.1:8090")]
    control: SocketAddr,
    /// What the dealer does against an order that comes twice
    #[arg(long, value_enum, default_value = "reference")]
    mode: Mode,
    /// The bearer token that is wanted; without it everybody is let in
    #[arg(long)]
    token: Option<String>,
    /// A JSON file in which posted orders outlive the dealer
    #[arg(long)]
    state: Option<PathBuf>,
    /// A file that gets a JSON line for every order
    #[arg(long)]
    log: Option<PathBuf>,
    /// So many customers beside the dozen, with numbers from +12065550113
    #[arg(long, default_value_t = 0)]
    more_customers: usize,
    /// A fault from the start, in JSON: '"portal"', '{"slow":{"seconds":5}}'
    #[arg(long, value_parser = fault)]
    fault: Option<super::Fault>,
}

fn fault(text: &str) -> Result<super::Fault, String> {
    let bare = serde_json::Value::String(text.to_owned());
    serde_json::from_str(text).or_else(|_| serde_json::from_value(bare)).map_err(|why| why.to_string())
}

/// Runs until SIGINT or SIGTERM. Prints one JSON line when it listens: `{"url":…,"control":…}`.
pub async fn run(args: Args) -> ExitCode {
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Whoever started it reads standard error; if that is gone, nobody does.
            drop(writeln!(io::stderr(), "hil dealer: {why}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> io::Result<()> {
    let control = tokio::net::TcpListener::bind(args.control).await?;
    let options = Options {
        listen: args.listen,
        mode: args.mode,
        token: args.token,
        state: args.state,
        log: args.log,
        today: None,
        more_customers: args.more_customers,
    };
    let dealer = Arc::new(Dealer::start(options).await?);
    if let Some(fault) = args.fault {
        dealer.set_fault(fault)?;
    }
    let line = json!({ "url": dealer.url(), "control": format!("http://{}", control.local_addr()?) });
    writeln!(io::stdout(), "{line}")?;
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        served = axum::serve(control, router(dealer)) => served,
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

fn router(dealer: Arc<Dealer>) -> Router {
    Router::new()
        .route("/_sim/fault", post(set_fault))
        .route("/_sim/orders", get(orders))
        .route("/_sim/reset", post(reset))
        .with_state(dealer)
}

async fn set_fault(State(dealer): State<Arc<Dealer>>, Json(plan): Json<Plan>) -> Response {
    done(dealer.set_fault(plan))
}

async fn reset(State(dealer): State<Arc<Dealer>>) -> Response {
    done(dealer.reset())
}

async fn orders(State(dealer): State<Arc<Dealer>>) -> Response {
    Json(dealer.orders()).into_response()
}

fn done(result: io::Result<()>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => {
            (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": why.to_string() }))).into_response()
        }
    }
}
