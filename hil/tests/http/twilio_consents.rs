//! Consent Management: what is told counts like STOP and START by text.

use super::Answer;
use super::twilio::{SEND, Twilio};
use serde_json::{Value, json};

const BULK: &str = "/v1/Consents/Bulk";

fn form(items: &[Value]) -> String {
    let encoded =
        |item: &Value| item.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    items.iter().map(|item| format!("Items={}", encoded(item))).collect::<Vec<_>>().join("&")
}

fn item(number: u32, sender: &str, status: &str) -> Value {
    json!({
        "contact_id": "+12065550100", "correlation_id": format!("{number:032x}"), "sender_id": sender,
        "status": status, "source": "offline",
    })
}

fn codes(answer: &Answer) -> Vec<u64> {
    answer.body["items"].as_array().unwrap().iter().map(|one| one["error_code"].as_u64().unwrap()).collect()
}

#[test]
fn an_opt_out_refuses_texts_and_an_opt_in_lifts_also_what_a_text_said() {
    let twilio = Twilio::start();
    let ours = "+12065550199";
    let told = twilio.post(BULK, &form(&[item(1, ours, "opt-out")]));
    assert_eq!((told.status, codes(&told)), (201, vec![0]));
    assert_eq!(twilio.send(&format!("{SEND}a")).body["code"], 21610);
    codes(&twilio.post(BULK, &form(&[item(2, ours, "opt-in")])));
    assert_eq!(twilio.send(&format!("{SEND}b")).status, 201);
    twilio.inbound("+12065550100", "STOP");
    assert_eq!(twilio.send(&format!("{SEND}c")).body["code"], 21610);
    codes(&twilio.post(BULK, &form(&[item(3, ours, "opt-in")])));
    assert_eq!(twilio.send(&format!("{SEND}d")).status, 201);
    assert_eq!(twilio.control("/_sim/consents", &Value::Null).as_array().unwrap().len(), 3);
}

#[test]
fn who_texted_stop_to_a_toll_free_number_must_text_start_to_it() {
    let twilio = Twilio::start();
    let ours = "+18005550199";
    twilio.control("/_sim/numbers", &json!({ "number": ours }));
    twilio.control("/_sim/inbound", &json!([{ "from": "+12065550100", "to": ours, "body": "STOP" }]));
    let send = "To=%2B12065550100&From=%2B18005550199&Body=a";
    assert_eq!(codes(&twilio.post(BULK, &form(&[item(1, ours, "opt-in")]))), [0]);
    assert_eq!(twilio.send(send).body["code"], 21610);
    twilio.control("/_sim/inbound", &json!([{ "from": "+12065550100", "to": ours, "body": "START" }]));
    assert_eq!(twilio.send(send).status, 201);
}

#[test]
fn every_mistake_of_an_item_is_named_and_the_others_are_taken() {
    let twilio = Twilio::start();
    let ours = "+12065550199";
    let mut bad = item(2, "+15550000000", "perhaps");
    bad["contact_id"] = json!("2065550100");
    bad["source"] = json!("rumour");
    bad["date_of_consent"] = json!("yesterday");
    let mut odd = item(0, ours, "opt-out");
    odd["correlation_id"] = json!("7");
    let told = twilio.post(BULK, &form(&[item(1, ours, "opt-out"), bad, odd]));
    assert_eq!(codes(&told), [0, 30646, 30646]);
    assert_eq!(
        told.body["items"][1]["error_messages"],
        json!([
            "INVALID_SENDER_ID",
            "INVALID_CONTACT_ID",
            "INVALID_STATUS",
            "INVALID_SOURCE",
            "INVALID_DATE_OF_CONSENT"
        ])
    );
    assert_eq!(told.body["items"][2]["error_messages"], json!(["INVALID_CORRELATION_ID"]));
    let twice = form(&[item(1, ours, "opt-out"), item(1, ours, "opt-in")]);
    let many: Vec<Value> = (0..26).map(|n| item(n, ours, "opt-out")).collect();
    for wrong in ["", "Items=%7B", &twice, &form(&many)] {
        assert_eq!(twilio.post(BULK, wrong).body["code"], 20001, "{wrong}");
    }
    assert_eq!(twilio.get(BULK).status, 404);
}
