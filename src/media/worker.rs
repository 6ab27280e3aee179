//! The thread that moves packets: it waits for sockets, orders and times, and is never waited for. Owns every leg.
//!
//! A relayed packet costs one receive and one send. The clock is read once for all that woke the thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::epoll;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::media::MediaReport;
use crate::media::ear::{Ear, KeyChange};
use crate::media::facts::{Counts, add};
use crate::media::leg::{Leg, Passing, Source};
use crate::media::line::{Line, ReportLine, Sender};
use crate::media::mouth::{LONGEST_MILLIS, Mouth, Said};
use crate::media::orders::{Opened, Order, Shared};
use crate::media::plan::Meaning;
use crate::media::report::Reports;
use crate::rtp::Micros;
use crate::rtp::event::Event;
use crate::rtp::packet::{Kind, Packet, kind};
use crate::rtp::rtcp::Ntp;
use crate::rtp::tones::Region;
use crate::types::{Dtmf, LegEvent, MediaEvent, SplitMix64};

/// Longest datagram that is read.
const LONGEST: usize = 1500;
/// And room for a tag.
const ROOM: usize = LONGEST + 64;
/// Sockets that are served before orders and times are looked at.
const BATCH: usize = 64;
/// Silence, lost keys, reports and forgotten ports are looked for so often, in microseconds: with one leg of four each
/// time, so that packets never wait for all of them.
const SWEEP: u64 = 50_000;
const SLICES: usize = 4;
/// Times are set on this grid, so that several legs share a wake-up.
const GRID: u64 = 2_000;
/// Legs begin on so many places of the grid in turn: the 20 ms of most packets.
const APART: usize = 10;
/// Behind by more, a time line goes on from now.
const STALLED: u64 = 60_000;
/// Sound that waited longer is of no use, and packets of it at most: as many as a socket holds.
const STALE: Duration = Duration::from_millis(200);
const MOST_STALE: u32 = 1000;
const BELL: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// How legs are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) silence: Duration,
    pub(super) region: Region,
}

/// Reports that wait until the loop has room for them.
pub(super) struct Outbox {
    sender: mpsc::Sender<MediaReport>,
    waiting: VecDeque<MediaReport>,
}

impl Outbox {
    fn tell(&mut self, report: MediaReport, counts: &Counts) {
        self.waiting.push_back(report);
        self.flush(counts);
    }

    fn flush(&mut self, counts: &Counts) {
        while let Some(report) = self.waiting.pop_front() {
            match self.sender.try_send(report) {
                Ok(()) => {}
                Err(TrySendError::Full(report)) => {
                    self.waiting.push_front(report);
                    break;
                }
                // Nobody is left to be told: the box stops.
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
        let waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        counts.reports_waiting.store(waiting, std::sync::atomic::Ordering::Relaxed);
    }
}

pub(super) struct Worker {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: Option<Micros>,
    shared: Arc<Shared>,
    rules: Rules,
    pub(super) outbox: Outbox,
    pub(super) legs: Vec<Option<Box<Leg>>>,
    open: usize,
    ticks: BinaryHeap<Reverse<(Micros, usize, u32)>>,
    serial: u32,
    sweep: Micros,
    slice: usize,
    start: Instant,
    pub(super) now: Micros,
    buffer: Box<[u8; ROOM]>,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        rules: Rules,
        reports: mpsc::Sender<MediaReport>,
    ) -> rustix::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &shared.bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            timer,
            armed: None,
            shared,
            rules,
            outbox: Outbox { sender: reports, waiting: VecDeque::new() },
            legs: Vec::new(),
            open: 0,
            ticks: BinaryHeap::new(),
            serial: 0,
            sweep: Micros(0),
            slice: 0,
            start: Instant::now(),
            now: Micros(0),
            buffer: Box::new([0; ROOM]),
        })
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(BATCH);
        let mut orders = Vec::new();
        loop {
            events.clear();
            self.arm();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "media: cannot wait for sockets any more");
                    return;
                }
            }
            self.now = self.clock();
            // Orders first: what was ordered before a packet was sent is done before it is received.
            if events.iter().any(|event| event.data.u64() == BELL) && !self.obey(&mut orders) {
                return self.stop();
            }
            for event in &events {
                match event.data.u64() {
                    BELL => {}
                    TIMER => self.armed = None,
                    token => self.readable(token),
                }
            }
            self.time_passes();
        }
    }

    /// Carries out what waits; false when that is to stop.
    fn obey(&mut self, orders: &mut Vec<Order>) -> bool {
        self.shared.take(orders);
        for order in orders.drain(..) {
            if matches!(order, Order::Stop) {
                return false;
            }
            self.carry_out(order);
        }
        true
    }

    fn clock(&self) -> Micros {
        // Far from zero, so that the past is before it.
        Micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)).plus(60_000_000)
    }

    fn wall() -> Ntp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ntp::from_unix_micros(u64::try_from(since.as_micros()).unwrap_or(0))
    }

    /// Sets the timer for what is due next. Setting it also takes back that it rang.
    fn arm(&mut self) {
        let tick = self.ticks.peek().map(|Reverse((due, ..))| *due);
        let sweep = (self.open > 0 || !self.outbox.waiting.is_empty()).then_some(self.sweep);
        let next = tick.into_iter().chain(sweep).min();
        if next == self.armed && next.is_some() {
            return;
        }
        self.armed = next;
        let wait = next.map_or(Duration::ZERO, |due| Duration::from_micros(due.since(self.now).max(1)));
        let it_value = Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let times = Itimerspec { it_interval, it_value };
        if let Err(error) = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times) {
            tracing::error!(%error, "media: cannot set the timer");
        }
    }

    fn readable(&mut self, token: u64) {
        let Ok(place) = usize::try_from(token >> 1) else { return };
        if token & 1 == 0 {
            self.rtp(place);
        } else {
            self.rtcp(place);
        }
    }

    /// A datagram on a leg's RTP port.
    fn rtp(&mut self, place: usize) {
        let Self { legs, buffer, shared, outbox, now, .. } = self;
        let (now, counts) = (*now, &shared.counts);
        let Some(leg) = legs.get_mut(place).and_then(Option::as_deref_mut) else { return };
        let (room, _) = buffer.split_at_mut(LONGEST);
        let Some((len, from)) = leg.line.receive(room, now) else { return };
        let datagram = room.get_mut(..len).unwrap_or_default();
        if from == Sender::Stranger {
            return add(&counts.strangers, 1);
        }
        match kind(datagram) {
            Kind::Rtp => {}
            Kind::Rtcp if leg.mux => return hear_report(leg, datagram, from, now, counts),
            Kind::Rtcp | Kind::Stun | Kind::Dtls | Kind::Other => return add(&counts.unknown, 1),
        }
        let Ok(len) = leg.ear.open(datagram) else { return add(&counts.unauthentic, 1) };
        let Some(Ok(packet)) = datagram.get(..len).map(Packet::parse) else { return add(&counts.unknown, 1) };
        let Some((meaning, action)) = leg.ear.plan.way(packet.header.payload_type) else {
            return add(&counts.unknown, 1);
        };
        if let Sender::New(address) = from {
            leg.line.learn(address, now);
        }
        (leg.life, leg.silence_told) = (now, false);
        leg.ear.count(&packet.header, now);
        add(&counts.received, 1);
        if !leg.receives {
            return;
        }
        let key = notice(leg, &packet, meaning, now, outbox, counts);
        let header = packet.header;
        let payload = (packet.header_len(), packet.header_len() + packet.payload.len());
        let buffer = buffer.as_mut_slice();
        let passing = Passing { header, payload, meaning, action, key, buffer, len, now };
        let (listener, said, wants_time) = match leg.source {
            Source::Leg(peer) => {
                let Some((from, to)) = pair(legs, place, peer) else { return };
                let said = passing.pass(&mut from.ear, &mut to.mouth, &to.line);
                (peer, said, wants_time(&from.ear, &to.mouth))
            }
            Source::Echo => {
                let said = passing.pass(&mut leg.ear, &mut leg.mouth, &leg.line);
                (place, said, wants_time(&leg.ear, &leg.mouth))
            }
            Source::Nothing | Source::Prompt(_) | Source::Tone(_) => return,
        };
        count(said, counts);
        if wants_time {
            self.begin_ticks(listener);
        }
    }

    /// A datagram on a leg's RTCP port.
    fn rtcp(&mut self, place: usize) {
        let Self { legs, buffer, shared, now, .. } = self;
        let counts = &shared.counts;
        let Some(leg) = legs.get_mut(place).and_then(Option::as_deref_mut) else { return };
        let (room, _) = buffer.split_at_mut(LONGEST);
        let Some((len, from)) = leg.report_line.receive(room) else { return };
        if !leg.line.believes(from.ip()) {
            return add(&counts.strangers, 1);
        }
        let datagram = room.get_mut(..len).unwrap_or_default();
        hear_report(leg, datagram, Sender::New(from), *now, counts);
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Open(place, opened) => self.open_leg(place, *opened),
            Order::Rebind(place, sockets) => {
                let Some(leg) = self.leg(place) else { return };
                leg.line.rebind(sockets.rtp);
                leg.report_line.socket = sockets.rtcp;
                leg.watched = false;
                if leg.stream.is_some() {
                    self.watch(place);
                }
            }
            Order::Set(place, stream) => self.set(place, stream),
            Order::Press(place, key) => self.press(place, key),
            Order::Close(place) => self.close(place),
            Order::Join(a, b) => self.join(a, b),
            Order::Part(a, b) => {
                if self.leg(a).is_some_and(|leg| leg.peer() == Some(b)) {
                    self.hear(a, Source::Nothing);
                }
            }
            Order::Play(place, id, prompt, repeat) => self.play(place, id, prompt, repeat),
            Order::Tone(place, tone) => self.tone(place, tone),
            Order::Echo(place) => self.hear(place, Source::Echo),
            Order::StopPlaying(place) => {
                if self.leg(place).is_some_and(|leg| leg.peer().is_none()) {
                    self.hear(place, Source::Nothing);
                }
            }
            Order::Report(report) => self.tell(report),
            // The loop has seen it.
            Order::Stop => {}
        }
    }

    pub(super) fn leg(&mut self, place: usize) -> Option<&mut Leg> {
        self.legs.get_mut(place).and_then(Option::as_deref_mut)
    }

    pub(super) fn tell(&mut self, report: MediaReport) {
        self.outbox.tell(report, &self.shared.counts);
    }

    pub(super) fn region(&self) -> Region {
        self.rules.region
    }

    fn open_leg(&mut self, place: usize, opened: Opened) {
        let Opened { id, sockets, facts, seed, at } = opened;
        let mut chance = SplitMix64::new(seed);
        let (ssrc, timestamp, sequence) = (chance.word(), chance.word(), chance.half_word());
        let leg = Leg {
            id,
            opened: at,
            line: Line::new(sockets.rtp),
            report_line: ReportLine::new(sockets.rtcp),
            mux: false,
            receives: false,
            watched: false,
            ear: Ear::new(Arc::clone(&facts)),
            mouth: Mouth::new(ssrc, sequence, timestamp, facts),
            reports: Reports::new(chance.draw(), self.now),
            stream: None,
            source: Source::Nothing,
            life: self.now,
            silence_told: false,
        };
        if self.legs.len() <= place {
            self.legs.resize_with(place + 1, || None);
        }
        if self.open == 0 {
            self.sweep = self.now.plus(SWEEP);
        }
        if let Some(room) = self.legs.get_mut(place) {
            *room = Some(Box::new(leg));
            self.open += 1;
        }
    }

    fn set(&mut self, place: usize, stream: Box<crate::types::MediaStream>) {
        let now = self.now;
        let Some(leg) = self.leg(place) else { return };
        leg.agree(stream, now);
        self.watch(place);
        self.route(place);
        // Keys may wait since before.
        self.begin_ticks_if_wanted(place);
    }

    /// Lets the kernel tell of a leg's packets. What waited for long until something was agreed is too old to be
    /// heard.
    fn watch(&mut self, place: usize) {
        let (now, token) = (self.now, u64::try_from(place).unwrap_or(u64::MAX) << 1);
        let Self { legs, epoll, buffer, .. } = self;
        let Some(leg) = legs.get_mut(place).and_then(Option::as_deref_mut) else { return };
        if leg.watched {
            return;
        }
        leg.watched = true;
        if leg.opened.elapsed() > STALE {
            (0..MOST_STALE).find(|_| leg.line.receive(buffer.as_mut_slice(), now).is_none());
        }
        let flags = epoll::EventFlags::IN;
        let rtp = epoll::add(&epoll, &leg.line.socket, epoll::EventData::new_u64(token), flags);
        let rtcp = epoll::add(&epoll, &leg.report_line.socket, epoll::EventData::new_u64(token | 1), flags);
        if let Err(error) = rtp.and(rtcp) {
            tracing::error!(%error, leg = %leg.id, "media: a leg stays deaf");
        }
    }

    fn press(&mut self, place: usize, key: Dtmf) {
        let Some(leg) = self.leg(place) else { return };
        if leg.mouth.press(key) {
            self.begin_ticks_if_wanted(place);
        } else {
            add(&self.shared.counts.keys_dropped, 1);
        }
    }

    fn close(&mut self, place: usize) {
        self.hear(place, Source::Nothing);
        let clocks = (self.now, Self::wall());
        let Self { legs, buffer, .. } = self;
        let Some(mut leg) = legs.get_mut(place).and_then(Option::take) else { return };
        leg.send_report(clocks, true, buffer.as_mut_slice());
        self.open = self.open.saturating_sub(1);
    }

    fn stop(&mut self) {
        for place in 0..self.legs.len() {
            self.close(place);
        }
    }

    /// Times of legs that need one now.
    pub(super) fn begin_ticks_if_wanted(&mut self, place: usize) {
        let Some(leg) = self.leg(place) else { return };
        let plays = matches!(leg.source, Source::Prompt(_) | Source::Tone(_));
        if plays || leg.mouth.wants_time() {
            self.begin_ticks(place);
        }
    }

    fn begin_ticks(&mut self, place: usize) {
        let (now, serial) = (self.now, self.serial.wrapping_add(1));
        let Some(leg) = self.leg(place) else { return };
        if leg.mouth.ticking.is_some() {
            return;
        }
        leg.mouth.ticking = Some(serial);
        self.serial = serial;
        // Apart from its neighbours, so that packets in between never wait for hundreds of frames.
        let apart = u64::try_from(place % APART).unwrap_or(0) * GRID;
        let due = Micros(now.0.next_multiple_of(GRID)).plus(apart);
        self.ticks.push(Reverse((due, place, serial)));
    }

    fn time_passes(&mut self) {
        while let Some(Reverse((due, place, serial))) = self.ticks.peek().copied() {
            if due > self.now {
                break;
            }
            self.ticks.pop();
            self.tick(place, serial, due);
        }
        if self.now >= self.sweep && (self.open > 0 || !self.outbox.waiting.is_empty()) {
            self.sweep = self.now.plus(SWEEP);
            self.outbox.flush(&self.shared.counts);
            self.slice = (self.slice + 1) % SLICES;
            for place in (self.slice..self.legs.len()).step_by(SLICES) {
                self.sweep_leg(place);
            }
        }
    }

    fn tick(&mut self, place: usize, serial: u32, due: Micros) {
        let now = self.now;
        let Some(leg) = self.leg(place).filter(|leg| leg.mouth.ticking == Some(serial)) else { return };
        let millis = leg.mouth.millis;
        if !self.make_frame(place, millis) {
            if let Some(leg) = self.leg(place) {
                leg.mouth.ticking = None;
            }
            return;
        }
        let next = due.plus(u64::try_from(millis).unwrap_or(20) * 1000);
        let next = if now.since(next) > STALLED { Micros(now.0.next_multiple_of(GRID)) } else { next };
        self.ticks.push(Reverse((next, place, serial)));
    }

    /// What a leg hears next; false when there will be nothing more.
    fn make_frame(&mut self, place: usize, millis: usize) -> bool {
        let now = self.now;
        let mut samples = [0; LONGEST_MILLIS * 16];
        let Some(peer) = self.leg(place).map(|leg| leg.peer()) else { return false };
        let (said, more, key) = match peer {
            Some(peer) => {
                let Some((from, to)) = pair(&mut self.legs, peer, place) else { return false };
                let pulled = from.ear.pull(millis, now, &mut samples);
                let (rate, len, key) =
                    pulled.map_or((crate::rtp::codec::Rate::Narrow, 0, None), |(c, n, k)| (c.rate(), n, k));
                let said = to.mouth.tick(&to.line, samples.get(..len).unwrap_or_default(), rate, now);
                let key = key.filter(|_| from.ear.may_tell_key(now)).map(|key| (from.id.clone(), key));
                (said, wants_time(&from.ear, &to.mouth), key)
            }
            None => {
                let (said, more) = self.play_frame(place, millis, &mut samples);
                (said, more, None)
            }
        };
        count(said, &self.shared.counts);
        if let Some((id, key)) = key {
            self.tell(MediaReport::Leg(id, LegEvent::Dtmf { key, carried: false }));
        }
        more
    }

    fn sweep_leg(&mut self, place: usize) {
        let (now, silence) = (self.now, self.rules.silence);
        let Self { legs, buffer, outbox, shared, .. } = self;
        let Some(leg) = legs.get_mut(place).and_then(Option::as_deref_mut) else { return };
        leg.line.sweep(now);
        if leg.stream.is_none() {
            return;
        }
        leg.ear.publish();
        leg.mouth.publish();
        let silent = leg.receives && u128::from(now.since(leg.life)) >= silence.as_micros();
        if silent && !leg.silence_told {
            leg.silence_told = true;
            outbox.tell(MediaReport::Leg(leg.id.clone(), LegEvent::MediaSilent), &shared.counts);
        }
        if leg.reports.is_due(now) {
            leg.send_report((now, Self::wall()), false, buffer.as_mut_slice());
        }
        if leg.ear.key_timeout(now)
            && let Some(peer) = leg.peer()
            && let Some(to) = self.leg(peer)
        {
            to.mouth.release_key();
        }
    }

    /// A prompt came to its end.
    pub(super) fn played(&mut self, place: usize) {
        let Some(leg) = self.leg(place) else { return };
        let Source::Prompt(playing) = std::mem::replace(&mut leg.source, Source::Nothing) else { return };
        let event = MediaEvent::Played { leg: leg.id.clone(), prompt: playing.id };
        self.hear(place, Source::Nothing);
        self.tell(MediaReport::Media(event));
    }
}

fn wants_time(ear: &Ear, mouth: &Mouth) -> bool {
    ear.is_decoding() || mouth.wants_time()
}

pub(super) fn count(said: Said, counts: &Counts) {
    match said {
        Said::Sent => add(&counts.sent, 1),
        Said::Unsent => add(&counts.unsent, 1),
        Said::Kept => {}
    }
}

/// Two legs at once.
pub(super) fn pair(legs: &mut [Option<Box<Leg>>], a: usize, b: usize) -> Option<(&mut Leg, &mut Leg)> {
    let [a, b] = legs.get_disjoint_mut([a, b]).ok()?;
    Some((a.as_deref_mut()?, b.as_deref_mut()?))
}

/// Keys in a packet that was believed are told once.
fn notice(
    leg: &mut Leg,
    packet: &Packet<'_>,
    meaning: Meaning,
    now: Micros,
    outbox: &mut Outbox,
    counts: &Counts,
) -> KeyChange {
    let mut change = KeyChange::default();
    let key = match meaning {
        Meaning::Audio(audio) => leg.ear.sound(audio, packet.payload),
        Meaning::Noise => None,
        Meaning::Key(_) => {
            change = leg.ear.key(packet, now);
            match change.began {
                Some(Event::Key(key)) => Some(key),
                Some(Event::Flash) | None => None,
            }
        }
    };
    if let Some(key) = key {
        if leg.ear.may_tell_key(now) {
            let carried = leg.ear.plan.carries_keys && leg.peer().is_some();
            outbox.tell(MediaReport::Leg(leg.id.clone(), LegEvent::Dtmf { key, carried }), counts);
        } else {
            add(&counts.keys_dropped, 1);
        }
    }
    change
}

/// A report on a leg's audio; anything else is counted.
fn hear_report(leg: &mut Leg, datagram: &mut [u8], from: Sender, now: Micros, counts: &Counts) {
    let Ok(len) = leg.ear.open_report(datagram) else { return add(&counts.unauthentic, 1) };
    let clocks = (now, Worker::wall());
    let ssrc = leg.mouth.ssrc();
    let heard = datagram.get(..len).is_some_and(|bytes| Reports::heard(&mut leg.ear, ssrc, bytes, clocks));
    if !heard {
        return add(&counts.unknown, 1);
    }
    (leg.life, leg.silence_told) = (now, false);
    match from {
        Sender::New(address) if !leg.mux => leg.report_line.learn(address),
        Sender::New(_) | Sender::Known | Sender::Stranger => {}
    }
}
