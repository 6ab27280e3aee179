//! Call records and phones' contacts: what is kept, what is found, what the next start takes up again.

use super::*;

fn calls(store: &Store, filter: CallFilter) -> Vec<String> {
    let records = wait(store.read(move |r| r.calls(&main_shop(), &filter))).unwrap();
    records.into_iter().map(|r| r.id.0).collect()
}

fn all() -> CallFilter {
    CallFilter { limit: 10, ..CallFilter::default() }
}

#[test]
fn a_record_comes_back_whole_and_is_found_by_number_time_and_state() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let mut later = ended(outgoing_call(&shop, "CA2"), EndCause::Busy);
    later.started.wall = Wall(NOW.wall.0 + 60_000);
    let mut unknown = call(&shop, "CA3");
    unknown.from.address = None;
    unknown.started.wall = Wall(NOW.wall.0 + 1);
    for record in [call(&shop, "CA1"), later.clone(), unknown] {
        put(&store, vec![Op::PutCall(Box::new(record))]);
    }
    let found = wait(store.read(|r| r.call(&main_shop(), &CallId::from("CA2")))).unwrap();
    assert_eq!(found, Some(later));
    assert_eq!(calls(&store, all()), ["CA2", "CA3", "CA1"]);
    assert_eq!(calls(&store, CallFilter { open: true, ..all() }), ["CA3", "CA1"]);
    let jane = Some("+12065550101".to_owned());
    assert_eq!(calls(&store, CallFilter { number: jane, ..all() }), ["CA2", "CA1"]);
    let (since, before) = (Some(Wall(NOW.wall.0 + 1)), Some(Wall(NOW.wall.0 + 60_000)));
    assert_eq!(calls(&store, CallFilter { since, before, ..all() }), ["CA3"]);
}

#[test]
fn a_call_that_has_ended_does_not_go_on_again() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let over = ended(call(&shop, "CA1"), EndCause::Hangup);
    put(&store, vec![Op::PutCall(Box::new(over.clone())), Op::PutCall(Box::new(call(&shop, "CA1")))]);
    assert_eq!(wait(store.read(|r| r.call(&main_shop(), &CallId::from("CA1")))).unwrap(), Some(over));
}

#[test]
fn of_several_records_of_a_call_in_one_commit_the_last_counts() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let (begun, over) = (call(&shop, "CA1"), ended(call(&shop, "CA1"), EndCause::Hangup));
    let other = ended(call(&shop, "CA2"), EndCause::Busy);
    let late = call(&shop, "CA2");
    let ops = [begun, over.clone(), other.clone(), late].map(|r| Op::PutCall(Box::new(r))).to_vec();
    put(&store, ops);
    let mut found = wait(store.read(|r| r.calls(&main_shop(), &all()))).unwrap();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(found, [over, other]);
}

#[test]
fn a_record_that_nobody_waits_for_is_durable_all_the_same() {
    let dir = directory();
    let store = opened(dir.path());
    let mut watch = store.watch();
    let ticket = store.submit(Transaction { ops: vec![Op::PutCall(Box::new(call(&main_shop(), "CA1")))] });
    let ticket = ticket.unwrap();
    wait(watch.wait_for(|s| s.committed >= ticket)).unwrap();
    // And behind it nothing is held up.
    store.submit(Transaction { ops: vec![Op::PutCall(Box::new(call(&main_shop(), "CA2")))] }).unwrap();
    put(&store, vec![Op::AddAudit(audit(&main_shop(), "x"))]);
    assert_eq!(calls(&store, all()).len(), 2);
}

#[test]
fn the_next_start_learns_of_open_calls_and_of_what_the_day_has_cost() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let open = call(&shop, "CA1");
    let spent = ended(outgoing_call(&shop, "CA2"), EndCause::Hangup);
    let mut old = ended(outgoing_call(&shop, "CA3"), EndCause::Hangup);
    old.started.wall = Wall(NOW.wall.0 - 3 * 24 * 3_600_000);
    let free = ended(call(&shop, "CA4"), EndCause::Hangup);
    put(&store, [&open, &spent, &old, &free].map(|r| Op::PutCall(Box::new(r.clone()))).to_vec());
    put(&store, vec![Op::PutBindings(bindings(&shop, "front", json!([{"contact": "sip:front@192.0.2.1"}])))]);
    put(&store, vec![Op::PutBindings(bindings(&shop, "back", json!(["x"])))]);
    put(&store, vec![Op::PutBindings(bindings(&shop, "back", json!([])))]);
    let (snapshot, notices) = wait(store.load(NOW)).unwrap();
    assert_eq!(notices, []);
    assert_eq!(snapshot.calls_open, [open]);
    assert_eq!(snapshot.calls_charged, std::slice::from_ref(&spent));
    assert_eq!(snapshot.bindings, [bindings(&shop, "front", json!([{"contact": "sip:front@192.0.2.1"}]))]);
    // Nobody knows what day it is: nothing is too old.
    let (snapshot, _) = wait(store.load(Now { wall: Wall(0), wall_sure: false, ..NOW })).unwrap();
    assert_eq!(snapshot.calls_charged, [spent, old]);
}

#[test]
fn a_record_of_a_form_that_is_not_known_is_left_out_and_reported() {
    let dir = directory();
    let store = opened(dir.path());
    put(&store, vec![Op::PutCall(Box::new(call(&main_shop(), "CA1")))]);
    store.close().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch("UPDATE call SET version = 99").unwrap();
    drop(conn);
    let (_, snapshot, notices) = open_at(dir.path());
    assert_eq!(snapshot.calls_open, []);
    assert!(matches!(notices.as_slice(), [Notice::BadRow { table: "call", .. }]), "{notices:?}");
}

/// `cargo test --release --lib measure_calls -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn measure_calls() {
    let dir = directory();
    let store = opened(dir.path());
    let shop = main_shop();
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let micros = |t: rustix::time::Timespec| t.tv_sec * 1_000_000 + t.tv_nsec / 1000;
    let began = micros(cpu());
    let calls = 20_000_u32;
    let mut last = Ticket(0);
    for n in 0..calls {
        let mut record = call(&shop, &format!("CA{n:032x}"));
        record.legs.push(record.legs[0].clone());
        for moment in 0..3 {
            let record = if moment == 2 { ended(record.clone(), EndCause::Hangup) } else { record.clone() };
            let mut transaction = Transaction { ops: vec![Op::PutCall(Box::new(record))] };
            loop {
                match store.submit(transaction) {
                    Ok(ticket) => {
                        last = ticket;
                        break;
                    }
                    Err(full) => {
                        wait(store.committed(last)).unwrap();
                        transaction = full.into_transaction();
                    }
                }
            }
        }
    }
    wait(store.committed(last)).unwrap();
    println!("{} us of CPU a call of three writes", (micros(cpu()) - began) / i64::from(calls));
}
