//! TP-DCS: which alphabet the user data is in, its class, and message waiting (3GPP TS 23.038 §4). Owns no text.

/// What the octets of the user data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// GSM 7 bit, TP-UDL in septets.
    Gsm7,
    /// Octets that mean something to an application, or are compressed; TP-UDL in octets.
    Data,
    /// UCS-2, in truth UTF-16, most significant octet first; TP-UDL in octets.
    Ucs2,
}

/// A message waiting indication (§4, groups 1100 to 1110).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageWaiting {
    /// False for group 1100: a phone sets its lamp and throws the text away.
    pub store: bool,
    /// The lamp is to be lit, or put out.
    pub active: bool,
    /// 0 voicemail, 1 fax, 2 e-mail, 3 other.
    pub kind: u8,
}

/// TP-DCS, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    /// Of the user data.
    pub alphabet: Alphabet,
    /// 0 (flash) to 3, when the octet has one.
    pub class: Option<u8>,
    /// The lamp, when that is what the message is for.
    pub waiting: Option<MessageWaiting>,
}

impl Coding {
    /// Reads the octet. Reserved codings are GSM 7 bit, as §4 says.
    #[must_use]
    pub fn of(dcs: u8) -> Self {
        let plain = |alphabet| Self { alphabet, class: None, waiting: None };
        match dcs >> 4 {
            // 00xx general, 01xx marked for automatic deletion: the same bits otherwise.
            0x0..=0x7 => Self {
                alphabet: match (dcs & 0x20 != 0, dcs >> 2 & 0b11) {
                    (true, _) | (false, 0b01) => Alphabet::Data,
                    (false, 0b10) => Alphabet::Ucs2,
                    (false, _) => Alphabet::Gsm7,
                },
                class: (dcs & 0x10 != 0).then_some(dcs & 0b11),
                waiting: None,
            },
            group @ 0xC..=0xE => Self {
                alphabet: if group == 0xE { Alphabet::Ucs2 } else { Alphabet::Gsm7 },
                class: None,
                waiting: Some(MessageWaiting {
                    store: group != 0xC,
                    active: dcs & 0x08 != 0,
                    kind: dcs & 0b11,
                }),
            },
            0xF => Self {
                alphabet: if dcs & 0x04 != 0 { Alphabet::Data } else { Alphabet::Gsm7 },
                class: Some(dcs & 0b11),
                waiting: None,
            },
            _ => plain(Alphabet::Gsm7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_its_alphabet_and_class() {
        let seen = |dcs| {
            let c = Coding::of(dcs);
            (c.alphabet, c.class)
        };
        assert_eq!(seen(0x00), (Alphabet::Gsm7, None));
        assert_eq!(seen(0x04), (Alphabet::Data, None));
        assert_eq!(seen(0x08), (Alphabet::Ucs2, None));
        assert_eq!(seen(0x0C), (Alphabet::Gsm7, None));
        assert_eq!(seen(0x10), (Alphabet::Gsm7, Some(0)));
        assert_eq!(seen(0x19), (Alphabet::Ucs2, Some(1)));
        assert_eq!(seen(0x20), (Alphabet::Data, None));
        assert_eq!(seen(0x48), (Alphabet::Ucs2, None));
        assert_eq!(seen(0x58), (Alphabet::Ucs2, Some(0)));
        assert_eq!(seen(0x84), (Alphabet::Gsm7, None));
        assert_eq!(seen(0xF0), (Alphabet::Gsm7, Some(0)));
        assert_eq!(seen(0xF3), (Alphabet::Gsm7, Some(3)));
        assert_eq!(seen(0xF5), (Alphabet::Data, Some(1)));
    }

    #[test]
    fn message_waiting_groups_say_whether_to_store() {
        let voicemail = |store, active| Some(MessageWaiting { store, active, kind: 0 });
        assert_eq!(Coding::of(0xC8).waiting, voicemail(false, true));
        assert_eq!(Coding::of(0xD0).waiting, voicemail(true, false));
        assert_eq!(Coding::of(0xE8).waiting, voicemail(true, true));
        assert_eq!(Coding::of(0xE8).alphabet, Alphabet::Ucs2);
        assert_eq!(Coding::of(0xD8).alphabet, Alphabet::Gsm7);
    }
}
