//! SMS PDUs (3GPP TS 23.040) as a modem gives and takes them (3GPP TS 27.005 §3.1: hex, the service centre's
//! address in front): DELIVER, STATUS-REPORT and SUBMIT decoded, SUBMIT and DELIVER encoded. Owns alphabets,
//! headers, addresses and times. Knows nothing of AT commands, keeps no parts (the caller collects them and hands
//! them to [`join`]), and does not decompress.
//!
//! What a stranger sends never panics and loses as little as it can: a time that is not one, a user data length
//! that is too long or a header that does not add up is a [`Note`] on a message that is still there.

mod address;
mod dcs;
mod encode;
mod header;
mod indic;
mod national;
#[cfg(test)]
mod tests;
mod timestamp;
mod userdata;

use crate::types::Address;

pub use address::TypeOfAddress;
pub use dcs::{Alphabet, Coding, MessageWaiting};
pub use encode::{DeliverOptions, EncodedPdu, SubmitOptions, deliver, submit};
pub use header::{Concat, InfoElement, Ports};
pub use timestamp::Timestamp;
pub use userdata::{National, UserData, join};

/// Which way a PDU goes: the type bits mean something else each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the service centre to us: DELIVER, STATUS-REPORT.
    FromSc,
    /// From us (or stored to be sent): SUBMIT.
    ToSc,
}

/// A decoded PDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pdu {
    /// A text, or a part of one, for us.
    Deliver(Deliver),
    /// What became of a text of ours.
    StatusReport(StatusReport),
    /// A text, or a part of one, from us.
    Submit(Submit),
}

/// SMS-DELIVER (§9.2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// The service centre's number, with its plus when international.
    pub smsc: Option<String>,
    /// TP-OA.
    pub from: Address,
    /// TP-OA's type of number.
    pub from_type: TypeOfAddress,
    /// TP-PID: 0x40 is a silent message, 0x41 to 0x47 replace an earlier one.
    pub pid: u8,
    /// TP-SCTS; `None` when it was not a time.
    pub timestamp: Option<Timestamp>,
    /// The service centre has more for us (TP-MMS).
    pub more: bool,
    /// TP-DCS, raw; [`Coding::of`] takes it apart.
    pub dcs: u8,
    /// Message class, 0 is a flash message.
    pub class: Option<u8>,
    /// The voicemail lamp and its kin.
    pub waiting: Option<MessageWaiting>,
    /// The user data header's octets, without its length; empty when there is none.
    pub header: Vec<u8>,
    /// The header's elements, also those that nobody knows.
    pub udh: Vec<InfoElement>,
    /// Which part of a longer message this is.
    pub concat: Option<Concat>,
    /// For a program and not for a person.
    pub ports: Option<Ports>,
    /// What it says.
    pub data: UserData,
    /// What was wrong and could be passed over.
    pub notes: Vec<Note>,
}

/// SMS-STATUS-REPORT (§9.2.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The service centre's number, with its plus when international.
    pub smsc: Option<String>,
    /// TP-MR of the SUBMIT that it is about.
    pub reference: u8,
    /// TP-RA: who that SUBMIT was for.
    pub to: Address,
    /// TP-RA's type of number.
    pub to_type: TypeOfAddress,
    /// When the service centre got the SUBMIT.
    pub timestamp: Option<Timestamp>,
    /// When what it reports happened.
    pub discharge: Option<Timestamp>,
    /// TP-ST, raw.
    pub status: u8,
    /// What was wrong and could be passed over.
    pub notes: Vec<Note>,
}

/// SMS-SUBMIT (§9.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The service centre's number, with its plus when international; `None`: the SIM's own.
    pub smsc: Option<String>,
    /// TP-MR: what status reports name; the modem writes its own over it.
    pub reference: u8,
    /// TP-DA.
    pub to: Address,
    /// TP-DA's type of number.
    pub to_type: TypeOfAddress,
    /// TP-PID.
    pub pid: u8,
    /// TP-SRR: a status report is wanted.
    pub report: bool,
    /// TP-VP.
    pub validity: Option<Validity>,
    /// TP-DCS, raw; [`Coding::of`] takes it apart.
    pub dcs: u8,
    /// Message class, 0 is a flash message.
    pub class: Option<u8>,
    /// The voicemail lamp and its kin.
    pub waiting: Option<MessageWaiting>,
    /// The user data header's octets, without its length; empty when there is none.
    pub header: Vec<u8>,
    /// The header's elements, also those that nobody knows.
    pub udh: Vec<InfoElement>,
    /// Which part of a longer message this is.
    pub concat: Option<Concat>,
    /// For a program and not for a person.
    pub ports: Option<Ports>,
    /// What it says.
    pub data: UserData,
    /// What was wrong and could be passed over.
    pub notes: Vec<Note>,
}

/// How long the service centre keeps trying (§9.2.3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// The relative octet: 0 is 5 minutes, 167 a day, 255 63 weeks.
    Relative(u8),
    /// Until then; `None` when it was not a time.
    Absolute(Option<Timestamp>),
    /// The enhanced format, raw.
    Enhanced([u8; 7]),
}

/// Something wrong in a PDU that did not stop its being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A time is not one.
    Timestamp,
    /// TP-UDL promises more than is there; what is there was read.
    Short {
        /// Septets or octets, header and all.
        promised: u8,
        /// The same unit.
        present: u8,
    },
    /// This many octets follow the user data.
    Trailing(usize),
    /// The header's elements do not add up to its length: all were ignored (§9.2.3.24).
    Header,
    /// A national language that has no table here; the default alphabet was used.
    Language(u8),
}

/// What a status report says (§9.2.3.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The phone has it.
    Delivered,
    /// It is settled, but whether the phone has it is not known: forwarded or replaced.
    Unconfirmed,
    /// Not yet; another report follows.
    StillTrying,
    /// It will not arrive.
    FailedPermanent,
    /// The service centre gave up; the same text may get through later.
    FailedTemporary,
}

/// Why a PDU cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    /// Nothing there.
    #[error("the PDU is empty")]
    Empty,
    /// Not hex.
    #[error("character {at} of the PDU is not a hex digit")]
    NotHex {
        /// From 1.
        at: usize,
    },
    /// An odd number of hex digits: a character was lost on the way.
    #[error("the PDU has an odd number of hex digits ({0}): one was lost on the way")]
    HalfOctet(usize),
    /// It ends too early.
    #[error("the PDU ends inside {0}")]
    Truncated(&'static str),
    /// The type bits name something that is not a text or a report.
    #[error("the PDU is a {0}, which is not a text or a report in this direction")]
    Type(&'static str),
    /// The header claims more octets than the user data has.
    #[error("the user data header is said to have {promised} octets, and {present} are there")]
    HeaderPastEnd {
        /// UDHL.
        promised: u8,
        /// Octets after UDHL.
        present: usize,
    },
    /// Nobody can be dialled so.
    #[error("the recipient is not a number of 1 to 20 digits, *, # and a to c")]
    Recipient,
    /// More parts than a reference can count.
    #[error("the text needs {0} parts, and a message has at most 255")]
    TooLong(usize),
    /// A class is 0 to 3.
    #[error("a message class is 0 to 3, and not {0}")]
    Class(u8),
    /// A service centre's time cannot be written.
    #[error("the time cannot be written in a PDU: it has years 1990 to 2089 and offsets up to 19:45")]
    Time,
}

/// Decodes one PDU. `hex` has the service centre's address in front, as `+CMGL`, `+CMGR`, `+CMT` and `+CDS` give
/// it; blanks around it do not matter. `country` is the calling code that completes national numbers (`1`).
///
/// # Errors
/// [`PduError`] when nothing can be made of it. Never panics.
///
/// Source: 3GPP TS 23.040 §9.2.
pub fn decode(hex: &str, direction: Direction, country: Option<&str>) -> Result<Pdu, PduError> {
    let octets = octets(hex.trim())?;
    let mut reader = Reader::new(&octets);
    let smsc = address::read_smsc(&mut reader)?;
    let first = reader.octet("the first octet")?;
    match (direction, first & 0b11) {
        // 11 is reserved, and to be treated as a DELIVER (§9.2.3.1).
        (Direction::FromSc, 0b00 | 0b11) => read_deliver(&mut reader, smsc, first, country).map(Pdu::Deliver),
        (Direction::FromSc, 0b10) => read_report(&mut reader, smsc, country).map(Pdu::StatusReport),
        (Direction::FromSc, _) => Err(PduError::Type("SUBMIT or SUBMIT-REPORT")),
        (Direction::ToSc, 0b01) => read_submit(&mut reader, smsc, first, country).map(Pdu::Submit),
        (Direction::ToSc, 0b00) => Err(PduError::Type("DELIVER or DELIVER-REPORT")),
        (Direction::ToSc, 0b10) => Err(PduError::Type("COMMAND or STATUS-REPORT")),
        (Direction::ToSc, _) => Err(PduError::Type("reserved type")),
    }
}

impl Deliver {
    /// The text of this part alone; see [`join`] for messages of several parts.
    #[must_use]
    pub fn text(&self) -> String {
        self.data.text()
    }
}

impl Submit {
    /// The text of this part alone; see [`join`] for messages of several parts.
    #[must_use]
    pub fn text(&self) -> String {
        self.data.text()
    }
}

impl StatusReport {
    /// What TP-ST means.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        Delivery::of(self.status)
    }
}

impl Delivery {
    /// Reads TP-ST. Reserved values are `Service Rejected`, as §9.2.3.15 wants.
    #[must_use]
    pub fn of(status: u8) -> Self {
        match status {
            0x00 => Self::Delivered,
            0x01 | 0x02 | 0x10..=0x1F => Self::Unconfirmed,
            0x20..=0x25 | 0x30..=0x3F => Self::StillTrying,
            0x40..=0x49 | 0x50..=0x5F => Self::FailedPermanent,
            _ => Self::FailedTemporary,
        }
    }

    /// For logs, reports and JSON: `delivered`, `still_trying`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unconfirmed => "unconfirmed",
            Self::StillTrying => "still_trying",
            Self::FailedPermanent => "failed_permanent",
            Self::FailedTemporary => "failed_temporary",
        }
    }
}

/// Octets from the left, each read checked.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    fn octet(&mut self, field: &'static str) -> Result<u8, PduError> {
        let (&octet, rest) = self.0.split_first().ok_or(PduError::Truncated(field))?;
        self.0 = rest;
        Ok(octet)
    }

    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], PduError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PduError::Truncated(field))?;
        self.0 = rest;
        Ok(taken)
    }

    fn seven(&mut self, field: &'static str) -> Result<[u8; 7], PduError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(PduError::Truncated(field))?;
        self.0 = rest;
        Ok(*taken)
    }
}

fn octets(hex: &str) -> Result<Vec<u8>, PduError> {
    if hex.is_empty() {
        return Err(PduError::Empty);
    }
    let mut halves = Vec::with_capacity(hex.len());
    for (at, c) in hex.chars().enumerate() {
        let half = c.to_digit(16).and_then(|half| u8::try_from(half).ok());
        halves.push(half.ok_or(PduError::NotHex { at: at + 1 })?);
    }
    if halves.len() % 2 == 1 {
        return Err(PduError::HalfOctet(halves.len()));
    }
    Ok(halves.chunks_exact(2).map(|pair| pair.iter().fold(0, |octet, half| octet << 4 | half)).collect())
}

fn read_deliver(
    reader: &mut Reader<'_>,
    smsc: Option<String>,
    first: u8,
    country: Option<&str>,
) -> Result<Deliver, PduError> {
    let mut notes = Vec::new();
    let (from, from_type) = address::read(reader, country, "TP-OA")?;
    let pid = reader.octet("TP-PID")?;
    let dcs = reader.octet("TP-DCS")?;
    let timestamp = read_time(reader, "TP-SCTS", &mut notes)?;
    let Content { dcs, class, waiting, header, udh, concat, ports, data } =
        read_content(reader, dcs, first & 0x40 != 0, &mut notes)?;
    // TP-MMS is inverted: 0 is more.
    let more = first & 0x04 == 0;
    Ok(Deliver {
        smsc,
        from,
        from_type,
        pid,
        timestamp,
        more,
        dcs,
        class,
        waiting,
        header,
        udh,
        concat,
        ports,
        data,
        notes,
    })
}

fn read_report(
    reader: &mut Reader<'_>,
    smsc: Option<String>,
    country: Option<&str>,
) -> Result<StatusReport, PduError> {
    let mut notes = Vec::new();
    let reference = reader.octet("TP-MR")?;
    let (to, to_type) = address::read(reader, country, "TP-RA")?;
    let timestamp = read_time(reader, "TP-SCTS", &mut notes)?;
    let discharge = read_time(reader, "TP-DT", &mut notes)?;
    let status = reader.octet("TP-ST")?;
    // What may follow (TP-PI and the text again) says nothing that is wanted here.
    Ok(StatusReport { smsc, reference, to, to_type, timestamp, discharge, status, notes })
}

fn read_submit(
    reader: &mut Reader<'_>,
    smsc: Option<String>,
    first: u8,
    country: Option<&str>,
) -> Result<Submit, PduError> {
    let mut notes = Vec::new();
    let reference = reader.octet("TP-MR")?;
    let (to, to_type) = address::read(reader, country, "TP-DA")?;
    let pid = reader.octet("TP-PID")?;
    let dcs = reader.octet("TP-DCS")?;
    let validity = match first >> 3 & 0b11 {
        0b10 => Some(Validity::Relative(reader.octet("TP-VP")?)),
        0b01 => Some(Validity::Enhanced(reader.seven("TP-VP")?)),
        0b11 => Some(Validity::Absolute(read_time(reader, "TP-VP", &mut notes)?)),
        _ => None,
    };
    let Content { dcs, class, waiting, header, udh, concat, ports, data } =
        read_content(reader, dcs, first & 0x40 != 0, &mut notes)?;
    let report = first & 0x20 != 0;
    Ok(Submit {
        smsc,
        reference,
        to,
        to_type,
        pid,
        report,
        validity,
        dcs,
        class,
        waiting,
        header,
        udh,
        concat,
        ports,
        data,
        notes,
    })
}

fn read_time(
    reader: &mut Reader<'_>,
    field: &'static str,
    notes: &mut Vec<Note>,
) -> Result<Option<Timestamp>, PduError> {
    let time = Timestamp::read(reader.seven(field)?);
    if time.is_none() {
        notes.push(Note::Timestamp);
    }
    Ok(time)
}

/// TP-DCS and TP-UD, which DELIVER and SUBMIT both have.
struct Content {
    dcs: u8,
    class: Option<u8>,
    waiting: Option<MessageWaiting>,
    header: Vec<u8>,
    udh: Vec<InfoElement>,
    concat: Option<Concat>,
    ports: Option<Ports>,
    data: UserData,
}

fn read_content(
    reader: &mut Reader<'_>,
    dcs: u8,
    has_header: bool,
    notes: &mut Vec<Note>,
) -> Result<Content, PduError> {
    let Coding { alphabet, class, waiting } = Coding::of(dcs);
    let length = reader.octet("TP-UDL")?;
    let promised = usize::from(length);
    let wanted = if alphabet == Alphabet::Gsm7 { (promised * 7).div_ceil(8) } else { promised };
    let octets = reader.0.get(..wanted).unwrap_or(reader.0);
    let trailing = reader.0.len() - octets.len();
    if trailing > 0 {
        notes.push(Note::Trailing(trailing));
    }
    if octets.len() < wanted {
        let present = if alphabet == Alphabet::Gsm7 { octets.len() * 8 / 7 } else { octets.len() };
        notes.push(Note::Short { promised: length, present: u8::try_from(present).unwrap_or(u8::MAX) });
    }

    let header = if has_header { header_octets(octets)? } else { &[] };
    let udh = header::elements(header).unwrap_or_else(|| {
        notes.push(Note::Header);
        Vec::new()
    });
    // UDHL counts itself out.
    let before = if has_header && !octets.is_empty() { header.len() + 1 } else { 0 };
    let data = match alphabet {
        Alphabet::Gsm7 => {
            let skip = before * 8 + userdata::fill_bits(before);
            let septets = userdata::unpack(octets, skip, promised.saturating_sub(skip / 7));
            let (locking, single) = header::shifts(&udh);
            let mut table = |language, table: Option<National>| {
                table.unwrap_or_else(|| {
                    notes.push(Note::Language(language));
                    National::Default
                })
            };
            let locking = table(locking, National::locking(locking));
            let single = table(single, National::single(single));
            UserData::Gsm7 { septets, locking, single }
        }
        Alphabet::Ucs2 => UserData::Ucs2 { octets: octets.get(before..).unwrap_or_default().to_vec() },
        Alphabet::Data => UserData::Data { octets: octets.get(before..).unwrap_or_default().to_vec() },
    };
    Ok(Content {
        dcs,
        class,
        waiting,
        header: header.to_vec(),
        concat: header::concat(&udh),
        ports: header::ports(&udh),
        udh,
        data,
    })
}

/// The header without UDHL; empty where even UDHL is missing.
fn header_octets(octets: &[u8]) -> Result<&[u8], PduError> {
    let Some((&length, rest)) = octets.split_first() else {
        return Ok(&[]);
    };
    rest.get(..usize::from(length)).ok_or(PduError::HeaderPastEnd { promised: length, present: rest.len() })
}
