//! Where a call stands. Each phase owns what only it needs; a step consumes it and gives the next phase, or the cause
//! with which the call ends. What no phase cares about in its own way (measured audio, hold, a line's health) is done
//! before the phase is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bridge::Bridge;
use super::calls::{Branch, Call, Hears, LegState, Told};
use super::emergency::Rescue;
use super::hunt::Hunt;
use super::record::Moment;
use super::route::Test;
use super::timers::Timer;
use super::{Cx, Effect, FlowEvent};
use crate::types::{
    Dtmf, EndCause, LegCommand, LegId, Progress, PromptId, Tone, TransferProgress, TransferTarget,
};

/// A sentence lasts no longer.
const PROMPT_MOST: Duration = Duration::from_secs(90);

/// Where a call stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Somebody is looked for.
    Hunting(Hunt),
    /// Help is called.
    Rescue(Rescue),
    /// Two talk.
    Bridged(Bridge),
    /// The caller hears why nobody is there; then the call ends so.
    Announcing { leg: LegId, prompt: PromptId, cause: EndCause },
    /// A flow has the caller.
    InFlow { leg: LegId, prompt: Option<PromptId> },
    /// The caller tries his phone.
    Testing { leg: LegId, test: Test },
}

/// What a step comes to.
#[derive(Debug)]
pub(super) enum Next {
    Go(Phase),
    End(EndCause),
}

/// A leg that is over and has left the call, as its phase hears of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) cause: EndCause,
    /// How to go on, when it was dialled and not answered.
    pub(super) branch: Option<Branch>,
}

/// What a phase is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Progress(Progress),
    Answered,
    Key { key: Dtmf, carried: bool },
    Transfer(TransferTarget),
    Silent,
    Over(Over),
}

impl Phase {
    /// A leg reports.
    pub(super) fn leg(self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, ask: Ask) -> Next {
        match self {
            Self::Hunting(hunt) => hunt.leg(call, cx, leg, ask),
            Self::Rescue(rescue) => rescue.leg(call, cx, leg, ask),
            Self::Bridged(bridge) => bridge.leg(call, cx, leg, ask),
            Self::Announcing { cause, .. } => match ask {
                Ask::Over(_) => Next::End(cause),
                Ask::Transfer(_) => self.no_transfer(cx, leg),
                Ask::Progress(_) | Ask::Answered | Ask::Key { .. } | Ask::Silent => Next::Go(self),
            },
            Self::InFlow { .. } => match ask {
                Ask::Over(over) => Next::End(over.caller_cause(call)),
                Ask::Silent => Next::End(EndCause::MediaLost),
                Ask::Key { key, .. } => {
                    let call = call.id.clone();
                    cx.desk.effects.push_back(Effect::Flow(FlowEvent::Key { call, key }));
                    Next::Go(self)
                }
                Ask::Transfer(_) => self.no_transfer(cx, leg),
                Ask::Progress(_) | Ask::Answered => Next::Go(self),
            },
            Self::Testing { .. } => match ask {
                Ask::Over(over) => Next::End(over.caller_cause(call)),
                Ask::Silent => Next::End(EndCause::MediaLost),
                Ask::Transfer(_) => self.no_transfer(cx, leg),
                Ask::Progress(_) | Ask::Answered | Ask::Key { .. } => Next::Go(self),
            },
        }
    }

    /// Refuses a transfer that makes no sense now.
    pub(super) fn no_transfer(self, cx: &mut Cx<'_>, leg: &LegId) -> Next {
        cx.leg(leg, LegCommand::Transfer(TransferProgress::Failed(EndCause::Rejected)));
        Next::Go(self)
    }

    /// A timer of the call is due.
    pub(super) fn timer(self, call: &mut Call, cx: &mut Cx<'_>, timer: &Timer) -> Next {
        match timer {
            Timer::Longest => return Next::End(EndCause::TooLong),
            Timer::Minute(leg) => {
                return if call.next_minute(cx, leg) { Next::Go(self) } else { Next::End(EndCause::Capped) };
            }
            Timer::Ring | Timer::Silence(_) | Timer::Round | Timer::Prompt => {}
        }
        match self {
            Self::Hunting(hunt) => hunt.timer(call, cx, timer),
            Self::Rescue(rescue) => rescue.timer(call, cx, timer),
            Self::Announcing { cause, .. } if *timer == Timer::Prompt => Next::End(cause),
            Self::Bridged(_) | Self::Announcing { .. } | Self::InFlow { .. } | Self::Testing { .. } => {
                Next::Go(self)
            }
        }
    }

    /// A prompt that a leg heard is over.
    pub(super) fn played(self, call: &Call, cx: &mut Cx<'_>) -> Next {
        match self {
            Self::Announcing { cause, .. } => Next::End(cause),
            Self::InFlow { leg, prompt } => {
                if let Some(prompt) = prompt {
                    let call = call.id.clone();
                    cx.desk.effects.push_back(Effect::Flow(FlowEvent::Played { call, prompt }));
                }
                Next::Go(Self::InFlow { leg, prompt: None })
            }
            // Music on hold, or the sentence of an emergency call without a line: from the beginning again.
            Self::Hunting(_) | Self::Rescue(_) | Self::Bridged(_) | Self::Testing { .. } => Next::Go(self),
        }
    }

    /// What each leg is to hear.
    pub(super) fn hears(&self, call: &Call, cx: &Cx<'_>) -> BTreeMap<LegId, Hears> {
        match self {
            Self::Hunting(hunt) => hunt.hears(call),
            Self::Rescue(rescue) => rescue.hears(call, cx),
            Self::Bridged(bridge) => bridge.hears(call),
            Self::Announcing { leg, prompt, .. } => prompted(call, leg, prompt),
            Self::InFlow { leg, prompt: Some(prompt) } => prompted(call, leg, prompt),
            Self::InFlow { prompt: None, .. } => BTreeMap::new(),
            Self::Testing { leg, test } => {
                let sound = match test {
                    Test::Echo => Hears::Echo,
                    Test::Tone => Hears::Tone(Tone::Milliwatt),
                };
                call.can_hear(leg).then(|| (leg.clone(), sound)).into_iter().collect()
            }
        }
    }

    /// Somebody from outside hears that nobody is there.
    pub(super) fn announce(call: &mut Call, cx: &mut Cx<'_>, leg: LegId) -> Next {
        let prompt = call.sentence(cx);
        call.lift(cx, &leg);
        cx.desk.timers.set(&call.id, Timer::Prompt, cx.now.mono + PROMPT_MOST);
        Next::Go(Self::Announcing { leg, prompt, cause: EndCause::Nobody })
    }

    /// A phone of the shop is told why its call does not come about: before an answer, because there is none.
    pub(super) fn refuse(call: &mut Call, cx: &mut Cx<'_>, leg: LegId, cause: EndCause) -> Next {
        let unanswered = call.legs.get(&leg).is_some_and(|l| matches!(l.state, LegState::Offered(_)));
        let Some(name) = spoken(cause).filter(|_| unanswered && cx.desk.plan.data.spoken_reasons) else {
            return Next::End(cause);
        };
        call.open_early(cx, &leg);
        cx.desk.timers.set(&call.id, Timer::Prompt, cx.now.mono + PROMPT_MOST);
        Next::Go(Self::Announcing { leg, prompt: PromptId::from(name), cause })
    }

    /// A flow takes the caller.
    pub(super) fn flow(call: &mut Call, cx: &mut Cx<'_>, leg: LegId, flow: String) -> Next {
        call.lift(cx, &leg);
        call.flow = Some(flow.clone());
        call.taken(cx);
        cx.desk.effects.push_back(Effect::Flow(FlowEvent::Started { call: call.id.clone(), flow }));
        Next::Go(Self::InFlow { leg, prompt: None })
    }

    /// The box itself takes a caller who tries his phone.
    pub(super) fn test(call: &mut Call, cx: &mut Cx<'_>, leg: LegId, test: Test) -> Next {
        call.lift(cx, &leg);
        call.taken(cx);
        Next::Go(Self::Testing { leg, test })
    }
}

impl Over {
    /// What the end of the caller's own leg means for the call.
    pub(super) fn caller_cause(&self, call: &Call) -> EndCause {
        match self.cause {
            EndCause::Hangup | EndCause::Cancelled if call.answered.is_some() => EndCause::Hangup,
            EndCause::Hangup | EndCause::Cancelled => EndCause::Cancelled,
            other => other,
        }
    }
}

/// The sentence for a cause that a phone has no tone for.
fn spoken(cause: EndCause) -> Option<&'static str> {
    match cause {
        EndCause::Barred | EndCause::Capped => Some("barred"),
        EndCause::LineDown | EndCause::LineBusy => Some("lines-busy"),
        EndCause::BadNumber | EndCause::Unreachable | EndCause::Rejected | EndCause::Unavailable => {
            Some("unreachable")
        }
        EndCause::Hangup
        | EndCause::Transferred
        | EndCause::Elsewhere
        | EndCause::Cancelled
        | EndCause::Busy
        | EndCause::NoAnswer
        | EndCause::Declined
        | EndCause::Nobody
        | EndCause::MediaLost
        | EndCause::NoCodec
        | EndCause::Cleared
        | EndCause::TooLong
        | EndCause::Stopped
        | EndCause::Crash => None,
    }
}

fn prompted(call: &Call, leg: &LegId, prompt: &PromptId) -> BTreeMap<LegId, Hears> {
    let mut hears = BTreeMap::new();
    if call.can_hear(leg) {
        hears.insert(leg.clone(), Hears::Prompt(prompt.clone(), false));
    }
    hears
}

impl Call {
    /// Pays for the next minute of an outgoing leg.
    fn next_minute(&mut self, cx: &mut Cx<'_>, id: &LegId) -> bool {
        let caps = cx.desk.plan.data.caps;
        let Some(meter) = self.legs.get_mut(id).and_then(|l| l.meter.as_mut()) else { return true };
        if !cx.desk.ledger.minute(&caps, meter) {
            return false;
        }
        cx.desk.timers.set(&self.id, Timer::Minute(id.clone()), cx.now.mono + super::calls::MINUTE);
        self.write(cx, Moment::Charged, None);
        true
    }

    /// How far a caller's leg must be told before audio reaches it.
    pub(super) fn open_early(&mut self, cx: &mut Cx<'_>, leg: &LegId) {
        if self.legs.get(leg).is_some_and(|l| matches!(l.state, LegState::Offered(_))) {
            self.tell(cx, leg, Told::Early);
        }
    }
}
