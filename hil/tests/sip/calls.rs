//! Two phones without anything in between: what a call is made of.

use super::{PATIENCE, talk, tcp};
use hil::phone::{By, Law, Path, PhoneConfig, Timers};
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
