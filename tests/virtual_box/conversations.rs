//! Conversations as customers have them.

use std::time::Duration;

use backroom::daemon::core::Command;
use backroom::store::{MessageStatus, PartState};
use backroom::types::{Capabilities, LineEvent, LineId, MessageId, PartId, SendResult, ShopId};
use serde_json::{Map, json};

use super::harness::*;

pub(crate) const JANE: &str = "+12065550142";
const STAFF: &str = "+12065550190";

/// From "hello" to the drop-off question, with a part ordered on the way.
pub(crate) const TO_DROP_OFF: [&str; 7] = ["Hello", "2", "1", "Pull cord is stuck", "1", "1", "2"];

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// The order's part that is with a person's text: `body` contains all of these.
#[track_caller]
fn says(body: &str, words: &[&str]) {
    for word in words {
        assert!(body.contains(word), "{word:?} is missing in: {body}");
    }
}

#[tokio::test]
async fn a_service_is_scheduled_with_a_part_ordered_on_the_way() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let mut last = String::new();
    for text in TO_DROP_OFF {
        b.text(JANE, text).await;
        last = b.one(JANE);
    }
    says(&last, &["Ship To: 12 Oak Street, Seattle, WA 98101"]);
    b.text(JANE, "1").await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    says(&heard[0], &["Parts Order Confirmed!", "Blade 0142 (Qty: 2)", "Returning to service scheduling..."]);
    says(&heard[1], &["Honda HRX0142 - Schedule Service", "1. Drop off Today"]);
    b.text(JANE, "1").await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    says(&heard[0], &["Your service order has been submitted."]);
    says(
        &heard[1],
        &["Service Confirmed!", "Honda HRX0142 - Pull cord is stuck", "https://pay.example/p/1002"],
    );
    let [(_, parts), (_, service)] = b.dealer.orders.as_slice() else { panic!("{:?}", b.dealer.orders) };
    assert_eq!(parts["items"], json!([{ "part_number": "P-0142", "quantity": 2 }]));
    assert_eq!(service["description"], "Pull cord is stuck");
    assert_eq!(service["equipment_id"], "EQ0142");
    assert_eq!(service["equipment_serial"], "MZCG-0142");
    assert_eq!(service["customer_phone"], JANE);
}

#[tokio::test]
async fn a_dealer_who_goes_away_gets_the_order_once_when_he_is_back_and_the_customer_hears_the_truth() {
    for capabilities in [
        Capabilities { idempotency_key: true, client_reference: false },
        Capabilities { idempotency_key: false, client_reference: true },
        Capabilities::default(),
    ] {
        let mut b = VirtualBox::one_shop().await;
        b.dealer.capabilities = capabilities;
        b.knows(JANE);
        b.power_cut().await;
        b.power_back(minutes(1), true).await;
        for text in &TO_DROP_OFF[..4] {
            b.text(JANE, text).await;
        }
        b.dealer.mood = DealerMood::Down;
        b.heard(JANE);
        b.text(JANE, "2").await;
        b.text(JANE, "1").await;
        let heard = b.heard(JANE);
        says(heard.last().unwrap(), &["Schedule Service"]);
        assert!(!heard.iter().any(|t| t.contains("Confirmed")), "{heard:#?}");
        assert_eq!(b.dealer.orders.len(), 0);
        b.advance(minutes(5)).await;
        assert_eq!(b.heard(JANE), Vec::<String>::new());
        b.dealer.mood = DealerMood::Up;
        b.advance(minutes(6)).await;
        let heard = b.heard(JANE);
        assert_eq!(heard.len(), 1, "{capabilities:?}: {heard:#?}");
        says(&heard[0], &["Service Confirmed!", "Pull cord is stuck"]);
        assert_eq!(b.dealer.orders.len(), 1);
        assert_eq!(b.dealer.orders[0].1["description"], "Pull cord is stuck");
    }
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_never_made_twice() {
    for (capabilities, unknown) in [
        (Capabilities { idempotency_key: true, client_reference: false }, false),
        (Capabilities { idempotency_key: false, client_reference: true }, false),
        (Capabilities::default(), true),
    ] {
        let mut b = VirtualBox::one_shop().await;
        b.dealer.capabilities = capabilities;
        b.knows(JANE);
        b.power_cut().await;
        b.power_back(minutes(1), true).await;
        for text in &TO_DROP_OFF[..4] {
            b.text(JANE, text).await;
        }
        b.text(JANE, "2").await;
        b.heard(JANE);
        b.dealer.mood = DealerMood::TakesAndDies;
        b.text(JANE, "1").await;
        b.dealer.mood = DealerMood::Up;
        b.advance(minutes(10)).await;
        assert_eq!(b.dealer.orders.len(), 1, "{capabilities:?}");
        let heard = b.heard(JANE).join("\n---\n");
        if unknown {
            says(&heard, &["We could not confirm your service order automatically"]);
            let listed = b.store().read(|r| r.unknown_orders(&ShopId::from("main"))).await.unwrap();
            assert_eq!(listed.len(), 1);
        } else {
            says(&heard, &["Service Confirmed!"]);
        }
    }
}

#[tokio::test]
async fn a_refused_order_brings_the_guides_text_and_its_choices_work() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in &TO_DROP_OFF[..4] {
        b.text(JANE, text).await;
    }
    b.text(JANE, "2").await;
    b.heard(JANE);
    b.dealer.mood = DealerMood::Refuses;
    b.text(JANE, "1").await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    says(
        &heard[1],
        &["could not be scheduled automatically", "1. Text Shop", "2. Call Shop", "3. Main Menu"],
    );
    b.text(JANE, "2").await;
    says(&b.one(JANE), &["(206) 555-0100"]);
}

#[tokio::test]
async fn a_refusal_waits_its_turn_while_the_customer_is_in_the_middle_of_something() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in &TO_DROP_OFF[..4] {
        b.text(JANE, text).await;
    }
    b.text(JANE, "2").await;
    b.dealer.mood = DealerMood::Down;
    b.text(JANE, "1").await;
    b.text(JANE, "MENU").await;
    b.text(JANE, "2").await;
    b.heard(JANE);
    b.dealer.mood = DealerMood::Refuses;
    b.advance(minutes(3)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new(), "a menu over a menu would confuse");
    b.advance(minutes(13)).await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    says(&heard[1], &["could not be scheduled automatically"]);
    b.text(JANE, "3").await;
    says(&b.one(JANE), &["7. Text or Call Shop"]);
}

#[tokio::test]
async fn silence_ends_a_conversation_with_one_polite_text() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.text(JANE, "hi").await;
    b.heard(JANE);
    b.advance(minutes(14)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.advance(minutes(2)).await;
    says(&b.one(JANE), &["MENU"]);
    b.advance(minutes(600)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
}

#[tokio::test]
async fn who_answered_in_time_before_a_power_cut_is_not_told_goodbye() {
    for wall_sure in [true, false] {
        let mut b = VirtualBox::one_shop().await;
        b.knows(JANE);
        b.text(JANE, "hi").await;
        b.text(JANE, "2").await;
        b.heard(JANE);
        b.power_cut().await;
        let line = LineId::from("main-sim");
        b.drop_in(&line, JANE, "1");
        b.power_back(minutes(20), wall_sure).await;
        says(&b.one(JANE), &["Honda HRX0142 - Schedule Service", "describe the problem"]);
        b.advance(Duration::from_secs(60)).await;
        assert_eq!(b.heard(JANE), Vec::<String>::new());
    }
}

#[tokio::test]
async fn who_did_not_answer_before_a_power_cut_is_told_goodbye_after_late_texts_had_time() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.text(JANE, "hi").await;
    b.heard(JANE);
    b.power_cut().await;
    b.power_back(minutes(20), true).await;
    b.advance(Duration::from_secs(10)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.advance(Duration::from_secs(30)).await;
    assert_eq!(b.heard(JANE).len(), 1);
}

#[tokio::test]
async fn stop_is_confirmed_once_and_then_nothing_is_sent_by_any_way() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.text(JANE, "hi").await;
    b.heard(JANE);
    b.text(JANE, "Stop.").await;
    says(&b.one(JANE), &["unsubscribed from Shop main", "START"]);
    for text in ["STOP", "2", "MENU", "HELP", "yes please"] {
        b.text(JANE, text).await;
    }
    let send = Command::Send { shop: ShopId::from("main"), to: JANE.into(), body: "Sale!".into() };
    assert!(b.ask(send).await.unwrap_err().contains("STOP"));
    b.advance(minutes(60)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    let log = b.store().read(|r| r.consent_entries(&ShopId::from("main"), Some(JANE))).await.unwrap();
    assert_eq!(log.iter().map(|c| c.entry.statement.words.as_str()).collect::<Vec<_>>(), ["Stop."]);
    b.power_cut().await;
    b.power_back(minutes(1), true).await;
    b.text(JANE, "2").await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.text(JANE, "START").await;
    says(&b.one(JANE), &["again"]);
    b.text(JANE, "hello").await;
    says(&b.one(JANE), &["1. Troubleshoot Equipment"]);
}

#[tokio::test]
async fn stop_drops_what_waits_to_be_sent_but_not_its_own_confirmation() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let line = LineId::from("main-sim");
    b.tell(&line, LineEvent::Down { why: "unplugged".into() });
    b.text(JANE, "hi").await;
    b.text(JANE, "STOP").await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.line_up(&line);
    b.pump().await;
    says(&b.one(JANE), &["unsubscribed"]);
}

#[tokio::test]
async fn menu_works_from_anywhere_and_help_disturbs_nothing() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in &TO_DROP_OFF[..3] {
        b.text(JANE, text).await;
    }
    b.heard(JANE);
    b.text(JANE, "help").await;
    says(&b.one(JANE), &["reply MENU", "(206) 555-0100", "STOP"]);
    b.text(JANE, "Pull cord is stuck").await;
    says(&b.one(JANE), &["Problem: Pull cord is stuck"]);
    b.text(JANE, "menu").await;
    says(&b.one(JANE), &["1. Troubleshoot Equipment"]);
    b.text(JANE, "4").await;
    b.heard(JANE);
    b.text(JANE, "1").await;
    says(&b.one(JANE), &["Top 10 Common Parts for Honda HRX0142"]);
}

#[tokio::test]
async fn text_shop_goes_to_the_staff_and_their_answer_back() {
    let mut plan = shop("main");
    plan.settings.insert("staff".into(), json!([STAFF, "+12065550191"]));
    let mut b = VirtualBox::new(vec![plan]).await;
    b.knows(JANE);
    b.text(JANE, "hi").await;
    b.text(JANE, "7").await;
    b.heard(JANE);
    b.text(JANE, "1").await;
    b.heard(JANE);
    let call = b.one(STAFF);
    says(&call, &["#1 +12065550142", "#1 DONE ends it"]);
    b.text(JANE, "Do you sell chains?").await;
    assert_eq!(b.heard(JANE), Vec::<String>::new(), "no flow speaks while people do");
    says(&b.one(STAFF), &["#1 +12065550142: Do you sell chains?"]);
    b.text(STAFF, "#1 Yes, 20 dollars").await;
    assert_eq!(b.one(JANE), "Yes, 20 dollars");
    says(b.heard("+12065550191").last().unwrap(), &["#1 was answered: Yes, 20 dollars"]);
    b.text(STAFF, "See you").await;
    assert_eq!(b.one(JANE), "See you", "the only open customer is meant");
    b.power_cut().await;
    b.power_back(minutes(1), true).await;
    b.text(JANE, "Thanks").await;
    says(&b.one(STAFF), &["Thanks"]);
    b.text(STAFF, "#1 done").await;
    b.heard(STAFF);
    b.text(JANE, "hello").await;
    says(&b.one(JANE), &["1. Troubleshoot Equipment"]);
}

#[tokio::test]
async fn an_unknown_number_gets_a_friendly_path() {
    let mut plan = shop("main");
    plan.settings.insert("staff".into(), json!([STAFF]));
    let mut b = VirtualBox::new(vec![plan]).await;
    b.text("+12065550177", "hi").await;
    says(&b.one("+12065550177"), &["(206) 555-0100", "your name and how we can help"]);
    b.text("+12065550177", "Do you repair chain saws?").await;
    says(&b.one("+12065550177"), &["Thank you"]);
}

#[tokio::test]
async fn quick_answers_are_kept_in_order_and_an_impatient_repeat_is_not_used() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let line = LineId::from("main-sim");
    // All of it is on the SIM before the first question is handed over.
    for text in ["hi", "2", "2", "1"] {
        b.drop_in(&line, JANE, text);
    }
    b.pump().await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 3, "{heard:#?}");
    says(&heard[1], &["Your Equipment"]);
    says(&heard[2], &["Honda HRX0142 - Schedule Service"]);
}

#[tokio::test]
async fn a_text_that_lay_on_the_sim_through_a_crash_is_read_once() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.text(JANE, "hi").await;
    b.heard(JANE);
    // Committed, and then the power fails before the slot is freed.
    b.fuse = Some(b.taken);
    b.text(JANE, "2").await;
    b.pump().await;
    says(&b.heard(JANE).join("\n"), &["Your Equipment"]);
    b.advance(minutes(1)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    assert_eq!(b.slots_used(&LineId::from("main-sim")), 0);
    let filter = backroom::store::MessageFilter { limit: 100, ..Default::default() };
    let all = b.store().read(move |r| r.messages(&ShopId::from("main"), &filter)).await.unwrap();
    assert_eq!(all.iter().filter(|m| m.body == "2").count(), 1);
}

#[tokio::test]
async fn two_equal_texts_of_one_second_are_two_texts() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in ["hi", "1", "1"] {
        b.text(JANE, text).await;
    }
    b.heard(JANE);
    b.text(JANE, "1").await;
    says(&b.one(JANE), &["Troubleshooting Resources"]);
}

#[tokio::test]
async fn a_long_text_is_joined_whatever_the_order_of_its_parts_and_across_a_crash() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in &TO_DROP_OFF[..3] {
        b.text(JANE, text).await;
    }
    b.heard(JANE);
    let long = "The engine starts and dies again. ".repeat(8);
    let from = backroom::types::Address::Phone(backroom::types::PhoneNumber::parse(JANE, None).unwrap());
    let options = backroom::at::pdu::DeliverOptions {
        timestamp: backroom::at::pdu::Timestamp { utc: backroom::types::Wall(BEGIN), quarters: 0 },
        reference: 99,
        wide: true,
        class: None,
    };
    let mut parts = backroom::at::pdu::deliver(&from, &long, &options).unwrap();
    assert_eq!(parts.len(), 2);
    parts.reverse();
    let line = LineId::from("main-sim");
    b.drop_pdu(&line, parts[0].hex.clone());
    b.pump().await;
    assert_eq!(b.slots_used(&line), 0, "a part is committed and freed like a text");
    b.power_cut().await;
    b.power_back(minutes(1), true).await;
    b.drop_pdu(&line, parts[1].hex.clone());
    b.pump().await;
    says(&b.one(JANE), &["The engine starts and dies again. The engine"]);
}

#[tokio::test]
async fn parts_that_never_come_do_not_hold_the_others_back_for_ever() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let long = "x".repeat(200);
    let from = backroom::types::Address::Phone(backroom::types::PhoneNumber::parse(JANE, None).unwrap());
    let options = backroom::at::pdu::DeliverOptions {
        timestamp: backroom::at::pdu::Timestamp { utc: backroom::types::Wall(BEGIN), quarters: 0 },
        reference: 5,
        wide: false,
        class: None,
    };
    let parts = backroom::at::pdu::deliver(&from, &long, &options).unwrap();
    let line = LineId::from("main-sim");
    b.drop_pdu(&line, parts[0].hex.clone());
    b.pump().await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.advance(minutes(11)).await;
    says(&b.one(JANE), &["1. Troubleshoot Equipment"]);
}

#[tokio::test]
async fn a_broken_pdu_is_kept_raw_and_only_then_freed() {
    let mut b = VirtualBox::one_shop().await;
    let line = LineId::from("main-sim");
    b.drop_pdu(&line, "07911326040000F0040B91".into());
    b.pump().await;
    assert_eq!(b.slots_used(&line), 0);
    let broken = b.store().read(|r| r.broken(&ShopId::from("main"), 10)).await.unwrap();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].raw, "07911326040000F0040B91");
}

#[tokio::test]
async fn a_send_that_nobody_answered_is_unknown_listed_and_sent_again_only_by_staff() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let line = LineId::from("main-sim");
    b.mute(&line, true);
    b.text(JANE, "hi").await;
    assert_eq!(b.heard(JANE).len(), 0, "the menu has two parts, and the first was not answered for");
    b.power_cut().await;
    b.mute(&line, false);
    b.power_back(minutes(1), true).await;
    let listed = b.store().read(|r| r.unknown_messages(&ShopId::from("main"))).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:#?}");
    assert_eq!(listed[0].0.status, MessageStatus::Unknown);
    assert_eq!(listed[0].1.iter().filter(|p| p.state == PartState::Unknown).count(), 1);
    let id = listed[0].0.id.clone();
    b.advance(minutes(2)).await;
    assert_eq!(b.heard(JANE).len(), 1, "the second part went out, and the first had: the phone has both");
    b.text(JANE, "2").await;
    says(&b.one(JANE), &["Your Equipment"]);
    let resend = Command::Resend { shop: ShopId::from("main"), message: id };
    b.ask(resend.clone()).await.unwrap();
    b.pump().await;
    assert!(b.ask(resend).await.is_err(), "once");
}

#[tokio::test]
async fn a_line_that_refuses_for_the_moment_is_tried_again_and_order_is_kept() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let line = LineId::from("main-sim");
    b.mute(&line, true);
    let send = |body: &str| Command::Send { shop: ShopId::from("main"), to: JANE.into(), body: body.into() };
    let first = b.ask(send("first")).await.unwrap();
    b.ask(send("second")).await.unwrap();
    assert_eq!(b.heard(JANE), ["first"]);
    let part = PartId { message: MessageId::from(first["id"].as_str().unwrap()), number: 1 };
    let busy = SendResult::Rejected { code: "+CMS ERROR: 42".into(), temporary: true };
    b.owed(&line, part.clone(), busy);
    b.mute(&line, false);
    b.pump().await;
    assert_eq!(b.heard(JANE), Vec::<String>::new(), "not at once");
    b.advance(Duration::from_secs(3)).await;
    assert_eq!(b.heard(JANE), ["first", "second"]);
}

#[tokio::test]
async fn two_shops_on_one_box_see_nothing_of_each_other() {
    let mut b = VirtualBox::new(vec![shop("north"), shop("south")]).await;
    b.knows(JANE);
    let (north, south) = (LineId::from("north-sim"), LineId::from("south-sim"));
    b.text_on(&north, JANE, "hi").await;
    says(&b.one(JANE), &["Shop north"]);
    b.text_on(&south, JANE, "hi").await;
    says(&b.one(JANE), &["Shop south"]);
    b.text_on(&north, JANE, "STOP").await;
    says(&b.one(JANE), &["Shop north"]);
    b.text_on(&south, JANE, "2").await;
    says(&b.one(JANE), &["Your Equipment"]);
    let filter = backroom::store::MessageFilter { limit: 100, ..Default::default() };
    let texts = b.store().read(move |r| r.messages(&ShopId::from("south"), &filter)).await.unwrap();
    assert!(texts.iter().all(|m| m.line == Some(south.clone())), "{texts:#?}");
    assert!(texts.iter().all(|m| !m.body.contains("north")));
    let mut settings = Map::new();
    settings.insert("silence".into(), json!(5));
    let set = Command::Set { shop: ShopId::from("north"), values: settings, by: "test".into() };
    b.ask(set).await.unwrap();
    b.advance(minutes(10)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new(), "south's silence is still a quarter of an hour");
}

#[tokio::test]
async fn a_setting_holds_at_once_is_audited_and_a_fixed_one_is_refused() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let set = |key: &str, value: serde_json::Value| {
        let values = Map::from_iter([(key.to_owned(), value)]);
        Command::Set { shop: ShopId::from("main"), values, by: "owner".into() }
    };
    b.ask(set("silence", json!(30))).await.unwrap();
    b.text(JANE, "hi").await;
    b.heard(JANE);
    b.advance(Duration::from_secs(31)).await;
    assert_eq!(b.heard(JANE).len(), 1);
    assert!(b.ask(set("shop.name", json!("x"))).await.unwrap_err().contains("fixed"));
    assert!(b.ask(set("silense", json!(1))).await.unwrap_err().contains("did you mean"));
    let audit = b.store().read(|r| r.audit(&ShopId::from("main"), 10)).await.unwrap();
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].who, "owner");
    b.power_cut().await;
    b.power_back(minutes(1), true).await;
    b.text(JANE, "hi").await;
    b.heard(JANE);
    b.advance(Duration::from_secs(31)).await;
    assert_eq!(b.heard(JANE).len(), 1, "it is stored");
}

#[tokio::test]
async fn known_customers_are_known_offline_and_told_how_old_it_is() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let customers = Map::from_iter([("customers".to_owned(), json!([JANE]))]);
    b.ask(Command::Set { shop: ShopId::from("main"), values: customers, by: "owner".into() }).await.unwrap();
    b.advance(Duration::from_secs(7 * 3600)).await;
    b.dealer.mood = DealerMood::Down;
    b.advance(Duration::from_secs(3 * 3600)).await;
    for text in ["hi", "2", "1"] {
        b.text(JANE, text).await;
    }
    let heard = b.heard(JANE);
    says(&heard.join("\n"), &["Honda HRX0142", "hours ago"]);
}

#[tokio::test]
async fn a_slow_dealer_keeps_nobody_waiting_for_more_than_two_seconds() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in ["hi", "2", "1"] {
        b.text(JANE, text).await;
    }
    b.advance(minutes(30)).await;
    b.heard(JANE);
    b.dealer.mood = DealerMood::Silent;
    for text in ["hi", "2", "1"] {
        b.text(JANE, text).await;
    }
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.advance(Duration::from_millis(1_900)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.advance(Duration::from_millis(200)).await;
    // He is waited for once, not at every step.
    let heard = b.heard(JANE);
    says(&heard.join("\n"), &["1. Troubleshoot Equipment", "1. Honda HRX0142", "describe the problem"]);
}

#[tokio::test]
async fn a_dealer_who_went_away_in_mid_conversation_is_noticed_before_the_order() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in &TO_DROP_OFF[..4] {
        b.text(JANE, text).await;
        b.advance(Duration::from_secs(10)).await;
    }
    b.dealer.mood = DealerMood::Down;
    b.text(JANE, "2").await;
    b.heard(JANE);
    b.text(JANE, "1").await;
    let told = b.one(JANE);
    assert!(!told.contains("has been submitted"), "{told}");
    says(&told, &["Honda HRX0142 - Schedule Service"]);
}

#[tokio::test]
async fn a_parts_order_that_cannot_leave_keeps_the_customer_waiting_no_longer() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in TO_DROP_OFF {
        b.text(JANE, text).await;
    }
    b.heard(JANE);
    b.dealer.mood = DealerMood::Down;
    b.text(JANE, "1").await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    says(&heard[0], &["Parts order saved", "We will text you when it is confirmed"]);
    says(&heard[1], &["1. Drop off Today"]);
    b.dealer.mood = DealerMood::Up;
    b.advance(minutes(3)).await;
    says(&b.one(JANE), &["Parts Order Confirmed!", "Blade 0142 (Qty: 2)"]);
}

#[tokio::test]
async fn nobody_is_promised_an_answer_of_people_who_are_not_there() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for text in ["hi", "7"] {
        b.text(JANE, text).await;
    }
    b.heard(JANE);
    b.text(JANE, "1").await;
    let told = b.one(JANE);
    assert!(!told.contains("staff"), "{told}");
    says(&told, &["(206) 555-0100"]);
}
