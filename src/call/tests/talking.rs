//! Calls that are up: hold, keys, transfer, silence, the longest call, a crash.

use super::*;
use crate::call::Command;
use crate::types::{CallId, Dtmf, TransferProgress, TransferTarget};

fn music(leg: &LegId) -> MediaCommand {
    MediaCommand::Play { leg: leg.clone(), prompt: PromptId::from("hold-music"), repeat: true }
}

#[test]
fn who_is_held_hears_music_until_both_sides_have_taken_the_call_back() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.say(&phone, LegEvent::HoldRequested);
    assert_eq!(desk.media().last(), Some(&music(&caller)));
    desk.say(&caller, LegEvent::HoldRequested);
    desk.say(&phone, LegEvent::Resumed);
    assert_eq!(desk.media().last(), Some(&music(&phone)));
    assert!(desk.joined().is_empty());
    desk.say(&caller, LegEvent::Resumed);
    assert!(desk.talk(&caller, &phone));
    desk.over(&phone, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn staff_hold_a_leg_from_the_console_and_the_edge_is_told_once() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    for _ in 0..2 {
        desk.command(Command::Hold { leg: caller.clone() });
    }
    assert_eq!(desk.media().last(), Some(&music(&caller)));
    desk.command(Command::Resume { leg: caller.clone() });
    let told = desk.told(&caller);
    assert_eq!(told, [LegCommand::Answer, LegCommand::Hold, LegCommand::Resume]);
    assert!(desk.talk(&caller, &phone));
}

#[test]
fn keys_go_to_the_other_side_once() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    let key = Dtmf::try_from('5').unwrap();
    desk.say(&caller, LegEvent::Dtmf { key, carried: false });
    desk.say(&phone, LegEvent::Dtmf { key, carried: false });
    desk.say(&phone, LegEvent::Dtmf { key, carried: true });
    let keys = |leg: &LegId| desk.told(leg).iter().filter(|c| **c == LegCommand::Dtmf(key)).count();
    assert_eq!((keys(&caller), keys(&phone)), (1, 1));
}

#[test]
fn silence_ends_a_call_but_not_one_on_hold() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.say(&phone, LegEvent::HoldRequested);
    desk.say(&caller, LegEvent::MediaSilent);
    assert_eq!(desk.ends(), []);
    desk.say(&phone, LegEvent::Resumed);
    desk.say(&caller, LegEvent::MediaSilent);
    assert_eq!(desk.ends(), [EndCause::MediaLost]);
    desk.is_empty();
}

#[test]
fn a_blind_transfer_lets_go_of_the_phone_when_the_target_answers() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.dialled();
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Blind("103".into())));
    let office = desk.one("office");
    assert!(desk.joined().is_empty());
    desk.say(&office, LegEvent::Answered);
    assert!(desk.talk(&caller, &office));
    let told = desk.told(&phone);
    let end =
        [LegCommand::Transfer(TransferProgress::Done), LegCommand::Hangup { cause: EndCause::Transferred }];
    assert!(told.ends_with(&end));
    desk.over(&caller, EndCause::Hangup);
    let record = desk.records(Moment::Ended).remove(0);
    assert_eq!(record.transfers.len(), 1);
    assert_eq!(record.transfers[0].result, Some(Ok(())));
    desk.is_empty();
}

#[test]
fn a_transfer_that_fails_gives_the_call_back_to_who_asked() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.dialled();
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Blind("101".into())));
    for (_, leg) in desk.dialled() {
        desk.refuse(&leg, EndCause::Busy);
    }
    assert_eq!(
        desk.told(&phone).last(),
        Some(&LegCommand::Transfer(TransferProgress::Failed(EndCause::Busy)))
    );
    assert!(desk.talk(&caller, &phone));
    desk.over(&phone, EndCause::Hangup);
    assert_eq!(desk.ends(), [EndCause::Hangup]);
    desk.is_empty();
}

#[test]
fn a_transfer_that_fails_rings_the_phone_again_when_it_has_hung_up() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.dialled();
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Blind("101".into())));
    desk.over(&phone, EndCause::Hangup);
    for (_, leg) in desk.dialled() {
        desk.refuse(&leg, EndCause::Busy);
    }
    let again = desk.one("shop");
    desk.say(&again, LegEvent::Answered);
    assert!(desk.talk(&caller, &again));
}

#[test]
fn the_caller_may_hang_up_while_he_is_put_through() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.dialled();
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Blind("103".into())));
    let office = desk.one("office");
    desk.over(&caller, EndCause::Hangup);
    assert_eq!(desk.hung_up(&office), Some(EndCause::Cancelled));
    assert!(desk.hung_up(&phone).is_some());
    assert_eq!(desk.ends(), [EndCause::Hangup]);
    desk.is_empty();
}

#[test]
fn a_stranger_cannot_have_the_shop_place_a_call() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.dialled();
    desk.say(&caller, LegEvent::TransferAsked(TransferTarget::Blind("2065550111".into())));
    let barred = LegCommand::Transfer(TransferProgress::Failed(EndCause::Barred));
    assert_eq!(desk.told(&caller).last(), Some(&barred));
    assert!(desk.dialled().is_empty() && desk.talk(&caller, &phone));
}

#[test]
fn an_attended_transfer_joins_the_two_whom_the_phone_talked_to() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    desk.say(&phone, LegEvent::HoldRequested);
    let consult = desk.phone("shop", "103");
    let (_, office) = desk.dialled().pop().unwrap();
    desk.say(&office, LegEvent::Answered);
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Attended(consult.clone())));
    assert!(desk.talk(&caller, &office));
    assert_eq!(desk.hung_up(&phone), Some(EndCause::Transferred));
    assert_eq!(desk.hung_up(&consult), Some(EndCause::Transferred));
    assert_eq!(desk.ends(), [EndCause::Transferred]);
    desk.over(&office, EndCause::Hangup);
    assert_eq!(desk.ends(), [EndCause::Transferred, EndCause::Hangup]);
    let consultation: Option<CallId> = desk.records(Moment::Ended)[1].transfers[0].consultation.clone();
    assert_eq!(consultation, Some(desk.records(Moment::Ended)[0].id.clone()));
    desk.is_empty();
}

#[test]
fn an_attended_transfer_before_the_answer_leaves_the_caller_waiting_for_it() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    let consult = desk.phone("shop", "103");
    let (_, office) = desk.dialled().pop().unwrap();
    desk.ring(&office);
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Attended(consult)));
    desk.wait(5);
    desk.say(&office, LegEvent::Answered);
    assert!(desk.talk(&caller, &office));
    desk.wait(60);
    desk.over(&caller, EndCause::Hangup);
    desk.is_empty();
}

#[test]
fn an_attended_transfer_to_somebody_who_has_left_fails_and_changes_nothing() {
    let mut desk = Desk::new();
    let (caller, phone) = desk.talking();
    let consult = desk.phone("shop", "103");
    let (_, office) = desk.dialled().pop().unwrap();
    desk.say(&office, LegEvent::Answered);
    desk.over(&office, EndCause::Hangup);
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Attended(consult)));
    assert!(desk.talk(&caller, &phone));
    let other = desk.phone("desk", "103");
    desk.say(&phone, LegEvent::TransferAsked(TransferTarget::Attended(other.clone())));
    assert_eq!(desk.hung_up(&other), None, "somebody else's call cannot be taken");
}

#[test]
fn no_call_lasts_for_ever() {
    let mut desk = Desk::new();
    desk.talking();
    desk.wait(4 * 3600);
    assert_eq!(desk.ends(), [EndCause::TooLong]);
    desk.is_empty();
}

#[test]
fn a_call_that_was_open_when_the_daemon_died_ends_with_crash() {
    let mut desk = Desk::new();
    desk.talking();
    let open = desk.records(Moment::Answered).remove(0);
    let later = Now::at(5, 1_700_000_100_000);
    let closed = open.crashed(later);
    assert_eq!(closed.ended.map(|(_, cause)| cause), Some(EndCause::Crash));
    assert!(closed.legs.iter().all(|l| l.ended.is_some()));
    let ended = closed.clone().crashed(Now::at(9, 9));
    assert_eq!(ended, closed, "once ended, for ever ended");
}
