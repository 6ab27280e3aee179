//! `triggerFlowWithContext`: starts another flow for the same person with the equipment that was chosen.
//!
//! The guide's own passes five values on and loses the rest (its return from the parts order no longer knows the
//! problem that was described); here every further parameter goes along under its own name.

use serde_json::{Map, Value};

use super::{Answer, Call, published};

/// The guide's parameters that are passed on under another name or mean something here.
const OWN: &[&str] = &[
    "targetFlow",
    "customerPhone",
    "equipmentId",
    "equipmentName",
    "equipmentSN",
    "returnToService",
    "returnFromParts",
    "executionSid",
];

pub(super) fn call(call: &Call<'_>) -> Answer {
    let target = call.text("targetFlow");
    let Some(flow) = published(call.env, target) else {
        return Answer::Failed(format!("Unknown target flow: {target}"));
    };
    let mut parameters = Map::new();
    for (from, to) in [
        ("equipmentId", "EquipmentId"),
        ("equipmentName", "EquipmentName"),
        ("equipmentSN", "EquipmentSN"),
        ("customerPhone", "CustomerPhone"),
    ] {
        if let Some(value) = call.given(from) {
            parameters.insert(to.to_owned(), Value::from(value));
        }
    }
    for (from, to) in [("returnToService", "ReturnToService"), ("returnFromParts", "ReturnFromParts")] {
        parameters.insert(to.to_owned(), Value::Bool(call.is_true(from)));
    }
    for (key, value) in call.parameters.iter().filter(|(key, _)| !OWN.contains(&key.as_str())) {
        parameters.insert(key.clone(), Value::from(value.as_str()));
    }
    Answer::StartFlow { flow, parameters, message: format!("Triggered {target} with equipment context") }
}
