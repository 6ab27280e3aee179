//! Requests outside of dialogs: who sent them, what they may, and which of them becomes a leg.

use std::time::Duration;

use super::arrive::Arrival;
use super::dialog::Dialog;
use super::identity;
use super::leg::{Asked, Leg, Phase, Replaced};
use super::refresh::{Session, TooSmall};
use super::registrar::Auth;
use super::shared::{Core, Key};
use super::sound::{Sound, described};
use super::timers::Timer;
use super::trunk::Sureness;
use super::{Agent, Offence, Output, Route};
use crate::sip::message::{Method, Name, Replaces, Request, Response, Status};
use crate::sip::transaction::ServerId;
use crate::sip::uri::Uri;
use crate::types::{DeviceId, Identity, LegId, LineId, NumberKind, Offer, Via};

/// Whose an emergency call is that nobody authenticated.
const UNKNOWN_PHONE: &str = "unknown-phone";

/// Who sends an INVITE.
enum Caller {
    Trunk(LineId),
    Phone(DeviceId),
    /// Somebody on the LAN who needs help (never asked for a password), and the phone that this seems to be.
    Emergency(Option<DeviceId>),
}

impl Agent {
    pub(super) fn on_request(&mut self, server: ServerId, request: Box<Request>, route: Route, tag: &str) {
        let admitted = self.gate.admit(&request, route, tag, self.core.now);
        if let Err(turned) = admitted {
            self.core.offence(route, turned.offence);
            let mut response = turned.response;
            response.headers.push(Name::Server, &self.core.settings.product);
            self.core.respond(server, &response);
            return;
        }
        let Some(ours) = request.head.to.tag() else {
            return self.on_new_request(server, request, route, tag);
        };
        let key = self.core.by_tag(ours);
        if let Some(key) = key
            && !self.is_of_leg(key, route)
            && !self.proves(key, server, &request, route)
        {
            return;
        }
        let replaces = self.replaced(&request);
        let asked = Asked { server, replaces, request, route };
        match key {
            Some(key) => {
                self.step(key, |leg, cx| leg.request(cx, asked));
            }
            None => super::no_dialog(&mut self.core, &asked),
        }
    }

    /// Whether a message inside a phone's dialog comes from where the phone is. Tags are no secret on a LAN, and who has
    /// them could hand the call on at the shop's cost. A trunk's requests may come from any machine of its provider.
    pub(super) fn is_of_leg(&self, key: Key, route: Route) -> bool {
        let Some(leg) = self.legs.get(&key) else { return true };
        let Via::Device(device) = &leg.via else { return true };
        let from_there = |way: Route| way.hop.addr.ip() == route.hop.addr.ip();
        let contacts = self.core.registrar.contacts(device, self.core.now);
        leg.flow().is_some_and(from_there) || contacts.iter().any(|b| from_there(b.route))
    }

    /// Whether the phone whose leg this is sent the request, by its password: it may have moved. Else it is answered.
    fn proves(&mut self, key: Key, server: ServerId, request: &Request, route: Route) -> bool {
        let device = self.legs.get(&key).and_then(|leg| leg.via.device()).cloned();
        let tag = request.head.to.tag().unwrap_or_default();
        let auth = self.core.registrar.authenticate(request, route, tag, self.core.now);
        match self.phone_or_answer(auth, server, request, route) {
            Some(proved) if Some(&proved) == device.as_ref() => return true,
            Some(_) => self.core.refuse(server, request, Status::FORBIDDEN, tag),
            None => {}
        }
        false
    }

    /// The phone that authenticated itself; else the request is answered.
    pub(super) fn phone_or_answer(
        &mut self,
        auth: Auth,
        server: ServerId,
        request: &Request,
        route: Route,
    ) -> Option<DeviceId> {
        let (response, offence) = match auth {
            Auth::Device(device) => return Some(device),
            Auth::Challenge(response, offence) => (response, offence),
            Auth::Refused(response, offence) => (response, Some(offence)),
        };
        self.gate.challenged(request);
        self.core.offence(route, offence);
        self.core.respond_as_ours(server, *response);
        None
    }

    fn on_new_request(&mut self, server: ServerId, request: Box<Request>, route: Route, tag: &str) {
        let status = match request.method {
            Method::Invite => return self.invited(server, request, route, tag),
            Method::Register => return self.registers(server, &request, route, tag),
            Method::Options => return options(&mut self.core, server, &request, tag),
            Method::Message => return self.paged(server, request, route, tag),
            Method::Subscribe => Status::BAD_EVENT,
            Method::Refer => Status::FORBIDDEN,
            Method::Bye | Method::Cancel | Method::Ack | Method::Prack | Method::Update => {
                Status::NO_TRANSACTION
            }
            Method::Info | Method::Notify => Status::NO_TRANSACTION,
            Method::Publish | Method::Other(_) => Status::METHOD_NOT_ALLOWED,
        };
        self.core.refuse(server, &request, status, tag);
    }

    fn registers(&mut self, server: ServerId, request: &Request, route: Route, tag: &str) {
        let now = self.core.now;
        let done = self.core.registrar.handle_register(request, route, tag, now);
        if done.response.status == Status::UNAUTHORIZED {
            self.gate.challenged(request);
        }
        self.core.offence(route, done.offence);
        if let Some((device, bindings)) = done.bindings {
            self.core.output(Output::Bindings(device, bindings));
        }
        self.core.respond_as_ours(server, done.response);
    }

    fn invited(&mut self, server: ServerId, request: Box<Request>, route: Route, tag: &str) {
        let Some(caller) = self.caller(server, &request, route, tag) else { return };
        let cx = &mut self.core;
        let emergency = matches!(caller, Caller::Emergency(_)) || identity::is_sos(&request.uri);
        // A phone that was asked who it is needs help no less.
        let help = emergency || (matches!(caller, Caller::Phone(_)) && cx.is_help(&request.uri));
        if cx.ids.len() >= cx.settings.legs && !help {
            let wait = cx.settings.timers.retry_after.as_secs().to_string();
            let response =
                cx.response(&request, Status::SERVICE_UNAVAILABLE, tag).with(Name::RetryAfter, &wait);
            cx.respond(server, &response);
            return;
        }
        if let Ok(Some(replaces)) = request.headers.replaces() {
            // Nobody may pick up another's call yet.
            let found = self.find(&replaces).is_some();
            let status = if found { Status::DECLINE } else { Status::NO_TRANSACTION };
            return self.core.refuse(server, &request, status, tag);
        }
        self.offer(server, request, route, (tag, caller, emergency, help));
    }

    /// Makes a leg of an INVITE.
    fn offer(
        &mut self,
        server: ServerId,
        mut request: Box<Request>,
        route: Route,
        (tag, caller, emergency, help): (&str, Caller, bool, bool),
    ) {
        let cx = &mut self.core;
        let unasked = matches!(caller, Caller::Emergency(_));
        let (via, from, to) = match caller {
            Caller::Trunk(line) => {
                let Some(trunk) = cx.trunks.get(&line) else { return };
                let to = identity::called(&request, trunk);
                (Via::Line(line), identity::caller(&request), to)
            }
            Caller::Phone(device) => {
                let name = cx.devices.get(&device).and_then(|d| d.name.as_deref());
                (Via::Device(device), identity::of_phone(name), identity::dialled(&request.uri))
            }
            Caller::Emergency(phone) => {
                let name = phone.as_ref().and_then(|id| cx.devices.get(id)).and_then(|d| d.name.clone());
                let display = name.or_else(|| request.head.from.display());
                let device = phone.unwrap_or_else(|| DeviceId::from(UNKNOWN_PHONE));
                let from = Identity { display, ..Identity::default() };
                (Via::Device(device), from, identity::dialled(&request.uri))
            }
        };
        let session = match Session::grant(&request.headers, cx.settings.session_expires, None) {
            Ok(session) => session,
            Err(TooSmall) => return super::too_small(cx, server, &request, tag),
        };
        let contact = cx.contact(&via, route);
        let offered = described(&request.headers, &request.body);
        let (Some(dialog), Ok(offered)) = (Dialog::called(&request, tag, route, contact), offered) else {
            return cx.refuse(server, &request, Status::BAD_REQUEST, tag);
        };
        request.body = Vec::new();
        // Help comes before secrecy.
        let secure = cx.is_secure(&via) && !unasked;
        let sound = Sound::new(cx.capabilities_of(&via), cx.policy_of(&via), secure, cx.random());
        let secure = sound.wants_keys(offered.as_ref());
        let expires = request.headers.expires().ok().flatten();
        let mut arrival = Arrival::new(server, request, dialog);
        arrival.offered = offered;
        arrival.session = session;
        arrival.offer = Some(Offer { via: via.clone(), from, kind: NumberKind::default(), to, emergency });
        let (key, id) = (cx.new_key(), LegId(format!("SL{}", cx.new_call_id())));
        cx.servers.insert(server, key);
        cx.tags.insert(tag.to_owned(), key);
        cx.ids.insert(id.clone(), key);
        if let Some(seconds) = expires {
            cx.timer(key, Timer::Lapse, Duration::from_secs(seconds.into()));
        }
        let (leg, local) = (id.clone(), route.local.ip());
        let tags = vec![tag.to_owned()];
        self.legs.insert(key, Leg { key, id, via, tags, sound, phase: Phase::Arriving(Box::new(arrival)) });
        self.core.output(Output::OpenMedia { leg, local, secure, help });
    }

    /// Who calls; `None` when the request was answered instead.
    fn caller(&mut self, server: ServerId, request: &Request, route: Route, tag: &str) -> Option<Caller> {
        if let Some(line) = self.trunk_of(request, route) {
            return Some(Caller::Trunk(line));
        }
        match self.core.registrar.authenticate(request, route, tag, self.core.now) {
            Auth::Challenge(_, _) | Auth::Refused(_, _) if self.is_emergency(request, route) => {
                Some(Caller::Emergency(self.phone_at(request, route)))
            }
            auth => self.phone_or_answer(auth, server, request, route).map(Caller::Phone),
        }
    }

    /// The trunk whose request this is; a phone may live at the same address.
    pub(super) fn trunk_of(&self, request: &Request, route: Route) -> Option<LineId> {
        let (line, sureness) = self.trunk(request, route)?;
        let phone =
            || {
                let hop = route.hop;
                self.core.devices.keys().any(|d| {
                    self.core.registrar.contacts(d, self.core.now).iter().any(|b| b.route.hop == hop)
                }) || request.headers.has(&Name::Authorization)
            };
        (sureness == Sureness::Hop || !phone()).then_some(line)
    }

    /// Which trunk a request comes from, and how sure that is.
    fn trunk(&self, request: &Request, route: Route) -> Option<(LineId, Sureness)> {
        let user = request.uri.user();
        let all = self.core.trunks.iter().filter_map(|(line, trunk)| {
            // Nobody but the registrar knows the contact that we registered there.
            let registered = user.as_deref().is_some_and(|user| trunk.registration.has_token(user));
            let sure = if registered { Some(Sureness::Hop) } else { trunk.sent(route.hop) };
            Some((line.clone(), sure?, registered))
        });
        let best = all.max_by_key(|(_, sure, registered)| (*registered, *sure));
        best.map(|(line, sure, _)| (line, sure))
    }

    fn is_emergency(&self, request: &Request, route: Route) -> bool {
        let ip = route.hop.addr.ip();
        self.core.settings.lan.iter().any(|network| network.contains(ip)) && self.core.is_help(&request.uri)
    }

    /// The phone that registered from there: nobody proved it, but help must find the right room. Of several, the one
    /// that the request names; from another port of the same machine, only that one.
    fn phone_at(&self, request: &Request, route: Route) -> Option<DeviceId> {
        let user = request.head.from.uri.user();
        let fits = self.core.devices.values().filter_map(|device| {
            let named = user.as_deref() == Some(device.login.username.as_str());
            let ways = self.core.registrar.contacts(&device.id, self.core.now);
            let here = ways.iter().any(|b| b.route.hop == route.hop);
            let near = named && ways.iter().any(|b| b.route.hop.addr.ip() == route.hop.addr.ip());
            (here || near).then_some(((here, named), &device.id))
        });
        fits.max_by_key(|(sureness, _)| *sureness).map(|(_, id)| id.clone())
    }

    /// The leg that a REFER's Replaces names: of the same phone as the REFER, or nothing.
    fn replaced(&self, request: &Request) -> Option<Replaced> {
        if request.method != Method::Refer {
            return None;
        }
        let to = request.headers.address(Name::ReferTo).ok().flatten()?;
        let replaces = to.uri.sip()?.header("Replaces")?;
        let asker = request.head.to.tag().and_then(|tag| self.core.by_tag(tag));
        let asker = asker.and_then(|key| self.legs.get(&key));
        let found = replaces.parse::<Replaces>().ok().and_then(|replaces| self.find(&replaces));
        let same = found.filter(|leg| asker.is_some_and(|a| a.via == leg.via && a.key != leg.key));
        Some(same.map_or(Replaced::Nothing, |leg| Replaced::Leg(leg.id.clone())))
    }

    /// The leg with this dialog; some phones write the tags the other way round.
    fn find(&self, replaces: &Replaces) -> Option<&Leg> {
        let tags = [(&replaces.to_tag, &replaces.from_tag), (&replaces.from_tag, &replaces.to_tag)];
        tags.into_iter().find_map(|(ours, theirs)| {
            let leg = self.legs.get(&self.core.by_tag(ours)?)?;
            leg.has_dialog(&replaces.call_id, theirs).then_some(leg)
        })
    }
}

impl Core {
    fn is_help(&self, uri: &Uri) -> bool {
        let dialled = identity::dialled(uri);
        identity::is_sos(uri) || self.settings.emergency_numbers.iter().any(|n| n == dialled.as_str())
    }

    fn offence(&mut self, route: Route, what: Option<Offence>) {
        if let Some(what) = what {
            self.output(Output::Offence { source: route.hop.addr.ip(), what });
        }
    }

    fn respond_as_ours(&mut self, server: ServerId, mut response: Response) {
        response.headers.push(Name::Server, &self.settings.product);
        self.respond(server, &response);
    }
}

/// 200 with what is served; the same for everybody.
pub(super) fn options(cx: &mut Core, server: ServerId, request: &Request, tag: &str) {
    let mut response = cx.response(request, Status::OK, tag);
    response.headers.push(Name::Allow, super::gate::ALLOW_PHONES);
    response.headers.push(Name::Accept, super::gate::ACCEPT);
    response.headers.push(Name::Supported, super::shared::SUPPORTED);
    cx.respond(server, &response);
}
