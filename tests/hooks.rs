//! The box behind its webhooks: the simulated Twilio posts over real sockets what is signed rightly, wrongly and
//! twice; what is asserted is what it was answered, what is stored, and what the status counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use backroom::config::{Config, Secret, UpstreamLine, file};
use backroom::daemon::control::{self, Ask};
use backroom::daemon::{self, RunError};
use backroom::store::{Direction, MessageFilter, MessageRow, MessageStatus, Reader};
use backroom::twilio::webhook;
use backroom::types::{Channel, LineId, PhoneNumber, ShopId};
use backroom::web;
use hil::twilio::{Forgery, Inbound, Number, Options, Settings, Twilio};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const NUMBER: &str = "+12065550199";
const PATIENCE: Duration = Duration::from_secs(20);

/// A running box and the Twilio that it hears of texts from.
struct World {
    dir: tempfile::TempDir,
    twilio: Twilio,
    port: u16,
    running: Option<(oneshot::Sender<()>, Running)>,
}

type Running = JoinHandle<Result<(), RunError>>;

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    hil::beside::free_port([127, 0, 0, 1].into()).unwrap()
}

/// Waits for what another thread does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

impl World {
    fn start() -> World {
        let twilio = Twilio::start(Options::default()).unwrap();
        let mut world = World { dir: tempfile::tempdir().unwrap(), twilio, port: free_port(), running: None };
        let sms_url = format!("{}{}", world.public_url(), webhook::message_path(&LineId::from("twilio")));
        let _known = world.twilio.set_number(Number { number: NUMBER.into(), sms_url, ..Number::default() });
        world.run();
        world
    }

    fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn config(&self) -> Config {
        let text = format!(
            "[storage]\npath = {:?}\n[[shop]]\nid = \"main\"\n[web]\nlisten = \"127.0.0.1:{}\"\nmax_body_kib = 16\n",
            self.dir.path(),
            self.port
        );
        let mut config = file::parse(&text, None).unwrap();
        config.upstreams = vec![UpstreamLine {
            id: LineId::from("twilio"),
            shop: ShopId::from("main"),
            account: Options::default().account,
            api_key: None,
            auth_token: Some(Secret::new(Options::default().auth_token)),
            number: PhoneNumber::parse(NUMBER, None).unwrap(),
            channel: Channel::Sms,
            messaging_service: None,
            api_url: self.twilio.url(),
            studio_url: self.twilio.url(),
            accounts_url: None,
            consent_sync: false,
            content_url: self.twilio.url(),
            outside_window: None,
            public_url: Some(self.public_url()),
            poll: Duration::from_secs(1),
            poll_idle: Duration::from_secs(1),
            overlap: Duration::from_secs(900),
            max_media: 1 << 20,
            cost: 1.0,
        }];
        config
    }

    /// Starts the box, on a thread of its own as its process would be.
    fn run(&mut self) {
        let config = self.config();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let front = web::hooks::front(&config);
            let ended = async { drop(stopped.await) };
            let how = runtime.block_on(daemon::run(config, front, ended, || {}));
            runtime.shutdown_timeout(Duration::from_millis(100));
            how
        });
        self.running = Some((stop, thread));
        until("the box listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn stop(&mut self) {
        let Some((stop, thread)) = self.running.take() else { return };
        drop(stop);
        thread.join().unwrap().unwrap();
    }

    fn status(&self) -> Value {
        control::ask(self.dir.path(), &Ask::Status).unwrap().unwrap()
    }

    /// What the webhooks counted, without noughts.
    fn counted(&self) -> Value {
        let Value::Object(all) = self.status()["edges"]["web"].clone() else { panic!("an object") };
        Value::Object(all.into_iter().filter(|(_, count)| *count != 0).collect())
    }

    /// What the webhooks of this kind were answered.
    fn answers(&self, kind: &str) -> Vec<Option<u16>> {
        let all = self.twilio.deliveries().into_iter();
        all.filter(|d| d.url.ends_with(kind)).map(|d| d.answer).collect()
    }

    /// Texts from names, which nobody answers, and what their webhooks were answered, when all were.
    fn texts(&self, mark: &str, people: usize, copies: usize) -> Vec<Option<u16>> {
        let before = self.answers("/message").len();
        for person in 0..people {
            let (from, body) = (format!("INFO{person}"), format!("{mark} {person} é & 😀"));
            let _sid = self.twilio.receive(Inbound { from, body, ..Inbound::default() });
        }
        let all = before + people * copies;
        until("every webhook is answered", || self.answers("/message").len() >= all);
        self.answers("/message").split_off(before)
    }

    fn messages(&self, direction: Direction) -> Vec<MessageRow> {
        let filter = MessageFilter { direction: Some(direction), limit: 10_000, ..MessageFilter::default() };
        Reader::open(self.dir.path()).unwrap().messages(&ShopId::from("main"), &filter).unwrap()
    }

    fn stored(&self) -> Vec<MessageRow> {
        self.messages(Direction::In)
    }
}

#[test]
fn texts_that_twilio_posts_twice_are_each_there_once_when_they_are_answered() {
    let world = World::start();
    world.twilio.set(Settings { webhook_copies: 1, webhook_spread_ms: 50, ..Settings::default() });
    let answers = world.texts("mower", 25, 2);
    assert_eq!(answers, vec![Some(200); 50]);
    let mut bodies: Vec<String> = world.stored().into_iter().map(|m| m.body).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!((bodies.len(), world.stored().len()), (25, 25));
    let counted = world.counted();
    let count = |what: &str| counted[what].as_u64().unwrap_or(0);
    let (new, known) = (count("accepted"), count("repeated"));
    // Polling may have been first.
    assert_eq!((new + known, known >= 25), (50, true), "{counted}");
}

#[test]
fn a_signature_without_the_port_is_genuine_and_another_accounts_is_not() {
    let world = World::start();
    world.twilio.set(Settings { sign_without_port: true, ..Settings::default() });
    assert_eq!(world.texts("portless", 3, 1), vec![Some(200); 3]);
    for (forgery, from) in [
        (Forgery::ForeignToken, "foreign"),
        (Forgery::Missing, "missing"),
        (Forgery::Tampered, "tampered"),
        (Forgery::Garbage, "garbage"),
    ] {
        world.twilio.set(Settings { forgery, ..Settings::default() });
        assert_eq!(world.texts(from, 2, 1), vec![Some(403); 2], "{from}");
    }
    assert_eq!(world.counted()["forged"], 8);
}

#[test]
fn a_text_of_before_a_restart_is_known_after_it() {
    let mut world = World::start();
    let answers = world.texts("before", 1, 1);
    assert_eq!(answers, [Some(200)]);
    let sid = world.stored()[0].carriage.sid.clone().unwrap();
    world.stop();
    world.run();
    let pairs = [("MessageSid", sid.as_str()), ("From", "INFO0"), ("To", NUMBER), ("Body", "before")];
    assert_eq!(post(&world, &pairs), 200);
    assert_eq!(world.stored().len(), 1);
    assert_eq!(world.counted(), json!({ "repeated": 1 }));
}

#[test]
fn a_customer_is_answered_and_where_the_answer_stands_comes_by_webhook() {
    let world = World::start();
    let from = "+12065550142".to_owned();
    let _sid = world.twilio.receive(Inbound { from, body: "Hello".to_owned(), ..Inbound::default() });
    until("the answer is delivered", || {
        world.messages(Direction::Out).iter().any(|m| m.status == MessageStatus::Delivered)
    });
    until("its statuses are told", || !world.answers("/status").is_empty());
    assert!(world.answers("/status").iter().all(|answer| *answer == Some(204)));
    assert_eq!(world.stored().len(), 1);
}

/// A signed webhook, by hand.
fn post(world: &World, pairs: &[(&str, &str)]) -> u16 {
    use std::io::{Read, Write};
    let path = webhook::message_path(&LineId::from("twilio"));
    let text = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    let all: Vec<_> = pairs.iter().map(text).collect();
    let signature = hil::twilio::signature(
        &Options::default().auth_token,
        &format!("{}{path}", world.public_url()),
        &all,
    );
    let body: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={}", v.replace('+', "%2B"))).collect();
    let body = body.join("&");
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Twilio-Signature: {signature}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
