//! From what was dialled, or from what the plan names, to who is to ring and in which order.

use std::collections::VecDeque;
use std::time::Duration;

use super::countries::{EmergencyNumber, NumberClass, Outside, dialled};
use super::plan::{Member, Plan, RingOrder, Target};
use crate::types::{DeviceId, Dialled, EndCause, LineId, PhoneNumber, Via};

/// How long an outside number may ring.
const RING_OUTSIDE: Duration = Duration::from_secs(60);

/// One thing that is made to ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Try {
    Device { device: DeviceId, extension: String },
    Outside { number: Dialled, only: Option<LineId> },
}

/// What rings at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) tries: Vec<Try>,
    pub(super) ring_for: Duration,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Ring { steps: VecDeque<Step>, otherwise: Option<Target> },
    Flow(String),
    Test(Test),
    Nobody,
    Refuse(EndCause),
}

/// What a caller hears who tries his phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Echo,
    Tone,
}

/// What somebody in the shop dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Emergency(EmergencyNumber),
    Inside(Target),
    Outside { number: Dialled, private: bool },
}

impl Plan {
    /// Whether this is how people call for help.
    pub(super) fn is_emergency(&self, text: &Dialled) -> bool {
        matches!(self.wish(text), Ok(Wish::Emergency(_)))
    }

    /// Reads what a phone of the shop dialled. Help comes first: nothing in the plan can hide it.
    pub(super) fn wish(&self, text: &Dialled) -> Result<Wish, EndCause> {
        let Some(text) = dialled(text.as_str()) else { return Err(EndCause::BadNumber) };
        let prefix = self.data.outside_prefix.as_deref();
        if let Some(number) = self.country.emergency_behind(prefix, &text) {
            return Ok(Wish::Emergency(number));
        }
        if let Some(target) = self.data.numbers.get(&text) {
            return Ok(Wish::Inside(target.clone()));
        }
        if self.extension(&text).is_some() {
            return Ok(Wish::Inside(Target::Extension(text)));
        }
        let (rest, private) = self.country.withheld(&text);
        let area = self.data.area_code.as_deref();
        let without = prefix.and_then(|p| rest.strip_prefix(p));
        // With its prefix first: `9 1 206…` is also twelve digits that start like a number of elsewhere.
        let read = without.and_then(|rest| self.country.outside(rest, area));
        let outside = read.or_else(|| self.country.outside(rest, area)).ok_or(EndCause::BadNumber)?;
        let number = match outside {
            Outside::Service(number) => Dialled(number),
            Outside::Number(number, class) => {
                self.permit(&number, class)?;
                Dialled(number.into())
            }
        };
        Ok(Wish::Outside { number, private })
    }

    /// Whether a number costs or risks too much.
    pub(super) fn is_barred(&self, number: &PhoneNumber) -> bool {
        self.permit(number, self.country.class(number)).is_err()
    }

    /// Denies what costs or risks much, unless the owner has allowed it.
    fn permit(&self, number: &PhoneNumber, class: NumberClass) -> Result<(), EndCause> {
        let listed = |list: &[String]| list.iter().any(|p| number.as_str().starts_with(p.as_str()));
        let allowed = match class {
            NumberClass::Domestic | NumberClass::TollFree => true,
            NumberClass::International => listed(&self.data.allow.international),
            NumberClass::Premium => listed(&self.data.allow.premium),
        };
        if allowed { Ok(()) } else { Err(EndCause::Barred) }
    }

    /// Who is to ring for a target of the plan.
    pub(super) fn route(&self, target: &Target) -> Route {
        match target {
            Target::Extension(number) => match self.extension(number) {
                Some(extension) => Route::Ring {
                    steps: VecDeque::from([Step {
                        tries: self.extension_tries(number),
                        ring_for: Duration::from_secs(extension.ring_s.into()),
                    }]),
                    otherwise: extension.otherwise.clone(),
                },
                None => Route::Refuse(EndCause::BadNumber),
            },
            Target::Group(name) => self.group_route(name),
            Target::Flow(flow) => Route::Flow(flow.clone()),
            Target::Number(number) => self.number_route(number, None),
            Target::Line { line, number } => self.number_route(number, Some(line.clone())),
            Target::Nobody => Route::Nobody,
            Target::Echo => Route::Test(Test::Echo),
            Target::Tone => Route::Test(Test::Tone),
        }
    }

    /// Every phone of the shop at once, `first` among them.
    pub(super) fn everybody(&self, first: &Via, ring_for: Duration, otherwise: Target) -> Route {
        let mut tries: Vec<Try> = Vec::new();
        if let Some(device) = first.device() {
            let extension = self.extension_of(device).map(|e| e.number.clone()).unwrap_or_default();
            tries.push(Try::Device { device: device.clone(), extension });
        }
        for extension in &self.data.extensions {
            tries.extend(self.extension_tries(&extension.number));
        }
        Route::Ring { steps: VecDeque::from([Step { tries, ring_for }]), otherwise: Some(otherwise) }
    }

    /// An outside number that has been permitted.
    pub(super) fn outside_route(number: Dialled) -> Route {
        let step = Step { tries: vec![Try::Outside { number, only: None }], ring_for: RING_OUTSIDE };
        Route::Ring { steps: VecDeque::from([step]), otherwise: None }
    }

    fn number_route(&self, number: &PhoneNumber, only: Option<LineId>) -> Route {
        match self.permit(number, self.country.class(number)) {
            Err(cause) => Route::Refuse(cause),
            Ok(()) => {
                let tries = vec![Try::Outside { number: number.as_str().into(), only }];
                let step = Step { tries, ring_for: RING_OUTSIDE };
                Route::Ring { steps: VecDeque::from([step]), otherwise: None }
            }
        }
    }

    fn group_route(&self, name: &str) -> Route {
        let Some(group) = self.group(name) else { return Route::Refuse(EndCause::BadNumber) };
        let ring_for = Duration::from_secs(group.ring_s.into());
        let each = group.members.iter().map(|member| match member {
            Member::Extension(number) => self.extension_tries(number),
            Member::Number(number) if self.permit(number, self.country.class(number)).is_ok() => {
                vec![Try::Outside { number: number.as_str().into(), only: None }]
            }
            Member::Number(_) => Vec::new(),
        });
        let steps = match group.order {
            RingOrder::Sequential => each.map(|tries| Step { tries, ring_for }).collect(),
            RingOrder::Parallel => VecDeque::from([Step { tries: each.flatten().collect(), ring_for }]),
        };
        Route::Ring { steps, otherwise: group.otherwise.clone() }
    }

    fn extension_tries(&self, number: &str) -> Vec<Try> {
        let devices = self.extension(number).map(|e| e.devices.as_slice()).unwrap_or_default();
        devices
            .iter()
            .map(|device| Try::Device { device: device.clone(), extension: number.to_owned() })
            .collect()
    }
}
