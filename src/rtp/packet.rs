//! An RTP packet (RFC 3550 §5.1) as a view into the datagram that it came in, and written into the caller's buffer.
//! Owns bounds, extension, contributing sources and padding; what a payload means stands elsewhere.

use thiserror::Error;

/// Length of the header without sources and extension, in bytes.
pub const HEADER_LEN: usize = 12;
const VERSION: u8 = 2;

/// The fields that every RTP packet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Begin of a talk spurt, or the first packet of an event.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// One more with each packet sent.
    pub sequence: u16,
    /// In ticks of the payload's RTP clock.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: u32,
}

/// A header extension, RFC 3550 §5.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// `0xBEDE` for the one-byte form of RFC 8285, `0x1000` to `0x100F` for the two-byte form.
    pub profile: u16,
    /// A multiple of four bytes.
    pub data: &'a [u8],
}

/// A packet that was found well formed. It borrows the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed fields.
    pub header: Header,
    /// Contributing sources, four bytes each.
    csrc: &'a [u8],
    /// What profiles add.
    pub extension: Option<Extension<'a>>,
    /// Without padding.
    pub payload: &'a [u8],
    /// Bytes of padding behind the payload.
    pub padding: u8,
}

/// Why bytes are no RTP packet, or do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The datagram ends inside the header, the sources or the extension.
    #[error("ends inside its header")]
    Short,
    /// Not version 2.
    #[error("version {0}, not 2")]
    Version(u8),
    /// The last byte claims no padding, or more than there is.
    #[error("padding longer than the packet")]
    Padding,
    /// The caller's buffer is too small for what should be written.
    #[error("no room for the packet")]
    NoRoom,
    /// More than 15 sources, or an extension that is no multiple of four bytes or too long.
    #[error("not expressible in RTP")]
    Unsendable,
}

/// What a datagram on a media port is, from its first bytes. RFC 7983, and RFC 5761 §4 for RTP beside RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Media.
    Rtp,
    /// Reports on media.
    Rtcp,
    /// A connectivity check.
    Stun,
    /// A key exchange.
    Dtls,
    /// None of these: dropped.
    Other,
}

/// Sorts a datagram by its first two bytes.
#[must_use]
pub fn kind(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, _, ..] => Kind::Rtp,
        _ => Kind::Other,
    }
}

impl Header {
    /// The twelve bytes of a packet without sources, extension and padding.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        [VERSION << 6, self.second_byte(), s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }

    /// Puts these fields into a packet that [`Packet::parse`] accepted, and leaves all else in it as it is.
    ///
    /// # Errors
    /// [`PacketError::Short`] when there are no twelve bytes; nothing is changed then.
    pub fn patch(self, datagram: &mut [u8]) -> Result<(), PacketError> {
        let Some(fixed) = datagram.first_chunk_mut::<HEADER_LEN>() else { return Err(PacketError::Short) };
        let first = fixed[0];
        *fixed = self.to_bytes();
        fixed[0] = first;
        Ok(())
    }

    /// Writes a packet with this header and `payload`; returns its length.
    ///
    /// # Errors
    /// [`PacketError::NoRoom`] when `out` is too small.
    pub fn write(self, payload: &[u8], out: &mut [u8]) -> Result<usize, PacketError> {
        let (head, rest) = out.split_first_chunk_mut::<HEADER_LEN>().ok_or(PacketError::NoRoom)?;
        let body = rest.get_mut(..payload.len()).ok_or(PacketError::NoRoom)?;
        *head = self.to_bytes();
        body.copy_from_slice(payload);
        Ok(HEADER_LEN + payload.len())
    }

    fn second_byte(self) -> u8 {
        u8::from(self.marker) << 7 | self.payload_type & 0x7f
    }
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// What is wrong with it; any bytes are an error at worst.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let (fixed, mut rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(PacketError::Short)?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != VERSION {
            return Err(PacketError::Version(first >> 6));
        }
        let csrc_len = usize::from(first & 0x0f) * 4;
        let csrc;
        (csrc, rest) = rest.split_at_checked(csrc_len).ok_or(PacketError::Short)?;
        let mut extension = None;
        if first & 0x10 != 0 {
            let ([p0, p1, l0, l1], after) = rest.split_first_chunk::<4>().ok_or(PacketError::Short)?;
            let words = usize::from(u16::from_be_bytes([*l0, *l1]));
            let data;
            (data, rest) = after.split_at_checked(words * 4).ok_or(PacketError::Short)?;
            extension = Some(Extension { profile: u16::from_be_bytes([*p0, *p1]), data });
        }
        let mut padding = 0;
        if first & 0x20 != 0 {
            padding = rest.last().copied().unwrap_or(0);
            let end = rest.len().checked_sub(usize::from(padding)).filter(|_| padding > 0);
            rest = end.and_then(|end| rest.get(..end)).ok_or(PacketError::Padding)?;
        }
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        Ok(Self { header, csrc, extension, payload: rest, padding })
    }

    /// The contributing sources of a mixed packet: at most 15.
    pub fn csrc(&self) -> impl Iterator<Item = u32> + 'a {
        let (sources, _) = self.csrc.as_chunks::<4>();
        sources.iter().map(|b| u32::from_be_bytes(*b))
    }

    /// Bytes before the payload.
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.csrc.len() + self.extension.map_or(0, |e| 4 + e.data.len())
    }

    /// Writes the packet anew, with all that it has; returns its length.
    ///
    /// # Errors
    /// [`PacketError::NoRoom`] when `out` is too small, [`PacketError::Unsendable`] for what RTP cannot say.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, PacketError> {
        let sources = u8::try_from(self.csrc.len() / 4).ok().filter(|n| *n < 16);
        let sources = sources.ok_or(PacketError::Unsendable)?;
        let mut head = self.header.to_bytes();
        head[0] |= sources | u8::from(self.extension.is_some()) << 4 | u8::from(self.padding > 0) << 5;
        let mut pen = Pen { out, at: 0 };
        pen.put(&head)?;
        pen.put(self.csrc)?;
        if let Some(extension) = self.extension {
            let words =
                u16::try_from(extension.data.len() / 4).ok().filter(|_| extension.data.len() % 4 == 0);
            pen.put(&extension.profile.to_be_bytes())?;
            pen.put(&words.ok_or(PacketError::Unsendable)?.to_be_bytes())?;
            pen.put(extension.data)?;
        }
        pen.put(self.payload)?;
        for _ in 1..self.padding {
            pen.put(&[0])?;
        }
        if self.padding > 0 {
            pen.put(&[self.padding])?;
        }
        Ok(pen.at)
    }
}

impl<'a> Extension<'a> {
    /// The elements of RFC 8285 §4.2 and §4.3: id and value. Other profiles have none.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        let one_byte = self.profile == 0xbede;
        let known = one_byte || self.profile & 0xfff0 == 0x1000;
        Elements { rest: if known { self.data } else { &[] }, one_byte }
    }
}

/// Iterates over header extension elements; stops at the first that does not fit.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    one_byte: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            if *first == 0 {
                continue;
            }
            let (id, len) = if self.one_byte {
                (first >> 4, usize::from(first & 0x0f) + 1)
            } else {
                let (len, rest) = self.rest.split_first()?;
                self.rest = rest;
                (*first, usize::from(*len))
            };
            if self.one_byte && id == 15 {
                self.rest = &[];
                return None;
            }
            let (value, rest) = self.rest.split_at_checked(len)?;
            self.rest = rest;
            return Some((id, value));
        }
    }
}

struct Pen<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Pen<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), PacketError> {
        let room = self.out.get_mut(self.at..self.at + bytes.len()).ok_or(PacketError::NoRoom)?;
        room.copy_from_slice(bytes);
        self.at += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header =
        Header { marker: true, payload_type: 8, sequence: 0x1234, timestamp: 0xdead_beef, ssrc: 0x0102_0304 };

    #[test]
    fn a_packet_with_everything_is_read_as_it_was_written() {
        let csrc = [0, 0, 0, 1, 0, 0, 0, 2];
        let extension = Some(Extension { profile: 0xbede, data: &[0x10, 0x7f, 0, 0x21, 1, 2, 0, 0] });
        let packet = Packet { header: HEADER, csrc: &csrc, extension, payload: b"sound", padding: 3 };
        let mut out = [0xff; 64];
        let len = packet.write(&mut out).unwrap();
        let read = Packet::parse(&out[..len]).unwrap();
        assert_eq!(read, packet);
        assert_eq!(read.csrc().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(read.header_len() + 5 + 3, len);
        let elements: Vec<_> = read.extension.unwrap().elements().collect();
        assert_eq!(elements, [(1, &[0x7f][..]), (2, &[1, 2][..])]);
    }

    #[test]
    fn the_two_byte_form_of_extensions_is_read() {
        let extension = Extension { profile: 0x1000, data: &[7, 0, 0, 9, 2, 5, 6, 0] };
        assert_eq!(extension.elements().collect::<Vec<_>>(), [(7, &[][..]), (9, &[5, 6][..])]);
    }

    #[test]
    fn malformed_packets_are_refused_for_their_reason() {
        let good = HEADER.to_bytes();
        let with = |first: u8, tail: &[u8]| {
            let mut bytes = good.to_vec();
            bytes[0] = first;
            bytes.extend_from_slice(tail);
            Packet::parse(&bytes).map(|p| p.payload.len())
        };
        assert_eq!(Packet::parse(&good[..11]).unwrap_err(), PacketError::Short);
        assert_eq!(with(0x40, b""), Err(PacketError::Version(1)));
        assert_eq!(with(0x81, b"abc"), Err(PacketError::Short));
        assert_eq!(with(0x90, &[0, 0, 0, 1, 9]), Err(PacketError::Short));
        assert_eq!(with(0xa0, b""), Err(PacketError::Padding));
        assert_eq!(with(0xa0, &[1, 2, 0]), Err(PacketError::Padding));
        assert_eq!(with(0xa0, &[1, 2, 4]), Err(PacketError::Padding));
        assert_eq!(with(0xa0, &[1, 2, 3]), Ok(0));
        assert_eq!(with(0x80, b"abcd"), Ok(4));
    }

    #[test]
    fn datagrams_are_sorted_by_their_first_bytes() {
        assert_eq!(kind(&[0x80, 0x00]), Kind::Rtp);
        assert_eq!(kind(&[0x80, 0x80 | 101]), Kind::Rtp);
        assert_eq!(kind(&[0x80, 200]), Kind::Rtcp);
        assert_eq!(kind(&[0x81, 206]), Kind::Rtcp);
        assert_eq!(kind(&[0, 1]), Kind::Stun);
        assert_eq!(kind(&[22, 254]), Kind::Dtls);
        assert_eq!(kind(b"OPTIONS"), Kind::Other);
        assert_eq!(kind(&[0x80]), Kind::Other);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), first in any::<u8>()) {
            let mut bytes = bytes;
            if let Some(b) = bytes.first_mut() { *b = first & 0x3f | 0x80; }
            if let Ok(packet) = Packet::parse(&bytes) {
                let mut out = [0; 256];
                let len = packet.write(&mut out).unwrap();
                prop_assert_eq!(Packet::parse(&out[..len]).unwrap(), packet);
                let total = packet.header_len() + packet.payload.len() + usize::from(packet.padding);
                prop_assert_eq!(total, bytes.len());
                if let Some(extension) = packet.extension { prop_assert!(extension.elements().count() <= 200); }
            }
        }

        #[test]
        fn a_patched_packet_differs_in_its_header_only(body in prop::collection::vec(any::<u8>(), 0..64), pt in 0u8..128) {
            let mut out = [0; 128];
            let len = HEADER.write(&body, &mut out).unwrap();
            let new = Header { payload_type: pt, marker: false, sequence: 9, timestamp: 10, ssrc: 11 };
            new.patch(&mut out[..len]).unwrap();
            let read = Packet::parse(&out[..len]).unwrap();
            prop_assert_eq!(read.header, new);
            prop_assert_eq!(read.payload, &body[..]);
        }
    }
}
