//! The box's own events to those who want to hear of them, and the answer outside business hours.

use std::collections::BTreeSet;
use std::time::Duration;

use backroom::daemon::core::{Command, EndpointSetup};
use backroom::store::EventOutState;
use backroom::types::{LineId, ShopId};
use serde_json::{Value, json};

use super::conversations::{JANE, TO_DROP_OFF};
use super::harness::*;

const STAFF: &str = "+12065550190";

fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

fn endpoint(id: &str, events: &[&str], bodies: bool) -> EndpointSetup {
    EndpointSetup { id: id.to_owned(), events: events.iter().map(|e| (*e).to_owned()).collect(), bodies }
}

fn told_shop(endpoints: Vec<EndpointSetup>) -> ShopPlan {
    ShopPlan { endpoints, ..shop("main") }
}

async fn rows(b: &VirtualBox, state: Option<EventOutState>) -> Vec<backroom::store::EventOutRow> {
    b.store().read(move |r| r.events_out(&ShopId::from("main"), state, None, 5000)).await.unwrap()
}

fn status(b: &Value, endpoint: &str) -> Value {
    b["shops"]["main"]["webhooks"][endpoint].clone()
}

#[tokio::test]
async fn an_order_by_text_is_told_step_by_step_to_each_endpoint_as_it_wants() {
    let all = endpoint("crm", &["*"], true);
    let few = endpoint("pos", &["order.*", "message.received"], false);
    let mut b = VirtualBox::new(vec![told_shop(vec![all, few])]).await;
    b.knows(JANE);
    for text in TO_DROP_OFF.into_iter().chain(["1", "1"]) {
        b.text(JANE, text).await;
    }
    b.advance(Duration::from_secs(20)).await;
    let kinds = b.taken_by("crm");
    for (kind, times) in [("message.received", 9), ("order.confirmed", 2), ("line.up", 1)] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), times, "{kind}: {kinds:?}");
    }
    let sent = b.heard(JANE).len();
    assert_eq!(kinds.iter().filter(|k| *k == "message.sent").count(), sent);
    assert!(kinds.contains(&"flow.ended".to_owned()), "{kinds:?}");

    let crm: Vec<_> = b.delivered.iter().filter(|d| d.endpoint == "crm").collect();
    let ids: BTreeSet<&str> = crm.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids.len(), crm.len(), "each once");
    let mut numbers: Vec<u64> = crm.iter().map(|d| d.body["sequence"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=crm.len() as u64).collect::<Vec<_>>());
    let hello = &crm.iter().find(|d| d.body["type"] == "message.received").unwrap().body;
    assert_eq!(hello["id"].as_str().unwrap().len(), 34);
    assert_eq!(hello["created"], "2026-11-20T18:00:00.000Z");
    assert_eq!((&hello["created_sure"], &hello["shop"]), (&json!(true), &json!("main")));
    assert_eq!((&hello["data"]["body"], &hello["data"]["person"]), (&json!("Hello"), &json!(JANE)));
    assert_eq!((&hello["data"]["channel"], &hello["data"]["line"]), (&json!("sms"), &json!("main-sim")));
    let order = &crm.iter().find(|d| d.body["type"] == "order.confirmed").unwrap().body;
    assert_eq!(order["data"]["outcome"]["order_id"], "SO-1001");

    let pos: BTreeSet<String> = b.taken_by("pos").into_iter().collect();
    assert_eq!(pos, BTreeSet::from(["message.received".to_owned(), "order.confirmed".to_owned()]));
    assert!(b.delivered.iter().filter(|d| d.endpoint == "pos").all(|d| d.body["data"].get("body").is_none()));
    assert_eq!(rows(&b, Some(EventOutState::Waiting)).await, []);
}

#[tokio::test]
async fn without_endpoints_nothing_is_written() {
    let mut b = VirtualBox::one_shop().await;
    b.text(JANE, "hello").await;
    assert_eq!(rows(&b, None).await, []);
}

#[tokio::test]
async fn an_endpoint_that_is_dead_for_a_day_leaves_dead_letters_that_a_person_replays_under_their_ids() {
    let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["message.received"], true)])]).await;
    b.endpoint_says = None;
    for text in ["one", "two", "three"] {
        b.text(JANE, text).await;
    }
    b.advance(hours(1) + Duration::from_secs(1)).await;
    let seen = status(&b.ask(Command::Status).await.unwrap(), "crm");
    assert_eq!((&seen["waiting"], &seen["alarm"]), (&json!(3), &json!(true)), "{seen}");
    b.advance(hours(24)).await;
    let dead = rows(&b, Some(EventOutState::Dead)).await;
    assert_eq!(dead.len(), 3);
    assert!(dead.iter().all(|row| row.attempts < 70 && row.note.as_ref().unwrap().contains("24 hours")));
    let tries = b.delivered.len();
    b.advance(hours(24)).await;
    assert_eq!(b.delivered.len(), tries, "the dead are not tried");

    b.endpoint_says = Some(200);
    let shop = ShopId::from("main");
    let none = Command::ReplayDead { shop: shop.clone(), since: Some(b.clock_wall()) };
    assert_eq!(b.ask(none).await.unwrap(), json!({ "found": 0, "replayed": 0 }));
    let one = Command::ReplayEvent { shop: shop.clone(), event: dead[1].id.clone() };
    assert_eq!(b.ask(one).await.unwrap()["replayed"], 1);
    assert_eq!(rows(&b, Some(EventOutState::Dead)).await.len(), 2);
    let rest = Command::ReplayDead { shop: shop.clone(), since: None };
    assert_eq!(b.ask(rest).await.unwrap(), json!({ "found": 2, "replayed": 2 }));
    let ids: BTreeSet<&str> = b.delivered.iter().filter(|d| d.taken).map(|d| d.id.as_str()).collect();
    assert_eq!(ids, dead.iter().map(|row| row.id.as_str()).collect());
    let seen = status(&b.ask(Command::Status).await.unwrap(), "crm");
    assert_eq!((&seen["waiting"], &seen["dead"], &seen["alarm"]), (&json!(0), &json!(0), &json!(false)));
    let nothing = Command::ReplayEvent { shop, event: "EV0".into() };
    assert_eq!(b.ask(nothing).await, Err("there is no such event".to_owned()));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_refuses_is_given_up_soon() {
    let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["message.received"], true)])]).await;
    b.endpoint_says = Some(410);
    b.text(JANE, "one").await;
    assert_eq!(rows(&b, Some(EventOutState::Dead)).await.len(), 1);
    b.endpoint_says = Some(401);
    b.text(JANE, "two").await;
    assert_eq!(rows(&b, Some(EventOutState::Waiting)).await.len(), 1);
    b.advance(Duration::from_secs(700)).await;
    let dead = rows(&b, Some(EventOutState::Dead)).await;
    let tries: BTreeSet<u32> = dead.iter().map(|row| row.attempts).collect();
    assert_eq!(tries, BTreeSet::from([1, 8]));
}

#[tokio::test]
async fn a_queue_longer_than_what_is_at_hand_is_delivered_whole_when_the_endpoint_is_back() {
    let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["message.received"], true)])]).await;
    b.endpoint_says = Some(503);
    let line = LineId::from("main-sim");
    for n in 0..400 {
        b.drop_in(&line, "+12065550177", &format!("text {n}"));
        b.pump().await;
    }
    let seen = status(&b.ask(Command::Status).await.unwrap(), "crm");
    assert_eq!((&seen["waiting"], &seen["at_hand"]), (&json!(400), &json!(256)), "{seen}");
    b.power_cut().await;
    b.power_back(Duration::from_secs(60), true).await;
    let seen = status(&b.ask(Command::Status).await.unwrap(), "crm");
    assert_eq!((&seen["waiting"], &seen["at_hand"]), (&json!(400), &json!(256)), "{seen}");
    b.endpoint_says = Some(200);
    b.advance(hours(1)).await;
    assert_eq!(b.taken_by("crm").len(), 400);
    assert_eq!(rows(&b, Some(EventOutState::Waiting)).await, []);
    b.text(JANE, "after it").await;
    let last = b.delivered.last().unwrap();
    assert_eq!((&last.body["sequence"], &last.body["data"]["body"]), (&json!(401), &json!("after it")));
}

/// A power cut before every effect: nothing that happened is untold, and nothing is told under two ids.
#[tokio::test]
async fn a_power_cut_before_any_effect_leaves_no_event_untold() {
    let mut at = 0;
    loop {
        let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["*"], true)])]).await;
        b.knows(JANE);
        let begun = b.taken;
        b.fuse = Some(begun + at);
        for text in ["Hello", "2", "1", "Pull cord is stuck"] {
            b.text(JANE, text).await;
            b.advance(Duration::from_secs(45)).await;
        }
        b.advance(Duration::from_secs(120)).await;
        assert_eq!(rows(&b, Some(EventOutState::Waiting)).await, [], "cut before {at}");
        let received: Vec<String> = b
            .delivered
            .iter()
            .filter(|d| d.taken && d.body["type"] == "message.received")
            .map(|d| format!("{} {}", d.body["data"]["message"], d.id))
            .collect();
        let once: BTreeSet<&String> = received.iter().collect();
        assert_eq!(once.len(), 4, "cut before {at}: {received:?}");
        let told: BTreeSet<String> = b.delivered.iter().map(|d| d.id.clone()).collect();
        let all = rows(&b, None).await;
        assert!(all.iter().all(|row| told.contains(&row.id)), "cut before {at}");
        if b.fuse.is_some() {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "the cuts did not reach the moments that matter: {at}");
}

#[tokio::test]
async fn a_test_says_what_came_back_and_leaves_no_row() {
    let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["line.up"], true)])]).await;
    let shop = ShopId::from("main");
    b.endpoint_says = Some(403);
    let ask = |endpoint: &str| Command::TestEndpoint { shop: shop.clone(), endpoint: endpoint.to_owned() };
    let answer = b.ask(ask("crm")).await.unwrap();
    assert_eq!(answer["answer"]["answered"]["status"], 403);
    assert_eq!(b.delivered.last().unwrap().body["type"], "test.ping");
    assert_eq!(rows(&b, None).await, []);
    assert_eq!(b.ask(ask("crn")).await, Err("there is no webhook crn; there are crm".to_owned()));
}

#[tokio::test]
async fn a_line_is_told_of_when_it_has_stood_for_ten_seconds() {
    let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["line.*"], true)])]).await;
    b.advance(Duration::from_secs(11)).await;
    assert_eq!(b.taken_by("crm"), ["line.up"]);
    let line = LineId::from("main-sim");
    b.unplug(&line);
    b.pump().await;
    b.advance(Duration::from_secs(5)).await;
    b.plug_in(&line);
    b.pump().await;
    b.advance(Duration::from_secs(20)).await;
    assert_eq!(b.taken_by("crm"), ["line.up"], "a wobble is nobody's business");
    b.unplug(&line);
    b.pump().await;
    b.advance(Duration::from_secs(11)).await;
    assert_eq!(b.taken_by("crm"), ["line.up", "line.down"]);
    assert_eq!(b.delivered.last().unwrap().body["data"]["why"], "unplugged");
}

#[tokio::test]
async fn stop_and_start_are_told_with_their_words() {
    let mut b = VirtualBox::new(vec![told_shop(vec![endpoint("crm", &["consent.changed"], true)])]).await;
    b.text(JANE, "hello").await;
    b.text(JANE, "STOP").await;
    b.text(JANE, "START").await;
    let said: Vec<&Value> = b.delivered.iter().map(|d| &d.body["data"]).collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert_eq!((&said[0]["act"]["act"], &said[0]["words"]), (&json!("block"), &json!("STOP")));
    assert_eq!((&said[1]["act"]["act"], &said[1]["person"]), (&json!("unblock"), &json!(JANE)));
}

/// Friday, seven in the evening; it opens on Monday at nine.
async fn closed_shop(menu: bool) -> VirtualBox {
    let mut plan = shop("main");
    plan.settings.insert("staff".into(), json!([STAFF]));
    plan.settings.insert("hours.reply".into(), json!("{shop} is closed and opens {opens}."));
    plan.settings.insert("hours.reply_menu".into(), json!(menu));
    let mut b = VirtualBox::new(vec![plan]).await;
    b.knows(JANE);
    b.advance(hours(9)).await;
    b
}

const CLOSED: &str = "Shop main is closed and opens Monday at 9:00 AM.";

fn closed_texts(b: &mut VirtualBox, person: &str) -> usize {
    b.heard(person).iter().filter(|t| *t == CLOSED).count()
}

async fn ask_for_people(b: &mut VirtualBox) {
    for text in ["hi", "7", "1"] {
        b.text(JANE, text).await;
    }
}

#[tokio::test]
async fn who_asks_for_people_while_the_shop_is_closed_is_told_once_until_it_opens() {
    let mut b = closed_shop(false).await;
    b.text(JANE, "hi").await;
    assert_eq!(closed_texts(&mut b, JANE), 0, "the menu answers at any hour");
    b.text(JANE, "7").await;
    b.text(JANE, "1").await;
    assert_eq!(closed_texts(&mut b, JANE), 1);
    b.text(JANE, "Are you there?").await;
    b.power_cut().await;
    b.power_back(hours(1), true).await;
    b.text(JANE, "Hello?").await;
    b.advance(hours(24)).await;
    b.text(JANE, "menu").await;
    ask_for_people(&mut b).await;
    assert_eq!(closed_texts(&mut b, JANE), 0, "once in a closed period");
    assert_eq!(closed_texts(&mut b, STAFF), 0);
    // Monday, ten in the morning, and Monday night.
    b.advance(hours(38)).await;
    ask_for_people(&mut b).await;
    b.text(JANE, "Good morning").await;
    assert!(!b.heard(JANE).iter().any(|t| t.contains("is closed")), "the shop is open");
    b.advance(hours(10)).await;
    b.text(JANE, "Still there?").await;
    assert!(b.heard(JANE).contains(&"Shop main is closed and opens Tuesday at 9:00 AM.".to_owned()));
}

#[tokio::test]
async fn nobody_is_told_that_the_shop_is_closed_while_staff_answers_all_the_same() {
    // On Friday afternoon the conversation begins; in the evening staff is still there.
    let mut plan = shop("main");
    plan.settings.insert("staff".into(), json!([STAFF]));
    plan.settings.insert("hours.reply".into(), json!("{shop} is closed and opens {opens}."));
    let mut b = VirtualBox::new(vec![plan]).await;
    b.knows(JANE);
    ask_for_people(&mut b).await;
    b.advance(hours(9)).await;
    b.text(STAFF, "#1 we are working late, what is it?").await;
    b.heard(JANE);
    b.text(JANE, "My mower").await;
    assert_eq!(closed_texts(&mut b, JANE), 0);
}

#[tokio::test]
async fn before_the_menu_it_goes_only_when_the_owner_wants_it_and_never_to_who_said_stop_or_to_machines() {
    let mut b = closed_shop(true).await;
    b.text(JANE, "hi").await;
    let heard = b.heard(JANE);
    assert_eq!(heard[0], CLOSED);
    assert!(heard[1].contains("1. Troubleshoot Equipment"), "{heard:?}");
    b.text(STAFF, "hi").await;
    assert_eq!(closed_texts(&mut b, STAFF), 0);
    b.text("+12065550177", "STOP").await;
    b.text("+12065550177", "hi").await;
    assert_eq!(closed_texts(&mut b, "+12065550177"), 0);
    b.text("BANK", "Your code is 1234").await;
    assert_eq!(closed_texts(&mut b, "BANK"), 0);
}
