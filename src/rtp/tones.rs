//! Tones that people know: dial tone, ring-back, busy and the others of three regions, as data, and the oscillators
//! that make them. Owns no decision on who hears which.
//!
//! Sources: North America: Telcordia GR-506; United Kingdom: SIN 350; Europe: ETSI TR 101 041-2 and ITU-T E.180.

use crate::rtp::codec::Rate;
use crate::rtp::mixer::saturate;

/// Frequencies sounding together at most.
const VOICES: usize = 4;

/// Where callers learnt their tones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// United States and Canada.
    NorthAmerica,
    /// United Kingdom.
    UnitedKingdom,
    /// Most of the continent.
    Europe,
}

/// What a caller is told by a tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Dial now.
    Dial,
    /// The other side rings.
    Ringback,
    /// The other side talks.
    Busy,
    /// No way through at present: reorder, congestion.
    Reorder,
    /// Special information: a sentence about the number follows. In North America: vacant code.
    Information,
    /// Special information of North America: the number has changed or is out of order.
    Intercept,
    /// Special information of North America: no circuit.
    NoCircuit,
}

/// A part of a cadence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What sounds together; nothing is a pause.
    pub hertz: &'static [f32],
    /// For how long.
    pub millis: u32,
}

/// The parts of a tone in their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cadence {
    /// At least one.
    pub steps: &'static [Step],
    /// Begins again at its end.
    pub repeats: bool,
}

const fn on(hertz: &'static [f32], millis: u32) -> Step {
    Step { hertz, millis }
}

const fn off(millis: u32) -> Step {
    Step { hertz: &[], millis }
}

const fn again(steps: &'static [Step]) -> Cadence {
    Cadence { steps, repeats: true }
}

const fn once(steps: &'static [Step]) -> Cadence {
    Cadence { steps, repeats: false }
}

const EUROPE: &[f32] = &[425.0];
const BRITISH: &[f32] = &[400.0];
const DIAL: &[f32] = &[350.0, 440.0];
const AMERICAN_BUSY: &[f32] = &[480.0, 620.0];
const INFORMATION: &[Step] = &[on(&[950.0], 330), on(&[1400.0], 330), on(&[1800.0], 330), off(1000)];

impl Tone {
    /// How the tone sounds in a region.
    #[must_use]
    pub const fn cadence(self, region: Region) -> Cadence {
        match (region, self) {
            (Region::NorthAmerica, tone) => tone.american(),
            (Region::UnitedKingdom, tone) => tone.british(),
            (Region::Europe, tone) => tone.european(),
        }
    }

    const fn american(self) -> Cadence {
        match self {
            Self::Dial => again(const { &[on(DIAL, 1000)] }),
            Self::Ringback => again(const { &[on(&[440.0, 480.0], 2000), off(4000)] }),
            Self::Busy => again(const { &[on(AMERICAN_BUSY, 500), off(500)] }),
            Self::Reorder => again(const { &[on(AMERICAN_BUSY, 250), off(250)] }),
            Self::Information => once(const { &[on(&[985.2], 380), on(&[1370.6], 274), on(&[1776.7], 380)] }),
            Self::Intercept => once(const { &[on(&[913.8], 274), on(&[1370.6], 274), on(&[1776.7], 380)] }),
            Self::NoCircuit => once(const { &[on(&[985.2], 380), on(&[1428.5], 380), on(&[1776.7], 380)] }),
        }
    }

    const fn british(self) -> Cadence {
        match self {
            Self::Dial => again(const { &[on(DIAL, 1000)] }),
            Self::Ringback => {
                again(const { &[on(&[400.0, 450.0], 400), off(200), on(&[400.0, 450.0], 400), off(2000)] })
            }
            Self::Busy => again(const { &[on(BRITISH, 375), off(375)] }),
            Self::Reorder => again(const { &[on(BRITISH, 400), off(350), on(BRITISH, 225), off(525)] }),
            Self::Information | Self::Intercept | Self::NoCircuit => again(INFORMATION),
        }
    }

    const fn european(self) -> Cadence {
        match self {
            Self::Dial => again(const { &[on(EUROPE, 1000)] }),
            Self::Ringback => again(const { &[on(EUROPE, 1000), off(4000)] }),
            Self::Busy => again(const { &[on(EUROPE, 500), off(500)] }),
            Self::Reorder => again(const { &[on(EUROPE, 200), off(200)] }),
            Self::Information | Self::Intercept | Self::NoCircuit => again(INFORMATION),
        }
    }
}

/// A sine by recursion: one multiplication a sample.
#[derive(Clone, Copy, Debug, Default)]
struct Oscillator {
    turn: f64,
    last: f64,
    before: f64,
}

impl Oscillator {
    fn new(hertz: f32, rate: Rate, peak: f64) -> Self {
        let angle = std::f64::consts::TAU * f64::from(hertz) / f64::from(rate.hz());
        // So that the first sample is 0.
        Self { turn: 2.0 * angle.cos(), last: -peak * angle.sin(), before: -peak * (2.0 * angle).sin() }
    }

    fn next(&mut self) -> f64 {
        let value = self.turn * self.last - self.before;
        (self.before, self.last) = (self.last, value);
        value
    }
}

/// Some frequencies together, without an end.
#[derive(Clone, Debug)]
pub struct ToneSource {
    voices: [Oscillator; VOICES],
}

impl ToneSource {
    /// Up to four frequencies; `level` is that of each, in dBov (-3 is the loudest sine there is).
    #[must_use]
    pub fn new(hertz: &[f32], level: f32, rate: Rate) -> Self {
        let peak = 32_768.0 * std::f64::consts::SQRT_2 * 10f64.powf(f64::from(level) / 20.0);
        let mut voices = [Oscillator::default(); VOICES];
        for (voice, hertz) in voices.iter_mut().zip(hertz) {
            *voice = Oscillator::new(*hertz, rate, peak);
        }
        Self { voices }
    }

    /// Overwrites `out` with the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            let sum: f64 = self.voices.iter_mut().map(Oscillator::next).sum();
            #[expect(clippy::cast_possible_truncation, reason = "samples have sixteen bits")]
            let narrow = sum as f32;
            *sample = saturate(narrow);
        }
    }
}

/// Plays a cadence.
#[derive(Clone, Debug)]
pub struct TonePlayer {
    cadence: Cadence,
    level: f32,
    rate: Rate,
    source: ToneSource,
    at: usize,
    /// Samples still to come of this step.
    left: u64,
}

impl TonePlayer {
    /// From its begin; `level` is that of each frequency, in dBov. -16 is usual.
    #[must_use]
    pub fn new(cadence: Cadence, level: f32, rate: Rate) -> Self {
        let step = cadence.steps.first().copied().unwrap_or(off(1));
        let source = ToneSource::new(step.hertz, level, rate);
        Self { cadence, level, rate, source, at: 0, left: samples(step, rate) }
    }

    /// Samples a second.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Fills `out`; false when the cadence was over before it was full, and silence follows.
    pub fn fill(&mut self, mut out: &mut [i16]) -> bool {
        while !out.is_empty() {
            if self.left == 0 && !self.step() {
                out.fill(0);
                return false;
            }
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
            let (part, rest) = out.split_at_mut(count);
            self.source.fill(part);
            self.left -= u64::try_from(count).unwrap_or(self.left);
            out = rest;
        }
        true
    }

    fn step(&mut self) -> bool {
        let before = self.cadence.steps.get(self.at).map(|s| s.hertz);
        self.at += 1;
        if self.at >= self.cadence.steps.len() {
            if !self.cadence.repeats {
                return false;
            }
            self.at = 0;
        }
        let Some(step) = self.cadence.steps.get(self.at) else { return false };
        // The same again goes on where it was: a dial tone does not click once a second.
        if before != Some(step.hertz) {
            self.source = ToneSource::new(step.hertz, self.level, self.rate);
        }
        self.left = samples(*step, self.rate);
        self.left > 0
    }
}

fn samples(step: Step, rate: Rate) -> u64 {
    u64::from(step.millis) * u64::from(rate.hz()) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::hearing::Spectrum;
    use crate::rtp::mixer::level;

    const REGIONS: [Region; 3] = [Region::NorthAmerica, Region::UnitedKingdom, Region::Europe];
    const TONES: [Tone; 7] = [
        Tone::Dial,
        Tone::Ringback,
        Tone::Busy,
        Tone::Reorder,
        Tone::Information,
        Tone::Intercept,
        Tone::NoCircuit,
    ];

    #[test]
    fn every_step_of_every_tone_is_heard_as_its_frequencies() {
        for rate in [Rate::Narrow, Rate::Wide] {
            for (region, tone) in REGIONS.iter().flat_map(|r| TONES.map(|t| (*r, t))) {
                let cadence = tone.cadence(region);
                let mut player = TonePlayer::new(cadence, -16.0, rate);
                for step in cadence.steps {
                    let mut heard = vec![0; usize::try_from(step.millis).unwrap() * rate.per_milli()];
                    assert!(player.fill(&mut heard), "{region:?} {tone:?}");
                    let spectrum = Spectrum::of(&heard, rate);
                    assert!(spectrum.only(step.hertz), "{region:?} {tone:?} {step:?}: {spectrum:?}");
                }
            }
        }
    }

    #[test]
    fn busy_is_half_a_second_on_and_half_off_without_end() {
        let mut player = TonePlayer::new(Tone::Busy.cadence(Region::Europe), -16.0, Rate::Narrow);
        for round in 0..20 {
            let mut half = [0; 4000];
            assert!(player.fill(&mut half));
            assert_eq!(level(&half), if round % 2 == 0 { -16 } else { -127 });
        }
    }

    #[test]
    fn information_in_north_america_is_over_after_its_third_tone() {
        let mut player =
            TonePlayer::new(Tone::Information.cadence(Region::NorthAmerica), -16.0, Rate::Narrow);
        let mut heard = [1; 8 * 1034];
        assert!(player.fill(&mut heard));
        let mut after = [1; 160];
        assert!(!player.fill(&mut after));
        assert_eq!(after, [0; 160]);
    }

    #[test]
    fn a_dial_tone_does_not_click() {
        let mut player = TonePlayer::new(Tone::Dial.cadence(Region::Europe), -16.0, Rate::Narrow);
        let mut heard = vec![0; 24_000];
        player.fill(&mut heard);
        let steepest = heard.windows(2).map(|p| p[0].abs_diff(p[1])).max().unwrap();
        assert!(steepest < 2500, "{steepest}");
    }
}
