//! Phones that register here (RFC 3261 §10.3): who they are (§22), their bindings until these expire, Path as given
//! (RFC 3327), one binding for each flow of a phone that says which it is (RFC 5626 §6). A binding keeps the hop that
//! its REGISTER came from, so that a phone behind a NAT is reached where it can be.
//!
//! What strangers are told does not depend on whether a user exists: each answer is a challenge. Absent: the checks
//! that every request passes first (`gate`), dialogs, and third-party registration: a device changes its own bindings.

#[cfg(test)]
mod tests;

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::api::{Binding, DeviceSetup, Offence, Route};
use crate::sip::digest::{Server, ServerSettings, Verdict};
use crate::sip::message::{Contacts, Name, NameAddr, Request, Response, Status};
use crate::sip::transaction::Hop;
use crate::sip::uri::Uri;
use crate::types::{Deadlines, DeviceId, Mono, Now, Wall};

/// What a phone is granted when it does not say (RFC 3261 §10.2.1.1 leaves it to the registrar).
const USUAL_EXPIRES: u32 = 3600;
/// RFC 3261 §10.3: nobody who asks for an hour or more is told that it is too brief.
const HOUR: u32 = 3600;
/// How much of a User-Agent is kept.
const AGENT_CHARS: usize = 120;
/// Challenges that a source may leave unanswered before it counts as probing; a NAT with phones behind it has some.
const UNANSWERED: u32 = 16;
/// Sources whose unanswered challenges are counted; with more the count starts again.
const SOURCES: usize = 4096;
/// An unanswered challenge is forgotten after this.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What a phone may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The shortest registration; less is answered 423.
    pub least: Duration,
    /// The longest; more is cut down.
    pub most: Duration,
    /// Contacts at a time; one too many drops the one that ends first.
    pub contacts: usize,
}

/// A device's bindings are now these.
pub(super) type Changed = (DeviceId, Vec<Binding>);

/// What became of a REGISTER.
#[derive(Debug)]
pub(super) struct Registered {
    /// To be sent.
    pub response: Response,
    /// To be kept over a restart; said when it would matter there.
    pub bindings: Option<Changed>,
    /// Who asked behaves badly.
    pub offence: Option<Offence>,
}

/// Who sent a request.
#[derive(Debug)]
pub(super) enum Auth {
    /// This phone.
    Device(DeviceId),
    /// Nobody yet: a challenge is to be sent. The offence counts when a source lets many of them stand.
    Challenge(Box<Response>, Option<Offence>),
    /// A wrong password or no such user, which are answered alike.
    Refused(Box<Response>, Offence),
}

#[derive(Debug)]
struct Device {
    setup: DeviceSetup,
    held: Vec<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    binding: Binding,
    until: Mono,
    /// When it ends according to what was last said to be kept.
    kept_until: Mono,
}

/// Why a REGISTER by a known device changes nothing.
enum Refusal {
    /// The To is somebody else's.
    NotYours,
    /// Contact, or `*` beside an expiry that is not 0 (§10.3 step 6).
    Malformed(&'static str),
    /// Less than the least.
    TooBrief,
    /// A later REGISTER of the same Call-ID was here already (§10.3 step 7).
    OutOfOrder,
    /// More contacts in one request than a device may have.
    TooMany,
    /// RFC 5626 §6: a proxy that knows nothing of flows is between.
    FirstHop,
}

/// All devices and their bindings.
#[derive(Debug)]
pub(super) struct Registrar {
    digest: Server,
    limits: Limits,
    /// By user name.
    devices: BTreeMap<String, Device>,
    users: BTreeMap<DeviceId, String>,
    /// When the first binding of each user ends.
    queue: Deadlines<String>,
    unanswered: BTreeMap<IpAddr, (u32, Mono)>,
}

/// One contact of a REGISTER, with what is asked for it.
struct Asked {
    contact: Uri,
    seconds: u32,
    q: u16,
    instance: Option<String>,
    reg_id: Option<u32>,
}

impl Registrar {
    /// Nobody is known yet. `key` is 32 secret bytes that were never used before.
    pub(super) fn new(digest: ServerSettings, limits: Limits, key: [u8; 32]) -> Self {
        Self {
            digest: Server::new(digest, key),
            limits,
            devices: BTreeMap::new(),
            users: BTreeMap::new(),
            queue: Deadlines::default(),
            unanswered: BTreeMap::new(),
        }
    }

    /// The phones are now these. Those that are gone or have another login lose their bindings, which is told.
    pub(super) fn set_devices(&mut self, setups: Vec<DeviceSetup>) -> Vec<Changed> {
        let mut before = std::mem::take(&mut self.devices);
        self.users.clear();
        let mut lost: BTreeSet<DeviceId> = before.values().map(|d| d.setup.id.clone()).collect();
        for setup in setups {
            let same = |d: &Device| d.setup.id == setup.id && d.setup.login == setup.login;
            let device = match before.remove(&setup.login.username).filter(same) {
                Some(kept) => {
                    lost.remove(&setup.id);
                    Device { setup, ..kept }
                }
                None => Device { setup, held: Vec::new() },
            };
            self.users.insert(device.setup.id.clone(), device.setup.login.username.clone());
            self.devices.insert(device.setup.login.username.clone(), device);
        }
        self.queue = Deadlines::default();
        for (user, device) in &self.devices {
            if let Some(end) = device.first_end() {
                self.queue.set(user.clone(), end);
            }
        }
        lost.into_iter().map(|id| (id, Vec::new())).collect()
    }

    /// What was kept of a phone before a restart. What has expired since is left out; while the clock is not sure,
    /// it is believed for no longer than a phone would be granted.
    pub(super) fn restore(&mut self, id: &DeviceId, bindings: Vec<Binding>, now: Now) {
        let Some(user) = self.users.get(id).cloned() else { return };
        let Some(device) = self.devices.get_mut(&user) else { return };
        for binding in bindings {
            let mut left = binding.expires.since(now.wall).min(self.limits.most);
            if !now.wall_sure {
                left = left.max(self.limits.least);
            }
            if !left.is_zero() && device.held.len() < self.limits.contacts {
                let until = now.mono + left;
                device.held.push(Held { binding, until, kept_until: until });
            }
        }
        self.reschedule(&user);
    }

    /// Who sent a request that is no ACK, no CANCEL and no REGISTER. `tag` is for the response.
    pub(super) fn authenticate(&mut self, request: &Request, from: Route, tag: &str, now: Now) -> Auth {
        match self.check(request, from, tag, now) {
            Ok(user) => match self.devices.get(&user) {
                Some(device) => Auth::Device(device.setup.id.clone()),
                None => self.challenge(request, tag, false, now).into(),
            },
            Err(auth) => auth,
        }
    }

    /// Answers a REGISTER. `tag` is for the response.
    pub(super) fn handle_register(
        &mut self,
        request: &Request,
        from: Route,
        tag: &str,
        now: Now,
    ) -> Registered {
        let user = match self.check(request, from, tag, now) {
            Ok(user) => user,
            Err(Auth::Challenge(response, offence)) => {
                return Registered { response: *response, bindings: None, offence };
            }
            Err(Auth::Refused(response, offence)) => {
                return Registered { response: *response, bindings: None, offence: Some(offence) };
            }
            Err(Auth::Device(_)) => return self.refused(request, tag, &Refusal::NotYours),
        };
        match self.update(&user, request, from, now) {
            Ok(changed) => Registered {
                response: self.accepted(&user, request, tag, now),
                bindings: changed.then(|| self.changed(&user, now)).flatten(),
                offence: None,
            },
            Err(refusal) => self.refused(request, tag, &refusal),
        }
    }

    /// A phone's bindings, the preferred first.
    pub(super) fn contacts(&self, id: &DeviceId, now: Now) -> Vec<Binding> {
        let Some(device) = self.users.get(id).and_then(|user| self.devices.get(user)) else {
            return Vec::new();
        };
        let mut all: Vec<_> =
            device.held.iter().filter(|h| h.until > now.mono).map(|h| h.told(now)).collect();
        all.sort_by_key(|b| core::cmp::Reverse(b.q));
        all
    }

    /// A stream broke. Bindings that it alone led to are gone (RFC 5626 §5.3); a phone that can be connected to at
    /// its contact is kept.
    pub(super) fn handle_transport_error(&mut self, hop: Hop, now: Now) -> Vec<Changed> {
        if !hop.transport.is_reliable() {
            return Vec::new();
        }
        let mut changed = Vec::new();
        let dead = |h: &Held| h.binding.route.hop == hop && !listens_at(&h.binding.contact, hop);
        let users: Vec<String> =
            self.devices.iter().filter(|(_, d)| d.held.iter().any(dead)).map(|(u, _)| u.clone()).collect();
        for user in users {
            if let Some(device) = self.devices.get_mut(&user) {
                device.held.retain(|h| !dead(h));
            }
            self.reschedule(&user);
            changed.extend(self.changed(&user, now));
        }
        changed
    }

    /// When [`Registrar::handle_timeout`] is wanted, and what for.
    pub(super) fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.queue.next().map(|(at, _)| (at, "a phone's registration ends"))
    }

    /// Lets bindings go that have expired; tells whose.
    pub(super) fn handle_timeout(&mut self, now: Now) -> Vec<Changed> {
        let mut changed = Vec::new();
        while let Some(user) = self.queue.take_due(now.mono) {
            if let Some(device) = self.devices.get_mut(&user) {
                device.held.retain(|h| h.until > now.mono);
            }
            self.reschedule(&user);
            changed.extend(self.changed(&user, now));
        }
        changed
    }

    /// The user whose credentials a request has, or what to answer.
    fn check(&mut self, request: &Request, from: Route, tag: &str, now: Now) -> Result<String, Auth> {
        let source = from.hop.addr.ip();
        let credentials = request.headers.auth(&Name::Authorization);
        let Some(given) = self.digest.ours(&credentials) else {
            let offence = self.count_unanswered(source, now.mono);
            return Err(Auth::Challenge(Box::new(self.challenge(request, tag, false, now)), offence));
        };
        let user = given.get("username").unwrap_or_default();
        let password = self.devices.get(&user).map(|d| d.setup.login.password.as_str());
        match self.digest.verify(given, &request.method, &request.uri, password, now.mono) {
            Verdict::Accepted => {
                self.unanswered.remove(&source);
                Ok(user)
            }
            Verdict::Stale => Err(Auth::Challenge(Box::new(self.challenge(request, tag, true, now)), None)),
            Verdict::Refused => {
                let response = self.challenge(request, tag, false, now);
                Err(Auth::Refused(Box::new(response), Offence::BadLogin))
            }
        }
    }

    fn challenge(&mut self, request: &Request, tag: &str, stale: bool, now: Now) -> Response {
        let mut response = Response::to(request, Status::UNAUTHORIZED, tag);
        for challenge in self.digest.challenge(stale, now.mono) {
            response.headers.push(Name::WwwAuthenticate, &challenge.to_string());
        }
        response
    }

    fn count_unanswered(&mut self, source: IpAddr, now: Mono) -> Option<Offence> {
        if self.unanswered.len() >= SOURCES && !self.unanswered.contains_key(&source) {
            self.unanswered.clear();
        }
        let (count, since) = self.unanswered.entry(source).or_insert((0, now));
        if now.since(*since) > FORGOTTEN {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        (*count > UNANSWERED).then_some(Offence::Probe)
    }

    /// Takes the contacts of a REGISTER, all or none. Whether it matters after a restart.
    fn update(&mut self, user: &str, request: &Request, from: Route, now: Now) -> Result<bool, Refusal> {
        if request.head.to.uri.user().as_deref() != Some(user) {
            return Err(Refusal::NotYours);
        }
        let header = request.headers.expires().unwrap_or(Some(USUAL_EXPIRES));
        let contacts = match request.headers.contacts() {
            Ok(Contacts::All) if header == Some(0) => None,
            Ok(Contacts::These(contacts)) => Some(contacts),
            Ok(Contacts::All) => return Err(Refusal::Malformed("Contact * without Expires: 0")),
            Err(_) => return Err(Refusal::Malformed("malformed Contact")),
        };
        let Some(device) = self.devices.get_mut(user) else { return Err(Refusal::NotYours) };
        let before = device.held.len();
        device.held.retain(|h| h.until > now.mono);
        let mut matters = device.held.len() != before;
        match contacts {
            None => {
                if device.held.iter().any(|h| h.is_later_than(request)) {
                    return Err(Refusal::OutOfOrder);
                }
                matters |= !device.held.is_empty();
                device.held.clear();
            }
            Some(contacts) if contacts.is_empty() => {}
            Some(contacts) => {
                let asked = read_contacts(&contacts, header, request, &self.limits)?;
                matters |= device.take(asked, request, from, now, &self.limits)?;
            }
        }
        if matters {
            device.held.iter_mut().for_each(|h| h.kept_until = h.until);
        }
        self.reschedule(user);
        Ok(matters)
    }

    fn accepted(&self, user: &str, request: &Request, tag: &str, now: Now) -> Response {
        let mut response = Response::to(request, Status::OK, tag);
        let held = self.devices.get(user).map_or(&[][..], |d| d.held.as_slice());
        for one in held {
            response.headers.push(Name::Contact, &one.as_contact(now.mono).to_string());
        }
        for path in request.headers.all(&Name::Path) {
            response.headers.push(Name::Path, path);
        }
        if held.iter().any(|h| h.binding.reg_id.is_some()) && speaks_outbound(request) {
            response.headers.push(Name::Require, "outbound");
        }
        response.headers.push(Name::Supported, "path, outbound");
        if let Some(date) = now.wall_sure.then(|| date(now.wall)).flatten() {
            response.headers.push(Name::Date, &date);
        }
        response
    }

    fn refused(&self, request: &Request, tag: &str, why: &Refusal) -> Registered {
        let answer = |status| Response::to(request, status, tag);
        let response = match why {
            Refusal::NotYours | Refusal::TooMany => answer(Status::FORBIDDEN),
            Refusal::Malformed(what) => {
                Response { reason: format!("Bad Request: {what}"), ..answer(Status::BAD_REQUEST) }
            }
            Refusal::TooBrief => answer(Status::INTERVAL_TOO_BRIEF)
                .with(Name::MinExpires, &self.limits.least.as_secs().to_string()),
            Refusal::OutOfOrder => answer(Status::SERVER_ERROR),
            Refusal::FirstHop => answer(Status::FIRST_HOP_LACKS_OUTBOUND),
        };
        let offence = matches!(why, Refusal::NotYours).then_some(Offence::Foreign);
        Registered { response, bindings: None, offence }
    }

    fn changed(&self, user: &str, now: Now) -> Option<Changed> {
        let device = self.devices.get(user)?;
        Some((device.setup.id.clone(), device.held.iter().map(|h| h.told(now)).collect()))
    }

    fn reschedule(&mut self, user: &str) {
        match self.devices.get(user).and_then(Device::first_end) {
            Some(end) if self.queue.get(user) == Some(end) => {}
            Some(end) => self.queue.set(user.to_owned(), end),
            None => {
                self.queue.cancel(user);
            }
        }
    }
}

impl Device {
    /// When the first of its bindings ends.
    fn first_end(&self) -> Option<Mono> {
        self.held.iter().map(|h| h.until).min()
    }

    /// Puts contacts in, replaces, removes. Whether it matters after a restart.
    fn take(
        &mut self,
        asked: Vec<Asked>,
        request: &Request,
        from: Route,
        now: Now,
        limits: &Limits,
    ) -> Result<bool, Refusal> {
        let stale = |a: &Asked| self.held.iter().any(|h| h.is_of(a) && h.is_later_than(request));
        if asked.iter().any(stale) {
            return Err(Refusal::OutOfOrder);
        }
        let mut matters = false;
        for one in asked {
            matters |= match one.seconds {
                0 => self.remove(&one),
                _ => self.put(one, request, from, now, limits),
            };
        }
        let of_this = |h: &Held| h.binding.call_id == request.head.call_id;
        while self.held.len() > limits.contacts {
            let soonest = self.held.iter().enumerate().min_by_key(|(_, h)| (of_this(h), h.until));
            let Some((at, _)) = soonest else { break };
            self.held.remove(at);
            matters = true;
        }
        Ok(matters)
    }

    fn remove(&mut self, asked: &Asked) -> bool {
        let before = self.held.len();
        self.held.retain(|h| !h.is_of(asked));
        self.held.len() != before
    }

    fn put(&mut self, asked: Asked, request: &Request, from: Route, now: Now, limits: &Limits) -> bool {
        let granted = Duration::from_secs(asked.seconds.into()).min(limits.most);
        let until = now.mono + granted;
        let mut agent = request.headers.get(&Name::UserAgent).map(str::to_owned);
        if let Some(text) = &mut agent
            && let Some((end, _)) = text.char_indices().nth(AGENT_CHARS)
        {
            text.truncate(end);
        }
        let place = self.held.iter().position(|h| h.is_of(&asked));
        let binding = Binding {
            contact: asked.contact,
            route: from,
            call_id: request.head.call_id.clone(),
            cseq: request.head.cseq.number,
            expires: now.wall + granted,
            q: asked.q,
            path: request.headers.all(&Name::Path).map(str::to_owned).collect(),
            instance: asked.instance,
            reg_id: asked.reg_id,
            agent,
        };
        let new = Held { binding, until, kept_until: until };
        let before = self.held.len();
        let matters = match place.and_then(|at| self.held.get_mut(at)) {
            Some(old) => {
                let ends_early = until.since(old.kept_until) > granted / 2;
                let matters = ends_early || !old.binding.is_kept_as(&new.binding);
                old.binding.renew(&new.binding);
                old.until = new.until;
                matters
            }
            None => {
                self.held.push(new.clone());
                true
            }
        };
        let kept = self.held.len();
        self.held.retain(|h| !h.is_older_self_of(&new));
        matters || self.held.len() != kept || self.held.len() != before
    }
}

impl Held {
    /// Whether a REGISTER speaks of this binding: of the flow if both name it, else of the address.
    fn is_of(&self, asked: &Asked) -> bool {
        let flow = asked.reg_id.is_some()
            && self.binding.reg_id == asked.reg_id
            && self.binding.instance == asked.instance;
        flow || self.binding.contact.same_as(&asked.contact)
    }

    /// §10.3 step 7: the order within a Call-ID.
    fn is_later_than(&self, request: &Request) -> bool {
        self.binding.call_id == request.head.call_id && self.binding.cseq >= request.head.cseq.number
    }

    /// Whether this is what the phone of a newer binding had before it was started anew: another Call-ID, and the
    /// same instance, or the same far end of the same transport, behind which there cannot be two.
    fn is_older_self_of(&self, new: &Self) -> bool {
        let (old, new) = (&self.binding, &new.binding);
        let instance = new.instance.is_some() && old.instance == new.instance && old.reg_id == new.reg_id;
        let place = old.route.hop == new.route.hop && old.path.is_empty() && new.path.is_empty();
        old.call_id != new.call_id && (instance || place)
    }

    /// As it is kept and shown: the end by the wall clock is counted anew, since that clock may have been set.
    fn told(&self, now: Now) -> Binding {
        Binding { expires: now.wall + self.until.since(now.mono), ..self.binding.clone() }
    }

    fn as_contact(&self, now: Mono) -> NameAddr {
        let seconds = self.until.since(now).as_millis().div_ceil(1000).to_string();
        let mut contact = NameAddr::new(self.binding.contact.clone()).with("expires", Some(&seconds));
        if self.binding.q != 1000 {
            contact.params.set("q", Some(&format!("0.{:03}", self.binding.q)));
        }
        if let Some(instance) = &self.binding.instance {
            contact.params.set("+sip.instance", Some(instance));
        }
        if let Some(reg_id) = self.binding.reg_id {
            contact.params.set("reg-id", Some(&reg_id.to_string()));
        }
        contact
    }
}

impl Binding {
    /// Whether all is equal that matters after a restart, the end left aside.
    fn is_kept_as(&self, other: &Self) -> bool {
        self.contact == other.contact
            && self.route == other.route
            && self.q == other.q
            && self.path == other.path
            && self.instance == other.instance
            && self.reg_id == other.reg_id
            && self.agent == other.agent
    }
}

fn read_contacts(
    contacts: &[NameAddr],
    header: Option<u32>,
    request: &Request,
    limits: &Limits,
) -> Result<Vec<Asked>, Refusal> {
    let least = u32::try_from(limits.least.as_secs()).unwrap_or(u32::MAX).min(HOUR);
    let outbound = speaks_outbound(request);
    let mut all = Vec::new();
    for contact in contacts {
        let seconds = contact.expires().or(header).unwrap_or(USUAL_EXPIRES);
        if seconds != 0 && seconds < least {
            return Err(Refusal::TooBrief);
        }
        let instance = contact.params.text("+sip.instance").filter(|i| !i.is_empty());
        let reg_id = contact.params.get("reg-id").and_then(|id| id.parse().ok());
        let reg_id = reg_id.filter(|_| instance.is_some() && outbound);
        if reg_id.is_some() && !first_hop_knows_flows(request) {
            return Err(Refusal::FirstHop);
        }
        let contact_uri = as_target(&contact.uri).ok_or(Refusal::Malformed("Contact is no SIP address"))?;
        all.push(Asked { contact: contact_uri, seconds, q: contact.q(), instance, reg_id });
    }
    if all.iter().filter(|a| a.seconds > 0).count() > limits.contacts {
        return Err(Refusal::TooMany);
    }
    Ok(all)
}

/// A contact without what a Request-URI may not have (§19.1.1); `None` for a scheme that nobody here can send to.
fn as_target(uri: &Uri) -> Option<Uri> {
    let mut sip = uri.sip()?.clone();
    sip.headers.clear();
    sip.params.remove("method");
    Some(sip.into())
}

fn speaks_outbound(request: &Request) -> bool {
    request.headers.lists_option(&Name::Supported, "outbound")
        || request.headers.lists_option(&Name::Require, "outbound")
}

/// RFC 5626 §6: either nobody is between, or the first proxy says `ob` in its Path.
fn first_hop_knows_flows(request: &Request) -> bool {
    let edge = || request.headers.routes(&Name::Path).ok()?.last()?.uri.sip().map(|uri| uri.params.has("ob"));
    request.head.via_below.is_empty() || edge().unwrap_or(false)
}

fn listens_at(contact: &Uri, hop: Hop) -> bool {
    let Uri::Sip(uri) = contact else { return false };
    uri.host.ip() == Some(hop.addr.ip()) && uri.port.unwrap_or(5060) == hop.addr.port()
}

/// RFC 3261 §20.17.
fn date(wall: Wall) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(wall.0).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

impl From<Response> for Auth {
    fn from(challenge: Response) -> Self {
        Self::Challenge(Box::new(challenge), None)
    }
}
