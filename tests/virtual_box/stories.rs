//! Whatever may happen to a shop in whatever order, watched text by text by somebody who knows nothing but the rules: who
//! said STOP hears nothing more. The single cases are in `blocked` and `consent`.

use std::collections::BTreeSet;
use std::time::Duration;

use backroom::daemon::core::{Command, ConsentAsk, Imported};
use backroom::messaging::ledger::{Act, Exempt, Origin, Purpose, Scope, Topic};
use backroom::types::{LineEvent, PhoneNumber, ShopId};
use proptest::prelude::*;
use serde_json::json;

use super::blocked::*;
use super::consent::*;
use super::conversations::JANE;
use super::harness::*;
use super::upstream_sim::Fate;

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text, None).unwrap()
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happens {
    /// Jane texts by a line.
    Text(usize, &'static str),
    /// Somebody on the staff does.
    Staff(&'static str),
    /// A program or the owner sends.
    Send(Purpose),
    /// With a file, or a template in place of words, perhaps by WhatsApp.
    SendWith(usize, Purpose, bool),
    SendNorth,
    /// STOP comes in while the modem asks for this part of a text to her.
    StopAtPrompt(usize),
    Teller,
    MissedCall,
    Order,
    DealerBack,
    Unplug(usize),
    PlugIn(usize),
    /// A modem takes a text and says nothing, the power fails, perhaps she says STOP by a line, staff send it again.
    Doubt(Option<usize>),
    /// A text is lost at the upstream, and STOP comes by a line before it would be sent again.
    Lost(Fate, usize),
    /// Texts wait, and STOP comes by a line before they may leave.
    Waits(Waits, usize),
    Restart,
    Minutes(u64),
    /// She says STOP at the upstream, out of the box's sight.
    OptsOut,
    Import(Reach),
    /// What the owner enters, also what was said by voice.
    Enter(Act, Option<usize>, Origin),
    /// Somebody brings again what an upstream told once.
    Again(usize),
    /// Everything up to now is taken over.
    Cursor,
}

/// What texts wait for.
#[derive(Clone, Copy, Debug)]
enum Waits {
    Pace,
    Line,
    Hours,
}

/// How far an imported block reaches.
#[derive(Clone, Copy, Debug)]
enum Reach {
    Shop,
    Line(usize),
    Number(usize),
}

impl Reach {
    fn scope(self) -> Scope {
        match self {
            Self::Shop => Scope::Shop,
            Self::Line(line) => Scope::Line(lines()[line].clone()),
            Self::Number(line) => Scope::Number(number_of(line)),
        }
    }
}

fn number_of(line: usize) -> PhoneNumber {
    number(match line {
        2 => UPSTREAM,
        3 => WHATSAPP,
        _ => SHOP_NUMBER,
    })
}

fn happens() -> impl Strategy<Value = Happens> {
    let words = prop::sample::select(vec![
        "hi",
        "2",
        "1",
        "7",
        "STOP",
        "stop.",
        "END",
        "S T O P",
        "Arr\u{ea}t",
        "Opt-out",
        "START",
        "unstop",
        "yes",
        "HELP",
        "MENU",
        "please stop texting me",
        "ALTO",
    ]);
    let staff = prop::sample::select(vec![
        "#1 hello Jane",
        "#1 STOP",
        "#1 unsubscribe",
        "#1 OK",
        "STOP",
        "START",
        "#1 DONE",
    ]);
    let purpose = prop::sample::select(vec![
        Purpose::Reply,
        Purpose::Informational,
        Purpose::Marketing,
        Purpose::Exempt(Exempt::Emergency),
    ]);
    let fate = prop::sample::select(vec![
        Fate::AnswerLost,
        Fate::RequestLost,
        Fate::RequestLost,
        Fate::Silent,
        Fate::NotTried,
        Fate::Busy(30),
    ]);
    let waits = prop::sample::select(vec![Waits::Pace, Waits::Line, Waits::Hours]);
    let reach = prop_oneof![
        Just(Reach::Shop),
        (0usize..4).prop_map(Reach::Line),
        (0usize..4).prop_map(Reach::Number)
    ];
    let act = prop::sample::select(vec![
        Act::Block,
        Act::Unblock,
        Act::Consent(Topic::Marketing),
        Act::Consent(Topic::Marketing),
        Act::Consent(Topic::Informational),
        Act::Withdrawal(Topic::Marketing),
        Act::Withdrawal(Topic::Informational),
        Act::Pause,
        Act::Resume,
    ]);
    let origin = prop::sample::select(vec![Origin::Voice, Origin::Form, Origin::Staff]);
    prop_oneof![
        8 => (0usize..5, words).prop_map(|(line, words)| Happens::Text(line, words)),
        2 => staff.prop_map(Happens::Staff),
        4 => purpose.clone().prop_map(Happens::Send),
        3 => (0usize..4, purpose, any::<bool>()).prop_map(|(with, purpose, wa)| Happens::SendWith(with, purpose, wa)),
        1 => Just(Happens::SendNorth),
        1 => (0usize..2).prop_map(Happens::StopAtPrompt),
        1 => Just(Happens::Teller),
        1 => Just(Happens::MissedCall),
        1 => Just(Happens::Order),
        1 => Just(Happens::DealerBack),
        2 => (0usize..4).prop_map(Happens::Unplug),
        2 => (0usize..4).prop_map(Happens::PlugIn),
        1 => prop::option::of(0usize..4).prop_map(Happens::Doubt),
        2 => (fate, 0usize..4).prop_map(|(fate, line)| Happens::Lost(fate, line)),
        1 => (waits, 0usize..4).prop_map(|(waits, line)| Happens::Waits(waits, line)),
        1 => Just(Happens::Restart),
        2 => prop::sample::select(vec![1u64, 6, 30, 700, 1500]).prop_map(Happens::Minutes),
        1 => Just(Happens::OptsOut),
        1 => reach.prop_map(Happens::Import),
        3 => (act, prop::option::of(0usize..4), origin).prop_map(|(act, line, origin)| Happens::Enter(act, line, origin)),
        1 => (0usize..1000).prop_map(Happens::Again),
        1 => Just(Happens::Cursor),
    ]
}

/// What a person who reads the rules would say of Jane, the staff and the lines.
#[derive(Default)]
struct Told {
    blocks: BTreeSet<Scope>,
    offers: BTreeSet<Scope>,
    declined: BTreeSet<(Topic, Scope)>,
    paused: bool,
    north: bool,
    staff: bool,
    out: BTreeSet<usize>,
    calls: usize,
    seen: usize,
    tried: usize,
}

fn covers(scope: &Scope, line: usize) -> bool {
    match scope {
        Scope::Shop => true,
        Scope::Line(id) => *id == lines()[line],
        Scope::Number(number) => *number == number_of(line),
    }
}

impl Told {
    /// Jane's own words, on a line that works.
    fn hears(&mut self, line: usize, words: &str) {
        let everywhere = self.blocks.contains(&Scope::Shop);
        match words {
            "STOP" | "stop." | "END" | "Arr\u{ea}t" | "S T O P" | "Opt-out" if line == 4 => self.north = true,
            "START" | "unstop" | "yes" if line == 4 => self.north = false,
            _ if line == 4 => {}
            "STOP" | "stop." | "END" | "Arr\u{ea}t" | "S T O P" | "Opt-out" => self.block(Scope::Shop),
            "START" | "unstop" => self.starts(line),
            "yes" if everywhere => self.starts(line),
            "please stop texting me" | "ALTO" if !everywhere => self.paused = true,
            _ => {}
        }
    }

    fn block(&mut self, scope: Scope) {
        self.blocks.insert(scope);
        self.offers.clear();
    }

    /// It lifts all but what is held at other numbers.
    fn starts(&mut self, line: usize) {
        let own = (line != 3).then(|| number_of(line));
        self.blocks.retain(|scope| matches!(scope, Scope::Number(held) if Some(held) != own.as_ref()));
        if !self.blocks.is_empty() {
            self.offers.clear();
        }
    }

    fn enters(&mut self, act: Act, scope: Scope) {
        let within = |other: &Scope| scope == Scope::Shop || *other == scope;
        match act {
            Act::Block => self.block(scope),
            Act::Unblock => self.blocks.retain(|other| !within(other)),
            Act::Consent(topic) => {
                self.declined.retain(|(t, other)| *t != topic || !within(other));
                if topic == Topic::Marketing {
                    self.offers.insert(scope);
                    self.paused = false;
                }
            }
            Act::Withdrawal(topic) => {
                if topic == Topic::Marketing {
                    self.offers.retain(|other| !within(other));
                }
                self.declined.insert((topic, scope));
            }
            Act::Pause => self.paused = true,
            Act::Resume => self.paused = false,
        }
    }

    fn is_blocked(&self, line: usize) -> bool {
        self.blocks.iter().any(|scope| covers(scope, line))
    }

    /// Whether a text with these words may go to Jane by this line.
    fn may_go(&self, line: usize, body: &str) -> bool {
        let declined = |topic| self.declined.iter().any(|(t, scope)| *t == topic && covers(scope, line));
        if body.contains("unsubscribed from") || body == "Do not drive" {
            return true;
        }
        let kind = match body {
            "Sale!" => {
                let agreed = self.offers.iter().any(|scope| covers(scope, line));
                agreed && !self.paused && !declined(Topic::Marketing)
            }
            "Your order" | "it waits" | "lost on the way" | "in doubt" => !declined(Topic::Informational),
            _ => true,
        };
        kind && !self.is_blocked(line)
    }

    /// Looks at everything that left since it was looked at last.
    fn watch(&mut self, b: &mut VirtualBox, at: usize, what: &Happens) -> Result<(), TestCaseError> {
        let opted_out = at_twilio(b).opted_out.contains(JANE);
        let held = Scope::Number(number_of(2));
        let tried: Vec<String> = at_twilio(b).tried[self.tried..].to_vec();
        self.tried += tried.len();
        for to in tried {
            // An emergency may be tried there when there is no other way.
            let narrow = |line| self.blocks.iter().any(|scope| *scope != Scope::Shop && covers(scope, line));
            let knew = self.blocks.contains(&held) && to == JANE && !(0..3).all(narrow);
            prop_assert!(!knew, "{at} {what:?}: tried at the upstream after 21610");
            if opted_out && to == JANE && !self.blocks.contains(&held) {
                self.block(held.clone());
            }
        }
        for text in &b.order_of_texts()[self.seen..] {
            let line = lines().iter().position(|id| *id == text.line).unwrap();
            let may = match text.to.as_str() {
                JANE if line == 4 => !self.north || text.body.contains("unsubscribed from"),
                JANE => self.may_go(line, &text.body),
                STAFF => !self.staff || text.body.contains("unsubscribed from"),
                other => !other.ends_with("5550142") || self.blocks.is_empty(),
            };
            prop_assert!(may, "{at} {what:?}: {text:?}");
        }
        self.seen = b.order_of_texts().len();
        Ok(())
    }

    fn is_out(&self, wanted: &[usize]) -> bool {
        wanted.iter().any(|line| self.out.contains(line))
    }
}

fn text_for(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reply => "from a program",
        Purpose::Informational => "Your order",
        Purpose::Marketing => "Sale!",
        Purpose::Exempt(_) => "Do not drive",
    }
}

async fn jane_says(b: &mut VirtualBox, told: &mut Told, line: usize, words: &str) {
    if line == 2 && matches!(words, "START" | "unstop" | "yes") {
        at_twilio(b).opted_out.remove(JANE);
    }
    if line == 2 && matches!(words, "STOP" | "stop." | "END") {
        at_twilio(b).opted_out.insert(JANE.to_owned());
    }
    told.hears(line, words);
    says(b, line, words).await;
}

async fn lost(b: &mut VirtualBox, told: &mut Told, what: &Happens, at: usize) -> Result<(), TestCaseError> {
    let Happens::Lost(fate, line) = what else { return Ok(()) };
    jane_says(b, told, 2, "hi").await;
    at_twilio(b).fates.push_back(*fate);
    let _refused = b.ask(send("lost on the way", Purpose::Informational)).await;
    told.watch(b, at, what)?;
    jane_says(b, told, *line, "STOP").await;
    told.watch(b, at, what)?;
    b.advance(minutes(15)).await;
    at_twilio(b).fates.clear();
    for message in unknown(b).await {
        let _refused = b.ask(resend(message)).await;
    }
    b.advance(minutes(5)).await;
    told.watch(b, at, what)
}

async fn waits(b: &mut VirtualBox, told: &mut Told, what: &Happens, at: usize) -> Result<(), TestCaseError> {
    let Happens::Waits(waits, line) = what else { return Ok(()) };
    let (home, key, then, normal) = match waits {
        Waits::Pace => (2, "sms.pace", json!(600), json!(1)),
        Waits::Line => (1, "sms.failover", json!(3600), json!(5)),
        Waits::Hours => (0, "marketing.hours", json!("23-24"), json!("9-20")),
    };
    jane_says(b, told, home, "hi").await;
    b.ask(set(key, then)).await.unwrap();
    match waits {
        Waits::Pace | Waits::Line => {
            if matches!(waits, Waits::Line) {
                b.unplug(&two());
                b.pump().await;
            }
            for _ in 0..3 {
                let _refused = b.ask(send("it waits", Purpose::Informational)).await;
            }
        }
        Waits::Hours => {
            b.ask(enter(Act::Consent(Topic::Marketing))).await.unwrap();
            told.enters(Act::Consent(Topic::Marketing), Scope::Shop);
            let _refused = b.ask(send("Sale!", Purpose::Marketing)).await;
        }
    }
    told.watch(b, at, what)?;
    if !(matches!(waits, Waits::Line) && *line == 1) {
        jane_says(b, told, *line, "stop.").await;
    }
    told.watch(b, at, what)?;
    b.ask(set(key, normal)).await.unwrap();
    if matches!(waits, Waits::Line) {
        b.plug_in(&two());
        b.pump().await;
    }
    b.advance(minutes(if matches!(waits, Waits::Hours) { 1500 } else { 40 })).await;
    told.watch(b, at, what)
}

async fn doubt(b: &mut VirtualBox, told: &mut Told, what: &Happens, at: usize) -> Result<(), TestCaseError> {
    let Happens::Doubt(stop) = what else { return Ok(()) };
    let stop = stop.filter(|line| !told.is_out(&[*line]));
    b.mute(&sim(), true);
    let _refused = b.ask(send("in doubt", Purpose::Informational)).await;
    b.power_cut().await;
    b.mute(&sim(), false);
    b.power_back(Duration::from_secs(5), true).await;
    told.watch(b, at, what)?;
    if let Some(line) = stop {
        jane_says(b, told, line, "STOP").await;
    }
    for message in unknown(b).await {
        let _refused = b.ask(resend(message)).await;
    }
    told.watch(b, at, what)
}

async fn happen(b: &mut VirtualBox, told: &mut Told, what: &Happens, at: usize) -> Result<(), TestCaseError> {
    match what {
        Happens::Text(line, _) | Happens::Unplug(line) if told.is_out(&[*line]) => {}
        Happens::Text(line, words) => jane_says(b, told, *line, words).await,
        Happens::Staff(_) | Happens::StopAtPrompt(_) | Happens::Teller | Happens::Order
            if told.is_out(&[0]) => {}
        Happens::Staff(words) => {
            match *words {
                "STOP" => told.staff = true,
                "START" => told.staff = false,
                "#1 STOP" | "#1 unsubscribe" if !told.staff => told.block(Scope::Shop),
                "#1 OK" if !told.staff => told.paused = false,
                _ => {}
            }
            b.text(STAFF, words).await;
        }
        Happens::Send(purpose) => drop(b.ask(send(text_for(*purpose), *purpose)).await),
        Happens::SendWith(with, purpose, by_whatsapp) => {
            let (words, with) = enclosures()[*with].clone();
            // What reaches everybody is told apart by its words, and these have none.
            let purpose = match purpose {
                Purpose::Exempt(_) => Purpose::Informational,
                Purpose::Reply | Purpose::Informational | Purpose::Marketing => *purpose,
            };
            let to = if *by_whatsapp { format!("whatsapp:{JANE}") } else { JANE.to_owned() };
            let body = if words.is_empty() { "" } else { text_for(purpose) };
            let _refused = b.ask(send_with(&to, body, purpose, with)).await;
        }
        Happens::SendNorth => {
            let (shop, to, body) = (ShopId::from("north"), JANE.to_owned(), "from north".to_owned());
            let _refused = b.ask(Command::Send { shop, to, body }).await;
        }
        Happens::StopAtPrompt(part) => {
            b.stop_at_prompt = Some((sim(), JANE.to_owned()));
            b.prompts_before_stop = *part;
            let _refused =
                b.ask(send(&"at the last moment ".repeat(1 + 9 * part), Purpose::Informational)).await;
            b.prompts_before_stop = 0;
            if b.stop_at_prompt.take().is_none() {
                told.block(Scope::Shop);
            }
        }
        Happens::Teller => teller_speaks(b).await,
        Happens::MissedCall => {
            told.calls += 1;
            missed_call(b, told.calls).await;
        }
        Happens::Order => {
            for text in ["MENU", "2", "1", "Pull cord is stuck", "2"] {
                b.text(JANE, text).await;
            }
            b.dealer.mood = DealerMood::Down;
            b.text(JANE, "1").await;
        }
        Happens::DealerBack => {
            b.dealer.mood = DealerMood::Up;
            b.advance(minutes(6)).await;
        }
        Happens::Unplug(line) => {
            told.out.insert(*line);
            b.unplug(&lines()[*line]);
            b.pump().await;
        }
        Happens::PlugIn(line) => {
            told.out.remove(line);
            b.plug_in(&lines()[*line]);
            b.pump().await;
        }
        Happens::Doubt(_) => doubt(b, told, what, at).await?,
        Happens::Lost(_, line) if told.is_out(&[2, *line]) => {}
        Happens::Waits(_, line) if told.is_out(&[0, 1, 2, *line]) => {}
        Happens::Lost(..) => lost(b, told, what, at).await?,
        Happens::Waits(..) => waits(b, told, what, at).await?,
        Happens::Restart => {
            b.power_cut().await;
            b.power_back(Duration::from_secs(5), true).await;
        }
        Happens::Minutes(n) => b.advance(minutes(*n)).await,
        Happens::OptsOut => drop(at_twilio(b).opted_out.insert(JANE.to_owned())),
        Happens::Import(reach) => {
            let (at, scope, words) = (b.clock_wall(), reach.scope(), String::new());
            let (subject, act, proof) = (number(JANE), Act::Block, format!("a list of {}", at.0));
            let ask = ConsentAsk::Import(vec![Imported { subject, act, scope, words, proof, at }]);
            b.ask(Command::Consent { shop: main_shop(), ask, by: "owner".into() }).await.unwrap();
            told.block(reach.scope());
        }
        Happens::Enter(act, line, origin) => {
            let line = line.map(|line| lines()[line].clone());
            let (person, words, proof) = (JANE.to_owned(), "as she said".to_owned(), "call 7".to_owned());
            let ask =
                ConsentAsk::Enter { person, act: *act, line: line.clone(), words, proof, origin: *origin };
            b.ask(Command::Consent { shop: main_shop(), ask, by: "owner".into() }).await.unwrap();
            told.enters(*act, line.map_or(Scope::Shop, Scope::Line));
        }
        Happens::Again(_) if b.hooked.is_empty() => {}
        Happens::Again(which) => b.tell_again(*which).await,
        Happens::Cursor => {
            let now = b.clock_wall();
            b.tell(&twilio(), LineEvent::Cursor(now));
            b.pump().await;
        }
    }
    told.watch(b, at, what)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: who said STOP is texted by nothing and nobody, on no line.
    #[test]
    fn nothing_reaches_who_said_stop(story in prop::collection::vec(happens(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut b = two_shops().await;
            b.text(JANE, "hi").await;
            let mut told = Told::default();
            told.watch(&mut b, 0, &Happens::Text(0, "hi"))?;
            for (at, what) in story.iter().enumerate() {
                happen(&mut b, &mut told, what, at).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
