//! Which frequencies are heard in some samples: for tests of who hears whom, and for tones of exchanges. Not for
//! the path of packets: it allocates.

use crate::rtp::codec::Rate;

/// Fainter than this is not heard, in dBov.
const FLOOR: f64 = -55.0;
/// So much below the loudest is not heard beside it, in dB: side lobes and what codecs add.
const MASKED: f64 = 26.0;
const LOWEST: f64 = 60.0;
/// How far off a frequency may be, in Hz, for a window of 100 ms and more.
const NEAR: f64 = 8.0;

/// One frequency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// In Hz.
    pub hertz: f64,
    /// In dBov; a sine at full scale has -3.
    pub level: f64,
}

/// What is heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The loudest first.
    pub peaks: Vec<Peak>,
}

impl Spectrum {
    /// Listens to the whole of `samples`; 100 ms and more tell neighbouring tones apart.
    #[must_use]
    pub fn of(samples: &[i16], rate: Rate) -> Self {
        let count = samples.len();
        if count < 16 {
            return Self { peaks: Vec::new() };
        }
        let size = (2 * count).next_power_of_two();
        let mut line = vec![(0.0, 0.0); size];
        for (n, (place, sample)) in line.iter_mut().zip(samples).enumerate() {
            let hann = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / count as f64).cos();
            place.0 = f64::from(*sample) * hann;
        }
        transform(&mut line);
        // A sine of amplitude a shows as a times a quarter of the samples.
        let scale = 4.0 / (count as f64 * 32_768.0);
        let power: Vec<f64> = line
            .iter()
            .take(size / 2)
            .map(|(re, im)| 20.0 * ((re * re + im * im).sqrt() * scale).max(1e-9).log10() - 3.01)
            .collect();
        let step = f64::from(rate.hz()) / size as f64;
        let mut peaks: Vec<Peak> = power
            .windows(3)
            .enumerate()
            .filter(|(_, p)| p[1] > FLOOR && p[1] >= p[0] && p[1] > p[2])
            .map(|(at, p)| {
                let between = 0.5 * (p[0] - p[2]) / (p[0] - 2.0 * p[1] + p[2]).min(-1e-9);
                Peak { hertz: ((at + 1) as f64 + between) * step, level: p[1] }
            })
            .filter(|peak| peak.hertz >= LOWEST)
            .collect();
        peaks.sort_by(|a, b| b.level.total_cmp(&a.level));
        let loudest = peaks.first().map_or(0.0, |p| p.level);
        peaks.retain(|p| p.level > loudest - MASKED);
        Self { peaks }
    }

    /// This frequency is heard.
    #[must_use]
    pub fn hears(&self, hertz: f32) -> bool {
        self.peaks.iter().any(|p| (p.hertz - f64::from(hertz)).abs() < NEAR)
    }

    /// These frequencies are heard and no other; none of them means silence.
    #[must_use]
    pub fn only(&self, hertz: &[f32]) -> bool {
        let expected = |p: &Peak| hertz.iter().any(|h| (p.hertz - f64::from(*h)).abs() < NEAR);
        hertz.iter().all(|h| self.hears(*h)) && self.peaks.iter().all(expected)
    }
}

/// A Fourier transform in place; the length is a power of two.
fn transform(line: &mut [(f64, f64)]) {
    let size = line.len();
    let mut reversed = 0;
    for at in 1..size {
        let mut bit = size >> 1;
        while reversed & bit != 0 {
            reversed ^= bit;
            bit >>= 1;
        }
        reversed |= bit;
        if at < reversed {
            line.swap(at, reversed);
        }
    }
    let mut half = 1;
    while half < size {
        let angle = -std::f64::consts::PI / half as f64;
        for block in line.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (n, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let (sin, cos) = (angle * n as f64).sin_cos();
                let turned = (high.0 * cos - high.1 * sin, high.0 * sin + high.1 * cos);
                *high = (low.0 - turned.0, low.1 - turned.1);
                *low = (low.0 + turned.0, low.1 + turned.1);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::g711::Law;
    use crate::rtp::tones::ToneSource;

    #[test]
    fn tones_are_told_apart_and_measured() {
        let mut samples = [0; 1600];
        ToneSource::new(&[440.0, 480.0, 1000.0], -20.0, Rate::Narrow).fill(&mut samples);
        let heard = Spectrum::of(&samples, Rate::Narrow);
        assert!(heard.only(&[440.0, 480.0, 1000.0]), "{heard:?}");
        assert!(heard.peaks.iter().all(|p| (p.level + 20.0).abs() < 1.0), "{heard:?}");
        assert!(!heard.only(&[440.0, 480.0]) && !heard.hears(620.0));
    }

    #[test]
    fn codecs_and_faint_tones_do_not_deceive() {
        for law in [Law::Mu, Law::A] {
            for level in [-6.0, -20.0, -40.0] {
                let mut samples = [0; 1600];
                ToneSource::new(&[425.0], level, Rate::Narrow).fill(&mut samples);
                samples.iter_mut().for_each(|s| *s = law.decode_sample(law.encode_sample(*s)));
                let heard = Spectrum::of(&samples, Rate::Narrow);
                assert!(heard.only(&[425.0]), "{law:?} {level}: {heard:?}");
            }
        }
    }

    #[test]
    fn silence_has_no_frequencies() {
        assert!(Spectrum::of(&[0; 800], Rate::Wide).only(&[]));
        assert!(Spectrum::of(&[1; 3], Rate::Wide).only(&[]));
    }
}
