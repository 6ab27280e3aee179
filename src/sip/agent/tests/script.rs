//! A far side that says exactly what a test wants it to: provider and phone without an agent.

use super::world::*;
use crate::sip::agent::*;
use crate::types::*;

/// The provider's node; nobody answers there but the test.
pub(super) const FAR: usize = 9;
/// The phone's.
pub(super) const PHONE: usize = 8;

/// What the far side describes.
pub(super) fn sdp(node: usize, more: &str) -> String {
    let ip = address(node).ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n{more}"
    )
}

/// A box whose trunk `t` is [`FAR`] and whose phone `desk` is [`PHONE`].
pub(super) fn shop() -> World {
    shop_with(settings(), trunk("t", FAR), device("desk"))
}

pub(super) fn shop_with(settings: AgentSettings, trunk: TrunkSetup, device: DeviceSetup) -> World {
    let mut w = World::new();
    w.node(settings);
    let now = w.at();
    let id = device.id.clone();
    let agent = &mut w.nodes[0].agent;
    agent.handle_devices(vec![device], now);
    agent.restore(&id, vec![binding(PHONE)], now);
    agent.handle_trunks(vec![trunk], now);
    agent.handle_routes(&"t".into(), vec![route(0, FAR)], now);
    w.run(10);
    w.log.clear();
    w.nodes[0].others.clear();
    w
}

pub(super) fn binding(node: usize) -> Binding {
    Binding {
        contact: format!("sip:desk@{}", address(node)).parse().unwrap(),
        route: route(0, node),
        call_id: "r".to_owned(),
        cseq: 1,
        expires: Wall(1_900_000_000_000),
        q: 1000,
        path: Vec::new(),
        instance: None,
        reg_id: None,
        agent: None,
    }
}

fn body_of(body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A response of `node` to a request that it was sent.
pub(super) fn reply(node: usize, request: &str, status: &str, tag: &str, more: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|l| !l.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        match name {
            "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => text += &format!("{line}\r\n"),
            "To" if line.contains(";tag=") || tag.is_empty() => text += &format!("{line}\r\n"),
            "To" => text += &format!("{line};tag={tag}\r\n"),
            _ => {}
        }
    }
    text + &format!("Contact: <sip:far@{}>\r\n{more}", address(node)) + &body_of(body)
}

/// A dialog as the far side sees it.
#[derive(Clone)]
pub(super) struct Far {
    pub(super) node: usize,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) call_id: String,
    pub(super) target: String,
    pub(super) cseq: u32,
}

impl Far {
    /// It calls.
    pub(super) fn calls(node: usize, number: &str) -> Self {
        Self {
            node,
            from: format!("<sip:+12065550123@{}>;tag=far{node}", address(node).ip()),
            to: format!("<sip:{number}@10.0.0.1>"),
            call_id: format!("call-{number}-{node}"),
            target: format!("sip:{number}@10.0.0.1"),
            cseq: 100,
        }
    }

    /// It was called and answers with this tag.
    pub(super) fn called(node: usize, invite: &str, tag: &str) -> Self {
        let contact = header(invite, "Contact").unwrap();
        Self {
            node,
            from: format!("{};tag={tag}", header(invite, "To").unwrap()),
            to: header(invite, "From").unwrap().to_owned(),
            call_id: header(invite, "Call-ID").unwrap().to_owned(),
            target: contact.trim_matches(['<', '>']).to_owned(),
            cseq: 500,
        }
    }

    /// Takes the tag and the Contact of a response.
    pub(super) fn learn(&mut self, response: &str) {
        if let Some(to) = header(response, "To") {
            to.clone_into(&mut self.to);
        }
        if let Some(contact) = header(response, "Contact") {
            contact.trim_matches(['<', '>']).clone_into(&mut self.target);
        }
    }

    /// A request under the present number.
    pub(super) fn same(&self, method: &str, more: &str, body: &str) -> String {
        let Self { node, from, to, call_id, target, cseq } = self;
        let here = address(*node);
        // An ACK or CANCEL of a transaction repeats its branch; an ACK of a 2xx has its own.
        let branch = if method == "CANCEL" { "INVITE" } else { method };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{call_id}{cseq}{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:far@{here}>\r\n{more}"
        ) + &body_of(body)
    }

    /// The ACK of a refusal, which belongs to its INVITE.
    pub(super) fn ack_refusal(&self) -> String {
        let n = self.cseq;
        self.same("ACK", "", "").replace(&format!("{n}ACK"), &format!("{n}INVITE"))
    }

    /// The next request.
    pub(super) fn next(&mut self, method: &str, more: &str, body: &str) -> String {
        self.cseq += 1;
        self.same(method, more, body)
    }
}

impl World {
    pub(super) fn says(&mut self, node: usize, text: &str) {
        self.inject(address(node), 0, text.as_bytes());
        self.run(20);
    }

    /// The last message that the box sent there.
    pub(super) fn last(&self, node: usize) -> &str {
        let to = address(node);
        &self.log.iter().rev().find(|(_, _, t, _)| *t == to).expect("nothing was sent there").3
    }

    /// First words of what the box sent there, in order; forgets them.
    pub(super) fn heard(&mut self, node: usize) -> Vec<String> {
        let to = address(node);
        let (theirs, others) = std::mem::take(&mut self.log).into_iter().partition(|(_, _, t, _)| *t == to);
        self.log = others;
        let theirs: Vec<(u64, _, _, String)> = theirs;
        let word = |text: &str| {
            let text = text.strip_prefix("SIP/2.0 ").unwrap_or(text).to_owned();
            text.split(' ').next().unwrap_or_default().to_owned()
        };
        theirs.iter().map(|(.., text)| word(text)).collect()
    }

    /// What the box's legs said, without their names.
    pub(super) fn told(&mut self) -> Vec<LegEvent> {
        self.events(0).into_iter().map(|(_, event)| event).collect()
    }

    /// The provider calls, the box answers, the ACK comes. The leg, and the dialog.
    pub(super) fn talking(&mut self) -> (LegId, Far) {
        let mut far = Far::calls(FAR, "+12065550199");
        let invite = far.same("INVITE", "Allow: INVITE, ACK, BYE, UPDATE\r\n", &sdp(FAR, ""));
        self.says(FAR, &invite);
        let (leg, _) = self.offered(0);
        self.command(0, &leg, LegCommand::Answer);
        self.run(20);
        far.learn(self.last(FAR));
        self.says(FAR, &far.same("ACK", "", ""));
        self.log.clear();
        (leg, far)
    }

    /// The box dials its phone, which answers. The leg, and the dialog.
    pub(super) fn talking_to_phone(&mut self) -> (LegId, Far) {
        let leg = self.dial(0, "LGp", Via::Device("desk".into()), "101");
        self.run(20);
        let invite = self.last(PHONE).to_owned();
        self.says(PHONE, &reply(PHONE, &invite, "200 OK", "p", "", &sdp(PHONE, "")));
        assert_eq!(self.told(), [LegEvent::Answered]);
        self.log.clear();
        (leg, Far::called(PHONE, &invite, "p"))
    }
}
