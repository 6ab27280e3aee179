//! The user agent: dialogs and calls (RFC 3261 §12 to §15), phones that register here, registrations with trunks.
//! Messages, commands and time in; messages, leg events and media orders out.
//!
//! | file | owns |
//! |---|---|
//! | `shared` | what all legs share: transactions, timers, trunks, phones, outputs |
//! | `front` | requests outside of dialogs: who sent them, and whether they become a leg |
//! | `page` | texts from phone to phone |
//! | `leg`, `dial`, `arrive`, `talk`, `inside` | a leg: dialled, offered, up, and what is asked inside its dialog |
//! | `dialog`, `sound`, `refresh`, `refer`, `identity`, `cause` | the rules that a leg goes by |
//! | `gate`, `registrar`, `registration`, `trunk` | what a request must be; phones; trunks |
//!
//! A leg that is over for call control may leave a dialog behind that waits for an ACK, and INVITEs that are cancelled;
//! all of it ends within 64*T1, and [`Agent::is_idle`] says when nothing is left. Deliberately absent: sockets, DNS
//! and how fast anybody may send (`trunk`), what a call is (`call`), sound (`media`).

mod api;
mod arrive;
mod cause;
mod dial;
mod dialog;
mod front;
mod gate;
mod identity;
mod inside;
mod leg;
mod page;
mod refer;
mod refresh;
mod registrar;
mod registration;
mod shared;
mod sound;
mod talk;
#[cfg(test)]
mod tests;
mod timers;
mod trunk;

pub use api::{AgentSettings, Binding, DeviceSetup, IdentityStyle, Offence, Output, Route, TrunkSetup};

use std::collections::{HashMap, VecDeque};
use std::fmt;

use sha2::{Digest, Sha256};

use dial::{Dial, Way};
use dialog::Dialog;
use gate::Gate;
use leg::{Asked, Leg, Phase};
use registrar::{Limits, Registrar};
use registration::Action;
use shared::{Core, Inside, Key, Owner};
use sound::Sound;
use trunk::Trunk;

use crate::sip::message::{Message, Method, Name, Refused, Request, Response, Status};
use crate::sip::transaction::{ClientId, Event, Failure, Transactions};
use crate::sip::uri::{SipUri, Uri};
use crate::types::{
    DeviceId, EndCause, LegCommand, LegEvent, LegId, LineId, LocalMedia, MediaRefused, Mono, Now, Via,
};

/// One SIP element: all its dialogs, bindings and registrations.
pub struct Agent {
    core: Core,
    gate: Gate,
    legs: HashMap<Key, Leg>,
    /// For the tags of what is refused at the wire's door, and the trunks' seeds.
    seed: [u8; 32],
    trunks_made: u64,
}

/// What an agent holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Legs that call control knows.
    pub legs: usize,
    /// Legs and what is left of them.
    pub dialogs: usize,
    /// Client and server transactions, lingering ones too.
    pub transactions: (usize, usize),
    /// Requests whose outcome is awaited.
    pub requests: usize,
    /// Timers of legs.
    pub timers: usize,
    /// Tags of ours that are in use.
    pub tags: usize,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("holdings", &self.holdings())
            .field("transactions", &self.core.tx)
            .field("next", &self.poll_timeout())
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// Nothing registered, no calls. `seed` is secret and never the same again: tags, branches, Call-IDs, nonces and
    /// leg ids come from it.
    #[must_use]
    pub fn new(settings: AgentSettings, seed: [u8; 32]) -> Self {
        let limits = Limits {
            least: settings.register_least,
            most: settings.register_most,
            contacts: settings.contacts,
        };
        let registrar = Registrar::new(settings.digest.clone(), limits, derived(&seed, b"registrar", 0));
        let tx = Transactions::new(settings.timers, derived(&seed, b"transactions", 0));
        Self {
            core: Core::new(settings, tx, registrar),
            gate: Gate::new(derived(&seed, b"gate", 0)),
            legs: HashMap::new(),
            seed,
            trunks_made: 0,
        }
    }

    /// The phones are now these. Those that are gone lose their bindings; calls go on.
    pub fn handle_devices(&mut self, devices: Vec<DeviceSetup>, now: Now) {
        self.core.now = now;
        self.core.devices = devices.iter().map(|d| (d.id.clone(), d.clone())).collect();
        for (device, bindings) in self.core.registrar.set_devices(devices) {
            self.core.output(Output::Bindings(device, bindings));
        }
    }

    /// The trunks are now these. Calls of one that is gone go on.
    pub fn handle_trunks(&mut self, trunks: Vec<TrunkSetup>, now: Now) {
        self.core.now = now;
        let mut before = std::mem::take(&mut self.core.trunks);
        for setup in trunks {
            let line = setup.line.clone();
            let trunk = match before.remove(&line) {
                Some(same) if same.setup == setup => same,
                other => {
                    if let Some(mut other) = other {
                        other.registration.stop();
                        self.core.trunk_actions(&line, &mut other);
                    }
                    self.trunks_made += 1;
                    let seed = derived(&self.seed, b"trunk", self.trunks_made);
                    self.core.output(Output::Resolve(line.clone()));
                    Trunk::new(setup, self.trunks_made, &self.core.settings.product, seed)
                }
            };
            self.core.trunks.insert(line, trunk);
        }
        for (line, mut gone) in before {
            gone.registration.stop();
            self.core.trunk_actions(&line, &mut gone);
        }
        self.settle();
    }

    /// What was kept of a phone's contacts before a restart.
    pub fn restore(&mut self, device: &DeviceId, bindings: Vec<Binding>, now: Now) {
        self.core.registrar.restore(device, bindings, now);
    }

    /// A trunk's addresses, best first (RFC 3263); none when it cannot be looked up. The answer to
    /// [`Output::Resolve`], and again whenever they or our own address change: then it registers anew and
    /// re-INVITEs its calls.
    pub fn handle_routes(&mut self, line: &LineId, routes: Vec<Route>, now: Now) {
        self.core.now = now;
        let Some(trunk) = self.core.trunks.get_mut(line) else { return };
        if !routes.is_empty() {
            trunk.routes.clone_from(&routes);
        }
        trunk.registration.handle_routes(routes.clone(), now);
        let via = Via::Line(line.clone());
        self.renew(
            |leg| leg.via == via,
            |flow| {
                let here = routes.iter().any(|r| r.local == flow.local);
                // The same neighbour, else the same kind of way.
                let same = routes.iter().find(|r| r.hop == flow.hop);
                let like = routes.iter().find(|r| r.hop.transport == flow.hop.transport);
                let local = same.or(like).filter(|_| !here)?.local;
                Some(Route { local, ..flow })
            },
        );
        self.settle();
    }

    /// A message from the wire, with where it came from and where it came in.
    pub fn handle_message(&mut self, message: Message, from: Route, now: Now) {
        self.core.now = now;
        if let Message::Request(request) = &message
            && request.method == Method::Cancel
            && !self.gate.admits_cancel(request, from.hop)
        {
            return;
        }
        self.core.tx.handle_message(message, from.hop, now);
        self.drain(Some(from));
        self.settle();
    }

    /// A request that the wire's door could not read but can answer.
    pub fn handle_refused(&mut self, refused: Refused, from: Route, now: Now) {
        self.core.now = now;
        let transmit = gate::refusal(refused, from.hop, &self.seed);
        self.core.output(Output::Transmit(transmit));
    }

    /// Nothing can be sent there: a port unreachable, a connection that broke or could not be made.
    pub fn handle_transport_error(&mut self, route: Route, now: Now) {
        self.core.now = now;
        self.core.tx.handle_transport_error(route.hop, now);
        for (device, bindings) in self.core.registrar.handle_transport_error(route.hop, now) {
            self.core.output(Output::Bindings(device, bindings));
        }
        self.core.trunks.values_mut().for_each(|t| t.registration.handle_transport_error(route, now));
        self.drain(None);
        self.settle();
    }

    /// Our address towards phones changed from one to another: their calls are re-INVITEd.
    pub fn handle_address(&mut self, old: core::net::IpAddr, new: core::net::IpAddr, now: Now) {
        self.core.now = now;
        self.renew(
            |leg| matches!(leg.via, Via::Device(_)),
            |flow| {
                let moved = Route { local: (new, flow.local.port()).into(), ..flow };
                (flow.local.ip() == old).then_some(moved)
            },
        );
        self.settle();
    }

    fn renew(&mut self, which: impl Fn(&Leg) -> bool, flow: impl Fn(Route) -> Option<Route>) {
        let mut keys: Vec<Key> = self.legs.values().filter(|l| which(l)).map(|l| l.key).collect();
        keys.sort_unstable();
        for key in keys {
            self.step(key, |leg, cx| leg.renew(cx, &flow));
        }
    }

    /// Call control wants something done with a leg.
    pub fn handle_command(&mut self, leg: &LegId, command: LegCommand, now: Now) {
        self.core.now = now;
        match (self.core.ids.get(leg).copied(), command) {
            (Some(key), command) => {
                self.step(key, |leg, cx| leg.command(cx, command));
            }
            (None, LegCommand::Dial { via, target, identity, ring_for, emergency }) => {
                let ways = VecDeque::new();
                self.dial(leg, via, Dial { target, identity, ring_for, emergency, ways });
            }
            // It is over.
            (None, _) => {}
        }
        self.drain(None);
    }

    fn dial(&mut self, id: &LegId, via: Via, mut dial: Dial) {
        let cx = &mut self.core;
        if cx.ids.len() >= cx.settings.legs && !dial.emergency {
            let event = LegEvent::Refused { cause: EndCause::LineBusy, retry_after: None };
            return cx.say(id, event);
        }
        match &via {
            Via::Line(line) => {
                dial.ways = cx.trunks.get(line).map(|trunk| trunk_ways(trunk, &dial)).unwrap_or_default();
            }
            Via::Device(device) => dial.ways = device_ways(cx.registrar.contacts(device, cx.now)),
        }
        let Some(first) = dial.ways.front() else {
            if let Some(line) = via.line().filter(|line| cx.trunks.contains_key(*line)) {
                cx.output(Output::Resolve(line.clone()));
            }
            let event = LegEvent::Refused { cause: cause::lost(&via), retry_after: None };
            return cx.say(id, event);
        };
        let (local, help) = (first.route.local.ip(), dial.emergency);
        let (key, origin, secure) = (cx.new_key(), cx.random(), cx.is_secure(&via));
        let sound = Sound::new(cx.capabilities_of(&via), cx.policy_of(&via), secure, origin);
        let phase = Phase::Opening(Box::new(dial));
        self.legs.insert(key, Leg { key, id: id.clone(), via, tags: Vec::new(), sound, phase });
        cx.ids.insert(id.clone(), key);
        cx.output(Output::OpenMedia { leg: id.clone(), local, secure, help });
    }

    /// The answer to [`Output::OpenMedia`].
    pub fn handle_media_opened(&mut self, leg: &LegId, opened: Result<LocalMedia, MediaRefused>, now: Now) {
        self.core.now = now;
        match self.core.ids.get(leg).copied() {
            Some(key) => {
                self.step(key, |leg, cx| leg.opened(cx, opened));
                self.drain(None);
            }
            // The leg ended in between.
            None if opened.is_ok() => self.core.output(Output::CloseMedia(leg.clone())),
            None => {}
        }
    }

    /// [`Agent::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.core.now = now;
        self.core.tx.handle_timeout(now);
        self.drain(None);
        while let Some((key, timer)) = self.core.timers.pop(now.mono) {
            self.step(key, |leg, cx| leg.timeout(cx, timer));
            self.drain(None);
        }
        self.core.relays_due();
        // The last transaction of a burst lingers for as long, and its timer comes by here.
        self.gate.forget(now.mono);
        // The owners of accepted INVITEs outlast their legs.
        self.shrink();
        for (device, bindings) in self.core.registrar.handle_timeout(now) {
            self.core.output(Output::Bindings(device, bindings));
        }
        for trunk in self.core.trunks.values_mut() {
            if trunk.registration.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
                trunk.registration.handle_timeout(now);
            }
        }
        self.settle();
    }

    /// What is to be done next; ask until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.core.outputs.pop_front();
        if next.is_none() {
            self.core.flush();
            return self.core.outputs.pop_front();
        }
        next
    }

    /// When [`Agent::handle_timeout`] is wanted, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let legs = self.core.timers.next().map(|(at, timer)| (at, timer.name()));
        let trunks = self.core.trunks.values().filter_map(|t| t.registration.poll_timeout());
        [self.core.tx.poll_timeout(), legs, self.core.registrar.poll_timeout()]
            .into_iter()
            .flatten()
            .chain(trunks)
            .chain(self.core.relays.next())
            .min()
    }

    /// Ends every call and unregisters, for a shutdown: the outputs that follow are sent without waiting for answers.
    pub fn stop(&mut self, now: Now) {
        self.core.now = now;
        let mut keys: Vec<Key> = self.core.ids.values().copied().collect();
        keys.sort_unstable();
        for key in keys {
            self.step(key, |leg, cx| leg.stop(cx));
        }
        self.core.stop_relays();
        for trunk in self.core.trunks.values_mut() {
            trunk.registration.stop();
        }
        self.drain(None);
        self.settle();
    }

    /// What it holds.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings {
            legs: self.core.ids.len(),
            dialogs: self.legs.len(),
            transactions: self.core.tx.len(),
            requests: self.core.clients.len() + self.core.servers.len() + self.core.relays.len(),
            timers: self.core.timers.len(),
            tags: self.core.tags.len(),
        }
    }

    /// Whether no leg, dialog, transaction or timer of a call is left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.holdings() == Holdings::default() && self.core.tx.is_empty()
    }

    /// Runs a step of a leg, and takes away what is over.
    fn step(&mut self, key: Key, act: impl FnOnce(&mut Leg, &mut Core)) -> bool {
        let Some(leg) = self.legs.get_mut(&key) else { return false };
        act(leg, &mut self.core);
        if leg.is_over() {
            for tag in &leg.tags {
                self.core.tags.remove(tag);
            }
            self.core.timers.stop_all(key);
            self.legs.remove(&key);
            self.shrink();
        }
        true
    }

    /// What a burst took is given back.
    fn shrink(&mut self) {
        if self.legs.is_empty() {
            self.legs.shrink_to(64);
            self.core.shrink();
        }
    }

    /// Carries out what registrations want, and puts what is to be sent behind what was said.
    fn settle(&mut self) {
        let core = &mut self.core;
        let mut trunks = std::mem::take(&mut core.trunks);
        for (line, trunk) in &mut trunks {
            core.trunk_actions(line, trunk);
        }
        core.trunks = trunks;
        core.flush();
    }

    fn drain(&mut self, from: Option<Route>) {
        self.core.flush();
        while let Some(event) = self.core.tx.poll_event() {
            self.on_event(event, from);
            self.core.flush();
        }
    }

    fn on_event(&mut self, event: Event, route: Option<Route>) {
        match event {
            Event::Request { id, request, tag, .. } => {
                if let Some(route) = route {
                    self.on_request(id, request, route, &tag);
                }
            }
            Event::Ack { request, .. } => {
                let key = request.head.to.tag().and_then(|tag| self.core.by_tag(tag));
                if let (Some(key), Some(route)) = (key, route)
                    && self.is_of_leg(key, route)
                {
                    self.step(key, |leg, cx| leg.ack(cx, &request, route));
                }
            }
            Event::Cancelled { id, cancel } => {
                if let Some(key) = self.core.servers.get(&id).copied() {
                    self.step(key, |leg, cx| leg.cancelled(cx, &cancel));
                }
            }
            Event::ServerFailed { id, why } => {
                if let Some(key) = self.core.servers.get(&id).copied() {
                    self.step(key, |leg, cx| leg.server_failed(cx, why));
                }
                self.core.relays.forget(id);
            }
            Event::Provisional { id, response } => {
                if let Some(Owner::Invite { leg, .. }) = self.core.clients.get(&id) {
                    let key = *leg;
                    self.step(key, |leg, cx| leg.invite_response(cx, id, *response));
                }
            }
            Event::Final { id, response } => self.on_final(id, *response),
            Event::AcceptedAgain { id, response } => self.on_accepted_again(id, &response),
            Event::AcceptedOver { id } => {
                self.core.clients.remove(&id);
            }
            Event::Failed { id, why } => self.on_failed(id, why),
        }
    }

    fn on_final(&mut self, id: ClientId, response: Response) {
        let accepted = response.status.is_success() && response.head.cseq.method == Method::Invite;
        if accepted {
            // Its owner stays for the 2xx that may follow, until the transaction is over.
            match self.core.clients.get(&id) {
                Some(Owner::Invite { leg, .. }) => {
                    let key = *leg;
                    let known = self.legs.contains_key(&key);
                    if known {
                        self.step(key, |leg, cx| leg.invite_response(cx, id, response));
                    } else {
                        stray_success(&mut self.core, id, &response);
                    }
                }
                Some(Owner::Inside { leg, what, .. }) => {
                    let (key, what) = (*leg, *what);
                    let known = self.step(key, |leg, cx| leg.inside_response(cx, what, &response));
                    if !known {
                        acknowledge_stray(&mut self.core, id, &response);
                    }
                }
                Some(Owner::Bye { .. } | Owner::Trunk { .. } | Owner::Page { .. }) | None => {}
            }
            return;
        }
        match self.core.clients.remove(&id) {
            Some(Owner::Invite { leg, .. }) => {
                self.step(leg, |leg, cx| leg.invite_response(cx, id, response));
            }
            Some(Owner::Inside { leg, what, again, .. }) => {
                let again = again.filter(|_| is_challenge(&response));
                let retried = again.is_some_and(|again| self.inside_again(leg, what, *again, &response));
                if !retried {
                    self.step(leg, |leg, cx| leg.inside_response(cx, what, &response));
                }
            }
            Some(Owner::Bye { again: Some(mut again) }) if is_challenge(&response) => {
                again.request.head.cseq.number += 1;
                if self.core.answer_challenge(&again.line, &mut again.request, &response, again.answered) {
                    again.answered += 1;
                    let (request, route) = (again.request.clone(), again.route);
                    self.core.send(request, route, Owner::Bye { again: Some(again) });
                }
            }
            Some(Owner::Bye { .. }) | None => {}
            Some(Owner::Page { server }) => self.core.page_answered(server, Some(&response)),
            Some(Owner::Trunk { line, made, ticket }) => {
                let now = self.core.now;
                if let Some(trunk) = self.core.trunks.get_mut(&line).filter(|t| t.made == made) {
                    trunk.registration.handle_outcome(ticket, Ok(&response), now);
                }
            }
        }
    }

    /// Asks again inside a dialog, with credentials and the next number.
    fn inside_again(
        &mut self,
        key: Key,
        what: Inside,
        mut again: shared::Again,
        response: &Response,
    ) -> bool {
        let Some(leg) = self.legs.get_mut(&key) else { return false };
        let answered = self.core.answer_challenge(&again.line, &mut again.request, response, again.answered);
        let number = leg.next_number(again.request.head.to.tag());
        let (true, Some(number)) = (answered, number) else { return false };
        again.request.head.cseq.number = number;
        again.answered += 1;
        let (request, route) = (again.request.clone(), again.route);
        self.core
            .send(request, route, Owner::Inside { leg: key, what, route, again: Some(Box::new(again)) })
            .is_some()
    }

    fn on_accepted_again(&mut self, id: ClientId, response: &Response) {
        let (key, inside) = match self.core.clients.get(&id) {
            Some(Owner::Invite { leg, .. }) => (*leg, false),
            Some(Owner::Inside { leg, .. }) => (*leg, true),
            Some(Owner::Bye { .. } | Owner::Trunk { .. } | Owner::Page { .. }) | None => return,
        };
        let mut done = false;
        self.step(key, |leg, cx| done = leg.acknowledge_again(cx, response));
        match (done, inside) {
            (true, _) => {}
            (false, true) => acknowledge_stray(&mut self.core, id, response),
            (false, false) => stray_success(&mut self.core, id, response),
        }
    }

    fn on_failed(&mut self, id: ClientId, why: Failure) {
        match self.core.clients.remove(&id) {
            Some(Owner::Invite { leg, .. }) => {
                self.step(leg, |leg, cx| leg.invite_failed(cx, id, why));
            }
            Some(Owner::Inside { leg, what, .. }) => {
                self.step(leg, |leg, cx| leg.inside_failed(cx, what));
            }
            Some(Owner::Trunk { line, made, ticket }) => {
                let now = self.core.now;
                if let Some(trunk) = self.core.trunks.get_mut(&line).filter(|t| t.made == made) {
                    trunk.registration.handle_outcome(ticket, Err(why), now);
                }
            }
            Some(Owner::Page { server }) => self.core.page_answered(server, None),
            Some(Owner::Bye { .. }) | None => {}
        }
    }
}

impl Core {
    fn trunk_actions(&mut self, line: &LineId, trunk: &mut Trunk) {
        while let Some(action) = trunk.registration.poll_action() {
            match action {
                Action::Send { ticket, request, route } => {
                    let owner = Owner::Trunk { line: line.clone(), made: trunk.made, ticket };
                    if self.send(*request, route, owner).is_none() {
                        trunk.registration.handle_outcome(ticket, Err(Failure::Transport), self.now);
                    }
                }
                Action::Ping(transmit) => self.output(Output::Transmit(transmit)),
                Action::Line { up, why } => self.output(Output::Line { line: line.clone(), up, why }),
                Action::Resolve => self.output(Output::Resolve(line.clone())),
                Action::Alarm(text) => self.output(Output::Alarm(text)),
            }
        }
    }
}

fn is_challenge(response: &Response) -> bool {
    matches!(response.status, Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED)
}

/// The ways of a call over a trunk: one an address, that of its registration first.
fn trunk_ways(trunk: &Trunk, dial: &Dial) -> VecDeque<Way> {
    let (host, port) = identity::domain(&trunk.setup.domain);
    let uri = Uri::Sip(SipUri::new(Some(dial.target.as_str()), host, port));
    let path: Vec<String> = trunk.registration.service_route().iter().map(ToString::to_string).collect();
    let first = trunk.registration.route();
    let rest = trunk.routes.iter().copied().filter(|r| Some(*r) != first);
    let ways = first.into_iter().chain(rest);
    ways.map(|route| Way { uri: uri.clone(), route, path: path.clone() }).collect()
}

/// The ways of a call to a phone: one a contact.
fn device_ways(bindings: Vec<Binding>) -> VecDeque<Way> {
    bindings.into_iter().map(Way::of).collect()
}

/// 32 bytes that nobody can tell from another's.
fn derived(seed: &[u8; 32], what: &[u8], number: u64) -> [u8; 32] {
    let hash = Sha256::new().chain_update(seed).chain_update(b"agent").chain_update(what);
    hash.chain_update(number.to_be_bytes()).finalize().into()
}

/// 481.
fn no_dialog(cx: &mut Core, asked: &Asked) {
    let tag = asked.request.head.to.tag().unwrap_or_default().to_owned();
    cx.refuse(asked.server, &asked.request, Status::NO_TRANSACTION, &tag);
}

/// Whether a request inside a dialog has the next number; else it is answered (RFC 3261 §12.2.2).
fn in_order(cx: &mut Core, dialog: &mut Dialog, asked: &Asked) -> bool {
    let number = asked.request.head.cseq.number;
    if dialog.remote_seq.is_some_and(|last| number <= last) {
        cx.refuse(asked.server, &asked.request, Status::SERVER_ERROR, dialog.tag());
        return false;
    }
    dialog.remote_seq = Some(number);
    true
}

/// 500 with a Retry-After of up to 10 s: another of theirs is under way (RFC 3261 §14.2, RFC 3311 §5.2).
fn busy(cx: &mut Core, asked: &Asked, tag: &str) {
    let wait = cx.random() % 10;
    let mut response = cx.response(&asked.request, Status::SERVER_ERROR, tag);
    response.headers.push(Name::RetryAfter, &wait.to_string());
    cx.respond(asked.server, &response);
}

/// 422 (RFC 4028 §6).
fn too_small(cx: &mut Core, server: crate::sip::transaction::ServerId, request: &Request, tag: &str) {
    let mut response = cx.response(request, Status::INTERVAL_TOO_SMALL, tag);
    response.headers.push(Name::MinSe, &refresh::LEAST.to_string());
    cx.respond(server, &response);
}

/// What is answered the same in every state of a dialog.
fn answer_plain(cx: &mut Core, asked: &Asked, tag: &str) {
    let status = match asked.request.method {
        Method::Options => return front::options(cx, asked.server, &asked.request, tag),
        // No subscription of ours; no response of ours that a PRACK is for.
        Method::Notify | Method::Prack => Status::NO_TRANSACTION,
        Method::Subscribe => Status::BAD_EVENT,
        Method::Refer => Status::FORBIDDEN,
        Method::Bye
        | Method::Invite
        | Method::Ack
        | Method::Cancel
        | Method::Update
        | Method::Info
        | Method::Register
        | Method::Publish
        | Method::Message
        | Method::Other(_) => Status::METHOD_NOT_ALLOWED,
    };
    cx.refuse(asked.server, &asked.request, status, tag);
}

/// Forks of one INVITE that are looked after; nobody has as many phones.
const FORKS: usize = 16;

/// A 2xx of a dialog that nobody wants: a fork's, or one that crossed our CANCEL. It gets its ACK each time, and one
/// BYE (RFC 3261 §13.2.2.4).
fn stray_success(cx: &mut Core, id: ClientId, response: &Response) {
    if !response.status.is_success() {
        return;
    }
    let Some(Owner::Invite { route, line, ended, .. }) = cx.clients.get_mut(&id) else { return };
    let tag = response.head.to.tag().unwrap_or_default();
    let first = !ended.iter().any(|t| t == tag);
    if first {
        if ended.len() >= FORKS {
            return;
        }
        ended.push(tag.to_owned());
    }
    let (route, line) = (*route, line.clone());
    let contact = Uri::Sip(SipUri::new(None, route.local.ip().into(), Some(route.local.port())));
    let Some(mut dialog) = Dialog::calling(response, route, contact) else { return };
    let ack = dialog.ack(response.head.cseq.number);
    cx.ack(ack, dialog.route());
    if first {
        // PRACKs may have taken numbers in between.
        dialog.local_seq = dialog.local_seq.saturating_add(32);
        let bye = dialog.request(Method::Bye);
        cx.bye(bye, dialog.route(), line.as_ref());
    }
}

/// A 2xx to a re-INVITE of a dialog that was ended meanwhile.
fn acknowledge_stray(cx: &mut Core, id: ClientId, response: &Response) {
    let Some(Owner::Inside { route, .. }) = cx.clients.get(&id) else { return };
    let route = *route;
    let contact = Uri::Sip(SipUri::new(None, route.local.ip().into(), Some(route.local.port())));
    if let Some(dialog) = Dialog::calling(response, route, contact) {
        let ack = dialog.ack(response.head.cseq.number);
        cx.ack(ack, dialog.route());
    }
}
