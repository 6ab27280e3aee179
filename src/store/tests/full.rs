//! A full disk: the bound on the file's size stands in for it.

use super::*;

#[test]
fn a_full_disk_holds_commits_up_loses_nothing_and_they_go_on_when_there_is_room() {
    let dir = directory();
    let options = Options { reserve: 64 << 10, retry_first: Duration::from_millis(2), ..options(dir.path()) };
    let store = open(&options, NOW).unwrap().0;
    let shop = main_shop();
    put(&store, vec![Op::PutSetting(setting(&shop, "before", json!(1)))]);
    assert!(store.disk_state().reserve);
    let size = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    store.set_max_bytes(Some(size.max(200_000)));
    let mut watch = store.watch();
    let mut last = Ticket(0);
    for n in 0..200 {
        let row = setting(&shop, &format!("key{n:03}"), json!("x".repeat(4000)));
        last = store.submit(Transaction { ops: vec![Op::PutSetting(row)] }).unwrap();
    }
    let stalled = wait(watch.wait_for(|s| s.stalled.is_some())).unwrap().stalled.clone().unwrap();
    assert!(stalled.contains("disk is full"), "{stalled}");
    assert!(!store.disk_state().reserve, "the reserve was given up");
    let committed = store.watch().borrow().committed;
    assert!(committed < last);
    let readable = wait(store.read(|r| r.settings(&main_shop()))).unwrap();
    assert_eq!(readable.len() as u64, committed.0, "what was acknowledged can be read meanwhile");
    store.set_max_bytes(None);
    wait(store.committed(last)).unwrap();
    assert_eq!(store.watch().borrow().stalled, None);
    let all = wait(store.read(|r| r.settings(&main_shop()))).unwrap();
    assert_eq!(all.len(), 201);
    assert_eq!(wait(store.check(Check::Full)).unwrap(), Ok(()));
}

#[test]
fn closing_on_a_full_disk_keeps_what_was_acknowledged() {
    let dir = directory();
    let options = Options { close_patience: Duration::from_millis(10), ..options(dir.path()) };
    let store = open(&options, NOW).unwrap().0;
    store.set_max_bytes(Some(200_000));
    let shop = main_shop();
    let mut watch = store.watch();
    for n in 0..200 {
        let row = setting(&shop, &format!("key{n:03}"), json!("x".repeat(4000)));
        store.submit(Transaction { ops: vec![Op::PutSetting(row)] }).unwrap();
    }
    wait(watch.wait_for(|s| s.stalled.is_some())).unwrap();
    let committed = store.watch().borrow().committed.0;
    assert!(matches!(store.close(), Err(StoreError::NotDrained { .. })));
    let (store, snapshot, notices) = open_at(dir.path());
    assert_eq!(notices, []);
    assert!(!snapshot.was_clean_shutdown);
    assert_eq!(snapshot.settings.len() as u64, committed);
    assert!(store.disk_state().reserve, "there is room again");
}

#[test]
fn little_room_is_seen_before_the_disk_is_full() {
    let dir = directory();
    let options = Options { low_water: 1 << 20, max_bytes: Some(512 << 10), ..options(dir.path()) };
    let (store, _, notices) = open(&options, NOW).unwrap();
    assert!(store.disk_state().low);
    assert!(matches!(notices.as_slice(), [Notice::NoReserve { .. }]), "{notices:?}");
    let roomy = open(&super::options(directory().path()), NOW).unwrap().0;
    assert!(!roomy.disk_state().low);
}
