//! Providers with faults: the call goes by another line, or ends with the right cause.

use super::shop::{JANE, PATIENCE, Shop, Wanted, both_ways, cause};
use hil::phone::{Auto, By};
use hil::trunk::{Change, Fork, Path, Plan, Ringing, Wrong};

#[tokio::test]
async fn a_call_that_one_trunk_cannot_carry_goes_by_the_other() {
    let shop = Shop::open(Wanted { trunks: 2, ..Wanted::default() }).await;
    shop.trunks[0].route(JANE, Plan::refuse(503));
    shop.trunks[1].route(JANE, Plan::answer(700.0));
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let jane = shop.trunks[1].taken(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    call.hangup(PATIENCE).await.unwrap();
    let record = shop.ended(1).await.remove(0);
    assert_eq!((cause(&record).as_str(), &record["line"]), ("hangup", &"trunk1".into()), "{record:#}");
    let mut legs: Vec<String> = record["legs"].as_array().unwrap().iter().map(cause).collect();
    legs.sort();
    assert_eq!(legs, ["hangup", "hangup", "unavailable"], "{record:#}");
}

#[tokio::test]
async fn early_media_reliable_ringing_and_forks_come_through() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let ring = Ringing { status: 183, early_media: true, reliable: true, after_ms: 0 };
    let forks = vec![Fork { answers: true }, Fork { answers: false }];
    let plan =
        Plan { ring: vec![ring], early_tone: vec![425.0], after_ms: 700, forks, ..Plan::answer(700.0) };
    shop.trunks[0].route(JANE, plan);
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.wait_hears(425.0, PATIENCE).await);
    shop.explain(call.answered(PATIENCE).await);
    let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    call.hangup(PATIENCE).await.unwrap();
    jane.ended(PATIENCE).await.unwrap();
    assert_eq!(jane.forks_ended(), (1, 1), "the fork that came second was hung up on");
    assert_eq!(shop.causes(1).await, ["hangup"]);
}

#[tokio::test]
async fn an_answer_after_the_cancel_leaves_nobody_connected() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    shop.trunks[0].route(JANE, Plan { answers_after_cancel: true, ..Plan::no_answer() });
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.ringing(PATIENCE).await);
    call.cancel(PATIENCE).await.unwrap();
    let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    assert_eq!(jane.ended(PATIENCE).await.unwrap().by, By::Them);
    assert_eq!(shop.causes(1).await, ["cancelled"]);
}

#[tokio::test]
async fn sound_that_points_elsewhere_or_cannot_be_agreed_on_ends_the_call() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    for wrong in [Wrong::Garbage, Wrong::NoCommonCodec, Wrong::ForeignAddress] {
        shop.trunks[0].route(JANE, Plan { wrong: Some(wrong), ..Plan::answer(700.0) });
        let call = desk.call(JANE).await.unwrap();
        shop.explain(call.ended(PATIENCE).await);
        let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
        assert_eq!(jane.ended(PATIENCE).await.unwrap().by, By::Them, "{wrong:?}");
    }
    assert_eq!(shop.causes(3).await, ["no_codec", "no_codec", "no_codec"]);
}

#[tokio::test]
async fn a_bad_network_delays_calls_and_loses_none() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let bad = Path { loss: 0.05, delay_ms: 10, jitter_ms: 10, duplicate: 0.1, reorder: 0.05 };
    shop.trunks[0].change(&Change { sip: Some(bad), rtp: Some(bad), ..Change::default() });
    let desk = shop.phone("101", Auto::AnswerAfter(20), 440.0).await;
    for _ in 0..3 {
        let jane = shop.jane_calls(700.0).await;
        shop.explain(jane.answered(PATIENCE).await);
        let taken = desk.incoming(PATIENCE).await.unwrap();
        both_ways(&shop, (&jane, 700.0), (&taken, 440.0)).await;
        taken.hangup(PATIENCE).await.unwrap();
        jane.ended(PATIENCE).await.unwrap();
    }
    assert_eq!(shop.causes(3).await, ["hangup", "hangup", "hangup"]);
}
