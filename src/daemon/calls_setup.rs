//! What the technician's file and the owner's settings mean for calls: the phones and trunks of the SIP element, and
//! each shop's dial plan. Values in, values out; who starts what is elsewhere.
//!
//! The owner's `calls.plan` is laid over a plan that follows from the file, so that a shop with phones and a trunk
//! needs none: every phone is an extension, a call from outside rings all of them, outside numbers go over the trunks
//! in the order of the file.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::call::{
    DialPlan, Extension, Group, Inbound, Line, Member, Nobody, Outbound, OutboundLine, Plan, RingOrder,
    Target, emergency_numbers,
};
use crate::config::{self, CallerStyle, Config, DigestChoice, ShopSettings};
use crate::sip::agent::{AgentSettings, DeviceSetup, IdentityStyle, TrunkSetup};
use crate::sip::digest::{Algorithm, Login, ServerSettings};
use crate::sip::sdp::{Capabilities, Codec, Encoding, TargetPolicy};
use crate::sip::transaction::Settings as Timers;
use crate::types::{AudioCodec, DeviceId, ShopId};

/// Where a call of one leg rings at most: a call with every phone of a shop ringing has this many legs.
const LEGS_A_CALL: usize = 4;
/// Legs, and so pairs of ports, that are kept for calls for help; a quarter of what there is when that is less.
const FOR_HELP: usize = 8;
/// The group of all phones.
const EVERYONE: &str = "everyone";
/// How long everybody rings when a call comes from outside, in seconds.
const RING_EVERYONE: u16 = 25;
/// Says back what it hears (as Asterisk's users know it).
const ECHO: &str = "*43";
/// A steady tone of 1,004 Hz.
const TONE: &str = "*44";

/// The SIP element's settings. `countries` are those of the shops: their emergency numbers are taken also from a
/// phone that has not said who it is.
#[must_use]
pub fn agent_settings(config: &Config, countries: &BTreeSet<String>) -> AgentSettings {
    let sip = &config.sip;
    let lan = sip.lan.clone();
    let emergency: BTreeSet<String> = countries.iter().flat_map(|c| emergency_numbers(c)).collect();
    AgentSettings {
        timers: Timers::default(),
        digest: ServerSettings {
            realm: sip.realm.clone(),
            algorithms: algorithms(sip.digest),
            ..ServerSettings::default()
        },
        capabilities: capabilities(&sip.codecs),
        phone_media: TargetPolicy { networks: lan.clone() },
        register_least: sip.register_least,
        register_most: sip.register_most,
        contacts: sip.contacts,
        session_expires: sip.session_timer,
        legs: legs(config),
        product: "Backroom".to_owned(),
        emergency_numbers: emergency.into_iter().collect(),
        lan,
    }
}

/// Legs at a time, calls for help aside.
#[must_use]
pub fn legs(config: &Config) -> usize {
    let pairs = pairs(config);
    config.sip.calls.saturating_mul(LEGS_A_CALL).min(pairs - for_help(pairs))
}

/// Legs at a time, with those of calls for help, which are never refused for want of ports.
#[must_use]
pub fn legs_at_most(config: &Config) -> usize {
    legs(config) + for_help(pairs(config))
}

fn pairs(config: &Config) -> usize {
    usize::from(config.media.last_port.saturating_sub(config.media.first_port)).div_ceil(2)
}

fn for_help(pairs: usize) -> usize {
    FOR_HELP.min(pairs / 4)
}

fn algorithms(choice: DigestChoice) -> Vec<Algorithm> {
    match choice {
        DigestChoice::Md5 => vec![Algorithm::Md5],
        DigestChoice::Both => vec![Algorithm::Sha256, Algorithm::Md5],
        DigestChoice::Sha256 => vec![Algorithm::Sha256],
    }
}

/// All phones of all shops.
#[must_use]
pub fn devices(config: &Config) -> Vec<DeviceSetup> {
    let device = |phone: &config::PhoneConfig| DeviceSetup {
        id: phone.id.clone(),
        login: Login { username: phone.id.as_str().to_owned(), password: phone.password.expose().to_owned() },
        shop: phone.shop.clone(),
        extension: Some(phone.extension.clone()),
        name: phone.name.clone(),
        secure: phone.srtp,
    };
    config.phones.iter().map(device).collect()
}

/// All trunks of all shops. Where they are reached (`proxy`, `transport`) is the edge's business.
#[must_use]
pub fn trunks(config: &Config) -> Vec<TrunkSetup> {
    let trunk = |line: &config::TrunkLine| TrunkSetup {
        line: line.id.clone(),
        domain: line.domain.clone(),
        login: line.login.as_ref().map(|(username, password)| Login {
            username: username.clone(),
            password: password.expose().to_owned(),
        }),
        register: line.register,
        user: line.user.clone(),
        expires: line.expires,
        networks: line.networks.clone(),
        media: TargetPolicy { networks: line.media_networks.clone() },
        number: line.number.clone(),
        identity: match line.identity {
            CallerStyle::Asserted => IdentityStyle::Asserted,
            CallerStyle::Preferred => IdentityStyle::Preferred,
            CallerStyle::From => IdentityStyle::From,
        },
        options_every: line.options_every,
        secure: line.srtp,
        nat: line.nat,
        capabilities: line.codecs.as_deref().map(capabilities),
    };
    config.trunks.iter().map(trunk).collect()
}

fn capabilities(codecs: &[AudioCodec]) -> Capabilities {
    let codec = |codec: &AudioCodec| match codec {
        AudioCodec::Pcmu => Codec::new(0, Encoding::Pcmu, 8000),
        AudioCodec::Pcma => Codec::new(8, Encoding::Pcma, 8000),
        AudioCodec::G722 => Codec::new(9, Encoding::G722, 8000),
    };
    let mut list: Vec<Codec> = codecs.iter().map(codec).collect();
    list.push(Codec::telephone_event(101, 8000));
    Capabilities { codecs: list, ..Capabilities::default() }
}

/// What the file says about a shop's calls: the ground of its dial plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanGround {
    /// Trunks, in order of preference.
    pub lines: Vec<Line>,
    /// One an extension number, with all its phones.
    pub extensions: Vec<Extension>,
    /// The shop has a line that texts: who was missed is texted.
    pub texts: bool,
}

impl PlanGround {
    /// Of one shop.
    #[must_use]
    pub fn of(config: &Config, shop: &ShopId) -> Self {
        let line = |line: &config::TrunkLine| Line {
            id: line.id.clone(),
            number: line.number.clone(),
            channels: line.channels,
            reserve: line.reserve,
            pass_caller: line.pass_caller,
        };
        let mut extensions: Vec<Extension> = Vec::new();
        for phone in config.phones.iter().filter(|p| p.shop == *shop) {
            let ring = u16::try_from(phone.ring.as_secs()).unwrap_or(u16::MAX);
            match extensions.iter_mut().find(|e| e.number == phone.extension) {
                Some(there) => {
                    there.devices.push(phone.id.clone());
                    there.name = there.name.take().or_else(|| phone.name.clone());
                    there.direct = there.direct.take().or_else(|| phone.direct.clone());
                    there.location = there.location.take().or_else(|| phone.location.clone());
                    there.withhold |= phone.withhold;
                    there.ring_s = there.ring_s.max(ring);
                }
                None => extensions.push(Extension {
                    number: phone.extension.clone(),
                    name: phone.name.clone(),
                    devices: vec![phone.id.clone()],
                    ring_s: ring,
                    otherwise: None,
                    direct: phone.direct.clone(),
                    location: phone.location.clone(),
                    withhold: phone.withhold,
                }),
            }
        }
        Self {
            lines: config.trunks.iter().filter(|l| l.shop == *shop).map(line).collect(),
            extensions,
            texts: config.lines.iter().any(|l| l.shop == *shop),
        }
    }

    /// True when the shop has nobody to call with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.extensions.is_empty()
    }

    /// The plan without anything of the owner's.
    #[must_use]
    pub fn default_plan(&self, settings: &ShopSettings) -> DialPlan {
        let country = settings.text("calls.country").to_owned();
        let north_america = settings.text("shop.calling_code") == "1";
        let national = |number: &str| number.strip_prefix("+1").and_then(|n| n.get(..3)).map(str::to_owned);
        let area_code = self.lines.iter().find_map(|l| national(l.number.as_ref()?.as_str()));
        let members = self.extensions.iter().map(|e| Member::Extension(e.number.clone()));
        let everyone = Group {
            name: EVERYONE.to_owned(),
            members: members.collect(),
            order: RingOrder::Parallel,
            ring_s: RING_EVERYONE,
            otherwise: None,
        };
        let phones = !self.extensions.is_empty();
        let whoever = if phones { Target::Group(EVERYONE.to_owned()) } else { Target::Nobody };
        let inbound = Inbound {
            line: None,
            number: None,
            schedule: None,
            open: whoever.clone(),
            // A call that rings in an empty shop is a nuisance; one that a wrong clock hides is a customer lost.
            closed: whoever,
            holiday: None,
        };
        let all = self.lines.iter().map(|l| OutboundLine {
            line: l.id.clone(),
            per_minute: Default::default(),
            per_call: Default::default(),
        });
        let outbound = Outbound { prefix: String::new(), lines: all.collect() };
        let lines = !self.lines.is_empty();
        let mut nobody = Nobody::default();
        nobody.text_flow.take_if(|_| !self.texts);
        DialPlan {
            country,
            area_code: area_code.filter(|_| north_america),
            outside_prefix: north_america.then(|| "9".to_owned()),
            location: location(settings),
            lines: self.lines.clone(),
            extensions: self.extensions.clone(),
            groups: if phones { vec![everyone] } else { Vec::new() },
            numbers: [(ECHO.to_owned(), Target::Echo), (TONE.to_owned(), Target::Tone)].into(),
            inbound: if lines { vec![inbound] } else { Vec::new() },
            outbound: if lines { vec![outbound] } else { Vec::new() },
            allow: Default::default(),
            caps: Default::default(),
            nobody,
            spoken_reasons: false,
            longest_min: 240,
        }
    }

    /// The plan that is in force: `calls.plan` laid over the default.
    ///
    /// # Errors
    /// All problems of it, each with its place.
    pub fn plan(&self, settings: &ShopSettings) -> Result<Plan, Vec<String>> {
        let data = self.data(settings)?;
        let mut problems = self.strangers(&data);
        match Plan::check(data) {
            Ok(plan) if problems.is_empty() => Ok(plan),
            Ok(_) => Err(problems),
            Err(found) => {
                problems.extend(found.iter().map(|p| format!("calls.plan: {p}")));
                Err(problems)
            }
        }
    }

    /// The same before it is checked, to be shown.
    ///
    /// # Errors
    /// What is no plan at all, each with its place.
    pub fn data(&self, settings: &ShopSettings) -> Result<DialPlan, Vec<String>> {
        let default = self.default_plan(settings);
        let ground = serde_json::to_value(&default).map_err(|e| vec![e.to_string()])?;
        let owner = settings.get("calls.plan");
        if owner.as_object().is_none_or(Map::is_empty) {
            return Ok(default);
        }
        let mut merged = ground.clone();
        lay_over(&mut merged, owner, "");
        serde_json::from_value(merged.clone()).map_err(|error| {
            let found = misfits(&ground, &merged);
            if found.is_empty() { vec![format!("calls.plan: {error}")] } else { found }
        })
    }

    /// Phones and lines that the plan names and the file does not have.
    fn strangers(&self, data: &DialPlan) -> Vec<String> {
        let mut problems = Vec::new();
        for line in data.lines.iter().filter(|l| !self.lines.iter().any(|own| own.id == l.id)) {
            problems.push(format!(
                "calls.plan: lines.{}: the configuration file has no such [[line]] of kind \"sip\"",
                line.id
            ));
        }
        let known: BTreeSet<&DeviceId> = self.extensions.iter().flat_map(|e| &e.devices).collect();
        for extension in &data.extensions {
            for device in extension.devices.iter().filter(|d| !known.contains(d)) {
                problems.push(format!(
                    "calls.plan: extensions.{}.devices: the configuration file has no [[phone]] `{device}`",
                    extension.number
                ));
            }
        }
        problems
    }
}

/// Where help is to come; never empty, because a plan without it could not even ring a phone.
fn location(settings: &ShopSettings) -> String {
    match settings.text("calls.location").trim() {
        "" => format!("{} (its address was never set: calls.location)", settings.text("shop.name")),
        text => text.to_owned(),
    }
}

/// What tells two entries of a list apart; other lists are replaced as a whole.
fn name_of(list: &str) -> Option<&'static str> {
    match list {
        "lines" => Some("id"),
        "extensions" => Some("number"),
        "groups" => Some("name"),
        _ => None,
    }
}

/// Lays the owner's values over `ground`: tables key by key, lists of named entries entry by entry, `null` takes away.
fn lay_over(ground: &mut Value, owner: &Value, at: &str) {
    match (ground, owner) {
        (Value::Object(ground), Value::Object(owner)) => {
            for (key, value) in owner {
                // Who gets a call is one choice, not a mixture of two.
                let choice =
                    at == "numbers" || matches!(key.as_str(), "otherwise" | "open" | "closed" | "holiday");
                if value.is_null() {
                    ground.shift_remove(key);
                } else if choice {
                    ground.insert(key.clone(), value.clone());
                } else {
                    lay_over(ground.entry(key.clone()).or_insert(Value::Null), value, key);
                }
            }
        }
        (Value::Array(ground), Value::Array(owner)) if name_of(at).is_some() => {
            let key = name_of(at).unwrap_or_default();
            for entry in owner {
                let name = entry.get(key);
                match ground.iter_mut().find(|g| name.is_some() && g.get(key) == name) {
                    Some(there) => lay_over(there, entry, ""),
                    None => ground.push(entry.clone()),
                }
            }
        }
        (ground, owner) => *ground = owner.clone(),
    }
}

/// Tries each part of a plan that cannot be read by itself, so that all mistakes are said at once.
fn misfits(ground: &Value, merged: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut attempt = |key: &str, at: String, part: Value| {
        let mut plan = ground.clone();
        if let Some(plan) = plan.as_object_mut() {
            plan.insert(key.to_owned(), part);
        }
        if let Err(error) = serde_json::from_value::<DialPlan>(plan) {
            found.push(format!("calls.plan: {at}: {error}"));
        }
    };
    for (key, part) in merged.as_object().into_iter().flatten() {
        match part {
            Value::Array(entries) => {
                for (n, entry) in entries.iter().enumerate() {
                    attempt(key, format!("{key}.{n}"), json!([entry]));
                }
            }
            Value::Object(entries) if key == "numbers" => {
                for (name, entry) in entries {
                    attempt(key, format!("{key}.{name}"), json!({ name: entry }));
                }
            }
            whole => attempt(key, key.clone(), whole.clone()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PhoneNumber;

    fn config() -> Config {
        let secrets = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = secrets.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (front, back) = (secret("front", "k7Qz-mm2W-9xTb"), secret("back", "vR4n-8pLs-d3Kc"));
        let text = format!(
            r#"
            [[shop]]
            id = "main"
            [[line]]
            id = "trunk"
            kind = "sip"
            domain = "sip.example.com"
            number = "+12065550100"
            channels = 2
            [[line]]
            id = "spare"
            kind = "sip"
            domain = "192.0.2.7"
            identity = "from"
            codecs = ["PCMA"]
            media_networks = ["198.51.100.0/24"]
            [[phone]]
            id = "front"
            extension = "101"
            name = "Front desk"
            password_file = "{front}"
            [[phone]]
            id = "back"
            extension = "102"
            password_file = "{back}"
            direct = "+12065550102"
            ring = 10
            "#
        );
        config::file::parse(&text, None).unwrap()
    }

    fn ground() -> PlanGround {
        PlanGround::of(&config(), &ShopId::from("main"))
    }

    fn with(plan: Value) -> ShopSettings {
        let mut settings = ShopSettings::default();
        settings.set("calls.location", &json!("12 Main Street")).unwrap();
        settings.set("calls.plan", &plan).unwrap();
        settings
    }

    #[test]
    fn ports_are_kept_for_calls_for_help() {
        let mut config = config();
        for (ports, ordinary, most) in
            [((20_000, 20_099), 42, 50), ((20_000, 20_007), 3, 4), ((20_000, 20_001), 1, 1)]
        {
            (config.media.first_port, config.media.last_port) = ports;
            assert_eq!((legs(&config), legs_at_most(&config)), (ordinary, most));
        }
        (config.media.first_port, config.media.last_port) = (10_000, 59_999);
        config.sip.calls = 10;
        assert_eq!((legs(&config), legs_at_most(&config)), (40, 48));
    }

    #[test]
    fn phones_and_trunks_of_the_file_make_a_plan_without_a_word_of_the_owner() {
        let settings = ShopSettings::default();
        let plan = ground().data(&settings).unwrap();
        assert!(ground().plan(&settings).is_ok());
        assert_eq!(plan.area_code.as_deref(), Some("206"));
        assert!(plan.location.contains("calls.location"), "the desk is told that nobody set it");
        let numbers: Vec<&str> = plan.extensions.iter().map(|e| e.number.as_str()).collect();
        assert_eq!(numbers, ["101", "102"]);
        assert_eq!(plan.inbound[0].open, Target::Group("everyone".into()));
        assert_eq!((plan.groups[0].ring_s, plan.groups[0].order), (25, RingOrder::Parallel));
        let lines: Vec<&str> = plan.outbound[0].lines.iter().map(|l| l.line.as_str()).collect();
        assert_eq!(lines, ["trunk", "spare"]);
        assert_eq!((&plan.numbers["*43"], &plan.numbers["*44"]), (&Target::Echo, &Target::Tone));
    }

    #[test]
    fn phones_alone_and_a_trunk_alone_make_a_plan_too() {
        let mut config = config();
        let (trunks, phones) = (std::mem::take(&mut config.trunks), config.phones.clone());
        let main = ShopId::from("main");
        assert!(PlanGround::of(&config, &main).plan(&ShopSettings::default()).is_ok());
        (config.trunks, config.phones) = (trunks, Vec::new());
        let alone = PlanGround::of(&config, &main);
        assert!(alone.plan(&ShopSettings::default()).is_ok());
        assert_eq!(alone.default_plan(&ShopSettings::default()).inbound[0].open, Target::Nobody);
        config.phones = phones;
        assert!(PlanGround::of(&config, &ShopId::from("elsewhere")).is_empty());
    }

    #[test]
    fn phones_with_the_same_extension_ring_together() {
        let mut config = config();
        config.phones[1].extension = "101".into();
        let ground = PlanGround::of(&config, &ShopId::from("main"));
        assert_eq!(ground.extensions.len(), 1);
        let extension = &ground.extensions[0];
        assert_eq!(extension.devices, [DeviceId::from("front"), DeviceId::from("back")]);
        assert_eq!((extension.name.as_deref(), extension.ring_s), (Some("Front desk"), 25));
        assert_eq!(extension.direct.as_ref().map(PhoneNumber::as_str), Some("+12065550102"));
    }

    #[test]
    fn what_the_owner_writes_changes_that_and_nothing_else() {
        let settings = with(json!({
            "area_code": null,
            "extensions": [{"number": "101", "name": "Boss", "otherwise": "nobody"}],
            "groups": [{"name": "sales", "members": [{"extension": "102"}]}],
            "inbound": [{"open": {"group": "sales"}, "closed": "nobody"}],
            "caps": {"shop": {"calls": 7}},
            "numbers": {"*43": null, "600": {"group": "everyone"}},
        }));
        let plan = ground().data(&settings).unwrap();
        assert!(ground().plan(&settings).is_ok());
        assert_eq!(plan.area_code, None);
        assert_eq!(plan.extensions[0].name.as_deref(), Some("Boss"));
        assert_eq!(plan.extensions[0].devices, [DeviceId::from("front")]);
        assert_eq!(plan.extensions.len(), 2);
        assert_eq!(plan.groups.len(), 2);
        assert_eq!(plan.inbound.len(), 1);
        let caps = (plan.caps.shop.calls, plan.caps.shop.minutes, plan.caps.concurrent);
        assert_eq!(caps, (7, 1500, 30));
        assert_eq!(plan.numbers.keys().collect::<Vec<_>>(), ["*44", "600"]);
        assert_eq!(plan.location, "12 Main Street");
    }

    #[test]
    fn every_mistake_of_a_plan_is_said_at_once_and_in_words() {
        let settings = with(json!({
            "lines": [{"id": "trunk", "channels": "two"}],
            "extensions": [{"number": "103"}],
            "inbound": [{"open": {"grop": "sales"}}],
            "numbers": {"600": {"flow": 7}},
            "longest": 3,
        }));
        let problems = ground().plan(&settings).unwrap_err();
        let said = |what: &str| problems.iter().any(|p| p.contains(what));
        for what in
            ["lines.0", "extensions.2", "`devices`", "inbound.0", "`grop`", "numbers.600", "`longest`"]
        {
            assert!(said(what), "{what} is missing from {problems:#?}");
        }
        assert_eq!(problems.len(), 5, "{problems:#?}");
        let settings = with(json!({
            "country": "ZZ",
            "location": "",
            "lines": [{"id": "ghost", "channels": 1}],
            "extensions": [{"number": "911", "devices": ["nobodys"]}],
        }));
        let problems = ground().plan(&settings).unwrap_err().join("\n");
        for what in ["ghost", "`nobodys`", "\"ZZ\"", "where help is to come"] {
            assert!(problems.contains(what), "{what} is missing from {problems}");
        }
    }

    #[test]
    fn the_element_gets_phones_and_trunks_as_the_file_has_them() {
        let config = config();
        let devices = devices(&config);
        assert_eq!(devices[0].login.username, "front");
        assert_eq!(devices[0].login.password, "k7Qz-mm2W-9xTb");
        assert_eq!((devices[1].shop.as_str(), devices[1].extension.as_deref()), ("main", Some("102")));
        let trunks = trunks(&config);
        assert!(!trunks[0].register && trunks[0].login.is_none() && trunks[0].nat);
        assert_eq!(trunks[1].identity, IdentityStyle::From);
        assert_eq!(trunks[1].capabilities.as_ref().unwrap().codecs.len(), 2);
        assert!(trunks[1].media.networks[0].contains("198.51.100.9".parse().unwrap()));
        let settings = agent_settings(&config, &BTreeSet::from(["US".to_owned()]));
        assert!(settings.emergency_numbers.iter().any(|n| n == "9911"));
        assert!(settings.lan.iter().any(|n| n.contains("192.168.7.9".parse().unwrap())));
    }

    proptest::proptest! {
        #[test]
        fn no_plan_breaks_anything(text in "\\PC{0,300}", key in "[a-z_]{1,12}", n in proptest::num::i64::ANY) {
            let hostile = [
                serde_json::from_str(&text).unwrap_or(Value::Null),
                json!({ key.clone(): n }),
                json!({ "extensions": [{ "number": text.clone(), "devices": [text.clone()], "ring_s": n }] }),
                json!({ "numbers": { text.clone(): { key.clone(): text.clone() } }, "groups": [[n]] }),
                json!({ "lines": [{ "id": "trunk", "channels": n }], "outside_prefix": text.clone() }),
                json!({ "inbound": [{ "number": text.clone(), "open": key.clone() }], "caps": n }),
            ];
            for plan in hostile {
                let mut settings = ShopSettings::default();
                if settings.set("calls.plan", &plan).is_ok() {
                    let found = ground().plan(&settings);
                    proptest::prop_assert!(found.is_ok() || !found.unwrap_err().is_empty());
                }
            }
        }
    }
}
