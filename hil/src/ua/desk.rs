//! Calls by number, for who has no handle: the control socket and scenario files of phone and trunk.
//!
//! A request is a JSON object with `cmd`. `call` in it is the number that the call was given when it began; without
//! it the latest call is meant.

use super::{Call, Error, Phase};
use crate::lines::{Answers, failed};
use crate::rtp::{How, Key};
use crate::sip::lock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;

/// News that a slow subscriber may be behind before it misses some.
const BACKLOG: usize = 1_024;

/// Ended calls that are still known by their number.
const KNOWN: usize = 1_000;

/// What happens, as subscribers and scenario files see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// The other end calls.
    Incoming {
        call: usize,
        number: String,
    },
    /// This end calls.
    Outgoing {
        call: usize,
        number: String,
    },
    Phase {
        call: usize,
        number: String,
        phase: Phase,
    },
}

impl News {
    /// Its name and the number of the call, for a scenario's `on`.
    pub(crate) fn fits(&self, event: &str, number: Option<&str>) -> bool {
        let (name, of) = match self {
            News::Incoming { number, .. } => ("incoming", number),
            News::Outgoing { number, .. } => ("outgoing", number),
            News::Phase { number, phase, .. } => {
                let name = match phase {
                    Phase::Begun => "begun",
                    Phase::Ringing(_) => "ringing",
                    Phase::Answered => "answered",
                    Phase::Ended(_) => "ended",
                };
                (name, number)
            }
        };
        name == event && number.is_none_or(|number| number == of)
    }

    pub(crate) fn call(&self) -> usize {
        match self {
            News::Incoming { call, .. } | News::Outgoing { call, .. } | News::Phase { call, .. } => *call,
        }
    }
}

/// Something that can be done with a call.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum CallRequest {
    Ring,
    Answer,
    Decline {
        status: u16,
    },
    Cancel,
    Hangup,
    Hold,
    Resume,
    /// A new offer without a change, by `INVITE` or `UPDATE`.
    Refresh {
        method: String,
    },
    /// Frequencies in Hz; none is silence.
    Play {
        tone: Vec<f32>,
    },
    /// RTP stops, or goes on.
    Mute {
        muted: bool,
    },
    Keys {
        keys: String,
        #[serde(default)]
        how: How,
    },
    Transfer {
        to: String,
    },
    /// Joins the other ends of this call and of the call `with`.
    TransferAttended {
        with: usize,
    },
    /// The frequencies heard, keys heard, phase.
    Hears,
    WaitHears {
        hz: f32,
        #[serde(default = "patience")]
        timeout_ms: u64,
    },
    WaitSilence {
        #[serde(default = "patience")]
        timeout_ms: u64,
    },
    WaitKeys {
        keys: String,
        #[serde(default = "patience")]
        timeout_ms: u64,
    },
    WaitAnswered {
        #[serde(default = "patience")]
        timeout_ms: u64,
    },
    WaitEnded {
        #[serde(default = "patience")]
        timeout_ms: u64,
    },
}

fn patience() -> u64 {
    10_000
}

/// The calls of a phone or trunk.
pub struct Desk {
    calls: Mutex<Vec<(usize, Call)>>,
    count: Mutex<usize>,
    news: broadcast::Sender<News>,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk { calls: Mutex::default(), count: Mutex::default(), news: broadcast::channel(BACKLOG).0 }
    }
}

impl Desk {
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Gives a call its number, and tells how it goes.
    pub fn add(&self, call: &Call, incoming: bool) -> usize {
        let id = {
            let mut count = lock(&self.count);
            *count += 1;
            *count
        };
        let mut calls = lock(&self.calls);
        if calls.len() >= KNOWN {
            calls.retain(|(_, call)| call.end().is_none());
        }
        calls.push((id, call.clone()));
        drop(calls);
        let number = call.number().to_owned();
        let first = if incoming {
            News::Incoming { call: id, number: number.clone() }
        } else {
            News::Outgoing { call: id, number: number.clone() }
        };
        // Without subscribers nobody is told.
        drop(self.news.send(first));
        let (news, mut phases) = (self.news.clone(), call.phases());
        tokio::spawn(async move {
            let mut told = Phase::Begun;
            loop {
                let phase = phases.borrow_and_update().clone();
                if phase != told {
                    told = phase.clone();
                    drop(news.send(News::Phase { call: id, number: number.clone(), phase }));
                }
                if matches!(told, Phase::Ended(_)) || phases.changed().await.is_err() {
                    return;
                }
            }
        });
        id
    }

    /// All calls that are known, with their phases.
    #[must_use]
    pub fn list(&self) -> Value {
        let calls = lock(&self.calls);
        let row =
            |(id, call): &(usize, Call)| json!({"call": id, "number": call.number(), "phase": call.phase()});
        calls.iter().map(row).collect()
    }

    fn find(&self, id: Option<usize>) -> Result<Call, Error> {
        let calls = lock(&self.calls);
        let found = match id {
            Some(id) => calls.iter().find(|(known, _)| *known == id),
            None => calls.last(),
        };
        found.map(|(_, call)| call.clone()).ok_or(Error::NotNow("find such a call"))
    }

    /// Does it, and says what came of it.
    ///
    /// # Errors
    /// There is no such call, or it cannot be done with it.
    pub async fn obey(&self, id: Option<usize>, request: CallRequest) -> Result<Value, Error> {
        let call = self.find(id)?;
        let whole = Duration::from_secs(32);
        let ms = Duration::from_millis;
        match request {
            CallRequest::Ring => call.ring()?,
            CallRequest::Answer => call.answer()?,
            CallRequest::Decline { status } => call.decline(status)?,
            CallRequest::Cancel => return Ok(json!({"ok": true, "end": call.cancel(whole).await?})),
            CallRequest::Hangup => call.hangup(whole).await?,
            CallRequest::Hold => call.hold(whole).await?,
            CallRequest::Resume => call.resume(whole).await?,
            CallRequest::Refresh { method } => call.refresh(&method, whole).await?,
            CallRequest::Play { tone } => call.play(&tone),
            CallRequest::Mute { muted } => call.sound().mute(muted),
            CallRequest::Keys { keys, how } => {
                for key in keys.chars().filter_map(|c| Key::try_from(c).ok()) {
                    call.send_key(key, how).await?;
                }
            }
            CallRequest::Transfer { to } => {
                return Ok(json!({"ok": true, "status": call.transfer_blind(&to, whole).await?}));
            }
            CallRequest::TransferAttended { with } => {
                let other = self.find(Some(with))?;
                return Ok(json!({"ok": true, "status": call.transfer_attended(&other, whole).await?}));
            }
            CallRequest::Hears => {
                let (hears, keys, heard) = (call.hears(), call.keys_heard(), call.heard());
                return Ok(
                    json!({"ok": true, "hears": hears, "keys": keys, "rtp": heard, "phase": call.phase()}),
                );
            }
            CallRequest::WaitHears { hz, timeout_ms } => call.wait_hears(hz, ms(timeout_ms)).await?,
            CallRequest::WaitSilence { timeout_ms } => call.wait_silence(ms(timeout_ms)).await?,
            CallRequest::WaitKeys { keys, timeout_ms } => call.wait_keys(&keys, ms(timeout_ms)).await?,
            CallRequest::WaitAnswered { timeout_ms } => call.answered(ms(timeout_ms)).await?,
            CallRequest::WaitEnded { timeout_ms } => {
                return Ok(json!({"ok": true, "end": call.ended(ms(timeout_ms)).await?}));
            }
        }
        Ok(json!({"ok": true}))
    }
}

/// What obeys requests: a phone or a trunk with its desk.
pub trait Obeys: Send + Sync + 'static {
    /// One that is none about a call, by its `cmd`.
    type Request: DeserializeOwned + Send;

    fn desk(&self) -> &Desk;

    /// Does what is none about a call, and answers in JSON, or says why not.
    fn act(&self, request: Self::Request) -> impl Future<Output = Result<Value, String>> + Send;
}

/// Does what a JSON object asks, and answers in JSON.
pub async fn obey<O: Obeys>(owner: &Arc<O>, request: Value) -> Value {
    let id = request.get("call").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
    let unfit = match CallRequest::deserialize(&request) {
        Ok(about_call) => return owner.desk().obey(id, about_call).await.unwrap_or_else(failed),
        Err(unfit) => unfit,
    };
    match serde_json::from_value(request) {
        Ok(own) => owner.act(own).await.unwrap_or_else(failed),
        // Then it is about a call, if anything.
        Err(unknown) if unknown.to_string().starts_with("unknown variant") => failed(unfit),
        Err(problem) => failed(problem),
    }
}

impl<O: Obeys> Answers for Arc<O> {
    type News = News;

    fn news(&self) -> broadcast::Receiver<News> {
        self.desk().news()
    }

    async fn answer(&self, request: Value) -> Value {
        obey(self, request).await
    }
}
