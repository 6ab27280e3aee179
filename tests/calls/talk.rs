//! What people hear of each other: tones both ways, keys, hold.

use super::shop::{JANE, PATIENCE, SHOP, Shop, Wanted, both_ways, cause};
use hil::phone::{Auto, Call, How, Key};

async fn press(call: &Call, keys: &str, how: How) {
    for key in keys.chars() {
        call.send_key(Key::try_from(key).unwrap(), how).await.unwrap();
    }
}

/// Keys both ways, then hold by `holder`: the other hears something else than his tone, and then him again.
async fn keys_and_hold(shop: &Shop, (holder, plays): (&Call, f32), (other, hears_back): (&Call, f32)) {
    press(holder, "15#", How::Event).await;
    shop.explain(other.wait_keys("15#", PATIENCE).await);
    press(other, "0*9", How::Event).await;
    shop.explain(holder.wait_keys("0*9", PATIENCE).await);
    shop.explain(holder.hold(PATIENCE).await);
    shop.explain(other.sound().wait_hears_without(plays, PATIENCE).await);
    shop.explain(holder.wait_silence(PATIENCE).await);
    shop.explain(holder.resume(PATIENCE).await);
    both_ways(shop, (holder, plays), (other, hears_back)).await;
}

#[tokio::test]
async fn a_call_from_outside_is_heard_both_ways_held_and_resumed() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let desk = shop.phone("101", Auto::AnswerAfter(50), 440.0).await;
    let jane = shop.jane_calls(700.0).await;
    shop.explain(jane.answered(PATIENCE).await);
    let taken = desk.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&jane, 700.0), (&taken, 440.0)).await;
    keys_and_hold(&shop, (&taken, 440.0), (&jane, 700.0)).await;
    jane.hangup(PATIENCE).await.unwrap();
    taken.ended(PATIENCE).await.unwrap();
    let record = shop.ended(1).await.remove(0);
    assert_eq!((cause(&record).as_str(), &record["direction"]), ("hangup", &"inbound".into()), "{record:#}");
    assert_eq!((&record["to"], &record["line"]), (&SHOP.into(), &"trunk0".into()), "{record:#}");
    assert_eq!(record["from"]["address"]["value"], JANE, "{record:#}");
    assert!(!record["answered"].is_null());
}

#[tokio::test]
async fn a_call_to_outside_is_heard_both_ways_held_and_resumed() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    shop.jane_answers(700.0);
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    keys_and_hold(&shop, (&call, 440.0), (&jane, 700.0)).await;
    call.hangup(PATIENCE).await.unwrap();
    jane.ended(PATIENCE).await.unwrap();
    let record = shop.ended(1).await.remove(0);
    assert_eq!((cause(&record).as_str(), &record["direction"]), ("hangup", &"outbound".into()), "{record:#}");
    assert_eq!(record["legs"].as_array().unwrap().len(), 2, "{record:#}");
}

#[tokio::test]
async fn two_telephones_hear_each_other_hold_and_resume() {
    let shop = Shop::open(Wanted::default()).await;
    let (desk, workshop) = (
        shop.phone("101", Auto::Nothing, 440.0).await,
        shop.phone("102", Auto::AnswerAfter(50), 620.0).await,
    );
    let call = desk.call("102").await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let taken = workshop.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&taken, 620.0)).await;
    keys_and_hold(&shop, (&call, 440.0), (&taken, 620.0)).await;
    press(&call, "7", How::Info).await;
    shop.explain(taken.wait_keys("7", PATIENCE).await);
    taken.hangup(PATIENCE).await.unwrap();
    call.ended(PATIENCE).await.unwrap();
    let record = shop.ended(1).await.remove(0);
    assert_eq!((cause(&record).as_str(), &record["direction"]), ("hangup", &"internal".into()), "{record:#}");
}

#[tokio::test]
async fn telephones_with_srtp_hear_each_other_and_an_open_trunk() {
    let shop = Shop::open(Wanted { trunks: 1, srtp: true, ..Wanted::default() }).await;
    shop.jane_answers(700.0);
    let (desk, workshop) =
        (shop.phone("101", Auto::Nothing, 440.0).await, shop.phone("102", Auto::Answer, 620.0).await);
    let call = desk.call("102").await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let taken = workshop.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&taken, 620.0)).await;
    call.hangup(PATIENCE).await.unwrap();
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    call.hangup(PATIENCE).await.unwrap();
    assert_eq!(shop.causes(2).await, ["hangup", "hangup"]);
}
