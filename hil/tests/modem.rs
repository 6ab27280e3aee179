//! The emulated modem from outside: a real PTY, a real socket, a real log file.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy takes for production code"
)]

use hil::modem::{Delivery, Fault, Modem, Options};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Never as controlling terminal: its hang-up would end the test run.
fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed());
    options
}

/// A client of the port: blocking, as real ones are, on a thread of its own.
struct Client(File);

impl Client {
    fn open(path: &Path) -> Client {
        Client(options().open(path).unwrap())
    }

    async fn say(&self, line: &str) {
        self.0.try_clone().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Reads until `end` has come, or to the end of the port.
    async fn hear(&self, end: &'static str) -> String {
        let mut file = self.0.try_clone().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut heard = String::new();
            let mut buffer = [0; 1024];
            while !heard.contains(end) {
                match file.read(&mut buffer) {
                    Ok(0) | Err(_) => return heard + "<gone>",
                    Ok(n) => heard.extend(buffer[..n].iter().map(|b| char::from(*b))),
                }
            }
            heard
        });
        tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer within 10 s").unwrap()
    }

    async fn ask(&self, line: &str) -> String {
        self.say(&format!("{line}\r")).await;
        self.hear("OK\r\n").await
    }
}

fn log_lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_text_goes_each_way_over_the_port() {
    let modem = Modem::start(Options::default()).await.unwrap();
    let mut submitted = modem.submitted();
    let client = Client::open(&modem.path());
    client.ask("ATE0").await;
    client.ask("AT+CNMI=2,1").await;
    modem.deliver("+12065550101", "MENU").await.unwrap();
    assert_eq!(client.hear("\",1\r\n").await, "\r\n+CMTI: \"SM\",1\r\n");
    client.say("AT+CMGS=22\r").await;
    client.hear("> ").await;
    client.say("0001000B916407281553F800000AE8329BFD4697D9EC37\u{1a}").await;
    assert_eq!(client.hear("OK\r\n").await, "\r\n+CMGS: 0\r\n\r\nOK\r\n");
    let text = submitted.recv().await.unwrap();
    assert_eq!((text.seq, text.to.as_str(), text.text.as_str()), (1, "+46708251358", "hellohello"));
    assert_eq!(modem.submitted_since(0).await.unwrap(), [text]);
    assert!(modem.submitted_since(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unplugged_modem_gives_eof_and_comes_back_under_another_name_with_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("modem0"), folder.path().join("modem1"));
    let options = Options { link: Some(old.clone()), ..Options::default() };
    let modem = Modem::start(options).await.unwrap();
    let client = Client::open(&old);
    client.ask("AT+CNMI=2,1").await;
    modem.deliver("+12065550101", "before").await.unwrap();
    client.hear("+CMTI: \"SM\",1\r\n").await;
    modem.unplug(None, None).await.unwrap();
    assert_eq!(client.hear("never").await, "<gone>");
    assert!((&client.0).write_all(b"AT\r").is_err());
    assert!(std::fs::symlink_metadata(&old).is_err());
    modem.deliver("+12065550101", "meanwhile").await.unwrap();
    assert!(!modem.state().await.unwrap().plugged);
    modem.replug(Some(new.clone())).await.unwrap();
    assert_eq!(modem.path(), new);
    assert!(!old.exists());
    let client = Client::open(&new);
    assert!(client.hear("PB DONE\r\n").await.starts_with("\r\nRDY\r\n"));
    let listed = client.ask("AT+CMGL=4").await;
    assert_eq!(listed.matches("+CMGL: ").count(), 2, "{listed}");
    drop(modem);
    eventually("the link goes with the modem", || std::fs::symlink_metadata(&new).is_err()).await;
}

#[tokio::test]
async fn a_port_returns_by_itself_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("modem0");
    let modem = Modem::start(Options { link: Some(link.clone()), ..Options::default() }).await.unwrap();
    let before = std::fs::read_link(&link).unwrap();
    let held = options().open(&before).unwrap();
    modem.unplug(Some(Duration::from_millis(30)), None).await.unwrap();
    eventually("the link is back", || link.exists()).await;
    assert_ne!(std::fs::read_link(&link).unwrap(), before, "another terminal while the old one is held");
    drop(held);
    while !modem.state().await.unwrap().ready {
        tokio::task::yield_now().await;
    }
    assert!(Client::open(&link).ask("AT").await.ends_with("OK\r\n"));
}

#[tokio::test]
async fn the_control_socket_obeys_and_streams() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let modem = Modem::start(Options { control: Some(control.clone()), ..Options::default() }).await.unwrap();
    async fn connect(
        path: &PathBuf,
    ) -> (tokio::io::Lines<BufReader<tokio::net::unix::OwnedReadHalf>>, tokio::net::unix::OwnedWriteHalf)
    {
        let (read, write) = UnixStream::connect(path).await.unwrap().into_split();
        (BufReader::new(read).lines(), write)
    }
    let (mut stream, mut subscribe) = connect(&control).await;
    subscribe.write_all(b"{\"cmd\":\"subscribe\"}\n").await.unwrap();
    assert_eq!(stream.next_line().await.unwrap().unwrap(), "{\"ok\":true}");
    let (mut answers, mut asks) = connect(&control).await;
    let script = [
        (r#"{"cmd":"deliver","from":"+12065550101","text":"MENU"}"#, r#"{"ok":true,"parts":1}"#),
        (r#"{"cmd":"fault","kind":"signal","rssi":7}"#, r#"{"ok":true}"#),
        (
            r#"{"cmd":"deliver","from":"+1","text":"x","parts":[2]}"#,
            r#"{"ok":false,"error":"the text has 1 parts"}"#,
        ),
        (r#"{"cmd":"wait_submitted","count":1,"timeout_ms":1}"#, r#"{"ok":true,"submitted":[]}"#),
    ];
    for (ask, answer) in script {
        asks.write_all(format!("{ask}\n").as_bytes()).await.unwrap();
        assert_eq!(answers.next_line().await.unwrap().unwrap(), answer, "{ask}");
    }
    asks.write_all(b"nonsense\n{\"cmd\":\"state\"}\n").await.unwrap();
    let refusal: Value = serde_json::from_str(&answers.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(refusal["ok"], false);
    let state: Value = serde_json::from_str(&answers.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(state["state"]["memories"][0]["messages"][0][1], "REC UNREAD");
    let client = Client::open(&modem.path());
    assert!(client.ask("AT+CSQ").await.contains("+CSQ: 7,99"));
    asks.write_all(b"{\"cmd\":\"wait_submitted\"}\n").await.unwrap();
    client.say("AT+CMGS=22\r0001000B916407281553F800000AE8329BFD4697D9EC37\u{1a}").await;
    let waited: Value = serde_json::from_str(&answers.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(waited["submitted"][0]["text"], "hellohello");
    let streamed: Value = serde_json::from_str(&stream.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(streamed["seq"], 1);
}

#[tokio::test]
async fn the_log_tells_every_byte_and_event_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, "{\"kept\":true}\n").unwrap();
    let modem = Modem::start(Options { log: Some(log.clone()), ..Options::default() }).await.unwrap();
    let client = Client::open(&modem.path());
    client.ask("ATE0").await;
    modem.deliver_with(Delivery::new("SHOP", "hello")).await.unwrap();
    client.ask("AT+CMGD=1").await;
    modem.fault(Fault::NoAnswer { matching: String::new(), times: 1 }).await.unwrap();
    let lines = log_lines(&log);
    assert_eq!(lines[0]["kept"], true, "appended");
    let bytes = |dir: &str| -> String {
        lines.iter().filter(|l| l["dir"] == dir).map(|l| l["bytes"].as_str().unwrap()).collect()
    };
    assert_eq!(bytes("rx"), "ATE0\rAT+CMGD=1\r");
    assert_eq!(bytes("tx"), "ATE0\r\r\nOK\r\n\r\nOK\r\n");
    let events: Vec<&str> = lines.iter().filter_map(|l| l["event"].as_str()).collect();
    assert_eq!(events, ["opened", "arrived", "delivered", "deleted", "set"]);
    let times: Vec<f64> = lines.iter().filter_map(|l| l["t_ms"].as_f64()).collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn a_scenario_plays_its_steps_and_answers_what_the_box_sends() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario");
    std::fs::write(
        &scenario,
        concat!(
            "# a customer who answers\n",
            "{\"at_ms\":1,\"do\":{\"cmd\":\"deliver\",\"from\":\"+46708251358\",\"text\":\"MENU\"}}\n",
            "{\"on_submit\":{\"to\":\"+46708251358\",\"contains\":\"hello\"},\"after_ms\":5,\"do\":{\"cmd\":\"deliver\",\"from\":\"+46708251358\",\"text\":\"2\"}}\n",
        ),
    )
    .unwrap();
    let modem = Modem::start(Options { scenario: Some(scenario), ..Options::default() }).await.unwrap();
    let client = Client::open(&modem.path());
    client.ask("AT+CNMI=2,1").await;
    client.say("AT+CMGS=22\r0001000B916407281553F800000AE8329BFD4697D9EC37\u{1a}").await;
    client.hear("\",2\r\n").await;
    assert_eq!(modem.state().await.unwrap().counters.delivered, 2);
}

#[tokio::test]
async fn an_instant_modem_answers_hundreds_of_commands_a_second() {
    let modem = Modem::start(Options::default()).await.unwrap();
    let client = Client::open(&modem.path());
    client.ask("ATE0").await;
    let started = std::time::Instant::now();
    for _ in 0..1_000 {
        client.ask("AT+CPMS?").await;
    }
    // An idle machine needs 0.1 s; a pause of 5 ms a command anywhere would show.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
