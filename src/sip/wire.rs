//! Bytes to messages: whole datagrams, and streams in any pieces (RFC 3261 §7.5, §18.3, RFC 5626 §3.5.1). Any
//! way of splitting a stream gives the same. Everything has a bound, and a stream that is not SIP is given up at its
//! first byte that shows it. Sockets are the edge's.

use super::message::{Fault, Message, RawHead, Refused, finish, read_head};

/// How large a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of start line and header fields.
    pub head: usize,
    /// Header fields.
    pub headers: usize,
    /// Bytes of the Request-URI.
    pub uri: usize,
    /// Bytes of the body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 32 * 1024, headers: 256, uri: 8 * 1024, body: 64 * 1024 }
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message that may be believed in form.
    Message(Box<Message>),
    /// A request to be answered with [`Refused::response`] and otherwise forgotten.
    Refused(Box<Refused>),
    /// To be counted and otherwise ignored.
    Dropped(Fault),
    /// Empty lines that keep a path open. Over a stream that the far side opened they ask for [`PONG`].
    Ping,
    /// The answer to [`PING`] on a stream that we opened.
    Pong,
}

/// Keeps a stream open (RFC 5626 §3.5.1).
pub const PING: &[u8] = b"\r\n\r\n";
/// Answers [`PING`].
pub const PONG: &[u8] = b"\r\n";

/// Reads one datagram. Bytes behind the body that Content-Length announces are ignored; without Content-Length the
/// body is the rest (§18.3).
#[must_use]
pub fn read_datagram(bytes: &[u8], limits: &Limits) -> Received {
    // Some phones keep their path open with zeros.
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
    let bytes = bytes.get(blank..).unwrap_or_default();
    if bytes.is_empty() {
        return Received::Ping;
    }
    let mut scan = HeadScan::default();
    let end = scan.find(bytes);
    let (head, rest, whole) = match end {
        Some(end) => (bytes.get(..end), bytes.get(end..), true),
        // A head whose last line has its end, but no empty line behind it, can have no body.
        None => (Some(bytes), None, bytes.ends_with(b"\n")),
    };
    let (head, rest) = (head.unwrap_or_default(), rest.unwrap_or_default());
    let mut raw = match read_head(bounded(head, limits), limits) {
        Ok(raw) => raw,
        Err(fault) => return Received::Dropped(fault),
    };
    if head.len() > limits.head || rest.len() > limits.body {
        raw.fault(Fault::TooLarge);
    }
    let length = raw.length.unwrap_or(rest.len());
    let body = rest.get(..length);
    if body.is_none() || !whole {
        raw.fault(Fault::BodyShort);
    }
    finish(raw, body.unwrap_or_default())
}

/// As much of a head as the limit lets in, whole lines only if it cuts.
fn bounded<'a>(head: &'a [u8], limits: &Limits) -> &'a [u8] {
    match head.get(..limits.head) {
        Some(front) if head.len() > limits.head => {
            let end = front.iter().rposition(|b| *b == b'\n').unwrap_or(front.len());
            front.get(..end).unwrap_or_default()
        }
        Some(_) | None => head,
    }
}

/// Looks for the empty line that ends a head, each byte once.
#[derive(Clone, Debug, Default)]
struct HeadScan {
    /// Where the line begins that is being looked at.
    line: usize,
    /// Up to where was looked.
    seen: usize,
}

impl HeadScan {
    /// The length of the head, its empty line included.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(at) = bytes.get(self.seen..)?.iter().position(|b| *b == b'\n') {
            let end = self.seen + at;
            let line = bytes.get(self.line..end)?;
            self.seen = end + 1;
            self.line = end + 1;
            if matches!(line, [] | [b'\r']) {
                return Some(end + 1);
            }
        }
        self.seen = bytes.len();
        None
    }
}

/// Which side opened a stream; keep-alives differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// We did: empty lines are pongs.
    Us,
    /// The far side did: two empty lines are a ping.
    Them,
}

/// One direction of a TCP or TLS connection.
#[derive(Debug)]
pub struct StreamReader {
    opener: Opener,
    limits: Limits,
    buffer: Vec<u8>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Between,
    Head(HeadScan),
    Body { raw: Box<RawHead>, head: usize, length: usize },
    Closed,
}

/// What a step over the buffer came to.
enum Step {
    /// Something was taken; go on.
    On(Option<Received>),
    /// More bytes are needed.
    Wait,
}

impl StreamReader {
    /// A stream that was just opened.
    #[must_use]
    pub fn new(opener: Opener, limits: Limits) -> Self {
        Self { opener, limits, buffer: Vec::new(), place: Place::Between }
    }

    /// Takes the next bytes, in any pieces.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut received = Vec::new();
        if !self.is_closed() {
            self.buffer.extend_from_slice(bytes);
        }
        while let Step::On(item) = self.step() {
            received.extend(item);
        }
        received
    }

    /// Whether the stream can no longer be told apart into messages and must be closed, after what was received so
    /// far is answered.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.place, Place::Closed)
    }

    fn step(&mut self) -> Step {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Between => self.between(),
            Place::Head(scan) => self.head(scan),
            Place::Body { raw, head, length } => self.body(raw, head, length),
            Place::Closed => {
                self.place = Place::Closed;
                Step::Wait
            }
        }
    }

    fn between(&mut self) -> Step {
        let (taken, item) = match (self.opener, self.buffer.as_slice()) {
            (_, []) | (_, [b'\r']) => return Step::Wait,
            (Opener::Them, [b'\r', b'\n', b'\r', b'\n', ..]) => (4, Some(Received::Ping)),
            (Opener::Them, [b'\r', b'\n'] | [b'\r', b'\n', b'\r']) => return Step::Wait,
            (Opener::Us, [b'\r', b'\n', ..]) => (2, Some(Received::Pong)),
            (Opener::Them, [b'\r', b'\n', ..]) => (2, None),
            (_, [b'\n', ..]) => (1, None),
            (_, [first, ..]) if super::lex::is_token(*first) => {
                self.place = Place::Head(HeadScan::default());
                (0, None)
            }
            _ => return self.close(Received::Dropped(Fault::StartLine)),
        };
        self.buffer.drain(..taken);
        Step::On(item)
    }

    fn head(&mut self, mut scan: HeadScan) -> Step {
        let end = scan.find(&self.buffer);
        if end.map_or(self.buffer.len(), |end| end) > self.limits.head {
            let front = self.buffer.get(..=self.limits.head).unwrap_or_default();
            let item = match read_head(bounded(front, &self.limits), &self.limits) {
                Ok(mut raw) => {
                    raw.fault(Fault::TooLarge);
                    finish(raw, &[])
                }
                Err(fault) => Received::Dropped(fault),
            };
            return self.close(item);
        }
        let Some(end) = end else {
            self.place = Place::Head(scan);
            return Step::Wait;
        };
        let mut raw = match read_head(self.buffer.get(..end).unwrap_or_default(), &self.limits) {
            Ok(raw) => Box::new(raw),
            Err(fault) => return self.close(Received::Dropped(fault)),
        };
        // A stream's message without Content-Length has no body (§18.3 demands one; silence is read as 0).
        let length = raw.length.unwrap_or(0);
        if length > self.limits.body {
            raw.fault(Fault::TooLarge);
        }
        if length > self.limits.body || !raw.framed {
            let item = finish(*raw, &[]);
            return self.close(item);
        }
        self.place = Place::Body { raw, head: end, length };
        Step::On(None)
    }

    fn body(&mut self, raw: Box<RawHead>, head: usize, length: usize) -> Step {
        let Some(body) = self.buffer.get(head..head + length) else {
            self.place = Place::Body { raw, head, length };
            return Step::Wait;
        };
        let item = finish(*raw, body);
        self.buffer.drain(..head + length);
        Step::On(Some(item))
    }

    fn close(&mut self, last: Received) -> Step {
        self.place = Place::Closed;
        self.buffer = Vec::new();
        Step::On(Some(last))
    }
}
