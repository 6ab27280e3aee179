//! The resources of the API of 2010-04-01 that a line lives by: Messages, their Media, usage, numbers. Owns their
//! fields and what an answer to a new message means for the box. When anything is asked is absent (`line`).

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::client::{Answer, ApiError, Client, Product, RequestError};
use super::files::{self, FileRef};
use super::webhook::status_path;
use crate::config::UpstreamLine;
use crate::http::moment;
use crate::types::{
    Channel, Delivery, Enclosed, FoundPost, MediaLink, Post, PostResult, PostStatus, UpstreamText, Wall,
};

const WHATSAPP: &str = "whatsapp:";

/// A message as the API tells of it. What is missing is empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// `SM` or `MM` and 32 hex digits.
    pub sid: String,
    /// Sender, with the channel's prefix.
    #[serde(default, deserialize_with = "text")]
    pub from: String,
    /// Recipient, with the channel's prefix.
    #[serde(default, deserialize_with = "text")]
    pub to: String,
    /// Text.
    #[serde(default, deserialize_with = "text")]
    pub body: String,
    /// `inbound`, `outbound-api` ...
    #[serde(default, deserialize_with = "text")]
    pub direction: String,
    /// Twilio's word.
    #[serde(default, deserialize_with = "text")]
    pub status: String,
    /// Files.
    #[serde(default, deserialize_with = "number")]
    pub num_media: Option<u32>,
    /// Billed parts.
    #[serde(default, deserialize_with = "number")]
    pub num_segments: Option<u32>,
    /// Why it failed.
    #[serde(default, deserialize_with = "number")]
    pub error_code: Option<u32>,
    /// RFC 2822.
    #[serde(default, deserialize_with = "text")]
    pub date_created: String,
    /// RFC 2822.
    #[serde(default, deserialize_with = "text")]
    pub date_sent: String,
    /// `-0.00830`.
    #[serde(default, deserialize_with = "text")]
    pub price: String,
    /// `USD`.
    #[serde(default, deserialize_with = "text")]
    pub price_unit: String,
    /// `MG...`.
    #[serde(default, deserialize_with = "text")]
    pub messaging_service_sid: String,
}

/// One page of a list of messages, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MessagePage {
    /// Entries.
    pub messages: Vec<Message>,
    /// The next page, when there is one.
    #[serde(default)]
    pub next_page_uri: Option<String>,
}

/// Which messages are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// `To`, with the channel's prefix.
    pub to: Option<String>,
    /// `From`, with the channel's prefix.
    pub from: Option<String>,
    /// `DateSent>`: the documentation promises days only, so more may come.
    pub since: Option<Wall>,
    /// `PageSize`.
    pub size: u16,
}

/// One of the account's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OwnedNumber {
    /// `PN...`.
    pub sid: String,
    /// E.164.
    pub phone_number: String,
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

/// Twilio writes some numbers as numbers and some as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Either>::deserialize(from)? {
        Some(Either::Number(number)) => Some(number),
        Some(Either::Text(text)) => text.parse().ok(),
        Some(Either::Other(_)) | None => None,
    })
}

/// A number as this channel addresses it.
#[must_use]
pub fn address(channel: Channel, number: &str) -> String {
    match channel {
        Channel::Sms => number.to_owned(),
        Channel::WhatsApp => format!("{WHATSAPP}{number}"),
    }
}

/// The channel of an address, and the number without its prefix.
#[must_use]
pub fn plain(address: &str) -> (Channel, &str) {
    match address.strip_prefix(WHATSAPP) {
        Some(number) => (Channel::WhatsApp, number),
        None => (Channel::Sms, address),
    }
}

/// Where the upstream calls when a text of this line moved on; `None` when it cannot reach the box.
#[must_use]
pub fn status_url(line: &UpstreamLine) -> Option<String> {
    line.public_url.as_ref().map(|url| format!("{url}{}", status_path(&line.id)))
}

impl Message {
    /// When it was sent by the upstream's clock; when it was made, as long as it was not.
    #[must_use]
    pub fn at(&self) -> Option<Wall> {
        moment(&self.date_sent).or_else(|| self.created())
    }

    /// When it was made, by the upstream's clock.
    #[must_use]
    pub fn created(&self) -> Option<Wall> {
        moment(&self.date_created)
    }

    /// True of what somebody sent to us and is all there.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.direction == "inbound" && self.status == "received"
    }

    /// Where it stands, when that is a word that we know.
    #[must_use]
    pub fn standing(&self) -> Option<PostStatus> {
        let price = millionths(&self.price).map(|price| (price, self.price_unit.to_ascii_uppercase()));
        let status = Delivery::parse(&self.status)?;
        Some(PostStatus { sid: self.sid.clone(), status, error: self.error_code, price })
    }

    /// As one that was looked for.
    #[must_use]
    pub fn found(&self) -> FoundPost {
        let status = Delivery::parse(&self.status).unwrap_or(Delivery::Queued);
        FoundPost { sid: self.sid.clone(), status, created: self.created(), error: self.error_code }
    }

    /// As a text that came in, with its files.
    #[must_use]
    pub fn received(self, account: &str, media: Vec<MediaLink>) -> UpstreamText {
        let sent = self.at();
        let mut parameters = Map::new();
        let mut say = |name: &str, value: String| {
            parameters.insert(name.to_owned(), Value::String(value));
        };
        say("MessageSid", self.sid.clone());
        say("SmsSid", self.sid.clone());
        say("SmsMessageSid", self.sid.clone());
        say("AccountSid", account.to_owned());
        say("SmsStatus", self.status);
        say("NumMedia", self.num_media.unwrap_or_default().to_string());
        say("NumSegments", self.num_segments.unwrap_or(1).to_string());
        for (at, link) in media.iter().enumerate() {
            say(&format!("MediaUrl{at}"), link.url.clone());
            say(&format!("MediaContentType{at}"), link.content_type.clone());
        }
        if !self.messaging_service_sid.is_empty() {
            say("MessagingServiceSid", self.messaging_service_sid);
        }
        let (channel, from) = plain(&self.from);
        UpstreamText {
            sid: self.sid,
            channel,
            from: from.to_owned(),
            to: plain(&self.to).1.to_owned(),
            body: self.body,
            media,
            sent,
            parameters,
        }
    }
}

/// `-0.00830` as -8300. What it costs is written as negative; the sign is kept.
fn millionths(price: &str) -> Option<i64> {
    let (sign, digits) = match price.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, price),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let good = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && rest.is_empty()) || !good(whole) || !good(rest) {
        return None;
    }
    let fraction: String = rest.chars().chain("000000".chars()).take(6).collect();
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    whole.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)?.checked_mul(sign)
}

impl Client {
    /// Hands a text over. Twilio's create is not idempotent: what came of a lost answer must be looked for.
    ///
    /// # Errors
    /// [`RequestError`]; [`post_result`] judges it.
    pub async fn create_message(
        &self,
        line: &UpstreamLine,
        post: &Post,
        now: Wall,
    ) -> Result<Answer<Message>, RequestError> {
        let (to, from) = (address(post.channel, &post.to), address(post.channel, line.number.as_str()));
        let variables = match &post.template {
            Some((_, variables)) if !variables.is_empty() => Value::Object(variables.clone()).to_string(),
            Some(_) | None => String::new(),
        };
        let callback = status_url(line).unwrap_or_default();
        let mut form = vec![("To", to.as_str())];
        match &line.messaging_service {
            Some(service) => form.push(("MessagingServiceSid", service)),
            None => form.push(("From", &from)),
        }
        match &post.template {
            Some((template, _)) => form.push(("ContentSid", template)),
            None if post.body.is_empty() => {}
            None => form.push(("Body", &post.body)),
        }
        let files = addresses(line, post, now)?;
        form.extend(files.iter().map(|url| ("MediaUrl", url.as_str())));
        for (name, value) in [("ContentVariables", &variables), ("StatusCallback", &callback)] {
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        self.post(Product::Api, &self.path("Messages.json"), &form).await
    }

    /// The first page of a list of messages.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn messages(&self, listing: &Listing) -> Result<Answer<MessagePage>, RequestError> {
        let size = listing.size.clamp(1, 1000).to_string();
        let since = listing.since.map(iso).unwrap_or_default();
        let mut query = vec![("PageSize", size.as_str())];
        let fields = [("To", listing.to.as_deref()), ("From", listing.from.as_deref())];
        query.extend(fields.into_iter().filter_map(|(name, value)| Some((name, value?))));
        if !since.is_empty() {
            query.push(("DateSent>", &since));
        }
        self.get(Product::Api, &self.path("Messages.json"), &query).await
    }

    /// A later page, as `next_page_uri` says.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn more_messages(&self, uri: &str) -> Result<Answer<MessagePage>, RequestError> {
        self.page(Product::Api, uri).await
    }

    /// One message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn message(&self, sid: &str) -> Result<Answer<Message>, RequestError> {
        self.get(Product::Api, &self.path(&format!("Messages/{}.json", clean(sid))), &[]).await
    }

    /// The files of a message, in order.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn media(&self, sid: &str) -> Result<Answer<Vec<MediaLink>>, RequestError> {
        #[derive(Deserialize)]
        struct Entry {
            sid: String,
            #[serde(default, deserialize_with = "text")]
            content_type: String,
        }
        #[derive(Deserialize)]
        struct List {
            media_list: Vec<Entry>,
        }
        let below = format!("Messages/{}/Media", clean(sid));
        let path = self.path(&format!("{below}.json"));
        let Answer { status, body, at } = self.get::<List>(Product::Api, &path, &[]).await?;
        let link = |entry: Entry| MediaLink {
            url: self.address_of(&format!("{below}/{}", clean(&entry.sid))),
            content_type: entry.content_type,
        };
        Ok(Answer { status, body: body.media_list.into_iter().map(link).collect(), at })
    }

    /// What the account used: `category` (`sms-outbound`) from `from` to `to`, days as `2026-11-20`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn usage(
        &self,
        category: &str,
        from: &str,
        to: &str,
    ) -> Result<Answer<Vec<Value>>, RequestError> {
        #[derive(Deserialize)]
        struct List {
            usage_records: Vec<Value>,
        }
        let query = [("Category", category), ("StartDate", from), ("EndDate", to)];
        let Answer { status, body, at } =
            self.get::<List>(Product::Api, &self.path("Usage/Records.json"), &query).await?;
        Ok(Answer { status, body: body.usage_records, at })
    }

    /// The account's number that is written so, when it owns it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn owned_number(&self, number: &str) -> Result<Answer<Option<OwnedNumber>>, RequestError> {
        #[derive(Deserialize)]
        struct List {
            incoming_phone_numbers: Vec<OwnedNumber>,
        }
        let path = self.path("IncomingPhoneNumbers.json");
        let Answer { status, body, at } =
            self.get::<List>(Product::Api, &path, &[("PhoneNumber", number)]).await?;
        let owned = body.incoming_phone_numbers.into_iter().find(|one| one.phone_number == number);
        Ok(Answer { status, body: owned, at })
    }
}

/// Where the upstream fetches the files of a text.
fn addresses(line: &UpstreamLine, post: &Post, now: Wall) -> Result<Vec<String>, RequestError> {
    let address = |file: &Enclosed| match file {
        Enclosed::Link(url) => Some(url.clone()),
        Enclosed::Kept(number) => {
            files::address(line, &FileRef { message: post.message.clone(), number: *number }, now)
        }
    };
    let all: Option<Vec<String>> = post.media.iter().map(address).collect();
    all.ok_or_else(|| {
        let message =
            "the line has no `public_url` any more, from which its files could be fetched".to_owned();
        RequestError::Refused(ApiError {
            status: 400,
            code: Some(21620),
            message,
            more_info: None,
            retry_after: None,
        })
    })
}

/// An id in a path: letters and digits alone.
fn clean(sid: &str) -> String {
    sid.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// `2026-11-20T08:00:00Z`, as the SDKs write `DateSent>`.
fn iso(at: Wall) -> String {
    let second = Wall(at.0.div_euclid(1000) * 1000).rfc3339();
    second.replace(".000Z", "Z")
}

/// What became of a text, from what [`Client::create_message`] came to.
#[must_use]
pub fn post_result(answer: Result<Answer<Message>, RequestError>) -> PostResult {
    match answer {
        Ok(answer) => PostResult::Accepted {
            status: Delivery::parse(&answer.body.status).unwrap_or(Delivery::Queued),
            sid: answer.body.sid,
            at: answer.at,
        },
        Err(RequestError::NotSent { why }) => PostResult::NotTried { why },
        Err(RequestError::Lost { why }) => PostResult::Unknown { why },
        // A server that fails may have done it before; one that says 503 in Twilio's words has not begun.
        Err(RequestError::Refused(error)) if may_be_done(&error) => {
            PostResult::Unknown { why: error.to_string() }
        }
        Err(RequestError::Refused(error)) => PostResult::Rejected {
            code: error.code,
            temporary: is_temporary(&error),
            retry_after: error.retry_after,
            why: error.to_string(),
        },
    }
}

fn may_be_done(error: &ApiError) -> bool {
    match error.status {
        408 => true,
        503 => error.code != Some(20503),
        status => status >= 500,
    }
}

/// True when the same text may be taken later.
fn is_temporary(error: &ApiError) -> bool {
    match error.code {
        // Too many requests; account not let in or not active (the line says so); queue of the sender or the account
        // full; carrier's and WhatsApp's rate limits; service unavailable.
        Some(20003 | 20005 | 20429 | 20503 | 21611 | 30001 | 30002 | 30022 | 63018 | 63038) => true,
        Some(_) => matches!(error.status, 401 | 429),
        // Not Twilio's answer: something in between did not let it through.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, code: Option<u32>) -> PostResult {
        let message = String::new();
        post_result(Err(ApiError { status, code, message, more_info: None, retry_after: Some(3) }.into()))
    }

    #[test]
    fn a_text_that_may_be_taken_is_in_doubt_and_one_that_was_refused_is_not() {
        for (status, code) in [(500, Some(20500)), (502, None), (503, None), (504, None), (408, None)] {
            assert!(matches!(refused(status, code), PostResult::Unknown { .. }), "{status} {code:?}");
        }
        for (status, code, later) in [
            (429, Some(20429), true),
            (503, Some(20503), true),
            (400, Some(21611), true),
            (400, Some(30022), true),
            (401, Some(20003), true),
            (407, None, true),
            (400, Some(21610), false),
            (400, Some(21211), false),
            (400, Some(21617), false),
        ] {
            let PostResult::Rejected { temporary, retry_after, .. } = refused(status, code) else {
                unreachable!("{status} {code:?}");
            };
            assert_eq!((temporary, retry_after), (later, Some(3)), "{status} {code:?}");
        }
    }

    #[test]
    fn prices_are_read_without_losing_a_millionth() {
        let cases = [("-0.00830", Some(-8300)), ("0.0079", Some(7900)), ("-1", Some(-1_000_000)), ("", None)];
        for (text, millions) in cases {
            assert_eq!(millionths(text), millions, "{text}");
        }
        assert_eq!(millionths("99999999999999999999"), None);
        assert_eq!((millionths("-"), millionths("1,5"), millionths(".5")), (None, None, Some(500_000)));
    }

    #[test]
    fn a_message_is_read_whatever_is_missing_or_null() {
        let read = |value: Value| serde_json::from_value::<Message>(value);
        let message =
            read(json!({"sid": "SM1", "from": null, "num_media": "2", "error_code": 30003})).unwrap();
        assert_eq!(
            (message.num_media, message.error_code, message.from.as_str()),
            (Some(2), Some(30003), "")
        );
        let odd = read(json!({"sid": "SM1", "num_media": [], "error_code": "x", "body": "hi"})).unwrap();
        assert_eq!((odd.num_media, odd.error_code, odd.at()), (None, None, None));
        assert!(read(json!({"body": "hi"})).is_err());
    }

    #[test]
    fn whatsapp_is_a_prefix_of_the_address_and_of_nothing_else() {
        let message: Message = serde_json::from_value(json!({
            "sid": "SM1", "from": "whatsapp:+12065550142", "to": "whatsapp:+12065550199", "status": "received",
            "date_sent": "Fri, 20 Nov 2026 08:00:00 +0000",
        }))
        .unwrap();
        let text = message.received("AC1", Vec::new());
        assert_eq!(
            (text.channel, text.from.as_str(), text.to.as_str()),
            (Channel::WhatsApp, "+12065550142", "+12065550199")
        );
        assert_eq!(text.sent.map(Wall::rfc3339).as_deref(), Some("2026-11-20T08:00:00.000Z"));
        assert_eq!(address(Channel::WhatsApp, "+12065550142"), "whatsapp:+12065550142");
    }
}
