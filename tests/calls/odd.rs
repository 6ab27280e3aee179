//! What telephones and providers do that is allowed and unusual, and what befalls a call from outside it.

use super::shop::{JANE, PATIENCE, SHOP, Shop, Wanted, both_ways, cause};
use hil::phone::{Auto, By, Error, How, Key, Law, Protocol};
use hil::trunk::{Change, Deed, Inbound, Plan, Step, Then};

#[tokio::test]
async fn a_law_keys_and_transports_that_differ_are_put_right_in_between() {
    let provider = |config: &mut hil::trunk::TrunkConfig| {
        config.codecs = vec![Law::A];
        config.events = false;
    };
    let shop = Shop::open(Wanted { trunks: 1, provider: Some(provider), ..Wanted::default() }).await;
    shop.jane_answers(700.0);
    let change = |config: &mut hil::phone::PhoneConfig| {
        config.codecs = vec![Law::Mu];
        config.transport = Protocol::Tcp;
    };
    let desk = shop.phone_with("101", Auto::Nothing, 440.0, change).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    jane.play(&[]);
    call.play(&[]);
    for (from, to, keys, how) in [(&call, &jane, "58", How::Event), (&jane, &call, "90", How::InBand)] {
        for key in keys.chars() {
            from.send_key(Key::try_from(key).unwrap(), how).await.unwrap();
        }
        shop.explain(to.wait_keys(keys, PATIENCE).await);
    }
    call.hangup(PATIENCE).await.unwrap();
    assert_eq!(shop.causes(1).await, ["hangup"]);
}

#[tokio::test]
async fn an_anonymous_caller_without_an_offer_stays_anonymous() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let desk = shop.phone("101", Auto::Answer, 440.0).await;
    let inbound = Inbound {
        to: SHOP.into(),
        from: JANE.into(),
        private: true,
        late_offer: true,
        tone: vec![700.0],
        ..Inbound::default()
    };
    let jane = shop.trunks[0].call(&inbound).await.unwrap();
    shop.explain(jane.answered(PATIENCE).await);
    let taken = desk.incoming(PATIENCE).await.unwrap();
    both_ways(&shop, (&jane, 700.0), (&taken, 440.0)).await;
    let seen = String::from_utf8(taken.invite().unwrap().write()).unwrap();
    assert!(!seen.contains(JANE.trim_start_matches('+')), "{seen}");
    jane.hangup(PATIENCE).await.unwrap();
    assert_eq!(shop.causes(1).await, ["hangup"]);
    assert_eq!(shop.records().await[0]["from"]["private"], true);
}

#[tokio::test]
async fn a_provider_that_holds_refreshes_and_glares_keeps_the_call() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let deeds = [Deed::Reinvite, Deed::Update, Deed::Hold, Deed::Resume];
    let steps = deeds.map(|r#do| Step { after_ms: 100, r#do }).to_vec();
    shop.trunks[0].route(JANE, Plan { glares: 1, min_se: Some(3_600), steps, ..Plan::answer(700.0) });
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    shop.explain(call.wait_hears(700.0, PATIENCE).await);
    // The call that was refused with 422 stands before the one that was taken.
    let mut jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    if jane.end().is_some() {
        jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    }
    shop.explain(jane.wait_hears(440.0, PATIENCE).await);
    shop.explain(jane.wait_silence(PATIENCE).await);
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    shop.explain(call.hold(PATIENCE).await);
    shop.explain(jane.sound().wait_hears_without(440.0, PATIENCE).await);
    shop.explain(call.resume(PATIENCE).await);
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    call.hangup(PATIENCE).await.unwrap();
    assert_eq!(shop.causes(1).await, ["hangup"]);
}

#[tokio::test]
async fn a_provider_sends_a_call_on_to_another_of_its_numbers() {
    let shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    let contact = Some(format!("sip:+12065550155@{}", shop.trunks[0].local()));
    let then = Then::Refuse { status: 302, reason: None, retry_after: None, contact };
    shop.trunks[0].route(JANE, Plan { then, ..Plan::default() });
    shop.trunks[0].route("+12065550155", Plan::answer(700.0));
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    shop.explain(call.wait_hears(700.0, PATIENCE).await);
    call.hangup(PATIENCE).await.unwrap();
    assert_eq!(shop.causes(1).await, ["hangup"]);
}

#[tokio::test]
async fn a_call_without_sound_ends_as_one_that_lost_it() {
    let shop = Shop::open(Wanted { trunks: 1, silence: Some(2), ..Wanted::default() }).await;
    shop.jane_answers(700.0);
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    let jane = shop.trunks[0].taken(PATIENCE).await.unwrap();
    both_ways(&shop, (&call, 440.0), (&jane, 700.0)).await;
    shop.trunks[0].change(&Change { rtp_silence: Some(true), ..Change::default() });
    assert_eq!(shop.explain(call.ended(PATIENCE).await).by, By::Them);
    assert_eq!(shop.explain(jane.ended(PATIENCE).await).by, By::Them);
    assert_eq!(shop.causes(1).await, ["media_lost"]);
}

#[tokio::test]
async fn a_call_that_was_open_when_the_box_died_says_so() {
    let mut shop = Shop::open(Wanted { trunks: 1, ..Wanted::default() }).await;
    shop.jane_answers(700.0);
    let desk = shop.phone("101", Auto::Nothing, 440.0).await;
    let call = desk.call(JANE).await.unwrap();
    shop.explain(call.answered(PATIENCE).await);
    shop.explain(call.wait_hears(700.0, PATIENCE).await);
    shop.crash_and_start().await;
    assert_eq!(shop.causes(1).await, ["crash"]);
    shop.explain(desk.register(PATIENCE).await);
    let again = desk.call(JANE).await.unwrap();
    shop.explain(again.answered(PATIENCE).await);
    shop.explain(again.wait_hears(700.0, PATIENCE).await);
    again.hangup(PATIENCE).await.unwrap();
    let causes: Vec<String> = shop.ended(2).await.iter().map(cause).collect();
    assert_eq!(causes, ["crash", "hangup"]);
}

#[tokio::test]
async fn strangers_neither_register_nor_call_nor_leave_a_record() {
    let shop = Shop::open(Wanted::default()).await;
    let workshop = shop.phone("102", Auto::Answer, 620.0).await;
    for user in ["101", "999999"] {
        let guess =
            shop.stranger(user, Auto::Nothing, 440.0, |config| config.password = "guess".into()).await;
        let refused = guess.register(PATIENCE).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{user}: {refused}");
        let end = guess.call("102").await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!(end.by, By::Refused, "{user}");
    }
    assert!(workshop.calls().is_empty());
    assert!(shop.records().await.is_empty());
}
