//! Messaging Services (messaging.twilio.com/v1): pools of senders with one inbound URL and one block list. Deliberately
//! absent: sticky senders per region, short codes, alpha senders, and A2P registration.

use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asked::{Asked, good, no_content};
use super::form;
use super::list::page_with_meta;
use super::message::{Refusal, iso8601, refused};
use super::sim::Sim;

/// A pool of the account's numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Service {
    /// `MG…`, chosen by the simulator when empty.
    #[serde(default)]
    pub sid: String,
    /// What people call it.
    #[serde(default)]
    pub friendly_name: String,
    /// Its senders, E.164; the account's own.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Where inbound messages to its numbers are posted; empty for nowhere.
    #[serde(default)]
    pub inbound_request_url: String,
    /// Asked when that fails.
    #[serde(default)]
    pub fallback_url: String,
    /// Inbound messages are posted to the number's own URL instead.
    #[serde(default)]
    pub use_inbound_webhook_on_number: bool,
    /// Told of messages that name no callback of their own.
    #[serde(default)]
    pub status_callback: String,
    #[serde(skip, default = "Timestamp::now")]
    pub(super) created: Timestamp,
}

impl Service {
    /// The sender for a person: the same one every time.
    pub(super) fn sender(&self, to: &str) -> Option<&str> {
        let sum: usize = to.bytes().map(usize::from).sum();
        self.numbers.get(sum % self.numbers.len().max(1)).map(String::as_str)
    }

    fn update(&mut self, asked: &Asked) -> Result<(), Refusal> {
        let fields = [
            ("FriendlyName", &mut self.friendly_name),
            ("InboundRequestUrl", &mut self.inbound_request_url),
            ("FallbackUrl", &mut self.fallback_url),
            ("StatusCallback", &mut self.status_callback),
        ];
        for (name, field) in fields {
            if let Some(value) = form::get(&asked.form, name) {
                value.clone_into(field);
            }
        }
        match form::get(&asked.form, "UseInboundWebhookOnNumber") {
            Some("true") => self.use_inbound_webhook_on_number = true,
            Some("false") => self.use_inbound_webhook_on_number = false,
            Some(other) => return Err(refused(20001, format!("Invalid UseInboundWebhookOnNumber: {other}"))),
            None => {}
        }
        Ok(())
    }

    fn json(&self, account: &str, base: &str) -> Value {
        let url = format!("{base}/v1/Services/{}", self.sid);
        json!({
            "sid": self.sid,
            "account_sid": account,
            "friendly_name": self.friendly_name,
            "date_created": iso8601(self.created),
            "date_updated": iso8601(self.created),
            "inbound_request_url": self.inbound_request_url,
            "inbound_method": "POST",
            "fallback_url": self.fallback_url,
            "fallback_method": "POST",
            "status_callback": self.status_callback,
            "sticky_sender": true,
            "use_inbound_webhook_on_number": self.use_inbound_webhook_on_number,
            "validity_period": 36000,
            "url": url,
            "links": { "phone_numbers": format!("{url}/PhoneNumbers") },
        })
    }

    fn number_json(&self, number: &str, sid: &str, account: &str, base: &str) -> Value {
        json!({
            "sid": sid,
            "account_sid": account,
            "service_sid": self.sid,
            "phone_number": number,
            "country_code": "US",
            "capabilities": ["SMS", "MMS", "Voice"],
            "date_created": iso8601(self.created),
            "date_updated": iso8601(self.created),
            "url": format!("{base}/v1/Services/{}/PhoneNumbers/{sid}", self.sid),
        })
    }
}

/// `/v1/Services…`.
pub(super) fn services(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    match (asked.method.as_str(), &segments[..]) {
        ("GET", []) => {
            let sids: Vec<&str> = sim.services.iter().map(|one| one.sid.as_str()).collect();
            let shown = |at: usize| sim.services.get(at).map(|one| one.json(&account, &asked.base));
            page_with_meta(asked, "services", &sids, shown).map(|page| good(200, &page))
        }
        ("POST", []) => {
            asked.required("FriendlyName")?;
            let mut service = Service { created: sim.now(), ..Service::default() };
            service.update(asked)?;
            let service = sim.set_service(service);
            Ok(good(201, &service.json(&account, &asked.base)))
        }
        (method, [sid, rest @ ..]) => one(sim, asked, method, sid, rest),
        _ => Err(asked.missing()),
    }
}

fn one(sim: &mut Sim, asked: &Asked, method: &str, sid: &str, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    let owned: Vec<(String, String)> =
        sim.numbers.iter().map(|one| (one.sid.clone(), one.number.clone())).collect();
    let at = sim.services.iter().position(|one| one.sid == sid).ok_or_else(|| asked.missing())?;
    let service = sim.services.get_mut(at).ok_or_else(|| asked.missing())?;
    let number_of = |sid: &str| owned.iter().find(|(one, _)| one == sid).map(|(_, number)| number.clone());
    match (method, rest) {
        (method @ ("GET" | "POST"), []) => {
            if method == "POST" {
                service.update(asked)?;
            }
            Ok(good(200, &service.json(&account, &asked.base)))
        }
        ("DELETE", []) => {
            drop(sim.services.remove(at));
            Ok(no_content())
        }
        ("GET", ["PhoneNumbers"]) => {
            let in_pool = owned.iter().filter(|(_, number)| service.numbers.contains(number));
            let all: Vec<&(String, String)> = in_pool.collect();
            let sids: Vec<&str> = all.iter().map(|(sid, _)| sid.as_str()).collect();
            let shown = |at: usize| {
                let (sid, number) = all.get(at)?;
                Some(service.number_json(number, sid, &account, &asked.base))
            };
            page_with_meta(asked, "phone_numbers", &sids, shown).map(|page| good(200, &page))
        }
        ("POST", ["PhoneNumbers"]) => {
            let sid = asked.required("PhoneNumberSid")?;
            let number = number_of(sid).ok_or_else(|| asked.missing())?;
            if service.numbers.contains(&number) {
                return Err(Refusal {
                    status: 409,
                    ..refused(21710, "Phone Number is already in the Messaging Service")
                });
            }
            service.numbers.push(number.clone());
            Ok(good(201, &service.number_json(&number, sid, &account, &asked.base)))
        }
        (method @ ("GET" | "DELETE"), ["PhoneNumbers", sid]) => {
            let number = number_of(sid).filter(|number| service.numbers.contains(number));
            let number = number.ok_or_else(|| asked.missing())?;
            if method == "DELETE" {
                service.numbers.retain(|one| *one != number);
                return Ok(no_content());
            }
            Ok(good(200, &service.number_json(&number, sid, &account, &asked.base)))
        }
        _ => Err(asked.missing()),
    }
}

impl Sim {
    pub(super) fn service(&self, sid: &str) -> Option<&Service> {
        self.services.iter().find(|one| one.sid == sid)
    }

    /// Adds a service, or changes the one that there is.
    pub(super) fn set_service(&mut self, mut service: Service) -> Service {
        if service.sid.is_empty() {
            service.sid = self.sid("MG");
        }
        match self.services.iter_mut().find(|one| one.sid == service.sid) {
            Some(one) => one.clone_from(&service),
            None => self.services.push(service.clone()),
        }
        service
    }

    /// On whose block list an address of ours stands: its service's, or its own.
    pub(super) fn scope(&self, ours: &str) -> String {
        let service = self.services.iter().find(|one| one.numbers.iter().any(|number| number == ours));
        service.map_or(ours, |service| &service.sid).to_owned()
    }
}
