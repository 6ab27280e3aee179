//! The box's own events on their way to the endpoints that the technician named: a row for each endpoint whose
//! patterns match, in the transaction of what it tells of. What a delivery's tries come to is `outbox`'s to judge;
//! here is how many are under way, which are at hand, and what is known of an endpoint.
//!
//! - At most [`AT_ONCE`] deliveries to one endpoint are under way. They are not ordered: each carries the endpoint's
//!   running number and its time. Numbers rise; one may be missing.
//! - At most [`EVENTS_AT_HAND`] of one endpoint are in memory, the first by number; the others lie in the table and are
//!   read when half of those went. An endpoint that is dead for long costs disk, for a day.
//! - A person is told by an alarm when an endpoint took nothing for [`ALARM_AFTER`].
//! - A body has id (also the idempotency key), type, time, shop, number and data. The words of texts are in it unless
//!   the endpoint's `bodies = false`: it is the shop's own endpoint.
//! - Delivered events are kept a week, dead ones a month.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::at_hand::{AtHand, Held};
use super::happened::{Happened, Told};
use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::config::matches_kind;
use crate::outbox::{EventAction, EventDelivery, EventInput, EventState};
use crate::store::{EVENTS_AT_HAND, EventOutRow, EventOutState, Op, Snapshot};
use crate::types::{EventAnswer, Mono, Wall, derive_sid};
use crate::webhook::{WebhookCommand, WebhookEvent};

/// Deliveries to one endpoint that are under way.
const AT_ONCE: usize = 4;
/// After a restart what waits goes out this far apart, and all of it within [`SPREAD_MOST`].
const SPREAD_EACH: Duration = Duration::from_millis(50);
const SPREAD_MOST: Duration = Duration::from_secs(30);
/// An endpoint that took nothing for so long is somebody's business.
const ALARM_AFTER: Duration = Duration::from_secs(3600);
/// Between two readings of the table that brought nothing.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// How often old events are dropped, and how old.
const DROP_EVERY: Duration = Duration::from_secs(3600);
const DELIVERED_KEPT: Duration = Duration::from_secs(7 * 86_400);
const DEAD_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Tests of endpoints that wait for their answer.
const PINGS_MOST: usize = 8;

/// The part of an endpoint's configuration that the core needs.
#[derive(Clone, Debug)]
pub struct EndpointSetup {
    /// As the configuration names it.
    pub id: String,
    /// Kinds and `*` patterns.
    pub events: Vec<String>,
    /// Whether the words of texts are told.
    pub bodies: bool,
}

/// Which events are to be read from the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsWanted {
    /// The first that wait, of one endpoint.
    Waiting {
        /// Which.
        endpoint: String,
    },
    /// One, to be replayed.
    One {
        /// EV…
        id: String,
        /// Who waits for the answer.
        reply: u64,
    },
    /// All dead ones, to be replayed.
    Dead {
        /// Not those of before.
        since: Option<Wall>,
        /// Who waits for the answer.
        reply: u64,
    },
}

/// All endpoints of a shop.
#[derive(Debug, Default)]
pub(super) struct Events {
    outlets: BTreeMap<String, Outlet>,
    pub(super) told: Told,
    /// Tests under way: who waits for the answer.
    pings: BTreeMap<String, u64>,
    drop_due: Mono,
}

/// One endpoint and what is on its way there.
#[derive(Debug)]
struct Outlet {
    setup: EndpointSetup,
    newest: u64,
    /// Rows in the table.
    waiting: u64,
    dead: u64,
    held: AtHand,
    /// Settled while the table was read: what the reading says of them is old.
    settled: BTreeSet<String>,
    reading: bool,
    read_after: Mono,
    /// It asked for a pause.
    hold_until: Mono,
    failing: Option<Failing>,
}

/// An endpoint that takes nothing.
#[derive(Debug)]
struct Failing {
    since: Mono,
    why: String,
    alarmed: bool,
}

impl Outlet {
    fn new(setup: EndpointSetup) -> Self {
        Self {
            setup,
            newest: 0,
            waiting: 0,
            dead: 0,
            held: AtHand::default(),
            settled: BTreeSet::new(),
            reading: false,
            read_after: Mono(0),
            hold_until: Mono(0),
            failing: None,
        }
    }

    fn wants(&self, kind: &str) -> bool {
        self.setup.events.iter().any(|pattern| matches_kind(pattern, kind))
    }

    fn room(&self) -> usize {
        (EVENTS_AT_HAND as usize).saturating_sub(self.held.len())
    }

    /// The next that may be handed over now.
    fn next(&self, now: Mono) -> Option<String> {
        let (at, id) = self.held.next()?;
        (at.max(self.hold_until) <= now).then(|| id.to_owned())
    }

    fn wants_reading(&self) -> bool {
        !self.reading
            && self.held.len() <= EVENTS_AT_HAND as usize / 2
            && self.waiting > self.held.len() as u64
    }

    /// When something is to be done by itself.
    fn due(&self) -> Option<Mono> {
        let full = self.held.under_way() >= AT_ONCE;
        let next = self.held.next().filter(|_| !full).map(|(at, _)| at.max(self.hold_until));
        let held = [self.held.next_lost(), next].into_iter().flatten();
        let reading = self.wants_reading().then_some(self.read_after);
        let alarm = self.failing.iter().filter(|f| !f.alarmed).map(|f| f.since + ALARM_AFTER);
        held.chain(reading).chain(alarm).min()
    }

    fn status(&self, now: Mono) -> Value {
        json!({
            "waiting": self.waiting,
            "dead": self.dead,
            "at_hand": self.held.len(),
            "under_way": self.held.under_way(),
            "failing_seconds": self.failing.as_ref().map(|f| now.since(f.since).as_secs()),
            "alarm": self.failing.as_ref().is_some_and(|f| f.alarmed),
            "why": self.failing.as_ref().map(|f| &f.why),
        })
    }
}

impl Shop {
    pub(super) fn load_events(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        for setup in self.setup.endpoints.clone() {
            self.events.outlets.insert(setup.id.clone(), Outlet::new(setup));
        }
        for stand in snapshot.events.iter().filter(|s| s.shop == self.id) {
            let Some(outlet) = self.events.outlets.get_mut(&stand.endpoint) else {
                if stand.waiting > 0 {
                    cx.alarm(format!(
                        "shop {}: {} events wait for the webhook {}, which is not in the configuration any more",
                        self.id, stand.waiting, stand.endpoint
                    ));
                }
                continue;
            };
            (outlet.newest, outlet.waiting, outlet.dead) = (stand.newest, stand.waiting, stand.dead);
        }
        let shop = self.id.clone();
        for row in snapshot.events_waiting.iter().filter(|r| r.shop == shop) {
            self.hold(cx, row.clone());
        }
        self.events.drop_due = cx.now.mono + DROP_EVERY;
    }

    /// One from the table is at hand.
    fn hold(&mut self, cx: &Cx<'_>, row: EventOutRow) -> bool {
        let Some(outlet) = self.events.outlets.get_mut(&row.endpoint) else { return false };
        if outlet.room() == 0 || outlet.held.contains(&row.id) || outlet.settled.contains(&row.id) {
            return false;
        }
        let spread = SPREAD_EACH
            .saturating_mul(u32::try_from(outlet.waiting).unwrap_or(u32::MAX).saturating_sub(1))
            .min(SPREAD_MOST);
        let delivery = EventDelivery::loaded(row.id.clone(), row.attempts, row.since, spread, cx.now);
        outlet.held.insert(Held { row, delivery, added: None });
        true
    }

    /// After a step: what its rows, from `from` on, tell becomes rows for the endpoints, and what is due leaves.
    pub(super) fn tell_events(&mut self, cx: &mut Cx<'_>, from: usize) {
        if self.events.outlets.is_empty() {
            return;
        }
        for one in self.happened(cx, from) {
            self.tell_event(cx, &one);
        }
        self.pump_events(cx);
    }

    fn tell_event(&mut self, cx: &mut Cx<'_>, one: &Happened) {
        for outlet in self.events.outlets.values_mut().filter(|o| o.wants(one.kind)) {
            let id = derive_sid("EV", &[self.id.as_str(), &outlet.setup.id, &one.key]);
            if outlet.held.contains(&id) {
                continue;
            }
            let mut data = one.data.clone();
            if let Some((name, text)) = one.body.as_ref().filter(|_| outlet.setup.bodies) {
                data[*name] = text.as_str().into();
            }
            // Whatever waits on disk has a smaller number and is tried before.
            let at_hand = outlet.room() > 0 && outlet.waiting == outlet.held.len() as u64;
            outlet.newest += 1;
            outlet.waiting += 1;
            let body = event_body(&id, one.kind, self.id.as_str(), outlet.newest, data, cx);
            let row = EventOutRow {
                shop: self.id.clone(),
                id: id.clone(),
                endpoint: outlet.setup.id.clone(),
                kind: one.kind.to_owned(),
                body,
                state: EventOutState::Waiting,
                attempts: 0,
                note: None,
                seq: outlet.newest,
                since: cx.now.wall_sure.then_some(cx.now.wall),
                created: cx.now.wall,
                updated: cx.now.wall,
            };
            cx.put(Op::AddEventOut(row.clone()));
            if at_hand {
                let delivery = EventDelivery::new(id.clone(), cx.now);
                outlet.held.insert(Held { row, delivery, added: Some(cx.event) });
            }
        }
    }

    /// Hands over what is due, reads what there is room for, and sets the timer for the rest.
    fn pump_events(&mut self, cx: &mut Cx<'_>) {
        if self.stopping {
            return;
        }
        let shop = self.id.clone();
        for (endpoint, outlet) in &mut self.events.outlets {
            while outlet.held.under_way() < AT_ONCE
                && let Some(id) = outlet.next(cx.now.mono)
            {
                outlet.held.handle(&id, EventInput::Due, cx.now, |held, action| {
                    if action != Some(EventAction::Post) {
                        return;
                    }
                    // It leaves after a commit in any case, and so after the commit of its row.
                    if held.added != Some(cx.event) {
                        held.write(cx);
                    }
                    cx.after(Effect::Webhook(WebhookCommand {
                        shop: shop.clone(),
                        endpoint: endpoint.clone(),
                        id: held.row.id.clone(),
                        at: cx.now.wall,
                        body: held.row.body.clone(),
                        test: false,
                    }));
                });
            }
            if outlet.wants_reading() && outlet.read_after <= cx.now.mono {
                outlet.reading = true;
                let wanted = EventsWanted::Waiting { endpoint: endpoint.clone() };
                cx.after(Effect::ReadEvents { shop: shop.clone(), wanted });
            }
        }
        if self.events.drop_due <= cx.now.mono {
            self.events.drop_due = cx.now.mono + DROP_EVERY;
            if cx.now.wall_sure {
                let before = |kept: Duration| {
                    Wall(cx.now.wall.0.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)))
                };
                cx.put(Op::DropEventsOut(shop.clone(), before(DELIVERED_KEPT), before(DEAD_KEPT)));
            }
        }
        let due = self.events.outlets.values().filter_map(Outlet::due);
        let due = due.chain(self.events.told.lines_settle()).chain([self.events.drop_due]).min();
        if let Some(at) = due {
            cx.timers.set(TimerKey::Events(shop), at);
        }
    }

    /// Something is due: tries that nobody answered for, alarms. The rest follows at the end of the step.
    pub(super) fn events_due(&mut self, cx: &mut Cx<'_>) {
        for (endpoint, outlet) in &mut self.events.outlets {
            for id in outlet.held.lost(cx.now.mono) {
                outlet.input(cx, &id, EventInput::Due);
            }
            outlet.watch(cx, endpoint, self.id.as_str());
        }
    }

    pub(super) fn webhook_event(&mut self, cx: &mut Cx<'_>, event: WebhookEvent) {
        if let Some(reply) = self.events.pings.remove(&event.id) {
            let answer = json!({ "endpoint": event.endpoint, "id": event.id, "answer": event.answer });
            cx.step.live.push(Effect::Reply(reply, Ok(answer)));
            return;
        }
        let Some(outlet) = self.events.outlets.get_mut(&event.endpoint) else { return };
        outlet.answered(cx, &event);
        outlet.watch(cx, &event.endpoint, self.id.as_str());
    }

    /// The answer to [`Effect::ReadEvents`].
    pub(super) fn events_read(
        &mut self,
        cx: &mut Cx<'_>,
        wanted: EventsWanted,
        rows: Result<Vec<EventOutRow>, String>,
    ) {
        let (reply, all) = match wanted {
            EventsWanted::Waiting { endpoint } => return self.waiting_read(cx, &endpoint, rows),
            EventsWanted::One { reply, .. } => (reply, false),
            EventsWanted::Dead { reply, .. } => (reply, true),
        };
        let answer = rows.and_then(|rows| {
            if rows.is_empty() && !all {
                return Err("there is no such event".to_owned());
            }
            let found = rows.len();
            let mut again = 0_usize;
            let mut why = None;
            for row in rows {
                match self.replay(cx, row) {
                    Ok(()) => again += 1,
                    Err(error) => why = Some(error),
                }
            }
            match why {
                Some(why) if again == 0 && found > 0 => Err(why),
                Some(_) | None => Ok(json!({ "found": found, "replayed": again })),
            }
        });
        cx.after(Effect::Reply(reply, answer));
    }

    fn waiting_read(&mut self, cx: &mut Cx<'_>, endpoint: &str, rows: Result<Vec<EventOutRow>, String>) {
        let mut added = 0;
        match rows {
            Ok(rows) => added = rows.into_iter().filter(|row| self.hold(cx, row.clone())).count(),
            Err(why) => cx.alarm(format!("shop {}: events that wait cannot be read: {why}", self.id)),
        }
        let Some(outlet) = self.events.outlets.get_mut(endpoint) else { return };
        outlet.reading = false;
        outlet.settled.clear();
        if added == 0 {
            outlet.read_after = cx.now.mono + READ_AGAIN;
        }
    }

    fn replay(&mut self, cx: &mut Cx<'_>, mut row: EventOutRow) -> Result<(), String> {
        let Some(outlet) = self.events.outlets.get_mut(&row.endpoint) else {
            return Err(format!("the webhook {} is not in the configuration any more", row.endpoint));
        };
        let replayed = outlet.held.handle(&row.id, EventInput::Replay, cx.now, |held, action| match action {
            Some(_) => {
                held.write(cx);
                Ok(())
            }
            None => Err(format!("{} is under way just now", held.row.id)),
        });
        if let Some(replayed) = replayed {
            return replayed;
        }
        match row.state {
            EventOutState::Dead => {
                outlet.dead = outlet.dead.saturating_sub(1);
                outlet.waiting += 1;
            }
            EventOutState::Delivered => outlet.waiting += 1,
            EventOutState::Waiting => {}
        }
        outlet.settled.remove(&row.id);
        row.state = EventOutState::Waiting;
        row.attempts = 0;
        row.since = cx.now.wall_sure.then_some(cx.now.wall);
        row.updated = cx.now.wall;
        cx.put(Op::PutEventOut(row.clone()));
        // Without room it lies in the table, before all that came after it.
        if outlet.room() > 0 {
            let delivery = EventDelivery::new(row.id.clone(), cx.now);
            outlet.held.insert(Held { row, delivery, added: Some(cx.event) });
        }
        Ok(())
    }

    /// A person wants to see whether an endpoint listens: tried once, without a row.
    pub(super) fn test_endpoint(
        &mut self,
        cx: &mut Cx<'_>,
        reply: u64,
        endpoint: &str,
    ) -> Result<(), String> {
        if !self.events.outlets.contains_key(endpoint) {
            let names: Vec<&str> = self.events.outlets.keys().map(String::as_str).collect();
            return Err(match names.is_empty() {
                true => "no [[webhook]] is configured".to_owned(),
                false => format!("there is no webhook {endpoint}; there are {}", names.join(", ")),
            });
        }
        if self.events.pings.len() >= PINGS_MOST {
            return Err("other tests are under way: wait for them".to_owned());
        }
        let id = cx.sid("EV");
        self.events.pings.insert(id.clone(), reply);
        let body = event_body(&id, "test.ping", self.id.as_str(), 0, json!({ "endpoint": endpoint }), cx);
        cx.after(Effect::Webhook(WebhookCommand {
            shop: self.id.clone(),
            endpoint: endpoint.to_owned(),
            id,
            at: cx.now.wall,
            body,
            test: true,
        }));
        Ok(())
    }

    pub(super) fn events_status(&self, now: Mono) -> Value {
        let all = self.events.outlets.iter().map(|(id, o)| (id.clone(), o.status(now)));
        Value::Object(all.collect())
    }
}

impl Held {
    /// Its row as the delivery stands.
    fn write(&mut self, cx: &mut Cx<'_>) {
        self.row.state = match self.delivery.state {
            EventState::Waiting { .. } | EventState::Handed { .. } => EventOutState::Waiting,
            EventState::Delivered => EventOutState::Delivered,
            EventState::Dead => EventOutState::Dead,
        };
        self.row.attempts = self.delivery.attempts;
        self.row.note.clone_from(&self.delivery.note);
        self.row.since = self.delivery.since;
        self.row.updated = cx.now.wall;
        cx.put(Op::PutEventOut(self.row.clone()));
    }
}

impl Outlet {
    fn answered(&mut self, cx: &mut Cx<'_>, event: &WebhookEvent) {
        match &event.answer {
            EventAnswer::Answered { status: 200..=299, .. } => {
                if self.failing.take().is_some() {
                    self.hold_until = Mono(0);
                    self.held.reached(cx.now);
                }
            }
            EventAnswer::Answered { status, retry_after, .. } => {
                if let (429 | 503, Some(seconds)) = (status, retry_after) {
                    let pause = Duration::from_secs(u64::from(*seconds)).min(crate::outbox::ASKED_PAUSE_MOST);
                    self.hold_until = self.hold_until.max(cx.now.mono + pause);
                }
                self.fails(cx.now.mono, format!("answered {status}"));
            }
            EventAnswer::NoAnswer { why } => self.fails(cx.now.mono, why.clone()),
            EventAnswer::NotTried { .. } => {}
        }
        self.input(cx, &event.id, EventInput::Answered(event.answer.clone()));
    }

    fn fails(&mut self, now: Mono, why: String) {
        match &mut self.failing {
            Some(failing) => failing.why = why,
            None => self.failing = Some(Failing { since: now, why, alarmed: false }),
        }
    }

    fn input(&mut self, cx: &mut Cx<'_>, id: &str, input: EventInput) {
        let settled = self.held.handle(id, input, cx.now, |held, action| match action {
            Some(EventAction::Later) => {
                held.write(cx);
                None
            }
            Some(EventAction::Settled) => {
                held.write(cx);
                Some(held.delivery.state == EventState::Dead)
            }
            Some(EventAction::Post) | None => None,
        });
        if let Some(dead) = settled.flatten() {
            self.held.remove(id);
            self.waiting = self.waiting.saturating_sub(1);
            self.dead += u64::from(dead);
            if self.reading {
                self.settled.insert(id.to_owned());
            }
        }
    }

    /// One alarm for an endpoint that takes nothing.
    fn watch(&mut self, cx: &mut Cx<'_>, endpoint: &str, shop: &str) {
        let Some(failing) = self.failing.as_mut().filter(|f| !f.alarmed) else { return };
        if cx.now.mono.since(failing.since) >= ALARM_AFTER {
            failing.alarmed = true;
            cx.alarm(format!(
                "shop {shop}: the webhook {endpoint} has taken nothing for an hour ({}); {} events wait, {} are dead: \
                 `backroom webhooks test {endpoint}`",
                failing.why, self.waiting, self.dead
            ));
        }
    }
}

/// Its signature is of these bytes: made once.
fn event_body(id: &str, kind: &str, shop: &str, sequence: u64, data: Value, cx: &Cx<'_>) -> String {
    json!({
        "id": id,
        "type": kind,
        "created": cx.now.wall.rfc3339(),
        "created_sure": cx.now.wall_sure,
        "shop": shop,
        "sequence": sequence,
        "data": data,
    })
    .to_string()
}
