//! `[[line]]` of kind `twilio`: a number at Twilio, its account and how often it is asked. Where its webhooks come in is
//! `[web]`'s.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::file::ShopConfig;
use super::reader::{Reader, place};
use super::secret::Secret;
use crate::types::{Channel, LineId, PhoneNumber, ShopId, is_this_machine};

/// `[[line]]` of kind `twilio`: a number at Twilio, or at a carrier that speaks as Twilio does.
#[derive(Clone, Debug)]
pub struct UpstreamLine {
    /// `id`.
    pub id: LineId,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `account`: `AC` and 32 hex digits.
    pub account: String,
    /// `api_key` (`SK...`) with `api_secret_file` or `api_secret_credential`: the better one, it can be revoked by
    /// itself. Without it the account's token is used.
    pub api_key: Option<(String, Secret)>,
    /// From `auth_token_file` or `auth_token_credential`: what webhooks are signed with.
    pub auth_token: Option<Secret>,
    /// `number`: ours, E.164.
    pub number: PhoneNumber,
    /// `channel`: `sms` (default) or `whatsapp`.
    pub channel: Channel,
    /// `messaging_service`: `MG...`, sends by it in place of the number.
    pub messaging_service: Option<String>,
    /// `api_url`; default `https://api.twilio.com`. Plain http only on this machine.
    pub api_url: String,
    /// `studio_url`; default `https://studio.twilio.com`.
    pub studio_url: String,
    /// `accounts_url`: where Twilio is told who wants texts; default `https://accounts.twilio.com` where `api_url` is
    /// Twilio's. Another carrier's credentials never go there by themselves.
    pub accounts_url: Option<String>,
    /// `consent_sync`: tell Twilio of STOP and START that came another way. Default: wherever that can be, which is not
    /// for WhatsApp, and not at a carrier that names no `accounts_url`.
    pub consent_sync: bool,
    /// `content_url`; default `https://content.twilio.com`, or `api_url` where that is not Twilio's.
    pub content_url: String,
    /// `public_url`: where the upstream reaches `[web]`, without a slash at the end. Without it the box only polls.
    pub public_url: Option<String>,
    /// `poll`: while somebody writes; default 5 s.
    pub poll: Duration,
    /// `poll_idle`: otherwise; default 30 s.
    pub poll_idle: Duration,
    /// `overlap`: how far back each polling looks; default 15 minutes.
    pub overlap: Duration,
    /// `max_media_kib` of one file; default 5120 (Twilio's own bound).
    pub max_media: usize,
    /// `outside_window`: the id of the `[[template]]` that carries free words when a person's last WhatsApp text is older
    /// than 24 hours. Without it such texts are refused.
    pub outside_window: Option<String>,
    /// `cost`: of one text, in cents and fractions, for the choice of line; default 1.0. A modem's is 0.
    pub cost: f64,
}

const KEYS: [&str; 24] = [
    "id",
    "shop",
    "kind",
    "account",
    "api_key",
    "api_secret_file",
    "api_secret_credential",
    "auth_token_file",
    "auth_token_credential",
    "number",
    "channel",
    "messaging_service",
    "api_url",
    "studio_url",
    "accounts_url",
    "consent_sync",
    "content_url",
    "public_url",
    "poll",
    "poll_idle",
    "overlap",
    "max_media_kib",
    "outside_window",
    "cost",
];

fn is_twilio(url: &str) -> bool {
    let host = url.strip_prefix("https://").unwrap_or_default();
    host.split(['/', ':']).next().is_some_and(|host| host.ends_with(".twilio.com"))
}

impl Reader<'_> {
    /// The line, when it has a number; its id in any case.
    pub(super) fn upstream(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        shops: &[ShopConfig],
    ) -> (LineId, Option<UpstreamLine>) {
        self.known(table, "[[line]] of kind \"twilio\"", &KEYS);
        let id = LineId(self.id(at, table, "[[line]]"));
        let shop = self.shop_of(at, table, shops, "[[line]]");
        let (api_key, auth_token) = self.credentials(at, table);
        let channels = [("sms", Channel::Sms), ("whatsapp", Channel::WhatsApp)];
        let poll = self.seconds_between(table, "poll", 0.2, 300.0).unwrap_or(Duration::from_secs(5));
        let idle = self.seconds_between(table, "poll_idle", 0.2, 3600.0);
        if idle.is_some_and(|idle| idle < poll) {
            let text = "`poll_idle` is shorter than `poll`: it is for when nobody writes".to_owned();
            self.fault(place(at, table, "poll_idle"), text);
        }
        let url = |reader: &mut Self, key, default: &str| {
            reader.base_url(at, table, key).unwrap_or_else(|| default.to_owned())
        };
        let account = self.sid(at, table, "account", "AC");
        if !table.contains_key("account") {
            let text = "[[line]] of kind \"twilio\" has no `account`: write its SID, AC and 32 digits";
            self.fault(at, text.to_owned());
        }
        let number = self.own_number(at, table);
        let channel = self.word(table, "channel", &channels).unwrap_or_default();
        let messaging_service = self.sid(at, table, "messaging_service", "MG");
        let api_url = url(self, "api_url", "https://api.twilio.com");
        let studio_url = url(self, "studio_url", "https://studio.twilio.com");
        let (accounts_url, consent_sync) = self.consent_sync(at, table, &api_url, channel);
        // Another carrier's credentials never go to Twilio by themselves.
        let content = if is_twilio(&api_url) { "https://content.twilio.com" } else { &api_url };
        let content_url = url(self, "content_url", content);
        let public_url = self.base_url(at, table, "public_url");
        let overlap = self.seconds_in(table, "overlap", 60, 86_400).unwrap_or(Duration::from_secs(900));
        let max_media =
            self.integer(table, "max_media_kib", 1, 102_400).map_or(5 << 20, |n| n as usize * 1024);
        let outside_window = self.string(table, "outside_window");
        let cost = self.cost(table).unwrap_or(1.0);
        let line = number.map(|number| UpstreamLine {
            id: id.clone(),
            shop,
            account: account.unwrap_or_default(),
            api_key,
            auth_token,
            number,
            channel,
            messaging_service,
            api_url,
            studio_url,
            accounts_url,
            consent_sync,
            content_url,
            public_url,
            poll,
            poll_idle: idle.unwrap_or(Duration::from_secs(30)).max(poll),
            overlap,
            max_media,
            outside_window,
            cost,
        });
        (id, line)
    }

    fn consent_sync(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        api_url: &str,
        channel: Channel,
    ) -> (Option<String>, bool) {
        let told = self.base_url(at, table, "accounts_url");
        let twilio = is_twilio(api_url).then(|| "https://accounts.twilio.com".to_owned());
        let accounts_url = told.or(twilio);
        let wanted = self.boolean(table, "consent_sync");
        let why_not = match (&accounts_url, channel) {
            (_, Channel::WhatsApp) => Some("no upstream takes that for WhatsApp, its SMS line does"),
            (None, Channel::Sms) => Some("`api_url` is not Twilio's: write `accounts_url` too"),
            (Some(_), Channel::Sms) => None,
        };
        if let (Some(why), Some(true)) = (why_not, wanted) {
            self.fault(place(at, table, "consent_sync"), format!("`consent_sync` cannot be: {why}"));
        }
        (accounts_url, why_not.is_none() && wanted.unwrap_or(true))
    }

    fn credentials(&mut self, at: usize, table: &DeTable<'_>) -> (Option<(String, Secret)>, Option<Secret>) {
        let names = |name: &str| {
            [format!("{name}_file"), format!("{name}_credential")]
                .iter()
                .any(|k| table.contains_key(k.as_str()))
        };
        let (has_key, has_secret) = (table.contains_key("api_key"), names("api_secret"));
        let key = self.sid(at, table, "api_key", "SK");
        let secret = self.secret(table, "api_secret");
        let token = self.secret(table, "auth_token");
        match (has_key, has_secret) {
            (true, false) => {
                let text = "`api_key` needs its secret: write `api_secret_file`".to_owned();
                self.fault(place(at, table, "api_key"), text);
            }
            (false, true) => self.fault(at, "a secret is there and no `api_key`".to_owned()),
            (false, false) if !names("auth_token") => {
                let text = "[[line]] of kind \"twilio\" has no credentials: write `api_key` and \
                            `api_secret_file`, or `auth_token_file`";
                self.fault(at, text.to_owned());
            }
            (true, true) | (false, false) => {}
        }
        (key.zip(secret), token)
    }

    /// A SID: two letters and 32 hex digits.
    pub(super) fn sid(&mut self, at: usize, table: &DeTable<'_>, key: &str, letters: &str) -> Option<String> {
        let sid = self.string(table, key)?;
        let digits = sid.strip_prefix(letters).unwrap_or_default();
        if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Some(sid);
        }
        let text = format!("`{key}` takes {letters} and 32 hexadecimal digits, not {sid:?}");
        self.fault(place(at, table, key), text);
        Some(sid)
    }

    fn own_number(&mut self, at: usize, table: &DeTable<'_>) -> Option<PhoneNumber> {
        if !table.contains_key("number") {
            let text = "[[line]] of kind \"twilio\" has no `number`: write it as +12065550199".to_owned();
            self.fault(at, text);
        }
        let read = PhoneNumber::parse(&self.string(table, "number")?, None);
        if let Err(error) = &read {
            self.fault(place(at, table, "number"), format!("`number`: {error}"));
        }
        read.ok()
    }

    /// `https://host[:port][/path]`, or plain http on this machine: credentials and texts travel by it.
    fn base_url(&mut self, at: usize, table: &DeTable<'_>, key: &str) -> Option<String> {
        let url = self.string(table, key)?.trim_end_matches('/').to_owned();
        let (rest, secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => ("", false),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let nobody = authority.is_empty() || authority.starts_with(':') || authority.starts_with("[]");
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '@' | '"' | '\\');
        if nobody || rest.contains(odd) || !(secure || is_this_machine(authority)) {
            let text =
                format!("`{key}` must begin with https:// (http:// only on this machine) and end before ?");
            self.fault(place(at, table, key), text);
        }
        Some(url)
    }

    fn seconds_between(&mut self, table: &DeTable<'_>, key: &str, from: f64, to: f64) -> Option<Duration> {
        let duration = self.seconds(table, key)?;
        if !(from..=to).contains(&duration.as_secs_f64()) {
            self.fault(place(0, table, key), format!("`{key}` takes {from} to {to} seconds"));
        }
        Some(duration)
    }

    fn cost(&mut self, table: &DeTable<'_>) -> Option<f64> {
        let item = table.get("cost")?;
        let cost: Option<f64> = match item.get_ref() {
            DeValue::Integer(i) => i.as_str().parse().ok(),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => None,
        };
        let cost = cost.filter(|cost| (0.0..=1000.0).contains(cost));
        if cost.is_none() {
            let text = "`cost` takes cents of one text, whole or fractional, from 0 to 1000".to_owned();
            self.fault(item.span().start, text);
        }
        cost
    }
}

impl UpstreamLine {
    /// For whom consent is told: the messaging service that texts leave by, or the number. `None`: it is not told.
    #[must_use]
    pub fn consent_sender(&self) -> Option<String> {
        let sender = self.messaging_service.clone().unwrap_or_else(|| self.number.to_string());
        self.consent_sync.then_some(sender)
    }

    /// The cost of one text in thousandths of a cent; a silly one is cut off at a dollar.
    #[must_use]
    pub fn cost_millicents(&self) -> u32 {
        // By way of its digits: within bounds and whole, it is one.
        format!("{:.0}", (self.cost * 1000.0).clamp(0.0, 100_000.0)).parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod simulated {
    use super::*;

    impl UpstreamLine {
        /// A number of the shop "main" at a simulator, where all products are at one address. It has no credentials, and
        /// tells nobody of consent.
        pub(crate) fn simulated(url: &str, number: &str) -> Self {
            Self {
                id: LineId::from("tw"),
                shop: ShopId::from("main"),
                account: "AC00000000000000000000000000000001".to_owned(),
                api_key: None,
                auth_token: None,
                number: PhoneNumber::parse(number, None).unwrap(),
                channel: Channel::Sms,
                messaging_service: None,
                api_url: url.to_owned(),
                studio_url: url.to_owned(),
                accounts_url: None,
                consent_sync: false,
                content_url: url.to_owned(),
                outside_window: None,
                public_url: None,
                poll: Duration::from_secs(5),
                poll_idle: Duration::from_secs(30),
                overlap: Duration::from_secs(900),
                max_media: 1 << 20,
                cost: 1.0,
            }
        }
    }
}
