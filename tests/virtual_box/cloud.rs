//! What comes from Twilio's cloud beside texts: voicemail that the staff hear of, and flows that were pulled.

use std::time::Duration;

use backroom::daemon::core::{Command, NewFlow};
use backroom::flow::lizzy;
use backroom::types::{LineId, ShopId, derive_sid};
use serde_json::json;

use super::conversations::JANE;
use super::harness::*;

const STAFF: &str = "+12065550190";

fn voicemail() -> Command {
    Command::Voicemail {
        shop: ShopId::from("main"),
        line: LineId::from("twilio"),
        body: "Voicemail from +12065550142, 23 s, kept as RE1.wav.".to_owned(),
        detail: json!({ "recording": "RE1", "seconds": 23 }),
    }
}

#[tokio::test]
async fn a_voicemail_is_told_to_the_staff_and_is_in_the_audit_log_once_that_is_committed() {
    let mut plan = shop("main");
    plan.settings.insert("staff".into(), json!([STAFF]));
    let mut b = VirtualBox::new(vec![plan]).await;
    b.ask(voicemail()).await.unwrap();
    assert_eq!(b.one(STAFF), "Voicemail from +12065550142, 23 s, kept as RE1.wav.");
    b.power_cut().await;
    b.power_back(Duration::from_secs(60), true).await;
    assert_eq!(b.heard(STAFF), [""; 0], "not again after a power cut");
    let reader = backroom::store::Reader::open(&b.path()).unwrap();
    let rows = reader.audit(&ShopId::from("main"), 50).unwrap();
    let row = rows.iter().find(|row| row.what == "voicemail").unwrap();
    assert_eq!((row.who.as_str(), &row.detail["recording"]), ("line twilio", &json!("RE1")));
}

/// The shipped main menu with another greeting.
fn changed(revision: u32, publish: bool) -> Command {
    let (name, json) = lizzy::FLOWS[0];
    let definition = json.replacen("Reply with a number:", "Pick one:", 1);
    assert_ne!(definition, json);
    let flow = NewFlow {
        name: name.to_owned(),
        sid: derive_sid("FW", &["main", name]),
        revision,
        definition,
        publish,
        by: "cloud revision 7".to_owned(),
    };
    Command::PutFlow { shop: ShopId::from("main"), flow }
}

#[tokio::test]
async fn a_pulled_flow_is_a_draft_until_it_is_published_and_stays_after_a_restart() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.ask(changed(2, false)).await.unwrap();
    b.text(JANE, "Hello").await;
    assert!(b.one(JANE).contains("Reply with a number:"));
    b.ask(changed(2, true)).await.unwrap();
    let other = "+12065550143";
    b.knows(other);
    b.text(other, "Hello").await;
    assert!(b.one(other).contains("Pick one:"));
    b.power_cut().await;
    b.power_back(Duration::from_secs(60), true).await;
    let third = "+12065550144";
    b.knows(third);
    b.text(third, "Hello").await;
    assert!(b.one(third).contains("Pick one:"));
}

#[tokio::test]
async fn a_revision_is_never_rewritten_and_a_flow_that_cannot_run_is_not_stored() {
    let mut b = VirtualBox::one_shop().await;
    assert!(b.ask(changed(1, false)).await.unwrap_err().contains("revision 1"));
    let Command::PutFlow { shop, flow } = changed(2, true) else { panic!("a flow") };
    let broken = NewFlow { definition: "{\"states\": []}".to_owned(), ..flow };
    b.ask(Command::PutFlow { shop, flow: broken }).await.unwrap_err();
    let reader = backroom::store::Reader::open(&b.path()).unwrap();
    let rows = reader.flows(&ShopId::from("main")).unwrap();
    assert!(rows.iter().all(|row| row.revision == 1), "{:?}", rows.last());
}
