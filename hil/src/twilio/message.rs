//! The Message resource (2010-04-01): its fields, its JSON, its segments, and the numbers that mean something.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sim::Fate;

/// `Fri, 20 Nov 2026 08:00:00 +0000`, as the 2010 API writes times.
pub(super) fn rfc2822(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// `2026-11-20T08:00:00Z`, as the other APIs write times.
pub(super) fn iso8601(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same as [`rfc2822`], or null.
pub(super) fn rfc2822_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| rfc2822(at).into())
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Given to a messaging service, no sender chosen.
    Accepted,
    /// With its sender, not sent.
    Queued,
    /// On its way to the carrier.
    Sending,
    /// The carrier has it.
    Sent,
    /// It cannot be sent.
    Failed,
    /// The phone has it.
    Delivered,
    /// The carrier could not deliver it.
    Undelivered,
    /// Inbound, not all there.
    Receiving,
    /// Inbound.
    Received,
    /// Waits for its `SendAt`.
    Scheduled,
    /// Read, where the channel tells.
    Read,
    /// Taken back before it was sent.
    Canceled,
}

impl Status {
    /// As JSON and forms have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Receiving => "receiving",
            Self::Received => "received",
            Self::Scheduled => "scheduled",
            Self::Read => "read",
            Self::Canceled => "canceled",
        }
    }

    /// What comes next on the way to `outcome`; `None` at the end of the way.
    pub(super) fn next(self, outcome: Self) -> Option<Self> {
        match self {
            Self::Accepted => Some(Self::Queued),
            Self::Queued if outcome == Self::Failed => Some(Self::Failed),
            Self::Queued => Some(Self::Sending),
            Self::Sending => Some(Self::Sent),
            Self::Sent if outcome == Self::Sent => None,
            Self::Sent if outcome == Self::Read => Some(Self::Delivered),
            Self::Sent => Some(outcome),
            Self::Delivered if outcome == Self::Read => Some(Self::Read),
            Self::Receiving => Some(Self::Received),
            Self::Failed
            | Self::Delivered
            | Self::Undelivered
            | Self::Received
            | Self::Scheduled
            | Self::Read
            | Self::Canceled => None,
        }
    }
}

/// A file on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) sid: String,
    pub(super) content_type: String,
    /// Of one that was sent: what its server said.
    pub(super) disposition: Option<String>,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) sid: String,
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) body: String,
    pub(super) direction: &'static str,
    pub(super) status: Status,
    pub(super) error: Option<u32>,
    /// How it will end, when that is its own.
    pub(super) fate: Option<Fate>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) sent: Option<Timestamp>,
    /// Lists show it from then on.
    pub(super) listed: Timestamp,
    pub(super) service: Option<String>,
    /// `HX…`, of a message from a template.
    pub(super) content: Option<String>,
    pub(super) callback: Option<String>,
    pub(super) media: Vec<Media>,
    pub(super) segments: usize,
    pub(super) callbacks: u32,
    pub(super) deleted: bool,
}

impl Message {
    /// Deliberately without `tags` and `messaging_service` fields of other products.
    pub(super) fn json(&self, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}", self.sid);
        let price = self.price().map(|price| format!("-{price:.5}"));
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": rfc2822(self.created),
            "date_sent": rfc2822_or_null(self.sent),
            "date_updated": rfc2822(self.updated),
            "direction": self.direction,
            "error_code": self.error,
            "error_message": self.error.map(explained),
            "from": self.from,
            "messaging_service_sid": self.service,
            "num_media": self.media.len().to_string(),
            "num_segments": self.segments.to_string(),
            "price": price,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status.as_str(),
            "subresource_uris": { "media": format!("{uri}/Media.json") },
            "to": self.to,
            "uri": format!("{uri}.json"),
        })
    }

    /// In dollars, of what was sent or received.
    pub(super) fn price(&self) -> Option<f64> {
        let charged = self.sent.filter(|_| self.error.is_none());
        charged.map(|_| 0.0083 * f64::from(u32::try_from(self.segments).unwrap_or(1)))
    }

    pub(super) fn media_json(&self, media: &Media, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}/Media/{}.json", self.sid, media.sid);
        json!({
            "account_sid": account,
            "content_type": media.content_type,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated),
            "parent_sid": self.sid,
            "sid": media.sid,
            "uri": uri,
        })
    }
}

fn explained(code: u32) -> &'static str {
    match code {
        11200 => "HTTP retrieval failure",
        12300 => "Invalid Content-Type",
        30001 => "Queue overflow",
        30002 => "Account suspended",
        30003 => "Unreachable destination handset",
        30004 => "Message blocked",
        30005 => "Unknown destination handset",
        30006 => "Landline or unreachable carrier",
        30007 => "Message filtered",
        30019 => "Content size exceeds carrier limits",
        30034 => "Message from an unregistered number",
        63016 => {
            "Failed to send freeform message because you are outside the allowed window. If you are using WhatsApp, \
             please use a Message Template."
        }
        _ => "Unknown error",
    }
}

const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
    ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM_EXTENSION: &str = "^{}\\[~]|€\u{c}";

/// 160/153 septets of GSM 03.38, or 70/67 units of UCS-2.
pub(super) fn segments(body: &str) -> usize {
    let septets = body.chars().try_fold(0, |sum, letter| {
        if GSM.contains(letter) { Some(sum + 1) } else { GSM_EXTENSION.contains(letter).then_some(sum + 2) }
    });
    let (length, one, many) = septets.map_or((body.encode_utf16().count(), 70, 67), |n| (n, 160, 153));
    if length <= one { 1 } else { length.div_ceil(many) }
}

/// What a REST call is refused with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: String,
}

/// 400 with this code.
pub(super) fn refused(code: u32, message: impl Into<String>) -> Refusal {
    Refusal { status: 400, code, message: message.into() }
}

/// Twilio's magic numbers of messages: a sender that is refused for what it is.
pub(super) fn magic_sender(from: &str) -> Option<Refusal> {
    Some(match from {
        "+15005550001" => refused(21212, format!("Invalid From Number (caller ID): {from}")),
        "+15005550007" => refused(
            21606,
            format!(
                "The 'From' phone number provided ({from}) is not a valid message-capable Twilio phone number"
            ),
        ),
        "+15005550008" => refused(
            21611,
            format!("This 'From' number {from} has exceeded the maximum number of queued messages"),
        ),
        _ => return None,
    })
}

/// Twilio's magic numbers of messages: a recipient that is refused for what it is.
pub(super) fn magic_recipient(to: &str) -> Option<Refusal> {
    Some(match to {
        "+15005550001" => refused(21211, format!("Invalid 'To' Phone Number: {to}")),
        "+15005550002" => refused(
            21612,
            format!("The 'To' phone number: {to}, is not currently reachable using the 'From' phone number"),
        ),
        "+15005550003" => refused(
            21408,
            format!(
                "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}"
            ),
        ),
        "+15005550004" => refused(21610, "Attempt to send to unsubscribed recipient"),
        "+15005550009" => refused(21614, format!("'To' number: {to}, is not a valid mobile number")),
        _ => return None,
    })
}

/// E.164, or a channel's address such as `whatsapp:+12065550100`.
pub(super) fn is_address(text: &str) -> bool {
    let number = text.strip_prefix("whatsapp:").unwrap_or(text);
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// What a whole inbound text of one word asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Stop,
    Start,
    Help,
}

impl Keyword {
    /// YES means START only to a pair that is blocked.
    pub(super) fn of(body: &str, blocked: bool) -> Option<Self> {
        Some(match body.trim().to_ascii_uppercase().as_str() {
            "STOP" | "STOPALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "OPTOUT" | "REVOKE" => {
                Self::Stop
            }
            "START" | "UNSTOP" => Self::Start,
            "YES" if blocked => Self::Start,
            "HELP" | "INFO" => Self::Help,
            _ => return None,
        })
    }

    pub(super) fn opt_out_type(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Start => "START",
            Self::Help => "HELP",
        }
    }

    /// Twilio's own words.
    pub(super) fn reply(self) -> &'static str {
        match self {
            Self::Stop => {
                "You have successfully been unsubscribed. You will not receive any more messages from this \
                 number. Reply START to resubscribe."
            }
            Self::Start => {
                "You have successfully been re-subscribed to messages from this number. Reply HELP for help. \
                 Reply STOP to unsubscribe. Msg&Data Rates May Apply."
            }
            Self::Help => "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_count_septets_or_utf16_units() {
        let counts = [("a".repeat(160), 1), ("a".repeat(161), 2), ("€".repeat(80), 1), ("€".repeat(81), 2)];
        for (body, count) in counts {
            assert_eq!(segments(&body), count, "{}", body.len());
        }
        assert_eq!(
            (segments(&"ж".repeat(70)), segments(&"ж".repeat(71)), segments(&"😀".repeat(36))),
            (1, 2, 2)
        );
    }

    #[test]
    fn only_a_whole_word_is_a_keyword_and_yes_only_for_the_blocked() {
        assert_eq!(Keyword::of(" stop\n", false), Some(Keyword::Stop));
        assert_eq!(Keyword::of("STOP PLEASE", false), None);
        assert_eq!((Keyword::of("Yes", false), Keyword::of("Yes", true)), (None, Some(Keyword::Start)));
    }
}
