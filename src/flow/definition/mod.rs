//! Studio JSON to a checked definition, or all its problems.
//!
//! Reading is lenient where real exports differ from the schema (`3600` and `"3600"`, unknown keys) and strict
//! where Twilio refuses to publish. Owns no execution: what a widget does is in `widget`.

mod graph;
mod lint;
mod read;
mod schema;

pub use lint::lint;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::split::Condition;
use super::template::Template;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition cannot be published.
    Error,
    /// It can, and somebody should look.
    Warning,
}

/// One fault of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// As Twilio's FlowValidate: `#/states/3/properties/body`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Error or warning.
    pub severity: Severity,
}

/// A flow that can run.
#[derive(Clone, Debug)]
pub struct Definition {
    description: String,
    states: Vec<State>,
    by_name: BTreeMap<String, usize>,
    initial: String,
}

/// One widget.
#[derive(Clone, Debug)]
pub struct State {
    name: String,
    type_name: String,
    kind: StateKind,
    transitions: Vec<Transition>,
}

/// What a widget is told to do. Text is Liquid.
#[derive(Clone, Debug)]
pub enum StateKind {
    /// Where executions begin.
    Trigger,
    /// `send-message`.
    SendMessage {
        /// Whom to; the contact as a rule.
        to: Template,
        /// The text; `None` when the message is a content template.
        body: Option<Template>,
        /// What goes with it, or in its place.
        more: Enclosed,
    },
    /// `send-and-wait-for-reply`.
    SendAndWait {
        /// The text; `None` when the message is a content template.
        body: Option<Template>,
        /// What goes with it, or in its place.
        more: Enclosed,
        /// Seconds, whole or fractional; blank is 3,600.
        timeout: Template,
    },
    /// `split-based-on`: its conditions are on its transitions.
    Split,
    /// `set-variables`.
    SetVariables(Vec<Variable>),
    /// `make-http-request`.
    HttpRequest(HttpRequest),
    /// `run-function`.
    RunFunction {
        /// Its last path segment names the function.
        url: Template,
        /// Key and value.
        parameters: Vec<(String, Template)>,
    },
    /// `run-subflow`.
    RunSubflow {
        /// Friendly name or FW sid.
        flow: String,
        /// Key and value.
        parameters: Vec<(String, Template)>,
    },
    /// A type that is valid in Studio and that a text line cannot carry out.
    Other {
        /// The event that it takes then.
        failure: Option<&'static str>,
    },
}

/// What goes with a message's text, or in its place.
#[derive(Clone, Debug)]
pub struct Enclosed {
    /// `media_url`: the public address of a file; blank is none.
    pub(crate) media_url: Template,
    /// `content_sid` and `content_variables` of a content template.
    pub(crate) content: Option<(Template, Vec<(String, Template)>)>,
}

/// What `make-http-request` sends.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub(crate) method: String,
    pub(crate) url: Template,
    pub(crate) content_type: String,
    pub(crate) body: Template,
    pub(crate) parameters: Vec<(String, Template)>,
}

/// One line of `set-variables`.
#[derive(Clone, Debug)]
pub struct Variable {
    pub(crate) key: String,
    pub(crate) value: Template,
    pub(crate) parse_as_json: bool,
    /// `"type": "string"`: no cast to a number.
    pub(crate) keep_text: bool,
}

/// One way out of a widget.
#[derive(Clone, Debug)]
pub struct Transition {
    pub(crate) event: String,
    /// `None` ends the execution.
    pub(crate) next: Option<String>,
    /// Of a split: all must hold.
    pub(crate) conditions: Vec<Condition>,
}

impl Definition {
    /// Parses and checks. Warnings come beside a definition, errors instead of it.
    ///
    /// # Errors
    /// All problems, errors and warnings, in the order of the file.
    pub fn parse(json: &Value) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        read::definition(json)
    }

    /// The flow's description; empty when it has none.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its widgets, in the order of the file.
    #[must_use]
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// Flows that this one starts by name and that are not published: a warning each. `published` is
    /// [`Env::flows`](super::Env::flows); names that Liquid makes are only known when it runs.
    #[must_use]
    pub fn unknown_flows(&self, published: &BTreeMap<String, String>) -> Vec<Problem> {
        let known = |name: &str| published.contains_key(name) || published.values().any(|sid| sid == name);
        let mut problems = Problems::default();
        for (at, state) in self.states.iter().enumerate() {
            let (name, path) = match &state.kind {
                StateKind::RunSubflow { flow, .. } => (flow.trim(), "flow_sid".to_owned()),
                StateKind::RunFunction { url, parameters }
                    if super::functions::name_in(url.source()) == "triggerFlowWithContext" =>
                {
                    let target = parameters.iter().enumerate().find(|(_, (key, _))| key == "targetFlow");
                    let Some((nth, (_, name))) = target else { continue };
                    (name.source().trim(), format!("parameters/{nth}/value"))
                }
                StateKind::Trigger
                | StateKind::SendMessage { .. }
                | StateKind::SendAndWait { .. }
                | StateKind::Split
                | StateKind::SetVariables(_)
                | StateKind::HttpRequest(_)
                | StateKind::RunFunction { .. }
                | StateKind::Other { .. } => continue,
            };
            if !Template::is_dynamic(name) && !known(name) {
                let path = format!("#/states/{at}/properties/{path}");
                problems.warning(Some(at), path, format!("no published flow is named {name:?}"));
            }
        }
        problems.into_vec()
    }

    /// The widget of that name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&State> {
        self.by_name.get(name).and_then(|&at| self.states.get(at))
    }

    /// Name of the trigger.
    #[must_use]
    pub fn initial_state(&self) -> &str {
        &self.initial
    }
}

impl State {
    /// Unique in its flow: `widgets.NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As in the JSON: `send-message`.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> &StateKind {
        &self.kind
    }

    /// Its ways out, in the order of the file.
    #[must_use]
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }

    /// Where `event` leads: `None` when there is no such transition, `Some(None)` when it ends the execution.
    pub(crate) fn next(&self, event: &str) -> Option<Option<&str>> {
        self.transitions.iter().find(|t| t.event == event).map(|t| t.next.as_deref())
    }
}

impl Transition {
    /// The event that it answers to.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The widget that it leads to; `None` ends the execution.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// Problems as they are found, each with the state that it belongs to, so that they come out in the file's order.
#[derive(Default)]
struct Problems {
    found: Vec<(usize, Problem)>,
    /// Widgets that templates name: state, path, name. Checked when all names are known.
    mentions: Vec<(usize, String, String)>,
}

impl Problems {
    fn add(&mut self, state: Option<usize>, severity: Severity, path: String, message: impl Into<String>) {
        let order = state.map_or(0, |at| at.saturating_add(1));
        self.found.push((order, Problem { path, message: message.into(), severity }));
    }

    fn error(&mut self, state: Option<usize>, path: String, message: impl Into<String>) {
        self.add(state, Severity::Error, path, message);
    }

    fn warning(&mut self, state: Option<usize>, path: String, message: impl Into<String>) {
        self.add(state, Severity::Warning, path, message);
    }

    fn has_errors(&self) -> bool {
        self.found.iter().any(|(_, p)| p.severity == Severity::Error)
    }

    fn into_vec(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(order, _)| *order);
        self.found.into_iter().map(|(_, problem)| problem).collect()
    }
}
