//! What an upstream's webhooks are answered, and when: never before the text is durable, also when it was told before.

use backroom::daemon::core::Command;
use backroom::types::{Channel, LineEvent, LineId, ShopId, UpstreamText};
use serde_json::{Map, json};

use crate::harness::VirtualBox;

fn told(sid: &str, body: &str) -> Command {
    let text = UpstreamText {
        sid: sid.to_owned(),
        channel: Channel::Sms,
        from: "INFO".to_owned(),
        to: "+12065550199".to_owned(),
        body: body.to_owned(),
        media: Vec::new(),
        sent: None,
        parameters: Map::new(),
    };
    let event = Box::new(LineEvent::Text(Box::new(text)));
    Command::Upstream { line: LineId::from("main-sim"), event }
}

#[tokio::test]
async fn a_text_is_new_once_and_known_from_then_on_also_after_a_power_cut() {
    let mut b = VirtualBox::one_shop().await;
    assert_eq!(b.ask(told("SM1", "Hello")).await, Ok(json!({ "new": true })));
    assert_eq!(b.ask(told("SM1", "Hello")).await, Ok(json!({ "new": false })));
    b.power_cut().await;
    b.power_back(std::time::Duration::from_secs(5), true).await;
    assert_eq!(b.ask(told("SM1", "Hello")).await, Ok(json!({ "new": false })));
}

#[tokio::test]
async fn a_text_told_twice_is_answered_neither_time_before_it_is_on_disk() {
    let mut b = VirtualBox::one_shop().await;
    b.store().set_max_bytes(Some(1));
    let long = "Hello ".repeat(5000);
    let (mut first, mut again) = (b.asking(told("SM1", &long)), b.asking(told("SM1", &long)));
    b.pump().await;
    assert!(first.try_recv().is_err(), "the disk is full");
    // Refused, when the box knew of its disk already; never affirmed.
    assert!(!matches!(again.try_recv(), Ok(Ok(_))), "it is no more durable for being told twice");
    assert!(b.ask(told("SM2", "Hello")).await.unwrap_err().contains("nothing new is taken"));
    b.store().set_max_bytes(None);
    let kept = b.store().read_after_writes(|r| r.message_by_sid(&ShopId::from("main"), "SM1")).await;
    assert_eq!(kept.unwrap().unwrap().body, long);
    b.pump().await;
    assert_eq!(first.try_recv().unwrap(), Ok(json!({ "new": true })));
}

#[tokio::test]
async fn a_line_that_is_no_shops_is_told_so() {
    let mut b = VirtualBox::one_shop().await;
    let Command::Upstream { event, .. } = told("SM1", "Hello") else { unreachable!() };
    let answer = b.ask(Command::Upstream { line: LineId::from("elsewhere"), event }).await;
    assert_eq!(answer, Err("line elsewhere belongs to no shop".to_owned()));
}
