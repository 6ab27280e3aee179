//! What the edge that signals a leg and the edge that carries its sound agree on. Signalling decides what is
//! negotiated, media owns every socket; the daemon hands the one to the other as a [`MediaPorts`].

use core::net::{IpAddr, SocketAddr};
use std::fmt;

use super::{Dtmf, LegId, MediaFacts};

/// An audio encoding that the box can carry. All have an RTP clock of 8,000 (G.722 too: RFC 3551 §4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AudioCodec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722, 16,000 samples a second.
    G722,
}

impl AudioCodec {
    /// As SDP names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }
}

/// One negotiated encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// Which.
    pub codec: AudioCodec,
    /// The payload type that we send.
    pub send: u8,
    /// The payload type that we receive.
    pub receive: u8,
}

/// Negotiated telephone-events (RFC 4733) or comfort noise (RFC 3389).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherFormat {
    /// The payload type that we send.
    pub send: u8,
    /// The payload type that we receive.
    pub receive: u8,
    /// Ticks a second.
    pub clock: u32,
}

/// The value of an SDP `a=crypto` (RFC 4568 §9.1): tag, suite, `inline:` key. `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptoLine(pub String);

impl fmt::Debug for CryptoLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a leg's offer and answer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaStream {
    /// Where we send; `None` when the far side wants nothing (an unspecified address).
    pub remote: Option<SocketAddr>,
    /// Where we send RTCP; `None` when we send none.
    pub remote_rtcp: Option<SocketAddr>,
    /// Whose packets are believed: the address in the description and the one that signalled it. Of these a NAT may
    /// still choose the port: it is learned from the first good packet, and again only after silence.
    pub sources: Vec<IpAddr>,
    /// All that both can; the first is preferred. Never empty.
    pub audio: Vec<AudioFormat>,
    /// Keys as events; without it they go as tones in the audio.
    pub telephone_event: Option<OtherFormat>,
    /// Comfort noise.
    pub comfort_noise: Option<OtherFormat>,
    /// Milliseconds in a packet that we send.
    pub ptime: u16,
    /// We may send.
    pub sends: bool,
    /// They may send.
    pub receives: bool,
    /// RTCP shares the port.
    pub rtcp_mux: bool,
    /// Ours and theirs; with it, anything that is not encrypted is dropped.
    pub srtp: Option<(CryptoLine, CryptoLine)>,
}

/// Our end of a leg's sound, ready to be described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where RTP is received; RTCP one port above.
    pub rtp: SocketAddr,
    /// One a suite, in our order of preference; empty when none were asked for.
    pub crypto: Vec<CryptoLine>,
}

/// Why a leg has no sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaRefused {
    /// Every port of the range is in use or draining.
    #[error("no media port is free: raise [media] ports in backroom.toml")]
    NoPort,
    /// The address is not this machine's (any more).
    #[error("media cannot listen on this address")]
    Address,
    /// As many legs as the box carries.
    #[error("as many calls as this box carries at once")]
    Full,
}

/// The media edge, as who signals a leg sees it. Calls return at once (microseconds: no call waits for a thread).
pub trait MediaPorts: Send + Sync + fmt::Debug {
    /// Opens a leg's ports on `local` and makes its keys. A leg that is open keeps what it has; on another address
    /// than before it gets new ports and keeps everything else: its keys, sequence numbers and timestamps.
    ///
    /// # Errors
    /// [`MediaRefused`].
    fn open(&self, leg: &LegId, local: IpAddr, secure: bool) -> Result<LocalMedia, MediaRefused>;

    /// The same for a call for help: also with what is kept back from other calls.
    ///
    /// # Errors
    /// [`MediaRefused`].
    fn open_for_help(&self, leg: &LegId, local: IpAddr, secure: bool) -> Result<LocalMedia, MediaRefused> {
        self.open(leg, local, secure)
    }

    /// The negotiation came to this, first or again. Sequence and timestamps go on.
    fn set(&self, leg: &LegId, stream: MediaStream);

    /// Sends a key, as event or tone.
    fn press(&self, leg: &LegId, key: Dtmf);

    /// The leg is over: its ports drain and are free again later. What was measured; `None` when nothing was agreed.
    fn close(&self, leg: &LegId) -> Option<MediaFacts>;
}
