//! The daemon's core: every shop's state in memory, and one step per event. Pure: no clock, no socket, no SQL; it
//! composes the cores `at::pdu`, `messaging`, `flow`, `outbox` and `cache`. What a step changes is in its
//! [`Transaction`]; what may leave only after that is committed is in [`Step::after`]; the rest, worthless after a
//! crash, is in [`Step::live`].
//!
//! Shops share nothing but the timers' queue: each [`Shop`] owns its lines, people, runs, texts and orders, so no
//! lookup can cross over to another's.

mod commands;
mod fetching;
mod inbound;
mod orders;
mod people;
mod runs;
mod sending;
mod shop;
mod timers;

pub use commands::Command;
pub use shop::{DealerSetup, ShopSetup};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::cache::Kept;
use crate::dealer::{DealerCommand, DealerEvent};
use crate::flow::Input;
use crate::store::{Op, Snapshot, Transaction};
use crate::types::{
    BootId, EventId, ExecutionSid, LineCommand, LineEvent, LineId, MessageId, Mono, Now, ShopId, derive_sid,
};

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
    /// [`Core::poll_timeout`] has passed.
    Due,
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
    timers: Timers,
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
        let mut core =
            Self { boot, shops: BTreeMap::new(), line_shop: BTreeMap::new(), timers: Timers::default() };
        for setup in setups {
            for line in &setup.lines {
                core.line_shop.insert(line.clone(), setup.id.clone());
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
            Event::Due => {
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
        self.timers.next()
    }

    /// The shops' ids.
    pub fn shops(&self) -> impl Iterator<Item = &ShopId> {
        self.shops.keys()
    }

    /// From now on nothing is handed to lines or to the dealer: what comes is only put down.
    pub fn stop(&mut self) {
        for shop in self.shops.values_mut() {
            shop.stopping = true;
        }
    }

    /// How things stand, for `backroom doctor` and the console.
    #[must_use]
    pub fn status(&self) -> Value {
        Value::Object(self.shops.iter().map(|(id, s)| (id.to_string(), s.status())).collect())
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
        let mut cx = Cx {
            now,
            boot: &self.boot,
            event,
            serial: u32::try_from(step.transaction.ops.len()).unwrap_or(0).wrapping_mul(1000),
            step: std::mem::take(step),
            timers: &mut self.timers,
            inputs: VecDeque::new(),
            touched: BTreeSet::new(),
            dirty_runs: BTreeSet::new(),
            dirty_people: BTreeSet::new(),
        };
        act(shop, &mut cx);
        shop.finish(&mut cx);
        *step = cx.step;
    }
}
