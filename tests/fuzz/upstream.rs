//! What an upstream's webhook is made of: parameters and signatures from anybody.

use backroom::twilio::fields::{Field, Fields};
use backroom::twilio::signature::{Payload, is_genuine};
use backroom::twilio::webhook::{self, NOT_UTF8};

use crate::engine::{Target, consider, hash_of};

pub(crate) const TARGETS: [Target; 2] = [
    Target { name: "webhook-form", seeds: forms, words: WORDS, run: form },
    Target { name: "webhook-signature", seeds: signed, words: WORDS, run: signature },
];

const WORDS: &[&str] = &[
    "MessageSid=",
    "SmsSid=",
    "SM0123456789abcdef0123456789abcdef",
    "From=",
    "To=",
    "whatsapp%3A",
    "Body=",
    "NumMedia=",
    "MediaUrl0=",
    "MediaUrl10=",
    "MediaContentType0=",
    "MessageStatus=",
    "undelivered",
    "ErrorCode=",
    "&",
    "=",
    "%",
    "%E9",
    "%00",
    "+",
    "bodySHA256=",
    "://",
    "[::1]:80",
    "@",
    "?",
    "{\"MessageSid\":\"SM1\"}",
];

fn forms() -> Vec<Vec<u8>> {
    [
        "MessageSid=SM0123456789abcdef0123456789abcdef&From=%2B12065550142&To=%2B12065550199&Body=Hi+%26+%C3%A9\
         &NumMedia=1&MediaUrl0=https%3A%2F%2Fa%2F0&MediaContentType0=image%2Fjpeg&ToCity=&X=1&X=2",
        "MessageSid=SM0123456789abcdef0123456789abcdef&MessageStatus=undelivered&ErrorCode=30003",
        "SmsSid=SM1&From=whatsapp%3A%2B1206&To=b&Body=caf%E9",
        "{\"MessageSid\":\"SM1\",\"From\":\"a\",\"To\":\"b\",\"NumMedia\":0}",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Parameters that were read are what is written of them, and each is in the text or kept beside it.
fn form(bytes: &[u8]) -> u64 {
    let json = Fields::from_json(bytes);
    if let Ok(fields) = &json {
        assert!(fields.mended().is_none(), "JSON is UTF-8");
        consider(webhook::text(fields));
    }
    let Ok(fields) = Fields::from_form(bytes) else { return 0 };
    assert_eq!(Fields::from_form(&written(fields.all())).as_ref(), Ok(&fields), "what is written reads back");
    let text = webhook::text(&fields);
    if let Ok(text) = &text {
        assert!(!text.sid.is_empty() && text.sid.len() <= 64);
        assert!(text.media.len() <= 10);
        let is_noted = text.parameters.contains_key(NOT_UTF8);
        assert!(is_noted || fields.mended().is_none(), "what is no UTF-8 is noted");
        for Field { name, .. } in fields.all() {
            let name = String::from_utf8_lossy(name);
            let placed = matches!(&*name, "MessageSid" | "From" | "To" | "Body") || name.starts_with("Media");
            assert!(placed || text.parameters.contains_key(&*name), "{name} is lost");
        }
    }
    let status = webhook::status(&fields);
    let shape = text.as_ref().map(|t| (t.channel, t.media.len(), t.parameters.len().min(6))).map_err(|e| *e);
    let status = status.as_ref().map(|s| s.as_ref().map(|s| (s.status, s.error.is_some()))).map_err(|e| *e);
    hash_of(&format!("{shape:?} {status:?} {}", json.is_ok()))
}

fn written(fields: &[Field]) -> Vec<u8> {
    let encode = |octets: &[u8]| octets.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs: Vec<String> =
        fields.iter().map(|field| format!("{}={}", encode(&field.name), encode(&field.value))).collect();
    pairs.join("&").into_bytes()
}

/// A URL, a form or body, and a signature, on three lines.
fn signed() -> Vec<Vec<u8>> {
    [
        "https://mycompany.com/myapp.php?foo=1&bar=2\nCallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234\
         &From=%2B14158675309&To=%2B18005551212\nRSOYDt4T1cUTdK1PDd93/VVr8B8=",
        "http://[::1]:8080/m?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n{}\n=",
        "https://user:word@box.example:8443\nBody=caf%E9\nAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A signature is genuine for the one who signs, whatever was sent, and for no other token.
fn signature(bytes: &[u8]) -> u64 {
    const TOKEN: &str = "12345";
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let url = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let body = lines.next().unwrap_or_default();
    let told = lines.next().unwrap_or_default();
    let Ok(fields) = Fields::from_form(body) else { return 0 };
    let verdicts = [Payload::None, Payload::Form(&fields), Payload::Body(body)]
        .map(|payload| (is_genuine(TOKEN, &url, payload, told), is_genuine("other", &url, payload, told)));
    assert!(verdicts.iter().all(|(_, other)| !other), "another token signed this");
    let mended = fields.mended();
    let pairs = mended.as_ref().unwrap_or(&fields).all().iter();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let pairs: Vec<_> = pairs.map(|field| (text(&field.name), text(&field.value))).collect();
    let right = hil::twilio::signature(TOKEN, &url, &pairs);
    assert!(is_genuine(TOKEN, &url, Payload::Form(&fields), right.as_bytes()), "{right} is right");
    hash_of(&(verdicts.map(|(ours, _)| ours), mended.is_some(), pairs.len().min(8), url.len().min(40)))
}
