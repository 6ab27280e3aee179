//! Calls of a shop: between call control, which knows neither rows nor texts, and the rest of the shop. What call
//! control wants of the edges leaves at once; records are rows of the step's transaction; a missed call and a call
//! for help become texts.
//!
//! Deliberately absent: voice flows (a plan that names one is refused where it is read; a caller who got there all the
//! same hears that nobody is there), and lines of modems, which carry no voice.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::enclosing::Wants;
use super::shop::{Shop, readable};
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::call::{
    self, CallControl, CallRecord, Command, EmergencyNotice, FlowEvent, Hours, Moment, Plan, Target,
};
use crate::config::ShopSettings;
use crate::messaging::ledger::Purpose;
use crate::messaging::{Mode, Waiting};
use crate::store::{Op, Snapshot, Source};
use crate::types::{
    Address, CallId, EndCause, ExecutionSid, LegCommand, LegEvent, LegId, LineId, MediaEvent, MediaFacts,
    MessageId, Mono, Now, PhoneNumber, Via, Wall, derive_sid,
};

/// An edge closes its legs in milliseconds; if it ever did not, nothing is kept for ever.
const CLOSING_MOST: usize = 4096;

/// What is known of a line that carries voice.
#[derive(Debug, Default)]
struct Trunk {
    up: bool,
    why: String,
}

/// A shop's calls.
#[derive(Debug)]
pub(super) struct Calls {
    control: CallControl,
    trunks: BTreeMap<LineId, Trunk>,
    /// The shop's day that the caps count; not known while the clock is not sure.
    day: Option<Date>,
    hours: Option<Hours>,
    closing: Closing,
}

/// Calls that have ended while their edge still closes legs of theirs: what it measured comes then.
#[derive(Debug, Default)]
struct Closing {
    legs: BTreeMap<LegId, CallId>,
    /// With how many legs are left.
    records: BTreeMap<CallId, (Box<CallRecord>, usize)>,
}

impl Closing {
    fn begin(&mut self, record: &CallRecord) {
        let wanted = record.legs.iter().filter(|leg| leg.media.is_none() && leg.answered.is_some());
        let before = self.legs.len();
        self.legs.extend(wanted.map(|leg| (leg.leg.clone(), record.id.clone())));
        let left = self.legs.len() - before;
        if left > 0 {
            self.records.insert(record.id.clone(), (Box::new(record.clone()), left));
        }
        if self.records.len() > CLOSING_MOST {
            *self = Self::default();
        }
    }

    /// The record with what was measured, when this leg is one of them.
    fn measured(&mut self, leg: &LegId, facts: MediaFacts) -> Option<Box<CallRecord>> {
        let (record, _) = self.records.get_mut(self.legs.get(leg)?)?;
        record.legs.iter_mut().find(|l| l.leg == *leg)?.media = Some(facts);
        Some(record.clone())
    }

    fn over(&mut self, leg: &LegId) {
        let Some(call) = self.legs.remove(leg) else { return };
        if let Some((_, left)) = self.records.get_mut(&call) {
            *left -= 1;
            if *left == 0 {
                self.records.remove(&call);
            }
        }
    }
}

impl Calls {
    /// The next thing that call control waits for.
    pub(super) fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.control.poll_timeout()
    }

    pub(super) fn has_leg(&self, leg: &LegId) -> bool {
        self.control.call_of(leg).is_some() || self.closing.legs.contains_key(leg)
    }
}

impl Shop {
    pub(super) fn load_calls(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let own = self.id.clone();
        for record in snapshot.calls_open.iter().filter(|r| r.shop == own) {
            cx.alarm(format!("call {} was cut off: the box stopped while it went on", record.id));
            self.count("calls_cut_off");
            cx.put(Op::PutCall(Box::new(record.clone().crashed(cx.now))));
        }
        let Some(ground) = &self.setup.calls else { return };
        let plan = ground.plan(&self.settings).or_else(|problems| {
            for problem in &problems {
                cx.alarm(format!("shop {}: {problem}", self.id));
            }
            cx.alarm(format!("shop {}: calls follow the plan that the configuration file makes", self.id));
            Plan::check(ground.default_plan(&self.settings)).map_err(|problems| {
                for problem in problems {
                    cx.alarm(format!("shop {}: there are no calls: {problem}", self.id));
                }
            })
        });
        let Ok(plan) = plan else { return };
        let mut control = CallControl::new(self.id.clone(), plan, cx.event);
        let today = Today::new(&self.settings, cx.now, snapshot.last_wall);
        let charged = snapshot.calls_charged.iter().filter(|r| r.shop == self.id && today.has(r));
        for record in charged {
            control.restore(record);
        }
        let unheard = || Trunk { up: false, why: "it was not heard of yet".to_owned() };
        let trunks = ground.lines.iter().map(|line| (line.id.clone(), unheard()));
        self.calls = Some(Calls {
            control,
            trunks: trunks.collect(),
            day: today.day,
            hours: None,
            closing: Closing::default(),
        });
        self.call_clock(cx);
    }

    /// Each minute of the shop's clock: business hours begin and end, and days.
    pub(super) fn call_clock(&mut self, cx: &mut Cx<'_>) {
        let hours = hours_at(&self.settings, cx.now);
        let day = cx.now.wall_sure.then(|| civil_date(&self.settings, cx.now.wall)).flatten();
        let Some(calls) = &mut self.calls else { return };
        if calls.hours != Some(hours) {
            calls.control.handle_hours(None, hours);
            calls.hours = Some(hours);
        }
        if day.is_some() && day != calls.day {
            if calls.day.is_some() {
                calls.control.handle_day();
            }
            calls.day = day;
        }
        let into = u64::try_from(cx.now.wall.0.rem_euclid(60_000)).unwrap_or(0);
        let next = cx.now.mono + std::time::Duration::from_millis(60_000 - into);
        cx.timers.set(TimerKey::CallClock(self.id.clone()), next);
    }

    pub(super) fn leg_event(&mut self, cx: &mut Cx<'_>, leg: &LegId, event: LegEvent) {
        let Some(calls) = &mut self.calls else { return };
        if let LegEvent::Offered(offer) = &event {
            let emergency = offer.emergency || calls.control.is_emergency(&offer.to);
            if self.stopping {
                let hangup = LegCommand::Hangup { cause: EndCause::Stopped };
                cx.step.live.push(Effect::Leg(leg.clone(), hangup));
                return;
            }
            if cx.overloaded && !emergency {
                let hangup = LegCommand::Hangup { cause: EndCause::Unavailable };
                cx.step.live.push(Effect::Leg(leg.clone(), hangup));
                self.count("calls_refused_disk_stalled");
                return;
            }
        }
        let event = match event {
            LegEvent::Media(facts) if calls.closing.legs.contains_key(leg) => {
                if let Some(record) = calls.closing.measured(leg, facts) {
                    cx.put_call(record);
                }
                return;
            }
            LegEvent::Ended { .. } | LegEvent::Refused { .. } if calls.closing.legs.contains_key(leg) => {
                return calls.closing.over(leg);
            }
            event => event,
        };
        calls.control.handle_leg(leg, event, cx.now);
        self.carry_calls(cx);
    }

    pub(super) fn media_event(&mut self, cx: &mut Cx<'_>, event: &MediaEvent) {
        let Some(calls) = &mut self.calls else { return };
        calls.control.handle_media(event, cx.now);
        self.carry_calls(cx);
    }

    /// A line that carries voice takes calls, or does not any more.
    pub(super) fn trunk_line(&mut self, cx: &mut Cx<'_>, id: &LineId, up: bool, why: String) {
        let Some(calls) = &mut self.calls else { return };
        let Some(trunk) = calls.trunks.get_mut(id) else { return };
        // The edge has said it in the journal.
        *trunk = Trunk { up, why };
        calls.control.handle_line(id, up, cx.now);
        self.carry_calls(cx);
    }

    /// Which lines take calls, and why or why not.
    pub(super) fn trunk_standings(&self) -> impl Iterator<Item = (&LineId, bool, &str)> {
        self.calls.iter().flat_map(|c| &c.trunks).map(|(id, t)| (id, t.up, t.why.as_str()))
    }

    /// The owner changed something that the plan follows from.
    pub(super) fn plan_changed(&mut self, plan: Plan) {
        if let Some(calls) = &mut self.calls {
            calls.control.handle_plan(plan);
        }
    }

    /// The edge that carried them is gone, and every leg with it.
    pub(super) fn legs_lost(&mut self, cx: &mut Cx<'_>) {
        let lines: Vec<LineId> = self.calls.iter().flat_map(|c| c.trunks.keys().cloned()).collect();
        for line in lines {
            self.trunk_line(cx, &line, false, "the edge that carries calls ended".to_owned());
        }
        if let Some(calls) = &mut self.calls {
            calls.closing = Closing::default();
        }
        // A call whose leg is gone may dial anew: those legs, too, are with nobody.
        for _ in 0..100 {
            let Some(calls) = &mut self.calls else { return };
            let legs: Vec<LegId> = calls.control.legs().cloned().collect();
            if legs.is_empty() {
                return;
            }
            for leg in legs {
                calls.control.handle_leg(&leg, LegEvent::Ended { cause: EndCause::LineDown }, cx.now);
            }
            self.carry_calls(cx);
        }
    }

    /// What call control waits for is due.
    pub(super) fn calls_due(&mut self, cx: &mut Cx<'_>) {
        let Some(calls) = &mut self.calls else { return };
        calls.control.handle_timeout(cx.now);
        self.carry_calls(cx);
    }

    /// Somebody ends a call.
    pub(super) fn hang_up(&mut self, cx: &mut Cx<'_>, call: CallId) -> Result<Value, String> {
        let Some(calls) = &mut self.calls else { return Err("this shop has no calls".to_owned()) };
        let ended = json!({ "id": call });
        calls.control.handle_command(Command::Hangup { call }, cx.now).map_err(|e| e.to_string())?;
        self.carry_calls(cx);
        Ok(ended)
    }

    /// The box stops: so do its calls.
    pub(super) fn end_calls(&mut self, cx: &mut Cx<'_>) {
        let Some(calls) = &mut self.calls else { return };
        let open: Vec<CallId> = calls.control.calls().cloned().collect();
        for call in open {
            if let Err(error) = calls.control.handle_command(Command::Hangup { call }, cx.now) {
                cx.step.alarms.push(format!("a call cannot be ended: {error}"));
            }
        }
        self.carry_calls(cx);
    }

    /// Carries out what call control wants, in order.
    fn carry_calls(&mut self, cx: &mut Cx<'_>) {
        loop {
            let Some(calls) = &mut self.calls else { return };
            let Some(effect) = calls.control.poll_effect() else { return };
            match effect {
                call::Effect::Leg(leg, LegCommand::Dial { via: Via::Line(line), .. })
                    if !calls.trunks.contains_key(&line) =>
                {
                    let refused = LegEvent::Refused { cause: EndCause::LineDown, retry_after: None };
                    calls.control.handle_leg(&leg, refused, cx.now);
                }
                call::Effect::Leg(leg, command) => cx.step.live.push(Effect::Leg(leg, command)),
                call::Effect::Media(command) => cx.step.live.push(Effect::Media(command)),
                call::Effect::Record(moment, record) => {
                    if moment == Moment::Ended {
                        calls.closing.begin(&record);
                    }
                    cx.put_call(record);
                }
                call::Effect::TextBack { call, line: _, to, flow } => self.text_back(cx, &call, &to, flow),
                call::Effect::Emergency(notice) => self.call_for_help(cx, &notice),
                call::Effect::Flow(event) => self.voice_flow(cx, event),
            }
        }
    }

    /// No flow speaks yet: the caller hears that nobody is there, and is let go.
    fn voice_flow(&mut self, cx: &mut Cx<'_>, event: FlowEvent) {
        let FlowEvent::Started { call, flow } = event else { return };
        cx.alarm(format!("call {call} was to be taken by the flow {flow}: flows take no calls yet"));
        let nobody = Command::Connect { call, to: Target::Nobody };
        if let Some(Err(error)) = self.calls.as_mut().map(|c| c.control.handle_command(nobody, cx.now)) {
            cx.alarm(format!("a caller cannot be told that nobody is there: {error}"));
        }
    }

    /// Nobody took the call: a text, and where nothing else goes on, the flow behind it.
    fn text_back(&mut self, cx: &mut Cx<'_>, call: &CallId, to: &PhoneNumber, flow: String) {
        let person = to.as_str().to_owned();
        let purpose = Purpose::Informational;
        let refused = self.refused_to(cx.now, &person, purpose, Wants::default()).is_some();
        if refused || self.setup.lines.is_empty() {
            self.count("missed_calls_not_texted");
            return;
        }
        self.count("missed_calls_texted");
        let words = self.settings.text("calls.missed_text");
        let body = words.replace("{shop}", self.settings.text("shop.name"));
        let message = MessageId(derive_sid("SM", &[call.as_str(), "missed"]));
        self.send_text(cx, message, &person, body, Source::Box, None);
        let talk = self.talk(cx, &person);
        if matches!(talk.state.mode, Mode::People { .. }) {
            let ticket = talk.ticket;
            self.tell_staff(cx, &format!("#{ticket} {person} called just now, and nobody took the call."));
            return;
        }
        // Whoever is in the middle of something goes on with it: a menu from nowhere would only confuse.
        if talk.state.is_idle() {
            let sid = ExecutionSid(derive_sid("FN", &[call.as_str(), "missed"]));
            let mut parameters = Map::new();
            parameters.insert("MissedCallSid".into(), call.as_str().into());
            talk.state.waiting.push_back(Waiting { sid, flow, parameters, order: None });
        }
        cx.dirty_people.insert(person.clone());
        cx.touched.insert(person);
    }

    /// Somebody in the shop calls for help: the people of the shop learn of it ahead of everything else.
    fn call_for_help(&mut self, cx: &mut Cx<'_>, notice: &EmergencyNotice) {
        self.count(if notice.test { "emergency_tests" } else { "emergency_calls" });
        let what = if notice.test { "TEST of the emergency address" } else { "EMERGENCY CALL" };
        cx.alarm(format!("{what}: {} by line {}, call {}", notice.number, notice.line, notice.call));
        let body = help_text(what, notice);
        let staff = self.settings.phones("staff");
        if staff.is_empty() {
            cx.alarm(format!("shop {}: no staff numbers are set that could be told of it", self.id));
        }
        for number in staff {
            self.say_first(cx, number.as_str(), body.clone(), !notice.test);
        }
    }

    pub(super) fn call_status(&self) -> Value {
        let Some(calls) = &self.calls else { return Value::Null };
        let counters = calls.control.counters();
        let trunks = calls.trunks.iter().map(|(id, t)| {
            let on = calls.control.calls_on(id);
            (id.to_string(), json!({ "up": t.up, "why": t.why, "calls": on }))
        });
        json!({
            "calls": calls.control.calls().count(),
            "legs": calls.control.legs().count(),
            "trunks": trunks.collect::<Map<String, Value>>(),
            "hours": calls.hours,
            "stray_events": counters.stray_events,
            "repeated_offers": counters.repeated_offers,
        })
    }
}

fn help_text(what: &str, notice: &EmergencyNotice) -> String {
    let place = match (&notice.who.address, &notice.from) {
        (Some(Address::Short(extension)), _) => format!("extension {extension}"),
        (Some(address), _) => address.as_str().to_owned(),
        (None, Via::Device(device)) => format!("phone {device}"),
        (None, Via::Line(line)) => format!("line {line}"),
    };
    let name = notice.who.display.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let back = notice.callback.as_ref().map_or("none".to_owned(), |n| readable(n.as_str()));
    format!(
        "{what}: {} was dialled at {place}{name}. Location: {}. Call-back number: {back}.",
        notice.number, notice.location
    )
}

/// Which records count against the day that the caps begin with after a start.
struct Today<'a> {
    settings: &'a ShopSettings,
    day: Option<Date>,
    /// The clock is not set: what was written by the same clock in the last day, and the last day that was sure.
    unsure: Option<(Wall, Option<Date>)>,
}

impl<'a> Today<'a> {
    fn new(settings: &'a ShopSettings, now: Now, last_wall: Option<Wall>) -> Self {
        let day = if now.wall_sure { civil_date(settings, now.wall) } else { None };
        let last = last_wall.and_then(|wall| civil_date(settings, wall));
        Self { settings, day, unsure: (!now.wall_sure).then_some((now.wall, last)) }
    }

    fn has(&self, record: &CallRecord) -> bool {
        let day = civil_date(self.settings, record.started.wall);
        match (self.unsure, record.started.sure) {
            (None, true) => day == self.day,
            (None, false) => false,
            (Some((_, last)), true) => day == last,
            (Some((now, _)), false) => {
                record.started.wall <= now && now.since(record.started.wall).as_secs() < 24 * 3600
            }
        }
    }
}

fn civil_date(settings: &ShopSettings, wall: Wall) -> Option<Date> {
    Some(jiff::Timestamp::from_millisecond(wall.0).ok()?.to_zoned(settings.zone()).date())
}

/// A clock that is not set closes no shop: better a phone that rings than none.
fn hours_at(settings: &ShopSettings, now: Now) -> Hours {
    if !now.wall_sure || settings.is_open(now.wall) {
        Hours::Open
    } else if settings.is_holiday(now.wall) {
        Hours::Holiday
    } else {
        Hours::Closed
    }
}
