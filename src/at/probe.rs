//! Asks a port whether a modem is behind it, and which: ESC, `AT`, `AT+CGSN`, nothing that could change anything.
//! Owns no port; the shell that looks for a modem drives it as it drives the engine.

use std::time::Duration;

use super::digest::{Digester, Token};
use super::reply::Final;
use super::settings::Settings;
use crate::types::Mono;

/// A modem that is awake answers in milliseconds; a port that is none shall not hold up the search.
const ANSWER: Duration = Duration::from_millis(400);
/// The serial number may come from the radio's processor.
const IDENTITY: Duration = Duration::from_secs(2);
/// Tries of `AT`: the first may end up behind something half typed.
const TRIES: u8 = 2;

/// What a port turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that answers AT.
    NoModem,
    /// A modem.
    Modem {
        /// Its serial number (`+CGSN`), when it tells.
        imei: Option<String>,
    },
}

#[derive(Debug)]
enum Stage {
    Settling,
    Calling { tries: u8 },
    Asking { imei: Option<String> },
    Done(Verdict),
}

/// See the head of this file.
#[derive(Debug)]
pub struct Probe {
    digester: Digester,
    stage: Stage,
    deadline: Mono,
    transmit: Vec<u8>,
}

impl Probe {
    /// Begins.
    #[must_use]
    pub fn new(settings: &Settings, now: Mono) -> Self {
        let deadline = now + settings.settle;
        Self { digester: Digester::default(), stage: Stage::Settling, deadline, transmit: vec![0x1b] }
    }

    /// Bytes from the port.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Mono) {
        for &byte in bytes {
            if let Some(Token::Line(line)) = self.digester.feed(byte, false) {
                self.on_line(&line, now);
            }
        }
    }

    /// The time that [`Probe::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Mono) {
        if self.deadline > now {
            return;
        }
        match &mut self.stage {
            Stage::Settling => self.call(0, now),
            Stage::Calling { tries } if *tries < TRIES => {
                let tries = *tries;
                self.call(tries, now);
            }
            Stage::Calling { .. } => self.stage = Stage::Done(Verdict::NoModem),
            Stage::Asking { imei } => self.stage = Stage::Done(Verdict::Modem { imei: imei.take() }),
            Stage::Done(_) => {}
        }
    }

    /// Bytes to write to the port.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.transmit.is_empty()).then(|| std::mem::take(&mut self.transmit))
    }

    /// When [`Probe::handle_timeout`] wants to be called; `None` when the verdict is there.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        (!matches!(self.stage, Stage::Done(_))).then_some((self.deadline, "the answer to a probe"))
    }

    /// What the port is, once that is known.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.stage {
            Stage::Done(verdict) => Some(verdict),
            Stage::Settling | Stage::Calling { .. } | Stage::Asking { .. } => None,
        }
    }

    fn call(&mut self, tries: u8, now: Mono) {
        self.transmit.extend_from_slice(b"AT\r");
        self.stage = Stage::Calling { tries: tries + 1 };
        self.deadline = now + ANSWER;
    }

    fn on_line(&mut self, line: &str, now: Mono) {
        match &mut self.stage {
            Stage::Settling | Stage::Done(_) => {}
            Stage::Calling { .. } => {
                if Final::parse(line, true).is_some() {
                    self.transmit.extend_from_slice(b"AT+CGSN\r");
                    self.stage = Stage::Asking { imei: None };
                    self.deadline = now + IDENTITY;
                }
            }
            Stage::Asking { imei } => {
                if let Some(found) = imei_in(line) {
                    *imei = Some(found);
                // The answer to the first AT may come after the second was written: it ends nothing.
                } else if imei.is_some() && Final::parse(line, true).is_some() {
                    self.stage = Stage::Done(Verdict::Modem { imei: imei.take() });
                }
            }
        }
    }
}

/// A line that is a serial number and nothing else: 14 to 17 digits (3GPP TS 23.003 §6.2), bare, quoted, or behind
/// `+CGSN:`.
fn imei_in(line: &str) -> Option<String> {
    let text = line.strip_prefix("+CGSN:").unwrap_or(line).trim().trim_matches('"');
    let is = (14..=17).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(probe: &mut Probe) -> String {
        probe.poll_transmit().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn due(probe: &mut Probe) -> Mono {
        let (at, _) = probe.poll_timeout().unwrap();
        probe.handle_timeout(at);
        at
    }

    #[test]
    fn a_modem_tells_its_imei() {
        for (at, answer) in
            [("OK", "490154203237518"), ("0", "\"490154203237518\""), ("ERROR", "+CGSN: 490154203237518")]
        {
            let mut probe = Probe::new(&Settings::default(), Mono(0));
            assert_eq!(written(&mut probe), "\x1b");
            let now = due(&mut probe);
            assert_eq!(written(&mut probe), "AT\r");
            probe.handle_bytes(format!("AT\r\r\n{at}\r\n").as_bytes(), now);
            assert_eq!(written(&mut probe), "AT+CGSN\r");
            probe.handle_bytes(format!("AT+CGSN\r\r\n{answer}\r\n\r\nOK\r\n").as_bytes(), now);
            assert_eq!(probe.verdict(), Some(&Verdict::Modem { imei: Some("490154203237518".into()) }));
        }
    }

    #[test]
    fn a_receiver_of_satellites_is_no_modem() {
        let mut probe = Probe::new(&Settings::default(), Mono(0));
        let mut last = Mono(0);
        while probe.verdict().is_none() {
            probe.handle_bytes(b"$GPGGA,123519,4807.038,N,01131.000,E,1,08\r\n", last);
            last = due(&mut probe);
        }
        assert_eq!(probe.verdict(), Some(&Verdict::NoModem));
        assert!(last < Mono(1000));
    }

    #[test]
    fn a_modem_without_a_serial_number_is_still_one() {
        let mut probe = Probe::new(&Settings::default(), Mono(0));
        due(&mut probe);
        probe.handle_bytes(b"\r\nOK\r\n", Mono(0));
        probe.handle_bytes(b"\r\nERROR\r\n", Mono(0));
        due(&mut probe);
        assert_eq!(probe.verdict(), Some(&Verdict::Modem { imei: None }));
    }
}
