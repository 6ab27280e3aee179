//! `validateQuantity`: 1 to 99, as the guide asks and does not check.

use serde_json::{Value, json};

use super::Call;

const WORDS: &[&str] = &["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// Input `quantity` (or `input`, `text`); `{valid, quantity, message}`.
pub(super) fn call(call: &Call<'_>) -> Value {
    match parse(call.first_of(&["quantity", "input", "text"])) {
        Some(quantity) => json!({"valid": true, "quantity": quantity, "message": ""}),
        None => json!({"valid": false, "message": "Please enter a quantity from 1 to 99."}),
    }
}

/// `3`, `3 pcs`, `qty: 3`, `x3`, `three`. No sign, no fraction, no two numbers: those are asked again.
pub(super) fn parse(text: &str) -> Option<u8> {
    let text = text.trim().to_lowercase();
    if let Some(at) = WORDS.iter().position(|word| *word == text) {
        return u8::try_from(at + 1).ok();
    }
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let number: u8 = numbers.next()?.parse().ok()?;
    let plain = text.chars().all(|c| c.is_ascii_digit() || c.is_alphabetic() || " :.".contains(c));
    let fraction = text.trim_end_matches('.').contains('.') && !text.contains("qty.");
    (numbers.next().is_none() && plain && !fraction && (1..=99).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_from_1_to_99_are_understood_and_nothing_else() {
        for (text, quantity) in
            [("1", 1), (" 99 ", 99), ("3 pcs", 3), ("Qty: 4", 4), ("x2", 2), ("Two", 2), ("5.", 5)]
        {
            assert_eq!(parse(text), Some(quantity), "{text}");
        }
        for text in ["0", "100", "-3", "1.5", "1,000", "2 or 3", "many", "", "999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
