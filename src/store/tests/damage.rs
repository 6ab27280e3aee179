//! Damaged files, strange files, newer files, second daemons.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

fn filled(path: &Path) {
    let store = opened(path);
    let shop = main_shop();
    let rows = (0..400).map(|n| Op::PutMessage(message(&shop, &format!("SM{n}"), MessageStatus::Received)));
    put(&store, rows.collect());
    put(
        &store,
        vec![
            Op::PutMessage(message(&shop, "SMout", MessageStatus::Queued)),
            Op::PutPart(part(&shop, "SMout", 1, PartState::Queued)),
        ],
    );
    store.close().unwrap();
}

/// Overwrites the middle of the file.
fn spoil(path: &Path) {
    let file = OpenOptions::new().write(true).open(path.join(FILE)).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&[0x5a; 3 * 4096], length / 2 / 4096 * 4096).unwrap();
}

fn damaged_files(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains("damaged"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_damaged_file_is_moved_aside_and_an_empty_one_takes_its_place() {
    let dir = directory();
    filled(dir.path());
    spoil(dir.path());
    let before = fs::read(dir.path().join(FILE)).unwrap();
    let (store, snapshot, notices) = open_at(dir.path());
    let [Notice::Damaged { moved_to, .. }, Notice::StartedEmpty] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert_eq!(fs::read(moved_to).unwrap(), before, "kept as it was");
    assert_eq!(snapshot.parts_open, []);
    put(&store, vec![Op::AddAudit(audit(&main_shop(), "goes on"))]);
    drop(store);
    opened(dir.path()).close().unwrap();
    // A second time at the same moment: neither is lost.
    spoil(dir.path());
    open_at(dir.path()).0.close().unwrap();
    assert_eq!(damaged_files(dir.path()).len(), 2);
}

#[test]
fn the_newest_good_copy_takes_a_damaged_files_place_and_nothing_in_it_is_sent_again() {
    let dir = directory();
    filled(dir.path());
    let store = opened(dir.path());
    let good = wait(store.backup(NOW.wall)).unwrap();
    let bad = wait(store.backup(NOW.wall)).unwrap();
    store.close().unwrap();
    fs::write(&bad, "not a database").unwrap();
    spoil(dir.path());
    let (store, snapshot, notices) = open_at(dir.path());
    assert!(matches!(&notices[..], [Notice::Damaged { .. }, Notice::Restored { from }] if *from == good));
    assert!(snapshot.restored);
    let (message, parts) = &snapshot.parts_open[0];
    assert_eq!((message.status, parts[0].state), (MessageStatus::Unknown, PartState::Unknown));
    let filter = MessageFilter { limit: 1000, ..MessageFilter::default() };
    assert_eq!(wait(store.read(move |r| r.messages(&main_shop(), &filter))).unwrap().len(), 401);
    store.close().unwrap();
    assert!(!open_at(dir.path()).1.restored);
}

#[test]
fn garbage_half_a_header_and_a_cut_file_are_damage_and_an_empty_file_is_new() {
    for content in [vec![0x42; 9000], b"SQLite format 3\0".to_vec()] {
        let dir = directory();
        fs::write(dir.path().join(FILE), &content).unwrap();
        let notices = open_at(dir.path()).2;
        assert!(matches!(&notices[..], [Notice::Damaged { .. }, Notice::StartedEmpty]), "{notices:?}");
    }
    let dir = directory();
    filled(dir.path());
    let length = fs::metadata(dir.path().join(FILE)).unwrap().len();
    OpenOptions::new().write(true).open(dir.path().join(FILE)).unwrap().set_len(length / 3).unwrap();
    assert!(matches!(&open_at(dir.path()).2[..], [Notice::Damaged { .. }, Notice::StartedEmpty]));
    let dir = directory();
    fs::write(dir.path().join(FILE), "").unwrap();
    assert_eq!(open_at(dir.path()).2, []);
}

#[test]
fn a_large_file_is_checked_later_and_put_aside_at_the_start_after_a_fault_was_found() {
    let dir = directory();
    filled(dir.path());
    let large = Options { check_up_to: 0, ..options(dir.path()) };
    let (store, _, notices) = open(&large, NOW).unwrap();
    assert!(matches!(&notices[..], [Notice::NotChecked { .. }]), "{notices:?}");
    assert_eq!(wait(store.check(Check::Quick)).unwrap(), Ok(()));
    store.close().unwrap();
    // An index that has a row too many: every page is in order, and the daemon starts.
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "PRAGMA writable_schema = ON;
         CREATE TABLE aside AS SELECT * FROM sqlite_schema WHERE name = 'message_created';
         DELETE FROM sqlite_schema WHERE name = 'message_created';",
    )
    .unwrap();
    drop(conn);
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "DELETE FROM message WHERE id = 'SM7';
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM aside;",
    )
    .unwrap();
    drop(conn);
    let (store, _, _) = open(&large, NOW).unwrap();
    assert!(wait(store.check(Check::Quick)).unwrap().is_err());
    store.close().unwrap();
    let (store, _, notices) = open(&large, NOW).unwrap();
    assert!(matches!(&notices[..], [Notice::Damaged { .. }, Notice::StartedEmpty]), "{notices:?}");
    store.close().unwrap();
    assert!(matches!(&open(&large, NOW).unwrap().2[..], [Notice::NotChecked { .. }]));
}

#[test]
fn a_column_that_lost_its_name_is_damage_like_any_other() {
    let dir = directory();
    filled(dir.path());
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch("ALTER TABLE dealer_order RENAME COLUMN execution_sid TO execution_s1d").unwrap();
    drop(conn);
    let (_, _, notices) = open_at(dir.path());
    assert!(matches!(&notices[..], [Notice::Damaged { .. }, Notice::StartedEmpty]), "{notices:?}");
    assert_eq!(damaged_files(dir.path()).len(), 1);
}

#[test]
fn random_damage_is_found_or_harmless_and_never_a_panic() {
    let dir = directory();
    filled(dir.path());
    let whole = fs::read(dir.path().join(FILE)).unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut found = 0;
    for _ in 0..40 {
        let dir = directory();
        let mut bytes = whole.clone();
        for _ in 0..20 {
            let at = random(bytes.len());
            bytes[at] ^= 0xff;
        }
        fs::write(dir.path().join(FILE), &bytes).unwrap();
        match open(&options(dir.path()), NOW) {
            Ok((_, _, notices)) => found += usize::from(!notices.is_empty()),
            // Our mark itself was hit.
            Err(StoreError::Foreign { .. }) => found += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(found > 10, "{found} of 40");
}

#[test]
fn a_row_that_cannot_be_read_is_left_out_and_reported() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    put(
        &store,
        vec![
            Op::PutExecution(execution(&shop, "FN1")),
            Op::PutExecution(execution(&shop, "FN2")),
            Op::PutConversation(conversation(&shop, "CH1", "+12065550101")),
        ],
    );
    store.close().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "UPDATE execution SET state = '{\"x\":{\"$blob\":\"feed\"}}' WHERE sid = 'FN1';
         UPDATE conversation SET state = '{half';",
    )
    .unwrap();
    drop(conn);
    let (_, snapshot, notices) = open_at(dir.path());
    assert_eq!(snapshot.executions, [execution(&shop, "FN2")]);
    assert_eq!(snapshot.conversations, []);
    let tables: Vec<_> = notices
        .iter()
        .map(|n| if let Notice::BadRow { table, .. } = n { *table } else { panic!("{n:?}") })
        .collect();
    assert_eq!(tables, ["conversation", "execution"]);
}

#[test]
fn a_second_daemon_is_refused_with_clear_text_and_a_tool_may_read() {
    let dir = directory();
    let store = opened(dir.path());
    put(&store, vec![Op::AddAudit(audit(&main_shop(), "x"))]);
    let refused = open(&options(dir.path()), NOW).err().unwrap();
    assert!(refused.to_string().contains("another backroom"), "{refused}");
    assert_eq!(Reader::open(dir.path()).unwrap().audit(&main_shop(), 9).unwrap().len(), 1);
    store.close().unwrap();
    opened(dir.path());
}

#[test]
fn a_newer_major_is_refused_with_clear_text_and_left_as_it_is() {
    let dir = directory();
    filled(dir.path());
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch("INSERT INTO schema_version VALUES (99, 2, 'later', '9.0.0', 0)").unwrap();
    drop(conn);
    let refused = open(&options(dir.path()), NOW).err().unwrap().to_string();
    assert!(refused.contains("newer backroom (schema 2, this one knows 1)"), "{refused}");
    assert!(Reader::open(dir.path()).is_err());
    assert_eq!(damaged_files(dir.path()), [""; 0]);
}

#[test]
fn a_newer_minor_is_used_and_reported() {
    let dir = directory();
    filled(dir.path());
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "INSERT INTO schema_version VALUES (99, 1, 'later', '9.9.9', 0);
         ALTER TABLE message ADD COLUMN language TEXT;",
    )
    .unwrap();
    drop(conn);
    let (store, _, notices) = open_at(dir.path());
    assert_eq!(notices, [Notice::NewerMinor { found: 99, known: schema::known().number }]);
    put(&store, vec![Op::PutMessage(message(&main_shop(), "SMnew", MessageStatus::Received))]);
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_is() {
    let dir = directory();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(conn);
    let refused = open(&options(dir.path()), NOW).err().unwrap();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert_eq!(damaged_files(dir.path()), [""; 0]);
}

#[test]
fn directory_and_files_are_closed_to_others() {
    let dir = directory();
    let path = dir.path().join("var/backroom");
    let store = opened(&path);
    put(&store, vec![Op::AddAudit(audit(&main_shop(), "x"))]);
    wait(store.backup(NOW.wall)).unwrap();
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut seen = 0;
    for folder in [path.clone(), path.join("backups")] {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "database, log, index, lock, reserve, copy: {seen}");
}

#[test]
fn copies_are_numbered_and_the_oldest_go() {
    let dir = directory();
    filled(dir.path());
    let store = opened(dir.path());
    let copies: Vec<PathBuf> = (0..5).map(|_| wait(store.backup(NOW.wall)).unwrap()).collect();
    let left: Vec<PathBuf> = backup::list(dir.path()).unwrap().into_iter().map(|(_, p)| p).collect();
    assert_eq!(left, copies[2..]);
}

/// Each released version that changed the schema, and how many migrations made its tables.
const RELEASED: [(&str, usize); 4] = [("0.1.0", 1), ("0.2.0", 2), ("0.3.0", 3), ("0.4.0", 4)];

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-{version}.db"))
}

fn fixture_ops(shop: &ShopId) -> Vec<Op> {
    vec![
        Op::PutConversation(conversation(shop, "CH1", "+12065550101")),
        Op::PutMessage(message(shop, "SM1", MessageStatus::Received)),
        Op::PutMessage(message(shop, "SM2", MessageStatus::Queued)),
        Op::PutPart(part(shop, "SM2", 1, PartState::Queued)),
        Op::PutReceived(received(shop, "R1", 1, "0791", ReceivedKind::Part)),
        Op::PutExecution(execution(shop, "FN1")),
        Op::AddStep(step(shop, "FN1", 1)),
        Op::PutTimer(timer(shop, "exec/FN1/1")),
        Op::PutOrder(order_row(shop, "OR1", "queued")),
        Op::PutCached(cached(shop, "/api/a")),
        Op::AddConsent(consent(shop, "+12065550102", true)),
        Op::PutSetting(setting(shop, "shop.name", json!("Green Mowers"))),
        Op::PutFlow(flow(shop, "Main_Menu", 1, true)),
        Op::AddAudit(audit(shop, "first")),
        Op::PutCall(Box::new(call(shop, "CA1"))),
        Op::PutCall(Box::new(ended(outgoing_call(shop, "CA2"), EndCause::Hangup))),
        Op::PutBindings(bindings(shop, "front", json!([{"contact": "sip:front@192.0.2.1"}]))),
    ]
}

/// Run by hand at a release that changed the schema: `cargo test --lib write_fixture -- --ignored`. A fixture that is
/// there stays.
#[test]
#[ignore = "writes tests/fixtures/store-<version>.db"]
fn write_fixture() {
    let dir = directory();
    let store = opened(dir.path());
    put(&store, fixture_ops(&main_shop()));
    let copy = wait(store.backup(NOW.wall)).unwrap();
    let (version, _) = RELEASED.last().unwrap();
    assert!(!fixture(version).exists(), "{version} was released");
    fs::copy(copy, fixture(version)).unwrap();
}

#[test]
fn the_database_of_every_released_version_opens_with_all_that_is_in_it() {
    for (version, _) in RELEASED {
        opens(version);
    }
}

fn opens(version: &str) {
    let dir = directory();
    fs::copy(fixture(version), dir.path().join(FILE)).unwrap();
    let (store, snapshot, notices) = open_at(dir.path());
    let newest = RELEASED.last().is_some_and(|(newest, _)| *newest == version);
    match notices.as_slice() {
        [] => assert!(newest, "{version} is migrated"),
        [Notice::Migrated { .. }] => assert!(!newest),
        other => panic!("{version}: {other:?}"),
    }
    let shop = main_shop();
    assert_eq!(snapshot.executions, [execution(&shop, "FN1")]);
    assert_eq!(snapshot.orders, [order_row(&shop, "OR1", "queued")]);
    assert_eq!(snapshot.timers, [timer(&shop, "exec/FN1/1")]);
    assert_eq!(snapshot.parts_waiting, [received(&shop, "R1", 1, "0791", ReceivedKind::Part)]);
    assert_eq!(snapshot.blocks, [(shop.clone(), "+12065550102".to_owned())]);
    assert_eq!(snapshot.flows, [flow(&shop, "Main_Menu", 1, true)]);
    assert_eq!(snapshot.settings, [setting(&shop, "shop.name", json!("Green Mowers"))]);
    assert_eq!(wait(store.cached(&shop, "/api/a")).unwrap(), Some(cached(&shop, "/api/a")));
    if newest {
        assert_eq!(snapshot.calls_open, [call(&shop, "CA1")]);
        assert_eq!(snapshot.calls_charged, [ended(outgoing_call(&shop, "CA2"), EndCause::Hangup)]);
        assert_eq!(snapshot.bindings.len(), 1);
        assert_eq!(snapshot.sids.len(), 2);
    }
    put(&store, vec![Op::AddStep(step(&shop, "FN1", 2)), Op::PutCall(Box::new(call(&shop, "CA9")))]);
}

#[test]
fn a_migration_that_was_released_is_not_rewritten() {
    let schema = |conn: &rusqlite::Connection| {
        let mut query = conn.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        rows.collect::<Result<Vec<(String, Option<String>)>, _>>().unwrap()
    };
    for (version, migrations) in RELEASED {
        let dir = directory();
        fs::copy(fixture(version), dir.path().join(FILE)).unwrap();
        let released = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
        let fresh = rusqlite::Connection::open_in_memory().unwrap();
        for migration in schema::sql_for_tests(migrations) {
            fresh.execute_batch(migration).unwrap();
        }
        assert_eq!(schema(&fresh), schema(&released), "what {version} made is changed by a new migration");
    }
}
