//! Transfers that a phone asks for: REFER (RFC 3515), Refer-To with Replaces for an attended one (RFC 3891), the
//! NOTIFYs that say how it went, and no NOTIFY where none is wanted (RFC 4488). What is joined with whom is call
//! control's.

use super::cause;
use super::identity;
use super::leg::{Asked, Leg, Replaced};
use super::shared::{Core, Inside};
use super::talk::Talk;
use crate::sip::message::{Method, Name, Status};
use crate::types::{LegEvent, TransferProgress, TransferTarget, Via};

/// How long a phone is told that it will hear of its transfer, in seconds.
const LASTS: u32 = 180;

/// The implicit subscription of a REFER.
#[derive(Debug)]
pub(super) struct Transfer {
    /// `id` of its Event, which the first REFER of a dialog needs not (RFC 3515 §2.4.6).
    id: Option<u32>,
    /// NOTIFYs are wanted.
    told: bool,
}

impl Leg {
    pub(super) fn referred(&self, cx: &mut Core, talk: &mut Talk, asked: &Asked) {
        let tag = talk.dialog.tag().to_owned();
        let request = &asked.request;
        // A stranger's REFER would place calls at the shop's cost.
        if matches!(self.via, Via::Line(_)) {
            return cx.refuse(asked.server, request, Status::FORBIDDEN, &tag);
        }
        if talk.transfer.is_some() {
            return cx.refuse(asked.server, request, Status::PENDING, &tag);
        }
        let one = request.headers.all(&Name::ReferTo).count() == 1;
        let Some(to) = request.headers.address(Name::ReferTo).ok().flatten().filter(|_| one) else {
            return cx.refuse(asked.server, request, Status::BAD_REQUEST, &tag);
        };
        let target = match &asked.replaces {
            Some(Replaced::Leg(leg)) => TransferTarget::Attended(leg.clone()),
            Some(Replaced::Nothing) => {
                return cx.refuse(asked.server, request, Status::NO_TRANSACTION, &tag);
            }
            None => TransferTarget::Blind(identity::dialled(&to.uri)),
        };
        if matches!(&target, TransferTarget::Blind(to) if to.as_str().is_empty()) {
            return cx.refuse(asked.server, request, Status::NOT_FOUND, &tag);
        }
        let told =
            !request.headers.get(&Name::ReferSub).is_some_and(|v| v.trim().eq_ignore_ascii_case("false"));
        let contact = talk.dialog.contact.clone();
        let mut response = cx.response_with_contact(request, Status::ACCEPTED, &tag, &contact);
        if !told {
            response.headers.push(Name::ReferSub, "false");
        }
        cx.respond(asked.server, &response);
        let id = std::mem::replace(&mut talk.referred, true).then_some(request.head.cseq.number);
        talk.transfer = Some(Transfer { id, told });
        self.notify(cx, talk, "SIP/2.0 100 Trying\r\n", false);
        cx.say(&self.id, LegEvent::TransferAsked(target));
    }

    pub(super) fn transferred(&self, cx: &mut Core, talk: &mut Talk, progress: TransferProgress) {
        match progress {
            // Was said with the first NOTIFY.
            TransferProgress::Trying => {}
            TransferProgress::Done => self.notify(cx, talk, "SIP/2.0 200 OK\r\n", true),
            TransferProgress::Failed(cause) => self.notify(cx, talk, &cause::fragment(cause), true),
        }
    }

    /// RFC 3515 §2.4.5.
    fn notify(&self, cx: &mut Core, talk: &mut Talk, fragment: &str, last: bool) {
        let Some(transfer) = &talk.transfer else { return };
        let event = transfer.id.map_or("refer".to_owned(), |id| format!("refer;id={id}"));
        let told = transfer.told;
        if last {
            talk.transfer = None;
        }
        if !told {
            return;
        }
        let mut notify = talk.dialog.request(Method::Notify);
        let headers = &mut notify.headers;
        headers.push(Name::Contact, &format!("<{}>", talk.dialog.contact));
        headers.push(Name::Event, &event);
        let state =
            if last { "terminated;reason=noresource".to_owned() } else { format!("active;expires={LASTS}") };
        headers.push(Name::SubscriptionState, &state);
        let notify = notify.with_body("message/sipfrag;version=2.0", fragment);
        self.send_inside(cx, talk, notify, Inside::Notify);
    }
}
