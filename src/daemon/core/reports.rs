//! Status reports of PDUs: which part each is about. A report names TP-MR, which goes round after 256 texts, or names
//! nothing that is known.

use super::Cx;
use super::shop::Shop;
use crate::at::pdu;
use crate::store::{MessageStatus, Op, PartRow, PartState};
use crate::types::{LineId, MessageId};

/// How many sent parts are remembered for their reports.
const REPORTS_KEPT: usize = 5_000;
impl Shop {
    pub(super) fn remember_for_reports(&mut self, id: &MessageId) {
        let reports = self.settings.switch("sms.report");
        let Some(out) = self.outgoing.get(id) else { return };
        let mut forget = Vec::new();
        for part in &out.parts {
            match (part.state, part.reference, &part.line) {
                (PartState::Sent, Some(reference), Some(line)) if reports => {
                    let key = (line.clone(), out.row.peer.clone(), reference);
                    match self.awaiting_report.insert(key.clone(), part.id.clone()) {
                        None => self.report_order.push_back(key),
                        // TP-MR went round: the report of the text before will not be told apart.
                        Some(old) if old.message != *id => forget.push(old.message),
                        Some(_) => {}
                    }
                }
                (PartState::Unknown, None, _)
                    if !self.unknown_parts.iter().any(|(_, known)| *known == part.id) =>
                {
                    self.unknown_parts.push((out.row.peer.clone(), part.id.clone()));
                }
                _ => {}
            }
        }
        while self.report_order.len() > REPORTS_KEPT {
            if let Some(part) =
                self.report_order.pop_front().and_then(|key| self.awaiting_report.remove(&key))
            {
                forget.push(part.message);
            }
        }
        for message in forget {
            let settled = self.outgoing.get(&message).is_some_and(|o| o.row.status == MessageStatus::Sent);
            if settled {
                self.outgoing.remove(&message);
            }
        }
    }

    /// A status report: settles the part that it names; without its reference, the one text to this person of which
    /// nothing is known. Where there are several, none: each stays in doubt, and honestly so.
    pub(super) fn reported(&mut self, cx: &mut Cx<'_>, line: &LineId, report: &pdu::StatusReport) {
        let peer = report.to.as_str().to_owned();
        let state = match report.delivery() {
            pdu::Delivery::Delivered | pdu::Delivery::Unconfirmed => PartState::Delivered,
            pdu::Delivery::FailedPermanent | pdu::Delivery::FailedTemporary => PartState::Failed,
            pdu::Delivery::StillTrying => return,
        };
        let key = (line.clone(), peer.clone(), report.reference);
        let known = self.awaiting_report.remove(&key);
        if known.is_some() {
            self.report_order.retain(|k| *k != key);
        }
        if known.is_none() && self.is_sending_to(line, &peer) {
            if let Some(line) = self.lines.get_mut(line) {
                line.early_reports.push(report.clone());
            }
            return;
        }
        let id = known.or_else(|| {
            let mut theirs = self.unknown_parts.iter().enumerate().filter(|(_, (who, _))| *who == peer);
            match (theirs.next().map(|(at, _)| at), theirs.next()) {
                (Some(at), None) => Some(self.unknown_parts.remove(at).1),
                (Some(_), Some(_)) | (None, _) => None,
            }
        });
        let Some(id) = id else {
            self.count("reports_of_nothing");
            return;
        };
        let Some(out) = self.outgoing.get_mut(&id.message) else { return };
        let Some(part) = out.parts.iter_mut().find(|p| p.id == id) else { return };
        part.state = state;
        part.reference = Some(report.reference);
        part.note = Some(format!("report: {} (0x{:02X})", report.delivery().as_str(), report.status));
        part.updated = cx.now.wall;
        cx.put(Op::PutPart(part.clone()));
        let pending = |p: &PartRow| matches!(p.state, PartState::Queued | PartState::Handed);
        if !out.parts.iter().any(pending) {
            self.message_settled(cx, &id.message);
        }
    }

    /// A text to this person is with the modem, which has not said its reference yet.
    fn is_sending_to(&self, line: &LineId, peer: &str) -> bool {
        let part = self.lines.get(line).and_then(|l| l.in_flight.as_ref());
        part.and_then(|part| self.outgoing.get(&part.message)).is_some_and(|out| out.row.peer == peer)
    }
}
