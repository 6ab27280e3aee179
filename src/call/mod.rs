//! Call control: calls, their legs, who rings and in which order, hold, transfer, emergency calls, caps, and one durable
//! record with one end cause for every call. Pure: edges report [`crate::types::LegEvent`]s, call control answers with
//! [`Effect`]s.
//!
//! It never learns whether a leg is a SIP dialog, a call of a modem or a browser. An edge cannot end a call, it can
//! only report; a leg that reports after call control has let go of it is told to hang up again, so a success that
//! crosses a cancellation does not live on.
//!
//! One [`CallControl`] serves one shop. A call is a `calls::Call` (legs, what each hears, its record) and a
//! `phase::Phase`, an enum that owns what only that phase needs; a step consumes the phase and gives the next, or the
//! cause of the end.
//!
//! Deliberately absent: queue, conference, park, voicemail and recording; opening hours (an input); consent
//! (checked by who carries [`Effect::TextBack`] out); signalling, audio and rows.

mod bridge;
mod calls;
mod caps;
mod control;
mod countries;
mod emergency;
mod hunt;
mod lines;
mod phase;
mod plan;
mod plan_check;
mod record;
mod route;
#[cfg(test)]
mod tests;
mod timers;
mod transfer;

pub use caps::Charge;
pub use control::{CallControl, Command, CommandError, Counters};
pub use countries::{NumberClass, emergency_numbers};
pub use plan::{
    Allow, Cap, Caps, DialPlan, Extension, Group, Hours, Inbound, Line, Member, Nobody, Outbound,
    OutboundLine, Plan, RingOrder, Target,
};
pub use plan_check::PlanProblem;
pub use record::{
    CallRecord, Direction, EmergencyFact, LegRecord, Moment, Stamp, TransferKind, TransferRecord,
};

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::types::{
    CallId, Dialled, Dtmf, EndCause, EventId, Identity, LegCommand, LegId, LineId, MediaCommand, Mono, Now,
    PhoneNumber, PromptId, ShopId, Via, derive_sid,
};

use calls::Entry;
use caps::Ledger;
use lines::Lines;
use timers::Timers;

/// What call control wants done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Live: tell the edge that carries the leg.
    Leg(LegId, LegCommand),
    /// Live: tell the media edge.
    Media(MediaCommand),
    /// Durable: write the call's row. The whole record each time.
    Record(Moment, Box<CallRecord>),
    /// Durable: "sorry we missed you", with this flow behind it. Consent is still to be checked.
    TextBack {
        /// Which call was missed.
        call: CallId,
        /// Where it came in.
        line: LineId,
        /// To whom.
        to: PhoneNumber,
        /// Which flow.
        flow: String,
    },
    /// Durable: somebody in the shop is calling for help. Once a call, after dialling has begun (Kari's Law).
    Emergency(EmergencyNotice),
    /// What a flow that answers a call is told.
    Flow(FlowEvent),
}

impl Effect {
    /// True when it is a row before it leaves; the others leave at once and are worthless after a crash.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        match self {
            Self::Record(..) | Self::TextBack { .. } | Self::Emergency(_) => true,
            Self::Leg(..) | Self::Media(_) | Self::Flow(_) => false,
        }
    }
}

/// What the desk must learn of an emergency call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencyNotice {
    /// Which call.
    pub call: CallId,
    /// As it went out.
    pub number: String,
    /// Only the test of the address: nobody need run.
    pub test: bool,
    /// The phone that calls.
    pub from: Via,
    /// The extension's number and name.
    pub who: Identity,
    /// Reaches the caller from outside.
    pub callback: Option<PhoneNumber>,
    /// Where help is to come.
    pub location: String,
    /// Over which line it was dialled first.
    pub line: LineId,
}

/// What a flow that answers a call is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// It has the call; the caller is answered.
    Started {
        /// Which call.
        call: CallId,
        /// Which flow.
        flow: String,
    },
    /// The caller pressed a key.
    Key {
        /// Which call.
        call: CallId,
        /// Which key.
        key: Dtmf,
    },
    /// A prompt that it asked for is over.
    Played {
        /// Which call.
        call: CallId,
        /// Which prompt.
        prompt: PromptId,
    },
    /// Who it wanted to connect did not take the call, and the flow has it again.
    NotConnected {
        /// Which call.
        call: CallId,
        /// Why.
        cause: EndCause,
    },
    /// The call is over; also said when the call had left the flow.
    Ended {
        /// Which call.
        call: CallId,
        /// Why.
        cause: EndCause,
    },
}

/// Whoever took a call for help may call back, and then the shop must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Callback {
    /// What they were shown.
    number: PhoneNumber,
    /// The phone that called.
    from: Via,
    until: Mono,
}

/// Callers that are texted in one pause at most: no shop misses as many, and who calls can show any number, each
/// of which would get a text at the shop's cost.
const TEXTED_MOST: usize = 120;

/// What all calls of a shop share.
#[derive(Debug)]
struct Desk {
    shop: ShopId,
    seed: EventId,
    serial: u64,
    plan: Plan,
    hours: BTreeMap<String, Hours>,
    lines: Lines,
    ledger: Ledger,
    timers: Timers,
    index: BTreeMap<LegId, CallId>,
    texted: BTreeMap<PhoneNumber, Mono>,
    callback: Option<Callback>,
    effects: VecDeque<Effect>,
    counters: Counters,
}

impl Desk {
    fn sid(&mut self, prefix: &str) -> String {
        self.serial += 1;
        derive_sid(prefix, &[self.shop.as_str(), &self.seed.to_string(), &self.serial.to_string()])
    }

    /// True once a caller in `pause`, and of callers as many as there may be.
    fn may_text(&self, to: &PhoneNumber, now: Mono, pause: Duration) -> bool {
        let lately = self.texted.iter().filter(|(_, at)| now.since(**at) < pause);
        let (mut count, mut before) = (0, false);
        for (number, _) in lately {
            count += 1;
            before |= number == to;
        }
        !before && count < TEXTED_MOST
    }

    fn is_texted(&mut self, to: &PhoneNumber, now: Mono, pause: Duration) {
        self.texted.retain(|_, at| now.since(*at) < pause);
        self.texted.insert(to.clone(), now);
    }
}

/// What a step of one call works with: the shop's state, the other calls, its time.
struct Cx<'a> {
    desk: &'a mut Desk,
    others: &'a mut BTreeMap<CallId, Entry>,
    now: Now,
}

impl Cx<'_> {
    fn leg(&mut self, leg: &LegId, command: LegCommand) {
        self.desk.effects.push_back(Effect::Leg(leg.clone(), command));
    }

    /// Who an outgoing leg shows as its caller on this line.
    fn identity_on(&self, line: &LineId, from: &Identity, outside_caller: bool) -> Identity {
        let line = self.desk.plan.line(line);
        let pass = outside_caller && line.is_some_and(|l| l.pass_caller) && from.address.is_some();
        let own = line.and_then(|l| l.number.clone()).map(crate::types::Address::Phone);
        Identity {
            address: if pass { from.address.clone() } else { own },
            display: if pass { from.display.clone() } else { None },
            private: from.private && (pass || !outside_caller),
        }
    }

    /// What a phone of the shop shows.
    fn identity_inside(from: &Identity) -> Identity {
        if from.private { Identity { address: None, display: None, private: true } } else { from.clone() }
    }

    fn target_text(number: &str) -> Dialled {
        number.into()
    }
}
