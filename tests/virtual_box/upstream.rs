//! Texts over an upstream: lost answers, texts told again, fail-over and back, files, statuses, WhatsApp, robots.

use std::time::Duration;

use backroom::daemon::clock::Clock;
use backroom::daemon::core::Command;
use backroom::outbox::Posting;
use backroom::store::{
    MediaState, MessageFilter, MessageRow, MessageStatus, Op, PartRow, PartState, Transaction,
};
use backroom::types::{
    Channel, Delivery, LineEvent, LineId, LineState, MediaLink, MessageId, PartId, PostResult, Registration,
    ShopId,
};
use serde_json::{Value, json};

use super::conversations::JANE;
use super::harness::*;
use super::upstream_sim::Fate;

const JOE: &str = "+12065550177";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn up() -> LineId {
    LineId::from("main-up")
}

fn sim() -> LineId {
    LineId::from("main-sim")
}

/// A modem, and a number at an upstream.
async fn both() -> VirtualBox {
    let mut plan = shop("main");
    plan.upstreams = vec![upstream("main-up", Channel::Sms)];
    VirtualBox::new(vec![plan]).await
}

async fn only_upstream() -> VirtualBox {
    VirtualBox::new(vec![shop_upstream("main")]).await
}

async fn send(b: &mut VirtualBox, to: &str, body: &str) -> String {
    let command = Command::Send { shop: ShopId::from("main"), to: to.into(), body: body.into() };
    let sent = b.ask(command).await.unwrap();
    sent["id"].as_str().unwrap().to_owned()
}

async fn rows(b: &VirtualBox, person: &str) -> Vec<MessageRow> {
    let filter = MessageFilter { person: Some(person.to_owned()), limit: 1000, ..MessageFilter::default() };
    b.store().read(move |r| r.messages(&ShopId::from("main"), &filter)).await.unwrap()
}

async fn row(b: &VirtualBox, id: &str) -> MessageRow {
    let id = MessageId::from(id);
    b.store().read(move |r| r.message(&ShopId::from("main"), &id)).await.unwrap().unwrap().0
}

async fn counter(b: &mut VirtualBox, name: &str) -> u64 {
    let status = b.ask(Command::Status).await.unwrap();
    status["shops"]["main"]["counters"][name].as_u64().unwrap_or(0)
}

fn fates(b: &mut VirtualBox, fates: &[Fate]) {
    b.upstreams.get_mut(&up()).unwrap().fates = fates.iter().copied().collect();
}

#[tokio::test]
async fn a_conversation_over_an_upstream_and_its_rows() {
    let mut b = only_upstream().await;
    b.text(JANE, "HELP").await;
    assert!(b.one(JANE).contains("reply MENU"));
    let all = rows(&b, JANE).await;
    let (text, answer) =
        (all.iter().find(|r| r.carriage.sid.as_deref() == Some("SMin00000000")).unwrap(), &all);
    assert_eq!(text.status, MessageStatus::Received);
    let answer = answer.iter().find(|r| r.id != text.id).unwrap();
    assert_eq!(answer.status, MessageStatus::Sending, "the upstream queues it");
    assert_eq!(answer.carriage.sid.as_deref(), Some("SMout00000000"));
    assert_eq!(answer.carriage.choice.as_deref(), Some("the number that they know"));
    assert!(b.upstreams[&up()].tracked.contains("SMout00000000"));
}

#[tokio::test]
async fn a_text_is_one_however_often_and_in_whatever_order_it_is_told() {
    let mut b = only_upstream().await;
    for (who, body) in [(JANE, "HELP"), (JOE, "HELP"), (JANE, "help")] {
        b.drop_in(&up(), who, body);
    }
    b.pump().await;
    assert_eq!((b.heard(JANE).len(), b.heard(JOE).len()), (2, 1));
    for event in b.upstreams[&up()].again() {
        b.tell(&up(), event);
    }
    b.pump().await;
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    // Three days without a network: its cursor is old, and so is what it tells again.
    b.unplug(&up());
    b.pump().await;
    b.advance(seconds(3 * 86_400)).await;
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    b.plug_in(&up());
    b.pump().await;
    b.advance(seconds(60)).await;
    assert_eq!((b.heard(JANE), b.heard(JOE)), (Vec::new(), Vec::new()));
    assert_eq!(rows(&b, JANE).await.iter().filter(|r| r.status == MessageStatus::Received).count(), 2);
    assert!(counter(&mut b, "texts_told_again").await >= 3);
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_and_the_text_not_sent_twice() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::AnswerLost]);
    let id = send(&mut b, JANE, "Your mower is ready").await;
    assert_eq!(row(&b, &id).await.status, MessageStatus::Sending);
    // The same words again, while nobody knows: they wait.
    let twin = send(&mut b, JANE, "Your mower is ready").await;
    let other = send(&mut b, JOE, "Hello Joe").await;
    assert_eq!(row(&b, &twin).await.status, MessageStatus::Queued);
    assert!(row(&b, &other).await.carriage.sid.is_some(), "others do not wait");
    b.advance(seconds(30)).await;
    let (first, second) = (row(&b, &id).await, row(&b, &twin).await);
    assert_eq!(first.carriage.sid.as_deref(), Some("SMout00000000"));
    assert_eq!(second.carriage.sid.as_deref(), Some("SMout00000002"));
    assert_eq!(b.heard(JANE).len(), 2);
}

#[tokio::test]
async fn a_request_that_got_lost_is_sent_once_more_after_two_looks() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::RequestLost]);
    let id = send(&mut b, JANE, "Your mower is ready").await;
    b.advance(seconds(65)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new(), "not before both looks found nothing");
    b.advance(seconds(20)).await;
    assert_eq!(b.one(JANE), "Your mower is ready");
    assert!(row(&b, &id).await.carriage.sid.is_some());
    // Lost again and again: once by itself, then staff decide.
    fates(&mut b, &[Fate::RequestLost, Fate::RequestLost]);
    let id = send(&mut b, JANE, "And your saw").await;
    b.advance(seconds(400)).await;
    assert_eq!(row(&b, &id).await.status, MessageStatus::Unknown);
    let resend = Command::Resend { shop: ShopId::from("main"), message: MessageId::from(id.as_str()) };
    b.ask(resend).await.unwrap();
    assert_eq!(b.one(JANE), "And your saw");
}

#[tokio::test]
async fn a_text_that_is_accepted_after_all_while_it_waits_to_be_sent_again_is_not_sent_again() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::RequestLost, Fate::Busy(60)]);
    let id = send(&mut b, JANE, "Your mower is ready").await;
    b.advance(seconds(60)).await;
    // The line pauses when both looks at Jane's text have found nothing.
    send(&mut b, JOE, "Yours too").await;
    b.advance(seconds(20)).await;
    assert_eq!(row(&b, &id).await.status, MessageStatus::Queued);
    let sid = "SM00000000000000000000000000000099".to_owned();
    let result = PostResult::Accepted { sid: sid.clone(), status: Delivery::Queued, at: None };
    b.tell(&up(), LineEvent::Posted { message: MessageId::from(id.as_str()), attempt: 1, result });
    b.advance(seconds(120)).await;
    let row = row(&b, &id).await;
    assert_eq!((row.status, row.carriage.sid), (MessageStatus::Sending, Some(sid)));
    assert_eq!((b.heard(JANE).len(), b.heard(JOE).len()), (0, 1));
    assert_eq!(counter(&mut b, "answers_to_no_question").await, 0, "it is out of the queue");
}

#[tokio::test]
async fn a_box_that_stopped_in_between_looks_before_it_sends() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::Silent]);
    let id = send(&mut b, JANE, "Your mower is ready").await;
    b.power_cut().await;
    b.upstreams.get_mut(&up()).unwrap().blind = true;
    b.power_back(seconds(5), true).await;
    b.advance(seconds(600)).await;
    assert_eq!(
        row(&b, &id).await.status,
        MessageStatus::Sending,
        "it is looked for, and nobody can be asked"
    );
    b.upstreams.get_mut(&up()).unwrap().blind = false;
    b.advance(seconds(400)).await;
    assert_eq!(row(&b, &id).await.carriage.sid.as_deref(), Some("SMout00000000"));
    assert_eq!(b.one(JANE), "Your mower is ready");
}

#[tokio::test]
async fn a_busy_upstream_gets_the_pause_that_it_asks_for() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::Busy(40)]);
    send(&mut b, JANE, "Your mower is ready").await;
    send(&mut b, JOE, "Yours too").await;
    b.advance(seconds(39)).await;
    assert_eq!((b.heard(JANE).len(), b.heard(JOE).len()), (0, 0));
    b.advance(seconds(2)).await;
    assert_eq!((b.heard(JANE).len(), b.heard(JOE).len()), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_kept_with_its_number() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::Refused(21211)]);
    let id = send(&mut b, JANE, "Your mower is ready").await;
    let row = row(&b, &id).await;
    assert_eq!((row.status, row.carriage.error), (MessageStatus::Failed, Some(21211)));
    assert!(row.note.unwrap().contains("21211"));
}

#[tokio::test]
async fn a_status_goes_forward_only() {
    let mut b = only_upstream().await;
    let id = send(&mut b, JANE, "Your mower is ready").await;
    let status = |b: &VirtualBox, status, error| b.upstreams[&up()].status(0, status, error);
    for (told, seen) in [
        (Delivery::Sent, MessageStatus::Sent),
        (Delivery::Queued, MessageStatus::Sent),
        (Delivery::Delivered, MessageStatus::Delivered),
        (Delivery::Sent, MessageStatus::Delivered),
        (Delivery::Failed, MessageStatus::Delivered),
    ] {
        let event = status(&b, told, None);
        b.tell(&up(), event);
        b.pump().await;
        assert_eq!(row(&b, &id).await.status, seen, "{told:?}");
    }
    assert_eq!(row(&b, &id).await.carriage.price, Some((-8300, "USD".to_owned())));
    assert_eq!((counter(&mut b, "statuses_repeated").await, counter(&mut b, "statuses_late").await), (1, 2));
    let id = send(&mut b, JANE, "And your saw").await;
    let event = b.upstreams[&up()].status(1, Delivery::Undelivered, Some(30003));
    b.tell(&up(), event);
    b.pump().await;
    let row = row(&b, &id).await;
    assert_eq!((row.status, row.carriage.error), (MessageStatus::Undelivered, Some(30003)));
}

#[tokio::test]
async fn a_status_that_overtakes_the_answer_to_its_post_counts_once_the_text_is_known() {
    let mut b = only_upstream().await;
    fates(&mut b, &[Fate::AnswerLost]);
    let id = send(&mut b, JANE, "Your mower is ready").await;
    for status in [Delivery::Sent, Delivery::Delivered] {
        let event = b.upstreams[&up()].status(0, status, None);
        b.tell(&up(), event);
        b.pump().await;
    }
    assert_eq!(row(&b, &id).await.status, MessageStatus::Sending, "nobody knows yet whose it is");
    b.advance(seconds(30)).await;
    let row = row(&b, &id).await;
    assert_eq!((row.status, row.carriage.price), (MessageStatus::Delivered, Some((-8300, "USD".to_owned()))));
    assert_eq!(counter(&mut b, "statuses_early").await, 2);
    assert_eq!(counter(&mut b, "statuses_of_nothing").await, 0);
}

#[tokio::test]
async fn a_modem_that_is_pulled_out_hands_over_within_ten_seconds_and_gets_its_people_back() {
    let mut b = both().await;
    b.text_on(&sim(), JANE, "HELP").await;
    b.one(JANE);
    b.unplug(&sim());
    b.pump().await;
    let long = "x".repeat(400);
    let id = send(&mut b, JANE, &long).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new(), "it may be back in a moment");
    b.advance(seconds(9)).await;
    assert_eq!(b.one(JANE), long);
    let moved = row(&b, &id).await;
    assert_eq!(moved.line, Some(up()));
    assert_eq!(moved.carriage.choice.as_deref(), Some("main-sim is down since 5 s"));
    let id = send(&mut b, JANE, "Second").await;
    assert_eq!(b.one(JANE), "Second");
    assert!(row(&b, &id).await.carriage.choice.unwrap().starts_with("main-sim is down since"));
    b.plug_in(&sim());
    b.pump().await;
    send(&mut b, JANE, "Third").await;
    b.one(JANE);
    assert_eq!(b.order_of_texts().last().unwrap().line, sim());
    // The other way round, and in PDUs again.
    b.text_on(&up(), JOE, "HELP").await;
    b.one(JOE);
    b.unplug(&up());
    b.pump().await;
    send(&mut b, JOE, &long).await;
    b.advance(seconds(9)).await;
    assert_eq!(b.one(JOE), long);
    assert_eq!(b.order_of_texts().last().unwrap().line, sim());
    let status = b.ask(Command::Status).await.unwrap();
    assert_eq!(status["shops"]["main"]["queued"], json!(0));
}

#[tokio::test]
async fn a_modem_that_asks_for_a_text_that_another_line_took_is_told_no() {
    let mut b = both().await;
    b.ask_not(&sim());
    let id = send(&mut b, JANE, "Your mower is ready").await;
    let searching = LineState { registration: Registration::Searching, ..LineState::default() };
    b.tell(&sim(), LineEvent::State(searching));
    b.pump().await;
    b.advance(seconds(9)).await;
    assert_eq!(b.one(JANE), "Your mower is ready");
    let part = PartId { message: MessageId::from(id.as_str()), number: 1 };
    b.tell(&sim(), LineEvent::Prompted { part, attempt: 1 });
    b.pump().await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    assert!(row(&b, &id).await.carriage.sid.is_some());
}

#[tokio::test]
async fn a_text_that_is_not_to_leave_yet_waits_for_its_time_also_after_a_restart() {
    let mut b = only_upstream().await;
    let id = send(&mut b, JANE, "Hello").await;
    b.one(JANE);
    let now = b.clock.now();
    let mut waits = row(&b, &id).await;
    waits.id = MessageId::from("SMlater");
    waits.body = "Good morning".into();
    waits.status = MessageStatus::Queued;
    waits.carriage.sid = None;
    waits.not_before = Some(now.wall + seconds(7200));
    let part = PartRow {
        shop: ShopId::from("main"),
        id: PartId { message: waits.id.clone(), number: 1 },
        pdu: json!(Posting::default()).to_string(),
        length: 0,
        state: PartState::Queued,
        line: None,
        reference: None,
        attempts: 0,
        note: None,
        updated: now.wall,
    };
    b.store().submit(Transaction { ops: vec![Op::PutMessage(waits), Op::PutPart(part)] }).unwrap();
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    b.advance(seconds(7100)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.advance(seconds(200)).await;
    assert_eq!(b.one(JANE), "Good morning");
}

#[tokio::test]
async fn who_is_in_the_middle_of_something_is_not_sent_back_and_forth() {
    let mut b = both().await;
    b.knows(JANE);
    b.text_on(&sim(), JANE, "Hi").await;
    b.heard(JANE);
    b.unplug(&sim());
    b.pump().await;
    b.advance(seconds(10)).await;
    b.text_on(&up(), JANE, "1").await;
    b.heard(JANE);
    assert_eq!(b.order_of_texts().last().unwrap().line, up());
    b.plug_in(&sim());
    b.pump().await;
    b.text_on(&up(), JANE, "1").await;
    b.heard(JANE);
    assert_eq!(b.order_of_texts().last().unwrap().line, up());
}

#[tokio::test]
async fn pace_holds_an_upstreams_line_and_people_and_not_the_modem() {
    let mut b = both().await;
    for n in 0..40 {
        b.drop_in(&up(), &format!("+1206555{n:04}"), "HELP");
    }
    b.pump().await;
    assert_eq!(b.order_of_texts().len(), 10, "a burst");
    b.advance(seconds(10)).await;
    assert_eq!(b.order_of_texts().len(), 20, "and one a second");
    b.advance(seconds(20)).await;
    assert_eq!(b.order_of_texts().len(), 40);
    for n in 0..40 {
        b.drop_in(&sim(), &format!("+1206555{n:04}"), "HELP");
    }
    b.pump().await;
    assert_eq!(b.order_of_texts().len(), 80);
    for n in 0..20 {
        send(&mut b, JANE, &format!("Text {n}")).await;
    }
    assert_eq!(b.heard(JANE).len(), 15, "fifteen in thirty seconds");
    send(&mut b, JOE, "Hello").await;
    assert_eq!(b.heard(JOE).len(), 1, "nobody waits for another's window");
    b.advance(seconds(31)).await;
    assert_eq!(b.heard(JANE), (15..20).map(|n| format!("Text {n}")).collect::<Vec<_>>(), "in order");
}

#[tokio::test]
async fn two_robots_are_parted_and_staff_are_told_once() {
    let mut plan = shop_upstream("main");
    plan.settings.insert("staff".into(), json!(["+12065550199"]));
    let mut b = VirtualBox::new(vec![plan]).await;
    b.knows(JANE);
    let mut answers = 0;
    for _ in 0..40 {
        b.text(JANE, "We are out of the office. Help is at our web page.").await;
        answers += b.heard(JANE).len();
        b.advance(seconds(2)).await;
    }
    assert!((3..15).contains(&answers), "{answers}");
    let told = b.heard("+12065550199");
    assert_eq!(told.iter().filter(|t| t.contains("robot")).count(), 1, "{told:#?}");
    assert_eq!(rows(&b, JANE).await.iter().filter(|r| r.status == MessageStatus::Received).count(), 40);
    b.text(JANE, "STOP").await;
    assert_eq!(b.heard(JANE).len(), 1, "consent is heard in a loop too");
}

#[tokio::test]
async fn files_are_wanted_first_and_fetched_until_they_are_here() {
    let mut b = only_upstream().await;
    let now = b.clock.now();
    let sim = b.upstreams.get_mut(&up()).unwrap();
    sim.files.insert("https://up/1".into(), None);
    let mut text = sim.arrive(JANE, "HELP", now);
    let link = |n: u8| MediaLink { url: format!("https://up/{n}"), content_type: "image/jpeg".into() };
    text.media = vec![link(1), link(2)];
    b.tell(&up(), LineEvent::Text(Box::new(text)));
    b.pump().await;
    b.heard(JANE);
    let id = rows(&b, JANE).await.into_iter().find(|r| r.status == MessageStatus::Received).unwrap();
    assert_eq!(id.carriage.media, 2);
    let media = |b: &VirtualBox| {
        let (store, id) = (b.store(), id.id.clone());
        async move { store.read(move |r| r.media(&ShopId::from("main"), &id)).await.unwrap() }
    };
    let states: Vec<MediaState> = media(&b).await.iter().map(|m| m.state).collect();
    assert_eq!(states, [MediaState::Wanted, MediaState::Gone]);
    b.advance(seconds(60)).await;
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    b.upstreams.get_mut(&up()).unwrap().files.insert("https://up/1".into(), Some(b"png".to_vec()));
    b.advance(seconds(700)).await;
    let kept = media(&b).await;
    assert_eq!((kept[0].state, kept[0].content_type.as_str()), (MediaState::Kept, "image/png"));
    // One that never comes is given up after a day.
    let now = b.clock.now();
    let sim = b.upstreams.get_mut(&up()).unwrap();
    sim.files.insert("https://up/3".into(), None);
    let mut text = sim.arrive(JOE, "HELP", now);
    text.media = vec![link(3)];
    b.tell(&up(), LineEvent::Text(Box::new(text)));
    b.pump().await;
    b.advance(seconds(90_000)).await;
    let status: Value = b.ask(Command::Status).await.unwrap();
    assert_eq!(status["shops"]["main"]["media_wanted"], json!(0));
}

#[tokio::test]
async fn whatsapp_is_answered_there_within_a_day_and_by_sms_after() {
    let mut plan = shop("main");
    plan.upstreams = vec![upstream("main-wa", Channel::WhatsApp)];
    let mut b = VirtualBox::new(vec![plan]).await;
    let wa = LineId::from("main-wa");
    let now = b.clock.now();
    let mut text = b.upstreams.get_mut(&wa).unwrap().arrive(JANE, "HELP", now);
    text.channel = Channel::WhatsApp;
    b.tell(&wa, LineEvent::Text(Box::new(text)));
    b.pump().await;
    b.one(JANE);
    assert_eq!(b.order_of_texts().last().unwrap().line, wa);
    b.advance(seconds(23 * 3600)).await;
    let id = send(&mut b, JANE, "Your mower is ready").await;
    b.one(JANE);
    assert_eq!(row(&b, &id).await.carriage.channel, Channel::WhatsApp);
    b.advance(seconds(2 * 3600)).await;
    let id = send(&mut b, JANE, "Come and get it").await;
    b.one(JANE);
    let late = row(&b, &id).await;
    assert_eq!((late.line, late.carriage.channel), (Some(sim()), Channel::Sms));
    assert!(late.carriage.choice.unwrap().contains("older than 24 hours"));
    // Nobody is texted by WhatsApp who never wrote there.
    send(&mut b, JOE, "Hello").await;
    b.one(JOE);
    assert_eq!(b.order_of_texts().last().unwrap().line, sim());
}

#[tokio::test]
async fn two_shops_share_nothing_also_at_an_upstream() {
    let mut b = VirtualBox::new(vec![shop_upstream("main"), shop_upstream("other")]).await;
    let other = LineId::from("other-up");
    // The same sid at both accounts, and the same person.
    b.text_on(&up(), JANE, "HELP").await;
    b.text_on(&other, JANE, "HELP").await;
    let heard = b.heard(JANE);
    assert!(heard[0].starts_with("Shop main") && heard[1].starts_with("Shop other"), "{heard:#?}");
    let event = b.upstreams[&up()].status(0, Delivery::Delivered, None);
    b.tell(&other, event);
    b.pump().await;
    let of = |shop: &str| {
        let (store, shop) = (b.store(), ShopId::from(shop));
        async move {
            store
                .read(move |r| r.messages(&shop, &MessageFilter { limit: 9, ..Default::default() }))
                .await
                .unwrap()
        }
    };
    let delivered =
        |rows: Vec<MessageRow>| rows.iter().filter(|r| r.status == MessageStatus::Delivered).count();
    assert_eq!((delivered(of("main").await), delivered(of("other").await)), (0, 1));
}

/// Every order of lost requests, lost answers, silence and restarts: each of a hundred texts is carried once, or is
/// listed as in doubt.
#[tokio::test]
async fn whatever_is_lost_each_text_is_sent_once_or_listed() {
    for seed in 0..6_u64 {
        let mut plan = shop_upstream("main");
        plan.settings.insert("sms.burst".into(), json!(1000));
        let mut b = VirtualBox::new(vec![plan]).await;
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |n: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % n
        };
        let mut ids = Vec::new();
        for n in 0..100 {
            let fate = match roll(8) {
                0 => Some(Fate::AnswerLost),
                1 => Some(Fate::RequestLost),
                2 => Some(Fate::Silent),
                3 => Some(Fate::NotTried),
                4 => Some(Fate::Busy(5)),
                _ => None,
            };
            b.upstreams.get_mut(&up()).unwrap().fates.extend(fate);
            ids.push(send(&mut b, &format!("+120655501{:02}", n % 20), &format!("Text {}", n / 40)).await);
            match roll(12) {
                0 => {
                    b.power_cut().await;
                    b.power_back(seconds(1 + roll(200)), true).await;
                }
                1 => b.unplug(&up()),
                2..=4 => b.plug_in(&up()),
                _ => b.advance(seconds(roll(20))).await,
            }
            b.pump().await;
        }
        b.upstreams.get_mut(&up()).unwrap().fates.clear();
        b.plug_in(&up());
        b.pump().await;
        b.advance(seconds(7200)).await;
        let mut sids = Vec::new();
        let mut doubts = 0;
        for id in &ids {
            let row = row(&b, id).await;
            match (&row.carriage.sid, row.status) {
                (Some(sid), _) => sids.push(sid.clone()),
                (None, MessageStatus::Unknown) => doubts += 1,
                (None, _) => panic!("seed {seed}: {row:#?}"),
            }
        }
        sids.sort();
        sids.dedup();
        assert_eq!(sids.len() + doubts, ids.len(), "seed {seed}: two rows share a text");
        let taken = b.upstreams[&up()].taken.len();
        assert!(
            taken >= sids.len() && taken <= sids.len() + doubts,
            "seed {seed}: {taken} of {} and {doubts}",
            sids.len()
        );
    }
}
