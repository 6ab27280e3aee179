//! The tables of schema 3.

use super::*;
use crate::messaging::ledger::{self, Act, Head, Origin, Scope, Statement};

fn statement(subject: &str, act: Act) -> Statement {
    Statement {
        subject: PhoneNumber::parse(subject, None).unwrap(),
        scope: Scope::Shop,
        act,
        words: "STOP".to_owned(),
        origin: Origin::Text,
        proof: "SM1".to_owned(),
        at: NOW.wall,
        sure: true,
    }
}

#[test]
fn the_consent_ledger_comes_back_as_it_was_chained_and_nothing_in_it_can_be_changed() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let mut head = Head::beginning(&shop);
    let mut rows = Vec::new();
    for (who, act) in
        [("+12065550101", Act::Block), ("+12065550102", Act::Block), ("+12065550101", Act::Unblock)]
    {
        let entry = head.append(statement(who, act));
        head = entry.head();
        rows.push(ConsentEntryRow { shop: shop.clone(), entry });
    }
    put(&store, rows.iter().cloned().map(Op::AddConsentEntry).collect());
    put(&store, vec![Op::AddConsentEntry(rows[2].clone())]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.consent, rows);
    let of = wait(store.read(|r| r.consent_entries(&main_shop(), Some("+12065550102")))).unwrap();
    assert_eq!(of, [rows[1].clone()]);
    store.close().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    assert!(conn.execute("UPDATE consent_entry SET subject = ''", []).is_err());
}

#[test]
fn what_was_said_before_there_was_a_ledger_is_handed_over_until_there_is_one() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(&store, vec![Op::AddConsent(consent(&shop, "+12065550101", true))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.consent_before, [consent(&shop, "+12065550101", true)]);
    let entry = Head::beginning(&shop).append(statement("+12065550101", Act::Block));
    put(&store, vec![Op::AddConsentEntry(ConsentEntryRow { shop, entry })]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.consent_before, []);
}

#[test]
fn a_cursor_never_goes_back() {
    let dir = directory();
    let store = opened(dir.path());
    let row = |at| CursorRow { shop: main_shop(), line: LineId::from("twilio1"), at: Wall(at) };
    put(&store, vec![Op::PutCursor(row(9)), Op::PutCursor(row(5))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.cursors, [row(9)]);
}

#[test]
fn a_file_that_is_here_stays_and_is_not_wanted_any_more() {
    let dir = directory();
    let store = opened(dir.path());
    let row = |state, bytes: Option<&[u8]>| MediaRow {
        shop: main_shop(),
        message: MessageId::from("SM1"),
        number: 1,
        line: LineId::from("twilio1"),
        url: "https://api.twilio.com/x".to_owned(),
        content_type: "image/png".to_owned(),
        state,
        note: None,
        bytes: bytes.map(<[u8]>::to_vec),
        updated: NOW.wall,
    };
    put(&store, vec![Op::PutMedia(row(MediaState::Wanted, None))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.media_wanted, [row(MediaState::Wanted, None)]);
    put(&store, vec![Op::PutMedia(row(MediaState::Kept, Some(b"\x89PNG")))]);
    put(&store, vec![Op::PutMedia(row(MediaState::Gone, None))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.media_wanted, []);
    let bytes = wait(store.read(|r| r.media_bytes(&main_shop(), &MessageId::from("SM1"), 1))).unwrap();
    assert_eq!(bytes.as_deref(), Some(b"\x89PNG".as_slice()));
}

#[test]
fn files_of_a_text_that_waits_come_back_with_it_and_their_sizes_are_known() {
    let dir = directory();
    let store = opened(dir.path());
    let mut waits = message(&main_shop(), "SM1", MessageStatus::Queued);
    let mut done = message(&main_shop(), "SM2", MessageStatus::Delivered);
    (waits.carriage.media, done.carriage.media) = (2, 2);
    let file = |message: &MessageRow, number, state, bytes: Option<&[u8]>| MediaRow {
        shop: main_shop(),
        message: message.id.clone(),
        number,
        line: LineId::from("twilio1"),
        url: "mower.jpg".to_owned(),
        content_type: "image/jpeg".to_owned(),
        state,
        note: None,
        bytes: bytes.map(<[u8]>::to_vec),
        updated: NOW.wall,
    };
    let mut ops = vec![Op::PutMessage(waits.clone()), Op::PutMessage(done.clone())];
    for row in [&waits, &done] {
        ops.push(Op::PutMedia(file(row, 2, MediaState::Linked, None)));
        ops.push(Op::PutMedia(file(row, 1, MediaState::Kept, Some(b"jpeg"))));
    }
    put(&store, ops);
    let snapshot = wait(store.load(NOW)).unwrap().0;
    let wanted = [file(&waits, 1, MediaState::Kept, None), file(&waits, 2, MediaState::Linked, None)];
    assert_eq!(snapshot.media_out, wanted);
    assert_eq!(snapshot.media_wanted, []);
    let sizes = wait(store.read(|r| r.media_sizes(&main_shop(), &MessageId::from("SM1")))).unwrap();
    assert_eq!(sizes, [(1, 4), (2, 0)]);
}

#[test]
fn events_wait_until_they_are_delivered_or_given_up() {
    let dir = directory();
    let store = opened(dir.path());
    let row = |id: &str, state| EventOutRow {
        shop: main_shop(),
        id: id.to_owned(),
        endpoint: "crm".to_owned(),
        kind: "message.received".to_owned(),
        body: "{}".to_owned(),
        state,
        attempts: 1,
        note: Some("503".to_owned()),
        seq: id[2..].parse().unwrap(),
        since: None,
        created: NOW.wall,
        updated: NOW.wall,
    };
    let rows = [
        row("EV1", EventOutState::Waiting),
        row("EV2", EventOutState::Delivered),
        row("EV3", EventOutState::Dead),
    ];
    put(&store, rows.iter().cloned().map(Op::PutEventOut).collect());
    assert_eq!(wait(store.load(NOW)).unwrap().0.events_waiting, [rows[0].clone()]);
    let dead = wait(store.read(|r| r.events_out(&main_shop(), Some(EventOutState::Dead), None, 9))).unwrap();
    assert_eq!(dead, [rows[2].clone()]);
    let stand = EventsStand { shop: main_shop(), endpoint: "crm".to_owned(), newest: 3, waiting: 1, dead: 1 };
    assert_eq!(wait(store.load(NOW)).unwrap().0.events, [stand]);
    put(&store, vec![Op::AddEventOut(row("EV3", EventOutState::Waiting))]);
    let known = wait(store.read(|r| r.event_out(&main_shop(), "EV3"))).unwrap();
    assert_eq!(known, Some(rows[2].clone()), "an event that is there stays as it is");
}

#[test]
fn a_dead_endpoint_keeps_its_queue_on_disk_and_the_first_at_hand() {
    let dir = directory();
    let store = opened(dir.path());
    let row = |seq: u64, endpoint: &str| EventOutRow {
        shop: main_shop(),
        id: format!("EV{endpoint}{seq}"),
        endpoint: endpoint.to_owned(),
        kind: "message.received".to_owned(),
        body: "{}".to_owned(),
        state: EventOutState::Waiting,
        attempts: 0,
        note: None,
        seq,
        since: Some(NOW.wall),
        created: NOW.wall,
        updated: NOW.wall,
    };
    put(&store, (1..=400).rev().map(|seq| Op::AddEventOut(row(seq, "crm"))).collect());
    put(&store, vec![Op::AddEventOut(row(1, "other"))]);
    let loaded = wait(store.load(NOW)).unwrap().0.events_waiting;
    assert_eq!(loaded.len(), EVENTS_AT_HAND as usize + 1);
    assert_eq!((loaded[0].seq, loaded[255].seq), (1, 256));
    let more = wait(store.read(|r| r.events_waiting(&main_shop(), "crm", 300))).unwrap();
    assert_eq!((more.len(), more[299].seq), (300, 300));
}

#[test]
fn old_events_leave_and_the_newest_of_each_endpoint_stays() {
    let dir = directory();
    let store = opened(dir.path());
    let row = |seq: u64, state| EventOutRow {
        shop: main_shop(),
        id: format!("EV{seq}"),
        endpoint: "crm".to_owned(),
        kind: "line.up".to_owned(),
        body: "{}".to_owned(),
        state,
        attempts: 1,
        note: None,
        seq,
        since: None,
        created: Wall(i64::try_from(seq).unwrap()),
        updated: NOW.wall,
    };
    let states = [
        EventOutState::Delivered,
        EventOutState::Dead,
        EventOutState::Waiting,
        EventOutState::Dead,
        EventOutState::Delivered,
    ];
    let rows = (1..).zip(states).map(|(seq, state)| Op::AddEventOut(row(seq, state)));
    put(&store, rows.collect());
    put(&store, vec![Op::DropEventsOut(main_shop(), Wall(9), Wall(4))]);
    let left = wait(store.read(|r| r.events_out(&main_shop(), None, None, 9))).unwrap();
    assert_eq!(left.iter().map(|r| r.seq).collect::<Vec<_>>(), [5, 4, 3]);
}

#[test]
fn the_ids_of_texts_at_upstreams_are_known_after_a_restart_and_each_is_one_text() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(&store, vec![Op::PutMessage(message(&shop, "SM1", MessageStatus::Received))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.sids, [(shop.clone(), "SM-SM1".to_owned())]);
    let found = wait(store.read(|r| r.message_by_sid(&main_shop(), "SM-SM1"))).unwrap();
    assert_eq!(found, Some(message(&shop, "SM1", MessageStatus::Received)));
}

#[test]
fn entries_over_seven_years_old_go_from_the_front_and_what_is_left_is_one_chain() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let old = Wall(NOW.wall.0 - 8 * 31_557_600_000);
    let mut head = Head::beginning(&shop);
    for (who, act, at) in [
        ("+12065550101", Act::Block, old),
        ("+12065550101", Act::Unblock, old),
        ("+12065550102", Act::Block, old),
        ("+12065550101", Act::Pause, NOW.wall),
    ] {
        let entry = head.append(Statement { at, ..statement(who, act) });
        head = entry.head();
        put(&store, vec![Op::AddConsentEntry(ConsentEntryRow { shop: shop.clone(), entry })]);
    }
    let left = || wait(store.load(NOW)).unwrap().0.consent.into_iter().map(|r| r.entry).collect::<Vec<_>>();
    put(&store, vec![Op::ExpireConsent(shop.clone(), Now { wall_sure: false, ..NOW })]);
    assert_eq!(left().len(), 4, "the clock is not sure");
    put(&store, vec![Op::ExpireConsent(shop.clone(), NOW)]);
    assert_eq!(left().len(), 4, "the person of the first one has said something since");
    let later = Now { wall: Wall(NOW.wall.0 + 8 * 31_557_600_000), ..NOW };
    put(&store, vec![Op::ExpireConsent(shop.clone(), later)]);
    let left = left();
    assert_eq!(left.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4], "a block stands as long as it holds");
    store.close().unwrap();
    let (store, snapshot, _) = open(&options(dir.path()), later).unwrap();
    let kept = snapshot.consent_kept.get(&shop).unwrap();
    assert_eq!((kept.from.seq, kept.last, kept.missing.len()), (2, head, 0));
    assert_eq!(ledger::verify(kept.from, &left, Some(kept.last)), Ok(head));
    store.close().unwrap();
}

#[test]
fn what_a_restored_copy_has_lost_is_handed_over_and_another_end_is_not() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let first = Head::beginning(&shop).append(statement("+12065550101", Act::Block));
    let second = first.head().append(statement("+12065550102", Act::Block));
    for entry in [&first, &second] {
        let row = ConsentEntryRow { shop: shop.clone(), entry: entry.clone() };
        put(&store, vec![Op::AddConsentEntry(row)]);
    }
    store.close().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute("DELETE FROM consent_entry WHERE seq = 2", []).unwrap();
    drop(conn);
    // A line that was cut off is no line.
    let path = dir.path().join("consent-ledger.jsonl");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"shop\":\"main\",\"ent");
    std::fs::write(&path, text).unwrap();
    let (store, snapshot, _) = open(&options(dir.path()), NOW).unwrap();
    assert_eq!(snapshot.consent_kept[&shop].missing.as_slice(), std::slice::from_ref(&second));
    // Another entry in its place: the copy keeps what it knows until somebody accepts the other.
    let other = first.head().append(statement("+12065550103", Act::Block));
    put(&store, vec![Op::AddConsentEntry(ConsentEntryRow { shop: shop.clone(), entry: other.clone() })]);
    store.close().unwrap();
    let (store, snapshot, _) = open(&options(dir.path()), NOW).unwrap();
    assert_eq!(snapshot.consent_kept[&shop].last, second.head());
    put(&store, vec![Op::AcceptConsent(shop.clone())]);
    store.close().unwrap();
    let (store, snapshot, _) = open(&options(dir.path()), NOW).unwrap();
    assert_eq!(snapshot.consent_kept[&shop].last, other.head());
    store.close().unwrap();
}

#[test]
fn up_to_where_an_upstream_was_told_is_kept_and_may_go_back() {
    let dir = directory();
    let store = opened(dir.path());
    let row = |entry, sender: &str| ConsentsToldRow {
        shop: main_shop(),
        line: LineId::from("twilio1"),
        sender: sender.to_owned(),
        entry,
        began: 3,
    };
    put(&store, vec![Op::PutConsentsTold(row(9, "+12065550111"))]);
    put(&store, vec![Op::PutConsentsTold(row(5, "MG1"))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.consents_told, [row(5, "MG1")]);
    assert_eq!(wait(store.read(|r| r.consents_told(&main_shop()))).unwrap(), [row(5, "MG1")]);
    assert_eq!(wait(store.read(|r| r.consents_told(&ShopId::from("other")))).unwrap(), []);
}
