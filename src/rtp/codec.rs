//! The codecs of telephones: G.711, G.722 and plain samples; from one to another, and from one packet length to
//! another. Opus is absent: it costs more than all else here, and its packets go through undecoded.

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

use crate::rtp::g711::Law;
use crate::rtp::resample::{Downsampler, Upsampler};
use crate::rtp::timestamp_diff;

/// Samples a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// 8,000.
    Narrow,
    /// 16,000.
    Wide,
}

impl Rate {
    /// Samples in a millisecond.
    #[must_use]
    pub const fn per_milli(self) -> usize {
        match self {
            Self::Narrow => 8,
            Self::Wide => 16,
        }
    }

    /// Samples in a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        match self {
            Self::Narrow => 8000,
            Self::Wide => 16_000,
        }
    }
}

/// How samples are written on the wire. Each has a constant number of bytes for a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Samples as they are, most significant byte first, RFC 3551 §4.5.11.
    L16(Rate),
}

impl Codec {
    /// The payload type of RFC 3551, table 4; none for those that are agreed on.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::L16(_) => None,
        }
    }

    /// By the encoding name and clock rate of an `rtpmap`, which are in any case; none for all others.
    #[must_use]
    pub fn from_rtpmap(name: &str, clock_rate: u32) -> Option<Self> {
        let named = |n: &str| name.eq_ignore_ascii_case(n);
        match clock_rate {
            8000 if named("PCMU") => Some(Self::Pcmu),
            8000 if named("PCMA") => Some(Self::Pcma),
            8000 if named("G722") => Some(Self::G722),
            8000 if named("L16") => Some(Self::L16(Rate::Narrow)),
            16_000 if named("L16") => Some(Self::L16(Rate::Wide)),
            _ => None,
        }
    }

    /// Encoding name and clock rate for an `rtpmap`.
    #[must_use]
    pub const fn rtpmap(self) -> (&'static str, u32) {
        let name = match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::L16(_) => "L16",
        };
        (name, self.clock_rate())
    }

    /// Ticks of the RTP clock in a second: 8000 for G.722 although it has 16,000 samples, RFC 3551 §4.5.2.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8000,
            Self::L16(rate) => rate.hz(),
        }
    }

    /// Rate of the samples.
    #[must_use]
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 => Rate::Wide,
            Self::L16(rate) => rate,
        }
    }

    /// Bytes on the wire for a millisecond.
    #[must_use]
    pub const fn bytes_per_milli(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8,
            Self::L16(rate) => 2 * rate.per_milli(),
        }
    }

    /// Ticks of the RTP clock that so many bytes of payload last.
    #[must_use]
    pub fn ticks(self, bytes: usize) -> u32 {
        let per_tick = match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
            Self::L16(_) => 2,
        };
        u32::try_from(bytes / per_tick).unwrap_or(u32::MAX)
    }

    /// Samples in so many bytes of payload.
    #[must_use]
    pub fn samples(self, bytes: usize) -> usize {
        bytes * self.rate().per_milli() / self.bytes_per_milli()
    }
}

/// Reads payloads of one stream. G.722 remembers what came before.
pub enum Decoder {
    /// G.711.
    G711(Law),
    /// G.722.
    G722(Box<G722Decoder>),
    /// Plain samples.
    L16,
}

impl Decoder {
    /// For a new stream.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::G711(Law::Mu),
            Codec::Pcma => Self::G711(Law::A),
            Codec::G722 => Self::G722(Box::default()),
            Codec::L16(_) => Self::L16,
        }
    }

    /// Returns how many samples were written; what finds no room is left out.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::G711(law) => law.decode(payload, out),
            Self::G722(decoder) => {
                let fits = payload.get(..payload.len().min(out.len() / 2)).unwrap_or_default();
                decoder.decode_into(fits, out).unwrap_or(0)
            }
            Self::L16 => {
                let (pairs, _) = payload.as_chunks::<2>();
                for (sample, pair) in out.iter_mut().zip(pairs) {
                    *sample = i16::from_be_bytes(*pair);
                }
                pairs.len().min(out.len())
            }
        }
    }
}

/// Writes payloads of one stream.
pub enum Encoder {
    /// G.711.
    G711(Law),
    /// G.722.
    G722(Box<G722Encoder>),
    /// Plain samples.
    L16,
}

impl Encoder {
    /// For a new stream.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::G711(Law::Mu),
            Codec::Pcma => Self::G711(Law::A),
            Codec::G722 => Self::G722(Box::default()),
            Codec::L16(_) => Self::L16,
        }
    }

    /// Returns how many bytes were written; what finds no room is left out.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::G711(law) => law.encode(samples, out),
            Self::G722(encoder) => {
                let pairs = (samples.len() / 2).min(out.len());
                encoder.encode_into(samples.get(..2 * pairs).unwrap_or_default(), out).unwrap_or(0)
            }
            Self::L16 => {
                let (pairs, _) = out.as_chunks_mut::<2>();
                for (pair, sample) in pairs.iter_mut().zip(samples) {
                    *pair = sample.to_be_bytes();
                }
                2 * samples.len().min(pairs.len())
            }
        }
    }
}

/// Brings samples from one rate to another, or leaves them.
#[derive(Clone, Debug)]
pub enum Resampler {
    /// The same rate.
    Same,
    /// To twice the rate.
    Up(Box<Upsampler>),
    /// To half the rate.
    Down(Box<Downsampler>),
}

impl Resampler {
    /// Between two rates.
    #[must_use]
    pub fn new(from: Rate, to: Rate) -> Self {
        match (from, to) {
            (Rate::Narrow, Rate::Wide) => Self::Up(Box::default()),
            (Rate::Wide, Rate::Narrow) => Self::Down(Box::default()),
            (Rate::Narrow, Rate::Narrow) | (Rate::Wide, Rate::Wide) => Self::Same,
        }
    }

    /// Returns how many samples were written.
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) -> usize {
        match self {
            Self::Same => {
                let count = samples.len().min(out.len());
                out.iter_mut().zip(samples).for_each(|(o, s)| *o = *s);
                count
            }
            Self::Up(upsampler) => upsampler.process(samples, out),
            Self::Down(downsampler) => downsampler.process(samples, out),
        }
    }
}

enum Route {
    Copy,
    Recode(Law),
    Decode(Decoder, Resampler, Encoder),
}

/// From one codec to another, payload by payload. A packet's length in time stays what it is.
pub struct Transcoder {
    from: Codec,
    route: Route,
}

impl Transcoder {
    /// For a new stream.
    #[must_use]
    pub fn new(from: Codec, to: Codec) -> Self {
        let route = match (from, to) {
            (Codec::Pcmu, Codec::Pcma) => Route::Recode(Law::Mu),
            (Codec::Pcma, Codec::Pcmu) => Route::Recode(Law::A),
            _ if from == to => Route::Copy,
            _ => Route::Decode(Decoder::new(from), Resampler::new(from.rate(), to.rate()), Encoder::new(to)),
        };
        Self { from, route }
    }

    /// Returns how many bytes were written; what finds no room is left out.
    pub fn transcode(&mut self, payload: &[u8], out: &mut [u8]) -> usize {
        match &mut self.route {
            Route::Copy | Route::Recode(_) => {
                let count = payload.len().min(out.len());
                out.iter_mut().zip(payload).for_each(|(o, b)| *o = *b);
                if let (Route::Recode(law), Some(codes)) = (&self.route, out.get_mut(..count)) {
                    law.recode_in_place(codes);
                }
                count
            }
            Route::Decode(decoder, resampler, encoder) => {
                let mut written = 0;
                for chunk in payload.chunks(10 * self.from.bytes_per_milli()) {
                    let mut before = [0; 160];
                    let mut after = [0; 320];
                    let decoded = decoder.decode(chunk, &mut before);
                    let samples = before.get(..decoded).unwrap_or_default();
                    let count = resampler.process(samples, &mut after);
                    let room = out.get_mut(written..).unwrap_or_default();
                    written += encoder.encode(after.get(..count).unwrap_or_default(), room);
                }
                written
            }
        }
    }
}

/// One payload of the wanted length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// In the codec that went in.
    pub payload: &'a [u8],
    /// On the clock of the packets that went in.
    pub timestamp: u32,
    /// It begins a talk spurt.
    pub marker: bool,
}

/// The longest packets on either side, in milliseconds.
const LONGEST_MILLIS: usize = 120;

/// From one packet length to another (10, 20, 30, 40 ms and whatever comes in), without decoding.
#[derive(Clone, Debug)]
pub struct Repacketizer {
    codec: Codec,
    want: usize,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    timestamp: u32,
    marker: bool,
    /// Where the time jumps: bytes before it, and the timestamp and marker behind it.
    jump: Option<(usize, u32, bool)>,
}

impl Repacketizer {
    /// Makes packets of `millis` milliseconds, at least 1 and at most 120.
    #[must_use]
    pub fn new(codec: Codec, millis: usize) -> Self {
        let want = codec.bytes_per_milli() * millis.clamp(1, LONGEST_MILLIS);
        let bytes = vec![0; codec.bytes_per_milli() * 2 * LONGEST_MILLIS].into();
        Self { codec, want, bytes, start: 0, end: 0, timestamp: 0, marker: false, jump: None }
    }

    /// Takes one payload; ask [`Repacketizer::pop`] until there is none before the next. Where timestamps jump, what
    /// is held goes out as a shorter packet, so that time stays true. Returns false for what is longer than 120 ms
    /// or finds no room.
    pub fn push(&mut self, payload: &[u8], timestamp: u32, marker: bool) -> bool {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let held = self.end;
        let expected = self.timestamp.wrapping_add(self.codec.ticks(held));
        if held == 0 {
            (self.timestamp, self.marker, self.jump) = (timestamp, marker, None);
        } else if timestamp_diff(timestamp, expected) != 0 {
            if self.jump.is_some() {
                return false;
            }
            self.jump = Some((held, timestamp, marker));
        }
        let room = self.bytes.get_mut(held..held + payload.len());
        let Some(room) = room.filter(|_| payload.len() <= self.codec.bytes_per_milli() * LONGEST_MILLIS)
        else {
            self.jump = None;
            return false;
        };
        room.copy_from_slice(payload);
        self.end += payload.len();
        true
    }

    /// The next packet, if enough has come in for one.
    pub fn pop(&mut self) -> Option<Piece<'_>> {
        let held = self.end - self.start;
        let (start, timestamp, marker) = (self.start, self.timestamp, self.marker);
        let count = match self.jump {
            Some((before, then, begins)) if before <= self.want => {
                self.jump = None;
                (self.timestamp, self.marker) = (then, begins);
                before
            }
            _ if held < self.want => return None,
            jump => {
                self.jump = jump.map(|(before, then, begins)| (before - self.want, then, begins));
                self.timestamp = timestamp.wrapping_add(self.codec.ticks(self.want));
                self.marker = false;
                self.want
            }
        };
        self.start += count;
        let payload = self.bytes.get(start..start + count)?;
        Some(Piece { payload, timestamp, marker })
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
