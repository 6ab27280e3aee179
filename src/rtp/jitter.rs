//! The jitter buffer: packets in as the network delivers them, out in the order and the pace in which they were
//! spoken. Owns when a packet is due, how late the whole stream is played, and what counts as lost, late or silent.
//! What a gap sounds like stands in `conceal`, and frames of samples in `playout`.
//!
//! The delay follows the network: 98 in 100 packets of the last seconds would have come in time. It is set at the
//! begin of a talk spurt; within one it grows when the buffer runs dry (the time line waits) and shrinks when
//! [`JitterBuffer::excess`] says that there is more than is needed. That also takes up clocks that drift apart.

use crate::rtp::packet::{Header, Packet};
use crate::rtp::{Micros, sequence_diff, ticks, timestamp_diff};

/// Packets held at most; a power of two, so that sequence numbers fall on places over the wrap.
const PLACES: usize = 64;
/// Delays are counted in steps of so many microseconds.
const STEP: u64 = 5_000;
const STEPS: usize = 64;
/// In each packet's time the past counts this much less: half after 3.5 s of 20 ms packets.
const FORGET: f32 = 0.996;
/// So many packets in a hundred may come too late.
const LATE: f32 = 0.02;
/// A sender's clock may run this much slower than ours, in microseconds a packet of 20 ms: 500 ppm.
const CREEP: u64 = 10;

/// How a buffer is to work.
#[derive(Clone, Copy, Debug)]
pub struct JitterConfig {
    /// Of the RTP clock.
    pub clock_rate: u32,
    /// Least delay, in microseconds.
    pub least: u64,
    /// Most delay, in microseconds.
    pub most: u64,
    /// Longest payload in bytes that is kept.
    pub longest: usize,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self { clock_rate: 8000, least: 20_000, most: 200_000, longest: 480 }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for its time.
    Stored,
    /// It was there already.
    Duplicate,
    /// Its time is over.
    Late,
    /// Longer than any payload that is kept.
    TooLong,
    /// Alone and far away from all others.
    Stray,
}

/// What is to be heard next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A payload to decode.
    Packet {
        /// Its payload type.
        payload_type: u8,
        /// It begins a talk spurt.
        marker: bool,
        /// Its timestamp.
        timestamp: u32,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// So many ticks were lost: to be concealed.
    Lost(u32),
    /// For so many ticks the sender said nothing.
    Gap(u32),
    /// What should come now may still come: to be concealed, and the time line waits. Say how long it waited with
    /// [`JitterBuffer::waited`].
    Wait,
    /// Nothing has begun, or the sender has stopped.
    Idle,
}

/// Counts for the record of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounts {
    /// Packets given out.
    pub played: u64,
    /// Packets missing when their time came.
    pub lost: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came more than once.
    pub duplicate: u64,
    /// Packets pushed out because too many waited, or far from all others.
    pub dropped: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    filled: bool,
    /// A packet that was there and is not for hearing.
    silent: bool,
    sequence: u16,
    timestamp: u32,
    payload_type: u8,
    marker: bool,
    len: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Filling { until: Micros },
    Playing,
}

/// Holds the packets of one stream.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    places: [Place; PLACES],
    bytes: Box<[u8]>,
    held: usize,
    state: State,
    ssrc: Option<u32>,
    /// What would have been due next when the last talk spurt ended.
    over: Option<(u16, u32)>,
    /// What is due next.
    sequence: u16,
    timestamp: u32,
    newest: u16,
    newest_timestamp: u32,
    /// Ticks that the time line has waited and that a loss gives back.
    waited: u32,
    stray: Option<u16>,
    lates: u32,
    delays: Delays,
    counts: JitterCounts,
}

impl JitterBuffer {
    /// An empty buffer. All the memory that it will ever use.
    #[must_use]
    pub fn new(config: JitterConfig) -> Self {
        let longest = config.longest.clamp(1, usize::from(u16::MAX));
        let config = JitterConfig { clock_rate: config.clock_rate.max(1), longest, ..config };
        Self {
            config,
            places: [Place::default(); PLACES],
            bytes: vec![0; longest * PLACES].into(),
            held: 0,
            state: State::Idle,
            ssrc: None,
            over: None,
            sequence: 0,
            timestamp: 0,
            newest: 0,
            newest_timestamp: 0,
            waited: 0,
            stray: None,
            lates: 0,
            delays: Delays::new(),
            counts: JitterCounts::default(),
        }
    }

    /// Takes a packet. One of another source empties the buffer first.
    pub fn push(&mut self, packet: &Packet<'_>, now: Micros) -> Pushed {
        self.put(packet, now, false)
    }

    /// Takes note of a packet that is there but not for hearing, a telephone-event for instance, so that it does
    /// not count as lost.
    pub fn skip(&mut self, packet: &Packet<'_>, now: Micros) -> Pushed {
        self.put(packet, now, true)
    }

    /// Forgets all that waits; the network's delays stay known.
    pub fn clear(&mut self) {
        self.places = [Place::default(); PLACES];
        self.held = 0;
        self.waited = 0;
        self.lates = 0;
        self.stray = None;
        self.pause();
    }

    /// Packets that wait.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> JitterCounts {
        self.counts
    }

    /// The delay that a talk spurt would begin with now, in microseconds.
    #[must_use]
    pub fn target(&self) -> u64 {
        self.delays.enough().clamp(self.config.least, self.config.most.max(self.config.least))
    }

    /// Ticks that wait beyond what the network needs: 0, or as much as may be cut out.
    #[must_use]
    pub fn excess(&self) -> u32 {
        if self.state != State::Playing || self.held == 0 {
            return 0;
        }
        let waiting = timestamp_diff(self.newest_timestamp, self.timestamp);
        // Half a step of the delays' counting above the target before anything is cut.
        let needed = ticks(self.target() + 3 * STEP, self.config.clock_rate).cast_signed();
        waiting.saturating_sub(needed).max(0).cast_unsigned()
    }

    /// The concealment after [`Next::Wait`] lasted so many ticks.
    pub fn waited(&mut self, ticks: u32) {
        self.waited = self.waited.saturating_add(ticks);
        if self.waited > self.max_wait() {
            self.waited = 0;
            self.pause();
        }
    }

    /// What is to be heard at `now`; what it gives out is gone from the buffer.
    pub fn next(&mut self, now: Micros) -> Next<'_> {
        match self.state {
            State::Idle => return Next::Idle,
            State::Filling { until } if now < until && self.held < PLACES / 2 => return Next::Idle,
            State::Filling { .. } => self.start(),
            State::Playing => {}
        }
        loop {
            let Some(at) = self.first() else { return Next::Wait };
            let place = self.places.get(at).copied().unwrap_or_default();
            let missing = place.sequence.wrapping_sub(self.sequence);
            let ahead = timestamp_diff(place.timestamp, self.timestamp);
            if missing > 0 && !place.silent && self.waited < self.max_wait() && self.is_early(now) {
                return Next::Wait;
            }
            if !place.silent && ahead > 0 {
                let back = self.waited.min(ahead.cast_unsigned());
                self.waited -= back;
                self.timestamp = self.timestamp.wrapping_add(back);
                let rest = ahead.cast_unsigned() - back;
                if rest > 0 {
                    self.timestamp = place.timestamp;
                    return self.gap(place, missing, rest);
                }
            }
            if missing == 0 {
                self.waited = 0;
            }
            self.count_lost(missing);
            self.take(at);
            if !place.silent {
                return self.give(at, place);
            }
        }
    }

    fn gap(&mut self, place: Place, missing: u16, ticks: u32) -> Next<'_> {
        self.count_lost(missing);
        self.sequence = place.sequence;
        if missing > 0 && ticks <= self.max_wait() { Next::Lost(ticks) } else { Next::Gap(ticks) }
    }

    fn give(&mut self, at: usize, place: Place) -> Next<'_> {
        self.counts.played += 1;
        let start = at * self.config.longest;
        let payload = self.bytes.get(start..start + usize::from(place.len)).unwrap_or_default();
        let Place { payload_type, marker, timestamp, .. } = place;
        Next::Packet { payload_type, marker, timestamp, payload }
    }

    /// The payload that was given out lasts so many ticks; what comes next is due then.
    pub fn played(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    fn put(&mut self, packet: &Packet<'_>, now: Micros, silent: bool) -> Pushed {
        let header = &packet.header;
        let len = u16::try_from(packet.payload.len()).ok().filter(|l| usize::from(*l) <= self.config.longest);
        let Some(len) = len else { return Pushed::TooLong };
        if self.ssrc != Some(header.ssrc) {
            self.clear();
            self.delays.rebase();
            self.ssrc = Some(header.ssrc);
            self.over = None;
        }
        if self.state == State::Idle && silent {
            return Pushed::Stored;
        }
        if self.is_over(header.sequence, header.timestamp) {
            self.counts.late += 1;
            return Pushed::Late;
        }
        if self.state == State::Idle || !silent && self.is_spurt(header) {
            self.clear();
        } else if let Some(refused) = self.misplaced(header.sequence, header.timestamp, silent) {
            return refused;
        }
        self.stray = None;
        if !silent {
            self.delays.arrival(now, header.timestamp, self.config.clock_rate);
        }
        let at = usize::from(header.sequence) % PLACES;
        let Some(place) = self.places.get_mut(at) else { return Pushed::TooLong };
        if place.filled {
            self.counts.duplicate += 1;
            return Pushed::Duplicate;
        }
        *place = Place {
            filled: true,
            silent,
            sequence: header.sequence,
            timestamp: header.timestamp,
            payload_type: header.payload_type,
            marker: header.marker,
            len,
        };
        let start = at * self.config.longest;
        if let Some(room) = self.bytes.get_mut(start..start + usize::from(len)) {
            room.copy_from_slice(packet.payload);
        }
        self.held += 1;
        self.lates = 0;
        if self.state == State::Idle {
            self.state = State::Filling { until: now.plus(self.target()) };
            self.sequence = header.sequence;
            self.newest = header.sequence;
            self.newest_timestamp = header.timestamp;
        }
        self.stand(header.sequence, header.timestamp);
        Pushed::Stored
    }

    fn pause(&mut self) {
        if self.state == State::Playing {
            self.over = Some((self.sequence, self.timestamp));
        }
        self.state = State::Idle;
    }

    /// A talk spurt begins while there is nothing to play: its delay can be set anew.
    fn is_spurt(&self, header: &Header) -> bool {
        let dry = self.state == State::Playing && self.held == 0 && self.waited > 0;
        let later = sequence_diff(header.sequence, self.sequence) >= 0
            && timestamp_diff(header.timestamp, self.timestamp) >= 0;
        header.marker && dry && later
    }

    /// In a pause: a packet of what was heard before it.
    fn is_over(&self, sequence: u16, timestamp: u32) -> bool {
        let Some((due, time)) = self.over.filter(|_| self.state != State::Playing) else { return false };
        let behind = i32::from(sequence_diff(due, sequence));
        let near = (1..=i32::try_from(PLACES).unwrap_or(0)).contains(&behind);
        near && timestamp_diff(timestamp, time) < 0
    }

    /// Keeps the ends of what waits.
    fn stand(&mut self, sequence: u16, timestamp: u32) {
        if sequence_diff(sequence, self.newest) >= 0 {
            self.newest = sequence;
            self.newest_timestamp = timestamp;
        }
        let filling = matches!(self.state, State::Filling { .. });
        if filling && sequence_diff(sequence, self.sequence) < 0 {
            self.sequence = sequence;
        }
    }

    /// A packet that cannot be put at its place: late, or from so far away that the places do not reach.
    fn misplaced(&mut self, sequence: u16, timestamp: u32, silent: bool) -> Option<Pushed> {
        let ahead = i32::from(sequence_diff(sequence, self.sequence));
        let reach = i32::try_from(PLACES).unwrap_or(i32::MAX);
        let playing = self.state == State::Playing;
        let past = playing && !silent && timestamp_diff(timestamp, self.timestamp) < 0;
        if (0..reach).contains(&ahead) && !past {
            return None;
        }
        let early = !playing && ahead < 0;
        if early && i32::from(sequence_diff(self.newest, sequence)) < reach {
            return None;
        }
        if ahead < 0 && ahead > -reach || (0..reach).contains(&ahead) {
            self.counts.late += 1;
            self.lates += 1;
            // When what comes next is never in time, the time line is wrong and not the packets.
            if past && ahead >= 0 && self.lates > 5 && self.held == 0 {
                self.clear();
                return None;
            }
            return Some(Pushed::Late);
        }
        if self.stray != Some(sequence) && !(0..=3000).contains(&ahead) {
            self.stray = Some(sequence.wrapping_add(1));
            self.counts.dropped += 1;
            return Some(Pushed::Stray);
        }
        self.counts.dropped += u64::try_from(self.held).unwrap_or(0);
        self.clear();
        None
    }

    fn start(&mut self) {
        self.state = State::Playing;
        self.waited = 0;
        if let Some(place) = self.first().and_then(|at| self.places.get(at)) {
            self.sequence = place.sequence;
            self.timestamp = place.timestamp;
        }
        let heard = self.places.iter().filter(|p| p.filled && !p.silent);
        if let Some(place) = heard.min_by_key(|p| p.sequence.wrapping_sub(self.sequence)) {
            self.timestamp = place.timestamp;
        }
    }

    /// The place of the oldest packet that waits.
    fn first(&self) -> Option<usize> {
        if self.held == 0 {
            return None;
        }
        let from = usize::from(self.sequence);
        (from..from + PLACES).map(|n| n % PLACES).find(|at| self.places.get(*at).is_some_and(|p| p.filled))
    }

    fn take(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(at) {
            place.filled = false;
            self.sequence = place.sequence.wrapping_add(1);
            self.held = self.held.saturating_sub(1);
        }
    }

    /// What is missing may still come: the time line is ahead of the delay that the network needs.
    fn is_early(&self, now: Micros) -> bool {
        let behind = self.delays.behind(now, self.timestamp, self.config.clock_rate);
        behind.is_some_and(|behind| behind < self.target())
    }

    fn count_lost(&mut self, missing: u16) {
        self.counts.lost += u64::from(missing);
    }

    fn max_wait(&self) -> u32 {
        ticks(self.config.most, self.config.clock_rate)
    }
}

/// How late packets come behind the quickest, as a histogram that forgets.
#[derive(Clone, Debug)]
struct Delays {
    weights: [f32; STEPS],
    total: f32,
    /// Arrival and timestamp of the packet that all others are held against, and when it would have come at best.
    base: Option<(u64, u32)>,
}

impl Delays {
    fn new() -> Self {
        Self { weights: [0.0; STEPS], total: 0.0, base: None }
    }

    fn rebase(&mut self) {
        self.base = None;
    }

    fn arrival(&mut self, now: Micros, timestamp: u32, clock_rate: u32) {
        let (at, origin) = *self.base.get_or_insert((now.0, timestamp));
        let moved = i64::from(timestamp_diff(timestamp, origin)) * 1_000_000 / i64::from(clock_rate);
        let due = at.saturating_add_signed(moved);
        let late = now.0.saturating_sub(due);
        // A jump of the sender's clock, or a pause in which it stood.
        let jumped = now.0.abs_diff(due) > 1_000_000;
        // The best packet moves along, so that timestamps stay near; earlier ones become the best.
        let best = if jumped { now.0 } else { now.0.min(due + CREEP) };
        self.base = Some((best, timestamp));
        let bin = usize::try_from(late.div_ceil(STEP)).unwrap_or(STEPS).min(STEPS - 1);
        if !jumped {
            self.weights.iter_mut().for_each(|w| *w *= FORGET);
            self.total = self.total * FORGET + 1.0;
            if let Some(weight) = self.weights.get_mut(bin) {
                *weight += 1.0;
            }
        }
    }

    /// How long ago this timestamp would have come at best.
    fn behind(&self, now: Micros, timestamp: u32, clock_rate: u32) -> Option<u64> {
        let (at, origin) = self.base?;
        let moved = i64::from(timestamp_diff(timestamp, origin)) * 1_000_000 / i64::from(clock_rate);
        Some(now.0.saturating_sub(at.saturating_add_signed(moved)))
    }

    /// A delay within which nearly all packets came, in microseconds.
    fn enough(&self) -> u64 {
        let mut later = 0.0;
        for (bin, weight) in self.weights.iter().enumerate().rev() {
            later += weight;
            if later > self.total * LATE {
                return u64::try_from(bin).unwrap_or(0) * STEP;
            }
        }
        0
    }
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
