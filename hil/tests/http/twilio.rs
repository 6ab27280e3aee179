//! `hil twilio`: the REST API from a client, with webhooks to a plain HTTP server.

use super::{Answer, Program, request, request_at};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;

use hil::twilio::signature;
use serde_json::{Value, json};

const TOKEN: &str = "simulated-auth-token";
/// The account and its token, Base64.
pub(crate) const ACCOUNT_AUTH: &str =
    "QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTpzaW11bGF0ZWQtYXV0aC10b2tlbg==";
/// `SK1:secret`, Base64.
const KEY_AUTH: &str = "U0sxOnNlY3JldA==";
pub(crate) const MESSAGES: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages";
pub(crate) const SEND: &str = "To=%2B12065550100&From=%2B12065550199&Body=";

pub(crate) struct Twilio(Program);

impl Deref for Twilio {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0
    }
}

impl Answer {
    pub(crate) fn sids(&self, key: &str) -> Vec<String> {
        let all = self.body[key].as_array().unwrap();
        all.iter().map(|one| one["sid"].as_str().unwrap().to_owned()).collect()
    }
}

impl Twilio {
    pub(crate) fn start() -> Self {
        let test = "AC00000000000000000000000000000002:simulated-test-token";
        Self(Program::start("twilio", ["--api-key", "SK1:secret", "--test-account", test]))
    }

    pub(crate) fn as_whom(&self, auth: &str, method: &str, path: &str, form: &str) -> Option<Answer> {
        let headers =
            format!("Authorization: Basic {auth}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        request(&self.api, method, path, &headers, form)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.as_whom(ACCOUNT_AUTH, "GET", path, "").unwrap()
    }

    /// A GET to the same address that names another host.
    pub(crate) fn to_host(&self, host: &str, path: &str, headers: &str) -> Answer {
        request_at(&self.api, host, "GET", path, headers, "").unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.as_whom(ACCOUNT_AUTH, "DELETE", path, "").unwrap()
    }

    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        self.as_whom(ACCOUNT_AUTH, "POST", path, form).unwrap()
    }

    pub(crate) fn send(&self, form: &str) -> Answer {
        self.post(&format!("{MESSAGES}.json"), form)
    }

    pub(crate) fn inbound(&self, from: &str, body: &str) -> String {
        let sids = self.control("/_sim/inbound", &json!([{ "from": from, "body": body }]));
        sids[0].as_str().unwrap().to_owned()
    }
}

/// A shop's application: takes webhooks one by one and answers as told.
pub(crate) struct Application(TcpListener);

pub(crate) struct Hook {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Hook {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn signature(&self) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix("X-Twilio-Signature: "))
    }

    /// What the signature should be, for bodies of plain characters and `%2B`.
    pub(crate) fn expected(&self, url: &str) -> String {
        let plain = |text: &str| text.replace("%2B", "+").replace("%20", " ");
        let pairs: Vec<_> = self.body.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (plain(name), plain(value))).collect();
        signature(TOKEN, url, &pairs)
    }
}

impl Application {
    pub(crate) fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.local_addr().unwrap())
    }

    pub(crate) fn next(&self, status: u16, twiml: &str) -> Hook {
        let (mut stream, _) = self.0.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let length = twiml.len();
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{twiml}")
            .unwrap();
        Hook { head, body: String::from_utf8(body).unwrap() }
    }
}

#[test]
fn a_message_has_twilios_shape_and_ends_delivered() {
    let twilio = Twilio::start();
    let application = Application::start();
    let url = application.url("/status");
    let sent =
        twilio.send(&format!("{SEND}Hello&StatusCallback={}", url.replace(':', "%3A").replace('/', "%2F")));
    assert_eq!((sent.status, &sent.body["status"]), (201, &json!("queued")));
    assert_eq!((&sent.body["num_segments"], &sent.body["num_media"]), (&json!("1"), &json!("0")));
    assert_eq!((&sent.body["error_code"], &sent.body["date_sent"]), (&Value::Null, &Value::Null));
    assert!(sent.body["date_created"].as_str().unwrap().ends_with(" +0000"), "{}", sent.body);
    let sid = sent.body["sid"].as_str().unwrap();
    assert_eq!(sent.body["uri"], format!("{MESSAGES}/{sid}.json"));
    for status in ["sending", "sent", "delivered"] {
        let hook = application.next(204, "");
        assert_eq!((hook.field("MessageSid"), hook.field("MessageStatus")), (Some(sid), Some(status)));
        assert_eq!(hook.signature(), Some(hook.expected(&url).as_str()));
        assert_eq!(hook.field("SequenceNumber"), None);
    }
    let fetched = twilio.get(&format!("{MESSAGES}/{sid}.json"));
    assert_eq!((&fetched.body["status"], &fetched.body["price"]), (&json!("delivered"), &json!("-0.00830")));
    assert!(fetched.header("Date").unwrap().ends_with(" GMT"));
    let redacted = twilio.post(&format!("{MESSAGES}/{sid}.json"), "Body=");
    assert_eq!((redacted.status, &redacted.body["body"]), (200, &json!("")));
    let one = format!("{MESSAGES}/{sid}.json");
    assert_eq!(twilio.as_whom(ACCOUNT_AUTH, "DELETE", &one, "").unwrap().status, 204);
    let gone = twilio.get(&one);
    assert_eq!((gone.status, &gone.body["code"]), (404, &json!(20404)));
}

#[test]
fn refusals_have_twilios_codes() {
    let twilio = Twilio::start();
    let from = "From=%2B15005550006&Body=x&To=%2B1";
    for (form, code) in [
        (format!("{from}5005550001"), 21211),
        (format!("{from}5005550002"), 21612),
        (format!("{from}5005550003"), 21408),
        (format!("{from}5005550004"), 21610),
        (format!("{from}5005550009"), 21614),
        ("To=%2B12065550100&From=%2B15005550001&Body=x".to_owned(), 21212),
        ("To=%2B12065550100&From=%2B15005550007&Body=x".to_owned(), 21606),
        ("To=%2B12065550100&From=%2B15005550008&Body=x".to_owned(), 21611),
        ("To=%2B12065550100&From=%2B12065550198&Body=x".to_owned(), 21606),
        ("To=%2B12065550100&Body=x".to_owned(), 21603),
        (SEND.to_owned(), 21602),
        (format!("{SEND}{}", "x".repeat(1601)), 21617),
    ] {
        let refused = twilio.send(&form);
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!(code)), "{form}");
        assert_eq!(refused.body["more_info"], format!("https://www.twilio.com/docs/errors/{code}"));
    }
    assert_eq!(twilio.send("From=%2B15005550006&Body=x&To=%2B12065550100").status, 201);
    let stranger = twilio.as_whom("eDp5", "GET", &format!("{MESSAGES}.json"), "").unwrap();
    assert_eq!((stranger.status, &stranger.body["code"]), (401, &json!(20003)));
    let key = twilio.as_whom(KEY_AUTH, "GET", &format!("{MESSAGES}.json"), "").unwrap();
    assert_eq!(key.status, 200);
    assert_eq!(twilio.control("/_sim/messages", &Value::Null).as_array().unwrap().len(), 1);
}

#[test]
fn pages_go_on_where_they_were_although_a_message_comes_between() {
    let twilio = Twilio::start();
    let sids: Vec<String> = (0..5).map(|at| twilio.inbound("+12065550100", &format!("{at}"))).collect();
    let first = twilio.get(&format!("{MESSAGES}.json?PageSize=2&DateSent%3E=2020-01-01T00%3A00%3A00Z"));
    assert_eq!(first.sids("messages"), [&*sids[4], &*sids[3]]);
    assert_eq!((&first.body["page"], &first.body["page_size"]), (&json!(0), &json!(2)));
    let late = twilio.inbound("+12065550100", "late");
    let second = twilio.get(first.body["next_page_uri"].as_str().unwrap());
    assert_eq!(second.sids("messages"), [&*sids[2], &*sids[1]]);
    let third = twilio.get(second.body["next_page_uri"].as_str().unwrap());
    assert_eq!((third.sids("messages"), &third.body["next_page_uri"]), (vec![sids[0].clone()], &Value::Null));
    let back = twilio.get(second.body["previous_page_uri"].as_str().unwrap());
    assert_eq!(back.sids("messages"), [&*sids[4], &*sids[3]]);
    let future = twilio.get(&format!("{MESSAGES}.json?DateSent%3E=2099-01-01"));
    assert!(future.sids("messages").is_empty());
    let past = twilio.get(&format!("{MESSAGES}.json?DateSent%3C=2099-01-01&To=%2B12065550199"));
    assert_eq!(past.sids("messages")[0], late);
}

#[test]
fn a_lost_answer_is_a_sent_message_and_a_429_is_not() {
    let twilio = Twilio::start();
    twilio.control(
        "/_sim/faults",
        &json!([
            { "fault": { "too_many": { "retry_after": 7 } }, "on": "writes", "times": 1 },
            { "fault": "lost_answer", "on": "writes", "times": 1 },
            { "fault": "lost_request", "on": "writes", "times": 1 },
            { "fault": "commit_then500", "on": "writes", "times": 1 },
            { "fault": "error500", "on": "reads", "times": 1 },
        ]),
    );
    let limited = twilio.send(&format!("{SEND}limited"));
    assert_eq!((limited.status, &limited.body["code"]), (429, &json!(20429)));
    assert_eq!(limited.header("Retry-After"), Some("7"));
    let path = format!("{MESSAGES}.json");
    for body in ["lost-answer", "lost-request"] {
        assert!(twilio.as_whom(ACCOUNT_AUTH, "POST", &path, &format!("{SEND}{body}")).is_none(), "{body}");
    }
    assert_eq!(twilio.send(&format!("{SEND}committed")).status, 500);
    assert_eq!(twilio.get(&path).status, 500);
    let all = twilio.control("/_sim/messages", &Value::Null);
    let bodies: Vec<_> = all.as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["lost-answer", "committed"]);
    let stats = twilio.control("/_sim/stats", &Value::Null);
    assert_eq!((&stats["by_resource"]["POST Messages"], &stats["most_at_once"]), (&json!(4), &json!(1)));
}

#[test]
fn callbacks_come_last_first_and_doubled_on_demand() {
    let twilio = Twilio::start();
    let application = Application::start();
    twilio.control(
        "/_sim/settings",
        &json!({ "step_ms": 1, "reverse_callbacks": true, "webhook_copies": 1, "sign_without_port": true }),
    );
    let path = MESSAGES.replace("Messages", "Calls.json");
    let events = "StatusCallbackEvent=initiated&StatusCallbackEvent=ringing&StatusCallbackEvent=completed";
    let url = application.url("/call").replace(':', "%3A").replace('/', "%2F");
    let form =
        format!("To=%2B12065550100&From=%2B12065550199&Url=http%3A%2F%2Fx&StatusCallback={url}&{events}");
    assert_eq!(twilio.post(&path, &form).status, 201);
    for (status, sequence) in [("completed", "3"), ("ringing", "1"), ("initiated", "0")] {
        for _ in 0..2 {
            let hook = application.next(200, "");
            assert_eq!(
                (hook.field("CallStatus"), hook.field("SequenceNumber")),
                (Some(status), Some(sequence))
            );
        }
    }
}

#[test]
fn stop_blocks_the_pair_until_start_and_the_webhook_is_called_all_the_same() {
    let twilio = Twilio::start();
    let application = Application::start();
    let url = application.url("/sms#rc=2&rp=5xx");
    twilio.control("/_sim/numbers", &json!({ "number": "+12065550199", "sms_url": url }));
    let sid = twilio.inbound("+12065550100", "Stop");
    let failed = application.next(503, "");
    let retried = application.next(200, "<Response><Message>Sorry</Message></Response>");
    assert_eq!((failed.field("MessageSid"), failed.field("SmsStatus")), (Some(&*sid), Some("received")));
    let key = "I-Twilio-Idempotency-Token: ";
    let token = |hook: &Hook| hook.head.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(token(&failed), token(&retried));
    assert_eq!(retried.signature(), Some(retried.expected(&application.url("/sms")).as_str()));
    let refused = twilio.send(&format!("{SEND}hi"));
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(21610)));
    twilio.inbound("+12065550100", "YES");
    application.next(200, "");
    assert_eq!(twilio.send(&format!("{SEND}hi")).status, 201);
}

#[test]
fn forged_webhooks_do_not_verify() {
    let twilio = Twilio::start();
    let application = Application::start();
    let url = application.url("/sms");
    twilio.control("/_sim/numbers", &json!({ "number": "+12065550199", "sms_url": url }));
    for forgery in ["none", "foreign_token", "tampered", "garbage", "missing"] {
        twilio.control("/_sim/settings", &json!({ "forgery": forgery }));
        twilio.inbound("+12065550100", "Hello");
        let hook = application.next(200, "");
        let good = hook.signature() == Some(hook.expected(&url).as_str());
        assert_eq!(good, forgery == "none", "{forgery}");
    }
    twilio.control("/_sim/settings", &json!({}));
    twilio.control("/_sim/webhook", &json!({ "url": url, "json": { "a": 1 } }));
    let hook = application.next(200, "");
    let path = hook.head.split(' ').nth(1).unwrap();
    assert!(path.starts_with("/sms?bodySHA256=") && path.len() == 80, "{path}");
    assert_eq!(
        (hook.body.as_str(), hook.signature()),
        ("{\"a\":1}", Some(&*signature(TOKEN, &application.url(path), &[])))
    );
}

#[test]
fn media_and_recordings_are_fetched_and_a_dead_line_comes_back() {
    let twilio = Twilio::start();
    let inbound = json!([{ "from": "+12065550100", "media": [["text/plain", "a photo"]] }]);
    let sids = twilio.control("/_sim/inbound", &inbound);
    let sid = sids[0].as_str().unwrap();
    assert!(sid.starts_with("MM"));
    let list = twilio.get(&format!("{MESSAGES}/{sid}/Media.json"));
    assert_eq!(list.body["media_list"][0]["content_type"], "text/plain");
    let media = &list.sids("media_list")[0];
    assert_eq!(twilio.get(&format!("{MESSAGES}/{sid}/Media/{media}")).body, "a photo");
    let voicemail = json!({ "call_sid": "CA1", "seconds": 2 });
    let recording = twilio.control("/_sim/recordings", &voicemail);
    let path = MESSAGES.replace("Messages", "Recordings");
    let list = twilio.get(&format!("{path}.json?DateCreated%3E=2020-01-01"));
    assert_eq!(
        (&list.body["recordings"][0]["duration"], &list.body["recordings"][0]["sid"]),
        (&json!("2"), &recording)
    );
    let wav = twilio.get(&format!("{path}/{}.wav", recording.as_str().unwrap()));
    assert_eq!((wav.status, wav.header("content-length")), (200, Some("32044")));
    twilio.control("/_sim/down", &json!({}));
    assert!(TcpStream::connect(&twilio.api).is_err());
    twilio.control("/_sim/up", &json!({}));
    assert_eq!(twilio.get(&format!("{MESSAGES}.json")).sids("messages").len(), 1);
}
