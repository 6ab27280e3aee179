//! SRTP and SRTCP (RFC 3711) with AES in counter mode and HMAC-SHA1, in place in the datagram. Owns key derivation,
//! packet indices, tags and the replay window. Key identifiers and re-keying by rate are absent: no phone with keys
//! in SDP uses them. Where keys come from stands in `sdes`.

use aes::Aes128;
use aes::cipher::{InnerIvInit, KeyInit as _, StreamCipher};
use ctr::{Ctr128BE, CtrCore, flavors};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use thiserror::Error;

use crate::rtp::packet::{HEADER_LEN, Header, Packet, PacketError};
use crate::rtp::sdes::{MasterKey, Suite};
use crate::rtp::sequence_diff;

/// Bytes that protection adds to an RTCP packet: an index and a tag, which is long in both suites.
pub const RTCP_OVERHEAD: usize = 14;
/// Bytes that protection adds to an RTP packet at most.
pub const RTP_OVERHEAD: usize = 10;
const RTCP_TAG: usize = 10;
/// Sources under one key whose indices are kept: a far end changes its own at a transfer.
const SOURCES: usize = 4;
/// How far behind the newest a packet may be, in packets.
const WINDOW: u64 = 128;
const MOST_INDEX: u64 = (1 << 48) - 1;
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet was not protected or not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SrtpError {
    /// Not even a packet.
    #[error("malformed: {0}")]
    Malformed(#[from] PacketError),
    /// Too short for RTCP, or for a tag.
    #[error("too short")]
    Short,
    /// The buffer has no room for the tag.
    #[error("no room for the tag")]
    NoRoom,
    /// The tag is not that of the key: somebody else sent it, or it was changed.
    #[error("not authentic")]
    Inauthentic,
    /// It was there already, or is too old to tell.
    #[error("replayed")]
    Replayed,
    /// As many packets were sent as one key may protect.
    #[error("the key is used up")]
    Exhausted,
}

/// What is derived from a master key for RTP or for RTCP.
struct Keys {
    cipher: Aes128,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

type Counter<'a> = ctr::cipher::StreamCipherCoreWrapper<CtrCore<&'a Aes128, flavors::Ctr128BE>>;

impl Keys {
    /// §4.3.1 and §4.3.3; `first` is the label of the cipher's key, those of tag and salt follow.
    fn derive(master: &MasterKey, first: u8) -> Self {
        let (mut key, mut tag, mut salt) = ([0; 16], [0; 20], [0; 14]);
        derive(master, first, &mut key);
        derive(master, first + 1, &mut tag);
        derive(master, first + 2, &mut salt);
        let mac = <Hmac<Sha1> as hmac::KeyInit>::new(&block_of(&tag).into());
        Self { cipher: Aes128::new(&key.into()), salt, mac }
    }

    /// §4.1.1: the same operation encrypts and decrypts.
    fn apply(&self, ssrc: u32, index: u64, bytes: &mut [u8]) {
        let mut iv = [0; 16];
        let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
        let [s0, s1, s2, s3] = ssrc.to_be_bytes();
        let mixed = [0, 0, 0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5];
        for ((place, salt), mixed) in iv.iter_mut().zip(self.salt).zip(mixed) {
            *place = salt ^ mixed;
        }
        let mut counter: Counter<'_> = Counter::from_core(CtrCore::inner_iv_init(&self.cipher, &iv.into()));
        counter.apply_keystream(bytes);
    }

    fn tag(&self, message: &[u8], behind: &[u8]) -> Hmac<Sha1> {
        self.mac.clone().chain_update(message).chain_update(behind)
    }
}

/// HMAC's key block: the key and zeros.
fn block_of(key: &[u8; 20]) -> [u8; 64] {
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
    block
}

fn derive(master: &MasterKey, label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv.iter_mut().zip(master.salt).for_each(|(place, salt)| *place = salt);
    iv[7] ^= label;
    let mut counter = <Ctr128BE<Aes128> as aes::cipher::KeyIvInit>::new(&master.key.into(), &iv.into());
    counter.apply_keystream(out);
}

/// Indices of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    ssrc: u32,
    used: u64,
    /// The newest RTP index: roll-over counter and sequence number, §3.3.1.
    rtp: Option<u64>,
    rtp_seen: u128,
    rtcp: Option<u64>,
    rtcp_seen: u128,
}

#[derive(Clone, Debug, Default)]
struct Sources {
    places: [Option<Source>; SOURCES],
    uses: u64,
}

impl Sources {
    fn get(&self, ssrc: u32) -> Source {
        let known = self.places.iter().flatten().find(|s| s.ssrc == ssrc);
        known.copied().unwrap_or(Source { ssrc, ..Source::default() })
    }

    /// Keeps what became of a source; the one that was silent longest gives way.
    fn put(&mut self, mut source: Source) {
        self.uses += 1;
        source.used = self.uses;
        let same = self.places.iter().position(|p| p.is_some_and(|p| p.ssrc == source.ssrc));
        let oldest = || self.places.iter().enumerate().min_by_key(|(_, p)| p.map_or(0, |p| p.used));
        let at = same.or_else(|| oldest().map(|(at, _)| at)).unwrap_or(0);
        if let Some(place) = self.places.get_mut(at) {
            *place = Some(source);
        }
    }
}

/// The index that a sequence number most probably has, §3.3.1 and appendix A.
fn guess(newest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(newest) = newest else { return Some(u64::from(sequence)) };
    let [.., high, low] = newest.to_be_bytes();
    let ahead = sequence_diff(sequence, u16::from_be_bytes([high, low]));
    newest.checked_add_signed(i64::from(ahead)).filter(|index| *index <= MOST_INDEX)
}

/// The window of §3.3.2: true when this index may be believed, if it is authentic.
fn is_fresh(newest: Option<u64>, seen: u128, index: u64) -> bool {
    let Some(behind) = newest.and_then(|newest| newest.checked_sub(index)) else { return true };
    behind < WINDOW && seen >> behind & 1 == 0
}

fn note(newest: &mut Option<u64>, seen: &mut u128, index: u64) {
    let ahead = newest.map_or(0, |newest| index.saturating_sub(newest));
    let behind = newest.map_or(0, |newest| newest.saturating_sub(index));
    *seen = u32::try_from(ahead).ok().and_then(|ahead| seen.checked_shl(ahead)).unwrap_or(0);
    *seen |= u32::try_from(behind).ok().and_then(|behind| 1u128.checked_shl(behind)).unwrap_or(0);
    *newest = Some(newest.map_or(index, |newest| newest.max(index)));
}

/// Protects what one side sends. A key must not be used by two of these.
pub struct SrtpSender {
    suite: Suite,
    rtp: Keys,
    rtcp: Keys,
    sources: Sources,
}

impl SrtpSender {
    /// With the key of our own `a=crypto`.
    #[must_use]
    pub fn new(suite: Suite, master: &MasterKey) -> Self {
        let (rtp, rtcp) = (Keys::derive(master, 0), Keys::derive(master, 3));
        Self { suite, rtp, rtcp, sources: Sources::default() }
    }

    /// Protects the RTP packet in the first `len` bytes of `buffer`, behind which there must be room; returns its
    /// length now.
    ///
    /// # Errors
    /// [`SrtpError`]; nothing may be sent then.
    pub fn protect(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let tag_len = self.suite.tag_len();
        let whole = buffer.get_mut(..len + tag_len).ok_or(SrtpError::NoRoom)?;
        let (bytes, tag) = whole.split_at_mut(len);
        let packet = Packet::parse(bytes)?;
        let (header, at) = (packet.header, packet.header_len());
        let mut source = self.sources.get(header.ssrc);
        let index = guess(source.rtp, header.sequence).ok_or(SrtpError::Exhausted)?;
        // The same index again would use the same key stream for other bytes.
        if !is_fresh(source.rtp, source.rtp_seen, index) {
            return Err(SrtpError::Replayed);
        }
        self.rtp.apply(header.ssrc, index, bytes.get_mut(at..).unwrap_or_default());
        let made = self.rtp.tag(bytes, &roll_over(index)).finalize().into_bytes();
        tag.iter_mut().zip(made).for_each(|(place, byte)| *place = byte);
        note(&mut source.rtp, &mut source.rtp_seen, index);
        self.sources.put(source);
        Ok(len + tag_len)
    }

    /// Protects the compound RTCP packet in the first `len` bytes of `buffer`, behind which there must be room for
    /// [`RTCP_OVERHEAD`] more; returns its length now.
    ///
    /// # Errors
    /// [`SrtpError`]; nothing may be sent then.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let whole = buffer.get_mut(..len + RTCP_OVERHEAD).ok_or(SrtpError::NoRoom)?;
        let (signed, tag) = whole.split_at_mut(len + 4);
        let (bytes, trailer) = signed.split_at_mut(len);
        let (head, body) = bytes.split_first_chunk_mut::<8>().ok_or(SrtpError::Short)?;
        let ssrc = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let mut source = self.sources.get(ssrc);
        let index = source.rtcp.map_or(1, |i| i + 1);
        let number = u32::try_from(index).ok().filter(|i| *i < ENCRYPTED).ok_or(SrtpError::Exhausted)?;
        self.rtcp.apply(ssrc, index, body);
        let marked = (number | ENCRYPTED).to_be_bytes();
        trailer.iter_mut().zip(marked).for_each(|(place, byte)| *place = byte);
        let made = self.rtcp.tag(signed, &[]).finalize().into_bytes();
        tag.iter_mut().zip(made).for_each(|(place, byte)| *place = byte);
        source.rtcp = Some(index);
        self.sources.put(source);
        Ok(len + RTCP_OVERHEAD)
    }
}

/// Believes what one side sends only with its key's tag, and once.
pub struct SrtpReceiver {
    suite: Suite,
    rtp: Keys,
    rtcp: Keys,
    sources: Sources,
}

impl SrtpReceiver {
    /// With the key of the far end's `a=crypto`.
    #[must_use]
    pub fn new(suite: Suite, master: &MasterKey) -> Self {
        let (rtp, rtcp) = (Keys::derive(master, 0), Keys::derive(master, 3));
        Self { suite, rtp, rtcp, sources: Sources::default() }
    }

    /// Checks and decrypts a datagram in place; returns the length of the packet in it.
    ///
    /// # Errors
    /// [`SrtpError`]; the datagram is as it was and nothing is remembered of it.
    pub fn unprotect(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        let len = datagram.len().checked_sub(self.suite.tag_len()).ok_or(SrtpError::Short)?;
        let (bytes, tag) = datagram.split_at_mut(len);
        // Padding is encrypted: only what stands before the payload can be read yet.
        let at = clear_len(bytes)?;
        let header = fixed_fields(bytes)?;
        let mut source = self.sources.get(header.ssrc);
        let index = guess(source.rtp, header.sequence).ok_or(SrtpError::Replayed)?;
        if !is_fresh(source.rtp, source.rtp_seen, index) {
            return Err(SrtpError::Replayed);
        }
        let made = self.rtp.tag(bytes, &roll_over(index));
        made.verify_truncated_left(tag).map_err(|_| SrtpError::Inauthentic)?;
        self.rtp.apply(header.ssrc, index, bytes.get_mut(at..).unwrap_or_default());
        note(&mut source.rtp, &mut source.rtp_seen, index);
        self.sources.put(source);
        Ok(len)
    }

    /// Checks and decrypts an RTCP datagram in place; returns the length of the compound in it.
    ///
    /// # Errors
    /// [`SrtpError`]; the datagram is as it was and nothing is remembered of it.
    pub fn unprotect_rtcp(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        let signed_len = datagram.len().checked_sub(RTCP_TAG).ok_or(SrtpError::Short)?;
        let (signed, tag) = datagram.split_at_mut(signed_len);
        let len = signed_len.checked_sub(4).ok_or(SrtpError::Short)?;
        let (bytes, trailer) = signed.split_at(len);
        let head = bytes.first_chunk::<8>().ok_or(SrtpError::Short)?;
        let ssrc = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let marked = trailer.first_chunk::<4>().map_or(0, |t| u32::from_be_bytes(*t));
        let index = u64::from(marked & !ENCRYPTED);
        let mut source = self.sources.get(ssrc);
        if !is_fresh(source.rtcp, source.rtcp_seen, index) {
            return Err(SrtpError::Replayed);
        }
        let made = self.rtcp.tag(signed, &[]);
        made.verify_truncated_left(tag).map_err(|_| SrtpError::Inauthentic)?;
        if marked & ENCRYPTED != 0 {
            self.rtcp.apply(ssrc, index, signed.get_mut(8..len).unwrap_or_default());
        }
        note(&mut source.rtcp, &mut source.rtcp_seen, index);
        self.sources.put(source);
        Ok(len)
    }
}

/// Bytes before the payload of a packet whose padding cannot be read.
fn clear_len(bytes: &[u8]) -> Result<usize, SrtpError> {
    let first = bytes.first().copied().ok_or(SrtpError::Short)?;
    let mut len = HEADER_LEN + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let words = bytes.get(len + 2..len + 4).and_then(|w| w.first_chunk::<2>()).ok_or(SrtpError::Short)?;
        len += 4 + usize::from(u16::from_be_bytes(*words)) * 4;
    }
    if bytes.len() < len { Err(SrtpError::Short) } else { Ok(len) }
}

/// The fixed fields, whatever the encrypted rest is.
fn fixed_fields(bytes: &[u8]) -> Result<Header, PacketError> {
    let mut fixed = *bytes.first_chunk::<HEADER_LEN>().ok_or(PacketError::Short)?;
    fixed[0] &= 0xc0;
    Packet::parse(&fixed).map(|packet| packet.header)
}

fn roll_over(index: u64) -> [u8; 4] {
    let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
#[path = "srtp_tests.rs"]
mod tests;
