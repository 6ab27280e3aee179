//! Who wants texts, told to the simulator over real sockets, and what each answer means.

use hil::twilio::{Fault, On, Options, Plan, Twilio};

use super::super::client::{Answer, ApiError, RequestError};
use super::super::consents::{correlation, judge};
use super::super::{Bulk, BulkItem, Client};
use super::{OURS, line};
use crate::types::{ConsentItem, ConsentRefused, ConsentSource, ConsentsAnswer, LineId, PhoneNumber, Wall};

const ANNA: &str = "+12065558001";

fn item(entry: u64, welcome: bool, source: ConsentSource) -> ConsentItem {
    let person = PhoneNumber::parse(ANNA, None).unwrap();
    ConsentItem { entry, person, welcome, source, at: Some(Wall(1_795_161_600_000)) }
}

fn answered(items: &[ConsentItem], answer: Result<Answer<Bulk>, RequestError>) -> ConsentsAnswer {
    judge(&LineId::from("tw"), items, answer)
}

async fn tell(twilio: &Twilio, items: &[ConsentItem]) -> ConsentsAnswer {
    let line = line(&twilio.url());
    let answer = Client::new(&line).unwrap().tell_consents(&line, items).await;
    answered(items, answer)
}

#[tokio::test]
async fn what_is_told_arrives_with_its_words_and_its_date_and_blocks_and_lifts() {
    let twilio = Twilio::start(Options::default()).unwrap();
    let stop = item(7, false, ConsentSource::Offline);
    assert_eq!(tell(&twilio, std::slice::from_ref(&stop)).await, ConsentsAnswer::Taken(Vec::new()));
    assert_eq!(twilio.blocked(), [(OURS.to_owned(), ANNA.to_owned())]);
    let told = twilio.consents().remove(0);
    assert_eq!((told.sender.as_str(), told.contact.as_str()), (OURS, ANNA));
    assert_eq!((told.status.as_str(), told.source.as_str()), ("opt-out", "offline"));
    assert_eq!(told.date.as_deref(), Some("2026-11-20T08:00:00.000Z"));
    let start = item(8, true, ConsentSource::Text);
    assert_eq!(tell(&twilio, &[start]).await, ConsentsAnswer::Taken(Vec::new()));
    assert_eq!((twilio.blocked(), twilio.consents()[1].source.as_str()), (Vec::new(), "opt-in-message"));
    assert_eq!(tell(&twilio, &[stop]).await, ConsentsAnswer::Taken(Vec::new()));
    assert_eq!(twilio.consents()[2].correlation, told.correlation, "the same again is the same");
}

#[tokio::test]
async fn each_answer_means_something_else() {
    let twilio = Twilio::start(Options::default()).unwrap();
    let items = [item(7, false, ConsentSource::Other)];
    for (fault, wanted) in [
        (Fault::TooMany { retry_after: 7 }, "later 7"),
        (Fault::LostAnswer, "later"),
        (Fault::Unavailable, "later"),
        (Fault::Truncated, "later"),
        (Fault::Portal, "later"),
        (Fault::Suspended, "later"),
        (Fault::WrongCredentials, "closed"),
        (Fault::Status { status: 403, code: 20403 }, "closed"),
        (Fault::Status { status: 404, code: 20404 }, "closed"),
        (Fault::Status { status: 400, code: 20001 }, "refused"),
    ] {
        twilio.set_faults(&[Plan::next(1, On::Writes, fault).at("/v1/Consents/Bulk")]);
        let heard = match tell(&twilio, &items).await {
            ConsentsAnswer::Taken(_) => "taken".to_owned(),
            ConsentsAnswer::Refused { .. } => "refused".to_owned(),
            ConsentsAnswer::Later { pause: None, .. } => "later".to_owned(),
            ConsentsAnswer::Later { pause: Some(pause), .. } => format!("later {pause}"),
            ConsentsAnswer::Closed { .. } => "closed".to_owned(),
        };
        assert_eq!(heard, wanted, "{fault:?}");
    }
    assert_eq!(tell(&twilio, &items).await, ConsentsAnswer::Taken(Vec::new()));
}

#[test]
fn items_are_judged_one_by_one() {
    let items: Vec<ConsentItem> = (1..5).map(|n| item(n, false, ConsentSource::Text)).collect();
    let id = |entry| correlation(&LineId::from("tw"), entry);
    let one = |entry, error_code, message: &str| BulkItem {
        correlation_id: id(entry),
        error_code,
        error_messages: vec![message.to_owned()],
    };
    let items_told = vec![
        one(3, 30646, "INTERNAL_SERVER_ERROR"),
        one(1, 0, ""),
        one(2, 30646, "INVALID_CONTACT_ID +12065558001"),
    ];
    let bulk = Answer { status: 201, body: Bulk { items: items_told }, at: None };
    let refused = |entry, why: &str, again| ConsentRefused { entry, why: why.to_owned(), again };
    assert_eq!(
        answered(&items, Ok(bulk)),
        ConsentsAnswer::Taken(vec![
            refused(2, "30646 INVALID_CONTACT_ID +1…01", false),
            refused(3, "30646 INTERNAL_SERVER_ERROR", true),
            refused(4, "Twilio's answer does not name it", true),
        ])
    );
}

#[test]
fn a_correlation_id_is_a_uuid_and_no_two_are_the_same() {
    let id = |line: &str, entry| correlation(&LineId::from(line), entry);
    let first = id("tw", 1);
    assert!(first.len() == 32 && first.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    assert_eq!((&first[12..13], &first[16..17]), ("8", "a"), "version and variant");
    assert_eq!(first, id("tw", 1));
    assert!(first != id("tw", 2) && first != id("tx", 1));
}

#[test]
fn what_is_said_of_no_access_names_the_api() {
    let error =
        ApiError { status: 404, code: None, message: String::new(), more_info: None, retry_after: None };
    let answer = answered(&[item(1, false, ConsentSource::Text)], Err(error.into()));
    let ConsentsAnswer::Closed { why } = answer else { panic!("{answer:?}") };
    assert_eq!(why, "this account has no access to Twilio's Consent Management API (404)");
}
