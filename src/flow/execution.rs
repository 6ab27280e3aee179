//! One run of a flow: its state, its serialised form, and the door through which inputs come.
//!
//! # Serialised form
//! JSON, version 1: `{"version", "sid", "flow", "flow_sid", "revision", "started", "started_sure", "steps",
//! "streak", "last_id", "phase", "context", "big"}`. `context` is the templates' world without `env`; a value of
//! more than a kilobyte at its third level (`widgets.NAME.parsed`, `flow.variables.NAME`) stands in `big` once,
//! however often the context has it, and `context` says `{"$big": index}` (or `{"$big_text": index}` where the
//! context has the value's JSON text as a string). Fields may be added with a default; a changed meaning gets a
//! new version, and an unknown version is refused.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::run::Run;
use super::stored::Stored;
use super::{Definition, Env, Input, Outcome};
use crate::types::{ExecutionSid, MessageId, Now, OrderId, Wall};

/// Studio's limits (Studio FAQ), as settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// 1,000: the execution ends with 81000.
    pub steps: u32,
    /// 10: the same widget in a row.
    pub same_widget: u32,
    /// 30 days.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 1000, same_widget: 10, life: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A transition led nowhere: the normal end.
    Completed,
    /// Stopped from outside: why.
    Stopped(String),
    /// A limit or an impossible state: why.
    Failed(String),
}

/// What an execution can hear now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// Nothing of a person: an HTTP answer, a subflow, an order.
    Outside,
    /// The prompt is not with the line yet: a reply now is early.
    Handing(MessageId),
    /// A reply.
    Reply {
        /// The prompt.
        prompt: MessageId,
        /// Widget's name. One that begins with `closing` is a courtesy menu after the work is done: what waits
        /// its turn may take the foreground from it.
        widget: String,
    },
    /// Over.
    Ended,
}

/// Where an execution stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// [`Input::Start`] has not come.
    Fresh,
    /// In a widget that needs something from outside.
    Waiting {
        /// Its name.
        widget: String,
        /// For what.
        wait: Wait,
    },
    /// Over.
    Ended(Ended),
}

/// What a widget waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wait {
    /// A reply to a prompt.
    Reply {
        /// The prompt.
        prompt: MessageId,
        /// How far the prompt came.
        stage: Stage,
        /// How long after its acceptance silence counts as such. Milliseconds.
        timeout_ms: u64,
    },
    /// [`Input::HttpDone`] with this id.
    Http(u64),
    /// [`Input::OrderDone`].
    Order(OrderId),
    /// [`Input::SubflowDone`].
    Subflow(ExecutionSid),
}

/// How far a prompt came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// A row in the box.
    Queued,
    /// With the line: a reply is an answer.
    Handed,
    /// Accepted by the line: this timer runs.
    Accepted {
        /// Its id.
        timer: u64,
    },
}

/// The whole state of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Execution {
    pub(super) sid: ExecutionSid,
    pub(super) flow: String,
    pub(super) flow_sid: String,
    pub(super) revision: u32,
    /// For the 30 days.
    pub(super) started: Wall,
    pub(super) started_sure: bool,
    /// Steps taken.
    pub(super) steps: u32,
    /// How often the current widget was entered in a row.
    pub(super) streak: u32,
    /// The last timer's or request's id.
    pub(super) last_id: u64,
    pub(super) phase: Phase,
    /// `trigger`, `contact`, `flow` and `widgets`; `env` only while an input is handled.
    pub(super) context: Value,
}

impl Execution {
    /// A run that has not started: hand it [`Input::Start`] first. `flow` is the friendly name, `revision` the
    /// one that it is pinned to.
    #[must_use]
    pub fn new(sid: ExecutionSid, flow: &str, flow_sid: &str, revision: u32, now: Now) -> Self {
        let context = json!({
            "trigger": {},
            "contact": {"channel": {}},
            "flow": {
                "sid": sid.as_str(),
                "flow_sid": flow_sid,
                "channel": {},
                "data": {},
                "variables": {},
            },
            "widgets": {},
        });
        Self {
            sid,
            flow: flow.to_owned(),
            flow_sid: flow_sid.to_owned(),
            revision,
            started: now.wall,
            started_sure: now.wall_sure,
            steps: 0,
            streak: 0,
            last_id: 0,
            phase: Phase::Fresh,
            context,
        }
    }

    /// Runs until the execution waits or ends. `def` must be the revision that the execution is pinned to.
    ///
    /// Pure: the same state, definition, input, time and surroundings give the same outcome. An input that the
    /// execution does not await changes nothing. [`Effect::Ended`](super::Effect::Ended) comes exactly once.
    pub fn handle(&mut self, def: &Definition, input: Input, now: Now, env: &Env) -> Outcome {
        if self.is_ended() {
            return Outcome::default();
        }
        Run::new(self, def, now, env).handle(input)
    }

    /// What it can hear now.
    #[must_use]
    pub fn awaiting(&self) -> Awaiting {
        match &self.phase {
            Phase::Ended(_) => Awaiting::Ended,
            Phase::Fresh => Awaiting::Outside,
            Phase::Waiting { widget, wait } => match wait {
                Wait::Reply { prompt, stage: Stage::Queued, .. } => Awaiting::Handing(prompt.clone()),
                Wait::Reply { prompt, stage: Stage::Handed | Stage::Accepted { .. }, .. } => {
                    Awaiting::Reply { prompt: prompt.clone(), widget: widget.clone() }
                }
                Wait::Http(_) | Wait::Order(_) | Wait::Subflow(_) => Awaiting::Outside,
            },
        }
    }

    /// True after [`Effect::Ended`](super::Effect::Ended).
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended),
            Phase::Fresh | Phase::Waiting { .. } => None,
        }
    }

    /// The widget that it waits in.
    #[must_use]
    pub fn widget(&self) -> Option<&str> {
        match &self.phase {
            Phase::Waiting { widget, .. } => Some(widget),
            Phase::Fresh | Phase::Ended(_) => None,
        }
    }

    /// What templates see: `trigger`, `contact`, `flow`, `widgets`.
    #[must_use]
    pub fn context(&self) -> &Value {
        &self.context
    }

    /// `flow.variables`: what a parent hears in [`Input::SubflowDone`].
    #[must_use]
    pub fn variables(&self) -> Map<String, Value> {
        self.context.pointer("/flow/variables").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// True when a text of the person's began it, or answered it.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        let widgets = self.context.get("widgets").and_then(Value::as_object);
        self.context.pointer("/trigger/message").is_some_and(|m| m != &json!({}))
            || widgets.is_some_and(|all| all.values().any(|w| w.get("inbound").is_some()))
    }

    /// Its id.
    #[must_use]
    pub fn sid(&self) -> &ExecutionSid {
        &self.sid
    }

    /// The execution whose `run-subflow` started it.
    #[must_use]
    pub fn parent(&self) -> Option<ExecutionSid> {
        let sid = self.context.pointer("/trigger/parent/execution_sid").and_then(Value::as_str)?;
        Some(ExecutionSid::from(sid))
    }

    /// Friendly name of its flow.
    #[must_use]
    pub fn flow(&self) -> &str {
        &self.flow
    }

    /// FW sid of its flow.
    #[must_use]
    pub fn flow_sid(&self) -> &str {
        &self.flow_sid
    }

    /// The revision it is pinned to.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }
}
