//! An ear: the last 64 ms of what arrived, and which frequencies are in it.

use super::event::Key;
use super::tone::RATE;
use std::collections::VecDeque;
use std::f32::consts::{PI, TAU};

/// Samples that are listened to: 64 ms, so that tones 60 Hz apart are told apart.
const WINDOW: usize = 512;

/// Samples that decide on a pair of tones: 40 ms, the shortest key (ITU-T Q.24).
const PAIR: usize = 320;

/// Quieter tones are not heard: 40 dB under the loudest sample.
const AUDIBLE: f32 = 330.0;

/// Quieter than this share of the loudest tone is an echo of G.711's steps.
const BESIDE: f32 = 0.1;

#[derive(Clone, Debug, Default)]
pub struct Ear {
    samples: VecDeque<i16>,
}

impl Ear {
    pub fn hear(&mut self, samples: impl IntoIterator<Item = i16>) {
        self.samples.extend(samples);
        let excess = self.samples.len().saturating_sub(WINDOW);
        self.samples.drain(..excess);
    }

    pub fn forget(&mut self) {
        self.samples.clear();
    }

    /// The frequencies heard, in Hz, loudest first; none while less than 64 ms came.
    #[must_use]
    pub fn frequencies(&self) -> Vec<f32> {
        if self.samples.len() < WINDOW {
            return Vec::new();
        }
        let levels = spectrum(&self.samples);
        let loudest = levels.iter().copied().fold(0.0, f32::max);
        let mut found: Vec<(f32, f32)> = Vec::new();
        for (bin, three) in levels.windows(3).enumerate() {
            let &[left, level, right] = three else { continue };
            if level < AUDIBLE || level < loudest * BESIDE || left > level || right >= level {
                continue;
            }
            // Between bins the peak lies where a parabola through the logarithms has its top.
            let (a, b, c) = (left.max(1.0).ln(), level.ln(), right.max(1.0).ln());
            let curve = a - 2.0 * b + c;
            let offset = if curve == 0.0 { 0.0 } else { 0.5 * (a - c) / curve };
            let bin = f32::from(u16::try_from(bin + 1).unwrap_or_default()) + offset;
            found.push((bin * 8_000.0 / 512.0, level));
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.into_iter().map(|(frequency, _)| frequency).collect()
    }

    /// Nothing audible in the last 64 ms.
    #[must_use]
    pub fn silent(&self) -> bool {
        self.samples.iter().all(|sample| f32::from(*sample).abs() < AUDIBLE)
    }

    /// The key whose two tones fill the last 40 ms.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        let start = self.samples.len().checked_sub(PAIR)?;
        let last: Vec<f32> = self.samples.range(start..).map(|sample| f32::from(*sample)).collect();
        let all = last.iter().map(|sample| sample * sample).sum::<f32>() / 320.0;
        if all < AUDIBLE * AUDIBLE / 2.0 {
            return None;
        }
        Key::of_levels(&Key::frequencies().map(|frequency| goertzel(&last, frequency)), all)
    }
}

/// The amplitude of one frequency (Goertzel's algorithm).
fn goertzel(samples: &[f32], frequency: f32) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "8000 is exact")]
    let rate = RATE as f32;
    let angle = TAU * frequency / rate;
    let twice = 2.0 * angle.cos();
    let (mut one, mut two) = (0.0_f32, 0.0_f32);
    for sample in samples {
        let next = sample + twice * one - two;
        two = one;
        one = next;
    }
    let power = one * one + two * two - twice * one * two;
    2.0 * power.max(0.0).sqrt() / f32::from(u16::try_from(samples.len()).unwrap_or(1))
}

/// Amplitudes of the lower half of the bins, under a Hann window.
fn spectrum(samples: &VecDeque<i16>) -> Vec<f32> {
    let mut points: Vec<(f32, f32)> = Vec::with_capacity(WINDOW);
    for (at, sample) in samples.iter().enumerate() {
        let turn = TAU * f32::from(u16::try_from(at).unwrap_or_default()) / 512.0;
        points.push((f32::from(*sample) * (0.5 - 0.5 * turn.cos()), 0.0));
    }
    fourier(&points).iter().take(WINDOW / 2).map(|(re, im)| 4.0 * re.hypot(*im) / 512.0).collect()
}

/// Cooley and Tukey's recursion; the length is a power of two.
fn fourier(points: &[(f32, f32)]) -> Vec<(f32, f32)> {
    if points.len() < 2 {
        return points.to_vec();
    }
    let half = |from: usize| -> Vec<(f32, f32)> { points.iter().skip(from).step_by(2).copied().collect() };
    let (even, odd) = (fourier(&half(0)), fourier(&half(1)));
    let step = -2.0 * PI / f32::from(u16::try_from(points.len()).unwrap_or(1));
    let (mut low, mut high) = (Vec::with_capacity(points.len()), Vec::with_capacity(points.len() / 2));
    for (at, (e, o)) in even.iter().zip(&odd).enumerate() {
        let (sin, cos) = (step * f32::from(u16::try_from(at).unwrap_or_default())).sin_cos();
        let turned = (o.0 * cos - o.1 * sin, o.0 * sin + o.1 * cos);
        low.push((e.0 + turned.0, e.1 + turned.1));
        high.push((e.0 - turned.0, e.1 - turned.1));
    }
    low.append(&mut high);
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Law;
    use crate::rtp::tone::Tone;

    fn ear(frequencies: &[f32], law: Law) -> Ear {
        let (mut ear, mut tone) = (Ear::default(), Tone::new(frequencies));
        for _ in 0..5 {
            ear.hear(tone.frame().map(|sample| law.decode(law.encode(sample))));
        }
        ear
    }

    #[test]
    fn tones_are_heard_within_two_hertz_through_both_laws() {
        for law in [Law::Mu, Law::A] {
            for tones in [&[425.0][..], &[440.0, 620.0], &[1_003.7], &[300.0, 3_300.0], &[697.0, 1_209.0]] {
                let mut heard = ear(tones, law).frequencies();
                heard.sort_by(f32::total_cmp);
                assert_eq!(heard.len(), tones.len(), "{tones:?} {heard:?}");
                assert!(heard.iter().zip(tones).all(|(h, t)| (h - t).abs() < 2.0), "{tones:?} {heard:?}");
            }
        }
    }

    #[test]
    fn silence_is_no_tone() {
        let quiet = ear(&[], Law::A);
        assert!(quiet.silent() && quiet.frequencies().is_empty() && quiet.key().is_none());
        assert!(!ear(&[440.0], Law::A).silent());
    }

    #[test]
    fn pairs_are_keys_and_other_tones_are_none() {
        for c in "0123456789*#ABCD".chars() {
            let key = Key::try_from(c).unwrap();
            assert_eq!(ear(&key.tones(), Law::Mu).key(), Some(key));
        }
        for tones in [&[697.0][..], &[440.0, 480.0], &[697.0, 1_209.0, 2_000.0], &[350.0, 440.0]] {
            assert_eq!(ear(tones, Law::Mu).key(), None, "{tones:?}");
        }
    }
}
