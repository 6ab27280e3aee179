//! The edge on real sockets of the loopback: phones that are plain UDP sockets, and what each of them receives.

mod guard;
mod joined;
mod keys;
mod opening;
mod sound;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::media::{Media, MediaConfig, MediaReport, plan};
use crate::rtp::codec::{Decoder, Encoder, Rate};
use crate::rtp::packet::{Header, Packet};
use crate::rtp::tones::ToneSource;
use crate::types::{
    AudioCodec, AudioFormat, Dtmf, LegEvent, LegId, LocalMedia, MediaCommand, MediaEvent, MediaPorts,
    MediaStream, OtherFormat, PromptId,
};

/// Longer than anything takes that comes at all.
const SOON: Duration = Duration::from_secs(5);
/// What has not come by now does not come.
const NOT_AT_ALL: Duration = Duration::from_millis(150);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn format(codec: AudioCodec) -> AudioFormat {
    let kind = match codec {
        AudioCodec::Pcmu => 0,
        AudioCodec::Pcma => 8,
        AudioCodec::G722 => 9,
    };
    AudioFormat { codec, send: kind, receive: kind }
}

fn event(kind: u8) -> Option<OtherFormat> {
    Some(OtherFormat { send: kind, receive: kind, clock: 8000 })
}

fn key(letter: char) -> Dtmf {
    Dtmf::try_from(letter).unwrap()
}

/// The box under test.
struct Rig {
    media: Arc<Media>,
    reports: mpsc::Receiver<MediaReport>,
    /// Reports that came while something else was waited for.
    earlier: VecDeque<MediaReport>,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// Each test has its own ports.
    fn new(first_port: u16) -> Self {
        Self::with(MediaConfig { ports: first_port..=first_port + 99, ..MediaConfig::default() })
    }

    fn with(config: MediaConfig) -> Self {
        let (sender, reports) = mpsc::channel(64);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { media: Media::start(config, sender).unwrap(), reports, earlier: VecDeque::new(), runtime }
    }

    fn report(&mut self) -> MediaReport {
        self.earlier.pop_front().unwrap_or_else(|| self.next_report())
    }

    fn next_report(&mut self) -> MediaReport {
        let next = async { tokio::time::timeout(SOON, self.reports.recv()).await };
        self.runtime.block_on(next).expect("a report comes").unwrap()
    }

    /// Waits until all that was ordered is done: a prompt that nobody hears is over in its turn.
    fn settle(&mut self) {
        let (leg, prompt) = (LegId::from("nobody"), PromptId::from("settled"));
        self.media.command(MediaCommand::Play { leg: leg.clone(), prompt: prompt.clone(), repeat: false });
        let settled = MediaReport::Media(MediaEvent::Played { leg, prompt });
        loop {
            let report = self.next_report();
            if report == settled {
                return;
            }
            self.earlier.push_back(report);
        }
    }

    fn no_report(&mut self) {
        assert_eq!(self.earlier.front(), None);
        let next = async { tokio::time::timeout(NOT_AT_ALL, self.reports.recv()).await };
        if let Ok(report) = self.runtime.block_on(next) {
            panic!("{report:?}");
        }
    }

    /// The next report is that key of that leg.
    fn heard(&mut self, leg: &str, letter: char, carried: bool) {
        let wanted = MediaReport::Leg(LegId::from(leg), LegEvent::Dtmf { key: key(letter), carried });
        assert_eq!(self.report(), wanted);
    }

    fn phone(&mut self, leg: &str, change: impl FnOnce(&mut MediaStream)) -> Phone {
        let mut phone = Phone::new(leg, self.media.open(&LegId::from(leg), LOCAL, false).unwrap());
        change(&mut phone.stream);
        self.media.set(&phone.leg, phone.stream.clone());
        self.settle();
        phone
    }

    fn join(&self, a: &Phone, b: &Phone) {
        self.media.command(MediaCommand::Join(a.leg.clone(), b.leg.clone()));
    }

    fn part(&self, a: &Phone, b: &Phone) {
        self.media.command(MediaCommand::Part(a.leg.clone(), b.leg.clone()));
    }
}

/// A far end.
struct Phone {
    leg: LegId,
    socket: UdpSocket,
    reports: UdpSocket,
    local: LocalMedia,
    stream: MediaStream,
    next: Header,
}

/// A packet as it was received.
#[derive(Clone, Debug, PartialEq)]
struct Got {
    header: Header,
    payload: Vec<u8>,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

impl Phone {
    fn new(leg: &str, local: LocalMedia) -> Self {
        let (socket, reports) = (socket(), socket());
        let stream = MediaStream {
            remote: Some(socket.local_addr().unwrap()),
            remote_rtcp: Some(reports.local_addr().unwrap()),
            sources: vec![LOCAL],
            audio: vec![format(AudioCodec::Pcmu)],
            telephone_event: event(101),
            comfort_noise: None,
            ptime: 20,
            sends: true,
            receives: true,
            rtcp_mux: false,
            srtp: None,
        };
        let next = Header { marker: false, payload_type: 0, sequence: 100, timestamp: 5000, ssrc: 77 };
        Self { leg: LegId::from(leg), socket, reports, local, stream, next }
    }

    /// 20 ms of sound, which are `byte`.
    fn say(&mut self, byte: u8) {
        let kind = self.stream.audio[0].receive;
        self.send(kind, &[byte; 160]);
        self.next.timestamp = self.next.timestamp.wrapping_add(160);
    }

    fn send(&mut self, kind: u8, payload: &[u8]) {
        let bytes = self.packet(kind, payload);
        self.socket.send_to(&bytes, self.local.rtp).unwrap();
    }

    fn packet(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 12 + payload.len()];
        let header = Header { payload_type: kind, ..self.next };
        header.write(payload, &mut bytes).unwrap();
        self.next.sequence = self.next.sequence.wrapping_add(1);
        bytes
    }

    fn datagram(&self) -> Vec<u8> {
        let mut bytes = [0; 2000];
        let (len, _) = self.socket.recv_from(&mut bytes).expect("a packet comes");
        bytes[..len].to_vec()
    }

    fn hear(&self) -> Got {
        let bytes = self.datagram();
        let packet = Packet::parse(&bytes).unwrap();
        Got { header: packet.header, payload: packet.payload.to_vec() }
    }

    fn hears_nothing(&self) {
        self.socket.set_read_timeout(Some(NOT_AT_ALL)).unwrap();
        let mut bytes = [0; 2000];
        let got = self.socket.recv_from(&mut bytes).ok().map(|_| Packet::parse(&bytes).map(|p| p.header));
        assert_eq!(got, None);
        self.socket.set_read_timeout(Some(SOON)).unwrap();
    }

    /// A key as an event: three packets and three times its end.
    fn press(&mut self, letter: char) {
        let kind = self.stream.telephone_event.unwrap().receive;
        let clock = self.stream.telephone_event.unwrap().clock;
        for n in 1..=6u32 {
            let duration = u16::try_from(n.min(4) * clock / 50).unwrap().to_be_bytes();
            let end = if n > 3 { 0x8a } else { 0x0a };
            self.next.marker = n == 1;
            self.send(kind, &[key(letter).code(), end, duration[0], duration[1]]);
        }
        self.next.marker = false;
        self.next.timestamp = self.next.timestamp.wrapping_add(1600);
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// 20 ms of what a voice says, in the first format.
    fn speak(&mut self, voice: &mut Voice) {
        let kind = self.stream.audio[0].receive;
        let payload = voice.frame(20);
        self.send(kind, &payload);
        self.next.timestamp = self.next.timestamp.wrapping_add(160);
    }

    /// Packets as samples.
    fn listen(&self, codec: AudioCodec, packets: usize) -> Vec<i16> {
        let mut decoder = Decoder::new(plan::codec(codec));
        let mut heard = Vec::new();
        for _ in 0..packets {
            let mut samples = [0; 960];
            let count = decoder.decode(&self.hear().payload, &mut samples);
            heard.extend_from_slice(&samples[..count]);
        }
        heard
    }
}

/// Somebody who hums.
struct Voice {
    source: ToneSource,
    encoder: Encoder,
    rate: Rate,
}

impl Voice {
    fn new(codec: AudioCodec, hertz: &[f32]) -> Self {
        let codec = plan::codec(codec);
        let source = ToneSource::new(hertz, -16.0, codec.rate());
        Self { source, encoder: Encoder::new(codec), rate: codec.rate() }
    }

    fn frame(&mut self, millis: usize) -> Vec<u8> {
        let mut samples = vec![0; millis * self.rate.per_milli()];
        self.source.fill(&mut samples);
        let mut payload = vec![0; millis * 8];
        let len = self.encoder.encode(&samples, &mut payload);
        payload.truncate(len);
        payload
    }
}

/// Waits until something is so; only time outs end it otherwise.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}
