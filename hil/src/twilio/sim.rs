//! The account's state, what is due in it and the webhooks that follow; calls are moved here, messages in `text`.
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
use super::consents::Consent;
use super::content::Content;
use super::fault::Plan;
use super::form::{self, Pairs};
use super::message::{Message, Refusal, Status, is_address, refused, rfc2822};
use super::number::Number;
use super::service::Service;
use super::sip::Sip;
use super::studio::Flow;
use super::text::{Index, Stream};
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
    /// How messages to some people end instead, by address.
    pub fates: BTreeMap<String, Fate>,
    /// How calls end.
    pub call_outcome: CallStatus,
    /// Lists show an inbound message this much late …
    pub list_lag_ms: u64,
    /// … and by a pseudo-random time up to this more, so that they appear out of order.
    pub list_spread_ms: u64,
    /// Lists show a message that was sent this much late; fetching it by its SID does not wait.
    pub own_list_lag_ms: u64,
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
    /// Twilio keeps the block list and confirms STOP, START and HELP. False: such words are texts like any other.
    pub opt_out: bool,
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
            fates: BTreeMap::new(),
            call_outcome: CallStatus::Completed,
            list_lag_ms: 0,
            list_spread_ms: 0,
            own_list_lag_ms: 0,
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
            opt_out: true,
            advanced_opt_out: false,
            taken_domains: Vec::new(),
        }
    }
}

/// How a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Its last status.
    pub outcome: Status,
    /// Why, when it fails.
    #[serde(default)]
    pub error_code: Option<u32>,
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
    /// A scheduled message's time has come.
    Release(String),
    Call(String),
    /// The next of many texts from outside.
    Bulk(Stream),
    /// The files of a message, by their addresses.
    Fetch(String, Vec<String>),
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
    pub(super) services: Vec<Service>,
    pub(super) templates: BTreeMap<String, Content>,
    /// When a person last wrote to an address of ours, by ours and theirs: WhatsApp's window.
    pub(super) heard: BTreeMap<(String, String), Timestamp>,
    /// Sender of ours (number or service) and the person who does not want it.
    pub(super) blocks: BTreeSet<(String, String)>,
    /// What was told of who wants texts, and taken.
    pub(super) consents: Vec<Consent>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) stats: Stats,
    pub(super) in_flight: usize,
    pub(super) due: BTreeMap<(Instant, u64), Job>,
    held: BTreeMap<String, Vec<Webhook>>,
    /// What was sent about a message or call, to send it again.
    told: BTreeMap<String, Vec<Webhook>>,
    pub(super) by_sid: BTreeMap<String, usize>,
    pub(super) index: Index,
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
            services: Vec::new(),
            templates: BTreeMap::new(),
            heard: BTreeMap::new(),
            blocks: BTreeSet::new(),
            consents: Vec::new(),
            deliveries: Vec::new(),
            stats: Stats::default(),
            in_flight: 0,
            due: BTreeMap::new(),
            held: BTreeMap::new(),
            told: BTreeMap::new(),
            by_sid: BTreeMap::new(),
            index: Index::default(),
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

    pub(super) fn later(&mut self, wait: Duration, job: Job) {
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

    pub(super) fn message(&self, sid: &str) -> Option<&Message> {
        self.messages.get(*self.by_sid.get(sid)?).filter(|message| !message.deleted)
    }

    pub(super) fn message_mut(&mut self, sid: &str) -> Option<&mut Message> {
        self.messages.get_mut(*self.by_sid.get(sid)?).filter(|message| !message.deleted)
    }

    pub(super) fn plan_step(&mut self, job: Job) {
        if let Some(step) = self.settings.step_ms {
            self.later(Duration::from_millis(step), job);
        }
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

    pub(super) fn callback(&mut self, sid: &str, url: String, form: Pairs, end: bool) {
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

    /// Evenly spread from 0 to `most`, the same every time.
    pub(super) fn chance(&mut self, most: u64) -> u64 {
        // Knuth's multiplicative hash.
        let chance = self.count().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        chance % most.saturating_add(1)
    }

    /// Sends all that was sent about a message or call once more, bytes and signatures as they were. How many.
    pub(super) fn replay(&mut self, sid: &str) -> usize {
        let all = self.told.get(sid).cloned().unwrap_or_default();
        let count = all.len();
        self.later(Duration::ZERO, Job::Deliver(all));
        count
    }

    /// Now, or as late and as often as the settings say.
    pub(super) fn send(&mut self, webhook: Webhook) {
        if let Some(sid) = webhook.payload.sid() {
            self.told.entry(sid.to_owned()).or_default().push(webhook.clone());
        }
        for _ in 0..=self.settings.webhook_copies {
            let late = self.chance(self.settings.webhook_spread_ms);
            self.later(Duration::from_millis(late), Job::Deliver(vec![webhook.clone()]));
        }
    }

    /// The loop's share: what is due, and when to come again.
    pub(super) fn take_due(&mut self) -> (Vec<Job>, Option<Instant>) {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
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

pub(super) fn pairs(given: &[(&str, &str)]) -> Pairs {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
