//! The daemon's core: every shop's state in memory, and one step per event. Pure: no clock, no socket, no SQL; it
//! composes the cores `at::pdu`, `messaging`, `flow`, `outbox` and `cache`. What a step changes is in its
//! [`Transaction`]; what may leave only after that is committed is in [`Step::after`]; the rest, worthless after a
//! crash, is in [`Step::live`].
//!
//! Shops share nothing but the timers' queue: each [`Shop`] owns its lines, people, runs, texts and orders, so no
//! lookup can cross over to another's.

mod at_hand;
mod calls;
mod choice;
mod collisions;
mod commands;
mod consent;
mod consent_commands;
mod consents_told;
mod deliveries;
mod enclosing;
mod events;
mod fetching;
mod gate;
mod happened;
mod hours;
mod inbound;
mod lines;
mod offers;
mod orders;
mod pace;
mod people;
mod phones;
mod posts;
mod reports;
mod runs;
mod script;
mod send_command;
mod sending;
mod shop;
mod telling;
mod timers;
mod upstream;

pub use collisions::collisions;
pub(super) use commands::VOICEMAIL;
pub use commands::{Command, NewFlow};
pub use consent_commands::{ConsentAsk, IMPORT_MOST, Imported};
pub use enclosing::Files;
pub use events::{EndpointSetup, EventsWanted};
pub use lines::{LineSetup, Takes};
pub use send_command::Enclosure;
pub use shop::{DealerSetup, ShopSetup};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::cache::Kept;
use crate::call::CallRecord;
use crate::dealer::{DealerCommand, DealerEvent};
use crate::flow::Input;
use crate::sip::agent::Binding;
use crate::store::{EventOutRow, Op, Snapshot, Transaction};
use crate::types::{
    BootId, DeviceId, EndCause, EventId, ExecutionSid, LegCommand, LegEvent, LegId, LineCommand, LineEvent,
    LineId, MediaCommand, MediaEvent, MessageId, Mono, Now, Offer, ShopId, Via, derive_sid,
};
use crate::webhook::{WebhookCommand, WebhookEvent};

use shop::Shop;
use timers::Timers;

/// What the loop hands to the core.
#[derive(Clone, Debug)]
pub enum Event {
    /// A line reports.
    Line(LineId, LineEvent),
    /// The dealer edge reports.
    Dealer(DealerEvent),
    /// The answer to [`Effect::ReadCache`].
    Cached {
        /// Whose.
        shop: ShopId,
        /// As asked.
        id: u64,
        /// What is kept.
        kept: Option<Kept>,
    },
    /// The edge that delivers the box's own events reports.
    Webhook(WebhookEvent),
    /// The answer to [`Effect::ReadEvents`].
    EventsRead {
        /// Whose.
        shop: ShopId,
        /// As asked.
        wanted: EventsWanted,
        /// What is there.
        rows: Result<Vec<EventOutRow>, String>,
    },
    /// [`Core::poll_timeout`] has passed.
    Due,
    /// [`Core::poll_call_timeout`] has passed; whatever else is due waits.
    CallsDue,
    /// The edge that signals reports of a leg.
    Leg(LegId, LegEvent),
    /// The media edge reports.
    Media(MediaEvent),
    /// A line that carries voice takes calls, or does not any more.
    CallLine {
        /// Which.
        line: LineId,
        /// Whether.
        up: bool,
        /// In words.
        why: String,
    },
    /// A phone is registered there now.
    Bindings(DeviceId, Vec<Binding>),
    /// The edge that signals died, and every leg with it.
    LegsLost,
    /// Somebody asks for a change, through the control socket.
    Command(u64, Command),
}

/// What the core wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell a line.
    Line(LineId, LineCommand),
    /// Tell the dealer edge.
    Dealer(DealerCommand),
    /// Read a kept answer; [`Event::Cached`] brings it.
    ReadCache {
        /// Whose.
        shop: ShopId,
        /// Given back.
        id: u64,
        /// Normalised path.
        key: String,
    },
    /// Deliver an event of the box's own.
    Webhook(WebhookCommand),
    /// Read events of the box's own; [`Event::EventsRead`] brings them.
    ReadEvents {
        /// Whose.
        shop: ShopId,
        /// Which.
        wanted: EventsWanted,
    },
    /// Live: tell the edge that signals a leg.
    Leg(LegId, LegCommand),
    /// Live: tell the media edge.
    Media(MediaCommand),
    /// Answer a command.
    Reply(u64, Result<Value, String>),
}

/// What one event came to.
#[derive(Debug, Default)]
pub struct Step {
    /// State and durable effects.
    pub transaction: Transaction,
    /// Leaves after the commit.
    pub after: Vec<Effect>,
    /// Leaves at once.
    pub live: Vec<Effect>,
    /// What the technician should read in the journal, without personal data.
    pub alarms: Vec<String>,
}

/// All shops of the box.
#[derive(Debug)]
pub struct Core {
    boot: BootId,
    shops: BTreeMap<ShopId, Shop>,
    line_shop: BTreeMap<LineId, ShopId>,
    device_shop: BTreeMap<DeviceId, ShopId>,
    timers: Timers,
    /// More waits for the disk than there should: only calls for help begin.
    overloaded: bool,
}

/// What a step works with: its time, its ids, and where its results go.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    now: Now,
    boot: &'a BootId,
    event: EventId,
    serial: u32,
    step: Step,
    timers: &'a mut Timers,
    overloaded: bool,
    /// For executions, in order.
    inputs: VecDeque<(ExecutionSid, Input)>,
    /// People whose conversation may go on by itself.
    touched: BTreeSet<String>,
    dirty_runs: BTreeSet<ExecutionSid>,
    dirty_people: BTreeSet<String>,
}

impl Cx<'_> {
    fn put(&mut self, op: Op) {
        self.step.transaction.ops.push(op);
    }

    /// The newest state of a call is enough.
    fn put_call(&mut self, record: Box<CallRecord>) {
        match self.step.transaction.ops.last_mut() {
            Some(Op::PutCall(last)) if last.id == record.id => *last = record,
            Some(_) | None => self.put(Op::PutCall(record)),
        }
    }

    fn after(&mut self, effect: Effect) {
        self.step.after.push(effect);
    }

    fn alarm(&mut self, text: String) {
        self.step.alarms.push(text);
    }

    /// A new id, the same again when the event is handled again.
    fn sid(&mut self, prefix: &str) -> String {
        self.serial += 1;
        derive_sid(prefix, &[&self.event.to_string(), &self.serial.to_string()])
    }

    fn message_id(&mut self) -> MessageId {
        MessageId(self.sid("SM"))
    }
}

impl Core {
    /// Builds the state that the snapshot describes. The step holds what starting changes: parts that were with a
    /// modem become `unknown`, requests that were under way are made again.
    #[must_use]
    pub fn start(
        setups: Vec<ShopSetup>,
        snapshot: &Snapshot,
        boot: BootId,
        event: EventId,
        now: Now,
    ) -> (Self, Step) {
        let mut core = Self {
            boot,
            shops: BTreeMap::new(),
            line_shop: BTreeMap::new(),
            device_shop: BTreeMap::new(),
            timers: Timers::default(),
            overloaded: false,
        };
        for setup in setups {
            let calls = setup.calls.as_ref();
            let trunks = calls.iter().flat_map(|c| &c.lines).map(|l| &l.id);
            for line in setup.lines.iter().map(|l| &l.id).chain(trunks) {
                core.line_shop.insert(line.clone(), setup.id.clone());
            }
            for device in calls.iter().flat_map(|c| &c.extensions).flat_map(|e| &e.devices) {
                core.device_shop.insert(device.clone(), setup.id.clone());
            }
            core.shops.insert(setup.id.clone(), Shop::new(setup));
        }
        let mut step = Step::default();
        let ids: Vec<ShopId> = core.shops.keys().cloned().collect();
        for id in ids {
            core.with_shop(&id, event, now, &mut step, |shop, cx| shop.load(cx, snapshot));
        }
        (core, step)
    }

    /// One step.
    pub fn handle(&mut self, id: EventId, event: Event, now: Now) -> Step {
        let mut step = Step::default();
        match event {
            Event::Line(line, event) => match self.line_shop.get(&line).cloned() {
                Some(shop) => {
                    self.with_shop(&shop, id, now, &mut step, |s, cx| s.line_event(cx, &line, event));
                }
                None => step.alarms.push(format!("line {line} belongs to no shop")),
            },
            Event::Dealer(event) => {
                let shop = match &event {
                    DealerEvent::Fetched { shop, .. }
                    | DealerEvent::Placed { shop, .. }
                    | DealerEvent::LookedUp { shop, .. }
                    | DealerEvent::Probed { shop, .. } => shop.clone(),
                };
                self.with_shop(&shop, id, now, &mut step, |s, cx| s.dealer_event(cx, event));
            }
            Event::Cached { shop, id: fetch, kept } => {
                self.with_shop(&shop, id, now, &mut step, |s, cx| s.cache_read(cx, fetch, kept));
            }
            Event::Webhook(event) => {
                let shop = event.shop.clone();
                self.with_shop(&shop, id, now, &mut step, |s, cx| s.webhook_event(cx, event));
            }
            Event::EventsRead { shop, wanted, rows } => {
                self.with_shop(&shop, id, now, &mut step, |s, cx| s.events_read(cx, wanted, rows));
            }
            Event::CallsDue => self.calls_due(id, now, &mut step),
            Event::Leg(leg, event) => self.leg_event(id, &leg, event, now, &mut step),
            Event::Media(event) => {
                let MediaEvent::Played { leg, .. } = &event;
                if let Some(shop) = self.shop_of_leg(leg) {
                    self.with_shop(&shop, id, now, &mut step, |s, cx| s.media_event(cx, &event));
                }
            }
            Event::CallLine { line, up, why } => match self.line_shop.get(&line).cloned() {
                Some(shop) => {
                    self.with_shop(&shop, id, now, &mut step, |s, cx| s.trunk_line(cx, &line, up, why));
                }
                None => step.alarms.push(format!("line {line} belongs to no shop")),
            },
            Event::Bindings(device, bindings) => match self.device_shop.get(&device).cloned() {
                Some(shop) => {
                    self.with_shop(&shop, id, now, &mut step, |s, cx| s.registered(cx, &device, bindings));
                }
                None => step.alarms.push(format!("phone {device} belongs to no shop")),
            },
            Event::LegsLost => {
                let shops: Vec<ShopId> = self.shops.keys().cloned().collect();
                for shop in shops {
                    self.with_shop(&shop, id, now, &mut step, Shop::legs_lost);
                }
            }
            Event::Due => {
                self.calls_due(id, now, &mut step);
                // A bound, so that a thousand waits that end at once do not make one long step.
                for key in self.timers.take_due(now.mono, 64) {
                    let shop = key.shop().clone();
                    self.with_shop(&shop, id, now, &mut step, |s, cx| s.timer(cx, key));
                }
            }
            Event::Command(reply, command) => self.command(id, reply, command, now, &mut step),
        }
        step
    }

    /// When [`Event::Due`] is wanted, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.timers.next().into_iter().chain(self.poll_call_timeout()).min()
    }

    /// When [`Event::CallsDue`] is wanted, and what for: calls go on also while nothing else does.
    #[must_use]
    pub fn poll_call_timeout(&self) -> Option<(Mono, &'static str)> {
        self.shops.values().filter_map(|s| s.calls.as_ref()?.poll_timeout()).min()
    }

    /// Where phones are registered, for an edge that begins.
    #[must_use]
    pub fn bindings(&self) -> Vec<(DeviceId, Vec<Binding>)> {
        let all = self.shops.values().flat_map(|s| &s.bindings);
        all.map(|(device, bindings)| (device.clone(), bindings.clone())).collect()
    }

    /// The shops' countries, for the numbers that call for help.
    #[must_use]
    pub fn countries(&self) -> BTreeSet<String> {
        self.shops.values().map(|s| s.settings.text("calls.country").to_owned()).collect()
    }

    /// While so much waits for the disk that no more may: new calls are refused, but for calls for help.
    pub fn set_overloaded(&mut self, overloaded: bool) {
        self.overloaded = overloaded;
    }

    fn calls_due(&mut self, id: EventId, now: Now, step: &mut Step) {
        let due =
            |s: &Shop| s.calls.as_ref().and_then(|c| c.poll_timeout()).is_some_and(|(at, _)| at <= now.mono);
        let shops: Vec<ShopId> = self.shops.values().filter(|s| due(s)).map(|s| s.id.clone()).collect();
        for shop in shops {
            self.with_shop(&shop, id, now, step, Shop::calls_due);
        }
    }

    fn leg_event(&mut self, id: EventId, leg: &LegId, event: LegEvent, now: Now, step: &mut Step) {
        let shop = match &event {
            LegEvent::Offered(offer) => self.shop_of_offer(offer),
            // Whatever lives there and belongs to no call is told to end, by any shop.
            _ => self.shop_of_leg(leg).or_else(|| self.first_with_calls()),
        };
        match (shop, &event) {
            (Some(shop), _) => self.with_shop(&shop, id, now, step, |s, cx| s.leg_event(cx, leg, event)),
            (None, LegEvent::Offered(offer)) => {
                let cause = EndCause::Rejected;
                step.alarms.push(format!("a call by {:?} belongs to no shop", offer.via));
                step.live.push(Effect::Leg(leg.clone(), LegCommand::Hangup { cause }));
            }
            (None, _) => {}
        }
    }

    /// Few shops share a box: their call controls know their legs, and nothing else can be left over.
    fn shop_of_leg(&self, leg: &LegId) -> Option<ShopId> {
        let has = |s: &&Shop| s.calls.as_ref().is_some_and(|c| c.has_leg(leg));
        self.shops.values().find(has).map(|s| s.id.clone())
    }

    fn shop_of_offer(&self, offer: &Offer) -> Option<ShopId> {
        let shop = match &offer.via {
            Via::Line(line) => self.line_shop.get(line),
            Via::Device(device) => self.device_shop.get(device),
        };
        let shop = shop.filter(|id| self.shops.get(*id).is_some_and(|s| s.calls.is_some())).cloned();
        // A phone that nobody knows may still call for help.
        shop.or_else(|| self.first_with_calls().filter(|_| offer.emergency))
    }

    fn first_with_calls(&self) -> Option<ShopId> {
        self.shops.values().find(|s| s.calls.is_some()).map(|s| s.id.clone())
    }

    /// The shops' ids.
    pub fn shops(&self) -> impl Iterator<Item = &ShopId> {
        self.shops.keys()
    }

    /// From now on nothing is handed to lines or to the dealer: what comes is only put down. Calls end.
    pub fn stop(&mut self, id: EventId, now: Now) -> Step {
        let mut step = Step::default();
        for shop in self.shops.values_mut() {
            shop.stopping = true;
        }
        let shops: Vec<ShopId> = self.shops.keys().cloned().collect();
        for shop in shops {
            self.with_shop(&shop, id, now, &mut step, Shop::end_calls);
        }
        step
    }

    /// How things stand, for `backroom doctor` and the console.
    #[must_use]
    pub fn status(&self, now: Mono) -> Value {
        Value::Object(self.shops.iter().map(|(id, s)| (id.to_string(), s.status(now))).collect())
    }

    fn with_shop(
        &mut self,
        id: &ShopId,
        event: EventId,
        now: Now,
        step: &mut Step,
        act: impl FnOnce(&mut Shop, &mut Cx<'_>),
    ) {
        let Some(shop) = self.shops.get_mut(id) else {
            step.alarms.push(format!("there is no shop {id}"));
            return;
        };
        let from = step.transaction.ops.len();
        let mut cx = Cx {
            now,
            boot: &self.boot,
            event,
            serial: u32::try_from(step.transaction.ops.len()).unwrap_or(0).wrapping_mul(1000),
            step: std::mem::take(step),
            timers: &mut self.timers,
            overloaded: self.overloaded,
            inputs: VecDeque::new(),
            touched: BTreeSet::new(),
            dirty_runs: BTreeSet::new(),
            dirty_people: BTreeSet::new(),
        };
        act(shop, &mut cx);
        shop.finish(&mut cx);
        shop.tell_events(&mut cx, from);
        *step = cx.step;
    }
}
