//! The whole program and an endpoint that fails now and then: whatever happened while the program was killed again and
//! again is told, under one id each, with a signature that another program finds right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hil::phone::{Phone, PhoneConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(10);
const PASSWORD: &str = "k7Qz-mm2W-9xTb-vR4n";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The program, running. Dropped, it is killed.
struct TheBox {
    child: Child,
    dir: tempfile::TempDir,
    address: SocketAddr,
}

impl Drop for TheBox {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
    command.arg("--config").arg(config);
    command
}

impl TheBox {
    fn start(endpoint: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("101"), PASSWORD).unwrap();
        std::fs::write(at("secret"), SECRET).unwrap();
        let media = 20_000 + (port % 200) * 100;
        let text = format!(
            "[storage]\npath = {:?}\n[[shop]]\nid = \"main\"\n[sip]\nudp = [\"{address}\"]\n\
             [media]\nports = \"{media}-{}\"\n[[phone]]\nid = \"101\"\npassword_file = {:?}\n\
             [[webhook]]\nid = \"crm\"\nurl = \"http://{endpoint}/hook\"\nsecret_file = {:?}\nevents = [\"call.*\"]\n",
            at("store"),
            media + 99,
            at("101"),
            at("secret"),
        );
        std::fs::write(at("backroom.toml"), text).unwrap();
        let child = command(&at("backroom.toml")).arg("run").stderr(Stdio::inherit()).spawn().unwrap();
        Self { child, dir, address }
    }

    fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = command(&self.config()).arg("run").spawn().unwrap();
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("backroom.toml")
    }

    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let output = command(&self.config()).args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A phone, once the program takes it.
    async fn phone(&self) -> Phone {
        for _ in 0..20 {
            let phone = Phone::start(PhoneConfig::new(self.address, "101", PASSWORD)).await.unwrap();
            if phone.register(Duration::from_secs(2)).await.is_ok() {
                return phone;
            }
        }
        panic!("the phone cannot register")
    }
}

#[derive(Clone, Debug)]
struct Request {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
    taken: bool,
}

async fn read(stream: &mut TcpStream) -> Option<(BTreeMap<String, String>, String)> {
    let mut text = Vec::new();
    let mut bytes = [0_u8; 4096];
    loop {
        let count = stream.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        text.extend_from_slice(&bytes[..count]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let headers: BTreeMap<String, String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        if body.len() >= headers["content-length"].parse().unwrap() {
            return Some((headers, body.to_owned()));
        }
    }
}

/// Takes every event at its second coming only, except every third one, which it takes at once.
async fn endpoint() -> (SocketAddr, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, requests) = mpsc::channel(10_000);
    let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (heard, seen) = (heard.clone(), seen.clone());
            tokio::spawn(async move {
                while let Some((headers, body)) = read(&mut stream).await {
                    let id = headers["webhook-id"].clone();
                    assert_eq!(headers["idempotency-key"], id);
                    let taken = {
                        let mut seen = seen.lock().unwrap();
                        !seen.insert(id.clone()) || seen.len() % 3 == 0
                    };
                    let (timestamp, signature) =
                        (headers["webhook-timestamp"].clone(), headers["webhook-signature"].clone());
                    heard.send(Request { id, timestamp, signature, body, taken }).await.unwrap();
                    let answer = if taken { "HTTP/1.1 200 OK" } else { "HTTP/1.1 500 No" };
                    let answer = format!("{answer}\r\nContent-Length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, requests)
}

#[tokio::test]
async fn whatever_happened_while_the_program_was_killed_again_and_again_is_told_under_one_id_each() {
    let (address, mut requests) = endpoint().await;
    let mut the_box = TheBox::start(address);
    let mut heard = Vec::new();
    for life in 1..=4 {
        let phone = the_box.phone().await;
        for _ in 0..3 {
            phone.call("777").await.unwrap().ended(PATIENCE).await.unwrap();
        }
        // In the middle of delivering, at another point each time.
        for _ in 0..life {
            heard.push(tokio::time::timeout(PATIENCE, requests.recv()).await.unwrap().unwrap());
        }
        the_box.kill_and_start_again();
    }
    let calls: BTreeSet<String> =
        the_box.lines(&["calls", "--json"]).iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect();
    // The last one of a life may not have come to the disk.
    assert!((8..=12).contains(&calls.len()), "{calls:?}");
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let told = |heard: &[Request], kind: &str| -> BTreeSet<String> {
        let bodies =
            heard.iter().filter(|r| r.taken).map(|r| serde_json::from_str::<Value>(&r.body).unwrap());
        bodies.filter(|b| b["type"] == kind).map(|b| b["data"]["call"].as_str().unwrap().to_owned()).collect()
    };
    while started != calls || ended != calls {
        heard.push(tokio::time::timeout(PATIENCE * 2, requests.recv()).await.unwrap().unwrap());
        (started, ended) = (told(&heard, "call.started"), told(&heard, "call.ended"));
    }
    // What was said last is on its way into the rows.
    for _ in 0..200 {
        let rows = the_box.lines(&["webhooks", "list", "--limit", "500"]);
        assert_eq!(rows.len(), 2 * calls.len(), "{rows:#?}");
        if rows.iter().all(|r| r["state"] == "delivered") {
            break;
        }
    }
    let status = the_box.lines(&["status"]);
    assert_eq!(status[0]["shops"]["main"]["webhooks"]["crm"]["waiting"], 0, "{status:#?}");

    let mut bodies = BTreeMap::new();
    for request in &heard {
        let first = bodies.entry(request.id.clone()).or_insert_with(|| request.body.clone());
        assert_eq!(*first, request.body, "an id stands for one event");
    }
    assert_eq!(bodies.len(), 2 * calls.len());
    verify(&heard);
    let test = command(&the_box.config()).args(["webhooks", "test", "crm"]).output().unwrap();
    assert!(!test.status.success(), "the endpoint refuses what it has not seen, or takes every third");
    assert!(String::from_utf8_lossy(&test.stdout).contains("\"status\":500"));
}

/// As a receiver written in another language checks it.
fn verify(heard: &[Request]) {
    let script = "import sys,json,hmac,hashlib,base64\nkey=base64.b64decode(sys.argv[1])\n\
                  for line in sys.stdin:\n r=json.loads(line)\n \
                  text='.'.join([r['id'],r['timestamp'],r['body']]).encode()\n \
                  want='v1,'+base64.b64encode(hmac.new(key,text,hashlib.sha256).digest()).decode()\n \
                  assert hmac.compare_digest(want,r['signature']),r\nprint('fine')\n";
    let key = SECRET.strip_prefix("whsec_").unwrap();
    let program = Command::new("python3")
        .args(["-c", script, key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    // The library's own tests hold the published example against it.
    let Ok(mut program) = program else { return };
    let mut input = program.stdin.take().unwrap();
    for r in heard {
        let line = serde_json::json!({ "id": r.id, "timestamp": r.timestamp, "signature": r.signature, "body": r.body });
        std::io::Write::write_all(&mut input, format!("{line}\n").as_bytes()).unwrap();
    }
    drop(input);
    let output = program.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "fine\n");
//! The box behind its webhooks: the simulated Twilio posts over real sockets what is signed rightly, wrongly and
//! twice; what is asserted is what it was answered, what is stored, and what the status counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use backroom::config::{Config, Secret, UpstreamLine, file};
use backroom::daemon::control::{self, Ask};
use backroom::daemon::{self, RunError};
use backroom::store::{Direction, MessageFilter, MessageRow, Reader};
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
    running: Option<(oneshot::Sender<()>, JoinHandle<Result<(), RunError>>)>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

    /// Texts from as many people, and the answers that the webhooks got, when all have one.
    fn texts(&self, mark: &str, people: u32, copies: usize) -> Vec<Option<u16>> {
        let before = self.twilio.deliveries().len();
        for person in 0..people {
            let (from, body) = (format!("+1206555{:04}", 1000 + person), format!("{mark} {person} é & 😀"));
            let _sid = self.twilio.receive(Inbound { from, body, ..Inbound::default() });
        }
        let all = before + usize::try_from(people).unwrap() * copies;
        until("every webhook is answered", || self.twilio.deliveries().len() >= all);
        self.twilio.deliveries().split_off(before).into_iter().map(|d| d.answer).collect()
    }

    fn stored(&self) -> Vec<MessageRow> {
        let filter =
            MessageFilter { direction: Some(Direction::In), limit: 10_000, ..MessageFilter::default() };
        stored(self.dir.path(), &filter)
    }
}

fn stored(dir: &Path, filter: &MessageFilter) -> Vec<MessageRow> {
    Reader::open(dir).unwrap().messages(&ShopId::from("main"), filter).unwrap()
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
    let (new, known) = (counted["accepted"].as_u64().unwrap(), counted["repeated"].as_u64().unwrap());
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
    let pairs = [("MessageSid", sid.as_str()), ("From", "+12065551000"), ("To", NUMBER), ("Body", "before")];
    assert_eq!(post(&world, &pairs), 200);
    assert_eq!(world.stored().len(), 1);
    assert_eq!(world.counted(), json!({ "repeated": 1 }));
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
