//! Missed answers, restarts, the ladder.

use super::bench::{Bench, PDU_A, ready, send};
use crate::at::{Event, Settings};
use crate::types::{LineEvent, SendResult};

fn up() -> Bench {
    let mut bench = ready(None);
    bench.take();
    bench.written.clear();
    bench
}

fn reopens(bench: &Bench) -> usize {
    bench.events.iter().filter(|event| matches!(event, Event::Reopen { .. })).count()
}

#[test]
fn one_missed_answer_costs_a_probe_and_nothing_else() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    let mut lost = true;
    bench.on("AT+CMGR=3", move |_| std::mem::take(&mut lost).then(String::new));
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    bench.wait(10_000);
    assert!(matches!(bench.take().as_slice(), [LineEvent::Received { .. }]));
    assert_eq!(bench.written, ["AT+CMGR=3", "ESC", "AT+CMEE?", "AT+CMGR=3"]);
}

#[test]
fn a_hung_modem_is_probed_reopened_and_then_reset() {
    let mut bench = up();
    bench.alive = false;
    bench.wait(70_000);
    assert!(matches!(bench.take().as_slice(), [LineEvent::Down { .. }]));
    assert_eq!(bench.written, ["AT+CSQ", "ESC", "AT+CMEE?", "AT+CMEE?", "AT+CMEE?"]);
    // The shell opened the port again; still nobody.
    bench.engine.handle_opened(bench.now);
    bench.wait(5_000);
    assert_eq!(bench.count("AT+CFUN=1,1"), 1);
    // The reset helped, and the modem says so.
    bench.alive = true;
    bench.hear("\r\nRDY\r\n");
    bench.wait(2_000);
    assert!(bench.engine.is_up());
    assert!(matches!(bench.take().as_slice(), [LineEvent::Up { .. }, LineEvent::Swept]));
}

#[test]
fn the_ladder_reopens_first_and_pauses_longer_each_time() {
    let mut bench = up();
    bench.alive = false;
    let mut climbs = Vec::new();
    for _ in 0..2000 {
        bench.wait(1000);
        if reopens(&bench) > 0 {
            climbs.push(bench.now.0);
            bench.events.clear();
            bench.engine.handle_opened(bench.now);
        }
    }
    let pauses: Vec<u64> = climbs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() >= 4, "{pauses:?}");
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    assert!(bench.engine.counters().resets >= 4);
}

#[test]
fn a_person_is_asked_when_the_ladder_does_not_help() {
    let mut bench = up();
    bench.alive = false;
    let mut needs = None;
    for _ in 0..120 {
        bench.wait(1000);
        if reopens(&bench) > 0 {
            needs = bench.needs().or(needs);
            bench.events.clear();
            bench.engine.handle_opened(bench.now);
        }
    }
    needs = bench.needs().or(needs);
    assert!(needs.unwrap().contains("unplug"));
}

#[test]
fn a_modem_that_answers_only_at_is_given_up() {
    let mut bench = up();
    for command in ["AT+CMGL", "AT+CSQ", "AT+CREG?", "AT+COPS?", "AT+CNMI?", "AT+CPMS", "AT+CMGR"] {
        bench.says(command, "");
    }
    bench.wait(200_000);
    assert!(bench.take().iter().any(|event| matches!(event, LineEvent::Down { .. })));
}

#[test]
fn a_spontaneous_restart_ends_the_send_and_applies_all_settings_again() {
    for marker in ["\r\nRDY\r\n", "\r\n^SYSSTART\r\n"] {
        let mut bench = up();
        bench.says("0011", "");
        bench.tell(send(1));
        bench.hear(marker);
        bench.hear("\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n\r\nPB DONE\r\n");
        bench.wait(1000);
        let events = bench.take();
        assert!(
            matches!(
                events.as_slice(),
                [
                    LineEvent::SendDone { result: SendResult::Unknown { .. }, .. },
                    LineEvent::Down { .. },
                    LineEvent::Up { .. },
                    LineEvent::Swept,
                ]
            ),
            "{events:?}"
        );
        assert_eq!(bench.count("AT+CNMI=2,1,0,2,0"), 1);
        assert_eq!(bench.count("AT+CMGF=0"), 1);
    }
}

#[test]
fn settings_that_were_forgotten_silently_are_found_out_and_applied_again() {
    let mut bench = up();
    let mut forgot = true;
    bench.on("AT+CNMI?", move |_| {
        std::mem::take(&mut forgot).then(|| "\r\n+CNMI: 0,0,0,0,0\r\n\r\nOK\r\n".to_owned())
    });
    bench.wait(62_000);
    assert!(matches!(
        bench.take().as_slice(),
        [LineEvent::Down { .. }, LineEvent::Up { .. }, LineEvent::Swept]
    ));
}

#[test]
fn late_readiness_of_a_part_alone_restarts_nothing() {
    let mut bench = up();
    bench.hear("\r\nPB DONE\r\n");
    bench.hear("\r\nSMS DONE\r\n");
    assert_eq!(bench.take(), []);
    assert!(bench.written.iter().all(|line| line == "AT+CNMI?"));
}

#[test]
fn a_sim_that_is_taken_out_brings_the_line_down() {
    let mut bench = up();
    bench.says("AT+CPIN?", "\r\n+CME ERROR: 10\r\n");
    bench.hear("\r\n+CPIN: NOT INSERTED\r\n");
    bench.wait(1000);
    assert!(bench.needs().unwrap().contains("no SIM"));
    assert!(matches!(bench.take().as_slice(), [LineEvent::Down { .. }]));
}

#[test]
fn a_modem_that_comes_back_reports_everything_anew() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    bench.engine.handle_closed("unplugged", bench.now);
    bench.open();
    assert!(matches!(
        bench.take().as_slice(),
        [
            LineEvent::Received { .. },
            LineEvent::Down { .. },
            LineEvent::Up { .. },
            LineEvent::Received { .. },
            LineEvent::Swept,
        ]
    ));
}

#[test]
fn a_modem_that_never_answers_is_reported_once() {
    let mut bench = Bench::new(Settings::default(), None);
    bench.alive = false;
    bench.open();
    bench.wait(600_000);
    let downs = bench.take().into_iter().filter(|event| matches!(event, LineEvent::Down { .. })).count();
    assert_eq!(downs, 1);
}

#[test]
fn a_modem_that_stays_away_is_asked_for_and_its_return_clears_that() {
    let mut bench = up();
    bench.engine.handle_closed("unplugged", bench.now);
    bench.wait(14_000);
    bench.engine.handle_closed("no modem is plugged in", bench.now);
    bench.run();
    assert_eq!(bench.needs(), None);
    bench.wait(2_000);
    bench.engine.handle_closed("no modem is plugged in", bench.now);
    bench.run();
    assert!(bench.needs().unwrap().contains("plug it in"));
    bench.open();
    assert_eq!(bench.needs(), None);
    assert!(bench.engine.is_up());
}
