//! The technician's file: TOML, read once, all mistakes together, each with its line.
//!
//! Secrets never stand in it: a key that ends in `_file` names a file that holds one, one that ends in
//! `_credential` a systemd credential (`LoadCredential=`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings;
use crate::types::{LineId, ShopId};

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/backroom/backroom.toml";

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: hand it to the wire, not to a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The whole file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database lies.
    pub storage: Storage,
    /// At least one.
    pub shops: Vec<ShopConfig>,
    /// May be none: then texts wait.
    pub lines: Vec<LineConfig>,
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

/// How a modem is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// `port`: a stable name below `/dev`.
    Path(PathBuf),
    /// `imei`: probed for.
    Imei(String),
    /// Neither: the first that answers.
    Any,
}

/// `[[line]]`
#[derive(Clone, Debug)]
pub struct LineConfig {
    /// `id`.
    pub id: LineId,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `port`, `imei`, or neither.
    pub port: Port,
    /// `candidates`: names and `*` patterns that are probed when no port is named.
    pub candidates: Vec<String>,
    /// `baud`; default 115200.
    pub baud: u32,
    /// From `pin_file` or `pin_credential`.
    pub pin: Option<Secret>,
    /// `[line.timing]`: the engine's time-outs by name, in seconds.
    pub timing: Vec<(String, Duration)>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1; 0 when the mistake has no place.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
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

struct Reader<'t> {
    text: &'t str,
    credentials: Option<&'t Path>,
    faults: Vec<Fault>,
}

type Item<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn fault(&mut self, at: usize, message: String) {
        let line = self.text.get(..at).map_or(1, |t| t.matches('\n').count() + 1);
        self.faults.push(Fault { line, message });
    }

    fn bad(&mut self, item: &Item<'_>, key: &str, want: &str) {
        let got = item.get_ref().type_str();
        self.fault(item.span().start, format!("`{key}` takes {want}, not {got}"));
    }

    /// Names every key that is not known, with the one that may be meant.
    fn known(&mut self, table: &DeTable<'_>, place: &str, keys: &[&str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                let hint = settings::nearest(name, keys.iter().copied()).map_or_else(
                    || format!("known are {}", keys.join(", ")),
                    |n| format!("did you mean `{n}`?"),
                );
                self.fault(key.span().start, format!("there is no `{name}` in {place}; {hint}"));
            }
        }
    }

    fn root(&mut self, root: &DeTable<'_>) -> Config {
        self.known(root, "the file", &["storage", "shop", "line"]);
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
        let mut lines: Vec<LineConfig> = Vec::new();
        for (at, table) in self.tables(root.get("line"), "line") {
            let line = self.line(at, table, &shops);
            if lines.iter().any(|l| l.id == line.id) {
                self.fault(at, format!("there are two lines with the id `{}`", line.id));
            }
            let same = |l: &LineConfig| l.port == line.port && line.port != Port::Any;
            if let Some(other) = lines.iter().find(|l| same(l)) {
                self.fault(at, format!("line `{}` has the same modem as line `{}`", line.id, other.id));
            }
            lines.push(line);
        }
        Config { storage, shops, lines }
    }

    fn tables<'a, 'i>(&mut self, item: Option<&'a Item<'i>>, key: &str) -> Vec<(usize, &'a DeTable<'i>)> {
        let Some(item) = item else { return Vec::new() };
        match item.get_ref() {
            DeValue::Array(list) => {
                let mut tables = Vec::new();
                for entry in list.iter() {
                    match entry.get_ref().as_table() {
                        Some(table) => tables.push((entry.span().start, table)),
                        None => self.bad(entry, key, "a table"),
                    }
                }
                tables
            }
            DeValue::Table(_) => {
                self.fault(
                    item.span().start,
                    format!("write [[{key}]] with two brackets: there may be several"),
                );
                Vec::new()
            }
            _ => {
                self.bad(item, key, "tables, written [[…]]");
                Vec::new()
            }
        }
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
            if let Some(nested) = item.get_ref().as_table() {
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
        let local = ["http://127.", "http://localhost", "http://[::1]"].iter().any(|p| url.starts_with(p));
        let plain = allow_http && url.starts_with("http://");
        if !(url.starts_with("https://") || local || plain) {
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

    fn line(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> LineConfig {
        let keys = [
            "id",
            "shop",
            "kind",
            "port",
            "imei",
            "candidates",
            "baud",
            "pin_file",
            "pin_credential",
            "timing",
        ];
        self.known(table, "[[line]]", &keys);
        let id = LineId(self.id(at, table, "[[line]]"));
        if let Some(kind) = self.string(table, "kind").filter(|k| k != "modem") {
            let place = table.get("kind").map_or(at, |i| i.span().start);
            self.fault(place, format!("`kind` takes \"modem\", not {kind:?}"));
        }
        let shop = self.shop_of(at, table, shops);
        let path = self.string(table, "port").map(PathBuf::from);
        let imei = self.string(table, "imei");
        if let Some(bad) = imei.as_ref().filter(|i| i.len() != 15 || !i.bytes().all(|b| b.is_ascii_digit())) {
            let place = table.get("imei").map_or(at, |i| i.span().start);
            self.fault(place, format!("`imei` takes 15 digits, not {bad:?}"));
        }
        let port = match (path, imei) {
            (Some(_), Some(_)) => {
                self.fault(at, format!("line `{id}` has `port` and `imei`: write one of them"));
                Port::Any
            }
            (Some(path), None) => Port::Path(path),
            (None, Some(imei)) => Port::Imei(imei),
            (None, None) => Port::Any,
        };
        let candidates = match table.get("candidates") {
            Some(item) => self.strings(item, "candidates"),
            None => ["/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*"].map(str::to_owned).to_vec(),
        };
        let mut timing = Vec::new();
        if let Some(item) = table.get("timing") {
            match item.get_ref().as_table() {
                Some(entries) => {
                    for key in entries.keys() {
                        let name: &str = key.get_ref();
                        if let Some(duration) = self.seconds(entries, name) {
                            timing.push((name.to_owned(), duration));
                        }
                    }
                }
                None => self.bad(item, "timing", "a table"),
            }
        }
        LineConfig {
            id,
            shop,
            port,
            candidates,
            baud: self.integer(table, "baud", 300, 4_000_000).unwrap_or(115_200),
            pin: self.secret(table, "pin"),
            timing,
        }
    }

    fn shop_of(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> ShopId {
        match (self.string(table, "shop"), shops) {
            (Some(name), _) => {
                if !shops.iter().any(|s| s.id.as_str() == name) {
                    let place = table.get("shop").map_or(at, |i| i.span().start);
                    let ids: Vec<&str> = shops.iter().map(|s| s.id.as_str()).collect();
                    self.fault(place, format!("there is no shop `{name}`; there are: {}", ids.join(", ")));
                }
                ShopId(name)
            }
            (None, [only]) => only.id.clone(),
            (None, _) => {
                if table.get("shop").is_none() {
                    self.fault(at, "[[line]] has no `shop`: say which of the shops it belongs to".to_owned());
                }
                ShopId(String::new())
            }
        }
    }

    fn id(&mut self, at: usize, table: &DeTable<'_>, place: &str) -> String {
        match self.string(table, "id") {
            Some(id) => {
                let ok = !id.is_empty()
                    && id.len() <= 64
                    && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                if !ok {
                    let at = table.get("id").map_or(at, |i| i.span().start);
                    self.fault(at, format!("`id` takes letters, digits, - and _, not {id:?}"));
                }
                id
            }
            None => {
                if table.get("id").is_none() {
                    self.fault(at, format!("{place} has no `id`: give it a short name"));
                }
                String::new()
            }
        }
    }

    fn string(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let item = table.get(key)?;
        if item.get_ref().as_str().is_none() {
            self.bad(item, key, "text in quotes");
        }
        item.get_ref().as_str().map(str::to_owned)
    }

    fn strings(&mut self, item: &Item<'_>, key: &str) -> Vec<String> {
        let Some(list) = item.get_ref().as_array() else {
            self.bad(item, key, "a list of texts");
            return Vec::new();
        };
        let mut out = Vec::new();
        for entry in list.iter() {
            match entry.get_ref().as_str() {
                Some(text) => out.push(text.to_owned()),
                None => self.bad(entry, key, "a list of texts"),
            }
        }
        out
    }

    fn boolean(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let item = table.get(key)?;
        if !item.get_ref().is_bool() {
            self.bad(item, key, "true or false");
        }
        item.get_ref().as_bool()
    }

    fn integer(&mut self, table: &DeTable<'_>, key: &str, from: u32, to: u32) -> Option<u32> {
        let item = table.get(key)?;
        let number =
            item.get_ref().as_integer().and_then(|i| u32::from_str_radix(i.as_str(), i.radix()).ok());
        let number = number.filter(|n| (from..=to).contains(n));
        if number.is_none() {
            self.fault(item.span().start, format!("`{key}` takes a whole number from {from} to {to}"));
        }
        number
    }

    fn seconds(&mut self, table: &DeTable<'_>, key: &str) -> Option<Duration> {
        let item = table.get(key)?;
        let number: Option<f64> = match item.get_ref() {
            DeValue::Integer(i) => i.as_str().parse().ok(),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => None,
        };
        let duration =
            number.filter(|n| *n >= 0.0 && *n <= 1e9).and_then(|n| Duration::try_from_secs_f64(n).ok());
        if duration.is_none() {
            self.fault(item.span().start, format!("`{key}` takes seconds, whole or fractional, from 0"));
        }
        duration
    }

    fn secret(&mut self, table: &DeTable<'_>, name: &str) -> Option<Secret> {
        let (file, credential) = (format!("{name}_file"), format!("{name}_credential"));
        let named = self.string(table, &file).map(|p| (file.clone(), PathBuf::from(p)));
        let granted = self.string(table, &credential);
        let (key, path) = match (named, granted) {
            (Some((key, _)), Some(_)) => {
                let at = table.get(key.as_str()).map_or(0, |i| i.span().start);
                self.fault(at, format!("`{key}` and `{credential}` say the same: write one of them"));
                return None;
            }
            (Some(found), None) => found,
            (None, Some(granted)) => match self.credentials {
                Some(directory) => (credential, directory.join(granted)),
                None => {
                    let at = table.get(credential.as_str()).map_or(0, |i| i.span().start);
                    self.fault(
                        at,
                        format!("`{credential}` needs systemd's LoadCredential=; use `{file}` elsewhere"),
                    );
                    return None;
                }
            },
            (None, None) => return None,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                let at = table.get(key.as_str()).map_or(0, |i| i.span().start);
                self.fault(at, format!("{} is empty", path.display()));
                None
            }
            Ok(text) => Some(Secret(text.trim().to_owned())),
            Err(error) => {
                let at = table.get(key.as_str()).map_or(0, |i| i.span().start);
                self.fault(at, format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }
}

fn to_json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(i) => Value::from(i64::from_str_radix(i.as_str(), i.radix()).ok()?),
        DeValue::Float(f) => Value::from(f.as_str().parse::<f64>().ok()?),
        DeValue::Boolean(b) => Value::from(*b),
        DeValue::Array(list) => {
            Value::Array(list.iter().map(|i| to_json(i.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
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
    fn broken_toml_is_placed_too_and_secrets_are_not_shown() {
        let faults = parse("[[shop]]\nid = \n[storage\n", None).unwrap_err();
        assert!(faults.iter().any(|f| f.line == 2), "{faults:?}");
        assert!(faults.iter().any(|f| f.line == 3), "{faults:?}");
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
