//! Looking for somebody who takes the call: ring groups, the first answer, no answer, busy, the next line, the next
//! target, and at last the sentence that nobody is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Cx;
use super::bridge::Bridge;
use super::calls::{Branch, Call, Dial, Hears, LegState, Told};
use super::phase::{Ask, Next, Over, Phase};
use super::plan::{OutboundLine, Target};
use super::route::{Route, Step, Try};
use super::timers::Timer;
use super::{Effect, FlowEvent};
use crate::types::{Dialled, EndCause, LegCommand, LegId, LineId, Progress, Tone, TransferProgress, Via};

/// A line that says nothing about a call for so long is left for the next one.
const SILENCE: Duration = Duration::from_secs(15);
/// Targets that one call is handed along.
const HOPS_MOST: u8 = 16;

/// Who asked for a transfer and waits for its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transferor {
    /// Gone when it hung up before the result.
    pub(super) leg: Option<LegId>,
    /// Rings when the transfer came to nothing and its leg is gone.
    pub(super) recall: Option<String>,
}

/// A search.
#[derive(Debug)]
pub(super) struct Hunt {
    /// Who is to be connected.
    pub(super) caller: LegId,
    pub(super) transferor: Option<Transferor>,
    /// The flow that asked for it and gets the caller back.
    pub(super) from_flow: bool,
    steps: VecDeque<Step>,
    otherwise: Option<Target>,
    worst: EndCause,
    hops: u8,
    early: Option<LegId>,
}

/// The cause that tells the caller most: what a person did before what a line did.
fn telling(cause: EndCause) -> u8 {
    match cause {
        EndCause::Busy => 9,
        EndCause::Declined => 8,
        EndCause::NoAnswer => 7,
        EndCause::Barred | EndCause::Capped => 6,
        EndCause::BadNumber => 5,
        EndCause::Rejected | EndCause::Unavailable => 4,
        EndCause::LineBusy | EndCause::NoCodec | EndCause::MediaLost => 3,
        EndCause::LineDown => 2,
        EndCause::Unreachable => 1,
        EndCause::Hangup
        | EndCause::Transferred
        | EndCause::Elsewhere
        | EndCause::Cancelled
        | EndCause::Nobody
        | EndCause::Cleared
        | EndCause::TooLong
        | EndCause::Stopped
        | EndCause::Crash => 0,
    }
}

impl Hunt {
    pub(super) fn new(caller: LegId) -> Self {
        Self {
            caller,
            transferor: None,
            from_flow: false,
            steps: VecDeque::new(),
            otherwise: None,
            worst: EndCause::Unreachable,
            hops: 0,
            early: None,
        }
    }

    /// Sets out for a route.
    pub(super) fn go(mut self, call: &mut Call, cx: &mut Cx<'_>, route: Route) -> Next {
        match self.take(call, cx, route) {
            Some(next) => next,
            None => self.next_step(call, cx),
        }
    }

    /// Takes over a route; `Some` when there is nobody to ring for it.
    fn take(&mut self, call: &mut Call, cx: &mut Cx<'_>, route: Route) -> Option<Next> {
        self.hops = self.hops.saturating_add(1);
        if self.hops > HOPS_MOST {
            return Some(self.exhausted(call, cx));
        }
        match route {
            Route::Ring { steps, otherwise } => {
                self.steps = steps;
                self.otherwise = otherwise;
                None
            }
            Route::Flow(flow) => {
                self.release_transferor(call, cx, Ok(()));
                Some(Phase::flow(call, cx, self.caller.clone(), flow))
            }
            Route::Test(test) => {
                self.release_transferor(call, cx, Ok(()));
                Some(Phase::test(call, cx, self.caller.clone(), test))
            }
            Route::Nobody => {
                self.heard(EndCause::NoAnswer);
                Some(self.exhausted(call, cx))
            }
            Route::Refuse(cause) => {
                self.heard(cause);
                Some(self.exhausted(call, cx))
            }
        }
    }

    fn heard(&mut self, cause: EndCause) {
        if telling(cause) > telling(self.worst) {
            self.worst = cause;
        }
    }

    fn next_step(mut self, call: &mut Call, cx: &mut Cx<'_>) -> Next {
        loop {
            if let Some(step) = self.steps.pop_front() {
                self.ring(call, cx, step);
                if !call.dialled().is_empty() {
                    return Next::Go(Phase::Hunting(self));
                }
                continue;
            }
            let Some(target) = self.otherwise.take() else { return self.exhausted(call, cx) };
            let route = cx.desk.plan.route(&target);
            if let Some(next) = self.take(call, cx, route) {
                return next;
            }
        }
    }

    fn ring(&mut self, call: &mut Call, cx: &mut Cx<'_>, step: Step) {
        // A phone does not ring itself, nor twice.
        let mut seen: BTreeSet<Via> = call.legs.values().map(|l| l.via.clone()).collect();
        for one in step.tries {
            match one {
                Try::Device { device, extension } => {
                    let via = Via::Device(device);
                    if !seen.insert(via.clone()) {
                        continue;
                    }
                    let identity = Cx::identity_inside(&call.from);
                    let target = Cx::target_text(&extension);
                    let ring_for = Some(step.ring_for);
                    call.dial(
                        cx,
                        Dial { via, target, identity, ring_for, branch: Branch::Device, meter: None },
                    );
                }
                Try::Outside { number, only } => {
                    let lines = self.lines(cx, &number, only.as_ref());
                    if lines.is_empty() {
                        self.heard(EndCause::LineDown);
                    }
                    self.outside(call, cx, number, lines, step.ring_for);
                }
            }
        }
        if !call.dialled().is_empty() {
            cx.desk.timers.set(&call.id, Timer::Ring, cx.now.mono + step.ring_for);
        }
    }

    fn lines(
        &self,
        cx: &Cx<'_>,
        number: &Dialled,
        only: Option<&LineId>,
    ) -> VecDeque<(LineId, super::caps::Rate)> {
        let plan = &cx.desk.plan;
        let rules = plan.outbound(number.as_str());
        let pinned: Vec<OutboundLine>;
        let rules = match only {
            None => rules,
            Some(line) => {
                let free = || OutboundLine {
                    line: line.clone(),
                    per_minute: Default::default(),
                    per_call: Default::default(),
                };
                pinned = vec![rules.iter().find(|r| r.line == *line).cloned().unwrap_or_else(free)];
                &pinned
            }
        };
        cx.desk.lines.for_call(plan, rules, cx.now.mono).into()
    }

    /// Dials an outside number over the first of `lines` that the caps allow.
    fn outside(
        &mut self,
        call: &mut Call,
        cx: &mut Cx<'_>,
        number: Dialled,
        mut lines: VecDeque<(LineId, super::caps::Rate)>,
        ring_for: Duration,
    ) {
        while let Some((line, rate)) = lines.pop_front() {
            // Other forks of this call, or others, may have taken its last channel since the list was made.
            let room = cx.desk.plan.line(&line).is_some_and(|l| cx.desk.lines.has_room(l));
            if !room || !cx.desk.lines.is_up(&line) {
                self.heard(EndCause::LineBusy);
                continue;
            }
            let caps = cx.desk.plan.data.caps;
            let Some(meter) = cx.desk.ledger.admit(&caps, &call.user, number.as_str(), rate) else {
                self.heard(EndCause::Capped);
                continue;
            };
            let outside_caller = call.via.line().is_some();
            let identity = cx.identity_on(&line, &call.from, outside_caller);
            let more = !lines.is_empty();
            let branch = Branch::Outside { number: number.clone(), lines, ring_for };
            let dial = Dial {
                via: Via::Line(line),
                target: number,
                identity,
                ring_for: Some(ring_for),
                branch,
                meter: Some(meter),
            };
            let leg = call.dial(cx, dial);
            if more {
                cx.desk.timers.set(&call.id, Timer::Silence(leg), cx.now.mono + SILENCE);
            }
            return;
        }
    }

    pub(super) fn leg(mut self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, ask: Ask) -> Next {
        match ask {
            Ask::Progress(progress) => {
                self.progress(call, cx, leg, progress);
                Next::Go(Phase::Hunting(self))
            }
            Ask::Answered => self.answered(call, cx, leg),
            Ask::Transfer(_) => Phase::Hunting(self).no_transfer(cx, leg),
            Ask::Key { key, carried } => {
                // Keys for an announcement that plays before the answer.
                if let (false, true, Some(early)) = (carried, *leg == self.caller, &self.early) {
                    cx.leg(early, LegCommand::Dtmf(key));
                }
                Next::Go(Phase::Hunting(self))
            }
            Ask::Silent => Next::Go(Phase::Hunting(self)),
            Ask::Over(over) => self.over(call, cx, leg, over),
        }
    }

    fn progress(&mut self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, progress: Progress) {
        cx.desk.timers.cancel(&call.id, &Timer::Silence(leg.clone()));
        let Some(LegState::Dialled { ringing, .. }) = call.legs.get_mut(leg).map(|l| &mut l.state) else {
            return;
        };
        *ringing = true;
        // With several that ring, the tone of the box is the honest sound.
        let alone = call.dialled().len() == 1;
        match progress {
            Progress::EarlyMedia if alone => {
                call.open_early(cx, &self.caller);
                self.early = Some(leg.clone());
            }
            Progress::EarlyMedia | Progress::Ringing => {}
        }
        call.tell(cx, &self.caller, Told::Ringing);
    }

    /// The first answer wins.
    fn answered(mut self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId) -> Next {
        if !matches!(call.legs.get(leg).map(|l| &l.state), Some(LegState::Dialled { .. })) {
            return Next::Go(Phase::Hunting(self));
        }
        cx.desk.timers.cancel(&call.id, &Timer::Ring);
        if let Some(Via::Line(line)) = call.legs.get(leg).map(|l| l.via.clone()) {
            cx.desk.lines.worked(&line);
        }
        call.lift(cx, leg);
        for other in call.dialled() {
            call.leave(cx, &other, EndCause::Elsewhere, true);
        }
        call.lift(cx, &self.caller);
        self.release_transferor(call, cx, Ok(()));
        call.taken(cx);
        Next::Go(Phase::Bridged(Bridge { a: self.caller, b: leg.clone() }))
    }

    fn over(mut self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, over: Over) -> Next {
        if *leg == self.caller {
            self.release_transferor(call, cx, Err(EndCause::Cancelled));
            return Next::End(over.caller_cause(call));
        }
        if let Some(transferor) = self.transferor.as_mut().filter(|t| t.leg.as_ref() == Some(leg)) {
            transferor.leg = None;
            return Next::Go(Phase::Hunting(self));
        }
        if self.early.as_ref() == Some(leg) {
            self.early = None;
        }
        self.heard(over.cause);
        match over.branch {
            Some(branch) if over.cause.another_line_may_help() => self.try_next_line(call, cx, branch),
            Some(_) | None => {}
        }
        self.after_failure(call, cx)
    }

    fn after_failure(self, call: &mut Call, cx: &mut Cx<'_>) -> Next {
        if call.dialled().is_empty() {
            cx.desk.timers.cancel(&call.id, &Timer::Ring);
            return self.next_step(call, cx);
        }
        Next::Go(Phase::Hunting(self))
    }

    /// A dialled leg failed in a way that another line may mend.
    fn try_next_line(&mut self, call: &mut Call, cx: &mut Cx<'_>, branch: Branch) {
        if let Branch::Outside { number, lines, ring_for } = branch {
            self.outside(call, cx, number, lines, ring_for);
        }
    }

    pub(super) fn timer(mut self, call: &mut Call, cx: &mut Cx<'_>, timer: &Timer) -> Next {
        match timer {
            Timer::Ring => {
                for leg in call.dialled() {
                    call.leave(cx, &leg, EndCause::NoAnswer, true);
                }
                self.early = None;
                self.heard(EndCause::NoAnswer);
                self.next_step(call, cx)
            }
            Timer::Silence(leg) => {
                let via = call.legs.get(leg).map(|l| l.via.clone());
                if let Some(Via::Line(line)) = via {
                    cx.desk.lines.failed(&line, None, cx.now.mono);
                }
                let gone = call.leave(cx, leg, EndCause::LineDown, true);
                self.heard(EndCause::LineDown);
                if let Some(LegState::Dialled { branch, .. }) = gone.map(|l| l.state) {
                    self.try_next_line(call, cx, branch);
                }
                self.after_failure(call, cx)
            }
            Timer::Round | Timer::Prompt | Timer::Minute(_) | Timer::Longest => {
                Next::Go(Phase::Hunting(self))
            }
        }
    }

    /// Nobody takes it.
    fn exhausted(&mut self, call: &mut Call, cx: &mut Cx<'_>) -> Next {
        let cause = self.worst;
        let recall = self.transferor.as_mut().and_then(|t| match &t.leg {
            Some(_) => None,
            None => t.recall.take(),
        });
        if let Some(leg) = self.transferor.take_if(|t| t.leg.is_some()).and_then(|t| t.leg) {
            call.transferred(Err(cause));
            cx.leg(&leg, LegCommand::Transfer(TransferProgress::Failed(cause)));
            return Next::Go(Phase::Bridged(Bridge { a: self.caller.clone(), b: leg }));
        }
        call.transferred(Err(cause));
        if let Some(extension) = recall {
            let mut hunt = Self { hops: self.hops, worst: cause, ..Self::new(self.caller.clone()) };
            let route = cx.desk.plan.route(&Target::Extension(extension));
            if let Some(next) = hunt.take(call, cx, route) {
                return next;
            }
            return hunt.next_step(call, cx);
        }
        if self.from_flow {
            let event = FlowEvent::NotConnected { call: call.id.clone(), cause };
            cx.desk.effects.push_back(Effect::Flow(event));
            return Next::Go(Phase::InFlow { leg: self.caller.clone(), prompt: None });
        }
        let stranger = call.legs.get(&self.caller).is_some_and(|l| l.via.line().is_some());
        if stranger {
            Phase::announce(call, cx, self.caller.clone())
        } else {
            Phase::refuse(call, cx, self.caller.clone(), cause)
        }
    }

    /// Tells who asked for a transfer how it came out, and lets go of him when it did.
    fn release_transferor(&mut self, call: &mut Call, cx: &mut Cx<'_>, result: Result<(), EndCause>) {
        let Some(transferor) = self.transferor.take() else { return };
        call.transferred(result);
        let Some(leg) = transferor.leg else { return };
        let progress = match result {
            Ok(()) => TransferProgress::Done,
            Err(cause) => TransferProgress::Failed(cause),
        };
        cx.leg(&leg, LegCommand::Transfer(progress));
        call.leave(cx, &leg, EndCause::Transferred, true);
    }

    pub(super) fn hears(&self, call: &Call) -> BTreeMap<LegId, Hears> {
        let mut hears = BTreeMap::new();
        if !call.can_hear(&self.caller) {
            return hears;
        }
        match &self.early {
            Some(early) => {
                hears.insert(self.caller.clone(), Hears::Leg(early.clone()));
                hears.insert(early.clone(), Hears::Leg(self.caller.clone()));
            }
            None => {
                hears.insert(self.caller.clone(), Hears::Tone(Tone::RingBack));
            }
        }
        hears
    }
}
