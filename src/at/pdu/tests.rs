//! PDUs by hand from the specification, and properties.

use proptest::prelude::*;

use super::*;
use crate::types::Wall;

fn got(hex: &str) -> Deliver {
    match decode(hex, Direction::FromSc, None) {
        Ok(Pdu::Deliver(deliver)) => deliver,
        other => panic!("{hex}: {other:?}"),
    }
}

fn error(hex: &str) -> PduError {
    decode(hex, Direction::FromSc, None).unwrap_err()
}

fn phone(digits: &str) -> Address {
    Address::Phone(crate::types::PhoneNumber::parse(digits, None).unwrap())
}

/// A DELIVER from +12065550101 at 2026-11-20T10:11:12-08:00 with this first octet, TP-DCS and TP-UDL on.
fn made(first: &str, dcs: &str, data: &str) -> String {
    format!("00{first}0B912160550501F100{dcs}6211020111212B{data}")
}

#[test]
fn a_plain_text_is_read() {
    // The example that every tutorial has.
    let deliver = got("07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37");
    assert_eq!(deliver.smsc.as_deref(), Some("+27381000015"));
    assert_eq!(deliver.from.as_str(), "27838890001");
    assert_eq!(deliver.text(), "hellohello");
    assert_eq!(deliver.timestamp.unwrap().to_string(), "1999-03-29T15:16:59+02:00");
    assert!(!deliver.more);
    assert!(deliver.notes.is_empty());
}

#[test]
fn the_header_is_not_in_the_text_and_its_fill_bits_are_skipped() {
    let pdus = deliver_parts(&"0123456789".repeat(20), false);
    let first = got(&pdus[0].hex);
    assert_eq!(first.concat, Some(Concat { reference: 0x34, part: 1, total: 2, wide: false }));
    assert_eq!(first.header, [0, 3, 0x34, 2, 1]);
    assert_eq!(first.text(), "0123456789".repeat(16)[..153]);
    assert_eq!(got(&pdus[1].hex).text(), "0123456789".repeat(20)[153..]);
    // By hand: UDHL 5, concat 8 bit, one fill bit, "AB".
    let by_hand = got(&made("44", "00", "0905000307020182 42".replace(' ', "").as_str()));
    assert_eq!(by_hand.text(), "AB");
}

fn deliver_parts(text: &str, wide: bool) -> Vec<EncodedPdu> {
    let timestamp = Timestamp { utc: Wall(1_795_198_272_000), quarters: -32 };
    let options = DeliverOptions { timestamp, reference: 0x1234, wide, class: None };
    deliver(&phone("+12065550101"), text, &options).unwrap()
}

#[test]
fn every_class_and_group_of_dcs_is_read_in_its_alphabet() {
    for dcs in ["00", "0C", "10", "40", "80", "BF", "C0", "D8", "F0", "F3"] {
        assert_eq!(got(&made("04", dcs, "0548656C6C6F")).data, {
            let octets = [0x48, 0x65, 0x6C, 0x6C, 0x6F];
            UserData::Gsm7 {
                septets: userdata::unpack(&octets, 0, 5),
                locking: National::Default,
                single: National::Default,
            }
        });
    }
    for dcs in ["08", "18", "48", "58", "E0", "E8"] {
        assert_eq!(got(&made("04", dcs, "0400480069")).text(), "Hi", "{dcs}");
    }
    for dcs in ["04", "14", "44", "F4", "F7"] {
        assert_eq!(got(&made("04", dcs, "024869")).text(), "Hi", "{dcs}");
    }
    assert_eq!(got(&made("04", "F0", "00")).class, Some(0));
    assert_eq!(got(&made("04", "10", "00")).class, Some(0));
    assert_eq!(got(&made("04", "00", "00")).class, None);
}

#[test]
fn national_tables_stand_in_for_the_default_ones() {
    // UDHL 3, IE 25 (locking), Turkish; then septets 0x04 0x0B 0x40: € Ğ İ.
    let locking = |language: u8, tag: u8, septets: &[u8]| {
        let header = [3, tag, 1, language];
        let fill = userdata::fill_bits(header.len());
        let mut data = header.to_vec();
        data.extend(userdata::pack(septets, fill));
        let length = (header.len() * 8 + fill) / 7 + septets.len();
        let hex: String = data.iter().map(|octet| format!("{octet:02X}")).collect();
        got(&made("44", "00", &format!("{length:02X}{hex}")))
    };
    assert_eq!(locking(1, 0x25, &[0x04, 0x0B, 0x40, 0x41]).text(), "€ĞİA");
    assert_eq!(locking(3, 0x25, &[0x15, 0x0E, 0x7D, 0x41]).text(), "∞Á`A");
    assert_eq!(locking(1, 0x24, &[0x1B, 0x53, 0x1B, 0x65, 0x53]).text(), "Ş€S");
    assert_eq!(locking(2, 0x24, &[0x1B, 0x41, 0x41]).text(), "ÁA");
    assert_eq!(locking(3, 0x24, &[0x1B, 0x1F, 0x1B, 0x7F]).text(), "Êâ");
    // Hindi: 0x00 is candrabindu; its shift has Latin capitals and the danda. Kannada 0x24 is DDA; Urdu 0x00 alef.
    assert_eq!(locking(6, 0x25, &[0x15, 0x00, 0x2C, 0x61]).text(), "क\u{901},a");
    assert_eq!(locking(6, 0x24, &[0x1B, 0x41, 0x1B, 0x19, 0x1B, 0x3C, 0x41]).text(), "A।[A");
    assert_eq!(locking(7, 0x25, &[0x24, 0x3D]).text(), "\u{ca1}\u{caa}");
    assert_eq!(locking(13, 0x25, &[0x00, 0x7F]).text(), "\u{627}\u{670}");
    // Spanish has no locking table, 99 is nobody's: the default one, and a note.
    for language in [2, 99] {
        let unknown = locking(language, 0x25, &[0x04, 0x41]);
        assert_eq!(unknown.text(), "èA");
        assert_eq!(unknown.notes, [Note::Language(language)]);
    }
}

#[test]
fn a_bad_time_does_not_lose_the_message() {
    let deliver = got(&made("04", "00", "02C834").replace("6211020111212B", "FFFFFFFFFFFFFF"));
    assert_eq!(deliver.timestamp, None);
    assert_eq!(deliver.notes, [Note::Timestamp]);
    assert_eq!(deliver.text(), "Hi");
}

#[test]
fn a_length_that_does_not_fit_the_octets_keeps_what_is_there() {
    let short = got(&made("04", "00", "A0C834"));
    assert_eq!(short.text(), "Hi");
    assert_eq!(short.notes, [Note::Short { promised: 160, present: 2 }]);
    let long = got(&made("04", "00", "02C834FFFF"));
    assert_eq!(long.text(), "Hi");
    assert_eq!(long.notes, [Note::Trailing(2)]);
    let odd = got(&made("04", "08", "0500480069D8"));
    assert_eq!(odd.text(), "Hi");
}

#[test]
fn a_header_that_does_not_add_up_is_ignored_and_the_text_kept() {
    // UDHL 5, but the element claims 9 octets; then "Hi" after one fill bit.
    let deliver = got(&made("44", "04", "08050009010203 4869".replace(' ', "").as_str()));
    assert_eq!(deliver.notes, [Note::Header]);
    assert_eq!(deliver.concat, None);
    assert_eq!(deliver.text(), "Hi");
    assert_eq!(error(&made("44", "04", "0209AA")), PduError::HeaderPastEnd { promised: 9, present: 1 });
}

#[test]
fn ports_and_unknown_elements_are_kept() {
    let deliver = got(&made("44", "04", "0A 06 05 04 0B84 23F0 01 06 AE".replace(' ', "").as_str()));
    assert_eq!(deliver.ports, Some(Ports { destination: 2948, source: 9200 }));
    let unknown = got(&made("44", "04", "0504 7F 02 AB CD".replace(' ', "").as_str()));
    assert_eq!(unknown.udh, [InfoElement { tag: 0x7F, data: vec![0xAB, 0xCD] }]);
}

#[test]
fn alphanumeric_senders_are_names() {
    let hex = format!("00040DD0{}00006211020111212B00", "C7F7FBCC2E03");
    // 13 half octets would be 7 octets: the last is the next field, so the PDU ends early.
    assert!(decode(&hex, Direction::FromSc, None).is_err());
    let google = got("00040BD0C7F7FBCC2E0300006211020111212B02C834");
    assert_eq!(google.from, Address::Alpha("Google".into()));
    assert_eq!(google.text(), "Hi");
}

#[test]
fn a_status_report_says_what_became_of_the_text() {
    let report = "0006D60B912160550501F16211020111212B6211020111312B00";
    let Ok(Pdu::StatusReport(report)) = decode(report, Direction::FromSc, None) else {
        panic!("not a report")
    };
    assert_eq!(report.reference, 0xD6);
    assert_eq!(report.to, phone("+12065550101"));
    assert_eq!(report.delivery(), Delivery::Delivered);
    assert_eq!(report.discharge.unwrap().to_string(), "2026-11-20T10:11:13-08:00");
    for (status, delivery) in [
        (0x01, Delivery::Unconfirmed),
        (0x02, Delivery::Unconfirmed),
        (0x20, Delivery::StillTrying),
        (0x30, Delivery::StillTrying),
        (0x41, Delivery::FailedPermanent),
        (0x46, Delivery::FailedPermanent),
        (0x63, Delivery::FailedTemporary),
        (0x7F, Delivery::FailedTemporary),
        (0x03, Delivery::FailedTemporary),
        (0xFF, Delivery::FailedTemporary),
    ] {
        assert_eq!(Delivery::of(status), delivery, "{status:#x}");
    }
}

#[test]
fn a_submit_is_read_whatever_its_validity_format() {
    let read = |hex: &str| match decode(hex, Direction::ToSc, None) {
        Ok(Pdu::Submit(submit)) => submit,
        other => panic!("{hex}: {other:?}"),
    };
    let none = read("0001000B912160550501F1000002C834");
    assert_eq!((none.validity, none.report, none.text().as_str()), (None, false, "Hi"));
    let relative = read("0031070B912160550501F10000A702C834");
    assert_eq!((relative.validity, relative.report), (Some(Validity::Relative(167)), true));
    assert_eq!(relative.reference, 7);
    let absolute = read("0019000B912160550501F100006211020111212B02C834");
    assert!(matches!(absolute.validity, Some(Validity::Absolute(Some(_)))));
    let enhanced = read("0009000B912160550501F100000100000000000002C834");
    assert_eq!(enhanced.validity, Some(Validity::Enhanced([1, 0, 0, 0, 0, 0, 0])));
    assert_eq!(enhanced.text(), "Hi");
}

#[test]
fn what_is_not_a_text_is_a_clear_error() {
    assert_eq!(error(""), PduError::Empty);
    assert_eq!(error("  "), PduError::Empty);
    assert_eq!(error("00 4"), PduError::NotHex { at: 3 });
    assert_eq!(error("00é4"), PduError::NotHex { at: 3 });
    assert_eq!(error("004"), PduError::HalfOctet(3));
    assert_eq!(error("00"), PduError::Truncated("the first octet"));
    assert_eq!(error("0004"), PduError::Truncated("TP-OA"));
    assert_eq!(error("07917283"), PduError::Truncated("SMSC address"));
    assert_eq!(error("0001000B912160550501F1000002C834"), PduError::Type("SUBMIT or SUBMIT-REPORT"));
    let whole = made("04", "00", "02C834");
    for cut in (2..whole.len() - 4).step_by(2) {
        assert!(decode(&whole[..cut], Direction::FromSc, None).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_text_goes_out_as_the_specification_writes_it() {
    let options = SubmitOptions { report: true, ..SubmitOptions::default() };
    let pdus = submit(&phone("+12065550101"), "hellohello", &options).unwrap();
    assert_eq!(pdus.len(), 1);
    assert_eq!(pdus[0].hex, "0021000B912160550501F100000AE8329BFD4697D9EC37");
    assert_eq!(usize::from(pdus[0].length), pdus[0].hex.len() / 2 - 1);
    let flash = SubmitOptions { class: Some(0), ..SubmitOptions::default() };
    assert_eq!(
        submit(&Address::Short("12345".into()), "é→", &flash).unwrap()[0].hex,
        "00010005812143F500180400E92192"
    );
}

#[test]
fn parts_are_as_long_as_their_alphabet_and_reference_allow() {
    let count = |text: &str, wide| {
        let options = SubmitOptions { wide, ..SubmitOptions::default() };
        submit(&phone("+12065550101"), text, &options).unwrap().len()
    };
    assert_eq!(count("", false), 1);
    assert_eq!(count(&"a".repeat(160), false), 1);
    assert_eq!(count(&"a".repeat(161), false), 2);
    assert_eq!(count(&"a".repeat(306), false), 2);
    assert_eq!(count(&"a".repeat(307), false), 3);
    assert_eq!(count(&"a".repeat(304), true), 2);
    assert_eq!(count(&"a".repeat(305), true), 3);
    assert_eq!(count(&"€".repeat(80), false), 1);
    // 76 escapes fill 152 of 153 septets.
    assert_eq!(count(&"€".repeat(152), false), 2);
    assert_eq!(count(&"€".repeat(153), false), 3);
    assert_eq!(count(&"ж".repeat(70), false), 1);
    assert_eq!(count(&"ж".repeat(134), false), 2);
    assert_eq!(count(&"ж".repeat(135), false), 3);
    assert_eq!(count(&"😀".repeat(35), false), 1);
    // 33 pairs fill 66 of 67 units.
    assert_eq!(count(&"😀".repeat(67), false), 3);
    let too_long = submit(&phone("+12065550101"), &"a".repeat(153 * 256), &SubmitOptions::default());
    assert_eq!(too_long, Err(PduError::TooLong(256)));
}

#[test]
fn no_part_ends_inside_a_character() {
    for text in
        ["😀".repeat(200), format!("a{}", "😀".repeat(200)), "€".repeat(300), format!("a{}", "€".repeat(300))]
    {
        for wide in [false, true] {
            for pdu in deliver_parts(&text, wide) {
                let part = got(&pdu.hex).text();
                assert!(text.contains(&part), "{part:?}");
            }
        }
    }
}

#[test]
fn a_name_cannot_be_answered_nor_a_wrong_class_sent() {
    let to = Address::Alpha("BANK".into());
    assert_eq!(submit(&to, "hi", &SubmitOptions::default()), Err(PduError::Recipient));
    let class = SubmitOptions { class: Some(4), ..SubmitOptions::default() };
    assert_eq!(submit(&phone("+12065550101"), "hi", &class), Err(PduError::Class(4)));
}

fn gsm_text() -> impl Strategy<Value = String> {
    let characters: Vec<char> = crate::types::gsm7::DEFAULT
        .into_iter()
        .chain(crate::types::gsm7::EXTENSION.map(|(_, c)| c))
        .collect();
    proptest::collection::vec(proptest::sample::select(characters), 0..1500)
        .prop_map(|characters| characters.into_iter().collect())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        gsm_text(),
        proptest::collection::vec(any::<char>(), 0..330).prop_map(|c| c.into_iter().collect::<String>()),
        "[a-zé€😀👩🏽‍🔧ж]{0,600}",
    ]
}

fn joined(pdus: &[EncodedPdu], direction: Direction) -> String {
    let parts: Vec<UserData> = pdus
        .iter()
        .map(|pdu| {
            assert_eq!(usize::from(pdu.length), pdu.hex.len() / 2 - 1);
            match decode(&pdu.hex, direction, None).unwrap() {
                Pdu::Deliver(deliver) => {
                    assert!(deliver.notes.is_empty(), "{:?}", deliver.notes);
                    deliver.data
                }
                Pdu::Submit(submit) => {
                    assert!(submit.notes.is_empty(), "{:?}", submit.notes);
                    submit.data
                }
                Pdu::StatusReport(report) => panic!("{report:?}"),
            }
        })
        .collect();
    join(&parts.iter().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn decode_of_encode_is_the_same_text(text in any_text(), reference: u16, wide: bool, report: bool, class in proptest::option::of(0..4_u8), minutes in proptest::option::of(0..800_000_u64)) {
        let validity = minutes.map(|m| std::time::Duration::from_secs(m * 60));
        let options = SubmitOptions { reference, wide, report, validity, class };
        let to = phone("+12065550101");
        let pdus = submit(&to, &text, &options).unwrap();
        prop_assert_eq!(joined(&pdus, Direction::ToSc), text.clone());
        let total = pdus.len();
        for (number, pdu) in (1_usize..).zip(&pdus) {
            let Ok(Pdu::Submit(part)) = decode(&pdu.hex, Direction::ToSc, None) else { panic!("not a SUBMIT") };
            prop_assert_eq!(&part.to, &to);
            prop_assert_eq!(part.report, report);
            prop_assert_eq!(part.class, class);
            prop_assert_eq!(part.validity.is_some(), validity.is_some());
            let expected = (total > 1).then_some((number, total, wide, if wide { reference } else { reference & 0xFF }));
            prop_assert_eq!(part.concat.map(|c| (usize::from(c.part), usize::from(c.total), c.wide, c.reference)), expected);
        }
        prop_assert_eq!(joined(&deliver_parts(&text, wide), Direction::FromSc), text);
    }

    #[test]
    fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), mo: bool) {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        read_everything(&hex, mo);
    }

    #[test]
    fn random_text_never_panics(text in ".{0,60}", mo: bool) {
        read_everything(&text, mo);
    }

    #[test]
    fn a_damaged_pdu_never_panics(text in any_text(), wide: bool, at: prop::sample::Index, to: u8, cut: prop::sample::Index, mo: bool) {
        let pdus = if mo {
            submit(&phone("+12065550101"), &text, &SubmitOptions { wide, ..SubmitOptions::default() }).unwrap()
        } else {
            deliver_parts(&text, wide)
        };
        let mut hex = pdus[0].hex.clone();
        let at = at.index(hex.len() / 2) * 2;
        hex.replace_range(at..at + 2, &format!("{to:02X}"));
        read_everything(&hex, mo);
        read_everything(&hex[..cut.index(hex.len())], mo);
    }

    #[test]
    fn every_time_that_can_be_written_comes_back(seconds in 631_152_000_i64..3_755_000_000, quarters in -56_i8..=56) {
        let time = Timestamp { utc: Wall(seconds * 1000), quarters };
        if let Some(octets) = time.octets() {
            prop_assert_eq!(Timestamp::read(octets), Some(time));
        }
    }
}

fn read_everything(hex: &str, mo: bool) {
    let direction = if mo { Direction::ToSc } else { Direction::FromSc };
    match decode(hex, direction, Some("1")) {
        Ok(Pdu::Deliver(deliver)) => {
            drop((deliver.text(), deliver.timestamp.map(|t| t.to_string())));
        }
        Ok(Pdu::Submit(submit)) => drop(submit.text()),
        Ok(Pdu::StatusReport(report)) => drop((report.delivery(), report.discharge.map(|t| t.to_string()))),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
