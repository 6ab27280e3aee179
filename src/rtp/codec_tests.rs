//! Codecs against what is known of them, and time across packet lengths.

use super::*;
use crate::rtp::mixer::{level, saturate};
use proptest::prelude::*;

const ALL: [Codec; 5] =
    [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::L16(Rate::Narrow), Codec::L16(Rate::Wide)];

fn sine(hz: f32, rate: Rate, millis: u16) -> Vec<i16> {
    let per_milli = if rate == Rate::Narrow { 8 } else { 16 };
    let angle = std::f32::consts::TAU * hz / (f32::from(per_milli) * 1000.0);
    (0..millis * per_milli).map(|i| saturate((angle * f32::from(i)).sin() * 10_000.0)).collect()
}

/// Signal over noise in dB, at the delay where it is best.
fn quality(heard: &[i16], said: &[i16]) -> f64 {
    let at = |delay: usize| {
        let (mut signal, mut noise) = (0.0, 1e-9);
        for (heard, said) in heard[delay..].iter().zip(said).skip(800) {
            signal += f64::from(*said).powi(2);
            noise += (f64::from(*heard) - f64::from(*said)).powi(2);
        }
        10.0 * (signal / noise).log10()
    };
    (0..120).map(at).fold(f64::MIN, f64::max)
}

#[test]
fn every_codec_gives_a_tone_back() {
    for codec in ALL {
        let said = sine(1000.0, codec.rate(), 400);
        let (mut wire, mut heard) = (vec![0; 20_000], vec![0; 20_000]);
        let bytes = Encoder::new(codec).encode(&said, &mut wire);
        assert_eq!(bytes, 400 * codec.bytes_per_milli(), "{codec:?}");
        let samples = Decoder::new(codec).decode(&wire[..bytes], &mut heard);
        assert_eq!((samples, codec.samples(bytes)), (said.len(), said.len()), "{codec:?}");
        assert_eq!(codec.ticks(bytes), 400 * codec.clock_rate() / 1000);
        let quality = quality(&heard[..samples], &said);
        assert!(quality > 30.0, "{codec:?}: {quality} dB");
    }
}

#[test]
fn every_codec_to_every_other_keeps_tone_level_and_time() {
    for from in ALL {
        for to in ALL {
            let said = sine(700.0, from.rate(), 400);
            let mut wire = vec![0; 20_000];
            let bytes = Encoder::new(from).encode(&said, &mut wire);
            let mut transcoder = Transcoder::new(from, to);
            let mut other = Vec::new();
            for payload in wire[..bytes].chunks(20 * from.bytes_per_milli()) {
                let mut out = [0; 1000];
                let count = transcoder.transcode(payload, &mut out);
                assert_eq!(count, 20 * to.bytes_per_milli(), "{from:?} to {to:?}");
                other.extend_from_slice(&out[..count]);
            }
            let mut heard = vec![0; 400 * to.rate().per_milli()];
            Decoder::new(to).decode(&other, &mut heard);
            let wanted = sine(700.0, to.rate(), 400);
            let quality = quality(&heard, &wanted);
            assert!(quality > 28.0, "{from:?} to {to:?}: {quality} dB");
            assert_eq!(level(&heard[1000..]), level(&wanted[1000..]), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn names_clocks_and_payload_types_are_those_of_rfc_3551() {
    for codec in ALL {
        let (name, clock) = codec.rtpmap();
        assert_eq!(Codec::from_rtpmap(&name.to_lowercase(), clock), Some(codec));
    }
    assert_eq!((Codec::G722.rtpmap(), Codec::G722.rate()), (("G722", 8000), Rate::Wide));
    assert_eq!(Codec::from_rtpmap("G722", 16_000), None);
    assert_eq!(Codec::from_rtpmap("opus", 48_000), None);
    assert_eq!(ALL.map(Codec::static_payload_type), [Some(0), Some(8), Some(9), None, None]);
}

#[test]
fn where_time_jumps_a_shorter_packet_goes_out() {
    let mut packets = Repacketizer::new(Codec::Pcmu, 30);
    assert!(packets.push(&[1; 160], 1000, true));
    assert_eq!(packets.pop(), None);
    assert!(packets.push(&[2; 160], 5000, true));
    assert_eq!(packets.pop(), Some(Piece { payload: &[1; 160], timestamp: 1000, marker: true }));
    assert_eq!(packets.pop(), None);
    assert!(packets.push(&[3; 160], 5160, false));
    let piece = packets.pop().unwrap();
    assert_eq!((piece.payload.len(), piece.timestamp, piece.marker), (240, 5000, true));
    assert!(!packets.push(&[0; 2000], 5320, false), "no packet is that long");
}

proptest! {
    #[test]
    fn packet_lengths_change_and_no_byte_is_lost(
        codec in prop::sample::select(&ALL[..]),
        into in prop::sample::select(&[10usize, 20, 30, 40][..]),
        lengths in prop::collection::vec(prop::sample::select(&[10usize, 20, 30, 40][..]), 1..40),
        start in any::<u32>(),
    ) {
        let mut packets = Repacketizer::new(codec, into);
        let (mut said, mut heard) = (Vec::new(), Vec::new());
        let mut timestamp = start;
        let mut due = start;
        for (i, millis) in lengths.into_iter().enumerate() {
            let payload = vec![u8::try_from(i % 256).unwrap(); millis * codec.bytes_per_milli()];
            prop_assert!(packets.push(&payload, timestamp, i == 0));
            timestamp = timestamp.wrapping_add(codec.ticks(payload.len()));
            said.extend(payload);
            while let Some(piece) = packets.pop() {
                prop_assert_eq!(piece.payload.len(), into * codec.bytes_per_milli());
                prop_assert_eq!(piece.timestamp, due);
                due = due.wrapping_add(codec.ticks(piece.payload.len()));
                heard.extend_from_slice(piece.payload);
            }
        }
        prop_assert!(said.len() - heard.len() < into * codec.bytes_per_milli());
        prop_assert_eq!(&said[..heard.len()], &heard[..]);
    }

    #[test]
    fn any_payload_can_be_transcoded(
        from in prop::sample::select(&ALL[..]), to in prop::sample::select(&ALL[..]),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..5), room in 0usize..1500,
    ) {
        let mut transcoder = Transcoder::new(from, to);
        for payload in payloads {
            let mut out = vec![0; room];
            prop_assert!(transcoder.transcode(&payload, &mut out) <= room);
        }
    }
}
