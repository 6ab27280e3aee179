//! The client transaction: INVITE (§17.1.1, RFC 6026 §8.4) and all else (§17.1.2). Each step consumes the transaction
//! and gives it back unless it has ended. The ACK of a final response other than 2xx is made here; that of a 2xx and
//! what to do about forks is the user's.

use std::time::Duration;

use super::ids::Key;
use super::timers::{Owner, Timer};
use super::{ClientId, Event, Failure, Hop, Out, Settings};
use crate::sip::message::{Method, Name, Request, Response};
use crate::sip::uri::Host;
use crate::types::Mono;

/// One request of ours and its responses.
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) hop: Hop,
    pub(super) key: Key,
    /// The sent-by that a response must repeat (§18.1.2).
    pub(super) sent_by: (Host, Option<u16>),
    pub(super) state: State,
}

pub(super) enum State {
    /// INVITE: nothing came yet. A CANCEL waits for the first provisional response (§9.1).
    Calling { request: Box<Request>, wait: Duration, cancel: Option<Box<Request>> },
    /// INVITE: a provisional response came; the body will not be sent again.
    Ringing { request: Box<Request>, cancelled: bool },
    /// INVITE: a final response other than 2xx came and is acknowledged as often as it comes.
    Refused { ack: Vec<u8> },
    /// INVITE: a 2xx came (RFC 6026 §8.4).
    Accepted,
    /// Other: nothing came yet.
    Trying { bytes: Vec<u8>, wait: Duration, asked_by: AskedBy },
    /// Other: a provisional response came.
    Proceeding { bytes: Vec<u8>, asked_by: AskedBy },
    /// Other: a final response came.
    Completed,
}

/// Who hears of the outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedBy {
    User,
    /// A CANCEL: what it comes to shows in its INVITE.
    Invite,
}

/// What comes of a step.
pub(super) enum Next {
    Keep(Client),
    /// Keep, and a CANCEL of this request goes out.
    Cancel(Client, Box<Request>),
    End,
}

impl Client {
    /// Sends the request and starts its timers.
    pub(super) fn start(
        (id, hop, key): (ClientId, Hop, Key),
        request: Request,
        asked_by: AskedBy,
        (set, now): (&Settings, Mono),
        out: &mut Out,
    ) -> Self {
        let owner = Owner::Client(id);
        let bytes = request.to_bytes();
        let sent_by = (request.head.via.host.clone(), request.head.via.port);
        let invite = request.method == Method::Invite;
        let (again, give_up) = if invite { (Timer::A, Timer::B) } else { (Timer::E, Timer::F) };
        if !hop.transport.is_reliable() {
            out.timers.start(owner, again, now + set.t1);
        }
        out.timers.start(owner, give_up, now + set.give_up());
        let state = if invite {
            State::Calling { request: Box::new(request), wait: set.t1, cancel: None }
        } else {
            // The copy has no spare room.
            State::Trying { bytes: bytes.clone(), wait: set.t1, asked_by }
        };
        out.transmit(hop, bytes);
        Self { id, hop, key, sent_by, state }
    }

    /// A response that belongs here.
    pub(super) fn on_response(self, response: Response, set: &Settings, now: Mono, out: &mut Out) -> Next {
        match self.state {
            State::Calling { .. } | State::Ringing { .. } | State::Refused { .. } | State::Accepted => {
                self.on_invite_response(response, set, now, out)
            }
            State::Trying { .. } | State::Proceeding { .. } | State::Completed => {
                self.on_other_response(response, set, now, out)
            }
        }
    }

    fn on_invite_response(self, response: Response, set: &Settings, now: Mono, out: &mut Out) -> Next {
        let (id, owner) = (self.id, Owner::Client(self.id));
        let code = response.status.code();
        let (mut request, (cancel, asked), first) = match self.state {
            State::Calling { request, cancel, .. } => (request, (cancel.is_some(), cancel), true),
            State::Ringing { request, cancelled } => (request, (cancelled, None), false),
            State::Refused { ack } => {
                if code >= 300 {
                    out.counters.absorbed += 1;
                    out.transmit(self.hop, ack.clone());
                }
                return Next::Keep(Self { state: State::Refused { ack }, ..self });
            }
            State::Accepted => {
                if (200..300).contains(&code) {
                    out.events.push_back(Event::AcceptedAgain { id, response: Box::new(response) });
                }
                return Next::Keep(Self { state: State::Accepted, ..self });
            }
            state @ (State::Trying { .. } | State::Proceeding { .. } | State::Completed) => {
                return Next::Keep(Self { state, ..self });
            }
        };
        if code < 200 {
            if first {
                out.timers.stop(owner);
                request.body = Vec::new();
            }
            // A 100 does not prolong the ringing (§16.7 item 2).
            if !cancel && (first || code > 100) {
                out.timers.start(owner, Timer::C, now + set.ringing);
            }
            out.events.push_back(Event::Provisional { id, response: Box::new(response) });
            let state = State::Ringing { request, cancelled: cancel };
            return match asked {
                Some(asked) => {
                    out.timers.start(owner, Timer::Cancel, now + set.give_up());
                    Next::Cancel(Self { state, ..self }, asked)
                }
                None => Next::Keep(Self { state, ..self }),
            };
        }
        out.timers.stop(owner);
        if code < 300 {
            out.timers.start(owner, Timer::M, now + set.give_up());
            out.events.push_back(Event::Final { id, response: Box::new(response) });
            return Next::Keep(Self { state: State::Accepted, ..self });
        }
        let bytes = request.ack(&response).to_bytes();
        let ack = bytes.clone();
        out.transmit(self.hop, bytes);
        out.events.push_back(Event::Final { id, response: Box::new(response) });
        // Timer D is at least 32 s (§17.1.1.2) and no less than what the server goes by.
        let absorb = Duration::from_secs(32).max(set.give_up());
        Self { state: State::Refused { ack }, ..self }.linger(Timer::D, absorb, now, out)
    }

    fn on_other_response(self, response: Response, set: &Settings, now: Mono, out: &mut Out) -> Next {
        let owner = Owner::Client(self.id);
        let (bytes, asked_by, first) = match self.state {
            State::Trying { bytes, asked_by, .. } => (bytes, asked_by, true),
            State::Proceeding { bytes, asked_by } => (bytes, asked_by, false),
            state => {
                out.counters.absorbed += 1;
                return Next::Keep(Self { state, ..self });
            }
        };
        let provisional = response.status.is_provisional();
        if asked_by == AskedBy::User {
            let (id, response) = (self.id, Box::new(response));
            out.events.push_back(match provisional {
                true => Event::Provisional { id, response },
                false => Event::Final { id, response },
            });
        }
        if provisional {
            if first && !self.hop.transport.is_reliable() {
                out.timers.start(owner, Timer::E, now + set.t2);
            }
            return Next::Keep(Self { state: State::Proceeding { bytes, asked_by }, ..self });
        }
        out.timers.stop(owner);
        Self { state: State::Completed, ..self }.linger(Timer::K, set.t4, now, out)
    }

    /// Stays to absorb what comes again, where something may.
    fn linger(self, timer: Timer, wait: Duration, now: Mono, out: &mut Out) -> Next {
        let wait = Settings::linger(self.hop.transport, wait);
        if wait.is_zero() {
            return Next::End;
        }
        out.timers.start(Owner::Client(self.id), timer, now + wait);
        Next::Keep(self)
    }

    /// A timer of this transaction ran out.
    pub(super) fn on_timer(self, timer: Timer, set: &Settings, now: Mono, out: &mut Out) -> Next {
        let owner = Owner::Client(self.id);
        match (timer, self.state) {
            (Timer::A, State::Calling { request, wait, cancel }) => {
                // Timer A doubles without end (§17.1.1.2).
                let wait = wait.saturating_mul(2);
                out.timers.start(owner, Timer::A, now + wait);
                out.retransmit(self.hop, request.to_bytes());
                Next::Keep(Self { state: State::Calling { request, wait, cancel }, ..self })
            }
            (Timer::E, State::Trying { bytes, wait, asked_by }) => {
                let wait = set.next_wait(wait);
                out.timers.start(owner, Timer::E, now + wait);
                out.retransmit(self.hop, bytes.clone());
                Next::Keep(Self { state: State::Trying { bytes, wait, asked_by }, ..self })
            }
            (Timer::E, State::Proceeding { bytes, asked_by }) => {
                out.timers.start(owner, Timer::E, now + set.t2);
                out.retransmit(self.hop, bytes.clone());
                Next::Keep(Self { state: State::Proceeding { bytes, asked_by }, ..self })
            }
            (Timer::C, state @ State::Ringing { .. }) => Self { state, ..self }.cancel(None, set, now, out),
            (Timer::B | Timer::F, state) => Self { state, ..self }.fail(Failure::Timeout, out),
            (Timer::Cancel, state) => Self { state, ..self }.fail(Failure::CancelUnanswered, out),
            (Timer::M, _) => {
                out.events.push_back(Event::AcceptedOver { id: self.id });
                Next::End
            }
            (Timer::D | Timer::K, _) => Next::End,
            // A state that is left stops its timers; the others are the server's.
            (
                Timer::A
                | Timer::C
                | Timer::E
                | Timer::G
                | Timer::H
                | Timer::I
                | Timer::J
                | Timer::L
                | Timer::Trying
                | Timer::Unanswered,
                state,
            ) => Next::Keep(Self { state, ..self }),
        }
    }

    /// The user, or Timer C, wants the INVITE cancelled. Once is enough.
    pub(super) fn cancel(self, reason: Option<&str>, set: &Settings, now: Mono, out: &mut Out) -> Next {
        let owner = Owner::Client(self.id);
        let cancel = |request: &Request| {
            let mut cancel = Box::new(request.cancel());
            if let Some(reason) = reason {
                cancel.headers.push(Name::Reason, reason);
            }
            cancel
        };
        match self.state {
            State::Calling { request, wait, cancel: before } => {
                let cancel = before.unwrap_or_else(|| cancel(&request));
                Next::Keep(Self { state: State::Calling { request, wait, cancel: Some(cancel) }, ..self })
            }
            State::Ringing { request, cancelled: false } => {
                out.timers.stop(owner);
                out.timers.start(owner, Timer::Cancel, now + set.give_up());
                let asked = cancel(&request);
                Next::Cancel(Self { state: State::Ringing { request, cancelled: true }, ..self }, asked)
            }
            state => Next::Keep(Self { state, ..self }),
        }
    }

    /// Nothing more can be sent to the far side. An accepted INVITE still takes 2xx (RFC 6026 §8.4).
    pub(super) fn on_transport_error(self, out: &mut Out) -> Next {
        match self.state {
            State::Accepted => Next::Keep(self),
            _ => self.fail(Failure::Transport, out),
        }
    }

    fn fail(self, why: Failure, out: &mut Out) -> Next {
        let told = match self.state {
            State::Calling { .. } | State::Ringing { .. } => true,
            State::Trying { asked_by, .. } | State::Proceeding { asked_by, .. } => asked_by == AskedBy::User,
            State::Refused { .. } | State::Accepted | State::Completed => false,
        };
        if told {
            out.events.push_back(Event::Failed { id: self.id, why });
        }
        Next::End
    }
}
