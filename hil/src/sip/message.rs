//! Messages: read from a datagram or out of a stream, written with the Content-Length that is true
//! (RFC 3261 §7, §18.3). Tolerant: folded lines, compact names and odd methods are read, and what is in a header
//! nobody judges here.

use super::uri::{NameAddr, Params, param, read_params, split_outside};
use std::fmt;

/// Longest message that is taken from a stream, in bytes.
const LONGEST: usize = 256 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Request { method: String, uri: String },
    Response { status: u16, reason: String },
}

/// A request or a response. Header names are the long ones, values are as written.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub start: Start,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Malformed {
    #[error("the headers do not end")]
    Unfinished,
    #[error("no start line: {0:?}")]
    StartLine(String),
    #[error("no header: {0:?}")]
    Header(String),
    #[error("the body is shorter than its Content-Length")]
    Short,
    #[error("more than {LONGEST} bytes")]
    Long,
}

impl Message {
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Message {
        let start = Start::Request { method: method.into(), uri: uri.into() };
        Message { start, headers: Vec::new(), body: Vec::new() }
    }

    /// The response to `request` with what it must repeat of it (RFC 3261 §8.2.6.2), To without a new tag.
    #[must_use]
    pub fn response_to(request: &Message, status: u16) -> Message {
        let start = Start::Response { status, reason: super::reason(status).into() };
        let repeated = ["Via", "From", "To", "Call-ID", "CSeq", "Record-Route"];
        let keep = |name: &String| repeated.contains(&name.as_str());
        let headers = request.headers.iter().filter(|(name, _)| keep(name)).cloned().collect();
        Message { start, headers, body: Vec::new() }
    }

    /// One message from a datagram; what stands behind its Content-Length is left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Message, Malformed> {
        let (mut message, head) = read_head(bytes)?;
        let rest = bytes.get(head..).unwrap_or_default();
        let length = match message.header("Content-Length") {
            Some(text) => text.trim().parse().map_err(|_| Malformed::Header(text.to_owned()))?,
            None => rest.len(),
        };
        message.body = rest.get(..length).ok_or(Malformed::Short)?.to_vec();
        Ok(message)
    }

    /// The next message of a stream with the bytes it took, or `None` when more must come.
    ///
    /// # Errors
    /// What is wrong with it; the stream cannot be read on.
    pub fn read_stream(bytes: &[u8]) -> Result<Option<(Message, usize)>, Malformed> {
        let skipped = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let text = bytes.get(skipped..).unwrap_or_default();
        match read_head(text) {
            Err(Malformed::Unfinished) if text.len() < LONGEST => Ok(None),
            Err(Malformed::Unfinished) => Err(Malformed::Long),
            Err(why) => Err(why),
            Ok((mut message, head)) => {
                let length = message.header("Content-Length").unwrap_or("0").trim().to_owned();
                let length: usize = length.parse().map_err(|_| Malformed::Header(length))?;
                if length > LONGEST {
                    return Err(Malformed::Long);
                }
                let Some(body) = text.get(head..head + length) else { return Ok(None) };
                message.body = body.to_vec();
                Ok(Some((message, skipped + head + length)))
            }
        }
    }

    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { status, reason } => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "Content-Length") {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The first value of a header by its long name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of a header whose values may share a line.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines
            .flat_map(|(_, value)| split_outside(value, ','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
            .collect()
    }

    /// Whether an option tag or method stands in such a header.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).iter().any(|value| value.eq_ignore_ascii_case(token))
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Message {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// The same with a body of a type.
    #[must_use]
    pub fn with_body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Message {
        self.set("Content-Type", kind);
        self.body = body.into();
        self
    }

    /// Replaces all values of a header.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.to_string()));
    }

    /// Puts a header before all others.
    pub fn put_first(&mut self, name: &str, value: impl fmt::Display) {
        self.headers.insert(0, (name.into(), value.to_string()));
    }

    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        match &self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(*status),
        }
    }

    /// The phrase of a response.
    #[must_use]
    pub fn phrase(&self) -> &str {
        match &self.start {
            Start::Request { .. } => "",
            Start::Response { reason, .. } => reason,
        }
    }

    /// Number and method of the CSeq.
    #[must_use]
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.trim().split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, method.trim()))
    }

    #[must_use]
    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default().trim()
    }

    #[must_use]
    pub fn from_tag(&self) -> Option<String> {
        NameAddr::read(self.header("From")?)?.tag().map(str::to_owned)
    }

    #[must_use]
    pub fn to_tag(&self) -> Option<String> {
        NameAddr::read(self.header("To")?)?.tag().map(str::to_owned)
    }

    /// `host:port` and parameters of the topmost Via.
    #[must_use]
    pub fn via(&self) -> Option<(String, Params)> {
        let via = self.list("Via").into_iter().next()?;
        let (place, params) = via.split_once(';').unwrap_or((via, ""));
        let (_, sent_by) = place.trim().rsplit_once(char::is_whitespace)?;
        Some((sent_by.to_owned(), read_params(params)))
    }

    #[must_use]
    pub fn branch(&self) -> Option<String> {
        param(&self.via()?.1, "branch").map(str::to_owned)
    }

    #[must_use]
    pub fn contact(&self) -> Option<NameAddr> {
        NameAddr::read(self.list("Contact").first()?)
    }

    /// The body, if its type is `application/sdp`.
    #[must_use]
    pub fn sdp(&self) -> Option<&[u8]> {
        let kind = self.header("Content-Type")?.split(';').next()?.trim();
        (kind.eq_ignore_ascii_case("application/sdp") && !self.body.is_empty()).then_some(&self.body)
    }
}

/// Without values of Authorization headers: what is printed may be kept.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |name: &str| name.ends_with("Authorization");
        write!(f, "{:?}", self.start)?;
        for (name, value) in &self.headers {
            write!(f, "\n  {name}: {}", if secret(name) { "(hidden)" } else { value })?;
        }
        write!(f, "\n  ({} bytes)", self.body.len())
    }
}

/// Start line and headers, and where the body begins.
fn read_head(bytes: &[u8]) -> Result<(Message, usize), Malformed> {
    let mut at = 0;
    let mut lines: Vec<String> = Vec::new();
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = rest.iter().position(|b| *b == b'\n').ok_or(Malformed::Unfinished)?;
        let line = rest.get(..end).unwrap_or_default();
        at += end + 1;
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        if line.is_empty() {
            if lines.is_empty() {
                continue;
            }
            break;
        }
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let start = read_start(&first).ok_or(Malformed::StartLine(first))?;
    let headers = lines.map(|line| read_header(&line).ok_or(Malformed::Header(line)));
    Ok((Message { start, headers: headers.collect::<Result<_, _>>()?, body: Vec::new() }, at))
}

fn read_start(line: &str) -> Option<Start> {
    let mut words = line.splitn(3, ' ');
    let (first, second, third) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    if first.eq_ignore_ascii_case("SIP/2.0") {
        let status: u16 = second.parse().ok().filter(|status| (100..700).contains(status))?;
        return Some(Start::Response { status, reason: third.to_owned() });
    }
    let version = third.trim().eq_ignore_ascii_case("SIP/2.0");
    (version && !first.is_empty()).then(|| Start::Request { method: first.into(), uri: second.into() })
}

fn read_header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (long(name), value.trim().to_owned()))
}

/// The name that this program uses for a header: compact forms are of RFC 3261 §7.3.3 and its extensions.
fn long(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let long = match lower.as_str() {
        "i" | "call-id" => "Call-ID",
        "m" | "contact" => "Contact",
        "e" | "content-encoding" => "Content-Encoding",
        "l" | "content-length" => "Content-Length",
        "c" | "content-type" => "Content-Type",
        "f" | "from" => "From",
        "s" | "subject" => "Subject",
        "k" | "supported" => "Supported",
        "t" | "to" => "To",
        "v" | "via" => "Via",
        "r" | "refer-to" => "Refer-To",
        "b" | "referred-by" => "Referred-By",
        "o" | "event" => "Event",
        "u" | "allow-events" => "Allow-Events",
        "x" | "session-expires" => "Session-Expires",
        "cseq" => "CSeq",
        "record-route" => "Record-Route",
        _ => name,
    };
    long.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP 1.2.3.4:5;branch=z9hG4bK1;rport,\r\n SIP/2.0/UDP x\r\nf: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\ni: 7\r\nCSeq:  9   INVITE\r\nl: 2\r\n\r\nab";

    #[test]
    fn compact_and_folded_headers_are_read() {
        let message = Message::read(INVITE).unwrap();
        assert_eq!(message.list("Via").len(), 2);
        assert_eq!(message.branch().as_deref(), Some("z9hG4bK1"));
        assert_eq!(message.cseq(), Some((9, "INVITE")));
        assert_eq!((message.call_id(), message.body.as_slice()), ("7", &b"ab"[..]));
        assert_eq!(Message::read(&message.write()).unwrap().headers.len(), message.headers.len());
    }

    #[test]
    fn a_stream_gives_the_same_messages_wherever_it_is_cut() {
        let stream = [b"\r\n\r\n", INVITE, INVITE].concat();
        for cut in 0..stream.len() {
            let (mut buffer, mut seen) = (Vec::new(), 0);
            for piece in [&stream[..cut], &stream[cut..]] {
                buffer.extend_from_slice(piece);
                while let Some((message, taken)) = Message::read_stream(&buffer).unwrap() {
                    assert_eq!(message, Message::read(INVITE).unwrap());
                    buffer.drain(..taken);
                    seen += 1;
                }
            }
            assert_eq!(seen, 2, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_message_is_named() {
        assert_eq!(Message::read(b"\r\n\r\n"), Err(Malformed::Unfinished));
        assert!(matches!(Message::read(b"hello\r\n\r\n"), Err(Malformed::StartLine(_))));
        assert_eq!(Message::read(b"A b SIP/2.0\r\nl: 9\r\n\r\nab"), Err(Malformed::Short));
        assert!(matches!(Message::read(b"A b SIP/2.0\r\nno colon\r\n\r\n"), Err(Malformed::Header(_))));
    }

    #[test]
    fn what_is_printed_holds_no_credentials() {
        let message = Message::request("REGISTER", "sip:x").with("Authorization", "Digest response=abc");
        assert!(!format!("{message:?}").contains("abc"));
    }
}
