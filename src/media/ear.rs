//! What a leg says to the box: packets believed, counted and told apart, keys heard once. Owns decryption, reception
//! statistics and the way from packets to samples; where packets go from here stands in `worker`.

use std::sync::Arc;

use crate::media::facts::Facts;
use crate::media::plan::{Plan, codec};
use crate::rtp::Micros;
use crate::rtp::codec::{Codec, Decoder, Rate};
use crate::rtp::dtmf::{KeyListener, KeySound};
use crate::rtp::event::{Event, EventChange, EventReceiver};
use crate::rtp::packet::{Header, Packet};
use crate::rtp::playout::{Playout, PlayoutPayloads};
use crate::rtp::reception::{Arrival, Reception};
use crate::rtp::sdes::Crypto;
use crate::rtp::srtp::{SrtpError, SrtpReceiver};
use crate::types::{AudioCodec, CryptoLine, Dtmf, MediaStream};

/// RTP clock of every codec that signalling agrees on.
pub(super) const CLOCK: u32 = 8000;
/// Bounds of the delay of decoded sound.
const LEAST_DELAY: u64 = 20_000;
const MOST_DELAY: u64 = 200_000;
/// Longest packet that is listened to for keys, in samples of 16,000 a second.
const LONGEST: usize = 1920;
/// So many packets of a leg can be read of at once, later ones with the next sweep: what others read is another cache
/// line for each packet.
pub(super) const TOLD_AT_ONCE: u32 = 100;
/// A hand presses no more keys in a second.
const KEYS_A_SECOND: u8 = 16;

/// Hears keys in packets as they come.
struct Tap {
    codec: AudioCodec,
    decoder: Decoder,
    listener: KeyListener,
}

/// Takes keys out of sound that is to be heard where they arrive as events.
pub(super) struct Muter {
    listener: KeyListener,
    /// What was said and not given out yet: as long as a key needs to be noticed, and a frame.
    held: Box<[i16]>,
}

/// Milliseconds that sound is held back for a key to be noticed in it: two of its blocks, one more that it does not
/// fill, and the frame that they end in.
const NOTICED_AFTER: usize = 60;

impl Muter {
    fn new(rate: Rate) -> Self {
        let held = vec![0; NOTICED_AFTER * rate.per_milli()].into();
        Self { listener: KeyListener::new(rate), held }
    }

    /// Gives out what was said a moment ago without its keys; the key that began, if one did.
    fn process(&mut self, samples: &mut [i16]) -> Option<Dtmf> {
        let mut began = None;
        self.listener.listen(samples, |sound| {
            if let KeySound::Begins(key) = sound {
                began = Some(key);
            }
        });
        let sounding = began.is_some() || self.listener.sounding().is_some();
        let turn = samples.len().min(self.held.len());
        let (ready, _) = samples.split_at_mut(turn);
        ready.swap_with_slice(self.held.get_mut(..turn).unwrap_or_default());
        self.held.rotate_left(turn);
        if sounding {
            self.held.fill(0);
            samples.fill(0);
        }
        began
    }
}

/// Sound on its way to be written anew.
pub(super) struct Heard {
    payloads: PlayoutPayloads,
    playout: Playout,
    muter: Option<Muter>,
}

/// One leg's receiving half. What every packet needs stands first and together.
#[repr(C)]
pub(super) struct Ear {
    pub(super) plan: Plan,
    reception: Reception,
    /// Of sources before this one.
    lost_before: u32,
    received: u32,
    /// Their key; without one that fits nothing is believed.
    srtp: Option<Box<SrtpReceiver>>,
    tap: Option<Box<Tap>>,
    heard: Option<Box<Heard>>,
    secure: bool,
    mutes: bool,
    audio: Option<AudioCodec>,
    facts: Arc<Facts>,
    their_line: Option<CryptoLine>,
    events: EventReceiver,
    event_clock: u32,
    noise_type: Option<u8>,
    event_type: Option<u8>,
    keys: (Micros, u8),
}

impl Ear {
    pub(super) fn new(facts: Arc<Facts>) -> Self {
        Self {
            plan: Plan::default(),
            reception: Reception::new(0, CLOCK, 0),
            lost_before: 0,
            received: 0,
            srtp: None,
            tap: None,
            heard: None,
            secure: false,
            mutes: false,
            audio: None,
            their_line: None,
            events: EventReceiver::new(CLOCK),
            event_clock: CLOCK,
            noise_type: None,
            event_type: None,
            keys: (Micros(0), 0),
            facts,
        }
    }

    /// What was agreed, first or again.
    pub(super) fn agree(&mut self, stream: &MediaStream) {
        let theirs = stream.srtp.as_ref().map(|(_, theirs)| theirs);
        self.secure = theirs.is_some();
        if self.their_line.as_ref() != theirs {
            self.their_line = theirs.cloned();
            let key = theirs.and_then(|line| Crypto::parse(&line.0).ok());
            self.srtp = key.map(|c| Box::new(SrtpReceiver::new(c.suite, &c.key)));
        }
        let clock = stream.telephone_event.map_or(CLOCK, |e| e.clock);
        if self.event_clock != clock {
            (self.event_clock, self.events) = (clock, EventReceiver::new(clock));
        }
        (self.event_type, self.noise_type) =
            (stream.telephone_event.map(|e| e.receive), stream.comfort_noise.map(|n| n.receive));
        if stream.telephone_event.is_some() {
            self.tap = None;
        } else if self.tap.is_none() {
            self.tap = Some(Box::new(Tap::new(AudioCodec::Pcmu)));
        }
        let first = stream.audio.first().map(|f| f.codec);
        let agreed = |codec| stream.audio.iter().any(|f| f.codec == codec);
        if let Some(codec) = self.audio.filter(|c| agreed(*c)).or(first) {
            self.facts.set_codec(codec);
        }
    }

    /// Who hears it has changed.
    pub(super) fn route(&mut self, plan: Plan, mutes: bool) {
        // The same agreed again disturbs nothing.
        if self.plan != plan || self.mutes != mutes {
            self.heard = None;
        }
        (self.plan, self.mutes) = (plan, mutes);
    }

    pub(super) fn is_decoding(&self) -> bool {
        self.heard.is_some()
    }

    /// What was held for decoding is heard by nobody any more.
    pub(super) fn stop_decoding(&mut self) {
        self.heard = None;
    }

    /// Decrypts a packet in place; its length.
    pub(super) fn open(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        match (&mut self.srtp, self.secure) {
            (Some(srtp), _) => srtp.unprotect(datagram),
            (None, false) => Ok(datagram.len()),
            (None, true) => Err(SrtpError::Inauthentic),
        }
    }

    /// Decrypts a report in place; its length.
    pub(super) fn open_report(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        match (&mut self.srtp, self.secure) {
            (Some(srtp), _) => srtp.unprotect_rtcp(datagram),
            (None, false) => Ok(datagram.len()),
            (None, true) => Err(SrtpError::Inauthentic),
        }
    }

    /// Counts a packet.
    pub(super) fn count(&mut self, header: &Header, now: Micros) {
        let lost = self.lost();
        if header.ssrc != self.reception.ssrc() {
            self.lost_before = lost;
            self.reception = Reception::new(header.ssrc, CLOCK, 0);
        }
        if let Arrival::Restarted(_) = self.reception.packet(header, now) {
            self.lost_before = lost;
        }
        self.received = self.received.wrapping_add(1);
        if self.received <= TOLD_AT_ONCE {
            self.publish();
        }
    }

    /// Lets others read what was counted.
    pub(super) fn publish(&self) {
        let jitter = u32::try_from(self.reception.jitter_micros()).unwrap_or(u32::MAX);
        self.facts.set_received(self.received, self.lost(), jitter);
    }

    fn lost(&self) -> u32 {
        let lost = u32::try_from(self.reception.lost().max(0)).unwrap_or(u32::MAX);
        self.lost_before.saturating_add(lost)
    }

    /// For reports.
    pub(super) fn reception(&mut self) -> Option<&mut Reception> {
        (self.received > 0).then_some(&mut self.reception)
    }

    /// A packet of sound has come: the key that begins in it where keys come as sound.
    pub(super) fn sound(&mut self, audio: AudioCodec, payload: &[u8]) -> Option<Dtmf> {
        if self.audio != Some(audio) {
            self.audio = Some(audio);
            self.facts.set_codec(audio);
        }
        if self.mutes {
            return None;
        }
        let tap = self.tap.as_mut()?;
        if tap.codec != audio {
            **tap = Tap::new(audio);
        }
        tap.listen(payload)
    }

    /// A packet of a key's payload type has come.
    pub(super) fn key(&mut self, packet: &Packet<'_>, now: Micros) -> KeyChange {
        let mut change = KeyChange::default();
        let Ok(changes) = self.events.receive(&packet.header, packet.payload, now) else { return change };
        for heard in changes {
            match heard {
                EventChange::Pressed { event, .. } => {
                    change.began = Some(event);
                    change.ended = false;
                }
                EventChange::Released { .. } => change.ended = true,
            }
        }
        change
    }

    /// A key whose last packets were all lost is over.
    pub(super) fn key_timeout(&mut self, now: Micros) -> bool {
        self.events.poll(now).is_some()
    }

    /// True when one more key may be told; a stranger to telephones might send thousands.
    pub(super) fn may_tell_key(&mut self, now: Micros) -> bool {
        let (since, told) = self.keys;
        self.keys = if now.since(since) > 1_000_000 { (now, 1) } else { (since, told.saturating_add(1)) };
        self.keys.1 <= KEYS_A_SECOND
    }

    /// A packet on its way to be decoded.
    pub(super) fn decode(&mut self, audio: AudioCodec, packet: &Packet<'_>, now: Micros) {
        let payloads = PlayoutPayloads {
            codec: codec(audio),
            audio: packet.header.payload_type,
            noise: self.noise_type,
            event: self.event_type,
        };
        if self.heard.as_ref().is_none_or(|h| h.payloads != payloads) {
            let playout = Playout::new(payloads, LEAST_DELAY, MOST_DELAY, packet.header.ssrc);
            let muter = self.mutes.then(|| Muter::new(payloads.codec.rate()));
            self.heard = Some(Box::new(Heard { payloads, playout, muter }));
        }
        self.also(packet, now);
    }

    /// A packet beside those that are decoded: noise, or a key, which must not count as lost.
    pub(super) fn also(&mut self, packet: &Packet<'_>, now: Micros) {
        if let Some(heard) = &mut self.heard {
            heard.playout.push(packet, now);
        }
    }

    /// The next frame of what is decoded, how it is sampled, and the key that was taken out of it; none when
    /// nothing has come yet.
    pub(super) fn pull(
        &mut self,
        millis: usize,
        now: Micros,
        out: &mut [i16],
    ) -> Option<(Codec, usize, Option<Dtmf>)> {
        let heard = self.heard.as_mut()?;
        let codec = heard.payloads.codec;
        let frame = out.get_mut(..millis * codec.rate().per_milli())?;
        heard.playout.pull(now, frame);
        let key = heard.muter.as_mut().and_then(|muter| muter.process(frame));
        Some((codec, frame.len(), key))
    }

    /// Told of the far end's view, for the record.
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What a packet changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyChange {
    /// A key went down.
    pub(super) began: Option<Event>,
    /// And this, or the one before, went up.
    pub(super) ended: bool,
}

impl Tap {
    fn new(audio: AudioCodec) -> Self {
        let codec = codec(audio);
        Self { codec: audio, decoder: Decoder::new(codec), listener: KeyListener::new(codec.rate()) }
    }

    fn listen(&mut self, payload: &[u8]) -> Option<Dtmf> {
        let mut samples = [0; LONGEST];
        let count = self.decoder.decode(payload, &mut samples);
        let mut began = None;
        self.listener.listen(samples.get(..count).unwrap_or_default(), |sound| {
            if let KeySound::Begins(key) = sound {
                began = Some(key);
            }
        });
        began
    }
}
