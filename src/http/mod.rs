//! What every client of this box does alike over HTTP: how one is built, what an error says, headers with times, bodies
//! up to a bound. Functions and a type: no client, no request, no retry and no history of its own; what an answer means
//! is its edge's to judge.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response};

use crate::types::Wall;

const AGENT: &str = concat!("backroom/", env!("CARGO_PKG_VERSION"));

/// Whose clock a date in an answer is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// This machine's.
    Ours,
    /// That of who answers: the same answer's `Date`. Without one, a date says nothing.
    Theirs,
}

/// Installs the TLS provider for the whole process. Every edge with a client does, before its first one; whoever was
/// first wins.
pub(crate) fn install_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Err: another thread was quicker, with the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

/// A client's settings: HTTP/1.1, none of the environment's proxies. `tls`: whether it will speak https.
pub(crate) fn client(connect: Duration, tls: bool) -> ClientBuilder {
    let builder = Client::builder().user_agent(AGENT).connect_timeout(connect).http1_only().no_proxy();
    // Without TLS a machine that has no root certificates is no reason to fail.
    if tls { builder } else { builder.tls_certs_only([]) }
}

/// The chain of causes, without the URL: it may have a secret or somebody's number in it.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        why.push_str(": ");
        why.push_str(&cause.to_string());
        source = cause.source();
    }
    why
}

/// The body, or `None` when it has more than `most` bytes: no more than that is ever held.
///
/// # Errors
/// It broke off.
pub(crate) async fn body(response: &mut Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let told = response.content_length().map(usize::try_from);
    if told.is_some_and(|told| told.map_or(true, |told| told > most)) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// The media type of `Content-Type`: lower case, no parameters; empty without one.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// `Fri, 20 Nov 2026 08:00:00 GMT` or `+0000` (RFC 9110 §5.6.7, RFC 2822).
pub(crate) fn moment(text: &str) -> Option<Wall> {
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Wall(at.timestamp().as_millisecond()))
}

/// The answer's own time, `Date` (RFC 9110 §6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<Wall> {
    moment(headers.get(DATE)?.to_str().ok()?)
}

/// The pause that is asked for, in seconds: given so, or as a date (RFC 9110 §10.2.3); 0 when that is past.
pub(crate) fn retry_after(headers: &HeaderMap, clock: Clock) -> Option<u32> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(seconds);
    }
    let now = match clock {
        // In whole seconds, as dates are written.
        Clock::Ours => Wall(jiff::Timestamp::now().as_second().saturating_mul(1000)),
        Clock::Theirs => date(headers)?,
    };
    Some(u32::try_from(moment(value)?.since(now).as_secs()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn asked(value: &str, date: Option<&str>, clock: Clock) -> Option<u32> {
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, clock)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_against_our_clock() {
        let header = |value: &str| asked(value, Some("Wed, 21 Oct 2093 07:27:59 GMT"), Clock::Ours);
        assert_eq!(header("120"), Some(120));
        assert_eq!(header("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
        assert!(header("Wed, 21 Oct 2093 07:28:00 GMT").unwrap() > 1_000_000);
        assert_eq!(header("soon"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_against_their_own_clock() {
        let header = |value: &str, date| asked(value, date, Clock::Theirs);
        let now = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(header("120", None), Some(120));
        assert_eq!(header("Wed, 21 Oct 2015 07:29:30 GMT", now), Some(90));
        assert_eq!(header("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(0));
        assert_eq!(header("Wed, 21 Oct 2015 07:29:30 GMT", None), None);
        assert_eq!(header("soon", now), None);
    }

    #[test]
    fn a_media_type_has_no_parameters_and_no_capitals() {
        let of = |value| media_type(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]));
        assert_eq!(of("Application/JSON; charset=utf-8"), "application/json");
        assert_eq!(media_type(&HeaderMap::new()), "");
    }
}
