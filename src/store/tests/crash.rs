//! Crashes: what was acknowledged is there, whenever the process or the power goes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const CHILD: &str = "BACKROOM_TEST_CRASH_CHILD";

fn transaction(number: u64) -> Transaction {
    let shop = main_shop();
    let id = format!("SM{number}");
    Transaction {
        ops: vec![
            Op::PutMessage(message(&shop, &id, MessageStatus::Queued)),
            Op::PutPart(part(&shop, &id, 1, PartState::Queued)),
            Op::PutPart(part(&shop, &id, 2, PartState::Queued)),
        ],
    }
}

/// Every message from 1 to the last acknowledged is there with both its parts, and no half of one.
fn assert_holds(path: &Path, acknowledged: u64) -> u64 {
    let (store, snapshot, notices) = open_at(path);
    assert_eq!(notices, []);
    assert!(!snapshot.was_clean_shutdown);
    assert!(snapshot.parts_open.iter().all(|(_, parts)| parts.len() == 2));
    let found = snapshot.parts_open.len() as u64;
    assert!(found >= acknowledged, "{acknowledged} acknowledged, {found} found");
    let last = MessageId(format!("SM{found}"));
    assert!(wait(store.read(move |r| r.message(&main_shop(), &last))).unwrap().is_some(), "no gap");
    assert_eq!(wait(store.check(Check::Full)).unwrap(), Ok(()));
    found
}

/// The child: writes until it is killed, and prints every ticket that is durable.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn crash_child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = opened(Path::new(&path));
    let mut watch = store.watch();
    for number in 1..u64::MAX {
        match store.submit(transaction(number)) {
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
        if number % 100 == 0 {
            let committed = wait(watch.wait_for(|s| s.committed.0 + 50 >= number)).unwrap().committed;
            println!("durable {}", committed.0);
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    for kill_after in [1, 3, 7] {
        let dir = directory();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "store::tests::crash::crash_child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines
            .map_while(Result::ok)
            .filter_map(|l| l.strip_prefix("durable ")?.parse().ok())
            .take(kill_after)
        {
            acknowledged = line;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(acknowledged > 0);
        assert_holds(dir.path(), acknowledged);
    }
}

/// Files as they are between two commits in the middle of the work, with a queue behind them: what a crash of the
/// machine leaves when every write reached the disk. A lock holds the writer while they are copied, or a checkpoint
/// could fall between the two. (`scripts/prove power` cuts the power under a real file system.)
#[test]
fn files_copied_in_the_middle_of_the_work_hold_what_was_acknowledged() {
    let dir = directory();
    let store = opened(dir.path());
    let mut number = 0;
    for _ in 0..5 {
        for _ in 0..150 {
            number += 1;
            store.submit(transaction(number)).unwrap();
        }
        wait(store.committed(Ticket(number - 100))).unwrap();
        let holder = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
        holder.busy_timeout(Duration::from_secs(10)).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let acknowledged = store.watch().borrow().committed.0;
        let copy = directory();
        for name in [FILE, "backroom.db-wal"] {
            fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        holder.execute_batch("ROLLBACK").unwrap();
        assert_holds(copy.path(), acknowledged);
    }
}

/// A log cut off anywhere is a prefix of the commits.
#[test]
fn a_torn_log_gives_a_prefix_of_the_commits() {
    let (database, log) = thirty_commits();
    let mut before = 0;
    let mut seen = vec![];
    for cut in (0..=log.len()).step_by(log.len() / 23) {
        let copy = directory();
        fs::write(copy.path().join(FILE), &database).unwrap();
        fs::write(copy.path().join("backroom.db-wal"), &log[..cut]).unwrap();
        let (_, snapshot, _) = open_at(copy.path());
        let found = snapshot.parts_open.len();
        assert!(snapshot.parts_open.iter().all(|(_, parts)| parts.len() == 2));
        assert!(found >= before, "a longer log never holds less");
        before = found;
        seen.push(found);
    }
    assert!(seen.iter().any(|n| (1..30).contains(n)), "{seen:?}");
}

/// The files of 30 commits one by one, as they are before anybody closes.
fn thirty_commits() -> (Vec<u8>, Vec<u8>) {
    let dir = directory();
    let store = open(&Options { batch: 1, ..options(dir.path()) }, NOW).unwrap().0;
    for number in 1..=30 {
        let ticket = store.submit(transaction(number)).unwrap();
        wait(store.committed(ticket)).unwrap();
    }
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    (read(FILE), read("backroom.db-wal"))
}

#[test]
fn a_log_spoilt_in_the_middle_or_at_its_head_is_kept_and_reported() {
    let (database, log) = thirty_commits();
    for at in [0, 9, 20, log.len() / 2] {
        let dir = directory();
        let mut spoilt = log.clone();
        spoilt[at] ^= 0xff;
        fs::write(dir.path().join(FILE), &database).unwrap();
        fs::write(dir.path().join("backroom.db-wal"), &spoilt).unwrap();
        let (_, snapshot, notices) = open_at(dir.path());
        let Some(Notice::LogDamaged { commits, copied_to }) = notices.first() else {
            panic!("{at}: {notices:?}")
        };
        assert!(*commits > 5, "{at}: {commits}");
        assert_eq!(fs::read(copied_to).unwrap(), spoilt);
        assert!(snapshot.parts_open.len() < 30);
    }
}

#[test]
fn a_log_torn_by_a_power_cut_is_no_alarm() {
    let (database, log) = thirty_commits();
    let tail = log.len() - 4096 - 24;
    for cut in [log.len() - 1, tail, tail - 100] {
        let dir = directory();
        fs::write(dir.path().join(FILE), &database).unwrap();
        fs::write(dir.path().join("backroom.db-wal"), &log[..cut]).unwrap();
        assert_eq!(open_at(dir.path()).2, []);
    }
    let dir = directory();
    let mut zeroed = log.clone();
    zeroed[tail..].fill(0);
    fs::write(dir.path().join(FILE), &database).unwrap();
    fs::write(dir.path().join("backroom.db-wal"), &zeroed).unwrap();
    assert_eq!(open_at(dir.path()).2, []);
}
