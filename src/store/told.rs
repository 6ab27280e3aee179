//! The table of schema 4: up to which entry of the consent ledger each upstream was told.

use rusqlite::{Connection, Result, Row, params};

use super::{Reader, StoreError, codec};
use crate::types::{LineId, ShopId};

/// Up to which entry of the shop's consent ledger an upstream was told all that concerns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentsToldRow {
    /// Whose.
    pub shop: ShopId,
    /// By which line.
    pub line: LineId,
    /// For which number or messaging service of ours.
    pub sender: String,
    /// The entry's number; 0: nothing yet.
    pub entry: u64,
    /// Where the ledger ended when telling began.
    pub began: u64,
}

pub(super) const CONSENTS_TOLD: &str = "shop_id, line_id, sender, entry, began";

pub(super) fn consents_told(row: &Row<'_>) -> Result<ConsentsToldRow> {
    let number = |index: usize| -> Result<u64> { Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0)) };
    let (entry, began) = (number(3)?, number(4)?);
    Ok(ConsentsToldRow { shop: row.get(0)?, line: row.get(1)?, sender: row.get(2)?, entry, began })
}

/// It may go back: a restored ledger is shorter.
pub(super) fn put_consents_told(conn: &Connection, row: &ConsentsToldRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO consents_told (shop_id, line_id, sender, entry, began) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET sender = excluded.sender, entry = excluded.entry, began = excluded.began",
    )?
    .execute(params![
        row.shop,
        row.line,
        row.sender,
        codec::signed(row.entry),
        codec::signed(row.began)
    ])?;
    Ok(())
}

impl Reader {
    /// Up to which entry of a shop's consent ledger each of its upstreams was told.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`].
    pub fn consents_told(&self, shop: &ShopId) -> std::result::Result<Vec<ConsentsToldRow>, StoreError> {
        let sql = format!("SELECT {CONSENTS_TOLD} FROM consents_told WHERE shop_id = ?1 ORDER BY line_id");
        self.list(&sql, params![shop], consents_told)
    }
}
