//! Rows as they are stored: own types, so that a core may change without a migration and the other way round.

use serde_json::{Map, Value};

use crate::messaging::ledger::{Entry, Head, Purpose};
use crate::types::{
    BootId, Channel, ConversationId, DeviceId, ExecutionSid, LineId, MessageId, Mono, OrderId, OrderKind,
    PartId, ShopId, Slot, Wall,
};

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the person.
    In,
    /// To the person.
    Out,
}

/// Twilio's message status words, and `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageStatus {
    /// In: committed.
    Received,
    /// Out: waits for a line.
    Queued,
    /// Out: some part is with a line.
    Sending,
    /// Out: the network took all parts.
    Sent,
    /// Out: reported as delivered.
    Delivered,
    /// Out: the network reported that it cannot be delivered.
    Undelivered,
    /// Out: will not be sent.
    Failed,
    /// Out: may or may not have been sent.
    Unknown,
}

/// Who spoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The customer.
    Person,
    /// A flow's execution and step.
    Flow(ExecutionSid),
    /// Staff, through relay or inbox.
    Staff,
    /// The box itself: consent confirmations, follow-ups, notices to staff.
    Box,
    /// A program or a command.
    Program,
    /// A campaign, by its name.
    Campaign(String),
    /// The box, about consent: the one kind that reaches who said STOP.
    Consent,
}

/// A whole text, in or out.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRow {
    /// Whose.
    pub shop: ShopId,
    /// Id.
    pub id: MessageId,
    /// Part of which conversation.
    pub conversation: ConversationId,
    /// In or out.
    pub direction: Direction,
    /// Line it came by or goes by; `None` while none is chosen.
    pub line: Option<LineId>,
    /// The far side, as [`crate::types::Address::as_str`].
    pub peer: String,
    /// Text.
    pub body: String,
    /// Stands.
    pub status: MessageStatus,
    /// Who spoke.
    pub source: Source,
    /// Why failed or unknown; why stored and not used.
    pub note: Option<String>,
    /// When it was committed first.
    pub created: Wall,
    /// Whether that clock was sure.
    pub wall_sure: bool,
    /// When its status changed last.
    pub updated: Wall,
    /// Service centre's time stamp, or the upstream's time, in only.
    pub sent_at: Option<Wall>,
    /// Why it is sent: consent is asked by this, until it leaves.
    pub purpose: Purpose,
    /// Out: not before this (quiet hours).
    pub not_before: Option<Wall>,
    /// How it travels.
    pub carriage: Carriage,
}

/// How a text travels, beyond its line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carriage {
    /// Which kind of address.
    pub channel: Channel,
    /// The upstream's id of it. Two messages of a shop never have the same.
    pub sid: Option<String>,
    /// Out: why this line was chosen.
    pub choice: Option<String>,
    /// The upstream's error number.
    pub error: Option<u32>,
    /// What it cost, in millionths of the currency's unit, and the currency.
    pub price: Option<(i64, String)>,
    /// How many files came or go with it.
    pub media: u8,
    /// A template of the upstream's in place of free words, and its variables.
    pub template: Option<(String, Map<String, Value>)>,
}

/// A file of a text. Whose text goes out, in state `Kept` with bytes or `Linked` with an address.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaRow {
    /// Whose.
    pub shop: ShopId,
    /// Of which text.
    pub message: MessageId,
    /// From 1.
    pub number: u8,
    /// By which line it is fetched; of a text that goes out, the one that was chosen for it first.
    pub line: LineId,
    /// Where it is fetched; of a file of the box's own, its name.
    pub url: String,
    /// MIME type.
    pub content_type: String,
    /// Stands.
    pub state: MediaState,
    /// Why gone, or not yet here.
    pub note: Option<String>,
    /// The file, once it is here. Rows of a snapshot do not carry it.
    pub bytes: Option<Vec<u8>>,
    /// Last change.
    pub updated: Wall,
}

/// Where a file of a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaState {
    /// To be fetched.
    Wanted,
    /// Here.
    Kept,
    /// It cannot be had.
    Gone,
    /// Of a text that goes out: at a public address, fetched by the upstream alone.
    Linked,
}

/// Up to when everything at an upstream was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorRow {
    /// Whose.
    pub shop: ShopId,
    /// By which line.
    pub line: LineId,
    /// By the upstream's clock.
    pub at: Wall,
}

/// One entry of a shop's consent ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentEntryRow {
    /// Whose.
    pub shop: ShopId,
    /// In its place.
    pub entry: Entry,
}

/// What the copy of a shop's consent ledger beside the database says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentKept {
    /// Where it begins: before its first entry.
    pub from: Head,
    /// Where it ends.
    pub last: Head,
    /// Entries with higher numbers than the database's last.
    pub missing: Vec<Entry>,
    /// The blocks that stand at its end. None when the copy itself does not verify.
    pub blocks: Vec<Entry>,
}

/// One event of the box's own on its way to one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct EventOutRow {
    /// Whose.
    pub shop: ShopId,
    /// `EV` and 32 hex digits: also the idempotency key.
    pub id: String,
    /// The endpoint as the configuration names it.
    pub endpoint: String,
    /// `message.received`.
    pub kind: String,
    /// JSON text, sent as it is: its signature is of these bytes.
    pub body: String,
    /// Stands.
    pub state: EventOutState,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last try failed.
    pub note: Option<String>,
    /// Its number among the events of its endpoint, from 1.
    pub seq: u64,
    /// When the day began for which it is tried; `None` when that clock was not sure.
    pub since: Option<Wall>,
    /// When it happened.
    pub created: Wall,
    /// Last change.
    pub updated: Wall,
}

/// Where an outgoing event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutState {
    /// To be delivered.
    Waiting,
    /// The endpoint has it.
    Delivered,
    /// Given up: to be replayed by a person.
    Dead,
}

/// How the events for one endpoint stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsStand {
    /// Whose.
    pub shop: ShopId,
    /// The endpoint as the configuration names it, or named it once.
    pub endpoint: String,
    /// The number of the newest event.
    pub newest: u64,
    /// To be delivered.
    pub waiting: u64,
    /// Given up.
    pub dead: u64,
}

/// Where one PDU of an outgoing message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartState {
    /// To be sent.
    Queued,
    /// With the modem; after a crash this is `Unknown`.
    Handed,
    /// The network gave a reference.
    Sent,
    /// Status report: delivered.
    Delivered,
    /// Status report: not deliverable; or refused by modem or network.
    Failed,
    /// May or may not have left.
    Unknown,
}

/// One PDU of an outgoing message; at a line that takes texts whole, the message's only part.
#[derive(Clone, Debug, PartialEq)]
pub struct PartRow {
    /// Whose.
    pub shop: ShopId,
    /// Which.
    pub id: PartId,
    /// Hex, with `00` in front; at a line that takes texts whole `outbox::Posting` as JSON.
    pub pdu: String,
    /// Octets without the SMSC address.
    pub length: u8,
    /// Stands.
    pub state: PartState,
    /// Line that it was handed to.
    pub line: Option<LineId>,
    /// TP-MR.
    pub reference: Option<u8>,
    /// Hand-overs so far.
    pub attempts: u32,
    /// Error or report in words.
    pub note: Option<String>,
    /// When it was handed or settled last.
    pub updated: Wall,
}

/// What a received PDU turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedKind {
    /// A whole text, or the part that completed one.
    Text,
    /// A part that waits for the others.
    Part,
    /// A status report.
    Report,
    /// Could not be decoded: kept raw, listed by `doctor`.
    Broken,
}

/// A PDU as it came, and the slot that must be freed.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedRow {
    /// Whose.
    pub shop: ShopId,
    /// Derived from the event.
    pub id: String,
    /// By which line.
    pub line: LineId,
    /// IMEI (and SIM) of the modem that held it.
    pub identity: String,
    /// Where it lay.
    pub slot: Slot,
    /// As received.
    pub raw: String,
    /// What it was.
    pub kind: ReceivedKind,
    /// The message that it became, when it did.
    pub message: Option<MessageId>,
    /// Concatenation: sender, reference, total, number. For [`ReceivedKind::Part`].
    pub concat: Option<ConcatKey>,
    /// True when the modem confirmed that the slot is free.
    pub freed: bool,
    /// Why broken.
    pub note: Option<String>,
    /// When committed.
    pub wall: Wall,
}

/// What binds the parts of a concatenated text (3GPP TS 23.040 §9.2.3.24.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConcatKey {
    /// Sender.
    pub peer: String,
    /// Reference, with its width: 8-bit and 16-bit references are different worlds.
    pub reference: u16,
    /// 16-bit reference.
    pub wide: bool,
    /// Parts in all.
    pub total: u8,
    /// This one, from 1.
    pub number: u8,
}

/// A person and the shop.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationRow {
    /// Whose.
    pub shop: ShopId,
    /// Id.
    pub id: ConversationId,
    /// The far side.
    pub person: String,
    /// The conversation's state, versioned JSON.
    pub state: Value,
    /// Short number that staff use (`#12`), per shop.
    pub ticket: u32,
    /// False when nothing is going on.
    pub active: bool,
    /// Last change.
    pub updated: Wall,
}

/// One run of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRow {
    /// Whose.
    pub shop: ShopId,
    /// FN…
    pub sid: ExecutionSid,
    /// With whom.
    pub conversation: ConversationId,
    /// Friendly name.
    pub flow: String,
    /// Pinned revision.
    pub revision: u32,
    /// `None` while active; how it ended.
    pub ended: Option<String>,
    /// The execution, versioned JSON.
    pub state: Value,
    /// Created.
    pub created: Wall,
    /// Last change.
    pub updated: Wall,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// Whose.
    pub shop: ShopId,
    /// Of which run.
    pub execution: ExecutionSid,
    /// From 1.
    pub number: u32,
    /// Event.
    pub event: String,
    /// Widget left.
    pub from: String,
    /// Widget entered.
    pub to: String,
    /// Type of the widget left.
    pub kind: String,
    /// Dotted path to new value.
    pub delta: Map<String, Value>,
    /// Remark.
    pub note: Option<String>,
    /// When.
    pub wall: Wall,
}

/// A wait: a duration, not a civil time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimerRow {
    /// Whose.
    pub shop: ShopId,
    /// What it is for, unique per shop: `exec/FN…/3`, `slow/…`, `concat/…`.
    pub id: String,
    /// When it is due, in `boot`.
    pub deadline: Mono,
    /// The boot of `deadline`.
    pub boot: BootId,
    /// What remained when the row was written, in milliseconds: counts anew after a boot with an unsure clock.
    pub remaining_ms: u64,
    /// When it is due by wall clock, if that was sure when the row was written.
    pub wall: Option<Wall>,
}

/// An order to the dealer.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderRow {
    /// Whose.
    pub shop: ShopId,
    /// Id.
    pub id: OrderId,
    /// Endpoint.
    pub kind: OrderKind,
    /// For whom.
    pub conversation: ConversationId,
    /// Which run placed it.
    pub execution: ExecutionSid,
    /// `queued`, `handed`, `looking_up`, `confirmed`, `refused`, `unknown`.
    pub state: String,
    /// False while it is on its way: such rows are loaded at start.
    pub settled: bool,
    /// `outbox::Order`, versioned JSON.
    pub order: Value,
    /// What the follow-up text needs, and whether it is still owed, versioned JSON.
    pub about: Value,
    /// Placed.
    pub created: Wall,
    /// Last change.
    pub updated: Wall,
}

/// A kept answer of the dealer.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedRow {
    /// Whose.
    pub shop: ShopId,
    /// Normalised path.
    pub key: String,
    /// HTTP status.
    pub status: u16,
    /// JSON text.
    pub body: String,
    /// Fetched.
    pub wall: Wall,
    /// Whether that clock was sure.
    pub wall_sure: bool,
    /// Fetched, in `boot`.
    pub mono: Mono,
    /// Boot of `mono`.
    pub boot: BootId,
}

/// What a person said about being texted, as it was kept before there was a ledger. Append-only.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsentRow {
    /// Whose.
    pub shop: ShopId,
    /// Who.
    pub person: String,
    /// By which line.
    pub line: LineId,
    /// True: hears nothing more.
    pub blocked: bool,
    /// The words, as written.
    pub words: String,
    /// The message that said so.
    pub message: MessageId,
    /// When.
    pub wall: Wall,
    /// Whether the clock was sure.
    pub wall_sure: bool,
}

/// One of the owner's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingRow {
    /// Whose.
    pub shop: ShopId,
    /// `hours.monday`.
    pub key: String,
    /// JSON; `Null` removes it.
    pub value: Value,
    /// Who changed it.
    pub by: String,
    /// When.
    pub wall: Wall,
}

/// One revision of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRow {
    /// Whose.
    pub shop: ShopId,
    /// Friendly name.
    pub name: String,
    /// FW…
    pub sid: String,
    /// From 1.
    pub revision: u32,
    /// Studio JSON.
    pub definition: String,
    /// New executions start on it.
    pub published: bool,
    /// `shipped` or who made it.
    pub by: String,
    /// When.
    pub wall: Wall,
}

/// Who changed what.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Whose.
    pub shop: ShopId,
    /// Who.
    pub who: String,
    /// What, in words.
    pub what: String,
    /// Detail.
    pub detail: Value,
    /// When.
    pub wall: Wall,
}

/// Where a phone is registered, as the daemon wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingsRow {
    /// Whose.
    pub shop: ShopId,
    /// Which phone.
    pub device: DeviceId,
    /// JSON list; an empty one removes the row.
    pub contacts: Value,
    /// When.
    pub updated: Wall,
}
