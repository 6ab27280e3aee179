//! A provider as it may be: what it hears from us, and when.

use super::*;
use crate::sip::agent::api::IdentityStyle;
use crate::sip::digest::{Algorithm, Login, Server, ServerSettings, Verdict};
use crate::sip::sdp::TargetPolicy;
use crate::sip::transaction::Hop;
use crate::types::LineId;

fn setup() -> TrunkSetup {
    TrunkSetup {
        line: LineId::from("sip1"),
        domain: "provider.example".to_owned(),
        login: Some(Login { username: "acc".to_owned(), password: "pw".to_owned() }),
        register: true,
        user: None,
        expires: Duration::from_secs(3600),
        networks: Vec::new(),
        media: TargetPolicy::default(),
        number: None,
        identity: IdentityStyle::default(),
        options_every: Duration::ZERO,
        secure: false,
        nat: false,
        capabilities: None,
    }
}

fn route(far: &str, local: &str) -> Route {
    let hop = Hop { addr: far.parse().unwrap(), transport: Transport::Udp };
    Route { hop, local: local.parse().unwrap() }
}

fn usual() -> Route {
    route("203.0.113.1:5060", "192.0.2.1:5060")
}

impl Registration {
    fn is_up(&self) -> bool {
        self.line == Some(true)
    }
}

/// Our side and the clock.
struct World {
    ours: Registration,
    now: Now,
    alarms: Vec<String>,
    lines: Vec<(bool, String)>,
    pings: usize,
    resolves: usize,
}

type Sent = (Ticket, Request, Route);

impl World {
    fn new(setup: TrunkSetup) -> Self {
        let ours = Registration::new(setup, "Backroom", [9; 32]);
        Self { ours, now: Now::at(0, 0), alarms: Vec::new(), lines: Vec::new(), pings: 0, resolves: 0 }
    }

    /// What is sent now.
    fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(action) = self.ours.poll_action() {
            match action {
                Action::Send { ticket, request, route } => sent.push((ticket, *request, route)),
                Action::Ping(_) => self.pings += 1,
                Action::Line { up, why } => self.lines.push((up, why)),
                Action::Resolve => self.resolves += 1,
                Action::Alarm(text) => self.alarms.push(text),
            }
        }
        sent
    }

    fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// The clock stands at `seconds`; every timer until then has run.
    fn until(&mut self, seconds: u64) {
        while let Some((at, _)) = self.ours.poll_timeout().filter(|(at, _)| at.0 <= seconds * 1000) {
            self.now = Now::at(at.0.max(self.now.mono.0), 0);
            self.ours.handle_timeout(self.now);
        }
        self.now = Now::at(seconds * 1000, 0);
    }

    /// The clock stands where the next timer has run; in seconds.
    fn next(&mut self) -> u64 {
        let (at, _) = self.ours.poll_timeout().unwrap();
        self.now = Now::at(at.0, 0);
        self.ours.handle_timeout(self.now);
        at.0 / 1000
    }

    fn answer(&mut self, sent: &Sent, status: u16, headers: &[(Name, &str)]) {
        self.answer_seen(sent, status, headers, usual_source());
    }

    fn answer_seen(&mut self, sent: &Sent, status: u16, headers: &[(Name, &str)], source: SocketAddr) {
        let mut seen = sent.1.clone();
        seen.head.via.note_source(source);
        let mut response = Response::to(&seen, Status::new(status).unwrap(), "pt");
        for (name, value) in headers {
            response.headers.push(name.clone(), value);
        }
        self.ours.handle_outcome(sent.0, Ok(&response), self.now);
    }

    fn fail(&mut self, sent: &Sent) {
        self.ours.handle_outcome(sent.0, Err(Failure::Timeout), self.now);
    }

    /// 200 with the contacts that were sent and are not taken away.
    fn accept(&mut self, sent: &Sent, source: SocketAddr) {
        let kept: Vec<String> =
            all_contacts(&sent.1).into_iter().filter(|c| !c.ends_with("expires=0")).collect();
        let headers: Vec<_> = kept.iter().map(|c| (Name::Contact, c.as_str())).collect();
        self.answer_seen(sent, 200, &headers, source);
    }

    fn begin(&mut self) -> Sent {
        self.ours.handle_routes(vec![usual()], self.now);
        self.one()
    }
}

fn usual_source() -> SocketAddr {
    usual().local
}

fn all_contacts(request: &Request) -> Vec<String> {
    request.headers.all(&Name::Contact).map(str::to_owned).collect()
}

fn challenge(nonce: &str) -> String {
    format!("Digest realm=\"p\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5")
}

#[test]
fn it_registers_with_a_contact_of_its_own_and_refreshes_in_time() {
    let mut world = World::new(setup());
    let first = world.begin();
    assert_eq!(world.resolves, 1);
    assert_eq!((first.1.uri.to_string(), first.2), ("sip:provider.example".to_owned(), usual()));
    assert_eq!(first.1.head.to.to_string(), "<sip:acc@provider.example>");
    let contact = world.ours.contact().unwrap();
    assert_eq!(all_contacts(&first.1), [format!("<{contact}>;expires=3600")]);
    assert!(world.ours.has_token(&contact.user().unwrap()));
    world.accept(&first, usual_source());
    assert!(world.sent().is_empty() && world.ours.is_up());
    assert_eq!(world.lines, [(true, "registered with provider.example".to_owned())]);
    let refresh = world.next();
    assert!((2592..=2880).contains(&refresh), "{refresh}");
    let second = world.one();
    assert_eq!(second.1.head.call_id, first.1.head.call_id);
    assert_eq!(second.1.head.cseq.number, first.1.head.cseq.number + 1);
    assert!(world.ours.is_up(), "while it refreshes");
}

#[test]
fn what_the_registrar_grants_counts_and_leaves_time_for_a_second_try() {
    for (granted, least, most) in [(60, 27, 30), (120, 72, 80), (600, 432, 480), (10, 4, 5)] {
        let mut world = World::new(setup());
        let first = world.begin();
        let contact = format!("<{}>;expires={granted}", world.ours.contact().unwrap());
        world.answer(&first, 200, &[(Name::Contact, "<sip:other@h>;expires=9"), (Name::Contact, &contact)]);
        let at = world.next();
        assert!((least..=most).contains(&at), "{granted} s: {at}");
    }
}

#[test]
fn a_challenge_is_answered_and_its_nonce_used_again() {
    let mut server = Server::new(ServerSettings { realm: "p".to_owned(), ..Default::default() }, [1; 32]);
    let mut world = World::new(setup());
    let first = world.begin();
    let asked: Vec<String> = server.challenge(false, Mono(0)).iter().map(ToString::to_string).collect();
    let headers: Vec<_> = asked.iter().map(|c| (Name::WwwAuthenticate, c.as_str())).collect();
    world.answer(&first, 401, &headers);
    for _ in 0..3 {
        let sent = world.one();
        let given = sent.1.headers.auth(&Name::Authorization).remove(0);
        assert_eq!(Algorithm::parse(given.get("algorithm").as_deref()), Some(Algorithm::Sha256));
        let verdict = server.verify(&given, &Method::Register, &sent.1.uri, Some("pw"), Mono(0));
        assert_eq!(verdict, Verdict::Accepted);
        world.accept(&sent, usual_source());
        assert!(world.sent().is_empty());
        world.next();
    }
}

#[test]
fn a_proxy_is_answered_in_its_own_field() {
    let mut world = World::new(setup());
    let first = world.begin();
    world.answer(&first, 407, &[(Name::ProxyAuthenticate, &challenge("n"))]);
    assert!(world.one().1.headers.has(&Name::ProxyAuthorization));
}

#[test]
fn a_wrong_password_is_one_alarm_and_seldom_tried() {
    let mut world = World::new(setup());
    let mut sent = vec![world.begin()];
    let (mut requests, mut begun) = (0, Vec::new());
    while world.now.mono.0 < 86_400_000 {
        while let Some(one) = sent.pop() {
            requests += 1;
            if !one.1.headers.has(&Name::Authorization) {
                begun.push(world.now.mono.0 / 1000);
            }
            world.answer(&one, 401, &[(Name::WwwAuthenticate, &challenge("n"))]);
            sent.extend(world.sent());
        }
        world.next();
        sent.extend(world.sent());
    }
    assert_eq!(world.alarms.len(), 1, "{:?}", world.alarms);
    assert!(world.alarms[0].contains("user name and password"), "{:?}", world.alarms);
    assert!(!world.alarms[0].contains("acc") && !world.alarms[0].contains("pw"));
    assert!(begun[1] >= 240 && requests < 70, "{requests} requests, {begun:?}");
    assert_eq!(world.lines.len(), 1);
    let last = world.begin_again();
    world.answer(&last, 401, &[(Name::WwwAuthenticate, &challenge("n"))]);
    let with = world.one();
    world.accept(&with, usual_source());
    world.sent();
    assert!(world.ours.is_up());
}

impl World {
    /// An address that was not known before.
    fn begin_again(&mut self) -> Sent {
        self.ours.handle_routes(vec![route("203.0.113.77:5060", "192.0.2.1:5060")], self.now);
        match self.sent().pop() {
            Some(sent) => sent,
            None => {
                self.next();
                self.one()
            }
        }
    }
}

#[test]
fn a_stale_nonce_is_renewed_and_does_not_count_as_a_wrong_password() {
    let mut world = World::new(setup());
    let first = world.begin();
    world.answer(&first, 401, &[(Name::WwwAuthenticate, &challenge("a"))]);
    let second = world.one();
    let stale = format!("{}, stale=true", challenge("b"));
    world.answer(&second, 401, &[(Name::WwwAuthenticate, &stale)]);
    let third = world.one();
    assert_eq!(third.1.headers.auth(&Name::Authorization)[0].get("nonce").unwrap(), "b");
    world.answer(&third, 401, &[(Name::WwwAuthenticate, &stale)]);
    let fourth = world.one();
    world.answer(&fourth, 401, &[(Name::WwwAuthenticate, &stale)]);
    assert!(world.sent().is_empty(), "a server that finds everything stale is given up");
    assert_eq!(world.alarms.len(), 1);
}

#[test]
fn too_brief_is_raised_once() {
    let mut world = World::new(TrunkSetup { expires: Duration::from_secs(60), ..setup() });
    let first = world.begin();
    world.answer(&first, 423, &[(Name::MinExpires, "600")]);
    let second = world.one();
    assert_eq!(second.1.headers.get(&Name::Expires), Some("600"));
    world.answer(&second, 423, &[(Name::MinExpires, "1200")]);
    assert!(world.sent().is_empty());
    assert!(world.next() >= 30);
}

#[test]
fn failures_back_off_up_to_half_an_hour_with_jitter() {
    let mut world = World::new(setup());
    let mut sent = world.begin();
    let mut waits = Vec::new();
    for _ in 0..9 {
        world.fail(&sent);
        let before = world.now.mono.0 / 1000;
        assert!(world.sent().is_empty());
        waits.push(world.next() - before);
        sent = world.one();
    }
    for (wait, most) in waits.iter().zip([60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]) {
        assert!((most / 2..=most).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.iter().collect::<BTreeSet<_>>().len(), 9, "{waits:?}");
    assert_eq!(world.lines, [(false, "provider.example does not answer".to_owned())]);
    assert!(world.alarms.is_empty());
    assert_eq!(world.resolves, 10, "looked up at first and after each failure");
}

#[test]
fn retry_after_is_obeyed_and_bounded() {
    for (asked, least, most) in [("600 (busy)", 600, 600), ("99999999", 3600, 3600), ("1", 30, 60)] {
        let mut world = World::new(setup());
        let first = world.begin();
        world.answer(&first, 503, &[(Name::RetryAfter, asked)]);
        let at = world.next();
        assert!((least..=most).contains(&at), "{asked}: {at}");
    }
}

#[test]
fn the_next_address_is_tried_at_once_and_kept() {
    let mut world = World::new(setup());
    let far = route("203.0.113.2:5060", "192.0.2.1:5060");
    world.ours.handle_routes(vec![usual(), far], world.now);
    let first = world.one();
    world.answer(&first, 503, &[(Name::RetryAfter, "600")]);
    let second = world.one();
    assert_eq!(second.2, far);
    world.accept(&second, usual_source());
    assert!(world.sent().is_empty());
    assert_eq!(world.ours.route(), Some(far));
    world.ours.handle_routes(vec![usual(), far], world.now);
    assert!(world.sent().is_empty(), "it works: no reason to change back now");
}

#[test]
fn the_same_addresses_again_are_no_reason_to_hurry() {
    let mut world = World::new(setup());
    let first = world.begin();
    world.fail(&first);
    world.sent();
    for _ in 0..100 {
        world.ours.handle_routes(vec![usual()], world.now);
    }
    assert!(world.sent().is_empty());
}

#[test]
fn an_address_change_registers_anew_at_once_and_takes_the_old_contact_away() {
    let mut world = World::new(setup());
    let first = world.begin();
    world.accept(&first, usual_source());
    world.sent();
    world.until(100);
    let moved = route("203.0.113.1:5060", "192.0.2.200:5060");
    world.ours.handle_routes(vec![moved], world.now);
    let second = world.one();
    let contacts = all_contacts(&second.1);
    assert_eq!(contacts.len(), 2);
    assert!(contacts[0].contains("@192.0.2.200:5060>;expires=3600"), "{contacts:?}");
    assert!(contacts[1].contains("@192.0.2.1:5060>;expires=0"), "{contacts:?}");
    assert_eq!(second.1.head.via.host.to_string(), "192.0.2.200");
    world.accept(&second, moved.local);
    assert!(world.sent().is_empty());
    world.next();
    assert_eq!(all_contacts(&world.one().1).len(), 1, "the old one is gone");
    assert!(world.alarms.is_empty());
}

#[test]
fn addresses_that_flap_make_no_storm() {
    let mut world = World::new(setup());
    let mut sent = vec![world.begin()];
    for n in 0..1000 {
        let moved = route("203.0.113.1:5060", &format!("192.0.2.{}:5060", n % 200));
        world.now = Now::at(n * 10, 0);
        world.ours.handle_timeout(world.now);
        world.ours.handle_routes(vec![moved], world.now);
        sent.extend(world.sent());
    }
    assert!(sent.len() <= 11, "{}", sent.len());
}

#[test]
fn the_address_that_the_provider_sees_stands_in_the_contact() {
    let mut world = World::new(TrunkSetup { nat: true, ..setup() });
    let seen: SocketAddr = "198.51.100.4:61234".parse().unwrap();
    let first = world.begin();
    assert!(all_contacts(&first.1)[0].contains("@192.0.2.1:5060>"));
    world.answer_seen(&first, 401, &[(Name::WwwAuthenticate, &challenge("n"))], seen);
    let second = world.one();
    assert!(all_contacts(&second.1)[0].contains("@198.51.100.4:61234>"));
    world.accept(&second, seen);
    assert!(world.sent().is_empty());
    assert_eq!(world.ours.public(), Some(seen));
    world.until(120);
    world.sent();
    assert!((4..=5).contains(&world.pings), "{}", world.pings);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn a_nat_that_moves_is_followed_but_not_chased() {
    let mut world = World::new(TrunkSetup { nat: true, expires: Duration::from_secs(60), ..setup() });
    let mut sent = vec![world.begin()];
    let mut count = 0;
    let mut port = 40_000;
    while world.now.mono.0 < 600_000 {
        while let Some(one) = sent.pop() {
            (count, port) = (count + 1, port + 1);
            world.accept(&one, SocketAddr::from(([198, 51, 100, 4], port)));
            sent.extend(world.sent());
        }
        world.next();
        sent.extend(world.sent());
    }
    assert!(count <= 45, "{count} in ten minutes; 20 to 40 are due without a NAT that moves");
}

#[test]
fn a_nat_that_nobody_told_us_of_is_said_once() {
    let mut world = World::new(setup());
    let first = world.begin();
    for _ in 0..3 {
        world.accept(&first, "198.51.100.4:61234".parse().unwrap());
    }
    world.sent();
    assert_eq!(world.alarms.len(), 1);
    assert!(world.alarms[0].contains("nat = true"), "{:?}", world.alarms);
    assert_eq!(world.ours.public(), None);
}

#[test]
fn an_alg_is_suspected_once_and_in_words() {
    let mut world = World::new(setup());
    let first = world.begin();
    let token = world.ours.contact().unwrap().user().unwrap();
    let contact = format!("<sip:{token}@198.51.100.4:1024>;expires=3600");
    world.answer(&first, 200, &[(Name::Contact, &contact)]);
    world.sent();
    assert_eq!(world.alarms.len(), 1);
    assert!(world.alarms[0].contains("192.0.2.1:5060 and came back as 198.51.100.4:1024"));
    assert!(world.alarms[0].contains("SIP ALG") && !world.alarms[0].contains(&token));
    world.next();
    let mut second = world.one();
    second.1.head.call_id = "rewritten@198.51.100.4".to_owned();
    world.accept(&second, usual_source());
    world.sent();
    assert_eq!(world.alarms.len(), 1);
    let mut world = World::new(setup());
    let mut first = world.begin();
    first.1.head.from.uri = "sip:acc@198.51.100.4".parse().unwrap();
    world.accept(&first, usual_source());
    world.sent();
    assert!(world.alarms[0].contains("From"), "{:?}", world.alarms);
}

#[test]
fn contacts_from_before_a_crash_are_taken_away_once() {
    let mut world = World::new(setup());
    let first = world.begin();
    let ours = world.ours.contact().unwrap().to_string();
    let old = "<sip:br-0123456789abcdef@192.0.2.1:5060>;expires=900";
    let elsewhere = "<sip:br-0123456789abcdef@192.0.2.99:5060>;expires=900";
    let current = format!("<{ours}>;expires=3600");
    let all = [(Name::Contact, old), (Name::Contact, elsewhere), (Name::Contact, current.as_str())];
    world.answer(&first, 200, &all);
    let second = world.one();
    assert_eq!(all_contacts(&second.1)[1..], ["<sip:br-0123456789abcdef@192.0.2.1:5060>;expires=0"]);
    world.answer(&second, 200, &all);
    assert!(world.sent().is_empty(), "a registrar that keeps it is not asked again and again");
}

#[test]
fn stopping_unregisters() {
    let mut world = World::new(setup());
    let first = world.begin();
    world.answer(&first, 401, &[(Name::WwwAuthenticate, &challenge("n"))]);
    let second = world.one();
    world.accept(&second, usual_source());
    world.sent();
    world.ours.stop();
    let last = world.one();
    assert!(all_contacts(&last.1)[0].ends_with(";expires=0") && last.1.headers.has(&Name::Authorization));
    assert_eq!(world.lines.last().unwrap(), &(false, "stopped".to_owned()));
    assert_eq!(world.ours.poll_timeout(), None);
    world.ours.handle_routes(vec![usual()], world.now);
    world.accept(&last, usual_source());
    assert!(world.sent().is_empty());
}

fn static_trunk() -> TrunkSetup {
    TrunkSetup { register: false, options_every: Duration::from_secs(60), login: None, ..setup() }
}

#[test]
fn a_trunk_without_registration_is_up_when_it_answers_and_down_when_not() {
    let mut world = World::new(static_trunk());
    let asked = world.begin();
    assert_eq!(asked.1.method, Method::Options);
    assert!(world.lines.is_empty() || !world.ours.is_up());
    world.answer(&asked, 404, &[]);
    assert!(world.sent().is_empty() && world.ours.is_up(), "any answer is an answer");
    let at = world.next();
    assert!((54..=60).contains(&at), "{at}");
    for n in 1..=3 {
        let asked = world.one();
        if n == 2 {
            world.answer(&asked, 503, &[]);
        } else {
            world.until(world.now.mono.0 / 1000 + 9);
        }
        if n < 3 {
            assert!(world.sent().is_empty() && world.ours.is_up(), "{n}");
            world.next();
        }
    }
    world.sent();
    assert!(!world.ours.is_up());
    assert_eq!(world.lines.last().unwrap(), &(false, "provider.example does not answer".to_owned()));
    assert!(world.now.mono.0 <= 60_000 + 23_000, "{:?}", world.now);
    world.next();
    let asked = world.one();
    world.answer(&asked, 200, &[]);
    world.sent();
    assert!(world.ours.is_up());
}

#[test]
fn a_late_answer_still_counts_for_the_request_that_it_answers_only() {
    let mut world = World::new(static_trunk());
    let asked = world.begin();
    world.until(9);
    world.answer(&asked, 200, &[]);
    assert!(!world.ours.is_up());
    world.until(10);
    let again = world.sent().pop().unwrap();
    world.answer(&again, 200, &[]);
    assert!(world.sent().is_empty() && world.ours.is_up());
}

#[test]
fn without_questions_a_known_trunk_is_up_and_a_lost_one_is_looked_up_again() {
    let mut world = World::new(TrunkSetup { options_every: Duration::ZERO, ..static_trunk() });
    world.ours.handle_routes(Vec::new(), world.now);
    assert!(world.sent().is_empty());
    assert_eq!(world.lines, [(false, "the address of provider.example cannot be looked up".to_owned())]);
    world.next();
    world.sent();
    assert_eq!(world.resolves, 2);
    world.ours.handle_routes(vec![usual()], world.now);
    assert!(world.sent().is_empty() && world.ours.is_up());
    assert_eq!((world.ours.poll_timeout(), world.pings), (None, 0), "no NAT, nothing to keep open");
}

#[test]
fn a_registered_trunk_that_falls_silent_is_down_and_registered_anew() {
    let mut world = World::new(TrunkSetup { options_every: Duration::from_secs(60), ..setup() });
    let first = world.begin();
    world.accept(&first, usual_source());
    world.sent();
    world.until(100);
    let sent = world.sent();
    assert!(!world.ours.is_up());
    let methods: Vec<_> = sent.iter().map(|s| s.1.method.clone()).collect();
    assert_eq!(methods, [Method::Options, Method::Options, Method::Options, Method::Register]);
    world.accept(&sent[3], usual_source());
    world.sent();
    assert!(world.ours.is_up());
}

#[test]
fn a_broken_stream_registers_anew() {
    let mut world = World::new(setup());
    let mut tcp = usual();
    tcp.hop.transport = Transport::Tcp;
    world.ours.handle_routes(vec![tcp], world.now);
    let first = world.one();
    assert!(all_contacts(&first.1)[0].contains(";transport=tcp>"));
    world.accept(&first, "192.0.2.1:40123".parse().unwrap());
    assert!(world.sent().is_empty() && world.alarms.is_empty(), "a stream has a port of its own");
    world.until(130);
    world.sent();
    assert_eq!(world.pings, 1);
    world.ours.handle_transport_error(tcp, world.now);
    assert_eq!(world.one().1.method, Method::Register);
}

#[test]
fn a_registration_that_cannot_be_refreshed_ends_at_its_time() {
    let mut world = World::new(setup());
    let first = world.begin();
    world.accept(&first, usual_source());
    world.sent();
    for second in 0..3600 {
        world.until(second);
        if let Some(sent) = world.sent().pop() {
            world.fail(&sent);
        }
    }
    assert!(world.ours.is_up(), "the registrar holds it still");
    world.until(3601);
    world.sent();
    assert_eq!(world.lines.last().unwrap(), &(false, "provider.example does not answer".to_owned()));
}

#[test]
fn a_registrar_that_says_no_is_an_alarm_and_one_that_asks_what_we_do_not_know_too() {
    for (status, headers) in [
        (403, Vec::new()),
        (404, Vec::new()),
        (603, Vec::new()),
        (401, vec![(Name::WwwAuthenticate, "Negotiate abc")]),
    ] {
        let mut world = World::new(setup());
        let first = world.begin();
        world.answer(&first, status, &headers);
        assert!(world.sent().is_empty());
        assert_eq!((world.alarms.len(), world.lines.len()), (1, 1), "{status}");
        assert!(world.next() >= 240);
    }
    let mut world = World::new(TrunkSetup { login: None, user: Some("u".to_owned()), ..setup() });
    let first = world.begin();
    world.answer(&first, 401, &[(Name::WwwAuthenticate, &challenge("n"))]);
    world.sent();
    assert!(world.alarms[0].contains("none is set"));
}

#[test]
fn service_route_is_taken_from_each_answer() {
    let mut world = World::new(setup());
    let first = world.begin();
    let contact = format!("<{}>", world.ours.contact().unwrap());
    let route = "<sip:edge.provider.example;lr>, <sip:core.provider.example;lr>";
    world.answer(&first, 200, &[(Name::Contact, &contact), (Name::ServiceRoute, route)]);
    assert_eq!(world.ours.service_route().len(), 2);
    world.next();
    let second = world.sent().pop().unwrap();
    world.answer(&second, 200, &[(Name::Contact, &contact)]);
    assert!(world.ours.service_route().is_empty());
}
