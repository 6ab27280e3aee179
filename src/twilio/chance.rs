//! Jitter and back-off of one line, from a seed that was handed in.

use std::time::Duration;

use crate::types::SplitMix64;

/// Spreads retries.
#[derive(Clone, Debug)]
pub(super) struct Chance(SplitMix64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// Three quarters of it to five quarters.
    pub(super) fn around(&mut self, middle: Duration) -> Duration {
        let half = u64::try_from(middle.as_millis() / 2).unwrap_or(u64::MAX);
        middle * 3 / 4 + Duration::from_millis(self.0.draw() % half.saturating_add(1))
    }

    /// `first`, doubled with every try after it, up to `most`; then spread.
    pub(super) fn back_off(&mut self, first: Duration, tries: u32, most: Duration) -> Duration {
        let factor = 1u32 << tries.saturating_sub(1).min(16);
        self.around(first.saturating_mul(factor).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_are_spread_by_the_seed() {
        let secs = Duration::from_secs;
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            for (tries, middle) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (90, 30)] {
                let wait = chance.back_off(secs(2), tries, secs(30));
                assert!(wait >= secs(middle) * 3 / 4 && wait <= secs(middle) * 5 / 4, "{tries}: {wait:?}");
            }
        }
        let waits = |seed| Chance::new(seed).around(secs(60));
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }
}
