//! `hil trunk`: a provider's end of a trunk, with everything that providers do.
//!
//! It takes REGISTERs with digest, or knows the box by its address; takes calls by a table of routes; places calls
//! into the box; loses, delays, doubles and reorders; and changes while it runs. Calls that it takes are told as
//! [`Call`]s, so that a test can go on with them by hand.
//!
//! **Emergency numbers** are refused with 403, counted, and said on standard error, unless the trunk is told
//! `emergency: "answer"`. Then they are taken like any other call: by this simulator, which has no line to anybody.
//!
//! Absent: billing, number portability, a second hop.

mod control;
mod plan;
mod registrar;
mod run;

pub use control::Request;
pub use run::{Args, run};

pub use plan::{Change, Deed, Fork, Health, Plan, Registrar, Ringing, Route, Step, Then};
pub use registrar::Account;

pub use crate::emergency::{Emergency, is_emergency};
pub use crate::sip::{Path, Protocol, Timers};
pub use crate::ua::{By, Call, End, Error, Phase, Quirks, Wrong};

use crate::rtp::Law;
use crate::sip::digest::{Algorithm, Credentials};
use crate::sip::uri::NameAddr;
use crate::sip::{Network, Peer, Served, Uri, chance, lock, token};
use crate::ua::{Agent, Event, Outgoing, Ring, Settings};
use registrar::Door;
use serde::Serialize;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// For things that a trunk waits for within a call.
const PATIENCE: Duration = Duration::from_secs(32);

/// What a trunk is started with.
#[derive(Clone)]
pub struct TrunkConfig {
    pub ip: IpAddr,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// Who may register and call; empty: whoever comes.
    pub accounts: Vec<Account>,
    /// Calls are taken from an address that registered without asking again.
    pub trusts_address: bool,
    pub algorithm: Algorithm,
    /// A nonce serves so many requests, then it is stale.
    pub nonce_uses: Option<u32>,
    /// Longest registration, in seconds.
    pub expires: u32,
    /// The box, if it does not register.
    pub server: Option<SocketAddr>,
    /// How it calls into a box that does not register.
    pub transport: Protocol,
    pub codecs: Vec<Law>,
    pub events: bool,
    /// SRTP with keys in the description, or no call.
    pub secure: bool,
    pub routes: Vec<Route>,
    pub emergency: Emergency,
    pub timers: Timers,
    pub session_expires: Option<u32>,
    pub sip_path: Path,
    pub rtp_path: Path,
    /// Chooses which datagrams the network hits.
    pub seed: u64,
}

impl Default for TrunkConfig {
    fn default() -> TrunkConfig {
        TrunkConfig {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            accounts: Vec::new(),
            trusts_address: false,
            algorithm: Algorithm::Md5,
            nonce_uses: None,
            expires: 3_600,
            server: None,
            transport: Protocol::Udp,
            codecs: vec![Law::Mu, Law::A],
            events: true,
            secure: false,
            routes: Vec::new(),
            emergency: Emergency::Refuse,
            timers: Timers::default(),
            session_expires: None,
            sip_path: Path::default(),
            rtp_path: Path::default(),
            seed: chance(),
        }
    }
}

/// A call into the box.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Inbound {
    /// The called number.
    pub to: String,
    /// The caller's number.
    pub from: String,
    /// The caller's name.
    pub name: Option<String>,
    /// The caller does not want to be known: From is anonymous, the number stands in P-Asserted-Identity alone
    /// (RFC 3323, RFC 3325).
    pub private: bool,
    /// P-Asserted-Identity, if it is another number than `from`.
    pub asserted: Option<String>,
    /// The INVITE brings no offer.
    pub late_offer: bool,
    /// Frequencies that the caller plays, in Hz.
    pub tone: Vec<f32>,
    pub wrong: Option<Wrong>,
    /// The box's answer is never acknowledged.
    pub never_acknowledges: bool,
    /// Refuses the box's first so many offers within the call with 491.
    pub glares: u32,
}

/// What a trunk has seen since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// REGISTERs that were accepted.
    pub registered: u64,
    /// REGISTERs and INVITEs that were challenged.
    pub challenged: u64,
    /// REGISTERs and INVITEs with a wrong password or user.
    pub wrong_password: u64,
    /// Calls by the box.
    pub calls: u64,
    /// Calls of the box to emergency numbers that were refused.
    pub emergencies_refused: u64,
    /// Calls of the box to emergency numbers that were taken.
    pub emergencies_taken: u64,
    pub options: u64,
}

pub(crate) struct Shop {
    pub(crate) config: TrunkConfig,
    routes: Mutex<Vec<Route>>,
    emergency: Mutex<Emergency>,
    door: Mutex<Door>,
    counters: watch::Sender<Counters>,
    silent: Mutex<bool>,
}

/// A trunk on the network. Dropped, it is gone without a word.
pub struct Trunk {
    agent: Arc<Agent>,
    shop: Arc<Shop>,
    taken: tokio::sync::Mutex<UnboundedReceiver<Call>>,
    task: JoinHandle<()>,
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Trunk {
    /// A trunk that listens.
    ///
    /// # Errors
    /// Its port cannot be had.
    pub async fn start(config: TrunkConfig) -> Result<Trunk, Error> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let address = config.server.unwrap_or(nowhere);
        let settings = Settings {
            ip: config.ip,
            port: config.port,
            user: "trunk".into(),
            name: None,
            domain: address.to_string(),
            credentials: config.accounts.first().map(|account| Credentials {
                user: account.user.clone(),
                password: account.password.clone(),
            }),
            peer: Peer { protocol: config.transport, address },
            laws: config.codecs.clone(),
            events: config.events,
            secure: config.secure,
            timers: config.timers,
            session_expires: config.session_expires,
            min_se: None,
            follows: false,
            direct: false,
            trying: false,
            software: "hil trunk".into(),
        };
        let sip = Arc::new(Network::new(config.sip_path, config.seed));
        let rtp = Arc::new(Network::new(config.rtp_path, config.seed.wrapping_add(1)));
        let (agent, events) = Agent::start(settings, sip, rtp).await?;
        let agent = Arc::new(agent);
        let shop = Arc::new(Shop {
            routes: Mutex::new(config.routes.clone()),
            emergency: Mutex::new(config.emergency),
            door: Mutex::new(Door::new(&config)),
            counters: watch::channel(Counters::default()).0,
            silent: Mutex::new(false),
            config,
        });
        let (pass_on, taken) = mpsc::unbounded_channel();
        let task = tokio::spawn(attend(events, shop.clone(), pass_on));
        Ok(Trunk { agent, shop, taken: tokio::sync::Mutex::new(taken), task })
    }

    /// Where it listens.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.agent.local()
    }

    /// What lies under the trunk: its endpoint, its networks.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.shop.counters.borrow()
    }

    /// Contacts that are registered, by user.
    #[must_use]
    pub fn bindings(&self) -> Vec<(String, Uri)> {
        lock(&self.shop.door).bindings()
    }

    /// Waits until somebody has registered.
    ///
    /// # Errors
    /// Nobody did in time.
    pub async fn registered(&self, patience: Duration) -> Result<(), Error> {
        self.counted(patience, "registration", |counters| counters.registered > 0).await.map(drop)
    }

    /// Waits until the counters are so.
    ///
    /// # Errors
    /// They were not in time.
    pub async fn counted(
        &self,
        patience: Duration,
        what: &'static str,
        so: impl FnMut(&Counters) -> bool,
    ) -> Result<Counters, Error> {
        let mut counters = self.shop.counters.subscribe();
        let reached = tokio::time::timeout(patience, counters.wait_for(so)).await;
        Ok(*reached.map_err(|_| Error::TimedOut(what))?.map_err(|_| Error::Gone)?)
    }

    /// The next call of the box that the trunk has taken up, refused ones too.
    ///
    /// # Errors
    /// None came in time.
    pub async fn taken(&self, patience: Duration) -> Result<Call, Error> {
        let next = tokio::time::timeout(patience, async { self.taken.lock().await.recv().await }).await;
        next.map_err(|_| Error::TimedOut("call"))?.ok_or(Error::Gone)
    }

    /// Calls to this number go so from now on.
    pub fn route(&self, number: &str, plan: Plan) {
        let mut routes = lock(&self.shop.routes);
        routes.retain(|route| route.number != number);
        routes.insert(0, Route { number: number.to_owned(), plan });
    }

    /// How it is from now on.
    pub fn change(&self, change: &Change) {
        let mut door = lock(&self.shop.door);
        door.registrar = change.registrar.unwrap_or(door.registrar);
        door.health = change.health.unwrap_or(door.health);
        if change.forget_nonces == Some(true) {
            door.forget_nonces();
        }
        drop(door);
        if let Some(emergency) = change.emergency {
            *lock(&self.shop.emergency) = emergency;
        }
        if let Some(path) = change.sip {
            self.agent.sip_network().set(path);
        }
        if let Some(path) = change.rtp {
            self.agent.rtp_network().set(path);
        }
        if let Some(deaf) = change.deaf {
            self.agent.endpoint().set_deaf(deaf);
        }
        if let Some(ignore) = change.ignores_acks {
            self.agent.endpoint().ignore_acks(ignore);
        }
        if let Some(silent) = change.rtp_silence {
            *lock(&self.shop.silent) = silent;
            self.agent.calls().iter().for_each(|call| call.sound().mute(silent));
        }
    }

    /// Calls that have not ended.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.agent.calls()
    }

    /// Places a call into the box: at the contact that it registered, else at its address.
    ///
    /// # Errors
    /// An emergency number, or there is no socket for its sound.
    pub async fn call(&self, inbound: &Inbound) -> Result<Call, Error> {
        if *lock(&self.shop.emergency) == Emergency::Refuse && is_emergency(&inbound.to) {
            return Err(Error::Emergency(inbound.to.clone()));
        }
        let own = self.local().to_string();
        let mut from = NameAddr::new(Uri::sip(&inbound.from, &own));
        from.name.clone_from(&inbound.name);
        let mut asserted = from.clone();
        if let Some(other) = &inbound.asserted {
            asserted.uri = Uri::sip(other, &own);
        }
        let mut headers = vec![("P-Asserted-Identity".to_owned(), asserted.to_string())];
        if inbound.private {
            headers.push(("Privacy".into(), "id".into()));
            from = NameAddr {
                name: Some("Anonymous".into()),
                uri: Uri::sip("anonymous", "anonymous.invalid"),
                params: Vec::new(),
            };
        }
        let (uri, peer) = lock(&self.shop.door).way_to(&inbound.to, self.agent.settings().peer);
        let quirks = Quirks {
            never_acknowledges: inbound.never_acknowledges,
            glares: inbound.glares,
            wrong: inbound.wrong,
            ..Quirks::default()
        };
        let outgoing = Outgoing {
            to: uri.to_string(),
            peer: Some(peer),
            from: Some(from),
            headers,
            late_offer: inbound.late_offer,
            tone: inbound.tone.clone(),
            quirks,
        };
        let call = self.agent.call(outgoing).await?;
        call.sound().mute(*lock(&self.shop.silent));
        Ok(call)
    }
}

impl Shop {
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        self.counters.send_modify(change);
    }

    /// The plan for a number that the box called.
    fn plan(&self, number: &str) -> Plan {
        let routes = lock(&self.routes);
        let route = routes.iter().find(|route| route.fits(number));
        route.map_or_else(|| Plan::refuse(404), |route| route.plan.clone())
    }

    /// Whether a call to an emergency number is to be refused; loud either way.
    fn refuses_emergency(&self, uri: &str) -> bool {
        if !is_emergency(uri) {
            return false;
        }
        let answers = *lock(&self.emergency) == Emergency::Answer && self.config.ip.is_loopback();
        if answers {
            self.count(|counters| counters.emergencies_taken += 1);
            return false;
        }
        self.count(|counters| counters.emergencies_refused += 1);
        let warning =
            "hil trunk: REFUSED A CALL TO AN EMERGENCY NUMBER (say `emergency: \"answer\"` to simulate one)";
        // A closed standard error must not keep the refusal from being sent.
        drop(writeln!(io::stderr(), "{warning}"));
        true
    }
}

async fn attend(mut events: UnboundedReceiver<Event>, shop: Arc<Shop>, pass_on: UnboundedSender<Call>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Request(served) => attend_request(&shop, &served),
            Event::Call(call) => {
                let Some(invite) = call.invite() else { continue };
                let uri = invite.uri().unwrap_or_default().to_owned();
                if !may_call(&shop, &call) {
                    continue;
                }
                shop.count(|counters| counters.calls += 1);
                call.sound().mute(*lock(&shop.silent));
                let plan =
                    if shop.refuses_emergency(&uri) { Plan::refuse(403) } else { shop.plan(call.number()) };
                tokio::spawn(follow(call.clone(), plan));
                drop(pass_on.send(call));
            }
        }
    }
}

fn attend_request(shop: &Shop, served: &Served) {
    match served.request.method() {
        Some("REGISTER") => registrar::register(shop, served),
        Some("OPTIONS") => {
            shop.count(|counters| counters.options += 1);
            match lock(&shop.door).health {
                Health::Answer => served.refuse(200),
                Health::Refuse(status) => served.refuse(status),
                Health::Silence => {}
            }
        }
        Some("MESSAGE") => served.refuse(200),
        _ => served.refuse(405),
    }
}

/// Whether a caller is known; if not, it was told.
fn may_call(shop: &Shop, call: &Call) -> bool {
    let Some(served) = call.served() else { return false };
    if shop.config.accounts.is_empty() {
        return true;
    }
    let mut door = lock(&shop.door);
    if shop.config.trusts_address && door.knows(served.from.address) {
        return true;
    }
    match door.check(&served.request, "Proxy-Authorization") {
        Ok(_) => true,
        Err(challenge) => {
            drop(door);
            shop.count(|counters| counters.challenged += 1);
            let value = challenge.map(|challenge| ("Proxy-Authenticate", challenge.write()));
            let status = if value.is_some() { 407 } else { 403 };
            if status == 403 {
                shop.count(|counters| counters.wrong_password += 1);
            }
            // A call that was cancelled meanwhile needs no challenge.
            drop(call.decline_with(status, None, value.as_slice()));
            false
        }
    }
}

/// What the plan says, until the call is over or the plan done. An error means that the call ended meanwhile.
async fn follow(call: Call, plan: Plan) -> Result<(), Error> {
    if plan.then == Then::Silence {
        return Ok(());
    }
    call.misbehave(Quirks {
        answers_after_cancel: plan.answers_after_cancel,
        never_acknowledges: false,
        glares: plan.glares,
        wrong: plan.wrong,
    });
    call.trying()?;
    if too_brief(&call, &plan)? {
        return Ok(());
    }
    call.play(&plan.early_tone);
    let forks: Vec<(String, bool)> = plan.forks.iter().map(|fork| (token(), fork.answers)).collect();
    for ringing in &plan.ring {
        pause(ringing.after_ms).await;
        let ring = Ring {
            status: ringing.status,
            early_media: ringing.early_media,
            reliable: ringing.reliable,
            fork: None,
        };
        call.ring_with(&ring)?;
        if ringing.reliable {
            call.pracked(PATIENCE).await?;
        }
    }
    for (tag, _) in &forks {
        call.ring_with(&Ring { fork: Some(tag.clone()), ..Ring::default() })?;
    }
    pause(plan.after_ms).await;
    match &plan.then {
        Then::Answer => {}
        Then::Refuse { status, reason, retry_after, contact } => {
            let mut headers = Vec::new();
            headers.extend(retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
            headers.extend(contact.as_ref().map(|uri| ("Contact", format!("<{uri}>"))));
            return call.decline_with(*status, reason.as_deref(), &headers);
        }
        Then::Nothing | Then::Silence => return Ok(()),
    }
    call.play(&plan.tone);
    call.answer()?;
    for (tag, _) in forks.iter().filter(|(_, answers)| *answers) {
        call.answer_as(Some(tag))?;
    }
    for step in &plan.steps {
        pause(step.after_ms).await;
        perform(&call, &step.r#do).await?;
    }
    Ok(())
}

fn too_brief(call: &Call, plan: &Plan) -> Result<bool, Error> {
    let Some(least) = plan.min_se else { return Ok(false) };
    let invite = call.invite();
    let asked = invite.as_ref().and_then(|invite| invite.header("Session-Expires"));
    let asked = asked.and_then(|text| text.split(';').next()?.trim().parse::<u32>().ok());
    if asked.is_none_or(|asked| asked >= least) {
        return Ok(false);
    }
    call.decline_with(422, None, &[("Min-SE", least.to_string())])?;
    Ok(true)
}

async fn perform(call: &Call, deed: &Deed) -> Result<(), Error> {
    match deed {
        Deed::Hangup => call.hangup(PATIENCE).await?,
        Deed::Hold => call.hold(PATIENCE).await?,
        Deed::Resume => call.resume(PATIENCE).await?,
        Deed::Reinvite => call.refresh("INVITE", PATIENCE).await?,
        Deed::Update => call.refresh("UPDATE", PATIENCE).await?,
        Deed::RtpSilence => call.sound().mute(true),
        Deed::RtpBack => call.sound().mute(false),
        Deed::Keys(keys) => {
            for key in keys.chars().filter_map(|c| crate::rtp::Key::try_from(c).ok()) {
                call.send_key(key, crate::rtp::How::Event).await?;
            }
        }
        Deed::Play(tone) => call.play(tone),
    }
    Ok(())
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
