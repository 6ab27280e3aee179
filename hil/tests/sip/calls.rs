//! Two phones without anything in between: what a call is made of.

use super::{NOWHERE, PATIENCE, phone, talk, tcp};
use hil::phone::{Auto, By, Emergency, Error, How, Key, Law, Outgoing, Path, PhoneConfig, Ring, Timers};
use hil::ua::{Quirks, Wrong};
use std::time::Duration;

async fn hear_each_other(change: impl Fn(&mut PhoneConfig)) {
    let (_caller, _called, ours, theirs) = talk(change).await;
    ours.sound().wait_hears_only(&[620.0], PATIENCE).await.unwrap();
    theirs.sound().wait_hears_only(&[440.0], PATIENCE).await.unwrap();
    ours.play(&[500.0, 900.0]);
    theirs.sound().wait_hears_only(&[500.0, 900.0], PATIENCE).await.unwrap();
    ours.hangup(PATIENCE).await.unwrap();
    let (mine, other) = (ours.ended(PATIENCE).await.unwrap(), theirs.ended(PATIENCE).await.unwrap());
    assert_eq!((mine.by, mine.status), (By::Us, 200));
    assert_eq!((other.by, other.status), (By::Them, 200));
    theirs.wait_silence(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn both_ends_hear_the_others_tone_over_udp() {
    hear_each_other(|_| {}).await;
}

#[tokio::test]
async fn both_ends_hear_the_others_tone_over_tcp() {
    hear_each_other(tcp).await;
}

#[tokio::test]
async fn both_ends_hear_the_others_tone_in_a_law() {
    hear_each_other(|config| config.codecs = vec![Law::A]).await;
}

#[tokio::test]
async fn both_ends_hear_the_others_tone_with_srtp() {
    hear_each_other(|config| config.secure = true).await;
}

#[tokio::test]
async fn a_fifth_of_the_signalling_lost_ends_no_call() {
    for seed in 0..3 {
        hear_each_other(|config| {
            config.seed = seed;
            config.timers = Timers { t1: Duration::from_millis(20), t2: Duration::from_millis(160) };
            config.sip_path = Path { loss: 0.1, duplicate: 0.1, reorder: 0.1, ..Path::default() };
        })
        .await;
    }
}

#[tokio::test]
async fn lost_doubled_and_reordered_sound_is_counted_and_still_heard() {
    let (_caller, _called, ours, theirs) = talk(|config| {
        config.seed = 5;
        config.rtp_path = Path { loss: 0.05, duplicate: 0.1, reorder: 0.05, jitter_ms: 5, delay_ms: 10 };
    })
    .await;
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    let all = |heard: hil::rtp::Heard| heard.doubled > 0 && heard.late > 0 && heard.missing > 0;
    let met = async {
        while !all(theirs.heard()) {
            // The clock of 20 ms turns the ear on and off; every turn is a look at the books.
            drop(theirs.sound().wait_keys("1", Duration::from_millis(20)).await);
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap();
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    ours.hangup(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn keys_travel_as_events_in_info_and_in_band() {
    let (_caller, _called, ours, theirs) = talk(|_| {}).await;
    ours.play(&[]);
    for (keys, how) in [("159*", How::Event), ("7#", How::Info), ("0D", How::InBand)] {
        for key in keys.chars() {
            ours.send_key(Key::try_from(key).unwrap(), how).await.unwrap();
        }
        theirs.wait_keys(keys, PATIENCE).await.unwrap();
    }
    let heard = theirs.keys_heard();
    assert_eq!(heard.len(), 8, "each once: {heard:?}");
    assert_eq!(heard.iter().map(|key| key.how).collect::<Vec<_>>()[3..5], [How::Event, How::Info]);
}

#[tokio::test]
async fn who_is_on_hold_hears_nothing_until_resumed() {
    let (_caller, _called, ours, theirs) = talk(|_| {}).await;
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    ours.hold(PATIENCE).await.unwrap();
    theirs.wait_held(true, PATIENCE).await.unwrap();
    theirs.wait_silence(PATIENCE).await.unwrap();
    ours.wait_silence(PATIENCE).await.unwrap();
    ours.resume(PATIENCE).await.unwrap();
    theirs.wait_held(false, PATIENCE).await.unwrap();
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    ours.wait_hears(620.0, PATIENCE).await.unwrap();
    theirs.hangup(PATIENCE).await.unwrap();
    assert_eq!(ours.ended(PATIENCE).await.unwrap().by, By::Them);
}

#[tokio::test]
async fn a_call_is_cancelled_declined_or_refused_as_busy() {
    let called = phone(NOWHERE, "101", |config| config.auto = Auto::Ring).await;
    let caller = phone(called.local(), "100", |_| {}).await;
    let ours = caller.call("101").await.unwrap();
    ours.ringing(PATIENCE).await.unwrap();
    let end = ours.cancel(PATIENCE).await.unwrap();
    assert_eq!((end.by, end.status), (By::Cancelled, 487));
    let theirs = called.incoming(PATIENCE).await.unwrap();
    assert_eq!(theirs.ended(PATIENCE).await.unwrap().by, By::Cancelled);
    for status in [486, 603, 480] {
        called.set_auto(Auto::Refuse(status));
        let end = caller.call("101").await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!((end.by, end.status), (By::Refused, status));
    }
    let end = caller.call("101").await.unwrap();
    assert!(matches!(end.answered(PATIENCE).await, Err(Error::Ended(_))));
}

#[tokio::test]
async fn an_answer_that_crosses_the_cancel_is_hung_up_at_once() {
    let called = phone(NOWHERE, "101", |config| config.auto = Auto::Ring).await;
    let caller = phone(called.local(), "100", |_| {}).await;
    let ours = caller.call("101").await.unwrap();
    let theirs = called.incoming(PATIENCE).await.unwrap();
    theirs.misbehave(Quirks { answers_after_cancel: true, ..Quirks::default() });
    ours.ringing(PATIENCE).await.unwrap();
    assert_eq!(ours.cancel(PATIENCE).await.unwrap().by, By::Cancelled);
    assert_eq!(theirs.ended(PATIENCE).await.unwrap().by, By::Them);
}

#[tokio::test]
async fn a_blind_transfer_joins_the_two_others() {
    let third = phone(NOWHERE, "102", |config| {
        config.auto = Auto::Answer;
        config.tone = vec![880.0];
    })
    .await;
    let (_caller, called, ours, theirs) = talk(|config| config.direct = true).await;
    let status = ours.transfer_blind(&format!("sip:102@{}", third.local()), PATIENCE).await.unwrap();
    assert_eq!(status, 200);
    ours.hangup(PATIENCE).await.unwrap();
    theirs.ended(PATIENCE).await.unwrap();
    let joined = third.incoming(PATIENCE).await.unwrap();
    let new = called.calls().pop().unwrap();
    new.play(&[500.0]);
    new.wait_hears(880.0, PATIENCE).await.unwrap();
    joined.wait_hears(500.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn an_attended_transfer_replaces_the_call_of_the_one_in_the_middle() {
    let (caller, called, ours, theirs) = talk(|config| config.direct = true).await;
    let third = phone(NOWHERE, "102", |config| {
        config.auto = Auto::Answer;
        config.tone = vec![880.0];
    })
    .await;
    let asked = caller.call(&format!("sip:102@{}", third.local())).await.unwrap();
    asked.answered(PATIENCE).await.unwrap();
    let replaced = third.incoming(PATIENCE).await.unwrap();
    assert_eq!(ours.transfer_attended(&asked, PATIENCE).await.unwrap(), 200);
    assert_eq!(asked.ended(PATIENCE).await.unwrap().by, By::Them);
    assert_eq!(replaced.ended(PATIENCE).await.unwrap().reason, "replaced");
    ours.hangup(PATIENCE).await.unwrap();
    theirs.ended(PATIENCE).await.unwrap();
    let new = called.calls().pop().unwrap();
    new.wait_hears(880.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn reliable_ringing_with_early_media_is_acknowledged_and_heard() {
    let called = phone(NOWHERE, "101", |_| {}).await;
    let caller = phone(called.local(), "100", |_| {}).await;
    let ours = caller.call("101").await.unwrap();
    let theirs = called.incoming(PATIENCE).await.unwrap();
    theirs.play(&[425.0]);
    theirs.ring_with(&Ring { status: 183, early_media: true, reliable: true, fork: None }).unwrap();
    theirs.pracked(PATIENCE).await.unwrap();
    ours.wait_hears(425.0, PATIENCE).await.unwrap();
    theirs.ring_with(&Ring { reliable: true, ..Ring::default() }).unwrap();
    theirs.pracked(PATIENCE).await.unwrap();
    theirs.answer().unwrap();
    ours.answered(PATIENCE).await.unwrap();
    assert_eq!(ours.provisional(), [183, 180]);
    ours.hangup(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_call_without_an_offer_is_described_by_the_called_one() {
    let called = phone(NOWHERE, "101", |config| {
        config.auto = Auto::Answer;
        config.tone = vec![620.0];
    })
    .await;
    let caller = phone(called.local(), "100", |config| config.tone = vec![440.0]).await;
    let outgoing = Outgoing { to: "101".into(), late_offer: true, ..Outgoing::default() };
    let ours = caller.call_with(outgoing).await.unwrap();
    ours.answered(PATIENCE).await.unwrap();
    let theirs = called.incoming(PATIENCE).await.unwrap();
    ours.wait_hears(620.0, PATIENCE).await.unwrap();
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    ours.refresh("UPDATE", PATIENCE).await.unwrap();
    assert_eq!(theirs.refreshed(), 1);
}

#[tokio::test]
async fn an_offer_that_cannot_be_answered_is_refused() {
    let called = phone(NOWHERE, "101", |config| config.auto = Auto::Answer).await;
    let caller = phone(called.local(), "100", |_| {}).await;
    for wrong in [Wrong::NoCommonCodec, Wrong::Garbage] {
        let quirks = Quirks { wrong: Some(wrong), ..Quirks::default() };
        let outgoing = Outgoing { to: "101".into(), quirks, ..Outgoing::default() };
        let end = caller.call_with(outgoing).await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!(end.status, 488, "{wrong:?}");
    }
    let insecure = phone(called.local(), "102", |config| config.secure = true).await;
    assert_eq!(insecure.call("101").await.unwrap().ended(PATIENCE).await.unwrap().status, 488);
}

#[tokio::test]
async fn an_answer_that_is_never_acknowledged_ends_the_call() {
    let quick = Timers { t1: Duration::from_millis(5), t2: Duration::from_millis(40) };
    let called = phone(NOWHERE, "101", |config| {
        config.auto = Auto::Answer;
        config.timers = quick;
    })
    .await;
    let caller = phone(called.local(), "100", |_| {}).await;
    let quirks = Quirks { never_acknowledges: true, ..Quirks::default() };
    let ours = caller.call_with(Outgoing { to: "101".into(), quirks, ..Outgoing::default() }).await.unwrap();
    assert_eq!(called.incoming(PATIENCE).await.unwrap().ended(PATIENCE).await.unwrap().by, By::Silence);
    assert_eq!(ours.ended(PATIENCE).await.unwrap().by, By::Them);
}

#[tokio::test]
async fn nobody_at_the_other_end_is_silence() {
    let caller = phone(NOWHERE, "100", |config| {
        config.timers = Timers { t1: Duration::from_millis(5), t2: Duration::from_millis(40) };
    })
    .await;
    let end = caller.call("101").await.unwrap().ended(PATIENCE).await.unwrap();
    assert_eq!((end.by, end.status), (By::Silence, 408));
    assert!(matches!(caller.register(PATIENCE).await, Err(Error::TimedOut(_))));
}

#[tokio::test]
async fn an_emergency_number_is_not_dialled_unless_it_was_asked_for() {
    let caller = phone(NOWHERE, "100", |_| {}).await;
    for number in ["911", "sip:112@127.0.0.1:9", "urn:service:sos", "9911"] {
        assert!(matches!(caller.call(number).await, Err(Error::Emergency(_))), "{number}");
    }
    assert!(caller.agent().endpoint().passed().is_empty(), "nothing left the phone");
    let away =
        phone("192.0.2.1:5060".parse().unwrap(), "100", |config| config.emergency = Emergency::Answer).await;
    assert!(matches!(away.call("911").await, Err(Error::Emergency(_))), "never off this machine");
}
