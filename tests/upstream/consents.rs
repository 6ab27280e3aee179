//! A STOP that came by the modem is at Twilio too, and a START lifts it there: over real sockets, through lost answers,
//! kills, and an account without access.

use super::*;

const ANNA: &str = "+12065558001";

fn told(shop: &Shop) -> Value {
    shop.line("twilio")["consents"].clone()
}

fn blocked(shop: &Shop) -> bool {
    shop.twilio.blocked().contains(&(NUMBER.to_owned(), ANNA.to_owned()))
}

fn shown(shop: &Shop) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_backroom"))
        .arg("--config")
        .arg(shop.dir.path().join("backroom.toml"))
        .args(["consent", "show", ANNA])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_stop_by_the_modem_blocks_at_twilio_through_a_lost_answer_and_a_kill_and_a_start_lifts_it() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("modem0");
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (modem, _until_dropped) = emulated(&link);
    let mut shop = Shop::open("", &format!("[[line]]\nid = \"sim1\"\nport = {link:?}\n"), "");
    until("both lines are up", || ["sim1", "twilio"].iter().all(|line| shop.line(line)["up"] == true));

    let bulk = "/v1/Consents/Bulk";
    shop.twilio.set_faults(&[Plan::new(On::Writes, Fault::LostRequest).at(bulk)]);
    tasks.block_on(modem.deliver(ANNA, "STOP")).unwrap();
    until("it was tried", || shop.twilio.stats().by_resource.contains_key("POST Consents"));
    assert!(!blocked(&shop));
    shop.end(Signal::KILL);
    shop.twilio.set_faults(&[Plan::next(1, On::Writes, Fault::LostAnswer).at(bulk)]);
    shop.start();
    until("Twilio blocks", || blocked(&shop));
    until("the box knows it", || told(&shop)["told_to"] == 1);
    assert_eq!(shop.twilio.consents().len(), 2, "the first answer was lost");
    assert!(
        shop.twilio.consents().iter().all(|one| one.status == "opt-out" && one.source == "opt-out-message")
    );
    // The loop knows it a moment before the disk does.
    until("its entry says so", || shown(&shop)[0]["known_to"] == serde_json::json!(["twilio"]));
    shop.end(Signal::TERM);
    shop.start();
    until("the line is up", || shop.line("twilio")["up"] == true);

    tasks.block_on(modem.deliver(ANNA, "START")).unwrap();
    until("Twilio lifts it", || !blocked(&shop));
    until("the box knows it", || told(&shop)["lifted"] == 1 && told(&shop)["waiting"] == 0);
    let status: Vec<String> = shop.twilio.consents().into_iter().map(|one| one.status).collect();
    assert_eq!(status, ["opt-out", "opt-out", "opt-in"]);
    let log = std::fs::read_to_string(shop.log()).unwrap();
    assert!(!log.contains(ANNA), "{log}");
}

#[test]
fn an_account_without_access_is_said_once_and_the_box_blocks_alone() {
    let shop = Shop::open("", "", "");
    until("the line is up", || shop.line("twilio")["up"] == true);
    let refused = Fault::Status { status: 403, code: 20403 };
    shop.twilio.set_faults(&[Plan::new(On::Writes, refused).at("/v1/Consents")]);
    for number in 0..5 {
        let ask = Ask::Consent {
            shop: "main".into(),
            ask: serde_json::from_value(serde_json::json!({ "enter": {
                "person": format!("+1206555800{number}"), "act": { "act": "block" }, "line": null,
                "words": "no more", "proof": "a call", "origin": "voice",
            } }))
            .unwrap(),
            by: "test".into(),
        };
        control::ask(&shop.data(), &ask).unwrap().unwrap();
        until("it is known", || told(&shop)["no_access"].is_string());
    }
    assert_eq!(told(&shop)["waiting"], 5);
    assert_eq!(shop.twilio.stats().by_resource["POST Consents"], 1);
    let ask = Ask::Send { shop: "main".into(), to: ANNA.into(), body: "hi".into() };
    assert!(control::ask(&shop.data(), &ask).unwrap_err().contains("STOP"));
    let log = std::fs::read_to_string(shop.log()).unwrap();
    assert_eq!(log.matches("no access to Twilio's Consent Management API").count(), 1, "{log}");
    assert_eq!(log.matches(" ERROR ").count(), 0, "{log}");
}
