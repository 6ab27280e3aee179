//! SIP over sockets: UDP, TCP and TLS listeners and connections, DNS, who may send how much. Drives
//! [`crate::sip::agent::Agent`] and reports what it says of legs, lines and phones.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::sip::agent::{Binding, DeviceSetup, TrunkSetup};
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
    Trunks(Vec<TrunkSetup>),
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
