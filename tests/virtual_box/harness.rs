//! The box with simulated edges and one simulated clock; the loop, the core and the store are the real ones.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backroom::at::pdu::{self, DeliverOptions, Timestamp};
use backroom::config::TemplateConfig;
use backroom::daemon::calls_setup::PlanGround;
use backroom::daemon::clock::{Clock, SimulatedClock};
use backroom::daemon::core::{Command, Core, DealerSetup, EndpointSetup, Files, LineSetup, ShopSetup, Takes};
use backroom::daemon::{CallEnds, Ends, Request, TrunkLife, Turns};
use backroom::dealer::{DealerCommand, DealerEvent};
use backroom::sip::agent::Binding;
use backroom::store::{self, Options, Store};
use backroom::trunk::{TrunkCommand, TrunkEvent};
use backroom::types::{
    Address, BootId, Capabilities, Channel, DeviceId, EventAnswer, EventId, LegCommand, LegEvent, LegId,
    LineCommand, LineEvent, LineId, MediaCommand, Mem, Now, PartId, PhoneNumber, PlaceResult, SendResult,
    ShopId, Slot, UpstreamText, Via, Wall,
};
use backroom::webhook::{WebhookCommand, WebhookEvent};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

pub(crate) use super::dealer_sim::{DealerMood, SimDealer, profile};

use super::upstream_sim::SimUpstream;

/// 2026-11-20T18:00:00Z, a Friday morning in Los Angeles.
pub(crate) const BEGIN: i64 = 1_795_197_600_000;
pub(crate) const SHOP_NUMBER: &str = "+12065550100";

/// What one shop of the box is made of.
#[derive(Clone)]
pub(crate) struct ShopPlan {
    pub(crate) id: ShopId,
    pub(crate) line: LineId,
    /// Used when `line` cannot be.
    pub(crate) second_line: Option<LineId>,
    /// Numbers at an upstream; one that `line` names is no modem.
    pub(crate) upstreams: Vec<LineSetup>,
    pub(crate) has_dealer: bool,
    pub(crate) calls: Option<PlanGround>,
    pub(crate) endpoints: Vec<EndpointSetup>,
    pub(crate) templates: Vec<TemplateConfig>,
    pub(crate) settings: Map<String, Value>,
}

impl ShopPlan {
    fn lines(&self) -> Vec<LineId> {
        let modems = std::iter::once(&self.line).chain(&self.second_line);
        modems.filter(|id| self.upstreams.iter().all(|u| u.id != **id)).cloned().collect()
    }

    fn text_lines(&self) -> Vec<LineSetup> {
        let modems = (0..).zip(self.lines()).map(|(at, line)| LineSetup::modem(line, at));
        modems.chain(self.upstreams.iter().cloned()).collect()
    }
}

pub(crate) fn shop(id: &str) -> ShopPlan {
    // The upstream here says nothing by itself.
    let settings = json!({
        "shop.name": format!("Shop {id}"), "shop.phone": SHOP_NUMBER, "consent.upstream_answers": false,
    });
    ShopPlan {
        id: ShopId::from(id),
        line: LineId(format!("{id}-sim")),
        second_line: None,
        upstreams: Vec::new(),
        has_dealer: true,
        calls: None,
        endpoints: Vec::new(),
        templates: Vec::new(),
        settings: settings.as_object().cloned().unwrap(),
    }
}

/// A shop with a number at an upstream and no modem.
pub(crate) fn shop_upstream(id: &str) -> ShopPlan {
    let line = LineId(format!("{id}-up"));
    ShopPlan { line: line.clone(), upstreams: vec![upstream(&line.0, Channel::Sms)], ..shop(id) }
}

pub(crate) fn upstream(id: &str, channel: Channel) -> LineSetup {
    LineSetup {
        id: LineId::from(id),
        takes: Takes::Whole,
        channel,
        priority: u16::MAX,
        cost: 1000,
        number: PhoneNumber::parse(SHOP_NUMBER, None).ok(),
        consents_as: None,
        files: Files::Own,
        outside: None,
    }
}

/// A text as the network carried it to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) line: LineId,
    pub(crate) to: String,
    pub(crate) body: String,
}

struct Machine {
    turns: Turns,
    line_events: mpsc::Sender<(LineId, LineEvent)>,
    dealer_events: mpsc::Sender<DealerEvent>,
    requests: mpsc::Sender<Request>,
    lines: BTreeMap<LineId, mpsc::Receiver<LineCommand>>,
    dealer: mpsc::Receiver<DealerCommand>,
    webhooks: mpsc::Receiver<WebhookCommand>,
    webhook_events: mpsc::Sender<WebhookEvent>,
    store: Store,
    trunk_events: mpsc::Sender<TrunkEvent>,
    trunk_lives: mpsc::Sender<TrunkLife>,
    trunk: mpsc::Receiver<TrunkCommand>,
    media: std::sync::mpsc::Receiver<MediaCommand>,
}

/// Reference, number and total of a part.
type Concat = Option<(u16, u8, u8)>;

/// The modem's side of a line: what lies on the SIM outlives the box.
#[derive(Default)]
struct SimModem {
    slots: BTreeMap<u16, String>,
    sent: Vec<(String, Concat, pdu::UserData)>,
    reference: u8,
    answering: bool,
    /// The PDU that the modem asked for.
    prompted: Option<(String, u8)>,
    /// The power fails before it gets to deleting.
    keeps: bool,
    refuses: usize,
    /// Never asks for a PDU.
    asks_not: bool,
    pub(crate) frees: usize,
}

pub(crate) struct VirtualBox {
    plans: Vec<ShopPlan>,
    dir: tempfile::TempDir,
    pub(crate) clock: Arc<SimulatedClock>,
    boot: BootId,
    machine: Option<Machine>,
    modems: BTreeMap<LineId, SimModem>,
    pub(crate) upstreams: BTreeMap<LineId, SimUpstream>,
    pub(crate) dealer: SimDealer,
    carried: Vec<Carried>,
    read: BTreeMap<String, usize>,
    seed: Arc<std::sync::atomic::AtomicU64>,
    unplugged: std::collections::BTreeSet<LineId>,
    /// The next start finds a copy in the place of the database.
    pub(crate) restored: bool,
    /// The dealer's edge says at an orderly stop that it never posted what the silent dealer did not answer.
    pub(crate) refuse_orders_at_stop: bool,
    unanswered: Vec<(ShopId, backroom::types::OrderId)>,
    pub(crate) nameless_sims: bool,
    /// SIMs that do not tell their own number.
    pub(crate) numberless_sims: bool,
    /// Power fails when this many events were taken; `None`: never.
    pub(crate) fuse: Option<usize>,
    pub(crate) taken: usize,
    /// What the edge that signals was told, in order.
    pub(crate) told: Vec<(LegId, LegCommand)>,
    pub(crate) sound: Vec<MediaCommand>,
    /// STOP comes from this person when the modem next asks for a text to them.
    pub(crate) stop_at_prompt: Option<(LineId, String)>,
    /// So many parts of it are asked for before that.
    pub(crate) prompts_before_stop: usize,
    sids: u32,
    /// Every text of [`VirtualBox::upstream_text`].
    pub(crate) hooked: Vec<(LineId, UpstreamText)>,
    /// What all endpoints answer; `None`: nothing.
    pub(crate) endpoint_says: Option<u16>,
    /// Everything that came to any endpoint, also what it did not take.
    pub(crate) delivered: Vec<Delivered>,
}

/// What came to an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) endpoint: String,
    pub(crate) id: String,
    pub(crate) taken: bool,
    pub(crate) body: Value,
}

impl VirtualBox {
    pub(crate) async fn new(plans: Vec<ShopPlan>) -> Self {
        let clock = Arc::new(SimulatedClock::new(Now::at(1_000_000, BEGIN)));
        let modems = plans.iter().flat_map(ShopPlan::lines).map(|line| (line, SimModem::fresh())).collect();
        let mut this = Self {
            plans,
            dir: tempfile::tempdir().unwrap(),
            clock,
            boot: BootId("boot-1".into()),
            machine: None,
            modems,
            upstreams: BTreeMap::new(),
            dealer: SimDealer {
                mood: DealerMood::Up,
                capabilities: Capabilities { idempotency_key: true, client_reference: true },
                orders: Vec::new(),
                profiles: BTreeMap::new(),
            },
            carried: Vec::new(),
            read: BTreeMap::new(),
            seed: Arc::new(std::sync::atomic::AtomicU64::new(1)),
            unplugged: std::collections::BTreeSet::new(),
            restored: false,
            refuse_orders_at_stop: false,
            unanswered: Vec::new(),
            nameless_sims: false,
            numberless_sims: false,
            fuse: None,
            taken: 0,
            told: Vec::new(),
            sound: Vec::new(),
            stop_at_prompt: None,
            prompts_before_stop: 0,
            sids: 0,
            hooked: Vec::new(),
            endpoint_says: Some(200),
            delivered: Vec::new(),
        };
        this.start().await;
        this
    }

    pub(crate) async fn one_shop() -> Self {
        Self::new(vec![shop("main")]).await
    }

    pub(crate) fn knows(&mut self, phone: &str) {
        self.dealer.profiles.insert(phone.to_owned(), profile(phone));
    }

    fn options(&self) -> Options {
        let mut options = Options::new(&self.path(), self.boot.clone());
        options.reserve = 0;
        options
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Boots the box: opens the store, starts the core, brings the lines up and sweeps them.
    pub(crate) async fn start(&mut self) {
        let now = self.clock.now();
        let (store, mut snapshot, _) = store::open(&self.options(), now).unwrap();
        snapshot.restored |= self.restored;
        let setups = self.plans.iter().map(|plan| ShopSetup {
            id: plan.id.clone(),
            lines: plan.text_lines(),
            calls: plan.calls.clone(),
            endpoints: plan.endpoints.clone(),
            dealer: plan.has_dealer.then(|| DealerSetup { url: "https://lizzy.example".into() }),
            templates: plan.templates.clone(),
            fixed: plan.settings.clone(),
        });
        let seeds = self.seed.clone();
        let seed =
            move || EventId(u128::from(seeds.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) << 20);
        let (core, first) = Core::start(setups.collect(), &snapshot, self.boot.clone(), seed(), now);
        let (line_events, line_rx) = mpsc::channel(100_000);
        let (dealer_events, dealer_rx) = mpsc::channel(10_000);
        let (requests, request_rx) = mpsc::channel(16);
        let (dealer_tx, dealer) = mpsc::channel(10_000);
        let (webhook_events, webhook_event_rx) = mpsc::channel(10_000);
        let (webhook_tx, webhooks) = mpsc::channel(10_000);
        let (trunk_events, trunk_event_rx) = mpsc::channel(100_000);
        let (trunk_lives, trunk_life_rx) = mpsc::channel(4);
        let (media_tx, media) = std::sync::mpsc::channel();
        let (trunk_tx, trunk) = mpsc::channel(4);
        trunk_lives.try_send(TrunkLife::Began(trunk_tx)).unwrap();
        let mut line_tx = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for line in self.plans.iter().flat_map(ShopPlan::text_lines).map(|l| l.id) {
            let (tx, rx) = mpsc::channel(10_000);
            line_tx.insert(line.clone(), tx);
            lines.insert(line, rx);
        }
        let ends = Ends {
            line_events: line_rx,
            dealer_events: dealer_rx,
            requests: request_rx,
            lines: line_tx,
            dealer: dealer_tx,
            webhook_events: webhook_event_rx,
            webhooks: webhook_tx,
            calls: CallEnds {
                trunk_events: trunk_event_rx,
                trunk_lives: trunk_life_rx,
                media_reports: mpsc::channel(1).1,
                media: Box::new(move |command| media_tx.send(command).unwrap()),
                counters: Box::new(|| Value::Null),
            },
        };
        let turns = Turns::new(core, first, store.clone(), self.clock.clone(), ends, Box::new(seed));
        self.machine = Some(Machine {
            turns,
            line_events,
            dealer_events,
            requests,
            lines,
            dealer,
            webhooks,
            webhook_events,
            store,
            trunk_events,
            trunk_lives,
            trunk,
            media,
        });
        let trunks: Vec<LineId> =
            self.plans.iter().flat_map(|p| &p.calls).flat_map(|c| &c.lines).map(|l| l.id.clone()).collect();
        for line in trunks {
            self.trunk(TrunkEvent::Line { line, up: true, why: "registered".into() });
        }
        for line in self.plans.iter().flat_map(|p| &p.upstreams) {
            let up = self.upstreams.entry(line.id.clone()).or_default();
            up.number.clone_from(&line.number);
            up.forget_box();
        }
        let mut ids: Vec<LineId> = self.plans.iter().flat_map(ShopPlan::lines).collect();
        ids.retain(|id| !self.unplugged.contains(id));
        for id in &ids {
            self.line_up(id);
        }
        self.pump().await;
    }

    /// SIGTERM, as `daemon::run` goes about it. `last` is what the lines say while they end.
    pub(crate) async fn stop_in_order(&mut self, last: Vec<(LineId, LineEvent)>) {
        let Some(machine) = self.machine.take() else { return };
        let Machine {
            mut turns,
            line_events,
            dealer_events,
            requests,
            store,
            lines,
            dealer,
            webhooks,
            webhook_events,
            ..
        } = machine;
        let (_stop, stopped) = tokio::sync::watch::channel(true);
        turns.run(stopped, |_| {}).await;
        for event in last {
            line_events.try_send(event).unwrap();
        }
        if self.refuse_orders_at_stop {
            for (shop, order) in std::mem::take(&mut self.unanswered) {
                let why = "the box is shutting down".to_owned();
                let result = PlaceResult::NotSent { why, retry_after: None };
                dealer_events.try_send(DealerEvent::Placed { shop, order, result }).unwrap();
            }
        }
        drop((line_events, dealer_events, requests, lines, dealer, webhooks, webhook_events));
        turns.last_words().await;
        drop(turns);
        store.close().unwrap();
    }

    /// What the technician's file says from the next start on.
    pub(crate) fn plan(&mut self) -> &mut ShopPlan {
        &mut self.plans[0]
    }

    pub(crate) fn is_unplugged(&self, line: &LineId) -> bool {
        self.unplugged.contains(line)
    }

    pub(crate) fn plug_in(&mut self, line: &LineId) {
        if !self.unplugged.remove(line) {
            return;
        }
        let now = self.clock.now();
        match self.upstreams.get_mut(line).map(|up| up.come_up(now)) {
            Some(events) => events.into_iter().for_each(|event| self.tell(line, event)),
            None => self.line_up(line),
        }
    }

    /// The network refuses the next texts of this line for the moment.
    pub(crate) fn refuse_next(&mut self, line: &LineId, times: usize) {
        self.modems.get_mut(line).unwrap().refuses = times;
    }

    /// A modem is pulled out: it does not come up at the next start either.
    pub(crate) fn unplug(&mut self, line: &LineId) {
        self.unplugged.insert(line.clone());
        self.tell(line, LineEvent::Down { why: "unplugged".into() });
    }

    pub(crate) fn line_up(&mut self, id: &LineId) {
        let up = LineEvent::Up {
            identity: format!("imei-{id}"),
            sim: (!self.nameless_sims).then(|| format!("sim-{id}")),
            number: PhoneNumber::parse(SHOP_NUMBER, None).ok().filter(|_| !self.numberless_sims),
        };
        self.tell(id, up);
        let modem = self.modems.entry(id.clone()).or_insert_with(SimModem::fresh);
        let slots: Vec<(u16, String)> = modem.slots.iter().map(|(i, p)| (*i, p.clone())).collect();
        for (index, pdu) in slots {
            self.tell(id, LineEvent::Received { slot: Slot { mem: Mem::SM, index }, pdu });
        }
        self.tell(id, LineEvent::Swept);
    }

    pub(crate) fn tell(&mut self, id: &LineId, event: LineEvent) {
        if let Some(machine) = &self.machine {
            machine.line_events.try_send((id.clone(), event)).unwrap();
        }
    }

    /// The power fails: what is not committed is gone, and so is everything that was on its way out.
    pub(crate) async fn power_cut(&mut self) {
        if let Some(machine) = self.machine.take() {
            let Machine { turns, store, trunk: _, media: _, .. } = machine;
            drop(turns);
            store.close().unwrap();
        }
    }

    /// The power comes back after `off`, in another boot of the kernel.
    pub(crate) async fn power_back(&mut self, off: Duration, wall_sure: bool) {
        let now = self.clock.now();
        self.boot = BootId(format!("boot-{}", now.wall.0));
        self.clock.set(Now { mono: backroom::types::Mono(5_000), wall: now.wall + off, wall_sure });
        self.start().await;
    }

    /// Carries everything that moves until nothing does.
    pub(crate) async fn pump(&mut self) {
        while let Some(mut machine) = self.machine.take() {
            if self.fuse.is_some_and(|fuse| self.taken >= fuse) {
                self.machine = Some(machine);
                self.fuse = None;
                self.power_cut().await;
                Box::pin(self.power_back(Duration::from_secs(5), true)).await;
                return;
            }
            machine.turns.settle().await.unwrap();
            let mut moved = false;
            for (id, commands) in &mut machine.lines {
                if let Ok(command) = commands.try_recv() {
                    moved = true;
                    self.taken += 1;
                    let away = self.unplugged.contains(id);
                    if let Some(up) = self.upstreams.get_mut(id) {
                        for event in up.handle(id, command, away, self.clock.now(), &mut self.carried) {
                            machine.line_events.try_send((id.clone(), event)).unwrap();
                        }
                        continue;
                    }
                    let modem = self.modems.get_mut(id).unwrap();
                    let answer = match away {
                        true => unplugged(command),
                        false => modem.handle(id, command, &mut self.carried),
                    };
                    let asked = matches!(answer, Some(LineEvent::Prompted { .. }));
                    if let Some((_, who)) = self.stop_at_prompt.take_if(|(line, who)| {
                        let theirs =
                            asked && line == id && self.modems.get(id).is_some_and(|m| m.asks_for(who));
                        let before = theirs && self.prompts_before_stop > 0;
                        self.prompts_before_stop -= usize::from(before);
                        theirs && !before
                    }) {
                        let modem = self.modems.get_mut(id).unwrap();
                        let (index, pdu) = modem.receive(&who, "STOP", self.clock.now().wall);
                        let slot = Slot { mem: Mem::SM, index };
                        let event = LineEvent::Received { slot, pdu };
                        machine.line_events.try_send((id.clone(), event)).unwrap();
                    }
                    if let Some(event) = answer {
                        machine.line_events.try_send((id.clone(), event)).unwrap();
                    }
                }
            }
            while let Ok(command) = machine.trunk.try_recv() {
                moved = true;
                let TrunkCommand::Leg(leg, command) = command else { panic!("{command:?}") };
                self.told.push((leg, command));
            }
            self.sound.extend(machine.media.try_iter());
            if let Ok(command) = machine.dealer.try_recv() {
                moved = true;
                self.taken += 1;
                if let (DealerMood::Silent, DealerCommand::Place { shop, order, .. }) =
                    (self.dealer.mood, &command)
                {
                    self.unanswered.push((shop.clone(), order.clone()));
                }
                if let Some(event) = self.dealer.handle(command) {
                    machine.dealer_events.try_send(event).unwrap();
                }
            }
            if let Ok(command) = machine.webhooks.try_recv() {
                moved = true;
                self.taken += 1;
                let event = self.endpoint(command);
                machine.webhook_events.try_send(event).unwrap();
            }
            self.machine = Some(machine);
            if !moved {
                return;
            }
        }
    }

    pub(crate) fn clock_wall(&self) -> Wall {
        self.clock.now().wall
    }

    fn endpoint(&mut self, command: WebhookCommand) -> WebhookEvent {
        let WebhookCommand { shop, endpoint, id, body, .. } = command;
        let taken = self.endpoint_says.is_some_and(|status| (200..300).contains(&status));
        let body = serde_json::from_str(&body).unwrap();
        self.delivered.push(Delivered { endpoint: endpoint.clone(), id: id.clone(), taken, body });
        let answer = match self.endpoint_says {
            Some(status) => EventAnswer::Answered { status, retry_after: None, said: String::new() },
            None => EventAnswer::NoAnswer { why: "nobody is there".into() },
        };
        WebhookEvent { shop, endpoint, id, answer }
    }

    /// The kinds of the events that an endpoint took, in order, each once.
    pub(crate) fn taken_by(&self, endpoint: &str) -> Vec<String> {
        let mut seen = std::collections::BTreeSet::new();
        let its = self.delivered.iter().filter(|d| d.endpoint == endpoint && d.taken);
        its.filter(|d| seen.insert(d.id.clone()))
            .map(|d| d.body["type"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn advance(&mut self, by: Duration) {
        let mut left = by;
        // Timers set by timers fire at their own time, not all at the end.
        while !left.is_zero() {
            let next = self.machine.as_ref().and_then(|m| m.turns.core().poll_timeout()).map(|(at, _)| at);
            let now = self.clock.now().mono;
            let step = next.map_or(left, |at| at.since(now)).clamp(Duration::from_millis(1), left);
            self.clock.advance(step);
            left -= step;
            self.pump().await;
        }
    }

    /// A customer texts the shop on a line.
    pub(crate) async fn text_on(&mut self, line: &LineId, from: &str, body: &str) {
        self.drop_in(line, from, body);
        self.pump().await;
    }

    pub(crate) async fn text(&mut self, from: &str, body: &str) {
        let line = self.plans[0].line.clone();
        self.text_on(&line, from, body).await;
    }

    /// A text is at the upstream. `kind`: what that took it for.
    pub(crate) async fn upstream_text(&mut self, line: &LineId, from: &str, body: &str, kind: Option<&str>) {
        self.late_text(line, from, body, kind, Duration::ZERO).await;
    }

    /// The upstream took it so long ago.
    pub(crate) async fn late_text(
        &mut self,
        line: &LineId,
        from: &str,
        body: &str,
        kind: Option<&str>,
        late: Duration,
    ) {
        self.sids += 1;
        let lines = self.plans.iter().flat_map(|plan| &plan.upstreams);
        let channel = lines.into_iter().find(|l| l.id == *line).map_or(Channel::Sms, |l| l.channel);
        let parameters = kind.map(|kind| ("OptOutType".to_owned(), Value::from(kind)));
        let text = UpstreamText {
            sid: format!("SM{:032x}", self.sids),
            channel,
            from: from.to_owned(),
            to: SHOP_NUMBER.to_owned(),
            body: body.to_owned(),
            media: Vec::new(),
            sent: Some(Wall(self.clock.now().wall.0 - i64::try_from(late.as_millis()).unwrap())),
            parameters: parameters.into_iter().collect(),
        };
        self.hooked.push((line.clone(), text.clone()));
        self.tell(line, LineEvent::Text(Box::new(text)));
        self.pump().await;
    }

    /// Somebody kept what was told of a text, and tells it again.
    pub(crate) async fn tell_again(&mut self, at: usize) {
        let (line, text) = self.hooked[at % self.hooked.len()].clone();
        self.tell(&line, LineEvent::Text(Box::new(text)));
        self.pump().await;
    }

    /// Somebody sets the clock.
    pub(crate) fn clock_is_sure(&self) {
        self.clock.set(Now { wall_sure: true, ..self.clock.now() });
    }

    /// The network puts a text on the SIM, whether the box is on or not.
    pub(crate) fn drop_in(&mut self, line: &LineId, from: &str, body: &str) {
        let now = self.clock.now();
        if let Some(up) = self.upstreams.get_mut(line) {
            let text = up.arrive(from, body, now);
            if !self.unplugged.contains(line) {
                self.tell(line, LineEvent::Text(Box::new(text)));
            }
            return;
        }
        let from =
            PhoneNumber::parse(from, None).map_or_else(|_| Address::Alpha(from.to_owned()), Address::Phone);
        let options = DeliverOptions {
            timestamp: Timestamp { utc: Wall(self.clock.now().wall.0 / 1000 * 1000), quarters: -32 },
            reference: 7,
            wide: false,
            class: None,
        };
        for part in pdu::deliver(&from, body, &options).unwrap() {
            self.drop_pdu(line, part.hex);
        }
    }

    pub(crate) fn drop_pdu(&mut self, line: &LineId, pdu: String) {
        let modem = self.modems.get_mut(line).unwrap();
        let index = (1..).find(|i| !modem.slots.contains_key(i)).unwrap();
        modem.slots.insert(index, pdu.clone());
        if self.unplugged.contains(line) {
            return;
        }
        self.tell(line, LineEvent::Received { slot: Slot { mem: Mem::SM, index }, pdu });
    }

    /// The modem is told of PDUs and asks for none, from now on.
    pub(crate) fn ask_not(&mut self, line: &LineId) {
        self.modems.get_mut(line).unwrap().asks_not = true;
    }

    /// The modem takes PDUs and says nothing, from now on.
    pub(crate) fn mute(&mut self, line: &LineId, mute: bool) {
        self.modems.get_mut(line).unwrap().answering = !mute;
    }

    /// The answer that a muted modem owes, as the line's edge would give it.
    pub(crate) fn owed(&mut self, line: &LineId, part: PartId, result: SendResult) {
        self.tell(line, LineEvent::SendDone { part, result });
    }

    /// Texts to `person` since this was asked last, joined.
    pub(crate) fn heard(&mut self, person: &str) -> Vec<String> {
        let all: Vec<String> =
            self.carried.iter().filter(|c| c.to == person).map(|c| c.body.clone()).collect();
        let seen = self.read.insert(person.to_owned(), all.len()).unwrap_or(0);
        all[seen..].to_vec()
    }

    /// The one text that `person` heard since this was asked last.
    #[track_caller]
    pub(crate) fn one(&mut self, person: &str) -> String {
        let heard = self.heard(person);
        assert_eq!(heard.len(), 1, "{heard:#?}");
        heard.into_iter().next().unwrap()
    }

    /// The modem never gets to deleting.
    pub(crate) fn keep_slots(&mut self, line: &LineId, keep: bool) {
        self.modems.get_mut(line).unwrap().keeps = keep;
    }

    pub(crate) fn order_of_texts(&self) -> &[Carried] {
        &self.carried
    }

    pub(crate) fn slots_used(&self, line: &LineId) -> usize {
        self.modems[line].slots.len()
    }

    pub(crate) fn store(&self) -> Store {
        self.machine.as_ref().unwrap().store.clone()
    }

    fn trunk(&mut self, event: TrunkEvent) {
        if let Some(machine) = &self.machine {
            machine.trunk_events.try_send(event).unwrap();
        }
    }

    /// The edge that signals reports of a leg.
    pub(crate) async fn leg(&mut self, leg: &str, event: LegEvent) {
        self.trunk(TrunkEvent::Leg(LegId::from(leg), event));
        self.pump().await;
    }

    pub(crate) async fn trunk_says(&mut self, event: TrunkEvent) {
        self.trunk(event);
        self.pump().await;
    }

    /// The edge that signals dies, and begins anew.
    pub(crate) async fn trunk_dies(&mut self) {
        let machine = self.machine.as_mut().unwrap();
        let (sender, receiver) = mpsc::channel(4);
        machine.trunk = receiver;
        machine.trunk_lives.try_send(TrunkLife::Died(oneshot::channel().0)).unwrap();
        machine.trunk_lives.try_send(TrunkLife::Began(sender)).unwrap();
        self.pump().await;
    }

    /// The last leg that was dialled towards there.
    #[track_caller]
    pub(crate) fn dialled(&self, to: &Via) -> String {
        let dials = self.told.iter().rev().find_map(|(leg, command)| match command {
            LegCommand::Dial { via, .. } if via == to => Some(leg.0.clone()),
            _ => None,
        });
        dials.unwrap_or_else(|| panic!("nobody dialled {to:?}: {:#?}", self.told))
    }

    /// Whether a leg was told so.
    pub(crate) fn was_told(&self, leg: &str, command: &LegCommand) -> bool {
        self.told.iter().any(|(l, c)| l.as_str() == leg && c == command)
    }

    /// Where phones are registered, as the next life of the edge is told.
    pub(crate) fn bindings(&self) -> Vec<(DeviceId, Vec<Binding>)> {
        self.machine.as_ref().unwrap().turns.core().bindings()
    }

    pub(crate) async fn ask(&mut self, command: Command) -> Result<Value, String> {
        let mut reply = self.asking(command);
        self.pump().await;
        reply.try_recv().unwrap()
    }

    /// Where the answer comes, once the box has been let run.
    pub(crate) fn asking(&mut self, command: Command) -> oneshot::Receiver<Result<Value, String>> {
        let (answer, reply) = oneshot::channel();
        self.machine.as_ref().unwrap().requests.try_send(Request { command, answer }).unwrap();
        reply
    }
}

/// What the edge answers for a modem that is not there.
fn unplugged(command: LineCommand) -> Option<LineEvent> {
    match command {
        LineCommand::Send { part, .. } => Some(LineEvent::SendDone {
            part,
            result: SendResult::NotTried { why: "the line is not up".into() },
        }),
        LineCommand::Proceed { .. } | LineCommand::Free { .. } => None,
        other => panic!("a modem is told {other:?}"),
    }
}

impl SimModem {
    /// Whether it asked for the PDU of a text to this person.
    fn asks_for(&self, who: &str) -> bool {
        let pdu = self.prompted.as_ref().map(|(pdu, _)| pdu::decode(pdu, pdu::Direction::ToSc, None));
        matches!(pdu, Some(Ok(pdu::Pdu::Submit(submit))) if submit.to.as_str() == who)
    }

    /// A text in one part, and where it lies.
    fn receive(&mut self, from: &str, body: &str, wall: Wall) -> (u16, String) {
        let from = Address::Phone(PhoneNumber::parse(from, None).unwrap());
        let timestamp = Timestamp { utc: Wall(wall.0 / 1000 * 1000), quarters: -32 };
        let options = DeliverOptions { timestamp, reference: 9, wide: false, class: None };
        let pdu = pdu::deliver(&from, body, &options).unwrap().remove(0).hex;
        let index = (1..).find(|i| !self.slots.contains_key(i)).unwrap();
        self.slots.insert(index, pdu.clone());
        (index, pdu)
    }

    fn fresh() -> Self {
        Self { answering: true, ..Self::default() }
    }

    fn handle(&mut self, id: &LineId, command: LineCommand, carried: &mut Vec<Carried>) -> Option<LineEvent> {
        match command {
            LineCommand::Free { slot } => {
                self.frees += 1;
                if self.keeps {
                    return None;
                }
                self.slots.remove(&slot.index);
                Some(LineEvent::Freed { slot })
            }
            LineCommand::Proceed { go: false, part, .. } => {
                self.prompted = None;
                let result = SendResult::NotTried { why: "it is not wanted any more".into() };
                Some(LineEvent::SendDone { part, result })
            }
            LineCommand::Send { part, pdu, length } => {
                if self.refuses > 0 {
                    self.refuses -= 1;
                    let result = SendResult::Rejected { code: "+CMS ERROR: 38".into(), temporary: true };
                    return Some(LineEvent::SendDone { part, result });
                }
                self.prompted = Some((pdu, length));
                if self.asks_not {
                    return None;
                }
                Some(LineEvent::Prompted { part, attempt: 1 })
            }
            LineCommand::Proceed { part, .. } => {
                // The modem was switched off in between.
                let (pdu, length) = self.prompted.take()?;
                assert_eq!(usize::from(length) * 2 + 2, pdu.len(), "the length in AT+CMGS is the PDU's");
                let Ok(pdu::Pdu::Submit(submit)) = pdu::decode(&pdu, pdu::Direction::ToSc, None) else {
                    panic!("not a SUBMIT: {pdu}")
                };
                let concat = submit.concat.map(|c| (c.reference, c.part, c.total));
                self.carry(id, submit.to.as_str(), concat, submit.data, carried);
                if !self.answering {
                    return None;
                }
                self.reference = self.reference.wrapping_add(1);
                Some(LineEvent::SendDone { part, result: SendResult::Accepted { reference: self.reference } })
            }
            other => panic!("a modem is told {other:?}"),
        }
    }

    /// Joins parts as a phone does.
    fn carry(
        &mut self,
        id: &LineId,
        to: &str,
        concat: Concat,
        data: pdu::UserData,
        carried: &mut Vec<Carried>,
    ) {
        let Some((reference, _, total)) = concat else {
            carried.push(Carried { line: id.clone(), to: to.to_owned(), body: data.text() });
            return;
        };
        self.sent.push((to.to_owned(), concat, data));
        let mut parts: VecDeque<_> = self
            .sent
            .iter()
            .filter(|(who, c, _)| who == to && c.is_some_and(|(r, _, t)| r == reference && t == total))
            .collect();
        if parts.len() == usize::from(total) {
            parts.make_contiguous().sort_by_key(|(_, c, _)| c.map(|(_, part, _)| part));
            let data: Vec<&pdu::UserData> = parts.iter().map(|(_, _, d)| d).collect();
            carried.push(Carried { line: id.clone(), to: to.to_owned(), body: pdu::join(&data) });
            self.sent.retain(|(who, c, _)| {
                !(who == to && c.is_some_and(|(r, _, t)| r == reference && t == total))
            });
        }
    }
}
