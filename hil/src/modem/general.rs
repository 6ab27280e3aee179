//! Commands of V.250 and 27.007: identity, SIM, power, registration, USSD, calls; and the settings that peers
//! send at their start and that change nothing here.

use super::command::{Command, Kind, number, parameters};
use super::machine::{Call, Failure, Machine, Reply, Timer};
use super::settings::Settings;
use super::sim::PIN_TRIES;
use serde_json::json;

const RING_MS: u64 = 3_000;

/// Numbers that are an emergency call in any network or in North America (22.101 §10.1).
const EMERGENCY: [&str; 8] = ["112", "911", "999", "000", "110", "118", "119", "08"];

/// Commands that are taken, remembered and without effect, with their `=?` answer and their value at reset.
const INERT: [(&str, &str, &str); 24] = [
    ("+CLIR", "(0-2)", "0,1"),
    ("+COLP", "(0,1)", "0,0"),
    ("+CDIP", "(0,1)", "0,0"),
    ("+CCWA", "(0,1)", "0"),
    ("+CSSN", "(0,1),(0,1)", "0,0"),
    ("+CVHU", "(0,1)", "0"),
    ("+CMOD", "(0)", "0"),
    ("+CGDCONT", "(1-16),\"IP\",,,(0-2),(0-4)", "1,\"IP\",\"hil\",\"\",0,0"),
    ("+CGATT", "(0,1)", "1"),
    ("+CMER", "(0-3),(0),(0),(0-2),(0,1)", "0,0,0,0,0"),
    ("+CTZU", "(0,1)", "0"),
    ("+CTZR", "(0,1)", "0"),
    ("+CLVL", "(0-8)", "4"),
    ("+CMUT", "(0,1)", "0"),
    ("+CRSL", "(0-4)", "2"),
    ("+CSTA", "(129,145)", "129"),
    ("+CBST", "(0,7,71),(0),(0,1)", "0,0,1"),
    ("+VTD", "(1-255)", "1"),
    ("+IPR", "(),(0,9600,115200)", "115200"),
    ("+IFC", "(0-2),(0-2)", "0,0"),
    ("+ICF", "(3),(0-3)", "3,3"),
    ("+CPBS", "(\"SM\",\"ON\")", "\"SM\",0,250"),
    ("+CALM", "(0-2)", "0"),
    ("+CGEREP", "(0-2),(0,1)", "0,0"),
];

/// Names that +CLAC lists beside the inert ones.
const NAMES: &str = "&C &D &F &V &W A A/ D E H I L M O P Q S0 S3 S4 S5 T V X Z +CLAC +CGMI +CGMM +CGMR \
+CGSN +GMI +GMM +GMR +GSN +GCAP +CIMI +CCID +CNUM +CPIN +CPINR +CLCK +CPWD +CFUN +CREG +CGREG +CEREG +COPS +CSQ \
+CPAS +CIND +CBC +CCLK +CMEE +CSCS +CSMS +CMGF +CSCA +CSMP +CSDH +CPMS +CNMI +CNMA +CMGS +CMGW +CMSS +CMGR +CMGL \
+CMGD +CMMS +CSAS +CRES +CSCB +CUSD +CLIP +CRC +CLCC +CHUP +CHLD +VTS +CPBR +CRESET";

/// Mobile equipment failure texts, 27.007 §9.2.
pub(super) fn cme_text(code: u16) -> String {
    let text = match code {
        0 => "phone failure",
        3 => "operation not allowed",
        4 => "operation not supported",
        10 => "SIM not inserted",
        11 => "SIM PIN required",
        12 => "SIM PUK required",
        13 => "SIM failure",
        14 => "SIM busy",
        16 => "incorrect password",
        20 => "memory full",
        21 => "invalid index",
        22 => "not found",
        30 => "no network service",
        50 => "incorrect parameters",
        100 => "unknown",
        other => return other.to_string(),
    };
    text.into()
}

const BAD_PARAMETER: Reply = Reply::Fail(Failure::Cme(50));

impl Machine {
    /// A command that is not about messages; `None` if the modem does not know it.
    pub(super) fn general_command(&mut self, command: &Command) -> Option<Reply> {
        self.basic_command(command)
            .or_else(|| self.identity_command(command))
            .or_else(|| self.sim_command(command))
            .or_else(|| self.network_command(command))
            .or_else(|| self.call_command(command))
            .or_else(|| self.inert_command(command))
    }

    /// `value` is one number up to `max`, and `set` puts it where it belongs.
    pub(super) fn set_small(&mut self, value: &str, max: u16, set: impl Fn(&mut Settings, u8)) -> Reply {
        match number(&parameters(value), 0, max).map(|n| n.map(u8::try_from)) {
            Ok(Some(Ok(n))) => {
                set(&mut self.settings, n);
                Reply::Ok
            }
            _ => BAD_PARAMETER,
        }
    }

    fn basic_command(&mut self, command: &Command) -> Option<Reply> {
        let value = match &command.kind {
            Kind::Set(value) => value.as_str(),
            Kind::Execute | Kind::Read | Kind::Test => "",
        };
        let reply = match (command.name.as_str(), &command.kind) {
            ("", _) => Reply::Ok,
            ("E", _) => self.set_flag(value, |s, on| s.echo = on),
            ("V", _) => self.set_flag(value, |s, on| s.verbose = on),
            ("Q", _) => self.set_flag(value, |s, on| s.quiet = on),
            ("Z", _) => {
                self.settings = self.profile.clone();
                self.call = None;
                Reply::Ok
            }
            ("&F", _) => {
                self.settings = Settings::default();
                Reply::Ok
            }
            ("&W", _) => {
                self.profile = self.settings.clone();
                Reply::Ok
            }
            ("&V", _) => {
                Reply::line(format!("E{} V{}", u8::from(self.settings.echo), u8::from(self.settings.verbose)))
            }
            ("I", _) => {
                let id = &self.options.identity;
                Reply::Info(vec![
                    format!("Manufacturer: {}", id.manufacturer),
                    format!("Model: {}", id.model),
                    format!("Revision: {}", id.revision),
                    format!("IMEI: {}", id.imei),
                    "+GCAP: +CGSM".into(),
                ])
            }
            ("&C" | "&D" | "&K" | "&S" | "&R" | "L" | "M" | "N" | "O" | "P" | "T" | "X" | "\\Q", _) => {
                Reply::Ok
            }
            ("+CMEE", Kind::Test) => Reply::line("+CMEE: (0-2)"),
            ("+CMEE", Kind::Read) => Reply::line(format!("+CMEE: {}", self.settings.cmee)),
            ("+CMEE", Kind::Set(value)) => self.set_small(value, 2, |s, v| s.cmee = v),
            ("+CMEE", Kind::Execute) => {
                self.settings.cmee = 0;
                Reply::Ok
            }
            ("+CLAC", Kind::Execute) => {
                let inert = INERT.iter().map(|(name, ..)| (*name).to_owned());
                Reply::Info(NAMES.split_whitespace().map(str::to_owned).chain(inert).collect())
            }
            ("+CLAC", Kind::Test) => Reply::Ok,
            (name, Kind::Read) if name.starts_with('S') => match name {
                "S0" => Reply::line("000"),
                "S3" => Reply::line("013"),
                "S4" => Reply::line("010"),
                "S5" => Reply::line("008"),
                _ => Reply::line("000"),
            },
            // Other line characters than CR, LF and BS are refused: nothing here would obey them.
            ("S3", Kind::Set(v)) if v != "13" => Reply::Fail(Failure::Error),
            ("S4", Kind::Set(v)) if v != "10" => Reply::Fail(Failure::Error),
            ("S5", Kind::Set(v)) if v != "8" => Reply::Fail(Failure::Error),
            (name, Kind::Set(_)) if name.starts_with('S') => Reply::Ok,
            _ => return None,
        };
        Some(reply)
    }

    fn set_flag(&mut self, value: &str, set: impl Fn(&mut Settings, bool)) -> Reply {
        match value {
            "" | "0" => set(&mut self.settings, false),
            "1" => set(&mut self.settings, true),
            _ => return Reply::Fail(Failure::Error),
        }
        Reply::Ok
    }

    fn identity_command(&mut self, command: &Command) -> Option<Reply> {
        let id = &self.options.identity;
        let text = match command.name.as_str() {
            "+CGMI" | "+GMI" => id.manufacturer.clone(),
            "+CGMM" | "+GMM" => id.model.clone(),
            "+CGMR" | "+GMR" => id.revision.clone(),
            "+CGSN" | "+GSN" => id.imei.clone(),
            "+GCAP" => "+GCAP: +CGSM".into(),
            "+CIMI" => id.imsi.clone(),
            "+CCID" | "+ICCID" | "+QCCID" => format!("+CCID: {}", id.iccid),
            "+CNUM" => format!("+CNUM: \"Line 1\",\"{}\",145", self.encode_host(&id.number)),
            _ => return None,
        };
        let of_sim = matches!(command.name.as_str(), "+CIMI" | "+CCID" | "+ICCID" | "+QCCID" | "+CNUM");
        Some(match command.kind {
            Kind::Test => Reply::Ok,
            Kind::Execute | Kind::Read | Kind::Set(_) => match self.sim.trouble(self.now.ms) {
                Some(code) if of_sim => Reply::Fail(Failure::Cme(code)),
                _ => Reply::line(text),
            },
        })
    }

    fn sim_command(&mut self, command: &Command) -> Option<Reply> {
        let reply = match (command.name.as_str(), &command.kind) {
            ("+CPIN", Kind::Read) => match self.sim.status(self.now.ms) {
                Ok(status) => Reply::line(format!("+CPIN: {status}")),
                Err(failure) => Reply::Fail(failure),
            },
            ("+CPIN" | "+CPINR", Kind::Test) => Reply::Ok,
            ("+CPIN", Kind::Set(value)) => self.enter_pin(value),
            ("+CPINR", Kind::Execute | Kind::Set(_)) => Reply::Info(vec![
                format!("+CPINR: SIM PIN,{},{PIN_TRIES}", self.sim.pin_tries),
                format!("+CPINR: SIM PUK,{},10", self.sim.puk_tries),
            ]),
            ("+SPIC", Kind::Execute) => {
                Reply::line(format!("+SPIC: {},{},3,10", self.sim.pin_tries, self.sim.puk_tries))
            }
            ("+CLCK", Kind::Test) => Reply::line("+CLCK: (\"SC\")"),
            ("+CLCK", Kind::Set(value)) => self.facility_lock(value),
            ("+CPWD", Kind::Test) => Reply::line("+CPWD: (\"SC\",8)"),
            _ => return None,
        };
        Some(reply)
    }

    fn enter_pin(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        let first = given.first().map_or("", String::as_str);
        let result = match (self.sim.status(self.now.ms), given.get(1)) {
            (Err(failure), _) => Err(failure),
            (Ok("SIM PIN"), None) => self.sim.enter_pin(first),
            (Ok("SIM PUK"), Some(new_pin)) => self.sim.enter_puk(first, new_pin),
            (Ok("SIM PUK"), None) => Err(Failure::Cme(12)),
            (Ok(_), _) => Err(Failure::Cme(3)),
        };
        self.log(json!({"dir": "net", "event": "pin_entered", "accepted": result.is_ok()}));
        match result {
            Ok(()) => {
                for line in ["+CPIN: READY", "SMS DONE"] {
                    self.after(0, Timer::Urc(line.into()));
                }
                Reply::Ok
            }
            Err(failure) => Reply::Fail(failure),
        }
    }

    fn facility_lock(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        let part = |i: usize| given.get(i).map_or("", String::as_str);
        if !part(0).eq_ignore_ascii_case("SC") {
            return Reply::Fail(Failure::Cme(4));
        }
        match part(1) {
            "2" => Reply::line(format!("+CLCK: {}", u8::from(self.sim.lock_enabled))),
            "0" | "1" if self.sim.is_pin(part(2)) => {
                self.sim.lock_enabled = part(1) == "1";
                Reply::Ok
            }
            "0" | "1" => Reply::Fail(Failure::Cme(16)),
            _ => BAD_PARAMETER,
        }
    }

    fn network_command(&mut self, command: &Command) -> Option<Reply> {
        let registration = ["+CREG", "+CGREG", "+CEREG"].iter().position(|n| *n == command.name);
        if let Some(which) = registration {
            return Some(self.registration_command(command, which));
        }
        let reply = match (command.name.as_str(), &command.kind) {
            ("+CFUN", Kind::Test) => Reply::line("+CFUN: (0,1,4),(0,1)"),
            ("+CFUN", Kind::Read) => Reply::line(format!("+CFUN: {}", self.cfun)),
            ("+CFUN", Kind::Set(value)) => self.functionality(value),
            ("+CRESET", Kind::Execute) | ("^RESET", Kind::Execute) => {
                self.after(1, Timer::Reset);
                Reply::Ok
            }
            ("+CSQ", Kind::Test) => Reply::line("+CSQ: (0-31,99),(0-7,99)"),
            ("+CSQ", Kind::Execute) => {
                Reply::line(format!("+CSQ: {},99", if self.is_registered() { self.rssi } else { 99 }))
            }
            ("+COPS", kind) => self.operator(kind),
            ("+CPAS", Kind::Execute) => {
                let status = match &self.call {
                    None => 0,
                    Some(call) if call.incoming && !call.active => 3,
                    Some(_) => 4,
                };
                Reply::line(format!("+CPAS: {status}"))
            }
            ("+CIND", Kind::Test) => Reply::line(
                "+CIND: (\"battchg\",(0-5)),(\"signal\",(0-5)),(\"service\",(0,1)),(\"call\",(0,1))",
            ),
            ("+CIND", Kind::Read) => {
                let service = u8::from(self.is_registered());
                Reply::line(format!("+CIND: 5,{},{service},{}", self.rssi / 7, u8::from(self.call.is_some())))
            }
            ("+CBC", Kind::Execute) => Reply::line("+CBC: 0,100"),
            ("+CCLK", Kind::Read) => {
                let at = self.now.wall.to_zoned(self.zone.clone());
                let quarters = at.offset().seconds() / 900;
                Reply::line(format!("+CCLK: \"{}{quarters:+03}\"", at.strftime("%y/%m/%d,%H:%M:%S")))
            }
            ("+CCLK", Kind::Set(_)) => Reply::Ok,
            ("+CUSD", kind) => self.supplementary(kind),
            _ => return None,
        };
        Some(reply)
    }

    fn functionality(&mut self, value: &str) -> Reply {
        let given = parameters(value);
        let (Ok(Some(level)), Ok(reset)) = (number(&given, 0, 4), number(&given, 1, 1)) else {
            return BAD_PARAMETER;
        };
        let level = match level {
            0 => 0,
            1 => 1,
            4 => 4,
            _ => return Reply::Fail(Failure::Cme(4)),
        };
        if self.ignore_cfun {
            return Reply::Ok;
        }
        if reset == Some(1) {
            // The OK leaves first.
            self.after(1, Timer::Reset);
        } else {
            self.cfun = level;
        }
        Reply::Ok
    }

    fn registration_command(&mut self, command: &Command, which: usize) -> Reply {
        let name = &command.name;
        match &command.kind {
            Kind::Test => Reply::line(format!("{name}: (0-2)")),
            Kind::Read => {
                let mode = self.settings.registration.get(which).copied().unwrap_or(0);
                Reply::line(format!("{name}: {mode},{}{}", self.registration(), self.cell(mode)))
            }
            Kind::Set(value) => self.set_small(value, 2, |settings, mode| {
                if let Some(slot) = settings.registration.get_mut(which) {
                    *slot = mode;
                }
            }),
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn cell(&self, mode: u8) -> &'static str {
        if mode == 2 && self.is_registered() { ",\"00C1\",\"01A2B3C4\",7" } else { "" }
    }

    /// Unsolicited +CREG and its kin when the registration has changed.
    pub(super) fn tell_registration(&mut self) {
        let now = self.registration();
        if now == self.told_registration {
            return;
        }
        self.told_registration = now;
        self.log(json!({"dir": "net", "event": "registration", "stat": now}));
        for (name, mode) in ["+CREG", "+CGREG", "+CEREG"].into_iter().zip(self.settings.registration) {
            if mode > 0 {
                let cell = self.cell(mode);
                self.urc(&format!("{name}: {now}{cell}"));
            }
        }
    }

    fn operator(&mut self, kind: &Kind) -> Reply {
        let name = &self.options.identity.operator;
        let code = &self.options.identity.plmn;
        match kind {
            Kind::Test => Reply::line(format!("+COPS: (2,\"{name}\",\"{name}\",\"{code}\",7),,(0-4),(0-2)")),
            Kind::Read if self.is_registered() => {
                let format = self.settings.cops_format;
                let shown = if format == 2 { code.clone() } else { self.encode_host(name) };
                Reply::line(format!("+COPS: 0,{format},\"{shown}\",7"))
            }
            Kind::Read => Reply::line("+COPS: 0"),
            Kind::Set(value) => {
                let given = parameters(value);
                match (number(&given, 0, 4), number(&given, 1, 2)) {
                    (Ok(Some(3)), Ok(Some(format))) => {
                        self.settings.cops_format = u8::try_from(format).unwrap_or(0);
                        Reply::Ok
                    }
                    (Ok(Some(_)), Ok(_)) => Reply::Ok,
                    _ => BAD_PARAMETER,
                }
            }
            Kind::Execute => Reply::Fail(Failure::Error),
        }
    }

    fn supplementary(&mut self, kind: &Kind) -> Reply {
        match kind {
            Kind::Test => Reply::line("+CUSD: (0-2)"),
            Kind::Read => Reply::line(format!("+CUSD: {}", u8::from(self.settings.cusd))),
            Kind::Execute => Reply::Fail(Failure::Error),
            Kind::Set(value) => {
                let given = parameters(value);
                let Ok(Some(mode)) = number(&given, 0, 2) else { return BAD_PARAMETER };
                self.settings.cusd = mode == 1;
                let asked = given.get(1).map_or("", String::as_str);
                if asked.is_empty() {
                    return Reply::Ok;
                }
                if !self.is_registered() {
                    return Reply::Fail(Failure::Cme(30));
                }
                let asked = self.decode_host(asked.as_bytes());
                let answer = if asked == "*100#" {
                    format!("+CUSD: 0,\"{}\",15", self.encode_host("Balance: 10.00 USD"))
                } else {
                    "+CUSD: 4".into()
                };
                self.after(0, Timer::Urc(answer));
                Reply::Ok
            }
        }
    }

    fn call_command(&mut self, command: &Command) -> Option<Reply> {
        let reply = match (command.name.as_str(), &command.kind) {
            ("D", Kind::Set(number)) => self.dial(number.trim()),
            ("A", Kind::Execute) => match &mut self.call {
                Some(call) if call.incoming && !call.active => {
                    call.active = true;
                    Reply::Ok
                }
                _ => Reply::Fail(Failure::NoCarrier),
            },
            ("H", _) | ("+CHUP", Kind::Execute) | ("+CHLD", Kind::Set(_)) => {
                if self.call.take().is_some() {
                    self.log(json!({"dir": "net", "event": "call_ended"}));
                }
                Reply::Ok
            }
            ("+CHUP" | "+VTS", Kind::Test) => Reply::Ok,
            ("+CHLD", Kind::Test) => Reply::line("+CHLD: (0,1,2,3)"),
            ("+VTS", Kind::Set(_)) => {
                if self.call.as_ref().is_some_and(|c| c.active) {
                    Reply::Ok
                } else {
                    Reply::Fail(Failure::Cme(3))
                }
            }
            ("+CLCC", Kind::Execute) => Reply::Info(
                self.call
                    .iter()
                    .map(|call| {
                        let stat = match (call.active, call.incoming) {
                            (true, _) => 0,
                            (false, true) => 4,
                            (false, false) => 2,
                        };
                        let kind = if call.number.starts_with('+') { 145 } else { 129 };
                        let incoming = u8::from(call.incoming);
                        format!(
                            "+CLCC: 1,{incoming},{stat},0,0,\"{}\",{kind}",
                            self.encode_host(&call.number)
                        )
                    })
                    .collect(),
            ),
            ("+CLIP", Kind::Test) => Reply::line("+CLIP: (0,1)"),
            ("+CLIP", Kind::Read) => Reply::line(format!("+CLIP: {},1", u8::from(self.settings.clip))),
            ("+CLIP", Kind::Set(value)) => self.set_small(value, 1, |s, v| s.clip = v == 1),
            ("+CRC", Kind::Test) => Reply::line("+CRC: (0,1)"),
            ("+CRC", Kind::Read) => Reply::line(format!("+CRC: {}", u8::from(self.settings.crc))),
            ("+CRC", Kind::Set(value)) => self.set_small(value, 1, |s, v| s.crc = v == 1),
            _ => return None,
        };
        Some(reply)
    }

    fn dial(&mut self, typed: &str) -> Reply {
        let Some(number) = typed.strip_suffix(';') else { return Reply::Fail(Failure::NoCarrier) };
        let number: String =
            number.chars().filter(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#')).collect();
        let emergency = EMERGENCY.contains(&number.as_str());
        let refused =
            if emergency { !self.emergency_calls } else { !self.is_registered() || self.call.is_some() };
        self.log(json!({"dir": "net", "event": "dialled", "to": number, "emergency": emergency,
            "accepted": !refused}));
        if refused || number.is_empty() {
            return Reply::Fail(Failure::NoCarrier);
        }
        self.call = Some(Call { number, incoming: false, active: true });
        Reply::Ok
    }

    /// Somebody calls the box's number.
    pub(super) fn incoming_call(&mut self, from: String) {
        if self.is_registered() && self.call.is_none() {
            self.call = Some(Call { number: from, incoming: true, active: false });
            self.ring();
        }
    }

    /// The far end hangs up.
    pub(super) fn far_end_hangs_up(&mut self) {
        if self.call.take().is_some() {
            self.urc("NO CARRIER");
        }
    }

    pub(super) fn ring(&mut self) {
        let Some(call) = self.call.as_ref().filter(|c| c.incoming && !c.active) else { return };
        let kind = if call.number.starts_with('+') { 145 } else { 129 };
        let clip = format!("+CLIP: \"{}\",{kind},,,,0", self.encode_host(&call.number));
        self.urc(if self.settings.crc { "+CRING: VOICE" } else { "RING" });
        if self.settings.clip {
            self.urc(&clip);
        }
        self.after(RING_MS, Timer::Ring);
    }

    fn inert_command(&mut self, command: &Command) -> Option<Reply> {
        if command.name == "+CPBR" {
            return Some(match command.kind {
                Kind::Test => Reply::line("+CPBR: (1-250),40,20"),
                _ => Reply::Ok,
            });
        }
        let (name, test, initial) = INERT.into_iter().find(|(name, ..)| *name == command.name)?;
        Some(match &command.kind {
            Kind::Test => Reply::line(format!("{name}: {test}")),
            Kind::Read => {
                let value = self.settings.inert.get(name).map_or(initial, String::as_str);
                Reply::line(format!("{name}: {value}"))
            }
            Kind::Set(value) => {
                self.settings.inert.insert(name, value.clone());
                Reply::Ok
            }
            Kind::Execute => Reply::Ok,
        })
    }
}
