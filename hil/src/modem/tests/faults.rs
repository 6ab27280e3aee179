//! Faults on request, each seen from the client's side.

use super::*;

#[test]
fn no_answer_and_late_answer() {
    let mut bench = Bench::quiet();
    bench.ask(r#"{"cmd":"fault","kind":"no_answer","match":"+CSQ","times":2}"#);
    assert_eq!(bench.say("AT+CREG?\r"), "\r\n+CREG: 0,1\r\n\r\nOK\r\n", "another command");
    assert_eq!((bench.say("AT+CSQ\r"), bench.say("AT+csq\r")), (String::new(), String::new()));
    assert_eq!(bench.say("AT+CSQ\r"), "\r\n+CSQ: 20,99\r\n\r\nOK\r\n", "spent");
    bench.ask(r#"{"cmd":"fault","kind":"delay","ms":4000}"#);
    bench.say("AT+CNMI=2,1\r");
    assert_eq!(bench.say("AT\r"), "", "busy: typed ahead");
    assert_eq!(bench.wait(3_999), "");
    assert_eq!(bench.wait(1), "\r\nOK\r\n\r\nOK\r\n");
}

#[test]
fn a_send_whose_answer_is_lost_was_sent_and_one_unanswered_was_not() {
    let mut bench = Bench::quiet();
    bench.ask(r#"{"cmd":"fault","kind":"lost_answer","match":"+CMGS"}"#);
    assert_eq!(bench.send(HELLO), "");
    assert_eq!(bench.submitted.len(), 1);
    bench.ask(r#"{"cmd":"fault","kind":"no_answer","match":"+CMGS"}"#);
    assert_eq!(bench.send(HELLO), "");
    assert_eq!(bench.submitted.len(), 1);
    bench.ask(r#"{"cmd":"fault","kind":"error","match":"+CMGS","error":"+CMS ERROR: 500"}"#);
    assert_eq!(bench.send(HELLO), "\r\n+CMS ERROR: 500\r\n");
    assert_eq!(bench.submitted.len(), 1);
    let refused = bench.log.iter().rfind(|e| e["event"] == "submitted").unwrap();
    assert_eq!((&refused["accepted"], &refused["text"]), (&false.into(), &"hellohello".into()));
    bench.ask(r#"{"cmd":"fault","kind":"no_prompt"}"#);
    assert_eq!(bench.say("AT+CMGS=22\r"), "");
    assert_eq!(bench.send(HELLO), "\r\n+CMGS: 1\r\n\r\nOK\r\n");
}

#[test]
fn lines_in_the_wrong_place() {
    let mut bench = Bench::quiet();
    bench.ask(r#"{"cmd":"fault","kind":"urc_between","match":"+CMGR","lines":["+CMTI: \"SM\",9"]}"#);
    bench.deliver("x");
    let answer = bench.say("AT+CMGR=1\r");
    assert!(answer.ends_with("\r\n\r\n+CMTI: \"SM\",9\r\n\r\nOK\r\n"), "{answer}");
    bench.ask(r#"{"cmd":"fault","kind":"half_line","match":"+CSQ"}"#);
    assert_eq!(bench.say("AT+CSQ\r"), "\r\n+CSQ: 20");
    bench.ask(r#"{"cmd":"fault","kind":"garbage_before","hex":"00FF0D0A"}"#);
    assert_eq!(bench.say("AT\r"), "\u{0}\u{ff}\r\n\r\nOK\r\n");
    assert_eq!(bench.ask(r#"{"cmd":"fault","kind":"garbage","hex":"0000"}"#), "\u{0}\u{0}");
    let flood = r#"{"cmd":"fault","kind":"urc_flood","line":"+CREG: 1","count":3,"gap_ms":10}"#;
    assert_eq!(bench.ask(flood), "\r\n+CREG: 1\r\n");
    assert_eq!(bench.wait(100), "\r\n+CREG: 1\r\n\r\n+CREG: 1\r\n");
}

#[test]
fn split_writes_keep_their_order() {
    let mut bench = Bench::quiet();
    bench.ask(r#"{"cmd":"fault","kind":"split_writes","bytes":1,"gap_ms":5}"#);
    assert_eq!(bench.say("AT\rAT\r"), "\r");
    assert_eq!(bench.wait(5), "\n");
    assert_eq!(bench.wait(1_000), "OK\r\n\r\nOK\r\n");
    bench.ask(r#"{"cmd":"fault","kind":"split_writes","bytes":0}"#);
    bench.ask(r#"{"cmd":"fault","kind":"merge_writes","ms":50}"#);
    assert_eq!((bench.say("AT\r"), bench.say("AT\r")), (String::new(), String::new()));
    assert_eq!(bench.wait(50), "\r\nOK\r\n\r\nOK\r\n");
}

#[test]
fn a_hung_modem_comes_back_by_reset_and_a_hard_one_by_its_plug() {
    let mut bench = Bench::quiet();
    bench.ask(r#"{"cmd":"fault","kind":"hang"}"#);
    bench.deliver("waits in the network");
    assert_eq!(bench.say("AT\r"), "");
    assert_eq!(bench.say("AT+CFUN=1,1\r"), "");
    assert!(bench.wait(50).starts_with("\r\nRDY\r\n"));
    assert!(bench.say("ATE0+CPMS?\r").contains("\"SM\",1,30"), "and the text is there");
    bench.ask(r#"{"cmd":"fault","kind":"hang","hard":true}"#);
    bench.say("AT+CFUN=1,1\r");
    assert_eq!(bench.wait(60_000), "");
    bench.ask(r#"{"cmd":"unplug","return_after_ms":100,"as":"/run/x/modem1"}"#);
    assert!(!bench.plugged);
    assert_eq!(bench.wait(99), "");
    assert!(!bench.plugged);
    assert!(bench.wait(100).starts_with("\r\nRDY\r\n"));
    assert!(bench.plugged);
    bench.ask(r#"{"cmd":"fault","kind":"hang","ms":500}"#);
    bench.say("AT\r");
    bench.wait(500);
    assert_eq!(bench.say("AT\r"), "AT\r\r\nOK\r\n", "the echo is back as after power-up");
}

#[test]
fn a_modem_may_ignore_cfun_and_a_sim_may_be_busy_or_gone() {
    let mut bench = Bench::quiet();
    bench.ask(r#"{"cmd":"fault","kind":"ignore_cfun","on":true}"#);
    assert_eq!(bench.say("AT+CFUN=1,1\r"), "\r\nOK\r\n");
    assert_eq!(bench.wait(1_000), "");
    bench.ask(r#"{"cmd":"fault","kind":"sim_busy","ms":20000}"#);
    assert_eq!(bench.say("AT+CPIN?\r"), "\r\n+CME ERROR: 14\r\n");
    assert_eq!(bench.say("AT+CMGL=4\r"), "\r\n+CMS ERROR: 314\r\n");
    assert_eq!(bench.wait(20_000), "\r\n+CPIN: READY\r\n");
    bench.ask(r#"{"cmd":"fault","kind":"sim_absent","on":true}"#);
    assert_eq!(bench.say("AT+CPIN?\r"), "\r\n+CME ERROR: 10\r\n");
    bench.ask(r#"{"cmd":"fault","kind":"clear"}"#);
    bench.ask(r#"{"cmd":"fault","kind":"sim_lock","puk":true}"#);
    assert_eq!(bench.say("AT+CPIN?\r"), "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n");
}

#[test]
fn a_delivery_cut_by_a_reset_comes_again() {
    let mut bench = Bench::quiet();
    bench.say("AT+CSMS=1;+CNMI=2,2\r");
    assert!(bench.deliver("once more").contains("+CMT"));
    bench.ask(r#"{"cmd":"fault","kind":"reboot"}"#);
    bench.wait(1_000);
    assert!(bench.say("AT+CPMS?\r").contains("\"SM\",1,30"));
}

#[test]
fn parts_are_lost_doubled_and_reordered_on_request() {
    let mut bench = Bench::quiet();
    let text = "x".repeat(400);
    let parts = |order: &[usize]| Delivery { parts: Some(order.to_vec()), ..Delivery::new("+1", &text) };
    bench.deliver_with(&parts(&[3, 1, 1]));
    let listed = bench.say("AT+CMGL=4\r");
    let numbers: Vec<&str> = listed.split("050003").skip(1).map(|rest| rest.get(4..6).unwrap()).collect();
    assert_eq!(numbers, ["03", "01", "01"]);
    assert!(bench.machine.deliver(&parts(&[4]), at(0)).is_err(), "there is no fourth part");
}
