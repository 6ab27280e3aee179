//! A leg with a dialog: re-INVITE and UPDATE both ways with their glare (RFC 3261 §14, RFC 3311), hold, session
//! refreshes (RFC 4028), keys by INFO, transfers asked for by REFER, and its end.

use std::time::Duration;

use super::cause;
use super::dialog::Dialog;
use super::gate::ALLOW;
use super::leg::{Leg, Phase};
use super::refer::Transfer;
use super::refresh::{LEAST, Session};
use super::shared::{Core, Inside, Owner, SUPPORTED};
use super::sound::{SDP, described};
use super::timers::Timer;
use super::{Output, Route};
use crate::sip::message::{Headers, Method, Name, Request, Response};
use crate::sip::sdp::Description;
use crate::sip::transaction::{ClientId, Hop, ServerId};
use crate::types::{EndCause, LegCommand, LegEvent};

/// What the far side can do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// UPDATE.
    pub(super) update: bool,
    /// Session timers.
    pub(super) timer: bool,
}

impl Peer {
    pub(super) fn of(headers: &Headers) -> Self {
        let update = headers.allow().is_ok_and(|all| all.contains(&Method::Update));
        Self { update, timer: headers.lists_option(&Name::Supported, "timer") }
    }
}

/// Our 2xx to an INVITE, until its ACK.
#[derive(Debug)]
pub(super) struct Unacked {
    server: ServerId,
    response: Box<Response>,
    cseq: u32,
    /// It carries our offer; the ACK has the answer.
    pub(super) offers: bool,
    wait: Duration,
}

impl Unacked {
    pub(super) fn new(server: ServerId, response: Response, cseq: u32, offers: bool, wait: Duration) -> Self {
        Self { server, response: Box::new(response), cseq, offers, wait }
    }
}

/// A re-INVITE or UPDATE of ours.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) what: Inside,
    /// How it was before the offer in it.
    offer: Option<Before>,
}

/// What an offer that is refused goes back to.
#[derive(Debug)]
struct Before {
    said: Option<Description>,
    holds: bool,
}

impl Ours {
    /// Whether a request of theirs would meet it.
    pub(super) fn meets(&self, offers: bool) -> bool {
        self.what == Inside::Invite || (offers && self.offer.is_some())
    }
}

/// A dialog and what goes on in it.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) dialog: Dialog,
    pub(super) peer: Peer,
    /// The INVITE of ours that made it.
    pub(super) invite: Option<ClientId>,
    /// Our last ACK, with the CSeq that it is for.
    pub(super) ack: Option<(u32, (Vec<u8>, Hop))>,
    pub(super) unacked: Option<Unacked>,
    pub(super) ours: Option<Ours>,
    /// Call control wants the far side on hold.
    hold: bool,
    /// A new description is wanted: our address changed.
    renew: bool,
    refresh: bool,
    pub(super) session: Option<Session>,
    /// The far side has us on hold, as call control was told.
    pub(super) held: bool,
    /// The far side's Min-SE, once it complained.
    least: u32,
    /// It asked to be tried later, and was.
    put_off: bool,
    /// Why it ends, while an ACK is awaited.
    farewell: Option<EndCause>,
    pub(super) transfer: Option<Transfer>,
    /// There was a REFER before.
    pub(super) referred: bool,
}

impl Talk {
    pub(super) fn new(dialog: Dialog, peer: Peer) -> Self {
        Self {
            dialog,
            peer,
            invite: None,
            ack: None,
            unacked: None,
            ours: None,
            hold: false,
            renew: false,
            refresh: false,
            session: None,
            held: false,
            least: 0,
            put_off: false,
            farewell: None,
            transfer: None,
            referred: false,
        }
    }

    /// Whether an offer or INVITE of ours would meet another.
    fn is_busy(&self) -> bool {
        self.ours.is_some() || self.unacked.is_some()
    }
}

impl Leg {
    pub(super) fn command_up(&mut self, cx: &mut Core, mut talk: Box<Talk>, command: LegCommand) {
        match command {
            LegCommand::Hold => talk.hold = true,
            LegCommand::Resume => talk.hold = false,
            LegCommand::Dtmf(key) => cx.output(Output::Press(self.id.clone(), key)),
            LegCommand::Transfer(progress) => self.transferred(cx, &mut talk, progress),
            LegCommand::Dial { .. }
            | LegCommand::Ring
            | LegCommand::EarlyMedia
            | LegCommand::Answer
            | LegCommand::Hangup { .. } => {}
        }
        self.pursue(cx, talk);
    }

    /// Sends what is wanted and not under way.
    pub(super) fn pursue(&mut self, cx: &mut Core, mut talk: Box<Talk>) {
        let offers = talk.hold != self.sound.holds || talk.renew;
        if !talk.is_busy() && (offers || talk.refresh) && !cx.timers.runs(self.key, Timer::Retry) {
            if offers {
                self.reoffer(cx, &mut talk);
            } else if talk.peer.update {
                self.modify(cx, &mut talk, Inside::Update, None);
            } else {
                self.reoffer(cx, &mut talk);
            }
        }
        self.phase = Phase::Up(talk);
    }

    fn reoffer(&mut self, cx: &mut Core, talk: &mut Talk) {
        let before = Before { said: self.sound.said(), holds: self.sound.holds };
        self.sound.holds = talk.hold;
        match self.sound.offer() {
            Ok(offer) => self.modify(cx, talk, Inside::Invite, Some((offer, before))),
            Err(_) => {
                self.sound.holds = before.holds;
                (talk.hold, talk.renew) = (before.holds, false);
            }
        }
    }

    /// A re-INVITE or UPDATE.
    fn modify(&mut self, cx: &mut Core, talk: &mut Talk, what: Inside, offer: Option<(Description, Before)>) {
        talk.dialog.contact = cx.contact(&self.via, talk.dialog.flow);
        let method = if what == Inside::Update { Method::Update } else { Method::Invite };
        let mut request = talk.dialog.request(method);
        let headers = &mut request.headers;
        headers.push(Name::Contact, &format!("<{}>", talk.dialog.contact));
        headers.push(Name::Allow, ALLOW);
        headers.push(Name::Supported, SUPPORTED);
        headers.push(Name::UserAgent, &cx.settings.product);
        if let Some(session) = talk.session {
            headers.push(Name::SessionExpires, &session.ask());
            headers.push(Name::MinSe, &LEAST.max(talk.least).to_string());
        }
        (talk.renew, talk.refresh) = (talk.renew && offer.is_none(), false);
        let offer = offer.map(|(offer, before)| {
            request.headers.set(Name::ContentType, SDP);
            request.body = offer.to_bytes();
            before
        });
        talk.ours = Some(Ours { what, offer });
        if !self.send_inside(cx, talk, request, what) {
            // Too much under way: later.
            self.take_back(talk, true);
            cx.timer(self.key, Timer::Retry, cx.settings.timers.t2);
        }
    }

    /// A request in the dialog, with the credentials that a trunk wants. False when it cannot be sent now.
    pub(super) fn send_inside(&self, cx: &mut Core, talk: &Talk, mut request: Request, what: Inside) -> bool {
        cx.authorize(self.via.line(), &mut request);
        let route = talk.dialog.route();
        let again = cx.again(self.via.line(), &request, route);
        cx.send(request, route, Owner::Inside { leg: self.key, what, route, again }).is_some()
    }

    /// Our request came to nothing: all is as before, and it is tried again or not.
    fn take_back(&mut self, talk: &mut Talk, again: bool) {
        let Some(ours) = talk.ours.take() else { return };
        match ours.offer {
            Some(before) => {
                talk.renew |= again && talk.hold == before.holds;
                if !again {
                    talk.hold = before.holds;
                }
                self.sound.holds = before.holds;
                self.sound.take_back(before.said);
            }
            None => talk.refresh |= again,
        }
    }

    /// The final response to a re-INVITE or UPDATE of ours.
    pub(super) fn inside_response(&mut self, cx: &mut Core, what: Inside, response: &Response) {
        let mut talk = match self.take() {
            Phase::Up(talk) => talk,
            phase => {
                self.phase = phase;
                return;
            }
        };
        let code = response.status.code();
        match what {
            Inside::Prack => {}
            // RFC 6665 §4.2.2: who does not want to hear is not told any more.
            Inside::Notify if code >= 300 => talk.transfer = None,
            Inside::Notify => {}
            Inside::Invite | Inside::Update if (200..300).contains(&code) => {
                return self.modified(cx, talk, what, response);
            }
            Inside::Invite | Inside::Update => return self.not_modified(cx, talk, what, response),
        }
        self.phase = Phase::Up(talk);
    }

    fn modified(&mut self, cx: &mut Core, mut talk: Box<Talk>, what: Inside, response: &Response) {
        talk.dialog.retarget(&response.headers);
        if what == Inside::Invite {
            let cseq = response.head.cseq.number;
            let mut ack = talk.dialog.ack(cseq);
            cx.authorize(self.via.line(), &mut ack);
            talk.ack = Some((cseq, cx.ack(ack, talk.dialog.route())));
        }
        let source = talk.dialog.flow.hop.addr.ip();
        let offered = talk.ours.as_ref().is_some_and(|o| o.offer.is_some());
        if offered {
            match described(&response.headers, &response.body) {
                Ok(Some(answer)) if self.sound.take_answer(&answer, source).is_ok() => talk.ours = None,
                // Answered with nothing: what was agreed before still holds.
                Ok(None) => self.take_back(&mut talk, false),
                Ok(Some(_)) | Err(_) => {
                    self.part(cx, talk, Some(EndCause::NoCodec));
                    return self.ended(cx, EndCause::NoCodec);
                }
            }
        }
        (talk.ours, talk.put_off) = (None, false);
        let flow = talk.dialog.flow;
        self.set_media(cx, flow);
        self.heard_hold(cx, &mut talk);
        if let Some(session) = Session::granted(&response.headers) {
            self.begin_session(cx, &mut talk, Some(session));
        } else if let Some(session) = talk.session {
            self.begin_session(cx, &mut talk, Some(session));
        }
        self.pursue(cx, talk);
    }

    fn not_modified(&mut self, cx: &mut Core, mut talk: Box<Talk>, what: Inside, response: &Response) {
        let refresh = talk.ours.as_ref().is_some_and(|o| o.offer.is_none());
        match response.status.code() {
            // RFC 3261 §12.2.1.2: the dialog is gone.
            408 | 481 => {
                let cause = cause::lost(&self.via);
                self.part(cx, talk, Some(cause));
                return self.ended(cx, cause);
            }
            // RFC 3261 §14.1.
            491 => {
                self.take_back(&mut talk, true);
                let wait = glare_wait(talk.invite.is_some(), cx.random());
                cx.timer(self.key, Timer::Retry, wait);
            }
            422 if talk.least == 0 && talk.session.is_some() => {
                talk.least = response.headers.min_se().ok().flatten().unwrap_or(LEAST).max(LEAST);
                if let Some(session) = &mut talk.session {
                    session.seconds = session.seconds.max(talk.least);
                }
                self.take_back(&mut talk, true);
            }
            // Allow said otherwise; a re-INVITE refreshes as well.
            405 | 501 if what == Inside::Update => {
                talk.peer.update = false;
                self.take_back(&mut talk, true);
            }
            500..=599 if cause::retry_after(&response.headers).is_some() && !talk.put_off => {
                talk.put_off = true;
                self.take_back(&mut talk, true);
                let wait = cause::retry_after(&response.headers).unwrap_or_default();
                cx.timer(self.key, Timer::Retry, wait.min(Duration::from_secs(32)));
            }
            _ => self.take_back(&mut talk, false),
        }
        if refresh && talk.session.is_some_and(|s| s.ours) && !cx.timers.runs(self.key, Timer::Refresh) {
            // It is still to be refreshed before it expires.
            let wait = talk.session.map_or(Duration::ZERO, Session::refresh_after);
            cx.timer(self.key, Timer::Refresh, wait / 4);
        }
        self.pursue(cx, talk);
    }

    /// A request of ours in the dialog got no answer.
    pub(super) fn inside_failed(&mut self, cx: &mut Core, what: Inside) {
        match self.take() {
            Phase::Up(mut talk) => match what {
                Inside::Notify => {
                    talk.transfer = None;
                    self.phase = Phase::Up(talk);
                }
                Inside::Prack => self.phase = Phase::Up(talk),
                Inside::Invite | Inside::Update => {
                    let cause = cause::lost(&self.via);
                    self.part(cx, talk, Some(cause));
                    self.ended(cx, cause);
                }
            },
            phase => self.phase = phase,
        }
    }

    /// A 2xx to an INVITE of ours that came again wants its ACK again. False when it is another dialog's.
    pub(super) fn acknowledge_again(&mut self, cx: &mut Core, response: &Response) -> bool {
        let Phase::Up(talk) = &self.phase else { return false };
        let same = talk.dialog.is(&response.head.call_id, response.head.to.tag())
            && Some(talk.dialog.tag()) == response.head.from.tag();
        if !same {
            return false;
        }
        let number = response.head.cseq.number;
        match &talk.ack {
            Some((cseq, (bytes, hop))) if *cseq == number => cx.tx.send_ack_again(bytes, *hop),
            // A re-INVITE has been answered since.
            Some(_) | None => {
                cx.ack(talk.dialog.ack(number), talk.dialog.route());
            }
        }
        true
    }

    /// Our 2xx goes out until its ACK comes.
    pub(super) fn await_ack(&self, cx: &mut Core) {
        cx.timer(self.key, Timer::Again, cx.settings.timers.t1);
        cx.timer(self.key, Timer::NoAck, cx.settings.timers.give_up());
    }

    pub(super) fn acknowledged(&mut self, cx: &mut Core, mut talk: Box<Talk>, ack: &Request, from: Route) {
        let ours = talk.dialog.is(&ack.head.call_id, ack.head.from.tag());
        let Some(unacked) = talk.unacked.take_if(|u| ours && u.cseq == ack.head.cseq.number) else {
            self.phase = Phase::Up(talk);
            return;
        };
        cx.timers.stop(self.key, Timer::Again);
        cx.timers.stop(self.key, Timer::NoAck);
        if unacked.offers {
            let source = from.hop.addr.ip();
            let answered = described(&ack.headers, &ack.body);
            let agreed =
                answered.is_ok_and(|a| a.is_some_and(|a| self.sound.take_answer(&a, source).is_ok()));
            if !agreed {
                self.part(cx, talk, Some(EndCause::NoCodec));
                return self.ended(cx, EndCause::NoCodec);
            }
            self.set_media(cx, from);
            self.heard_hold(cx, &mut talk);
        }
        self.pursue(cx, talk);
    }

    /// Tells call control when the far side began or ended a hold.
    pub(super) fn heard_hold(&self, cx: &mut Core, talk: &mut Talk) {
        let held = self.sound.is_held();
        if held != std::mem::replace(&mut talk.held, held) {
            cx.say(&self.id, if held { LegEvent::HoldRequested } else { LegEvent::Resumed });
        }
    }

    /// Starts the timers of a session, anew at each refresh.
    pub(super) fn begin_session(&self, cx: &mut Core, talk: &mut Talk, session: Option<Session>) {
        talk.session = session;
        cx.timers.stop(self.key, Timer::Refresh);
        cx.timers.stop(self.key, Timer::Expire);
        if let Some(session) = session {
            if session.ours {
                cx.timer(self.key, Timer::Refresh, session.refresh_after());
            }
            cx.timer(self.key, Timer::Expire, session.expires_after());
        }
    }

    /// Our address changed, or a trunk's: the far side is told.
    pub(super) fn renew(&mut self, cx: &mut Core, flow: impl FnOnce(Route) -> Option<Route>) {
        match self.take() {
            Phase::Up(mut talk) => match flow(talk.dialog.flow) {
                Some(flow) => {
                    talk.dialog.flow = flow;
                    let leg = self.id.clone();
                    let secure = self.sound.has_keys();
                    // Who talks already is not cut off for want of ports.
                    cx.output(Output::OpenMedia { leg, local: flow.local.ip(), secure, help: true });
                    self.phase = Phase::Up(talk);
                }
                None => self.phase = Phase::Up(talk),
            },
            phase => self.phase = phase,
        }
    }

    /// The ports after a change of our address.
    pub(super) fn reopened(&mut self, cx: &mut Core, mut talk: Box<Talk>, opened: Result<(), EndCause>) {
        match opened {
            Ok(()) => {
                talk.renew = true;
                self.pursue(cx, talk);
            }
            Err(_) => {
                self.part(cx, talk, Some(EndCause::MediaLost));
                self.ended(cx, EndCause::MediaLost);
            }
        }
    }

    pub(super) fn up_timeout(&mut self, cx: &mut Core, mut talk: Box<Talk>, timer: Timer) {
        match timer {
            Timer::Again => self.accept_again(cx, &mut talk),
            Timer::NoAck | Timer::Expire => {
                // RFC 3261 §13.3.1.4 and RFC 4028 §10.
                talk.unacked = None;
                let cause = cause::lost(&self.via);
                self.part(cx, talk, Some(cause));
                return self.ended(cx, cause);
            }
            Timer::Refresh => talk.refresh = true,
            Timer::Retry => {}
            Timer::Reliable | Timer::NoPrack | Timer::Ringing | Timer::Lapse | Timer::NextRoute => {}
        }
        self.pursue(cx, talk);
    }

    fn accept_again(&self, cx: &mut Core, talk: &mut Talk) {
        let most = cx.settings.timers.t2;
        if let Some(unacked) = &mut talk.unacked {
            unacked.wait = unacked.wait.saturating_mul(2).min(most);
            let wait = unacked.wait;
            cx.respond(unacked.server, &unacked.response);
            cx.timer(self.key, Timer::Again, wait);
        }
    }

    /// Ends the dialog: with a BYE, at once or behind the ACK that it must wait for; or because the far side did.
    pub(super) fn part(&mut self, cx: &mut Core, mut talk: Box<Talk>, bye: Option<EndCause>) {
        cx.timers.stop_all_but(self.key, &[Timer::Again, Timer::NoAck]);
        if let Some(Owner::Invite { ended, .. }) = talk.invite.and_then(|id| cx.clients.get_mut(&id)) {
            ended.extend(talk.dialog.remote.tag().map(str::to_owned));
        }
        talk.farewell = bye;
        if bye.is_some() && talk.unacked.is_some() {
            self.phase = Phase::Farewell(talk);
            return;
        }
        cx.timers.stop_all(self.key);
        if let Some(cause) = bye {
            self.bye(cx, &mut talk, cause);
        }
    }

    fn bye(&self, cx: &mut Core, talk: &mut Talk, cause: EndCause) {
        let mut bye = talk.dialog.request(Method::Bye);
        bye.headers.push(Name::Reason, &cause::refusal(cause).1.to_string());
        cx.bye(bye, talk.dialog.route(), self.via.line());
    }

    pub(super) fn farewell_acknowledged(&mut self, cx: &mut Core, mut talk: Box<Talk>, ack: &Request) {
        let ours = talk.dialog.is(&ack.head.call_id, ack.head.from.tag());
        if talk.unacked.take_if(|u| ours && u.cseq == ack.head.cseq.number).is_some() {
            cx.timers.stop_all(self.key);
            let cause = talk.farewell.unwrap_or(EndCause::Hangup);
            self.bye(cx, &mut talk, cause);
            return;
        }
        self.phase = Phase::Farewell(talk);
    }

    pub(super) fn farewell_timeout(&mut self, cx: &mut Core, mut talk: Box<Talk>, timer: Timer) {
        if timer == Timer::NoAck {
            cx.timers.stop_all(self.key);
            let cause = talk.farewell.unwrap_or(EndCause::Hangup);
            self.bye(cx, &mut talk, cause);
            return;
        }
        if timer == Timer::Again {
            self.accept_again(cx, &mut talk);
        }
        self.phase = Phase::Farewell(talk);
    }
}

/// RFC 3261 §14.1: whoever made the Call-ID waits 2.1 to 4 s, the other up to 2 s, in steps of 10 ms.
fn glare_wait(ours: bool, random: u64) -> Duration {
    Duration::from_millis(if ours { 2100 + random % 191 * 10 } else { random % 201 * 10 })
}
