//! What goes wrong in other people's hands: lines that come and go, texts that come twice, clocks that were wrong,
//! stops at a bad moment.

use std::time::Duration;

use backroom::at::pdu::{self, DeliverOptions, Timestamp};
use backroom::daemon::core::Command;
use backroom::store::{FlowRow, MessageFilter, MessageStatus, Op, Transaction};
use backroom::types::{
    Address, Capabilities, LineEvent, LineId, LineState, Mono, Now, PartId, PhoneNumber, Registration,
    SendResult, ShopId, Wall,
};
use serde_json::json;

use super::conversations::{JANE, TO_DROP_OFF};
use super::harness::*;

const JOE: &str = "+12065550143";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn main_shop() -> ShopId {
    ShopId::from("main")
}

fn line() -> LineId {
    LineId::from("main-sim")
}

fn second() -> LineId {
    LineId::from("main-sim2")
}

async fn two_lines() -> VirtualBox {
    let mut plan = shop("main");
    plan.second_line = Some(second());
    VirtualBox::new(vec![plan]).await
}

async fn send(b: &mut VirtualBox, to: &str, body: &str) {
    let command = Command::Send { shop: main_shop(), to: to.into(), body: body.into() };
    b.ask(command).await.unwrap();
}

fn registered(how: Registration) -> LineEvent {
    LineEvent::State(LineState { registration: how, ..LineState::default() })
}

async fn stored(b: &VirtualBox, person: &str) -> Vec<(MessageStatus, String)> {
    let filter = MessageFilter { person: Some(person.into()), limit: 1000, ..MessageFilter::default() };
    let mut rows = b.store().read(move |r| r.messages(&main_shop(), &filter)).await.unwrap();
    rows.sort_by_key(|r| r.created);
    rows.into_iter().map(|r| (r.status, r.body)).collect()
}

fn parts_of(body: &str, reference: u16) -> Vec<String> {
    let from = Address::Phone(PhoneNumber::parse(JANE, None).unwrap());
    let timestamp = Timestamp { utc: Wall(BEGIN), quarters: -32 };
    let options = DeliverOptions { timestamp, reference, wide: false, class: None };
    pdu::deliver(&from, body, &options).unwrap().into_iter().map(|p| p.hex).collect()
}

#[tokio::test]
async fn stop_holds_however_a_flow_writes_the_number() {
    let mut b = VirtualBox::one_shop().await;
    b.text(JANE, "STOP").await;
    b.one(JANE);
    let offset = json!({ "x": 0, "y": 0 });
    let definition = json!({
        "description": "tells somebody else", "initial_state": "Trigger", "flags": { "allow_concurrent_calls": true },
        "states": [
            { "name": "Trigger", "type": "trigger", "properties": { "offset": offset }, "transitions": [
                { "event": "incomingMessage", "next": "tell" }, { "event": "incomingCall" },
                { "event": "incomingConversationMessage" }, { "event": "incomingRequest" },
                { "event": "incomingParent" } ] },
            { "name": "tell", "type": "send-message",
              "transitions": [ { "event": "sent" }, { "event": "failed" } ],
              "properties": { "offset": offset, "service": "", "channel": "", "from": "{{flow.channel.address}}",
                              "to": "(206) 555-0142", "body": "Come back, Jane" } },
        ],
    });
    let row = FlowRow {
        shop: main_shop(),
        name: "Teller".into(),
        sid: "FWteller".into(),
        revision: 1,
        definition: definition.to_string(),
        published: true,
        by: "owner".into(),
        wall: Wall(BEGIN),
    };
    b.store().submit(Transaction { ops: vec![Op::PutFlow(row)] }).unwrap();
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    let set = |flow: &str| {
        let values = json!({ "flows.main": flow }).as_object().cloned().unwrap();
        Command::Set { shop: main_shop(), values, by: "owner".into() }
    };
    assert!(b.ask(set("Tellr")).await.unwrap_err().contains("no published flow"));
    b.ask(set("Teller")).await.unwrap();
    b.text(JOE, "hello").await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    assert!(stored(&b, JANE).await.contains(&(MessageStatus::Failed, "Come back, Jane".into())));
}

#[tokio::test]
async fn a_customer_whom_only_the_dead_line_knew_is_texted_by_the_other_one_days_later() {
    let mut b = two_lines().await;
    b.text(JANE, "HELP").await;
    b.one(JANE);
    b.unplug(&line());
    b.pump().await;
    b.advance(seconds(3600)).await;
    send(&mut b, JANE, "Your mower is ready").await;
    b.advance(seconds(60)).await;
    assert_eq!(b.one(JANE), "Your mower is ready");
}

#[tokio::test]
async fn a_question_that_waits_on_a_dead_line_does_not_make_the_shop_deaf_on_the_other() {
    let mut b = two_lines().await;
    b.knows(JANE);
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    for text in TO_DROP_OFF.iter().take(4) {
        b.text(JANE, text).await;
    }
    b.dealer.mood = DealerMood::Down;
    for text in ["1", "1", "2", "1"] {
        b.text(JANE, text).await;
    }
    b.advance(seconds(3600)).await;
    b.unplug(&line());
    b.pump().await;
    b.advance(seconds(60)).await;
    // Now the order is refused, and the box asks what Jane would like, on the line that she knew.
    b.dealer.mood = DealerMood::Refuses;
    b.advance(seconds(700)).await;
    b.heard(JANE);
    b.text_on(&second(), JANE, "Hello?").await;
    b.one(JANE);
}

#[tokio::test]
async fn a_line_without_a_network_gives_its_texts_to_the_other() {
    let mut b = two_lines().await;
    b.text(JANE, "HELP").await;
    b.one(JANE);
    b.tell(&line(), registered(Registration::Denied));
    b.pump().await;
    send(&mut b, JANE, "Your mower is ready").await;
    b.advance(seconds(40)).await;
    assert_eq!(b.one(JANE), "Your mower is ready");
}

#[tokio::test]
async fn an_answer_that_the_network_kept_back_comes_before_goodbye() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.text(JANE, "Hello").await;
    b.one(JANE);
    b.advance(seconds(300)).await;
    b.tell(&line(), registered(Registration::Searching));
    b.advance(seconds(1200)).await;
    b.tell(&line(), registered(Registration::Home));
    b.advance(seconds(5)).await;
    b.text(JANE, "2").await;
    let heard = b.heard(JANE);
    assert!(heard.len() == 1 && heard[0].contains("HRX0142"), "{heard:#?}");
    // And who did not answer is told goodbye, once.
    b.advance(seconds(600)).await;
    b.tell(&line(), registered(Registration::Searching));
    b.advance(seconds(1200)).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    b.tell(&line(), registered(Registration::Home));
    b.advance(seconds(60)).await;
    b.one(JANE);
}

#[tokio::test]
async fn a_part_that_the_network_brought_twice_is_no_text_of_its_own() {
    let mut b = VirtualBox::one_shop().await;
    let parts = parts_of(&"The pull cord is stuck. ".repeat(10), 9);
    assert_eq!(parts.len(), 2);
    for part in [&parts[0], &parts[0], &parts[1]] {
        b.drop_pdu(&line(), part.clone());
        b.pump().await;
    }
    b.one(JANE);
    for _ in 0..2 {
        b.power_cut().await;
        b.power_back(seconds(5), true).await;
        b.advance(seconds(700)).await;
    }
    let texts = stored(&b, JANE).await;
    let received = texts.iter().filter(|(status, _)| *status == MessageStatus::Received).count();
    assert_eq!(received, 1, "{texts:#?}");
}

#[tokio::test]
async fn parts_of_a_line_that_was_renamed_are_one_text_once() {
    let mut b = VirtualBox::one_shop().await;
    b.drop_pdu(&line(), parts_of(&"The pull cord is stuck. ".repeat(10), 9)[0].clone());
    b.pump().await;
    b.power_cut().await;
    b.plan().line = LineId::from("main-new");
    for _ in 0..3 {
        b.power_back(seconds(5), true).await;
        b.advance(seconds(700)).await;
        b.power_cut().await;
    }
    b.power_back(seconds(5), true).await;
    // The menu, and goodbye.
    assert_eq!(b.heard(JANE).len(), 2);
}

#[tokio::test]
async fn an_order_that_a_copy_says_is_to_be_posted_may_have_been_posted() {
    for (capabilities, orders) in [
        (Capabilities { idempotency_key: false, client_reference: true }, 1),
        (Capabilities { idempotency_key: true, client_reference: false }, 1),
        (Capabilities::default(), 0),
    ] {
        let mut b = VirtualBox::one_shop().await;
        b.dealer.capabilities = capabilities;
        b.knows(JANE);
        b.power_cut().await;
        b.power_back(seconds(5), true).await;
        for text in TO_DROP_OFF.iter().take(4) {
            b.text(JANE, text).await;
        }
        b.dealer.mood = DealerMood::Down;
        for text in ["1", "1", "2", "1"] {
            b.text(JANE, text).await;
        }
        assert!(b.dealer.orders.is_empty());
        b.power_cut().await;
        b.dealer.mood = DealerMood::Up;
        b.restored = true;
        b.power_back(seconds(5), true).await;
        b.advance(seconds(60)).await;
        assert_eq!(b.dealer.orders.len(), orders, "{capabilities:?}");
    }
}

#[tokio::test]
async fn a_text_that_was_with_the_modem_at_an_orderly_stop_is_not_in_doubt() {
    for accepted in [true, false] {
        let mut b = VirtualBox::one_shop().await;
        b.mute(&line(), true);
        let command = Command::Send { shop: main_shop(), to: JANE.into(), body: "Ready".into() };
        let answer = b.ask(command).await.unwrap();
        let id = answer["id"].as_str().unwrap().into();
        let result = match accepted {
            true => SendResult::Accepted { reference: 1 },
            false => SendResult::NotTried { why: "shutting down".into() },
        };
        let done = LineEvent::SendDone { part: PartId { message: id, number: 1 }, result };
        b.stop_in_order(vec![(line(), done)]).await;
        b.mute(&line(), false);
        b.heard(JANE);
        b.power_back(seconds(5), true).await;
        b.advance(seconds(10)).await;
        assert_eq!(stored(&b, JANE).await, [(MessageStatus::Sent, "Ready".into())]);
        let again = b.heard(JANE).len();
        assert_eq!(again, usize::from(!accepted));
    }
}

#[tokio::test]
async fn an_order_that_was_with_the_dealer_at_an_orderly_stop_is_not_in_doubt() {
    let mut b = VirtualBox::one_shop().await;
    b.dealer.capabilities = Capabilities::default();
    b.knows(JANE);
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    for text in TO_DROP_OFF {
        b.text(JANE, text).await;
    }
    b.dealer.mood = DealerMood::Silent;
    b.text(JANE, "1").await;
    b.refuse_orders_at_stop = true;
    b.stop_in_order(Vec::new()).await;
    b.dealer.mood = DealerMood::Up;
    b.power_back(seconds(5), true).await;
    b.advance(seconds(60)).await;
    assert_eq!(b.dealer.orders.len(), 1);
}

#[tokio::test]
async fn a_wait_is_never_longer_than_it_was_whatever_the_clock_said() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    let now = backroom::daemon::clock::Clock::now(&*b.clock);
    // Ten years too late, and believed.
    b.clock.set(Now { wall: now.wall + seconds(315_360_000), ..now });
    b.text(JANE, "Hello").await;
    b.one(JANE);
    b.power_cut().await;
    b.clock.set(Now { mono: Mono(1), wall: now.wall, wall_sure: true });
    b.power_back(seconds(5), true).await;
    b.advance(seconds(1000)).await;
    b.one(JANE);
}

#[tokio::test]
async fn a_line_that_is_up_again_does_not_sit_out_its_pause() {
    let mut b = VirtualBox::one_shop().await;
    b.mute(&line(), true);
    for pause in 0..8 {
        let command = Command::Send { shop: main_shop(), to: JANE.into(), body: format!("Ready {pause}") };
        let id = b.ask(command).await.unwrap()["id"].as_str().unwrap().into();
        let part = PartId { message: id, number: 1 };
        if pause == 0 {
            for _ in 0..6 {
                b.owed(&line(), part.clone(), SendResult::NotTried { why: "the line is not up".into() });
                b.advance(seconds(61)).await;
            }
            b.owed(&line(), part, SendResult::NotTried { why: "the line is not up".into() });
            b.pump().await;
        }
    }
    b.mute(&line(), false);
    b.heard(JANE);
    b.tell(&line(), LineEvent::Down { why: "unplugged".into() });
    b.pump().await;
    b.line_up(&line());
    b.pump().await;
    assert_eq!(b.heard(JANE).len(), 8);
}

#[tokio::test]
async fn a_number_that_the_network_refuses_for_the_moment_holds_up_nobody_else() {
    let mut b = VirtualBox::one_shop().await;
    b.mute(&line(), true);
    let command = Command::Send { shop: main_shop(), to: JOE.into(), body: "Ready".into() };
    let id = b.ask(command).await.unwrap()["id"].as_str().unwrap().into();
    send(&mut b, JANE, "Ready").await;
    send(&mut b, JANE, "Really").await;
    b.mute(&line(), false);
    b.heard(JOE);
    let refused = SendResult::Rejected { code: "+CMS ERROR: 500".into(), temporary: true };
    b.owed(&line(), PartId { message: id, number: 1 }, refused);
    b.pump().await;
    b.advance(seconds(3)).await;
    assert_eq!(b.order_of_texts().iter().map(|c| c.to.as_str()).collect::<Vec<_>>(), [JOE, JANE, JANE, JOE]);
    assert_eq!(b.heard(JANE), ["Ready", "Really"]);
}

#[tokio::test]
async fn a_sim_that_does_not_tell_its_name_this_time_holds_no_new_text() {
    let mut b = VirtualBox::one_shop().await;
    b.keep_slots(&line(), true);
    b.text(JANE, "Hello").await;
    b.one(JANE);
    b.power_cut().await;
    b.nameless_sims = true;
    b.power_back(seconds(5), true).await;
    assert_eq!(b.heard(JANE), Vec::<String>::new());
    let texts = stored(&b, JANE).await;
    let received = texts.iter().filter(|(status, _)| *status == MessageStatus::Received).count();
    assert_eq!(received, 1, "{texts:#?}");
}

#[tokio::test]
async fn a_shop_without_a_dealer_has_a_friendly_path() {
    let mut plan = shop("main");
    plan.has_dealer = false;
    let mut b = VirtualBox::new(vec![plan]).await;
    b.text(JANE, "Hello").await;
    for text in ["2", "1", "x", "4"] {
        b.text(JANE, text).await;
        let heard = b.heard(JANE);
        assert!(!heard.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn whatever_is_texted_is_answered() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    for body in
        ["", "   ", "\u{1f600}", "\0", &"x".repeat(3000), "#12 hi", "#1 DONE", "done", "{{ 'a' | upcase }}"]
    {
        b.text(JANE, body).await;
        let heard = b.heard(JANE);
        assert!(!heard.is_empty(), "{body:?}");
        b.text(JANE, "2").await;
        b.heard(JANE);
        b.text(JANE, body).await;
        let heard = b.heard(JANE);
        assert!(!heard.is_empty(), "{body:?} in the middle");
        b.text(JANE, "MENU").await;
        b.heard(JANE);
        b.advance(seconds(31)).await;
    }
    b.text(SHOP_NUMBER, "Hello").await;
    assert_eq!(b.heard(SHOP_NUMBER), Vec::<String>::new());
}

/// xorshift64*: the same story for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.roll(list.len() as u64)).unwrap()]
    }
}

const TEXTS: [&str; 14] = [
    "Hello",
    "1",
    "2",
    "1",
    "2",
    "3",
    "4",
    "5",
    "MENU",
    "x",
    "12 Oak Street, Seattle, WA 98101",
    "6",
    "HELP",
    "1",
];

const ORDERING: [&str; 10] = ["MENU", "2", "1", "Pull cord is stuck", "1", "1", "2", "1", "1", "x"];

async fn a_bad_day(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut b = two_lines().await;
    b.dealer.capabilities = dice.of(&[
        Capabilities { idempotency_key: true, client_reference: false },
        Capabilities { idempotency_key: false, client_reference: true },
        Capabilities::default(),
    ]);
    let people: Vec<String> = (0..4).map(|n| format!("+1206555030{n}")).collect();
    for person in people.iter().take(3) {
        b.knows(person);
    }
    let lines = [line(), second()];
    let mut deaf = [false, false];
    let mut texts = vec![0; people.len()];
    let mut step = vec![0; people.len()];
    for _ in 0..200 {
        let at = usize::from(dice.roll(3) == 0);
        match dice.roll(48) {
            0 => b.unplug(&lines[at]),
            1..=2 => lines.iter().for_each(|line| b.plug_in(line)),
            3 if !deaf[at] => {
                deaf[at] = true;
                b.tell(&lines[at], registered(Registration::Searching));
            }
            4 => {
                for (line, deaf) in lines.iter().zip(&mut deaf).filter(|(_, deaf)| **deaf) {
                    *deaf = false;
                    b.tell(line, registered(Registration::Home));
                }
            }
            5 => {
                b.dealer.mood = dice.of(&[
                    DealerMood::Down,
                    DealerMood::Refuses,
                    DealerMood::TakesAndDies,
                    DealerMood::Silent,
                    DealerMood::Up,
                ]);
            }
            6 => b.dealer.mood = DealerMood::Up,
            7 => {
                b.power_cut().await;
                deaf = [false, false];
                b.power_back(seconds(1 + dice.roll(2000)), dice.roll(4) > 0).await;
            }
            8 => b.fuse = Some(b.taken + usize::try_from(dice.roll(6)).unwrap()),
            9 => b.refuse_next(&lines[at], 1 + usize::try_from(dice.roll(4)).unwrap()),
            10..=12 => b.advance(seconds(1 + dice.roll(60))).await,
            13 => b.advance(seconds(dice.roll(1500))).await,
            _ if deaf[at] => {}
            _ => {
                let who = usize::try_from(dice.roll(4)).unwrap();
                texts[who] += 1;
                // Most go on with what they came for, so that orders are made on bad days too.
                let text = match dice.roll(6) {
                    0 => dice.of(&TEXTS),
                    _ => ORDERING.get(step[who]).copied().unwrap_or("Hello"),
                };
                step[who] = (step[who] + 1) % ORDERING.len();
                b.drop_in(&lines[at], &people[who], text);
            }
        }
        if b.fuse.is_some() {
            deaf = [false, false];
        }
        b.pump().await;
    }
    // The sun comes out.
    b.fuse = None;
    b.dealer.mood = DealerMood::Up;
    for line in &lines {
        b.refuse_next(line, 0);
        b.tell(line, registered(Registration::Home));
        b.plug_in(line);
    }
    b.pump().await;
    b.advance(seconds(4 * 3600)).await;
    let status = b.ask(Command::Status).await.unwrap();
    let main = &status["shops"]["main"];
    assert_eq!((&main["queued"], &main["executions"]), (&json!(0), &json!(0)), "seed {seed}: {status:#}");
    assert_eq!(main["orders"]["open"], json!(0), "seed {seed}: {status:#}");
    let mut ids: Vec<&String> = b.dealer.orders.iter().map(|(id, _)| id).collect();
    let posted = ids.len();
    if std::env::var("BAD_DAYS").is_ok() {
        println!("seed {seed}: {posted} orders, {} texts", b.order_of_texts().len());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), posted, "seed {seed}: an order was made twice");
    for line in &lines {
        assert_eq!(b.slots_used(line), 0, "seed {seed}");
    }
    for (person, texts) in people.iter().zip(texts) {
        let said = stored(&b, person).await;
        let received = said.iter().filter(|(status, _)| *status == MessageStatus::Received).count();
        assert_eq!(received, texts, "seed {seed}: {said:#?}");
        b.heard(person);
        b.text(person, "MENU").await;
        let menu = b.heard(person).join("\n");
        assert!(
            menu.contains("Reply with a number") || menu.contains("could not find your"),
            "seed {seed} {person}: {menu}"
        );
        b.text(person, "2").await;
        let answer = b.heard(person);
        assert_eq!(answer.len(), 1, "seed {seed} {person}: {answer:#?}");
    }
}

#[tokio::test]
async fn after_any_bad_day_nothing_is_lost_doubled_or_stuck() {
    let (first, last) = match std::env::var("BAD_DAYS") {
        Ok(range) => range.split_once('-').map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).unwrap(),
        Err(_) => (0, 8),
    };
    for seed in first..last {
        a_bad_day(seed).await;
    }
}
