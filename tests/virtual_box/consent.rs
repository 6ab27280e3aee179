//! Consent that nothing can get round: every way of sending, one after the other. In any order they are in `stories`.

use std::collections::BTreeSet;
use std::time::Duration;

use backroom::config::{TemplateConfig, TemplatePurpose};
use backroom::daemon::core::{Command, ConsentAsk, Enclosure, LineSetup};
use backroom::messaging::ledger::{Act, Exempt, Origin, Purpose, Scope, Topic};
use backroom::store::{FlowRow, MessageFilter, MessageRow, MessageStatus, Op, Transaction};
use backroom::types::{Channel, EndCause, LegEvent, LineId, MessageId, OwnFile, PhoneNumber, ShopId, Wall};
use serde_json::{Map, Value, json};

use super::calls::{from_outside, with_calls};
use super::conversations::{JANE, TO_DROP_OFF};
use super::harness::*;
use super::upstream_sim::SimUpstream;

pub(crate) const STAFF: &str = "+12065550190";
pub(crate) const JOE: &str = "+12065550155";
/// The upstream's number of the shop.
pub(crate) const UPSTREAM: &str = "+12065550111";
/// Its sender for WhatsApp there.
pub(crate) const WHATSAPP: &str = "+12065550133";

pub(crate) fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

pub(crate) fn main_shop() -> ShopId {
    ShopId::from("main")
}

pub(crate) fn sim() -> LineId {
    LineId::from("main-sim")
}

pub(crate) fn two() -> LineId {
    LineId::from("main-two")
}

pub(crate) fn twilio() -> LineId {
    LineId::from("main-twilio")
}

pub(crate) fn whatsapp() -> LineId {
    LineId::from("main-wa")
}

pub(crate) fn at_twilio(b: &mut VirtualBox) -> &mut SimUpstream {
    b.upstreams.get_mut(&twilio()).unwrap()
}

/// Two modems, a number at an upstream, calls, staff, a dealer, and a flow that texts Jane for somebody else.
pub(crate) async fn whole_shop() -> VirtualBox {
    opened(vec![whole_plan()]).await
}

pub(crate) fn whole_plan() -> ShopPlan {
    let mut plan = with_calls("main");
    plan.second_line = Some(two());
    plan.settings.insert("consent.upstream_answers".into(), json!(true));
    let number = PhoneNumber::parse(UPSTREAM, None).ok();
    let template = |id: &str, digit: u32, purpose, variables: &[&str]| TemplateConfig {
        id: id.into(),
        shop: main_shop(),
        sid: format!("HX{digit:032}"),
        language: None,
        variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        purpose,
    };
    let update = template("update", 8, TemplatePurpose::Utility, &["text"]);
    plan.templates = vec![update.clone(), template("sale", 9, TemplatePurpose::Marketing, &[])];
    let on_whatsapp = PhoneNumber::parse(WHATSAPP, None).ok();
    let wa = upstream("main-wa", Channel::WhatsApp);
    plan.upstreams = vec![
        LineSetup { number, ..upstream("main-twilio", Channel::Sms) },
        LineSetup { number: on_whatsapp, outside: Some(update), cost: 2000, ..wa },
    ];
    plan
}

/// With the flow of the head.
pub(crate) async fn opened(plans: Vec<ShopPlan>) -> VirtualBox {
    let mut b = VirtualBox::new(plans).await;
    b.knows(JANE);
    let row = FlowRow {
        shop: main_shop(),
        name: "Teller".into(),
        sid: "FWteller".into(),
        revision: 1,
        definition: teller().to_string(),
        published: true,
        by: "owner".into(),
        wall: Wall(BEGIN),
    };
    b.store().submit(Transaction { ops: vec![Op::PutFlow(row)] }).unwrap();
    b.power_cut().await;
    b.power_back(Duration::from_secs(5), true).await;
    b
}

fn teller() -> Value {
    let offset = json!({ "x": 0, "y": 0 });
    let tell = |name: &str, to: &str, next: Option<&str>| {
        json!({ "name": name, "type": "send-message",
            "transitions": [ { "event": "sent", "next": next }, { "event": "failed", "next": next } ],
            "properties": { "offset": offset, "service": "", "channel": "", "from": "{{flow.channel.address}}",
                            "to": to, "body": "Come back, Jane" } })
    };
    json!({
        "description": "tells somebody else", "initial_state": "Trigger", "flags": { "allow_concurrent_calls": true },
        "states": [
            { "name": "Trigger", "type": "trigger", "properties": { "offset": offset }, "transitions": [
                { "event": "incomingMessage", "next": "a" }, { "event": "incomingCall" },
                { "event": "incomingConversationMessage" }, { "event": "incomingRequest" },
                { "event": "incomingParent" } ] },
            tell("a", "(206) 555-0142", Some("b")),
            tell("b", "555-0142", Some("c")),
            tell("c", JANE, Some("d")),
            tell("d", "*672065550142", Some("e")),
            tell("e", "whatsapp:+12065550142", None),
        ],
    })
}

pub(crate) fn send(body: &str, purpose: Purpose) -> Command {
    send_with(JANE, body, purpose, Enclosure::default())
}

pub(crate) fn send_with(to: &str, body: &str, purpose: Purpose, with: Enclosure) -> Command {
    let (why, by) = ("a recall of brakes".to_owned(), "owner".to_owned());
    let (to, body, with) = (to.to_owned(), body.to_owned(), Box::new(with));
    Command::SendFor { shop: main_shop(), to, body, purpose, why, by, with }
}

/// Whatever may go with a text, or in its place.
pub(crate) fn enclosures() -> [(&'static str, Enclosure); 4] {
    let photo = OwnFile { name: "photo.jpg".into(), bytes: b"\xff\xd8\xff\xe0".to_vec() };
    let links = vec!["https://shop.example/a.jpg".to_owned()];
    let template = |name: &str| Enclosure { template: Some(name.to_owned()), ..Enclosure::default() };
    [
        ("a photo", Enclosure { files: vec![photo], ..Enclosure::default() }),
        ("", Enclosure { links, ..Enclosure::default() }),
        ("", template("HX00000000000000000000000000000001")),
        ("", template("sale")),
    ]
}

pub(crate) fn enter(act: Act) -> Command {
    let (person, words, proof) = (JANE.to_owned(), "yes".to_owned(), "form 7".to_owned());
    let ask = ConsentAsk::Enter { person, act, line: None, words, proof, origin: Origin::Form };
    Command::Consent { shop: main_shop(), ask, by: "owner".into() }
}

pub(crate) fn set(key: &str, value: Value) -> Command {
    Command::Set { shop: main_shop(), values: Map::from_iter([(key.to_owned(), value)]), by: "owner".into() }
}

pub(crate) async fn rows(b: &VirtualBox, person: &str) -> Vec<MessageRow> {
    let filter = MessageFilter { person: Some(person.into()), limit: 10_000, ..MessageFilter::default() };
    let mut rows = b.store().read_after_writes(move |r| r.messages(&main_shop(), &filter)).await.unwrap();
    rows.reverse();
    rows
}

pub(crate) async fn acts(b: &VirtualBox) -> Vec<(Act, Scope, Origin)> {
    let read = |r: &backroom::store::Reader| r.consent_entries(&main_shop(), Some(JANE));
    let rows = b.store().read_after_writes(read).await.unwrap();
    rows.into_iter()
        .map(|r| (r.entry.statement.act, r.entry.statement.scope, r.entry.statement.origin))
        .collect()
}

pub(crate) async fn missed_call(b: &mut VirtualBox, n: usize) {
    let leg = format!("jane-{n}");
    b.leg(&leg, from_outside(JANE)).await;
    b.leg(&leg, LegEvent::Ended { cause: EndCause::Cancelled }).await;
    b.advance(minutes(1)).await;
}

pub(crate) async fn teller_speaks(b: &mut VirtualBox) {
    b.ask(set("flows.main", json!("Teller"))).await.unwrap();
    b.text(JOE, "hello").await;
    b.ask(set("flows.main", json!("Main_Menu"))).await.unwrap();
}

#[tokio::test]
async fn every_way_of_sending_ends_at_the_gate() {
    let mut b = whole_shop().await;
    // An order whose outcome comes later, people who have the conversation, a text in doubt, texts that wait.
    for text in &TO_DROP_OFF[..4] {
        b.text(JANE, text).await;
    }
    b.text(JANE, "2").await;
    b.dealer.mood = DealerMood::Down;
    b.text(JANE, "1").await;
    b.mute(&sim(), true);
    b.ask(send("in doubt", Purpose::Informational)).await.unwrap();
    b.power_cut().await;
    b.mute(&sim(), false);
    b.power_back(Duration::from_secs(5), true).await;
    b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
    b.unplug(&sim());
    b.unplug(&two());
    b.unplug(&twilio());
    b.unplug(&whatsapp());
    b.pump().await;
    b.ask(send("it waits for a line", Purpose::Informational)).await.unwrap();
    b.plug_in(&sim());
    b.text(JANE, "STOP").await;
    b.plug_in(&two());
    b.plug_in(&twilio());
    b.plug_in(&whatsapp());
    b.pump().await;
    b.dealer.mood = DealerMood::Up;
    b.advance(minutes(20)).await;
    let heard = b.heard(JANE);
    let after = heard.iter().position(|t| t.contains("unsubscribed")).expect("it is confirmed");
    assert_eq!(heard.len(), after + 1, "{heard:#?}");
    let doubt: Vec<MessageId> =
        rows(&b, JANE).await.into_iter().filter(|r| r.body == "in doubt").map(|r| r.id).collect();
    let resend = Command::Resend { shop: main_shop(), message: doubt[0].clone() };
    assert!(b.ask(resend).await.unwrap_err().contains("STOP"));
    for purpose in [Purpose::Reply, Purpose::Informational, Purpose::Marketing] {
        assert!(b.ask(send("no", purpose)).await.unwrap_err().contains("STOP"), "{purpose:?}");
    }
    for (body, with) in enclosures() {
        for to in [JANE.to_owned(), format!("whatsapp:{JANE}")] {
            let refused =
                b.ask(send_with(&to, body, Purpose::Informational, with.clone())).await.unwrap_err();
            assert!(refused.contains("STOP"), "{to}: {refused}");
        }
    }
    let plain = Command::Send { shop: main_shop(), to: JANE.into(), body: "no".into() };
    assert!(b.ask(plain).await.unwrap_err().contains("STOP"));
    b.text(STAFF, "#1 Are you there?").await;
    assert!(b.heard(STAFF).concat().contains("#1: not sent: this person said STOP"));
    teller_speaks(&mut b).await;
    missed_call(&mut b, 0).await;
    b.text_on(&two(), JANE, "hello again").await;
    b.upstream_text(&twilio(), JANE, "and here", None).await;
    b.power_cut().await;
    b.power_back(minutes(1), true).await;
    b.advance(minutes(600)).await;
    assert_eq!(b.heard(JANE), [""; 0]);
    // They were refused one by one, and say so.
    let refused: BTreeSet<String> = rows(&b, JANE)
        .await
        .into_iter()
        .filter(|r| r.status == MessageStatus::Failed)
        .filter(|r| r.note.as_deref().is_some_and(|n| n.contains("said STOP")))
        .map(|r| r.body.lines().next().unwrap_or_default().to_owned())
        .collect();
    for body in ["it waits for a line", "Service Confirmed!", "Come back, Jane"] {
        assert!(refused.contains(body), "{body}: {refused:#?}");
    }
    let seven: Vec<MessageRow> = rows(&b, "555-0142").await;
    assert!(seven.iter().all(|r| r.status == MessageStatus::Failed), "{seven:#?}");
    // Only what is listed reaches her, and it is written down who sent it.
    b.ask(send("Do not drive: the brakes", Purpose::Exempt(Exempt::Emergency))).await.unwrap();
    assert_eq!(b.heard(JANE), ["Do not drive: the brakes"]);
    let audit = b.store().read_after_writes(|r| r.audit(&main_shop(), 10)).await.unwrap();
    assert!(audit.iter().any(|a| a.detail["why"] == "a recall of brakes"), "{audit:#?}");
    assert!(b.ask(send("x", Purpose::Exempt(Exempt::Confirmation))).await.is_err());
}

#[tokio::test]
async fn free_words_go_to_staff_who_decide() {
    let mut b = whole_shop().await;
    b.text(JANE, "hi").await;
    b.heard(JANE);
    b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
    b.text(JANE, "Please stop texting me").await;
    assert!(!b.heard(JANE).is_empty(), "the flow hears it all the same");
    assert!(
        b.heard(STAFF)
            .concat()
            .contains("#1 +12065550142 may want no more texts: \"Please stop texting me\"")
    );
    assert!(b.ask(send("Sale!", Purpose::Marketing)).await.unwrap_err().contains("nobody has read it"));
    b.ask(send("Your mower is ready", Purpose::Informational)).await.unwrap();
    b.text(STAFF, "#1 ok").await;
    assert_eq!(b.heard(STAFF), ["#1 goes on as before."]);
    b.ask(send("Sale!", Purpose::Marketing)).await.unwrap();
    assert_eq!(b.heard(JANE), ["Your mower is ready", "Sale!"]);
    for not_about_texts in ["#1 END", "#1 Cancel."] {
        b.text(STAFF, not_about_texts).await;
        b.heard(STAFF);
        b.ask(send("Sale!", Purpose::Marketing)).await.unwrap();
        assert_eq!(b.heard(JANE), ["Sale!"], "after {not_about_texts}");
    }
    b.text(JANE, "TAKE ME OFF YOUR LIST").await;
    b.heard(JANE);
    b.heard(STAFF);
    b.text(STAFF, "#1 STOP").await;
    assert_eq!(b.heard(STAFF), ["#1 is sent nothing more."]);
    assert!(b.one(JANE).contains("unsubscribed"), "within five minutes of her words, once");
    assert!(b.ask(send("no", Purpose::Informational)).await.is_err());
    let acts: Vec<Act> = acts(&b).await.into_iter().map(|(act, ..)| act).collect();
    let marketing = Act::Consent(Topic::Marketing);
    assert_eq!(acts, [marketing, Act::Pause, Act::Resume, Act::Pause, Act::Block]);
}

#[tokio::test]
async fn staff_who_said_stop_get_no_notices_and_the_status_says_so() {
    let mut b = whole_shop().await;
    b.text(STAFF, "STOP").await;
    assert!(b.one(STAFF).contains("unsubscribed"));
    b.text(JANE, "please stop texting me").await;
    b.advance(minutes(2)).await;
    assert_eq!(b.heard(STAFF), [""; 0]);
    let status = b.ask(Command::Status).await.unwrap();
    assert_eq!(status["shops"]["main"]["consent"]["staff_who_said_stop"], json!(["+1…90"]));
    b.text(STAFF, "#1 STOP").await;
    assert!(b.ask(send("still", Purpose::Informational)).await.is_ok(), "they decide nothing either");
}

#[tokio::test]
async fn an_opt_out_at_the_upstream_is_that_numbers_and_start_says_where_else_to_text() {
    let mut b = whole_shop().await;
    at_twilio(&mut b).opted_out.insert(JANE.to_owned());
    b.upstream_text(&twilio(), JANE, "hi", None).await;
    b.advance(minutes(1)).await;
    let number = Scope::Number(PhoneNumber::parse(UPSTREAM, None).unwrap());
    assert_eq!(acts(&b).await, [(Act::Block, number.clone(), Origin::Upstream)]);
    let tries = at_twilio(&mut b).tried.len();
    b.ask(send("by the SIM", Purpose::Informational)).await.unwrap();
    b.advance(minutes(1)).await;
    assert!(b.heard(JANE).contains(&"by the SIM".to_owned()), "another number may be used");
    assert_eq!(at_twilio(&mut b).tried.len(), tries, "that one may not");
    b.text(JANE, "STOP").await;
    b.text(JANE, "START").await;
    let heard = b.heard(JANE).concat();
    assert!(heard.contains("For texts from (206) 555-0111 too, text START to that number."), "{heard}");
    assert_eq!(acts(&b).await.last().unwrap().1, number, "it is not lifted from here");
    at_twilio(&mut b).opted_out.clear();
    b.upstream_text(&twilio(), JANE, "START", Some("START")).await;
    assert_eq!(b.heard(JANE), [""; 0], "the upstream has confirmed it");
    assert_eq!(acts(&b).await.last().unwrap().0, Act::Unblock);
    b.upstream_text(&twilio(), JANE, "hello", None).await;
    assert!(at_twilio(&mut b).tried.len() > tries);
}

#[tokio::test]
async fn what_an_upstream_answers_itself_is_entered_once_and_not_answered_twice() {
    let mut b = whole_shop().await;
    for (words, kind) in [("STOP", None), ("ADIOS", Some("STOP"))] {
        b.upstream_text(&twilio(), JANE, words, kind).await;
        assert_eq!(b.heard(JANE), [""; 0], "{words}");
        assert!(b.ask(send("no", Purpose::Informational)).await.is_err(), "{words}");
        b.upstream_text(&twilio(), JANE, "START", kind.map(|_| "START")).await;
        assert_eq!(b.heard(JANE), [""; 0]);
    }
    assert_eq!(acts(&b).await.len(), 4);
    b.upstream_text(&twilio(), JANE, "HELP", None).await;
    assert_eq!(b.heard(JANE), [""; 0]);
}

#[tokio::test]
async fn the_confirmation_of_stop_leaves_within_five_minutes_or_never() {
    let mut b = whole_shop().await;
    for line in [two(), twilio(), whatsapp()] {
        b.unplug(&line);
    }
    b.text(JANE, "HELP").await;
    b.heard(JANE);
    b.drop_in(&sim(), JANE, "STOP");
    b.unplug(&sim());
    b.pump().await;
    b.advance(minutes(6)).await;
    b.plug_in(&sim());
    b.advance(minutes(1)).await;
    assert_eq!(b.heard(JANE), [""; 0]);
}

#[tokio::test]
async fn an_offer_waits_for_its_hour_and_for_nobody_who_said_stop_meanwhile() {
    let mut b = whole_shop().await;
    assert!(b.ask(send("Sale!", Purpose::Marketing)).await.unwrap_err().contains("never agreed"));
    b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
    // From ten in the morning to ten at night, in Seattle.
    b.advance(minutes(12 * 60)).await;
    let answer = b.ask(send("Sale!", Purpose::Marketing)).await.unwrap();
    assert_eq!(answer["not_before"], "2026-11-21T17:00:00.000Z", "{answer}");
    b.ask(send("Your order", Purpose::Informational)).await.unwrap();
    assert_eq!(b.heard(JANE), ["Your order"]);
    b.power_cut().await;
    b.power_back(minutes(10 * 60), true).await;
    assert_eq!(b.heard(JANE), [""; 0], "eight in the morning");
    b.advance(minutes(90)).await;
    assert_eq!(b.heard(JANE), ["Sale!"]);
    b.advance(minutes(14 * 60)).await;
    b.ask(send("Last day!", Purpose::Marketing)).await.unwrap();
    b.text(JANE, "stop").await;
    b.heard(JANE);
    b.text(JANE, "start").await;
    b.heard(JANE);
    b.advance(minutes(3 * 24 * 60)).await;
    assert_eq!(b.heard(JANE), [""; 0], "START brings no offers back");
}

#[tokio::test]
async fn an_offer_waits_while_nobody_knows_where_or_when_it_is() {
    let mut b = whole_shop().await;
    let to = "+493012345678";
    let consent = |person: &str| {
        let act = Act::Consent(Topic::Marketing);
        let (words, proof) = (String::new(), "form".to_owned());
        let ask =
            ConsentAsk::Enter { person: person.into(), act, line: None, words, proof, origin: Origin::Form };
        Command::Consent { shop: main_shop(), ask, by: "owner".into() }
    };
    let offer = |to: &str| send_with(to, "Sale!", Purpose::Marketing, Enclosure::default());
    b.ask(consent(to)).await.unwrap();
    let answer = b.ask(offer(to)).await.unwrap();
    assert!(answer["waits"].as_str().unwrap().contains("marketing.places"), "{answer}");
    assert!(b.ask(set("marketing.places", json!({ to: { "zone": "Europe/Berlln" } }))).await.is_err());
    b.ask(set("marketing.places", json!({ to: { "zone": "Europe/Berlin" } }))).await.unwrap();
    assert_eq!(b.heard(to), ["Sale!"], "seven in the evening there");
    b.ask(consent(JANE)).await.unwrap();
    b.power_cut().await;
    b.power_back(minutes(1), false).await;
    let answer = b.ask(offer(JANE)).await.unwrap();
    assert!(answer["waits"].as_str().unwrap().contains("clock"), "{answer}");
    b.advance(minutes(30)).await;
    assert_eq!(b.heard(JANE), [""; 0]);
    b.clock_is_sure();
    b.advance(minutes(2)).await;
    assert_eq!(b.heard(JANE), ["Sale!"]);
}

#[tokio::test]
async fn a_stop_outlives_the_database_that_it_was_in() {
    let mut b = whole_shop().await;
    b.text(JANE, "STOP").await;
    b.heard(JANE);
    b.power_cut().await;
    let path = b.path().join("backroom.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    // As after a copy was restored that is older than her STOP.
    conn.execute_batch("DELETE FROM consent_entry; DELETE FROM block").unwrap();
    drop(conn);
    b.power_back(minutes(1), true).await;
    assert!(b.ask(send("no", Purpose::Informational)).await.is_err());
    let status = b.ask(Command::Status).await.unwrap();
    assert_eq!(status["shops"]["main"]["consent"]["broken"], Value::Null);
    assert_eq!(acts(&b).await.len(), 1, "it is in the database again");
}

#[tokio::test]
async fn a_changed_ledger_stops_marketing_until_it_is_accepted_and_blocks_hold() {
    let mut b = whole_shop().await;
    b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
    b.text(JOE, "STOP").await;
    b.power_cut().await;
    let conn = rusqlite::Connection::open(b.path().join("backroom.db")).unwrap();
    conn.execute_batch(
        "DROP TRIGGER consent_entry_fixed;
         UPDATE consent_entry SET statement = replace(statement, 'form 7', 'form 8');",
    )
    .unwrap();
    drop(conn);
    b.power_back(minutes(1), true).await;
    let status = b.ask(Command::Status).await.unwrap();
    let broken = status["shops"]["main"]["consent"]["broken"].as_str().unwrap().to_owned();
    assert!(broken.contains("entry 1 was changed"), "{broken}");
    assert!(b.ask(send("Sale!", Purpose::Marketing)).await.unwrap_err().contains("damaged"));
    b.ask(send("Your order", Purpose::Informational)).await.unwrap();
    b.text(JOE, "hello").await;
    assert!(b.heard(JOE).iter().all(|t| t.contains("unsubscribed")));
    let ask = ConsentAsk::Accept { why: "a typing mistake of ours".into() };
    b.ask(Command::Consent { shop: main_shop(), ask, by: "owner".into() }).await.unwrap();
    b.ask(send("Sale!", Purpose::Marketing)).await.unwrap();
}

#[tokio::test]
async fn what_was_said_to_the_version_before_is_entered_also_after_a_roll_back() {
    let mut b = whole_shop().await;
    b.text(JOE, "STOP").await;
    b.power_cut().await;
    let conn = rusqlite::Connection::open(b.path().join("backroom.db")).unwrap();
    let blocked: i64 =
        conn.query_row("SELECT count(*) FROM block WHERE person = ?1", [JOE], |r| r.get(0)).unwrap();
    assert_eq!(blocked, 1, "the version before reads this table");
    // It ran for a day, and Jane said STOP to it.
    conn.execute_batch(&format!(
        "INSERT INTO consent VALUES ('main', 1, '{JANE}', 'main-sim', 1, 'Stop!', 'SMold', {BEGIN}, 1);
         INSERT INTO block VALUES ('main', '{JANE}', {BEGIN});"
    ))
    .unwrap();
    drop(conn);
    for _ in 0..2 {
        b.power_back(minutes(1), true).await;
        assert!(b.ask(send("no", Purpose::Informational)).await.is_err());
        assert_eq!(acts(&b).await, [(Act::Block, Scope::Shop, Origin::Text)], "once");
        b.power_cut().await;
    }
}
