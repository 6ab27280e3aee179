//! Chance for one trunk, from a seed that was handed in: tokens, client nonces and jitter.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// Randomness from a seed.
pub(super) struct Chance {
    pub(super) seed: [u8; 32],
    pub(super) count: u64,
}

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.count = self.count.wrapping_add(1);
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.count.to_be_bytes()).finalize();
        digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }

    /// A time from the least to the most.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.next() % span.saturating_add(1))
    }
}
