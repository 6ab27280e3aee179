//! The machine: takes one input, leaves and enters widgets until one waits or the execution ends. What a widget
//! does is in `widget`; this file owns steps, limits and the end.

use serde_json::{Map, Value};

use super::context::{self, Delta};
use super::definition::State;
use super::execution::{Phase, Stage, Wait};
use super::template::{Template, Templates};
use super::{
    Definition, Effect, Ended, Env, Execution, Input, Outcome, StepRecord, Trigger, functions, widget,
};
use crate::types::{MessageId, Now, derive_sid};

/// What entering or resuming a widget led to.
pub(super) enum Turn {
    /// It waits.
    Wait(Wait),
    /// It is done: the event that leads on.
    Leave(&'static str),
    /// It is done: the widget that follows (a split has several transitions of one event).
    LeaveTo(&'static str, Option<String>),
    /// It cannot go on in any way: why.
    Fail(String),
}

/// One input's worth of work.
pub(super) struct Run<'a> {
    pub(super) execution: &'a mut Execution,
    pub(super) env: &'a Env,
    pub(super) now: Now,
    pub(super) templates: Templates,
    def: &'a Definition,
    delta: Delta,
    note: Option<String>,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    pub(super) fn new(execution: &'a mut Execution, def: &'a Definition, now: Now, env: &'a Env) -> Self {
        let templates = Templates::new(env.zone.clone(), now.wall);
        context::set(&mut execution.context, &["env"], Value::Object(env.vars.clone()));
        Self {
            execution,
            env,
            now,
            templates,
            def,
            delta: Delta::default(),
            note: None,
            outcome: Outcome::default(),
        }
    }

    /// The state that it leaves behind never holds `env`: settings change under a waiting execution.
    pub(super) fn handle(mut self, input: Input) -> Outcome {
        self.input(input);
        if let Some(map) = self.execution.context.as_object_mut() {
            map.shift_remove("env");
        }
        self.outcome
    }

    fn input(&mut self, input: Input) {
        let waiting = match &self.execution.phase {
            Phase::Ended(_) => return,
            Phase::Fresh => None,
            Phase::Waiting { widget, wait } => Some((widget.clone(), wait.clone())),
        };
        match (input, waiting) {
            (Input::Stop(why), waiting) => self.stop(why, waiting),
            (Input::Start(trigger), None) => self.start(trigger),
            (input, Some((widget, wait))) => self.resume(&widget, wait, input),
            (
                Input::Reply(_)
                | Input::PromptHanded(_)
                | Input::PromptAccepted(_)
                | Input::PromptFailed(..)
                | Input::TimerFired(_)
                | Input::HttpDone(..)
                | Input::OrderDone(..)
                | Input::SubflowDone(..)
                | Input::Restarted,
                None,
            ) => {}
        }
    }

    fn start(&mut self, trigger: Trigger) {
        let sid = self.execution.sid.clone();
        let event = context::fill(&mut self.execution.context, &mut self.delta, &sid, trigger);
        let initial = self.def.initial_state().to_owned();
        self.advance(initial, Turn::Leave(event));
    }

    fn stop(&mut self, why: String, waiting: Option<(String, Wait)>) {
        self.note(why.clone());
        let widget = waiting.map(|(widget, wait)| {
            self.cancel_timer(&wait);
            widget
        });
        let from = widget.unwrap_or_else(|| self.def.initial_state().to_owned());
        self.record("stopped", &from, None);
        self.end(Ended::Stopped(why));
    }

    fn resume(&mut self, name: &str, wait: Wait, input: Input) {
        let def = self.def;
        let Some(state) = def.state(name) else {
            self.cancel_timer(&wait);
            self.fail(name, format!("revision {} has no widget {name:?}", self.execution.revision));
            return;
        };
        if self.is_too_old() {
            self.cancel_timer(&wait);
            self.fail(name, format!("older than {}", days(self.env.limits.life)));
            return;
        }
        if let Some(turn) = widget::resume(self, state, wait, input) {
            self.advance(name.to_owned(), turn);
        }
    }

    /// Leaves and enters widgets until one waits or the execution ends.
    fn advance(&mut self, mut name: String, mut turn: Turn) {
        loop {
            let (event, next) = match turn {
                Turn::Wait(wait) => {
                    self.execution.phase = Phase::Waiting { widget: name, wait };
                    return;
                }
                Turn::Fail(why) => return self.fail(&name, why),
                Turn::Leave(event) => (event, self.next_of(&name, event)),
                Turn::LeaveTo(event, next) => (event, next),
            };
            let Some(next) = next else {
                self.record(event, &name, None);
                return self.end(Ended::Completed);
            };
            if let Some(why) = self.limit_before(&name, &next) {
                return self.fail_on(event, &name, why);
            }
            self.record(event, &name, Some(&next));
            let def = self.def;
            let Some(state) = def.state(&next) else {
                let why = format!("revision {} has no widget {next:?}", self.execution.revision);
                return self.fail(&next, why);
            };
            turn = self.enter(state);
            name = next;
        }
    }

    fn enter(&mut self, state: &State) -> Turn {
        widget::enter(self, state)
    }

    fn next_of(&mut self, name: &str, event: &str) -> Option<String> {
        let def = self.def;
        let next = def.state(name).and_then(|state| state.next(event));
        if next.is_none() {
            self.note(format!("no transition for {event:?}"));
        }
        next.flatten().map(str::to_owned)
    }

    /// Counts the step that is about to be made; says which limit forbids it.
    fn limit_before(&mut self, from: &str, to: &str) -> Option<String> {
        let limits = &self.env.limits;
        if self.execution.steps.saturating_add(1) >= limits.steps {
            return Some(format!(
                "81000: more than {} steps; is there a loop without a question?",
                limits.steps
            ));
        }
        let streak = if from == to { self.execution.streak.saturating_add(1) } else { 1 };
        if streak > limits.same_widget {
            return Some(format!("the widget {to:?} ran {} times in a row", limits.same_widget));
        }
        self.execution.streak = streak;
        None
    }

    /// Without a sure clock nobody is too old.
    fn is_too_old(&mut self) -> bool {
        if !self.now.wall_sure {
            return false;
        }
        if !self.execution.started_sure {
            self.execution.started = self.now.wall;
            self.execution.started_sure = true;
        }
        self.now.wall.since(self.execution.started) >= self.env.limits.life
    }

    fn fail(&mut self, name: &str, why: String) {
        self.fail_on("failed", name, why);
    }

    fn fail_on(&mut self, event: &str, name: &str, why: String) {
        self.note(why.clone());
        self.record(event, name, None);
        self.end(Ended::Failed(why));
    }

    fn end(&mut self, ended: Ended) {
        self.execution.phase = Phase::Ended(ended.clone());
        self.effect(Effect::Ended(ended));
    }

    fn record(&mut self, event: &str, from: &str, to: Option<&str>) {
        self.execution.steps = self.execution.steps.saturating_add(1);
        let step = StepRecord {
            number: self.execution.steps,
            event: event.to_owned(),
            from: from.to_owned(),
            to: to.unwrap_or_default().to_owned(),
            kind: self.def.state(from).map(|s| s.type_name().to_owned()).unwrap_or_default(),
            delta: self.delta.take(),
            note: self.note.take(),
        };
        self.outcome.steps.push(step);
    }

    /// Adds to what the step log says of the widget that is being left.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        match &mut self.note {
            Some(note) => {
                note.push_str("; ");
                note.push_str(&text);
            }
            None => self.note = Some(text),
        }
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.outcome.effects.push(effect);
    }

    pub(super) fn render(&mut self, template: &Template) -> String {
        let (text, notes) = template.render(&self.execution.context, &self.templates);
        for note in notes {
            self.note(note);
        }
        text
    }

    pub(super) fn render_pairs(&mut self, pairs: &[(String, Template)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.clone(), self.render(value))).collect()
    }

    /// Sets `path` in the context and says so in the step's delta.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        self.delta.put(&path.join("."), &value, &self.execution.context);
        context::set(&mut self.execution.context, path, value);
    }

    /// Sets `path` to something that the step log already has under `elsewhere`.
    pub(super) fn set_same(&mut self, path: &[&str], value: Value, elsewhere: &str) {
        self.delta.same(&path.join("."), elsewhere);
        context::set(&mut self.execution.context, path, value);
    }

    /// Forgets what the widget put out when it ran before.
    pub(super) fn clear_outputs(&mut self, name: &str) {
        context::set(&mut self.execution.context, &["widgets", name], Value::Object(Map::new()));
    }

    /// Text at a JSON pointer of the context; blank when it is missing.
    pub(super) fn text_at(&self, pointer: &str) -> &str {
        self.execution.context.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The friendly name of a published flow, found by that name or by its FW sid.
    pub(super) fn published(&self, flow: &str) -> Option<String> {
        functions::published(self.env, flow)
    }

    /// The person.
    pub(super) fn contact(&self) -> &str {
        self.text_at("/contact/channel/address")
    }

    /// A number for a timer or a request.
    pub(super) fn next_id(&mut self) -> u64 {
        self.execution.last_id = self.execution.last_id.saturating_add(1);
        self.execution.last_id
    }

    /// An id that a replay makes again: of the execution and the step that entered the widget, in which there is
    /// at most one of a kind.
    pub(super) fn derive(&self, prefix: &str) -> String {
        derive_sid(prefix, &[self.execution.sid.as_str(), &self.execution.steps.to_string()])
    }

    pub(super) fn message_id(&self) -> MessageId {
        MessageId(self.derive("SM"))
    }

    pub(super) fn cancel_timer(&mut self, wait: &Wait) {
        if let Wait::Reply { stage: Stage::Accepted { timer }, .. } = wait {
            self.effect(Effect::CancelTimer { id: *timer });
        }
    }

    /// Stays where it is, with another wait.
    pub(super) fn stay(&mut self, state: &State, wait: Wait) {
        self.execution.phase = Phase::Waiting { widget: state.name().to_owned(), wait };
    }
}

fn days(life: std::time::Duration) -> String {
    let days = life.as_secs() / 86_400;
    if days > 0 { format!("{days} days") } else { format!("{} seconds", life.as_secs()) }
}
