//! The edge's loop: which command goes to whose client, how many at a time, and what happens at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::client::{Dealer, Others, Probe};
use super::{DealerCommand, DealerConfig, DealerEvent, FetchResult};
use crate::types::{LookUpResult, PlaceResult, ShopId};

/// Commands that may wait for their turn, per lane. More are refused: whoever asked is better off with the cache
/// or a later try.
const WAITING_MOST: usize = 256;

/// At shutdown, how long requests that are under way may still take.
const GRACE: Duration = Duration::from_secs(1);

/// Requests of flows to others, at a time and for all shops.
const OTHERS: usize = 8;

/// Largest answer of others: Studio cuts at 64 KiB, the box is more patient.
const OTHERS_BODY_MOST: usize = 1024 * 1024;

/// Some at a time, some more waiting.
struct Lane {
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

impl Lane {
    fn new(turns: usize) -> Self {
        let turns = turns.clamp(1, 64);
        Self { turns: Arc::new(Semaphore::new(turns)), room: Arc::new(Semaphore::new(turns + WAITING_MOST)) }
    }

    fn close(&self) {
        self.turns.close();
    }
}

struct Shop {
    /// Or which setting is wrong.
    dealer: Result<Arc<Dealer>, String>,
    reads: Lane,
    writes: Lane,
}

struct Edge {
    shops: BTreeMap<ShopId, Shop>,
    others: Arc<OnceLock<Others>>,
    other_lane: Lane,
    events: mpsc::Sender<DealerEvent>,
    tasks: JoinSet<()>,
}

/// Runs until `shutdown` says true (or its sender or the commands' is gone). Every command gets exactly one event;
/// at shutdown those that have not begun are answered as not sent, those under way have a second to end, and of
/// an order that is then still under way the outbox knows by its row. The receiver of the events must be read
/// until this returns.
pub async fn run(
    configs: Vec<DealerConfig>,
    mut commands: mpsc::Receiver<DealerCommand>,
    events: mpsc::Sender<DealerEvent>,
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
    edge.close();
    while let Ok(command) = commands.try_recv() {
        edge.refuse(command, "the box is shutting down");
    }
    let drained = async {
        while let Some(ended) = edge.tasks.join_next().await {
            log_panic(ended);
        }
    };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        tracing::warn!(requests = edge.tasks.len(), "requests to the dealer were cut off by the shutdown");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(why) = ended {
        tracing::error!(%why, "a request to the dealer died; its command gets no event");
    }
}

impl Edge {
    fn new(configs: Vec<DealerConfig>, events: mpsc::Sender<DealerEvent>) -> Self {
        let shops = configs
            .into_iter()
            .map(|config| {
                let (id, reads, writes) =
                    (config.shop.clone(), Lane::new(config.reads), Lane::new(config.writes));
                let dealer = Dealer::new(config).map(Arc::new);
                if let Err(why) = &dealer {
                    tracing::error!(shop = %id, why, "the dealer cannot be asked");
                }
                (id, Shop { dealer, reads, writes })
            })
            .collect();
        let others = Arc::new(OnceLock::new());
        Self { shops, others, other_lane: Lane::new(OTHERS), events, tasks: JoinSet::new() }
    }

    /// Puts a command on its lane, or refuses it.
    fn handle(&mut self, command: DealerCommand) {
        let events = self.events.clone();
        if let DealerCommand::Request { .. } = command {
            let Some(turn) = Turn::in_lane(&self.other_lane) else {
                return self.refuse(command, "too many requests are waiting");
            };
            let others = self.others.clone();
            self.tasks.spawn(async move {
                let event = match turn.wait().await {
                    Some(_turn) => ask_others(&others, command).await,
                    None => refused(command, "the box is shutting down"),
                };
                report(&events, event).await;
            });
            return;
        }
        let found = self.shops.get(shop_of(&command)).map(|shop| (&shop.dealer, shop));
        let (dealer, lane) = match found {
            Some((Ok(dealer), shop)) if matches!(command, DealerCommand::Place { .. }) => {
                (dealer, &shop.writes)
            }
            Some((Ok(dealer), shop)) => (dealer, &shop.reads),
            Some((Err(why), _)) => {
                let why = why.clone();
                return self.refuse(command, &why);
            }
            None => return self.refuse(command, "this shop has no dealer in the configuration"),
        };
        let Some(turn) = Turn::in_lane(lane) else {
            return self.refuse(command, "too many requests are waiting for the dealer");
        };
        let dealer = dealer.clone();
        self.tasks.spawn(async move {
            let event = match turn.wait().await {
                Some(_turn) => ask(&dealer, command).await,
                None => refused(command, "the box is shutting down"),
            };
            report(&events, event).await;
        });
    }

    /// Answers in a task, so that a slow reader of the events does not hold up the loop.
    fn refuse(&mut self, command: DealerCommand, why: &str) {
        let (events, event) = (self.events.clone(), refused(command, why));
        self.tasks.spawn(async move { report(&events, event).await });
    }

    /// Nothing that waits begins any more.
    fn close(&self) {
        for shop in self.shops.values() {
            shop.reads.close();
            shop.writes.close();
        }
        self.other_lane.close();
    }
}

/// A place in a lane's queue.
struct Turn {
    turns: Arc<Semaphore>,
    room: OwnedSemaphorePermit,
}

impl Turn {
    fn in_lane(lane: &Lane) -> Option<Self> {
        let room = lane.room.clone().try_acquire_owned().ok()?;
        Some(Self { turns: lane.turns.clone(), room })
    }

    /// `None` when the lane was closed.
    async fn wait(self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        Some((self.turns.acquire_owned().await.ok()?, self.room))
    }
}

async fn report(events: &mpsc::Sender<DealerEvent>, event: DealerEvent) {
    if events.send(event).await.is_err() {
        // The daemon is gone: what matters is in its rows.
        tracing::debug!("nobody hears what the dealer said");
    }
}

fn shop_of(command: &DealerCommand) -> &ShopId {
    match command {
        DealerCommand::Fetch { shop, .. }
        | DealerCommand::Request { shop, .. }
        | DealerCommand::Place { shop, .. }
        | DealerCommand::LookUp { shop, .. }
        | DealerCommand::Probe { shop } => shop,
    }
}

async fn ask(dealer: &Dealer, command: DealerCommand) -> DealerEvent {
    match command {
        DealerCommand::Fetch { shop, id, path } => {
            DealerEvent::Fetched { shop, id, result: dealer.fetch(&path).await }
        }
        DealerCommand::Place { shop, order, kind, body } => {
            let result = dealer.place(&order, kind, &body).await;
            DealerEvent::Placed { shop, order, result }
        }
        DealerCommand::LookUp { shop, order, kind, customer_id } => {
            let result = dealer.look_up(&order, kind, &customer_id).await;
            DealerEvent::LookedUp { shop, order, result }
        }
        DealerCommand::Probe { shop } => {
            let Probe { reached, capabilities, customers } = dealer.probe().await;
            DealerEvent::Probed { shop, reached, capabilities, customers }
        }
        command @ DealerCommand::Request { .. } => {
            refused(command, "a request to others is not the dealer's")
        }
    }
}

async fn ask_others(others: &OnceLock<Others>, command: DealerCommand) -> DealerEvent {
    let DealerCommand::Request { shop, id, method, url, content_type, body } = command else {
        return refused(command, "only a flow's own request goes to others");
    };
    let others = others.get_or_init(Others::new);
    let result = others.request(&method, &url, &content_type, body, OTHERS_BODY_MOST).await;
    DealerEvent::Fetched { shop, id, result }
}

/// The event of a command that was not carried out.
fn refused(command: DealerCommand, why: &str) -> DealerEvent {
    let why = why.to_owned();
    match command {
        DealerCommand::Fetch { shop, id, .. } | DealerCommand::Request { shop, id, .. } => {
            DealerEvent::Fetched { shop, id, result: FetchResult::Unreachable { why } }
        }
        DealerCommand::Place { shop, order, .. } => {
            DealerEvent::Placed { shop, order, result: PlaceResult::NotSent { why, retry_after: None } }
        }
        DealerCommand::LookUp { shop, order, .. } => {
            DealerEvent::LookedUp { shop, order, result: LookUpResult::Unreachable { why } }
        }
        DealerCommand::Probe { shop } => {
            DealerEvent::Probed { shop, reached: false, capabilities: None, customers: Vec::new() }
        }
    }
}
