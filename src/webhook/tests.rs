//! Against real endpoints over sockets: what each answer becomes, and that a bad one holds up nobody.

use std::time::{Duration, Instant};

use base64::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::*;

const KEY: &[u8] = b"a secret of thirty-two bytes ...";

struct Box {
    commands: mpsc::Sender<WebhookCommand>,
    events: mpsc::Receiver<WebhookEvent>,
    stop: watch::Sender<bool>,
}

fn start(endpoints: &[(&str, String)]) -> Box {
    let (commands, edge_commands) = mpsc::channel(256);
    let (edge_events, events) = mpsc::channel(256);
    let (stop, stopped) = watch::channel(false);
    let configs = endpoints.iter().map(|(id, url)| WebhookConfig {
        shop: ShopId::from("main"),
        id: (*id).to_owned(),
        url: url.clone(),
        key: KEY.to_vec(),
    });
    tokio::spawn(run(configs.collect(), edge_commands, edge_events, stopped));
    Box { commands, events, stop }
}

fn command(endpoint: &str, id: &str) -> WebhookCommand {
    WebhookCommand {
        shop: ShopId::from("main"),
        endpoint: endpoint.to_owned(),
        id: id.to_owned(),
        at: Wall(1_795_197_600_123),
        body: r#"{"type":"message.received","n":"é"}"#.to_owned(),
        test: false,
    }
}

impl Box {
    async fn deliver(&mut self, endpoint: &str, id: &str) -> EventAnswer {
        self.commands.send(command(endpoint, id)).await.unwrap();
        let event = self.events.recv().await.unwrap();
        assert_eq!((event.endpoint.as_str(), event.id.as_str()), (endpoint, id));
        event.answer
    }
}

/// One request with its whole body, as it came.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut bytes = [0_u8; 4096];
    loop {
        let read = stream.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        text.extend_from_slice(&bytes[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0_usize) {
            return Some(so_far);
        }
    }
}

/// Answers every request with these bytes, and tells what it got.
async fn endpoint(answer: impl Into<String>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (heard, requests) = mpsc::channel(64);
    let answer = answer.into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, heard) = (answer.clone(), heard.clone());
            tokio::spawn(async move {
                while let Some(text) = request(&mut stream).await {
                    heard.send(text).await.unwrap();
                    if stream.write_all(answer.as_bytes()).await.is_err() || answer.is_empty() {
                        return;
                    }
                }
            });
        }
    });
    (url, requests)
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let find =
        |line: &'a str| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
    request.lines().find_map(find).unwrap_or_default()
}

#[tokio::test]
async fn an_event_arrives_signed_with_its_id_as_idempotency_key() {
    let (url, mut requests) = endpoint("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut edge = start(&[("crm", url)]);
    let answer = edge.deliver("crm", "EV1").await;
    assert!(matches!(answer, EventAnswer::Answered { status: 204, .. }), "{answer:?}");
    let request = requests.recv().await.unwrap();
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"));
    assert_eq!(header(&request, "webhook-id"), "EV1");
    assert_eq!(header(&request, "idempotency-key"), "EV1");
    assert_eq!(header(&request, "webhook-timestamp"), "1795197600");
    assert_eq!(header(&request, "content-type"), "application/json");
    assert_eq!(body, command("crm", "EV1").body);
    let signature = header(&request, "webhook-signature").to_owned();
    let Some(theirs) = openssl(&format!("EV1.1795197600.{body}")) else { return };
    assert_eq!(signature, theirs, "openssl agrees");
}

/// The signature as another program makes it. `None`: there is no such program here.
fn openssl(text: &str) -> Option<String> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let key = std::str::from_utf8(KEY).unwrap();
    let mut program = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", key, "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    program.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = program.wait_with_output().unwrap();
    Some(format!("v1,{}", BASE64_STANDARD.encode(&out.stdout)))
}

#[tokio::test]
async fn what_an_endpoint_says_is_kept_in_its_beginning_and_read_no_further() {
    let long = "no ".repeat(100_000);
    let (url, _requests) = endpoint(format!(
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    ))
    .await;
    let mut edge = start(&[("crm", url)]);
    let EventAnswer::Answered { status, retry_after, said } = edge.deliver("crm", "EV1").await else {
        panic!("it answered")
    };
    assert_eq!((status, retry_after, said.chars().count()), (503, Some(7), 200));
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let (elsewhere, mut stolen) = endpoint("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (url, _requests) =
        endpoint(format!("HTTP/1.1 307 Over there\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"))
            .await;
    let mut edge = start(&[("crm", url)]);
    assert!(matches!(edge.deliver("crm", "EV1").await, EventAnswer::Answered { status: 307, .. }));
    assert!(stolen.try_recv().is_err());
}

#[tokio::test]
async fn a_broken_connection_and_nobody_there_are_no_answers() {
    let (reset, mut requests) = endpoint("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut edge = start(&[("reset", reset), ("nobody", nobody)]);
    assert!(matches!(edge.deliver("reset", "EV1").await, EventAnswer::NoAnswer { .. }));
    assert!(requests.recv().await.is_some(), "it may have it");
    let EventAnswer::NoAnswer { why } = edge.deliver("nobody", "EV2").await else {
        panic!("nobody is there")
    };
    assert!(!why.contains("127.0.0.1"), "{why}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_does_not_undo_a_delivery() {
    let (url, _requests) = endpoint("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow").await;
    let mut edge = start(&[("crm", url)]);
    let began = Instant::now();
    assert!(matches!(edge.deliver("crm", "EV1").await, EventAnswer::Answered { status: 200, .. }));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_endpoint_that_hangs_takes_four_at_a_time_and_holds_up_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("http://{}/", listener.local_addr().unwrap());
    let (good, _requests) = endpoint("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut edge = start(&[("hanging", hanging), ("good", good)]);
    for n in 0..6 {
        edge.commands.send(command("hanging", &format!("EV{n}"))).await.unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(listener.accept().await.unwrap());
    }
    assert!(matches!(edge.deliver("good", "EV9").await, EventAnswer::Answered { status: 200, .. }));
    assert!(tokio::time::timeout(Duration::from_millis(200), listener.accept()).await.is_err(), "a fifth");
    // A person who tests waits no longer than the control socket does; the others a little longer.
    let first = edge.events.recv().await.unwrap();
    let EventAnswer::NoAnswer { why } = first.answer else { panic!("{first:?}") };
    assert!(why.contains("timed out"), "{why}");
}

#[tokio::test]
async fn at_shutdown_what_has_not_begun_was_not_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("http://{}/", listener.local_addr().unwrap());
    let mut edge = start(&[("hanging", hanging)]);
    for n in 0..6 {
        edge.commands.send(command("hanging", &format!("EV{n}"))).await.unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(listener.accept().await.unwrap());
    }
    edge.stop.send_replace(true);
    let mut answers = Vec::new();
    while let Some(event) = edge.events.recv().await {
        answers.push(event.answer);
    }
    assert_eq!(answers.len(), 2, "those under way are tried again after the next start: {answers:?}");
    assert!(answers.iter().all(|a| matches!(a, EventAnswer::NotTried { .. })));
}

#[tokio::test]
async fn a_name_that_leads_inside_the_network_gets_nothing_unless_it_is_this_machine() {
    let (url, mut requests) = endpoint("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let named = url.replace("127.0.0.1", "localhost");
    let mut edge = start(&[("here", named)]);
    assert!(matches!(edge.deliver("here", "EV1").await, EventAnswer::Answered { status: 200, .. }));
    assert!(requests.recv().await.is_some());
}
