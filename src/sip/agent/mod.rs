//! The user agent: dialogs and calls (RFC 3261 §12 to §15), phones that register here, registrations with trunks.
//! Messages, commands and time in; messages, leg events and media orders out.

mod api;
mod gate;
mod registrar;
mod registration;

pub use api::{AgentSettings, Binding, DeviceSetup, IdentityStyle, Offence, Output, Route, TrunkSetup};

use std::collections::VecDeque;

use crate::sip::message::Message;
use crate::types::{DeviceId, LegCommand, LegId, LineId, LocalMedia, MediaRefused, Mono, Now};

/// One SIP element: all its dialogs, bindings and registrations.
#[derive(Debug)]
pub struct Agent {
    outputs: VecDeque<Output>,
}

impl Agent {
    /// Nothing registered, no calls. `seed` is secret and never the same again: tags, branches, Call-IDs, nonces and
    /// leg ids come from it.
    #[must_use]
    pub fn new(_settings: AgentSettings, _seed: [u8; 32]) -> Self {
        Self { outputs: VecDeque::new() }
    }

    /// The phones are now these. Those that are gone lose their bindings; calls go on.
    pub fn handle_devices(&mut self, _devices: Vec<DeviceSetup>, _now: Now) {}

    /// The trunks are now these.
    pub fn handle_trunks(&mut self, _trunks: Vec<TrunkSetup>, _now: Now) {}

    /// What was kept of a phone's contacts before a restart.
    pub fn restore(&mut self, _device: &DeviceId, _bindings: Vec<Binding>, _now: Now) {}

    /// A trunk's addresses, best first (RFC 3263); none when it cannot be looked up. The answer to
    /// [`Output::Resolve`], and again whenever they or our own address change: then it registers anew and
    /// re-INVITEs its calls.
    pub fn handle_routes(&mut self, _line: &LineId, _routes: Vec<Route>, _now: Now) {}

    /// A message from the wire, with where it came from and where it came in.
    pub fn handle_message(&mut self, _message: Message, _from: Route, _now: Now) {}

    /// Nothing can be sent there: a port unreachable, a connection that broke or could not be made.
    pub fn handle_transport_error(&mut self, _route: Route, _now: Now) {}

    /// Our address towards phones changed from one to another: their calls are re-INVITEd.
    pub fn handle_address(&mut self, _old: core::net::IpAddr, _new: core::net::IpAddr, _now: Now) {}

    /// Call control wants something done with a leg.
    pub fn handle_command(&mut self, _leg: &LegId, _command: LegCommand, _now: Now) {}

    /// The answer to [`Output::OpenMedia`].
    pub fn handle_media_opened(
        &mut self,
        _leg: &LegId,
        _opened: Result<LocalMedia, MediaRefused>,
        _now: Now,
    ) {
    }

    /// [`Agent::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// What is to be done next; ask until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Agent::handle_timeout`] is wanted, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        None
    }

    /// Ends every call and unregisters, for a shutdown: the outputs that follow are sent without waiting for answers.
    pub fn stop(&mut self, _now: Now) {}
}
