//! What is known of countries: emergency numbers and how they are misdialled, premium numbers, numbers that only look
//! domestic. The data stands in `countries.toml`; this file reads it and reads what people dial by it.

use serde::Deserialize;

use crate::types::{NumberKind, PhoneNumber};

const DATA: &str = include_str!("countries.toml");

/// One country, as `countries.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Country {
    pub(super) code: String,
    calling_code: String,
    pub(super) emergency: Vec<String>,
    also: Vec<String>,
    test: Vec<String>,
    misdialled: Vec<String>,
    withhold: String,
    services: Vec<String>,
    home: Vec<String>,
    toll_free: Vec<String>,
    premium: Vec<String>,
    abroad: Vec<String>,
    mobile: Vec<String>,
    /// Filled in from the data's `[world]`.
    #[serde(skip)]
    world_premium: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    country: Vec<Country>,
    world: World,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    premium: Vec<String>,
}

/// What a number costs and risks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberClass {
    /// In the shop's country.
    Domestic,
    /// The callee pays.
    TollFree,
    /// Elsewhere, also when it only looks domestic.
    International,
    /// Who answers earns by it.
    Premium,
}

/// An emergency number as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EmergencyNumber {
    pub(super) number: String,
    /// 933 and its like: reads back the address that is known, alarms nobody.
    pub(super) test: bool,
}

/// What somebody dialled to reach the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// Three digits of public use (988, 311): dialled as it is.
    Service(String),
    Number(PhoneNumber, NumberClass),
}

/// A dialled text without the punctuation of people and of URIs; `None` when it is no number at all.
pub(super) fn dialled(text: &str) -> Option<String> {
    let text = text.split(';').next().unwrap_or_default();
    let kept: String =
        text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}')).collect();
    let good =
        kept.char_indices().all(|(at, c)| c.is_ascii_digit() || "*#".contains(c) || (c == '+' && at == 0));
    (good && !kept.is_empty()).then_some(kept)
}

/// Everything that calls for help in a country: its own numbers and those of visitors, plain and with the common
/// wrong digits in front. None when nothing is known of the country.
#[must_use]
pub fn emergency_numbers(country: &str) -> Vec<String> {
    let Some(country) = Country::of(country) else { return Vec::new() };
    let fronts = || std::iter::once("").chain(country.misdialled.iter().map(String::as_str));
    let plain = country.emergency.iter().chain(&country.also).chain(&country.test);
    plain.flat_map(|number| fronts().map(move |front| format!("{front}{number}"))).collect()
}

impl Country {
    /// The country of this ISO 3166 code, when the data has it.
    pub(super) fn of(code: &str) -> Option<Self> {
        let data: Data = toml::from_str(DATA).ok()?;
        let mut country = data.country.into_iter().find(|c| c.code.eq_ignore_ascii_case(code))?;
        country.world_premium = data.world.premium;
        Some(country)
    }

    /// Reads an emergency number, also with the common wrong digits in front, a plus, or the code that withholds the
    /// caller's number.
    pub(super) fn emergency(&self, dialled: &str) -> Option<EmergencyNumber> {
        let (rest, _) = self.withheld(dialled);
        let digits = rest.trim_start_matches('+').trim_end_matches('#');
        let exact = self.exact_emergency(digits);
        exact.or_else(|| {
            let tails = self.misdialled.iter().filter_map(|p| digits.strip_prefix(p.as_str()));
            tails.filter_map(|tail| self.exact_emergency(tail)).next()
        })
    }

    /// The same, also behind what the shop's people dial for a line.
    pub(super) fn emergency_behind(&self, prefix: Option<&str>, dialled: &str) -> Option<EmergencyNumber> {
        self.emergency(dialled).or_else(|| {
            let (rest, _) = self.withheld(dialled);
            self.emergency(rest.strip_prefix(prefix.filter(|p| !p.is_empty())?)?)
        })
    }

    /// `1` for North America.
    pub(super) fn calling_code(&self) -> &str {
        &self.calling_code
    }

    fn exact_emergency(&self, digits: &str) -> Option<EmergencyNumber> {
        let is = |list: &[String]| list.iter().any(|n| n == digits);
        if is(&self.emergency) {
            return Some(EmergencyNumber { number: digits.to_owned(), test: false });
        }
        if is(&self.test) {
            return Some(EmergencyNumber { number: digits.to_owned(), test: true });
        }
        is(&self.also).then(|| self.first_emergency())
    }

    /// What is dialled when all that is known is that it is an emergency.
    pub(super) fn first_emergency(&self) -> EmergencyNumber {
        // `every_country_can_call_for_help` holds the data to it; 112 is answered by every GSM network.
        let number = self.emergency.first().cloned().unwrap_or_else(|| "112".to_owned());
        EmergencyNumber { number, test: false }
    }

    /// Takes off the code that withholds the caller's number for one call.
    pub(super) fn withheld<'a>(&self, dialled: &'a str) -> (&'a str, bool) {
        match dialled.strip_prefix(&self.withhold) {
            Some(rest) if !rest.is_empty() => (rest, true),
            _ => (dialled, false),
        }
    }

    /// Reads an outside number: with country code, national, or local when the shop's area code is known.
    pub(super) fn outside(&self, dialled: &str, area_code: Option<&str>) -> Option<Outside> {
        if self.services.iter().any(|s| s == dialled) {
            return Some(Outside::Service(dialled.to_owned()));
        }
        let local = area_code.filter(|_| dialled.len() == 7 && self.calling_code == "1");
        let text = match local {
            Some(area) => format!("{area}{dialled}"),
            None => dialled.to_owned(),
        };
        let number = PhoneNumber::parse(&text, Some(&self.calling_code)).ok()?;
        let class = self.class(&number);
        Some(Outside::Number(number, class))
    }

    pub(super) fn class(&self, number: &PhoneNumber) -> NumberClass {
        let starts = |list: &[String]| list.iter().any(|p| number.as_str().starts_with(p.as_str()));
        if starts(&self.premium) || starts(&self.world_premium) || self.is_premium_exchange(number) {
            NumberClass::Premium
        } else if starts(&self.toll_free) {
            NumberClass::TollFree
        } else if starts(&self.home) && !starts(&self.abroad) {
            NumberClass::Domestic
        } else {
            NumberClass::International
        }
    }

    /// North America's other premium numbers: exchange 976 in any area code.
    fn is_premium_exchange(&self, number: &PhoneNumber) -> bool {
        number.as_str().starts_with("+1") && number.as_str().get(5..8) == Some("976")
    }

    /// Whether a text may reach this number: what the line knows, else what the numbering plan says.
    pub(super) fn kind(&self, number: &PhoneNumber, known: NumberKind) -> NumberKind {
        let starts = |list: &[String]| list.iter().any(|p| number.as_str().starts_with(p.as_str()));
        match known {
            NumberKind::Mobile | NumberKind::Landline => known,
            NumberKind::Unknown => match self.class(number) {
                NumberClass::TollFree | NumberClass::Premium => NumberKind::Landline,
                NumberClass::International => NumberKind::Unknown,
                NumberClass::Domestic if self.mobile.is_empty() => NumberKind::Unknown,
                NumberClass::Domestic if starts(&self.mobile) => NumberKind::Mobile,
                NumberClass::Domestic => NumberKind::Landline,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us() -> Country {
        Country::of("us").unwrap()
    }

    fn class(text: &str) -> NumberClass {
        us().class(&PhoneNumber::parse(text, Some("1")).unwrap())
    }

    #[test]
    fn every_country_can_call_for_help() {
        let data: Data = toml::from_str(DATA).unwrap();
        for country in data.country {
            assert!(!country.emergency.is_empty(), "{}", country.code);
            for number in country.emergency.iter().chain(&country.also).chain(&country.test) {
                assert!(country.emergency(number).is_some());
                assert!(!country.services.contains(number));
            }
        }
    }

    #[test]
    fn help_is_reached_without_and_with_the_common_wrong_digits_in_front() {
        for text in [
            "911", "9-911", "9911", "1911", "0911", "+1911", "91911", "*67911", "911#", "9 1 1", "112",
            "0112",
        ] {
            let number = us().emergency(&dialled(text).unwrap());
            assert_eq!(number, Some(EmergencyNumber { number: "911".into(), test: false }), "{text}");
        }
        assert!(us().emergency("933").is_some_and(|n| n.test));
        for text in ["9112065550101", "2065550911", "91", "411", "*911*"] {
            assert_eq!(us().emergency(text), None, "{text}");
        }
        let germany = Country::of("DE").unwrap();
        for (text, number) in [("0112", "112"), ("110", "110"), ("0110", "110"), ("911", "112")] {
            assert_eq!(germany.emergency(text).map(|n| n.number).as_deref(), Some(number));
        }
    }

    #[test]
    fn help_is_reached_behind_the_shops_own_prefix_for_a_line() {
        let behind = |prefix, text| us().emergency_behind(prefix, text).map(|n| n.number);
        assert_eq!(behind(Some("7"), "7911").as_deref(), Some("911"));
        assert_eq!(behind(Some("7"), "71911").as_deref(), Some("911"));
        assert_eq!(behind(Some(""), "7911"), None);
        assert_eq!(behind(None, "7911"), None);
    }

    #[test]
    fn every_listed_way_to_call_for_help_is_understood() {
        let numbers = emergency_numbers("US");
        assert!(["911", "9911", "112", "01911", "933"].iter().all(|n| numbers.iter().any(|l| l == n)));
        assert!(numbers.iter().all(|n| us().emergency(n).is_some()));
        assert_eq!(emergency_numbers("ZZ"), Vec::<String>::new());
    }

    #[test]
    fn caribbean_numbers_are_international_though_they_look_domestic() {
        assert_eq!(class("+1 876 555 0100"), NumberClass::International);
        assert_eq!(class("+1 206 555 0100"), NumberClass::Domestic);
        assert_eq!(class("+1 604 555 0100"), NumberClass::Domestic);
        assert_eq!(class("+1 787 555 0100"), NumberClass::Domestic);
        assert_eq!(class("011 44 20 7946 0000"), NumberClass::International);
        assert_eq!(class("+1 900 555 0100"), NumberClass::Premium);
        assert_eq!(class("+1 206 976 0100"), NumberClass::Premium);
        assert_eq!(class("+881 6 555 0100"), NumberClass::Premium);
        assert_eq!(class("+1 800 555 0100"), NumberClass::TollFree);
    }

    #[test]
    fn numbers_are_completed_as_people_dial_them() {
        let number = |text: &str, area| match us().outside(text, area) {
            Some(Outside::Number(n, _)) => n.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(number("2065550101", None), "+12065550101");
        assert_eq!(number("5550101", Some("206")), "+12065550101");
        assert_eq!(number("5550101", None), "None");
        assert_eq!(us().outside("988", None), Some(Outside::Service("988".into())));
        assert_eq!(dialled("911;phone-context=+1").as_deref(), Some("911"));
        assert_eq!(dialled("front desk"), None);
    }

    #[test]
    fn landlines_are_told_from_mobiles_where_the_numbering_plan_tells() {
        let kind = |country: &str, number: &str| {
            let number = PhoneNumber::parse(number, None).unwrap();
            Country::of(country).unwrap().kind(&number, NumberKind::Unknown)
        };
        assert_eq!(kind("DE", "+4915112345678"), NumberKind::Mobile);
        assert_eq!(kind("DE", "+493012345678"), NumberKind::Landline);
        assert_eq!(kind("US", "+12065550101"), NumberKind::Unknown);
        assert_eq!(kind("US", "+18005550101"), NumberKind::Landline);
    }
}
