//! What the attributes of one `m=` section say: payload types, direction, packet time, RTCP, keys.

use core::net::{IpAddr, SocketAddr};
use std::fmt;
use std::str::FromStr;

use super::{Attribute, Description, Media, SdpError};

/// Who may send (RFC 8866 §6.7), seen from whoever says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// I alone: hold.
    SendOnly,
    /// The other alone.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// From two permissions.
    #[must_use]
    pub fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether who says it sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether who says it receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same from the other's place.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn find(attributes: &[Attribute]) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        attributes.iter().find_map(|a| all.into_iter().find(|d| d.as_str() == a.name))
    }
}

/// What a payload type carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722; its clock is written 8000 though it samples at 16000 (RFC 3551 §4.5.2).
    G722,
    /// DTMF (RFC 4733).
    TelephoneEvent,
    /// Comfort noise (RFC 3389).
    ComfortNoise,
    /// Anything else, as written.
    Other(String),
}

impl Encoding {
    /// Reads an encoding name, without regard to case.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known = [Self::Pcmu, Self::Pcma, Self::G722, Self::TelephoneEvent, Self::ComfortNoise];
        let found = known.into_iter().find(|e| e.as_str().eq_ignore_ascii_case(text));
        found.unwrap_or_else(|| Self::Other(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::TelephoneEvent => "telephone-event",
            Self::ComfortNoise => "CN",
            Self::Other(text) => text,
        }
    }

    /// Whether it is audio rather than a signal beside it.
    #[must_use]
    pub fn is_audio(&self) -> bool {
        !matches!(self, Self::TelephoneEvent | Self::ComfortNoise)
    }

    fn same_as(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

/// One payload type of a media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it carries.
    pub encoding: Encoding,
    /// Of the RTP timestamp, in Hz.
    pub clock: u32,
    /// Of audio.
    pub channels: u8,
    /// `a=fmtp`, behind the payload type.
    pub parameters: Option<String>,
}

impl Codec {
    /// One channel, no parameters.
    #[must_use]
    pub fn new(payload_type: u8, encoding: Encoding, clock: u32) -> Self {
        Self { payload_type, encoding, clock, channels: 1, parameters: None }
    }

    /// `telephone-event` for the sixteen keys and flash.
    #[must_use]
    pub fn telephone_event(payload_type: u8, clock: u32) -> Self {
        let parameters = Some("0-16".to_owned());
        Self { parameters, ..Self::new(payload_type, Encoding::TelephoneEvent, clock) }
    }

    /// Whether both mean the same, under whatever payload type.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.encoding.same_as(&other.encoding) && self.clock == other.clock && self.channels == other.channels
    }

    /// RFC 3551 §6, as far as audio of today goes.
    fn fixed(payload_type: u8) -> Option<Self> {
        let (encoding, clock) = match payload_type {
            0 => (Encoding::Pcmu, 8000),
            3 => (Encoding::Other("GSM".to_owned()), 8000),
            4 => (Encoding::Other("G723".to_owned()), 8000),
            8 => (Encoding::Pcma, 8000),
            9 => (Encoding::G722, 8000),
            13 => (Encoding::ComfortNoise, 8000),
            15 => (Encoding::Other("G728".to_owned()), 8000),
            18 => (Encoding::Other("G729".to_owned()), 8000),
            _ => return None,
        };
        Some(Self::new(payload_type, encoding, clock))
    }

    pub(super) fn attributes(&self) -> Vec<Attribute> {
        let channels = if self.channels > 1 { format!("/{}", self.channels) } else { String::new() };
        let map = format!("{} {}/{}{channels}", self.payload_type, self.encoding.as_str(), self.clock);
        let mut attributes = vec![Attribute::new("rtpmap", map)];
        if let Some(parameters) = &self.parameters {
            attributes.push(Attribute::new("fmtp", format!("{} {parameters}", self.payload_type)));
        }
        attributes
    }
}

/// `a=crypto` (RFC 4568 §9.1). `Debug` shows the tag and the suite alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Chooses among several.
    pub tag: u32,
    /// `AES_CM_128_HMAC_SHA1_80`...
    pub suite: String,
    /// `inline:` and the key, with life and MKI if written.
    pub key: String,
    /// Behind the key, as written.
    pub parameters: Option<String>,
}

impl FromStr for Crypto {
    type Err = SdpError;
    fn from_str(text: &str) -> Result<Self, SdpError> {
        let mut words = text.split_ascii_whitespace();
        let mut next = || words.next().ok_or(SdpError::Line);
        let tag = next()?.parse().map_err(|_| SdpError::Line)?;
        let (suite, key) = (next()?.to_owned(), next()?.to_owned());
        let rest: Vec<&str> = words.collect();
        Ok(Self { tag, suite, key, parameters: (!rest.is_empty()).then(|| rest.join(" ")) })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.tag, self.suite, self.key)?;
        self.parameters.as_ref().map_or(Ok(()), |p| write!(f, " {p}"))
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (kept back)", self.tag, self.suite)
    }
}

impl Media {
    /// The first attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.attribute(name)?.value.as_deref()
    }

    /// The payload types that can be told apart, each once, in the order of preference.
    #[must_use]
    pub fn codecs(&self) -> Vec<Codec> {
        // Thousands of formats over thousands of attributes would take a second; there are but 128.
        let mut seen = [false; 128];
        let mut is_new = |t: &u8| seen.get_mut(usize::from(*t)).is_some_and(|s| !std::mem::replace(s, true));
        let types = self.formats.iter().filter_map(|f| f.parse::<u8>().ok()).filter(|t| is_new(t));
        types.filter_map(|t| self.codec(t)).collect()
    }

    fn codec(&self, payload_type: u8) -> Option<Codec> {
        let of_type = |name: &'static str| {
            let values = self.attributes.iter().filter(move |a| a.name == name);
            values.filter_map(|a| a.value.as_deref()?.split_once([' ', '\t'])).find_map(
                move |(number, rest)| {
                    (number.parse::<u8>().ok()? == payload_type).then(|| rest.trim().to_owned())
                },
            )
        };
        let mapped = of_type("rtpmap").and_then(|map| {
            let mut parts = map.split('/');
            let encoding = Encoding::parse(parts.next()?.trim());
            let clock = parts.next()?.trim().parse().ok()?;
            let channels = parts.next().map_or(Some(1), |c| c.trim().parse().ok())?;
            Some(Codec { payload_type, encoding, clock, channels, parameters: None })
        });
        let mut codec = mapped.or_else(|| Codec::fixed(payload_type))?;
        codec.parameters = of_type("fmtp");
        Some(codec)
    }

    /// `a=ptime`, in milliseconds.
    #[must_use]
    pub fn ptime(&self) -> Option<u16> {
        self.value("ptime")?.split('.').next()?.parse().ok().filter(|p| *p > 0)
    }

    /// `a=rtcp-mux`, RFC 5761.
    #[must_use]
    pub fn rtcp_mux(&self) -> bool {
        self.attribute("rtcp-mux").is_some()
    }

    /// Keys that can be read, in order.
    #[must_use]
    pub fn crypto(&self) -> Vec<Crypto> {
        let lines = self.attributes.iter().filter(|a| a.name == "crypto");
        lines.filter_map(|a| a.value.as_deref()?.parse().ok()).collect()
    }

    /// RTP with the audio/video profile; the part in front of it says how.
    pub(super) fn is_rtp(&self) -> bool {
        matches!(self.protocol.as_str(), "RTP/AVP" | "RTP/AVPF" | "RTP/SAVP" | "RTP/SAVPF")
    }

    pub(super) fn is_secure(&self) -> bool {
        self.protocol.starts_with("RTP/SAVP")
    }
}

impl Description {
    /// Where media go; `None` when no address is said or it is a name.
    #[must_use]
    pub fn target(&self, media: &Media) -> Option<SocketAddr> {
        let ip = media.connection.as_ref().or(self.connection.as_ref())?.ip()?;
        Some(SocketAddr::new(ip, media.port))
    }

    /// Where RTCP goes when it does not share the RTP's port: `a=rtcp` (RFC 3605), else the port above.
    #[must_use]
    pub fn rtcp_target(&self, media: &Media) -> Option<SocketAddr> {
        let target = self.target(media)?;
        let Some(text) = media.value("rtcp") else {
            return Some(SocketAddr::new(target.ip(), target.port().checked_add(1)?));
        };
        let mut words = text.split_ascii_whitespace();
        let port = words.next()?.parse().ok()?;
        let ip = words.nth(2).map_or(Some(target.ip()), |ip| ip.parse::<IpAddr>().ok())?;
        Some(SocketAddr::new(ip, port))
    }

    /// Who may send. An address of zeros is RFC 2543's hold: nothing is to be sent there.
    #[must_use]
    pub fn direction(&self, media: &Media) -> Direction {
        let said = Direction::find(&media.attributes).or_else(|| Direction::find(&self.attributes));
        let said = said.unwrap_or_default();
        let held = self.target(media).is_some_and(|t| t.ip().is_unspecified());
        if held { Direction::of(said.sends(), false) } else { said }
    }

    /// Whether the sender has put all its audio on hold: it does not want to hear us.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        let mut audio = self.media.iter().filter(|m| m.kind == "audio" && m.port != 0).peekable();
        audio.peek().is_some() && audio.all(|m| !self.direction(m).receives())
    }
}
