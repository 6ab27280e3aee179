//! `X-Twilio-Signature`: Base64 of HMAC-SHA1 with the account's token over the URL and the parameters of a form; of a
//! JSON body over the URL alone, which then names the body's SHA-256 (`bodySHA256`). The official SDKs' rules:
//! parameters sorted by octets, equal ones once, and the URL with and without its port, since it is not always signed
//! the way it was configured.
//!
//! Pure. Deliberately absent: the HMAC-SHA256 signatures with a shared key of 2026.

use std::borrow::Cow;

use base64::prelude::*;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::fields::{Field, Fields};

/// The header's name.
pub const HEADER: &str = "x-twilio-signature";

/// What is signed beside the URL.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing: a GET has everything in its URL.
    None,
    /// The parameters of a form in the body.
    Form(&'a Fields),
    /// Any other body: by its hash in the URL.
    Body(&'a [u8]),
}

/// Whether the signature in the header is the one that the token gives. `url`: as the sender was told it, with the
/// query that came. Compared in constant time.
#[must_use]
pub fn is_genuine(token: &str, url: &str, payload: Payload<'_>, signature: &[u8]) -> bool {
    let Some(signature) = decode(signature) else { return false };
    match payload {
        Payload::None => matches(token, url, &[], &signature),
        Payload::Body(body) => names_body(url, body) && matches(token, url, &[], &signature),
        Payload::Form(fields) => {
            // Who encoded badly may have signed what was meant.
            let mended = fields.mended();
            let mut readings = std::iter::once(fields).chain(&mended);
            readings.any(|fields| matches(token, url, &sorted(fields), &signature))
        }
    }
}

/// Sorted by octets; an equal parameter counts once.
fn sorted(fields: &Fields) -> Vec<&Field> {
    let mut sorted: Vec<&Field> = fields.all().iter().collect();
    sorted.sort();
    sorted.dedup();
    sorted
}

fn matches(token: &str, url: &str, fields: &[&Field], signature: &[u8; 20]) -> bool {
    let mut found = false;
    for url in [Cow::Borrowed(url), other_port(url)] {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return false };
        mac.update(url.as_bytes());
        for field in fields {
            mac.update(&field.name);
            mac.update(&field.value);
        }
        found |= mac.verify_slice(signature).is_ok();
    }
    found
}

/// Without its port when it has one, else with the scheme's own.
fn other_port(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(host_at);
    // The colons of an IPv6 address stand before its bracket.
    let from = host.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match host.get(from..).and_then(|tail| tail.find(':')) {
        Some(at) => host.split_at(from + at),
        None => (host, ""),
    };
    let port = match (port, scheme) {
        ("", "https") => ":443",
        ("", _) => ":80",
        (_, _) => "",
    };
    Cow::Owned(format!("{scheme}://{user}{name}{port}{path}"))
}

/// The query has `bodySHA256` with the body's hash.
fn names_body(url: &str, body: &[u8]) -> bool {
    let url = url.split('#').next().unwrap_or_default();
    let Some((_, query)) = url.split_once('?') else { return false };
    let Some(told) = query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256=")) else { return false };
    let hash = Sha256::digest(body);
    let mut digits = told.bytes();
    let same = hash.iter().all(|byte| {
        let wanted = format!("{byte:02x}");
        wanted.bytes().all(|digit| digits.next().is_some_and(|told| told.to_ascii_lowercase() == digit))
    });
    same && digits.next().is_none()
}

fn decode(text: &[u8]) -> Option<[u8; 20]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "12345";
    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const CALL: &str = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&\
                        To=%2B18005551212";
    /// Twilio's documented example.
    const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";

    fn form(token: &str, url: &str, form: &str, signature: &str) -> bool {
        let fields = Fields::from_form(form.as_bytes()).unwrap();
        is_genuine(token, url, Payload::Form(&fields), signature.as_bytes())
    }

    fn signed(token: &str, url: &str, pairs: &[(&str, &str)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        hil::twilio::signature(token, url, &pairs)
    }

    #[test]
    fn the_documented_example_is_genuine() {
        assert!(form(TOKEN, URL, CALL, SIGNATURE));
    }

    #[test]
    fn another_token_url_parameter_or_signature_is_not() {
        assert!(!form("12346", URL, CALL, SIGNATURE));
        assert!(!form(TOKEN, &URL.replace("bar=2", "bar=3"), CALL, SIGNATURE));
        assert!(!form(TOKEN, &URL.replace("https", "http"), CALL, SIGNATURE));
        assert!(!form(TOKEN, URL, &CALL.replace("1234&", "1235&"), SIGNATURE));
        assert!(!form(TOKEN, URL, &format!("{CALL}&X="), "RSOYDt4T1cUTdK1PDd93/VVr8B8"));
        let first_changed = SIGNATURE.replacen('R', "S", 1);
        let bits_after_the_end = SIGNATURE.replacen("8=", "9=", 1);
        for bad in
            ["", "=", "%%%", &SIGNATURE[..27], &format!("{SIGNATURE}="), &first_changed, &bits_after_the_end]
        {
            assert!(!form(TOKEN, URL, CALL, bad), "{bad:?}");
        }
    }

    #[test]
    fn a_url_is_signed_with_its_port_or_without_it() {
        for (configured, signed_as) in [
            ("https://box.example/m", "https://box.example:443/m"),
            ("https://box.example:8443/m?x=1:2", "https://box.example/m?x=1:2"),
            ("http://192.168.1.5:8080/m", "http://192.168.1.5/m"),
            ("http://box.example?q", "http://box.example:80?q"),
            ("http://[::1]:8080/m", "http://[::1]/m"),
            ("http://[::1]/m", "http://[::1]:80/m"),
            ("https://user:word@box.example/m", "https://user:word@box.example:443/m"),
        ] {
            for url in [configured, signed_as] {
                let signature = signed(TOKEN, url, &[("Body", "hi")]);
                assert!(form(TOKEN, configured, "Body=hi", &signature), "{configured} {url}");
            }
            let elsewhere = signed(TOKEN, "https://box.example:9/m", &[("Body", "hi")]);
            assert!(!form(TOKEN, configured, "Body=hi", &elsewhere), "{configured}");
        }
    }

    #[test]
    fn repeated_parameters_are_sorted_and_count_once() {
        let signature = signed(TOKEN, URL, &[("b", "2"), ("a", "1"), ("b", "1"), ("b", "2"), ("B", "")]);
        for sent in ["a=1&b=1&b=2&B=", "b=2&b=2&b=1&a=1&B"] {
            assert!(form(TOKEN, URL, sent, &signature), "{sent}");
        }
        assert!(!form(TOKEN, URL, "a=1&b=1&B=", &signature));
    }

    #[test]
    fn a_get_is_signed_by_its_url_alone() {
        let signature = signed(TOKEN, URL, &[]);
        assert!(is_genuine(TOKEN, URL, Payload::None, signature.as_bytes()));
        assert!(!is_genuine(TOKEN, &format!("{URL}&baz=3"), Payload::None, signature.as_bytes()));
    }

    #[test]
    fn octets_that_are_no_text_are_signed_as_sent_or_as_meant() {
        let meant = signed(TOKEN, URL, &[("Body", "caf\u{fffd}")]);
        assert!(form(TOKEN, URL, "Body=caf%E9", &meant));
        assert!(!form(TOKEN, URL, "Body=caf%E8%E8", &meant));
    }

    #[test]
    fn another_body_than_a_form_is_signed_by_its_hash() {
        // SHA-256 of the two octets `{}`.
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for url in [format!("{URL}&bodySHA256={hash}"), format!("{URL}&bodySHA256={}", hash.to_uppercase())] {
            let signature = signed(TOKEN, &url, &[]);
            assert!(is_genuine(TOKEN, &url, Payload::Body(b"{}"), signature.as_bytes()), "{url}");
            assert!(!is_genuine(TOKEN, &url, Payload::Body(b"{ }"), signature.as_bytes()));
        }
        for query in [
            "",
            "&bodySHA256=",
            "&bodySHA256=44",
            &format!("&bodySHA256={hash}0"),
            &format!("#&bodySHA256={hash}"),
        ] {
            let url = format!("{URL}{query}");
            let signature = signed(TOKEN, &url, &[]);
            assert!(!is_genuine(TOKEN, &url, Payload::Body(b"{}"), signature.as_bytes()), "{query}");
        }
    }
}
