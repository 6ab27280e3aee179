//! Calls that are handed on, without asking and after asking.

use super::shop::{PATIENCE, Shop, Wanted, both_ways, cause};
use hil::phone::{Auto, Call};
use serde_json::Value;

fn handed_on(records: &[Value], kind: &str) {
    let transfers: Vec<&Value> =
        records.iter().flat_map(|record| record["transfers"].as_array().unwrap()).collect();
    let kinds: Vec<&str> = transfers.iter().filter_map(|transfer| transfer["kind"].as_str()).collect();
    assert_eq!(kinds, [kind], "{records:#?}");
    assert!(transfers[0]["result"].get("Ok").is_some(), "{transfers:#?}");
}

/// Who handed the call on is out of it, whether he hangs up or the box does.
async fn leave(shop: &Shop, call: &Call) {
    call.hangup(PATIENCE).await.unwrap();
    shop.explain(call.ended(PATIENCE).await);
}

#[tokio::test]
async fn a_caller_from_outside_is_handed_on_without_asking() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let desk = shop.phone("101", Auto::Answer, 440.0).await;
    let jane = shop.jane_calls(700.0).await;
    shop.explain(jane.answered(PATIENCE).await);
    let taken = desk.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&jane, 700.0), (&taken, 440.0)).await;
    let workshop = shop.phone("102", Auto::AnswerAfter(50), 620.0).await;
    assert_eq!(shop.explain(taken.transfer_blind("102", PATIENCE).await), 200);
    leave(&shop, &taken).await;
    let now = workshop.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&jane, 700.0), (&now, 620.0)).await;
    jane.hangup(PATIENCE).await.unwrap();
    now.ended(PATIENCE).await.unwrap();
    let records = shop.ended(1).await;
    handed_on(&records, "blind");
    assert_eq!(cause(&records[0]), "hangup", "{records:#?}");
}

#[tokio::test]
async fn a_colleague_is_handed_on_without_asking() {
    let shop = Shop::open(Wanted::default()).await;
    let (desk, workshop, office) = (
        shop.phone("101", Auto::Nothing, 440.0).await,
        shop.phone("102", Auto::Answer, 620.0).await,
        shop.phone("103", Auto::Answer, 880.0).await,
    );
    let call = desk.call("102").await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let taken = workshop.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&taken, 620.0)).await;
    assert_eq!(shop.explain(call.transfer_blind("103", PATIENCE).await), 200);
    leave(&shop, &call).await;
    let now = office.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&taken, 620.0), (&now, 880.0)).await;
    now.hangup(PATIENCE).await.unwrap();
    taken.ended(PATIENCE).await.unwrap();
    handed_on(&shop.ended(1).await, "blind");
}

#[tokio::test]
async fn a_caller_from_outside_is_handed_on_after_asking() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let desk = shop.phone("101", Auto::Answer, 440.0).await;
    let jane = shop.jane_calls(700.0).await;
    shop.explain(jane.answered(PATIENCE).await);
    let taken = desk.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&jane, 700.0), (&taken, 440.0)).await;
    shop.explain(taken.hold(PATIENCE).await);
    let workshop = shop.phone("102", Auto::Answer, 620.0).await;
    let asking = desk.call("102").await.unwrap();
    shop.explain(asking.answered(PATIENCE).await);
    let asked = workshop.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&asking, 440.0), (&asked, 620.0)).await;
    assert_eq!(shop.explain(taken.transfer_attended(&asking, PATIENCE).await), 200);
    leave(&shop, &taken).await;
    leave(&shop, &asking).await;
    both_ways(&shop, (&jane, 700.0), (&asked, 620.0)).await;
    asked.hangup(PATIENCE).await.unwrap();
    jane.ended(PATIENCE).await.unwrap();
    let records = shop.ended(2).await;
    handed_on(&records, "attended");
    let mut causes: Vec<String> = records.iter().map(cause).collect();
    causes.sort();
    assert_eq!(causes, ["hangup", "transferred"], "{records:#?}");
}
