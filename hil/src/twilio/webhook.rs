//! Requests to the application: signed as Twilio signs, fetched with Twilio's time limits and its one retry, and
//! forged on demand. Over https only applications are called whose certificate the given authority signed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::form::{self, Pairs};
use crate::rtp::srtp::to_base64;

/// What is wrong with a webhook's signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgery {
    /// Nothing.
    #[default]
    None,
    /// No signature at all.
    Missing,
    /// Signed with another account's token.
    ForeignToken,
    /// A parameter is changed after signing; of JSON, the body.
    Tampered,
    /// Not Base64.
    Garbage,
}

/// What a webhook carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Form(Pairs),
    /// GET, in the query.
    Query(Pairs),
    Json(Vec<u8>),
}

impl Payload {
    fn field(&self, names: &[&str]) -> Option<&str> {
        match self {
            Self::Form(pairs) | Self::Query(pairs) => names.iter().find_map(|name| form::get(pairs, name)),
            Self::Json(_) => None,
        }
    }

    /// Which message or call it tells of.
    pub(super) fn sid(&self) -> Option<&str> {
        self.field(&["MessageSid", "CallSid"])
    }
}

/// A request that is due.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    /// As configured, with the `#rc=…` of connection overrides.
    pub(super) url: String,
    pub(super) fallback: Option<String>,
    pub(super) payload: Payload,
    pub(super) forgery: Forgery,
    /// The same over retries: `I-Twilio-Idempotency-Token`.
    pub(super) token: String,
    /// The inbound message that TwiML answers.
    pub(super) message: Option<String>,
}

/// One attempt at a webhook.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Where to, without the fragment.
    pub url: String,
    /// `MessageSid` or `CallSid`.
    pub sid: Option<String>,
    /// `MessageStatus`, `SmsStatus` or `CallStatus`.
    pub status: Option<String>,
    /// 0, then retries, then the fallback URL.
    pub attempt: u32,
    /// The application's answer.
    pub answer: Option<u16>,
    /// Twilio's code for what went wrong: 11200, 11205, 11210, 11220.
    pub error: Option<u32>,
    /// From connecting to the whole answer.
    pub milliseconds: u64,
    /// As sent.
    pub forgery: Forgery,
}

/// Base64(HMAC-SHA1(token, URL and sorted parameters)). Values of a repeated name are de-duplicated and sorted.
#[must_use]
pub fn signature(auth_token: &str, url: &str, form: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = form.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(name);
        text.push_str(value);
    }
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    to_base64(&mac.finalize().into_bytes())
}

/// `host:port` of an HTTP URL, its path with query, and what is signed of it. `None`: not one that can be fetched.
pub(super) struct Target {
    url: String,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) secure: bool,
}

impl Target {
    pub(super) fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let fetched = matches!(scheme, "http" | "https") && !authority.is_empty();
        fetched.then(|| Self {
            secure: scheme == "https",
            url: url.to_owned(),
            authority: authority.to_owned(),
            path: format!("{slash}{path}"),
        })
    }

    fn signed(&self, without_port: bool) -> String {
        let host = self.authority.rsplit_once(':').map(|(host, _)| host);
        match host.filter(|_| without_port) {
            Some(host) => self.url.replacen(&self.authority, host, 1),
            None => self.url.clone(),
        }
    }

    pub(super) fn address(&self) -> String {
        let port = match (self.authority.contains(':'), self.secure) {
            (true, _) => "",
            (false, true) => ":443",
            (false, false) => ":80",
        };
        format!("{}{port}", self.authority)
    }

    pub(super) fn name(&self) -> Option<ServerName<'static>> {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        ServerName::try_from(host.to_owned()).ok()
    }
}

/// Connection overrides: the URL's fragment, neither sent nor signed.
struct Overrides {
    connect: Duration,
    read: Duration,
    total: Duration,
    retries: u32,
    policy: String,
}

impl Overrides {
    fn of(fragment: &str) -> Self {
        let pairs = form::parse(fragment.as_bytes());
        let number = |name| form::get(&pairs, name).and_then(|value| value.parse::<u64>().ok());
        let limit = |name, default| Duration::from_millis(number(name).unwrap_or(default).clamp(100, 15_000));
        Self {
            connect: limit("ct", 5_000),
            read: limit("rt", 15_000),
            total: limit("tt", 15_000),
            retries: number("rc").and_then(|count| u32::try_from(count.min(5)).ok()).unwrap_or(1),
            policy: form::get(&pairs, "rp").unwrap_or("ct").to_owned(),
        }
    }

    fn retry(&self, outcome: &Outcome) -> bool {
        let of = match outcome {
            Outcome::NoConnection | Outcome::NoTrust => "ct",
            Outcome::NoAnswer => "rt",
            Outcome::Answer(400..=499, _) => "4xx",
            Outcome::Answer(500..=599, _) => "5xx",
            Outcome::Answer(..) | Outcome::BadUrl => return false,
        };
        self.policy.split(',').any(|policy| policy == of || policy == "all")
    }
}

enum Outcome {
    Answer(u16, String),
    NoConnection,
    /// TLS failed.
    NoTrust,
    NoAnswer,
    BadUrl,
}

/// How webhooks are signed.
pub(super) struct Signing {
    pub(super) auth_token: String,
    pub(super) without_port: bool,
    pub(super) tls: Arc<ClientConfig>,
}

/// Trusts the authorities in a PEM text, and nobody when there is none.
///
/// # Errors
/// It holds something else.
pub(super) fn trusting(pem: Option<&str>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.unwrap_or_default().as_bytes()) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let ring = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
    let config = builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Fetches, retries and falls back as Twilio does. Every attempt, and the body of a good answer.
pub(super) async fn deliver(webhook: &Webhook, signing: &Signing) -> (Vec<Delivery>, Option<String>) {
    let mut attempts = Vec::new();
    for url in [Some(&webhook.url), webhook.fallback.as_ref()].into_iter().flatten() {
        let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
        let overrides = Overrides::of(fragment);
        let end = Instant::now() + overrides.total;
        let mut payload = webhook.payload.clone();
        if let (Payload::Form(pairs) | Payload::Query(pairs), Some(error)) =
            (&mut payload, attempts.last().and_then(failed))
        {
            pairs.push(("ErrorCode".to_owned(), error.to_string()));
            pairs.push(("ErrorUrl".to_owned(), webhook.url.clone()));
        }
        for retry in 0..=overrides.retries {
            let begun = Instant::now();
            let outcome = fetch(url, &payload, webhook, signing, &overrides, end).await;
            let mut attempt = described(url, &payload, webhook.forgery, &outcome);
            attempt.attempt = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
            attempt.milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            attempts.push(attempt);
            if let Outcome::Answer(200..=299, body) = outcome {
                return (attempts, Some(body));
            }
            if !overrides.retry(&outcome) || retry == overrides.retries || Instant::now() >= end {
                break;
            }
        }
    }
    (attempts, None)
}

fn failed(delivery: &Delivery) -> Option<u32> {
    delivery.error
}

fn described(url: &str, payload: &Payload, forgery: Forgery, outcome: &Outcome) -> Delivery {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let (answer, error) = match outcome {
        Outcome::Answer(status @ 200..=299, _) => (Some(*status), None),
        Outcome::Answer(status, _) => (Some(*status), Some(11200)),
        Outcome::NoConnection | Outcome::NoAnswer => (None, Some(11205)),
        Outcome::NoTrust => (None, Some(11220)),
        Outcome::BadUrl => (None, Some(11210)),
    };
    Delivery {
        url: url.to_owned(),
        sid: owned(payload.sid()),
        status: owned(payload.field(&["MessageStatus", "SmsStatus", "CallStatus"])),
        attempt: 0,
        answer,
        error,
        milliseconds: 0,
        forgery,
    }
}

async fn fetch(
    url: &str,
    payload: &Payload,
    webhook: &Webhook,
    signing: &Signing,
    overrides: &Overrides,
    end: Instant,
) -> Outcome {
    let Some((target, request)) = request(url, payload, webhook, signing) else { return Outcome::BadUrl };
    let connect = timeout(overrides.connect, TcpStream::connect(target.address()));
    let Ok(Ok(Ok(stream))) = timeout_at(end, connect).await else { return Outcome::NoConnection };
    let answer = if target.secure {
        let Some(name) = target.name() else { return Outcome::BadUrl };
        let shake = TlsConnector::from(signing.tls.clone()).connect(name, stream);
        let Ok(Ok(Ok(stream))) = timeout_at(end, timeout(overrides.connect, shake)).await else {
            return Outcome::NoTrust;
        };
        timeout_at(end, timeout(overrides.read, exchange(stream, &request))).await
    } else {
        timeout_at(end, timeout(overrides.read, exchange(stream, &request))).await
    };
    match answer {
        Ok(Ok(Ok(answer))) => parsed(&answer).unwrap_or(Outcome::NoAnswer),
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => Outcome::NoAnswer,
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    // TwiML is 64 kB at most.
    let read = (&mut stream).take(128 * 1024).read_to_end(&mut answer).await;
    // Many servers end TLS by closing the connection.
    match read {
        Err(why) if why.kind() != io::ErrorKind::UnexpectedEof || answer.is_empty() => Err(why),
        Ok(_) | Err(_) => Ok(answer),
    }
}

fn parsed(answer: &[u8]) -> Option<Outcome> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?;
    Some(Outcome::Answer(status.get(..3)?.parse().ok()?, body.to_owned()))
}

fn request(url: &str, payload: &Payload, webhook: &Webhook, signing: &Signing) -> Option<(Target, Vec<u8>)> {
    let tampered = webhook.forgery == Forgery::Tampered;
    let (target, kind, body, pairs) = match payload {
        Payload::Form(pairs) => {
            let mut sent = pairs.clone();
            if tampered {
                sent.push(("Tampered".to_owned(), "1".to_owned()));
            }
            (
                Target::of(url)?,
                "application/x-www-form-urlencoded",
                form::write(&sent).into_bytes(),
                &pairs[..],
            )
        }
        Payload::Query(pairs) => {
            let mark = if url.contains('?') { '&' } else { '?' };
            let mut target = Target::of(&format!("{url}{mark}{}", form::write(pairs)))?;
            if tampered {
                target.path.push_str("&Tampered=1");
            }
            (target, "application/x-www-form-urlencoded", Vec::new(), &[][..])
        }
        Payload::Json(body) => {
            let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
            let mark = if url.contains('?') { '&' } else { '?' };
            let mut sent = body.clone();
            if tampered {
                sent.push(b' ');
            }
            (Target::of(&format!("{url}{mark}bodySHA256={hash}"))?, "application/json", sent, &[][..])
        }
    };
    let signed = target.signed(signing.without_port);
    let signature = match webhook.forgery {
        Forgery::None | Forgery::Tampered => Some(signature(&signing.auth_token, &signed, pairs)),
        Forgery::ForeignToken => Some(signature("another account's token", &signed, pairs)),
        Forgery::Garbage => Some("%%%".to_owned()),
        Forgery::Missing => None,
    };
    let signature = signature.map(|text| format!("X-Twilio-Signature: {text}\r\n")).unwrap_or_default();
    let method = if matches!(payload, Payload::Query(_)) { "GET" } else { "POST" };
    let mut bytes = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\nI-Twilio-Idempotency-Token: {}\r\n{signature}\r\n",
        target.path,
        target.authority,
        body.len(),
        webhook.token
    )
    .into_bytes();
    bytes.extend(body);
    Some((target, bytes))
}

/// The texts of `<Message>` in an answer of TwiML; other verbs are passed over.
pub(super) fn replies(twiml: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = twiml;
    while let Some(at) = rest.find("<Message") {
        let Some(inside) = rest[at..].split_once('>').map(|(_, inside)| inside) else { break };
        let Some((text, after)) = inside.split_once("</Message>") else { break };
        let text = text.split_once("<Body>").map_or(text, |(_, body)| body);
        let text = text.split_once("</Body>").map_or(text, |(body, _)| body);
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        found.push(text.replace("&apos;", "'").replace("&amp;", "&"));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_documented_example() {
        let pairs = [
            ("Digits", "1234"),
            ("To", "+18005551212"),
            ("From", "+12349013030"),
            ("Caller", "+12349013030"),
            ("CallSid", "CA1234567890ABCDE"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signed = signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", &pairs);
        assert_eq!(signed, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=");
    }

    #[test]
    fn the_port_leaves_only_the_authority() {
        let target = Target::of("http://127.0.0.1:80/a:80/b?x=1:80").unwrap();
        assert_eq!(target.signed(true), "http://127.0.0.1/a:80/b?x=1:80");
        assert_eq!(target.signed(false), target.url);
        assert_eq!(Target::of("https://127.0.0.1/").unwrap().address(), "127.0.0.1:443");
        assert!(Target::of("ftp://127.0.0.1/").is_none());
    }

    #[test]
    fn a_reply_is_read_from_twiml() {
        let twiml =
            "<Response><Message>a &amp; b</Message><Message to=\"+1\"><Body>c</Body></Message></Response>";
        assert_eq!(replies(twiml), ["a & b", "c"]);
    }
}
