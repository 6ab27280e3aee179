//! A dialog (RFC 3261 §12): who talks to whom, which way, and what number the next request has.

use core::net::IpAddr;

use super::Route;
use crate::sip::message::{CSeq, Head, Headers, Method, Name, NameAddr, Request, Response, Via};
use crate::sip::transaction::{Hop, Transport};
use crate::sip::uri::{Host, SipUri, Uri};

/// One side of a dialog.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    /// Us, with our tag.
    pub(super) local: NameAddr,
    /// Them, with theirs (RFC 2543 has none).
    pub(super) remote: NameAddr,
    /// The CSeq of our last request.
    pub(super) local_seq: u32,
    /// The CSeq of theirs.
    pub(super) remote_seq: Option<u32>,
    /// Their Contact.
    pub(super) target: Uri,
    /// What lies between, nearest first.
    pub(super) routes: Vec<NameAddr>,
    /// Where the far side's messages came from, or ours went.
    pub(super) flow: Route,
    /// Our Contact.
    pub(super) contact: Uri,
}

impl Dialog {
    /// The called side (§12.1.1). Who speaks RFC 2543 and has no Contact is reached at the From; the
    /// gate lets nobody else in without one. `None` when neither can be sent to.
    pub(super) fn called(request: &Request, tag: &str, flow: Route, contact: Uri) -> Option<Self> {
        let mut local = request.head.to.clone();
        local.set_tag(tag);
        Some(Self {
            call_id: request.head.call_id.clone(),
            local,
            remote: request.head.from.clone(),
            local_seq: 0,
            remote_seq: Some(request.head.cseq.number),
            target: target(&request.headers)
                .or_else(|| request.head.from.uri.sip().cloned().map(Uri::Sip))?,
            routes: request.headers.routes(&Name::RecordRoute).ok()?,
            flow,
            contact,
        })
    }

    /// The calling side (§12.1.2). `None` when the response makes no dialog.
    pub(super) fn calling(response: &Response, flow: Route, contact: Uri) -> Option<Self> {
        response.head.to.tag()?;
        let mut routes = response.headers.routes(&Name::RecordRoute).ok()?;
        routes.reverse();
        Some(Self {
            call_id: response.head.call_id.clone(),
            local: response.head.from.clone(),
            remote: response.head.to.clone(),
            local_seq: response.head.cseq.number,
            remote_seq: None,
            target: target(&response.headers)?,
            routes,
            flow,
            contact,
        })
    }

    /// Whether a request or response with these belongs here.
    pub(super) fn is(&self, call_id: &str, remote_tag: Option<&str>) -> bool {
        self.call_id == call_id && self.remote.tag() == remote_tag
    }

    /// Our tag.
    pub(super) fn tag(&self) -> &str {
        self.local.tag().unwrap_or_default()
    }

    /// The next request (§12.2.1.1).
    pub(super) fn request(&mut self, method: Method) -> Request {
        self.local_seq += 1;
        self.numbered(method, self.local_seq)
    }

    /// The ACK of a 2xx (§13.2.2.4).
    pub(super) fn ack(&self, cseq: u32) -> Request {
        self.numbered(Method::Ack, cseq)
    }

    fn numbered(&self, method: Method, cseq: u32) -> Request {
        let (uri, routes) = self.path();
        let mut request = Request::new(
            method.clone(),
            uri,
            Head {
                via: via(self.flow),
                via_below: Vec::new(),
                from: self.local.clone(),
                to: self.remote.clone(),
                call_id: self.call_id.clone(),
                cseq: CSeq::new(cseq, method),
            },
        );
        for route in routes {
            request.headers.push(Name::Route, &route);
        }
        request
    }

    /// Request-URI and Route, for loose and strict routers (§12.2.1.1).
    fn path(&self) -> (Uri, Vec<String>) {
        let loose = |addr: &NameAddr| addr.uri.sip().is_some_and(SipUri::is_loose);
        match self.routes.split_first() {
            None => (self.target.clone(), Vec::new()),
            Some((first, _)) if loose(first) => {
                (self.target.clone(), self.routes.iter().map(NameAddr::to_string).collect())
            }
            Some((strict, rest)) => {
                let last = NameAddr::new(self.target.clone()).to_string();
                (strict.uri.clone(), rest.iter().map(NameAddr::to_string).chain([last]).collect())
            }
        }
    }

    /// Where requests go: the first router or the Contact when it is an address, else back where the far side was.
    pub(super) fn route(&self) -> Route {
        let next = self.routes.first().map_or(&self.target, |first| &first.uri);
        next.sip().map_or(self.flow, |uri| towards(uri, self.flow))
    }

    /// A Contact in a request or response inside the dialog moves the target (§12.2).
    pub(super) fn retarget(&mut self, headers: &Headers) {
        if let Some(target) = target(headers) {
            self.target = target;
        }
    }
}

/// The way to a URI, for whoever was reached by `flow` before.
pub(super) fn towards(uri: &SipUri, flow: Route) -> Route {
    let Some(ip) = uri.host.ip() else { return flow };
    let transport = transport(uri, flow.hop.transport);
    let there = flow.hop.addr.ip();
    // What a stream's end calls itself is not where its connection comes from; and an address of somebody's LAN
    // means nothing from outside of it.
    let same_stream = ip == there && transport == flow.hop.transport && transport.is_reliable();
    if same_stream || (is_private(ip) && ip != there && !is_private(there)) || ip.is_unspecified() {
        return flow;
    }
    let port = uri.port.unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
    Route { hop: Hop { addr: (ip, port).into(), transport }, local: flow.local }
}

fn transport(uri: &SipUri, flow: Transport) -> Transport {
    match uri.params.get("transport") {
        Some(t) if t.eq_ignore_ascii_case("udp") => Transport::Udp,
        Some(t) if t.eq_ignore_ascii_case("tls") => Transport::Tls,
        Some(t) if t.eq_ignore_ascii_case("tcp") && !uri.secure => match flow {
            // `transport=tcp` over TLS is how RFC 3261 §26.2.2 wants TLS written.
            Transport::Tls => Transport::Tls,
            Transport::Udp | Transport::Tcp => Transport::Tcp,
        },
        Some(_) | None if uri.secure => Transport::Tls,
        Some(_) | None => match flow {
            Transport::Tls => Transport::Tls,
            Transport::Udp | Transport::Tcp if uri.params.has("transport") => flow,
            Transport::Udp => Transport::Udp,
            Transport::Tcp => Transport::Tcp,
        },
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The Via of our requests; branch and transport are the transaction's.
pub(super) fn via(route: Route) -> Via {
    Via::new(route.hop.transport.as_str(), Host::Ip(route.local.ip()), Some(route.local.port()), "")
}

fn target(headers: &Headers) -> Option<Uri> {
    let contacts = headers.contacts().ok()?;
    let uri = &contacts.first()?.uri;
    uri.sip().map(|_| uri.clone())
}
