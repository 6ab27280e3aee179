//! Reads what there is at the account, as far as a setup is concerned.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Existing, Named, Number, Record, Thing, Wanted};
use crate::twilio::desk::{Desk, DeskError, text};

/// The number's settings that a setup reads, by the names of Twilio's requests and answers.
const FIELDS: [(&str, &str); 8] = [
    ("VoiceUrl", "voice_url"),
    ("VoiceMethod", "voice_method"),
    ("VoiceFallbackUrl", "voice_fallback_url"),
    ("VoiceFallbackMethod", "voice_fallback_method"),
    ("VoiceApplicationSid", "voice_application_sid"),
    ("TrunkSid", "trunk_sid"),
    ("SmsUrl", "sms_url"),
    ("SmsMethod", "sms_method"),
];

/// Lists everything that a plan is made from. `record` says which list and which domain are ours.
///
/// # Errors
/// The account does not answer, or will not.
pub async fn look(desk: &Desk, wanted: &Wanted, record: &Record) -> Result<Existing, DeskError> {
    let mut there = Existing {
        lists: named(
            desk.list("/SIP/CredentialLists.json", &[], "credential_lists").await?,
            "friendly_name",
            "",
        ),
        domains: named(desk.list("/SIP/Domains.json", &[], "domains").await?, "domain_name", "voice_url"),
        flows: named(desk.studio_list("/v2/Flows", "flows").await?, "friendly_name", "webhook_url"),
        ..Existing::default()
    };
    if let Some(list) = ours(&there.lists, record, Thing::CredentialList) {
        let path = format!("/SIP/CredentialLists/{list}/Credentials.json");
        there.credentials = named(desk.list(&path, &[], "credentials").await?, "username", "");
    }
    if let Some(domain) = ours(&there.domains, record, Thing::Domain) {
        let of = |kind: &str| format!("/SIP/Domains/{domain}/Auth/{kind}/CredentialListMappings.json");
        let mapped = desk.list(&of("Registrations"), &[], "contents").await?;
        there.registrations = named(mapped, "friendly_name", "");
        there.calls = named(desk.list(&of("Calls"), &[], "contents").await?, "friendly_name", "");
    }
    let query = [("PhoneNumber", wanted.number.as_str())];
    let numbers = desk.list("/IncomingPhoneNumbers.json", &query, "incoming_phone_numbers").await?;
    let number = numbers.iter().find(|one| text(one, "phone_number") == wanted.number.as_str());
    there.number = number.map(|one| Number { sid: text(one, "sid").to_owned(), fields: fields(one) });
    Ok(there)
}

fn fields(number: &Value) -> BTreeMap<String, String> {
    // What the account does not tell is not there, which is something else than empty.
    let told = FIELDS.iter().filter(|(_, key)| number.get(key).is_some());
    told.map(|(field, key)| ((*field).to_owned(), text(number, key).to_owned())).collect()
}

fn ours(all: &[Named], record: &Record, thing: Thing) -> Option<String> {
    let made = record.made.iter().find(|made| made.what == thing)?;
    let found = all.iter().find(|one| match &made.sid {
        Some(sid) => one.sid == *sid,
        None => one.name.eq_ignore_ascii_case(&made.name),
    });
    found.map(|one| one.sid.clone())
}

fn named(all: Vec<Value>, name: &str, url: &str) -> Vec<Named> {
    all.iter()
        .filter(|one| !text(one, "sid").is_empty())
        .map(|one| Named {
            sid: text(one, "sid").to_owned(),
            name: text(one, name).to_owned(),
            url: text(one, url).to_owned(),
        })
        .collect()
}
