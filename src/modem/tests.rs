//! The edge against the emulated modem, over real pseudo-terminals and in real time; bounds are generous.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hil::modem::{Fault, Identity, Modem, Options};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{ModemConfig, PortChoice, Ports, run};
use crate::at::{Pin, Settings};
use crate::types::{LineCommand, LineEvent, LineId, MessageId, Mono, PartId, SendResult, Slot};

const PATIENCE: Duration = Duration::from_secs(20);
const IMEI: &str = "490154203237518";

/// One line under test.
struct Line {
    commands: mpsc::Sender<LineCommand>,
    events: mpsc::Receiver<(LineId, LineEvent)>,
    /// What came so far: a test that waits in vain shows it.
    seen: Vec<LineEvent>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

fn quick() -> Settings {
    Settings {
        settle: Duration::from_millis(20),
        attention: Duration::from_millis(300),
        quick: Duration::from_millis(500),
        storage: Duration::from_millis(500),
        list: Duration::from_secs(2),
        radio: Duration::from_secs(1),
        prompt: Duration::from_millis(500),
        submit: Duration::from_millis(800),
        busy_retry: Duration::from_millis(50),
        sim_retry: Duration::from_millis(100),
        sweep: Duration::from_secs(2),
        reset: Duration::from_secs(2),
        backoff: Duration::from_millis(100),
        ..Settings::default()
    }
}

fn config(port: PortChoice) -> ModemConfig {
    ModemConfig { settings: quick(), candidates: Vec::new(), ..ModemConfig::new(LineId("sim1".into()), port) }
}

fn part(number: u8) -> PartId {
    PartId { message: MessageId("SM1".into()), number }
}

/// `Hi` to +1 206 555 0101, a report wanted.
fn send(number: u8) -> LineCommand {
    LineCommand::Send { part: part(number), pdu: "0031000B912160550501F10000AA02C834".into(), length: 16 }
}

impl Line {
    fn start(config: ModemConfig, ports: &Ports) -> Self {
        Self::start_with(config, ports, 64)
    }

    fn start_with(config: ModemConfig, ports: &Ports, room: usize) -> Self {
        let (commands, command_receiver) = mpsc::channel(64);
        let (event_sender, events) = mpsc::channel(room);
        let (stop, stopped) = oneshot::channel::<()>();
        let started = Instant::now();
        let now = move || Mono(u64::try_from(started.elapsed().as_millis()).unwrap());
        let shutdown = async move { drop(stopped.await) };
        let task = tokio::spawn(run(config, ports.clone(), command_receiver, event_sender, now, shutdown));
        Self { commands, events, seen: Vec::new(), stop: Some(stop), task }
    }

    async fn tell(&self, command: LineCommand) {
        self.commands.send(command).await.unwrap();
    }

    async fn next(&mut self) -> LineEvent {
        self.next_in(&"nothing in particular").await
    }

    async fn next_in(&mut self, what: &(impl std::fmt::Debug + Sync)) -> LineEvent {
        match tokio::time::timeout(PATIENCE, self.events.recv()).await {
            Ok(Some((_, event))) => {
                if let LineEvent::Prompted { part, attempt } = &event {
                    self.tell(LineCommand::Proceed { part: part.clone(), attempt: *attempt, go: true }).await;
                }
                self.seen.push(event.clone());
                event
            }
            other => panic!("{what:?}: {other:?} after {:?}", self.seen),
        }
    }

    async fn until<T>(&mut self, mut want: impl FnMut(&LineEvent) -> Option<T>) -> T {
        loop {
            let event = self.next().await;
            if let Some(found) = want(&event) {
                return found;
            }
        }
    }

    async fn up(&mut self) -> String {
        self.until(|event| match event {
            LineEvent::Up { identity, .. } => Some(identity.clone()),
            _ => None,
        })
        .await
    }

    async fn received(&mut self) -> Slot {
        self.until(|event| match event {
            LineEvent::Received { slot, .. } => Some(*slot),
            _ => None,
        })
        .await
    }

    async fn done(&mut self) -> SendResult {
        self.until(|event| match event {
            LineEvent::SendDone { result, .. } => Some(result.clone()),
            _ => None,
        })
        .await
    }

    /// The modem asks for the PDU, and gets it.
    async fn prompted(&mut self) {
        self.until(|event| matches!(event, LineEvent::Prompted { .. }).then_some(())).await;
    }

    async fn down(&mut self) {
        self.until(|event| matches!(event, LineEvent::Down { .. }).then_some(())).await;
    }

    async fn needs(&mut self, word: &str) {
        self.until(|event| match event {
            LineEvent::State(state) => state.needs.as_ref().filter(|needs| needs.contains(word)).map(|_| ()),
            _ => None,
        })
        .await;
    }

    async fn stop(mut self) -> Vec<LineEvent> {
        drop(self.stop.take());
        let mut rest = Vec::new();
        while let Some((_, event)) = self.events.recv().await {
            rest.push(event);
        }
        self.task.await.unwrap();
        rest
    }
}

async fn modem(options: Options) -> Modem {
    Modem::start(options).await.unwrap()
}

async fn stored(modem: &Modem) -> usize {
    modem.state().await.unwrap().memories.iter().map(|memory| memory.messages.len()).sum()
}

fn imei(number: &str) -> Identity {
    Identity { imei: number.into(), ..Identity::default() }
}

#[tokio::test]
async fn a_text_comes_in_is_freed_and_another_goes_out() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    assert_eq!(line.up().await, IMEI);
    modem.deliver("+12065550199", "MENU").await.unwrap();
    let slot = line.received().await;
    assert_eq!(stored(&modem).await, 1);
    line.tell(LineCommand::Free { slot }).await;
    line.until(|event| (*event == LineEvent::Freed { slot }).then_some(())).await;
    assert_eq!(stored(&modem).await, 0);

    line.tell(send(1)).await;
    assert!(matches!(line.done().await, SendResult::Accepted { .. }));
    let sent = modem.wait_submitted(0, 1, PATIENCE).await.unwrap();
    assert_eq!((sent[0].to.as_str(), sent[0].text.as_str()), ("+12065550101", "Hi"));
    // Its status report.
    line.received().await;
    let rest = line.stop().await;
    assert!(matches!(rest.last(), Some(LineEvent::Down { .. })));
}

#[tokio::test]
async fn a_port_that_vanishes_and_returns_under_another_name_is_found() {
    for by_path in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str| dir.path().join(name);
        let modem = modem(Options { link: Some(link("ttyUSB0")), ..Options::default() }).await;
        let port =
            if by_path { PortChoice::ByPath(link("ttyUSB0")) } else { PortChoice::ByImei(IMEI.into()) };
        let candidates = vec![link("ttyUSB*").to_string_lossy().into_owned()];
        let mut line = Line::start(ModemConfig { candidates, ..config(port) }, &Ports::new());
        line.up().await;
        modem.unplug(None, None).await.unwrap();
        line.down().await;
        drop(std::fs::remove_file(link("ttyUSB0")));
        let back = Instant::now();
        modem.replug(Some(link("ttyUSB1"))).await.unwrap();
        line.up().await;
        assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
        modem.deliver("+12065550199", "1").await.unwrap();
        line.received().await;
        line.stop().await;
    }
}

#[tokio::test]
async fn a_send_that_is_cut_by_the_vanishing_port_is_unknown_and_left_once() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    modem.fault(Fault::LostAnswer { matching: "+CMGS".into(), times: 1 }).await.unwrap();
    line.tell(send(1)).await;
    line.prompted().await;
    modem.wait_submitted(0, 1, PATIENCE).await.unwrap();
    modem.unplug(Some(Duration::from_millis(100)), None).await.unwrap();
    assert!(matches!(line.done().await, SendResult::Unknown { .. }));
    line.stop().await;
    assert_eq!(modem.submitted_since(0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_line_goes_on() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    modem.fault(Fault::LostAnswer { matching: "+CMGS".into(), times: 1 }).await.unwrap();
    line.tell(send(1)).await;
    assert!(matches!(line.done().await, SendResult::Unknown { .. }));
    line.tell(send(2)).await;
    assert!(matches!(line.done().await, SendResult::Accepted { .. }));
    assert_eq!(modem.submitted_since(0).await.unwrap().len(), 2);
    line.stop().await;
}

#[tokio::test]
async fn half_a_line_and_garbage_lose_nothing() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    modem.fault(Fault::SplitWrites { bytes: 3, gap_ms: 0 }).await.unwrap();
    modem.fault(Fault::HalfLine { matching: "+CMGR".into(), times: 1 }).await.unwrap();
    modem
        .fault(Fault::GarbageBefore { matching: "+CMGD".into(), times: 1, hex: "00ff80410d0a".into() })
        .await
        .unwrap();
    modem.deliver("+12065550199", "half").await.unwrap();
    let slot = line.received().await;
    line.tell(LineCommand::Free { slot }).await;
    line.until(|event| (*event == LineEvent::Freed { slot }).then_some(())).await;
    line.stop().await;
}

#[tokio::test]
async fn a_full_store_is_emptied_and_the_waiting_texts_follow() {
    let modem = modem(Options { capacity: [3, 3, 3], ..Options::default() }).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    for number in 0..8 {
        modem.deliver("+12065550199", &format!("text {number}")).await.unwrap();
    }
    for _ in 0..8 {
        let slot = line.received().await;
        line.tell(LineCommand::Free { slot }).await;
    }
    line.stop().await;
}

#[tokio::test]
async fn a_wrong_pin_is_entered_once_also_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let modem = modem(Options { pin: Some("1111".into()), ..Options::default() }).await;
    let with_pin = |pin: &str| ModemConfig {
        pin: Some(Pin::parse(pin).unwrap()),
        pin_memory: Some(dir.path().join("pin-tried")),
        ..config(PortChoice::ByPath(modem.path()))
    };
    let before = modem.state().await.unwrap().pin_tries;
    for _ in 0..2 {
        let mut line = Line::start(with_pin("2222"), &Ports::new());
        line.needs("not tried again").await;
        line.stop().await;
    }
    assert_eq!(modem.state().await.unwrap().pin_tries, before - 1);
}

#[tokio::test]
async fn the_right_pin_opens_the_sim() {
    let modem = modem(Options { pin: Some("1111".into()), ..Options::default() }).await;
    let pin = Some(Pin::parse("1111").unwrap());
    let mut line =
        Line::start(ModemConfig { pin, ..config(PortChoice::ByPath(modem.path())) }, &Ports::new());
    line.up().await;
    modem.fault(Fault::Reboot { drop_port_ms: None }).await.unwrap();
    line.down().await;
    line.up().await;
    line.stop().await;
}

#[tokio::test]
async fn a_flood_of_urcs_holds_up_no_text() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    let flood = Fault::UrcFlood { line: "^RSSI: 17".into(), count: 5_000, gap_ms: 0 };
    modem.fault(flood).await.unwrap();
    modem.deliver("+12065550199", "still here").await.unwrap();
    line.tell(send(1)).await;
    let (mut received, mut done) = (false, false);
    while !(received && done) {
        match line.next().await {
            LineEvent::Received { .. } => received = true,
            LineEvent::SendDone { result, .. } => {
                assert!(matches!(result, SendResult::Accepted { .. }), "{result:?}");
                done = true;
            }
            _ => {}
        }
    }
    line.stop().await;
}

#[tokio::test]
async fn a_reboot_in_the_middle_of_a_send_is_survived() {
    let modem = modem(Options::default()).await;
    let mut slow = config(PortChoice::ByPath(modem.path()));
    slow.settings.submit = Duration::from_secs(60);
    let mut line = Line::start(slow, &Ports::new());
    line.up().await;
    modem.fault(Fault::LostAnswer { matching: "+CMGS".into(), times: 1 }).await.unwrap();
    line.tell(send(1)).await;
    line.prompted().await;
    modem.wait_submitted(0, 1, PATIENCE).await.unwrap();
    modem.fault(Fault::Reboot { drop_port_ms: None }).await.unwrap();
    assert!(matches!(line.done().await, SendResult::Unknown { .. }));
    line.up().await;
    modem.deliver("+12065550199", "after").await.unwrap();
    line.received().await;
    line.stop().await;
}

#[tokio::test]
async fn a_hung_modem_is_reset_and_works_again() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    modem.fault(Fault::Hang { ms: None, hard: false }).await.unwrap();
    line.down().await;
    line.up().await;
    assert_eq!(modem.state().await.unwrap().counters.resets, 1);
    line.stop().await;
}

#[tokio::test]
async fn each_line_finds_its_own_modem_and_leaves_the_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut modems = Vec::new();
    for (name, number) in [("ttyUSB0", "111111111111111"), ("ttyUSB1", "222222222222222")] {
        let link = Some(dir.path().join(name));
        modems.push(modem(Options { link, identity: imei(number), ..Options::default() }).await);
    }
    let candidates = vec![dir.path().join("tty*").to_string_lossy().into_owned()];
    let ports = Ports::new();
    let wanting = |port| ModemConfig { candidates: candidates.clone(), ..config(port) };
    let mut second = Line::start(wanting(PortChoice::ByImei("222222222222222".into())), &ports);
    let mut first = Line::start(wanting(PortChoice::ByImei("111111111111111".into())), &ports);
    let mut third = Line::start(wanting(PortChoice::Any), &ports);
    assert_eq!(second.up().await, "222222222222222");
    assert_eq!(first.up().await, "111111111111111");
    // Nothing is left for the third, until the first lets go.
    third.down().await;
    first.stop().await;
    assert_eq!(third.up().await, "111111111111111");
    third.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_line_that_looks_for_any_modem_leaves_a_named_one_alone() {
    let modem = modem(Options::default()).await;
    let ports = Ports::new();
    let mut named = Line::start(config(PortChoice::ByPath(modem.path())), &ports);
    named.up().await;
    let candidates = vec![modem.path().to_string_lossy().into_owned()];
    let mut any = Line::start(ModemConfig { candidates, ..config(PortChoice::Any) }, &ports);
    any.down().await;
    modem.deliver("+12065550199", "for the named one").await.unwrap();
    named.received().await;
    named.stop().await;
    assert_eq!(any.up().await, IMEI);
    any.stop().await;
}

#[tokio::test]
async fn shutdown_ends_although_nobody_takes_the_events() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start_with(config(PortChoice::ByPath(modem.path())), &Ports::new(), 1);
    line.up().await;
    for number in 0..5 {
        modem.deliver("+12065550199", &format!("text {number}")).await.unwrap();
    }
    line.received().await;
    let asked = Instant::now();
    drop(line.stop.take());
    line.task.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_line_ends_when_nobody_listens() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    drop(line.events);
    line.task.await.unwrap();
    assert!(line.commands.is_closed());
}

#[tokio::test]
async fn a_daemon_that_is_slow_to_listen_loses_nothing() {
    let modem = modem(Options { capacity: [50, 300, 50], ..Options::default() }).await;
    let path = PortChoice::ByPath(modem.path());
    let mut line = Line::start_with(config(path), &Ports::new(), 1);
    line.up().await;
    for number in 0..200 {
        modem.deliver("+12065550199", &format!("text {number}")).await.unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 200 {
        assert!(seen.insert(line.received().await));
        tokio::task::yield_now().await;
    }
    line.stop().await;
}

#[tokio::test]
async fn a_line_without_a_modem_says_so_once_and_answers_every_send() {
    let mut line =
        Line::start(config(PortChoice::ByPath(PathBuf::from("/nonexistent/modem"))), &Ports::new());
    line.down().await;
    for number in 1..=3 {
        line.tell(send(number)).await;
        assert!(matches!(line.done().await, SendResult::NotTried { .. }));
    }
    assert_eq!(line.stop().await, []);
}

#[tokio::test]
async fn shutdown_ends_an_unanswered_send_as_unknown_within_two_seconds() {
    let modem = modem(Options::default()).await;
    let mut slow = config(PortChoice::ByPath(modem.path()));
    slow.settings.submit = Duration::from_secs(60);
    let mut line = Line::start(slow, &Ports::new());
    line.up().await;
    modem.fault(Fault::LostAnswer { matching: "+CMGS".into(), times: 1 }).await.unwrap();
    line.tell(send(1)).await;
    line.prompted().await;
    modem.wait_submitted(0, 1, PATIENCE).await.unwrap();
    let asked = Instant::now();
    let rest = line.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(rest.iter().any(|e| matches!(e, LineEvent::SendDone { result: SendResult::Unknown { .. }, .. })));
}

/// `scripts/bench sms` has the figures; this only keeps the order of magnitude.
#[tokio::test]
async fn five_hundred_texts_come_in_within_a_few_seconds() {
    let modem = modem(Options { capacity: [50, 255, 50], ..Options::default() }).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    let start = Instant::now();
    let feeder = modem.clone();
    let feeding = tokio::spawn(async move {
        for number in 0..500 {
            feeder.deliver("+12065550199", &format!("text {number}")).await.unwrap();
        }
    });
    let (mut received, mut freed) = (0, 0);
    while freed < 500 {
        match line.next().await {
            LineEvent::Received { slot, .. } => {
                received += 1;
                line.tell(LineCommand::Free { slot }).await;
            }
            LineEvent::Freed { .. } => freed += 1,
            _ => {}
        }
    }
    feeding.await.unwrap();
    assert_eq!(received, 500);
    println!("500 texts in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    line.stop().await;
}

/// As above: 50 a second is what is promised.
#[tokio::test]
async fn two_hundred_texts_go_out_within_a_few_seconds_with_their_reports() {
    let modem = modem(Options::default()).await;
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    line.up().await;
    let start = Instant::now();
    let mut reports = 0;
    for number in 1..=200 {
        line.tell(send(number)).await;
        loop {
            match line.next().await {
                LineEvent::Received { slot, .. } => {
                    reports += 1;
                    line.tell(LineCommand::Free { slot }).await;
                }
                LineEvent::SendDone { result, .. } => {
                    assert!(matches!(result, SendResult::Accepted { .. }), "{result:?}");
                    break;
                }
                _ => {}
            }
        }
    }
    println!("200 texts out in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    while reports < 200 {
        line.received().await;
        reports += 1;
    }
    line.stop().await;
}

/// To +1 206 555 and this number: how the emulated network tells texts apart.
fn send_to(number: u16) -> LineCommand {
    let digits: Vec<char> = format!("1206555{number:04}F").chars().collect();
    let swapped: String = digits.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    LineCommand::Send { part: part(1), pdu: format!("0011000B91{swapped}0000AA02C834"), length: 16 }
}

fn faults() -> Vec<Fault> {
    let mut all = Vec::new();
    for command in ["", "+CMGS", "+CMGR", "+CMGD", "+CMGL", "+CPMS", "+CSQ"] {
        let matching = || command.to_owned();
        for times in [1, 3] {
            all.push(Fault::NoAnswer { matching: matching(), times });
            all.push(Fault::LostAnswer { matching: matching(), times });
            all.push(Fault::HalfLine { matching: matching(), times });
            all.push(Fault::Delay { matching: matching(), times, ms: 1_000 });
            all.push(Fault::Error { matching: matching(), times, error: "+CMS ERROR: 500".into() });
        }
        let lines = vec!["+CMTI: \"ME\",1".into(), "+CREG: 1".into(), "^RSSI: 9".into()];
        all.push(Fault::UrcBetween { matching: matching(), times: 5, lines });
        all.push(Fault::GarbageBefore { matching: matching(), times: 5, hex: "00ff80417e0d".into() });
    }
    all.extend([
        Fault::NoPrompt { times: 1, error: String::new() },
        Fault::NoPrompt { times: 1, error: "+CMS ERROR: 304".into() },
        Fault::Garbage { hex: "0d0a2b434d54493a20224d45".into() },
        Fault::Hang { ms: Some(1_500), hard: true },
        Fault::Hang { ms: None, hard: false },
        Fault::SimBusy { ms: 500 },
        Fault::Reboot { drop_port_ms: None },
        Fault::Reboot { drop_port_ms: Some(100) },
        Fault::SplitWrites { bytes: 1, gap_ms: 0 },
        Fault::MergeWrites { ms: 30 },
    ]);
    all
}

/// One fault, then a text each way, then an honest account.
async fn survives(fault: Fault, number: u16, at_bring_up: bool) {
    let dir = tempfile::tempdir().unwrap();
    let modem = modem(Options { link: Some(dir.path().join("modem")), ..Options::default() }).await;
    if at_bring_up {
        modem.fault(fault.clone()).await.unwrap();
    }
    let mut line = Line::start(config(PortChoice::ByPath(modem.path())), &Ports::new());
    while !matches!(line.next_in(&fault).await, LineEvent::Swept) {}
    if !at_bring_up {
        modem.fault(fault.clone()).await.unwrap();
    }
    modem.deliver("+12065550199", "in the middle of it").await.unwrap();
    line.tell(send_to(number)).await;
    let (mut done, mut received, mut empty) = (None, false, false);
    while done.is_none() || !received || !empty {
        match line.next_in(&fault).await {
            LineEvent::Received { slot, .. } | LineEvent::Unreadable { slot: Some(slot), .. } => {
                (received, empty) = (true, false);
                line.tell(LineCommand::Free { slot }).await;
            }
            // Deleted: told so, or by a line that came back and found nothing more.
            LineEvent::Freed { .. } | LineEvent::Swept => empty = true,
            LineEvent::SendDone { result, .. } => {
                assert!(done.is_none(), "{fault:?}: answered twice");
                done = Some(result);
            }
            _ => {}
        }
    }
    let sent = modem.submitted_since(0).await.unwrap().len();
    match done.unwrap() {
        SendResult::Accepted { .. } => assert_eq!(sent, 1, "{fault:?}"),
        SendResult::Rejected { .. } | SendResult::NotTried { .. } => assert_eq!(sent, 0, "{fault:?}"),
        SendResult::Unknown { .. } => assert!(sent <= 1, "{fault:?}"),
    }
    assert_eq!(stored(&modem).await, 0, "{fault:?}");
    line.stop().await;
}

#[tokio::test]
async fn whatever_goes_wrong_the_text_comes_in_and_no_answer_lies() {
    let cases = faults().into_iter().flat_map(|fault| [(fault.clone(), false), (fault, true)]);
    let mut running = tokio::task::JoinSet::new();
    for (number, (fault, at_bring_up)) in (0..).zip(cases) {
        // The emulator's inotify instances are few for all processes of a user together.
        if running.len() >= 32 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(survives(fault, number, at_bring_up));
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}
