//! Two shops on one box: no query of one sees anything of the other, also when their ids are the same.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::*;

type Case = (&'static str, fn(&Reader, &ShopId) -> String);

fn shown<T: Debug>(result: Result<T, StoreError>) -> String {
    format!("{:?}", result.unwrap())
}

/// A line for every public function of `read.rs`.
const CASES: &[Case] = &[
    ("messages", |r, s| shown(r.messages(s, &MessageFilter { limit: 100, ..MessageFilter::default() }))),
    ("message", |r, s| shown(r.message(s, &MessageId::from("SM2")))),
    ("unknown_messages", |r, s| shown(r.unknown_messages(s))),
    ("message_counts", |r, s| shown(r.message_counts(s, Wall(0)))),
    ("conversation", |r, s| shown(r.conversation(s, "+12065550101"))),
    ("conversation_by_id", |r, s| shown(r.conversation_by_id(s, &ConversationId::from("CH1")))),
    ("conversations", |r, s| shown(r.conversations(s, 100))),
    ("cached", |r, s| shown(r.cached(s, "/api/a"))),
    ("executions", |r, s| shown(r.executions(s, &ConversationId::from("CH1"), 100))),
    ("execution", |r, s| shown(r.execution(s, &ExecutionSid::from("FN1")))),
    ("steps", |r, s| shown(r.steps(s, &ExecutionSid::from("FN1")))),
    ("timers", |r, s| shown(r.timers(s))),
    ("orders", |r, s| shown(r.orders(s, None, 100)) + &shown(r.orders(s, Some("unknown"), 100))),
    ("unknown_orders", |r, s| shown(r.unknown_orders(s))),
    ("order", |r, s| shown(r.order(s, &OrderId::from("OR1")))),
    ("consent", |r, s| shown(r.consent(s, "+12065550101"))),
    ("blocks", |r, s| shown(r.blocks(s))),
    ("settings", |r, s| shown(r.settings(s))),
    ("flows", |r, s| shown(r.flows(s))),
    ("audit", |r, s| shown(r.audit(s, 100))),
    ("broken", |r, s| shown(r.broken(s, 100))),
    ("calls", |r, s| {
        let with = CallFilter { number: Some("+12065550101".into()), limit: 100, ..CallFilter::default() };
        let open = CallFilter { open: true, limit: 100, ..CallFilter::default() };
        shown(r.calls(s, &with)) + &shown(r.calls(s, &open))
    }),
    ("call", |r, s| shown(r.call(s, &CallId::from("CA1")))),
    ("phone_bindings", |r, s| shown(r.phone_bindings(s))),
    ("received", |r, s| shown(r.received(s, &MessageId::from("SM1")))),
];

/// The same ids for every shop; `mark` is in the texts.
fn everything(shop: &ShopId, mark: &str) -> Vec<Op> {
    let marked = |mut row: MessageRow| {
        row.body.push_str(mark);
        row
    };
    let mut exec = execution(shop, "FN1");
    exec.state["mark"] = json!(mark.repeat(2000));
    let mut from = received(shop, "R1", 1, mark, ReceivedKind::Text);
    from.message = Some(MessageId::from("SM1"));
    vec![
        Op::PutConversation(conversation(shop, "CH1", "+12065550101")),
        Op::PutMessage(marked(message(shop, "SM1", MessageStatus::Received))),
        Op::PutMessage(marked(message(shop, "SM2", MessageStatus::Unknown))),
        Op::PutPart(part(shop, "SM2", 1, PartState::Unknown)),
        Op::PutReceived(from),
        Op::PutReceived(received(shop, "R2", 2, mark, ReceivedKind::Broken)),
        Op::PutExecution(exec),
        Op::AddStep(step(shop, "FN1", 1)),
        Op::PutTimer(timer(shop, "exec/FN1/1")),
        Op::PutOrder(order_row(shop, "OR1", "unknown")),
        Op::PutCached(cached(shop, "/api/a")),
        Op::AddConsent(consent(shop, "+12065550101", true)),
        Op::PutSetting(setting(shop, "name", json!(mark))),
        Op::PutFlow(flow(shop, "Main_Menu", 1, true)),
        Op::AddAudit(audit(shop, mark)),
        Op::PutCall(Box::new(CallRecord { flow: Some(mark.to_owned()), ..call(shop, "CA1") })),
        Op::PutBindings(bindings(shop, "front", json!([mark]))),
    ]
}

#[test]
fn every_query_has_its_case() {
    let source = include_str!("../read.rs");
    let declared: Vec<&str> =
        source.split("    pub fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|(name, _)| *name).collect();
    for name in &declared {
        assert!(cases.contains(name), "give {name} a case here: the two-shop test must see it");
    }
    assert_eq!(declared.len(), cases.len(), "a case without a function, or a function by another style");
    for body in source.split("    pub fn ").skip(1) {
        let signature = body.split('{').next().unwrap();
        assert!(signature.contains("shop: &ShopId"), "a query without a shop: {signature}");
    }
}

#[test]
fn no_query_of_one_shop_sees_anything_of_another() {
    let (alone, together) = (directory(), directory());
    let (here, there, nobody) = (ShopId::from("here"), ShopId::from("there"), ShopId::from("nobody"));
    let store = opened(alone.path());
    put(&store, everything(&here, "h"));
    store.close().unwrap();
    let store = opened(together.path());
    put(&store, everything(&there, "t"));
    put(&store, everything(&here, "h"));
    put(
        &store,
        vec![
            Op::PutMessage(message(&there, "SM3", MessageStatus::Unknown)),
            Op::AddConsent(consent(&there, "+12065550199", true)),
        ],
    );
    store.close().unwrap();
    let alone = Reader::open(alone.path()).unwrap();
    let together = Reader::open(together.path()).unwrap();
    for (name, query) in CASES {
        let expected = query(&alone, &here);
        assert_eq!(query(&together, &here), expected, "{name}");
        assert_eq!(query(&together, &nobody), query(&alone, &nobody), "{name}");
        assert_ne!(expected, query(&together, &nobody), "{name}: the case must find something");
        assert_ne!(expected, query(&together, &there), "{name}: the case must tell the shops apart");
    }
}

#[test]
fn what_one_shop_deletes_publishes_or_frees_leaves_the_other_as_it_is() {
    let dir = directory();
    let (here, there) = (ShopId::from("here"), ShopId::from("there"));
    let store = opened(dir.path());
    put(&store, everything(&here, "h"));
    put(&store, everything(&there, "t"));
    let reader = Reader::open(dir.path()).unwrap();
    let before: Vec<String> = CASES.iter().map(|(_, query)| query(&reader, &here)).collect();
    let mut freed = received(&there, "R2", 2, "t", ReceivedKind::Broken);
    freed.freed = true;
    put(
        &store,
        vec![
            Op::DeleteTimer(there.clone(), "exec/FN1/1".to_owned()),
            Op::DropCached(there.clone(), String::new()),
            Op::AddConsent(consent(&there, "+12065550101", false)),
            Op::PutSetting(setting(&there, "name", Value::Null)),
            Op::PutFlow(flow(&there, "Main_Menu", 2, true)),
            Op::PutReceived(freed),
            Op::PutReceived(received(&there, "R3", 1, "other", ReceivedKind::Text)),
        ],
    );
    let after: Vec<String> = CASES.iter().map(|(_, query)| query(&reader, &here)).collect();
    assert_eq!(before, after);
    assert_eq!(reader.blocks(&there).unwrap(), [""; 0]);
    assert_eq!(reader.cached(&there, "/api/a").unwrap(), None);
}

#[test]
fn the_snapshot_says_of_every_row_whose_it_is() {
    let dir = directory();
    let (here, there) = (ShopId::from("here"), ShopId::from("there"));
    let store = opened(dir.path());
    put(&store, everything(&here, "h"));
    put(&store, everything(&there, "t"));
    let (snapshot, notices) = wait(store.load(NOW)).unwrap();
    assert_eq!(notices, []);
    assert_eq!(snapshot.shops, [here.clone(), there.clone()]);
    for shop in [&here, &there] {
        let mark = if shop == &here { "h" } else { "t" };
        let state = snapshot.executions.iter().find(|e| &e.shop == shop).map(|e| &e.state["mark"]).unwrap();
        assert_eq!(*state, json!(mark.repeat(2000)));
        assert_eq!(snapshot.next_ticket[shop], 13);
    }
    assert_eq!(snapshot.blocks.len(), 2);
    assert_eq!(snapshot.parts_open.len(), 2);
}
