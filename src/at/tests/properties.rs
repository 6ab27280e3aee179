//! What holds whatever happens: splits, noise, any order of commands, time and ports.

use proptest::prelude::*;

use super::bench::{Bench, PDU_A, PDU_B, part, send};
use crate::at::{Engine, Settings};
use crate::types::{LineCommand, LineEvent, Mem, Mono, Slot};

/// A busy half minute: texts in, out, handed over, noise, a restart.
fn half_minute(piece: usize) -> (Vec<crate::at::Event>, Vec<String>) {
    let mut bench = Bench::new(Settings::default(), None);
    bench.piece = piece;
    bench.put("SM", 1, PDU_A);
    bench.open();
    bench.put("ME", 3, PDU_B);
    bench.hear("\0\r\n+CMTI: \"ME\",3\r\n\r\n+CREG: 5\r\n^RSSI:12\r\n");
    bench.tell(send(1));
    bench.hear(&format!("\r\n+CMT: ,{}\r\n{PDU_A}\r\n\r\n+CDSI: \"SM\",9\r\n", PDU_A.len() / 2 - 1));
    bench.tell(LineCommand::Free { slot: Slot { mem: Mem::Direct, index: 1 } });
    bench.tell(LineCommand::Free { slot: Slot { mem: Mem::ME, index: 3 } });
    bench.says("0011", "");
    bench.tell(send(2));
    bench.hear("\r\nRDY\r\n+CPIN: READY\r\n");
    bench.wait(30_000);
    (bench.events, bench.written)
}

#[test]
fn any_even_split_of_the_stream_gives_the_same_conversation() {
    let whole = half_minute(usize::MAX);
    for piece in 1..40 {
        assert_eq!(half_minute(piece), whole, "pieces of {piece} bytes");
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Hears(Vec<u8>),
    Says(String),
    Send,
    Free(Mem, u16),
    Time(u16),
    Closed,
    Opened,
    Shell,
}

fn happening() -> impl Strategy<Value = Happening> {
    let lines = prop::sample::select(vec![
        "OK",
        "ERROR",
        "+CMS ERROR: 38",
        "+CME ERROR: 14",
        "> ",
        "+CMGS: 4",
        "+CMTI: \"SM\",1",
        "+CMTI: \"ME\",2",
        "+CMTI: \"QQ\",2",
        "+CMTI:",
        "+CMT: ,20",
        "+CDS: 20",
        "+CMGR: 0,,20",
        "+CMGL: 1,1,,20",
        "+CMGL: x",
        PDU_A,
        "00040B91",
        "RDY",
        "+CPIN: READY",
        "+CPIN: SIM PIN",
        "+CMEE: 1",
        "+CPMS: (\"SM\",\"ME\"),(\"SM\")",
        "+CPMS: 1,2",
        "+CNMI: (0-255),(9-1),()",
        "+CNMI: 2,1,0,2,0",
        "490154203237518",
        "SMS DONE",
        "^SMMEMFULL",
        "0",
        "\0\0",
    ]);
    let mem = prop::sample::select(vec![Mem::SM, Mem::ME, Mem::Direct]);
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Happening::Hears),
        8 => lines.prop_map(|line| Happening::Says(format!("\r\n{line}{}", if line == "> " { "" } else { "\r\n" }))),
        8 => Just(Happening::Says("\r\nOK\r\n".into())),
        3 => Just(Happening::Send),
        2 => (mem, 0u16..4).prop_map(|(mem, index)| Happening::Free(mem, index)),
        3 => any::<u16>().prop_map(Happening::Time),
        1 => Just(Happening::Closed),
        1 => Just(Happening::Opened),
        4 => Just(Happening::Shell),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_panics_and_every_send_is_answered_once(
        honest in any::<bool>(),
        happenings in prop::collection::vec(happening(), 0..200),
    ) {
        let mut bench = Bench::new(Settings::default(), None);
        if honest {
            bench.open();
        }
        let Bench { mut engine, mut now, events: mut all, .. } = bench;
        let mut sent = 0u8;
        let mut freed = Vec::new();
        let mut written = String::new();
        for happening in happenings {
            match happening {
                Happening::Hears(bytes) => engine.handle_bytes(&bytes, now),
                Happening::Says(text) => engine.handle_bytes(text.as_bytes(), now),
                Happening::Send if sent < u8::MAX => {
                    sent += 1;
                    engine.handle_command(send(sent), now);
                }
                Happening::Send => {}
                Happening::Free(mem, index) => {
                    freed.push(format!("AT+CMGD={index}"));
                    engine.handle_command(LineCommand::Free { slot: Slot { mem, index } }, now);
                }
                Happening::Time(ms) => {
                    now = Mono(now.0 + u64::from(ms));
                    engine.handle_timeout(now);
                }
                Happening::Closed => engine.handle_closed("gone", now),
                Happening::Opened => engine.handle_opened(now),
                Happening::Shell => drain(&mut engine, now, &mut all, &mut written),
            }
        }
        engine.handle_shutdown(now);
        engine.handle_timeout(Mono(now.0 + 2000));
        drain(&mut engine, now, &mut all, &mut written);
        prop_assert_eq!(all.last(), Some(&crate::at::Event::Stopped));
        for deleted in written.split('\r').filter(|line| line.starts_with("AT+CMGD")) {
            prop_assert!(freed.iter().any(|free| free == deleted), "{} without leave", deleted);
        }
        let mut down = true;
        for number in 1..=sent {
            let answers = all.iter().filter(|event| {
                matches!(event, crate::at::Event::Line(LineEvent::SendDone { part: of, .. }) if *of == part(number))
            });
            prop_assert_eq!(answers.count(), 1, "part {}", number);
        }
        for event in &all {
            match event {
                crate::at::Event::Line(LineEvent::Up { .. }) => {
                    prop_assert!(down, "up twice");
                    down = false;
                }
                crate::at::Event::Line(LineEvent::Down { .. }) => down = true,
                _ => {}
            }
        }
        prop_assert!(down);
    }

    #[test]
    fn any_split_at_any_boundary_gives_the_same_events(cuts in prop::collection::vec(0usize..600, 0..12)) {
        let stream = format!(
            "\r\n+CMTI: \"ME\",3\r\n\0\r\n+CREG: 5\r\n\r\n+CMT: ,{}\r\n{PDU_A}\r\n^X\r\n\r\n+CMGR: 0,,20\r\n{PDU_B}\r\n\r\nOK\r\n> \r\nOK\r\n",
            PDU_A.len() / 2 - 1
        );
        let run = |cuts: &[usize]| {
            let mut bench = Bench::new(Settings::default(), None);
            bench.open();
            bench.alive = false;
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % stream.len()).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for to in cuts.into_iter().chain([stream.len()]) {
                bench.engine.handle_bytes(&stream.as_bytes()[from..to], bench.now);
                from = to;
            }
            bench.run();
            (bench.events, bench.written)
        };
        prop_assert_eq!(run(&cuts), run(&[]));
    }
}

fn drain(engine: &mut Engine, now: Mono, all: &mut Vec<crate::at::Event>, written: &mut String) {
    while let Some(bytes) = engine.poll_transmit() {
        written.push_str(&String::from_utf8_lossy(&bytes));
    }
    while let Some(event) = engine.poll_event() {
        if let crate::at::Event::Line(LineEvent::Prompted { part, attempt }) = &event {
            let go = LineCommand::Proceed { part: part.clone(), attempt: *attempt, go: true };
            engine.handle_command(go, now);
            continue;
        }
        all.push(event);
    }
}
