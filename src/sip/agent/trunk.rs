//! A trunk as the agent holds it: where it is reached, what it challenged us with, how our messages look from there.

use core::net::IpAddr;
use std::sync::Arc;

use super::registration::Registration;
use super::{Route, TrunkSetup};
use crate::sip::digest;
use crate::sip::message::{Name, Request, Response, Status};
use crate::sip::sdp::{Capabilities, TargetPolicy};
use crate::sip::transaction::{Hop, Transport};

/// How often one request is sent again with credentials.
const CHALLENGES: u8 = 3;

#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) setup: TrunkSetup,
    /// Tells it from one that had its name before.
    pub(super) made: u64,
    pub(super) capabilities: Option<Arc<Capabilities>>,
    pub(super) media: Arc<TargetPolicy>,
    /// Best first.
    pub(super) routes: Vec<Route>,
    pub(super) registration: Registration,
    /// The last challenge, and the header that answers it.
    challenge: Option<(Name, digest::Client)>,
}

impl Trunk {
    pub(super) fn new(setup: TrunkSetup, made: u64, product: &str, seed: [u8; 32]) -> Self {
        Self {
            capabilities: setup.capabilities.clone().map(Arc::new),
            media: Arc::new(setup.media.clone()),
            registration: Registration::new(setup.clone(), product, seed),
            setup,
            made,
            routes: Vec::new(),
            challenge: None,
        }
    }

    /// The user part of our address there.
    pub(super) fn user(&self) -> Option<&str> {
        self.setup.user.as_deref().or_else(|| self.setup.login.as_ref().map(|l| l.username.as_str()))
    }

    /// How sure it is that a request comes from this trunk.
    pub(super) fn sent(&self, from: Hop) -> Option<Sureness> {
        let ip = from.addr.ip().to_canonical();
        let hop = |r: &&Route| r.hop.addr.ip().to_canonical() == ip;
        if self.routes.iter().filter(hop).any(|r| r.hop == from) {
            return Some(Sureness::Hop);
        }
        if self.setup.networks.iter().any(|n| n.contains(ip)) {
            return Some(Sureness::Address);
        }
        // Many live on one loopback address: there the port counts, which a stream's end does not tell.
        let many = ip.is_loopback() && from.transport == Transport::Udp;
        (!many && self.routes.iter().any(|r| hop(&r))).then_some(Sureness::Address)
    }

    /// Whether an address is one of this trunk's.
    pub(super) fn owns(&self, ip: IpAddr) -> bool {
        self.routes.iter().any(|r| r.hop.addr.ip() == ip)
            || self.setup.networks.iter().any(|n| n.contains(ip))
    }

    /// Takes a challenge. False when answering it is of no use: no login, no digest, or one was answered already and
    /// was not only stale, which nobody is believed for ever.
    pub(super) fn challenged(&mut self, response: &Response, answered: u8) -> bool {
        let (challenge, answer) = match response.status {
            Status::PROXY_AUTHENTICATION_REQUIRED => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
            _ => (Name::WwwAuthenticate, Name::Authorization),
        };
        let Some(client) = digest::Client::new(&response.headers.auth(&challenge)) else { return false };
        let useless = answered >= CHALLENGES || (answered > 0 && !client.is_stale());
        if self.setup.login.is_none() || useless {
            return false;
        }
        self.challenge = Some((answer, client));
        true
    }

    /// Whether credentials are wanted there.
    pub(super) fn was_challenged(&self) -> bool {
        self.challenge.is_some()
    }

    /// Adds credentials for the last challenge.
    pub(super) fn authorize(&mut self, request: &mut Request, cnonce: &str) {
        if let (Some(login), Some((name, client))) = (&self.setup.login, &mut self.challenge) {
            let auth = client.authorize(login, &request.method, &request.uri, cnonce);
            request.headers.set(name.clone(), &auth.to_string());
        }
    }
}

/// What tells that a request comes from a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sureness {
    /// Its host.
    Address,
    /// Its very socket.
    Hop,
}
