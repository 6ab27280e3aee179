//! Start and shutdown in order. Start: clock, store, core, edges, control socket, ready. Shutdown: the loop takes
//! nothing more and commits what it took; the edges end what is under way; the store closes. Under two seconds.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::calls_setup::PlanGround;
use super::clock::{Clock, SystemClock, boot_id, mono_now};
use super::control;
use super::core::{Core, DealerSetup, EndpointSetup, Files, LineSetup, ShopSetup, Takes};
use super::front::{Front, Handle, with_counters};
use super::memory;
use super::supervise::{QUEUE, Wires, supervise};
use super::telephony;
use super::turns::{Ends, Stopped, Turns};
use super::voicemail;
use crate::at;
use crate::config::{Config, LineConfig, Port, secret_bytes};
use crate::dealer::{self, DealerConfig};
use crate::modem::{self, ModemConfig, PortChoice, Ports};
use crate::store::{self, Check, Notice, Options, Store, StoreError};
use crate::twilio;
use crate::types::{EventId, LineCommand, LineEvent, LineId, ShopId};
use crate::webhook::{self, WebhookConfig};

/// The first copy of the database after a start: when the box has settled.
const FIRST_BACKUP: Duration = Duration::from_secs(600);

/// Why the daemon did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The machine.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A line's settings.
    #[error("line {line}: {why}")]
    Line {
        /// Which.
        line: LineId,
        /// What is wrong.
        why: String,
    },
    /// The writer ended: started again, the box goes on from what is on disk.
    #[error("the database's writer has ended: {0}")]
    Writer(String),
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

/// Runs the box until `shutdown` is ready, with `front` before it. `ready` is called once, when texts are taken.
///
/// # Errors
/// [`RunError`]; exit with a failure, so that systemd starts the box again.
pub async fn run(
    config: Config,
    front: Option<Front>,
    shutdown: impl Future<Output = ()> + Send,
    ready: impl FnOnce(),
) -> Result<(), RunError> {
    let boot = boot_id().map_err(system("the kernel's boot id cannot be read"))?;
    let mut options = Options::new(&config.storage.path, boot.clone());
    // With the loop's last 0.4 s and the edges' 1.2 s, stopping takes less than two seconds also on a stuck disk.
    options.close_patience = Duration::from_millis(300);
    options.low_water = u64::from(config.storage.low_water_mib) << 20;
    let (store, snapshot, notices) = store::open(&options, SystemClock::new(None).now())?;
    for notice in &notices {
        log(notice);
    }
    let clock = Arc::new(SystemClock::new(snapshot.last_wall));
    let now = clock.now();
    if !now.wall_sure {
        tracing::warn!("the clock is not set: nothing is done by date until it is");
    }
    let mut seed = random_ids()?;
    let setups = setups(&config);
    let (core, first) = Core::start(setups, &snapshot, boot, seed(), now);
    drop(snapshot);

    let (stop, stopped) = watch::channel(false);
    let (edges_stop, edges_stopped) = watch::channel(false);
    let mut edges = tokio::task::JoinSet::new();
    let (telephony, mut calls) = telephony::prepare(&config, &core);
    if let Some(telephony) = telephony {
        edges.spawn(telephony.run(clock.clone(), edges_stopped.clone()));
    }
    let (line_events_tx, line_events) = mpsc::channel(QUEUE);
    let (dealer_tx, dealer_commands) = mpsc::channel(1024);
    let (dealer_events_tx, dealer_events) = mpsc::channel(QUEUE);
    let (requests_tx, requests) = mpsc::channel(64);
    let lines = lines(&config, line_events_tx, &edges_stopped, &mut edges)?;
    edges.spawn(dealer::run(dealers(&config), dealer_commands, dealer_events_tx, edges_stopped.clone()));
    voicemail::spawn(&config, &clock, &requests_tx, &edges_stopped, &mut edges);
    let (webhooks, webhook_commands) = mpsc::channel(256);
    let (webhook_events_tx, webhook_events) = mpsc::channel(QUEUE);
    edges.spawn(webhook::run(endpoints(&config), webhook_commands, webhook_events_tx, edges_stopped.clone()));
    let listener =
        control::listen(&config.storage.path).map_err(system("the control socket cannot be opened"))?;
    if let Some(front) = front {
        calls.counters = with_counters(calls.counters, front.name, front.counters);
        let handle = Handle::new(requests_tx.clone(), store.clone(), edges_stopped.clone());
        edges.spawn((front.serve)(handle));
    }
    let control = tokio::spawn(control::serve(listener, requests_tx));
    let unchecked = notices.iter().any(|n| matches!(n, Notice::NotChecked { .. }));
    let keeper = tokio::spawn(keep(store.clone(), clock.clone(), unchecked, config.storage.backup_every));
    let small = tokio::spawn(memory::keep_small());

    let dealer = dealer_tx;
    let ends = Ends { line_events, dealer_events, requests, lines, dealer, webhook_events, webhooks, calls };
    let mut turns = Turns::new(core, first, store.clone(), clock, ends, Box::new(seed));
    let watchdog = sd_notify::watchdog_enabled();
    let how = {
        let looping = turns.run(stopped, move |_| {
            if watchdog.is_some() {
                // Nothing can be done about a systemd that does not listen.
                let _unheard = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            }
        });
        tokio::pin!(looping);
        ready();
        tokio::select! {
            how = &mut looping => how,
            () = shutdown => {
                stop.send_replace(true);
                looping.await
            }
        }
    };
    tracing::debug!("the loop has ended");
    control.abort();
    keeper.abort();
    small.abort();
    edges_stop.send_replace(true);
    let ending = async { while edges.join_next().await.is_some() {} };
    // A writer that ended hears nothing any more.
    let listening = async {
        if matches!(how, Stopped::Asked) {
            turns.last_words().await;
        }
    };
    if tokio::time::timeout(Duration::from_millis(1200), async { tokio::join!(ending, listening) })
        .await
        .is_err()
    {
        tracing::warn!("an edge did not end in time");
        edges.abort_all();
    }
    drop(turns);
    if let Err(error) = std::fs::remove_file(control::socket(&config.storage.path)) {
        tracing::debug!(%error, "the control socket stays behind");
    }
    store.close()?;
    tracing::debug!("the store is closed");
    match how {
        Stopped::Asked => Ok(()),
        Stopped::Fatal(why) => Err(RunError::Writer(why)),
    }
}

/// Starts the edges of modems and of numbers at an upstream, each under supervision; where each takes its commands.
fn lines(
    config: &Config,
    events: mpsc::Sender<(LineId, LineEvent)>,
    stopped: &watch::Receiver<bool>,
    edges: &mut tokio::task::JoinSet<()>,
) -> Result<BTreeMap<LineId, mpsc::Sender<LineCommand>>, RunError> {
    let ports = Ports::new();
    let mut lines = BTreeMap::new();
    for line in &config.lines {
        let modem = modem_config(line, config)?;
        let (tx, rx) = mpsc::channel(QUEUE);
        lines.insert(line.id.clone(), tx);
        let (ports, ending) = (ports.clone(), stopped.clone());
        let edge = move |wires: Wires| {
            let shutdown = ended(ending.clone());
            modem::run(modem.clone(), ports.clone(), wires.commands, wires.events, mono_now, shutdown)
        };
        edges.spawn(supervise(line.id.clone(), rx, events.clone(), stopped.clone(), edge));
    }
    for line in &config.upstreams {
        let (tx, rx) = mpsc::channel(QUEUE);
        lines.insert(line.id.clone(), tx);
        let (upstream, retries, ending) = (line.clone(), random_seed()?, stopped.clone());
        let edge = move |wires: Wires| {
            let shutdown = ended(ending.clone());
            twilio::run(upstream.clone(), retries, wires.commands, wires.events, mono_now, shutdown)
        };
        edges.spawn(supervise(line.id.clone(), rx, events.clone(), stopped.clone(), edge));
    }
    Ok(lines)
}

/// Ready when it is said to stop, or whoever could say so is gone.
async fn ended(mut stopped: watch::Receiver<bool>) {
    let _gone = stopped.wait_for(|stop| *stop).await;
}

/// Looks after the database while the box runs: the check that was too long for the start, and a copy now and then,
/// so that a damaged file has something to come back from.
async fn keep(store: Store, clock: Arc<SystemClock>, unchecked: bool, every: Duration) {
    if unchecked {
        match store.check(Check::Quick).await {
            Ok(Ok(())) => tracing::info!("the database is whole"),
            Ok(Err(what)) => {
                tracing::error!("the database is damaged ({what}): restart backroom to restore it")
            }
            Err(error) => tracing::warn!(%error, "the database cannot be checked"),
        }
    }
    if every.is_zero() {
        return;
    }
    let mut soon = FIRST_BACKUP.min(every);
    loop {
        tokio::time::sleep(soon).await;
        soon = every;
        if store.disk_state().low {
            tracing::warn!("no copy of the database is made: the disk is nearly full");
            continue;
        }
        match store.backup(clock.now().wall).await {
            Ok(path) => tracing::info!(path = %path.display(), "the database was copied"),
            Err(error) => tracing::warn!(%error, "the database cannot be copied"),
        }
    }
}

fn log(notice: &Notice) {
    tracing::warn!("{notice}");
}

/// 128 random bits an event, from the system's source.
fn random_ids() -> Result<Box<dyn FnMut() -> EventId + Send>, RunError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| RunError::System { what: "no randomness", source: io::Error::other(e.to_string()) })?;
    // One draw and a counter: ids of a run never meet, and no event can fail for want of randomness.
    let mut next = u128::from_le_bytes(bytes);
    Ok(Box::new(move || {
        next = next.wrapping_add(1);
        EventId(next)
    }))
}

/// Spreads the retries of one line.
fn random_seed() -> Result<u64, RunError> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| RunError::System { what: "no randomness", source: io::Error::other(e.to_string()) })?;
    Ok(u64::from_le_bytes(bytes))
}

fn setups(config: &Config) -> Vec<ShopSetup> {
    config
        .shops
        .iter()
        .map(|shop| ShopSetup {
            id: shop.id.clone(),
            lines: text_lines(config, &shop.id),
            dealer: shop.dealer.as_ref().map(|d| DealerSetup { url: d.url.clone() }),
            endpoints: config
                .endpoints
                .iter()
                .filter(|e| e.shop == shop.id)
                .map(|e| EndpointSetup { id: e.id.clone(), events: e.events.clone(), bodies: e.bodies })
                .collect(),
            calls: Some(PlanGround::of(config, &shop.id)).filter(|ground| !ground.is_empty()),
            templates: config.templates.iter().filter(|t| t.shop == shop.id).cloned().collect(),
            fixed: shop.settings.clone(),
        })
        .collect()
}

/// Modems as the file orders them, then the numbers at upstreams: among those the cheaper one goes first.
fn text_lines(config: &Config, shop: &ShopId) -> Vec<LineSetup> {
    let modems = config.lines.iter().filter(|l| l.shop == *shop);
    let modems = (0..).zip(modems).map(|(priority, line)| LineSetup::modem(line.id.clone(), priority));
    let upstreams = config.upstreams.iter().filter(|l| l.shop == *shop).map(|line| LineSetup {
        id: line.id.clone(),
        takes: Takes::Whole,
        channel: line.channel,
        priority: u16::MAX,
        cost: line.cost_millicents(),
        number: Some(line.number.clone()),
        consents_as: line.consent_sender(),
        files: match (&line.public_url, config.web.listen) {
            (Some(_), Some(_)) => Files::Own,
            (Some(_) | None, _) => Files::Links,
        },
        outside: line
            .outside_window
            .as_ref()
            .and_then(|id| config.templates.iter().find(|t| t.id == *id && t.shop == line.shop).cloned()),
    });
    modems.chain(upstreams).collect()
}

fn endpoints(config: &Config) -> Vec<WebhookConfig> {
    let endpoint = |e: &crate::config::Endpoint| WebhookConfig {
        shop: e.shop.clone(),
        id: e.id.clone(),
        url: e.url.clone(),
        // The configuration's reader has refused what is none.
        key: secret_bytes(e.secret.expose()).unwrap_or_default(),
    };
    config.endpoints.iter().map(endpoint).collect()
}

fn dealers(config: &Config) -> Vec<DealerConfig> {
    config
        .shops
        .iter()
        .filter_map(|shop| {
            let section = shop.dealer.as_ref()?;
            let token = section.token.as_ref().map_or(String::new(), |t| t.expose().to_owned());
            Some(DealerConfig {
                plain_http: section.allow_http,
                connect: section.connect,
                total: section.total,
                order: section.order,
                max_body: section.max_body,
                ..DealerConfig::new(shop.id.clone(), section.url.clone(), token)
            })
        })
        .collect()
}

/// What the technician's file says of a line, as its edge takes it.
///
/// # Errors
/// A PIN that is none, an engine's time-out that does not exist.
pub fn modem_config(line: &LineConfig, config: &Config) -> Result<ModemConfig, RunError> {
    let bad = |why: String| RunError::Line { line: line.id.clone(), why };
    let pin =
        line.pin.as_ref().map(|p| at::Pin::parse(p.expose())).transpose().map_err(|e| bad(e.to_string()))?;
    let port = match &line.port {
        Port::Path(path) => PortChoice::ByPath(path.clone()),
        Port::Imei(imei) => PortChoice::ByImei(imei.clone()),
        Port::Any => PortChoice::Any,
    };
    let mut modem = ModemConfig::new(line.id.clone(), port);
    modem.candidates.clone_from(&line.candidates);
    modem.baud = line.baud;
    modem.pin = pin;
    modem.pin_memory = Some(config.storage.path.join(format!("pin-tried-{}", line.id)));
    for (name, duration) in &line.timing {
        modem.settings.set(name, *duration).map_err(|e| bad(e.to_string()))?;
    }
    Ok(modem)
}
