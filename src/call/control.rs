//! The verbs of call control and the way of an event to its call.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::calls::{Branch, Call, Entry, Hold, LegState};
use super::caps::Ledger;
use super::emergency::Rescue;
use super::hunt::Hunt;
use super::lines::Lines;
use super::phase::{Ask, Next, Over, Phase};
use super::plan::{Hours, Plan, Target};
use super::record::{CallRecord, Direction, Moment};
use super::route::{Route, Wish};
use super::timers::{Timer, Timers};
use super::{Cx, Desk, Effect};
use crate::types::{
    Address, CallId, DeviceId, Dialled, EndCause, EventId, LegCommand, LegEvent, LegId, LineId, MediaEvent,
    Mono, Now, Offer, PhoneNumber, PromptId, ShopId, TransferTarget, Via,
};

/// Timers that one [`CallControl::handle_timeout`] takes, so that a thousand at once do not make one long step.
const DUE_MOST: usize = 64;

/// What staff and flows want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End a call.
    Hangup {
        /// Which.
        call: CallId,
    },
    /// This leg hears music.
    Hold {
        /// Which; it is up.
        leg: LegId,
    },
    /// Not any more.
    Resume {
        /// Which; it is up.
        leg: LegId,
    },
    /// As if the phone at this leg had asked for it.
    Transfer {
        /// The shop's phone.
        leg: LegId,
        /// Where to.
        to: TransferTarget,
    },
    /// A flow hands its caller to somebody.
    Connect {
        /// Which call; a flow has it.
        call: CallId,
        /// To whom.
        to: Target,
    },
    /// A flow says something.
    Play {
        /// Which call; a flow has it.
        call: CallId,
        /// What.
        prompt: PromptId,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Ended, or never there.
    #[error("there is no such call (any more)")]
    NoSuchCall,
    /// Ended, or never there.
    #[error("there is no such leg (any more)")]
    NoSuchLeg,
    /// The call does not stand where this could be done.
    #[error("that cannot be done with the call as it stands")]
    NotNow,
}

/// Things that are survived, and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events of legs that call control has let go of: a success that crossed a cancellation, mostly.
    pub stray_events: u64,
    /// Offers with the id of a leg that is there.
    pub repeated_offers: u64,
}

/// How long everybody rings when somebody calls back who may be the emergency service.
const RING_CALLBACK: Duration = Duration::from_secs(60);

/// All calls of one shop.
///
/// The shell hands in what edges report, carries out all of [`CallControl::poll_effect`] in order, and calls
/// [`CallControl::handle_timeout`] when [`CallControl::poll_timeout`] says so.
#[derive(Debug)]
pub struct CallControl {
    calls: BTreeMap<CallId, Entry>,
    desk: Desk,
}

impl CallControl {
    /// No calls yet. Lines are down until [`CallControl::handle_line`] says otherwise. All ids are derived from
    /// `seed`, which is never the same again.
    #[must_use]
    pub fn new(shop: ShopId, plan: Plan, seed: EventId) -> Self {
        let desk = Desk {
            shop,
            seed,
            serial: 0,
            plan,
            hours: BTreeMap::new(),
            lines: Lines::default(),
            ledger: Ledger::default(),
            timers: Timers::default(),
            index: BTreeMap::new(),
            texted: BTreeMap::new(),
            callback: None,
            effects: VecDeque::new(),
            counters: Counters::default(),
        };
        Self { calls: BTreeMap::new(), desk }
    }

    /// An edge reports.
    pub fn handle_leg(&mut self, leg: &LegId, event: LegEvent, now: Now) {
        let known = self.desk.index.get(leg).cloned();
        match (known, event) {
            (None, LegEvent::Offered(offer)) => self.offered(leg, offer, now),
            (Some(_), LegEvent::Offered(_)) => self.desk.counters.repeated_offers += 1,
            (None, event) => self.stray(leg, &event),
            (Some(call), event) => {
                self.with_call(&call, now, |call, phase, cx| step(call, phase, cx, leg, event))
            }
        }
    }

    /// The media edge reports.
    pub fn handle_media(&mut self, event: &MediaEvent, now: Now) {
        let MediaEvent::Played { leg, prompt } = event;
        let Some(call) = self.desk.index.get(leg).cloned() else { return };
        self.with_call(&call, now, |call, phase, cx| {
            if call.played(leg, prompt) { phase.played(call, cx) } else { Next::Go(phase) }
        });
    }

    /// A line can carry calls, or cannot. Calls on it go on until their legs report.
    pub fn handle_line(&mut self, line: &LineId, up: bool, now: Now) {
        self.desk.lines.set_up(line, up);
        let waiting = self.calls.iter().filter(|(_, e)| matches!(e.phase, Phase::Rescue(_)));
        let waiting: Vec<CallId> = waiting.map(|(id, _)| id.clone()).collect();
        for call in waiting {
            self.with_call(&call, now, |call, phase, cx| match phase {
                Phase::Rescue(rescue) if up => rescue.line_up(call, cx, line),
                phase => Next::Go(phase),
            });
        }
    }

    /// Business hours began or ended, for a schedule or (`None`) for the shop.
    pub fn handle_hours(&mut self, schedule: Option<&str>, hours: Hours) {
        self.desk.hours.insert(schedule.unwrap_or_default().to_owned(), hours);
    }

    /// A day began where the shop is: the caps count anew.
    pub fn handle_day(&mut self) {
        self.desk.ledger.new_day();
    }

    /// The owner changed the plan. Calls go on; what they do next follows the new one.
    pub fn handle_plan(&mut self, plan: Plan) {
        self.desk.plan = plan;
    }

    /// Counts what a call of this day cost before the daemon was started.
    pub fn restore(&mut self, record: &CallRecord) {
        for charge in record.charges() {
            self.desk.ledger.restore(charge);
        }
    }

    /// Staff or a flow want something.
    ///
    /// # Errors
    /// [`CommandError`] says why it was not done; nothing has changed then.
    pub fn handle_command(&mut self, command: Command, now: Now) -> Result<(), CommandError> {
        match command {
            Command::Hangup { call } => {
                self.there(&call)?;
                self.with_call(&call, now, |_, _, _| Next::End(EndCause::Stopped));
            }
            Command::Hold { leg } => self.hold(&leg, true, now)?,
            Command::Resume { leg } => self.hold(&leg, false, now)?,
            Command::Transfer { leg, to } => {
                let call = self.desk.index.get(&leg).cloned().ok_or(CommandError::NoSuchLeg)?;
                if !matches!(self.there(&call)?.phase, Phase::Bridged(_)) {
                    return Err(CommandError::NotNow);
                }
                self.with_call(&call, now, |call, phase, cx| phase.leg(call, cx, &leg, Ask::Transfer(to)));
            }
            Command::Connect { call, to } => {
                self.in_flow(&call)?;
                self.with_call(&call, now, |call, phase, cx| connect(call, phase, cx, &to));
            }
            Command::Play { call, prompt } => {
                self.in_flow(&call)?;
                self.with_call(&call, now, |_, phase, _| match phase {
                    Phase::InFlow { leg, .. } => Next::Go(Phase::InFlow { leg, prompt: Some(prompt) }),
                    phase => Next::Go(phase),
                });
            }
        }
        Ok(())
    }

    /// [`CallControl::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        for _ in 0..DUE_MOST {
            let Some((call, timer)) = self.desk.timers.take_due(now.mono) else { return };
            self.with_call(&call, now, |call, phase, cx| phase.timer(call, cx, &timer));
        }
    }

    /// What is to be done next, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.desk.effects.pop_front()
    }

    /// When [`CallControl::handle_timeout`] is wanted, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.desk.timers.next()
    }

    /// The calls that there are.
    pub fn calls(&self) -> impl Iterator<Item = &CallId> {
        self.calls.keys()
    }

    /// The legs of all calls.
    pub fn legs(&self) -> impl Iterator<Item = &LegId> {
        self.desk.index.keys()
    }

    /// Whether this is how people call for help here.
    #[must_use]
    pub fn is_emergency(&self, to: &Dialled) -> bool {
        self.desk.plan.is_emergency(to)
    }

    /// The call that a leg belongs to.
    #[must_use]
    pub fn call_of(&self, leg: &LegId) -> Option<&CallId> {
        self.desk.index.get(leg)
    }

    /// Calls that a line carries now.
    #[must_use]
    pub fn calls_on(&self, line: &LineId) -> usize {
        self.desk.lines.legs(line)
    }

    /// What was survived.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.desk.counters
    }

    fn there(&self, call: &CallId) -> Result<&Entry, CommandError> {
        self.calls.get(call).ok_or(CommandError::NoSuchCall)
    }

    fn in_flow(&self, call: &CallId) -> Result<(), CommandError> {
        match self.there(call)?.phase {
            Phase::InFlow { .. } => Ok(()),
            Phase::Hunting(_)
            | Phase::Rescue(_)
            | Phase::Bridged(_)
            | Phase::Announcing { .. }
            | Phase::Testing { .. } => Err(CommandError::NotNow),
        }
    }

    fn hold(&mut self, leg: &LegId, on: bool, now: Now) -> Result<(), CommandError> {
        let call = self.desk.index.get(leg).cloned().ok_or(CommandError::NoSuchLeg)?;
        if !self.there(&call)?.call.is_up(leg) {
            return Err(CommandError::NotNow);
        }
        self.with_call(&call, now, |call, phase, cx| {
            let changed = set_hold(call, leg, |hold| hold.by_box = on);
            if changed {
                cx.leg(leg, if on { LegCommand::Hold } else { LegCommand::Resume });
            }
            Next::Go(phase)
        });
        Ok(())
    }

    /// Runs a step of a call: takes it out, so that the step may reach into the others, and puts back what is left.
    fn with_call(&mut self, id: &CallId, now: Now, act: impl FnOnce(&mut Call, Phase, &mut Cx<'_>) -> Next) {
        let Some(Entry { mut call, phase }) = self.calls.remove(id) else { return };
        let mut cx = Cx { desk: &mut self.desk, others: &mut self.calls, now };
        let next = act(&mut call, phase, &mut cx);
        settle(call, next, &mut cx);
    }

    fn offered(&mut self, leg: &LegId, offer: Offer, now: Now) {
        let mut cx = Cx { desk: &mut self.desk, others: &mut self.calls, now };
        let (call, next) = match offer.via.clone() {
            Via::Line(line) => from_outside(&mut cx, leg, offer, &line),
            Via::Device(device) => from_inside(&mut cx, leg, offer, &device),
        };
        settle(call, next, &mut cx);
    }

    /// A leg that is not (any more) in a call: whatever lives there is told to end.
    fn stray(&mut self, leg: &LegId, event: &LegEvent) {
        self.desk.counters.stray_events += 1;
        match event {
            LegEvent::Ended { .. } | LegEvent::Refused { .. } | LegEvent::Media(_) | LegEvent::Offered(_) => {
            }
            LegEvent::Progress(_)
            | LegEvent::Answered
            | LegEvent::Dtmf { .. }
            | LegEvent::HoldRequested
            | LegEvent::Resumed
            | LegEvent::TransferAsked(_)
            | LegEvent::MediaSilent => {
                let hangup = LegCommand::Hangup { cause: EndCause::Elsewhere };
                self.desk.effects.push_back(Effect::Leg(leg.clone(), hangup));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn leftovers(&self) -> String {
        let desk = &self.desk;
        format!(
            "calls {} legs {} timers {} channels {} open {}",
            self.calls.len(),
            desk.index.len(),
            desk.timers.len(),
            desk.lines.in_use(),
            desk.ledger.open()
        )
    }

    /// Timers that wait for a leg that is gone.
    #[cfg(test)]
    pub(super) fn loose_timers(&self) -> usize {
        self.desk.timers.legs().filter(|leg| !self.desk.index.contains_key(*leg)).count()
    }

    #[cfg(test)]
    pub(super) fn ledger(&self) -> &Ledger {
        &self.desk.ledger
    }
}

fn settle(mut call: Call, next: Next, cx: &mut Cx<'_>) {
    match next {
        Next::Go(phase) => {
            let wanted = phase.hears(&call, cx);
            call.settle_media(cx, wanted);
            cx.others.insert(call.id.clone(), Entry { call, phase });
        }
        Next::End(cause) => call.end(cx, cause),
    }
}

/// One event of a leg of this call.
fn step(call: &mut Call, phase: Phase, cx: &mut Cx<'_>, leg: &LegId, event: LegEvent) -> Next {
    let ask = match event {
        LegEvent::Offered(_) => return Next::Go(phase),
        LegEvent::Media(facts) => {
            if let Some(leg) = call.legs.get_mut(leg) {
                leg.record.media = Some(facts);
            }
            return Next::Go(phase);
        }
        LegEvent::HoldRequested => {
            set_hold(call, leg, |hold| hold.by_far = true);
            return Next::Go(phase);
        }
        LegEvent::Resumed => {
            set_hold(call, leg, |hold| hold.by_far = false);
            return Next::Go(phase);
        }
        LegEvent::Progress(progress) => Ask::Progress(progress),
        LegEvent::Answered => Ask::Answered,
        LegEvent::Dtmf { key, carried } => Ask::Key { key, carried },
        LegEvent::TransferAsked(target) => Ask::Transfer(target),
        LegEvent::MediaSilent => Ask::Silent,
        LegEvent::Ended { cause } => Ask::Over(leg_over(call, cx, leg, cause, None)),
        LegEvent::Refused { cause, retry_after } => Ask::Over(leg_over(call, cx, leg, cause, retry_after)),
    };
    phase.leg(call, cx, leg, ask)
}

/// Takes a leg that is over out of its call, and remembers how its line did.
fn leg_over(call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, cause: EndCause, rest: Option<Duration>) -> Over {
    let dialled = call.legs.get(leg).is_some_and(|l| matches!(l.state, LegState::Dialled { .. }));
    let cause = match cause {
        // A dialled leg that "hung up" before its answer was not carried.
        EndCause::Hangup | EndCause::Cancelled if dialled => EndCause::Unavailable,
        other => other,
    };
    let gone = call.leave(cx, leg, cause, false);
    let branch: Option<Branch> = gone.and_then(|gone| {
        let LegState::Dialled { branch, .. } = gone.state else { return None };
        if let Via::Line(line) = &gone.via {
            if cause.another_line_may_help() {
                cx.desk.lines.failed(line, rest, cx.now.mono);
            } else {
                cx.desk.lines.worked(line);
            }
        }
        Some(branch)
    });
    Over { cause, branch }
}

fn set_hold(call: &mut Call, leg: &LegId, change: impl FnOnce(&mut Hold)) -> bool {
    let Some(LegState::Up(hold)) = call.legs.get_mut(leg).map(|l| &mut l.state) else { return false };
    let before = *hold;
    change(hold);
    before != *hold
}

/// A flow hands its caller on.
fn connect(call: &mut Call, phase: Phase, cx: &mut Cx<'_>, to: &Target) -> Next {
    let Phase::InFlow { leg, .. } = phase else { return Next::Go(phase) };
    if let Some(flow) = &call.flow {
        call.user = format!("flow:{flow}");
    }
    let mut hunt = Hunt::new(leg);
    hunt.from_flow = true;
    let route = cx.desk.plan.route(to);
    hunt.go(call, cx, route)
}

/// Somebody calls the shop. Whatever number they show, they reach the inbound plan and nothing else.
fn from_outside(cx: &mut Cx<'_>, leg: &LegId, offer: Offer, line: &LineId) -> (Call, Next) {
    let plan = &cx.desk.plan;
    let dialled = PhoneNumber::parse(offer.to.as_str(), Some(plan.country.calling_code())).ok();
    let number = dialled.or_else(|| plan.line(line).and_then(|l| l.number.clone()));
    let rule = plan.inbound(line, number.as_ref());
    let schedule = rule.and_then(|r| r.schedule.as_deref()).unwrap_or_default();
    let hours = cx.desk.hours.get(schedule).copied().unwrap_or_default();
    let target = rule.map_or(Target::Nobody, |rule| match hours {
        Hours::Open => rule.open.clone(),
        Hours::Closed => rule.closed.clone(),
        Hours::Holiday => rule.holiday.as_ref().unwrap_or(&rule.closed).clone(),
    });
    let callback = cx.desk.callback.as_ref();
    let callback = callback.filter(|c| cx.now.mono < c.until && Some(&c.number) == number.as_ref());
    let route = match callback {
        Some(callback) => plan.everybody(&callback.from, RING_CALLBACK, target),
        None => plan.route(&target),
    };
    let mut call = Call::new(cx, leg.clone(), offer, Direction::Inbound, format!("line:{line}"));
    call.closed = hours != Hours::Open;
    begin(&call, cx);
    let next = Hunt::new(leg.clone()).go(&mut call, cx, route);
    (call, next)
}

/// A phone of the shop calls.
fn from_inside(cx: &mut Cx<'_>, leg: &LegId, mut offer: Offer, device: &DeviceId) -> (Call, Next) {
    let plan = &cx.desk.plan;
    let wish = match (offer.emergency, plan.wish(&offer.to)) {
        (_, Ok(Wish::Emergency(number))) => Ok(Wish::Emergency(number)),
        (true, _) => Ok(Wish::Emergency(plan.country.first_emergency())),
        (false, wish) => wish,
    };
    let direction = match &wish {
        Ok(
            Wish::Inside(Target::Number(_) | Target::Line { .. }) | Wish::Outside { .. } | Wish::Emergency(_),
        ) => Direction::Outbound,
        Ok(Wish::Inside(
            Target::Extension(_)
            | Target::Group(_)
            | Target::Flow(_)
            | Target::Nobody
            | Target::Echo
            | Target::Tone,
        ))
        | Err(_) => Direction::Internal,
    };
    // A phone is who the plan says it is, not who it says.
    if let Some(extension) = plan.extension_of(device) {
        offer.from.address = Some(Address::Short(extension.number.clone()));
        offer.from.display = extension.name.clone().or(offer.from.display);
        offer.from.private |= extension.withhold && direction == Direction::Outbound;
    }
    let route = match &wish {
        Ok(Wish::Outside { number, private }) => {
            offer.from.private |= private;
            Plan::outside_route(number.clone())
        }
        Ok(Wish::Inside(target)) => plan.route(target),
        Ok(Wish::Emergency(_)) => Route::Nobody,
        Err(cause) => Route::Refuse(*cause),
    };
    let (user, via) = (plan.user(device), offer.via.clone());
    let mut call = Call::new(cx, leg.clone(), offer, direction, user);
    if let Ok(Wish::Emergency(number)) = &wish {
        call.is_emergency(number);
    }
    begin(&call, cx);
    let next = match wish {
        Ok(Wish::Emergency(number)) => Rescue::begin(&mut call, cx, leg.clone(), number, via),
        Ok(Wish::Inside(_) | Wish::Outside { .. }) | Err(_) => {
            Hunt::new(leg.clone()).go(&mut call, cx, route)
        }
    };
    (call, next)
}

fn begin(call: &Call, cx: &mut Cx<'_>) {
    let longest = cx.now.mono + cx.desk.plan.longest();
    cx.desk.timers.set(&call.id, Timer::Longest, longest);
    call.write(cx, Moment::Started, None);
}

impl Plan {
    /// Whom a phone's outgoing calls are counted against.
    pub(super) fn user(&self, device: &DeviceId) -> String {
        match self.extension_of(device) {
            Some(extension) => format!("ext:{}", extension.number),
            None => format!("device:{device}"),
        }
    }
}
