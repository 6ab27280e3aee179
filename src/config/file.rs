//! The technician's file: TOML, read once, all mistakes together, each with its line.
//!
//! Lines, phones, signalling and sound have files of their own beside this one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::modem::{LineConfig, Port};
use super::phone::PhoneConfig;
use super::reader::{Fault, Item, Reader, place, to_json};
use super::secret::Secret;
use super::settings;
use super::sip::{MediaSection, SipSection};
use super::template::TemplateConfig;
use super::trunk::TrunkLine;
use super::upstream::UpstreamLine;
use super::web::WebSection;
use super::webhook::Endpoint;
use crate::types::{LineId, ShopId, is_this_machine};

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/backroom/backroom.toml";

/// The whole file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database lies.
    pub storage: Storage,
    /// At least one.
    pub shops: Vec<ShopConfig>,
    /// Modems. May be none: then texts wait.
    pub lines: Vec<LineConfig>,
    /// Lines of kind `sip`, in order of preference.
    pub trunks: Vec<TrunkLine>,
    /// Lines of kind `twilio`, in order of preference.
    pub upstreams: Vec<UpstreamLine>,
    /// Telephones of the shops.
    pub phones: Vec<PhoneConfig>,
    /// `[sip]`.
    pub sip: SipSection,
    /// `[media]`.
    pub media: MediaSection,
    /// `[web]`.
    pub web: WebSection,
    /// `[[webhook]]`.
    pub endpoints: Vec<Endpoint>,
    /// `[[template]]`.
    pub templates: Vec<TemplateConfig>,
}

impl Config {
    /// True when there is anybody to speak SIP with.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        !self.trunks.is_empty() || !self.phones.is_empty()
    }
}

/// `[storage]`
#[derive(Clone, Debug)]
pub struct Storage {
    /// Directory; default `/var/lib/backroom`.
    pub path: PathBuf,
    /// Free space below which an alarm is raised, in MiB; default 32.
    pub low_water_mib: u32,
    /// `backup_every`: seconds between two copies of the database beside it; default 86400, 0 makes none.
    pub backup_every: Duration,
}

/// `[[shop]]`
#[derive(Clone, Debug)]
pub struct ShopConfig {
    /// `id`.
    pub id: ShopId,
    /// `[shop.dealer]`.
    pub dealer: Option<DealerSection>,
    /// `[shop.settings]`: owner's settings that are fixed here.
    pub settings: Map<String, Value>,
}

/// `[shop.dealer]`
#[derive(Clone, Debug)]
pub struct DealerSection {
    /// `url`, without a slash at the end.
    pub url: String,
    /// From `token_file` or `token_credential`.
    pub token: Option<Secret>,
    /// `connect`, seconds; default 5.
    pub connect: Duration,
    /// `total`, seconds; default 30.
    pub total: Duration,
    /// `order`, seconds; default 30.
    pub order: Duration,
    /// `max_body_kib`; default 4096.
    pub max_body: usize,
    /// `allow_http`: permits plain `http://` beyond this machine.
    pub allow_http: bool,
}

/// Reads the file at `path`.
///
/// # Errors
/// All mistakes, in the order of the file.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| vec![Fault { line: 0, message: format!("{} cannot be read: {e}", path.display()) }])?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    parse(&text, credentials.as_deref())
}

/// Reads a file's text. `credentials` is systemd's directory of this service.
///
/// # Errors
/// All mistakes, in the order of the file.
pub fn parse(text: &str, credentials: Option<&Path>) -> Result<Config, Vec<Fault>> {
    let (root, broken) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, credentials, faults: Vec::new() };
    for error in &broken {
        let at = error.span().map_or(0, |s| s.start);
        reader.fault(at, error.message().to_owned());
    }
    let config = reader.root(root.get_ref());
    let mut faults = reader.faults;
    if faults.is_empty() {
        return Ok(config);
    }
    faults.sort_by_key(|f| f.line);
    faults.dedup();
    Err(faults)
}

/// `[[line]]`, by kind.
#[derive(Default)]
struct Lines {
    lines: Vec<LineConfig>,
    trunks: Vec<TrunkLine>,
    upstreams: Vec<UpstreamLine>,
}

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) -> Config {
        let tables = ["storage", "shop", "line", "phone", "sip", "media", "web", "webhook", "template"];
        self.known(root, "the file", &tables);
        let storage = self.storage(root.get("storage"));
        let mut shops: Vec<ShopConfig> = Vec::new();
        for (at, table) in self.tables(root.get("shop"), "shop") {
            let shop = self.shop(at, table);
            if shops.iter().any(|s| s.id == shop.id) {
                self.fault(at, format!("there are two shops with the id `{}`", shop.id));
            }
            shops.push(shop);
        }
        if shops.is_empty() && root.get("shop").is_none() {
            self.fault(self.text.len(), "there is no [[shop]]: add one with an id".to_owned());
        }
        let templates = self.templates(root, &shops);
        let Lines { lines, trunks, upstreams } = self.lines(root, &shops, &templates);
        let phones = self.phones(root, &shops);
        let sip = self.sip(root.get("sip"));
        if sip.is_deaf() && !phones.is_empty() {
            let at = place(0, root, "sip");
            self.fault(
                at,
                "[sip] listens nowhere, and there are phones: write `udp`, `tcp` or `tls`".to_owned(),
            );
        }
        let media = self.media(root.get("media"), &storage.path);
        let web = self.web(root.get("web"));
        let endpoints = self.webhooks(root, &shops);
        Config { storage, shops, lines, trunks, upstreams, phones, sip, media, web, endpoints, templates }
    }

    fn lines(&mut self, root: &DeTable<'_>, shops: &[ShopConfig], templates: &[TemplateConfig]) -> Lines {
        let mut all = Lines::default();
        let mut ids: Vec<LineId> = Vec::new();
        for (at, table) in self.tables(root.get("line"), "line") {
            let kind = table.get("kind").and_then(|k| k.get_ref().as_str()).unwrap_or("modem");
            let id = match kind {
                "sip" => self.trunk_line(at, table, shops, &mut all.trunks),
                "twilio" => {
                    let id = self.upstream_line(at, table, shops, &mut all.upstreams);
                    if let Some(line) = all.upstreams.iter().find(|l| l.id == id) {
                        self.check_outside_window(at, table, line, templates);
                    }
                    id
                }
                _ => self.modem_line(at, table, shops, &mut all.lines),
            };
            if ids.contains(&id) {
                self.fault(at, format!("there are two lines with the id `{id}`"));
            }
            ids.push(id);
        }
        all
    }

    fn trunk_line(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        shops: &[ShopConfig],
        trunks: &mut Vec<TrunkLine>,
    ) -> LineId {
        let line = self.trunk(at, table, shops);
        let account = |t: &TrunkLine| (t.domain.clone(), t.login.as_ref().map(|(name, _)| name.clone()));
        if let Some(other) = trunks.iter().find(|t| account(t) == account(&line) && line.login.is_some()) {
            self.fault(at, format!("line `{}` has the same account as line `{}`", line.id, other.id));
        }
        let id = line.id.clone();
        trunks.push(line);
        id
    }

    fn upstream_line(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        shops: &[ShopConfig],
        upstreams: &mut Vec<UpstreamLine>,
    ) -> LineId {
        let (id, line) = self.upstream(at, table, shops);
        let Some(line) = line else { return id };
        let same = |l: &&UpstreamLine| l.number == line.number && l.channel == line.channel;
        if let Some(other) = upstreams.iter().find(same) {
            self.fault(at, format!("line `{id}` has the same number as line `{}`", other.id));
        }
        upstreams.push(line);
        id
    }

    fn modem_line(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        shops: &[ShopConfig],
        lines: &mut Vec<LineConfig>,
    ) -> LineId {
        let line = self.modem(at, table, shops);
        let same = |l: &&LineConfig| l.port == line.port && line.port != Port::Any;
        if let Some(other) = lines.iter().find(same) {
            self.fault(at, format!("line `{}` has the same modem as line `{}`", line.id, other.id));
        }
        let id = line.id.clone();
        lines.push(line);
        id
    }

    fn phones(&mut self, root: &DeTable<'_>, shops: &[ShopConfig]) -> Vec<PhoneConfig> {
        let mut phones: Vec<PhoneConfig> = Vec::new();
        for (at, table) in self.tables(root.get("phone"), "phone") {
            let phone = self.phone(at, table, shops);
            if phones.iter().any(|p| p.id.as_str().eq_ignore_ascii_case(phone.id.as_str())) {
                self.fault(at, format!("there are two phones with the id `{}`", phone.id));
            }
            let same = |p: &&PhoneConfig| p.password == phone.password && !phone.password.expose().is_empty();
            if let Some(other) = phones.iter().find(same) {
                let text = format!("phone `{}` has the same password as phone `{}`", phone.id, other.id);
                self.fault(at, text);
            }
            phones.push(phone);
        }
        phones
    }

    fn storage(&mut self, item: Option<&Item<'_>>) -> Storage {
        let mut storage = Storage {
            path: PathBuf::from("/var/lib/backroom"),
            low_water_mib: 32,
            backup_every: Duration::from_secs(86_400),
        };
        let Some(item) = item else { return storage };
        let Some(table) = item.get_ref().as_table() else {
            self.bad(item, "storage", "a table");
            return storage;
        };
        self.known(table, "[storage]", &["path", "low_water_mib", "backup_every"]);
        if let Some(path) = self.string(table, "path") {
            storage.path = PathBuf::from(path);
        }
        if let Some(n) = self.integer(table, "low_water_mib", 1, 1 << 20) {
            storage.low_water_mib = n;
        }
        if let Some(every) = self.seconds(table, "backup_every") {
            storage.backup_every = every;
        }
        storage
    }

    fn shop(&mut self, at: usize, table: &DeTable<'_>) -> ShopConfig {
        self.known(table, "[[shop]]", &["id", "dealer", "settings"]);
        let id = ShopId(self.id(at, table, "[[shop]]"));
        let dealer = table.get("dealer").and_then(|item| match item.get_ref().as_table() {
            Some(dealer) => self.dealer(item.span().start, dealer),
            None => {
                self.bad(item, "dealer", "a table");
                None
            }
        });
        let mut fixed = Map::new();
        if let Some(item) = table.get("settings") {
            match item.get_ref().as_table() {
                Some(settings) => {
                    let code = ["shop.calling_code"]
                        .iter()
                        .find_map(|k| settings.get(*k))
                        .or_else(|| settings.get("shop")?.get_ref().as_table()?.get("calling_code"));
                    let country = code.and_then(|c| c.get_ref().as_str()).unwrap_or("1").to_owned();
                    self.settings(settings, "", &country, &mut fixed);
                }
                None => self.bad(item, "settings", "a table"),
            }
        }
        ShopConfig { id, dealer, settings: fixed }
    }

    /// Dotted keys and nested tables are the same in TOML: `shop.name` is `[shop.settings.shop] name`.
    fn settings(&mut self, table: &DeTable<'_>, prefix: &str, country: &str, out: &mut Map<String, Value>) {
        for (key, item) in table.iter() {
            let key = format!("{prefix}{}", key.get_ref());
            let whole = settings::find(&key).is_ok_and(|s| s.kind == settings::Kind::Document);
            if let Some(nested) = item.get_ref().as_table().filter(|_| !whole) {
                self.settings(nested, &format!("{key}."), country, out);
                continue;
            }
            let checked = to_json(item.get_ref())
                .ok_or_else(|| format!("`{key}` takes text, a number, true or false, or a list"))
                .and_then(|value| {
                    let setting = settings::find(&key).map_err(|e| e.to_string())?;
                    settings::check(setting, &value, country).map_err(|e| e.to_string())
                });
            match checked {
                Ok(value) => {
                    out.insert(key, value);
                }
                Err(message) => self.fault(item.span().start, message),
            }
        }
    }

    fn dealer(&mut self, at: usize, table: &DeTable<'_>) -> Option<DealerSection> {
        let keys = [
            "url",
            "token_file",
            "token_credential",
            "connect",
            "total",
            "order",
            "max_body_kib",
            "allow_http",
        ];
        self.known(table, "[shop.dealer]", &keys);
        let allow_http = self.boolean(table, "allow_http").unwrap_or(false);
        let url = match self.string(table, "url") {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                if table.get("url").is_none() {
                    self.fault(at, "[shop.dealer] has no `url`: write the API's address".to_owned());
                }
                return None;
            }
        };
        let place = table.get("url").map_or(at, |i| i.span().start);
        let plain = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next());
        if !(url.starts_with("https://") || plain.is_some_and(|host| allow_http || is_this_machine(host))) {
            let text =
                "`url` must begin with https:// (http:// only on this machine, or with allow_http = true)";
            self.fault(place, text.to_owned());
        }
        Some(DealerSection {
            url,
            token: self.secret(table, "token"),
            connect: self.seconds(table, "connect").unwrap_or(Duration::from_secs(5)),
            total: self.seconds(table, "total").unwrap_or(Duration::from_secs(30)),
            order: self.seconds(table, "order").unwrap_or(Duration::from_secs(30)),
            max_body: self.integer(table, "max_body_kib", 1, 1 << 20).map_or(4 << 20, |n| n as usize * 1024),
            allow_http,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read() {
        let config = parse(
            r#"
            [storage]
            path = "/tmp/x"
            [[shop]]
            id = "main"
            [shop.dealer]
            url = "http://127.0.0.1:9000/"
            total = 1.5
            [shop.settings]
            silence = 2
            shop.name = "Green Valley"
            "dealer.slow" = 0.5
            [[line]]
            id = "sim1"
            port = "/dev/modem0"
            timing.send = 30
            "#,
            None,
        )
        .unwrap();
        let shop = &config.shops[0];
        assert_eq!(shop.dealer.as_ref().unwrap().url, "http://127.0.0.1:9000");
        assert_eq!(shop.dealer.as_ref().unwrap().total, Duration::from_millis(1500));
        assert_eq!(shop.settings["shop.name"], "Green Valley");
        assert_eq!(shop.settings["dealer.slow"], 0.5);
        assert_eq!(config.lines[0].shop.as_str(), "main");
        assert_eq!(config.lines[0].timing, vec![("send".to_owned(), Duration::from_secs(30))]);
    }

    #[test]
    fn ten_mistakes_get_ten_messages_with_their_lines() {
        let text = r#"
[storage]
pth = "/tmp/x"
low_water_mib = "many"

[[shop]]
id = "ma in"
[shop.dealer]
url = "ftp://dealer"
token_file = "/nonexistent/token"
[shop.settings]
silense = 3
emoji = "maybe"

[[line]]
id = "sim1"
shop = "other"
port = "/dev/a"
imei = "12"
baud = 3
"#;
        let faults = parse(text, None).unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [3, 4, 7, 9, 10, 12, 13, 15, 17, 19, 20], "{faults:#?}");
        assert_eq!(faults[0].message, "there is no `pth` in [storage]; did you mean `path`?");
        assert_eq!(faults[5].message, "there is no setting `silense`; did you mean `silence`?");
    }

    #[test]
    fn a_dealer_is_asked_by_https_or_on_this_machine_or_as_allowed() {
        let faults = |url: &str, more: &str| {
            let text = format!("[[shop]]\nid = \"main\"\n[shop.dealer]\nurl = \"{url}\"\n{more}");
            parse(&text, None).err().unwrap_or_default()
        };
        for good in
            ["https://api.dealer.example/", "http://127.1.2.3:90", "http://localhost/x", "http://[::1]:9"]
        {
            assert_eq!(faults(good, ""), [], "{good}");
        }
        for bad in
            ["http://127.evil.example", "http://localhost.evil.example/", "http://10.0.0.1", "localhost"]
        {
            let lines: Vec<usize> = faults(bad, "").iter().map(|f| f.line).collect();
            assert_eq!(lines, [4], "{bad}");
        }
        assert_eq!(faults("http://10.0.0.1", "allow_http = true"), []);
    }

    #[test]
    fn broken_toml_is_placed_too_and_secrets_are_not_shown() {
        let faults = parse("[[shop]]\nid = \n[storage\n", None).unwrap_err();
        assert!(faults.iter().any(|f| f.line == 2), "{faults:?}");
        assert!(faults.iter().any(|f| f.line == 3), "{faults:?}");
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
