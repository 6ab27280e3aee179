//! The edge over real sockets of this machine.

mod floods;
mod names;
mod own_address;
mod sockets;
mod ways_out;

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::sip::agent::{AgentSettings, TrunkSetup};
use crate::sip::transaction::Transport;
use crate::types::{LocalMedia, MediaFacts, MediaRefused, MediaStream, Now};

/// Longer than anything that works takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// No sound.
#[derive(Debug)]
struct Silence;

impl MediaPorts for Silence {
    fn open(&self, _: &LegId, _: IpAddr, _: bool) -> Result<LocalMedia, MediaRefused> {
        Err(MediaRefused::NoPort)
    }
    fn set(&self, _: &LegId, _: MediaStream) {}
    fn press(&self, _: &LegId, _: crate::types::Dtmf) {}
    fn close(&self, _: &LegId) -> Option<MediaFacts> {
        None
    }
}

fn agent_settings() -> AgentSettings {
    AgentSettings {
        timers: crate::sip::transaction::Settings::default(),
        digest: crate::sip::digest::ServerSettings::default(),
        capabilities: crate::sip::sdp::Capabilities::default(),
        phone_media: crate::sip::sdp::TargetPolicy::default(),
        register_least: Duration::from_secs(60),
        register_most: Duration::from_secs(3600),
        contacts: 5,
        session_expires: Duration::from_secs(1800),
        legs: 100,
        product: "Backroom".to_owned(),
        emergency_numbers: Vec::new(),
        lan: Vec::new(),
    }
}

fn trunk_setup(line: &str) -> TrunkSetup {
    TrunkSetup {
        line: LineId::from(line),
        domain: "sip.provider.example".to_owned(),
        login: None,
        register: false,
        user: Some("shop".to_owned()),
        expires: Duration::from_secs(3600),
        networks: Vec::new(),
        media: crate::sip::sdp::TargetPolicy::default(),
        number: None,
        identity: crate::sip::agent::IdentityStyle::default(),
        options_every: Duration::ZERO,
        secure: false,
        nat: false,
        capabilities: None,
    }
}

fn listener(transport: Transport) -> Listener {
    Listener { addr: "127.0.0.1:0".parse().unwrap(), transport }
}

/// Listens on nothing, knows nobody.
fn config() -> TrunkConfig {
    TrunkConfig {
        agent: agent_settings(),
        seed: [7; 32],
        listeners: Vec::new(),
        tls: None,
        devices: Vec::new(),
        trunks: Vec::new(),
        bindings: Vec::new(),
        limits: Limits::default(),
        dns: DnsSettings { servers: Some(Vec::new()), kept: None },
    }
}

/// An edge that runs.
struct Rig {
    at: Vec<SocketAddr>,
    counters: watch::Receiver<Counters>,
    /// Held, so that somebody listens.
    _events: mpsc::Receiver<TrunkEvent>,
    commands: mpsc::Sender<TrunkCommand>,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<(), TrunkError>>,
}

fn start(config: TrunkConfig) -> Rig {
    let bound = bind(config).unwrap();
    let at = bound.listeners().iter().map(|l| l.addr).collect();
    let counters = bound.counters();
    let (command, commands) = mpsc::channel(64);
    let (event, events) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let ends = Ends { commands, events: event, stop: stopped, media: Arc::new(Silence) };
    let running = tokio::spawn(run(bound, ends, clock()));
    Rig { at, counters, _events: events, commands: command, stop, running }
}

fn clock() -> impl Fn() -> Now + Send + 'static {
    let begun = Instant::now();
    move || {
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
        Now::at(1_000_000 + ms, 1_790_000_000_000 + i64::try_from(ms).unwrap())
    }
}

impl Rig {
    /// Stops it and gives what was counted.
    async fn stop(self) -> Counters {
        self.stop.send(true).unwrap();
        timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
        *self.counters.borrow()
    }
}

/// A request without To: the edge itself answers it with 400.
fn faulty(number: usize, over: Transport) -> String {
    format!(
        "OPTIONS sip:shop@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{} 127.0.0.1;branch=z9hG4bK{number};rport\r\n\
         From: <sip:a@example.com>;tag=1\r\nCall-ID: {number}@test\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        over.as_str()
    )
}

/// A client's socket on this address.
async fn client(from: &str, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// The next datagram, as text.
async fn heard(socket: &UdpSocket, patience: Duration) -> Option<String> {
    let mut bytes = [0; 65_536];
    let length = timeout(patience, socket.recv(&mut bytes)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// Reads a stream until `count` messages or lines that begin so have come, or it ends.
async fn read_until(stream: &mut (impl AsyncReadExt + Unpin), what: &str, count: usize) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while text.matches(what).count() < count {
        let length = timeout(PATIENCE, stream.read(&mut chunk)).await.expect(&text).unwrap_or(0);
        if length == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    text
}

/// Reads until the far side closes.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut chunk = [0; 4096];
    while timeout(PATIENCE, stream.read(&mut chunk)).await.unwrap().unwrap_or(0) > 0 {}
}

/// A certificate authority and a certificate of it, as files.
struct Pki {
    directory: TempDir,
    files: TlsFiles,
}

impl Pki {
    fn for_name(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let write = |file: &str, text: String| {
            let path = directory.path().join(file);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = TlsFiles {
            certificate: write("certificate.pem", certificate.pem()),
            key: write("key.pem", key.serialize_pem()),
        };
        write("ca.pem", issuer.pem());
        Self { directory, files }
    }

    fn ca(&self) -> std::path::PathBuf {
        self.directory.path().join("ca.pem")
    }
}

async fn tcp(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.unwrap()
}
