//! SRTP keys in SDP (RFC 4568): the value of `a=crypto`, read and written. Owns what of it we support; an offer that
//! asks for more is refused by name and never answered with less.

use std::fmt;

use base64::prelude::*;
use thiserror::Error;

/// Bytes of a master key and of its salt together.
const MATERIAL: usize = 30;

/// Ciphers and tags, RFC 4568 §6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`: tags of ten bytes.
    Sha1Tag80,
    /// `AES_CM_128_HMAC_SHA1_32`: tags of four bytes, and of ten in RTCP.
    Sha1Tag32,
}

impl Suite {
    /// Its name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Sha1Tag32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Bytes that protection adds to an RTP packet.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Sha1Tag80 => 10,
            Self::Sha1Tag32 => 4,
        }
    }
}

/// A master key and its salt. Never shown in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    pub(crate) key: [u8; 16],
    pub(crate) salt: [u8; 14],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// From 30 bytes, which must come from a source of randomness fit for keys.
    #[must_use]
    pub fn from_bytes(material: &[u8; MATERIAL]) -> Self {
        let (mut key, mut salt) = ([0; 16], [0; 14]);
        let places = key.iter_mut().chain(&mut salt);
        places.zip(material).for_each(|(place, byte)| *place = *byte);
        Self { key, salt }
    }
}

/// Why a line is not for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdesError {
    /// Not as RFC 4568 §9.1 writes it.
    #[error("no crypto attribute")]
    Malformed,
    /// A suite that we do not have.
    #[error("unsupported crypto suite")]
    Suite,
    /// A key of another length, or not in base 64.
    #[error("no key of 30 bytes")]
    Key,
    /// A master key identifier: several keys, which we do not do.
    #[error("key identifiers are not supported")]
    Identifier,
    /// A parameter such as `UNENCRYPTED_SRTP`, which must not be ignored.
    #[error("unsupported parameter")]
    Parameter,
}

/// One `a=crypto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// An answer carries that of the offer's line it takes.
    pub tag: u32,
    /// Cipher and tag length.
    pub suite: Suite,
    /// The key with which whoever wrote the line sends.
    pub key: MasterKey,
}

impl Crypto {
    /// Reads the value behind `a=crypto:`.
    ///
    /// # Errors
    /// [`SdesError`]: try the offer's next line.
    pub fn parse(value: &str) -> Result<Self, SdesError> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().filter(|t| t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit()));
        let tag = tag.and_then(|t| t.parse().ok()).ok_or(SdesError::Malformed)?;
        let suite = match words.next().ok_or(SdesError::Malformed)? {
            "AES_CM_128_HMAC_SHA1_80" => Suite::Sha1Tag80,
            "AES_CM_128_HMAC_SHA1_32" => Suite::Sha1Tag32,
            _ => return Err(SdesError::Suite),
        };
        let keys = words.next().ok_or(SdesError::Malformed)?;
        let (method, info) = keys.split_once(':').ok_or(SdesError::Malformed)?;
        if !method.eq_ignore_ascii_case("inline") {
            return Err(SdesError::Malformed);
        }
        let mut parts = info.split('|');
        let key = parts.next().and_then(|text| BASE64_STANDARD.decode(text).ok()).ok_or(SdesError::Key)?;
        let key: [u8; MATERIAL] = key.try_into().map_err(|_| SdesError::Key)?;
        for part in parts {
            // A lifetime of 2^48 packets or less is not reached in a call: 2^20 last six hours.
            if part.contains(':') || part.contains(';') {
                return Err(SdesError::Identifier);
            }
        }
        if words.any(|w| !w.starts_with("WSH=")) {
            return Err(SdesError::Parameter);
        }
        Ok(Self { tag, suite, key: MasterKey::from_bytes(&key) })
    }

    /// The value to stand behind `a=crypto:`. It holds the key: not for logs.
    #[must_use]
    pub fn to_value(&self) -> String {
        let mut material = [0; MATERIAL];
        let bytes = self.key.key.iter().chain(&self.key.salt);
        material.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        format!("{} {} inline:{}", self.tag, self.suite.name(), BASE64_STANDARD.encode(material))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4568 §9.1's key, as its examples write it.
    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn a_line_is_read_and_written() {
        let crypto = Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20")).unwrap();
        assert_eq!((crypto.tag, crypto.suite), (1, Suite::Sha1Tag80));
        assert_eq!(&crypto.key.key, b"YS___semctl () {");
        assert_eq!(crypto.to_value(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        let short = Crypto::parse(&format!("7 AES_CM_128_HMAC_SHA1_32 inline:{KEY} WSH=64")).unwrap();
        assert_eq!(short.suite.tag_len(), 4);
        assert_eq!(format!("{:?}", short.key), "MasterKey(..)");
    }

    #[test]
    fn what_we_cannot_keep_to_is_refused_by_name() {
        let refuse = |text: String| Crypto::parse(&text).unwrap_err();
        assert_eq!(refuse(format!("1 AEAD_AES_256_GCM inline:{KEY}")), SdesError::Suite);
        assert_eq!(refuse(format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4")), SdesError::Identifier);
        assert_eq!(
            refuse(format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP")),
            SdesError::Parameter
        );
        assert_eq!(refuse("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA".to_owned()), SdesError::Key);
        assert_eq!(refuse(format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}!", &KEY[1..])), SdesError::Key);
        for text in ["", "x", "1", "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80 mikey:x", "-1 a b"]
        {
            assert_eq!(refuse(text.to_owned()), SdesError::Malformed, "{text}");
        }
    }
}
