//! What `backroom doctor` wants to know of a certificate: whether its key fits and how long it is good for. Reads of
//! X.509 (RFC 5280 §4.1) the way to the end of validity and nothing else.

use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Until when the chain is good: its first certificate to expire.
///
/// # Errors
/// What is wrong with the files, in words.
pub(super) fn good_until(chain: &Path, key: &Path) -> Result<Timestamp, String> {
    let read = |path: &Path, error| format!("{}: {error}", path.display());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|e| read(chain, e.to_string()))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| read(key, e.to_string()))?;
    let ends = certificates.iter().map(|c| not_after(c));
    let ends: Option<Vec<Timestamp>> = ends.collect();
    let first = ends.and_then(|ends| ends.into_iter().min());
    let first = first.ok_or_else(|| read(chain, "holds no certificate that can be read".to_owned()))?;
    let signer =
        rustls::crypto::ring::sign::any_supported_type(&secret).map_err(|e| read(key, e.to_string()))?;
    CertifiedKey::new(certificates, signer)
        .keys_match()
        .map_err(|_| format!("{} is not the key of {}", key.display(), chain.display()))?;
    Ok(first)
}

/// One element of DER: its tag, what is in it, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))?, rest)
        }
        _ => return None,
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((*tag, inside, after))
}

/// `notAfter` (RFC 5280 §4.1.2.5).
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, inside, _) = element(certificate)?;
    let (_, mut body, _) = element(inside)?;
    // The version is optional; serial number, signature and issuer come before validity.
    if let Some((0xa0, _, after)) = element(body) {
        body = after;
    }
    for _ in 0..3 {
        body = element(body)?.2;
    }
    let (_, validity, _) = element(body)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    let text = std::str::from_utf8(text).ok()?;
    // UTCTime has two digits of the year: below 50 they are of this century.
    let text = match tag {
        0x17 => format!("{}{text}", if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" }),
        0x18 => text.to_owned(),
        _ => return None,
    };
    Timestamp::strptime("%Y%m%d%H%M%S%z", text.replace('Z', "+0000")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let inside = parts.concat();
        let mut out = vec![tag];
        match u8::try_from(inside.len()) {
            Ok(short @ 0..=0x7f) => out.push(short),
            Ok(byte) => out.extend([0x81, byte]),
            Err(_) => {
                out.push(0x82);
                out.extend(u16::try_from(inside.len()).unwrap().to_be_bytes());
            }
        }
        out.extend(inside);
        out
    }

    fn certificate(end: &[u8], version: bool) -> Vec<u8> {
        let version = if version { der(0xa0, &[&[2, 1, 2]]) } else { Vec::new() };
        let validity = der(0x30, &[&der(0x17, &[b"250101000000Z"]), end]);
        let issuer = der(0x30, &[&[0; 300]]);
        let body = der(0x30, &[&version, &der(2, &[&[1]]), &der(0x30, &[]), &issuer, &validity, &[5, 0]]);
        der(0x30, &[&body, &[5, 0]])
    }

    #[test]
    fn the_end_of_validity_is_read_in_both_forms() {
        for (end, want) in [
            (der(0x17, &[b"261225120000Z"]), "2026-12-25T12:00:00Z"),
            (der(0x17, &[b"991225120000Z"]), "1999-12-25T12:00:00Z"),
            (der(0x18, &[b"20501225120000Z"]), "2050-12-25T12:00:00Z"),
        ] {
            for version in [true, false] {
                let end = not_after(&certificate(&end, version)).unwrap();
                assert_eq!(end.to_string(), want);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reading(at in 0usize..60, byte in proptest::num::u8::ANY, cut in 0usize..400) {
            let mut bytes = certificate(&der(0x17, &[b"261225120000Z"]), true);
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
            bytes.truncate(cut);
            // Only that it returns.
            let _end = not_after(&bytes);
        }
    }
}
