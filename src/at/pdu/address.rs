//! TP-OA, TP-DA, TP-RA and the service centre's address (3GPP TS 23.040 §9.1.2.5): type of address, digits in
//! half octets, or a name in GSM 7 bit.

use super::userdata::{National, septets_to_text, unpack};
use super::{PduError, Reader};
use crate::types::{Address, PhoneNumber, gsm7};

/// The octet in front of an address: bit 7 is set, type of number in bits 6 to 4, numbering plan in 3 to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeOfAddress(pub u8);

impl TypeOfAddress {
    /// ISDN number, international: what a `+` stands for.
    pub const INTERNATIONAL: Self = Self(0x91);
    /// ISDN number, type unknown: as dialled.
    pub const UNKNOWN: Self = Self(0x81);
    /// A name.
    pub const ALPHANUMERIC: Self = Self(0xD0);

    /// TON: 0 unknown, 1 international, 2 national, 3 network's own, 4 subscriber, 5 alphanumeric, 6 abbreviated.
    #[must_use]
    pub fn number_type(self) -> u8 {
        self.0 >> 4 & 0b111
    }

    /// NPI: 0 unknown, 1 ISDN (E.164), 8 national, 9 private, and others.
    #[must_use]
    pub fn plan(self) -> u8 {
        self.0 & 0x0F
    }
}

/// What stands for a digit 10 to 14 (§9.1.2.3); 15 fills.
const DIGITS: [char; 15] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'a', 'b', 'c'];

/// Digits a SUBMIT can carry: 10 octets of half octets (§9.1.2.5).
pub(super) const MAX_DIGITS: usize = 20;

/// Reads an address whose length is in half octets. `field` names it in errors.
pub(super) fn read(
    reader: &mut Reader<'_>,
    country: Option<&str>,
    field: &'static str,
) -> Result<(Address, TypeOfAddress), PduError> {
    let halves = usize::from(reader.octet(field)?);
    let toa = TypeOfAddress(reader.octet(field)?);
    let octets = reader.take(halves.div_ceil(2), field)?;
    if toa.number_type() == 5 {
        return Ok((Address::Alpha(name(octets, halves)), toa));
    }
    let digits = digits(octets, halves);
    Ok((number(digits, toa, country), toa))
}

/// Reads the service centre's address, whose length is in octets and counts the type; `None` when it is empty.
pub(super) fn read_smsc(reader: &mut Reader<'_>) -> Result<Option<String>, PduError> {
    let length = usize::from(reader.octet("SMSC address")?);
    let octets = reader.take(length, "SMSC address")?;
    let Some((&toa, octets)) = octets.split_first() else {
        return Ok(None);
    };
    let digits = digits(octets, octets.len() * 2);
    if digits.is_empty() {
        return Ok(None);
    }
    let plus = if TypeOfAddress(toa).number_type() == 1 { "+" } else { "" };
    Ok(Some(format!("{plus}{digits}")))
}

/// Writes an address of a SUBMIT or DELIVER.
///
/// # Errors
/// [`PduError::Recipient`] when it has a character that no half octet stands for, or is too long.
pub(super) fn write(address: &Address, out: &mut Vec<u8>) -> Result<(), PduError> {
    let (digits, toa) = match address {
        Address::Phone(number) => (number.digits(), TypeOfAddress::INTERNATIONAL),
        Address::Short(digits) => (digits.as_str(), TypeOfAddress::UNKNOWN),
        Address::Alpha(name) => return write_name(name, out),
    };
    let halves: Option<Vec<u8>> =
        digits.chars().map(|c| DIGITS.iter().zip(0_u8..).find(|(d, _)| **d == c).map(|(_, n)| n)).collect();
    let halves = halves.filter(|h| !h.is_empty() && h.len() <= MAX_DIGITS).ok_or(PduError::Recipient)?;
    out.push(u8::try_from(halves.len()).map_err(|_| PduError::Recipient)?);
    out.push(toa.0);
    out.extend(halves.chunks(2).map(|pair| match *pair {
        [low, high] => high << 4 | low,
        [low] => 0xF0 | low,
        _ => 0xFF,
    }));
    Ok(())
}

fn write_name(name: &str, out: &mut Vec<u8>) -> Result<(), PduError> {
    let mut septets = Vec::new();
    for c in name.chars() {
        match gsm7::encode(c).ok_or(PduError::Recipient)? {
            gsm7::Septets::One(s) => septets.push(s),
            gsm7::Septets::Escaped(s) => septets.extend([gsm7::ESCAPE, s]),
        }
    }
    // Ten octets hold eleven septets.
    if septets.is_empty() || septets.len() > 11 {
        return Err(PduError::Recipient);
    }
    out.push(u8::try_from((septets.len() * 7).div_ceil(4)).map_err(|_| PduError::Recipient)?);
    out.push(TypeOfAddress::ALPHANUMERIC.0);
    out.extend(super::userdata::pack(&septets, 0));
    Ok(())
}

fn number(digits: String, toa: TypeOfAddress, country: Option<&str>) -> Address {
    let parsed = match toa.number_type() {
        _ if digits.len() < 7 => None,
        1 => PhoneNumber::parse(&format!("+{digits}"), None).ok(),
        0 | 2 => PhoneNumber::parse(&digits, country).ok(),
        // A network's own, abbreviated or subscriber number means something only where it came from.
        _ => None,
    };
    parsed.map_or(Address::Short(digits), Address::Phone)
}

fn digits(octets: &[u8], halves: usize) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet & 0x0F, octet >> 4])
        .take(halves)
        .filter_map(|half| DIGITS.get(usize::from(half)))
        .collect()
}

/// The length counts half octets that are in use: 7 characters are 49 bits, 13 half octets. Senders that round
/// up to whole octets say 14, which would hold an eighth septet; a zero there is padding and not an `@`.
fn name(octets: &[u8], halves: usize) -> String {
    let count = halves * 4 / 7;
    let mut septets = unpack(octets, 0, count);
    if halves.is_multiple_of(14) && septets.last() == Some(&0) {
        septets.pop();
    }
    septets_to_text(&septets, National::Default, National::Default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(octets: &[u8], country: Option<&str>) -> Address {
        read(&mut Reader::new(octets), country, "TP-OA").unwrap().0
    }

    fn round(address: &Address) -> Address {
        let mut out = Vec::new();
        write(address, &mut out).unwrap();
        decoded(&out, None)
    }

    #[test]
    fn a_number_is_a_phone_only_when_its_country_is_known() {
        let national = [10, 0xA1, 0x02, 0x56, 0x55, 0x10, 0x10];
        assert_eq!(decoded(&national, None), Address::Short("2065550101".into()));
        assert_eq!(decoded(&national, Some("1")).as_str(), "+12065550101");
        let international = [11, 0x91, 0x21, 0x60, 0x55, 0x05, 0x01, 0xF1];
        assert_eq!(decoded(&international, None).as_str(), "+12065550101");
    }

    #[test]
    fn a_short_code_stays_short_whatever_its_type() {
        assert_eq!(decoded(&[5, 0x81, 0x21, 0x43, 0xF5], Some("1")), Address::Short("12345".into()));
        assert_eq!(decoded(&[5, 0x91, 0x21, 0x43, 0xF5], Some("1")), Address::Short("12345".into()));
        // Network's own numbers are not completed however long they are.
        let network = [10, 0xB1, 0x02, 0x56, 0x55, 0x10, 0x10];
        assert_eq!(decoded(&network, Some("1")), Address::Short("2065550101".into()));
    }

    #[test]
    fn star_hash_and_letters_are_digits_too() {
        assert_eq!(decoded(&[5, 0x81, 0x1A, 0xB2, 0xFC], None), Address::Short("*12#a".into()));
        assert_eq!(round(&Address::Short("*12#abc".into())), Address::Short("*12#abc".into()));
    }

    #[test]
    fn names_of_every_length_come_back_whole() {
        for length in 1..=11 {
            let name: String = "BACKROOMabc".chars().take(length).collect();
            assert_eq!(round(&Address::Alpha(name.clone())), Address::Alpha(name));
        }
    }

    #[test]
    fn a_name_whose_length_was_rounded_up_has_no_trailing_at_sign() {
        // "GOOGLE1", 7 characters, said to be 14 half octets.
        let mut octets = vec![14, 0xD0];
        octets.extend(super::super::userdata::pack(b"GOOGLE1", 0));
        assert_eq!(decoded(&octets, None), Address::Alpha("GOOGLE1".into()));
    }

    #[test]
    fn what_no_half_octet_stands_for_is_refused() {
        let refused = |a| write(&a, &mut Vec::new()).is_err();
        assert!(refused(Address::Short("12-34".into())));
        assert!(refused(Address::Short(String::new())));
        assert!(refused(Address::Short("1".repeat(21))));
        assert!(refused(Address::Alpha("TWELVE CHARS".into())));
    }
}
