//! From a modem in an unknown state to one that is ready: the steps, their wording, what each answer teaches, and
//! which may be refused. Ends with [`LineEvent::Up`]. Waits of a SIM that is busy or wants a person live here too.

use std::time::Duration;

use super::command::{Command, Look};
use super::engine::{Engine, Event};
use super::phase::Phase;
use super::reply::{self, Field, Final, Refusal};
use super::settings::{Pin, Settings};
use super::stores::Stores;
use crate::types::{LineEvent, Mono, PhoneNumber};

/// Tries of a step that must succeed, and of the first `AT`.
const TRIES: u8 = 3;

/// One step; they follow each other in this order unless an answer says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Attention,
    EchoOff,
    Verbose,
    ErrorCodes,
    /// From here on an answer belongs to its command.
    Sync,
    Imei,
    Maker,
    Model,
    RadioAsk,
    RadioOn,
    SimAsk,
    PinTriesAsk,
    PinEnter,
    RegistrationReports,
    Registration,
    Signal,
    OperatorFormat,
    Operator,
    Service,
    PduMode,
    KeepLink,
    Memories,
    MemoryNow,
    MemoryTry(usize),
    MemoryUse,
    IndicationsAsk,
    Indications(usize),
    IndicationsRead,
    Number,
    SimId,
    Subscriber,
}

impl Step {
    /// True when the line cannot work without it.
    fn is_must(self) -> bool {
        matches!(self, Self::Attention | Self::SimAsk | Self::PduMode)
    }

    pub(super) fn patience(self, settings: &Settings) -> Duration {
        match self {
            Self::Attention | Self::Sync => settings.attention,
            Self::RadioAsk | Self::RadioOn => settings.radio,
            Self::SimAsk
            | Self::PinEnter
            | Self::Operator
            | Self::Memories
            | Self::MemoryNow
            | Self::MemoryTry(_)
            | Self::MemoryUse
            | Self::IndicationsAsk
            | Self::Indications(_)
            | Self::Number
            | Self::SimId
            | Self::Subscriber => settings.storage,
            Self::EchoOff
            | Self::Verbose
            | Self::ErrorCodes
            | Self::Imei
            | Self::Maker
            | Self::Model
            | Self::PinTriesAsk
            | Self::RegistrationReports
            | Self::Registration
            | Self::Signal
            | Self::OperatorFormat
            | Self::Service
            | Self::PduMode
            | Self::KeepLink
            | Self::IndicationsRead => settings.quick,
        }
    }

    pub(super) fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Sync => Some("+CMEE:"),
            Self::RadioAsk => Some("+CFUN:"),
            Self::SimAsk => Some("+CPIN:"),
            Self::PinTriesAsk => Some("+CPINR:"),
            Self::Registration => Some("+CREG:"),
            Self::Signal => Some("+CSQ:"),
            Self::Operator => Some("+COPS:"),
            Self::Service => Some("+CSMS:"),
            Self::Memories | Self::MemoryNow | Self::MemoryTry(_) | Self::MemoryUse => Some("+CPMS:"),
            Self::IndicationsAsk | Self::IndicationsRead => Some("+CNMI:"),
            Self::Number => Some("+CNUM:"),
            Self::Imei | Self::Maker | Self::Model | Self::SimId | Self::Subscriber => Some(""),
            Self::Attention
            | Self::EchoOff
            | Self::Verbose
            | Self::ErrorCodes
            | Self::RadioOn
            | Self::PinEnter
            | Self::RegistrationReports
            | Self::OperatorFormat
            | Self::PduMode
            | Self::KeepLink
            | Self::Indications(_) => None,
        }
    }

    /// True for a question that every modem which says OK has told something to.
    pub(super) fn must_tell(self) -> bool {
        matches!(
            self,
            Self::Sync
                | Self::RadioAsk
                | Self::SimAsk
                | Self::Registration
                | Self::Signal
                | Self::Operator
                | Self::Memories
                | Self::MemoryNow
                | Self::IndicationsAsk
                | Self::IndicationsRead
        )
    }

    /// True while the modem may still answer with ATV0's numbers.
    pub(super) fn is_terse(self) -> bool {
        matches!(self, Self::Attention | Self::EchoOff | Self::Verbose)
    }

    /// What follows when no answer says otherwise; `None` after the last.
    fn next(self) -> Option<Self> {
        Some(match self {
            Self::Attention => Self::EchoOff,
            Self::EchoOff => Self::Verbose,
            Self::Verbose => Self::ErrorCodes,
            Self::ErrorCodes => Self::Sync,
            Self::Sync => Self::Imei,
            Self::Imei => Self::Maker,
            Self::Maker => Self::Model,
            Self::Model => Self::RadioAsk,
            Self::RadioAsk | Self::RadioOn => Self::SimAsk,
            Self::SimAsk => Self::RegistrationReports,
            Self::PinTriesAsk => Self::PinEnter,
            Self::PinEnter => Self::SimAsk,
            Self::RegistrationReports => Self::Registration,
            Self::Registration => Self::Signal,
            Self::Signal => Self::OperatorFormat,
            Self::OperatorFormat => Self::Operator,
            Self::Operator => Self::Service,
            Self::Service => Self::PduMode,
            Self::PduMode => Self::KeepLink,
            Self::KeepLink => Self::Memories,
            Self::Memories => Self::MemoryTry(0),
            Self::MemoryTry(at) => Self::MemoryTry(at + 1),
            Self::MemoryNow | Self::MemoryUse => Self::IndicationsAsk,
            Self::IndicationsAsk => Self::Indications(0),
            Self::Indications(_) => Self::IndicationsRead,
            Self::IndicationsRead => Self::Number,
            Self::Number => Self::SimId,
            Self::SimId => Self::Subscriber,
            Self::Subscriber => return None,
        })
    }
}

/// How far the bring-up has come.
#[derive(Clone, Debug)]
pub(super) struct BringUp {
    pub(super) step: Step,
    tries: u8,
    /// Not before this time.
    pub(super) wait: Option<Mono>,
    busy_since: Option<Mono>,
    /// Where to go on after a [`Step::Sync`] that a missed answer made necessary.
    resume: Option<Step>,
}

/// What was learnt about the modem in this connection.
#[derive(Debug, Default)]
pub(super) struct Modem {
    imei: Option<String>,
    maker: Option<String>,
    model: Option<String>,
    sim: Option<String>,
    number: Option<PhoneNumber>,
    /// `+CSMS=1`: messages handed over directly must be acknowledged (27.005 §3.4.4).
    pub(super) acknowledges: bool,
    pub(super) stores: Stores,
    indications: Vec<String>,
    /// The `+CNMI` that the modem took.
    pub(super) indicates: Option<String>,
    /// It also says so when asked: a later difference means that it forgot its settings.
    pub(super) indications_checked: bool,
}

impl Modem {
    fn identity(&self) -> String {
        let named = || {
            let names: Vec<&str> =
                [&self.maker, &self.model].into_iter().flatten().map(String::as_str).collect();
            if names.is_empty() { "unknown modem".to_owned() } else { names.join(" ") }
        };
        self.imei.clone().unwrap_or_else(named)
    }
}

/// What is known of the SIM's PIN.
#[derive(Clone, Debug)]
pub(super) enum PinState {
    /// None was configured.
    None,
    /// May be entered: never tried, or taken the last time.
    Fresh(Pin),
    /// Entered, and the SIM is not ready yet. From here on it is not entered again unless the SIM gets ready.
    Entered { pin: Pin, at: Mono },
    /// Refused, or its fate is not known.
    Spent,
}

impl Engine {
    /// Starts from the first step, forgetting what was known of the modem.
    pub(super) fn start_bring_up(&mut self, now: Mono) {
        self.modem = Modem::default();
        self.digester.reset();
        self.headers.clear();
        self.flight = None;
        // ESC ends a prompt that somebody left open; without a CR, so that half a command is spoilt, not executed.
        self.write(vec![0x1b]);
        let wait = Some(now + self.settings.settle);
        self.phase =
            Phase::BringUp(BringUp { step: Step::Attention, tries: 0, wait, busy_since: None, resume: None });
    }

    /// The command line of a step; `None` for one that does not apply.
    fn step_text(&self, up: &BringUp) -> Option<String> {
        let stores = &self.modem.stores;
        Some(match up.step {
            // Q1 would suppress every answer, and some modems guess the speed from the first characters.
            Step::Attention if up.tries == 1 => "ATE0Q0V1".to_owned(),
            Step::Attention => "AT".to_owned(),
            Step::EchoOff => "ATE0".to_owned(),
            Step::Verbose => "ATV1".to_owned(),
            Step::ErrorCodes => "AT+CMEE=1".to_owned(),
            Step::Sync => "AT+CMEE?".to_owned(),
            Step::Imei => "AT+CGSN".to_owned(),
            Step::Maker => "AT+CGMI".to_owned(),
            Step::Model => "AT+CGMM".to_owned(),
            Step::RadioAsk => "AT+CFUN?".to_owned(),
            Step::RadioOn => "AT+CFUN=1".to_owned(),
            Step::SimAsk => "AT+CPIN?".to_owned(),
            Step::PinTriesAsk => "AT+CPINR=\"SIM PIN\"".to_owned(),
            Step::PinEnter => match &self.pin {
                PinState::Entered { pin, .. } => format!("AT+CPIN=\"{}\"", pin.expose()),
                PinState::None | PinState::Fresh(_) | PinState::Spent => return None,
            },
            Step::RegistrationReports => "AT+CREG=1".to_owned(),
            Step::Registration => "AT+CREG?".to_owned(),
            Step::Signal => "AT+CSQ".to_owned(),
            Step::OperatorFormat => "AT+COPS=3,0".to_owned(),
            Step::Operator => "AT+COPS?".to_owned(),
            Step::Service => "AT+CSMS=1".to_owned(),
            Step::PduMode => "AT+CMGF=0".to_owned(),
            Step::KeepLink if !self.settings.keep_link => return None,
            Step::KeepLink => "AT+CMMS=2".to_owned(),
            Step::Memories => "AT+CPMS=?".to_owned(),
            Step::MemoryNow => "AT+CPMS?".to_owned(),
            Step::MemoryTry(at) => stores.use_text(stores.candidate(at)?),
            Step::MemoryUse => stores.use_text(stores.chosen()?),
            Step::IndicationsAsk => "AT+CNMI=?".to_owned(),
            Step::Indications(at) => format!("AT+CNMI={}", self.modem.indications.get(at)?),
            Step::IndicationsRead => "AT+CNMI?".to_owned(),
            Step::Number => "AT+CNUM".to_owned(),
            Step::SimId => "AT+CCID".to_owned(),
            Step::Subscriber if self.modem.sim.is_some() => return None,
            Step::Subscriber => "AT+CIMI".to_owned(),
        })
    }

    /// Writes the command of the current step, passing over steps that do not apply.
    pub(super) fn bring_up_next(&mut self, now: Mono) {
        loop {
            let Phase::BringUp(up) = &self.phase else { return };
            if up.wait.is_some() {
                return;
            }
            let step = up.step;
            self.spend_pin(now);
            let Phase::BringUp(up) = &self.phase else { return };
            if let Some(text) = self.step_text(up) {
                self.issue(Command::BringUp(step), text, now);
                return;
            }
            let next = self.step_after(step, false);
            self.go(next, now);
        }
    }

    /// The step after this one, as what was learnt wants it.
    fn step_after(&self, step: Step, ok: bool) -> Option<Step> {
        match step {
            Step::MemoryTry(at) if self.modem.stores.candidate(at + 1).is_none() => Some(Step::MemoryUse),
            Step::Indications(at) if !ok && at < self.modem.indications.len() => {
                Some(Step::Indications(at + 1))
            }
            _ => step.next(),
        }
    }

    fn go(&mut self, next: Option<Step>, now: Mono) {
        match next {
            Some(step) => {
                if let Phase::BringUp(up) = &mut self.phase {
                    up.step = step;
                    up.tries = 0;
                    up.busy_since = None;
                }
            }
            None => self.up(now),
        }
    }

    fn up(&mut self, now: Mono) {
        self.needs(None);
        let modem = &self.modem;
        let (identity, sim, number) = (modem.identity(), modem.sim.clone(), modem.number.clone());
        self.line(LineEvent::Up { identity, sim, number });
        self.publish();
        self.start_ready(now);
    }

    fn wait_for(&mut self, pause: Duration, now: Mono) {
        if let Phase::BringUp(up) = &mut self.phase {
            up.wait = Some(now + pause);
        }
    }

    /// The pause of the bring-up is over, or need not be waited for.
    pub(super) fn end_wait(&mut self) {
        if let Phase::BringUp(up) = &mut self.phase {
            up.wait = None;
        }
    }

    /// A step's answer is complete.
    pub(super) fn bring_up_answer(&mut self, step: Step, info: &[String], result: Final, now: Mono) {
        match result {
            // Which answer a Sync gets does not matter: that one came, does.
            Final::Refused(refusal) if step != Step::Sync => self.bring_up_refused(step, &refusal, now),
            Final::Ok | Final::Refused(_) => {
                let next = match self.learn(step, info, now) {
                    Next::InOrder => self.step_after(step, true),
                    Next::Step(next) => Some(next),
                    Next::Waiting => return,
                };
                let resume = match (&mut self.phase, step) {
                    (Phase::BringUp(up), Step::Sync) => up.resume.take(),
                    _ => None,
                };
                match (resume, &mut self.phase) {
                    // The count of tries belongs to the step that goes on.
                    (Some(resume), Phase::BringUp(up)) => up.step = resume,
                    _ => self.go(next, now),
                }
            }
        }
    }

    /// True when a final result may end this step although no line of its own came before it.
    pub(super) fn sync_is_generous(&self) -> bool {
        matches!(&self.phase, Phase::BringUp(up) if up.tries + 1 >= TRIES)
    }

    fn bring_up_refused(&mut self, step: Step, refusal: &Refusal, now: Mono) {
        match step {
            // Any answer shows that somebody is there: half a command of somebody else may have spoilt it.
            Step::Attention => return self.go(step.next(), now),
            Step::SimAsk => return self.sim_refused(refusal, now),
            Step::PinEnter => {
                self.pin = PinState::Spent;
                self.pin_refused();
                self.go(Some(Step::SimAsk), now);
                return self.wait_for(self.settings.sim_retry, now);
            }
            _ => {}
        }
        let Phase::BringUp(up) = &mut self.phase else { return };
        if refusal.is_busy() && now.since(*up.busy_since.get_or_insert(now)) < self.settings.busy_bound {
            return self.wait_for(self.settings.busy_retry, now);
        }
        up.tries += 1;
        if step.is_must() {
            if up.tries < TRIES {
                return self.wait_for(self.settings.busy_retry, now);
            }
            let why = format!("the modem refuses {} ({})", step_name(step), refusal.text());
            return self.give_up(&why, now);
        }
        let next = match step {
            Step::Memories => Some(Step::MemoryNow),
            Step::IndicationsAsk => {
                self.modem.indications = indication_candidates(&[]);
                step.next()
            }
            _ => self.step_after(step, false),
        };
        self.go(next, now);
    }

    fn sim_refused(&mut self, refusal: &Refusal, now: Mono) {
        let Phase::BringUp(up) = &mut self.phase else { return };
        if refusal.is_busy() {
            if now.since(*up.busy_since.get_or_insert(now)) < self.settings.busy_bound {
                return self.wait_for(self.settings.busy_retry, now);
            }
            self.needs(Some("The SIM does not get ready: take it out and put it in again.".to_owned()));
        } else if matches!(refusal, Refusal::Cme(10) | Refusal::Cms(310)) {
            self.needs(Some("There is no SIM in the modem.".to_owned()));
        } else {
            self.needs(Some(format!("The SIM does not work ({}): try it in a telephone.", refusal.text())));
        }
        self.wait_for(self.settings.sim_retry, now);
    }

    /// A step's answer did not come.
    pub(super) fn bring_up_missed(&mut self, step: Step, now: Mono) {
        if step == Step::PinEnter {
            // It may have counted as a try: never again without a person.
            self.pin = PinState::Spent;
        }
        let Phase::BringUp(up) = &mut self.phase else { return };
        up.tries += 1;
        let tries = up.tries;
        if matches!(step, Step::Attention | Step::Sync) {
            if tries >= TRIES {
                self.give_up("the modem does not answer", now);
            }
            return;
        }
        if tries >= TRIES {
            return self.give_up("the modem does not answer", now);
        }
        let passes = tries >= 2 && !step.is_must();
        let resume = if passes { self.step_after(step, false) } else { Some(step) };
        if let Phase::BringUp(up) = &mut self.phase {
            up.step = Step::Sync;
            up.resume = resume;
        }
    }

    /// Takes in what a step's answer says.
    fn learn(&mut self, step: Step, info: &[String], now: Mono) -> Next {
        let first = info.first().map(String::as_str).unwrap_or_default();
        let rest = first.split_once(':').map_or(first, |(_, rest)| rest).trim();
        match step {
            Step::Imei => self.modem.imei = digits_in(first, 14),
            Step::Maker => self.modem.maker = plain_text(first),
            Step::Model => self.modem.model = plain_text(first),
            Step::RadioAsk
                if reply::fields(rest).first().and_then(Field::number::<u8>).is_some_and(|n| n != 1) =>
            {
                return Next::Step(Step::RadioOn);
            }
            Step::SimAsk => return self.sim_says(rest, now),
            Step::PinTriesAsk => return self.pin_tries(rest, now),
            Step::PinEnter => self.wait_for(self.settings.busy_retry, now),
            Step::Service => self.modem.acknowledges = true,
            Step::Memories => {
                self.modem.stores.offered(rest);
                if self.modem.stores.candidate(0).is_none() {
                    return Next::Step(Step::MemoryNow);
                }
            }
            Step::MemoryNow => self.modem.stores.as_found(rest),
            Step::MemoryTry(at) => self.modem.stores.tried(at, rest),
            Step::MemoryUse => self.modem.stores.in_use(rest),
            Step::IndicationsAsk => self.modem.indications = indication_candidates(&reply::value_sets(rest)),
            Step::Indications(at) => self.modem.indicates = self.modem.indications.get(at).cloned(),
            Step::IndicationsRead => {
                self.modem.indications_checked =
                    self.modem.indicates.as_deref().is_some_and(|set| says(rest, set));
            }
            Step::Number => {
                let number = reply::fields(rest).get(1).map(|field| field.text().to_owned());
                self.modem.number = number.and_then(|text| PhoneNumber::parse(&text, None).ok());
            }
            Step::SimId | Step::Subscriber => self.modem.sim = digits_in(first, 14),
            Step::Attention
            | Step::EchoOff
            | Step::Verbose
            | Step::ErrorCodes
            | Step::Sync
            | Step::RadioAsk
            | Step::RadioOn
            | Step::RegistrationReports
            | Step::Registration
            | Step::Signal
            | Step::OperatorFormat
            | Step::Operator
            | Step::PduMode
            | Step::KeepLink => {}
        }
        Next::InOrder
    }

    /// `+CPIN: …` (27.007 §8.3).
    fn sim_says(&mut self, what: &str, now: Mono) -> Next {
        if what == "READY" {
            if let PinState::Entered { pin, .. } = &self.pin {
                self.pin = PinState::Fresh(pin.clone());
                self.event(Event::PinAccepted);
            }
            self.needs(None);
            return Next::InOrder;
        }
        match (what, &self.pin) {
            ("SIM PIN", PinState::Fresh(_)) => return Next::Step(Step::PinTriesAsk),
            ("SIM PIN", PinState::Entered { at, .. }) if now.since(*at) < self.settings.pin_settles => {
                self.wait_for(self.settings.busy_retry, now);
                return Next::Waiting;
            }
            ("SIM PIN", PinState::None) => {
                self.needs(Some("The SIM wants its PIN: enter it in the settings of this line.".to_owned()));
            }
            ("SIM PIN", PinState::Entered { .. } | PinState::Spent) => self.pin_refused(),
            ("SIM PUK", _) => self.needs(Some(
                "The SIM is blocked and wants its PUK: put it into a telephone and enter the PUK there."
                    .to_owned(),
            )),
            ("NOT INSERTED", _) => self.needs(Some("There is no SIM in the modem.".to_owned())),
            (other, _) => self.needs(Some(format!("The SIM is not ready ({other})."))),
        }
        self.wait_for(self.settings.sim_retry, now);
        Next::Waiting
    }

    /// `+CPINR: SIM PIN,<left>,<of>` (27.007 §8.65): the SIM itself remembers a wrong try.
    fn pin_tries(&mut self, what: &str, now: Mono) -> Next {
        let fields = reply::fields(what);
        let left: Option<u8> = fields.get(1).and_then(Field::number);
        let of = fields.get(2).and_then(Field::number).unwrap_or(3);
        if left.is_some_and(|left| left < of) {
            self.pin = PinState::Spent;
            self.pin_refused();
            self.wait_for(self.settings.sim_retry, now);
            return Next::Step(Step::SimAsk);
        }
        Next::InOrder
    }

    /// Before `AT+CPIN="…"` is written, the shell is told, so that it can remember the try through a crash.
    pub(super) fn spend_pin(&mut self, now: Mono) {
        if let (Phase::BringUp(up), PinState::Fresh(pin)) = (&self.phase, &self.pin)
            && up.step == Step::PinEnter
        {
            self.pin = PinState::Entered { pin: pin.clone(), at: now };
            self.event(Event::PinTry);
        }
    }

    fn pin_refused(&mut self) {
        self.needs(Some(
            "The SIM did not take its PIN; it is not tried again, because three wrong ones block the SIM. Correct \
             the PIN in the settings of this line."
                .to_owned(),
        ));
    }

    /// The modem was asked for its `+CNMI`: true when it still says what it was told.
    pub(super) fn still_indicates(&self, info: &[String]) -> bool {
        let rest = info.first().and_then(|line| line.split_once(':')).map(|(_, rest)| rest);
        match (&self.modem.indicates, rest) {
            (Some(set), Some(rest)) => says(rest, set),
            _ => true,
        }
    }

    /// What to ask for when a part of the modem says that it is ready.
    pub(super) fn suspicion(&self) -> Option<Look> {
        self.modem.indications_checked.then_some(Look::Indications)
    }
}

enum Next {
    InOrder,
    Step(Step),
    Waiting,
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::PduMode => "PDU mode (AT+CMGF=0)",
        Step::SimAsk => "AT+CPIN?",
        _ => "AT",
    }
}

/// True when a `+CNMI:` answer begins with the values that were set.
fn says(answer: &str, set: &str) -> bool {
    let (answer, set) = (reply::fields(answer), reply::fields(set));
    answer.len() >= set.len() && answer.iter().zip(&set).all(|(is, want)| is.text() == want.text())
}

/// The `+CNMI` settings to try, best first, of those that the modem offers (27.005 §3.4.1): announce and keep
/// (`mt` 1, `ds` 2), so that nothing is lost with the power; reports handed over directly (`ds` 1) if it must be.
fn indication_candidates(offered: &[Vec<String>]) -> Vec<String> {
    let pick = |at: usize, wanted: &[&str]| -> String {
        let Some(values) = offered.get(at).filter(|values| !values.is_empty()) else {
            return wanted.first().copied().unwrap_or("0").to_owned();
        };
        let known = wanted.iter().find(|want| values.iter().any(|value| value == *want));
        known.map_or_else(|| values.first().cloned().unwrap_or_default(), |want| (*want).to_owned())
    };
    let mode = pick(0, &["2", "1"]);
    let (mt, ds, bfr) = (pick(1, &["1", "2"]), pick(3, &["2", "1", "0"]), pick(4, &["0", "1"]));
    let mut all = vec![format!("{mode},{mt},0,{ds},{bfr}")];
    for more in ["2,1,0,1,0", "2,1,0,0,0", "1,1,0,1,0", "1,1,0,0,0", "1,1,0,0,1", "2,1", "1,1"] {
        if !all.iter().any(|one| one == more) {
            all.push(more.to_owned());
        }
    }
    all
}

/// The first run of at least `least` digits: an IMEI, IMSI or ICCID, whatever stands around it.
pub(super) fn digits_in(line: &str, least: usize) -> Option<String> {
    line.split(|c: char| !c.is_ascii_digit()).find(|run| run.len() >= least).map(str::to_owned)
}

fn plain_text(line: &str) -> Option<String> {
    let text = line.split_once(':').filter(|_| line.starts_with('+')).map_or(line, |(_, rest)| rest);
    let text = text.trim().trim_matches('"');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indications_are_chosen_from_what_is_offered() {
        let of = |test: &str| indication_candidates(&reply::value_sets(test)).remove(0);
        assert_eq!(of("(0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)"), "2,1,0,2,0");
        assert_eq!(of("(0-1),(0-3),(0),(0,1),(1)"), "1,1,0,1,1");
        assert_eq!(of("(2),(2),(0),(0),(0)"), "2,2,0,0,0");
    }

    #[test]
    fn an_answer_says_what_was_set_when_its_first_values_agree() {
        assert!(says(" 2,1,0,2,0", "2,1"));
        assert!(!says(" 0,0,0,0,0", "2,1,0,2,0"));
        assert!(!says("", "2,1"));
    }
}
