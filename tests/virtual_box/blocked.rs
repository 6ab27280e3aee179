//! Who said STOP hears nothing: each place where a text is handed to a line, one by one, and what others do to the ledger.

use backroom::daemon::core::{Command, ConsentAsk};
use backroom::messaging::ledger::{Act, Exempt, Origin, Purpose, Topic};
use backroom::types::{LineEvent, LineId, MessageId, ShopId};
use serde_json::json;

use super::consent::*;
use super::conversations::JANE;
use super::harness::*;
use super::upstream_sim::Fate;

/// Two modems, a number at an upstream, one for WhatsApp, and the other shop's modem.
pub(crate) fn lines() -> [LineId; 5] {
    [sim(), two(), twilio(), LineId::from("main-wa"), LineId::from("north-sim")]
}

pub(crate) async fn two_shops() -> VirtualBox {
    opened(vec![whole_plan(), shop("north")]).await
}

pub(crate) async fn says(b: &mut VirtualBox, line: usize, words: &str) {
    let id = &lines()[line];
    match b.upstreams.contains_key(id) {
        true => b.upstream_text(id, JANE, words, None).await,
        false => b.text_on(id, JANE, words).await,
    }
}

pub(crate) async fn unknown(b: &VirtualBox) -> Vec<MessageId> {
    let rows = b.store().read_after_writes(|r| r.unknown_messages(&main_shop())).await.unwrap();
    rows.into_iter().map(|(row, _)| row.id).collect()
}

pub(crate) fn resend(message: MessageId) -> Command {
    Command::Resend { shop: main_shop(), message }
}

#[tokio::test]
async fn a_stop_that_comes_while_the_modem_asks_for_a_text_keeps_it_back() {
    let mut b = whole_shop().await;
    b.text(JANE, "HELP").await;
    b.heard(JANE);
    b.stop_at_prompt = Some((sim(), JANE.to_owned()));
    b.ask(send("at the last moment", Purpose::Informational)).await.unwrap();
    assert!(b.stop_at_prompt.is_none());
    b.advance(minutes(10)).await;
    assert!(b.one(JANE).contains("unsubscribed"));
}

#[tokio::test]
async fn a_stop_between_two_parts_keeps_the_second_back() {
    let mut b = whole_shop().await;
    b.text(JANE, "HELP").await;
    b.heard(JANE);
    b.stop_at_prompt = Some((sim(), JANE.to_owned()));
    b.prompts_before_stop = 1;
    b.ask(send(&"all of it, ".repeat(20), Purpose::Informational)).await.unwrap();
    assert!(b.stop_at_prompt.is_none());
    b.advance(minutes(10)).await;
    assert!(b.one(JANE).contains("unsubscribed"), "nobody can read the first part alone");
}

#[tokio::test]
async fn what_nothing_stops_goes_by_another_number_than_the_one_that_the_upstream_refuses() {
    let mut b = whole_shop().await;
    b.upstream_text(&twilio(), JANE, "please stop texting me", None).await;
    b.heard(JANE);
    at_twilio(&mut b).opted_out.insert(JANE.to_owned());
    b.ask(send("tried", Purpose::Informational)).await.unwrap();
    b.advance(minutes(1)).await;
    b.heard(JANE);
    b.upstream_text(&twilio(), JANE, "take me off your list", None).await;
    let tries = at_twilio(&mut b).tried.len();
    b.heard(JANE);
    b.text(STAFF, "#1 STOP").await;
    b.advance(minutes(10)).await;
    assert!(b.one(JANE).contains("unsubscribed"), "another of the shop's numbers says it");
    let recall = Purpose::Exempt(Exempt::Emergency);
    b.ask(send("Do not drive", recall)).await.unwrap();
    assert_eq!(b.heard(JANE), ["Do not drive"]);
    assert_eq!(at_twilio(&mut b).tried.len(), tries);
}

#[tokio::test]
async fn a_text_that_the_upstream_lost_is_not_posted_again_after_a_stop_on_any_line() {
    for line in 0..4 {
        let mut b = two_shops().await;
        b.upstream_text(&twilio(), JANE, "HELP", None).await;
        at_twilio(&mut b).fates.push_back(Fate::RequestLost);
        b.ask(send("lost on the way", Purpose::Informational)).await.unwrap();
        assert_eq!(at_twilio(&mut b).tried.len(), 1);
        says(&mut b, line, "STOP").await;
        b.advance(minutes(30)).await;
        assert!(b.heard(JANE).iter().all(|t| t.contains("unsubscribed")), "STOP on line {line}");
        assert_eq!(at_twilio(&mut b).tried.len(), 1, "STOP on line {line}");
        assert_eq!(unknown(&b).await, [], "it is known to have been lost");
    }
}

#[tokio::test]
async fn staff_cannot_send_again_what_is_in_doubt_after_a_stop() {
    let mut b = two_shops().await;
    b.upstream_text(&twilio(), JANE, "HELP", None).await;
    at_twilio(&mut b).fates.extend([Fate::RequestLost, Fate::RequestLost]);
    b.ask(send("lost twice", Purpose::Informational)).await.unwrap();
    b.advance(minutes(10)).await;
    let doubt = unknown(&b).await;
    assert_eq!(doubt.len(), 1);
    says(&mut b, 1, "STOP").await;
    b.heard(JANE);
    assert!(b.ask(resend(doubt[0].clone())).await.unwrap_err().contains("STOP"));
    b.advance(minutes(10)).await;
    assert_eq!(b.heard(JANE), [""; 0]);
}

#[tokio::test]
async fn a_text_that_waits_in_a_restored_copy_is_held_to_what_was_said_since() {
    for line in [sim(), twilio()] {
        let mut b = whole_shop().await;
        match line == twilio() {
            true => b.upstream_text(&line, JANE, "MENU", None).await,
            false => b.text_on(&line, JANE, "MENU").await,
        }
        b.heard(JANE);
        for line in [sim(), two(), twilio()] {
            b.unplug(&line);
        }
        b.pump().await;
        b.ask(send("it waits", Purpose::Informational)).await.unwrap();
        b.power_cut().await;
        let path = b.path().join("backroom.db");
        let backup = std::fs::read(&path).unwrap();
        b.power_back(minutes(1), true).await;
        b.plug_in(&two());
        b.text_on(&two(), JANE, "STOP").await;
        b.unplug(&two());
        b.pump().await;
        b.heard(JANE);
        b.power_cut().await;
        std::fs::write(&path, backup).unwrap();
        b.power_back(minutes(1), true).await;
        for line in [sim(), two(), twilio()] {
            b.plug_in(&line);
        }
        b.pump().await;
        b.advance(minutes(30)).await;
        assert_eq!(b.heard(JANE), [""; 0], "{line}");
    }
}

#[tokio::test]
async fn stop_by_whatsapp_is_stop_by_sms_and_the_other_way_round_and_of_one_shop() {
    for line in 0..4 {
        let mut b = two_shops().await;
        says(&mut b, 3, "HELP").await;
        says(&mut b, line, "Stop!").await;
        b.heard(JANE);
        for known in 0..4 {
            says(&mut b, known, "hello").await;
            assert!(b.ask(send("no", Purpose::Reply)).await.unwrap_err().contains("STOP"));
        }
        b.advance(minutes(60)).await;
        assert_eq!(b.heard(JANE), [""; 0], "STOP on line {line}");
        let north = Command::Send { shop: ShopId::from("north"), to: JANE.into(), body: "from north".into() };
        b.ask(north).await.unwrap();
        assert_eq!(b.heard(JANE), ["from north"], "the other shop was not meant");
        says(&mut b, (line + 1) % 4, "START").await;
        b.heard(JANE);
        b.ask(send("again", Purpose::Informational)).await.unwrap();
        assert_eq!(b.heard(JANE), ["again"], "START on another line");
    }
}

#[tokio::test]
async fn an_offer_that_waits_for_its_hour_is_held_to_what_was_said_by_voice_since() {
    for act in [Act::Withdrawal(Topic::Marketing), Act::Pause, Act::Block] {
        let mut b = whole_shop().await;
        b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
        b.ask(set("marketing.hours", json!("12-13"))).await.unwrap();
        b.ask(send("Sale!", Purpose::Marketing)).await.unwrap();
        let (person, words, proof) = (JANE.to_owned(), "no more offers".to_owned(), "call 7".to_owned());
        let ask = ConsentAsk::Enter { person, act, line: None, words, proof, origin: Origin::Voice };
        b.ask(Command::Consent { shop: main_shop(), ask, by: "owner".into() }).await.unwrap();
        b.power_cut().await;
        b.power_back(minutes(1), true).await;
        b.advance(minutes(2 * 24 * 60)).await;
        assert_eq!(b.heard(JANE), [""; 0], "{act:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_somebody_kept_starts_nothing_when_it_comes_again() {
    let mut b = whole_shop().await;
    // One START of a time when there was nothing to lift, and one that lifted a block.
    b.upstream_text(&twilio(), JANE, "START", None).await;
    b.upstream_text(&twilio(), JANE, "STOP", None).await;
    b.upstream_text(&twilio(), JANE, "START", Some("START")).await;
    b.upstream_text(&twilio(), JANE, "STOP", None).await;
    b.heard(JANE);
    for restart in [false, true] {
        b.advance(minutes(4 * 24 * 60)).await;
        let now = b.clock_wall();
        b.tell(&twilio(), LineEvent::Cursor(now));
        b.pump().await;
        if restart {
            b.power_cut().await;
            b.power_back(minutes(1), true).await;
        }
        for at in [0, 2] {
            b.tell_again(at).await;
            assert!(b.ask(send("no", Purpose::Informational)).await.is_err(), "{at}, restarted: {restart}");
        }
    }
    b.upstream_text(&twilio(), JANE, "START", None).await;
    b.tell_again(1).await;
    b.ask(send("yes", Purpose::Informational)).await.unwrap();
    assert_eq!(b.heard(JANE), ["yes"], "nor does an old STOP stop");
}

#[tokio::test]
async fn who_changes_the_database_frees_nobody_whom_the_copy_knows() {
    let mut b = whole_shop().await;
    b.text(JANE, "STOP").await;
    b.text(JOE, "STOP").await;
    b.text(JOE, "START").await;
    b.heard(JOE);
    b.heard(JANE);
    b.power_cut().await;
    let conn = rusqlite::Connection::open(b.path().join("backroom.db")).unwrap();
    conn.execute_batch(
        "DROP TRIGGER consent_entry_fixed;
         UPDATE consent_entry SET statement = replace(statement, '\"block\"', '\"resume\"') WHERE seq = 1;
         DELETE FROM block;",
    )
    .unwrap();
    drop(conn);
    for _ in 0..2 {
        b.power_back(minutes(1), true).await;
        let status = b.ask(Command::Status).await.unwrap();
        let broken = status["shops"]["main"]["consent"]["broken"].as_str().unwrap().to_owned();
        assert!(broken.contains("entry 1"), "{broken}");
        assert!(b.ask(send("no", Purpose::Informational)).await.unwrap_err().contains("STOP"));
        b.power_cut().await;
    }
    b.power_back(minutes(1), true).await;
    let to_joe = Command::Send { shop: main_shop(), to: JOE.into(), body: "yes".into() };
    b.ask(to_joe).await.unwrap();
    assert_eq!((b.heard(JANE).len(), b.heard(JOE)), (0, vec!["yes".to_owned()]), "he said START since");
    assert_eq!(acts(&b).await.len(), 2, "what the copy said is entered once");
}

#[tokio::test]
async fn free_words_of_somebody_who_repeats_them_are_heard_like_any_others() {
    let mut b = whole_shop().await;
    b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
    for _ in 0..30 {
        b.text(JANE, "hi there").await;
    }
    assert!(b.heard(STAFF).concat().contains("seems to be a robot"));
    b.text(JANE, "please stop texting me").await;
    assert!(b.ask(send("Sale!", Purpose::Marketing)).await.unwrap_err().contains("nobody has read it"));
    assert!(b.heard(STAFF).concat().contains("may want no more texts"));
    b.text(JANE, "please stop texting me").await;
    assert_eq!(b.heard(STAFF), [""; 0], "a robot is told of once");
}
