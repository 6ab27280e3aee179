//! What a line (a SIM in a modem, a number at an upstream) tells the daemon and is told by it. A line takes and brings
//! texts as PDUs or whole; the daemon knows no more of what it is.

use serde::{Deserialize, Serialize};

use super::{
    ConsentItem, ConsentsAnswer, MediaResult, MessageId, PartId, PhoneNumber, Post, PostResult, PostStatus,
    PostsFound, UpstreamText, Wall,
};

/// Where the modem keeps a message: `+CPMS` memory (3GPP TS 27.005 §3.2.2), or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mem {
    /// SIM.
    SM,
    /// Modem.
    ME,
    /// Both, as some modems say.
    MT,
    /// Status reports.
    SR,
    /// Handed over by `+CMT`/`+CDS` and not stored by the modem: acknowledged by `+CNMA`, never deleted.
    Direct,
}

impl Mem {
    /// The name that `+CPMS` uses; `--` for [`Mem::Direct`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SM => "SM",
            Self::ME => "ME",
            Self::MT => "MT",
            Self::SR => "SR",
            Self::Direct => "--",
        }
    }

    /// Reads a `+CPMS` name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "SM" => Self::SM,
            "ME" => Self::ME,
            "MT" => Self::MT,
            "SR" => Self::SR,
            "--" => Self::Direct,
            _ => return None,
        })
    }
}

/// The place that a received PDU came from, and that is freed when it is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// Which memory.
    pub mem: Mem,
    /// Its index there; for [`Mem::Direct`] a running number of this connection.
    pub index: u16,
}

/// `+CREG` `<stat>` (3GPP TS 27.007 §7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// 0.
    NotSearching,
    /// 1.
    Home,
    /// 2.
    Searching,
    /// 3.
    Denied,
    /// 4, or not yet asked.
    #[default]
    Unknown,
    /// 5.
    Roaming,
}

impl Registration {
    /// True when texts can go out.
    #[must_use]
    pub fn is_registered(self) -> bool {
        matches!(self, Self::Home | Self::Roaming)
    }
}

/// What the console shows of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineState {
    /// Registered with which kind of network.
    pub registration: Registration,
    /// Signal in dBm, from `+CSQ`; `None` when unknown (99).
    pub signal_dbm: Option<i16>,
    /// Operator's name, from `+COPS?`.
    pub operator: Option<String>,
    /// What a person must do, in words, when the line cannot work by itself: `SIM wants its PIN`.
    pub needs: Option<String>,
}

/// What became of one PDU that the line was told to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendResult {
    /// The network took it. `reference` is TP-MR, which the status report names.
    Accepted {
        /// TP-MR.
        reference: u8,
    },
    /// The modem or the network said no; nothing left the box.
    Rejected {
        /// `+CMS ERROR: 38` as received.
        code: String,
        /// True when the same PDU may be taken later (network out of order, congestion, busy).
        temporary: bool,
    },
    /// It may or may not have left: handed to the modem, and no answer came.
    Unknown {
        /// For the log and the staff.
        why: String,
    },
    /// The PDU never reached the modem: sending it again is safe.
    NotTried {
        /// For the log.
        why: String,
    },
}

/// What a line reports. Every event of one line is in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// Initialised and ready. All stored messages follow as [`LineEvent::Received`], then [`LineEvent::Swept`].
    Up {
        /// IMEI (`+CGSN`), or what stands for it.
        identity: String,
        /// SIM's id (`+CCID`/`+CIMI`), when it tells.
        sim: Option<String>,
        /// Own number, when the SIM tells it (`+CNUM`).
        number: Option<PhoneNumber>,
    },
    /// Gone or not answering; commands that were under way have been answered before this.
    Down {
        /// For the log and the console.
        why: String,
    },
    /// Something that the console shows changed.
    State(LineState),
    /// A PDU is here. It stays in its slot until [`LineCommand::Free`].
    Received {
        /// Where it lies.
        slot: Slot,
        /// As the modem gave it: hex, with the SMSC address in front.
        pdu: String,
    },
    /// Something that should have been a PDU and could not be read (not hex, half a line). Kept raw and reported.
    Unreadable {
        /// Where it lies, when that much was understood.
        slot: Option<Slot>,
        /// As received, lossy UTF-8.
        raw: String,
    },
    /// The modem asks for the PDU. Nothing has left yet, and nothing does until [`LineCommand::Proceed`].
    Prompted {
        /// Which.
        part: PartId,
        /// Which try of this connection: to be given back.
        attempt: u32,
    },
    /// The answer to [`LineCommand::Send`].
    SendDone {
        /// Which.
        part: PartId,
        /// How.
        result: SendResult,
    },
    /// The slot is free: deleted or acknowledged, and the modem said OK.
    Freed {
        /// Which.
        slot: Slot,
    },
    /// Every message that lay in the modem, or at the upstream, when the line came up has been reported.
    Swept,
    /// A whole text is at the upstream. May be told again: its sid is the key.
    Text(Box<UpstreamText>),
    /// Every text up to then has been told before this: polling may go on from here after a restart.
    Cursor(Wall),
    /// The answer to [`LineCommand::Post`].
    Posted {
        /// Which.
        message: MessageId,
        /// As told.
        attempt: u32,
        /// How.
        result: PostResult,
    },
    /// The answer to [`LineCommand::Find`].
    Found {
        /// Which.
        message: MessageId,
        /// What.
        found: PostsFound,
    },
    /// Where a text that the upstream has stands now.
    Status(PostStatus),
    /// The answer to [`LineCommand::Fetch`].
    Media {
        /// Of which text.
        message: MessageId,
        /// Which of its files, from 1.
        number: u8,
        /// What became of it.
        result: MediaResult,
    },
    /// The answer to [`LineCommand::Consents`].
    Consents {
        /// As told.
        batch: u64,
        /// What became of them.
        answer: ConsentsAnswer,
    },
}

/// What a line is told. At most one [`LineCommand::Send`] is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineCommand {
    /// Ask the modem to take one PDU; it answers with [`LineEvent::Prompted`].
    Send {
        /// Which.
        part: PartId,
        /// SMS-SUBMIT in hex with the SMSC address (`00` for the SIM's own) in front, as `+CMGS` takes it.
        pdu: String,
        /// Octets without the SMSC address: the number in `AT+CMGS=<length>`.
        length: u8,
    },
    /// The answer to [`LineEvent::Prompted`].
    Proceed {
        /// Which.
        part: PartId,
        /// As told.
        attempt: u32,
        /// True: the row that says `handed` is committed, the PDU may leave. False: it is not wanted any more.
        go: bool,
    },
    /// The message in this slot is committed: delete it (`+CMGD`), or acknowledge it (`+CNMA`) when direct.
    Free {
        /// Which.
        slot: Slot,
    },
    /// From when on texts are to be told: the last [`LineEvent::Cursor`] that was committed; `None` on the first day. A
    /// line that brings texts whole begins when it has this.
    Resume(Option<Wall>),
    /// Hand a whole text to the upstream; its row says `handed`. Several may be under way, one a person.
    Post(Box<Post>),
    /// Look for a text that may be there.
    Find {
        /// Which.
        message: MessageId,
        /// Recipient, channel and body, as they were posted.
        post: Box<Post>,
        /// Not older than this.
        since: Wall,
    },
    /// Ask where this text stands until that is final.
    Track {
        /// Its id at the upstream.
        sid: String,
        /// When it was handed over.
        since: Wall,
    },
    /// Fetch a file of a text.
    Fetch {
        /// Of which text.
        message: MessageId,
        /// Which of its files, from 1.
        number: u8,
        /// Where.
        url: String,
    },
    /// Tell the upstream who wants texts from this number. Its last word on each person counts; to tell it twice is
    /// harmless. At most one is under way.
    Consents {
        /// To be given back.
        batch: u64,
        /// Up to [`super::CONSENTS_MOST`], a person once.
        items: Vec<ConsentItem>,
    },
}
