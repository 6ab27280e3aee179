//! `backroom settings`: read, set, export and import the owner's settings. A running daemon makes the change, and it
//! holds at once; else it is made in the database.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::texts::{choose_shop, wall_now};
use crate::config::settings::{SETTINGS, ShopSettings, find};
use crate::config::{Config, ShopConfig};
use crate::daemon::calls_setup::PlanGround;
use crate::daemon::clock::boot_id;
use crate::daemon::control::{self, Ask};
use crate::store::{self, Op, Options, Reader, SettingRow, StoreError, Transaction};
use crate::types::{Mono, Now};

#[derive(Debug, Subcommand)]
pub(super) enum Settings {
    /// Show one, or all with what they mean
    Get {
        /// Dotted key; all when left out.
        key: Option<String>,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Change one: `settings set silence 600`
    Set {
        /// Dotted key.
        key: String,
        /// Text, a number, true or false, or JSON; `default` brings the default back.
        value: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Write those that were changed as one JSON object
    Export {
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Read a JSON object of settings from a file, or from standard input with `-`; all or none are taken
    Import {
        /// The file.
        file: std::path::PathBuf,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
}

pub(super) fn run(config: &Config, command: Settings) -> Result<(), String> {
    match command {
        Settings::Get { key, shop } => get(config, choose_shop(config, shop.as_deref())?, key.as_deref()),
        Settings::Set { key, value, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let setting = find(&key).map_err(|e| e.to_string())?;
            let value = parse_value(&value);
            // Said before the daemon is asked, so that a mistake reads the same with and without one.
            let mut next = effective(config, shop)?;
            next.set(setting.key, &value).map_err(|e| e.to_string())?;
            plan_problems(config, shop, &next, [setting.key].into_iter())?;
            change(config, shop, Map::from_iter([(key, value)]))
        }
        Settings::Export { shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let stored: Map<String, Value> =
                rows(config, shop)?.into_iter().map(|r| (r.key, r.value)).collect();
            println!("{}", serde_json::to_string_pretty(&stored).map_err(|e| e.to_string())?);
            Ok(())
        }
        Settings::Import { file, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let text = read(&file)?;
            let values: Map<String, Value> =
                serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
            let count = values.len();
            change(config, shop, values)?;
            println!("{count} settings");
            Ok(())
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut f| f.read_to_string(&mut text))
    };
    read.map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(text)
}

/// JSON where it is JSON, else text: `600`, `true`, `["+1206…"]`, `Green Valley`.
fn parse_value(text: &str) -> Value {
    if text == "default" {
        return Value::Null;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::String(_))) => value,
        Ok(_) | Err(_) => Value::from(text),
    }
}

fn rows(config: &Config, shop: &ShopConfig) -> Result<Vec<SettingRow>, String> {
    if !config.storage.path.join(store::FILE).exists() {
        return Ok(Vec::new());
    }
    let reader = Reader::open(&config.storage.path).map_err(|e| e.to_string())?;
    reader.settings(&shop.id).map_err(|e| e.to_string())
}

/// A dial plan that could not be dialled by is not taken.
fn plan_problems<'k>(
    config: &Config,
    shop: &ShopConfig,
    settings: &ShopSettings,
    mut keys: impl Iterator<Item = &'k str>,
) -> Result<(), String> {
    let ground = PlanGround::of(config, &shop.id);
    if ground.is_empty() || !keys.any(|key| key.starts_with("calls.")) {
        return Ok(());
    }
    ground.plan(settings).map(drop).map_err(|problems| problems.join("\n"))
}

pub(super) fn effective(config: &Config, shop: &ShopConfig) -> Result<ShopSettings, String> {
    let mut settings = ShopSettings::default();
    for row in rows(config, shop)? {
        // What an older version stored and this one does not know is the daemon's to say.
        let _old = settings.set(&row.key, &row.value);
    }
    for (key, value) in &shop.settings {
        settings.set(key, value).map_err(|e| e.to_string())?;
    }
    Ok(settings)
}

fn get(config: &Config, shop: &ShopConfig, key: Option<&str>) -> Result<(), String> {
    let settings = effective(config, shop)?;
    if let Some(key) = key {
        let setting = find(key).map_err(|e| e.to_string())?;
        println!("{}", plain(settings.get(setting.key)));
        return Ok(());
    }
    for setting in SETTINGS {
        let fixed =
            if shop.settings.contains_key(setting.key) { " (fixed in the configuration file)" } else { "" };
        println!(
            "{} = {}\n    {}{fixed}; default {}",
            setting.key,
            settings.get(setting.key),
            setting.doc,
            setting.default
        );
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Through the daemon, or in the database when none runs.
fn change(config: &Config, shop: &ShopConfig, values: Map<String, Value>) -> Result<(), String> {
    let by = format!("command line ({})", std::env::var("USER").unwrap_or_else(|_| "?".to_owned()));
    let ask = Ask::Set { shop: shop.id.to_string(), values: values.clone(), by: by.clone() };
    if control::ask(&config.storage.path, &ask)?.is_some() {
        return Ok(());
    }
    let mut errors = Vec::new();
    let mut next = effective(config, shop)?;
    for (key, value) in &values {
        if shop.settings.contains_key(key) {
            errors.push(format!("`{key}` is fixed in the configuration file"));
        } else if let Err(error) = next.set(key, value) {
            errors.push(error.to_string());
        }
    }
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    plan_problems(config, shop, &next, values.keys().map(String::as_str))?;
    let wall = wall_now();
    let mut ops = Vec::new();
    for (key, value) in &values {
        let stored = if value.is_null() { Value::Null } else { next.get(key).clone() };
        let shop = shop.id.clone();
        ops.push(Op::PutSetting(SettingRow { shop, key: key.clone(), value: stored, by: by.clone(), wall }));
    }
    write(config, ops).map_err(|e| e.to_string())
}

pub(super) fn write(config: &Config, ops: Vec<Op>) -> Result<(), StoreError> {
    let boot = boot_id().unwrap_or_default();
    let now = Now { mono: Mono(0), wall: wall_now(), wall_sure: true };
    let (store, ..) = store::open(&Options::new(&config.storage.path, boot), now)?;
    if let Err(error) = store.submit(Transaction { ops }) {
        return Err(StoreError::Closed { why: Some(error.to_string()) });
    }
    // Closing commits what is queued, or says why not.
    store.close()?;
    if let Err(error) = give_to_owner(&config.storage.path) {
        eprintln!("backroom: {}: {error}", config.storage.path.display());
    }
    Ok(())
}

/// What root makes before the first start belongs to the directory's owner: the daemon could not open it.
fn give_to_owner(directory: &Path) -> std::io::Result<()> {
    let owner = std::fs::metadata(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.metadata()?.uid() != owner.uid() {
            std::os::unix::fs::lchown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}
