//! Emergency numbers, which no simulator dials or takes unless a scenario says so.
//!
//! A test can then never reach a real emergency service by a wrong address: the phone does not dial, and the trunk
//! answers 403 and counts. With `emergency: "answer"` both do, and nobody but the simulator is at the other end.

use serde::{Deserialize, Serialize};

/// What is done with an emergency number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emergency {
    /// It is neither dialled nor taken.
    #[default]
    Refuse,
    /// As any other number, on loopback.
    Answer,
}

/// Numbers of several countries; 933 is North America's test of the address.
const NUMBERS: [&str; 5] = ["911", "112", "999", "933", "000"];

/// Digits that people dial in front for a line.
const LINES: &str = "098";

/// Whether a number or URI reaches an emergency service anywhere, with a prefix or country code that people put in
/// front by mistake. Rather one number too many.
#[must_use]
pub fn is_emergency(to: &str) -> bool {
    let to = to.trim().to_ascii_lowercase();
    if to.starts_with("urn:service:sos") || to.starts_with("urn:service:test.sos") {
        return true;
    }
    let user = to.split_once(':').filter(|(scheme, _)| matches!(*scheme, "sip" | "sips" | "tel"));
    let user = user.map_or(to.as_str(), |(_, rest)| rest.split(['@', ';']).next().unwrap_or_default());
    let user = crate::sip::uri::unescape(user);
    let number: String = user.chars().filter(|c| c.is_ascii_digit()).collect();
    NUMBERS.iter().any(|emergency| {
        let Some(front) = number.strip_suffix(emergency) else { return false };
        if user.starts_with('+') {
            front.len() <= 3
        } else {
            front.len() <= 2 && front.chars().all(|c| LINES.contains(c))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emergency_numbers_are_known_in_all_their_clothes() {
        for to in [
            "911",
            "9911",
            "9-911",
            "0112",
            "00112",
            "+1911",
            "+44999",
            "112",
            "999",
            "933",
            "000",
            "sip:911@box",
            "sip:%2b1911@box",
            "tel:112;phone-context=+49",
            "urn:service:sos",
            "urn:service:sos.police",
            "SIP:911@box",
        ] {
            assert!(is_emergency(to), "{to}");
        }
        for to in
            ["100", "101", "1000", "2000", "+12065550911", "12065550112", "sip:100@127.0.0.1", "1112", ""]
        {
            assert!(!is_emergency(to), "{to}");
        }
    }
}
