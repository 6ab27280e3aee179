//! How calls end, and what their records say of it; who was missed is told and texted.

use super::shop::{JANE, PATIENCE, Shop, Wanted, cause};
use hil::modem::{self, Modem};
use hil::phone::{Auto, By};
use hil::trunk::{Plan, Then};

#[tokio::test]
async fn busy_declined_and_unknown_numbers_of_the_shop_each_have_their_cause() {
    let shop = Shop::open(Wanted::default()).await;
    let (desk, workshop) =
        (shop.phone("101", Auto::Nothing, 440.0).await, shop.phone("102", Auto::Nothing, 620.0).await);
    for (answer, status, wanted) in [(486, 486, "busy"), (603, 603, "declined")] {
        workshop.set_auto(Auto::Refuse(answer));
        let end = desk.call("102").await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!((end.by, end.status), (By::Refused, status), "{wanted}");
    }
    assert_eq!(desk.call("103").await.unwrap().ended(PATIENCE).await.unwrap().by, By::Refused);
    assert_eq!(desk.call("777").await.unwrap().ended(PATIENCE).await.unwrap().by, By::Refused);
    assert_eq!(shop.causes(4).await, ["busy", "declined", "unreachable", "bad_number"]);
}

#[tokio::test]
async fn a_telephone_that_nobody_answers_stops_ringing() {
    let shop = Shop::open(Wanted { ring: Some(1), ..Wanted::default() }).await;
    let (desk, workshop) =
        (shop.phone("101", Auto::Nothing, 440.0).await, shop.phone("102", Auto::Ring, 620.0).await);
    let call = desk.call("102").await.unwrap();
    shop.explain(call.ringing(PATIENCE).await);
    assert_eq!(call.ended(PATIENCE).await.unwrap().by, By::Refused);
    let rang = workshop.incoming(PATIENCE).await.unwrap();
    assert_eq!(rang.ended(PATIENCE).await.unwrap().by, By::Cancelled);
    assert_eq!(shop.causes(1).await, ["no_answer"]);
}

#[tokio::test]
async fn a_caller_who_gives_up_stops_the_ringing_inside_and_outside() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    shop.trunks[0].route(JANE, Plan::no_answer());
    let (desk, workshop) =
        (shop.phone("101", Auto::Nothing, 440.0).await, shop.phone("102", Auto::Ring, 620.0).await);
    let call = desk.call("102").await.unwrap();
    shop.explain(call.ringing(PATIENCE).await);
    assert_eq!(call.cancel(PATIENCE).await.unwrap().by, By::Cancelled);
    let rang = workshop.incoming(PATIENCE).await.unwrap();
    assert_eq!(rang.ended(PATIENCE).await.unwrap().by, By::Cancelled);

    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.ringing(PATIENCE).await);
    call.cancel(PATIENCE).await.unwrap();
    let rang = shop.trunks[0].taken(PATIENCE).await.unwrap();
    assert_eq!(rang.ended(PATIENCE).await.unwrap().by, By::Cancelled);

    let jane = shop.jane_calls(700.0).await;
    shop.explain(jane.ringing(PATIENCE).await);
    let rang = workshop.incoming(PATIENCE).await.unwrap();
    jane.cancel(PATIENCE).await.unwrap();
    assert_eq!(rang.ended(PATIENCE).await.unwrap().by, By::Cancelled);
    assert_eq!(shop.causes(3).await, ["cancelled", "cancelled", "cancelled"]);
}

#[tokio::test]
async fn what_the_network_outside_says_is_the_cause_and_is_told_to_the_caller() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    for (status, told) in [(486, 486), (603, 603), (404, 404)] {
        shop.trunks[0].route(JANE, Plan::refuse(status));
        let end = desk.call(JANE).await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!((end.by, end.status), (By::Refused, told), "{status}");
    }
    let then = Then::Refuse { status: 503, reason: None, retry_after: Some(1), contact: None };
    shop.trunks[0].route(JANE, Plan { then, ..Plan::default() });
    assert_eq!(desk.call(JANE).await.unwrap().ended(PATIENCE).await.unwrap().by, By::Refused);
    assert_eq!(shop.causes(4).await, ["busy", "declined", "bad_number", "unavailable"]);
}

#[tokio::test]
async fn the_first_who_takes_a_call_from_outside_silences_the_others() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let (desk, workshop) =
        (shop.phone("101", Auto::Ring, 440.0).await, shop.phone("102", Auto::Ring, 620.0).await);
    let jane = shop.jane_calls(700.0).await;
    let (first, second) =
        (desk.incoming(PATIENCE).await.unwrap(), workshop.incoming(PATIENCE).await.unwrap());
    shop.explain(jane.ringing(PATIENCE).await);
    second.answer().unwrap();
    shop.explain(jane.answered(PATIENCE).await);
    assert_eq!(first.ended(PATIENCE).await.unwrap().by, By::Cancelled);
    shop.explain(jane.wait_hears(620.0, PATIENCE).await);
    second.hangup(PATIENCE).await.unwrap();
    assert_eq!(jane.ended(PATIENCE).await.unwrap().by, By::Them);
    let record = shop.ended(1).await.remove(0);
    let mut legs: Vec<String> = record["legs"].as_array().unwrap().iter().map(cause).collect();
    legs.sort();
    assert_eq!(legs, ["elsewhere", "hangup", "hangup", "unreachable"], "{record:#}");
}

#[tokio::test]
async fn a_caller_whom_nobody_takes_hears_a_sentence_and_gets_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("modem0");
    let modem =
        Modem::start(modem::Options { link: Some(port.clone()), ..modem::Options::default() }).await.unwrap();
    let mut texts = modem.submitted();
    let shop = Shop::open(Wanted { trunks: 1, modem: Some(port), ..Wanted::default() }).await;
    // No telephone is there.
    let jane = shop.jane_calls(700.0).await;
    shop.explain(jane.sound().wait_hears_without(700.0, PATIENCE).await);
    shop.explain(jane.ended(PATIENCE).await);
    let text = shop.explain(tokio::time::timeout(PATIENCE, texts.recv()).await).unwrap();
    assert_eq!(text.to, JANE);
    assert!(text.text.contains("Sorry we missed your call to Green Valley."), "{}", text.text);
    assert_eq!(shop.causes(1).await, ["nobody"]);
}
