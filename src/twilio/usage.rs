//! What an account used and paid this month, by category.

use serde_json::Value;

use super::desk::{Desk, DeskError, text};

/// Categories that are shown: Twilio has a few hundred, and those without use say nothing.
const MOST: usize = 100;

/// One category of this month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Twilio's name: `sms-outbound`.
    pub category: String,
    /// In words.
    pub description: String,
    /// How much, as Twilio writes it.
    pub usage: String,
    /// Of what.
    pub unit: String,
    /// What it cost, as Twilio writes it, with its currency.
    pub price: String,
}

/// This month's categories with any use or cost.
///
/// # Errors
/// The account does not answer, or will not.
pub async fn this_month(desk: &Desk) -> Result<Vec<Usage>, DeskError> {
    let all = desk.list("/Usage/Records/ThisMonth.json", &[], "usage_records").await?;
    let used = all.iter().filter(|one| ["usage", "count", "price"].iter().any(|key| !is_zero(one, key)));
    Ok(used.take(MOST).map(read).collect())
}

fn read(record: &Value) -> Usage {
    let price = match record.get("price") {
        Some(Value::Number(number)) => number.to_string(),
        _ => text(record, "price").to_owned(),
    };
    Usage {
        category: text(record, "category").to_owned(),
        description: text(record, "description").to_owned(),
        usage: text(record, "usage").to_owned(),
        unit: text(record, "usage_unit").to_owned(),
        price: format!("{price} {}", text(record, "price_unit")).trim().to_owned(),
    }
}

fn is_zero(record: &Value, key: &str) -> bool {
    match record.get(key) {
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::String(text)) => text.is_empty() || text.parse::<f64>() == Ok(0.0),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => true,
    }
}
