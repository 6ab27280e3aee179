//! What the daemon needs in memory to go on: everything that is not finished, of all shops.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::blob;
use super::calls::{self, BINDINGS, CALL};
use super::codec::{
    self, CONSENT, CONVERSATION, EXECUTION, FLOW, MESSAGE, ORDER, PART, RECEIVED, SETTING, TIMER,
};
use super::told::{self, CONSENTS_TOLD};
use super::upstream::{self, CONSENT_ENTRY, CURSOR, EVENT_OUT, MEDIA, SIDS_KEPT};
use super::{
    BindingsRow, ConsentEntryRow, ConsentKept, ConsentRow, ConsentsToldRow, ConversationRow, CursorRow,
    EventOutRow, EventsStand, ExecutionRow, FlowRow, MediaRow, MessageRow, Notice, OrderRow, PartRow,
    ReceivedRow, SettingRow, StoreError, TimerRow,
};
use crate::call::CallRecord;
use crate::types::{BootId, MessageId, Now, ShopId, Wall};

/// How long a status report of a sent part is waited for.
pub const REPORT_WAIT: Duration = Duration::from_secs(3 * 24 * 3600);

/// Events that wait, of one endpoint, that are kept at hand; the others are read when there is room.
pub const EVENTS_AT_HAND: u32 = 256;

/// No day's caps let more calls out than this.
const CHARGED_MOST: u32 = 10_000;
/// A shop's day lies within it, whatever the zone.
const CHARGED_SINCE: Duration = Duration::from_secs(2 * 24 * 3600);

pub(super) const SHOPS: &str = "SELECT shop_id FROM conversation UNION SELECT shop_id FROM setting
     UNION SELECT shop_id FROM flow";

/// The unfinished state of all shops at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Shops that have anything stored.
    pub shops: Vec<ShopId>,
    /// All owner's settings.
    pub settings: Vec<SettingRow>,
    /// Published revisions, and those that active executions are pinned to.
    pub flows: Vec<FlowRow>,
    /// All: who a person is and which line they know is wanted the moment that they write.
    pub conversations: Vec<ConversationRow>,
    /// Not ended.
    pub executions: Vec<ExecutionRow>,
    /// All.
    pub timers: Vec<TimerRow>,
    /// Outgoing messages that are not settled, or have a part that is not: queued, handed, unknown, or sent in the
    /// last [`REPORT_WAIT`] without a report. With all their parts, in order. Oldest message first.
    pub parts_open: Vec<(MessageRow, Vec<PartRow>)>,
    /// PDUs whose slot was not confirmed as free.
    pub received_unfreed: Vec<ReceivedRow>,
    /// Parts of concatenated texts that wait for the others.
    pub parts_waiting: Vec<ReceivedRow>,
    /// Not settled.
    pub orders: Vec<OrderRow>,
    /// Who hears nothing more.
    pub blocks: Vec<(ShopId, String)>,
    /// The next free short number of a conversation, per shop; 1 for a shop that is not in it.
    pub next_ticket: BTreeMap<ShopId, u32>,
    /// The newest time that was sure: the clock cannot be before it.
    pub last_wall: Option<Wall>,
    /// Boot of the run before; the same as this one's when only the daemon was restarted.
    pub previous_boot: Option<BootId>,
    /// True when the run before was closed in order, or there was none.
    pub was_clean_shutdown: bool,
    /// Calls that were going on when the run before ended. Oldest first.
    pub calls_open: Vec<CallRecord>,
    /// Calls of the last two days that went out over a line, for the day's caps: as many as the newest
    /// [`CHARGED_MOST`]. While the time is not known, none is too old.
    pub calls_charged: Vec<CallRecord>,
    /// Where phones were registered.
    pub bindings: Vec<BindingsRow>,
    /// Every shop's consent ledger, in order.
    pub consent: Vec<ConsentEntryRow>,
    /// What the copies of the ledgers beside the database say.
    pub consent_kept: BTreeMap<ShopId, ConsentKept>,
    /// What people said to a version without a ledger, and that is not in it yet, in order.
    pub consent_before: Vec<ConsentRow>,
    /// Up to when everything at upstreams was taken over.
    pub cursors: Vec<CursorRow>,
    /// Up to which entry of the consent ledger each upstream was told.
    pub consents_told: Vec<ConsentsToldRow>,
    /// Files that are still to be fetched.
    pub media_wanted: Vec<MediaRow>,
    /// Files of the messages of `parts_open`, in order.
    pub media_out: Vec<MediaRow>,
    /// The ids at upstreams of all texts, in and out, of [`SIDS_KEPT`] before now, before the oldest cursor and before the
    /// oldest text that is with a line.
    pub sids: Vec<(ShopId, String)>,
    /// Events of the box's own that are still to be delivered, the first [`EVENTS_AT_HAND`] of each endpoint in order.
    pub events_waiting: Vec<EventOutRow>,
    /// How the events of each endpoint stand.
    pub events: Vec<EventsStand>,
    /// True when this start put a copy in the place of a damaged database: what the rows say was current when the
    /// copy was made. Unsent messages are `unknown` already; orders and waits are the daemon's to judge.
    pub restored: bool,
}

/// Reads the snapshot. `boot_number` is the row of this run; the run before is looked at.
pub(super) fn snapshot(
    conn: &Connection,
    boot_number: i64,
    now: Now,
    notices: &mut Vec<Notice>,
) -> Result<Snapshot, StoreError> {
    let mut snapshot = Snapshot { was_clean_shutdown: true, ..Snapshot::default() };
    previous_run(conn, boot_number, &mut snapshot)?;
    let horizon = back(now, snapshot.last_wall, REPORT_WAIT);
    let mut load = Load { conn, notices };
    snapshot.settings =
        load.rows("setting", &format!("SELECT {SETTING} FROM setting"), [], codec::setting)?;
    snapshot.conversations = load.rows(
        "conversation",
        &format!("SELECT {CONVERSATION} FROM conversation ORDER BY updated, id"),
        [],
        codec::conversation,
    )?;
    snapshot.executions = load.executions()?;
    snapshot.flows = load.rows(
        "flow",
        &format!(
            "SELECT {FLOW} FROM flow WHERE published = 1 OR EXISTS (SELECT 1 FROM execution e
                 WHERE e.shop_id = flow.shop_id AND e.flow = flow.name AND e.revision = flow.revision
                     AND e.ended IS NULL)
             ORDER BY shop_id, name, revision"
        ),
        [],
        codec::flow,
    )?;
    snapshot.timers = load.rows("timer", &format!("SELECT {TIMER} FROM timer"), [], codec::timer)?;
    snapshot.parts_open = load.open_messages(horizon)?;
    snapshot.received_unfreed = load.rows(
        "received",
        &format!("SELECT {RECEIVED} FROM received WHERE freed = 0 ORDER BY rowid"),
        [],
        codec::received,
    )?;
    snapshot.parts_waiting = load.rows(
        "received",
        &format!("SELECT {RECEIVED} FROM received WHERE kind = 'part' AND message_id IS NULL ORDER BY rowid"),
        [],
        codec::received,
    )?;
    snapshot.orders = load.rows(
        "dealer_order",
        &format!("SELECT {ORDER} FROM dealer_order WHERE settled = 0 ORDER BY created, id"),
        [],
        codec::order,
    )?;
    snapshot.blocks =
        load.rows("block", "SELECT shop_id, person FROM block", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    load_upstream(&mut load, now, &mut snapshot)?;
    snapshot.next_ticket = load
        .rows(
            "conversation",
            "SELECT shop_id, max(ticket) + 1 FROM conversation GROUP BY shop_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .into_iter()
        .collect();
    snapshot.calls_open = load.rows(
        "call",
        &format!("SELECT {CALL} FROM call WHERE ended IS NULL ORDER BY started, id"),
        [],
        calls::call,
    )?;
    snapshot.calls_charged = load.rows(
        "call",
        &format!(
            "SELECT {CALL} FROM call WHERE charged = 1 AND started >= ?1 ORDER BY started DESC LIMIT ?2"
        ),
        params![back(now, snapshot.last_wall.filter(|_| now.wall_sure), CHARGED_SINCE), CHARGED_MOST],
        calls::call,
    )?;
    snapshot.bindings = load.rows(
        "phone_binding",
        &format!("SELECT {BINDINGS} FROM phone_binding ORDER BY shop_id, device_id"),
        [],
        calls::bindings,
    )?;
    snapshot.shops = load.rows("conversation", SHOPS, [], |row| row.get(0))?;
    Ok(snapshot)
}

fn previous_run(conn: &Connection, boot_number: i64, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let before = conn
        .query_row(
            "SELECT boot, clean FROM boot WHERE number < ?1 ORDER BY number DESC LIMIT 1",
            [boot_number],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some((boot, clean)) = before {
        snapshot.previous_boot = Some(boot);
        snapshot.was_clean_shutdown = clean;
    }
    snapshot.last_wall = conn
        .query_row(
            "SELECT last_wall FROM boot WHERE last_wall IS NOT NULL ORDER BY number DESC LIMIT 1",
            [],
            |r| r.get(0),
        )
        .optional()?;
    Ok(())
}

/// What is older is not looked at. While no time is known nothing is too old.
fn back(now: Now, last_wall: Option<Wall>, by: Duration) -> Wall {
    let known = if now.wall_sure { Some(now.wall) } else { last_wall };
    let wait = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    known.map_or(Wall(i64::MIN), |wall| Wall(wall.0.saturating_sub(wait)))
}

struct Load<'a> {
    conn: &'a Connection,
    notices: &'a mut Vec<Notice>,
}

impl Load<'_> {
    /// A row that cannot be read is left out and reported: one bad row must not keep the shop closed.
    fn rows<T>(
        &mut self,
        table: &'static str,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            match read(row) {
                Ok(value) => found.push(value),
                Err(error) => self.notices.push(Notice::BadRow { table, what: error.to_string() }),
            }
        }
        Ok(found)
    }

    fn executions(&mut self) -> Result<Vec<ExecutionRow>, StoreError> {
        let rows = self.rows(
            "execution",
            &format!("SELECT {EXECUTION} FROM execution WHERE ended IS NULL ORDER BY created, sid"),
            [],
            codec::execution,
        )?;
        let mut whole = Vec::with_capacity(rows.len());
        for mut row in rows {
            match blob::join(self.conn, &row.shop, row.state) {
                Ok(state) => {
                    row.state = state;
                    whole.push(row);
                }
                Err(error @ StoreError::MissingBlob { .. }) => {
                    let what = format!("{}: {error}", row.sid);
                    self.notices.push(Notice::BadRow { table: "execution", what });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    fn open_messages(&mut self, horizon: Wall) -> Result<Vec<(MessageRow, Vec<PartRow>)>, StoreError> {
        let open = "SELECT shop_id, id FROM message WHERE status IN ('queued', 'sending', 'unknown')
             UNION SELECT shop_id, message_id FROM part
                 WHERE state IN ('queued', 'handed', 'unknown') OR (state = 'sent' AND updated >= ?1)";
        let messages = self.rows(
            "message",
            &format!("SELECT {MESSAGE} FROM message WHERE (shop_id, id) IN ({open}) ORDER BY created, rowid"),
            params![horizon],
            codec::message,
        )?;
        let parts = self.rows(
            "part",
            &format!(
                "SELECT {PART} FROM part WHERE (shop_id, message_id) IN ({open})
                 ORDER BY shop_id, message_id, number"
            ),
            params![horizon],
            codec::part,
        )?;
        let mut by_message: BTreeMap<(ShopId, MessageId), Vec<PartRow>> = BTreeMap::new();
        for part in parts {
            by_message.entry((part.shop.clone(), part.id.message.clone())).or_default().push(part);
        }
        Ok(messages
            .into_iter()
            .map(|message| {
                let parts =
                    by_message.remove(&(message.shop.clone(), message.id.clone())).unwrap_or_default();
                (message, parts)
            })
            .collect())
    }
}

fn load_upstream(load: &mut Load<'_>, now: Now, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let sql = format!("SELECT {CONSENT_ENTRY} FROM consent_entry ORDER BY shop_id, seq");
    snapshot.consent = load.rows("consent_entry", &sql, [], upstream::consent_entry)?;
    let sql = format!(
        "SELECT {CONSENT} FROM consent WHERE NOT EXISTS
             (SELECT 1 FROM consent_entry e WHERE e.shop_id = consent.shop_id AND e.subject = consent.person
                  AND json_extract(e.statement, '$.proof') = consent.message_id) ORDER BY shop_id, number"
    );
    snapshot.consent_before = load.rows("consent", &sql, [], codec::consent)?;
    let sql = format!("SELECT {CURSOR} FROM upstream_cursor");
    snapshot.cursors = load.rows("upstream_cursor", &sql, [], upstream::cursor)?;
    let sql = format!("SELECT {CONSENTS_TOLD} FROM consents_told");
    snapshot.consents_told = load.rows("consents_told", &sql, [], told::consents_told)?;
    let sql = format!("SELECT {MEDIA} FROM media WHERE state = 'wanted' ORDER BY rowid");
    snapshot.media_wanted = load.rows("media", &sql, [], upstream::media)?;
    let sql = format!("SELECT {MEDIA} FROM media WHERE shop_id = ?1 AND message_id = ?2 ORDER BY number");
    let with_files = snapshot.parts_open.iter().filter(|(row, _)| row.carriage.media > 0);
    for (row, _) in with_files {
        let files = load.rows("media", &sql, params![row.shop, row.id], upstream::media)?;
        snapshot.media_out.extend(files);
    }
    // A line that was away for long tells again what came shortly before its cursor, and a text that was handed over
    // then is looked for among those of that time.
    let oldest: Option<Wall> = load.conn.query_row(
        "SELECT min(at) FROM (SELECT at FROM upstream_cursor
             UNION ALL SELECT created FROM message WHERE status = 'sending')",
        [],
        |row| row.get(0),
    )?;
    let since = back(now, snapshot.last_wall, SIDS_KEPT);
    let kept = i64::try_from(SIDS_KEPT.as_millis()).unwrap_or(i64::MAX);
    let since = oldest.map_or(since, |oldest| since.min(Wall(oldest.0.saturating_sub(kept))));
    let sql = "SELECT shop_id, upstream_sid FROM message WHERE upstream_sid IS NOT NULL AND created >= ?1";
    snapshot.sids = load.rows("message", sql, params![since], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = format!(
        "SELECT {EVENT_OUT} FROM (SELECT *, row_number() OVER (PARTITION BY shop_id, endpoint ORDER BY seq) AS place
             FROM event_out WHERE state = 'waiting') WHERE place <= ?1 ORDER BY shop_id, endpoint, seq"
    );
    snapshot.events_waiting = load.rows("event_out", &sql, params![EVENTS_AT_HAND], upstream::event_out)?;
    let sql = "SELECT shop_id, endpoint, max(seq), sum(state = 'waiting'), sum(state = 'dead') FROM event_out
         GROUP BY shop_id, endpoint";
    snapshot.events = load.rows("event_out", sql, [], upstream::events_stand)?;
    Ok(())
}
