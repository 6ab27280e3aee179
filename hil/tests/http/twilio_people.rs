//! What people on the other side do: WhatsApp, opting out of a whole service, texting by the thousand.

use super::Answer;
use super::twilio::{Application, MESSAGES, SEND, Twilio};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use hil::twilio::{Bulk, Options, Settings, Status};
use serde_json::{Value, json};

const WHATSAPP: &str = "To=whatsapp%3A%2B12065550100&From=whatsapp%3A%2B12065550199";

fn code(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.body["code"].as_u64().unwrap_or_default())
}

/// The message when one of these statuses is reached.
fn reached(twilio: &Twilio, sent: &Answer, statuses: &[&str]) -> Value {
    let path = format!("{MESSAGES}/{}.json", sent.body["sid"].as_str().unwrap());
    let begun = Instant::now();
    loop {
        let message = twilio.get(&path).body;
        if statuses.iter().any(|status| message["status"] == *status) {
            return message;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{message}");
    }
}

/// The message when nothing follows any more.
fn ended(twilio: &Twilio, sent: &Answer) -> Value {
    reached(twilio, sent, &["delivered", "undelivered", "failed"])
}

#[test]
fn whatsapp_takes_free_words_for_a_day_after_the_persons_last_ones_and_templates_always() {
    let twilio = Twilio::start();
    let early = twilio.send(&format!("{WHATSAPP}&Body=Hello"));
    assert_eq!((early.status, &early.body["from"]), (201, &json!("whatsapp:+12065550199")));
    let failed = ended(&twilio, &early);
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("undelivered"), &json!(63016)));

    let template = twilio.control("/_sim/templates", &json!({ "body": "Order {{1}} is {{2}}" }));
    let variables = "%7B%221%22%3A%22SO-1%22%2C%222%22%3A%22ready%22%7D";
    let template = template.as_str().unwrap();
    let form = format!("{WHATSAPP}&ContentSid={template}&ContentVariables={variables}");
    let ordered = ended(&twilio, &twilio.send(&form));
    assert_eq!((&ordered["status"], &ordered["body"]), (&json!("delivered"), &json!("Order SO-1 is ready")));

    let day = 24 * 3600;
    let old = json!([{ "from": "whatsapp:+12065550100", "body": "Hi", "seconds_ago": day + 60 }]);
    twilio.control("/_sim/inbound", &old);
    let late = ended(&twilio, &twilio.send(&format!("{WHATSAPP}&Body=Hello")));
    assert_eq!(late["error_code"], 63016);
    twilio.inbound("whatsapp:+12065550100", "Hi");
    let open = ended(&twilio, &twilio.send(&format!("{WHATSAPP}&Body=Hello")));
    assert_eq!(open["status"], "delivered");

    let unknown = format!("{WHATSAPP}&ContentSid=HX00000000000000000000000000000000");
    assert_eq!(code(&twilio.send(&unknown)), (400, 21655));
    assert_eq!(code(&twilio.send(&format!("{WHATSAPP}&ContentVariables=x"))), (400, 21654));
    assert_eq!(
        code(&twilio.send(&format!("{WHATSAPP}&ContentSid={template}&ContentVariables=x"))),
        (400, 21656)
    );
    let mixed = "To=whatsapp%3A%2B12065550100&From=%2B12065550199&Body=x";
    assert_eq!(code(&twilio.send(mixed)), (400, 21910));
    let stranger = "To=whatsapp%3A%2B12065550100&From=whatsapp%3A%2B12065550198&Body=x";
    assert_eq!(code(&twilio.send(stranger)), (400, 63007));
}

#[test]
fn stop_to_one_number_of_a_service_stops_the_service_until_start() {
    let twilio = Twilio::start();
    let application = Application::start();
    twilio.control("/_sim/numbers", &json!({ "number": "+12065550198" }));
    twilio.control("/_sim/settings", &json!({ "advanced_opt_out": true }));
    let made = twilio.post("/v1/Services", "FriendlyName=shop");
    let sid = made.body["sid"].as_str().unwrap().to_owned();
    assert_eq!((made.status, sid.starts_with("MG")), (201, true));
    let through = format!("To=%2B12065550100&MessagingServiceSid={sid}&Body=x");
    assert_eq!(code(&twilio.send(&through)), (400, 21704), "no numbers");
    let url = application.url("/in");
    let service =
        json!({ "sid": sid, "numbers": ["+12065550199", "+12065550198"], "inbound_request_url": url });
    twilio.control("/_sim/services", &service);
    let numbers = twilio.get(&format!("/v1/Services/{sid}/PhoneNumbers"));
    assert_eq!(numbers.body["phone_numbers"].as_array().unwrap().len(), 2);

    let sent = twilio.send(&through);
    assert_eq!(
        (sent.status, &sent.body["status"], &sent.body["from"]),
        (201, &json!("accepted"), &Value::Null)
    );
    assert!(ended(&twilio, &sent)["from"].as_str().unwrap().starts_with("+1206555019"));

    let word = |body: &str, kind: Option<&str>| {
        let text = json!([{ "from": "+12065550100", "to": "+12065550198", "body": body }]);
        twilio.control("/_sim/inbound", &text);
        let hook = application.next(204, "");
        assert_eq!((hook.field("OptOutType"), hook.field("MessagingServiceSid")), (kind, Some(&*sid)));
    };
    word("hello", None);
    word("STOP", Some("STOP"));
    word("stop", Some("STOP"));
    for form in [through.clone(), format!("{SEND}x"), format!("{SEND}x").replace("0199", "0198")] {
        assert_eq!(code(&twilio.send(&form)), (400, 21610), "{form}");
    }
    word("START", Some("START"));
    assert_eq!(twilio.send(&through).status, 201);
    let replies = twilio.control("/_sim/replies", &Value::Null);
    let replies: Vec<_> =
        replies.as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap()).collect();
    assert_eq!(replies.len(), 2, "who is blocked is not told again: {replies:?}");
    assert!(replies[0].contains("unsubscribed") && replies[1].contains("re-subscribed"));

    twilio.control("/_sim/settings", &json!({ "opt_out": false }));
    word("STOP", None);
    assert_eq!(twilio.send(&through).status, 201, "an account that minds its own list");
    assert_eq!(code(&twilio.send(&through.replace(&sid, "MG1"))), (400, 21701));
}

#[test]
fn some_peoples_messages_end_otherwise() {
    let twilio = Twilio::start();
    let fates = json!({ "+12065550101": { "outcome": "failed", "error_code": 30007 }, "+12065550102": { "outcome": "read" } });
    twilio.control("/_sim/settings", &json!({ "fates": fates, "step_ms": 1 }));
    for (to, status, error) in
        [("0101", "failed", json!(30007)), ("0102", "read", Value::Null), ("0100", "delivered", Value::Null)]
    {
        let sent = twilio.send(&format!("{SEND}x").replace("0100", to));
        assert_eq!(reached(&twilio, &sent, &[status])["error_code"], error, "{to}");
    }
}

#[test]
fn a_scheduled_message_needs_a_service_and_a_time_ahead() {
    let twilio = Twilio::start();
    let service = json!({ "numbers": ["+12065550199"] });
    let service = twilio.control("/_sim/services", &service)["sid"].as_str().unwrap().to_owned();
    let form = "To=%2B12065550100&Body=x&ScheduleType=fixed";
    assert_eq!(
        code(&twilio.send(&format!("{form}&From=%2B12065550199&SendAt=2099-01-01T00%3A00%3A00Z"))),
        (400, 35111)
    );
    let through = format!("{form}&MessagingServiceSid={service}");
    for at in ["2020-01-01T00%3A00%3A00Z", "2099-01-01T00%3A00%3A00Z"] {
        assert_eq!(code(&twilio.send(&format!("{through}&SendAt={at}"))), (400, 35114), "{at}");
    }
    let hour = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    let at = hour.strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ").to_string();
    let waits = twilio.send(&format!("{through}&SendAt={at}"));
    assert_eq!((waits.status, &waits.body["status"]), (201, &json!("scheduled")));
    let one = format!("{MESSAGES}/{}.json", waits.body["sid"].as_str().unwrap());
    assert_eq!(twilio.post(&one, "Status=canceled").body["status"], "canceled");
}

#[tokio::test]
async fn ten_thousand_texts_come_in_and_are_each_listed_once_although_they_appear_late_and_out_of_order() {
    let twilio = hil::twilio::Twilio::start(Options::default()).unwrap();
    twilio.set(Settings { list_spread_ms: 300, ..Settings::default() });
    let begun = Instant::now();
    twilio.receive_bulk(Bulk { count: 10_000, people: 500, media_every: 100, ..Bulk::default() });
    assert!(twilio.until(Duration::from_secs(60), |twilio| twilio.inbounds().len() == 10_000).await);
    let came: Vec<_> = twilio.inbounds();
    assert_eq!((came[7].body.as_str(), came[507].from.as_deref()), ("text 7", Some("+12065560007")));
    assert_eq!(came.iter().filter(|text| text.media == 1).count(), 100);
    let api = twilio.url();
    let api = api.strip_prefix("http://").unwrap();
    let mut listed = BTreeMap::<String, u32>::new();
    while listed.len() < 10_000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} listed", listed.len());
        listed.clear();
        let mut path =
            Some(format!("{MESSAGES}.json?To=%2B12065550199&PageSize=1000&DateSent%3E=2020-01-01"));
        while let Some(at) = path {
            let headers = format!("Authorization: Basic {}\r\n", super::twilio::ACCOUNT_AUTH);
            let page = super::request(api, "GET", &at, &headers, "").unwrap();
            page.sids("messages").into_iter().for_each(|sid| *listed.entry(sid).or_default() += 1);
            path = page.body["next_page_uri"].as_str().map(str::to_owned);
        }
    }
    assert!(listed.values().all(|count| *count == 1));
    let sids: BTreeSet<_> = came.into_iter().map(|text| text.sid).collect();
    assert_eq!(listed.into_keys().collect::<BTreeSet<_>>(), sids);
}

#[tokio::test]
async fn texts_come_in_at_their_pace_while_the_api_is_down() {
    let twilio = hil::twilio::Twilio::start(Options::default()).unwrap();
    let begun = Instant::now();
    twilio.receive_bulk(Bulk {
        count: 21,
        per_second: 100.0,
        body: "order".to_owned(),
        first: 5,
        ..Bulk::default()
    });
    assert!(twilio.until(Duration::from_secs(20), |twilio| twilio.inbounds().len() >= 3).await);
    twilio.stop_listening().unwrap();
    twilio.resume().unwrap();
    assert!(twilio.until(Duration::from_secs(20), |twilio| twilio.inbounds().len() == 21).await);
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    let bodies: Vec<_> = twilio.inbounds().into_iter().map(|text| text.body).collect();
    assert_eq!((bodies[0].as_str(), bodies[20].as_str()), ("order 5", "order 25"));
}

#[tokio::test]
async fn a_test_asks_what_was_sent_and_how_often() {
    let twilio = hil::twilio::Twilio::start(Options::default()).unwrap();
    let sid = twilio.inbound("+12065550100", "1");
    assert_eq!(twilio.inbounds()[0].sid, sid);
    let api = twilio.url();
    let headers = format!("Authorization: Basic {}\r\n", super::twilio::ACCOUNT_AUTH);
    for body in ["a", "b", "a"] {
        let path = format!("{MESSAGES}.json");
        super::request(
            api.strip_prefix("http://").unwrap(),
            "POST",
            &path,
            &headers,
            &format!("{SEND}{body}"),
        )
        .unwrap();
    }
    let done =
        |twilio: &hil::twilio::Twilio| twilio.outbound().iter().all(|text| text.status == Status::Delivered);
    assert!(twilio.until(Duration::from_secs(20), done).await);
    let bodies: Vec<_> = twilio.outbound().into_iter().map(|text| text.body).collect();
    assert_eq!(bodies, ["a", "b", "a"]);
    let key = |body: &str| ("+12065550100".to_owned(), body.to_owned());
    assert_eq!(twilio.sends(), BTreeMap::from([(key("a"), 2), (key("b"), 1)]));
}

/// Answers each request in turn with a status, a type and a body; what was asked.
fn file_server(answers: &'static [(u16, &str, &str)]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let serve = |(status, kind, body): &(u16, &str, &str)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let length = body.len();
            let head_back =
                format!("HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(format!("{head_back}{body}").as_bytes()).unwrap();
            String::from_utf8(head).unwrap()
        };
        answers.iter().map(serve).collect()
    });
    (url, serving)
}

#[test]
fn files_are_fetched_from_their_addresses_and_one_that_is_missing_ends_the_message() {
    let twilio = Twilio::start();
    let (url, serving) =
        file_server(&[(200, "image/png; x=y", "a mower"), (200, "text/csv", "a,b"), (404, "text/html", "")]);
    let address = |name: &str| format!("{url}/{name}").replace(':', "%3A").replace('/', "%2F");
    let form = format!("{SEND}&MediaUrl={}&MediaUrl={}", address("a.png"), address("b.csv"));
    let sent = twilio.send(&form);
    let sid = sent.body["sid"].as_str().unwrap().to_owned();
    assert!(sent.status == 201 && sid.starts_with("MM"), "{}", sent.body);
    assert_eq!(ended(&twilio, &sent)["num_media"], "2");
    let list = twilio.get(&format!("{MESSAGES}/{sid}/Media.json")).body;
    let kinds: Vec<&str> = list["media_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["content_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["image/png", "text/csv"]);
    let uri = list["media_list"][0]["uri"].as_str().unwrap().trim_end_matches(".json").to_owned();
    assert_eq!(twilio.get(&uri).body, json!("a mower"));
    let failed = ended(&twilio, &twilio.send(&format!("{SEND}&MediaUrl={}", address("none.png"))));
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!(11200)));
    let asked = serving.join().unwrap();
    assert!(asked[0].starts_with("GET /a.png ") && asked[2].starts_with("GET /none.png "), "{asked:?}");
    assert!(asked.iter().all(|head| !head.contains("Authorization")), "{asked:?}");
    assert_eq!(code(&twilio.send(&format!("{SEND}&MediaUrl=ftp%3A%2F%2Fa"))), (400, 21620));
    let many = "&MediaUrl=https%3A%2F%2Fa".repeat(11);
    assert_eq!(code(&twilio.send(&format!("{SEND}{many}"))), (400, 21623));
}

#[test]
fn templates_are_shown_with_their_approval() {
    let twilio = Twilio::start();
    let content =
        json!({ "body": "{{1}}: {{2}}", "language": "es", "status": "rejected", "rejection_reason": "no" });
    let sid = twilio.control("/_sim/templates", &content).as_str().unwrap().to_owned();
    let one = twilio.get(&format!("/v1/Content/{sid}")).body;
    assert_eq!((&one["language"], one["variables"].as_object().unwrap().len()), (&json!("es"), 2));
    assert_eq!(one["types"]["twilio/text"]["body"], "{{1}}: {{2}}");
    let approval = twilio.get(&format!("/v1/Content/{sid}/ApprovalRequests")).body;
    assert_eq!(
        (&approval["whatsapp"]["status"], &approval["whatsapp"]["rejection_reason"]),
        (&json!("rejected"), &json!("no"))
    );
    assert_eq!(twilio.get("/v1/Content").body["contents"].as_array().unwrap().len(), 1);
    assert_eq!(twilio.get("/v1/Content/HX00000000000000000000000000000000").status, 404);
}
