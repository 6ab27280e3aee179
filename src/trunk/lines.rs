//! Where each trunk is now: looked up when it is set up, when its answer has grown old, when the SIP element has tried
//! all there was, and again after our own address changed. What DNS said last stays in use while it is silent.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::sip::agent::Route;
use crate::sip::transaction::{Hop, Transport};
use crate::types::{LineId, Mono, Network};

use super::config::{Reach, TrunkLine};
use super::dns::{DnsError, Kept, Located, Resolver, locate};
use super::local::Locals;

/// No trunk is looked up more often, whatever is asked.
const PAUSE: Duration = Duration::from_secs(5);
/// After a look-up that failed; doubled each time.
const RETRY: Duration = Duration::from_secs(10);
/// Up to this.
const RETRY_MOST: Duration = Duration::from_secs(300);

/// What a look-up came to.
pub(super) struct Looked {
    line: LineId,
    reach: Reach,
    result: Result<Located, DnsError>,
}

/// One trunk.
struct Line {
    trunk: TrunkLine,
    hops: Vec<Hop>,
    /// What the SIP element was told last.
    told: Option<Vec<Route>>,
    /// It asked.
    asked: bool,
    /// When it is to be looked up; `None` when it never is again.
    due: Option<Mono>,
    looking: bool,
    looked: Option<Mono>,
    failures: u32,
}

/// What a look-up changed, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) failed: bool,
    pub(super) stale: bool,
}

/// All trunks.
pub(super) struct Lines {
    lines: BTreeMap<LineId, Line>,
    resolver: Resolver,
    kept: Kept,
    /// Chooses by weight. The same for good, so that the order changes only when DNS does: a new one would register
    /// and re-INVITE everything.
    seed: u64,
    tasks: JoinSet<()>,
    found: mpsc::Sender<Looked>,
}

impl Lines {
    /// None yet, and where look-ups come back.
    pub(super) fn new(resolver: Resolver, kept: Kept, seed: u64) -> (Self, mpsc::Receiver<Looked>) {
        let (found, looked) = mpsc::channel(16);
        let (lines, tasks) = (BTreeMap::new(), JoinSet::new());
        (Self { lines, resolver, kept, seed, tasks, found }, looked)
    }

    /// The trunks are now these.
    pub(super) fn set(&mut self, trunks: Vec<TrunkLine>, now: Mono) {
        let mut before = std::mem::take(&mut self.lines);
        for trunk in trunks {
            let id = trunk.setup.line.clone();
            let same = before.remove(&id).filter(|b| b.trunk.reach == trunk.reach);
            let line = match same {
                Some(known) => Line { trunk, asked: true, ..known },
                None => Line {
                    trunk,
                    hops: Vec::new(),
                    told: None,
                    asked: false,
                    due: Some(now),
                    looking: false,
                    looked: None,
                    failures: 0,
                },
            };
            self.lines.insert(id, line);
        }
    }

    /// The SIP element wants to know where a trunk is.
    pub(super) fn ask(&mut self, line: &LineId, now: Mono) {
        let Some(line) = self.lines.get_mut(line) else { return };
        line.asked = true;
        let soonest = line.looked.map_or(now, |at| (at + PAUSE).max(now));
        line.due = Some(line.due.map_or(soonest, |due| due.min(soonest)));
    }

    /// When [`Lines::look`] is wanted.
    pub(super) fn due(&self) -> Option<Mono> {
        self.lines.values().filter(|l| !l.looking).filter_map(|l| l.due).min()
    }

    /// Starts the look-ups that are due.
    pub(super) fn look(&mut self, now: Mono) {
        while self.tasks.try_join_next().is_some() {}
        for (id, line) in &mut self.lines {
            if line.looking || line.due.is_none_or(|due| due > now) {
                continue;
            }
            (line.looking, line.looked) = (true, Some(now));
            let (resolver, found, seed) = (self.resolver.clone(), self.found.clone(), self.seed);
            let (id, reach) = (id.clone(), line.trunk.reach.clone());
            self.tasks.spawn(async move {
                let result = locate(&resolver, &reach, seed).await;
                // Without the edge there is nobody to tell.
                drop(found.send(Looked { line: id, reach, result }).await);
            });
        }
    }

    /// Takes what a look-up came to.
    pub(super) fn found(&mut self, looked: Looked, now: Mono) -> Outcome {
        let Some(line) = self.lines.get_mut(&looked.line).filter(|l| l.trunk.reach == looked.reach) else {
            return Outcome::default();
        };
        line.looking = false;
        match looked.result {
            Ok(located) => {
                line.failures = 0;
                line.due = located.ttl.map(|ttl| now + ttl);
                if located.ttl.is_some() {
                    self.kept.keep(&looked.reach, &located.hops);
                }
                line.hops = located.hops;
                Outcome::default()
            }
            Err(why) => {
                let wait = RETRY.saturating_mul(1 << line.failures.min(5)).min(RETRY_MOST);
                line.failures = line.failures.saturating_add(1);
                line.due = Some(now + wait);
                if line.hops.is_empty() {
                    line.hops = self.kept.good(&looked.reach).cloned().unwrap_or_default();
                }
                line.asked |= line.hops.is_empty() && line.told.is_none();
                let stale = !line.hops.is_empty();
                tracing::warn!(line = %looked.line, %why, stale, "a trunk cannot be looked up");
                Outcome { failed: true, stale }
            }
        }
    }

    /// What the SIP element must be told now, if anything: routes that changed, or that it asked for.
    pub(super) fn news(&mut self, locals: &mut Locals) -> Vec<(LineId, Vec<Route>)> {
        let mut news = Vec::new();
        for (id, line) in &mut self.lines {
            let asked = line.asked && !line.looking;
            if line.hops.is_empty() && line.told.is_none() && !asked {
                continue;
            }
            let here =
                line.hops.iter().filter_map(|hop| Some(Route { hop: *hop, local: locals.towards(*hop)? }));
            let routes: Vec<Route> = here.collect();
            // A cable that is out tells nothing about where the trunk is.
            let worse = routes.is_empty() && line.told.as_ref().is_some_and(|t| !t.is_empty());
            if asked || (line.told.as_ref() != Some(&routes) && !worse) {
                line.asked = false;
                line.told = Some(routes.clone());
                news.push((id.clone(), routes));
            }
        }
        news
    }

    /// Every address that is a trunk's.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.lines.values().flat_map(|l| l.hops.iter().map(|h| h.addr))
    }

    /// Every network that is a trunk's.
    pub(super) fn networks(&self) -> Vec<Network> {
        self.lines.values().flat_map(|l| l.trunk.setup.networks.iter().copied()).collect()
    }

    /// Which trunk is meant by a TLS hop: whose name must stand in its certificate.
    pub(super) fn reach_of(&self, hop: Hop) -> Option<&Reach> {
        let has = |fits: &dyn Fn(&Hop) -> bool| {
            self.lines.values().find(|l| l.hops.iter().any(fits)).map(|l| &l.trunk.reach)
        };
        let same_host = |h: &Hop| h.transport == Transport::Tls && h.addr.ip() == hop.addr.ip();
        has(&|h| *h == hop).or_else(|| has(&same_host))
    }
}
