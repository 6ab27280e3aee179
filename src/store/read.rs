//! Queries for views and tools. Each takes the shop; none can see another's. Lists are bounded by their caller
//! and come newest first unless they say otherwise.
//!
//! `tests/isolation.rs` reads the names of the functions in this file: a new one needs its case there.

use rusqlite::{OptionalExtension, Params, Row, named_params, params};

use super::blob;
use super::calls::{self, BINDINGS, CALL};
use super::codec::{
    self, AUDIT, CACHED, CONSENT, CONVERSATION, EXECUTION, FLOW, MESSAGE, ORDER, PART, RECEIVED, SETTING,
    STEP, TIMER,
};
use super::{
    AuditRow, BindingsRow, CachedRow, CallFilter, ConsentRow, ConversationRow, Direction, ExecutionRow,
    FlowRow, MessageRow, MessageStatus, OrderRow, PartRow, Reader, ReceivedRow, SettingRow, StepRow,
    StoreError, TimerRow,
};
use crate::call::CallRecord;
use crate::types::{CallId, ConversationId, ExecutionSid, MessageId, OrderId, ShopId, Wall};

/// Which messages; what is `None` does not narrow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageFilter {
    /// Of one conversation.
    pub conversation: Option<ConversationId>,
    /// With one person.
    pub person: Option<String>,
    /// Standing so.
    pub status: Option<MessageStatus>,
    /// One way.
    pub direction: Option<Direction>,
    /// Created then or later.
    pub since: Option<Wall>,
    /// Created before: the next page.
    pub before: Option<Wall>,
    /// At most so many; 0 for none at all.
    pub limit: u32,
}

/// How many messages stand so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCount {
    /// Which way.
    pub direction: Direction,
    /// How.
    pub status: MessageStatus,
    /// How many.
    pub count: u64,
}

impl Reader {
    pub(super) fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.conn.prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    /// Messages, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn messages(&self, shop: &ShopId, filter: &MessageFilter) -> Result<Vec<MessageRow>, StoreError> {
        // The narrowest index is chosen by leaving out what is not asked: SQLite cannot plan `?1 IS NULL OR …`.
        let mut sql = format!("SELECT {MESSAGE} FROM message WHERE shop_id = :shop");
        let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![(":shop", shop), (":limit", &filter.limit)];
        if let Some(conversation) = &filter.conversation {
            sql.push_str(" AND conversation_id = :conversation");
            params.push((":conversation", conversation));
        }
        if let Some(person) = &filter.person {
            sql.push_str(" AND peer = :person");
            params.push((":person", person));
        }
        if let Some(status) = &filter.status {
            sql.push_str(" AND status = :status");
            params.push((":status", status));
        }
        if let Some(direction) = &filter.direction {
            sql.push_str(" AND direction = :direction");
            params.push((":direction", direction));
        }
        if let Some(since) = &filter.since {
            sql.push_str(" AND created >= :since");
            params.push((":since", since));
        }
        if let Some(before) = &filter.before {
            sql.push_str(" AND created < :before");
            params.push((":before", before));
        }
        sql.push_str(" ORDER BY created DESC, rowid DESC LIMIT :limit");
        self.list(&sql, params.as_slice(), codec::message)
    }

    /// One message with its parts, in order; an inbound one has none.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn message(
        &self,
        shop: &ShopId,
        id: &MessageId,
    ) -> Result<Option<(MessageRow, Vec<PartRow>)>, StoreError> {
        let sql = format!("SELECT {MESSAGE} FROM message WHERE shop_id = ?1 AND id = ?2");
        let Some(message) = self.one(&sql, params![shop, id], codec::message)? else { return Ok(None) };
        let parts = self.parts(&message)?;
        Ok(Some((message, parts)))
    }

    fn parts(&self, message: &MessageRow) -> Result<Vec<PartRow>, StoreError> {
        let sql = format!("SELECT {PART} FROM part WHERE shop_id = ?1 AND message_id = ?2 ORDER BY number");
        self.list(&sql, params![message.shop, message.id], codec::part)
    }

    /// Messages that may or may not have been sent, with their parts, oldest first: staff settle them.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn unknown_messages(&self, shop: &ShopId) -> Result<Vec<(MessageRow, Vec<PartRow>)>, StoreError> {
        let sql = format!(
            "SELECT {MESSAGE} FROM message WHERE shop_id = ?1 AND status = 'unknown' ORDER BY created, rowid"
        );
        let messages = self.list(&sql, params![shop], codec::message)?;
        messages
            .into_iter()
            .map(|message| {
                let parts = self.parts(&message)?;
                Ok((message, parts))
            })
            .collect()
    }

    /// How many messages stand how, created since then.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn message_counts(&self, shop: &ShopId, since: Wall) -> Result<Vec<StatusCount>, StoreError> {
        self.list(
            "SELECT direction, status, count(*) FROM message WHERE shop_id = ?1 AND created >= ?2
             GROUP BY direction, status ORDER BY direction, status",
            params![shop, since],
            |row| {
                let count: i64 = row.get(2)?;
                Ok(StatusCount {
                    direction: row.get(0)?,
                    status: row.get(1)?,
                    count: u64::try_from(count).unwrap_or(0),
                })
            },
        )
    }

    /// The conversation with a person.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn conversation(&self, shop: &ShopId, person: &str) -> Result<Option<ConversationRow>, StoreError> {
        let sql = format!("SELECT {CONVERSATION} FROM conversation WHERE shop_id = ?1 AND person = ?2");
        self.one(&sql, params![shop, person], codec::conversation)
    }

    /// The conversation with an id.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn conversation_by_id(
        &self,
        shop: &ShopId,
        id: &ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        let sql = format!("SELECT {CONVERSATION} FROM conversation WHERE shop_id = ?1 AND id = ?2");
        self.one(&sql, params![shop, id], codec::conversation)
    }

    /// Conversations, the last changed first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn conversations(&self, shop: &ShopId, limit: u32) -> Result<Vec<ConversationRow>, StoreError> {
        let sql = format!(
            "SELECT {CONVERSATION} FROM conversation WHERE shop_id = ?1 ORDER BY updated DESC, id LIMIT ?2"
        );
        self.list(&sql, params![shop, limit], codec::conversation)
    }

    /// The kept answer of the dealer.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn cached(&self, shop: &ShopId, key: &str) -> Result<Option<CachedRow>, StoreError> {
        let sql = format!("SELECT {CACHED} FROM cached WHERE shop_id = ?1 AND key = ?2");
        self.one(&sql, params![shop, key], codec::cached)
    }

    /// Executions of a conversation, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`], [`StoreError::MissingBlob`].
    pub fn executions(
        &self,
        shop: &ShopId,
        conversation: &ConversationId,
        limit: u32,
    ) -> Result<Vec<ExecutionRow>, StoreError> {
        let sql = format!(
            "SELECT {EXECUTION} FROM execution WHERE shop_id = ?1 AND conversation_id = ?2
             ORDER BY created DESC, rowid DESC LIMIT ?3"
        );
        let rows = self.list(&sql, params![shop, conversation, limit], codec::execution)?;
        rows.into_iter().map(|row| self.whole(row)).collect()
    }

    /// One execution.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`], [`StoreError::MissingBlob`].
    pub fn execution(&self, shop: &ShopId, sid: &ExecutionSid) -> Result<Option<ExecutionRow>, StoreError> {
        let sql = format!("SELECT {EXECUTION} FROM execution WHERE shop_id = ?1 AND sid = ?2");
        self.one(&sql, params![shop, sid], codec::execution)?.map(|row| self.whole(row)).transpose()
    }

    fn whole(&self, mut row: ExecutionRow) -> Result<ExecutionRow, StoreError> {
        row.state = blob::join(&self.conn, &row.shop, row.state)?;
        Ok(row)
    }

    /// Steps of an execution, in order.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`], [`StoreError::MissingBlob`].
    pub fn steps(&self, shop: &ShopId, execution: &ExecutionSid) -> Result<Vec<StepRow>, StoreError> {
        let sql =
            format!("SELECT {STEP} FROM step WHERE shop_id = ?1 AND execution_sid = ?2 ORDER BY number");
        let mut rows = self.list(&sql, params![shop, execution], codec::step)?;
        for row in &mut rows {
            let delta = serde_json::Value::Object(std::mem::take(&mut row.delta));
            if let serde_json::Value::Object(delta) = blob::join(&self.conn, shop, delta)? {
                row.delta = delta;
            }
        }
        Ok(rows)
    }

    /// Waits, by id.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn timers(&self, shop: &ShopId) -> Result<Vec<TimerRow>, StoreError> {
        let sql = format!("SELECT {TIMER} FROM timer WHERE shop_id = ?1 ORDER BY id");
        self.list(&sql, params![shop], codec::timer)
    }

    /// Orders, newest first; of one state when asked.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn orders(
        &self,
        shop: &ShopId,
        state: Option<&str>,
        limit: u32,
    ) -> Result<Vec<OrderRow>, StoreError> {
        let narrow = if state.is_some() { "AND state = :state" } else { "AND :state IS NULL" };
        let sql = format!(
            "SELECT {ORDER} FROM dealer_order WHERE shop_id = :shop {narrow}
             ORDER BY created DESC, rowid DESC LIMIT :limit"
        );
        self.list(&sql, named_params! {":shop": shop, ":state": state, ":limit": limit}, codec::order)
    }

    /// Orders whose outcome nobody can tell, oldest first: staff settle them.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn unknown_orders(&self, shop: &ShopId) -> Result<Vec<OrderRow>, StoreError> {
        let sql = format!(
            "SELECT {ORDER} FROM dealer_order WHERE shop_id = ?1 AND state = 'unknown' ORDER BY created, rowid"
        );
        self.list(&sql, params![shop], codec::order)
    }

    /// One order.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn order(&self, shop: &ShopId, id: &OrderId) -> Result<Option<OrderRow>, StoreError> {
        let sql = format!("SELECT {ORDER} FROM dealer_order WHERE shop_id = ?1 AND id = ?2");
        self.one(&sql, params![shop, id], codec::order)
    }

    /// What a person said about being texted before there was a ledger, in order.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn consent(&self, shop: &ShopId, person: &str) -> Result<Vec<ConsentRow>, StoreError> {
        let sql = format!("SELECT {CONSENT} FROM consent WHERE shop_id = ?1 AND person = ?2 ORDER BY number");
        self.list(&sql, params![shop, person], codec::consent)
    }

    /// Who hears nothing more.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn blocks(&self, shop: &ShopId) -> Result<Vec<String>, StoreError> {
        self.list("SELECT person FROM block WHERE shop_id = ?1 ORDER BY person", params![shop], |r| r.get(0))
    }

    /// The owner's settings, by key.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn settings(&self, shop: &ShopId) -> Result<Vec<SettingRow>, StoreError> {
        let sql = format!("SELECT {SETTING} FROM setting WHERE shop_id = ?1 ORDER BY key");
        self.list(&sql, params![shop], codec::setting)
    }

    /// Revisions of all flows, by name and revision, with their definitions.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn flows(&self, shop: &ShopId) -> Result<Vec<FlowRow>, StoreError> {
        let sql = format!("SELECT {FLOW} FROM flow WHERE shop_id = ?1 ORDER BY name, revision");
        self.list(&sql, params![shop], codec::flow)
    }

    /// The audit log, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn audit(&self, shop: &ShopId, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = format!("SELECT {AUDIT} FROM audit WHERE shop_id = ?1 ORDER BY number DESC LIMIT ?2");
        self.list(&sql, params![shop, limit], codec::audit)
    }

    /// PDUs that could not be decoded, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn broken(&self, shop: &ShopId, limit: u32) -> Result<Vec<ReceivedRow>, StoreError> {
        let sql = format!(
            "SELECT {RECEIVED} FROM received WHERE shop_id = ?1 AND kind = 'broken'
             ORDER BY wall DESC, rowid DESC LIMIT ?2"
        );
        self.list(&sql, params![shop, limit], codec::received)
    }

    /// The PDUs that a text was made of, in the order of arrival.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn received(&self, shop: &ShopId, message: &MessageId) -> Result<Vec<ReceivedRow>, StoreError> {
        let sql =
            format!("SELECT {RECEIVED} FROM received WHERE shop_id = ?1 AND message_id = ?2 ORDER BY rowid");
        self.list(&sql, params![shop, message], codec::received)
    }

    /// Call records, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn calls(&self, shop: &ShopId, filter: &CallFilter) -> Result<Vec<CallRecord>, StoreError> {
        let mut sql = format!("SELECT {CALL} FROM call WHERE shop_id = :shop");
        let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![(":shop", shop), (":limit", &filter.limit)];
        if let Some(number) = &filter.number {
            sql.push_str(" AND number = :number");
            params.push((":number", number));
        }
        if filter.open {
            sql.push_str(" AND ended IS NULL");
        }
        if let Some(since) = &filter.since {
            sql.push_str(" AND started >= :since");
            params.push((":since", since));
        }
        if let Some(before) = &filter.before {
            sql.push_str(" AND started < :before");
            params.push((":before", before));
        }
        sql.push_str(" ORDER BY started DESC, rowid DESC LIMIT :limit");
        self.list(&sql, params.as_slice(), calls::call)
    }

    /// One call's record.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn call(&self, shop: &ShopId, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
        let sql = format!("SELECT {CALL} FROM call WHERE shop_id = ?1 AND id = ?2");
        self.one(&sql, params![shop, id], calls::call)
    }

    /// Where phones are registered, by device.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn phone_bindings(&self, shop: &ShopId) -> Result<Vec<BindingsRow>, StoreError> {
        let sql = format!("SELECT {BINDINGS} FROM phone_binding WHERE shop_id = ?1 ORDER BY device_id");
        self.list(&sql, params![shop], calls::bindings)
    }
}
