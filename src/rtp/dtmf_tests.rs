//! Keys in silence, in noise, out of tune, and in signals that only resemble them.

use super::*;
use crate::rtp::codec::{Codec, Decoder, Encoder};
use crate::rtp::comfort::{ComfortNoise, NoiseSource};
use crate::rtp::hearing::Spectrum;
use crate::rtp::mixer::saturate;

fn heard(samples: &[i16], rate: Rate) -> String {
    let mut listener = KeyListener::new(rate);
    let mut digits = String::new();
    for frame in samples.chunks(20 * rate.per_milli()) {
        listener.listen(frame, |sound| {
            if let KeySound::Begins(digit) = sound {
                digits.push(digit.as_char());
            }
        });
    }
    digits
}

fn dial(digits: &str, level: f32, on: usize, off: usize, rate: Rate) -> Vec<i16> {
    let mut samples = vec![0; 7 * rate.per_milli()];
    for c in digits.chars() {
        let mut key = KeyPlayer::new(Dtmf::try_from(c).unwrap(), level, on, off, rate);
        let mut out = vec![0; (on + off) * rate.per_milli()];
        assert_eq!(key.fill(&mut out), out.len());
        assert_eq!(key.fill(&mut [0; 10]), 0);
        samples.extend(out);
    }
    samples.extend(vec![0; 100 * rate.per_milli()]);
    samples
}

fn pair(low: (f32, f32), high: (f32, f32), millis: usize) -> Vec<i16> {
    let (mut a, mut b) = (vec![0; millis * 8], vec![0; millis * 8]);
    ToneSource::new(&[low.0], low.1, Rate::Narrow).fill(&mut a);
    ToneSource::new(&[high.0], high.1, Rate::Narrow).fill(&mut b);
    a.iter().zip(b).map(|(a, b)| a.saturating_add(b)).chain(vec![0; 800]).collect()
}

const ALL: &str = "0123456789*#ABCD";

#[test]
fn all_keys_are_heard_at_both_rates_in_all_codecs_and_levels() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        for level in [-9.0, -16.0, -25.0, -33.0] {
            let rate = codec.rate();
            let said = dial(ALL, level, 60, 60, rate);
            let mut wire = vec![0; said.len()];
            let len = Encoder::new(codec).encode(&said, &mut wire);
            let mut samples = vec![0; said.len()];
            Decoder::new(codec).decode(&wire[..len], &mut samples);
            assert_eq!(heard(&samples, rate), ALL, "{codec:?} {level}");
        }
    }
}

#[test]
fn a_key_has_its_two_frequencies() {
    let samples = dial("5", -13.0, 200, 0, Rate::Narrow);
    assert!(Spectrum::of(&samples[56..1656], Rate::Narrow).only(&[770.0, 1336.0]));
}

#[test]
fn forty_milliseconds_are_a_key_and_twenty_are_none() {
    for offset in 0..102 {
        let shift = |samples: Vec<i16>| [vec![0; offset], samples].concat();
        assert_eq!(
            heard(&shift(dial("1234", -16.0, 40, 40, Rate::Narrow)), Rate::Narrow),
            "1234",
            "{offset}"
        );
        assert_eq!(heard(&shift(dial("5678", -16.0, 20, 40, Rate::Narrow)), Rate::Narrow), "", "{offset}");
    }
}

#[test]
fn the_length_of_a_key_is_told_at_its_end() {
    let mut listener = KeyListener::new(Rate::Narrow);
    let mut sounds = Vec::new();
    listener.listen(&dial("7", -16.0, 300, 100, Rate::Narrow), |s| sounds.push(s));
    let Some(KeySound::Ends(digit, millis)) = sounds.last() else { panic!("{sounds:?}") };
    assert_eq!((digit.as_char(), sounds.len(), listener.sounding()), ('7', 2, None));
    assert!((280..=310).contains(millis), "{millis}");
}

#[test]
fn keys_may_be_out_of_tune_by_a_hundredth_and_not_by_a_twentieth() {
    for (row, column) in ROWS.iter().flat_map(|r| COLUMNS.map(|c| (*r, c))) {
        for (off, count) in [(0.99, 1), (1.01, 1), (1.0, 1), (0.95, 0), (1.05, 0)] {
            let samples = pair((row * off, -16.0), (column * off, -16.0), 100);
            assert_eq!(heard(&samples, Rate::Narrow).len(), count, "{row} {column} {off}");
        }
    }
}

#[test]
fn uneven_faint_and_single_tones_are_no_keys() {
    let key = |row, column| heard(&pair((770.0, row), (1336.0, column), 100), Rate::Narrow);
    assert_eq!(key(-20.0, -14.0), "5", "a column 6 dB louder");
    assert_eq!(key(-16.0, -19.0), "5", "a row 3 dB louder");
    assert_eq!(key(-24.0, -12.0), "", "a column 12 dB louder");
    assert_eq!(key(-12.0, -20.0), "", "a row 8 dB louder");
    assert_eq!(key(-45.0, -45.0), "");
    assert_eq!(key(-100.0, -12.0), "");
    assert_eq!(key(-12.0, -100.0), "");
}

#[test]
fn keys_are_heard_in_noise() {
    let mut samples = dial(&ALL.repeat(5), -16.0, 60, 60, Rate::Narrow);
    let mut noise = vec![0; samples.len()];
    // 15 dB below the two tones together.
    NoiseSource::new(3).fill(&ComfortNoise::white(28), &mut noise);
    samples.iter_mut().zip(&noise).for_each(|(s, n)| *s = s.saturating_add(*n));
    assert_eq!(heard(&samples, Rate::Narrow), ALL.repeat(5));
}

/// Vowels: harmonics of a gliding voice under gliding formants, with pauses and consonants of noise.
fn speech(seconds: u32, seed: u32) -> Vec<i16> {
    let mut noise = NoiseSource::new(seed);
    let mut dice = vec![0; usize::try_from(seconds).unwrap() * 10 * 6];
    noise.fill(&ComfortNoise::white(1), &mut dice);
    let unit = |d: i16| (f32::from(d) / 32_768.0).clamp(-1.0, 1.0).mul_add(0.5, 0.5);
    let mut samples = Vec::new();
    let (mut phase, mut old) = (0.0f32, [120.0, 500.0, 1500.0]);
    for dice in dice.chunks_exact(6) {
        let new =
            [90.0 + 180.0 * unit(dice[0]), 250.0 + 650.0 * unit(dice[1]), 900.0 + 1500.0 * unit(dice[2])];
        let kind = unit(dice[3]);
        let loud = 2000.0 + 8000.0 * unit(dice[4]);
        let mut hiss = [0; 800];
        noise.fill(&ComfortNoise::white(30), &mut hiss);
        for n in 0..800u16 {
            let along = f32::from(n) / 800.0;
            let at = |i: usize| old[i] + (new[i] - old[i]) * along;
            phase = (phase + std::f32::consts::TAU * at(0) / 8000.0) % std::f32::consts::TAU;
            let mut value = 0.0;
            let mut harmonic = 1.0f32;
            while harmonic * at(0) < 3400.0 && kind > 0.25 {
                let hertz = harmonic * at(0);
                let near = |formant: f32, width: f32| 1.0 / (1.0 + ((hertz - formant) / width).powi(2));
                value += (near(at(1), 60.0) + 0.7 * near(at(2), 80.0)) * (harmonic * phase).sin();
                harmonic += 1.0;
            }
            let hiss = if kind < 0.15 { 0.0 } else { f32::from(hiss[usize::from(n)]) };
            samples.push(saturate(value * loud + hiss));
        }
        old = new;
    }
    samples
}

#[test]
fn speech_noise_and_music_are_no_keys() {
    let mut false_keys = String::new();
    for seed in 1..=6 {
        false_keys += &heard(&speech(50, seed * 7919), Rate::Narrow);
    }
    let mut noise = vec![0; 8000 * 120];
    for level in [10, 20, 30] {
        NoiseSource::new(9).fill(&ComfortNoise::white(level), &mut noise);
        false_keys += &heard(&noise, Rate::Narrow);
    }
    for note in 0u8..48 {
        let root = 110.0 * 2f32.powf(f32::from(note) / 12.0);
        let mut chord = vec![0; 4000];
        ToneSource::new(&[root, root * 1.26, root * 1.498, root * 2.0], -18.0, Rate::Narrow).fill(&mut chord);
        false_keys += &heard(&chord, Rate::Narrow);
    }
    assert_eq!(false_keys, "", "11 minutes without a key");
}
