//! From the bytes of a head to a message, or to what is wrong with it. Lines may end in CRLF or LF and may be
//! folded; the checks are those that RFC 4475 asks of whoever serves a request. What needs knowledge of this box
//! (extensions, methods, media types, who may) is left to the layers above.

use super::super::uri::Uri;
use super::super::wire::{Limits, Received};
use super::{CSeq, Fault, Head, Header, Headers, Method, Name, NameAddr, Refused, Request, Response};
use super::{Status, Via, values};

/// The first line.
#[derive(Clone, Debug)]
pub(in crate::sip) enum Start {
    Request { method: Method, uri: Result<Uri, Fault> },
    Response { status: Status, reason: String },
}

/// A head whose fields are told apart but not yet read.
#[derive(Clone, Debug)]
pub(in crate::sip) struct RawHead {
    start: Start,
    /// Via, From, To, Call-ID, CSeq, in order.
    mandatory: Vec<Header>,
    headers: Headers,
    /// What Content-Length says.
    pub(in crate::sip) length: Option<usize>,
    fault: Option<Fault>,
    /// Whether the end of the body is known.
    pub(in crate::sip) framed: bool,
}

impl RawHead {
    /// Notes a fault; the first one counts.
    pub(in crate::sip) fn fault(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn values<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a str> {
        self.mandatory.iter().filter(move |h| h.name == *name).map(Header::value)
    }

    fn one(&self, name: Name) -> Result<&str, Fault> {
        let mut values = self.mandatory.iter().filter(|h| h.name == name).map(Header::value);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (Some(_), Some(_)) => Err(Fault::Repeated(name)),
            (None, _) => Err(Fault::Missing(name)),
        }
    }
}

/// Reads everything up to and without the empty line. Leading empty lines are gone already.
///
/// # Errors
/// The first line is not SIP's.
pub(in crate::sip) fn read_head(bytes: &[u8], limits: &Limits) -> Result<RawHead, Fault> {
    let mut lines = bytes.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let (start, fault) = read_start(lines.next().unwrap_or_default(), limits)?;
    let mut head = RawHead {
        start,
        mandatory: Vec::new(),
        headers: Headers::default(),
        length: None,
        fault,
        framed: true,
    };
    let mut count = 0;
    let mut line: Option<Vec<u8>> = None;
    for next in lines {
        if next.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            match &mut line {
                Some(line) => {
                    trim_end(line);
                    line.push(b' ');
                    line.extend(next.trim_ascii_start());
                }
                None => head.fault(Fault::HeaderLine),
            }
            continue;
        }
        if let Some(whole) = line.take() {
            head.take_line(&whole);
        }
        if next.is_empty() {
            continue;
        }
        count += 1;
        if count > limits.headers {
            head.framed = false;
            head.fault(Fault::TooLarge);
            return Ok(head);
        }
        line = Some(next.to_vec());
    }
    if let Some(whole) = line {
        head.take_line(&whole);
    }
    Ok(head)
}

fn trim_end(line: &mut Vec<u8>) {
    let kept = line.trim_ascii_end().len();
    line.truncate(kept);
}

impl RawHead {
    fn take_line(&mut self, line: &[u8]) {
        let header = line.iter().position(|b| *b == b':').and_then(|colon| {
            let name = std::str::from_utf8(line.get(..colon)?).ok()?.trim_end_matches([' ', '\t']);
            let value = line.get(colon + 1..)?.trim_ascii();
            super::super::lex::is_token_text(name).then(|| Header::read(name, &without_cr(value)))
        });
        let Some(header) = header else {
            self.fault(Fault::HeaderLine);
            return;
        };
        match header.name {
            Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq => self.mandatory.push(header),
            Name::ContentLength => self.content_length(header.value()),
            _ => self.headers.push_header(header),
        }
    }

    /// RFC 4475 §3.3.10: several that differ make the end of the body unknown.
    fn content_length(&mut self, text: &str) {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let fault = match text.parse::<usize>() {
            Ok(length) if digits && self.length.is_none_or(|l| l == length) => {
                self.length = Some(length);
                return;
            }
            Ok(_) if digits => Fault::Repeated(Name::ContentLength),
            Ok(_) | Err(_) => Fault::Header(Name::ContentLength),
        };
        self.framed = false;
        self.fault(fault);
    }
}

/// A CR inside a line ends no line, and must not go out as one.
fn without_cr(value: &[u8]) -> Vec<u8> {
    value.iter().map(|b| if *b == b'\r' { b' ' } else { *b }).collect()
}

fn read_start(line: &[u8], limits: &Limits) -> Result<(Start, Option<Fault>), Fault> {
    let text = String::from_utf8_lossy(line);
    if is_version(text.split(' ').next().unwrap_or_default()) {
        return read_status(&text).map(|start| (start, None));
    }
    let (method, rest) = text.split_once(' ').ok_or(Fault::StartLine)?;
    let method = Method::parse(method).ok_or(Fault::StartLine)?;
    let (uri, version) = rest.trim_end().rsplit_once(' ').ok_or(Fault::StartLine)?;
    if !is_version(version) {
        return Err(Fault::StartLine);
    }
    let fault = if !is_2_0(version) {
        Some(Fault::Version)
    } else if rest.ends_with(char::is_whitespace) || uri.trim() != uri {
        Some(Fault::RequestLine)
    } else {
        None
    };
    let uri = if uri.len() > limits.uri { Err(Fault::UriTooLong) } else { read_uri(uri) };
    Ok((Start::Request { method, uri }, fault))
}

fn read_uri(text: &str) -> Result<Uri, Fault> {
    let uri: Uri = text.parse().map_err(Fault::RequestUri)?;
    match &uri {
        Uri::Sip(sip) if !sip.headers.is_empty() => Err(Fault::RequestUriHeaders),
        Uri::Sip(_) | Uri::Tel(_) => Ok(uri),
        // RFC 5031: emergency services.
        Uri::Other(other) if other.scheme.eq_ignore_ascii_case("urn") => Ok(uri),
        Uri::Other(_) => Err(Fault::Scheme),
    }
}

fn read_status(line: &str) -> Result<Start, Fault> {
    let (version, rest) = line.split_once(' ').ok_or(Fault::StartLine)?;
    if !is_2_0(version) {
        return Err(Fault::Version);
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = code.parse().ok().filter(|_| code.len() == 3).and_then(Status::new);
    let status = status.ok_or(Fault::StartLine)?;
    Ok(Start::Response { status, reason: reason.replace('\r', " ") })
}

/// `SIP/` with two numbers, whichever.
fn is_version(text: &str) -> bool {
    let number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let sip = text.get(..4).is_some_and(|t| t.eq_ignore_ascii_case("SIP/"));
    sip && text.get(4..).and_then(|t| t.split_once('.')).is_some_and(|(a, b)| number(a) && number(b))
}

fn is_2_0(version: &str) -> bool {
    version.eq_ignore_ascii_case("SIP/2.0")
}

/// What becomes of a head and its body.
pub(in crate::sip) fn finish(mut raw: RawHead, body: &[u8]) -> Received {
    let found = raw.fault.take().map_or_else(|| read_mandatory(&raw), Err);
    let start = raw.start.clone();
    match start {
        Start::Response { status, reason } => match found {
            Ok(head) => {
                let response = Response { status, reason, head, headers: raw.headers, body: body.to_vec() };
                Received::Message(Box::new(response.into()))
            }
            Err(fault) => Received::Dropped(fault),
        },
        Start::Request { method, uri } => {
            let checked = match (found, uri) {
                // A version or a request line that is wrong says more than what is behind it.
                (Err(fault @ (Fault::Version | Fault::RequestLine)), _) => Err(fault),
                (_, Err(fault)) | (Err(fault), Ok(_)) => Err(fault),
                (Ok(head), Ok(uri)) => check(&method, &head, &raw.headers).map(|()| (head, uri)),
            };
            match checked {
                Ok((head, uri)) => {
                    let request = Request { method, uri, head, headers: raw.headers, body: body.to_vec() };
                    Received::Message(Box::new(request.into()))
                }
                Err(fault) => refuse(fault, method, &raw),
            }
        }
    }
}

fn read_mandatory(raw: &RawHead) -> Result<Head, Fault> {
    let mut vias = Vec::new();
    for line in raw.values(&Name::Via) {
        vias.extend(Via::read_list(line).ok_or(Fault::Header(Name::Via))?);
    }
    let mut vias = vias.into_iter();
    let via = vias.next().ok_or(Fault::Missing(Name::Via))?;
    let address = |name: Name| -> Result<NameAddr, Fault> {
        raw.one(name.clone())?.parse().map_err(|_| Fault::Header(name))
    };
    let call_id = raw.one(Name::CallId)?;
    if call_id.is_empty() || call_id.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
        return Err(Fault::Header(Name::CallId));
    }
    let cseq: CSeq = raw.one(Name::CSeq)?.parse().map_err(|_| Fault::Header(Name::CSeq))?;
    Ok(Head {
        via,
        via_below: vias.collect(),
        from: address(Name::From)?,
        to: address(Name::To)?,
        call_id: call_id.to_owned(),
        cseq,
    })
}

/// What a request's other fields must be for us to go by them.
fn check(method: &Method, head: &Head, headers: &Headers) -> Result<(), Fault> {
    if head.cseq.method != *method {
        return Err(Fault::CSeqMethod);
    }
    if headers.all(&Name::MaxForwards).count() > 1 {
        return Err(Fault::Repeated(Name::MaxForwards));
    }
    headers.max_forwards()?;
    headers.contacts()?;
    headers.routes(&Name::Route)?;
    headers.routes(&Name::RecordRoute)?;
    match headers.get(&Name::Date) {
        Some(date) if values::read_date(date).is_none() => Err(Fault::Header(Name::Date)),
        Some(_) | None => Ok(()),
    }
}

fn refuse(fault: Fault, method: Method, raw: &RawHead) -> Received {
    let via = raw.values(&Name::Via).next().and_then(Via::salvage);
    let (Some(via), false) = (via, method == Method::Ack) else {
        return Received::Dropped(fault);
    };
    let mut repeated = Vec::new();
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
        let many = name == Name::Via;
        let values = raw.values(&name).take(if many { usize::MAX } else { 1 });
        repeated.extend(values.map(|v| (name.clone(), v.to_owned())));
    }
    Received::Refused(Box::new(Refused { fault, method, via, repeated }))
}
