//! The Call and Recording resources (2010-04-01): fields, JSON, and the way of a call from queued to its end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::message::{Refusal, refused, rfc2822, rfc2822_or_null};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    /// Waits for its turn.
    Queued,
    /// The other end rings.
    Ringing,
    /// Answered.
    InProgress,
    /// Answered and ended.
    Completed,
    /// Ended: busy.
    Busy,
    /// Ended: it could not be placed.
    Failed,
    /// Ended: nobody answered.
    NoAnswer,
    /// Ended before it was answered.
    Canceled,
}

impl CallStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    pub(super) fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Ringing | Self::InProgress => false,
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => true,
        }
    }

    /// The `StatusCallbackEvent` that asks for it; every end is `completed`.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Queued => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "answered",
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => "completed",
        }
    }

    pub(super) fn next(self, outcome: Self) -> Option<Self> {
        match self {
            Self::Queued => Some(Self::Ringing),
            Self::Ringing if outcome == Self::Completed => Some(Self::InProgress),
            Self::Ringing | Self::InProgress => Some(outcome),
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) sid: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) direction: &'static str,
    pub(super) status: CallStatus,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) callback: Option<String>,
    pub(super) events: Vec<String>,
    /// Numbers the status callbacks, from 0, whether asked for or not.
    pub(super) sequence: u32,
    pub(super) deleted: bool,
}

impl Call {
    /// Whole seconds from the answer to the end.
    pub(super) fn seconds(&self) -> Option<i64> {
        Some(self.end?.as_second() - self.start?.as_second())
    }

    pub(super) fn json(&self, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/Calls/{}", self.sid);
        json!({
            "account_sid": account,
            "annotation": null,
            "answered_by": null,
            "api_version": "2010-04-01",
            "caller_name": null,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated),
            "direction": self.direction,
            "duration": self.seconds().map(|seconds| seconds.to_string()),
            "end_time": rfc2822_or_null(self.end),
            "forwarded_from": null,
            "from": self.from,
            "from_formatted": self.from,
            "group_sid": null,
            "parent_call_sid": null,
            "phone_number_sid": null,
            "price": null,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": self.sid,
            "start_time": rfc2822_or_null(self.start),
            "status": self.status.as_str(),
            "subresource_uris": {
                "recordings": format!("{uri}/Recordings.json"),
                "notifications": format!("{uri}/Notifications.json"),
            },
            "to": self.to,
            "to_formatted": self.to,
            "trunk_sid": null,
            "uri": format!("{uri}.json"),
        })
    }
}

/// Twilio's magic numbers of calls.
pub(super) fn magic(from: &str, to: &str) -> Option<Refusal> {
    if from == "+15005550001" {
        return Some(refused(21212, format!("Invalid From Number (caller ID): {from}")));
    }
    Some(match to {
        "+15005550001" => refused(21217, format!("Phone number does not appear to be valid: {to}")),
        "+15005550002" => refused(21214, format!("'To' phone number cannot be reached: {to}")),
        "+15005550003" => refused(21215, format!("Geo permissions do not allow a call to {to}")),
        "+15005550004" => refused(21216, format!("Calls to {to} are blocked")),
        _ => return None,
    })
}

#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) sid: String,
    pub(super) call: String,
    pub(super) created: Timestamp,
    pub(super) seconds: u32,
    pub(super) wav: Vec<u8>,
    pub(super) deleted: bool,
}

impl Recording {
    /// So many seconds of a 400 Hz tone, 8 kHz, 16 bits, mono.
    pub(super) fn tone(seconds: u32) -> Vec<u8> {
        let size = seconds.saturating_mul(16_000);
        let mut wav = Vec::new();
        wav.extend(b"RIFF");
        wav.extend((size + 36).to_le_bytes());
        wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        wav.extend(8_000_u32.to_le_bytes());
        wav.extend(16_000_u32.to_le_bytes());
        wav.extend(b"\x02\0\x10\0data");
        wav.extend(size.to_le_bytes());
        // 400 Hz at 8 kHz is a period of 20 samples.
        for sample in 0..seconds.saturating_mul(8_000) {
            let height: i16 = if sample % 20 < 10 { 4_000 } else { -4_000 };
            wav.extend(height.to_le_bytes());
        }
        wav
    }

    pub(super) fn json(&self, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/Recordings/{}", self.sid);
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "call_sid": self.call,
            "channels": 1,
            "conference_sid": null,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.created),
            "duration": self.seconds.to_string(),
            "encryption_details": null,
            "error_code": null,
            "price": null,
            "price_unit": "USD",
            "sid": self.sid,
            "source": "RecordVerb",
            "start_time": rfc2822(self.created),
            "status": "completed",
            "subresource_uris": {
                "add_on_results": format!("{uri}/AddOnResults.json"),
                "transcriptions": format!("{uri}/Transcriptions.json"),
            },
            "uri": format!("{uri}.json"),
        })
    }
}
