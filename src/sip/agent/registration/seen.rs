//! What the far side's answers tell about the way to it: the address that it sees us at (RFC 3581), contacts of ours
//! that it still holds, and whether somebody between rewrites our messages.

use core::net::SocketAddr;
use std::time::Duration;

use super::{Action, Phase, Registration, Said, TOKEN, words};
use crate::sip::message::{Method, NameAddr, Response, Via};
use crate::sip::transaction::Transport;
use crate::sip::uri::Uri;
use crate::types::Mono;

/// Between two attempts because the far side sees us elsewhere: a NAT may change its mind with every packet.
const REBINDS_APART: Duration = Duration::from_secs(30);

impl Registration {
    /// Where the far side saw us (RFC 3581 §4).
    pub(super) fn learn(&mut self, via: &Via, now: Mono) {
        let Some(route) = self.route() else { return };
        let seen = via.received().or(via.host.ip()).map(|ip| {
            let ip = ip.to_canonical();
            SocketAddr::new(ip, via.rport().unwrap_or(route.local.port()))
        });
        let Some(seen) = seen else { return };
        // A stream leaves from a port of its own, NAT or not.
        let moved = match route.hop.transport {
            Transport::Udp => seen != route.local,
            Transport::Tcp | Transport::Tls => seen.ip() != route.local.ip(),
        };
        if !self.setup.nat {
            if moved && self.said.insert(Said::Nat) {
                let text = words::nat(self.setup.line.as_str(), seen, route.local);
                self.actions.push_back(Action::Alarm(text));
            }
            return;
        }
        self.public = moved.then_some(seen);
        let registered = matches!(self.phase, Phase::Registered { .. });
        let changed = registered && self.contact() != self.bound;
        if changed && self.may_rebind(now) {
            self.begin(now);
        }
    }

    /// What we sent and the far side repeats must be what we sent.
    pub(super) fn compare(&mut self, response: &Response) {
        let record = self.address_of_record();
        let head = &response.head;
        let to = if head.cseq.method == Method::Register { &record } else { &head.to.uri };
        if head.call_id != self.call_id {
            self.suspect(words::changed("Call-ID"));
        } else if !head.from.uri.same_as(&record) {
            self.suspect(words::changed("From"));
        } else if !head.to.uri.same_as(to) {
            self.suspect(words::changed("To"));
        } else if self.route().is_some_and(|r| head.via.host.ip().is_some_and(|ip| ip != r.local.ip())) {
            self.suspect(words::changed("Via"));
        }
    }

    pub(super) fn suspect(&mut self, what: String) {
        if self.said.insert(Said::Rewritten) {
            self.actions.push_back(Action::Alarm(words::alg(self.setup.line.as_str(), &what)));
        }
    }

    /// Whether the contact may follow the NAT now.
    pub(super) fn may_rebind(&mut self, now: Mono) -> bool {
        let may = self.rebound.is_none_or(|at| now.since(at) >= REBINDS_APART);
        if may {
            self.rebound = Some(now);
        }
        may
    }

    /// Contacts of ours from before a crash: they stand at our own address, and calls would come twice. Each is taken
    /// away once.
    pub(super) fn leftovers(&mut self, contacts: &[NameAddr], current: &Uri) -> Vec<Uri> {
        let of_us = |uri: &&Uri| {
            let token = uri.user().is_some_and(|u| u.starts_with(TOKEN) && !self.has_token(&u));
            token && is_at_same_place(uri, current)
        };
        let all: Vec<Uri> = contacts.iter().map(|c| &c.uri).filter(of_us).cloned().collect();
        all.into_iter()
            .filter(|uri| self.removed.len() < 64 && self.removed.insert(uri.to_string()))
            .collect()
    }

    pub(super) fn is_ours(&self, uri: &Uri) -> bool {
        uri.user().is_some_and(|user| self.has_token(&user))
    }
}

/// The same host and port.
pub(super) fn is_at_same_place(a: &Uri, b: &Uri) -> bool {
    match (a.sip(), b.sip()) {
        (Some(a), Some(b)) => a.host.same_as(&b.host) && a.port.unwrap_or(5060) == b.port.unwrap_or(5060),
        (_, _) => false,
    }
}
