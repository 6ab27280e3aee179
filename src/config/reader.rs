//! Reading of TOML values: each takes what it expects, or notes a [`Fault`] with the line and goes on, so that all
//! mistakes are said together. What the keys mean is in the files of their sections.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::ShopConfig;
use super::settings;
use crate::types::{AudioCodec, Network, ShopId};

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

/// One table after another, with all mistakes so far.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) credentials: Option<&'t Path>,
    pub(super) faults: Vec<Fault>,
}

pub(super) type Item<'a> = Spanned<DeValue<'a>>;

/// Where the value of `key` stands; where its table does, when there is none.
pub(super) fn place(at: usize, table: &DeTable<'_>, key: &str) -> usize {
    table.get(key).map_or(at, |item| item.span().start)
}

impl Reader<'_> {
    pub(super) fn fault(&mut self, at: usize, message: String) {
        let line = self.text.get(..at).map_or(1, |t| t.matches('\n').count() + 1);
        self.faults.push(Fault { line, message });
    }

    pub(super) fn bad(&mut self, item: &Item<'_>, key: &str, want: &str) {
        let got = item.get_ref().type_str();
        self.fault(item.span().start, format!("`{key}` takes {want}, not {got}"));
    }

    /// Names every key that is not known, with the one that may be meant.
    pub(super) fn known(&mut self, table: &DeTable<'_>, place: &str, keys: &[&str]) {
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

    pub(super) fn tables<'a, 'i>(
        &mut self,
        item: Option<&'a Item<'i>>,
        key: &str,
    ) -> Vec<(usize, &'a DeTable<'i>)> {
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

    pub(super) fn shop_of(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        shops: &[ShopConfig],
        what: &str,
    ) -> ShopId {
        match (self.string(table, "shop"), shops) {
            (Some(name), _) => {
                if !shops.iter().any(|s| s.id.as_str() == name) {
                    let place = place(at, table, "shop");
                    let ids: Vec<&str> = shops.iter().map(|s| s.id.as_str()).collect();
                    self.fault(place, format!("there is no shop `{name}`; there are: {}", ids.join(", ")));
                }
                ShopId(name)
            }
            (None, [only]) => only.id.clone(),
            (None, _) => {
                if table.get("shop").is_none() {
                    self.fault(at, format!("{what} has no `shop`: say which of the shops it belongs to"));
                }
                ShopId(String::new())
            }
        }
    }

    pub(super) fn id(&mut self, at: usize, table: &DeTable<'_>, place: &str) -> String {
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

    pub(super) fn string(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let item = table.get(key)?;
        if item.get_ref().as_str().is_none() {
            self.bad(item, key, "text in quotes");
        }
        item.get_ref().as_str().map(str::to_owned)
    }

    pub(super) fn strings(&mut self, item: &Item<'_>, key: &str) -> Vec<String> {
        self.texts(item, key).into_iter().map(|(_, text)| text).collect()
    }

    /// Texts, each with its place.
    pub(super) fn texts(&mut self, item: &Item<'_>, key: &str) -> Vec<(usize, String)> {
        let Some(list) = item.get_ref().as_array() else {
            self.bad(item, key, "a list of texts");
            return Vec::new();
        };
        let mut out = Vec::new();
        for entry in list.iter() {
            match entry.get_ref().as_str() {
                Some(text) => out.push((entry.span().start, text.to_owned())),
                None => self.bad(entry, key, "a list of texts"),
            }
        }
        out
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, table: &DeTable<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(table, key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.fault(place(0, table, key), format!("`{key}` takes {}, not {text:?}", all.join(" or ")));
        }
        found
    }

    pub(super) fn networks(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<Network>> {
        let item = table.get(key)?;
        let mut networks = Vec::new();
        for (at, text) in self.texts(item, key) {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => self.fault(at, format!("`{key}`: {text:?}: {error}")),
            }
        }
        Some(networks)
    }

    /// `codecs`, best first.
    pub(super) fn codecs(&mut self, table: &DeTable<'_>) -> Option<Vec<AudioCodec>> {
        let item = table.get("codecs")?;
        let mut codecs = Vec::new();
        for (at, text) in self.texts(item, "codecs") {
            let all = [AudioCodec::Pcmu, AudioCodec::Pcma, AudioCodec::G722];
            match all.into_iter().find(|c| c.as_str().eq_ignore_ascii_case(&text)) {
                Some(codec) if codecs.contains(&codec) => {
                    self.fault(at, format!("`codecs` names {text:?} twice"));
                }
                Some(codec) => codecs.push(codec),
                None => {
                    self.fault(at, format!("`codecs` takes \"PCMU\", \"PCMA\" and \"G722\", not {text:?}"))
                }
            }
        }
        if item.get_ref().as_array().is_some_and(|list| list.is_empty()) {
            self.fault(item.span().start, "`codecs` is empty: name one at least".to_owned());
        }
        Some(codecs)
    }

    pub(super) fn boolean(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let item = table.get(key)?;
        if !item.get_ref().is_bool() {
            self.bad(item, key, "true or false");
        }
        item.get_ref().as_bool()
    }

    pub(super) fn integer(&mut self, table: &DeTable<'_>, key: &str, from: u32, to: u32) -> Option<u32> {
        let item = table.get(key)?;
        let number =
            item.get_ref().as_integer().and_then(|i| u32::from_str_radix(i.as_str(), i.radix()).ok());
        let number = number.filter(|n| (from..=to).contains(n));
        if number.is_none() {
            self.fault(item.span().start, format!("`{key}` takes a whole number from {from} to {to}"));
        }
        number
    }

    /// A whole number of a smaller type.
    pub(super) fn count<T: TryFrom<u32>>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        from: u32,
        to: u32,
    ) -> Option<T> {
        self.integer(table, key, from, to).and_then(|n| T::try_from(n).ok())
    }

    /// Seconds within bounds.
    pub(super) fn seconds_in(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        from: u64,
        to: u64,
    ) -> Option<Duration> {
        let duration = self.seconds(table, key)?;
        if !(Duration::from_secs(from)..=Duration::from_secs(to)).contains(&duration) {
            self.fault(place(0, table, key), format!("`{key}` takes {from} to {to} seconds"));
        }
        Some(duration)
    }

    pub(super) fn seconds(&mut self, table: &DeTable<'_>, key: &str) -> Option<Duration> {
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
}

pub(super) fn to_json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(i) => Value::from(i64::from_str_radix(i.as_str(), i.radix()).ok()?),
        DeValue::Float(f) => Value::from(f.as_str().parse::<f64>().ok()?),
        DeValue::Boolean(b) => Value::from(*b),
        DeValue::Array(list) => {
            Value::Array(list.iter().map(|i| to_json(i.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(key, item): (&Spanned<_>, &Item<'_>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                Some((key.clone().into_owned(), to_json(item.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Option<_>>()?)
        }
        DeValue::Datetime(_) => return None,
    })
}
