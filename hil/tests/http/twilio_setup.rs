//! What a box sets up at Twilio once: Studio flows, SIP domains, the number's URLs; and test credentials.

use super::Answer;
use super::twilio::{ACCOUNT_AUTH, Twilio};
use serde_json::{Value, json};

const ACCOUNT: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001";
/// The test account and its token, Base64.
const TEST_AUTH: &str = "QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMjpzaW11bGF0ZWQtdGVzdC10b2tlbg==";

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn definition() -> Value {
    json!({
        "description": "Rings the box",
        "flags": { "allow_concurrent_calls": true },
        "initial_state": "Trigger",
        "states": [
            { "name": "Trigger", "type": "trigger", "properties": { "offset": { "x": 0, "y": 0 } },
              "transitions": [{ "event": "incomingCall", "next": "ring" }] },
            { "name": "ring", "type": "connect-call-to",
              "properties": { "noun": "sip", "to": "sip:box@shop-1.sip.twilio.com", "timeout": 20 },
              "transitions": [{ "event": "callCompleted", "next": "voicemail" }, { "event": "hangup" }] },
            { "name": "voicemail", "type": "record-voicemail", "properties": { "max_length": 120 },
              "transitions": [{ "event": "recordingComplete" }, { "event": "noAudio" }, { "event": "hangup" }] },
        ],
    })
}

fn flow(status: &str, definition: &Value, more: &str) -> String {
    let definition = encoded(&definition.to_string());
    format!("FriendlyName=box-in&Status={status}&Definition={definition}{more}")
}

fn code(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.body["code"].as_u64().unwrap_or_default())
}

#[test]
fn a_flow_keeps_its_revisions() {
    let twilio = Twilio::start();
    let first = twilio.post("/v2/Flows", &flow("draft", &definition(), "&CommitMessage=first"));
    assert_eq!(
        (first.status, &first.body["revision"], &first.body["status"]),
        (201, &json!(1), &json!("draft"))
    );
    assert_eq!(first.body["definition"], definition());
    let sid = first.body["sid"].as_str().unwrap();
    let path = format!("/v2/Flows/{sid}");
    let webhook =
        format!("https://webhooks.twilio.com/v1/Accounts/AC00000000000000000000000000000001/Flows/{sid}");
    assert_eq!(first.body["webhook_url"], webhook);
    assert!(twilio.get(&format!("{path}/Revisions/LatestPublished")).status == 404);
    let second = twilio.post(&path, "Status=published&CommitMessage=live");
    assert_eq!(
        (second.status, &second.body["revision"], &second.body["definition"]),
        (200, &json!(2), &definition())
    );
    assert_eq!(twilio.get(&path).body["commit_message"], "live");
    let revisions = twilio.get(&format!("{path}/Revisions?PageSize=1"));
    assert_eq!(revisions.body["revisions"][0]["revision"], 2);
    let next = revisions.body["meta"]["next_page_url"].as_str().unwrap();
    let next = next.strip_prefix(&format!("http://{}", twilio.api)).unwrap();
    assert_eq!(twilio.get(next).body["revisions"][0]["commit_message"], "first");
    assert_eq!(twilio.get(&format!("{path}/Revisions/LatestDraft")).body["revision"], 1);
    let list = twilio.get("/v2/Flows");
    assert_eq!((list.sids("flows"), &list.body["meta"]["key"]), (vec![sid.to_owned()], &json!("flows")));
    let run = twilio.post(&format!("{path}/Executions"), "To=%2B12065550100&From=%2B12065550199");
    assert_eq!(code(&run), (501, 20501));
    assert_eq!(twilio.delete(&path).status, 204);
    assert_eq!(twilio.get(&path).status, 404);
}

#[test]
fn a_flow_that_is_none_is_refused_with_every_fault_and_its_place() {
    let twilio = Twilio::start();
    let good = twilio.post("/v2/Flows/Validate", &flow("published", &definition(), ""));
    assert_eq!((good.status, &good.body["valid"]), (200, &json!(true)));
    let mut bad = definition();
    bad["states"][0]["transitions"][0]["next"] = json!("nowhere");
    bad["states"][1]["properties"]["timeout"] = json!("20");
    for path in ["/v2/Flows/Validate", "/v2/Flows"] {
        let refused = twilio.post(path, &flow("published", &bad, ""));
        assert_eq!(code(&refused), (400, 81022));
        let errors = refused.body["details"]["errors"].as_array().unwrap();
        let places: Vec<_> = errors.iter().map(|one| one["property_path"].as_str().unwrap()).collect();
        assert_eq!(places, ["#/states/0/transitions/0/next", "#/states/1/properties/timeout"]);
    }
    assert!(twilio.get("/v2/Flows").sids("flows").is_empty());
    assert_eq!(code(&twilio.post("/v2/Flows", "Status=draft&Definition=%7B%7D")), (400, 20001));
    assert_eq!(code(&twilio.post("/v2/Flows", "FriendlyName=a&Status=live&Definition=%7B%7D")), (400, 20001));
}

#[test]
fn the_flows_that_come_with_the_box_are_flows_to_twilio() {
    let twilio = Twilio::start();
    let mut count = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../src/flow/lizzy")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let definition: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let made = twilio.post("/v2/Flows", &flow("published", &definition, ""));
            assert_eq!(made.status, 201, "{}: {}", path.display(), made.body);
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn products_are_told_apart_by_host() {
    let twilio = Twilio::start();
    let to = |host: &str, path: &str| {
        let headers = format!("Authorization: Basic {ACCOUNT_AUTH}\r\n");
        twilio.to_host(host, path, &headers).status
    };
    assert_eq!(to("studio.twilio.com", "/v2/Flows"), 200);
    assert_eq!(to("api.twilio.com", "/v2/Flows"), 404);
    assert_eq!(to("api.twilio.com", &format!("{ACCOUNT}/Messages.json")), 200);
    assert_eq!(to("studio.twilio.com", &format!("{ACCOUNT}/Messages.json")), 404);
    let stats = twilio.control("/_sim/stats", &Value::Null);
    assert_eq!(
        stats["by_path"]
            [format!("GET {}/Messages.json", ACCOUNT.replace("AC00000000000000000000000000000001", "{}"))],
        2
    );
}

#[test]
fn a_sip_domain_takes_the_credentials_that_are_mapped_to_it() {
    let twilio = Twilio::start();
    let sip = format!("{ACCOUNT}/SIP");
    let list = twilio.post(&format!("{sip}/CredentialLists.json"), "FriendlyName=box-1");
    assert_eq!(list.status, 201);
    let list = list.body["sid"].as_str().unwrap();
    let credentials = format!("{sip}/CredentialLists/{list}/Credentials.json");
    let weak = twilio.post(&credentials, "Username=box&Password=short");
    assert_eq!(code(&weak), (400, 20001));
    let strong = twilio.post(&credentials, "Username=box&Password=Correct-horse-9");
    assert_eq!(
        (strong.status, &strong.body["username"], &strong.body["password"]),
        (201, &json!("box"), &Value::Null)
    );
    assert_eq!(code(&twilio.post(&credentials, "Username=box&Password=Correct-horse-9")), (400, 20001));

    let form = "DomainName=Shop-1.sip.twilio.com&SipRegistration=true&Secure=true&VoiceUrl=https%3A%2F%2Fexample.com%2Fv";
    let domain = twilio.post(&format!("{sip}/Domains.json"), form);
    assert_eq!((domain.status, &domain.body["domain_name"]), (201, &json!("shop-1.sip.twilio.com")));
    assert_eq!((&domain.body["sip_registration"], &domain.body["secure"]), (&json!(true), &json!(true)));
    assert_eq!(code(&twilio.post(&format!("{sip}/Domains.json"), form)), (400, 21231));
    twilio.control("/_sim/settings", &json!({ "taken_domains": ["shop-2.sip.twilio.com"] }));
    for name in ["shop-2.sip.twilio.com", "shop_3.sip.twilio.com", "shop.example.com", ".sip.twilio.com"] {
        let refused = twilio.post(&format!("{sip}/Domains.json"), &format!("DomainName={name}"));
        assert_eq!(code(&refused), (400, 21231), "{name}");
    }
    let emergency = "DomainName=a.sip.twilio.com&EmergencyCallingEnabled=true";
    assert_eq!(code(&twilio.post(&format!("{sip}/Domains.json"), emergency)), (400, 21231));

    let sid = domain.body["sid"].as_str().unwrap();
    let one = format!("{sip}/Domains/{sid}");
    for kind in ["Registrations", "Calls"] {
        let path = format!("{one}/Auth/{kind}/CredentialListMappings.json");
        let mapped = twilio.post(&path, &format!("CredentialListSid={list}"));
        assert_eq!((mapped.status, &mapped.body["sid"]), (201, &json!(list)));
        assert_eq!(code(&twilio.post(&path, &format!("CredentialListSid={list}"))), (400, 21231));
        assert_eq!(twilio.get(&path).sids("contents"), [list]);
    }
    assert_eq!(twilio.get(&format!("{one}.json")).body["auth_type"], "CREDENTIAL_LIST");
    let users = twilio.control("/_sim/sip", &Value::Null);
    let user =
        json!([{ "domain": "shop-1.sip.twilio.com", "username": "box", "password": "Correct-horse-9" }]);
    assert_eq!(users, user);

    let list_path = format!("{sip}/CredentialLists/{list}.json");
    assert_eq!(code(&twilio.delete(&list_path)), (400, 20001), "still mapped");
    assert_eq!(twilio.delete(&format!("{one}/Auth/Calls/CredentialListMappings/{list}.json")).status, 204);
    assert_eq!(code(&twilio.delete(&list_path)), (400, 20001), "still mapped to registrations");
    assert_eq!(twilio.delete(&format!("{one}.json")).status, 204);
    assert_eq!(twilio.delete(&list_path).status, 204);
    assert!(twilio.get(&format!("{sip}/CredentialLists.json")).sids("credential_lists").is_empty());
}

#[test]
fn what_is_set_on_a_number_comes_back() {
    let twilio = Twilio::start();
    let path = format!("{ACCOUNT}/IncomingPhoneNumbers");
    let sid = twilio
        .get(&format!("{path}.json?PhoneNumber=%2B12065550199"))
        .sids("incoming_phone_numbers")
        .remove(0);
    let one = format!("{path}/{sid}.json");
    let fresh = twilio.get(&one).body;
    assert_eq!((&fresh["voice_method"], &fresh["friendly_name"]), (&json!("POST"), &json!("+12065550199")));
    let fields = [
        ("VoiceUrl", "voice_url", "https://a/v"),
        ("VoiceMethod", "voice_method", "GET"),
        ("VoiceFallbackUrl", "voice_fallback_url", "https://a/vf"),
        ("SmsUrl", "sms_url", "https://a/s"),
        ("SmsMethod", "sms_method", "GET"),
        ("SmsFallbackUrl", "sms_fallback_url", "https://a/sf"),
        ("StatusCallback", "status_callback", "https://a/c"),
        ("FriendlyName", "friendly_name", "Shop"),
        ("TrunkSid", "trunk_sid", "TK1"),
    ];
    let form: Vec<String> =
        fields.iter().map(|(name, _, value)| format!("{name}={}", encoded(value))).collect();
    assert_eq!(twilio.post(&one, &form.join("&")).status, 200);
    let set = twilio.get(&one).body;
    for (_, key, value) in fields {
        assert_eq!(set[key], value, "{key}");
    }
    assert_eq!(code(&twilio.post(&one, "VoiceUrl=gopher")), (400, 21402));
    assert_eq!(code(&twilio.post(&one, "EmergencyStatus=Active")), (400, 21631));
    assert_eq!(twilio.get(&one).body["voice_url"], "https://a/v");
    assert_eq!(code(&twilio.post(&format!("{path}.json"), "PhoneNumber=%2B12065550199")), (400, 21422));
    let bought = twilio.post(&format!("{path}.json"), "PhoneNumber=%2B12065550198");
    assert_eq!(bought.status, 201);
    assert_eq!(twilio.delete(&format!("{path}/{}.json", bought.body["sid"].as_str().unwrap())).status, 204);
}

#[test]
fn usage_of_this_month_counts_and_prices_what_was_sent() {
    let twilio = Twilio::start();
    let long_ago = 40 * 24 * 3600;
    twilio.control(
        "/_sim/inbound",
        &json!([{ "from": "+12065550100", "body": "old", "seconds_ago": long_ago }]),
    );
    twilio.control("/_sim/inbound", &json!([{ "from": "+12065550100", "body": "new" }]));
    let count = |path: &str| {
        let usage = twilio.get(&format!("{ACCOUNT}/Usage/Records{path}.json?Category=sms-inbound"));
        let record = usage.body["usage_records"][0].clone();
        (record["count"].clone(), record["price"].clone())
    };
    assert_eq!(count("/ThisMonth"), (json!("1"), json!("0.00830")));
    assert_eq!(count(""), (json!("2"), json!("0.01660")));
    assert_eq!(twilio.get(&format!("{ACCOUNT}/Usage/Records/Someday.json")).status, 404);
}

#[test]
fn test_credentials_know_magic_numbers_and_keep_nothing() {
    let twilio = Twilio::start();
    let test = ACCOUNT.replace("AC00000000000000000000000000000001", "AC00000000000000000000000000000002");
    let post = |path: &str, form: &str| {
        code(&twilio.as_whom(TEST_AUTH, "POST", &format!("{test}/{path}.json"), form).unwrap())
    };
    assert_eq!(post("Messages", "To=%2B12065550100&From=%2B15005550006&Body=x"), (201, 0));
    assert_eq!(post("Messages", "To=%2B12065550100&From=%2B12065550199&Body=x"), (400, 21606));
    assert_eq!(post("Calls", "To=%2B12065550100&From=%2B15005550006&Url=http%3A%2F%2Fx"), (201, 0));
    assert_eq!(post("IncomingPhoneNumbers", "PhoneNumber=%2B15005550006"), (201, 0));
    assert_eq!(post("IncomingPhoneNumbers", "PhoneNumber=%2B15005550000"), (400, 21422));
    assert_eq!(post("IncomingPhoneNumbers", "PhoneNumber=%2B15005550001"), (400, 21421));
    assert_eq!(post("IncomingPhoneNumbers", "AreaCode=533"), (400, 21452));
    let list = twilio.as_whom(TEST_AUTH, "GET", &format!("{test}/Messages.json"), "").unwrap();
    assert_eq!(code(&list), (403, 20008));
    assert!(twilio.control("/_sim/messages", &Value::Null).as_array().unwrap().is_empty());
}

#[test]
fn emergency_numbers_are_refused() {
    let twilio = Twilio::start();
    for to in ["911", "%2B1911", "sip%3A911%40shop.sip.twilio.com"] {
        let call = format!("To={to}&From=%2B12065550199&Url=http%3A%2F%2Fx");
        assert_eq!(code(&twilio.post(&format!("{ACCOUNT}/Calls.json"), &call)), (400, 21216), "{to}");
        let text = format!("To={to}&From=%2B12065550199&Body=x");
        assert_eq!(code(&twilio.post(&format!("{ACCOUNT}/Messages.json"), &text)), (400, 21211), "{to}");
    }
}
