//! Keys as telephone-events (RFC 4733): pressed and held as packets, and heard from packets of which some are lost.
//! How keys sound stands in `dtmf`; sequence numbers are the `rewrite` module's.

use thiserror::Error;

use crate::rtp::packet::Header;
use crate::rtp::{Micros, ticks, timestamp_diff};
use crate::types::Dtmf;

/// Packets that say that an event is over, RFC 4733 §2.5.1.4: the last one and two repetitions.
const END_PACKETS: u8 = 3;
/// Without an update for so long, the key is taken as released: at least three updates were lost, which come
/// every 50 ms at the slowest. RFC 4733 §2.5.1.2 and §2.5.2.2.
const LOST_END: u64 = 200_000;
/// The longest that one segment of an event can say, §2.5.1.3.
const SEGMENT: u32 = 0xffff;
/// Events are told apart by their timestamps; one this much older belongs to another stream.
const OLD_SECONDS: u32 = 10;

/// What a telephone can press.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Events 0 to 15.
    Key(Dtmf),
    /// Event 16: the hook, tapped.
    Flash,
}

/// Four bytes that are no event that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EventError {
    /// Fewer than four bytes.
    #[error("shorter than an event")]
    Short,
    /// A tone of a modem, fax or exchange, which nobody at a telephone presses.
    #[error("event {0} is no key")]
    Unknown(u8),
}

/// The payload of one packet, RFC 4733 §2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    /// Which key.
    pub event: Event,
    /// The last packets of an event carry it.
    pub end: bool,
    /// Level in -dBm0: 0 is loud, 63 faint.
    pub volume: u8,
    /// Ticks since the packet's timestamp.
    pub duration: u16,
}

impl Event {
    /// The event code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Key(key) => key.code(),
            Self::Flash => 16,
        }
    }

    /// The key of an event code, if it is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        if code == 16 { Some(Self::Flash) } else { Dtmf::from_code(code).map(Self::Key) }
    }
}

impl EventPayload {
    /// Reads the first event of a payload; what follows it is left.
    ///
    /// # Errors
    /// [`EventError`]
    pub fn parse(payload: &[u8]) -> Result<Self, EventError> {
        let [code, flags, d0, d1] = *payload.first_chunk::<4>().ok_or(EventError::Short)?;
        let event = Event::from_code(code).ok_or(EventError::Unknown(code))?;
        let duration = u16::from_be_bytes([d0, d1]);
        Ok(Self { event, end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// The four bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [self.event.code(), u8::from(self.end) << 7 | self.volume & 0x3f, d0, d1]
    }

    /// The same event on another clock, for a relay between legs whose telephone-events differ in their rate. A
    /// duration that no longer fits is the longest one: who relays keys that are held for seconds to a faster
    /// clock uses an [`EventReceiver`] and an [`EventSender`].
    #[must_use]
    pub fn rescaled(self, from: u32, to: u32) -> Self {
        let duration = u64::from(self.duration) * u64::from(to) / u64::from(from.max(1));
        Self { duration: u16::try_from(duration).unwrap_or(u16::MAX), ..self }
    }
}

/// One packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// Set on the first packet only.
    pub marker: bool,
    /// That of the event's begin, or of its segment's.
    pub timestamp: u32,
    /// The four bytes.
    pub payload: [u8; 4],
}

/// Presses one key: a packet for each [`EventSender::next_packet`], and none when it is over.
#[derive(Clone, Debug)]
pub struct EventSender {
    event: Event,
    volume: u8,
    /// Of the segment.
    timestamp: u32,
    /// Ticks in this segment.
    elapsed: u32,
    /// Ticks still to go from the segment's begin; none while the key is held.
    length: Option<u32>,
    first: bool,
    released: bool,
    /// Packets with the end bit still to send, once there was one.
    ends: Option<u8>,
}

impl EventSender {
    /// A key that is pressed at `timestamp`, for so many milliseconds or until [`EventSender::release`].
    /// `clock_rate` is that of the telephone-event's payload type.
    #[must_use]
    pub fn new(event: Event, volume: u8, timestamp: u32, clock_rate: u32, millis: Option<u32>) -> Self {
        let length = millis.map(|ms| ticks(u64::from(ms) * 1000, clock_rate).max(1));
        Self { event, volume, timestamp, elapsed: 0, length, first: true, released: false, ends: None }
    }

    /// The next packet ends the event.
    pub fn release(&mut self) {
        self.released = true;
    }

    /// The packet that is due `step` ticks after the last one; none when all were sent.
    pub fn next_packet(&mut self, step: u32) -> Option<EventPacket> {
        if let Some(ends) = self.ends {
            self.ends = Some(ends.checked_sub(1)?);
            return Some(self.packet(true));
        }
        self.elapsed = self.elapsed.saturating_add(step);
        let over = self.released || self.length.is_some_and(|length| self.elapsed >= length);
        if let Some(length) = self.length.filter(|_| over) {
            self.elapsed = self.elapsed.min(length);
        }
        if self.elapsed > SEGMENT {
            let rest = self.elapsed - SEGMENT;
            self.elapsed = SEGMENT;
            let packet = self.packet(false);
            self.timestamp = self.timestamp.wrapping_add(SEGMENT);
            self.length = self.length.map(|length| length.saturating_sub(SEGMENT));
            self.elapsed = rest;
            return Some(packet);
        }
        if over {
            self.ends = Some(END_PACKETS - 1);
        }
        Some(self.packet(over))
    }

    fn packet(&mut self, end: bool) -> EventPacket {
        let duration = u16::try_from(self.elapsed).unwrap_or(u16::MAX);
        let payload = EventPayload { event: self.event, end, volume: self.volume, duration }.to_bytes();
        let marker = std::mem::take(&mut self.first);
        EventPacket { marker, timestamp: self.timestamp, payload }
    }
}

/// What a receiver noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventChange {
    /// A key went down.
    Pressed {
        /// Which.
        event: Event,
        /// Level in -dBm0.
        volume: u8,
    },
    /// The same key went up.
    Released {
        /// Which.
        event: Event,
        /// How long it was down, as far as was heard.
        millis: u32,
        /// No packet said so: it was concluded from silence or from the next key.
        end_lost: bool,
    },
}

/// At most three changes come with one packet: the last key's end, and a key of which only the end was heard.
pub type EventChanges = std::iter::Flatten<std::array::IntoIter<Option<EventChange>, 3>>;

#[derive(Clone, Copy, Debug)]
struct Held {
    event: Event,
    ssrc: u32,
    /// Of the segment.
    timestamp: u32,
    /// Ticks in the segments before.
    before: u32,
    duration: u16,
    heard: Micros,
}

/// Hears keys: each once, however many of its packets are lost, repeated or late.
#[derive(Clone, Debug)]
pub struct EventReceiver {
    clock_rate: u32,
    held: Option<Held>,
    /// Source and timestamp of the last segment that is over.
    over: Option<(u32, u32)>,
}

impl EventReceiver {
    /// `clock_rate` is that of the telephone-event's payload type.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate: clock_rate.max(1), held: None, over: None }
    }

    /// The key that is down.
    #[must_use]
    pub fn held(&self) -> Option<Event> {
        self.held.map(|h| h.event)
    }

    /// Takes a packet of the telephone-event's payload type that came in at `now`.
    ///
    /// # Errors
    /// [`EventError`]; nothing has changed then.
    pub fn receive(
        &mut self,
        header: &Header,
        payload: &[u8],
        now: Micros,
    ) -> Result<EventChanges, EventError> {
        let heard = EventPayload::parse(payload)?;
        let mut changes = [None, None, None];
        let known = self.over.is_some_and(|over| self.is_old(header, over));
        if !known && self.take(header, heard, now, &mut changes) {
            changes[1] = Some(EventChange::Pressed { event: heard.event, volume: heard.volume });
        }
        if !known && heard.end && self.held.is_some_and(|h| h.timestamp == header.timestamp) {
            changes[2] = self.end(false);
        }
        Ok(changes.into_iter().flatten())
    }

    /// The end of a key whose last packets were all lost. To be asked every few packets' time.
    pub fn poll(&mut self, now: Micros) -> Option<EventChange> {
        self.held.filter(|h| now.since(h.heard) > LOST_END)?;
        self.end(true)
    }

    /// True when a key went down with this packet.
    fn take(
        &mut self,
        header: &Header,
        heard: EventPayload,
        now: Micros,
        changes: &mut [Option<EventChange>; 3],
    ) -> bool {
        if let Some(held) = &mut self.held {
            let ahead = timestamp_diff(header.timestamp, held.timestamp);
            let same_source = held.ssrc == header.ssrc;
            if same_source && ahead == 0 {
                if heard.event == held.event {
                    held.duration = held.duration.max(heard.duration);
                    held.heard = now;
                }
                return false;
            }
            let window = self.clock_rate.saturating_mul(OLD_SECONDS).cast_signed();
            if same_source && ahead < 0 && ahead > -window {
                return false;
            }
            // The next segment of a long event begins where the last one is full, without a marker.
            let full = ahead.cast_unsigned().abs_diff(SEGMENT) <= self.clock_rate / 5;
            if same_source && full && heard.event == held.event && !header.marker {
                held.before = held.before.saturating_add(ahead.cast_unsigned());
                held.timestamp = header.timestamp;
                held.duration = heard.duration;
                held.heard = now;
                return false;
            }
            changes[0] = self.end(true);
        }
        self.held = Some(Held {
            event: heard.event,
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            before: 0,
            duration: heard.duration,
            heard: now,
        });
        true
    }

    fn is_old(&self, header: &Header, (ssrc, timestamp): (u32, u32)) -> bool {
        let behind = timestamp_diff(timestamp, header.timestamp);
        let window = self.clock_rate.saturating_mul(OLD_SECONDS).cast_signed();
        ssrc == header.ssrc && (0..window).contains(&behind)
    }

    fn end(&mut self, end_lost: bool) -> Option<EventChange> {
        let held = self.held.take()?;
        self.over = Some((held.ssrc, held.timestamp));
        let ticks = u64::from(held.before) + u64::from(held.duration);
        let millis = u32::try_from(ticks * 1000 / u64::from(self.clock_rate)).unwrap_or(u32::MAX);
        Some(EventChange::Released { event: held.event, millis, end_lost })
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
