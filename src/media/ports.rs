//! Which port pairs are free: RTP on an even port, RTCP on the odd one above (RFC 3550 §11). Owns their order and
//! the pause in which a port that was given back is left alone, so that what is still under way to a call that is
//! over never reaches the next one. Opening sockets stands in `line`.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::types::SplitMix64;

/// The pairs of a range.
#[derive(Debug)]
pub(super) struct PortPool {
    /// The even port of each free pair, in the order in which they are given out.
    free: VecDeque<u16>,
    /// Pairs given back, and when they are free again; the earliest first.
    draining: VecDeque<(Instant, u16)>,
    drain: Duration,
}

impl PortPool {
    /// All pairs of `range`, shuffled by `seed`: a stranger cannot guess the next one from the last.
    pub(super) fn new(range: RangeInclusive<u16>, drain: Duration, seed: u64) -> Self {
        let first = range.start().checked_next_multiple_of(2).unwrap_or(u16::MAX);
        let mut pairs: Vec<u16> = (first..*range.end()).step_by(2).collect();
        let mut chance = SplitMix64::new(seed);
        for at in (1..pairs.len()).rev() {
            let other = chance.below(at + 1);
            pairs.swap(at, other);
        }
        Self { free: pairs.into(), draining: VecDeque::new(), drain }
    }

    /// Pairs that can be given out at `now`.
    pub(super) fn free(&mut self, now: Instant) -> usize {
        while let Some((due, pair)) = self.draining.front().copied() {
            if due > now {
                break;
            }
            self.draining.pop_front();
            self.free.push_back(pair);
        }
        self.free.len()
    }

    /// The pair that was free longest; its even port.
    pub(super) fn take(&mut self, now: Instant) -> Option<u16> {
        self.free(now);
        self.free.pop_front()
    }

    /// Somebody else has it: the last to be tried again.
    pub(super) fn occupied(&mut self, pair: u16) {
        self.free.push_back(pair);
    }

    /// A call is over.
    pub(super) fn give_back(&mut self, pair: u16, now: Instant) {
        self.draining.push_back((now + self.drain, pair));
    }

    /// Pairs that are not given out, draining or not.
    pub(super) fn unused(&self) -> usize {
        self.free.len() + self.draining.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(3);

    #[test]
    fn every_even_port_with_its_neighbour_inside_the_range_is_given_once() {
        let mut pool = PortPool::new(10_001..=10_010, DRAIN, 7);
        let now = Instant::now();
        let mut ports: Vec<u16> = std::iter::from_fn(|| pool.take(now)).collect();
        ports.sort_unstable();
        assert_eq!(ports, [10_002, 10_004, 10_006, 10_008]);
    }

    #[test]
    fn a_port_comes_back_after_its_pause_and_behind_all_others() {
        let mut pool = PortPool::new(10_000..=10_005, DRAIN, 7);
        let now = Instant::now();
        let (a, b) = (pool.take(now).unwrap(), pool.take(now).unwrap());
        pool.give_back(a, now);
        pool.give_back(b, now + Duration::from_secs(1));
        let c = pool.take(now).unwrap();
        assert!(c != a && c != b);
        assert_eq!(pool.take(now + Duration::from_millis(2999)), None);
        assert_eq!(pool.take(now + DRAIN), Some(a));
        assert_eq!(pool.take(now + DRAIN), None);
        assert_eq!(pool.unused(), 1);
        assert_eq!(pool.take(now + Duration::from_secs(4)), Some(b));
    }

    #[test]
    fn the_order_follows_the_seed() {
        let now = Instant::now();
        let order = |seed| {
            let mut pool = PortPool::new(10_000..=10_999, DRAIN, seed);
            (0..20).filter_map(|_| pool.take(now)).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn ranges_without_a_pair_have_none() {
        let now = Instant::now();
        for range in [10_000..=10_000, 10_001..=10_002, u16::MAX..=u16::MAX, RangeInclusive::new(9, 8)] {
            assert_eq!(PortPool::new(range, DRAIN, 1).take(now), None);
        }
        assert_eq!(PortPool::new(65_534..=u16::MAX, DRAIN, 1).take(now), Some(65_534));
    }
}
