//! Order, group commit, closing.

use super::*;

fn ids(store: &Store) -> Vec<String> {
    let shop = main_shop();
    let filter = MessageFilter { limit: 100_000, ..MessageFilter::default() };
    let rows = wait(store.read_after_writes(move |r| r.messages(&shop, &filter))).unwrap();
    rows.into_iter().rev().map(|m| m.id.0).collect()
}

#[test]
fn what_was_submitted_is_there_after_a_restart_and_the_run_was_clean() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(&store, vec![Op::PutMessage(message(&shop, "SM1", MessageStatus::Received))]);
    store.submit(Transaction { ops: vec![Op::PutTimer(timer(&shop, "exec/FN1/3"))] }).unwrap();
    store.close().unwrap();
    let (store, snapshot, notices) = open_at(dir.path());
    assert_eq!(notices, []);
    assert_eq!(snapshot.timers, [timer(&shop, "exec/FN1/3")]);
    assert!(snapshot.was_clean_shutdown);
    assert_eq!(snapshot.previous_boot, Some(BootId("boot-1".to_owned())));
    assert_eq!(snapshot.last_wall, Some(NOW.wall));
    assert_eq!(ids(&store), ["SM1"]);
    drop(store);
}

#[test]
fn tickets_are_committed_in_order_and_many_in_one_commit() {
    let dir = directory();
    let store = opened(dir.path());
    let mut watch = store.watch();
    let shop = main_shop();
    for n in 1..=500u64 {
        let op = Op::PutMessage(message(&shop, &format!("SM{n}"), MessageStatus::Received));
        assert_eq!(store.submit(Transaction { ops: vec![op] }).unwrap(), Ticket(n));
    }
    let mut seen = vec![];
    wait(async {
        loop {
            let now = watch.borrow_and_update().committed;
            seen.push(now);
            if now == Ticket(500) {
                break;
            }
            watch.changed().await.unwrap();
        }
    });
    assert!(seen.is_sorted());
    assert!(seen.len() < 250, "500 transactions took {} commits", seen.len());
    let expected: Vec<String> = (1..=500).map(|n| format!("SM{n}")).collect();
    assert_eq!(ids(&store), expected);
}

#[test]
fn a_transaction_is_visible_whole_or_not_at_all() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let pair = |n: u32| {
        vec![Op::PutSetting(setting(&shop, "a", json!(n))), Op::PutSetting(setting(&shop, "b", json!(n)))]
    };
    for n in 0..200 {
        store.submit(Transaction { ops: pair(n) }).unwrap();
        let shop = shop.clone();
        let settings = wait(store.read(move |r| r.settings(&shop))).unwrap();
        let values: Vec<_> = settings.iter().map(|s| &s.value).collect();
        assert!(matches!(values.as_slice(), [] | [_, _]), "{values:?}");
        assert_eq!(values.first(), values.last());
    }
}

#[test]
fn a_full_queue_gives_the_transaction_back_and_keeps_what_it_took() {
    let dir = directory();
    let store = open(&Options { queue: 4, ..options(dir.path()) }, NOW).unwrap().0;
    let blocker = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut taken = 0;
    let refused = loop {
        let op = Op::AddAudit(audit(&main_shop(), &format!("{taken}")));
        match store.submit(Transaction { ops: vec![op] }) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    let QueueFull::Full { waiting: 4, transaction } = refused else { panic!("{refused}") };
    assert_eq!(transaction.ops.len(), 1);
    assert_eq!(store.room(), 0);
    blocker.execute_batch("COMMIT").unwrap();
    let shop = main_shop();
    let audit = wait(store.read_after_writes(move |r| r.audit(&shop, 100))).unwrap();
    assert_eq!(audit.len(), taken);
}

#[test]
fn a_held_up_writer_says_so_and_goes_on() {
    let dir = directory();
    let options = Options { busy: Duration::from_millis(1), ..options(dir.path()) };
    let store = open(&options, NOW).unwrap().0;
    let mut watch = store.watch();
    let blocker = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ticket = store.submit(Transaction { ops: vec![Op::AddAudit(audit(&main_shop(), "x"))] }).unwrap();
    let stalled = wait(watch.wait_for(|s| s.stalled.is_some())).unwrap().stalled.clone().unwrap();
    assert!(stalled.contains("another program"), "{stalled}");
    blocker.execute_batch("COMMIT").unwrap();
    wait(store.committed(ticket)).unwrap();
    assert_eq!(store.watch().borrow().stalled, None);
}

#[test]
fn a_transaction_that_can_never_succeed_ends_the_writer_and_leaves_nothing_of_its_batch() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(&store, vec![Op::AddAudit(audit(&shop, "before"))]);
    let orphan = store
        .submit(Transaction {
            ops: vec![
                Op::AddAudit(audit(&shop, "with the orphan")),
                Op::PutPart(part(&shop, "SM404", 1, PartState::Queued)),
            ],
        })
        .unwrap();
    let why = wait(store.committed(orphan)).unwrap_err().to_string();
    assert!(why.contains("FOREIGN KEY"), "{why}");
    assert!(store.watch().borrow().fatal.is_some());
    let later = store.submit(Transaction::default());
    assert!(matches!(later, Err(QueueFull::Stopped { .. })));
    assert!(store.close().is_err());
    let (store, snapshot, notices) = open_at(dir.path());
    assert_eq!(notices, []);
    assert!(!snapshot.was_clean_shutdown);
    let audit = wait(store.read(move |r| r.audit(&shop, 10))).unwrap();
    assert_eq!(audit.iter().map(|a| a.what.as_str()).collect::<Vec<_>>(), ["before"]);
}

#[test]
fn closing_a_held_up_store_gives_up_in_time_and_says_how_much_is_lost() {
    let dir = directory();
    let options = Options {
        busy: Duration::from_millis(1),
        close_patience: Duration::from_millis(20),
        ..options(dir.path())
    };
    let store = open(&options, NOW).unwrap().0;
    let blocker = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.submit(Transaction { ops: vec![Op::AddAudit(audit(&main_shop(), "x"))] }).unwrap();
    let error = store.close().unwrap_err();
    assert!(matches!(error, StoreError::NotDrained { count: 1, .. }), "{error}");
}

#[test]
fn a_panicking_read_is_an_error_and_the_next_one_is_answered() {
    let dir = directory();
    let store = open(&Options { readers: 1, ..options(dir.path()) }, NOW).unwrap().0;
    let lost: Result<(), _> = wait(store.read(|_| panic!("on purpose")));
    assert!(lost.is_err());
    assert_eq!(wait(store.read(|r| r.settings(&main_shop()))).unwrap(), []);
}
