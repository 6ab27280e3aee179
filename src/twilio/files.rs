//! Addresses at which the upstream fetches the box's own files: below the line's `public_url`, signed, and good for a while.
//!
//! - What is signed is line, shop, text, number of the file and the end of its time. Nothing can be guessed or counted up.
//! - The key follows from a secret of the line's (its token, else its API secret), so nothing has to be stored, a restored
//!   box serves what it has promised, and a new secret ends all addresses at once.
//! - Each try of a text makes its own address: the end of an earlier one does not matter to it.
//!
//! Deliberately absent: the files (the store has them) and HTTP (`web::files`).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::UpstreamLine;
use crate::types::{MessageId, Wall};

/// How long an address is good, in seconds. Twilio keeps a text that it cannot send for at most ten hours (its
/// `ValidityPeriod`).
const GOOD_FOR: i64 = 12 * 3600;
/// What the key is for: nothing else that is signed with the line's secret can be mistaken for it.
const USE: &[u8] = b"backroom: addresses of files, 1";

/// One file of a text that the upstream may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Of which text.
    pub message: MessageId,
    /// Which of its files, from 1.
    pub number: u8,
}

/// The path of a file of a line's text, after its `public_url`; `None`: the line has no secret to sign with.
#[must_use]
pub fn path(line: &UpstreamLine, file: &FileRef, now: Wall) -> Option<String> {
    let until = now.0.div_euclid(1000).saturating_add(GOOD_FOR);
    let seal = hex(&seal(line, file, until)?.finalize().into_bytes());
    let FileRef { message, number } = file;
    Some(format!("/twilio/{}/file/{message}/{number}/{until}/{seal}", line.id))
}

/// The whole address; `None`: the upstream cannot reach the box by this line.
#[must_use]
pub fn address(line: &UpstreamLine, file: &FileRef, now: Wall) -> Option<String> {
    Some(format!("{}{}", line.public_url.as_ref()?, path(line, file, now)?))
}

/// Whether this box made the address, and it is still good. `until` and `seal` as they stand in the path.
#[must_use]
pub fn is_good(line: &UpstreamLine, file: &FileRef, until: &str, seal_given: &str, now: Wall) -> bool {
    let Some(until) = until.parse::<i64>().ok().filter(|at| at.to_string() == until) else { return false };
    let Some(given) = unhex(seal_given) else { return false };
    // In constant time, and before the clock is looked at.
    let genuine = seal(line, file, until).is_some_and(|mac| mac.verify_slice(&given).is_ok());
    genuine && now.0.div_euclid(1000) < until
}

fn seal(line: &UpstreamLine, file: &FileRef, until: i64) -> Option<Hmac<Sha256>> {
    let secret = line.auth_token.as_ref().or(line.api_key.as_ref().map(|(_, secret)| secret))?;
    let mut root = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    root.update(USE);
    let mut mac = Hmac::<Sha256>::new_from_slice(&root.finalize().into_bytes()).ok()?;
    let FileRef { message, number } = file;
    // None of these holds a line break.
    mac.update(format!("{}\n{}\n{message}\n{number}\n{until}", line.id, line.shop).as_bytes());
    Some(mac)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower case alone: one address, one way to write it.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use super::*;
    use crate::config::Secret;

    const NOW: Wall = Wall(1_795_197_600_000);

    fn file(message: &str, number: u8) -> FileRef {
        FileRef { message: MessageId::from(message), number }
    }

    fn parts(path: &str) -> (String, String) {
        let mut parts = path.rsplit('/').map(str::to_owned);
        let seal = parts.next().unwrap();
        (parts.next().unwrap(), seal)
    }

    #[test]
    fn an_address_is_good_for_its_file_and_its_time_alone() {
        let line =
            UpstreamLine { public_url: Some("https://shop.example".into()), ..line("http://127.0.0.1:1") };
        let address = address(&line, &file("SM1", 2), NOW).unwrap();
        assert!(address.starts_with("https://shop.example/twilio/tw/file/SM1/2/"), "{address}");
        let (until, seal) = parts(&address);
        assert!(is_good(&line, &file("SM1", 2), &until, &seal, NOW));
        let last = Wall(NOW.0 + GOOD_FOR * 1000 - 1);
        assert!(is_good(&line, &file("SM1", 2), &until, &seal, last));
        assert!(!is_good(&line, &file("SM1", 2), &until, &seal, Wall(last.0 + 1)), "its time is over");
        let later = (until.parse::<i64>().unwrap() + 1).to_string();
        let other_line = UpstreamLine { id: "other".into(), ..line.clone() };
        let other_shop = UpstreamLine { shop: "other".into(), ..line.clone() };
        let other_secret = UpstreamLine { auth_token: Some(Secret::new("another")), ..line.clone() };
        for (line, file, until, seal) in [
            (&line, file("SM1", 1), &until, &seal),
            (&line, file("SM2", 2), &until, &seal),
            (&line, file("SM1", 2), &later, &seal),
            (&line, file("SM1", 2), &format!("+{until}"), &seal),
            (&line, file("SM1", 2), &until, &seal.to_uppercase()),
            (&line, file("SM1", 2), &until, &seal[..62].to_owned()),
            (&line, file("SM1", 2), &until, &String::new()),
            (&other_line, file("SM1", 2), &until, &seal),
            (&other_shop, file("SM1", 2), &until, &seal),
            (&other_secret, file("SM1", 2), &until, &seal),
        ] {
            assert!(!is_good(line, &file, until, seal, NOW), "{file:?} {until} {seal}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_reached_has_no_addresses() {
        assert_eq!(address(&line("http://127.0.0.1:1"), &file("SM1", 1), NOW), None);
    }
}
