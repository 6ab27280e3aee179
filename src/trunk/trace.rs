//! Messages as the wire has them, for a technician who asks with `RUST_LOG=backroom::trunk::wire=trace` and for
//! nobody else. Credentials, media keys and what texts say are left out even then.

use core::net::SocketAddr;

use crate::sip::message::Message;
use crate::sip::transaction::{Hop, Transport};

/// Where it can be switched on.
const TARGET: &str = "backroom::trunk::wire";

/// Writes a message down if somebody asked.
pub(super) fn wire(direction: &str, far: SocketAddr, over: Transport, bytes: &[u8]) {
    if tracing::enabled!(target: "backroom::trunk::wire", tracing::Level::TRACE) {
        let text = redacted(bytes);
        tracing::trace!(target: TARGET, "{direction} {} {far}\n{text}", over.as_str());
    }
}

/// The same for a message of a stream, which is read in pieces.
pub(super) fn message(direction: &str, far: Hop, message: &Message) {
    if tracing::enabled!(target: "backroom::trunk::wire", tracing::Level::TRACE) {
        let bytes = match message {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        };
        wire(direction, far.addr, far.transport, &bytes);
    }
}

/// The text without what is secret.
fn redacted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut hiding = false;
    let written = text.starts_with("MESSAGE ");
    for line in text.split_inclusive('\n') {
        if written && line.trim_end().is_empty() {
            shown.push_str("\r\n[redacted]");
            break;
        }
        let folded = line.starts_with([' ', '\t']);
        if hiding && folded {
            continue;
        }
        hiding = is_secret(line) || (written && is_subject(line));
        if hiding {
            let name = line.split(':').next().unwrap_or_default();
            shown.push_str(name);
            shown.push_str(": [redacted]\r\n");
        } else {
            shown.push_str(line);
        }
    }
    shown
}

fn is_secret(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    ["Authorization", "Proxy-Authorization", "a=crypto", "a=key-mgmt"]
        .iter()
        .any(|s| name.eq_ignore_ascii_case(s))
        || line.get(..2).is_some_and(|k| k.eq_ignore_ascii_case("k="))
}

fn is_subject(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    ["Subject", "s"].iter().any(|s| name.eq_ignore_ascii_case(s))
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn credentials_and_keys_are_not_shown_however_they_are_written() {
        let message = "REGISTER sip:a SIP/2.0\r\nauthorization : Digest username=\"u\",\r\n response=\"secret1\"\r\n\
                       Proxy-Authorization: Digest secret2\r\nTo: <sip:a>\r\n\r\nv=0\r\n\
                       a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret3\r\nk=clear:secret4\r\nm=audio";
        let shown = redacted(message.as_bytes());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("To: <sip:a>") && shown.contains("m=audio"), "{shown}");
    }

    #[test]
    fn what_a_text_says_is_not_shown() {
        let shown =
            redacted(b"MESSAGE sip:a SIP/2.0\r\nSubject: secret1\r\n secret2\r\nTo: <sip:a>\r\n\r\nsecret3\r\n\r\nsecret4");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("To: <sip:a>"), "{shown}");
    }
}
