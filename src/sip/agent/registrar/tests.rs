//! Phones at the registrar: what they may, what is kept, and what strangers learn.

use super::*;
use crate::sip::digest::{Client, Login};
use crate::sip::message::{CSeq, Head, Message, Method, Via};
use crate::sip::transaction::Transport;
use crate::sip::uri::{Host, SipUri};
use crate::sip::wire::{Limits as WireLimits, Received, read_datagram};

const WALL: i64 = 1_800_000_000_000;

fn at(seconds: u64) -> Now {
    Now::at(seconds * 1000, WALL + i64::try_from(seconds * 1000).unwrap())
}

fn login(user: &str) -> Login {
    Login { username: user.to_owned(), password: format!("secret of {user}") }
}

fn device(user: &str) -> DeviceSetup {
    DeviceSetup {
        id: DeviceId(format!("desk-{user}")),
        login: login(user),
        shop: "main".into(),
        extension: None,
        name: None,
        secure: false,
    }
}

fn registrar() -> Registrar {
    let limits = Limits { least: Duration::from_secs(60), most: Duration::from_secs(7200), contacts: 3 };
    let mut registrar = Registrar::new(ServerSettings::default(), limits, [3; 32]);
    assert!(registrar.set_devices(vec![device("101"), device("102")]).is_empty());
    registrar
}

fn route(text: &str, transport: Transport) -> Route {
    Route { hop: Hop { addr: text.parse().unwrap(), transport }, local: "192.0.2.1:5060".parse().unwrap() }
}

/// What goes over the wire and is read again: the tests see what a phone or the box would.
fn wire(request: &Request) -> Request {
    match read_datagram(&request.to_bytes(), &WireLimits::default()) {
        Received::Message(message) => match *message {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a request became a response"),
        },
        other => panic!("{other:?}"),
    }
}

struct Phone {
    login: Login,
    call_id: String,
    cseq: u32,
    from: Route,
    client: Option<Client>,
    extra: Vec<(Name, String)>,
}

impl Phone {
    fn new(user: &str, call_id: &str, from: &str) -> Self {
        Self {
            login: login(user),
            call_id: call_id.to_owned(),
            cseq: 0,
            from: route(from, Transport::Udp),
            client: None,
            extra: Vec::new(),
        }
    }

    fn with(mut self, name: Name, value: &str) -> Self {
        self.extra.push((name, value.to_owned()));
        self
    }

    fn request(&mut self, method: Method, contacts: &[&str]) -> Request {
        self.cseq += 1;
        let host = Host::from(self.from.hop.addr.ip());
        let address = NameAddr::new(
            SipUri::new(Some(&self.login.username), Host::Name("shop.example".into()), None).into(),
        );
        let head = Head {
            via: Via::new("UDP", host, Some(self.from.hop.addr.port()), &format!("z9hG4bK{}", self.cseq)),
            via_below: Vec::new(),
            from: address.clone().with("tag", Some("ft")),
            to: address,
            call_id: self.call_id.clone(),
            cseq: CSeq::new(self.cseq, method.clone()),
        };
        let mut request = Request::new(method, "sip:shop.example".parse().unwrap(), head);
        for contact in contacts {
            request.headers.push(Name::Contact, contact);
        }
        for (name, value) in &self.extra {
            request.headers.push(name.clone(), value);
        }
        if let Some(client) = &mut self.client {
            let credentials = client.authorize(&self.login, &request.method, &request.uri, "cn");
            request.headers.push(Name::Authorization, &credentials.to_string());
        }
        wire(&request)
    }

    /// Registers, with a challenge if there is none yet.
    fn register(&mut self, registrar: &mut Registrar, contacts: &[&str], now: Now) -> Registered {
        if self.client.is_none() {
            let request = self.request(Method::Register, contacts);
            let challenged = registrar.handle_register(&request, self.from, "tt", now);
            assert_eq!(challenged.response.status, Status::UNAUTHORIZED);
            self.client = Client::new(&challenged.response.headers.auth(&Name::WwwAuthenticate));
        }
        let request = self.request(Method::Register, contacts);
        registrar.handle_register(&request, self.from, "tt", now)
    }
}

fn contacts(response: &Response) -> Vec<String> {
    response.headers.all(&Name::Contact).map(str::to_owned).collect()
}

fn id(user: &str) -> DeviceId {
    DeviceId(format!("desk-{user}"))
}

#[test]
fn a_phone_registers_and_is_reached_where_it_came_from() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:1025");
    let done = phone.register(&mut registrar, &["<sip:101@10.0.0.5:5060>;expires=300;q=0.7"], at(0));
    assert_eq!(done.response.status, Status::OK);
    assert_eq!(contacts(&done.response), ["<sip:101@10.0.0.5:5060>;expires=300;q=0.700"]);
    assert_eq!(done.response.headers.get(&Name::Date).unwrap(), "Fri, 15 Jan 2027 08:00:00 GMT");
    let (whose, kept) = done.bindings.unwrap();
    assert_eq!((whose, kept.len()), (id("101"), 1));
    let held = registrar.contacts(&id("101"), at(100)).remove(0);
    assert_eq!((held.route, held.q), (phone.from, 700));
    assert_eq!(held.expires, at(300).wall);
    assert!(registrar.contacts(&id("102"), at(100)).is_empty());
    let asked = phone.register(&mut registrar, &[], at(100));
    assert_eq!(contacts(&asked.response), ["<sip:101@10.0.0.5:5060>;expires=200;q=0.700"]);
    assert!(asked.bindings.is_none());
}

#[test]
fn a_binding_ends_at_its_time_and_that_is_told() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:1025");
    let wanted = ["<sip:a@10.0.0.5>;expires=300", "<sip:b@10.0.0.5>;expires=60"];
    phone.register(&mut registrar, &wanted, at(0));
    assert_eq!(registrar.poll_timeout().unwrap().0, at(60).mono);
    let changed = registrar.handle_timeout(at(60));
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].1.len(), 1);
    assert_eq!(registrar.handle_timeout(at(300)), [(id("101"), Vec::new())]);
    assert_eq!(registrar.poll_timeout(), None);
    assert!(registrar.contacts(&id("101"), at(300)).is_empty());
}

#[test]
fn a_contact_goes_with_expires_0_and_all_with_a_star() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:1025");
    phone.register(&mut registrar, &["<sip:a@10.0.0.5>, <sip:b@10.0.0.5>"], at(0));
    let done = phone.register(&mut registrar, &["<sip:a@10.0.0.5>;expires=0"], at(1));
    assert_eq!(contacts(&done.response), ["<sip:b@10.0.0.5>;expires=3599"]);
    assert_eq!(done.bindings.unwrap().1.len(), 1);
    let refused = phone.register(&mut registrar, &["*"], at(2));
    assert_eq!(refused.response.status, Status::BAD_REQUEST);
    phone = phone.with(Name::Expires, "0");
    let done = phone.register(&mut registrar, &["*"], at(3));
    assert_eq!((done.response.status, contacts(&done.response).len()), (Status::OK, 0));
    assert_eq!(done.bindings.unwrap(), (id("101"), Vec::new()));
    assert!(phone.register(&mut registrar, &["*"], at(4)).bindings.is_none());
}

#[test]
fn too_brief_is_423_and_changes_nothing_and_too_long_is_cut() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:1025");
    let both = ["<sip:a@10.0.0.5>;expires=600", "<sip:b@10.0.0.5>;expires=59"];
    let refused = phone.register(&mut registrar, &both, at(0));
    assert_eq!(refused.response.status, Status::INTERVAL_TOO_BRIEF);
    assert_eq!(refused.response.headers.min_expires().unwrap(), Some(60));
    assert!(registrar.contacts(&id("101"), at(0)).is_empty());
    let done = phone.register(&mut registrar, &["<sip:a@10.0.0.5>;expires=99999999999"], at(0));
    assert_eq!(contacts(&done.response), ["<sip:a@10.0.0.5>;expires=7200"]);
    let done = phone.register(&mut registrar, &["<sip:a@10.0.0.5>;expires=soon"], at(0));
    assert_eq!(contacts(&done.response), ["<sip:a@10.0.0.5>;expires=3600"]);
}

#[test]
fn registers_of_a_call_id_are_taken_in_order() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:1025");
    phone.register(&mut registrar, &["<sip:a@10.0.0.5>"], at(0));
    phone.cseq -= 1;
    let late = phone.register(&mut registrar, &["<sip:a@10.0.0.5>;expires=0"], at(1));
    assert_eq!(late.response.status, Status::SERVER_ERROR);
    phone.cseq -= 1;
    phone = phone.with(Name::Expires, "0");
    assert_eq!(phone.register(&mut registrar, &["*"], at(1)).response.status, Status::SERVER_ERROR);
    assert_eq!(registrar.contacts(&id("101"), at(1)).len(), 1);
}

#[test]
fn a_phone_that_was_started_anew_is_not_rung_twice() {
    let mut registrar = registrar();
    let from = "198.51.100.7:5060";
    Phone::new("101", "a", from).register(&mut registrar, &["<sip:x1@198.51.100.7>"], at(0));
    let mut again = Phone::new("101", "b", from);
    let done = again.register(&mut registrar, &["<sip:x2@198.51.100.7>"], at(5));
    assert_eq!(contacts(&done.response), ["<sip:x2@198.51.100.7>;expires=3600"]);
    let mut other = Phone::new("101", "c", "198.51.100.8:5060");
    assert_eq!(contacts(&other.register(&mut registrar, &["<sip:y@198.51.100.8>"], at(6)).response).len(), 2);
}

#[test]
fn a_flow_replaces_the_same_flow_of_the_same_instance() {
    let mut registrar = registrar();
    let instance = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"";
    let register = |registrar: &mut Registrar, call: &str, from: &str, flow: &str| {
        let mut phone = Phone::new("101", call, from).with(Name::Supported, "outbound, path");
        let host = from.split(':').next().unwrap();
        phone.register(registrar, &[&format!("<sip:a@{host}>{instance}{flow}")], at(0)).response
    };
    register(&mut registrar, "a", "198.51.100.7:5060", ";reg-id=1");
    let two = register(&mut registrar, "b", "198.51.100.8:5060", ";reg-id=2");
    assert_eq!(contacts(&two).len(), 2);
    assert_eq!(two.headers.get(&Name::Require), Some("outbound"));
    let moved = register(&mut registrar, "c", "198.51.100.9:5060", ";reg-id=1");
    let all = contacts(&moved);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().any(|c| c.contains("198.51.100.9") && c.ends_with(";reg-id=1")), "{all:?}");
    assert!(!all.iter().any(|c| c.contains("198.51.100.7")), "{all:?}");
}

#[test]
fn a_proxy_that_knows_no_flows_is_told_so() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:5060").with(Name::Supported, "outbound");
    let contact = "<sip:a@h>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";
    phone.register(&mut registrar, &[contact], at(0));
    let mut request = phone.request(Method::Register, &[contact]);
    request.head.via_below = vec!["SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx".parse().unwrap()];
    let refused = registrar.handle_register(&request, phone.from, "t", at(1));
    assert_eq!(refused.response.status, Status::FIRST_HOP_LACKS_OUTBOUND);
}

#[test]
fn a_path_is_kept_and_repeated_as_it_came() {
    let mut registrar = registrar();
    let path = "<sip:p1.example;lr;ob>, <sip:p2.example;lr>";
    let mut phone = Phone::new("101", "a", "198.51.100.7:5060").with(Name::Path, path);
    let done = phone.register(&mut registrar, &["<sip:a@10.0.0.5>"], at(0));
    assert_eq!(done.response.headers.get(&Name::Path), Some(path));
    assert_eq!(registrar.contacts(&id("101"), at(0))[0].path, [path]);
}

#[test]
fn one_contact_too_many_drops_the_one_that_ends_first() {
    let mut registrar = registrar();
    for n in 1..=4 {
        let from = format!("198.51.100.{n}:5060");
        let mut phone = Phone::new("101", &format!("c{n}"), &from);
        let contact = format!("<sip:a@198.51.100.{n}>;expires={}", 1000 - n * 100);
        assert_eq!(phone.register(&mut registrar, &[&contact], at(0)).response.status, Status::OK);
    }
    let held = registrar.contacts(&id("101"), at(0));
    let ips: Vec<_> = held.iter().map(|b| b.route.hop.addr.ip().to_string()).collect();
    assert_eq!(ips, ["198.51.100.1", "198.51.100.2", "198.51.100.4"]);
    let mut greedy = Phone::new("101", "g", "198.51.100.9:5060");
    let many = ["<sip:a@1.1.1.1>, <sip:b@1.1.1.1>, <sip:c@1.1.1.1>, <sip:d@1.1.1.1>"];
    assert_eq!(greedy.register(&mut registrar, &many, at(0)).response.status, Status::FORBIDDEN);
}

#[test]
fn nobody_registers_for_another() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:5060");
    phone.register(&mut registrar, &[], at(0));
    for other in ["102", "999"] {
        let mut request = phone.request(Method::Register, &["<sip:x@10.0.0.5>"]);
        let to = format!("sip:{other}@shop.example");
        request.head.to = NameAddr::new(to.parse().unwrap());
        let refused = registrar.handle_register(&request, phone.from, "t", at(0));
        assert_eq!(refused.response.status, Status::FORBIDDEN);
        assert_eq!(refused.offence, Some(Offence::Foreign));
    }
}

#[test]
fn refreshes_are_kept_seldom_and_changes_at_once() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:5060");
    let contact = ["<sip:a@10.0.0.5>;expires=600"];
    phone.register(&mut registrar, &contact, at(0));
    let rows = |range: core::ops::Range<u64>, registrar: &mut Registrar, phone: &mut Phone| {
        range.filter(|s| phone.register(registrar, &contact, at(*s)).bindings.is_some()).count()
    };
    assert_eq!(rows(1..301, &mut registrar, &mut phone), 0);
    assert_eq!(rows(301..901, &mut registrar, &mut phone), 2);
    phone.from = route("198.51.100.7:1033", Transport::Udp);
    assert_eq!(rows(901..903, &mut registrar, &mut phone), 1);
}

#[test]
fn what_was_kept_comes_back_after_a_restart() {
    let mut before = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:5060");
    let kept = phone.register(&mut before, &["<sip:a@10.0.0.5>;expires=600"], at(1000)).bindings.unwrap().1;
    let later = |seconds: i64| Now::at(5000, at(1000).wall.0 + seconds * 1000);
    let mut after = registrar();
    after.restore(&id("101"), kept.clone(), later(100));
    assert_eq!(after.contacts(&id("101"), later(100)), kept);
    assert_eq!(after.poll_timeout().unwrap().0, Mono(505_000));
    let mut late = registrar();
    late.restore(&id("101"), kept.clone(), later(600));
    assert!(late.contacts(&id("101"), later(600)).is_empty());
    let unsure = Now { wall_sure: false, wall: Wall(0), mono: Mono(5000) };
    late.restore(&id("101"), kept.clone(), unsure);
    assert_eq!(late.poll_timeout().unwrap().0, Mono(5000 + 7_200_000), "no longer than is granted");
    late.restore(&id("999"), kept, unsure);
}

#[test]
fn devices_that_go_or_get_another_password_lose_their_bindings() {
    let mut registrar = registrar();
    for user in ["101", "102"] {
        let mut phone = Phone::new(user, user, "198.51.100.7:5060");
        phone.register(&mut registrar, &["<sip:a@10.0.0.5>"], at(0));
    }
    let mut changed = device("102");
    changed.name = Some("Till".to_owned());
    assert_eq!(registrar.set_devices(vec![changed.clone()]), [(id("101"), Vec::new())]);
    assert_eq!(registrar.contacts(&id("102"), at(0)).len(), 1);
    changed.login.password = "new".to_owned();
    assert_eq!(registrar.set_devices(vec![changed]), [(id("102"), Vec::new())]);
    assert!(registrar.contacts(&id("102"), at(0)).is_empty());
    assert_eq!(registrar.poll_timeout(), None);
}

#[test]
fn a_broken_stream_takes_its_bindings_along() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:40001");
    phone.from = route("198.51.100.7:40001", Transport::Tcp);
    phone.register(&mut registrar, &["<sip:a@10.0.0.5;transport=tcp>"], at(0));
    let mut listening = Phone::new("102", "b", "198.51.100.8:5060");
    listening.from = route("198.51.100.8:5060", Transport::Tcp);
    listening.register(&mut registrar, &["<sip:b@198.51.100.8;transport=tcp>"], at(0));
    assert!(
        registrar.handle_transport_error(route("198.51.100.7:40001", Transport::Udp).hop, at(1)).is_empty()
    );
    assert_eq!(registrar.handle_transport_error(phone.from.hop, at(1)), [(id("101"), Vec::new())]);
    assert!(registrar.handle_transport_error(listening.from.hop, at(1)).is_empty());
}

#[test]
fn a_phone_shows_who_it_is_in_other_requests() {
    let mut registrar = registrar();
    let mut phone = Phone::new("101", "a", "198.51.100.7:5060");
    let request = phone.request(Method::Invite, &["<sip:a@10.0.0.5>"]);
    let Auth::Challenge(challenge, None) = registrar.authenticate(&request, phone.from, "t", at(0)) else {
        panic!("no challenge")
    };
    assert_eq!(challenge.headers.all(&Name::WwwAuthenticate).count(), 2, "SHA-256 and MD5");
    phone.client = Client::new(&challenge.headers.auth(&Name::WwwAuthenticate));
    let request = phone.request(Method::Invite, &["<sip:a@10.0.0.5>"]);
    assert!(
        matches!(registrar.authenticate(&request, phone.from, "t", at(0)), Auth::Device(d) if d == id("101"))
    );
    let Auth::Challenge(stale, None) = registrar.authenticate(&request, phone.from, "t", at(0)) else {
        panic!("a replay was taken")
    };
    assert!(Client::new(&stale.headers.auth(&Name::WwwAuthenticate)).unwrap().is_stale());
}

/// An answer without what differs by chance: the nonce.
fn masked(response: &Response) -> String {
    let text = String::from_utf8(response.to_bytes()).unwrap();
    let mut pieces = text.split("nonce=\"");
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (nonce, rest) = piece.split_once('"').unwrap();
        assert_eq!(nonce.len(), 64);
        masked.push_str(rest);
    }
    masked
}

/// The promise to scanners: for thousands of guesses, the answer for a user that exists and the one for a user that
/// does not are the same bytes.
#[test]
fn guessing_tells_nobody_which_users_exist() {
    let mut registrar = registrar();
    let ask = |registrar: &mut Registrar, user: &str, method: Method, guess: Option<&str>| {
        let mut phone = Phone::new("101", "scan", "203.0.113.9:5060");
        user.clone_into(&mut phone.login.username);
        if let Some(guess) = guess {
            guess.clone_into(&mut phone.login.password);
            phone.client = Client::new(&registrar.digest.challenge(false, at(0).mono));
        }
        let request = phone.request(method.clone(), &["<sip:x@203.0.113.9>"]);
        let (response, offence) = if method == Method::Register {
            let answer = registrar.handle_register(&request, phone.from, "tag", at(0));
            assert!(answer.bindings.is_none());
            (answer.response, answer.offence)
        } else {
            match registrar.authenticate(&request, phone.from, "tag", at(0)) {
                Auth::Challenge(response, offence) => (*response, offence),
                Auth::Refused(response, offence) => (*response, Some(offence)),
                Auth::Device(_) => panic!("a stranger came in"),
            }
        };
        (masked(&response).replace(&format!("sip:{user}@"), "sip:USER@"), offence)
    };
    for method in [Method::Register, Method::Invite, Method::Options, Method::Refer] {
        for guess in [None, Some(""), Some("1234"), Some("secret of 999")] {
            for n in 0..200 {
                let there =
                    ask(&mut registrar, if n % 2 == 0 { "101" } else { "102" }, method.clone(), guess);
                let not_there = ask(&mut registrar, &format!("{:03}", 200 + n), method.clone(), guess);
                assert_eq!(there.0, not_there.0);
                assert!(there.0.starts_with("SIP/2.0 401 "));
                let noted = guess.is_some().then_some(Offence::BadLogin);
                assert!(guess.is_none() || (there.1 == noted && not_there.1 == noted));
            }
        }
    }
    assert_eq!(registrar.unanswered.len(), 1);
}

#[test]
fn a_source_that_never_answers_a_challenge_is_noted_and_a_phone_is_not() {
    let mut registrar = registrar();
    let mut probe = Phone::new("101", "p", "203.0.113.9:5060");
    let mut offences = 0;
    for _ in 0..20 {
        let request = probe.request(Method::Register, &[]);
        offences += u32::from(registrar.handle_register(&request, probe.from, "t", at(0)).offence.is_some());
    }
    assert_eq!(offences, 20 - UNANSWERED);
    for n in 0..100 {
        let mut phone = Phone::new("101", &format!("c{n}"), "198.51.100.7:5060");
        assert_eq!(phone.register(&mut registrar, &[], at(0)).offence, None);
    }
}
