//! Comfort noise (RFC 3389): what a sender says of its background, and noise that sounds like it. When to send or
//! play it stands elsewhere.

use crate::rtp::mixer::saturate;

/// Model orders beyond this add nothing that is heard.
const ORDER: usize = 12;

/// Level and colour of a background.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComfortNoise {
    /// In -dBov: 0 is the loudest, 127 silence.
    pub level: u8,
    reflection: [f32; ORDER],
}

impl ComfortNoise {
    /// White noise.
    #[must_use]
    pub const fn white(level: u8) -> Self {
        Self { level, reflection: [0.0; ORDER] }
    }

    /// Reads a payload; none when it is empty. Coefficients beyond the twelfth are left.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (level, coefficients) = payload.split_first()?;
        let mut noise = Self::white(level & 0x7f);
        for (place, code) in noise.reflection.iter_mut().zip(coefficients) {
            // §3.2: k = 258 (N - 127) / 32768, and 255 is reserved.
            *place = 258.0 * (f32::from((*code).min(254)) - 127.0) / 32_768.0;
        }
        Some(noise)
    }
}

/// Makes noise without an end.
#[derive(Clone, Debug)]
pub struct NoiseSource {
    state: u32,
    lattice: [f32; ORDER + 1],
}

impl NoiseSource {
    /// `seed` chooses which noise; any will do.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self { state: seed | 1, lattice: [0.0; ORDER + 1] }
    }

    /// Fills `out` with noise of that level and colour.
    pub fn fill(&mut self, noise: &ComfortNoise, out: &mut [i16]) {
        if noise.level >= 127 {
            out.fill(0);
            return;
        }
        // The lattice amplifies white noise by 1 / product of (1 - k²); even noise has a third of its peak's power.
        let damping: f32 = noise.reflection.iter().map(|k| 1.0 - k * k).product();
        let peak = 32_768.0 * 10f32.powf(-f32::from(noise.level) / 20.0) * (3.0 * damping.max(0.0)).sqrt();
        for sample in out {
            let white = self.white();
            *sample = saturate(self.colour(&noise.reflection, white * peak));
        }
    }

    /// Between -1 and 1.
    fn white(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let [high, low, ..] = self.state.to_be_bytes();
        f32::from(i16::from_be_bytes([high, low])) / 32_768.0
    }

    /// An all-pole lattice.
    fn colour(&mut self, reflection: &[f32; ORDER], white: f32) -> f32 {
        let mut forward = white;
        for at in (0..ORDER).rev() {
            forward -= reflection[at] * self.lattice[at];
            self.lattice[at + 1] = self.lattice[at] + reflection[at] * forward;
        }
        self.lattice[0] = forward;
        forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::mixer::level;

    #[test]
    fn noise_has_the_level_that_was_sent_in_any_colour() {
        for payload in [&[40u8][..], &[50, 60], &[30, 180, 90], &[55, 100, 150, 120, 127, 90]] {
            let noise = ComfortNoise::parse(payload).unwrap();
            let mut out = [0; 16_000];
            NoiseSource::new(7).fill(&noise, &mut out);
            let heard = -i16::from(level(&out));
            assert!((heard - i16::from(payload[0])).abs() <= 2, "{payload:?}: {heard}");
        }
    }

    #[test]
    fn colour_is_heard() {
        let rough = |code: u8| {
            let mut out = [0; 8000];
            NoiseSource::new(7).fill(&ComfortNoise::parse(&[30, code]).unwrap(), &mut out);
            out.windows(2).map(|p| u64::from(p[0].abs_diff(p[1]))).sum::<u64>()
        };
        assert!(rough(20) < rough(127) && rough(127) < rough(234));
    }

    #[test]
    fn silence_and_nothing_are_told_apart() {
        let mut out = [5; 160];
        NoiseSource::new(0).fill(&ComfortNoise::white(127), &mut out);
        assert_eq!(out, [0; 160]);
        assert_eq!(ComfortNoise::parse(&[]), None);
        assert_eq!(ComfortNoise::parse(&[0xff]), Some(ComfortNoise::white(127)));
        let mut out = [0; 4000];
        let worst = [0; 20];
        NoiseSource::new(1).fill(&ComfortNoise::parse(&worst).unwrap(), &mut out);
    }
}
