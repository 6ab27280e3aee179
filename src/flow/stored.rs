//! The serialised form of an execution, described at the head of `execution`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::execution::{Execution, Phase};
use crate::types::{ExecutionSid, Wall};

const VERSION: u32 = 1;
/// Bytes of JSON from which a value is stored once.
const BIG: usize = 1024;
const VALUE: &str = "$big";
const TEXT: &str = "$big_text";

/// The serialised form of an execution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    sid: ExecutionSid,
    flow: String,
    flow_sid: String,
    revision: u32,
    started: Wall,
    started_sure: bool,
    steps: u32,
    streak: u32,
    last_id: u64,
    phase: Phase,
    context: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    big: Vec<Value>,
}

/// Why a stored execution cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoredError {
    /// Written by a newer box.
    #[error("execution of version {0}; this box reads {VERSION}. Restore the newer release")]
    Version(u32),
    /// The context refers to a value that is not there.
    #[error("the execution's context refers to big value {0}, which is missing")]
    MissingBig(u64),
}

impl From<Execution> for Stored {
    fn from(execution: Execution) -> Self {
        let mut pool = Pool::default();
        let mut context = execution.context;
        third_level(&mut context, &mut |value| pool.take(value));
        Self {
            version: VERSION,
            sid: execution.sid,
            flow: execution.flow,
            flow_sid: execution.flow_sid,
            revision: execution.revision,
            started: execution.started,
            started_sure: execution.started_sure,
            steps: execution.steps,
            streak: execution.streak,
            last_id: execution.last_id,
            phase: execution.phase,
            context,
            big: pool.values,
        }
    }
}

impl TryFrom<Stored> for Execution {
    type Error = StoredError;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        if stored.version != VERSION {
            return Err(StoredError::Version(stored.version));
        }
        let mut context = stored.context;
        let mut missing = None;
        third_level(&mut context, &mut |value| {
            if let Err(index) = give_back(value, &stored.big) {
                missing = Some(index);
            }
        });
        if let Some(index) = missing {
            return Err(StoredError::MissingBig(index));
        }
        Ok(Self {
            sid: stored.sid,
            flow: stored.flow,
            flow_sid: stored.flow_sid,
            revision: stored.revision,
            started: stored.started,
            started_sure: stored.started_sure,
            steps: stored.steps,
            streak: stored.streak,
            last_id: stored.last_id,
            phase: stored.phase,
            context,
        })
    }
}

/// Calls `visit` with every value that has exactly three keys above it: `widgets.NAME.parsed`.
fn third_level(context: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let Some(top) = context.as_object_mut() else { return };
    for second in top.values_mut().filter_map(Value::as_object_mut) {
        for third in second.values_mut().filter_map(Value::as_object_mut) {
            for value in third.values_mut() {
                visit(value);
            }
        }
    }
}

#[derive(Default)]
struct Pool {
    values: Vec<Value>,
    by_text: BTreeMap<String, usize>,
}

impl Pool {
    fn take(&mut self, value: &mut Value) {
        if is_reference(value) || is_big(value) {
            let text = value.to_string();
            let index = if let Some(&index) = value.as_str().and_then(|own| self.by_text.get(own)) {
                *value = reference(TEXT, index);
                return;
            } else if let Some(&index) = self.by_text.get(&text) {
                index
            } else {
                self.by_text.insert(text, self.values.len());
                self.values.push(value.take());
                self.values.len().saturating_sub(1)
            };
            *value = reference(VALUE, index);
        }
    }
}

fn reference(key: &str, index: usize) -> Value {
    let mut map = Map::new();
    map.insert(key.to_owned(), Value::from(index));
    Value::Object(map)
}

/// A value of the context that looks like a reference is stored as a big one, so that it comes back as it was.
fn is_reference(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && (map.contains_key(VALUE) || map.contains_key(TEXT)))
}

fn is_big(value: &Value) -> bool {
    super::context::at_least(value, BIG)
}

fn give_back(value: &mut Value, big: &[Value]) -> Result<(), u64> {
    if !is_reference(value) {
        return Ok(());
    }
    let at = |key: &str| value.get(key).and_then(Value::as_u64);
    let (index, as_text) = match (at(VALUE), at(TEXT)) {
        (Some(index), _) => (index, false),
        (None, Some(index)) => (index, true),
        (None, None) => return Err(u64::MAX),
    };
    let stored = usize::try_from(index).ok().and_then(|index| big.get(index)).ok_or(index)?;
    *value = if as_text { Value::String(stored.to_string()) } else { stored.clone() };
    Ok(())
}
