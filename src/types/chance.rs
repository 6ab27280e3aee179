//! Numbers that need not be secret (jitter, ports, first sequence numbers), from a seed that is handed in. Keys, tokens
//! and nonces do not come from here.

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed, the same numbers. Spreads, guards nothing.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the sequence.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1; 0 when there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.draw() % bound).unwrap_or(0)
    }

    /// The upper half of the next number.
    pub fn word(&mut self) -> u32 {
        u32::try_from(self.draw() >> 32).unwrap_or(0)
    }

    /// The upper quarter of the next number.
    pub fn half_word(&mut self) -> u16 {
        u16::try_from(self.draw() >> 48).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_the_sequence_that_splitmix64_has_everywhere() {
        let mut row = SplitMix64::new(1_234_567);
        let drawn = [row.draw(), row.draw(), row.draw()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn parts_of_a_number_are_its_upper_ones_and_a_bound_is_kept() {
        let whole = SplitMix64::new(7).draw();
        assert_eq!(u64::from(SplitMix64::new(7).word()), whole >> 32);
        assert_eq!(u64::from(SplitMix64::new(7).half_word()), whole >> 48);
        let mut row = SplitMix64::new(7);
        assert!((0..100).all(|_| row.below(3) < 3));
        assert_eq!(row.below(0), 0);
    }
}
