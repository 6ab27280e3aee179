//! The property: whatever the network loses, doubles and reorders, and whatever call control asks for, every leg has
//! one end and nothing is left. `BACKROOM_SEEDS` says how many networks, `BACKROOM_SEED` from which one on, and
//! `BACKROOM_LOG` has what is sent printed.

use std::collections::BTreeSet;

use super::world::*;
use crate::types::*;

/// How many, when nobody says.
const SEEDS: u64 = 150;
/// The longest silence after which the last retransmission of a request still comes home.
const SILENCE: u64 = 27_000;

/// xorshift64*.
#[derive(Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }
}

fn weather(dice: &mut Dice, fair: u64) -> Weather {
    let mut own = Dice::new(dice.below(u64::MAX >> 1));
    let (loss, double) = (dice.pick(&[0, 0, 5, 20]), dice.pick(&[0, 5, 30]));
    let slow = dice.pick(&[1, 20, 300, 1500]);
    let from = dice.below(60_000);
    let silent = dice.pick(&[0, 0, 2_000, SILENCE]);
    // One retransmission comes behind the longest silence: were it lost too, nothing would have come in 64*T1.
    let loss = if silent == SILENCE { 0 } else { loss };
    let silence = from..from + silent;
    Box::new(move |now| {
        let bad = now < fair;
        if bad && (silence.contains(&now) || own.below(100) < loss) {
            return Vec::new();
        }
        let first = now + 1 + own.below(slow);
        if bad && own.below(100) < double { vec![first, first + own.below(2000)] } else { vec![first] }
    })
}

fn random_command(dice: &mut Dice) -> LegCommand {
    match dice.below(14) {
        0 | 1 => LegCommand::Ring,
        2 => LegCommand::EarlyMedia,
        3..=5 => LegCommand::Answer,
        6 | 7 => LegCommand::Hold,
        8 | 9 => LegCommand::Resume,
        10 => LegCommand::Dtmf(Dtmf::try_from('5').unwrap()),
        11 => LegCommand::Transfer(dice.pick(&[
            TransferProgress::Trying,
            TransferProgress::Done,
            TransferProgress::Failed(EndCause::Busy),
        ])),
        _ => LegCommand::Hangup { cause: dice.pick(&EndCause::ALL) },
    }
}

/// Who dials whom: node, way, number.
fn random_dial(dice: &mut Dice) -> (usize, Via, &'static str) {
    match dice.below(6) {
        0 | 1 => (0, Via::Device("desk".into()), "101"),
        2 => (0, Via::Line("t".into()), "+12065550111"),
        3 => (1, Via::Line("box".into()), "911"),
        4 => (2, Via::Line("box".into()), "101"),
        _ => (3, Via::Line("shop".into()), "+12065550199"),
    }
}

struct Storm {
    world: World,
    dice: Dice,
    live: BTreeSet<(usize, LegId)>,
    /// Those that had an answer.
    up: BTreeSet<LegId>,
    dialled: u32,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut world = World::new();
        for _ in 0..4 {
            let mut settings = settings();
            settings.session_expires = std::time::Duration::from_secs(dice.pick(&[90, 1800]));
            world.node(settings);
        }
        world.keep_log = false;
        world.furnish();
        world.weather = weather(&mut dice, 100_000);
        Self { world, dice, live: BTreeSet::new(), up: BTreeSet::new(), dialled: 0 }
    }

    fn hear(&mut self) {
        for n in 0..4 {
            for (leg, event) in self.world.events(n) {
                match event {
                    LegEvent::Ended { .. } | LegEvent::Refused { .. } => self.live.remove(&(n, leg)),
                    LegEvent::Offered(_) => self.live.insert((n, leg)),
                    LegEvent::Answered => self.up.insert(leg),
                    _ => true,
                };
            }
        }
    }

    fn act(&mut self) {
        if self.dialled < 6 && self.dice.below(4) == 0 {
            self.dialled += 1;
            let (node, via, target) = random_dial(&mut self.dice);
            let leg = LegId(format!("L{}", self.dialled));
            self.live.insert((node, leg.clone()));
            self.world.dial(node, &leg.0, via, target);
            return;
        }
        let all: Vec<_> = self.live.iter().cloned().collect();
        if !all.is_empty() {
            let (node, leg) = self.dice.pick(&all);
            let command = random_command(&mut self.dice);
            if command == LegCommand::Answer {
                self.up.insert(leg.clone());
            }
            self.world.command(node, &leg, command);
        }
    }

    fn run(mut self) {
        let steps = 10 + self.dice.below(40);
        for _ in 0..steps {
            self.hear();
            self.act();
            let pause = self.dice.pick(&[0, 10, 300, 3_000]);
            let pause = self.dice.below(pause + 1);
            self.world.run(pause);
        }
        // The box and the phones let go of what is theirs; the provider's legs must hear of it.
        self.hear();
        for (node, leg) in self.live.clone() {
            if node < 3 {
                self.world.command(node, &leg, LegCommand::Hangup { cause: EndCause::Hangup });
            }
        }
        self.world.run(300_000);
        self.hear();
        for (node, leg) in self.live.clone() {
            // Of an INVITE that came when its caller had given up, only who is called can tire.
            assert!(node < 3 || !self.up.contains(&leg), "{leg} of node {node} never ended");
            self.world.command(node, &leg, LegCommand::Hangup { cause: EndCause::NoAnswer });
        }
        self.world.assert_clean();
    }
}

#[test]
fn every_leg_ends_once_and_nothing_is_left() {
    let seeds = std::env::var("BACKROOM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    let first: u64 = std::env::var("BACKROOM_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        let storm = Storm::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| storm.run()));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
