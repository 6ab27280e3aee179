//! A leg: one way from the box to somebody, from its first INVITE to its one end. Call control's commands come in
//! here; what each phase does with them is in `dial`, `arrive` and `talk`.

use std::time::Duration;

use super::arrive::Arrival;
use super::cause;
use super::dial::{Dial, Dialling};
use super::shared::{Core, Key};
use super::sound::Sound;
use super::talk::Talk;
use super::timers::Timer;
use super::{Output, Route};
use crate::sip::message::{Request, Response};
use crate::sip::transaction::{ClientId, Failure, ServerFailure, ServerId};
use crate::types::{EndCause, LegCommand, LegEvent, LegId, LocalMedia, MediaRefused, Via};

/// One leg and all that is known of it.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) key: Key,
    pub(super) id: LegId,
    pub(super) via: Via,
    /// Our tags, one a dialog or INVITE.
    pub(super) tags: Vec<String>,
    pub(super) sound: Sound,
    pub(super) phase: Phase,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Dialled; its ports are being opened.
    Opening(Box<Dial>),
    /// Dialled; INVITEs are out.
    Dialling(Box<Dialling>),
    /// An INVITE came; its ports are being opened and call control does not know of it.
    Arriving(Box<Arrival>),
    /// An INVITE came; call control knows.
    Offered(Box<Arrival>),
    /// There is a dialog.
    Up(Box<Talk>),
    /// Over for call control; the ACK of our 2xx is still to come before the BYE may go (RFC 3261 §15).
    Farewell(Box<Talk>),
    /// Nothing is left.
    Over,
}

/// A request from the far side, and what is needed to answer it.
pub(super) struct Asked {
    pub(super) server: ServerId,
    /// The leg that a REFER's Replaces names.
    pub(super) replaces: Option<Replaced>,
    pub(super) request: Box<Request>,
    pub(super) route: Route,
}

/// What Replaces inside a Refer-To came to.
#[derive(Clone, Debug)]
pub(super) enum Replaced {
    /// This leg of the same phone.
    Leg(LegId),
    /// Nothing here.
    Nothing,
}

impl Leg {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Takes the phase out; every step puts one back or leaves the leg over.
    pub(super) fn take(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Over)
    }

    /// Call control wants something.
    pub(super) fn command(&mut self, cx: &mut Core, command: LegCommand) {
        match command {
            LegCommand::Hangup { cause } => return self.hang_up(cx, cause),
            // A leg that exists is not made again.
            LegCommand::Dial { .. } => return,
            LegCommand::Ring
            | LegCommand::EarlyMedia
            | LegCommand::Answer
            | LegCommand::Hold
            | LegCommand::Resume
            | LegCommand::Dtmf(_)
            | LegCommand::Transfer(_) => {}
        }
        match self.take() {
            Phase::Offered(arrival) => self.command_offered(cx, arrival, command),
            Phase::Up(talk) => self.command_up(cx, talk, command),
            phase @ Phase::Dialling(_) => {
                // Keys reach an announcement before the answer.
                if let LegCommand::Dtmf(key) = command {
                    cx.output(Output::Press(self.id.clone(), key));
                }
                self.phase = phase;
            }
            phase @ (Phase::Opening(_) | Phase::Arriving(_) | Phase::Farewell(_) | Phase::Over) => {
                self.phase = phase;
            }
        }
    }

    /// Call control lets go of it.
    pub(super) fn hang_up(&mut self, cx: &mut Core, cause: EndCause) {
        match self.take() {
            Phase::Opening(_) => self.refused(cx, cause, None),
            Phase::Dialling(dialling) => {
                dialling.cancel(cx, cause);
                self.refused(cx, cause, None);
            }
            Phase::Arriving(arrival) => arrival.refuse(cx, cause),
            Phase::Offered(arrival) => {
                arrival.refuse(cx, cause);
                self.ended(cx, cause);
            }
            Phase::Up(talk) => {
                self.part(cx, talk, Some(cause));
                self.ended(cx, cause);
            }
            phase @ (Phase::Farewell(_) | Phase::Over) => self.phase = phase,
        }
    }

    /// A dialled leg came to nothing.
    pub(super) fn refused(&mut self, cx: &mut Core, cause: EndCause, retry_after: Option<Duration>) {
        self.close(cx);
        cx.say(&self.id, LegEvent::Refused { cause, retry_after });
    }

    /// It is over.
    pub(super) fn ended(&mut self, cx: &mut Core, cause: EndCause) {
        self.close(cx);
        cx.say(&self.id, LegEvent::Ended { cause });
    }

    fn close(&mut self, cx: &mut Core) {
        cx.ids.remove(&self.id);
        if self.sound.is_open() {
            cx.output(Output::CloseMedia(self.id.clone()));
        }
    }

    /// The media edge opened ports, or did not.
    pub(super) fn opened(&mut self, cx: &mut Core, opened: Result<LocalMedia, MediaRefused>) {
        let public = cx.public(&self.via).map(|a| a.ip());
        let opened = opened.map(|local| self.sound.open(local, public)).map_err(no_ports);
        match self.take() {
            Phase::Opening(dial) => match opened {
                Ok(()) => self.dial(cx, *dial),
                Err(cause) => self.refused(cx, cause, None),
            },
            Phase::Arriving(arrival) => self.arrived(cx, arrival, opened),
            Phase::Up(talk) => self.reopened(cx, talk, opened),
            phase @ (Phase::Dialling(_) | Phase::Offered(_) | Phase::Farewell(_) | Phase::Over) => {
                self.phase = phase;
            }
        }
    }

    /// What was agreed goes to the media edge.
    pub(super) fn set_media(&mut self, cx: &mut Core, from: Route) {
        if let Some(stream) = self.sound.stream(from.hop.addr.ip()) {
            cx.output(Output::SetMedia(self.id.clone(), Box::new(stream)));
        }
    }

    /// A request inside one of its dialogs.
    pub(super) fn request(&mut self, cx: &mut Core, asked: Asked) {
        match self.take() {
            Phase::Offered(arrival) | Phase::Arriving(arrival) => self.request_early(cx, arrival, asked),
            Phase::Dialling(dialling) => self.request_dialling(cx, dialling, asked),
            Phase::Up(talk) => self.request_up(cx, talk, asked),
            Phase::Farewell(talk) => self.request_farewell(cx, talk, asked),
            phase @ (Phase::Opening(_) | Phase::Over) => {
                self.phase = phase;
                super::no_dialog(cx, &asked);
            }
        }
    }

    /// The ACK of a 2xx.
    pub(super) fn ack(&mut self, cx: &mut Core, ack: &Request, from: Route) {
        match self.take() {
            Phase::Up(talk) => self.acknowledged(cx, talk, ack, from),
            Phase::Farewell(talk) => self.farewell_acknowledged(cx, talk, ack),
            phase => self.phase = phase,
        }
    }

    /// Its INVITE was cancelled.
    pub(super) fn cancelled(&mut self, cx: &mut Core, cancel: &Request) {
        match self.take() {
            Phase::Arriving(arrival) => arrival.terminate(cx),
            Phase::Offered(arrival) => {
                arrival.terminate(cx);
                self.ended(cx, cause::cancelled(&cancel.headers));
            }
            phase => self.phase = phase,
        }
    }

    /// A response to an INVITE of a dialled leg.
    pub(super) fn invite_response(&mut self, cx: &mut Core, id: ClientId, response: Response) {
        match self.take() {
            Phase::Dialling(dialling) => self.dialling_response(cx, dialling, id, response),
            phase => {
                self.phase = phase;
                // A fork's, or the race that a CANCEL lost: the caller of this sees to it.
                super::stray_success(cx, id, &response);
            }
        }
    }

    /// An INVITE of a dialled leg came to nothing.
    pub(super) fn invite_failed(&mut self, cx: &mut Core, id: ClientId, why: Failure) {
        match self.take() {
            Phase::Dialling(dialling) => self.dialling_failed(cx, dialling, id, why),
            phase => self.phase = phase,
        }
    }

    /// Nobody heard our answer to a request of theirs.
    pub(super) fn server_failed(&mut self, cx: &mut Core, why: ServerFailure) {
        match self.take() {
            Phase::Arriving(arrival) if why == ServerFailure::Transport => {
                arrival.refuse(cx, cause::lost(&self.via))
            }
            Phase::Offered(arrival) if why == ServerFailure::Transport => {
                let cause = cause::lost(&self.via);
                arrival.refuse(cx, cause);
                self.ended(cx, cause);
            }
            phase => self.phase = phase,
        }
    }

    /// Where its far side was heard last; a dialled leg has not been answered from anywhere yet.
    pub(super) fn flow(&self) -> Option<Route> {
        match &self.phase {
            Phase::Arriving(arrival) | Phase::Offered(arrival) => Some(arrival.dialog.flow),
            Phase::Up(talk) | Phase::Farewell(talk) => Some(talk.dialog.flow),
            Phase::Opening(_) | Phase::Dialling(_) | Phase::Over => None,
        }
    }

    /// Whether it has a dialog with these, which are ours and theirs.
    pub(super) fn has_dialog(&self, call_id: &str, remote_tag: &str) -> bool {
        match &self.phase {
            Phase::Offered(arrival) => arrival.dialog.is(call_id, Some(remote_tag)),
            Phase::Dialling(dialling) => dialling.has_dialog(call_id, remote_tag),
            Phase::Up(talk) => talk.dialog.is(call_id, Some(remote_tag)),
            Phase::Opening(_) | Phase::Arriving(_) | Phase::Farewell(_) | Phase::Over => false,
        }
    }

    /// The number of the next request in the dialog with this remote tag, which is taken.
    pub(super) fn next_number(&mut self, remote_tag: Option<&str>) -> Option<u32> {
        let dialog = match &mut self.phase {
            Phase::Up(talk) => &mut talk.dialog,
            Phase::Dialling(dialling) => dialling.dialog(remote_tag)?,
            Phase::Opening(_) | Phase::Arriving(_) | Phase::Offered(_) | Phase::Farewell(_) | Phase::Over => {
                return None;
            }
        };
        dialog.local_seq += 1;
        Some(dialog.local_seq)
    }

    /// The box stops: a BYE goes now, whatever it should wait for.
    pub(super) fn stop(&mut self, cx: &mut Core) {
        if let Phase::Up(talk) = &mut self.phase {
            talk.unacked = None;
        }
        self.hang_up(cx, EndCause::Stopped);
    }

    /// A timer of this leg ran out.
    pub(super) fn timeout(&mut self, cx: &mut Core, timer: Timer) {
        match self.take() {
            Phase::Dialling(dialling) => self.dialling_timeout(cx, dialling, timer),
            Phase::Offered(arrival) => self.offered_timeout(cx, arrival, timer),
            Phase::Up(talk) => self.up_timeout(cx, talk, timer),
            Phase::Farewell(talk) => self.farewell_timeout(cx, talk, timer),
            phase @ (Phase::Opening(_) | Phase::Arriving(_) | Phase::Over) => self.phase = phase,
        }
    }
}

fn no_ports(why: MediaRefused) -> EndCause {
    match why {
        MediaRefused::NoPort | MediaRefused::Full => EndCause::LineBusy,
        MediaRefused::Address => EndCause::LineDown,
    }
}
