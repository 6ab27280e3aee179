//! The natively built functions: the five of the Lizzy guide with its inputs, outputs and texts, and the box's own
//! that make validation real. All are pure; what must leave the box comes back as an [`Answer`].
//!
//! As in Studio every parameter is a string, so a profile arrives as JSON text and a flag as `"true"`.

mod address;
mod dates;
mod orders;
mod quantity;
mod search;
mod trigger;

use serde_json::{Map, Value};

use super::{Env, OrderKind};
use crate::types::Now;

pub(super) use orders::outcome as order_outcome;

/// One call.
pub(super) struct Call<'a> {
    /// [`name_in`] its URL.
    pub(super) function: &'a str,
    /// Rendered.
    pub(super) parameters: &'a [(String, String)],
    /// What surrounds the execution.
    pub(super) env: &'a Env,
    /// Time of the event.
    pub(super) now: Now,
}

/// What a function came to.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// `callback(null, value)`: `success`.
    Returned(Value),
    /// `callback(error)`: `fail`, with this note.
    Failed(String),
    /// An order is to be placed.
    Order {
        /// Endpoint.
        kind: OrderKind,
        /// The dealer's body.
        body: Map<String, Value>,
        /// For the follow-up text.
        about: Map<String, Value>,
        /// What the flow hears at once; `None`: it waits for the outcome.
        meanwhile: Option<Value>,
    },
    /// Another flow is to be started.
    StartFlow {
        /// Friendly name.
        flow: String,
        /// `trigger.request.parameters`.
        parameters: Map<String, Value>,
        /// For the flow that called.
        message: String,
    },
    /// People are to take over.
    HandToPeople {
        /// What they are told.
        note: String,
    },
}

impl Call<'_> {
    /// A parameter, trimmed; blank when it was not given. The last one counts, as in a form.
    fn text(&self, key: &str) -> &str {
        self.given(key).unwrap_or_default()
    }

    /// A parameter, trimmed; `None` when it was not given at all.
    fn given(&self, key: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.trim())
    }

    /// The first parameter of these names that is not blank.
    fn first_of(&self, keys: &[&str]) -> &str {
        keys.iter().map(|key| self.text(key)).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// JavaScript's `=== 'true'`.
    fn is_true(&self, key: &str) -> bool {
        self.text(key) == "true"
    }
}

/// The function that a URL names: its last path segment, without query and `.js`.
pub(super) fn name_in(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    last.strip_suffix(".js").unwrap_or(last)
}

/// The friendly name of a published flow, found by that name or by its FW sid.
pub(super) fn published(env: &Env, flow: &str) -> Option<String> {
    let flow = flow.trim();
    if env.flows.contains_key(flow) {
        return Some(flow.to_owned());
    }
    env.flows.iter().find(|(_, sid)| !flow.is_empty() && *sid == flow).map(|(name, _)| name.clone())
}

/// Calls a function.
pub(super) fn call(call: &Call<'_>) -> Answer {
    match call.function {
        "searchEquipmentBySKU" => search::by_sku(call),
        "searchEquipmentBySN" => search::by_serial_number(call),
        "createServiceOrderAsync" => orders::service(call),
        "createPartsOrderAsync" => orders::parts(call),
        "triggerFlowWithContext" => trigger::call(call),
        "validateDate" => Answer::Returned(dates::call(call)),
        "validateAddress" => Answer::Returned(address::call(call)),
        "validateQuantity" => Answer::Returned(quantity::call(call)),
        "handToPeople" | "textShop" if !call.env.people => {
            Answer::Failed("no staff numbers are set: nobody would answer".to_owned())
        }
        "handToPeople" | "textShop" => Answer::HandToPeople { note: call.text("note").to_owned() },
        unknown => Answer::Failed(format!("this box has no function {unknown:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_by_the_end_of_its_url() {
        assert_eq!(name_in("https://lizzy-1234.twil.io/searchEquipmentBySKU"), "searchEquipmentBySKU");
        assert_eq!(name_in("https://x.twil.io/a/createServiceOrderAsync.js?x=1"), "createServiceOrderAsync");
        assert_eq!(name_in("validateDate/"), "validateDate");
        assert_eq!(name_in(""), "");
    }
}
