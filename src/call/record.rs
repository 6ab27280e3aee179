//! The call's durable record (CDR): one row a call, written at its start, at its answer, at every minute
//! that counts against a cap, and at its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::caps::Charge;
use crate::types::{CallId, Dialled, EndCause, Identity, LegId, LineId, MediaFacts, Now, ShopId, Via, Wall};

/// A time for people, and whether the clock was sure of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// When.
    pub wall: Wall,
    /// False when the clock had not been set from a source worth believing.
    pub sure: bool,
}

impl From<Now> for Stamp {
    fn from(now: Now) -> Self {
        Self { wall: now.wall, sure: now.wall_sure }
    }
}

/// Which way a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From outside.
    Inbound,
    /// To outside.
    Outbound,
    /// Between the shop's phones.
    Internal,
}

/// Which moment of a call an effect's record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The call is there.
    Started,
    /// Somebody (or a flow) took it.
    Answered,
    /// Another minute was taken from the caps: a restart must not forget it.
    Charged,
    /// It is over; the last of this call.
    Ended,
}

/// An emergency call says so in its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyFact {
    /// As it went out.
    pub number: String,
    /// 933 and its like.
    pub test: bool,
    /// Lines that were tried.
    pub attempts: u32,
}

/// One side of a call, or one try to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRecord {
    /// Its id.
    pub leg: LegId,
    /// Line or phone.
    pub via: Via,
    /// When it was offered or dialled.
    pub started: Stamp,
    /// When it was answered.
    pub answered: Option<Stamp>,
    /// When it was over, and why.
    pub ended: Option<(Stamp, EndCause)>,
    /// The latest that was measured.
    pub media: Option<MediaFacts>,
    /// What it cost, when it went out.
    pub charge: Option<Charge>,
}

/// How a call was handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    /// Without asking.
    Blind,
    /// After asking.
    Attended,
}

/// One link of the transfer chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// How.
    pub kind: TransferKind,
    /// When it was asked for.
    pub at: Stamp,
    /// Who handed it on.
    pub by: Via,
    /// To what, when it was dialled.
    pub to: Option<Dialled>,
    /// The call that asked, when there was one: it ended with cause `transferred`.
    pub consultation: Option<CallId>,
    /// How it came out; `None` while it is under way.
    pub result: Option<Result<(), EndCause>>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Its id.
    pub id: CallId,
    /// Whose.
    pub shop: ShopId,
    /// Which way.
    pub direction: Direction,
    /// Who called. The number is kept also when it was withheld from the callee.
    pub from: Identity,
    /// Where the call came from.
    pub via: Via,
    /// What was dialled.
    pub to: Dialled,
    /// The line: of an inbound call where it came in, of an outbound one where it was last dialled.
    pub line: Option<LineId>,
    /// The flow that took it.
    pub flow: Option<String>,
    /// When it began.
    pub started: Stamp,
    /// When somebody took it.
    pub answered: Option<Stamp>,
    /// When it ended, and why: one cause each.
    pub ended: Option<(Stamp, EndCause)>,
    /// From its start to its answer or end, on the clock that does not jump.
    pub ring: Duration,
    /// From its answer to its end.
    pub talk: Duration,
    /// Set on an emergency call.
    pub emergency: Option<EmergencyFact>,
    /// How it was handed on, in order.
    pub transfers: Vec<TransferRecord>,
    /// Its legs, in order. The tries of an emergency call that no line takes are kept up to a bound.
    pub legs: Vec<LegRecord>,
    /// Legs that are not in `legs` because of that bound.
    pub legs_left_out: u32,
}

impl CallRecord {
    /// Closes the record of a call that was open when the daemon died. `now` is the new boot's: it bounds the end.
    #[must_use]
    pub fn crashed(mut self, now: Now) -> Self {
        if self.ended.is_none() {
            self.ended = Some((now.into(), EndCause::Crash));
            for leg in self.legs.iter_mut().filter(|l| l.ended.is_none()) {
                leg.ended = Some((now.into(), EndCause::Crash));
            }
        }
        self
    }

    /// All that the call cost.
    pub fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.legs.iter().filter_map(|l| l.charge.as_ref())
    }
}
