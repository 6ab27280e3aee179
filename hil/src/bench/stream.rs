//! PCMU on many calls at once: a packet a leg every 20 ms, sent evenly spread over those 20 ms, with its send time
//! inside. Arrival is the receiving kernel's stamp, so that this program's own waking does not count.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::{Value, json};

use super::Failed;
use super::delays::Delays;
use super::process::{Use, raise_descriptors};
use super::relay::leg_address;
use super::signal::{Ends, Signal};

/// Of a packet (RFC 3551 §4.5): 160 samples.
const PTIME: Duration = Duration::from_millis(20);
const SAMPLES: u32 = 160;
const HEADER: usize = 12;
const PACKET: usize = HEADER + 160;
/// In front of what a payload carries: our packets and no others.
const MARK: &[u8; 4] = b"hilb";

/// `hil bench rtp`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    way: Way,
    #[command(flatten)]
    load: Load,
}

/// How much, for how long.
#[derive(clap::Args, Debug)]
struct Load {
    /// Calls at a time
    #[arg(long, default_value_t = 100, global = true)]
    calls: u16,
    /// Seconds that count
    #[arg(long, default_value_t = 10, global = true)]
    seconds: u16,
    /// Seconds before those
    #[arg(long, default_value_t = 1, global = true)]
    warm: u16,
    /// Send what falls into so many milliseconds at once; 0 spreads evenly
    #[arg(long, default_value_t = 0, global = true)]
    tick: u16,
    /// Processes whose processor time is told per packet
    #[arg(long, global = true)]
    pid: Vec<u32>,
    /// Port of the first leg's sound
    #[arg(long, default_value_t = 30000, global = true)]
    port: u16,
}

/// What lies between the two ends of a call.
#[derive(clap::Subcommand, Debug)]
enum Way {
    /// Nothing: what this program itself adds
    Direct {
        /// Address of every leg
        #[arg(long)]
        from: std::net::IpAddr,
    },
    /// `hil bench relay`
    Relay {
        /// Address of every leg; the relay's `--peer` with `--port`
        #[arg(long)]
        from: std::net::IpAddr,
        /// The relay's `--listen`
        #[arg(long)]
        to: SocketAddr,
    },
    /// A B2BUA: calls are set up through it
    Call(Ends),
    /// As `call`, without sound: one call after the other, times from INVITE to 200
    SetUp {
        #[command(flatten)]
        ends: Ends,
        /// Calls a second
        #[arg(long, default_value_t = 20.0)]
        rate: f64,
    },
}

/// One end of a call.
struct Leg {
    socket: UdpSocket,
    to: SocketAddr,
    sequence: u16,
    time: u32,
    /// The leg whose packets come; another one's would be crossed wires.
    hears: Option<u32>,
}

/// What was counted in the seconds that count.
#[derive(Default)]
struct Counted {
    sent: u64,
    /// Packets that were sent more than a millisecond after their time: this program was not let run.
    late: u64,
    delays: Delays,
    crossed: u64,
    strange: u64,
}

/// Runs it and gives the figures.
pub(super) fn run(args: &Args) -> Result<Value, Failed> {
    raise_descriptors();
    // Sleeps end when they should, not 50 µs later.
    set_current_timer_slack(NonZeroU64::new(1)).map_err(Failed::io("timer slack"))?;
    let load = &args.load;
    let legs = usize::from(load.calls) * 2;
    let missing = || Failed::call("ports", "there are not so many above the first");
    match &args.way {
        Way::Direct { from } | Way::Relay { from, .. } => {
            let first = SocketAddr::new(*from, load.port);
            let to = if let Way::Relay { to, .. } = args.way { Some(to) } else { None };
            let mut all = Vec::with_capacity(legs);
            for n in 0..load.calls.saturating_mul(2) {
                let at = leg_address(first, n).ok_or_else(missing)?;
                let far = match to {
                    Some(to) => leg_address(to, n),
                    None => leg_address(first, n ^ 1),
                };
                all.push(leg(at, far.ok_or_else(missing)?)?);
            }
            play(&mut all, load)
        }
        Way::Call(ends) => through(ends, load),
        Way::SetUp { ends, rate } => {
            let signal = Signal::new(ends, load.port)?;
            let before = Use::read(&load.pid)?;
            let delays = signal.pace(usize::from(load.calls), *rate)?;
            let used = Use::read(&load.pid)?.since(&before);
            let each = (used.user + used.system) * 1e3 / f64::from(load.calls);
            Ok(json!({ "calls": load.calls, "set_up_us": delays.figures(), "cpu_ms_per_call": each }))
        }
    }
}

fn leg(at: SocketAddr, to: SocketAddr) -> Result<Leg, Failed> {
    let made = || -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind(at)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        Ok(socket)
    };
    let socket = made().map_err(Failed::io(format!("a socket on {at}")))?;
    Ok(Leg { socket, to, sequence: 0, time: 0, hears: None })
}

/// Through a B2BUA: signalling is attended to by a thread of its own meanwhile.
fn through(ends: &Ends, load: &Load) -> Result<Value, Failed> {
    let mut signal = Signal::new(ends, load.port)?;
    let mut legs = Vec::new();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    // Ports are open before they are named: a peer may send at once.
    for n in 0..usize::from(load.calls) * 2 {
        legs.push(leg(signal.sound_of(n)?, nowhere)?);
    }
    let targets = signal.set_up(usize::from(load.calls))?;
    for (leg, to) in legs.iter_mut().zip(targets) {
        leg.to = to;
    }
    let set_up = signal.set_up_times().figures();
    let stop = AtomicBool::new(false);
    let mut figures = thread::scope(|scope| {
        let attending = scope.spawn(|| signal.attend(&stop));
        let figures = play(&mut legs, load);
        stop.store(true, Ordering::Relaxed);
        attending.join().map_err(|_| Failed::call("signalling", "its thread died"))??;
        figures
    })?;
    signal.hang_up()?;
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("set_up_us".to_owned(), set_up);
    }
    Ok(figures)
}

/// Nanoseconds of the wall clock, which the kernel's stamps are in.
fn stamp() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Leg {
    /// Sends the next packet; `counts` is carried to the receiver.
    fn send(&mut self, own: u32, counts: bool) {
        let mut packet = [0xff_u8; PACKET];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = packet.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        // The first packet of a talk spurt is marked (RFC 3551 §4.1).
        put(0, &[0x80, if self.sequence == 0 { 0x80 } else { 0 }]);
        put(2, &self.sequence.to_be_bytes());
        put(4, &self.time.to_be_bytes());
        put(8, &(own + 1).to_be_bytes());
        put(HEADER, MARK);
        put(HEADER + 4, &own.to_be_bytes());
        put(HEADER + 8, &[u8::from(counts)]);
        put(HEADER + 12, &stamp().to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.time = self.time.wrapping_add(SAMPLES);
        // A packet that is not taken is one that is lost: it was counted as sent.
        self.socket.send_to(&packet, self.to).ok();
    }

    /// Takes what has come, at most `most` packets.
    fn receive(&mut self, most: usize, counted: &mut Counted) {
        for _ in 0..most {
            let mut packet = [0_u8; 512];
            let Some((length, arrived)) = receive(&self.socket, &mut packet) else { return };
            let Some((from, counts, sent)) = packet.get(..length).and_then(ours) else {
                counted.strange += 1;
                continue;
            };
            counted.crossed += u64::from(*self.hears.get_or_insert(from) != from);
            if counts {
                counted.delays.add(arrived.saturating_sub(sent));
            }
        }
    }
}

/// Sender, whether it counts, and when it was sent.
fn ours(packet: &[u8]) -> Option<(u32, bool, u64)> {
    let payload = packet.get(HEADER..)?;
    let number = |at: usize| payload.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let sent = u64::from_be_bytes(payload.get(12..20)?.try_into().ok()?);
    (payload.get(..4)? == MARK).then_some((number(4)?, payload.get(8) == Some(&1), sent))
}

/// One datagram and the kernel's stamp of it.
fn receive(socket: &UdpSocket, packet: &mut [u8]) -> Option<(usize, u64)> {
    let mut control = cmsg_space!(nix::sys::time::TimeSpec);
    let mut parts = [IoSliceMut::new(packet)];
    let got =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT).ok()?;
    let arrived = got.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => {
            Some(u64::try_from(at.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(at.tv_nsec()).ok()?)
        }
        _ => None,
    })?;
    Some((got.bytes, arrived))
}

/// Plays for all the seconds, measures in those that count, and waits for stragglers.
fn play(legs: &mut [Leg], load: &Load) -> Result<Value, Failed> {
    let rounds = |seconds: u16| u64::from(seconds) * 50;
    let (from, until) = (rounds(load.warm), rounds(load.warm) + rounds(load.seconds));
    let expected = usize::try_from(rounds(load.seconds)).unwrap_or(0) * legs.len();
    let mut counted = Counted { delays: Delays::with_capacity(expected), ..Counted::default() };
    let gap = PTIME / u32::try_from(legs.len().max(1)).unwrap_or(u32::MAX);
    let tick = Duration::from_millis(u64::from(load.tick));
    let begun = Duration::try_from(clock_gettime(ClockId::Monotonic))
        .map_err(|_| Failed::call("clock", "before its beginning"))?;
    let (mut before, mut window) = (Use::default(), Instant::now());
    for round in 0..until {
        if round == from {
            (before, window) = (Use::read(&load.pid)?, Instant::now());
        }
        let round_at = begun + PTIME * u32::try_from(round).unwrap_or(u32::MAX);
        for (own, leg) in (0_u32..).zip(legs.iter_mut()) {
            let spread = gap * own;
            let due = round_at + if tick.is_zero() { spread } else { whole(spread, tick) };
            counted.late += u64::from(wait_until(due) > Duration::from_millis(1) && round >= from);
            leg.send(own, round >= from);
            // What came is taken while waiting anyhow; a tick's packets go out together first.
            if tick.is_zero() {
                leg.receive(4, &mut counted);
            }
        }
        if !tick.is_zero() {
            legs.iter_mut().for_each(|leg| leg.receive(4, &mut counted));
        }
        counted.sent += if round >= from { legs.len() as u64 } else { 0 };
    }
    let used = Use::read(&load.pid)?.since(&before);
    let took = window.elapsed();
    // Nothing that is still under way after this would have been of use to an ear.
    thread::sleep(Duration::from_millis(300));
    legs.iter_mut().for_each(|leg| leg.receive(usize::MAX, &mut counted));
    Ok(figures(load, counted, &used, took))
}

/// The ticks that have passed.
fn whole(span: Duration, tick: Duration) -> Duration {
    let ticks = span.as_nanos() / tick.as_nanos().max(1);
    tick * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Sleeps until then on the monotonic clock; by how much it is past.
fn wait_until(due: Duration) -> Duration {
    loop {
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or(due);
        if now >= due {
            return now - due;
        }
        if let Ok(at) = Timespec::try_from(due) {
            // Interrupted by a signal: it looks at the clock again.
            clock_nanosleep_absolute(ClockId::Monotonic, &at).ok();
        }
    }
}

fn figures(load: &Load, counted: Counted, used: &Use, took: Duration) -> Value {
    let received = counted.delays.count() as u64;
    let cpu = used.user + used.system;
    let percent = |seconds: f64| seconds * 100.0 / took.as_secs_f64();
    let threads: serde_json::Map<String, Value> =
        used.threads.iter().map(|(name, s)| (name.clone(), json!(percent(*s)))).collect();
    json!({
        "calls": load.calls,
        "seconds": took.as_secs_f64(),
        "sent": counted.sent,
        "lost": counted.sent.saturating_sub(received),
        "crossed": counted.crossed,
        "strange": counted.strange,
        "sent_late": counted.late,
        "delay_us": counted.delays.figures(),
        "cpu_us_per_packet": cpu * 1e6 / counted.sent.max(1) as f64,
        "cpu_percent": percent(cpu),
        "cpu_system_share": if cpu > 0.0 { used.system / cpu } else { 0.0 },
        "threads_percent": threads,
    })
}
