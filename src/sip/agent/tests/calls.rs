//! Whole calls between phones, box and provider.

use super::world::*;
use crate::types::*;

fn line() -> Via {
    Via::Line("t".into())
}

fn desk() -> Via {
    Via::Device("desk".into())
}

#[test]
fn a_call_from_the_provider_reaches_a_phone_that_answers() {
    let mut w = World::shop();
    let far = w.dial(3, "far", Via::Line("shop".into()), "+12065550199");
    w.run(100);
    let (leg, offer) = w.offered(0);
    assert_eq!(offer.via, line());
    assert_eq!(offer.to.as_str(), "+12065550199");
    assert_eq!(offer.from.address.as_ref().unwrap().as_str(), "+12065550100");
    let phone = w.dial(0, "LG1", desk(), "101");
    w.run(100);
    let (ringing, offer) = w.offered(1);
    assert_eq!(offer.from.display.as_deref(), Some("The Shop"));
    w.command(1, &ringing, LegCommand::Ring);
    w.run(50);
    assert_eq!(w.events(0), [(phone.clone(), LegEvent::Progress(Progress::Ringing))]);
    w.command(0, &leg, LegCommand::Ring);
    w.command(1, &ringing, LegCommand::Answer);
    w.run(50);
    assert_eq!(w.events(0), [(phone.clone(), LegEvent::Answered)]);
    w.command(0, &leg, LegCommand::Answer);
    w.run(50);
    let far_events: Vec<LegEvent> = w.events(3).into_iter().map(|(_, e)| e).collect();
    assert_eq!(far_events, [LegEvent::Progress(Progress::Ringing), LegEvent::Answered]);
    assert_eq!(w.ladder(3, 0), ["> INVITE", "< 100", "< 180", "< 200", "> ACK"]);
    let stream = &w.nodes[0].media[&leg];
    assert_eq!(stream.remote.unwrap().ip(), address(3).ip());
    assert!(stream.sends && stream.receives && stream.telephone_event.is_some());
    w.command(3, &far, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(50);
    assert_eq!(w.events(0), [(leg, LegEvent::Ended { cause: EndCause::Hangup })]);
    w.command(0, &phone, LegCommand::Hangup { cause: EndCause::Hangup });
    w.run(50);
    assert_eq!(w.events(1), [(ringing, LegEvent::Ended { cause: EndCause::Hangup })]);
    w.assert_clean();
}

#[test]
fn a_phone_calls_out_after_one_challenge() {
    let mut w = World::shop();
    w.log.clear();
    let phone = w.dial(1, "me", Via::Line("box".into()), "2065550111");
    w.run(100);
    let (leg, offer) = w.offered(0);
    assert_eq!((offer.via, offer.to.as_str(), offer.emergency), (desk(), "2065550111", false));
    let out = w.dial(0, "LG1", line(), "+12065550111");
    w.run(100);
    let (callee, offer) = w.offered(3);
    assert_eq!(offer.to.as_str(), "+12065550111");
    w.command(3, &callee, LegCommand::Hangup { cause: EndCause::Busy });
    w.run(100);
    assert_eq!(w.events(0), [(out, LegEvent::Refused { cause: EndCause::Busy, retry_after: None })]);
    w.command(0, &leg, LegCommand::Hangup { cause: EndCause::Busy });
    w.run(100);
    assert_eq!(w.events(1), [(phone, LegEvent::Refused { cause: EndCause::Busy, retry_after: None })]);
    assert_eq!(w.ladder(1, 0), ["> INVITE", "< 401", "> ACK", "> INVITE", "< 100", "< 486", "> ACK"]);
    w.assert_clean();
}

#[test]
fn a_caller_who_gives_up_is_heard_of_as_that() {
    let mut w = World::shop();
    let far = w.dial(3, "far", Via::Line("shop".into()), "+12065550199");
    w.run(100);
    let (leg, _) = w.offered(0);
    w.command(0, &leg, LegCommand::Ring);
    w.run(100);
    w.command(3, &far, LegCommand::Hangup { cause: EndCause::Cancelled });
    w.run(100);
    assert_eq!(w.events(0), [(leg, LegEvent::Ended { cause: EndCause::Cancelled })]);
    assert_eq!(w.ladder(3, 0), ["> INVITE", "< 180", "> CANCEL", "< 200", "< 487", "> ACK"]);
    w.assert_clean();
}
