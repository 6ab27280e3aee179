//! Where time is read: once an event, here. The simulated one stands still until it is told to go on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::types::{BootId, Mono, Now, Wall};

/// A source of time for the loop.
pub trait Clock: Send + Sync {
    /// The time of an event.
    fn now(&self) -> Now;
    /// Waits until then.
    fn sleep_until(&self, deadline: Mono) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    /// Wall time cannot be before this: the newest that was stored.
    floor: Option<Wall>,
}

/// 2026-01-01: no box is older than its software.
const BUILT: Wall = Wall(1_767_225_600_000);

impl SystemClock {
    /// `floor`: the newest sure time of the run before.
    #[must_use]
    pub fn new(floor: Option<Wall>) -> Self {
        Self { floor }
    }
}

/// `CLOCK_BOOTTIME`, in milliseconds.
#[must_use]
pub fn mono_now() -> Mono {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    Mono(seconds.saturating_mul(1000).saturating_add(millis))
}

/// The kernel's id of this boot.
///
/// # Errors
/// When `/proc` is not there.
pub fn boot_id() -> std::io::Result<BootId> {
    Ok(BootId(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned()))
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let floor = self.floor.map_or(BUILT, |f| f.max(BUILT));
        // A clock that went back behind what was stored was not set yet.
        Now { mono: mono_now(), wall, wall_sure: wall >= floor }
    }

    fn sleep_until(&self, deadline: Mono) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // CLOCK_BOOTTIME and tokio's clock part company in suspend: look again at least once a minute.
            loop {
                let left = deadline.since(mono_now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            }
        })
    }
}

/// Time that only a test moves.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<Now>,
    mono: watch::Sender<Mono>,
}

impl SimulatedClock {
    /// Begins then.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self { now: Mutex::new(now), mono: watch::Sender::new(now.mono) }
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.mono = now.mono + by;
        now.wall = now.wall + by;
        self.mono.send_replace(now.mono);
    }

    /// Jumps to any time: another boot, a clock that was set.
    pub fn set(&self, to: Now) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.mono.send_replace(to.mono);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Now {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep_until(&self, deadline: Mono) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut mono = self.mono.subscribe();
            // Fails only when the clock is gone, and it is borrowed here.
            if mono.wait_for(|now| *now >= deadline).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
