//! Offer and answer (RFC 3264) for one audio stream: what we offer, what we answer to an offer, and what both
//! agreed on. Every `m=` of an offer has one in its answer; those that we do not take are refused with port 0. Keys
//! are inputs. There is no silent fall-back: an encrypted offer is answered encrypted or not at all.

use core::net::{IpAddr, SocketAddr};

use super::{Attribute, Codec, Connection, Crypto, Description, Direction, Encoding, Line, Media, Origin};

/// What this leg can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// In our order of preference, with the payload types that we offer.
    pub codecs: Vec<Codec>,
    /// Milliseconds of audio in a packet.
    pub ptime: u16,
    /// Whether RTCP may share the port.
    pub rtcp_mux: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            codecs: vec![
                Codec::new(0, Encoding::Pcmu, 8000),
                Codec::new(8, Encoding::Pcma, 8000),
                Codec::new(9, Encoding::G722, 8000),
                Codec::telephone_event(101, 8000),
            ],
            ptime: 20,
            rtcp_mux: true,
        }
    }
}

/// Our end of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// `o=`; its version grows with every change that is sent.
    pub origin: Origin,
    /// Where we receive.
    pub address: IpAddr,
    /// Where we receive.
    pub port: u16,
    /// What we want: [`Direction::SendOnly`] holds.
    pub direction: Direction,
    /// Our keys, one a suite, in our order of preference. In an offer they ask for SRTP; in an answer they are used
    /// if SRTP is offered.
    pub crypto: Vec<Crypto>,
}

/// One payload type in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedFormat {
    /// What it is, with the payload type that we send.
    pub codec: Codec,
    /// The payload type that we receive.
    pub receive: u8,
}

/// What an offer and its answer come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Which `m=` it is.
    pub index: usize,
    /// Where we send. An unspecified address means nowhere (hold).
    pub remote: SocketAddr,
    /// Where we send RTCP; the same as `remote` when it shares the port.
    pub remote_rtcp: Option<SocketAddr>,
    /// Audio, the one to send with first.
    pub audio: Vec<AgreedFormat>,
    /// DTMF with the clock of the first audio, if both can; else any.
    pub telephone_event: Option<AgreedFormat>,
    /// Comfort noise, if both can.
    pub comfort_noise: Option<AgreedFormat>,
    /// What they want in a packet, in milliseconds.
    pub ptime: Option<u16>,
    /// What we may do.
    pub direction: Direction,
    /// Whether RTCP shares the port.
    pub rtcp_mux: bool,
    /// Our key and theirs.
    pub srtp: Option<(Crypto, Crypto)>,
}

/// Why there is no answer; a 488 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// No audio stream that both can carry.
    #[error("no audio codec, protocol or key suite in common")]
    NothingInCommon,
    /// An answer that does not fit its offer.
    #[error("the answer does not fit the offer")]
    Answer,
}

/// An offer: also the answer's place when an INVITE came without one.
#[must_use]
pub fn offer(local: &Local, capabilities: &Capabilities) -> Description {
    let secure = !local.crypto.is_empty();
    let mut media = Media {
        kind: "audio".to_owned(),
        port: local.port,
        ports: None,
        protocol: if secure { "RTP/SAVP" } else { "RTP/AVP" }.to_owned(),
        formats: capabilities.codecs.iter().map(|c| c.payload_type.to_string()).collect(),
        connection: None,
        lines: Vec::new(),
        attributes: capabilities.codecs.iter().flat_map(Codec::attributes).collect(),
    };
    media.attributes.push(Attribute::new("ptime", capabilities.ptime));
    media.attributes.extend(local.crypto.iter().map(|c| Attribute::new("crypto", c)));
    if capabilities.rtcp_mux {
        media.attributes.push(Attribute::flag("rtcp-mux"));
    }
    media.attributes.push(Attribute::flag(local.direction.as_str()));
    describe(local, vec![media])
}

/// A further offer in a dialog that has agreed before: `previous` is what we said last, as offer or answer. Streams
/// keep their places (RFC 3264 §8) and encodings their payload types (§8.3.2).
#[must_use]
pub fn offer_again(
    previous: &Description,
    agreed: &Agreed,
    local: &Local,
    capabilities: &Capabilities,
) -> Description {
    let mut codecs = capabilities.codecs.clone();
    let kept: Vec<&AgreedFormat> =
        agreed.audio.iter().chain(&agreed.telephone_event).chain(&agreed.comfort_noise).collect();
    let mut taken: Vec<u8> = kept.iter().map(|f| f.receive).collect();
    for codec in &mut codecs {
        if let Some(format) = kept.iter().find(|f| f.codec.matches(codec)) {
            codec.payload_type = format.receive;
        } else {
            if taken.contains(&codec.payload_type) {
                codec.payload_type = (96..128).find(|t| !taken.contains(t)).unwrap_or(codec.payload_type);
            }
            taken.push(codec.payload_type);
        }
    }
    let mut fresh = offer(local, &Capabilities { codecs, ..capabilities.clone() });
    let mut sections: Vec<Media> = previous.media.iter().map(refused).collect();
    if let (Some(place), Some(mut ours)) = (sections.get_mut(agreed.index), fresh.media.pop()) {
        // The profile was agreed; only keys make it a secure one.
        if local.crypto.is_empty() != place.is_secure() {
            ours.protocol.clone_from(&place.protocol);
        }
        *place = ours;
    }
    Description { media: sections, ..fresh }
}

fn describe(local: &Local, media: Vec<Media>) -> Description {
    Description {
        origin: local.origin.clone(),
        name: "-".to_owned(),
        connection: Some(Connection::new(local.address)),
        lines: vec![Line { kind: 't', value: "0 0".to_owned() }],
        attributes: Vec::new(),
        media,
    }
}

/// Answers an offer with the first audio stream that both can carry.
///
/// # Errors
/// There is none.
pub fn answer(
    offered: &Description,
    local: &Local,
    capabilities: &Capabilities,
) -> Result<(Description, Agreed), Disagreement> {
    let mut taken: Option<Agreed> = None;
    let mut sections = Vec::with_capacity(offered.media.len());
    for (index, media) in offered.media.iter().enumerate() {
        let agreed = match &taken {
            None => take(offered, index, media, local, capabilities),
            Some(_) => None,
        };
        sections.push(match &agreed {
            Some(agreed) => accepted(media, agreed, local, capabilities),
            None => refused(media),
        });
        taken = taken.or(agreed);
    }
    taken.map(|agreed| (describe(local, sections), agreed)).ok_or(Disagreement::NothingInCommon)
}

/// An answer that takes nothing: for a re-offer that drops every stream (RFC 3264 §8.2).
#[must_use]
pub fn refuse_all(offered: &Description, local: &Local) -> Description {
    describe(local, offered.media.iter().map(refused).collect())
}

fn refused(media: &Media) -> Media {
    Media {
        port: 0,
        ports: None,
        connection: None,
        lines: Vec::new(),
        attributes: Vec::new(),
        ..media.clone()
    }
}

fn take(
    offered: &Description,
    index: usize,
    media: &Media,
    local: &Local,
    capabilities: &Capabilities,
) -> Option<Agreed> {
    if media.kind != "audio" || media.port == 0 || !media.is_rtp() {
        return None;
    }
    let srtp = if media.is_secure() { Some(choose_key(&media.crypto(), &local.crypto)?) } else { None };
    // Their order counts, their payload types too (RFC 3264 §6.1).
    let common =
        media.codecs().into_iter().filter(|theirs| capabilities.codecs.iter().any(|c| c.matches(theirs)));
    let formats = common.map(|codec| AgreedFormat { receive: codec.payload_type, codec }).collect();
    let direction = offered.direction(media).mirrored().and(local.direction);
    let rtcp_mux = capabilities.rtcp_mux && media.rtcp_mux();
    agreed(offered, index, formats, direction, rtcp_mux, srtp)
}

fn choose_key(theirs: &[Crypto], ours: &[Crypto]) -> Option<(Crypto, Crypto)> {
    theirs.iter().find_map(|their| {
        let our = ours.iter().find(|o| o.suite.eq_ignore_ascii_case(&their.suite))?;
        let our = Crypto { tag: their.tag, suite: their.suite.clone(), ..our.clone() };
        // Parameters beyond the key would change how it is used; we offer none and take none.
        their.parameters.is_none().then(|| (our, their.clone()))
    })
}

fn agreed(
    remote: &Description,
    index: usize,
    formats: Vec<AgreedFormat>,
    direction: Direction,
    rtcp_mux: bool,
    srtp: Option<(Crypto, Crypto)>,
) -> Option<Agreed> {
    let media = remote.media.get(index)?;
    let target = remote.target(media)?;
    let (audio, beside): (Vec<_>, Vec<_>) = formats.into_iter().partition(|f| f.codec.encoding.is_audio());
    let clock = audio.first()?.codec.clock;
    let pick = |encoding: Encoding| {
        let of_kind = || beside.iter().filter(|f| f.codec.encoding == encoding);
        of_kind().find(|f| f.codec.clock == clock).or_else(|| of_kind().next()).cloned()
    };
    Some(Agreed {
        index,
        remote: target,
        remote_rtcp: if rtcp_mux { Some(target) } else { remote.rtcp_target(media) },
        telephone_event: pick(Encoding::TelephoneEvent),
        comfort_noise: pick(Encoding::ComfortNoise),
        audio,
        ptime: media.ptime(),
        direction,
        rtcp_mux,
        srtp,
    })
}

fn accepted(offered: &Media, agreed: &Agreed, local: &Local, capabilities: &Capabilities) -> Media {
    let in_use: Vec<&Codec> = offered_order(offered, agreed);
    let mut attributes: Vec<Attribute> =
        in_use.iter().flat_map(|c| ours(c, capabilities).attributes()).collect();
    attributes.push(Attribute::new("ptime", capabilities.ptime));
    attributes.extend(agreed.srtp.iter().map(|(our, _)| Attribute::new("crypto", our)));
    if agreed.rtcp_mux {
        attributes.push(Attribute::flag("rtcp-mux"));
    }
    attributes.push(Attribute::flag(agreed.direction.as_str()));
    Media {
        port: local.port,
        ports: None,
        formats: in_use.iter().map(|c| c.payload_type.to_string()).collect(),
        connection: None,
        lines: Vec::new(),
        attributes,
        ..offered.clone()
    }
}

/// Their payload type with our parameters (which events we take is ours to say).
fn ours(theirs: &Codec, capabilities: &Capabilities) -> Codec {
    let parameters =
        capabilities.codecs.iter().find(|c| c.matches(theirs)).and_then(|c| c.parameters.clone());
    Codec { parameters, ..theirs.clone() }
}

fn offered_order<'a>(offered: &Media, agreed: &'a Agreed) -> Vec<&'a Codec> {
    let all = agreed.audio.iter().chain(&agreed.telephone_event).chain(&agreed.comfort_noise);
    let mut codecs: Vec<&Codec> = all.map(|f| &f.codec).collect();
    let place = |c: &&Codec| offered.formats.iter().position(|f| f.parse() == Ok(c.payload_type));
    codecs.sort_by_key(place);
    codecs
}

/// What an answer to our offer comes to.
///
/// # Errors
/// Nothing was taken, or the answer does not fit: another number of streams, encrypted where plain was offered or the
/// other way round.
pub fn agree(offered: &Description, answered: &Description) -> Result<Agreed, Disagreement> {
    if offered.media.len() != answered.media.len() {
        return Err(Disagreement::Answer);
    }
    let pairs = offered.media.iter().zip(&answered.media).enumerate();
    let mut live = pairs.filter(|(_, (_, answer))| answer.port != 0);
    let (index, (ours, theirs)) = live.next().ok_or(Disagreement::NothingInCommon)?;
    if ours.kind != theirs.kind || !theirs.is_rtp() || ours.is_secure() != theirs.is_secure() {
        return Err(Disagreement::Answer);
    }
    let srtp = if ours.is_secure() {
        let their = theirs.crypto().into_iter().next().ok_or(Disagreement::Answer)?;
        let our = ours.crypto().into_iter().find(|o| o.tag == their.tag && o.suite == their.suite);
        Some((our.ok_or(Disagreement::Answer)?, their))
    } else {
        None
    };
    let mine = ours.codecs();
    let formats = theirs.codecs().into_iter().filter_map(|codec| {
        let receive = mine.iter().find(|m| m.matches(&codec))?.payload_type;
        Some(AgreedFormat { codec, receive })
    });
    let direction = answered.direction(theirs).mirrored().and(offered.direction(ours));
    let rtcp_mux = ours.rtcp_mux() && theirs.rtcp_mux();
    agreed(answered, index, formats.collect(), direction, rtcp_mux, srtp).ok_or(Disagreement::NothingInCommon)
}
