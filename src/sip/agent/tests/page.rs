//! Texts from phone to phone: who may, where they go, which answer comes back, and that nothing stays.

use std::collections::BTreeMap;

use super::script::*;
use super::storm::Dice;
use super::world::*;
use crate::sip::agent::*;
use crate::sip::digest::Client;
use crate::sip::message::{Message, Name};
use crate::types::*;

/// Another contact of `desk`, the two contacts of `office`, and the phone of another shop.
const SECOND: usize = 7;
const OFFICE: [usize; 2] = [5, 6];
const ELSEWHERE: usize = 4;
const STRANGER: usize = 60;
const WORDS: &str = "Come to the counter";

fn phone(id: &str, extension: &str, shop: &str) -> DeviceSetup {
    DeviceSetup { extension: Some(extension.to_owned()), shop: shop.into(), ..device(id) }
}

/// `desk` (101) sends; `office` (102) has two contacts; `store` (103) none; `other` (104) is of another shop.
fn texting() -> World {
    let mut w = shop();
    let now = w.at();
    let agent = &mut w.nodes[0].agent;
    agent.handle_devices(
        vec![
            phone("desk", "101", "main"),
            phone("office", "102", "main"),
            phone("store", "103", "main"),
            phone("other", "104", "second"),
        ],
        now,
    );
    let at = |node: usize| Binding { call_id: format!("r{node}"), ..binding(node) };
    agent.restore(&"office".into(), OFFICE.map(at).to_vec(), now);
    agent.restore(&"other".into(), vec![at(ELSEWHERE)], now);
    w
}

/// Someone who texts; with a password when there is a challenge that it answers.
struct Sender {
    node: usize,
    user: &'static str,
    client: Option<Client>,
    count: u32,
}

impl Sender {
    fn new(node: usize, user: &'static str) -> Self {
        Self { node, user, client: None, count: 0 }
    }

    /// A sender who was challenged once.
    fn known(w: &mut World, node: usize, user: &'static str) -> Self {
        let mut sender = Self::new(node, user);
        let text = sender.text("102", "Content-Type: text/plain\r\n", WORDS);
        w.says(node, &text);
        let Message::Response(challenge) = read(w.last(node)) else { panic!("no response") };
        assert_eq!(challenge.status.code(), 401);
        sender.client = Client::new(&challenge.headers.auth(&Name::WwwAuthenticate));
        assert!(sender.client.is_some());
        w.log.clear();
        sender
    }

    fn text(&mut self, to: &str, more: &str, body: &str) -> String {
        self.count += 1;
        let (here, n, user) = (address(self.node), self.count, self.user);
        let text = format!(
            "MESSAGE sip:{to}@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKtext{n}{user};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:boss@10.0.0.1>;tag=s{n}\r\nTo: <sip:{to}@10.0.0.1>\r\n\
             Call-ID: text{n}{user}\r\nCSeq: 1 MESSAGE\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let Some(client) = &mut self.client else { return text };
        let Message::Request(request) = read(&text) else { panic!("no request") };
        let auth = client.authorize(&login(self.user), &request.method, &request.uri, "cn").to_string();
        text.replace("Content-Length", &format!("Authorization: {auth}\r\nContent-Length"))
    }

    fn plain(&mut self, to: &str) -> String {
        self.text(to, "Content-Type: text/plain\r\n", WORDS)
    }

    /// What the sender hears at once.
    fn hears(&mut self, w: &mut World, text: &str) -> Vec<String> {
        w.says(self.node, text);
        w.heard(self.node)
    }
}

fn pages(w: &World, node: usize) -> Vec<String> {
    w.sent(0, node, "MESSAGE ")
}

fn answers(w: &mut World, node: usize, status: &str) {
    let page = pages(w, node).pop().expect("nothing came there");
    w.says(node, &reply(node, &page, status, "t", "", ""));
}

#[test]
fn a_text_goes_to_all_contacts_and_the_first_2xx_comes_back_once() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    let text = desk.plain("102");
    assert!(desk.hears(&mut w, &text).is_empty());
    let page = pages(&w, OFFICE[0]).remove(0);
    assert!(
        page.ends_with(&format!("\r\n\r\n{WORDS}")) && page.contains("Content-Type: text/plain\r\n"),
        "{page}"
    );
    // Who it claims to be is not believed, and its credentials go nowhere.
    assert!(
        page.contains("From: \"DESK\" <sip:101@10.0.0.1>;tag=") || page.contains("From: DESK <sip:101@"),
        "{page}"
    );
    assert!(
        !page.contains("boss") && !page.contains("Authorization") && !page.contains("Contact:"),
        "{page}"
    );
    assert_eq!(header(&page, "Max-Forwards"), Some("69"));
    assert_eq!(pages(&w, OFFICE[1]).len(), 1);
    answers(&mut w, OFFICE[1], "486 Busy Here");
    assert!(w.heard(PHONE).is_empty());
    answers(&mut w, OFFICE[0], "200 OK");
    assert_eq!(w.heard(PHONE), ["200"]);
    w.run(40_000);
    assert!(w.heard(PHONE).is_empty());
    assert!(w.events(0).is_empty(), "call control has nothing to do with it");
    w.assert_clean();
}

#[test]
fn of_refusals_the_one_that_says_most_comes_back() {
    for (first, second, told) in [
        ("486 Busy", "603 Decline", "603"),
        ("415 Type", "486 Busy", "415"),
        ("401 Unauthorized", "503 Unavailable", "480"),
        ("302 Moved", "404 Not Found", "480"),
        ("500 Error", "202 Accepted", "202"),
        ("603 Decline", "200 OK", "200"),
    ] {
        let mut w = texting();
        let mut desk = Sender::known(&mut w, PHONE, "desk");
        let text = desk.plain("office");
        w.says(PHONE, &text);
        answers(&mut w, OFFICE[0], first);
        answers(&mut w, OFFICE[1], second);
        assert_eq!(w.heard(PHONE), [told], "{first} {second}");
        w.assert_clean();
    }
}

#[test]
fn silence_is_480_while_the_sender_still_waits() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    let text = desk.plain("102");
    w.says(PHONE, &text);
    w.run(27_000);
    assert!(w.heard(PHONE).is_empty());
    w.run(1_500);
    assert_eq!(w.heard(PHONE), ["480"]);
    answers(&mut w, OFFICE[0], "200 OK");
    assert!(w.heard(PHONE).is_empty(), "too late");
    w.assert_clean();
}

#[test]
fn who_is_not_there_is_480_and_who_is_nobody_404() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    for (to, code) in [
        ("103", "480"),
        ("store", "480"),
        ("104", "404"),
        ("other", "404"),
        ("911", "404"),
        ("+12065550111", "404"),
    ] {
        let text = desk.plain(to);
        assert_eq!(desk.hears(&mut w, &text), [code], "{to}");
    }
    assert!(pages(&w, ELSEWHERE).is_empty() && pages(&w, FAR).is_empty());
    w.assert_clean();
}

#[test]
fn strangers_learn_nothing_and_trunks_are_not_served() {
    let mut w = texting();
    let mut nobody = Sender::new(STRANGER, "desk");
    for (to, body) in
        [("102", WORDS), ("104", WORDS), ("nobody", WORDS), ("911", ""), ("102", &"x".repeat(9000))]
    {
        let text = nobody.text(to, "Content-Type: text/html\r\n", body);
        assert_eq!(nobody.hears(&mut w, &text), ["401"], "{to}");
    }
    let mut near = Sender::new(SECOND, "desk");
    let text = near.plain("911");
    assert_eq!(near.hears(&mut w, &text), ["401"], "help is called, not texted");
    let mut provider = Sender::new(FAR, "provider");
    for to in ["102", "nobody"] {
        let text = provider.plain(to);
        w.says(FAR, &text);
        assert!(!w.last(FAR).contains("NOTIFY, INFO, MESSAGE"), "{}", w.last(FAR));
        assert_eq!(w.heard(FAR), ["405"]);
    }
    assert!(OFFICE.iter().all(|node| pages(&w, *node).is_empty()));
    w.assert_clean();
}

#[test]
fn only_texts_of_a_size_and_kind_are_taken() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    let large = "x".repeat(8 * 1024);
    for (more, body, code) in [
        ("Content-Type: text/html\r\n", WORDS, "415"),
        ("Content-Type: text/html\r\nContent-Disposition: render;handling=optional\r\n", WORDS, "415"),
        ("", WORDS, "415"),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", WORDS, "415"),
        ("Content-Type: text/plain\r\n", &format!("{large}x"), "413"),
    ] {
        let text = desk.text("102", more, body);
        assert_eq!(desk.hears(&mut w, &text), [code], "{more}");
    }
    for (more, body) in [
        ("Content-Type: text/plain;charset=utf-8\r\n", large.as_str()),
        ("Content-Type: message/cpim\r\n", "From: <im:a@b>\r\n\r\nx"),
    ] {
        w.log.clear();
        let text = desk.text("102", more, body);
        w.says(PHONE, &text);
        let page = pages(&w, OFFICE[0]).remove(0);
        assert!(page.contains(more) && page.ends_with(body), "{more}");
        answers(&mut w, OFFICE[0], "200 OK");
        assert_eq!(w.heard(PHONE), ["200"]);
    }
    w.assert_clean();
}

#[test]
fn a_text_to_oneself_goes_to_the_other_contacts_only() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    let text = desk.plain("101");
    assert_eq!(desk.hears(&mut w, &text), ["480"]);
    let (now, second) = (w.at(), Binding { call_id: "second".to_owned(), ..binding(SECOND) });
    w.nodes[0].agent.restore(&"desk".into(), vec![second], now);
    let text = desk.plain("desk");
    w.says(PHONE, &text);
    assert!(pages(&w, PHONE).is_empty());
    answers(&mut w, SECOND, "200 OK");
    assert_eq!(w.heard(PHONE), ["200"]);
    w.assert_clean();
}

#[test]
fn a_text_that_goes_in_a_circle_ends_where_its_hops_do() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    let text = desk.plain("102").replace("Max-Forwards: 70", "Max-Forwards: 1");
    w.says(PHONE, &text);
    assert_eq!(header(&pages(&w, OFFICE[0])[0], "Max-Forwards"), Some("0"));
    answers(&mut w, OFFICE[0], "200 OK");
    w.log.clear();
    let text = desk.plain("102").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(desk.hears(&mut w, &text), ["483"]);
    w.assert_clean();
}

#[test]
fn texts_under_way_are_bounded_and_calls_go_on() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    for _ in 0..64 {
        let text = desk.plain("102");
        w.inject(address(PHONE), 0, text.as_bytes());
    }
    w.log.clear();
    let text = desk.plain("102");
    w.says(PHONE, &text);
    assert!(w.last(PHONE).contains("\r\nRetry-After: "), "{}", w.last(PHONE));
    assert_eq!(w.heard(PHONE), ["503"]);
    w.dial(0, "LG1", Via::Device("desk".into()), "101");
    w.run(20);
    assert_eq!(w.heard(PHONE), ["INVITE"]);
    w.command(0, &"LG1".into(), LegCommand::Hangup { cause: EndCause::Hangup });
    w.assert_clean();
}

#[test]
fn a_shutdown_answers_what_waits() {
    let mut w = texting();
    let mut desk = Sender::known(&mut w, PHONE, "desk");
    let text = desk.plain("102");
    w.says(PHONE, &text);
    let now = w.at();
    w.nodes[0].agent.stop(now);
    w.run(0);
    assert_eq!(w.heard(PHONE), ["480"]);
    w.assert_clean();
}

/// One text on a network that loses `loss` of a hundred messages each way; the code that the sender heard, and how
/// often each contact was asked (by branch).
fn lossy(seed: u64, loss: u64) -> (Vec<String>, BTreeMap<usize, Vec<String>>) {
    let mut dice = Dice::new(seed);
    let mut w = texting();
    let text = Sender::known(&mut w, PHONE, "desk").plain("102");
    let statuses = OFFICE.map(|_| dice.pick(&["200 OK", "200 OK", "486 Busy", "silent"]));
    let (mut heard, mut asked) = (Vec::new(), BTreeMap::<usize, Vec<String>>::new());
    let (mut again, mut wait, mut read) = (0, 500, 0);
    for at in (0..32_000).step_by(100) {
        // Timer E of the sender.
        if at >= again && heard.is_empty() {
            (again, wait) = (at + wait, (wait * 2).min(4_000));
            if dice.below(100) >= loss {
                w.inject(address(PHONE), 0, text.as_bytes());
            }
        }
        w.run(100);
        let new = w.log[read..].to_vec();
        read = w.log.len();
        for (_, from, to, message) in new {
            if from != address(0) || dice.below(100) < loss {
                continue;
            }
            if to == address(PHONE) {
                heard.push(message.lines().next().unwrap().to_owned() + header(&message, "To").unwrap());
            }
            let Some(n) = OFFICE.iter().position(|node| address(*node) == to) else { continue };
            asked.entry(OFFICE[n]).or_default().push(header(&message, "Via").unwrap().to_owned());
            if statuses[n] != "silent" && dice.below(100) >= loss {
                w.inject(to, 0, reply(OFFICE[n], &message, statuses[n], "t", "", "").as_bytes());
            }
        }
    }
    w.assert_clean();
    (heard, asked)
}

#[test]
fn on_a_network_that_loses_messages_there_is_one_answer_and_one_text_a_contact() {
    for seed in 0..100 {
        let loss = [0, 10, 35][usize::try_from(seed % 3).unwrap()];
        let (mut heard, mut asked) = lossy(seed, loss);
        heard.dedup();
        // What is said last may be lost each time before the sender gives up; never is something else said.
        assert!(heard.len() <= 1 && (loss > 0 || heard.len() == 1), "seed {seed}: {heard:?}");
        for (node, vias) in &mut asked {
            vias.dedup();
            assert_eq!(vias.len(), 1, "seed {seed}, node {node}: {vias:?}");
        }
    }
}
