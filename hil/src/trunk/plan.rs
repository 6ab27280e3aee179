//! What a trunk does with calls to a number, as data.

use crate::emergency::Emergency;
use crate::sip::Path;
use crate::ua::Wrong;
use serde::{Deserialize, Serialize};

/// Calls to which number go how. The first route that fits is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// A number, or the beginning of numbers with `*` behind it.
    pub number: String,
    #[serde(flatten)]
    pub plan: Plan,
}

impl Route {
    pub(super) fn fits(&self, number: &str) -> bool {
        match self.number.strip_suffix('*') {
            Some(front) => number.starts_with(front),
            None => self.number == number,
        }
    }
}

/// What becomes of a call. The default answers at once and plays nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// What is said before, in order.
    pub ring: Vec<Ringing>,
    /// Milliseconds between the last of them and what is said then.
    pub after_ms: u64,
    pub then: Then,
    /// Frequencies that the answered call plays, in Hz.
    pub tone: Vec<f32>,
    /// Frequencies of early media, in Hz.
    pub early_tone: Vec<f32>,
    /// Further forks: each rings with a tag of its own.
    pub forks: Vec<Fork>,
    /// Its descriptions are wrong.
    pub wrong: Option<Wrong>,
    /// Answers 200 to an INVITE that was just cancelled.
    pub answers_after_cancel: bool,
    /// Refuses the box's first so many offers within the call with 491.
    pub glares: u32,
    /// Refuses session timers under so many seconds with 422.
    pub min_se: Option<u32>,
    /// What it does in the answered call.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Answers at once and plays this.
    #[must_use]
    pub fn answer(tone: f32) -> Plan {
        Plan { tone: vec![tone], ..Plan::default() }
    }

    /// Rings, then answers after so many milliseconds and plays this.
    #[must_use]
    pub fn ring_and_answer(after_ms: u64, tone: f32) -> Plan {
        Plan { ring: vec![Ringing::default()], after_ms, tone: vec![tone], ..Plan::default() }
    }

    /// Refuses.
    #[must_use]
    pub fn refuse(status: u16) -> Plan {
        Plan {
            then: Then::Refuse { status, reason: None, retry_after: None, contact: None },
            ..Plan::default()
        }
    }

    /// Rings and is never answered.
    #[must_use]
    pub fn no_answer() -> Plan {
        Plan { ring: vec![Ringing::default()], then: Then::Nothing, ..Plan::default() }
    }
}

/// A provisional response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ringing {
    pub status: u16,
    pub after_ms: u64,
    /// With a description: the caller hears `early_tone`.
    pub early_media: bool,
    /// With `Require: 100rel`; what follows waits for the PRACK.
    pub reliable: bool,
}

impl Default for Ringing {
    fn default() -> Ringing {
        Ringing { status: 180, after_ms: 0, early_media: false, reliable: false }
    }
}

/// Another phone that the trunk rings with the same call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fork {
    /// Answers too, right after the first.
    pub answers: bool,
}

/// How it goes on after ringing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    #[default]
    Answer,
    /// 486, 603, 404, 503, 302, ….
    Refuse {
        status: u16,
        #[serde(default)]
        reason: Option<String>,
        /// Seconds.
        #[serde(default)]
        retry_after: Option<u32>,
        /// Where a 3xx points.
        #[serde(default)]
        contact: Option<String>,
    },
    /// Goes on ringing.
    Nothing,
    /// Says nothing at all, not even 100.
    Silence,
}

/// Something in the course of an answered call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds after the step before.
    #[serde(default)]
    pub after_ms: u64,
    pub r#do: Deed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Hangup,
    Hold,
    Resume,
    /// Offers anew without a change.
    Reinvite,
    Update,
    /// RTP stops; the call goes on.
    RtpSilence,
    RtpBack,
    /// Keys one after the other, as telephone-events.
    Keys(String),
    /// Other frequencies, in Hz.
    Play(Vec<f32>),
}

/// What the registrar of a trunk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registrar {
    #[default]
    Accept,
    /// Whatever the password: 403, 503, ….
    Refuse(u16),
    /// 423 to shorter ones than so many seconds.
    AtLeast(u32),
    Silence,
}

/// What is answered to OPTIONS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    #[default]
    Answer,
    Refuse(u16),
    Silence,
}

/// How a trunk is from now on; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    pub registrar: Option<Registrar>,
    pub health: Option<Health>,
    pub emergency: Option<Emergency>,
    /// The way of signalling.
    pub sip: Option<Path>,
    /// The way of sound.
    pub rtp: Option<Path>,
    /// Hears no signalling at all.
    pub deaf: Option<bool>,
    /// Takes no notice of ACKs: its answers are repeated until it gives up.
    pub ignores_acks: Option<bool>,
    /// RTP of all calls stops, or goes on.
    pub rtp_silence: Option<bool>,
    /// All nonces are forgotten: the next answers are stale.
    pub forget_nonces: Option<bool>,
}
