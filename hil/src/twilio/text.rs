//! What happens to messages: made and refused, received one by one or in bulk, moved on, listed; with opt-outs, WhatsApp's
//! window and templates. Their fields are in `message`, the webhooks' way in `webhook`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::files;
use super::form::{self, Pairs};
use super::list::{Between, Cursor, Shown, Wanted, bad_token};
use super::message::{
    Keyword, Media, Message, Refusal, Status, is_address, magic_recipient, magic_sender, refused, segments,
};
use super::sim::{Fate, Job, Sim, pairs};
use super::webhook::{Forgery, Payload};
use crate::emergency::is_emergency;

/// A text from outside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inbound {
    /// E.164, or `whatsapp:+…`.
    pub from: String,
    /// The account's number; its first one when empty.
    #[serde(default)]
    pub to: String,
    /// The words.
    #[serde(default)]
    pub body: String,
    /// Content type and text of each file.
    #[serde(default)]
    pub media: Vec<(String, String)>,
    /// Older than now by this many seconds.
    #[serde(default)]
    pub seconds_ago: i64,
    /// Lists show it this much late, whatever the settings say.
    #[serde(default)]
    pub late_ms: Option<u64>,
    /// No webhook is sent: only a list tells of it.
    #[serde(default)]
    pub unannounced: bool,
}

/// Many texts from outside, evenly spread over time. Text `n` comes from `+1206556` and `n % people` in four digits, and
/// says `body` and `n`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Bulk {
    /// How many.
    pub count: u32,
    /// In a second; 0: all at once.
    pub per_second: f64,
    /// How many people they come from, 1 to 10,000.
    pub people: u32,
    /// The account's number; its first one when empty.
    pub to: String,
    /// The words before the number.
    pub body: String,
    /// The first number.
    pub first: u32,
    /// Each so manieth has a file; 0: none.
    pub media_every: u32,
}

/// A [`Bulk`] on its way.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    bulk: Bulk,
    done: u32,
    begun: Instant,
}

impl Stream {
    pub(super) fn new(bulk: Bulk) -> Self {
        Self { bulk, done: 0, begun: Instant::now() }
    }
}

impl Default for Bulk {
    fn default() -> Self {
        Self {
            count: 0,
            per_second: 0.0,
            people: 100,
            to: String::new(),
            body: "text".to_owned(),
            first: 0,
            media_every: 0,
        }
    }
}

impl Bulk {
    fn text(&self, at: u32) -> Inbound {
        let number = self.first.saturating_add(at);
        let file = self.media_every > 0 && number.is_multiple_of(self.media_every);
        let media = if file { vec![("image/png".to_owned(), format!("file {number}"))] } else { Vec::new() };
        Inbound {
            from: format!("+1206556{:04}", number % self.people.clamp(1, 10_000)),
            to: self.to.clone(),
            body: format!("{} {number}", self.body),
            media,
            ..Inbound::default()
        }
    }

    /// When the text of that number is due, after the first.
    fn after(&self, at: u32) -> Duration {
        let rate = self.per_second;
        let wait = if rate > 0.0 { f64::from(at) / rate } else { 0.0 };
        Duration::try_from_secs_f64(wait).unwrap_or_default()
    }
}

/// A webhook about a text that never was at Twilio.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forged {
    /// Who is said to have written.
    pub from: String,
    /// The account's number; its first one when empty.
    #[serde(default)]
    pub to: String,
    /// What.
    #[serde(default)]
    pub body: String,
    /// What is wrong with the signature; with `none` it is a good one.
    pub forgery: Forgery,
    /// The `MessageSid` claimed; a new one when empty.
    #[serde(default)]
    pub sid: String,
}

/// A message, as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// `SM…` or `MM…`.
    pub sid: String,
    /// `inbound`, `outbound-api`, `outbound-reply`.
    pub direction: &'static str,
    /// None of a service's message that has no sender yet.
    pub from: Option<String>,
    /// As posted.
    pub to: String,
    /// As posted, or as the template came out.
    pub body: String,
    /// Where it stands.
    pub status: Status,
    /// Why it failed.
    pub error_code: Option<u32>,
    /// How many files.
    pub media: usize,
    /// The template's SID.
    pub content_sid: Option<String>,
    /// The service's SID.
    pub service_sid: Option<String>,
}

/// Messages in the order of a list, and by either end. The order is that of creation, which never changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    all: BTreeSet<(Timestamp, usize)>,
    to: BTreeMap<String, BTreeSet<(Timestamp, usize)>>,
    from: BTreeMap<String, BTreeSet<(Timestamp, usize)>>,
    /// The longest that any message took from creation to `date_sent`, which lists filter by.
    longest: SignedDuration,
}

/// WhatsApp's customer service window.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

fn is_whatsapp(address: &str) -> bool {
    address.starts_with("whatsapp:")
}

/// As posted, in order.
fn media_urls(form: &Pairs) -> Vec<&str> {
    form.iter().filter(|(name, _)| name == "MediaUrl").map(|(_, url)| url.as_str()).collect()
}

fn late(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

impl Sim {
    /// A test account owns the magic number alone.
    pub(super) fn owns(&self, from: &str, test: bool) -> bool {
        let plain = from.strip_prefix("whatsapp:").unwrap_or(from);
        plain == "+15005550006" || (!test && self.numbers.iter().any(|one| one.number == plain))
    }

    fn blank(&mut self, prefix: &str, direction: &'static str, status: Status) -> Message {
        let now = self.now();
        Message {
            sid: self.sid(prefix),
            from: None,
            to: String::new(),
            body: String::new(),
            direction,
            status,
            error: None,
            fate: None,
            created: now,
            updated: now,
            sent: None,
            listed: now,
            service: None,
            content: None,
            callback: None,
            media: Vec::new(),
            segments: 1,
            callbacks: 0,
            deleted: false,
        }
    }

    fn keep(&mut self, mut message: Message) {
        message.segments = segments(&message.body);
        let key = (message.created, self.messages.len());
        self.index.all.insert(key);
        self.index.to.entry(message.to.clone()).or_default().insert(key);
        if let Some(from) = &message.from {
            self.index.from.entry(from.clone()).or_default().insert(key);
        }
        self.by_sid.insert(message.sid.clone(), self.messages.len());
        self.messages.push(message);
    }

    /// POST Messages.json.
    pub(super) fn create_message(&mut self, form: &Pairs) -> Result<&Message, Refusal> {
        let mut message = self.draft_message(form, false)?;
        let lag = late(self.settings.own_list_lag_ms);
        message.listed = message.listed.saturating_add(lag).unwrap_or(Timestamp::MAX);
        let (sid, scheduled) = (message.sid.clone(), message.status == Status::Scheduled);
        self.keep(message);
        let files: Vec<String> = media_urls(form).into_iter().map(str::to_owned).collect();
        let has_files = !files.is_empty();
        if has_files {
            self.later(Duration::ZERO, Job::Fetch(sid.clone(), files));
        }
        match form::get(form, "SendAt").and_then(|at| at.parse::<Timestamp>().ok()).filter(|_| scheduled) {
            Some(at) => {
                let wait = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
                self.later(wait, Job::Release(sid));
            }
            // It goes on when its files are here.
            None if has_files => {}
            None => self.plan_step(Job::Message(sid)),
        }
        self.messages.last().ok_or_else(|| refused(20500, "nothing kept"))
    }

    /// What would be sent, or why it is refused; of a test account if `test`.
    pub(super) fn draft_message(&mut self, form: &Pairs, test: bool) -> Result<Message, Refusal> {
        let field = |name| form::get(form, name).filter(|value| !value.is_empty());
        let (to, from, service) = (field("To"), field("From"), field("MessagingServiceSid"));
        let to = to.ok_or_else(|| refused(21604, "A 'To' phone number is required."))?;
        let (body, content) = self.words(form)?;
        let files = media_urls(form);
        files::check(&files)?;
        if body.is_empty() && files.is_empty() && content.is_none() {
            return Err(refused(21602, "Message body is required."));
        }
        if from.is_none() && service.is_none() {
            return Err(refused(21603, "A 'From' phone number is required."));
        }
        if let Some(refusal) = from.and_then(magic_sender).or_else(|| magic_recipient(to)) {
            return Err(refusal);
        }
        if !is_address(to) || is_emergency(to) {
            return Err(refused(21211, format!("Invalid 'To' Phone Number: {to}")));
        }
        self.check_sender(from, service, to, test)?;
        let scheduled = self.check_schedule(form)?;
        let status = match (scheduled, from) {
            (true, _) => Status::Scheduled,
            (false, Some(_)) => Status::Queued,
            (false, None) => Status::Accepted,
        };
        let mut message = self.blank(if files.is_empty() { "SM" } else { "MM" }, "outbound-api", status);
        message.from = from.map(str::to_owned);
        message.to = to.to_owned();
        message.body = body;
        message.service = service.map(str::to_owned);
        message.fate = self.fate(&message, content.is_some());
        message.content = content;
        message.callback = field("StatusCallback").map(str::to_owned).or_else(|| {
            let service = service.and_then(|sid| self.service(sid))?;
            Some(service.status_callback.clone()).filter(|url| !url.is_empty())
        });
        Ok(message)
    }

    /// The body, or what the template comes to, and the template's SID.
    fn words(&self, form: &Pairs) -> Result<(String, Option<String>), Refusal> {
        let field = |name| form::get(form, name).filter(|value| !value.is_empty());
        let Some(sid) = field("ContentSid") else {
            if field("ContentVariables").is_some() {
                return Err(refused(21654, "ContentSid Required"));
            }
            let body = form::get(form, "Body").unwrap_or_default();
            if body.chars().count() > 1600 {
                return Err(refused(
                    21617,
                    "The concatenated message body exceeds the 1600 character limit.",
                ));
            }
            return Ok((body.to_owned(), None));
        };
        let template = self.templates.get(sid).ok_or_else(|| refused(21655, "The ContentSid is Invalid"))?;
        let variables: Map<String, Value> = match field("ContentVariables").map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(variables)) => variables,
            Some(Err(_)) => return Err(refused(21656, "The Content Variables Parameter is Invalid")),
        };
        Ok((template.with(&variables), Some(sid.to_owned())))
    }

    fn check_sender(
        &self,
        from: Option<&str>,
        service: Option<&str>,
        to: &str,
        test: bool,
    ) -> Result<(), Refusal> {
        if let Some(from) = from {
            if !self.owns(from, test) {
                if is_whatsapp(from) {
                    let why = "Twilio could not find a Channel with the specified From address";
                    return Err(refused(63007, why));
                }
                let why = "is not a valid message-capable Twilio phone number";
                return Err(refused(21606, format!("The 'From' phone number provided ({from}) {why}")));
            }
            if is_whatsapp(from) != is_whatsapp(to) {
                return Err(refused(
                    21910,
                    "Invalid From and To pair. From and To should be of the same channel",
                ));
            }
        }
        if let Some(sid) = service {
            let known = self.service(sid).filter(|_| !test);
            let known = known
                .ok_or_else(|| refused(21701, format!("The Messaging Service does not exist: {sid}")))?;
            if known.numbers.is_empty() {
                return Err(refused(21704, "The Messaging Service contains no phone numbers."));
            }
        }
        let lists = from.map(|from| self.scope(from)).into_iter().chain(service.map(str::to_owned));
        if lists.into_iter().any(|by| self.blocks.contains(&(by, to.to_owned()))) {
            return Err(refused(21610, "Attempt to send to unsubscribed recipient"));
        }
        Ok(())
    }

    /// From 15 minutes to 35 days ahead, and only through a service.
    fn check_schedule(&self, form: &Pairs) -> Result<bool, Refusal> {
        let field = |name| form::get(form, name).filter(|value| !value.is_empty());
        if field("ScheduleType") != Some("fixed") {
            return Ok(false);
        }
        let at = field("SendAt").filter(|_| field("MessagingServiceSid").is_some());
        let at = at.ok_or_else(|| refused(35111, "Scheduling needs SendAt and a MessagingServiceSid"))?;
        let at: Timestamp = at.parse().map_err(|_| refused(35114, "SendAt is no time"))?;
        let ahead = at.duration_since(self.now());
        if ahead < SignedDuration::from_mins(15) || ahead > SignedDuration::from_hours(35 * 24) {
            return Err(refused(35114, "SendAt is not between 15 minutes and 35 days ahead"));
        }
        Ok(true)
    }

    /// How a message will end, if not as the settings say of all.
    fn fate(&self, message: &Message, template: bool) -> Option<Fate> {
        if is_whatsapp(&message.to) && !template {
            let sender = message.from.clone().or_else(|| self.sender(message));
            let heard = self.heard.get(&(sender.unwrap_or_default(), message.to.clone()));
            if heard.is_none_or(|at| message.created.duration_since(*at) > WINDOW) {
                return Some(Fate { outcome: Status::Undelivered, error_code: Some(63016) });
            }
        }
        self.settings.fates.get(&message.to).copied()
    }

    /// Whom a service lets send.
    fn sender(&self, message: &Message) -> Option<String> {
        let service = self.service(message.service.as_deref()?)?;
        let prefix = if is_whatsapp(&message.to) { "whatsapp:" } else { "" };
        service.sender(&message.to).map(|number| format!("{prefix}{number}"))
    }

    /// A text comes in: kept, the sender's wish honoured, the webhook called.
    pub(super) fn receive(&mut self, inbound: Inbound) -> String {
        let prefix = if inbound.media.is_empty() { "SM" } else { "MM" };
        let mut message = self.blank(prefix, "inbound", Status::Received);
        let first = self.numbers.first().map(|one| one.number.clone()).unwrap_or_default();
        message.to = match inbound.to.as_str() {
            "" if is_whatsapp(&inbound.from) => format!("whatsapp:{first}"),
            "" => first,
            _ => inbound.to,
        };
        message.from = Some(inbound.from.clone());
        message.body = inbound.body;
        let ago = SignedDuration::from_secs(inbound.seconds_ago);
        message.created = message.created.saturating_sub(ago).unwrap_or(message.created);
        message.sent = Some(message.created);
        let spread = self.chance(self.settings.list_spread_ms);
        let lag = inbound.late_ms.unwrap_or(self.settings.list_lag_ms + spread);
        message.listed = message.listed.saturating_add(late(lag)).unwrap_or(Timestamp::MAX);
        for (content_type, text) in inbound.media {
            let (sid, bytes) = (self.sid("ME"), text.into_bytes());
            message.media.push(Media { sid, content_type, disposition: None, bytes });
        }
        let pair = (message.to.clone(), inbound.from);
        self.heard.insert(pair.clone(), message.created);
        let list = (self.scope(&pair.0), pair.1.clone());
        let blocked = self.blocks.contains(&list);
        let keyword = Keyword::of(&message.body, blocked).filter(|_| self.settings.opt_out);
        let sid = message.sid.clone();
        let form = self.inbound_form(&message, keyword);
        self.keep(message);
        match keyword {
            Some(Keyword::Stop) => drop(self.blocks.insert(list)),
            Some(Keyword::Start) => drop(self.blocks.remove(&list)),
            Some(Keyword::Help) | None => {}
        }
        // Who is blocked already is not told again.
        if let Some(keyword) = keyword.filter(|keyword| !(blocked && *keyword == Keyword::Stop)) {
            self.reply(&pair, keyword.reply().to_owned());
        }
        if !inbound.unannounced {
            self.announce(&pair.0, form, Some(sid.clone()), None);
        }
        sid
    }

    /// Posts an inbound message's form where the number or its service says.
    fn announce(&mut self, ours: &str, form: Pairs, message: Option<String>, forgery: Option<Forgery>) {
        let Some(number) = self.numbers.iter().find(|one| ours.ends_with(&one.number)) else { return };
        let service = self.services.iter().find(|one| one.numbers.contains(&number.number));
        let service = service.filter(|one| !one.use_inbound_webhook_on_number);
        let (url, fallback, get) = match service {
            Some(service) => (service.inbound_request_url.clone(), service.fallback_url.clone(), false),
            None => (number.sms_url.clone(), number.sms_fallback_url.clone(), number.asks_with_get()),
        };
        if url.is_empty() {
            return;
        }
        let payload = if get { Payload::Query(form) } else { Payload::Form(form) };
        let fallback = Some(fallback).filter(|url| !url.is_empty());
        let mut webhook = self.webhook(url, fallback, payload, message);
        webhook.forgery = forgery.unwrap_or(webhook.forgery);
        self.send(webhook);
    }

    /// Announces a text that is not there. The `MessageSid` that it claims.
    pub(super) fn forge(&mut self, forged: Forged) -> String {
        let mut message = self.blank("SM", "inbound", Status::Received);
        let first = self.numbers.first().map(|one| one.number.clone()).unwrap_or_default();
        message.to = if forged.to.is_empty() { first } else { forged.to };
        message.from = Some(forged.from);
        message.body = forged.body;
        if !forged.sid.is_empty() {
            message.sid = forged.sid;
        }
        let form = self.inbound_form(&message, None);
        self.announce(&message.to, form, None, Some(forged.forgery));
        message.sid
    }

    /// As many texts as are due; then the rest when its time comes.
    pub(super) fn receive_bulk(&mut self, mut stream: Stream) {
        let at = |stream: &Stream| stream.begun + stream.bulk.after(stream.done);
        // Requests get a turn between the parts.
        for _ in 0..100 {
            if stream.done >= stream.bulk.count || at(&stream) > Instant::now() {
                break;
            }
            drop(self.receive(stream.bulk.text(stream.done)));
            stream.done += 1;
        }
        if stream.done < stream.bulk.count {
            let wait = at(&stream).saturating_duration_since(Instant::now());
            self.later(wait, Job::Bulk(stream));
        }
    }

    fn reply(&mut self, (ours, theirs): &(String, String), body: String) {
        let mut reply = self.blank("SM", "outbound-reply", Status::Queued);
        reply.from = Some(ours.clone());
        reply.to.clone_from(theirs);
        reply.body = body;
        let sid = reply.sid.clone();
        self.keep(reply);
        self.plan_step(Job::Message(sid));
    }

    /// TwiML's answer to an inbound message; nothing leaves to a blocked person.
    pub(super) fn reply_by_twiml(&mut self, inbound: &str, bodies: Vec<String>) {
        let Some(message) = self.message(inbound) else { return };
        let pair = (message.to.clone(), message.from.clone().unwrap_or_default());
        if !self.blocks.contains(&(self.scope(&pair.0), pair.1.clone())) {
            bodies.into_iter().for_each(|body| self.reply(&pair, body));
        }
    }

    fn inbound_form(&self, message: &Message, keyword: Option<Keyword>) -> Pairs {
        let mut form = pairs(&[
            ("MessageSid", &message.sid),
            ("SmsSid", &message.sid),
            ("SmsMessageSid", &message.sid),
            ("AccountSid", &self.options.account),
            ("From", message.from.as_deref().unwrap_or_default()),
            ("To", &message.to),
            ("Body", &message.body),
            ("NumMedia", &message.media.len().to_string()),
            ("NumSegments", &segments(&message.body).to_string()),
            ("SmsStatus", "received"),
            ("ApiVersion", "2010-04-01"),
            ("FromCity", ""),
            ("FromCountry", "US"),
            ("ToCity", ""),
            ("ToCountry", "US"),
        ]);
        let account = &self.options.account;
        for (at, media) in message.media.iter().enumerate() {
            let path = format!("/2010-04-01/Accounts/{account}/Messages/{}/Media/{}", message.sid, media.sid);
            form.push((format!("MediaUrl{at}"), format!("{}{path}", self.options.url)));
            form.push((format!("MediaContentType{at}"), media.content_type.clone()));
        }
        if let Some(service) = self.services.iter().find(|one| one.numbers.contains(&message.to)) {
            form.extend(pairs(&[("MessagingServiceSid", &service.sid)]));
        }
        if let Some(number) = message.from.as_deref().and_then(|from| from.strip_prefix("whatsapp:+")) {
            form.extend(pairs(&[("WaId", number), ("ProfileName", "A customer")]));
        }
        if let Some(keyword) = keyword.filter(|_| self.settings.advanced_opt_out) {
            form.extend(pairs(&[("OptOutType", keyword.opt_out_type())]));
        }
        form
    }

    /// A scheduled message is given to its service now.
    pub(super) fn release_message(&mut self, sid: &str) {
        if self.message(sid).is_some_and(|message| message.status == Status::Scheduled) {
            self.set_message_status(sid, Status::Accepted, None);
            self.plan_step(Job::Message(sid.to_owned()));
        }
    }

    /// The next status of a message on its way; tells the callback.
    pub(super) fn advance_message(&mut self, sid: &str) {
        let outcome = self.settings.outcome;
        let Some(message) = self.message(sid) else { return };
        let fate = message.fate;
        let Some(next) = message.status.next(fate.map_or(outcome, |fate| fate.outcome)) else { return };
        self.set_message_status(sid, next, fate.and_then(|fate| fate.error_code));
        self.plan_step(Job::Message(sid.to_owned()));
    }

    /// Puts a message where the caller wants it. False: there is no such message.
    pub(super) fn set_message_status(&mut self, sid: &str, status: Status, error: Option<u32>) -> bool {
        let now = self.now();
        let (outcome, code) = (self.settings.outcome, self.settings.error_code);
        let chosen = self.message(sid).filter(|one| one.from.is_none()).and_then(|one| self.sender(one));
        let at = self.by_sid.get(sid).copied().unwrap_or_default();
        let Some(message) = self.message_mut(sid) else { return false };
        let key = (message.created, at);
        let first = chosen.is_some();
        message.status = status;
        message.updated = now;
        message.from = message.from.take().or(chosen);
        if status == Status::Sent {
            message.sent = Some(now);
        }
        if matches!(status, Status::Failed | Status::Undelivered) {
            message.error = error.or(Some(code));
        }
        let sequence = message.callbacks;
        message.callbacks += 1;
        let took = now.duration_since(message.created);
        let end = status.next(message.fate.map_or(outcome, |fate| fate.outcome)).is_none();
        let (from, callback) = (message.from.clone(), message.callback.clone());
        if let Some(from) = from.filter(|_| first) {
            self.index.from.entry(from).or_default().insert(key);
        }
        if status == Status::Sent {
            self.index.longest = self.index.longest.max(took);
        }
        if let (Some(url), Some(form)) = (callback, self.status_form(sid, sequence)) {
            self.callback(sid, url, form, end);
        }
        true
    }

    fn status_form(&self, sid: &str, sequence: u32) -> Option<Pairs> {
        let message = self.message(sid)?;
        let status = message.status.as_str();
        let mut form = pairs(&[
            ("MessageSid", sid),
            ("SmsSid", sid),
            ("AccountSid", &self.options.account),
            ("From", message.from.as_deref().unwrap_or_default()),
            ("To", &message.to),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("ApiVersion", "2010-04-01"),
        ]);
        if let Some(code) = message.error {
            form.extend(pairs(&[("ErrorCode", &code.to_string())]));
        }
        if let Some(service) = &message.service {
            form.extend(pairs(&[("MessagingServiceSid", service)]));
        }
        if let Some(number) = message.to.strip_prefix("whatsapp:") {
            form.extend(pairs(&[("ChannelPrefix", "whatsapp"), ("ChannelToAddress", number)]));
            if matches!(message.status, Status::Delivered | Status::Read | Status::Undelivered) {
                form.extend(pairs(&[("EventType", &status.to_ascii_uppercase())]));
            }
        }
        if self.settings.number_messages {
            form.extend(pairs(&[("SequenceNumber", &sequence.to_string())]));
        }
        Some(form)
    }

    /// One page of the messages, newest first, without looking at more of them than it must.
    pub(super) fn list_messages(&self, wanted: &Wanted, query: &Pairs) -> Result<Shown, Refusal> {
        let (to, from) = (form::get(query, "To"), form::get(query, "From"));
        let sent = Between::of(query, "DateSent", self.settings.days_only)?;
        let now = self.now();
        let none = BTreeSet::new();
        let keys = match (to, from) {
            (Some(to), _) => self.index.to.get(to).unwrap_or(&none),
            (None, Some(from)) => self.index.from.get(from).unwrap_or(&none),
            (None, None) => &self.index.all,
        };
        // What was made before this was sent too early for the filter.
        let earliest = sent.from.and_then(|from| {
            let second = SignedDuration::from_secs(1);
            from.saturating_sub(self.index.longest.saturating_add(second)).ok()
        });
        let fits = |key: &(Timestamp, usize)| {
            let one = self.messages.get(key.1)?;
            let good = !one.deleted
                && one.listed <= now
                && from.is_none_or(|from| one.from.as_deref() == Some(from))
                && sent.holds(one.sent.unwrap_or(one.created));
            good.then_some((*key, one))
        };
        let key = |sid: &str| {
            let at = *self.by_sid.get(sid).ok_or_else(bad_token)?;
            Ok((self.messages.get(at).ok_or_else(bad_token)?.created, at))
        };
        let (above, below) = match &wanted.cursor {
            Cursor::Start => (Bound::Unbounded, Bound::Unbounded),
            Cursor::After(sid) => (Bound::Unbounded, Bound::Excluded(key(sid)?)),
            Cursor::Before(sid) => (Bound::Excluded(key(sid)?), Bound::Unbounded),
        };
        let older = |below| {
            let keys = keys.range((Bound::Unbounded, below)).rev();
            keys.take_while(move |key| earliest.is_none_or(|earliest| key.0 >= earliest)).filter_map(fits)
        };
        let newer = |above| keys.range((above, Bound::Unbounded)).filter_map(fits);
        let mut entries: Vec<_> = match &wanted.cursor {
            Cursor::Before(_) => {
                let mut page: Vec<_> = newer(above).take(wanted.size).collect();
                page.reverse();
                page
            }
            Cursor::Start | Cursor::After(_) => older(below).take(wanted.size).collect(),
        };
        if let Cursor::After(sid) = &wanted.cursor {
            // So many of the page before come again.
            let overlap = self.settings.page_overlap.min(wanted.size - 1);
            let mut again: Vec<_> = newer(Bound::Included(key(sid)?)).take(overlap).collect();
            again.reverse();
            again.append(&mut entries);
            again.truncate(wanted.size);
            entries = again;
        }
        let sid = |one: Option<&((Timestamp, usize), &Message)>| one.map(|(_, message)| message.sid.clone());
        let (first, last) = (entries.first(), entries.last());
        let more = last.is_some_and(|(key, _)| older(Bound::Excluded(*key)).next().is_some());
        let back = wanted.cursor != Cursor::Start
            && first.is_some_and(|(key, _)| newer(Bound::Excluded(*key)).next().is_some());
        Ok(Shown {
            next: sid(last).filter(|_| more),
            previous: sid(first).filter(|_| back),
            entries: entries.iter().map(|(_, one)| one.json(&self.options.account)).collect(),
        })
    }

    /// The messages of one direction, oldest first, also the deleted.
    pub(super) fn texts(&self, direction: &str) -> Vec<Text> {
        let kept = self.messages.iter().filter(|one| one.direction == direction);
        let text = |one: &Message| Text {
            sid: one.sid.clone(),
            direction: one.direction,
            from: one.from.clone(),
            to: one.to.clone(),
            body: one.body.clone(),
            status: one.status,
            error_code: one.error,
            media: one.media.len(),
            content_sid: one.content.clone(),
            service_sid: one.service.clone(),
        };
        kept.map(text).collect()
    }

    /// How often each body was sent to each person.
    pub(super) fn sends(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for one in self.messages.iter().filter(|one| one.direction == "outbound-api") {
            *counts.entry((one.to.clone(), one.body.clone())).or_default() += 1;
        }
        counts
    }
}
