//! Two elements and a network between them that loses, doubles and reorders, by seed.

use std::time::Duration;

use super::*;

/// How many networks.
const SEEDS: u64 = 2000;
/// The longest silence after which the last retransmission still comes home: they are at most 4 s apart, and 32 s
/// after the request both sides give up.
const SILENCE: u64 = 27_000;
/// Well behind the last timer of the last request.
const END: u64 = 600_000;

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// How bad the network is.
#[derive(Debug)]
struct Weather {
    /// Percent of messages that are lost at any time.
    loss: u64,
    /// Percent that arrive twice.
    double: u64,
    /// Nothing passes from `.0` to `.1`, in ms.
    silence: (u64, u64),
}

/// What the far side's user does with an INVITE or another request.
#[derive(Clone, Copy, Debug)]
struct Plan {
    method: &'static str,
    /// When it rings, after the request.
    ring: Option<u64>,
    /// When it answers, after the request, and what.
    answer: (u64, u16),
    /// When the near side cancels.
    cancel: Option<u64>,
}

impl Plan {
    fn roll(dice: &mut Dice) -> Self {
        let pick =
            |dice: &mut Dice, codes: &[u16]| codes[usize::try_from(dice.below(codes.len() as u64)).unwrap()];
        if dice.below(3) == 0 {
            let method = ["OPTIONS", "BYE", "REGISTER"][usize::try_from(dice.below(3)).unwrap()];
            let answer = (dice.below(400), pick(dice, &[200, 404, 503]));
            return Self { method, ring: None, answer, cancel: None };
        }
        let ring = (dice.below(2) == 0).then(|| dice.below(2000));
        let answer = (dice.below(30_000), pick(dice, &[200, 200, 486, 603, 302]));
        let cancel = (dice.below(3) == 0).then(|| dice.below(40_000));
        Self { method: "INVITE", ring, answer, cancel }
    }
}

/// What the far side's user has yet to do.
#[derive(Clone)]
enum Chore {
    Respond(ServerId, Box<Response>),
    /// A 2xx goes out until its ACK comes (§13.3.1.4).
    Accept(ServerId, Box<Response>, u64, u64),
}

struct World {
    dice: Dice,
    weather: Weather,
    plan: Plan,
    near: Transactions,
    far: Transactions,
    /// When, which (a tie-breaker), to the far side, what.
    flying: BTreeMap<(u64, u64), (bool, Vec<u8>)>,
    sent: u64,
    chores: BTreeMap<(u64, u64), Chore>,
    invite: Option<(ServerId, Box<Request>, String)>,
    acknowledged: bool,
    decided: bool,
    heard: usize,
    outcomes: Vec<String>,
}

impl World {
    fn new(seed: u64, weather: Weather, plan: Plan) -> Self {
        Self {
            dice: Dice::new(seed ^ 0xABCD),
            weather,
            plan,
            near: Transactions::new(Settings::default(), SEED),
            far: Transactions::new(Settings::default(), [8; 32]),
            flying: BTreeMap::new(),
            sent: 0,
            chores: BTreeMap::new(),
            invite: None,
            acknowledged: false,
            decided: false,
            heard: 0,
            outcomes: Vec::new(),
        }
    }

    /// Lets everything happen until nothing is left to happen.
    fn run(&mut self) {
        let id =
            self.near.send_request(request(self.plan.method, ""), hop(2, Transport::Udp), at(0)).unwrap();
        let mut cancel = self.plan.cancel;
        let mut now = 0;
        loop {
            self.drain(now);
            let next = [
                self.near.poll_timeout().map(|(at, _)| at.0),
                self.far.poll_timeout().map(|(at, _)| at.0),
                self.flying.first_key_value().map(|((at, _), _)| *at),
                self.chores.first_key_value().map(|((at, _), _)| *at),
                cancel,
            ];
            let Some(next) = next.into_iter().flatten().min() else { return };
            assert!(next < END, "still busy after {END} ms: {:?} {:?}", self.near, self.far);
            now = now.max(next);
            if cancel.is_some_and(|at| at <= now) {
                cancel = None;
                self.near.cancel(id, None, at(now));
            }
            self.near.handle_timeout(at(now));
            self.far.handle_timeout(at(now));
            self.arrive(now);
            self.work(now);
        }
    }

    fn drain(&mut self, now: u64) {
        loop {
            let (out, to_far) = match self.near.poll_transmit() {
                Some(out) => (out, true),
                None => match self.far.poll_transmit() {
                    Some(out) => (out, false),
                    None => break,
                },
            };
            let copies = if self.dice.below(100) < self.weather.double { 2 } else { 1 };
            for _ in 0..copies {
                self.sent += 1;
                let lost = self.dice.below(100) < self.weather.loss;
                let silent = (self.weather.silence.0..self.weather.silence.1).contains(&now);
                if !lost && !silent {
                    let when = now + 1 + self.dice.below(100);
                    self.flying.insert((when, self.sent), (to_far, out.bytes.clone()));
                }
            }
        }
        while let Some(event) = self.near.poll_event() {
            self.near_hears(&event);
        }
        while let Some(event) = self.far.poll_event() {
            self.far_hears(event, now);
        }
        if self.near.out.transmits.len() + self.far.out.transmits.len() > 0 {
            self.drain(now);
        }
    }

    fn arrive(&mut self, now: u64) {
        while let Some(entry) = self.flying.first_entry().filter(|e| e.key().0 <= now) {
            let (to_far, bytes) = entry.remove();
            let (core, from) = if to_far { (&mut self.far, 1) } else { (&mut self.near, 2) };
            core.handle_message(read(bytes), hop(from, Transport::Udp), at(now));
        }
    }

    fn near_hears(&mut self, event: &Event) {
        match event {
            Event::Final { response, .. } | Event::AcceptedAgain { response, .. } => {
                if self.plan.method == "INVITE" && (200..300).contains(&response.status.code()) {
                    let mut ack = request("ACK", "");
                    ack.head.to = response.head.to.clone();
                    self.near.send_ack(ack, hop(2, Transport::Udp));
                }
                if matches!(event, Event::Final { .. }) {
                    self.outcomes.push(response.status.to_string());
                }
            }
            Event::AcceptedOver { .. } => {}
            Event::Failed { why, .. } => self.outcomes.push(format!("{why:?}")),
            Event::Provisional { .. } => {
                assert!(self.outcomes.is_empty(), "a provisional response after the end")
            }
            other => panic!("{other:?}"),
        }
    }

    fn far_hears(&mut self, event: Event, now: u64) {
        match event {
            Event::Request { id, request, tag, .. } => {
                self.heard += 1;
                let due = |after: u64| (now + after, id.0 + after);
                if let Some(ring) = self.plan.ring.filter(|ring| *ring < self.plan.answer.0) {
                    let ringing = Response::to(&request, status(180), &tag);
                    self.chores.insert(due(ring), Chore::Respond(id, Box::new(ringing)));
                }
                let (after, code) = self.plan.answer;
                let answer = Box::new(Response::to(&request, status(code), &tag));
                let chore = if request.method == Method::Invite && code == 200 {
                    Chore::Accept(id, answer, 500, now + after + 32_000)
                } else {
                    Chore::Respond(id, answer)
                };
                self.chores.insert(due(after), chore);
                self.invite = Some((id, request, tag));
            }
            Event::Ack { .. } => self.acknowledged = true,
            Event::Cancelled { id, .. } => {
                let (invite, request, tag) = self.invite.clone().unwrap();
                assert_eq!(invite, id);
                assert!(!self.decided, "cancelled when it was decided");
                self.decided = true;
                self.chores.clear();
                self.far.respond(id, &Response::to(&request, status(487), &tag), at(now));
            }
            Event::ServerFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn work(&mut self, now: u64) {
        while let Some(entry) = self.chores.first_entry().filter(|e| e.key().0 <= now) {
            match entry.remove() {
                Chore::Respond(id, response) => {
                    self.decided |= response.status.code() >= 200;
                    self.far.respond(id, &response, at(now));
                }
                Chore::Accept(id, response, wait, until) => {
                    self.decided = true;
                    if self.acknowledged || now >= until {
                        continue;
                    }
                    self.far.respond(id, &response, at(now));
                    let next = (wait * 2).min(4000);
                    self.chores.insert((now + wait, 0), Chore::Accept(id, response, next, until));
                }
            }
        }
    }
}

fn clear_after(dice: &mut Dice) -> Weather {
    let from = dice.below(40_000);
    // Half of them begin where they hurt most: with the request.
    let from = if dice.below(2) == 0 { from } else { dice.below(300) };
    let silence = (from, from + dice.below(SILENCE));
    Weather { loss: 0, double: dice.below(40), silence }
}

#[test]
fn what_the_far_side_said_arrives_through_any_silence_that_ends_in_time() {
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let (weather, plan) = (clear_after(&mut dice), Plan::roll(&mut dice));
        let mut world = World::new(seed, weather, plan);
        world.run();
        let about = format!("seed {seed} {:?} {plan:?}: {:?}", world.weather, world.outcomes);
        assert_eq!(world.outcomes.len(), 1, "{about}");
        assert_eq!(world.heard, 1, "{about}");
        let right = plan.answer.1.to_string();
        let outcome = &world.outcomes[0];
        assert!(*outcome == right || (plan.cancel.is_some() && outcome == "487"), "{about}");
        assert!(world.near.is_empty() && world.far.is_empty(), "{about}");
        *seen.entry(outcome.clone()).or_default() += 1;
    }
    for outcome in ["200", "486", "603", "302", "404", "503", "487"] {
        assert!(seen.get(outcome).is_some_and(|n| *n > 20), "{seen:?}");
    }
}

#[test]
fn every_request_ends_once_however_bad_the_network() {
    let mut failed = 0;
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed + SEEDS);
        // The last of them lose everything from some time on: the far side has died.
        let dies = if dice.below(4) == 0 { dice.below(40_000) } else { END };
        let weather = Weather { loss: dice.below(90), double: dice.below(60), silence: (dies, END) };
        let plan = Plan::roll(&mut dice);
        let mut world = World::new(seed, weather, plan);
        world.run();
        let about = format!("seed {seed} {:?} {plan:?}: {:?}", world.weather, world.outcomes);
        assert_eq!(world.outcomes.len(), 1, "{about}");
        assert!(world.heard <= 1, "{about}");
        let outcome = &world.outcomes[0];
        let lost = ["Timeout", "CancelUnanswered"].contains(&outcome.as_str());
        let right = plan.answer.1.to_string();
        assert!(lost || *outcome == right || (plan.cancel.is_some() && outcome == "487"), "{about}");
        assert!(world.near.is_empty() && world.far.is_empty(), "{about}");
        failed += u64::from(lost);
    }
    assert!((SEEDS / 20..SEEDS * 9 / 10).contains(&failed), "{failed}");
}

#[test]
fn over_a_clear_network_nothing_is_sent_twice() {
    let plan = Plan { method: "OPTIONS", ring: None, answer: (300, 200), cancel: None };
    let mut world = World::new(1, Weather { loss: 0, double: 0, silence: (0, 0) }, plan);
    world.run();
    assert_eq!((world.sent, world.outcomes), (2, vec!["200".to_owned()]));
    assert_eq!(Settings::default().give_up(), Duration::from_secs(32));
}
