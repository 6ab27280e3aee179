//! Our side of one trunk: the registration (RFC 3261 §10.2) with its refreshes, challenges and back-off (RFC 5626
//! §4.5), whether the trunk answers (OPTIONS), what keeps a way through a NAT open, and the address that the far side
//! sees us at. A trunk that does not register is only asked whether it answers.
//!
//! Requests are handed out with a [`Ticket`]; what became of them comes back with it. Absent: transactions, calls, the
//! look-up of addresses, and flows of our own (RFC 5626 reg-id): one contact, with a user part that nobody else has,
//! says which trunk an incoming call belongs to.

mod alive;
mod chance;
mod seen;
#[cfg(test)]
mod tests;
mod words;

use core::net::SocketAddr;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use alive::Health;
use chance::Chance;
use seen::is_at_same_place;

use super::api::{Route, TrunkSetup};
use super::gate::ALLOW;
use crate::sip::digest::Client;
use crate::sip::message::{CSeq, Contacts, Head, Method, Name, NameAddr, Request, Response, Status, Via};
use crate::sip::transaction::{Failure, Transmit, Transport};
use crate::sip::uri::{Host, SipUri, Uri};
use crate::types::{Mono, Now};

/// The first wait of the back-off is half of twice this to twice this (RFC 5626 §4.5, base-time-all-fail).
const BASE_WAIT: Duration = Duration::from_secs(30);
/// And the longest (max-time).
const MOST_WAIT: Duration = Duration::from_secs(1800);
/// A provider that refuses our password hears of us so often, then half as often, down to [`REFUSED_MOST`].
const REFUSED_WAIT: Duration = Duration::from_secs(300);
/// See there.
const REFUSED_MOST: Duration = Duration::from_secs(3600);
/// No `Retry-After` is obeyed for longer.
const RETRY_MOST: Duration = Duration::from_secs(3600);
/// A Min-Expires beyond this is a mistake.
const EXPIRES_MOST: u32 = 86_400;
/// A refresh begins so long before the end, so that it may fail once by time-out and be repeated.
const REFRESH_AHEAD: Duration = Duration::from_secs(40);
/// Between two attempts that changed addresses bring about.
const ATTEMPTS_APART: Duration = Duration::from_secs(1);
/// So many in a row, and the trunk is down.
const FAILURES: u32 = 3;
/// How often one attempt answers challenges: the first, and stale ones.
const CHALLENGES: u8 = 3;
/// Marks user parts of contacts as ours.
const TOKEN: &str = "br-";

/// What a request was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// What is to be done for a trunk, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send a request; what became of it is [`Registration::handle_outcome`].
    Send {
        /// To be given back.
        ticket: Ticket,
        /// Its branch is the transaction's to set.
        request: Box<Request>,
        /// Over which way.
        route: Route,
    },
    /// Send a keep-alive.
    Ping(Transmit),
    /// The trunk takes calls, or does not any more.
    Line {
        /// Whether.
        up: bool,
        /// In words.
        why: String,
    },
    /// Its addresses are wanted again.
    Resolve,
    /// For the journal, once each.
    Alarm(String),
}

/// How far the registration is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// No address is known yet.
    Nowhere,
    /// The provider knows ours without being told.
    Known,
    /// A REGISTER is under way.
    Asking(Attempt),
    /// To be refreshed then.
    Registered { refresh: Mono },
    /// It failed; again then.
    Waiting { again: Mono },
    /// For good.
    Stopped,
}

/// One round of REGISTERs: challenges, too short an expiry and the next address belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attempt {
    ticket: Ticket,
    /// The contact that was sent.
    contact: Uri,
    challenges: u8,
    raised: bool,
    /// How many addresses failed.
    failed: usize,
    /// The longest that one of them asked us to wait.
    wait: Duration,
}

/// What was said once and is not repeated until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Refused,
    Rewritten,
    Nat,
}

/// Why a REGISTER came to nothing.
enum Setback {
    /// Another address or another time may do.
    Passing { why: String, wait: Duration },
    /// A person has to do something.
    Lasting { why: String },
}

/// One trunk.
pub(super) struct Registration {
    setup: TrunkSetup,
    product: String,
    chance: Chance,
    token: String,
    routes: Vec<Route>,
    at: usize,
    phase: Phase,
    failures: u32,
    begun: Option<Mono>,
    rebound: Option<Mono>,
    challenge: Option<(Client, Name)>,
    call_id: String,
    tag: String,
    cseq: u32,
    expires: u32,
    until: Option<Mono>,
    /// The contact that the registrar holds.
    bound: Option<Uri>,
    /// Contacts that it should hold no more.
    old: Vec<Uri>,
    removed: BTreeSet<String>,
    public: Option<SocketAddr>,
    service_route: Vec<NameAddr>,
    flow_timer: Option<Duration>,
    health: Health,
    ping: Option<Mono>,
    line: Option<bool>,
    why: String,
    said: BTreeSet<Said>,
    tickets: u64,
    actions: VecDeque<Action>,
}

impl core::fmt::Debug for Registration {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registration")
            .field("line", &self.setup.line)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Registration {
    /// Nothing is sent before [`Registration::handle_routes`]; until then it asks for them. `seed` is secret and of
    /// this trunk alone.
    pub(super) fn new(setup: TrunkSetup, product: &str, seed: [u8; 32]) -> Self {
        let mut chance = Chance { seed, count: 0 };
        let token = format!("{TOKEN}{:016x}", chance.next());
        let call_id = format!("{:016x}{:016x}", chance.next(), chance.next());
        let tag = format!("{:016x}", chance.next());
        // What an earlier registration of this line asked must not be taken for an answer to this one.
        let tickets = chance.next() >> 1;
        let expires = u32::try_from(setup.expires.as_secs()).unwrap_or(EXPIRES_MOST).clamp(30, EXPIRES_MOST);
        Self {
            setup,
            product: product.to_owned(),
            chance,
            token,
            routes: Vec::new(),
            at: 0,
            phase: Phase::Nowhere,
            failures: 0,
            begun: None,
            rebound: None,
            challenge: None,
            call_id,
            tag,
            cseq: 0,
            expires,
            until: None,
            bound: None,
            old: Vec::new(),
            removed: BTreeSet::new(),
            public: None,
            service_route: Vec::new(),
            flow_timer: None,
            health: Health::default(),
            ping: None,
            line: None,
            why: String::new(),
            said: BTreeSet::new(),
            tickets,
            actions: VecDeque::from([Action::Resolve]),
        }
    }

    /// The way that requests to it go now.
    pub(super) fn route(&self) -> Option<Route> {
        self.routes.get(self.at).copied()
    }

    /// Where the far side sees us, when that is to be told in Contact and descriptions.
    pub(super) fn public(&self) -> Option<SocketAddr> {
        self.public.filter(|_| self.setup.nat)
    }

    /// Our address for the Contact of calls: the registered one, whose user part tells the trunk.
    pub(super) fn contact(&self) -> Option<Uri> {
        let route = self.route()?;
        let at = self.public().unwrap_or(route.local);
        let uri = SipUri::new(Some(&self.token), Host::from(at.ip()), Some(at.port()));
        Some(match route.hop.transport {
            Transport::Udp => uri.into(),
            Transport::Tcp => uri.with("transport", Some("tcp")).into(),
            Transport::Tls => uri.with("transport", Some("tls")).into(),
        })
    }

    /// The user part of our contacts there.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether a Request-URI with this user part is for this trunk.
    pub(super) fn has_token(&self, user: &str) -> bool {
        self.token == user
    }

    /// Our address of record there: From of calls, To of registrations.
    pub(super) fn address_of_record(&self) -> Uri {
        let login = self.setup.login.as_ref().map(|l| l.username.as_str());
        SipUri::new(self.setup.user.as_deref().or(login), self.domain(), None).into()
    }

    /// Route of every request outside a dialog, but REGISTER (RFC 3608).
    pub(super) fn service_route(&self) -> &[NameAddr] {
        &self.service_route
    }

    /// The trunk's addresses, best first; see [`super::Agent::handle_routes`].
    pub(super) fn handle_routes(&mut self, routes: Vec<Route>, now: Now) {
        let now = now.mono;
        if self.phase == Phase::Stopped {
            return;
        }
        if routes.is_empty() {
            if self.routes.is_empty() {
                self.why = words::unknown_address(&self.setup.domain);
                self.wait(Duration::ZERO, now);
                self.settle(now);
            }
            return;
        }
        let current = self.route();
        let same = routes == self.routes;
        let kept = current.and_then(|c| routes.iter().position(|r| *r == c));
        self.routes = routes;
        self.at = kept.unwrap_or(0);
        let was_lost = matches!(self.phase, Phase::Nowhere | Phase::Waiting { .. });
        if kept.is_none() {
            self.public = None;
            self.health = Health { alive: self.health.alive, ..Health::default() };
        }
        if kept.is_none() || (was_lost && !same) {
            self.begin_soon(now);
        }
        self.settle(now);
    }

    /// What became of a request. What belongs to an attempt that is over is ignored.
    pub(super) fn handle_outcome(&mut self, ticket: Ticket, outcome: Result<&Response, Failure>, now: Now) {
        let now = now.mono;
        let registering = match &self.phase {
            Phase::Asking(attempt) if attempt.ticket == ticket => Some(attempt.clone()),
            Phase::Asking(_)
            | Phase::Nowhere
            | Phase::Known
            | Phase::Registered { .. }
            | Phase::Waiting { .. }
            | Phase::Stopped => None,
        };
        let asked = self.health.asked.filter(|(t, _)| *t == ticket).is_some();
        if registering.is_none() && !asked {
            return;
        }
        if let Ok(response) = outcome {
            self.compare(response);
            self.learn(&response.head.via, now);
        }
        match registering {
            Some(attempt) => self.registered(attempt, outcome, now),
            None => self.answered(outcome, now),
        }
        self.settle(now);
    }

    /// Nothing can be sent there any more. A registration that came over a stream ended with it.
    pub(super) fn handle_transport_error(&mut self, route: Route, now: Now) {
        let registered = matches!(self.phase, Phase::Registered { .. });
        if registered && route.hop.transport.is_reliable() && self.route().is_some_and(|r| r.hop == route.hop)
        {
            self.begin_soon(now.mono);
        }
    }

    /// [`Registration::poll_timeout`] has passed.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        let now = now.mono;
        match self.phase {
            Phase::Registered { refresh: at } | Phase::Waiting { again: at } if at <= now => {
                if self.routes.is_empty() {
                    self.actions.push_back(Action::Resolve);
                    self.wait(Duration::ZERO, now);
                } else {
                    self.begin(now);
                }
            }
            Phase::Registered { .. }
            | Phase::Waiting { .. }
            | Phase::Nowhere
            | Phase::Known
            | Phase::Asking(_)
            | Phase::Stopped => {}
        }
        if self.health.asked.is_some_and(|(_, at)| at <= now) {
            self.unanswered(now);
        }
        if self.health.next.is_some_and(|at| at <= now) {
            self.ask(now);
        }
        if self.ping.is_some_and(|at| at <= now) {
            self.keep_alive(now);
        }
        if self.until.is_some_and(|at| at <= now) {
            self.until = None;
            self.bound = None;
        }
        self.settle(now);
    }

    /// What is to be done next.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Registration::handle_timeout`] is wanted, and what for.
    pub(super) fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let phase = match &self.phase {
            Phase::Registered { refresh } => Some((*refresh, "a trunk's registration is refreshed")),
            Phase::Waiting { again } => Some((*again, "a trunk's registration is tried again")),
            Phase::Nowhere | Phase::Known | Phase::Asking(_) | Phase::Stopped => None,
        };
        let asked = self.health.asked.map(|(_, at)| (at, "a trunk does not answer"));
        let next = self.health.next.map(|at| (at, "a trunk is asked whether it answers"));
        let ping = self.ping.map(|at| (at, "a way to a trunk is kept open"));
        let until = self.until.map(|at| (at, "a trunk's registration ends"));
        [phase, asked, next, ping, until].into_iter().flatten().min()
    }

    /// Takes our contact away, for a shutdown or a trunk that is no longer wanted. Nothing comes after its actions.
    pub(super) fn stop(&mut self) {
        if let (Some(contact), Some(route)) =
            (self.bound.take().filter(|_| self.until.is_some()), self.route())
        {
            let contacts = [NameAddr::new(contact).with("expires", Some("0"))];
            let request = self.register(&contacts, route);
            let ticket = self.ticket();
            self.actions.push_back(Action::Send { ticket, request: Box::new(request), route });
        }
        self.phase = Phase::Stopped;
        self.until = None;
        self.ping = None;
        self.health = Health::default();
        if self.line == Some(true) {
            self.line = Some(false);
            self.actions.push_back(Action::Line { up: false, why: words::stopped() });
        }
    }

    fn domain(&self) -> Host {
        Host::parse(&self.setup.domain).unwrap_or_else(|_| Host::Name(self.setup.domain.clone()))
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Begins as soon as may be after something changed.
    fn begin_soon(&mut self, now: Mono) {
        match self.begun.map(|at| at + ATTEMPTS_APART).filter(|at| *at > now && self.setup.register) {
            Some(again) => self.phase = Phase::Waiting { again },
            None => self.begin(now),
        }
    }

    /// A new round.
    fn begin(&mut self, now: Mono) {
        if !self.setup.register {
            self.phase = Phase::Known;
            self.why = words::known(&self.setup.domain);
            self.ping = self.ping.or_else(|| self.next_ping(now));
            self.ask(now);
            return;
        }
        self.begun = Some(now);
        let Some(contact) = self.contact() else { return };
        let ticket = Ticket(self.tickets);
        self.send(Attempt { ticket, contact, challenges: 0, raised: false, failed: 0, wait: Duration::ZERO });
    }

    /// Sends the REGISTER of an attempt over the route in use.
    fn send(&mut self, mut attempt: Attempt) {
        let (Some(route), Some(contact)) = (self.route(), self.contact()) else { return };
        let mut contacts =
            vec![NameAddr::new(contact.clone()).with("expires", Some(&self.expires.to_string()))];
        if let Some(bound) = self.bound.take().filter(|bound| *bound != contact) {
            self.old.push(bound);
        }
        self.old.retain(|old| *old != contact);
        contacts.extend(self.old.iter().map(|old| NameAddr::new(old.clone()).with("expires", Some("0"))));
        let request = self.register(&contacts, route);
        attempt.ticket = self.ticket();
        attempt.contact = contact;
        let ticket = attempt.ticket;
        self.phase = Phase::Asking(attempt);
        self.actions.push_back(Action::Send { ticket, request: Box::new(request), route });
    }

    fn register(&mut self, contacts: &[NameAddr], route: Route) -> Request {
        let registrar: Uri = SipUri::new(None, self.domain(), None).into();
        let record = self.address_of_record();
        let mut request = self.request(Method::Register, registrar, record, route);
        for contact in contacts {
            request.headers.push(Name::Contact, &contact.to_string());
        }
        request.headers.push(Name::Expires, &self.expires.to_string());
        request.headers.push(Name::Supported, "path");
        request.headers.push(Name::Allow, ALLOW);
        if let (Some((client, name)), Some(login)) = (&mut self.challenge, &self.setup.login) {
            let cnonce = format!("{:016x}", self.chance.next());
            let credentials = client.authorize(login, &request.method, &request.uri, &cnonce);
            request.headers.push(name.clone(), &credentials.to_string());
        }
        request
    }

    fn request(&mut self, method: Method, uri: Uri, to: Uri, route: Route) -> Request {
        self.cseq += 1;
        let via = Via::new(
            route.hop.transport.as_str(),
            Host::from(route.local.ip()),
            Some(route.local.port()),
            "",
        );
        let head = Head {
            via,
            via_below: Vec::new(),
            from: NameAddr::new(self.address_of_record()).with("tag", Some(&self.tag)),
            to: NameAddr::new(to),
            call_id: self.call_id.clone(),
            cseq: CSeq::new(self.cseq, method.clone()),
        };
        Request::new(method, uri, head).with(Name::UserAgent, &self.product)
    }

    fn registered(&mut self, attempt: Attempt, outcome: Result<&Response, Failure>, now: Mono) {
        let setback = match outcome {
            Ok(response) => match response.status.code() {
                200..=299 => return self.accepted(&attempt, response, now),
                401 | 407 => match self.answer_challenge(&attempt, response) {
                    Ok(()) => return self.send(Attempt { challenges: attempt.challenges + 1, ..attempt }),
                    Err(why) => Setback::Lasting { why },
                },
                423 if self.raise(&attempt, response) => {
                    return self.send(Attempt { raised: true, ..attempt });
                }
                _ => self.setback(response),
            },
            Err(failure) => {
                Setback::Passing { why: words::failed(&self.setup.domain, failure), wait: Duration::ZERO }
            }
        };
        match setback {
            Setback::Passing { why, wait } => self.next_address(attempt, why, wait, now),
            Setback::Lasting { why } => self.refused(why, now),
        }
    }

    fn setback(&self, response: &Response) -> Setback {
        let why = words::answered(&self.setup.domain, response.status);
        match response.status.code() {
            // §21.3 to §21.5: somewhere else or later it may do.
            300..=399 | 408 | 423 | 480 | 486 | 491 | 500..=599 => {
                let after = response.headers.retry_after().ok().flatten();
                Setback::Passing { why, wait: after.map_or(Duration::ZERO, |r| r.after).min(RETRY_MOST) }
            }
            _ => Setback::Lasting { why },
        }
    }

    /// Takes a challenge, if it is worth an answer.
    fn answer_challenge(&mut self, attempt: &Attempt, response: &Response) -> Result<(), String> {
        let (from, to) = match response.status {
            Status::UNAUTHORIZED => (Name::WwwAuthenticate, Name::Authorization),
            _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        };
        let domain = &self.setup.domain;
        if self.setup.login.is_none() {
            return Err(words::no_login(domain));
        }
        let Some(client) = Client::new(&response.headers.auth(&from)) else {
            self.challenge = None;
            return Err(words::strange_challenge(domain));
        };
        // The first challenge of a round may be for a nonce of an earlier one, which not everybody calls stale.
        let worth = attempt.challenges == 0 || (client.is_stale() && attempt.challenges < CHALLENGES);
        if !worth {
            self.challenge = None;
            return Err(words::wrong_password(domain));
        }
        self.challenge = Some((client, to));
        Ok(())
    }

    fn raise(&mut self, attempt: &Attempt, response: &Response) -> bool {
        let least = response.headers.min_expires().ok().flatten().unwrap_or(0);
        let raises = !attempt.raised && least > self.expires && least <= EXPIRES_MOST;
        if raises {
            self.expires = least;
        }
        raises
    }

    fn next_address(&mut self, attempt: Attempt, why: String, wait: Duration, now: Mono) {
        let wait = attempt.wait.max(wait);
        let failed = attempt.failed + 1;
        if failed < self.routes.len() {
            self.at = (self.at + 1) % self.routes.len();
            return self.send(Attempt { failed, wait, challenges: 0, ..attempt });
        }
        self.why = why;
        self.actions.push_back(Action::Resolve);
        self.wait(wait, now);
    }

    /// RFC 5626 §4.5.
    fn wait(&mut self, least: Duration, now: Mono) {
        self.failures = self.failures.saturating_add(1);
        let most = doubled(BASE_WAIT, self.failures, MOST_WAIT);
        let again = now + self.chance.between(most / 2, most).max(least);
        self.phase = Phase::Waiting { again };
    }

    fn refused(&mut self, why: String, now: Mono) {
        if self.said.insert(Said::Refused) {
            self.actions.push_back(Action::Alarm(words::refused(self.setup.line.as_str(), &why)));
        }
        self.why = why;
        self.until = None;
        self.failures = self.failures.saturating_add(1);
        let most = doubled(REFUSED_WAIT, self.failures - 1, REFUSED_MOST);
        self.phase = Phase::Waiting { again: now + self.chance.between(most * 4 / 5, most) };
    }

    fn accepted(&mut self, attempt: &Attempt, response: &Response, now: Mono) {
        let contacts = match response.headers.contacts() {
            Ok(Contacts::These(contacts)) => contacts,
            Ok(Contacts::All) | Err(_) => Vec::new(),
        };
        let ours = contacts.iter().find(|c| self.is_ours(&c.uri));
        let header = response.headers.expires().ok().flatten();
        let granted = ours.and_then(NameAddr::expires).or(header).unwrap_or(self.expires);
        if granted == 0 {
            let why = words::granted_nothing(&self.setup.domain);
            return self.next_address(attempt.clone(), why, Duration::ZERO, now);
        }
        if let Some(ours) = ours
            && !is_at_same_place(&ours.uri, &attempt.contact)
        {
            self.suspect(words::contact_changed(&attempt.contact, &ours.uri));
        }
        let granted = Duration::from_secs(granted.min(EXPIRES_MOST).into());
        let refresh = now + self.chance.between(refresh_after(granted) * 9 / 10, refresh_after(granted));
        self.phase = Phase::Registered { refresh };
        self.until = Some(now + granted);
        self.bound = Some(attempt.contact.clone());
        self.failures = 0;
        self.why = words::registered(&self.setup.domain);
        self.said.remove(&Said::Refused);
        self.service_route = response.headers.routes(&Name::ServiceRoute).unwrap_or_default();
        let flow = response.headers.get(&Name::Other("Flow-Timer".into()));
        self.flow_timer = flow.and_then(|t| t.parse().ok()).filter(|s| *s > 4).map(Duration::from_secs);
        self.health.failures = 0;
        self.health.alive = true;
        self.old = self.leftovers(&contacts, &attempt.contact);
        if self.ping.is_none() {
            self.ping = self.next_ping(now);
        }
        if self.health.next.is_none() && self.health.asked.is_none() {
            self.ask_later(now);
        }
        let moved = self.contact().is_some_and(|contact| contact != attempt.contact);
        let follows = moved && self.may_rebind(now);
        if follows || !self.old.is_empty() {
            self.begin(now);
        }
    }

    /// Says whether the trunk takes calls, when that changed.
    fn settle(&mut self, now: Mono) {
        if self.phase == Phase::Stopped {
            return;
        }
        let lives = self.health.failures < FAILURES;
        let up = lives
            && if self.setup.register {
                self.until.is_some_and(|at| at > now)
            } else {
                self.phase == Phase::Known && (self.health.alive || self.setup.options_every.is_zero())
            };
        let unsaid = self.line.is_none() && !up && self.why.is_empty();
        if self.line != Some(up) && !unsaid {
            self.line = Some(up);
            self.actions.push_back(Action::Line { up, why: self.why.clone() });
        }
    }
}

/// `base` twice as long each time, up to `most`.
fn doubled(base: Duration, times: u32, most: Duration) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(u32::MAX)).min(most)
}

/// Four fifths of what was granted, earlier where that leaves too little for a second try, but not before half.
fn refresh_after(granted: Duration) -> Duration {
    (granted * 4 / 5).min(granted.saturating_sub(REFRESH_AHEAD)).max(granted / 2)
}
