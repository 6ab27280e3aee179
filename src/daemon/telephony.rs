//! The edges that carry calls: started, kept running, stopped. Signalling that dies is bound and started again; its legs
//! are over then, and their ports are closed. A port that somebody else has does not keep the shop from texting: it is
//! said, and tried again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{CallEnds, TrunkLife};
use super::calls_setup;
use super::clock::{Clock, SystemClock};
use super::core::Core;
use crate::config::{Config, SipTransport};
use crate::media::{Media, MediaConfig, MediaReport, Prompt, Region, sentences};
use crate::sip::transaction::Transport;
use crate::trunk::{
    self, Bound, Counters, Ends, GateSettings, Listener, Reach, TlsFiles, TrunkConfig, TrunkEvent, TrunkLine,
};
use crate::types::{LineId, MediaPorts, PromptId};

/// Between the loop and the edge that signals, each way.
const QUEUE: usize = 4096;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longer than any call lasts.
const NEVER: Duration = Duration::from_secs(366 * 86_400);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What runs.
pub(super) struct Telephony {
    media: Arc<Media>,
    config: TrunkConfig,
    lines: Vec<LineId>,
    first: Option<Bound>,
    events: mpsc::Sender<TrunkEvent>,
    lives: mpsc::Sender<TrunkLife>,
    counters: watch::Sender<Counters>,
}

/// Starts the media edge and takes the sockets of signalling. Without phones and trunks there is nothing to start.
pub(super) fn prepare(config: &Config, core: &Core) -> (Option<Telephony>, CallEnds) {
    if config.phones.is_empty() && config.trunks.is_empty() {
        return (None, CallEnds::none());
    }
    let (reports, media_reports) = mpsc::channel::<MediaReport>(QUEUE);
    let media = match Media::start(media_config(config, core), reports) {
        Ok(media) => media,
        Err(error) => {
            tracing::error!("there are no calls: {error}");
            return (None, CallEnds::none());
        }
    };
    add_prompts(&media, &config.media.prompts);
    let (events, trunk_events) = mpsc::channel(QUEUE);
    let (lives, trunk_lives) = mpsc::channel(4);
    let counters = watch::Sender::new(Counters::default());
    let (commanded, counted, read) = (media.clone(), media.clone(), counters.subscribe());
    let ends = CallEnds {
        trunk_events,
        trunk_lives,
        media_reports,
        media: Box::new(move |command| commanded.command(command)),
        counters: Box::new(move || counters_json(&read.borrow(), &counted)),
    };
    let lines = config.trunks.iter().map(|t| t.id.clone()).collect();
    let mut this =
        Telephony { media, config: trunk_config(config, core), lines, first: None, events, lives, counters };
    this.first = this.bind();
    (Some(this), ends)
}

impl Telephony {
    fn bind(&mut self) -> Option<Bound> {
        let mut seed = [0u8; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            tracing::error!("there are no calls: no randomness: {error}");
            return None;
        }
        self.config.seed = seed;
        match trunk::bind(self.config.clone()) {
            Ok(bound) => Some(bound),
            Err(error) => {
                tracing::error!("{error}");
                for line in self.lines.clone() {
                    let down = TrunkEvent::Line { line, up: false, why: error.to_string() };
                    // No room: the loop has enough to do, and the journal has the reason.
                    let _unsaid = self.events.try_send(down);
                }
                None
            }
        }
    }

    /// Runs signalling until `stop`, again and again if need be; then ends the sound.
    pub(super) async fn run(mut self, clock: Arc<SystemClock>, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        let mut next = self.first.take();
        loop {
            if let Some(bound) = next.take().or_else(|| self.bind()) {
                if self.live(bound, clock.clone(), stop.clone()).await {
                    break;
                }
                pause = FIRST_PAUSE;
            }
            if *stop.borrow() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Err: whoever could say so is gone.
                _ = stop.wait_for(|stop| *stop) => break,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let media = self.media.clone();
        // Joining its thread takes a few milliseconds, away from the loop.
        if tokio::task::spawn_blocking(move || media.stop()).await.is_err() {
            tracing::error!("the media edge did not end in order");
        }
    }

    /// One life of the edge; true when it ended as asked.
    async fn live(&mut self, bound: Bound, clock: Arc<SystemClock>, stop: watch::Receiver<bool>) -> bool {
        let (commands_to, commands) = mpsc::channel(QUEUE);
        let mut counted = bound.counters();
        let ends = Ends {
            commands,
            events: self.events.clone(),
            stop,
            media: self.media.clone() as Arc<dyn MediaPorts>,
        };
        if self.lives.send(TrunkLife::Began(commands_to)).await.is_err() {
            return true;
        }
        let mut edge = tokio::spawn(trunk::run(bound, ends, move || clock.now()));
        let how = loop {
            tokio::select! {
                how = &mut edge => break how,
                Ok(()) = counted.changed() => {
                    self.counters.send_replace(*counted.borrow_and_update());
                }
            }
        };
        match how {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "signalling ended");
                return true;
            }
            Err(error) => {
                tracing::error!(%error, "signalling died, and its calls with it; it is started again")
            }
        }
        let (answer, bindings) = oneshot::channel();
        if self.lives.send(TrunkLife::Died(answer)).await.is_err() {
            return true;
        }
        if let Ok(bindings) = bindings.await {
            self.config.bindings = bindings;
        }
        self.media.close_all();
        false
    }
}

/// The sentences that the program carries, and the owner's own in their place.
fn add_prompts(media: &Media, directory: &Path) {
    for (id, prompt) in sentences::prompts() {
        media.add_prompt(id, prompt);
    }
    let Ok(files) = std::fs::read_dir(directory) else { return };
    for path in files.flatten().map(|file| file.path()) {
        let wav = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"));
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|_| wav) else { continue };
        let read = std::fs::read(&path).map_err(|e| e.to_string());
        match read.and_then(|bytes| Prompt::from_wav(&bytes).map_err(|e| e.to_string())) {
            Ok(prompt) => media.add_prompt(PromptId::from(name), prompt),
            Err(error) => tracing::warn!("{} is not played: {error}", path.display()),
        }
    }
}

fn media_config(config: &Config, core: &Core) -> MediaConfig {
    let countries = core.countries();
    let region = match countries.first().map(String::as_str) {
        Some("US" | "CA") | None => Region::NorthAmerica,
        Some("GB") => Region::UnitedKingdom,
        Some(_) => Region::Europe,
    };
    MediaConfig {
        region,
        ports: config.media.first_port..=config.media.last_port,
        silence: if config.media.silence.is_zero() { NEVER } else { config.media.silence },
        legs: calls_setup::legs_at_most(config),
        for_help: calls_setup::legs_at_most(config) - calls_setup::legs(config),
        ..MediaConfig::default()
    }
}

fn trunk_config(config: &Config, core: &Core) -> TrunkConfig {
    let countries: BTreeSet<String> = core.countries();
    let sip = &config.sip;
    let each = |list: &[core::net::SocketAddr], transport: Transport| {
        list.iter().map(move |addr| Listener { addr: *addr, transport }).collect::<Vec<_>>()
    };
    let listeners =
        [each(&sip.udp, Transport::Udp), each(&sip.tcp, Transport::Tcp), each(&sip.tls, Transport::Tls)];
    let reach = |line: &crate::config::TrunkLine| Reach {
        host: line.proxy.clone().unwrap_or_else(|| line.domain.clone()),
        port: line.port,
        transport: line.transport.map(|t| match t {
            SipTransport::Udp => Transport::Udp,
            SipTransport::Tcp => Transport::Tcp,
            SipTransport::Tls => Transport::Tls,
        }),
        ca: line.ca.clone(),
    };
    let trunks = calls_setup::trunks(config)
        .into_iter()
        .zip(&config.trunks)
        .map(|(setup, line)| TrunkLine { setup, reach: reach(line) });
    let gate = GateSettings { lan: sip.lan.clone(), ..GateSettings::default() };
    TrunkConfig {
        agent: calls_setup::agent_settings(config, &countries),
        seed: [0; 32],
        listeners: listeners.concat(),
        tls: sip.certificate.as_ref().map(|c| TlsFiles { certificate: c.path.clone(), key: c.key.clone() }),
        devices: calls_setup::devices(config),
        trunks: trunks.collect(),
        bindings: core.bindings(),
        limits: trunk::Limits { gate, ..trunk::Limits::default() },
        dns: trunk::DnsSettings { servers: None, kept: Some(config.storage.path.join("dns-kept")) },
    }
}

/// For `backroom doctor` and whoever watches the box.
fn counters_json(sip: &Counters, media: &Media) -> Value {
    let sound = media.counters();
    json!({
        "sip": {
            "received": sip.received,
            "messages": sip.messages,
            "sent": sip.sent,
            "limited": sip.limited,
            "banned": sip.banned,
            "bans": sip.bans,
            "refused": sip.refused,
            "garbage": sip.garbage,
            "send_failed": sip.send_failed,
            "accepted": sip.accepted,
            "accept_refused": sip.accept_refused,
            "connected": sip.connected,
            "connect_failed": sip.connect_failed,
            "slow_peers": sip.slow_peers,
            "idle_closed": sip.idle_closed,
            "dns_failed": sip.dns_failed,
            "dns_stale": sip.dns_stale,
            "address_changes": sip.address_changes,
        },
        "media": {
            "received": sound.received,
            "sent": sound.sent,
            "strangers": sound.strangers,
            "unauthentic": sound.unauthentic,
            "unknown": sound.unknown,
            "keys_dropped": sound.keys_dropped,
            "unsent": sound.unsent,
            "open": sound.open,
            "unused": sound.unused,
        },
    })
}
