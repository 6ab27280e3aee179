//! Frames of samples out of packets: jitter buffer, decoder, concealment, comfort noise and shortening in one, for a
//! leg that is heard, mixed or transcoded. A relay between equal codecs needs none of it.

use crate::rtp::Micros;
use crate::rtp::codec::{Codec, Decoder};
use crate::rtp::comfort::{ComfortNoise, NoiseSource};
use crate::rtp::conceal::{Concealer, shorten};
use crate::rtp::jitter::{JitterBuffer, JitterConfig, JitterCounts, Next, Pushed};
use crate::rtp::packet::Packet;

/// Samples kept between frames, in milliseconds: a packet of 120 ms and two frames.
const ROOM_MILLIS: usize = 160;
/// Longest payload that is decoded, in milliseconds.
const LONGEST_MILLIS: usize = 60;
/// So many frames in a row must have too much before something is cut out.
const PATIENCE: u8 = 10;
/// A gap in time longer than this is not waited out.
const LONGEST_GAP_MILLIS: usize = 200;

/// What was added to a frame first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// As it was sent.
    Speech,
    /// Made up for a loss.
    Concealed,
    /// The background that the sender described.
    Noise,
    /// Nothing was sent.
    Silence,
}

/// Samples that must be made up before the next packet is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Lost(usize),
    Gap(usize),
}

/// Which payload types a leg agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutPayloads {
    /// How its audio is written.
    pub codec: Codec,
    /// The payload type of audio.
    pub audio: u8,
    /// That of comfort noise.
    pub noise: Option<u8>,
    /// That of telephone-events, which are not heard.
    pub event: Option<u8>,
}

/// One stream as frames.
pub struct Playout {
    payloads: PlayoutPayloads,
    buffer: JitterBuffer,
    decoder: Decoder,
    concealer: Concealer,
    source: NoiseSource,
    noise: Option<ComfortNoise>,
    samples: Box<[i16]>,
    held: usize,
    owed: Option<Owed>,
    excess: u8,
}

impl Playout {
    /// For a new stream; `least` and `most` are the bounds of the delay in microseconds, `seed` chooses the noise.
    #[must_use]
    pub fn new(payloads: PlayoutPayloads, least: u64, most: u64, seed: u32) -> Self {
        let codec = payloads.codec;
        let longest = codec.bytes_per_milli() * LONGEST_MILLIS;
        let config = JitterConfig { clock_rate: codec.clock_rate(), least, most, longest };
        Self {
            payloads,
            buffer: JitterBuffer::new(config),
            decoder: Decoder::new(codec),
            concealer: Concealer::new(codec.rate()),
            source: NoiseSource::new(seed),
            noise: None,
            samples: vec![0; ROOM_MILLIS * codec.rate().per_milli()].into(),
            held: 0,
            owed: None,
            excess: 0,
        }
    }

    /// Takes a packet of the stream.
    pub fn push(&mut self, packet: &Packet<'_>, now: Micros) -> Pushed {
        let kind = packet.header.payload_type;
        if kind == self.payloads.audio || Some(kind) == self.payloads.noise {
            self.buffer.push(packet, now)
        } else {
            self.buffer.skip(packet, now)
        }
    }

    /// What has happened to packets so far.
    #[must_use]
    pub fn counts(&self) -> JitterCounts {
        self.buffer.counts()
    }

    /// The delay that the network asks for, in microseconds.
    #[must_use]
    pub fn delay(&self) -> u64 {
        self.buffer.target()
    }

    /// The next frame, of 60 ms at most: `out` is filled whatever came. To be called once in the frame's time.
    pub fn pull(&mut self, now: Micros, out: &mut [i16]) -> Heard {
        if out.is_empty() {
            return Heard::Silence;
        }
        let milli = self.payloads.codec.rate().per_milli();
        let frame = out.len().min(60 * milli);
        self.excess = if self.buffer.excess() > 0 { self.excess.saturating_add(1) } else { 0 };
        let cut = self.excess >= PATIENCE;
        let want = if cut { frame.max(20 * milli) + 10 * milli } else { frame };
        let mut heard = None;
        while self.held < want {
            let what = self.more(now, frame, milli);
            heard.get_or_insert(what);
            if what == Heard::Silence && self.held >= frame {
                break;
            }
        }
        if cut
            && self.held >= want
            && let Some(samples) = self.samples.get_mut(..self.held)
        {
            self.held = shorten(samples, self.payloads.codec.rate());
            self.excess = 0;
        }
        let (now, rest) = out.split_at_mut(frame);
        now.iter_mut().zip(&self.samples).for_each(|(o, s)| *o = *s);
        rest.fill(0);
        self.samples.copy_within(frame.min(self.held)..self.held, 0);
        self.held = self.held.saturating_sub(frame);
        heard.unwrap_or(Heard::Speech)
    }

    /// Adds samples behind those that are held.
    fn more(&mut self, now: Micros, frame: usize, milli: usize) -> Heard {
        if let Some(owed) = self.owed.take() {
            return self.pay(owed, frame);
        }
        let codec = self.payloads.codec;
        let room = self.samples.get_mut(self.held..).unwrap_or_default();
        let ticks_per_milli = codec.clock_rate() / 1000;
        match self.buffer.next(now) {
            Next::Packet { payload_type, payload, .. } if payload_type == self.payloads.audio => {
                let count = self.decoder.decode(payload, room);
                let ticks = codec.ticks(payload.len());
                self.buffer.played(ticks);
                self.concealer.heard(room.get_mut(..count).unwrap_or_default());
                self.held += count;
                self.noise = None;
                if count == 0 { self.quiet(frame) } else { Heard::Speech }
            }
            Next::Packet { payload, .. } => {
                self.noise = ComfortNoise::parse(payload).or(self.noise);
                self.quiet(frame.min(10 * milli))
            }
            Next::Lost(ticks) => self.pay(Owed::Lost(owed_samples(ticks, ticks_per_milli, milli)), frame),
            Next::Gap(ticks) => self.pay(Owed::Gap(owed_samples(ticks, ticks_per_milli, milli)), frame),
            Next::Wait => {
                let part = (10 * milli).min(room.len());
                self.buffer.waited(10 * ticks_per_milli);
                if self.noise.is_some() {
                    return self.quiet(part);
                }
                self.concealer.conceal(room.get_mut(..part).unwrap_or_default());
                self.held += part;
                Heard::Concealed
            }
            Next::Idle => self.quiet(frame),
        }
    }

    /// A part of what is owed, and notes the rest.
    fn pay(&mut self, owed: Owed, frame: usize) -> Heard {
        let (count, lost) = match owed {
            Owed::Lost(count) => (count, true),
            Owed::Gap(count) => (count, false),
        };
        let part = count.min(frame);
        let rest = count - part;
        if rest > 0 {
            self.owed = Some(if lost { Owed::Lost(rest) } else { Owed::Gap(rest) });
        }
        if !lost {
            return self.quiet(part);
        }
        let room = self.samples.get_mut(self.held..self.held + part).unwrap_or_default();
        self.concealer.conceal(room);
        self.held += room.len();
        Heard::Concealed
    }

    /// Background, or nothing.
    fn quiet(&mut self, count: usize) -> Heard {
        let room = self.samples.get_mut(self.held..).unwrap_or_default();
        let count = count.min(room.len());
        let room = room.get_mut(..count).unwrap_or_default();
        self.held += count;
        match &self.noise {
            Some(noise) => {
                self.source.fill(noise, room);
                Heard::Noise
            }
            None => {
                room.fill(0);
                Heard::Silence
            }
        }
    }
}

fn owed_samples(ticks: u32, ticks_per_milli: u32, milli: usize) -> usize {
    let samples = u64::from(ticks) * u64::try_from(milli).unwrap_or(8) / u64::from(ticks_per_milli.max(1));
    usize::try_from(samples).unwrap_or(usize::MAX).clamp(1, LONGEST_GAP_MILLIS * milli)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::codec::Encoder;
    use crate::rtp::hearing::Spectrum;
    use crate::rtp::mixer::{level, saturate};
    use crate::rtp::packet::Header;
    use proptest::prelude::*;

    struct Line {
        codec: Codec,
        encoder: Encoder,
        playout: Playout,
        sent: u32,
        heard: Vec<i16>,
        kinds: Vec<Heard>,
    }

    impl Line {
        fn new(codec: Codec) -> Self {
            let payloads = PlayoutPayloads { codec, audio: 0, noise: Some(13), event: Some(101) };
            Self {
                codec,
                encoder: Encoder::new(codec),
                playout: Playout::new(payloads, 20_000, 200_000, 1),
                sent: 0,
                heard: Vec::new(),
                kinds: Vec::new(),
            }
        }

        /// A packet of `millis` of 440 Hz; lost ones are encoded and not sent.
        fn say(&mut self, millis: u16, now: Micros, lost: bool) {
            let milli = u16::try_from(self.codec.rate().per_milli()).unwrap();
            let rate = f32::from(milli) * 1000.0;
            let from = self.sent * u32::from(milli);
            let samples: Vec<i16> = (0..millis * milli)
                .map(|i| {
                    let at = f32::from(u16::try_from((from + u32::from(i)) % 16_000).unwrap());
                    saturate(8000.0 * (std::f32::consts::TAU * 440.0 * at / rate).sin())
                })
                .collect();
            let mut payload = [0; 1000];
            let len = self.encoder.encode(&samples, &mut payload);
            if !lost {
                self.send(0, &payload[..len], now);
            }
            self.sent += u32::from(millis);
        }

        fn send(&mut self, payload_type: u8, payload: &[u8], now: Micros) {
            let timestamp = self.sent * self.codec.clock_rate() / 1000;
            let sequence = u16::try_from(self.sent / 10 % 65_536).unwrap();
            // Packets of 20 ms count by ones.
            let header = Header { marker: false, payload_type, sequence: sequence / 2, timestamp, ssrc: 1 };
            let mut bytes = [0; 1100];
            let len = header.write(payload, &mut bytes).unwrap();
            self.playout.push(&Packet::parse(&bytes[..len]).unwrap(), now);
        }

        fn hear(&mut self, now: Micros) {
            let mut frame = vec![1; 20 * self.codec.rate().per_milli()];
            self.kinds.push(self.playout.pull(now, &mut frame));
            self.heard.extend(frame);
        }
    }

    fn at(millis: u64) -> Micros {
        Micros(1_000_000 + 1000 * millis)
    }

    #[test]
    fn a_tone_comes_through_every_codec() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
            let mut line = Line::new(codec);
            for tick in 0..100 {
                line.say(20, at(tick * 20), false);
                line.hear(at(tick * 20));
            }
            let milli = codec.rate().per_milli();
            let heard = Spectrum::of(&line.heard[200 * milli..700 * milli], codec.rate());
            assert!(heard.only(&[440.0]), "{codec:?}: {heard:?}");
            assert!(line.kinds[3..].iter().all(|k| *k == Heard::Speech), "{:?}", line.kinds);
        }
    }

    #[test]
    fn five_percent_of_loss_is_hardly_heard() {
        let mut line = Line::new(Codec::Pcmu);
        for tick in 0..400 {
            line.say(20, at(tick * 20), tick % 20 == 11);
            line.hear(at(tick * 20));
        }
        let concealed = line.kinds.iter().filter(|k| **k == Heard::Concealed).count();
        assert!((15..=45).contains(&concealed), "{concealed}");
        let levels: Vec<i8> = line.heard[800..60_000].chunks(160).map(level).collect();
        assert!(levels.iter().all(|l| (-20..=-13).contains(l)), "{levels:?}");
        assert_eq!(line.playout.counts().lost, 20);
    }

    #[test]
    fn a_described_background_is_heard_until_speech_begins_again() {
        let mut line = Line::new(Codec::Pcmu);
        for tick in 0..60 {
            match tick {
                0..=9 | 50.. => line.say(20, at(tick * 20), false),
                10 => {
                    line.send(13, &[45], at(tick * 20));
                    line.sent += 20;
                }
                _ => line.sent += 20,
            }
            line.hear(at(tick * 20));
        }
        assert!(line.kinds[15..45].iter().all(|k| *k == Heard::Noise), "{:?}", line.kinds);
        let heard = level(&line.heard[15 * 160..45 * 160]);
        assert!((-47..=-43).contains(&heard), "{heard}");
        assert_eq!(line.kinds[55..], [Heard::Speech; 5]);
    }

    proptest! {
        #[test]
        fn any_stream_fills_every_frame(
            codec in prop::sample::select(&[Codec::Pcmu, Codec::G722][..]),
            packets in prop::collection::vec((any::<u16>(), any::<u32>(), prop::sample::select(&[0u8, 13, 101, 7][..]), 0usize..600, 0u64..60), 1..80),
            near in any::<bool>(),
        ) {
            let payloads = PlayoutPayloads { codec, audio: 0, noise: Some(13), event: Some(101) };
            let mut playout = Playout::new(payloads, 20_000, 200_000, 1);
            let mut now = Micros(0);
            for (sequence, timestamp, payload_type, len, wait) in packets {
                let header = if near {
                    Header { payload_type, sequence: sequence % 64, timestamp: timestamp % 10_000, ..Header::default() }
                } else {
                    Header { payload_type, sequence, timestamp, ..Header::default() }
                };
                let mut bytes = vec![0; 12 + len];
                header.write(&vec![0x55; len], &mut bytes).unwrap();
                playout.push(&Packet::parse(&bytes).unwrap(), now);
                now = now.plus(wait * 1000);
                let mut frame = vec![0; 20 * codec.rate().per_milli()];
                playout.pull(now, &mut frame);
                prop_assert!(playout.held <= playout.samples.len());
            }
        }
    }
}
