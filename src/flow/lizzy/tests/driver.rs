//! One customer and one shop in memory: the shipped flows, their executions, a dealer that answers what the test
//! wants, and virtual time. Reads like the conversation: what the customer texts, what the shop answers.
//!
//! Of the daemon it has only what the flows need: the newest execution hears the customer, `MENU` ends all and
//! starts the main menu, a text that nobody waits for starts it too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fixture::{self, PHONE, SHOP_NUMBER};
use crate::flow::{
    Awaiting, Definition, Effect, Ended, Env, Execution, HttpAnswer, Input, Limits, OrderAnswer, OrderKind,
    Trigger, lizzy,
};
use crate::types::{ExecutionSid, Now, OrderId};

/// Flow, event, widget left, widget entered.
pub(super) type Taken = BTreeSet<(String, String, String, String)>;

/// How the dealer answers a GET.
#[derive(Clone)]
pub(super) enum Answers {
    Fresh(Value),
    /// From the cache, so old.
    Stale(Value, Duration),
    Status(u16),
    Nothing,
}

/// One order that the flows placed.
pub(super) struct Placed {
    pub(super) kind: OrderKind,
    pub(super) body: Map<String, Value>,
    pub(super) about: Map<String, Value>,
}

struct Running {
    execution: Execution,
    timer: Option<(u64, u64)>,
}

pub(super) struct Talk {
    flows: &'static BTreeMap<String, Definition>,
    env: Env,
    pub(super) profile: Answers,
    pub(super) transactions: Answers,
    /// What becomes of an order that somebody waits for.
    pub(super) order_outcome: OrderAnswer,
    running: Vec<Running>,
    texts: VecDeque<String>,
    pub(super) handed: Vec<String>,
    pub(super) placed: Vec<Placed>,
    pub(super) requests: Vec<String>,
    /// How the last execution that ended did.
    pub(super) ended: Option<Ended>,
    pub(super) taken: Taken,
    clock: u64,
    wall: i64,
    count: u32,
    /// The customer wrote something that looks like Liquid: it may be said back.
    quotes_liquid: bool,
}

/// 2026-11-20, a Friday, 10:00 in Seattle.
const WALL: i64 = 1_795_197_600_000;

impl Talk {
    pub(super) fn new() -> Self {
        static PARSED: LazyLock<BTreeMap<String, Definition>> = LazyLock::new(parsed);
        let flows = &*PARSED;
        let vars = json!({
            "LIZZY_API_URL": "https://lizzy.example", "SHOP_NAME": "Hansen Outdoor Power",
            "SHOP_PHONE": "(206) 555-0100", "SILENCE_SECONDS": 900, "EMOJI": false, "DEALER_REACHABLE": true, "STAFF": true
        });
        let env = Env {
            vars: vars.as_object().cloned().expect("an object"),
            zone: jiff::tz::TimeZone::get("America/Los_Angeles").expect("bundled"),
            dealer_reachable: true,
            people: true,
            order_wait: Duration::from_secs(5),
            flows: flows.keys().map(|name| (name.clone(), format!("FW{name}"))).collect(),
            limits: Limits::default(),
        };
        Self {
            flows,
            env,
            profile: Answers::Fresh(fixture::profile()),
            transactions: Answers::Fresh(fixture::transactions()),
            order_outcome: OrderAnswer::Confirmed(confirmation()),
            running: Vec::new(),
            texts: VecDeque::new(),
            handed: Vec::new(),
            placed: Vec::new(),
            requests: Vec::new(),
            ended: None,
            taken: Taken::new(),
            clock: 0,
            wall: WALL,
            count: 0,
            quotes_liquid: false,
        }
    }

    /// The owner's switch.
    pub(super) fn emoji(&mut self) {
        self.env.vars.insert("EMOJI".into(), true.into());
    }

    pub(super) fn dealer_unreachable(&mut self) {
        self.env.dealer_reachable = false;
        self.env.vars.insert("DEALER_REACHABLE".into(), false.into());
    }

    /// From now on no flow of this name is published.
    pub(super) fn unpublish(&mut self, flow: &str) {
        self.env.flows.remove(flow);
    }

    pub(super) fn shop_has_no_number(&mut self) {
        self.env.vars.insert("SHOP_PHONE".into(), "".into());
    }

    pub(super) fn clock_was_never_set(&mut self) {
        self.wall = 0;
    }

    /// The customer texts.
    pub(super) fn customer(&mut self, text: &str) {
        assert!(self.texts.is_empty(), "unread when the customer texted {text:?}: {:?}", self.texts);
        self.clock += 20_000;
        self.quotes_liquid |= text.contains('{');
        let message = json!({"From": PHONE, "To": SHOP_NUMBER, "Body": text, "MessageSid": "SM1"});
        let message = message.as_object().cloned().expect("an object");
        if text.trim().eq_ignore_ascii_case("menu") {
            for at in (0..self.running.len()).rev() {
                self.feed(at, Input::Stop("MENU".into()));
            }
        }
        match self.foreground() {
            Some(at) => self.feed(at, Input::Reply(message)),
            None => self.start(lizzy::MAIN_MENU, Trigger::Message(message)),
        }
    }

    /// A program starts a flow for the customer, with whom nothing else is going on.
    pub(super) fn program(&mut self, flow: &str, parameters: Value) {
        self.running.clear();
        let parameters = parameters.as_object().cloned().expect("an object");
        self.start(flow, Trigger::Request { from: SHOP_NUMBER.into(), to: PHONE.into(), parameters });
    }

    /// Reads all that was said.
    pub(super) fn read(&mut self) -> Vec<String> {
        self.texts.drain(..).collect()
    }

    /// The next text is exactly this.
    #[track_caller]
    pub(super) fn says(&mut self, text: &str) {
        assert_eq!(self.texts.pop_front().as_deref(), Some(text));
    }

    /// The next text has all these parts, in this order.
    #[track_caller]
    pub(super) fn says_with(&mut self, parts: &[&str]) {
        let Some(text) = self.texts.pop_front() else { panic!("nothing was said; expected {parts:?}") };
        let mut rest = text.as_str();
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("{part:?} is not (there) in:\n{text}")
            };
            rest = after;
        }
    }

    /// Customer texts, shop answers with these parts.
    #[track_caller]
    pub(super) fn asks(&mut self, text: &str, parts: &[&str]) {
        self.customer(text);
        self.says_with(parts);
    }

    /// The customer says nothing until the wait is over.
    pub(super) fn silence(&mut self) {
        assert!(self.texts.is_empty(), "unread: {:?}", self.texts);
        let at = self.foreground().expect("nothing waits for the customer");
        let (id, due) = self.running[at].timer.expect("a question without a timer");
        assert_eq!(due - self.clock, 900_000, "fifteen minutes from the question");
        self.clock = due;
        self.feed(at, Input::TimerFired(id));
    }

    /// Nothing more was said and nothing waits for an answer.
    #[track_caller]
    pub(super) fn is_over(&mut self) {
        assert!(self.texts.is_empty(), "unread: {:?}", self.texts);
        assert_eq!(self.foreground(), None, "an execution still waits");
        assert_eq!(self.ended, Some(Ended::Completed));
    }

    /// Widget that waits for the customer.
    pub(super) fn waiting(&self) -> String {
        match self.foreground().map(|at| self.running[at].execution.awaiting()) {
            Some(Awaiting::Reply { widget, .. }) => widget,
            other => panic!("no question is open: {other:?}"),
        }
    }

    /// Flow in front.
    pub(super) fn flow(&self) -> &str {
        self.running[self.foreground().expect("nothing waits")].execution.flow()
    }

    /// Customer greets, picks from the main menu and reads what comes.
    pub(super) fn choose(&mut self, number: &str) {
        self.customer("Hi");
        self.says_with(&["Hansen Outdoor Power\n\nReply with a number:"]);
        self.customer(number);
    }

    /// Four wrong answers in a row end with the shop's number.
    #[track_caller]
    pub(super) fn tires_of(&mut self, wrong: &str, sorry: &str) {
        for _ in 0..3 {
            self.asks(wrong, &[sorry]);
        }
        self.asks(
            wrong,
            &["Sorry, we did not get an answer that we understand. Please call Hansen", "(206) 555-0100"],
        );
        self.is_over();
    }

    fn foreground(&self) -> Option<usize> {
        let last = self.running.len().checked_sub(1)?;
        matches!(self.running[last].execution.awaiting(), Awaiting::Reply { .. }).then_some(last)
    }

    fn now(&self) -> Now {
        let wall = self.wall + i64::try_from(self.clock).expect("small");
        Now { wall_sure: self.wall == WALL, ..Now::at(self.clock, wall) }
    }

    fn start(&mut self, flow: &str, trigger: Trigger) {
        self.count += 1;
        let sid = ExecutionSid(format!("FN{:032}", self.count));
        self.begin(sid, flow, trigger);
    }

    fn begin(&mut self, sid: ExecutionSid, flow: &str, trigger: Trigger) {
        let execution = Execution::new(sid, flow, &format!("FW{flow}"), 1, self.now());
        self.running.push(Running { execution, timer: None });
        self.feed(self.running.len() - 1, Input::Start(trigger));
    }

    fn feed(&mut self, at: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut started = Vec::new();
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            let running = &mut self.running[at];
            // What is stored is what goes on: every input also proves the round trip.
            let stored = serde_json::to_string(&running.execution).expect("serialises");
            running.execution = serde_json::from_str(&stored).expect("reads back");
            let flow = running.execution.flow().to_owned();
            let outcome = running.execution.handle(&self.flows[&flow], input, now, &self.env);
            for step in outcome.steps {
                self.taken.insert((flow.clone(), step.event, step.from, step.to));
            }
            for effect in outcome.effects {
                self.carry_out(at, effect, &mut inputs, &mut started);
            }
        }
        if matches!(self.running[at].execution.awaiting(), Awaiting::Ended) {
            self.running.remove(at);
        }
        for (sid, flow, parameters) in started {
            self.begin(
                sid,
                &flow,
                Trigger::Request { from: SHOP_NUMBER.into(), to: PHONE.into(), parameters },
            );
        }
    }

    fn carry_out(
        &mut self,
        at: usize,
        effect: Effect,
        inputs: &mut VecDeque<Input>,
        started: &mut Vec<(ExecutionSid, String, Map<String, Value>)>,
    ) {
        match effect {
            Effect::Send { id, body, to, prompt, .. } => {
                assert!(to.is_none_or(|to| to == PHONE), "only the customer is texted");
                self.check(&body);
                self.texts.push_back(body);
                if prompt {
                    inputs.extend([Input::PromptHanded(id.clone()), Input::PromptAccepted(id)]);
                }
            }
            Effect::SetTimer { id, after } => {
                let after = u64::try_from(after.as_millis()).expect("small");
                self.running[at].timer = Some((id, self.clock + after));
            }
            Effect::CancelTimer { id } => {
                self.running[at].timer = self.running[at].timer.filter(|(set, _)| *set != id);
            }
            Effect::Http { id, url, .. } => inputs.push_back(Input::HttpDone(id, self.answer(&url))),
            Effect::PlaceOrder { id, kind, body, about, wait } => {
                self.placed.push(Placed { kind, body, about });
                if wait {
                    inputs.push_back(Input::OrderDone(OrderId(id.0), self.order_outcome.clone()));
                }
            }
            Effect::StartFlow { sid, flow, parameters } => started.push((sid, flow, parameters)),
            Effect::StartSubflow { flow, .. } => panic!("no shipped flow runs {flow} as a subflow"),
            Effect::HandToPeople { note } => self.handed.push(note),
            Effect::Ended(ended) => self.ended = Some(ended),
        }
    }

    fn answer(&mut self, url: &str) -> HttpAnswer {
        self.requests.push(url.to_owned());
        let by_phone = "https://lizzy.example/api/customers/by-phone/%2B12065550101\
                        ?include=equipment,addresses,resources,parts";
        let transactions = "https://lizzy.example/api/customers/C100/transactions?include=service_orders,parts_orders,invoices";
        let answers = if url == by_phone {
            &self.profile
        } else if url == transactions {
            &self.transactions
        } else {
            panic!("the dealer has no {url}")
        };
        let answered = |status, body: String, age: Option<Duration>| HttpAnswer::Answered {
            status,
            content_type: "application/json".into(),
            body,
            stale: age.is_some(),
            age,
        };
        match answers {
            Answers::Fresh(body) => answered(200, body.to_string(), None),
            Answers::Stale(body, age) => answered(200, body.to_string(), Some(*age)),
            Answers::Status(status) => answered(*status, "{}".into(), None),
            Answers::Nothing => HttpAnswer::Failed { why: "unreachable".into() },
        }
    }

    /// What holds for every text: no leftovers of a template, tidy, GSM-7 without emoji, at most six segments.
    fn check(&self, body: &str) {
        let liquid = body.contains("{{") || body.contains("{%") || body.contains("%}");
        assert!(!liquid || self.quotes_liquid, "{body}");
        assert_eq!(body, body.trim(), "stray space around the text");
        assert!(!body.contains("\n\n\n") && !body.contains(" \n") && !body.contains("  "), "untidy:\n{body}");
        let emoji = self.env.vars["EMOJI"] == json!(true);
        let foreign: String = body.chars().filter(|c| !is_gsm7(*c)).collect();
        let allowed = if emoji { "📺📖📄💳✅💵📦🚚" } else { "" };
        assert!(foreign.chars().all(|c| allowed.contains(c)), "{foreign:?} in:\n{body}");
        assert!(emoji || body.chars().count() <= 6 * 153, "more than six segments:\n{body}");
    }
}

fn parsed() -> BTreeMap<String, Definition> {
    let parse = |(name, json): &(&str, &str)| {
        let json: Value = serde_json::from_str(json).expect(name);
        let (definition, _) = Definition::parse(&json).expect(name);
        ((*name).to_owned(), definition)
    };
    lizzy::FLOWS.iter().map(parse).collect()
}

/// The dealer's answer to a parts order.
pub(super) fn confirmation() -> Map<String, Value> {
    let answer = json!({
        "order_id": "P-900", "total": 25.9, "invoice_url": "https://i.example/900",
        "payment_url": "https://p.example/900", "estimated_delivery": "2026-11-27"
    });
    answer.as_object().cloned().expect("an object")
}

/// The tables of 3GPP TS 23.038 §6.2.1; only what a customer wrote is ever in the second, where each costs two.
fn is_gsm7(c: char) -> bool {
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
     abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€"
        .contains(c)
}
