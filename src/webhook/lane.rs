//! The edge's loop: each endpoint has a lane of its own, so that one that hangs does not hold up another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::client::Endpoint;
use super::{WebhookCommand, WebhookConfig, WebhookEvent};
use crate::types::{EventAnswer, ShopId};

/// Tries at a time, of one endpoint.
const AT_ONCE: usize = 4;
/// Tries that may wait for their turn; the daemon asks for fewer.
const WAITING_MOST: usize = 32;
/// At shutdown, how long tries that are under way may still take.
const GRACE: Duration = Duration::from_secs(1);

struct Lane {
    endpoint: Result<Arc<Endpoint>, String>,
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

struct Edge {
    lanes: BTreeMap<(ShopId, String), Lane>,
    events: mpsc::Sender<WebhookEvent>,
    tasks: JoinSet<()>,
}

/// Runs until `shutdown` says true (or its sender or the commands' is gone). Every command gets exactly one event; at
/// shutdown those that have not begun are answered as not tried, those under way have a second to end. One that is cut
/// off then is tried again after the next start, under the same id.
pub async fn run(
    configs: Vec<WebhookConfig>,
    mut commands: mpsc::Receiver<WebhookCommand>,
    events: mpsc::Sender<WebhookEvent>,
    mut shutdown: watch::Receiver<bool>,
) {
    crate::http::install_tls();
    let mut edge = Edge::new(configs, events);
    loop {
        tokio::select! {
            // Err: whoever could say so is gone.
            _ = shutdown.wait_for(|stop| *stop) => break,
            command = commands.recv() => match command {
                Some(command) => edge.handle(command),
                None => break,
            },
            Some(ended) = edge.tasks.join_next() => log_panic(ended),
        }
    }
    commands.close();
    for lane in edge.lanes.values() {
        lane.turns.close();
    }
    while let Ok(command) = commands.try_recv() {
        edge.refuse(command, "the box is shutting down");
    }
    let drained = async {
        while let Some(ended) = edge.tasks.join_next().await {
            log_panic(ended);
        }
    };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        tracing::debug!(tries = edge.tasks.len(), "deliveries of events were cut off by the shutdown");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(why) = ended {
        tracing::error!(%why, "a delivery of an event died; it is tried again later");
    }
}

impl Edge {
    fn new(configs: Vec<WebhookConfig>, events: mpsc::Sender<WebhookEvent>) -> Self {
        let lanes = configs.into_iter().map(|config| {
            let key = (config.shop.clone(), config.id.clone());
            let endpoint = Endpoint::new(config).map(Arc::new);
            if let Err(why) = &endpoint {
                tracing::error!(webhook = key.1, why, "the webhook cannot be used");
            }
            let (turns, room) = (Semaphore::new(AT_ONCE), Semaphore::new(AT_ONCE + WAITING_MOST));
            (key, Lane { endpoint, turns: Arc::new(turns), room: Arc::new(room) })
        });
        Self { lanes: lanes.collect(), events, tasks: JoinSet::new() }
    }

    fn handle(&mut self, command: WebhookCommand) {
        let lane = self.lanes.get(&(command.shop.clone(), command.endpoint.clone()));
        let Some(lane) = lane else { return self.refuse(command, "there is no such webhook") };
        let endpoint = match &lane.endpoint {
            Ok(endpoint) => endpoint.clone(),
            Err(why) => {
                let answer = EventAnswer::NoAnswer { why: why.clone() };
                return self.answer(command, answer);
            }
        };
        let Ok(room) = lane.room.clone().try_acquire_owned() else {
            return self.refuse(command, "too many deliveries wait for this webhook");
        };
        let (turns, events) = (lane.turns.clone(), self.events.clone());
        self.tasks.spawn(async move {
            let (shop, name, id) = (command.shop.clone(), command.endpoint.clone(), command.id.clone());
            let answer = match turns.acquire_owned().await {
                Ok(_turn) => endpoint.deliver(command).await,
                Err(_closed) => EventAnswer::NotTried { why: "the box is shutting down".to_owned() },
            };
            drop(room);
            report(&events, WebhookEvent { shop, endpoint: name, id, answer }).await;
        });
    }

    fn refuse(&mut self, command: WebhookCommand, why: &str) {
        self.answer(command, EventAnswer::NotTried { why: why.to_owned() });
    }

    /// Answers in a task, so that a slow reader of the events does not hold up the loop.
    fn answer(&mut self, command: WebhookCommand, answer: EventAnswer) {
        let WebhookCommand { shop, endpoint, id, .. } = command;
        let (events, event) = (self.events.clone(), WebhookEvent { shop, endpoint, id, answer });
        self.tasks.spawn(async move { report(&events, event).await });
    }
}

async fn report(events: &mpsc::Sender<WebhookEvent>, event: WebhookEvent) {
    if events.send(event).await.is_err() {
        // The daemon is gone: what matters is in its rows.
        tracing::debug!("nobody hears how an event was delivered");
    }
}
