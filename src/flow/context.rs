//! The templates' world: writing into it, and saying what a step changed without saying large values twice.

use serde_json::{Map, Value, json};

use super::Trigger;
use crate::types::ExecutionSid;

/// Bytes of JSON from which a step's delta says a value once.
const LARGE: usize = 1024;

/// Deepest JSON that a context takes in. What reads a stored execution stops at 128 levels, and its context stands
/// some levels down: a deeper value would make an execution that cannot be read again.
const DEEPEST: usize = 64;

/// True when the value's JSON has about `bytes` or more; stops counting there.
pub(super) fn at_least(value: &Value, bytes: usize) -> bool {
    fn rest(value: &Value, left: usize) -> Option<usize> {
        match value {
            Value::Null | Value::Bool(_) => left.checked_sub(4),
            Value::Number(_) => left.checked_sub(8),
            Value::String(text) => left.checked_sub(text.len().saturating_add(2)),
            Value::Array(items) => items.iter().try_fold(left, |left, v| rest(v, left.checked_sub(1)?)),
            Value::Object(map) => map
                .iter()
                .try_fold(left, |left, (k, v)| rest(v, left.checked_sub(k.len().saturating_add(4))?)),
        }
    }
    rest(value, bytes).is_none()
}

/// Parses JSON that comes from outside into the context.
///
/// # Errors
/// It is no JSON, or nested deeper than [`DEEPEST`].
pub(super) fn json(text: &str) -> Result<Value, String> {
    fn fits(value: &Value, left: usize) -> bool {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
            Value::Array(items) => left > 0 && items.iter().all(|v| fits(v, left - 1)),
            Value::Object(map) => left > 0 && map.values().all(|v| fits(v, left - 1)),
        }
    }
    let value: Value = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
    if fits(&value, DEEPEST) { Ok(value) } else { Err(format!("nested deeper than {DEEPEST}")) }
}

/// Sets `path` to `value`; what is in the way and no object gives way.
pub(super) fn set(context: &mut Value, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *context = value;
        return;
    };
    if !context.is_object() {
        *context = Value::Object(Map::new());
    }
    if let Value::Object(map) = context {
        set(map.entry((*first).to_owned()).or_insert(Value::Null), rest, value);
    }
}

/// What a step changed: dotted path to new value. A large value that this delta or the context already has
/// under another path is said as `{"$same": path}`.
#[derive(Default)]
pub(super) struct Delta(Map<String, Value>);

impl Delta {
    pub(super) fn put(&mut self, path: &str, value: &Value, context: &Value) {
        let value = match at_least(value, LARGE).then(|| self.known_at(path, value, context)).flatten() {
            Some(elsewhere) => json!({"$same": elsewhere}),
            None => value.clone(),
        };
        self.0.insert(path.to_owned(), value);
    }

    pub(super) fn same(&mut self, path: &str, elsewhere: &str) {
        self.0.insert(path.to_owned(), json!({"$same": elsewhere}));
    }

    fn known_at(&self, path: &str, value: &Value, context: &Value) -> Option<String> {
        let said = self.0.iter().find(|(_, v)| *v == value).map(|(p, _)| p.clone());
        let widgets = context.get("widgets").and_then(Value::as_object)?;
        said.or_else(|| {
            widgets.iter().find_map(|(name, outputs)| {
                let parsed = format!("widgets.{name}.parsed");
                (parsed != path && outputs.get("parsed") == Some(value)).then_some(parsed)
            })
        })
    }

    pub(super) fn take(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.0)
    }
}

/// Fills `trigger.*`, `flow.data`, `contact.channel.address` and `flow.channel.address`; gives the event.
pub(super) fn fill(
    context: &mut Value,
    delta: &mut Delta,
    sid: &ExecutionSid,
    trigger: Trigger,
) -> &'static str {
    let (event, key, value, from, to, alias) = match trigger {
        Trigger::Message(mut parameters) => {
            // The two parameters of Twilio's webhook that hold JSON.
            for key in ["ChannelAttributes", "AddOns"] {
                let parsed = parameters.get(key).and_then(Value::as_str).map(json);
                if let Some(Ok(parsed)) = parsed {
                    parameters.insert(key.to_owned(), parsed);
                }
            }
            let text = |key: &str| parameters.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (person, shop) = (text("From"), text("To"));
            ("incomingMessage", "message", Value::Object(parameters), shop, person, Map::new())
        }
        Trigger::Request { from, to, parameters } => {
            set(context, &["flow", "data"], Value::Object(parameters.clone()));
            let value = json!({"from": &from, "to": &to, "parameters": &parameters});
            ("incomingRequest", "request", value, from, to, parameters)
        }
        Trigger::Parent { parameters, execution, flow, from, to } => {
            let value = json!({
                "parameters": parameters,
                "execution_sid": execution.as_str(),
                "flow_sid": flow,
                "trigger_type": "parent",
            });
            ("incomingParent", "parent", value, from, to, Map::new())
        }
    };
    delta.put(&format!("trigger.{key}"), &value, &Value::Null);
    set(context, &["trigger", key], value);
    let mut alias = alias;
    alias.insert("Sid".to_owned(), Value::from(sid.as_str()));
    set(context, &["trigger", "execution"], Value::Object(alias));
    set(context, &["contact", "channel", "address"], Value::from(to));
    set(context, &["flow", "channel", "address"], Value::from(from));
    event
}
