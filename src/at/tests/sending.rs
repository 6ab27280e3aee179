//! Texts that go out: every end of a send and the honest answer to it.

use super::bench::{Bench, PDU_A, part, ready, send};
use crate::types::{LineCommand, LineEvent, Mem, SendResult, Slot};

fn up() -> Bench {
    let mut bench = ready(None);
    bench.take();
    bench.written.clear();
    bench
}

#[test]
fn a_text_goes_out_after_the_prompt_and_its_reference_comes_back() {
    let mut bench = up();
    bench.tell(send(1));
    assert_eq!(bench.written, ["AT+CMGS=15", "0011000B911234567890F00000AA0141^Z"]);
    assert_eq!(
        bench.take(),
        [LineEvent::SendDone { part: part(1), result: SendResult::Accepted { reference: 7 } }]
    );
}

#[test]
fn echo_at_the_prompt_disturbs_nothing() {
    let mut bench = up();
    bench.says("AT+CMGS", "AT+CMGS=15\r\r\n> ");
    bench.on("0011", |line| {
        Some(format!("{}\x1a\r\n\r\n+CMGS: 200\r\n\r\nOK\r\n", line.trim_end_matches("^Z")))
    });
    bench.tell(send(1));
    assert_eq!(bench.results(), [SendResult::Accepted { reference: 200 }]);
}

#[test]
fn a_refusal_says_whether_to_try_again() {
    for (answer, code, temporary) in [
        ("\r\n+CMS ERROR: 38\r\n", "+CMS ERROR: 38", true),
        ("\r\n+CMS ERROR: 28\r\n", "+CMS ERROR: 28", false),
        ("\r\n+CME ERROR: 515\r\n", "+CME ERROR: 515", true),
        ("\r\nERROR\r\n", "ERROR", true),
    ] {
        for at in ["AT+CMGS", "0011"] {
            let mut bench = up();
            bench.says(at, answer);
            bench.tell(send(1));
            assert_eq!(bench.results(), [SendResult::Rejected { code: code.into(), temporary }]);
        }
    }
}

#[test]
fn a_network_timeout_is_unknown() {
    let mut bench = up();
    bench.says("0011", "\r\n+CMS ERROR: 332\r\n");
    bench.tell(send(1));
    assert!(matches!(bench.results().as_slice(), [SendResult::Unknown { .. }]));
}

#[test]
fn no_prompt_means_not_tried_and_the_prompt_is_closed() {
    let mut bench = up();
    bench.says("AT+CMGS", "");
    bench.tell(send(1));
    bench.wait(5000);
    assert!(matches!(bench.results().as_slice(), [SendResult::NotTried { .. }]));
    assert_eq!(bench.written, ["AT+CMGS=15", "ESC", "AT+CMEE?"]);
    assert!(bench.engine.is_up());
}

#[test]
fn a_lost_answer_is_unknown_and_its_late_arrival_settles_no_other_text() {
    let mut bench = up();
    let mut lost = true;
    bench.on("0011", move |_| std::mem::take(&mut lost).then(String::new));
    bench.tell(send(1));
    bench.wait(120_000);
    assert!(matches!(bench.results().as_slice(), [SendResult::Unknown { .. }]));
    let mut late = true;
    bench.on("AT+CMGS", move |_| {
        std::mem::take(&mut late).then(|| "\r\n+CMGS: 7\r\n\r\nOK\r\n\r\n> ".to_owned())
    });
    bench.says("0011", "\r\n+CMGS: 8\r\n\r\nOK\r\n");
    bench.tell(send(2));
    assert_eq!(bench.results(), [SendResult::Accepted { reference: 8 }]);
}

#[test]
fn a_port_that_vanishes_before_the_pdu_means_not_tried_and_after_it_unknown() {
    for (silent_at, unknown) in [("AT+CMGS", false), ("0011", true)] {
        let mut bench = up();
        bench.says(silent_at, "");
        bench.tell(send(1));
        bench.tell(send(2));
        bench.engine.handle_closed("unplugged", bench.now);
        bench.run();
        let events = bench.take();
        let [
            LineEvent::SendDone { part: one, result },
            LineEvent::SendDone { part: two, result: next },
            LineEvent::Down { .. },
        ] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!((one, two), (&part(1), &part(2)));
        assert_eq!(matches!(result, SendResult::Unknown { .. }), unknown);
        assert_eq!(matches!(result, SendResult::NotTried { .. }), !unknown);
        assert!(matches!(next, SendResult::NotTried { .. }));
    }
}

#[test]
fn a_pdu_that_was_never_handed_to_the_port_is_not_tried() {
    let mut bench = up();
    bench.says("AT+CMGS", "");
    bench.tell(send(1));
    bench.engine.handle_bytes(b"\r\n> ", bench.now);
    assert_eq!(bench.engine.poll_transmit(), None, "not before the daemon has written it down");
    bench.proceed(true);
    // The shell takes the hex and finds the port gone before it takes the Ctrl-Z.
    assert!(bench.engine.poll_transmit().is_some());
    bench.engine.handle_closed("unplugged", bench.now);
    bench.run();
    assert!(matches!(bench.results().as_slice(), [SendResult::NotTried { .. }]));
}

#[test]
fn texts_that_arrive_and_texts_that_leave_take_turns() {
    let mut bench = up();
    bench.says("AT+CMGS", "");
    bench.tell(send(1));
    (2..=4).for_each(|number| bench.tell(send(number)));
    let mut flood = String::new();
    for index in 0..60 {
        flood.push_str(&format!("\r\n+CMTI: \"SM\",{index}\r\n"));
        bench.put("SM", index, PDU_A);
    }
    // Read singly, so that there is much to do.
    bench.says("AT+CMGL", "\r\nERROR\r\n");
    bench.hear(&flood);
    bench.written.clear();
    bench.on("AT+CMGS", |_| Some("\r\n> ".into()));
    bench.hear("\r\n> ");
    let sends: Vec<usize> =
        (0..bench.written.len()).filter(|at| bench.written[*at].starts_with("AT+CMGS")).collect();
    assert_eq!(sends.len(), 3);
    assert!(sends[0] <= 20 && sends[2] < 60, "{sends:?}");
    assert!(sends[1] - sends[0] > 5, "{sends:?}");
}

#[test]
fn a_text_for_a_line_that_is_not_up_is_not_tried() {
    let mut bench = up();
    bench.engine.handle_closed("unplugged", bench.now);
    bench.run();
    bench.take();
    bench.tell(send(1));
    assert!(matches!(bench.results().as_slice(), [SendResult::NotTried { .. }]));
}

#[test]
fn a_pdu_that_is_no_hex_never_reaches_the_modem() {
    let mut bench = up();
    bench.tell(LineCommand::Send { part: part(1), pdu: "00\x1aAT+CFUN=0\r".into(), length: 3 });
    assert_eq!(bench.written, Vec::<String>::new());
    assert!(matches!(bench.results().as_slice(), [SendResult::Rejected { temporary: false, .. }]));
}

#[test]
fn shutdown_waits_a_second_for_the_send_that_is_under_way() {
    for answered in [true, false] {
        let mut bench = up();
        bench.says("0011", "");
        bench.tell(send(1));
        bench.tell(send(2));
        bench.engine.handle_shutdown(bench.now);
        bench.run();
        bench.wait(500);
        if answered {
            bench.hear("\r\n+CMGS: 9\r\n\r\nOK\r\n");
        } else {
            bench.wait(500);
        }
        assert_eq!(bench.events.last(), Some(&crate::at::Event::Stopped));
        let results = bench.results();
        assert!(matches!(results[0], SendResult::NotTried { .. }));
        assert_eq!(results[1] == SendResult::Accepted { reference: 9 }, answered);
        assert_eq!(matches!(results[1], SendResult::Unknown { .. }), !answered);
    }
}

#[test]
fn shutdown_leaves_no_prompt_open() {
    let mut bench = up();
    bench.says("AT+CMGS", "");
    bench.tell(send(1));
    bench.engine.handle_shutdown(bench.now);
    bench.run();
    assert_eq!(bench.written.last().map(String::as_str), Some("ESC"));
    assert_eq!(bench.events.last(), Some(&crate::at::Event::Stopped));
    assert!(matches!(bench.results().as_slice(), [SendResult::NotTried { .. }]));
}

#[test]
fn a_report_that_comes_before_the_ok_of_its_text_is_kept() {
    let mut bench = up();
    bench.put("SM", 5, PDU_A);
    bench.says("0011", "\r\n+CMGS: 7\r\n\r\n+CDSI: \"SM\",5\r\n\r\nOK\r\n");
    bench.tell(send(1));
    assert_eq!(
        bench.take(),
        [
            LineEvent::SendDone { part: part(1), result: SendResult::Accepted { reference: 7 } },
            Bench::received(Slot { mem: Mem::SM, index: 5 }, PDU_A),
        ]
    );
}

#[test]
fn a_prompt_that_is_not_wanted_any_more_is_left_and_the_next_text_goes_out() {
    let mut bench = up();
    bench.says("AT+CMGS", "");
    bench.tell(send(1));
    bench.engine.handle_bytes(b"\r\n> ", bench.now);
    bench.proceed(false);
    bench.run();
    assert!(matches!(bench.results().as_slice(), [SendResult::NotTried { .. }]));
    assert!(bench.written.iter().any(|line| line == "ESC"), "{:?}", bench.written);
    assert!(!bench.written.iter().any(|line| line.ends_with("^Z")), "{:?}", bench.written);
}

#[test]
fn a_late_word_about_an_earlier_prompt_lets_nothing_leave() {
    let mut bench = up();
    bench.says("AT+CMGS", "");
    bench.tell(send(1));
    bench.engine.handle_bytes(b"\r\n> ", bench.now);
    bench.engine.handle_command(LineCommand::Proceed { part: part(1), attempt: 0, go: true }, bench.now);
    bench.engine.handle_command(LineCommand::Proceed { part: part(2), attempt: 1, go: true }, bench.now);
    assert_eq!(bench.engine.poll_transmit(), None);
}
