//! A shop whose number is at Twilio, as people have it: the daemon as a process that is killed and started again, the
//! simulated Twilio over real sockets, an emulated modem beside it. `scripts/prove upstream` does the same at length,
//! with a network that is cut.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

#[path = "upstream/consents.rs"]
mod consents;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backroom::config::{UpstreamLine, file};
use backroom::daemon::control::{self, Ask};
use backroom::store::{Direction, MediaState, MessageFilter, MessageRow, MessageStatus, Reader};
use backroom::twilio::files::{self, FileRef};
use backroom::types::{ShopId, Wall};
use hil::beside::Ran;
use hil::modem::{self, Modem};
use hil::twilio::{Bulk, Content, Fault, Inbound, Number, On, Options, Plan, Settings, Twilio};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const NUMBER: &str = "+12065550199";
/// For anything that must happen: far beyond what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a shop is promised about a line that is gone.
const TAKEN_OVER: Duration = Duration::from_secs(10);
const QUICK: &str = "sms.pace = 0.001\nsms.burst = 1000\nsms.replies = 1000\nsms.settle = 0.2\nsms.look_again = 0.5\n\
                     sms.retry_first = 0.1\nsms.retry_most = 1\n";

/// Waits for what other processes do; how long it took.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Ran::since_now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// A shop's box and its Twilio.
struct Shop {
    dir: tempfile::TempDir,
    twilio: Twilio,
    running: Option<Child>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.kill());
            drop(running.wait());
        }
    }
}

impl Shop {
    /// `settings` goes into `[shop.settings]`, `lines` before the line at Twilio, `more` into that.
    fn open(settings: &str, lines: &str, more: &str) -> Shop {
        let twilio = Twilio::start(Options::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ip = IpAddr::from([127, 0, 0, 1]);
        let web = SocketAddr::new(ip, hil::beside::free_port(ip).unwrap());
        let token = dir.path().join("token");
        std::fs::write(&token, Options::default().auth_token).unwrap();
        let sms_url = format!("http://{web}/twilio/twilio/message");
        let _known = twilio.set_number(Number { number: NUMBER.into(), sms_url, ..Number::default() });
        let (url, account) = (twilio.url(), Options::default().account);
        let config = format!(
            "[storage]\npath = {:?}\n[[shop]]\nid = \"main\"\n[shop.settings]\nshop.name = \"Green Valley\"\n\
             {QUICK}{settings}\n{lines}\n[[line]]\nid = \"twilio\"\nkind = \"twilio\"\naccount = {account:?}\n\
             auth_token_file = {token:?}\nnumber = {NUMBER:?}\napi_url = {url:?}\nstudio_url = {url:?}\n\
             accounts_url = {url:?}\ncontent_url = {url:?}\npublic_url = \"http://{web}\"\npoll = 0.5\npoll_idle = 0.5\n{more}\n[web]\nlisten = \"{web}\"\n",
            dir.path().join("data"),
        );
        std::fs::write(dir.path().join("backroom.toml"), config).unwrap();
        let mut shop = Shop { dir, twilio, running: None };
        shop.start();
        shop
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_backroom"))
            .arg("--config")
            .arg(self.dir.path().join("backroom.toml"))
            .arg("run")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
        until("the box answers", || self.told().is_some());
    }

    fn end(&mut self, signal: Signal) {
        let mut child = self.running.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(ended.success(), signal == Signal::TERM, "{ended}");
    }

    fn told(&self) -> Option<Value> {
        control::ask(&self.data(), &Ask::Status).ok().flatten()
    }

    /// A command of the program: what it prints, or why not.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let config = self.dir.path().join("backroom.toml");
        let program = Command::new(env!("CARGO_BIN_EXE_backroom"))
            .arg("--config")
            .arg(config)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if program.status.success() { Ok(text(program.stdout)) } else { Err(text(program.stderr)) }
    }

    /// The line as the file has it.
    fn upstream(&self) -> UpstreamLine {
        let config = file::load(&self.dir.path().join("backroom.toml")).unwrap();
        config.upstreams.into_iter().next().unwrap()
    }

    fn line(&self, line: &str) -> Value {
        self.told().unwrap()["shops"]["main"]["lines"][line].clone()
    }

    fn send(&self, to: &str, body: &str) {
        let ask = Ask::Send { shop: "main".into(), to: to.into(), body: body.into() };
        control::ask(&self.data(), &ask).unwrap().unwrap();
    }

    fn rows(&self, direction: Direction) -> Vec<MessageRow> {
        let filter = MessageFilter { direction: Some(direction), limit: 100_000, ..MessageFilter::default() };
        Reader::open(&self.data()).unwrap().messages(&ShopId::from("main"), &filter).unwrap()
    }

    /// Until nothing is on its way.
    fn settle(&self) {
        let waits = |row: &MessageRow| matches!(row.status, MessageStatus::Queued | MessageStatus::Sending);
        until("all has left", || !self.rows(Direction::Out).iter().any(waits));
    }

    /// Each text that the box has sent is at Twilio once, and nothing else is; none of those that it knows nothing of.
    fn same_at_twilio(&self) {
        let mut rows = self.rows(Direction::Out);
        rows.retain(|row| row.status != MessageStatus::Unknown);
        let mut here: Vec<_> = rows.iter().map(|row| row.carriage.sid.clone().unwrap_or_default()).collect();
        let mut there: Vec<_> = self.twilio.outbound().into_iter().map(|text| text.sid).collect();
        here.sort();
        there.sort();
        assert_eq!(here, there);
    }
}

fn every(on: On, fault: Fault, requests: u32) -> Plan {
    Plan::new(on, fault).every(requests)
}

#[test]
fn three_hundred_texts_come_in_once_each_through_two_kills_a_restart_and_a_bad_network() {
    let mut shop = Shop::open("", "", "");
    shop.twilio.set(Settings {
        list_spread_ms: 1500,
        webhook_copies: 1,
        webhook_spread_ms: 500,
        page_overlap: 3,
        ..Settings::default()
    });
    shop.twilio.set_faults(&[
        every(On::Reads, Fault::TooMany { retry_after: 1 }, 7),
        every(On::Reads, Fault::LostAnswer, 9),
        every(On::Reads, Fault::Truncated, 11),
    ]);
    let bulk = Bulk { count: 300, per_second: 60.0, people: 60, media_every: 100, ..Bulk::default() };
    shop.twilio.receive_bulk(bulk);
    for (after, signal) in [(60, Signal::KILL), (140, Signal::TERM), (220, Signal::KILL)] {
        until("texts come", || shop.twilio.inbounds().len() >= after);
        shop.end(signal);
        // What comes now comes while nobody is there.
        until("more texts come", || shop.twilio.inbounds().len() >= after + 20);
        shop.start();
    }
    until("all are there", || shop.rows(Direction::In).len() >= 300);
    shop.settle();
    let mut here = BTreeMap::new();
    for row in shop.rows(Direction::In) {
        *here.entry((row.carriage.sid.unwrap(), row.peer, row.body)).or_insert(0) += 1;
    }
    let there: BTreeMap<_, _> = shop
        .twilio
        .inbounds()
        .into_iter()
        .map(|text| ((text.sid, text.from.unwrap(), text.body), 1))
        .collect();
    assert_eq!(there.len(), 300);
    assert_eq!(here, there);
    shop.same_at_twilio();
}

#[test]
fn two_hundred_sends_leave_once_each_though_answers_are_lost_and_the_box_is_killed() {
    let mut shop = Shop::open("", "", "");
    // Twilio shows what it was just given late.
    shop.twilio.set(Settings { own_list_lag_ms: 400, ..Settings::default() });
    shop.twilio.set_faults(&[
        every(On::Writes, Fault::LostAnswer, 7),
        every(On::Writes, Fault::CommitThen500, 11),
        every(On::Writes, Fault::LostRequest, 13),
        every(On::Writes, Fault::TooMany { retry_after: 1 }, 67),
        every(On::Writes, Fault::Truncated, 29),
        Plan::next(1, On::Writes, Fault::CommitThenSilence).after(20),
    ]);
    let mut wanted = BTreeMap::new();
    for number in 0..200 {
        let to = format!("+1206557{:04}", number % 50);
        // A fifth says the same to the same person.
        let body = if number % 50 < 10 { "Ready.".to_owned() } else { format!("Order {number} is ready.") };
        shop.send(&to, &body);
        *wanted.entry((to, body)).or_insert(0) += 1;
        if number == 120 {
            shop.end(Signal::KILL);
            shop.start();
        }
    }
    shop.settle();
    // Two accidents to one text, the kill and a lost request: it has not left, staff are told so and send it.
    shop.twilio.set_faults(&[]);
    let rows = shop.rows(Direction::Out);
    let in_doubt: Vec<&MessageRow> = rows.iter().filter(|row| row.status == MessageStatus::Unknown).collect();
    assert!(in_doubt.len() <= 5, "{in_doubt:?}");
    let left = |sends: &BTreeMap<(String, String), _>| -> usize { sends.values().sum() };
    assert_eq!(left(&shop.twilio.sends()) + in_doubt.len(), left(&wanted));
    for row in in_doubt {
        let ask = Ask::Resend { shop: "main".into(), message: row.id.0.clone() };
        control::ask(&shop.data(), &ask).unwrap().unwrap();
    }
    shop.settle();
    assert_eq!(shop.twilio.sends(), wanted);
    shop.same_at_twilio();
}

#[test]
fn a_text_that_was_lost_on_the_way_is_sent_again_before_the_next_one_to_that_person() {
    let shop = Shop::open("", "", "");
    shop.twilio.set_faults(&[Plan::next(1, On::Writes, Fault::LostRequest).with("Body", "first")]);
    let bodies = ["first", "second", "third"];
    for body in bodies {
        shop.send("+12065558001", body);
    }
    shop.settle();
    let sent: Vec<String> = shop.twilio.outbound().into_iter().map(|text| text.body).collect();
    assert_eq!(sent, bodies);
}

/// A modem on a thread of its own, for as long as the sender is there.
fn emulated(link: &Path) -> (Modem, oneshot::Sender<()>) {
    let options = modem::Options { link: Some(link.to_owned()), ..modem::Options::default() };
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tell.send(Modem::start(options).await.unwrap()).unwrap();
            drop(stopped.await);
        });
    });
    (told.recv().unwrap(), stop)
}

/// How long until a text to this person leaves by the way that is asked about, one being sent every half second.
fn leaves(shop: &Shop, to: &str, by: impl Fn(&str) -> bool) -> Duration {
    let begun = Ran::since_now();
    let mut sent: Vec<String> = Vec::new();
    until("a text leaves by this way", || {
        if begun.elapsed() >= Duration::from_millis(500) * u32::try_from(sent.len()).unwrap() {
            let body = format!("{to} {:?}", begun.elapsed());
            shop.send(to, &body);
            sent.push(body);
        }
        sent.iter().any(|body| by(body))
    })
}

#[test]
fn texts_leave_by_the_line_that_lives_within_ten_seconds_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("modem0");
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (modem, _until_dropped) = emulated(&link);
    // Who is in the middle of a conversation stays with the line that took over; here, they are over soon.
    let shop = Shop::open("silence = 1\n", &format!("[[line]]\nid = \"sim1\"\nport = {link:?}\n"), "");
    until("both lines are up", || ["sim1", "twilio"].iter().all(|line| shop.line(line)["up"] == true));
    let (anna, ben) = ("+12065558001", "+12065558002");
    tasks.block_on(modem.deliver(anna, "hello")).unwrap();
    let _sid = shop.twilio.inbound(ben, "hello");
    until("both are heard", || shop.rows(Direction::In).len() == 2);
    until("their conversations are over", || shop.told().unwrap()["shops"]["main"]["conversations"] == 0);

    let by_modem = |body: &str| {
        let texts = tasks.block_on(modem.submitted_since(0)).unwrap();
        texts.iter().any(|text| text.text == body)
    };
    let by_twilio = |body: &str| shop.twilio.outbound().iter().any(|text| text.body == body);
    assert!(leaves(&shop, anna, by_modem) < TAKEN_OVER);
    assert!(leaves(&shop, ben, by_twilio) < TAKEN_OVER);
    tasks.block_on(modem.unplug(None, None)).unwrap();
    assert!(leaves(&shop, anna, by_twilio) < TAKEN_OVER, "the modem is gone");
    tasks.block_on(modem.replug(None)).unwrap();
    assert!(leaves(&shop, anna, by_modem) < TAKEN_OVER, "the modem is back");
    shop.twilio.stop_listening().unwrap();
    assert!(leaves(&shop, ben, by_modem) < TAKEN_OVER, "Twilio is gone");
    shop.twilio.resume().unwrap();
    assert!(leaves(&shop, ben, by_twilio) < TAKEN_OVER, "Twilio is back");
    shop.settle();
    let mut bodies: Vec<String> = shop.twilio.outbound().into_iter().map(|text| text.body).collect();
    bodies.extend(tasks.block_on(modem.submitted_since(0)).unwrap().into_iter().map(|text| text.text));
    let mut rows: Vec<String> = shop.rows(Direction::Out).into_iter().map(|row| row.body).collect();
    bodies.sort();
    rows.sort();
    assert_eq!(bodies, rows);
}

#[test]
fn wrong_credentials_are_one_alarm_and_not_a_storm() {
    let mut shop = Shop::open("", "", "");
    until("the line is up", || shop.line("twilio")["up"] == true);
    shop.twilio.set_faults(&[Plan::new(On::All, Fault::WrongCredentials)]);
    until("the line is down", || shop.line("twilio")["up"] == false);
    for number in 0..20 {
        shop.send("+12065558001", &format!("text {number}"));
    }
    let before = shop.twilio.stats().requests;
    std::thread::park_timeout(Duration::from_secs(3));
    assert_eq!(shop.twilio.stats().requests, before, "it is not asked again for minutes");
    let needs = shop.line("twilio")["needs"].as_str().unwrap().to_owned();
    assert!(needs.contains("refuses the credentials"), "{needs}");
    shop.end(Signal::TERM);
    let log = std::fs::read_to_string(shop.log()).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(" ERROR ") && log.contains("`auth_token_file`, and restart backroom"), "{log}");
    assert!(!log.contains(&Options::default().auth_token));
    // Nothing is lost by it.
    shop.twilio.set_faults(&[]);
    shop.start();
    shop.settle();
    assert_eq!(shop.twilio.outbound().len(), 20);
}

#[test]
fn files_of_a_text_are_kept_though_fetching_them_fails_first() {
    let shop = Shop::open("", "", "");
    shop.twilio.set_faults(&[Plan::next(1, On::Reads, Fault::CutBody).at("/Media/")]);
    let media =
        vec![("image/png".to_owned(), "a mower".to_owned()), ("text/plain".to_owned(), "b".to_owned())];
    let text = Inbound { from: "+12065558001".into(), body: "see".into(), media, ..Inbound::default() };
    let sid = shop.twilio.receive(text);
    until("the text is there", || shop.rows(Direction::In).len() == 1);
    let row = shop.rows(Direction::In).remove(0);
    assert_eq!((row.carriage.sid.as_deref(), row.carriage.media), (Some(sid.as_str()), 2));
    let reader = Reader::open(&shop.data()).unwrap();
    let main = ShopId::from("main");
    let kept =
        || reader.media(&main, &row.id).unwrap().into_iter().filter(|m| m.state == MediaState::Kept).count();
    until("both files are kept", || kept() == 2);
    assert_eq!(reader.media_bytes(&main, &row.id, 1).unwrap().unwrap(), b"a mower");
    // They can be read out, and what is there already stays.
    let shown: Value = serde_json::from_str(&shop.run(&["sms", "show", &row.id.0]).unwrap()).unwrap();
    assert_eq!((&shown["files"][0]["kind"], &shown["files"][0]["size"]), (&json!("image/png"), &json!(7)));
    let out = shop.dir.path().join("out");
    let files = ["sms", "files", &row.id.0, "--out", &out.display().to_string()].map(str::to_owned);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    for ending in ["", "-2"] {
        let listed = shop.run(&files).unwrap();
        assert_eq!(listed.lines().count(), 2, "{listed}");
        let first = out.join(format!("{}-1{ending}.png", row.id));
        assert_eq!(std::fs::read(first).unwrap(), b"a mower");
        assert_eq!(std::fs::read(out.join(format!("{}-2{ending}.txt", row.id))).unwrap(), b"b");
    }
    assert_eq!(shop.run(&["sms", "files", &row.id.0]).unwrap().lines().count(), 2);
    assert!(shop.run(&["sms", "files", "SM404"]).unwrap_err().contains("there is no text SM404"));
}

#[test]
fn whatsapp_comes_in_and_is_answered_by_whatsapp() {
    let shop = Shop::open("", "", "channel = \"whatsapp\"");
    let from = "whatsapp:+12065558001".to_owned();
    let to = format!("whatsapp:{NUMBER}");
    let _sid = shop.twilio.receive(Inbound { from, to, body: "hello".into(), ..Inbound::default() });
    until("it is answered", || !shop.twilio.outbound().is_empty());
    let heard = shop.rows(Direction::In).remove(0);
    assert_eq!((heard.peer.as_str(), heard.body.as_str()), ("+12065558001", "hello"));
    let answer = shop.twilio.outbound().remove(0);
    assert_eq!(answer.to, "whatsapp:+12065558001");
    assert_eq!(answer.from.unwrap(), format!("whatsapp:{NUMBER}"));
    // Who has not written by WhatsApp within a day gets no free words by it.
    let ask = Ask::Send { shop: "main".into(), to: "+12065558002".into(), body: "hi".into() };
    let refused = control::ask(&shop.data(), &ask).unwrap_err();
    assert!(refused.contains("24 hours"), "{refused}");
    assert_eq!(shop.twilio.outbound().len(), 1);
}

/// Status and body of a request to the box's own web address.
fn ask_web(method: &str, url: &str) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

fn now() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Wall(i64::try_from(since.as_millis()).unwrap())
}

/// A picture of so many bytes, no two alike.
fn picture(size: usize) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.extend((0..size - 4).map(|at| u8::try_from(at * 31 % 251).unwrap()));
    bytes
}

#[test]
fn twilio_fetches_the_very_bytes_of_a_file_and_nobody_else_gets_any() {
    let shop = Shop::open("", "", "");
    let photo = shop.dir.path().join("my mower.JPG");
    let bytes = picture(3 << 20);
    std::fs::write(&photo, &bytes).unwrap();
    // The answer is lost: it is looked for, and found though its files may not be counted yet.
    shop.twilio.set_faults(&[Plan::next(1, On::Writes, Fault::LostAnswer)]);
    let sent = ["sms", "send", "+12065558001", "Your mower", "--file", &photo.display().to_string()];
    let sent: Value = serde_json::from_str(&shop.run(&sent).unwrap()).unwrap();
    until("Twilio has the file", || {
        shop.twilio.outbound().first().is_some_and(|text| !shop.twilio.files(&text.sid).is_empty())
    });
    let text = shop.twilio.outbound().remove(0);
    let file = shop.twilio.files(&text.sid).remove(0);
    assert_eq!((file.content_type.as_str(), text.body.as_str()), ("image/jpeg", "Your mower"));
    assert_eq!(file.disposition.as_deref(), Some("inline; filename=\"my_mower.jpg\""));
    assert!(file.bytes == bytes, "{} of {} bytes", file.bytes.len(), bytes.len());
    let delivered = || shop.rows(Direction::Out).iter().all(|row| row.status == MessageStatus::Delivered);
    until("it is delivered", delivered);
    assert_eq!(shop.twilio.outbound().len(), 1, "once");
    shop.same_at_twilio();

    // Every other address is nothing, whatever is wrong with it.
    let line = shop.upstream();
    let base = line.public_url.clone().unwrap();
    let address = |message: &str, number: u8, at: Wall| {
        let file = FileRef { message: message.into(), number };
        format!("{base}{}", files::path(&line, &file, at).unwrap())
    };
    let id = sent["id"].as_str().unwrap();
    let good = address(id, 1, now());
    let (status, body) = ask_web("GET", &good);
    assert!(status == 200 && body == bytes);
    assert_eq!(ask_web("HEAD", &good), (200, Vec::new()), "only what is said of it");
    assert_eq!(ask_web("POST", &good).0, 405);
    let media = vec![("image/png".to_owned(), "theirs".to_owned())];
    let _sid = shop.twilio.receive(Inbound { from: "+12065558002".into(), media, ..Inbound::default() });
    until("a file came in", || shop.rows(Direction::In).len() == 1);
    let theirs = shop.rows(Direction::In).remove(0).id;
    let forged = good.replace("/1/", "/2/");
    let cut = &good[..good.len() - 1];
    let old = address(id, 1, Wall(now().0 - 13 * 3_600_000));
    let inbound = address(&theirs.0, 1, now());
    let other_line = good.replacen("/twilio/twilio/", "/twilio/other/", 1);
    let up = good.rsplit_once('/').unwrap().0;
    let bad = [&forged, cut, &old, &inbound, &other_line, up, &address(id, 2, now())];
    let answers: Vec<(u16, Vec<u8>)> = bad.iter().map(|url| ask_web("GET", url)).collect();
    assert!(answers.iter().all(|answer| *answer == (404, b"there is nothing here".to_vec())), "{answers:?}");
    let counted = shop.told().unwrap()["edges"]["web"].clone();
    assert_eq!(
        (&counted["files_served"], &counted["files_refused"]),
        (&json!(3), &json!(7)),
        "one path is none of files: {counted}"
    );
}

#[test]
fn what_cannot_be_sent_or_fetched_is_said() {
    let shop = Shop::open("", "", "");
    let script = shop.dir.path().join("run.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let to = "+12065558001";
    let refused = shop.run(&["sms", "send", to, "x", "--file", &script.display().to_string()]).unwrap_err();
    assert!(refused.contains("run.sh is of no kind that can be sent"), "{refused}");
    let refused = shop.run(&["sms", "send", to, "x", "--media-url", "http://a/b.jpg"]).unwrap_err();
    assert!(refused.contains("must begin with https://"), "{refused}");
    assert!(shop.run(&["sms", "send", "--to", to]).unwrap_err().contains("the text is empty"));
    assert_eq!(shop.twilio.outbound().len(), 0);
    // Nobody listens there.
    shop.run(&["sms", "send", "--to", to, "--media-url", "https://127.0.0.1:1/a.jpg"]).unwrap();
    let row = || shop.rows(Direction::Out).remove(0);
    until("it failed", || row().status == MessageStatus::Failed);
    assert_eq!(row().carriage.error, Some(11200));
}

#[test]
fn whatsapp_templates_are_checked_sent_and_found_again() {
    let (ready, update) = ("HX00000000000000000000000000000001", "HX00000000000000000000000000000002");
    let template = |id: &str, sid: &str, variables: &str| {
        format!(
            "[[template]]\nid = {id:?}\ncontent_sid = {sid:?}\nlanguage = \"en\"\nvariables = {variables}\n\
             purpose = \"utility\"\n"
        )
    };
    let more = format!(
        "channel = \"whatsapp\"\noutside_window = \"update\"\n{}{}",
        template("ready", ready, "[\"name\", \"order\"]"),
        template("update", update, "[\"text\"]")
    );
    let shop = Shop::open("", "", &more);
    let content =
        |sid: &str, body: &str| Content { sid: sid.into(), body: body.into(), ..Content::default() };
    let _set = shop.twilio.set_content(content(ready, "{{1}}, order {{2}} is ready."));
    let pending = Content { status: "pending".into(), ..content(update, "News: {{1}}") };
    let _set = shop.twilio.set_content(pending.clone());
    let wrong = shop.run(&["twilio", "templates"]).unwrap_err();
    assert!(wrong.contains("something is wrong with one template"), "{wrong}");
    let _set = shop.twilio.set_content(Content { status: "approved".into(), ..pending });
    let listed = shop.run(&["twilio", "templates"]).unwrap();
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 2);
    assert!(
        listed.iter().all(|one| one["problems"] == json!([]) && one["status"] == "approved"),
        "{listed:?}"
    );

    let variables = r#"{"name":"Jane","order":17}"#;
    let to = "whatsapp:+12065558001";
    // The answer is lost: nobody knows what the template came to, and it is found all the same.
    shop.twilio.set_faults(&[Plan::next(1, On::Writes, Fault::LostAnswer)]);
    shop.run(&["sms", "send", "--to", to, "--template", "ready", "--variables", variables]).unwrap();
    until("it is there", || {
        shop.rows(Direction::Out).iter().all(|row| row.status == MessageStatus::Delivered)
    });
    let sent = shop.twilio.outbound().remove(0);
    assert_eq!((sent.to.as_str(), sent.body.as_str()), (to, "Jane, order 17 is ready."));
    assert_eq!((sent.content_sid.as_deref(), shop.twilio.outbound().len()), (Some(ready), 1));
    let refused = shop.run(&["sms", "send", to, "The saw too."]).unwrap_err();
    assert!(refused.contains("never wrote by WhatsApp (63016)"), "{refused}");
    shop.same_at_twilio();
}
