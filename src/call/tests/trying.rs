//! Extensions by which somebody tries his phone.

use super::*;
use crate::call::{Command, Target};
use crate::types::TransferTarget;

#[test]
fn a_phone_hears_itself_or_a_tone_until_it_hangs_up() {
    for (number, sound) in [("*44", "echo"), ("*45", "tone Milliwatt")] {
        let mut desk = Desk::new();
        let phone = desk.phone("desk", number);
        assert_eq!(desk.told(&phone), [LegCommand::Answer]);
        assert_eq!(desk.heard()[&phone], sound);
        desk.say(&phone, LegEvent::HoldRequested);
        assert!(desk.heard().is_empty(), "who holds hears nothing");
        desk.say(&phone, LegEvent::Resumed);
        assert_eq!(desk.heard()[&phone], sound);
        desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Blind("101".into())));
        desk.over(&phone, EndCause::Hangup);
        assert_eq!(desk.ends(), [EndCause::Hangup]);
        assert_eq!(desk.records(Moment::Answered).len(), 1);
        desk.is_empty();
    }
}

#[test]
fn a_test_that_hears_nothing_ends_by_itself() {
    let mut desk = Desk::new();
    let phone = desk.phone("desk", "*44");
    desk.say(&phone, LegEvent::MediaSilent);
    assert_eq!(desk.hung_up(&phone), Some(EndCause::MediaLost));
    desk.is_empty();
}

#[test]
fn a_stranger_reaches_a_test_only_where_a_rule_says_so() {
    let mut desk = Desk::new();
    let caller = desk.caller("trunk", "*44");
    assert!(desk.heard().values().all(|s| s != "echo"));
    desk.over(&caller, EndCause::Hangup);
    let mut plan = data();
    plan.inbound[0].open = Target::Echo;
    let mut desk = Desk::with(plan);
    let caller = desk.caller("trunk", "+12065550100");
    assert_eq!(desk.heard()[&caller], "echo");
}

#[test]
fn a_customer_can_be_handed_to_a_test_and_a_flow_can_hand_over_to_one() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Blind("*45".into())));
    assert_eq!(desk.heard()[&caller], "tone Milliwatt");
    assert_eq!(desk.hung_up(&phone), Some(EndCause::Transferred));
    let flow = desk.phone("office", "*43");
    let call = desk.control.call_of(&flow).unwrap().clone();
    desk.command(Command::Connect { call, to: Target::Echo });
    assert_eq!(desk.heard()[&flow], "echo");
}

#[test]
fn a_shop_that_wants_it_hears_in_words_why_a_call_is_refused() {
    let mut plan = data();
    plan.spoken_reasons = true;
    for (number, sentence, cause) in [
        ("011442079460000", "barred", EndCause::Barred),
        ("555", "unreachable", EndCause::BadNumber),
        ("2065550111", "lines-busy", EndCause::LineDown),
    ] {
        let mut desk = Desk::with(plan.clone());
        desk.line("trunk", false);
        desk.line("sim1", false);
        let phone = desk.phone("desk", number);
        assert_eq!(desk.told(&phone), [LegCommand::EarlyMedia], "{number}");
        assert_eq!(desk.heard()[&phone], format!("prompt {sentence}"));
        desk.played(&phone, sentence);
        assert_eq!(desk.hung_up(&phone), Some(cause));
        assert_eq!((desk.ends(), desk.records(Moment::Answered).len()), (vec![cause], 0));
        desk.is_empty();
    }
    let mut desk = Desk::with(plan);
    let phone = desk.phone("desk", "102");
    let other = desk.one("shop");
    desk.refuse(&other, EndCause::Busy);
    assert_eq!(desk.hung_up(&phone), Some(EndCause::Busy), "for that a phone has a tone");
}
