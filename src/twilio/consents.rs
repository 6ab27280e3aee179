//! Twilio's Consent Management API: who wants texts from a number of ours, told to Twilio, so that its own list stops other
//! software that sends by the same number too. Owns the request, and what an answer means; when it is made is the
//! daemon's.
//!
//! Read (November 2026): `docs/messaging/features/consent-api` and `bulk-upsert-consents-api`, error 30646, and the official
//! SDKs' `accounts.v1.bulk_consents`. What they say: `POST https://accounts.twilio.com/v1/Consents/Bulk`, a form with up to
//! 25 `Items`, each a JSON object: `contact_id` (E.164), `correlation_id` (a UUID of 32 digits), `sender_id` (a number or a
//! Messaging Service), `status` (`opt-in`, `opt-out`), `source`, `date_of_consent` (ISO 8601). The answer has one item a
//! correlation id, `error_code` 0 or 30646 with words in `error_messages`. 100 requests a minute, then 429. An upsert: the
//! same again changes nothing. It is a pilot, for SMS alone (no WhatsApp). `opt-in` overrides an earlier STOP, but not on
//! toll-free numbers in North America.
//!
//! Not verified, as it takes an account with access: which of 401, 403 and 404 an account without it gets (all three count
//! as that); whether a standard or restricted API key may ask; whether an item is taken when its neighbours are refused
//! (it counts as the item says); whether a `date_of_consent` that is older than what Twilio knows loses against it (so
//! releases are told only once the inbox is read, and none of the time before).

use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Ask, Ticket};
use super::client::{Answer, ApiError, Client, Product, RequestError, blacked_out};
use super::line::Line;
use crate::config::UpstreamLine;
use crate::types::{
    ConsentItem, ConsentRefused, ConsentSource, ConsentsAnswer, LineEvent, LineId, derive_sid,
};

const PATH: &str = "/v1/Consents/Bulk";
/// Where an item is refused for what Twilio itself could not do.
const THEIR_FAULT: &str = "INTERNAL_SERVER_ERROR";
/// Of what Twilio says of an item.
const LONGEST: usize = 200;

/// What Twilio answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Bulk {
    /// One a correlation id.
    #[serde(default)]
    pub items: Vec<BulkItem>,
}

/// What became of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BulkItem {
    /// As told.
    #[serde(default)]
    pub correlation_id: String,
    /// 0: it was taken.
    #[serde(default)]
    pub error_code: i64,
    /// `INVALID_SENDER_ID` ...
    #[serde(default)]
    pub error_messages: Vec<String>,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Consents {
    under_way: Option<(Ticket, u64, Vec<ConsentItem>)>,
}

impl Line {
    pub(super) fn tell_consents(&mut self, batch: u64, items: Vec<ConsentItem>) {
        if self.is_up() && self.consents.under_way.is_none() {
            let ticket = self.request(Ask::Consents(items.clone()));
            self.consents.under_way = Some((ticket, batch, items));
            return;
        }
        let answer = ConsentsAnswer::Later { why: "the line is down".to_owned(), pause: None };
        self.tell(LineEvent::Consents { batch, answer });
    }

    pub(super) fn consents_done(&mut self, ticket: Ticket, answer: Result<Answer<Bulk>, RequestError>) {
        let Some((_, batch, items)) = self.consents.under_way.take_if(|(own, ..)| *own == ticket) else {
            return;
        };
        let answer = judge(&self.setup.id, &items, answer);
        self.tell(LineEvent::Consents { batch, answer });
    }

    /// The line goes down: whether it was done nobody will know.
    pub(super) fn let_consents_go(&mut self, why: &str) {
        let Some((ticket, batch, _)) = self.consents.under_way.take() else { return };
        self.abandon(ticket);
        let answer = ConsentsAnswer::Later { why: why.to_owned(), pause: None };
        self.tell(LineEvent::Consents { batch, answer });
    }
}

impl Client {
    /// Tells Twilio who wants texts from this line's number, or its service's.
    ///
    /// # Errors
    /// [`RequestError`]; the same may always be told again.
    pub async fn tell_consents(
        &self,
        line: &UpstreamLine,
        items: &[ConsentItem],
    ) -> Result<Answer<Bulk>, RequestError> {
        let Some(sender) = line.consent_sender() else {
            return Err(RequestError::NotSent { why: "this line tells nobody about consent".to_owned() });
        };
        let items: Vec<String> = items.iter().map(|item| written(&line.id, &sender, item)).collect();
        let form: Vec<(&str, &str)> = items.iter().map(|item| ("Items", item.as_str())).collect();
        self.post(Product::Accounts, PATH, &form).await
    }
}

fn written(line: &LineId, sender: &str, item: &ConsentItem) -> String {
    let source = match (item.source, item.welcome) {
        (ConsentSource::Text, true) => "opt-in-message",
        (ConsentSource::Text, false) => "opt-out-message",
        (ConsentSource::Offline, _) => "offline",
        (ConsentSource::Other, _) => "others",
    };
    let mut object = json!({
        "contact_id": item.person.as_str(),
        "correlation_id": correlation(line, item.entry),
        "sender_id": sender,
        "status": if item.welcome { "opt-in" } else { "opt-out" },
        "source": source,
    });
    if let Some(at) = item.at {
        object["date_of_consent"] = Value::from(at.rfc3339());
    }
    object.to_string()
}

/// The same for the same entry, and a UUID of version 8 (RFC 9562 §5.8) without its dashes.
pub(super) fn correlation(line: &LineId, entry: u64) -> String {
    let digits = derive_sid("", &["consent", line.as_str(), &entry.to_string()]);
    let (Some(first), Some(second), Some(third)) = (digits.get(..12), digits.get(13..16), digits.get(17..))
    else {
        return digits;
    };
    format!("{first}8{second}a{third}")
}

/// What an answer means for each of the items.
pub(super) fn judge(
    line: &LineId,
    items: &[ConsentItem],
    answer: Result<Answer<Bulk>, RequestError>,
) -> ConsentsAnswer {
    let error = match answer {
        Ok(answer) => {
            let refused = items.iter().filter_map(|item| refusal(line, item.entry, &answer.body));
            return ConsentsAnswer::Taken(refused.collect());
        }
        Err(RequestError::Refused(error)) => error,
        Err(RequestError::NotSent { why } | RequestError::Lost { why }) => {
            return ConsentsAnswer::Later { why, pause: None };
        }
    };
    let why = error.to_string();
    match error {
        // The line's own polling says so.
        ApiError { code: Some(20005 | 30002), .. } => ConsentsAnswer::Later { why, pause: None },
        ApiError { status: 401 | 403 | 404, .. } => ConsentsAnswer::Closed {
            why: format!("this account has no access to Twilio's Consent Management API ({why})"),
        },
        ApiError { status: 400 | 413 | 422, .. } => ConsentsAnswer::Refused { why },
        ApiError { retry_after, .. } => ConsentsAnswer::Later { why, pause: retry_after },
    }
}

/// Why Twilio did not take this one. One that it says nothing of is told again.
fn refusal(line: &LineId, entry: u64, bulk: &Bulk) -> Option<ConsentRefused> {
    let id = correlation(line, entry);
    let Some(item) = bulk.items.iter().find(|item| item.correlation_id == id) else {
        let why = "Twilio's answer does not name it".to_owned();
        return Some(ConsentRefused { entry, why, again: true });
    };
    if item.error_code == 0 {
        return None;
    }
    let messages = item.error_messages.join(", ");
    let again = messages.contains(THEIR_FAULT);
    let said: String = blacked_out(&messages).chars().take(LONGEST).collect();
    Some(ConsentRefused { entry, why: format!("{} {said}", item.error_code), again })
}
