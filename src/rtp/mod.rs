//! Sound on the wire and in samples: RTP and RTCP (RFC 3550), the jitter buffer, codecs, keys (RFC 4733), tones,
//! mixing and SRTP (RFC 3711). Bytes, samples and times in; bytes and samples out.
//!
//! Nothing here allocates for a packet or a frame: what needs room has it from its construction, and results go
//! into the caller's buffers. Deliberately absent: sockets, threads and clocks (`media` has them), SDP, and who
//! hears whom.
//!
//! The path of a relayed packet is [`packet::Packet::parse`], [`rewrite::Rewriter::rewrite`] and
//! [`packet::Header::patch`] in the same buffer. The path of a decoded one is [`playout::Playout::push`] and, every
//! 20 ms, [`playout::Playout::pull`]; then [`codec::Encoder`].
//!
//! The packet types are our own, although the crate `rtp` is sound: it copies each payload into a reference-counted
//! buffer and each header into vectors, where a relay that neither allocates nor copies wants twelve bytes read and
//! written in place.

pub mod codec;
pub mod comfort;
pub mod conceal;
pub mod dtmf;
pub mod event;
pub mod g711;
pub mod hearing;
pub mod jitter;
pub mod mixer;
pub mod packet;
pub mod playout;
pub mod reception;
pub mod resample;
pub mod rewrite;
pub mod rtcp;
pub mod sdes;
pub mod srtp;
pub mod tones;

/// Microseconds on the monotonic clock of whoever moves the media. Milliseconds are too coarse for jitter, which
/// RFC 3550 counts in units of 125 µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// Microseconds from `earlier` to `self`; 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time and so many microseconds.
    #[must_use]
    pub fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// Ticks of an RTP clock in so many microseconds, modulo 2^32 as timestamps are.
#[must_use]
pub(crate) fn ticks(micros: u64, clock_rate: u32) -> u32 {
    let modulo = |ticks: u64| u32::try_from(ticks & u64::from(u32::MAX)).unwrap_or(0);
    // Seventy years and more at 8,000 a second; beyond, the slow division.
    if let Some(product) = micros.checked_mul(u64::from(clock_rate)) {
        return modulo(product / 1_000_000);
    }
    let wide = u128::from(micros) * u128::from(clock_rate) / 1_000_000;
    modulo(u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0))
}

/// `a - b` of two timestamps as the shorter way round.
#[must_use]
pub(crate) fn timestamp_diff(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// `a - b` of two sequence numbers as the shorter way round.
#[must_use]
pub(crate) fn sequence_diff(a: u16, b: u16) -> i16 {
    a.wrapping_sub(b).cast_signed()
}
