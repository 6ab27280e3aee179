//! The driver over real sockets against the simulator, and the client against a server that means ill.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use hil::twilio::{Fault, Inbound, On, Options, Plan, Settings, Status, Twilio};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::{Client, DownloadError, Finding, Product, RequestError, check, run};
use super::{line, post};
use crate::config::{Secret, UpstreamLine};
use crate::types::{
    Channel, Delivery, LineCommand, LineEvent, LineId, MediaResult, MessageId, Mono, Post, PostResult,
    PostsFound, UpstreamText, Wall,
};

const PATIENCE: Duration = Duration::from_secs(30);

struct Edge {
    commands: mpsc::Sender<LineCommand>,
    events: mpsc::Receiver<(LineId, LineEvent)>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Edge {
    async fn start(line: UpstreamLine, cursor: Option<Wall>) -> Self {
        let (commands, wanted) = mpsc::channel(64);
        let (reports, events) = mpsc::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let begin = Instant::now();
        let mono = move || Mono(u64::try_from(begin.elapsed().as_millis()).unwrap());
        let task = tokio::spawn(async move {
            run(line, 7, wanted, reports, mono, async move { drop(stopped.await) }).await;
        });
        commands.send(LineCommand::Resume(cursor)).await.unwrap();
        Self { commands, events, stop: Some(stop), task }
    }

    async fn tell(&self, command: LineCommand) {
        self.commands.send(command).await.unwrap();
    }

    async fn next(&mut self) -> LineEvent {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("in time").expect("an event").1
    }

    /// Events up to the first that is wanted; that one, and the texts before it.
    async fn until<T>(&mut self, wanted: impl Fn(&LineEvent) -> Option<T>) -> (T, Vec<UpstreamText>) {
        let mut texts = Vec::new();
        loop {
            let event = self.next().await;
            if let Some(found) = wanted(&event) {
                return (found, texts);
            }
            if let LineEvent::Text(text) = event {
                texts.push(*text);
            }
        }
    }

    async fn swept(&mut self) -> Vec<UpstreamText> {
        self.until(|event| matches!(event, LineEvent::Swept).then_some(())).await.1
    }

    async fn down(&mut self) -> String {
        self.until(|event| match event {
            LineEvent::Down { why } => Some(why.clone()),
            _ => None,
        })
        .await
        .0
    }

    async fn post(&mut self, wanted: Post) -> PostResult {
        let id = wanted.message.clone();
        self.tell(LineCommand::Post(Box::new(wanted))).await;
        self.until(|event| match event {
            LineEvent::Posted { message, result, .. } if *message == id => Some(result.clone()),
            _ => None,
        })
        .await
        .0
    }

    async fn find(&mut self, wanted: Post) -> usize {
        let since = Wall(jiff::Timestamp::now().as_millisecond());
        let message = wanted.message.clone();
        self.tell(LineCommand::Find { message, post: Box::new(wanted), since }).await;
        self.until(|event| match event {
            LineEvent::Found { found: PostsFound::These(found), .. } => Some(found.len()),
            _ => None,
        })
        .await
        .0
    }

    /// The last events, to the end.
    async fn end(mut self) -> Vec<LineEvent> {
        drop(self.stop.take());
        let mut last = Vec::new();
        while let Some((_, event)) = self.events.recv().await {
            last.push(event);
        }
        self.task.await.unwrap();
        last
    }
}

fn twilio() -> Twilio {
    Twilio::start(Options::default()).unwrap()
}

fn inbound(body: &str, seconds_ago: i64) -> Inbound {
    Inbound { from: "+12065550142".to_owned(), body: body.to_owned(), seconds_ago, ..Inbound::default() }
}

fn hour_ago() -> Option<Wall> {
    Some(Wall(jiff::Timestamp::now().as_millisecond() - 3_600_000))
}

fn bodies(texts: &[UpstreamText]) -> Vec<&str> {
    texts.iter().map(|text| text.body.as_str()).collect()
}

#[tokio::test]
async fn a_backlog_of_many_pages_is_told_once_and_in_order_then_what_comes_in() {
    let twilio = twilio();
    twilio.set(Settings { page_overlap: 3, ..Settings::default() });
    for n in 0..1200 {
        let _sid = twilio.receive(inbound(&format!("text {n}"), 1300 - n));
    }
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    let texts = edge.swept().await;
    let all: Vec<String> = (0..1200).map(|n| format!("text {n}")).collect();
    assert_eq!(bodies(&texts), all);
    let sid = twilio.receive(inbound("one more", 0));
    let (text, before) = edge
        .until(|event| match event {
            LineEvent::Text(text) => Some(text.clone()),
            _ => None,
        })
        .await;
    assert_eq!((text.sid, text.body.as_str(), before.len()), (sid, "one more", 0));
    assert_eq!(twilio.stats().most_at_once, 1);
}

#[tokio::test]
async fn a_restart_goes_on_from_the_cursor() {
    let twilio = twilio();
    let _sid = twilio.receive(inbound("long ago", 7200));
    let _sid = twilio.receive(inbound("before", 30));
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    assert_eq!(bodies(&edge.swept().await), ["before"]);
    let _sid = twilio.receive(inbound("meanwhile", 0));
    let (cursor, texts) = edge
        .until(|event| match event {
            LineEvent::Cursor(at) => Some(*at),
            _ => None,
        })
        .await;
    assert_eq!(bodies(&texts), ["meanwhile"]);
    let last = edge.end().await;
    assert!(matches!(last.last(), Some(LineEvent::Down { .. })));
    let _sid = twilio.receive(inbound("while it was off", 0));
    let mut edge = Edge::start(line(&twilio.url()), Some(cursor)).await;
    // The overlap is told again: the sid is what the daemon knows it by.
    assert_eq!(bodies(&edge.swept().await), ["before", "meanwhile", "while it was off"]);
}

#[tokio::test]
async fn a_crowded_upstream_is_waited_for_as_long_as_it_says() {
    let twilio = twilio();
    twilio.set_faults(&[Plan::next(2, On::Reads, Fault::TooMany { retry_after: 1 })]);
    let _sid = twilio.receive(inbound("hello", 1));
    let began = Instant::now();
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    assert_eq!(bodies(&edge.swept().await), ["hello"]);
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(twilio.stats().by_status.get(&429), Some(&2));
}

#[tokio::test]
async fn wrong_credentials_are_said_once_and_not_tried_again_soon() {
    let twilio = twilio();
    let mut wrong = line(&twilio.url());
    wrong.api_key = None;
    wrong.auth_token = Some(Secret::new("not-the-token"));
    let mut edge = Edge::start(wrong, hour_ago()).await;
    let why = edge.down().await;
    assert!(why.contains("refuses the credentials: 401 / 20003"), "{why}");
    let refused = edge.post(post("SM1", "+12065550142", "hello")).await;
    assert!(matches!(refused, PostResult::NotTried { .. }));
    assert_eq!(twilio.stats().requests, 1);
    assert!(!format!("{:?}", Client::new(&line(&twilio.url())).unwrap()).contains("simulated-secret"));
}

#[tokio::test]
async fn a_lost_answer_is_doubt_and_the_look_up_settles_it() {
    let twilio = twilio();
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    edge.swept().await;
    let faults = [
        (Fault::LostAnswer, 1),
        (Fault::LostRequest, 0),
        (Fault::CommitThen500, 1),
        (Fault::Error500, 0),
        (Fault::Truncated, 1),
        (Fault::Portal, 0),
    ];
    for (n, (fault, there)) in faults.into_iter().enumerate() {
        twilio.set_faults(&[Plan::next(1, On::Writes, fault)]);
        let wanted = post(&format!("SM{n}"), "+12065550142", &format!("a text that met {fault:?}"));
        let result = edge.post(wanted.clone()).await;
        assert!(matches!(result, PostResult::Unknown { .. }), "{fault:?}: {result:?}");
        assert_eq!(edge.find(wanted).await, there, "{fault:?}");
    }
    twilio.set_faults(&[Plan::next(1, On::Writes, Fault::Unavailable)]);
    let result = edge.post(post("SM9", "+12065550142", "again")).await;
    assert!(matches!(result, PostResult::Rejected { temporary: true, .. }), "{result:?}");
}

#[tokio::test]
async fn a_text_leaves_with_all_that_belongs_to_it_and_is_followed_to_its_end() {
    let twilio = twilio();
    twilio.set(Settings { step_ms: None, ..Settings::default() });
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    edge.swept().await;
    let result = edge.post(post("SM1", "+12065550142", "½ & more +")).await;
    let PostResult::Accepted { sid, status: Delivery::Queued, at: Some(_) } = result else {
        unreachable!("{result:?}");
    };
    let sent = twilio.messages();
    assert_eq!((&sent[0]["body"], &sent[0]["from"]), (&Value::from("½ & more +"), &Value::from(super::OURS)));
    assert!(
        [Status::Sent, Status::Delivered].into_iter().all(|status| twilio.set_status(&sid, status, None))
    );
    let since = Wall(jiff::Timestamp::now().as_millisecond() - 60_000);
    edge.tell(LineCommand::Track { sid: sid.clone(), since }).await;
    let (status, _) = edge
        .until(|event| match event {
            LineEvent::Status(status) if status.status == Delivery::Delivered => Some(status.clone()),
            _ => None,
        })
        .await;
    assert_eq!((status.sid, status.price), (sid, Some((-8300, "USD".to_owned()))));
    let refused = edge.post(post("SM2", "+15005550001", "magic")).await;
    assert!(
        matches!(refused, PostResult::Rejected { code: Some(21211), temporary: false, .. }),
        "{refused:?}"
    );
    assert!(!format!("{refused:?}").contains("15005550001"), "no number of a person in words");
}

#[tokio::test]
async fn whatsapp_is_another_line_with_the_same_number() {
    let twilio = twilio();
    let mut whatsapp = line(&twilio.url());
    whatsapp.channel = Channel::WhatsApp;
    let _sid = twilio.receive(inbound("by sms", 1));
    let _sid = twilio.receive(Inbound {
        from: "whatsapp:+12065550142".to_owned(),
        to: format!("whatsapp:{}", super::OURS),
        body: "by whatsapp".to_owned(),
        ..Inbound::default()
    });
    let mut edge = Edge::start(whatsapp, hour_ago()).await;
    let texts = edge.swept().await;
    assert_eq!(bodies(&texts), ["by whatsapp"]);
    assert_eq!((texts[0].channel, texts[0].from.as_str()), (Channel::WhatsApp, "+12065550142"));
    let wanted = Post { channel: Channel::WhatsApp, ..post("SM1", "+12065550142", "hello") };
    assert!(matches!(edge.post(wanted.clone()).await, PostResult::Accepted { .. }));
    assert_eq!(twilio.messages().last().unwrap()["to"], "whatsapp:+12065550142");
    assert_eq!(edge.find(wanted).await, 1);
}

#[tokio::test]
async fn files_of_a_text_are_named_in_order_and_fetched() {
    let twilio = twilio();
    let mut with_files = inbound("look", 1);
    with_files.media = vec![
        ("image/png".to_owned(), "a picture".to_owned()),
        ("text/vcard".to_owned(), "x".repeat(2 << 20)),
    ];
    let _sid = twilio.receive(with_files);
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    let texts = edge.swept().await;
    let kinds: Vec<&str> = texts[0].media.iter().map(|link| link.content_type.as_str()).collect();
    assert_eq!(kinds, ["image/png", "text/vcard"]);
    for (number, link) in (1..).zip(&texts[0].media) {
        let message = MessageId::from("SM1");
        edge.tell(LineCommand::Fetch { message, number, url: link.url.clone() }).await;
    }
    let media = |event: &LineEvent| match event {
        LineEvent::Media { number, result, .. } => Some((*number, result.clone())),
        _ => None,
    };
    let kept = MediaResult::Kept { content_type: "image/png".to_owned(), bytes: b"a picture".to_vec() };
    assert_eq!(edge.until(media).await.0, (1, kept));
    assert!(matches!(edge.until(media).await.0, (2, MediaResult::Gone { .. })), "it is too large");
}

#[tokio::test]
async fn a_cut_is_noticed_by_a_text_that_cannot_leave_and_ends_with_a_sweep() {
    let twilio = twilio();
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    edge.swept().await;
    twilio.stop_listening().unwrap();
    let began = Instant::now();
    let result = edge.post(post("SM1", "+12065550142", "hello")).await;
    assert!(matches!(result, PostResult::NotTried { .. }), "{result:?}");
    edge.down().await;
    assert!(began.elapsed() < Duration::from_secs(10));
    let _sid = twilio.receive(inbound("meanwhile", 0));
    twilio.resume().unwrap();
    assert_eq!(bodies(&edge.swept().await), ["meanwhile"]);
    let result = edge.post(post("SM1", "+12065550142", "hello")).await;
    assert!(matches!(result, PostResult::Accepted { .. }));
}

#[tokio::test]
async fn a_slow_upstream_holds_up_no_other_text() {
    let twilio = twilio();
    let mut edge = Edge::start(line(&twilio.url()), hour_ago()).await;
    edge.swept().await;
    twilio.set_faults(&[Plan::next(1, On::Writes, Fault::Slow { seconds: 1.5 })]);
    let slow = post("SM1", "+12065550142", "slow");
    edge.tell(LineCommand::Post(Box::new(slow))).await;
    edge.tell(LineCommand::Post(Box::new(post("SM2", "+12065550142", "after it")))).await;
    edge.tell(LineCommand::Post(Box::new(post("SM3", "+12065550143", "beside it")))).await;
    let mut order = Vec::new();
    while order.len() < 3 {
        let posted = |event: &LineEvent| match event {
            LineEvent::Posted { message, .. } => Some(message.0.clone()),
            _ => None,
        };
        order.push(edge.until(posted).await.0);
    }
    assert_eq!(order, ["SM3", "SM1", "SM2"]);
}

#[tokio::test]
async fn the_doctor_sees_credentials_number_and_clock() {
    let twilio = twilio();
    let mut line = line(&twilio.url());
    let wall = || Wall(jiff::Timestamp::now().as_millisecond());
    let found = check(&line, wall()).await;
    assert!(matches!(&found[..], [Finding::Fine(text)] if text.contains("is the account's")), "{found:?}");
    twilio.set(Settings { clock_offset_seconds: 3600, ..Settings::default() });
    line.number = crate::types::PhoneNumber::parse("+12065550100", None).unwrap();
    let found = check(&line, wall()).await;
    assert!(
        matches!(&found[..], [Finding::Wrong(number), Finding::Wrong(clock)]
        if number.contains("none of the account's") && clock.contains("behind")),
        "{found:?}"
    );
    line.api_key = None;
    line.auth_token = Some(Secret::new("wrong"));
    let found = check(&line, wall()).await;
    assert!(
        matches!(&found[..], [Finding::Wrong(text)] if text.contains("the account's token")),
        "{found:?}"
    );
    twilio.stop_listening().unwrap();
    let found = check(&line, wall()).await;
    assert!(matches!(&found[..], [Finding::Wrong(text)] if text.contains("cannot be reached")), "{found:?}");
}

/// Answers each connection with the next of these; what was asked.
fn server(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            asked.push(String::from_utf8_lossy(&bytes[..count]).to_ascii_lowercase());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    (url, asked)
}

fn file(account: &str) -> String {
    format!("https://api.twilio.com/2010-04-01/Accounts/{account}/Messages/MM1/Media/ME1")
}

#[tokio::test]
async fn the_store_that_a_file_lies_in_gets_no_credentials() {
    let ok =
        "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: 3\r\nConnection: close\r\n\r\nGIF";
    let (store, asked_of_store) = server(vec![ok.to_owned()]);
    let to_store =
        format!("HTTP/1.1 307 x\r\nLocation: {store}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (api, asked_of_api) = server(vec![to_store]);
    let line = line(&api);
    let found = Client::new(&line).unwrap().download(&file(&line.account), 10).await.unwrap();
    assert_eq!((found.content_type.as_str(), found.bytes.as_slice()), ("image/gif", &b"GIF"[..]));
    assert!(asked_of_api.join().unwrap()[0].contains("authorization: basic"));
    assert!(!asked_of_store.join().unwrap()[0].contains("authorization"));
}

#[tokio::test]
async fn neither_files_nor_pages_nor_redirections_lead_elsewhere() {
    let away =
        "HTTP/1.1 307 x\r\nLocation: http://192.0.2.1/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (api, _asked) = server(vec![away.to_owned(), away.to_owned()]);
    let line = line(&api);
    let client = Client::new(&line).unwrap();
    for url in ["http://192.0.2.1/x", "ftp://x", "/2010-04-01/Accounts/ACother/x", "nonsense"] {
        assert_eq!(client.download(url, 10).await, Err(DownloadError::Elsewhere), "{url}");
    }
    assert_eq!(client.download(&file(&line.account), 10).await, Err(DownloadError::Elsewhere));
    for uri in ["http://192.0.2.1/2010-04-01/x", "@192.0.2.1/x", ""] {
        let page = client.page::<Value>(Product::Api, uri).await;
        assert!(matches!(page, Err(RequestError::NotSent { .. })), "{uri}");
    }
    let post = client.post::<Value>(Product::Api, "/x", &[("a", "b")]).await;
    assert!(matches!(post, Err(RequestError::Lost { .. })), "a redirected POST may have been done: {post:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let endless = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(2 << 20));
    let (api, _asked) = server(vec![endless]);
    let answer = Client::new(&line(&api)).unwrap().post::<Value>(Product::Api, "/x", &[]).await;
    let Err(RequestError::Lost { why }) = answer else { unreachable!("{answer:?}") };
    assert!(why.contains("too large"), "{why}");
}
