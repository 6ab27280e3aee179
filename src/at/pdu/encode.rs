//! Texts to PDUs: one where it fits, else parts that carry a reference, their total and their number. GSM 7 bit
//! where every character is in its alphabet, else UTF-16; neither an escape nor a surrogate pair is cut in two.

use std::time::Duration;

use super::header::{self, Concat};
use super::{PduError, Timestamp, address, userdata};
use crate::types::{Address, gsm7};

/// What a SUBMIT may carry besides the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitOptions {
    /// Joins the parts of a longer text: a number that this recipient has not seen of late. Only its low 8 bits
    /// travel unless `wide`.
    pub reference: u16,
    /// 16 bit reference: a character or so less in each part.
    pub wide: bool,
    /// Asks for a status report on every part (TP-SRR).
    pub report: bool,
    /// How long the service centre tries, rounded up to what can be written (5 minutes to 63 weeks); `None` leaves
    /// it to the service centre.
    pub validity: Option<Duration>,
    /// 0 shows on the screen and is not kept; `None` is what texts have.
    pub class: Option<u8>,
}

/// What a DELIVER carries besides the text: for test beds that play the service centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverOptions {
    /// TP-SCTS.
    pub timestamp: Timestamp,
    /// As in [`SubmitOptions`].
    pub reference: u16,
    /// As in [`SubmitOptions`].
    pub wide: bool,
    /// As in [`SubmitOptions`].
    pub class: Option<u8>,
}

/// One PDU, ready for `AT+CMGS=<length>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPdu {
    /// Upper-case hex. A SUBMIT begins with `00`: the SIM's own service centre.
    pub hex: String,
    /// Octets without the service centre's address.
    pub length: u8,
}

/// Encodes a text to `to` as one SMS-SUBMIT a part, in order (§9.2.2.2). An empty text is one empty part.
///
/// # Errors
/// [`PduError::Recipient`], [`PduError::TooLong`] or [`PduError::Class`].
pub fn submit(to: &Address, text: &str, options: &SubmitOptions) -> Result<Vec<EncodedPdu>, PduError> {
    if matches!(to, Address::Alpha(_)) {
        return Err(PduError::Recipient);
    }
    let parts = split(text, options.reference, options.wide)?;
    let dcs = parts.dcs(options.class)?;
    let mut first = 0x01;
    if options.report {
        first |= 0x20;
    }
    if options.validity.is_some() {
        first |= 0x10;
    }
    // TP-MR is the modem's to number.
    let mut head = vec![first, 0];
    address::write(to, &mut head)?;
    head.extend([0, dcs]);
    head.extend(options.validity.map(relative_validity));
    parts.encode(&head)
}

/// Encodes a text from `from` as one SMS-DELIVER a part, in order (§9.2.2.1).
///
/// # Errors
/// [`PduError::Recipient`] when `from` cannot be written, [`PduError::TooLong`], [`PduError::Class`] or
/// [`PduError::Time`].
pub fn deliver(from: &Address, text: &str, options: &DeliverOptions) -> Result<Vec<EncodedPdu>, PduError> {
    let parts = split(text, options.reference, options.wide)?;
    // TP-MMS set: no more messages.
    let mut head = vec![0x04];
    address::write(from, &mut head)?;
    head.extend([0, parts.dcs(options.class)?]);
    head.extend(options.timestamp.octets().ok_or(PduError::Time)?);
    parts.encode(&head)
}

/// A text cut into parts.
enum Parts {
    Gsm7(Vec<Part<u8>>),
    Ucs2(Vec<Part<u16>>),
}

struct Part<T> {
    /// UDHL and the elements; empty when the text is one part.
    header: Vec<u8>,
    units: Vec<T>,
}

impl Parts {
    fn dcs(&self, class: Option<u8>) -> Result<u8, PduError> {
        let alphabet = match self {
            Self::Gsm7(_) => 0x00,
            Self::Ucs2(_) => 0x08,
        };
        match class {
            None => Ok(alphabet),
            Some(class @ 0..=3) => Ok(0x10 | alphabet | class),
            Some(class) => Err(PduError::Class(class)),
        }
    }

    /// `head` is everything in front of TP-UDL.
    fn encode(&self, head: &[u8]) -> Result<Vec<EncodedPdu>, PduError> {
        match self {
            Self::Gsm7(parts) => parts
                .iter()
                .map(|Part { header, units: septets }| {
                    let fill = userdata::fill_bits(header.len());
                    let length = (header.len() * 8 + fill) / 7 + septets.len();
                    finish(head, length, header, &userdata::pack(septets, fill))
                })
                .collect(),
            Self::Ucs2(parts) => parts
                .iter()
                .map(|Part { header, units }| {
                    let octets: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
                    finish(head, header.len() + octets.len(), header, &octets)
                })
                .collect(),
        }
    }
}

fn finish(head: &[u8], length: usize, header: &[u8], data: &[u8]) -> Result<EncodedPdu, PduError> {
    let mut octets = head.to_vec();
    if let Some(first) = octets.first_mut().filter(|_| !header.is_empty()) {
        *first |= 0x40;
    }
    octets.push(u8::try_from(length).map_err(|_| PduError::TooLong(length))?);
    octets.extend_from_slice(header);
    octets.extend_from_slice(data);
    let mut hex = String::from("00");
    for octet in &octets {
        hex.push_str(&format!("{octet:02X}"));
    }
    let length = u8::try_from(octets.len()).map_err(|_| PduError::TooLong(octets.len()))?;
    Ok(EncodedPdu { hex, length })
}

/// User data is 140 octets (§9.2.3.16).
const OCTETS: usize = 140;

fn split(text: &str, reference: u16, wide: bool) -> Result<Parts, PduError> {
    let header = if wide { 7 } else { 6 };
    let characters: Option<Vec<gsm7::Septets>> = text.chars().map(gsm7::encode).collect();
    if let Some(characters) = characters {
        let written = characters.iter().map(|c| match *c {
            gsm7::Septets::One(septet) => vec![septet],
            gsm7::Septets::Escaped(septet) => vec![gsm7::ESCAPE, septet],
        });
        let parts = fill(written, OCTETS * 8 / 7, (OCTETS - header) * 8 / 7);
        Ok(Parts::Gsm7(with_headers(parts, reference, wide)?))
    } else {
        let written = text.chars().map(|c| c.encode_utf16(&mut [0; 2]).to_vec());
        let parts = fill(written, OCTETS / 2, (OCTETS - header) / 2);
        Ok(Parts::Ucs2(with_headers(parts, reference, wide)?))
    }
}

/// Everything in one part when it has at most `alone` units, else parts of at most `each`, cut between characters.
fn fill<T: Copy>(characters: impl Iterator<Item = Vec<T>>, alone: usize, each: usize) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    let mut whole = Vec::new();
    for character in characters {
        whole.extend_from_slice(&character);
        match parts.last_mut() {
            Some(part) if part.len() + character.len() <= each => part.extend(character),
            _ => parts.push(character),
        }
    }
    if whole.len() <= alone { vec![whole] } else { parts }
}

fn with_headers<T>(parts: Vec<Vec<T>>, reference: u16, wide: bool) -> Result<Vec<Part<T>>, PduError> {
    let total = u8::try_from(parts.len()).map_err(|_| PduError::TooLong(parts.len()))?;
    let header = |part| match total {
        1 => Vec::new(),
        _ => header::write_concat(Concat { reference, part, total, wide }),
    };
    Ok((1..=total).zip(parts).map(|(number, units)| Part { header: header(number), units }).collect())
}

/// Rounds up to the next step of §9.2.3.12.1.
fn relative_validity(validity: Duration) -> u8 {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = validity.as_secs() + u64::from(validity.subsec_nanos() > 0);
    let octet = match seconds {
        0..=43_200 => seconds.div_ceil(5 * MINUTE).saturating_sub(1),
        43_201..=86_400 => (seconds - 12 * HOUR).div_ceil(30 * MINUTE) + 143,
        86_401..=2_592_000 => seconds.div_ceil(DAY).max(2) + 166,
        _ => seconds.div_ceil(7 * DAY).max(5) + 192,
    };
    u8::try_from(octet).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_rounded_up_to_a_step() {
        let octet = |minutes: u64| relative_validity(Duration::from_secs(minutes * 60));
        assert_eq!(octet(0), 0);
        assert_eq!(octet(5), 0);
        assert_eq!(octet(6), 1);
        assert_eq!(octet(12 * 60), 143);
        assert_eq!(octet(12 * 60 + 1), 144);
        assert_eq!(octet(24 * 60), 167);
        assert_eq!(octet(24 * 60 + 1), 168);
        assert_eq!(octet(30 * 24 * 60), 196);
        assert_eq!(octet(30 * 24 * 60 + 1), 197);
        assert_eq!(octet(63 * 7 * 24 * 60), 255);
        assert_eq!(octet(u64::from(u32::MAX)), 255);
    }
}
