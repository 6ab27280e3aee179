//! Transactions on sockets (RFC 3261 §17 with RFC 6026): requests are repeated until answered, answers until
//! acknowledged, and what comes twice is told once. What a request means is somebody else's business.

use super::transport::{Arrival, Transport};
use super::{Malformed, Message, Network, Peer, Protocol, lock, token};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Messages that are remembered for who wants to look back.
const REMEMBERED: usize = 4_000;

/// RFC 3261 table 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round trip: first repetition.
    pub t1: Duration,
    /// Longest pause between repetitions of what is no INVITE.
    pub t2: Duration,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4) }
    }
}

impl Timers {
    /// 64*T1: how long anybody tries.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }
}

/// What an endpoint tells its user.
#[derive(Debug)]
pub enum Arrived {
    /// A new request; it must be answered.
    Request(Served),
    /// An INVITE with this id was cancelled; the CANCEL is answered, the INVITE is not.
    Cancelled { invite: String, cancel: Message },
    /// The ACK of a 2xx.
    Ack(Message),
    /// A 2xx was repeated to the end and never acknowledged.
    NotAcknowledged { call_id: String, tag: String },
    /// A response without a transaction.
    Stray(Message),
    /// What could not be read.
    Rubbish(Malformed, Peer),
}

/// What comes back on a request.
#[derive(Debug)]
pub enum Heard {
    Response(Message),
    /// Timer B or F.
    TimedOut,
}

/// A request's way through its transaction, as it was sent.
#[derive(Debug)]
pub struct Responses {
    /// With its Via.
    pub request: Message,
    pub to: Peer,
    heard: UnboundedReceiver<Heard>,
}

impl Responses {
    /// The next response; an INVITE may have several 2xx. `None`: no more will come.
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// The final response; `None`: there was none.
    pub async fn last(mut self) -> Option<Message> {
        while let Some(Heard::Response(response)) = self.next().await {
            if response.status().is_some_and(|status| status >= 200) {
                return Some(response);
            }
        }
        None
    }
}

/// A request that arrived, to be answered; clones answer the same transaction.
#[derive(Clone, Debug)]
pub struct Served {
    pub request: Arc<Message>,
    pub from: Peer,
    id: String,
    inner: Weak<Inner>,
}

impl Served {
    /// The transaction: what [`Arrived::Cancelled`] names.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a response. A final one is repeated until the ACK, if it is one to an INVITE.
    pub fn respond(&self, response: &Message) {
        if let Some(inner) = self.inner.upgrade() {
            inner.respond(self, response);
        }
    }

    /// A response without anything else in it.
    pub fn refuse(&self, status: u16) {
        self.respond(&self.response(status, &token()));
    }

    /// A response with this To tag, unless the request has one.
    #[must_use]
    pub fn response(&self, status: u16, tag: &str) -> Message {
        let mut response = Message::response_to(&self.request, status);
        if status > 100 && self.request.to_tag().is_none() {
            let to = self.request.header("To").unwrap_or_default().to_owned();
            response.set("To", format!("{to};tag={tag}"));
        }
        response
    }
}

/// One message as it passed the socket.
#[derive(Clone, Debug)]
pub struct Passed {
    pub sent: bool,
    pub message: Message,
    pub peer: Peer,
}

#[derive(Debug, Default)]
struct Server {
    last: Option<Vec<u8>>,
    repeating: Option<AbortHandle>,
}

struct Inner {
    transport: Arc<Transport>,
    timers: Timers,
    clients: Mutex<HashMap<(String, String), UnboundedSender<Message>>>,
    servers: Mutex<HashMap<String, Server>>,
    /// Answers that wait for their ACK: Call-ID, CSeq and To tag.
    unacknowledged: Mutex<HashMap<(String, u32, String), AbortHandle>>,
    passed: Mutex<VecDeque<Passed>>,
    deaf: AtomicBool,
    ignores_acks: AtomicBool,
    up: UnboundedSender<Arrived>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "endpoint {}", self.transport.local)
    }
}

/// An address that speaks SIP. Dropped, it is gone from the network at once.
#[derive(Debug)]
pub struct Endpoint {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    /// Listens on `ip` and `port` (0: any) over UDP and TCP.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn open(
        ip: IpAddr,
        port: u16,
        network: Arc<Network>,
        timers: Timers,
    ) -> io::Result<(Endpoint, UnboundedReceiver<Arrived>)> {
        let (transport, arrivals) = Transport::open(ip, port, network).await?;
        let (up, arrived) = unbounded_channel();
        let inner = Arc::new(Inner {
            transport,
            timers,
            clients: Mutex::default(),
            servers: Mutex::default(),
            unacknowledged: Mutex::default(),
            passed: Mutex::default(),
            deaf: AtomicBool::new(false),
            ignores_acks: AtomicBool::new(false),
            up,
        });
        let task = tokio::spawn(dispatch(arrivals, Arc::downgrade(&inner)));
        Ok((Endpoint { inner, task }, arrived))
    }

    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.inner.transport.local
    }

    #[must_use]
    pub fn timers(&self) -> Timers {
        self.inner.timers
    }

    /// Begins a client transaction. Via and Max-Forwards are put in.
    #[must_use]
    pub fn request(&self, mut message: Message, to: Peer) -> Responses {
        let branch = format!("z9hG4bK{}", token());
        self.stamp(&mut message, to, &branch);
        self.begin(message, to, &branch)
    }

    /// Cancels an INVITE that has been answered provisionally (RFC 3261 §9.1).
    #[must_use]
    pub fn cancel(&self, invite: &Message, to: Peer) -> Responses {
        let mut cancel = Message::request("CANCEL", invite.uri().unwrap_or_default());
        if let Some(via) = invite.list("Via").first() {
            cancel = cancel.with("Via", via);
        }
        for name in ["Route", "From", "To", "Call-ID"] {
            for value in invite.list(name) {
                cancel = cancel.with(name, value);
            }
        }
        let number = invite.cseq().map_or(1, |(number, _)| number);
        cancel = cancel.with("CSeq", format!("{number} CANCEL")).with("Max-Forwards", 70);
        let branch = invite.branch().unwrap_or_default();
        self.begin(cancel, to, &branch)
    }

    /// Sends a message that has no transaction: the ACK of a 2xx, or something wrong on purpose.
    pub fn send(&self, mut message: Message, to: Peer) {
        self.stamp(&mut message, to, &format!("z9hG4bK{}", token()));
        self.inner.send(&message, to);
    }

    /// Hears nothing any more, or again.
    pub fn set_deaf(&self, deaf: bool) {
        self.inner.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Takes no notice of the ACK of a 2xx any more, or again.
    pub fn ignore_acks(&self, ignore: bool) {
        self.inner.ignores_acks.store(ignore, Ordering::Relaxed);
    }

    /// Cuts all TCP connections.
    pub fn cut(&self) {
        self.inner.transport.cut();
    }

    /// What passed since the start, oldest first; the last 4,000.
    #[must_use]
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.inner.passed).iter().cloned().collect()
    }

    fn stamp(&self, message: &mut Message, to: Peer, branch: &str) {
        let (protocol, local) = (to.protocol.name(), self.local());
        message.put_first("Via", format!("SIP/2.0/{protocol} {local};rport;branch={branch}"));
        if message.header("Max-Forwards").is_none() {
            message.set("Max-Forwards", 70);
        }
    }

    fn begin(&self, message: Message, to: Peer, branch: &str) -> Responses {
        let method = message.method().unwrap_or_default().to_owned();
        let (from_network, responses) = unbounded_channel();
        let (tell, heard) = unbounded_channel();
        let key = (branch.to_owned(), method);
        lock(&self.inner.clients).insert(key.clone(), from_network);
        self.inner.send(&message, to);
        let client = Client {
            inner: Arc::downgrade(&self.inner),
            timers: self.inner.timers,
            request: message.clone(),
            to,
            tell,
        };
        tokio::spawn(async move {
            let inner = client.inner.clone();
            client.run(responses).await;
            if let Some(inner) = inner.upgrade() {
                lock(&inner.clients).remove(&key);
            }
        });
        Responses { request: message, to, heard }
    }
}

struct Client {
    inner: Weak<Inner>,
    timers: Timers,
    request: Message,
    to: Peer,
    tell: UnboundedSender<Heard>,
}

impl Client {
    async fn run(self, mut responses: UnboundedReceiver<Message>) {
        let invite = self.request.method() == Some("INVITE");
        let end = Instant::now() + self.timers.patience();
        let mut pause = self.timers.t1;
        let mut again = Instant::now() + pause;
        let (mut answered, mut repeats) = (false, self.to.protocol == Protocol::Udp);
        loop {
            tokio::select! {
                response = responses.recv() => {
                    let Some(response) = response else { return };
                    match response.status() {
                        Some(100..200) => {
                            answered = true;
                            repeats &= !invite;
                            pause = self.timers.t2;
                            drop(self.tell.send(Heard::Response(response)));
                        }
                        _ if invite => return self.after_final(response, responses).await,
                        _ => return drop(self.tell.send(Heard::Response(response))),
                    }
                }
                () = sleep_until(again), if repeats => {
                    let Some(inner) = self.inner.upgrade() else { return };
                    inner.send(&self.request, self.to);
                    pause = if invite { pause * 2 } else { (pause * 2).min(self.timers.t2) };
                    again = Instant::now() + pause;
                }
                () = sleep_until(end), if !(invite && answered) => {
                    return drop(self.tell.send(Heard::TimedOut));
                }
            }
        }
    }

    /// Completed or Accepted: a refusal is acknowledged as often as it comes, every 2xx is told.
    async fn after_final(self, first: Message, mut responses: UnboundedReceiver<Message>) {
        let end = Instant::now() + self.timers.patience();
        let accepted = first.status().is_some_and(|status| status < 300);
        let mut next = Some(first);
        let mut told = false;
        while let Some(response) = next {
            let status = response.status().unwrap_or_default();
            if status >= 300 && !accepted {
                let Some(inner) = self.inner.upgrade() else { return };
                inner.send(&self.acknowledgement(&response), self.to);
            }
            if (accepted && (200..300).contains(&status)) || !told {
                told = true;
                drop(self.tell.send(Heard::Response(response)));
            }
            next = timeout_at(end, responses.recv()).await.ok().flatten();
        }
    }

    /// RFC 3261 §17.1.1.3.
    fn acknowledgement(&self, response: &Message) -> Message {
        let request = &self.request;
        let mut ack = Message::request("ACK", request.uri().unwrap_or_default());
        if let Some(via) = request.list("Via").first() {
            ack = ack.with("Via", via);
        }
        for route in request.list("Route") {
            ack = ack.with("Route", route);
        }
        let number = request.cseq().map_or(1, |(number, _)| number);
        ack.with("From", request.header("From").unwrap_or_default())
            .with("To", response.header("To").unwrap_or_default())
            .with("Call-ID", request.call_id())
            .with("CSeq", format!("{number} ACK"))
            .with("Max-Forwards", 70)
    }
}

impl Inner {
    fn send(&self, message: &Message, to: Peer) {
        self.remember(true, message, to);
        self.transport.send(message.write(), to);
    }

    fn remember(&self, sent: bool, message: &Message, peer: Peer) {
        let mut passed = lock(&self.passed);
        if passed.len() == REMEMBERED {
            passed.pop_front();
        }
        passed.push_back(Passed { sent, message: message.clone(), peer });
    }

    fn respond(self: &Arc<Self>, served: &Served, response: &Message) {
        let to = back(served);
        self.send(response, to);
        let mut servers = lock(&self.servers);
        let server = servers.entry(served.id.clone()).or_default();
        server.last = Some(response.write());
        let Some(status) = response.status().filter(|status| *status >= 200) else { return };
        let id = served.id.clone();
        let invite = served.request.method() == Some("INVITE");
        let repeats = invite && (status < 300 || to.protocol == Protocol::Udp);
        if !repeats {
            let (inner, patience) = (Arc::downgrade(self), self.timers.patience());
            tokio::spawn(async move {
                sleep(patience).await;
                if let Some(inner) = inner.upgrade() {
                    lock(&inner.servers).remove(&id);
                }
            });
            return;
        }
        let wait = (status < 300).then(|| {
            let number = served.request.cseq().map_or(0, |(number, _)| number);
            (served.request.call_id().to_owned(), number, response.to_tag().unwrap_or_default())
        });
        let task =
            tokio::spawn(repeat(Arc::downgrade(self), self.timers, response.clone(), to, id, wait.clone()));
        match wait {
            Some(key) => drop(lock(&self.unacknowledged).insert(key, task.abort_handle())),
            None => server.repeating = Some(task.abort_handle()),
        }
    }

    fn hear(self: &Arc<Self>, message: Message, from: Peer) {
        if self.deaf.load(Ordering::Relaxed) {
            return;
        }
        self.remember(false, &message, from);
        match message.method().map(str::to_owned) {
            None => self.hear_response(message),
            Some(method) => self.hear_request(&method, message, from),
        }
    }

    fn hear_response(&self, message: Message) {
        let key = message.branch().zip(message.cseq().map(|(_, method)| method.to_owned()));
        let client = key.and_then(|key| lock(&self.clients).get(&key).cloned());
        match client {
            Some(client) => drop(client.send(message)),
            None => self.tell(Arrived::Stray(message)),
        }
    }

    fn hear_request(self: &Arc<Self>, method: &str, message: Message, from: Peer) {
        let (sent_by, _) = message.via().unwrap_or_default();
        let place = format!("{} {sent_by}", message.branch().unwrap_or_else(|| message.call_id().to_owned()));
        let invite = format!("{place} INVITE");
        if method == "ACK" {
            return self.hear_ack(&invite, message);
        }
        let id = format!("{place} {method}");
        {
            let mut servers = lock(&self.servers);
            if let Some(server) = servers.get(&id) {
                // Once more: the last answer again, if there is one.
                if let Some(last) = server.last.clone() {
                    self.transport.send(last, back_to(&message, from));
                }
                return;
            }
            servers.insert(id.clone(), Server::default());
        }
        let served = Served { request: Arc::new(message), from, id, inner: Arc::downgrade(self) };
        if method != "CANCEL" {
            return self.tell(Arrived::Request(served));
        }
        let known = lock(&self.servers).contains_key(&invite);
        served.refuse(if known { 200 } else { 481 });
        if known {
            self.tell(Arrived::Cancelled { invite, cancel: (*served.request).clone() });
        }
    }

    fn hear_ack(&self, invite: &str, ack: Message) {
        if let Some(server) = lock(&self.servers).get_mut(invite)
            && let Some(repeating) = server.repeating.take()
        {
            return repeating.abort();
        }
        if self.ignores_acks.load(Ordering::Relaxed) {
            return;
        }
        let number = ack.cseq().map_or(0, |(number, _)| number);
        let key = (ack.call_id().to_owned(), number, ack.to_tag().unwrap_or_default());
        if let Some(repeating) = lock(&self.unacknowledged).remove(&key) {
            repeating.abort();
            self.tell(Arrived::Ack(ack));
        }
    }

    fn tell(&self, arrived: Arrived) {
        // Nobody listens any more: the endpoint is about to go.
        drop(self.up.send(arrived));
    }
}

async fn dispatch(mut arrivals: UnboundedReceiver<Arrival>, inner: Weak<Inner>) {
    while let Some((message, from)) = arrivals.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        match message {
            Ok(message) => inner.hear(message, from),
            Err(why) => inner.tell(Arrived::Rubbish(why, from)),
        }
    }
}

/// Timers G and H, and those of RFC 3261 §13.3.1.4 for a 2xx.
async fn repeat(
    inner: Weak<Inner>,
    timers: Timers,
    response: Message,
    to: Peer,
    id: String,
    wait: Option<(String, u32, String)>,
) {
    let end = Instant::now() + timers.patience();
    let mut pause = timers.t1;
    while Instant::now() + pause < end {
        sleep(pause).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.send(&response, to);
        pause = (pause * 2).min(timers.t2);
    }
    sleep_until(end).await;
    let Some(inner) = inner.upgrade() else { return };
    lock(&inner.servers).remove(&id);
    if let Some(key) = wait
        && lock(&inner.unacknowledged).remove(&key).is_some()
    {
        inner.tell(Arrived::NotAcknowledged { call_id: key.0, tag: key.2 });
    }
}

fn back(served: &Served) -> Peer {
    back_to(&served.request, served.from)
}

/// Where a response goes (RFC 3261 §18.2.2, RFC 3581): to the source, at the Via's port unless `rport` is asked.
fn back_to(request: &Message, from: Peer) -> Peer {
    let Some((sent_by, params)) = request.via() else { return from };
    if from.protocol == Protocol::Tcp || super::uri::param(&params, "rport").is_some() {
        return from;
    }
    let port = sent_by.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(5060);
    Peer { address: SocketAddr::new(from.address.ip(), port), ..from }
}
