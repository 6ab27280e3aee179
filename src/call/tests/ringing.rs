//! Calls that come in: who rings, who wins, and what happens when nobody does.

use super::*;
use crate::call::{FlowEvent, Hours};
use crate::types::Tone;

#[test]
fn an_incoming_call_rings_is_answered_and_ends_with_one_cause_and_a_record() {
    let mut desk = Desk::new();
    let caller = desk.caller("trunk", "+12065550100");
    let phone = desk.one("shop");
    desk.ring(&phone);
    assert_eq!(desk.told(&caller), [LegCommand::Ring]);
    desk.wait(3);
    desk.say(&phone, LegEvent::Answered);
    assert_eq!(desk.told(&caller), [LegCommand::Ring, LegCommand::Answer]);
    assert!(desk.talk(&caller, &phone));
    desk.wait(42);
    desk.over(&caller, EndCause::Hangup);
    assert_eq!(desk.hung_up(&phone), Some(EndCause::Hangup));
    assert_eq!(desk.ends(), [EndCause::Hangup]);
    let record = desk.records(Moment::Ended).remove(0);
    assert_eq!((record.ring.as_secs(), record.talk.as_secs()), (3, 42));
    assert_eq!((record.legs.len(), record.line), (2, Some(LineId::from("trunk"))));
    assert_eq!(desk.records(Moment::Started).len() + desk.records(Moment::Answered).len(), 2);
    assert_eq!(desk.texts(), 0);
    desk.is_empty();
}

#[test]
fn the_first_of_a_group_to_answer_wins_and_the_others_stop_ringing() {
    let mut desk = Desk::new();
    let caller = desk.caller("sim1", "+12065550199");
    let legs = desk.dialled();
    assert_eq!(legs.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["shop", "office"]);
    desk.say(&legs[1].1, LegEvent::Answered);
    assert_eq!(desk.hung_up(&legs[0].1), Some(EndCause::Elsewhere));
    assert!(desk.talk(&caller, &legs[1].1));
}

#[test]
fn of_two_answers_at_once_the_second_is_hung_up_again() {
    let mut desk = Desk::new();
    let caller = desk.caller("sim1", "+12065550199");
    let legs = desk.dialled();
    desk.say(&legs[0].1, LegEvent::Answered);
    desk.say(&legs[1].1, LegEvent::Answered);
    let hangups =
        desk.told(&legs[1].1).into_iter().filter(|c| matches!(c, LegCommand::Hangup { .. })).count();
    assert_eq!(hangups, 2, "the cancellation, and the answer that crossed it");
    assert!(desk.talk(&caller, &legs[0].1));
    assert_eq!(desk.control.counters().stray_events, 1);
    desk.over(&legs[1].1, EndCause::Elsewhere);
    desk.over(&legs[0].1, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn members_ring_in_turn_when_one_is_busy_or_does_not_answer() {
    let mut desk = Desk::new();
    let caller = desk.phone("desk", "601");
    let first = desk.one("shop");
    desk.say(&first, LegEvent::Progress(Progress::EarlyMedia));
    assert!(desk.talk(&caller, &first));
    desk.refuse(&first, EndCause::Busy);
    let second = desk.one("office");
    assert_eq!(desk.heard().get(&caller).map(String::as_str), Some("tone RingBack"));
    desk.ring(&second);
    desk.wait(10);
    assert_eq!(desk.hung_up(&second), Some(EndCause::NoAnswer));
    let mobile = desk.one("trunk");
    desk.say(&mobile, LegEvent::Answered);
    assert!(desk.talk(&caller, &mobile));
}

#[test]
fn an_extension_that_is_not_taken_rolls_over_to_its_next_target() {
    let mut desk = Desk::new();
    desk.phone("shop", "103");
    let office = desk.one("office");
    desk.refuse(&office, EndCause::Declined);
    let legs = desk.dialled();
    assert_eq!(legs.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["desk", "cordless"]);
}

#[test]
fn a_phone_that_calls_a_busy_colleague_hears_it_by_the_cause() {
    let mut desk = Desk::new();
    let caller = desk.phone("desk", "102");
    let phone = desk.one("shop");
    desk.refuse(&phone, EndCause::Busy);
    assert_eq!(desk.hung_up(&caller), Some(EndCause::Busy));
    assert_eq!(desk.ends(), [EndCause::Busy]);
    desk.is_empty();
}

#[test]
fn a_phone_does_not_ring_itself() {
    let mut desk = Desk::new();
    desk.phone("shop", "600");
    desk.one("office");
}

#[test]
fn a_caller_that_nobody_takes_hears_the_sentence_and_gets_one_text_back() {
    let mut desk = Desk::new();
    for (sentence, texts) in [("nobody-text", 1), ("nobody", 1)] {
        let caller = desk.caller("trunk", "+12065550100");
        let phone = desk.one("shop");
        desk.ring(&phone);
        desk.wait(15);
        assert_eq!(desk.told(&caller).last(), Some(&LegCommand::Answer));
        desk.played(&caller, sentence);
        assert_eq!(desk.hung_up(&caller), Some(EndCause::Nobody));
        assert_eq!(desk.texts(), texts);
        desk.is_empty();
    }
    assert_eq!(desk.ends(), [EndCause::Nobody; 2]);
    assert!(desk.records(Moment::Ended).iter().all(|r| r.answered.is_none()), "a sentence is no answer");
}

#[test]
fn who_gives_up_ringing_gets_a_text_and_who_gives_up_at_once_does_not() {
    for (seconds, texts) in [(2, 0), (6, 1)] {
        let mut desk = Desk::new();
        let caller = desk.caller("trunk", "+12065550100");
        let phone = desk.one("shop");
        desk.ring(&phone);
        desk.wait(seconds);
        desk.over(&caller, EndCause::Hangup);
        assert_eq!(desk.hung_up(&phone), Some(EndCause::Cancelled));
        assert_eq!((desk.ends(), desk.texts()), (vec![EndCause::Cancelled], texts));
        desk.is_empty();
    }
}

#[test]
fn neither_landlines_nor_withheld_numbers_nor_our_own_nor_those_that_are_barred_are_texted() {
    for (number, private, kind) in [
        ("+12065550142", true, NumberKind::Mobile),
        ("+12065550142", false, NumberKind::Landline),
        ("+18005550142", false, NumberKind::Unknown),
        ("+12065550199", false, NumberKind::Unknown),
        ("+8835100123456", false, NumberKind::Unknown),
        ("+447700900123", false, NumberKind::Mobile),
    ] {
        let mut desk = Desk::new();
        let address = Some(Address::Phone(PhoneNumber::parse(number, None).unwrap()));
        let offer = Offer {
            via: Via::Line(LineId::from("trunk")),
            from: Identity { address, display: None, private },
            kind,
            to: Dialled::from("+12065550100"),
            emergency: false,
        };
        let leg = LegId::from("x");
        desk.say(&leg, LegEvent::Offered(offer));
        let phone = desk.one("shop");
        desk.refuse(&phone, EndCause::Unreachable);
        desk.over(&leg, EndCause::Hangup);
        assert_eq!((desk.ends(), desk.texts()), (vec![EndCause::Nobody], 0), "{number}");
    }
}

#[test]
fn a_flood_of_callers_is_not_a_flood_of_texts() {
    let mut desk = Desk::new();
    for n in 0..150 {
        let caller = LegId(format!("flood-{n}"));
        let number = PhoneNumber::parse(&format!("+1206556{n:04}"), None).unwrap();
        let from = Identity { address: Some(Address::Phone(number)), display: None, private: false };
        let via = Via::Line(LineId::from("trunk"));
        let (kind, to) = (NumberKind::Unknown, Dialled::from("+12065550100"));
        desk.say(&caller, LegEvent::Offered(Offer { via, from, kind, to, emergency: false }));
        let phone = desk.one("shop");
        desk.refuse(&phone, EndCause::Unreachable);
        let sentence = if n < 120 { "nobody-text" } else { "nobody" };
        assert_eq!(
            desk.heard()[&caller],
            format!("prompt {sentence}"),
            "no text is promised that does not come"
        );
        desk.played(&caller, sentence);
    }
    assert_eq!(desk.texts(), 120);
    desk.is_empty();
}

#[test]
fn closed_hours_and_the_number_that_was_called_decide_who_gets_a_call() {
    let mut desk = Desk::new();
    desk.control.handle_hours(None, Hours::Closed);
    let caller = desk.caller("trunk", "12065550199");
    assert_eq!(desk.told(&caller), [LegCommand::Answer]);
    let started = desk
        .log
        .iter()
        .any(|e| matches!(e, Effect::Flow(FlowEvent::Started { flow, .. }) if flow == "night"));
    assert!(started && desk.dialled().is_empty());
    desk.over(&caller, EndCause::Hangup);
    assert_eq!(desk.ends(), [EndCause::Hangup]);
    let closed = desk.caller("trunk", "+12065550100");
    assert!(desk.dialled().is_empty());
    desk.wait(90);
    assert_eq!(desk.hung_up(&closed), Some(EndCause::Nobody), "also when the sentence never ends");
    desk.is_empty();
}

#[test]
fn who_calls_outside_of_business_hours_hears_so_and_whether_a_text_follows() {
    let mut desk = Desk::new();
    desk.control.handle_hours(None, Hours::Holiday);
    for sentence in ["closed-text", "closed"] {
        let caller = desk.caller("trunk", "+12065550100");
        assert_eq!(desk.heard()[&caller], format!("prompt {sentence}"));
        desk.played(&caller, sentence);
    }
    assert_eq!((desk.ends(), desk.texts()), (vec![EndCause::Nobody; 2], 1));
    desk.is_empty();
}

#[test]
fn early_media_of_a_single_leg_is_heard_and_of_several_the_boxs_own_tone() {
    let mut desk = Desk::new();
    let caller = desk.caller("trunk", "+12065550100");
    let phone = desk.one("shop");
    desk.say(&phone, LegEvent::Progress(Progress::EarlyMedia));
    assert_eq!(desk.told(&caller), [LegCommand::EarlyMedia]);
    assert!(desk.talk(&caller, &phone));
    desk.refuse(&phone, EndCause::Busy);
    desk.over(&caller, EndCause::Hangup);
    desk.is_empty();
    let caller = desk.caller("sim1", "+12065550199");
    let legs = desk.dialled();
    desk.say(&legs[0].1, LegEvent::Progress(Progress::EarlyMedia));
    assert_eq!(desk.told(&caller), [LegCommand::Ring]);
    assert!(desk.joined().is_empty());
}

#[test]
fn a_flow_hands_its_caller_on_and_gets_it_back_when_nobody_answers() {
    let mut desk = Desk::new();
    let caller = desk.phone("desk", "*43");
    let call = desk.control.call_of(&caller).unwrap().clone();
    let prompt = PromptId::from("menu");
    desk.command(crate::call::Command::Play { call: call.clone(), prompt: prompt.clone() });
    desk.played(&caller, "menu");
    assert!(desk.log.contains(&Effect::Flow(FlowEvent::Played { call: call.clone(), prompt })));
    let to = crate::call::Target::Extension("102".into());
    desk.command(crate::call::Command::Connect { call: call.clone(), to });
    let phone = desk.one("shop");
    assert_eq!(desk.media().last(), Some(&MediaCommand::Tone { leg: caller.clone(), tone: Tone::RingBack }));
    desk.refuse(&phone, EndCause::Busy);
    let back = FlowEvent::NotConnected { call: call.clone(), cause: EndCause::Busy };
    assert!(desk.log.contains(&Effect::Flow(back)));
    desk.command(crate::call::Command::Hangup { call });
    assert_eq!(desk.ends(), [EndCause::Stopped]);
}

impl Desk {
    pub(super) fn command(&mut self, command: crate::call::Command) {
        self.control.handle_command(command, self.now).unwrap();
        self.drain();
    }
}
