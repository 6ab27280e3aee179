//! The vocabulary of the emulator: what a modem is started with, what can be done to it, what it tells.
//! The same values travel in process, over the control socket and in scenario files.

use super::pdu::Coding;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a modem is started with. `Options::default()` is an instant, unlocked, registered modem on a PTY.
#[derive(Debug, Clone)]
pub struct Options {
    /// A stable name for the port, as udev would give; without it the port is `/dev/pts/N`.
    pub link: Option<PathBuf>,
    /// Every byte and every event with its time, appended as JSON lines.
    pub log: Option<PathBuf>,
    /// Unix socket that takes [`Request`]s as JSON lines.
    pub control: Option<PathBuf>,
    /// Steps read at the start, see `scenario.rs`.
    pub scenario: Option<PathBuf>,
    pub identity: Identity,
    /// PIN that the SIM asks for at power-up; `None`: it asks for none.
    pub pin: Option<String>,
    pub puk: String,
    /// Slots of SM, ME and SR.
    pub capacity: [usize; 3],
    /// Index of a memory's first slot: 1 on most modems, 0 on some.
    pub first_index: usize,
    pub latency: Latency,
    pub reports: Reports,
    /// Settings outlive a reset. Real modems forget most of them, so the default is `false`.
    pub keep_settings: bool,
    /// Silence between a reset and its unsolicited RDY, in milliseconds.
    pub boot_ms: u64,
    /// A reset also takes the port away for so long, as USB modems do when they enumerate anew.
    pub reset_drops_port_ms: Option<u64>,
    /// How long +CMT and +CDS wait for +CNMA under +CSMS: 1, in milliseconds (24.011 TR2M).
    pub ack_timeout_ms: u64,
    /// Pause before the network tries a message again that the box did not acknowledge, in milliseconds.
    pub redeliver_ms: u64,
    /// Zone of the service centre's timestamps, IANA name.
    pub time_zone: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            link: None,
            log: None,
            control: None,
            scenario: None,
            identity: Identity::default(),
            pin: None,
            puk: "12345678".into(),
            capacity: [30, 100, 50],
            first_index: 1,
            latency: Latency::Instant,
            reports: Reports::After { ms: 0, status: 0 },
            keep_settings: false,
            boot_ms: 20,
            reset_drops_port_ms: None,
            ack_timeout_ms: 15_000,
            redeliver_ms: 1_000,
            time_zone: "UTC".into(),
        }
    }
}

/// Who the modem and its SIM say they are.
#[derive(Debug, Clone)]
pub struct Identity {
    pub manufacturer: String,
    pub model: String,
    pub revision: String,
    pub imei: String,
    pub imsi: String,
    pub iccid: String,
    /// The SIM's own number, E.164.
    pub number: String,
    pub service_centre: String,
    pub operator: String,
    /// Mobile country and network code.
    pub plmn: String,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity {
            manufacturer: "Backroom".into(),
            model: "HIL-1".into(),
            revision: "HIL1-R01".into(),
            imei: "490154203237518".into(),
            imsi: "001010123456789".into(),
            iccid: "8901150012345678901".into(),
            number: "+12065550100".into(),
            service_centre: "+12063130004".into(),
            operator: "HIL Mobile".into(),
            // 001-01 is the test network: no real operator has it (E.212).
            plmn: "00101".into(),
        }
    }
}

/// How fast the modem and its network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    Instant,
    /// 15 ms a command, 2.5 s a text sent, 800 ms a text received, 3 s for +CFUN.
    Realistic,
}

/// What becomes of a status report that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reports", rename_all = "snake_case")]
pub enum Reports {
    Never,
    /// After `ms` milliseconds with TP-ST `status`: 0 delivered, 0x20-0x2F still trying, 0x40-0x6F failed.
    After {
        ms: u64,
        #[serde(default)]
        status: u8,
    },
    /// Kept until `count` wait, then sent last first.
    Reversed {
        count: usize,
    },
}

/// A text on its way to the box.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// E.164 or short number, or up to 11 characters of an alphanumeric sender.
    pub from: String,
    pub text: String,
    #[serde(default)]
    pub coding: Coding,
    /// Message class 0-3; 0 is a flash message.
    #[serde(default)]
    pub class: Option<u8>,
    /// RFC 3339 time of the service centre; now if absent.
    #[serde(default)]
    pub at: Option<String>,
    /// 16-bit concatenation reference instead of 8-bit.
    #[serde(default)]
    pub wide: bool,
    /// Reference of the concatenation; counted up if absent.
    #[serde(default)]
    pub reference: Option<u16>,
    /// Parts to deliver, from 1, in this order: `[2, 1]` reorders, `[1, 1, 2]` doubles, `[1]` loses the second.
    #[serde(default)]
    pub parts: Option<Vec<usize>>,
}

impl Delivery {
    /// A plain text.
    pub fn new(from: impl Into<String>, text: impl Into<String>) -> Delivery {
        Delivery { from: from.into(), text: text.into(), ..Delivery::default() }
    }
}

/// A text that the box sent and the network took; a concatenated one is told once, when its last part is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Counts texts from 1.
    pub seq: u64,
    pub to: String,
    pub text: String,
    pub parts: usize,
    /// Octets of user data of all parts.
    pub bytes: usize,
    /// Unix time in milliseconds, as in the log.
    pub t_ms: u64,
}

fn once() -> u32 {
    1
}

/// What can go wrong on request. `match` is the start of a command behind `AT`, such as `+CMGS`; empty matches
/// all. `times` commands are hit, then the fault is spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Neither carried out nor answered.
    NoAnswer {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// Carried out, the answer lost: for +CMGS the text was sent.
    LostAnswer {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// Carried out, answered late.
    Delay {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
        ms: u64,
    },
    /// Carried out; the answer stops in its middle.
    HalfLine {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// Not carried out, answered with this final result, such as `+CMS ERROR: 500`. For +CMGS after the text was
    /// typed: the network refused it.
    Error {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
        error: String,
    },
    /// +CMGS and +CMGW answer with this instead of the prompt; empty: with nothing.
    NoPrompt {
        #[serde(default = "once")]
        times: u32,
        #[serde(default)]
        error: String,
    },
    /// From +CMGS to its prompt; 0: at once again.
    SlowPrompt {
        ms: u64,
    },
    /// These lines stand between the information text and the final result.
    UrcBetween {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
        lines: Vec<String>,
    },
    /// These octets (hexadecimal) stand before the answer.
    GarbageBefore {
        #[serde(default, rename = "match")]
        matching: String,
        #[serde(default = "once")]
        times: u32,
        hex: String,
    },
    /// These octets (hexadecimal) come now.
    Garbage {
        hex: String,
    },
    /// This unsolicited line comes `count` times, `gap_ms` apart.
    UrcFlood {
        line: String,
        count: u32,
        #[serde(default)]
        gap_ms: u64,
    },
    /// Memories take no message and say that they are full.
    StorageFull {
        on: bool,
    },
    /// +CME ERROR: 14 and +CMS ERROR: 314 for so long.
    SimBusy {
        ms: u64,
    },
    SimAbsent {
        on: bool,
    },
    /// The SIM is locked anew and asks for its PIN, or for its PUK.
    SimLock {
        #[serde(default)]
        puk: bool,
    },
    /// Deaf and dumb until +CFUN=1,1, or until unplugged; after `ms` it recovers by itself.
    Hang {
        #[serde(default)]
        ms: Option<u64>,
        /// Also +CFUN does not help.
        #[serde(default)]
        hard: bool,
    },
    /// +CFUN= is answered with OK and does nothing.
    IgnoreCfun {
        on: bool,
    },
    /// Resets by itself, as after a brown-out. With `drop_port_ms` the port goes and comes back under its name.
    Reboot {
        #[serde(default)]
        drop_port_ms: Option<u64>,
    },
    /// Writes leave in pieces of `bytes`, `gap_ms` apart; 0 bytes: whole again.
    SplitWrites {
        bytes: usize,
        #[serde(default)]
        gap_ms: u64,
    },
    /// Writes are collected for so long and leave as one; 0: at once again.
    MergeWrites {
        ms: u64,
    },
    /// Registration as +CREG tells it: 0 none, 1 home, 2 searching, 3 denied, 5 roaming.
    Registration {
        stat: u8,
    },
    /// +CSQ's `<rssi>`, 0-31 or 99.
    Signal {
        rssi: u8,
    },
    /// What becomes of the status reports of texts sent from now on.
    Reports {
        #[serde(flatten)]
        plan: Reports,
    },
    /// A call to an emergency number connects; without it such calls are refused.
    EmergencyCalls {
        on: bool,
    },
    /// All of the above back to normal, except SIM locks.
    Clear,
}

/// One request of the control socket, of a scenario or of the library.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Request {
    Deliver(Delivery),
    /// A raw PDU, service centre address first; nothing is checked.
    DeliverPdu {
        pdu: String,
    },
    /// An unsolicited line.
    Urc {
        line: String,
    },
    Fault(Fault),
    /// Takes the port away, and back after `return_after_ms`, under the name `as` if given.
    Unplug {
        #[serde(default)]
        return_after_ms: Option<u64>,
        #[serde(default, rename = "as")]
        link: Option<PathBuf>,
    },
    Replug {
        #[serde(default, rename = "as")]
        link: Option<PathBuf>,
    },
    /// Somebody calls; rings until answered or hung up.
    Ring {
        from: String,
    },
    /// The caller, or the called party, hangs up.
    HangUp,
    /// Texts of the box with a sequence number above `since`.
    Submitted {
        #[serde(default)]
        since: u64,
    },
    State,
}

/// What the modem is like now.
#[derive(Debug, Clone, Serialize)]
pub struct State {
    pub port: PathBuf,
    pub plugged: bool,
    /// Powered, booted and not hung: it answers.
    pub ready: bool,
    pub registration: u8,
    /// Messages in each memory: name, capacity, list of index, status and PDU.
    pub memories: Vec<MemoryState>,
    /// Messages that the network still holds for the box.
    pub waiting: usize,
    pub awaiting_ack: bool,
    pub counters: Counters,
    pub cmgf: u8,
    pub cnmi: [u8; 5],
    pub csms: u8,
    pub echo: bool,
    pub cfun: u8,
    pub sim: String,
    pub pin_tries: u8,
    /// Reference, total and parts present of concatenated texts not yet complete.
    pub partial: Vec<(u16, u8, Vec<u8>)>,
}

#[derive(Debug, Clone, Serialize)]
pub struct MemoryState {
    pub name: &'static str,
    pub capacity: usize,
    pub messages: Vec<(usize, &'static str, String)>,
}

/// Counted since the start.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    pub commands: u64,
    /// Messages that the network took, parts counted singly.
    pub submitted: u64,
    pub refused: u64,
    /// Messages that reached the modem's memory or the port, reports included.
    pub delivered: u64,
    pub deleted: u64,
    pub resets: u64,
}
