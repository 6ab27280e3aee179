//! What can be wrong with Twilio's REST API, or with the way to it. Several plans may stand at once; the first that
//! bites is met.

use serde::{Deserialize, Serialize};

/// One way of being wrong. Written in JSON as `"lost_answer"` or `{"slow":{"seconds":5}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// All is well.
    #[default]
    None,
    /// Right, but late.
    Slow {
        /// By this much; may be a fraction.
        seconds: f64,
    },
    /// 429 with code 20429, nothing done.
    TooMany {
        /// `Retry-After`, seconds.
        retry_after: u32,
    },
    /// 503, nothing done.
    Unavailable,
    /// 500, nothing done.
    Error500,
    /// Done, answered 500.
    CommitThen500,
    /// Done, the connection closed without an answer.
    LostAnswer,
    /// Nothing done, the connection closed without an answer.
    LostRequest,
    /// Nothing done, no answer ever.
    Silence,
    /// Done, no answer ever.
    CommitThenSilence,
    /// 401 with code 20003, whatever the credentials.
    WrongCredentials,
    /// A captive portal: 200 and a page.
    Portal,
    /// Done; the JSON ends in the middle.
    Truncated,
}

/// Which requests a fault meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Every method.
    #[default]
    All,
    /// GET.
    Reads,
    /// POST and DELETE.
    Writes,
}

/// A fault, whom it meets and how often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What goes wrong.
    pub fault: Fault,
    /// Whom it meets.
    #[serde(default)]
    pub on: On,
    /// How often in all; without it, until other plans come.
    #[serde(default)]
    pub times: Option<u32>,
    /// Every so manieth request that it could meet: 1 is each one.
    #[serde(default = "each")]
    pub every: u32,
    #[serde(skip)]
    seen: u32,
    #[serde(skip)]
    met: u32,
}

fn each() -> u32 {
    1
}

impl Plan {
    /// Each request of that kind, until other plans come.
    #[must_use]
    pub fn new(on: On, fault: Fault) -> Self {
        Self { fault, on, times: None, every: 1, seen: 0, met: 0 }
    }

    /// The next `times` requests of that kind.
    #[must_use]
    pub fn next(times: u32, on: On, fault: Fault) -> Self {
        Self { times: Some(times), ..Self::new(on, fault) }
    }

    fn bites(&mut self, write: bool) -> bool {
        let meant = match self.on {
            On::All => true,
            On::Reads => !write,
            On::Writes => write,
        };
        if !meant || self.times.is_some_and(|times| self.met >= times) {
            return false;
        }
        self.seen += 1;
        let bites = self.seen.is_multiple_of(self.every.max(1));
        self.met += u32::from(bites);
        bites
    }
}

/// What the next request meets.
pub(super) fn take(plans: &mut [Plan], write: bool) -> Fault {
    plans.iter_mut().find_map(|plan| plan.bites(write).then_some(plan.fault)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_stand_beside_each_other_and_run_out() {
        let mut plans = [
            Plan { every: 2, ..Plan::new(On::Writes, Fault::LostAnswer) },
            Plan::next(1, On::All, Fault::Portal),
        ];
        let met: Vec<Fault> = (0..4).map(|_| take(&mut plans, true)).collect();
        assert_eq!(met, [Fault::Portal, Fault::LostAnswer, Fault::None, Fault::LostAnswer]);
        assert_eq!(take(&mut plans, false), Fault::None);
    }
}
