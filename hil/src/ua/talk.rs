//! What a call says about its sound: offers and answers (RFC 3264), right and wrong ones.

use crate::rtp::srtp::{MasterKey, SUITE};
use crate::rtp::{Law, Remote, Sound};
use crate::sip::sdp::{Direction, Media};
use crate::sip::{Sdp, chance};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// Payload type that is offered for telephone-event.
const EVENTS: u8 = 101;

/// A description that is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// Sound is wanted at somebody else's address (192.0.2.66).
    ForeignAddress,
    /// Only a codec that nobody has.
    NoCommonCodec,
    /// Bytes that are no description.
    Garbage,
    /// None at all.
    Missing,
    /// An answer with a stream more than was offered.
    ExtraStream,
}

/// One end's side of the negotiation.
pub(super) struct Talk {
    pub(super) sound: Arc<Sound>,
    pub(super) laws: Vec<Law>,
    pub(super) events: bool,
    pub(super) secure: bool,
    pub(super) ip: IpAddr,
    pub(super) wrong: Option<Wrong>,
    /// This end has put the other one on hold.
    pub(super) holding: bool,
    /// What the other end does with its stream.
    pub(super) theirs: Direction,
    /// What was agreed on last.
    agreed: Option<Remote>,
    key: MasterKey,
    id: u64,
    version: u64,
}

impl Talk {
    pub(super) fn new(sound: Arc<Sound>, laws: Vec<Law>, events: bool, secure: bool, ip: IpAddr) -> Talk {
        Talk {
            sound,
            laws,
            events,
            secure,
            ip,
            wrong: None,
            holding: false,
            theirs: Direction::SendRecv,
            agreed: None,
            key: MasterKey::any(),
            id: chance() >> 33,
            version: 0,
        }
    }

    /// An offer as it is put into a body.
    pub(super) fn offer(&mut self) -> Option<Vec<u8>> {
        let mut formats: Vec<(u8, &str)> = self.laws.iter().map(|law| (law.kind(), law.name())).collect();
        if self.events {
            formats.push((EVENTS, "telephone-event/8000"));
        }
        let direction = if self.holding { Direction::SendOnly } else { Direction::SendRecv };
        let protocol = if self.secure { "RTP/SAVP" } else { "RTP/AVP" };
        let media = self.media(protocol, &formats, direction, "1");
        self.finish(vec![media])
    }

    /// The answer to an offer; `None`: nothing in it can be had (488).
    pub(super) fn answer(&mut self, offer: &Sdp) -> Option<Vec<u8>> {
        let (place, audio) = offer.audio()?;
        let secure = audio.protocol.contains("SAVP");
        if secure != self.secure {
            return None;
        }
        let crypto = if secure { Some(crypto(audio)?) } else { None };
        let (law, kind, event_kind) = self.common(audio)?;
        let theirs = offer.direction(audio);
        let ours = Direction::new(theirs.receives(), theirs.sends() && !self.holding);
        let mut formats = vec![(kind, law.name())];
        formats.extend(event_kind.map(|kind| (kind, "telephone-event/8000")));
        let tag = crypto.as_ref().map_or("1", |(tag, _)| tag.as_str());
        let media = self.media(&audio.protocol, &formats, ours, tag);
        let mut streams: Vec<Media> = offer.media.iter().map(refused).collect();
        if let Some(stream) = streams.get_mut(place) {
            *stream = media;
        }
        let keys = crypto.map(|(_, theirs)| (self.key, theirs));
        self.agree(offer, audio, (law, kind, event_kind), keys);
        self.finish(streams)
    }

    /// Takes the answer to an offer of this end; whether there is sound in it.
    pub(super) fn take(&mut self, answer: &Sdp) -> bool {
        let Some((_, audio)) = answer.audio() else { return false };
        let keys = if self.secure {
            match crypto(audio) {
                Some((_, theirs)) => Some((self.key, theirs)),
                None => return false,
            }
        } else {
            None
        };
        let Some(common) = self.common(audio) else { return false };
        self.agree(answer, audio, common, keys);
        true
    }

    /// No offer was answered: what was agreed before goes on.
    pub(super) fn keep(&self) {
        self.sound.connect(self.agreed.clone());
    }

    fn agree(
        &mut self,
        theirs: &Sdp,
        audio: &Media,
        (law, kind, event_kind): (Law, u8, Option<u8>),
        keys: Option<(MasterKey, MasterKey)>,
    ) {
        self.theirs = theirs.direction(audio);
        let Some(address) = theirs.address(audio) else { return };
        let sends = self.theirs.receives() && !self.holding;
        self.agreed = Some(Remote { address, law, kind, event_kind, sends, keys });
        self.sound.connect(self.agreed.clone());
    }

    /// The first of their codecs that this end has, and their telephone-event.
    fn common(&self, audio: &Media) -> Option<(Law, u8, Option<u8>)> {
        let codecs = audio.codecs();
        let is = |name: &str, wanted: &str| {
            let name = name.trim_end_matches("/1");
            name.eq_ignore_ascii_case(wanted)
        };
        let (law, kind) = codecs.iter().find_map(|(kind, name)| {
            let law = self.laws.iter().find(|law| is(name, law.name()))?;
            Some((*law, *kind))
        })?;
        let events = codecs.iter().find(|(_, name)| self.events && is(name, "telephone-event/8000"));
        Some((law, kind, events.map(|(kind, _)| *kind)))
    }

    fn media(&self, protocol: &str, formats: &[(u8, &str)], direction: Direction, tag: &str) -> Media {
        let mut attributes: Vec<(String, Option<String>)> = Vec::new();
        for (kind, name) in formats {
            attributes.push(("rtpmap".into(), Some(format!("{kind} {name}"))));
            if name.starts_with("telephone-event") {
                attributes.push(("fmtp".into(), Some(format!("{kind} 0-15"))));
            }
        }
        attributes.push(("ptime".into(), Some("20".into())));
        if self.secure {
            attributes.push(("crypto".into(), Some(format!("{tag} {SUITE} {}", self.key.write()))));
        }
        attributes.push((direction.name().into(), None));
        Media {
            kind: "audio".into(),
            port: self.sound.port(),
            protocol: protocol.to_owned(),
            formats: formats.iter().map(|(kind, _)| kind.to_string()).collect(),
            connection: None,
            attributes,
        }
    }

    /// The description around the streams, spoilt as asked.
    fn finish(&mut self, mut media: Vec<Media>) -> Option<Vec<u8>> {
        self.version += 1;
        let mut address = self.ip.to_string();
        match self.wrong {
            Some(Wrong::Garbage) => return Some(b"v=0\r\nm=audio nowhere\r\n\xff\xfe".to_vec()),
            Some(Wrong::Missing) => return None,
            Some(Wrong::ForeignAddress) => address = "192.0.2.66".into(),
            Some(Wrong::NoCommonCodec) => {
                for stream in &mut media {
                    stream.formats = vec!["99".into()];
                    stream.attributes = vec![("rtpmap".into(), Some("99 L24/96000".into()))];
                }
            }
            Some(Wrong::ExtraStream) => media.extend(media.first().cloned()),
            None => {}
        }
        let connection = Some(address);
        let sdp = Sdp { id: self.id, version: self.version, connection, attributes: Vec::new(), media };
        Some(sdp.to_string().into_bytes())
    }
}

fn refused(stream: &Media) -> Media {
    Media { port: 0, attributes: Vec::new(), connection: None, ..stream.clone() }
}

/// Tag and key of the first suite that is spoken here.
fn crypto(audio: &Media) -> Option<(String, MasterKey)> {
    audio.attributes.iter().filter(|(name, _)| name == "crypto").find_map(|(_, value)| {
        let mut words = value.as_deref()?.split_whitespace();
        let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
        (suite == SUITE).then_some(())?;
        Some((tag.to_owned(), MasterKey::read(key)?))
    })
}
