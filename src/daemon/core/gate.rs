//! The one way from the outbox to a line. A text is handed over by a [`Pass`], which only [`Shop::pass`] gives out, for
//! one text and one line, once consent was asked. What lets a text leave ([`LineCommand::Send`], [`LineCommand::Proceed`],
//! [`LineCommand::Post`]) is made in this file and nowhere else; `tests/tidy.rs` holds the daemon to it, so that a new way
//! of sending cannot get round the question.
//!
//! Deliberately absent: what consent says (`consent`), order and pace (`pace`), the rows (`sending`, `posts`).

use super::shop::Shop;
use super::{Cx, Effect};
use crate::store::{MessageRow, PartRow};
use crate::types::{LineCommand, LineId, MessageId, Now, PartId, Post};

/// Consent lets this text leave by this line, at this moment. Used up by what it lets through.
#[derive(Debug)]
pub(super) struct Pass {
    line: LineId,
    message: MessageId,
}

impl Shop {
    /// Asks consent for the last time.
    ///
    /// # Errors
    /// Why the text may not leave by this line now, for whoever wanted it sent.
    pub(super) fn pass(&self, row: &MessageRow, line: &LineId, now: Now) -> Result<Pass, String> {
        match self.refused(row, line, now) {
            Some(why) => Err(why),
            None => Ok(Pass { line: line.clone(), message: row.id.clone() }),
        }
    }
}

impl Pass {
    /// Asks a modem to take a PDU. It leaves by [`Pass::proceed`], when the modem has asked for it.
    pub(super) fn send(self, cx: &mut Cx<'_>, part: &PartRow) {
        debug_assert_eq!(self.message, part.id.message, "a pass is for one text");
        let (pdu, length) = (part.pdu.clone(), part.length);
        cx.after(Effect::Line(self.line, LineCommand::Send { part: part.id.clone(), pdu, length }));
    }

    /// The modem asked for the PDU, and it goes.
    pub(super) fn proceed(self, cx: &mut Cx<'_>, part: &PartId, attempt: u32) {
        debug_assert_eq!(self.message, part.message, "a pass is for one text");
        let go = LineCommand::Proceed { part: part.clone(), attempt, go: true };
        cx.after(Effect::Line(self.line, go));
    }

    /// Hands a whole text to an upstream.
    pub(super) fn post(self, cx: &mut Cx<'_>, post: Post) {
        debug_assert_eq!(self.message, post.message, "a pass is for one text");
        cx.after(Effect::Line(self.line, LineCommand::Post(Box::new(post))));
    }
}

/// The modem asked for a PDU that is not wanted any more.
pub(super) fn withhold(cx: &mut Cx<'_>, line: &LineId, part: &PartId, attempt: u32) {
    let stay = LineCommand::Proceed { part: part.clone(), attempt, go: false };
    cx.after(Effect::Line(line.clone(), stay));
}
