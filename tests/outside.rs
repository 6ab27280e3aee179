//! The daemon as people have it: a process of its own, a modem on a serial port, a dealer over HTTP, signals, and
//! the technician's commands. Modem and dealer are emulated; what is asserted is what customers read, what the
//! dealer's books say and what the commands list.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::path::Path;
use std::time::Duration;

use hil::beside::Ran;
use hil::dealer::{self, Dealer, Fault, Kind, Mode};
use hil::modem::{self, Modem, Submitted};
use hil::text::{Customer, Installation, Network, Plan, Port, Reaction, Running, Setup, visit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::broadcast;

/// For anything that must happen: far beyond what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const QUICK: &str = "dealer.backoff_first = 0.2\ndealer.backoff_most = 1\ndealer.settle = 0.2\n\
                     dealer.probe_every = 0.3\ndealer.order_wait = 1\n";

/// Where the modem is looked for.
enum Found {
    ByName,
    ByImei,
}

/// A shop with its box, which is not running yet, and one customer.
struct Shop {
    dir: TempDir,
    modem: Modem,
    texts: broadcast::Receiver<Submitted>,
    dealer: Dealer,
    installed: Installation,
    jane: Customer,
}

impl Shop {
    async fn open(mode: Mode, found: Found, settings: &str) -> Shop {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("modem0");
        let options = modem::Options {
            link: Some(link.clone()),
            log: Some(dir.path().join("modem.log")),
            ..modem::Options::default()
        };
        let imei = options.identity.imei.clone();
        let modem = Modem::start(options).await.unwrap();
        let options = dealer::Options { mode, token: Some("secret".into()), ..dealer::Options::default() };
        let dealer = Dealer::start(options).await.unwrap();
        let port = match found {
            Found::ByName => Port::Path(link),
            Found::ByImei => Port::Imei(imei, dir.path().join("modem*").display().to_string()),
        };
        let setup = Setup {
            dealer: &dealer.url(),
            token: "secret",
            port,
            settings: &format!("{QUICK}{settings}"),
            order: 0.3,
            storage: None,
            low_water_mib: 1,
        };
        let program = Path::new(env!("CARGO_BIN_EXE_backroom"));
        let installed = Installation::new(program, dir.path(), &setup).unwrap();
        let jane = Customer::new(&dealer.customers()[0]).unwrap();
        Shop { dir, texts: modem.submitted(), modem, dealer, installed, jane }
    }

    fn start(&self) -> Running {
        self.installed.start().unwrap()
    }

    async fn says(&self, text: &str) {
        self.modem.deliver(&self.jane.phone, text).await.unwrap();
    }

    /// The next text that the box sends to anybody.
    async fn next(&mut self) -> Submitted {
        let text = tokio::time::timeout(PATIENCE, self.texts.recv()).await;
        let log = || std::fs::read_to_string(self.installed.log()).unwrap_or_default();
        text.unwrap_or_else(|_| panic!("no text; Jane waits for {:?}\n{}", self.jane.awaits(), log()))
            .unwrap()
    }

    /// Jane reads the next text.
    async fn reads(&mut self) -> (String, Reaction) {
        let text = self.next().await;
        assert_eq!(text.to, self.jane.phone);
        let reaction = self.jane.hear(&text.text).unwrap();
        (text.text, reaction)
    }

    /// Jane texts on until she has read this; her answer to it is returned, not sent.
    async fn talks_until(&mut self, phrase: &str) -> (String, String) {
        loop {
            let (text, reaction) = self.reads().await;
            let answer = match reaction {
                Reaction::Answer(answer) => answer,
                Reaction::Wait | Reaction::Note | Reaction::Over => String::new(),
            };
            if text.contains(phrase) {
                return (text, answer);
            }
            assert_ne!(reaction_name(&text), "over", "Jane never read {phrase:?}");
            if !answer.is_empty() {
                self.says(&answer).await;
            }
        }
    }

    /// Nothing is sent for so long.
    async fn quiet_for(&mut self, time: Duration) {
        if let Ok(text) = tokio::time::timeout(time, self.texts.recv()).await {
            panic!("{text:?}");
        }
    }

    async fn rows(&self, command: &[&str]) -> Vec<Value> {
        self.installed.rows(command).await.unwrap()
    }

    /// The modem has answered for all that it was given: nothing is in doubt when it goes away now.
    async fn sent_all(&self) {
        let open = |row: &Value| matches!(row["status"].as_str(), Some("queued" | "sending"));
        let sent = async { while self.rows(&["sms", "list"]).await.iter().any(open) {} };
        tokio::time::timeout(PATIENCE, sent).await.expect("the modem answers");
    }

    async fn doctor(&self) -> String {
        String::from_utf8(self.installed.run(&["doctor"]).await.unwrap().stdout).unwrap()
    }

    /// What the dealer has: kinds, and the machine and words of each.
    fn ordered(&self, kind: Kind) -> Vec<(String, String)> {
        let text = |body: &Value, key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let orders = self.dealer.orders();
        let of_kind = orders.iter().filter(|o| o.kind == kind);
        of_kind.map(|o| (text(&o.body, "equipment_id"), text(&o.body, "description"))).collect()
    }
}

fn reaction_name(text: &str) -> &'static str {
    if text.contains("Thank you for scheduling your service") { "over" } else { "on" }
}

/// The dealer writes the parts order and dies before he answers; the service order meets nobody.
async fn the_dealer_dies_in_the_middle(mode: Mode) {
    let mut shop = Shop::open(mode, Found::ByName, "").await;
    let _box = shop.start();
    let menu = shop.jane.begin();
    shop.says(&menu).await;
    let (_, ship) = shop.talks_until("3. Will Call (Pick up at shop)").await;
    shop.dealer.set_fault(Fault::CommitThenSilence).unwrap();
    shop.says(&ship).await;
    let (told, _) = shop.talks_until("Returning to service scheduling...").await;
    assert!(told.contains("Parts order saved."), "{told}");
    assert!(told.contains("has not confirmed it yet. We will text you when it is confirmed."), "{told}");
    shop.dealer.set_fault(Fault::Down).unwrap();
    let (told, _) = shop.talks_until("Thank you for scheduling your service").await;
    assert!(
        told.contains("cannot be reached right now. Your service order is saved and goes out as soon as"),
        "{told}"
    );
    assert_eq!((shop.ordered(Kind::Parts).len(), shop.ordered(Kind::Service).len()), (1, 0));
    shop.dealer.set_fault(Fault::None).unwrap();
    let sure = usize::from(mode != Mode::Bare);
    while shop.jane.told().len() < 1 + sure || shop.jane.told_of_doubt() < 1 - sure {
        let (text, reaction) = shop.reads().await;
        assert_eq!(reaction, Reaction::Note, "{text}");
    }
    let talk = shop.jane.talks()[0].clone();
    assert_eq!(shop.ordered(Kind::Service), [(talk.machine.id.clone(), talk.description)]);
    assert_eq!(shop.ordered(Kind::Parts).len(), 1);
    assert_eq!(shop.ordered(Kind::Parts)[0].0, talk.machine.id);
    let doubts = shop.rows(&["orders", "unknown"]).await;
    assert_eq!(doubts.len(), 1 - sure, "{doubts:?}");
    assert!(doubts.iter().all(|order| order["kind"] == "parts"), "{doubts:?}");
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_exists_once_where_the_dealer_shows_references() {
    the_dealer_dies_in_the_middle(Mode::Reference).await;
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_exists_once_where_the_dealer_honours_keys() {
    the_dealer_dies_in_the_middle(Mode::Idempotent).await;
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_left_to_the_staff_where_the_dealer_does_neither() {
    the_dealer_dies_in_the_middle(Mode::Bare).await;
}

#[tokio::test]
async fn ten_kills_among_five_customers_lose_double_and_mix_nothing() {
    let shop = Shop::open(Mode::Reference, Found::ByName, "").await;
    let slow = modem::Fault::Delay { matching: "+CMGS".into(), times: u32::MAX, ms: 15 };
    shop.modem.fault(slow).await.unwrap();
    let plan = Plan { customers: 5, kills: 10, seed: 7, life_ms: 800, ..Plan::default() };
    let log = shop.dir.path().join("modem.log");
    let evidence =
        visit(&plan, &shop.installed, Network::Modem(&shop.modem, &log), &shop.dealer).await.unwrap();
    assert_eq!(evidence.violations, [""; 0], "{evidence}");
    assert_eq!(evidence.kills, 10);
    assert!(evidence.conversations >= 5 && evidence.orders == 2 * evidence.conversations, "{evidence}");
}

#[tokio::test]
async fn sigterm_ends_it_in_time_also_while_the_modem_owes_an_answer() {
    let mut shop = Shop::open(Mode::Reference, Found::ByName, "").await;
    let slow = modem::Fault::Delay { matching: "+CMGS".into(), times: 1, ms: 3_000 };
    shop.modem.fault(slow).await.unwrap();
    let running = shop.start();
    let menu = shop.jane.begin();
    shop.says(&menu).await;
    // The menu has two parts; for the first the modem never answers.
    while shop.modem.state().await.unwrap().counters.submitted == 0 {
        tokio::task::yield_now().await;
    }
    let ran = Ran::since_now();
    let (status, _) = running.terminate().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(ran.elapsed() < Duration::from_secs(2), "{:?}", ran.elapsed());
    // The next start finds one part in doubt and sends the other; the first is not sent again.
    shop.modem.fault(modem::Fault::Clear).await.unwrap();
    let _box = shop.start();
    let (menu, _) = shop.reads().await;
    assert_eq!(menu.matches("1. Troubleshoot Equipment").count(), 1, "{menu}");
    assert_eq!(shop.modem.state().await.unwrap().counters.submitted, 2);
}

#[tokio::test]
async fn a_modem_that_comes_back_under_another_name_goes_on_in_mid_conversation() {
    let mut shop = Shop::open(Mode::Reference, Found::ByImei, "").await;
    let _box = shop.start();
    let menu = shop.jane.begin();
    shop.says(&menu).await;
    let (_, description) = shop.talks_until("Please describe the problem").await;
    shop.sent_all().await;
    shop.modem.unplug(None, None).await.unwrap();
    shop.says(&description).await;
    shop.modem.replug(Some(shop.dir.path().join("modem1"))).await.unwrap();
    let (_, part) = shop.talks_until("Common Parts for").await;
    shop.sent_all().await;
    // And once more, by itself, as after a brown-out; the text comes while the port is away.
    shop.modem.unplug(Some(Duration::from_millis(300)), Some(shop.dir.path().join("modem2"))).await.unwrap();
    shop.says(&part).await;
    shop.talks_until("Thank you for scheduling your service").await;
    while shop.jane.told().len() < 2 {
        shop.reads().await;
    }
    assert_eq!(shop.ordered(Kind::Service)[0].1, shop.jane.talks()[0].description);
    assert!(shop.rows(&["sms", "unknown"]).await.is_empty());
}

#[tokio::test]
async fn broken_pdus_are_kept_and_listed_and_noise_is_endured() {
    let mut shop = Shop::open(Mode::Reference, Found::ByName, "").await;
    let _box = shop.start();
    let menu = shop.jane.begin();
    shop.says(&menu).await;
    let (_, answer) = shop.talks_until("1. Troubleshoot Equipment").await;
    let broken = ["07912160130300F4040B912160", "0000", "00FFFFFFFFFFFFFFFFFF", "07912160130300F4240BD0"];
    for pdu in broken {
        shop.modem.deliver_pdu(pdu).await.unwrap();
    }
    for hex in ["00", "FF00FE0D0A", "2B434D54", "0D0A2B434D54493A20225358222C390D0A", "3E20", "4F4B"] {
        shop.modem.fault(modem::Fault::Garbage { hex: hex.into() }).await.unwrap();
    }
    shop.says(&answer).await;
    shop.talks_until("Please describe the problem").await;
    let doctor = shop.doctor().await;
    let listed = doctor.lines().filter(|line| line.contains("a PDU of line sim1 could not be read")).count();
    assert_eq!(listed, broken.len(), "{doctor}");
    let empty = async {
        loop {
            let state = shop.modem.state().await.unwrap();
            if state.waiting == 0 && state.memories.iter().all(|memory| memory.messages.is_empty()) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, empty).await.expect("kept by the box, no longer by the modem");
}

/// Twenty minutes without power, at a thousandth of the time.
#[tokio::test]
async fn who_answered_while_the_power_was_off_is_not_told_goodbye() {
    let mut shop = Shop::open(Mode::Reference, Found::ByName, "silence = 3\nsms.grace = 2").await;
    let running = shop.start();
    let menu = shop.jane.begin();
    shop.says(&menu).await;
    let (_, description) = shop.talks_until("Please describe the problem").await;
    let silent = shop.dealer.customers()[1].phone.clone();
    shop.modem.deliver(&silent, "MENU").await.unwrap();
    let other = shop.next().await;
    assert_eq!(other.to, silent);
    // Who may not have been asked is not told that they did not answer.
    shop.sent_all().await;
    running.kill().await.unwrap();
    shop.says(&description).await;
    shop.quiet_for(Duration::from_secs(5)).await;
    let _box = shop.start();
    let (offer, _) = shop.reads().await;
    assert!(offer.contains("Would you like to order parts"), "{offer}");
    let goodbye = loop {
        let text = shop.next().await;
        if text.to == silent {
            break text.text;
        }
    };
    assert!(
        goodbye.starts_with("We have not heard from you for a while"),
        "the other one was silent: {goodbye}"
    );
}
