//! Emergency calls, which nobody but a simulator on loopback ever takes.

use super::shop::{PATIENCE, Shop, Wanted, both_ways};
use hil::phone::Auto;
use hil::trunk::{Change, Emergency, Plan};

#[tokio::test]
async fn an_emergency_call_goes_out_without_a_prefix_and_with_a_wrong_one() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    shop.trunks[0].change(&Change { emergency: Some(Emergency::Answer), ..Change::default() });
    shop.trunks[0].route("911", Plan::answer(700.0));
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    for dialled in ["911", "9911"] {
        let call = desk.call(dialled).await.unwrap();
        shop.explain(call.answered(PATIENCE).await);
        let centre = shop.trunks[0].taken(PATIENCE).await.unwrap();
        assert_eq!(centre.number(), "911", "{dialled}");
        both_ways(&shop, (&call, 440.0), (&centre, 700.0)).await;
        // The centre decides when it is over.
        centre.hangup(PATIENCE).await.unwrap();
        call.ended(PATIENCE).await.unwrap();
    }
    let records = shop.ended(2).await;
    assert!(records.iter().all(|record| record["emergency"]["number"] == "911"), "{records:#?}");
    assert_eq!(shop.trunks[0].counters().emergencies_taken, 2);
}

#[tokio::test]
async fn an_emergency_call_goes_by_the_line_that_takes_it() {
    let shop = Shop::open(Wanted { trunks: 2, ..Wanted::default() }).await;
    shop.trunks[1].change(&Change { emergency: Some(Emergency::Answer), ..Change::default() });
    shop.trunks[1].route("911", Plan::answer(700.0));
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call("911").await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    call.wait_hears(700.0, PATIENCE).await.unwrap();
    assert_eq!(shop.trunks[0].counters().emergencies_refused, 1, "the first trunk takes none");
    call.hangup(PATIENCE).await.unwrap();
    let record = shop.ended(1).await.remove(0);
    assert_eq!(record["emergency"]["number"], "911", "{record:#}");
}
