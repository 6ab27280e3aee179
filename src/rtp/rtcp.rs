//! RTCP (RFC 3550 §6): compound packets read in place and built into the caller's buffer. Owns sender and receiver
//! reports, descriptions and goodbyes; feedback and application packets are passed over. When to send stands with
//! whoever has the clock.

use thiserror::Error;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const BLOCK_LEN: usize = 24;
const CNAME: u8 = 1;
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// Why bytes are no compound packet, or do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtcpError {
    /// A packet ends before its length does.
    #[error("ends inside a packet")]
    Short,
    /// Not version 2.
    #[error("version {0}, not 2")]
    Version(u8),
    /// The first packet is neither a report nor, as RFC 5506 allows, feedback.
    #[error("begins with packet type {0}")]
    First(u8),
    /// Padding before the last packet, or longer than it.
    #[error("padding where there can be none")]
    Padding,
    /// More items than the packet's count can say, or a text over 255 bytes.
    #[error("too many items or too long a text")]
    TooMany,
    /// The caller's buffer is full.
    #[error("no room")]
    NoRoom,
}

/// A time since 1900 in 2^-32 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ntp(pub u64);

impl Ntp {
    /// From microseconds since 1970.
    #[must_use]
    pub fn from_unix_micros(micros: u64) -> Self {
        let seconds = (micros / 1_000_000).wrapping_add(NTP_EPOCH);
        Self((seconds << 32) | (((micros % 1_000_000) << 32) / 1_000_000))
    }

    /// The middle 32 bits, in 65,536ths of a second.
    #[must_use]
    pub fn middle(self) -> u32 {
        let [_, _, a, b, c, d, _, _] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// What a sender says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender.
    pub ssrc: u32,
    /// When the report left, on the wall clock.
    pub ntp: Ntp,
    /// The same instant on the RTP clock.
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Bytes of payload sent so far.
    pub octets: u32,
}

/// How one source is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost since the begin: 24 bits, signed.
    pub lost: i32,
    /// The newest sequence number with its cycles.
    pub highest: u32,
    /// In ticks of the RTP clock.
    pub jitter: u32,
    /// [`Ntp::middle`] of the last sender report, or 0.
    pub last_sender_report: u32,
    /// In 65,536ths of a second.
    pub delay_since_sender_report: u32,
}

impl ReportBlock {
    /// The time to the far end and back, in microseconds, of a block that came in at `now`; none when the far end
    /// has not seen a sender report. RFC 3550 §6.4.1.
    #[must_use]
    pub fn round_trip(&self, now: Ntp) -> Option<u64> {
        let sent = (self.last_sender_report != 0).then_some(self.last_sender_report)?;
        let away = now.middle().wrapping_sub(sent).wrapping_sub(self.delay_since_sender_report);
        // A clock that was set back, or a report of somebody else.
        (away < 1 << 31).then(|| u64::from(away) * 1_000_000 / 65_536)
    }

    fn parse(bytes: &[u8; BLOCK_LEN]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| words.get(at).map_or(0, |w| u32::from_be_bytes(*w));
        let [fraction_lost, ..] = word(1).to_be_bytes();
        Self {
            ssrc: word(0),
            fraction_lost,
            lost: (word(1) << 8).cast_signed() >> 8,
            highest: word(2),
            jitter: word(3),
            last_sender_report: word(4),
            delay_since_sender_report: word(5),
        }
    }

    fn words(&self) -> [u32; 6] {
        let lost = self.lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
        [
            self.ssrc,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest,
            self.jitter,
            self.last_sender_report,
            self.delay_since_sender_report,
        ]
    }
}

/// The report blocks of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [[u8; BLOCK_LEN]]);

impl Blocks<'_> {
    /// Each block.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> {
        self.0.iter().map(ReportBlock::parse)
    }
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp<'a> {
    /// SR, §6.4.1.
    SenderReport(SenderInfo, Blocks<'a>),
    /// RR, §6.4.2.
    ReceiverReport(u32, Blocks<'a>),
    /// SDES, §6.5: source and canonical name of the first chunk that has one.
    Description(Option<(u32, &'a [u8])>),
    /// BYE, §6.6: the sources that have left, and why.
    Goodbye(Sources<'a>, Option<&'a [u8]>),
    /// Any other packet type.
    Other(u8),
}

/// The sources of a goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources<'a>(&'a [[u8; 4]]);

impl Sources<'_> {
    /// Each source.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|b| u32::from_be_bytes(*b))
    }
}

/// A compound packet that was found well formed.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Reads a datagram, RFC 3550 A.2.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = datagram;
        let mut first = true;
        while first || !rest.is_empty() {
            let (head, _, after) = split(rest)?;
            if first && !matches!(head[1], SENDER_REPORT | RECEIVER_REPORT | 205 | 206) {
                return Err(RtcpError::First(head[1]));
            }
            if head[0] & 0x20 != 0 && !after.is_empty() {
                return Err(RtcpError::Padding);
            }
            read(rest)?;
            (first, rest) = (false, after);
        }
        Ok(Self { bytes: datagram })
    }

    /// The packets in their order.
    pub fn packets(&self) -> impl Iterator<Item = Rtcp<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let packet = read(rest).ok()?;
            rest = split(rest).ok()?.2;
            Some(packet)
        })
    }
}

type Split<'a> = (&'a [u8; 4], &'a [u8], &'a [u8]);

/// Head, body without padding, and what follows.
fn split(bytes: &[u8]) -> Result<Split<'_>, RtcpError> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or(RtcpError::Short)?;
    if head[0] >> 6 != 2 {
        return Err(RtcpError::Version(head[0] >> 6));
    }
    let len = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
    let (mut body, after) = rest.split_at_checked(len).ok_or(RtcpError::Short)?;
    if head[0] & 0x20 != 0 {
        let padding = body.last().copied().map_or(0, usize::from);
        let end = body.len().checked_sub(padding).filter(|_| padding > 0);
        body = end.and_then(|end| body.get(..end)).ok_or(RtcpError::Padding)?;
    }
    Ok((head, body, after))
}

fn read(bytes: &[u8]) -> Result<Rtcp<'_>, RtcpError> {
    let (head, body, _) = split(bytes)?;
    let count = usize::from(head[0] & 0x1f);
    let (words, _) = body.as_chunks::<4>();
    let word = |at: usize| words.get(at).map(|w| u32::from_be_bytes(*w)).ok_or(RtcpError::Short);
    let blocks = |from: usize| {
        let bytes = body.get(from..).ok_or(RtcpError::Short)?;
        let (blocks, _) = bytes.as_chunks::<BLOCK_LEN>();
        blocks.get(..count).map(Blocks).ok_or(RtcpError::Short)
    };
    match head[1] {
        SENDER_REPORT => {
            let ntp = Ntp(u64::from(word(1)?) << 32 | u64::from(word(2)?));
            let (timestamp, packets, octets) = (word(3)?, word(4)?, word(5)?);
            let info = SenderInfo { ssrc: word(0)?, ntp, timestamp, packets, octets };
            Ok(Rtcp::SenderReport(info, blocks(24)?))
        }
        RECEIVER_REPORT => Ok(Rtcp::ReceiverReport(word(0)?, blocks(4)?)),
        DESCRIPTION => Ok(Rtcp::Description(canonical_name(body, count))),
        GOODBYE => {
            let sources = words.get(..count).map(Sources).ok_or(RtcpError::Short)?;
            let reason = body.get(count * 4..).and_then(|r| {
                let (len, text) = r.split_first()?;
                text.get(..usize::from(*len))
            });
            Ok(Rtcp::Goodbye(sources, reason))
        }
        other => Ok(Rtcp::Other(other)),
    }
}

/// The first canonical name in an SDES packet of `count` chunks.
fn canonical_name(mut body: &[u8], count: usize) -> Option<(u32, &[u8])> {
    for _ in 0..count {
        let (source, mut items) = body.split_first_chunk::<4>()?;
        loop {
            match items {
                [0, ..] => break,
                [kind, len, rest @ ..] => {
                    let (text, after) = rest.split_at_checked(usize::from(*len))?;
                    if *kind == CNAME {
                        return Some((u32::from_be_bytes(*source), text));
                    }
                    items = after;
                }
                _ => return None,
            }
        }
        // The items end with at least one zero, up to the next multiple of four bytes.
        let used = body.len() - items.len() + 1;
        body = body.get(used.next_multiple_of(4)..)?;
    }
    None
}

/// Builds a compound packet: a report first, then a description (§6.1), then what else there is to say.
#[derive(Debug)]
pub struct Builder<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Builder<'a> {
    /// Writes into `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes written.
    #[must_use]
    pub fn finish(self) -> usize {
        self.len
    }

    /// # Errors
    /// [`RtcpError::NoRoom`]; [`RtcpError::TooMany`] for more than 31 blocks.
    pub fn sender_report(mut self, sender: &SenderInfo, blocks: &[ReportBlock]) -> Result<Self, RtcpError> {
        let count = blocks.len();
        self.head(SENDER_REPORT, count, 6 + 6 * count)?;
        let ntp = sender.ntp.0.to_be_bytes();
        self.put(&sender.ssrc.to_be_bytes())?;
        self.put(&ntp)?;
        self.words(&[sender.timestamp, sender.packets, sender.octets])?;
        blocks.iter().try_for_each(|b| self.words(&b.words()))?;
        Ok(self)
    }

    /// # Errors
    /// [`RtcpError::NoRoom`]; [`RtcpError::TooMany`] for more than 31 blocks.
    pub fn receiver_report(mut self, ssrc: u32, blocks: &[ReportBlock]) -> Result<Self, RtcpError> {
        self.head(RECEIVER_REPORT, blocks.len(), 1 + 6 * blocks.len())?;
        self.words(&[ssrc])?;
        blocks.iter().try_for_each(|b| self.words(&b.words()))?;
        Ok(self)
    }

    /// # Errors
    /// [`RtcpError::NoRoom`]; [`RtcpError::TooMany`] for a name over 255 bytes.
    pub fn description(mut self, ssrc: u32, cname: &str) -> Result<Self, RtcpError> {
        let len = u8::try_from(cname.len()).map_err(|_| RtcpError::TooMany)?;
        let items = (2 + cname.len() + 1).next_multiple_of(4);
        self.head(DESCRIPTION, 1, 1 + items / 4)?;
        self.words(&[ssrc])?;
        self.put(&[CNAME, len])?;
        self.put(cname.as_bytes())?;
        self.zeros(items - 2 - cname.len())?;
        Ok(self)
    }

    /// # Errors
    /// [`RtcpError::NoRoom`]; [`RtcpError::TooMany`] for a reason over 255 bytes.
    pub fn goodbye(mut self, ssrc: u32, reason: &str) -> Result<Self, RtcpError> {
        let len = u8::try_from(reason.len()).map_err(|_| RtcpError::TooMany)?;
        let text = if reason.is_empty() { 0 } else { (1 + reason.len()).next_multiple_of(4) };
        self.head(GOODBYE, 1, 1 + text / 4)?;
        self.words(&[ssrc])?;
        if text > 0 {
            self.put(&[len])?;
            self.put(reason.as_bytes())?;
            self.zeros(text - 1 - reason.len())?;
        }
        Ok(self)
    }

    fn head(&mut self, kind: u8, count: usize, words: usize) -> Result<(), RtcpError> {
        let count = u8::try_from(count).ok().filter(|c| *c < 32).ok_or(RtcpError::TooMany)?;
        let [high, low] = u16::try_from(words).map_err(|_| RtcpError::TooMany)?.to_be_bytes();
        if self.out.len() < self.len + 4 + words * 4 {
            return Err(RtcpError::NoRoom);
        }
        self.put(&[0x80 | count, kind, high, low])
    }

    fn words(&mut self, words: &[u32]) -> Result<(), RtcpError> {
        words.iter().try_for_each(|w| self.put(&w.to_be_bytes()))
    }

    fn zeros(&mut self, count: usize) -> Result<(), RtcpError> {
        (0..count).try_for_each(|_| self.put(&[0]))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), RtcpError> {
        let room = self.out.get_mut(self.len..self.len + bytes.len()).ok_or(RtcpError::NoRoom)?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 9,
        fraction_lost: 12,
        lost: -5,
        highest: 70_000,
        jitter: 33,
        last_sender_report: 0x5678_9abc,
        delay_since_sender_report: 65_536,
    };

    fn built(out: &mut [u8]) -> Result<usize, RtcpError> {
        let info = SenderInfo { ssrc: 7, ntp: Ntp(1 << 40 | 5), timestamp: 1, packets: 2, octets: 3 };
        let builder = Builder::new(out).sender_report(&info, &[BLOCK, BLOCK])?;
        Ok(builder.description(7, "box@shop")?.goodbye(7, "done")?.finish())
    }

    #[test]
    fn a_compound_is_read_as_it_was_built() {
        let mut out = [0; 256];
        let len = built(&mut out).unwrap();
        let compound = Compound::parse(&out[..len]).unwrap();
        let packets: Vec<_> = compound.packets().collect();
        let [Rtcp::SenderReport(info, blocks), Rtcp::Description(name), Rtcp::Goodbye(sources, reason)] =
            packets[..]
        else {
            panic!("{packets:?}")
        };
        assert_eq!((info.ssrc, info.ntp, info.octets), (7, Ntp(1 << 40 | 5), 3));
        assert_eq!(blocks.iter().collect::<Vec<_>>(), [BLOCK, BLOCK]);
        assert_eq!(name, Some((7, &b"box@shop"[..])));
        assert_eq!((sources.iter().collect::<Vec<_>>(), reason), (vec![7], Some(&b"done"[..])));
        for short in 0..len {
            assert_eq!(built(&mut [0; 256][..short]), Err(RtcpError::NoRoom));
        }
    }

    #[test]
    fn a_receiver_without_reports_still_says_who_it_is() {
        let mut out = [0; 64];
        let len =
            Builder::new(&mut out).receiver_report(3, &[]).unwrap().description(3, "abc").unwrap().finish();
        assert_eq!(
            out[..len],
            [0x80, 201, 0, 1, 0, 0, 0, 3, 0x81, 202, 0, 3, 0, 0, 0, 3, 1, 3, 97, 98, 99, 0, 0, 0]
        );
    }

    #[test]
    fn malformed_compounds_are_refused_for_their_reason() {
        let refuse = |bytes: &[u8]| Compound::parse(bytes).unwrap_err();
        assert_eq!(refuse(&[]), RtcpError::Short);
        assert_eq!(refuse(&[0x80, 201, 0, 1]), RtcpError::Short);
        assert_eq!(refuse(&[0x40, 201, 0, 0]), RtcpError::Version(1));
        assert_eq!(refuse(&[0x80, 202, 0, 0]), RtcpError::First(202));
        assert_eq!(refuse(&[0x81, 201, 0, 1, 0, 0, 0, 1]), RtcpError::Short);
        assert_eq!(refuse(&[0xa0, 201, 0, 1, 0, 0, 0, 9]), RtcpError::Padding);
        let padded_before_the_last = [0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0x80, 203, 0, 0];
        assert_eq!(refuse(&padded_before_the_last), RtcpError::Padding);
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_away() {
        let sent = Ntp::from_unix_micros(1_795_000_000_000_000);
        let now = Ntp::from_unix_micros(1_795_000_001_250_000);
        let block = ReportBlock { last_sender_report: sent.middle(), ..BLOCK };
        let micros = block.round_trip(now).unwrap();
        assert!(micros.abs_diff(250_000) < 50, "{micros}");
        assert_eq!(block.round_trip(sent), None);
        assert_eq!(ReportBlock::default().round_trip(now), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_compound_or_an_error(
            parts in prop::collection::vec((0u8..64, 198u8..208, prop::collection::vec(any::<u8>(), 0..60)), 0..4), junk in 0usize..6,
        ) {
            let mut bytes = Vec::new();
            for (first, kind, body) in parts {
                let words = u8::try_from(body.len().div_ceil(4)).unwrap();
                bytes.extend([0x80 | first, kind, 0, words]);
                bytes.extend(body);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes.truncate(bytes.len().saturating_sub(junk));
            if let Ok(compound) = Compound::parse(&bytes) {
                for packet in compound.packets() {
                    if let Rtcp::SenderReport(_, blocks) | Rtcp::ReceiverReport(_, blocks) = packet {
                        prop_assert!(blocks.iter().count() < 32);
                    }
                }
            }
        }
    }
}
