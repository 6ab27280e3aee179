//! One run of a flow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Definition, Env, Input, Outcome};
use crate::types::{ExecutionSid, MessageId, Now};

/// Studio's limits (Studio FAQ), as settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// 1,000: the execution ends with 81000.
    pub steps: u32,
    /// 10: the same widget in a row.
    pub same_widget: u32,
    /// 30 days.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 1000, same_widget: 10, life: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A transition led nowhere: the normal end.
    Completed,
    /// Stopped from outside: why.
    Stopped(String),
    /// A limit or an impossible state: why.
    Failed(String),
}

/// What an execution can hear now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// Nothing of a person: an HTTP answer, a subflow, an order.
    Outside,
    /// The prompt is not with the line yet: a reply now is early.
    Handing(MessageId),
    /// A reply.
    Reply {
        /// The prompt.
        prompt: MessageId,
        /// Widget's name. One that begins with `closing` is a courtesy menu after the work is done: what waits
        /// its turn may take the foreground from it.
        widget: String,
    },
    /// Over.
    Ended,
}

/// The whole state of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    sid: ExecutionSid,
    flow: String,
    revision: u32,
}

impl Execution {
    /// A run that has not started: hand it [`Input::Start`] first. `flow` is the friendly name, `revision` the
    /// one that it is pinned to.
    #[must_use]
    pub fn new(_sid: ExecutionSid, _flow: &str, _flow_sid: &str, _revision: u32, _now: Now) -> Self {
        unimplemented!()
    }

    /// Runs until the execution waits or ends. `def` must be the revision that the execution is pinned to.
    pub fn handle(&mut self, _def: &Definition, _input: Input, _now: Now, _env: &Env) -> Outcome {
        unimplemented!()
    }

    /// What it can hear now.
    #[must_use]
    pub fn awaiting(&self) -> Awaiting {
        unimplemented!()
    }

    /// Its id.
    #[must_use]
    pub fn sid(&self) -> &ExecutionSid {
        &self.sid
    }

    /// Friendly name of its flow.
    #[must_use]
    pub fn flow(&self) -> &str {
        &self.flow
    }

    /// The revision it is pinned to.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }
}
