//! One shop: everything that is its own, in memory, and how it is built from the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::{Map, Value, json};

use super::calls::Calls;
use super::consent::Consent;
use super::deliveries::Early;
use super::events::{EndpointSetup, Events};
use super::fetching::Fetch;
use super::lines::{Line, LineSetup};
use super::orders::Placed;
use super::runs::Run;
use super::script::Script;
use super::sending::Outgoing;
use super::timers::TimerKey;
use super::upstream::{Sids, WantedMedia};
use super::{Cx, Effect};
use crate::config::{ShopSettings, TemplateConfig};
use crate::daemon::calls_setup::PlanGround;
use crate::dealer::DealerCommand;
use crate::flow::{Env, Limits as FlowLimits, lizzy};
use crate::messaging::Conversation;
use crate::messaging::rates::{Limits, Rates};
use crate::sip::agent::Binding;
use crate::store::{ConcatKey, FlowRow, Op, ReceivedRow, Snapshot};
use crate::types::{
    Capabilities, ConversationId, DeviceId, ExecutionSid, LineId, MessageId, Mono, Now, OrderId, PartId,
    PhoneNumber, ShopId, derive_sid,
};

/// What the technician's file says about a shop.
#[derive(Clone, Debug)]
pub struct ShopSetup {
    /// Its id.
    pub id: ShopId,
    /// Its lines that carry texts, in order of preference.
    pub lines: Vec<LineSetup>,
    /// Its dealer's API, if it has one.
    pub dealer: Option<DealerSetup>,
    /// Who hears of its events.
    pub endpoints: Vec<EndpointSetup>,
    /// What its dial plan follows from, if it has a trunk or a phone.
    pub calls: Option<PlanGround>,
    /// Templates that live at an upstream, by name.
    pub templates: Vec<TemplateConfig>,
    /// Settings that the technician fixed: they win over the owner's.
    pub fixed: Map<String, Value>,
}

/// The part of the dealer's configuration that the core needs.
#[derive(Clone, Debug)]
pub struct DealerSetup {
    /// Base URL without a slash at the end.
    pub url: String,
}

/// A person and their conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) id: ConversationId,
    pub(super) ticket: u32,
    pub(super) state: Conversation,
}

/// A flow that new executions start on.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) sid: String,
    pub(super) revision: u32,
    pub(super) script: Script,
}

/// What is known of the dealer.
#[derive(Debug)]
pub(super) struct Dealer {
    /// The last thing that he did was to answer.
    pub(super) reachable: bool,
    /// When that was seen last.
    pub(super) heard: Option<Mono>,
    /// A probe was answered in this run.
    pub(super) asked: bool,
    pub(super) probed: Option<Capabilities>,
    /// Transactions were seen that carry `client_reference`.
    pub(super) references_seen: bool,
    pub(super) customers: BTreeSet<String>,
    pub(super) prefetching: VecDeque<String>,
    pub(super) prefetch_due: Option<Mono>,
}

#[derive(Debug)]
pub(super) struct Shop {
    pub(super) id: ShopId,
    pub(super) setup: ShopSetup,
    pub(super) settings: ShopSettings,
    pub(super) lines: BTreeMap<LineId, Line>,
    pub(super) people: HashMap<String, Talk>,
    pub(super) next_ticket: u32,
    pub(super) flows: BTreeMap<String, Published>,
    pub(super) pinned: HashMap<(String, u32), Script>,
    pub(super) runs: HashMap<ExecutionSid, Run>,
    pub(super) held: BTreeSet<(ExecutionSid, u64)>,
    pub(super) outgoing: HashMap<MessageId, Outgoing>,
    /// Sent and not reported yet: by line, recipient and TP-MR.
    pub(super) awaiting_report: HashMap<(LineId, String, u8), PartId>,
    pub(super) report_order: VecDeque<(LineId, String, u8)>,
    /// No answer came: a report may name the recipient.
    pub(super) unknown_parts: Vec<(String, PartId)>,
    pub(super) consent: Consent,
    /// The ids at upstreams of texts that may be told again.
    pub(super) sids: Sids,
    /// Texts that an upstream has and that are not at their end.
    pub(super) by_sid: HashMap<String, MessageId>,
    /// Of texts whose post is not answered yet, perhaps.
    pub(super) early: Early,
    pub(super) media: WantedMedia,
    pub(super) rates: Rates,
    pub(super) orders: BTreeMap<OrderId, Placed>,
    pub(super) fetches: HashMap<u64, Fetch>,
    pub(super) next_fetch: u64,
    pub(super) parts: HashMap<ConcatKey, BTreeMap<u8, ReceivedRow>>,
    pub(super) dealer: Dealer,
    pub(super) calls: Option<Calls>,
    pub(super) events: Events,
    pub(super) bindings: BTreeMap<DeviceId, Vec<Binding>>,
    pub(super) concat_reference: u8,
    pub(super) counters: BTreeMap<&'static str, u64>,
    /// The box ends: nothing new is handed to lines or to the dealer.
    pub(super) stopping: bool,
}

impl Shop {
    pub(super) fn new(setup: ShopSetup) -> Self {
        let lines = setup.lines.iter().map(|l| (l.id.clone(), Line::new(l.clone()))).collect();
        Self {
            id: setup.id.clone(),
            settings: ShopSettings::default(),
            lines,
            people: HashMap::new(),
            next_ticket: 1,
            flows: BTreeMap::new(),
            pinned: HashMap::new(),
            runs: HashMap::new(),
            held: BTreeSet::new(),
            outgoing: HashMap::new(),
            awaiting_report: HashMap::new(),
            report_order: VecDeque::new(),
            unknown_parts: Vec::new(),
            consent: Consent::new(&setup.id),
            sids: Sids::default(),
            by_sid: HashMap::new(),
            early: Early::default(),
            media: WantedMedia::new(),
            rates: Rates::new(Limits::default()),
            orders: BTreeMap::new(),
            fetches: HashMap::new(),
            next_fetch: 1,
            parts: HashMap::new(),
            dealer: Dealer {
                reachable: true,
                heard: None,
                asked: false,
                probed: None,
                references_seen: false,
                customers: BTreeSet::new(),
                prefetching: VecDeque::new(),
                prefetch_due: None,
            },
            calls: None,
            events: Events::default(),
            bindings: BTreeMap::new(),
            concat_reference: 0,
            counters: BTreeMap::new(),
            stopping: false,
            setup,
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
    }

    /// Takes its own rows out of the snapshot and sets going what was interrupted.
    pub(super) fn load(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let own = self.id.clone();
        let mine = |shop: &ShopId| *shop == own;
        for row in snapshot.settings.iter().filter(|r| mine(&r.shop)) {
            if self.settings.set(&row.key, &row.value).is_err() {
                cx.alarm(format!(
                    "shop {}: the stored setting {} does not fit and is ignored",
                    self.id, row.key
                ));
            }
        }
        self.apply_fixed(cx);
        self.rates.set_limits(super::pace::limits(&self.settings));
        for line in self.lines.values_mut() {
            line.note_health(cx.now);
        }
        self.next_ticket = snapshot.next_ticket.get(&self.id).copied().unwrap_or(1);
        self.concat_reference = u8::try_from(cx.event.0 & 0xff).unwrap_or(0);
        self.load_consent(cx, snapshot);
        self.load_flows(cx, snapshot);
        self.load_people(cx, snapshot);
        self.load_runs(cx, snapshot);
        self.load_upstream(cx, snapshot);
        self.load_outgoing(cx, snapshot);
        self.load_received(cx, snapshot);
        self.load_orders(cx, snapshot);
        self.load_calls(cx, snapshot);
        self.load_bindings(cx, snapshot);
        self.load_events(cx, snapshot);
        if self.setup.dealer.is_some() {
            cx.after(Effect::Dealer(DealerCommand::Probe { shop: self.id.clone() }));
            cx.timers.set(
                TimerKey::Prefetch(self.id.clone()),
                cx.now.mono + self.settings.seconds("dealer.probe_every"),
            );
        }
    }

    pub(super) fn apply_fixed(&mut self, cx: &mut Cx<'_>) {
        for (key, value) in self.setup.fixed.clone() {
            if self.settings.set(&key, &value).is_err() {
                cx.alarm(format!("shop {}: the fixed setting {key} does not fit and is ignored", self.id));
            }
        }
    }

    fn load_flows(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let rows: Vec<&FlowRow> = snapshot.flows.iter().filter(|r| r.shop == self.id).collect();
        for row in &rows {
            self.add_definition(cx, row);
        }
        for (name, json) in lizzy::FLOWS {
            let latest = rows.iter().filter(|r| r.name == *name).max_by_key(|r| r.revision);
            // A flow that the owner changed stays his; a shipped one follows the box.
            if latest.is_some_and(|r| r.by != "shipped" || r.definition == *json) {
                continue;
            }
            let row = FlowRow {
                shop: self.id.clone(),
                name: (*name).to_owned(),
                sid: derive_sid("FW", &[self.id.as_str(), name]),
                revision: latest.map_or(1, |r| r.revision + 1),
                definition: (*json).to_owned(),
                published: true,
                by: "shipped".to_owned(),
                wall: cx.now.wall,
            };
            self.add_definition(cx, &row);
            cx.put(Op::PutFlow(row));
        }
    }

    /// The newest revision of a flow that can run; 0 when there is none.
    pub(super) fn newest_revision(&self, name: &str) -> u32 {
        self.pinned.keys().filter(|(own, _)| own == name).map(|(_, revision)| *revision).max().unwrap_or(0)
    }

    pub(super) fn add_definition(&mut self, cx: &mut Cx<'_>, row: &FlowRow) {
        match Script::new(&row.name, &row.definition) {
            Ok(script) => {
                self.pinned.insert((row.name.clone(), row.revision), script.clone());
                let newer = self.flows.get(&row.name).is_none_or(|p| p.revision <= row.revision);
                if row.published && newer {
                    self.flows.insert(
                        row.name.clone(),
                        Published { sid: row.sid.clone(), revision: row.revision, script },
                    );
                }
            }
            Err(why) => cx.alarm(format!("flow {} revision {} cannot run: {why}", row.name, row.revision)),
        }
    }

    fn load_people(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        for row in snapshot.conversations.iter().filter(|r| r.shop == self.id) {
            let state: Conversation = match serde_json::from_value(row.state.clone()) {
                Ok(state) => state,
                Err(error) => {
                    cx.alarm(format!("conversation {} began anew: {error}", row.id));
                    Conversation::default()
                }
            };
            self.next_ticket = self.next_ticket.max(row.ticket + 1);
            cx.touched.insert(row.person.clone());
            if matches!(state.mode, crate::messaging::Mode::People { .. }) {
                let deadline = cx.now.mono + self.settings.seconds("relay.idle");
                cx.timers.set(TimerKey::Relay(self.id.clone(), row.person.clone()), deadline);
            }
            self.people.insert(row.person.clone(), Talk { id: row.id.clone(), ticket: row.ticket, state });
        }
    }

    /// What flows may read of their surroundings.
    pub(super) fn env(&self, now: Now) -> Env {
        let s = &self.settings;
        let mut vars = Map::new();
        let url = self.setup.dealer.as_ref().map_or("", |d| d.url.as_str());
        vars.insert("LIZZY_API_URL".into(), url.into());
        vars.insert("SHOP_NAME".into(), s.text("shop.name").into());
        vars.insert("SHOP_PHONE".into(), self.shop_phone().into());
        vars.insert("SILENCE_SECONDS".into(), s.get("silence").clone());
        vars.insert("EMOJI".into(), s.switch("emoji").into());
        // A clock that is not set would only mislead.
        let open = if now.wall_sure { Value::from(s.is_open(now.wall)) } else { Value::Null };
        vars.insert("SHOP_OPEN".into(), open);
        vars.insert("SHOP_HOURS".into(), if now.wall_sure { s.hours_on(now.wall) } else { "" }.into());
        vars.insert("STAFF".into(), (!s.phones("staff").is_empty()).into());
        vars.insert("DEALER_REACHABLE".into(), self.dealer.reachable.into());
        Env {
            vars,
            zone: s.zone(),
            dealer_reachable: self.dealer.reachable,
            people: !s.phones("staff").is_empty(),
            order_wait: s.seconds("dealer.order_wait"),
            flows: self.flows.iter().map(|(name, p)| (name.clone(), p.sid.clone())).collect(),
            limits: FlowLimits {
                steps: s.count("limits.steps"),
                same_widget: s.count("limits.same_widget"),
                life: s.seconds("limits.execution_life"),
            },
        }
    }

    /// The number to call, as people read it: the setting, else the number of a line.
    pub(super) fn shop_phone(&self) -> String {
        let set = self.settings.text("shop.phone");
        let own = self.lines.values().find_map(|l| l.number.as_ref().map(PhoneNumber::as_str));
        let number = if set.is_empty() { own.unwrap_or("") } else { set };
        readable(number)
    }

    /// After the event's own work: runs what it set going until nothing more happens, then writes what changed.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>) {
        // Studio's own limits end any run long before this; it is there so that a mistake here is an alarm and not a
        // daemon that hangs.
        for _ in 0..100_000 {
            if let Some((sid, input)) = cx.inputs.pop_front() {
                self.feed(cx, &sid, input);
            } else if let Some(person) = cx.touched.pop_first() {
                self.settle(cx, &person);
            } else if !self.pump_lines(cx) {
                self.flush(cx);
                return;
            }
        }
        cx.alarm(format!("shop {}: an event did not come to rest", self.id));
        self.flush(cx);
    }

    fn flush(&mut self, cx: &mut Cx<'_>) {
        self.tell_consents(cx);
        for sid in std::mem::take(&mut cx.dirty_runs) {
            self.flush_run(cx, &sid);
        }
        for person in std::mem::take(&mut cx.dirty_people) {
            self.flush_person(cx, &person);
        }
    }

    pub(super) fn timer(&mut self, cx: &mut Cx<'_>, key: TimerKey) {
        match key {
            TimerKey::Run(_, sid, id) => self.wait_ended(cx, sid, id),
            TimerKey::Lookup(_, id) => self.lookup_timer(cx, id),
            TimerKey::Order(_, id) => self.order_due(cx, &id),
            TimerKey::OrderWait(_, id) => self.order_wait_ended(cx, &id),
            TimerKey::Concat(_, key) => self.concat_ended(cx, &key),
            TimerKey::Pause(_, line) => self.pause_ended(&line),
            TimerKey::Failover(_, line) => self.failover(cx, &line),
            TimerKey::Pump(..) => {} // `finish` gives every line what it has room for.
            TimerKey::Post(_, id) => self.post_due(cx, &id),
            TimerKey::Told(_, id) => self.told_enough(cx, &id),
            TimerKey::NotBefore(_, id) => self.its_time(cx, &id),
            TimerKey::Media(_, id, number) => self.media_due(cx, &id, number),
            TimerKey::Rates(_) => self.forget_rates(cx),
            TimerKey::Grace(_) => self.release_held(cx),
            TimerKey::Prefetch(_) => self.prefetch(cx),
            TimerKey::Relay(_, person) => self.relay_idle(cx, &person),
            TimerKey::CallClock(_) => self.call_clock(cx),
            TimerKey::Events(_) => self.events_due(cx),
            TimerKey::ConsentAge(_) => self.consent_age(cx),
            TimerKey::Consents(_, line) => self.consents_due(cx, &line),
        }
    }

    pub(super) fn status(&self, now: Mono) -> Value {
        let line = |(id, line): (&LineId, &Line)| {
            let mut status = line.status();
            if let Some(told) = self.telling_status(id) {
                status["consents"] = told;
            }
            (id.to_string(), status)
        };
        let lines: Map<String, Value> = self.lines.iter().map(line).collect();
        let unknown = self.orders.values().filter(|o| o.is_unknown()).count();
        json!({
            "lines": lines,
            "queued": self.lines.values().map(|l| l.queue.len()).sum::<usize>(),
            "conversations": self.people.values().filter(|t| !t.state.is_idle()).count(),
            "people": self.people.len(),
            "executions": self.runs.len(),
            "orders": { "open": self.orders.len() - unknown, "unknown": unknown },
            "texts_unknown": self.unknown_parts.len() + self.posts_unknown(),
            "media_wanted": self.media.len(),
            "dealer": {
                "configured": self.setup.dealer.is_some(),
                "reachable": self.dealer.reachable,
                "idempotency_key": self.capabilities().idempotency_key,
                "client_reference": self.capabilities().client_reference,
            },
            "calls": self.call_status(),
            "phones": self.phone_status(),
            "webhooks": self.events_status(now),
            "consent": self.consent_status(),
            "counters": self.counters,
        })
    }
}

/// `+12065550100` as `(206) 555-0100`; other countries' numbers as they are.
pub(super) fn readable(number: &str) -> String {
    match number.strip_prefix("+1").filter(|n| n.len() == 10 && n.is_ascii()) {
        Some(n) => format!("({}) {}-{}", &n[..3], &n[3..6], &n[6..]),
        None => number.to_owned(),
    }
}
