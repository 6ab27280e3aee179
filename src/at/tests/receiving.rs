//! Texts that come in: announced, handed over, swept, damaged, freed.

use super::bench::{Bench, PDU_A, PDU_B, ready};
use crate::at::Settings;
use crate::types::{LineCommand, LineEvent, Mem, Slot};

fn me(index: u16) -> Slot {
    Slot { mem: Mem::ME, index }
}

fn up() -> Bench {
    let mut bench = ready(None);
    bench.take();
    bench.written.clear();
    bench
}

#[test]
fn an_announced_text_is_read_and_deleted_only_after_it_was_freed() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    assert_eq!(bench.take(), [Bench::received(me(3), PDU_A)]);
    assert!(!bench.written.iter().any(|line| line.starts_with("AT+CMGD")));
    bench.wait(300_000);
    assert_eq!(bench.take(), []);
    bench.tell(LineCommand::Free { slot: me(3) });
    assert_eq!(bench.take(), [LineEvent::Freed { slot: me(3) }]);
    assert!(bench.store.is_empty());
}

#[test]
fn a_text_in_the_other_memory_is_read_and_deleted_there() {
    let mut bench = up();
    bench.put("SM", 1, PDU_A);
    bench.put("ME", 1, PDU_B);
    bench.hear("\r\n+CMTI: \"SM\",1\r\n");
    assert_eq!(bench.take(), [Bench::received(Slot { mem: Mem::SM, index: 1 }, PDU_A)]);
    bench.hear("\r\n+CMTI: \"ME\",1\r\n");
    assert_eq!(bench.take(), [Bench::received(me(1), PDU_B)]);
    bench.tell(LineCommand::Free { slot: Slot { mem: Mem::SM, index: 1 } });
    assert_eq!(bench.store.keys().collect::<Vec<_>>(), [&("ME".to_owned(), 1)]);
}

#[test]
fn a_lost_announcement_costs_one_sweep() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.wait(60_000);
    assert_eq!(bench.take(), [Bench::received(me(3), PDU_A)]);
}

#[test]
fn a_full_store_is_swept_at_once() {
    let mut bench = up();
    bench.put("SM", 9, PDU_A);
    bench.hear("\r\n^SMMEMFULL: \"SM\"\r\n");
    assert_eq!(bench.take(), [Bench::received(Slot { mem: Mem::SM, index: 9 }, PDU_A)]);
}

#[test]
fn a_urc_anywhere_in_a_reply_confuses_nothing() {
    for reply in [
        "\r\n+CMTI: \"ME\",8\r\n\r\n+CMGR: 0,,{L}\r\n{A}\r\n\r\nOK\r\n",
        "\r\n+CMGR: 0,,{L}\r\n\r\n+CMTI: \"ME\",8\r\n{A}\r\n\r\nOK\r\n",
        "\r\n+CMGR: 0,,{L}\r\n{A}\r\n\r\n+CMTI: \"ME\",8\r\n\r\nRING\r\n\r\nOK\r\n",
        "\r\n+CMGR: 0,,{L}\r\n^RSSI:17\r\n+CMTI: \"ME\",8\r\n+CREG: 1\r\n{A}\r\nOK\r\n",
    ] {
        let reply = reply.replace("{L}", &(PDU_A.len() / 2 - 1).to_string()).replace("{A}", PDU_A);
        let mut bench = up();
        bench.put("ME", 8, PDU_B);
        bench.on("AT+CMGR=7", move |_| Some(reply.clone()));
        bench.hear("\r\n+CMTI: \"ME\",7\r\n");
        assert_eq!(bench.take(), [Bench::received(me(7), PDU_A), Bench::received(me(8), PDU_B)]);
    }
}

#[test]
fn a_text_handed_over_between_a_header_and_its_pdu_is_told_apart() {
    let mut bench = up();
    let long = format!("{PDU_B}42");
    let reply = format!(
        "\r\n+CMGR: 0,,{}\r\n\r\n+CMT: ,{}\r\n{long}\r\n{PDU_A}\r\n\r\nOK\r\n",
        PDU_A.len() / 2 - 1,
        long.len() / 2 - 1
    );
    bench.on("AT+CMGR=7", move |_| Some(reply.clone()));
    bench.hear("\r\n+CMTI: \"ME\",7\r\n");
    let direct = Slot { mem: Mem::Direct, index: 1 };
    assert_eq!(bench.take(), [Bench::received(direct, &long), Bench::received(me(7), PDU_A)]);
}

#[test]
fn a_text_handed_over_is_acknowledged_after_it_was_freed() {
    let mut bench = up();
    bench.hear(&format!("\r\n+CMT: ,{}\r\n{PDU_A}\r\n", PDU_A.len() / 2 - 1));
    let slot = Slot { mem: Mem::Direct, index: 1 };
    assert_eq!(bench.take(), [Bench::received(slot, PDU_A)]);
    assert_eq!(bench.count("AT+CNMA"), 0);
    bench.tell(LineCommand::Free { slot });
    assert_eq!(bench.take(), [LineEvent::Freed { slot }]);
    assert_eq!(bench.count("AT+CNMA"), 1);
}

#[test]
fn without_phase_2_plus_nothing_is_acknowledged() {
    let mut bench = Bench::new(Settings::default(), None);
    bench.says("AT+CSMS=1", "\r\nERROR\r\n");
    bench.open();
    bench.take();
    bench.hear(&format!("\r\n+CDS: {}\r\n{PDU_A}\r\n", PDU_A.len() / 2 - 1));
    let slot = Slot { mem: Mem::Direct, index: 1 };
    bench.tell(LineCommand::Free { slot });
    assert_eq!(bench.take(), [Bench::received(slot, PDU_A), LineEvent::Freed { slot }]);
    assert_eq!(bench.count("AT+CNMA"), 0);
}

#[test]
fn half_a_pdu_is_asked_for_again() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    let mut first = true;
    bench.on("AT+CMGR=3", move |_| {
        let half = format!("\r\n+CMGR: 0,,{}\r\n{}\r\n\r\nOK\r\n", PDU_A.len() / 2 - 1, &PDU_A[..20]);
        std::mem::take(&mut first).then_some(half)
    });
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    assert_eq!(bench.take(), [Bench::received(me(3), PDU_A)]);
    assert_eq!(bench.engine.counters().damaged_pdus, 1);
}

#[test]
fn a_pdu_that_stays_unreadable_is_reported_raw_and_kept_until_it_is_freed() {
    let mut bench = up();
    bench.put("ME", 3, "zz&%");
    bench.says("AT+CMGR=3", "\r\n+CMGR: 0,,23\r\nzz&% not a pdu\r\n\r\nOK\r\n");
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    assert_eq!(bench.take(), [LineEvent::Unreadable { slot: Some(me(3)), raw: "zz&% not a pdu".into() }]);
    assert_eq!(bench.store.len(), 1);
    bench.tell(LineCommand::Free { slot: me(3) });
    assert_eq!(bench.take(), [LineEvent::Freed { slot: me(3) }]);
}

#[test]
fn an_empty_slot_is_nothing_and_counted() {
    // A bare OK could be noise: it is asked again.
    let (bare, refused, said) =
        ("\r\nOK\r\n", "\r\n+CMS ERROR: 321\r\n", "\r\n+CMGR: 0,,0\r\n\r\n\r\nOK\r\n");
    for (answer, times) in [(bare, 2), (refused, 1), (said, 1)] {
        let mut bench = up();
        bench.says("AT+CMGR=3", answer);
        bench.hear("\r\n+CMTI: \"ME\",3\r\n");
        assert_eq!(bench.take(), []);
        assert_eq!(bench.engine.counters().empty_slots, 1, "{answer:?}");
        assert_eq!(bench.count("AT+CMGR=3"), times, "{answer:?}");
    }
}

/// Once, before the true answer to this command.
fn noise_before(bench: &mut Bench, command: &str, noise: &'static str, answer: String) {
    let mut answers = vec![format!("{noise}{answer}")];
    bench.on(command, move |_| answers.pop());
}

#[test]
fn a_result_that_is_noise_gives_no_text_another_ones_place() {
    for noise in ["\r\nOK\r\n", "\r\n+CMGR: 0,,20\r\n\r\nOK\r\n"] {
        let mut bench = up();
        bench.put("ME", 3, PDU_A);
        bench.put("ME", 4, PDU_B);
        let answer = format!("\r\n+CMGR: 0,,20\r\n{PDU_A}\r\n\r\nOK\r\n");
        // Both are announced before the answer to the first is there.
        noise_before(&mut bench, "AT+CMGR=3", noise, format!("\r\n+CMTI: \"ME\",4\r\n{answer}"));
        bench.hear("\r\n+CMTI: \"ME\",4\r\n\r\n+CMTI: \"ME\",3\r\n");
        let mut got = bench.take();
        got.sort_by_key(|event| format!("{event:?}"));
        assert_eq!(got, [Bench::received(me(3), PDU_A), Bench::received(me(4), PDU_B)], "{noise:?}");
    }
}

#[test]
fn a_result_that_is_noise_in_a_listing_costs_seconds_and_not_a_sweep() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    let answer = format!("\r\n+CMGL: 3,1,,20\r\n{PDU_A}\r\n\r\nOK\r\n");
    noise_before(&mut bench, "AT+CMGL=4", "\r\nOK\r\n", answer);
    bench.hear("\r\n^SMMEMFULL\r\n");
    bench.wait(6_000);
    assert_eq!(bench.take(), [Bench::received(me(3), PDU_A)]);
}

#[test]
fn a_text_whose_deletion_was_refused_after_noise_is_looked_at_again_within_seconds() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    noise_before(&mut bench, "AT+CMGD=3", "\r\nOK\r\n", "\r\n+CMS ERROR: 500\r\n".to_owned());
    bench.tell(LineCommand::Free { slot: me(3) });
    bench.wait(6_000);
    let received = Bench::received(me(3), PDU_A);
    assert_eq!(bench.take(), [received.clone(), LineEvent::Freed { slot: me(3) }, received]);
    bench.tell(LineCommand::Free { slot: me(3) });
    assert!(bench.store.is_empty());
}

#[test]
fn a_modem_that_says_every_result_twice_is_not_swept_without_end() {
    let mut bench = up();
    bench.says("AT+CSQ", "\r\n+CSQ: 20,99\r\n\r\nOK\r\n\r\nOK\r\n");
    bench.says("AT+CMGL=4", "\r\nOK\r\n\r\nOK\r\n");
    bench.wait(120_000);
    assert!((20..60).contains(&bench.count("AT+CMGL=4")), "{}", bench.count("AT+CMGL=4"));
}

#[test]
fn a_flood_of_announcements_is_fetched_in_few_listings() {
    let mut bench = up();
    let mut flood = String::new();
    for index in 0..99 {
        bench.put("ME", index, &format!("00040B911234567890F0000062112001020300{index:04X}"));
        flood.push_str(&format!("\r\n+CMTI: \"ME\",{index}\r\n"));
    }
    bench.hear(&flood);
    assert_eq!(bench.take().len(), 99);
    assert!(bench.written.len() < 6, "{:?}", bench.written);
}

#[test]
fn a_store_that_cannot_be_listed_is_read_slot_by_slot() {
    let mut bench = Bench::new(Settings::default(), None);
    bench.says("AT+CMGL=4", "\r\n+CMS ERROR: 303\r\n");
    bench.put("SM", 30, PDU_A);
    bench.put("ME", 0, PDU_B);
    bench.open();
    let events = bench.take();
    assert_eq!(
        events[1..],
        [
            Bench::received(me(0), PDU_B),
            Bench::received(Slot { mem: Mem::SM, index: 30 }, PDU_A),
            LineEvent::Swept,
        ]
    );
    assert_eq!(bench.engine.counters().empty_slots, 0);
}

#[test]
fn our_own_stored_texts_are_left_alone() {
    let mut bench = up();
    bench.on("AT+CMGL=4", |_| {
        Some(format!("\r\n+CMGL: 1,2,,20\r\n{PDU_A}\r\n+CMGL: 2,3,,20\r\n{PDU_B}\r\n\r\nOK\r\n"))
    });
    bench.wait(60_000);
    assert_eq!(bench.take(), []);
}

#[test]
fn a_slot_that_will_not_be_deleted_is_tried_again_with_the_next_sweep() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    let mut refusals = 4;
    bench.on("AT+CMGD=3", move |_| {
        refusals -= 1;
        (refusals >= 0).then(|| "\r\n+CMS ERROR: 500\r\n".to_owned())
    });
    bench.take();
    bench.tell(LineCommand::Free { slot: me(3) });
    assert_eq!(bench.take(), []);
    assert_eq!(bench.count("AT+CMGD=3"), 3);
    bench.wait(60_000);
    assert_eq!(bench.take(), [LineEvent::Freed { slot: me(3) }]);
}

#[test]
fn a_free_for_a_slot_of_another_connection_deletes_nothing() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.tell(LineCommand::Free { slot: me(3) });
    assert_eq!(bench.store.len(), 1);
    assert_eq!(bench.engine.counters().unknown_frees, 1);
}

#[test]
fn a_busy_store_is_asked_again_a_moment_later() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    let mut busy = true;
    bench.on("AT+CMGR=3", move |_| std::mem::take(&mut busy).then(|| "\r\n+CMS ERROR: 314\r\n".to_owned()));
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    assert_eq!(bench.take(), []);
    bench.wait(1000);
    assert_eq!(bench.take(), [Bench::received(me(3), PDU_A)]);
}

#[test]
fn an_announcement_that_is_cut_short_is_followed_by_a_look_everywhere() {
    for half in ["\r\n+CMTI: \"S\r\n", "\r\n+CMTI:\r\n", "\r\n+CMTI: \"--\",1\r\n"] {
        let mut bench = up();
        bench.put("SM", 2, PDU_A);
        bench.hear(half);
        assert_eq!(bench.take(), [Bench::received(Slot { mem: Mem::SM, index: 2 }, PDU_A)], "{half:?}");
    }
}

#[test]
fn announcements_of_what_is_gone_are_not_listed_without_end() {
    let mut bench = up();
    bench
        .hear("\r\n+CMTI: \"ME\",3\r\n\r\n+CMTI: \"ME\",4\r\n\r\n+CMTI: \"ME\",5\r\n\r\n+CMTI: \"ME\",6\r\n");
    assert_eq!(bench.take(), []);
    assert!(bench.count("AT+CMGL=4") <= 2, "{} listings", bench.count("AT+CMGL=4"));
    assert_eq!(bench.engine.counters().empty_slots, 4);
}

#[test]
fn a_text_that_took_the_place_of_one_whose_deletion_went_unanswered_is_read_and_not_deleted() {
    for announced in [true, false] {
        let mut bench = up();
        bench.put("ME", 3, PDU_A);
        bench.hear("\r\n+CMTI: \"ME\",3\r\n");
        assert_eq!(bench.take(), [Bench::received(me(3), PDU_A)]);
        // It is done, and nobody says so.
        let mut silent = true;
        bench.on("AT+CMGD=3", move |_| std::mem::take(&mut silent).then(String::new));
        bench.tell(LineCommand::Free { slot: me(3) });
        bench.put("ME", 3, PDU_B);
        if announced {
            bench.hear("\r\n+CMTI: \"ME\",3\r\n");
        }
        bench.wait(30_000);
        assert_eq!(bench.take(), [LineEvent::Freed { slot: me(3) }, Bench::received(me(3), PDU_B)]);
        assert_eq!(bench.store.len(), 1, "nobody gave leave to delete it");
        bench.tell(LineCommand::Free { slot: me(3) });
        assert_eq!(bench.take(), [LineEvent::Freed { slot: me(3) }]);
        assert!(bench.store.is_empty());
    }
}

#[test]
fn a_text_whose_deletion_went_unanswered_and_was_done_is_freed() {
    let mut bench = up();
    bench.put("ME", 3, PDU_A);
    bench.hear("\r\n+CMTI: \"ME\",3\r\n");
    bench.take();
    let mut silent = true;
    bench.on("AT+CMGD=3", move |_| std::mem::take(&mut silent).then(String::new));
    bench.tell(LineCommand::Free { slot: me(3) });
    bench.store.clear();
    bench.wait(30_000);
    assert_eq!(bench.take(), [LineEvent::Freed { slot: me(3) }]);
    assert_eq!((bench.count("AT+CMGD=3"), bench.engine.counters().empty_slots), (1, 0));
}

#[test]
fn a_result_that_is_noise_shifts_no_text_where_each_slot_is_read_by_itself() {
    let mut bench = up();
    bench.says("AT+CMGL=4", "\r\n+CMS ERROR: 500\r\n");
    bench.put("SM", 29, PDU_A);
    bench.put("SM", 30, PDU_B);
    let answer = format!("\r\n+CMGR: 0,,20\r\n{PDU_A}\r\n\r\nOK\r\n");
    noise_before(&mut bench, "AT+CMGR=29", "\r\nOK\r\n", answer);
    bench.wait(130_000);
    let sm = |index| Slot { mem: Mem::SM, index };
    let mut got = bench.take();
    got.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(got, [Bench::received(sm(29), PDU_A), Bench::received(sm(30), PDU_B)]);
}

/// Results that nobody sent, answers that are lost or come twice: every text is told before it is deleted.
#[test]
fn whatever_becomes_of_answers_no_text_is_deleted_unread() {
    for seed in 1..100_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move |of: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % of
        };
        let mut luck = draw;
        let mut bench = up();
        bench.spoil = Some(Box::new(move |line, answer| {
            let store = ["AT+CMGR", "AT+CMGL", "AT+CMGD"].iter().any(|command| line.starts_with(command));
            match luck(100) {
                _ if !store => answer,
                0..8 => format!("\r\nOK\r\n{answer}"),
                8..12 => format!("\r\nERROR\r\n{answer}"),
                12..17 => String::new(),
                17..20 => format!("{answer}\r\nOK\r\n"),
                _ => answer,
            }
        }));
        let (mut put, mut told) = (Vec::new(), std::collections::BTreeSet::new());
        for step in 0..60 {
            for _ in 0..draw(4) {
                let pdu = format!("{}{:06}0141", &PDU_A[..32], put.len());
                let free = (1..90).find(|at| !bench.store.contains_key(&("ME".to_owned(), *at))).unwrap();
                bench.put("ME", free, &pdu);
                put.push(pdu);
                if draw(5) > 0 {
                    bench.hear(&format!("\r\n+CMTI: \"ME\",{free}\r\n"));
                }
            }
            if step == 50 {
                bench.spoil = None;
            }
            let pause = if step < 50 { draw(12_000) } else { 60_000 };
            bench.wait(pause);
            loop {
                if bench.events.iter().any(|event| matches!(event, crate::at::Event::Reopen { .. })) {
                    bench.events.retain(|event| !matches!(event, crate::at::Event::Reopen { .. }));
                    bench.open();
                }
                let heard = bench.take();
                if heard.is_empty() {
                    break;
                }
                for event in heard {
                    match event {
                        LineEvent::Received { slot, pdu } => {
                            told.insert(pdu);
                            bench.tell(LineCommand::Free { slot });
                        }
                        LineEvent::Unreadable { slot: Some(slot), .. } => {
                            bench.tell(LineCommand::Free { slot });
                        }
                        _ => {}
                    }
                }
            }
        }
        let lost: Vec<&String> = put.iter().filter(|pdu| !told.contains(*pdu)).collect();
        assert!(lost.is_empty(), "seed {seed}: {} of {} lost: {lost:?}", lost.len(), put.len());
        assert!(bench.store.is_empty(), "seed {seed}: {:?}", bench.store);
    }
}
