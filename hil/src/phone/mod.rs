//! `hil phone`: a SIP phone that registers, calls, answers, plays tones and says what it hears.
//!
//! ```no_run
//! # async fn example() -> Result<(), hil::ua::Error> {
//! use hil::phone::{Phone, PhoneConfig};
//! use std::time::Duration;
//! let patience = Duration::from_secs(5);
//! let phone = Phone::start(PhoneConfig::new("127.0.0.1:5060".parse().unwrap(), "100", "secret")).await?;
//! phone.register(patience).await?;
//! let call = phone.call("101").await?;
//! call.answered(patience).await?;
//! call.play(&[440.0]);
//! call.wait_hears(620.0, patience).await?;
//! call.hangup(patience).await
//! # }
//! ```
//!
//! It dials no emergency number, unless it is told that it may, and then only at a box on loopback: whether such a
//! box has a line to the world is for who starts it to know.
//!
//! Absent: several lines in one phone (start several phones), codecs beyond G.711.

mod control;
mod run;

pub use control::Request;
pub use run::{Args, CallArgs, run, run_call};

pub use crate::emergency::{Emergency, is_emergency};
pub use crate::rtp::{How, Key, Law};
pub use crate::sip::{Path, Protocol, Timers};
pub use crate::ua::{By, Call, End, Error, Outgoing, Phase, Ring};

use crate::sip::digest::Credentials;
use crate::sip::{Message, Network, Peer, chance, lock};
use crate::ua::{Agent, Event, Settings};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a phone does with a call by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// Nothing: whoever holds the phone does.
    #[default]
    Nothing,
    /// Says 180.
    Ring,
    /// Answers at once.
    Answer,
    /// Says 180, and answers after so many milliseconds.
    AnswerAfter(u64),
    /// Refuses with this status.
    Refuse(u16),
}

/// What a phone is started with.
#[derive(Clone)]
pub struct PhoneConfig {
    /// The registrar and proxy.
    pub server: SocketAddr,
    pub user: String,
    pub password: String,
    /// User name of the digest, where it is another than `user`.
    pub login: Option<String>,
    pub name: Option<String>,
    /// Host part of addresses; the server's address if absent.
    pub domain: Option<String>,
    pub transport: Protocol,
    pub ip: IpAddr,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// Codecs, best first.
    pub codecs: Vec<Law>,
    /// Speaks RFC 4733.
    pub events: bool,
    /// SRTP with keys in the description, or no call.
    pub secure: bool,
    /// Calls URIs that hold an address directly, not through its server.
    pub direct: bool,
    pub auto: Auto,
    /// Whether it dials emergency numbers at a server on loopback.
    pub emergency: Emergency,
    /// Frequencies that each of its calls plays from the start, in Hz.
    pub tone: Vec<f32>,
    /// Seconds that a registration is asked for.
    pub expires: u32,
    /// Asks for a session timer of so many seconds.
    pub session_expires: Option<u32>,
    /// Refuses session timers under so many seconds.
    pub min_se: Option<u32>,
    pub timers: Timers,
    /// What the network does to its signalling and to its sound.
    pub sip_path: Path,
    pub rtp_path: Path,
    /// Chooses which datagrams the network hits.
    pub seed: u64,
}

impl PhoneConfig {
    /// A phone on loopback with everything else as usual.
    #[must_use]
    pub fn new(server: SocketAddr, user: &str, password: &str) -> PhoneConfig {
        PhoneConfig {
            server,
            user: user.into(),
            password: password.into(),
            login: None,
            name: None,
            domain: None,
            transport: Protocol::Udp,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            codecs: vec![Law::Mu, Law::A],
            events: true,
            secure: false,
            direct: false,
            auto: Auto::Nothing,
            emergency: Emergency::Refuse,
            tone: Vec::new(),
            expires: 300,
            session_expires: None,
            min_se: None,
            timers: Timers::default(),
            sip_path: Path::default(),
            rtp_path: Path::default(),
            seed: chance(),
        }
    }

    fn settings(&self) -> Settings {
        let login = self.login.as_ref().unwrap_or(&self.user);
        Settings {
            ip: self.ip,
            port: self.port,
            user: self.user.clone(),
            name: self.name.clone(),
            domain: self.domain.clone().unwrap_or_else(|| self.server.to_string()),
            credentials: Some(Credentials { user: login.clone(), password: self.password.clone() }),
            peer: Peer { protocol: self.transport, address: self.server },
            laws: self.codecs.clone(),
            events: self.events,
            secure: self.secure,
            timers: self.timers,
            session_expires: self.session_expires,
            min_se: self.min_se,
            follows: true,
            direct: self.direct,
            trying: true,
            software: "hil phone".into(),
        }
    }
}

struct Registration {
    call_id: String,
    sequence: u32,
    refresh: Option<JoinHandle<()>>,
}

/// A phone on the network. Dropped, it is gone without a word, as one whose plug is pulled.
pub struct Phone {
    agent: Arc<Agent>,
    config: PhoneConfig,
    auto: Arc<Mutex<Auto>>,
    incoming: tokio::sync::Mutex<UnboundedReceiver<Call>>,
    registration: Arc<Mutex<Registration>>,
    registered: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(refresh) = lock(&self.registration).refresh.take() {
            refresh.abort();
        }
    }
}

impl Phone {
    /// A phone that listens and has not registered.
    ///
    /// # Errors
    /// Its port cannot be had.
    pub async fn start(config: PhoneConfig) -> Result<Phone, Error> {
        let sip = Arc::new(Network::new(config.sip_path, config.seed));
        let rtp = Arc::new(Network::new(config.rtp_path, config.seed.wrapping_add(1)));
        let (agent, events) = Agent::start(config.settings(), sip, rtp).await?;
        let auto = Arc::new(Mutex::new(config.auto.clone()));
        let (pass_on, incoming) = mpsc::unbounded_channel();
        let task = tokio::spawn(attend(events, auto.clone(), config.tone.clone(), pass_on));
        let registration = Registration { call_id: crate::sip::token(), sequence: 0, refresh: None };
        Ok(Phone {
            agent: Arc::new(agent),
            config,
            auto,
            incoming: tokio::sync::Mutex::new(incoming),
            registration: Arc::new(Mutex::new(registration)),
            registered: watch::channel(false).0,
            task,
        })
    }

    #[must_use]
    pub fn user(&self) -> &str {
        &self.config.user
    }

    /// Where it listens.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.agent.local()
    }

    /// What lies under the phone: its endpoint, its networks.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Registers, and goes on doing so at half time.
    ///
    /// # Errors
    /// The registrar refused, or said nothing in time.
    pub async fn register(&self, patience: Duration) -> Result<(), Error> {
        let once = register(&self.agent, &self.registration, self.config.expires);
        let granted =
            tokio::time::timeout(patience, once).await.map_err(|_| Error::TimedOut("registration"))??;
        self.registered.send_replace(true);
        let (agent, registration) = (Arc::downgrade(&self.agent), self.registration.clone());
        let (registered, expires) = (self.registered.clone(), self.config.expires);
        let refresh = tokio::spawn(async move {
            let mut granted = granted;
            loop {
                tokio::time::sleep(Duration::from_secs(granted.into()) / 2).await;
                let Some(agent) = agent.upgrade() else { return };
                match register(&agent, &registration, expires).await {
                    Ok(seconds) => granted = seconds,
                    Err(_) => {
                        registered.send_replace(false);
                        return;
                    }
                }
            }
        });
        if let Some(older) = lock(&self.registration).refresh.replace(refresh) {
            older.abort();
        }
        Ok(())
    }

    /// Takes its binding from the registrar.
    ///
    /// # Errors
    /// The registrar refused, or said nothing in time.
    pub async fn unregister(&self, patience: Duration) -> Result<(), Error> {
        if let Some(refresh) = lock(&self.registration).refresh.take() {
            refresh.abort();
        }
        let once = register(&self.agent, &self.registration, 0);
        tokio::time::timeout(patience, once).await.map_err(|_| Error::TimedOut("registration"))??;
        self.registered.send_replace(false);
        Ok(())
    }

    /// Whether the last registration stands, as far as the phone knows.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        *self.registered.borrow()
    }

    /// Calls a number or a URI. What becomes of it is told by the [`Call`].
    ///
    /// # Errors
    /// There is no socket for its sound, or it is an emergency number.
    pub async fn call(&self, number: &str) -> Result<Call, Error> {
        self.call_with(Outgoing { to: number.into(), ..Outgoing::default() }).await
    }

    /// Calls in another way than usual.
    ///
    /// # Errors
    /// As for [`Phone::call`].
    pub async fn call_with(&self, mut outgoing: Outgoing) -> Result<Call, Error> {
        let dials = self.config.emergency == Emergency::Answer && self.config.server.ip().is_loopback();
        if !dials && is_emergency(&outgoing.to) {
            return Err(Error::Emergency(outgoing.to));
        }
        if outgoing.tone.is_empty() {
            outgoing.tone.clone_from(&self.config.tone);
        }
        self.agent.call(outgoing).await
    }

    /// The next call that comes in, also one that the phone answered by itself.
    ///
    /// # Errors
    /// None came in time.
    pub async fn incoming(&self, patience: Duration) -> Result<Call, Error> {
        let next = tokio::time::timeout(patience, async { self.incoming.lock().await.recv().await }).await;
        next.map_err(|_| Error::TimedOut("incoming call"))?.ok_or(Error::Gone)
    }

    /// What it does with calls by itself from now on.
    pub fn set_auto(&self, auto: Auto) {
        *lock(&self.auto) = auto;
    }

    /// Calls that have not ended.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.agent.calls()
    }

    /// What the network does to its signalling and to its sound from now on.
    pub fn set_paths(&self, sip: Path, rtp: Path) {
        self.agent.sip_network().set(sip);
        self.agent.rtp_network().set(rtp);
    }

    /// Sends a request outside any call, and gives the final response; `None`: there was none.
    pub async fn ask(&self, method: &str, uri: &str) -> Option<Message> {
        self.agent.ask(self.agent.request(method, uri)).await
    }
}

/// One REGISTER with what it takes to have it accepted; the seconds that were granted.
async fn register(agent: &Agent, registration: &Mutex<Registration>, expires: u32) -> Result<u32, Error> {
    let settings = agent.settings();
    let mut expires = expires;
    for _ in 0..2 {
        let uri = format!("sip:{}", settings.domain);
        let mut request = agent.request("REGISTER", &uri);
        {
            let mut registration = lock(registration);
            registration.sequence += 10;
            request.set("Call-ID", &registration.call_id);
            request.set("CSeq", format!("{} REGISTER", registration.sequence));
        }
        let own = crate::sip::Uri::sip(&settings.user, &settings.domain);
        request.set("To", format!("<{own}>"));
        request.set("Contact", format!("{};expires={expires}", agent.contact()));
        request.set("Expires", expires);
        let response = agent.ask(request).await.ok_or(Error::TimedOut("registration"))?;
        let number = |name: &str| response.header(name).and_then(|text| text.trim().parse::<u32>().ok());
        match response.status().unwrap_or_default() {
            200 => {
                let ours = agent.contact().uri.to_string();
                let contacts = response.list("Contact").into_iter().filter_map(crate::sip::NameAddr::read);
                let bound = contacts.filter(|contact| contact.uri.to_string() == ours);
                let granted = bound.filter_map(|contact| contact.param("expires")?.parse().ok()).next();
                return Ok(granted.or_else(|| number("Expires")).unwrap_or(expires).max(1));
            }
            423 => expires = number("Min-Expires").unwrap_or(expires.saturating_mul(2)),
            status => {
                let reason = response.phrase().to_owned();
                return Err(Error::Refused { what: "REGISTER", status, reason });
            }
        }
    }
    Err(Error::Refused { what: "REGISTER", status: 423, reason: "Interval Too Brief".into() })
}

async fn attend(
    mut events: UnboundedReceiver<Event>,
    auto: Arc<Mutex<Auto>>,
    tone: Vec<f32>,
    pass_on: mpsc::UnboundedSender<Call>,
) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Request(served) => match served.request.method() {
                Some("OPTIONS") => served
                    .respond(&served.response(200, &crate::sip::token()).with("Accept", "application/sdp")),
                Some("NOTIFY" | "MESSAGE") => served.refuse(200),
                _ => served.refuse(405),
            },
            Event::Call(call) => {
                call.play(&tone);
                let auto = lock(&auto).clone();
                // A call that is cancelled at this moment can be neither answered nor refused.
                match auto {
                    Auto::Nothing => {}
                    Auto::Ring => drop(call.ring()),
                    Auto::Answer => drop(call.answer()),
                    Auto::Refuse(status) => drop(call.decline(status)),
                    Auto::AnswerAfter(ms) => {
                        drop(call.ring());
                        let call = call.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(ms)).await;
                            drop(call.answer());
                        });
                    }
                }
                drop(pass_on.send(call));
            }
        }
    }
}
