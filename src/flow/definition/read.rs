//! JSON values to states, collecting every fault on the way. A state that cannot be read whole still takes part
//! in the checks of the graph, so that one fault does not hide the next.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{self, Kind, Spec};
use super::{
    Definition, Enclosed, HttpRequest, Problem, Problems, State, StateKind, Transition, Variable, graph,
};
use crate::flow::split::{Condition, Operator};
use crate::flow::template::Template;

/// The published schema says 1,000, the FAQ 2,000 with subflows; the larger one is taken.
const MAX_STATES: usize = 2000;

pub(super) fn definition(json: &Value) -> Result<(Definition, Vec<Problem>), Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(top) = json.as_object() else {
        problems.error(None, "#".into(), format!("{} found, object expected", type_of(json)));
        return Err(problems.into_vec());
    };
    if let Some(message) = not_a_definition(top) {
        problems.error(None, "#".into(), message);
        return Err(problems.into_vec());
    }
    let states = states(top, &mut problems);
    let initial = initial_state(top, &mut problems);
    graph::check(&states, initial.as_deref(), &mut problems);
    if problems.has_errors() {
        return Err(problems.into_vec());
    }
    let by_name: BTreeMap<String, usize> =
        states.iter().enumerate().map(|(at, s)| (s.name.clone(), at)).collect();
    let definition = Definition {
        description: top.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        states,
        by_name,
        initial: initial.unwrap_or_default(),
    };
    Ok((definition, problems.into_vec()))
}

/// A file that is something else than a v2 definition: what it is and what to do.
fn not_a_definition(top: &Map<String, Value>) -> Option<&'static str> {
    if !top.contains_key("states") && top.get("definition").is_some_and(Value::is_object) {
        return Some("this is a Flow resource of the REST API; take the value of its `definition`");
    }
    let states = top.get("states")?.as_array()?;
    let old = |state: &Value| {
        let sid = state.get("sid").and_then(Value::as_str).unwrap_or_default();
        let kind = state.get("type").and_then(Value::as_str).unwrap_or_default();
        sid.starts_with("FF")
            || matches!(kind, "InitialState" | "MessagePrompt" | "Message" | "Branch" | "Menu")
    };
    (!top.contains_key("initial_state") && states.iter().any(old)).then_some(
        "this is an export in Studio's first format (v1), which names widgets by FF sids; open the flow in the \
         Studio console, publish it once and export it again to get the v2 format",
    )
}

fn states(top: &Map<String, Value>, problems: &mut Problems) -> Vec<State> {
    let Some(value) = top.get("states") else {
        problems.error(None, "#/states".into(), "is missing: a flow needs an array of states");
        return Vec::new();
    };
    let Some(list) = value.as_array() else {
        problems.error(None, "#/states".into(), format!("{} found, array expected", type_of(value)));
        return Vec::new();
    };
    if list.is_empty() {
        problems.error(None, "#/states".into(), "is empty: a flow needs at least its trigger");
    }
    if list.len() > MAX_STATES {
        let message = format!("{} states found, at most {MAX_STATES} are allowed", list.len());
        problems.error(None, "#/states".into(), message);
    }
    list.iter().enumerate().map(|(at, value)| Reader { at, problems }.state(value)).collect()
}

fn initial_state(top: &Map<String, Value>, problems: &mut Problems) -> Option<String> {
    let path = || "#/initial_state".to_owned();
    match top.get("initial_state") {
        Some(Value::String(name)) if !name.is_empty() => return Some(name.clone()),
        Some(Value::String(_)) => problems.error(None, path(), "is empty: name the trigger"),
        Some(other) => problems.error(None, path(), format!("{} found, string expected", type_of(other))),
        None => problems.error(None, path(), "is missing: name the trigger, as a rule \"Trigger\""),
    }
    None
}

/// Reads one state and files its problems.
struct Reader<'a> {
    at: usize,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn path(&self, rest: &str) -> String {
        if rest.is_empty() { format!("#/states/{}", self.at) } else { format!("#/states/{}/{rest}", self.at) }
    }

    fn error(&mut self, rest: &str, message: impl Into<String>) {
        let path = self.path(rest);
        self.problems.error(Some(self.at), path, message);
    }

    fn warning(&mut self, rest: &str, message: impl Into<String>) {
        let path = self.path(rest);
        self.problems.warning(Some(self.at), path, message);
    }

    fn state(mut self, value: &Value) -> State {
        let empty = Map::new();
        let object = value.as_object().unwrap_or_else(|| {
            self.error("", format!("{} found, object expected", type_of(value)));
            &empty
        });
        if object.is_empty() && value.is_object() {
            self.error("", "is empty: a state needs name, type, transitions and properties");
        }
        let known = !object.is_empty();
        let name = if known { self.text_key(object, "name") } else { String::new() };
        let type_name = if known { self.text_key(object, "type") } else { String::new() };
        if name.chars().any(|c| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')) {
            let message = format!("{name:?} cannot be named in Liquid; use letters, digits, _ and -");
            self.warning("name", message);
        }
        let spec = schema::spec(&type_name);
        if spec.is_none() && !type_name.is_empty() {
            let hint = schema::nearest(&type_name).map(|n| format!("; did you mean \"{n}\"?"));
            self.error("type", format!("unknown widget type {type_name:?}{}", hint.unwrap_or_default()));
        }
        let properties = match object.get("properties") {
            Some(Value::Object(map)) => map,
            None | Some(Value::Null) => &empty,
            Some(other) => {
                self.error("properties", format!("{} found, object expected", type_of(other)));
                &empty
            }
        };
        if let Some(spec) = spec {
            self.check_properties(spec, properties);
        }
        let kind = self.kind(&type_name, spec, properties);
        let transitions = self.transitions(object, spec);
        State { name, type_name, kind, transitions }
    }

    /// A required, non-empty string of the state itself.
    fn text_key(&mut self, object: &Map<String, Value>, key: &str) -> String {
        match object.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => return text.clone(),
            Some(Value::String(_)) => self.error(key, "is empty"),
            Some(other) => self.error(key, format!("{} found, string expected", type_of(other))),
            None => self.error(key, "is missing but required"),
        }
        String::new()
    }

    fn check_properties(&mut self, spec: &'static Spec, properties: &Map<String, Value>) {
        for property in spec.properties {
            let path = format!("properties/{}", property.key);
            let value = properties.get(property.key).unwrap_or(&Value::Null);
            if value.is_null() {
                if property.required {
                    self.departure(spec, &path, "is missing but required");
                }
                continue;
            }
            if property.required && value.as_str().is_some_and(|t| t.trim().is_empty()) {
                self.departure(spec, &path, "is empty but required");
            } else if fits(property.kind, value) {
                self.check_liquid(&path, value);
            } else {
                let message = format!("{} found, {} expected", type_of(value), property.kind.name());
                self.departure(spec, &path, message);
            }
        }
        if matches!(spec.name, "send-message" | "send-and-wait-for-reply") {
            self.check_message(properties);
        }
    }

    fn check_message(&mut self, properties: &Map<String, Value>) {
        let text = |key: &str| properties.get(key).and_then(Value::as_str).unwrap_or_default().trim();
        let has_media = !text("media_url").is_empty();
        if is_content_template(properties) {
            let message =
                "content templates go by a Twilio line; with a SIM alone the widget takes its failure event";
            self.warning("properties/message_type", message);
            if ["content_sid", "content_template_sid"].iter().all(|key| text(key).is_empty()) {
                self.error("properties/content_sid", "is missing: which content template?");
            }
        } else if has_media && text("body").is_empty() {
            // A picture needs no words.
        } else if matches!(properties.get("body"), None | Some(Value::Null)) {
            self.error("properties/body", "is missing but required");
        } else if properties.get("body").is_some_and(Value::is_string) && text("body").is_empty() {
            self.error("properties/body", "is empty: a message needs a text");
        }
        if has_media {
            let message = "a SIM's texts carry no media; there the address is sent as part of the body";
            self.warning("properties/media_url", message);
        }
    }

    /// A departure from the table: an error for what this box carries out.
    fn departure(&mut self, spec: &Spec, rest: &str, message: impl Into<String>) {
        if spec.is_carried_out() { self.error(rest, message) } else { self.warning(rest, message) }
    }

    fn check_liquid(&mut self, path: &str, value: &Value) {
        let Some(source) = value.as_str() else { return };
        for name in Template::widgets(source) {
            let path = self.path(path);
            self.problems.mentions.push((self.at, path, name));
        }
        for (severity, message) in Template::problems(source) {
            let path = self.path(path);
            self.problems.add(Some(self.at), severity, path, message);
        }
    }

    fn kind(
        &mut self,
        type_name: &str,
        spec: Option<&'static Spec>,
        properties: &Map<String, Value>,
    ) -> StateKind {
        let template = |key: &str| Template::new(scalar_text(properties.get(key)));
        let body = || (!is_content_template(properties)).then(|| template("body"));
        match type_name {
            "trigger" => StateKind::Trigger,
            "send-message" => {
                let more = self.enclosed(properties);
                StateKind::SendMessage { to: template("to"), body: body(), more }
            }
            "send-and-wait-for-reply" => {
                self.check_timeout(properties);
                let more = self.enclosed(properties);
                StateKind::SendAndWait { body: body(), more, timeout: template("timeout") }
            }
            "split-based-on" => StateKind::Split,
            "set-variables" => StateKind::SetVariables(self.variables(properties)),
            "make-http-request" => StateKind::HttpRequest(self.http(properties)),
            "run-function" => StateKind::RunFunction {
                url: template("url"),
                parameters: self.pairs(properties, "parameters"),
            },
            "run-subflow" => {
                let flow = scalar_text(properties.get("flow_sid"));
                if Template::is_dynamic(&flow) {
                    self.error("properties/flow_sid", "is Liquid; a subflow is named literally");
                }
                StateKind::RunSubflow { flow, parameters: self.pairs(properties, "parameters") }
            }
            _ => StateKind::Other { failure: spec.and_then(|s| s.failure) },
        }
    }

    fn enclosed(&mut self, properties: &Map<String, Value>) -> Enclosed {
        let text = |key: &str| scalar_text(properties.get(key));
        let content = is_content_template(properties).then(|| {
            let sid = [text("content_sid"), text("content_template_sid")];
            let sid = sid.into_iter().find(|sid| !sid.trim().is_empty()).unwrap_or_default();
            let mut variables = self.pairs(properties, "content_variables");
            for (name, _) in &mut variables {
                // Studio writes `{{1}}`, the API takes `1`.
                *name = name.trim().trim_start_matches("{{").trim_end_matches("}}").trim().to_owned();
            }
            (Template::new(sid), variables)
        });
        Enclosed { media_url: Template::new(text("media_url")), content }
    }

    fn check_timeout(&mut self, properties: &Map<String, Value>) {
        let text = scalar_text(properties.get("timeout"));
        let text = text.trim();
        if text.is_empty() || Template::is_dynamic(text) {
            return;
        }
        match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {}
            _ => self.error("properties/timeout", format!("{text:?} is no number of seconds")),
        }
    }

    fn http(&mut self, properties: &Map<String, Value>) -> HttpRequest {
        let text = |key: &str| scalar_text(properties.get(key));
        let method = text("method").to_uppercase();
        if !matches!(method.as_str(), "GET" | "POST" | "") {
            self.error("properties/method", format!("{method:?} found, GET or POST expected"));
        }
        if properties.get("add_twilio_auth").and_then(Value::as_bool) == Some(true) {
            let message = "Twilio's credentials are not added to requests that leave the box";
            self.warning("properties/add_twilio_auth", message);
        }
        HttpRequest {
            method,
            url: Template::new(text("url")),
            content_type: text("content_type"),
            body: Template::new(text("body")),
            parameters: self.pairs(properties, "parameters"),
        }
    }

    fn variables(&mut self, properties: &Map<String, Value>) -> Vec<Variable> {
        let list = properties.get("variables").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut variables = Vec::with_capacity(list.len());
        for (at, item) in list.iter().enumerate() {
            let Some((key, value)) = self.pair(&format!("properties/variables/{at}"), item) else { continue };
            variables.push(Variable {
                key,
                value,
                parse_as_json: is_true(item.get("parse_as_json")),
                keep_text: item.get("type").and_then(Value::as_str) == Some("string"),
            });
        }
        variables
    }

    fn pairs(&mut self, properties: &Map<String, Value>, key: &str) -> Vec<(String, Template)> {
        let list = properties.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter()
            .enumerate()
            .filter_map(|(at, item)| self.pair(&format!("properties/{key}/{at}"), item))
            .collect()
    }

    fn pair(&mut self, path: &str, item: &Value) -> Option<(String, Template)> {
        let Some(object) = item.as_object() else {
            self.error(path, format!("{} found, object expected", type_of(item)));
            return None;
        };
        let key = match object.get("key") {
            Some(Value::String(key)) if !key.trim().is_empty() => key.trim().to_owned(),
            Some(Value::String(_)) | None => {
                self.error(&format!("{path}/key"), "is missing but required");
                return None;
            }
            Some(other) => {
                self.error(&format!("{path}/key"), format!("{} found, string expected", type_of(other)));
                return None;
            }
        };
        let value = object.get("value").unwrap_or(&Value::Null);
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            self.error(&format!("{path}/value"), format!("{} found, string expected", type_of(value)));
        }
        self.check_liquid(&format!("{path}/value"), value);
        Some((key, Template::new(scalar_text(Some(value)))))
    }

    fn transitions(&mut self, object: &Map<String, Value>, spec: Option<&'static Spec>) -> Vec<Transition> {
        let list = match object.get("transitions") {
            Some(Value::Array(list)) => list.as_slice(),
            None | Some(Value::Null) => &[],
            Some(other) => {
                self.error("transitions", format!("{} found, array expected", type_of(other)));
                &[]
            }
        };
        let mut transitions: Vec<Transition> = Vec::with_capacity(list.len());
        for (at, value) in list.iter().enumerate() {
            let path = format!("transitions/{at}");
            let Some(map) = value.as_object() else {
                self.error(&path, format!("{} found, object expected", type_of(value)));
                continue;
            };
            let event = self.text_key_at(map, &path, "event");
            if let Some(spec) = spec.filter(|s| !event.is_empty() && !s.events.contains(&event.as_str())) {
                let message =
                    format!("a {} has no event {event:?}, only {}", spec.name, spec.events.join(", "));
                self.departure(spec, &format!("{path}/event"), message);
            }
            if event != "match" && transitions.iter().any(|t| t.event == event) && !event.is_empty() {
                self.warning(&path, format!("is the second for {event:?} and never taken"));
            }
            let next = match map.get("next") {
                None | Some(Value::Null) => None,
                Some(Value::String(next)) => (!next.is_empty()).then(|| next.clone()),
                Some(other) => {
                    let message = format!("{} found, string expected", type_of(other));
                    self.error(&format!("{path}/next"), message);
                    None
                }
            };
            let conditions = self.conditions(map, &path, &event, object);
            transitions.push(Transition { event, next, conditions });
        }
        transitions
    }

    fn text_key_at(&mut self, map: &Map<String, Value>, path: &str, key: &str) -> String {
        match map.get(key) {
            Some(Value::String(text)) if !text.is_empty() => return text.clone(),
            Some(Value::String(_)) | None => self.error(&format!("{path}/{key}"), "is missing but required"),
            Some(other) => {
                self.error(&format!("{path}/{key}"), format!("{} found, string expected", type_of(other)));
            }
        }
        String::new()
    }

    fn conditions(
        &mut self,
        transition: &Map<String, Value>,
        path: &str,
        event: &str,
        state: &Map<String, Value>,
    ) -> Vec<Condition> {
        let path = format!("{path}/conditions");
        let list = match transition.get("conditions") {
            Some(Value::Array(list)) => list.as_slice(),
            None | Some(Value::Null) => &[],
            Some(other) => {
                self.error(&path, format!("{} found, array expected", type_of(other)));
                &[]
            }
        };
        if event == "match" && list.is_empty() {
            self.error(&path, "is missing: a match needs a condition");
        }
        if list.len() > 1 {
            self.warning(&path, "several conditions in one transition: all must hold");
        }
        let input = scalar_text(state.get("properties").and_then(|p| p.get("input")));
        list.iter()
            .enumerate()
            .filter_map(|(at, value)| self.condition(&format!("{path}/{at}"), value, &input))
            .collect()
    }

    fn condition(&mut self, path: &str, value: &Value, input: &str) -> Option<Condition> {
        let Some(map) = value.as_object() else {
            self.error(path, format!("{} found, object expected", type_of(value)));
            return None;
        };
        let kind = self.text_key_at(map, path, "type");
        let operator = Operator::parse(&kind);
        if operator.is_none() && !kind.is_empty() {
            self.error(&format!("{path}/type"), format!("unknown condition type {kind:?}"));
        }
        let argument = match map.get("arguments") {
            Some(Value::Array(list)) => list.first().map(|v| scalar_text(Some(v))),
            None | Some(Value::Null) => None,
            Some(other) => {
                let message = format!("{} found, array expected", type_of(other));
                self.error(&format!("{path}/arguments"), message);
                None
            }
        };
        if let Some(argument) = &argument {
            self.check_liquid(&format!("{path}/arguments/0"), &Value::String(argument.clone()));
        } else if input.is_empty() {
            self.error(&format!("{path}/arguments"), "is missing: what should be tested?");
        }
        let operand = map.get("value").unwrap_or(&Value::Null);
        if matches!(operand, Value::Array(_) | Value::Object(_)) {
            self.error(&format!("{path}/value"), format!("{} found, string expected", type_of(operand)));
        }
        self.check_liquid(&format!("{path}/value"), operand);
        let operand = scalar_text(Some(operand));
        let operator = operator?;
        match Condition::new(argument.unwrap_or_else(|| input.to_owned()), operator, operand) {
            Ok(condition) => Some(condition),
            Err(message) => {
                self.error(&format!("{path}/value"), message);
                None
            }
        }
    }
}

fn is_content_template(properties: &Map<String, Value>) -> bool {
    properties.get("message_type").and_then(Value::as_str) == Some("content_template")
}

fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value.is_string(),
        Kind::Number => value.is_number() || value.is_string(),
        Kind::Flag => value.is_boolean() || value.as_str().is_some_and(is_flag_text),
        Kind::Pairs | Kind::List => value.is_array(),
        Kind::Object => value.is_object(),
    }
}

fn is_flag_text(text: &str) -> bool {
    matches!(text, "" | "true" | "false") || Template::is_dynamic(text)
}

/// A scalar as the text that a template is made of.
fn scalar_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(yes)) => yes.to_string(),
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => String::new(),
    }
}

/// As Twilio's FlowValidate names JSON's types.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
