//! What can be wrong with Twilio's REST API, or with the way to it. Several plans may stand at once; the first that
//! bites is met.

use serde::{Deserialize, Serialize};

use super::form::Pairs;

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
    /// Done; the connection is cut in the middle of the body.
    CutBody,
    /// Done; the answer trickles in over this many seconds.
    SlowBody {
        /// From its first byte to its last, about.
        seconds: f64,
    },
    /// Nothing done, this answer.
    Status {
        /// HTTP.
        status: u16,
        /// Twilio's error code.
        code: u32,
    },
    /// 403 with code 20005: the account is suspended.
    Suspended,
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What goes wrong.
    pub fault: Fault,
    /// Whom it meets.
    #[serde(default)]
    pub on: On,
    /// Only requests whose path or query has this in it: `/Messages.json`, `/v2/Flows`.
    #[serde(default)]
    pub path: Option<String>,
    /// Only requests with this value posted or asked: `["Body", "hello"]`.
    #[serde(default)]
    pub with: Option<(String, String)>,
    /// So many requests that it could meet go by first.
    #[serde(default)]
    pub after: u32,
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
        Self { fault, on, every: 1, ..Self::default() }
    }

    /// The next `times` requests of that kind.
    #[must_use]
    pub fn next(times: u32, on: On, fault: Fault) -> Self {
        Self { times: Some(times), ..Self::new(on, fault) }
    }

    /// The same, but only of requests whose path or query has this in it.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// The same, but only of requests with this value posted or asked.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        Self { with: Some((name.to_owned(), value.to_owned())), ..self }
    }

    /// The same, but so many that it could meet go by first.
    #[must_use]
    pub fn after(self, requests: u32) -> Self {
        Self { after: requests, ..self }
    }

    /// The same, but only every so manieth.
    #[must_use]
    pub fn every(self, requests: u32) -> Self {
        Self { every: requests, ..self }
    }

    fn is_meant(&self, request: &Met<'_>) -> bool {
        let kind = match self.on {
            On::All => true,
            On::Reads => !request.write,
            On::Writes => request.write,
        };
        kind && self.path.as_ref().is_none_or(|part| request.target.contains(part))
            && self.with.as_ref().is_none_or(|pair| request.values.iter().any(|one| one.contains(pair)))
    }

    fn bites(&mut self, request: &Met<'_>) -> bool {
        if !self.is_meant(request) || self.times.is_some_and(|times| self.met >= times) {
            return false;
        }
        self.seen += 1;
        let bites = self.seen > self.after && (self.seen - self.after).is_multiple_of(self.every.max(1));
        self.met += u32::from(bites);
        bites
    }
}

/// What a plan looks at in a request.
pub(super) struct Met<'a> {
    pub(super) write: bool,
    /// Path and query.
    pub(super) target: &'a str,
    /// What was posted, and what was asked.
    pub(super) values: [&'a Pairs; 2],
}

/// What the next request meets.
pub(super) fn take(plans: &mut [Plan], request: &Met<'_>) -> Fault {
    plans.iter_mut().find_map(|plan| plan.bites(request).then_some(plan.fault)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(plans: &mut [Plan], write: bool, target: &str, body: &str) -> Fault {
        let form = vec![("Body".to_owned(), body.to_owned())];
        take(plans, &Met { write, target, values: [&form, &Pairs::new()] })
    }

    #[test]
    fn plans_stand_beside_each_other_and_run_out() {
        let mut plans = [
            Plan { every: 2, ..Plan::new(On::Writes, Fault::LostAnswer) },
            Plan::next(1, On::All, Fault::Portal),
        ];
        let all: Vec<Fault> = (0..4).map(|_| met(&mut plans, true, "/", "")).collect();
        assert_eq!(all, [Fault::Portal, Fault::LostAnswer, Fault::None, Fault::LostAnswer]);
        assert_eq!(met(&mut plans, false, "/", ""), Fault::None);
    }

    #[test]
    fn a_plan_meets_only_the_path_and_the_value_that_it_names() {
        let mut plans = [
            Plan { after: 1, ..Plan::new(On::All, Fault::Error500).at("/Messages.json") },
            Plan::new(On::Writes, Fault::LostAnswer).with("Body", "hello"),
        ];
        assert_eq!(met(&mut plans, false, "/Messages.json?To=1", ""), Fault::None, "the first goes by");
        assert_eq!(met(&mut plans, false, "/Messages.json?To=1", ""), Fault::Error500);
        assert_eq!(met(&mut plans, true, "/Calls.json", "hello"), Fault::LostAnswer);
        assert_eq!(met(&mut plans, true, "/Calls.json", "hello!"), Fault::None);
    }
}
