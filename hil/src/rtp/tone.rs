//! Tones: sums of sines without a click between frames.

use super::packet::FRAME;
use std::f64::consts::TAU;

/// Samples a second.
pub const RATE: f64 = 8_000.0;

/// Loudest sample of a sum of tones.
const LEVEL: f64 = 12_000.0;

/// Some frequencies at once, in Hz; none is silence.
#[derive(Clone, Debug, Default)]
pub struct Tone {
    phases: Vec<(f64, f64)>,
}

impl Tone {
    #[must_use]
    pub fn new(frequencies: &[f32]) -> Tone {
        Tone { phases: frequencies.iter().map(|f| (f64::from(*f), 0.0)).collect() }
    }

    /// The next 20 ms.
    pub fn frame(&mut self) -> [i16; FRAME] {
        let mut frame = [0; FRAME];
        let count = u32::try_from(self.phases.len()).unwrap_or(1).max(1);
        let level = LEVEL / f64::from(count);
        for sample in &mut frame {
            let mut sum = 0.0;
            for (frequency, phase) in &mut self.phases {
                sum += phase.sin() * level;
                *phase = (*phase + TAU * *frequency / RATE) % TAU;
            }
            #[expect(clippy::cast_possible_truncation, reason = "at most LEVEL, which fits")]
            let value = sum as i16;
            *sample = value;
        }
        frame
    }
}
