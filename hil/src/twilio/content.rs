//! Content templates (content.twilio.com/v1): what they say, in which language, and whether WhatsApp has approved them.
//! Deliberately absent: making them by the API, and other types than text.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::asked::{Asked, good};
use super::list::page_with_meta;
use super::message::{Refusal, iso8601};
use super::sim::Sim;

/// A template, `Order {{1}} is ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// `HX…`, chosen by the simulator when empty.
    pub sid: String,
    /// What people call it.
    pub friendly_name: String,
    /// `en`.
    pub language: String,
    /// With `{{1}}` … for its variables.
    pub body: String,
    /// WhatsApp's: `approved`, `pending`, `rejected`, `unsubmitted` …
    pub status: String,
    /// WhatsApp's: `UTILITY`, `MARKETING`, `AUTHENTICATION`.
    pub category: String,
    /// Why it was rejected.
    pub rejection_reason: String,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            sid: String::new(),
            friendly_name: "simulated".to_owned(),
            language: "en".to_owned(),
            body: String::new(),
            status: "approved".to_owned(),
            category: "UTILITY".to_owned(),
            rejection_reason: String::new(),
        }
    }
}

impl Content {
    /// What it comes to with these variables.
    pub(super) fn with(&self, variables: &Map<String, Value>) -> String {
        let mut body = self.body.clone();
        for (name, value) in variables {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            body = body.replace(&format!("{{{{{name}}}}}"), &value);
        }
        body
    }

    /// The names between braces, each with an example.
    fn variables(&self) -> BTreeMap<String, String> {
        let starts = self.body.split("{{").skip(1);
        let names = starts.filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.trim().to_owned());
        names.map(|name| (name.clone(), format!("example {name}"))).collect()
    }

    fn json(&self, sim: &Sim, base: &str) -> Value {
        let url = format!("{base}/v1/Content/{}", self.sid);
        json!({
            "sid": self.sid,
            "account_sid": sim.options.account,
            "friendly_name": self.friendly_name,
            "language": self.language,
            "variables": self.variables(),
            "types": { "twilio/text": { "body": self.body } },
            "date_created": iso8601(sim.started),
            "date_updated": iso8601(sim.started),
            "url": url,
            "links": {
                "approval_create": format!("{url}/ApprovalRequests/whatsapp"),
                "approval_fetch": format!("{url}/ApprovalRequests"),
            },
        })
    }

    fn approval(&self, sim: &Sim, base: &str) -> Value {
        json!({
            "sid": self.sid,
            "account_sid": sim.options.account,
            "url": format!("{base}/v1/Content/{}/ApprovalRequests", self.sid),
            "whatsapp": {
                "type": "whatsapp",
                "name": self.friendly_name,
                "category": self.category,
                "content_type": "twilio/text",
                "status": self.status,
                "rejection_reason": self.rejection_reason,
                "allow_category_change": true,
            },
        })
    }
}

/// `/v1/Content…`.
pub(super) fn contents(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    let one = |sid: &str| sim.templates.get(sid).ok_or_else(|| asked.missing());
    match (asked.method.as_str(), &segments[..]) {
        ("GET", []) => {
            let all: Vec<&Content> = sim.templates.values().collect();
            let sids: Vec<&str> = all.iter().map(|one| one.sid.as_str()).collect();
            let shown = |at: usize| all.get(at).map(|one| one.json(sim, &asked.base));
            page_with_meta(asked, "contents", &sids, shown).map(|page| good(200, &page))
        }
        ("GET", [sid]) => Ok(good(200, &one(sid)?.json(sim, &asked.base))),
        ("GET", [sid, "ApprovalRequests"]) => Ok(good(200, &one(sid)?.approval(sim, &asked.base))),
        _ => Err(asked.missing()),
    }
}
