//! What is measured of a leg and of the whole edge, readable while packets flow. One thread writes, others read:
//! plain stores without a lock, each value true by itself.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::types::{AudioCodec, MediaFacts};

const NEVER: u32 = u32::MAX;

/// Of one leg.
#[derive(Debug)]
pub(super) struct Facts {
    codec: AtomicU8,
    received: AtomicU32,
    sent: AtomicU32,
    lost: AtomicU32,
    jitter_micros: AtomicU32,
    round_trip_ms: AtomicU32,
}

impl Default for Facts {
    fn default() -> Self {
        let zero = AtomicU32::default;
        let round_trip_ms = AtomicU32::new(NEVER);
        Self {
            codec: AtomicU8::default(),
            received: zero(),
            sent: zero(),
            lost: zero(),
            jitter_micros: zero(),
            round_trip_ms,
        }
    }
}

impl Facts {
    pub(super) fn set_codec(&self, codec: AudioCodec) {
        let code = match codec {
            AudioCodec::Pcmu => 1,
            AudioCodec::Pcma => 2,
            AudioCodec::G722 => 3,
        };
        self.codec.store(code, Relaxed);
    }

    pub(super) fn set_received(&self, packets: u32, lost: u32, jitter_micros: u32) {
        self.received.store(packets, Relaxed);
        self.lost.store(lost, Relaxed);
        self.jitter_micros.store(jitter_micros, Relaxed);
    }

    pub(super) fn set_sent(&self, packets: u32) {
        self.sent.store(packets, Relaxed);
    }

    pub(super) fn set_round_trip(&self, millis: u32) {
        self.round_trip_ms.store(millis, Relaxed);
    }

    /// None when no codec was ever agreed.
    pub(super) fn read(&self) -> Option<MediaFacts> {
        let codec = match self.codec.load(Relaxed) {
            1 => AudioCodec::Pcmu,
            2 => AudioCodec::Pcma,
            3 => AudioCodec::G722,
            _ => return None,
        };
        let round_trip = self.round_trip_ms.load(Relaxed);
        Some(MediaFacts {
            codec: codec.as_str().to_owned(),
            received: u64::from(self.received.load(Relaxed)),
            sent: u64::from(self.sent.load(Relaxed)),
            lost: u64::from(self.lost.load(Relaxed)),
            jitter_ms: self.jitter_micros.load(Relaxed) / 1000,
            round_trip_ms: (round_trip != NEVER).then_some(round_trip),
        })
    }
}

/// What the edge counts of all legs since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// RTP packets that came from where they should.
    pub received: u64,
    /// RTP packets that left.
    pub sent: u64,
    /// Packets of others than a leg's far end, or from a port that nobody has.
    pub strangers: u64,
    /// Packets that were not encrypted with the leg's key, or that were replayed.
    pub unauthentic: u64,
    /// Datagrams that are no RTP or RTCP, or of a payload type that was not agreed.
    pub unknown: u64,
    /// Keys beyond what a hand can press.
    pub keys_dropped: u64,
    /// Packets that the system did not take.
    pub unsent: u64,
    /// Reports that wait because the loop has not taken the earlier ones yet.
    pub reports_waiting: u64,
    /// Port pairs that are open.
    pub open: u64,
    /// Port pairs of the range that are not, draining or free.
    pub unused: u64,
}

/// The same, as they are counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) strangers: AtomicU64,
    pub(super) unauthentic: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) keys_dropped: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) reports_waiting: AtomicU64,
}

impl Counts {
    /// What the threads have counted; ports are the pool's.
    pub(super) fn read(&self) -> MediaCounters {
        MediaCounters {
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            strangers: self.strangers.load(Relaxed),
            unauthentic: self.unauthentic.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            keys_dropped: self.keys_dropped.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            reports_waiting: self.reports_waiting.load(Relaxed),
            open: 0,
            unused: 0,
        }
    }
}

/// Adds to a count that only this thread writes.
pub(super) fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}
