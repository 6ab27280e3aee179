//! Hands memory back after a burst. A second of 1,600 REGISTERs leaves 1,600 transactions for 32 s; they are freed then,
//! and glibc would keep their pages for ever. So the box is looked at now and then, and once it is quiet and holds more
//! than it did at its best, the allocator is asked.
//!
//! Absent on purpose: any count of what is held. Memory and time of the whole process are enough, and no room has to
//! tell.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::heap;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// At least between two times of asking; doubled each time that it was in vain, until there is growth again.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(960);
/// More than this above the best is worth asking, in KiB.
const WORTH: u64 = 1024;
/// A box that grew by more than this since the last look is in the middle of something, in KiB.
const GROWING: u64 = 256;
/// So many quiet looks one after the other before it is asked: what SIP keeps lingers for 32 s.
const CALM: u32 = 4;
/// A quiet process uses at most this part of a core: whoever allocates while glibc walks its heap waits.
const QUIET: f64 = 0.1;

/// What one look saw.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Resident memory, in KiB.
    resident: u64,
    /// The process's time on the processors since it began.
    spent: Duration,
}

/// Whether it is time to ask.
#[derive(Debug)]
struct Watch {
    /// The least that was resident after a look.
    best: u64,
    /// What was resident when it was asked last.
    asked: u64,
    last: Look,
    /// Quiet looks one after the other.
    calm: u32,
    /// Until asking is allowed again.
    left: Duration,
    pause: Duration,
}

impl Watch {
    fn new(first: Look) -> Self {
        Self {
            best: first.resident,
            asked: first.resident,
            last: first,
            calm: 0,
            left: FIRST_PAUSE,
            pause: FIRST_PAUSE,
        }
    }

    /// Takes the next look, [`LOOK`] after the last; true: ask now, and tell [`Watch::asked`].
    fn see(&mut self, look: Look) -> bool {
        let before = std::mem::replace(&mut self.last, look);
        self.left = self.left.saturating_sub(LOOK);
        self.best = self.best.min(look.resident);
        if look.resident > self.asked + WORTH {
            self.left = self.left.min(FIRST_PAUSE);
        }
        let quiet = look.spent.saturating_sub(before.spent) <= LOOK.mul_f64(QUIET);
        let still = look.resident <= before.resident + GROWING;
        self.calm = if quiet && still { self.calm + 1 } else { 0 };
        self.left.is_zero() && self.calm >= CALM && look.resident > self.best + WORTH
    }

    /// What is resident since it was asked, in KiB.
    fn asked(&mut self, resident: u64) {
        let helped = resident + WORTH / 2 < self.last.resident;
        self.pause = if helped { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.left = self.pause;
        self.last.resident = resident;
        self.asked = resident;
        self.calm = 0;
        self.best = self.best.min(resident);
    }
}

/// Keeps the process small, for as long as it is polled.
pub(super) async fn keep_small() {
    let Some(first) = look() else {
        tracing::debug!("memory is not looked after: the system does not say how much there is");
        return;
    };
    let mut watch = Watch::new(first);
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(seen) = look() else { continue };
        if !watch.see(seen) {
            continue;
        }
        let began = std::time::Instant::now();
        // On a thread of its own: the loop waits only if it allocates meanwhile, and from the same arena.
        let Ok(some) = tokio::task::spawn_blocking(heap::give_back).await else { continue };
        let took = began.elapsed();
        let Some(now) = look() else { continue };
        watch.asked(now.resident);
        tracing::debug!(before = seen.resident, after = now.resident, some, ?took, "memory handed back, KiB");
    }
}

/// Of this process; `None` where there is no `/proc`.
fn look() -> Option<Look> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let spent = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()?;
    Some(Look { resident: resident(&status)?, spent })
}

/// The line `VmRSS: 1234 kB` of `/proc/PID/status`, in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box whose memory was looked at for `looks` times without work.
    struct Box {
        watch: Watch,
        spent: Duration,
    }

    impl Box {
        fn of(resident: u64) -> Self {
            Self { watch: Watch::new(Look { resident, spent: Duration::ZERO }), spent: Duration::ZERO }
        }

        /// One look after `busy` on the processors.
        fn see(&mut self, resident: u64, busy: Duration) -> bool {
            self.spent += busy;
            self.watch.see(Look { resident, spent: self.spent })
        }

        /// How many looks until it is asked.
        fn idle_until_asked(&mut self, resident: u64) -> Option<usize> {
            (1..1000).find(|_| self.see(resident, Duration::ZERO))
        }
    }

    #[test]
    fn a_burst_is_handed_back_once_it_is_over() {
        let mut it = Box::of(20_000);
        for n in 1..=10 {
            assert!(!it.see(20_000 + n * 3_000, LOOK / 2), "in the middle of it");
        }
        assert!(!it.see(50_000, LOOK / 2), "no growth, but busy");
        assert_eq!(it.idle_until_asked(50_000), Some(4), "what lingers is gone");
        it.watch.asked(20_500);
        assert_eq!(it.idle_until_asked(20_500), None, "all was handed back");
    }

    #[test]
    fn asking_is_at_least_a_minute_apart() {
        let mut it = Box::of(20_000);
        assert_eq!(it.idle_until_asked(40_000), Some(6));
        it.watch.asked(30_000);
        assert_eq!(it.idle_until_asked(30_000), Some(6));
    }

    #[test]
    fn what_is_in_use_is_asked_for_less_and_less_and_handed_back_when_it_is_free() {
        let mut it = Box::of(20_000);
        let pauses: Vec<_> = (0..6)
            .map(|_| {
                let looks = it.idle_until_asked(60_000);
                it.watch.asked(60_000);
                looks
            })
            .collect();
        assert_eq!(pauses, [6, 12, 24, 48, 96, 96].map(Some));
        assert!(it.idle_until_asked(60_000).is_some());
        it.watch.asked(20_000);
        assert_eq!(it.watch.pause, FIRST_PAUSE);
    }

    #[test]
    fn a_burst_after_asking_in_vain_is_not_made_to_wait_for_long() {
        let mut it = Box::of(20_000);
        for _ in 0..6 {
            assert!(it.idle_until_asked(30_000).is_some());
            it.watch.asked(30_000);
        }
        assert_eq!(it.idle_until_asked(60_000), Some(7), "a minute from the first look that saw it");
    }

    #[test]
    fn the_kernels_words_are_read() {
        let status = "Name:\tbackroom\nVmHWM:\t   70000 kB\nVmRSS:\t   21964 kB\nRssAnon:\t 7000 kB\n";
        assert_eq!(resident(status), Some(21_964));
        assert_eq!(resident("VmRSS:\t lots\n"), None);
        assert_eq!(resident(""), None);
    }

    #[test]
    fn freed_memory_goes_back_to_the_system() {
        let kept: Vec<Vec<u8>> = {
            // Every hundredth block stays, so that the heap's top cannot fall.
            let blocks: Vec<Vec<u8>> = (0..100_000_u32).map(|n| vec![n.to_le_bytes()[0]; 1000]).collect();
            blocks.into_iter().enumerate().filter(|(n, _)| n % 100 == 0).map(|(_, b)| b).collect()
        };
        let before = look().map(|l| l.resident);
        heap::give_back();
        let after = look().map(|l| l.resident);
        assert_eq!(kept.len(), 1000);
        if let (Some(before), Some(after), true) = (before, after, cfg!(target_env = "gnu")) {
            assert!(after + 50_000 < before, "{before} KiB before, {after} KiB after");
        }
    }
}
