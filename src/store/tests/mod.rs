//! Scenarios of the whole store, on a real file.

mod calls;
mod crash;
mod damage;
mod full;
mod isolation;
mod order;
mod rows;
mod upstream;

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;
use crate::call::{Charge, Direction as CallDirection, LegRecord, Stamp};
use crate::messaging::ledger::{Exempt, Purpose};
use crate::types::{
    Address, CallId, Cents, Channel, ConversationId, DeviceId, EndCause, ExecutionSid, Identity, LegId,
    LineId, MediaFacts, Mem, MessageId, Mono, OrderId, OrderKind, PartId, PhoneNumber, Slot, Via,
};

pub(super) const NOW: Now = Now { mono: Mono(60_000), wall: Wall(1_795_000_000_000), wall_sure: true };

pub(super) fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn options(path: &Path) -> Options {
    Options { reserve: 64 << 10, low_water: 0, ..Options::new(path, BootId("boot-1".to_owned())) }
}

pub(super) fn open_at(path: &Path) -> (Store, Snapshot, Vec<Notice>) {
    open(&options(path), NOW).unwrap()
}

pub(super) fn opened(path: &Path) -> Store {
    let (store, _, notices) = open_at(path);
    assert_eq!(notices, []);
    store
}

pub(super) fn main_shop() -> ShopId {
    ShopId::from("main")
}

/// Submits, and waits until it is durable.
pub(super) fn put(store: &Store, ops: Vec<Op>) -> Ticket {
    let ticket = store.submit(Transaction { ops }).unwrap();
    wait(store.committed(ticket)).unwrap();
    ticket
}

/// Drives one future on this thread: the store's own threads do the work.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        tokio::time::timeout(Duration::from_secs(60), future)
            .await
            .expect("the store answers within a minute")
    })
}

pub(super) fn message(shop: &ShopId, id: &str, status: MessageStatus) -> MessageRow {
    let direction = if status == MessageStatus::Received { Direction::In } else { Direction::Out };
    MessageRow {
        shop: shop.clone(),
        id: MessageId::from(id),
        conversation: ConversationId::from("CH1"),
        direction,
        line: Some(LineId::from("sim1")),
        peer: "+12065550101".to_owned(),
        body: format!("body of {id}"),
        status,
        source: Source::Flow(ExecutionSid::from("FN1")),
        note: Some("note".to_owned()),
        created: NOW.wall,
        wall_sure: true,
        updated: NOW.wall,
        sent_at: Some(Wall(5)),
        purpose: Purpose::Exempt(Exempt::Law),
        not_before: Some(Wall(6)),
        carriage: Carriage {
            channel: Channel::WhatsApp,
            sid: Some(format!("SM-{id}")),
            choice: Some("the line that the person knows".to_owned()),
            error: Some(21_610),
            price: Some((-7_500, "USD".to_owned())),
            media: 2,
            template: Some(("HX1".to_owned(), Map::from_iter([("1".to_owned(), Value::from("Ana"))]))),
        },
    }
}

pub(super) fn part(shop: &ShopId, id: &str, number: u8, state: PartState) -> PartRow {
    PartRow {
        shop: shop.clone(),
        id: PartId { message: MessageId::from(id), number },
        pdu: "0001".to_owned(),
        length: 23,
        state,
        line: Some(LineId::from("sim1")),
        reference: Some(17),
        attempts: 1,
        note: None,
        updated: NOW.wall,
    }
}

pub(super) fn received(shop: &ShopId, id: &str, index: u16, raw: &str, kind: ReceivedKind) -> ReceivedRow {
    let concat = (kind == ReceivedKind::Part).then(|| ConcatKey {
        peer: "+12065550101".to_owned(),
        reference: 7,
        wide: true,
        total: 2,
        number: 1,
    });
    ReceivedRow {
        shop: shop.clone(),
        id: id.to_owned(),
        line: LineId::from("sim1"),
        identity: "356938035643809".to_owned(),
        slot: Slot { mem: Mem::SM, index },
        raw: raw.to_owned(),
        kind,
        message: None,
        concat,
        freed: false,
        note: None,
        wall: NOW.wall,
    }
}

pub(super) fn conversation(shop: &ShopId, id: &str, person: &str) -> ConversationRow {
    ConversationRow {
        shop: shop.clone(),
        id: ConversationId::from(id),
        person: person.to_owned(),
        state: json!({"v": 1}),
        ticket: 12,
        active: true,
        updated: NOW.wall,
    }
}

pub(super) fn execution(shop: &ShopId, sid: &str) -> ExecutionRow {
    ExecutionRow {
        shop: shop.clone(),
        sid: ExecutionSid::from(sid),
        conversation: ConversationId::from("CH1"),
        flow: "Main_Menu".to_owned(),
        revision: 1,
        ended: None,
        state: json!({"v": 1, "context": {"widgets": {"get": {"body": "x".repeat(5000)}}}}),
        created: NOW.wall,
        updated: NOW.wall,
    }
}

pub(super) fn step(shop: &ShopId, sid: &str, number: u32) -> StepRow {
    StepRow {
        shop: shop.clone(),
        execution: ExecutionSid::from(sid),
        number,
        event: "success".to_owned(),
        from: "get".to_owned(),
        to: "menu".to_owned(),
        kind: "make-http-request".to_owned(),
        delta: Map::from_iter([("widgets.get.body".to_owned(), json!("x".repeat(5000)))]),
        note: None,
        wall: NOW.wall,
    }
}

pub(super) fn timer(shop: &ShopId, id: &str) -> TimerRow {
    TimerRow {
        shop: shop.clone(),
        id: id.to_owned(),
        deadline: Mono(960_000),
        boot: BootId("boot-1".to_owned()),
        remaining_ms: 900_000,
        wall: Some(Wall(NOW.wall.0 + 900_000)),
    }
}

pub(super) fn order_row(shop: &ShopId, id: &str, state: &str) -> OrderRow {
    OrderRow {
        shop: shop.clone(),
        id: OrderId::from(id),
        kind: OrderKind::Parts,
        conversation: ConversationId::from("CH1"),
        execution: ExecutionSid::from("FN1"),
        state: state.to_owned(),
        settled: matches!(state, "confirmed" | "refused"),
        order: json!({"v": 1, "attempts": 2}),
        about: json!({"partName": "blade"}),
        created: NOW.wall,
        updated: NOW.wall,
    }
}

pub(super) fn cached(shop: &ShopId, key: &str) -> CachedRow {
    CachedRow {
        shop: shop.clone(),
        key: key.to_owned(),
        status: 200,
        body: "{\"name\":\"Jane\"}".to_owned(),
        wall: NOW.wall,
        wall_sure: true,
        mono: NOW.mono,
        boot: BootId("boot-1".to_owned()),
    }
}

pub(super) fn consent(shop: &ShopId, person: &str, blocked: bool) -> ConsentRow {
    ConsentRow {
        shop: shop.clone(),
        person: person.to_owned(),
        line: LineId::from("sim1"),
        blocked,
        words: if blocked { "STOP" } else { "START" }.to_owned(),
        message: MessageId::from("SM1"),
        wall: NOW.wall,
        wall_sure: true,
    }
}

pub(super) fn setting(shop: &ShopId, key: &str, value: Value) -> SettingRow {
    SettingRow { shop: shop.clone(), key: key.to_owned(), value, by: "owner".to_owned(), wall: NOW.wall }
}

pub(super) fn flow(shop: &ShopId, name: &str, revision: u32, published: bool) -> FlowRow {
    FlowRow {
        shop: shop.clone(),
        name: name.to_owned(),
        sid: "FW1".to_owned(),
        revision,
        definition: format!("{{\"revision\":{revision}}}"),
        published,
        by: "shipped".to_owned(),
        wall: NOW.wall,
    }
}

pub(super) fn audit(shop: &ShopId, what: &str) -> AuditRow {
    AuditRow {
        shop: shop.clone(),
        who: "owner".to_owned(),
        what: what.to_owned(),
        detail: json!({"a": 1}),
        wall: NOW.wall,
    }
}

/// A call that came in, is answered and goes on.
pub(super) fn call(shop: &ShopId, id: &str) -> CallRecord {
    let at = Stamp { wall: NOW.wall, sure: true };
    let via = Via::Line(LineId::from("trunk"));
    let leg = LegRecord {
        leg: LegId(format!("LG{id}")),
        via: via.clone(),
        started: at,
        answered: Some(at),
        ended: None,
        media: Some(MediaFacts { codec: "PCMU".to_owned(), received: 50, ..MediaFacts::default() }),
        charge: None,
    };
    CallRecord {
        id: CallId::from(id),
        shop: shop.clone(),
        direction: CallDirection::Inbound,
        from: Identity {
            address: PhoneNumber::parse("+12065550101", None).ok().map(Address::Phone),
            display: Some("Jane".to_owned()),
            private: false,
        },
        via,
        to: "+12065550100".into(),
        line: Some(LineId::from("trunk")),
        flow: None,
        started: at,
        answered: Some(at),
        ended: None,
        ring: Duration::from_secs(5),
        talk: Duration::from_secs(60),
        emergency: None,
        transfers: Vec::new(),
        legs: vec![leg],
        legs_left_out: 0,
    }
}

/// A call that went out and cost something.
pub(super) fn outgoing_call(shop: &ShopId, id: &str) -> CallRecord {
    let mut record = call(shop, id);
    record.direction = CallDirection::Outbound;
    record.to = "2065550101".into();
    record.legs[0].charge =
        Some(Charge { user: "ext:101".to_owned(), to: "+12065550101".into(), minutes: 2, spend: Cents(4) });
    record
}

pub(super) fn ended(mut record: CallRecord, cause: EndCause) -> CallRecord {
    record.ended = Some((record.started, cause));
    record
}

pub(super) fn bindings(shop: &ShopId, device: &str, contacts: Value) -> BindingsRow {
    BindingsRow { shop: shop.clone(), device: DeviceId::from(device), contacts, updated: NOW.wall }
}
