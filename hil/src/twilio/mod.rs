//! Twilio on loopback: one account's Messages, Calls, Recordings, numbers, SIP domains and usage over the REST API of
//! 2010-04-01, its Studio flows (v2), Messaging Services, Content templates and Consent Management (v1), and the signed
//! webhooks that follow from them, with every fault that `backroom` must live with. Products are told apart by host
//! (`api.`, `studio.`, `messaging.`, `content.`, `accounts.`) and, on an address, by path.
//!
//! As a library: [`Twilio::start`]. As a program: `hil twilio`, with control endpoints on a port of its own, which
//! answers also while the API is down. Deliberately absent: running flows, SIP itself, and TwiML beyond `<Message>`.
//!
//! The server is `serve`'s: stopping it cuts every connection, and a test's paused clock does not pause Twilio.

mod asked;
mod call;
mod cli;
mod consents;
mod content;
mod fault;
mod files;
mod form;
mod list;
mod message;
mod number;
mod resource;
mod rest;
mod service;
mod sim;
mod sip;
mod studio;
mod text;
mod validate;
mod webhook;
mod wire;

pub use call::CallStatus;
pub use cli::{Args, run};
pub use consents::Consent;
pub use content::Content;
pub use fault::{Fault, On, Plan};
pub use files::File;
pub use message::Status;
pub use number::Number;
pub use service::Service;
pub use sim::{Fate, Settings, Stats};
pub use sip::SipUser;
pub use text::{Bulk, Forged, Inbound, Text};
pub use webhook::{Delivery, Forgery, signature};

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use crate::serve::{self, Server};

use call::Recording;
use rest::Shared;
use sim::{Job, Sim};
use text::Stream;
use webhook::{Payload, Signing, Webhook, deliver, replies, trusting};
use wire::{Door, Wire};

/// How to start Twilio.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `AC` and 32 hexadecimal digits.
    pub account: String,
    /// The account's password, and the key of webhook signatures.
    pub auth_token: String,
    /// An API key's `SK…` and secret, let in as well.
    pub api_key: Option<(String, String)>,
    /// Another account's SID and token: test credentials, which take magic numbers and send nothing.
    pub test_account: Option<(String, String)>,
    /// The account's numbers, E.164.
    pub numbers: Vec<String>,
    /// PEM of the authority that https applications are certified by; without one, none is trusted.
    pub webhook_ca: Option<String>,
    /// SIDs are the same for the same seed and history.
    pub seed: u64,
    /// Where the outside finds the API, for `MediaUrl0`; filled in at the start.
    pub url: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            account: "AC00000000000000000000000000000001".to_owned(),
            auth_token: "simulated-auth-token".to_owned(),
            api_key: Some(("SK00000000000000000000000000000001".to_owned(), "simulated-secret".to_owned())),
            test_account: Some((
                "AC00000000000000000000000000000002".to_owned(),
                "simulated-test-token".to_owned(),
            )),
            numbers: vec!["+12065550199".to_owned()],
            webhook_ca: None,
            seed: 1,
            url: String::new(),
        }
    }
}

/// A running Twilio. Dropping it cuts every connection.
pub struct Twilio {
    shared: Shared,
    server: Server,
}

impl Twilio {
    /// Listens with an empty account.
    ///
    /// # Errors
    /// The port is taken, or `webhook_ca` is no PEM.
    pub fn start(mut options: Options) -> io::Result<Self> {
        let tls = trusting(options.webhook_ca.as_deref())?;
        let socket = serve::bind(options.listen)?;
        options.url = format!("http://{}", socket.local_addr()?);
        let shared = Shared::new(Sim::new(options), tls);
        let ours = shared.clone();
        let server = Server::start("twilio", socket, move |listener| {
            let app = rest::router(ours.clone()).into_make_service_with_connect_info::<Wire>();
            let work = work(ours.clone());
            async move {
                tokio::select! {
                    _ = axum::serve(Door(listener), app) => {}
                    () = work => {}
                }
            }
        })?;
        Ok(Self { shared, server })
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What goes wrong from now on, in place of what went wrong before.
    pub fn set_faults(&self, plans: &[Plan]) {
        self.shared.lock().plans = plans.to_vec();
    }

    /// How the far side behaves from now on.
    pub fn set(&self, settings: Settings) {
        self.shared.lock().settings = settings;
    }

    /// What it behaves like now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.shared.lock().settings.clone()
    }

    /// Adds one of the account's numbers, or changes it.
    #[must_use]
    pub fn set_number(&self, number: Number) -> Number {
        self.shared.lock().set_number(number)
    }

    /// A text comes in. Its `MessageSid`.
    #[must_use]
    pub fn receive(&self, inbound: Inbound) -> String {
        let sid = self.shared.lock().receive(inbound);
        self.shared.wake.notify_one();
        sid
    }

    /// The shortest way for a text to come in: to the account's first number.
    #[must_use]
    pub fn inbound(&self, from: &str, body: &str) -> String {
        self.receive(Inbound { from: from.to_owned(), body: body.to_owned(), ..Inbound::default() })
    }

    /// Many texts come in, now and from now on, also while the API is down.
    pub fn receive_bulk(&self, bulk: Bulk) {
        self.shared.lock().later(Duration::ZERO, Job::Bulk(Stream::new(bulk)));
        self.shared.wake.notify_one();
    }

    /// Sends every webhook about a message or call once more, as it was. How many.
    #[must_use]
    pub fn replay(&self, sid: &str) -> usize {
        let count = self.shared.lock().replay(sid);
        self.shared.wake.notify_one();
        count
    }

    /// Announces a text that never was. The `MessageSid` that it claims.
    #[must_use]
    pub fn forge(&self, forged: Forged) -> String {
        let sid = self.shared.lock().forge(forged);
        self.shared.wake.notify_one();
        sid
    }

    /// Adds a Messaging Service, or changes the one of that SID.
    #[must_use]
    pub fn set_service(&self, service: Service) -> Service {
        self.shared.lock().set_service(service)
    }

    /// Adds a template, `Hello {{1}}`, or changes it. Its `HX…`: the one given, or a new one for an empty one.
    #[must_use]
    pub fn set_template(&self, sid: &str, body: &str) -> String {
        let content = Content { sid: sid.to_owned(), body: body.to_owned(), ..Content::default() };
        self.set_content(content).sid
    }

    /// Adds a template, or changes it.
    #[must_use]
    pub fn set_content(&self, mut content: Content) -> Content {
        let mut sim = self.shared.lock();
        if content.sid.is_empty() {
            content.sid = sim.sid("HX");
        }
        sim.templates.insert(content.sid.clone(), content.clone());
        content
    }

    /// The files of a message, in order; of one that is sent, once they were fetched.
    #[must_use]
    pub fn files(&self, sid: &str) -> Vec<File> {
        self.shared.lock().files(sid)
    }

    /// What was created by the REST API, oldest first, also what was deleted.
    #[must_use]
    pub fn outbound(&self) -> Vec<Text> {
        self.shared.lock().texts("outbound-api")
    }

    /// How many were created by the REST API after the first so many.
    #[must_use]
    pub fn sent_after(&self, first: usize) -> usize {
        let sim = self.shared.lock();
        let sent = sim.messages.iter().filter(|one| one.direction == "outbound-api").count();
        sent.saturating_sub(first)
    }

    /// What Twilio answered by itself or by TwiML, oldest first.
    #[must_use]
    pub fn replies(&self) -> Vec<Text> {
        self.shared.lock().texts("outbound-reply")
    }

    /// What came in, oldest first.
    #[must_use]
    pub fn inbounds(&self) -> Vec<Text> {
        self.shared.lock().texts("inbound")
    }

    /// How often each body was sent to each person, by address and body.
    #[must_use]
    pub fn sends(&self) -> BTreeMap<(String, String), usize> {
        self.shared.lock().sends()
    }

    /// Waits until something holds: it is looked at again after every request, status and webhook. False: it did not
    /// in that time.
    pub async fn until(&self, most: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                let mut changed = std::pin::pin!(changed);
                // From here on nothing is missed.
                changed.as_mut().enable();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(most, waiting).await.is_ok()
    }

    /// A caller left a voicemail of so many seconds in a call. Its `RecordingSid`.
    #[must_use]
    pub fn record(&self, call: &str, seconds: u32) -> String {
        let mut sim = self.shared.lock();
        let (sid, created) = (sim.sid("RE"), sim.now());
        let seconds = seconds.min(600);
        let wav = Recording::tone(seconds);
        let call = call.to_owned();
        sim.recordings.push(Recording { sid: sid.clone(), call, created, seconds, wav, deleted: false });
        sid
    }

    /// Moves a message by hand, with its callback. False: there is no such message.
    #[must_use]
    pub fn set_status(&self, sid: &str, status: Status, error_code: Option<u32>) -> bool {
        let known = self.shared.lock().set_message_status(sid, status, error_code);
        self.shared.wake.notify_one();
        known
    }

    /// Posts a JSON webhook, signed with `bodySHA256`.
    pub fn post_json(&self, url: &str, body: &Value) {
        let mut sim = self.shared.lock();
        let payload = Payload::Json(body.to_string().into_bytes());
        let webhook = sim.webhook(url.to_owned(), None, payload, None);
        sim.send(webhook);
        drop(sim);
        self.shared.wake.notify_one();
    }

    /// A person blocks or unblocks one of our senders at Twilio, out of the box's sight.
    pub fn set_blocked(&self, ours: &str, theirs: &str, blocked: bool) {
        let pair = (ours.to_owned(), theirs.to_owned());
        let mut sim = self.shared.lock();
        if blocked {
            sim.blocks.insert(pair);
        } else {
            sim.blocks.remove(&pair);
        }
    }

    /// Who is blocked: our sender, the person.
    #[must_use]
    pub fn blocked(&self) -> Vec<(String, String)> {
        self.shared.lock().blocks.iter().cloned().collect()
    }

    /// What was told of who wants texts, and taken, oldest first.
    #[must_use]
    pub fn consents(&self) -> Vec<Consent> {
        self.shared.lock().consents.clone()
    }

    /// Who may register at which SIP domain.
    #[must_use]
    pub fn sip_users(&self) -> Vec<SipUser> {
        self.shared.lock().sip.users()
    }

    /// Every message that ever was, oldest first: "each once". The deleted have `"deleted": true`.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.shared.lock().all_messages()
    }

    /// Every attempt at a webhook, in the order in which they ended.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.lock().deliveries.clone()
    }

    /// What has been asked of the API.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }

    /// Forgets everything but the options.
    pub fn reset(&self) {
        let mut sim = self.shared.lock();
        let in_flight = sim.in_flight;
        *sim = Sim::new(sim.options.clone());
        sim.in_flight = in_flight;
    }

    /// Cuts every connection and refuses new ones; no webhook leaves. The port stays Twilio's.
    ///
    /// # Errors
    /// The server's thread had died.
    pub fn stop_listening(&self) -> io::Result<()> {
        self.server.stop()
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// The port could not be taken again.
    pub fn resume(&self) -> io::Result<()> {
        self.server.resume()
    }
}

/// Moves messages and calls on, and sends the webhooks, when they are due.
async fn work(shared: Shared) {
    loop {
        let (due, next) = shared.lock().take_due();
        for job in due {
            match job {
                Job::Message(sid) => shared.lock().advance_message(&sid),
                Job::Release(sid) => shared.lock().release_message(&sid),
                Job::Call(sid) => shared.lock().advance_call(&sid),
                Job::Bulk(stream) => shared.lock().receive_bulk(stream),
                Job::Fetch(sid, urls) => drop(tokio::spawn(fetch(shared.clone(), sid, urls))),
                Job::Deliver(webhooks) => drop(tokio::spawn(post(shared.clone(), webhooks))),
            }
            shared.wake.notify_one();
            shared.changed.notify_waiters();
        }
        match next {
            Some(next) => tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = shared.wake.notified() => {}
            },
            None => shared.wake.notified().await,
        }
    }
}

async fn fetch(shared: Shared, sid: String, urls: Vec<String>) {
    let fetched = files::fetch_all(&urls, &shared.tls).await;
    shared.lock().fetched(&sid, fetched);
    shared.wake.notify_one();
    shared.changed.notify_waiters();
}

async fn post(shared: Shared, webhooks: Vec<Webhook>) {
    for webhook in webhooks {
        // Err: never, nobody closes it.
        let _turn = shared.gate.acquire().await;
        let signing = {
            let sim = shared.lock();
            Signing {
                auth_token: sim.options.auth_token.clone(),
                without_port: sim.settings.sign_without_port,
                tls: shared.tls.clone(),
            }
        };
        let (attempts, answer) = deliver(&webhook, &signing).await;
        let mut sim = shared.lock();
        sim.deliveries.extend(attempts);
        if let (Some(message), Some(twiml)) = (&webhook.message, answer) {
            sim.reply_by_twiml(message, replies(&twiml));
        }
        drop(sim);
        shared.wake.notify_one();
        shared.changed.notify_waiters();
    }
}
