//! G.711, both laws, by table. Written here because the crate `audio-codec` rounds negative samples of A-law
//! otherwise than ITU-T G.191 (897 of 65,536 inputs) and turns the code 0x55 into 0xD5 on the way through.

/// Which companding law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law: North America, Japan. Payload type 0.
    Mu,
    /// A-law: the rest of the world. Payload type 8.
    A,
}

const fn encode_mu(sample: i16) -> u8 {
    let magnitude = if sample < 0 { !sample } else { sample };
    let mut rest = (magnitude >> 2) + 33;
    if rest > 0x1fff {
        rest = 0x1fff;
    }
    let mut segment = 0u8;
    while rest > 0x3f {
        rest >>= 1;
        segment += 1;
    }
    let step = rest.to_le_bytes()[0] >> 1 & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | segment << 4 | step)
}

const fn decode_mu(code: u8) -> i16 {
    let code = !code;
    let step = (code & 0x0f) as i16;
    let magnitude = (((step << 3) + 0x84) << (code >> 4 & 7)) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn encode_a(sample: i16) -> u8 {
    let magnitude = if sample < 0 { !sample } else { sample };
    let mut rest = magnitude >> 4;
    let mut segment = 0u8;
    if rest > 15 {
        segment = 1;
        while rest > 31 {
            rest >>= 1;
            segment += 1;
        }
    }
    let step = rest.to_le_bytes()[0] & 0x0f;
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | segment << 4 | step) ^ 0x55
}

const fn decode_a(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = code >> 4 & 7;
    let mut magnitude = ((code & 0x0f) as i16) << 4 | 8;
    if segment > 0 {
        magnitude = (magnitude + 0x100) << (segment - 1);
    }
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// By the upper 14 bits of a sample: all that µ-law looks at.
static ENCODE_MU: [u8; 1 << 14] = {
    let mut table = [0; 1 << 14];
    let mut at = 0;
    let mut sample = 0i16;
    while at < table.len() {
        table[at] = encode_mu(sample);
        sample = sample.wrapping_add(4);
        at += 1;
    }
    table
};

/// By the upper 12 bits of a sample: all that A-law looks at.
static ENCODE_A: [u8; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut at = 0;
    let mut sample = 0i16;
    while at < table.len() {
        table[at] = encode_a(sample);
        sample = sample.wrapping_add(16);
        at += 1;
    }
    table
};

static DECODE_MU: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0u8;
    loop {
        table[code as usize] = decode_mu(code);
        if code == 255 {
            break table;
        }
        code += 1;
    }
};

static DECODE_A: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0u8;
    loop {
        table[code as usize] = decode_a(code);
        if code == 255 {
            break table;
        }
        code += 1;
    }
};

static MU_TO_A: [u8; 256] = {
    let mut table = [0; 256];
    let mut code = 0u8;
    loop {
        table[code as usize] = encode_a(decode_mu(code));
        if code == 255 {
            break table;
        }
        code += 1;
    }
};

static A_TO_MU: [u8; 256] = {
    let mut table = [0; 256];
    let mut code = 0u8;
    loop {
        table[code as usize] = encode_mu(decode_a(code));
        if code == 255 {
            break table;
        }
        code += 1;
    }
};

impl Law {
    /// What silence sounds like on the wire.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xff,
            Self::A => 0xd5,
        }
    }

    /// One sample to its code.
    #[must_use]
    pub fn encode_sample(self, sample: i16) -> u8 {
        let index = usize::from(sample.cast_unsigned());
        match self {
            Self::Mu => ENCODE_MU[(index >> 2) & 0x3fff],
            Self::A => ENCODE_A[(index >> 4) & 0x0fff],
        }
    }

    /// One code to its sample.
    #[must_use]
    pub fn decode_sample(self, code: u8) -> i16 {
        match self {
            Self::Mu => DECODE_MU[usize::from(code)],
            Self::A => DECODE_A[usize::from(code)],
        }
    }

    /// As many samples as both buffers hold; returns how many.
    pub fn encode(self, samples: &[i16], out: &mut [u8]) -> usize {
        for (code, sample) in out.iter_mut().zip(samples) {
            *code = self.encode_sample(*sample);
        }
        samples.len().min(out.len())
    }

    /// As many codes as both buffers hold; returns how many.
    pub fn decode(self, codes: &[u8], out: &mut [i16]) -> usize {
        for (sample, code) in out.iter_mut().zip(codes) {
            *sample = self.decode_sample(*code);
        }
        codes.len().min(out.len())
    }

    /// From this law to the other, in place: by table, without samples in between.
    pub fn recode_in_place(self, codes: &mut [u8]) {
        let table = match self {
            Self::Mu => &MU_TO_A,
            Self::A => &A_TO_MU,
        };
        for code in codes {
            *code = table[usize::from(*code)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_recommendation() {
        // ITU-T G.711 tables 1a to 2b: the ends, the origin and some decision values between.
        for (code, sample) in [(0x80, 32124), (0x00, -32124), (0xff, 0), (0x7f, 0), (0xfe, 8), (0x7e, -8)] {
            assert_eq!(Law::Mu.decode_sample(code), sample, "{code:02x}");
        }
        for (code, sample) in [(0xaa, 32256), (0x2a, -32256), (0xd5, 8), (0x55, -8), (0xd4, 24), (0x54, -24)]
        {
            assert_eq!(Law::A.decode_sample(code), sample, "{code:02x}");
        }
        for (sample, code) in [(0, 0xff), (3, 0xff), (4, 0xfe), (-1, 0x7f), (-5, 0x7e), (i16::MIN, 0x00)] {
            assert_eq!(Law::Mu.encode_sample(sample), code, "{sample}");
        }
        for (sample, code) in [(0, 0xd5), (15, 0xd5), (16, 0xd4), (-1, 0x55), (-17, 0x54), (i16::MIN, 0x2a)] {
            assert_eq!(Law::A.encode_sample(sample), code, "{sample}");
        }
    }

    /// G.711 appendix: the digital milliwatt, one cycle of 1 kHz at 0 dBm0, as both laws write it.
    #[test]
    fn the_digital_milliwatt_is_0_dbm0_in_both_laws() {
        let mu = [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e];
        let a = [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4];
        for (law, cycle, full) in [(Law::Mu, mu, 8159.0 * 4.0), (Law::A, a, 4096.0 * 8.0)] {
            let mut samples = [0; 8];
            law.decode(&cycle, &mut samples);
            let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8.0;
            // Overload of a sine stands at 3.17 dBm0 (µ) and 3.14 dBm0 (A).
            let over = f64::from(if law == Law::Mu { 317 } else { 314 }) / 100.0;
            let dbm0 = 10.0 * (power / (full * full / 2.0)).log10() + over;
            assert!(dbm0.abs() < 0.1, "{law:?}: {dbm0}");
            let mut back = [0; 8];
            law.encode(&samples, &mut back);
            assert_eq!(back, cycle);
        }
    }

    #[test]
    fn decoding_and_encoding_gives_every_code_back() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255 {
                // µ-law has two zeros; the positive one is sent.
                let expected = if law == Law::Mu && code == 0x7f { 0xff } else { code };
                assert_eq!(law.encode_sample(law.decode_sample(code)), expected, "{law:?} {code:02x}");
            }
        }
    }

    #[test]
    fn every_sample_gets_a_code_within_half_a_step() {
        for law in [Law::Mu, Law::A] {
            let codes: Vec<i32> = (0..=255).map(|c| i32::from(law.decode_sample(c))).collect();
            for sample in i16::MIN..=i16::MAX {
                let heard = i32::from(law.decode_sample(law.encode_sample(sample)));
                let off = (heard - i32::from(sample)).abs();
                let least = codes.iter().map(|c| (c - i32::from(sample)).abs()).min().unwrap();
                // Where segments meet, the decision value stands by the smaller step: 256 or 512 away.
                assert!(off <= 2 * least + 4, "{law:?} {sample} -> {heard}, {off} instead of {least}");
            }
        }
    }

    #[test]
    fn the_other_law_hears_the_same_within_a_step() {
        for law in [Law::Mu, Law::A] {
            let other = if law == Law::Mu { Law::A } else { Law::Mu };
            for code in 0..=255u8 {
                let mut recoded = [code];
                law.recode_in_place(&mut recoded);
                let (from, to) = (law.decode_sample(code), other.decode_sample(recoded[0]));
                let step = (i32::from(from).abs() / 16).max(8);
                assert!((i32::from(from) - i32::from(to)).abs() <= step, "{law:?} {code:02x}: {from} {to}");
            }
        }
    }
}
