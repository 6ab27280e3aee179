//! Plans from what exists to what is wanted, and back.

use std::collections::BTreeMap;

use super::record::{Change, NumberChange};
use super::*;
use crate::types::PhoneNumber;

const FLOW_URL: &str = "https://webhooks.twilio.com/v1/Accounts/AC1/Flows/FW1";

fn wanted() -> Wanted {
    Wanted {
        account: "AC1".to_owned(),
        name: "box-main".to_owned(),
        domain: "shop-main-ab12cd.sip.twilio.com".to_owned(),
        number: PhoneNumber::parse("+12065550199", None).unwrap(),
        greeting: flow::GREETING.to_owned(),
        password_kept: true,
    }
}

fn named(sid: &str, name: &str, url: &str) -> Named {
    Named { sid: sid.to_owned(), name: name.to_owned(), url: url.to_owned() }
}

fn number(fields: &[(&str, &str)]) -> Option<Number> {
    let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
    Some(Number { sid: "PN1".to_owned(), fields })
}

fn bare() -> Existing {
    let fields =
        [("VoiceUrl", "https://demo.twilio.com/welcome/voice/"), ("VoiceMethod", "POST"), ("SmsUrl", "")];
    Existing { number: number(&fields), ..Existing::default() }
}

/// An account and a record as a whole run leaves them.
fn whole() -> (Existing, Record) {
    let wanted = wanted();
    let list = || named("CL1", "box-main", "");
    let existing = Existing {
        lists: vec![list()],
        credentials: vec![named("CR1", "box", "")],
        domains: vec![named("SD1", &wanted.domain, FLOW_URL)],
        registrations: vec![list()],
        calls: vec![list()],
        flows: vec![named("FW1", "box-main", FLOW_URL)],
        number: number(&[("VoiceUrl", FLOW_URL), ("VoiceMethod", "POST"), ("SmsUrl", "")]),
    };
    let mut record = Record {
        account: wanted.account.clone(),
        name: wanted.name.clone(),
        domain: wanted.domain.clone(),
        phone: wanted.number.as_str().to_owned(),
        ..Record::default()
    };
    let sids = ["CL1", "CR1", "FW1", "SD1", "CL1", "CL1"];
    let names = ["box-main", "box", "box-main", wanted.domain.as_str(), "box-main", "box-main"];
    for ((thing, sid), name) in Thing::ALL.into_iter().zip(sids).zip(names) {
        record.begin(thing, name);
        record.done(thing, sid);
    }
    let change = Change { was: "https://old.example/voice".to_owned(), set: FLOW_URL.to_owned() };
    let fields = BTreeMap::from([("VoiceUrl".to_owned(), change)]);
    record.number = Some(NumberChange { sid: "PN1".to_owned(), fields });
    (existing, record)
}

fn words(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.words(&wanted())).collect()
}

#[test]
fn from_nothing_everything_is_made_in_order_and_the_number_comes_last() {
    let plan = plan(&wanted(), &bare(), &mut Record::default()).unwrap();
    assert_eq!(
        words(&plan),
        [
            "create credential list box-main",
            "create user box in credential list box-main, with a password that is made here",
            "create Studio flow box-main: rings the box, takes a voicemail where it does not answer",
            "create SIP domain shop-main-ab12cd.sip.twilio.com, secure, with registration",
            "let credential list box-main register at shop-main-ab12cd.sip.twilio.com",
            "let credential list box-main call through shop-main-ab12cd.sip.twilio.com",
            "point +12065550199 voice at flow box-main; it was at https://demo.twilio.com/welcome/voice/",
        ]
    );
}

#[test]
fn a_whole_setup_plans_nothing() {
    let (existing, mut record) = whole();
    assert_eq!(plan(&wanted(), &existing, &mut record).unwrap(), Plan::default());
}

#[test]
fn what_was_begun_and_whose_answer_was_lost_is_found_again_and_not_made_twice() {
    let (mut existing, mut record) = whole();
    record.begin(Thing::Domain, &wanted().domain);
    record.made.retain(|made| made.what != Thing::Registrations && made.what != Thing::Calls);
    existing.registrations.clear();
    existing.calls.clear();
    let plan = plan(&wanted(), &existing, &mut record).unwrap();
    assert_eq!(plan.steps, [Step::Make(Thing::Registrations), Step::Make(Thing::Calls)]);
    assert_eq!(record.sid(Thing::Domain), Some("SD1"));
}

#[test]
fn what_somebody_else_made_is_an_obstacle_and_each_is_named() {
    let (existing, _) = whole();
    let obstacles = plan(&wanted(), &existing, &mut Record::default()).unwrap_err();
    let whats: Vec<&str> = obstacles
        .iter()
        .map(|obstacle| match obstacle {
            Obstacle::Taken { what, .. } => *what,
            Obstacle::NoSuchNumber(_) | Obstacle::Otherwise { .. } => "?",
        })
        .collect();
    assert_eq!(whats, ["credential list", "Studio flow", "SIP domain"]);
}

#[test]
fn a_number_of_another_account_is_an_obstacle() {
    let existing = Existing { number: None, ..bare() };
    let obstacles = plan(&wanted(), &existing, &mut Record::default()).unwrap_err();
    assert_eq!(obstacles, [Obstacle::NoSuchNumber(wanted().number)]);
}

#[test]
fn another_name_than_before_asks_for_an_undo_first() {
    let (existing, mut record) = whole();
    let other = Wanted { name: "box-other".to_owned(), ..wanted() };
    let obstacles = plan(&other, &existing, &mut record).unwrap_err();
    assert_eq!(obstacles, [Obstacle::Otherwise { was: wanted().domain }]);
}

#[test]
fn a_lost_password_is_made_anew_and_a_new_user_needs_none() {
    let (existing, mut record) = whole();
    let lost = Wanted { password_kept: false, ..wanted() };
    assert_eq!(plan(&lost, &existing, &mut record).unwrap().steps, [Step::NewPassword]);
    let steps = plan(&lost, &bare(), &mut Record::default()).unwrap().steps;
    assert!(!steps.contains(&Step::NewPassword));
}

#[test]
fn what_goes_before_the_numbers_own_url_is_cleared_and_the_demonstration_is_silenced() {
    let (mut existing, mut record) = whole();
    existing.number = number(&[
        ("VoiceUrl", FLOW_URL),
        ("VoiceMethod", "GET"),
        ("VoiceApplicationSid", "AP1"),
        ("TrunkSid", "TK1"),
        ("SmsUrl", "https://demo.twilio.com/welcome/sms/reply"),
    ]);
    let plan = plan(&wanted(), &existing, &mut record).unwrap();
    assert_eq!(
        words(&plan),
        ["stop Twilio's demonstration from answering its texts; clear its TrunkSid (TK1); \
          clear its VoiceApplicationSid (AP1); set its VoiceMethod to POST (was GET)"]
    );
}

#[test]
fn a_flow_that_somebody_removed_is_made_again_and_the_domain_and_the_number_follow() {
    let (mut existing, mut record) = whole();
    existing.flows.clear();
    let plan = plan(&wanted(), &existing, &mut record).unwrap();
    let kinds: Vec<bool> = plan.steps.iter().map(|step| matches!(step, Step::Make(Thing::Flow))).collect();
    assert_eq!(kinds, [true, false, false]);
    assert!(
        matches!(plan.steps[1], Step::PointDomain { .. }) && matches!(plan.steps[2], Step::SetNumber { .. })
    );
}

#[test]
fn undo_goes_backwards_and_begins_with_the_number() {
    let (existing, mut record) = whole();
    let (steps, notes) = undo(&existing, &mut record);
    let words: Vec<String> = steps.iter().map(|step| step.words(&record)).collect();
    assert_eq!(
        words,
        [
            "set +12065550199 as it was: VoiceUrl https://old.example/voice",
            "no longer let box-main call through shop-main-ab12cd.sip.twilio.com",
            "no longer let box-main register at shop-main-ab12cd.sip.twilio.com",
            "remove SIP domain shop-main-ab12cd.sip.twilio.com",
            "remove Studio flow box-main",
            "remove user box from credential list box-main",
            "remove credential list box-main",
        ]
    );
    assert_eq!(notes, [""; 0]);
}

#[test]
fn undo_leaves_what_somebody_changed_since_and_says_so() {
    let (mut existing, mut record) = whole();
    existing.number = number(&[("VoiceUrl", "https://new.example/voice")]);
    let (steps, notes) = undo(&existing, &mut record);
    assert!(steps.iter().all(|step| matches!(step, UndoStep::Remove(_))));
    assert_eq!(notes, ["the number's VoiceUrl was changed since: it is left"]);
}

#[test]
fn undo_of_nothing_does_nothing() {
    let (existing, _) = whole();
    assert_eq!(undo(&existing, &mut Record::default()), (Vec::new(), Vec::new()));
}

#[test]
fn names_are_what_a_domain_may_be_called() {
    assert_eq!(label("Main Line_1"), "main-line-1");
    assert_eq!(
        domain_name("twilio", "AC0123456789abcdef0123456789ABCDEF"),
        "shop-twilio-abcdef.sip.twilio.com"
    );
    assert_eq!(label("--"), "");
}

#[test]
fn the_flow_is_one_that_the_box_itself_would_publish() {
    let problems = crate::flow::lint(&flow::definition(&wanted()).to_string());
    assert_eq!(problems, []);
}
