//! Every duration and bound of the engine, with its default and the reason for it, and the SIM's PIN. Reads no
//! file: the daemon converts its own configuration into these.

use std::fmt;
use std::time::Duration;

/// Durations and bounds of one [`Engine`](super::Engine). The defaults suit USB modems of the Quectel, SIMCom and
/// Huawei families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Quiet time after the first ESC: a modem that stood at a prompt still answers that before it hears `AT`.
    pub settle: Duration,
    /// Answer to a bare `AT`, and to the probe after a missed answer: an awake modem needs milliseconds.
    pub attention: Duration,
    /// Answer to a command that works in the modem's own memory.
    pub quick: Duration,
    /// Answer to a command that reads or writes the SIM or the message store; vendors' manuals say up to 5 s.
    pub storage: Duration,
    /// Answer to `+CMGL`: 255 messages at 115,200 baud and a slow SIM take the better part of a minute.
    pub list: Duration,
    /// Answer to `+CFUN`: the radio starts or stops; manuals say 15 s.
    pub radio: Duration,
    /// From `AT+CMGS=<n>` to `> `: nothing waits for the network here.
    pub prompt: Duration,
    /// From Ctrl-Z to `+CMGS:`. The network's own timers end a hopeless try within 120 s (Quectel's and SIMCom's
    /// manuals); giving up sooner would turn a slow network into unknown outcomes.
    pub submit: Duration,
    /// Between tries while the SIM says that it is busy (CME 14, 515, CMS 314).
    pub busy_retry: Duration,
    /// How long a busy SIM is believed before a person is told; SIMs were seen busy for 20 s after power-up.
    pub busy_bound: Duration,
    /// Between looks at a SIM that a person must do something about (PIN, PUK, missing).
    pub sim_retry: Duration,
    /// How long a SIM that took its PIN may go on asking for it.
    pub pin_settles: Duration,
    /// Between looks at signal, registration and operator.
    pub poll: Duration,
    /// Between sweeps of the message store: a lost `+CMTI` costs a text this much time.
    pub sweep: Duration,
    /// The same when the modem refused every form of `+CNMI`, so that sweeps are the only way to hear of a text.
    pub sweep_without_indications: Duration,
    /// How long a modem may be gone before a person is told: one that resets itself is back sooner.
    pub missing: Duration,
    /// Longest silence after `AT+CFUN=1,1` before the modem is spoken to again, when it does not announce itself.
    pub reset: Duration,
    /// First pause of the recovery ladder; doubles with each rung.
    pub backoff: Duration,
    /// Longest pause of the recovery ladder.
    pub backoff_max: Duration,
    /// How long a send that is under way may take to end at shutdown.
    pub shutdown: Duration,
    /// Commands for received texts between two sends, when both wait.
    pub inbound_turn: u32,
    /// Keep the radio link between texts (`AT+CMMS=2`); some networks punish it, so it is off by default.
    pub keep_link: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(100),
            attention: Duration::from_secs(1),
            quick: Duration::from_secs(5),
            storage: Duration::from_secs(10),
            list: Duration::from_secs(60),
            radio: Duration::from_secs(15),
            prompt: Duration::from_secs(5),
            submit: Duration::from_secs(120),
            busy_retry: Duration::from_secs(1),
            busy_bound: Duration::from_secs(60),
            sim_retry: Duration::from_secs(10),
            pin_settles: Duration::from_secs(20),
            poll: Duration::from_secs(60),
            sweep: Duration::from_secs(60),
            sweep_without_indications: Duration::from_secs(5),
            missing: Duration::from_secs(15),
            reset: Duration::from_secs(20),
            backoff: Duration::from_secs(5),
            backoff_max: Duration::from_secs(300),
            shutdown: Duration::from_secs(1),
            inbound_turn: 16,
            keep_link: false,
        }
    }
}

impl Settings {
    /// The durations by the names that the configuration knows them under.
    fn durations(&mut self) -> [(&'static str, &mut Duration); 20] {
        [
            ("settle", &mut self.settle),
            ("attention", &mut self.attention),
            ("quick", &mut self.quick),
            ("storage", &mut self.storage),
            ("list", &mut self.list),
            ("radio", &mut self.radio),
            ("prompt", &mut self.prompt),
            ("submit", &mut self.submit),
            ("busy_retry", &mut self.busy_retry),
            ("busy_bound", &mut self.busy_bound),
            ("sim_retry", &mut self.sim_retry),
            ("poll", &mut self.poll),
            ("sweep", &mut self.sweep),
            ("sweep_without_indications", &mut self.sweep_without_indications),
            ("missing", &mut self.missing),
            ("reset", &mut self.reset),
            ("backoff", &mut self.backoff),
            ("backoff_max", &mut self.backoff_max),
            ("shutdown", &mut self.shutdown),
            ("pin_settles", &mut self.pin_settles),
        ]
    }

    /// Sets a duration by its name.
    ///
    /// # Errors
    /// [`SettingError`] names those that there are, or says that it must be longer.
    pub fn set(&mut self, name: &str, value: Duration) -> Result<(), SettingError> {
        // A wait of nothing would turn a retry into a hot loop.
        if value < SHORTEST {
            return Err(SettingError::TooShort(name.to_owned()));
        }
        let mut durations = self.durations();
        match durations.iter_mut().find(|(known, _)| *known == name) {
            Some((_, duration)) => **duration = value,
            None => {
                let known = durations.map(|(known, _)| known).join(", ");
                return Err(SettingError::Unknown { name: name.to_owned(), known });
            }
        }
        Ok(())
    }
}

/// The clock of the cores counts milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);

/// Why a duration was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No duration has this name.
    #[error("a line has no timing {name:?}; there are {known}")]
    Unknown {
        /// As given.
        name: String,
        /// What could have been meant.
        known: String,
    },
    /// Shorter than a millisecond.
    #[error("the timing {0:?} must be at least a millisecond")]
    TooShort(String),
}

/// A SIM's PIN: 4 to 8 digits (3GPP TS 31.101 §9.5.1). Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

/// Why a text is not a PIN. Does not carry the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SIM's PIN has 4 to 8 digits and nothing else")]
pub struct PinError;

impl Pin {
    /// Reads a PIN.
    ///
    /// # Errors
    /// [`PinError`] when it is not 4 to 8 digits.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if digits && (4..=8).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(PinError) }
    }

    /// The digits: for `AT+CPIN`, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// The PIN, and whether it may still be tried: three wrong ones block a SIM, so a try that the SIM did not take is
/// never repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimPin {
    /// What to enter.
    pub pin: Pin,
    /// True when it was entered once before and the SIM was not heard to take it. The engine then asks for a
    /// person instead.
    pub already_tried: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_set_by_name() {
        let mut settings = Settings::default();
        assert_eq!(settings.set("submit", Duration::from_secs(30)), Ok(()));
        assert_eq!(settings.submit, Duration::from_secs(30));
        let error = settings.set("send", Duration::from_secs(30)).unwrap_err().to_string();
        assert!(error.contains("\"send\"") && error.contains("submit"), "{error}");
        assert!(settings.set("poll", Duration::ZERO).is_err());
    }

    #[test]
    fn a_pin_is_digits_and_never_shown() {
        assert_eq!(Pin::parse("12a4"), Err(PinError));
        assert_eq!(Pin::parse("123"), Err(PinError));
        let pin = Pin::parse("4321").unwrap();
        assert!(!format!("{pin:?}").contains("4321"));
    }
}
