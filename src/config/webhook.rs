//! `[[webhook]]`: the endpoints that hear of the box's own events, and the kinds of events that there are.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use toml::de::DeTable;

use super::file::ShopConfig;
use super::reader::{Reader, place};
use super::secret::Secret;
use super::settings;
use crate::types::{ShopId, is_this_machine};

/// All kinds of events that the box tells.
pub const EVENT_KINDS: &[&str] = &[
    "call.ended",
    "call.started",
    "consent.changed",
    "flow.ended",
    "line.down",
    "line.up",
    "message.delivered",
    "message.failed",
    "message.received",
    "message.sent",
    "message.unknown",
    "order.confirmed",
    "order.refused",
    "order.unknown",
];

/// A secret shorter than this can be guessed. Bytes.
const SECRET_LEAST: usize = 16;

/// Endpoints of one box: each event is a row for each of them.
const ENDPOINTS_MOST: usize = 16;

/// `[[webhook]]`: an endpoint that hears of the box's own events.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `id`.
    pub id: String,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `url`; plain http only on this machine, or with `allow_http`.
    pub url: String,
    /// From `secret_file` or `secret_credential`: signs what is sent.
    pub secret: Secret,
    /// `events`: kinds (`message.received`) and `*` patterns (`message.*`); default all.
    pub events: Vec<String>,
    /// `allow_http`: permits plain `http://` beyond this machine.
    pub allow_http: bool,
    /// `bodies`: whether the words of texts are told too. Default true: it is the shop's own endpoint, and a program
    /// that is to act on a text must read it.
    pub bodies: bool,
}

/// Whether a kind is one of a pattern's: `*` stands for any characters.
#[must_use]
pub fn matches_kind(pattern: &str, kind: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| kind.strip_prefix(first)) else { return false };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    let mut last = "";
    for part in parts {
        last = part;
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or("");
    }
    rest.is_empty() || kind.ends_with(last)
}

impl Reader<'_> {
    pub(super) fn webhooks(&mut self, root: &DeTable<'_>, shops: &[ShopConfig]) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (at, table) in self.tables(root.get("webhook"), "webhook") {
            let endpoint = self.webhook(at, table, shops);
            if endpoints.iter().any(|e| e.id == endpoint.id) {
                self.fault(at, format!("there are two webhooks with the id `{}`", endpoint.id));
            }
            if endpoints.len() == ENDPOINTS_MOST {
                self.fault(
                    at,
                    format!("{ENDPOINTS_MOST} webhooks are the most: let one of them hand events on"),
                );
            }
            endpoints.push(endpoint);
        }
        endpoints
    }

    fn webhook(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> Endpoint {
        let keys =
            ["id", "shop", "url", "secret_file", "secret_credential", "events", "allow_http", "bodies"];
        self.known(table, "[[webhook]]", &keys);
        let id = self.id(at, table, "[[webhook]]");
        let shop = self.shop_of(at, table, shops, "[[webhook]]");
        let allow_http = self.boolean(table, "allow_http").unwrap_or(false);
        let url = self.string(table, "url");
        match &url {
            Some(text) => {
                if let Err(why) = check_url(text, allow_http) {
                    self.fault(place(at, table, "url"), why);
                }
            }
            None if table.get("url").is_none() => {
                self.fault(at, "[[webhook]] has no `url`: write where events are sent".to_owned());
            }
            None => {}
        }
        Endpoint {
            id,
            shop,
            url: url.unwrap_or_default(),
            secret: self.webhook_secret(at, table),
            events: self.event_patterns(table),
            allow_http,
            bodies: self.boolean(table, "bodies").unwrap_or(true),
        }
    }

    fn webhook_secret(&mut self, at: usize, table: &DeTable<'_>) -> Secret {
        let named = ["secret_file", "secret_credential"].into_iter().find(|key| table.get(*key).is_some());
        let Some(key) = named else {
            let text = "[[webhook]] has no `secret_file`: without a signature nobody can tell that an event is the \
                        box's; `openssl rand -base64 32` makes one";
            self.fault(at, text.to_owned());
            return Secret::new("");
        };
        let Some(secret) = self.secret(table, "secret") else { return Secret::new("") };
        if let Err(why) = secret_bytes(secret.expose()) {
            self.fault(place(at, table, key), format!("the webhook's secret {why}"));
        }
        secret
    }

    fn event_patterns(&mut self, table: &DeTable<'_>) -> Vec<String> {
        let Some(item) = table.get("events") else { return vec!["*".to_owned()] };
        let texts = self.texts(item, "events");
        if texts.is_empty() && item.get_ref().as_array().is_some() {
            let text = "`events` is empty: name some, or leave it out for all".to_owned();
            self.fault(item.span().start, text);
        }
        for (at, pattern) in &texts {
            if EVENT_KINDS.iter().any(|kind| matches_kind(pattern, kind)) {
                continue;
            }
            let hint = settings::nearest(pattern, EVENT_KINDS.iter().copied()).map_or_else(
                || format!("there are {}", EVENT_KINDS.join(", ")),
                |n| format!("did you mean {n:?}?"),
            );
            self.fault(*at, format!("no event is called {pattern:?}; {hint}"));
        }
        texts.into_iter().map(|(_, pattern)| pattern).collect()
    }
}

const WITH_OR_WITHOUT_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the secret's text stands for: `whsec_` and base64 as in Standard Webhooks, or the text itself.
///
/// # Errors
/// What is wrong with it, as the end of a sentence; without the secret.
pub fn secret_bytes(text: &str) -> Result<Vec<u8>, String> {
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => WITH_OR_WITHOUT_PADDING
            .decode(encoded)
            .map_err(|_| "begins with whsec_ and is not base64 after it".to_owned())?,
        None => text.as_bytes().to_vec(),
    };
    if bytes.len() < SECRET_LEAST {
        return Err(format!("is shorter than {SECRET_LEAST} bytes: `openssl rand -base64 32` makes one"));
    }
    Ok(bytes)
}

/// https, or plain http where that is no risk or allowed.
fn check_url(text: &str, allow_http: bool) -> Result<(), String> {
    let url = reqwest::Url::parse(text).map_err(|why| format!("`url` cannot be read: {why}"))?;
    let Some(host) = url.host_str() else { return Err("`url` has no host".to_owned()) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` has a user in it: events are signed with the secret instead".to_owned());
    }
    if url.fragment().is_some() {
        return Err("`url` has a # in it: nobody would hear what is after it".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_this_machine(host) || allow_http => Ok(()),
        _ => Err("`url` must begin with https:// (http:// only on this machine, or with allow_http = true)"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::parse;

    fn secret(dir: &tempfile::TempDir, text: &str) -> String {
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_webhook_is_read_and_its_defaults_are_all_events_with_bodies() {
        let dir = tempfile::tempdir().unwrap();
        let file = secret(&dir, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
        let text = format!(
            "[[shop]]\nid = \"main\"\n[[webhook]]\nid = \"crm\"\nurl = \"https://crm.example/hook?x=1\"\n\
             secret_file = \"{file}\"\n[[webhook]]\nid = \"pos\"\nurl = \"http://192.168.1.7/e\"\nallow_http = true\n\
             secret_file = \"{file}\"\nevents = [\"message.*\", \"line.down\"]\nbodies = false\n"
        );
        let endpoints = parse(&text, None).unwrap().endpoints;
        assert_eq!(endpoints[0].events, ["*"]);
        assert!(endpoints[0].bodies && !endpoints[0].allow_http);
        assert_eq!(endpoints[0].shop.as_str(), "main");
        assert_eq!(endpoints[1].events, ["message.*", "line.down"]);
        assert!(!endpoints[1].bodies);
        assert_eq!(secret_bytes(endpoints[0].secret.expose()).unwrap().len(), 24);
    }

    #[test]
    fn each_mistake_in_a_webhook_is_said_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let short = secret(&dir, "whsec_c2hvcnQ=");
        let text = format!(
            r#"
[[shop]]
id = "main"

[[webhook]]
id = "one"
url = "http://crm.example/hook"
secret_file = "{short}"
events = ["message.recieved", "line.*"]
bodys = false

[[webhook]]
id = "one"
shop = "other"
url = "https://me:secret@crm.example/"
events = []

[[webhook]]
id = "three"
secret_file = "/nonexistent/secret"
"#
        );
        let faults = parse(&text, None).unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [7, 8, 9, 10, 12, 12, 14, 15, 16, 18, 20], "{faults:#?}");
        let all = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(all.contains("did you mean \"message.received\"?"), "{all}");
        assert!(!all.contains("c2hvcnQ"), "{all}");
    }

    #[test]
    fn patterns_match_kinds_by_their_stars() {
        for (pattern, kind, matches) in [
            ("*", "line.up", true),
            ("message.*", "message.sent", true),
            ("message.*", "order.sent", false),
            ("*.unknown", "order.unknown", true),
            ("*.unknown", "message.sent", false),
            ("line.up", "line.up", true),
            ("line.up", "line.upper", false),
            ("m*e.*d", "message.received", true),
            ("m*e.*x", "message.received", false),
            ("", "line.up", false),
        ] {
            assert_eq!(matches_kind(pattern, kind), matches, "{pattern} {kind}");
        }
        assert!(EVENT_KINDS.windows(2).all(|w| w[0] < w[1]));
    }
}
