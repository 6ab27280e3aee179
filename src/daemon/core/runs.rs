//! Runs of flows: started, fed, and their effects carried out or put down. Waits that would end while the shop was
//! deaf are held until the late texts are in.

use serde_json::Map;

use super::consent::Why;
use super::enclosing::{NewFile, Said};
use super::script::Script;
use super::shop::{Published, Shop};
use super::timers::TimerKey;
use super::{Cx, Effect as Out};
use crate::dealer::DealerCommand;
use crate::flow::{Awaiting, Effect, Ended, Execution, Input, Trigger};
use crate::messaging::{Mode, Turn, Waiting, keywords};
use crate::store::{ExecutionRow, Op, Snapshot, Source, StepRow, TimerRow};
use crate::types::{ExecutionSid, MessageId, Mono, Wall};

/// An execution and what the shop knows of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) execution: Execution,
    script: Script,
    pub(super) person: String,
    parent: Option<ExecutionSid>,
    created: Wall,
    /// When the wait that is under way was set.
    wait_set: Mono,
    /// The timer's number, as the execution knows it.
    wait: Option<u64>,
    ended: Option<String>,
    /// It goes on from what the person wrote: begun by their text, or by a run that was.
    answers: bool,
}

impl Run {
    /// The words that the question it waits in offers.
    pub(super) fn words_offered(&self, widget: &str) -> Vec<String> {
        let Ok(definition) = self.script.definition() else { return Vec::new() };
        let words = self.execution.words_offered(definition, widget, keywords::YIELDING);
        words.into_iter().map(str::to_owned).collect()
    }
}

/// How a run comes into the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// Alone: whoever was in front is not any more.
    Alone,
    /// Before its parent.
    OnTop,
}

impl Shop {
    pub(super) fn load_runs(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let people: std::collections::HashMap<_, _> =
            self.people.iter().map(|(person, talk)| (talk.id.clone(), person.clone())).collect();
        for row in snapshot.executions.iter().filter(|r| r.shop == self.id) {
            let execution = serde_json::from_value::<Execution>(row.state.clone());
            let script = self.pinned.get(&(row.flow.clone(), row.revision)).cloned();
            let (Ok(execution), Some(script), Some(person)) =
                (execution, script, people.get(&row.conversation))
            else {
                cx.alarm(format!(
                    "execution {} of {} cannot go on: its state cannot be read",
                    row.sid, row.flow
                ));
                let ended = Some("failed: its state could not be read after a restart".to_owned());
                cx.put(Op::PutExecution(ExecutionRow { ended, updated: cx.now.wall, ..row.clone() }));
                if let Some(talk) =
                    people.get(&row.conversation).and_then(|person| self.people.get_mut(person))
                {
                    talk.state.ended(&row.sid);
                }
                continue;
            };
            let run = Run {
                parent: execution.parent(),
                execution,
                script,
                person: person.clone(),
                created: row.created,
                wait_set: Mono(0),
                wait: None,
                ended: None,
                answers: false,
            };
            self.runs.insert(row.sid.clone(), run);
        }
        self.load_timers(cx, snapshot);
        let sids: Vec<ExecutionSid> = self.runs.keys().cloned().collect();
        for sid in sids {
            // What a copy of the database says about a conversation is not where the person is now.
            let input = if snapshot.restored {
                Input::Stop("the database was restored from a copy".to_owned())
            } else {
                Input::Restarted
            };
            self.feed(cx, &sid, input);
        }
        // A conversation may name a run that is not there any more.
        for talk in self.people.values_mut() {
            talk.state.front.retain(|sid| self.runs.contains_key(sid));
        }
    }

    fn load_timers(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        for row in snapshot.timers.iter().filter(|r| r.shop == self.id) {
            let parsed = row.id.strip_prefix("exec/").and_then(|rest| rest.split_once('/'));
            let Some((sid, Ok(number))) = parsed.map(|(sid, n)| (ExecutionSid::from(sid), n.parse::<u64>()))
            else {
                continue;
            };
            let Some(run) = self.runs.get_mut(&sid) else {
                cx.put(Op::DeleteTimer(self.id.clone(), row.id.clone()));
                continue;
            };
            run.wait = Some(number);
            let whole = std::time::Duration::from_millis(row.remaining_ms);
            let deadline = match row.wall {
                _ if row.boot == *cx.boot => row.deadline,
                // Never longer than it was: the clock may have been wrong when it was set.
                Some(wall) if cx.now.wall_sure => cx.now.mono + wall.since(cx.now.wall).min(whole),
                Some(_) | None => cx.now.mono + whole,
            };
            cx.timers.set(TimerKey::Run(self.id.clone(), sid, number), deadline);
        }
    }

    /// Goes on with what a conversation can do by itself.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, person: &str) {
        let widget = self.widget_in_front(person);
        let Some(talk) = self.people.get_mut(person) else { return };
        let before = talk.state.clone();
        let turn = talk.state.next(widget.as_deref());
        if talk.state != before {
            cx.dirty_people.insert(person.to_owned());
        }
        if turn != Turn::Nothing {
            self.take(cx, person, turn);
        }
    }

    /// Carries out what the conversation decided about a text or about itself.
    pub(super) fn take(&mut self, cx: &mut Cx<'_>, person: &str, turn: Turn) {
        match turn {
            Turn::Answer(sid, parameters) => cx.inputs.push_back((sid, Input::Reply(parameters))),
            Turn::StartMain(parameters) => {
                let flow = self.settings.text("flows.main").to_owned();
                let sid = ExecutionSid(cx.sid("FN"));
                self.start_run(cx, person, sid, &flow, Trigger::Message(parameters), None, Entrance::Alone);
            }
            Turn::StartWaiting(waiting, over) => self.start_waiting(cx, person, waiting, over),
            Turn::Kept | Turn::Repeat | Turn::Relay | Turn::Nothing => {}
        }
        cx.dirty_people.insert(person.to_owned());
    }

    fn start_waiting(&mut self, cx: &mut Cx<'_>, person: &str, next: Waiting, over: Option<ExecutionSid>) {
        if let Some(sid) = over {
            cx.inputs.push_back((sid, Input::Stop(format!("{} took its place", next.flow))));
        }
        let trigger =
            Trigger::Request { from: self.own_number(), to: person.to_owned(), parameters: next.parameters };
        self.start_run(cx, person, next.sid, &next.flow, trigger, None, Entrance::Alone);
    }

    /// What the run in front waits in, when a reply would be an answer.
    pub(super) fn widget_in_front(&self, person: &str) -> Option<String> {
        let front = self.people.get(person)?.state.front()?;
        match self.runs.get(front)?.execution.awaiting() {
            Awaiting::Reply { widget, .. } => Some(widget),
            Awaiting::Outside | Awaiting::Handing(_) | Awaiting::Ended => None,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a run starts with; a struct would only name them twice"
    )]
    pub(super) fn start_run(
        &mut self,
        cx: &mut Cx<'_>,
        person: &str,
        sid: ExecutionSid,
        flow: &str,
        trigger: Trigger,
        parent: Option<ExecutionSid>,
        entrance: Entrance,
    ) {
        let published = self.flows.get(flow).cloned().or_else(|| {
            let by_sid = self.flows.iter().find(|(_, p)| p.sid == flow);
            by_sid.map(|(_, p)| p.clone())
        });
        let Some(Published { sid: flow_sid, revision, script }) = published else {
            self.flow_missing(cx, person, &sid, flow, parent);
            return;
        };
        let name = self
            .flows
            .iter()
            .find(|(_, p)| p.sid == flow_sid)
            .map_or(flow, |(name, _)| name.as_str())
            .to_owned();
        let execution = Execution::new(sid.clone(), &name, &flow_sid, revision, cx.now);
        let run = Run {
            execution,
            script,
            person: person.to_owned(),
            parent,
            created: cx.now.wall,
            wait_set: cx.now.mono,
            wait: None,
            ended: None,
            answers: false,
        };
        self.runs.insert(sid.clone(), run);
        let on_top = entrance == Entrance::OnTop;
        if let Some(talk) = self.people.get_mut(person) {
            // Whoever is below a new run that came alone would speak out of turn when it wakes.
            let below = if on_top { Vec::new() } else { talk.state.front.clone() };
            talk.state.came_to_front(sid.clone(), on_top);
            for old in below.into_iter().rev().skip(1) {
                cx.inputs.push_back((old, Input::Stop(format!("{name} took its place"))));
            }
        }
        cx.dirty_people.insert(person.to_owned());
        cx.inputs.push_back((sid, Input::Start(trigger)));
    }

    fn flow_missing(
        &mut self,
        cx: &mut Cx<'_>,
        person: &str,
        sid: &ExecutionSid,
        flow: &str,
        parent: Option<ExecutionSid>,
    ) {
        cx.alarm(format!("shop {}: there is no published flow {flow:?}", self.id));
        if let Some(parent) = parent {
            let why = Ended::Failed(format!("there is no flow {flow:?}"));
            cx.inputs.push_back((parent, Input::SubflowDone(sid.clone(), why, Map::new())));
            return;
        }
        let text = self.trouble_text();
        self.say(cx, person, text, Source::Box);
    }

    /// What a customer hears when a flow cannot go on: never nothing.
    fn trouble_text(&self) -> String {
        let phone = self.shop_phone();
        let call = if phone.is_empty() { String::new() } else { format!(" or call us at {phone}") };
        format!("Sorry, something went wrong on our side. Reply MENU to start over{call}.")
    }

    /// Hands one input to a run and puts down what came of it.
    pub(super) fn feed(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, input: Input) {
        let env = self.env(cx.now);
        let Some(run) = self.runs.get_mut(sid).filter(|r| r.ended.is_none()) else { return };
        let script = run.script.clone();
        let definition = match script.definition() {
            Ok(definition) => definition,
            Err(why) => {
                cx.alarm(format!("execution {sid} cannot go on: {why}"));
                return;
            }
        };
        let outcome = run.execution.handle(definition, input, cx.now, &env);
        cx.dirty_runs.insert(sid.clone());
        cx.touched.insert(run.person.clone());
        for step in outcome.steps {
            cx.put(Op::AddStep(StepRow {
                shop: self.id.clone(),
                execution: sid.clone(),
                number: step.number,
                event: step.event,
                from: step.from,
                to: step.to,
                kind: step.kind,
                delta: step.delta,
                note: step.note,
                wall: cx.now.wall,
            }));
        }
        for effect in outcome.effects {
            self.effect(cx, sid, effect);
        }
    }

    fn effect(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, effect: Effect) {
        let Some(person) = self.runs.get(sid).map(|r| r.person.clone()) else { return };
        match effect {
            Effect::Send { id, body, media, template, to, prompt } => {
                let to = to.unwrap_or_else(|| person.clone());
                let why = self.why_of(sid, to == person);
                let files = media.into_iter().map(NewFile::Link).collect();
                let said = Said { body, files, template, channel: None };
                self.send_text(cx, id, &to, said, why, prompt.then(|| sid.clone()));
            }
            Effect::SetTimer { id, after } => self.set_wait(cx, sid, id, after),
            Effect::CancelTimer { id } => self.cancel_wait(cx, sid, id),
            Effect::Http { id, method, url, content_type, body } => match self.dealer_path(&url) {
                Some(path) if method == "GET" => self.look_up(cx, sid, id, &path),
                Some(_) | None => {
                    let fetch = self.remember_fetch(sid, id);
                    let shop = self.id.clone();
                    cx.after(Out::Dealer(DealerCommand::Request {
                        shop,
                        id: fetch,
                        method,
                        url,
                        content_type,
                        body,
                    }));
                }
            },
            Effect::PlaceOrder { id, kind, body, about, wait } => {
                self.place_order(cx, sid, id, kind, body, about, wait);
            }
            Effect::StartFlow { sid: new, flow, parameters } => {
                let trigger = Trigger::Request { from: self.own_number(), to: person.clone(), parameters };
                let answers = self.answers(sid);
                self.start_run(cx, &person, new.clone(), &flow, trigger, None, Entrance::Alone);
                if let Some(run) = self.runs.get_mut(&new) {
                    run.answers = answers;
                }
            }
            Effect::StartSubflow { sid: new, flow, parameters } => {
                let parent_flow =
                    self.runs.get(sid).map_or_else(String::new, |r| r.execution.flow().to_owned());
                let trigger = Trigger::Parent {
                    parameters,
                    execution: sid.clone(),
                    flow: parent_flow,
                    from: self.own_number(),
                    to: person.clone(),
                };
                self.start_run(cx, &person, new, &flow, trigger, Some(sid.clone()), Entrance::OnTop);
            }
            Effect::HandToPeople { note } => self.hand_to_people(cx, &person, &note),
            Effect::Ended(how) => self.run_ended(cx, sid, &person, how),
        }
    }

    /// What a run's text is for: it answers in a talk that the person began, else it informs. What goes to others than
    /// its person never answers.
    fn why_of(&self, sid: &ExecutionSid, to_person: bool) -> Why {
        let source = Source::Flow(sid.clone());
        if to_person && self.answers(sid) { Why::reply(source) } else { Why::from(source) }
    }

    /// Whether a run goes on from what its person wrote. After a restart, a run that another began, and that has heard
    /// no reply yet, does not.
    fn answers(&self, sid: &ExecutionSid) -> bool {
        let mut at = self.runs.get(sid);
        // No parent of a parent goes on for ever: a run that names itself ends the search.
        for _ in 0..16 {
            let Some(run) = at else { return false };
            if run.answers || run.execution.has_heard() {
                return true;
            }
            at = run.parent.as_ref().and_then(|parent| self.runs.get(parent));
        }
        false
    }

    fn run_ended(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, person: &str, how: Ended) {
        let Some(run) = self.runs.get_mut(sid) else { return };
        run.ended = Some(match &how {
            Ended::Completed => "completed".to_owned(),
            Ended::Stopped(why) => format!("stopped: {why}"),
            Ended::Failed(why) => format!("failed: {why}"),
        });
        let variables = run.execution.variables();
        let parent = run.parent.clone();
        if let Some(number) = run.wait.take() {
            self.drop_timer(cx, sid, number);
        }
        let mut in_front = false;
        if let Some(talk) = self.people.get_mut(person) {
            in_front = talk.state.front() == Some(sid);
            talk.state.ended(sid);
        }
        self.held.retain(|(held, _)| held != sid);
        cx.dirty_people.insert(person.to_owned());
        if let Some(parent) = parent {
            cx.inputs.push_back((parent, Input::SubflowDone(sid.clone(), how, variables)));
        } else if let (Ended::Failed(why), true) = (&how, in_front) {
            cx.alarm(format!("execution {sid} failed: {why}"));
            let text = self.trouble_text();
            let purpose = self.why_of(sid, true).purpose;
            self.say(cx, person, text, Why { source: Source::Box, purpose });
        }
    }

    fn set_wait(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, id: u64, after: std::time::Duration) {
        let Some(run) = self.runs.get_mut(sid) else { return };
        let old = run.wait.replace(id);
        run.wait_set = cx.now.mono;
        if let Some(old) = old.filter(|old| *old != id) {
            self.drop_timer(cx, sid, old);
        }
        let deadline = cx.now.mono + after;
        cx.timers.set(TimerKey::Run(self.id.clone(), sid.clone(), id), deadline);
        cx.put(Op::PutTimer(TimerRow {
            shop: self.id.clone(),
            id: timer_id(sid, id),
            deadline,
            boot: cx.boot.clone(),
            remaining_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            wall: cx.now.wall_sure.then(|| cx.now.wall + after),
        }));
    }

    fn cancel_wait(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, id: u64) {
        if let Some(run) = self.runs.get_mut(sid)
            && run.wait == Some(id)
        {
            run.wait = None;
        }
        self.drop_timer(cx, sid, id);
    }

    fn drop_timer(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, id: u64) {
        cx.timers.cancel(&TimerKey::Run(self.id.clone(), sid.clone(), id));
        self.held.remove(&(sid.clone(), id));
        cx.put(Op::DeleteTimer(self.id.clone(), timer_id(sid, id)));
    }

    /// A wait is over, unless the shop was deaf while it ran: then it is held until the late texts are in.
    pub(super) fn wait_ended(&mut self, cx: &mut Cx<'_>, sid: ExecutionSid, id: u64) {
        let Some(run) = self.runs.get(&sid) else { return };
        if self.was_deaf(cx, &run.person, run.wait_set) {
            self.held.insert((sid, id));
            return;
        }
        cx.put(Op::DeleteTimer(self.id.clone(), timer_id(&sid, id)));
        if let Some(run) = self.runs.get_mut(&sid) {
            run.wait = None;
        }
        cx.inputs.push_back((sid, Input::TimerFired(id)));
    }

    /// True while a reply may still be on its way that was written before the wait was over.
    fn was_deaf(&self, cx: &Cx<'_>, person: &str, since: Mono) -> bool {
        let line = self.line_for(cx.now, person);
        let Some(line) = line.and_then(|id| self.lines.get(&id)) else { return false };
        match line.hears_since {
            None => true,
            Some(at) => since < at && cx.now.mono < at + self.settings.seconds("sms.grace"),
        }
    }

    /// Late texts are in: what was held may end.
    pub(super) fn release_held(&mut self, cx: &mut Cx<'_>) {
        for (sid, id) in std::mem::take(&mut self.held) {
            self.wait_ended(cx, sid, id);
        }
    }

    /// Ends whatever goes on with a person: MENU, STOP, a hand-over.
    pub(super) fn stop_all(&mut self, cx: &mut Cx<'_>, person: &str, why: &str) {
        let Some(talk) = self.people.get_mut(person) else { return };
        let front = talk.state.clear();
        for sid in front {
            self.feed(cx, &sid, Input::Stop(why.to_owned()));
        }
        cx.timers.cancel(&TimerKey::Relay(self.id.clone(), person.to_owned()));
        cx.dirty_people.insert(person.to_owned());
    }

    fn hand_to_people(&mut self, cx: &mut Cx<'_>, person: &str, note: &str) {
        if let Some(talk) = self.people.get_mut(person) {
            talk.state.mode = Mode::People { last: cx.now.mono };
        }
        cx.dirty_people.insert(person.to_owned());
        self.people_began(cx, person, note);
    }

    /// A prompt was handed to the line, accepted by it, or will never be.
    pub(super) fn prompt(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, input: Input) {
        cx.inputs.push_back((sid.clone(), input));
    }

    pub(super) fn flush_run(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid) {
        let Some(run) = self.runs.get(sid) else { return };
        let Some(talk) = self.people.get(&run.person) else { return };
        let state = match serde_json::to_value(&run.execution) {
            Ok(state) => state,
            Err(error) => {
                cx.alarm(format!("execution {sid} cannot be written: {error}"));
                return;
            }
        };
        let row = ExecutionRow {
            shop: self.id.clone(),
            sid: sid.clone(),
            conversation: talk.id.clone(),
            flow: run.execution.flow().to_owned(),
            revision: run.execution.revision(),
            ended: run.ended.clone(),
            state,
            created: run.created,
            updated: cx.now.wall,
        };
        let over = run.ended.is_some();
        cx.put(Op::PutExecution(row));
        if over {
            self.runs.remove(sid);
        }
    }

    /// The prompt that a run waits on, for texts that were under way when the daemon stopped.
    pub(super) fn prompt_of(&self, message: &MessageId) -> Option<ExecutionSid> {
        self.runs
            .iter()
            .find(|(_, run)| match run.execution.awaiting() {
                Awaiting::Handing(id) => id == *message,
                Awaiting::Reply { prompt, .. } => prompt == *message,
                Awaiting::Outside | Awaiting::Ended => false,
            })
            .map(|(sid, _)| sid.clone())
    }
}

fn timer_id(sid: &ExecutionSid, id: u64) -> String {
    format!("exec/{sid}/{id}")
}
