//! G.711, both laws, from ITU-T G.711 tables 1 and 2: decoding by table, encoding by the segment.

use serde::{Deserialize, Serialize};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// μ-law, PCMU, payload type 0.
    Mu,
    /// A-law, PCMA, payload type 8.
    A,
}

impl Law {
    /// As in an `rtpmap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Law::Mu => "PCMU/8000",
            Law::A => "PCMA/8000",
        }
    }

    /// RFC 3551 table 4.
    #[must_use]
    pub fn kind(self) -> u8 {
        match self {
            Law::Mu => 0,
            Law::A => 8,
        }
    }

    #[must_use]
    pub fn decode(self, byte: u8) -> i16 {
        let table = match self {
            Law::Mu => &MU,
            Law::A => &A,
        };
        table.get(usize::from(byte)).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => encode_mu(sample),
            Law::A => encode_a(sample),
        }
    }
}

const MU: [i16; 256] = table(Law::Mu);
const A: [i16; 256] = table(Law::A);

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        table[byte as usize] = match law {
            Law::Mu => decode_mu(byte),
            Law::A => decode_a(byte),
        };
        if byte == 255 {
            return table;
        }
        byte += 1;
    }
}

const fn decode_mu(byte: u8) -> i16 {
    let inverse = !byte;
    let step = (inverse & 0x0f) as i16;
    let magnitude = (((step << 3) + 0x84) << ((inverse >> 4) & 7)) - 0x84;
    if inverse & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn decode_a(byte: u8) -> i16 {
    let toggled = byte ^ 0x55;
    let step = (toggled & 0x0f) as i16;
    let segment = (toggled >> 4) & 7;
    let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    if toggled & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Segment and step of a magnitude of at least 2^`low`.
fn place(magnitude: u16, low: u32) -> (u8, u8) {
    let segment = magnitude.ilog2() - low;
    let step = (magnitude >> (segment + low - 4)) & 0x0f;
    (u8::try_from(segment).unwrap_or(7), u8::try_from(step).unwrap_or(15))
}

fn encode_mu(sample: i16) -> u8 {
    let magnitude = sample.unsigned_abs().min(32_635) + 0x84;
    let (segment, step) = place(magnitude, 7);
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | segment << 4 | step)
}

fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    let magnitude = magnitude.unsigned_abs();
    let (segment, step) = if magnitude < 256 {
        (0, u8::try_from(magnitude >> 4).unwrap_or(15))
    } else {
        let (segment, step) = place(magnitude, 8);
        (segment + 1, step)
    };
    (sign | segment << 4 | step) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_its_own_nearest() {
        for law in [Law::Mu, Law::A] {
            for byte in 0..=255_u8 {
                let again = law.encode(law.decode(byte));
                // μ-law has two zeros.
                assert!(again == byte || (law == Law::Mu && byte == 0x7f), "{law:?} {byte:#x} {again:#x}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_scale_are_those_of_the_tables() {
        assert_eq!((Law::Mu.decode(0x80), Law::Mu.decode(0x00), Law::Mu.decode(0xff)), (32_124, -32_124, 0));
        assert_eq!((Law::A.decode(0xaa), Law::A.decode(0x2a), Law::A.decode(0xd5)), (32_256, -32_256, 8));
        assert_eq!((Law::Mu.encode(i16::MIN), Law::A.encode(i16::MIN)), (0x00, 0x2a));
    }

    #[test]
    fn no_sample_is_further_off_than_half_a_step() {
        for law in [Law::Mu, Law::A] {
            for sample in i16::MIN..=i16::MAX {
                let heard = i32::from(law.decode(law.encode(sample)));
                let off = (heard - i32::from(sample)).abs();
                let step = (i32::from(sample).abs() + 132) / 32 + 9;
                assert!(off <= step || i32::from(sample).abs() > 32_124, "{law:?} {sample} {heard}");
            }
        }
    }
}
