//! Any order of events: one end cause each, and nothing left over.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::call::{Cap, Command};
use crate::types::{CallId, Cents, Dtmf, TransferTarget};

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Happening {
    Call { via: usize, to: usize },
    Leg { which: usize, event: LegEvent },
    Attended { which: usize, other: usize },
    Line { trunk: bool, up: bool },
    Wait(u64),
    Hang(usize),
    Hold(usize, bool),
}

const VIAS: [&str; 6] = ["desk", "shop", "office", "guest", "line:trunk", "line:sim1"];
const NUMBERS: [&str; 12] = [
    "102",
    "103",
    "600",
    "601",
    "*43",
    "2065550111",
    "12065550112",
    "911",
    "933",
    "+442079460000",
    "nonsense",
    "+12065550199",
];

fn cause() -> impl Strategy<Value = EndCause> {
    proptest::sample::select(EndCause::ALL.to_vec())
}

fn event() -> impl Strategy<Value = LegEvent> {
    let key = Dtmf::try_from('1').unwrap();
    prop_oneof![
        4 => Just(LegEvent::Answered),
        2 => Just(LegEvent::Progress(Progress::Ringing)),
        1 => Just(LegEvent::Progress(Progress::EarlyMedia)),
        1 => any::<bool>().prop_map(move |carried| LegEvent::Dtmf { key, carried }),
        1 => Just(LegEvent::HoldRequested),
        1 => Just(LegEvent::Resumed),
        1 => Just(LegEvent::MediaSilent),
        2 => proptest::sample::select(NUMBERS.to_vec())
            .prop_map(|to| LegEvent::TransferAsked(TransferTarget::Blind(to.into()))),
        2 => cause().prop_map(|cause| LegEvent::Ended { cause }),
        2 => (cause(), proptest::option::of(0u64..90)).prop_map(|(cause, rest)| LegEvent::Refused {
            cause,
            retry_after: rest.map(Duration::from_secs),
        }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..VIAS.len(), 0..NUMBERS.len()).prop_map(|(via, to)| Happening::Call { via, to }),
        12 => (0usize..64, event()).prop_map(|(which, event)| Happening::Leg { which, event }),
        2 => (0usize..64, 0usize..64).prop_map(|(which, other)| Happening::Attended { which, other }),
        1 => any::<(bool, bool)>().prop_map(|(trunk, up)| Happening::Line { trunk, up }),
        2 => (0u64..70).prop_map(Happening::Wait),
        1 => (0usize..64).prop_map(Happening::Hang),
        1 => (0usize..64, any::<bool>()).prop_map(|(which, on)| Happening::Hold(which, on)),
    ]
}

/// A desk, and all legs that ever were, most recent first when chosen.
struct Shop {
    desk: Desk,
    legs: Vec<LegId>,
    read: usize,
    reported: BTreeSet<LegId>,
}

impl Shop {
    fn new(plan: DialPlan) -> Self {
        Self { desk: Desk::with(plan), legs: Vec::new(), read: 0, reported: BTreeSet::new() }
    }

    fn leg(&self, which: usize) -> Option<LegId> {
        let count = self.legs.len();
        (count > 0).then(|| self.legs[count - 1 - which % count.min(8)].clone())
    }

    fn note(&mut self) {
        for effect in &self.desk.log[self.read..] {
            if let Effect::Leg(leg, LegCommand::Dial { .. }) = effect {
                self.legs.push(leg.clone());
            }
        }
        self.read = self.desk.log.len();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Call { via, to } => {
                let via = match VIAS[via].strip_prefix("line:") {
                    Some(line) => Via::Line(LineId::from(line)),
                    None => Via::Device(DeviceId::from(VIAS[via])),
                };
                let leg = self.desk.offer(via, PhoneNumber::parse("+12065550142", None).ok(), NUMBERS[to]);
                self.legs.push(leg);
            }
            Happening::Leg { which, event } => {
                if let Some(leg) = self.leg(which) {
                    if matches!(event, LegEvent::Ended { .. } | LegEvent::Refused { .. }) {
                        self.reported.insert(leg.clone());
                    }
                    self.desk.say(&leg, event);
                }
            }
            Happening::Attended { which, other } => {
                // A phone transfers from one of its calls to another of its own, or it is refused.
                if let (Some(leg), Some(other)) = (self.leg(which), self.leg(other)) {
                    self.desk.say(&leg, LegEvent::TransferAsked(TransferTarget::Attended(other)));
                }
            }
            Happening::Line { trunk, up } => self.desk.line(if trunk { "trunk" } else { "sim1" }, up),
            Happening::Wait(seconds) => self.desk.wait(seconds),
            Happening::Hang(which) => {
                let call = self.leg(which).and_then(|leg| self.desk.control.call_of(&leg).cloned());
                if let Some(call) = call {
                    self.desk.command(Command::Hangup { call });
                }
            }
            Happening::Hold(which, on) => {
                if let Some(leg) = self.leg(which) {
                    let command = if on { Command::Hold { leg } } else { Command::Resume { leg } };
                    self.desk.control.handle_command(command, self.desk.now).ok();
                    self.desk.drain();
                }
            }
        }
        self.note();
        self.invariants();
    }

    /// What holds after every step: the legs of call control are those that edges have, and what they hear makes sense.
    fn invariants(&self) {
        let mut live: BTreeSet<&LegId> = BTreeSet::new();
        let mut over: BTreeSet<&LegId> = self.reported.iter().collect();
        for effect in &self.desk.log {
            match effect {
                Effect::Leg(leg, LegCommand::Dial { .. }) => {
                    live.insert(leg);
                }
                Effect::Leg(leg, LegCommand::Hangup { .. }) => {
                    over.insert(leg);
                }
                _ => {}
            }
        }
        for leg in &self.legs {
            live.insert(leg);
            let has = live.contains(leg) && !over.contains(leg);
            assert_eq!(self.desk.control.call_of(leg).is_some(), has, "{leg}");
        }
        assert_eq!(self.desk.control.loose_timers(), 0);
        for leg in self.desk.heard().keys() {
            assert!(self.desk.control.call_of(leg).is_some(), "{leg} hears and is not there");
        }
    }

    /// Everybody hangs up: whatever is left then is left for ever.
    fn close(&mut self) {
        for _ in 0..4 {
            for leg in self.legs.clone() {
                self.desk.over(&leg, EndCause::Hangup);
            }
            self.note();
        }
        self.desk.wait(24 * 3600);
        self.note();
        for leg in self.legs.clone() {
            self.desk.over(&leg, EndCause::Hangup);
        }
        self.desk.wait(24 * 3600);
    }

    fn one_end_each(&self) {
        let mut moments: BTreeMap<CallId, (u32, u32, u32)> = BTreeMap::new();
        for effect in &self.desk.log {
            if let Effect::Record(moment, record) = effect {
                let (started, answered, ended) = moments.entry(record.id.clone()).or_default();
                match moment {
                    Moment::Started => *started += 1,
                    Moment::Answered => *answered += 1,
                    Moment::Charged => {}
                    Moment::Ended => *ended += 1,
                }
                assert!(*ended <= 1, "a record after its end");
                assert_eq!(record.ended.is_some(), *moment == Moment::Ended);
            }
        }
        for (id, (started, answered, ended)) in moments {
            assert!(started == 1 && answered <= 1 && ended == 1, "{id}: {started} {answered} {ended}");
        }
    }

    /// Every leg that was made was told to end, or told us that it had.
    fn no_leg_lives(&self) {
        assert_eq!(self.desk.control.leftovers(), "calls 0 legs 0 timers 0 channels 0 open 0");
        assert_eq!(self.desk.heard(), BTreeMap::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_ends_every_call_once_and_leaves_nothing(
        happenings in proptest::collection::vec(happening(), 1..60)
    ) {
        let mut shop = Shop::new(data());
        for happening in happenings {
            shop.happen(happening);
        }
        shop.close();
        shop.one_end_each();
        shop.no_leg_lives();
    }

    #[test]
    fn answers_hangups_and_transfers_interleave_without_harm(
        order in proptest::collection::vec((0usize..3, 0u8..5), 1..24)
    ) {
        let mut shop = Shop::new(data());
        shop.happen(Happening::Call { via: 5, to: 11 });
        for (which, what) in order {
            let event = match what {
                0 | 1 => LegEvent::Answered,
                2 => LegEvent::Ended { cause: EndCause::Hangup },
                3 => LegEvent::Refused { cause: EndCause::Busy, retry_after: None },
                _ => LegEvent::TransferAsked(TransferTarget::Blind("102".into())),
            };
            shop.happen(Happening::Leg { which, event });
            assert!(shop.desk.joined().len() <= 1, "three in one call");
        }
        shop.close();
        shop.one_end_each();
        shop.no_leg_lives();
    }

    #[test]
    fn caps_are_never_passed_however_many_call_at_once(
        happenings in proptest::collection::vec(happening(), 1..80),
        calls in 1u32..6, minutes in 1u32..8, spend in 1i64..30,
    ) {
        let mut plan = data();
        plan.lines[0].channels = 20;
        plan.caps.shop = Cap { calls, minutes, spend: Cents(spend) };
        plan.caps.user = Cap { calls: calls.div_ceil(2), minutes, spend: Cents(spend) };
        let caps = plan.caps;
        let mut shop = Shop::new(plan);
        for happening in happenings {
            shop.happen(happening);
            let ledger = shop.desk.control.ledger();
            assert!(ledger.shop.within(&caps.shop));
            assert!(ledger.users.values().all(|t| t.within(&caps.user)));
            assert!(ledger.destinations.values().all(|t| t.within(&caps.destination)));
        }
        shop.close();
        shop.no_leg_lives();
        let charged: u32 = shop.desk.records(Moment::Ended).iter().flat_map(|r| {
            r.charges().map(|c| c.minutes).collect::<Vec<_>>()
        }).sum();
        assert!(charged <= minutes, "the records say {charged} of {minutes}");
    }

    #[test]
    fn a_call_for_help_always_gets_a_line_when_one_is_up(
        happenings in proptest::collection::vec(happening(), 0..40),
        trunk in any::<bool>(),
    ) {
        let mut plan = data();
        // More channels than phones can call for help on before.
        plan.lines[0].channels = 80;
        plan.lines[1].channels = 80;
        let mut shop = Shop::new(plan);
        for happening in happenings {
            shop.happen(happening);
        }
        shop.happen(Happening::Line { trunk, up: true });
        shop.happen(Happening::Line { trunk: !trunk, up: false });
        shop.desk.dialled();
        shop.desk.phone("desk", "911");
        let place = shop.desk.dialled().first().map(|(p, _)| p.clone());
        assert_eq!(place.as_deref(), Some(if trunk { "trunk" } else { "sim1" }));
    }

    #[test]
    fn the_only_channel_is_cleared_for_a_call_for_help(
        happenings in proptest::collection::vec(happening(), 0..40)
    ) {
        let ordinary = happenings.into_iter().filter(|h| !matches!(
            h, Happening::Call { to: 7, .. } | Happening::Leg { event: LegEvent::TransferAsked(_), .. }
        ));
        let mut shop = Shop::new(data());
        for happening in ordinary {
            shop.happen(happening);
        }
        shop.happen(Happening::Line { trunk: true, up: false });
        shop.happen(Happening::Line { trunk: false, up: true });
        shop.desk.dialled();
        shop.desk.phone("desk", "911");
        let place = shop.desk.dialled().first().map(|(p, _)| p.clone());
        assert_eq!(place.as_deref(), Some("sim1"));
    }
}
