//! A call that goes out, from its INVITEs to the first 2xx: over a trunk from one address to the next, to a phone at
//! all its contacts at once. Forks, challenges, redirections, early media, PRACK (RFC 3262), and who is cancelled.

use std::collections::VecDeque;
use std::time::Duration;

use super::cause;
use super::dialog::{self, Dialog};
use super::gate::ALLOW;
use super::identity;
use super::leg::{Asked, Leg, Phase};
use super::refresh::{LEAST, Session};
use super::shared::{Core, Inside, Owner, SUPPORTED};
use super::sound::{SDP, described};
use super::talk::{Peer, Talk};
use super::timers::Timer;
use super::{Binding, FORKS, Output, Route};
use crate::sip::message::{CSeq, Contacts, Head, Method, Name, NameAddr, RAck, Request, Response, Status};
use crate::sip::transaction::{ClientId, Failure};
use crate::sip::uri::{Host, SipUri, Uri};
use crate::types::{Dialled, EndCause, Identity, LegEvent, Progress, Via};

/// Redirections that are followed, all together.
const REDIRECTIONS: u8 = 4;
/// An address of a trunk that says nothing for so many T1 is passed over when there is another.
const SILENT_T1: u32 = 8;

/// What call control dialled.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) target: Dialled,
    pub(super) identity: Identity,
    pub(super) ring_for: Option<Duration>,
    pub(super) emergency: bool,
    /// A trunk's addresses, or a phone's contacts.
    pub(super) ways: VecDeque<Way>,
}

/// One way to the far side.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) uri: Uri,
    pub(super) route: Route,
    /// Route headers.
    pub(super) path: Vec<String>,
}

impl Way {
    /// To a phone's contact.
    pub(super) fn of(binding: Binding) -> Self {
        Self { uri: binding.contact, route: binding.route, path: binding.path }
    }
}

/// INVITEs that are out.
#[derive(Debug)]
pub(super) struct Dialling {
    dial: Dial,
    body: Vec<u8>,
    attempts: Vec<Attempt>,
    told: Option<Progress>,
    worst: Option<(EndCause, Option<Duration>)>,
    redirections: u8,
}

/// One INVITE.
#[derive(Debug)]
struct Attempt {
    client: ClientId,
    /// As it was sent, without its body.
    invite: Request,
    way: Way,
    sent_by: Route,
    early: Vec<Early>,
    heard: bool,
    tried: Tried,
}

/// What was tried to get an INVITE through; each once.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// Credentials, so often.
    challenged: u8,
    /// A longer session interval.
    too_small: bool,
    /// A stream for its size.
    stream: bool,
}

/// A dialog that a provisional response began.
#[derive(Debug)]
struct Early {
    dialog: Dialog,
    /// The RSeq of the last reliable one.
    rseq: u32,
}

impl Dialling {
    /// Cancels whatever rings.
    pub(super) fn cancel(self, cx: &mut Core, cause: EndCause) {
        let reason = cause::cancel_reason(cause).to_string();
        for attempt in self.attempts {
            cx.tx.cancel(attempt.client, Some(&reason), cx.now);
        }
    }

    fn attempt(&mut self, id: ClientId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|a| a.client == id)
    }

    /// A dialog that a provisional response began.
    pub(super) fn dialog(&mut self, remote_tag: Option<&str>) -> Option<&mut Dialog> {
        let early = self.attempts.iter_mut().flat_map(|a| &mut a.early);
        early.map(|e| &mut e.dialog).find(|d| d.remote.tag() == remote_tag)
    }

    pub(super) fn has_dialog(&self, call_id: &str, remote_tag: &str) -> bool {
        let mut early = self.attempts.iter().flat_map(|a| &a.early);
        early.any(|e| e.dialog.is(call_id, Some(remote_tag)))
    }

    fn note(&mut self, cause: EndCause, retry_after: Option<Duration>) {
        if self.worst.as_ref().is_none_or(|(worst, _)| rank(cause) > rank(*worst)) {
            self.worst = Some((cause, retry_after));
        }
    }
}

/// Of several refusals the one that says most is told (RFC 3261 §16.7 item 6 has the idea).
fn rank(cause: EndCause) -> u8 {
    match cause {
        EndCause::Declined => 6,
        EndCause::Busy => 5,
        EndCause::BadNumber | EndCause::NoAnswer => 4,
        EndCause::Rejected | EndCause::NoCodec => 3,
        EndCause::Unavailable => 2,
        EndCause::Unreachable => 1,
        _ => 0,
    }
}

impl Leg {
    /// Its ports are open: the first INVITEs go out.
    pub(super) fn dial(&mut self, cx: &mut Core, mut dial: Dial) {
        let Ok(offer) = self.sound.offer() else { return self.refused(cx, EndCause::NoCodec, None) };
        let body = offer.to_bytes();
        let parallel = matches!(self.via, Via::Device(_));
        let first = if parallel { dial.ways.len() } else { 1 };
        let now: Vec<Way> = dial.ways.drain(..first.min(dial.ways.len())).collect();
        let mut dialling =
            Box::new(Dialling { dial, body, attempts: Vec::new(), told: None, worst: None, redirections: 0 });
        for way in now {
            self.invite(cx, &mut dialling, way);
        }
        self.go_on(cx, dialling);
    }

    /// Sends an INVITE; with nothing out and no way left, the leg is refused.
    fn invite(&mut self, cx: &mut Core, dialling: &mut Dialling, way: Way) {
        let tag = cx.new_tag();
        let call_id = cx.new_call_id();
        cx.tags.insert(tag.clone(), self.key);
        self.tags.push(tag.clone());
        let contact = cx.contact(&self.via, way.route);
        let mut request = self.first_invite(cx, &dialling.dial, &way, (&tag, call_id));
        let headers = &mut request.headers;
        headers.push(Name::Contact, &format!("<{contact}>"));
        headers.push(Name::Allow, ALLOW);
        headers.push(Name::Supported, SUPPORTED);
        headers.push(Name::SessionExpires, &cx.settings.session_expires.as_secs().to_string());
        headers.push(Name::MinSe, &LEAST.to_string());
        headers.push(Name::UserAgent, &cx.settings.product);
        if let Some(ring_for) = dialling.dial.ring_for {
            headers.push(Name::Expires, &ring_for.as_secs().max(1).to_string());
        }
        if dialling.dial.emergency {
            headers.push(Name::Priority, "emergency");
        }
        for route in &way.path {
            headers.push(Name::Route, route);
        }
        cx.authorize(self.via.line(), &mut request);
        self.send_invite(cx, dialling, request, way, Tried::default());
    }

    fn first_invite(&self, cx: &Core, dial: &Dial, way: &Way, (tag, call_id): (&str, String)) -> Request {
        let trunk = self.via.line().and_then(|line| cx.trunks.get(line));
        let (mut from, asserted) = match trunk {
            Some(trunk) => identity::on_trunk(&dial.identity, trunk),
            None => (identity::on_phone(&dial.identity, Host::Ip(way.route.local.ip())), Vec::new()),
        };
        from.set_tag(tag);
        let to = NameAddr::new(match (&way.uri, trunk) {
            (Uri::Sip(uri), Some(_)) => Uri::Sip(SipUri { params: Default::default(), ..uri.clone() }),
            (uri, _) => uri.clone(),
        });
        let head = Head {
            via: dialog::via(way.route),
            via_below: Vec::new(),
            from,
            to,
            call_id,
            cseq: CSeq::new(1, Method::Invite),
        };
        let mut request = Request::new(Method::Invite, way.uri.clone(), head);
        for (name, value) in asserted {
            request.headers.push(name, &value);
        }
        request
    }

    fn send_invite(
        &mut self,
        cx: &mut Core,
        dialling: &mut Dialling,
        mut invite: Request,
        way: Way,
        tried: Tried,
    ) {
        let size = || invite.to_bytes().len() + dialling.body.len();
        let route = if tried.stream { way.route } else { cx.way(&self.via, way.route, size) };
        invite.head.via = dialog::via(route);
        let request = invite.clone().with_body(SDP, dialling.body.clone());
        let owner = Owner::Invite { leg: self.key, route, line: self.via.line().cloned(), ended: Vec::new() };
        match cx.send(request, route, owner) {
            Some(client) => {
                dialling.attempts.push(Attempt {
                    client,
                    invite,
                    way,
                    sent_by: route,
                    early: Vec::new(),
                    heard: false,
                    tried,
                });
                if !dialling.dial.ways.is_empty() {
                    let wait = cx.settings.timers.t1.saturating_mul(SILENT_T1);
                    cx.timer(self.key, Timer::NextRoute, wait);
                }
            }
            None => dialling.note(EndCause::LineBusy, None),
        }
    }

    /// Keeps dialling, over the next address if need be, or gives up.
    fn go_on(&mut self, cx: &mut Core, mut dialling: Box<Dialling>) {
        while dialling.attempts.is_empty() {
            let Some(way) = dialling.dial.ways.pop_front() else {
                let (cause, after) = dialling.worst.unwrap_or((cause::lost(&self.via), None));
                return self.refused(cx, cause, after);
            };
            self.invite(cx, &mut dialling, way);
        }
        self.phase = Phase::Dialling(dialling);
    }

    pub(super) fn dialling_response(
        &mut self,
        cx: &mut Core,
        mut dialling: Box<Dialling>,
        id: ClientId,
        response: Response,
    ) {
        let Some(at) = dialling.attempts.iter().position(|a| a.client == id) else {
            // Passed over or cancelled before.
            super::stray_success(cx, id, &response);
            self.phase = Phase::Dialling(dialling);
            return;
        };
        match response.status.code() {
            0..200 => {
                self.provisional_response(cx, &mut dialling, id, &response);
                self.phase = Phase::Dialling(dialling);
            }
            200..300 => self.answered(cx, dialling, at, &response),
            code => {
                cx.timers.stop(self.key, Timer::NextRoute);
                let attempt = dialling.attempts.remove(at);
                match code {
                    401 | 407 => self.challenged(cx, &mut dialling, attempt, &response),
                    422 => self.too_small(cx, &mut dialling, attempt, &response),
                    300..=399 => self.redirected(cx, &mut dialling, &attempt, &response),
                    _ => self.refused_by(cx, &mut dialling, &response),
                }
                self.go_on(cx, dialling);
            }
        }
    }

    /// A final refusal of one attempt.
    fn refused_by(&mut self, cx: &mut Core, dialling: &mut Dialling, response: &Response) {
        let cause = cause::refused(response.status, &response.headers, &self.via);
        dialling.note(cause, cause::retry_after(&response.headers));
        match response.status.code() {
            // This server, not the number (RFC 3263 §4.3).
            503 => {}
            // Nobody at any of its addresses wants it.
            600.. => {
                dialling.dial.ways.clear();
                let reason = cause::cancel_reason(cause).to_string();
                for other in dialling.attempts.drain(..) {
                    cx.tx.cancel(other.client, Some(&reason), cx.now);
                }
            }
            _ => dialling.dial.ways.clear(),
        }
    }

    /// Once more with credentials, if there are any that were not refused already.
    fn challenged(&mut self, cx: &mut Core, dialling: &mut Dialling, attempt: Attempt, response: &Response) {
        let line = self.via.line().cloned();
        let mut invite = attempt.invite;
        let answered = line
            .is_some_and(|line| cx.answer_challenge(&line, &mut invite, response, attempt.tried.challenged));
        if !answered {
            return self.refused_by(cx, dialling, response);
        }
        invite.head.cseq.number += 1;
        self.send_invite(
            cx,
            dialling,
            invite,
            attempt.way,
            Tried { challenged: attempt.tried.challenged + 1, ..attempt.tried },
        );
    }

    /// RFC 4028 §7.1.
    fn too_small(&mut self, cx: &mut Core, dialling: &mut Dialling, attempt: Attempt, response: &Response) {
        let least = response.headers.min_se().ok().flatten();
        let Some(least) = least.filter(|_| !attempt.tried.too_small) else {
            return self.refused_by(cx, dialling, response);
        };
        let mut invite = attempt.invite;
        let wanted = u32::try_from(cx.settings.session_expires.as_secs()).unwrap_or(u32::MAX).max(least);
        invite.headers.set(Name::MinSe, &least.max(LEAST).to_string());
        invite.headers.set(Name::SessionExpires, &wanted.to_string());
        invite.head.cseq.number += 1;
        // A nonce's count moves on with each request.
        cx.authorize(self.via.line(), &mut invite);
        self.send_invite(cx, dialling, invite, attempt.way, Tried { too_small: true, ..attempt.tried });
    }

    /// RFC 3261 §8.1.3.4, toward the same trunk alone: nobody else's Contact makes the shop call where it will.
    fn redirected(&mut self, cx: &mut Core, dialling: &mut Dialling, attempt: &Attempt, response: &Response) {
        let trunk = self.via.line().and_then(|line| cx.trunks.get(line));
        let ours = |uri: &SipUri| {
            trunk.is_some_and(|t| match &uri.host {
                Host::Ip(ip) => t.owns(*ip) || identity::domain(&t.setup.domain).0 == uri.host,
                Host::Name(_) => identity::domain(&t.setup.domain).0.same_as(&uri.host),
            })
        };
        let contacts = match response.headers.contacts() {
            Ok(Contacts::These(contacts)) => contacts,
            Ok(Contacts::All) | Err(_) => Vec::new(),
        };
        let mut contacts: Vec<NameAddr> =
            contacts.into_iter().filter(|c| c.uri.sip().is_some_and(ours)).collect();
        contacts.sort_by_key(|c| std::cmp::Reverse(c.q()));
        let uri = contacts.into_iter().next().and_then(|c| c.uri.sip().cloned());
        let Some(uri) = uri.filter(|_| dialling.redirections < REDIRECTIONS) else {
            return self.refused_by(cx, dialling, response);
        };
        dialling.redirections += 1;
        let route = dialog::towards(&uri, attempt.way.route);
        let way = Way { uri: Uri::Sip(SipUri { headers: Vec::new(), ..uri }), route, path: Vec::new() };
        dialling.dial.ways.push_front(way);
    }

    fn provisional_response(
        &mut self,
        cx: &mut Core,
        dialling: &mut Dialling,
        id: ClientId,
        response: &Response,
    ) {
        cx.timers.stop(self.key, Timer::NextRoute);
        let Some(attempt) = dialling.attempt(id) else { return };
        attempt.heard = true;
        if response.status == Status::TRYING {
            return;
        }
        let flow = attempt.sent_by;
        let tag = response.head.to.tag();
        let known =
            tag.is_some().then(|| attempt.early.iter().position(|e| e.dialog.remote.tag() == tag)).flatten();
        let at = known.or_else(|| {
            let contact = cx.contact(&self.via, flow);
            let dialog = Dialog::calling(response, flow, contact).filter(|_| attempt.early.len() < FORKS)?;
            attempt.early.push(Early { dialog, rseq: 0 });
            Some(attempt.early.len() - 1)
        });
        let early = at.and_then(|at| attempt.early.get_mut(at));
        if let Some(early) = early {
            early.dialog.retarget(&response.headers);
            if !self.acknowledge_provisional(cx, early, response) {
                return;
            }
        }
        let source = flow.hop.addr.ip();
        let progress = match described(&response.headers, &response.body) {
            Ok(Some(answer)) if self.sound.take_answer(&answer, source).is_ok() => {
                self.set_media(cx, flow);
                Progress::EarlyMedia
            }
            // Media that may not be where it says it is: the final answer decides.
            Ok(Some(_)) | Err(_) => return,
            Ok(None) if response.status == Status::RINGING => Progress::Ringing,
            Ok(None) => return,
        };
        if dialling.told.is_none_or(|told| told < progress) {
            dialling.told = Some(progress);
            cx.say(&self.id, LegEvent::Progress(progress));
        }
    }

    /// PRACK for a reliable one (RFC 3262 §4). False for one that came before or came too early.
    fn acknowledge_provisional(&self, cx: &mut Core, early: &mut Early, response: &Response) -> bool {
        let rseq = response.headers.rseq().ok().flatten();
        let reliable = response.headers.lists_option(&Name::Require, "100rel");
        let Some(rseq) = rseq.filter(|_| reliable) else { return true };
        if early.rseq != 0 && early.rseq.checked_add(1) != Some(rseq) {
            return false;
        }
        early.rseq = rseq;
        let mut prack = early.dialog.request(Method::Prack);
        let rack = RAck { rseq, cseq: response.head.cseq.clone() };
        prack.headers.push(Name::RAck, &rack.to_string());
        cx.authorize(self.via.line(), &mut prack);
        let route = early.dialog.route();
        let again = cx.again(self.via.line(), &prack, route);
        cx.send(prack, route, Owner::Inside { leg: self.key, what: Inside::Prack, route, again });
        true
    }

    /// The first 2xx: the others are cancelled, and this one is the leg.
    fn answered(&mut self, cx: &mut Core, mut dialling: Box<Dialling>, at: usize, response: &Response) {
        cx.timers.stop_all(self.key);
        let attempt = dialling.attempts.remove(at);
        dialling.cancel(cx, EndCause::Elsewhere);
        let flow = attempt.sent_by;
        let contact = cx.contact(&self.via, flow);
        let tag = response.head.to.tag();
        let before = attempt.early.into_iter().find(|e| e.dialog.remote.tag() == tag);
        let Some(mut dialog) = Dialog::calling(response, flow, contact) else {
            // A 2xx without tag or Contact cannot be acknowledged where it is due.
            return self.refused(cx, EndCause::Unavailable, None);
        };
        let described_before = before.is_some() && self.sound.is_agreed();
        if let Some(before) = before {
            dialog.local_seq = before.dialog.local_seq.max(dialog.local_seq);
            dialog.remote_seq = before.dialog.remote_seq;
        }
        let cseq = response.head.cseq.number;
        let mut ack = dialog.ack(cseq);
        // RFC 3261 §13.2.2.4: with the INVITE's credentials.
        for credentials in attempt.invite.headers.iter().filter(|h| is_credentials(&h.name)) {
            ack.headers.push_header(credentials.clone());
        }
        let ack = cx.ack(ack, dialog.route());
        let agreed = match described(&response.headers, &response.body) {
            Ok(Some(answer)) => self.sound.take_answer(&answer, flow.hop.addr.ip()).is_ok(),
            Ok(None) => described_before,
            Err(_) => false,
        };
        let mut talk = Talk::new(dialog, Peer::of(&response.headers));
        talk.invite = Some(attempt.client);
        talk.ack = Some((cseq, ack));
        if !agreed {
            self.part(cx, Box::new(talk), Some(EndCause::NoCodec));
            return self.refused(cx, EndCause::NoCodec, None);
        }
        self.set_media(cx, flow);
        cx.say(&self.id, LegEvent::Answered);
        self.begin_session(cx, &mut talk, Session::granted(&response.headers));
        self.heard_hold(cx, &mut talk);
        self.phase = Phase::Up(Box::new(talk));
    }

    pub(super) fn dialling_failed(
        &mut self,
        cx: &mut Core,
        mut dialling: Box<Dialling>,
        id: ClientId,
        why: Failure,
    ) {
        let Some(at) = dialling.attempts.iter().position(|a| a.client == id) else {
            self.phase = Phase::Dialling(dialling);
            return;
        };
        cx.timers.stop(self.key, Timer::NextRoute);
        let attempt = dialling.attempts.remove(at);
        if why == Failure::Transport && attempt.sent_by != attempt.way.route {
            // A stream could not be had; the datagram may be cut to pieces and still arrive (RFC 3261 §18.1.1).
            let tried = Tried { stream: true, ..attempt.tried };
            self.send_invite(cx, &mut dialling, attempt.invite, attempt.way, tried);
            return self.go_on(cx, dialling);
        }
        let cause = match why {
            // Timer C: it rang for as long as anybody may.
            Failure::CancelUnanswered => EndCause::NoAnswer,
            Failure::Timeout | Failure::Transport => cause::lost(&self.via),
        };
        dialling.note(cause, None);
        if let (Via::Line(line), true) = (&self.via, dialling.dial.ways.is_empty()) {
            cx.output(Output::Resolve(line.clone()));
        }
        self.go_on(cx, dialling);
    }

    pub(super) fn dialling_timeout(&mut self, cx: &mut Core, mut dialling: Box<Dialling>, timer: Timer) {
        if timer == Timer::NextRoute && !dialling.dial.ways.is_empty() {
            for silent in dialling.attempts.extract_if(.., |a| !a.heard) {
                cx.tx.cancel(silent.client, None, cx.now);
            }
            dialling.note(cause::lost(&self.via), None);
        }
        self.go_on(cx, dialling);
    }

    /// A request inside a dialog that is not answered yet.
    pub(super) fn request_dialling(&mut self, cx: &mut Core, mut dialling: Box<Dialling>, asked: Asked) {
        let head = &asked.request.head;
        let ours = head.to.tag().unwrap_or_default().to_owned();
        let early = dialling
            .attempts
            .iter_mut()
            .flat_map(|a| &mut a.early)
            .find(|e| e.dialog.tag() == ours && e.dialog.is(&head.call_id, head.from.tag()));
        match early {
            None => super::no_dialog(cx, &asked),
            Some(early) => {
                if super::in_order(cx, &mut early.dialog, &asked) {
                    match asked.request.method {
                        Method::Update => self.update_dialling(cx, &mut early.dialog, &asked),
                        Method::Info => super::inside::info(cx, &self.id, &asked, &ours),
                        _ => super::answer_plain(cx, &asked, &ours),
                    }
                }
            }
        }
        self.phase = Phase::Dialling(dialling);
    }

    /// RFC 3311 §5.2: a further offer of theirs, once ours has its answer.
    fn update_dialling(&mut self, cx: &mut Core, dialog: &mut Dialog, asked: &Asked) {
        let tag = dialog.tag().to_owned();
        let mut response =
            cx.response_with_contact(&asked.request, Status::OK, &tag, &dialog.contact.clone());
        match described(&asked.request.headers, &asked.request.body) {
            Err(_) => return cx.refuse(asked.server, &asked.request, Status::BAD_REQUEST, &tag),
            Ok(Some(_)) if !self.sound.is_agreed() => {
                return cx.refuse(asked.server, &asked.request, Status::PENDING, &tag);
            }
            Ok(Some(offer)) => match self.sound.answer(&offer, asked.route.hop.addr.ip()) {
                Ok(answer) => response = response.with_body(SDP, answer.to_bytes()),
                Err(_) => return cx.refuse(asked.server, &asked.request, Status::NOT_ACCEPTABLE_HERE, &tag),
            },
            Ok(None) => {}
        }
        dialog.retarget(&asked.request.headers);
        cx.respond(asked.server, &response);
        self.set_media(cx, asked.route);
    }
}

fn is_credentials(name: &Name) -> bool {
    matches!(name, Name::Authorization | Name::ProxyAuthorization)
}
