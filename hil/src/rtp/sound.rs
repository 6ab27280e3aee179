//! One leg's sound: an RTP socket that plays tones and keys at 20 ms, and listens.

use super::Law;
use super::ear::Ear;
use super::event::{Event, Key};
use super::packet::{FRAME, Packet};
use super::srtp::{Cipher, MasterKey};
use super::tone::Tone;
use crate::sip::{Network, chance, lock};
use serde::Serialize;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// A heard tone may be so far from the wanted one, in Hz.
const NEAR: f32 = 15.0;

/// Without packets for so long there is silence.
const GONE: Duration = Duration::from_millis(100);

/// Frames of a key: 100 ms.
const KEY_FRAMES: u16 = 5;

/// Frames between keys: 60 ms.
const PAUSE_FRAMES: u16 = 3;

/// How a key travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// RFC 4733.
    #[default]
    Event,
    /// SIP INFO with `application/dtmf-relay`.
    Info,
    /// Two tones in the sound itself.
    InBand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyHeard {
    pub key: Key,
    pub how: How,
    /// As far as it is known yet, in milliseconds.
    pub duration_ms: u32,
}

/// Where the sound goes and how it is written.
#[derive(Clone, Debug)]
pub struct Remote {
    pub address: SocketAddr,
    pub law: Law,
    /// Payload type of the sound.
    pub kind: u8,
    /// Payload type of telephone-event.
    pub event_kind: Option<u8>,
    pub sends: bool,
    /// Our key and theirs.
    pub keys: Option<(MasterKey, MasterKey)>,
}

/// What arrived since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Heard {
    pub packets: u64,
    /// Sequence numbers that were skipped and did not come later.
    pub missing: i64,
    pub late: u64,
    pub doubled: u64,
    /// No RTP, an unknown payload type, or not signed with the right key.
    pub strange: u64,
    /// Changes of the synchronization source.
    pub sources: u64,
    pub longest_gap_ms: u64,
}

#[derive(Default)]
struct Incoming {
    source: Option<u32>,
    highest: u16,
    /// Bit n: the packet n before the highest came.
    window: u64,
    last: Option<Instant>,
    event: Option<u32>,
    pair: Option<Key>,
    pairs: u32,
    from: Option<SocketAddr>,
}

struct Pressing {
    key: Key,
    how: How,
    frames: u16,
    start: u32,
    tone: Tone,
}

struct State {
    remote: Option<Remote>,
    ciphers: Option<(Cipher, Cipher)>,
    playing: Vec<f32>,
    tone: Tone,
    muted: bool,
    waiting: VecDeque<(Key, How)>,
    pressing: Option<Pressing>,
    sequence: u16,
    timestamp: u32,
    source: u32,
    marker: bool,
    sent: u64,
    ear: Ear,
    incoming: Incoming,
    heard: Heard,
    keys: Vec<KeyHeard>,
}

/// A socket for RTP with its clock; dropped, it is closed.
pub struct Sound {
    port: u16,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
    tasks: [AbortHandle; 2],
}

impl Drop for Sound {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// It was not heard in time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("waited for {wanted} and heard {heard:?} Hz")]
pub struct NotHeard {
    pub wanted: String,
    pub heard: Vec<f32>,
}

impl Sound {
    /// A socket on a free port.
    ///
    /// # Errors
    /// There is none.
    pub async fn open(ip: IpAddr, network: Arc<Network>) -> io::Result<Arc<Sound>> {
        let socket = Arc::new(UdpSocket::bind((ip, 0)).await?);
        let port = socket.local_addr()?.port();
        let random = chance().to_be_bytes();
        let [a, b, c, d, e, f, _, _] = random;
        let state = Arc::new(Mutex::new(State {
            remote: None,
            ciphers: None,
            playing: Vec::new(),
            tone: Tone::default(),
            muted: false,
            waiting: VecDeque::new(),
            pressing: None,
            sequence: u16::from_be_bytes([e, f]),
            timestamp: u32::from_be_bytes([c, d, e, f]),
            source: u32::from_be_bytes([a, b, c, d]),
            marker: true,
            sent: 0,
            ear: Ear::default(),
            incoming: Incoming::default(),
            heard: Heard::default(),
            keys: Vec::new(),
        }));
        let (changed, _) = watch::channel(());
        let weak = Arc::downgrade(&state);
        let speaking = tokio::spawn(speak(socket.clone(), weak.clone(), network.clone(), changed.clone()));
        let listening = tokio::spawn(listen(socket, weak, network));
        let tasks = [speaking.abort_handle(), listening.abort_handle()];
        Ok(Arc::new(Sound { port, state, changed, tasks }))
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the sound goes from now on; `None`: nowhere. Sequence and timestamps go on.
    pub fn connect(&self, remote: Option<Remote>) {
        let mut state = lock(&self.state);
        let keys = |remote: &Option<Remote>| remote.as_ref().and_then(|remote| remote.keys);
        if keys(&state.remote) != keys(&remote) {
            state.ciphers = keys(&remote).map(|(ours, theirs)| (Cipher::new(&ours), Cipher::new(&theirs)));
        }
        state.remote = remote;
    }

    /// Plays these frequencies, in Hz, until others are named; none is silence.
    pub fn play(&self, frequencies: &[f32]) {
        let mut state = lock(&self.state);
        if state.playing != frequencies {
            state.playing = frequencies.to_vec();
            state.tone = Tone::new(frequencies);
        }
    }

    /// Sends no packets at all any more, or again.
    pub fn mute(&self, muted: bool) {
        lock(&self.state).muted = muted;
    }

    /// Presses a key for 100 ms, after those that were pressed before.
    pub fn press(&self, key: Key, how: How) {
        lock(&self.state).waiting.push_back((key, how));
    }

    /// A key that came another way than through the socket.
    pub fn note_key(&self, heard: KeyHeard) {
        lock(&self.state).keys.push(heard);
    }

    /// The frequencies heard now, in Hz, loudest first.
    #[must_use]
    pub fn hears(&self) -> Vec<f32> {
        lock(&self.state).ear.frequencies()
    }

    #[must_use]
    pub fn keys_heard(&self) -> Vec<KeyHeard> {
        lock(&self.state).keys.clone()
    }

    #[must_use]
    pub fn heard(&self) -> Heard {
        lock(&self.state).heard
    }

    /// Packets sent since the start.
    #[must_use]
    pub fn sent(&self) -> u64 {
        lock(&self.state).sent
    }

    /// Where its packets go.
    #[must_use]
    pub fn sends_to(&self) -> Option<SocketAddr> {
        lock(&self.state).remote.as_ref().map(|remote| remote.address)
    }

    /// Who the last packet came from.
    #[must_use]
    pub fn heard_from(&self) -> Option<SocketAddr> {
        lock(&self.state).incoming.from
    }

    /// Waits until this frequency is among those heard.
    ///
    /// # Errors
    /// It was not heard in time.
    pub async fn wait_hears(&self, frequency: f32, patience: Duration) -> Result<(), NotHeard> {
        let wanted = format!("{frequency} Hz");
        self.wait(wanted, patience, |state| near(&state.ear.frequencies(), frequency)).await
    }

    /// Waits until these frequencies are heard and no others.
    ///
    /// # Errors
    /// It was not so in time.
    pub async fn wait_hears_only(&self, frequencies: &[f32], patience: Duration) -> Result<(), NotHeard> {
        let wanted = format!("{frequencies:?} Hz and no other");
        let only = |state: &State| {
            let heard = state.ear.frequencies();
            heard.len() == frequencies.len() && frequencies.iter().all(|f| near(&heard, *f))
        };
        self.wait(wanted, patience, only).await
    }

    /// Waits until there is something to hear and this frequency is not in it.
    ///
    /// # Errors
    /// It was not so in time.
    pub async fn wait_hears_without(&self, frequency: f32, patience: Duration) -> Result<(), NotHeard> {
        let wanted = format!("sound without {frequency} Hz");
        let other = |state: &State| {
            let heard = state.ear.frequencies();
            !heard.is_empty() && !near(&heard, frequency)
        };
        self.wait(wanted, patience, other).await
    }

    /// Waits until nothing is heard.
    ///
    /// # Errors
    /// Something was heard until the end.
    pub async fn wait_silence(&self, patience: Duration) -> Result<(), NotHeard> {
        self.wait("silence".into(), patience, |state| state.ear.silent()).await
    }

    /// Waits until these keys were heard, one after the other, among all since the start.
    ///
    /// # Errors
    /// They were not heard in time.
    pub async fn wait_keys(&self, keys: &str, patience: Duration) -> Result<(), NotHeard> {
        let heard = |state: &State| state.keys.iter().map(|heard| char::from(heard.key)).collect::<String>();
        let done = self.wait(format!("keys {keys}"), patience, |state| heard(state).contains(keys)).await;
        let names = heard(&lock(&self.state));
        done.map_err(|why| NotHeard { wanted: format!("{}, heard keys {names:?}", why.wanted), ..why })
    }

    async fn wait(
        &self,
        wanted: String,
        patience: Duration,
        done: impl Fn(&State) -> bool,
    ) -> Result<(), NotHeard> {
        let mut changed = self.changed.subscribe();
        let end = Instant::now() + patience;
        loop {
            if done(&lock(&self.state)) {
                return Ok(());
            }
            // The clock of 20 ms also tells of packets that did not come.
            if !matches!(tokio::time::timeout_at(end, changed.changed()).await, Ok(Ok(()))) {
                return Err(NotHeard { wanted, heard: self.hears() });
            }
        }
    }
}

fn near(heard: &[f32], frequency: f32) -> bool {
    heard.iter().any(|h| (h - frequency).abs() < NEAR)
}

async fn speak(
    socket: Arc<UdpSocket>,
    state: Weak<Mutex<State>>,
    network: Arc<Network>,
    changed: watch::Sender<()>,
) {
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        clock.tick().await;
        let Some(state) = state.upgrade() else { return };
        let packets = lock(&state).tick(Instant::now());
        for (bytes, to) in packets {
            for after in network.fate().into_iter().flatten() {
                if after.is_zero() {
                    // A datagram that the kernel does not take is one that the network lost.
                    drop(socket.try_send_to(&bytes, to));
                    continue;
                }
                let (socket, bytes) = (socket.clone(), bytes.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    socket.send_to(&bytes, to).await
                });
            }
        }
        changed.send_replace(());
    }
}

async fn listen(socket: Arc<UdpSocket>, state: Weak<Mutex<State>>, network: Arc<Network>) {
    let mut buffer = vec![0; 2_048];
    loop {
        // An ICMP error of an earlier packet is told here; the socket goes on.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = buffer.get(..length).unwrap_or_default();
        for after in network.fate().into_iter().flatten() {
            let Some(strong) = state.upgrade() else { return };
            if after.is_zero() {
                lock(&strong).take(bytes, from, Instant::now());
                continue;
            }
            let (state, bytes) = (state.clone(), bytes.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                if let Some(state) = state.upgrade() {
                    lock(&state).take(&bytes, from, Instant::now());
                }
            });
        }
    }
}

impl State {
    /// What leaves in this 20 ms.
    fn tick(&mut self, now: Instant) -> Vec<(Vec<u8>, SocketAddr)> {
        if self.incoming.last.is_none_or(|last| now - last > GONE) {
            self.ear.forget();
        }
        let samples = u32::try_from(FRAME).unwrap_or_default();
        self.timestamp = self.timestamp.wrapping_add(samples);
        let Some(remote) = self.remote.clone().filter(|remote| remote.sends && !self.muted) else {
            self.marker = true;
            return Vec::new();
        };
        let packets = match self.next_key(&remote) {
            Some(packets) => packets,
            None => {
                let frame = self.tone.frame();
                vec![self.sound(&remote, &frame)]
            }
        };
        let written = packets.iter().filter_map(|packet| {
            self.sent += 1;
            let bytes = packet.write();
            match &mut self.ciphers {
                Some((ours, _)) => ours.protect(&bytes),
                None => Some(bytes),
            }
        });
        written.map(|bytes| (bytes, remote.address)).collect()
    }

    fn sound(&mut self, remote: &Remote, frame: &[i16; FRAME]) -> Packet {
        let payload = frame.iter().map(|sample| remote.law.encode(*sample)).collect();
        let marker = std::mem::take(&mut self.marker);
        self.packet(marker, remote.kind, self.timestamp, payload)
    }

    fn packet(&mut self, marker: bool, kind: u8, timestamp: u32, payload: Vec<u8>) -> Packet {
        self.sequence = self.sequence.wrapping_add(1);
        Packet { marker, kind, sequence: self.sequence, timestamp, source: self.source, payload }
    }

    /// The packets of a key that is down; `None`: none is.
    fn next_key(&mut self, remote: &Remote) -> Option<Vec<Packet>> {
        if self.pressing.is_none() {
            let (key, how) = self.waiting.pop_front()?;
            let tone = Tone::new(&key.tones());
            self.pressing = Some(Pressing { key, how, frames: 0, start: self.timestamp, tone });
        }
        let mut pressing = self.pressing.take()?;
        pressing.frames += 1;
        let frames = pressing.frames;
        let packets = if frames > KEY_FRAMES {
            let frame = self.tone.frame();
            vec![self.sound(remote, &frame)]
        } else {
            match (pressing.how, remote.event_kind) {
                (How::Event, Some(kind)) => {
                    let duration = frames * u16::try_from(FRAME).unwrap_or_default();
                    let end = frames == KEY_FRAMES;
                    let payload = Event { code: pressing.key.code(), end, duration }.write();
                    // The end is said three times, RFC 4733 §2.5.1.4.
                    let times = if end { 3 } else { 1 };
                    (0..times)
                        .map(|_| self.packet(frames == 1, kind, pressing.start, payload.clone()))
                        .collect()
                }
                _ => {
                    let frame = pressing.tone.frame();
                    vec![self.sound(remote, &frame)]
                }
            }
        };
        if frames < KEY_FRAMES + PAUSE_FRAMES {
            self.pressing = Some(pressing);
        }
        Some(packets)
    }

    fn take(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        let opened = match &mut self.ciphers {
            Some((_, theirs)) => theirs.open(bytes),
            None => Some(bytes.to_vec()),
        };
        let Some(packet) = opened.and_then(|bytes| Packet::read(&bytes)) else {
            self.heard.strange += 1;
            return;
        };
        let gap = self.incoming.last.map_or(0, |last| (now - last).as_millis());
        self.heard.longest_gap_ms = self.heard.longest_gap_ms.max(u64::try_from(gap).unwrap_or(u64::MAX));
        self.incoming.last = Some(now);
        self.incoming.from = Some(from);
        self.heard.packets += 1;
        if !self.count(&packet) {
            return;
        }
        let remote = self.remote.as_ref().map(|remote| (remote.event_kind, remote.law, remote.kind));
        match remote {
            Some((Some(kind), _, _)) if kind == packet.kind => self.take_event(&packet),
            Some((_, law, kind)) if kind == packet.kind => self.take_sound(law, &packet),
            // Who answers an offer may send before the answer is here, in any law that was offered.
            _ => match [Law::Mu, Law::A].into_iter().find(|law| law.kind() == packet.kind) {
                Some(law) => self.take_sound(law, &packet),
                None => self.heard.strange += 1,
            },
        }
    }

    fn take_sound(&mut self, law: Law, packet: &Packet) {
        self.ear.hear(packet.payload.iter().map(|byte| law.decode(*byte)));
        let pair = self.ear.key();
        self.incoming.pairs = if pair == self.incoming.pair { self.incoming.pairs + 1 } else { 1 };
        self.incoming.pair = pair;
        if let (Some(key), 2) = (pair, self.incoming.pairs) {
            self.keys.push(KeyHeard { key, how: How::InBand, duration_ms: 40 });
        }
    }

    fn take_event(&mut self, packet: &Packet) {
        let Some((event, key)) = Event::read(&packet.payload).and_then(|e| Some((e, Key::of_code(e.code)?)))
        else {
            self.heard.strange += 1;
            return;
        };
        let heard = KeyHeard { key, how: How::Event, duration_ms: u32::from(event.duration) / 8 };
        let again = self.incoming.event.replace(packet.timestamp) == Some(packet.timestamp);
        match self.keys.last_mut().filter(|_| again) {
            Some(last) => last.duration_ms = last.duration_ms.max(heard.duration_ms),
            None => self.keys.push(heard),
        }
    }

    /// Keeps the books; whether the packet is new and in order.
    fn count(&mut self, packet: &Packet) -> bool {
        let incoming = &mut self.incoming;
        if incoming.source.replace(packet.source) != Some(packet.source) {
            self.heard.sources += 1;
            incoming.highest = packet.sequence;
            incoming.window = 1;
            return true;
        }
        let ahead = packet.sequence.wrapping_sub(incoming.highest);
        if ahead == 0 {
            self.heard.doubled += 1;
            return false;
        }
        if ahead < 0x8000 {
            incoming.window = incoming.window.checked_shl(ahead.into()).unwrap_or(0) | 1;
            incoming.highest = packet.sequence;
            self.heard.missing += i64::from(ahead) - 1;
            return true;
        }
        let bit = 1_u64.checked_shl(u32::from(ahead.wrapping_neg())).unwrap_or(0);
        if incoming.window & bit != 0 {
            self.heard.doubled += 1;
        } else {
            incoming.window |= bit;
            self.heard.late += 1;
            self.heard.missing -= 1;
        }
        false
    }
}
