//! What the far side asks inside a dialog that is up: re-INVITE, UPDATE, BYE, INFO, REFER, OPTIONS.

use super::arrive::grant;
use super::cause;
use super::leg::{Asked, Leg, Phase};
use super::refresh::Session;
use super::shared::Core;
use super::sound::{SDP, described};
use super::talk::{Peer, Talk, Unacked};
use crate::sip::message::{Method, Name, Status};
use crate::types::{Dtmf, LegEvent, LegId};

impl Leg {
    pub(super) fn request_up(&mut self, cx: &mut Core, mut talk: Box<Talk>, asked: Asked) {
        if !talk.dialog.is(&asked.request.head.call_id, asked.request.head.from.tag()) {
            self.phase = Phase::Up(talk);
            return super::no_dialog(cx, &asked);
        }
        if !super::in_order(cx, &mut talk.dialog, &asked) {
            self.phase = Phase::Up(talk);
            return;
        }
        let tag = talk.dialog.tag().to_owned();
        match asked.request.method {
            Method::Bye => {
                cx.refuse(asked.server, &asked.request, Status::OK, &tag);
                self.part(cx, talk, None);
                let cause = cause::ended(&asked.request.headers, &self.via);
                return self.ended(cx, cause);
            }
            Method::Invite => return self.reinvited(cx, talk, &asked),
            Method::Update => return self.updated(cx, talk, &asked),
            Method::Refer => self.referred(cx, &mut talk, &asked),
            Method::Info => info(cx, &self.id, &asked, &tag),
            _ => super::answer_plain(cx, &asked, &tag),
        }
        self.phase = Phase::Up(talk);
    }

    /// A leg that is over has a dialog for as long as the ACK of its 2xx may come.
    pub(super) fn request_farewell(&mut self, cx: &mut Core, talk: Box<Talk>, asked: Asked) {
        let ours = talk.dialog.is(&asked.request.head.call_id, asked.request.head.from.tag());
        if ours && asked.request.method == Method::Bye {
            cx.refuse(asked.server, &asked.request, Status::OK, talk.dialog.tag());
            cx.timers.stop_all(self.key);
            return;
        }
        super::no_dialog(cx, &asked);
        self.phase = Phase::Farewell(talk);
    }

    /// RFC 3261 §14.2.
    fn reinvited(&mut self, cx: &mut Core, mut talk: Box<Talk>, asked: &Asked) {
        let tag = talk.dialog.tag().to_owned();
        let request = &asked.request;
        if talk.ours.as_ref().is_some_and(|o| o.meets(true)) {
            self.phase = Phase::Up(talk);
            return cx.refuse(asked.server, request, Status::PENDING, &tag);
        }
        if talk.unacked.as_ref().is_some_and(|u| u.offers) {
            self.phase = Phase::Up(talk);
            return cx.refuse(asked.server, request, Status::PENDING, &tag);
        }
        let Some(session) = grant_or_refuse(cx, &talk, asked, &tag) else {
            self.phase = Phase::Up(talk);
            return;
        };
        let source = asked.route.hop.addr.ip();
        let described = described(&request.headers, &request.body);
        let offers = matches!(described, Ok(None));
        let ours = match described {
            Err(_) => Err(Status::BAD_REQUEST),
            Ok(Some(offer)) => self.sound.answer(&offer, source).map_err(|_| Status::NOT_ACCEPTABLE_HERE),
            // The offer is ours, and the ACK has its answer.
            Ok(None) => self.sound.offer().map_err(|_| Status::NOT_ACCEPTABLE_HERE),
        };
        let ours = match ours {
            Ok(ours) => ours,
            Err(status) => {
                cx.refuse(asked.server, request, status, &tag);
                return self.pursue(cx, talk);
            }
        };
        // A further INVITE says that the last one's 2xx came, also when its ACK did not.
        talk.dialog.retarget(&request.headers);
        talk.dialog.flow = asked.route;
        talk.peer = Peer::of(&request.headers);
        let contact = talk.dialog.contact.clone();
        let mut response = cx.response_with_contact(request, Status::OK, &tag, &contact);
        response = response.with_body(SDP, ours.to_bytes());
        if let Some(session) = session {
            grant(&mut response, session, &talk.peer);
        }
        if !offers {
            self.set_media(cx, asked.route);
        }
        cx.respond(asked.server, &response);
        let t1 = cx.settings.timers.t1;
        talk.unacked = Some(Unacked::new(asked.server, response, request.head.cseq.number, offers, t1));
        self.await_ack(cx);
        self.begin_session(cx, &mut talk, session);
        self.heard_hold(cx, &mut talk);
        self.phase = Phase::Up(talk);
    }

    /// RFC 3311 §5.2.
    fn updated(&mut self, cx: &mut Core, mut talk: Box<Talk>, asked: &Asked) {
        let tag = talk.dialog.tag().to_owned();
        let request = &asked.request;
        let offer = match described(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(_) => {
                self.phase = Phase::Up(talk);
                return cx.refuse(asked.server, request, Status::BAD_REQUEST, &tag);
            }
        };
        if offer.is_some() && talk.ours.as_ref().is_some_and(|o| o.meets(true)) {
            self.phase = Phase::Up(talk);
            return cx.refuse(asked.server, request, Status::PENDING, &tag);
        }
        if offer.is_some() && talk.unacked.as_ref().is_some_and(|u| u.offers) {
            self.phase = Phase::Up(talk);
            return cx.refuse(asked.server, request, Status::PENDING, &tag);
        }
        let Some(session) = grant_or_refuse(cx, &talk, asked, &tag) else {
            self.phase = Phase::Up(talk);
            return;
        };
        let contact = talk.dialog.contact.clone();
        let mut response = cx.response_with_contact(request, Status::OK, &tag, &contact);
        if let Some(offer) = offer {
            match self.sound.answer(&offer, asked.route.hop.addr.ip()) {
                Ok(answer) => response = response.with_body(SDP, answer.to_bytes()),
                Err(_) => {
                    self.phase = Phase::Up(talk);
                    return cx.refuse(asked.server, request, Status::NOT_ACCEPTABLE_HERE, &tag);
                }
            }
        }
        talk.dialog.retarget(&request.headers);
        talk.dialog.flow = asked.route;
        if let Some(session) = session {
            grant(&mut response, session, &talk.peer);
        }
        self.set_media(cx, asked.route);
        cx.respond(asked.server, &response);
        self.begin_session(cx, &mut talk, session);
        self.heard_hold(cx, &mut talk);
        self.pursue(cx, talk);
    }
}

/// The session timer of a request that refreshes; `None` when it was answered 422.
fn grant_or_refuse(cx: &mut Core, talk: &Talk, asked: &Asked, tag: &str) -> Option<Option<Session>> {
    let most = cx.settings.session_expires;
    match Session::grant(&asked.request.headers, most, talk.session) {
        Ok(session) => Some(session),
        Err(super::refresh::TooSmall) => {
            super::too_small(cx, asked.server, &asked.request, tag);
            None
        }
    }
}

/// A key that comes as `application/dtmf-relay` or `application/dtmf`, as older phones send them.
pub(super) fn info(cx: &mut Core, leg: &LegId, asked: &Asked, tag: &str) {
    let request = &asked.request;
    let kind = request.headers.content_type().ok().flatten();
    let body = String::from_utf8_lossy(&request.body);
    let key = match kind {
        None if request.body.is_empty() => None,
        Some(kind) if kind.is("application/dtmf-relay") => {
            let mut lines = body.lines().filter_map(|line| line.split_once('='));
            let signal = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"));
            signal.and_then(|(_, value)| one_key(value))
        }
        Some(kind) if kind.is("application/dtmf") => one_key(&body),
        None | Some(_) => {
            let mut response = cx.response(request, Status::UNSUPPORTED_MEDIA_TYPE, tag);
            response.headers.push(Name::Accept, "application/dtmf-relay, application/dtmf");
            cx.respond(asked.server, &response);
            return;
        }
    };
    cx.refuse(asked.server, request, Status::OK, tag);
    if let Some(key) = key {
        cx.say(leg, LegEvent::Dtmf { key, carried: false });
    }
}

/// `5`, `10` for `*` and `11` for `#` as RFC 2833 numbers them, `*` itself.
fn one_key(text: &str) -> Option<Dtmf> {
    match text.trim() {
        "10" => Dtmf::try_from('*').ok(),
        "11" => Dtmf::try_from('#').ok(),
        one => {
            let mut keys = one.chars();
            keys.next().filter(|_| keys.next().is_none()).and_then(|key| Dtmf::try_from(key).ok())
        }
    }
}
