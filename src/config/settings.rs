//! The owner's settings: one registry of keys with kinds, defaults and words, and [`ShopSettings`], what they
//! mean together. The technician may fix any of them in his file (`[shop.settings]`); then they are read-only
//! elsewhere. Durations are whole or fractional seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Weekday;
use serde_json::Value;

use crate::types::{PhoneNumber, Wall};

/// What a setting's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A phone number, or empty.
    Phone,
    /// A list of phone numbers.
    Phones,
    /// `true` or `false`.
    Switch,
    /// Seconds, whole or fractional, not negative.
    Seconds,
    /// A whole number from 1.
    Count,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IANA zone: `America/Los_Angeles`.
    Zone,
    /// A country calling code without plus: `1`.
    CallingCode,
    /// `09:00-17:30`, `closed`, or several spans with commas.
    Hours,
    /// `2026-12-25`, several with commas, or empty.
    Dates,
    /// A country's two letters: `US`.
    Country,
    /// A JSON object, checked further by who reads it.
    Document,
    /// Whole hours of a day: `9-20`, the end excluded.
    Window,
}

/// One entry of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Dotted key.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// JSON text of its default.
    pub default: &'static str,
    /// For people.
    pub doc: &'static str,
}

const fn setting(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { key, kind, default, doc }
}

/// How far ahead the next opening is looked for, in days: longer than any shop's holidays.
const OPENS_WITHIN: u32 = 62;

const AUTO: Kind = Kind::Choice(&["auto", "yes", "no"]);
const WEEKDAY: &str = "\"09:00-17:30\"";

/// All settings, by key.
pub const SETTINGS: &[Setting] = &[
    setting(
        "calls.country",
        Kind::Country,
        "\"US\"",
        "country of the shop: its emergency numbers, and what is abroad",
    ),
    setting(
        "calls.location",
        Kind::Text,
        "\"\"",
        "where help is to come when somebody in the shop calls for it: street, number, floor",
    ),
    setting(
        "calls.missed_text",
        Kind::Text,
        "\"Sorry we missed your call to {shop}. You can text us here instead.\"",
        "what a caller reads whom nobody answered; {shop} stands for the shop's name",
    ),
    setting(
        "calls.plan",
        Kind::Document,
        "{}",
        "who rings when the shop is called, and who may call what; what is not written here follows from the phones \
         and lines (`backroom plan` shows it)",
    ),
    setting(
        "consent.upstream_answers",
        Kind::Switch,
        "true",
        "the upstream answers STOP, START and HELP on its numbers itself, as Twilio does: the box adds nothing",
    ),
    setting("customers", Kind::Phones, "[]", "customers whose data is kept ready before they ever text"),
    setting(
        "dealer.backoff_first",
        Kind::Seconds,
        "2",
        "pause after an order first failed to reach the dealer; doubles",
    ),
    setting("dealer.backoff_most", Kind::Seconds, "300", "longest pause between two tries of an order"),
    setting(
        "dealer.client_reference",
        AUTO,
        "\"auto\"",
        "whether the dealer shows client_reference on his orders",
    ),
    setting("dealer.idempotency_key", AUTO, "\"auto\"", "whether the dealer honours Idempotency-Key"),
    setting(
        "dealer.order_wait",
        Kind::Seconds,
        "8",
        "how long a customer waits for an order's outcome before being told it follows",
    ),
    setting(
        "dealer.patience",
        Kind::Seconds,
        "10",
        "how long a customer waits for data of which nothing is kept",
    ),
    setting(
        "dealer.prefetch_every",
        Kind::Seconds,
        "21600",
        "how often the data of known customers is fetched anew",
    ),
    setting(
        "dealer.probe_every",
        Kind::Seconds,
        "60",
        "how often a dealer that did not answer is asked again",
    ),
    setting(
        "dealer.profile_age",
        Kind::Seconds,
        "300",
        "how old a customer's profile may be and still be fresh",
    ),
    setting(
        "dealer.settle",
        Kind::Seconds,
        "5",
        "how long after an unknown outcome the order is first looked for",
    ),
    setting("dealer.slow", Kind::Seconds, "2", "how long the dealer may take before kept data is served"),
    setting(
        "dealer.transactions_age",
        Kind::Seconds,
        "30",
        "how old orders and invoices may be and still be fresh",
    ),
    setting(
        "emoji",
        Kind::Switch,
        "false",
        "emoji in texts; each text that has one costs about twice as much",
    ),
    setting("flows.main", Kind::Text, "\"Main_Menu\"", "flow that hears a first text, and MENU"),
    setting(
        "flows.order_failed",
        Kind::Text,
        "\"Order_Failed\"",
        "flow behind the text about a refused order",
    ),
    setting("holidays", Kind::Dates, "\"\"", "dates on which the shop is closed, as 2026-12-25, 2027-01-01"),
    setting(
        "hours.friday",
        Kind::Hours,
        WEEKDAY,
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting(
        "hours.monday",
        Kind::Hours,
        WEEKDAY,
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting(
        "hours.reply",
        Kind::Text,
        "\"\"",
        "what a customer reads who writes to people while the shop is closed, once until it opens; {shop} stands for its \
         name, {opens} for the time at which it opens; empty: nothing",
    ),
    setting(
        "hours.reply_menu",
        Kind::Switch,
        "false",
        "whether hours.reply also goes before the menu, which answers at any hour",
    ),
    setting(
        "hours.saturday",
        Kind::Hours,
        "\"closed\"",
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting(
        "hours.sunday",
        Kind::Hours,
        "\"closed\"",
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting(
        "hours.thursday",
        Kind::Hours,
        WEEKDAY,
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting(
        "hours.tuesday",
        Kind::Hours,
        WEEKDAY,
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting(
        "hours.wednesday",
        Kind::Hours,
        WEEKDAY,
        "opening hours; flows read env.SHOP_HOURS and env.SHOP_OPEN",
    ),
    setting("limits.execution_life", Kind::Seconds, "2592000", "Studio: an execution ends after 30 days"),
    setting(
        "limits.same_widget",
        Kind::Count,
        "10",
        "Studio: the same widget this often in a row ends an execution",
    ),
    setting("limits.steps", Kind::Count, "1000", "Studio: an execution ends after this many steps"),
    setting(
        "marketing.hours",
        Kind::Window,
        "\"9-20\"",
        "hours of the day in which offers may be sent, by the recipient's clock; the law of the place narrows them",
    ),
    setting(
        "marketing.places",
        Kind::Document,
        "{}",
        "where people live whose number does not say it: {\"+12065550101\": {\"zone\": \"America/Denver\", \"place\": \"CO\"}}",
    ),
    setting("relay.idle", Kind::Seconds, "86400", "a hand-over to people ends by itself after this silence"),
    setting(
        "shop.calling_code",
        Kind::CallingCode,
        "\"1\"",
        "country calling code that completes national numbers",
    ),
    setting("shop.name", Kind::Text, "\"the shop\"", "as customers read it"),
    setting("shop.phone", Kind::Phone, "\"\"", "number to call, as customers read it"),
    setting("shop.zone", Kind::Zone, "\"America/Los_Angeles\"", "time zone of the shop"),
    setting("silence", Kind::Seconds, "900", "silence after which a conversation ends with one polite text"),
    setting(
        "sms.burst",
        Kind::Count,
        "10",
        "texts that may leave at once by a line at an upstream, before its pace holds",
    ),
    setting(
        "sms.concat_wait",
        Kind::Seconds,
        "600",
        "how long the missing parts of a long text are waited for",
    ),
    setting(
        "sms.failover",
        Kind::Seconds,
        "5",
        "how long a line is down before another of the shop's lines takes its texts",
    ),
    setting(
        "sms.grace",
        Kind::Seconds,
        "20",
        "after an outage, how long late texts are awaited before silence ends a conversation",
    ),
    setting(
        "sms.look_again",
        Kind::Seconds,
        "60",
        "a text in doubt is looked for at the upstream twice, this far apart, before it counts as lost",
    ),
    setting(
        "sms.loop_quick",
        Kind::Count,
        "5",
        "repeats of the same text, each within seconds of an answer, that show a robot",
    ),
    setting(
        "sms.loop_slow",
        Kind::Count,
        "20",
        "repeats of the same longer text at any pace that show a robot",
    ),
    setting(
        "sms.pace",
        Kind::Seconds,
        "1",
        "between two texts on a line at an upstream, as its carrier wants it; a modem has its own pace",
    ),
    setting("sms.replies", Kind::Count, "15", "texts to one person within sms.replies_window at most"),
    setting("sms.replies_window", Kind::Seconds, "30", "see sms.replies"),
    setting("sms.report", Kind::Switch, "true", "ask the network for delivery reports"),
    setting(
        "sms.resend_lost",
        Kind::Switch,
        "true",
        "send once more by itself what an upstream certainly does not have; else staff decide",
    ),
    setting("sms.retries", Kind::Count, "20", "tries of a text that the network refuses for the moment"),
    setting("sms.retry_first", Kind::Seconds, "2", "pause after a temporary refusal; doubles"),
    setting("sms.retry_most", Kind::Seconds, "60", "longest pause between two tries of a text"),
    setting(
        "sms.settle",
        Kind::Seconds,
        "10",
        "how long after a lost answer a text is first looked for at the upstream",
    ),
    setting(
        "staff",
        Kind::Phones,
        "[]",
        "numbers of the people who answer when a customer asks for the shop",
    ),
];

/// The settings of one shop, parsed.
#[derive(Clone, Debug)]
pub struct ShopSettings {
    values: BTreeMap<&'static str, Value>,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such key.
    #[error("there is no setting `{key}`{hint}")]
    NoSuchKey {
        /// As given.
        key: String,
        /// `; did you mean …?`, or empty.
        hint: String,
    },
    /// The value does not fit.
    #[error("`{key}` {want}, not {got}")]
    BadValue {
        /// Which.
        key: &'static str,
        /// What it takes.
        want: String,
        /// What was given.
        got: String,
    },
}

/// Finds a setting by key.
///
/// # Errors
/// [`SettingError::NoSuchKey`], with the nearest key as a hint.
pub fn find(key: &str) -> Result<&'static Setting, SettingError> {
    SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| {
        let hint = nearest(key, SETTINGS.iter().map(|s| s.key))
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        SettingError::NoSuchKey { key: key.to_owned(), hint }
    })
}

/// The candidate that shares most with `word`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (edit_distance(word, c), c))
        .min()
        .filter(|(distance, c)| *distance <= 2.max(c.len() / 3))
        .map(|(_, c)| c)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let cost = if ca == *cb { diagonal } else { 1 + diagonal.min(left).min(above) };
            diagonal = above;
            left = cost;
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = cost;
            }
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Checks a value and brings it into its stored form: numbers given as text become numbers, phone numbers E.164.
/// `country` is the calling code that completes national numbers.
///
/// # Errors
/// [`SettingError::BadValue`] says what the setting takes.
pub fn check(setting: &'static Setting, value: &Value, country: &str) -> Result<Value, SettingError> {
    let bad = |want: &str| SettingError::BadValue {
        key: setting.key,
        want: want.to_owned(),
        got: value.to_string(),
    };
    match setting.kind {
        Kind::Text => value.as_str().map(Value::from).ok_or_else(|| bad("takes text")),
        Kind::Phone => match value.as_str() {
            Some("") => Ok(Value::from("")),
            Some(text) => PhoneNumber::parse(text, Some(country))
                .map(|n| Value::from(n.as_str()))
                .map_err(|e| bad(&format!("takes a phone number ({e})"))),
            None => Err(bad("takes a phone number")),
        },
        Kind::Phones => {
            let list: Vec<&str> = match value {
                Value::String(text) => text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect(),
                Value::Array(items) => items
                    .iter()
                    .map(|i| i.as_str())
                    .collect::<Option<_>>()
                    .ok_or_else(|| bad("takes phone numbers"))?,
                _ => return Err(bad("takes a list of phone numbers")),
            };
            let mut numbers = Vec::with_capacity(list.len());
            for text in list {
                let number = PhoneNumber::parse(text, Some(country))
                    .map_err(|e| bad(&format!("takes phone numbers ({e})")))?;
                let number = Value::from(number.as_str());
                // Twice the number, twice the text.
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
            Ok(Value::Array(numbers))
        }
        Kind::Switch => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(t) if matches!(t.as_str(), "true" | "on" | "yes") => Ok(Value::Bool(true)),
            Value::String(t) if matches!(t.as_str(), "false" | "off" | "no") => Ok(Value::Bool(false)),
            _ => Err(bad("takes true or false")),
        },
        Kind::Seconds => number(value)
            .filter(|n| n.is_finite() && *n >= 0.0 && *n <= 1e9)
            .map(whole)
            .ok_or_else(|| bad("takes seconds, whole or fractional, from 0")),
        Kind::Count => number(value)
            .filter(|n| n.fract() == 0.0 && (1.0..=1e9).contains(n))
            .map(whole)
            .ok_or_else(|| bad("takes a whole number from 1")),
        Kind::Choice(words) => value
            .as_str()
            .filter(|t| words.contains(t))
            .map(Value::from)
            .ok_or_else(|| bad(&format!("takes one of {}", words.join(", ")))),
        Kind::Zone => value
            .as_str()
            .filter(|t| jiff::tz::TimeZone::get(t).is_ok())
            .map(Value::from)
            .ok_or_else(|| bad("takes a time zone such as America/New_York")),
        Kind::CallingCode => value
            .as_str()
            .filter(|t| (1..=3).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit()))
            .map(Value::from)
            .ok_or_else(|| bad("takes a country calling code such as \"1\"")),
        Kind::Dates => value
            .as_str()
            .filter(|t| {
                let mut dates = t.split(',').map(str::trim).filter(|d| !d.is_empty());
                dates.all(|d| d.parse::<jiff::civil::Date>().is_ok())
            })
            .map(Value::from)
            .ok_or_else(|| bad("takes dates such as 2026-12-25, 2027-01-01")),
        Kind::Country => value
            .as_str()
            .filter(|t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_alphabetic()))
            .map(|t| Value::from(t.to_ascii_uppercase()))
            .ok_or_else(|| bad("takes a country's two letters, as US")),
        Kind::Document => match value {
            Value::Object(_) => Ok(value.clone()),
            Value::String(text) => serde_json::from_str::<Value>(text)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| bad("takes a JSON object")),
            _ => Err(bad("takes a JSON object")),
        },
        Kind::Window => value
            .as_str()
            .filter(|t| {
                let hour = |t: &str| t.trim().parse::<u8>().ok().filter(|h| *h <= 24);
                let span = t.split_once('-').and_then(|(from, to)| Some((hour(from)?, hour(to)?)));
                span.is_some_and(|(from, to)| from < to)
            })
            .map(Value::from)
            .ok_or_else(|| bad("takes whole hours such as 9-20")),
        Kind::Hours => value
            .as_str()
            .filter(|t| hours(t).is_some())
            .map(Value::from)
            .ok_or_else(|| bad("takes opening hours such as 09:00-17:30, or closed")),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(t) => t.trim().parse().ok(),
        _ => None,
    }
}

/// A number that people wrote without a fraction is stored without one.
fn whole(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked by the callers: 0 to 1e9")]
    let integer = number as i64;
    if number.fract() == 0.0 { Value::from(integer) } else { Value::from(number) }
}

/// Spans of minutes from midnight.
fn hours(text: &str) -> Option<Vec<(u16, u16)>> {
    if text.trim() == "closed" {
        return Some(Vec::new());
    }
    let minute = |t: &str| {
        let (h, m) = t.trim().split_once(':')?;
        let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
        (h <= 24 && m < 60 && h * 60 + m <= 1440).then_some(h * 60 + m)
    };
    text.split(',')
        .map(|span| {
            let (from, to) = span.split_once('-')?;
            let (from, to) = (minute(from)?, minute(to)?);
            (from < to).then_some((from, to))
        })
        .collect()
}

impl Default for ShopSettings {
    fn default() -> Self {
        let values = SETTINGS
            .iter()
            .map(|s| (s.key, serde_json::from_str(s.default).unwrap_or(Value::Null)))
            .collect();
        Self { values }
    }
}

impl ShopSettings {
    /// Sets one value; `Null` brings the default back.
    ///
    /// # Errors
    /// [`SettingError`]; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), SettingError> {
        let setting = find(key)?;
        let value = if value.is_null() {
            serde_json::from_str(setting.default).unwrap_or(Value::Null)
        } else {
            check(setting, value, self.text("shop.calling_code"))?
        };
        self.values.insert(setting.key, value);
        Ok(())
    }

    /// Any value, in its stored form.
    #[must_use]
    pub fn get(&self, key: &str) -> &Value {
        self.values.get(key).unwrap_or(&Value::Null)
    }

    /// All, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(k, v)| (*k, v))
    }

    /// Text of a setting; empty when it has none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).as_str().unwrap_or("")
    }

    /// A switch.
    #[must_use]
    pub fn switch(&self, key: &str) -> bool {
        self.get(key).as_bool().unwrap_or(false)
    }

    /// A duration.
    #[must_use]
    pub fn seconds(&self, key: &str) -> Duration {
        Duration::try_from_secs_f64(self.get(key).as_f64().unwrap_or(0.0)).unwrap_or_default()
    }

    /// A count.
    #[must_use]
    pub fn count(&self, key: &str) -> u32 {
        self.get(key).as_f64().map_or(1, |n| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked on the way in: 1 to 1e9"
            )]
            let count = n as u32;
            count
        })
    }

    /// Phone numbers.
    #[must_use]
    pub fn phones(&self, key: &str) -> Vec<PhoneNumber> {
        self.get(key)
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| PhoneNumber::parse(v.as_str()?, None).ok())
            .collect()
    }

    /// The opening hours of the shop's day in which `wall` falls, as written: `09:00-17:30`, or `closed`.
    #[must_use]
    pub fn hours_on(&self, wall: Wall) -> &str {
        let Some(now) = self.civil(wall) else { return "" };
        self.hours_of(now.date())
    }

    fn hours_of(&self, date: jiff::civil::Date) -> &str {
        if self.is_holiday_date(date) {
            return "closed";
        }
        self.text(match date.weekday() {
            Weekday::Monday => "hours.monday",
            Weekday::Tuesday => "hours.tuesday",
            Weekday::Wednesday => "hours.wednesday",
            Weekday::Thursday => "hours.thursday",
            Weekday::Friday => "hours.friday",
            Weekday::Saturday => "hours.saturday",
            Weekday::Sunday => "hours.sunday",
        })
    }

    /// Whether `wall` falls on one of the shop's holidays.
    #[must_use]
    pub fn is_holiday(&self, wall: Wall) -> bool {
        self.civil(wall).is_some_and(|now| self.is_holiday_date(now.date()))
    }

    fn is_holiday_date(&self, date: jiff::civil::Date) -> bool {
        let date = date.to_string();
        self.text("holidays").split(',').any(|d| d.trim() == date)
    }

    /// Whether the shop is open at `wall`.
    #[must_use]
    pub fn is_open(&self, wall: Wall) -> bool {
        let Some(now) = self.civil(wall) else { return false };
        let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        let spans = hours(self.hours_on(wall)).unwrap_or_default();
        spans.iter().any(|(from, to)| (*from..*to).contains(&minute))
    }

    /// When the shop opens next after `wall`; `None` when it does not within [`OPENS_WITHIN`] days.
    #[must_use]
    pub fn opens_after(&self, wall: Wall) -> Option<jiff::Zoned> {
        let now = self.civil(wall)?;
        let mut date = now.date();
        for _ in 0..OPENS_WITHIN {
            let spans = hours(self.hours_of(date)).unwrap_or_default();
            let opens = spans.iter().filter_map(|(from, _)| {
                let (hour, minute) = (i8::try_from(from / 60).ok()?, i8::try_from(from % 60).ok()?);
                date.at(hour, minute, 0, 0).to_zoned(self.zone()).ok()
            });
            if let Some(next) = opens.filter(|at| *at > now).min() {
                return Some(next);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn civil(&self, wall: Wall) -> Option<jiff::Zoned> {
        Some(jiff::Timestamp::from_millisecond(wall.0).ok()?.to_zoned(self.zone()))
    }

    /// The shop's zone.
    #[must_use]
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(self.text("shop.zone")).unwrap_or(jiff::tz::TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_default_is_valid_and_the_registry_is_sorted() {
        for setting in SETTINGS {
            let value: Value = serde_json::from_str(setting.default).unwrap();
            check(setting, &value, "1").unwrap_or_else(|e| panic!("{e}"));
        }
        assert!(SETTINGS.windows(2).all(|w| w[0].key < w[1].key));
    }

    #[test]
    fn values_are_checked_and_brought_into_form() {
        let mut s = ShopSettings::default();
        s.set("silence", &json!("0.5")).unwrap();
        assert_eq!(s.seconds("silence"), Duration::from_millis(500));
        s.set("staff", &json!("(206) 555-0199, +12065550198")).unwrap();
        assert_eq!(s.phones("staff").len(), 2);
        s.set("silence", &Value::Null).unwrap();
        assert_eq!(s.seconds("silence"), Duration::from_secs(900));
        assert!(s.set("hours.monday", &json!("17:00-09:00")).is_err());
        assert_eq!(
            s.set("silense", &json!(1)).unwrap_err().to_string(),
            "there is no setting `silense`; did you mean `silence`?"
        );
        assert!(s.set("silence", &json!(-1)).is_err());
        assert!(s.set("holidays", &json!("2026-13-25")).is_err());
    }

    #[test]
    fn the_next_opening_passes_over_nights_weekends_and_holidays() {
        let mut s = ShopSettings::default();
        let opens =
            |s: &ShopSettings, wall: i64| s.opens_after(Wall(wall)).map(|at| at.datetime().to_string());
        // Friday, ten in the morning in Los Angeles.
        let friday = 1_795_197_600_000;
        assert_eq!(opens(&s, friday - 4 * 3_600_000).as_deref(), Some("2026-11-20T09:00:00"));
        assert_eq!(opens(&s, friday).as_deref(), Some("2026-11-23T09:00:00"), "it is open; the next time");
        s.set("holidays", &json!("2026-11-23")).unwrap();
        s.set("hours.tuesday", &json!("13:00-14:00, 10:00-12:00")).unwrap();
        assert_eq!(opens(&s, friday).as_deref(), Some("2026-11-24T10:00:00"));
        assert_eq!(opens(&s, friday + 4 * 86_400_000 + 3_600_000).as_deref(), Some("2026-11-24T13:00:00"));
        for day in ["monday", "tuesday", "wednesday", "thursday", "friday"] {
            s.set(&format!("hours.{day}"), &json!("closed")).unwrap();
        }
        assert_eq!(opens(&s, friday), None);
    }

    #[test]
    fn the_shop_is_open_by_its_own_clock_and_closed_on_holidays() {
        let mut s = ShopSettings::default();
        // 2026-11-20T18:00:00Z is a Friday, ten in the morning in Los Angeles.
        let friday = Wall(1_795_197_600_000);
        assert!(s.is_open(friday));
        assert_eq!(s.hours_on(friday), "09:00-17:30");
        let evening = Wall(friday.0 + 8 * 3_600_000);
        assert!(!s.is_open(evening));
        let saturday = Wall(friday.0 + 24 * 3_600_000);
        assert_eq!((s.is_open(saturday), s.hours_on(saturday)), (false, "closed"));
        s.set("holidays", &json!("2026-11-20, 2026-12-25")).unwrap();
        assert!(!s.is_open(friday));
        s.set("holidays", &json!("")).unwrap();
        s.set("shop.zone", &json!("Asia/Tokyo")).unwrap();
        assert_eq!(s.hours_on(friday), "closed", "it is Saturday in Tokyo");
    }
}
