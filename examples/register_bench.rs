//! What a REGISTER costs a box, CPU and all: two requests (401, then 200) through the wire's door, transactions and
//! registrar, to the bytes of the answers. Run by hand with `--release`; the figures are the best of several rounds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use backroom::sip::agent::{Agent, AgentSettings, DeviceSetup, Output, Route};
use backroom::sip::digest::{Algorithm, Client, Login, ServerSettings};
use backroom::sip::message::{Message, Method, Name};
use backroom::sip::sdp::{Capabilities, TargetPolicy};
use backroom::sip::transaction::{Hop, Settings, Transport};
use backroom::sip::uri::Uri;
use backroom::sip::wire::{Limits, Received, read_datagram};
use backroom::types::{DeviceId, Now};

const ROUNDS: u32 = 7;
const PHONES: u32 = 5_000;

fn settings(algorithms: Vec<Algorithm>) -> AgentSettings {
    AgentSettings {
        timers: Settings::default(),
        digest: ServerSettings { algorithms, ..ServerSettings::default() },
        capabilities: Capabilities::default(),
        phone_media: TargetPolicy::default(),
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

fn login(phone: u32) -> Login {
    Login { username: format!("{}", 1000 + phone % 500), password: "correct horse battery".to_owned() }
}

fn register(user: &str, phone: u32, cseq: u32, credentials: &str) -> Vec<u8> {
    format!(
        "REGISTER sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.9:5060;branch=z9hG4bK{phone}x{cseq};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@192.0.2.1>;tag=f{phone}\r\nTo: <sip:{user}@192.0.2.1>\r\n\
         Call-ID: {phone}@10.1.0.9\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}@10.1.0.9:5060>;expires=3600\r\n\
         User-Agent: Phone 1.0\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REFER\r\n{credentials}\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// One datagram in; the first answer.
fn hand_in(agent: &mut Agent, bytes: &[u8], from: Route, now: Now) -> Option<Vec<u8>> {
    if let Received::Message(message) = read_datagram(bytes, &Limits::default()) {
        agent.handle_message(*message, from, now);
    }
    let mut answer = None;
    while let Some(output) = agent.poll_output() {
        if let Output::Transmit(transmit) = output {
            answer.get_or_insert(transmit.bytes);
        }
    }
    answer
}

/// Microseconds of the box's CPU for each registration, and how many were accepted.
fn round(algorithms: &[Algorithm]) -> (f64, u32) {
    let mut agent = Agent::new(settings(algorithms.to_vec()), [3; 32]);
    let devices = (0..500).map(|n| DeviceSetup {
        id: DeviceId(format!("desk-{n}")),
        login: login(n),
        shop: "main".into(),
        extension: None,
        name: None,
        secure: false,
    });
    agent.handle_devices(devices.collect(), Now::at(0, 0));
    let Ok(local) = "192.0.2.1:5060".parse::<SocketAddr>() else { return (0.0, 0) };
    let Ok(uri) = "sip:192.0.2.1".parse::<Uri>() else { return (0.0, 0) };
    let mut spent = Duration::ZERO;
    let mut accepted = 0;
    for phone in 0..PHONES {
        // 800 a second, so that transactions linger and end as they would.
        let now = Now::at(u64::from(phone) * 1000 / 800, 1_800_000_000_000);
        let [_, high, middle, low] = phone.to_be_bytes();
        let far = SocketAddr::from(([10, high, middle, low], 5060));
        let from = Route { hop: Hop { addr: far, transport: Transport::Udp }, local };
        let login = login(phone);
        let first = register(&login.username, phone, 1, "");
        let begun = Instant::now();
        let challenge = hand_in(&mut agent, &first, from, now);
        spent += begun.elapsed();
        let Some(Received::Message(message)) = challenge.map(|c| read_datagram(&c, &Limits::default()))
        else {
            continue;
        };
        let Message::Response(challenge) = *message else { continue };
        let asked = challenge.headers.auth(&Name::WwwAuthenticate);
        let Some(mut client) = Client::new(&asked) else { continue };
        let credentials = client.authorize(&login, &Method::Register, &uri, "0123456789abcdef");
        let second = register(&login.username, phone, 2, &format!("Authorization: {credentials}\r\n"));
        let begun = Instant::now();
        let answer = hand_in(&mut agent, &second, from, now);
        if agent.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
            agent.handle_timeout(now);
        }
        spent += begun.elapsed();
        accepted += u32::from(answer.is_some_and(|a| a.starts_with(b"SIP/2.0 200 ")));
    }
    (spent.as_secs_f64() * 1e6 / f64::from(PHONES), accepted)
}

fn main() {
    println!("best of {ROUNDS} rounds of {PHONES} registrations, challenge and all, one thread");
    for (name, algorithms) in [
        ("MD5", vec![Algorithm::Md5]),
        ("SHA-256 offered before MD5", vec![Algorithm::Sha256, Algorithm::Md5]),
    ] {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| round(&algorithms)).collect();
        let best = rounds.iter().map(|r| r.0).fold(f64::MAX, f64::min);
        let all = rounds.iter().all(|r| r.1 == PHONES);
        println!(
            "{name:<30} {best:>8.1} us a registration, {}",
            if all { "all accepted" } else { "SOME REFUSED" }
        );
    }
}
