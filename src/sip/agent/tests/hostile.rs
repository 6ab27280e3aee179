//! Messages as nobody should send them, into every state of a call: the agent stays upright, every leg has one end,
//! and nothing is left. `BACKROOM_SEEDS` and `BACKROOM_SEED` as in `storm`.

use std::collections::BTreeSet;

use super::script::*;
use super::storm::Dice;
use super::world::*;
use crate::types::*;

/// How many, when nobody says.
const SEEDS: u64 = 300;
/// Values that parsers and arithmetic trip over.
const ODD: [&str; 14] = [
    "0",
    "-1",
    "4294967295",
    "4294967296",
    "99999999999999999999",
    "",
    "\"",
    "<",
    "sip:",
    "sip:a@[::1",
    ";tag=",
    "*",
    "%00%ff",
    "\u{fffd}",
];

/// A message with one to three things wrong.
fn mutated(dice: &mut Dice, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let at = usize::try_from(dice.below(lines.len() as u64)).unwrap();
        let other = usize::try_from(dice.below(lines.len() as u64)).unwrap();
        match dice.below(7) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 => {
                // Another value in its place.
                let keep = lines[at].iter().position(|b| *b == b':' || *b == b'=').map_or(0, |p| p + 1);
                lines[at].truncate(keep);
                lines[at].extend_from_slice(dice.pick(&ODD).as_bytes());
                lines[at].push(b'\r');
            }
            4 if !lines[at].is_empty() => {
                let n = usize::try_from(dice.below(lines[at].len() as u64)).unwrap();
                lines[at][n] = u8::try_from(dice.below(256)).unwrap();
            }
            5 => {
                let n = usize::try_from(dice.below(lines[at].len() as u64 + 1)).unwrap();
                let odd = dice.pick(&ODD);
                lines[at].splice(n..n, odd.bytes());
            }
            _ => lines.truncate(at.max(1)),
        }
        bytes = lines.join(&b'\n');
    }
    bytes
}

struct Attack {
    world: World,
    dice: Dice,
    live: BTreeSet<LegId>,
    /// Dialogs that the far side knows of.
    far: Vec<(usize, Far)>,
    calls: u64,
}

impl Attack {
    fn new(seed: u64) -> Self {
        Self { world: shop(), dice: Dice::new(seed), live: BTreeSet::new(), far: Vec::new(), calls: 0 }
    }

    /// Brings a call into some state.
    fn begin(&mut self) {
        self.calls += 1;
        let n = self.calls;
        match self.dice.below(4) {
            0 => {
                let far = Far::calls(FAR, &format!("+1206555{n:04}"));
                let requires = self.dice.pick(&["", "Require: 100rel\r\n", "Supported: timer, 100rel\r\n"]);
                let body = if self.dice.below(3) == 0 { String::new() } else { sdp(FAR, "") };
                self.world.says(FAR, &far.same("INVITE", requires, &body));
                self.far.push((FAR, far));
            }
            1 => {
                self.world.dial(0, &format!("LG{n}"), Via::Line("t".into()), "+12065550111");
                self.invited(FAR);
            }
            _ => {
                self.world.dial(0, &format!("LG{n}"), Via::Device("desk".into()), "101");
                self.invited(PHONE);
            }
        }
    }

    /// The box's INVITE makes a dialog of it.
    fn invited(&mut self, node: usize) {
        self.world.run(20);
        let to = address(node);
        let invites =
            self.world.log.iter().rev().find(|(_, _, t, text)| *t == to && text.starts_with("INVITE "));
        if let Some((.., text)) = invites {
            self.far.push((node, Far::called(node, text, "x")));
        }
    }

    fn hear(&mut self) {
        for (leg, event) in self.world.events(0) {
            match event {
                LegEvent::Ended { .. } | LegEvent::Refused { .. } => self.live.remove(&leg),
                _ => self.live.insert(leg),
            };
        }
    }

    /// Something that would fit, to be spoilt.
    fn message(&mut self) -> Option<(usize, String)> {
        let to_them = self.world.log.len() as u64;
        if to_them > 0 && self.dice.below(2) == 0 {
            // A response to one of the last requests of the box.
            let back = usize::try_from(self.dice.below(to_them.min(6))).unwrap();
            let (_, _, to, text) = self.world.log.iter().rev().nth(back)?.clone();
            let node = if to == address(PHONE) { PHONE } else { FAR };
            let status = self.dice.pick(&[
                "100 Trying",
                "180 Ringing",
                "183 P",
                "200 OK",
                "202 A",
                "302 M",
                "401 U",
                "407 P",
                "422 S",
                "481 N",
                "486 B",
                "487 T",
                "491 P",
                "503 U",
                "603 D",
            ]);
            let more = self.dice.pick(&[
                "",
                "Require: 100rel\r\nRSeq: 1\r\n",
                "Session-Expires: 90;refresher=uas\r\n",
                "Min-SE: 4000\r\n",
                "Retry-After: 5\r\n",
                "Record-Route: <sip:10.0.0.8;lr>\r\n",
            ]);
            let tag = self.dice.pick(&["x", "y", "z"]);
            let body = if self.dice.below(2) == 0 { sdp(node, "") } else { String::new() };
            return text
                .contains(" SIP/2.0\r\n")
                .then(|| (node, reply(node, &text, status, tag, more, &body)));
        }
        let n = usize::try_from(self.dice.below(self.far.len() as u64)).unwrap();
        let last = self
            .world
            .log
            .iter()
            .rev()
            .find(|(.., t)| t.starts_with("SIP/2.0 ") && t.contains(";tag="))
            .cloned();
        let (node, far) = &mut self.far[n];
        if let Some((.., text)) = last
            .filter(|(_, _, to, text)| *to == address(*node) && header(text, "Call-ID") == Some(&far.call_id))
        {
            far.learn(&text);
        }
        let methods = [
            "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY",
            "MESSAGE", "FOO",
        ];
        let method = self.dice.pick(&methods);
        let more = match method {
            "PRACK" => "RAck: 1 100 INVITE\r\n",
            "REFER" => "Refer-To: <sip:103@10.0.0.1>\r\n",
            "NOTIFY" => "Event: refer\r\n",
            _ => self.dice.pick(&[
                "",
                "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n",
                "Replaces: a;to-tag=b;from-tag=c\r\n",
            ]),
        };
        let direction =
            self.dice.pick(&["", "a=sendonly\r\n", "a=inactive\r\n", "a=crypto:1 X inline:y\r\n"]);
        let body = if self.dice.below(2) == 0 { sdp(*node, direction) } else { String::new() };
        let again = self.dice.below(3) == 0 || matches!(method, "ACK" | "CANCEL");
        Some((*node, if again { far.same(method, more, &body) } else { far.next(method, more, &body) }))
    }

    fn command(&mut self) {
        let all: Vec<LegId> = self.live.iter().cloned().collect();
        if all.is_empty() {
            return;
        }
        let leg = self.dice.pick(&all);
        let command = self.dice.pick(&[
            LegCommand::Ring,
            LegCommand::EarlyMedia,
            LegCommand::Answer,
            LegCommand::Answer,
            LegCommand::Hold,
            LegCommand::Resume,
            LegCommand::Transfer(TransferProgress::Done),
            LegCommand::Hangup { cause: EndCause::Hangup },
        ]);
        self.world.command(0, &leg, command);
    }

    fn run(mut self) {
        self.begin();
        for _ in 0..20 + self.dice.below(40) {
            self.hear();
            match self.dice.below(8) {
                0 if self.calls < 4 => self.begin(),
                0 | 1 => self.command(),
                _ if self.far.is_empty() => {}
                _ => {
                    if let Some((node, text)) = self.message() {
                        let spoilt = self.dice.below(3) != 0;
                        let bytes = if spoilt { mutated(&mut self.dice, &text) } else { text.into_bytes() };
                        self.world.inject(address(node), 0, &bytes);
                    }
                }
            }
            let pause = self.dice.pick(&[0, 0, 10, 700, 9_000]);
            self.world.run(pause);
        }
        self.hear();
        // What was dialled and has said nothing yet is let go as well.
        let dialled = (1..=self.calls).map(|n| LegId(format!("LG{n}")));
        for leg in self.live.clone().into_iter().chain(dialled) {
            self.world.command(0, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
        }
        self.world.assert_clean();
    }
}

#[test]
fn spoilt_messages_in_any_state_leave_one_end_and_nothing_behind() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("BACKROOM_SEED").unwrap_or(0);
    for seed in first..first + number("BACKROOM_SEEDS").unwrap_or(SEEDS) {
        let attack = Attack::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack.run()));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
