//! Calls that come in, up to their answer and its ACK.

use super::script::*;
use super::world::*;
use crate::sip::message::Message;
use crate::types::*;

fn ended(cause: EndCause) -> LegEvent {
    LegEvent::Ended { cause }
}

#[test]
fn an_invite_without_offer_gets_one_in_the_answer_and_its_answer_in_the_ack() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "", ""));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::EarlyMedia);
    w.run(20);
    assert!(!w.last(FAR).contains("m=audio"), "an offer of ours went where no answer can come back");
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    assert!(w.last(FAR).contains("m=audio"));
    assert!(w.nodes[0].media.is_empty());
    far.learn(w.last(FAR));
    w.says(FAR, &far.same("ACK", "", &sdp(FAR, "")));
    assert_eq!(w.nodes[0].media[&leg].remote, Some("10.0.0.10:4000".parse().unwrap()));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn an_offer_that_is_never_answered_ends_the_call() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "", ""));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    far.learn(w.last(FAR));
    w.heard(FAR);
    w.says(FAR, &far.same("ACK", "", ""));
    assert_eq!(w.heard(FAR), ["BYE"]);
    assert_eq!(w.told(), [ended(EndCause::NoCodec)]);
    w.assert_clean();
}

#[test]
fn an_answer_is_repeated_until_64_t1_and_then_the_call_ends() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "", &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.heard(FAR);
    w.command(0, &leg, LegCommand::Answer);
    w.run(31_900);
    let heard = w.heard(FAR);
    assert_eq!(heard.len(), 11, "{heard:?}");
    assert!(heard.iter().all(|word| word == "200"));
    w.run(200);
    assert_eq!(w.heard(FAR), ["BYE"]);
    assert_eq!(w.told(), [ended(EndCause::LineDown)]);
    w.assert_clean();
}

#[test]
fn a_hangup_before_the_ack_waits_for_it_with_its_bye() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "", &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    far.learn(w.last(FAR));
    w.heard(FAR);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    assert_eq!(w.told(), [ended(EndCause::Hangup)]);
    w.run(600);
    assert_eq!(w.heard(FAR), ["200"]);
    w.says(FAR, &far.same("ACK", "", ""));
    assert_eq!(w.heard(FAR), ["BYE"]);
    w.assert_clean();
}

#[test]
fn who_requires_reliable_ringing_gets_it_and_the_answer_waits_for_the_prack() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "Require: 100rel\r\n", &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.heard(FAR);
    w.command(0, &leg, LegCommand::EarlyMedia);
    w.run(1_600);
    assert_eq!(w.heard(FAR), ["183", "183", "183"]);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    assert!(w.heard(FAR).is_empty(), "the 183 carries the answer and has no PRACK yet");
    w.run(2_000);
    let ringing = w.last(FAR).to_owned();
    far.learn(&ringing);
    assert!(ringing.contains("m=audio") && ringing.contains("Require: 100rel"));
    let rseq: u32 = header(&ringing, "RSeq").unwrap().parse().unwrap();
    w.heard(FAR);
    w.says(FAR, &far.next("PRACK", &format!("RAck: {} 100 INVITE\r\n", rseq + 1), ""));
    assert_eq!(w.heard(FAR), ["481"]);
    w.says(FAR, &far.next("PRACK", &format!("RAck: {rseq} 100 INVITE\r\n"), ""));
    assert!(!w.last(FAR).contains("m=audio"), "the answer went with the 183");
    assert_eq!(w.heard(FAR), ["200", "200"]);
    let ack = Far { cseq: 100, ..far.clone() };
    w.says(FAR, &ack.same("ACK", "", ""));
    w.says(FAR, &far.next("BYE", "", ""));
    assert_eq!(w.told(), [ended(EndCause::Hangup)]);
    w.assert_clean();
}

#[test]
fn reliable_ringing_that_nobody_acknowledges_ends_the_call() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "Require: 100rel\r\n", &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::EarlyMedia);
    w.run(33_000);
    assert!(w.last(FAR).starts_with("SIP/2.0 500 "));
    assert_eq!(w.told(), [ended(EndCause::LineDown)]);
    w.says(FAR, &far.same("ACK", "", ""));
    w.assert_clean();
}

#[test]
fn an_offer_in_a_reliable_ringing_is_answered_in_its_prack() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "Require: 100rel\r\n", ""));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::EarlyMedia);
    w.run(20);
    let early = w.last(FAR).to_owned();
    assert!(early.starts_with("SIP/2.0 183 ") && early.contains("m=audio"));
    far.learn(&early);
    w.says(FAR, &far.next("PRACK", "RAck: 1 100 INVITE\r\n", &sdp(FAR, "")));
    assert!(w.nodes[0].media[&leg].sends);
    w.says(FAR, &far.next("UPDATE", "", &sdp(FAR, "a=sendonly\r\n")));
    assert!(w.last(FAR).contains("a=recvonly"));
    assert!(!w.nodes[0].media[&leg].sends);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Declined });
    w.run(20);
    assert!(w.last(FAR).starts_with("SIP/2.0 603 ") && w.last(FAR).contains("Reason: Q.850;cause=21"));
    let ack = Far { cseq: 100, ..far };
    w.says(FAR, &ack.ack_refusal());
    w.assert_clean();
}

#[test]
fn what_was_cancelled_is_not_answered() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "", &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.heard(FAR);
    w.says(FAR, &far.same("CANCEL", "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n", ""));
    assert_eq!(w.heard(FAR), ["200", "487"]);
    assert_eq!(w.told(), [ended(EndCause::Elsewhere)]);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    assert!(w.heard(FAR).is_empty());
    w.says(FAR, &far.ack_refusal());
    w.assert_clean();
}

#[test]
fn a_cancel_that_the_answer_overtook_changes_nothing() {
    let mut w = shop();
    let (leg, mut far) = w.talking();
    let cancel = Far { cseq: 100, to: "<sip:+12065550199@10.0.0.1>".to_owned(), ..far.clone() };
    w.says(FAR, &cancel.same("CANCEL", "", ""));
    assert_eq!(w.heard(FAR), ["200"]);
    assert!(w.told().is_empty());
    w.says(FAR, &far.next("BYE", "", ""));
    assert_eq!(w.events(0), [(leg, ended(EndCause::Hangup))]);
    w.assert_clean();
}

#[test]
fn media_that_points_elsewhere_is_refused_before_anybody_rings() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "", &sdp(FAR, "").replace("c=IN IP4 10.0.0.10", "c=IN IP4 192.0.2.9")));
    assert!(w.last(FAR).starts_with("SIP/2.0 488 "));
    assert!(w.told().is_empty());
    w.says(FAR, &far.ack_refusal());
    w.assert_clean();
}

#[test]
fn a_phone_that_must_be_secure_is_never_talked_to_in_the_clear() {
    let mut setup = device("desk");
    setup.secure = true;
    let mut w = shop_with(settings(), trunk("t", FAR), setup);
    let leg = w.dial(0, "LG1", Via::Device("desk".into()), "101");
    w.run(20);
    let invite = w.last(PHONE).to_owned();
    assert!(invite.contains("RTP/SAVP") && invite.contains("a=crypto:1 "));
    w.heard(PHONE);
    w.says(PHONE, &reply(PHONE, &invite, "200 OK", "p", "", &sdp(PHONE, "")));
    assert_eq!(w.heard(PHONE), ["ACK", "BYE"]);
    assert_eq!(w.events(0), [(leg, LegEvent::Refused { cause: EndCause::NoCodec, retry_after: None })]);
    w.assert_clean();
}

#[test]
fn encrypted_audio_is_taken_when_it_is_offered_and_kept_for_the_call() {
    let mut w = shop();
    let mut far = Far::calls(FAR, "+12065550199");
    let key = "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
    let secure = sdp(FAR, key).replace("RTP/AVP", "RTP/SAVP");
    w.says(FAR, &far.same("INVITE", "", &secure));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    far.learn(w.last(FAR));
    assert!(w.last(FAR).contains("RTP/SAVP") && w.last(FAR).contains("a=crypto:7 "));
    assert!(w.nodes[0].media[&leg].srtp.is_some());
    w.says(FAR, &far.same("ACK", "", ""));
    w.says(FAR, &far.next("INVITE", "", &sdp(FAR, "")));
    assert!(w.last(FAR).starts_with("SIP/2.0 488 "), "never a silent fall-back");
    assert!(w.nodes[0].media[&leg].srtp.is_some());
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_registered_phone_that_calls_for_help_is_known_although_it_is_not_asked_for_a_password() {
    let mut w = shop();
    w.says(PHONE, &Far::calls(PHONE, "911").same("INVITE", "", &sdp(PHONE, "")));
    let (leg, offer) = w.offered(0);
    assert!(offer.emergency);
    assert_eq!(offer.via, Via::Device("desk".into()));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Nobody });
    // From another port it is who it says it is; a stranger at another address is not.
    let named = |far: &mut Far| far.from = far.from.replace("+12065550123", "desk");
    for (node, port, wanted) in [(PHONE, 40_000, "desk"), (5, 40_000, "unknown-phone")] {
        let mut far = Far::calls(node, "911");
        named(&mut far);
        far.call_id.push_str("-again");
        let from = core::net::SocketAddr::new(address(node).ip(), port);
        w.told();
        w.inject(from, 0, far.same("INVITE", "", &sdp(node, "")).as_bytes());
        w.run(20);
        let (leg, offer) = w.offered(0);
        assert_eq!(offer.via, Via::Device(wanted.into()));
        w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Nobody });
    }
}

#[test]
fn a_stranger_learns_nothing_and_who_needs_help_is_not_asked_who_he_is() {
    let mut w = shop();
    for user in ["desk", "nobody", "+12065550111"] {
        w.says(5, &Far::calls(5, user).same("INVITE", "", &sdp(5, "")));
        assert!(w.last(5).starts_with("SIP/2.0 401 "), "{}", w.last(5));
    }
    assert!(w.told().is_empty());
    let far = Far::calls(5, "911");
    w.says(5, &far.same("INVITE", "", &sdp(5, "")));
    let (leg, offer) = w.offered(0);
    assert!(offer.emergency && offer.to.as_str() == "911" && offer.via.line().is_none());
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Nobody });
    w.run(20);
    let outside = core::net::SocketAddr::from(([203, 0, 113, 5], 5060));
    w.inject(outside, 0, far.same("INVITE", "", "").replace("call-911", "other").as_bytes());
    w.run(50);
    let told =
        w.log.iter().filter(|(_, _, to, _)| *to == outside).map(|(.., t)| &t[..11]).collect::<Vec<_>>();
    assert_eq!(told, ["SIP/2.0 401"]);
}

#[test]
fn an_invite_that_replaces_nothing_here_is_told_so() {
    let mut w = shop();
    let (leg, far) = w.talking();
    let tag = far.to.rsplit_once("tag=").unwrap().1.to_owned();
    let second = Far::calls(FAR, "+12065550188");
    w.says(FAR, &second.same("INVITE", "Replaces: x;to-tag=a;from-tag=b\r\n", &sdp(FAR, "")));
    assert!(w.last(FAR).starts_with("SIP/2.0 481 "));
    let third = Far::calls(FAR, "+12065550177");
    let replaces = format!("Replaces: call-+12065550199-9;to-tag={tag};from-tag=far9\r\n");
    w.says(FAR, &third.same("INVITE", &replaces, &sdp(FAR, "")));
    assert!(w.last(FAR).starts_with("SIP/2.0 603 "));
    assert!(w.told().is_empty());
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_caller_that_the_trunk_asserts_is_believed_and_privacy_is_kept() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    let asserted = "P-Asserted-Identity: \"Ann\" <sip:+12065550777@p>, <tel:+12065550777>\r\nPrivacy: id\r\n";
    w.says(FAR, &far.same("INVITE", asserted, &sdp(FAR, "")));
    let (leg, offer) = w.offered(0);
    assert_eq!(offer.from.address.as_ref().map(Address::as_str), Some("+12065550777"));
    assert!(offer.from.private && offer.from.display.as_deref() == Some("Ann"));
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Busy });
    w.run(20);
    assert!(matches!(read(w.last(FAR)), Message::Response(r) if r.status.code() == 486));
}

#[test]
fn an_invite_that_expires_is_not_answered_any_more() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    w.says(FAR, &far.same("INVITE", "Expires: 20\r\n", &sdp(FAR, "")));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Ring);
    w.run(20_100);
    assert!(w.last(FAR).starts_with("SIP/2.0 487 "));
    assert_eq!(w.told(), [ended(EndCause::Cancelled)]);
    w.assert_clean();
}

#[test]
fn a_session_interval_below_90_s_is_too_small() {
    let mut w = shop();
    let far = Far::calls(FAR, "+12065550199");
    let headers = "Supported: timer\r\nSession-Expires: 30\r\n";
    w.says(FAR, &far.same("INVITE", headers, &sdp(FAR, "")));
    assert!(w.last(FAR).starts_with("SIP/2.0 422 ") && w.last(FAR).contains("Min-SE: 90"));
    assert!(w.told().is_empty());
}

#[test]
fn who_has_the_tags_of_a_phones_call_but_not_its_address_needs_its_password() {
    let mut w = shop();
    let mut far = Far::calls(PHONE, "911");
    w.says(PHONE, &far.same("INVITE", "", &sdp(PHONE, "")));
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Answer);
    w.run(20);
    far.learn(w.last(PHONE));
    let stranger = |far: &Far| Far { node: 5, ..far.clone() };
    // Not even its ACK counts: it might carry a description.
    w.says(5, &stranger(&far).same("ACK", "", ""));
    w.says(PHONE, &far.same("ACK", "", ""));
    for (method, more, body) in [
        ("REFER", "Refer-To: <sip:+19005550100@10.0.0.1>\r\n", ""),
        ("INVITE", "", sdp(5, "").as_str()),
        ("BYE", "", ""),
    ] {
        far.cseq += 1;
        w.says(5, &stranger(&far).same(method, more, body));
        assert!(w.last(5).starts_with("SIP/2.0 401 "), "{method}: {}", w.last(5));
    }
    assert!(w.told().is_empty());
    w.says(PHONE, &far.next("BYE", "", ""));
    assert_eq!(w.told(), [ended(EndCause::Hangup)]);
}
