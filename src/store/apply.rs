//! One operation of a transaction as SQL. Every statement is prepared once.

use rusqlite::{Connection, OptionalExtension, Result, params};
use serde_json::{Value, json};

use super::blob::{self, Remembered};
use super::calls::{self, CallWriter};
use super::codec::{Json, signed};
use super::ledger_copy::LedgerCopy;
use super::{
    AuditRow, CachedRow, ConsentRow, ConversationRow, ExecutionRow, FlowRow, MessageRow, Op, OrderRow,
    PartRow, ReceivedRow, SettingRow, StepRow, TimerRow, told, upstream,
};
use crate::messaging::ledger::Purpose;
use crate::types::{Now, ShopId};

/// What the writer knows beside the database.
#[derive(Default)]
pub(super) struct Applier {
    blobs: Remembered,
    calls: CallWriter,
    /// Newest time of the transactions applied, for the boot row.
    clock: Option<Now>,
    ledger_copy: LedgerCopy,
}

impl Applier {
    pub(super) fn new(ledger_copy: LedgerCopy) -> Self {
        Self { ledger_copy, ..Self::default() }
    }

    /// What was applied is durable.
    pub(super) fn committed(&mut self) {
        self.ledger_copy.committed();
    }

    /// After a rollback.
    pub(super) fn forget(&mut self) {
        self.blobs.forget();
        self.clock = None;
        self.ledger_copy.forget();
    }

    /// Writes the newest sure time into the boot row: the clock's floor after the next start.
    pub(super) fn keep_clock(&mut self, conn: &Connection, boot_number: i64) -> Result<()> {
        if let Some(now) = self.clock.take() {
            conn.prepare_cached(
                "UPDATE boot SET last_mono = ?2, last_wall = CASE WHEN ?4 THEN ?3 ELSE last_wall END
                 WHERE number = ?1",
            )?
            .execute(params![boot_number, now.mono, now.wall, now.wall_sure])?;
        }
        Ok(())
    }

    /// One operation.
    pub(super) fn apply(&mut self, conn: &Connection, op: &Op) -> Result<()> {
        match op {
            Op::PutMessage(row) => put_message(conn, row),
            Op::PutPart(row) => put_part(conn, row),
            Op::DropParts(shop, message, kept) => {
                conn.prepare_cached(
                    "DELETE FROM part WHERE shop_id = ?1 AND message_id = ?2 AND number > ?3",
                )?
                .execute(params![shop, message, kept])?;
                Ok(())
            }
            Op::PutReceived(row) => put_received(conn, row),
            Op::PutConversation(row) => put_conversation(conn, row),
            Op::PutExecution(row) => self.put_execution(conn, row),
            Op::AddStep(row) => self.add_step(conn, row),
            Op::PutTimer(row) => put_timer(conn, row),
            Op::DeleteTimer(shop, id) => delete_timer(conn, shop, id),
            Op::PutOrder(row) => put_order(conn, row),
            Op::PutCached(row) => put_cached(conn, row),
            Op::DropCached(shop, prefix) => drop_cached(conn, shop, prefix),
            Op::AddConsent(row) => add_consent(conn, row),
            Op::AddConsentEntry(row) => {
                upstream::add_consent_entry(conn, row)?;
                self.ledger_copy.added(row);
                Ok(())
            }
            Op::ExpireConsent(shop, now) => {
                if let Some(rows) = upstream::expire_consent(conn, shop, *now)? {
                    self.ledger_copy.rewritten(rows);
                }
                Ok(())
            }
            Op::AcceptConsent(_) => {
                self.ledger_copy.rewritten(upstream::all_consent(conn)?.0);
                Ok(())
            }
            Op::PutCursor(row) => upstream::put_cursor(conn, row),
            Op::PutConsentsTold(row) => told::put_consents_told(conn, row),
            Op::PutMedia(row) => upstream::put_media(conn, row),
            Op::AddEventOut(row) => upstream::add_event_out(conn, row),
            Op::DropEventsOut(shop, delivered, dead) => {
                upstream::drop_events_out(conn, shop, *delivered, *dead)
            }
            Op::PutEventOut(row) => upstream::put_event_out(conn, row),
            Op::PutSetting(row) => put_setting(conn, row),
            Op::PutFlow(row) => put_flow(conn, row),
            Op::AddAudit(row) => add_audit(conn, row),
            Op::PutCall(record) => self.calls.put(conn, record),
            Op::PutBindings(row) => calls::put_bindings(conn, row),
            Op::Tick(now) => {
                self.clock = Some(*now);
                Ok(())
            }
        }
    }

    fn put_execution(&mut self, conn: &Connection, row: &ExecutionRow) -> Result<()> {
        let mut large = Vec::new();
        let state = blob::split(&row.state, blob::STATE_LEVELS, &mut large);
        self.blobs.store(conn, &row.shop, large)?;
        conn.prepare_cached(
            "INSERT INTO execution
                 (shop_id, sid, conversation_id, flow, revision, ended, state, created, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET conversation_id = excluded.conversation_id, flow = excluded.flow,
                 revision = excluded.revision, ended = excluded.ended, state = excluded.state,
                 updated = excluded.updated",
        )?
        .execute(params![
            row.shop,
            row.sid,
            row.conversation,
            row.flow,
            row.revision,
            row.ended,
            Json(state),
            row.created,
            row.updated
        ])?;
        Ok(())
    }

    fn add_step(&mut self, conn: &Connection, row: &StepRow) -> Result<()> {
        let mut large = Vec::new();
        let delta = blob::split(&Value::Object(row.delta.clone()), blob::DELTA_LEVELS, &mut large);
        self.blobs.store(conn, &row.shop, large)?;
        conn.prepare_cached(
            "INSERT INTO step
                 (shop_id, execution_sid, number, event, from_widget, to_widget, kind, delta, note, wall)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            row.shop,
            row.execution,
            row.number,
            row.event,
            row.from,
            row.to,
            row.kind,
            Json(delta),
            row.note,
            row.wall
        ])?;
        Ok(())
    }
}

/// What the network has said is not unsaid: `delivered` and `received` stay, `sent` goes only on to an outcome.
/// The daemon's rows and the database would disagree if this ever held something back, so it is logged.
fn put_message(conn: &Connection, row: &MessageRow) -> Result<()> {
    let changed = conn
        .prepare_cached(
            "INSERT INTO message (shop_id, id, conversation_id, direction, line_id, peer, body, status, source,
                 execution_sid, note, created, wall_sure, updated, sent_at, channel, purpose, upstream_sid, choice,
                 error, price, currency, media, template, not_before)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                 ?22, ?23, ?24, ?25)
             ON CONFLICT DO UPDATE SET conversation_id = excluded.conversation_id, line_id = excluded.line_id,
                 peer = excluded.peer, body = excluded.body, status = excluded.status, source = excluded.source,
                 execution_sid = excluded.execution_sid, note = excluded.note, updated = excluded.updated,
                 sent_at = excluded.sent_at, channel = excluded.channel, purpose = excluded.purpose,
                 upstream_sid = excluded.upstream_sid, choice = excluded.choice, error = excluded.error,
                 price = excluded.price, currency = excluded.currency, media = excluded.media,
                 template = excluded.template, not_before = excluded.not_before
             WHERE CASE status WHEN 'delivered' THEN 2 WHEN 'received' THEN 2 WHEN 'sent' THEN 1 ELSE 0 END
                <= CASE excluded.status WHEN 'delivered' THEN 2 WHEN 'received' THEN 2 WHEN 'sent' THEN 1
                       WHEN 'undelivered' THEN 1 WHEN 'failed' THEN 1 ELSE 0 END",
        )?
        .execute(params![
            row.shop,
            row.id,
            row.conversation,
            row.direction,
            row.line,
            row.peer,
            row.body,
            row.status,
            row.source.as_str(),
            row.source.of(),
            row.note,
            row.created,
            row.wall_sure,
            row.updated,
            row.sent_at,
            row.carriage.channel,
            (row.purpose != Purpose::Reply).then(|| json!(row.purpose).to_string()),
            row.carriage.sid,
            row.carriage.choice,
            row.carriage.error,
            row.carriage.price.as_ref().map(|(amount, _)| amount),
            row.carriage.price.as_ref().map(|(_, currency)| currency),
            row.carriage.media,
            row.carriage.template.as_ref().map(|template| json!(template).to_string()),
            row.not_before
        ])?;
    if changed == 0 {
        tracing::warn!(message = %row.id, status = row.status.as_str(), "a message's status does not go back");
    }
    Ok(())
}

/// The same rule as for messages.
fn put_part(conn: &Connection, row: &PartRow) -> Result<()> {
    let changed = conn
        .prepare_cached(
            "INSERT INTO part (shop_id, message_id, number, pdu, length, state, line_id, reference, attempts,
                 note, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO UPDATE SET pdu = excluded.pdu, length = excluded.length, state = excluded.state,
                 line_id = excluded.line_id, reference = excluded.reference, attempts = excluded.attempts,
                 note = excluded.note, updated = excluded.updated
             WHERE CASE state WHEN 'delivered' THEN 2 WHEN 'sent' THEN 1 ELSE 0 END
                <= CASE excluded.state WHEN 'delivered' THEN 2 WHEN 'sent' THEN 1 WHEN 'failed' THEN 1 ELSE 0 END",
        )?
        .execute(params![
            row.shop,
            row.id.message,
            row.id.number,
            row.pdu,
            row.length,
            row.state,
            row.line,
            row.reference,
            row.attempts,
            row.note,
            row.updated
        ])?;
    if changed == 0 {
        tracing::warn!(part = %row.id, state = row.state.as_str(), "a part's state does not go back");
    }
    Ok(())
}

fn put_received(conn: &Connection, row: &ReceivedRow) -> Result<()> {
    if !row.freed {
        make_way_in_slot(conn, row)?;
    }
    let concat = row.concat.as_ref();
    conn.prepare_cached(
        "INSERT INTO received (shop_id, id, line_id, identity, mem, slot, raw, kind, message_id, concat_peer,
             concat_reference, concat_wide, concat_total, concat_number, freed, note, wall)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (shop_id, id) DO UPDATE SET line_id = excluded.line_id, identity = excluded.identity,
             mem = excluded.mem, slot = excluded.slot, raw = excluded.raw, kind = excluded.kind,
             message_id = excluded.message_id, concat_peer = excluded.concat_peer,
             concat_reference = excluded.concat_reference, concat_wide = excluded.concat_wide,
             concat_total = excluded.concat_total, concat_number = excluded.concat_number,
             freed = excluded.freed, note = excluded.note",
    )?
    .execute(params![
        row.shop,
        row.id,
        row.line,
        row.identity,
        row.slot.mem,
        row.slot.index,
        row.raw,
        row.kind,
        row.message,
        concat.map(|c| &c.peer),
        concat.map(|c| c.reference),
        concat.map(|c| c.wide),
        concat.map(|c| c.total),
        concat.map(|c| c.number),
        row.freed,
        row.note,
        row.wall
    ])?;
    Ok(())
}

/// A slot holds one PDU. The same PDU found there again replaces its row; another PDU shows that the slot was
/// freed meanwhile, and the row before stays.
fn make_way_in_slot(conn: &Connection, row: &ReceivedRow) -> Result<()> {
    let slot = params![row.shop, row.line, row.identity, row.slot.mem, row.slot.index, row.id, row.raw];
    conn.prepare_cached(
        "DELETE FROM received WHERE shop_id = ?1 AND line_id = ?2 AND identity = ?3 AND mem = ?4 AND slot = ?5
             AND freed = 0 AND id <> ?6 AND raw = ?7",
    )?
    .execute(slot)?;
    conn.prepare_cached(
        "UPDATE received SET freed = 1 WHERE shop_id = ?1 AND line_id = ?2 AND identity = ?3 AND mem = ?4
             AND slot = ?5 AND freed = 0 AND id <> ?6 AND raw <> ?7",
    )?
    .execute(slot)?;
    Ok(())
}

fn put_conversation(conn: &Connection, row: &ConversationRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO conversation (shop_id, id, person, state, ticket, active, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (shop_id, id) DO UPDATE SET person = excluded.person, state = excluded.state,
             ticket = excluded.ticket, active = excluded.active, updated = excluded.updated",
    )?
    .execute(params![
        row.shop,
        row.id,
        row.person,
        row.state.to_string(),
        row.ticket,
        row.active,
        row.updated
    ])?;
    Ok(())
}

fn put_timer(conn: &Connection, row: &TimerRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO timer (shop_id, id, deadline, boot, remaining_ms, wall) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET deadline = excluded.deadline, boot = excluded.boot,
             remaining_ms = excluded.remaining_ms, wall = excluded.wall",
    )?
    .execute(params![row.shop, row.id, row.deadline, row.boot, signed(row.remaining_ms), row.wall])?;
    Ok(())
}

fn delete_timer(conn: &Connection, shop: &ShopId, id: &str) -> Result<()> {
    conn.prepare_cached("DELETE FROM timer WHERE shop_id = ?1 AND id = ?2")?.execute(params![shop, id])?;
    Ok(())
}

fn put_order(conn: &Connection, row: &OrderRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO dealer_order (shop_id, id, kind, conversation_id, execution_sid, state, settled, body, about,
             created, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET kind = excluded.kind, conversation_id = excluded.conversation_id,
             execution_sid = excluded.execution_sid, state = excluded.state, settled = excluded.settled,
             body = excluded.body, about = excluded.about, updated = excluded.updated",
    )?
    .execute(params![
        row.shop,
        row.id,
        row.kind,
        row.conversation,
        row.execution,
        row.state,
        row.settled,
        row.order.to_string(),
        row.about.to_string(),
        row.created,
        row.updated
    ])?;
    Ok(())
}

fn put_cached(conn: &Connection, row: &CachedRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO cached (shop_id, key, status, body, wall, mono, boot, wall_sure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET status = excluded.status, body = excluded.body, wall = excluded.wall,
             mono = excluded.mono, boot = excluded.boot, wall_sure = excluded.wall_sure",
    )?
    .execute(params![
        row.shop,
        row.key,
        row.status,
        row.body,
        row.wall,
        row.mono,
        row.boot,
        row.wall_sure
    ])?;
    Ok(())
}

/// No `LIKE`: a `%` or `_` of a key is only itself.
fn drop_cached(conn: &Connection, shop: &ShopId, prefix: &str) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM cached WHERE shop_id = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2",
    )?
    .execute(params![shop, prefix])?;
    Ok(())
}

fn add_consent(conn: &Connection, row: &ConsentRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO consent (shop_id, number, person, line_id, blocked, words, message_id, wall, wall_sure)
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM consent WHERE shop_id = ?1",
    )?
    .execute(params![
        row.shop,
        row.person,
        row.line,
        row.blocked,
        row.words,
        row.message,
        row.wall,
        row.wall_sure
    ])?;
    if row.blocked {
        conn.prepare_cached(
            "INSERT INTO block (shop_id, person, wall) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET wall = excluded.wall",
        )?
        .execute(params![row.shop, row.person, row.wall])?;
    } else {
        conn.prepare_cached("DELETE FROM block WHERE shop_id = ?1 AND person = ?2")?
            .execute(params![row.shop, row.person])?;
    }
    Ok(())
}

/// What is set to the value that it has leaves no trace in the audit log: an import may be repeated.
fn put_setting(conn: &Connection, row: &SettingRow) -> Result<()> {
    let before = conn
        .prepare_cached("SELECT value FROM setting WHERE shop_id = ?1 AND key = ?2")?
        .query_row(params![row.shop, row.key], |r| r.get::<_, Json>(0))
        .optional()?
        .map_or(Value::Null, |json| json.0);
    if before == row.value {
        return Ok(());
    }
    if row.value.is_null() {
        conn.prepare_cached("DELETE FROM setting WHERE shop_id = ?1 AND key = ?2")?
            .execute(params![row.shop, row.key])?;
    } else {
        conn.prepare_cached(
            "INSERT INTO setting (shop_id, key, value, by, wall) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET value = excluded.value, by = excluded.by, wall = excluded.wall",
        )?
        .execute(params![row.shop, row.key, row.value.to_string(), row.by, row.wall])?;
    }
    add_audit(
        conn,
        &AuditRow {
            shop: row.shop.clone(),
            who: row.by.clone(),
            what: "setting".to_owned(),
            detail: json!({"key": row.key, "from": before, "to": row.value}),
            wall: row.wall,
        },
    )
}

/// A revision is never rewritten: executions are pinned to it.
fn put_flow(conn: &Connection, row: &FlowRow) -> Result<()> {
    let key = params![row.shop, row.name, row.revision];
    conn.prepare_cached(
        "INSERT INTO flow (shop_id, name, revision, sid, definition, published, by, wall)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7) ON CONFLICT (shop_id, name, revision) DO NOTHING",
    )?
    .execute(params![row.shop, row.name, row.revision, row.sid, row.definition, row.by, row.wall])?;
    if row.published {
        conn.prepare_cached(
            "UPDATE flow SET published = 0 WHERE shop_id = ?1 AND name = ?2 AND revision <> ?3 AND published = 1",
        )?
        .execute(key)?;
        conn.prepare_cached(
            "UPDATE flow SET published = 1 WHERE shop_id = ?1 AND name = ?2 AND revision = ?3",
        )?
        .execute(key)?;
    }
    Ok(())
}

fn add_audit(conn: &Connection, row: &AuditRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO audit (shop_id, number, who, what, detail, wall)
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5 FROM audit WHERE shop_id = ?1",
    )?
    .execute(params![row.shop, row.who, row.what, row.detail.to_string(), row.wall])?;
    Ok(())
}
