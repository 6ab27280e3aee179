//! What the agent is told and what it tells: who may register, which trunks there are, what the edge carries out.

use core::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::sip::digest::{Login, ServerSettings};
use crate::sip::sdp::{Capabilities, TargetPolicy};
use crate::sip::transaction::{Hop, Settings as Timers, Transmit};
use crate::sip::uri::Uri;
use crate::types::{
    DeviceId, Dtmf, LegEvent, LegId, LineId, MediaStream, Network, PhoneNumber, ShopId, Wall,
};

/// A neighbour and the address of ours that it is spoken to from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The far end.
    pub hop: Hop,
    /// Our end: the listening socket's port, and the address that packets to the hop carry. Stands in Via and Contact.
    pub local: SocketAddr,
}

/// How the whole element behaves.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Timers of transactions.
    pub timers: Timers,
    /// Realm and algorithms for phones.
    pub digest: ServerSettings,
    /// Codecs that are offered and taken.
    pub capabilities: Capabilities,
    /// Where phones' media may be, besides the address that they signal from: the LAN.
    pub phone_media: TargetPolicy,
    /// Shortest and longest registration that is granted to a phone (RFC 3261 §10.3; 423 below).
    pub register_least: Duration,
    /// And the longest.
    pub register_most: Duration,
    /// Contacts a phone may have at a time.
    pub contacts: usize,
    /// Session timer that is asked for (RFC 4028); its least is 90 s.
    pub session_expires: Duration,
    /// Legs at a time.
    pub legs: usize,
    /// In User-Agent and Server: the product, no version (a scanner need not know it).
    pub product: String,
    /// Numbers (as dialled) that are taken also from a phone on the LAN that has not said who it is.
    pub emergency_numbers: Vec<String>,
    /// What counts as LAN for that.
    pub lan: Vec<Network>,
}

/// A phone of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSetup {
    /// Its id, known to the dial plan.
    pub id: DeviceId,
    /// What it registers with: digest user and the user part of its address.
    pub login: Login,
    /// Whose it is: texts go from phone to phone within a shop.
    pub shop: ShopId,
    /// The number that it is texted at, besides its login's name, and that its own texts come from.
    pub extension: Option<String>,
    /// Shown to the phones it calls.
    pub name: Option<String>,
    /// Only SRTP is offered and taken.
    pub secure: bool,
}

/// How a trunk wants to be told who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityStyle {
    /// P-Asserted-Identity (RFC 3325), From anonymous when private (RFC 3323).
    #[default]
    Asserted,
    /// P-Preferred-Identity.
    Preferred,
    /// Only From.
    From,
}

/// A trunk: a line that speaks SIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkSetup {
    /// The line.
    pub line: LineId,
    /// The provider's domain: Request-URI and To of calls, registrar unless said otherwise.
    pub domain: String,
    /// Account, when the provider challenges.
    pub login: Option<Login>,
    /// Register there; else the provider knows our address.
    pub register: bool,
    /// The user part of our address of record and From; the login's name when not said.
    pub user: Option<String>,
    /// Wanted time of a registration.
    pub expires: Duration,
    /// Calls are taken from here too, besides the addresses that the domain resolves to.
    pub networks: Vec<Network>,
    /// Where its media may be, besides the address that signals.
    pub media: TargetPolicy,
    /// The called number of an incoming call when the Request-URI does not tell.
    pub number: Option<PhoneNumber>,
    /// How callers are told.
    pub identity: IdentityStyle,
    /// Health by OPTIONS so often; zero asks never.
    pub options_every: Duration,
    /// Only SRTP is offered and taken.
    pub secure: bool,
    /// A NAT lies between: the address that the far side sees stands in Contact and in descriptions.
    pub nat: bool,
    /// Codecs, when not the element's.
    pub capabilities: Option<Capabilities>,
}

/// One registered contact of a phone, as it is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where requests go (Request-URI).
    pub contact: Uri,
    /// Where it is reached.
    pub route: Route,
    /// `Call-ID` and `CSeq` of its registration.
    pub call_id: String,
    /// The number of the last REGISTER.
    pub cseq: u32,
    /// Ends then.
    pub expires: Wall,
    /// `q`, in thousandths.
    pub q: u16,
    /// Path of the REGISTER (RFC 3327), first to be visited first.
    pub path: Vec<String>,
    /// `+sip.instance` without quotes (RFC 5626 §4.1): the phone itself, whatever its address.
    pub instance: Option<String>,
    /// `reg-id` (RFC 5626 §4.2): which of its flows.
    pub reg_id: Option<u32>,
    /// User-Agent, for the console.
    pub agent: Option<String>,
}

impl Binding {
    /// Becomes the newer one and keeps its texts where they are, as far as they fit: with each refresh allocated anew
    /// among what soon goes, each would keep a page.
    pub fn renew(&mut self, newer: &Self) {
        let Self { contact, route, call_id, cseq, expires, q, path, instance, reg_id, agent } = newer;
        if self.contact != *contact {
            self.contact.clone_from(contact);
        }
        self.call_id.clone_from(call_id);
        self.path.clone_from(path);
        self.instance.clone_from(instance);
        self.agent.clone_from(agent);
        (self.route, self.cseq, self.expires, self.q, self.reg_id) = (*route, *cseq, *expires, *q, *reg_id);
    }
}

/// What the edge does for the agent, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Tell the daemon.
    Leg(LegId, LegEvent),
    /// [`crate::types::MediaPorts::open`], or `open_for_help`; its result is [`super::Agent::handle_media_opened`].
    OpenMedia {
        /// For whom.
        leg: LegId,
        /// On which address.
        local: IpAddr,
        /// With keys.
        secure: bool,
        /// Also when nothing is left for ordinary calls.
        help: bool,
    },
    /// [`crate::types::MediaPorts::set`].
    SetMedia(LegId, Box<MediaStream>),
    /// [`crate::types::MediaPorts::press`].
    Press(LegId, Dtmf),
    /// [`crate::types::MediaPorts::close`]; its facts are reported as [`LegEvent::Media`] before whatever the agent
    /// says next of this leg.
    CloseMedia(LegId),
    /// A trunk takes calls, or does not any more.
    Line {
        /// Which.
        line: LineId,
        /// Whether.
        up: bool,
        /// In words, for the console.
        why: String,
    },
    /// Nothing more of this hop of a trunk for now: the edge looks its addresses up again and says
    /// [`super::Agent::handle_routes`].
    Resolve(LineId),
    /// A phone's contacts are now these; to be kept. Said when they change in a way that matters after a restart.
    Bindings(DeviceId, Vec<Binding>),
    /// Somebody behaves badly: the edge counts and bans.
    Offence {
        /// Who.
        source: IpAddr,
        /// What.
        what: Offence,
    },
    /// In words, for the journal: a password that the provider refuses, an ALG that rewrites our messages. Once each.
    Alarm(String),
}

/// Why a source is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Wrong password or unknown user.
    BadLogin,
    /// Asked for something without credentials and never came back with them.
    Probe,
    /// A request that is no phone's business here: unknown methods, foreign domains.
    Foreign,
}
