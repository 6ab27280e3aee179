//! What each operation leaves in the database, and what the snapshot takes up again.

use super::*;

fn status_of(store: &Store, id: &str) -> MessageStatus {
    let id = MessageId::from(id);
    wait(store.read(move |r| r.message(&main_shop(), &id))).unwrap().unwrap().0.status
}

#[test]
fn rows_come_back_as_they_were_put() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let (text, sent) =
        (message(&shop, "SM1", MessageStatus::Received), message(&shop, "SM2", MessageStatus::Sending));
    let parts = vec![part(&shop, "SM2", 1, PartState::Sent), part(&shop, "SM2", 2, PartState::Handed)];
    let mut pdu = received(&shop, "R1", 4, "0791", ReceivedKind::Part);
    pdu.message = Some(MessageId::from("SM1"));
    put(
        &store,
        vec![
            Op::PutMessage(text.clone()),
            // A part may stand before its message: they are one transaction.
            Op::PutPart(parts[1].clone()),
            Op::PutPart(parts[0].clone()),
            Op::PutMessage(sent.clone()),
            Op::PutReceived(pdu.clone()),
            Op::PutConversation(conversation(&shop, "CH1", "+12065550101")),
            Op::AddStep(step(&shop, "FN1", 1)),
            Op::AddStep(step(&shop, "FN1", 2)),
            Op::AddStep(step(&shop, "FN1", 1)),
            Op::PutExecution(execution(&shop, "FN1")),
            Op::PutTimer(timer(&shop, "exec/FN1/1")),
            Op::PutOrder(order_row(&shop, "OR1", "queued")),
            Op::PutCached(cached(&shop, "/api/x")),
            Op::AddConsent(consent(&shop, "+12065550101", true)),
            Op::PutFlow(flow(&shop, "Main_Menu", 1, true)),
            Op::AddAudit(audit(&shop, "first")),
        ],
    );
    wait(store.read(move |r| {
        let shop = &main_shop();
        assert_eq!(r.message(shop, &text.id)?, Some((text.clone(), vec![])));
        assert_eq!(r.message(shop, &sent.id)?, Some((sent, parts)));
        assert_eq!(r.received(shop, &text.id)?, [pdu]);
        assert_eq!(r.conversation(shop, "+12065550101")?, Some(conversation(shop, "CH1", "+12065550101")));
        assert_eq!(r.steps(shop, &ExecutionSid::from("FN1"))?, [step(shop, "FN1", 1), step(shop, "FN1", 2)]);
        assert_eq!(r.execution(shop, &ExecutionSid::from("FN1"))?, Some(execution(shop, "FN1")));
        assert_eq!(r.timers(shop)?, [timer(shop, "exec/FN1/1")]);
        assert_eq!(r.order(shop, &OrderId::from("OR1"))?, Some(order_row(shop, "OR1", "queued")));
        assert_eq!(r.cached(shop, "/api/x")?, Some(cached(shop, "/api/x")));
        assert_eq!(r.consent(shop, "+12065550101")?, [consent(shop, "+12065550101", true)]);
        assert_eq!(r.flows(shop)?, [flow(shop, "Main_Menu", 1, true)]);
        assert_eq!(r.audit(shop, 10)?, [audit(shop, "first")]);
        Ok(())
    }))
    .unwrap();
}

#[test]
fn a_large_value_is_stored_once_for_the_state_and_the_steps_of_all_turns() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    for number in 1..=20 {
        put(&store, vec![Op::PutExecution(execution(&shop, "FN1")), Op::AddStep(step(&shop, "FN1", number))]);
    }
    store.close().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    let (blobs, rows): (i64, i64) = conn
        .query_row("SELECT (SELECT count(*) FROM blob), (SELECT sum(length(delta)) FROM step)", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    assert_eq!(blobs, 1);
    assert!(rows < 20 * 150, "{rows}");
}

#[test]
fn what_the_network_said_of_a_message_is_not_unsaid() {
    use MessageStatus::{Delivered, Failed, Queued, Received, Sending, Sent, Undelivered, Unknown};
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let moves = [
        (Delivered, Sent, false),
        (Delivered, Unknown, false),
        (Sent, Queued, false),
        (Sent, Sending, false),
        (Sent, Unknown, false),
        (Received, Failed, false),
        (Sent, Delivered, true),
        (Sent, Undelivered, true),
        (Sending, Queued, true),
        (Unknown, Delivered, true),
        (Unknown, Queued, true),
        (Failed, Queued, true),
        (Undelivered, Delivered, true),
    ];
    for (at, (from, to, goes)) in moves.into_iter().enumerate() {
        let id = format!("SM{at}");
        put(&store, vec![Op::PutMessage(message(&shop, &id, from))]);
        put(&store, vec![Op::PutMessage(message(&shop, &id, to))]);
        assert_eq!(status_of(&store, &id), if goes { to } else { from }, "{from:?} to {to:?}");
    }
}

#[test]
fn a_part_that_was_delivered_stays_delivered() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(
        &store,
        vec![
            Op::PutMessage(message(&shop, "SM1", MessageStatus::Sending)),
            Op::PutPart(part(&shop, "SM1", 1, PartState::Delivered)),
            Op::PutPart(part(&shop, "SM1", 1, PartState::Sent)),
            Op::PutPart(part(&shop, "SM1", 2, PartState::Sent)),
            Op::PutPart(part(&shop, "SM1", 2, PartState::Failed)),
        ],
    );
    let parts = wait(store.read(|r| r.message(&main_shop(), &MessageId::from("SM1")))).unwrap().unwrap().1;
    assert_eq!(parts.iter().map(|p| p.state).collect::<Vec<_>>(), [PartState::Delivered, PartState::Failed]);
}

#[test]
fn a_slot_found_again_with_the_same_pdu_is_one_row_and_with_another_keeps_both() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let unfreed = || wait(store.load(NOW)).unwrap().0.received_unfreed;
    put(&store, vec![Op::PutReceived(received(&shop, "R1", 3, "AA", ReceivedKind::Part))]);
    put(&store, vec![Op::PutReceived(received(&shop, "R2", 3, "AA", ReceivedKind::Part))]);
    assert_eq!(unfreed(), [received(&shop, "R2", 3, "AA", ReceivedKind::Part)]);
    put(&store, vec![Op::PutReceived(received(&shop, "R3", 3, "BB", ReceivedKind::Text))]);
    assert_eq!(unfreed(), [received(&shop, "R3", 3, "BB", ReceivedKind::Text)]);
    let waiting = wait(store.load(NOW)).unwrap().0.parts_waiting;
    assert_eq!(waiting.iter().map(|r| (r.id.as_str(), r.freed)).collect::<Vec<_>>(), [("R2", true)]);
    let mut late = received(&shop, "R2", 3, "AA", ReceivedKind::Part);
    late.freed = true;
    put(&store, vec![Op::PutReceived(late)]);
    assert_eq!(unfreed().len(), 1);
}

#[test]
fn stop_blocks_start_frees_and_the_log_keeps_both_for_good() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(&store, vec![Op::AddConsent(consent(&shop, "+12065550101", true))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.blocks, [(shop.clone(), "+12065550101".to_owned())]);
    put(&store, vec![Op::AddConsent(consent(&shop, "+12065550101", false))]);
    assert_eq!(wait(store.load(NOW)).unwrap().0.blocks, []);
    let log = wait(store.read(|r| r.consent(&main_shop(), "+12065550101"))).unwrap();
    assert_eq!(log.iter().map(|c| c.blocked).collect::<Vec<_>>(), [true, false]);
    store.close().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    for sql in ["DELETE FROM consent", "UPDATE consent SET blocked = 0"] {
        let refused = conn.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

#[test]
fn a_changed_setting_leaves_its_audit_row_and_the_same_value_none() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    for value in [json!("8-17"), json!("8-17"), json!("9-18"), json!(null), json!(null)] {
        put(&store, vec![Op::PutSetting(setting(&shop, "hours.monday", value))]);
    }
    let (settings, audit) = wait(store.read(|r| {
        let shop = main_shop();
        Ok((r.settings(&shop)?, r.audit(&shop, 10)?))
    }))
    .unwrap();
    assert_eq!(settings, []);
    let said: Vec<_> =
        audit.iter().rev().map(|a| (a.detail["from"].clone(), a.detail["to"].clone())).collect();
    assert_eq!(
        said,
        [(json!(null), json!("8-17")), (json!("8-17"), json!("9-18")), (json!("9-18"), json!(null))]
    );
    assert!(audit.iter().all(|a| a.who == "owner" && a.detail["key"] == "hours.monday"));
}

#[test]
fn one_revision_is_published_and_pinned_ones_are_loaded_beside_it() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let mut rewritten = flow(&shop, "Main_Menu", 1, false);
    rewritten.definition = "something else".to_owned();
    put(
        &store,
        vec![
            Op::PutFlow(flow(&shop, "Main_Menu", 1, true)),
            Op::PutFlow(flow(&shop, "Main_Menu", 2, true)),
            Op::PutFlow(flow(&shop, "Main_Menu", 3, true)),
            Op::PutFlow(flow(&shop, "Main_Menu", 4, false)),
            Op::PutFlow(rewritten),
            Op::PutExecution(execution(&shop, "FN1")),
        ],
    );
    let loaded = wait(store.load(NOW)).unwrap().0.flows;
    assert_eq!(loaded, [flow(&shop, "Main_Menu", 1, false), flow(&shop, "Main_Menu", 3, true)]);
    let mut over = execution(&shop, "FN1");
    over.ended = Some("completed".to_owned());
    put(&store, vec![Op::PutExecution(over)]);
    let (snapshot, _) = wait(store.load(NOW)).unwrap();
    assert_eq!(snapshot.flows, [flow(&shop, "Main_Menu", 3, true)]);
    assert_eq!(snapshot.executions, []);
}

#[test]
fn a_dropped_prefix_is_taken_literally() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let keys = ["/api/a%b/1", "/api/a%b/2", "/api/axb/1", "/api/a", "/api/b"];
    put(&store, keys.iter().map(|k| Op::PutCached(cached(&shop, k))).collect());
    put(&store, vec![Op::DropCached(shop, "/api/a%b".to_owned())]);
    let left: Vec<bool> =
        keys.iter().map(|k| wait(store.cached(&main_shop(), k)).unwrap().is_some()).collect();
    assert_eq!(left, [false, false, true, true, true]);
}

#[test]
fn the_snapshot_takes_up_what_is_open_and_leaves_what_is_settled() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let out = |id: &str, status, state, age_days: i64| {
        let mut part = part(&shop, id, 1, state);
        part.updated = Wall(NOW.wall.0 - age_days * 86_400_000);
        [Op::PutMessage(message(&shop, id, status)), Op::PutPart(part)]
    };
    let mut ops = vec![
        Op::PutMessage(message(&shop, "SM0", MessageStatus::Received)),
        Op::PutMessage(message(&shop, "SM1", MessageStatus::Queued)),
        Op::PutOrder(order_row(&shop, "OR1", "confirmed")),
        Op::PutOrder(order_row(&shop, "OR2", "handed")),
    ];
    ops.extend(out("SM2", MessageStatus::Sending, PartState::Handed, 0));
    ops.extend(out("SM3", MessageStatus::Sent, PartState::Sent, 1));
    ops.extend(out("SM4", MessageStatus::Sent, PartState::Sent, 4));
    ops.extend(out("SM5", MessageStatus::Delivered, PartState::Delivered, 0));
    ops.extend(out("SM6", MessageStatus::Unknown, PartState::Unknown, 90));
    let mut asleep = conversation(&shop, "CH2", "+12065550102");
    asleep.active = false;
    ops.push(Op::PutConversation(conversation(&shop, "CH1", "+12065550101")));
    ops.push(Op::PutConversation(asleep.clone()));
    put(&store, ops);
    let (snapshot, notices) = wait(store.load(NOW)).unwrap();
    assert_eq!(notices, []);
    let open: Vec<_> = snapshot.parts_open.iter().map(|(m, p)| (m.id.as_str(), p.len())).collect();
    assert_eq!(open, [("SM1", 0), ("SM2", 1), ("SM3", 1), ("SM6", 1)]);
    assert_eq!(snapshot.conversations, [conversation(&shop, "CH1", "+12065550101"), asleep.clone()]);
    assert_eq!(snapshot.orders, [order_row(&shop, "OR2", "handed")]);
    assert_eq!(wait(store.conversation(&shop, "+12065550102")).unwrap(), Some(asleep));
    // The clock is back in 1970: what is known of the time counts, not what the clock says.
    put(&store, vec![Op::Tick(NOW)]);
    let lost = Now { wall: Wall(0), wall_sure: false, ..NOW };
    assert_eq!(wait(store.load(lost)).unwrap().0.parts_open.len(), 4);
}

#[test]
fn only_a_sure_time_becomes_the_floor_of_the_clock() {
    let dir = directory();
    let store = opened(dir.path());
    let later = Now { wall: Wall(NOW.wall.0 + 60_000), ..NOW };
    let astray = Now { wall: Wall(4_000_000_000_000), wall_sure: false, ..NOW };
    put(&store, vec![Op::Tick(later)]);
    put(&store, vec![Op::Tick(astray)]);
    drop(store);
    let unsure = Now { wall: Wall(7), wall_sure: false, ..NOW };
    let (store, snapshot, _) = open(&options(dir.path()), unsure).unwrap();
    assert_eq!(snapshot.last_wall, Some(later.wall));
    store.close().unwrap();
    let (_, snapshot, _) = open(&options(dir.path()), unsure).unwrap();
    assert_eq!(snapshot.last_wall, Some(later.wall));
}

#[test]
fn messages_are_filtered_and_paged_newest_first() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let ops = (0..10u32)
        .map(|n| {
            let status = if n % 2 == 0 { MessageStatus::Received } else { MessageStatus::Sent };
            let mut row = message(&shop, &format!("SM{n}"), status);
            row.created = Wall(i64::from(n / 2));
            row.peer = format!("+1206555010{}", n / 5);
            row.conversation = ConversationId(format!("CH{}", n / 5));
            Op::PutMessage(row)
        })
        .collect();
    put(&store, ops);
    let ids = |filter: MessageFilter| {
        let rows = wait(store.read(move |r| r.messages(&main_shop(), &filter))).unwrap();
        rows.into_iter().map(|m| m.id.0).collect::<Vec<_>>()
    };
    let all = MessageFilter { limit: 100, ..MessageFilter::default() };
    assert_eq!(ids(MessageFilter { limit: 3, ..all.clone() }), ["SM9", "SM8", "SM7"]);
    assert_eq!(ids(MessageFilter { before: Some(Wall(1)), ..all.clone() }), ["SM1", "SM0"]);
    assert_eq!(ids(MessageFilter { since: Some(Wall(4)), ..all.clone() }), ["SM9", "SM8"]);
    assert_eq!(
        ids(MessageFilter { status: Some(MessageStatus::Sent), limit: 2, ..all.clone() }),
        ["SM9", "SM7"]
    );
    let sent = MessageFilter {
        direction: Some(Direction::Out),
        person: Some("+12065550100".to_owned()),
        conversation: Some(ConversationId::from("CH0")),
        ..all
    };
    assert_eq!(ids(sent), ["SM3", "SM1"]);
    assert_eq!(ids(MessageFilter::default()), [""; 0]);
}
