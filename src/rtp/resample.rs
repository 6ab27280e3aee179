//! Between 8,000 and 16,000 samples a second, by a half-band filter: flat to 3.3 kHz, 60 dB down from 4.7 kHz, 1.5 ms
//! late. Other rates do not occur between telephones.

/// Pairs of taps at odd distances; those at even ones are zero but for the middle.
const PAIRS: usize = 12;
const TAPS: usize = 2 * PAIRS;
/// Samples of the lower rate that are worked on at once.
const BLOCK: usize = 160;

/// Kaiser-windowed sinc at the odd half samples, scaled so that a constant stays what it is.
fn taps() -> [f32; PAIRS] {
    let mut taps = [0.0; PAIRS];
    let mut distance = 0.5;
    for tap in &mut taps {
        let angle = std::f64::consts::PI * distance;
        let edge = distance / 12.0;
        *tap = angle.sin() / angle * bessel(6.0 * (1.0f64 - edge * edge).sqrt()) / bessel(6.0);
        distance += 1.0;
    }
    let sum: f64 = taps.iter().sum();
    #[expect(clippy::cast_possible_truncation, reason = "f32 is precise enough for 16-bit samples")]
    taps.map(|t| (t / (2.0 * sum)) as f32)
}

/// The modified Bessel function of order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

/// The value half way between the middle two of `TAPS` samples.
fn between(taps: &[f32; PAIRS], around: &[f32]) -> f32 {
    let (before, after) = around.split_at(around.len().min(PAIRS));
    let pairs = before.iter().rev().zip(after).zip(taps);
    pairs.map(|((before, after), tap)| (before + after) * tap).sum()
}

/// From 8 to 16 kHz.
#[derive(Clone, Debug)]
pub struct Upsampler {
    taps: [f32; PAIRS],
    past: [f32; TAPS],
}

impl Default for Upsampler {
    fn default() -> Self {
        Self { taps: taps(), past: [0.0; TAPS] }
    }
}

impl Upsampler {
    /// Two samples for each; returns how many were written. Samples that find no room are left out.
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) -> usize {
        let mut written = 0;
        for (block, out) in samples.chunks(BLOCK).zip(out.chunks_mut(2 * BLOCK)) {
            let mut line = [0.0; TAPS + BLOCK];
            line[..TAPS].copy_from_slice(&self.past);
            for (place, sample) in line[TAPS..].iter_mut().zip(block) {
                *place = f32::from(*sample);
            }
            for (around, pair) in line[1..].windows(TAPS).take(block.len()).zip(out.chunks_exact_mut(2)) {
                pair[0] = super::mixer::saturate(around[PAIRS - 1]);
                pair[1] = super::mixer::saturate(between(&self.taps, around));
                written += 2;
            }
            self.past.copy_from_slice(&line[block.len()..block.len() + TAPS]);
        }
        written
    }
}

/// From 16 to 8 kHz.
#[derive(Clone, Debug)]
pub struct Downsampler {
    taps: [f32; PAIRS],
    even: [f32; TAPS],
    odd: [f32; TAPS],
}

impl Default for Downsampler {
    fn default() -> Self {
        Self { taps: taps(), even: [0.0; TAPS], odd: [0.0; TAPS] }
    }
}

impl Downsampler {
    /// One sample for each two; returns how many were written. A last single sample and what finds no room are
    /// left out.
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) -> usize {
        let mut written = 0;
        for (block, out) in samples.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
            let mut even = [0.0; TAPS + BLOCK];
            let mut odd = [0.0; TAPS + BLOCK];
            even[..TAPS].copy_from_slice(&self.even);
            odd[..TAPS].copy_from_slice(&self.odd);
            let count = block.len() / 2;
            let places = even[TAPS..].iter_mut().zip(&mut odd[TAPS..]);
            for ((even, odd), pair) in places.zip(block.chunks_exact(2)) {
                *even = f32::from(pair[0]);
                *odd = f32::from(pair[1]);
            }
            let middles = even[1 + PAIRS..].iter();
            for ((around, middle), out) in odd[1..].windows(TAPS).zip(middles).take(count).zip(out) {
                *out = super::mixer::saturate(0.5 * middle + 0.5 * between(&self.taps, around));
                written += 1;
            }
            self.even.copy_from_slice(&even[count..count + TAPS]);
            self.odd.copy_from_slice(&odd[count..count + TAPS]);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::mixer::{level, saturate};

    fn sine(hz: f32, rate: f32, count: u16) -> Vec<i16> {
        (0..count)
            .map(|i| saturate((std::f32::consts::TAU * hz * f32::from(i) / rate).sin() * 16_000.0))
            .collect()
    }

    fn up(samples: &[i16]) -> Vec<i16> {
        let mut out = vec![0; samples.len() * 2];
        assert_eq!(Upsampler::default().process(samples, &mut out), out.len());
        out
    }

    fn down(samples: &[i16]) -> Vec<i16> {
        let mut out = vec![0; samples.len() / 2];
        assert_eq!(Downsampler::default().process(samples, &mut out), out.len());
        out
    }

    fn noise_below(heard: &[i16], wanted: &[i16], delay: usize) -> f64 {
        let (mut signal, mut noise) = (0.0, 0.0);
        for (heard, wanted) in heard[delay..].iter().zip(wanted).skip(100) {
            signal += f64::from(*wanted).powi(2);
            noise += (f64::from(*heard) - f64::from(*wanted)).powi(2);
        }
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn what_telephones_pass_comes_through() {
        for hz in [300.0, 1000.0, 2000.0, 3000.0] {
            let (low, high) = (sine(hz, 8000.0, 1600), sine(hz, 16_000.0, 3200));
            let raised = noise_below(&up(&low), &high, 24);
            let lowered = noise_below(&down(&high), &low, 11);
            assert!(raised > 45.0, "{hz} Hz up: {raised} dB");
            assert!(lowered > 45.0, "{hz} Hz down: {lowered} dB");
        }
    }

    #[test]
    fn what_would_fold_over_is_taken_out() {
        for hz in [4800.0, 5500.0, 7000.0] {
            let heard = level(&down(&sine(hz, 16_000.0, 3200))[100..]);
            assert!(heard < -60, "{hz} Hz: {heard} dBov");
        }
    }

    #[test]
    fn the_cut_into_frames_does_not_matter() {
        let samples = sine(440.0, 8000.0, 999);
        let whole = up(&samples);
        let mut upsampler = Upsampler::default();
        let mut pieces = Vec::new();
        for chunk in samples.chunks(37) {
            let mut out = vec![0; chunk.len() * 2];
            upsampler.process(chunk, &mut out);
            pieces.extend(out);
        }
        assert_eq!(whole, pieces);
        let lowered = down(&whole);
        let mut downsampler = Downsampler::default();
        let mut pieces = Vec::new();
        for chunk in whole.chunks(74) {
            let mut out = vec![0; chunk.len() / 2];
            downsampler.process(chunk, &mut out);
            pieces.extend(out);
        }
        assert_eq!(lowered, pieces);
    }
}
