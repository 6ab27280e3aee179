//! Webhooks over real sockets, signed by the simulator's own signer, with a box that the test plays.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::config::{UpstreamLine, file};
use crate::daemon::Request as Asked;
use crate::store::{
    self, Carriage, Direction, MessageRow, MessageStatus, Op, Options, Source, Store, Transaction,
};
use crate::types::{BootId, ConversationId, Delivery, MessageId, Mono, Now, PostStatus, UpstreamText, Wall};

const TOKEN: &str = "a token";
const PUBLIC: &str = "https://shop.example/box";
const SID: &str = "SM0123456789abcdef0123456789abcdef";
const NOW: Now = Now { mono: Mono(0), wall: Wall(1_795_000_000_000), wall_sure: true };

/// Webhooks that are served, and the box behind them.
struct World {
    address: SocketAddr,
    asked: mpsc::Receiver<Asked>,
    stop: watch::Sender<bool>,
    counters: Arc<Counters>,
    store: Store,
    served: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn line(id: &str, auth_token: Option<&str>, public_url: Option<&str>) -> UpstreamLine {
    UpstreamLine {
        id: LineId::from(id),
        auth_token: auth_token.map(Secret::new),
        public_url: public_url.map(str::to_owned),
        max_media: 1,
        ..UpstreamLine::simulated("http://127.0.0.1:1", "+12065550199")
    }
}

impl World {
    async fn new() -> World {
        World::with(Limits::new(4096)).await
    }

    async fn with(limits: Limits) -> World {
        let text = "[[shop]]\nid = \"main\"\n[web]\nlisten = \"127.0.0.1:1\"\nmax_body_kib = 4\n";
        let mut config = file::parse(text, None).unwrap();
        config.upstreams = vec![
            line("twilio", Some(TOKEN), Some(PUBLIC)),
            line("no-token", None, Some(PUBLIC)),
            line("no-url", Some(TOKEN), None),
        ];
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { reserve: 0, low_water: 0, ..Options::new(dir.path(), BootId("b".to_owned())) };
        let (store, ..) = store::open(&options, NOW).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, asked) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(&config, limits));
        let counters = Arc::clone(&shared.counters);
        let handle = Handle::new(requests, store.clone(), stopped);
        let served = tokio::spawn(serve(listener, shared, handle));
        World { address, asked, stop, counters, store, served, _dir: dir }
    }

    /// What the box is asked next.
    async fn event(&mut self) -> (LineEvent, tokio::sync::oneshot::Sender<Result<Value, String>>) {
        let Asked { command, answer } = self.asked.recv().await.unwrap();
        let Command::Upstream { line, event } = command else { panic!("{command:?}") };
        assert_eq!(line.as_str(), "twilio");
        (*event, answer)
    }

    /// Posts to the address while the box answers so.
    async fn post(&mut self, request: Vec<u8>, says: Result<Value, String>) -> (Answer, LineEvent) {
        let answer = tokio::spawn(ask(self.address, request));
        let (event, reply) = self.event().await;
        reply.send(says).unwrap();
        (answer.await.unwrap(), event)
    }

    fn counted(&self) -> Value {
        let Value::Object(all) = self.counters.json() else { panic!("an object") };
        Value::Object(all.into_iter().filter(|(_, count)| *count != 0).collect())
    }

    fn nothing_was_asked(&mut self) {
        assert!(self.asked.try_recv().is_err());
    }
}

struct Answer {
    code: u16,
    head: String,
    body: String,
}

async fn ask(address: SocketAddr, request: Vec<u8>) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // What is too long may be refused before all of it is sent.
    let sent = stream.write_all(&request).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { panic!("{sent:?} {read:?} {text:?}") };
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// Percent codes for all but letters and digits.
fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let one =
            |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") };
        text.bytes().map(one).collect()
    };
    pairs.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect::<Vec<_>>().join("&")
}

fn signed(token: &str, path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    hil::twilio::signature(token, &format!("{PUBLIC}{path}"), &pairs)
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
const MESSAGE: &str = "/twilio/twilio/message";
const STATUS: &str = "/twilio/twilio/status";
const TEXT: [(&str, &str); 5] =
    [("MessageSid", SID), ("From", "+12065550142"), ("To", "+12065550199"), ("Body", "Hi & é"), ("Odd", "")];

/// A genuine one.
fn genuine(path: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let signature = signed(TOKEN, path, pairs);
    request("POST", path, &format!("{FORM}X-Twilio-Signature: {signature}\r\n"), &form(pairs))
}

fn text_of(event: LineEvent) -> UpstreamText {
    match event {
        LineEvent::Text(text) => *text,
        other => panic!("{other:?}"),
    }
}

fn new() -> Result<Value, String> {
    Ok(json!({ "new": true }))
}

#[tokio::test]
async fn a_text_is_answered_with_empty_twiml_when_it_is_durable_and_not_before() {
    let mut world = World::new().await;
    let answer = tokio::spawn(ask(world.address, genuine(MESSAGE, &TEXT)));
    let (event, reply) = world.event().await;
    let text = text_of(event);
    assert_eq!((text.sid.as_str(), text.body.as_str()), (SID, "Hi & é"));
    assert_eq!(text.parameters["Odd"], "");
    assert!(!answer.is_finished());
    reply.send(new()).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.code, 200);
    assert!(answer.head.contains("content-type: text/xml"), "{}", answer.head);
    assert!(answer.body.ends_with("<Response/>"), "{}", answer.body);
    assert_eq!(world.counted(), json!({ "accepted": 1 }));
}

#[tokio::test]
async fn a_status_is_taken_and_one_that_nobody_knows_changes_nothing() {
    let mut world = World::new().await;
    let pairs = [("MessageSid", SID), ("MessageStatus", "undelivered"), ("ErrorCode", "30003")];
    let (answer, event) = world.post(genuine(STATUS, &pairs), new()).await;
    let status =
        PostStatus { sid: SID.to_owned(), status: Delivery::Undelivered, error: Some(30003), price: None };
    assert_eq!((answer.code, event), (204, LineEvent::Status(status)));
    let odd = genuine(STATUS, &[("MessageSid", SID), ("MessageStatus", "pondering")]);
    assert_eq!(ask(world.address, odd).await.code, 204);
    world.nothing_was_asked();
    assert_eq!(world.counted(), json!({ "accepted": 1, "ignored": 1 }));
}

#[tokio::test]
async fn a_get_has_its_parameters_in_the_url() {
    let mut world = World::new().await;
    let path = format!("{MESSAGE}?{}", form(&TEXT));
    let signature = format!("X-Twilio-Signature: {}\r\n", signed(TOKEN, &path, &[]));
    let (answer, event) = world.post(request("GET", &path, &signature, ""), new()).await;
    assert_eq!((answer.code, text_of(event).body.as_str()), (200, "Hi & é"));
    let signature = format!("X-Twilio-Signature: {}\r\n", signed(TOKEN, MESSAGE, &[]));
    assert_eq!(ask(world.address, request("GET", &path, &signature, "")).await.code, 403);
}

#[tokio::test]
async fn json_is_taken_when_the_url_names_its_hash() {
    let mut world = World::new().await;
    let body = format!(r#"{{"MessageSid":"{SID}","From":"+1","To":"+2","Body":"Hi"}}"#);
    let hash: String = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let path = format!("{MESSAGE}?bodySHA256={hash}");
    let headers = |path: &str| {
        let signature = signed(TOKEN, path, &[]);
        format!("Content-Type: application/json\r\nX-Twilio-Signature: {signature}\r\n")
    };
    let (answer, event) = world.post(request("POST", &path, &headers(&path), &body), new()).await;
    assert_eq!((answer.code, text_of(event).body.as_str()), (200, "Hi"));
    let other = body.replace("Hi", "Ho");
    assert_eq!(ask(world.address, request("POST", &path, &headers(&path), &other)).await.code, 403);
    assert_eq!(ask(world.address, request("POST", MESSAGE, &headers(MESSAGE), &body)).await.code, 403);
    assert_eq!(world.counted(), json!({ "accepted": 1, "forged": 2 }));
}

#[tokio::test]
async fn what_is_not_signed_by_the_lines_token_for_this_url_is_refused() {
    let mut world = World::new().await;
    let signature = signed(TOKEN, MESSAGE, &TEXT);
    let twice = format!("X-Twilio-Signature: {signature}\r\nX-Twilio-Signature: {signature}\r\n");
    let changed = form(&TEXT).replace("Hi", "Ho");
    for (headers, body) in [
        (String::new(), form(&TEXT)),
        ("X-Twilio-Signature: %%%\r\n".to_owned(), form(&TEXT)),
        (format!("X-Twilio-Signature: {}\r\n", signed("another token", MESSAGE, &TEXT)), form(&TEXT)),
        (format!("X-Twilio-Signature: {}\r\n", signed(TOKEN, STATUS, &TEXT)), form(&TEXT)),
        (format!("X-Twilio-Signature: {signature}\r\n"), changed),
        (twice, form(&TEXT)),
        // What a proxy says of itself changes nothing.
        ("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n".to_owned(), form(&TEXT)),
    ] {
        let answer = ask(world.address, request("POST", MESSAGE, &format!("{FORM}{headers}"), &body)).await;
        assert_eq!(answer.code, 403, "{headers}");
    }
    world.nothing_was_asked();
    assert_eq!(world.counted(), json!({ "forged": 7 }));
}

#[tokio::test]
async fn a_line_without_a_token_or_a_public_address_has_no_webhooks() {
    let mut world = World::new().await;
    for path in
        ["/", "/twilio/nobody/message", "/twilio/no-token/message", "/twilio/no-url/status", "/twilio/twilio"]
    {
        assert_eq!(ask(world.address, genuine(path, &TEXT)).await.code, 404, "{path}");
    }
    world.nothing_was_asked();
    assert_eq!(world.counted(), json!({ "refused": 5 }));
}

#[tokio::test]
async fn what_is_no_webhook_is_refused_with_its_reason() {
    let mut world = World::new().await;
    let signature = format!("X-Twilio-Signature: {}\r\n", signed(TOKEN, MESSAGE, &TEXT));
    let plain = format!("Content-Type: text/plain\r\n{signature}");
    assert_eq!(ask(world.address, request("POST", MESSAGE, &plain, &form(&TEXT))).await.code, 415);
    assert_eq!(ask(world.address, request("POST", MESSAGE, &signature, &form(&TEXT))).await.code, 415);
    let wrong = ask(world.address, request("PUT", MESSAGE, &format!("{FORM}{signature}"), "")).await;
    assert_eq!(wrong.code, 405);
    assert!(wrong.head.contains("allow: get, post"), "{}", wrong.head);
    assert_eq!(ask(world.address, request("HEAD", MESSAGE, &signature, "")).await.code, 405);
    let nameless = ask(world.address, genuine(MESSAGE, &TEXT[1..])).await;
    assert_eq!((nameless.code, nameless.body.as_str()), (400, "MessageSid is missing"));
    world.nothing_was_asked();
    assert_eq!(world.counted(), json!({ "refused": 5 }));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_said_or_unsaid() {
    let mut world = World::new().await;
    let long = "x".repeat(4097);
    let pairs = [TEXT[0], TEXT[1], TEXT[2], ("Body", long.as_str())];
    assert_eq!(ask(world.address, genuine(MESSAGE, &pairs)).await.code, 413);
    let mut chunked = format!(
        "POST {MESSAGE} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{FORM}\r\n"
    );
    chunked.push_str(&format!("1001\r\n{long}\r\n0\r\n\r\n"));
    assert_eq!(ask(world.address, chunked.into_bytes()).await.code, 413);
    world.nothing_was_asked();
    assert_eq!(world.counted(), json!({ "refused": 2 }));
}

#[tokio::test]
async fn octets_that_are_no_text_are_taken_and_noted() {
    let mut world = World::new().await;
    let meant = [("MessageSid", SID), ("From", "+1"), ("To", "+2"), ("Body", "caf\u{fffd}")];
    let signature = signed(TOKEN, MESSAGE, &meant);
    let body = form(&meant).replace("%EF%BF%BD", "%E9");
    let headers = format!("{FORM}X-Twilio-Signature: {signature}\r\n");
    let (answer, event) = world.post(request("POST", MESSAGE, &headers, &body), new()).await;
    let text = text_of(event);
    assert_eq!((answer.code, text.body.as_str()), (200, "caf\u{fffd}"));
    assert_eq!(text.parameters[webhook::NOT_UTF8], json!(["Body"]));
}

#[tokio::test]
async fn a_text_that_is_known_is_answered_and_changes_nothing() {
    let mut world = World::new().await;
    let (answer, _) = world.post(genuine(MESSAGE, &TEXT), Ok(json!({ "new": false }))).await;
    assert_eq!(answer.code, 200);
    let row = MessageRow {
        carriage: Carriage { sid: Some(SID.to_owned()), ..Carriage::default() },
        ..stored_text()
    };
    let ticket = world.store.submit(Transaction { ops: vec![Op::PutMessage(row)] }).unwrap();
    world.store.committed(ticket).await.unwrap();
    assert_eq!(ask(world.address, genuine(MESSAGE, &TEXT)).await.code, 200);
    world.nothing_was_asked();
    assert_eq!(world.counted(), json!({ "repeated": 2 }));
}

fn stored_text() -> MessageRow {
    MessageRow {
        shop: ShopId::from("main"),
        id: MessageId::from("SM1"),
        conversation: ConversationId::from("CH1"),
        direction: Direction::In,
        line: Some(LineId::from("twilio")),
        peer: "+12065550142".to_owned(),
        body: "Hi".to_owned(),
        status: MessageStatus::Received,
        source: Source::Program,
        note: None,
        created: NOW.wall,
        wall_sure: true,
        updated: NOW.wall,
        carriage: Carriage::default(),
        purpose: serde_json::from_value(json!("reply")).unwrap(),
        sent_at: None,
        not_before: None,
    }
}

#[tokio::test]
async fn a_box_that_takes_nothing_says_so_and_the_upstream_keeps_the_text() {
    let limits = Limits { commit: Duration::from_millis(50), ..Limits::new(4096) };
    let mut world = World::with(limits).await;
    let (refused, _) = world.post(genuine(MESSAGE, &TEXT), Err("the disk is full".to_owned())).await;
    assert_eq!((refused.code, refused.body.as_str()), (503, "the disk is full"));
    assert!(refused.head.contains("retry-after: 30"), "{}", refused.head);
    let slow = tokio::spawn(ask(world.address, genuine(MESSAGE, &TEXT)));
    let (_, _never_answered) = world.event().await;
    assert_eq!(slow.await.unwrap().code, 503);
    assert_eq!(world.counted(), json!({ "unavailable": 2 }));
}

#[tokio::test]
async fn no_more_bodies_are_read_at_a_time_than_there_is_room_for_and_waiting_for_the_disk_is_no_reading() {
    let mut world = World::with(Limits { readings: 1, ..Limits::new(4096) }).await;
    let first = tokio::spawn(ask(world.address, genuine(MESSAGE, &TEXT)));
    let (_, first_reply) = world.event().await;
    let second = tokio::spawn(ask(world.address, genuine(MESSAGE, &TEXT)));
    let (_, second_reply) = world.event().await;
    // Invited to send its body, and in no hurry.
    let mut slow = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST {MESSAGE} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n{FORM}\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut invited = [0; 12];
    slow.read_exact(&mut invited).await.unwrap();
    assert_eq!(&invited, b"HTTP/1.1 100");
    assert_eq!(ask(world.address, genuine(MESSAGE, &TEXT)).await.code, 503);
    for (reply, answer) in [(first_reply, first), (second_reply, second)] {
        reply.send(new()).unwrap();
        assert_eq!(answer.await.unwrap().code, 200);
    }
}

/// Waits until the far side ends the connection.
async fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "{rest:?}");
}

#[tokio::test]
async fn a_peer_that_dawdles_over_head_or_body_is_cut_and_makes_room() {
    let mut limits = Limits::new(4096);
    limits.door.connections = 1;
    limits.door.request = Duration::from_millis(100);
    limits.door.idle = Duration::from_millis(200);
    let mut world = World::with(limits).await;
    let begun = Instant::now();
    let whole = String::from_utf8(genuine(MESSAGE, &TEXT)).unwrap();
    let head = whole.find("\r\n\r\n").unwrap();
    for sent in ["", &whole[..20], &whole[..head + 10]] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        ended(&mut stream).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    let (answer, _) = world.post(genuine(MESSAGE, &TEXT), new()).await;
    assert_eq!(answer.code, 200);
}

#[tokio::test]
async fn one_connection_carries_many_webhooks() {
    let mut world = World::new().await;
    let keep = |request: Vec<u8>| String::from_utf8(request).unwrap().replace("Connection: close\r\n", "");
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    for _ in 0..3 {
        stream
            .write_all(keep(genuine(STATUS, &[("MessageSid", SID), ("MessageStatus", "sent")])).as_bytes())
            .await
            .unwrap();
        let (_, reply) = world.event().await;
        reply.send(new()).unwrap();
        let mut answer = [0; 16];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[..12], b"HTTP/1.1 204");
        let mut octet = [0];
        let mut end = Vec::new();
        while !end.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut octet).await.unwrap();
            end.push(octet[0]);
        }
    }
    assert_eq!(world.counted(), json!({ "accepted": 3 }));
}

#[tokio::test]
async fn a_box_that_stops_answers_what_it_has_and_sends_the_rest_away() {
    let mut world = World::new().await;
    let answered = tokio::spawn(ask(world.address, genuine(MESSAGE, &TEXT)));
    let (_, reply) = world.event().await;
    let unanswered = tokio::spawn(ask(world.address, genuine(MESSAGE, &TEXT)));
    let (_, _kept) = world.event().await;
    reply.send(new()).unwrap();
    world.stop.send_replace(true);
    assert_eq!(answered.await.unwrap().code, 200);
    let sent_away = unanswered.await.unwrap();
    assert_eq!((sent_away.code, sent_away.body.as_str()), (503, "the box is stopping"));
    tokio::time::timeout(Duration::from_secs(10), world.served).await.unwrap().unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[test]
fn what_happens_often_is_said_once_a_minute() {
    let complaint = Complaint::default();
    assert_eq!(complaint.due(), Some(0));
    assert_eq!((complaint.due(), complaint.due()), (None, None));
    complaint.0.lock().unwrap().0 = Instant::now().checked_sub(TOLD_EVERY);
    assert_eq!(complaint.due(), Some(2));
}
