//! Consent Management (accounts.twilio.com/v1/Consents/Bulk): who wants texts from a sender of ours, told by us. What is
//! told counts like STOP and START by text. Deliberately absent: the rate of 100 requests a minute (plan a 429) and an
//! account without access (plan a 403 at `/v1/Consents`).

use std::collections::BTreeSet;

use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::asked::{Asked, good};
use super::message::{Refusal, is_address, refused};
use super::sim::Sim;

/// In one request.
const MOST: usize = 25;
/// An item that is not taken.
const NOT_TAKEN: u32 = 30646;
const SOURCES: [&str; 5] = ["website", "offline", "opt-in-message", "opt-out-message", "others"];
const TOLL_FREE: [&str; 7] = ["+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888"];

/// What was told and taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// The person.
    pub contact: String,
    /// Our number or service.
    pub sender: String,
    /// `opt-in` or `opt-out`.
    pub status: String,
    /// `offline` ...
    pub source: String,
    /// As told.
    pub date: Option<String>,
    /// 32 digits.
    pub correlation: String,
}

/// Reads an item, or says what is wrong with it.
fn read(sim: &Sim, item: &Value) -> Result<Consent, Vec<&'static str>> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let consent = Consent {
        contact: text("contact_id"),
        sender: text("sender_id"),
        status: text("status"),
        source: text("source"),
        date: item.get("date_of_consent").and_then(Value::as_str).map(str::to_owned),
        correlation: text("correlation_id"),
    };
    let correlation = &consent.correlation;
    let ours =
        sim.numbers.iter().any(|one| one.number == consent.sender) || sim.service(&consent.sender).is_some();
    let dated = consent.date.as_ref().is_none_or(|date| date.parse::<Timestamp>().is_ok());
    let checks = [
        (
            correlation.len() == 32 && correlation.bytes().all(|b| b.is_ascii_hexdigit()),
            "INVALID_CORRELATION_ID",
        ),
        (ours, "INVALID_SENDER_ID"),
        (consent.contact.starts_with('+') && is_address(&consent.contact), "INVALID_CONTACT_ID"),
        (["opt-in", "opt-out"].contains(&consent.status.as_str()), "INVALID_STATUS"),
        (SOURCES.contains(&consent.source.as_str()), "INVALID_SOURCE"),
        (dated, "INVALID_DATE_OF_CONSENT"),
    ];
    let wrong: Vec<&'static str> = checks.into_iter().filter(|(fine, _)| !fine).map(|(_, why)| why).collect();
    if wrong.is_empty() { Ok(consent) } else { Err(wrong) }
}

/// `POST /v1/Consents/Bulk`.
pub(super) fn consents(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    if asked.method.as_str() != "POST" || segments != ["Bulk"] {
        return Err(asked.missing());
    }
    asked.required("Items")?;
    let items: Vec<&String> =
        asked.form.iter().filter(|(name, _)| name == "Items").map(|(_, item)| item).collect();
    if items.len() > MOST {
        return Err(refused(20001, format!("Items: {} of at most {MOST}", items.len())));
    }
    let read_json =
        |item: &&String| serde_json::from_str(item).map_err(|_| refused(20001, "Items: not JSON"));
    let items = items.iter().map(read_json).collect::<Result<Vec<Value>, Refusal>>()?;
    let ids: Vec<&str> = items.iter().filter_map(|item| item.get("correlation_id")?.as_str()).collect();
    if ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
        return Err(refused(20001, "Items: a correlation_id comes twice"));
    }
    let mut answers = Vec::new();
    for item in &items {
        let (code, messages) = match read(sim, item) {
            Ok(consent) => {
                sim.take_consent(consent);
                (0, Vec::new())
            }
            Err(wrong) => (NOT_TAKEN, wrong),
        };
        let id = item.get("correlation_id").cloned().unwrap_or_default();
        answers.push(json!({ "correlation_id": id, "error_code": code, "error_messages": messages }));
    }
    Ok(good(201, &json!({ "items": answers })))
}

impl Sim {
    fn take_consent(&mut self, consent: Consent) {
        let list = (self.scope(&consent.sender), consent.contact.clone());
        let by_us = self
            .consents
            .iter()
            .rev()
            .find(|one| one.contact == consent.contact)
            .is_some_and(|one| one.status == "opt-out" && one.sender == consent.sender);
        let toll_free = TOLL_FREE.iter().any(|code| consent.sender.starts_with(code));
        if consent.status == "opt-out" {
            self.blocks.insert(list);
        } else if by_us || !toll_free {
            // Who texted STOP to a toll-free number must text START to it.
            self.blocks.remove(&list);
        }
        self.consents.push(consent);
    }
}
