//! PDU vectors, octet by octet, and what the reader refuses.

use super::*;

fn outgoing<'a>(from: &'a str, text: &'a str, at: &'a jiff::Zoned) -> Outgoing<'a> {
    Outgoing {
        smsc: "+12063130004",
        from,
        text,
        coding: Coding::Auto,
        class: None,
        reference: 0x1234,
        wide: false,
        at,
    }
}

fn noon() -> jiff::Zoned {
    "2026-07-04T12:30:45-07:00[America/Los_Angeles]".parse().unwrap()
}

#[test]
fn a_deliver_pdu_octet_by_octet() {
    let at = noon();
    let pdus = pdu::deliver(&outgoing("+12065550101", "hellohello", &at));
    // SMSC, first octet, sender, PID, DCS, 26-07-04 12:30:45 -28 quarters, length, data.
    assert_eq!(
        pdus,
        [concat!(
            "07912160130300F4",
            "04",
            "0B912160550501F1",
            "00",
            "00",
            "6270402103548A",
            "0A",
            "E8329BFD4697D9EC37"
        )]
    );
}

#[test]
fn an_alphanumeric_sender_counts_its_semi_octets() {
    assert_eq!(
        pdu::encode_address("Design@Home"),
        [20, 0xD0, 0xC4, 0xF2, 0x3C, 0x7D, 0x76, 0x03, 0x90, 0xEF, 0x76, 0x19]
    );
    assert_eq!(pdu::encode_address("AB"), [4, 0xD0, 0x41, 0x21]);
    assert_eq!(pdu::encode_address("72345"), [5, 0x81, 0x27, 0x43, 0xF5]);
}

#[test]
fn pairs_and_escapes_are_never_cut() {
    let at = noon();
    let text = format!("{}😀{}", "ж".repeat(66), "ж".repeat(10));
    let pdus = pdu::deliver(&outgoing("+1", &text, &at));
    assert_eq!(pdus.len(), 2);
    assert!(!pdus[0].contains("D83D"), "the pair moved to the second part whole");
    assert!(pdus[1].contains("D83DDE00"));
    let text = format!("{}€{}", "a".repeat(152), "b".repeat(10));
    let pdus = pdu::deliver(&Outgoing { wide: false, ..outgoing("+1", &text, &at) });
    assert_eq!(pdus[0].len() / 2, 8 + 1 + 4 + 2 + 7 + 1 + 139, "152 septets and their header");
    let pdus = pdu::deliver(&Outgoing { wide: true, ..outgoing("+1", &text, &at) });
    assert!(pdus[0].contains("06080412340201"), "16-bit reference");
}

#[test]
fn classes_stand_in_the_coding_scheme() {
    let at = noon();
    let flash = pdu::deliver(&Outgoing { class: Some(0), ..outgoing("+1", "now", &at) });
    assert!(flash[0].starts_with("07912160130300F404019".to_owned().as_str()), "{flash:?}");
    assert!(flash[0].contains("F10010"), "DCS 0x10: {flash:?}");
}

#[test]
fn a_submit_with_everything_is_read() {
    // Validity period relative, report wanted, 16-bit concatenation, UCS-2 "Hé".
    let tpdu = "71000B912160555510F900 08A7 0B 0608041234020100480 0E9".replace(' ', "");
    let octets = pdu::from_hex(&tpdu).unwrap();
    let submit = pdu::read_submit(&octets).unwrap();
    assert_eq!(submit.text, "Hé");
    assert_eq!(submit.to, "+12065555019");
    assert!(submit.wants_report);
    let concat = submit.concat.unwrap();
    assert_eq!((concat.reference, concat.total, concat.part), (0x1234, 2, 1));
    assert_eq!(submit.octets, 11);
}

#[test]
fn no_octets_make_the_reader_panic() {
    let good = pdu::from_hex("71000B912160555510F90008A70B060804123402010048 00E9".replace(' ', "").as_str())
        .unwrap();
    for cut in 0..good.len() {
        assert!(pdu::read_submit(&good[..cut]).is_err());
        for flip in 0..=255u8 {
            let mut changed = good.clone();
            changed[cut] = flip;
            drop(pdu::read_submit(&changed));
            drop(pdu::view(&pdu::to_hex(&changed)));
        }
    }
}

#[test]
fn long_texts_of_the_box_are_joined_whatever_their_order() {
    let mut bench = Bench::quiet();
    let second = "0041000B916407281553F800000C050003070202E8E8B2BC0C";
    let first = "0041000B916407281553F800000D050003070201906536FB0D02";
    for part in [second, first] {
        let answer = bench.send(part);
        assert!(answer.contains("+CMGS:"), "{answer}");
    }
    assert_eq!(bench.submitted.len(), 1);
    let text = &bench.submitted[0];
    assert_eq!((text.parts, text.bytes, text.text.as_str()), (2, 23, "Hello there"));
    assert!(bench.send(first).contains("+CMGS:"));
    assert_eq!(bench.submitted.len(), 1, "a part sent again makes no second text");
    assert_eq!(bench.machine.network.partial(), [(7, 2, vec![1])], "but it is seen");
}
