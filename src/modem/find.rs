//! Looks for a line's modem: under its name, or by asking the candidates who they are.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::port::{self, OpenPort, Ports};
use super::{ModemConfig, PortChoice};
use crate::at::{Probe, Verdict};
use crate::types::Mono;

/// A port that does not take three bytes in this time is no modem's.
const WRITE: Duration = Duration::from_millis(500);

/// What is remembered of the modem between two connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// From the last time that it was up.
    pub(super) imei: Option<String>,
    /// Where it was.
    pub(super) path: Option<PathBuf>,
}

/// Looks once at every place where the modem may be.
///
/// # Errors
/// Why it was not found, in words.
pub(super) async fn find(
    config: &ModemConfig,
    known: &Known,
    ports: &Ports,
    now: &(impl Fn() -> Mono + Sync),
) -> Result<OpenPort, String> {
    match &config.port {
        PortChoice::ByPath(path) => match (port::open(path, config.baud, ports), &known.imei) {
            (Ok(port), _) => Ok(port),
            // The name is gone; the modem may be here under another one.
            (Err(error), Some(imei)) if error.kind() == io::ErrorKind::NotFound => {
                let found = search(config, known, Some(imei), ports, now).await;
                found.ok_or_else(|| {
                    format!("{} is gone, and the modem {imei} is nowhere else", path.display())
                })
            }
            (Err(error), _) => Err(format!("{}: {error}", path.display())),
        },
        PortChoice::ByImei(imei) => search(config, known, Some(imei), ports, now)
            .await
            .ok_or_else(|| format!("no modem with the IMEI {imei} is plugged in")),
        PortChoice::Any => {
            search(config, known, None, ports, now).await.ok_or_else(|| "no modem is plugged in".to_owned())
        }
    }
}

/// Asks the candidates, the last good one first.
async fn search(
    config: &ModemConfig,
    known: &Known,
    wanted: Option<&str>,
    ports: &Ports,
    now: &(impl Fn() -> Mono + Sync),
) -> Option<OpenPort> {
    let _turn = ports.probing().await;
    let mut paths = port::candidates(&config.candidates);
    if let Some(at) = known.path.as_ref().and_then(|last| paths.iter().position(|path| path == last)) {
        let last = paths.remove(at);
        paths.insert(0, last);
    }
    for path in paths {
        match ask(config, &path, ports, now).await {
            Ok((mut port, Some(imei))) if wanted.is_none_or(|wanted| wanted == imei) => {
                // A modem has several ports that answer: two lines shall not share one.
                let Some(claim) = ports.claim(imei) else { continue };
                port.keep(claim);
                return Some(port);
            }
            Ok((port, None)) if wanted.is_none() => return Some(port),
            Ok(_) => {}
            Err(error) => tracing::debug!(path = %path.display(), %error, "no modem here"),
        }
    }
    None
}

/// Opens a port and asks who is there.
async fn ask(
    config: &ModemConfig,
    path: &Path,
    ports: &Ports,
    now: &(impl Fn() -> Mono + Sync),
) -> io::Result<(OpenPort, Option<String>)> {
    let mut port = port::open(path, config.baud, ports)?;
    let mut probe = Probe::new(&config.settings, now());
    let mut bytes = [0u8; 512];
    loop {
        match probe.verdict() {
            Some(Verdict::Modem { imei }) => return Ok((port, imei.clone())),
            Some(Verdict::NoModem) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to AT")),
            None => {}
        }
        while let Some(out) = probe.poll_transmit() {
            tokio::time::timeout(WRITE, port.stream.write_all(&out)).await??;
        }
        let due = probe.poll_timeout().map_or(Duration::ZERO, |(at, _)| at.since(now()));
        match tokio::time::timeout(due, port.stream.read(&mut bytes)).await {
            Ok(read) => match bytes.get(..read?) {
                Some(read) if !read.is_empty() => probe.handle_bytes(read, now()),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            },
            Err(_elapsed) => probe.handle_timeout(now()),
        }
    }
}
