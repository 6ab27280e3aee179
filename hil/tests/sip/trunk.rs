//! A phone in the place of the box against the trunk simulator, with everything that providers do.

use super::{NOWHERE, PATIENCE, phone, tcp};
use hil::phone::{Auto, By, Call, Emergency, Error, How, Key, Phone, PhoneConfig};
use hil::sip::digest::Algorithm;
use hil::trunk::{
    Account, Change, Deed, Fork, Health, Inbound, Path, Plan, Registrar, Ringing, Step, Then, Timers, Trunk,
    TrunkConfig, Wrong,
};
use std::time::Duration;

const NUMBER: &str = "+12065550199";

async fn trunk(change: impl FnOnce(&mut TrunkConfig)) -> Trunk {
    let mut config = TrunkConfig { accounts: vec![Account::new("shop", "secret")], ..TrunkConfig::default() };
    change(&mut config);
    Trunk::start(config).await.unwrap()
}

async fn at(trunk: &Trunk, change: impl FnOnce(&mut PhoneConfig)) -> Phone {
    phone(trunk.local(), "shop", change).await
}

/// A call of the box to a number with this plan.
async fn called(plan: Plan) -> (Trunk, Phone, Call) {
    let trunk = trunk(|_| {}).await;
    trunk.route(NUMBER, plan);
    let shop = at(&trunk, |config| config.tone = vec![440.0]).await;
    let call = shop.call(NUMBER).await.unwrap();
    (trunk, shop, call)
}

#[tokio::test]
async fn registering_needs_the_password_by_either_algorithm() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let trunk = trunk(|config| config.algorithm = algorithm).await;
        let shop = at(&trunk, |_| {}).await;
        shop.register(PATIENCE).await.unwrap();
        assert_eq!(trunk.bindings().len(), 1);
        let thief = at(&trunk, |config| config.password = "guess".into()).await;
        let refused = thief.register(PATIENCE).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { status: 403, .. }), "{refused}");
        shop.unregister(PATIENCE).await.unwrap();
        assert!(trunk.bindings().is_empty());
        assert_eq!(trunk.counters().wrong_password, 1);
    }
}

#[tokio::test]
async fn a_nonce_that_is_used_up_is_answered_anew() {
    let trunk = trunk(|config| config.nonce_uses = Some(1)).await;
    let shop = at(&trunk, |_| {}).await;
    for _ in 0..3 {
        shop.register(PATIENCE).await.unwrap();
        trunk.change(&Change { forget_nonces: Some(true), ..Change::default() });
    }
    assert_eq!(trunk.counters().registered, 3);
}

#[tokio::test]
async fn a_registrar_refuses_asks_for_longer_or_says_nothing() {
    let trunk = trunk(|_| {}).await;
    let shop = at(&trunk, |config| {
        config.timers = Timers { t1: Duration::from_millis(5), t2: Duration::from_millis(40) };
    })
    .await;
    let is = |registrar| trunk.change(&Change { registrar: Some(registrar), ..Change::default() });
    is(Registrar::AtLeast(1_800));
    shop.register(PATIENCE).await.unwrap();
    is(Registrar::Refuse(503));
    assert!(matches!(shop.register(PATIENCE).await, Err(Error::Refused { status: 503, .. })));
    is(Registrar::Silence);
    assert!(matches!(shop.register(PATIENCE).await, Err(Error::TimedOut(_))));
    is(Registrar::Accept);
    shop.register(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn options_are_answered_refused_or_ignored() {
    let trunk = trunk(|_| {}).await;
    let shop = at(&trunk, |config| {
        config.timers = Timers { t1: Duration::from_millis(5), t2: Duration::from_millis(40) };
    })
    .await;
    for (health, status) in
        [(Health::Answer, Some(200)), (Health::Refuse(503), Some(503)), (Health::Silence, None)]
    {
        trunk.change(&Change { health: Some(health), ..Change::default() });
        let answer = shop.ask("OPTIONS", "sip:trunk").await;
        assert_eq!(answer.and_then(|answer| answer.status()), status);
    }
}

#[tokio::test]
async fn a_called_number_rings_answers_and_plays() {
    let (trunk, _shop, call) = called(Plan::ring_and_answer(10, 620.0)).await;
    call.answered(PATIENCE).await.unwrap();
    assert_eq!(call.provisional(), [180]);
    let theirs = trunk.taken(PATIENCE).await.unwrap();
    call.wait_hears(620.0, PATIENCE).await.unwrap();
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    call.send_key(Key::try_from('5').unwrap(), How::Event).await.unwrap();
    theirs.wait_keys("5", PATIENCE).await.unwrap();
    call.hangup(PATIENCE).await.unwrap();
    assert_eq!(theirs.ended(PATIENCE).await.unwrap().by, By::Them);
    assert_eq!((trunk.counters().calls, trunk.counters().challenged), (1, 1));
}

#[tokio::test]
async fn a_call_comes_in_with_its_identity_over_udp_and_tcp() {
    for transport in [|_: &mut PhoneConfig| {}, tcp] {
        let trunk = trunk(|_| {}).await;
        let shop = at(&trunk, |config| {
            transport(config);
            config.auto = Auto::Answer;
            config.tone = vec![440.0];
        })
        .await;
        shop.register(PATIENCE).await.unwrap();
        let inbound = Inbound {
            to: NUMBER.into(),
            from: "+12065550101".into(),
            name: Some("Jane".into()),
            private: true,
            late_offer: true,
            tone: vec![700.0],
            ..Inbound::default()
        };
        let call = trunk.call(&inbound).await.unwrap();
        call.answered(PATIENCE).await.unwrap();
        call.wait_hears(440.0, PATIENCE).await.unwrap();
        let theirs = shop.incoming(PATIENCE).await.unwrap();
        theirs.wait_hears(700.0, PATIENCE).await.unwrap();
        let invite = theirs.invite().unwrap();
        assert_eq!(theirs.number(), NUMBER);
        assert_eq!(invite.header("Privacy"), Some("id"));
        assert!(invite.header("From").unwrap().contains("anonymous@anonymous.invalid"));
        assert!(invite.header("P-Asserted-Identity").unwrap().contains("sip:+12065550101@"));
        call.hangup(PATIENCE).await.unwrap();
        assert_eq!(theirs.ended(PATIENCE).await.unwrap().by, By::Them);
    }
}

#[tokio::test]
async fn a_call_is_refused_in_every_way_that_providers_have() {
    let trunk = trunk(|_| {}).await;
    let shop = at(&trunk, |_| {}).await;
    for status in [404, 486, 500, 503, 600, 603] {
        let then =
            Then::Refuse { status, reason: Some("Because".into()), retry_after: Some(7), contact: None };
        trunk.route(NUMBER, Plan { then, ..Plan::default() });
        let end = shop.call(NUMBER).await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!((end.by, end.status, end.retry_after), (By::Refused, status, Some(7)));
        assert_eq!(end.reason, "Because");
    }
    let end = shop.call("+12065550000").await.unwrap().ended(PATIENCE).await.unwrap();
    assert_eq!(end.status, 404, "a number without a route");
}

#[tokio::test]
async fn a_call_is_sent_on_to_another_number() {
    let contact = Some(format!("sip:+12065550123@{NOWHERE}"));
    let then = Then::Refuse { status: 302, reason: None, retry_after: None, contact };
    let trunk = trunk(|_| {}).await;
    trunk.route(NUMBER, Plan { then, ..Plan::default() });
    trunk.route("+12065550123", Plan::answer(620.0));
    let shop = at(&trunk, |_| {}).await;
    let to = format!("sip:+12065550123@{}", trunk.local());
    let then = Then::Refuse { status: 302, reason: None, retry_after: None, contact: Some(to) };
    trunk.route(NUMBER, Plan { then, ..Plan::default() });
    let call = shop.call(NUMBER).await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    call.wait_hears(620.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn several_kinds_of_ringing_end_in_one_answer() {
    let ring = [(183, true, true), (180, false, false), (182, false, true)];
    let ring =
        ring.map(|(status, early_media, reliable)| Ringing { status, early_media, reliable, after_ms: 1 });
    let plan = Plan { ring: ring.to_vec(), early_tone: vec![425.0], after_ms: 300, ..Plan::answer(620.0) };
    let (_trunk, _shop, call) = called(plan).await;
    call.wait_hears(425.0, PATIENCE).await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    assert_eq!(call.provisional(), [183, 180, 182]);
    call.wait_hears(620.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn of_several_forks_that_answer_one_is_kept() {
    let forks = vec![Fork { answers: true }, Fork { answers: false }, Fork { answers: true }];
    let (trunk, _shop, call) = called(Plan { forks, ..Plan::answer(620.0) }).await;
    call.answered(PATIENCE).await.unwrap();
    let theirs = trunk.taken(PATIENCE).await.unwrap();
    let ended = async {
        while theirs.forks_ended() != (2, 2) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    call.wait_hears(620.0, PATIENCE).await.unwrap();
    call.hangup(PATIENCE).await.unwrap();
    theirs.ended(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn an_unanswered_call_is_cancelled_also_where_the_answer_crosses() {
    let crossing = Plan { answers_after_cancel: true, ..Plan::no_answer() };
    for (plan, by) in [(Plan::no_answer(), By::Cancelled), (crossing, By::Them)] {
        let (trunk, _shop, call) = called(plan).await;
        call.ringing(PATIENCE).await.unwrap();
        assert_eq!(call.cancel(PATIENCE).await.unwrap().by, By::Cancelled);
        assert_eq!(trunk.taken(PATIENCE).await.unwrap().ended(PATIENCE).await.unwrap().by, by);
    }
}

#[tokio::test]
async fn a_silent_number_says_not_even_that_it_tries() {
    let trunk = trunk(|config| config.accounts.clear()).await;
    trunk.route(NUMBER, Plan { then: Then::Silence, ..Plan::default() });
    let shop = at(&trunk, |config| {
        config.timers = Timers { t1: Duration::from_millis(5), t2: Duration::from_millis(40) };
    })
    .await;
    let end = shop.call(NUMBER).await.unwrap().ended(PATIENCE).await.unwrap();
    assert_eq!(end.by, By::Silence);
}

#[tokio::test]
async fn wrong_answers_are_not_taken_for_sound() {
    for wrong in [Wrong::Garbage, Wrong::NoCommonCodec, Wrong::Missing] {
        let (trunk, _shop, call) = called(Plan { wrong: Some(wrong), ..Plan::answer(620.0) }).await;
        let end = call.ended(PATIENCE).await.unwrap();
        assert_eq!(end.by, By::Us, "{wrong:?}");
        assert_eq!(trunk.taken(PATIENCE).await.unwrap().ended(PATIENCE).await.unwrap().by, By::Them);
    }
    let (_trunk, _shop, call) =
        called(Plan { wrong: Some(Wrong::ForeignAddress), ..Plan::answer(620.0) }).await;
    call.answered(PATIENCE).await.unwrap();
    let to = call.sound().sends_to().unwrap();
    assert_eq!(to.ip().to_string(), "192.0.2.66");
}

#[tokio::test]
async fn glare_is_waited_out_and_a_short_timer_made_longer() {
    let (trunk, _shop, call) = called(Plan { glares: 2, ..Plan::answer(620.0) }).await;
    call.answered(PATIENCE).await.unwrap();
    call.hold(PATIENCE).await.unwrap();
    assert_eq!(trunk.taken(PATIENCE).await.unwrap().refreshed(), 1);
    trunk.route(NUMBER, Plan { min_se: Some(1_800), ..Plan::answer(620.0) });
    let brief = at(&trunk, |config| config.session_expires = Some(90)).await;
    let call = brief.call(NUMBER).await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    trunk.taken(PATIENCE).await.unwrap();
    let taken = trunk.taken(PATIENCE).await.unwrap().invite().unwrap();
    assert_eq!((taken.header("Session-Expires"), taken.header("Min-SE")), (Some("1800"), Some("1800")));
}

#[tokio::test]
async fn a_session_timer_is_refreshed_at_half_time() {
    let trunk = trunk(|_| {}).await;
    trunk.route(NUMBER, Plan::answer(620.0));
    let shop = at(&trunk, |config| config.session_expires = Some(1)).await;
    let call = shop.call(NUMBER).await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    let theirs = trunk.taken(PATIENCE).await.unwrap();
    let refreshed = async {
        while theirs.refreshed() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refreshed).await.unwrap();
}

#[tokio::test]
async fn steps_of_a_plan_are_taken_in_the_call() {
    let deeds = [
        Deed::Keys("42".into()),
        Deed::Play(vec![700.0]),
        Deed::Hold,
        Deed::Resume,
        Deed::Update,
        Deed::RtpSilence,
    ];
    let mut steps: Vec<Step> = deeds.into_iter().map(|r#do| Step { after_ms: 150, r#do }).collect();
    steps.push(Step { after_ms: 400, r#do: Deed::Hangup });
    let (_trunk, _shop, call) = called(Plan { steps, ..Plan::answer(620.0) }).await;
    call.wait_keys("42", PATIENCE).await.unwrap();
    call.wait_hears(700.0, PATIENCE).await.unwrap();
    call.wait_held(true, PATIENCE).await.unwrap();
    call.wait_held(false, PATIENCE).await.unwrap();
    call.wait_silence(PATIENCE).await.unwrap();
    let end = call.ended(PATIENCE).await.unwrap();
    assert_eq!((end.by, call.refreshed()), (By::Them, 3));
}

#[tokio::test]
async fn a_trunk_changes_while_it_runs() {
    let (trunk, _shop, call) = called(Plan::answer(620.0)).await;
    call.wait_hears(620.0, PATIENCE).await.unwrap();
    trunk.change(&Change { rtp_silence: Some(true), ..Change::default() });
    call.wait_silence(PATIENCE).await.unwrap();
    trunk.change(&Change { rtp_silence: Some(false), ..Change::default() });
    call.wait_hears(620.0, PATIENCE).await.unwrap();
    let gone = Path { loss: 1.0, ..Path::default() };
    trunk.change(&Change { rtp: Some(gone), ..Change::default() });
    call.wait_silence(PATIENCE).await.unwrap();
    trunk.change(&Change { rtp: Some(Path::default()), ignores_acks: Some(true), ..Change::default() });
    call.wait_hears(620.0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn emergency_numbers_are_refused_and_counted_unless_a_scenario_takes_them() {
    let trunk = trunk(|_| {}).await;
    trunk.route("*", Plan::answer(620.0));
    let shop = at(&trunk, |config| config.emergency = Emergency::Answer).await;
    for number in ["911", "112", "999", "933", "9911", "0112", "urn:service:sos.fire"] {
        let end = shop.call(number).await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!(end.status, 403, "{number}");
    }
    assert_eq!(trunk.counters().emergencies_refused, 7);
    assert!(matches!(
        trunk.call(&Inbound { to: "911".into(), ..Inbound::default() }).await,
        Err(Error::Emergency(_))
    ));
    trunk.change(&Change { emergency: Some(Emergency::Answer), ..Change::default() });
    let call = shop.call("911").await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    call.wait_hears(620.0, PATIENCE).await.unwrap();
    assert_eq!(trunk.counters().emergencies_taken, 1);
}
