//! IncomingPhoneNumbers (2010-04-01): the account's numbers, what is set on them, and the magic numbers that a test
//! account can buy. Deliberately absent: AvailablePhoneNumbers, addresses, bundles, and calls to the URLs set here.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::asked::{Asked, good, no_content};
use super::form;
use super::list::page;
use super::message::{Refusal, is_address, refused, rfc2822};
use super::sim::Sim;

/// One of the account's numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Number {
    /// `PN…`, chosen by the simulator when empty.
    #[serde(default)]
    pub sid: String,
    /// E.164.
    pub number: String,
    /// Where inbound messages are posted; empty for nowhere.
    #[serde(default)]
    pub sms_url: String,
    /// Asked when that fails.
    #[serde(default)]
    pub sms_fallback_url: String,
    /// Kept for the box to read; the simulator places no inbound calls.
    #[serde(default)]
    pub voice_url: String,
    /// What else was set, by the field's name in JSON: `voice_method`, `status_callback` …
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// What can be set beside the three URLs: the parameter, the field, and its value when nothing was set.
const FIELDS: [(&str, &str, Option<&str>); 21] = [
    ("AddressSid", "address_sid", None),
    ("BundleSid", "bundle_sid", None),
    ("EmergencyAddressSid", "emergency_address_sid", None),
    ("EmergencyStatus", "emergency_status", Some("Inactive")),
    ("FriendlyName", "friendly_name", None),
    ("IdentitySid", "identity_sid", None),
    ("SmsApplicationSid", "sms_application_sid", Some("")),
    ("SmsFallbackMethod", "sms_fallback_method", Some("POST")),
    ("SmsFallbackUrl", "sms_fallback_url", Some("")),
    ("SmsMethod", "sms_method", Some("POST")),
    ("SmsUrl", "sms_url", Some("")),
    ("StatusCallback", "status_callback", Some("")),
    ("StatusCallbackMethod", "status_callback_method", Some("POST")),
    ("TrunkSid", "trunk_sid", None),
    ("VoiceApplicationSid", "voice_application_sid", Some("")),
    ("VoiceCallerIdLookup", "voice_caller_id_lookup", Some("false")),
    ("VoiceFallbackMethod", "voice_fallback_method", Some("POST")),
    ("VoiceFallbackUrl", "voice_fallback_url", Some("")),
    ("VoiceMethod", "voice_method", Some("POST")),
    ("VoiceReceiveMode", "voice_receive_mode", Some("voice")),
    ("VoiceUrl", "voice_url", Some("")),
];

impl Number {
    fn set(&mut self, key: &str, value: &str) {
        let url = match key {
            "sms_url" => &mut self.sms_url,
            "sms_fallback_url" => &mut self.sms_fallback_url,
            "voice_url" => &mut self.voice_url,
            _ => self.fields.entry(key.to_owned()).or_default(),
        };
        value.clone_into(url);
    }

    fn value(&self, key: &str) -> Option<&str> {
        match key {
            "sms_url" => Some(&self.sms_url),
            "sms_fallback_url" => Some(&self.sms_fallback_url),
            "voice_url" => Some(&self.voice_url),
            "friendly_name" => Some(self.fields.get(key).map_or(&self.number, |name| name)),
            _ => self.fields.get(key).map(String::as_str),
        }
    }

    /// Twilio asks with POST unless told otherwise.
    pub(super) fn asks_with_get(&self) -> bool {
        self.value("sms_method") == Some("GET")
    }

    /// Changes what the form names. Nothing is changed when anything in it is refused.
    fn update(&mut self, asked: &Asked) -> Result<(), Refusal> {
        for (name, value) in &asked.form {
            let method = name.ends_with("Method") && !matches!(value.as_str(), "GET" | "POST");
            if method {
                return Err(refused(20001, format!("Invalid {name}: {value}")));
            }
            let url = name.ends_with("Url") || name == "StatusCallback";
            if url && !value.is_empty() && !value.starts_with("http://") && !value.starts_with("https://") {
                return Err(refused(
                    if name.starts_with("Sms") { 21502 } else { 21402 },
                    format!("{name} is not valid: {value}"),
                ));
            }
        }
        if asked.field("EmergencyStatus") == Some("Active") {
            // A test must not be able to believe that help would come.
            return Err(refused(21631, "The simulator serves no emergency calls"));
        }
        for (parameter, key, _) in FIELDS {
            if let Some(value) = form::get(&asked.form, parameter) {
                self.set(key, value);
            }
        }
        Ok(())
    }

    fn json(&self, account: &str, dates: &str) -> Value {
        let mut body = Map::new();
        for (_, key, default) in FIELDS {
            let value = self.value(key).or(default);
            let value = match (key, value) {
                ("voice_caller_id_lookup", value) => Value::Bool(value == Some("true")),
                (_, Some(value)) => value.into(),
                (_, None) => Value::Null,
            };
            body.insert(key.to_owned(), value);
        }
        let uri = format!("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{}", self.sid);
        let own = json!({
            "account_sid": account,
            "address_requirements": "none",
            "api_version": "2010-04-01",
            "beta": false,
            "capabilities": { "voice": true, "sms": true, "mms": true, "fax": false },
            "date_created": dates,
            "date_updated": dates,
            "emergency_address_status": "unregistered",
            "origin": "twilio",
            "phone_number": self.number,
            "sid": self.sid,
            "status": "in-use",
            "subresource_uris": { "assigned_add_ons": format!("{uri}/AssignedAddOns.json") },
            "uri": format!("{uri}.json"),
        });
        if let Value::Object(own) = own {
            body.extend(own);
        }
        body.into()
    }
}

pub(super) fn numbers(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    let dates = rfc2822(sim.started);
    match (asked.method.as_str(), rest) {
        ("GET", []) => {
            let (number, name) =
                (form::get(&asked.query, "PhoneNumber"), form::get(&asked.query, "FriendlyName"));
            let kept = sim.numbers.iter().filter(|one| {
                number.is_none_or(|part| one.number.contains(part))
                    && name.is_none_or(|name| one.value("friendly_name") == Some(name))
            });
            let found: Vec<_> = kept.collect();
            let sids: Vec<&str> = found.iter().map(|one| one.sid.as_str()).collect();
            let shown = |at: usize| found.get(at).map(|one| one.json(&account, &dates));
            page(asked, "incoming_phone_numbers", &sids, 0, shown).map(|page| good(200, &page))
        }
        ("POST", []) => {
            let mut number = bought(sim, asked)?;
            number.update(asked)?;
            let number = sim.set_number(number);
            Ok(good(201, &number.json(&account, &dates)))
        }
        (method @ ("GET" | "POST" | "DELETE"), [sid]) => {
            let at = sim.numbers.iter().position(|one| one.sid == *sid).ok_or_else(|| asked.missing())?;
            if method == "DELETE" {
                drop(sim.numbers.remove(at));
                return Ok(no_content());
            }
            let number = sim.numbers.get_mut(at).ok_or_else(|| asked.missing())?;
            if method == "POST" {
                number.update(asked)?;
            }
            Ok(good(200, &number.json(&account, &dates)))
        }
        _ => Err(asked.missing()),
    }
}

/// Any number that nobody has can be bought; buying is not idempotent, the second time it is taken.
fn bought(sim: &Sim, asked: &Asked) -> Result<Number, Refusal> {
    let number =
        asked.field("PhoneNumber").ok_or_else(|| refused(21404, "PhoneNumber or AreaCode is required"))?;
    if !number.starts_with('+') || !is_address(number) || number == "+15005550001" {
        return Err(refused(21421, format!("PhoneNumber is invalid: {number}")));
    }
    if number == "+15005550000" || sim.numbers.iter().any(|one| one.number == number) {
        return Err(refused(21422, format!("{number} is not available")));
    }
    Ok(Number { number: number.to_owned(), ..Number::default() })
}

/// What a test account can do here: Twilio's magic numbers, and nothing is kept.
pub(super) fn bought_in_a_test(sim: &Sim, asked: &Asked, sid: String) -> Result<Response, Refusal> {
    let number = match (asked.field("PhoneNumber"), asked.field("AreaCode")) {
        (None, Some("533")) => return Err(refused(21452, "No phone numbers found in area code 533")),
        (None, Some("500")) => "+15005550006",
        (Some("+15005550006"), _) => "+15005550006",
        (Some("+15005550000"), _) => return Err(refused(21422, "+15005550000 is not available")),
        (Some(other), _) => return Err(refused(21421, format!("PhoneNumber is invalid: {other}"))),
        (None, Some(_) | None) => return Err(refused(21451, "Invalid area code")),
    };
    let mut number = Number { number: number.to_owned(), sid, ..Number::default() };
    number.update(asked)?;
    let account = sim.options.test_account.as_ref().map_or("", |(account, _)| account.as_str());
    Ok(good(201, &number.json(account, &rfc2822(sim.now()))))
}
