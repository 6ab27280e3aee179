//! What goes wrong between a box and Twilio, on request and by pattern.

use super::request;
use super::twilio::{ACCOUNT_AUTH, Application, MESSAGES, SEND, Twilio};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[test]
fn a_fault_meets_only_the_requests_that_it_is_meant_for() {
    let twilio = Twilio::start();
    twilio.control(
        "/_sim/faults",
        &json!([
            { "fault": "lost_answer", "with": ["Body", "unlucky"], "times": 1 },
            { "fault": { "status": { "status": 503, "code": 20503 } }, "path": "/Recordings", "after": 1 },
            { "fault": "suspended", "path": "/v2/Flows" },
        ]),
    );
    assert_eq!(twilio.send(&format!("{SEND}lucky")).status, 201);
    let lost = twilio.as_whom(ACCOUNT_AUTH, "POST", &format!("{MESSAGES}.json"), &format!("{SEND}unlucky"));
    assert!(lost.is_none());
    let recordings = MESSAGES.replace("Messages", "Recordings.json");
    assert_eq!(twilio.get(&recordings).status, 200);
    assert_eq!(twilio.get(&recordings).status, 503);
    let flows = twilio.get("/v2/Flows");
    assert_eq!((flows.status, &flows.body["code"]), (403, &json!(20005)));
    let sends = twilio.control("/_sim/sends", &Value::Null);
    let count = |body: &str| json!({ "to": "+12065550100", "body": body, "count": 1 });
    assert_eq!(sends, json!([count("lucky"), count("unlucky")]));
}

#[test]
fn an_answer_is_cut_in_its_body_or_trickles_in() {
    let twilio = Twilio::start();
    let faults = json!([
        { "fault": "cut_body", "times": 1 },
        { "fault": { "slow_body": { "seconds": 0.5 } }, "times": 1 },
    ]);
    twilio.control("/_sim/faults", &faults);
    let mut stream = TcpStream::connect(&twilio.api).unwrap();
    let head =
        format!("GET {MESSAGES}.json HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {ACCOUNT_AUTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Err: cut by a reset, not by an orderly end.
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    assert_eq!(body.len(), length / 2, "{answer}");

    let begun = Instant::now();
    let slow = twilio.get(&format!("{MESSAGES}.json"));
    assert_eq!(slow.status, 200);
    assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
    assert!(slow.body["messages"].is_array());
}

#[test]
fn a_message_whose_answer_was_lost_is_listed_late() {
    let twilio = Twilio::start();
    twilio.control("/_sim/settings", &json!({ "own_list_lag_ms": 400 }));
    twilio.control("/_sim/faults", &json!([{ "fault": "lost_answer", "on": "writes", "times": 1 }]));
    let path = format!("{MESSAGES}.json");
    assert!(twilio.as_whom(ACCOUNT_AUTH, "POST", &path, &format!("{SEND}lost")).is_none());
    let look = || twilio.get(&format!("{path}?To=%2B12065550100&From=%2B12065550199")).sids("messages");
    assert!(look().is_empty());
    let begun = Instant::now();
    while look().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert!(begun.elapsed() > Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[test]
fn texts_may_be_unannounced_older_and_later_than_others() {
    let twilio = Twilio::start();
    let sids = twilio.control(
        "/_sim/inbound",
        &json!([
            { "from": "+12065550100", "body": "late", "late_ms": 60_000 },
            { "from": "+12065550100", "body": "new" },
            { "from": "+12065550100", "body": "old", "seconds_ago": 600 },
        ]),
    );
    let path = format!("{MESSAGES}.json");
    let listed = twilio.get(&path).sids("messages");
    assert_eq!(listed, [sids[1].as_str().unwrap(), sids[2].as_str().unwrap()]);
    let fetched = twilio.get(&format!("{MESSAGES}/{}.json", sids[0].as_str().unwrap()));
    assert_eq!(fetched.status, 200, "only lists are late");
}

#[test]
fn a_replayed_webhook_is_the_same_to_the_byte_and_a_forged_one_names_no_message() {
    let twilio = Twilio::start();
    let application = Application::start();
    let url = application.url("/sms");
    twilio.control("/_sim/numbers", &json!({ "number": "+12065550199", "sms_url": url }));
    let sid = twilio.inbound("+12065550100", "Hello");
    let first = application.next(204, "");
    assert_eq!(twilio.control("/_sim/replay", &json!({ "sid": sid })), 1);
    let again = application.next(204, "");
    assert_eq!((&first.head, &first.body), (&again.head, &again.body));
    for (forgery, good) in [("none", true), ("foreign_token", false), ("missing", false)] {
        let forged = json!([{ "from": "+12065550100", "body": "Pay me", "forgery": forgery }]);
        let claimed = twilio.control("/_sim/forged", &forged);
        let hook = application.next(204, "");
        assert_eq!(hook.field("MessageSid"), claimed[0].as_str());
        assert_eq!(hook.signature() == Some(hook.expected(&url).as_str()), good, "{forgery}");
        let path = format!("{MESSAGES}/{}.json", claimed[0].as_str().unwrap());
        assert_eq!(twilio.get(&path).status, 404);
    }
}

#[test]
fn too_many_at_once_are_429_and_the_others_are_not() {
    let twilio = Twilio::start();
    twilio.control("/_sim/settings", &json!({ "max_concurrent": 2 }));
    twilio.control("/_sim/faults", &json!([{ "fault": "silence", "times": 2 }]));
    let open = || {
        let mut stream = TcpStream::connect(&twilio.api).unwrap();
        let head =
            format!("GET {MESSAGES}.json HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {ACCOUNT_AUTH}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let silent = [open(), open()];
    let begun = Instant::now();
    let asked = || twilio.control("/_sim/stats", &Value::Null)["requests"].as_u64().unwrap();
    while asked() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    let headers = format!("Authorization: Basic {ACCOUNT_AUTH}\r\n");
    let third = request(&twilio.api, "GET", &format!("{MESSAGES}.json"), &headers, "").unwrap();
    assert_eq!((third.status, &third.body["code"]), (429, &json!(20429)));
    drop(silent);
    let begun = Instant::now();
    while twilio.get(&format!("{MESSAGES}.json")).status == 429 {
        assert!(begun.elapsed() < Duration::from_secs(20), "connections that are gone still count");
    }
    assert_eq!(twilio.control("/_sim/stats", &Value::Null)["most_at_once"], 3);
}
