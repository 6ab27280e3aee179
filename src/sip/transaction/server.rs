//! The server transaction: INVITE (§17.2.1, RFC 6026 §8.5 and §8.7) and all else (§17.2.2, RFC 4320). A 2xx to INVITE
//! is sent again by the user until its ACK comes (§13.3.1.4), not here.

use std::time::Duration;

use super::ids::Key;
use super::timers::{Owner, Timer};
use super::{Event, Hop, Out, ServerFailure, ServerId, Settings};
use crate::sip::message::{Method, Request, Response, Status};
use crate::types::Mono;

/// One request from the far side and our responses.
pub(super) struct Server {
    pub(super) id: ServerId,
    /// Where responses go.
    pub(super) hop: Hop,
    pub(super) key: Key,
    /// The To tag of our responses.
    pub(super) tag: String,
    pub(super) state: State,
}

pub(super) enum State {
    /// INVITE: no final response. The 100 is at hand until something was said.
    Invited { trying: Option<Box<Response>>, last: Option<Vec<u8>> },
    /// INVITE: a 2xx was sent.
    Accepted,
    /// INVITE: another final response was sent and wants its ACK. `tag` is the To tag that it had.
    Refused { last: Vec<u8>, wait: Duration, tag: Option<String> },
    /// INVITE: the ACK came.
    Confirmed,
    /// Other: no final response.
    Asked { last: Option<Vec<u8>> },
    /// Other: a final response was sent.
    Answered { last: Vec<u8> },
}

impl Server {
    /// A request that is new.
    pub(super) fn start(
        (id, hop, key, tag): (ServerId, Hop, Key, String),
        request: &Request,
        (set, now): (&Settings, Mono),
        out: &mut Out,
    ) -> Self {
        let state = if request.method == Method::Invite {
            out.timers.start(Owner::Server(id), Timer::Trying, now + set.trying);
            let trying = Response::to(request, Status::TRYING, &tag);
            State::Invited { trying: Some(Box::new(trying)), last: None }
        } else {
            out.timers.start(Owner::Server(id), Timer::Unanswered, now + set.give_up());
            State::Asked { last: None }
        };
        Self { id, hop, key, tag, state }
    }

    /// Whether a CANCEL still changes anything (§9.2).
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.state, State::Invited { .. })
    }

    /// The same request again.
    pub(super) fn on_again(&self, out: &mut Out) {
        out.counters.absorbed += 1;
        match &self.state {
            State::Invited { last: Some(last), .. }
            | State::Refused { last, .. }
            | State::Asked { last: Some(last) }
            | State::Answered { last } => out.retransmit(self.hop, last.clone()),
            State::Invited { last: None, .. }
            | State::Asked { last: None }
            | State::Accepted
            | State::Confirmed => {}
        }
    }

    /// An ACK with the key of this INVITE. `None` when the transaction has ended; the ACK comes back when it is the
    /// user's (RFC 6026 §8.7).
    pub(super) fn on_ack(
        self,
        ack: Request,
        (set, now): (&Settings, Mono),
        out: &mut Out,
    ) -> (Option<Self>, Option<Request>) {
        match self.state {
            State::Accepted => (Some(self), Some(ack)),
            State::Refused { ref tag, .. } => {
                // RFC 2543: without a branch of its own, the To tag tells whose ACK it is (§17.2.3).
                if !ack.head.via.has_magic_branch() && ack.head.to.tag() != tag.as_deref() {
                    return (Some(self), Some(ack));
                }
                out.timers.stop(Owner::Server(self.id));
                (self.linger(State::Confirmed, Timer::I, set.t4, now, out), None)
            }
            State::Confirmed | State::Invited { .. } | State::Asked { .. } | State::Answered { .. } => {
                out.counters.absorbed += 1;
                (Some(self), None)
            }
        }
    }

    /// The user answers. `None` when the transaction has ended. A response that comes too late is counted and not
    /// sent; a 2xx may be sent again.
    pub(super) fn respond(
        self,
        response: &Response,
        set: &Settings,
        now: Mono,
        out: &mut Out,
    ) -> Option<Self> {
        let (owner, code) = (Owner::Server(self.id), response.status.code());
        let bytes = response.to_bytes();
        // What is kept has no room to grow: there may be tens of thousands.
        let kept = || bytes.as_slice().to_vec();
        match self.state {
            State::Invited { .. } if code < 200 => {
                out.timers.stop(owner);
                let last = kept();
                out.transmit(self.hop, bytes);
                Some(Self { state: State::Invited { trying: None, last: Some(last) }, ..self })
            }
            State::Invited { .. } if code < 300 => {
                out.timers.stop(owner);
                out.timers.start(owner, Timer::L, now + set.give_up());
                out.transmit(self.hop, bytes);
                Some(Self { state: State::Accepted, ..self })
            }
            State::Invited { .. } => {
                out.timers.stop(owner);
                out.timers.start(owner, Timer::H, now + set.give_up());
                if !self.hop.transport.is_reliable() {
                    out.timers.start(owner, Timer::G, now + set.t1);
                }
                let last = kept();
                out.transmit(self.hop, bytes);
                let tag = response.head.to.tag().map(str::to_owned);
                Some(Self { state: State::Refused { last, wait: set.t1, tag }, ..self })
            }
            State::Accepted if (200..300).contains(&code) => {
                out.transmit(self.hop, bytes);
                Some(self)
            }
            State::Asked { .. } if code < 200 => {
                let last = kept();
                out.transmit(self.hop, bytes);
                Some(Self { state: State::Asked { last: Some(last) }, ..self })
            }
            // A challenge is answered without state (§8.2.7): who asks again is challenged again.
            State::Asked { .. } if matches!(code, 401 | 407) => {
                out.timers.stop(owner);
                out.transmit(self.hop, bytes);
                None
            }
            State::Asked { .. } => {
                out.timers.stop(owner);
                let last = kept();
                out.transmit(self.hop, bytes);
                self.linger(State::Answered { last }, Timer::J, set.give_up(), now, out)
            }
            State::Accepted | State::Refused { .. } | State::Confirmed | State::Answered { .. } => {
                out.counters.late_responses += 1;
                Some(self)
            }
        }
    }

    /// Stays to absorb what comes again, where something may.
    fn linger(self, state: State, timer: Timer, wait: Duration, now: Mono, out: &mut Out) -> Option<Self> {
        let wait = Settings::linger(self.hop.transport, wait);
        if wait.is_zero() {
            return None;
        }
        out.timers.start(Owner::Server(self.id), timer, now + wait);
        Some(Self { state, ..self })
    }

    /// A timer of this transaction ran out. `None` when it has ended.
    pub(super) fn on_timer(self, timer: Timer, set: &Settings, now: Mono, out: &mut Out) -> Option<Self> {
        let id = self.id;
        match (timer, self.state) {
            (Timer::Trying, State::Invited { trying: Some(trying), .. }) => {
                let bytes = trying.to_bytes();
                out.transmit(self.hop, bytes.clone());
                Some(Self { state: State::Invited { trying: None, last: Some(bytes) }, ..self })
            }
            (Timer::G, State::Refused { last, wait, tag }) => {
                let wait = set.next_wait(wait);
                out.timers.start(Owner::Server(id), Timer::G, now + wait);
                out.retransmit(self.hop, last.clone());
                Some(Self { state: State::Refused { last, wait, tag }, ..self })
            }
            (Timer::H, _) => {
                out.events.push_back(Event::ServerFailed { id, why: ServerFailure::NoAck });
                None
            }
            (Timer::Unanswered, _) => {
                out.events.push_back(Event::ServerFailed { id, why: ServerFailure::Unanswered });
                None
            }
            (Timer::I | Timer::J | Timer::L, _) => None,
            // A state that is left stops its timers; the others are the client's.
            (
                Timer::A
                | Timer::B
                | Timer::C
                | Timer::D
                | Timer::E
                | Timer::F
                | Timer::G
                | Timer::K
                | Timer::M
                | Timer::Cancel
                | Timer::Trying,
                state,
            ) => Some(Self { state, ..self }),
        }
    }

    /// Nothing more can be sent to the far side. `None` when the transaction has ended: an INVITE that is undecided or
    /// accepted stays (RFC 6026 §8.5), its user only hears of it.
    pub(super) fn on_transport_error(self, out: &mut Out) -> Option<Self> {
        let (told, stays) = match self.state {
            State::Invited { .. } | State::Accepted => (true, true),
            State::Refused { .. } | State::Asked { .. } => (true, false),
            State::Confirmed | State::Answered { .. } => (false, false),
        };
        if told {
            out.events.push_back(Event::ServerFailed { id: self.id, why: ServerFailure::Transport });
        }
        stays.then_some(self)
    }
}
