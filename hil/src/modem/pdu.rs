//! The emulator's own SMS TPDU codec (3GPP TS 23.040 §9.2): DELIVER and STATUS-REPORT are made, SUBMIT is read
//! strictly, DELIVER is read back leniently for text mode.
//!
//! Absent: national language tables, compressed text, COMMAND. SUBMIT is read strictly because a real network
//! refuses what a lenient emulator would let pass.

use super::gsm7;
use jiff::Zoned;

/// Why a SUBMIT was refused. The modem answers all of them with +CMS ERROR: 304.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    #[error("not hexadecimal octets")]
    Hex,
    #[error("the PDU ends inside {0}")]
    Short(&'static str),
    #[error("{0} octets too many behind the user data")]
    Long(usize),
    #[error("message type {0} is not SMS-SUBMIT")]
    NotSubmit(u8),
    #[error("the destination address is not a number")]
    Destination,
    #[error("more than 140 octets of user data")]
    TooMuchData,
    #[error("the user data header is longer than the user data")]
    Header,
    #[error("data coding scheme {0:#04x} is reserved or compressed")]
    Coding(u8),
    #[error("UCS-2 text with half a character")]
    Ucs2,
}

/// Concatenation header, 23.040 §9.2.3.24.1 (8-bit) and §9.2.3.24.8 (16-bit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concat {
    pub reference: u16,
    pub total: u8,
    pub part: u8,
}

/// One SMS-SUBMIT as the network reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    pub to: String,
    pub protocol: u8,
    pub coding: u8,
    /// TP-SRR: the sender asked for a status report.
    pub wants_report: bool,
    pub concat: Option<Concat>,
    pub text: String,
    /// Octets of user data, header included: what the air interface carries.
    pub octets: usize,
    /// TP-DA as sent, to stand in the status report unchanged.
    pub destination: Vec<u8>,
}

/// How a text is coded on its way to the box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// GSM 7-bit if every character fits, else UCS-2.
    #[default]
    Auto,
    Gsm7,
    Ucs2,
}

pub(super) fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|o| format!("{o:02X}")).collect()
}

pub(super) fn from_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    hex.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digit = |b: u8| char::from(b).to_digit(16);
            let (high, low) = (digit(*pair.first()?)?, digit(*pair.get(1)?)?);
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

/// Length of the TPDU in octets without the service centre address: the `<length>` of 27.005.
pub(super) fn tpdu_length(pdu_hex: &str) -> usize {
    let octets = pdu_hex.len() / 2;
    let smsc = pdu_hex.get(..2).and_then(|h| usize::from_str_radix(h, 16).ok()).unwrap_or(0);
    octets.saturating_sub(smsc + 1)
}

fn semi_octets(digits: &str) -> Vec<u8> {
    let nibble = |c: char| match c {
        '*' => 0xA,
        '#' => 0xB,
        'a' => 0xC,
        'b' => 0xD,
        'c' => 0xE,
        d => u8::try_from(d.to_digit(10).unwrap_or(0xF)).unwrap_or(0xF),
    };
    let nibbles: Vec<u8> = digits.chars().map(nibble).collect();
    nibbles
        .chunks(2)
        .map(|p| p.get(1).copied().unwrap_or(0xF) << 4 | p.first().copied().unwrap_or(0))
        .collect()
}

fn digits_of(octets: &[u8], count: usize) -> String {
    octets
        .iter()
        .flat_map(|o| [o & 0xF, o >> 4])
        .take(count)
        .filter_map(|n| "0123456789*#abc".chars().nth(usize::from(n)))
        .collect()
}

fn is_dialable(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#'))
}

/// TP-OA, TP-DA or TP-RA: length in semi-octets, type of address, value (§9.1.2.5).
pub(super) fn encode_address(number: &str) -> Vec<u8> {
    if is_dialable(number) {
        let (kind, digits) = match number.strip_prefix('+') {
            Some(digits) => (0x91, digits),
            None => (0x81, number),
        };
        let digits: String = digits.chars().take(20).collect();
        let mut out = vec![u8::try_from(digits.len()).unwrap_or(20), kind];
        out.extend(semi_octets(&digits));
        return out;
    }
    // Alphanumeric: at most 11 septets; the length counts useful semi-octets.
    let septets: Vec<u8> =
        number.chars().flat_map(|c| gsm7::septets_of(c).unwrap_or_else(|| vec![0x3F])).take(11).collect();
    let mut out = vec![u8::try_from((septets.len() * 7).div_ceil(4)).unwrap_or(20), 0xD0];
    out.extend(gsm7::pack(&septets, 0));
    out
}

fn decode_address(kind: u8, semi: usize, value: &[u8]) -> String {
    if kind & 0x70 == 0x50 {
        return gsm7::decode(&gsm7::unpack(value, 0, semi * 4 / 7));
    }
    let digits = digits_of(value, semi);
    if kind & 0x70 == 0x10 { format!("+{digits}") } else { digits }
}

/// Service centre address in front of a PDU: length in octets, not semi-octets (27.005 §3.1 `<pdu>`).
fn encode_smsc(number: &str) -> Vec<u8> {
    let address = encode_address(number);
    let value = address.get(1..).unwrap_or(&[]);
    let mut out = vec![u8::try_from(value.len()).unwrap_or(0)];
    out.extend(value);
    out
}

/// TP-SCTS, §9.2.3.11: swapped digits, zone in quarters of an hour with the sign in bit 3.
pub(super) fn encode_timestamp(at: &Zoned) -> [u8; 7] {
    let swap = |v: i32| {
        let v = u8::try_from(v.rem_euclid(100)).unwrap_or(0);
        ((v % 10) << 4) | (v / 10)
    };
    let quarters = at.offset().seconds() / 900;
    let mut zone = swap(quarters.abs());
    if quarters < 0 {
        zone |= 0x08;
    }
    [
        swap(i32::from(at.year())),
        swap(i32::from(at.month())),
        swap(i32::from(at.day())),
        swap(i32::from(at.hour())),
        swap(i32::from(at.minute())),
        swap(i32::from(at.second())),
        zone,
    ]
}

/// A timestamp as text mode shows it: `yy/MM/dd,hh:mm:ss±zz`.
fn show_timestamp(t: &[u8]) -> String {
    let two = |i: usize| {
        let o = t.get(i).copied().unwrap_or(0);
        format!("{}{}", (o & 0xF).min(9), (o >> 4).min(9))
    };
    let zone = t.get(6).copied().unwrap_or(0);
    let sign = if zone & 0x08 != 0 { '-' } else { '+' };
    let quarters = format!("{}{}", zone & 0x7, (zone >> 4).min(9));
    format!("{}/{}/{},{}:{}:{}{sign}{quarters}", two(0), two(1), two(2), two(3), two(4), two(5))
}

/// What to put into DELIVER PDUs.
#[derive(Debug, Clone)]
pub(super) struct Outgoing<'a> {
    pub(super) smsc: &'a str,
    pub(super) from: &'a str,
    pub(super) text: &'a str,
    pub(super) coding: Coding,
    pub(super) class: Option<u8>,
    /// Reference of the concatenation; 16-bit header if `wide`.
    pub(super) reference: u16,
    pub(super) wide: bool,
    pub(super) at: &'a Zoned,
}

/// One PDU a part, in order. A text that fits is one PDU without a header.
pub(super) fn deliver(out: &Outgoing<'_>) -> Vec<String> {
    let gsm = match out.coding {
        Coding::Ucs2 => None,
        Coding::Gsm7 => Some(
            out.text
                .chars()
                .flat_map(|c| gsm7::septets_of(c).unwrap_or_else(|| vec![0x3F]))
                .collect::<Vec<u8>>(),
        ),
        Coding::Auto => gsm7::encode(out.text),
    };
    let header = if out.wide { 7 } else { 6 };
    match gsm {
        Some(septets) => {
            let room = if septets.len() <= 160 { 160 } else { (140 - header) * 8 / 7 };
            let parts = split(&septets, room, |last| *last == gsm7::ESCAPE);
            number_parts(out, &parts, |udh, part| {
                let fill = (7 - udh.len() * 8 % 7) % 7;
                let mut data = udh.to_vec();
                data.extend(gsm7::pack(part, fill));
                ((udh.len() * 8).div_ceil(7) + part.len(), data)
            })
        }
        None => {
            let units: Vec<u16> = out.text.encode_utf16().collect();
            let room = if units.len() <= 70 { 70 } else { (140 - header) / 2 };
            let parts = split(&units, room, |last| (0xD800..0xDC00).contains(last));
            number_parts(out, &parts, |udh, part| {
                let mut data = udh.to_vec();
                data.extend(part.iter().flat_map(|u| u.to_be_bytes()));
                (data.len(), data)
            })
        }
    }
}

/// Cuts into pieces of at most `room`, never behind a unit that `needs_next`.
fn split<T: Clone>(units: &[T], room: usize, needs_next: impl Fn(&T) -> bool) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut rest = units;
    loop {
        let mut cut = rest.len().min(room);
        if cut < rest.len() && rest.get(..cut).and_then(<[T]>::last).is_some_and(&needs_next) {
            cut -= 1;
        }
        let (part, next) = rest.split_at(cut);
        parts.push(part.to_vec());
        if next.is_empty() {
            return parts;
        }
        rest = next;
    }
}

fn number_parts<T>(
    out: &Outgoing<'_>,
    parts: &[Vec<T>],
    user_data: impl Fn(&[u8], &[T]) -> (usize, Vec<u8>),
) -> Vec<String>
where
    T: UnitOf,
{
    let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let mut pdus = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        let number = u8::try_from(i + 1).unwrap_or(u8::MAX);
        let [high, low] = out.reference.to_be_bytes();
        let udh = match (parts.len() > 1, out.wide) {
            (false, _) => vec![],
            (true, false) => vec![5, 0x00, 3, low, total, number],
            (true, true) => vec![6, 0x08, 4, high, low, total, number],
        };
        let (length, data) = user_data(&udh, part);
        let mut pdu = encode_smsc(out.smsc);
        // TP-MTI 00 DELIVER, TP-MMS 1 "no more messages", TP-UDHI.
        pdu.push(0x04 | if udh.is_empty() { 0 } else { 0x40 });
        pdu.extend(encode_address(out.from));
        pdu.push(0x00);
        let class = out.class.map_or(0, |c| 0x10 | (c & 3));
        pdu.push(T::CODING | class);
        pdu.extend(encode_timestamp(out.at));
        pdu.push(u8::try_from(length).unwrap_or(u8::MAX));
        pdu.extend(data);
        pdus.push(to_hex(&pdu));
    }
    pdus
}

/// TP-DCS alphabet bits for the unit that a part is made of (23.038 §4).
trait UnitOf {
    const CODING: u8;
}
impl UnitOf for u8 {
    const CODING: u8 = 0x00;
}
impl UnitOf for u16 {
    const CODING: u8 = 0x08;
}

/// SMS-STATUS-REPORT (§9.2.2.3) for a submitted message.
pub(super) fn status_report(
    smsc: &str,
    mr: u8,
    destination: &[u8],
    sent: &Zoned,
    done: &Zoned,
    status: u8,
) -> String {
    let mut pdu = encode_smsc(smsc);
    pdu.extend([0x06, mr]);
    pdu.extend(destination);
    pdu.extend(encode_timestamp(sent));
    pdu.extend(encode_timestamp(done));
    pdu.push(status);
    to_hex(&pdu)
}

/// Walks octets; every read names what it was for.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], PduError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(PduError::Short(what))?;
        self.rest = tail;
        Ok(head)
    }

    fn octet(&mut self, what: &'static str) -> Result<u8, PduError> {
        self.take(1, what)?.first().copied().ok_or(PduError::Short(what))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Gsm7,
    Octets,
    Ucs2,
}

/// 23.038 §4: general groups, 0xF (class) and the message-waiting groups.
fn alphabet(coding: u8) -> Result<Alphabet, PduError> {
    match coding >> 4 {
        0x0..=0x7 if coding & 0x20 != 0 => Err(PduError::Coding(coding)),
        0x0..=0x7 => match coding & 0x0C {
            0x00 => Ok(Alphabet::Gsm7),
            0x04 => Ok(Alphabet::Octets),
            0x08 => Ok(Alphabet::Ucs2),
            _ => Err(PduError::Coding(coding)),
        },
        0xC | 0xD => Ok(Alphabet::Gsm7),
        0xE => Ok(Alphabet::Ucs2),
        0xF if coding & 0x04 != 0 => Ok(Alphabet::Octets),
        0xF => Ok(Alphabet::Gsm7),
        _ => Err(PduError::Coding(coding)),
    }
}

/// Splits `<smsc><tpdu>` and returns the TPDU.
pub(super) fn strip_smsc(octets: &[u8]) -> Result<&[u8], PduError> {
    let mut reader = Reader { rest: octets };
    let length = reader.octet("the service centre address")?;
    reader.take(usize::from(length), "the service centre address")?;
    Ok(reader.rest)
}

/// Reads an SMS-SUBMIT TPDU (without service centre address), §9.2.2.2.
pub(super) fn read_submit(tpdu: &[u8]) -> Result<Submit, PduError> {
    let mut reader = Reader { rest: tpdu };
    let first = reader.octet("the first octet")?;
    if first & 0x03 != 0x01 {
        return Err(PduError::NotSubmit(first & 0x03));
    }
    reader.octet("the reference")?;
    let semi = usize::from(reader.octet("the destination address")?);
    let kind = reader.octet("the destination address")?;
    let value = reader.take(semi.div_ceil(2), "the destination address")?;
    let to = decode_address(kind, semi, value);
    if semi == 0 || semi > 20 || kind & 0x80 == 0 || !is_dialable(&to) {
        return Err(PduError::Destination);
    }
    let destination = [&[u8::try_from(semi).unwrap_or(0), kind][..], value].concat();
    let protocol = reader.octet("the protocol identifier")?;
    let coding = reader.octet("the data coding scheme")?;
    let validity = match first >> 3 & 0x03 {
        0 => 0,
        2 => 1,
        _ => 7,
    };
    reader.take(validity, "the validity period")?;
    let length = usize::from(reader.octet("the user data length")?);
    let (concat, text, octets) = read_user_data(&mut reader, coding, length, first & 0x40 != 0)?;
    if !reader.rest.is_empty() {
        return Err(PduError::Long(reader.rest.len()));
    }
    let wants_report = first & 0x20 != 0;
    Ok(Submit { to, protocol, coding, wants_report, concat, text, octets, destination })
}

fn read_user_data(
    reader: &mut Reader<'_>,
    coding: u8,
    length: usize,
    has_header: bool,
) -> Result<(Option<Concat>, String, usize), PduError> {
    let alphabet = alphabet(coding)?;
    let octets = if alphabet == Alphabet::Gsm7 { (length * 7).div_ceil(8) } else { length };
    if octets > 140 {
        return Err(PduError::TooMuchData);
    }
    let data = reader.take(octets, "the user data")?;
    let (header, concat) = if has_header {
        let size = usize::from(*data.first().ok_or(PduError::Header)?) + 1;
        let header = data.get(1..size).ok_or(PduError::Header)?;
        (size, find_concat(header)?)
    } else {
        (0, None)
    };
    let body = data.get(header..).unwrap_or(&[]);
    let text = match alphabet {
        Alphabet::Gsm7 => {
            let skip = (header * 8).div_ceil(7);
            let count = length.checked_sub(skip).ok_or(PduError::Header)?;
            gsm7::decode(&gsm7::unpack(data, skip * 7, count))
        }
        Alphabet::Octets => body.iter().map(|o| char::from(*o)).collect(),
        Alphabet::Ucs2 => utf16(body).ok_or(PduError::Ucs2)?,
    };
    Ok((concat, text, octets))
}

fn utf16(body: &[u8]) -> Option<String> {
    if !body.len().is_multiple_of(2) {
        return None;
    }
    let units: Vec<u16> =
        body.chunks(2).map(|p| u16::from(p[0]) << 8 | u16::from(p.get(1).copied().unwrap_or(0))).collect();
    // A part may end in half a pair if the sender cut there: the joined text shows it.
    Some(String::from_utf16_lossy(&units))
}

fn find_concat(mut header: &[u8]) -> Result<Option<Concat>, PduError> {
    let mut found = None;
    while let [id, length, rest @ ..] = header {
        let (data, next) = rest.split_at_checked(usize::from(*length)).ok_or(PduError::Header)?;
        match (id, data) {
            (0x00, [reference, total, part]) => {
                found = Some(Concat { reference: u16::from(*reference), total: *total, part: *part });
            }
            (0x08, [high, low, total, part]) => {
                let reference = u16::from_be_bytes([*high, *low]);
                found = Some(Concat { reference, total: *total, part: *part });
            }
            _ => {}
        }
        header = next;
    }
    if header.is_empty() { Ok(found) } else { Err(PduError::Header) }
}

/// A stored message as text mode needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Deliver {
        first: u8,
        from: String,
        kind: u8,
        protocol: u8,
        coding: u8,
        timestamp: String,
        length: u8,
        body: Body,
    },
    Report {
        first: u8,
        mr: u8,
        to: String,
        kind: u8,
        sent: String,
        done: String,
        status: u8,
    },
    Submit {
        first: u8,
        to: String,
        kind: u8,
        protocol: u8,
        coding: u8,
        length: u8,
        body: Body,
    },
}

/// `<data>` of text mode: characters in the 7-bit alphabet, hexadecimal for all else (27.005 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Text(String),
    Hex(String),
}

/// Reads a PDU back for text mode; `None` if it is not one.
pub(super) fn view(pdu_hex: &str) -> Option<View> {
    let octets = from_hex(pdu_hex)?;
    let mut reader = Reader { rest: strip_smsc(&octets).ok()? };
    let first = reader.octet("").ok()?;
    let address = |reader: &mut Reader<'_>| -> Option<(String, u8)> {
        let semi = usize::from(reader.octet("").ok()?);
        let kind = reader.octet("").ok()?;
        let value = reader.take(semi.div_ceil(2), "").ok()?;
        Some((decode_address(kind, semi, value), kind))
    };
    match first & 0x03 {
        0x00 => {
            let (from, kind) = address(&mut reader)?;
            let protocol = reader.octet("").ok()?;
            let coding = reader.octet("").ok()?;
            let timestamp = show_timestamp(reader.take(7, "").ok()?);
            let length = reader.octet("").ok()?;
            let body = view_body(reader.rest, coding, length, first & 0x40 != 0);
            Some(View::Deliver { first, from, kind, protocol, coding, timestamp, length, body })
        }
        0x02 => {
            let mr = reader.octet("").ok()?;
            let (to, kind) = address(&mut reader)?;
            let sent = show_timestamp(reader.take(7, "").ok()?);
            let done = show_timestamp(reader.take(7, "").ok()?);
            let status = reader.octet("").ok()?;
            Some(View::Report { first, mr, to, kind, sent, done, status })
        }
        _ => {
            reader.octet("").ok()?;
            let (to, kind) = address(&mut reader)?;
            let protocol = reader.octet("").ok()?;
            let coding = reader.octet("").ok()?;
            let validity = match first >> 3 & 0x03 {
                0 => 0,
                2 => 1,
                _ => 7,
            };
            reader.take(validity, "").ok()?;
            let length = reader.octet("").ok()?;
            let body = view_body(reader.rest, coding, length, first & 0x40 != 0);
            Some(View::Submit { first, to, kind, protocol, coding, length, body })
        }
    }
}

fn view_body(data: &[u8], coding: u8, length: u8, has_header: bool) -> Body {
    if has_header || alphabet(coding) != Ok(Alphabet::Gsm7) {
        return Body::Hex(to_hex(data));
    }
    Body::Text(gsm7::decode(&gsm7::unpack(data, 0, usize::from(length))))
}

/// What text mode's +CMGS and +CMGW make of their arguments and +CSMP.
pub(super) struct TextSubmit<'a> {
    pub(super) to: &'a str,
    pub(super) first: u8,
    pub(super) validity: u8,
    pub(super) protocol: u8,
    pub(super) coding: u8,
    pub(super) body: TextBody<'a>,
}

pub(super) enum TextBody<'a> {
    Text(&'a str),
    Octets(&'a [u8]),
}

/// The SUBMIT PDU (with empty service centre address) of a text-mode message; `None` if it does not fit.
pub(super) fn text_submit(submit: &TextSubmit<'_>) -> Option<String> {
    let (length, data) = match submit.body {
        TextBody::Text(text) => {
            let septets: Vec<u8> =
                text.chars().flat_map(|c| gsm7::septets_of(c).unwrap_or_else(|| vec![0x3F])).collect();
            (septets.len(), gsm7::pack(&septets, 0))
        }
        TextBody::Octets(octets) => (octets.len(), octets.to_vec()),
    };
    if data.len() > 140 {
        return None;
    }
    // Text mode writes a relative validity period or none.
    let first = submit.first & !0x1B | 0x01 | if submit.first & 0x18 == 0x10 { 0x10 } else { 0 };
    let mut pdu = vec![0x00, first, 0x00];
    pdu.extend(encode_address(submit.to));
    pdu.extend([submit.protocol, submit.coding]);
    if first & 0x18 != 0 {
        pdu.push(submit.validity);
    }
    pdu.push(u8::try_from(length).ok()?);
    pdu.extend(data);
    Some(to_hex(&pdu))
}
