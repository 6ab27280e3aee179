//! `validateAddress`: "Street, City, State ZIP" as people type it. States and the ZIP ranges of USPS are checked;
//! whether the street exists is not.

use serde_json::{Value, json};

use super::Call;

/// A postal address in the United States.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    street: String,
    city: String,
    /// Two letters.
    state: &'static str,
    /// Five digits, or nine with a hyphen.
    zip: String,
}

impl Address {
    /// The dealer's `shipping_address`.
    pub(super) fn to_json(&self) -> Value {
        json!({"street": self.street, "city": self.city, "state": self.state, "zip": self.zip})
    }

    fn display(&self) -> String {
        format!("{}, {}, {} {}", self.street, self.city, self.state, self.zip)
    }
}

/// Input `text` (or `input`, `address`); `{valid, street, city, state, zip, display, address, message}`.
pub(super) fn call(call: &Call<'_>) -> Value {
    match parse(call.first_of(&["text", "input", "address"])) {
        Ok(address) => json!({
            "valid": true,
            "street": address.street,
            "city": address.city,
            "state": address.state,
            "zip": address.zip,
            "display": address.display(),
            "address": address.to_json(),
            "message": "",
        }),
        Err(missing) => json!({
            "valid": false,
            "message": format!("{missing} Please enter: Street, City, State ZIP"),
        }),
    }
}

/// # Errors
/// What is missing, as a sentence.
pub(super) fn parse(text: &str) -> Result<Address, String> {
    let (rest, zip) = split_zip(text)?;
    let (rest, state) = split_state(&rest)?;
    if !zip_is_in(&zip, state) {
        return Err(format!("The ZIP code {zip} is not in {state}."));
    }
    let mut parts: Vec<String> = rest.split(',').map(collapse).filter(|part| !part.is_empty()).collect();
    let city = if parts.len() > 1 { parts.pop().unwrap_or_default() } else { String::new() };
    let street = parts.join(", ");
    if street.is_empty() {
        return Err("The street and the city are missing.".into());
    }
    if city.is_empty() {
        return Err("The city is missing; put commas between street, city and state.".into());
    }
    if !city.chars().any(char::is_alphabetic) || city.chars().any(|c| c.is_ascii_digit()) {
        return Err("The city is missing.".into());
    }
    if !street.chars().any(|c| c.is_ascii_digit()) || !street.chars().any(char::is_alphabetic) {
        return Err("The street needs its name and number.".into());
    }
    Ok(Address { street, city, state, zip })
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The ZIP code at the end, and what stands before it.
fn split_zip(text: &str) -> Result<(String, String), String> {
    let text = text.replace(['\n', '\r', ';'], ",");
    let text = text.trim().trim_end_matches([',', '.', ' ']);
    let text = ["USA", "U.S.A", "US", "United States"]
        .iter()
        .find_map(|country| strip_end(text, country).filter(|rest| rest.ends_with([',', ' '])))
        .unwrap_or(text)
        .trim_end_matches([',', '.', ' ']);
    let at = text.rfind(|c: char| !(c.is_ascii_digit() || c == '-')).map_or(0, |at| at + 1);
    // The character before may be wider than a byte: then there is no ZIP here.
    let (before, zip) = text.split_at_checked(at).unwrap_or((text, ""));
    let digits: String = zip.chars().filter(char::is_ascii_digit).collect();
    let shape = match zip.len() {
        5 => digits.len() == 5,
        10 => digits.len() == 9 && zip.as_bytes().get(5) == Some(&b'-'),
        _ => false,
    };
    if !shape {
        return Err("The ZIP code is missing (5 digits).".into());
    }
    Ok((before.trim_end_matches([',', '.', ' ']).to_owned(), zip.to_owned()))
}

fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(end.len())?;
    let (head, tail) = text.split_at_checked(at)?;
    tail.eq_ignore_ascii_case(end).then_some(head)
}

/// The state at the end, as two letters or as its name, and what stands before it.
fn split_state(text: &str) -> Result<(String, &'static str), String> {
    // Longest name first: "West Virginia" is not "Virginia".
    let mut found: Option<(&str, &'static State)> = None;
    for state in STATES {
        for name in [state.code, state.name] {
            let Some(head) =
                strip_end(text, name).filter(|head| head.is_empty() || head.ends_with([',', ' ', '.']))
            else {
                continue;
            };
            if found.is_none_or(|(shortest, _)| head.len() < shortest.len()) {
                found = Some((head, state));
            }
        }
    }
    match found {
        Some((head, state)) => Ok((head.trim_end_matches([',', '.', ' ']).to_owned(), state.code)),
        None => Err("The state is missing (two letters, such as WA).".into()),
    }
}

fn zip_is_in(zip: &str, code: &str) -> bool {
    let prefix: u16 = zip.get(..3).and_then(|p| p.parse().ok()).unwrap_or(0);
    STATES
        .iter()
        .filter(|state| state.code == code)
        .any(|state| state.zips.iter().any(|(from, to)| (*from..=*to).contains(&prefix)))
}

struct State {
    code: &'static str,
    name: &'static str,
    /// First three digits of its ZIP codes, from and to (USPS Publication 65, L002).
    zips: &'static [(u16, u16)],
}

const fn state(code: &'static str, name: &'static str, zips: &'static [(u16, u16)]) -> State {
    State { code, name, zips }
}

const STATES: &[State] = &[
    state("AL", "Alabama", &[(350, 369)]),
    state("AK", "Alaska", &[(995, 999)]),
    state("AZ", "Arizona", &[(850, 865)]),
    state("AR", "Arkansas", &[(716, 729), (755, 755)]),
    state("CA", "California", &[(900, 961)]),
    state("CO", "Colorado", &[(800, 816)]),
    state("CT", "Connecticut", &[(60, 69)]),
    state("DE", "Delaware", &[(197, 199)]),
    state("DC", "District of Columbia", &[(200, 205), (569, 569)]),
    state("FL", "Florida", &[(320, 349)]),
    state("GA", "Georgia", &[(300, 319), (398, 399)]),
    state("HI", "Hawaii", &[(967, 968)]),
    state("ID", "Idaho", &[(832, 838)]),
    state("IL", "Illinois", &[(600, 629)]),
    state("IN", "Indiana", &[(460, 479)]),
    state("IA", "Iowa", &[(500, 528)]),
    state("KS", "Kansas", &[(660, 679)]),
    state("KY", "Kentucky", &[(400, 427)]),
    state("LA", "Louisiana", &[(700, 714)]),
    state("ME", "Maine", &[(39, 49)]),
    state("MD", "Maryland", &[(206, 219)]),
    state("MA", "Massachusetts", &[(10, 27), (55, 55)]),
    state("MI", "Michigan", &[(480, 499)]),
    state("MN", "Minnesota", &[(550, 567)]),
    state("MS", "Mississippi", &[(386, 397)]),
    state("MO", "Missouri", &[(630, 658)]),
    state("MT", "Montana", &[(590, 599)]),
    state("NE", "Nebraska", &[(680, 693)]),
    state("NV", "Nevada", &[(889, 898)]),
    state("NH", "New Hampshire", &[(30, 38)]),
    state("NJ", "New Jersey", &[(70, 89)]),
    state("NM", "New Mexico", &[(870, 884)]),
    state("NY", "New York", &[(5, 5), (63, 63), (100, 149)]),
    state("NC", "North Carolina", &[(270, 289)]),
    state("ND", "North Dakota", &[(580, 588)]),
    state("OH", "Ohio", &[(430, 459)]),
    state("OK", "Oklahoma", &[(730, 749)]),
    state("OR", "Oregon", &[(970, 979)]),
    state("PA", "Pennsylvania", &[(150, 196)]),
    state("PR", "Puerto Rico", &[(6, 7), (9, 9)]),
    state("RI", "Rhode Island", &[(28, 29)]),
    state("SC", "South Carolina", &[(290, 299)]),
    state("SD", "South Dakota", &[(570, 577)]),
    state("TN", "Tennessee", &[(370, 385)]),
    state("TX", "Texas", &[(733, 733), (750, 799), (885, 885)]),
    state("UT", "Utah", &[(840, 847)]),
    state("VT", "Vermont", &[(50, 54), (56, 59)]),
    state("VA", "Virginia", &[(201, 201), (220, 246)]),
    state("WA", "Washington", &[(980, 994)]),
    state("WV", "West Virginia", &[(247, 268)]),
    state("WI", "Wisconsin", &[(530, 549)]),
    state("WY", "Wyoming", &[(820, 831), (834, 834)]),
    state("GU", "Guam", &[(969, 969)]),
    state("VI", "Virgin Islands", &[(8, 8)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn display(text: &str) -> Result<String, String> {
        parse(text).map(|address| address.display())
    }

    #[test]
    fn addresses_are_read_as_people_type_them() {
        let full = Ok("123 Main St, Seattle, WA 98101".to_owned());
        for text in [
            "123 Main St, Seattle, WA 98101",
            "123 Main St,Seattle,wa,98101",
            "123  Main St\nSeattle WA 98101".replace("Seattle WA", "Seattle, WA").as_str(),
            "123 Main St, Seattle Washington 98101",
            "123 Main St, Seattle, WA 98101, USA",
            "123 Main St., Seattle, WA. 98101.",
        ] {
            let expected = if text.contains("St.,") {
                Ok("123 Main St., Seattle, WA 98101".to_owned())
            } else {
                full.clone()
            };
            assert_eq!(display(text), expected, "{text}");
        }
        assert_eq!(
            display("5 Elm Ave, Apt 2, Charleston, West Virginia 25301-1234").as_deref(),
            Ok("5 Elm Ave, Apt 2, Charleston, WV 25301-1234")
        );
        assert_eq!(
            display("1 Wall St, New York, New York 10005").as_deref(),
            Ok("1 Wall St, New York, NY 10005")
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let missing = |text: &str| display(text).unwrap_err();
        assert!(missing("123 Main St, Seattle, WA").contains("ZIP"));
        assert!(missing("123 Main St, Seattle, WA 9810").contains("ZIP"));
        assert!(missing("123 Main St, Seattle, 98101").contains("state"));
        assert!(missing("123 Main St WA 98101").contains("city"));
        assert!(missing("Main Street, Seattle, WA 98101").contains("number"));
        assert!(missing("123 Main St, Seattle, TX 98101").contains("not in TX"));
        assert!(missing("98101").contains("state"));
        assert!(missing("").contains("ZIP"));
        assert!(missing("ü").contains("ZIP"));
    }
}
