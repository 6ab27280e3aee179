//! What a relayed packet costs the media thread beside a plain relay of the same shape (epoll, connected sockets, one
//! packet at a time): microseconds of CPU, delay and loss. Run by hand with `--release`, on a machine that does
//! nothing else: `media_bench [CALLS [SECONDS [ROUNDS]]]`. Both relays run in turn, round after round; then as many
//! legs as there are calls hear a prompt, and how evenly is told.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use backroom::media::{Media, MediaConfig, Prompt};
use backroom::rtp::codec::Rate;
use backroom::types::{
    AudioCodec, AudioFormat, LegId, MediaCommand, MediaPorts, MediaStream, OtherFormat, PromptId,
};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{RecvFlags, SendFlags, recv, send};

type Failure = Box<dyn std::error::Error>;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Header and 20 ms.
const PACKET: usize = 172;

fn socket() -> Result<UdpSocket, Failure> {
    let socket = UdpSocket::bind((LOCAL, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Nanoseconds that the thread of this name has run.
fn cpu(thread: &str) -> Result<u64, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if std::fs::read_to_string(path.join("comm"))?.trim() == thread {
            let text = std::fs::read_to_string(path.join("schedstat"))?;
            return Ok(text.split_whitespace().next().unwrap_or("0").parse()?);
        }
    }
    Err(format!("no thread {thread}").into())
}

/// Relays each socket to its neighbour and nothing else.
fn plain(sockets: Vec<UdpSocket>, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>, Failure> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (n, socket) in sockets.iter().enumerate() {
        epoll::add(&epoll, socket, epoll::EventData::new_u64(u64::try_from(n)?), epoll::EventFlags::IN)?;
    }
    let run = move || {
        // As the media thread does.
        if rustix::process::setpriority_process(None, -11).is_err() {
            println!("both relays run at the priority of the rest");
        }
        let mut events = Vec::with_capacity(64);
        let mut buffer = [0u8; 1500];
        let tick = rustix::time::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        while !stop.load(Ordering::Relaxed) {
            events.clear();
            if epoll::wait(&epoll, spare_capacity(&mut events), Some(&tick)).is_err() {
                continue;
            }
            for event in &events {
                let at = usize::try_from(event.data.u64()).unwrap_or(0);
                let Ok((len, _)) = recv(&sockets[at], &mut buffer[..], RecvFlags::empty()) else { continue };
                let sent = send(&sockets[at ^ 1], &buffer[..len], SendFlags::empty());
                if sent.is_err() {
                    println!("plain: not sent");
                }
            }
        }
    };
    Ok(std::thread::Builder::new().name("plain".to_owned()).spawn(run)?)
}

fn stream(to: SocketAddr) -> MediaStream {
    let format = AudioFormat { codec: AudioCodec::Pcmu, send: 0, receive: 0 };
    MediaStream {
        remote: Some(to),
        remote_rtcp: None,
        sources: vec![to.ip()],
        audio: vec![format],
        telephone_event: Some(OtherFormat { send: 101, receive: 101, clock: 8000 }),
        comfort_noise: None,
        ptime: 20,
        sends: true,
        receives: true,
        rtcp_mux: false,
        srtp: None,
    }
}

#[derive(Default)]
struct Seen {
    received: AtomicU64,
    delays: std::sync::Mutex<Vec<u32>>,
}

/// What the far ends receive, and how long it was under way.
fn listen(
    phones: Arc<Vec<UdpSocket>>,
    start: Instant,
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
) -> Result<JoinHandle<()>, Failure> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (n, socket) in phones.iter().enumerate() {
        epoll::add(&epoll, socket, epoll::EventData::new_u64(u64::try_from(n)?), epoll::EventFlags::IN)?;
    }
    let run = move || {
        let mut events = Vec::with_capacity(256);
        let mut buffer = [0u8; 1500];
        let mut delays = Vec::new();
        let tick = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        while !stop.load(Ordering::Relaxed) {
            events.clear();
            if epoll::wait(&epoll, spare_capacity(&mut events), Some(&tick)).is_err() {
                continue;
            }
            for event in &events {
                let at = usize::try_from(event.data.u64()).unwrap_or(0);
                let Ok(len) = phones[at].recv(&mut buffer) else { continue };
                let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(0);
                let sent = buffer.get(12..20).and_then(|b| b.first_chunk()).map(|b| u64::from_be_bytes(*b));
                if let Some(sent) = sent.filter(|_| len == PACKET) {
                    seen.received.fetch_add(1, Ordering::Relaxed);
                    delays.push(u32::try_from(now.saturating_sub(sent)).unwrap_or(u32::MAX));
                }
            }
        }
        if let Ok(mut all) = seen.delays.lock() {
            *all = delays;
        }
    };
    Ok(std::thread::Builder::new().name("far-ends".to_owned()).spawn(run)?)
}

/// Every far end sends a packet in 20 ms, spread over its milliseconds; how many were sent.
fn speak(phones: &[UdpSocket], start: Instant, length: Duration, milli: &mut u32) -> Result<u64, Failure> {
    let mut packet = [0u8; PACKET];
    packet[0] = 0x80;
    let (begin, mut sent) = (Instant::now(), 0);
    let each = phones.len().div_ceil(20);
    let first = *milli;
    while begin.elapsed() < length {
        let round = *milli / 20;
        let sequence = u16::try_from(round % 65_536)?;
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(round * 160).to_be_bytes());
        let place = usize::try_from(*milli % 20)? * each;
        for (n, phone) in phones.iter().enumerate().skip(place).take(each) {
            packet[8..12].copy_from_slice(&u32::try_from(n + 1)?.to_be_bytes());
            let now = u64::try_from(start.elapsed().as_nanos())?;
            packet[12..20].copy_from_slice(&now.to_be_bytes());
            phone.send(&packet)?;
            sent += 1;
        }
        *milli += 1;
        let due = begin + Duration::from_millis(u64::from(*milli - first));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

struct Measured {
    micros: f64,
    p50: u32,
    p99: u32,
    lost: u64,
}

fn round(
    relay: &str,
    phones: &Arc<Vec<UdpSocket>>,
    seconds: u64,
    milli: &mut u32,
) -> Result<Measured, Failure> {
    let (start, seen, stop) = (Instant::now(), Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    // The first packets teach both relays who is there.
    speak(phones, start, Duration::from_millis(100), milli)?;
    std::thread::sleep(Duration::from_millis(200));
    for phone in phones.iter() {
        while phone.recv(&mut [0; 1500]).is_ok() {}
    }
    let listener = listen(Arc::clone(phones), start, Arc::clone(&seen), Arc::clone(&stop))?;
    let before = cpu(relay)?;
    let sent = speak(phones, start, Duration::from_secs(seconds), milli)?;
    std::thread::sleep(Duration::from_millis(100));
    let used = cpu(relay)? - before;
    stop.store(true, Ordering::Relaxed);
    if listener.join().is_err() {
        return Err("the listener failed".into());
    }
    let mut delays = std::mem::take(&mut *seen.delays.lock().map_err(|_| "poisoned")?);
    delays.sort_unstable();
    let at = |share: usize| delays.get(delays.len() * share / 100).copied().unwrap_or(0) / 1000;
    let received = seen.received.load(Ordering::Relaxed);
    Ok(Measured {
        micros: used as f64 / 1000.0 / sent as f64,
        p50: at(50),
        p99: at(99),
        lost: sent - received,
    })
}

/// How far from 20 ms apart the packets of a prompt come, in microseconds, and the CPU of one.
fn prompts(media: &Media, phones: &[UdpSocket], legs: usize, seconds: u64) -> Result<(), Failure> {
    media.add_prompt(PromptId::from("tone"), Prompt::new(Rate::Narrow, vec![1000; 160_000]));
    for phone in phones {
        while phone.recv(&mut [0; 1500]).is_ok() {}
    }
    for n in 0..legs {
        let leg = LegId(format!("{}", 2 * n));
        media.command(MediaCommand::Part(leg.clone(), LegId(format!("{}", 2 * n + 1))));
        media.command(MediaCommand::Play { leg, prompt: PromptId::from("tone"), repeat: true });
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (n, socket) in phones.iter().enumerate() {
        epoll::add(&epoll, socket, epoll::EventData::new_u64(u64::try_from(n)?), epoll::EventFlags::IN)?;
    }
    let (begin, mut events, mut buffer) = (Instant::now(), Vec::with_capacity(256), [0; 1500]);
    let mut last: Vec<Option<Instant>> = vec![None; phones.len()];
    let (mut apart, before) = (Vec::new(), cpu("media")?);
    while begin.elapsed() < Duration::from_secs(seconds) {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let at = usize::try_from(event.data.u64())?;
            if phones[at].recv(&mut buffer).is_err() {
                continue;
            }
            let now = Instant::now();
            if let Some(before) = last[at].replace(now) {
                let micros = u32::try_from((now - before).as_micros())?;
                apart.push(micros.abs_diff(20_000));
            }
        }
    }
    let micros = (cpu("media")? - before) as f64 / 1000.0 / apart.len() as f64;
    apart.sort_unstable();
    let at = |share: usize| apart.get(apart.len() * share / 1000).copied().unwrap_or(0);
    println!(
        "prompt to {legs} legs: {micros:.2} us CPU a packet, apart from 20 ms by p50 {} us, p99 {} us, p99.9 {} us",
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}

fn print(relay: &str, m: &Measured) {
    println!(
        "{relay:<6} {:>6.2} us CPU a packet   delay p50 {:>5} us  p99 {:>6} us   lost {}",
        m.micros, m.p50, m.p99, m.lost
    );
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let calls = usize::try_from(arguments.next().unwrap_or(Ok(100))?)?;
    let seconds = arguments.next().unwrap_or(Ok(5))?;
    let rounds = arguments.next().unwrap_or(Ok(5))?;
    let (sender, _reports) = tokio::sync::mpsc::channel(64);
    let media = Media::start(MediaConfig::default(), sender)?;
    let ends = || (0..2 * calls).map(|_| socket()).collect::<Result<Vec<_>, _>>();
    let (plain_phones, phones, relays) = (ends()?, ends()?, ends()?);
    for (phone, relay) in plain_phones.iter().zip(&relays) {
        phone.connect(relay.local_addr()?)?;
        relay.connect(phone.local_addr()?)?;
    }
    let begin = Instant::now();
    for (n, phone) in phones.iter().enumerate() {
        let leg = LegId(format!("{n}"));
        let local = media.open(&leg, LOCAL.into(), false)?;
        media.set(&leg, stream(phone.local_addr()?));
        phone.connect(local.rtp)?;
        if n % 2 == 1 {
            media.command(MediaCommand::Join(LegId(format!("{}", n - 1)), leg));
        }
    }
    let each = begin.elapsed().as_secs_f64() * 1e6 / phones.len() as f64;
    println!("{calls} calls, {seconds} s a round; opening a leg took {each:.1} us");
    let stop = Arc::new(AtomicBool::new(false));
    let thread = plain(relays, Arc::clone(&stop))?;
    let (plain_phones, phones) = (Arc::new(plain_phones), Arc::new(phones));
    let (mut ratios, mut plain_clock, mut clock) = (Vec::new(), 0, 0);
    for _ in 0..rounds {
        let floor = round("plain", &plain_phones, seconds, &mut plain_clock)?;
        print("plain", &floor);
        let ours = round("media", &phones, seconds, &mut clock)?;
        print("media", &ours);
        ratios.push((ours.micros / floor.micros, f64::from(ours.p99) / f64::from(floor.p99.max(1))));
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (cpu, _) = ratios[ratios.len() / 2];
    println!("CPU a packet: {cpu:.3} x the plain relay's (median of the rounds)");
    prompts(&media, &phones, calls, seconds)?;
    stop.store(true, Ordering::Relaxed);
    media.stop();
    println!("{:?}", media.counters());
    if thread.join().is_err() {
        return Err("the plain relay failed".into());
    }
    Ok(())
}
