//! Files of texts that are sent: fetched from their `MediaUrl`s as Twilio does, by a plain GET without credentials, after
//! the message was taken. One that cannot be had ends the message. Only this machine is asked: a file elsewhere counts as
//! one that cannot be had, and not even its name is looked up. Deliberately absent: turning pictures into what a carrier
//! takes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::message::{Media, Refusal, Status, refused};
use super::sim::{Fate, Job, Sim};
use super::webhook::Target;

/// Files of one message (error 21623).
const MOST: usize = 10;
/// All of a message's files together, in bytes.
const LARGEST: usize = 5 << 20;
/// For one file.
const PATIENCE: Duration = Duration::from_secs(15);
const REDIRECTS: usize = 5;

/// "HTTP retrieval failure".
const NOT_RETRIEVED: u32 = 11200;
/// "Invalid Content-Type".
const WRONG_TYPE: u32 = 12300;
/// "Content size exceeds carrier limits".
const TOO_LARGE: u32 = 30019;

/// A file as its server gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// `Content-Type`, without parameters.
    pub content_type: String,
    /// `Content-Disposition`, where there is one.
    pub disposition: Option<String>,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// What is wrong with the addresses of a message's files.
pub(super) fn check(urls: &[&str]) -> Result<(), Refusal> {
    if urls.len() > MOST {
        return Err(refused(21623, "Number of media files exceeds allowed limit"));
    }
    let good = |url: &&&str| Target::of(url).is_some() && !url.contains(char::is_whitespace);
    match urls.iter().find(|url| !good(url)) {
        Some(bad) => Err(refused(21620, format!("Invalid media URL(s): {bad}"))),
        None => Ok(()),
    }
}

/// All files, or the error that the message ends with.
pub(super) async fn fetch_all(urls: &[String], tls: &Arc<ClientConfig>) -> Result<Vec<File>, u32> {
    let mut files = Vec::new();
    for url in urls {
        let file = fetch(url, tls).await.ok_or(NOT_RETRIEVED)?;
        let kind = file.content_type.split('/').next().unwrap_or_default();
        if !matches!(kind, "image" | "audio" | "video" | "text" | "application") {
            return Err(WRONG_TYPE);
        }
        files.push(file);
    }
    let size: usize = files.iter().map(|file| file.bytes.len()).sum();
    if size > LARGEST { Err(TOO_LARGE) } else { Ok(files) }
}

/// `None`: it cannot be had.
async fn fetch(url: &str, tls: &Arc<ClientConfig>) -> Option<File> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let answer = timeout(PATIENCE, get(&url, tls)).await.ok()?.ok()?;
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(answer.get(..at)?).into_owned();
        let bytes = answer.get(at + 4..)?.to_vec();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        match head.get(9..12)? {
            "200" => {
                let told = header("content-length").and_then(|told| told.parse().ok());
                if told.is_some_and(|told: usize| told != bytes.len()) {
                    return None;
                }
                let kind = header("content-type").unwrap_or_default();
                let content_type = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                return Some(File { content_type, disposition: header("content-disposition"), bytes });
            }
            "301" | "302" | "303" | "307" | "308" => url = header("location")?,
            _ => return None,
        }
    }
    None
}

async fn get(url: &str, tls: &Arc<ClientConfig>) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::other("not a URL that can be fetched");
    let target = Target::of(url).ok_or_else(wrong)?;
    if !is_here(&target.address()) {
        return Err(io::Error::other("a simulator fetches from this machine alone"));
    }
    let stream = TcpStream::connect(target.address()).await?;
    if target.secure {
        let name = target.name().ok_or_else(wrong)?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await?;
        return exchange(stream, &target).await;
    }
    exchange(stream, &target).await
}

fn is_here(address: &str) -> bool {
    let by_name = address.strip_prefix("localhost:").is_some_and(|port| port.parse::<u16>().is_ok());
    by_name || address.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback())
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, target: &Target) -> io::Result<Vec<u8>> {
    // HTTP/1.0: the body ends where the connection does.
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        target.path, target.authority
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1 << 16);
    let read = (&mut stream).take(most).read_to_end(&mut answer).await;
    match read {
        Err(why) if why.kind() != io::ErrorKind::UnexpectedEof || answer.is_empty() => Err(why),
        Ok(_) | Err(_) => Ok(answer),
    }
}

impl Sim {
    /// What became of the files of a message: with them it goes on, without it ends.
    pub(super) fn fetched(&mut self, sid: &str, files: Result<Vec<File>, u32>) {
        let media: Result<Vec<Media>, u32> = files.map(|files| {
            let kept = |file: File| {
                let File { content_type, disposition, bytes } = file;
                Media { sid: self.sid("ME"), content_type, disposition, bytes }
            };
            files.into_iter().map(kept).collect()
        });
        let Some(message) = self.message_mut(sid) else { return };
        match media {
            Ok(media) => message.media = media,
            Err(code) => {
                message.fate = Some(Fate { outcome: Status::Failed, error_code: Some(code) });
            }
        }
        if message.status != Status::Scheduled {
            self.plan_step(Job::Message(sid.to_owned()));
        }
    }

    /// The files of a message, in order.
    pub(super) fn files(&self, sid: &str) -> Vec<File> {
        let all = self.message(sid).map(|message| message.media.as_slice()).unwrap_or_default();
        let file = |one: &Media| File {
            content_type: one.content_type.clone(),
            disposition: one.disposition.clone(),
            bytes: one.bytes.clone(),
        };
        all.iter().map(file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_fetched() {
        let code = |urls: &[&str]| check(urls).err().map(|refusal| refusal.code);
        assert_eq!(code(&["https://a/1.jpg", "http://127.0.0.1:1/x"]), None);
        assert_eq!(code(&["ftp://a/1.jpg"]), Some(21620));
        assert_eq!(code(&["https://a/with space"]), Some(21620));
        assert_eq!(code(&["https://a"; 11]), Some(21623));
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for (address, here) in [
            ("127.0.0.1:80", true),
            ("[::1]:8080", true),
            ("localhost:443", true),
            ("localhost.example:443", false),
            ("example.com:443", false),
            ("192.168.1.5:80", false),
        ] {
            assert_eq!(is_here(address), here, "{address}");
        }
    }
}
