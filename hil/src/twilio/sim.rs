//! The account's state and what happens to it: messages, calls, recordings, opt-outs, and the webhooks that follow.
//! No socket and no task: what is due is handed to the loop in `mod`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use tokio::time::Instant;

use super::Options;
use super::call::{Call, CallStatus, Recording, magic};
use super::fault::Plan;
use super::form::{self, Pairs};
use super::message::{
    Keyword, Media, Message, Refusal, Status, is_address, magic_recipient, magic_sender, refused, rfc2822,
    segments,
};
use super::number::Number;
use super::sip::Sip;
use super::studio::Flow;
use super::webhook::{Delivery, Forgery, Payload, Webhook};
use crate::emergency::is_emergency;

/// How the far side behaves, until told otherwise. Every field may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// From one status to the next; `None`: statuses move only by control.
    pub step_ms: Option<u64>,
    /// How sent messages end.
    pub outcome: Status,
    /// With which error code, when they fail.
    pub error_code: u32,
    /// How calls end.
    pub call_outcome: CallStatus,
    /// Lists show an inbound message this much late.
    pub list_lag_ms: u64,
    /// `DateSent` filters compare days only, as documented.
    pub days_only: bool,
    /// So many entries of a page come again on the next.
    pub page_overlap: usize,
    /// More requests at once than this are answered 429.
    pub max_concurrent: Option<usize>,
    /// Twilio's clock against this machine's.
    pub clock_offset_seconds: i64,
    /// Every webhook comes so many times more.
    pub webhook_copies: u32,
    /// Each webhook is late by a pseudo-random time up to this.
    pub webhook_spread_ms: u64,
    /// Status callbacks of a message or call are held until its end, then come last first.
    pub reverse_callbacks: bool,
    /// Message status callbacks carry `SequenceNumber` too; only those of calls are documented to.
    pub number_messages: bool,
    /// Signatures leave the port out.
    pub sign_without_port: bool,
    /// What is wrong with every signature.
    pub forgery: Forgery,
    /// `OptOutType` on webhooks.
    pub advanced_opt_out: bool,
    /// SIP domains that other accounts have.
    pub taken_domains: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            step_ms: Some(20),
            outcome: Status::Delivered,
            error_code: 30003,
            call_outcome: CallStatus::Completed,
            list_lag_ms: 0,
            days_only: false,
            page_overlap: 0,
            max_concurrent: None,
            clock_offset_seconds: 0,
            webhook_copies: 0,
            webhook_spread_ms: 0,
            reverse_callbacks: false,
            number_messages: false,
            sign_without_port: false,
            forgery: Forgery::None,
            advanced_opt_out: false,
            taken_domains: Vec::new(),
        }
    }
}

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
}

/// What has been asked of the API.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Requests that reached the API, whatever they met.
    pub requests: u64,
    /// The most at one time.
    pub most_at_once: usize,
    /// By method and resource: `POST Messages`.
    pub by_resource: BTreeMap<String, u64>,
    /// By method and path, `{}` for every SID: `GET /v2/Flows/{}`.
    pub by_path: BTreeMap<String, u64>,
    /// By HTTP status; cut connections have none.
    pub by_status: BTreeMap<u16, u64>,
}

/// What the loop does when its time has come.
#[derive(Debug)]
pub(super) enum Job {
    Message(String),
    Call(String),
    /// One after the other.
    Deliver(Vec<Webhook>),
}

pub(super) struct Sim {
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) plans: Vec<Plan>,
    pub(super) numbers: Vec<Number>,
    pub(super) messages: Vec<Message>,
    pub(super) calls: Vec<Call>,
    pub(super) recordings: Vec<Recording>,
    pub(super) sip: Sip,
    pub(super) flows: Vec<Flow>,
    pub(super) started: Timestamp,
    /// Sender of ours (number or service) and the person who does not want it.
    pub(super) blocks: BTreeSet<(String, String)>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) stats: Stats,
    pub(super) in_flight: usize,
    pub(super) due: BTreeMap<(Instant, u64), Job>,
    held: BTreeMap<String, Vec<Webhook>>,
    by_sid: BTreeMap<String, usize>,
    counter: u64,
}

impl Sim {
    pub(super) fn new(options: Options) -> Self {
        let mut sim = Self {
            options,
            settings: Settings::default(),
            plans: Vec::new(),
            numbers: Vec::new(),
            messages: Vec::new(),
            calls: Vec::new(),
            recordings: Vec::new(),
            sip: Sip::default(),
            flows: Vec::new(),
            started: Timestamp::now(),
            blocks: BTreeSet::new(),
            deliveries: Vec::new(),
            stats: Stats::default(),
            in_flight: 0,
            due: BTreeMap::new(),
            held: BTreeMap::new(),
            by_sid: BTreeMap::new(),
            counter: 0,
        };
        for number in sim.options.numbers.clone() {
            sim.set_number(Number { number, ..Number::default() });
        }
        sim
    }

    /// Twilio's clock.
    pub(super) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(self.settings.clock_offset_seconds);
        Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX)
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Two letters and 32 hexadecimal digits; the same for the same seed and history.
    pub(super) fn sid(&mut self, prefix: &str) -> String {
        let count = self.count();
        let hash = Sha1::digest(format!("{}/{count}", self.options.seed));
        let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{prefix}{digits}")
    }

    fn later(&mut self, wait: Duration, job: Job) {
        let key = (Instant::now() + wait, self.count());
        self.due.insert(key, job);
    }

    /// Adds a number, or changes the one that there is.
    pub(super) fn set_number(&mut self, mut number: Number) -> Number {
        let known = self.numbers.iter().position(|one| one.number == number.number);
        match known.and_then(|at| self.numbers.get_mut(at)) {
            Some(one) => {
                number.sid.clone_from(&one.sid);
                one.clone_from(&number);
            }
            None => {
                if number.sid.is_empty() {
                    number.sid = self.sid("PN");
                }
                self.numbers.push(number.clone());
            }
        }
        number
    }

    /// A test account owns the magic number alone.
    fn owns(&self, from: &str, test: bool) -> bool {
        let plain = from.strip_prefix("whatsapp:").unwrap_or(from);
        plain == "+15005550006" || (!test && self.numbers.iter().any(|one| one.number == plain))
    }

    pub(super) fn message(&self, sid: &str) -> Option<&Message> {
        self.messages.get(*self.by_sid.get(sid)?).filter(|message| !message.deleted)
    }

    pub(super) fn message_mut(&mut self, sid: &str) -> Option<&mut Message> {
        self.messages.get_mut(*self.by_sid.get(sid)?).filter(|message| !message.deleted)
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
            created: now,
            updated: now,
            sent: None,
            listed: now,
            service: None,
            callback: None,
            media: Vec::new(),
            segments: 1,
            callbacks: 0,
            deleted: false,
        }
    }

    fn keep(&mut self, mut message: Message) {
        message.segments = segments(&message.body);
        self.by_sid.insert(message.sid.clone(), self.messages.len());
        self.messages.push(message);
    }

    /// POST Messages.json.
    pub(super) fn create_message(&mut self, form: &Pairs) -> Result<&Message, Refusal> {
        let message = self.draft_message(form, false)?;
        let sid = message.sid.clone();
        self.keep(message);
        self.plan_step(Job::Message(sid));
        self.messages.last().ok_or_else(|| refused(20500, "nothing kept"))
    }

    /// What would be sent, or why it is refused; of a test account if `test`.
    pub(super) fn draft_message(&mut self, form: &Pairs, test: bool) -> Result<Message, Refusal> {
        let field = |name| form::get(form, name).filter(|value| !value.is_empty());
        let (to, from, service) = (field("To"), field("From"), field("MessagingServiceSid"));
        let to = to.ok_or_else(|| refused(21604, "A 'To' phone number is required."))?;
        let body = form::get(form, "Body").unwrap_or_default();
        let files: Vec<&str> =
            form.iter().filter(|(name, _)| name == "MediaUrl").map(|(_, url)| url.as_str()).collect();
        if body.is_empty() && files.is_empty() && field("ContentSid").is_none() {
            return Err(refused(21602, "Message body is required."));
        }
        if body.chars().count() > 1600 {
            return Err(refused(21617, "The concatenated message body exceeds the 1600 character limit."));
        }
        let from = match (from, service) {
            (Some(from), _) => Some(from),
            (None, Some(_)) => None,
            (None, None) => return Err(refused(21603, "A 'From' phone number is required.")),
        };
        if let Some(refusal) = from.and_then(magic_sender).or_else(|| magic_recipient(to)) {
            return Err(refusal);
        }
        if !is_address(to) || is_emergency(to) {
            return Err(refused(21211, format!("Invalid 'To' Phone Number: {to}")));
        }
        if let Some(from) = from.filter(|from| !self.owns(from, test)) {
            let why = "is not a valid message-capable Twilio phone number";
            return Err(refused(21606, format!("The 'From' phone number provided ({from}) {why}")));
        }
        if [from, service]
            .into_iter()
            .flatten()
            .any(|by| self.blocks.contains(&(by.to_owned(), to.to_owned())))
        {
            return Err(refused(21610, "Attempt to send to unsubscribed recipient"));
        }
        let scheduled = field("ScheduleType") == Some("fixed");
        if scheduled && (service.is_none() || field("SendAt").is_none()) {
            return Err(refused(35111, "Scheduling needs SendAt and a MessagingServiceSid"));
        }
        let status = match (scheduled, from) {
            (true, _) => Status::Scheduled,
            (false, Some(_)) => Status::Queued,
            (false, None) => Status::Accepted,
        };
        let mut message = self.blank(if files.is_empty() { "SM" } else { "MM" }, "outbound-api", status);
        message.from = from.map(str::to_owned);
        message.to = to.to_owned();
        message.body = body.to_owned();
        message.service = service.map(str::to_owned);
        message.callback = field("StatusCallback").map(str::to_owned);
        for _ in &files {
            let sid = self.sid("ME");
            message.media.push(Media { sid, content_type: "image/jpeg".to_owned(), bytes: Vec::new() });
        }
        Ok(message)
    }

    fn plan_step(&mut self, job: Job) {
        if let Some(step) = self.settings.step_ms {
            self.later(Duration::from_millis(step), job);
        }
    }

    /// A text comes in: kept, the sender's wish honoured, the number's webhook called.
    pub(super) fn receive(&mut self, inbound: Inbound) -> String {
        let prefix = if inbound.media.is_empty() { "SM" } else { "MM" };
        let mut message = self.blank(prefix, "inbound", Status::Received);
        let first = self.numbers.first().map(|one| one.number.clone()).unwrap_or_default();
        message.to = if inbound.to.is_empty() { first } else { inbound.to };
        message.from = Some(inbound.from.clone());
        message.body = inbound.body;
        let ago = SignedDuration::from_secs(inbound.seconds_ago);
        message.created = message.created.saturating_sub(ago).unwrap_or(message.created);
        message.sent = Some(message.created);
        let lag = SignedDuration::from_millis(i64::try_from(self.settings.list_lag_ms).unwrap_or(i64::MAX));
        message.listed = message.listed.saturating_add(lag).unwrap_or(Timestamp::MAX);
        for (content_type, text) in inbound.media {
            message.media.push(Media { sid: self.sid("ME"), content_type, bytes: text.into_bytes() });
        }
        let pair = (message.to.clone(), inbound.from);
        let keyword = Keyword::of(&message.body, self.blocks.contains(&pair));
        let sid = message.sid.clone();
        let number =
            self.numbers.iter().find(|one| pair.0.ends_with(&one.number)).cloned().unwrap_or_default();
        let form = self.inbound_form(&message, keyword);
        self.keep(message);
        match keyword {
            Some(Keyword::Stop) => drop(self.blocks.insert(pair.clone())),
            Some(Keyword::Start) => drop(self.blocks.remove(&pair)),
            Some(Keyword::Help) | None => {}
        }
        if let Some(keyword) = keyword {
            self.reply(&pair, keyword.reply().to_owned());
        }
        if !number.sms_url.is_empty() {
            let payload = if number.asks_with_get() { Payload::Query(form) } else { Payload::Form(form) };
            let fallback = Some(number.sms_fallback_url).filter(|url| !url.is_empty());
            let webhook = self.webhook(number.sms_url, fallback, payload, Some(sid.clone()));
            self.send(webhook);
        }
        sid
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
        if !self.blocks.contains(&pair) {
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
        if let Some(number) = message.from.as_deref().and_then(|from| from.strip_prefix("whatsapp:+")) {
            form.extend(pairs(&[("WaId", number), ("ProfileName", "A customer")]));
        }
        if let Some(keyword) = keyword.filter(|_| self.settings.advanced_opt_out) {
            form.extend(pairs(&[("OptOutType", keyword.opt_out_type())]));
        }
        form
    }

    /// The next status of a message on its way; tells the callback.
    pub(super) fn advance_message(&mut self, sid: &str) {
        let outcome = self.settings.outcome;
        let Some(next) = self.message(sid).and_then(|message| message.status.next(outcome)) else { return };
        self.set_message_status(sid, next, None);
        self.plan_step(Job::Message(sid.to_owned()));
    }

    /// Puts a message where the caller wants it. False: there is no such message.
    pub(super) fn set_message_status(&mut self, sid: &str, status: Status, error: Option<u32>) -> bool {
        let (now, settings) = (self.now(), self.settings.clone());
        let account = self.options.account.clone();
        let first = self.numbers.first().map(|one| one.number.clone());
        let Some(message) = self.message_mut(sid) else { return false };
        message.status = status;
        message.updated = now;
        if message.from.is_none() {
            message.from = first;
        }
        if status == Status::Sent {
            message.sent = Some(now);
        }
        if matches!(status, Status::Failed | Status::Undelivered) {
            message.error = error.or(Some(settings.error_code));
        }
        let sequence = message.callbacks;
        message.callbacks += 1;
        let Some(url) = message.callback.clone() else { return true };
        let mut form = pairs(&[
            ("MessageSid", sid),
            ("SmsSid", sid),
            ("AccountSid", &account),
            ("From", message.from.as_deref().unwrap_or_default()),
            ("To", &message.to),
            ("MessageStatus", status.as_str()),
            ("SmsStatus", status.as_str()),
            ("ApiVersion", "2010-04-01"),
        ]);
        if let Some(code) = message.error {
            form.extend(pairs(&[("ErrorCode", &code.to_string())]));
        }
        if let Some(service) = &message.service {
            form.extend(pairs(&[("MessagingServiceSid", service)]));
        }
        if settings.number_messages {
            form.extend(pairs(&[("SequenceNumber", &sequence.to_string())]));
        }
        let end = status.next(settings.outcome).is_none();
        self.callback(sid, url, form, end);
        true
    }

    /// POST Calls.json.
    pub(super) fn create_call(&mut self, form: &Pairs) -> Result<&Call, Refusal> {
        let call = self.draft_call(form, false)?;
        let sid = call.sid.clone();
        self.calls.push(call);
        self.tell_call(&sid);
        self.plan_step(Job::Call(sid));
        self.calls.last().ok_or_else(|| refused(20500, "nothing kept"))
    }

    /// The call that would be placed, or why it is refused; of a test account if `test`.
    pub(super) fn draft_call(&mut self, form: &Pairs, test: bool) -> Result<Call, Refusal> {
        let field = |name| form::get(form, name).filter(|value| !value.is_empty());
        let to = field("To").ok_or_else(|| refused(21201, "No 'To' number is specified"))?;
        let from = field("From").ok_or_else(|| refused(21213, "No 'From' number is specified"))?;
        if ["Url", "Twiml", "ApplicationSid"].into_iter().all(|name| field(name).is_none()) {
            return Err(refused(21205, "Url parameter is required."));
        }
        if let Some(refusal) = magic(from, to) {
            return Err(refusal);
        }
        if is_emergency(to) {
            return Err(refused(21216, format!("Calls to {to} are blocked")));
        }
        if !to.starts_with("sip:") && !to.starts_with("client:") && !is_address(to) {
            return Err(refused(21211, format!("Invalid 'To' Phone Number: {to}")));
        }
        if !self.owns(from, test) {
            return Err(refused(
                21210,
                format!("The source phone number provided, {from}, is not yet verified"),
            ));
        }
        let mut events: Vec<String> = form
            .iter()
            .filter(|(name, _)| name == "StatusCallbackEvent")
            .map(|(_, event)| event.clone())
            .collect();
        if events.is_empty() {
            events.push("completed".to_owned());
        }
        let now = self.now();
        Ok(Call {
            sid: self.sid("CA"),
            from: from.to_owned(),
            to: to.to_owned(),
            direction: "outbound-api",
            status: CallStatus::Queued,
            created: now,
            updated: now,
            start: None,
            end: None,
            callback: field("StatusCallback").map(str::to_owned),
            events,
            sequence: 0,
            deleted: false,
        })
    }

    pub(super) fn call_mut(&mut self, sid: &str) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.sid == sid && !call.deleted)
    }

    pub(super) fn advance_call(&mut self, sid: &str) {
        let outcome = self.settings.call_outcome;
        let Some(next) = self.call_mut(sid).and_then(|call| call.status.next(outcome)) else { return };
        self.set_call_status(sid, next);
        self.plan_step(Job::Call(sid.to_owned()));
    }

    /// False: there is no such call.
    pub(super) fn set_call_status(&mut self, sid: &str, status: CallStatus) -> bool {
        let now = self.now();
        let Some(call) = self.call_mut(sid) else { return false };
        call.status = status;
        call.updated = now;
        call.start = call.start.or_else(|| (status == CallStatus::InProgress).then_some(now));
        call.end = call.end.or_else(|| status.is_end().then_some(now));
        self.tell_call(sid);
        true
    }

    fn tell_call(&mut self, sid: &str) {
        let (now, account) = (self.now(), self.options.account.clone());
        let Some(call) = self.call_mut(sid) else { return };
        let sequence = call.sequence;
        call.sequence += 1;
        let wanted = call.events.iter().any(|event| event == call.status.event());
        let Some(url) = call.callback.clone().filter(|_| wanted) else { return };
        // "initiated" is the event; the resource says queued.
        let status = if call.status == CallStatus::Queued { "initiated" } else { call.status.as_str() };
        let mut form = pairs(&[
            ("CallSid", sid),
            ("AccountSid", &account),
            ("From", &call.from),
            ("To", &call.to),
            ("Caller", &call.from),
            ("Called", &call.to),
            ("CallStatus", status),
            ("ApiVersion", "2010-04-01"),
            ("Direction", call.direction),
            ("Timestamp", &rfc2822(now)),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", &sequence.to_string()),
        ]);
        let end = call.status.is_end();
        if end {
            form.extend(pairs(&[("CallDuration", &call.seconds().unwrap_or_default().to_string())]));
        }
        if call.status == CallStatus::Completed {
            // Minutes begun, where CallDuration has seconds.
            let minutes = call.seconds().unwrap_or_default() / 60 + 1;
            form.extend(pairs(&[("Duration", &minutes.to_string())]));
        }
        self.callback(sid, url, form, end);
    }

    fn callback(&mut self, sid: &str, url: String, form: Pairs, end: bool) {
        let webhook = self.webhook(url, None, Payload::Form(form), None);
        if !self.settings.reverse_callbacks {
            return self.send(webhook);
        }
        self.held.entry(sid.to_owned()).or_default().push(webhook);
        if let Some(mut held) = end.then(|| self.held.remove(sid)).flatten() {
            held.reverse();
            let copies = usize::try_from(self.settings.webhook_copies).unwrap_or_default() + 1;
            let all = held.into_iter().flat_map(|webhook| std::iter::repeat_n(webhook, copies)).collect();
            self.later(Duration::ZERO, Job::Deliver(all));
        }
    }

    pub(super) fn webhook(
        &mut self,
        url: String,
        fallback: Option<String>,
        payload: Payload,
        message: Option<String>,
    ) -> Webhook {
        let token = self.sid("IT");
        Webhook { url, fallback, payload, forgery: self.settings.forgery, token, message }
    }

    /// Now, or as late and as often as the settings say.
    pub(super) fn send(&mut self, webhook: Webhook) {
        for _ in 0..=self.settings.webhook_copies {
            // Knuth's multiplicative hash: spread evenly, the same every time.
            let chance = self.count().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
            let late = chance % (self.settings.webhook_spread_ms + 1);
            self.later(Duration::from_millis(late), Job::Deliver(vec![webhook.clone()]));
        }
    }

    /// The loop's share: what is due, and when to come again.
    pub(super) fn take_due(&mut self) -> (Vec<Job>, Option<Instant>) {
        let now = Instant::now();
        let later = self.due.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.due, later).into_values().collect();
        (due, self.due.keys().next().map(|(at, _)| *at))
    }

    /// Every message that ever was, oldest first; the deleted say so.
    pub(super) fn all_messages(&self) -> Vec<Value> {
        let shown = |message: &Message| {
            let mut json = message.json(&self.options.account);
            if message.deleted
                && let Some(object) = json.as_object_mut()
            {
                object.insert("deleted".to_owned(), true.into());
            }
            json
        };
        self.messages.iter().map(shown).collect()
    }
}

fn pairs(given: &[(&str, &str)]) -> Pairs {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
