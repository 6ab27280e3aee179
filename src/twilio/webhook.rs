//! What Twilio's messaging webhooks say: an inbound text, and where an outgoing one stands. Parameters in, the
//! line's events out; unknown parameters are kept with the text.
//!
//! Pure. Deliberately absent: whether the request is genuine (`signature`), and the socket (`web::hooks`).

use serde_json::{Map, Value};

use super::fields::{Field, Fields};
use crate::types::{Channel, Delivery, LineId, MediaLink, PostStatus, UpstreamText};

/// Most files of one text that are taken: Twilio's bound of an MMS is ten.
const MEDIA_MOST: usize = 10;
/// Longest id: Twilio's has 34 characters, compatible carriers' (UUIDs) 36.
const SID_LONGEST: usize = 64;
/// Where the names of parameters that were no UTF-8 are noted; no parameter of Twilio's is written so.
pub const NOT_UTF8: &str = "backroom.not_utf8";

/// Why a genuine webhook cannot be taken. For the sender: says which parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A parameter without which it means nothing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An id that is none.
    #[error("MessageSid is not an id: letters and digits are, at most 64")]
    NotASid,
}

/// The path of a line's inbound texts, after its `public_url`.
#[must_use]
pub fn message_path(line: &LineId) -> String {
    format!("/twilio/{line}/message")
}

/// The path of a line's status callbacks, after its `public_url`.
#[must_use]
pub fn status_path(line: &LineId) -> String {
    format!("/twilio/{line}/status")
}

/// Reads an inbound text.
///
/// # Errors
/// [`Malformed`]: no id, sender or recipient.
pub fn text(fields: &Fields) -> Result<UpstreamText, Malformed> {
    let sid = sid(fields)?;
    let address = |name: &'static str| fields.filled(name).ok_or(Malformed::Missing(name));
    let (channel, from) = channel_of(&address("From")?);
    let (_, to) = channel_of(&address("To")?);
    let media = media(fields);
    Ok(UpstreamText {
        sid,
        channel,
        from,
        to,
        body: fields.get("Body").unwrap_or_default().into_owned(),
        parameters: parameters(fields, media.len()),
        media,
        sent: None,
    })
}

/// Reads a status callback. `None`: a state that is not known, which changes nothing.
///
/// # Errors
/// [`Malformed`]: no id, no status.
pub fn status(fields: &Fields) -> Result<Option<PostStatus>, Malformed> {
    let sid = sid(fields)?;
    let word = fields.filled("MessageStatus").or_else(|| fields.filled("SmsStatus"));
    let word = word.ok_or(Malformed::Missing("MessageStatus"))?;
    let error = fields.get("ErrorCode").and_then(|code| code.parse().ok()).filter(|code| *code != 0);
    Ok(Delivery::parse(&word).map(|status| PostStatus { sid, status, error, price: None }))
}

/// Older accounts and compatible carriers know `SmsSid` only.
fn sid(fields: &Fields) -> Result<String, Malformed> {
    let names = ["MessageSid", "SmsMessageSid", "SmsSid"];
    let sid = names.iter().find_map(|name| fields.filled(name)).ok_or(Malformed::Missing("MessageSid"))?;
    let is_sid = sid.len() <= SID_LONGEST && sid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_sid { Ok(sid.into_owned()) } else { Err(Malformed::NotASid) }
}

fn channel_of(address: &str) -> (Channel, String) {
    match address.strip_prefix("whatsapp:") {
        Some(number) => (Channel::WhatsApp, number.to_owned()),
        None => (Channel::Sms, address.to_owned()),
    }
}

/// `MediaUrl0`, `MediaUrl1` … for as long as there is one: `NumMedia` may say what it likes.
fn media(fields: &Fields) -> Vec<MediaLink> {
    let link = |number: usize| {
        let url = fields.filled(&format!("MediaUrl{number}"))?.into_owned();
        let content_type = fields.get(&format!("MediaContentType{number}")).unwrap_or_default().into_owned();
        Some(MediaLink { url, content_type })
    };
    (0..MEDIA_MOST).map_while(link).collect()
}

/// All that has no place of its own in the text. A name that was sent several times has a list.
fn parameters(fields: &Fields, media: usize) -> Map<String, Value> {
    let placed = |name: &str| {
        let number = |prefix| name.strip_prefix(prefix).and_then(|number: &str| number.parse::<usize>().ok());
        let file = number("MediaUrl").or_else(|| number("MediaContentType"));
        matches!(name, "MessageSid" | "From" | "To" | "Body") || file.is_some_and(|number| number < media)
    };
    let mut kept = Map::new();
    let mut bad = Vec::new();
    for Field { name, value } in fields.all() {
        if std::str::from_utf8(name).is_err() || std::str::from_utf8(value).is_err() {
            bad.push(Value::from(String::from_utf8_lossy(name)));
        }
        let name = String::from_utf8_lossy(name);
        if placed(&name) {
            continue;
        }
        let value = Value::from(String::from_utf8_lossy(value));
        match kept.get_mut(name.as_ref()) {
            None => {
                kept.insert(name.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    if !bad.is_empty() {
        kept.insert(NOT_UTF8.to_owned(), Value::Array(bad));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SID: &str = "MM0123456789abcdef0123456789abcdef";

    fn read(form: &str) -> Result<UpstreamText, Malformed> {
        text(&Fields::from_form(form.as_bytes()).unwrap())
    }

    fn told(form: &str) -> Result<Option<PostStatus>, Malformed> {
        status(&Fields::from_form(form.as_bytes()).unwrap())
    }

    #[test]
    fn a_text_with_pictures_is_read_and_the_rest_is_kept() {
        let form = format!(
            "ToCountry=US&SmsMessageSid={SID}&NumMedia=2&ToCity=&SmsSid={SID}&SmsStatus=received&\
             Body=Is+my+mower+ready%3F%0A%F0%9F%98%80&To=%2B12065550199&NumSegments=1&MessageSid={SID}&\
             AccountSid=AC1&From=%2B12065550142&MediaContentType0=image%2Fjpeg&MediaUrl0=https%3A%2F%2Fa%2F0&\
             MediaUrl1=https%3A%2F%2Fa%2F1&ApiVersion=2010-04-01&Brandnew=x&Brandnew=y"
        );
        let text = read(&form).unwrap();
        assert_eq!((text.sid.as_str(), text.channel), (SID, Channel::Sms));
        assert_eq!((text.from.as_str(), text.to.as_str()), ("+12065550142", "+12065550199"));
        assert_eq!(text.body, "Is my mower ready?\n😀");
        let links: Vec<_> = text.media.iter().map(|m| (m.url.as_str(), m.content_type.as_str())).collect();
        assert_eq!(links, [("https://a/0", "image/jpeg"), ("https://a/1", "")]);
        assert_eq!(text.parameters["Brandnew"], json!(["x", "y"]));
        assert_eq!(text.parameters["ToCity"], "");
        assert_eq!(text.parameters["AccountSid"], "AC1");
        for placed in ["From", "To", "Body", "MessageSid", "MediaUrl0", "MediaContentType0", NOT_UTF8] {
            assert_eq!(text.parameters.get(placed), None, "{placed}");
        }
    }

    #[test]
    fn whatsapp_is_a_channel_and_no_part_of_the_number() {
        let form =
            format!("MessageSid={SID}&From=whatsapp%3A%2B12065550142&To=whatsapp%3A%2B12065550199&WaId=1");
        let text = read(&form).unwrap();
        assert_eq!(
            (text.channel, text.from.as_str(), text.to.as_str()),
            (Channel::WhatsApp, "+12065550142", "+12065550199")
        );
        assert_eq!((text.body.as_str(), &text.parameters["WaId"]), ("", &json!("1")));
    }

    #[test]
    fn what_is_no_utf_8_is_read_lossily_and_noted() {
        let text = read(&format!("MessageSid={SID}&From=a&To=b&Body=caf%E9&Odd=%FF")).unwrap();
        assert_eq!(text.body, "caf\u{fffd}");
        assert_eq!(text.parameters[NOT_UTF8], json!(["Body", "Odd"]));
        assert_eq!(text.parameters["Odd"], "\u{fffd}");
    }

    #[test]
    fn an_older_name_of_the_id_is_taken_and_none_is_said() {
        assert_eq!(read("SmsSid=SM1&From=a&To=b").unwrap().sid, "SM1");
        assert_eq!(read("From=a&To=b"), Err(Malformed::Missing("MessageSid")));
        assert_eq!(read("MessageSid=&From=a&To=b"), Err(Malformed::Missing("MessageSid")));
        assert_eq!(read("MessageSid=SM1&To=b"), Err(Malformed::Missing("From")));
        assert_eq!(read("MessageSid=SM1&From=a"), Err(Malformed::Missing("To")));
        for bad in ["SM%00", "SM/../x", "SM%FF", &"S".repeat(65)] {
            assert_eq!(read(&format!("MessageSid={bad}&From=a&To=b")), Err(Malformed::NotASid), "{bad}");
        }
        assert_eq!(Malformed::Missing("MessageSid").to_string(), "MessageSid is missing");
    }

    #[test]
    fn a_number_of_files_that_is_not_true_changes_nothing() {
        let text = read("MessageSid=SM1&From=a&To=b&NumMedia=99&MediaUrl1=late").unwrap();
        assert_eq!((text.media.len(), &text.parameters["MediaUrl1"]), (0, &json!("late")));
        let many: String = (0..12).map(|n| format!("&MediaUrl{n}=u")).collect();
        let text = read(&format!("MessageSid=SM1&From=a&To=b{many}")).unwrap();
        assert_eq!((text.media.len(), text.parameters.len()), (10, 2));
    }

    #[test]
    fn a_status_is_read_with_its_error() {
        let told = |form: &str| told(form).map(|s| s.map(|s| (s.sid, s.status, s.error)));
        let sm1 = || "SM1".to_owned();
        assert_eq!(told("MessageSid=SM1&MessageStatus=sent"), Ok(Some((sm1(), Delivery::Sent, None))));
        let failed = "SmsSid=SM1&SmsStatus=undelivered&ErrorCode=30003";
        assert_eq!(told(failed), Ok(Some((sm1(), Delivery::Undelivered, Some(30003)))));
        let odd = "MessageSid=SM1&MessageStatus=failed&ErrorCode=none";
        assert_eq!(told(odd), Ok(Some((sm1(), Delivery::Failed, None))));
        assert_eq!(told("MessageSid=SM1&MessageStatus=pondering"), Ok(None));
        assert_eq!(told("MessageSid=SM1"), Err(Malformed::Missing("MessageStatus")));
        assert_eq!(told("MessageStatus=sent"), Err(Malformed::Missing("MessageSid")));
    }
}
