//! What a lost packet sounds like: the last pitch periods again, fading, as in ITU-T G.711 Appendix I. And time cut
//! out of speech unheard, for a buffer that holds too much.
//!
//! Unlike the appendix no sample is delayed: the first repeated period follows the last sample heard directly.

use crate::rtp::codec::Rate;
use crate::rtp::mixer::saturate;

/// Longest history for 16,000 samples a second: three periods of 15 ms and a quarter.
const MOST: usize = 780;

/// Conceals the losses of one stream.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate: Rate,
    /// The newest sample last.
    history: Box<[f32]>,
    /// Samples made up since the last one heard.
    gone: usize,
    pitch: usize,
    /// Place in the cycle that is being repeated, and which cycle it is.
    phase: usize,
    cycle: usize,
}

impl Concealer {
    /// For samples of one rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let len = MOST * rate.per_milli() / 16;
        Self { rate, history: vec![0.0; len].into(), gone: 0, pitch: 0, phase: 0, cycle: 0 }
    }

    /// Samples that were heard. After a loss their begin is blended with what was made up.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.gone > 0 {
            // Appendix I §I.2.7: 4 ms, and 4 ms more for each 10 ms lost, up to 10 ms.
            let milli = self.rate.per_milli();
            let blend = (4 * milli + self.gone * 4 / 10).min(10 * milli).min(samples.len());
            let mut weight = Ramp::over(blend);
            for sample in samples.iter_mut().take(blend) {
                let up = weight.step();
                let made_up = self.make_up() * (1.0 - up);
                *sample = saturate(f32::from(*sample) * up + made_up);
            }
            self.gone = 0;
        }
        let keep = self.history.len();
        let new = samples.get(samples.len().saturating_sub(keep)..).unwrap_or_default();
        self.history.copy_within(new.len().., 0);
        for (place, sample) in self.history[keep - new.len()..].iter_mut().zip(new) {
            *place = f32::from(*sample);
        }
    }

    /// Fills `out` with what might have been said. Silent from 60 ms on.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.gone == 0 {
            self.pitch = self.find_pitch();
            (self.phase, self.cycle) = (0, 1);
        }
        for sample in out {
            *sample = saturate(self.make_up());
        }
    }

    /// The next sample of a loss.
    fn make_up(&mut self) -> f32 {
        let milli = self.rate.per_milli();
        let (gone, flat, silent) = (self.gone, 10 * milli, 60 * milli);
        self.gone = gone.saturating_add(1);
        if gone >= silent {
            return 0.0;
        }
        let value = self.cycle_sample();
        let fade = gone.saturating_sub(flat);
        value * (1.0 - as_f32(fade) / as_f32(silent - flat))
    }

    /// One period first, then two, then three: repeating the same one for long would hum.
    fn cycle_sample(&mut self) -> f32 {
        let end = self.history.len();
        let length = self.cycle.min(3) * self.pitch;
        let next = (self.cycle + 1).min(3) * self.pitch;
        let blend = self.pitch / 4;
        let at = |back: usize| self.history.get(end.wrapping_sub(back)).copied().unwrap_or(0.0);
        let left = length.saturating_sub(self.phase);
        let mut value = at(left);
        if left <= blend {
            let down = as_f32(left) / as_f32(blend + 1);
            value = value * down + at(next + left) * (1.0 - down);
        }
        self.phase += 1;
        if self.phase >= length {
            (self.phase, self.cycle) = (0, self.cycle + 1);
        }
        value
    }

    /// The lag between 5 and 15 ms at which the last 20 ms are most like themselves.
    fn find_pitch(&self) -> usize {
        let milli = self.rate.per_milli();
        let window = 20 * milli;
        let (least, most) = (5 * milli, 15 * milli);
        let coarse = (least..=most).step_by(2).map(|lag| (self.likeness(lag, window, 2), lag));
        let near = coarse.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(least, |best| best.1);
        let fine = (near.saturating_sub(1).max(least)..=(near + 1).min(most))
            .map(|lag| (self.likeness(lag, window, 1), lag));
        fine.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(near, |best| best.1)
    }

    /// Normalized cross-correlation.
    fn likeness(&self, lag: usize, window: usize, step: usize) -> f32 {
        let end = self.history.len();
        let Some(now) = self.history.get(end.saturating_sub(window)..) else { return 0.0 };
        let Some(then) = self.history.get(end.saturating_sub(window + lag)..end - lag) else { return 0.0 };
        let (mut product, mut energy) = (0.0, 1.0);
        for (now, then) in now.iter().zip(then).step_by(step) {
            product += now * then;
            energy += then * then;
        }
        product / energy.sqrt()
    }
}

/// Cuts between 2.5 and 10 ms out of the begin of `samples`, where that is least heard, and moves the rest up.
/// Returns how many samples are left; all of them when there are too few.
pub fn shorten(samples: &mut [i16], rate: Rate) -> usize {
    let milli = rate.per_milli();
    let (least, most) = (milli * 5 / 2, milli * 10);
    if samples.len() < 2 * most {
        return samples.len();
    }
    let unlike = |lag: usize| {
        let (mut product, mut first, mut second) = (0.0f32, 1.0f32, 1.0f32);
        for (a, b) in samples.iter().zip(samples.iter().skip(lag)).take(most).step_by(2) {
            let (a, b) = (f32::from(*a), f32::from(*b));
            product += a * b;
            first += a * a;
            second += b * b;
        }
        product / (first * second).sqrt()
    };
    let best = (least..=most).map(|lag| (unlike(lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0));
    let lag = best.map_or(least, |b| b.1);
    let mut weight = Ramp::over(lag);
    for at in 0..lag {
        let up = weight.step();
        let (now, then) = (samples[at], samples[at + lag]);
        samples[at] = saturate(f32::from(now) * (1.0 - up) + f32::from(then) * up);
    }
    samples.copy_within(2 * lag.., lag);
    samples.len() - lag
}

/// Goes from 0 to 1 in equal steps and touches neither.
struct Ramp {
    value: f32,
    step: f32,
}

impl Ramp {
    fn over(count: usize) -> Self {
        Self { value: 0.0, step: 1.0 / (as_f32(count) + 1.0) }
    }

    fn step(&mut self) -> f32 {
        self.value += self.step;
        self.value
    }
}

/// Counts of samples in a frame are exact in an f32.
fn as_f32(count: usize) -> f32 {
    u16::try_from(count).map_or(f32::MAX, f32::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::mixer::level;

    /// A voice of `hz` with overtones.
    fn voice(hz: f32, rate: Rate, count: u16) -> Vec<i16> {
        let per_second = if rate == Rate::Narrow { 8000.0 } else { 16_000.0 };
        let sample = |i: u16| {
            let angle = std::f32::consts::TAU * hz * f32::from(i) / per_second;
            saturate(6000.0 * angle.sin() + 3000.0 * (2.0 * angle).sin() + 1500.0 * (3.0 * angle).cos())
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn a_lost_packet_of_a_voice_is_nearly_what_was_said() {
        for (rate, hz) in [(Rate::Narrow, 100.0), (Rate::Narrow, 180.0), (Rate::Wide, 130.0)] {
            let milli = rate.per_milli();
            let said = voice(hz, rate, 4000);
            let mut concealer = Concealer::new(rate);
            let start = 100 * milli;
            concealer.heard(&mut said[..start].to_vec());
            let mut made_up = vec![0; 10 * milli];
            concealer.conceal(&mut made_up);
            let (mut signal, mut noise) = (0.0, 0.0);
            for (made_up, said) in made_up.iter().zip(&said[start..]) {
                signal += f64::from(*said).powi(2);
                noise += f64::from(*made_up - *said).powi(2);
            }
            let quality = 10.0 * (signal / noise).log10();
            assert!(quality > 10.0, "{hz} Hz: {quality} dB");
        }
    }

    #[test]
    fn a_long_loss_fades_and_is_silent_from_60_ms_on() {
        let mut concealer = Concealer::new(Rate::Narrow);
        concealer.heard(&mut voice(120.0, Rate::Narrow, 800));
        let levels: Vec<i8> = (0..5)
            .map(|_| {
                let mut out = [0; 160];
                concealer.conceal(&mut out);
                level(&out)
            })
            .collect();
        assert!(levels[0] > -20 && levels[1] < levels[0] && levels[2] < levels[1], "{levels:?}");
        assert_eq!(levels[3..], [-127, -127]);
    }

    #[test]
    fn nothing_clicks_at_either_end_of_a_loss() {
        let mut said = voice(140.0, Rate::Narrow, 1600);
        let steepest =
            |s: &[i16]| s.windows(2).map(|p| i32::from(p[1]).abs_diff(i32::from(p[0]))).max().unwrap();
        let natural = steepest(&said);
        let mut concealer = Concealer::new(Rate::Narrow);
        concealer.heard(&mut said[..800]);
        let (lost, after) = said[800..].split_at_mut(320);
        concealer.conceal(lost);
        concealer.heard(after);
        assert!(steepest(&said) < natural * 2, "{} against {natural}", steepest(&said));
    }

    #[test]
    fn shortened_speech_keeps_pitch_and_level() {
        let mut said = voice(125.0, Rate::Narrow, 800);
        let before = level(&said);
        let left = shorten(&mut said, Rate::Narrow);
        assert!((720..=780).contains(&left), "{left}");
        assert_eq!((800 - left) % 64, 0, "whole periods are cut: {}", 800 - left);
        let steps = said[..left].windows(2).map(|p| i32::from(p[1]).abs_diff(i32::from(p[0]))).max().unwrap();
        assert!(steps < 3000 && (level(&said[..left]) - before).abs() <= 1);
        assert_eq!(shorten(&mut [0; 100], Rate::Narrow), 100);
    }

    #[test]
    fn silence_is_concealed_by_silence() {
        let mut out = [1; 160];
        Concealer::new(Rate::Wide).conceal(&mut out);
        assert_eq!(out, [0; 160]);
    }
}
