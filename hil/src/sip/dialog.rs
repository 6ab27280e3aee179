//! Dialogs (RFC 3261 §12): who is who, where requests go, and in which order.

use super::uri::NameAddr;
use super::{Message, Peer, Protocol, Uri};
use std::net::IpAddr;

/// One end's view of a dialog, early or confirmed.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call_id: String,
    /// This end with its tag, as From of its requests.
    pub local: NameAddr,
    /// The other end with its tag.
    pub remote: NameAddr,
    /// The other end's Contact.
    pub target: Uri,
    /// Routes in the order of this end's requests.
    pub routes: Vec<String>,
    /// CSeq of this end's last request.
    pub sequence: u32,
    /// CSeq of the other end's last request.
    pub heard: Option<u32>,
}

impl Dialog {
    /// As the caller sees it, from a request and a response with a To tag.
    #[must_use]
    pub fn of_caller(request: &Message, response: &Message) -> Option<Dialog> {
        let remote = NameAddr::read(response.header("To")?)?;
        remote.tag()?;
        let mut routes: Vec<String> = response.list("Record-Route").into_iter().map(str::to_owned).collect();
        routes.reverse();
        let target = response.contact().map(|contact| contact.uri);
        Some(Dialog {
            call_id: request.call_id().to_owned(),
            local: NameAddr::read(request.header("From")?)?,
            target: target.or_else(|| Uri::read(request.uri()?))?,
            remote,
            routes,
            sequence: request.cseq()?.0,
            heard: None,
        })
    }

    /// As the called one sees it, who has given itself this tag.
    #[must_use]
    pub fn of_called(request: &Message, tag: &str) -> Option<Dialog> {
        let remote = NameAddr::read(request.header("From")?)?;
        Some(Dialog {
            call_id: request.call_id().to_owned(),
            local: NameAddr::read(request.header("To")?)?.tagged(tag),
            target: request.contact().map_or_else(|| remote.uri.clone(), |contact| contact.uri),
            remote,
            routes: request.list("Record-Route").into_iter().map(str::to_owned).collect(),
            sequence: 0,
            heard: request.cseq().map(|(number, _)| number),
        })
    }

    /// The next request of this end.
    #[must_use]
    pub fn request(&mut self, method: &str) -> Message {
        if !matches!(method, "ACK" | "CANCEL") {
            self.sequence += 1;
        }
        let mut message = Message::request(method, &self.target.to_string());
        for route in &self.routes {
            message = message.with("Route", route);
        }
        message
            .with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} {method}", self.sequence))
    }

    /// Where requests go: the first route, else the target; `otherwise` where that is a name or another's address
    /// on the same connection.
    #[must_use]
    pub fn next_hop(&self, otherwise: Peer) -> Peer {
        let route = self.routes.first().and_then(|route| NameAddr::read(route)).map(|route| route.uri);
        hop(route.as_ref().unwrap_or(&self.target), otherwise)
    }

    /// Whether a request's CSeq is newer than all before it (RFC 3261 §12.2.2); remembered if so.
    pub fn in_order(&mut self, request: &Message) -> bool {
        let Some((number, _)) = request.cseq() else { return false };
        let newer = self.heard.is_none_or(|heard| number > heard);
        if newer {
            self.heard = Some(number);
        }
        newer
    }

    #[must_use]
    pub fn local_tag(&self) -> &str {
        self.local.tag().unwrap_or_default()
    }

    #[must_use]
    pub fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }
}

/// Where a URI points; names are not looked up.
#[must_use]
pub fn hop(uri: &Uri, otherwise: Peer) -> Peer {
    let host = uri.host.trim_start_matches('[').trim_end_matches(']');
    let Ok(ip) = host.parse::<IpAddr>() else { return otherwise };
    let protocol = match uri.param("transport") {
        Some(name) if name.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
        Some(name) if name.eq_ignore_ascii_case("udp") => Protocol::Udp,
        _ => otherwise.protocol,
    };
    Peer { protocol, address: (ip, uri.port.unwrap_or(5060)).into() }
}
