//! What each step of a packet or frame costs, in nanoseconds: run by hand with `--release`, on a machine that does
//! nothing else. The figures are the best of several rounds, so that other work on the machine shows least.

use std::hint::black_box;
use std::time::Instant;

use backroom::rtp::Micros;
use backroom::rtp::codec::{Codec, Rate, Transcoder};
use backroom::rtp::comfort::{ComfortNoise, NoiseSource};
use backroom::rtp::conceal::Concealer;
use backroom::rtp::dtmf::KeyListener;
use backroom::rtp::g711::Law;
use backroom::rtp::mixer::{Mix, gain, level};
use backroom::rtp::packet::{Header, Packet};
use backroom::rtp::playout::{Playout, PlayoutPayloads};
use backroom::rtp::reception::Reception;
use backroom::rtp::rewrite::{Rewriter, StreamId};
use backroom::rtp::sdes::{MasterKey, Suite};
use backroom::rtp::srtp::{SrtpReceiver, SrtpSender};
use backroom::rtp::tones::ToneSource;

const ROUNDS: u32 = 7;
const PACKETS: u16 = 20_000;

/// Nanoseconds of one `step`, best of the rounds; each is told its number.
fn measure(name: &str, mut step: impl FnMut(u16)) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for n in 0..PACKETS {
            step(n);
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS));
    }
    println!("{name:<54} {best:>9.1} ns");
}

fn packet(sequence: u16, payload_type: u8) -> [u8; 190] {
    let header = Header {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 0x1234_5678,
    };
    let mut bytes = [0; 190];
    let mut payload = [0; 160];
    let mut samples = [0; 160];
    ToneSource::new(&[440.0, 620.0], -16.0, Rate::Narrow).fill(&mut samples);
    Law::Mu.encode(&samples, &mut payload);
    if header.write(&payload, &mut bytes).is_err() {
        println!("the packet does not fit");
    }
    bytes
}

fn relay() {
    let mut bytes = packet(0, 0);
    let mut sequence = 0u16;
    measure("parse", |_| {
        black_box(Packet::parse(black_box(&bytes[..172])).is_ok());
    });
    let mut rewriter = Rewriter::new(1, 2, 3, 8000);
    measure("parse, rewrite, patch: the whole relay path", |_| {
        sequence = sequence.wrapping_add(1);
        bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        bytes[8..12].copy_from_slice(&7u32.to_be_bytes());
        let Ok(packet) = Packet::parse(black_box(&bytes[..172])) else { return };
        let now = Micros(u64::from(sequence) * 20_000);
        if let Some(header) = rewriter.rewrite(StreamId(1), &packet.header, now) {
            black_box(header.patch(&mut bytes).is_ok());
        }
    });
    let mut reception = Reception::new(7, 8000, 0);
    measure("reception statistics", |n| {
        let header = Header { sequence: n, timestamp: u32::from(n) * 160, ..Header::default() };
        black_box(reception.packet(&header, Micros(u64::from(n) * 20_000)));
    });
}

fn frames() {
    let mut samples = [0i16; 160];
    ToneSource::new(&[440.0, 620.0], -16.0, Rate::Narrow).fill(&mut samples);
    let mut wire = [0u8; 320];
    let mut out = [0i16; 320];
    for law in [Law::Mu, Law::A] {
        measure(&format!("G.711 {law:?}-law encode, 20 ms"), |_| {
            law.encode(black_box(&samples), &mut wire);
            black_box(&mut wire);
        });
        measure(&format!("G.711 {law:?}-law decode, 20 ms"), |_| {
            law.decode(black_box(&wire[..160]), &mut out);
            black_box(&mut out);
        });
    }
    for (from, to) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcmu, Codec::G722), (Codec::G722, Codec::Pcma)] {
        let mut transcoder = Transcoder::new(from, to);
        let bytes = packet(0, 0);
        measure(&format!("transcode {from:?} to {to:?}, 20 ms"), |_| {
            transcoder.transcode(black_box(&bytes[12..172]), &mut wire);
            black_box(&mut wire);
        });
    }
    let mut mix = Mix::<160>::default();
    let mut heard = [0; 160];
    measure("conference of 8: add and hear, 20 ms for all", |_| {
        mix.clear();
        (0..8).for_each(|_| mix.add(black_box(&samples)));
        (0..8).for_each(|_| mix.without(black_box(&samples), &mut heard));
        black_box(&mut heard);
    });
    measure("gain, 20 ms", |_| gain(black_box(&mut heard), 0.99));
    measure("level, 20 ms", |_| {
        black_box(level(black_box(&samples)));
    });
    let mut listener = KeyListener::new(Rate::Narrow);
    measure("listen for keys, 20 ms", |_| {
        listener.listen(black_box(&samples), |sound| {
            black_box(sound);
        })
    });
    let mut tone = ToneSource::new(&[350.0, 440.0], -16.0, Rate::Narrow);
    measure("dial tone, 20 ms", |_| tone.fill(black_box(&mut heard)));
    let mut noise = NoiseSource::new(1);
    let colour = ComfortNoise::white(60);
    measure("comfort noise, 20 ms", |_| noise.fill(&colour, black_box(&mut heard)));
    let mut concealer = Concealer::new(Rate::Narrow);
    measure("heard and concealed in turn, 40 ms", |_| {
        concealer.heard(black_box(&mut samples));
        concealer.conceal(black_box(&mut heard));
    });
}

fn playout() {
    let payloads = PlayoutPayloads { codec: Codec::Pcmu, audio: 0, noise: Some(13), event: Some(101) };
    let mut playout = Playout::new(payloads, 20_000, 200_000, 1);
    let mut bytes = packet(0, 0);
    let mut sequence = 0u16;
    let mut now = 0;
    let mut timestamp = 0u32;
    let mut frame = [0; 160];
    measure("playout: push and pull, G.711, 20 ms", |_| {
        now += 20_000;
        sequence = sequence.wrapping_add(1);
        timestamp = timestamp.wrapping_add(160);
        let header = Header { marker: false, payload_type: 0, sequence, timestamp, ssrc: 7 };
        black_box(header.patch(&mut bytes).is_ok());
        if let Ok(packet) = Packet::parse(&bytes[..172]) {
            black_box(playout.push(&packet, Micros(now)));
        }
        playout.pull(Micros(now), &mut frame);
        black_box(&mut frame);
    });
    let counts = playout.counts();
    println!("  (of these {} played, {} late, {} lost)", counts.played, counts.late, counts.lost);
}

fn srtp() {
    for suite in [Suite::Sha1Tag80, Suite::Sha1Tag32] {
        let key = MasterKey::from_bytes(&[7; 30]);
        let mut sender = SrtpSender::new(suite, &key);
        let mut receiver = SrtpReceiver::new(suite, &key);
        let mut sequence = 0u16;
        let plain = packet(0, 0);
        measure(&format!("SRTP protect {}", suite.name()), |_| {
            sequence = sequence.wrapping_add(1);
            let mut bytes = plain;
            bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
            black_box(sender.protect(&mut bytes, 172).is_ok());
        });
        measure(&format!("SRTP protect and unprotect {}", suite.name()), |_| {
            sequence = sequence.wrapping_add(1);
            let mut bytes = plain;
            bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
            let len = sender.protect(&mut bytes, 172).unwrap_or(0);
            black_box(receiver.unprotect(&mut bytes[..len]).is_ok());
        });
    }
}

fn main() {
    println!("best of {ROUNDS} rounds of {PACKETS}, one thread");
    relay();
    frames();
    playout();
    srtp();
}
