//! Arithmetic on samples: saturation, gain, levels, and conferences in which everybody hears all others and not
//! themselves.

/// The nearest sample; what is no number is silence.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to the samples' range; `as` makes a NaN zero")]
pub fn saturate(value: f32) -> i16 {
    value.round_ties_even().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
}

/// The nearest sample of a sum.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to the samples' range")]
pub fn saturate_sum(value: i32) -> i16 {
    value.clamp(i16::MIN as i32, i16::MAX as i32) as i16
}

/// A factor for so many decibels: -6 halves, 0 leaves as it is.
#[must_use]
pub fn factor(decibels: f32) -> f32 {
    10f32.powf(decibels / 20.0)
}

/// Makes samples louder or quieter by a factor; what would be too loud is cut off at the loudest.
pub fn gain(samples: &mut [i16], factor: f32) {
    for sample in samples {
        *sample = saturate(f32::from(*sample) * factor);
    }
}

/// Goes from one factor to another over the samples, so that a change of volume does not click.
pub fn ramp(samples: &mut [i16], from: f32, to: f32) {
    let count = u16::try_from(samples.len().max(1)).map_or(f32::MAX, f32::from);
    let step = (to - from) / count;
    let mut factor = from;
    for sample in samples {
        factor += step;
        *sample = saturate(f32::from(*sample) * factor);
    }
}

/// Mean power over that of a square wave at full scale: 0 to 1.
#[must_use]
pub fn power(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let sum: u64 = samples.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum();
    let mean = sum as f64 / samples.len() as f64;
    mean / (32768.0 * 32768.0)
}

/// The level in dBov as RFC 6465 counts it: 0 for a square wave at full scale, -127 for silence. A sine at full
/// scale has -3.
#[must_use]
pub fn level(samples: &[i16]) -> i8 {
    let decibels = 10.0 * power(samples).max(1e-13).log10();
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a level's range")]
    let level = decibels.round().clamp(-127.0, 0.0) as i8;
    level
}

/// One frame's sum over all who speak. `N` is the samples in a frame.
#[derive(Clone, Debug)]
pub struct Mix<const N: usize> {
    sum: [i32; N],
}

impl<const N: usize> Default for Mix<N> {
    fn default() -> Self {
        Self { sum: [0; N] }
    }
}

impl<const N: usize> Mix<N> {
    /// Begins the next frame.
    pub fn clear(&mut self) {
        self.sum = [0; N];
    }

    /// Somebody speaks. 65,535 people may before the sum could overflow.
    pub fn add(&mut self, frame: &[i16; N]) {
        for (sum, sample) in self.sum.iter_mut().zip(frame) {
            *sum = sum.saturating_add(i32::from(*sample));
        }
    }

    /// What somebody hears who said `own`: all the others.
    pub fn without(&self, own: &[i16; N], out: &mut [i16; N]) {
        for ((out, sum), own) in out.iter_mut().zip(&self.sum).zip(own) {
            *out = saturate_sum(sum.saturating_sub(i32::from(*own)));
        }
    }

    /// What somebody hears who only listens, and what a recording keeps.
    pub fn all(&self, out: &mut [i16; N]) {
        for (out, sum) in out.iter_mut().zip(&self.sum) {
            *out = saturate_sum(*sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_the_others_and_not_themselves() {
        let said = [[100, -200, 30_000], [10, 20, 20_000], [1, 2, -25_000]];
        let mut mix = Mix::<3>::default();
        said.iter().for_each(|frame| mix.add(frame));
        let mut heard = [0; 3];
        mix.without(&said[0], &mut heard);
        assert_eq!(heard, [11, 22, -5_000]);
        mix.without(&said[2], &mut heard);
        assert_eq!(heard, [110, -180, i16::MAX], "too loud is as loud as can be");
        mix.all(&mut heard);
        assert_eq!(heard, [111, -178, 25_000], "a sum may pass through too loud and come back");
    }

    #[test]
    fn levels_are_in_dbov() {
        let sine: Vec<i16> = (0..800u16)
            .map(|i| saturate((f32::from(i) * std::f32::consts::FRAC_PI_4).sin() * 32767.0))
            .collect();
        assert_eq!(level(&[i16::MIN; 160]), 0);
        assert_eq!(level(&sine), -3);
        assert_eq!(level(&[0; 160]), -127);
        assert_eq!(level(&[]), -127);
        let mut quiet = sine;
        gain(&mut quiet, factor(-20.0));
        assert_eq!(level(&quiet), -23);
    }

    #[test]
    fn gain_cuts_off_at_the_loudest_and_a_ramp_ends_where_it_should() {
        let mut samples = [20_000, -20_000, 1];
        gain(&mut samples, 2.0);
        assert_eq!(samples, [i16::MAX, i16::MIN, 2]);
        let mut samples = [1000; 4];
        ramp(&mut samples, 0.0, 1.0);
        assert_eq!(samples, [250, 500, 750, 1000]);
        assert_eq!(saturate(f32::NAN), 0);
    }
}
