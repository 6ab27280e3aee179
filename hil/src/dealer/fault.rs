//! What can be wrong with a dealer, or with the way to him.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One way of being wrong. Written in JSON as `"portal"` or `{"slow":{"seconds":5}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// All is well.
    #[default]
    None,
    /// Right, but late.
    Slow {
        /// By this much; may be a fraction.
        seconds: f64,
    },
    /// Nobody listens on the port, and what was connected is cut: connection refused.
    Down,
    /// 503, nothing done.
    Unavailable,
    /// 500, nothing done.
    Error500,
    /// Accepts the request, does nothing, never answers.
    Silence,
    /// Writes the order, never answers. A read is never answered.
    CommitThenSilence,
    /// Writes the order, answers 500. A read is answered 500.
    CommitThen500,
    /// Writes the order this much later, whether or not anybody still waits for the answer: what a look-up that
    /// comes too early does not see. A read is only late.
    CommitLate {
        /// By this much; may be a fraction.
        seconds: f64,
    },
    /// A captive portal: 200 and a page to sign in on.
    Portal,
    /// A captive portal: 302 to its page.
    Redirect,
    /// The required fields are not in the answer (an order is written).
    MissingFields,
    /// Fields have other types than the contract says (an order is written).
    WrongTypes,
    /// The answer is right and 10 MB long (an order is written).
    TenMegabytes,
    /// The JSON ends in the middle (an order is written).
    Truncated,
    /// 422, nothing done.
    Refuse,
    /// 401, whatever the token.
    WrongToken,
    /// 429 with `Retry-After`, nothing done.
    TooMany {
        /// Seconds.
        retry_after: u32,
    },
    /// Every other request, from the first on, is answered 503.
    Flapping,
}

/// Which requests a fault meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// GET and POST.
    #[default]
    All,
    /// GET.
    Reads,
    /// POST.
    Writes,
}

/// A fault, whom it meets and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What goes wrong.
    pub fault: Fault,
    /// Whom it meets.
    #[serde(default)]
    pub on: On,
    /// How many requests; without it, all until another plan.
    #[serde(default)]
    pub times: Option<u32>,
}

impl From<Fault> for Plan {
    fn from(fault: Fault) -> Self {
        Self { fault, ..Self::default() }
    }
}

impl Plan {
    /// A plan for the next `times` orders.
    #[must_use]
    pub fn next_orders(times: u32, fault: Fault) -> Self {
        Self { fault, on: On::Writes, times: Some(times) }
    }

    /// What the next request meets; `met` counts those that met this plan.
    pub(super) fn take(&self, write: bool, met: &mut u32) -> Fault {
        let meant = match self.on {
            On::All => true,
            On::Reads => !write,
            On::Writes => write,
        };
        if !meant || self.times.is_some_and(|times| *met >= times) {
            return Fault::None;
        }
        *met += 1;
        match self.fault {
            Fault::Flapping if *met % 2 == 1 => Fault::Unavailable,
            Fault::Flapping => Fault::None,
            fault => fault,
        }
    }
}

/// The answer without what makes it one.
pub(super) fn without_required(answer: &mut Map<String, Value>) {
    for field in ["customer_id", "order_id", "service_orders", "parts_orders", "invoices"] {
        answer.remove(field);
    }
}

/// The answer with other types than promised.
pub(super) fn with_wrong_types(answer: &mut Map<String, Value>) {
    for (field, value) in answer.iter_mut() {
        *value = match field.as_str() {
            "customer_id" | "order_id" => json!({ "value": [value.take()] }),
            "equipment" | "service_orders" | "parts_orders" | "invoices" => json!("see attachment"),
            _ => continue,
        };
    }
}

/// The answer with 10 MB of something that nobody asked for, as text.
pub(super) fn with_ten_megabytes(answer: &Map<String, Value>) -> String {
    let text = Value::Object(answer.clone()).to_string();
    let open = text.strip_suffix('}').unwrap_or(&text);
    format!("{open},\"notes\":\"{}\"}}", "x".repeat(10 * 1024 * 1024))
}
