//! As much SIP and SDP as the generator needs to read what a correct peer sends it. No codec for hostile input.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// A message, borrowed from its datagram.
#[derive(Debug)]
pub(super) struct Message<'a> {
    start: &'a str,
    head: &'a str,
    /// After the empty line.
    pub(super) body: &'a str,
}

/// Short names of the headers that are looked for (RFC 3261 §7.3.3).
const SHORT: [(&str, &str); 5] =
    [("via", "v"), ("from", "f"), ("to", "t"), ("call-id", "i"), ("contact", "m")];

impl<'a> Message<'a> {
    pub(super) fn read(datagram: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(datagram).ok()?;
        let (top, body) = text.split_once("\r\n\r\n")?;
        let (start, head) = top.split_once("\r\n")?;
        Some(Self { start, head, body })
    }

    /// The status of a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method, of a request and of what a response answers.
    pub(super) fn method(&self) -> &'a str {
        let cseq = self.header("cseq").unwrap_or_default();
        cseq.split_ascii_whitespace().nth(1).unwrap_or_default()
    }

    /// Name and value of every header line.
    fn lines(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.head.split("\r\n").filter_map(|line| line.split_once(':').map(|(n, v)| (n.trim(), v.trim())))
    }

    /// The first header of this name, given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let short = SHORT.iter().find(|(long, _)| *long == name).map_or(name, |(_, short)| *short).to_owned();
        let name = name.to_owned();
        self.lines()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(&name) || n.eq_ignore_ascii_case(&short))
            .map(|(_, value)| value)
    }

    /// The address between the angle brackets of Contact.
    pub(super) fn contact(&self) -> Option<&'a str> {
        let value = self.header("contact")?;
        let inside = value.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        Some(inside.map_or(value, |(uri, _)| uri))
    }

    /// The way that requests of this dialog take, for who got this response (RFC 3261 §12.1.2): last one first.
    pub(super) fn routes(&self) -> String {
        let mut values: Vec<&str> = self.all("record-route").flat_map(|v| v.split(',')).collect();
        values.reverse();
        values.iter().map(|value| format!("Route: {}\r\n", value.trim())).collect()
    }

    /// A response to this request: Via, Record-Route, From, To (with our tag), Call-ID, CSeq, then `more` lines and
    /// the body.
    pub(super) fn answer(&self, status: &str, tag: &str, more: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["via", "record-route", "from", "to", "call-id", "cseq"] {
            for value in self.all(name) {
                let tagged = name == "to" && !value.contains(";tag=");
                let tag = if tagged { format!(";tag={tag}") } else { String::new() };
                write!(text, "{name}: {value}{tag}\r\n").ok();
            }
        }
        text + &format!("{more}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// Where the description in the body wants audio.
    pub(super) fn audio(&self) -> Option<SocketAddr> {
        let value = |prefix: &str| self.body.lines().rev().find_map(|line| line.strip_prefix(prefix));
        let host: IpAddr = value("c=IN IP4 ")?.trim().parse().ok()?;
        let port = value("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some(SocketAddr::new(host, port))
    }
}

/// PCMU at this address; with `events`, keys do not come as tones in the audio.
pub(super) fn description(at: SocketAddr, events: bool) -> String {
    let (host, port) = (at.ip(), at.port());
    let (format, lines) =
        if events { (" 101", "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n") } else { ("", "") };
    format!(
        "v=0\r\no=- {port} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0{format}\r\na=rtpmap:0 PCMU/8000\r\n{lines}a=ptime:20\r\na=sendrecv\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:101@127.0.0.3 SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1\r\nVia: SIP/2.0/UDP b\r\n\
        f: <sip:x@y>;tag=1\r\nTo: <sip:101@z>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nm: \"A\" <sip:x@127.0.0.1:5060>;p\r\n\
        Content-Length: 0\r\n\r\nv=0\r\nc=IN IP4 127.0.0.9\r\nm=audio 4000 RTP/AVP 0\r\n";

    #[test]
    fn an_invite_is_read_and_answered_with_its_own_headers() {
        let invite = Message::read(INVITE.as_bytes()).unwrap();
        assert_eq!((invite.status(), invite.method()), (None, "INVITE"));
        assert_eq!(invite.contact(), Some("sip:x@127.0.0.1:5060"));
        assert_eq!(invite.audio(), Some(SocketAddr::from(([127, 0, 0, 9], 4000))));
        let answer = invite.answer("200 OK", "mine", "Contact: <sip:me>\r\n", "v=0\r\n");
        let read = Message::read(answer.as_bytes()).unwrap();
        assert_eq!((read.status(), read.method()), (Some(200), "INVITE"));
        assert_eq!(read.all("via").count(), 2);
        assert_eq!(read.header("to"), Some("<sip:101@z>;tag=mine"));
        assert_eq!(read.body, "v=0\r\n");
    }
}
