//! Whether a trunk answers (OPTIONS; RFC 3261 §11), and the empty lines that keep the way to it open (RFC 5626 §3.5.1).

use std::time::Duration;

use super::{Action, FAILURES, Phase, Registration, Ticket, words};
use crate::sip::agent::gate::ACCEPT;
use crate::sip::message::{Method, Name, NameAddr, Response, Status};
use crate::sip::transaction::{Failure, Transmit, Transport};
use crate::sip::uri::{SipUri, Uri};
use crate::sip::wire::PING;
use crate::types::Mono;

/// OPTIONS unanswered for so long counts as a failure; it has been sent five times by then.
const UNANSWERED: Duration = Duration::from_secs(8);
/// And is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Whether the trunk answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) next: Option<Mono>,
    /// The OPTIONS under way, and when it counts as failed.
    pub(super) asked: Option<(Ticket, Mono)>,
    pub(super) failures: u32,
    /// It has answered something since it was last down.
    pub(super) alive: bool,
}

impl Registration {
    /// Sends OPTIONS, if the trunk is to be asked.
    pub(super) fn ask(&mut self, now: Mono) {
        self.health.next = None;
        let Some(route) = self.route().filter(|_| !self.setup.options_every.is_zero()) else { return };
        let domain: Uri = SipUri::new(None, self.domain(), None).into();
        let mut request =
            self.request(Method::Options, domain.clone(), domain, route).with(Name::Accept, ACCEPT);
        if let Some(contact) = self.contact() {
            request.headers.push(Name::Contact, &NameAddr::new(contact).to_string());
        }
        let ticket = self.ticket();
        self.health.asked = Some((ticket, now + UNANSWERED));
        self.actions.push_back(Action::Send { ticket, request: Box::new(request), route });
    }

    pub(super) fn ask_later(&mut self, now: Mono) {
        let every = self.setup.options_every;
        if !every.is_zero() {
            self.health.next = Some(now + self.chance.between(every * 9 / 10, every));
        }
    }

    /// The answer to OPTIONS: whatever it is, the trunk is there, unless it says that it is not.
    pub(super) fn answered(&mut self, outcome: Result<&Response, Failure>, now: Mono) {
        let alive = match outcome {
            Ok(response) => !matches!(response.status, Status::REQUEST_TIMEOUT | Status::SERVICE_UNAVAILABLE),
            Err(Failure::Timeout | Failure::Transport | Failure::CancelUnanswered) => false,
        };
        if !alive {
            return self.unanswered(now);
        }
        self.health = Health { next: None, asked: None, failures: 0, alive: true };
        if self.phase == Phase::Known {
            self.why = words::known(&self.setup.domain);
        }
        self.ask_later(now);
    }

    pub(super) fn unanswered(&mut self, now: Mono) {
        self.health.asked = None;
        self.health.failures = self.health.failures.saturating_add(1);
        if self.health.failures < FAILURES {
            self.health.next = Some(now + ASK_AGAIN);
            return;
        }
        self.health.alive = false;
        self.why = words::silent(&self.setup.domain);
        self.at = (self.at + 1).checked_rem(self.routes.len()).unwrap_or(0);
        self.ask_later(now);
        if self.health.failures == FAILURES {
            self.actions.push_back(Action::Resolve);
            if matches!(self.phase, Phase::Registered { .. }) {
                self.begin(now);
            }
        }
    }

    /// An empty line or two (RFC 5626 §3.5.1), if there is something to keep open.
    pub(super) fn keep_alive(&mut self, now: Mono) {
        self.ping = self.next_ping(now);
        let open = matches!(self.phase, Phase::Known | Phase::Registered { .. } | Phase::Asking(_));
        if let (Some(_), Some(route), true) = (self.ping, self.route(), open) {
            self.actions.push_back(Action::Ping(Transmit { to: route.hop, bytes: PING.to_vec() }));
        }
    }

    /// RFC 5626 §4.4.1: streams as the registrar says or every 95 to 120 s; UDP every 24 to 29 s, if a NAT is between.
    pub(super) fn next_ping(&mut self, now: Mono) -> Option<Mono> {
        let seconds = Duration::from_secs;
        let (least, most) = match (self.route()?.hop.transport, self.flow_timer) {
            (Transport::Udp, _) if !self.setup.nat => return None,
            (Transport::Udp, _) => (seconds(24), seconds(29)),
            (Transport::Tcp | Transport::Tls, Some(flow)) => (flow * 4 / 5, flow),
            (Transport::Tcp | Transport::Tls, None) => (seconds(95), seconds(120)),
        };
        Some(now + self.chance.between(least, most))
    }
}
