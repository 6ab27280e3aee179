//! The edge as the rest of the daemon has it: ports opened and closed at once in the caller's thread, everything
//! else ordered from the thread that moves packets.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::media::MediaReport;
use crate::media::facts::{Facts, MediaCounters};
use crate::media::line::{OpenError, Sockets};
use crate::media::orders::{Opened, Order, Shared};
use crate::media::ports::PortPool;
use crate::media::prompt::Prompt;
use crate::media::worker::{Rules, Worker};
use crate::rtp::sdes::{Crypto, MasterKey, Suite};
use crate::rtp::tones::Region;
use crate::types::{
    CryptoLine, Dtmf, LegId, LocalMedia, MediaCommand, MediaEvent, MediaFacts, MediaPorts, MediaRefused,
    MediaStream, PromptId,
};

/// Descriptors that are left to the rest of the daemon.
const RESERVED: u64 = 256;
/// Descriptors of a leg.
const EACH: u64 = 2;
/// Pairs that may be somebody else's in a row before the range counts as full.
const TRIES: usize = 64;
/// Packets first: as far above the rest of the box as a service may go without being root.
const NICENESS: i32 = -11;

/// How the edge is to work.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// RTP on the even ports, RTCP on the odd ones above.
    pub ports: RangeInclusive<u16>,
    /// A leg from which nothing comes for so long is told of.
    pub silence: Duration,
    /// A port is not given out again before.
    pub drain: Duration,
    /// Where callers learnt their tones.
    pub region: Region,
    /// Legs at a time at most; fewer when the system grants fewer descriptors.
    pub legs: usize,
    /// Of these and of the pairs that are free, so many are kept back for calls for help.
    pub for_help: usize,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            ports: 10_000..=20_000,
            silence: Duration::from_secs(30),
            drain: Duration::from_secs(4),
            region: Region::NorthAmerica,
            legs: 5_000,
            for_help: 0,
        }
    }
}

/// Why there is no media edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MediaError {
    /// Not a single pair.
    #[error("[media] ports holds no pair of ports: an even one and the odd one above")]
    Ports,
    /// The system refuses what every process may have.
    #[error("media cannot start: {0}")]
    System(#[from] rustix::io::Errno),
    /// No randomness, without which there are no keys.
    #[error("the system's source of randomness fails")]
    Random,
    /// No thread.
    #[error("media cannot start its thread")]
    Thread,
}

#[derive(Debug)]
struct Entry {
    place: usize,
    pair: u16,
    local: LocalMedia,
    facts: Arc<Facts>,
}

#[derive(Debug)]
struct Directory {
    legs: HashMap<LegId, Entry>,
    pool: PortPool,
    /// Places that are free again, and the first that never was taken.
    places: Vec<usize>,
    fresh: usize,
    most: usize,
    for_help: usize,
}

/// The media edge. Dropping it stops it.
pub struct Media {
    shared: Arc<Shared>,
    directory: Mutex<Directory>,
    prompts: Mutex<BTreeMap<PromptId, Arc<Prompt>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("legs", &lock(&self.directory).legs.len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Media {
    /// Starts the thread. What it has to tell goes to `reports`; what finds no room there is told later.
    ///
    /// # Errors
    /// [`MediaError`].
    pub fn start(config: MediaConfig, reports: mpsc::Sender<MediaReport>) -> Result<Arc<Self>, MediaError> {
        let mut pool = PortPool::new(config.ports, config.drain, random()?);
        if pool.free(Instant::now()) == 0 {
            return Err(MediaError::Ports);
        }
        let most = usize::try_from(descriptors().saturating_sub(RESERVED) / EACH).unwrap_or(usize::MAX);
        let most = most.min(config.legs);
        let shared = Arc::new(Shared::new()?);
        let rules = Rules { silence: config.silence, region: config.region };
        let worker = Worker::new(Arc::clone(&shared), rules, reports)?;
        let run = move || {
            if let Err(error) = setpriority_process(None, NICENESS) {
                tracing::debug!(%error, "media: runs at the priority of the rest");
            }
            worker.run();
        };
        let thread = std::thread::Builder::new().name("media".to_owned()).spawn(run);
        let thread = Mutex::new(Some(thread.map_err(|_| MediaError::Thread)?));
        let (legs, for_help) = (HashMap::new(), config.for_help);
        let directory = Directory { legs, pool, places: Vec::new(), fresh: 0, most, for_help };
        let directory = Mutex::new(directory);
        Ok(Arc::new(Self { shared, directory, prompts: Mutex::default(), thread }))
    }

    /// What the loop wants. Of a leg that is not open nothing is done; a prompt for it, and one that does not exist,
    /// is played at once.
    pub fn command(&self, command: MediaCommand) {
        let order = match command {
            MediaCommand::Join(a, b) => self.places(&a, &b).map(|(a, b)| Order::Join(a, b)),
            MediaCommand::Part(a, b) => self.places(&a, &b).map(|(a, b)| Order::Part(a, b)),
            MediaCommand::Play { leg, prompt, repeat } => Some(self.play(leg, prompt, repeat)),
            MediaCommand::Tone { leg, tone } => self.place(&leg).map(|place| Order::Tone(place, tone)),
            MediaCommand::Echo { leg } => self.place(&leg).map(Order::Echo),
            MediaCommand::StopPlaying { leg } => self.place(&leg).map(Order::StopPlaying),
        };
        if let Some(order) = order {
            self.shared.order(order, false);
        }
    }

    fn play(&self, leg: LegId, prompt: PromptId, repeat: bool) -> Order {
        let sound = lock(&self.prompts).get(&prompt).cloned();
        match (self.place(&leg), sound) {
            (Some(place), Some(sound)) => Order::Play(place, prompt, sound, repeat),
            (place, sound) => {
                if sound.is_none() {
                    tracing::warn!(%prompt, "media: no such prompt");
                }
                tracing::debug!(%leg, open = place.is_some(), "media: a prompt is not played");
                Order::Report(MediaReport::Media(MediaEvent::Played { leg, prompt }))
            }
        }
    }

    /// From now on this is heard under that name; who hears an older one hears it to its end.
    pub fn add_prompt(&self, id: PromptId, prompt: Prompt) {
        lock(&self.prompts).insert(id, Arc::new(prompt));
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> MediaCounters {
        let directory = lock(&self.directory);
        let open = u64::try_from(directory.legs.len()).unwrap_or(u64::MAX);
        let unused = u64::try_from(directory.pool.unused()).unwrap_or(u64::MAX);
        MediaCounters { open, unused, ..self.shared.counts.read() }
    }

    /// Whoever signalled is gone: closes every leg.
    pub fn close_all(&self) {
        let legs: Vec<LegId> = lock(&self.directory).legs.keys().cloned().collect();
        for leg in legs {
            // What was measured is for who signalled.
            let _facts = self.close(&leg);
        }
    }

    /// Says goodbye to every far end and ends the thread. Again it does nothing.
    pub fn stop(&self) {
        self.shared.order(Order::Stop, false);
        let Some(thread) = lock(&self.thread).take() else { return };
        if thread.join().is_err() {
            tracing::error!("media: the thread had failed");
        }
    }

    fn place(&self, leg: &LegId) -> Option<usize> {
        lock(&self.directory).legs.get(leg).map(|entry| entry.place)
    }

    fn places(&self, a: &LegId, b: &LegId) -> Option<(usize, usize)> {
        let directory = lock(&self.directory);
        Some((directory.legs.get(a)?.place, directory.legs.get(b)?.place))
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Directory {
    /// A pair of ports on `local`; others' ports are passed over.
    fn bind(&mut self, local: IpAddr, help: bool, now: Instant) -> Result<(u16, Sockets), MediaRefused> {
        let kept = if help { 0 } else { self.for_help };
        for _ in 0..TRIES.min(self.pool.free(now).saturating_sub(kept)) {
            let Some(pair) = self.pool.take(now) else { break };
            match Sockets::open(local, pair) {
                Ok(sockets) => return Ok((pair, sockets)),
                Err(OpenError::Occupied) => self.pool.occupied(pair),
                Err(OpenError::Refused(why)) => {
                    self.pool.occupied(pair);
                    return Err(why);
                }
            }
        }
        Err(MediaRefused::NoPort)
    }

    fn new_place(&mut self) -> usize {
        self.places.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        })
    }
}

impl Media {
    fn open_leg(
        &self,
        leg: &LegId,
        local: IpAddr,
        (secure, help): (bool, bool),
    ) -> Result<LocalMedia, MediaRefused> {
        if lock(&self.thread).as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(MediaRefused::Full);
        }
        let now = Instant::now();
        let mut directory = lock(&self.directory);
        let Directory { legs, pool, .. } = &mut *directory;
        if let Some(entry) = legs.get_mut(leg) {
            if secure && entry.local.crypto.is_empty() {
                entry.local.crypto = keys().map_err(|_| MediaRefused::Full)?;
            }
            if entry.local.rtp.ip() == local {
                return Ok(entry.local.clone());
            }
            pool.free(now);
            let (pair, sockets) = directory.bind(local, help, now)?;
            let Some(entry) = directory.legs.get_mut(leg) else { return Err(MediaRefused::NoPort) };
            let old = std::mem::replace(&mut entry.pair, pair);
            entry.local.rtp = SocketAddr::new(local, pair);
            let (place, opened) = (entry.place, entry.local.clone());
            directory.pool.give_back(old, now);
            self.shared.order(Order::Rebind(place, sockets), false);
            return Ok(opened);
        }
        let kept = if help { 0 } else { directory.for_help };
        if directory.legs.len() >= directory.most.saturating_sub(kept) {
            return Err(MediaRefused::Full);
        }
        let seed = random().map_err(|_| MediaRefused::Full)?;
        let crypto = if secure { keys().map_err(|_| MediaRefused::Full)? } else { Vec::new() };
        let (pair, sockets) = directory.bind(local, help, now)?;
        let facts = Arc::new(Facts::default());
        let opened = Opened { id: leg.clone(), sockets, facts: Arc::clone(&facts), seed, at: now };
        let place = directory.new_place();
        let local = LocalMedia { rtp: SocketAddr::new(local, pair), crypto };
        directory.legs.insert(leg.clone(), Entry { place, pair, local: local.clone(), facts });
        // Nothing can be heard before something is agreed.
        self.shared.order(Order::Open(place, Box::new(opened)), true);
        Ok(local)
    }
}

impl MediaPorts for Media {
    fn open(&self, leg: &LegId, local: IpAddr, secure: bool) -> Result<LocalMedia, MediaRefused> {
        self.open_leg(leg, local, (secure, false))
    }

    fn open_for_help(&self, leg: &LegId, local: IpAddr, secure: bool) -> Result<LocalMedia, MediaRefused> {
        self.open_leg(leg, local, (secure, true))
    }

    fn set(&self, leg: &LegId, stream: MediaStream) {
        let directory = lock(&self.directory);
        let Some(entry) = directory.legs.get(leg) else { return };
        if let Some(first) = stream.audio.first() {
            // Here, so that a leg that is closed at once has been agreed on.
            entry.facts.set_codec(first.codec);
        }
        self.shared.order(Order::Set(entry.place, Box::new(stream)), false);
    }

    fn press(&self, leg: &LegId, key: Dtmf) {
        if let Some(place) = self.place(leg) {
            self.shared.order(Order::Press(place, key), false);
        }
    }

    fn close(&self, leg: &LegId) -> Option<MediaFacts> {
        let mut directory = lock(&self.directory);
        let entry = directory.legs.remove(leg)?;
        directory.pool.give_back(entry.pair, Instant::now());
        directory.places.push(entry.place);
        // Under the lock, so that whoever gets the place next is ordered behind.
        self.shared.order(Order::Close(entry.place), false);
        entry.facts.read()
    }
}

fn random() -> Result<u64, MediaError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| MediaError::Random)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// A key for each suite, the longer tag first.
fn keys() -> Result<Vec<CryptoLine>, MediaError> {
    let mut lines = Vec::with_capacity(2);
    for (tag, suite) in [(1, Suite::Sha1Tag80), (2, Suite::Sha1Tag32)] {
        let mut material = [0; 30];
        getrandom::fill(&mut material).map_err(|_| MediaError::Random)?;
        let key = MasterKey::from_bytes(&material);
        lines.push(CryptoLine(Crypto { tag, suite, key }.to_value()));
    }
    Ok(lines)
}

/// Raises the number of descriptors to what the system allows; how many that is.
fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    now.unwrap_or(u64::MAX)
}
