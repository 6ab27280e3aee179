//! Both ends of the calls that are measured: a caller on one address, a callee on another, a peer between them.
//! Shares nothing with the simulated phones: what these do per message must not show in what is measured.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Failed;
use super::delays::Delays;
use super::relay::leg_address;
use super::sip::{Message, description};

/// Far beyond what a call takes on loopback.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request without any answer is sent again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// Who signals where.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Ends {
    /// The box or a foreign B2BUA: calls go through it
    #[arg(long)]
    pub(super) peer: SocketAddr,
    /// Where the caller signals from; the peer must trust it
    #[arg(long)]
    pub(super) caller: SocketAddr,
    /// Where the peer sends the calls
    #[arg(long)]
    pub(super) callee: SocketAddr,
    /// What is called
    #[arg(long, default_value = "+12065550100")]
    pub(super) number: String,
    /// Offer no telephone-events: a peer that wants to know of keys must listen to the audio
    #[arg(long)]
    pub(super) inband: bool,
}

/// How far one of our calls has come.
#[derive(Debug)]
enum State {
    Calling,
    Up { far: Far, audio: SocketAddr },
    Ending { far: Far },
    Over,
    Failed(String),
}

/// Where requests of a dialog go.
#[derive(Clone, Debug)]
struct Far {
    to: String,
    contact: String,
    routes: String,
}

/// One call that we make.
#[derive(Debug)]
struct Call {
    state: State,
    began: Instant,
    sent: Instant,
    heard: bool,
    invite: String,
}

/// A call that the peer makes to our callee: what we answered, and what it wants.
#[derive(Debug)]
struct Taken {
    answer: String,
    audio: Option<SocketAddr>,
}

/// The two ends.
#[derive(Debug)]
pub(super) struct Signal {
    ends: Ends,
    caller: UdpSocket,
    callee: UdpSocket,
    /// Where sound of the first caller is; callers have every second leg.
    sound: u16,
    made: Vec<Call>,
    taken: BTreeMap<String, Taken>,
    order: Vec<String>,
    byes: usize,
    set_up: Delays,
    run: u32,
}

impl Signal {
    pub(super) fn new(ends: &Ends, sound: u16) -> Result<Self, Failed> {
        let socket = |at: SocketAddr| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind(at)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let caller = socket(ends.caller).map_err(Failed::io(format!("caller on {}", ends.caller)))?;
        let callee = socket(ends.callee).map_err(Failed::io(format!("callee on {}", ends.callee)))?;
        Ok(Self {
            ends: ends.clone(),
            caller,
            callee,
            sound,
            made: Vec::new(),
            taken: BTreeMap::new(),
            order: Vec::new(),
            byes: 0,
            set_up: Delays::default(),
            run: std::process::id(),
        })
    }

    /// Where the sound of leg `n` is: even ones are callers, odd ones callees.
    pub(super) fn sound_of(&self, n: usize) -> Result<SocketAddr, Failed> {
        let host = if n.is_multiple_of(2) { self.ends.caller.ip() } else { self.ends.callee.ip() };
        let first = SocketAddr::new(host, self.sound);
        let leg = u16::try_from(n).ok().and_then(|n| leg_address(first, n));
        leg.ok_or_else(|| Failed::call("ports", "there are not so many above the first"))
    }

    /// Begins one more call.
    fn dial(&mut self) -> Result<(), Failed> {
        let n = self.made.len();
        let body = description(self.sound_of(n * 2)?, !self.ends.inband);
        let Ends { peer, caller, number, .. } = &self.ends;
        let (caller_ip, run) = (caller.ip(), self.run);
        let invite = format!(
            "INVITE sip:{number}@{peer} SIP/2.0\r\nVia: SIP/2.0/UDP {caller};rport;branch=z9hG4bK-{run}-{n}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+1206555{:04}@{caller_ip}>;tag=c{n}\r\nTo: <sip:{number}@{peer}>\r\n\
             Call-ID: {run}-{n}@{caller_ip}\r\nCSeq: 1 INVITE\r\nContact: <sip:{caller}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            1000 + n % 9000,
            body.len(),
        );
        self.send(true, &invite, self.ends.peer);
        let now = Instant::now();
        self.made.push(Call { state: State::Calling, began: now, sent: now, heard: false, invite });
        Ok(())
    }

    /// What loopback does not take now is sent again.
    fn send(&self, caller: bool, text: &str, to: SocketAddr) {
        let socket = if caller { &self.caller } else { &self.callee };
        socket.send_to(text.as_bytes(), to).ok();
    }

    /// A request within call `n`.
    fn request(&self, n: usize, method: &str, cseq: u32, far: &Far) {
        let Ends { peer, caller, .. } = &self.ends;
        let (caller_ip, run) = (caller.ip(), self.run);
        let Far { to, contact, routes } = far;
        let text = format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {caller};rport;branch=z9hG4bK-{run}-{n}-{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+1206555{:04}@{caller_ip}>;tag=c{n}\r\nTo: {to}\r\n\
             Call-ID: {run}-{n}@{caller_ip}\r\nCSeq: {cseq} {method}\r\n{routes}Content-Length: 0\r\n\r\n",
            1000 + n % 9000,
        );
        self.send(true, &text, *peer);
    }

    /// Waits for at most so long, then handles all that has come.
    fn step(&mut self, wait: Duration) -> Result<(), Failed> {
        let span = Timespec::try_from(wait).map_err(|_| Failed::call("clock", "too long a wait"))?;
        let mut ready = [PollFd::new(&self.caller, PollFlags::IN), PollFd::new(&self.callee, PollFlags::IN)];
        poll(&mut ready, Some(&span)).map_err(Failed::io("poll"))?;
        let mut buffer = [0_u8; 8192];
        for caller in [true, false] {
            loop {
                let socket = if caller { &self.caller } else { &self.callee };
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => {
                        let Some(message) = buffer.get(..length).and_then(Message::read) else { continue };
                        self.handle(caller, &message, from)?;
                    }
                    Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                    // An ICMP error of an earlier datagram: the peer is not there yet.
                    Err(why) if why.kind() == ErrorKind::ConnectionRefused => {}
                    Err(why) => return Err(Failed::io("a socket")(why)),
                }
            }
        }
        self.send_again();
        Ok(())
    }

    fn send_again(&mut self) {
        for n in 0..self.made.len() {
            let Some(call) = self.made.get(n).filter(|c| c.sent.elapsed() > AGAIN) else { continue };
            match &call.state {
                State::Calling if !call.heard => self.send(true, &call.invite, self.ends.peer),
                State::Ending { far } => self.request(n, "BYE", 2, far),
                State::Calling | State::Up { .. } | State::Over | State::Failed(_) => continue,
            }
            if let Some(call) = self.made.get_mut(n) {
                call.sent = Instant::now();
            }
        }
    }

    fn handle(&mut self, caller: bool, message: &Message<'_>, from: SocketAddr) -> Result<(), Failed> {
        match (message.status(), message.method()) {
            (Some(status), method) => {
                self.answered(message, status, method);
                Ok(())
            }
            (None, "INVITE") => self.invited(caller, message, from),
            (None, "ACK") => Ok(()),
            (None, method) => {
                self.send(caller, &message.answer("200 OK", "e", "", ""), from);
                self.byes += usize::from(method == "BYE");
                Ok(())
            }
        }
    }

    /// Which of our calls a message belongs to.
    fn number_of(&self, message: &Message<'_>) -> Option<usize> {
        let id = message.header("call-id")?.strip_prefix(&format!("{}-", self.run))?;
        id.split('@').next()?.parse().ok()
    }

    fn answered(&mut self, message: &Message<'_>, status: u16, method: &str) {
        let Some(n) = self.number_of(message) else { return };
        let far = Far {
            to: message.header("to").unwrap_or_default().to_owned(),
            contact: message.contact().map_or_else(|| format!("sip:{}", self.ends.peer), str::to_owned),
            routes: message.routes(),
        };
        let Some(call) = self.made.get_mut(n) else { return };
        call.heard = true;
        match (method, status) {
            ("INVITE", 200..=299) => {
                if matches!(call.state, State::Calling) {
                    let took = call.began.elapsed();
                    call.state = match message.audio() {
                        Some(audio) => State::Up { far: far.clone(), audio },
                        None => State::Failed("no audio in the answer".to_owned()),
                    };
                    self.set_up.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
                }
                self.request(n, "ACK", 1, &far);
            }
            ("INVITE", 300..) => {
                if matches!(call.state, State::Calling) {
                    call.state = State::Failed(format!("{status}"));
                }
                self.request_ack(n, &far.to);
            }
            ("BYE", 200..) => call.state = State::Over,
            _ => {}
        }
    }

    /// The ACK of a refusal belongs to its INVITE's transaction (RFC 3261 §17.1.1.3).
    fn request_ack(&self, n: usize, to: &str) {
        let Some(call) = self.made.get(n) else { return };
        let lines = call.invite.lines().take_while(|line| !line.starts_with("Contact"));
        let text: String = lines
            .map(|line| match line.split_once(':') {
                Some(("To", _)) => format!("To: {to}\r\n"),
                _ => format!("{}\r\n", line.replace("INVITE", "ACK")),
            })
            .collect();
        self.send(true, &format!("{text}Content-Length: 0\r\n\r\n"), self.ends.peer);
    }

    fn invited(&mut self, caller: bool, message: &Message<'_>, from: SocketAddr) -> Result<(), Failed> {
        let id = message.header("call-id").unwrap_or_default().to_owned();
        if let Some(taken) = self.taken.get(&id).filter(|_| message.header("to").is_some_and(untagged)) {
            self.send(caller, &taken.answer, from);
            return Ok(());
        }
        let known = self.order.iter().position(|o| *o == id);
        let leg = known.unwrap_or(self.order.len()) * 2 + 1;
        let contact = format!(
            "Contact: <sip:{}>\r\nContent-Type: application/sdp\r\n",
            if caller { self.ends.caller } else { self.ends.callee }
        );
        let tag = format!("e{leg}");
        if known.is_none() {
            self.send(caller, &message.answer("180 Ringing", &tag, &contact, ""), from);
            self.order.push(id.clone());
        }
        let answer =
            message.answer("200 OK", &tag, &contact, &description(self.sound_of(leg)?, !self.ends.inband));
        self.send(caller, &answer, from);
        self.taken.insert(id, Taken { answer, audio: message.audio() });
        Ok(())
    }

    /// Sets up so many calls, a few at a time; where each leg's sound goes.
    pub(super) fn set_up(&mut self, calls: usize) -> Result<Vec<SocketAddr>, Failed> {
        let began = Instant::now();
        while self.made.iter().filter(|c| matches!(c.state, State::Up { .. })).count() < calls {
            let open = self.made.iter().filter(|c| matches!(c.state, State::Calling)).count();
            if open < 4 && self.made.len() < calls {
                self.dial()?;
            }
            self.step(Duration::from_millis(2))?;
            self.refused()?;
            if began.elapsed() > PATIENCE + Duration::from_millis(20 * calls as u64) {
                return Err(Failed::call("set-up", format!("{} of {calls} calls were answered", self.up())));
            }
        }
        self.targets()
    }

    fn up(&self) -> usize {
        self.made.iter().filter(|c| matches!(c.state, State::Up { .. })).count()
    }

    fn refused(&self) -> Result<(), Failed> {
        let refused = self.made.iter().enumerate().find_map(|(n, call)| match &call.state {
            State::Failed(why) => Some((n, why)),
            State::Calling | State::Up { .. } | State::Ending { .. } | State::Over => None,
        });
        refused.map_or(Ok(()), |(n, why)| Err(Failed::call(format!("call {n}"), why)))
    }

    fn targets(&self) -> Result<Vec<SocketAddr>, Failed> {
        let mut all = Vec::with_capacity(self.made.len() * 2);
        for (n, call) in self.made.iter().enumerate() {
            let State::Up { audio, .. } = &call.state else {
                return Err(Failed::call(format!("call {n}"), "not up"));
            };
            let taken = self.order.get(n).and_then(|id| self.taken.get(id)?.audio);
            let wanted = taken.ok_or_else(|| Failed::call(format!("callee {n}"), "nothing offered"))?;
            all.extend([*audio, wanted]);
        }
        Ok(all)
    }

    /// Answers what the peer asks meanwhile (OPTIONS, refreshes), until told otherwise.
    pub(super) fn attend(&mut self, stop: &AtomicBool) -> Result<(), Failed> {
        while !stop.load(Ordering::Relaxed) {
            self.step(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Ends all calls and waits until the callee has heard of each.
    pub(super) fn hang_up(&mut self) -> Result<(), Failed> {
        for n in 0..self.made.len() {
            self.end(n);
            self.step(Duration::ZERO)?;
        }
        let (began, calls) = (Instant::now(), self.order.len());
        while self.made.iter().any(|c| matches!(c.state, State::Ending { .. })) || self.byes < calls {
            self.step(Duration::from_millis(2))?;
            if began.elapsed() > PATIENCE {
                let heard = self.byes;
                return Err(Failed::call("hanging up", format!("{heard} of {calls} callees heard of it")));
            }
        }
        Ok(())
    }

    fn end(&mut self, n: usize) {
        let Some(call) = self.made.get_mut(n) else { return };
        let State::Up { far, .. } = &call.state else { return };
        let far = far.clone();
        call.state = State::Ending { far: far.clone() };
        call.sent = Instant::now();
        self.request(n, "BYE", 2, &far);
    }

    /// Makes calls one after the other at this pace, each ended as soon as it is up, and gives the times from INVITE
    /// to 200.
    pub(super) fn pace(mut self, calls: usize, rate: f64) -> Result<Delays, Failed> {
        let began = Instant::now();
        for n in 0..calls {
            let due = began + Duration::from_secs_f64(n as f64 / rate);
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
                self.step(left)?;
                self.refused()?;
            }
            self.dial()?;
            let begun = Instant::now();
            while !matches!(self.made.get(n).map(|c| &c.state), Some(State::Up { .. })) {
                self.step(Duration::from_millis(2))?;
                self.refused()?;
                if begun.elapsed() > PATIENCE {
                    return Err(Failed::call(format!("call {n}"), "not answered"));
                }
            }
            self.end(n);
        }
        self.hang_up()?;
        Ok(self.set_up)
    }

    /// The times from INVITE to 200 so far.
    pub(super) fn set_up_times(&mut self) -> Delays {
        core::mem::take(&mut self.set_up)
    }
}

/// Outside of any dialog.
fn untagged(to: &str) -> bool {
    !to.contains(";tag=")
}
