//! What the box says to a leg: one continuous stream, whatever it is made of. Owns rewriting, encryption, keys as
//! events or tones, packet lengths and the way from samples to packets; where packets come from stands in `worker`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::media::ear::{CLOCK, TOLD_AT_ONCE};
use crate::media::facts::Facts;
use crate::media::line::Line;
use crate::media::plan::{codec, preferred};
use crate::rtp::Micros;
use crate::rtp::codec::{Codec, Encoder, Rate, Repacketizer, Resampler};
use crate::rtp::comfort::{ComfortNoise, NoiseSource};
use crate::rtp::dtmf::KeyPlayer;
use crate::rtp::event::{Event, EventSender};
use crate::rtp::packet::Header;
use crate::rtp::rewrite::{Rewriter, StreamId};
use crate::rtp::sdes::Crypto;
use crate::rtp::srtp::{RTCP_OVERHEAD, RTP_OVERHEAD, SrtpSender};
use crate::types::{AudioFormat, CryptoLine, Dtmf, MediaStream, OtherFormat};

/// How long a key is pressed, and how long until the next, in ms.
const KEY_MILLIS: u32 = 100;
const KEY_PAUSE: u32 = 100;
/// -dBm0 of a key as an event, and dBov of each of its tones.
const KEY_VOLUME: u8 = 10;
const KEY_LEVEL: f32 = -13.0;
/// Keys that wait to be pressed.
const KEYS: usize = 64;
/// So many packets in a row of another length than agreed are not an accident.
const ODD: u8 = 3;
/// The longest packet that is written: 60 ms.
pub(super) const LONGEST_MILLIS: usize = 60;
/// Room for a packet and its tag.
pub(super) const ROOM: usize = 12 + 8 * 120 + RTP_OVERHEAD + RTCP_OVERHEAD;

/// What became of something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It left.
    Sent,
    /// The system did not take it.
    Unsent,
    /// It was not to leave, or not yet.
    Kept,
}

/// Whose packets the stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Of another leg's, as they are.
    Straight,
    /// Of another leg's, in other lengths.
    Repacked,
    /// Of the box.
    Voiced,
}

enum Pressing {
    Event(EventSender),
    Tone(KeyPlayer),
}

struct Voice {
    encoder: Encoder,
    rate: Rate,
    resampler: Resampler,
    sequence: u16,
    timestamp: u32,
}

impl Voice {
    fn new(codec: Codec) -> Self {
        let rate = codec.rate();
        let resampler = Resampler::new(rate, rate);
        Self { encoder: Encoder::new(codec), rate, resampler, sequence: 0, timestamp: 0 }
    }
}

struct Repacker {
    pieces: Repacketizer,
    sequence: u16,
}

/// One leg's sending half. What every packet needs stands first and together.
#[repr(C)]
pub(super) struct Mouth {
    rewriter: Rewriter,
    sent: u32,
    octets: u32,
    stream: u32,
    odd: u8,
    open: bool,
    secure: bool,
    mode: Mode,
    /// Milliseconds in a packet.
    pub(super) millis: usize,
    srtp: Option<Box<SrtpSender>>,
    pressing: Option<Box<Pressing>>,
    noise: Option<Box<(ComfortNoise, NoiseSource)>>,
    /// A time for the next packet is set; which one, so that an old one is known.
    pub(super) ticking: Option<u32>,
    keys: VecDeque<Dtmf>,
    facts: Arc<Facts>,
    pause: u32,
    our_line: Option<CryptoLine>,
    format: Option<AudioFormat>,
    event: Option<OtherFormat>,
    voice: Option<Box<Voice>>,
    repacker: Option<Box<Repacker>>,
}

impl Mouth {
    /// A stream with a random beginning.
    pub(super) fn new(ssrc: u32, sequence: u16, timestamp: u32, facts: Arc<Facts>) -> Self {
        Self {
            rewriter: Rewriter::new(ssrc, sequence, timestamp, CLOCK),
            srtp: None,
            our_line: None,
            secure: false,
            format: None,
            event: None,
            millis: 20,
            open: false,
            stream: 0,
            mode: Mode::Straight,
            voice: None,
            repacker: None,
            odd: 0,
            keys: VecDeque::new(),
            pressing: None,
            pause: 0,
            noise: None,
            sent: 0,
            octets: 0,
            facts,
            ticking: None,
        }
    }

    /// What was agreed, first or again.
    pub(super) fn agree(&mut self, stream: &MediaStream, now: Micros) {
        let ours = stream.srtp.as_ref().map(|(ours, _)| ours);
        self.secure = ours.is_some();
        if self.our_line.as_ref() != ours {
            self.our_line = ours.cloned();
            let key = ours.and_then(|line| Crypto::parse(&line.0).ok());
            self.srtp = key.map(|c| Box::new(SrtpSender::new(c.suite, &c.key)));
        }
        let format = preferred(stream);
        if self.format.map(|f| f.codec) != format.map(|f| f.codec) {
            self.voice = None;
        }
        (self.format, self.event) = (format, stream.telephone_event);
        self.millis = usize::from(stream.ptime / 10 * 10).clamp(10, LONGEST_MILLIS);
        let open = stream.sends && stream.remote.is_some();
        if open && !self.open {
            self.begin(Mode::Straight, now);
        }
        self.open = open;
    }

    /// What is said next comes from somewhere else.
    pub(super) fn turn(&mut self, now: Micros) {
        self.noise = None;
        self.begin(Mode::Straight, now);
    }

    fn begin(&mut self, mode: Mode, now: Micros) {
        self.stream = self.stream.wrapping_add(1);
        self.rewriter.part(now);
        (self.mode, self.repacker, self.odd) = (mode, None, 0);
    }

    /// The source that the far end sees.
    pub(super) fn ssrc(&self) -> u32 {
        self.rewriter.ssrc()
    }

    pub(super) fn timestamp_at(&self, now: Micros) -> u32 {
        self.rewriter.timestamp_at(now)
    }

    /// Packets sent, and bytes of payload.
    pub(super) fn totals(&self) -> (u32, u32) {
        (self.sent, self.octets)
    }

    /// How the box's own sound is written here.
    pub(super) fn codec(&self) -> Option<Codec> {
        self.format.map(|f| codec(f.codec))
    }

    /// Encrypts a report in place; its length, or none when it must not leave.
    pub(super) fn seal_report(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        match (&mut self.srtp, self.secure) {
            (Some(srtp), _) => srtp.protect_rtcp(buffer, len).ok(),
            (None, false) => Some(len),
            (None, true) => None,
        }
    }

    fn put(&mut self, line: &Line, buffer: &mut [u8], len: usize, payload: usize) -> Said {
        let whole = match (&mut self.srtp, self.secure) {
            (Some(srtp), _) => srtp.protect(buffer, len).ok(),
            (None, false) => Some(len),
            (None, true) => None,
        };
        let Some(datagram) = whole.and_then(|whole| buffer.get(..whole)) else { return Said::Unsent };
        if !line.send(datagram) {
            return Said::Unsent;
        }
        self.sent = self.sent.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(payload).unwrap_or(0));
        if self.sent <= TOLD_AT_ONCE {
            self.publish();
        }
        Said::Sent
    }

    /// Lets others read what was counted.
    pub(super) fn publish(&self) {
        self.facts.set_sent(self.sent);
    }

    /// Sends the packet of another leg in the first `len` bytes of `buffer`, behind which there is room. `header` has
    /// the payload type under which it leaves; `payload` is where its sound lies, and none for anything else.
    pub(super) fn relay(
        &mut self,
        line: &Line,
        header: &Header,
        buffer: &mut [u8],
        len: usize,
        payload: Option<(usize, usize)>,
        now: Micros,
    ) -> Said {
        if !self.open {
            return Said::Kept;
        }
        if self.pressing.is_some() {
            if self.mode == Mode::Straight {
                self.rewriter.swallow(StreamId(self.stream), header, now);
            }
            return Said::Kept;
        }
        if let Some((from, to)) = payload
            && (self.mode != Mode::Straight || to - from != 8 * self.millis)
            && let Some(said) = self.other_length(line, header, buffer, from..to, now)
        {
            return said;
        }
        let Some(header) = self.rewriter.rewrite(StreamId(self.stream), header, now) else {
            return Said::Kept;
        };
        if header.patch(buffer).is_err() {
            return Said::Kept;
        }
        self.put(line, buffer, len, len.saturating_sub(12))
    }

    /// A packet of another length than agreed, or the first straight one after something else; none when it leaves
    /// as it is.
    fn other_length(
        &mut self,
        line: &Line,
        header: &Header,
        buffer: &[u8],
        payload: std::ops::Range<usize>,
        now: Micros,
    ) -> Option<Said> {
        if self.mode == Mode::Voiced {
            self.noise = None;
            self.begin(Mode::Straight, now);
        }
        if self.mode == Mode::Straight {
            self.odd = if payload.len() == 8 * self.millis { 0 } else { self.odd + 1 };
            if self.odd < ODD {
                return None;
            }
            self.begin(Mode::Repacked, now);
            // All codecs that are relayed have eight bytes a millisecond.
            let pieces = Repacketizer::new(Codec::Pcmu, self.millis);
            self.repacker = Some(Box::new(Repacker { pieces, sequence: 0 }));
        }
        let mut repacker = self.repacker.take()?;
        let said = self.repack(&mut repacker, line, header, buffer.get(payload)?, now);
        self.repacker = Some(repacker);
        Some(said)
    }

    fn repack(
        &mut self,
        repacker: &mut Repacker,
        line: &Line,
        header: &Header,
        payload: &[u8],
        now: Micros,
    ) -> Said {
        if !repacker.pieces.push(payload, header.timestamp, header.marker) {
            return Said::Kept;
        }
        let mut said = Said::Kept;
        while let Some(piece) = repacker.pieces.pop() {
            repacker.sequence = repacker.sequence.wrapping_add(1);
            let (marker, timestamp) = (piece.marker, piece.timestamp);
            let header = Header { marker, timestamp, sequence: repacker.sequence, ..*header };
            let mut packet = [0; ROOM];
            let left = self.rewriter.rewrite(StreamId(self.stream), &header, now);
            let Some(len) = left.and_then(|h| h.write(piece.payload, &mut packet).ok()) else { continue };
            said = self.put(line, &mut packet, len, piece.payload.len());
        }
        said
    }

    /// True while keys of another leg can be relayed as they come; else [`Mouth::hold_key`] says them anew.
    pub(super) fn is_straight(&self) -> bool {
        self.mode == Mode::Straight
    }

    /// A key is to be pressed; false when too many wait.
    pub(super) fn press(&mut self, key: Dtmf) -> bool {
        let room = self.keys.len() < KEYS;
        if room {
            self.keys.push_back(key);
        }
        room
    }

    /// The far end of the other leg holds a key.
    pub(super) fn hold_key(&mut self, event: Event, now: Micros) {
        let Some(format) = self.event.filter(|_| self.pressing.is_none()) else { return };
        let timestamp = self.rewriter.timestamp_at(now);
        self.pressing = Some(Box::new(Pressing::Event(EventSender::new(
            event,
            KEY_VOLUME,
            timestamp,
            format.clock,
            None,
        ))));
    }

    /// And lets it go.
    pub(super) fn release_key(&mut self) {
        if let Some(Pressing::Event(sender)) = self.pressing.as_deref_mut() {
            sender.release();
        }
    }

    /// The other leg's background, for as long as it says nothing.
    pub(super) fn set_noise(&mut self, payload: &[u8], now: Micros) {
        let Some(noise) = ComfortNoise::parse(payload) else { return };
        if self.mode != Mode::Voiced {
            self.begin(Mode::Voiced, now);
        }
        let seed = self.rewriter.ssrc();
        match &mut self.noise {
            Some(old) => old.0 = noise,
            None => self.noise = Some(Box::new((noise, NoiseSource::new(seed)))),
        }
    }

    /// Keys are being pressed: nothing else is said.
    pub(super) fn is_pressing(&self) -> bool {
        self.pressing.is_some()
    }

    /// True when there is something that only time brings forth.
    pub(super) fn wants_time(&self) -> bool {
        self.pressing.is_some() || !self.keys.is_empty() || self.noise.is_some() || self.mode == Mode::Voiced
    }

    /// The samples in `frame` are said next. To be called once in a packet's time; empty when there is nothing but
    /// keys and noise.
    pub(super) fn tick(&mut self, line: &Line, frame: &[i16], rate: Rate, now: Micros) -> Said {
        self.advance();
        if self.pressing.is_none() && self.pause == 0 {
            self.next_key(now);
        }
        let millis = u32::try_from(self.millis).unwrap_or(20);
        self.pause = self.pause.saturating_sub(millis);
        match self.pressing.take().map(|pressing| *pressing) {
            Some(Pressing::Event(sender)) => self.tick_event(line, sender, now),
            Some(Pressing::Tone(player)) => self.tick_tone(line, player, now),
            None if !frame.is_empty() => self.say(line, frame, rate, now),
            None => self.tick_noise(line, now),
        }
    }

    /// The voice's clock goes on, whether it says something or not.
    fn advance(&mut self) {
        let ticks = u32::try_from(8 * self.millis).unwrap_or(160);
        if let Some(voice) = &mut self.voice {
            voice.timestamp = voice.timestamp.wrapping_add(ticks);
        }
    }

    fn next_key(&mut self, now: Micros) {
        // Before anything is agreed they wait; on hold there is nobody to press them for.
        if self.format.is_none() {
            return;
        }
        let Some(key) = self.keys.pop_front().filter(|_| self.open) else { return };
        if let Some(event) = self.event {
            let timestamp = self.rewriter.timestamp_at(now);
            let (key, length) = (Event::Key(key), Some(KEY_MILLIS));
            let sender = EventSender::new(key, KEY_VOLUME, timestamp, event.clock, length);
            self.pressing = Some(Box::new(Pressing::Event(sender)));
        } else if let Some(codec) = self.codec() {
            let player = KeyPlayer::new(key, KEY_LEVEL, 100, 100, codec.rate());
            self.begin(Mode::Voiced, now);
            self.pressing = Some(Box::new(Pressing::Tone(player)));
        }
    }

    fn tick_event(&mut self, line: &Line, mut sender: EventSender, now: Micros) -> Said {
        let Some(format) = self.event.filter(|_| self.open) else { return Said::Kept };
        let millis = u32::try_from(self.millis).unwrap_or(20);
        let Some(packet) = sender.next_packet(millis * (format.clock / 1000)) else {
            self.pause = KEY_PAUSE;
            return Said::Kept;
        };
        self.pressing = Some(Box::new(Pressing::Event(sender)));
        let header = self.rewriter.insert(format.send, packet.marker, Some(packet.timestamp), now);
        let mut room = [0; 64];
        let Ok(len) = header.write(&packet.payload, &mut room) else { return Said::Kept };
        self.put(line, &mut room, len, packet.payload.len())
    }

    fn tick_tone(&mut self, line: &Line, mut player: KeyPlayer, now: Micros) -> Said {
        let Some(rate) = self.codec().map(Codec::rate) else { return Said::Kept };
        let mut samples = [0; LONGEST_MILLIS * 16];
        let Some(frame) = samples.get_mut(..self.millis * rate.per_milli()) else { return Said::Kept };
        let full = player.fill(frame) == frame.len();
        if full {
            self.pressing = Some(Box::new(Pressing::Tone(player)));
        }
        self.say(line, frame, rate, now)
    }

    fn tick_noise(&mut self, line: &Line, now: Micros) -> Said {
        let Some(mut noise) = self.noise.take() else {
            // Keys are over: what comes from elsewhere is straight again.
            if self.mode == Mode::Voiced && self.keys.is_empty() {
                self.begin(Mode::Straight, now);
            }
            return Said::Kept;
        };
        let Some(rate) = self.codec().map(Codec::rate) else { return Said::Kept };
        let mut samples = [0; LONGEST_MILLIS * 16];
        let frame = samples.get_mut(..self.millis * rate.per_milli()).unwrap_or_default();
        noise.1.fill(&noise.0, frame);
        self.noise = Some(noise);
        self.say(line, frame, rate, now)
    }

    /// Writes a frame and sends it.
    fn say(&mut self, line: &Line, frame: &[i16], rate: Rate, now: Micros) -> Said {
        let Some(format) = self.format.filter(|_| self.open) else { return Said::Kept };
        if self.mode != Mode::Voiced {
            self.begin(Mode::Voiced, now);
        }
        let codec = codec(format.codec);
        let voice = self.voice.get_or_insert_with(|| Box::new(Voice::new(codec)));
        if voice.rate != rate {
            (voice.rate, voice.resampler) = (rate, Resampler::new(rate, codec.rate()));
        }
        let mut samples = [0; LONGEST_MILLIS * 16];
        let count = voice.resampler.process(frame, &mut samples);
        let mut payload = [0; LONGEST_MILLIS * 8];
        let len = voice.encoder.encode(samples.get(..count).unwrap_or_default(), &mut payload);
        let payload = payload.get(..len).unwrap_or_default();
        voice.sequence = voice.sequence.wrapping_add(1);
        let header = Header {
            marker: false,
            payload_type: format.send,
            sequence: voice.sequence,
            timestamp: voice.timestamp,
            ssrc: 0,
        };
        let Some(header) = self.rewriter.rewrite(StreamId(self.stream), &header, now) else {
            return Said::Kept;
        };
        let mut packet = [0; ROOM];
        let Ok(len) = header.write(payload, &mut packet) else { return Said::Kept };
        self.put(line, &mut packet, len, payload.len())
    }
}
