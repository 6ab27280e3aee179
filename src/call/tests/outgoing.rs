//! Calls that go out: which line, what is denied, what is counted, who is shown.

use super::*;
use crate::call::{Cap, Caps};
use crate::types::Cents;

fn identity(desk: &Desk, leg: &LegId) -> Identity {
    match desk.told(leg).remove(0) {
        LegCommand::Dial { identity, .. } => identity,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_cheapest_healthy_line_carries_a_call_and_the_next_one_when_it_fails() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "9-206-555-0111");
    let first = desk.one("trunk");
    desk.refuse(&first, EndCause::Unavailable);
    let second = desk.one("sim1");
    desk.say(&second, LegEvent::Answered);
    assert!(desk.talk(&phone, &second));
    desk.over(&phone, EndCause::Hangup);
    let record = desk.records(Moment::Ended).remove(0);
    assert_eq!(record.line, Some(LineId::from("sim1")));
    let spend: Vec<Cents> = record.charges().map(|c| c.spend).collect();
    assert_eq!(spend, [Cents(0), Cents(5)]);
    desk.is_empty();
}

#[test]
fn what_the_callee_says_is_final_and_no_other_line_is_asked() {
    for cause in [EndCause::Busy, EndCause::Declined, EndCause::NoAnswer, EndCause::BadNumber] {
        let mut desk = Desk::new();
        let phone = desk.phone("shop", "2065550111");
        let leg = desk.one("trunk");
        desk.refuse(&leg, cause);
        assert!(desk.dialled().is_empty());
        assert_eq!(desk.hung_up(&phone), Some(cause));
        desk.is_empty();
    }
}

#[test]
fn a_line_that_says_nothing_is_left_for_the_next_one() {
    let mut desk = Desk::new();
    desk.phone("shop", "2065550111");
    let mute = desk.one("trunk");
    desk.wait(15);
    assert_eq!(desk.hung_up(&mute), Some(EndCause::LineDown));
    let second = desk.one("sim1");
    desk.ring(&second);
    desk.wait(30);
    assert_eq!(desk.hung_up(&second), None);
}

#[test]
fn a_line_that_asks_to_be_left_alone_is() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "2065550111");
    let leg = desk.one("trunk");
    let rest = Some(Duration::from_secs(30));
    desk.say(&leg, LegEvent::Refused { cause: EndCause::Unavailable, retry_after: rest });
    desk.over(&phone, EndCause::Hangup);
    desk.dialled();
    let phone = desk.phone("shop", "2065550111");
    desk.one("sim1");
    desk.over(&phone, EndCause::Hangup);
    desk.wait(31);
    desk.phone("shop", "2065550111");
    desk.one("trunk");
}

#[test]
fn international_and_premium_numbers_are_barred_until_the_owner_allows_them() {
    for number in ["011442079460000", "+442079460000", "18765550111", "19005550111", "9118765550111"] {
        let mut desk = Desk::new();
        let phone = desk.phone("shop", number);
        assert!(desk.dialled().is_empty(), "{number}");
        assert!(matches!(desk.hung_up(&phone), Some(EndCause::Barred | EndCause::BadNumber)), "{number}");
        desk.is_empty();
    }
    let mut plan = data();
    plan.allow.international = vec!["+44".into()];
    let mut desk = Desk::with(plan);
    desk.phone("shop", "011 44 20 7946 0000");
    desk.one("trunk");
    desk.phone("desk", "+18765550111");
    assert!(desk.dialled().is_empty());
}

#[test]
fn the_lines_own_number_is_shown_and_withheld_when_asked() {
    let mut desk = Desk::new();
    desk.phone("shop", "2065550111");
    let leg = desk.one("trunk");
    let shown = identity(&desk, &leg);
    assert_eq!(shown.address.as_ref().map(Address::as_str), Some("+12065550100"));
    assert!(!shown.private);
    desk.phone("office", "2065550111");
    let leg = desk.one("trunk");
    assert!(identity(&desk, &leg).private, "the extension withholds");
    let mut desk = Desk::new();
    desk.phone("shop", "*672065550111");
    let leg = desk.one("trunk");
    assert!(identity(&desk, &leg).private, "the caller withholds for this call");
}

#[test]
fn a_colleague_sees_who_calls_and_a_stranger_who_withholds_is_not_shown() {
    let mut desk = Desk::new();
    desk.phone("desk", "102");
    let leg = desk.one("shop");
    let shown = identity(&desk, &leg);
    assert_eq!(shown.address, Some(Address::Short("101".into())));
    assert_eq!(shown.display.as_deref(), Some("Front desk"));
    let from = Identity {
        address: Some(Address::Phone(PhoneNumber::parse("+12065550142", None).unwrap())),
        display: Some("Jo".into()),
        private: true,
    };
    let via = Via::Line(LineId::from("trunk"));
    let to = Dialled::from("+12065550100");
    let offer = Offer { via, from, kind: NumberKind::Unknown, to, emergency: false };
    desk.say(&LegId::from("x"), LegEvent::Offered(offer));
    let leg = desk.one("shop");
    assert_eq!(identity(&desk, &leg), Identity { private: true, ..Identity::default() });
}

#[test]
fn a_call_ends_when_the_minute_that_would_pass_the_cap_begins() {
    let mut plan = data();
    plan.caps.user = Cap { calls: 100, minutes: 3, spend: Cents(1000) };
    let mut desk = Desk::with(plan);
    let phone = desk.phone("shop", "2065550111");
    let leg = desk.one("trunk");
    desk.say(&leg, LegEvent::Answered);
    desk.wait(179);
    assert_eq!(desk.ends(), []);
    desk.wait(2);
    assert_eq!(desk.ends(), [EndCause::Capped]);
    assert_eq!(desk.hung_up(&phone), Some(EndCause::Capped));
    let again = desk.phone("shop", "2065550111");
    assert_eq!(desk.hung_up(&again), Some(EndCause::Capped));
    desk.phone("desk", "2065550111");
    assert_eq!(desk.dialled().len(), 1, "somebody else's cap is his own");
    desk.control.handle_day();
    desk.phone("shop", "2065550111");
    assert_eq!(desk.dialled().len(), 1, "a new day");
}

#[test]
fn calls_at_a_time_are_bounded_for_a_user_and_for_a_line() {
    let mut plan = data();
    plan.caps = Caps { concurrent_user: 1, ..Caps::default() };
    let mut desk = Desk::with(plan);
    desk.phone("shop", "2065550111");
    let second = desk.phone("shop", "2065550112");
    assert_eq!(desk.hung_up(&second), Some(EndCause::Capped));
    desk.phone("desk", "2065550113");
    desk.phone("office", "2065550114");
    let places: Vec<String> = desk.dialled().into_iter().map(|(p, _)| p).collect();
    assert_eq!(places, ["trunk", "trunk", "sim1"], "two channels, then the dearer line");
    let fourth = desk.phone("cordless2", "2065550115");
    assert_eq!(desk.hung_up(&fourth), Some(EndCause::LineDown), "no channel is left");
}

#[test]
fn what_a_day_cost_before_a_restart_still_counts() {
    let mut plan = data();
    plan.caps.shop = Cap { calls: 1, minutes: 100, spend: Cents(100) };
    let mut desk = Desk::with(plan.clone());
    let phone = desk.phone("shop", "2065550111");
    let leg = desk.one("trunk");
    desk.say(&leg, LegEvent::Answered);
    desk.over(&phone, EndCause::Hangup);
    let record = desk.records(Moment::Ended).remove(0);
    let mut desk = Desk::with(plan);
    desk.control.restore(&record);
    let phone = desk.phone("shop", "2065550111");
    assert_eq!(desk.hung_up(&phone), Some(EndCause::Capped));
}

#[test]
fn every_minute_that_counts_is_on_record_before_the_call_ends() {
    let mut desk = Desk::new();
    desk.phone("shop", "2065550111");
    let leg = desk.one("trunk");
    desk.say(&leg, LegEvent::Answered);
    desk.wait(150);
    let minutes: Vec<u32> =
        desk.records(Moment::Charged).iter().map(|r| r.charges().map(|c| c.minutes).sum()).collect();
    assert_eq!(minutes, [2, 3]);
}
