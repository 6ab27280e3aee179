//! Between rows and columns: one column list and one reader for each table, so that a query cannot read in
//! another order than it asked.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde_json::Value;

use super::{
    AuditRow, CachedRow, Carriage, ConcatKey, ConsentRow, ConversationRow, Direction, EventOutState,
    ExecutionRow, FlowRow, MediaState, MessageRow, MessageStatus, OrderRow, PartRow, PartState, ReceivedKind,
    ReceivedRow, SettingRow, Source, StepRow, TimerRow,
};
use crate::messaging::ledger::Purpose;
use crate::types::{
    BootId, CallId, Channel, ConversationId, DeviceId, ExecutionSid, LineId, Mem, MessageId, Mono, OrderId,
    OrderKind, PartId, ShopId, Slot, Wall,
};

macro_rules! text_id {
    ($($name:ident),+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.0.as_str()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Ok(Self(value.as_str()?.to_owned()))
            }
        }
    )+};
}

text_id!(ShopId, LineId, ConversationId, MessageId, ExecutionSid, OrderId, BootId, CallId, DeviceId);

macro_rules! word {
    ($($name:ident),+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let word = value.as_str()?;
                Self::parse(word).ok_or_else(|| unknown_word(stringify!($name), word))
            }
        }
    )+};
}

word!(Direction, MessageStatus, PartState, ReceivedKind, Mem, MediaState, EventOutState, Channel);

#[derive(Debug, thiserror::Error)]
#[error("{kind} has no word {word:?}")]
struct UnknownWord {
    kind: &'static str,
    word: String,
}

fn unknown_word(kind: &'static str, word: &str) -> FromSqlError {
    FromSqlError::Other(Box::new(UnknownWord { kind, word: word.to_owned() }))
}

impl ToSql for OrderKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for OrderKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "service" => Ok(Self::Service),
            "parts" => Ok(Self::Parts),
            other => Err(unknown_word("OrderKind", other)),
        }
    }
}

impl ToSql for Wall {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for Wall {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Wall)
    }
}

/// SQLite's integers are signed: what does not fit (292 million years) is the largest that does.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl ToSql for Mono {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(signed(self.0)))
    }
}

impl FromSql for Mono {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Mono).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

/// A JSON column.
pub(super) struct Json(pub(super) Value);

impl ToSql for Json {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.to_string()))
    }
}

impl FromSql for Json {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Json).map_err(|e| FromSqlError::Other(Box::new(e)))
    }
}

impl Source {
    /// The word of the column `source`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Flow(_) => "flow",
            Self::Staff => "staff",
            Self::Box => "box",
            Self::Program => "program",
            Self::Campaign(_) => "campaign",
            Self::Consent => "consent",
        }
    }

    /// What the column `execution_sid` says beside it: the execution, or the campaign's name.
    pub(super) fn of(&self) -> Option<&str> {
        match self {
            Self::Flow(sid) => Some(sid.as_str()),
            Self::Campaign(name) => Some(name),
            Self::Person | Self::Staff | Self::Box | Self::Program | Self::Consent => None,
        }
    }
}

fn source(word: &str, of: Option<String>) -> Option<Source> {
    match (word, of) {
        ("person", _) => Some(Source::Person),
        ("flow", Some(sid)) => Some(Source::Flow(ExecutionSid(sid))),
        ("campaign", Some(name)) => Some(Source::Campaign(name)),
        ("staff", _) => Some(Source::Staff),
        ("box", _) => Some(Source::Box),
        ("program", _) => Some(Source::Program),
        ("consent", _) => Some(Source::Consent),
        _ => None,
    }
}

pub(super) fn bad_column(index: usize, kind: &'static str, word: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        index,
        rusqlite::types::Type::Text,
        Box::new(UnknownWord { kind, word: word.to_owned() }),
    )
}

pub(super) const MESSAGE: &str = "shop_id, id, conversation_id, direction, line_id, peer, body, status, source, \
     execution_sid, note, created, wall_sure, updated, sent_at, \
    channel, purpose, upstream_sid, choice, error, price, currency, media, template, not_before";

pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let word: String = row.get(8)?;
    Ok(MessageRow {
        shop: row.get(0)?,
        id: row.get(1)?,
        conversation: row.get(2)?,
        direction: row.get(3)?,
        line: row.get(4)?,
        peer: row.get(5)?,
        body: row.get(6)?,
        status: row.get(7)?,
        source: source(&word, row.get(9)?).ok_or_else(|| bad_column(8, "Source", &word))?,
        note: row.get(10)?,
        created: row.get(11)?,
        wall_sure: row.get(12)?,
        updated: row.get(13)?,
        sent_at: row.get(14)?,
        purpose: match row.get::<_, Option<Json>>(16)? {
            None => Purpose::Reply,
            Some(Json(value)) => serde_json::from_value(value.clone())
                .map_err(|_| bad_column(16, "Purpose", &value.to_string()))?,
        },
        not_before: row.get(24)?,
        carriage: Carriage {
            channel: row.get(15)?,
            sid: row.get(17)?,
            choice: row.get(18)?,
            error: row.get(19)?,
            price: row.get::<_, Option<i64>>(20)?.zip(row.get(21)?),
            media: row.get(22)?,
            template: match row.get::<_, Option<Json>>(23)? {
                None => None,
                Some(Json(value)) => serde_json::from_value(value.clone())
                    .map_err(|_| bad_column(23, "template", &value.to_string()))?,
            },
        },
    })
}

pub(super) const PART: &str =
    "shop_id, message_id, number, pdu, length, state, line_id, reference, attempts, note, updated";

pub(super) fn part(row: &Row<'_>) -> rusqlite::Result<PartRow> {
    Ok(PartRow {
        shop: row.get(0)?,
        id: PartId { message: row.get(1)?, number: row.get(2)? },
        pdu: row.get(3)?,
        length: row.get(4)?,
        state: row.get(5)?,
        line: row.get(6)?,
        reference: row.get(7)?,
        attempts: row.get(8)?,
        note: row.get(9)?,
        updated: row.get(10)?,
    })
}

pub(super) const RECEIVED: &str = "shop_id, id, line_id, identity, mem, slot, raw, kind, message_id, concat_peer, \
     concat_reference, concat_wide, concat_total, concat_number, freed, note, wall";

pub(super) fn received(row: &Row<'_>) -> rusqlite::Result<ReceivedRow> {
    let concat = match row.get::<_, Option<String>>(9)? {
        Some(peer) => Some(ConcatKey {
            peer,
            reference: row.get(10)?,
            wide: row.get(11)?,
            total: row.get(12)?,
            number: row.get(13)?,
        }),
        None => None,
    };
    Ok(ReceivedRow {
        shop: row.get(0)?,
        id: row.get(1)?,
        line: row.get(2)?,
        identity: row.get(3)?,
        slot: Slot { mem: row.get(4)?, index: row.get(5)? },
        raw: row.get(6)?,
        kind: row.get(7)?,
        message: row.get(8)?,
        concat,
        freed: row.get(14)?,
        note: row.get(15)?,
        wall: row.get(16)?,
    })
}

pub(super) const CONVERSATION: &str = "shop_id, id, person, state, ticket, active, updated";

pub(super) fn conversation(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    Ok(ConversationRow {
        shop: row.get(0)?,
        id: row.get(1)?,
        person: row.get(2)?,
        state: row.get::<_, Json>(3)?.0,
        ticket: row.get(4)?,
        active: row.get(5)?,
        updated: row.get(6)?,
    })
}

pub(super) const EXECUTION: &str =
    "shop_id, sid, conversation_id, flow, revision, ended, state, created, updated";

/// `state` still holds references to large values: see [`super::blob::join`].
pub(super) fn execution(row: &Row<'_>) -> rusqlite::Result<ExecutionRow> {
    Ok(ExecutionRow {
        shop: row.get(0)?,
        sid: row.get(1)?,
        conversation: row.get(2)?,
        flow: row.get(3)?,
        revision: row.get(4)?,
        ended: row.get(5)?,
        state: row.get::<_, Json>(6)?.0,
        created: row.get(7)?,
        updated: row.get(8)?,
    })
}

pub(super) const STEP: &str =
    "shop_id, execution_sid, number, event, from_widget, to_widget, kind, delta, note, wall";

/// `delta` still holds references to large values: see [`super::blob::join`].
pub(super) fn step(row: &Row<'_>) -> rusqlite::Result<StepRow> {
    Ok(StepRow {
        shop: row.get(0)?,
        execution: row.get(1)?,
        number: row.get(2)?,
        event: row.get(3)?,
        from: row.get(4)?,
        to: row.get(5)?,
        kind: row.get(6)?,
        delta: match row.get::<_, Json>(7)?.0 {
            Value::Object(map) => map,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(bad_column(7, "step.delta", "not an object"));
            }
        },
        note: row.get(8)?,
        wall: row.get(9)?,
    })
}

pub(super) const TIMER: &str = "shop_id, id, deadline, boot, remaining_ms, wall";

pub(super) fn timer(row: &Row<'_>) -> rusqlite::Result<TimerRow> {
    Ok(TimerRow {
        shop: row.get(0)?,
        id: row.get(1)?,
        deadline: row.get(2)?,
        boot: row.get(3)?,
        remaining_ms: row.get::<_, Mono>(4)?.0,
        wall: row.get(5)?,
    })
}

pub(super) const ORDER: &str = "shop_id, id, kind, conversation_id, execution_sid, state, settled, body, about, \
     created, updated";

pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    Ok(OrderRow {
        shop: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        conversation: row.get(3)?,
        execution: row.get(4)?,
        state: row.get(5)?,
        settled: row.get(6)?,
        order: row.get::<_, Json>(7)?.0,
        about: row.get::<_, Json>(8)?.0,
        created: row.get(9)?,
        updated: row.get(10)?,
    })
}

pub(super) const CACHED: &str = "shop_id, key, status, body, wall, mono, boot, wall_sure";

pub(super) fn cached(row: &Row<'_>) -> rusqlite::Result<CachedRow> {
    Ok(CachedRow {
        shop: row.get(0)?,
        key: row.get(1)?,
        status: row.get(2)?,
        body: row.get(3)?,
        wall: row.get(4)?,
        mono: row.get(5)?,
        boot: row.get(6)?,
        wall_sure: row.get(7)?,
    })
}

pub(super) const CONSENT: &str = "shop_id, person, line_id, blocked, words, message_id, wall, wall_sure";

pub(super) fn consent(row: &Row<'_>) -> rusqlite::Result<ConsentRow> {
    Ok(ConsentRow {
        shop: row.get(0)?,
        person: row.get(1)?,
        line: row.get(2)?,
        blocked: row.get(3)?,
        words: row.get(4)?,
        message: row.get(5)?,
        wall: row.get(6)?,
        wall_sure: row.get(7)?,
    })
}

pub(super) const SETTING: &str = "shop_id, key, value, by, wall";

pub(super) fn setting(row: &Row<'_>) -> rusqlite::Result<SettingRow> {
    Ok(SettingRow {
        shop: row.get(0)?,
        key: row.get(1)?,
        value: row.get::<_, Json>(2)?.0,
        by: row.get(3)?,
        wall: row.get(4)?,
    })
}

pub(super) const FLOW: &str = "shop_id, name, sid, revision, definition, published, by, wall";

pub(super) fn flow(row: &Row<'_>) -> rusqlite::Result<FlowRow> {
    Ok(FlowRow {
        shop: row.get(0)?,
        name: row.get(1)?,
        sid: row.get(2)?,
        revision: row.get(3)?,
        definition: row.get(4)?,
        published: row.get(5)?,
        by: row.get(6)?,
        wall: row.get(7)?,
    })
}

pub(super) const AUDIT: &str = "shop_id, who, what, detail, wall";

pub(super) fn audit(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        shop: row.get(0)?,
        who: row.get(1)?,
        what: row.get(2)?,
        detail: row.get::<_, Json>(3)?.0,
        wall: row.get(4)?,
    })
}
