//! The tables of schema 3: cursors at upstreams, files of texts, the consent ledger, the box's own events.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::codec::bad_column;
use super::{
    ConsentEntryRow, CursorRow, EventOutRow, EventOutState, EventsStand, MediaRow, MessageRow, Reader,
    StoreError, codec,
};
use crate::messaging::ledger::{self, Act, Entry, Link, Scope, Statement};
use crate::types::{MessageId, Now, ShopId, Wall};

/// How long the ids of texts at upstreams stay in a snapshot: longer than any polling looks back.
pub const SIDS_KEPT: Duration = Duration::from_secs(2 * 86_400);

/// Without the file itself.
pub(super) const MEDIA: &str =
    "shop_id, message_id, number, line_id, url, content_type, state, note, updated";

pub(super) fn media(row: &Row<'_>) -> Result<MediaRow> {
    Ok(MediaRow {
        shop: row.get(0)?,
        message: row.get(1)?,
        number: row.get(2)?,
        line: row.get(3)?,
        url: row.get(4)?,
        content_type: row.get(5)?,
        state: row.get(6)?,
        note: row.get(7)?,
        bytes: None,
        updated: row.get(8)?,
    })
}

pub(super) fn put_media(conn: &Connection, row: &MediaRow) -> Result<()> {
    let size = row.bytes.as_ref().map_or(0, Vec::len);
    conn.prepare_cached(
        "INSERT INTO media (shop_id, message_id, number, line_id, url, content_type, state, note, size, bytes, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET content_type = excluded.content_type, state = excluded.state,
             note = excluded.note, size = excluded.size, bytes = excluded.bytes, updated = excluded.updated
         WHERE state <> 'kept'",
    )?
    .execute(params![
        row.shop,
        row.message,
        row.number,
        row.line,
        row.url,
        row.content_type,
        row.state,
        row.note,
        i64::try_from(size).unwrap_or(i64::MAX),
        row.bytes,
        row.updated
    ])?;
    Ok(())
}

pub(super) const CURSOR: &str = "shop_id, line_id, at";

pub(super) fn cursor(row: &Row<'_>) -> Result<CursorRow> {
    Ok(CursorRow { shop: row.get(0)?, line: row.get(1)?, at: row.get(2)? })
}

pub(super) fn put_cursor(conn: &Connection, row: &CursorRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO upstream_cursor (shop_id, line_id, at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
    )?
    .execute(params![row.shop, row.line, row.at])?;
    Ok(())
}

pub(super) const CONSENT_ENTRY: &str = "shop_id, seq, before, link, statement";

pub(super) fn consent_entry(row: &Row<'_>) -> Result<ConsentEntryRow> {
    let link = |index: usize| -> Result<Link> {
        let text: String = row.get(index)?;
        text.parse().map_err(|_| bad_column(index, "Link", &text))
    };
    let statement: String = row.get(4)?;
    let statement =
        serde_json::from_str(&statement).map_err(|e| bad_column(4, "Statement", &e.to_string()))?;
    let seq: i64 = row.get(1)?;
    let seq = u64::try_from(seq).map_err(|_| bad_column(1, "seq", &seq.to_string()))?;
    let entry = Entry { seq, before: link(2)?, link: link(3)?, statement };
    Ok(ConsentEntryRow { shop: row.get(0)?, entry })
}

/// The same entry again (a batch that is retried) is nothing new; another one in its place breaks the chain and is an
/// error of the whole transaction.
pub(super) fn add_consent_entry(conn: &Connection, row: &ConsentEntryRow) -> Result<()> {
    let entry = &row.entry;
    let link = entry.link.to_string();
    let known: Option<String> = conn
        .prepare_cached("SELECT link FROM consent_entry WHERE shop_id = ?1 AND seq = ?2")?
        .query_row(params![row.shop, codec::signed(entry.seq)], |r| r.get(0))
        .optional()?;
    if known.as_ref() == Some(&link) {
        return Ok(());
    }
    let statement = serde_json::to_string(&entry.statement)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    conn.prepare_cached(
        "INSERT INTO consent_entry (shop_id, seq, before, link, subject, at, statement)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        row.shop,
        codec::signed(entry.seq),
        entry.before.to_string(),
        link,
        entry.statement.subject.as_str(),
        entry.statement.at,
        statement
    ])?;
    keep_block_table(conn, &row.shop, &entry.statement)
}

/// The version before reads table `block` alone: it follows what is said of the shop as a whole. A block of one line
/// counts as one of the shop's there until the shop is released: that version knows no narrower one.
fn keep_block_table(conn: &Connection, shop: &ShopId, s: &Statement) -> Result<()> {
    match (s.act, &s.scope) {
        (Act::Block, Scope::Shop | Scope::Line(_)) => conn
            .prepare_cached(
                "INSERT INTO block (shop_id, person, wall) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET wall = excluded.wall",
            )?
            .execute(params![shop, s.subject.as_str(), s.at])?,
        (Act::Unblock, Scope::Shop) => conn
            .prepare_cached("DELETE FROM block WHERE shop_id = ?1 AND person = ?2")?
            .execute(params![shop, s.subject.as_str()])?,
        (Act::Block | Act::Unblock, Scope::Number(_) | Scope::Line(_))
        | (Act::Consent(_) | Act::Withdrawal(_) | Act::Pause | Act::Resume, _) => 0,
    };
    Ok(())
}

/// Drops what is old enough. Gives what all shops' ledgers are then, when anything went.
pub(super) fn expire_consent(
    conn: &Connection,
    shop: &ShopId,
    now: Now,
) -> Result<Option<Vec<ConsentEntryRow>>> {
    let first: Option<(i64, Wall)> = conn
        .prepare_cached("SELECT seq, at FROM consent_entry WHERE shop_id = ?1 ORDER BY seq LIMIT 1")?
        .query_row(params![shop], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // The front alone may go: while it is young, nothing is looked at.
    if first.is_none_or(|(_, at)| !ledger::is_expired(at, now)) {
        return Ok(None);
    }
    let (all, whole) = all_consent(conn)?;
    if !whole {
        return Ok(None);
    }
    let own: Vec<Entry> = all.iter().filter(|r| r.shop == *shop).map(|r| r.entry.clone()).collect();
    let gone = ledger::expired(&own, now);
    // The last entry stays: the chain goes on from it.
    let Some(up_to) = gone.min(own.len().saturating_sub(1)).checked_sub(1).and_then(|at| own.get(at)) else {
        return Ok(None);
    };
    conn.prepare_cached("DELETE FROM consent_entry WHERE shop_id = ?1 AND seq <= ?2")?
        .execute(params![shop, codec::signed(up_to.seq)])?;
    Ok(Some(all.into_iter().filter(|r| r.shop != *shop || r.entry.seq > up_to.seq).collect()))
}

/// Every shop's ledger, and whether all of it can be read.
pub(super) fn all_consent(conn: &Connection) -> Result<(Vec<ConsentEntryRow>, bool)> {
    let sql = format!("SELECT {CONSENT_ENTRY} FROM consent_entry ORDER BY shop_id, seq");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let (mut all, mut whole) = (Vec::new(), true);
    while let Some(row) = rows.next()? {
        match consent_entry(row) {
            Ok(row) => all.push(row),
            Err(_) => whole = false,
        }
    }
    Ok((all, whole))
}

pub(super) const EVENT_OUT: &str =
    "shop_id, id, endpoint, kind, body, state, attempts, note, seq, since, created, updated";

pub(super) fn events_stand(row: &Row<'_>) -> Result<EventsStand> {
    let count = |index: usize| -> Result<u64> { Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0)) };
    Ok(EventsStand {
        shop: row.get(0)?,
        endpoint: row.get(1)?,
        newest: count(2)?,
        waiting: count(3)?,
        dead: count(4)?,
    })
}

pub(super) fn event_out(row: &Row<'_>) -> Result<EventOutRow> {
    Ok(EventOutRow {
        shop: row.get(0)?,
        id: row.get(1)?,
        endpoint: row.get(2)?,
        kind: row.get(3)?,
        body: row.get(4)?,
        state: row.get(5)?,
        attempts: row.get(6)?,
        note: row.get(7)?,
        seq: u64::try_from(row.get::<_, i64>(8)?).unwrap_or(0),
        since: row.get(9)?,
        created: row.get(10)?,
        updated: row.get(11)?,
    })
}

/// Events of one step again (a batch that is retried) are nothing new.
pub(super) fn add_event_out(conn: &Connection, row: &EventOutRow) -> Result<()> {
    write_event_out(conn, row, "DO NOTHING")
}

pub(super) fn put_event_out(conn: &Connection, row: &EventOutRow) -> Result<()> {
    write_event_out(
        conn,
        row,
        "DO UPDATE SET state = excluded.state, attempts = excluded.attempts, note = excluded.note,
             since = excluded.since, updated = excluded.updated",
    )
}

fn write_event_out(conn: &Connection, row: &EventOutRow, conflict: &str) -> Result<()> {
    conn.prepare_cached(&format!(
        "INSERT INTO event_out ({EVENT_OUT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (shop_id, id) {conflict}"
    ))?
    .execute(params![
        row.shop,
        row.id,
        row.endpoint,
        row.kind,
        row.body,
        row.state,
        row.attempts,
        row.note,
        codec::signed(row.seq),
        row.since,
        row.created,
        row.updated
    ])?;
    Ok(())
}

/// In small portions: the writer has more to do.
pub(super) fn drop_events_out(conn: &Connection, shop: &ShopId, delivered: Wall, dead: Wall) -> Result<()> {
    for (state, before) in [(EventOutState::Delivered, delivered), (EventOutState::Dead, dead)] {
        conn.prepare_cached(
            "DELETE FROM event_out WHERE rowid IN (SELECT rowid FROM event_out e WHERE shop_id = ?1 AND state = ?2
                 AND created < ?3 AND seq < (SELECT max(seq) FROM event_out n
                     WHERE n.shop_id = e.shop_id AND n.endpoint = e.endpoint) LIMIT 1000)",
        )?
        .execute(params![shop, state, before])?;
    }
    Ok(())
}

impl Reader {
    /// A shop's consent ledger in order; of one person when `subject` is given.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn consent_entries(
        &self,
        shop: &ShopId,
        subject: Option<&str>,
    ) -> Result<Vec<ConsentEntryRow>, StoreError> {
        let sql = format!(
            "SELECT {CONSENT_ENTRY} FROM consent_entry WHERE shop_id = ?1 AND (?2 IS NULL OR subject = ?2) ORDER BY seq"
        );
        self.list(&sql, params![shop, subject], consent_entry)
    }

    /// The text that has this id at an upstream.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn message_by_sid(&self, shop: &ShopId, sid: &str) -> Result<Option<MessageRow>, StoreError> {
        let sql = format!("SELECT {} FROM message WHERE shop_id = ?1 AND upstream_sid = ?2", codec::MESSAGE);
        self.one(&sql, params![shop, sid], codec::message)
    }

    /// Up to when everything at upstreams was taken over, a line each.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn cursors(&self, shop: &ShopId) -> Result<Vec<CursorRow>, StoreError> {
        let sql = format!("SELECT {CURSOR} FROM upstream_cursor WHERE shop_id = ?1 ORDER BY line_id");
        self.list(&sql, params![shop], cursor)
    }

    /// The files of a text, without their bytes.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn media(&self, shop: &ShopId, message: &MessageId) -> Result<Vec<MediaRow>, StoreError> {
        let sql = format!("SELECT {MEDIA} FROM media WHERE shop_id = ?1 AND message_id = ?2 ORDER BY number");
        self.list(&sql, params![shop, message], media)
    }

    /// How many bytes of each file of a text are kept, by its number.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn media_sizes(&self, shop: &ShopId, message: &MessageId) -> Result<Vec<(u8, u64)>, StoreError> {
        let sql = "SELECT number, size FROM media WHERE shop_id = ?1 AND message_id = ?2 ORDER BY number";
        self.list(sql, params![shop, message], |row| {
            Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
        })
    }

    /// One file of a text.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn media_bytes(
        &self,
        shop: &ShopId,
        message: &MessageId,
        number: u8,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes FROM media WHERE shop_id = ?1 AND message_id = ?2 AND number = ?3";
        Ok(self.one(sql, params![shop, message, number], |r| r.get::<_, Option<Vec<u8>>>(0))?.flatten())
    }

    /// Outgoing events that stand so, newest first; created before `before` for the next page.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn events_out(
        &self,
        shop: &ShopId,
        state: Option<EventOutState>,
        before: Option<Wall>,
        limit: u32,
    ) -> Result<Vec<EventOutRow>, StoreError> {
        let sql = format!(
            "SELECT {EVENT_OUT} FROM event_out WHERE shop_id = ?1 AND (?2 IS NULL OR state = ?2)
                 AND (?3 IS NULL OR created < ?3) ORDER BY created DESC, id LIMIT ?4"
        );
        self.list(&sql, params![shop, state, before, limit], event_out)
    }

    /// The events of one endpoint that are to be delivered, in order.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn events_waiting(
        &self,
        shop: &ShopId,
        endpoint: &str,
        limit: u32,
    ) -> Result<Vec<EventOutRow>, StoreError> {
        let sql = format!(
            "SELECT {EVENT_OUT} FROM event_out WHERE shop_id = ?1 AND endpoint = ?2 AND state = 'waiting'
                 ORDER BY seq LIMIT ?3"
        );
        self.list(&sql, params![shop, endpoint, limit], event_out)
    }

    /// One outgoing event.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn event_out(&self, shop: &ShopId, id: &str) -> Result<Option<EventOutRow>, StoreError> {
        let sql = format!("SELECT {EVENT_OUT} FROM event_out WHERE shop_id = ?1 AND id = ?2");
        self.one(&sql, params![shop, id], event_out)
    }
}
