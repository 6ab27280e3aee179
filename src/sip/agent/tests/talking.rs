//! What happens in a call that is up: hold, re-INVITE and its glare, UPDATE, INFO, REFER, session timers, ends that cross.

use std::time::Duration;

use super::script::*;
use super::world::*;
use crate::types::*;

fn ended(cause: EndCause) -> LegEvent {
    LegEvent::Ended { cause }
}

#[test]
fn the_far_side_holds_and_resumes_in_each_of_its_ways() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    let zeros = sdp(FAR, "").replace("c=IN IP4 10.0.0.10", "c=IN IP4 0.0.0.0");
    for held in [sdp(FAR, "a=sendonly\r\n"), sdp(FAR, "a=inactive\r\n"), zeros] {
        w.says(FAR, &far.next("INVITE", "", &held));
        assert!(w.last(FAR).starts_with("SIP/2.0 200 "));
        w.says(FAR, &far.same("ACK", "", ""));
        assert_eq!(w.told(), [LegEvent::HoldRequested]);
        assert!(!w.nodes[0].media[&leg].sends);
        w.says(FAR, &far.next("UPDATE", "", &sdp(FAR, "a=sendrecv\r\n")));
        assert_eq!(w.told(), [LegEvent::Resumed]);
        assert!(w.nodes[0].media[&leg].sends && w.nodes[0].media[&leg].remote.is_some());
    }
    w.says(FAR, &far.next("BYE", "", ""));
    assert_eq!(w.told(), [ended(EndCause::Hangup)]);
    w.assert_clean();
}

#[test]
fn a_hold_of_ours_is_asked_once_and_queued_behind_another() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    w.command(0, &leg, LegCommand::Hold);
    w.command(0, &leg, LegCommand::Resume);
    w.command(0, &leg, LegCommand::Hold);
    w.command(0, &leg, LegCommand::Resume);
    w.run(20);
    let hold = w.last(FAR).to_owned();
    assert!(hold.starts_with("INVITE ") && hold.contains("a=sendonly"));
    assert_eq!(w.heard(FAR), ["INVITE"]);
    w.says(FAR, &reply(FAR, &hold, "200 OK", "", "", &sdp(FAR, "a=recvonly\r\n")));
    assert!(w.nodes[0].media[&leg].sends && !w.nodes[0].media[&leg].receives);
    let resume = w.last(FAR).to_owned();
    assert!(resume.starts_with("INVITE ") && resume.contains("a=sendrecv"));
    assert_eq!(w.heard(FAR), ["ACK", "INVITE"]);
    w.says(FAR, &reply(FAR, &resume, "200 OK", "", "", &sdp(FAR, "")));
    assert!(w.nodes[0].media[&leg].receives);
    assert!(w.told().is_empty(), "our own hold is no news");
    w.says(FAR, &far.next("BYE", "", ""));
    w.assert_clean();
}

#[test]
fn two_reinvites_that_meet_are_both_refused_and_ours_is_tried_again() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    w.command(0, &leg, LegCommand::Hold);
    w.run(20);
    let ours = w.last(FAR).to_owned();
    let theirs = far.next("INVITE", "", &sdp(FAR, ""));
    w.heard(FAR);
    w.says(FAR, &theirs);
    assert_eq!(w.heard(FAR), ["491"]);
    w.says(FAR, &far.ack_refusal());
    w.says(FAR, &far.next("UPDATE", "", &sdp(FAR, "")));
    assert_eq!(w.heard(FAR), ["491"]);
    w.says(FAR, &reply(FAR, &ours, "491 Request Pending", "", "", ""));
    assert_eq!(w.heard(FAR), ["ACK"]);
    // They called, so we wait up to 2 s.
    w.run(2_050);
    let again = w.last(FAR).to_owned();
    assert!(again.starts_with("INVITE ") && again.contains("a=sendonly"));
    w.says(FAR, &reply(FAR, &again, "200 OK", "", "", &sdp(FAR, "a=recvonly\r\n")));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_hold_that_is_refused_leaves_the_call_as_it_was() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    w.command(0, &leg, LegCommand::Hold);
    w.run(20);
    let hold = w.last(FAR).to_owned();
    w.says(FAR, &reply(FAR, &hold, "488 Not Acceptable Here", "", "", ""));
    w.run(10_000);
    assert_eq!(w.heard(FAR), ["INVITE", "ACK"]);
    assert!(w.nodes[0].media[&leg].receives);
    w.says(FAR, &far.next("INVITE", "", ""));
    assert!(w.last(FAR).contains("a=sendrecv"), "and an offer that is asked for says so");
    w.says(FAR, &far.same("ACK", "", &sdp(FAR, "")));
    w.says(FAR, &far.next("BYE", "", ""));
    w.assert_clean();
}

#[test]
fn a_dialog_that_the_far_side_has_forgotten_is_over() {
    let mut w = shop();
    let (leg, _) = w.talking();
    w.command(0, &leg, LegCommand::Hold);
    w.run(20);
    let hold = w.last(FAR).to_owned();
    w.says(FAR, &reply(FAR, &hold, "481 Call Does Not Exist", "", "", ""));
    assert_eq!(w.told(), [ended(EndCause::LineDown)]);
    w.assert_clean();
}

#[test]
fn requests_out_of_order_and_out_of_dialog_are_refused() {
    let mut w = shop();
    let (_, mut far) = w.talking();
    w.says(FAR, &far.next("OPTIONS", "", ""));
    let late = Far { cseq: 50, ..far.clone() };
    w.says(FAR, &late.same("INFO", "", ""));
    assert_eq!(w.heard(FAR), ["200", "500"]);
    let other = Far { to: "<sip:x@10.0.0.1>;tag=none".to_owned(), cseq: 900, ..far.clone() };
    for method in ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS"] {
        w.says(FAR, &other.same(method, "", ""));
        assert_eq!(w.heard(FAR), ["481"], "{method}");
    }
    let stranger = Far::calls(FAR, "+12065550188");
    for method in ["BYE", "UPDATE", "INFO"] {
        w.says(FAR, &stranger.same(method, "", ""));
        assert_eq!(w.heard(FAR), ["481"], "{method}");
    }
    w.says(FAR, &far.next("BYE", "", ""));
    w.says(FAR, &far.next("BYE", "", ""));
    assert_eq!(w.heard(FAR), ["200", "481"]);
    w.assert_clean();
}

#[test]
fn byes_that_cross_are_both_answered() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(20);
    let bye = w.last(FAR).to_owned();
    w.heard(FAR);
    w.says(FAR, &far.next("BYE", "", ""));
    assert_eq!(w.heard(FAR), ["481"]);
    w.says(FAR, &reply(FAR, &bye, "200 OK", "", "", ""));
    assert_eq!(w.told(), [ended(EndCause::Hangup)]);
    w.assert_clean();
}

#[test]
fn keys_come_by_info_and_go_to_the_media() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    let relay = far.next("INFO", "", "Signal=5\r\nDuration=160\r\n");
    w.says(FAR, &relay.replace("application/sdp", "application/dtmf-relay"));
    let plain = far.next("INFO", "", "#");
    w.says(FAR, &plain.replace("application/sdp", "application/dtmf"));
    let key = |c| LegEvent::Dtmf { key: Dtmf::try_from(c).unwrap(), carried: false };
    assert_eq!(w.told(), [key('5'), key('#')]);
    let odd = far.next("INFO", "", "x");
    w.says(FAR, &odd.replace("application/sdp", "text/plain"));
    assert_eq!(w.heard(FAR), ["200", "200", "415"]);
    w.command(0, &leg, LegCommand::Dtmf(Dtmf::try_from('7').unwrap()));
    assert_eq!(w.nodes[0].pressed, [(leg.clone(), Dtmf::try_from('7').unwrap())]);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_refresh_that_does_not_come_ends_the_call() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    let headers = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    w.says(FAR, &far.same("INVITE", headers, &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    let ok = w.last(FAR).to_owned();
    assert_eq!(header(&ok, "Session-Expires"), Some("90;refresher=uac"));
    assert_eq!(header(&ok, "Require"), Some("timer"));
    far.learn(&ok);
    w.says(FAR, &far.same("ACK", "", ""));
    w.run(50_000);
    w.says(FAR, &far.next("UPDATE", headers, ""));
    assert_eq!(header(w.last(FAR), "Session-Expires"), Some("90;refresher=uac"));
    w.run(59_000);
    assert!(w.told().is_empty());
    w.run(2_000);
    assert_eq!(w.told(), [ended(EndCause::LineDown)]);
    assert!(w.last(FAR).starts_with("BYE "));
    w.assert_clean();
}

#[test]
fn a_phone_hands_a_call_on_and_is_told_how_it_went() {
    let mut w = shop();
    let (leg, mut phone) = w.talking_to_phone();
    w.says(PHONE, &phone.next("REFER", "Refer-To: <sip:103@10.0.0.1>\r\n", ""));
    assert_eq!(w.events(0), [(leg.clone(), LegEvent::TransferAsked(TransferTarget::Blind("103".into())))]);
    let notify = w.last(PHONE).to_owned();
    assert!(notify.contains("\r\n\r\nSIP/2.0 100 Trying") && notify.contains("Event: refer\r\n"));
    assert_eq!(w.heard(PHONE), ["202", "NOTIFY"]);
    w.says(PHONE, &reply(PHONE, &notify, "200 OK", "", "", ""));
    w.command(0, &leg, LegCommand::Transfer(TransferProgress::Trying));
    w.command(0, &leg, LegCommand::Transfer(TransferProgress::Failed(EndCause::Busy)));
    w.run(20);
    let notify = w.last(PHONE).to_owned();
    assert!(notify.contains("\r\n\r\nSIP/2.0 486 Busy Here"));
    assert!(header(&notify, "Subscription-State").unwrap().starts_with("terminated"));
    assert_eq!(w.heard(PHONE), ["NOTIFY"]);
    w.says(PHONE, &reply(PHONE, &notify, "200 OK", "", "", ""));
    let quiet = "Refer-To: <sip:104@10.0.0.1>\r\nRefer-Sub: false\r\n";
    w.says(PHONE, &phone.next("REFER", quiet, ""));
    assert_eq!(header(w.last(PHONE), "Refer-Sub"), Some("false"));
    w.command(0, &leg, LegCommand::Transfer(TransferProgress::Done));
    w.run(20);
    assert_eq!(w.heard(PHONE), ["202"], "who does not want to hear is not told");
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Transferred });
    w.run(20);
    assert_eq!(w.heard(PHONE), ["BYE"]);
    w.assert_clean();
}

#[test]
fn a_consultation_of_the_same_phone_is_found_and_nobody_elses() {
    let mut w = shop();
    let (leg, mut phone) = w.talking_to_phone();
    let second = w.dial(0, "LG2", Via::Device("desk".into()), "101");
    w.run(20);
    let invite = w.last(PHONE).to_owned();
    w.says(PHONE, &reply(PHONE, &invite, "200 OK", "q", "", &sdp(PHONE, "")));
    w.told();
    let ours = header(&invite, "From").unwrap().rsplit_once("tag=").unwrap().1;
    let id = header(&invite, "Call-ID").unwrap();
    let refer = format!("Refer-To: <sip:102@10.0.0.1?Replaces={id}%3Bto-tag%3D{ours}%3Bfrom-tag%3Dq>\r\n");
    w.says(PHONE, &phone.next("REFER", &refer, ""));
    let target = TransferTarget::Attended(second.clone());
    assert_eq!(w.events(0), [(leg.clone(), LegEvent::TransferAsked(target))]);
    w.command(0, &leg, LegCommand::Transfer(TransferProgress::Failed(EndCause::Rejected)));
    let (foreign, _) = w.talking();
    w.says(PHONE, &phone.next("REFER", &refer.replace(id, "another"), ""));
    assert!(w.heard(PHONE).contains(&"481".to_owned()));
    for leg in [leg, second, foreign] {
        w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    }
    w.run(20);
    w.assert_clean();
}

#[test]
fn a_provider_may_not_hand_calls_on() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    w.says(FAR, &far.next("REFER", "Refer-To: <sip:+19005550111@10.0.0.1>\r\n", ""));
    assert_eq!(w.heard(FAR), ["403"]);
    assert!(w.told().is_empty());
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn calls_follow_a_changed_address() {
    let mut w = shop();
    let (leg, _) = w.talking_to_phone();
    let now = w.at();
    let new = "10.0.0.77".parse().unwrap();
    w.nodes[0].agent.handle_address(address(0).ip(), new, now);
    w.run(20);
    let invite = w.last(PHONE).to_owned();
    assert!(invite.starts_with("INVITE ") && invite.contains("Via: SIP/2.0/UDP 10.0.0.77:5060;"));
    assert_eq!(header(&invite, "Contact").map(|c| c.contains("10.0.0.77:5060")), Some(true));
    let routes = vec![crate::sip::agent::Route { local: "10.0.0.77:5060".parse().unwrap(), ..route(0, FAR) }];
    let (other, _) = w.talking();
    w.nodes[0].agent.handle_routes(&"t".into(), routes, now);
    w.run(20);
    assert!(w.last(FAR).contains("Contact: <sip:br-") && w.last(FAR).contains("@10.0.0.77:5060>"));
    for leg in [leg, other] {
        w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    }
    w.assert_clean();
}

#[test]
fn what_is_broken_between_is_told_to_whom_it_concerns() {
    let mut w = shop();
    let leg = w.dial(0, "LG1", Via::Line("t".into()), "+12065550111");
    w.run(20);
    let now = w.at();
    w.nodes[0].agent.handle_transport_error(route(0, FAR), now);
    w.run(0);
    let refused = LegEvent::Refused { cause: EndCause::LineDown, retry_after: None };
    assert_eq!(w.events(0), [(leg, refused)]);
    w.assert_clean();
}

#[test]
fn a_box_that_stops_ends_its_calls_at_once() {
    let mut w = shop();
    let (leg, _) = w.talking();
    let ringing = w.dial(0, "LG1", Via::Device("desk".into()), "101");
    w.run(20);
    let now = w.at();
    w.nodes[0].agent.stop(now);
    w.run(0);
    assert_eq!(w.heard(FAR), ["BYE"]);
    let refused = LegEvent::Refused { cause: EndCause::Stopped, retry_after: None };
    assert_eq!(w.events(0), [(leg, ended(EndCause::Stopped)), (ringing, refused)]);
    w.run(Duration::from_secs(100).as_millis().try_into().unwrap());
    assert!(w.nodes[0].agent.is_idle());
}
