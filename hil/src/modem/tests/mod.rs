//! What a client sees: transcripts of the machine alone, on a clock that the test turns.

mod codec;
mod faults;

use super::api::{Delivery, Fault, Identity, Options, Reports, Request, Submitted};
use super::machine::{Machine, Moment, Output};
use super::pdu::{self, Coding, Outgoing};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

struct Bench {
    machine: Machine,
    ms: u64,
    said: String,
    submitted: Vec<Submitted>,
    log: Vec<Value>,
    plugged: bool,
}

impl Bench {
    fn new(options: Options) -> Bench {
        let now = at(0);
        let machine = Machine::new(options, TimeZone::UTC, now);
        let (submitted, log) = (Vec::new(), Vec::new());
        Bench { machine, ms: 0, said: String::new(), submitted, log, plugged: true }
    }

    /// Echo off, numbers instead of words for errors.
    fn quiet() -> Bench {
        let mut bench = Bench::new(Options::default());
        assert_eq!(bench.say("ATE0+CMEE=1\r"), "ATE0+CMEE=1\r\r\nOK\r\n");
        bench
    }

    fn collect(&mut self) -> String {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Write(bytes) => self.said.extend(bytes.iter().map(|b| char::from(*b))),
                Output::Log(entry) => self.log.push(entry),
                Output::Submitted(text) => self.submitted.push(text),
                Output::Unplug => self.plugged = false,
                Output::Plug(_) => self.plugged = true,
            }
        }
        std::mem::take(&mut self.said)
    }

    /// Types, and returns what comes back at once.
    fn say(&mut self, typed: &str) -> String {
        let bytes: Vec<u8> = typed.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        self.machine.handle_bytes(&bytes, at(self.ms));
        self.machine.handle_timeout(at(self.ms));
        self.collect()
    }

    /// Lets time pass, and returns what came meanwhile.
    fn wait(&mut self, ms: u64) -> String {
        let end = self.ms + ms;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.ms = due.max(self.ms);
            self.machine.handle_timeout(at(self.ms));
        }
        self.ms = end;
        self.collect()
    }

    fn deliver(&mut self, text: &str) -> String {
        self.deliver_with(&Delivery::new("+12065550101", text))
    }

    fn deliver_with(&mut self, delivery: &Delivery) -> String {
        self.machine.deliver(delivery, at(self.ms)).unwrap();
        self.collect()
    }

    fn ask(&mut self, request: &str) -> String {
        self.machine.obey(serde_json::from_str(request).unwrap(), at(self.ms));
        self.machine.handle_timeout(at(self.ms));
        self.collect()
    }

    /// Sends a plain text in PDU mode and returns the answer behind the prompt.
    fn send(&mut self, pdu: &str) -> String {
        let prompt = self.say(&format!("AT+CMGS={}\r", pdu.len() / 2 - 1));
        assert_eq!(prompt, "\r\n> ");
        self.say(&format!("{pdu}\u{1a}"))
    }
}

fn at(ms: u64) -> Moment {
    let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    Moment { ms, wall: start + std::time::Duration::from_millis(ms) }
}

/// "hellohello" to +46708251358, the example that half the Web's PDU pages share, without a report.
const HELLO: &str = "0001000B916407281553F800000AE8329BFD4697D9EC37";

#[test]
fn echo_and_result_codes_follow_v250() {
    let mut bench = Bench::new(Options::default());
    assert_eq!(bench.say("AT\r"), "AT\r\r\nOK\r\n");
    assert_eq!(bench.say("ATE0\r"), "ATE0\r\r\nOK\r\n");
    assert_eq!(bench.say("at\r"), "\r\nOK\r\n");
    assert_eq!(bench.say("A/"), "\r\nOK\r\n", "the last line again");
    assert_eq!(bench.say("ATV0\r"), "0\r");
    assert_eq!(bench.say("AT+NOSUCH\r"), "4\r");
    assert_eq!(bench.say("ATV1\r"), "\r\nOK\r\n");
    assert_eq!(bench.say("ATQ1\r"), "");
    assert_eq!(bench.say("ATQ0\r"), "\r\nOK\r\n");
    assert_eq!(bench.say("\u{1b}\rnoise\r"), "", "no AT, no answer");
    assert_eq!(
        bench.say("xxATE0X\u{8}\r\n"),
        "\r\nOK\r\n",
        "from the first AT on; backspace; a line feed is nothing"
    );
}

#[test]
fn a_chain_stops_at_its_first_error() {
    let mut bench = Bench::quiet();
    assert_eq!(
        bench.say("AT+CMGF?;+CSMS?;+NOSUCH;+CMGF=1\r"),
        "\r\n+CMGF: 0\r\n+CSMS: 0,1,1,1\r\n\r\nERROR\r\n"
    );
    assert_eq!(bench.say("AT+CMGF?\r"), "\r\n+CMGF: 0\r\n\r\nOK\r\n");
}

#[test]
fn errors_follow_cmee() {
    let mut bench = Bench::new(Options { pin: Some("1234".into()), ..Options::default() });
    bench.say("ATE0\r");
    assert_eq!(bench.say("AT+CIMI\r"), "\r\nERROR\r\n");
    assert_eq!(bench.say("AT+CMEE=1;+CIMI\r"), "\r\n+CME ERROR: 11\r\n");
    assert_eq!(bench.say("AT+CMEE=2;+CIMI\r"), "\r\n+CME ERROR: SIM PIN required\r\n");
    assert_eq!(bench.say("AT+CMGR=1\r"), "\r\n+CMS ERROR: (U)SIM PIN required\r\n");
}

#[test]
fn three_wrong_pins_ask_for_the_puk_and_the_puk_sets_a_new_pin() {
    let mut bench = Bench::new(Options { pin: Some("1234".into()), ..Options::default() });
    bench.say("ATE0+CMEE=1\r");
    assert_eq!(bench.say("AT+CPIN?\r"), "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n");
    assert_eq!(bench.say("AT+CREG?\r"), "\r\n+CREG: 0,0\r\n\r\nOK\r\n");
    for expected in ["16", "16", "12"] {
        assert_eq!(bench.say("AT+CPIN=0000\r"), format!("\r\n+CME ERROR: {expected}\r\n"));
    }
    assert_eq!(bench.say("AT+CPIN?\r"), "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n");
    assert!(bench.say("AT+CPINR\r").contains("+CPINR: SIM PIN,0,3"));
    assert_eq!(
        bench.say("AT+CPIN=\"12345678\",\"4321\"\r"),
        "\r\nOK\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n"
    );
    assert_eq!(bench.say("AT+CPIN?;+CREG?\r"), "\r\n+CPIN: READY\r\n+CREG: 0,1\r\n\r\nOK\r\n");
}

#[test]
fn a_text_is_stored_told_read_once_and_deleted() {
    let mut bench = Bench::quiet();
    assert_eq!(bench.deliver("one"), "", "no +CNMI, nothing is told");
    bench.say("AT+CNMI=2,1\r");
    assert_eq!(bench.deliver("two"), "\r\n+CMTI: \"SM\",2\r\n");
    assert!(bench.say("AT+CMGR=2\r").starts_with("\r\n+CMGR: 0,,22\r\n07912160130300F4040B91"));
    assert!(bench.say("AT+CMGR=2\r").starts_with("\r\n+CMGR: 1,,"), "now it is read");
    assert_eq!(bench.say("AT+CMGL=0\r").matches("+CMGL: 1,0,").count(), 1);
    assert_eq!(bench.say("AT+CMGL=0\r"), "\r\nOK\r\n", "listing marks read");
    assert_eq!(bench.say("AT+CPMS?\r"), "\r\n+CPMS: \"SM\",2,30,\"SM\",2,30,\"SM\",2,30\r\n\r\nOK\r\n");
    assert_eq!(bench.say("AT+CMGD=1\r"), "\r\nOK\r\n");
    assert_eq!(bench.say("AT+CMGR=1\r"), "\r\n+CMS ERROR: 321\r\n");
    assert_eq!(bench.say("AT+CMGD=99\r"), "\r\n+CMS ERROR: 321\r\n");
    assert_eq!(bench.say("AT+CMGD=1,4\r"), "\r\nOK\r\n");
    assert_eq!(bench.say("AT+CMGL=4\r"), "\r\nOK\r\n");
    let deleted: Vec<_> = bench.log.iter().filter(|e| e["event"] == "deleted").map(|e| &e["index"]).collect();
    assert_eq!(deleted, [1, 2]);
}

#[test]
fn a_full_memory_makes_the_network_wait_and_loses_nothing() {
    let mut bench = Bench::new(Options { capacity: [1, 1, 1], ..Options::default() });
    bench.say("ATE0+CNMI=2,1\r");
    assert_eq!(bench.deliver("one"), "\r\n+CMTI: \"SM\",1\r\n");
    assert_eq!(bench.deliver("two"), "");
    assert_eq!(bench.machine.network.waiting(), 1);
    assert_eq!(bench.say("AT+CMGD=1\r"), "\r\nOK\r\n\r\n+CMTI: \"SM\",1\r\n", "room: it comes");
    bench.ask(r#"{"cmd":"fault","kind":"storage_full","on":true}"#);
    bench.say("AT+CMGD=1\r");
    assert_eq!(bench.deliver("three"), "");
    assert_eq!(bench.ask(r#"{"cmd":"fault","kind":"clear"}"#), "\r\n+CMTI: \"SM\",1\r\n");
}

#[test]
fn no_registration_makes_the_network_wait() {
    let mut bench = Bench::quiet();
    bench.say("AT+CNMI=2,1;+CREG=1\r");
    let lost = r#"{"cmd":"fault","kind":"registration","stat":2}"#;
    assert_eq!(bench.ask(lost), "\r\n+CREG: 2\r\n");
    assert_eq!(bench.deliver("later"), "");
    assert_eq!(bench.send(HELLO), "\r\n+CMS ERROR: 331\r\n");
    assert_eq!(
        bench.ask(r#"{"cmd":"fault","kind":"registration","stat":5}"#),
        "\r\n+CREG: 5\r\n\r\n+CMTI: \"SM\",1\r\n"
    );
}

#[test]
fn direct_delivery_waits_for_cnma_and_comes_again_without_it() {
    let options = Options { ack_timeout_ms: 5_000, redeliver_ms: 1_000, ..Options::default() };
    let mut bench = Bench::new(options);
    bench.say("ATE0+CMEE=1;+CSMS=1;+CNMI=2,2\r");
    assert!(bench.deliver("first").starts_with("\r\n+CMT: ,24\r\n0791"));
    assert_eq!(bench.deliver("second"), "", "one at a time");
    assert!(bench.say("AT+CNMA\r").starts_with("\r\nOK\r\n\r\n+CMT: ,25\r\n"), "the next comes");
    assert_eq!(bench.wait(5_000), "");
    assert_eq!(
        bench.say("AT+CNMI?\r"),
        "\r\n+CNMI: 2,0,0,0,0\r\n\r\nOK\r\n",
        "27.005: routing is switched off"
    );
    assert_eq!(bench.say("AT+CNMA\r"), "\r\n+CMS ERROR: 340\r\n");
    bench.say("AT+CNMI=2,1\r");
    assert_eq!(bench.wait(1_000), "\r\n+CMTI: \"SM\",1\r\n", "and the network tries again");
    assert_eq!(bench.machine.network.waiting(), 0);
}

#[test]
fn a_text_is_sent_from_the_prompt_and_cancelled_with_escape() {
    let mut bench = Bench::quiet();
    assert_eq!(bench.say("AT+CMGS=22\r"), "\r\n> ");
    assert_eq!(bench.say("0001\u{1b}"), "\r\nOK\r\n");
    assert!(bench.submitted.is_empty());
    assert_eq!(bench.send(HELLO), "\r\n+CMGS: 0\r\n\r\nOK\r\n");
    assert_eq!(bench.send(HELLO), "\r\n+CMGS: 1\r\n\r\nOK\r\n");
    let text = &bench.submitted[1];
    assert_eq!((text.seq, text.to.as_str(), text.text.as_str()), (2, "+46708251358", "hellohello"));
}

#[test]
fn a_wrong_length_or_a_broken_pdu_is_refused() {
    let mut bench = Bench::quiet();
    assert_eq!(bench.say("AT+CMGS=21\r"), "\r\n> ");
    assert_eq!(
        bench.say(&format!("{HELLO}\u{1a}")),
        "\r\n+CMS ERROR: 304\r\n",
        "a length that is not its own"
    );
    for broken in [
        "0001000B916407281553F800000BE8329BFD4697D9EC37", // eleven septets announced, ten there
        "0001000B916407281553F800000AE8329BFD4697D9EC3700", // an octet too many
        "0000000B916407281553F800000AE8329BFD4697D9EC37", // a DELIVER
        "00010000916407281553F800000AE8329BFD4697D9EC37", // no destination
        "0001000B916407281553F8000C0AE8329BFD4697D9EC37", // reserved alphabet
        "0041000B916407281553F800000A0932329BFD4697D9EC", // a header longer than its message
        "0001000B916407281553F80008050042D83D00",         // half a UTF-16 unit
    ] {
        assert_eq!(bench.send(broken), "\r\n+CMS ERROR: 304\r\n", "{broken}");
    }
    assert!(bench.submitted.is_empty());
    assert!(bench.log.iter().filter(|e| e["event"] == "submitted").all(|e| e["accepted"] == false));
}

#[test]
fn an_indication_waits_while_a_text_is_typed() {
    let mut bench = Bench::quiet();
    bench.say("AT+CNMI=2,1\r");
    assert_eq!(bench.say("AT+CMGS=22\r"), "\r\n> ");
    assert_eq!(bench.deliver("meanwhile"), "");
    assert_eq!(bench.say(&format!("{HELLO}\u{1a}")), "\r\n+CMGS: 0\r\n\r\nOK\r\n\r\n+CMTI: \"SM\",1\r\n");
}

#[test]
fn a_prompt_outlives_the_client_that_opened_it() {
    let mut bench = Bench::quiet();
    assert_eq!(bench.say("AT+CMGS=22\r"), "\r\n> ");
    // The next client knows nothing of it: its AT is typed into the message.
    assert_eq!(bench.say("AT\r"), "");
    assert_eq!(bench.say("\u{1b}AT\r"), "\r\nOK\r\n\r\nOK\r\n");
}

#[test]
fn reports_are_told_or_kept_as_cnmi_says() {
    let mut bench = Bench::quiet();
    let with_report = HELLO.replacen("0001", "0021", 1);
    bench.ask(r#"{"cmd":"fault","kind":"reports","reports":"after","ms":10}"#);
    bench.say("AT+CNMI=2,1,0,1\r");
    assert_eq!(bench.send(&with_report), "\r\n+CMGS: 0\r\n\r\nOK\r\n");
    assert_eq!(
        bench.wait(10),
        "\r\n+CDS: 25\r\n07912160130300F406000B916407281553F8621102010000006211020100000000\r\n"
    );
    bench.say("AT+CNMI=2,1,0,2\r");
    bench.send(&with_report);
    assert_eq!(bench.wait(10), "\r\n+CDSI: \"SR\",1\r\n");
    assert!(bench.say("AT+CPMS=\"SR\";+CMGR=1\r").contains("06010B916407281553F8"));
    bench.ask(r#"{"cmd":"fault","kind":"reports","reports":"reversed","count":2}"#);
    bench.say("AT+CNMI=2,1,0,1\r");
    bench.send(&with_report);
    assert_eq!(bench.wait(10), "");
    let both = bench.send(&with_report);
    let (later, earlier) = (both.find("F406030B").unwrap(), both.find("F406020B").unwrap());
    assert!(later < earlier, "last sent, first reported: {both}");
    bench.ask(r#"{"cmd":"fault","kind":"reports","reports":"after","ms":700,"status":70}"#);
    bench.send(&with_report);
    assert_eq!(bench.wait(699), "");
    assert!(bench.wait(1).trim_end().ends_with("46"), "0x46: expired");
    bench.ask(r#"{"cmd":"fault","kind":"reports","reports":"never"}"#);
    bench.send(&with_report);
    assert_eq!(bench.wait(100_000), "");
}

#[test]
fn text_mode_sends_reads_and_lists() {
    let mut bench = Bench::quiet();
    bench.say("AT+CMGF=1;+CSCS=\"IRA\";+CNMI=2,1\r");
    assert_eq!(bench.say("AT+CMGS=\"+12065550199\"\r"), "\r\n> ");
    assert_eq!(bench.say("two\rlines\u{1a}"), "\r\n> \r\n+CMGS: 0\r\n\r\nOK\r\n");
    assert_eq!(bench.submitted[0].text, "two\nlines");
    assert_eq!(bench.deliver("hi {there}"), "\r\n+CMTI: \"SM\",1\r\n");
    assert_eq!(
        bench.say("AT+CMGR=1\r"),
        "\r\n+CMGR: \"REC UNREAD\",\"+12065550101\",,\"26/11/20,10:00:00+00\"\r\nhi {there}\r\n\r\nOK\r\n"
    );
    assert_eq!(bench.say("AT+CMGL=\"REC UNREAD\"\r"), "\r\nOK\r\n");
    assert!(bench.say("AT+CMGL=\"ALL\"\r").starts_with("\r\n+CMGL: 1,\"REC READ\",\"+12065550101\",,"));
    bench.say("AT+CSCS=\"UCS2\"\r");
    assert!(bench.say("AT+CMGR=1\r").ends_with("\r\n006800690020007B00740068006500720065007D\r\n\r\nOK\r\n"));
}

#[test]
fn written_texts_are_sent_from_memory() {
    let mut bench = Bench::quiet();
    bench.say("AT+CMGW=22\r");
    assert_eq!(bench.say(&format!("{HELLO}\u{1a}")), "\r\n+CMGW: 1\r\n\r\nOK\r\n");
    assert!(bench.say("AT+CMGR=1\r").starts_with("\r\n+CMGR: 2,,22\r\n"));
    assert_eq!(bench.say("AT+CMSS=1\r"), "\r\n+CMSS: 0\r\n\r\nOK\r\n");
    assert!(bench.say("AT+CMGR=1\r").starts_with("\r\n+CMGR: 3,,22\r\n"));
    assert_eq!(bench.submitted.len(), 1);
}

#[test]
fn a_reset_forgets_settings_and_says_that_it_is_ready() {
    let mut bench = Bench::new(Options { boot_ms: 3_000, ..Options::default() });
    bench.say("ATE0+CMEE=2;+CNMI=2,1;+CMGF=1\r");
    bench.deliver("kept in memory");
    assert_eq!(bench.say("AT+CFUN=1,1\r"), "\r\nOK\r\n");
    assert_eq!(bench.wait(1), "");
    assert_eq!(bench.say("AT\r"), "", "deaf while it boots");
    assert_eq!(bench.wait(3_000), "\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n\r\nPB DONE\r\n");
    assert_eq!(bench.say("AT+CNMI?;+CMGF?;+CMEE?\r").matches(": 0").count(), 3);
    assert!(bench.say("AT+CPMS?\r").contains("\"SM\",1,30"));
    let mut keeper = Bench::new(Options { keep_settings: true, boot_ms: 0, ..Options::default() });
    keeper.say("ATE0+CNMI=2,1\r");
    keeper.say("AT+CFUN=1,1\r");
    keeper.wait(10);
    assert_eq!(keeper.say("AT+CNMI?\r"), "\r\n+CNMI: 2,1,0,0,0\r\n\r\nOK\r\n");
}

#[test]
fn an_emergency_call_is_refused_unless_a_scenario_asks() {
    let mut bench = Bench::quiet();
    assert_eq!(bench.say("ATD911;\r"), "\r\nNO CARRIER\r\n");
    assert_eq!(bench.say("ATD+12065550101;\r"), "\r\nOK\r\n");
    assert!(bench.say("AT+CLCC\r").contains("+CLCC: 1,0,0,0,0,\"+12065550101\",145"));
    assert_eq!(bench.say("ATH\r"), "\r\nOK\r\n");
    bench.ask(r#"{"cmd":"fault","kind":"emergency_calls","on":true}"#);
    assert_eq!(bench.say("ATD911;\r"), "\r\nOK\r\n");
}

#[test]
fn a_caller_rings_until_answered() {
    let mut bench = Bench::quiet();
    bench.say("AT+CLIP=1\r");
    let ring = "\r\nRING\r\n\r\n+CLIP: \"+12065550101\",145,,,,0\r\n";
    assert_eq!(bench.ask(r#"{"cmd":"ring","from":"+12065550101"}"#), ring);
    assert_eq!(bench.wait(3_000), ring);
    assert_eq!(bench.say("ATA\r"), "\r\nOK\r\n");
    assert_eq!(bench.wait(10_000), "");
    assert_eq!(bench.ask(r#"{"cmd":"hang_up"}"#), "\r\nNO CARRIER\r\n");
}

#[test]
fn identity_is_what_the_options_say() {
    let identity = Identity { imei: "356938035643809".into(), ..Identity::default() };
    let mut bench = Bench::new(Options { identity, reports: Reports::Never, ..Options::default() });
    bench.say("ATE0\r");
    assert_eq!(bench.say("AT+CGSN\r"), "\r\n356938035643809\r\n\r\nOK\r\n");
}

#[test]
fn requests_read_the_same_from_json_as_from_rust() {
    let request: Request =
        serde_json::from_str(r#"{"cmd":"fault","kind":"delay","match":"+CMGS","ms":9}"#).unwrap();
    let Request::Fault(fault) = request else { panic!("{request:?}") };
    assert_eq!(fault, Fault::Delay { matching: "+CMGS".into(), times: 1, ms: 9 });
    assert!(serde_json::from_str::<Request>(r#"{"cmd":"fault","kind":"delay"}"#).is_err(), "ms is missing");
}

/// A fixed sequence that looks random: the same failures every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

const DIALOGUE: &str = "\u{1b}\rATE1\rAT+CMEE=1;+CNMI=2,1,0,2;+CMGL=4\rAT+CMGS=22\r\
    0001000B916407281553F800000AE8329BFD4697D9EC37\u{1a}AT+CMGR=1;+CMGD=1\rAT+CPIN?;+CREG?\rA/AT+CUSD=1,\"*100#\",15\r";

#[test]
fn a_transcript_cut_anywhere_says_the_same() {
    let run = |cuts: &mut dyn FnMut() -> usize| {
        let mut bench = Bench::new(Options::default());
        bench.deliver("waiting");
        let mut rest = DIALOGUE;
        let mut heard = String::new();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(cuts().clamp(1, rest.len()));
            heard += &bench.say(head);
            rest = tail;
        }
        (heard, bench.submitted)
    };
    let whole = run(&mut || DIALOGUE.len());
    assert!(whole.0.contains("+CMGS: 0") && whole.0.contains("+CUSD: 0"), "{}", whole.0);
    assert_eq!(run(&mut || 1), whole);
    let mut dice = Dice(7);
    for _ in 0..50 {
        assert_eq!(run(&mut || dice.roll(20)), whole);
    }
}

#[test]
fn nothing_typed_makes_the_modem_panic() {
    let pieces = [
        "AT",
        "+CMGS=",
        "+CMGR=",
        "+CMGD=",
        "+CPMS=\"ME\"",
        "+CNMI=",
        "+CMGF=1",
        "+CSCS=\"UCS2\"",
        "+CSMP=49,167,0,8",
        "D112;",
        "S3=",
        "E0",
        "V0",
        "?",
        "=?",
        "=",
        "\"",
        ",",
        ";",
        "\r",
        "\r",
        "\u{1a}",
        "\u{1b}",
        "A/",
        "0011",
        "255",
        "99999999999",
        "-1",
        "+12065550101",
        "\u{e9}",
        "\u{0}",
        "\n",
        "+CFUN=1,1",
        "+CUSD=1,\"1\"",
        "+CPIN=1",
        "+CNMA=1,3",
        "+CSMS=1",
    ];
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut bench = Bench::quiet();
        for _ in 0..300 {
            bench.say(pieces[dice.roll(pieces.len())]);
            match dice.roll(40) {
                0 => drop(bench.deliver("a text €")),
                1 => bench.machine.deliver_pdu("07912160130300F4040B91".into(), at(bench.ms)),
                2 => bench.machine.deliver_pdu("not hex".into(), at(bench.ms)),
                3 => drop(bench.wait(100)),
                _ => {}
            }
        }
    }
}
