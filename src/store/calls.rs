//! Call records and phones' contacts as rows. A record is written three times and more in a call's life and read
//! hardly ever, so it goes straight into its JSON text, through one buffer; beside it stand only the columns that
//! one searches by.

use rusqlite::{Connection, Result, Row, params};

use super::BindingsRow;
use super::codec::{Json, bad_column};
use crate::call::{CallRecord, Direction};
use crate::types::{Address, PhoneNumber, Wall};

/// The form of `record`: a later one that cannot be read as this one gets another number.
const VERSION: u32 = 1;

pub(super) const CALL: &str = "version, record";

/// Writes records.
#[derive(Default)]
pub(super) struct CallWriter {
    text: Vec<u8>,
}

impl CallWriter {
    /// A call that has ended stays ended, whatever comes late.
    pub(super) fn put(&mut self, conn: &Connection, record: &CallRecord) -> Result<()> {
        self.text.clear();
        serde_json::to_writer(&mut self.text, record).map_err(unwritable)?;
        let text = std::str::from_utf8(&self.text).map_err(unwritable)?;
        let ended = record.ended.as_ref();
        conn.prepare_cached(
            "INSERT INTO call (shop_id, id, direction, line_id, number, started, wall_sure, ended, cause,
                 emergency, charged, version, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT DO UPDATE SET line_id = excluded.line_id, number = excluded.number,
                 ended = excluded.ended, cause = excluded.cause, emergency = excluded.emergency,
                 charged = excluded.charged, version = excluded.version, record = excluded.record
             WHERE ended IS NULL OR excluded.ended IS NOT NULL",
        )?
        .execute(params![
            record.shop,
            record.id,
            word(record.direction),
            record.line,
            number(record),
            record.started.wall,
            record.started.sure,
            ended.map(|(at, _)| at.wall),
            ended.map(|(_, cause)| cause.as_str()),
            record.emergency.is_some(),
            record.charges().next().is_some(),
            VERSION,
            text,
        ])?;
        Ok(())
    }
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// The word of the column `direction`.
pub(super) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Internal => "internal",
    }
}

/// Who is at the other end, as far as it is a number.
fn number(record: &CallRecord) -> Option<&str> {
    match record.direction {
        Direction::Inbound => match record.from.address.as_ref()? {
            Address::Phone(number) => Some(number.as_str()),
            Address::Short(text) => Some(text),
            Address::Alpha(_) => None,
        },
        // What went out is E.164, whatever was dialled.
        Direction::Outbound => record
            .charges()
            .map(|charge| charge.to.as_str())
            .find(|to| PhoneNumber::parse(to, None).is_ok())
            .or(Some(record.to.as_str())),
        Direction::Internal => None,
    }
}

pub(super) fn call(row: &Row<'_>) -> Result<CallRecord> {
    let version: u32 = row.get(0)?;
    if version != VERSION {
        return Err(bad_column(0, "call.version", &version.to_string()));
    }
    let text = row.get_ref(1)?.as_str()?;
    serde_json::from_str(text).map_err(|error| bad_column(1, "call.record", &error.to_string()))
}

pub(super) const BINDINGS: &str = "shop_id, device_id, contacts, updated";

pub(super) fn bindings(row: &Row<'_>) -> Result<BindingsRow> {
    Ok(BindingsRow {
        shop: row.get(0)?,
        device: row.get(1)?,
        contacts: row.get::<_, Json>(2)?.0,
        updated: row.get(3)?,
    })
}

pub(super) fn put_bindings(conn: &Connection, row: &BindingsRow) -> Result<()> {
    let gone = row.contacts.as_array().is_some_and(Vec::is_empty);
    if gone {
        conn.prepare_cached("DELETE FROM phone_binding WHERE shop_id = ?1 AND device_id = ?2")?
            .execute(params![row.shop, row.device])?;
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO phone_binding (shop_id, device_id, contacts, updated) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET contacts = excluded.contacts, updated = excluded.updated",
    )?
    .execute(params![row.shop, row.device, row.contacts.to_string(), row.updated])?;
    Ok(())
}

/// Which calls; what is `None` or false does not narrow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallFilter {
    /// With one outside number.
    pub number: Option<String>,
    /// Only those that go on.
    pub open: bool,
    /// Begun then or later.
    pub since: Option<Wall>,
    /// Begun before: the next page.
    pub before: Option<Wall>,
    /// At most so many; 0 for none at all.
    pub limit: u32,
}
