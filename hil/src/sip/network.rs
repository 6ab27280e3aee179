//! What a network does to datagrams: it loses, delays, doubles and reorders them, by a seed.

use super::lock;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How far behind its followers a reordered datagram comes, beyond the delay.
const BEHIND: Duration = Duration::from_millis(35);

/// A way through a network. Shares are from 0 to 1. The default does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Path {
    /// Share that is lost.
    pub loss: f64,
    /// Milliseconds that all take.
    pub delay_ms: u64,
    /// Up to so many more milliseconds, evenly spread.
    pub jitter_ms: u64,
    /// Share that comes twice.
    pub duplicate: f64,
    /// Share that comes 35 ms later than the rest.
    pub reorder: f64,
}

/// Datagrams that met something since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Met {
    pub carried: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
}

/// A path that may change while datagrams travel, both ways alike.
#[derive(Debug)]
pub struct Network {
    path: Mutex<Path>,
    dice: AtomicU64,
    met: Mutex<Met>,
}

impl Network {
    #[must_use]
    pub fn new(path: Path, seed: u64) -> Network {
        Network { path: Mutex::new(path), dice: AtomicU64::new(seed), met: Mutex::new(Met::default()) }
    }

    pub fn set(&self, path: Path) {
        *lock(&self.path) = path;
    }

    #[must_use]
    pub fn met(&self) -> Met {
        *lock(&self.met)
    }

    /// When the copies of a datagram arrive; none: it is lost.
    #[must_use]
    pub fn fate(&self) -> [Option<Duration>; 2] {
        let path = *lock(&self.path);
        let mut met = lock(&self.met);
        if self.happens(path.loss) {
            met.lost += 1;
            return [None, None];
        }
        met.carried += 1;
        let jitter = if path.jitter_ms == 0 { 0 } else { self.roll() % (path.jitter_ms + 1) };
        let mut after = Duration::from_millis(path.delay_ms + jitter);
        if self.happens(path.reorder) {
            met.reordered += 1;
            after += BEHIND;
        }
        let doubled = self.happens(path.duplicate);
        met.doubled += u64::from(doubled);
        [Some(after), doubled.then_some(after)]
    }

    fn happens(&self, share: f64) -> bool {
        // 32 bits are exact in a double.
        let number = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        share > 0.0 && f64::from(number) < share * f64::from(u32::MAX)
    }

    /// SplitMix64: every seed gives another sequence, and no state but a counter.
    fn roll(&self) -> u64 {
        let step = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.dice.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_datagrams_is_lost_and_doubled() {
        let network = Network::new(Path { loss: 0.2, duplicate: 0.5, ..Path::default() }, 7);
        let copies: usize = (0..10_000).map(|_| network.fate().iter().flatten().count()).sum();
        let met = network.met();
        assert!((1_800..2_200).contains(&met.lost), "{met:?}");
        assert!((11_600..12_400).contains(&copies), "{copies}");
        network.set(Path::default());
        assert_eq!(network.fate(), [Some(Duration::ZERO), None]);
    }
}
