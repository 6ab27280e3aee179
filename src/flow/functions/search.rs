//! `searchEquipmentBySKU` and `searchEquipmentBySN`: the guide's look-ups in the customer's own equipment.

use serde_json::{Value, json};

use super::{Answer, Call};

/// Input `sku`, `customerProfile` (JSON text).
pub(super) fn by_sku(call: &Call<'_>) -> Answer {
    search(call, "sku", "sku", "SKU not found in your equipment list. Please try again or reply MENU.")
}

/// Input `serialNumber`, `customerProfile` (JSON text).
pub(super) fn by_serial_number(call: &Call<'_>) -> Answer {
    let message = "Serial number not found in your equipment list. Please try again or reply MENU.";
    search(call, "serialNumber", "serial_number", message)
}

/// `{success: true, equipment: {id, name, serialNumber}}` or `{success: false, message}`.
fn search(call: &Call<'_>, parameter: &str, field: &str, not_found: &str) -> Answer {
    let wanted = call.text(parameter).to_lowercase();
    // The guide's JSON.parse throws here, which is its `fail` too.
    let profile: Value = match serde_json::from_str(call.text("customerProfile")) {
        Ok(profile) => profile,
        Err(fault) => return Answer::Failed(format!("customerProfile is no JSON: {fault}")),
    };
    let equipment = profile.get("equipment").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let found = equipment.iter().find(|item| {
        let value = text(item.get(field)).to_lowercase();
        !value.is_empty() && value.trim() == wanted
    });
    Answer::Returned(match found {
        Some(item) => {
            let name = format!("{} {}", text(item.get("make")), text(item.get("model")));
            json!({
                "success": true,
                "equipment": {
                    "id": item.get("equipment_id").cloned().unwrap_or_default(),
                    "name": name.trim(),
                    "serialNumber": item.get("serial_number").cloned().unwrap_or_default(),
                },
            })
        }
        None => json!({"success": false, "message": not_found}),
    })
}

/// A string, or a number that a dealer sent where a string belongs.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        None | Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => String::new(),
    }
}
