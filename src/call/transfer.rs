//! Handing a call on: blind, or after a consultation in a second call of the same phone. Only the shop's own phones may
//! ask: a stranger's REFER would place calls at the shop's cost.

use super::Cx;
use super::bridge::Bridge;
use super::calls::{Call, Entry};
use super::emergency::Rescue;
use super::hunt::{Hunt, Transferor};
use super::phase::{Next, Phase};
use super::plan::Plan;
use super::record::{TransferKind, TransferRecord};
use super::route::Wish;
use super::timers::Timer;
use crate::types::{
    CallId, DeviceId, Dialled, EndCause, LegCommand, LegId, TransferProgress, TransferTarget,
};

impl Bridge {
    /// `leg` asks that its peer be put through.
    pub(super) fn transfer(
        self,
        call: &mut Call,
        cx: &mut Cx<'_>,
        leg: &LegId,
        target: TransferTarget,
    ) -> Next {
        let device = call.legs.get(leg).and_then(|l| l.via.device()).cloned();
        let Some(device) = device else { return self.refuse(cx, leg, EndCause::Barred) };
        if call.emergency.is_some() {
            return self.refuse(cx, leg, EndCause::Rejected);
        }
        match target {
            TransferTarget::Blind(to) => self.blind(call, cx, leg, &device, to),
            TransferTarget::Attended(other) => self.attended(call, cx, leg, &other),
        }
    }

    fn refuse(self, cx: &mut Cx<'_>, leg: &LegId, cause: EndCause) -> Next {
        cx.leg(leg, LegCommand::Transfer(TransferProgress::Failed(cause)));
        Next::Go(Phase::Bridged(self))
    }

    fn blind(self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, device: &DeviceId, to: Dialled) -> Next {
        let route = match cx.desk.plan.wish(&to) {
            Err(cause) => return self.refuse(cx, leg, cause),
            Ok(Wish::Emergency(number)) => {
                let from = call.legs.get(leg).map_or_else(|| call.via.clone(), |l| l.via.clone());
                note(call, cx, leg, TransferKind::Blind, Some(to), None);
                let peer = self.peer(leg).clone();
                release(call, cx, leg);
                return Rescue::begin(call, cx, peer, number, from);
            }
            Ok(Wish::Inside(target)) => cx.desk.plan.route(&target),
            Ok(Wish::Outside { number, .. }) => Plan::outside_route(number),
        };
        note(call, cx, leg, TransferKind::Blind, Some(to), None);
        call.user = cx.desk.plan.user(device);
        cx.leg(leg, LegCommand::Transfer(TransferProgress::Trying));
        let recall = cx.desk.plan.extension_of(device).map(|e| e.number.clone());
        let mut hunt = Hunt::new(self.peer(leg).clone());
        hunt.transferor = Some(Transferor { leg: Some(leg.clone()), recall });
        hunt.go(call, cx, route)
    }

    fn attended(self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, other: &LegId) -> Next {
        let id = cx.desk.index.get(other).filter(|id| **id != call.id).cloned();
        let Some(Entry { call: second, phase }) = id.and_then(|id| cx.others.remove(&id)) else {
            return self.refuse(cx, leg, EndCause::BadNumber);
        };
        let same = call.legs.get(leg).map(|l| &l.via) == second.legs.get(other).map(|l| &l.via);
        match phase {
            Phase::Bridged(consult) if same && second.emergency.is_none() => {
                let peer = consult.peer(other).clone();
                self.join(call, cx, leg, second, &peer)
            }
            Phase::Hunting(hunt) if same && hunt.is_plain(other) => {
                self.join_search(call, cx, leg, second, hunt)
            }
            phase => {
                cx.others.insert(second.id.clone(), Entry { call: second, phase });
                self.refuse(cx, leg, EndCause::Rejected)
            }
        }
    }

    fn join(self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, mut second: Call, peer: &LegId) -> Next {
        call.adopt(cx, &mut second, peer);
        self.consulted(call, cx, leg, second);
        Next::Go(Phase::Bridged(Bridge { a: self.peer(leg).clone(), b: peer.clone() }))
    }

    /// The consultation was not answered yet: who is on hold goes on waiting in its place.
    fn join_search(
        self,
        call: &mut Call,
        cx: &mut Cx<'_>,
        leg: &LegId,
        mut second: Call,
        mut hunt: Hunt,
    ) -> Next {
        for dialled in second.dialled() {
            call.adopt(cx, &mut second, &dialled);
        }
        if let Some(deadline) = cx.desk.timers.cancel(&second.id, &Timer::Ring) {
            cx.desk.timers.set(&call.id, Timer::Ring, deadline);
        }
        hunt.caller = self.peer(leg).clone();
        call.user = second.user.clone();
        self.consulted(call, cx, leg, second);
        Next::Go(Phase::Hunting(hunt))
    }

    fn consulted(&self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, second: Call) {
        note(call, cx, leg, TransferKind::Attended, Some(second.to.clone()), Some(second.id.clone()));
        release(call, cx, leg);
        second.end(cx, EndCause::Transferred);
    }
}

fn note(
    call: &mut Call,
    cx: &Cx<'_>,
    leg: &LegId,
    kind: TransferKind,
    to: Option<Dialled>,
    consultation: Option<CallId>,
) {
    let by = call.legs.get(leg).map_or_else(|| call.via.clone(), |l| l.via.clone());
    call.transfers.push(TransferRecord { kind, at: cx.now.into(), by, to, consultation, result: None });
}

/// Lets go of who handed the call on.
fn release(call: &mut Call, cx: &mut Cx<'_>, leg: &LegId) {
    call.transferred(Ok(()));
    cx.leg(leg, LegCommand::Transfer(TransferProgress::Done));
    call.leave(cx, leg, EndCause::Transferred, true);
}

impl Hunt {
    /// A search that only this caller waits for.
    fn is_plain(&self, caller: &LegId) -> bool {
        self.caller == *caller && self.transferor.is_none() && !self.from_flow
    }
}
