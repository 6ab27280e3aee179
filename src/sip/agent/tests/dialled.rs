//! Calls that go out: forks, challenges, redirections, fail-over, early media, and who is cancelled.

use std::time::Duration;

use super::script::*;
use super::world::*;
use crate::sip::agent::*;
use crate::sip::transaction::{Hop, Transport};
use crate::types::*;

fn line() -> Via {
    Via::Line("t".into())
}

fn desk() -> Via {
    Via::Device("desk".into())
}

fn refused(cause: EndCause) -> LegEvent {
    LegEvent::Refused { cause, retry_after: None }
}

/// A call over the trunk, and its INVITE.
fn out(w: &mut World) -> (LegId, String) {
    let leg = w.dial(0, "LG1", line(), "+12065550111");
    w.run(20);
    let invite = w.last(FAR).to_owned();
    (leg, invite)
}

#[test]
fn of_two_forks_that_answer_the_first_is_the_call_and_the_second_is_let_go() {
    let mut w = shop();
    let (leg, invite) = out(&mut w);
    w.heard(FAR);
    w.says(FAR, &reply(FAR, &invite, "180 Ringing", "a", "", ""));
    w.says(FAR, &reply(FAR, &invite, "183 Session Progress", "b", "", &sdp(FAR, "")));
    w.says(FAR, &reply(FAR, &invite, "180 Ringing", "a", "", ""));
    let early = [LegEvent::Progress(Progress::Ringing), LegEvent::Progress(Progress::EarlyMedia)];
    assert_eq!(w.told(), early);
    w.says(FAR, &reply(FAR, &invite, "200 OK", "b", "", &sdp(FAR, "")));
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", &sdp(FAR, "")));
    assert_eq!(w.heard(FAR), ["ACK", "ACK", "BYE"]);
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", &sdp(FAR, "")));
    w.says(FAR, &reply(FAR, &invite, "200 OK", "b", "", &sdp(FAR, "")));
    assert_eq!(w.heard(FAR), ["ACK", "ACK"], "each again is acknowledged again, and no more");
    assert_eq!(w.told(), [LegEvent::Answered]);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(20);
    assert!(w.last(FAR).starts_with("BYE ") && w.last(FAR).contains(";tag=b"));
    w.assert_clean();
}

#[test]
fn an_answer_that_crosses_a_cancel_is_acknowledged_and_ended() {
    let mut w = shop();
    let (leg, invite) = out(&mut w);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Elsewhere });
    assert_eq!(w.told(), [refused(EndCause::Elsewhere)]);
    w.run(20);
    assert!(w.last(FAR).starts_with("INVITE "), "nothing was heard yet, so nothing can be cancelled");
    w.says(FAR, &reply(FAR, &invite, "180 Ringing", "a", "", ""));
    assert!(w.last(FAR).starts_with("CANCEL ") && w.last(FAR).contains("Reason: SIP;cause=200;"));
    w.heard(FAR);
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", &sdp(FAR, "")));
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", &sdp(FAR, "")));
    assert_eq!(w.heard(FAR)[..3], ["ACK", "BYE", "ACK"]);
    w.assert_clean();
}

#[test]
fn reliable_ringing_is_acknowledged_once() {
    let mut w = shop();
    let (leg, invite) = out(&mut w);
    w.heard(FAR);
    let reliable = |rseq: u32| format!("Require: 100rel\r\nRSeq: {rseq}\r\n");
    let first = reply(FAR, &invite, "180 Ringing", "a", &reliable(7), "");
    w.says(FAR, &first);
    let prack = w.last(FAR).to_owned();
    assert_eq!(header(&prack, "RAck"), Some("7 1 INVITE"));
    w.says(FAR, &reply(FAR, &prack, "200 OK", "a", "", ""));
    w.says(FAR, &first);
    w.says(FAR, &reply(FAR, &invite, "183 Session Progress", "a", &reliable(9), &sdp(FAR, "")));
    assert_eq!(w.heard(FAR), ["PRACK"], "one came again, one came before its turn");
    w.says(FAR, &reply(FAR, &invite, "183 Session Progress", "a", &reliable(8), &sdp(FAR, "")));
    let prack = w.last(FAR).to_owned();
    assert_eq!(header(&prack, "CSeq"), Some("3 PRACK"));
    w.says(FAR, &reply(FAR, &prack, "200 OK", "a", "", ""));
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", ""));
    let all =
        [LegEvent::Progress(Progress::Ringing), LegEvent::Progress(Progress::EarlyMedia), LegEvent::Answered];
    assert_eq!(w.told(), all);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(20);
    assert_eq!(header(w.last(FAR), "CSeq"), Some("4 BYE"));
    w.assert_clean();
}

#[test]
fn a_redirection_is_followed_inside_the_trunk_and_nowhere_else() {
    let mut w = shop();
    let (_, invite) = out(&mut w);
    let moved = reply(FAR, &invite, "302 Moved Temporarily", "a", "", "");
    w.says(FAR, &moved.replace("<sip:far@10.0.0.10:5060>", "<sip:+12065550222@10.0.0.10>"));
    let second = w.last(FAR).to_owned();
    assert!(second.starts_with("INVITE sip:+12065550222@10.0.0.10 "), "{second}");
    let moved = reply(FAR, &second, "302 Moved Temporarily", "a", "", "");
    w.says(FAR, &moved.replace("<sip:far@10.0.0.10:5060>", "<sip:+19005550222@192.0.2.66>"));
    assert!(w.last(FAR).starts_with("ACK "));
    assert_eq!(w.told(), [refused(EndCause::Unreachable)]);
    assert!(w.log.iter().all(|(_, _, to, _)| *to == address(FAR)));
    w.assert_clean();
}

#[test]
fn a_challenge_is_answered_once_and_remembered() {
    let setup = TrunkSetup { login: Some(login("account")), ..trunk("t", FAR) };
    let mut w = shop_with(settings(), setup, device("desk"));
    let challenge = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"n1\", qop=\"auth\"\r\n";
    let (leg, invite) = out(&mut w);
    assert!(!invite.contains("Proxy-Authorization"));
    let proxy = |request: &str| reply(FAR, request, "407 Proxy Authentication Required", "a", challenge, "");
    w.says(FAR, &proxy(&invite));
    let second = w.last(FAR).to_owned();
    assert!(second.contains("nc=00000001") && header(&second, "CSeq") == Some("2 INVITE"));
    assert_eq!(header(&second, "Call-ID"), header(&invite, "Call-ID"));
    w.says(FAR, &reply(FAR, &second, "200 OK", "b", "", &sdp(FAR, "")));
    assert!(w.last(FAR).starts_with("ACK ") && w.last(FAR).contains("Proxy-Authorization: "));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(20);
    let bye = w.last(FAR).to_owned();
    assert!(bye.starts_with("BYE ") && bye.contains("nc=00000002"));
    let stale = challenge.replace("n1", "n2").replace("qop", "stale=true, qop");
    w.says(FAR, &reply(FAR, &bye, "407 Proxy Authentication Required", "b", &stale, ""));
    let again = w.last(FAR).to_owned();
    assert!(again.starts_with("BYE ") && again.contains("nonce=\"n2\"") && again.contains("CSeq: 4 BYE"));
    w.says(FAR, &reply(FAR, &again, "200 OK", "b", "", ""));
    w.told();
    let leg = w.dial(0, "LG2", line(), "+12065550111");
    w.run(20);
    let invite = w.last(FAR).to_owned();
    assert!(invite.contains("nc=00000002") && invite.contains("nonce=\"n2\""));
    w.says(FAR, &proxy(&invite));
    let last = w.last(FAR).to_owned();
    w.says(FAR, &proxy(&last));
    assert!(w.last(FAR).starts_with("ACK "));
    assert_eq!(w.events(0), [(leg, refused(EndCause::Rejected))]);
    w.assert_clean();
}

#[test]
fn an_interval_that_is_too_small_for_the_far_side_is_raised() {
    let mut settings = settings();
    settings.session_expires = Duration::from_secs(120);
    let mut w = shop_with(settings, trunk("t", FAR), device("desk"));
    let (_, invite) = out(&mut w);
    assert_eq!(header(&invite, "Session-Expires"), Some("120"));
    w.says(FAR, &reply(FAR, &invite, "422 Session Interval Too Small", "a", "Min-SE: 300\r\n", ""));
    let second = w.last(FAR).to_owned();
    assert_eq!((header(&second, "Session-Expires"), header(&second, "Min-SE")), (Some("300"), Some("300")));
    let granted = "Session-Expires: 300;refresher=uac\r\nAllow: INVITE, UPDATE\r\n";
    w.says(FAR, &reply(FAR, &second, "200 OK", "a", granted, &sdp(FAR, "")));
    w.heard(FAR);
    w.run(149_000);
    assert!(w.heard(FAR).is_empty());
    w.run(2_000);
    let update = w.last(FAR).to_owned();
    assert!(update.starts_with("UPDATE ") && !update.contains("m=audio"));
    assert_eq!(header(&update, "Session-Expires"), Some("300;refresher=uac"));
    w.says(FAR, &reply(FAR, &update, "200 OK", "a", granted, ""));
    w.told();
    w.run(151_000);
    // This one is not answered: the dialog is given up.
    w.run(33_000);
    assert_eq!(w.told(), [LegEvent::Ended { cause: EndCause::LineDown }]);
    assert!(w.last(FAR).starts_with("BYE "));
    w.assert_clean();
}

#[test]
fn an_address_that_is_out_of_service_gives_way_to_the_next() {
    let mut w = shop();
    let now = w.at();
    w.nodes[0].agent.handle_routes(&"t".into(), vec![route(0, FAR), route(0, 7)], now);
    let (leg, invite) = out(&mut w);
    w.says(FAR, &reply(FAR, &invite, "503 Service Unavailable", "a", "Retry-After: 30\r\n", ""));
    let second = w.last(7).to_owned();
    assert!(second.starts_with("INVITE "));
    w.says(7, &reply(7, &second, "503 Service Unavailable", "a", "Retry-After: 60\r\n", ""));
    let cause = EndCause::Unavailable;
    let after = Some(Duration::from_secs(30));
    assert_eq!(w.events(0), [(leg, LegEvent::Refused { cause, retry_after: after })]);
    w.assert_clean();
}

#[test]
fn an_address_that_is_silent_gives_way_to_the_next_and_its_late_answer_is_let_go() {
    let mut w = shop();
    let now = w.at();
    w.nodes[0].agent.handle_routes(&"t".into(), vec![route(0, FAR), route(0, 7)], now);
    let (leg, invite) = out(&mut w);
    w.run(4_100);
    let second = w.last(7).to_owned();
    w.says(7, &reply(7, &second, "200 OK", "b", "", &sdp(7, "")));
    assert_eq!(w.events(0), [(leg.clone(), LegEvent::Answered)]);
    w.heard(FAR);
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", &sdp(FAR, "")));
    assert_eq!(w.heard(FAR), ["ACK", "BYE"]);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_trunk_that_never_answers_is_down_and_looked_up_again() {
    let mut w = shop();
    let (leg, _) = out(&mut w);
    w.run(33_000);
    assert_eq!(w.events(0), [(leg, refused(EndCause::LineDown))]);
    assert!(w.nodes[0].others.contains(&Output::Resolve("t".into())));
    w.assert_clean();
}

#[test]
fn media_in_an_answer_that_points_elsewhere_ends_the_call() {
    let mut w = shop();
    let (leg, invite) = out(&mut w);
    w.heard(FAR);
    let elsewhere = sdp(FAR, "").replace("c=IN IP4 10.0.0.10", "c=IN IP4 192.0.2.9");
    w.says(FAR, &reply(FAR, &invite, "183 Session Progress", "a", "", &elsewhere));
    assert!(w.told().is_empty() && w.nodes[0].media.is_empty());
    w.says(FAR, &reply(FAR, &invite, "200 OK", "a", "", &elsewhere));
    assert_eq!(w.heard(FAR), ["ACK", "BYE"]);
    assert_eq!(w.events(0), [(leg, refused(EndCause::NoCodec))]);
    w.assert_clean();
}

#[test]
fn all_contacts_of_a_phone_ring_and_the_first_answer_silences_the_others() {
    let mut w = shop();
    let now = w.at();
    let mut second = binding(7);
    second.call_id = "other".to_owned();
    w.nodes[0].agent.restore(&"desk".into(), vec![second], now);
    let leg = w.dial(0, "LG1", desk(), "101");
    w.run(20);
    let (one, other) = (w.last(PHONE).to_owned(), w.last(7).to_owned());
    w.says(PHONE, &reply(PHONE, &one, "180 Ringing", "p", "", ""));
    w.says(7, &reply(7, &other, "180 Ringing", "q", "", ""));
    w.heard(PHONE);
    w.says(7, &reply(7, &other, "200 OK", "q", "", &sdp(7, "")));
    assert_eq!(w.told(), [LegEvent::Progress(Progress::Ringing), LegEvent::Answered]);
    assert!(w.last(PHONE).starts_with("CANCEL ") && w.last(PHONE).contains("completed elsewhere"));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_busy_contact_does_not_end_what_rings_beside_it_but_a_decline_does() {
    let mut w = shop();
    let now = w.at();
    let mut second = binding(7);
    second.call_id = "other".to_owned();
    w.nodes[0].agent.restore(&"desk".into(), vec![second], now);
    let leg = w.dial(0, "LG1", desk(), "101");
    w.run(20);
    let (one, other) = (w.last(PHONE).to_owned(), w.last(7).to_owned());
    w.says(PHONE, &reply(PHONE, &one, "486 Busy Here", "p", "", ""));
    assert!(w.told().is_empty());
    w.says(7, &reply(7, &other, "603 Decline", "q", "", ""));
    assert_eq!(w.events(0), [(leg, refused(EndCause::Declined))]);
    w.assert_clean();
}

#[test]
fn a_phone_that_is_not_registered_is_unreachable() {
    let mut w = shop();
    let leg = w.dial(0, "LG1", Via::Device("office".into()), "102");
    assert_eq!(w.events(0), [(leg, refused(EndCause::Unreachable))]);
    let leg = w.dial(0, "LG2", Via::Line("other".into()), "102");
    assert_eq!(w.events(0), [(leg, refused(EndCause::LineDown))]);
    w.assert_clean();
}

#[test]
fn who_calls_is_asserted_to_the_trunk_and_hidden_from_everybody_else() {
    let mut w = shop();
    let (leg, invite) = out(&mut w);
    assert!(header(&invite, "From").unwrap().starts_with("\"The Shop\" <sip:+12065550100@10.0.0.10>"));
    let asserted = Some("\"The Shop\" <sip:+12065550100@10.0.0.10>");
    assert_eq!(header(&invite, "P-Asserted-Identity"), asserted);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Cancelled });
    let number = PhoneNumber::parse("+12065550100", None).unwrap();
    let identity = Identity { address: Some(Address::Phone(number)), display: None, private: true };
    let command = LegCommand::Dial {
        via: line(),
        target: "911".into(),
        identity,
        ring_for: Some(Duration::from_secs(40)),
        emergency: true,
    };
    w.command(0, &"LG2".into(), command);
    w.run(20);
    let invite = w.last(FAR).to_owned();
    assert!(header(&invite, "From").unwrap().starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>"));
    assert_eq!(header(&invite, "P-Asserted-Identity"), Some("<sip:+12065550100@10.0.0.10>"));
    assert_eq!((header(&invite, "Privacy"), header(&invite, "Priority")), (Some("id"), Some("emergency")));
    assert_eq!(header(&invite, "Expires"), Some("40"));
}

#[test]
fn requests_of_a_dialog_take_the_recorded_route() {
    for (route, uri, rest) in [
        ("<sip:10.0.0.8:5060;lr>", "sip:far@10.0.0.10:5060", "Route: <sip:10.0.0.8:5060;lr>"),
        ("<sip:10.0.0.8:5060>", "sip:10.0.0.8:5060", "Route: <sip:far@10.0.0.10:5060>"),
    ] {
        let mut w = shop();
        let (leg, invite) = out(&mut w);
        let recorded = format!("Record-Route: {route}\r\n");
        w.says(FAR, &reply(FAR, &invite, "200 OK", "a", &recorded, &sdp(FAR, "")));
        w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
        w.run(20);
        let sent = w.log.iter().filter(|(_, _, to, _)| *to == address(7)).map(|(.., text)| text.clone());
        let sent: Vec<String> = sent.collect();
        assert!(
            sent[0].starts_with(&format!("ACK {uri} ")) && sent[1].starts_with(&format!("BYE {uri} ")),
            "{sent:?}"
        );
        assert!(sent.iter().all(|text| text.contains(rest)), "{sent:?}");
    }
}

#[test]
fn a_long_invite_takes_the_stream_and_falls_back_to_datagrams() {
    let mut w = shop();
    let now = w.at();
    let tcp = Route { hop: Hop { transport: Transport::Tcp, ..hop(FAR) }, local: address(0) };
    w.nodes[0].agent.handle_routes(&"t".into(), vec![route(0, FAR), tcp], now);
    let (leg, invite) = out(&mut w);
    assert!(invite.contains("Via: SIP/2.0/UDP "));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Cancelled });
    let number = PhoneNumber::parse("+12065550100", None).unwrap();
    let display = Some("long ".repeat(120));
    let identity = Identity { address: Some(Address::Phone(number)), display, private: false };
    let (via, target) = (line(), "+12065550111".into());
    let dial = LegCommand::Dial { via, target, identity, ring_for: None, emergency: false };
    w.command(0, &"LG2".into(), dial);
    w.run(20);
    assert!(w.last(FAR).starts_with("INVITE ") && w.last(FAR).contains("Via: SIP/2.0/TCP "));
    w.told();
    let now = w.at();
    w.nodes[0].agent.handle_transport_error(tcp, now);
    w.run(0);
    assert!(w.last(FAR).starts_with("INVITE ") && w.last(FAR).contains("Via: SIP/2.0/UDP "));
    assert!(w.told().is_empty());
    w.command(0, &"LG2".into(), LegCommand::Hangup { cause: EndCause::Cancelled });
    w.assert_clean();
}

#[test]
fn behind_a_nat_the_address_that_the_trunk_sees_is_told() {
    let setup = TrunkSetup { nat: true, options_every: Duration::from_secs(60), ..trunk("t", FAR) };
    let mut w = shop_with(settings(), setup, device("desk"));
    w.run(600);
    let options = w.last(FAR).to_owned();
    assert!(options.starts_with("OPTIONS "));
    let seen =
        reply(FAR, &options, "200 OK", "o", "", "").replace(";rport", ";received=198.51.100.1;rport=7777");
    w.says(FAR, &seen);
    let (_, invite) = out(&mut w);
    assert!(header(&invite, "Contact").unwrap().ends_with("@198.51.100.1:7777>"), "{invite}");
    assert!(
        invite.contains("c=IN IP4 198.51.100.1\r\n") && invite.contains("Via: SIP/2.0/UDP 10.0.0.1:5060;")
    );
}

#[test]
fn early_ends_of_a_leg_close_what_was_opened() {
    let mut w = shop();
    let leg = w.dial(0, "LG1", line(), "+12065550111");
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Cancelled });
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Cancelled });
    assert_eq!(w.events(0), [(leg, refused(EndCause::Cancelled))]);
    assert!(w.nodes[0].open.is_empty());
    w.assert_clean();
}
