//! Texts from phone to phone (RFC 3428, pager mode): a MESSAGE of a phone that says who it is goes to all contacts of
//! another of its shop at once, and the best answer goes back. What a text says is not looked at, kept or told.
//!
//! | who asks, and for what | answer |
//! |---|---|
//! | a trunk: texts from outside come by other ways | 405 |
//! | nobody who is known, whoever is asked for | 401 |
//! | more than 8 KiB / neither plain text nor CPIM, or encoded | 413 / 415 with Accept |
//! | no phone of the shop has that name or number | 404 |
//! | the phone is not there, or says nothing in time | 480 |
//! | too many texts are under way | 503 with Retry-After |
//! | else | the first 2xx of a contact, or what says most of the refusals |
//!
//! The text leaves as a request of our own, as the sender's authenticated self, with the hops that it has left: who
//! hands it on to us in a circle comes to an end. Deliberately absent: store and forward, and texts inside dialogs.

use std::collections::BTreeMap;

use super::dial::Way;
use super::gate::is_encoded;
use super::shared::{Core, Owner};
use super::{Agent, Binding, DeviceSetup, Route, dialog, identity};
use crate::sip::message::{CSeq, Head, Method, Name, NameAddr, Request, Response, Status};
use crate::sip::transaction::ServerId;
use crate::sip::uri::Host;
use crate::types::{Address, Identity, Mono};

/// What a text may weigh, in bytes.
const LARGEST: usize = 8 * 1024;
/// As Accept says it. CPIM (RFC 3862) is between the phones.
const TYPES: [&str; 2] = ["text/plain", "message/cpim"];
/// Texts under way at a time: calls need the same tables.
const MOST: usize = 64;
/// Hops of a request that does not say (RFC 3261 §16.6 item 3).
const HOPS: u8 = 70;
/// What of a text goes along with its body.
const PASSED: [Name; 4] = [Name::ContentType, Name::ContentLanguage, Name::Date, Name::Subject];

/// A text that waits for its answer.
#[derive(Debug)]
struct Relay {
    /// Without its body.
    request: Box<Request>,
    tag: String,
    /// Contacts that have not answered.
    waiting: usize,
    /// The refusal that says most.
    refusal: Option<Status>,
    until: Mono,
}

/// Texts under way.
#[derive(Debug, Default)]
pub(super) struct Relays(BTreeMap<ServerId, Relay>);

impl Relays {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next one is answered whatever was heard.
    pub(super) fn next(&self) -> Option<(Mono, &'static str)> {
        self.0.values().map(|relay| (relay.until, "a text is given up")).min()
    }

    /// Nobody waits for its answer any more.
    pub(super) fn forget(&mut self, server: ServerId) {
        self.0.remove(&server);
    }
}

impl Agent {
    /// A MESSAGE outside of dialogs.
    pub(super) fn paged(&mut self, server: ServerId, request: Box<Request>, route: Route, tag: &str) {
        if self.trunk_of(&request, route).is_some() {
            return self.core.refuse(server, &request, Status::METHOD_NOT_ALLOWED, tag);
        }
        let auth = self.core.registrar.authenticate(&request, route, tag, self.core.now);
        let Some(sender) = self.phone_or_answer(auth, server, &request, route) else { return };
        let cx = &mut self.core;
        let Some(sender) = cx.devices.get(&sender).cloned() else { return };
        if let Some(refusal) = unfit(cx, &request, tag) {
            cx.respond(server, &refusal);
            return;
        }
        let Some(ways) = cx.page_ways(&request, &sender, route) else {
            return cx.refuse(server, &request, Status::NOT_FOUND, tag);
        };
        if cx.relays.len() >= MOST {
            let wait = cx.settings.timers.retry_after.as_secs().to_string();
            let response = cx.response(&request, Status::SERVICE_UNAVAILABLE, tag);
            cx.respond(server, &response.with(Name::RetryAfter, &wait));
            return;
        }
        cx.relay(server, request, (tag, &sender), ways);
    }
}

impl Core {
    /// The contacts that a text goes to, its own sender's left out; `None` when nobody has that name or number.
    fn page_ways(&self, request: &Request, sender: &DeviceSetup, from: Route) -> Option<Vec<Way>> {
        let dialled = identity::dialled(&request.uri);
        let user = request.uri.user().unwrap_or_default();
        let of_shop = || self.devices.values().filter(|d| d.shop == sender.shop);
        // As when dialled: a number is first of all an extension, which several phones may have.
        let mut asked: Vec<&DeviceSetup> =
            of_shop().filter(|d| d.extension.as_deref() == Some(dialled.as_str())).collect();
        if asked.is_empty() {
            asked = of_shop().filter(|d| d.login.username == user).collect();
        }
        let contacts = |device: &&DeviceSetup| {
            let all = self.registrar.contacts(&device.id, self.now);
            let own = device.id == sender.id;
            all.into_iter().filter(move |b| !own || !is_there(b, from)).map(Way::of)
        };
        (!asked.is_empty()).then(|| asked.iter().flat_map(contacts).collect())
    }

    /// Sends a text to each contact.
    fn relay(
        &mut self,
        server: ServerId,
        mut request: Box<Request>,
        (tag, sender): (&str, &DeviceSetup),
        ways: Vec<Way>,
    ) {
        let mut waiting = 0;
        for way in ways {
            let route = way.route;
            let page = self.page(&request, sender, way);
            waiting += usize::from(self.send(page, route, Owner::Page { server }).is_some());
        }
        request.body = Vec::new();
        // T2 before nobody waits any more: time for the answer to come again.
        let timers = &self.settings.timers;
        let until = self.now.mono + timers.give_up().saturating_sub(timers.t2);
        let relay = Relay { request, tag: tag.to_owned(), waiting, refusal: None, until };
        if waiting == 0 {
            return self.page_over(server, &relay, Status::UNAVAILABLE);
        }
        self.relays.0.insert(server, relay);
    }

    /// A request of our own with what the sender wrote.
    fn page(&mut self, request: &Request, sender: &DeviceSetup, way: Way) -> Request {
        let user = sender.extension.as_ref().unwrap_or(&sender.login.username);
        let who = Identity {
            address: Some(Address::Short(user.clone())),
            display: sender.name.clone(),
            private: false,
        };
        let mut from = identity::on_phone(&who, Host::Ip(way.route.local.ip()));
        from.set_tag(&self.new_tag());
        let head = Head {
            via: dialog::via(way.route),
            via_below: Vec::new(),
            from,
            to: NameAddr::new(way.uri.clone()),
            call_id: self.new_call_id(),
            cseq: CSeq::new(1, Method::Message),
        };
        let mut page = Request::new(Method::Message, way.uri, head);
        let hops = request.headers.max_forwards().ok().flatten().unwrap_or(HOPS);
        page.headers.set(Name::MaxForwards, &hops.saturating_sub(1).to_string());
        page.headers.push(Name::UserAgent, &self.settings.product);
        for route in &way.path {
            page.headers.push(Name::Route, route);
        }
        for header in request.headers.iter().filter(|h| PASSED.contains(&h.name)) {
            page.headers.push_header(header.clone());
        }
        page.body.clone_from(&request.body);
        page
    }

    /// A contact has answered, or will not.
    pub(super) fn page_answered(&mut self, server: ServerId, response: Option<&Response>) {
        let Some(relay) = self.relays.0.get_mut(&server) else { return };
        let status = response.map_or(Status::UNAVAILABLE, |r| r.status);
        relay.waiting = relay.waiting.saturating_sub(1);
        let refusal = passed_on(status);
        if relay.refusal.is_none_or(|best| rank(refusal) > rank(best)) {
            relay.refusal = Some(refusal);
        }
        if !status.is_success() && relay.waiting > 0 {
            return;
        }
        let Some(relay) = self.relays.0.remove(&server) else { return };
        let answer = if status.is_success() { status } else { relay.refusal.unwrap_or(refusal) };
        self.page_over(server, &relay, answer);
    }

    fn page_over(&mut self, server: ServerId, relay: &Relay, status: Status) {
        let mut response = self.response(&relay.request, status, &relay.tag);
        if status == Status::UNSUPPORTED_MEDIA_TYPE {
            response.headers.push(Name::Accept, TYPES[0]);
        }
        self.respond(server, &response);
    }

    /// Answers what has waited long enough: RFC 4320 §4.2 wants an answer in time or none.
    pub(super) fn relays_due(&mut self) {
        let now = self.now.mono;
        self.give_up_relays(|relay| relay.until <= now);
    }

    /// Answers all that wait, for a shutdown.
    pub(super) fn stop_relays(&mut self) {
        self.give_up_relays(|_| true);
    }

    fn give_up_relays(&mut self, which: impl Fn(&Relay) -> bool) {
        let due: Vec<ServerId> = self.relays.0.iter().filter(|(_, r)| which(r)).map(|(id, _)| *id).collect();
        for server in due {
            if let Some(relay) = self.relays.0.remove(&server) {
                self.page_over(server, &relay, relay.refusal.unwrap_or(Status::UNAVAILABLE));
            }
        }
    }
}

/// Why a text goes nowhere, whoever it is for.
fn unfit(cx: &Core, request: &Request, tag: &str) -> Option<Response> {
    if request.body.len() > LARGEST {
        return Some(cx.response(request, Status::ENTITY_TOO_LARGE, tag));
    }
    let refused = || cx.response(request, Status::UNSUPPORTED_MEDIA_TYPE, tag);
    if is_encoded(&request.headers) {
        return Some(refused().with(Name::AcceptEncoding, "identity"));
    }
    let kind = request.headers.content_type().ok().flatten();
    let known = kind.is_some_and(|kind| TYPES.iter().any(|known| kind.is(known)));
    let fits = known || (request.body.is_empty() && !request.headers.has(&Name::ContentType));
    (!fits).then(|| refused().with(Name::Accept, &TYPES.join(", ")))
}

/// Whether a contact of the sender is where it sends from; a long text may have come by a stream of its own.
fn is_there(binding: &Binding, from: Route) -> bool {
    let (there, here) = (binding.route.hop, from.hop);
    there == here || (there.addr.ip() == here.addr.ip() && there.transport != here.transport)
}

/// What the sender is told of a contact's refusal: challenges, detours and failures are not its business.
fn passed_on(status: Status) -> Status {
    match status.code() {
        403 | 413 | 415 | 486 | 488 | 600.. => status,
        _ => Status::UNAVAILABLE,
    }
}

/// Of several refusals the one that says most is told (RFC 3261 §16.7 item 6).
fn rank(status: Status) -> u8 {
    match status.code() {
        600.. => 3,
        413 | 415 | 488 => 2,
        403 | 486 => 1,
        _ => 0,
    }
}
