//! Calls for help.

use super::*;
use crate::call::{Cap, Caps, Hours};
use crate::types::Cents;

fn plan_without_any_allowance() -> DialPlan {
    let mut plan = data();
    let none = Cap { calls: 0, minutes: 0, spend: Cents(0) };
    plan.caps = Caps { shop: none, user: none, destination: none, concurrent: 0, concurrent_user: 0 };
    plan
}

#[test]
fn help_is_called_over_the_reserve_line_with_no_prefix_no_cap_and_the_desk_is_told_after_dialling() {
    for dialled in ["911", "9911", "9-911", "1911", "112", "0112", "*67911"] {
        let mut desk = Desk::with(plan_without_any_allowance());
        desk.control.handle_hours(None, Hours::Closed);
        let phone = desk.phone("shop", dialled);
        let dial =
            desk.log.iter().position(|e| matches!(e, Effect::Leg(_, LegCommand::Dial { .. }))).unwrap();
        let notice = desk.log.iter().position(|e| matches!(e, Effect::Emergency(_))).unwrap();
        assert!(dial < notice, "{dialled}");
        let leg = desk.one("sim1");
        let LegCommand::Dial { target, identity, emergency, ring_for, .. } = desk.told(&leg).remove(0) else {
            panic!("not dialled")
        };
        assert_eq!((target.as_str(), emergency, ring_for), ("911", true, None));
        assert!(!identity.private);
        let told = desk.notices().remove(0);
        assert_eq!(told.callback.as_ref().map(PhoneNumber::as_str), Some("+12065550102"));
        assert_eq!(told.location, "12 Main Street, workshop");
        assert!(!told.test);
        desk.ring(&leg);
        desk.wait(3600);
        desk.say(&leg, LegEvent::Answered);
        desk.say(&phone, LegEvent::MediaSilent);
        desk.wait(24 * 3600);
        assert!(desk.talk(&phone, &leg), "neither silence nor time ends it");
        desk.over(&phone, EndCause::Hangup);
        assert_eq!(desk.notices().len(), 1);
        let record = desk.records(Moment::Ended).remove(0);
        assert_eq!(record.emergency.map(|e| (e.number, e.attempts)), Some(("911".into(), 1)));
        assert!(desk.records(Moment::Started)[0].emergency.is_some());
        desk.is_empty();
    }
}

#[test]
fn every_line_is_tried_round_and_round_until_the_caller_hangs_up() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "911");
    let mut places = Vec::new();
    for _ in 0..3 {
        for _ in 0..2 {
            let (place, leg) = desk.dialled().remove(0);
            places.push(place);
            desk.refuse(&leg, EndCause::Rejected);
        }
        desk.wait(1);
    }
    assert_eq!(places, ["sim1", "trunk", "sim1", "trunk", "sim1", "trunk"]);
    desk.over(&phone, EndCause::Hangup);
    assert_eq!((desk.ends(), desk.notices().len()), (vec![EndCause::Cancelled], 1));
    desk.is_empty();
}

#[test]
fn a_line_that_says_nothing_does_not_keep_a_caller_from_the_next() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "911");
    let mute = desk.one("sim1");
    desk.wait(8);
    let second = desk.one("trunk");
    assert_eq!(desk.hung_up(&mute), None, "it may yet be the one that gets through");
    desk.wait(30);
    assert!(desk.dialled().is_empty());
    desk.say(&mute, LegEvent::Answered);
    assert_eq!(desk.hung_up(&second), Some(EndCause::Elsewhere));
    assert!(desk.talk(&phone, &mute));
    desk.over(&mute, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn a_line_that_comes_up_is_dialled_beside_one_that_says_nothing() {
    let mut desk = Desk::new();
    desk.line("sim1", false);
    desk.phone("shop", "911");
    let first = desk.one("trunk");
    desk.line("sim1", true);
    desk.one("sim1");
    assert_eq!(desk.hung_up(&first), None);
    let mut desk = Desk::new();
    desk.line("sim1", false);
    desk.phone("shop", "911");
    let first = desk.one("trunk");
    desk.ring(&first);
    desk.line("sim1", true);
    assert!(desk.dialled().is_empty(), "it rings at the other end");
}

#[test]
fn an_ordinary_call_is_cleared_when_no_channel_is_free_and_never_before() {
    let mut desk = Desk::new();
    desk.line("trunk", false);
    let customer = desk.caller("sim1", "+12065550199");
    let (_, office) = desk.dialled().pop().unwrap();
    desk.say(&office, LegEvent::Answered);
    desk.phone("shop", "911");
    desk.one("sim1");
    assert_eq!(desk.hung_up(&customer), Some(EndCause::Cleared));
    assert_eq!(desk.ends(), [EndCause::Cleared]);
    let hangup = desk
        .log
        .iter()
        .position(|e| *e == Effect::Leg(customer.clone(), LegCommand::Hangup { cause: EndCause::Cleared }));
    let dial = desk.log.iter().rposition(|e| matches!(e, Effect::Leg(_, LegCommand::Dial { .. })));
    assert!(hangup < dial, "the line is told to end the one before it is told to begin the other");

    let mut desk = Desk::new();
    let customer = desk.caller("sim1", "+12065550199");
    desk.dialled();
    desk.phone("desk", "911");
    desk.one("trunk");
    assert_eq!(desk.hung_up(&customer), None, "another line is free");
}

#[test]
fn a_call_for_help_is_not_cleared_for_another() {
    let mut desk = Desk::new();
    desk.line("trunk", false);
    desk.phone("shop", "911");
    let first = desk.one("sim1");
    let second = desk.phone("desk", "911");
    let tried: Vec<String> = desk.dialled().into_iter().map(|(p, _)| p).collect();
    assert_eq!(tried, ["trunk"], "better a line that seems down than none");
    assert_eq!((desk.hung_up(&first), desk.hung_up(&second)), (None, None));
}

#[test]
fn without_any_line_the_caller_is_told_so_and_dialled_as_soon_as_one_is_up() {
    let mut desk = Desk::new();
    desk.line("trunk", false);
    desk.line("sim1", false);
    let phone = desk.phone("shop", "911");
    for _ in 0..2 {
        let (_, leg) = desk.dialled().remove(0);
        desk.refuse(&leg, EndCause::LineDown);
    }
    assert_eq!(desk.told(&phone), [LegCommand::EarlyMedia]);
    assert!(
        matches!(desk.media().last(), Some(MediaCommand::Play { prompt, .. }) if prompt.as_str() == "emergency-no-line")
    );
    desk.line("trunk", true);
    let leg = desk.one("trunk");
    desk.say(&leg, LegEvent::Answered);
    assert!(desk.talk(&phone, &leg));
    desk.over(&leg, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn a_line_that_breaks_while_help_listens_is_replaced_by_another() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "911");
    let leg = desk.one("sim1");
    desk.say(&leg, LegEvent::Answered);
    desk.line("sim1", false);
    desk.over(&leg, EndCause::LineDown);
    let again = desk.one("trunk");
    desk.say(&again, LegEvent::Answered);
    assert!(desk.talk(&phone, &again));
    assert_eq!((desk.notices().len(), desk.ends()), (1, vec![]));
    desk.over(&again, EndCause::Hangup);
    assert_eq!(desk.ends(), [EndCause::Hangup]);
    desk.is_empty();
}

#[test]
fn the_test_of_the_address_clears_nobody_and_says_that_it_is_a_test() {
    let mut desk = Desk::new();
    desk.line("trunk", false);
    let customer = desk.caller("sim1", "+12065550199");
    desk.dialled();
    let phone = desk.phone("desk", "933");
    assert_eq!(desk.hung_up(&customer), None);
    let (place, leg) = desk.dialled().remove(0);
    assert_eq!(place, "trunk");
    desk.refuse(&leg, EndCause::LineDown);
    assert_eq!(desk.hung_up(&phone), Some(EndCause::LineDown), "one round is enough for a test");
    assert!(desk.notices()[0].test);
}

#[test]
fn who_took_a_call_for_help_and_calls_back_reaches_every_phone_whatever_the_hours() {
    let mut desk = Desk::new();
    desk.control.handle_hours(None, Hours::Closed);
    let phone = desk.phone("desk", "911");
    let leg = desk.one("sim1");
    desk.say(&leg, LegEvent::Answered);
    desk.over(&phone, EndCause::Hangup);
    desk.caller("trunk", "+12065550100");
    assert!(desk.dialled().is_empty(), "another number of the shop was not shown");
    let back = desk.caller("sim1", "+12065550199");
    let rings: Vec<String> = desk.dialled().into_iter().map(|(place, _)| place).collect();
    assert_eq!(rings, ["desk", "cordless", "shop", "office"]);
    desk.over(&back, EndCause::Hangup);
    desk.wait(1800);
    desk.caller("sim1", "+12065550199");
    assert!(desk.dialled().is_empty(), "half an hour later the plan counts again");
}

#[test]
fn the_shops_own_prefix_for_a_line_does_not_keep_anybody_from_help() {
    let mut plan = data();
    plan.outside_prefix = Some("7".into());
    let mut desk = Desk::with(plan.clone());
    desk.phone("shop", "7911");
    desk.one("sim1");
    plan.extensions[0].number = "7911".into();
    let problems = Plan::check(plan).unwrap_err();
    assert!(problems[0].to_string().contains("7911 is how people call for help"), "{problems:?}");
}

#[test]
fn who_is_refused_by_every_line_hears_so_until_one_rings() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "911");
    for _ in 0..2 {
        let (_, leg) = desk.dialled().remove(0);
        desk.refuse(&leg, EndCause::Rejected);
    }
    assert_eq!(desk.heard()[&phone], "prompt emergency-no-line");
    desk.wait(1);
    let (_, leg) = desk.dialled().remove(0);
    assert_eq!(desk.heard()[&phone], "prompt emergency-no-line", "dialled, but nobody has said anything");
    desk.say(&leg, LegEvent::Progress(Progress::Ringing));
    assert_ne!(desk.heard()[&phone], "prompt emergency-no-line");
    desk.over(&phone, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn a_caller_who_is_gone_without_hanging_up_is_not_called_help_for_for_ever() {
    let mut desk = Desk::new();
    let phone = desk.phone("shop", "911");
    for _ in 0..29 * 60 {
        for (_, leg) in desk.dialled() {
            desk.refuse(&leg, EndCause::Rejected);
        }
        desk.wait(1);
    }
    assert_eq!(desk.hung_up(&phone), None, "a patient caller is not given up soon");
    for _ in 0..2 * 60 {
        for (_, leg) in desk.dialled() {
            desk.refuse(&leg, EndCause::Rejected);
        }
        desk.wait(1);
    }
    assert_eq!(desk.hung_up(&phone), Some(EndCause::TooLong));
    desk.is_empty();
    // Once somebody has answered, it lasts as long as it lasts.
    let phone = desk.phone("shop", "911");
    let (_, leg) = desk.dialled().remove(0);
    desk.say(&leg, LegEvent::Answered);
    desk.wait(24 * 3600);
    assert!(desk.talk(&phone, &leg));
    desk.over(&phone, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn a_shop_without_any_line_hears_that_there_is_none() {
    let mut plan = data();
    plan.lines.clear();
    plan.outbound.clear();
    let mut desk = Desk::with(plan);
    let phone = desk.phone("shop", "911");
    assert_eq!(desk.heard()[&phone], "prompt emergency-no-line");
    desk.wait(60);
    desk.over(&phone, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn a_stranger_on_a_line_cannot_call_for_help_through_the_box() {
    let mut desk = Desk::new();
    desk.caller("trunk", "911");
    desk.one("shop");
    assert!(desk.notices().is_empty());
}

#[test]
fn a_phone_that_says_emergency_in_its_signalling_is_believed_whatever_it_dials() {
    let mut desk = Desk::new();
    let via = Via::Device(DeviceId::from("stranger"));
    let to = Dialled::from("urn:service:sos");
    let offer = Offer { via, from: Identity::default(), kind: NumberKind::Unknown, to, emergency: true };
    desk.say(&LegId::from("x"), LegEvent::Offered(offer));
    desk.one("sim1");
    assert_eq!(desk.notices()[0].location, "12 Main Street, ground floor");
}

#[test]
fn a_customer_can_be_handed_to_the_emergency_number_by_the_shop() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.dialled();
    desk.say(&phone, LegEvent::TransferAsked(crate::types::TransferTarget::Blind("911".into())));
    let leg = desk.one("sim1");
    desk.say(&leg, LegEvent::Answered);
    assert!(desk.talk(&caller, &leg));
    assert_eq!(desk.notices().len(), 1);
}
