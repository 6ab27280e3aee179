//! Calls through the real loop, core and store; the edges are scripted.

use std::time::Duration;

use backroom::call::{CallRecord, Extension, Line};
use backroom::daemon::calls_setup::PlanGround;
use backroom::daemon::core::Command;
use backroom::sip::agent::{Binding, Route};
use backroom::sip::transaction::{Hop, Transport};
use backroom::store::{CallFilter, MessageFilter};
use backroom::trunk::TrunkEvent;
use backroom::types::{
    Address, CallId, DeviceId, EndCause, Identity, LegCommand, LegEvent, LineId, MediaCommand, MediaFacts,
    NumberKind, Offer, PhoneNumber, Progress, ShopId, Via, Wall,
};
use serde_json::{Map, Value, json};

use super::conversations::JANE;
use super::harness::*;

const STAFF: &str = "+12065550190";
const OUTSIDE: &str = "+12065550177";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Two phones and a trunk.
pub(crate) fn with_calls(id: &str) -> ShopPlan {
    let mut plan = shop(id);
    let extension = |number: &str, device: &str| Extension {
        number: number.to_owned(),
        name: None,
        devices: vec![DeviceId(format!("{id}-{device}"))],
        ring_s: 20,
        otherwise: None,
        direct: None,
        location: None,
        withhold: false,
    };
    let trunk = Line {
        id: LineId(format!("{id}-trunk")),
        number: PhoneNumber::parse(SHOP_NUMBER, None).ok(),
        channels: 4,
        reserve: None,
        pass_caller: false,
    };
    plan.calls = Some(PlanGround {
        lines: vec![trunk],
        extensions: vec![extension("101", "front"), extension("102", "back")],
        texts: true,
    });
    plan.settings.insert("staff".into(), json!([STAFF]));
    plan.settings.insert("calls.location".into(), json!("12 Main Street, ground floor"));
    plan
}

async fn one_shop() -> VirtualBox {
    VirtualBox::new(vec![with_calls("main")]).await
}

fn trunk() -> Via {
    Via::Line(LineId::from("main-trunk"))
}

fn front() -> Via {
    Via::Device(DeviceId::from("main-front"))
}

pub(crate) fn from_outside(number: &str) -> LegEvent {
    LegEvent::Offered(Offer {
        via: trunk(),
        from: Identity {
            address: PhoneNumber::parse(number, None).ok().map(Address::Phone),
            ..Identity::default()
        },
        kind: NumberKind::Unknown,
        to: SHOP_NUMBER.into(),
        emergency: false,
    })
}

fn from_phone(via: Via, to: &str) -> LegEvent {
    LegEvent::Offered(Offer {
        via,
        from: Identity::default(),
        kind: NumberKind::Unknown,
        to: to.into(),
        emergency: false,
    })
}

fn hung_up() -> LegEvent {
    LegEvent::Ended { cause: EndCause::Hangup }
}

async fn records_of(b: &VirtualBox, shop: &str) -> Vec<CallRecord> {
    let shop = ShopId::from(shop);
    let filter = CallFilter { limit: 10_000, ..CallFilter::default() };
    let read = move |r: &backroom::store::Reader| r.calls(&shop, &filter);
    let mut records = b.store().read_after_writes(read).await.unwrap();
    records.reverse();
    records
}

async fn records(b: &VirtualBox) -> Vec<CallRecord> {
    records_of(b, "main").await
}

fn cause(record: &CallRecord) -> Option<EndCause> {
    record.ended.map(|(_, cause)| cause)
}

/// Jane calls, the front desk answers.
async fn talking(b: &mut VirtualBox) -> String {
    b.leg("jane", from_outside(JANE)).await;
    let desk = b.dialled(&front());
    b.leg(&desk, LegEvent::Progress(Progress::Ringing)).await;
    b.leg(&desk, LegEvent::Answered).await;
    assert!(b.was_told("jane", &LegCommand::Answer));
    desk
}

#[tokio::test]
async fn a_call_has_its_row_from_the_first_ring_and_one_cause_at_its_end() {
    let mut b = one_shop().await;
    b.leg("jane", from_outside(JANE)).await;
    let [record] = &records(&b).await[..] else { panic!() };
    assert_eq!((record.ended, record.answered), (None, None));
    let desk = b.dialled(&front());
    b.advance(seconds(3)).await;
    b.leg(&desk, LegEvent::Answered).await;
    assert!(records(&b).await[0].answered.is_some());
    assert!(b.sound.iter().any(|c| matches!(c, MediaCommand::Join(..))), "{:?}", b.sound);
    b.advance(seconds(83)).await;
    b.leg("jane", hung_up()).await;
    assert!(b.was_told(&desk, &LegCommand::Hangup { cause: EndCause::Hangup }));
    let [record] = &records(&b).await[..] else { panic!() };
    assert_eq!(cause(record), Some(EndCause::Hangup));
    assert_eq!((record.ring, record.talk), (seconds(3), seconds(83)));
    assert_eq!(b.ask(Command::Status).await.unwrap()["shops"]["main"]["calls"]["calls"], 0);
}

#[tokio::test]
async fn what_was_measured_of_a_leg_that_the_box_hung_up_is_in_the_record() {
    let mut b = one_shop().await;
    let desk = talking(&mut b).await;
    let facts = |received| MediaFacts { codec: "PCMU".into(), received, ..MediaFacts::default() };
    b.leg("jane", LegEvent::Media(facts(100))).await;
    b.leg("jane", hung_up()).await;
    b.leg(&desk, LegEvent::Media(facts(99))).await;
    b.leg(&desk, hung_up()).await;
    let [record] = &records(&b).await[..] else { panic!() };
    let received: Vec<Option<u64>> =
        record.legs.iter().map(|l| l.media.as_ref().map(|m| m.received)).collect();
    assert_eq!(received.iter().flatten().sum::<u64>(), 199, "{received:?}");
    assert_eq!(cause(record), Some(EndCause::Hangup));
    assert_eq!(b.ask(Command::Status).await.unwrap()["shops"]["main"]["calls"]["stray_events"], 0);
}

#[tokio::test]
async fn a_call_that_a_power_cut_ends_has_the_cause_crash() {
    let mut b = one_shop().await;
    let desk = talking(&mut b).await;
    b.power_cut().await;
    b.power_back(seconds(30), true).await;
    let [record] = &records(&b).await[..] else { panic!() };
    assert_eq!(cause(record), Some(EndCause::Crash));
    assert!(record.legs.iter().all(|leg| leg.ended.is_some()));
    // What is left of it in the network is told to end.
    b.leg(&desk, LegEvent::MediaSilent).await;
    assert!(b.was_told(&desk, &LegCommand::Hangup { cause: EndCause::Elsewhere }));
    assert_eq!(records(&b).await.len(), 1);
}

#[tokio::test]
async fn calls_end_in_order_when_the_box_stops() {
    let mut b = one_shop().await;
    talking(&mut b).await;
    b.stop_in_order(Vec::new()).await;
    b.start().await;
    let [record] = &records(&b).await[..] else { panic!() };
    assert_eq!(cause(record), Some(EndCause::Stopped));
}

#[tokio::test]
async fn staff_end_a_call_by_its_id() {
    let mut b = one_shop().await;
    let desk = talking(&mut b).await;
    let (shop, call) = (ShopId::from("main"), records(&b).await[0].id.clone());
    b.ask(Command::HangUp { shop: shop.clone(), call: call.clone() }).await.unwrap();
    assert!(b.was_told(&desk, &LegCommand::Hangup { cause: EndCause::Stopped }));
    assert!(b.was_told("jane", &LegCommand::Hangup { cause: EndCause::Stopped }));
    assert_eq!(cause(&records(&b).await[0]), Some(EndCause::Stopped));
    assert!(b.ask(Command::HangUp { shop, call }).await.is_err());
    let nobody = CallId::from("CAnone");
    assert!(b.ask(Command::HangUp { shop: ShopId::from("main"), call: nobody }).await.is_err());
}

/// Jane calls and gives up after a while.
async fn missed(b: &mut VirtualBox) {
    b.leg("jane", from_outside(JANE)).await;
    let desk = b.dialled(&front());
    b.leg(&desk, LegEvent::Progress(Progress::Ringing)).await;
    b.advance(seconds(12)).await;
    b.leg("jane", LegEvent::Ended { cause: EndCause::Cancelled }).await;
}

#[tokio::test]
async fn who_was_missed_is_texted_and_the_menu_behind_it_hears_the_answer() {
    let mut b = one_shop().await;
    b.knows(JANE);
    missed(&mut b).await;
    let heard = b.heard(JANE);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    assert_eq!(heard[0], "Sorry we missed your call to Shop main. You can text us here instead.");
    assert!(heard[1].contains("1. Troubleshoot Equipment"), "{}", heard[1]);
    b.text(JANE, "2").await;
    assert!(b.one(JANE).contains("Honda HRX0142"), "the equipment to be served");
    // Once in a while is enough.
    b.advance(seconds(60)).await;
    missed(&mut b).await;
    assert_eq!(b.heard(JANE), [""; 0]);
    assert_eq!(records(&b).await.len(), 2);
}

#[tokio::test]
async fn who_said_stop_is_not_texted_for_a_missed_call() {
    let mut b = one_shop().await;
    b.text(JANE, "STOP").await;
    b.heard(JANE);
    missed(&mut b).await;
    assert_eq!(b.heard(JANE), [""; 0]);
    let filter = MessageFilter { person: Some(JANE.into()), limit: 10, ..MessageFilter::default() };
    let rows =
        b.store().read_after_writes(move |r| r.messages(&ShopId::from("main"), &filter)).await.unwrap();
    assert_eq!(rows.len(), 2, "STOP and its confirmation: {rows:#?}");
}

#[tokio::test]
async fn a_missed_call_in_the_middle_of_a_conversation_does_not_start_another() {
    let mut b = one_shop().await;
    b.knows(JANE);
    b.text(JANE, "Hello").await;
    b.text(JANE, "2").await;
    assert!(b.heard(JANE).last().unwrap().contains("Honda HRX0142"));
    missed(&mut b).await;
    assert!(b.one(JANE).starts_with("Sorry we missed your call"));
    b.text(JANE, "1").await;
    assert!(b.one(JANE).contains("problem"), "the question before goes on");
}

#[tokio::test]
async fn people_who_have_the_conversation_hear_that_their_customer_called() {
    let mut b = one_shop().await;
    b.knows(JANE);
    for text in ["Hello", "7", "1"] {
        b.text(JANE, text).await;
    }
    b.heard(JANE);
    b.heard(STAFF);
    missed(&mut b).await;
    assert!(b.one(JANE).starts_with("Sorry we missed your call"));
    assert!(b.one(STAFF).ends_with("called just now, and nobody took the call."));
}

#[tokio::test]
async fn a_call_for_help_goes_out_at_once_and_the_people_of_the_shop_learn_where() {
    let mut b = one_shop().await;
    let line = LineId::from("main-sim");
    b.mute(&line, true);
    for n in 0..5 {
        let to = format!("+1206555020{n}");
        b.ask(Command::Send { shop: ShopId::from("main"), to, body: "later".into() }).await.unwrap();
    }
    b.leg("help", from_phone(front(), "9911")).await;
    let out = b.dialled(&trunk());
    let dial = b.told.iter().find(|(leg, _)| leg.as_str() == out).map(|(_, c)| c.clone()).unwrap();
    let LegCommand::Dial { target, emergency, ring_for, .. } = dial else { panic!("{dial:?}") };
    assert_eq!((target.as_str(), emergency, ring_for), ("911", true, None));
    b.mute(&line, false);
    b.power_cut().await;
    b.power_back(seconds(1), true).await;
    let order: Vec<&str> = b.order_of_texts().iter().map(|t| t.to.as_str()).collect();
    assert_eq!(
        order.iter().position(|to| *to == STAFF),
        Some(1),
        "only what the modem had goes before: {order:?}"
    );
    let text = b.one(STAFF);
    for word in ["EMERGENCY CALL: 911", "extension 101", "12 Main Street, ground floor", "(206) 555-0100"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
    let record = &records(&b).await[0];
    assert_eq!(record.emergency.as_ref().map(|e| e.number.as_str()), Some("911"));
}

#[tokio::test]
async fn the_days_caps_are_remembered_over_a_restart_and_forgotten_at_midnight() {
    let mut plan = with_calls("main");
    let caps = json!({ "caps": { "shop": { "calls": 2, "minutes": 100, "spend": 10_000 } } });
    plan.settings.insert("calls.plan".into(), caps);
    let mut b = VirtualBox::new(vec![plan]).await;
    for n in 0..2 {
        let phone = format!("phone{n}");
        b.leg(&phone, from_phone(front(), OUTSIDE)).await;
        let out = b.dialled(&trunk());
        b.leg(&out, LegEvent::Answered).await;
        b.leg(&out, hung_up()).await;
    }
    b.power_cut().await;
    b.power_back(seconds(60), true).await;
    b.leg("third", from_phone(front(), OUTSIDE)).await;
    assert_eq!(cause(records(&b).await.last().unwrap()), Some(EndCause::Capped));
    // It is ten in the morning in the shop: fourteen hours to midnight.
    b.advance(Duration::from_secs(14 * 3600)).await;
    b.told.clear();
    b.leg("fourth", from_phone(front(), OUTSIDE)).await;
    b.dialled(&trunk());
}

#[tokio::test]
async fn outside_business_hours_and_on_holidays_the_plan_says_who_rings() {
    let mut plan = with_calls("main");
    plan.settings.insert(
        "calls.plan".into(),
        json!({ "inbound": [{ "open": { "extension": "101" }, "closed": { "extension": "102" },
            "holiday": "nobody" }] }),
    );
    plan.settings.insert("holidays".into(), json!("2026-11-23"));
    let mut b = VirtualBox::new(vec![plan]).await;
    let back = Via::Device(DeviceId::from("main-back"));
    let dials = |b: &VirtualBox, to: &Via| {
        b.told.iter().filter(|(_, c)| matches!(c, LegCommand::Dial { via, .. } if via == to)).count()
    };
    b.leg("day", from_outside(JANE)).await;
    assert_eq!((dials(&b, &front()), dials(&b, &back)), (1, 0));
    // Friday, ten in the morning, until past six.
    b.advance(Duration::from_secs(8 * 3600 + 120)).await;
    b.leg("night", from_outside(OUTSIDE)).await;
    assert_eq!((dials(&b, &front()), dials(&b, &back)), (1, 1));
    // Monday is a holiday.
    b.advance(Duration::from_secs(64 * 3600)).await;
    b.leg("holiday", from_outside("+12065550178")).await;
    assert_eq!((dials(&b, &front()), dials(&b, &back)), (1, 1));
}

#[tokio::test]
async fn two_shops_share_a_box_and_nothing_of_their_calls() {
    let mut b = VirtualBox::new(vec![with_calls("main"), with_calls("other")]).await;
    b.leg("jane", from_outside(JANE)).await;
    b.leg("inside", from_phone(Via::Device(DeviceId::from("other-front")), "102")).await;
    let devices: Vec<&Via> = b
        .told
        .iter()
        .filter_map(|(_, c)| match c {
            LegCommand::Dial { via, .. } => Some(via),
            _ => None,
        })
        .collect();
    let device = |id: &str| Via::Device(DeviceId::from(id));
    assert_eq!(devices, [&device("main-front"), &device("main-back"), &device("other-back")]);
    b.leg("inside", hung_up()).await;
    assert_eq!(records_of(&b, "other").await.len(), 1);
    let [main] = &records(&b).await[..] else { panic!() };
    assert_eq!(main.ended, None);
    let other = ShopId::from("other");
    let refused = b.ask(Command::HangUp { shop: other, call: main.id.clone() }).await;
    assert!(refused.is_err(), "a shop does not end another's calls");
    b.leg("stranger", from_phone(device("nobody-knows"), "101")).await;
    assert!(b.was_told("stranger", &LegCommand::Hangup { cause: EndCause::Rejected }));
}

#[tokio::test]
async fn calls_go_on_while_the_disk_is_held_up_and_their_records_follow() {
    let mut b = one_shop().await;
    b.knows(JANE);
    let desk = talking(&mut b).await;
    b.store().set_max_bytes(Some(1));
    // Something has to be written before anybody notices.
    b.leg("fill", from_outside(OUTSIDE)).await;
    for n in 0..300 {
        b.leg(&format!("c{n}"), from_outside(OUTSIDE)).await;
        b.leg(&format!("c{n}"), LegEvent::Ended { cause: EndCause::Cancelled }).await;
    }
    assert!(b.ask(Command::Status).await.unwrap()["storage"]["stalled"].is_string());
    b.text(JANE, "Hello").await;
    assert_eq!(b.heard(JANE), [""; 0], "texts wait");
    b.leg("jane", hung_up()).await;
    assert!(b.was_told(&desk, &LegCommand::Hangup { cause: EndCause::Hangup }), "calls do not");
    b.told.clear();
    b.leg("late", from_outside(OUTSIDE)).await;
    b.dialled(&front());
    b.store().set_max_bytes(None);
    let records = records(&b).await;
    b.pump().await;
    let of = |cause_: Option<EndCause>| records.iter().filter(|r| cause(r) == cause_).count();
    assert_eq!(of(Some(EndCause::Cancelled)), 300);
    assert_eq!(of(Some(EndCause::Hangup)), 1);
    assert!(b.one(JANE).contains("1. Troubleshoot Equipment"));
}

#[tokio::test]
async fn when_the_edge_dies_its_calls_end_and_the_next_life_takes_new_ones() {
    let mut b = one_shop().await;
    talking(&mut b).await;
    b.trunk_dies().await;
    assert_eq!(cause(&records(&b).await[0]), Some(EndCause::LineDown));
    let line = LineId::from("main-trunk");
    b.trunk_says(TrunkEvent::Line { line, up: true, why: "registered".into() }).await;
    b.told.clear();
    b.leg("again", from_outside(JANE)).await;
    b.dialled(&front());
}

#[tokio::test]
async fn phones_are_known_again_after_a_power_cut() {
    let mut b = one_shop().await;
    let binding = Binding {
        contact: "sip:front@192.168.1.20:5062".parse().unwrap(),
        route: Route {
            hop: Hop { addr: "192.168.1.20:5062".parse().unwrap(), transport: Transport::Udp },
            local: "192.168.1.2:5060".parse().unwrap(),
        },
        call_id: "a84b4c76e66710".to_owned(),
        cseq: 7,
        expires: Wall(BEGIN + 3_600_000),
        q: 1000,
        path: Vec::new(),
        instance: None,
        reg_id: None,
        agent: Some("Yealink".to_owned()),
    };
    let device = DeviceId::from("main-front");
    b.trunk_says(TrunkEvent::Bindings(device.clone(), vec![binding.clone()])).await;
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    assert_eq!(b.bindings(), [(device.clone(), vec![binding])]);
    let status: Value = b.ask(Command::Status).await.unwrap();
    assert_eq!(status["shops"]["main"]["phones"]["main-front"][0]["agent"], "Yealink");
    b.trunk_says(TrunkEvent::Bindings(device.clone(), Vec::new())).await;
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
    assert_eq!(b.bindings(), []);
}

#[tokio::test]
async fn a_plan_that_names_what_is_not_there_is_refused_and_a_good_one_counts_at_once() {
    let mut b = one_shop().await;
    let set = |plan: Value| Command::Set {
        shop: ShopId::from("main"),
        values: Map::from_iter([("calls.plan".to_owned(), plan)]),
        by: "owner".to_owned(),
    };
    let refused = b.ask(set(json!({ "inbound": [{ "open": { "extension": "999" } }] }))).await.unwrap_err();
    assert!(refused.contains("999"), "{refused}");
    b.ask(set(json!({ "inbound": [{ "open": { "extension": "102" } }] }))).await.unwrap();
    b.leg("jane", from_outside(JANE)).await;
    b.dialled(&Via::Device(DeviceId::from("main-back")));
}

#[tokio::test]
async fn when_too_much_waits_for_the_disk_only_calls_for_help_begin() {
    let mut b = one_shop().await;
    b.store().set_max_bytes(Some(1));
    let mut refused = 0;
    for n in 0..7000 {
        let leg = format!("c{n}");
        b.leg(&leg, from_outside(OUTSIDE)).await;
        if b.was_told(&leg, &LegCommand::Hangup { cause: EndCause::Unavailable }) {
            refused += 1;
        } else {
            b.leg(&leg, LegEvent::Ended { cause: EndCause::Cancelled }).await;
        }
        b.told.clear();
    }
    assert!((1000..6000).contains(&refused), "{refused} were refused");
    b.leg("help", from_phone(front(), "911")).await;
    let out = b.dialled(&trunk());
    b.leg(&out, LegEvent::Answered).await;
    assert!(b.was_told("help", &LegCommand::Answer));
    b.store().set_max_bytes(None);
    records(&b).await;
    b.pump().await;
    b.leg("after", from_outside(OUTSIDE)).await;
    b.dialled(&front());
    let records = records(&b).await;
    assert_eq!(records.iter().filter(|r| cause(r) == Some(EndCause::Cancelled)).count(), 7000 - refused);
}
