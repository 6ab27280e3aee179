//! Client and server transactions (RFC 3261 §17 with RFC 6026 and RFC 4320): each request is heard once, each gets
//! one outcome, what is lost is sent again, what comes again is absorbed. One table of each kind, both with a bound;
//! a full one refuses with 503. Transactions are told apart by branch, sent-by and method, or as RFC 2543 had it.
//!
//! Driven like every core: [`Transactions::handle_message`], [`Transactions::handle_timeout`], then
//! [`Transactions::poll_transmit`], [`Transactions::poll_event`] and [`Transactions::poll_timeout`] until they have no
//! more. Deliberately absent: dialogs and the 2xx of an INVITE with its ACK (§13), which go from end to end; merged
//! requests (§8.2.2.2); looking up where a request goes; `maddr`, by which a stranger could aim our responses at
//! others.

mod client;
mod ids;
mod server;
#[cfg(test)]
mod tests;
mod timers;

use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use client::{AskedBy, Client, Next};
use ids::{Ids, Key};
use server::Server;
use timers::{Owner, Timers};

pub use timers::Settings;

use super::message::{Message, Method, Name, Request, Response, Status};
use crate::types::{Mono, Now};

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Loses, doubles and reorders.
    Udp,
    /// A stream.
    Tcp,
    /// A stream that nobody reads along.
    Tls,
}

impl Transport {
    /// Whether the transport itself sends again what was lost.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }

    /// As it stands in a Via.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// A neighbour: where messages come from and go to. A stream is told by its far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The far end.
    pub addr: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
}

/// A request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

/// A request from the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(u64);

/// Bytes that are to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub to: Hop,
    /// One message.
    pub bytes: Vec<u8>,
}

/// What the user is told. Each client transaction has exactly one `Final` or `Failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new request, neither ACK nor CANCEL, to be answered with [`Transactions::respond`].
    Request {
        /// What to answer.
        id: ServerId,
        /// With `received` and `rport` filled in.
        request: Box<Request>,
        /// Who sent it.
        from: Hop,
        /// For the To of the responses, if that has none.
        tag: String,
    },
    /// The ACK of a 2xx, or of nothing that is known.
    Ack {
        /// The ACK.
        request: Box<Request>,
        /// Who sent it.
        from: Hop,
    },
    /// An INVITE that has no final response yet was cancelled (§9.2). The CANCEL is answered; 487 to the INVITE is
    /// the user's.
    Cancelled {
        /// The INVITE.
        id: ServerId,
        /// The CANCEL; it may have a Reason.
        cancel: Box<Request>,
    },
    /// A request could not be answered, or the answer came nowhere.
    ServerFailed {
        /// The request.
        id: ServerId,
        /// Why.
        why: ServerFailure,
    },
    /// 1xx.
    Provisional {
        /// The request.
        id: ClientId,
        /// The response.
        response: Box<Response>,
    },
    /// The first response from 200 on. After a 2xx to an INVITE, [`Transactions::send_ack`] is the user's.
    Final {
        /// The request.
        id: ClientId,
        /// The response.
        response: Box<Response>,
    },
    /// A further 2xx to an INVITE: the same again, which wants its ACK again, or another fork's (§13.2.2.4).
    AcceptedAgain {
        /// The request.
        id: ClientId,
        /// The response.
        response: Box<Response>,
    },
    /// No further 2xx to an INVITE is told: its transaction has ended (Timer M).
    AcceptedOver {
        /// The request.
        id: ClientId,
    },
    /// There is no final response and none will come.
    Failed {
        /// The request.
        id: ClientId,
        /// Why.
        why: Failure,
    },
}

/// Why a request of ours has no final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Timers B and F: nothing came in 64*T1.
    Timeout,
    /// It cannot be sent.
    Transport,
    /// A cancelled INVITE got no final response in 64*T1 (§9.1).
    CancelUnanswered,
}

impl Failure {
    /// The response that it counts as (§8.1.3.1).
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Timeout => Status::REQUEST_TIMEOUT,
            Self::Transport => Status::SERVICE_UNAVAILABLE,
            Self::CancelUnanswered => Status::TERMINATED,
        }
    }
}

/// What went wrong with a request from the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFailure {
    /// Timer H: no ACK for a final response other than 2xx. The transaction has ended.
    NoAck,
    /// Nothing can be sent there. An INVITE without a final response is still to be answered, as it may arrive.
    Transport,
    /// The user did not answer a request other than INVITE in 64*T1; a response would find nobody (RFC 4320 §4.2).
    /// The transaction has ended.
    Unanswered,
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Our side has too much under way; try later.
    #[error("too many requests are under way")]
    Full,
    /// A mistake of the caller: ACK goes by [`Transactions::send_ack`], CANCEL by [`Transactions::cancel`].
    #[error("ACK and CANCEL are no requests of their own")]
    NotARequest,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that were sent again.
    pub retransmitted: u64,
    /// Messages that had come before.
    pub absorbed: u64,
    /// Requests answered 503 because the table was full.
    pub refused: u64,
    /// Responses that belong to no request of ours.
    pub stray_responses: u64,
    /// Responses of the user to requests that had theirs or are gone.
    pub late_responses: u64,
}

/// What transactions bring about.
#[derive(Debug, Default)]
struct Out {
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    timers: Timers,
    counters: Counters,
}

impl Out {
    fn transmit(&mut self, to: Hop, bytes: Vec<u8>) {
        self.transmits.push_back(Transmit { to, bytes });
    }

    fn retransmit(&mut self, to: Hop, bytes: Vec<u8>) {
        self.counters.retransmitted += 1;
        self.transmit(to, bytes);
    }
}

/// All transactions of one SIP element.
pub struct Transactions {
    settings: Settings,
    ids: Ids,
    count: u64,
    clients: BTreeMap<ClientId, Client>,
    client_keys: BTreeMap<Key, ClientId>,
    servers: BTreeMap<ServerId, Server>,
    server_keys: BTreeMap<Key, ServerId>,
    out: Out,
}

impl fmt::Debug for Transactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactions")
            .field("clients", &self.clients.len())
            .field("servers", &self.servers.len())
            .field("timers", &self.out.timers.len())
            .field("counters", &self.out.counters)
            .finish_non_exhaustive()
    }
}

impl Transactions {
    /// None yet. Branches and tags are made from `seed`, which must be secret and never the same again.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        Self {
            settings,
            ids: Ids::new(seed),
            count: 0,
            clients: BTreeMap::new(),
            client_keys: BTreeMap::new(),
            servers: BTreeMap::new(),
            server_keys: BTreeMap::new(),
            out: Out::default(),
        }
    }

    /// Takes a message from the wire.
    pub fn handle_message(&mut self, message: Message, from: Hop, now: Now) {
        match message {
            Message::Request(request) if request.method == Method::Ack => {
                self.handle_ack(request, from, now.mono)
            }
            Message::Request(request) => self.handle_request(request, from, now.mono),
            Message::Response(response) => self.handle_response(response, now.mono),
        }
    }

    /// Sends a request. The topmost Via says where responses come (sent-by); its branch and transport are set here.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when too much is under way, [`SendError::NotARequest`] for ACK and CANCEL.
    pub fn send_request(&mut self, request: Request, to: Hop, now: Now) -> Result<ClientId, SendError> {
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return Err(SendError::NotARequest);
        }
        if self.clients.len() >= self.settings.clients {
            return Err(SendError::Full);
        }
        let request = self.branched(request, to);
        Ok(self.start_client(request, to, AskedBy::User, now.mono))
    }

    /// Cancels an INVITE, as soon as it has a provisional response (§9.1). How it ended comes as its `Final` or
    /// `Failed`: 487, or a 2xx that crossed, which then wants ACK and BYE. Other requests and what has ended are let be.
    /// `reason` is the CANCEL's Reason (RFC 3326).
    pub fn cancel(&mut self, id: ClientId, reason: Option<&str>, now: Now) {
        self.step_client(id, |client, set, out| client.cancel(reason, set, now.mono, out), now.mono);
    }

    /// Sends the ACK of a 2xx, with a branch of its own (§13.2.2.4), and gives back its bytes for
    /// [`Transactions::send_ack_again`].
    pub fn send_ack(&mut self, ack: Request, to: Hop) -> Vec<u8> {
        let bytes = self.branched(ack, to).to_bytes();
        self.out.transmit(to, bytes.clone());
        bytes
    }

    /// Sends an ACK again, for a 2xx that came again.
    pub fn send_ack_again(&mut self, ack: &[u8], to: Hop) {
        self.out.retransmit(to, ack.to_vec());
    }

    /// Answers a request; a 2xx to an INVITE again for as long as its ACK is missing. Whether it was sent: it is
    /// not, and is counted, when there is a final response already or the transaction has ended.
    pub fn respond(&mut self, id: ServerId, response: &Response, now: Now) -> bool {
        let Some(mut server) = self.take_server(id) else {
            self.out.counters.late_responses += 1;
            return false;
        };
        if let Some(tag) = response.head.to.tag() {
            tag.clone_into(&mut server.tag);
        }
        let (before, key) = (self.out.counters.late_responses, server.key);
        let next = server.respond(response, &self.settings, now.mono, &mut self.out);
        self.keep_server(id, key, next);
        self.out.counters.late_responses == before
    }

    /// A new tag, for the From of a request outside a dialog.
    pub fn new_tag(&mut self) -> String {
        self.ids.tag()
    }

    /// Tells that nothing can be sent there: an ICMP error, a connection that failed or broke.
    pub fn handle_transport_error(&mut self, hop: Hop, now: Now) {
        let there: Vec<_> = self.clients.values().filter(|c| c.hop == hop).map(|c| c.id).collect();
        for id in there {
            self.step_client(id, |client, _, out| client.on_transport_error(out), now.mono);
        }
        let there: Vec<_> = self.servers.values().filter(|s| s.hop == hop).map(|s| s.id).collect();
        for id in there {
            self.step_server(id, |server, _, out| server.on_transport_error(out));
        }
    }

    /// Lets every timer act that has run out.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = now.mono;
        while let Some((owner, timer)) = self.out.timers.pop(now) {
            match owner {
                Owner::Client(id) => {
                    self.step_client(id, |client, set, out| client.on_timer(timer, set, now, out), now);
                }
                Owner::Server(id) => {
                    self.step_server(id, |server, set, out| server.on_timer(timer, set, now, out))
                }
            }
        }
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// When [`Transactions::handle_timeout`] is due, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.out.timers.next().map(|(at, timer)| (at, timer.name()))
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.out.counters
    }

    /// How many client and server transactions there are.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
    }

    /// Whether there is no transaction and no timer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let keys = self.client_keys.len() + self.server_keys.len();
        self.len() == (0, 0) && keys == 0 && self.out.timers.len() == 0
    }

    fn branched(&mut self, mut request: Request, to: Hop) -> Request {
        to.transport.as_str().clone_into(&mut request.head.via.transport);
        request.head.via.set_branch(&self.ids.branch());
        request
    }

    fn start_client(&mut self, request: Request, to: Hop, asked_by: AskedBy, now: Mono) -> ClientId {
        let id = ClientId(self.next_id());
        let key = self.ids.client_key(request.head.via.branch().unwrap_or_default(), &request.method);
        self.client_keys.insert(key, id);
        let client = Client::start((id, to, key), request, asked_by, (&self.settings, now), &mut self.out);
        self.clients.insert(id, client);
        id
    }

    fn next_id(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn handle_response(&mut self, response: Response, now: Mono) {
        let via = &response.head.via;
        let key = self.ids.client_key(via.branch().unwrap_or_default(), &response.head.cseq.method);
        let ours = self.client_keys.get(&key).copied().filter(|id| {
            // More than one Via: it went astray on its way to another (§8.1.3.3).
            response.head.via_below.is_empty()
                && self
                    .clients
                    .get(id)
                    .is_some_and(|c| c.sent_by.0.same_as(&via.host) && c.sent_by.1 == via.port)
        });
        match ours {
            Some(id) => {
                self.step_client(id, |client, set, out| client.on_response(response, set, now, out), now);
            }
            None => self.out.counters.stray_responses += 1,
        }
    }

    fn step_client(
        &mut self,
        id: ClientId,
        step: impl FnOnce(Client, &Settings, &mut Out) -> Next,
        now: Mono,
    ) {
        let Some(client) = self.clients.remove(&id) else { return };
        let (hop, key) = (client.hop, client.key);
        match step(client, &self.settings, &mut self.out) {
            Next::Keep(client) => {
                self.clients.insert(id, client);
            }
            Next::Cancel(client, cancel) => {
                self.clients.insert(id, client);
                self.start_client(*cancel, hop, AskedBy::Invite, now);
            }
            Next::End => {
                self.client_keys.remove(&key);
                self.out.timers.stop(Owner::Client(id));
            }
        }
    }

    fn handle_ack(&mut self, ack: Request, from: Hop, now: Mono) {
        let key = self.ids.server_key(&ack, &Method::Invite);
        let mut request = Some(ack);
        if let Some(id) = self.server_keys.get(&key).copied()
            && let Some(server) = self.take_server(id)
            && let Some(ack) = request.take()
        {
            let (next, theirs) = server.on_ack(ack, (&self.settings, now), &mut self.out);
            self.keep_server(id, key, next);
            request = theirs;
        }
        if let Some(request) = request.map(Box::new) {
            self.out.events.push_back(Event::Ack { request, from });
        }
    }

    fn handle_request(&mut self, mut request: Request, from: Hop, now: Mono) {
        let key = self.ids.server_key(&request, &request.method);
        let invite_key =
            (request.method == Method::Cancel).then(|| self.ids.server_key(&request, &Method::Invite));
        if let Some(server) = self.server_keys.get(&key).and_then(|id| self.servers.get(id)) {
            return server.on_again(&mut self.out);
        }
        request.head.via.note_source(from.addr);
        let hop = reply_hop(&request, from);
        if let Some(invite_key) = invite_key {
            return self.handle_cancel(request, (key, invite_key), hop, now);
        }
        if self.is_full_for(&request) {
            return self.refuse(&request, key, hop);
        }
        let tag = self.ids.tag();
        let id = self.start_server(&request, key, hop, tag.clone(), now);
        self.out.events.push_back(Event::Request { id, request: Box::new(request), from, tag });
    }

    /// §9.2. Also on a full table, where the response is only not kept.
    fn handle_cancel(&mut self, cancel: Request, (key, invite_key): (Key, Key), hop: Hop, now: Mono) {
        let invite = self.server_keys.get(&invite_key).and_then(|id| self.servers.get(id));
        let invite = invite.map(|server| (server.id, server.tag.clone(), server.is_undecided()));
        let (status, tag) = match &invite {
            Some((_, tag, _)) => (Status::OK, tag.clone()),
            None => (Status::NO_TRANSACTION, self.ids.tag_of(key)),
        };
        let response = Response::to(&cancel, status, &tag);
        if self.is_full_for(&cancel) {
            self.out.transmit(hop, response.to_bytes());
        } else {
            let id = self.start_server(&cancel, key, hop, tag, now);
            self.step_server(id, |server, set, out| server.respond(&response, set, now, out));
        }
        if let Some((id, _, true)) = invite {
            self.out.events.push_back(Event::Cancelled { id, cancel: Box::new(cancel) });
        }
    }

    fn is_full_for(&self, request: &Request) -> bool {
        let reserve = if request.head.to.tag().is_some() { self.settings.reserve } else { 0 };
        self.servers.len() >= self.settings.servers.saturating_add(reserve)
    }

    /// Answers 503 and forgets.
    fn refuse(&mut self, request: &Request, key: Key, hop: Hop) {
        self.out.counters.refused += 1;
        let wait = self.settings.retry_after.as_secs().to_string();
        let response = Response::to(request, Status::SERVICE_UNAVAILABLE, &self.ids.tag_of(key));
        self.out.transmit(hop, response.with(Name::RetryAfter, &wait).to_bytes());
    }

    fn start_server(&mut self, request: &Request, key: Key, hop: Hop, tag: String, now: Mono) -> ServerId {
        let id = ServerId(self.next_id());
        self.server_keys.insert(key, id);
        let server = Server::start((id, hop, key, tag), request, (&self.settings, now), &mut self.out);
        self.servers.insert(id, server);
        id
    }

    fn step_server(
        &mut self,
        id: ServerId,
        step: impl FnOnce(Server, &Settings, &mut Out) -> Option<Server>,
    ) {
        let Some(server) = self.take_server(id) else { return };
        let key = server.key;
        let next = step(server, &self.settings, &mut self.out);
        self.keep_server(id, key, next);
    }

    fn take_server(&mut self, id: ServerId) -> Option<Server> {
        self.servers.remove(&id)
    }

    /// Puts it back, or takes away what is left of it.
    fn keep_server(&mut self, id: ServerId, key: Key, next: Option<Server>) {
        if let Some(server) = next {
            self.servers.insert(id, server);
        } else {
            self.server_keys.remove(&key);
            self.out.timers.stop(Owner::Server(id));
        }
    }
}

/// Where responses go (§18.2.2, RFC 3581 §4): back along the stream, or over UDP to the address that was seen, at its
/// port if rport is asked for and else at the one of the sent-by.
fn reply_hop(request: &Request, from: Hop) -> Hop {
    let via = &request.head.via;
    if from.transport.is_reliable() {
        return from;
    }
    let port = via.rport().or(via.port).unwrap_or(5060);
    Hop { addr: SocketAddr::new(from.addr.ip(), port), transport: from.transport }
}
