//! `backroom sms segments`: one JSON line in, one out. No input or output of its own.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::messaging::segments;

#[derive(Deserialize)]
struct Request {
    text: String,
}

/// Answers one line, `{"text"}`, with `{"encoding","segments","units"}` or `{"error"}`; `None` for a blank line.
#[must_use]
pub fn segments_line(line: &str) -> Option<Value> {
    if line.trim().is_empty() {
        return None;
    }
    Some(match serde_json::from_str::<Request>(line) {
        Ok(Request { text }) => {
            let counted = segments(&text);
            json!({
                "encoding": counted.encoding.as_str(),
                "segments": counted.segments,
                "units": counted.units,
            })
        }
        Err(error) => json!({ "error": format!("the line is not {{\"text\"}} in JSON: {error}") }),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::at::pdu::{SubmitOptions, submit};
    use crate::types::{Address, gsm7};

    proptest! {
        /// The modem's encoder and the count must not disagree on what a text costs.
        #[test]
        fn a_gsm_7_text_goes_out_in_as_many_parts_as_are_counted(text in "[a-z {}€\\[\\]é]{0,900}") {
            prop_assert!(gsm7::fits(&text));
            let to = Address::Short("12345".into());
            let parts = submit(&to, &text, &SubmitOptions::default()).unwrap();
            prop_assert_eq!(parts.len(), segments(&text).segments);
        }
    }

    #[test]
    fn a_line_is_answered_with_its_cost() {
        let answer = segments_line(r#"{"text":"Hi 😀"}"#).unwrap();
        assert_eq!(answer.to_string(), r#"{"encoding":"UCS-2","segments":1,"units":5}"#);
    }

    #[test]
    fn blank_lines_are_skipped_and_bad_ones_answered() {
        assert_eq!(segments_line(" \r\n"), None);
        assert!(segments_line("{").unwrap()["error"].is_string());
        assert!(segments_line(r#"{"body":"x"}"#).unwrap()["error"].is_string());
    }
}
