//! The one loop: events in, the core's step, its transaction to the writer, its effects out after the commit. It
//! never waits for the disk; when the writer's queue is full or the disk holds it up, it takes no more events of texts,
//! and the edges feel it. Calls go on: their effects leave at once, and the newest state of their records waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{CallEnds, Late, TrunkLife, TrunkWay};
use super::clock::Clock;
use super::core::{Command, Core, Effect, Event, EventsWanted, Step};
use crate::cache::Kept;
use crate::dealer::{DealerCommand, DealerEvent};
use crate::media::MediaReport;
use crate::store::{EventOutRow, Op, Store, Ticket, Transaction, WriterState};
use crate::trunk::{TrunkCommand, TrunkEvent};
use crate::types::{EventId, LineCommand, LineEvent, LineId, ShopId};
use crate::webhook::{WebhookCommand, WebhookEvent};

/// Longer steps are counted: the loop must never be long away.
const LONG_STEP: Duration = Duration::from_millis(5);
/// How often the time is stored, for the clock's floor after the next start.
const TICK: Duration = Duration::from_secs(60);

/// At the end, how long the disk may take: what it has not written then is begun anew at the next start.
const DRAIN: Duration = Duration::from_millis(400);

/// Events of calls that are taken in one turn: calls come first, and starve nobody.
const CALL_BATCH: usize = 32;

/// Rows that may wait for a disk that is held up before only calls for help begin.
const LATE_MOST: usize = 4096;

/// A request of the control socket, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub command: Command,
    /// To whom.
    pub answer: oneshot::Sender<Result<Value, String>>,
}

/// The loop's ends.
pub struct Ends {
    /// From the lines. Full: the lines stop reading.
    pub line_events: mpsc::Receiver<(LineId, LineEvent)>,
    /// From the dealer edge.
    pub dealer_events: mpsc::Receiver<DealerEvent>,
    /// From the control socket.
    pub requests: mpsc::Receiver<Request>,
    /// To the lines.
    pub lines: BTreeMap<LineId, mpsc::Sender<LineCommand>>,
    /// To the dealer edge.
    pub dealer: mpsc::Sender<DealerCommand>,
    /// From the edge that delivers the box's own events.
    pub webhook_events: mpsc::Receiver<WebhookEvent>,
    /// To that edge.
    pub webhooks: mpsc::Sender<WebhookCommand>,
    /// From and to the edges that carry calls.
    pub calls: CallEnds,
}

/// What the loop counts about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoopCounters {
    /// Events taken.
    pub events: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Steps over 5 ms.
    pub long_steps: u64,
}

/// The loop.
pub struct Turns {
    core: Core,
    store: Store,
    writer: watch::Receiver<WriterState>,
    clock: Arc<dyn Clock>,
    ends: Ends,
    /// Committed in this order; the effects leave then.
    pending: VecDeque<(Ticket, Vec<Effect>)>,
    /// Transactions that the writer's queue had no room for: nothing passes them.
    unsubmitted: VecDeque<(Transaction, Vec<Effect>)>,
    /// Rows of calls, while others wait before them.
    late: Late,
    trunk: TrunkWay,
    trunk_batch: Vec<TrunkEvent>,
    media_batch: Vec<MediaReport>,
    /// For lines whose queue was full.
    backlog: BTreeMap<LineId, VecDeque<LineCommand>>,
    replies: BTreeMap<u64, oneshot::Sender<Result<Value, String>>>,
    next_reply: u64,
    reads: mpsc::Sender<Event>,
    read_answers: mpsc::Receiver<Event>,
    reading: usize,
    counters: LoopCounters,
    disk_low: bool,
    stalled: Option<String>,
    seed: Box<dyn FnMut() -> EventId + Send>,
}

/// Why the loop ended.
#[derive(Debug)]
pub enum Stopped {
    /// As asked.
    Asked,
    /// The writer cannot go on: the process must end and start anew from what is on disk.
    Fatal(String),
}

impl Turns {
    /// Puts the loop together. `first` is what starting changed.
    #[must_use]
    pub fn new(
        core: Core,
        first: Step,
        store: Store,
        clock: Arc<dyn Clock>,
        ends: Ends,
        seed: Box<dyn FnMut() -> EventId + Send>,
    ) -> Self {
        let writer = store.watch();
        let (reads, read_answers) = mpsc::channel(1024);
        let mut turns = Self {
            core,
            writer,
            store,
            clock,
            ends,
            pending: VecDeque::new(),
            unsubmitted: VecDeque::new(),
            late: Late::default(),
            trunk: TrunkWay::default(),
            trunk_batch: Vec::with_capacity(CALL_BATCH),
            media_batch: Vec::with_capacity(CALL_BATCH),
            backlog: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_reply: 0,
            reads,
            read_answers,
            reading: 0,
            counters: LoopCounters::default(),
            disk_low: false,
            stalled: None,
            seed,
        };
        turns.carry_out(first);
        turns
    }

    /// Runs until `stop` or until the writer cannot go on. `beat` is called between events, at least once a second.
    pub async fn run(
        &mut self,
        mut stop: watch::Receiver<bool>,
        mut beat: impl FnMut(&LoopCounters),
    ) -> Stopped {
        let mut heart = tokio::time::interval(Duration::from_secs(1));
        let mut ticked = Instant::now();
        loop {
            let open = self.is_open();
            let due = if open { self.core.poll_timeout() } else { self.core.poll_call_timeout() };
            let due = due.map(|(at, _)| at);
            let clock = self.clock.clone();
            tokio::select! {
                biased;
                changed = self.writer.changed() => {
                    if changed.is_err() {
                        return Stopped::Fatal("the writer is gone".to_owned());
                    }
                    if let Some(why) = self.committed() {
                        return Stopped::Fatal(why);
                    }
                }
                _ = stop.wait_for(|stop| *stop) => {
                    let step = self.core.stop((self.seed)(), self.clock.now());
                    self.carry_out(step);
                    self.drain(DRAIN).await;
                    return Stopped::Asked;
                }
                _ = heart.tick() => {
                    self.push_backlog();
                    self.watch_disk();
                    if ticked.elapsed() >= TICK {
                        ticked = Instant::now();
                        let now = self.clock.now();
                        self.submit(Transaction { ops: vec![Op::Tick(now)] }, Vec::new());
                    }
                    beat(&self.counters);
                }
                Some(request) = self.ends.requests.recv() => self.request(request),
                Some(event) = self.read_answers.recv() => {
                    self.reading -= 1;
                    self.step(event);
                }
                Some(event) = self.ends.webhook_events.recv(), if open => self.step(Event::Webhook(event)),
                Some(event) = self.ends.dealer_events.recv(), if open => self.step(Event::Dealer(event)),
                Some((line, event)) = self.ends.line_events.recv(), if open => self.step(Event::Line(line, event)),
                () = async { match due { Some(at) => clock.sleep_until(at).await, None => std::future::pending().await } } => {
                    self.step(if open { Event::Due } else { Event::CallsDue });
                }
                Some(life) = self.ends.calls.trunk_lives.recv() => self.trunk_life(life),
                1.. = self.ends.calls.trunk_events.recv_many(&mut self.trunk_batch, CALL_BATCH) => self.trunk_events(),
                1.. = self.ends.calls.media_reports.recv_many(&mut self.media_batch, CALL_BATCH) => {
                    self.media_reports();
                }
                () = self.trunk.room() => self.trunk.push(),
            }
        }
    }

    /// For the virtual box: takes everything that is there and waits for every commit and read that follows from it,
    /// until nothing moves any more at this time: also when that is because the disk holds the writer up.
    ///
    /// # Errors
    /// Why the writer cannot go on.
    pub async fn settle(&mut self) -> Result<(), String> {
        loop {
            if let Some(why) = self.committed() {
                return Err(why);
            }
            self.push_backlog();
            let open = self.is_open();
            let due = if open { self.core.poll_timeout() } else { self.core.poll_call_timeout() };
            if let Ok(request) = self.ends.requests.try_recv() {
                self.request(request);
            } else if open && let Ok((line, event)) = self.ends.line_events.try_recv() {
                self.step(Event::Line(line, event));
            } else if open && let Ok(event) = self.ends.dealer_events.try_recv() {
                self.step(Event::Dealer(event));
            } else if open && let Ok(event) = self.ends.webhook_events.try_recv() {
                self.step(Event::Webhook(event));
            } else if let Ok(life) = self.ends.calls.trunk_lives.try_recv() {
                self.trunk_life(life);
            } else if let Ok(event) = self.ends.calls.trunk_events.try_recv() {
                self.trunk_batch.push(event);
                self.trunk_events();
            } else if let Ok(report) = self.ends.calls.media_reports.try_recv() {
                self.media_batch.push(report);
                self.media_reports();
            } else if due.is_some_and(|(at, _)| at <= self.clock.now().mono) {
                self.step(if open { Event::Due } else { Event::CallsDue });
            } else if let Some((ticket, _)) = self.pending.back() {
                let ticket = *ticket;
                self.store.hurry();
                let moved =
                    |s: &WriterState| s.committed >= ticket || s.fatal.is_some() || s.stalled.is_some();
                let state = self.writer.wait_for(moved).await.map_err(|e| e.to_string())?;
                if state.committed < ticket && state.fatal.is_none() {
                    return Ok(());
                }
            } else if self.reading > 0 {
                if let Some(event) = self.read_answers.recv().await {
                    self.reading -= 1;
                    self.step(event);
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The core, for those who look.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Says once when the disk gets full, and when it has room again.
    fn watch_disk(&mut self) {
        let low = self.store.disk_state().low;
        if low != self.disk_low {
            self.disk_low = low;
            match low {
                true => tracing::error!(
                    "the disk is nearly full: customers are served, programs' texts are refused"
                ),
                false => tracing::info!("the disk has room again"),
            }
        }
    }

    fn is_open(&self) -> bool {
        let state = self.writer.borrow();
        let behind = !self.unsubmitted.is_empty() || !self.late.is_empty();
        !behind && state.stalled.is_none() && self.store.room() > 0
    }

    fn trunk_events(&mut self) {
        for event in std::mem::take(&mut self.trunk_batch) {
            self.step(match event {
                TrunkEvent::Leg(leg, event) => Event::Leg(leg, event),
                TrunkEvent::Line { line, up, why } => Event::CallLine { line, up, why },
                TrunkEvent::Bindings(device, bindings) => Event::Bindings(device, bindings),
                TrunkEvent::Alarm(text) => {
                    tracing::warn!("{text}");
                    continue;
                }
            });
        }
    }

    fn media_reports(&mut self) {
        for report in std::mem::take(&mut self.media_batch) {
            self.step(match report {
                MediaReport::Leg(leg, event) => Event::Leg(leg, event),
                MediaReport::Media(event) => Event::Media(event),
            });
        }
    }

    fn trunk_life(&mut self, life: TrunkLife) {
        match life {
            TrunkLife::Began(sender) => self.trunk.began(sender),
            TrunkLife::Died(bindings) => {
                // What it said before it died comes first.
                while let Ok(event) = self.ends.calls.trunk_events.try_recv() {
                    self.trunk_batch.push(event);
                }
                self.trunk_events();
                self.trunk.died();
                self.step(Event::LegsLost);
                // Who asked may be stopping.
                let _gone = bindings.send(self.core.bindings());
            }
        }
    }

    fn step(&mut self, event: Event) {
        let started = Instant::now();
        self.counters.events += 1;
        let now = self.clock.now();
        let id = (self.seed)();
        let step = self.core.handle(id, event, now);
        self.carry_out(step);
        let took = started.elapsed();
        if took > LONG_STEP {
            self.counters.long_steps += 1;
            tracing::debug!(?took, "a long step");
        }
    }

    fn carry_out(&mut self, step: Step) {
        for alarm in &step.alarms {
            tracing::warn!("{alarm}");
        }
        for effect in step.live {
            self.effect(effect);
        }
        if step.transaction.ops.is_empty() {
            for effect in step.after {
                self.settled(effect);
            }
        } else {
            self.submit(step.transaction, step.after);
        }
    }

    /// An effect of a step that changed nothing. An answer may say that what was asked is done already, by a step whose
    /// commit is still under way: it waits for that.
    fn settled(&mut self, effect: Effect) {
        match (effect, self.pending.back_mut()) {
            (answer @ Effect::Reply(..), Some((_, after))) => {
                after.push(answer);
                self.store.hurry();
            }
            (effect, _) => self.effect(effect),
        }
    }

    fn submit(&mut self, transaction: Transaction, after: Vec<Effect>) {
        if self.unsubmitted.is_empty() && self.late.is_empty() {
            let awaited = !after.is_empty();
            match self.store.submit(transaction) {
                Ok(ticket) => {
                    self.pending.push_back((ticket, after));
                    if awaited {
                        self.store.hurry();
                    }
                }
                Err(full) => self.unsubmitted.push_back((full.into_transaction(), after)),
            }
            return;
        }
        let others = if after.is_empty() {
            self.late.take(transaction)
        } else {
            self.late.overtaken(&transaction);
            Some(transaction)
        };
        if let Some(transaction) = others {
            self.unsubmitted.push_back((transaction, after));
        }
        self.core.set_overloaded(self.late.len() + self.unsubmitted.len() >= LATE_MOST);
    }

    /// Lets the effects of all that is durable by now leave. `Some`: the writer ended.
    fn committed(&mut self) -> Option<String> {
        let state = self.writer.borrow_and_update().clone();
        if state.stalled != self.stalled {
            match &state.stalled {
                Some(why) => tracing::error!("nothing can be written, nothing new is taken: {why}"),
                None => tracing::info!("writing goes on"),
            }
            self.stalled.clone_from(&state.stalled);
        }
        while self.pending.front().is_some_and(|(ticket, _)| *ticket <= state.committed) {
            if let Some((_, after)) = self.pending.pop_front() {
                self.counters.commits += 1;
                for effect in after {
                    self.effect(effect);
                }
            }
        }
        while let Some((transaction, after)) = self.unsubmitted.pop_front() {
            match self.store.submit(transaction) {
                Ok(ticket) => self.pending.push_back((ticket, after)),
                Err(full) => {
                    self.unsubmitted.push_front((full.into_transaction(), after));
                    return state.fatal;
                }
            }
        }
        while self.store.room() > 0
            && let Some(transaction) = self.late.chunk()
        {
            match self.store.submit(transaction) {
                Ok(ticket) => self.pending.push_back((ticket, Vec::new())),
                Err(full) => {
                    self.unsubmitted.push_back((full.into_transaction(), Vec::new()));
                    return state.fatal;
                }
            }
        }
        self.core.set_overloaded(false);
        state.fatal
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Line(line, command) => {
                self.backlog.entry(line).or_default().push_back(command);
                self.push_backlog();
            }
            Effect::Dealer(command) => {
                if let Err(mpsc::error::TrySendError::Full(command)) = self.ends.dealer.try_send(command) {
                    // As many wait here as executions and orders wait for an answer.
                    let dealer = self.ends.dealer.clone();
                    tokio::spawn(async move {
                        // Closed only when the daemon ends.
                        let _closed = dealer.send(command).await;
                    });
                }
            }
            Effect::ReadCache { shop, id, key } => {
                self.reading += 1;
                let (store, reads) = (self.store.clone(), self.reads.clone());
                tokio::spawn(async move {
                    let kept = match store.cached(&shop, &key).await {
                        Ok(row) => row.map(|r| Kept {
                            status: r.status,
                            body: r.body,
                            wall: r.wall,
                            wall_sure: r.wall_sure,
                            mono: r.mono,
                            boot: r.boot,
                        }),
                        Err(error) => {
                            tracing::warn!(%error, "a kept answer cannot be read");
                            None
                        }
                    };
                    // Closed only when the daemon ends.
                    let _closed = reads.send(Event::Cached { shop, id, kept }).await;
                });
            }
            Effect::Webhook(command) => {
                if let Err(mpsc::error::TrySendError::Full(command)) = self.ends.webhooks.try_send(command) {
                    // As many wait here as may be under way to all endpoints.
                    let webhooks = self.ends.webhooks.clone();
                    tokio::spawn(async move {
                        // Closed only when the daemon ends.
                        let _closed = webhooks.send(command).await;
                    });
                }
            }
            Effect::ReadEvents { shop, wanted } => {
                self.reading += 1;
                let (store, reads) = (self.store.clone(), self.reads.clone());
                tokio::spawn(async move {
                    let rows = events_out(&store, &shop, &wanted).await;
                    // Closed only when the daemon ends.
                    let _closed = reads.send(Event::EventsRead { shop, wanted, rows }).await;
                });
            }
            Effect::Leg(leg, command) => self.trunk.send(TrunkCommand::Leg(leg, command)),
            Effect::Media(command) => (self.ends.calls.media)(command),
            Effect::Reply(id, answer) => {
                if let Some(reply) = self.replies.remove(&id) {
                    // Who asked may be gone.
                    let _gone = reply.send(answer);
                }
            }
        }
    }

    /// Hands lines what they have room for, in order. What waits here is bounded by the slots of the modems.
    fn push_backlog(&mut self) {
        for (line, queue) in &mut self.backlog {
            let Some(sender) = self.ends.lines.get(line) else {
                queue.clear();
                continue;
            };
            while let Some(command) = queue.pop_front() {
                if let Err(mpsc::error::TrySendError::Full(command)) = sender.try_send(command) {
                    queue.push_front(command);
                    break;
                }
            }
        }
    }

    fn request(&mut self, request: Request) {
        if request.command == Command::Status {
            let state = self.writer.borrow().clone();
            let disk = self.store.disk_state();
            let answer = json!({
                "shops": self.core.status(self.clock.now().mono),
                "edges": (self.ends.calls.counters)(),
                "storage": { "stalled": state.stalled, "free_mib": disk.free >> 20, "low": disk.low },
                "loop": {
                    "events": self.counters.events,
                    "commits": self.counters.commits,
                    "long_steps": self.counters.long_steps,
                    "waiting_for_disk": self.pending.len() + self.unsubmitted.len() + self.late.len(),
                    "next_timer": self.core.poll_timeout().map(|(_, what)| what),
                },
            });
            // Who asked may be gone.
            let _gone = request.answer.send(Ok(answer));
            return;
        }
        if !self.is_open() {
            let why = self.writer.borrow().stalled.clone();
            let why = why.unwrap_or_else(|| "the queue to the disk is full".to_owned());
            let _gone = request.answer.send(Err(format!("nothing new is taken now: {why}")));
            return;
        }
        if self.disk_low && matches!(request.command, Command::Send { .. }) {
            let why = "the disk is nearly full: make room, then send again";
            let _gone = request.answer.send(Err(why.to_owned()));
            return;
        }
        self.next_reply += 1;
        self.replies.insert(self.next_reply, request.answer);
        self.step(Event::Command(self.next_reply, request.command));
    }

    /// After [`Turns::run`], while the edges end: what they say of texts and orders that were with them. Unheard, each
    /// would be in doubt at the next start. Texts that they report stay in their slots until then. Ends when all
    /// edges have, and may be dropped before.
    pub async fn last_words(&mut self) {
        let (mut lines, mut dealer, mut webhooks) = (true, true, true);
        while lines || dealer || webhooks {
            tokio::select! {
                biased;
                changed = self.writer.changed() => {
                    if changed.is_err() || self.committed().is_some() {
                        return;
                    }
                }
                event = self.ends.line_events.recv(), if lines => match event {
                    Some((line, event @ (LineEvent::SendDone { .. } | LineEvent::Posted { .. }))) => {
                        self.step(Event::Line(line, event));
                    }
                    Some(_) => {}
                    None => lines = false,
                },
                event = self.ends.dealer_events.recv(), if dealer => match event {
                    Some(event @ DealerEvent::Placed { .. }) => self.step(Event::Dealer(event)),
                    Some(_) => {}
                    None => dealer = false,
                },
                // Unheard, it would be delivered again.
                event = self.ends.webhook_events.recv(), if webhooks => match event {
                    Some(event) => self.step(Event::Webhook(event)),
                    None => webhooks = false,
                },
                // Its calls have ended for us; it must not wait for an ear.
                Some(_) = self.ends.calls.trunk_events.recv() => {}
                () = self.trunk.room() => self.trunk.push(),
            }
        }
        self.drain(DRAIN).await;
    }

    /// Everything that was taken is committed and its effects are on their way.
    async fn drain(&mut self, patience: Duration) {
        self.store.hurry();
        let deadline = tokio::time::sleep(patience);
        tokio::pin!(deadline);
        while !self.pending.is_empty() || !self.unsubmitted.is_empty() || !self.late.is_empty() {
            tokio::select! {
                changed = self.writer.changed() => {
                    if changed.is_err() || self.committed().is_some() {
                        return;
                    }
                }
                () = &mut deadline => {
                    tracing::warn!("stopping with {} transactions not committed", self.pending.len());
                    return;
                }
            }
        }
    }
}

/// What the core wants to know of its events.
async fn events_out(store: &Store, shop: &ShopId, wanted: &EventsWanted) -> Result<Vec<EventOutRow>, String> {
    let rows = match wanted {
        EventsWanted::Waiting { endpoint } => store.events_waiting(shop, endpoint).await,
        EventsWanted::One { id, .. } => store.event_out(shop, id).await.map(|row| row.into_iter().collect()),
        EventsWanted::Dead { since, .. } => store.events_dead(shop, *since).await,
    };
    rows.map_err(|error| error.to_string())
}
