//! What a trunk is told from outside, beside what concerns one call: see `ua::desk`.

use super::{Change, Inbound, Plan, Trunk};
use crate::emergency::Emergency;
use crate::ua::desk::{Desk, Obeys};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Requests to the trunk.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Request {
    /// Places a call into the box.
    Dial {
        #[serde(flatten)]
        inbound: Inbound,
    },
    /// Calls of the box to a number go so from now on.
    Route {
        number: String,
        #[serde(flatten)]
        plan: Plan,
    },
    /// How it is from now on.
    Change {
        #[serde(flatten)]
        change: Change,
    },
    Emergency {
        emergency: Emergency,
    },
    State,
}

/// A trunk with its desk.
pub(super) struct Held {
    pub(super) trunk: Trunk,
    pub(super) desk: Desk,
}

impl Held {
    /// Puts calls that come in on the desk, for as long as it is held.
    pub(super) async fn attend(self: Arc<Self>) {
        while let Ok(call) = self.trunk.taken(Duration::MAX).await {
            self.desk.add(&call, true);
        }
    }
}

impl Obeys for Held {
    type Request = Request;

    fn desk(&self) -> &Desk {
        &self.desk
    }

    async fn act(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::Dial { inbound } => {
                let call = self.trunk.call(&inbound).await.map_err(|error| error.to_string())?;
                return Ok(json!({"ok": true, "call": self.desk.add(&call, false)}));
            }
            Request::Route { number, plan } => self.trunk.route(&number, plan),
            Request::Change { change } => self.trunk.change(&change),
            Request::Emergency { emergency } => {
                self.trunk.change(&Change { emergency: Some(emergency), ..Change::default() });
            }
            Request::State => {
                let bindings: Vec<Value> = self
                    .trunk
                    .bindings()
                    .into_iter()
                    .map(|(user, contact)| json!({"user": user, "contact": contact.to_string()}))
                    .collect();
                let agent = self.trunk.agent();
                return Ok(json!({
                    "ok": true,
                    "address": self.trunk.local(),
                    "bindings": bindings,
                    "counters": self.trunk.counters(),
                    "sip": agent.sip_network().met(),
                    "rtp": agent.rtp_network().met(),
                    "calls": self.desk.list(),
                }));
            }
        }
        Ok(json!({"ok": true}))
    }
}
