//! The trunk's door: who is registered, who has shown a password.

use super::plan::{Health, Registrar};
use super::{Shop, TrunkConfig};
use crate::sip::dialog::hop;
use crate::sip::digest::{Challenge, Credentials, nonce_of, proves};
use crate::sip::{Message, NameAddr, Peer, Served, Uri, lock, token};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// A customer of the trunk.
#[derive(Clone)]
pub struct Account {
    pub user: String,
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.user)
    }
}

impl Account {
    #[must_use]
    pub fn new(user: &str, password: &str) -> Account {
        Account { user: user.into(), password: password.into() }
    }
}

struct Binding {
    contact: Uri,
    from: Peer,
    until: Instant,
}

pub(super) struct Door {
    pub(super) registrar: Registrar,
    pub(super) health: Health,
    config: TrunkConfig,
    bindings: BTreeMap<String, Binding>,
    /// Nonces with how often each was used.
    nonces: BTreeMap<String, u32>,
}

impl Door {
    pub(super) fn new(config: &TrunkConfig) -> Door {
        Door {
            registrar: Registrar::Accept,
            health: Health::Answer,
            config: config.clone(),
            bindings: BTreeMap::new(),
            nonces: BTreeMap::new(),
        }
    }

    pub(super) fn forget_nonces(&mut self) {
        self.nonces.clear();
    }

    pub(super) fn bindings(&self) -> Vec<(String, Uri)> {
        let now = Instant::now();
        let live = self.bindings.iter().filter(|(_, binding)| binding.until > now);
        live.map(|(user, binding)| (user.clone(), binding.contact.clone())).collect()
    }

    /// Whether somebody is registered from this address.
    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        let now = Instant::now();
        self.bindings.values().any(|b| b.from.address == address && b.until > now)
    }

    /// Request-URI and way of a call to `number`.
    pub(super) fn way_to(&self, number: &str, otherwise: Peer) -> (Uri, Peer) {
        let now = Instant::now();
        match self.bindings.values().find(|binding| binding.until > now) {
            Some(binding) => {
                let mut uri = binding.contact.clone();
                uri.user = Some(number.to_owned());
                let peer = match binding.from.protocol {
                    // A connection that the box opened leads back to it.
                    crate::sip::Protocol::Tcp => binding.from,
                    crate::sip::Protocol::Udp => hop(&binding.contact, binding.from),
                };
                (uri, peer)
            }
            None => (Uri::sip(number, &otherwise.address.to_string()), otherwise),
        }
    }

    /// The account that a request proves; else the challenge for it, or `None` for a wrong password.
    pub(super) fn check(&mut self, request: &Message, header: &str) -> Result<String, Option<Challenge>> {
        let Some(value) = request.header(header) else { return Err(Some(self.challenge(false))) };
        let nonce = nonce_of(value).unwrap_or_default();
        let Some(uses) = self.nonces.get_mut(&nonce) else { return Err(Some(self.challenge(true))) };
        *uses += 1;
        if self.config.nonce_uses.is_some_and(|most| *uses > most) {
            self.nonces.remove(&nonce);
            return Err(Some(self.challenge(true)));
        }
        let method = request.method().unwrap_or_default();
        let accounts = self.config.accounts.iter();
        let mut proven = accounts.filter(|account| {
            let who = Credentials { user: account.user.clone(), password: account.password.clone() };
            proves(value, &who, method, &nonce)
        });
        proven.next().map(|account| account.user.clone()).ok_or(None)
    }

    fn challenge(&mut self, stale: bool) -> Challenge {
        let nonce = token();
        self.nonces.insert(nonce.clone(), 0);
        Challenge::new("hil", &nonce, self.config.algorithm, stale)
    }
}

/// Answers a REGISTER.
pub(super) fn register(shop: &Shop, served: &Served) {
    let mut door = lock(&shop.door);
    let asked = asked(&served.request);
    match door.registrar {
        Registrar::Accept => {}
        Registrar::Refuse(status) => return served.refuse(status),
        Registrar::Silence => return,
        Registrar::AtLeast(least) if asked > 0 && asked < least => {
            return served.respond(&served.response(423, &token()).with("Min-Expires", least));
        }
        Registrar::AtLeast(_) => {}
    }
    if !door.config.accounts.is_empty() {
        match door.check(&served.request, "Authorization") {
            Ok(_) => {}
            Err(Some(challenge)) => {
                shop.count(|counters| counters.challenged += 1);
                let value = challenge.write();
                return served.respond(&served.response(401, &token()).with("WWW-Authenticate", value));
            }
            Err(None) => {
                shop.count(|counters| counters.wrong_password += 1);
                return served.refuse(403);
            }
        }
    }
    let user =
        served.request.header("To").and_then(NameAddr::read).map(|to| to.uri.number()).unwrap_or_default();
    let granted = asked.min(door.config.expires);
    let mut response = served.response(200, &token());
    match served.request.contact() {
        Some(contact) if granted > 0 => {
            response = response.with("Contact", format!("<{}>;expires={granted}", contact.uri));
            let until = Instant::now() + Duration::from_secs(granted.into());
            door.bindings.insert(user, Binding { contact: contact.uri, from: served.from, until });
        }
        Some(_) => drop(door.bindings.remove(&user)),
        None if served.request.header("Contact").is_some_and(|c| c.trim() == "*") => {
            door.bindings.remove(&user);
        }
        None => {}
    }
    drop(door);
    if granted > 0 {
        shop.count(|counters| counters.registered += 1);
    }
    served.respond(&response);
}

/// Seconds that a REGISTER asks for.
fn asked(request: &Message) -> u32 {
    let contact = request.contact().and_then(|contact| contact.param("expires")?.parse().ok());
    let header = || request.header("Expires").and_then(|text| text.trim().parse().ok());
    contact.or_else(header).unwrap_or(3_600)
}
