//! The agent: an endpoint, its calls, and what to do with requests that belong to none of them.

use super::call::{By, Call, Inside};
use super::called;
use crate::rtp::{Law, Sound};
use crate::sip::digest::{Challenge, Credentials};
use crate::sip::{Arrived, Endpoint, Message, NameAddr, Network, Peer, Served, Timers, Uri, lock};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// Who an agent is and how it talks.
#[derive(Clone)]
pub struct Settings {
    /// Address to listen on, for signalling and sound.
    pub ip: IpAddr,
    /// Port for signalling; 0: any.
    pub port: u16,
    /// User part of its address.
    pub user: String,
    /// Display name.
    pub name: Option<String>,
    /// Host part of its address and of those it calls.
    pub domain: String,
    pub credentials: Option<Credentials>,
    /// Where requests outside dialogs go.
    pub peer: Peer,
    /// Codecs, best first.
    pub laws: Vec<Law>,
    /// Speaks telephone-event.
    pub events: bool,
    /// SRTP or nothing.
    pub secure: bool,
    pub timers: Timers,
    /// Asks for a session timer of so many seconds (RFC 4028).
    pub session_expires: Option<u32>,
    /// Refuses INVITEs with a session timer under so many seconds with 422.
    pub min_se: Option<u32>,
    /// Follows a 3xx to its Contact.
    pub follows: bool,
    /// Calls URIs that hold an address directly, not through its server.
    pub direct: bool,
    /// Says 100 to every INVITE at once.
    pub trying: bool,
    /// As in User-Agent and Server.
    pub software: String,
}

/// What the owner of an agent is told.
#[derive(Debug)]
pub enum Event {
    /// Somebody calls.
    Call(Call),
    /// Any other request outside dialogs; it must be answered.
    Request(Served),
}

pub(super) struct Shared {
    pub(super) endpoint: Endpoint,
    pub(super) settings: Settings,
    pub(super) calls: Mutex<Vec<Arc<Inside>>>,
    pub(super) sip: Arc<Network>,
    pub(super) rtp: Arc<Network>,
    counts: Mutex<HashMap<String, u32>>,
    up: UnboundedSender<Event>,
}

/// An endpoint that has calls.
pub struct Agent {
    pub(super) shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    /// Opens its socket; events come until the agent is dropped.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn start(
        settings: Settings,
        sip: Arc<Network>,
        rtp: Arc<Network>,
    ) -> io::Result<(Agent, UnboundedReceiver<Event>)> {
        let (endpoint, arrived) =
            Endpoint::open(settings.ip, settings.port, sip.clone(), settings.timers).await?;
        let (up, events) = unbounded_channel();
        let shared = Arc::new(Shared {
            endpoint,
            settings,
            calls: Mutex::default(),
            sip,
            rtp,
            counts: Mutex::default(),
            up,
        });
        let task = tokio::spawn(dispatch(arrived, Arc::downgrade(&shared)));
        Ok((Agent { shared, task }, events))
    }

    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.shared.endpoint.local()
    }

    /// What the network does to signalling.
    #[must_use]
    pub fn sip_network(&self) -> &Network {
        &self.shared.sip
    }

    /// What the network does to sound.
    #[must_use]
    pub fn rtp_network(&self) -> &Network {
        &self.shared.rtp
    }

    /// Calls that have not ended.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).iter().map(|inside| Call::of(inside.clone())).collect()
    }

    /// Sends a request outside any call, answers a challenge, and gives the final response; `None`: there was none.
    pub async fn ask(&self, request: Message) -> Option<Message> {
        self.shared.ask(request, self.shared.settings.peer).await
    }

    /// A request to a URI outside any call, with From, Contact and the rest.
    #[must_use]
    pub fn request(&self, method: &str, uri: &str) -> Message {
        self.shared.request(method, uri)
    }

    /// This agent's Contact.
    #[must_use]
    pub fn contact(&self) -> NameAddr {
        self.shared.contact(self.shared.settings.peer)
    }
}

impl Shared {
    pub(super) async fn sound(&self) -> io::Result<Arc<Sound>> {
        Sound::open(self.settings.ip, self.rtp.clone()).await
    }

    pub(super) fn contact(&self, peer: Peer) -> NameAddr {
        let mut uri = Uri::sip(&self.settings.user, &self.endpoint.local().to_string());
        if peer.protocol == crate::sip::Protocol::Tcp {
            uri.params.push(("transport".into(), Some("tcp".into())));
        }
        NameAddr::new(uri)
    }

    pub(super) fn request(&self, method: &str, uri: &str) -> Message {
        let settings = &self.settings;
        let mut from = NameAddr::new(Uri::sip(&settings.user, &settings.domain)).tagged(&crate::sip::token());
        from.name = settings.name.clone();
        Message::request(method, uri)
            .with("From", from)
            .with("To", format!("<{uri}>"))
            .with("Call-ID", crate::sip::token())
            .with("CSeq", format!("1 {method}"))
            .with("User-Agent", &settings.software)
    }

    pub(super) async fn ask(&self, mut request: Message, to: Peer) -> Option<Message> {
        for _ in 0..3 {
            let response = self.endpoint.request(request.clone(), to).last().await?;
            if !self.authorize(&mut request, &response) {
                return Some(response);
            }
        }
        None
    }

    /// Makes `request` the answer to a challenge, with the next CSeq; `false`: there is nothing to answer.
    pub(super) fn authorize(&self, request: &mut Message, response: &Message) -> bool {
        let status = response.status().unwrap_or_default();
        let name = match status {
            401 => "Authorization",
            407 => "Proxy-Authorization",
            _ => return false,
        };
        let challenge = Challenge::first(response);
        let (Some(challenge), Some(who)) = (challenge, &self.settings.credentials) else { return false };
        // The same challenge again: the password is wrong.
        if request.header(name).is_some() && !challenge.stale {
            return false;
        }
        let count = {
            let mut counts = lock(&self.counts);
            let count = counts.entry(challenge.nonce.clone()).or_default();
            *count += 1;
            *count
        };
        let (method, uri) = (request.method().unwrap_or_default(), request.uri().unwrap_or_default());
        let value = challenge.answer(who, method, uri, count);
        let number = request.cseq().map_or(1, |(number, _)| number);
        let next = format!("{} {method}", number + 1);
        request.set(name, value);
        request.set("CSeq", next);
        true
    }

    pub(super) fn forget(&self, ended: &Inside) {
        lock(&self.calls).retain(|inside| !std::ptr::eq(&raw const **inside, ended));
    }

    /// Whether a dialog is one of a call's further forks; its BYE is the last that it hears.
    fn is_fork(&self, call_id: &str, tag: &str) -> bool {
        let calls = lock(&self.calls);
        let mut of_call = calls.iter().filter(|inside| inside.call_id == call_id);
        of_call.any(|inside| lock(&inside.state).end_fork(tag))
    }

    /// The call whose dialog has this Call-ID and this local tag.
    pub(super) fn call(&self, call_id: &str, local_tag: &str) -> Option<Call> {
        let calls = lock(&self.calls);
        let inside = calls.iter().find(|inside| inside.is(call_id, local_tag))?;
        Some(Call::of(inside.clone()))
    }
}

async fn dispatch(mut arrived: UnboundedReceiver<Arrived>, shared: Weak<Shared>) {
    while let Some(arrived) = arrived.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match arrived {
            Arrived::Request(served) => request(&shared, served).await,
            Arrived::Cancelled { invite, .. } => {
                let calls = lock(&shared.calls).clone();
                if let Some(inside) = calls.into_iter().find(|inside| inside.serves(&invite)) {
                    Call::of(inside).cancelled();
                }
            }
            Arrived::Ack(ack) => {
                if let Some(call) = shared.call(ack.call_id(), &ack.to_tag().unwrap_or_default()) {
                    call.acknowledged(&ack);
                }
            }
            Arrived::NotAcknowledged { call_id, tag } => {
                if let Some(call) = shared.call(&call_id, &tag) {
                    call.give_up("nobody acknowledged the answer");
                }
            }
            Arrived::Stray(_) | Arrived::Rubbish(..) => {}
        }
    }
}

async fn request(shared: &Arc<Shared>, served: Served) {
    let method = served.request.method().unwrap_or_default().to_owned();
    if let Some(tag) = served.request.to_tag() {
        match shared.call(served.request.call_id(), &tag) {
            Some(call) => call.within(&method, served),
            None if shared.is_fork(served.request.call_id(), &tag) => {
                served.refuse(if method == "BYE" { 200 } else { 481 });
            }
            None => served.refuse(481),
        }
        return;
    }
    if method != "INVITE" {
        // Nobody listens any more: the agent is about to go.
        return drop(shared.up.send(Event::Request(served)));
    }
    if shared.settings.trying {
        served.respond(&served.response(100, ""));
    }
    match called::arrive(shared, served).await {
        Some((call, Some(replaced))) => {
            if call.answer().is_ok() {
                replaced.hang_up_in_background(By::Us, "replaced");
            }
            drop(shared.up.send(Event::Call(call)));
        }
        Some((call, None)) => drop(shared.up.send(Event::Call(call))),
        None => {}
    }
}
