//! One continuous stream out of many that come and go: who listens hears one source whose sequence numbers and
//! timestamps never jump, over hold, transfer, prompts, keys and far ends that start anew.
//!
//! Loss before the box stays visible behind it (a gap is a gap); what the box itself puts in or takes out is not.

use crate::rtp::packet::Header;
use crate::rtp::{Micros, sequence_diff, ticks, timestamp_diff};

/// RFC 3550 A.1: a sequence number this far ahead is another stream rather than loss.
const MAX_DROPOUT: i16 = 3000;
/// RFC 3550 A.1: one this far behind is another stream rather than a late packet.
const MAX_MISORDER: i16 = -100;
/// A timestamp so far from where the clock says that the sender must have begun a new one. A key that is held
/// freezes timestamps for 8.2 s.
const WILD_SECONDS: u32 = 10;
/// For so long after a change of source, packets of the last one are stragglers.
const STRAGGLERS: u64 = 200_000;
/// After more than this without a packet, the outgoing clock has gone on by the time that has passed.
const LEAST_STEP: u64 = 20_000;

/// Where the packets of a stream come from: a leg, a prompt. Chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub u32);

/// The last packet that left.
#[derive(Clone, Copy, Debug)]
struct Sent {
    timestamp: u32,
    at: Micros,
}

/// What is added to the fields of the source that is being relayed.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    stream: StreamId,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The newest packet of the source, as it came.
    newest: Header,
    newest_at: Micros,
    /// Outgoing sequence numbers before this one belong to somebody else.
    floor: u16,
    /// A single packet far away, and where its successor would stand.
    suspect: Option<u16>,
}

/// Keeps one outgoing stream continuous. A packet of the fast path costs a few additions.
#[derive(Clone, Debug)]
pub struct Rewriter {
    ssrc: u32,
    clock_rate: u32,
    next: u16,
    start: u32,
    sent: Option<Sent>,
    mapping: Option<Mapping>,
    /// The source before this one and when it ended.
    last: Option<(StreamId, u32, Micros)>,
    marker_due: bool,
}

impl Rewriter {
    /// A stream of source `ssrc` that begins with `sequence` and `timestamp`, which RFC 3550 §5.1 wants random.
    /// `clock_rate` is the RTP clock's: 8000 for G.722.
    #[must_use]
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate: clock_rate.max(1),
            next: sequence,
            start: timestamp,
            sent: None,
            mapping: None,
            last: None,
            marker_due: true,
        }
    }

    /// The source that listeners see.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The outgoing clock at `now`, for packets of our own and for sender reports.
    #[must_use]
    pub fn timestamp_at(&self, now: Micros) -> u32 {
        let Some(sent) = self.sent else { return self.start };
        sent.timestamp.wrapping_add(ticks(now.since(sent.at), self.clock_rate))
    }

    /// The header under which a packet of `stream` leaves; its payload type stays as it is. None for a packet that
    /// must not leave: a straggler of an earlier source, or a single one far from all others.
    pub fn rewrite(&mut self, stream: StreamId, header: &Header, now: Micros) -> Option<Header> {
        let known = self.mapping.filter(|m| m.stream == stream && m.ssrc == header.ssrc);
        let Some(mut mapping) = known else {
            if self.is_straggler(stream, header.ssrc, now) {
                return None;
            }
            return Some(self.begin(stream, header, now));
        };
        let ahead = sequence_diff(header.sequence, mapping.newest.sequence);
        if !(MAX_MISORDER..=MAX_DROPOUT).contains(&ahead) {
            if mapping.suspect == Some(header.sequence) {
                return Some(self.begin(stream, header, now));
            }
            mapping.suspect = Some(header.sequence.wrapping_add(1));
            self.mapping = Some(mapping);
            return None;
        }
        mapping.suspect = None;
        if ahead > 0 {
            self.follow_clock(&mut mapping, header, now);
        }
        let sequence = header.sequence.wrapping_add(mapping.sequence);
        if sequence_diff(sequence, mapping.floor) < 0 {
            self.mapping = Some(mapping);
            return None;
        }
        let timestamp = header.timestamp.wrapping_add(mapping.timestamp);
        if ahead > 0 {
            mapping.newest = *header;
            mapping.newest_at = now;
        }
        self.mapping = Some(mapping);
        if sequence_diff(sequence, self.next) >= 0 {
            self.next = sequence.wrapping_add(1);
            self.sent = Some(Sent { timestamp, at: now });
        }
        let marker = header.marker || std::mem::take(&mut self.marker_due);
        Some(Header { marker, sequence, timestamp, ssrc: self.ssrc, ..*header })
    }

    /// The header of a packet that the box itself sends between those of the source, at `timestamp` or, when none
    /// is given, at the outgoing clock: a key, a prompt's frame, comfort noise.
    pub fn insert(&mut self, payload_type: u8, marker: bool, timestamp: Option<u32>, now: Micros) -> Header {
        let timestamp = timestamp.unwrap_or_else(|| self.timestamp_at(now));
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        // A frozen timestamp must not take the clock back.
        let clock = self.sent.map_or(timestamp, |_| self.timestamp_at(now));
        let ahead = timestamp_diff(timestamp, clock) > 0;
        self.sent = Some(Sent { timestamp: if ahead { timestamp } else { clock }, at: now });
        if let Some(mapping) = &mut self.mapping {
            mapping.sequence = mapping.sequence.wrapping_add(1);
            mapping.floor = self.next;
        }
        self.marker_due = false;
        Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    /// A packet of the source that is kept back, a key for instance, leaves no gap.
    pub fn swallow(&mut self, stream: StreamId, header: &Header, now: Micros) {
        let before = self.next;
        let (sent, marker_due) = (self.sent, self.marker_due);
        let Some(left) = self.rewrite(stream, header, now) else { return };
        self.marker_due = marker_due || left.marker;
        let Some(mapping) = &mut self.mapping else { return };
        if left.sequence.wrapping_add(1) == self.next && self.next != before {
            self.next = left.sequence;
            mapping.sequence = mapping.sequence.wrapping_sub(1);
            mapping.floor = self.next;
            self.sent = sent;
        }
    }

    /// The next packet comes from another source even if it looks like the last one: after hold, or a re-INVITE.
    pub fn part(&mut self, now: Micros) {
        if let Some(mapping) = self.mapping.take() {
            self.last = Some((mapping.stream, mapping.ssrc, now));
        }
    }

    fn is_straggler(&self, stream: StreamId, ssrc: u32, now: Micros) -> bool {
        self.mapping.is_some()
            && self
                .last
                .is_some_and(|(id, old, at)| (id, old) == (stream, ssrc) && now.since(at) < STRAGGLERS)
    }

    fn begin(&mut self, stream: StreamId, header: &Header, now: Micros) -> Header {
        if let Some(old) = self.mapping.filter(|m| (m.stream, m.ssrc) != (stream, header.ssrc)) {
            self.last = Some((old.stream, old.ssrc, now));
        }
        let sequence = self.next;
        let timestamp = match self.sent {
            None => self.start,
            Some(sent) => {
                let passed = now.since(sent.at).max(LEAST_STEP);
                sent.timestamp.wrapping_add(ticks(passed, self.clock_rate))
            }
        };
        self.mapping = Some(Mapping {
            stream,
            ssrc: header.ssrc,
            sequence: sequence.wrapping_sub(header.sequence),
            timestamp: timestamp.wrapping_sub(header.timestamp),
            newest: *header,
            newest_at: now,
            floor: sequence,
            suspect: None,
        });
        self.next = sequence.wrapping_add(1);
        self.sent = Some(Sent { timestamp, at: now });
        self.marker_due = false;
        Header { marker: true, sequence, timestamp, ssrc: self.ssrc, ..*header }
    }

    /// A source that keeps its sequence numbers and begins new timestamps.
    fn follow_clock(&self, mapping: &mut Mapping, header: &Header, now: Micros) {
        let passed = ticks(now.since(mapping.newest_at), self.clock_rate);
        let moved = header.timestamp.wrapping_sub(mapping.newest.timestamp);
        let wild = self.clock_rate.saturating_mul(WILD_SECONDS).cast_signed();
        if timestamp_diff(moved, passed).saturating_abs() > wild {
            let last = mapping.newest.timestamp.wrapping_add(mapping.timestamp);
            let step = passed.max(ticks(LEAST_STEP, self.clock_rate));
            mapping.timestamp = last.wrapping_add(step).wrapping_sub(header.timestamp);
        }
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
