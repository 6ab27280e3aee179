//! SIP over sockets: UDP, TCP and TLS listeners and connections, DNS, who may send how much, our own address. Drives
//! [`crate::sip::agent::Agent`] and reports what it says of legs, lines and phones.
//!
//! [`bind`] takes the sockets, [`run`] is the whole edge: one task, and one more for each connection. An `if` about
//! what SIP means belongs in the agent. Sound is another edge's: it is opened, set and closed through
//! [`crate::types::MediaPorts`] at once, in the order in which the agent says so.

mod addresses;
mod bind;
mod config;
mod counters;
mod dns;
mod edge;
mod events;
mod gate;
mod lines;
mod local;
mod run;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod trace;
mod udp;

pub use bind::{BindError, Bound, bind};
pub use config::{DnsSettings, Limits, Listener, Reach, TlsFiles, TrunkConfig, TrunkLine};
pub use counters::Counters;
pub use gate::{GateSettings, Rate};
pub use run::run;
pub use tls::TlsError;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::sip::agent::{Binding, DeviceSetup};
use crate::types::{DeviceId, LegCommand, LegEvent, LegId, LineId, MediaPorts};

/// What the edge reports to the loop, in the order in which it happened.
#[derive(Clone, Debug, PartialEq)]
pub enum TrunkEvent {
    /// Of a leg.
    Leg(LegId, LegEvent),
    /// A trunk takes calls, or does not any more.
    Line {
        /// Which.
        line: LineId,
        /// Whether.
        up: bool,
        /// In words.
        why: String,
    },
    /// A phone's contacts are now these: to be kept.
    Bindings(DeviceId, Vec<Binding>),
    /// For the journal.
    Alarm(String),
}

/// What the loop tells the edge.
#[derive(Clone, Debug)]
pub enum TrunkCommand {
    /// Of a leg.
    Leg(LegId, LegCommand),
    /// The phones are now these.
    Devices(Vec<DeviceSetup>),
    /// The trunks are now these.
    Trunks(Vec<TrunkLine>),
}

/// The loop's ends of the edge.
#[derive(Debug)]
pub struct Ends {
    /// Commands in.
    pub commands: mpsc::Receiver<TrunkCommand>,
    /// Events out.
    pub events: mpsc::Sender<TrunkEvent>,
    /// True when the box stops.
    pub stop: watch::Receiver<bool>,
    /// Where sound is.
    pub media: Arc<dyn MediaPorts>,
}

/// Why the edge ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrunkError {
    /// Nobody takes events or gives commands any more.
    #[error("the loop that calls are told to is gone")]
    LoopGone,
}
