//! `[[phone]]`: a telephone of the shop that registers here. A password that can be guessed is the usual way to a
//! bill of thousands over a weekend, so a weak one is a mistake in the file, not advice.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeTable;

use super::file::ShopConfig;
use super::reader::{Reader, place};
use super::secret::Secret;
use crate::types::{DeviceId, PhoneNumber, ShopId};

/// Characters that a phone's password has at least.
pub const PASSWORD_LEAST: usize = 12;
/// Different ones among them.
const DIFFERENT_LEAST: usize = 6;

/// `[[phone]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneConfig {
    /// `id`: what it registers as.
    pub id: DeviceId,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `extension`; the id when that is a number. Phones with the same one ring together.
    pub extension: String,
    /// `name`, shown on other phones.
    pub name: Option<String>,
    /// From `password_file` or `password_credential`.
    pub password: Secret,
    /// `srtp`: only encrypted sound; default false.
    pub srtp: bool,
    /// `direct`: the number that reaches it from outside, call-back of an emergency call.
    pub direct: Option<PhoneNumber>,
    /// `location`, when it stands elsewhere than the shop: where help is to come.
    pub location: Option<String>,
    /// `withhold`: calls to outside do not show the number; default false.
    pub withhold: bool,
    /// `ring`: seconds that a call to its extension rings; default 25.
    pub ring: Duration,
}

/// Why a phone's password is not taken; `None` when it is. `names` are those that everybody knows.
#[must_use]
pub fn weakness(password: &str, names: &[&str]) -> Option<String> {
    let lower = password.to_lowercase();
    let characters = password.chars().count();
    let different = password.chars().collect::<BTreeSet<_>>().len();
    if characters < PASSWORD_LEAST {
        return Some(format!("has {characters} characters: {PASSWORD_LEAST} at least"));
    }
    if different < DIFFERENT_LEAST {
        return Some(format!("has only {different} different characters: {DIFFERENT_LEAST} at least"));
    }
    let repeats = |name: &&&str| {
        let name = name.to_lowercase();
        let rest = if name.is_empty() { lower.clone() } else { lower.replace(&name, "") };
        rest.chars().count() < PASSWORD_LEAST / 2
    };
    if let Some(name) = names.iter().find(repeats) {
        return Some(format!("is little more than {name:?}, which everybody knows"));
    }
    let codes: Vec<u32> = password.chars().map(u32::from).collect();
    let runs = codes.windows(2).filter(|w| matches!(w, [a, b] if a.abs_diff(*b) <= 1)).count();
    (runs + 3 >= characters).then(|| "counts up or down".to_owned())
}

impl Reader<'_> {
    pub(super) fn phone(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> PhoneConfig {
        let keys = [
            "id",
            "shop",
            "extension",
            "name",
            "password_file",
            "password_credential",
            "srtp",
            "direct",
            "location",
            "withhold",
            "ring",
        ];
        self.known(table, "[[phone]]", &keys);
        let id = DeviceId(self.id(at, table, "[[phone]]"));
        let shop = self.shop_of(at, table, shops, "[[phone]]");
        let extension = self.extension(at, table, &id);
        let name = self.shown(table, "name");
        let password =
            self.phone_password(at, table, &[id.as_str(), &extension, name.as_deref().unwrap_or("")]);
        let direct = self.string(table, "direct").and_then(|text| {
            let read = PhoneNumber::parse(&text, None);
            if let Err(error) = &read {
                self.fault(place(at, table, "direct"), format!("`direct`: {error}"));
            }
            read.ok()
        });
        PhoneConfig {
            extension,
            name,
            password,
            srtp: self.boolean(table, "srtp").unwrap_or(false),
            direct,
            location: self.shown(table, "location"),
            withhold: self.boolean(table, "withhold").unwrap_or(false),
            ring: self.seconds_in(table, "ring", 1, 600).unwrap_or(Duration::from_secs(25)),
            id,
            shop,
        }
    }

    fn extension(&mut self, at: usize, table: &DeTable<'_>, id: &DeviceId) -> String {
        let number = |text: &str| (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        match self.string(table, "extension") {
            Some(text) => {
                if !number(&text) {
                    let what = format!("`extension` takes two to eight digits, as \"101\", not {text:?}");
                    self.fault(place(at, table, "extension"), what);
                }
                text
            }
            None => {
                if !number(id.as_str()) && !table.contains_key("extension") {
                    self.fault(at, "[[phone]] has no `extension`: give it a number, as \"101\"".to_owned());
                }
                id.to_string()
            }
        }
    }

    /// Text that a display or a person reads.
    fn shown(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let text = self.string(table, key)?;
        if text.trim().is_empty() || text.chars().count() > 120 || text.chars().any(char::is_control) {
            self.fault(place(0, table, key), format!("`{key}` takes one line of up to 120 characters"));
        }
        Some(text)
    }

    fn phone_password(&mut self, at: usize, table: &DeTable<'_>, names: &[&str]) -> Secret {
        let keys = ["password_file", "password_credential"];
        let Some(key) = keys.iter().find(|k| table.contains_key(**k)) else {
            let text = "[[phone]] has no `password_file`: `backroom phone new` makes one".to_owned();
            self.fault(at, text);
            return Secret::new("");
        };
        let Some(password) = self.secret(table, "password") else { return Secret::new("") };
        if let Some(why) = weakness(password.expose(), names) {
            let text = format!("the password of this phone {why}; `backroom phone new` makes a good one");
            self.fault(place(at, table, key), text);
        }
        password
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_a_program_guesses_in_a_night_are_refused() {
        for weak in [
            "101",
            "12345678901",
            "aaaaaaaaaaaaaa",
            "front-desk101",
            "101101101101101",
            "1234567890123",
            "abcabcabcabcabc",
        ] {
            assert!(weakness(weak, &["front-desk", "101", "Front desk"]).is_some(), "{weak}");
        }
        assert_eq!(weakness("k7Qz-mm2W-9xTb-vR4n", &["front-desk", "101", ""]), None);
    }
}
