//! Two who talk: hold from either side, keys both ways, the end.

use std::collections::BTreeMap;

use super::Cx;
use super::calls::{Call, Hears};
use super::emergency::Rescue;
use super::phase::{Ask, Next, Phase};
use crate::types::{EndCause, Fault, LegId, PromptId};

/// What somebody on hold hears, again and again.
pub(super) const HOLD_MUSIC: &str = "hold-music";

/// Two legs that are up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    pub(super) a: LegId,
    pub(super) b: LegId,
}

impl Bridge {
    /// The other one.
    pub(super) fn peer(&self, leg: &LegId) -> &LegId {
        if *leg == self.a { &self.b } else { &self.a }
    }

    pub(super) fn leg(self, call: &mut Call, cx: &mut Cx<'_>, leg: &LegId, ask: Ask) -> Next {
        match ask {
            Ask::Progress(_) | Ask::Answered => Next::Go(Phase::Bridged(self)),
            Ask::Key { key, carried } => {
                if !carried {
                    call.send_key(cx, self.peer(leg), key);
                }
                Next::Go(Phase::Bridged(self))
            }
            Ask::Silent => self.silent(call),
            Ask::Transfer(target) => self.transfer(call, cx, leg, target),
            Ask::Over(over) => {
                let far_failed = matches!(over.cause.fault(), Fault::Line | Fault::Upstream);
                let peer = self.peer(leg).clone();
                if far_failed
                    && *leg == self.b
                    && let Some(rescue) = Rescue::again(call, peer)
                {
                    return rescue.attempt(call, cx);
                }
                Next::End(match over.cause {
                    EndCause::Cancelled => EndCause::Hangup,
                    other => other,
                })
            }
        }
    }

    /// No audio is how a hold sounds; and nobody hangs up on somebody who called for help and cannot speak.
    fn silent(self, call: &Call) -> Next {
        let held = [&self.a, &self.b].into_iter().any(|leg| {
            let hold = call.legs.get(leg).map(super::calls::Leg::hold).unwrap_or_default();
            hold.by_far || hold.by_box
        });
        if held || call.emergency.is_some() {
            return Next::Go(Phase::Bridged(self));
        }
        Next::End(EndCause::MediaLost)
    }

    pub(super) fn hears(&self, call: &Call) -> BTreeMap<LegId, Hears> {
        let hold = |leg: &LegId| call.legs.get(leg).map(super::calls::Leg::hold).unwrap_or_default();
        let (a, b) = (hold(&self.a), hold(&self.b));
        let mut hears = BTreeMap::new();
        if !(a.by_far || a.by_box || b.by_far || b.by_box) {
            hears.insert(self.a.clone(), Hears::Leg(self.b.clone()));
            hears.insert(self.b.clone(), Hears::Leg(self.a.clone()));
            return hears;
        }
        for (leg, own, other) in [(&self.a, a, b), (&self.b, b, a)] {
            if !own.by_far && (own.by_box || other.by_far) {
                hears.insert(leg.clone(), Hears::Prompt(PromptId::from(HOLD_MUSIC), true));
            }
        }
        hears
    }
}
