//! A leg's offers and answers (RFC 3264): what we said, what was agreed, and that as a [`MediaStream`]. Keys come from
//! the media edge; a leg that must be secure is secure or has no sound.

use core::net::IpAddr;
use std::sync::Arc;

use crate::sip::message::{Headers, Name};
use crate::sip::sdp::{
    self, Agreed, AgreedFormat, Capabilities, Crypto, Description, Direction, Disagreement, Encoding, Local,
    Origin, SdpError, TargetPolicy, TargetRefused,
};
use crate::types::{AudioCodec, AudioFormat, CryptoLine, LocalMedia, MediaStream, OtherFormat};

/// `application/sdp`.
pub(super) const SDP: &str = "application/sdp";

/// Why a description is not taken; 488 where there is somebody to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SoundError {
    #[error("no description: {0}")]
    Sdp(#[from] SdpError),
    #[error("{0}")]
    Disagreement(#[from] Disagreement),
    #[error("{0}")]
    Target(#[from] TargetRefused),
    #[error("only encrypted audio is taken")]
    NotSecure,
    #[error("no ports are open")]
    NotOpen,
}

/// What both sides said last.
#[derive(Debug)]
pub(super) struct Sound {
    capabilities: Arc<Capabilities>,
    policy: Arc<TargetPolicy>,
    secure: bool,
    local: Option<LocalMedia>,
    /// The address that stands in descriptions, when a NAT lies between.
    public: Option<IpAddr>,
    id: u64,
    version: u64,
    said: Option<Description>,
    /// Our last offer: what answers are measured by.
    offered: Option<Description>,
    agreed: Option<Agreed>,
    /// We hold the far side.
    pub(super) holds: bool,
    told: Option<MediaStream>,
}

impl Sound {
    pub(super) fn new(
        capabilities: Arc<Capabilities>,
        policy: Arc<TargetPolicy>,
        secure: bool,
        id: u64,
    ) -> Self {
        Self {
            capabilities,
            policy,
            secure,
            local: None,
            public: None,
            id,
            version: 1,
            said: None,
            offered: None,
            agreed: None,
            holds: false,
            told: None,
        }
    }

    /// Ports are open.
    pub(super) fn open(&mut self, local: LocalMedia, public: Option<IpAddr>) {
        self.local = Some(local);
        self.public = public;
    }

    pub(super) fn is_open(&self) -> bool {
        self.local.is_some()
    }

    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// Whether it is encrypted.
    pub(super) fn has_keys(&self) -> bool {
        self.secure || self.agreed.as_ref().is_some_and(|a| a.srtp.is_some())
    }

    /// Whether keys are needed to answer this, or at all.
    pub(super) fn wants_keys(&self, offered: Option<&Description>) -> bool {
        self.secure || offered.is_some_and(|o| !o.media.iter().any(is_plain) && o.media.iter().any(is_secure))
    }

    /// Whether the far side put us on hold.
    pub(super) fn is_held(&self) -> bool {
        self.agreed.as_ref().is_some_and(|a| !a.direction.sends())
    }

    fn local(&self, direction: Direction) -> Result<Local, SoundError> {
        let local = self.local.as_ref().ok_or(SoundError::NotOpen)?;
        let address = self.public.unwrap_or(local.rtp.ip());
        Ok(Local {
            origin: Origin::new(self.id, self.version, address),
            address,
            port: local.rtp.port(),
            direction,
            crypto: local.crypto.iter().filter_map(|c| c.0.parse::<Crypto>().ok()).collect(),
        })
    }

    fn wish(&self) -> Direction {
        if self.holds { Direction::SendOnly } else { Direction::SendRecv }
    }

    /// Our offer: the first, or one that follows what was agreed.
    pub(super) fn offer(&mut self) -> Result<Description, SoundError> {
        let mut local = self.local(self.wish())?;
        let description = match (&self.said, &self.agreed) {
            (Some(said), Some(agreed)) => {
                if agreed.srtp.is_none() {
                    local.crypto.clear();
                }
                sdp::offer_again(said, agreed, &local, &self.capabilities)
            }
            _ => {
                if !self.secure {
                    local.crypto.clear();
                }
                sdp::offer(&local, &self.capabilities)
            }
        };
        let description = self.say(description);
        self.offered = Some(description.clone());
        Ok(description)
    }

    /// Remembers what we say. Its version grows with every change (RFC 3264 §8).
    fn say(&mut self, mut description: Description) -> Description {
        match &self.said {
            Some(said) if *said == description => {}
            Some(_) => {
                self.version += 1;
                description.origin.version = self.version.to_string();
                self.said = Some(description.clone());
            }
            None => self.said = Some(description.clone()),
        }
        description
    }

    /// Answers an offer. Nothing changes when it cannot be taken.
    pub(super) fn answer(
        &mut self,
        offered: &Description,
        source: IpAddr,
    ) -> Result<Description, SoundError> {
        // Neither does a call that is encrypted go on in the clear.
        let secure = self.has_keys();
        let narrowed = (secure && offered.media.iter().any(is_plain)).then(|| without_plain(offered));
        let local = self.local(self.wish())?;
        let (description, agreed) =
            sdp::answer(narrowed.as_ref().unwrap_or(offered), &local, &self.capabilities).map_err(|e| {
                if narrowed.is_some() { SoundError::NotSecure } else { SoundError::Disagreement(e) }
            })?;
        self.agreed = Some(self.allowed(agreed, source)?);
        Ok(self.say(description))
    }

    /// Takes the answer to what we offered last.
    pub(super) fn take_answer(&mut self, answered: &Description, source: IpAddr) -> Result<(), SoundError> {
        let offered = self.offered.as_ref().ok_or(SoundError::NotOpen)?;
        let agreed = sdp::agree(offered, answered)?;
        self.agreed = Some(self.allowed(agreed, source)?);
        Ok(())
    }

    /// An offer of ours was refused: what was agreed before still holds.
    pub(super) fn take_back(&mut self, said: Option<Description>) {
        self.said = said;
    }

    /// What we said last.
    pub(super) fn said(&self) -> Option<Description> {
        self.said.clone()
    }

    fn allowed(&self, mut agreed: Agreed, source: IpAddr) -> Result<Agreed, SoundError> {
        if agreed.remote.ip().is_unspecified() {
            agreed.remote_rtcp = None;
            return Ok(agreed);
        }
        self.policy.check(agreed.remote, source)?;
        let rtcp = agreed.remote_rtcp.filter(|rtcp| self.policy.check(*rtcp, source).is_ok());
        Ok(Agreed { remote_rtcp: rtcp, ..agreed })
    }

    /// What was agreed, when it is not what the media edge was told last.
    pub(super) fn stream(&mut self, source: IpAddr) -> Option<MediaStream> {
        let stream = stream_of(self.agreed.as_ref()?, source, self.capabilities.ptime);
        if self.told.as_ref() == Some(&stream) {
            return None;
        }
        self.told = Some(stream.clone());
        Some(stream)
    }
}

fn is_secure(media: &sdp::Media) -> bool {
    media.kind == "audio" && media.port != 0 && media.protocol.starts_with("RTP/SAVP")
}

fn is_plain(media: &sdp::Media) -> bool {
    media.kind == "audio" && media.port != 0 && media.protocol.starts_with("RTP/AVP")
}

fn without_plain(offered: &Description) -> Description {
    let mut offered = offered.clone();
    offered.media.iter_mut().filter(|m| is_plain(m)).for_each(|m| m.port = 0);
    offered
}

fn stream_of(agreed: &Agreed, source: IpAddr, ptime: u16) -> MediaStream {
    let somewhere = !agreed.remote.ip().is_unspecified();
    let mut sources = vec![source];
    if somewhere && agreed.remote.ip() != source {
        sources.insert(0, agreed.remote.ip());
    }
    let audio = agreed.audio.iter().filter_map(|f| {
        let codec = match f.codec.encoding {
            Encoding::Pcmu => AudioCodec::Pcmu,
            Encoding::Pcma => AudioCodec::Pcma,
            Encoding::G722 => AudioCodec::G722,
            Encoding::TelephoneEvent | Encoding::ComfortNoise | Encoding::Other(_) => return None,
        };
        Some(AudioFormat { codec, send: f.codec.payload_type, receive: f.receive })
    });
    let other = |format: &Option<AgreedFormat>| {
        let format = format.as_ref()?;
        let send = format.codec.payload_type;
        Some(OtherFormat { send, receive: format.receive, clock: format.codec.clock })
    };
    MediaStream {
        remote: somewhere.then_some(agreed.remote),
        remote_rtcp: agreed.remote_rtcp,
        sources,
        audio: audio.collect(),
        telephone_event: other(&agreed.telephone_event),
        comfort_noise: other(&agreed.comfort_noise),
        ptime: agreed.ptime.unwrap_or(ptime),
        sends: agreed.direction.sends(),
        receives: agreed.direction.receives(),
        rtcp_mux: agreed.rtcp_mux,
        srtp: agreed
            .srtp
            .as_ref()
            .map(|(ours, theirs)| (CryptoLine(ours.to_string()), CryptoLine(theirs.to_string()))),
    }
}

/// The description in a body. `Ok(None)` when there is none.
pub(super) fn described(headers: &Headers, body: &[u8]) -> Result<Option<Description>, SoundError> {
    if body.is_empty() || !is_sdp(headers) {
        return Ok(None);
    }
    Ok(Some(Description::parse(body)?))
}

/// A body without Content-Type is taken for what it nearly always is.
fn is_sdp(headers: &Headers) -> bool {
    match headers.get(&Name::ContentType) {
        None => true,
        Some(text) => {
            let kind = text.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case(SDP)
        }
    }
}
