//! From an unknown state to a line that is up, and what a SIM may want on the way.

use super::bench::{Bench, PDU_A, PDU_B, ready};
use crate::at::{Event, Pin, Settings, SimPin};
use crate::types::{LineEvent, Mem, PhoneNumber, Registration, Slot};

fn pin() -> SimPin {
    SimPin { pin: Pin::parse("4321").unwrap(), already_tried: false }
}

#[test]
fn a_modem_in_an_unknown_state_is_brought_up_and_swept() {
    let mut bench = Bench::new(Settings::default(), None);
    bench.put("SM", 4, PDU_A);
    bench.put("ME", 0, PDU_B);
    bench.open();
    let number = PhoneNumber::parse("+12065550100", None).ok();
    assert_eq!(
        bench.take(),
        [
            LineEvent::Up {
                identity: "490154203237518".into(),
                sim: Some("8944110065400000001".into()),
                number
            },
            Bench::received(Slot { mem: Mem::ME, index: 0 }, PDU_B),
            Bench::received(Slot { mem: Mem::SM, index: 4 }, PDU_A),
            LineEvent::Swept,
        ]
    );
    assert_eq!(bench.written.first().map(String::as_str), Some("ESC"));
    assert_eq!(bench.count("AT+CMGF=0"), 1);
    assert_eq!(bench.count("AT+CNMI=2,1,0,2,0"), 1);
    assert!(bench.written.contains(&"AT+CPMS=\"ME\",\"ME\",\"ME\"".to_owned()));
}

#[test]
fn the_console_sees_registration_signal_and_operator_and_only_changes() {
    let mut bench = ready(None);
    let states = |bench: &Bench| {
        let all = bench.line_events().into_iter();
        all.filter_map(|event| if let LineEvent::State(state) = event { Some(state) } else { None })
            .collect::<Vec<_>>()
    };
    let last = states(&bench).pop().unwrap();
    assert_eq!(last.registration, Registration::Home);
    assert_eq!((last.signal_dbm, last.operator.as_deref()), (Some(-73), Some("Net")));
    bench.events.clear();
    bench.wait(61_000);
    assert!(states(&bench).is_empty());
    bench.hear("\r\n+CREG: 2\r\n");
    assert_eq!(states(&bench).pop().unwrap().registration, Registration::Searching);
}

#[test]
fn echo_and_numeric_results_are_understood_until_they_are_switched_off() {
    let mut bench = Bench::new(Settings::default(), None);
    for command in ["AT", "ATE0"] {
        let mut first = true;
        bench.on(command, move |line| {
            (line == command && std::mem::take(&mut first)).then(|| format!("{command}\r0\r"))
        });
    }
    bench.open();
    assert!(bench.engine.is_up());
}

#[test]
fn a_prompt_left_open_is_closed_before_anything_is_said() {
    let mut bench = Bench::new(Settings::default(), None);
    let mut open = true;
    // Everything but ESC is swallowed into the text.
    bench.on("ESC", move |_| Some("\r\nOK\r\n".into()));
    bench.on("AT", move |_| std::mem::take(&mut open).then(String::new));
    bench.open();
    assert!(!bench.engine.is_up());
    bench.wait(1000);
    assert!(bench.engine.is_up());
}

#[test]
fn a_late_answer_of_somebody_else_shifts_nothing() {
    let mut bench = Bench::new(Settings::default(), None);
    bench.says("AT+CMEE=1", "\r\nOK\r\n\r\nOK\r\n\r\nERROR\r\n");
    bench.open();
    assert!(bench.engine.is_up());
    assert_eq!(bench.engine.counters().stray_results, 2);
}

#[test]
fn the_pin_is_entered_once_and_the_shell_is_told_first() {
    let mut bench = Bench::new(Settings::default(), Some(pin()));
    let mut asked = 0;
    bench.on("AT+CPIN?", move |_| {
        asked += 1;
        (asked < 2).then(|| "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n".to_owned())
    });
    bench.says("AT+CPINR", "\r\n+CPINR: SIM PIN,3,3\r\n\r\nOK\r\n");
    bench.open();
    bench.wait(2000);
    assert!(bench.engine.is_up());
    assert_eq!(bench.count("AT+CPIN=\"4321\""), 1);
    let order: Vec<_> =
        bench.events.iter().filter(|e| matches!(e, Event::PinTry | Event::PinAccepted)).collect();
    assert_eq!(order, [&Event::PinTry, &Event::PinAccepted]);
}

#[test]
fn a_refused_pin_is_never_tried_again() {
    let mut bench = Bench::new(Settings::default(), Some(pin()));
    bench.says("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n");
    bench.says("AT+CPIN=", "\r\n+CME ERROR: 16\r\n");
    bench.open();
    bench.wait(600_000);
    bench.hear("\r\nRDY\r\n");
    bench.wait(600_000);
    bench.engine.handle_closed("unplugged", bench.now);
    bench.open();
    bench.wait(600_000);
    assert_eq!(bench.count("AT+CPIN=\"4321\""), 1);
    assert!(bench.needs().unwrap().contains("not tried again"));
    assert!(!bench.engine.is_up());
}

#[test]
fn a_pin_that_may_have_been_refused_before_is_not_tried() {
    for (tried, left) in [(true, "3,3"), (false, "2,3")] {
        let mut bench = Bench::new(Settings::default(), Some(SimPin { already_tried: tried, ..pin() }));
        bench.says("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n");
        bench.on("AT+CPINR", move |_| Some(format!("\r\n+CPINR: SIM PIN,{left}\r\n\r\nOK\r\n")));
        bench.open();
        bench.wait(60_000);
        assert_eq!(bench.count("AT+CPIN=\"4321\""), 0);
        assert!(bench.needs().is_some());
    }
}

#[test]
fn a_pin_whose_answer_is_lost_is_not_tried_again() {
    let mut bench = Bench::new(Settings::default(), Some(pin()));
    bench.says("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n");
    bench.says("AT+CPIN=", "");
    bench.open();
    bench.wait(600_000);
    assert_eq!(bench.count("AT+CPIN=\"4321\""), 1);
}

#[test]
fn a_puk_is_never_answered() {
    let mut bench = Bench::new(Settings::default(), Some(pin()));
    bench.says("AT+CPIN?", "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n");
    bench.open();
    bench.wait(60_000);
    assert!(!bench.written.iter().any(|line| line.starts_with("AT+CPIN=")));
    assert!(bench.needs().unwrap().contains("PUK"));
}

#[test]
fn a_busy_sim_is_waited_for_and_then_a_person_is_told() {
    let mut bench = Bench::new(Settings::default(), None);
    let mut busy = 20;
    bench.on("AT+CPIN?", move |_| {
        busy -= 1;
        (busy > 0).then(|| "\r\n+CME ERROR: 14\r\n".to_owned())
    });
    bench.open();
    bench.wait(25_000);
    assert!(bench.engine.is_up());
    assert_eq!(bench.needs(), None);

    let mut bench = Bench::new(Settings::default(), None);
    bench.says("AT+CPIN?", "\r\n+CME ERROR: 14\r\n");
    bench.open();
    bench.wait(65_000);
    assert!(bench.needs().unwrap().contains("does not get ready"));
}

#[test]
fn a_ready_sim_ends_the_wait_soon() {
    let mut bench = Bench::new(Settings::default(), None);
    let mut missing = true;
    bench.on("AT+CPIN?", move |_| std::mem::take(&mut missing).then(|| "\r\n+CME ERROR: 10\r\n".to_owned()));
    bench.open();
    assert!(bench.needs().unwrap().contains("no SIM"));
    bench.hear("\r\n+CPIN: READY\r\n");
    bench.wait(1_000);
    assert!(bench.engine.is_up());
}

#[test]
fn a_modem_that_refuses_everything_optional_still_works() {
    let mut bench = Bench::new(Settings::default(), None);
    for command in [
        "AT+CMEE", "AT+CG", "AT+CFUN", "AT+CREG", "AT+CSQ", "AT+COPS", "AT+CSMS", "AT+CPMS", "AT+CNMI",
        "AT+CNUM", "AT+CCID",
    ] {
        bench.says(command, "\r\nERROR\r\n");
    }
    bench.put("SM", 1, PDU_A);
    bench.open();
    bench.wait(5000);
    let events = bench.take();
    assert!(
        matches!(&events[0], LineEvent::Up { identity, .. } if identity == "unknown modem"),
        "{events:?}"
    );
    assert_eq!(events[1..], [Bench::received(Slot { mem: Mem::SM, index: 1 }, PDU_A), LineEvent::Swept]);
    // Nothing announces texts here: sweeps are frequent.
    bench.put("SM", 2, PDU_B);
    bench.wait(6000);
    assert_eq!(bench.take(), [Bench::received(Slot { mem: Mem::SM, index: 2 }, PDU_B)]);
}

#[test]
fn a_modem_without_pdu_mode_is_reported_and_not_used() {
    let mut bench = Bench::new(Settings::default(), None);
    bench.says("AT+CMGF=0", "\r\n+CMS ERROR: 303\r\n");
    bench.open();
    bench.wait(5000);
    assert!(matches!(bench.take().as_slice(), [LineEvent::Down { why }] if why.contains("PDU mode")));
}

#[test]
fn late_answers_to_the_first_commands_shift_nothing() {
    // Each of the first commands is answered when the next one is heard.
    let mut bench = Bench::new(Settings::default(), None);
    let (mut owed, mut left) = (0, 4);
    bench.on("AT", move |line| {
        if left == 0 {
            return (owed > 0).then(|| {
                owed = 0;
                let own = if line == "AT+CMEE?" { "\r\n+CMEE: 1\r\n" } else { "" };
                format!("\r\nOK\r\n{own}\r\nOK\r\n")
            });
        }
        left -= 1;
        let answer = if owed > 0 { "\r\nOK\r\n" } else { "" };
        owed = 1;
        Some(answer.to_owned())
    });
    bench.open();
    bench.wait(20_000);
    assert!(bench.engine.is_up());
    assert_eq!(bench.needs(), None);
    assert!(matches!(
        bench.take().as_slice(),
        [LineEvent::Up { sim: Some(_), number: Some(_), .. }, LineEvent::Swept]
    ));
}
