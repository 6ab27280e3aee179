//! Twilio Studio flow definitions and their executions, as a pure machine.
//!
//! A [`Definition`] is parsed once ([`Definition::parse`] gives it or *all* its problems). An [`Execution`] is
//! the whole state of one run: serialisable, pinned to the revision that it started on. [`Execution::handle`]
//! takes one [`Input`] with its time and runs every widget that needs nothing from outside, until the execution
//! waits or ends; it answers with the effects and the steps. The caller commits state, steps and effects in one
//! transaction, then carries the effects out; their answers come back as inputs.
//!
//! Deliberately absent: sockets, SQL, clocks, routing of replies between executions (the conversation in
//! `messaging` does that), retries of what left the box (`outbox` does that).

mod context;
mod definition;
mod execution;
mod functions;
pub mod lizzy;
mod offered;
mod run;
mod split;
mod stored;
mod template;
#[cfg(test)]
mod tests;
mod widget;

pub use definition::{
    Definition, Enclosed, HttpRequest, Problem, Severity, State, StateKind, Transition, Variable, lint,
};
pub use execution::{Awaiting, Ended, Execution, Limits};
pub use offered::Offered;
pub use split::{Condition, Operator};
pub use template::Template;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::types::OrderKind;
use crate::types::{ExecutionSid, MessageId, OrderId};

/// What surrounds an execution: read-only, the same for all executions of a shop at one moment.
#[derive(Clone, Debug)]
pub struct Env {
    /// `env.*` in templates: `LIZZY_API_URL`, `SHOP_NAME`, `SHOP_PHONE`, `SILENCE_SECONDS`, `EMOJI` …
    pub vars: Map<String, Value>,
    /// The shop's zone: `date` filters, "tomorrow", validated dates.
    pub zone: jiff::tz::TimeZone,
    /// False when the last thing that the dealer's API did was not to answer: texts then tell the truth.
    pub dealer_reachable: bool,
    /// True when somebody can be handed a conversation: `handToPeople` fails otherwise, and nobody is promised an
    /// answer that nobody will write.
    pub people: bool,
    /// How long `createPartsOrderAsync` waits for the order's outcome before it says `pending`.
    pub order_wait: Duration,
    /// Friendly name to FW sid of the published flows: what `triggerFlowWithContext` and `run-subflow` may name.
    pub flows: BTreeMap<String, String>,
    /// Limits of Studio, as settings.
    pub limits: Limits,
}

/// What started an execution; fills `trigger.*`, `flow.data`, `contact.channel.address`, `flow.channel.address`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A text: event `incomingMessage`. Verbatim webhook parameters (From, To, Body, MessageSid, …).
    Message(Map<String, Value>),
    /// By program (`triggerFlowWithContext`, later REST): event `incomingRequest`.
    Request {
        /// The shop's number.
        from: String,
        /// The person's number.
        to: String,
        /// `trigger.request.parameters.*`, `flow.data.*`, and (the guide's name) `trigger.execution.*`.
        parameters: Map<String, Value>,
    },
    /// By a `run-subflow` widget: event `incomingParent`.
    Parent {
        /// `trigger.parent.parameters`.
        parameters: Map<String, Value>,
        /// The parent's execution.
        execution: ExecutionSid,
        /// The parent's flow.
        flow: String,
        /// The shop's number.
        from: String,
        /// The person's number.
        to: String,
    },
}

/// What happened to an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// First input of every execution.
    Start(Trigger),
    /// The person answered the waiting prompt. Verbatim webhook parameters: `widgets.NAME.inbound.*`.
    Reply(Map<String, Value>),
    /// The waiting prompt was handed to the line: from now on a reply is an answer to it.
    PromptHanded(MessageId),
    /// The line accepted the prompt (or it is unknown whether it did): the wait begins.
    PromptAccepted(MessageId),
    /// The prompt will never be sent: `deliveryFailure`.
    PromptFailed(MessageId, String),
    /// The timer that [`Effect::SetTimer`] asked for. Ignored when `id` is not the current wait's.
    TimerFired(u64),
    /// The answer to [`Effect::Http`]. Ignored when `id` is not awaited.
    HttpDone(u64, HttpAnswer),
    /// The outcome of an order that [`Effect::PlaceOrder`] asked to hear of. Ignored when not awaited.
    OrderDone(OrderId, OrderAnswer),
    /// A subflow ended. Ignored when not awaited.
    SubflowDone(ExecutionSid, Ended, Map<String, Value>),
    /// The daemon started again: a request that was under way is made again when its method is safe, and has failed
    /// otherwise. Everything else that is awaited is durable and comes by itself.
    Restarted,
    /// End now: the person said MENU or STOP, or staff stopped it.
    Stop(String),
}

/// What a `make-http-request` got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpAnswer {
    /// Any status; the widget decides between `success` (2xx) and `failed`.
    Answered {
        /// HTTP status.
        status: u16,
        /// Media type without parameters, lower case.
        content_type: String,
        /// Body as text.
        body: String,
        /// `Some(age)` when it was served from the cache: `widgets.NAME.age_seconds`, and `stale` is true when
        /// the dealer could not confirm it.
        age: Option<Duration>,
        /// True when older than the freshness setting and served because nothing better could be had.
        stale: bool,
    },
    /// No usable answer.
    Failed {
        /// For the step log.
        why: String,
    },
}

/// How an order stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderAnswer {
    /// The dealer confirmed it. The dealer's answer, whole.
    Confirmed(Map<String, Value>),
    /// The dealer refused it (4xx): why, for the log.
    Refused(String),
    /// Not known yet: still queued, or `unknown`. The follow-up text will tell.
    Pending,
}

/// What an execution wants done. All are committed with the state; `Http` with a safe method is repeated after a
/// crash, the others are rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Text the person. `sent` was already taken: the row is the acceptance.
    Send {
        /// Derived from execution and step: the same after a replay.
        id: MessageId,
        /// Rendered; may be empty when there is something else.
        body: String,
        /// Public addresses of files to go with it.
        media: Vec<String>,
        /// A content template in place of the body: `HX...` and its variables.
        template: Option<(String, Map<String, Value>)>,
        /// Only when the widget names somebody else than the contact.
        to: Option<String>,
        /// True when a reply is awaited ([`Input::PromptHanded`] and [`Input::PromptAccepted`] are wanted).
        prompt: bool,
    },
    /// Fire [`Input::TimerFired`] after this long. A new id each time.
    SetTimer {
        /// Numbered per execution.
        id: u64,
        /// From now.
        after: Duration,
    },
    /// Forget the timer.
    CancelTimer {
        /// As set.
        id: u64,
    },
    /// Make an HTTP request and answer with [`Input::HttpDone`].
    Http {
        /// Numbered per execution.
        id: u64,
        /// GET or POST.
        method: String,
        /// Rendered.
        url: String,
        /// Empty when there is no body.
        content_type: String,
        /// Rendered.
        body: String,
    },
    /// Put an order into the outbox.
    PlaceOrder {
        /// Derived from execution and step.
        id: OrderId,
        /// Endpoint.
        kind: OrderKind,
        /// The dealer's body, whole, without `client_reference`.
        body: Map<String, Value>,
        /// What the follow-up text needs: `equipmentName`, `description`, `partName`, `quantity`, `customerId` …
        about: Map<String, Value>,
        /// True when [`Input::OrderDone`] is awaited within [`Env::order_wait`] (the caller answers `Pending`
        /// then); the follow-up text is left out when the execution heard the outcome itself.
        wait: bool,
    },
    /// Start another flow for the same person; it takes the foreground from this execution.
    StartFlow {
        /// Derived from execution and step.
        sid: ExecutionSid,
        /// Friendly name.
        flow: String,
        /// `trigger.request.parameters`.
        parameters: Map<String, Value>,
    },
    /// Start a subflow; answer with [`Input::SubflowDone`]. It has the foreground until it ends.
    StartSubflow {
        /// Derived from execution and step.
        sid: ExecutionSid,
        /// Friendly name or FW sid.
        flow: String,
        /// `trigger.parent.parameters`.
        parameters: Map<String, Value>,
    },
    /// Hand the conversation to people ("Text Shop"): relayed to staff until somebody ends it.
    HandToPeople {
        /// What the staff are told: equipment, problem, order.
        note: String,
    },
    /// The execution is over.
    Ended(Ended),
}

/// One line of the step log: Studio's Step resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// From 1, per execution.
    pub number: u32,
    /// The event that caused the transition.
    pub event: String,
    /// Widget left; `Trigger` first.
    pub from: String,
    /// Widget entered; empty at the end.
    pub to: String,
    /// Type of the widget left.
    pub kind: String,
    /// What the step changed in the context: dotted path to new value.
    pub delta: Map<String, Value>,
    /// Why a branch was taken against expectation: limits, refused prompts, lint at run time.
    pub note: Option<String>,
}

/// What [`Execution::handle`] answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// In order.
    pub effects: Vec<Effect>,
    /// In order.
    pub steps: Vec<StepRecord>,
}
