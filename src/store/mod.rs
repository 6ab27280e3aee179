//! SQLite, and the only room that knows SQL. One writer thread commits batches in strict order with
//! `synchronous=FULL`; a pool of readers serves views. Rows are own, versioned types ([`rows`]), converted by
//! hand from what the cores hold. Every shop-owned row and query carries `shop_id`.

mod rows;

pub use rows::*;

use crate::types::ShopId;

/// Everything that one event changes, committed together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// In order.
    pub ops: Vec<Op>,
}

/// Position of a transaction in the order of commits, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Insert or replace by (shop, id).
    PutMessage(MessageRow),
    /// Insert or replace by (shop, message, number).
    PutPart(PartRow),
    /// Insert or replace by (line, identity, slot) while unfreed.
    PutReceived(ReceivedRow),
    /// Insert or replace by (shop, id).
    PutConversation(ConversationRow),
    /// Insert or replace by (shop, sid). Values over 1 KiB inside the JSON are kept once, by hash.
    PutExecution(ExecutionRow),
    /// Insert by (shop, execution, number); the same again is ignored.
    AddStep(StepRow),
    /// Insert or replace by (shop, id).
    PutTimer(TimerRow),
    /// By (shop, id).
    DeleteTimer(ShopId, String),
    /// Insert or replace by (shop, id).
    PutOrder(OrderRow),
    /// Insert or replace by (shop, key).
    PutCached(CachedRow),
    /// Delete by (shop, key prefix).
    DropCached(ShopId, String),
    /// Append to the consent log and set the block state of (shop, person).
    AddConsent(ConsentRow),
    /// Insert or replace by (shop, key); the audit row beside it is made from it.
    PutSetting(SettingRow),
    /// Insert by (shop, name, revision); sets the published revision when asked.
    PutFlow(FlowRow),
    /// Append to the audit log.
    AddAudit(AuditRow),
}
