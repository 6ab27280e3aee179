//! SIP credential lists, their credentials, and SIP domains with what may register and call there (2010-04-01).
//! Deliberately absent: IP access control lists, BYOC trunks, emergency calling, and SIP itself: `hil trunk` speaks it.
//!
//! 21231 is Twilio's code for all that is wrong with a domain. Codes of credentials are not documented: 20001 stands
//! for what is refused of them.

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::asked::{Asked, good, no_content};
use super::form;
use super::list::page;
use super::message::{Refusal, refused, rfc2822};
use super::sim::Sim;

/// The credential lists and domains of the account.
#[derive(Clone, Debug, Default)]
pub(super) struct Sip {
    lists: Vec<CredentialList>,
    domains: Vec<Domain>,
}

#[derive(Clone, Debug)]
struct CredentialList {
    sid: String,
    friendly_name: String,
    created: Timestamp,
    updated: Timestamp,
    credentials: Vec<Credential>,
}

#[derive(Clone, Debug)]
struct Credential {
    sid: String,
    username: String,
    password: String,
    created: Timestamp,
    updated: Timestamp,
}

#[derive(Clone, Debug)]
struct Domain {
    sid: String,
    name: String,
    created: Timestamp,
    updated: Timestamp,
    fields: BTreeMap<&'static str, String>,
    /// Credential lists in the order mapped.
    calls: Vec<Mapping>,
    registrations: Vec<Mapping>,
}

#[derive(Clone, Debug)]
struct Mapping {
    list: String,
    created: Timestamp,
}

/// Somebody who may register at a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SipUser {
    /// `shop-1.sip.twilio.com`.
    pub domain: String,
    /// As posted.
    pub username: String,
    /// As posted; Twilio itself never tells it again.
    pub password: String,
}

const FIELDS: [(&str, &str, Option<&str>); 12] = [
    ("ByocTrunkSid", "byoc_trunk_sid", None),
    ("EmergencyCallerSid", "emergency_caller_sid", None),
    ("EmergencyCallingEnabled", "emergency_calling_enabled", Some("false")),
    ("FriendlyName", "friendly_name", None),
    ("Secure", "secure", Some("false")),
    ("SipRegistration", "sip_registration", Some("false")),
    ("VoiceFallbackMethod", "voice_fallback_method", Some("POST")),
    ("VoiceFallbackUrl", "voice_fallback_url", None),
    ("VoiceMethod", "voice_method", Some("POST")),
    ("VoiceStatusCallbackMethod", "voice_status_callback_method", Some("POST")),
    ("VoiceStatusCallbackUrl", "voice_status_callback_url", None),
    ("VoiceUrl", "voice_url", None),
];

impl Sip {
    /// Who may register where, as the domains' mappings say.
    pub(super) fn users(&self) -> Vec<SipUser> {
        let mut users = Vec::new();
        for domain in self.domains.iter().filter(|one| one.is_set("sip_registration")) {
            let lists = domain.registrations.iter().filter_map(|mapping| self.list(&mapping.list));
            users.extend(lists.flat_map(|list| &list.credentials).map(|one| SipUser {
                domain: domain.name.clone(),
                username: one.username.clone(),
                password: one.password.clone(),
            }));
        }
        users
    }

    fn list(&self, sid: &str) -> Option<&CredentialList> {
        self.lists.iter().find(|one| one.sid == sid)
    }
}

impl CredentialList {
    fn json(&self, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/SIP/CredentialLists/{}", self.sid);
        json!({
            "account_sid": account,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated),
            "friendly_name": self.friendly_name,
            "sid": self.sid,
            "subresource_uris": { "credentials": format!("{uri}/Credentials.json") },
            "uri": format!("{uri}.json"),
        })
    }

    fn credential_json(&self, one: &Credential, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/SIP/CredentialLists/{}/Credentials", self.sid);
        json!({
            "account_sid": account,
            "credential_list_sid": self.sid,
            "date_created": rfc2822(one.created),
            "date_updated": rfc2822(one.updated),
            "sid": one.sid,
            "uri": format!("{uri}/{}.json", one.sid),
            "username": one.username,
        })
    }

    fn mapping_json(&self, mapping: &Mapping, account: &str) -> Value {
        json!({
            "account_sid": account,
            "date_created": rfc2822(mapping.created),
            "date_updated": rfc2822(mapping.created),
            "friendly_name": self.friendly_name,
            "sid": self.sid,
        })
    }
}

impl Domain {
    fn is_set(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|value| value == "true")
    }

    /// Changes what the form names. Nothing is changed when anything in it is refused.
    fn update(&mut self, asked: &Asked) -> Result<(), Refusal> {
        let invalid = |why: String| refused(21231, why);
        if asked.field("EmergencyCallingEnabled") == Some("true") {
            return Err(invalid("The simulator serves no emergency calls".to_owned()));
        }
        for (name, value) in &asked.form {
            let flag = matches!(name.as_str(), "Secure" | "SipRegistration" | "EmergencyCallingEnabled");
            let method = name.ends_with("Method");
            let url = name.ends_with("Url") && !value.is_empty();
            if (flag && !matches!(value.as_str(), "true" | "false"))
                || (method && !matches!(value.as_str(), "GET" | "POST"))
                || (url && !value.starts_with("http://") && !value.starts_with("https://"))
            {
                return Err(invalid(format!("{name} is invalid: {value}")));
            }
        }
        if asked.field("FriendlyName").is_some_and(|name| name.chars().count() > 64) {
            return Err(invalid("FriendlyName is too long".to_owned()));
        }
        for (parameter, key, _) in FIELDS {
            if let Some(value) = form::get(&asked.form, parameter) {
                drop(self.fields.insert(key, value.to_owned()));
            }
        }
        Ok(())
    }

    fn json(&self, account: &str) -> Value {
        let mut body = Map::new();
        for (_, key, default) in FIELDS {
            let value = self.fields.get(key).map(String::as_str).or(default);
            let value = match (default, value) {
                (Some("false"), value) => Value::Bool(value == Some("true")),
                (_, Some(value)) => value.into(),
                (_, None) => Value::Null,
            };
            drop(body.insert(key.to_owned(), value));
        }
        let uri = format!("/2010-04-01/Accounts/{account}/SIP/Domains/{}", self.sid);
        let own = json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "auth_type": if self.calls.is_empty() { "" } else { "CREDENTIAL_LIST" },
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated),
            "domain_name": self.name,
            "sid": self.sid,
            "subresource_uris": {
                "calls": format!("{uri}/Auth/Calls.json"),
                "credential_list_mappings": format!("{uri}/CredentialListMappings.json"),
                "registrations": format!("{uri}/Auth/Registrations.json"),
            },
            "uri": format!("{uri}.json"),
        });
        if let Value::Object(own) = own {
            body.extend(own);
        }
        body.into()
    }

    fn mappings(&mut self, kind: Kind) -> &mut Vec<Mapping> {
        match kind {
            Kind::Calls => &mut self.calls,
            Kind::Registrations => &mut self.registrations,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Calls,
    Registrations,
}

/// `SIP/…` below the account.
pub(super) fn sip(sim: &mut Sim, asked: &Asked, rest: &[&str]) -> Result<Response, Refusal> {
    match rest {
        ["CredentialLists"] => credential_lists(sim, asked),
        ["CredentialLists", list] => credential_list(sim, asked, list),
        ["CredentialLists", list, "Credentials"] => credentials(sim, asked, list),
        ["CredentialLists", list, "Credentials", sid] => credential(sim, asked, list, sid),
        ["Domains"] => domains(sim, asked),
        ["Domains", sid] => domain(sim, asked, sid),
        ["Domains", sid, "Auth", kind @ ("Calls" | "Registrations"), "CredentialListMappings", rest @ ..] => {
            let kind = if *kind == "Calls" { Kind::Calls } else { Kind::Registrations };
            mappings(sim, asked, sid, (kind, "contents"), rest)
        }
        // The older path of the same mapping.
        ["Domains", sid, "CredentialListMappings", rest @ ..] => {
            mappings(sim, asked, sid, (Kind::Calls, "credential_list_mappings"), rest)
        }
        _ => Err(asked.missing()),
    }
}

fn credential_lists(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    if asked.method == "POST" {
        let name = asked.required("FriendlyName")?;
        if name.chars().count() > 64 {
            return Err(refused(20001, "FriendlyName is too long"));
        }
        let (sid, now) = (sim.sid("CL"), sim.now());
        let credentials = Vec::new();
        let list =
            CredentialList { sid, friendly_name: name.to_owned(), created: now, updated: now, credentials };
        let body = list.json(&account);
        sim.sip.lists.push(list);
        return Ok(good(201, &body));
    }
    if asked.method != "GET" {
        return Err(asked.missing());
    }
    let all: Vec<_> = sim.sip.lists.iter().rev().collect();
    let sids: Vec<&str> = all.iter().map(|one| one.sid.as_str()).collect();
    let shown = |at: usize| all.get(at).map(|one| one.json(&account));
    page(asked, "credential_lists", &sids, 0, shown).map(|page| good(200, &page))
}

fn credential_list(sim: &mut Sim, asked: &Asked, sid: &str) -> Result<Response, Refusal> {
    let (account, now) = (sim.options.account.clone(), sim.now());
    let at = sim.sip.lists.iter().position(|one| one.sid == sid).ok_or_else(|| asked.missing())?;
    match asked.method.as_str() {
        "GET" => {}
        "POST" => {
            let name = asked.required("FriendlyName")?.to_owned();
            if let Some(list) = sim.sip.lists.get_mut(at) {
                list.friendly_name = name;
                list.updated = now;
            }
        }
        "DELETE" => {
            let uses = |domain: &&Domain| {
                domain.calls.iter().chain(&domain.registrations).any(|mapping| mapping.list == sid)
            };
            if let Some(domain) = sim.sip.domains.iter().find(uses) {
                let why = format!("CredentialList is still mapped to the domain {}", domain.name);
                return Err(refused(20001, why));
            }
            drop(sim.sip.lists.remove(at));
            return Ok(no_content());
        }
        _ => return Err(asked.missing()),
    }
    sim.sip.lists.get(at).map(|one| good(200, &one.json(&account))).ok_or_else(|| asked.missing())
}

/// Twilio's rule: 12 characters with an upper and a lower case letter and a digit.
fn strong(password: &str) -> Result<(), Refusal> {
    let has = |kind: fn(&char) -> bool| password.chars().any(|letter| kind(&letter));
    let good = password.chars().count() >= 12
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit);
    let why =
        "Password must be at least 12 characters with an upper case letter, a lower case letter and a digit";
    if good { Ok(()) } else { Err(refused(20001, why)) }
}

fn credentials(sim: &mut Sim, asked: &Asked, list: &str) -> Result<Response, Refusal> {
    let (account, now) = (sim.options.account.clone(), sim.now());
    if asked.method == "POST" {
        let (username, password) = (asked.required("Username")?, asked.required("Password")?);
        strong(password)?;
        if username.chars().count() > 32 {
            return Err(refused(20001, "Username is too long"));
        }
        let sid = sim.sid("CR");
        let mut lists = sim.sip.lists.iter_mut();
        let list = lists.find(|one| one.sid == list).ok_or_else(|| asked.missing())?;
        if list.credentials.iter().any(|one| one.username == username) {
            return Err(refused(20001, format!("Username is already in this list: {username}")));
        }
        let (username, password) = (username.to_owned(), password.to_owned());
        let credential = Credential { sid, username, password, created: now, updated: now };
        let body = list.credential_json(&credential, &account);
        list.credentials.push(credential);
        return Ok(good(201, &body));
    }
    if asked.method != "GET" {
        return Err(asked.missing());
    }
    let list = sim.sip.list(list).ok_or_else(|| asked.missing())?;
    let sids: Vec<&str> = list.credentials.iter().map(|one| one.sid.as_str()).collect();
    let shown = |at: usize| list.credentials.get(at).map(|one| list.credential_json(one, &account));
    page(asked, "credentials", &sids, 0, shown).map(|page| good(200, &page))
}

fn credential(sim: &mut Sim, asked: &Asked, list: &str, sid: &str) -> Result<Response, Refusal> {
    let (account, now) = (sim.options.account.clone(), sim.now());
    let list = sim.sip.lists.iter_mut().find(|one| one.sid == list).ok_or_else(|| asked.missing())?;
    let at = list.credentials.iter().position(|one| one.sid == sid).ok_or_else(|| asked.missing())?;
    match asked.method.as_str() {
        "GET" => {}
        "POST" => {
            let password = asked.required("Password")?;
            strong(password)?;
            if let Some(credential) = list.credentials.get_mut(at) {
                password.clone_into(&mut credential.password);
                credential.updated = now;
            }
        }
        "DELETE" => {
            drop(list.credentials.remove(at));
            return Ok(no_content());
        }
        _ => return Err(asked.missing()),
    }
    let found = list.credentials.get(at).map(|one| list.credential_json(one, &account));
    found.map(|body| good(200, &body)).ok_or_else(|| asked.missing())
}

/// One label of letters, digits and hyphens before `.sip.twilio.com`, which nobody has.
fn free_name(sim: &Sim, name: &str) -> Result<String, Refusal> {
    let name = name.to_ascii_lowercase();
    let label = name.strip_suffix(".sip.twilio.com").unwrap_or_default();
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if label.is_empty() || label.len() > 63 || !plain || label.starts_with('-') || label.ends_with('-') {
        return Err(refused(21231, format!("DomainName is invalid: {name}")));
    }
    let taken = sim.sip.domains.iter().map(|one| &one.name).chain(&sim.settings.taken_domains);
    if taken.into_iter().any(|one| *one == name) {
        return Err(refused(21231, format!("DomainName is already in use: {name}")));
    }
    Ok(name)
}

fn domains(sim: &mut Sim, asked: &Asked) -> Result<Response, Refusal> {
    let account = sim.options.account.clone();
    if asked.method == "POST" {
        let name = free_name(sim, asked.required("DomainName")?)?;
        let (sid, now) = (sim.sid("SD"), sim.now());
        let (fields, calls, registrations) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut domain = Domain { sid, name, created: now, updated: now, fields, calls, registrations };
        domain.update(asked)?;
        let body = domain.json(&account);
        sim.sip.domains.push(domain);
        return Ok(good(201, &body));
    }
    if asked.method != "GET" {
        return Err(asked.missing());
    }
    let all: Vec<_> = sim.sip.domains.iter().rev().collect();
    let sids: Vec<&str> = all.iter().map(|one| one.sid.as_str()).collect();
    let shown = |at: usize| all.get(at).map(|one| one.json(&account));
    page(asked, "domains", &sids, 0, shown).map(|page| good(200, &page))
}

fn domain(sim: &mut Sim, asked: &Asked, sid: &str) -> Result<Response, Refusal> {
    let (account, now) = (sim.options.account.clone(), sim.now());
    let at = sim.sip.domains.iter().position(|one| one.sid == sid).ok_or_else(|| asked.missing())?;
    match asked.method.as_str() {
        "GET" => {}
        "POST" => {
            let old = sim.sip.domains.get(at).map(|one| one.name.clone()).unwrap_or_default();
            let wanted = asked.field("DomainName").filter(|name| !name.eq_ignore_ascii_case(&old));
            let name = wanted.map(|name| free_name(sim, name)).transpose()?;
            if let Some(domain) = sim.sip.domains.get_mut(at) {
                domain.update(asked)?;
                domain.updated = now;
                domain.name = name.unwrap_or(old);
            }
        }
        "DELETE" => {
            // Its mappings go with it; the credential lists stay.
            drop(sim.sip.domains.remove(at));
            return Ok(no_content());
        }
        _ => return Err(asked.missing()),
    }
    sim.sip.domains.get(at).map(|one| good(200, &one.json(&account))).ok_or_else(|| asked.missing())
}

fn mappings(
    sim: &mut Sim,
    asked: &Asked,
    domain: &str,
    (kind, key): (Kind, &str),
    rest: &[&str],
) -> Result<Response, Refusal> {
    let (account, now) = (sim.options.account.clone(), sim.now());
    let Sip { lists, domains } = &mut sim.sip;
    let domain = domains.iter_mut().find(|one| one.sid == domain).ok_or_else(|| asked.missing())?;
    let mapped = domain.mappings(kind);
    let list = |sid: &str| lists.iter().find(|one| one.sid == sid);
    let json = |mapping: &Mapping| list(&mapping.list).map(|list| list.mapping_json(mapping, &account));
    match (asked.method.as_str(), rest) {
        ("POST", []) => {
            let sid = asked.required("CredentialListSid")?;
            list(sid).ok_or_else(|| Refusal {
                status: 404,
                code: 20404,
                message: format!("The CredentialList {sid} was not found"),
            })?;
            if mapped.iter().any(|one| one.list == sid) {
                return Err(refused(
                    21231,
                    format!("CredentialList {sid} is already associated with the domain"),
                ));
            }
            let mapping = Mapping { list: sid.to_owned(), created: now };
            let body = json(&mapping).ok_or_else(|| asked.missing())?;
            mapped.push(mapping);
            Ok(good(201, &body))
        }
        ("GET", []) => {
            let sids: Vec<&str> = mapped.iter().map(|one| one.list.as_str()).collect();
            page(asked, key, &sids, 0, |at| mapped.get(at).and_then(json)).map(|page| good(200, &page))
        }
        (method @ ("GET" | "DELETE"), [sid]) => {
            let at = mapped.iter().position(|one| one.list == *sid).ok_or_else(|| asked.missing())?;
            if method == "DELETE" {
                drop(mapped.remove(at));
                return Ok(no_content());
            }
            mapped.get(at).and_then(json).map(|body| good(200, &body)).ok_or_else(|| asked.missing())
        }
        _ => Err(asked.missing()),
    }
}
