//! The serial edge of one line: finds the modem's port, carries bytes between it and [`at::Engine`], events to the
//! daemon and commands back. Everything that means something in AT is decided in `at`; what is decided here is
//! which port, and what to do when a queue is full: events that cannot be delivered stop the reading, nothing is
//! dropped.
//!
//! Absent yet: audio ports and power over USB.

mod driver;
mod find;
mod pin_memory;
mod port;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::at::{Pin, Settings};
use crate::types::{LineCommand, LineEvent, LineId, Mono};

pub use port::{CANDIDATES, Ports};

/// How the modem of a line is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// A stable name: `/dev/serial/by-id/…`, or a link. When the name is gone, the modem that was there is looked
    /// for by its IMEI.
    ByPath(PathBuf),
    /// The modem with this IMEI, wherever it is.
    ByImei(String),
    /// The first modem that answers and is no other line's.
    Any,
}

/// One line's modem.
#[derive(Clone, Debug)]
pub struct ModemConfig {
    /// Goes with every event.
    pub line: LineId,
    /// How it is found.
    pub port: PortChoice,
    /// Names and `*` patterns that are probed; [`CANDIDATES`] by default.
    pub candidates: Vec<String>,
    /// Bits a second; means nothing to USB modems and pseudo-terminals.
    pub baud: u32,
    /// The SIM's PIN, entered once when the SIM asks.
    pub pin: Option<Pin>,
    /// Where it is remembered that the PIN was tried; without it only this process remembers.
    pub pin_memory: Option<PathBuf>,
    /// Durations and bounds of the engine.
    pub settings: Settings,
}

impl ModemConfig {
    /// A modem found as `port` says, with every default.
    #[must_use]
    pub fn new(line: LineId, port: PortChoice) -> Self {
        Self {
            line,
            port,
            candidates: CANDIDATES.iter().map(|&name| name.to_owned()).collect(),
            baud: 115_200,
            pin: None,
            pin_memory: None,
            settings: Settings::default(),
        }
    }
}

/// Runs one line until `shutdown` is ready, or nobody listens to `events` any more. Every
/// [`LineCommand::Send`](LineCommand::Send) is answered, also at shutdown; the last event is
/// [`LineEvent::Down`](LineEvent::Down).
///
/// `now` is the clock of the cores (`CLOCK_BOOTTIME` in milliseconds). A closed `commands` channel alone ends
/// nothing.
pub async fn run(
    config: ModemConfig,
    ports: Ports,
    commands: mpsc::Receiver<LineCommand>,
    events: mpsc::Sender<(LineId, LineEvent)>,
    now: impl Fn() -> Mono + Send + Sync,
    shutdown: impl Future<Output = ()> + Send,
) {
    driver::Driver::new(config, ports, commands, events).run(&now, shutdown).await;
}
