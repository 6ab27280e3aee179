//! For tests that run beside other work: ports that nobody is given by chance, and a clock that stands while the
//! machine does.

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Below the ports that Linux gives to whoever names none (32768 and up), and below those of sound.
const FIRST: u32 = 8_192;
const COUNT: u32 = 8_192;
/// Odd, so that processes that run at the same time begin at different places.
const STRIDE: u32 = 61;

/// A port that is free on `ip`, for UDP and for TCP, and that no other socket takes by itself before it is used.
///
/// # Errors
/// When there is none.
pub fn free_port(ip: IpAddr) -> io::Result<u16> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for _ in 0..COUNT {
        let next = u32::try_from(NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(COUNT)).unwrap_or(0);
        let at = (std::process::id().wrapping_mul(STRIDE) % COUNT + next) % COUNT;
        let Ok(port) = u16::try_from(FIRST + at) else { continue };
        if UdpSocket::bind((ip, port)).is_ok() && TcpListener::bind((ip, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other(format!("no port is free on {ip}")))
}

/// How long the machine has run since then. A virtual machine may stand still for seconds while its host has other
/// work; a promise about time is not kept or broken in such seconds.
#[derive(Debug)]
pub struct Ran(Arc<AtomicU64>);

/// Between two ticks of [`Ran`].
const TICK: Duration = Duration::from_millis(5);
/// A tick that takes longer counts as this.
const LONGEST: Duration = Duration::from_millis(50);

impl Ran {
    /// Begins to count.
    #[must_use]
    pub fn since_now() -> Self {
        let ran = Arc::new(AtomicU64::new(0));
        let ticks = Arc::downgrade(&ran);
        std::thread::spawn(move || {
            let mut last = Instant::now();
            loop {
                std::thread::sleep(TICK);
                let Some(ran) = ticks.upgrade() else { break };
                let now = Instant::now();
                let tick = now.duration_since(last).min(LONGEST);
                last = now;
                ran.fetch_add(u64::try_from(tick.as_micros()).unwrap_or(0), Ordering::Relaxed);
            }
        });
        Self(ran)
    }

    /// So long until now.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn ports_differ_and_are_not_those_that_anybody_gets() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ports = [free_port(ip).unwrap(), free_port(ip).unwrap()];
        assert_ne!(ports[0], ports[1]);
        assert!(ports.iter().all(|port| (8_192..16_384).contains(port)), "{ports:?}");
    }

    #[test]
    fn it_never_runs_ahead_of_the_clock_on_the_wall() {
        let (wall, ran) = (Instant::now(), Ran::since_now());
        while ran.elapsed() < Duration::from_millis(30) {
            std::thread::yield_now();
        }
        assert!(wall.elapsed() >= ran.elapsed());
    }
}
