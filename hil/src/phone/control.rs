//! What a phone is told from outside, beside what concerns one call: see `ua::desk`.

use super::{Auto, Path, Phone};
use crate::ua::desk::{Desk, Obeys};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(32);

/// Requests to the phone.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Request {
    Register,
    Unregister,
    Dial {
        to: String,
    },
    Auto {
        auto: Auto,
    },
    /// What the network does from now on.
    Paths {
        #[serde(default)]
        sip: Path,
        #[serde(default)]
        rtp: Path,
    },
    State,
}

/// A phone with its desk.
pub(super) struct Held {
    pub(super) phone: Phone,
    pub(super) desk: Desk,
}

impl Held {
    /// Puts calls that come in on the desk, for as long as it is held.
    pub(super) async fn attend(self: Arc<Self>) {
        while let Ok(call) = self.phone.incoming(Duration::MAX).await {
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
        let why = |error: super::Error| error.to_string();
        match request {
            Request::Register => self.phone.register(PATIENCE).await.map_err(why)?,
            Request::Unregister => self.phone.unregister(PATIENCE).await.map_err(why)?,
            Request::Dial { to } => {
                let call = self.phone.call(&to).await.map_err(why)?;
                return Ok(json!({"ok": true, "call": self.desk.add(&call, false)}));
            }
            Request::Auto { auto } => self.phone.set_auto(auto),
            Request::Paths { sip, rtp } => self.phone.set_paths(sip, rtp),
            Request::State => {
                let (local, registered) = (self.phone.local(), self.phone.is_registered());
                let calls = self.desk.list();
                return Ok(json!({"ok": true, "address": local, "registered": registered, "calls": calls}));
            }
        }
        Ok(json!({"ok": true}))
    }
}
