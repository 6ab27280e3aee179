//! The target of the whole agent: calls in random states, with good messages, mutants of them, commands, time and
//! broken ways in any order. The input is a script; what it leads to is played against the agent's own answers, so
//! that tags, branches and nonces fit.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use backroom::sip::agent::{Agent, AgentSettings, DeviceSetup, IdentityStyle, Output, Route, TrunkSetup};
use backroom::sip::digest::{Client, Login, ServerSettings};
use backroom::sip::message::{Message, Method, Name, Request, Response, Status};
use backroom::sip::sdp::{Capabilities, TargetPolicy};
use backroom::sip::transaction::{Hop, Settings, Transport};
use backroom::sip::wire::{Limits, Received, read_datagram};
use backroom::types::{
    Dtmf, EndCause, Identity, LegCommand, LegEvent, LegId, LocalMedia, MediaRefused, Mono, Now, Via, Wall,
};

use crate::engine::{Dice, Target, hash_of, mutate};
use crate::samples;

/// The one.
pub(crate) const TARGETS: [Target; 1] = [Target { name: "agent", seeds: scripts, words: &[], run: play }];

const HERE: &str = "10.0.0.1:5060";
/// A provider, a phone, somebody else.
const PEERS: [&str; 3] = ["10.0.0.4:5060", "10.0.0.2:5060", "203.0.113.66:5060"];
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.4\r\ns=-\r\nc=IN IP4 10.0.0.4\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
                   a=rtpmap:101 telephone-event/8000\r\n";
const RINGING: &[u16] = &[180, 183, 200, 202, 302, 401, 407, 422, 486, 487, 491, 500, 503, 603];

/// Steps of two bytes each: ways that calls usually go, to be changed.
fn scripts() -> Vec<Vec<u8>> {
    let steps = |text: &[(u8, u8)]| text.iter().flat_map(|(a, b)| [*a, *b]).collect::<Vec<u8>>();
    vec![
        // A provider calls, is answered, talks, ends.
        steps(&[(0, 0), (8, 0), (9, 0), (10, 0), (1, 0), (2, 0), (11, 3), (4, 0), (3, 0)]),
        // A phone registers, calls, is challenged, cancels.
        steps(&[(5, 1), (5, 1), (0, 1), (0, 1), (8, 0), (6, 1)]),
        // We dial the provider: 183, 200, re-INVITE, UPDATE, REFER, BYE.
        steps(&[(12, 0), (7, 1), (7, 0), (7, 2), (4, 1), (4, 2), (4, 4), (13, 0), (14, 0), (10, 9)]),
        // We dial a phone that is registered, and it declines.
        steps(&[(5, 1), (5, 1), (12, 1), (7, 0), (7, 13), (15, 200), (15, 255)]),
        // Mutants, broken ways, other addresses.
        steps(&[(0, 0), (16, 7), (0, 2), (16, 1), (17, 0), (12, 0), (16, 2), (19, 0), (7, 2), (16, 3)]),
        // A phone registers, from two addresses, and texts: taken, refused, unanswered.
        steps(&[
            (5, 1),
            (5, 1),
            (5, 2),
            (5, 2),
            (18, 1),
            (18, 1),
            (7, 2),
            (18, 0),
            (18, 4),
            (7, 13),
            (15, 9),
        ]),
    ]
}

struct Play {
    agent: Agent,
    now: u64,
    dice: Dice,
    count: u32,
    /// What the agent sent, newest last, to whom.
    heard: VecDeque<(SocketAddr, Message)>,
    /// Requests of the far side, newest last.
    asked: Vec<(usize, Request)>,
    challenge: [Option<Client>; 3],
    legs: Vec<LegId>,
    over: BTreeSet<LegId>,
    open: BTreeSet<LegId>,
    seen: Vec<u16>,
}

fn settings() -> AgentSettings {
    AgentSettings {
        timers: Settings::default(),
        digest: ServerSettings::default(),
        capabilities: Capabilities::default(),
        phone_media: TargetPolicy { networks: "10.0.0.0/24".parse().into_iter().collect() },
        register_least: Duration::from_secs(60),
        register_most: Duration::from_secs(3600),
        contacts: 3,
        session_expires: Duration::from_secs(1800),
        legs: 8,
        product: "Backroom".to_owned(),
        emergency_numbers: vec!["911".to_owned()],
        lan: "10.0.0.0/24".parse().into_iter().collect(),
    }
}

fn login() -> Login {
    Login { username: "101".to_owned(), password: "secret".to_owned() }
}

fn trunk(register: bool) -> TrunkSetup {
    TrunkSetup {
        line: "t".into(),
        domain: "10.0.0.4".to_owned(),
        login: Some(login()),
        register,
        user: None,
        expires: Duration::from_secs(600),
        networks: Vec::new(),
        media: TargetPolicy { networks: "10.0.0.0/24".parse().into_iter().collect() },
        number: None,
        identity: IdentityStyle::default(),
        options_every: Duration::from_secs(60),
        secure: false,
        nat: register,
        capabilities: None,
    }
}

fn peer(n: usize) -> Route {
    let far =
        PEERS.get(n % 3).and_then(|p| p.parse().ok()).unwrap_or(SocketAddr::from(([10, 0, 0, 9], 5060)));
    let local = HERE.parse().unwrap_or(far);
    Route { hop: Hop { addr: far, transport: Transport::Udp }, local }
}

fn play(script: &[u8]) -> u64 {
    let mut play = Play {
        agent: Agent::new(settings(), [5; 32]),
        now: 1000,
        dice: Dice(hash_of(&script)),
        count: 0,
        heard: VecDeque::new(),
        asked: Vec::new(),
        challenge: [None, None, None],
        legs: Vec::new(),
        over: BTreeSet::new(),
        open: BTreeSet::new(),
        seen: Vec::new(),
    };
    let now = play.at();
    let phone = DeviceSetup {
        id: "desk".into(),
        login: login(),
        shop: "main".into(),
        // What the far side's requests ask for: its texts come back to its other contacts.
        extension: Some("100".to_owned()),
        name: Some("Desk".to_owned()),
        secure: false,
    };
    play.agent.handle_devices(vec![phone], now);
    play.agent.handle_trunks(vec![trunk(script.len() % 4 == 1)], now);
    play.agent.handle_routes(&"t".into(), vec![peer(0)], now);
    play.drain();
    let (steps, _) = script.as_chunks::<2>();
    for [what, how] in steps.iter().take(60) {
        play.step(*what, *how);
        play.drain();
    }
    play.end();
    hash_of(&play.seen)
}

impl Play {
    fn at(&self) -> Now {
        Now { mono: Mono(self.now), wall: Wall(1_800_000_000_000), wall_sure: true }
    }

    fn step(&mut self, what: u8, how: u8) {
        let n = usize::from(how);
        let leg = self.legs.get(n.checked_rem(self.legs.len()).unwrap_or(0)).cloned();
        let command = match what % 20 {
            0 => return self.ask(Method::Invite, n),
            1 => return self.acknowledge(n),
            2 => {
                return self
                    .inside(&[Method::Info, Method::Update, Method::Invite, Method::Options][n % 4], n);
            }
            3 => return self.inside(&Method::Bye, n),
            4 => {
                let methods = [
                    Method::Invite,
                    Method::Update,
                    Method::Refer,
                    Method::Notify,
                    Method::Prack,
                    Method::Message,
                ];
                return self.inside(&methods[n % methods.len()], n);
            }
            5 => return self.ask(Method::Register, n),
            6 => return self.cancel(n),
            7 => return self.answer(n),
            8 => LegCommand::Ring,
            9 => LegCommand::EarlyMedia,
            10 => match n % 10 {
                0 => LegCommand::Answer,
                1 => LegCommand::Hold,
                2 => LegCommand::Resume,
                _ => LegCommand::Hangup { cause: [EndCause::Hangup, EndCause::Busy][n % 2] },
            },
            11 => return self.wait(u64::from(how) * 20),
            12 => return self.dial(n),
            13 => LegCommand::Hold,
            14 => Dtmf::try_from('5').map_or(LegCommand::Resume, LegCommand::Dtmf),
            15 => return self.wait(u64::from(how) * 4000),
            16 => return self.mutant(n),
            17 => return self.agent.handle_transport_error(peer(n), self.at()),
            18 => return self.ask(Method::Message, n),
            _ => return self.upset(n),
        };
        if let Some(leg) = leg {
            self.agent.handle_command(&leg, command, self.at());
        }
    }

    /// Addresses, phones and trunks change.
    fn upset(&mut self, n: usize) {
        let now = self.at();
        match n % 4 {
            0 => {
                let moved = Route { local: SocketAddr::from(([10, 0, 0, 77], 5060)), ..peer(0) };
                self.agent.handle_routes(&"t".into(), vec![moved, peer(0)], now);
            }
            1 => self.agent.handle_address([10, 0, 0, 1].into(), [10, 0, 0, 77].into(), now),
            2 => self.agent.handle_trunks(vec![trunk(n > 100)], now),
            _ => self.agent.handle_devices(Vec::new(), now),
        }
    }

    fn dial(&mut self, n: usize) {
        self.count += 1;
        let leg = LegId(format!("LG{}", self.count));
        let via = if n.is_multiple_of(2) { Via::Line("t".into()) } else { Via::Device("desk".into()) };
        let identity = Identity { address: None, display: Some("Shop".to_owned()), private: n > 127 };
        let command = LegCommand::Dial {
            via,
            target: "+12065550111".into(),
            identity,
            ring_for: None,
            emergency: n % 8 == 7,
        };
        self.legs.push(leg.clone());
        self.agent.handle_command(&leg, command, self.at());
    }

    fn request(&mut self, method: Method, n: usize) -> Option<Request> {
        self.count += 1;
        let from = peer(n);
        let text = format!(
            "{method} sip:100@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKf{};rport\r\n\
             From: <sip:101@10.0.0.1>;tag=f{}\r\nTo: <sip:101@10.0.0.1>\r\nCall-ID: c{}\r\nCSeq: 1 {method}\r\n\
             Max-Forwards: 70\r\nContact: <sip:101@{}>\r\nSupported: timer, 100rel, outbound\r\n\r\n",
            from.hop.addr, self.count, self.count, self.count, from.hop.addr
        );
        let mut request = match read_datagram(text.as_bytes(), &Limits::default()) {
            Received::Message(message) => match *message {
                Message::Request(request) => request,
                Message::Response(_) => return None,
            },
            Received::Refused(_) | Received::Dropped(_) | Received::Ping | Received::Pong => return None,
        };
        if let Some(client) = self.challenge.get_mut(n % 3).and_then(Option::as_mut) {
            let credentials = client.authorize(&login(), &request.method, &request.uri, "cn");
            request.headers.push(Name::Authorization, &credentials.to_string());
        }
        if method == Method::Invite && n < 200 {
            request = request.with_body("application/sdp", SDP);
        }
        if method == Method::Message && n < 200 {
            request = request.with_body(["text/plain", "message/cpim", "text/html"][n % 3], "Hello");
        }
        if n % 16 == 5 {
            request.headers.push(Name::Require, "100rel");
        }
        Some(request)
    }

    fn ask(&mut self, method: Method, n: usize) {
        if let Some(request) = self.request(method, n) {
            self.asked.push((n % 3, request.clone()));
            self.arrive(&request.into(), n);
        }
    }

    /// A request in the dialog of one of the far side's INVITEs, or of one of ours.
    fn inside(&mut self, method: &Method, n: usize) {
        let Some(mut request) = self.dialog(n) else { return };
        self.count += 1;
        request.method = method.clone();
        request.head.cseq.method = method.clone();
        request.head.cseq.number = 1 + self.count;
        request.head.via.set_branch(&format!("z9hG4bKi{}", self.count));
        match method {
            Method::Refer => request.headers.push(Name::ReferTo, "<sip:102@10.0.0.1>"),
            Method::Notify => request.headers.push(Name::Event, "refer"),
            Method::Prack => request.headers.push(Name::RAck, &format!("{} 1 INVITE", n % 5)),
            Method::Info => {
                request = request.with_body("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
            }
            _ => {}
        }
        if matches!(method, Method::Invite | Method::Update) && !n.is_multiple_of(3) {
            request = request.with_body(
                "application/sdp",
                SDP.replace("a=rtpmap", ["a=sendonly\r\na=rtpmap", "a=rtpmap"][n % 2]),
            );
        }
        self.arrive(&request.into(), n);
    }

    /// A request as the far side of a dialog would send it.
    fn dialog(&self, n: usize) -> Option<Request> {
        let theirs = self.heard.iter().rev().filter_map(|(_, message)| match message {
            Message::Response(response) => {
                let (_, asked) = self.asked.iter().find(|(_, a)| a.head.call_id == response.head.call_id)?;
                response.head.to.tag()?;
                let mut request = asked.clone();
                request.head.to = response.head.to.clone();
                Some(request)
            }
            Message::Request(invite) => {
                let mut request = invite.clone();
                let ours = request.head.from.clone();
                request.head.from = std::mem::replace(&mut request.head.to, ours);
                request.head.from.set_tag("far");
                request.body.clear();
                Some(request)
            }
        });
        let all: Vec<Request> = theirs.take(6).collect();
        all.get(n.checked_rem(all.len())?).cloned()
    }

    fn acknowledge(&mut self, n: usize) {
        let Some(mut ack) = self.dialog(n) else { return };
        ack.method = Method::Ack;
        ack.head.cseq.method = Method::Ack;
        self.count += 1;
        ack.head.via.set_branch(&format!("z9hG4bKa{}", self.count));
        self.arrive(&ack.into(), n);
    }

    fn cancel(&mut self, n: usize) {
        let Some((from, request)) = self.asked.get(n.checked_rem(self.asked.len()).unwrap_or(0)) else {
            return;
        };
        let (from, cancel) = (*from, request.cancel());
        self.arrive(&cancel.into(), from);
    }

    /// A response to one of the agent's requests.
    fn answer(&mut self, n: usize) {
        let requests: Vec<Request> = self
            .heard
            .iter()
            .rev()
            .filter_map(|(_, m)| match m {
                Message::Request(request) if request.method != Method::Ack => Some(request.clone()),
                Message::Request(_) | Message::Response(_) => None,
            })
            .take(4)
            .collect();
        let Some(request) = requests.get((n / 32).checked_rem(requests.len()).unwrap_or(0)) else { return };
        let code = RINGING[n % RINGING.len()];
        let Some(status) = Status::new(code) else { return };
        let tag = ["far", "far", "fork"][n % 3];
        let mut response = Response::to(request, status, tag).with(Name::Contact, "<sip:far@10.0.0.4:5060>");
        match code {
            180 | 183 if n > 100 => {
                response.headers.push(Name::Require, "100rel");
                response.headers.push(Name::RSeq, "7");
            }
            401 | 407 => {
                let name = if code == 401 { Name::WwwAuthenticate } else { Name::ProxyAuthenticate };
                response.headers.push(name, "Digest realm=\"p\", nonce=\"n\", qop=\"auth\"");
            }
            422 => response.headers.push(Name::MinSe, "3600"),
            503 => response.headers.push(Name::RetryAfter, "5"),
            _ => {}
        }
        if (code == 183 || code == 200) && n < 220 {
            response = response.with_body("application/sdp", SDP);
        }
        self.arrive(&response.into(), 0);
    }

    /// A message of either side, changed here and there.
    fn mutant(&mut self, n: usize) {
        let mut corpus: Vec<Vec<u8>> = self.asked.iter().rev().take(3).map(|(_, r)| r.to_bytes()).collect();
        corpus.extend(self.dialog(n).map(|r| r.to_bytes()));
        corpus.extend(self.heard.iter().rev().take(3).map(|(_, m)| m.to_bytes()));
        corpus.extend(samples::messages().into_iter().take(1));
        let bytes = mutate(&corpus, samples::SIP_WORDS, &mut self.dice);
        self.arrive_bytes(&bytes, n);
    }

    fn arrive(&mut self, message: &Message, n: usize) {
        self.arrive_bytes(&message.to_bytes(), n);
    }

    fn arrive_bytes(&mut self, bytes: &[u8], n: usize) {
        let now = self.at();
        match read_datagram(bytes, &Limits::default()) {
            Received::Message(message) => self.agent.handle_message(*message, peer(n), now),
            Received::Refused(refused) => self.agent.handle_refused(*refused, peer(n), now),
            Received::Dropped(_) | Received::Ping | Received::Pong => {}
        }
    }

    /// Lets timers run up to so many milliseconds from now.
    fn wait(&mut self, millis: u64) {
        let until = self.now + millis;
        let mut still = 0;
        while let Some((at, what)) = self.agent.poll_timeout().filter(|(at, _)| at.0 <= until) {
            still = if at.0 <= self.now { still + 1 } else { 0 };
            assert!(still < 1000, "time stands still for {what}");
            self.now = self.now.max(at.0);
            self.agent.handle_timeout(self.at());
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.agent.poll_output() {
            count += 1;
            assert!(count < 5000, "it never has enough to say");
            self.hear(output);
        }
    }

    fn hear(&mut self, output: Output) {
        let mark = match output {
            Output::Transmit(transmit) => return self.sent(transmit.to.addr, &transmit.bytes),
            Output::Leg(leg, event) => {
                assert!(!self.over.contains(&leg), "{leg} said {event:?} after its end");
                if !self.legs.contains(&leg) {
                    self.legs.push(leg.clone());
                }
                if matches!(event, LegEvent::Ended { .. } | LegEvent::Refused { .. }) {
                    self.over.insert(leg);
                }
                match event {
                    LegEvent::Offered(_) => 1,
                    LegEvent::Progress(_) => 2,
                    LegEvent::Answered => 3,
                    LegEvent::Dtmf { .. } => 4,
                    LegEvent::HoldRequested => 5,
                    LegEvent::Resumed => 6,
                    LegEvent::TransferAsked(_) => 7,
                    LegEvent::MediaSilent => 8,
                    LegEvent::Media(_) => 9,
                    LegEvent::Ended { .. } => 10,
                    LegEvent::Refused { .. } => 11,
                }
            }
            Output::OpenMedia { leg, local, .. } => {
                let opened = if self.dice.below(20) == 0 {
                    Err(MediaRefused::NoPort)
                } else {
                    self.open.insert(leg.clone());
                    Ok(LocalMedia { rtp: SocketAddr::new(local, 20_000), crypto: Vec::new() })
                };
                self.agent.handle_media_opened(&leg, opened, self.at());
                12
            }
            Output::SetMedia(leg, stream) => {
                assert!(self.open.contains(&leg), "media of {leg} is not open");
                assert!(!stream.audio.is_empty(), "nothing to hear");
                13
            }
            Output::Press(..) => 14,
            Output::CloseMedia(leg) => {
                assert!(self.open.remove(&leg), "media of {leg} is not open");
                15
            }
            Output::Line { .. } => 16,
            Output::Resolve(_) => 17,
            Output::Bindings(..) => 18,
            Output::Offence { .. } => 19,
            Output::Alarm(_) => 20,
        };
        self.note(mark);
    }

    fn note(&mut self, mark: u16) {
        if self.seen.len() < 40 && self.seen.last() != Some(&mark) {
            self.seen.push(mark);
        }
    }

    fn sent(&mut self, to: SocketAddr, bytes: &[u8]) {
        match read_datagram(bytes, &Limits::default()) {
            Received::Message(message) => {
                self.note(match &*message {
                    Message::Request(request) => {
                        30 + u16::try_from(request.method.as_str().len()).unwrap_or(0)
                    }
                    Message::Response(response) => response.status.code(),
                });
                if let Message::Response(response) = &*message
                    && response.status == Status::UNAUTHORIZED
                {
                    let client = Client::new(&response.headers.auth(&Name::WwwAuthenticate));
                    let who = PEERS.iter().position(|p| p.parse() == Ok(to)).unwrap_or(1);
                    if let Some(place) = self.challenge.get_mut(who) {
                        *place = client;
                    }
                }
                self.heard.push_back((to, *message));
                if self.heard.len() > 20 {
                    self.heard.pop_front();
                }
            }
            Received::Ping => {}
            Received::Refused(refused) => {
                // A refusal repeats what was asked, also where it cannot be read.
                assert!(
                    refused.fault.to_string().is_empty(),
                    "we sent what nobody can read: {}",
                    refused.fault
                );
            }
            Received::Dropped(fault) => {
                let answer = bytes.starts_with(b"SIP/2.0 4") || bytes.starts_with(b"SIP/2.0 5");
                assert!(answer, "we sent what nobody can read: {fault}");
            }
            Received::Pong => {}
        }
    }

    /// Call control ends everything, the far side falls silent: nothing may be left.
    fn end(&mut self) {
        for leg in self.legs.clone() {
            let cause = EndCause::Hangup;
            self.agent.handle_command(&leg, LegCommand::Hangup { cause }, self.at());
            self.drain();
        }
        let now = self.at();
        self.agent.handle_trunks(Vec::new(), now);
        self.drain();
        self.wait(400_000);
        let left: Vec<_> = self.legs.iter().filter(|leg| !self.over.contains(*leg)).collect();
        assert!(left.is_empty(), "legs without an end: {left:?}");
        assert!(self.open.is_empty(), "media that stays open: {:?}", self.open);
        let holdings = self.agent.holdings();
        assert!(holdings.legs == 0 && holdings.dialogs == 0, "left over: {holdings:?}");
        assert!(self.agent.is_idle(), "not idle: {holdings:?}");
    }
}
