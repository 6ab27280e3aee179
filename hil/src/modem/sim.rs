//! The SIM card: PIN and PUK with their tries, absence, and the time it takes to be ready.

use super::machine::Failure;

pub(super) const PIN_TRIES: u8 = 3;
const PUK_TRIES: u8 = 10;

#[derive(Debug)]
pub(super) struct Sim {
    pin: String,
    /// The facility lock: a PIN is asked for at power-up.
    pub(super) lock_enabled: bool,
    puk: String,
    unlocked: bool,
    pub(super) pin_tries: u8,
    pub(super) puk_tries: u8,
    pub(super) absent: bool,
    /// Milliseconds since the start.
    pub(super) busy_until: u64,
}

impl Sim {
    pub(super) fn new(pin: Option<String>, puk: String) -> Sim {
        let lock_enabled = pin.is_some();
        Sim {
            pin: pin.unwrap_or_else(|| "0000".into()),
            lock_enabled,
            puk,
            unlocked: !lock_enabled,
            pin_tries: PIN_TRIES,
            puk_tries: PUK_TRIES,
            absent: false,
            busy_until: 0,
        }
    }

    pub(super) fn power_up(&mut self) {
        self.unlocked = !self.lock_enabled && self.pin_tries > 0;
    }

    /// Locks the card as if it had been taken out; `puk`: after three wrong PINs.
    pub(super) fn lock(&mut self, puk: bool) {
        self.lock_enabled = true;
        self.unlocked = false;
        if puk {
            self.pin_tries = 0;
        }
    }

    /// +CPIN?'s answer, or why there is none.
    pub(super) fn status(&self, now_ms: u64) -> Result<&'static str, Failure> {
        if self.absent {
            Err(Failure::Cme(10))
        } else if now_ms < self.busy_until {
            Err(Failure::Cme(14))
        } else if self.unlocked {
            Ok("READY")
        } else if self.puk_tries == 0 {
            Err(Failure::Cme(13))
        } else if self.pin_tries == 0 {
            Ok("SIM PUK")
        } else {
            Ok("SIM PIN")
        }
    }

    /// Why the card cannot be used: the +CME code.
    pub(super) fn trouble(&self, now_ms: u64) -> Option<u16> {
        match self.status(now_ms) {
            Ok("READY") => None,
            Ok("SIM PIN") => Some(11),
            Ok(_) => Some(12),
            Err(Failure::Cme(code)) => Some(code),
            Err(_) => Some(13),
        }
    }

    /// The same as a +CMS code (27.005 §3.2.5).
    pub(super) fn sms_trouble(&self, now_ms: u64) -> Option<u16> {
        self.trouble(now_ms).map(|code| match code {
            10 => 310,
            11 => 311,
            12 => 316,
            14 => 314,
            _ => 313,
        })
    }

    pub(super) fn is_pin(&self, pin: &str) -> bool {
        self.pin == pin
    }

    /// +CPIN=`pin`: three wrong ones and the card asks for its PUK.
    pub(super) fn enter_pin(&mut self, pin: &str) -> Result<(), Failure> {
        if self.pin == pin {
            self.pin_tries = PIN_TRIES;
            self.unlocked = true;
            return Ok(());
        }
        self.pin_tries = self.pin_tries.saturating_sub(1);
        Err(Failure::Cme(if self.pin_tries == 0 { 12 } else { 16 }))
    }

    /// +CPIN=`puk`,`new_pin`: ten wrong ones and the card is dead.
    pub(super) fn enter_puk(&mut self, puk: &str, new_pin: &str) -> Result<(), Failure> {
        if self.puk == puk {
            self.pin = new_pin.to_owned();
            self.pin_tries = PIN_TRIES;
            self.puk_tries = PUK_TRIES;
            self.unlocked = true;
            return Ok(());
        }
        self.puk_tries = self.puk_tries.saturating_sub(1);
        Err(Failure::Cme(if self.puk_tries == 0 { 13 } else { 16 }))
    }
}
