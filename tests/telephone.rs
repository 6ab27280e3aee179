//! The whole program with telephones and a provider on loopback: what one says, the other hears.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hil::phone::{Auto, Call, How, Key, Phone, PhoneConfig};
use serde_json::Value;

mod the_box;

use the_box::{TheBox, free_port};

const PATIENCE: Duration = Duration::from_secs(10);
/// Phones are on 127.0.0.1, the provider is not.
const PROVIDER: &str = "127.0.0.2";
const SHOP_NUMBER: &str = "+12065550100";
const OUTSIDE: &str = "+12065550177";

/// With a trunk to `provider`.
fn with_trunk(provider: SocketAddr) -> TheBox {
    TheBox::start(|_| {
        format!(
            "[[line]]\nid = \"trunk\"\nkind = \"sip\"\ndomain = \"{PROVIDER}\"\nproxy = \"{provider}\"\n\
             transport = \"udp\"\nnumber = \"{SHOP_NUMBER}\"\nchannels = 2\noptions_every = 5\n"
        )
    })
}

fn without_trunk() -> TheBox {
    TheBox::start(|_| String::new())
}

/// The records of all calls, oldest first.
fn records(the_box: &TheBox) -> Vec<Value> {
    the_box.lines(&["calls", "--json"])
}

/// The causes of all calls that have ended, once there are so many.
fn causes(the_box: &TheBox, count: usize) -> Vec<String> {
    for _ in 0..200 {
        let all = records(the_box);
        let ended: Vec<String> =
            all.iter().filter_map(|r| Some(r["ended"][1].as_str()?.to_owned())).collect();
        if ended.len() >= count {
            return ended;
        }
    }
    panic!("{:#?}", records(the_box))
}

/// Each hears the other's tone and nothing of its own.
async fn both_ways(a: &Call, b: &Call) {
    a.play(&[440.0]);
    b.play(&[620.0]);
    b.wait_hears(440.0, PATIENCE).await.unwrap();
    a.wait_hears(620.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn two_phones_talk_press_keys_hold_and_hang_up() {
    let the_box = without_trunk();
    let (a, b) = (the_box.phone("101").await, the_box.phone("102").await);
    let call = a.call("102").await.unwrap();
    let rings = b.incoming(PATIENCE).await.unwrap();
    rings.ring().unwrap();
    call.ringing(PATIENCE).await.unwrap();
    rings.answer().unwrap();
    call.answered(PATIENCE).await.unwrap();
    rings.confirmed(PATIENCE).await.unwrap();
    both_ways(&call, &rings).await;
    for key in "42#".chars() {
        call.send_key(Key::try_from(key).unwrap(), How::Event).await.unwrap();
    }
    rings.wait_keys("42#", PATIENCE).await.unwrap();
    call.hold(PATIENCE).await.unwrap();
    call.resume(PATIENCE).await.unwrap();
    both_ways(&call, &rings).await;
    call.hangup(PATIENCE).await.unwrap();
    rings.ended(PATIENCE).await.unwrap();
    assert_eq!(causes(&the_box, 1), ["hangup"]);
    let record = &records(&the_box)[0];
    assert_eq!(record["from"]["address"]["value"], "101", "{record:#}");
    assert_eq!(record["legs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn busy_declined_unanswered_and_given_up_each_have_their_cause() {
    let the_box = without_trunk();
    let (a, b) = (the_box.phone("101").await, the_box.phone("102").await);
    let call = a.call("102").await.unwrap();
    b.incoming(PATIENCE).await.unwrap().busy().unwrap();
    call.ended(PATIENCE).await.unwrap();
    let call = a.call("102").await.unwrap();
    b.incoming(PATIENCE).await.unwrap().decline(603).unwrap();
    call.ended(PATIENCE).await.unwrap();
    let call = a.call("102").await.unwrap();
    let rings = b.incoming(PATIENCE).await.unwrap();
    rings.ring().unwrap();
    call.ringing(PATIENCE).await.unwrap();
    call.cancel(PATIENCE).await.unwrap();
    rings.ended(PATIENCE).await.unwrap();
    let call = a.call("103").await.unwrap();
    call.ended(PATIENCE).await.unwrap();
    let call = a.call("777").await.unwrap();
    call.ended(PATIENCE).await.unwrap();
    assert_eq!(causes(&the_box, 5), ["busy", "declined", "cancelled", "unreachable", "bad_number"]);
}

#[tokio::test]
async fn the_echo_and_the_tone_answer_whoever_tries_his_phone() {
    let the_box = without_trunk();
    let a = the_box.phone("101").await;
    let echo = a.call("*43").await.unwrap();
    echo.answered(PATIENCE).await.unwrap();
    echo.play(&[440.0]);
    echo.wait_hears(440.0, PATIENCE).await.unwrap();
    echo.hangup(PATIENCE).await.unwrap();
    let tone = a.call("*44").await.unwrap();
    tone.answered(PATIENCE).await.unwrap();
    tone.wait_hears(1004.0, PATIENCE).await.unwrap();
    tone.hangup(PATIENCE).await.unwrap();
}

/// What the provider's side is played by.
async fn provider(the_box: impl FnOnce(SocketAddr) -> TheBox) -> (TheBox, Phone) {
    let ip: IpAddr = PROVIDER.parse().unwrap();
    let port = free_port(PROVIDER);
    let the_box = the_box(SocketAddr::new(ip, port));
    let config =
        PhoneConfig { ip, port, auto: Auto::Nothing, ..PhoneConfig::new(the_box.address, "provider", "") };
    (the_box, Phone::start(config).await.unwrap())
}

#[tokio::test]
async fn a_call_from_outside_rings_every_phone_and_one_goes_out_by_the_trunk() {
    let (the_box, provider) = provider(with_trunk).await;
    let (a, b) = (the_box.phone("101").await, the_box.phone("102").await);
    let call = provider.call(SHOP_NUMBER).await.unwrap();
    let (first, second) = (a.incoming(PATIENCE).await.unwrap(), b.incoming(PATIENCE).await.unwrap());
    first.ring().unwrap();
    second.ring().unwrap();
    call.ringing(PATIENCE).await.unwrap();
    second.answer().unwrap();
    call.answered(PATIENCE).await.unwrap();
    first.ended(PATIENCE).await.unwrap();
    both_ways(&call, &second).await;
    second.hangup(PATIENCE).await.unwrap();
    call.ended(PATIENCE).await.unwrap();

    let call = a.call(OUTSIDE).await.unwrap();
    let outside = provider.incoming(PATIENCE).await.unwrap();
    assert_eq!(outside.number(), OUTSIDE);
    outside.answer().unwrap();
    call.answered(PATIENCE).await.unwrap();
    both_ways(&call, &outside).await;
    outside.hangup(PATIENCE).await.unwrap();
    call.ended(PATIENCE).await.unwrap();
    assert_eq!(causes(&the_box, 2), ["hangup", "hangup"]);
    let directions: Vec<Value> = records(&the_box).iter().map(|r| r["direction"].clone()).collect();
    assert_eq!(directions, ["inbound", "outbound"]);
}

#[tokio::test]
async fn a_stop_says_goodbye_to_everybody_and_a_crash_is_told_in_the_record() {
    let mut the_box = without_trunk();
    let (a, b) = (the_box.phone("101").await, the_box.phone("102").await);
    let call = a.call("102").await.unwrap();
    let rings = b.incoming(PATIENCE).await.unwrap();
    rings.answer().unwrap();
    call.answered(PATIENCE).await.unwrap();
    both_ways(&call, &rings).await;
    let began = std::time::Instant::now();
    let pid = rustix::process::Pid::from_child(&the_box.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    call.ended(PATIENCE).await.unwrap();
    rings.ended(PATIENCE).await.unwrap();
    assert!(the_box.child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(causes(&the_box, 1), ["stopped"]);

    // Nobody has to register again: where the phones are is kept.
    b.set_auto(Auto::Ring);
    the_box.again();
    let call = called(&a, "102").await;
    let rings = b.incoming(PATIENCE).await.unwrap();
    rings.answer().unwrap();
    call.answered(PATIENCE).await.unwrap();
    both_ways(&call, &rings).await;
    the_box.child.kill().unwrap();
    the_box.again();
    assert_eq!(causes(&the_box, 2), ["stopped", "crash"]);
    called(&a, "102").await;
    b.incoming(PATIENCE).await.unwrap();
}

/// Calls until the box is there to take it.
async fn called(phone: &Phone, number: &str) -> Call {
    let call = phone.call(number).await.unwrap();
    call.ringing(PATIENCE).await.map_or_else(|why| panic!("{why:?}"), |_| call)
}
