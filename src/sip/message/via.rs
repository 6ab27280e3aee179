//! Via (RFC 3261 §20.42, RFC 3581): where a response goes.

use core::net::{IpAddr, SocketAddr};
use std::fmt;
use std::str::FromStr;

use super::super::lex::{Cursor, Param, Params, list, whole};
use super::super::uri::{Host, host_port};
use super::Malformed;

/// The branch of every RFC 3261 element begins so (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, or what else is written there; see [`Via::is_over`].
    pub transport: String,
    /// Host of the sent-by.
    pub host: Host,
    /// Port of the sent-by, if written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `ttl`, `maddr` and others.
    pub params: Params,
}

impl Via {
    /// A Via of our own, which asks for rport (RFC 3581 §3).
    #[must_use]
    pub fn new(transport: &str, host: Host, port: Option<u16>, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("rport", None);
        params.set("branch", Some(branch));
        Self { transport: transport.to_owned(), host, port, params }
    }

    /// Whether the transport is this one; case does not count.
    #[must_use]
    pub fn is_over(&self, transport: &str) -> bool {
        self.transport.eq_ignore_ascii_case(transport)
    }

    /// The branch; `None` when missing or empty (RFC 2543).
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").filter(|b| !b.is_empty())
    }

    /// Whether the branch identifies the transaction (§17.2.3): the magic cookie with something behind it.
    #[must_use]
    pub fn has_magic_branch(&self) -> bool {
        self.branch().is_some_and(|b| {
            b.get(..MAGIC_COOKIE.len()).is_some_and(|c| c.eq_ignore_ascii_case(MAGIC_COOKIE))
                && b.len() > MAGIC_COOKIE.len()
        })
    }

    /// Sets the branch.
    pub fn set_branch(&mut self, branch: &str) {
        self.params.set("branch", Some(branch));
    }

    /// The address that the next hop saw. IPv6 with or without brackets (RFC 5118 §4.5).
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        text.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The port that the next hop saw; `None` when it is missing or only asked for.
    #[must_use]
    pub fn rport(&self) -> Option<u16> {
        self.params.get("rport")?.parse().ok()
    }

    /// Whether rport is asked for and not yet answered.
    #[must_use]
    pub fn asks_rport(&self) -> bool {
        self.params.has("rport") && self.rport().is_none()
    }

    /// `maddr`.
    #[must_use]
    pub fn maddr(&self) -> Option<Host> {
        let text = self.params.get("maddr")?;
        Host::parse(text).ok().or_else(|| text.parse().ok().map(Host::Ip))
    }

    /// `ttl`.
    #[must_use]
    pub fn ttl(&self) -> Option<u8> {
        self.params.get("ttl")?.parse().ok()
    }

    /// Writes down where a request came from: `received` when it is not the sent-by or rport is asked for, and
    /// `rport` when it is asked for (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn note_source(&mut self, source: SocketAddr) {
        let asks = self.params.has("rport");
        if asks {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        if asks || self.host.ip() != Some(source.ip()) {
            self.params.set("received", Some(&source.ip().to_string()));
        } else {
            self.params.remove("received");
        }
    }

    /// Where a response over UDP goes (RFC 3261 §18.2.2, RFC 3581 §4): maddr, else received with rport, else the
    /// sent-by. No port means the transport's default.
    #[must_use]
    pub fn reply_to(&self) -> (Host, Option<u16>) {
        if let Some(maddr) = self.maddr() {
            return (maddr, self.port);
        }
        let host = self.received().map_or_else(|| self.host.clone(), Host::Ip);
        (host, self.rport().or(self.port))
    }

    /// One element where the cursor stands.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut via = Self::read_hop(cursor)?;
        via.params = cursor.params()?;
        // RFC 2543 let a comment follow.
        if cursor.peek() == Some(b'(') {
            cursor.comment()?;
        }
        Some(via)
    }

    fn read_hop(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.lws();
        let name = cursor.token()?;
        if !name.eq_ignore_ascii_case("SIP") || !cursor.separator(b'/') {
            return None;
        }
        if cursor.token()? != "2.0" || !cursor.separator(b'/') {
            return None;
        }
        let transport = cursor.token()?.to_owned();
        cursor.lws();
        let (host, port) = host_port(cursor).ok()?;
        Some(Self { transport, host, port, params: Params::default() })
    }

    pub(super) fn read_list(text: &str) -> Option<Vec<Self>> {
        list(text, Self::read)
    }

    /// As much of the first element as can be read: enough to answer a message that is otherwise malformed.
    pub(super) fn salvage(text: &str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let mut via = Self::read_hop(&mut cursor)?;
        while cursor.separator(b';') {
            let Some(name) = cursor.token() else { continue };
            let value = if cursor.separator(b'=') { cursor.value() } else { None };
            via.params.0.push(Param { name: name.to_owned(), value: value.map(str::to_owned) });
        }
        Some(via)
    }
}

impl FromStr for Via {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        whole(text, Self::read).ok_or(Malformed)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}
