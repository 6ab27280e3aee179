//! What was received of one source: which packets belong to it, how many were lost, how much their distances vary.
//! RFC 3550 A.1, A.3 and A.8; the report that it fills is written by `rtcp`.

use crate::rtp::packet::Header;
use crate::rtp::rtcp::{ReportBlock, SenderInfo};
use crate::rtp::{Micros, ticks};

const SEQ_MOD: u32 = 1 << 16;
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;

/// What a packet is to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newest; its sequence number with the cycles above it.
    InOrder(u32),
    /// Older than one that came before, or a repetition.
    Late,
    /// The first packet of a source that began anew.
    Restarted(u32),
    /// Not yet believed: of a new source, or far away from all others. Not to be played.
    Suspect,
}

/// Counts for one source; a new source needs a new one.
#[derive(Clone, Debug)]
pub struct Reception {
    ssrc: u32,
    clock_rate: u32,
    begun: bool,
    probation: u8,
    max: u16,
    cycles: u32,
    base: u32,
    bad: u32,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    transit: Option<u32>,
    /// Sixteen times the jitter in ticks.
    jitter: u32,
    sender: Option<(u32, Micros)>,
}

impl Reception {
    /// For source `ssrc`. `probation` is how many packets in sequence make it believable: 0 where signalling named
    /// the sender's address, 2 (`MIN_SEQUENTIAL`) otherwise.
    #[must_use]
    pub fn new(ssrc: u32, clock_rate: u32, probation: u8) -> Self {
        Self {
            ssrc,
            clock_rate: clock_rate.max(1),
            begun: false,
            probation,
            max: 0,
            cycles: 0,
            base: 0,
            bad: SEQ_MOD + 1,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter: 0,
            sender: None,
        }
    }

    /// The source that is counted.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Counts a packet of this source.
    pub fn packet(&mut self, header: &Header, at: Micros) -> Arrival {
        let arrival = self.sequence(header.sequence);
        match arrival {
            Arrival::InOrder(_) => self.timing(header.timestamp, at),
            Arrival::Restarted(_) => {
                self.transit = None;
                self.timing(header.timestamp, at);
            }
            Arrival::Late | Arrival::Suspect => {}
        }
        arrival
    }

    /// RFC 3550 A.1, `update_seq`.
    fn sequence(&mut self, sequence: u16) -> Arrival {
        if !self.begun {
            self.begun = true;
            self.restart(sequence);
            self.max = sequence.wrapping_sub(1);
        }
        let ahead = sequence.wrapping_sub(self.max);
        if self.probation > 0 {
            self.probation = if ahead == 1 { self.probation - 1 } else { 1 };
            self.max = sequence;
            if self.probation > 0 {
                return Arrival::Suspect;
            }
            self.restart(sequence);
        } else if ahead < MAX_DROPOUT {
            if ahead == 0 {
                self.received = self.received.saturating_add(1);
                return Arrival::Late;
            }
            if sequence < self.max {
                self.cycles = self.cycles.wrapping_add(SEQ_MOD);
            }
            self.max = sequence;
        } else if ahead <= u16::MAX - MAX_MISORDER {
            if u32::from(sequence) != self.bad {
                self.bad = u32::from(sequence.wrapping_add(1));
                return Arrival::Suspect;
            }
            self.restart(sequence);
            self.received = 1;
            return Arrival::Restarted(self.highest());
        } else {
            self.received = self.received.saturating_add(1);
            return Arrival::Late;
        }
        self.received = self.received.saturating_add(1);
        Arrival::InOrder(self.highest())
    }

    /// RFC 3550 A.1, `init_seq`.
    fn restart(&mut self, sequence: u16) {
        self.base = u32::from(sequence);
        self.max = sequence;
        self.bad = SEQ_MOD + 1;
        self.cycles = 0;
        self.received = 0;
        self.expected_prior = 0;
        self.received_prior = 0;
    }

    /// RFC 3550 A.8.
    fn timing(&mut self, timestamp: u32, at: Micros) {
        let transit = ticks(at.0, self.clock_rate).wrapping_sub(timestamp);
        if let Some(last) = self.transit {
            let moved = transit.wrapping_sub(last).cast_signed().unsigned_abs();
            // A pause or a new clock is no jitter.
            if moved < self.clock_rate {
                self.jitter = self.jitter.saturating_add(moved) - ((self.jitter + 8) >> 4);
            }
        }
        self.transit = Some(transit);
    }

    /// A sender report of this source came in.
    pub fn sender_report(&mut self, sender: &SenderInfo, at: Micros) {
        self.sender = Some((sender.ntp.middle(), at));
    }

    /// The newest sequence number with the cycles above it.
    #[must_use]
    pub fn highest(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.max))
    }

    /// Packets received, with repetitions.
    #[must_use]
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Packets that should have come, RFC 3550 A.3.
    #[must_use]
    pub fn expected(&self) -> u32 {
        if self.received == 0 { 0 } else { self.highest().wrapping_sub(self.base).wrapping_add(1) }
    }

    /// Packets lost since the begin; negative when there were more repetitions than losses.
    #[must_use]
    pub fn lost(&self) -> i64 {
        i64::from(self.expected()) - i64::from(self.received)
    }

    /// Interarrival jitter in microseconds.
    #[must_use]
    pub fn jitter_micros(&self) -> u64 {
        u64::from(self.jitter >> 4) * 1_000_000 / u64::from(self.clock_rate)
    }

    /// The block for the next report; the fraction lost is that since the last call.
    pub fn report(&mut self, now: Micros) -> ReportBlock {
        let expected = self.expected();
        let interval = expected.wrapping_sub(self.expected_prior);
        let received = self.received.wrapping_sub(self.received_prior);
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost = u64::from(interval.saturating_sub(received));
        let fraction = if interval == 0 { 0 } else { (lost << 8) / u64::from(interval) };
        let (last_sender_report, delay) = self.sender.map_or((0, 0), |(middle, at)| {
            (middle, u32::try_from(u128::from(now.since(at)) * 65_536 / 1_000_000).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: i32::try_from(self.lost().clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest: self.highest(),
            jitter: self.jitter >> 4,
            last_sender_report,
            delay_since_sender_report: delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::rtcp::Ntp;

    fn packet(reception: &mut Reception, sequence: u16, at: u64) -> Arrival {
        let header =
            Header { sequence, timestamp: u32::from(sequence).wrapping_mul(160), ..Header::default() };
        reception.packet(&header, Micros(at))
    }

    #[test]
    fn loss_is_counted_over_the_wrap_and_by_interval() {
        let mut reception = Reception::new(1, 8000, 0);
        for (i, sequence) in (65_500..=u16::MAX).chain(0..100).enumerate() {
            if sequence % 10 != 3 {
                packet(&mut reception, sequence, u64::try_from(i).unwrap() * 20_000);
            }
        }
        assert_eq!(reception.highest(), 65_536 + 99);
        assert_eq!((reception.expected(), reception.lost()), (136, 14));
        let block = reception.report(Micros(0));
        assert_eq!((block.fraction_lost, block.lost), (26, 14));
        packet(&mut reception, 100, 0);
        assert_eq!(reception.report(Micros(0)).fraction_lost, 0);
    }

    #[test]
    fn repetitions_make_the_count_of_losses_negative() {
        let mut reception = Reception::new(1, 8000, 0);
        for sequence in [1, 2, 2, 2, 3] {
            packet(&mut reception, sequence, 0);
        }
        assert_eq!(reception.lost(), -2);
        assert_eq!(reception.report(Micros(0)).lost, -2);
    }

    #[test]
    fn a_new_source_is_on_probation_and_a_restart_is_believed_at_the_second_packet() {
        let mut reception = Reception::new(1, 8000, 2);
        assert_eq!(packet(&mut reception, 7, 0), Arrival::Suspect);
        assert_eq!(packet(&mut reception, 8, 20), Arrival::InOrder(8));
        assert_eq!(packet(&mut reception, 8, 20), Arrival::Late);
        assert_eq!(packet(&mut reception, 6, 20), Arrival::Late);
        assert_eq!(packet(&mut reception, 40_000, 40), Arrival::Suspect);
        assert_eq!(packet(&mut reception, 9, 60), Arrival::InOrder(9));
        assert_eq!(packet(&mut reception, 20_000, 80), Arrival::Suspect);
        assert_eq!(packet(&mut reception, 20_001, 100), Arrival::Restarted(20_001));
        assert_eq!(reception.lost(), 0);
    }

    #[test]
    fn jitter_settles_at_the_mean_difference_of_transit() {
        let mut even = Reception::new(1, 8000, 0);
        let mut odd = Reception::new(1, 8000, 0);
        for i in 0..500u16 {
            packet(&mut even, i, u64::from(i) * 20_000);
            packet(&mut odd, i, u64::from(i) * 20_000 + u64::from(i % 2) * 10_000);
        }
        assert_eq!(even.jitter_micros(), 0);
        assert!((9_000..=10_500).contains(&odd.jitter_micros()), "{}", odd.jitter_micros());
    }

    #[test]
    fn the_delay_since_the_senders_report_is_in_65536ths_of_a_second() {
        let mut reception = Reception::new(1, 8000, 0);
        let ntp = Ntp(0x1234_5678_9abc_def0);
        reception.sender_report(&SenderInfo { ssrc: 1, ntp, ..SenderInfo::default() }, Micros(500));
        let block = reception.report(Micros(1_500_500));
        assert_eq!((block.last_sender_report, block.delay_since_sender_report), (0x5678_9abc, 98_304));
    }
}
