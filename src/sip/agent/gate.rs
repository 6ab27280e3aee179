//! What every request passes before anybody asks who sent it: the checks of RFC 3261 §8.2 that `sip::message` leaves to
//! whoever knows this box. The answers depend on the request alone, never on who or what exists here, so they may
//! precede the challenge and do: a stranger learns what a sane request is, and nothing else.
//!
//! | what | answer |
//! |---|---|
//! | a method that nobody knows / that is not served | 501 / 405, with Allow |
//! | our own request came back; the same request by another way (§8.2.2.2) | 482 |
//! | Max-Forwards 0 on what would be passed on (RFC 7332; OPTIONS and REGISTER end here) | 483 |
//! | an option in Require, else in Proxy-Require, that is not known | 420 with Unsupported |
//! | fields that the method needs or may not have, or that cannot be read | 400 |
//! | a body of a type, or encoded as nobody here can read, unless it is optional | 415 with Accept |
//! | INVITE or OPTIONS that takes no SDP | 406 with Accept |
//!
//! Form, version and scheme were refused at the wire's door with 400, 505 and 416; [`refusal`] sends those answers.
//! Absent: who may (`registrar`), dialogs, 404 and 481.

#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::api::{Offence, Route};
use crate::sip::message::{Contacts, Headers, Method, Name, Refused, Request, Response, Status, Via};
use crate::sip::transaction::{Hop, Transmit};
use crate::sip::uri::Uri;
use crate::types::{Mono, Now};

/// What is served to trunks and inside dialogs, as Allow says it.
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, REFER, NOTIFY, INFO";
/// What is served to phones outside of dialogs: texts to each other too.
pub(super) const ALLOW_PHONES: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, REFER, NOTIFY, INFO, MESSAGE";
/// Extensions that a request may require.
pub(super) const EXTENSIONS: [&str; 6] = ["100rel", "timer", "replaces", "norefersub", "path", "outbound"];
/// The media types that calls are set up with, as Accept says it.
pub(super) const ACCEPT: &str = "application/sdp";

/// RFC 3261 §17.2.2: as long as a request may come again, it may also come by another way.
const MERGED_FOR: Duration = Duration::from_secs(32);
/// How many requests are remembered for that; with more the oldest is forgotten earlier.
const REMEMBERED: usize = 16_384;

/// A request that goes no further.
#[derive(Debug)]
pub(super) struct Turned {
    /// To be sent.
    pub response: Response,
    /// Who asked behaves badly.
    pub offence: Option<Offence>,
}

/// What a request was: 64 bits of a keyed hash, so that nobody can make two that are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Mark(u64);

/// The request that came first under its From tag, Call-ID and CSeq.
#[derive(Clone, Copy, Debug)]
struct First {
    transaction: Mark,
    source: IpAddr,
    at: Mono,
}

/// The checks, and what they must remember.
pub(super) struct Gate {
    key: [u8; 32],
    /// In one piece: the nodes of a tree, allocated among a burst's passing blocks, would each keep a page.
    first: HashMap<Mark, First>,
    order: VecDeque<(Mono, Mark)>,
}

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Gate").field("remembered", &self.first.len()).finish_non_exhaustive()
    }
}

impl Gate {
    /// `key` is 32 secret bytes.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key, first: HashMap::new(), order: VecDeque::new() }
    }

    /// Lets a request in, or says how to answer it. To be asked once a server transaction, for every method but ACK
    /// and CANCEL. `tag` is for the response.
    ///
    /// # Errors
    /// The request goes no further.
    pub(super) fn admit(
        &mut self,
        request: &Request,
        from: Route,
        tag: &str,
        now: Now,
    ) -> Result<(), Box<Turned>> {
        let merged = self.is_merged(request, from, now.mono);
        let refused = method(request)
            .and_then(|()| if merged || is_ours(request, from) { Err(Refusal::Loop) } else { Ok(()) })
            .and_then(|()| hops(request))
            .and_then(|()| extensions(request))
            .and_then(|()| fields(request))
            .and_then(|()| body(request))
            .and_then(|()| accept(request));
        refused.map_err(|refusal| Box::new(refusal.answer(request, tag)))
    }

    /// Whether a CANCEL comes from where its INVITE came from (§9.2, §22.1: it cannot be challenged, so this is all
    /// that is known of who sent it). To be asked before a CANCEL is handed to its transaction. One that is refused is
    /// not answered: its sender knows more than a stranger should, or is one.
    pub(super) fn admits_cancel(&self, cancel: &Request, from: Hop) -> bool {
        let invite = self.first.get(&self.request_mark(cancel, &Method::Invite));
        let same = |f: &&First| f.transaction == self.transaction_mark(cancel, &Method::Invite);
        invite.filter(same).is_none_or(|first| first.source == from.addr.ip())
    }

    /// Forgets a request that was only challenged: some phones ask again under the same CSeq.
    pub(super) fn challenged(&mut self, request: &Request) {
        self.first.remove(&self.request_mark(request, &request.method));
    }

    /// Forgets what cannot come again. To be asked now and then, so that a burst leaves nothing behind.
    pub(super) fn forget(&mut self, now: Mono) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= MERGED_FOR) {
            self.forget_oldest();
        }
        if self.order.is_empty() {
            self.order.shrink_to(64);
            self.first.shrink_to(64);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((at, mark)) = self.order.pop_front()
            && self.first.get(&mark).is_some_and(|first| first.at == at)
        {
            self.first.remove(&mark);
        }
    }

    /// §8.2.2.2. OPTIONS is left out: machines that ask for health repeat themselves, and one answer more harms nobody.
    fn is_merged(&mut self, request: &Request, from: Route, now: Mono) -> bool {
        self.forget(now);
        if self.order.len() >= REMEMBERED {
            self.forget_oldest();
        }
        if request.head.to.tag().is_some() || request.method == Method::Options {
            return false;
        }
        let mark = self.request_mark(request, &request.method);
        let transaction = self.transaction_mark(request, &request.method);
        if let Some(first) = self.first.get(&mark) {
            return first.transaction != transaction;
        }
        self.first.insert(mark, First { transaction, source: from.hop.addr.ip(), at: now });
        self.order.push_back((now, mark));
        false
    }

    fn request_mark(&self, request: &Request, method: &Method) -> Mark {
        let head = &request.head;
        let number = head.cseq.number.to_string();
        let tag = head.from.tag().unwrap_or_default();
        self.mark(&[tag, &head.call_id, &number, method.as_str()])
    }

    /// What tells transactions apart (§17.2.3), as far as a sender chooses it.
    fn transaction_mark(&self, request: &Request, method: &Method) -> Mark {
        let via = &request.head.via;
        let branch = via.branch().unwrap_or_default();
        let host = via.host.to_string().to_ascii_lowercase();
        let port = via.port.map(|p| p.to_string()).unwrap_or_default();
        self.mark(&[branch, &host, &port, method.as_str()])
    }

    fn mark(&self, parts: &[&str]) -> Mark {
        let mut hash = Sha256::new().chain_update(self.key);
        for part in parts {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        Mark(hash.finalize().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }
}

/// The answer to a request that the wire's door refused, and where it goes (§18.2.2, RFC 3581 §4): sent once, without
/// state, with a tag that depends on the request and `key` alone (§8.2.7).
#[must_use]
pub(crate) fn refusal(mut refused: Refused, from: Hop, key: &[u8; 32]) -> Transmit {
    let mut hash = Sha256::new().chain_update(key).chain_update(b"refused");
    hash.update(refused.via.to_string().as_bytes());
    let tag = hash.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    refused.via.note_source(from.addr);
    Transmit { to: reply_hop(&refused.via, from), bytes: refused.response(&tag) }
}

fn reply_hop(via: &Via, from: Hop) -> Hop {
    if from.transport.is_reliable() {
        return from;
    }
    let port = via.rport().or(via.port).unwrap_or(5060);
    Hop { addr: SocketAddr::new(from.addr.ip(), port), transport: from.transport }
}

/// Why a request goes no further.
enum Refusal {
    Unknown,
    NotAllowed,
    Loop,
    TooManyHops,
    Extensions(Vec<String>),
    Field(String),
    MediaType(&'static str),
    Encoding,
    NotAcceptable,
}

impl Refusal {
    fn answer(&self, request: &Request, tag: &str) -> Turned {
        let answer = |status| Response::to(request, status, tag);
        let response = match self {
            Self::Unknown => answer(Status::NOT_IMPLEMENTED).with(Name::Allow, ALLOW_PHONES),
            Self::NotAllowed => answer(Status::METHOD_NOT_ALLOWED).with(Name::Allow, ALLOW_PHONES),
            Self::Loop => answer(Status::LOOP_DETECTED),
            Self::TooManyHops => answer(Status::TOO_MANY_HOPS),
            Self::Extensions(tags) => answer(Status::BAD_EXTENSION).with(Name::Unsupported, &tags.join(", ")),
            Self::Field(what) => {
                Response { reason: format!("Bad Request: {what}"), ..answer(Status::BAD_REQUEST) }
            }
            Self::MediaType(types) => answer(Status::UNSUPPORTED_MEDIA_TYPE).with(Name::Accept, types),
            Self::Encoding => answer(Status::UNSUPPORTED_MEDIA_TYPE).with(Name::AcceptEncoding, "identity"),
            Self::NotAcceptable => answer(Status::NOT_ACCEPTABLE).with(Name::Accept, ACCEPT),
        };
        let offence = matches!(self, Self::Unknown).then_some(Offence::Foreign);
        Turned { response, offence }
    }
}

fn missing(name: &Name) -> Refusal {
    Refusal::Field(format!("missing {name}"))
}

fn malformed(name: &Name) -> Refusal {
    Refusal::Field(format!("malformed {name}"))
}

/// §8.2.1.
fn method(request: &Request) -> Result<(), Refusal> {
    match request.method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Register
        | Method::Prack
        | Method::Update
        | Method::Refer
        | Method::Notify
        | Method::Info
        | Method::Message => Ok(()),
        Method::Subscribe | Method::Publish => Err(Refusal::NotAllowed),
        Method::Other(_) => Err(Refusal::Unknown),
    }
}

/// Whether a Via below is our own: somebody sent our request back to us (§16.3 item 4).
fn is_ours(request: &Request, from: Route) -> bool {
    let ours =
        |via: &Via| via.host.ip() == Some(from.local.ip()) && via.port.unwrap_or(5060) == from.local.port();
    request.head.via_below.iter().any(ours)
}

/// §16.3 item 3 and RFC 7332 §5: what ends here needs no hop more.
fn hops(request: &Request) -> Result<(), Refusal> {
    let passed_on = request.head.to.tag().is_none()
        && matches!(request.method, Method::Invite | Method::Refer | Method::Message);
    match request.headers.max_forwards() {
        Ok(Some(0)) if passed_on => Err(Refusal::TooManyHops),
        Ok(_) => Ok(()),
        Err(_) => Err(malformed(&Name::MaxForwards)),
    }
}

/// §8.2.2.3. Proxy-Require is for who passes a request on, which this box also does.
fn extensions(request: &Request) -> Result<(), Refusal> {
    for name in [Name::Require, Name::ProxyRequire] {
        let mut required = request.headers.tokens(&name).map_err(|_| malformed(&name))?;
        required.retain(|tag| !EXTENSIONS.iter().any(|known| tag.eq_ignore_ascii_case(known)));
        if !required.is_empty() {
            return Err(Refusal::Extensions(required));
        }
    }
    Ok(())
}

/// What a method needs, and what must be readable because we go by it.
fn fields(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    let readable = |ok: bool, name: Name| if ok { Ok(()) } else { Err(malformed(&name)) };
    readable(headers.session_expires().is_ok(), Name::SessionExpires)?;
    readable(headers.min_se().is_ok(), Name::MinSe)?;
    readable(headers.content_type().is_ok(), Name::ContentType)?;
    readable(headers.content_disposition().is_ok(), Name::ContentDisposition)?;
    replaces(request)?;
    match request.method {
        Method::Invite => target(request),
        Method::Prack => match headers.rack() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(missing(&Name::RAck)),
            Err(_) => Err(malformed(&Name::RAck)),
        },
        // RFC 3515 §2.4.2: exactly one.
        Method::Refer => match (headers.all(&Name::ReferTo).count(), headers.address(Name::ReferTo)) {
            (1, Ok(Some(_))) => Ok(()),
            (0, _) => Err(missing(&Name::ReferTo)),
            (_, _) => Err(malformed(&Name::ReferTo)),
        },
        Method::Notify => match headers.event() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(missing(&Name::Event)),
            Err(_) => Err(malformed(&Name::Event)),
        },
        Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Register
        | Method::Update
        | Method::Subscribe
        | Method::Publish
        | Method::Message
        | Method::Info
        | Method::Other(_) => Ok(()),
    }
}

/// §8.1.1.8: one contact, to which a SIP request can be sent. Who speaks RFC 2543 (no magic cookie) may have none and
/// is answered at the From.
fn target(request: &Request) -> Result<(), Refusal> {
    match request.headers.contacts() {
        Ok(Contacts::These(contacts)) => match contacts.as_slice() {
            [one] if matches!(one.uri, Uri::Sip(_)) => Ok(()),
            [] if !request.head.via.has_magic_branch() => Ok(()),
            [] => Err(missing(&Name::Contact)),
            _ => Err(malformed(&Name::Contact)),
        },
        Ok(Contacts::All) | Err(_) => Err(malformed(&Name::Contact)),
    }
}

/// RFC 3891 §3, RFC 3911 §4: at most one of either, and only in an INVITE.
fn replaces(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    if headers.replaces().is_err() {
        return Err(malformed(&Name::Replaces));
    }
    let replaces = headers.has(&Name::Replaces);
    if replaces && (request.method != Method::Invite || headers.has(&Name::Join)) {
        return Err(Refusal::Field("Replaces beside Join, or in another request than INVITE".to_owned()));
    }
    if headers.all(&Name::Join).count() > 1 {
        return Err(malformed(&Name::Join));
    }
    Ok(())
}

/// The types that a method's body may have, or `None` where a body is not looked at here: a call must end though its
/// BYE has an odd one, phones put their makers' own into REGISTER, and of a text's (`page`) no stranger learns.
fn types(method: &Method) -> Option<&'static str> {
    match method {
        Method::Invite | Method::Update | Method::Prack | Method::Options => Some(ACCEPT),
        Method::Info => Some("application/dtmf-relay, application/dtmf"),
        Method::Notify => Some("message/sipfrag"),
        Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Register
        | Method::Refer
        | Method::Subscribe
        | Method::Publish
        | Method::Message
        | Method::Other(_) => None,
    }
}

/// §8.2.3.
fn body(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    let Some(types) = types(&request.method).filter(|_| !request.body.is_empty()) else { return Ok(()) };
    if headers.content_disposition().ok().flatten().is_some_and(|d| d.is_optional()) {
        return Ok(());
    }
    if is_encoded(headers) {
        return Err(Refusal::Encoding);
    }
    match headers.content_type() {
        Ok(Some(given)) if types.split(", ").any(|known| given.is(known)) => Ok(()),
        Ok(Some(_)) => Err(Refusal::MediaType(types)),
        Ok(None) => Err(missing(&Name::ContentType)),
        Err(_) => Err(malformed(&Name::ContentType)),
    }
}

/// Whether a body is compressed or the like (§20.12).
pub(super) fn is_encoded(headers: &Headers) -> bool {
    let mut encodings = headers.all(&Name::ContentEncoding).flat_map(|line| line.split(','));
    encodings.any(|e| !e.trim().is_empty() && !e.trim().eq_ignore_ascii_case("identity"))
}

/// §20.1: without Accept, SDP is taken; an empty one takes nothing.
fn accept(request: &Request) -> Result<(), Refusal> {
    let asks = matches!(request.method, Method::Invite | Method::Options);
    if !asks || !request.headers.has(&Name::Accept) || takes_sdp(&request.headers) {
        Ok(())
    } else {
        Err(Refusal::NotAcceptable)
    }
}

fn takes_sdp(headers: &Headers) -> bool {
    headers.all(&Name::Accept).flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().replace([' ', '\t'], "");
        let never = parts.any(|p| {
            let value = p.split_once('=').filter(|(n, _)| n.trim().eq_ignore_ascii_case("q"));
            value.is_some_and(|(_, q)| q.trim().trim_end_matches(['0', '.']).is_empty())
        });
        let known = ["*/*", "application/*", ACCEPT].iter().any(|k| kind.eq_ignore_ascii_case(k));
        known && !never
    })
}
