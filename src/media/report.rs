//! RTCP of a leg (RFC 3550 §6): what is told of both directions and when, and what the far end tells. Owns intervals
//! and the round trip; the box reports for itself, whoever it relays.

use crate::media::ear::Ear;
use crate::media::mouth::Mouth;
use crate::rtp::Micros;
use crate::rtp::rtcp::{Builder, Compound, Ntp, Rtcp, RtcpError, SenderInfo};
use crate::types::SplitMix64;

/// §6.2: the least interval, in microseconds. Two members never need a longer one.
const INTERVAL: u64 = 5_000_000;

/// One leg's reports.
#[derive(Debug)]
pub(super) struct Reports {
    cname: String,
    due: Micros,
    chance: SplitMix64,
    /// Packets sent when the last report left.
    told: u32,
}

impl Reports {
    /// `seed` is the leg's own. The name tells nothing of the box and is another for each call (RFC 7022 §4.2).
    pub(super) fn new(seed: u64, now: Micros) -> Self {
        let mut chance = SplitMix64::new(seed);
        let cname = format!("{:016x}", chance.draw());
        let mut reports = Self { cname, due: now, chance, told: 0 };
        // §6.2: the first after half the interval.
        reports.due = now.plus(reports.interval() / 2);
        reports
    }

    /// §6.3.1: between half and one and a half of it, over e - 3/2 for the reconsideration that two never need.
    fn interval(&mut self) -> u64 {
        let spread = u64::from(self.chance.word());
        (INTERVAL / 2 + ((INTERVAL * spread) >> 32)) * 100_000 / 121_828
    }

    pub(super) fn is_due(&self, now: Micros) -> bool {
        now >= self.due
    }

    /// Writes the report that is due; its length.
    pub(super) fn write(
        &mut self,
        ear: &mut Ear,
        mouth: &Mouth,
        (now, wall): (Micros, Ntp),
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        self.due = now.plus(self.interval());
        Ok(self.begin(ear, mouth, (now, wall), out)?.finish())
    }

    /// Writes the last report, with a goodbye (§6.6); its length.
    pub(super) fn write_goodbye(
        &mut self,
        ear: &mut Ear,
        mouth: &Mouth,
        (now, wall): (Micros, Ntp),
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let builder = self.begin(ear, mouth, (now, wall), out)?;
        Ok(builder.goodbye(mouth.ssrc(), "")?.finish())
    }

    fn begin<'a>(
        &mut self,
        ear: &mut Ear,
        mouth: &Mouth,
        (now, wall): (Micros, Ntp),
        out: &'a mut [u8],
    ) -> Result<Builder<'a>, RtcpError> {
        let block = ear.reception().map(|reception| reception.report(now));
        let blocks = block.as_slice();
        let (packets, octets) = mouth.totals();
        let ssrc = mouth.ssrc();
        let builder = if packets != self.told {
            let timestamp = mouth.timestamp_at(now);
            let info = SenderInfo { ssrc, ntp: wall, timestamp, packets, octets };
            Builder::new(out).sender_report(&info, blocks)?
        } else {
            Builder::new(out).receiver_report(ssrc, blocks)?
        };
        self.told = packets;
        builder.description(ssrc, &self.cname)
    }

    /// Takes what the far end tells; false when it is no report.
    pub(super) fn heard(ear: &mut Ear, ssrc: u32, bytes: &[u8], (now, wall): (Micros, Ntp)) -> bool {
        let Ok(compound) = Compound::parse(bytes) else { return false };
        for packet in compound.packets() {
            let blocks = match packet {
                Rtcp::SenderReport(info, blocks) => {
                    if let Some(reception) = ear.reception().filter(|r| r.ssrc() == info.ssrc) {
                        reception.sender_report(&info, now);
                    }
                    blocks
                }
                Rtcp::ReceiverReport(_, blocks) => blocks,
                Rtcp::Description(_) | Rtcp::Goodbye(..) | Rtcp::Other(_) => continue,
            };
            let own = blocks.iter().filter(|block| block.ssrc == ssrc);
            if let Some(micros) = own.filter_map(|block| block.round_trip(wall)).last() {
                ear.facts().set_round_trip(u32::try_from(micros / 1000).unwrap_or(u32::MAX - 1));
            }
        }
        true
    }
}
