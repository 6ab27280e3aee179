//! Commands against a simulated account, over real sockets.

mod setup;
mod studio;
mod voicemail;

use hil::twilio::{Fault, On, Options, Plan, Twilio};
use serde_json::{Value, json};

use super::desk::Desk;
use crate::config::{Secret, UpstreamLine};
use crate::types::LineId;

const NUMBER: &str = "+12065550199";
const OTHER: &str = "+12065550150";

fn account() -> Twilio {
    let numbers = vec![NUMBER.to_owned(), OTHER.to_owned()];
    Twilio::start(Options { numbers, ..Options::default() }).unwrap()
}

fn line(twilio: &Twilio) -> UpstreamLine {
    let options = Options::default();
    UpstreamLine {
        id: LineId("twilio".to_owned()),
        account: options.account,
        api_key: options.api_key.map(|(key, secret)| (key, Secret::new(secret))),
        auth_token: Some(Secret::new(options.auth_token)),
        max_media: 5 << 20,
        ..UpstreamLine::simulated(&twilio.url(), NUMBER)
    }
}

fn desk(twilio: &Twilio) -> Desk {
    Desk::new(&line(twilio)).unwrap()
}

/// A fault that meets one request, so manieth of its kind.
fn fault_at(request: u32, on: On, fault: Fault) -> [Plan; 1] {
    let mut plan = Plan::next(1, on, fault);
    plan.every = request;
    [plan]
}

/// Everything that a set-up could touch.
async fn everything(desk: &Desk) -> Value {
    let mut all = Vec::new();
    for (path, key) in [
        ("/SIP/CredentialLists.json", "credential_lists"),
        ("/SIP/Domains.json", "domains"),
        ("/IncomingPhoneNumbers.json", "incoming_phone_numbers"),
    ] {
        all.push(json!(desk.list(path, &[], key).await.unwrap()));
    }
    all.push(json!(desk.studio_list("/v2/Flows", "flows").await.unwrap()));
    for list in all[0].clone().as_array().unwrap() {
        let path = format!("/SIP/CredentialLists/{}/Credentials.json", list["sid"].as_str().unwrap());
        all.push(json!(desk.list(&path, &[], "credentials").await.unwrap()));
    }
    json!(all)
}

#[tokio::test]
async fn wrong_credentials_are_one_clear_message_after_one_request() {
    let twilio = account();
    let mut line = line(&twilio);
    line.api_key = Some(("SK00000000000000000000000000000009".to_owned(), Secret::new("no")));
    let error = Desk::new(&line).unwrap().list("/SIP/Domains.json", &[], "domains").await.unwrap_err();
    let words = error.to_string();
    assert!(words.starts_with("Twilio refuses the credentials of account AC"), "{words}");
    assert!(words.contains("api_secret_file") && !words.contains("SK0000"), "{words}");
    assert_eq!(twilio.stats().requests, 1);
}

#[tokio::test]
async fn a_429_is_waited_out_and_a_gone_thing_is_deleted() {
    let twilio = account();
    let desk = desk(&twilio);
    twilio.set_faults(&[Plan::next(2, On::Reads, Fault::TooMany { retry_after: 0 })]);
    assert_eq!(desk.list("/SIP/Domains.json", &[], "domains").await.unwrap(), [Value::Null; 0]);
    assert_eq!(twilio.stats().requests, 3);
    desk.delete("/SIP/Domains/SD00000000000000000000000000000001.json").await.unwrap();
}

#[tokio::test]
async fn this_months_usage_leaves_out_what_was_not_used() {
    let twilio = account();
    let desk = desk(&twilio);
    assert_eq!(crate::twilio::usage::this_month(&desk).await.unwrap(), []);
    let form = [("To", "+12065550142"), ("From", NUMBER), ("Body", "Hello")];
    desk.post("/Messages.json", &form).await.unwrap();
    let used = crate::twilio::usage::this_month(&desk).await.unwrap();
    let outbound = used.iter().find(|one| one.category == "sms-outbound").unwrap();
    assert_eq!((outbound.usage.as_str(), outbound.unit.as_str()), ("1", "messages"));
    assert!(used.iter().all(|one| one.category != "calls"), "{used:?}");
}
