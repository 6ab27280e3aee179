//! Scenarios of calls, against call control alone: what left it, in order, and that nothing is left over.

mod disorder;
mod emergency;
mod outgoing;
mod plan;
mod ringing;
mod talking;
mod trying;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::{CallControl, CallRecord, DialPlan, Effect, EmergencyNotice, Moment, Plan};
use crate::types::{
    Address, DeviceId, Dialled, EndCause, EventId, Identity, LegCommand, LegEvent, LegId, LineId,
    MediaCommand, MediaEvent, Now, NumberKind, Offer, PhoneNumber, Progress, PromptId, ShopId, Via,
};

/// A shop with a trunk of two channels and a SIM, three phones, and a group.
pub(super) fn data() -> DialPlan {
    serde_json::from_value(json!({
        "country": "US",
        "area_code": "206",
        "outside_prefix": "9",
        "location": "12 Main Street, ground floor",
        "lines": [
            {"id": "trunk", "number": "+12065550100", "channels": 2},
            {"id": "sim1", "number": "+12065550199", "channels": 1, "reserve": 1},
        ],
        "extensions": [
            {"number": "101", "name": "Front desk", "devices": ["desk", "cordless"], "ring_s": 20},
            {"number": "102", "name": "Workshop", "devices": ["shop"], "ring_s": 15,
             "direct": "+12065550102", "location": "12 Main Street, workshop"},
            {"number": "103", "devices": ["office"], "otherwise": {"extension": "101"}, "withhold": true},
        ],
        "groups": [
            {"name": "all", "members": [{"extension": "102"}, {"extension": "103"}], "ring_s": 20},
            {"name": "turn", "order": "sequential", "ring_s": 10,
             "members": [{"extension": "102"}, {"extension": "103"}, {"number": "+12065550777"}]},
        ],
        "numbers": {"600": {"group": "all"}, "601": {"group": "turn"}, "*43": {"flow": "echo"}, "*44": "echo", "*45": "tone"},
        "inbound": [
            {"open": {"extension": "102"}},
            {"number": "+12065550199", "open": {"group": "all"}, "closed": {"flow": "night"}},
        ],
        "outbound": [
            {"prefix": "", "lines": [{"line": "sim1", "per_minute": 5}, {"line": "trunk", "per_minute": 1}]},
        ],
    }))
    .unwrap()
}

/// Call control with its clock, and what has left it.
pub(super) struct Desk {
    pub(super) control: CallControl,
    pub(super) now: Now,
    pub(super) log: Vec<Effect>,
    seen: usize,
    played: Vec<(usize, LegId)>,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with(data())
    }

    pub(super) fn with(plan: DialPlan) -> Self {
        let control = CallControl::new(ShopId::from("main"), Plan::check(plan).unwrap(), EventId(7));
        let mut desk = Self {
            control,
            now: Now::at(1000, 1_700_000_000_000),
            log: Vec::new(),
            seen: 0,
            played: Vec::new(),
        };
        desk.line("trunk", true);
        desk.line("sim1", true);
        desk
    }

    fn drain(&mut self) {
        while let Some(effect) = self.control.poll_effect() {
            self.log.push(effect);
        }
    }

    pub(super) fn line(&mut self, line: &str, up: bool) {
        self.control.handle_line(&LineId::from(line), up, self.now);
        self.drain();
    }

    pub(super) fn say(&mut self, leg: &LegId, event: LegEvent) {
        self.control.handle_leg(leg, event, self.now);
        self.drain();
    }

    pub(super) fn over(&mut self, leg: &LegId, cause: EndCause) {
        self.say(leg, LegEvent::Ended { cause });
    }

    pub(super) fn refuse(&mut self, leg: &LegId, cause: EndCause) {
        self.say(leg, LegEvent::Refused { cause, retry_after: None });
    }

    pub(super) fn ring(&mut self, leg: &LegId) {
        self.say(leg, LegEvent::Progress(Progress::Ringing));
    }

    /// Moves the clock, firing each timer at its time.
    pub(super) fn wait(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        while let Some((due, _)) = self.control.poll_timeout().filter(|(due, _)| *due <= end) {
            self.now.mono = due.max(self.now.mono);
            self.control.handle_timeout(self.now);
            self.drain();
        }
        self.now.mono = end;
    }

    /// A phone of the shop dials.
    pub(super) fn phone(&mut self, device: &str, to: &str) -> LegId {
        self.offer(Via::Device(DeviceId::from(device)), None, to)
    }

    /// Somebody calls the shop.
    pub(super) fn caller(&mut self, line: &str, to: &str) -> LegId {
        let from = PhoneNumber::parse("+12065550142", None).unwrap();
        self.offer(Via::Line(LineId::from(line)), Some(from), to)
    }

    pub(super) fn offer(&mut self, via: Via, from: Option<PhoneNumber>, to: &str) -> LegId {
        let leg = LegId(format!("in{}", self.log.len()));
        let from = Identity { address: from.map(Address::Phone), ..Identity::default() };
        let offer = Offer { via, from, kind: NumberKind::Unknown, to: Dialled::from(to), emergency: false };
        self.say(&leg, LegEvent::Offered(offer));
        leg
    }

    /// The legs dialled since the last look, with where they were dialled.
    pub(super) fn dialled(&mut self) -> Vec<(String, LegId)> {
        let new = self.log[self.seen..].iter().filter_map(|effect| match effect {
            Effect::Leg(leg, LegCommand::Dial { via: Via::Line(line), .. }) => {
                Some((line.to_string(), leg.clone()))
            }
            Effect::Leg(leg, LegCommand::Dial { via: Via::Device(device), .. }) => {
                Some((device.to_string(), leg.clone()))
            }
            _ => None,
        });
        let new = new.collect();
        self.seen = self.log.len();
        new
    }

    /// The one leg dialled since the last look.
    pub(super) fn one(&mut self, place: &str) -> LegId {
        let mut dialled = self.dialled();
        assert_eq!(dialled.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), [place]);
        dialled.remove(0).1
    }

    /// What a leg was told, in order.
    pub(super) fn told(&self, leg: &LegId) -> Vec<LegCommand> {
        let own = self.log.iter().filter_map(|effect| match effect {
            Effect::Leg(to, command) if to == leg => Some(command.clone()),
            _ => None,
        });
        own.collect()
    }

    pub(super) fn hung_up(&self, leg: &LegId) -> Option<EndCause> {
        self.told(leg).into_iter().find_map(|c| match c {
            LegCommand::Hangup { cause } => Some(cause),
            _ => None,
        })
    }

    pub(super) fn media(&self) -> Vec<MediaCommand> {
        let media = self.log.iter().filter_map(|e| match e {
            Effect::Media(command) => Some(command.clone()),
            _ => None,
        });
        media.collect()
    }

    /// What each leg hears now, by what the media edge was told; faults of that are faults of the test's subject.
    pub(super) fn heard(&self) -> BTreeMap<LegId, String> {
        let mut heard: BTreeMap<LegId, String> = BTreeMap::new();
        let sound = |heard: &mut BTreeMap<LegId, String>, leg: &LegId, what: String| {
            assert_eq!(heard.insert(leg.clone(), what), None, "two sounds at once");
        };
        for (at, effect) in self.log.iter().enumerate() {
            for leg in self.played.iter().filter(|(len, _)| *len == at).map(|(_, leg)| leg) {
                heard.remove(leg);
            }
            match effect {
                Effect::Media(MediaCommand::Join(a, b)) => {
                    sound(&mut heard, a, b.to_string());
                    sound(&mut heard, b, a.to_string());
                }
                Effect::Media(MediaCommand::Part(a, b)) => {
                    assert_eq!(heard.remove(a), Some(b.to_string()), "parted what was not joined");
                    assert_eq!(heard.remove(b), Some(a.to_string()));
                }
                Effect::Media(MediaCommand::Play { leg, prompt, .. }) => {
                    sound(&mut heard, leg, format!("prompt {prompt}"));
                }
                Effect::Media(MediaCommand::Tone { leg, tone }) => {
                    sound(&mut heard, leg, format!("tone {tone:?}"))
                }
                Effect::Media(MediaCommand::Echo { leg }) => sound(&mut heard, leg, "echo".to_owned()),
                Effect::Media(MediaCommand::StopPlaying { leg }) => {
                    let stopped = heard.remove(leg).unwrap();
                    assert!(["prompt", "tone", "echo"].iter().any(|s| stopped.starts_with(s)));
                }
                Effect::Leg(leg, LegCommand::Hangup { .. }) => {
                    assert_eq!(heard.get(leg), None, "hung up and heard")
                }
                _ => {}
            }
        }
        heard
    }

    /// A prompt comes to its end.
    pub(super) fn played(&mut self, leg: &LegId, prompt: &str) {
        self.played.push((self.log.len(), leg.clone()));
        let event = MediaEvent::Played { leg: leg.clone(), prompt: PromptId::from(prompt) };
        self.control.handle_media(&event, self.now);
        self.drain();
    }

    /// Pairs that hear each other.
    pub(super) fn joined(&self) -> BTreeSet<(LegId, LegId)> {
        let heard = self.heard();
        let pair = |(a, b): (&LegId, &String)| {
            let b = LegId(b.clone());
            (*a < b && heard.contains_key(&b)).then(|| (a.clone(), b))
        };
        heard.iter().filter_map(pair).collect()
    }

    pub(super) fn talk(&self, a: &LegId, b: &LegId) -> bool {
        let pair = if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        self.joined().contains(&pair)
    }

    pub(super) fn records(&self, moment: Moment) -> Vec<CallRecord> {
        let records = self.log.iter().filter_map(|e| match e {
            Effect::Record(at, record) if *at == moment => Some((**record).clone()),
            _ => None,
        });
        records.collect()
    }

    pub(super) fn ends(&self) -> Vec<EndCause> {
        self.records(Moment::Ended).iter().filter_map(|r| r.ended.map(|(_, cause)| cause)).collect()
    }

    pub(super) fn texts(&self) -> usize {
        self.log.iter().filter(|e| matches!(e, Effect::TextBack { .. })).count()
    }

    pub(super) fn notices(&self) -> Vec<EmergencyNotice> {
        let notices = self.log.iter().filter_map(|e| match e {
            Effect::Emergency(notice) => Some(notice.clone()),
            _ => None,
        });
        notices.collect()
    }

    /// Nothing is left of any call.
    pub(super) fn is_empty(&self) {
        assert_eq!(self.control.leftovers(), "calls 0 legs 0 timers 0 channels 0 open 0");
        assert_eq!(self.heard(), BTreeMap::new());
    }

    /// A caller on the trunk talks with the workshop.
    pub(super) fn talking(&mut self) -> (LegId, LegId) {
        let caller = self.caller("trunk", "+12065550100");
        let phone = self.one("shop");
        self.say(&phone, LegEvent::Answered);
        assert!(self.talk(&caller, &phone));
        (caller, phone)
    }
}
