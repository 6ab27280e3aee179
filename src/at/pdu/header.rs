//! The user data header: information elements in front of the text (3GPP TS 23.040 §9.2.3.24).

use serde::{Deserialize, Serialize};

/// Tag of concatenation with an 8 bit reference.
pub(super) const CONCAT_8: u8 = 0x00;
/// Tag of concatenation with a 16 bit reference.
pub(super) const CONCAT_16: u8 = 0x08;
const PORTS_8: u8 = 0x04;
const PORTS_16: u8 = 0x05;
const SINGLE_SHIFT: u8 = 0x24;
const LOCKING_SHIFT: u8 = 0x25;

/// One information element, known or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoElement {
    /// IEI.
    pub tag: u8,
    /// IED, without its length.
    pub data: Vec<u8>,
}

/// Which part of which message this is (§9.2.3.24.1 and .8). Parts of one message have the same reference, width,
/// total, sender and direction; a reference is used again sooner or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Concat {
    /// The sender's running number.
    pub reference: u16,
    /// From 1.
    pub part: u8,
    /// At least 1, and at least `part`.
    pub total: u8,
    /// 16 bit reference: a different message than the one with the same 8 bits.
    pub wide: bool,
}

/// Application ports: data for a program, not a text for a person (§9.2.3.24.3 and .4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Of the receiver: 2948 is WAP push, 5505 and up are vendors' own.
    pub destination: u16,
    /// Of the sender.
    pub source: u16,
}

/// Takes the elements of a header (without its UDHL) apart; `None` when they do not add up to it: then the
/// whole header is to be ignored (§9.2.3.24).
pub(super) fn elements(mut header: &[u8]) -> Option<Vec<InfoElement>> {
    let mut elements = Vec::new();
    while let [tag, length, rest @ ..] = header {
        let (data, rest) = rest.split_at_checked(usize::from(*length))?;
        elements.push(InfoElement { tag: *tag, data: data.to_vec() });
        header = rest;
    }
    header.is_empty().then_some(elements)
}

/// The last concatenation that is possible: a part 0, a part beyond the total or a wrong length does not count.
pub(super) fn concat(elements: &[InfoElement]) -> Option<Concat> {
    let of = |element: &InfoElement| match (element.tag, element.data.as_slice()) {
        (CONCAT_8, &[reference, total, part]) => {
            Some(Concat { reference: u16::from(reference), part, total, wide: false })
        }
        (CONCAT_16, &[high, low, total, part]) => {
            Some(Concat { reference: u16::from_be_bytes([high, low]), part, total, wide: true })
        }
        _ => None,
    };
    elements.iter().rev().filter_map(of).find(|c| (1..=c.total).contains(&c.part))
}

/// The last pair of ports.
pub(super) fn ports(elements: &[InfoElement]) -> Option<Ports> {
    elements.iter().rev().find_map(|element| match (element.tag, element.data.as_slice()) {
        (PORTS_8, &[destination, source]) => {
            Some(Ports { destination: u16::from(destination), source: u16::from(source) })
        }
        (PORTS_16, &[dh, dl, sh, sl]) => {
            Some(Ports { destination: u16::from_be_bytes([dh, dl]), source: u16::from_be_bytes([sh, sl]) })
        }
        _ => None,
    })
}

/// Language of the locking and of the single shift table (3GPP TS 23.038 §6.2.1.2.4); 0 when not named.
pub(super) fn shifts(elements: &[InfoElement]) -> (u8, u8) {
    let language = |tag| {
        elements
            .iter()
            .rev()
            .find_map(|e| match e.data.as_slice() {
                &[language] if e.tag == tag => Some(language),
                _ => None,
            })
            .unwrap_or(0)
    };
    (language(LOCKING_SHIFT), language(SINGLE_SHIFT))
}

/// UDHL and the element that joins part `part` of `total`.
pub(super) fn write_concat(concat: Concat) -> Vec<u8> {
    let [high, low] = concat.reference.to_be_bytes();
    if concat.wide {
        vec![6, CONCAT_16, 4, high, low, concat.total, concat.part]
    } else {
        vec![5, CONCAT_8, 3, low, concat.total, concat.part]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_concatenations_are_ignored() {
        let of = |octets: &[u8]| concat(&elements(octets).unwrap());
        assert_eq!(of(&[0, 3, 7, 2, 1]), Some(Concat { reference: 7, part: 1, total: 2, wide: false }));
        assert_eq!(
            of(&[8, 4, 1, 2, 3, 3]),
            Some(Concat { reference: 0x0102, part: 3, total: 3, wide: true })
        );
        assert_eq!(of(&[0, 3, 7, 2, 0]), None, "part 0");
        assert_eq!(of(&[0, 3, 7, 2, 3]), None, "part 3 of 2");
        assert_eq!(of(&[0, 3, 7, 0, 0]), None, "of none");
        assert_eq!(of(&[0, 2, 7, 2]), None, "short element");
    }

    #[test]
    fn unknown_elements_are_kept_and_the_last_of_a_kind_counts() {
        let seen = elements(&[0x70, 2, 0xAA, 0xBB, 0, 3, 1, 2, 1, 0, 3, 9, 2, 2]).unwrap();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0], InfoElement { tag: 0x70, data: vec![0xAA, 0xBB] });
        assert_eq!(concat(&seen).map(|c| c.reference), Some(9));
    }

    #[test]
    fn elements_that_do_not_add_up_are_none() {
        assert_eq!(elements(&[0, 3, 7, 2]), None);
        assert_eq!(elements(&[0, 3, 7, 2, 1, 9]), None);
        assert_eq!(elements(&[]), Some(Vec::new()));
    }
}
