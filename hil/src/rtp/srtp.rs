//! SRTP with keys in the description: AES_CM_128_HMAC_SHA1_80 (RFC 3711, RFC 4568).

use super::packet::header_length;
use crate::sip::chance;
use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The one suite that is spoken here.
pub const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

const TAG: usize = 10;

/// Master key and master salt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey {
    key: [u8; 16],
    salt: [u8; 14],
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// A key for a simulated call: unlike others, and no secret.
    #[must_use]
    pub fn any() -> MasterKey {
        let mut bytes = [0; 32];
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&chance().to_be_bytes());
        }
        let (mut key, mut salt) = ([0; 16], [0; 14]);
        key.copy_from_slice(&bytes[..16]);
        salt.copy_from_slice(&bytes[16..30]);
        MasterKey { key, salt }
    }

    /// Out of `inline:…` of an `a=crypto`, without lifetime and MKI.
    #[must_use]
    pub fn read(parameter: &str) -> Option<MasterKey> {
        let text = parameter.trim().strip_prefix("inline:")?;
        let bytes = from_base64(text.split(['|', ' ']).next()?)?;
        let (key, salt) = bytes.split_at_checked(16)?;
        Some(MasterKey { key: key.try_into().ok()?, salt: salt.try_into().ok()? })
    }

    /// As `inline:…`.
    #[must_use]
    pub fn write(&self) -> String {
        format!("inline:{}", to_base64(&[&self.key[..], &self.salt[..]].concat()))
    }

    /// RFC 3711 §4.3.1 with a key derivation rate of 0.
    fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        iv[7] ^= label;
        let mut out = [0; N];
        Ctr128BE::<Aes128>::new(&self.key.into(), &iv.into()).apply_keystream(&mut out);
        out
    }
}

/// One direction of one stream.
#[derive(Debug)]
pub struct Cipher {
    key: [u8; 16],
    authentication: [u8; 20],
    salt: [u8; 14],
    rollovers: u32,
    highest: Option<u16>,
}

impl Cipher {
    #[must_use]
    pub fn new(master: &MasterKey) -> Cipher {
        Cipher {
            key: master.derive(0),
            authentication: master.derive(1),
            salt: master.derive(2),
            rollovers: 0,
            highest: None,
        }
    }

    /// A packet made unreadable and signed; `None`: it was no packet.
    pub fn protect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let rollovers = self.follow(sequence(packet)?);
        let mut bytes = packet.to_vec();
        self.apply(&mut bytes, rollovers)?;
        let tag = self.tag(&bytes, rollovers)?;
        bytes.extend(tag);
        Some(bytes)
    }

    /// A packet made readable; `None`: it is not from who has the key.
    pub fn open(&mut self, protected: &[u8]) -> Option<Vec<u8>> {
        let (packet, tag) = protected.split_at_checked(protected.len().checked_sub(TAG)?)?;
        let number = sequence(packet)?;
        let guess = self.guess(number);
        if self.tag(packet, guess)? != tag {
            return None;
        }
        self.follow(number);
        let mut bytes = packet.to_vec();
        self.apply(&mut bytes, guess)?;
        Some(bytes)
    }

    /// RFC 3711 §3.3.1: the roll-over count that puts a sequence number nearest to the highest so far.
    fn guess(&self, number: u16) -> u32 {
        let Some(highest) = self.highest else { return self.rollovers };
        let (number, highest) = (i32::from(number), i32::from(highest));
        if number - highest > 32_768 {
            self.rollovers.wrapping_sub(1)
        } else if highest - number > 32_768 {
            self.rollovers.wrapping_add(1)
        } else {
            self.rollovers
        }
    }

    fn follow(&mut self, number: u16) -> u32 {
        let guess = self.guess(number);
        let newer = guess == self.rollovers.wrapping_add(1)
            || (guess == self.rollovers && self.highest.is_none_or(|highest| number > highest));
        if newer {
            self.rollovers = guess;
            self.highest = Some(number);
        }
        guess
    }

    /// §4.1.1.
    fn apply(&self, packet: &mut [u8], rollovers: u32) -> Option<()> {
        let source: [u8; 4] = packet.get(8..12)?.try_into().ok()?;
        let number = sequence(packet)?;
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        let index = u64::from(rollovers) << 16 | u64::from(number);
        iv[4..8].iter_mut().zip(source).for_each(|(a, b)| *a ^= b);
        iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]).for_each(|(a, b)| *a ^= b);
        let start = header_length(packet)?;
        Ctr128BE::<Aes128>::new(&self.key.into(), &iv.into()).apply_keystream(packet.get_mut(start..)?);
        Some(())
    }

    /// §4.2.
    fn tag(&self, packet: &[u8], rollovers: u32) -> Option<[u8; TAG]> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.authentication).ok()?;
        mac.update(packet);
        mac.update(&rollovers.to_be_bytes());
        mac.finalize().into_bytes().get(..TAG)?.try_into().ok()
    }
}

fn sequence(packet: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for piece in bytes.chunks(3) {
        let at = |i: usize| u32::from(piece.get(i).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4_usize {
            let letter = usize::try_from(bits >> (18 - 6 * place) & 63).ok().and_then(|i| ALPHABET.get(i));
            out.push(if place <= piece.len() { char::from(*letter.unwrap_or(&b'=')) } else { '=' });
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for piece in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let value = match piece.get(place) {
                Some(letter) => ALPHABET.iter().position(|known| known == letter)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        out.extend(bits.to_be_bytes().get(1..piece.len())?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Packet;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn keys_are_derived_as_the_rfc_shows() {
        let master = MasterKey {
            key: bytes("E1F97A0D3E018BE0D64FA32C06DE4139").try_into().unwrap(),
            salt: bytes("0EC675AD498AFEEBB6960B3AABE6").try_into().unwrap(),
        };
        let cipher = Cipher::new(&master);
        assert_eq!(cipher.key[..], bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(cipher.salt[..], bytes("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(cipher.authentication[..], bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
        assert_eq!(MasterKey::read(&master.write()), Some(master));
    }

    #[test]
    fn who_has_the_key_reads_over_a_roll_over_and_nobody_else() {
        let master = MasterKey::any();
        let (mut ours, mut theirs) = (Cipher::new(&master), Cipher::new(&master));
        let mut stranger = Cipher::new(&MasterKey::any());
        for number in (65_500..65_536_u32).chain(0..40) {
            let sequence = u16::try_from(number).unwrap();
            let packet = Packet { sequence, payload: vec![7; 160], ..Packet::default() }.write();
            let hidden = ours.protect(&packet).unwrap();
            assert_ne!(hidden[12..172], packet[12..]);
            assert_eq!(stranger.open(&hidden), None);
            assert_eq!(theirs.open(&hidden), Some(packet), "{number}");
        }
        assert_eq!((theirs.rollovers, theirs.open(&[0x80; 15])), (1, None));
    }
}
