//! What call control and the edges that carry a leg tell each other. Call control never learns whether a leg is a
//! SIP dialog, a call of a modem or a browser; an edge cannot end a call, it can only report.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Address, DeviceId, Dtmf, LegId, LineId, PromptId, Redacted};

/// What is dialled, as text: digits, `*`, `#`, a plus, or a phone's own name. `Debug` never shows the whole of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dialled(pub String);

impl Dialled {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Dialled {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Dialled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Redacted(&self.0))
    }
}

/// Why a leg or a call ended. One taxonomy for legs, calls and records; [`EndCause::fault`] groups it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Talked, and one side hung up.
    Hangup,
    /// Handed on to somebody else.
    Transferred,
    /// This leg rang beside another that was answered first.
    Elsewhere,
    /// The caller gave up before an answer.
    Cancelled,
    /// What was dialled is no number that anybody has.
    BadNumber,
    /// The callee is talking.
    Busy,
    /// The callee did not answer in time.
    NoAnswer,
    /// The callee said no.
    Declined,
    /// The callee's phone is not there.
    Unreachable,
    /// Everybody who could take it was tried (or the shop is closed): a sentence was played.
    Nobody,
    /// The network behind a line refuses this call (SIP 403 and its like).
    Rejected,
    /// The network behind a line cannot just now (SIP 5xx, congestion).
    Unavailable,
    /// The line is down, lost its registration, or does not answer.
    LineDown,
    /// The line has no free channel.
    LineBusy,
    /// No audio came for long.
    MediaLost,
    /// The two sides have no way of audio in common.
    NoCodec,
    /// The dial plan forbids it.
    Barred,
    /// A cap was reached.
    Capped,
    /// Cleared to free the line for an emergency call.
    Cleared,
    /// Longer than any call may be.
    TooLong,
    /// The box or its operator ended it.
    Stopped,
    /// Was open when the daemon died.
    Crash,
}

/// Who an [`EndCause`] lies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nobody: it went as it should.
    Success,
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
    /// The network behind the line.
    Upstream,
    /// The line.
    Line,
    /// A rule of this box.
    Policy,
    /// The daemon.
    Crash,
}

impl EndCause {
    /// Every cause.
    pub const ALL: [Self; 22] = [
        Self::Hangup,
        Self::Transferred,
        Self::Elsewhere,
        Self::Cancelled,
        Self::BadNumber,
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::Unreachable,
        Self::Nobody,
        Self::Rejected,
        Self::Unavailable,
        Self::LineDown,
        Self::LineBusy,
        Self::MediaLost,
        Self::NoCodec,
        Self::Barred,
        Self::Capped,
        Self::Cleared,
        Self::TooLong,
        Self::Stopped,
        Self::Crash,
    ];

    /// The word in rows, in JSON and for people: `no_answer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hangup => "hangup",
            Self::Transferred => "transferred",
            Self::Elsewhere => "elsewhere",
            Self::Cancelled => "cancelled",
            Self::BadNumber => "bad_number",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::Unreachable => "unreachable",
            Self::Nobody => "nobody",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::LineDown => "line_down",
            Self::LineBusy => "line_busy",
            Self::MediaLost => "media_lost",
            Self::NoCodec => "no_codec",
            Self::Barred => "barred",
            Self::Capped => "capped",
            Self::Cleared => "cleared",
            Self::TooLong => "too_long",
            Self::Stopped => "stopped",
            Self::Crash => "crash",
        }
    }

    /// Who it lies with.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Hangup | Self::Transferred | Self::Elsewhere => Fault::Success,
            Self::Cancelled | Self::BadNumber => Fault::Caller,
            Self::Busy | Self::NoAnswer | Self::Declined | Self::Unreachable | Self::Nobody => Fault::Callee,
            Self::Rejected | Self::Unavailable => Fault::Upstream,
            Self::LineDown | Self::LineBusy | Self::MediaLost | Self::NoCodec => Fault::Line,
            Self::Barred | Self::Capped | Self::Cleared | Self::TooLong | Self::Stopped => Fault::Policy,
            Self::Crash => Fault::Crash,
        }
    }

    /// True when the same call may well go through over another line.
    #[must_use]
    pub fn another_line_may_help(self) -> bool {
        matches!(self.fault(), Fault::Upstream | Fault::Line)
    }
}

/// Where a leg is: the edge that carries it follows from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The outside world. Whoever is there is a stranger, whatever number he shows.
    Line(LineId),
    /// A phone of the shop that the edge has authenticated.
    Device(DeviceId),
}

impl Via {
    /// The line, when it is one.
    #[must_use]
    pub fn line(&self) -> Option<&LineId> {
        match self {
            Self::Line(line) => Some(line),
            Self::Device(_) => None,
        }
    }

    /// The phone, when it is one.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(device) => Some(device),
            Self::Line(_) => None,
        }
    }
}

/// What is known of the kind of a caller's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberKind {
    /// Takes texts.
    Mobile,
    /// Does not.
    Landline,
    /// Nobody said.
    #[default]
    Unknown,
}

/// Who a leg shows as its caller.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The number, also when `private`: lines assert it to the network (RFC 3325), nobody shows it.
    pub address: Option<Address>,
    /// The name.
    pub display: Option<String>,
    /// The caller asked not to be shown (RFC 3323).
    pub private: bool,
}

/// A name is personal data as much as a number is.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let display = self.display.as_ref().map(|_| "…");
        f.debug_struct("Identity")
            .field("address", &self.address)
            .field("display", &display)
            .field("private", &self.private)
            .finish()
    }
}

/// A call that somebody makes to the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Where it came in.
    pub via: Via,
    /// Who calls.
    pub from: Identity,
    /// What is known of the caller's number.
    pub kind: NumberKind,
    /// What was dialled: digits, or the user part of the address; on a line, the shop's number that was called.
    pub to: Dialled,
    /// The signalling itself says emergency (`urn:service:sos`, RFC 5031; a modem's emergency indication).
    pub emergency: bool,
}

/// How far a leg that was dialled has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It rings there; the box makes the tone.
    Ringing,
    /// The far side sends audio before its answer (183, or in-band tones and announcements).
    EarlyMedia,
}

/// Where a transfer is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferTarget {
    /// Dial this.
    Blind(Dialled),
    /// Join with whoever is at the other end of this leg of the same phone (REFER with Replaces, RFC 3891).
    Attended(LegId),
}

/// What became of a transfer that a leg asked for (NOTIFY with sipfrag, RFC 3515 §2.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferProgress {
    /// Under way.
    Trying,
    /// The target has it. [`LegCommand::Hangup`] follows.
    Done,
    /// It did not come about; the leg is where it was.
    Failed(EndCause),
}

/// What the edges measured of a leg's audio.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// `PCMU`, `G722` …
    pub codec: String,
    /// Packets that came.
    pub received: u64,
    /// Packets that went.
    pub sent: u64,
    /// Packets that should have come and did not.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), in ms.
    pub jitter_ms: u32,
    /// To the far end and back, in ms, when its reports tell (RFC 3550 §6.4.1).
    #[serde(default)]
    pub round_trip_ms: Option<u32>,
}

/// What an edge reports of a leg. Every event of one leg is in the order in which it happened; after
/// [`LegEvent::Ended`] or [`LegEvent::Refused`] there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegEvent {
    /// Somebody calls. The edge made the leg's id: never the same again, also not in another boot.
    Offered(Offer),
    /// A dialled leg has come this far.
    Progress(Progress),
    /// A dialled leg was answered.
    Answered,
    /// The far side pressed a key.
    Dtmf {
        /// Which.
        key: Dtmf,
        /// True when the joined audio carries it by itself (a relayed telephone-event): it must not go twice.
        carried: bool,
    },
    /// The far side put the box on hold.
    HoldRequested,
    /// And took it back.
    Resumed,
    /// The far side asks the box to put its peer through.
    TransferAsked(TransferTarget),
    /// No audio has come for as long as the edge's settings allow.
    MediaSilent,
    /// The latest of what is measured; wanted before the leg's end.
    Media(MediaFacts),
    /// The leg is over: after its answer, or an offered one before it.
    Ended {
        /// Why.
        cause: EndCause,
    },
    /// A dialled leg failed before its answer.
    Refused {
        /// Why.
        cause: EndCause,
        /// The line wants to be left alone for so long (503 with Retry-After).
        retry_after: Option<Duration>,
    },
}

/// What an edge is told about a leg. Commands to one leg are carried out in their order. A command to a leg that
/// is over is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegCommand {
    /// Make this leg.
    Dial {
        /// Over which line, or to which phone.
        via: Via,
        /// E.164 with its plus, a short number as it is, or the phone's extension.
        target: Dialled,
        /// Who calls.
        identity: Identity,
        /// Call control gives up after this; `None` when it never does.
        ring_for: Option<Duration>,
        /// Mark it so (Priority: emergency, `+CLCK` and barring do not apply).
        emergency: bool,
    },
    /// Tell an offered leg that it rings (180).
    Ring,
    /// Open the audio of an offered leg before its answer (183).
    EarlyMedia,
    /// Answer an offered leg.
    Answer,
    /// Put the far side on hold.
    Hold,
    /// Take it back.
    Resume,
    /// Send a key.
    Dtmf(Dtmf),
    /// What became of [`LegEvent::TransferAsked`].
    Transfer(TransferProgress),
    /// End it: CANCEL, BYE or a refusal that says the cause, whichever fits. A success that crosses it is ended.
    Hangup {
        /// Why.
        cause: EndCause,
    },
}

/// Tones that the box makes, in the cadence of its country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// It rings at the other end.
    RingBack,
    /// The other end is talking.
    Busy,
    /// It did not work.
    Congestion,
    /// The test tone of telephony: 1,004 Hz at 0 dBm0 without an end, the same in every country.
    Milliwatt,
}

/// What the media edge is told. It owns every join; nothing is played to a leg that is joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaCommand {
    /// Each hears the other.
    Join(LegId, LegId),
    /// Not any more.
    Part(LegId, LegId),
    /// Play a recorded or spoken prompt; [`MediaEvent::Played`] says when it is over.
    Play {
        /// To whom.
        leg: LegId,
        /// Which.
        prompt: PromptId,
        /// From the beginning again, until [`MediaCommand::StopPlaying`].
        repeat: bool,
    },
    /// Make a tone until [`MediaCommand::StopPlaying`].
    Tone {
        /// To whom.
        leg: LegId,
        /// Which.
        tone: Tone,
    },
    /// The leg hears itself, until [`MediaCommand::StopPlaying`].
    Echo {
        /// Who.
        leg: LegId,
    },
    /// Ends prompt, tone or echo.
    StopPlaying {
        /// Of whom.
        leg: LegId,
    },
}

/// What the media edge reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaEvent {
    /// A prompt came to its end by itself (also when it could not be played at all).
    Played {
        /// To whom.
        leg: LegId,
        /// Which.
        prompt: PromptId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_listed_once_and_has_its_own_name() {
        let names: std::collections::BTreeSet<String> =
            EndCause::ALL.iter().map(|c| serde_json::to_string(c).unwrap()).collect();
        assert_eq!(names.len(), EndCause::ALL.len());
        for cause in EndCause::ALL {
            assert_eq!(serde_json::to_string(&cause).unwrap(), format!("\"{}\"", cause.as_str()));
        }
        assert!(!EndCause::Busy.another_line_may_help());
        assert!(EndCause::Unavailable.another_line_may_help());
    }
}
