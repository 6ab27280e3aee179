//! What all legs share: transactions, timers, who owns which request, the trunks and phones as they are set up, and
//! what goes out. A leg reaches everything else through here.

use core::net::SocketAddr;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::gate::ALLOW;
use super::page::Relays;
use super::registrar::Registrar;
use super::registration::Ticket;
use super::timers::{Timer, Timers};
use super::trunk::Trunk;
use super::{AgentSettings, DeviceSetup, Output, Route};
use crate::sip::message::{Name, Request, Response, Status};
use crate::sip::sdp::{Capabilities, TargetPolicy};
use crate::sip::transaction::{ClientId, Hop, SendError, ServerId, Transactions, Transport};
use crate::sip::uri::{Host, SipUri, Uri};
use crate::types::{DeviceId, LegEvent, LegId, LineId, Now, Via};

/// A leg, inside the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u64);

/// Extensions that calls have, for Supported.
pub(super) const SUPPORTED: &str = "100rel, timer, replaces, norefersub";

/// From here on a datagram may be cut to pieces: RFC 3261 §18.1.1.
const DATAGRAM: usize = 1300;

/// What a request of ours is for.
#[derive(Debug)]
pub(super) enum Owner {
    /// The INVITE of a leg, which may be over: each 2xx wants its ACK, and its BYE when the leg lives elsewhere.
    Invite { leg: Key, route: Route, line: Option<LineId>, ended: Vec<String> },
    /// A request inside a leg's dialog.
    Inside { leg: Key, what: Inside, route: Route, again: Option<Box<Again>> },
    /// A BYE; the leg is over.
    Bye { again: Option<Box<Again>> },
    /// A phone's text on its way to a contact of another.
    Page { server: ServerId },
    /// A trunk's REGISTER or OPTIONS.
    Trunk { line: LineId, made: u64, ticket: Ticket },
}

/// A request that can be made again when it is challenged.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) line: LineId,
    pub(super) request: Request,
    pub(super) route: Route,
    /// How often.
    pub(super) answered: u8,
}

/// What a request inside a dialog asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Invite,
    Update,
    Prack,
    Notify,
}

pub(super) struct Core {
    pub(super) settings: AgentSettings,
    pub(super) capabilities: Arc<Capabilities>,
    pub(super) phone_media: Arc<TargetPolicy>,
    pub(super) tx: Transactions,
    pub(super) timers: Timers,
    pub(super) clients: HashMap<ClientId, Owner>,
    /// INVITEs of legs that have no final response yet.
    pub(super) servers: HashMap<ServerId, Key>,
    /// Our tag of each dialog and of each INVITE.
    pub(super) tags: HashMap<String, Key>,
    /// Legs as call control knows them.
    pub(super) ids: HashMap<LegId, Key>,
    pub(super) trunks: BTreeMap<LineId, Trunk>,
    pub(super) devices: BTreeMap<DeviceId, DeviceSetup>,
    pub(super) registrar: Registrar,
    pub(super) relays: Relays,
    pub(super) now: Now,
    pub(super) outputs: VecDeque<Output>,
    count: u64,
}

impl Core {
    pub(super) fn new(settings: AgentSettings, tx: Transactions, registrar: Registrar) -> Self {
        Self {
            capabilities: Arc::new(settings.capabilities.clone()),
            phone_media: Arc::new(settings.phone_media.clone()),
            settings,
            tx,
            timers: Timers::default(),
            clients: HashMap::new(),
            servers: HashMap::new(),
            tags: HashMap::new(),
            ids: HashMap::new(),
            trunks: BTreeMap::new(),
            devices: BTreeMap::new(),
            registrar,
            relays: Relays::default(),
            now: Now::at(0, 0),
            outputs: VecDeque::new(),
            count: 0,
        }
    }

    pub(super) fn new_key(&mut self) -> Key {
        self.count += 1;
        Key(self.count)
    }

    /// 64 bits in hexadecimal that nobody can guess.
    pub(super) fn new_tag(&mut self) -> String {
        self.tx.new_tag()
    }

    pub(super) fn new_call_id(&mut self) -> String {
        self.tx.new_tag() + &self.tx.new_tag()
    }

    /// 62 bits: some read the `o=` that they stand in as a signed number.
    pub(super) fn random(&mut self) -> u64 {
        u64::from_str_radix(&self.tx.new_tag(), 16).unwrap_or(1) >> 2
    }

    pub(super) fn timer(&mut self, key: Key, timer: Timer, after: Duration) {
        self.timers.start(key, timer, self.now.mono + after);
    }

    /// What waits to be sent is queued behind what was said before it.
    pub(super) fn flush(&mut self) {
        while let Some(transmit) = self.tx.poll_transmit() {
            self.outputs.push_back(Output::Transmit(transmit));
        }
    }

    pub(super) fn output(&mut self, output: Output) {
        self.flush();
        self.outputs.push_back(output);
    }

    pub(super) fn say(&mut self, leg: &LegId, event: LegEvent) {
        self.output(Output::Leg(leg.clone(), event));
    }

    pub(super) fn capabilities_of(&self, via: &Via) -> Arc<Capabilities> {
        let trunk = via.line().and_then(|line| self.trunks.get(line));
        trunk.and_then(|t| t.capabilities.clone()).unwrap_or_else(|| Arc::clone(&self.capabilities))
    }

    pub(super) fn policy_of(&self, via: &Via) -> Arc<TargetPolicy> {
        let trunk = via.line().and_then(|line| self.trunks.get(line));
        trunk.map_or_else(|| Arc::clone(&self.phone_media), |t| Arc::clone(&t.media))
    }

    pub(super) fn is_secure(&self, via: &Via) -> bool {
        match via {
            Via::Line(line) => self.trunks.get(line).is_some_and(|t| t.setup.secure),
            Via::Device(device) => self.devices.get(device).is_some_and(|d| d.secure),
        }
    }

    /// The address that a NAT gives us on the way to a trunk.
    pub(super) fn public(&self, via: &Via) -> Option<SocketAddr> {
        self.trunks.get(via.line()?)?.registration.public()
    }

    /// Our Contact on a route.
    pub(super) fn contact(&self, via: &Via, route: Route) -> Uri {
        let address = self.public(via).unwrap_or(route.local);
        let trunk = via.line().and_then(|line| self.trunks.get(line));
        let user = trunk.map(|t| t.registration.token());
        let uri = SipUri::new(user, Host::Ip(address.ip()), Some(address.port()));
        Uri::Sip(match route.hop.transport {
            Transport::Udp => uri,
            Transport::Tcp => uri.with("transport", Some("tcp")),
            Transport::Tls => uri.with("transport", Some("tls")),
        })
    }

    /// Sends a request outside of [`Owner::Invite`]'s care for the answer. `None` when too much is under way.
    pub(super) fn send(&mut self, request: Request, route: Route, owner: Owner) -> Option<ClientId> {
        match self.tx.send_request(request, route.hop, self.now) {
            Ok(id) => {
                self.clients.insert(id, owner);
                Some(id)
            }
            Err(SendError::Full | SendError::NotARequest) => None,
        }
    }

    /// The way for a request of this size: a stream where the far end is known to have one (RFC 3261 §18.1.1).
    pub(super) fn way(&self, via: &Via, route: Route, size: impl FnOnce() -> usize) -> Route {
        if route.hop.transport != Transport::Udp {
            return route;
        }
        let trunk = via.line().and_then(|line| self.trunks.get(line));
        let stream = trunk.and_then(|t| {
            t.routes.iter().find(|r| r.hop.transport.is_reliable() && r.hop.addr.ip() == route.hop.addr.ip())
        });
        stream.copied().filter(|_| size() > DATAGRAM).unwrap_or(route)
    }

    pub(super) fn respond(&mut self, server: ServerId, response: &Response) -> bool {
        self.tx.respond(server, response, self.now)
    }

    /// Answers with a status alone.
    pub(super) fn refuse(&mut self, server: ServerId, request: &Request, status: Status, tag: &str) {
        let response = self.response(request, status, tag);
        self.respond(server, &response);
    }

    /// A response with what every one of ours has.
    pub(super) fn response(&self, request: &Request, status: Status, tag: &str) -> Response {
        let mut response = Response::to(request, status, tag);
        response.headers.push(Name::Server, &self.settings.product);
        if status == Status::METHOD_NOT_ALLOWED {
            response.headers.push(Name::Allow, ALLOW);
        }
        response
    }

    /// A response that makes or moves a dialog.
    pub(super) fn response_with_contact(
        &self,
        request: &Request,
        status: Status,
        tag: &str,
        contact: &Uri,
    ) -> Response {
        let mut response = self.response(request, status, tag);
        response.headers.push(Name::Contact, &format!("<{contact}>"));
        response.headers.push(Name::Allow, ALLOW);
        response.headers.push(Name::Supported, SUPPORTED);
        response
    }

    /// Sends a BYE that nobody waits for.
    pub(super) fn bye(&mut self, mut request: Request, route: Route, line: Option<&LineId>) {
        self.authorize(line, &mut request);
        request.headers.push(Name::UserAgent, &self.settings.product);
        let again = self.again(line, &request, route);
        self.send(request, route, Owner::Bye { again });
    }

    /// What is kept of a request to send it once more with credentials.
    pub(super) fn again(&self, line: Option<&LineId>, request: &Request, route: Route) -> Option<Box<Again>> {
        let line = line?;
        self.trunks.get(line)?.setup.login.as_ref()?;
        Some(Box::new(Again { line: line.clone(), request: request.clone(), route, answered: 0 }))
    }

    /// Adds credentials where a trunk has asked for them before.
    pub(super) fn authorize(&mut self, line: Option<&LineId>, request: &mut Request) {
        let Some(trunk) = line.and_then(|line| self.trunks.get_mut(line)).filter(|t| t.was_challenged())
        else {
            return;
        };
        trunk.authorize(request, &self.tx.new_tag());
    }

    /// Answers a challenge with a new request of the next number. False when there is nothing to answer it with.
    pub(super) fn answer_challenge(
        &mut self,
        line: &LineId,
        request: &mut Request,
        response: &Response,
        answered: u8,
    ) -> bool {
        let cnonce = self.tx.new_tag();
        let taken = self.trunks.get_mut(line).is_some_and(|t| t.challenged(response, answered));
        if taken && let Some(trunk) = self.trunks.get_mut(line) {
            request.headers.remove(&Name::Authorization);
            request.headers.remove(&Name::ProxyAuthorization);
            trunk.authorize(request, &cnonce);
        }
        taken
    }

    /// An ACK for a 2xx, and what repeats it.
    pub(super) fn ack(&mut self, ack: Request, route: Route) -> (Vec<u8>, Hop) {
        (self.tx.send_ack(ack, route.hop), route.hop)
    }

    /// Gives back what a burst took.
    pub(super) fn shrink(&mut self) {
        self.clients.shrink_to(64);
        self.servers.shrink_to(64);
        self.tags.shrink_to(64);
        self.ids.shrink_to(64);
    }

    /// Which leg a tag of ours belongs to.
    pub(super) fn by_tag(&self, tag: &str) -> Option<Key> {
        self.tags.get(tag).copied()
    }
}
