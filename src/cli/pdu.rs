//! `backroom pdu decode` and `backroom pdu encode`: one line in, one JSON line out. No input or output of its own.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::at::pdu::{self, Concat, Direction, Pdu, SubmitOptions, Timestamp, TypeOfAddress, UserData};
use crate::types::{Address, PhoneNumber};

/// Answers one line, a PDU in hex as the modem gives it (SUBMITs with `mo`), with its fields or `{"error"}`;
/// `None` for a blank line. Fields that a type of PDU does not have are null.
#[must_use]
pub fn decode_line(line: &str, mo: bool) -> Option<Value> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let direction = if mo { Direction::ToSc } else { Direction::FromSc };
    Some(match pdu::decode(line, direction, None) {
        Ok(Pdu::Deliver(deliver)) => fields(
            "SMS-DELIVER",
            number(&deliver.from, deliver.from_type),
            Some((&deliver.data, &deliver.header, deliver.concat, deliver.dcs)),
            deliver.timestamp,
        ),
        Ok(Pdu::Submit(submit)) => {
            let mut fields = fields(
                "SMS-SUBMIT",
                number(&submit.to, submit.to_type),
                Some((&submit.data, &submit.header, submit.concat, submit.dcs)),
                None,
            );
            fields["reference"] = json!(submit.reference);
            fields
        }
        Ok(Pdu::StatusReport(report)) => {
            let number = number(&report.to, report.to_type);
            let mut fields = fields("SMS-STATUS-REPORT", number, None, report.timestamp);
            fields["status"] = json!(report.status);
            fields["delivery"] = json!(report.delivery().as_str());
            fields["reference"] = json!(report.reference);
            fields["discharge"] = time(report.discharge);
            fields
        }
        Err(error) => json!({ "error": error.to_string() }),
    })
}

/// What `pdu encode` reads: one text to one number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    number: String,
    text: String,
    #[serde(default, rename = "ref")]
    reference: u16,
    #[serde(default)]
    report: bool,
    #[serde(default)]
    wide: bool,
    #[serde(default)]
    class: Option<u8>,
}

/// Answers one line, `{"number","text"}` and optional `ref`, `report`, `wide`, `class`, with
/// `{"pdus":[{"pdu","length"}]}` or `{"error"}`; `None` for a blank line. `length` is that of `AT+CMGS`.
#[must_use]
pub fn encode_line(line: &str) -> Option<Value> {
    if line.trim().is_empty() {
        return None;
    }
    Some(match serde_json::from_str(line) {
        Ok(request) => encode(&request).unwrap_or_else(|error| json!({ "error": error })),
        Err(error) => json!({ "error": format!("the line is not {{\"number\",\"text\"}} in JSON: {error}") }),
    })
}

fn encode(request: &Request) -> Result<Value, String> {
    let to = if request.number.trim_start().starts_with('+') {
        Address::Phone(PhoneNumber::parse(&request.number, None).map_err(|error| error.to_string())?)
    } else {
        // As dialled: a short code, or a number that the network completes.
        Address::Short(request.number.trim().to_owned())
    };
    let options = SubmitOptions {
        reference: request.reference,
        wide: request.wide,
        report: request.report,
        validity: None,
        class: request.class,
    };
    let pdus = pdu::submit(&to, &request.text, &options).map_err(|error| error.to_string())?;
    let pdus: Vec<Value> =
        pdus.iter().map(|part| json!({ "pdu": part.hex, "length": part.length })).collect();
    Ok(json!({ "pdus": pdus }))
}

type Said<'a> = (&'a UserData, &'a [u8], Option<Concat>, u8);

fn fields(kind: &str, number: String, said: Option<Said<'_>>, timestamp: Option<Timestamp>) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("type", json!(kind));
    put("number", json!(number));
    put("text", json!(said.map(|(data, ..)| data.text())));
    put("timestamp", time(timestamp));
    put("udh", json!(said.map(|(_, header, ..)| header).filter(|header| !header.is_empty()).map(hex)));
    put(
        "concat",
        json!(said.and_then(|(_, _, concat, _)| concat).map(|concat| json!({
            "ref": concat.reference,
            "part": concat.part,
            "total": concat.total,
        }))),
    );
    put("dcs", json!(said.map(|(.., dcs)| dcs)));
    put("status", Value::Null);
    if let Some((UserData::Data { octets }, ..)) = said {
        put("data", json!(hex(octets)));
    }
    Value::Object(fields)
}

fn number(address: &Address, kind: TypeOfAddress) -> String {
    match address {
        // Too short or too long for a phone number, but said to be international.
        Address::Short(digits) if kind.number_type() == 1 => format!("+{digits}"),
        other => other.as_str().to_owned(),
    }
}

fn time(timestamp: Option<Timestamp>) -> Value {
    json!(timestamp.map(|timestamp| timestamp.to_string()))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_answered_with_its_fields() {
        let line =
            "07917283010010F5440B912160550501F1000862110201112 12B0A050003070201D83DDE00\n".replace(' ', "");
        assert_eq!(
            decode_line(&line, false).unwrap(),
            json!({
                "type": "SMS-DELIVER",
                "number": "+12065550101",
                "text": "😀",
                "timestamp": "2026-11-20T10:11:12-08:00",
                "udh": "0003070201",
                "concat": { "ref": 7, "part": 1, "total": 2 },
                "dcs": 8,
                "status": null,
            })
        );
    }

    #[test]
    fn a_report_is_answered_with_its_status() {
        let answer = decode_line("0006D60B912160550501F16211020111212B6211020111312B30", false).unwrap();
        assert_eq!(answer["type"], "SMS-STATUS-REPORT");
        assert_eq!(answer["status"], 0x30);
        assert_eq!(answer["delivery"], "still_trying");
        assert_eq!(answer["reference"], 0xD6);
        assert_eq!(answer["discharge"], "2026-11-20T10:11:13-08:00");
        assert_eq!(answer["text"], Value::Null);
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let answer = encode_line(r#"{"number":"+12065550101","text":"Hi €","ref":5,"report":true}"#).unwrap();
        let pdu = answer["pdus"][0]["pdu"].as_str().unwrap();
        assert_eq!(answer["pdus"][0]["length"], pdu.len() / 2 - 1);
        let back = decode_line(pdu, true).unwrap();
        assert_eq!((back["type"].as_str(), back["text"].as_str()), (Some("SMS-SUBMIT"), Some("Hi €")));
        assert_eq!(back["number"], "+12065550101");
        assert!(decode_line(pdu, false).unwrap()["error"].is_string());
    }

    #[test]
    fn blank_lines_are_skipped_and_bad_ones_answered() {
        assert_eq!(decode_line("  \n", false), None);
        assert_eq!(encode_line(""), None);
        for line in ["{", "[]", r#"{"number":"+1"}"#, r#"{"number":"+12065550101","text":"x","class":9}"#] {
            assert!(encode_line(line).unwrap()["error"].is_string(), "{line}");
        }
        assert!(encode_line(r#"{"number":"BANK","text":"x"}"#).unwrap()["error"].is_string());
        assert!(decode_line("zz", false).unwrap()["error"].is_string());
    }
}
