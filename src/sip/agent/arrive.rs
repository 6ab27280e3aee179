//! A call that comes in, from its INVITE to our answer: ringing, early media, reliable provisional responses
//! (RFC 3262), CANCEL, and what the caller may ask before it is answered.

use std::time::Duration;

use super::Output;
use super::cause;
use super::dialog::Dialog;
use super::leg::{Asked, Leg, Phase};
use super::refresh::Session;
use super::shared::Core;
use super::sound::{SDP, SoundError, described};
use super::talk::{Peer, Talk, Unacked};
use super::timers::Timer;
use crate::sip::message::{Method, Name, RAck, Request, Response, Status};
use crate::sip::sdp::Description;
use crate::sip::transaction::ServerId;
use crate::types::{EndCause, LegCommand, LegEvent, Offer};

/// RFC 3261 §13.3.1.1.
const STILL_RINGS: Duration = Duration::from_secs(60);

/// An INVITE that has no final response yet.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) server: ServerId,
    /// Without its body.
    pub(super) request: Box<Request>,
    pub(super) dialog: Dialog,
    /// What they offered; until it is answered.
    pub(super) offered: Option<Description>,
    /// Our answer, or our offer when they made none.
    ours: Option<Description>,
    /// For call control, until it knows.
    pub(super) offer: Option<Offer>,
    pub(super) peer: Peer,
    pub(super) session: Option<Session>,
    /// They require reliable provisional responses.
    pub(super) reliable: bool,
    pending: Option<Pending>,
    /// The RSeq of the last one.
    rseq: u32,
    /// What is to be said as soon as the last one was acknowledged.
    next: Option<Say>,
    rings: bool,
    /// Our description went out reliably.
    settled: bool,
}

/// A reliable provisional response without PRACK.
#[derive(Debug)]
struct Pending {
    response: Box<Response>,
    rseq: u32,
    wait: Duration,
    /// It carries our offer, and the PRACK its answer.
    offers: bool,
    describes: bool,
}

/// What may be said to the caller, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Say {
    Rings,
    Early,
    Answer,
}

impl Arrival {
    /// `request` without its body.
    pub(super) fn new(server: ServerId, request: Box<Request>, dialog: Dialog) -> Self {
        let peer = Peer::of(&request.headers);
        let reliable = request.headers.lists_option(&Name::Require, "100rel");
        Self {
            server,
            request,
            dialog,
            offered: None,
            ours: None,
            offer: None,
            peer,
            session: None,
            reliable,
            pending: None,
            rseq: 0,
            next: None,
            rings: false,
            settled: false,
        }
    }

    /// Refuses it for a reason of ours.
    pub(super) fn refuse(self, cx: &mut Core, cause: EndCause) {
        let (status, reason) = cause::refusal(cause);
        let mut response = cx.response(&self.request, status, self.dialog.tag());
        response.headers.push(Name::Reason, &reason.to_string());
        if status == Status::SERVICE_UNAVAILABLE {
            let wait = cx.settings.timers.retry_after.as_secs();
            response.headers.push(Name::RetryAfter, &wait.to_string());
        }
        cx.servers.remove(&self.server);
        cx.respond(self.server, &response);
    }

    /// Refuses it with a status.
    pub(super) fn refuse_with(self, cx: &mut Core, status: Status) {
        cx.servers.remove(&self.server);
        cx.refuse(self.server, &self.request, status, self.dialog.tag());
    }

    /// 487.
    pub(super) fn terminate(self, cx: &mut Core) {
        self.refuse_with(cx, Status::TERMINATED);
    }

    fn provisional(&self, cx: &Core, status: Status) -> Response {
        cx.response_with_contact(&self.request, status, self.dialog.tag(), &self.dialog.contact)
    }
}

impl Leg {
    /// Its ports are open (or not): the offer is answered before anybody rings, and call control learns of the call.
    pub(super) fn arrived(&mut self, cx: &mut Core, mut arrival: Box<Arrival>, opened: Result<(), EndCause>) {
        if let Err(cause) = opened {
            cx.ids.remove(&self.id);
            return arrival.refuse(cx, cause);
        }
        let source = arrival.dialog.flow.hop.addr.ip();
        if let Some(offered) = arrival.offered.take() {
            match self.sound.answer(&offered, source) {
                Ok(answer) => arrival.ours = Some(answer),
                Err(_) => return self.unacceptable(cx, *arrival),
            }
        }
        let Some(offer) = arrival.offer.take() else { return self.unacceptable(cx, *arrival) };
        self.phase = Phase::Offered(arrival);
        cx.say(&self.id, LegEvent::Offered(offer));
    }

    /// Nothing in common; call control never knew.
    fn unacceptable(&mut self, cx: &mut Core, arrival: Arrival) {
        arrival.refuse_with(cx, Status::NOT_ACCEPTABLE_HERE);
        cx.ids.remove(&self.id);
        cx.output(Output::CloseMedia(self.id.clone()));
    }

    pub(super) fn command_offered(&mut self, cx: &mut Core, mut arrival: Box<Arrival>, command: LegCommand) {
        let say = match command {
            LegCommand::Ring => Say::Rings,
            LegCommand::EarlyMedia => Say::Early,
            LegCommand::Answer => Say::Answer,
            LegCommand::Dtmf(key) => {
                cx.output(Output::Press(self.id.clone(), key));
                self.phase = Phase::Offered(arrival);
                return;
            }
            LegCommand::Dial { .. }
            | LegCommand::Hold
            | LegCommand::Resume
            | LegCommand::Transfer(_)
            | LegCommand::Hangup { .. } => {
                self.phase = Phase::Offered(arrival);
                return;
            }
        };
        // RFC 3262 §3: one at a time; and no 2xx while a description is on its way in one.
        let waits = arrival.pending.as_ref().is_some_and(|p| say != Say::Answer || p.describes);
        if waits {
            arrival.next = arrival.next.max(Some(say));
            self.phase = Phase::Offered(arrival);
            return;
        }
        self.say_to_caller(cx, arrival, say);
    }

    fn say_to_caller(&mut self, cx: &mut Core, arrival: Box<Arrival>, say: Say) {
        match say {
            Say::Rings => self.provisional(cx, arrival, Status::RINGING, false),
            Say::Early => self.provisional(cx, arrival, Status::PROGRESS, true),
            Say::Answer => self.answer(cx, arrival),
        }
    }

    fn provisional(&mut self, cx: &mut Core, mut arrival: Box<Arrival>, status: Status, early: bool) {
        let late = arrival.ours.is_none() && !self.sound.is_agreed();
        let mut response = arrival.provisional(cx, status);
        // An offer of ours goes only where its answer can come back: in a reliable response (RFC 3262 §5).
        let describes = !arrival.settled && if late { arrival.reliable } else { early };
        if describes {
            if late {
                arrival.ours = self.sound.offer().ok();
            } else {
                self.set_media(cx, arrival.dialog.flow);
            }
            if let Some(ours) = &arrival.ours {
                response = response.with_body(SDP, ours.to_bytes());
            }
        }
        if arrival.reliable {
            // RFC 3262 §3: the first is chosen at will below 2^31, each further one is one more.
            arrival.rseq += 1;
            response.headers.push(Name::Require, "100rel");
            response.headers.push(Name::RSeq, &arrival.rseq.to_string());
            cx.respond(arrival.server, &response);
            let t1 = cx.settings.timers.t1;
            cx.timer(self.key, Timer::Reliable, t1);
            cx.timer(self.key, Timer::NoPrack, cx.settings.timers.give_up());
            let (rseq, offers) = (arrival.rseq, describes && late);
            let response = Box::new(response);
            arrival.pending = Some(Pending { response, rseq, wait: t1, offers, describes });
        } else {
            cx.respond(arrival.server, &response);
        }
        arrival.rings = true;
        cx.timer(self.key, Timer::Ringing, STILL_RINGS);
        self.phase = Phase::Offered(arrival);
    }

    /// 200.
    fn answer(&mut self, cx: &mut Core, mut arrival: Box<Arrival>) {
        cx.timers.stop_all(self.key);
        let late = arrival.ours.is_none() && !self.sound.is_agreed();
        if late {
            arrival.ours = self.sound.offer().ok();
        }
        let mut response = cx.response_with_contact(
            &arrival.request,
            Status::OK,
            arrival.dialog.tag(),
            &arrival.dialog.contact,
        );
        if let Some(ours) = arrival.ours.as_ref().filter(|_| !arrival.settled) {
            response = response.with_body(SDP, ours.to_bytes());
        }
        self.set_media(cx, arrival.dialog.flow);
        if let Some(session) = arrival.session {
            grant(&mut response, session, &arrival.peer);
        }
        cx.respond(arrival.server, &response);
        cx.servers.remove(&arrival.server);
        let Arrival { server, dialog, peer, session, request, .. } = *arrival;
        let mut talk = Talk::new(dialog, peer);
        talk.unacked =
            Some(Unacked::new(server, response, request.head.cseq.number, late, cx.settings.timers.t1));
        self.await_ack(cx);
        self.begin_session(cx, &mut talk, session);
        self.phase = Phase::Up(Box::new(talk));
    }

    /// A request of the caller before our answer.
    pub(super) fn request_early(&mut self, cx: &mut Core, mut arrival: Box<Arrival>, asked: Asked) {
        if !arrival.dialog.is(&asked.request.head.call_id, asked.request.head.from.tag()) {
            self.put_back(arrival);
            return super::no_dialog(cx, &asked);
        }
        if !super::in_order(cx, &mut arrival.dialog, &asked) {
            return self.put_back(arrival);
        }
        let tag = arrival.dialog.tag().to_owned();
        match asked.request.method {
            // Not how it should be done, but clear enough (RFC 3261 §15.1.2).
            Method::Bye => {
                cx.refuse(asked.server, &asked.request, Status::OK, &tag);
                let told = arrival.offer.is_none();
                arrival.terminate(cx);
                if told {
                    self.ended(cx, EndCause::Cancelled);
                } else {
                    cx.ids.remove(&self.id);
                }
            }
            Method::Prack => self.prack(cx, arrival, &asked),
            Method::Update => {
                self.update_early(cx, &mut arrival, &asked);
                self.put_back(arrival);
            }
            Method::Info => {
                super::inside::info(cx, &self.id, &asked, &tag);
                self.put_back(arrival);
            }
            // A second INVITE before the first is answered: RFC 3261 §14.2.
            Method::Invite => {
                super::busy(cx, &asked, &tag);
                self.put_back(arrival);
            }
            _ => {
                super::answer_plain(cx, &asked, &tag);
                self.put_back(arrival);
            }
        }
    }

    fn put_back(&mut self, arrival: Box<Arrival>) {
        self.phase = if arrival.offer.is_some() { Phase::Arriving(arrival) } else { Phase::Offered(arrival) };
    }

    /// RFC 3262 §3.
    fn prack(&mut self, cx: &mut Core, mut arrival: Box<Arrival>, asked: &Asked) {
        let tag = arrival.dialog.tag().to_owned();
        let rack = asked.request.headers.rack().ok().flatten();
        let ours = |p: &Pending| {
            rack.as_ref()
                .is_some_and(|RAck { rseq, cseq }| *rseq == p.rseq && *cseq == arrival.request.head.cseq)
        };
        let Some(pending) = arrival.pending.take_if(|p| ours(p)) else {
            cx.refuse(asked.server, &asked.request, Status::NO_TRANSACTION, &tag);
            return self.put_back(arrival);
        };
        cx.timers.stop(self.key, Timer::Reliable);
        cx.timers.stop(self.key, Timer::NoPrack);
        let mut response = cx.response(&asked.request, Status::OK, &tag);
        match self.prack_description(&pending, &arrival, asked) {
            Ok(Some(answer)) => response = response.with_body(SDP, answer.to_bytes()),
            Ok(None) => {}
            Err(_) => {
                cx.refuse(asked.server, &asked.request, Status::NOT_ACCEPTABLE_HERE, &tag);
                if pending.offers {
                    // Our offer has no answer, and there is no other way to one.
                    arrival.refuse_with(cx, Status::NOT_ACCEPTABLE_HERE);
                    return self.ended(cx, EndCause::NoCodec);
                }
                return self.put_back(arrival);
            }
        }
        arrival.settled |= pending.describes;
        cx.respond(asked.server, &response);
        self.set_media(cx, arrival.dialog.flow);
        match arrival.next.take() {
            Some(say) => self.say_to_caller(cx, arrival, say),
            None => self.put_back(arrival),
        }
    }

    /// The answer to our offer, or a further offer of theirs.
    fn prack_description(
        &mut self,
        pending: &Pending,
        arrival: &Arrival,
        asked: &Asked,
    ) -> Result<Option<Description>, SoundError> {
        let source = asked.route.hop.addr.ip();
        let body = described(&asked.request.headers, &asked.request.body)?;
        match body {
            Some(answer) if pending.offers => self.sound.take_answer(&answer, source).map(|()| None),
            None if pending.offers => Err(SoundError::NotOpen),
            Some(offer) if arrival.settled || pending.describes => {
                self.sound.answer(&offer, source).map(Some)
            }
            Some(_) => Err(SoundError::NotOpen),
            None => Ok(None),
        }
    }

    /// RFC 3311 §5.2 before the answer.
    fn update_early(&mut self, cx: &mut Core, arrival: &mut Arrival, asked: &Asked) {
        let tag = arrival.dialog.tag().to_owned();
        let source = asked.route.hop.addr.ip();
        let offer = match described(&asked.request.headers, &asked.request.body) {
            Ok(offer) => offer,
            Err(_) => return cx.refuse(asked.server, &asked.request, Status::BAD_REQUEST, &tag),
        };
        let contact = arrival.dialog.contact.clone();
        let mut response = cx.response_with_contact(&asked.request, Status::OK, &tag, &contact);
        if let Some(offer) = offer {
            if arrival.pending.as_ref().is_some_and(|p| p.offers) {
                return cx.refuse(asked.server, &asked.request, Status::PENDING, &tag);
            }
            if !arrival.settled {
                return super::busy(cx, asked, &tag);
            }
            match self.sound.answer(&offer, source) {
                Ok(answer) => response = response.with_body(SDP, answer.to_bytes()),
                Err(_) => return cx.refuse(asked.server, &asked.request, Status::NOT_ACCEPTABLE_HERE, &tag),
            }
        }
        arrival.dialog.retarget(&asked.request.headers);
        cx.respond(asked.server, &response);
        self.set_media(cx, asked.route);
    }

    pub(super) fn offered_timeout(&mut self, cx: &mut Core, mut arrival: Box<Arrival>, timer: Timer) {
        match timer {
            Timer::Ringing => {
                // A reliable one would want another PRACK; what is on its way says enough.
                if arrival.pending.is_none() && arrival.rings {
                    if arrival.reliable {
                        return self.provisional(cx, arrival, Status::RINGING, false);
                    }
                    let response = arrival.provisional(cx, Status::RINGING);
                    cx.respond(arrival.server, &response);
                }
                cx.timer(self.key, Timer::Ringing, STILL_RINGS);
            }
            Timer::Reliable => {
                if let Some(pending) = &mut arrival.pending {
                    cx.respond(arrival.server, &pending.response);
                    // RFC 3262 §3: doubles without a cap.
                    pending.wait = pending.wait.saturating_mul(2);
                    let wait = pending.wait;
                    cx.timer(self.key, Timer::Reliable, wait);
                }
            }
            Timer::NoPrack => {
                // RFC 3262 §3: a 5xx.
                arrival.refuse_with(cx, Status::SERVER_ERROR);
                let cause = cause::lost(&self.via);
                return self.ended(cx, cause);
            }
            Timer::Lapse => {
                // RFC 3261 §13.3.1 item 1.
                arrival.terminate(cx);
                return self.ended(cx, EndCause::Cancelled);
            }
            Timer::Again
            | Timer::NoAck
            | Timer::NextRoute
            | Timer::Retry
            | Timer::Refresh
            | Timer::Expire => {}
        }
        self.phase = Phase::Offered(arrival);
    }
}

/// Session-Expires of our 2xx (RFC 4028 §9).
pub(super) fn grant(response: &mut Response, session: Session, peer: &Peer) {
    response.headers.push(Name::SessionExpires, &session.tell());
    if peer.timer && !session.ours {
        response.headers.push(Name::Require, "timer");
    }
}
