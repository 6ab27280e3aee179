//! Calls for help. No prefix, no cap, no schedule, no queue: the first line that is free, in the owner's order of
//! reserve; if none is, an ordinary call is cleared; if a line does not take it, the next one, round and round, until
//! somebody answers, the caller hangs up, or all have refused for half an hour. The desk is told as soon as dialling
//! has begun.
//!
//! 47 CFR 9.16 (Kari's Law: direct dialling, notification), RAY BAUM's Act §506 (location).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::bridge::Bridge;
use super::calls::{Branch, Call, Dial, Entry, Hears, LegState, Told};
use super::countries::EmergencyNumber;
use super::phase::{Ask, Next, Over, Phase};
use super::record::EmergencyFact;
use super::timers::Timer;
use super::{Callback, Cx, Effect, EmergencyNotice};
use crate::types::{Address, EndCause, Identity, LegId, LineId, Progress, PromptId, Tone, Via};

/// A line that says nothing for so long gets company: the next line is dialled beside it. It is not hung up, because a
/// mobile network may need longer than this to change to a radio that carries calls.
const COMPANY: Duration = Duration::from_secs(8);
/// Between two rounds over all lines: each line has just said no.
const ROUND: Duration = Duration::from_secs(1);
/// So long after a call for help, a call to the number that was shown with it rings every phone of the shop, whatever
/// the hours and the plan say: it may be the emergency service that was cut off.
const CALLBACK: Duration = Duration::from_secs(1800);
/// A caller whose phone has lost its power cannot hang up, and providers are not asked for help for ever for nobody.
const NOBODY_ANSWERS: Duration = Duration::from_secs(1800);
/// What the caller hears while no line of the box works: take another phone.
const NO_LINE: &str = "emergency-no-line";

/// A call for help on its way.
#[derive(Debug)]
pub(super) struct Rescue {
    pub(super) caller: LegId,
    number: EmergencyNumber,
    /// The phone that called, for the desk.
    from: Via,
    tried: BTreeSet<LineId>,
    noticed: bool,
    /// In the round before, no line took it.
    hopeless: bool,
    early: Option<LegId>,
}

impl Call {
    /// Marks the call: from here on no cap or silence ends it, nor length while it rings or is answered, and nothing is
    /// withheld.
    pub(super) fn is_emergency(&mut self, number: &EmergencyNumber) {
        let fact = EmergencyFact { number: number.number.clone(), test: number.test, attempts: 0 };
        self.emergency = Some(fact);
        self.from.private = false;
    }
}

impl Rescue {
    /// Somebody calls for help.
    pub(super) fn begin(
        call: &mut Call,
        cx: &mut Cx<'_>,
        caller: LegId,
        number: EmergencyNumber,
        from: Via,
    ) -> Next {
        call.emergency =
            Some(EmergencyFact { number: number.number.clone(), test: number.test, attempts: 0 });
        call.from.private = false;
        cx.desk.timers.cancel(&call.id, &Timer::Longest);
        let rescue = Self {
            caller,
            number,
            from,
            tried: BTreeSet::new(),
            noticed: false,
            hopeless: false,
            early: None,
        };
        rescue.attempt(call, cx)
    }

    /// The line broke while they talked: help is called again.
    pub(super) fn again(call: &Call, caller: LegId) -> Option<Self> {
        let fact = call.emergency.as_ref().filter(|f| !f.test)?;
        let number = EmergencyNumber { number: fact.number.clone(), test: false };
        let from = call.legs.get(&caller)?.via.clone();
        Some(Self {
            caller,
            number,
            from,
            tried: BTreeSet::new(),
            noticed: true,
            hopeless: false,
            early: None,
        })
    }

    /// Dials over the next line that was not tried in this round.
    pub(super) fn attempt(mut self, call: &mut Call, cx: &mut Cx<'_>) -> Next {
        cx.desk.timers.cancel(&call.id, &Timer::Round);
        loop {
            let lines = cx.desk.lines.for_emergency(&cx.desk.plan);
            let next = lines.into_iter().find(|l| !self.tried.contains(&l.id)).map(|l| l.id.clone());
            let Some(line) = next else {
                if !call.dialled().is_empty() {
                    return Next::Go(Phase::Rescue(self));
                }
                self.tried.clear();
                if self.number.test {
                    return Next::End(EndCause::LineDown);
                }
                // Nobody waits in silence: the caller may be at a better phone before the next round.
                if !std::mem::replace(&mut self.hopeless, true) {
                    cx.desk.timers.set(&call.id, Timer::Longest, cx.now.mono + NOBODY_ANSWERS);
                }
                call.open_early(cx, &self.caller);
                cx.desk.timers.set(&call.id, Timer::Round, cx.now.mono + ROUND);
                return Next::Go(Phase::Rescue(self));
            };
            self.tried.insert(line.clone());
            if self.make_room(cx, &line) {
                self.dial(call, cx, line);
                return Next::Go(Phase::Rescue(self));
            }
        }
    }

    /// A line came up: when nothing better is under way, it is dialled now.
    pub(super) fn line_up(mut self, call: &mut Call, cx: &mut Cx<'_>, line: &LineId) -> Next {
        let ringing = call.legs.values().any(|l| matches!(l.state, LegState::Dialled { ringing: true, .. }));
        let on_it = call.legs.values().any(|l| l.via.line() == Some(line));
        if ringing || on_it {
            return Next::Go(Phase::Rescue(self));
        }
        self.tried.remove(line);
        self.attempt(call, cx)
    }

    /// Clears ordinary calls from a line until one more fits.
    fn make_room(&self, cx: &mut Cx<'_>, line: &LineId) -> bool {
        while !cx.desk.plan.line(line).is_some_and(|l| cx.desk.lines.has_room(l)) {
            if self.number.test {
                return false;
            }
            let on_line = |entry: &Entry| entry.call.legs.values().any(|leg| leg.via.line() == Some(line));
            let ordinary = |entry: &Entry| entry.call.emergency.as_ref().is_none_or(|e| e.test);
            let candidates = cx.others.iter().filter(|(_, e)| on_line(e) && ordinary(e));
            // Who has not been answered loses least, then who began last.
            let least = candidates.min_by_key(|(_, e)| (e.call.answered.is_some(), Reverse(e.call.since())));
            let Some(entry) = least.map(|(id, _)| id.clone()).and_then(|id| cx.others.remove(&id)) else {
                return false;
            };
            entry.call.end(cx, EndCause::Cleared);
        }
        true
    }

    fn dial(&mut self, call: &mut Call, cx: &mut Cx<'_>, line: LineId) {
        let extension = self.from.device().and_then(|d| cx.desk.plan.extension_of(d));
        let own = cx.desk.plan.line(&line).and_then(|l| l.number.clone());
        let callback = extension.and_then(|e| e.direct.clone()).or(own);
        let location = extension.and_then(|e| e.location.clone());
        let location = location.unwrap_or_else(|| cx.desk.plan.data.location.clone());
        let identity = Identity {
            address: callback.clone().map(Address::Phone),
            display: call.from.display.clone(),
            private: false,
        };
        let target = Cx::target_text(&self.number.number);
        let via = Via::Line(line.clone());
        let dial = Dial { via, target, identity, ring_for: None, branch: Branch::Emergency, meter: None };
        let leg = call.dial(cx, dial);
        cx.desk.timers.set(&call.id, Timer::Silence(leg), cx.now.mono + COMPANY);
        if let Some(fact) = &mut call.emergency {
            fact.attempts = fact.attempts.saturating_add(1);
        }
        if let (Some(number), false) = (&callback, self.number.test) {
            cx.desk.callback = Some(Callback {
                number: number.clone(),
                from: self.from.clone(),
                until: cx.now.mono + CALLBACK,
            });
        }
        if !self.noticed {
            self.noticed = true;
            cx.desk.effects.push_back(Effect::Emergency(EmergencyNotice {
                call: call.id.clone(),
                number: self.number.number.clone(),
                test: self.number.test,
                from: self.from.clone(),
                who: call.from.clone(),
                callback,
                location,
                line,
            }));
        }
    }

    pub(super) fn leg(mut self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, ask: Ask) -> Next {
        match ask {
            Ask::Progress(progress) => {
                cx.desk.timers.cancel(&call.id, &Timer::Silence(leg.clone()));
                if let Some(LegState::Dialled { ringing, .. }) = call.legs.get_mut(leg).map(|l| &mut l.state)
                {
                    *ringing = true;
                    if std::mem::take(&mut self.hopeless) {
                        cx.desk.timers.cancel(&call.id, &Timer::Longest);
                    }
                    if progress == Progress::EarlyMedia && self.early.is_none() {
                        call.open_early(cx, &self.caller);
                        self.early = Some(leg.clone());
                    }
                    call.tell(cx, &self.caller, Told::Ringing);
                }
                Next::Go(Phase::Rescue(self))
            }
            Ask::Answered => {
                if !matches!(call.legs.get(leg).map(|l| &l.state), Some(LegState::Dialled { .. })) {
                    return Next::Go(Phase::Rescue(self));
                }
                call.lift(cx, leg);
                for other in call.dialled() {
                    call.leave(cx, &other, EndCause::Elsewhere, true);
                }
                cx.desk.timers.cancel(&call.id, &Timer::Round);
                // From here on it may last.
                cx.desk.timers.cancel(&call.id, &Timer::Longest);
                call.lift(cx, &self.caller);
                call.taken(cx);
                Next::Go(Phase::Bridged(Bridge { a: self.caller, b: leg.clone() }))
            }
            Ask::Over(over) => self.over(call, cx, leg, &over),
            Ask::Transfer(_) => Phase::Rescue(self).no_transfer(cx, leg),
            Ask::Key { .. } | Ask::Silent => Next::Go(Phase::Rescue(self)),
        }
    }

    fn over(mut self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, over: &Over) -> Next {
        if *leg == self.caller {
            return Next::End(over.caller_cause(call));
        }
        if self.early.as_ref() == Some(leg) {
            self.early = None;
        }
        self.attempt(call, cx)
    }

    pub(super) fn timer(self, call: &mut Call, cx: &mut Cx<'_>, timer: &Timer) -> Next {
        match timer {
            Timer::Silence(leg) => {
                let via = call.legs.get(leg).map(|l| l.via.clone());
                if let Some(Via::Line(line)) = via {
                    cx.desk.lines.failed(&line, None, cx.now.mono);
                }
                self.attempt(call, cx)
            }
            Timer::Round => self.attempt(call, cx),
            Timer::Ring | Timer::Prompt | Timer::Minute(_) | Timer::Longest => Next::Go(Phase::Rescue(self)),
        }
    }

    pub(super) fn hears(&self, call: &Call, cx: &Cx<'_>) -> BTreeMap<LegId, Hears> {
        let mut hears = BTreeMap::new();
        if !call.can_hear(&self.caller) {
            return hears;
        }
        if let Some(early) = &self.early {
            hears.insert(self.caller.clone(), Hears::Leg(early.clone()));
            hears.insert(early.clone(), Hears::Leg(self.caller.clone()));
        } else if self.hopeless || !cx.desk.lines.any_up(&cx.desk.plan) {
            hears.insert(self.caller.clone(), Hears::Prompt(PromptId::from(NO_LINE), true));
        } else {
            hears.insert(self.caller.clone(), Hears::Tone(Tone::RingBack));
        }
        hears
    }
}
