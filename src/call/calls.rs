//! What all phases of a call share: its legs, what each hears, its record. Legs enter and leave a call here and
//! nowhere else, so that a line's channel, an account, an audio join or a timer cannot outlive its leg.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::caps::{Charge, Meter, Outcome, Rate};
use super::phase::Phase;
use super::record::{CallRecord, Direction, EmergencyFact, LegRecord, Moment, Stamp, TransferRecord};
use super::timers::Timer;
use super::{Cx, Effect, FlowEvent};
use crate::types::{
    Address, CallId, Dialled, Dtmf, EndCause, Identity, LegCommand, LegId, LineId, MediaCommand, Mono, Now,
    NumberKind, Offer, PhoneNumber, PromptId, Tone, Via,
};

/// Leg records that a call keeps.
const LEGS_KEPT: usize = 32;

/// What an offered leg was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    Nothing,
    Ringing,
    Early,
}

/// How to go on when a dialled leg fails.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Branch {
    /// A phone: there is no other way to it.
    Device,
    /// An outside number, and the lines that are left for it.
    Outside { number: Dialled, lines: VecDeque<(LineId, Rate)>, ring_for: Duration },
    /// An emergency call: the phase knows.
    Emergency,
}

/// Who holds a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hold {
    /// The far side put us on hold: it listens to nothing.
    pub(super) by_far: bool,
    /// The box holds it: it hears music.
    pub(super) by_box: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum LegState {
    /// Somebody calls and is not answered yet.
    Offered(Told),
    /// The box calls and is not answered yet.
    Dialled { branch: Branch, ringing: bool },
    /// Answered.
    Up(Hold),
}

#[derive(Debug)]
pub(super) struct Leg {
    pub(super) via: Via,
    pub(super) state: LegState,
    pub(super) record: LegRecord,
    pub(super) meter: Option<Meter>,
}

impl Leg {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, LegState::Up(_))
    }

    pub(super) fn hold(&self) -> Hold {
        match self.state {
            LegState::Up(hold) => hold,
            LegState::Offered(_) | LegState::Dialled { .. } => Hold::default(),
        }
    }
}

/// What a leg hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    Leg(LegId),
    Tone(Tone),
    /// Itself.
    Echo,
    Prompt(PromptId, bool),
}

/// A leg that is to be dialled.
pub(super) struct Dial {
    pub(super) via: Via,
    pub(super) target: Dialled,
    pub(super) identity: Identity,
    pub(super) ring_for: Option<Duration>,
    pub(super) branch: Branch,
    pub(super) meter: Option<Meter>,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) direction: Direction,
    pub(super) from: Identity,
    pub(super) kind: NumberKind,
    pub(super) via: Via,
    pub(super) to: Dialled,
    pub(super) line: Option<LineId>,
    pub(super) flow: Option<String>,
    pub(super) legs: BTreeMap<LegId, Leg>,
    pub(super) answered: Option<(Stamp, Mono)>,
    pub(super) emergency: Option<EmergencyFact>,
    pub(super) transfers: Vec<TransferRecord>,
    /// Whom outgoing legs are counted against.
    pub(super) user: String,
    /// It came in outside of business hours.
    pub(super) closed: bool,
    media: BTreeMap<LegId, Hears>,
    started: (Stamp, Mono),
    rang: bool,
    past: VecDeque<LegRecord>,
    left_out: u32,
}

impl Call {
    /// A call with its offered leg.
    pub(super) fn new(cx: &mut Cx<'_>, leg: LegId, offer: Offer, direction: Direction, user: String) -> Self {
        let mut call = Self {
            id: CallId(cx.desk.sid("CA")),
            direction,
            from: offer.from,
            kind: offer.kind,
            via: offer.via.clone(),
            to: offer.to,
            line: offer.via.line().cloned(),
            flow: None,
            legs: BTreeMap::new(),
            answered: None,
            emergency: None,
            transfers: Vec::new(),
            user,
            closed: false,
            media: BTreeMap::new(),
            started: (cx.now.into(), cx.now.mono),
            rang: false,
            past: VecDeque::new(),
            left_out: 0,
        };
        call.enter(cx, leg, offer.via, LegState::Offered(Told::Nothing), None);
        call
    }

    fn enter(&mut self, cx: &mut Cx<'_>, leg: LegId, via: Via, state: LegState, meter: Option<Meter>) {
        if let Via::Line(line) = &via {
            cx.desk.lines.add(line, &leg);
        }
        cx.desk.index.insert(leg.clone(), self.id.clone());
        let record = LegRecord {
            leg: leg.clone(),
            via: via.clone(),
            started: cx.now.into(),
            answered: None,
            ended: None,
            media: None,
            charge: None,
        };
        self.legs.insert(leg, Leg { via, state, record, meter });
    }

    /// Dials a leg.
    pub(super) fn dial(&mut self, cx: &mut Cx<'_>, dial: Dial) -> LegId {
        let Dial { via, target, identity, ring_for, branch, meter } = dial;
        let leg = LegId(cx.desk.sid("LG"));
        let emergency = branch == Branch::Emergency;
        if let (Via::Line(line), true) = (&via, self.direction != Direction::Inbound) {
            self.line = Some(line.clone());
        }
        let state = LegState::Dialled { branch, ringing: false };
        self.enter(cx, leg.clone(), via.clone(), state, meter);
        cx.leg(&leg, LegCommand::Dial { via, target, identity, ring_for, emergency });
        leg
    }

    /// Takes a leg out. `cause` goes into its record; the edge is told unless it told us.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_>, leg: &LegId, cause: EndCause, tell: bool) -> Option<Leg> {
        self.hush(cx, leg);
        let mut gone = self.legs.remove(leg)?;
        if let Via::Line(line) = &gone.via {
            cx.desk.lines.remove(line, leg);
        }
        cx.desk.index.remove(leg);
        cx.desk.timers.cancel(&self.id, &Timer::Silence(leg.clone()));
        cx.desk.timers.cancel(&self.id, &Timer::Minute(leg.clone()));
        if let Some(meter) = gone.meter.take() {
            let outcome = match gone.state {
                LegState::Up(_) => Outcome::Answered,
                _ if cause.another_line_may_help() => Outcome::NotCarried,
                _ => Outcome::Unanswered,
            };
            gone.record.charge = Some(cx.desk.ledger.settle(meter, outcome));
        }
        gone.record.ended = Some((cx.now.into(), cause));
        self.past.push_back(gone.record.clone());
        if self.past.len() > LEGS_KEPT {
            self.past.pop_front();
            self.left_out = self.left_out.saturating_add(1);
        }
        if tell {
            cx.leg(leg, LegCommand::Hangup { cause });
        }
        Some(gone)
    }

    /// Moves a leg into this call from another, with its account and its place on its line.
    pub(super) fn adopt(&mut self, cx: &mut Cx<'_>, from: &mut Self, id: &LegId) {
        from.hush(cx, id);
        let Some(leg) = from.legs.remove(id) else { return };
        for timer in [Timer::Silence(id.clone()), Timer::Minute(id.clone())] {
            if let Some(deadline) = cx.desk.timers.cancel(&from.id, &timer) {
                cx.desk.timers.set(&self.id, timer, deadline);
            }
        }
        cx.desk.index.insert(id.clone(), self.id.clone());
        self.legs.insert(id.clone(), leg);
    }

    /// When it began.
    pub(super) fn since(&self) -> Mono {
        self.started.1
    }

    /// The legs that were dialled and not answered.
    pub(super) fn dialled(&self) -> Vec<LegId> {
        let dialled = self.legs.iter().filter(|(_, l)| matches!(l.state, LegState::Dialled { .. }));
        dialled.map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn is_up(&self, leg: &LegId) -> bool {
        self.legs.get(leg).is_some_and(Leg::is_up)
    }

    /// A dialled leg was answered, or an offered one is now. False when it was up already or is not here.
    pub(super) fn lift(&mut self, cx: &mut Cx<'_>, id: &LegId) -> bool {
        let Some(leg) = self.legs.get_mut(id) else { return false };
        if leg.is_up() {
            return false;
        }
        let offered = matches!(leg.state, LegState::Offered(_));
        leg.state = LegState::Up(Hold::default());
        leg.record.answered = Some(cx.now.into());
        if leg.meter.is_some() {
            cx.desk.timers.set(&self.id, Timer::Minute(id.clone()), cx.now.mono + MINUTE);
        }
        cx.desk.timers.cancel(&self.id, &Timer::Silence(id.clone()));
        if offered {
            cx.leg(id, LegCommand::Answer);
        }
        true
    }

    /// Somebody has taken the call: the record says so, once.
    pub(super) fn taken(&mut self, cx: &mut Cx<'_>) {
        if self.answered.is_none() {
            self.answered = Some((cx.now.into(), cx.now.mono));
            self.write(cx, Moment::Answered, None);
        }
    }

    /// Lets an offered leg know how far it is, never backwards.
    pub(super) fn tell(&mut self, cx: &mut Cx<'_>, id: &LegId, told: Told) {
        self.rang |= told != Told::Nothing;
        let Some(Leg { state: LegState::Offered(before), .. }) = self.legs.get_mut(id) else { return };
        if *before >= told {
            return;
        }
        *before = told;
        match told {
            Told::Nothing => {}
            Told::Ringing => cx.leg(id, LegCommand::Ring),
            Told::Early => cx.leg(id, LegCommand::EarlyMedia),
        }
    }

    /// Passes a key on.
    pub(super) fn send_key(&self, cx: &mut Cx<'_>, to: &LegId, key: Dtmf) {
        if self.is_up(to) {
            cx.leg(to, LegCommand::Dtmf(key));
        }
    }

    /// True when audio can reach a leg: it is up, or its caller's audio was opened early.
    pub(super) fn can_hear(&self, id: &LegId) -> bool {
        self.legs.get(id).is_some_and(|leg| match &leg.state {
            LegState::Up(hold) => !hold.by_far,
            LegState::Offered(told) => *told == Told::Early,
            LegState::Dialled { .. } => false,
        })
    }

    /// Brings what each leg hears to what its phase wants, and says only what changes.
    pub(super) fn settle_media(&mut self, cx: &mut Cx<'_>, wanted: BTreeMap<LegId, Hears>) {
        let stale: Vec<LegId> = self
            .media
            .iter()
            .filter(|(leg, now)| wanted.get(*leg) != Some(now))
            .map(|(l, _)| l.clone())
            .collect();
        for leg in stale {
            self.hush(cx, &leg);
        }
        for (leg, hears) in wanted {
            if self.media.contains_key(&leg) || !self.legs.contains_key(&leg) {
                continue;
            }
            let command = match &hears {
                Hears::Leg(other) => {
                    if !self.legs.contains_key(other) || self.media.contains_key(other) {
                        continue;
                    }
                    self.media.insert(other.clone(), Hears::Leg(leg.clone()));
                    MediaCommand::Join(leg.clone(), other.clone())
                }
                Hears::Tone(tone) => MediaCommand::Tone { leg: leg.clone(), tone: *tone },
                Hears::Echo => MediaCommand::Echo { leg: leg.clone() },
                Hears::Prompt(prompt, repeat) => {
                    MediaCommand::Play { leg: leg.clone(), prompt: prompt.clone(), repeat: *repeat }
                }
            };
            self.media.insert(leg, hears);
            cx.desk.effects.push_back(Effect::Media(command));
        }
    }

    fn hush(&mut self, cx: &mut Cx<'_>, leg: &LegId) {
        let command = match self.media.remove(leg) {
            None => return,
            Some(Hears::Leg(other)) => {
                self.media.remove(&other);
                MediaCommand::Part(leg.clone(), other)
            }
            Some(Hears::Tone(_) | Hears::Echo | Hears::Prompt(..)) => {
                MediaCommand::StopPlaying { leg: leg.clone() }
            }
        };
        cx.desk.effects.push_back(Effect::Media(command));
    }

    /// A prompt ended by itself. False when it is not what the leg hears.
    pub(super) fn played(&mut self, leg: &LegId, prompt: &PromptId) -> bool {
        let heard = matches!(self.media.get(leg), Some(Hears::Prompt(p, _)) if p == prompt);
        if heard {
            self.media.remove(leg);
        }
        heard
    }

    /// Ends the call: nothing of it is left but its record.
    pub(super) fn end(mut self, cx: &mut Cx<'_>, cause: EndCause) {
        let legs: Vec<LegId> = self.legs.keys().cloned().collect();
        for leg in legs {
            let up = self.is_up(&leg);
            let dialled = matches!(self.legs.get(&leg), Some(Leg { state: LegState::Dialled { .. }, .. }));
            // A leg that was only tried did not fail with what ended the call.
            let own = if dialled && !up { EndCause::Cancelled } else { cause };
            self.leave(cx, &leg, own, true);
        }
        cx.desk.timers.forget(&self.id);
        self.transferred(Err(cause));
        if self.flow.is_some() {
            cx.desk.effects.push_back(Effect::Flow(FlowEvent::Ended { call: self.id.clone(), cause }));
        }
        self.write(cx, Moment::Ended, Some(cause));
        self.text_back(cx, cause);
    }

    /// Sends "sorry we missed you", once in a while a caller.
    fn text_back(&self, cx: &mut Cx<'_>, cause: EndCause) {
        let rule = &cx.desk.plan.data.nobody;
        let rang = cx.now.mono.since(self.started.1) >= Duration::from_secs(rule.text_after_s.into());
        let missed = match cause {
            EndCause::Nobody => true,
            EndCause::Cancelled => self.rang && rang,
            _ => false,
        };
        let Some((line, to, flow)) = self.texted(cx).filter(|_| missed) else { return };
        let pause = Duration::from_secs(u64::from(rule.text_pause_min) * 60);
        if cx.desk.may_text(&to, cx.now.mono, pause) {
            cx.desk.is_texted(&to, cx.now.mono, pause);
            cx.desk.effects.push_back(Effect::TextBack { call: self.id.clone(), line, to, flow });
        }
    }

    /// Over which line, whom and with which flow: who called from outside, was taken by nobody, and can be texted.
    /// Whether they said STOP is for who carries the effect out.
    fn texted(&self, cx: &Cx<'_>) -> Option<(LineId, PhoneNumber, String)> {
        let plan = &cx.desk.plan;
        let (Some(flow), Some(Address::Phone(to)), Some(line)) =
            (&plan.data.nobody.text_flow, &self.from.address, &self.line)
        else {
            return None;
        };
        let asked = self.direction == Direction::Inbound && self.answered.is_none();
        let ours = plan.data.lines.iter().any(|l| l.number.as_ref() == Some(to));
        let landline = plan.country.kind(to, self.kind) == NumberKind::Landline;
        // A text abroad costs like a call there.
        let barred = plan.is_barred(to);
        let may = asked && !barred && !self.from.private && self.emergency.is_none() && !ours && !landline;
        may.then(|| (line.clone(), to.clone(), flow.clone()))
    }

    /// What a caller hears whom nobody takes.
    pub(super) fn sentence(&self, cx: &Cx<'_>) -> PromptId {
        let rule = &cx.desk.plan.data.nobody;
        let pause = Duration::from_secs(u64::from(rule.text_pause_min) * 60);
        let text = self.texted(cx).is_some_and(|(_, to, _)| cx.desk.may_text(&to, cx.now.mono, pause));
        match (self.closed, text) {
            (false, false) => rule.prompt.clone(),
            (false, true) => rule.prompt_with_text.clone(),
            (true, false) => rule.closed_prompt.clone(),
            (true, true) => rule.closed_prompt_with_text.clone(),
        }
    }

    /// Says how the last transfer came out.
    pub(super) fn transferred(&mut self, result: Result<(), EndCause>) {
        if let Some(last) = self.transfers.last_mut().filter(|t| t.result.is_none()) {
            last.result = Some(result);
        }
    }

    /// Writes the record.
    pub(super) fn write(&self, cx: &mut Cx<'_>, moment: Moment, cause: Option<EndCause>) {
        let record = Box::new(self.record(cx.now, cx, cause));
        cx.desk.effects.push_back(Effect::Record(moment, record));
    }

    fn record(&self, now: Now, cx: &Cx<'_>, cause: Option<EndCause>) -> CallRecord {
        let answered = self.answered.map_or(now.mono, |(_, mono)| mono);
        let live = self.legs.values().map(|leg| LegRecord {
            charge: leg.meter.as_ref().map(|m: &Meter| -> Charge { m.charge.clone() }),
            ..leg.record.clone()
        });
        CallRecord {
            id: self.id.clone(),
            shop: cx.desk.shop.clone(),
            direction: self.direction,
            from: self.from.clone(),
            via: self.via.clone(),
            to: self.to.clone(),
            line: self.line.clone(),
            flow: self.flow.clone(),
            started: self.started.0,
            answered: self.answered.map(|(stamp, _)| stamp),
            ended: cause.map(|cause| (now.into(), cause)),
            ring: answered.since(self.started.1),
            talk: now.mono.since(answered),
            emergency: self.emergency.clone(),
            transfers: self.transfers.clone(),
            legs: self.past.iter().cloned().chain(live).collect(),
            legs_left_out: self.left_out,
        }
    }
}

/// What carriers count in.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A call and where it stands.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) call: Call,
    pub(super) phase: Phase,
}
