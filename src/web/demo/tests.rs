//! The page from outside: raw HTTP, as a browser or somebody who pretends to be one would send it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

struct Site {
    address: SocketAddr,
    views: watch::Sender<Arc<View>>,
    deeds: mpsc::Receiver<(Deed, Done)>,
}

async fn site() -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (views, seen) = watch::channel(Arc::new(View { shop: "Green Valley".into(), ..View::default() }));
    let (sender, deeds) = mpsc::channel(4);
    tokio::spawn(serve(listener, Page { views: seen, deeds: sender }));
    Site { address, views, deeds }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let head = head.replace('\n', "\r\n").replace("HERE", &address.to_string());
    let whole = format!("{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(whole.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn status(address: SocketAddr, request: &str) -> u16 {
    ask(address, request).await.split(' ').nth(1).unwrap().parse().unwrap()
}

fn event_id(answer: &str) -> &str {
    answer.split("id: ").nth(1).unwrap().lines().next().unwrap()
}

const TEXT: &str = r#"{"do":"text","from":"+12065550101","body":"Hi"}"#;
const OURS: &str = "POST /deeds HTTP/1.1\nHost: HERE\nOrigin: http://HERE\nContent-Type: application/json";

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let site = site().await;
    for path in ["/", "/page.css", "/page.js"] {
        let answer = ask(site.address, &format!("GET {path} HTTP/1.1\nHost: HERE")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("default-src 'none'"), "{answer}");
        assert!(!answer.contains("://"), "{path} names another place");
    }
}

#[tokio::test]
async fn a_foreign_host_reads_nothing() {
    let site = site().await;
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""] {
        let request = format!("GET /events HTTP/1.1\nHost: {host}");
        assert_eq!(status(site.address, &request).await, 403, "{host}");
    }
    assert_eq!(status(site.address, "GET /events HTTP/1.1\nHost: localhost").await, 200);
}

#[tokio::test]
async fn a_post_of_another_origin_does_nothing() {
    let mut site = site().await;
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://127.0.0.1:1",
        "Sec-Fetch-Site: cross-site",
    ] {
        let head = "POST /deeds HTTP/1.1\nHost: HERE\nContent-Type: application/json";
        assert_eq!(status(site.address, &format!("{head}\n{header}\n\n{TEXT}")).await, 403, "{header}");
    }
    // What a form of another page can send without asking.
    let plain = format!("POST /deeds HTTP/1.1\nHost: HERE\nContent-Type: text/plain\n\n{TEXT}");
    assert_eq!(status(site.address, &plain).await, 415);
    assert!(site.deeds.try_recv().is_err());
}

#[tokio::test]
async fn a_deed_is_done_and_a_refusal_is_told() {
    let mut site = site().await;
    let address = site.address;
    for (outcome, expected) in [(Ok(()), "204"), (Err("no such number".to_owned()), "no such number")] {
        let request = format!("{OURS}\n\n{TEXT}");
        let (answer, deed) = tokio::join!(ask(address, &request), async {
            let (deed, done) = site.deeds.recv().await.unwrap();
            done.send(outcome).unwrap();
            deed
        });
        assert!(answer.contains(expected), "{answer}");
        assert_eq!(deed, Deed::Text { from: "+12065550101".into(), body: "Hi".into() });
    }
}

#[tokio::test]
async fn what_is_no_deed_is_refused() {
    let site = site().await;
    for body in ["", "{", "[]", r#"{"do":"format"}"#, r#"{"do":"cut","now":true}"#] {
        let status = status(site.address, &format!("{OURS}\n\n{body}")).await;
        assert!((400..500).contains(&status), "{body}: {status}");
    }
}

#[tokio::test]
async fn an_event_comes_at_once_and_the_next_when_something_changes() {
    let site = site().await;
    let first = ask(site.address, "GET /events HTTP/1.1\nHost: HERE").await;
    assert!(first.contains("text/event-stream") && first.contains(r#""shop":"Green Valley""#), "{first}");
    let request = format!("GET /events HTTP/1.1\nHost: HERE\nLast-Event-ID: {}", event_id(&first));
    let (second, _) = tokio::join!(ask(site.address, &request), async {
        site.views.send_replace(Arc::new(View { shop: "Hansen".into(), ..View::default() }))
    });
    assert!(second.contains("Hansen"), "{second}");
}

#[tokio::test]
async fn a_browser_is_told_to_stop_asking_when_the_demonstration_is_over() {
    let Site { address, views, deeds: _deeds } = site().await;
    let first = ask(address, "GET /events HTTP/1.1\nHost: HERE").await;
    drop(views);
    let request = format!("GET /events HTTP/1.1\nHost: HERE\nLast-Event-ID: {}", event_id(&first));
    assert_eq!(status(address, &request).await, 204);
}
