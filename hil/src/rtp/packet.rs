//! RTP packets, RFC 3550 §5.1.

/// Samples of a frame of 20 ms at 8 kHz.
pub const FRAME: usize = 160;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    pub marker: bool,
    pub kind: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub source: u32,
    pub payload: Vec<u8>,
}

impl Packet {
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, u8::from(self.marker) << 7 | (self.kind & 0x7f)];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// `None`: no RTP of version 2, RTCP, or shorter than it says.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Packet> {
        let (head, _) = bytes.split_at_checked(12)?;
        let &[first, second, s1, s2, t1, t2, t3, t4, c1, c2, c3, c4] = head else { return None };
        // RTCP's types shadow these payload types when both share a port, RFC 5761 §4.
        if first >> 6 != 2 || (64..96).contains(&(second & 0x7f)) {
            return None;
        }
        let mut start = header_length(bytes)?;
        let mut end = bytes.len();
        if first & 0x20 != 0 {
            end = end.checked_sub(usize::from(*bytes.last()?))?;
        }
        start = start.min(bytes.len());
        Some(Packet {
            marker: second & 0x80 != 0,
            kind: second & 0x7f,
            sequence: u16::from_be_bytes([s1, s2]),
            timestamp: u32::from_be_bytes([t1, t2, t3, t4]),
            source: u32::from_be_bytes([c1, c2, c3, c4]),
            payload: bytes.get(start..end)?.to_vec(),
        })
    }
}

/// Bytes in front of the payload: the fixed header, contributors and the extension.
#[must_use]
pub fn header_length(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let mut length = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = bytes.get(length + 2..length + 4)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([*words.first()?, *words.last()?]));
    }
    (length <= bytes.len()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let packet = Packet {
            marker: true,
            kind: 101,
            sequence: 65_535,
            timestamp: 7,
            source: 9,
            payload: vec![1, 2],
        };
        assert_eq!(Packet::read(&packet.write()), Some(packet));
    }

    #[test]
    fn contributors_extensions_and_padding_are_stepped_over() {
        let mut bytes = vec![0xb1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([9, 9, 9, 9]);
        bytes.extend([0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
        bytes.extend([42, 43, 0, 2]);
        assert_eq!(Packet::read(&bytes).unwrap().payload, [42, 43]);
    }

    #[test]
    fn what_is_no_packet_is_left_alone() {
        let mut rtcp = vec![0x80, 200];
        rtcp.extend([0; 26]);
        let mut padded = Packet::default().write();
        padded[0] |= 0x20;
        padded.push(99);
        for bytes in [&[][..], &[0x80; 11], &[0; 12], &[0x9f; 12], &rtcp, &padded] {
            assert_eq!(Packet::read(bytes), None, "{bytes:?}");
        }
    }
}
